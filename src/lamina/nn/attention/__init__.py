"""torch.nn.attention: which kernel `scaled_dot_product_attention` may use. lamina has one; the choice is remembered."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any

from lamina.backends import cuda

__all__ = ["SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """The kernels that PyTorch chooses among."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[dict[Any, Any]]:
    """A context in which only these kernels are to be used. Raises AssertionError for what is none."""
    listed = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(listed, list):
        raise AssertionError(
            f"Backend must be an instance of SDPBackend or a list of SDPBackend instances, got {type(backends).__name__}"
        )
    wanted = set(listed)
    with cuda.sdp_kernel(
        enable_flash=SDPBackend.FLASH_ATTENTION in wanted,
        enable_math=SDPBackend.MATH in wanted,
        enable_mem_efficient=SDPBackend.EFFICIENT_ATTENTION in wanted,
        enable_cudnn=SDPBackend.CUDNN_ATTENTION in wanted,
    ):
        yield {}
