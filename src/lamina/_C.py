"""Names of PyTorch's native module that packages use directly. Nothing is native here.

Here: the types under their native names, and calls that have nothing to do. Not here: kernels, or anything new.
"""

import importlib
from typing import Any

import lamina
from lamina import _native
from lamina.autograd.modes import is_grad_enabled
from lamina.core.device import device, layout, memory_format
from lamina.core.dtype import dtype, finfo, iinfo
from lamina.core.generator import Generator
from lamina.core.size import Size
from lamina.core.tensor import Tensor
from lamina.primitives.linalg_common import LinAlgError as _LinAlgError
from lamina.primitives.overrides import no_functions as DisableTorchFunction
from lamina.primitives.overrides import no_subclass_functions as DisableTorchFunctionSubclass

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "Size",
    "_LinAlgError",
    "Tensor",
    "TensorBase",
    "device",
    "dtype",
    "finfo",
    "iinfo",
    "is_grad_enabled",
    "layout",
    "memory_format",
]

_TOP = frozenset((
    "default_generator", "clear_autocast_cache", "get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype",
    "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled", "set_autocast_dtype", "set_autocast_enabled", "set_autocast_gpu_dtype", "autocast_increment_nesting",
    "autocast_decrement_nesting", "get_default_dtype", "get_num_threads", "set_num_threads", "get_num_interop_threads",
    "set_num_interop_threads", "has_lapack", "has_mkl", "has_openmp", "has_spectral", "is_anomaly_enabled",
    "is_anomaly_check_nan_enabled", "set_anomaly_enabled", "is_inference_mode_enabled", "set_flush_denormal", "qscheme",
    "OutOfMemoryError",
))  # fmt: skip
"""Names of the native module that the top level has, too."""
_SCRIPT = frozenset(("ScriptModule", "ScriptFunction", "CompilationUnit"))


_NATIVE = frozenset((
    "_current_autograd_node", "_current_graph_task_execution_order", "_current_graph_task_id", "_is_multithreading_enabled",
    "_set_multithreading_enabled", "_WeakTensorRef", "_will_engine_execute_node",
))  # fmt: skip
"""Names about a backward that runs: autograd/native.py has them."""


def __getattr__(name: str) -> Any:
    if name == "_nn":
        return importlib.import_module("lamina.nn._native")
    if name in _TOP:
        return getattr(lamina, name)
    if name in vars(_native) and not name.startswith("__"):
        return getattr(_native, name)
    if name in _SCRIPT:
        return getattr(lamina.jit, name)
    if name in _NATIVE or name == "_autograd":
        native = importlib.import_module("lamina.autograd.native")
        return native if name == "_autograd" else getattr(native, name)
    if name == "_functions":
        return importlib.import_module("lamina.autograd.graph")
    if name in ("_is_fwd_grad_enabled", "_set_fwd_grad_enabled"):
        return getattr(importlib.import_module("lamina.autograd.forward_ad"), name)
    raise AttributeError(f"module 'torch._C' has no attribute '{name}'")


TensorBase = _TensorBase = Tensor
_TensorMeta = type(Tensor)
_has_cuda = _has_mps = _has_xpu = False
