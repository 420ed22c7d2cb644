"""Cases for the golden files of operations: what TensorFlow computes for an operation, and its gradients."""

import inspect
import json
import math

import numpy as np
import tensorflow as tf

random = np.random.RandomState(20240602)
cases = []


def floats(*shape, dtype="float64"):
    """Numbers with few digits, so that sums of products are exact and the file is small."""
    return (random.randint(-24, 25, shape) / 8).astype(dtype)


def positive(*shape, dtype="float64"):
    return (random.randint(1, 25, shape) / 8).astype(dtype)


def number(value):
    """A number as JSON can hold it: NaN and the infinities as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def encoded(array):
    array = np.asarray(array)
    return {"type": array.dtype.name, "shape": list(array.shape), "values": [number(v) for v in array.reshape(-1).tolist()]}


def attribute(value):
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": value}
    if isinstance(value, float):
        return {"float": value}
    if isinstance(value, str):
        return {"string": value}
    if isinstance(value, tf.DType):
        return {"type": value.name}
    return {"ints": list(value)}


def case(operation, *operands, gradient=True, upstream=None, relative=None, function=None, **attributes):
    """Adds a case: operands in the order of the operation's schema, a list for a list of operands.

    `function` computes it where TensorFlow has no such operation.
    `upstream` tells which results get an upstream gradient other than zero; all by default.
    """
    flat = [np.asarray(a) for value in operands for a in (value if isinstance(value, list) else [value])]
    tensors = [tf.constant(a) for a in flat]
    function = function or getattr(tf.raw_ops, operation)
    names = list(inspect.signature(function).parameters)
    with tf.GradientTape(persistent=True) as tape:
        for t in tensors:
            if t.dtype.is_floating:
                tape.watch(t)
        arguments, i = {}, 0
        for name, value in zip(names, operands):
            if isinstance(value, list):
                arguments[name] = tensors[i : i + len(value)]
                i += len(value)
            else:
                arguments[name] = tensors[i]
                i += 1
        results = function(**arguments, **attributes)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
    record = {
        "operation": operation,
        "attributes": {k: attribute(v) for k, v in attributes.items()},
        "operands": [encoded(a) for a in flat],
        "results": [encoded(r.numpy()) for r in results],
    }
    if relative is not None:
        record["relative"] = relative
    if gradient and results and all(r.dtype.is_floating for r in results):
        weights = [
            floats(*r.shape, dtype=r.dtype.name) if upstream is None or i in upstream else np.zeros(r.shape, r.dtype.name)
            for i, r in enumerate(results)
        ]
        found = tape.gradient(results, tensors, output_gradients=[tf.constant(w) for w in weights])
        record["upstream"] = [encoded(w) for w in weights]
        record["gradients"] = [
            None if g is None or not t.dtype.is_floating else encoded(tf.convert_to_tensor(g).numpy())
            for g, t in zip(found, tensors)
        ]
    cases.append(record)


def write():
    print("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]")
