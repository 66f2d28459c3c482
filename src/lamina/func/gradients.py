"""grad, grad_and_value, vjp: gradients of functions.

What is differentiated by gets a place of its own in the graph, the function is run, and the engine goes back to the places. Here:
this, arguments and results. Not here: the engine (autograd/engine.py), Jacobians (jacobians.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.autograd.graph import next_seq
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.levels import (
    Level,
    batch_levels,
    edge_of_value,
    everywhere,
    lowered,
    place,
    raised,
    reaches_outside,
    without_history,
)
from lamina.utils._pytree import TreeSpec, tree_flatten, tree_map, treespec_pprint


class Places:
    """What a function is differentiated by: tensors at places of their own, in every batch that is open.

    A tensor that is the same for all entries is repeated, so that each entry has a gradient of its own.
    """

    def __init__(self, given: Iterable[Any]) -> None:
        self.levels: tuple[Level, ...] = batch_levels()
        self.outer_grad = modes.is_grad_enabled()
        self.tensors = [place(everywhere(_differentiable(t), self.levels)) for t in given]
        self.edges = [edge_of_value(t) for t in self.tensors]

    def run(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """`func(*args, **kwargs)`, recorded."""
        try:
            token = modes.change(grad=True, inference=False)
            try:
                with modes.Transforming():
                    return func(*args, **kwargs)
            finally:
                modes.reset(token)
        finally:
            now = next_seq()
            for edge in self.edges:
                edge.closed = now

    def outside(self, tensors: Iterable[Any]) -> bool:
        """Whether what made these tensors is to be recorded for others: it depends on what they differentiate by."""
        return self.outer_grad and self.reach_outside(tensors)

    def reach_outside(self, tensors: Iterable[Any]) -> bool:
        """Whether these tensors depend on what others differentiate by."""
        return reaches_outside([edge_of_value(t) for t in tensors], self.edges)

    def settled(self, t: Any, record: bool = False) -> Any:
        """A result as the caller sees it: with history only where that leads out of this transform. record: also where none is wanted."""
        if not isinstance(t, Tensor) or t._node is None or ((record or self.outer_grad) and self.reach_outside([t])):
            return t
        return without_history(t)

    def pulled(self, roots: Sequence[tuple[Tensor, Tensor | None]], record: bool) -> list[Tensor]:
        """The gradients at the places, from (output, cotangent) pairs. No cotangent: ones. record: for others to differentiate."""
        # below the batches: there the graph is one of plain tensors
        outer = tuple(level for level in modes.mode().transforms if level not in self.levels)
        create = record or bool(outer) or modes.mode().listener is not None  # the compiler hears what Tensors do
        pairs = []
        for out, cotangent in roots:
            edge = edge_of_value(out)
            if edge is None:
                continue
            if cotangent is None:
                whole = lowered(out, self.levels)
                value = wrap(np.ones(whole._array.shape, whole._kind.np), whole._kind)
            else:
                value = lowered(cotangent, self.levels)
            pairs.append((edge, value if create else value._array))
        captures = {edge: i for i, edge in enumerate(self.edges)}
        found: Sequence[Any] = [None] * len(captures)
        if pairs:
            token = modes.change(transforms=outer)
            try:
                found = engine.run(pairs, create=create, keep=True, captures=captures, accumulates=False, record=record)
            finally:
                modes.reset(token)
        return [self._result(g, t, record) for g, t in zip(found, self.tensors, strict=True)]

    def _result(self, g: Any, t: Tensor, record: bool) -> Tensor:
        if g is None:
            return wrap(np.zeros(t._array.shape, t._kind.np), t._kind)
        return self.settled(raised(g if isinstance(g, Tensor) else wrap(g), self.levels), record)  # type: ignore[no-any-return]


def _differentiable(t: Any) -> Tensor:
    if not isinstance(t, Tensor):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(t)}")
    if t._kind.dtype.category < 2:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    return t


# ---- arguments by number ---------------------------------------------------------------------------------------------

Argnums = int | tuple[int, ...]


def checked_argnums(argnums: Any, count: int) -> Any:
    """`argnums` with nonnegative numbers. Raises RuntimeError for numbers that no argument has."""
    if isinstance(argnums, int) and not isinstance(argnums, bool):
        if not -count <= argnums < count:
            raise RuntimeError(f"Got argnum={argnums}, but only {count} positional inputs")
        return argnums % count
    if not isinstance(argnums, tuple) or not all(isinstance(n, int) for n in argnums):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    found = tuple(checked_argnums(n, count) for n in argnums)
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return found


def picked(args: tuple[Any, ...], argnums: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves of the arguments that `argnums` (checked) names, and their structure."""
    return tree_flatten(args[argnums] if isinstance(argnums, int) else tuple(args[n] for n in argnums))


def replaced(args: tuple[Any, ...], argnums: Any, leaves: Iterable[Any], spec: TreeSpec) -> list[Any]:
    """The arguments with other leaves in those that `argnums` names."""
    made, out = spec.unflatten(leaves), list(args)
    for n, value in ((argnums, made),) if isinstance(argnums, int) else zip(argnums, made, strict=True):
        out[n] = value
    return out


def apart(out: Any, has_aux: bool, call: str) -> tuple[Any, Any]:
    """What a function returned, and what it returned beside."""
    if not has_aux:
        return out, None
    if not (isinstance(out, tuple) and len(out) == 2):
        raise RuntimeError(f"{call}: output of function f should be a tuple: (output, aux) if has_aux is True")
    for leaf in tree_flatten(out[1])[0]:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(leaf)}")
    return out


def refuse_nothing(outs: Sequence[Any], call: str) -> None:
    """Raises RuntimeError for a function that returned nothing to differentiate."""
    if not outs or (len(outs) == 1 and outs[0] is None):
        raise RuntimeError(f"{call}: Expected f to be a function that has non-empty output (got output = {outs})")


# ---- scalars ---------------------------------------------------------------------------------------------------------


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns the gradient of `func` by the arguments `argnums`, and its value (a scalar).

    has_aux: func returns (value, aux), the result is (gradient, (value, aux)). Raises RuntimeError for a value that is no scalar.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        call = "grad_and_value(f)(*args)"
        numbers = checked_argnums(argnums, len(args))
        leaves, spec = picked(args, numbers)
        places = Places(leaves)
        out = places.run(func, replaced(args, numbers, places.tensors, spec), kwargs)
        value, aux = apart(out, has_aux, call)
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{call}: Expected f(*args) to return a Tensor, got {type(value)}")
        if value._array.ndim:
            raise RuntimeError(
                f"{call}: Expected f(*args) to return a scalar Tensor, got tensor with {value._array.ndim} dims. Maybe you wanted to use the "
                "vjp or jacrev APIs instead?"
            )
        if value._kind.dtype.category == 3:
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {value.dtype}")
        gradient = spec.unflatten(places.pulled([(value, None)], places.outside([value])))
        value = places.settled(value)
        return gradient, (value, tree_map(places.settled, aux)) if has_aux else value

    return wrapper


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `func`, whose value is a scalar, by the arguments `argnums`.

    has_aux: func returns (value, aux), the result is (gradient, aux). Raises RuntimeError for a value that is no scalar.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


# ---- products with cotangents ----------------------------------------------------------------------------------------


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and a function that takes cotangents of it to a tuple of gradients by the primals.

    has_aux: func returns (value, aux), and aux comes third.
    """
    return vjp_by(func, tuple(range(len(primals))), primals, has_aux)


def vjp_by(func: Callable[..., Any], argnums: Any, args: tuple[Any, ...], has_aux: bool) -> Any:
    """`vjp` by some of the arguments; the gradients have the structure of what `argnums` names."""
    leaves, spec = picked(args, argnums)
    places = Places(leaves)
    out, aux = apart(places.run(func, replaced(args, argnums, places.tensors, spec), {}), has_aux, "vjp(f, *primals)")
    outs, out_spec = tree_flatten(out)
    refuse_nothing(outs, "vjp(f, *primals)")
    for o in outs:
        if not isinstance(o, Tensor):
            raise RuntimeError(
                f"vjp(f, *primals): expected f(*primals) to return only tensors, got unsupported type {type(o)}"
            )
        if o._kind.dtype.category < 2:
            raise RuntimeError(
                f"vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype {o.dtype}"
            )
    outside = places.reach_outside(outs)

    def wrapper(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given, given_spec = tree_flatten(cotangents)
        if given_spec != out_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. cotangents: "
                f"{treespec_pprint(given_spec)}, primal output: {treespec_pprint(out_spec)}"
            )
        roots = [(o, _fitting(g, o, i)) for i, (o, g) in enumerate(zip(outs, given, strict=True))]
        record = modes.is_grad_enabled() and (outside or any(g._node is not None for g in given))
        return spec.unflatten(places.pulled(roots, record))

    value = out_spec.unflatten([places.settled(o) for o in outs])
    return (value, wrapper, tree_map(places.settled, aux)) if has_aux else (value, wrapper)


def _fitting(g: Any, out: Tensor, i: int) -> Tensor:
    if not isinstance(g, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if g._array.shape != out._array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}."
        )
    return g if g._kind is out._kind else g.to(out._kind.dtype)  # type: ignore[attr-defined,no-any-return]
