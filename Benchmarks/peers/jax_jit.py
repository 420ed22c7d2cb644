"""JAX: every workload is one `jit`-compiled function. Steps of training donate the parameters."""
import math
import os

import harness

args = harness.parse()
os.environ["JAX_PLATFORMS"] = args.device
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import workloads as W

# Without it products and convolutions on a GPU round their operands.
jax.config.update("jax_default_matmul_precision", "highest")
DN = ("NHWC", "HWIO", "NHWC")


def forward(fn, feeds, resident=(), fetch=True):
    """feeds: NumPy arrays given at every call; resident: arrays that stay in JAX, weights and large inputs."""
    harness.start_clock()
    rv = jax.tree.map(jnp.asarray, resident)
    f = jax.jit(fn)

    def run():
        y = f(rv, *feeds)
        return np.asarray(y) if fetch else y.block_until_ready()
    return run, lambda: W.checksum(run())


def train(loss_fn, update, params, batches, state=(), check_steps=10):
    """loss_fn(params, x, y) -> (loss, new values of untrained parameters)."""
    feed = harness.Feed(batches)
    harness.start_clock()
    p = jax.tree.map(jnp.asarray, params)
    frozen = {k for k in p if k.endswith(("_m", "_v"))}
    st = jax.tree.map(jnp.asarray, state)
    hold = {"p": p, "s": st}

    def step_fn(p, s, x, y):
        tr = {k: v for k, v in p.items() if k not in frozen}
        (loss, extra), g = jax.value_and_grad(
            lambda t: loss_fn({**p, **t}, x, y), has_aux=True)(tr)
        new, s = update(tr, g, s)
        return loss, {**p, **new, **extra}, s
    f = jax.jit(step_fn, donate_argnums=(0, 1))

    def step():
        loss, hold["p"], hold["s"] = f(hold["p"], hold["s"], *feed())
        jax.block_until_ready(hold["p"])
        return np.asarray(loss)
    return step, harness.training_check(step, check_steps)


def sgd(lr):
    return lambda p, g, s: ({k: p[k] - lr * g[k] for k in p}, s)


def momentum(lr, m):
    def u(p, g, s):
        s = {k: m * s[k] + g[k] for k in p}
        return {k: p[k] - lr * s[k] for k in p}, s
    return u


def adam(c):
    def u(p, g, s):
        t, m, v = s
        a = c["lr"] * jnp.sqrt(1 - c["b2"] ** t) / (1 - c["b1"] ** t)
        m = {k: c["b1"] * m[k] + (1 - c["b1"]) * g[k] for k in p}
        v = {k: c["b2"] * v[k] + (1 - c["b2"]) * g[k] * g[k] for k in p}
        return {k: p[k] - a * m[k] / (jnp.sqrt(v[k]) + c["eps"]) for k in p}, (t + 1, m, v)
    return u


def zeros(p):
    return {k: np.zeros_like(v) for k, v in p.items() if not k.endswith(("_m", "_v"))}


def xent(logits, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1))


def layer_norm(x, g, b, eps):
    m = x.mean(-1, keepdims=True)
    v = jnp.square(x - m).mean(-1, keepdims=True)
    return (x - m) * lax.rsqrt(v + eps) * g + b


def overhead_chain():
    x, c = W.overhead_data()

    def f(c, x):
        for i, k in enumerate(c):
            x = x + k if i % 3 == 0 else x * k if i % 3 == 1 else jnp.tanh(x)
        return x
    return forward(lambda _, x: f(c, x), [x])


def overhead_wide():
    x, c = W.wide_data()

    def f(_, x):
        t = [jnp.maximum(x, k) if i % 2 else jnp.minimum(x, k) for i, k in enumerate(c)]
        s = t[0]
        for v in t[1:]:
            s = s + v
        return s
    return forward(f, [x])


def fused_elementwise():
    return forward(lambda x: jnp.tanh(W.A * x + W.B) * jax.nn.sigmoid(x) + jnp.exp(-x * x), [],
                   W.elementwise_data(), fetch=False)


def softmax_rows():
    return forward(lambda x: jax.nn.softmax(x), [], W.rows_data()[0], fetch=False)


def layernorm():
    return forward(lambda r: layer_norm(*r, W.LN_EPS), [], W.rows_data(), fetch=False)


def matmul(n, half=False):
    return forward(lambda r: r[0] @ r[1], [], rounded(W.matmul_data(n)) if half else W.matmul_data(n), fetch=False)


def rounded(arrays):
    """Arrays of float32 in bfloat16."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), arrays)


def mlp_train():
    p, d = W.mlp_data()
    n = len(p) // 2

    def loss(q, x, y):
        for i in range(n):
            x = x @ q["p%d" % (2 * i)] + q["p%d" % (2 * i + 1)]
            if i < n - 1:
                x = jax.nn.relu(x)
        return xent(x, y), {}
    return train(loss, sgd(W.MLP["lr"]), {"p%d" % i: v for i, v in enumerate(p)}, d)


def pool(x, k, s, pad):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, k, k, 1), (1, s, s, 1), pad)


def lenet(p, x):
    for k in ("c1", "c2"):
        x = lax.conv_general_dilated(x, p[k + "w"], (1, 1), "SAME", dimension_numbers=DN)
        x = pool(jax.nn.relu(x + p[k + "b"]), 2, 2, "VALID")
    x = jax.nn.relu(x.reshape(x.shape[0], -1) @ p["f1w"] + p["f1b"])
    return x @ p["f2w"] + p["f2b"]


def lenet_train():
    p, d = W.lenet_data()
    return train(lambda p, x, y: (xent(lenet(p, x), y), {}), adam(W.LENET), p, d,
                 (np.float32(1), zeros(p), zeros(p)), check_steps=3)


def lenet_infer():
    p, d = W.lenet_data()
    return forward(lenet, [d[0][0]], p)


def lstm_train():
    p, d = W.lstm_data()
    T, Bt, H = W.LSTM["seq"], W.LSTM["batch"], W.LSTM["hidden"]

    def loss(p, x, y):
        xp = (x.reshape(T * Bt, -1) @ p["wx"] + p["b"]).reshape(T, Bt, 4 * H)

        def cell(hc, xt):
            h, c = hc
            i, f, g, o = jnp.split(xt + h @ p["wh"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
        z = jnp.zeros((Bt, H))
        (h, _), _ = lax.scan(cell, (z, z), xp)
        return xent(h @ p["wo"] + p["bo"], y), {}
    return train(loss, sgd(W.LSTM["lr"]), p, d)


def resnet50(p, x, training=False):
    eps, mom = W.RESNET["bn_eps"], W.RESNET["bn_momentum"]
    layers = {l[0]: l for l in W.resnet_layers()}
    extra = {}

    def conv(x, n, relu):
        _, k, _, _, s = layers[n]
        q = k // 2
        x = lax.conv_general_dilated(x, p[n + "_w"], (s, s), [(q, q), (q, q)], dimension_numbers=DN)
        m, v = p[n + "_m"], p[n + "_v"]
        if training:
            bm = x.mean((0, 1, 2))
            bv = jnp.square(x - bm).mean((0, 1, 2))
            extra[n + "_m"] = m * mom + bm * (1 - mom)
            extra[n + "_v"] = v * mom + bv * (1 - mom)
            m, v = bm, bv
        scale = p[n + "_g"] * lax.rsqrt(v + eps)
        x = x * scale + (p[n + "_b"] - m * scale)
        return jax.nn.relu(x) if relu else x

    x = pool(conv(x, "conv1", True), 3, 2, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for s, nb in enumerate(W.RESNET_BLOCKS):
        for b in range(nb):
            k = "s%db%d" % (s, b)
            short = conv(x, k + "_proj", False) if b == 0 else x
            y = conv(conv(conv(x, k + "_1", True), k + "_2", True), k + "_3", False)
            x = jax.nn.relu(y + short)
    return x.mean((1, 2)) @ p["fc_w"] + p["fc_b"], extra


def resnet50_infer(b):
    return forward(lambda p, x: resnet50(p, x)[0], [W.resnet_input(b)[0]], W.resnet_params())


def resnet50_train_b8():
    p = W.resnet_params()

    def loss(p, x, y):
        logits, extra = resnet50(p, x, True)
        return xent(logits, y), extra
    return train(loss, momentum(W.RESNET["lr"], W.RESNET["momentum"]), p, [W.resnet_input(8)], zeros(p),
                 check_steps=3)


def bert(p, ids, seg, mask):
    S, H, N = W.BERT["seq"], W.BERT["hidden"], W.BERT["heads"]
    D, eps, Bt = H // N, W.BERT["ln_eps"], ids.shape[0]
    x = p["word"][ids] + p["type"][seg] + p["pos"][:S]
    x = layer_norm(x, p["ln_g"], p["ln_b"], eps).reshape(Bt * S, H)
    adder = (1.0 - mask.reshape(Bt, 1, 1, S).astype(x.dtype)) * -10000.0
    for i in range(W.BERT["layers"]):
        k = "l%d_" % i
        dense = lambda x, n: x @ p[k + n + "w"] + p[k + n + "b"]
        heads = lambda n: dense(x, n).reshape(Bt, S, N, D).transpose(0, 2, 1, 3)
        sc = heads("q") @ heads("k").transpose(0, 1, 3, 2) * (1.0 / math.sqrt(D)) + adder
        ctx = (jax.nn.softmax(sc) @ heads("v")).transpose(0, 2, 1, 3).reshape(Bt * S, H)
        x = layer_norm(dense(ctx, "o") + x, p[k + "ln1_g"], p[k + "ln1_b"], eps)
        y = dense(x, "f1")
        y = 0.5 * y * (1.0 + lax.erf(y * (1.0 / math.sqrt(2.0))))
        x = layer_norm(dense(y, "f2") + x, p[k + "ln2_g"], p[k + "ln2_b"], eps)
    return x.reshape(Bt, S, H)


def bert_base_infer(b, half=False):
    return forward(bert, list(W.bert_input(b)), rounded(W.bert_params()) if half else W.bert_params())


REG = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
           softmax_rows=softmax_rows, layernorm=layernorm, mlp_train=mlp_train, lenet_train=lenet_train,
           lstm_train=lstm_train, resnet50_train_b8=resnet50_train_b8, lenet_infer_b128=lenet_infer)
for n in W.MATMUL:
    REG["matmul_%d" % n] = lambda n=n: matmul(n)
REG["matmul_4096_bf16"] = lambda: matmul(4096, True)
REG["bert_base_infer_b8_bf16"] = lambda: bert_base_infer(8, True)
for b in (1, 8):
    REG["resnet50_infer_b%d" % b] = lambda b=b: resnet50_infer(b)
    REG["bert_base_infer_b%d" % b] = lambda b=b: bert_base_infer(b)

if __name__ == "__main__":
    raise SystemExit(harness.main("jax-jit", jax.__version__, REG))
