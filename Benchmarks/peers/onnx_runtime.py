"""ONNX Runtime: all graph optimizations, inputs and output bound to memory that is kept."""
import harness

args = harness.parse()
import numpy as np
import onnxruntime

import onnx_models
import workloads as W


def infer(name):
    path, feeds = onnx_models.load(name, args.models)
    harness.start_clock()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for key, array in feeds.items():
        binding.bind_ortvalue_input(key, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    output = session.get_outputs()[0]
    y = onnxruntime.OrtValue.ortvalue_from_shape_and_type(output.shape, np.float32)
    binding.bind_ortvalue_output(output.name, y)
    return lambda: session.run_with_iobinding(binding), lambda: W.checksum(y.numpy())


if __name__ == "__main__":
    raise SystemExit(harness.main("onnxruntime", onnxruntime.__version__,
                                  {name: (lambda name=name: infer(name)) for name in onnx_models.FEEDS}))
