"""`autocast`: the context in which matrix products run in a lower precision, and the settings around it.

The setting itself is this thread's mode (autograd/modes.py, `autocast`: None, or the dtype). Only the CPU has one:
asking for another device's autocast warns and does nothing, as PyTorch does on a machine without that device.
"""

import functools
from collections.abc import Callable
from typing import Any

import lamina
from lamina.autograd import modes
from lamina.core.device import device
from lamina.core.dtype import dtype as DType
from lamina.core.warn import warn

__all__ = [
    "autocast",
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "clear_autocast_cache",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "get_autocast_gpu_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
]

CPU_DTYPES = (lamina.bfloat16, lamina.float16)
_WITH_AUTOCAST = ("cpu", "cuda", "xpu", "hpu", "ipu", "mps", "mtia", "maia", "xla", "privateuseone")
_default_dtypes: dict[str, DType] = dict.fromkeys(_WITH_AUTOCAST, lamina.float16) | {
    "cpu": lamina.bfloat16,
    "xla": lamina.bfloat16,
}


class _Settings:
    """Settings of the process that change no result: there is no cache of casts."""

    cache_enabled = True
    nesting = 0


def is_autocast_available(device_type: str) -> bool:
    """Whether PyTorch knows autocast for this type of device."""
    return device(device_type).type in _WITH_AUTOCAST


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is inside an enabled autocast of this type of device."""
    return device_type == "cpu" and modes.mode().autocast is not None


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast on or off in this thread. With one argument it is meant for CUDA and changes nothing here."""
    if device_type == "cpu":
        modes.change(autocast=_default_dtypes["cpu"] if enabled else None)


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast computes in unless it is told another."""
    if not is_autocast_available(device_type):
        raise RuntimeError(f"Unexpected device type for autocast: {device_type}")
    current = modes.mode().autocast
    return current if device_type == "cpu" and current is not None else _default_dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Set the dtype that autocast computes in unless it is told another."""
    _default_dtypes[device_type] = dtype
    if is_autocast_enabled(device_type):
        modes.change(autocast=dtype)


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """`set_autocast_enabled("cpu", enabled)`."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> DType:
    """`get_autocast_dtype("cpu")`."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: DType) -> None:
    """`set_autocast_dtype("cpu", dtype)`."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> DType:
    """`get_autocast_dtype("cuda")`."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: DType) -> None:
    """`set_autocast_dtype("cuda", dtype)`, under its old name."""
    set_autocast_dtype("cuda", dtype)


def is_autocast_cache_enabled() -> bool:
    """The setting; casts are not cached here."""
    return _Settings.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Remember the setting; casts are not cached here."""
    _Settings.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Nothing: casts are not cached here."""


def autocast_increment_nesting() -> int:
    """Count one more autocast region; the new depth."""
    _Settings.nesting += 1
    return _Settings.nesting


def autocast_decrement_nesting() -> int:
    """Count one autocast region less; the new depth."""
    _Settings.nesting -= 1
    return _Settings.nesting


class autocast:
    """Compute matrix products and convolutions in `dtype` inside this context, or in the decorated function.

    Parameters
    ----------
    device_type
        "cpu"; with another known type the context warns and does nothing.
    dtype
        bfloat16 (the default) or float16; with another one the context warns and does nothing.
    enabled
        False: everything in its own precision, also inside an enabled autocast.
    cache_enabled
        Accepted; casts are not cached.
    """

    __module__ = "torch.amp.autocast_mode"

    def __init__(
        self, device_type: str, dtype: DType | None = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if not is_autocast_available(device_type):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
        self.device = device_type
        self.fast_dtype = _default_dtypes[device_type] if dtype is None else dtype
        self._enabled = enabled
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._outer: list[DType | None] = []
        if not enabled:
            return
        if device_type != "cpu":
            warn(
                f"User provided device_type of {device_type!r}, but {device_type.upper()} is not available. Disabling",
            )
            self._enabled = False
        elif self.fast_dtype not in CPU_DTYPES:
            supported = ", ".join(str(each) for each in CPU_DTYPES)
            warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"CPU Autocast only supports dtype of {supported} currently.",
            )
            self._enabled = False

    def __enter__(self) -> "autocast":
        self._outer.append(modes.mode().autocast)
        if self.device == "cpu":
            modes.change(autocast=self.fast_dtype if self._enabled else None)
        return self

    def __exit__(self, *error: object) -> None:
        # only this setting goes back: other contexts may end in another order
        modes.change(autocast=self._outer.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def in_autocast(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return in_autocast


def _cast(value: Any, device_type: str, dtype: DType) -> Any:
    """Floating tensors of the device to `dtype`, also inside lists, tuples and dicts; float64 stays."""
    if isinstance(value, lamina.Tensor):
        eligible = value.is_floating_point() and value.device.type == device_type and value.dtype != lamina.float64
        return value.to(dtype) if eligible else value
    if isinstance(value, dict):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, device_type, dtype) for item in value)
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """For the forward of an `autograd.Function`: cast its inputs to `cast_inputs` and switch autocast off inside."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_autocast_enabled(device_type)
        if cast_inputs is None or not ctx._fwd_used_autocast:
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """For the backward of an `autograd.Function`: run it in the autocast state of its forward."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *grads: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *grads)

    return backward
