"""What a device can do, by PyTorch, as one object of JSON: seconds of copies on the device, by the bytes that they read and
write, and of the best float32 product of cuBLAS and cuBLASLt, by extent. The times are a call's, to the end of its work."""
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
import harness

args = harness.parse()
import json
import statistics

import torch

import sizes
import torch_device


def seconds(run):
    return statistics.median(harness.measure(lambda: (run(), torch_device.wait()), args.seconds))


def copies():
    result = {}
    for traffic in sorted(set(sizes.traffic().values())):
        source = torch.ones(traffic // 8, device=torch_device.name)
        target = torch.empty_like(source)
        result[traffic] = seconds(lambda: target.copy_(source))
    return result


def products(names):
    """By what comes after `matmul_` in a workload's name: the extent, and the type if it is not float32."""
    libraries = ["cublas", "cublaslt"] if torch_device.name == "cuda" else [None]
    result = {}
    for name in names:
        n, type = int(name.split("_")[0]), torch.bfloat16 if name.endswith("_bf16") else torch.float32
        a, b, c = (torch.randn(n, n, device=torch_device.name, dtype=type) for _ in range(3))
        times = []
        for library in libraries:
            if library:
                torch.backends.cuda.preferred_blas_library(library)
            times.append(seconds(lambda: torch.mm(a, b, out=c)))
        result[name] = min(times)
    return result


if __name__ == "__main__":
    names = [name.removeprefix("matmul_") for name in args.workloads if name.startswith("matmul_")]
    device = torch.cuda.get_device_name() if torch_device.name == "cuda" else "the processor"
    print(json.dumps(dict(device=device, torch=torch.__version__, cuda=torch.version.cuda, copies=copies(),
                          products=products(names))))
