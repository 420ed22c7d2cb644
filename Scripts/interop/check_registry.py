"""Compares Martlet's catalog of operations with TensorFlow's registry.

Usage: python check_registry.py SCHEMAS.json DEFAULTS.pb

SCHEMAS.json lists for each operation its inputs and outputs; DEFAULTS.pb has a node for each with its attributes' defaults.
Prints one line for each difference, and ends with status 1 if there are any.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import op_def_registry

TYPES = {"resource": tf.resource}


def kind(argument):
    """An argument of TensorFlow's in Martlet's spelling: T, N*T, [Tin], int32."""
    if argument.type_list_attr:
        return "[%s]" % argument.type_list_attr
    name = argument.type_attr or tf.as_dtype(argument.type).name
    return "%s*%s" % (argument.number_attr, name) if argument.number_attr else name


def differences(schema, node):
    definition = op_def_registry.get(schema["name"])
    if definition is None:
        yield "TensorFlow has no such operation"
        return
    for side, found in (("inputs", definition.input_arg), ("outputs", definition.output_arg)):
        expected = [[argument.name, kind(argument)] for argument in found]
        if schema[side] != expected:
            yield "%s are %s, not %s" % (side, expected, schema[side])
    attributes = {attribute.name: attribute for attribute in definition.attr}
    for name in node.attr:
        if name not in attributes:
            yield "TensorFlow has no attribute '%s'" % name
        elif attributes[name].HasField("default_value") and attributes[name].default_value != node.attr[name]:
            default = str(attributes[name].default_value).strip()
            yield "the default of '%s' is {%s}, not {%s}" % (name, default, str(node.attr[name]).strip())
    for name, attribute in attributes.items():
        if name not in node.attr and name not in schema["derived"] and not attribute.HasField("default_value"):
            yield "the attribute '%s' is missing" % name
        if name in schema["types"] and attribute.HasField("allowed_values"):
            allowed = {tf.as_dtype(value).name for value in attribute.allowed_values.list.type}
            refused = [value for value in schema["types"][name] if value not in allowed]
            if refused:
                yield "'%s' cannot be %s" % (name, ", ".join(refused))


def main():
    with open(sys.argv[1]) as file:
        schemas = json.load(file)
    graph = graph_pb2.GraphDef()
    with open(sys.argv[2], "rb") as file:
        graph.ParseFromString(file.read())
    nodes = {node.op: node for node in graph.node}
    lines = [
        "%s: %s" % (schema["name"], difference)
        for schema in schemas
        for difference in differences(schema, nodes[schema["name"]])
    ]
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


main()
