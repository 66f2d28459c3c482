"""Which devices PyTorch's compiler takes for GPUs."""

GPU_TYPES = ["cuda", "mps", "xpu", "mtia"]
