#!/usr/bin/env python3
"""Writes what TensorFlow computes for elementwise operations, reductions and products.

    python3 Scripts/golden/mathematics.py > Tests/Fixtures/Operations/mathematics.json

Needs the PyPI package tensorflow.
"""

import numpy as np
import tensorflow as tf

from cases import case, floats, positive, write

nan, inf = np.nan, np.inf
f64 = np.float64
special = f64([0.0, -0.0, 1, -1, 0.5, -2.5, 30, -30, inf, -inf, nan])

# One operand
for name in ("Abs", "Neg", "Sign", "Square", "Exp", "Expm1", "Tanh", "Sigmoid", "Floor", "Ceil", "Rint", "Round", "IsNan",
             "IsInf", "IsFinite", "Softplus", "Softsign", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Reciprocal", "Inv"):
    case(name, special, gradient=False)
# TensorFlow's error function of the infinities is NaN in double precision, a fault.
case("Erf", special[np.isfinite(special)], gradient=False)
for name in ("Sqrt", "Rsqrt", "Log", "Log1p"):
    case(name, special, gradient=False)
    case(name, f64([0, 0.25, 1, 7]))
for name in ("Sin", "Cos", "Tan"):
    case(name, f64([0, 0.5, -1, 2, 100, -1000]))
for name in ("Abs", "Neg", "Square", "Exp", "Expm1", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign", "Relu", "Relu6", "Elu",
             "Selu", "LeakyRelu"):
    case(name, f64([0, 0.5, -0.5, 6, -6, 3, 8]))
case("LeakyRelu", f64([0, 1, -1]), alpha=0.5)
case("Reciprocal", f64([0.5, -4]))
for name in ("Floor", "Ceil", "Rint", "Round"):
    case(name, f64([0.5, 1.5, 2.5, -0.5, -1.5, 2**52 + 1.0]), gradient=False)
for name in ("Abs", "Neg", "Sign", "Square"):
    case(name, np.int32([0, 5, -7, -(2**31)]), gradient=False)

# Two operands
x, y = floats(2, 3), floats(3)
y[y == 0] = 1
for name in ("AddV2", "Sub", "Mul", "RealDiv", "SquaredDifference", "Maximum", "Minimum", "DivNoNan"):
    case(name, x, y)
    case(name, x[:, :1], y)
case("DivNoNan", f64([1, 0, -2, nan, inf]), f64([0, 0, 4, 0, 0]))
case("DivNoNan", f64([1, 2, 0]), f64([0, 4, 0]))
for name in ("Maximum", "Minimum"):
    case(name, f64([1, 2, nan, 1, 0.0]), f64([1, nan, 2, 3, -0.0]), gradient=False)
    case(name, f64([1, 2, 3]), f64([1, 3, 2]))
case("Pow", f64([0, 0, 0.5, 2, -2, 3]), f64([1, 2, 0.5, -2, 2, 0]))
case("Pow", f64([0, nan, 1, -1, inf]), f64([0, 0, nan, 0.5, -1]), gradient=False)
case("Pow", np.int32([2, -3, 5, 0]), np.int32([10, 3, 0, 0]), gradient=False)
sevens = f64([7, -7, 7, -7, 0.0, 5.5]), f64([2, 2, -2, -2, 3, 0.25])
case("FloorDiv", *sevens, gradient=False)
case("FloorMod", *sevens)
for t in (np.int32, np.int64):
    a, b = t([7, -7, 7, -7, 0]), t([2, 2, -2, -2, 3])
    for name in ("AddV2", "Sub", "Mul", "FloorDiv", "FloorMod", "Maximum", "Minimum", "Div"):
        case(name, a, b, gradient=False)
for name in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"):
    case(name, f64([1, 2, 3, nan, 0.0]), f64([2, 2, 2, nan, -0.0]), gradient=False)
    case(name, np.int32([[1], [2]]), np.int32([1, 2]), gradient=False)
truth = np.array([[True, True, False, False], [True, False, True, False]])
case("LogicalAnd", *truth, gradient=False)
case("LogicalOr", *truth, gradient=False)
case("LogicalNot", truth, gradient=False)
case("Equal", *truth, gradient=False)
case("AddN", [floats(2, 2), floats(2, 2), floats(2, 2)])
case("ClipByValue", f64([-1, 0, 0.5, 1, 2, nan]), f64(0), f64(1), gradient=False)
case("ClipByValue", f64([-1, 0, 0.5, 1, 2]), f64(0), f64(1))
case("ClipByValue", f64([-1, 0.5, 2]), f64(1), f64([0, 0.25, 3]), gradient=False)

# Gradient operations, as training graphs of TensorFlow have them
g, u = floats(6), f64([0, 0.5, -0.5, 6, -1, 7])
for name in ("ReluGrad", "Relu6Grad", "LeakyReluGrad", "EluGrad", "SeluGrad", "SoftplusGrad", "SoftsignGrad"):
    case(name, g, u, gradient=False)
for name in ("TanhGrad", "SigmoidGrad", "SqrtGrad", "RsqrtGrad", "ReciprocalGrad", "InvGrad"):
    case(name, f64([0.5, -0.5, 6, 1]), floats(4), gradient=False)
case("BiasAddGrad", floats(2, 3))
case("BiasAddGrad", floats(2, 3, 2, 1), data_format="NCHW")

# Reductions
block = floats(2, 3, 4)
for name in ("Sum", "Mean", "Max", "Min", "Prod"):
    for axes in ([], [0], [1, -1], [0, 1, 2]):
        case(name, block, np.int32(axes))
    case(name, block, np.int64([-2]), keep_dims=True)
    case(name, block, np.int32(1))
    case(name, f64(3), np.int32([]))
    case(name, np.int32([[7, -8, -6], [1, 1, 4]]), np.int32([1]), gradient=False)
    case(name, np.zeros((2, 0)), np.int32([1]), gradient=False)
case("Mean", np.uint8([[200, 100, 250], [1, 2, 4]]), np.int32([1]), gradient=False)
case("Mean", np.int32([[2**31 - 1, 2**31 - 1], [-(2**31), -(2**31)]]), np.int32([1]), gradient=False)
for name in ("Max", "Min"):
    case(name, f64([[1, 2, 2], [3, 3, 3], [1, 2, 3]]), np.int32([1]))
    case(name, f64([[1, nan], [nan, nan]]), np.int32([1]), gradient=False)
for zeros in ([0, 2, 3], [0, 0, 3], [1, 2, 3]):
    case("Prod", f64([zeros, [4, 5, 6]]), np.int32([1]))
    case("Prod", f64([zeros, [4, 5, 6]]), np.int32([0, 1]))
for name in ("All", "Any"):
    case(name, truth, np.int32([0]), gradient=False)
    case(name, truth, np.int32([0, 1]), keep_dims=True, gradient=False)
    case(name, np.zeros((2, 0), bool), np.int32([1]), gradient=False)
ties = f64([[1, 3, 3], [2, 2, 1], [nan, 1, 2], [1, nan, 0], [nan, nan, nan], [-inf, -inf, -inf]])
for name in ("ArgMax", "ArgMin"):
    case(name, ties, np.int32(1), gradient=False)
    case(name, ties, np.int64(-2), output_type=tf.int32, gradient=False)
    case(name, np.int32([3, 1, 3, 1]), np.int32(0), gradient=False)
for name in ("Cumsum", "Cumprod"):
    for exclusive in (False, True):
        for reverse in (False, True):
            case(name, positive(2, 3), np.int32(1), exclusive=exclusive, reverse=reverse)
    case(name, np.int32([[1, 2], [3, 4]]), np.int32(-2), gradient=False)
case("L2Loss", floats(2, 3))

# Products
for a in (False, True):
    for b in (False, True):
        case("MatMul", floats(*((3, 2) if a else (2, 3))), floats(*((4, 3) if b else (3, 4))), transpose_a=a, transpose_b=b)
        case("BatchMatMulV2", floats(*((2, 3, 2) if a else (2, 2, 3))), floats(*((4, 3) if b else (3, 4))), adj_x=a, adj_y=b)
case("MatMul", np.int32([[1, 2], [3, 4]]), np.int32([[5], [6]]), gradient=False)
case("MatMul", np.zeros((2, 0)), np.zeros((0, 3)))
case("BatchMatMulV2", floats(2, 1, 2, 3), floats(3, 3, 1))
case("BatchMatMulV2", floats(2, 3), floats(2, 3, 2))

# New cases stand at the end, so that those above keep their random numbers.
for name in ("Asinh", "Acosh", "Atanh"):
    case(name, special, gradient=False)
case("Asinh", f64([0, 1e-9, -1e-3, 0.5, -1, 30, -1e8, 1e100, -1.7e308]))
case("Asinh", np.float32([0, 1e-5, -0.01, 0.5, -1, 30, -1e10, 3e38]), gradient=False)
case("Acosh", f64([1, 1 + 1e-9, 1.5, 2, 30, 1e8, 1.7e308]))
case("Acosh", np.float32([1, 1.0001, 1.5, 30, 1e10, 3e38]), gradient=False)
case("Atanh", f64([0, 1e-9, -1e-3, 0.5, -0.75, 0.999999, -0.999999]))
case("Atanh", np.float32([0, 1e-5, -0.01, 0.5, -0.75, 0.9999, -0.9999]), gradient=False)
for name in ("Xlogy", "Xlog1py", "Xdivy"):
    case(name, f64([0, -0.0, 0, 0, 0, 2, nan, 0]), f64([0, -1, inf, nan, 3, -1, 1, -inf]), gradient=False)
    case(name, f64([0, 2, -3, 0.5, 0]), f64([2, 0.5, 1, 7, 0.25]))
    case(name, x[:, :1], positive(3))
    case(name, positive(3), positive(2, 1))
for name in ("Sinh", "Cosh", "Asin", "Acos", "Atan"):
    case(name, special, gradient=False)
case("Sinh", f64([0, 1e-9, -1e-3, 0.5, -1, 30, -29, 700, 710.2, -711]), gradient=False)
case("Cosh", f64([0, 1e-9, -1e-3, 0.5, -1, 30, -29, 700, 710.2, -711]), gradient=False)
for name in ("Asin", "Acos"):
    case(name, f64([0, 1e-9, -1e-3, 0.5, -0.75, 0.999999, -0.999999]))
    case(name, np.float32([0, 1e-5, -0.01, 0.5, -0.75, 0.9999, -0.9999]), gradient=False)
for name in ("Sinh", "Cosh", "Atan"):
    case(name, f64([0, 1e-9, -1e-3, 0.5, -1, 2.3, -2.5, 10]))
    case(name, np.float32([0, 1e-5, -0.01, 0.5, -1, 2.3, -2.5, 10]), gradient=False)
sides = f64([0, -0.0, 1, -1, inf, -inf, nan])
case("Atan2", sides[:, None], sides[None, :], gradient=False)
case("Atan2", f64([1, -2, 3e-9, 0.5, -4]), f64([2, -1, 5, -0.25, -3e8]))
case("Atan2", np.float32([1, -2, 3e-9, 0.5, -4]), np.float32([2, -1, 5, -0.25, -3e8]), gradient=False)
case("Atan2", positive(2, 3), positive(3))


def gelu_gradient(gradients, features, approximate):
    with tf.GradientTape() as tape:
        tape.watch(features)
        y = tf.nn.gelu(features, approximate)
    return tape.gradient(y, features, output_gradients=gradients)


points = [0, 0.5, -0.5, 1, -1.25, 3, -3, 6, -2]
for approximate in (False, True):
    case("_Gelu", f64(points), function=lambda features, approximate: tf.nn.gelu(features, approximate), approximate=approximate)
    case("_GeluGrad", floats(9), f64(points), function=gelu_gradient, approximate=approximate)

write()
