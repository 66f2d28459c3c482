"""CUDA's settings: remembered, without effect; lamina has no CUDA device.

The choice of an attention kernel (`enable_flash_sdp` and so on) is remembered too: there is one kernel.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
cufft_plan_cache = SimpleNamespace(size=0, max_size=0)
_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """False."""
    return False


def flash_sdp_enabled() -> bool:
    """The setting; it has no effect."""
    return _attention["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """The setting; it has no effect."""
    return _attention["mem_efficient"]


def math_sdp_enabled() -> bool:
    """The setting; it has no effect."""
    return _attention["math"]


def cudnn_sdp_enabled() -> bool:
    """The setting; it has no effect."""
    return _attention["cudnn"]


def enable_flash_sdp(enabled: bool) -> None:
    """Remember the setting."""
    _attention["flash"] = enabled


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Remember the setting."""
    _attention["mem_efficient"] = enabled


def enable_math_sdp(enabled: bool) -> None:
    """Remember the setting."""
    _attention["math"] = enabled


def enable_cudnn_sdp(enabled: bool) -> None:
    """Remember the setting."""
    _attention["cudnn"] = enabled


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """A context in which the settings of the attention kernels are these."""
    before = dict(_attention)
    _attention.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _attention.update(before)
