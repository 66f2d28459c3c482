"""torch.autograd: backward, grad, Function, modes, gradcheck. Names load when first used, so that importing lamina stays fast.

Below the primitives: graph, engine, modes, views, errors, tensor_api. Above them, written on public operations: everything else.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "backward": "api", "grad": "api", "Variable": "variable",
    "Function": "function", "NestedIOFunction": "function_legacy",
    "no_grad": "modes", "enable_grad": "modes", "set_grad_enabled": "modes", "inference_mode": "modes",
    "set_multithreading_enabled": "grad_mode", "is_multithreading_enabled": "grad_mode", "enforce_grad_layout_policy": "grad_mode",
    "detect_anomaly": "anomaly_mode", "set_detect_anomaly": "anomaly_mode",
    "gradgradcheck": "gradcheck", "SavedTensor": "saved", "_unsafe_preserve_version_counter": "native",
    "_calculate_shape": "api",
}  # fmt: skip
_MODULES = frozenset((
    "anomaly_mode", "forward_ad", "function", "functional", "grad_mode", "gradcheck", "graph", "profiler", "profiler_util", "variable",
))  # fmt: skip
_PROFILER = frozenset(("ProfilerActivity", "kineto_available", "supported_activities"))

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "enforce_grad_layout_policy", "forward_ad", "function",
    "functional", "grad", "grad_mode", "gradcheck", "gradgradcheck", "graph", "inference_mode", "no_grad", "profiler",
    "set_detect_anomaly", "set_grad_enabled", "set_multithreading_enabled", "variable",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lamina.autograd.{name}")
    if name in _PROFILER:
        return getattr(importlib.import_module("lamina.profiler"), name)
    if name in _NAMES:
        found = getattr(importlib.import_module(f"lamina.autograd.{_NAMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_MODULES})
