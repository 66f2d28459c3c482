"""`lamina.nn`, shaped as torch.nn: layers, parameters, functions, initialisers. Nothing is computed here."""

import importlib
from typing import Any

from lamina.core.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from lamina.nn import functional, init, modules, parameter, utils
from lamina.nn.modules import *  # noqa: F403  # its __all__ is the one list of layers

_SUBMODULES = frozenset(("_reduction", "attention", "common_types", "grad", "parallel"))


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "DataParallel":
        return importlib.import_module(f"{__name__}.parallel").DataParallel
    raise AttributeError(f"module 'torch.nn' has no attribute '{name}'")


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Of a layer's keyword arguments those that say how its parameters are made: device, dtype, memory_format.

    Raises TypeError for others, or for one that is given twice.
    """
    if kwargs is None:
        return {}
    known = {"device", "dtype", "memory_format"}
    unexpected = kwargs.keys() - (known | {"factory_kwargs"})
    if unexpected:
        raise TypeError(f"unexpected kwargs {unexpected}")
    found = dict(kwargs.get("factory_kwargs", {}))
    for name in known & kwargs.keys():
        if name in found:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        found[name] = kwargs[name]
    return found


__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
]
__all__ += modules.__all__
