"""Compares GraphDef files as TensorFlow reads them. Usage: python compare.py EXPECTED.pb ACTUAL.pb|ACTUAL.pbtxt..."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2


def read(path):
    graph = graph_pb2.GraphDef()
    with open(path, "rb") as file:
        if path.endswith(".pbtxt"):
            text_format.Parse(file.read(), graph)
        else:
            graph.ParseFromString(file.read())
    return graph.SerializeToString(deterministic=True)


expected = read(sys.argv[1])
for path in sys.argv[2:]:
    if read(path) != expected:
        sys.exit(path + " is not the same graph as " + sys.argv[1])
