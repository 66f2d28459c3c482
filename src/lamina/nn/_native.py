"""`torch._C._nn`: functions of nn.functional under the native module's name, and the reading of `to`'s arguments.

Not here: the functions.
"""

from __future__ import annotations

from typing import Any

from lamina.nn import functional
from lamina.nn.modules.conversion import _parse_to as _read_to
from lamina.primitives.overridable import overridable

__all__ = ["_parse_to"]


@overridable
def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """(device, dtype, non_blocking, memory_format) of a call of `to`; None for what it does not say."""
    return _read_to(args, kwargs)


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not hasattr(functional, name):
        raise AttributeError(f"module 'torch._C._nn' has no attribute {name!r}")
    return getattr(functional, name)
