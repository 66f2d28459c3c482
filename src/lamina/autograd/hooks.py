"""Hooks on several gradients at once, and on what the graph saves.

Here: the names of torch.autograd.graph that are contexts and handles. Not here: hooks of one tensor (tensor_api.py) or node
(graph.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from lamina.autograd import engine, modes
from lamina.autograd.graph import edge_of
from lamina.autograd.handles import RemovableHandle
from lamina.core.tensor import Tensor


class saved_tensors_hooks:
    """In this context what the graph saves goes through `pack_hook(tensor)`, and comes back through `unpack_hook`.

    The innermost pair is the one that counts. A pack hook must not modify its tensor in place (RuntimeError).
    """

    __module__ = "torch.autograd.graph"

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        now = modes.mode()
        if now.no_hooks is not None:
            raise RuntimeError(now.no_hooks)
        if not (callable(self.pack_hook) and callable(self.unpack_hook)):
            raise TypeError("saved_tensors_hooks: pack_hook and unpack_hook must be callables")
        modes.change(saved_hooks=(*now.saved_hooks, (self.pack_hook, self.unpack_hook)))

    def __exit__(self, *error: object) -> None:
        modes.change(saved_hooks=modes.mode().saved_hooks[:-1])


class save_on_cpu(saved_tensors_hooks):
    """In this context what the graph saves waits on the CPU. All is there already: tensors are kept as they are."""

    __module__ = "torch.autograd.graph"

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.to("cpu")), lambda packed: packed[1].to(packed[0]))


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """In this context `saved_tensors_hooks` raises RuntimeError with this message; so does entering it inside one."""
    now = modes.mode()
    if now.saved_hooks:
        raise RuntimeError(error_message)
    before = now.no_hooks
    modes.change(no_hooks=error_message)
    try:
        yield
    finally:
        modes.change(no_hooks=before)


_allowing: ContextVar[bool] = ContextVar("lamina.mutation_on_saved_tensors", default=False)


class _AllowMutationOnSavedContext:
    """The copies that one `allow_mutation_on_saved_tensors` keeps."""

    __module__ = "torch.autograd.graph"

    def __init__(self) -> None:
        self.open = True

    def clear(self) -> None:
        """Give up the copies: graphs recorded in the context can no longer run backward."""
        self.open = False


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_AllowMutationOnSavedContext]:
    """In this context saved tensors may be modified in place: the graph keeps copies. Backward must run inside it, too."""
    if _allowing.get():
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    context = _AllowMutationOnSavedContext()

    def unpack(copy: Tensor) -> Tensor:
        if not context.open:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
                "in which the graph was originally recorded."
            )
        return copy

    token = _allowing.set(True)
    with saved_tensors_hooks(lambda t: t.clone(), unpack):
        try:
            yield context
        finally:
            _allowing.reset(token)
            context.clear()


class _MultiHandle:
    """Removes the hooks of several tensors."""

    __module__ = "torch.autograd.graph"

    def __init__(self, handles: tuple[RemovableHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple[RemovableHandle, ...]:
        return self.handles

    def __setstate__(self, state: tuple[RemovableHandle, ...]) -> None:
        self.handles = state


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all") -> Any:
    """Call `fn` once in each backward: with the list of gradients when all are known ("all"), or with the first ("any").

    Tensors that a backward does not pass have None in the list. Raises AssertionError for tensors without requires_grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = Lock()
    if mode == "any":
        last: list[Any] = [None]

        def first(grad: Tensor) -> None:
            with lock:
                now = engine.current_run()
                if last[0] is now:
                    return
                last[0] = now
            fn(grad)

        return _MultiHandle(tuple(t.register_hook(first) for t in tensors if t.requires_grad))
    edges = [edge_of(t) for t in tensors]
    if any(e is None for e in edges):
        raise AssertionError("Expected gradient function to be set")
    known: dict[
        int, tuple[Any, int, list[Any], list[int]]
    ] = {}  # by run: (run, how many will come, gradients, how many came)

    def watch(i: int) -> Callable[[Any], None]:
        def inner(grad: Any) -> None:
            now = engine.current_run()
            with lock:
                if id(now) not in known:
                    known[id(now)] = (now, sum(map(engine.will_execute, edges)), [None] * len(edges), [0])
                _, wanted, grads, came = known[id(now)]
                grads[i] = grad
                came[0] += 1
                done = came[0] == wanted
                if done:
                    del known[id(now)]
            if done:
                fn(grads)

        return inner

    return _MultiHandle(tuple(t.register_hook(watch(i)) for i, t in enumerate(tensors)))


@contextmanager
def region_activation_memory_budget(budget: float) -> Iterator[None]:
    """Advice to a compiler about memory; eager code is not affected."""
    yield


def set_warn_on_accumulate_grad_stream_mismatch(enabled: bool) -> None:
    """There are no streams: nothing to warn of."""


def set_override_stale_capture_stream(enabled: bool) -> None:
    """There are no streams."""
