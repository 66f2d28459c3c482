"""The straight ways of calls with any number of tensors, with several results, or elementwise with three and more inputs.

See straight.py, whose calls have one result and few tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.graph import Output, next_seq
from lamina.autograd.views import attach_plain
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU
from lamina.core.parameter import Parameter
from lamina.core.size import refused
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.core.version import users_place
from lamina.primitives.code_objects import own_code, by_position
from lamina.primitives.dispatch import apply, without_history
from lamina.primitives.plans import check_shapes, edges_of, facts_of, in_order, plan_of, raw, save, save_many, wanted_of
from lamina.primitives.primitive import Primitive

ndarray = np.ndarray
new = object.__new__
current = modes.current
BOOL = CPU[dtypes.bool_]


def of_many(p: Primitive, params: tuple[str, ...]) -> Any:
    """Any number of tensors, and parameters by name."""
    forward, node_class, saves, differentiable = p.forward, p.node, p.saves, bool(p.rules)

    def op(*tensors: Any, **named: Any) -> Any:
        mode = current()
        if tensors and (mode is None or mode.plain):
            arrays: list[Any] = []
            nodes: list[Any] = []
            cut = recorded = False
            kind: Any = tensors[0]._kind if isinstance(tensors[0], Tensor) else None
            for t in tensors:
                cls = t.__class__
                if (cls is not Tensor and cls is not Parameter) or not t._kind.simple:
                    break
                if t._more is not None and t._more.cut is not None:
                    cut = True
                node = t._node
                if node is not None:
                    recorded = True
                nodes.append(t if node is LEAF else node)
                arrays.append(t._array)
            else:
                try:
                    array = forward(*arrays, **named)
                except (ValueError, OverflowError) as error:
                    raise refused(error) from None
                if array.__class__ is not ndarray:
                    array = np.asarray(array)
                if array.dtype is not kind.np:
                    kind = BY_NUMPY[array.dtype]
                out = new(Tensor)
                out._array = array
                out._kind = kind
                out._node = out._more = out._version_ = None
                if not recorded or not differentiable or (mode is not None and not mode.grad):
                    return without_history(p, out, tensors, mode) if recorded or cut else out
                if kind.category != 2:
                    return apply(p, tensors, named)
                out._node = made = node_class()
                made._seq = next_seq()
                made._edges = tuple(nodes)
                made._saved, made._versions = save_many(saves, tensors, arrays, nodes, named)
                made._fix = made._extra = None
                made._code, made._lasti = users_place(1) or (None, 0)
                return out
        if tensors and tensors[0].__class__ is not Tensor and raw(tensors):
            return forward(*tensors, **named)
        return apply(p, tensors, named)

    return own_code(op)


def of_results(p: Primitive, names: tuple[str, ...], plan: list[tuple[int, Any]]) -> Any:
    """Tensors (some may be None), parameters by name, and several results of which one has a gradient."""
    forward, node_class, differentiable, restores = by_position(p.forward), p.node, bool(p.rules), p.restores
    (main,) = [i for i in range(p.outputs) if i not in p.nondiff]
    count = len(p.inputs)
    wanted_by: dict[tuple[bool, ...], Any] = {}

    def op(*tensors: Any, **named: Any) -> Any:
        mode = current()
        if mode is None or mode.plain:
            arrays: list[Any] = []
            nodes: list[Any] = []
            cut = recorded = some_are_none = False
            for t in tensors:
                cls = t.__class__
                if cls is Tensor or cls is Parameter:
                    if not t._kind.simple:
                        break
                    if t._more is not None and t._more.cut is not None:
                        cut = True
                    node = t._node
                    if node is not None:
                        recorded = True
                        nodes.append(t if node is LEAF else node)
                    else:
                        nodes.append(None)
                        some_are_none = True
                    arrays.append(t._array)
                elif t is None:
                    nodes.append(None)
                    some_are_none = True
                    arrays.append(None)
                else:
                    break
            else:
                history = recorded and differentiable and (mode is None or mode.grad)
                values = in_order(names, (), named)
                results = _wrapped(forward(*arrays, *values) if len(arrays) == count else p.forward(*arrays, **named))
                out = results[main]
                if not history or out._kind.category != 2:
                    if history:
                        return apply(p, tensors, named)
                    if recorded or cut:
                        _cut_off(p, results, tensors, mode)
                    return results
                out._node = made = node_class()
                made._seq = next_seq()
                made._edges = edges = tuple(nodes)
                wanted = wanted_of(p, edges, wanted_by) if some_are_none else None
                save(plan, made, tensors, values, results, wanted)
                made._fix = facts_of(arrays) if restores else None
                made._extra = None
                made._code, made._lasti = users_place(1) or (None, 0)
                return results
        if tensors and tensors[0].__class__ is not Tensor and raw(tensors):
            return p.forward(*tensors, **named)
        return apply(p, tensors, named)

    return own_code(op)


def of_views(p: Primitive, names: tuple[str, ...], plan: list[tuple[int, Any]]) -> Any:
    """One tensor and parameters, and as many views of it as they say."""
    forward, node_class = by_position(p.forward), p.node
    several, without = views.plain_ways(p.node_name, "several")

    def op(input: Any, *values: Any, **named: Any) -> Any:
        if named:
            values = in_order(names, values, named)
        cls, mode = input.__class__, current()
        if (
            (cls is Tensor or cls is Parameter)
            and (kind := input._kind).simple
            and (mode is None or mode.plain)
            and (input._more is None or input._more.cut is None)
        ):
            recording, node = mode is None or mode.grad, input._node
            if recording and node is not None and kind.category == 2:
                made = node_class()
                made._seq = next_seq()
                made._edges = (input if node is LEAF else node,)
                save(plan, made, (input,), values, None, None)
                made._fix = made._extra = None
                made._code, made._lasti = users_place(1) or (None, 0)
            else:
                made = None
            if made is not None or node is None:
                outs = []
                for nr, array in enumerate(forward(input._array, *values)):
                    out = new(Tensor)
                    out._array = array
                    out._kind = kind
                    out._node = out._more = out._version_ = None
                    attach_plain(out, input, several if recording else without)
                    if made is not None:
                        out._node = Output(made, nr)
                    outs.append(out)
                if made is not None:
                    made._width = len(outs)
                    made._ends = tuple([(out._array.shape, kind) for out in outs])
                return tuple(outs)
        if cls is not Tensor and raw((input,)):
            return forward(input, *values)
        return apply(p, (input,), dict(zip(names, values, strict=False)))

    return own_code(op)


def _wrapped(results: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([None if r is None else wrap(r) for r in results])


def _cut_off(p: Primitive, results: tuple[Any, ...], tensors: tuple[Any, ...], mode: Any) -> None:
    for out in results:
        if out is not None:
            without_history(p, out, tensors, mode)


def several(p: Primitive, fallback: Callable[..., Any] = apply, takes_arrays: bool = True, numbers: bool = True) -> Any:
    """The function of an elementwise primitive with more inputs, or whose rules need the result: called with the inputs, or as a
    fallback with (p, inputs, {}).
    """
    compute, differentiable, rest = p.forward, bool(p.rules), p.promote == "rest"
    plain = p.promote in ("same", "float", "rest") and not p.native
    made_by = {False: (p, plan_of(p, ())), True: (p.number or p, plan_of(p.number or p, ()))}
    wanted_by: dict[tuple[bool, ...], Any] = {}

    def op(*tensors: Any) -> Any:
        mode = current()
        if plain and (mode is None or mode.plain):
            kind = None
            recorded = cut = False
            arrays: list[Any] = []
            for t in tensors:
                cls = t.__class__
                if cls is Tensor or cls is Parameter:
                    found = t._kind
                    if t._more is not None and t._more.cut is not None:
                        cut = True
                    if rest and not arrays:
                        if found is not BOOL:
                            break
                    elif found is not kind:
                        if kind is not None or found.category != 2 or not found.plain:
                            break
                        kind = found
                    if t._node is not None:
                        recorded = True
                    arrays.append(t._array)
                elif numbers and (cls is float or cls is int):
                    arrays.append(float(t))
                else:
                    break
            else:
                if kind is not None:
                    try:
                        array = compute(*arrays)
                    except ValueError:
                        check_shapes(arrays)
                        raise
                    if array.__class__ is not ndarray:
                        array = np.asarray(array)
                    out = new(Tensor)
                    out._array = array
                    out._kind = kind
                    out._node = out._more = out._version_ = None
                    if not recorded or (mode is not None and not mode.grad) or not differentiable:
                        return without_history(p, out, tensors, mode) if recorded or cut else out
                    by_number = len(tensors) == 2 and p.number is not None and arrays[1].__class__ is not ndarray
                    q, plan = made_by[by_number]
                    out._node = made = q.node()
                    made._seq = next_seq()
                    made._edges = edges = edges_of(tensors[:1] if q.alone else tensors, arrays)
                    wanted = wanted_of(q, edges, wanted_by)
                    save(plan, made, tensors, (), out, wanted)
                    shape = array.shape
                    made._fix = made._extra = None
                    for a in arrays:
                        if a.__class__ is ndarray and a.shape != shape:
                            made._fix = facts_of(arrays)
                            break
                    made._code, made._lasti = users_place(1) or (None, 0)
                    return out
        if takes_arrays and raw(tensors):
            return compute(*tensors)
        return fallback(p, tensors, {})

    if len(p.inputs) == 2:
        own_code(op)
        return lambda p, tensors, params: op(*tensors)
    return own_code(op)
