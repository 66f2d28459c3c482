"""Names of `__torch_dispatch__`, which lamina has not: modes refuse to be entered, probes say that none is there."""

from __future__ import annotations

from typing import Any, NoReturn

_WHY = "there is no __torch_dispatch__; use __torch_function__ or torch.overrides.TorchFunctionMode"


class TorchDispatchMode:
    """A class to name and to derive from; entering an object of it raises NotImplementedError."""

    def __init__(self, _dispatch_key: Any = None) -> None:
        self._dispatch_key = _dispatch_key

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """For derived classes."""
        raise NotImplementedError(f"TorchDispatchMode: {_WHY}")

    def __enter__(self) -> NoReturn:
        raise NotImplementedError(f"TorchDispatchMode: {_WHY}")

    def __exit__(self, *error: object) -> None:
        """Nothing was entered."""


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """False: wrappers need `__torch_dispatch__`."""
    return False


def is_traceable_wrapper_subclass_type(t: type) -> bool:
    """False."""
    return False


def is_in_torch_dispatch_mode(include_infra_modes: bool = True) -> bool:
    """False."""
    return False


def _get_current_dispatch_mode() -> None:
    """None."""


def _get_current_dispatch_mode_stack() -> list[Any]:
    """Empty."""
    return []


def return_and_correct_aliasing(func: Any, args: Any, kwargs: Any, out: Any) -> NoReturn:
    """Refuses."""
    raise NotImplementedError(f"return_and_correct_aliasing: {_WHY}")


def transform_subclass(t: Any, callback: Any, outer_size: Any = None, outer_stride: Any = None) -> NoReturn:
    """Refuses."""
    raise NotImplementedError(f"transform_subclass: {_WHY}")
