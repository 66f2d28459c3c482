"""`autograd.Function` inside vmap and forward mode: its staticmethods `vmap` and `jvp`, and the generated rule.

Here: what `Function.apply` does while levels are open. Not here: Function itself (function.py), levels (primitives/levels.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.autograd import modes
from lamina.autograd.function import Function, FunctionCtx
from lamina.autograd.function_call import applied
from lamina.core.tensor import Tensor, wrap
from lamina.core.version import users_place
from lamina.primitives.levels import (
    Batched,
    Level,
    batched,
    check_dual,
    in_batch,
    tangent_of,
    value_at,
    whole_of,
    with_tangent,
)
from lamina.primitives.registry import Slots
from lamina.primitives.transforms import innermost_tangent
from lamina.primitives.wrapping import as_given
from lamina.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_map, tree_structure

_MORE = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"


class VmapInfo(NamedTuple):
    """What a Function's `vmap` is told of the batch."""

    batch_size: int
    randomness: str


def call(cls: type[Function], args: tuple[Any, ...]) -> Any:
    """Carry out `cls.apply(*args)` at the innermost level that an argument takes part in; NotImplemented where none does."""
    tensors = [a for a in tree_flatten(args)[0] if isinstance(a, Tensor)]
    levels = [t._level for t in tensors if t.__class__ is Batched and not t._level.direct]
    if levels:
        return _with_batch(cls, args, max(levels, key=lambda level: level.id))
    level = innermost_tangent([whole_of(t) for t in tensors])
    return NotImplemented if level is None else _with_tangents(cls, args, level)


# ---- forward mode ----------------------------------------------------------------------------------------------------


class _ForwardCtx:
    """The ctx as `jvp` sees it: `saved_tensors` is what was saved for forward."""

    def __init__(self, ctx: Any) -> None:
        self.__dict__["_ctx"] = ctx

    @property
    def saved_tensors(self) -> Any:
        ctx = self._ctx
        return ctx.saved_for_forward if ctx.saved_for_forward is not None else ctx.to_save or ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_ctx"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ctx, name, value)


def _with_tangents(cls: type[Function], args: tuple[Any, ...], level: Level) -> Any:
    """The outputs, and the user's tangents of them."""
    token = modes.set_current(level.without())
    try:
        ctx: Any = object.__new__(cls._backward_cls)
        new_style = cls.setup_context is not Function.setup_context
        found = call(cls, args)
        output = applied(cls, args, new_style, modes.current(), users_place(3), ctx)
        if found is not NotImplemented:  # the outer levels know these outputs
            if any(isinstance(t, Tensor) and not any(t is a for a in args) for t in _ForwardCtx(ctx).saved_tensors):
                raise NotImplementedError(
                    f"{cls.__name__}: forward mode inside forward mode, and jvp uses what forward computed: save the inputs only"
                )
            output = found
        tangents = [_tangent(a, level, ctx.materialize_grads) for a in args]
        moved = cls.jvp(_ForwardCtx(ctx), *tangents)
    finally:
        modes.reset(token)
    outs = output if isinstance(output, tuple) else (output,)
    moved = moved if isinstance(moved, tuple) else (moved,)
    if len(moved) != len(outs):
        raise RuntimeError(
            f"Function's jvp returned an invalid number of forward gradients (expected {len(outs)} but got {len(moved)})"
        )
    for i, tangent in enumerate(moved):
        if tangent is not None and not isinstance(tangent, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(tangent).__name__}) for grad output {i}.")
    owners = {id(a if a._base is None else a._base) for a in args if isinstance(a, Tensor)}
    given = {id(a): tangent for a, tangent in zip(args, tangents, strict=True)}
    marked = {id(t) for t in ctx.non_differentiable or ()}
    made = list(outs)  # of a batch, another object
    for i, (out, tangent) in enumerate(zip(outs, moved, strict=True)):
        if not isinstance(out, Tensor):
            continue
        if id(out) in marked or out._kind.dtype.category < 2:
            if tangent is not None:
                raise RuntimeError(
                    f"Function's jvp returned a gradient at position {i}, but  the corresponding forward output is not a differentiable "
                    "Tensor.You should return None at that position instead."
                )
            continue
        if id(out) in given and given[id(out)] is not None and tangent is not given[id(out)]:  # written in place
            raise RuntimeError(
                "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is modifying an input "
                "inplace, then the jvp function must modify the corresponding gradient inplace."
            )
        if tangent is not None:
            if id(out) not in given and id(out._base) in owners and not tangent._is_view():
                raise RuntimeError(
                    "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
                )
            check_dual(out, tangent)
            made[i] = with_tangent(out, tangent, level)
    return (
        output
        if all(a is b for a, b in zip(made, outs, strict=True))
        else tuple(made)
        if isinstance(output, tuple)
        else made[0]
    )


def _tangent(a: Any, level: Level, materialize: bool) -> Any:
    if not isinstance(a, Tensor):
        return None
    tangent = tangent_of(a, level)
    if tangent is None and materialize and a._kind.dtype.category > 1:
        return wrap(np.zeros(a._array.shape, a._kind.np), a._kind)
    return tangent


# ---- batches ---------------------------------------------------------------------------------------------------------


def _with_batch(cls: type[Function], args: tuple[Any, ...], level: Level) -> Any:
    name = cls.__name__
    overridden = cls.vmap is not Function.vmap
    if cls.setup_context is Function.setup_context:
        raise RuntimeError(
            "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must override the "
            f"setup_context staticmethod. {_MORE}"
        )
    if cls.generate_vmap_rule and overridden:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. Please set "
            f"generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity. {_MORE}"
        )
    if cls.generate_vmap_rule:
        return _generated(cls, args, level)
    if not overridden:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it does not have vmap support. Please override and implement the vmap staticmethod or set "
            f"generate_vmap_rule=True. {_MORE}"
        )
    dims = tree_map(lambda a: as_given(a)[1] if in_batch(a, level) else None, args)
    values = tree_map(lambda a: as_given(a)[0] if in_batch(a, level) else a, args)
    info = VmapInfo(level.size or 0, level.randomness)
    token = modes.change(transforms=tuple(other for other in modes.mode().transforms if other is not level))
    try:
        result = cls.vmap(info, dims, *values)
    finally:
        modes.reset(token)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure compatible with the output. "
            f"Got {f'{len(result)} returns' if isinstance(result, tuple) else f'a {type(result)}'} instead"
        )
    output, out_dims = result
    outs, spec = tree_flatten(output)
    found = _broadcast_to_and_flatten(out_dims, spec, is_leaf=lambda x: x is None)
    if found is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. Expected "
            f"out_dims={out_dims} to be compatible with the structure of `output`. out_dims has structure {tree_structure(out_dims)} but "
            f"output has structure {spec}. {_MORE}"
        )
    return spec.unflatten(
        o if d is None or not isinstance(o, Tensor) else batched(o.movedim(d, 0), level)
        for o, d in zip(outs, found, strict=True)
    )


class _EntryCtx(FunctionCtx):
    """The ctx of one entry, for the staticmethods of a Function whose rule is generated."""

    saved_tensors: tuple[Any, ...] = ()
    needs_input_grad: tuple[bool, ...] = ()


def _generated(cls: Any, args: tuple[Any, ...], level: Level) -> Any:
    """Run the Function's own staticmethods inside a batch, in a Function on the whole batch."""
    flags = [in_batch(a, level) for a in args]
    inner = _EntryCtx()
    kept: list[bool] = []

    def entries(values: Sequence[Any], which: Sequence[bool], inside: Level) -> list[Any]:
        return [batched(v, inside) if f and v is not None else v for v, f in zip(values, which, strict=True)]

    def wholes(outs: Any, inside: Level) -> Any:
        def one(o: Any) -> Any:
            return value_at(o, inside) if isinstance(o, Tensor) else o

        return tuple(map(one, outs)) if isinstance(outs, tuple) else one(outs)

    class Generated(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*values: Any) -> Any:
            with Level(level.size, level.randomness) as inside:
                given = entries(values, flags, inside)
                output = cls.forward(*given)
                cls.setup_context(inner, tuple(given), output)
                saved = getattr(inner, "to_save", None) or ()
                kept[:] = [in_batch(t, inside) for t in saved]
                inner.saved_tensors = tuple(t._value if f else t for t, f in zip(saved, kept, strict=True))
                outs = output if isinstance(output, tuple) else (output,)
                cut = {id(t) for t in getattr(inner, "non_differentiable", None) or ()}
                inner.cut = [id(o) in cut for o in outs]  # type: ignore[attr-defined]
                return wholes(output, inside)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inner.saved_tensors)
            ctx.save_for_forward(*inner.saved_tensors)
            ctx.set_materialize_grads(getattr(inner, "materialize_grads", True))
            outs = output if isinstance(output, tuple) else (output,)
            ctx.mark_non_differentiable(*(o for o, f in zip(outs, inner.cut, strict=True) if f))  # type: ignore[attr-defined]

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            with Level(level.size, level.randomness) as inside:
                inner.saved_tensors = tuple(entries(ctx.saved_tensors, kept, inside))
                inner.needs_input_grad = ctx.needs_input_grad
                results = cls.backward(inner, *entries(grads, [True] * len(grads), inside))
                results = results if isinstance(results, tuple) else (results,)
                return tuple(
                    None if r is None else value_at(r, inside) if f else value_at(r, inside).sum(0)
                    for r, f in zip(results, flags, strict=True)
                )

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            with Level(level.size, level.randomness) as inside:
                inner.saved_tensors = tuple(entries(ctx.saved_tensors, kept, inside))
                return wholes(cls.jvp(inner, *entries(tangents, flags, inside)), inside)

    Generated.__name__ = Generated.__qualname__ = cls.__name__
    output = Generated.apply(*[a._value if f else a for a, f in zip(args, flags, strict=True)])
    outs = output if isinstance(output, tuple) else (output,)
    found = tuple(batched(o, level) if isinstance(o, Tensor) else o for o in outs)
    return found if isinstance(output, tuple) else found[0]


Slots.function = staticmethod(call)
