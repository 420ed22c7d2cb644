"""TensorFlow: one `tf.function(jit_compile=True)` a workload, which XLA compiles as a whole."""
import os

import harness

args = harness.parse()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

import tensorflow_workloads as T
import workloads as W

tf.config.threading.set_intra_op_parallelism_threads(args.threads)
tf.config.threading.set_inter_op_parallelism_threads(args.threads)


def forward(fn, feeds, weights=(), resident=(), fetch=True, sequential=False):
    """Weights are variables: as constants they would be part of the program that XLA compiles."""
    harness.start_clock()
    variables = {k: tf.Variable(v) for k, v in dict(weights).items()}
    kept = [tf.Variable(r) for r in resident]
    f = tf.function(lambda *a: fn(a, variables, kept), jit_compile=True)

    def run():
        y = f(*[tf.constant(a) for a in feeds])
        return y.numpy() if fetch else y
    return run, lambda: W.checksum(run())


def train(loss_fn, update, params, batches, slots=0, check_steps=10, sequential=False):
    feed = harness.Feed(batches)
    harness.start_clock()
    v = {k: tf.Variable(a) for k, a in params.items()}
    sl = {k: [tf.Variable(tf.zeros_like(v[k])) for _ in range(slots)] for k in params if T.is_trainable(k)}
    t = tf.Variable(1.0) if slots == 2 else None

    @tf.function(jit_compile=True)
    def f(x, y):
        return T.training_operations(loss_fn, update, x, y, v, sl, t)[0]

    def step():
        x, y = feed()
        return f(tf.constant(x), tf.constant(y)).numpy()
    return step, harness.training_check(step, check_steps)


if __name__ == "__main__":
    raise SystemExit(harness.main("tensorflow-xla", tf.__version__, T.registry(forward, train)))
