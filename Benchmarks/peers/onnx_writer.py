"""Writes a workload as an ONNX model, in the operations that exporters of trained models use: `onnx_writer.py NAME FILE`."""
import math
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_models
import workloads as W

TYPES = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


class Writer:
    """A graph of ONNX, written from its inputs to its result."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = "c%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operation, *inputs, **attributes):
        """Adds a node, with arrays among its inputs as constants, and gives its result's name."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = "t%d" % len(self.nodes)
        self.nodes.append(helper.make_node(operation, names, [output], **attributes))
        return output

    def save(self, path, feeds, result, shape):
        inputs = [helper.make_tensor_value_info(n, TYPES[str(a.dtype)], a.shape) for n, a in feeds.items()]
        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "workload", inputs, [output], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def overhead_chain(w):
    x, constants = W.overhead_data()
    result = "x"
    for i, c in enumerate(constants):
        result = w.add("Tanh", result) if i % 3 == 2 else w.add("Add" if i % 3 == 0 else "Mul", result, c)
    return result, x.shape


def overhead_wide(w):
    x, constants = W.wide_data()
    return w.add("Sum", *[w.add("Max" if i % 2 else "Min", "x", c) for i, c in enumerate(constants)]), x.shape


def fused_elementwise(w):
    tanh = w.add("Tanh", w.add("Add", w.add("Mul", "x", np.float32(W.A)), np.float32(W.B)))
    gauss = w.add("Exp", w.add("Mul", w.add("Neg", "x"), "x"))
    return w.add("Add", w.add("Mul", tanh, w.add("Sigmoid", "x")), gauss), [W.ELEMENTS]


def softmax_rows(w):
    return w.add("Softmax", "x", axis=-1), [W.ROWS, W.COLS]


def layernorm(w):
    _, scale, offset = W.rows_data()
    return layer_norm(w, "x", scale, offset, W.LN_EPS), [W.ROWS, W.COLS]


def layer_norm(w, x, scale, offset, epsilon):
    return w.add("LayerNormalization", x, scale, offset, axis=-1, epsilon=epsilon)


def matmul(w, n):
    return w.add("MatMul", "a", "b"), [n, n]


def kernel(a):
    """HWIO -> OIHW."""
    return a.transpose(3, 2, 0, 1)


def lenet(w):
    p, _ = W.lenet_data()
    x = "x"
    for k in ("c1", "c2"):
        x = w.add("Relu", w.add("Conv", x, kernel(p[k + "w"]), p[k + "b"], kernel_shape=[5, 5], pads=[2] * 4))
        x = w.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    # The matrix's rows are in the order height, width, channel.
    rows = p["f1w"].reshape(7, 7, 64, 1024).transpose(2, 0, 1, 3).reshape(3136, 1024)
    x = w.add("Relu", w.add("Gemm", w.add("Flatten", x), rows, p["f1b"]))
    return w.add("Gemm", x, p["f2w"], p["f2b"]), [W.LENET["batch"], 10]


def resnet50(w, batch):
    p = W.resnet_params()
    layers = {layer[0]: layer for layer in W.resnet_layers()}

    def convolution(x, name, relu):
        _, size, _, _, stride = layers[name]
        x = w.add("Conv", x, kernel(p[name + "_w"]), kernel_shape=[size] * 2, strides=[stride] * 2,
                  pads=[size // 2] * 4)
        x = w.add("BatchNormalization", x, *[p[name + suffix] for suffix in ("_g", "_b", "_m", "_v")],
                  epsilon=W.RESNET["bn_eps"])
        return w.add("Relu", x) if relu else x

    x = w.add("MaxPool", convolution("x", "conv1", True), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, blocks in enumerate(W.RESNET_BLOCKS):
        for block in range(blocks):
            k = "s%db%d" % (stage, block)
            short = convolution(x, k + "_proj", False) if block == 0 else x
            y = convolution(convolution(convolution(x, k + "_1", True), k + "_2", True), k + "_3", False)
            x = w.add("Relu", w.add("Add", y, short))
    x = w.add("Flatten", w.add("GlobalAveragePool", x))
    return w.add("Gemm", x, p["fc_w"], p["fc_b"]), [batch, W.RESNET["classes"]]


def bert(w, batch):
    p = W.bert_params()
    sequence, hidden, heads = W.BERT["seq"], W.BERT["hidden"], W.BERT["heads"]
    width, epsilon = hidden // heads, W.BERT["ln_eps"]

    def dense(x, name):
        return w.add("Add", w.add("MatMul", x, p[name + "w"]), p[name + "b"])

    def normalised(x, name):
        return layer_norm(w, x, p[name + "_g"], p[name + "_b"], epsilon)

    def split(x, order):
        return w.add("Transpose", w.add("Reshape", x, np.array([0, 0, heads, width])), perm=order)

    mask = w.add("Cast", w.add("Unsqueeze", "mask", np.array([1, 2])), to=TensorProto.FLOAT)
    adder = w.add("Mul", w.add("Sub", np.float32(1), mask), np.float32(-10000))
    words = w.add("Add", w.add("Gather", p["word"], "ids"), w.add("Gather", p["type"], "segments"))
    x = normalised(w.add("Add", words, p["pos"][:sequence]), "ln")
    for layer in range(W.BERT["layers"]):
        k = "l%d_" % layer
        query, key, value = (split(dense(x, k + n), order)
                             for n, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])))
        scores = w.add("Div", w.add("MatMul", query, key), np.float32(math.sqrt(width)))
        weights = w.add("Softmax", w.add("Add", scores, adder), axis=-1)
        context = w.add("Transpose", w.add("MatMul", weights, value), perm=[0, 2, 1, 3])
        context = w.add("Reshape", context, np.array([0, 0, hidden]))
        x = normalised(w.add("Add", dense(context, k + "o"), x), k + "ln1")
        y = dense(x, k + "f1")
        erf = w.add("Erf", w.add("Div", y, np.float32(math.sqrt(2))))
        gelu = w.add("Mul", w.add("Mul", y, w.add("Add", erf, np.float32(1))), np.float32(0.5))
        x = normalised(w.add("Add", dense(gelu, k + "f2"), x), k + "ln2")
    return x, [batch, sequence, hidden]


WRITERS = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
               softmax_rows=softmax_rows, layernorm=layernorm, lenet_infer_b128=lenet)
for n in W.MATMUL:
    WRITERS["matmul_%d" % n] = lambda w, n=n: matmul(w, n)
for b in (1, 8):
    WRITERS["resnet50_infer_b%d" % b] = lambda w, b=b: resnet50(w, b)
    WRITERS["bert_base_infer_b%d" % b] = lambda w, b=b: bert(w, b)

if __name__ == "__main__":
    name, path = sys.argv[1:]
    writer = Writer()
    result, shape = WRITERS[name](writer)
    writer.save(path, onnx_models.FEEDS[name](), result, shape)
