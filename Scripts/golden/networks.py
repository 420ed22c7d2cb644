#!/usr/bin/env python3
"""Writes what TensorFlow computes for operations of neural networks.

    python3 Scripts/golden/networks.py > Tests/Fixtures/Operations/networks.json

Needs the PyPI package tensorflow. TensorFlow's kernels for the processor take images in NHWC only: the cases in NCHW are
those in NHWC with their images transposed.
"""

import copy

import numpy as np
import tensorflow as tf

from cases import case, cases, encoded, floats, write

f64 = np.float64


def transposed(array):
    """An encoded array of images in NCHW."""
    if array is None or len(array["shape"]) != 4:
        return array
    values = np.array(array["values"], array["type"]).reshape(array["shape"])
    return encoded(values.transpose(0, 3, 1, 2))


def add_channels_first(images, results=True):
    """Repeats the last case in NCHW; `images` tells which operands are images."""
    record = copy.deepcopy(cases[-1])
    record["attributes"]["data_format"] = {"string": "NCHW"}
    for name in ("strides", "ksize", "dilations"):
        if name in record["attributes"]:
            n, h, w, c = record["attributes"][name]["ints"]
            record["attributes"][name]["ints"] = [n, c, h, w]
    if "explicit_paddings" in record["attributes"]:
        e = record["attributes"]["explicit_paddings"]["ints"]
        record["attributes"]["explicit_paddings"]["ints"] = e[:2] + e[6:] + e[2:6]
    for i in images:
        record["operands"][i] = transposed(record["operands"][i])
        if record.get("gradients"):
            record["gradients"][i] = transposed(record["gradients"][i])
    if results:
        record["results"] = [transposed(r) for r in record["results"]]
        if record.get("upstream"):
            record["upstream"] = [transposed(u) for u in record["upstream"]]
    cases.append(record)


# Bias
case("BiasAdd", floats(2, 3), floats(3))
case("BiasAdd", floats(1, 2, 2, 3), floats(3))
add_channels_first([0])

# Convolution
geometries = [
    dict(image=(1, 5, 4, 2), filter=(3, 3), strides=(1, 1), padding="SAME"),
    dict(image=(1, 5, 4, 2), filter=(3, 2), strides=(2, 2), padding="SAME"),
    dict(image=(2, 4, 6, 1), filter=(2, 4), strides=(2, 3), padding="SAME"),
    dict(image=(1, 5, 6, 2), filter=(2, 3), strides=(2, 1), padding="VALID"),
    dict(image=(1, 7, 6, 1), filter=(3, 2), strides=(1, 1), padding="SAME", dilations=(2, 3)),
    dict(image=(1, 3, 3, 1), filter=(1, 1), strides=(2, 2), padding="VALID"),
    dict(image=(1, 4, 4, 1), filter=(3, 3), strides=(2, 1), padding="EXPLICIT", explicit=(1, 0, 2, 1)),
]
for geometry in geometries:
    attributes = dict(strides=[1, *geometry["strides"], 1], padding=geometry["padding"])
    if "dilations" in geometry:
        attributes["dilations"] = [1, *geometry["dilations"], 1]
    if "explicit" in geometry:
        attributes["explicit_paddings"] = [0, 0, *geometry["explicit"], 0, 0]
    channels = geometry["image"][3]
    image = floats(*geometry["image"])
    filter = floats(*geometry["filter"], channels, 2)
    # TensorFlow's gradients with dilations are for GPUs only.
    case("Conv2D", image, filter, gradient="dilations" not in geometry, **attributes)
    add_channels_first([0])
    output = np.array(cases[-2]["results"][0]["shape"])
    if "dilations" not in geometry:
        gradient = floats(*output)
        case("Conv2DBackpropInput", np.int32(image.shape), filter, gradient, gradient=False, **attributes)
        case("Conv2DBackpropFilter", image, np.int32(filter.shape), gradient, gradient=False, **attributes)
        add_channels_first([0, 2], results=False)
    if geometry["strides"][0] == geometry["strides"][1] and "dilations" not in geometry and "explicit" not in geometry:
        case("DepthwiseConv2dNative", image, filter, **attributes)
        add_channels_first([0])
case("Conv2D", floats(1, 3, 3, 4), floats(2, 2, 2, 4), strides=[1, 1, 1, 1], padding="VALID", gradient=False)

# Pooling
image = floats(1, 5, 4, 2)
for ksize, strides, padding in (((2, 2), (2, 2), "VALID"), ((2, 2), (2, 2), "SAME"), ((3, 2), (1, 2), "SAME"), ((1, 1), (3, 2), "VALID")):
    attributes = dict(ksize=[1, *ksize, 1], strides=[1, *strides, 1], padding=padding)
    for name in ("MaxPool", "AvgPool"):
        case(name, image, **attributes)
        add_channels_first([0])
        if name == "MaxPool":
            output = np.array(cases[-2]["results"][0]["values"]).reshape(cases[-2]["results"][0]["shape"])
            case("MaxPoolGrad", image, output, floats(*output.shape), gradient=False, **attributes)
            case("MaxPoolGradGrad", image, output, floats(*image.shape), gradient=False, **attributes)
case("MaxPool", np.round(image / 2), ksize=[1, 3, 3, 1], strides=[1, 1, 1, 1], padding="SAME")
case("MaxPool", np.ones((1, 3, 3, 1)), ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME")
case(
    "MaxPool", image.astype("float32"), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="EXPLICIT",
    explicit_paddings=[0, 0, 1, 0, 1, 1, 0, 0],
)

# Batch normalization
x = floats(2, 3, 2, 2, dtype="float32")
vectors = [v.astype("float32") for v in (f64([1, 2]), f64([0.5, -1]), f64([0.25, 1]), f64([1.5, 0.75]))]
empty = np.float32([])
for attributes, moments in (
    (dict(), [empty, empty]),
    (dict(epsilon=0.25, exponential_avg_factor=0.125), vectors[2:]),
    (dict(is_training=False), vectors[2:]),
):
    case("FusedBatchNormV3", x, *vectors[:2], *moments, upstream=[0], relative=1e-5, **attributes)
    add_channels_first([0])

# Softmax
rows = f64([[1, 2, 3], [1000, 0, -1000], [0, 0, 0]])
case("Softmax", rows)
case("LogSoftmax", rows)
case("Softmax", floats(2, 2, 3))
labels = f64([[1, 0, 0], [0.5, 0.25, 0.25], [0, 0.5, 0.5]])
case("SoftmaxCrossEntropyWithLogits", rows, labels, upstream=[0])
for t in (np.int32, np.int64):
    case("SparseSoftmaxCrossEntropyWithLogits", rows, t([2, 0, 1]))

write()
