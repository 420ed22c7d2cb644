"""The sizes of the workloads, and what one run of each does at least. Needs nothing but Python."""

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
BERT = dict(layers=12, hidden=768, heads=12, ff=3072, vocab=30522, positions=512, types=2, seq=128, ln_eps=1e-12)
LSTM = dict(hidden=512, seq=64, batch=32, inputs=256, classes=128, lr=0.1)
BATCHES = 8  # distinct synthetic batches, fed in turn

NAMES = (["overhead_chain", "overhead_wide", "fused_elementwise", "softmax_rows", "layernorm"]
         + ["matmul_%d" % n for n in MATMUL]
         + ["mlp_train", "lenet_train", "lstm_train",
            "resnet50_infer_b1", "resnet50_infer_b8", "resnet50_train_b8",
            "bert_base_infer_b1", "bert_base_infer_b8", "lenet_infer_b128"]
         + ["matmul_4096_bf16", "mlp_train_bf16", "resnet50_infer_b8_bf16", "bert_base_infer_b8_bf16"])


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


# ---------------------------------------------------------------- work of one run
def _resnet_products():
    """Multiplications for one image: each convolution's, and the last layer's."""
    total = RESNET["classes"] * 64 * 2 ** len(RESNET_BLOCKS) * 2
    for name, kernel, cin, cout, stride in resnet_layers():
        block = 0 if name == "conv1" else int(name[1])
        side = RESNET["image"] // 2 if name == "conv1" else RESNET["image"] // 4 >> block
        if name.endswith("_1") and stride == 1 and block > 0 and name[2:4] == "b0":
            side *= 2  # before the stride of the block's second convolution
        total += kernel * kernel * cin * cout * side * side
    return total


def _lenet_products():
    return 28 * 28 * 25 * 32 + 14 * 14 * 25 * 32 * 64 + 3136 * 1024 + 1024 * 10


def _bert_products():
    """Multiplications for one sequence: projections, the feed-forward layers, scores and their sums."""
    h, f, s = BERT["hidden"], BERT["ff"], BERT["seq"]
    return BERT["layers"] * (s * (4 * h * h + 2 * h * f) + 2 * s * s * h)


def flops():
    """Floating-point operations of one run, by workload: two for each multiplication of products and convolutions as they
    are defined. A step of training counts three times the pass forward."""
    result = {"matmul_%d" % n: 2 * n ** 3 for n in MATMUL}
    layers = MLP["layers"]
    result["mlp_train"] = 3 * 2 * MLP["batch"] * sum(a * b for a, b in zip(layers, layers[1:]))
    result["lenet_train"] = 3 * 2 * LENET["batch"] * _lenet_products()
    result["lenet_infer_b128"] = 2 * LENET["batch"] * _lenet_products()
    gates = (LSTM["inputs"] + LSTM["hidden"]) * 4 * LSTM["hidden"]
    result["lstm_train"] = 3 * 2 * LSTM["seq"] * LSTM["batch"] * gates
    for batch in (1, 8):
        result["resnet50_infer_b%d" % batch] = 2 * batch * _resnet_products()
        result["bert_base_infer_b%d" % batch] = 2 * batch * _bert_products()
    result["resnet50_train_b8"] = 3 * 2 * 8 * _resnet_products()
    return result


def traffic():
    """Bytes that one run reads and writes at least, by workload, where memory is what limits it."""
    return {"fused_elementwise": 8 * ELEMENTS, "softmax_rows": 8 * ROWS * COLS, "layernorm": 8 * ROWS * COLS}


def operations():
    """Operations of the graph, by workload, where their number is what matters."""
    return {"overhead_chain": CHAIN, "overhead_wide": WIDE + 1}
