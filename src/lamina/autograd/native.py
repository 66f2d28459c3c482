"""What programs ask PyTorch's native module about a backward that runs, and about versions: torch._C's names.

Here: questions to the engine, and contexts that stand on them. Not here: the engine itself (engine.py), names of other kinds
(lamina/_C.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import ref

from lamina.autograd import engine, modes
from lamina.autograd.grad_mode import is_multithreading_enabled, set_multithreading_enabled
from lamina.autograd.graph import AccumulateGrad, Node, accumulator, edge_of, make
from lamina.autograd.hooks import saved_tensors_hooks
from lamina.autograd.saved import AliasNode, Packed, SavedOutput, SavedTensor
from lamina.core.tensor import Tensor, version

__all__ = ["SavedTensor"]

_is_multithreading_enabled = is_multithreading_enabled


def _set_multithreading_enabled(enabled: bool) -> None:
    set_multithreading_enabled(enabled)


# ---- the backward that this thread is in -------------------------------------------------------------------------------


def _current_graph_task_id() -> int:
    """A number of the backward that this thread is in; -1 outside."""
    return engine.current_run_id()


def _current_autograd_node() -> Any:
    """The node that this thread's backward runs; None outside."""
    return engine.current_node()


def _get_current_graph_task_keep_graph() -> bool:
    """Whether the backward that this thread is in keeps what nodes saved. Outside of one: True, as nothing is freed."""
    run = engine.current_run()
    return run is None or run.keep


def _will_engine_execute_node(node: Any) -> bool:
    """Whether the backward that this thread is in runs `node`. Raises RuntimeError outside of one."""
    if not isinstance(node, Node):
        raise RuntimeError(f"_will_engine_execute_node expects an grad_fn, but got {type(node).__name__}")
    run = engine.current_run()
    if run is None:
        raise RuntimeError("_get_should_execute_nodes should only be called during the backward pass")
    if isinstance(node, AccumulateGrad):
        return engine.will_execute(node.variable)
    return engine.will_execute(node)


def _current_graph_task_execution_order() -> list[Any]:
    """The nodes that the backward that this thread is in runs, in order. Raises RuntimeError outside of one."""
    run = engine.current_run()
    if run is None:
        raise RuntimeError("_current_graph_task_execution_order should only be called during the backward pass")
    if run.captures is not None:
        raise RuntimeError(
            "_current_graph_task_execution_order does not support running with inputs= specified, or autograd.grad()"
        )
    awaited: dict[Any, int] = {}
    for node in run.order:
        for edge in node._edges:
            if isinstance(edge, Tensor):
                awaited[edge] = awaited.get(edge, 0) + 1
    found: list[Any] = []
    for node in run.order:
        found.append(node)
        for edge in node._edges:
            if isinstance(edge, Tensor):
                awaited[edge] -= 1
                if not awaited[edge]:
                    found.append(accumulator(edge))
    return found


# ---- tensors -----------------------------------------------------------------------------------------------------------


class _WeakTensorRef:
    """A reference that does not keep its tensor."""

    __module__ = "torch._C"

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = ref(tensor)

    def expired(self) -> bool:
        return self._tensor() is None


# ---- versions ----------------------------------------------------------------------------------------------------------


def _unsafe_set_version_counter(tensors: Sequence[Tensor], versions: Sequence[int]) -> None:
    """Let tensors be at these versions: what was saved at another is then refused, or not."""
    for t, n in zip(tensors, versions, strict=True):
        version(t).n = n


@contextmanager
def _unsafe_preserve_version_counter(tensors: Tensor | tuple[Tensor, ...]) -> Iterator[None]:
    """Writes in this context are not counted."""
    several = (tensors,) if isinstance(tensors, Tensor) else tensors
    before = [t._version for t in several]
    try:
        yield
    finally:
        _unsafe_set_version_counter(several, before)


# ---- what is saved -----------------------------------------------------------------------------------------------------


def _push_saved_tensors_default_hooks(pack_hook: Any, unpack_hook: Any) -> None:
    saved_tensors_hooks(pack_hook, unpack_hook).__enter__()


def _pop_saved_tensors_default_hooks() -> None:
    modes.change(saved_hooks=modes.mode().saved_hooks[:-1])


def _make_saved_tensor(tensor: Tensor, is_output: bool = False) -> SavedTensor:
    """`tensor` as an operation's node keeps it: through the hooks of the context."""
    edge = edge_of(tensor)
    node: Any = make(AliasNode, (edge,))
    held = int(version(tensor).n)
    hooks = modes.mode().saved_hooks
    kept = Packed(tensor, hooks[-1], edge) if hooks else SavedOutput(tensor, version(tensor)) if is_output else tensor
    node._saved, node._versions = (kept,), (held,)
    return SavedTensor(node, 0)


def _saved_tensors_hooks_is_enabled() -> bool:
    """Whether `saved_tensors_hooks` may be entered."""
    return modes.mode().no_hooks is None


def _saved_tensors_hooks_get_disabled_error_message() -> str | None:
    """What entering `saved_tensors_hooks` would raise; None where it may be entered."""
    return modes.mode().no_hooks


def _saved_tensors_hooks_disable(error_message: str) -> None:
    modes.change(no_hooks=error_message)


def _saved_tensors_hooks_enable() -> None:
    modes.change(no_hooks=None)
