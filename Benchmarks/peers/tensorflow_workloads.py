"""The workloads for a way to run TensorFlow, which gives two functions. Both return what runs a workload once, and what
gives its checksum.

forward(fn, feeds, weights, resident, fetch, sequential): fn(feeds, weights, resident) -> tensor. feeds: arrays fed at every
run; weights: the model's, by name; resident: large inputs kept in variables. fetch: the result goes back to NumPy at every
run, else it is computed and dropped.

train(loss, update, parameters, batches, slots, check_steps, sequential): loss(examples, labels, variables) -> (loss, list of
(variable's name, new value) for variables without gradient). update(variable, slot variables, gradient, number of the step)
-> operation.

sequential: the graph has many small operations, which one thread starts fastest.
"""
import tensorflow as tf

import tensorflow_models as M
import workloads as W

raw = tf.raw_ops


def is_trainable(name):
    """Moving means and variances are not."""
    return not name.endswith(("_m", "_v"))


def training_operations(loss_fn, update, x, y, variables, slots, step):
    """The loss of a batch and the operations that update the variables after it."""
    names = [name for name in variables if is_trainable(name)]
    loss, moving = loss_fn(x, y, variables)
    gradients = tf.gradients(loss, [variables[name] for name in names])
    with tf.control_dependencies(gradients):
        operations = [update(variables[n], slots[n], g, step) for n, g in zip(names, gradients)]
        operations += [variables[name].assign(value) for name, value in moving]
        if step is not None:
            with tf.control_dependencies(operations):  # after every update has read it
                operations.append(step.assign_add(1.0))
    return loss, operations


def sgd(lr):
    return lambda v, slots, g, t: raw.ResourceApplyGradientDescent(var=v.handle, alpha=lr, delta=g)


def momentum(lr, m):
    return lambda v, slots, g, t: raw.ResourceApplyMomentum(
        var=v.handle, accum=slots[0].handle, lr=lr, grad=g, momentum=m)


def adam(c):
    return lambda v, slots, g, t: raw.ResourceApplyAdam(
        var=v.handle, m=slots[0].handle, v=slots[1].handle, beta1_power=tf.pow(c["b1"], t),
        beta2_power=tf.pow(c["b2"], t), lr=c["lr"], beta1=c["b1"], beta2=c["b2"], epsilon=c["eps"], grad=g)


def registry(forward, train):
    def overhead_chain():
        x, c = W.overhead_data()
        return forward(lambda f, w, r: M.chain(f[0], c), [x], sequential=True)

    def overhead_wide():
        x, c = W.wide_data()
        return forward(lambda f, w, r: M.wide(f[0], c), [x], sequential=True)

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

    def lenet_infer():
        p, d = W.lenet_data()
        return forward(lambda f, w, r: M.lenet(f[0], w), [d[0][0]], p)

    def lstm_train():
        p, d = W.lstm_data()
        return train(lambda x, y, v: (M.xent(M.lstm_unrolled(x, v), y), []), sgd(W.LSTM["lr"]), p, d,
                     sequential=True)

    def resnet50_infer(batch):
        return forward(lambda f, w, r: M.resnet50(f[0], w), [W.resnet_input(batch)[0]], W.resnet_params())

    def resnet50_train_b8():
        keep = W.RESNET["bn_momentum"]

        def loss(x, y, v):
            statistics = []
            value = M.xent(M.resnet50(x, v, statistics), y)
            moving = [(name + suffix, v[name + suffix] * keep + new * (1 - keep))
                      for name, mean, variance in statistics for suffix, new in (("_m", mean), ("_v", variance))]
            return value, moving
        return train(loss, momentum(W.RESNET["lr"], W.RESNET["momentum"]), W.resnet_params(), [W.resnet_input(8)],
                     slots=1, check_steps=3)

    def bert_base_infer(batch):
        return forward(lambda f, w, r: M.bert(*f, w, batch), list(W.bert_input(batch)), W.bert_params())

    result = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
                  softmax_rows=softmax_rows, layernorm=layernorm, mlp_train=mlp_train, lenet_train=lenet_train,
                  lenet_infer_b128=lenet_infer, lstm_train=lstm_train, resnet50_train_b8=resnet50_train_b8)
    for n in W.MATMUL:
        result["matmul_%d" % n] = lambda n=n: matmul(n)
    for batch in (1, 8):
        result["resnet50_infer_b%d" % batch] = lambda batch=batch: resnet50_infer(batch)
        result["bert_base_infer_b%d" % batch] = lambda batch=batch: bert_base_infer(batch)
    return result
