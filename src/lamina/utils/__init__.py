"""Utilities around training, shaped as torch.utils: `data` here, further ones as files of their own.

Subpackages load when first used; this file imports none of them.
"""

import importlib
from typing import Any

_SUBMODULES = frozenset({
    "_contextlib", "_dtype_abbrs", "_foreach_utils", "_import_utils", "_mode_utils", "_python_dispatch", "_pytree", "benchmark", "checkpoint",
    "cpp_extension", "data", "deterministic", "dlpack", "hooks", "model_zoo", "swapping", "tensorboard", "weak",
})  # fmt: skip


def set_module(obj: Any, mod: str) -> None:
    """Set `obj.__module__`. Raises TypeError unless `mod` is a string."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def __getattr__(name: str) -> Any:
    if name == "swap_tensors":
        return importlib.import_module(f"{__name__}.swapping").swap_tensors
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
