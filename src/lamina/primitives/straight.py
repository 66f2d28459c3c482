"""The straight ways of calls with parameters, or with three and more inputs: plain tensors, nothing special switched on.

What a primitive's rules need is read once, at its declaration: whether parameters and shapes alone, and which of it where not all
inputs require grad. A call then computes, makes a tensor and a node, and is done; whatever is not common goes to `apply`
(dispatch.py). Not here: elementwise calls of one or two inputs (fast.py).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.graph import next_seq
from lamina.autograd.saved import SavedOutput
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.tensor import LEAF, Tensor, version
from lamina.core.version import OWN_FILES, getframe, is_own, users_place
from lamina.primitives.dispatch import apply, wanted_saves, without_history
from lamina.primitives.primitive import Primitive

ndarray = np.ndarray
new = object.__new__
current = modes.current
BOOL = CPU[dtypes.bool_]

# What a rule needs, as a plan: (code, which).
_TENSOR, _PARAM, _SHAPE, _DTYPE, _NEEDS, _OUT = range(6)


def _plan(p: Primitive, params: tuple[str, ...]) -> list[tuple[int, Any]] | None:
    plan: list[tuple[int, Any]] = []
    for name in p.saves:
        base, _, what = name.rpartition("_")
        if name in p.inputs:
            plan.append((_TENSOR, p.inputs.index(name)))
        elif name in params:
            plan.append((_PARAM, name))
        elif base in p.inputs and what in ("shape", "dtype"):
            plan.append((_SHAPE if what == "shape" else _DTYPE, p.inputs.index(base)))
        elif name == "needs":
            plan.append((_NEEDS, None))
        elif name == "out":
            plan.append((_OUT, None))
        else:
            return None
    return plan


def _save(plan: Any, node: Any, tensors: Any, params: Any, out: Tensor, wanted: Any) -> None:
    """What the rules need, by plan; `wanted`: which of it (None: all)."""
    saved: list[Any] = []
    versions: list[Any] = []
    for code, which in plan:
        held = value = None
        if wanted is not None and len(saved) not in wanted:
            pass
        elif code == _TENSOR:
            value = tensors[which]
            if value.__class__ is Tensor or value.__class__ is Parameter:
                counter = value._version_
                held = 0 if counter is None else counter.n
        elif code == _PARAM:
            value = params[which]
        elif code == _SHAPE:
            value = tensors[which]
            value = None if value is None else value._array.shape
        elif code == _OUT:
            value, held = SavedOutput(out, version(out)), 0
        elif code == _DTYPE:
            value = tensors[which]
            value = None if value is None else value._kind.dtype
        else:
            value = tuple([e is not None for e in node._edges])
        saved.append(value)
        versions.append(held)
    node._saved, node._versions = tuple(saved), tuple(versions)


def straight(p: Primitive, params: tuple[str, ...]) -> Any:
    """The function of a primitive that is not elementwise."""
    plan = _plan(p, params) if p.outputs == 1 and not p.variadic else None
    if plan is None:
        return _general(p)
    if len(p.inputs) == 1:
        return _of_one(p, plan)
    return _of_several(p, plan)


def _general(p: Primitive) -> Any:
    """Any number of tensors or results."""
    forward = p.forward

    def op(*tensors: Any, **params: Any) -> Any:
        if tensors and tensors[0].__class__ is not Tensor and _raw(tensors):
            return forward(*tensors, **params)
        return apply(p, tensors, params)

    return op


def _of_one(p: Primitive, plan: list[tuple[int, Any]]) -> Any:
    """One tensor and parameters."""
    forward, node_class, view, name, attach_plain = p.forward, p.node, p.view, p.node_name, views.attach_plain
    differentiable, restores = bool(p.rules), p.restores
    shape_name = p.inputs[0] + "_shape"
    needs_shape = shape_name in p.saves
    # shapes and parameters alone: picked in one step
    pick = itemgetter(*p.saves) if all(code in (_PARAM, _SHAPE) for code, _ in plan) and plan else None
    lone = len(plan) == 1
    unheld = (None,) * len(plan)

    def op(input: Any, **params: Any) -> Any:
        cls = input.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.simple and (mode is None or mode.plain):
                node = input._node
                array = forward(input._array, **params)
                if array.__class__ is not ndarray:
                    array = np.asarray(array)
                if array.dtype is not kind.np:
                    kind = BY_NUMPY[array.dtype]
                out = new(Tensor)
                out._array = array
                out._kind = kind
                out._node = out._more = out._version_ = None
                if view:
                    attach_plain(out, input, name, mode is not None and not mode.grad)
                if node is None or not differentiable or (mode is not None and not mode.grad):
                    if node is None and (input._more is None or input._more.cut is None):
                        return out
                    return without_history(p, out, (input,), mode)
                if kind.category != 2:  # complex numbers of real ones
                    return apply(p, (input,), params)
                out._node = made = node_class()
                made._seq = next_seq()
                made._edges = (input if node is LEAF else node,)
                if pick is not None:
                    if needs_shape:
                        params[shape_name] = input._array.shape
                    made._saved = (pick(params),) if lone else pick(params)
                    made._versions = unheld
                elif plan:
                    _save(plan, made, (input,), params, out, None)
                else:
                    made._saved = made._versions = ()
                made._fix = ((input._array.shape, input._array.dtype),) if restores else None
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
            return forward(input, **params)
        return apply(p, (input,), params)

    return op


def _of_several(p: Primitive, plan: list[tuple[int, Any]]) -> Any:
    """Several tensors (some may be None) and parameters."""
    forward, node_class, view, name, attach_plain = p.forward, p.node, p.view, p.node_name, views.attach_plain
    differentiable, restores = bool(p.rules), p.restores
    wanted_by: dict[tuple[bool, ...], Any] = {}

    def op(*tensors: Any, **params: Any) -> Any:
        first = tensors[0]
        mode = current()
        if first.__class__ is ndarray:
            if _raw(tensors):
                return forward(*tensors, **params)
        elif mode is None or mode.plain:
            arrays: list[Any] = []
            nodes: list[Any] = []
            cut = recorded = False
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
                    arrays.append(t._array)
                elif t is None:
                    nodes.append(None)
                    arrays.append(None)
                else:
                    break
            else:
                if first is not None:
                    kind = first._kind
                    array = forward(*arrays, **params)
                    if array.__class__ is not ndarray:
                        array = np.asarray(array)
                    if array.dtype is not kind.np:
                        kind = BY_NUMPY[array.dtype]
                    out = new(Tensor)
                    out._array = array
                    out._kind = kind
                    out._node = out._more = out._version_ = None
                    if view:
                        attach_plain(out, first, name, mode is not None and not mode.grad)
                    if not recorded or not differentiable or (mode is not None and not mode.grad):
                        return without_history(p, out, tensors, mode) if recorded or cut else out
                    if kind.category != 2:  # complex numbers of real ones
                        return apply(p, tensors, params)
                    out._node = made = node_class()
                    made._seq = next_seq()
                    made._edges = edges = tuple(nodes)
                    wanted = None
                    if None in nodes:
                        asked = tuple([e is not None for e in nodes])
                        wanted = wanted_by.get(asked)
                        if wanted is None:
                            wanted = wanted_by[asked] = wanted_saves(p, edges)
                    _save(plan, made, tensors, params, out, wanted)
                    made._fix = tuple([None if a is None else (a.shape, a.dtype) for a in arrays]) if restores else None
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
        if first.__class__ is not Tensor and _raw(tensors):
            return forward(*tensors, **params)
        return apply(p, tensors, params)

    return op


def several(p: Primitive, fallback: Callable[..., Any] = apply, takes_arrays: bool = True, numbers: bool = True) -> Any:
    """The function of an elementwise primitive with more inputs, or whose rules need the result: called with the inputs, or as a
    fallback with (p, inputs, {}).
    """
    compute, differentiable, rest = p.forward, bool(p.rules), p.promote == "rest"
    plain = p.promote in ("same", "float", "rest") and not p.native
    made_by = {False: (p, _plan(p, ())), True: (p.number or p, _plan(p.number or p, ()))}
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
                        broadcast(*[a.shape for a in arrays if a.__class__ is ndarray])
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
                    made._edges = edges = tuple([
                        None if a.__class__ is not ndarray or t._node is None else t if t._node is LEAF else t._node
                        for t, a in zip(tensors[:1] if q.alone else tensors, arrays)  # noqa: B905
                    ])  # fmt: skip
                    asked = tuple([e is not None for e in edges])
                    wanted = wanted_by.get(asked)
                    if wanted is None:
                        wanted = wanted_by[asked] = wanted_saves(q, edges)
                    _save(plan, made, tensors, {}, out, wanted)
                    shape = array.shape
                    made._fix = made._extra = None
                    for a in arrays:
                        if a.__class__ is ndarray and a.shape != shape:
                            made._fix = tuple([(a.shape, a.dtype) if a.__class__ is ndarray else None for a in arrays])
                            break
                    made._code, made._lasti = users_place(1) or (None, 0)
                    return out
        if takes_arrays and _raw(tensors):
            return compute(*tensors)
        return fallback(p, tensors, {})

    if len(p.inputs) == 2:
        return lambda p, tensors, params: op(*tensors)
    return op


def _raw(tensors: tuple[Any, ...]) -> bool:
    """Whether a call comes from a rule in a plain backward: arrays only."""
    for t in tensors:
        if t.__class__ is not ndarray and isinstance(t, Tensor):
            return False
    return True
