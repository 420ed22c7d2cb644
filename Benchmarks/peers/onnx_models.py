"""The workloads as ONNX models with their feeds, for the programs that read such models.

`load(name, folder)` gives a model's file and its feeds. The file is written by a process of its own when it is missing or
older than the programs that define it, so that building a model does not count in the reader's memory.
"""
import os
import pathlib
import subprocess
import sys

import sizes as S
import workloads as W

HERE = pathlib.Path(__file__).resolve().parent

FEEDS = {
    "overhead_chain": lambda: dict(x=W.overhead_data()[0]),
    "overhead_wide": lambda: dict(x=W.wide_data()[0]),
    "fused_elementwise": lambda: dict(x=W.elementwise_data()),
    "softmax_rows": lambda: dict(x=W.rows_data()[0]),
    "layernorm": lambda: dict(x=W.rows_data()[0]),
    "lenet_infer_b128": lambda: dict(x=images(W.lenet_data()[1][0][0])),
}
for _n in S.MATMUL:
    FEEDS["matmul_%d" % _n] = lambda n=_n: dict(zip("ab", W.matmul_data(n)))
for _b in (1, 8):
    FEEDS["resnet50_infer_b%d" % _b] = lambda b=_b: dict(x=images(W.resnet_input(b)[0]))
    FEEDS["bert_base_infer_b%d" % _b] = lambda b=_b: dict(zip(("ids", "segments", "mask"), W.bert_input(b)))


def images(a):
    """ONNX has channels before height and width."""
    return W.f32(a.transpose(0, 3, 1, 2))


def load(name, folder):
    path = pathlib.Path(folder) / (name + ".onnx")
    sources = [HERE / file for file in ("onnx_models.py", "onnx_writer.py", "workloads.py", "sizes.py")]
    if not path.exists() or path.stat().st_mtime < max(os.stat(source).st_mtime for source in sources):
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(HERE / "onnx_writer.py"), name, str(path)], check=True)
    path.read_bytes()  # so that reading the disk is not measured
    return str(path), FEEDS[name]()
