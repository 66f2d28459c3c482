"""Switches of PyTorch's back ends, under the names that programs set and read.

Each module holds its settings as plain attributes: they are remembered and change nothing, since lamina has
one back end.
"""

from lamina.backends import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    mha,
    miopen,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    python_native,
    quantized,
    xnnpack,
)

__all__ = [
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "mha",
    "miopen",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "python_native",
    "quantized",
    "xnnpack",
]

fp32_precision: str = "none"


def flags_frozen() -> bool:
    """False."""
    return False


def disable_global_flags() -> None:
    """Nothing: settings are plain attributes, which anyone may set."""
