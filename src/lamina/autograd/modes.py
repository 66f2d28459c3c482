"""Modes: one context variable that says what differs from the default in this thread.

Here: the variable, grad and inference modes as context managers and decorators. `current() is None` is the default (gradients
are recorded, nothing else listens), so that an operation's common case is one test. Not here: what the modes do.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from threading import local
from typing import Any

from lamina.core.warn import warn


class Mode:
    """The settings of a thread. Immutable: to change one is to set another object."""

    __slots__ = (
        "anomaly",
        "asked",
        "autocast",
        "forward_level",
        "function_modes",
        "grad",
        "inference",
        "listener",
        "no_hooks",
        "no_overrides",
        "plain",
        "saved_hooks",
        "transforms",
    )

    grad: bool  # operations are recorded
    inference: bool  # results are inference tensors
    saved_hooks: tuple[Any, ...]  # (pack, unpack) pairs, innermost last
    function_modes: tuple[Any, ...]  # TorchFunctionMode objects, innermost last
    transforms: tuple[Any, ...]  # the open levels of vmap, jvp and dual_level, innermost last
    forward_level: bool  # gradients in forward mode are on
    anomaly: Any  # None, or whether NaN is looked for
    autocast: Any  # None, or the dtype that matrix products are computed in
    listener: Any  # the compiler's capture
    no_hooks: str | None  # saved_tensors_hooks are refused, with this message
    asked: Any  # the innermost of function_modes, unless they are passed over
    no_overrides: str  # "subclasses": their __torch_function__ is passed over; "all": that of modes, too
    plain: bool  # nothing but `grad` differs from the default, for plain tensors: those in no batch

    def __init__(self, **changes: Any) -> None:
        self.grad, self.inference, self.saved_hooks, self.function_modes = True, False, (), ()
        self.no_overrides, self.no_hooks = "", None
        self.transforms, self.anomaly, self.autocast, self.listener, self.forward_level = (), None, None, None, True
        for name, value in changes.items():
            setattr(self, name, value)
        entered: tuple[Any, ...] = self.function_modes
        self.asked = entered[-1] if entered and self.no_overrides != "all" else None
        levels: tuple[Any, ...] = self.transforms
        self.plain = not (
            self.inference or self.saved_hooks or self.asked is not None or self.anomaly or self.autocast or self.listener
            or any(level.size is None for level in levels)
        )  # fmt: skip

    def but(self, **changes: Any) -> Mode | None:
        """This mode with some settings changed; None when that is the default."""
        settings = {k: getattr(self, k) for k in self.__slots__ if k not in ("plain", "asked")} | changes
        made = Mode(**settings)
        default = made.plain and made.grad and made.forward_level and not made.no_overrides and made.no_hooks is None
        return None if default and not made.transforms else made


class _Thread(local):
    transforms = 0


_thread = _Thread()


class Transforming:
    """Inside, a transform of torch.func runs a user's function (given False: not so), which may not ask for all of autograd."""

    __slots__ = ("before", "inside")

    def __init__(self, inside: bool = True) -> None:
        self.inside = inside

    def __enter__(self) -> int:
        self.before = _thread.transforms
        _thread.transforms = self.before + 1 if self.inside else 0
        return _thread.transforms

    def __exit__(self, *error: object) -> None:
        _thread.transforms = self.before


def transforming() -> int:
    """In how many transforms of torch.func, one inside the other, this thread runs a function; 0: in none."""
    return _thread.transforms


DEFAULT = Mode()
NO_GRAD = Mode(grad=False)
INSIDE_FUNCTION = Mode(grad=False, forward_level=False)
_current: ContextVar[Mode | None] = ContextVar("lamina.mode", default=None)
current = _current.get
reset = _current.reset
set_current = _current.set


def mode() -> Mode:
    """This thread's settings, as an object also where they are the default."""
    return _current.get() or DEFAULT


def change(**changes: Any) -> Any:
    """Set some settings; returns what `reset` takes."""
    if len(changes) == 1 and "grad" in changes:
        return _current.set(with_grad(_current.get(), changes["grad"]))
    return _current.set(mode().but(**changes))


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    now = _current.get()
    return now is None or now.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode."""
    now = _current.get()
    return now is not None and now.inference


class Scoped:
    """A context manager that is a decorator too, of functions, generators and (deprecated in PyTorch too) classes."""

    def __call__(self, function: Any) -> Any:
        if inspect.isclass(function):
            warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
                "methods. To preserve the current behavior of class decoration, you can directly decorate the `__init__` method and "
                "nothing else.",
                FutureWarning,
            )
            function.__init__ = self(function.__init__)  # type: ignore[method-assign]
            return function
        if inspect.isgeneratorfunction(function):
            return _around_generator(self.clone, function)

        @functools.wraps(function)
        def scoped(*args: Any, **kwargs: Any) -> Any:
            before = _current.get()
            try:
                with self.clone():
                    return function(*args, **kwargs)
            except BaseException:  # an interrupt may come on the way into `__exit__`
                _current.set(before)
                raise

        return scoped

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *error: object) -> None:
        raise NotImplementedError

    def clone(self) -> Any:
        return type(self)()


def _around_generator(context: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The mode holds while the generator's own code runs, and not between its yields."""

    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Any:
        with context():
            inner = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, inner)
        try:
            while True:
                with context():
                    value = step()
                try:
                    sent = yield value
                except GeneratorExit:
                    with context():
                        inner.close()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.throw, error)
                else:
                    step = functools.partial(inner.send, sent)
        except StopIteration as stop:
            return stop.value

    return generator


class _GradMode(Scoped):
    wanted = True

    def __init__(self, orig_func: Any = None) -> None:
        self.tokens: list[bool] = []

    def __new__(cls, orig_func: Any = None) -> Any:
        # `@no_grad` without parentheses
        self = object.__new__(cls)
        if orig_func is None:
            return self
        self.tokens = []
        return self(orig_func)

    def __enter__(self) -> None:
        now = _current.get()
        before = now is None or now.grad
        try:
            _current.set(with_grad(now, self.wanted))
        except BaseException:  # an interrupt: `with` is not inside yet
            _current.set(now)
            raise
        self.tokens += (before,)  # no call: where an interrupt would come

    def __exit__(self, *error: object) -> None:
        before = self.tokens[-1]
        del self.tokens[-1]
        # only the grad setting goes back: other contexts may end in another order
        try:
            _current.set(with_grad(_current.get(), before))
        except BaseException:
            _current.set(with_grad(_current.get(), before))
            raise


def with_grad(now: Mode | None, wanted: bool) -> Mode | None:
    if now is None or now is NO_GRAD:
        return None if wanted else NO_GRAD
    return now.but(grad=wanted)


class no_grad(_GradMode):
    """Operations in this context, or in the decorated function, are not recorded."""

    __module__ = "torch.autograd.grad_mode"
    wanted = False


class enable_grad(_GradMode):
    """Operations in this context, or in the decorated function, are recorded, also inside `no_grad`."""

    __module__ = "torch.autograd.grad_mode"


class set_grad_enabled(Scoped):
    """Record operations or not, from the call on; as a context manager, until its end."""

    __module__ = "torch.autograd.grad_mode"

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = bool(mode), is_grad_enabled()
        change(grad=self.mode)

    def __repr__(self) -> str:
        return f"{self.__module__}.set_grad_enabled(mode={self.mode})"

    def __call__(self, function: Any) -> Any:
        change(grad=self.before)  # as a decorator it changes nothing now
        return super().__call__(function)

    def __enter__(self) -> None:
        change(grad=self.mode)

    def __exit__(self, *error: object) -> None:
        change(grad=self.before)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)


class inference_mode(Scoped):
    """Operations in this context are not recorded, and their results can never be."""

    __module__ = "torch.autograd.grad_mode"

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if isinstance(mode, bool):
            return self
        self.mode, self.tokens = True, []
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self.tokens: list[Any] = []

    def __enter__(self) -> None:
        now = _current.get()
        try:
            self.tokens += (change(inference=self.mode, grad=not self.mode),)
        except BaseException:  # an interrupt: `with` is not inside yet
            _current.set(now)
            raise

    def __exit__(self, *error: object) -> None:
        token = self.tokens[-1]
        del self.tokens[-1]
        reset(token)

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)
