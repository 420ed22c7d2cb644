"""What the programs for other frameworks share: sizes, data, weights, timing and the JSON line.

Import it first: it sets the thread count before the framework is imported. Everything is float32, drawn with NumPy from
fixed seeds, so that every program, and Martlet's `bench`, computes the same numbers and `checksum` agrees.
"""
import argparse
import json
import math
import os
import sys
import time

# Before NumPy, whose OpenBLAS starts its threads when it is imported.
_threads = [a.split("=")[-1] if "=" in a else b
            for a, b in zip(sys.argv, sys.argv[1:] + [""]) if a.startswith("--threads")]
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = _threads[-1] if _threads else str(os.cpu_count())

import numpy as np

args = None

# ---------------------------------------------------------------- sizes
CHAIN = 1000
WIDE = 1000
VEC = 16
ELEMENTS = 16 * 1024 * 1024
A, B = 0.7, 0.1
ROWS, COLS = 8192, 1024
LN_EPS = 1e-5
MATMUL = [256, 512, 1024, 2048, 4096]
MLP = dict(layers=[784, 512, 256, 10], batch=128, lr=0.05)
LENET = dict(batch=128, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8)
RESNET_BLOCKS = [3, 4, 6, 3]
RESNET = dict(image=224, classes=1000, bn_eps=1e-5, lr=0.01, momentum=0.9, bn_momentum=0.9)
BERT = dict(layers=12, hidden=768, heads=12, ff=3072, vocab=30522, positions=512, types=2,
            seq=128, ln_eps=1e-12)
LSTM = dict(hidden=512, seq=64, batch=32, inputs=256, classes=128, lr=0.1)
BATCHES = 8  # distinct synthetic batches fed in turn

NAMES = (["overhead_chain", "overhead_wide", "fused_elementwise", "softmax_rows", "layernorm"]
         + ["matmul_%d" % n for n in MATMUL]
         + ["mlp_train", "lenet_train", "lstm_train",
            "resnet50_infer_b1", "resnet50_infer_b8", "resnet50_train_b8",
            "bert_base_infer_b1", "bert_base_infer_b8", "lenet_infer_b128"])

# ---------------------------------------------------------------- data
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


def resnet_layers():
    """(name, kernel, cin, cout, stride) of every convolution of ResNet-50 v1.5, in order."""
    out = [("conv1", 7, 3, 64, 2)]
    cin = 64
    for s, n in enumerate(RESNET_BLOCKS):
        mid = 64 << s
        for b in range(n):
            st = 2 if (s > 0 and b == 0) else 1
            k = "s%db%d" % (s, b)
            if b == 0:
                out.append((k + "_proj", 1, cin, mid * 4, st))
            out += [(k + "_1", 1, cin, mid, 1), (k + "_2", 3, mid, mid, st), (k + "_3", 1, mid, mid * 4, 1)]
            cin = mid * 4
    return out


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


class Feed:
    """Synthetic batches in turn, so that every step is fed from host memory."""

    def __init__(self, batches):
        self.batches, self.i = batches, 0

    def __call__(self):
        b = self.batches[self.i % len(self.batches)]
        self.i += 1
        return b


def training_check(step, total=10):
    """The loss of step number `total`; the harness has done the first one."""
    def check():
        for _ in range(total - 1):
            loss = step()
        return float(loss)
    return check


# ---------------------------------------------------------------- harness
def parse():
    global args
    parser = argparse.ArgumentParser(
        description="Runs workloads, by name or by the name's beginning; one line of JSON each.",
        epilog="workloads: " + " ".join(NAMES))
    parser.add_argument("workloads", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=5, help="time to measure each for")
    args = parser.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    if args.threads < len(processors):
        os.sched_setaffinity(0, processors[-args.threads:])
    return args


_clock = 0.0


def start_clock():
    """A workload calls this once its data is there: what follows counts as compilation."""
    global _clock
    _clock = time.perf_counter()


def measure(run, seconds):
    """The times of at least 7 and at most 20,000 runs, after a second of warming up or a quarter of the time."""
    warm = time.perf_counter() + min(1.0, seconds / 4)
    count = 0
    while count < 2 or time.perf_counter() < warm:
        run()
        count += 1
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 20000 and (len(times) < 7 or time.perf_counter() < end):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return np.array(times)


def significant(x, digits):
    return float("%.*g" % (digits, x))


def main(peer, version, registry):
    """registry: name -> function that builds the workload and returns (run, check)."""
    wanted = args.workloads or list(registry)
    names = [n for n in NAMES if n in registry and any(n == w or n.startswith(w + "_") for w in wanted)]
    for name in names:
        start_clock()
        run, check = registry[name]()
        run()
        compile_s = time.perf_counter() - _clock
        value = check()
        times = measure(run, args.seconds)
        print(json.dumps(dict(
            peer=peer, version=version, workload=name, threads=args.threads,
            median_s=significant(np.median(times), 4), min_s=significant(times.min(), 4),
            p90_s=significant(np.percentile(times, 90), 4), runs=len(times), compile_s=significant(compile_s, 4),
            checksum=significant(value, 7))), flush=True)
        del run, check
    return 0
