#!/usr/bin/env python3
"""Writes what PyTorch computes for layers of recurrent networks, and its gradients.

    python3 Scripts/golden/recurrent.py > Tests/Fixtures/Operations/recurrent.json

Needs the PyPI package torch. What PyTorch does not have, a reset gate before the product, is written here in its operations.
With onnx and onnxruntime as well, `--check FILE` compares the file's results with those of ONNX Runtime.
"""

import json
import sys

import numpy as np

gates = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}
sizes = [(3, 2, 3, 2, 1), (4, 3, 2, 3, 2), (1, 1, 1, 2, 1), (2, 2, 1, 1, 2)]


def encoded(array):
    array = np.asarray(array)
    return {"type": array.dtype.name, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def reset_before(x, w, r, b, h):
    """A direction of a gated recurrent unit as first published."""
    import torch

    n = h.shape[1]
    results = []
    for step in x:
        inputs = step @ w.T + b[0] + b[1]
        products = h @ r[: 2 * n].T
        reset = torch.sigmoid(inputs[:, :n] + products[:, :n])
        update = torch.sigmoid(inputs[:, n : 2 * n] + products[:, n:])
        candidate = torch.tanh(inputs[:, 2 * n :] + (reset * h) @ r[2 * n :].T)
        h = (1 - update) * candidate + update * h
        results.append(h)
    return torch.stack(results), h


def layer(cell, x, w, r, b, states):
    import torch

    directions = w.shape[0]
    if cell == "gru_reset_before":
        parts = [reset_before(x if d == 0 else x.flip(0), w[d], r[d], b[d], states[0][d]) for d in range(directions)]
        y = torch.cat([y if d == 0 else y.flip(0) for d, (y, _) in enumerate(parts)], 2)
        return [y, torch.stack([last for _, last in parts])]
    names = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN}
    options = {"nonlinearity": cell[4:]} if cell.startswith("rnn") else {}
    module = names[cell](x.shape[2], r.shape[2], bidirectional=directions == 2, dtype=torch.float64, **options)
    parameters = {}
    for d, suffix in enumerate(["", "_reverse"][:directions]):
        for name, value in [("weight_ih", w[d]), ("weight_hh", r[d]), ("bias_ih", b[d, 0]), ("bias_hh", b[d, 1])]:
            parameters[f"{name}_l0{suffix}"] = value
    initial = tuple(states) if cell == "lstm" else states[0]
    y, last = torch.func.functional_call(module, parameters, (x, initial))
    return [y] + (list(last) if cell == "lstm" else [last])


def cases():
    import torch

    random = np.random.RandomState(7)

    def numbers(*shape):
        return np.round(random.uniform(-1, 1, shape), 3)

    for cell in gates:
        for steps, batch, inputs, hidden, directions in sizes:
            rows = gates[cell] * hidden
            operands = [
                numbers(steps, batch, inputs), numbers(directions, rows, inputs), numbers(directions, rows, hidden),
                numbers(directions, 2, rows),
            ] + [numbers(directions, batch, hidden) for _ in range(2 if cell == "lstm" else 1)]
            tensors = [torch.tensor(a, requires_grad=True) for a in operands]
            results = layer(cell, *tensors[:4], tensors[4:])
            upstream = [numbers(*r.shape) for r in results]
            found = torch.autograd.grad(results, tensors, [torch.tensor(u) for u in upstream])
            yield {
                "operation": "_RecurrentLayer",
                "attributes": {"cell": {"string": cell}},
                "operands": [encoded(a) for a in operands],
                "results": [encoded(r.detach().numpy()) for r in results],
                "upstream": [encoded(u) for u in upstream],
                "gradients": [encoded(g.numpy()) for g in found],
            }


def check(path):
    """Compares a file's results with ONNX Runtime's."""
    import onnxruntime
    from onnx import TensorProto, helper

    names = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
    # ONNX has the gates of an LSTM in the order i, o, f, c, and those of a GRU in the order z, r, h.
    orders = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}
    largest = 0
    for record in json.load(open(path)):
        cell = record["attributes"]["cell"]["string"]
        operation = names[cell]
        x, w, r, b, *states = [np.array(a["values"], np.float32).reshape(a["shape"]) for a in record["operands"]]
        directions, hidden = w.shape[0], r.shape[2]

        def ordered(array, axis):
            blocks = np.split(array, gates[cell], axis)
            return np.concatenate([blocks[i] for i in orders[operation]], axis)

        feeds = {
            "x": x, "w": ordered(w, 1), "r": ordered(r, 1), "b": ordered(b, 2).reshape(directions, -1),
            **{f"s{i}": s for i, s in enumerate(states)},
        }
        attributes = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
        if operation == "GRU":
            attributes["linear_before_reset"] = int(cell == "gru")
        if operation == "RNN":
            attributes["activations"] = [cell[4:].capitalize()] * directions
        outputs = ["y"] + [f"l{i}" for i in range(len(states))]
        inputs = ["x", "w", "r", "b", ""] + [f"s{i}" for i in range(len(states))]
        graph = helper.make_graph(
            [helper.make_node(operation, inputs, outputs, **attributes)], "layer",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in feeds.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        found = session.run(None, feeds)
        # ONNX has y as [steps, directions, batch, hidden].
        found[0] = found[0].transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[1], -1)
        for result, value in zip(record["results"], found):
            wanted = np.array(result["values"]).reshape(result["shape"])
            largest = max(largest, np.abs(wanted - value).max())
    print(f"the largest difference is {largest:.2g}")
    return largest < 2e-6


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(0 if check(sys.argv[2]) else 1)
    print("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases()) + "]")
