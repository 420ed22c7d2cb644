"""The workloads for PyTorch, eager or compiled: `registry(wrap)`, where `wrap` is applied to every model and, in training, to
the optimizer's step."""
import torch
import torch.nn.functional as F

import harness
import torch_device
import torch_models as M
import workloads as W


class Model(torch.nn.Module):
    """A function of parameters by name and of tensors, with the parameters as attributes."""

    def __init__(self, fn, parameters, trainable=False):
        super().__init__()
        self.fn = fn
        self.names = list(parameters)
        for name, value in parameters.items():
            tensor = value if isinstance(value, torch.Tensor) else M.T(value).clone()
            if name.endswith(("_m", "_v")):
                self.register_buffer("w_" + name, tensor)
            else:
                self.register_parameter("w_" + name, torch.nn.Parameter(tensor, requires_grad=trainable))

    def forward(self, *inputs):
        return self.fn({name: getattr(self, "w_" + name) for name in self.names}, *inputs)


def rounded_model(model, half):
    return model.bfloat16() if half else model


def registry(wrap):
    def forward(fn, feeds, params={}, convert=M.T, resident=(), half=False):
        """feeds: arrays given at every call, whose result comes back; resident: arrays that stay on the device, with it.
        half: parameters and resident arrays are in bfloat16, and feeds of floats are converted at every call."""
        harness.start_clock()
        rounded = lambda t: t.bfloat16() if half and t.is_floating_point() else t
        model = wrap(rounded_model(Model(fn, params), half).eval())
        operands = [rounded(M.T(a)) for a in resident]

        def run():
            with torch.no_grad():
                result = model(*[rounded(convert(a)) for a in feeds], *operands)
            if resident:
                torch_device.wait()
                return result
            return result.cpu()
        return run, lambda: W.checksum(run().float().cpu().numpy())

    def training(loss_fn, optimizer, batches, convert, check_steps):
        """loss_fn(examples, labels) -> loss, whose gradients `optimizer` applies."""
        feed = harness.Feed(batches)
        update = wrap(optimizer.step)

        def step():
            x, y = feed()
            optimizer.zero_grad(set_to_none=True)
            loss = loss_fn(convert(x), M.labels(y))
            loss.backward()
            update()
            return loss.item()
        return step, harness.training_check(step, check_steps)

    def train(logits, optimizer, params, batches, convert=M.T, check_steps=10, half=False):
        """half: products are in bfloat16, parameters and loss in float32."""
        harness.start_clock()

        def loss(p, x, y):
            with torch.autocast(torch_device.name, torch.bfloat16, enabled=half):
                outputs = logits(p, x)
            return F.cross_entropy(outputs.float(), y)
        model = Model(loss, params, True).train()
        return training(wrap(model), optimizer(model.parameters()), batches, convert, check_steps)

    def sgd(lr, **settings):
        return lambda parameters: torch.optim.SGD(parameters, lr=lr, fused=True, **settings)

    def adam(c):
        return lambda parameters: torch.optim.Adam(
            parameters, lr=c["lr"], betas=(c["b1"], c["b2"]), eps=c["eps"], fused=True)

    def overhead_chain():
        x, c = W.overhead_data()
        constants = [M.T(v) for v in c]
        return forward(lambda p, x: M.chain(constants, x), [x])

    def overhead_wide():
        x, c = W.wide_data()
        constants = [M.T(v) for v in c]
        return forward(lambda p, x: M.wide(constants, x), [x])

    def fused_elementwise():
        return forward(lambda p, x: M.elementwise(x), [], resident=[W.elementwise_data()])

    def softmax_rows():
        return forward(lambda p, x: torch.softmax(x, -1), [], resident=[W.rows_data()[0]])

    def layernorm():
        return forward(lambda p, x, g, b: F.layer_norm(x, (W.COLS,), g, b, W.LN_EPS), [],
                       resident=W.rows_data())

    def matmul(n, half=False):
        return forward(lambda p, a, b: a @ b, [], resident=W.matmul_data(n), half=half)

    def mlp_train(half=False):
        p, d = W.mlp_data()
        return train(M.mlp, sgd(W.MLP["lr"]), {"p%d" % i: v for i, v in enumerate(p)}, d, half=half)

    def lenet_train():
        p, d = W.lenet_data()
        return train(M.lenet, adam(W.LENET), M.parameters(p), d, M.image, check_steps=3)

    def lenet_infer():
        p, d = W.lenet_data()
        return forward(M.lenet, [d[0][0]], M.parameters(p), M.image)

    def lstm_train():
        p, d = W.lstm_data()
        harness.start_clock()
        model = M.LSTM(p)
        trained = [q for q in model.parameters() if q.requires_grad]
        return training(wrap(model), sgd(W.LSTM["lr"])(trained), d, M.T, 10)

    def resnet50_infer(batch, half=False):
        return forward(M.resnet50, [W.resnet_input(batch)[0]], M.parameters(W.resnet_params()), M.image, half=half)

    def resnet50_train_b8():
        r = W.RESNET
        return train(lambda p, x: M.resnet50(p, x, True), sgd(r["lr"], momentum=r["momentum"]),
                     M.parameters(W.resnet_params()), [W.resnet_input(8)], M.image, check_steps=3)

    def bert_base_infer(batch, half=False):
        return forward(M.bert, list(W.bert_input(batch)), M.bert_params(), half=half)

    result = dict(overhead_chain=overhead_chain, overhead_wide=overhead_wide, fused_elementwise=fused_elementwise,
                  softmax_rows=softmax_rows, layernorm=layernorm, mlp_train=mlp_train, lenet_train=lenet_train,
                  lenet_infer_b128=lenet_infer, lstm_train=lstm_train, resnet50_train_b8=resnet50_train_b8)
    result.update(matmul_4096_bf16=lambda: matmul(4096, True), mlp_train_bf16=lambda: mlp_train(True),
                  resnet50_infer_b8_bf16=lambda: resnet50_infer(8, True),
                  bert_base_infer_b8_bf16=lambda: bert_base_infer(8, True))
    for n in W.MATMUL:
        result["matmul_%d" % n] = lambda n=n: matmul(n)
    for batch in (1, 8):
        result["resnet50_infer_b%d" % batch] = lambda batch=batch: resnet50_infer(batch)
        result["bert_base_infer_b%d" % batch] = lambda batch=batch: bert_base_infer(batch)
    return result
