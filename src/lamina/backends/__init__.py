"""Switches of PyTorch's back ends, under the names that programs set and read.

Each module holds its settings as plain attributes: they are remembered and change nothing, since lamina has
one back end.
"""

from lamina.backends import cpu, cuda, cudnn, mha, mkl, mkldnn, mps, openmp, opt_einsum, quantized

__all__ = ["cpu", "cuda", "cudnn", "mha", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized"]

fp32_precision: str = "none"


def flags_frozen() -> bool:
    """False."""
    return False
