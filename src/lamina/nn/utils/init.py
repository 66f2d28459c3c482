"""Making a module without spending time on its initial values."""

from __future__ import annotations

import inspect
from typing import Any

from lamina.nn.modules.module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A module of that class whose parameters and buffers are not initialized, on `device` (by keyword; default: cpu).

    Raises RuntimeError where the class is no Module or its `__init__` has no `device`.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
