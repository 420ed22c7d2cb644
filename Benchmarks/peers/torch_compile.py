"""PyTorch with `torch.compile`: Inductor, which writes C++. Models without gradients are frozen, which folds batch
normalisation and packs weights."""
import os

import harness

args = harness.parse()
# Nothing is kept from an earlier run, so that the first run holds a whole compilation.
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
import torch
import torch._inductor.config

import torch_workloads

torch.set_num_threads(args.threads)
# Inductor mistakes the layout of a packed convolution over one channel.
NOT_FROZEN = {"lenet_infer_b128"}


def freezing(name, make):
    def freeze_and_make():
        torch._inductor.config.freezing = name not in NOT_FROZEN
        return make()
    return freeze_and_make


if __name__ == "__main__":
    # On a GPU, with graphs of CUDA.
    mode = "reduce-overhead" if args.device == "cuda" else "default"
    workloads = torch_workloads.registry(lambda callable: torch.compile(callable, mode=mode))
    raise SystemExit(harness.main("torch-compile", torch.__version__,
                                  {name: freezing(name, make) for name, make in workloads.items()}))
