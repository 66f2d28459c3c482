"""What happens at a leaf, and the hooks: gradients shown to users, and accumulated.

Here: accumulation into `.grad`, hooks of tensors and nodes and the checks of what they return. Not here: the order of it all
(engine.py).
"""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any

import numpy as np

from lamina.autograd import errors, modes
from lamina.autograd.graph import NOWHERE, Node, accumulator, several
from lamina.core.device import contiguous_format
from lamina.core.strided import Array, is_dense, overlaps_itself, writable
from lamina.core.tensor import LEAF, More, Tensor, more, version, wrap

_LOCKS = tuple(Lock() for _ in range(64))
getrefcount = sys.getrefcount
alone_count = 0
"""How many references the engine itself holds where `_alone` looks; the engine tries it out."""


def finish(leaf: Tensor, g: Any, create: bool, own: bool, direct: bool) -> None:
    """The whole cotangent of a leaf has come: hooks, accumulation, hooks.

    own: the array is this run's; direct: it came straight from a node, so that the number of references tells whether it is.
    """
    about = leaf._more
    if about is None:
        about = leaf._more = More()
    extra = about.accumulate_extra
    if about.grad_dtype:
        g, own, direct = as_wanted(about, g, create), False, False
    if about.hooks is None and extra is None:
        if g is not None:
            accumulate(leaf, g, create, own or (direct and _alone(g)))
    else:
        if about.hooks:
            g = through(about.hooks, g, create)
        if extra is not None and extra.pre_hooks:
            g = pre_hooks(accumulator(leaf), extra, g, create)
        if g is not None:
            accumulate(leaf, g, create, False)  # a hook may have kept it
    if about.post_hooks:
        _post_accumulate(about.post_hooks, leaf)
    if extra is not None and extra.post_hooks:
        after(extra, (), g, accumulator(leaf), create)


def as_wanted(about: Any, g: Any, create: bool) -> Any:
    """The cotangent of a leaf in the dtype that its user has set for it."""
    if g is None:
        return None
    return g.to(about.grad_dtype) if create else g.astype(about.grad_dtype.np)


def accumulate(leaf: Tensor, g: Any, create: bool, own: bool) -> None:
    """Add a cotangent to `leaf.grad`: in place, or out of place where the backward is recorded. own: the array may be kept."""
    node = leaf._node
    if node is not LEAF:
        if node is None:
            return  # it does not require grad any more
        if node is not NOWHERE:  # a view whose base has a history since
            raise RuntimeError("leaf variable has been moved into the graph interior")
    about = more(leaf)
    if create:
        before = about.grad
        if not modes.is_grad_enabled() and g._more is not None and g._more.tangents:
            g = wrap(g._array, g._kind)  # what is accumulated unrecorded has no tangent either
        if before is None:
            about.grad = wrap(_empty(leaf, g._array), g._kind).copy_(g)
        elif modes.is_grad_enabled():
            about.grad = before + g
        else:  # a recorded run of the compiler's: Tensors, but no graph
            before.add_(g)
        return
    with _LOCKS[(id(leaf) >> 4) & 63]:
        before = about.grad
        if before is None:
            kind = leaf._kind if about.grad_dtype is False else None
            if own and g.flags.carray and leaf._array.flags.c_contiguous:
                about.grad = wrap(g, kind)
            else:
                made = _empty(leaf, np.asarray(g))
                np.copyto(made, g)
                about.grad = wrap(made, kind)
        else:
            target = before._array
            if target.dtype is g.dtype and target.flags.carray:
                target += g
            elif overlaps_itself(target):
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                    "Please clone() the tensor before performing the operation."
                )
            else:
                np.add(target, g, out=target, casting="unsafe")
            version(before).bump("add_", None)


def forgotten(leaf: Tensor) -> None:
    """The gradient of `leaf` is about to be thrown away: a recording then need not ask whether there was one."""
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.forget_grad(leaf)


def _empty(leaf: Tensor, g: Array) -> Array:
    """Memory for the gradient of `leaf`: with the leaf's strides where they are dense, else contiguous."""
    like = leaf._array
    if like.flags.c_contiguous or not is_dense(like):
        return np.empty(g.shape, g.dtype)
    return np.empty_like(like, dtype=g.dtype)


def _alone(g: Any) -> bool:
    """Whether nobody but the engine's own calls holds this array, so that the leaf may keep it.

    Or the whole array that it is a view of: turned and turned back, or of another shape.
    """
    if g.__class__ is not np.ndarray or getrefcount(g) > alone_count:
        return False
    base = g.base
    return base is None or (
        base.__class__ is np.ndarray
        and base.base is None
        and getrefcount(base) <= 3  # `base`, the view's own, the argument
        and base.nbytes == g.nbytes
    )


# ---- hooks -----------------------------------------------------------------------------------------------------------


def through(hooks: Any, value: Any, create: bool) -> Any:
    """The gradient after a tensor's hooks, each of which may replace it. They see None where no gradient came."""
    t = value if create or value is None else wrap(writable(value))
    for hook in tuple(hooks.values()):
        result = hook(t)
        if result is not None:
            if t is None:
                raise RuntimeError("can't replace a None gradient with a non-None value")
            t = _checked(hook, result, t)
    return t if create or t is None else t._array


def _post_accumulate(hooks: Any, leaf: Tensor) -> None:
    """Hooks of a leaf whose gradient is there; PyTorch hands on what one returns, and then complains."""
    shown: Any = leaf
    complain = False
    for hook in tuple(hooks.values()):
        result = hook(shown)
        if result is not None:
            shown, complain = _checked(hook, result, None), True
    if complain:
        raise RuntimeError("Tensor post accumulate grad hooks should return None.")


def _checked(hook: Any, result: Any, t: Any) -> Any:
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    if t is not None and result._array.shape != t._array.shape:
        raise errors.HookShapeError(hook, t, result)
    if t is not None and result._kind is not t._kind:
        raise errors.HookTypeError(hook, t, result)
    return result


def tensor_hooks(node: Node, extra: Any, g: Any, create: bool) -> Any:
    """The hooks of the tensors that are this node's outputs; then, whenever it was asked for, their gradients are kept."""
    listed = several(node)
    if listed and g is None:
        g = [None] * node._width
    for nr, hooks in tuple(extra.tensor_hooks.items()):
        if listed:
            g[nr] = through(hooks, g[nr], create)
        else:
            g = through(hooks, g, create)
    for nr, held in tuple(extra.retain.items()):
        t, value = held(), g[nr] if listed else g
        if t is not None and value is not None:
            about = more(t)
            value = value.clone(memory_format=contiguous_format) if create else wrap(np.array(value, order="C"))
            about.grad = value if about.grad is None else about.grad + value
    return None if listed and all(v is None for v in g) else g


def pre_hooks(node: Node, extra: Any, g: Any, create: bool) -> Any:
    """The node's own hooks, which see its cotangents together."""
    listed = several(node)
    values = (tuple(g) if g is not None else (None,) * node._width) if listed else (g,)
    shown = _shown(values, create)
    for hook in tuple(extra.pre_hooks.values()):
        result = hook(shown)
        if result is not None:
            shown = _checked_tuple(hook, result, shown)
    values = _bare(shown, create)
    if listed:
        return None if all(v is None for v in values) else list(values)
    return values[0]


def after(extra: Any, results: Any, g: Any, node: Node, create: bool, nothing: bool = False) -> Any:
    """Post-hooks: they see what the node returned and what it was given (nothing: that is gone)."""
    given = (tuple(g) if g is not None else (None,) * node._width) if several(node) else (g,)
    results = [results[i] if i < len(results) and edge is not NOWHERE else None for i, edge in enumerate(node._edges)]
    if nothing:
        given = ()
    seen = node._shown
    ins, given = _shown(tuple(None if i is None else results[i] for i in seen), create), _shown(given, create)
    for hook in tuple(extra.post_hooks.values()):
        changed = hook(ins, given)
        if changed is not None:
            ins = _checked_tuple(hook, changed, ins)
    for i, r in zip(seen, _bare(ins, create), strict=True):
        if i is not None:
            results[i] = r
    return results


def _shown(values: tuple[Any, ...], create: bool) -> tuple[Any, ...]:
    return values if create else tuple(None if v is None else wrap(writable(v)) for v in values)


def _bare(values: tuple[Any, ...], create: bool) -> tuple[Any, ...]:
    return values if create else tuple(None if v is None else v._array for v in values)


def _checked_tuple(hook: Any, result: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a hook of a node returned, one for each value that it saw."""
    if not isinstance(result, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(result).__name__}'")
    if len(result) != len(before):
        name = getattr(hook, "__name__", repr(hook))
        raise RuntimeError(
            f"hook '{name}' has returned an incorrect number of values (got {len(result)}, but expected {len(before)})"
        )
    return tuple(None if r is None else _checked(hook, r, t) for r, t in zip(result, before, strict=True))
