"""Names of PyTorch's native module that packages use directly. Nothing is native here.

Here: the types under their native names, and calls that have nothing to do. Not here: kernels, or anything new.
"""

from typing import Any

from lamina.autograd.modes import is_grad_enabled
from lamina.core.device import device, layout, memory_format
from lamina.core.dtype import dtype
from lamina.core.size import Size
from lamina.core.tensor import Tensor
from lamina.primitives.linalg_common import LinAlgError as _LinAlgError

__all__ = [
    "Size",
    "_LinAlgError",
    "Tensor",
    "TensorBase",
    "device",
    "dtype",
    "is_grad_enabled",
    "layout",
    "memory_format",
]

TensorBase = _TensorBase = Tensor
_TensorMeta = type(Tensor)
_has_cuda = _has_mps = _has_xpu = False


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _log_api_usage_metadata(event: str, metadata: dict[str, str]) -> None:
    """Nothing is logged."""


def _get_tracing_state() -> Any:
    """None: nothing is traced."""
    return None


def _jit_set_profiling_executor(enabled: bool) -> bool:
    """There is no executor."""
    return False


def _jit_set_profiling_mode(enabled: bool) -> bool:
    """There is no executor."""
    return False


def _cuda_isCurrentStreamCapturing() -> bool:
    """There is no stream."""
    return False


def _is_tracing() -> bool:
    """Nothing is traced."""
    return False
