"""Runs GraphDefs with TensorFlow.

Usage: python run_graphs.py FOLDER

FOLDER/runs.json is a list of runs: {"graph": FILE, "feeds": {NAME: FILE.npy}, "targets": [NODE], "fetches": [NAME],
"out": [FILE.npy]}. Targets run first, in order, in the same session. A run that fails writes its message to the first file of
"out" with ".error" behind it.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import numpy as np
import tensorflow as tf
from google.protobuf import text_format

tf1 = tf.compat.v1


def load(path):
    graph_def = tf1.GraphDef()
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith(".pbtxt"):
        text_format.Parse(content.decode(), graph_def)
    else:
        graph_def.ParseFromString(content)
    return graph_def


def tensor_name(name):
    return name if ":" in name else name + ":0"


def run(folder, work):
    graph = tf1.Graph()
    with graph.as_default():
        tf1.import_graph_def(load(os.path.join(folder, work["graph"])), name="")
        feeds = {tensor_name(n): np.load(os.path.join(folder, f)) for n, f in work.get("feeds", {}).items()}
        with tf1.Session() as session:
            for target in work.get("targets", []):
                session.run(graph.get_operation_by_name(target), feeds)
            return session.run([tensor_name(name) for name in work["fetches"]], feeds)


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "runs.json")) as file:
        works = json.load(file)
    for work in works:
        paths = [os.path.join(folder, name) for name in work["out"]]
        try:
            for path, value in zip(paths, run(folder, work)):
                np.save(path, value)
        except Exception as error:
            with open(paths[0] + ".error", "w") as file:
                file.write("%s: %s" % (type(error).__name__, error))


main()
