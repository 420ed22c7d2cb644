"""The workloads' models in PyTorch. Every function takes parameters by name, and tensors."""
import numpy as np
import torch
import torch.nn.functional as F

import torch_device
import workloads as W

CL = torch.channels_last


def T(a):
    return torch.from_numpy(np.ascontiguousarray(a)).to(torch_device.name)


def labels(a):
    return T(a).long()


def image(a):  # NHWC array -> NCHW view in channels_last memory: no copy
    return T(a).permute(0, 3, 1, 2)


def kernel(a):  # HWIO -> OIHW
    return T(a.transpose(3, 2, 0, 1)).contiguous(memory_format=CL)


def chain(constants, x):
    for i, k in enumerate(constants):
        x = x + k if i % 3 == 0 else x * k if i % 3 == 1 else torch.tanh(x)
    return x


def wide(constants, x):
    terms = [torch.maximum(x, k) if i % 2 else torch.minimum(x, k) for i, k in enumerate(constants)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def elementwise(x):
    return torch.tanh(W.A * x + W.B) * torch.sigmoid(x) + torch.exp(-x * x)


def mlp(p, x):
    n = len(p) // 2
    for i in range(n):
        x = torch.addmm(p["p%d" % (2 * i + 1)], x, p["p%d" % (2 * i)])
        if i < n - 1:
            x = F.relu(x)
    return x


def parameters(arrays):
    return {k: kernel(v) if v.ndim == 4 else T(v.copy()) for k, v in arrays.items()}


def lenet(p, x):
    for k in ("c1", "c2"):
        x = F.max_pool2d(F.relu(F.conv2d(x, p[k + "w"], p[k + "b"], padding=2)), 2)
    x = x.permute(0, 2, 3, 1).reshape(x.shape[0], 3136)
    return torch.addmm(p["f2b"], F.relu(torch.addmm(p["f1b"], x, p["f1w"])), p["f2w"])


def resnet50(p, x, training=False):
    eps, mom = W.RESNET["bn_eps"], 1 - W.RESNET["bn_momentum"]
    layers = {l[0]: l for l in W.resnet_layers()}

    def conv(x, n, relu):
        _, k, _, _, s = layers[n]
        x = F.conv2d(x, p[n + "_w"], None, s, k // 2)
        x = F.batch_norm(x, p[n + "_m"], p[n + "_v"], p[n + "_g"], p[n + "_b"], training, mom, eps)
        return F.relu(x) if relu else x

    x = F.max_pool2d(conv(x, "conv1", True), 3, 2, 1)
    for s, nb in enumerate(W.RESNET_BLOCKS):
        for b in range(nb):
            k = "s%db%d" % (s, b)
            short = conv(x, k + "_proj", False) if b == 0 else x
            y = conv(conv(conv(x, k + "_1", True), k + "_2", True), k + "_3", False)
            x = F.relu(y + short)
    return torch.addmm(p["fc_b"], x.mean((2, 3)), p["fc_w"])


def bert(p, ids, seg, mask):
    S, H, N = W.BERT["seq"], W.BERT["hidden"], W.BERT["heads"]
    D, eps, Bt = H // N, W.BERT["ln_eps"], ids.shape[0]
    ln = lambda x, n: F.layer_norm(x, (H,), p[n + "_g"], p[n + "_b"], eps)
    x = F.embedding(ids, p["word"]) + F.embedding(seg, p["type"]) + p["pos"][:S]
    x = ln(x, "ln").reshape(Bt * S, H)
    adder = (1.0 - mask.reshape(Bt, 1, 1, S).to(x.dtype)) * -10000.0
    for i in range(W.BERT["layers"]):
        k = "l%d_" % i
        dense = lambda x, n: F.linear(x, p[k + n + "w"], p[k + n + "b"])
        heads = lambda n: dense(x, n).view(Bt, S, N, D).transpose(1, 2)
        c = F.scaled_dot_product_attention(heads("q"), heads("k"), heads("v"), attn_mask=adder)
        x = ln(dense(c.transpose(1, 2).reshape(Bt * S, H), "o") + x, k + "ln1")
        x = ln(dense(F.gelu(dense(x, "f1")), "f2") + x, k + "ln2")
    return x.view(Bt, S, H)


def bert_params():
    """As `torch.nn.Linear` keeps them: [outputs, inputs]."""
    return {k: T(v.T) if v.ndim == 2 and k.startswith("l") and k.endswith("w") else T(v)
            for k, v in W.bert_params().items()}


class LSTM(torch.nn.Module):
    """The loss of a classifier on the last state of `torch.nn.LSTM`, with one bias, as in the other programs."""

    def __init__(self, p):
        super().__init__()
        self.cells = torch.nn.LSTM(W.LSTM["inputs"], W.LSTM["hidden"]).to(torch_device.name)
        with torch.no_grad():
            self.cells.weight_ih_l0.copy_(T(p["wx"].T))
            self.cells.weight_hh_l0.copy_(T(p["wh"].T))
            self.cells.bias_ih_l0.copy_(T(p["b"]))
            self.cells.bias_hh_l0.zero_()
        self.cells.bias_hh_l0.requires_grad_(False)
        self.weight = torch.nn.Parameter(T(p["wo"].copy()))
        self.bias = torch.nn.Parameter(T(p["bo"].copy()))

    def forward(self, x, y):
        states, _ = self.cells(x)
        return F.cross_entropy(torch.addmm(self.bias, states[-1], self.weight), y)
