#!/usr/bin/env python3
"""Writes what TensorFlow computes for the array operations, as the expectations of Martlet's tests.

    python3 Scripts/golden/arrays.py > Tests/Fixtures/Operations/arrays.json

Needs the PyPI package tensorflow. Each case is an operation by its name with attributes, operands, results and, where
TensorFlow differentiates it, the gradients of the operands for given gradients of the results.
"""

import json
import sys

import numpy as np
import tensorflow as tf

random = np.random.RandomState(20240601)
cases = []


def floats(*shape, dtype="float32"):
    """Numbers with few digits, so that sums are exact and the file is small."""
    return (random.randint(-40, 40, shape) / 8).astype(dtype)


def counting(*shape, dtype="float32"):
    return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)


def ints(*values, dtype="int32"):
    return np.array(values, dtype=dtype)


def scalar(value, dtype="int32"):
    return np.array(value, dtype=dtype)


def encoded(array):
    array = np.asarray(array)
    return {"type": array.dtype.name, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def attribute(value):
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": value}
    if isinstance(value, tf.DType):
        return {"type": value.name}
    return {"ints": list(value)}


def case(operation, operands, gradient=True, **attributes):
    """Adds a case: `operands` are (name, array) pairs, or (name, [arrays]) for a list, in the order of the schema."""
    function = getattr(tf.raw_ops, operation)
    flat = [a for _, value in operands for a in (value if isinstance(value, list) else [value])]
    tensors = [tf.constant(a) for a in flat]
    with tf.GradientTape(persistent=True) as tape:
        for t in tensors:
            if t.dtype.is_floating:
                tape.watch(t)
        arguments, i = {}, 0
        for name, value in operands:
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
    if gradient and results and all(r.dtype.is_floating for r in results):
        upstream = [floats(*r.shape, dtype=r.dtype.name) for r in results]
        found = tape.gradient(results, tensors, output_gradients=[tf.constant(u) for u in upstream])
        record["upstream"] = [encoded(u) for u in upstream]
        record["gradients"] = [
            None if g is None or not t.dtype.is_floating else encoded(tf.convert_to_tensor(g).numpy())
            for g, t in zip(found, tensors)
        ]
    cases.append(record)


# Shapes
x = counting(2, 3, 4)
for target in ([6, 4], [-1], [2, -1, 2], [4, 3, 2], [1, 2, 1, 12], [3, 8], [8, 3], [2, 12]):
    case("Reshape", [("tensor", x), ("shape", ints(*target))])
case("Reshape", [("tensor", counting(1)), ("shape", ints(dtype="int64"))])
case("Reshape", [("tensor", counting(0, 3)), ("shape", ints(3, -1))])
case("Reshape", [("tensor", ints(4, 5, 6, 7)), ("shape", ints(2, -1, dtype="int64"))])
case("Reshape", [("tensor", counting(6, 10)), ("shape", ints(4, 15))])
for axis in (0, 1, 3, -1, -4):
    case("ExpandDims", [("input", x), ("axis", scalar(axis))])
case("Squeeze", [("input", counting(1, 3, 1, 2))], axis=[])
case("Squeeze", [("input", counting(1, 3, 1, 2))], axis=[-2])
case("Squeeze", [("input", counting(1, 3, 1, 2))], axis=[0, 2])
for permutation in ([2, 0, 1], [0, 2, 1], [2, 1, 0], [0, 1, 2], [-1, 0, 1]):
    if -1 not in permutation:
        case("Transpose", [("x", x), ("perm", ints(*permutation))])
case("Transpose", [("x", np.float32(3)), ("perm", ints())])
case("Transpose", [("x", counting(2, 0, 3)), ("perm", ints(1, 2, 0))])
case("InvertPermutation", [("x", ints(2, 0, 3, 1))])
case("InvertPermutation", [("x", ints(1, 0, dtype="int64"))])
for t in (tf.int32, tf.int64):
    case("Shape", [("input", x)], out_type=t)
    case("Size", [("input", x)], out_type=t)
case("Rank", [("input", x)])
case("Shape", [("input", np.float32(1))])
case("Size", [("input", counting(3, 0))])

# Joining and cutting
for axis in (0, 1, -1):
    shapes = {0: [(2, 3), (1, 3), (4, 3)], 1: [(2, 1), (2, 4)], -1: [(2, 2), (2, 0), (2, 3)]}[axis]
    case("ConcatV2", [("values", [floats(*s) for s in shapes]), ("axis", scalar(axis))])
case("ConcatV2", [("values", [floats(2, 1, 3), floats(2, 2, 3)]), ("axis", scalar(-2, "int64"))])
case("ConcatV2", [("values", [ints(1, 2), ints(3), ints()]), ("axis", scalar(0))])
case("ConcatV2", [("values", [np.array([True, False]), np.array([True])]), ("axis", scalar(0))])
case("ConcatV2", [("values", [floats(2, 2) for _ in range(40)]), ("axis", scalar(1))])
case("Split", [("axis", scalar(1)), ("value", floats(2, 6))], num_split=3)
case("Split", [("axis", scalar(-2)), ("value", floats(4, 2))], num_split=2)
case("Split", [("axis", scalar(0)), ("value", ints(1, 2, 3, 4))], num_split=4)
case("SplitV", [("value", floats(6, 2)), ("size_splits", ints(1, 3, 2)), ("axis", scalar(0))], num_split=3)
case("SplitV", [("value", floats(2, 6)), ("size_splits", ints(1, -1, 0, dtype="int64")), ("axis", scalar(-1))], num_split=3)
for axis in (0, 1, -1, -3):
    case("Pack", [("values", [floats(2, 3) for _ in range(3)])], axis=axis)
case("Pack", [("values", [scalar(4), scalar(5)])], axis=0)
case("Pack", [("values", [floats(2) for _ in range(35)])], axis=1)
for axis in (0, 1, -1):
    case("Unpack", [("value", floats(2, 2, 2))], num=2, axis=axis)
case("Unpack", [("value", ints(5, 6, 7))], num=3, axis=0)
case("Slice", [("input", x), ("begin", ints(0, 1, 2)), ("size", ints(1, -1, 2))])
case("Slice", [("input", x), ("begin", ints(1, 0, 4, dtype="int64")), ("size", ints(1, 3, 0, dtype="int64"))])
case("Slice", [("input", ints(4, 5, 6, 7)), ("begin", ints(1)), ("size", ints(2))])

# Strided slices: NumPy's own slicing gives the masks.
MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def strided(array, *key, dtype="int32"):
    begin, end, strides, masks = [], [], [], dict.fromkeys(MASKS, 0)
    for i, k in enumerate(key):
        b, e, s = 0, 0, 1
        if k is Ellipsis:
            masks["ellipsis_mask"] |= 1 << i
        elif k is None:
            masks["new_axis_mask"] |= 1 << i
        elif isinstance(k, slice):
            b, e, s = k.start, k.stop, k.step or 1
            if b is None:
                masks["begin_mask"] |= 1 << i
            if e is None:
                masks["end_mask"] |= 1 << i
            b, e = b or 0, e or 0
        else:
            b, e = k, k + 1
            masks["shrink_axis_mask"] |= 1 << i
        begin.append(b)
        end.append(e)
        strides.append(s)
    operands = [("input", array), ("begin", ints(*begin, dtype=dtype)), ("end", ints(*end, dtype=dtype))]
    before = len(cases)
    case("StridedSlice", operands + [("strides", ints(*strides, dtype=dtype))], **masks)
    assert np.array_equal(np.array(cases[before]["results"][0]["values"]), array[key].reshape(-1))


v, y = counting(7), counting(3, 4, 5)
for key in (
    [slice(2, 5)], [slice(None, None, 2)], [slice(None, None, -1)], [slice(-3, None)], [slice(None, -2)],
    [slice(1, -1)], [slice(5, 1, -2)], [slice(10, None)], [slice(-20, 3)], [slice(20, None, -3)], [slice(4, 2)],
    [slice(-1, -5, -1)], [slice(None, -3, -1)], [3], [-1], [slice(1, 100)], [None], [Ellipsis, None],
):  # fmt: skip
    strided(v, *key)
for key in (
    [1], [slice(1, 3)], [0, slice(None), slice(1, None, 2)], [Ellipsis, 0], [Ellipsis, slice(1, 3)], [None, Ellipsis, None],
    [slice(None), None, 2, slice(None, None, -2)], [0, Ellipsis, -1], [-1, -1, -1], [slice(0, 0)],
    [slice(None, None, -1), slice(None, None, -1), slice(None, None, -1)], [slice(1, None), Ellipsis, slice(None, -1)],
    [0, None, Ellipsis, None, slice(0, 2)], [Ellipsis], [slice(2, 0, -1), 1],
):  # fmt: skip
    strided(y, *key)
strided(ints(4, 5, 6, 7), slice(1, 3))
strided(ints(4, 5, 6, 7), -2, dtype="int64")
strided(ints(4, 5, 6, 7), slice(None, None, -1))
case(
    "StridedSliceGrad",
    [
        ("shape", ints(3, 5)), ("begin", ints(2, 1)), ("end", ints(0, 5)), ("strides", ints(-1, 2)), ("dy", floats(2, 2)),
    ],
    gradient=False, begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
)  # fmt: skip

# Padding and repeating
pads = np.array([[1, 0], [0, 2], [1, 1]], dtype="int32")
case("Pad", [("input", counting(2, 1, 3)), ("paddings", pads)])
case("Pad", [("input", counting(2, 3)), ("paddings", np.zeros((2, 2), "int64"))])
case("Pad", [("input", np.array([True, False])), ("paddings", ints([1, 2]))])
case("Pad", [("input", counting(0, 2)), ("paddings", ints([1, 1], [0, 1]))])
case("PadV2", [("input", counting(2, 1, 3)), ("paddings", pads), ("constant_values", np.float32(-1.5))], gradient=False)
case("PadV2", [("input", ints(4, 5)), ("paddings", ints([2, 1])), ("constant_values", scalar(9))])
case("Tile", [("input", counting(2, 3)), ("multiples", ints(2, 1))])
case("Tile", [("input", counting(2, 1, 3)), ("multiples", ints(1, 4, 2))])
case("Tile", [("input", counting(2)), ("multiples", ints(0))])
case("Tile", [("input", np.float32(2)), ("multiples", ints())])
case("Fill", [("dims", ints(2, 3)), ("value", np.float32(1.25))])
case("Fill", [("dims", ints(dtype="int64")), ("value", scalar(7))])
case("Fill", [("dims", ints(3)), ("value", scalar(7))])
case("ZerosLike", [("x", floats(2, 3))], gradient=False)
case("OnesLike", [("x", ints(1, 2))])
case("BroadcastTo", [("input", floats(3, 1)), ("shape", ints(2, 3, 4))])
case("BroadcastTo", [("input", np.float32(2)), ("shape", ints(2, 0))])
case("BroadcastTo", [("input", floats(2, 2)), ("shape", ints(2, 2, dtype="int64"))])
for start, limit, delta in ((0, 5, 1), (3, 20, 4), (10, 0, -3), (2, 2, 1), (5, -1, -1)):
    case("Range", [("start", scalar(start)), ("limit", scalar(limit)), ("delta", scalar(delta))])
case("Range", [("start", np.float32(0.5)), ("limit", np.float32(2.1)), ("delta", np.float32(0.25))], gradient=False)
case("Range", [("start", scalar(1, "int64")), ("limit", scalar(4, "int64")), ("delta", scalar(1, "int64"))])

# Choosing
p = floats(4, 3, 2)
for axis in (0, 1, 2, -1, -3):
    case("GatherV2", [("params", p), ("indices", ints(1, 0, 1)), ("axis", scalar(axis))])
case("GatherV2", [("params", p), ("indices", ints([2, 0], [1, 1])), ("axis", scalar(1))])
case("GatherV2", [("params", p), ("indices", scalar(2, "int64")), ("axis", scalar(0))])
case("GatherV2", [("params", p), ("indices", scalar(1)), ("axis", scalar(1))])
case("GatherV2", [("params", p), ("indices", ints([0, 2], [1, 1], [2, 2], [0, 1])), ("axis", scalar(1))], batch_dims=1)
case("GatherV2", [("params", floats(2, 3, 2, 4)), ("indices", ints([0, 3, 1], [1, 2, 2])), ("axis", scalar(3))], batch_dims=1)
case("GatherV2", [("params", floats(2, 3, 4)), ("indices", ints([0, 3, 1], [1, 2, 2])), ("axis", scalar(2))], batch_dims=2)
case("GatherV2", [("params", floats(2, 3, 4)), ("indices", ints([0, 3, 1], [1, 2, 2])), ("axis", scalar(-1))], batch_dims=-1)
case("GatherV2", [("params", ints(4, 5, 6)), ("indices", ints(2, 0)), ("axis", scalar(0))])
case("GatherV2", [("params", floats(3, 2)), ("indices", ints()), ("axis", scalar(0))])
case("UnsortedSegmentSum", [("data", floats(4, 2)), ("segment_ids", ints(2, 0, 2, -1)), ("num_segments", scalar(4))])
case("UnsortedSegmentSum", [("data", floats(2, 2, 3)), ("segment_ids", ints([0, 1], [1, 0])), ("num_segments", scalar(2))])
for axis in (-1, 0, 1):
    hot = [("indices", ints([0, 2], [-1, 3])), ("depth", scalar(3))]
    values = [("on_value", np.float32(5)), ("off_value", np.float32(-0.5))]
    case("OneHot", hot + values, gradient=False, axis=axis)
case("OneHot", [("indices", np.array([1, 0], "uint8")), ("depth", scalar(2)), ("on_value", True), ("off_value", False)])
condition = np.array([[True], [False]])
case("SelectV2", [("condition", condition), ("t", floats(2, 3)), ("e", floats(3))])
case("SelectV2", [("condition", np.array(True)), ("t", floats(2, 1)), ("e", floats(1, 3))])
case("SelectV2", [("condition", np.array([True, False])), ("t", ints(1, 2)), ("e", scalar(0))])
for axes in ([0], [1], [0, 2], [-1], []):
    case("ReverseV2", [("tensor", y), ("axis", ints(*axes))])
case("ReverseV2", [("tensor", ints(4, 5, 6)), ("axis", ints(0, dtype="int64"))])

# Casts: those that TensorFlow defines for all values.
values = np.array([-2.5, -0.5, 0.0, 0.75, 3.99, 100.0])
for source in ("float32", "float64", "int32", "int64"):
    for target in (tf.float32, tf.float64, tf.int32, tf.int64, tf.bool):
        case("Cast", [("x", values.astype(source))], DstT=target)
case("Cast", [("x", np.array([True, False]))], DstT=tf.float32)
case("Cast", [("x", np.array([0, 7, 255], "uint8"))], DstT=tf.int32)
case("Cast", [("x", np.array([0, 7, 255, 256, -1], "int32"))], DstT=tf.uint8)
case("Identity", [("input", floats(2, 2))])
case("StopGradient", [("input", floats(2))], gradient=False)

# New cases stand at the end, so that those above keep their random numbers.
case("Select", [("condition", np.array([[True, False, True], [False, False, True]])), ("x", floats(2, 3)), ("y", floats(2, 3))])
case("Select", [("condition", np.array([True, False])), ("x", floats(2, 3, 2)), ("y", floats(2, 3, 2))])
case("Select", [("condition", np.array(True)), ("x", ints(1, 2)), ("y", ints(3, 4))])
case("ShapeN", [("input", [floats(2, 3), floats(4, 1), floats()])], out_type=tf.int64)
case("ConcatOffset", [("concat_dim", scalar(1)), ("shape", [ints(2, 3, 5), ints(2, 1, 5), ints(2, 4, 5)])])
case("ConcatOffset", [("concat_dim", scalar(-3)), ("shape", [ints(2, 3, 5), ints(2, 3, 5)])])
case("ListDiff", [("x", ints(0, 1, 2, 3)), ("y", ints(1, 3))])
case("ListDiff", [("x", ints(5, 2, 5, 1, dtype="int64")), ("y", ints(2, 7, dtype="int64"))], out_idx=tf.int64)
case("ListDiff", [("x", ints(1, 2)), ("y", ints(2, 1, 0))])
for record in cases:
    # TensorFlow's Python names of two operands and one attribute differ from those on the wire.
    if record["operation"] == "Squeeze":
        record["attributes"] = {"squeeze_dims": record["attributes"]["axis"]}
sys.stdout.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
