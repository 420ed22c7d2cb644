"""TensorFlow: a graph of `tf.compat.v1`, run by a `Session`."""
import os

import harness

args = harness.parse()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

import tensorflow_workloads as T
import workloads as W

tf1 = tf.compat.v1
tf1.disable_eager_execution()


def session(sequential):
    config = tf1.ConfigProto(
        intra_op_parallelism_threads=args.threads, inter_op_parallelism_threads=args.threads)
    if sequential:
        config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    return tf1.Session(config=config, graph=tf1.get_default_graph())


def forward(fn, feeds, weights=(), resident=(), fetch=True, sequential=False):
    """Weights are constants, as in a frozen model."""
    harness.start_clock()
    tf1.reset_default_graph()
    inputs = [tf1.placeholder(a.dtype, a.shape) for a in feeds]
    constants = {k: tf.constant(v) for k, v in dict(weights).items()}
    initial = [tf1.placeholder(r.dtype, r.shape) for r in resident]
    variables = [tf.Variable(i) for i in initial]
    y = fn(inputs, constants, variables)
    s = session(sequential)
    if variables:
        s.run([v.initializer for v in variables], dict(zip(initial, resident)))
    call = s.make_callable(y if fetch else y.op, inputs)
    return lambda: call(*feeds), lambda: W.checksum(s.run(y, dict(zip(inputs, feeds))))


def train(loss_fn, update, params, batches, slots=0, check_steps=10, sequential=False):
    examples, labels = batches[0]
    feed = harness.Feed(batches)
    harness.start_clock()
    tf1.reset_default_graph()
    x, y = tf1.placeholder(tf.float32, examples.shape), tf1.placeholder(tf.int32, labels.shape)
    initial = {k: tf1.placeholder(tf.float32, a.shape) for k, a in params.items()}
    v = {k: tf.Variable(initial[k]) for k in params}
    sl = {k: [tf.Variable(tf.zeros(params[k].shape)) for _ in range(slots)] for k in params if T.is_trainable(k)}
    t = tf.Variable(1.0) if slots == 2 else None
    loss, operations = T.training_operations(loss_fn, update, x, y, v, sl, t)
    group = tf.group(operations)
    s = session(sequential)
    s.run(tf1.global_variables_initializer(), {initial[k]: params[k] for k in params})
    call = s.make_callable([loss, group], [x, y])
    step = lambda: call(*feed())[0]
    return step, harness.training_check(step, check_steps)


if __name__ == "__main__":
    raise SystemExit(harness.main("tensorflow-session", tf.__version__, T.registry(forward, train)))
