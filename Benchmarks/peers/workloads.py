"""The workloads' data. Everything is float32, drawn with NumPy from fixed seeds, so that every program, and Martlet's `bench`,
computes the same numbers and `checksum` agrees. The sizes are those of `sizes.py`."""
import math

import numpy as np

from sizes import *


def f32(a):
    return np.ascontiguousarray(a, dtype=np.float32)


def rng(seed):
    return np.random.Generator(np.random.PCG64(seed))


def normal(g, *shape, std=1.0, mean=0.0):
    return g.standard_normal(shape, dtype=np.float32) * np.float32(std) + np.float32(mean)


def overhead_data():
    g = rng(1)
    x = normal(g, VEC)
    c = [normal(g, VEC, std=0.1, mean=(0.0 if i % 3 == 0 else 1.0)) for i in range(CHAIN)]
    return x, c


def wide_data():
    g = rng(2)
    return normal(g, VEC), [normal(g, VEC) for _ in range(WIDE)]


def elementwise_data():
    return normal(rng(3), ELEMENTS)


def rows_data():
    g = rng(4)
    return normal(g, ROWS, COLS), normal(g, COLS, std=0.1, mean=1.0), normal(g, COLS, std=0.1)


def matmul_data(n):
    g = rng(5)
    return normal(g, n, n), normal(g, n, n)


def mlp_data():
    g = rng(6)
    L = MLP["layers"]
    p = []
    for i, o in zip(L[:-1], L[1:]):
        p += [normal(g, i, o, std=math.sqrt(2.0 / i)), np.zeros(o, np.float32)]
    d = [(normal(g, MLP["batch"], L[0]), g.integers(0, L[-1], MLP["batch"], dtype=np.int32))
         for _ in range(BATCHES)]
    return p, d


def lenet_data():
    g = rng(7)
    p = {"c1w": normal(g, 5, 5, 1, 32, std=math.sqrt(2 / 25)), "c1b": np.zeros(32, np.float32),
         "c2w": normal(g, 5, 5, 32, 64, std=math.sqrt(2 / 800)), "c2b": np.zeros(64, np.float32),
         "f1w": normal(g, 3136, 1024, std=math.sqrt(2 / 3136)), "f1b": np.zeros(1024, np.float32),
         "f2w": normal(g, 1024, 10, std=math.sqrt(1 / 1024)), "f2b": np.zeros(10, np.float32)}
    d = [(normal(g, LENET["batch"], 28, 28, 1), g.integers(0, 10, LENET["batch"], dtype=np.int32))
         for _ in range(BATCHES)]
    return p, d


def lstm_data():
    g = rng(8)
    H, I, C = LSTM["hidden"], LSTM["inputs"], LSTM["classes"]
    s = 1 / math.sqrt(H)
    p = {"wx": normal(g, I, 4 * H, std=s), "wh": normal(g, H, 4 * H, std=s),
         "b": np.zeros(4 * H, np.float32), "wo": normal(g, H, C, std=s), "bo": np.zeros(C, np.float32)}
    d = [(normal(g, LSTM["seq"], LSTM["batch"], I), g.integers(0, C, LSTM["batch"], dtype=np.int32))
         for _ in range(BATCHES)]
    return p, d


def resnet_params():
    """Weights HWIO; batch norm g(amma), b(eta), m(ean), v(ariance); last a 2048x1000 dense."""
    g = rng(9)
    p = {}
    for name, k, ci, co, _ in resnet_layers():
        p[name + "_w"] = normal(g, k, k, ci, co, std=math.sqrt(2.0 / (k * k * ci)))
        scale = 0.3 if name.endswith("_3") else 1.0
        p[name + "_g"] = normal(g, co, std=0.05, mean=scale)
        p[name + "_b"] = normal(g, co, std=0.05)
        p[name + "_m"] = normal(g, co, std=0.05)
        p[name + "_v"] = f32(1.0 + 0.1 * g.random(co, dtype=np.float32))
    p["fc_w"] = normal(g, 2048, RESNET["classes"], std=0.01)
    p["fc_b"] = np.zeros(RESNET["classes"], np.float32)
    return p


def resnet_input(batch):
    g = rng(10)
    n = RESNET["image"]
    return normal(g, batch, n, n, 3), g.integers(0, RESNET["classes"], batch, dtype=np.int32)


def bert_params():
    g = rng(11)
    H, F = BERT["hidden"], BERT["ff"]
    p = {"word": normal(g, BERT["vocab"], H, std=0.02), "pos": normal(g, BERT["positions"], H, std=0.02),
         "type": normal(g, BERT["types"], H, std=0.02),
         "ln_g": normal(g, H, std=0.02, mean=1.0), "ln_b": normal(g, H, std=0.02)}
    for i in range(BERT["layers"]):
        k = "l%d_" % i
        for n, a, b in (("q", H, H), ("k", H, H), ("v", H, H), ("o", H, H), ("f1", H, F), ("f2", F, H)):
            p[k + n + "w"] = normal(g, a, b, std=0.02)
            p[k + n + "b"] = normal(g, b, std=0.02)
        for n in ("ln1", "ln2"):
            p[k + n + "_g"] = normal(g, H, std=0.02, mean=1.0)
            p[k + n + "_b"] = normal(g, H, std=0.02)
    return p


def bert_input(batch):
    g = rng(12)
    S = BERT["seq"]
    ids = g.integers(0, BERT["vocab"], (batch, S), dtype=np.int32)
    seg = np.zeros((batch, S), np.int32)
    seg[:, S // 2:] = 1
    mask = np.ones((batch, S), np.int32)
    return ids, seg, mask


def checksum(a):
    return float(np.mean(np.abs(np.asarray(a, dtype=np.float64))))
