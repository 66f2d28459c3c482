"""Switches and questions of PyTorch's native module: what guides its own machinery (scripts, caches, streams, dispatch) does nothing here.

Here: their names, for `torch._C`. Not here: types, and anything that computes.
"""

from __future__ import annotations

import contextlib
import enum
from typing import Any

import lamina
from lamina.autograd import modes
from lamina.backends.cpu import get_cpu_capability as _get_cpu_capability
from lamina.core.tensor import Tensor
from lamina.jit._names import ScriptFunction
from lamina.primitives.overrides import disabled

__all__ = [
    "ScriptDict",
    "ScriptList",
    "ScriptMethod",
    "_DisableTorchDispatch",
    "_TorchFunctionState",
    "_get_cpu_capability",
]


class ScriptList(list[Any]):
    """A list of scripted code: a class to name in isinstance checks."""

    __module__ = "torch"


class ScriptDict(dict[Any, Any]):
    """A dictionary of scripted code."""

    __module__ = "torch"


class ScriptMethod(ScriptFunction):
    """A method of scripted code."""

    __module__ = "torch"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuses."""
        self._refuse()


def _get_privateuse1_backend_name() -> str:
    """The name of a device that a plug-in could register; there are no plug-ins."""
    return "privateuseone"


def _get_all_dtypes() -> list[Any]:
    """Every dtype that tensors can have."""
    names = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128", "bool", "bfloat16",
             "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "uint16", "uint32", "uint64", "float8_e8m0fnu")  # fmt: skip
    return [getattr(lamina, name) for name in names]


# ---- TorchScript's executor, which is not there ----------------------------------------------------------------------


def _jit_set_profiling_executor(enabled: bool) -> bool:
    """There is no executor."""
    return False


_jit_set_profiling_mode = _get_graph_executor_optimize = _jit_set_profiling_executor


def _set_graph_executor_optimize(optimize: bool) -> None:
    """There is no executor."""


def _jit_set_num_profiled_runs(num: int) -> int:
    """There is no executor."""
    return 1


def _jit_clear_class_registry() -> None:
    """Nothing is registered."""


def _get_tracing_state() -> Any:
    """None: nothing is traced."""
    return None


def _is_tracing() -> bool:
    """Nothing is traced."""
    return False


# ---- __torch_function__ ----------------------------------------------------------------------------------------------


class _TorchFunctionState(enum.Enum):
    """Who is asked for `__torch_function__` in this thread."""

    ENABLED = 0
    SUBCLASSES_DISABLED = 1
    ALL_DISABLED = 2


def _get_torch_function_state() -> _TorchFunctionState:
    """Who is asked."""
    return {"subclasses": _TorchFunctionState.SUBCLASSES_DISABLED, "all": _TorchFunctionState.ALL_DISABLED}.get(
        modes.mode().no_overrides, _TorchFunctionState.ENABLED
    )


def _set_torch_function_state(state: _TorchFunctionState) -> None:
    """Say who is asked from now on."""
    names = {_TorchFunctionState.SUBCLASSES_DISABLED: "subclasses", _TorchFunctionState.ALL_DISABLED: "all"}
    modes.change(no_overrides=names.get(state, ""))


def _is_torch_function_enabled() -> bool:
    """Whether subclasses are asked."""
    return not modes.mode().no_overrides


def _is_torch_function_all_disabled() -> bool:
    """Whether modes are not asked, either."""
    return modes.mode().no_overrides == "all"


class _EnableTorchFunction:
    """From when it is made until it is gone, subclasses and modes are asked."""

    def __init__(self) -> None:
        self._before = modes.mode().no_overrides
        modes.change(no_overrides="")

    def __del__(self) -> None:
        modes.change(no_overrides=self._before)


def _get_function_stack_at(index: int) -> Any:
    """The mode that was entered as number `index`."""
    return modes.mode().function_modes[index]


def _len_torch_dispatch_stack() -> int:
    """No TorchDispatchMode can be entered."""
    return 0


def _get_dispatch_mode(key: Any = None) -> None:
    """None is entered."""


def _len_torch_function_stack() -> int:
    """How many TorchFunctionModes are entered."""
    return len(modes.mode().function_modes)


def _pop_torch_function_stack() -> Any:
    """Leave the innermost mode, and return it."""
    *rest, last = modes.mode().function_modes
    modes.change(function_modes=tuple(rest))
    return last


def _push_on_torch_function_stack(mode: Any) -> None:
    """Enter a mode."""
    modes.change(function_modes=(*modes.mode().function_modes, mode))


_DisableTorchDispatch = contextlib.nullcontext
"""There is no `__torch_dispatch__` to switch off."""


# ---- logs and devices ------------------------------------------------------------------------------------------------


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _log_api_usage_metadata(event: str, metadata: dict[str, str]) -> None:
    """Nothing is logged."""


def _cuda_isCurrentStreamCapturing() -> bool:
    """There is no stream."""
    return False


def _cuda_clearCublasWorkspaces() -> None:
    """There is none."""


def _set_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """As `use_deterministic_algorithms`."""
    lamina.use_deterministic_algorithms(mode, warn_only=warn_only)


def _get_deterministic_algorithms() -> bool:
    """As `are_deterministic_algorithms_enabled`."""
    return lamina.are_deterministic_algorithms_enabled()


def _are_functorch_transforms_active() -> bool:
    """Whether a call of `vmap`, `grad` or another transform is running."""
    return bool(modes.mode().transforms)


class PyTorchFileReader:
    """Reads records of PyTorch's own files. Raises NotImplementedError: torch.load does."""

    def __init__(self, name_or_buffer: Any) -> None:
        raise NotImplementedError(
            "PyTorchFileReader: the records of a file are not read one by one; use torch.load, with mmap=True"
        )


DispatchKey = enum.Enum(
    "DispatchKey",
    "Undefined CPU CUDA Meta BackendSelect Autograd AutogradCPU AutogradCUDA AutocastCPU AutocastCUDA AutocastXPU "
    "CompositeExplicitAutograd CompositeImplicitAutograd Functionalize Python",
    module="torch._C",
)


class DispatchKeySet:
    """Some of the keys by which PyTorch finds a kernel. Here a function is found by its name: they choose nothing."""

    def __init__(self, *keys: Any) -> None:
        self._keys = frozenset(keys)

    def has(self, key: Any) -> bool:
        """Whether `key` is one of them."""
        return key in self._keys

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*(self._keys | other._keys))


class _ExcludeDispatchKeyGuard(contextlib.nullcontext[None]):
    """A context without effect."""

    def __init__(self, keys: Any) -> None:
        super().__init__()


@staticmethod  # a class takes it as its __torch_function__: it is not bound there
def _disabled_torch_function_impl(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Run `func` as on plain tensors; results are plain ones."""
    return disabled(Tensor, func, types, args, kwargs)
