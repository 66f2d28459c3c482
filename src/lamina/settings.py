"""Program-wide settings and questions at torch's top level: threads, determinism, default dtype and device, is_tensor & co.

Here: what programs set or ask once. Not here: modes of a thread (autograd/modes.py).
"""

from __future__ import annotations

from typing import Any

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.tensor import Tensor
from lamina.core.threads import THREADS
from lamina.core.threads import get_num_threads as get_num_threads
from lamina.core.typed_storage import LEGACY as STORAGES
from lamina.core.warn import always
from lamina.primitives.overridable import overridable

_state: dict[str, Any] = {
    "interop": None, "deterministic": False, "warn_only": False, "precision": "highest", "flush": False,
}  # fmt: skip


def set_num_threads(num: int) -> None:
    """Set how many threads an operation may use. Raises RuntimeError for fewer than one."""
    if not isinstance(num, int) or isinstance(num, bool):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    THREADS[0] = num


def get_num_interop_threads() -> int:
    """How many operations may run side by side: one."""
    return int(_state["interop"] or 1)


def set_num_interop_threads(num: int) -> None:
    """Accepted; operations run one after another."""
    if num < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _state["interop"] = num


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: lamina's algorithms are deterministic."""
    _state["deterministic"], _state["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What was last given to `use_deterministic_algorithms`."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `warn_only` was asked for."""
    return bool(_state["deterministic"] and _state["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same by number or name: 0 "default", 1 "warn", 2 "error"."""
    level = (
        {"default": 0, "warn": 1, "error": 2}.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    )
    if level not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected `default`, `warn`, `error`, 0, 1 or 2 but got {debug_mode}"
        )
    use_deterministic_algorithms(bool(level), warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2."""
    return 0 if not _state["deterministic"] else 1 if _state["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: products of float32 are computed in float32."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"{precision} is not one of 'highest', 'high', or 'medium'; precision is unchanged")
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What was last set."""
    return str(_state["precision"])


def set_flush_denormal(mode: bool) -> bool:
    """Whether denormals can be flushed: no."""
    return False


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that come once come always."""
    always[0] = bool(b)


def is_warn_always_enabled() -> bool:
    """What was last set."""
    return always[0]


def set_default_device(device: Any) -> None:
    """Where this thread's factories make tensors that are given no device; None: on the CPU. Raises for a device that is not there."""
    contexts = devices.defaults.get()[1:]
    default = None if device is None else devices.as_device(device)
    devices.defaults.set((default, *contexts) if default is not None or contexts else ())


def get_default_device() -> devices.device:
    """What `set_default_device`, or the innermost `with torch.device(...)`, says; else the CPU."""
    set_by_user = devices.defaults.get()
    return set_by_user[-1] if set_by_user else devices.cpu


def set_default_tensor_type(t: Any, /) -> None:
    """Set the default dtype by the name of a legacy tensor type."""
    name = t if isinstance(t, str) else f"torch.{t.__name__}"
    for d in dtypes.DTYPES:
        if name in (f"torch.{d.alias}", f"torch.cuda.{d.alias}"):
            dtypes.set_default_dtype(d)
            return
    raise TypeError(f"invalid type object: {t!r}")


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    from lamina.core.storage import UntypedStorage
    from lamina.core.typed_storage import TypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


@overridable
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is floating."""
    return input.is_floating_point()


@overridable
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.is_complex()


@overridable
def is_conj(input: Tensor) -> bool:
    """Whether the conjugate bit is set: never, lamina conjugates at once."""
    return False


@overridable
def is_neg(input: Tensor) -> bool:
    """Whether the negative bit is set: never."""
    return False


@overridable
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


@overridable
def numel(input: Tensor) -> int:
    """How many elements `input` has."""
    if not isinstance(input, Tensor):
        raise TypeError(f"numel(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return input.numel()


def typename(obj: Any, /) -> str:
    """The name of an object's type; of a tensor, its legacy type."""
    if isinstance(obj, Tensor):
        return str(obj.type())  # type: ignore[attr-defined]
    module = getattr(obj, "__module__", "") or ""
    cls = obj if isinstance(obj, type) else type(obj)
    prefix = module + "." if module and module not in ("builtins", "__main__", "__builtin__") else ""
    return prefix + cls.__qualname__


def compiled_with_cxx11_abi() -> bool:
    """True, as PyTorch's builds answer."""
    return True


def _legacy(d: dtypes.dtype) -> Any:
    class Meta(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, Tensor) and instance.dtype is d

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            from lamina.primitives.protocol import legacy

            return legacy(Tensor, d, args, typed=True)

        def __repr__(cls) -> str:
            return f"<class 'torch.{d.alias}'>"

    return Meta(d.alias, (), {"dtype": d, "__module__": "torch", "is_cuda": False, "layout": devices.strided})


LEGACY: dict[str, Any] = {
    **STORAGES,
    "Storage": STORAGES["FloatStorage"],
    **{d.alias: _legacy(d) for d in dtypes.DTYPES if not d.name.startswith(("float8", "uint16", "uint32", "uint64"))},
}
