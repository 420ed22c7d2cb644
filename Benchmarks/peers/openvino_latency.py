"""OpenVINO's plugin for processors: its hint for latency, one stream, float32, tensors shared with NumPy."""
import harness

args = harness.parse()
import openvino

import onnx_models
import workloads as W

core = openvino.Core()


def infer(name):
    path, feeds = onnx_models.load(name, args.models)
    harness.start_clock()
    compiled = core.compile_model(core.read_model(path), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": args.threads, "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    for key, array in feeds.items():
        request.set_tensor(key, openvino.Tensor(array, shared_memory=True))

    def run(keep=feeds):  # the shared tensors do not keep their arrays alive
        request.infer(share_outputs=True)
    return run, lambda: W.checksum(request.get_output_tensor(0).data)


if __name__ == "__main__":
    raise SystemExit(harness.main("openvino", openvino.__version__.split("-")[0],
                                  {name: (lambda name=name: infer(name)) for name in onnx_models.FEEDS}))
