"""The straight ways of calls with parameters: plain tensors, nothing special switched on.

What a primitive's rules need is read once, at its declaration (plans.py): whether parameters and shapes alone, and which of it where not
all inputs require grad. A call then computes, makes a tensor and a node, and is done; whatever is not common goes to `apply`
(dispatch.py). Not here: elementwise calls of one or two inputs (fast.py); any number of tensors, or of results (straight_many.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.graph import next_seq
from lamina.core.device import BY_NUMPY
from lamina.core.parameter import Parameter
from lamina.core.size import refused
from lamina.core.tensor import LEAF, Tensor
from lamina.core.version import OWN_FILES, getframe, is_own, users_place
from lamina.primitives.code_objects import own_code, by_position
from lamina.primitives.dispatch import apply, without_history
from lamina.primitives.plans import (
    PARAM,
    SHAPE,
    TENSOR,
    TURNED,
    facts_of,
    in_order,
    picked,
    plan_of,
    raw,
    save,
    wanted_of,
)
from lamina.primitives.primitive import Primitive
from lamina.primitives.straight_many import of_many, of_results, of_views

ndarray = np.ndarray
new = object.__new__
current = modes.current


def straight(p: Primitive, params: tuple[str, ...]) -> Any:
    """The function of a primitive that is not elementwise: called with its tensors, then its parameters, by position or by name."""
    if p.outputs > 1 and len(p.nondiff) == p.outputs - 1:
        plan = plan_of(p, params)
        return _general(p) if plan is None else of_results(p, params, plan)
    if p.outputs == 1 and p.variadic and set(p.saves) <= {"shapes", "needs", "rest", *params}:
        return of_many(p, params)
    if p.view and not p.outputs:
        plan = plan_of(p, params)
        return _general(p) if plan is None else of_views(p, params, plan)
    plan = plan_of(p, params) if p.outputs == 1 and not p.variadic else None
    if plan is None:
        return _general(p)
    if len(p.inputs) == 1:
        return _of_one(p, params, plan)
    if len(p.inputs) == 2 and not params and not p.view and not p.restores:
        return _of_two(p, plan)
    return _of_several(p, params, plan)


def _general(p: Primitive) -> Any:
    """Any number of tensors or results."""
    forward = p.forward

    def op(*tensors: Any, **params: Any) -> Any:
        if tensors and tensors[0].__class__ is not Tensor and raw(tensors):
            return forward(*tensors, **params)
        return apply(p, tensors, params)

    return own_code(op)


def _of_one(p: Primitive, names: tuple[str, ...], plan: list[tuple[int, Any]]) -> Any:
    """One tensor and parameters."""
    forward, node_class = by_position(p.forward), p.node
    view, attach_plain, ways = p.view, views.attach_plain, views.plain_ways(p.node_name)
    differentiable, restores = bool(p.rules), p.restores
    # most rules need shapes and parameters alone: where these stand in (shape, *parameters)
    simple = all(code in (PARAM, SHAPE) for code, _ in plan)
    at = [0 if code == SHAPE else 1 + which for code, which in plan] if simple else []
    only_values, only_shape, all_of_them = (
        simple and at == places for places in (list(range(1, len(names) + 1)), [0], list(range(len(names) + 1)))
    )
    unheld = (None,) * len(plan)

    def op(input: Any, *values: Any, **named: Any) -> Any:
        if named:
            values = in_order(names, values, named)
        cls = input.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.simple and (mode is None or mode.plain):
                node, source = input._node, input._array
                try:
                    array = forward(source, *values)
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
                if view:
                    attach_plain(out, input, ways[mode is not None and not mode.grad])
                if node is None or not differentiable or (mode is not None and not mode.grad):
                    if node is None and (input._more is None or input._more.cut is None):
                        return out
                    return without_history(p, out, (input,), mode)
                if kind.category != 2:  # complex numbers of real ones
                    return apply(p, (input,), dict(zip(names, values, strict=False)))
                out._node = made = node_class()
                made._seq = next_seq()
                made._edges = (input if node is LEAF else node,)
                if simple:
                    made._versions = unheld
                    if only_values:
                        made._saved = values
                    elif only_shape:
                        made._saved = (source.shape,)
                    elif all_of_them:
                        made._saved = (source.shape, *values)
                    else:
                        made._saved = picked((source.shape, *values), at)
                else:
                    save(plan, made, (input,), values, out, None)
                made._fix = ((source.shape, source.dtype),) if restores else None
                made._extra = None
                frame = getframe(1)
                made._code = code = frame.f_code
                made._lasti = frame.f_lasti
                try:
                    own = OWN_FILES[code.co_filename]
                except KeyError:
                    own = is_own(code.co_filename)
                if own:
                    made._code, made._lasti = users_place(2) or (None, 0)
                return out
        elif cls is ndarray or isinstance(input, np.generic):
            return forward(input, *values)
        return apply(p, (input,), dict(zip(names, values, strict=False)))

    return own_code(op)


def _of_two(p: Primitive, plan: list[tuple[int, Any]]) -> Any:
    """Two tensors and nothing else: products of matrices and vectors."""
    forward, node_class, differentiable = p.forward, p.node, bool(p.rules)
    general = _of_several(p, (), plan)
    # both inputs are kept, each for the other's gradient
    crossed = plan == [(TENSOR, 1), (TENSOR, 0)]
    turned = plan == [(TENSOR, 1), (TURNED, 0), (TENSOR, 0), (TURNED, 1)]
    crossed = crossed or turned

    def op(input: Any, other: Any) -> Any:
        cls, other_cls = input.__class__, other.__class__
        if cls is ndarray and other_cls is ndarray:
            return forward(input, other)
        if (cls is Tensor or cls is Parameter) and (other_cls is Tensor or other_cls is Parameter):
            kind = input._kind
            node, other_node = input._node, other._node
            if (
                kind is other._kind
                and kind.simple
                and crossed
                and node is not None
                and other_node is not None
                and differentiable
                and kind.category == 2
                and current() is None
            ):
                array = forward(input._array, other._array)
                out = new(Tensor)
                out._array = array if array.__class__ is ndarray else np.asarray(array)
                out._kind = kind
                out._more = out._version_ = None
                out._node = made = node_class()
                made._seq = next_seq()
                made._edges = (input if node is LEAF else node, other if other_node is LEAF else other_node)
                v, w = input._version_, other._version_
                if turned:  # strided.is_turned, without two calls
                    s, t = input._array.strides, other._array.strides
                    made._saved = (other, s[0] < s[1], input, t[0] < t[1])
                    made._versions = (0 if w is None else w.n, None, 0 if v is None else v.n, None)
                else:
                    made._saved = (other, input)
                    made._versions = (0 if w is None else w.n, 0 if v is None else v.n)
                made._fix = made._extra = None
                frame = getframe(1)
                made._code = code = frame.f_code
                made._lasti = frame.f_lasti
                try:
                    own = OWN_FILES[code.co_filename]
                except KeyError:
                    own = is_own(code.co_filename)
                if own:
                    made._code, made._lasti = users_place(2) or (None, 0)
                return out
        return general(input, other)

    return own_code(op)


def _of_several(p: Primitive, names: tuple[str, ...], plan: list[tuple[int, Any]]) -> Any:
    """Several tensors (some may be None) and parameters."""
    forward, node_class, count = by_position(p.forward), p.node, len(p.inputs)
    view, attach_plain, ways = p.view, views.attach_plain, views.plain_ways(p.node_name)
    differentiable, restores = bool(p.rules), p.restores
    wanted_by: dict[tuple[bool, ...], Any] = {}

    def op(*tensors: Any, **named: Any) -> Any:
        values = tensors[count:]
        if values:
            tensors = tensors[:count]
        if named:
            values = in_order(names, values, named)
        first = tensors[0]
        mode = current()
        if first.__class__ is ndarray:
            if raw(tensors):
                return forward(*tensors, *values)
        elif mode is None or mode.plain:
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
                if first is not None:
                    kind = first._kind
                    try:
                        array = forward(*arrays, *values)
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
                    if view:
                        attach_plain(out, first, ways[mode is not None and not mode.grad])
                    if not recorded or not differentiable or (mode is not None and not mode.grad):
                        return without_history(p, out, tensors, mode) if recorded or cut else out
                    if kind.category != 2:  # complex numbers of real ones
                        return apply(p, tensors, dict(zip(names, values, strict=False)))
                    out._node = made = node_class()
                    made._seq = next_seq()
                    made._edges = edges = tuple(nodes)
                    wanted = None
                    if some_are_none:
                        wanted = wanted_of(p, edges, wanted_by)
                    save(plan, made, tensors, values, out, wanted)
                    made._fix = facts_of(arrays) if restores else None
                    made._extra = None
                    frame = getframe(1)
                    made._code = code = frame.f_code
                    made._lasti = frame.f_lasti
                    try:
                        own = OWN_FILES[code.co_filename]
                    except KeyError:
                        own = is_own(code.co_filename)
                    if own:
                        made._code, made._lasti = users_place(2) or (None, 0)
                    return out
        if first.__class__ is not Tensor and raw(tensors):
            return forward(*tensors, *values)
        return apply(p, tensors, dict(zip(names, values, strict=False)))

    return own_code(op)
