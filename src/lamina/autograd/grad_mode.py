"""torch.autograd.grad_mode: the modes, and switches that have nothing to switch here."""

from __future__ import annotations

from contextvars import ContextVar

from lamina.autograd.modes import Scoped, enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

_multithreading: ContextVar[bool] = ContextVar("lamina.multithreading", default=True)
_layout_policy: ContextVar[bool] = ContextVar("lamina.layout_policy", default=True)


class _Switch(Scoped):
    """Sets a variable at once; as a context manager it goes back at the end."""

    variable: ContextVar[bool]

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = bool(mode), self.variable.get()
        self.variable.set(self.mode)

    def __enter__(self) -> None:
        self.variable.set(self.mode)

    def __exit__(self, *error: object) -> None:
        self.variable.set(self.before)

    def clone(self) -> _Switch:
        return type(self)(self.mode)


class set_multithreading_enabled(_Switch):
    """Whether backward may use threads of its own. It runs in the caller's either way."""

    __module__ = "torch.autograd.grad_mode"
    variable = _multithreading


class enforce_grad_layout_policy(_Switch):
    """Whether `.grad` gets its tensor's strides. It does."""

    __module__ = "torch.autograd.grad_mode"
    variable = _layout_policy

    def __init__(self, enable: bool = True) -> None:
        super().__init__(enable)


def is_multithreading_enabled() -> bool:
    """What `set_multithreading_enabled` has set."""
    return _multithreading.get()
