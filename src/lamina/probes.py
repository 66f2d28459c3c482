"""What programs ask of a build of PyTorch, and the functions on symbolic sizes, which here are plain numbers.

Not here: settings that change something (settings.py), accelerators (cuda, mps, ...).
"""

from __future__ import annotations

import builtins
import math
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import lamina
from lamina.autograd import modes
from lamina.core.tensor import Tensor
from lamina.primitives.overridable import overridable

has_lapack = has_spectral = True
has_mkl = has_openmp = False


def is_vulkan_available() -> bool:
    """False."""
    return False


@overridable
def is_distributed(input: Tensor) -> bool:
    """False: no tensor lies on several machines."""
    return False


def get_device_module(device: Any = None) -> ModuleType:
    """`lamina.cpu`, `lamina.cuda` ...: the module of a device's type. Raises RuntimeError for a type without one."""
    kind = "cpu" if device is None else lamina.device(device).type
    if kind not in ("cpu", "cuda", "mps", "xpu", "mtia"):
        raise RuntimeError(
            f"Invalid device '{kind}' detected, make sure your device module is registered through 'torch._register_device_module()'"
        )
    return getattr(lamina, kind)


def get_file_path(*path_components: str) -> str:
    """A path below the folder of the package's parent."""
    return os.path.join(os.path.dirname(os.path.dirname(__file__)), *path_components)


# ---- anomaly mode, as switches ---------------------------------------------------------------------------------------


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return modes.mode().anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN; True, PyTorch's default, where it is off."""
    now = modes.mode().anomaly
    return True if now is None else bool(now)


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode."""
    modes.change(anomaly=bool(check_nan) if enabled else None)


# ---- sizes that could be symbolic ------------------------------------------------------------------------------------


class _Symbolic:
    """A size that is not known yet: a class to name in isinstance checks. Raises NotImplementedError."""

    def __init__(self, node: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}: sizes are numbers in lamina; use the number itself")


class SymInt(_Symbolic):
    """Of an int."""


class SymFloat(_Symbolic):
    """Of a float."""


class SymBool(_Symbolic):
    """Of a bool."""


def sym_int(a: Any) -> int:
    """`a` as int."""
    return int(a)


def sym_float(a: Any) -> float:
    """`a` as float."""
    return float(a)


def sym_not(a: Any) -> bool:
    """not `a`."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The larger one; a float if one of them is."""
    found = builtins.max(a, b)
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


def sym_min(a: Any, b: Any) -> Any:
    """The smaller one; a float if one of them is."""
    found = builtins.min(a, b)
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


def sym_sum(args: Sequence[Any]) -> Any:
    """The sum."""
    return builtins.sum(args)


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """`t` if `b`, else `f`."""
    return t if b else f


def sym_sqrt(a: Any) -> float:
    """The square root."""
    return math.sqrt(a)


def sym_fresh_size(expr: Any) -> Any:
    """Raises NotImplementedError: there are no symbols."""
    raise NotImplementedError("sym_fresh_size: sizes are numbers in lamina; use the number itself")


# ---- control flow ----------------------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` if `pred`, else `false_fn(*operands)`. Raises RuntimeError for what is no condition."""
    if not isinstance(pred, (bool, Tensor)) or (isinstance(pred, Tensor) and pred.numel() != 1):
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    return (true_fn if bool(pred) else false_fn)(*operands)


def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any) -> Any:
    """`body_fn` over and over while `cond_fn` of what it returned is true."""
    values = tuple(carried_inputs)
    while bool(cond_fn(*values)):
        found = body_fn(*values)
        values = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    return values
