"""PyTorch, eager."""
import harness

args = harness.parse()
import torch

import torch_workloads

torch.set_num_threads(args.threads)

if __name__ == "__main__":
    raise SystemExit(harness.main("torch-eager", torch.__version__, torch_workloads.registry(lambda callable: callable)))
