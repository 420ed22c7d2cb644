"""PyTorch, eager."""
import math

import workloads as W

args = W.parse()
import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(args.threads)
CL = torch.channels_last


def T(a):
    return torch.from_numpy(np.ascontiguousarray(a))


def labels(a):
    return T(a).long()


def image(a):  # NHWC array -> NCHW view in channels_last memory: no copy
    return T(a).permute(0, 3, 1, 2)


def kernel(a):  # HWIO -> OIHW
    return T(a.transpose(3, 2, 0, 1)).contiguous(memory_format=CL)


class Model(torch.nn.Module):
    """A dict of arrays as parameters."""

    def __init__(self, fn, p, trainable=False):
        super().__init__()
        self.fn = fn
        self.names = list(p)
        for k, v in p.items():
            t = v if isinstance(v, torch.Tensor) else T(v).clone()
            if t.is_floating_point() and not k.endswith(("_m", "_v")):
                self.register_parameter("w_" + k, torch.nn.Parameter(t, requires_grad=trainable))
            else:
                self.register_buffer("w_" + k, t)

    def forward(self, *a):
        return self.fn({k: getattr(self, "w_" + k) for k in self.names}, *a)


def forward(fn, feeds, params={}, wrap=T):
    W.start_clock()
    m = Model(fn, params).eval()

    def run():
        with torch.no_grad():
            return m(*[wrap(a) for a in feeds])
    return run, lambda: W.checksum(run().numpy())


def train(loss_fn, opt, params, batches, wrap=T, check_steps=10):
    feed = W.Feed(batches)
    W.start_clock()
    m = Model(loss_fn, params, True).train()
    o = opt([p for p in m.parameters()])

    def step():
        x, y = feed()
        o.zero_grad(set_to_none=True)
        loss = m(wrap(x), labels(y))
        loss.backward()
        o.step()
        return loss.item()
    return step, W.training_check(step, check_steps)


def overhead_chain():
    x, c = W.overhead_data()
    c = [T(v) for v in c]

    def f(p, x):
        for i, k in enumerate(c):
            x = x + k if i % 3 == 0 else x * k if i % 3 == 1 else torch.tanh(x)
        return x
    return forward(f, [x])


def overhead_wide():
    x, c = W.wide_data()
    c = [T(v) for v in c]

    def f(p, x):
        t = [torch.maximum(x, k) if i % 2 else torch.minimum(x, k) for i, k in enumerate(c)]
        s = t[0]
        for v in t[1:]:
            s = s + v
        return s
    return forward(f, [x])


def fused_elementwise():
    return forward(lambda p, x: torch.tanh(W.A * x + W.B) * torch.sigmoid(x) + torch.exp(-x * x),
                   [W.elementwise_data()])


def softmax_rows():
    return forward(lambda p, x: torch.softmax(x, -1), [W.rows_data()[0]])


def layernorm():
    return forward(lambda p, x, g, b: F.layer_norm(x, (W.COLS,), g, b, W.LN_EPS), W.rows_data())


def matmul(n):
    return forward(lambda p, a, b: a @ b, W.matmul_data(n))


def mlp_train():
    p, d = W.mlp_data()
    n = len(p) // 2
    q = {"p%d" % i: v for i, v in enumerate(p)}

    def loss(q, x, y):
        for i in range(n):
            x = torch.addmm(q["p%d" % (2 * i + 1)], x, q["p%d" % (2 * i)])
            if i < n - 1:
                x = F.relu(x)
        return F.cross_entropy(x, y)
    return train(loss, lambda ps: torch.optim.SGD(ps, lr=W.MLP["lr"]), q, d)


def lenet_params():
    p, d = W.lenet_data()
    return {k: kernel(v) if v.ndim == 4 else T(v.copy()) for k, v in p.items()}, d


def lenet(p, x):
    for k in ("c1", "c2"):
        x = F.max_pool2d(F.relu(F.conv2d(x, p[k + "w"], p[k + "b"], padding=2)), 2)
    x = x.permute(0, 2, 3, 1).reshape(x.shape[0], 3136)
    return torch.addmm(p["f2b"], F.relu(torch.addmm(p["f1b"], x, p["f1w"])), p["f2w"])


def lenet_train():
    p, d = lenet_params()
    c = W.LENET
    opt = lambda ps: torch.optim.Adam(ps, lr=c["lr"], betas=(c["b1"], c["b2"]), eps=c["eps"])
    return train(lambda p, x, y: F.cross_entropy(lenet(p, x), y), opt, p, d, image, check_steps=3)


def lenet_infer():
    p, d = lenet_params()
    return forward(lenet, [d[0][0]], p, image)


def lstm_train():
    p, d = W.lstm_data()
    H, I = W.LSTM["hidden"], W.LSTM["inputs"]
    rnn = torch.nn.LSTM(I, H)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(T(p["wx"].T))
        rnn.weight_hh_l0.copy_(T(p["wh"].T))
        rnn.bias_ih_l0.copy_(T(p["b"]))
        rnn.bias_hh_l0.zero_()
    rnn.bias_hh_l0.requires_grad_(False)  # one bias, as in the other programs
    feed = W.Feed(d)
    W.start_clock()
    wo, bo = T(p["wo"].copy()).requires_grad_(), T(p["bo"].copy()).requires_grad_()
    o = torch.optim.SGD([q for q in rnn.parameters() if q.requires_grad] + [wo, bo], lr=W.LSTM["lr"])

    def loss_fn(x, y):
        h = rnn(x)[0][-1]
        return F.cross_entropy(torch.addmm(bo, h, wo), y)

    def step():
        x, y = feed()
        o.zero_grad(set_to_none=True)
        loss = loss_fn(T(x), labels(y))
        loss.backward()
        o.step()
        return loss.item()
    return step, W.training_check(step)


def resnet_params():
    return {k: kernel(v) if v.ndim == 4 else T(v.copy()) for k, v in W.resnet_params().items()}


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


def resnet50_infer(b):
    return forward(resnet50, [W.resnet_input(b)[0]], resnet_params(), image)


def resnet50_train_b8():
    r = W.RESNET
    opt = lambda ps: torch.optim.SGD(ps, lr=r["lr"], momentum=r["momentum"])
    return train(lambda p, x, y: F.cross_entropy(resnet50(p, x, True), y), opt, resnet_params(),
                 [W.resnet_input(8)], image, check_steps=3)


def bert(p, ids, seg, mask):
    S, H, N = W.BERT["seq"], W.BERT["hidden"], W.BERT["heads"]
    D, eps, Bt = H // N, W.BERT["ln_eps"], ids.shape[0]
    ln = lambda x, n: F.layer_norm(x, (H,), p[n + "_g"], p[n + "_b"], eps)
    x = F.embedding(ids, p["word"]) + F.embedding(seg, p["type"]) + p["pos"][:S]
    x = ln(x, "ln").reshape(Bt * S, H)
    adder = (1.0 - mask.reshape(Bt, 1, 1, S).float()) * -10000.0
    for i in range(W.BERT["layers"]):
        k = "l%d_" % i
        dense = lambda x, n: F.linear(x, p[k + n + "w"], p[k + n + "b"])
        heads = lambda n: dense(x, n).view(Bt, S, N, D).transpose(1, 2)
        c = F.scaled_dot_product_attention(heads("q"), heads("k"), heads("v"), attn_mask=adder)
        x = ln(dense(c.transpose(1, 2).reshape(Bt * S, H), "o") + x, k + "ln1")
        x = ln(dense(F.gelu(dense(x, "f1")), "f2") + x, k + "ln2")
    return x.view(Bt, S, H)


def bert_base_infer(b):
    # nn.Linear's layout [out, in]
    p = {k: T(v.T) if v.ndim == 2 and k.startswith("l") and k.endswith("w") else T(v)
         for k, v in W.bert_params().items()}
    return forward(bert, list(W.bert_input(b)), p)


REG = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
           softmax_rows=softmax_rows, layernorm=layernorm, mlp_train=mlp_train, lenet_train=lenet_train,
           lstm_train=lstm_train, resnet50_train_b8=resnet50_train_b8, lenet_infer_b128=lenet_infer)
for n in W.MATMUL:
    REG["matmul_%d" % n] = lambda n=n: matmul(n)
for b in (1, 8):
    REG["resnet50_infer_b%d" % b] = lambda b=b: resnet50_infer(b)
    REG["bert_base_infer_b%d" % b] = lambda b=b: bert_base_infer(b)

if __name__ == "__main__":
    raise SystemExit(W.main("torch-eager", torch.__version__, REG))
