"""Utilities around training, shaped as torch.utils: `data` here, further ones as files of their own.

Subpackages load when first used; this file imports none of them.
"""

import importlib
from types import ModuleType

_SUBMODULES = frozenset({"_pytree", "checkpoint", "data", "dlpack", "hooks", "model_zoo"})


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
