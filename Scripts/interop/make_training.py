"""Writes graphs of TensorFlow 1 that train with each of its optimizers, and what the variables come to.

Usage: python make_training.py FOLDER

references.pb has reference variables, resources.pb resource variables; training.json lists the fed numbers of each step and the
variables' values behind it.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
tf1.disable_eager_execution()

train = tf1.train
OPTIMIZERS = {
    "descent": train.GradientDescentOptimizer(0.1),
    "momentum": train.MomentumOptimizer(0.1, 0.9),
    "nesterov": train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "adam": train.AdamOptimizer(0.1),
    "rmsprop": train.RMSPropOptimizer(0.1, momentum=0.5),
    "centered": train.RMSPropOptimizer(0.1, centered=True),
    "adagrad": train.AdagradOptimizer(0.1),
    "adadelta": train.AdadeltaOptimizer(1.0, epsilon=1e-2),
}
STEPS = [[1.0, -0.5, 2.0], [0.25, 1.5, -1.0], [-2.0, 0.5, 0.75]]


def build():
    x = tf1.placeholder(tf.float32, [3], name="x")
    steps = []
    for name, optimizer in OPTIMIZERS.items():
        w = tf1.get_variable(name, initializer=tf.constant([0.5, -1.0, 2.0]))
        tf.identity(w, name=name + "_value")
        steps.append(optimizer.minimize(tf.reduce_sum(tf.square(w * x - 1.0)), var_list=[w]))
    # A counter that is read behind its assignment.
    count = tf1.get_variable("count", initializer=tf.constant(0.0), trainable=False)
    with tf.control_dependencies(steps):
        added = tf1.assign_add(count, 1.0)
    with tf.control_dependencies([added]):
        tf.multiply(count.read_value(), 2.0, name="twice")
    tf.group(added, name="train")
    tf.group(tf1.global_variables_initializer(), name="init")


def main():
    folder = sys.argv[1]
    fetches = [name + "_value" for name in OPTIMIZERS]
    record = {}
    for kind in ("references", "resources"):
        with tf1.Graph().as_default() as graph:
            with tf1.variable_scope("", use_resource=kind == "resources"):
                build()
            with tf1.Session() as session:
                session.run("init")
                steps = []
                for x in STEPS:
                    feed = {"x:0": np.float32(x)}
                    twice = session.run("twice:0", feed)
                    values = session.run([name + ":0" for name in fetches])
                    steps.append({
                        "x": x, "twice": float(twice), "values": {n: [float(str(v)) for v in a] for n, a in zip(fetches, values)}})
            record[kind] = steps
            with open(os.path.join(folder, kind + ".pb"), "wb") as file:
                file.write(graph.as_graph_def().SerializeToString(deterministic=True))
    assert record["references"] == record["resources"]
    with open(os.path.join(folder, "training.json"), "w") as file:
        json.dump(record["references"], file, indent=1)
        file.write("\n")


main()
