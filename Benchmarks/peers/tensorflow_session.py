"""TensorFlow: a graph of `tf.compat.v1`, run by a `Session`."""
import os

import workloads as W

args = W.parse()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

import tensorflow_models as M

tf1 = tf.compat.v1
tf1.disable_eager_execution()
raw = tf.raw_ops


def session():
    config = tf1.ConfigProto(
        intra_op_parallelism_threads=args.threads, inter_op_parallelism_threads=args.threads)
    return tf1.Session(config=config, graph=tf1.get_default_graph())


def forward(fn, feeds, weights=(), resident=(), fetch=True):
    """fn(feeds, weights, resident) -> tensor. feeds: arrays fed at every run; weights: constants, as in a frozen model;
    resident: large inputs kept in variables. fetch: the result goes back to NumPy at every run, else it is computed and
    dropped."""
    W.start_clock()
    tf1.reset_default_graph()
    ph = [tf1.placeholder(a.dtype, a.shape) for a in feeds]
    wv = {k: tf.constant(v) for k, v in dict(weights).items()}
    init = [tf1.placeholder(r.dtype, r.shape) for r in resident]
    rv = [tf.Variable(i) for i in init]
    y = fn(ph, wv, rv)
    s = session()
    if rv:
        s.run([v.initializer for v in rv], dict(zip(init, resident)))
    fd, what = dict(zip(ph, feeds)), (y if fetch else y.op)
    return lambda: s.run(what, fd), lambda: W.checksum(s.run(y, fd))


def train(loss_fn, update, params, batches, slots=0, check_steps=10):
    """loss_fn(x, labels, vars) -> (loss, extra list of (variable key, new value)).
    update(var, slot variables, gradient, step variable) -> op. params: dict of arrays."""
    x0, y0 = batches[0]
    trainable = [k for k in params if not k.endswith(("_m", "_v"))]
    feed = W.Feed(batches)
    W.start_clock()
    tf1.reset_default_graph()
    x, y = tf1.placeholder(tf.float32, x0.shape), tf1.placeholder(tf.int32, y0.shape)
    ph = {k: tf1.placeholder(tf.float32, a.shape) for k, a in params.items()}
    v = {k: tf.Variable(ph[k]) for k in params}
    sl = {k: [tf.Variable(tf.zeros(params[k].shape)) for _ in range(slots)] for k in trainable}
    t = tf.Variable(1.0) if slots == 2 else None
    loss, extra = loss_fn(x, y, v)
    grads = tf.gradients(loss, [v[k] for k in trainable])
    with tf.control_dependencies(grads):
        ops = [update(v[k], sl[k], g, t) for k, g in zip(trainable, grads)]
        ops += [v[k].assign(n) for k, n in extra]
        if t is not None:
            with tf.control_dependencies(ops):  # after every update has read it
                ops.append(t.assign_add(1.0))
    group = tf.group(ops)
    s = session()
    s.run(tf1.global_variables_initializer(), {ph[k]: params[k] for k in params})

    def step():
        examples, labels = feed()
        return s.run([loss, group], {x: examples, y: labels})[0]
    return step, W.training_check(step, check_steps)


def sgd(lr):
    return lambda v, sl, g, t: raw.ResourceApplyGradientDescent(var=v.handle, alpha=lr, delta=g)


def momentum(lr, m):
    return lambda v, sl, g, t: raw.ResourceApplyMomentum(var=v.handle, accum=sl[0].handle, lr=lr, grad=g, momentum=m)


def adam(c):
    return lambda v, sl, g, t: raw.ResourceApplyAdam(
        var=v.handle, m=sl[0].handle, v=sl[1].handle, beta1_power=tf.pow(c["b1"], t), beta2_power=tf.pow(c["b2"], t),
        lr=c["lr"], beta1=c["b1"], beta2=c["b2"], epsilon=c["eps"], grad=g)


def overhead_chain():
    x, c = W.overhead_data()
    return forward(lambda f, w, r: M.chain(f[0], c), [x])


def overhead_wide():
    x, c = W.wide_data()
    return forward(lambda f, w, r: M.wide(f[0], c), [x])


def fused_elementwise():
    return forward(lambda f, w, r: M.elementwise(r[0]), [], resident=[W.elementwise_data()], fetch=False)


def softmax_rows():
    return forward(lambda f, w, r: tf.nn.softmax(r[0]), [], resident=[W.rows_data()[0]], fetch=False)


def layernorm():
    return forward(lambda f, w, r: M.layer_norm(*r, W.LN_EPS), [], resident=W.rows_data(), fetch=False)


def matmul(n):
    return forward(lambda f, w, r: tf.matmul(r[0], r[1]), [], resident=W.matmul_data(n), fetch=False)


def mlp_train():
    p, d = W.mlp_data()
    names = ["p%d" % i for i in range(len(p))]
    return train(lambda x, y, v: (M.xent(M.mlp(x, [v[n] for n in names]), y), []),
                 sgd(W.MLP["lr"]), dict(zip(names, p)), d)


def lenet_train():
    p, d = W.lenet_data()
    return train(lambda x, y, v: (M.xent(M.lenet(x, v), y), []), adam(W.LENET), p, d, slots=2, check_steps=3)


def lstm_train():
    p, d = W.lstm_data()
    return train(lambda x, y, v: (M.xent(M.lstm_unrolled(x, v), y), []), sgd(W.LSTM["lr"]), p, d)


def resnet50_train_b8():
    p = W.resnet_params()
    x, y = W.resnet_input(8)
    mom = W.RESNET["bn_momentum"]

    def loss(x, y, v):
        up = []
        l = M.xent(M.resnet50(x, v, up), y)
        extra = []
        for n, m, var in up:
            for k, new in ((n + "_m", m), (n + "_v", var)):
                extra.append((k, v[k] * mom + new * (1 - mom)))
        return l, extra
    return train(loss, momentum(W.RESNET["lr"], W.RESNET["momentum"]), p, [(x, y)], slots=1, check_steps=3)


def lenet_infer():
    p, d = W.lenet_data()
    return forward(lambda f, w, r: M.lenet(f[0], w), [d[0][0]], p)


def resnet50_infer(b):
    return forward(lambda f, w, r: M.resnet50(f[0], w), [W.resnet_input(b)[0]], W.resnet_params())


def bert_base_infer(b):
    return forward(lambda f, w, r: M.bert(*f, w, b), list(W.bert_input(b)), W.bert_params())


REG = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
           softmax_rows=softmax_rows, layernorm=layernorm, mlp_train=mlp_train, lenet_train=lenet_train,
           lstm_train=lstm_train, resnet50_train_b8=resnet50_train_b8, lenet_infer_b128=lenet_infer)
for n in W.MATMUL:
    REG["matmul_%d" % n] = lambda n=n: matmul(n)
for b in (1, 8):
    REG["resnet50_infer_b%d" % b] = lambda b=b: resnet50_infer(b)
    REG["bert_base_infer_b%d" % b] = lambda b=b: bert_base_infer(b)

if __name__ == "__main__":
    raise SystemExit(W.main("tensorflow-session", tf.__version__, REG))
