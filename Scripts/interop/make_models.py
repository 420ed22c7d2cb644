"""Writes models with TensorFlow: GraphDefs, and what they compute.

Usage: python make_models.py FOLDER [SCALE]

Each model is a NAME.pb; models.json lists the feeds and the expected values. SCALE multiplies the widths of layers: 1, the
default, gives the small models of Tests/Fixtures/Models.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
tf1.disable_eager_execution()
tf1.enable_control_flow_v2()

SCALE = int(sys.argv[2]) if len(sys.argv) > 2 else 1
random = np.random.default_rng(7)


def weights(*shape):
    """Constants, as freezing leaves them."""
    return tf.constant((random.standard_normal(shape) / np.sqrt(max(np.prod(shape[:-1]), 1))).astype(np.float32))


def numbers(*shape):
    return random.standard_normal(shape).astype(np.float32)


def mlp():
    x = tf1.placeholder(tf.float32, [None, 8], name="x")
    rate = tf1.placeholder_with_default(0.0, [], name="rate")
    hidden = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weights(8, 16 * SCALE)), weights(16 * SCALE)))
    hidden = tf.nn.dropout(hidden, rate=rate)
    logits = tf.matmul(hidden, weights(16 * SCALE, 4)) + weights(4)
    tf.nn.softmax(logits, name="probabilities")
    tf.argmax(logits, axis=1, name="label")
    return {"x": numbers(3, 8)}, ["probabilities", "label"]


def lenet():
    x = tf1.placeholder(tf.float32, [None, 16, 16, 1], name="images")
    y = tf.nn.relu(tf.nn.conv2d(x, weights(5, 5, 1, 4 * SCALE), 1, "SAME") + weights(4 * SCALE))
    y = tf.nn.max_pool2d(y, 2, 2, "VALID")
    y = tf.nn.relu(tf.nn.conv2d(y, weights(3, 3, 4 * SCALE, 6), [1, 2, 2, 1], "VALID"))
    y = tf.nn.avg_pool2d(y, 3, 1, "SAME")
    y = tf.reshape(y, [tf.shape(y)[0], 3 * 3 * 6])
    tf.nn.log_softmax(tf.matmul(y, weights(54, 10)), name="scores")
    return {"images": numbers(2, 16, 16, 1)}, ["scores"]


def residual():
    def normalized(x, channels, training):
        moments = (weights(channels), weights(channels) ** 2 + 0.5)
        given = (None, None) if training else moments
        return tf1.nn.fused_batch_norm(
            x, weights(channels) + 1, weights(channels), *given, epsilon=1e-3, is_training=training)[0]

    x = tf1.placeholder(tf.float32, [None, 9, 9, 4], name="x")
    y = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    y = tf.nn.conv2d(y, weights(3, 3, 4, 4 * SCALE), 2, "VALID")
    y = tf.nn.relu6(normalized(y, 4 * SCALE, False))
    y = tf.nn.depthwise_conv2d(y, weights(3, 3, 4 * SCALE, 1), [1, 1, 1, 1], "SAME")
    y = normalized(y, 4 * SCALE, True) + tf.nn.conv2d(x, weights(1, 1, 4, 4 * SCALE), 2, "SAME")
    tf.reduce_mean(tf.nn.leaky_relu(y), [1, 2], name="pooled")
    return {"x": numbers(2, 9, 9, 4)}, ["pooled"]


def slices():
    x = tf1.placeholder(tf.float32, [4, 5, 6], name="x")
    n = tf1.placeholder(tf.int32, [], name="n")
    cases = [
        x[1], x[-1, 2:], x[..., 1], x[:, tf.newaxis, ::2], x[::-1, 4:1:-2], x[1:1], x[2:, ..., tf.newaxis, -2:],
        x[3:0:-1, 0, :][:, 1::3], x[:2, -3:-1, 5], tf.slice(x, [1, 0, 2], [2, -1, 3]),
    ]
    names = []
    for i, case in enumerate(cases):
        names.append(tf.identity(case, name="slice_%d" % i).op.name)
    tf.strided_slice(x, [0, 0, 0], [n, 5, 6], [1, 2, 3], name="dynamic")
    return {"x": numbers(4, 5, 6), "n": np.int32(3)}, names


def attention():
    tokens = tf1.placeholder(tf.int32, [None, None], name="tokens")
    width, heads = 8 * SCALE, 2
    x = tf.gather(weights(11, width), tokens)
    shape = tf.shape(tokens)

    def split(y):
        return tf.transpose(tf.reshape(y, [shape[0], shape[1], heads, width // heads]), [0, 2, 1, 3])

    flat = tf.reshape(x, [-1, width])
    q, k, v = (split(tf.matmul(flat, weights(width, width))) for _ in range(3))
    scores = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / np.float32(np.sqrt(width // heads)))
    mixed = tf.reshape(tf.transpose(tf.matmul(scores, v), [0, 2, 1, 3]), [-1, width]) + flat
    mean = tf.reduce_mean(mixed, -1, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(mixed, tf.stop_gradient(mean)), -1, keepdims=True)
    y = (mixed - mean) * tf.math.rsqrt(variance + 1e-6)
    y = 0.5 * y * (1 + tf.math.erf(y / np.float32(np.sqrt(2))))
    y = tf.reshape(y, tf.stack([shape[0], shape[1], width]))
    one = tf.one_hot(tokens, 11, on_value=2.0, off_value=-1.0)
    tf.concat([y, one], -1, name="out")
    return {"tokens": np.array([[1, 5, 10], [0, 3, 3]], np.int32)}, ["out"]


def branches():
    x = tf1.placeholder(tf.float32, [None, 3], name="x")
    flag = tf1.placeholder(tf.bool, [], name="flag")
    w = weights(3, 3)
    y = tf.cond(flag, lambda: (tf.matmul(x, w), tf.shape(x)[0]), lambda: (tf.tanh(x) * 2, tf.constant(7)))
    z = tf.cond(tf.reduce_sum(y[0]) > 0, lambda: tf.cond(flag, lambda: y[0] + 1, lambda: y[0]), lambda: -y[0])
    tf.identity(z, name="z")
    tf.identity(y[1], name="rows")
    return {"x": numbers(2, 3), "flag": np.bool_(True)}, ["z", "rows"]


def loops():
    x = tf1.placeholder(tf.float32, [2, 2], name="x")
    n = tf1.placeholder(tf.int32, [], name="n")
    w = weights(2, 2)
    i, y = tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.matmul(y, w) + x), (tf.constant(0), x))
    tf.identity(i, name="i")
    tf.identity(y, name="y")
    return {"x": numbers(2, 2), "n": np.int32(4)}, ["i", "y"]


def calls():
    x = tf1.placeholder(tf.float32, [None, 2], name="x")

    @tf.function
    def inner(x):
        parts = tf.split(x, 2, axis=1)
        return parts[1] - parts[0], tf.reduce_max(x, axis=1)

    @tf.function
    def outer(x):
        a, b = inner(x * 2)
        return a + tf.expand_dims(b, 1)

    tf.identity(outer(x), name="y")
    return {"x": numbers(3, 2)}, ["y"]


def training():
    x = tf1.placeholder(tf.float32, [None, 5], name="x")
    labels = tf1.placeholder(tf.int32, [None], name="labels")
    w, b, v = weights(5, 6 * SCALE), weights(6 * SCALE), weights(6 * SCALE, 3)
    logits = tf.matmul(tf.nn.sigmoid(tf.matmul(x, w) + b), v)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    loss = tf.add(tf.reduce_mean(losses), 0.01 * tf.nn.l2_loss(w), name="loss")
    names = [tf.identity(g, name="gradient_%d" % i).op.name for i, g in enumerate(tf1.gradients(loss, [w, b, v]))]
    return {"x": numbers(4, 5), "labels": np.array([0, 2, 1, 2], np.int32)}, ["loss"] + names


def broadcast_gradients():
    x = tf1.placeholder(tf.float32, [None, None], name="x")
    y = tf1.placeholder(tf.float32, [None, 1], name="y")
    for name, gradient in zip(["dx", "dy"], tf1.gradients(tf.reduce_sum(tf.square(x * y - y)), [x, y])):
        tf.identity(gradient, name=name)
    return {"x": numbers(1, 3), "y": numbers(4, 1)}, ["dx", "dy"]


def old_names():
    raw = tf.raw_ops
    x = tf1.placeholder(tf.float32, [2, 4, 4, 3], name="x")
    y = raw.Add(x=x, y=weights(3))
    y = raw.FusedBatchNorm(
        x=y, scale=weights(3), offset=weights(3), mean=weights(3), variance=weights(3) ** 2 + 1, is_training=False).y
    y = raw.BatchMatMul(x=y, y=weights(2, 4, 3, 2))
    raw.Div(x=y, y=tf.constant(3.0), name="y")
    return {"x": numbers(2, 4, 4, 3)}, ["y"]


def asserted():
    x = tf1.placeholder(tf.float32, [None], name="x")
    checks = [tf1.debugging.assert_less_equal(x, 100.0), tf1.debugging.assert_rank(x, 1), tf1.no_op()]
    with tf.control_dependencies(checks):
        tf.clip_by_value(tf.cumsum(x), -1.0, 1.0, name="y")
    return {"x": numbers(5)}, ["y"]


def halves(dtype):
    """A network in a type of 16 bits, its constants in TensorFlow's field for bit patterns and as bytes."""
    x = tf1.placeholder(dtype, [None, 6, 6, 2], name="x")

    def narrow(*shape):
        return tf.constant(numbers(*shape) / np.sqrt(max(np.prod(shape[:-1]), 1)), dtype)

    y = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, narrow(3, 3, 2, 4), 1, "SAME"), narrow(4)))
    y = tf.reshape(tf.nn.max_pool2d(y, 2, 2, "VALID"), [-1, 36])
    y = tf.matmul(y, narrow(36, 5)) * tf.constant(0.7, dtype)
    tf.nn.softmax(y, name="probabilities")
    tf.reduce_mean(tf.sigmoid(y) + tf.fill([5], tf.constant(0.3, dtype)), 1, name="mean")
    tf.cast(tf.cast(y, tf.float32) + 1.0, dtype, name="shifted")
    return {"x": numbers(2, 6, 6, 2).astype(dtype.as_numpy_dtype)}, ["probabilities", "mean", "shifted"]


def half():
    return halves(tf.float16)


def bfloat():
    return halves(tf.bfloat16)


def array(value):
    value = np.asarray(value)
    # float32 in as few digits as it takes.
    flat = [float(str(v)) if value.dtype == np.float32 else float(v) if value.dtype.itemsize == 2 else v.item() for v in value.reshape(-1)]
    return {"type": value.dtype.name, "shape": list(value.shape), "values": flat}


def main():
    folder = sys.argv[1]
    models = []
    makers = [
        mlp, lenet, residual, slices, attention, branches, loops, calls, training, broadcast_gradients, old_names,
        asserted, half, bfloat,
    ]
    for maker in makers:
        with tf1.Graph().as_default() as graph:
            feeds, fetches = maker()
            with tf1.Session() as session:
                values = session.run([name + ":0" for name in fetches], {n + ":0": v for n, v in feeds.items()})
            with open(os.path.join(folder, maker.__name__ + ".pb"), "wb") as file:
                file.write(graph.as_graph_def().SerializeToString(deterministic=True))
        models.append({
            "name": maker.__name__,
            "feeds": {name: array(value) for name, value in feeds.items()},
            "outputs": {name: array(value) for name, value in zip(fetches, values)},
        })
    with open(os.path.join(folder, "models.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(model) for model in models) + "\n]\n")


main()
