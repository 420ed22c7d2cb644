"""The workloads as TensorFlow graphs. Every function takes tensors and a dict of weights (constants or variables)."""
import math

import tensorflow as tf

import workloads as W

tf1 = tf.compat.v1


def chain(x, consts):
    for i, c in enumerate(consts):
        if i % 3 == 0:
            x = x + c
        elif i % 3 == 1:
            x = x * c
        else:
            x = tf.tanh(x)
    return x


def wide(x, consts):
    # max and min, because grappler would rewrite sums of products or of sums
    return tf.add_n([tf.maximum(x, c) if i % 2 else tf.minimum(x, c) for i, c in enumerate(consts)])


def elementwise(x):
    return tf.tanh(W.A * x + W.B) * tf.sigmoid(x) + tf.exp(-x * x)


def layer_norm(x, g, b, eps):
    mean = tf.reduce_mean(x, -1, keepdims=True)
    var = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
    return (x - mean) * (tf.math.rsqrt(var + eps) * g) + b


def xent(logits, labels):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def mlp(x, p):
    n = len(p) // 2
    for i in range(n):
        x = tf.nn.bias_add(tf.matmul(x, p[2 * i]), p[2 * i + 1])
        if i < n - 1:
            x = tf.nn.relu(x)
    return x


def lenet(x, p):
    for k in ("c1", "c2"):
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, p[k + "w"], 1, "SAME"), p[k + "b"]))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
    x = tf.reshape(x, [-1, 3136])
    x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, p["f1w"]), p["f1b"]))
    return tf.nn.bias_add(tf.matmul(x, p["f2w"]), p["f2b"])


def lstm_unrolled(x, p):
    T, Bt, H = W.LSTM["seq"], W.LSTM["batch"], W.LSTM["hidden"]
    xp = tf.matmul(tf.reshape(x, [T * Bt, W.LSTM["inputs"]]), p["wx"]) + p["b"]
    xp = tf.unstack(tf.reshape(xp, [T, Bt, 4 * H]))
    h = c = tf.zeros([Bt, H])
    for t in range(T):
        h, c = _cell(xp[t], h, c, p["wh"])
    return tf.matmul(h, p["wo"]) + p["bo"]


def _cell(xt, h, c, wh):
    i, f, g, o = tf.split(xt + tf.matmul(h, wh), 4, axis=1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def resnet50(x, p, updates=None):
    """NHWC. updates: a list to which training adds (name, batch mean, batch variance)."""
    eps = W.RESNET["bn_eps"]
    layers = {l[0]: l for l in W.resnet_layers()}

    def conv(x, name, relu):
        _, k, _, _, s = layers[name]
        if k > 1 and s > 1:
            q = k // 2
            x = tf.nn.conv2d(tf.pad(x, [[0, 0], [q, q], [q, q], [0, 0]]), p[name + "_w"], s, "VALID")
        else:
            x = tf.nn.conv2d(x, p[name + "_w"], s, "SAME")
        if updates is None:
            x, _, _ = tf1.nn.fused_batch_norm(x, p[name + "_g"], p[name + "_b"], p[name + "_m"],
                                              p[name + "_v"], epsilon=eps, is_training=False)
        else:
            x, m, v = tf1.nn.fused_batch_norm(x, p[name + "_g"], p[name + "_b"], epsilon=eps)
            updates.append((name, m, v))
        return tf.nn.relu(x) if relu else x

    x = conv(x, "conv1", True)
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    for s, n in enumerate(W.RESNET_BLOCKS):
        for b in range(n):
            k = "s%db%d" % (s, b)
            short = conv(x, k + "_proj", False) if b == 0 else x
            y = conv(conv(conv(x, k + "_1", True), k + "_2", True), k + "_3", False)
            x = tf.nn.relu(y + short)
    x = tf.reduce_mean(x, [1, 2])
    return tf.nn.bias_add(tf.matmul(x, p["fc_w"]), p["fc_b"])


def bert(ids, seg, mask, p, batch):
    """Matrices [batch*seq, hidden], heads transposed, as in the first published model."""
    S, H, N = W.BERT["seq"], W.BERT["hidden"], W.BERT["heads"]
    D, eps = H // N, W.BERT["ln_eps"]
    x = tf.gather(p["word"], ids) + tf.gather(p["type"], seg) + p["pos"][:S]
    x = tf.reshape(layer_norm(x, p["ln_g"], p["ln_b"], eps), [batch * S, H])
    adder = (1.0 - tf.cast(tf.reshape(mask, [batch, 1, 1, S]), tf.float32)) * -10000.0

    for i in range(W.BERT["layers"]):
        k = "l%d_" % i

        def dense(x, n):
            return tf.nn.bias_add(tf.matmul(x, p[k + n + "w"]), p[k + n + "b"])

        def heads(n):
            return tf.transpose(tf.reshape(dense(x, n), [batch, S, N, D]), [0, 2, 1, 3])
        scores = tf.matmul(heads("q"), heads("k"), transpose_b=True) * (1.0 / math.sqrt(D)) + adder
        ctx = tf.matmul(tf.nn.softmax(scores), heads("v"))
        ctx = tf.reshape(tf.transpose(ctx, [0, 2, 1, 3]), [batch * S, H])
        x = layer_norm(dense(ctx, "o") + x, p[k + "ln1_g"], p[k + "ln1_b"], eps)
        y = dense(x, "f1")
        y = 0.5 * y * (1.0 + tf.math.erf(y * (1.0 / math.sqrt(2.0))))
        x = layer_norm(dense(y, "f2") + x, p[k + "ln2_g"], p[k + "ln2_b"], eps)
    return tf.reshape(x, [batch, S, H])
