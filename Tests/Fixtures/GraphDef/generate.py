"""Writes the GraphDef fixtures with TensorFlow. Usage: python generate.py, in this folder."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from google.protobuf import text_format

tf1 = tf.compat.v1


def attributes():
    """Every kind of attribute and every way to hold a tensor."""
    graph = tf1.GraphDef()
    graph.versions.producer = 1987
    graph.versions.min_consumer = 12
    graph.versions.bad_consumers.extend([7, 9])
    node = graph.node.add(name="a/b.c", op="Nobody'sOp", device="/job:w/task:0/device:CPU:0")
    node.input.extend(["x", "y:3", "^control"])
    attr = node.attr
    attr["s"].s = b"\x00\x01\xff \"quoted\" 'single' \\ \n\r\t\x7f caf\xc3\xa9"
    attr["i"].i = -(2**63)
    attr["zero"].i = 0
    attr["f"].f = 1e-5
    attr["nan"].f = float("nan")
    attr["inf"].f = float("-inf")
    attr["b"].b = True
    attr["no"].b = False
    attr["type"].type = 1
    attr["ref"].type = 101
    attr["new_type"].type = 77
    attr["shape"].shape.dim.add(size=-1, name="batch")
    attr["shape"].shape.dim.add(size=28)
    attr["scalar"].shape.SetInParent()
    attr["rank"].shape.unknown_rank = True
    attr["nothing"].SetInParent()
    attr["p"].placeholder = "T"
    attr["func"].func.name = "body"
    attr["func"].func.attr["N"].i = 3
    attr["func"].func.attr["inner"].func.name = "deep"
    attr["empty"].list.SetInParent()
    attr["ls"].list.s.extend([b"one", b"", b"three"])
    attr["li"].list.i.extend([1, -2, 3])
    attr["lf"].list.f.extend([0.1, -0.0, 3e38])
    attr["lb"].list.b.extend([True, False])
    attr["lt"].list.type.extend([1, 3, 9])
    attr["lh"].list.shape.add().dim.add(size=2)
    attr["lh"].list.shape.add().unknown_rank = True
    attr["lr"].list.func.add(name="f").attr["k"].s = b"v"
    attr["lv"].list.tensor.add().CopyFrom(tf1.make_tensor_proto([1.0, 2.0]))
    tensors = {
        "content_f32": tf1.make_tensor_proto(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "content_f64": tf1.make_tensor_proto(np.array([0.1, -2.5])),
        "content_i64": tf1.make_tensor_proto(np.array([2**40, -1])),
        "content_bool": tf1.make_tensor_proto(np.array([True, False, True])),
        "scalar_f32": tf1.make_tensor_proto(2.5),
        "scalar_bool": tf1.make_tensor_proto(True),
        "strings": tf1.make_tensor_proto([b"ab", b"\x00\xff"]),
        "half": tf1.make_tensor_proto(np.array(1.5, np.float16)),
        "complex": tf1.make_tensor_proto(np.array(1 + 2j, np.complex64)),
        "splat": tf1.make_tensor_proto(7, tf.int32, shape=[2, 3]),
        "empty": tf1.make_tensor_proto(np.zeros((0, 3), np.float32)),
    }
    partial = tensors["partial_u8"] = tf1.make_tensor_proto(0, tf.uint8)
    partial.Clear()
    partial.dtype = tf.uint8.as_datatype_enum
    partial.tensor_shape.dim.add(size=5)
    partial.int_val.extend([200, 3])
    zeros = tensors["zeros_i64"] = type(partial)(dtype=tf.int64.as_datatype_enum)
    zeros.tensor_shape.dim.add(size=4)
    for name in sorted(tensors):
        const = graph.node.add(name=name, op="Const")
        const.attr["dtype"].type = tensors[name].dtype
        const.attr["value"].tensor.CopyFrom(tensors[name])
    graph.node[1].experimental_debug_info.original_node_names.append("before")
    graph.node[1].experimental_type.type_id = 1000
    graph.node[1].experimental_type.args.add(type_id=210)
    graph.debug_info.files.append("model.py")
    graph.debug_info.traces["a"].file_line_cols.add(file_index=0, line=12, col=3, func="f")
    return graph


def functions():
    """A graph that TensorFlow builds itself, with a library."""
    graph = tf1.Graph()
    with graph.as_default():
        x = tf1.placeholder(tf.float32, [None, 3], name="x")
        w = tf.constant(np.arange(12, dtype=np.float32).reshape(3, 4) / 8, name="w")

        @tf.function
        def layer(x):
            return tf.nn.relu(tf.matmul(x, w))

        y = layer(x)
        step = tf.function(lambda i, v: (i + 1, v * 0.5))
        _, z = tf.while_loop(lambda i, v: i < 3, lambda i, v: step(i, v), (tf.constant(0), y))
        with tf.control_dependencies([z]), tf.device("/cpu:0"):
            tf.reduce_sum(tf.cond(tf.reduce_sum(z) > 0, lambda: z, lambda: -z), name="out")
    return graph.as_graph_def(add_shapes=True)


for name, graph in [("attributes", attributes()), ("functions", functions())]:
    with open(name + ".pb", "wb") as file:
        file.write(graph.SerializeToString(deterministic=True))
    with open(name + ".pbtxt", "w") as file:
        file.write(text_format.MessageToString(graph))
