"""jvp and linearize: derivatives along a direction.

Here: arguments and results. Not here: tangents of operations (primitives/tangents.py), dual levels (autograd/forward_ad.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina.autograd import engine, modes
from lamina.autograd.graph import edge_of
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.func.gradients import Places, apart, refuse_nothing
from lamina.primitives.levels import Level, check_dual, fresh, lowered, raised, tangent_of, with_tangent
from lamina.utils._pytree import tree_flatten


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """`func(*primals)`, and its derivative along `tangents`.

    strict: raise RuntimeError for an output that does not depend on the primals, in place of returning zeros. has_aux: func returns
    (value, aux), and aux comes third.
    """
    call = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{call}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    given, spec = tree_flatten(primals)
    along, along_spec = tree_flatten(tangents)
    if spec != along_spec:
        raise RuntimeError(
            f"{call}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple of 3 tensors, "
            f"tangents also must be. Got primals with structure {spec} and tangents with structure {along_spec}"
        )
    for name, leaves in (("primals", given), ("tangents", along)):
        if not leaves:
            raise RuntimeError(f"{call}: Expected {name} to contain at least one Tensor.")
        for t in leaves:
            if not isinstance(t, Tensor):
                raise RuntimeError(f"{call}: Expected {name} to only contain Tensors, got {type(t)}")
    for t, tangent in zip(given, along, strict=True):
        check_dual(t, tangent)
    with modes.Transforming(), _carried(), Level() as level:
        duals = [with_tangent(fresh(t), tangent, level) for t, tangent in zip(given, along, strict=True)]
        out, aux = apart(func(*spec.unflatten(duals)), has_aux, call)
    outs, out_spec = tree_flatten(out)
    refuse_nothing(outs, call)
    moved = []
    for o in outs:
        if not isinstance(o, Tensor):
            raise RuntimeError(f"{call}: expected f(*primals) to return only tensors, got unsupported type {type(o)}")
        tangent = tangent_of(o, level)
        if tangent is None and strict:
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed with strict=True."
            )
        moved.append(wrap(np.zeros(o._array.shape, o._kind.np), o._kind) if tangent is None else tangent)
    value, derivative = out_spec.unflatten(outs), out_spec.unflatten(moved)
    return (value, derivative, aux) if has_aux else (value, derivative)


@contextmanager
def _carried() -> Iterator[None]:
    """Tangents go through operations here, whatever is said outside."""
    token = modes.change(forward_level=True, inference=False)
    try:
        yield
    finally:
        modes.reset(token)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)`, and a function that takes tangents to the derivative along them. `func` is run once."""
    given, spec = tree_flatten(primals)
    places = Places(given)
    out = places.run(func, spec.unflatten(places.tensors), {})
    outs, out_spec = tree_flatten(out)
    # the adjoint of the adjoint: both are linear, and recorded now
    wholes = [lowered(o, places.levels) for o in outs]
    cotangents = [wrap(np.zeros(w._array.shape, w._kind.np), w._kind) for w in wholes]
    for u in cotangents:
        u._node = LEAF
    roots = [(edge_of(w), u) for w, u in zip(wholes, cotangents, strict=True) if edge_of(w) is not None]
    captures = {edge: i for i, edge in enumerate(places.edges)}
    pulled: list[Any] = [None] * len(given)
    if roots:
        pulled = engine.run(roots, create=True, keep=True, captures=captures, accumulates=False, record=True)
    outside = places.outside(outs)

    def derivative(*tangents: Any) -> Any:
        along, along_spec = tree_flatten(tangents)
        if along_spec != spec:
            raise RuntimeError(f"Expected the tangents {along_spec} to have the same argspec as the primals {spec}")
        for i, (t, tangent) in enumerate(zip(given, along, strict=True)):
            for what in ("shape", "dtype"):
                if getattr(t, what) != getattr(tangent, what):
                    raise RuntimeError(
                        f"tangent:{i} with {what} {getattr(tangent, what)} in flattened pytree doesn't match the {what} {getattr(t, what)} of "
                        "the corresponding primal."
                    )
        record = modes.is_grad_enabled() and (outside or any(t._node is not None for t in along))
        pairs = [
            (edge_of(g), lowered(t, places.levels))
            for g, t in zip(pulled, along, strict=True)
            if g is not None and edge_of(g) is not None
        ]
        found: list[Any] = [None] * len(outs)
        if pairs:
            wanted = {u: i for i, u in enumerate(cotangents)}
            found = engine.run(pairs, create=True, keep=True, captures=wanted, accumulates=False, record=record)
        return out_spec.unflatten([
            wrap(np.zeros(o._array.shape, o._kind.np), o._kind) if f is None else places.settled(raised(f, places.levels))
            for f, o in zip(found, outs, strict=True)
        ])  # fmt: skip

    return out_spec.unflatten([places.settled(o) for o in outs]), derivative
