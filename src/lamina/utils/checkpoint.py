"""Checkpointing: part of a forward is computed again in backward, in place of keeping what it saves.

Two kinds. Reentrant: a Function whose backward runs forward again and starts a backward inside the backward. Not reentrant: the
graph is PyTorch's ordinary one, but what it would save is dropped (saved_tensors_hooks) and comes from one more forward when the
first of it is asked for. Not here: the hooks themselves (autograd/hooks.py).
"""

from __future__ import annotations

import contextlib
import enum
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any
from weakref import ref

import lamina
from lamina.autograd import engine, modes
from lamina.autograd.errors import where
from lamina.autograd.function import Function
from lamina.autograd.hooks import saved_tensors_hooks
from lamina.autograd.variable import Variable
from lamina.core.tensor import Tensor
from lamina.core.version import users_place
from lamina.core.warn import warn

__all__ = [
    "CheckpointError", "CheckpointFunction", "CheckpointPolicy", "DefaultDeviceType", "check_backward_validity", "checkpoint",
    "checkpoint_sequential", "create_selective_checkpoint_contexts", "detach_variable", "get_device_states", "noop_context_fn",
    "set_checkpoint_debug_enabled", "set_checkpoint_early_stop", "set_device_states",
]  # fmt: skip

_early_stop: ContextVar[bool | None] = ContextVar("lamina.checkpoint.early_stop", default=None)
_debug: ContextVar[bool | None] = ContextVar("lamina.checkpoint.debug", default=None)


class CheckpointError(RuntimeError):
    """The second forward did not do what the first one did."""

    __module__ = "torch.utils.checkpoint"


class DefaultDeviceType:
    """Which device's random state is kept beside the CPU's. There is none."""

    _type = "cuda"

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        DefaultDeviceType._type = device

    @staticmethod
    def get_device_type() -> str:
        return DefaultDeviceType._type


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def _set(variable: ContextVar[bool | None], value: bool | None) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def set_checkpoint_early_stop(enable: bool) -> Any:
    """In this context: whether the second forward stops as soon as all is there that backward needs."""
    return _set(_early_stop, enable)


def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """In this context: whether errors of `checkpoint` list the lines that saved tensors."""
    return _set(_debug, enabled)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args)`, without keeping what its backward needs: backward runs `function` once more.

    use_reentrant: which kind; False is the one that works everywhere. preserve_rng_state=True: both runs draw the same numbers.
    context_fn: gives the contexts of the first and of the second run. determinism_check: "default" compares shapes and dtypes of
    what the two runs save, "none" does not. Raises CheckpointError where they differ.
    """
    if use_reentrant is None:
        warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, calling "
            "checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but if you need to preserve "
            "the current default behavior, you can pass use_reentrant=True. Refer to docs for more details on the differences between "
            "the two variants.",
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    chosen = _early_stop.get()
    first, second = context_fn()
    frame = _Frame(
        function,
        kwargs,
        preserve,
        second,
        early_stop if chosen is None else chosen,
        determinism_check == "default",
        debug,
    )
    if not modes.is_grad_enabled():
        return function(*args, **kwargs)
    frame.keep_inputs(args)
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        result = function(*args, **kwargs)
    frame.complete = True
    return result


# ---- without reentering ----------------------------------------------------------------------------------------------


class _Stop(Exception):
    """The second forward has saved all that is needed."""


class _Holder:
    """Stands in the graph for a saved tensor."""

    __slots__ = ("__weakref__", "found")

    def __init__(self) -> None:
        self.found: dict[int, Tensor] = {}  # by backward


class _KeepInputs(Function):
    """Saves the inputs of a checkpoint: so an outer checkpoint, or a user's hooks, take care of them too."""

    @staticmethod
    def forward(ctx: Any, dummy: Any, *tensors: Any) -> Any:
        ctx.save_for_backward(*tensors)
        return lamina.empty((0,))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise AssertionError("nobody differentiates this")


class _Frame:
    """One checkpoint: its function and inputs, what it saved, and what the second forward found."""

    def __init__(
        self,
        function: Callable[..., Any],
        kwargs: dict[str, Any],
        preserve: bool,
        second: Any,
        early_stop: bool,
        checks: bool,
        debug: bool,
    ) -> None:
        self.function, self.kwargs, self.second, self.early_stop, self.checks = (
            function,
            kwargs,
            second,
            early_stop,
            checks,
        )
        self.debug = debug if _debug.get() is None else bool(_debug.get())
        self.rng = lamina.get_rng_state() if preserve else None
        self.autocast = modes.mode().autocast
        self.holders: list[ref[_Holder]] = []
        self.seen: list[Any] = []  # of each saved tensor: (shape, dtype)
        self.places: list[Any] = []
        self.done: set[int] = set()  # backwards for which the second forward has run
        self.complete = False

    def keep_inputs(self, args: tuple[Any, ...]) -> None:
        self.at = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.rest = [None if isinstance(a, Tensor) else a for a in args]
        self.kept = tuple(args[i] for i in self.at) if modes.mode().transforms else None
        if self.kept is not None:
            return  # at a level: a Function would have to know what becomes of its batch or tangents
        dummy = lamina.empty((0,), requires_grad=True)
        self.saver = _KeepInputs.apply(dummy, *(args[i] for i in self.at)).grad_fn

    def pack(self, t: Tensor) -> _Holder:
        holder = _Holder()
        self.holders.append(ref(holder))
        self.seen.append((t.shape, t.dtype))
        self.places.append(users_place(2))
        return holder

    def unpack(self, holder: _Holder) -> Tensor:
        # outside of a backward (a look at `_saved_*`) each one is found anew
        run = engine.current_run_id()
        if run < 0:
            run = -next(_looks)
        if run not in self.done:
            self._again(run)
            self.done.add(run)
        if run not in holder.found:
            raise CheckpointError(
                "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. If you are calling "
                "ctx.saved_tensors in backward, make sure to do so only once. Otherwise please open an issue with details on your use "
                "case."
            )
        return holder.found.pop(run)

    def _again(self, run: int) -> None:
        args = list(self.rest)
        tensors = self.saver.saved_tensors if self.kept is None else self.kept
        for i, t in zip(self.at, tensors, strict=True):
            args[i] = t
        second = _Second(self, run)
        with contextlib.ExitStack() as stack:
            if self.rng is not None:
                stack.enter_context(lamina.random.fork_rng(devices=[]))
                lamina.set_rng_state(self.rng)
            before = modes.mode().autocast
            modes.change(autocast=self.autocast)
            stack.callback(lambda: modes.change(autocast=before))
            stack.enter_context(modes.enable_grad())
            stack.enter_context(saved_tensors_hooks(second.pack, lambda t: t))
            try:
                with self.second:
                    self.function(*args, **self.kwargs)
            except _Stop:
                pass
        if self.complete:
            second.check()


class _Second:
    """The second forward: hands each saved tensor to the holder at its position."""

    def __init__(self, frame: _Frame, run: int) -> None:
        self.frame, self.run, self.count = frame, run, 0
        self.seen: list[Any] = []

    def pack(self, t: Tensor) -> Tensor:
        frame = self.frame
        plain = t.detach()  # type: ignore[attr-defined]
        if self.count >= len(frame.holders):
            if frame.complete and not frame.early_stop:
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original forward pass."
                    + self._lines()
                )
            return plain  # type: ignore[no-any-return]
        holder = frame.holders[self.count]()
        if holder is not None:
            holder.found[self.run] = plain
        self.seen.append((t.shape, t.dtype))
        self.count += 1
        if frame.early_stop and frame.complete and self.count == len(frame.holders):
            raise _Stop
        return plain  # type: ignore[no-any-return]

    def check(self) -> None:
        frame = self.frame
        if self.count != len(frame.holders):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(frame.holders)}\n"
                f"Number of tensors saved during recomputation: {self.count}." + self._lines()
            )
        if not frame.checks:
            return
        wrong = [
            f"tensor at position {i}:\nsaved metadata: {_metadata(a)}\nrecomputed metadata: {_metadata(b)}\n"
            for i, (a, b) in enumerate(zip(frame.seen, self.seen, strict=True))
            if a != b
        ]
        if wrong:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the forward "
                f"pass.\n{''.join(wrong)}" + self._lines()
            )

    def _lines(self) -> str:
        if not self.frame.debug:
            return "\nTip: with debug=True this message lists the lines that saved tensors in the first forward."
        return "".join(f"\n  saved  {where(p)}" for p in self.frame.places)


def _metadata(seen: Any) -> dict[str, Any]:
    return {"shape": seen[0], "dtype": seen[1], "device": lamina.device("cpu")}


_looks = itertools.count(2)


# ---- reentrant -------------------------------------------------------------------------------------------------------


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors of a tuple as leaves; other entries as they are. Raises RuntimeError for anything but a tuple."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(t.detach().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t for t in inputs)  # type: ignore[attr-defined]


def check_backward_validity(inputs: Sequence[Any]) -> None:
    """Warn where no input requires grad: no gradient will come."""
    if not any(isinstance(t, Tensor) and t.requires_grad for t in inputs):  # type: ignore[attr-defined]
        warn("None of the inputs have requires_grad=True. Gradients will be None")


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Devices of the arguments and their random states: there is none beside the CPU."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Nothing to set."""


class CheckpointFunction(Function):
    """The reentrant kind."""

    __module__ = "torch.utils.checkpoint"

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.rng = lamina.get_rng_state() if preserve_rng_state else None
        ctx.autocast = modes.mode().autocast
        ctx.at = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.rest = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.at))
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not Variable._execution_engine.is_checkpoint_valid():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` parameter to "
                ".backward(). To resolve this error, you can either set use_reentrant=False, or call .backward() without passing the "
                "`inputs` argument."
            )
        given = list(ctx.rest)
        for i, t in zip(ctx.at, ctx.saved_tensors, strict=True):
            given[i] = t
        args = detach_variable(tuple(given))
        with contextlib.ExitStack() as stack:
            if ctx.rng is not None:
                stack.enter_context(lamina.random.fork_rng(devices=[]))
                lamina.set_rng_state(ctx.rng)
            before = modes.mode().autocast
            modes.change(autocast=ctx.autocast)
            stack.callback(lambda: modes.change(autocast=before))
            stack.enter_context(modes.enable_grad())
            result = ctx.run_function(*args)
        outputs = result if isinstance(result, tuple) else (result,)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if isinstance(o, Tensor) and o.requires_grad]  # type: ignore[attr-defined]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        lamina.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))  # type: ignore[attr-defined]


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run a Sequential (or a list of functions) in `segments` parts, each checkpointed but the last."""
    if use_reentrant is None:
        warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly. In version 2.9 we "
            "will raise an exception if use_reentrant is not passed. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True. Refer to docs for more details on the differences between the "
            "two variants.",
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children() if isinstance(functions, lamina.nn.Sequential) else functions)

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for step in steps[start:end]:
                value = step(value)
            return value

        return forward

    size = len(steps) // segments  # 0 for more parts than steps: range refuses it, as in PyTorch
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(part(start, start + size), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return part(size * (segments - 1), len(steps))(input)


SAC_IGNORED_OPS: set[Any] = set()
"""Operations that selective checkpointing, which is not there, would pass over."""


def _infer_device_type(*args: Any) -> str:
    """The device whose random state is kept beside the CPU's; there is none."""
    return DefaultDeviceType.get_device_type()


class CheckpointPolicy(enum.Enum):
    """What selective checkpointing does with an operation's result."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4


def create_selective_checkpoint_contexts(policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False) -> Any:
    """Selective checkpointing works on PyTorch's dispatcher, which is not there."""
    raise NotImplementedError(
        "selective checkpointing needs PyTorch's dispatcher; checkpoint the parts of the model that should be computed again, each "
        "by a call of checkpoint(..., use_reentrant=False)"
    )
