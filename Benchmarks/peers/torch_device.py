"""The device of PyTorch's workloads; `harness.parse()` comes before."""
import torch

import harness

name = harness.args.device
if name == "cuda":
    # Products and convolutions are those of float32, and convolutions take the quickest algorithm.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


def wait():
    """Until the device has done all that it was given."""
    if name == "cuda":
        torch.cuda.synchronize()
