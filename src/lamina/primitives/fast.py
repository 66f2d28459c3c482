"""The fast ways of a call: plain tensors of one kind, nothing special switched on.

An operation's common case is one short straight function; whatever is not common goes to `apply` (dispatch.py), which does the same
and more. Here: these functions. Not here: anything that only a few calls need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.graph import next_seq
from lamina.autograd.saved import SavedOutput
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.tensor import LEAF, Tensor, version, wrap
from lamina.core.version import OWN_FILES, getframe, is_own, users_place
from lamina.primitives.dispatch import apply, save_for, wanted_saves, without_history
from lamina.primitives.primitive import Primitive

ndarray = np.ndarray
new = object.__new__
current = modes.current
BOOL, INT64 = CPU[dtypes.bool_], CPU[dtypes.int64]


def _quick(p: Primitive) -> tuple[bool, ...]:
    """By category of dtype: whether `forward` may be called on arrays as they are."""
    whole = p.promote != "float"
    allowed = (whole, whole, True, len(p.inputs) == 2)
    return tuple(ok and c not in p.refuses and (c > 0 or p.check is None) for c, ok in enumerate(allowed))


def unary(p: Primitive, fallback: Callable[..., Any] = apply, put_out: Any = None) -> Any:
    """The function of a primitive with one input. put_out: for the public form, which takes `out=` and Tensors only."""
    compute, node_class, n_saves = p.forward, p.node, len(p.saves)
    differentiable = bool(p.rules)
    keeps_input = p.saves == (p.inputs[0],)
    keeps_out = p.saves == ("out",)
    simple = differentiable and (n_saves == 0 or keeps_input or keeps_out)
    to_bool = p.promote == "bool"
    quick = _quick(p)
    takes_arrays = put_out is None

    def op(input: Any, *, out: Any = None) -> Any:
        if out is not None:
            return put_out(op.__name__, op(input), out)
        cls = input.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain) and quick[kind.category]:
                node = input._node
                if node is None or (mode is not None and not mode.grad) or not differentiable:
                    made = wrap(compute(input._array), None if to_bool else kind)
                    if node is None and (input._more is None or input._more.cut is None):
                        return made
                    return without_history(p, made, (input,), mode)
                elif simple:
                    array = compute(input._array)
                    if array.__class__ is not ndarray:
                        array = np.asarray(array)
                    out = new(Tensor)
                    out._array = array
                    out._kind = kind
                    out._more = out._version_ = None
                    out._node = made = node_class()
                    made._seq = next_seq()
                    made._edges = (input if node is LEAF else node,)
                    if keeps_input:
                        v = input._version_
                        made._saved = (input,)
                        made._versions = (0 if v is None else v.n,)
                    elif keeps_out:
                        made._saved = (SavedOutput(out, version(out)),)
                        made._versions = (0,)
                    else:
                        made._saved = made._versions = ()
                    made._fix = made._extra = None
                    frame = getframe(1)
                    code = frame.f_code
                    try:
                        own = OWN_FILES[code.co_filename]
                    except KeyError:
                        own = is_own(code.co_filename)
                    if own:
                        made._code, made._lasti = users_place(2) or (None, 0)
                    else:
                        made._code, made._lasti = code, frame.f_lasti
                    return out
        elif takes_arrays and (cls is ndarray or isinstance(input, np.generic)):
            return compute(input)
        return fallback(p, (input,), {})

    return op


def binary(p: Primitive, fallback: Callable[..., Any] = apply, put_out: Any = None, numbers: bool = True) -> Any:
    """The function of a primitive with two inputs. numbers: whether the second may be a Python number; put_out: see `unary`."""
    compute, node_class, saves = p.forward, p.node, p.saves
    first, second = p.inputs
    to_other = p.promote in ("bool", "complex")
    differentiable = bool(p.rules)
    both, x_only, y_only = saves in ((first, second), (second, first)), saves == (first,), saves == (second,)
    swapped = saves == (second, first)
    simple = differentiable and not to_other and (both or x_only or y_only or not saves)
    quick = _quick(p)
    number = p.number if not to_other and p.number is not None and set(p.number.saves) <= {first, second} else None
    number_class, alone, number_saves = (
        (number.node, number.alone, number.saves) if number is not None else (None, False, ())
    )
    number_x, number_y, number_first = first in number_saves, second in number_saves, number_saves[:1] == (first,)
    takes_arrays = put_out is None
    if differentiable and not to_other and not p.native and "out" in saves:
        fallback = several(p, fallback, takes_arrays, numbers)

    def op(input: Any, other: Any, *, out: Any = None) -> Any:
        if out is not None:
            return put_out(op.__name__, op(input, other), out)
        cls, other_cls = input.__class__, other.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain):
                if other_cls is Tensor or other_cls is Parameter:
                    if other._kind is kind and quick[kind.category]:
                        x, y, node, other_node = input._array, other._array, input._node, other._node
                        try:
                            array = compute(x, y)
                        except ValueError:
                            broadcast(x.shape, y.shape)
                            raise
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        if (
                            (node is None and other_node is None)
                            or (mode is not None and not mode.grad)
                            or not differentiable
                        ):
                            out = new(Tensor)
                            out._array = array
                            out._kind = BY_NUMPY[array.dtype] if to_other else kind
                            out._node = out._more = out._version_ = None
                            one, two = input._more, other._more
                            if (
                                node is None is other_node
                                and (one is None or one.cut is None)
                                and (two is None or two.cut is None)
                            ):
                                return out
                            return without_history(p, out, (input, other), mode)
                        elif simple and kind.category == 2:
                            out = new(Tensor)
                            out._array = array
                            out._kind = kind
                            out._more = out._version_ = None
                            out._node = made = node_class()
                            made._seq = next_seq()
                            made._edges = (input if node is LEAF else node, other if other_node is LEAF else other_node)
                            if node is None or other_node is None:
                                save_for(p, made, (input, other))
                            elif both:
                                v, w = input._version_, other._version_
                                if swapped:
                                    made._saved = (other, input)
                                    made._versions = (0 if w is None else w.n, 0 if v is None else v.n)
                                else:
                                    made._saved = (input, other)
                                    made._versions = (0 if v is None else v.n, 0 if w is None else w.n)
                            elif saves:
                                kept = input if x_only else other
                                v = kept._version_
                                made._saved = (kept,)
                                made._versions = (0 if v is None else v.n,)
                            else:
                                made._saved = made._versions = ()
                            if x.shape == y.shape:
                                made._fix = None
                            else:
                                made._fix = ((x.shape, x.dtype), (y.shape, y.dtype))
                            made._extra = None
                            frame = getframe(1)
                            code = frame.f_code
                            try:
                                own = OWN_FILES[code.co_filename]
                            except KeyError:
                                own = is_own(code.co_filename)
                            if own:
                                made._code, made._lasti = users_place(2) or (None, 0)
                            else:
                                made._code, made._lasti = code, frame.f_lasti
                            return out
                elif (
                    (
                        (other_cls is float and kind.category >= 2)
                        or (other_cls is int and (kind.category == 2 or kind is INT64))
                    )
                    and numbers
                    and quick[kind.category]
                ):
                    if other_cls is int and kind.category == 2:
                        other = float(other)  # NumPy takes twice as long for an int
                    node = input._node
                    if node is None or (mode is not None and not mode.grad) or not differentiable:
                        array = compute(input._array, other)
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        out = new(Tensor)
                        out._array = array
                        out._kind = BY_NUMPY[array.dtype] if to_other else kind
                        out._node = out._more = out._version_ = None
                        if node is None and (input._more is None or input._more.cut is None):
                            return out
                        return without_history(p, out, (input,), mode)
                    elif number_class is not None and kind.category == 2:
                        array = compute(input._array, other)
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        out = new(Tensor)
                        out._array = array
                        out._kind = kind
                        out._more = out._version_ = None
                        out._node = made = number_class()
                        made._seq = next_seq()
                        edge = input if node is LEAF else node
                        made._edges = (edge,) if alone else (edge, None)
                        if number_x:
                            v = input._version_
                            held = 0 if v is None else v.n
                            if not number_y:
                                made._saved, made._versions = (input,), (held,)
                            elif number_first:
                                made._saved, made._versions = (input, other), (held, None)
                            else:
                                made._saved, made._versions = (other, input), (None, held)
                        elif number_y:
                            made._saved, made._versions = (other,), (None,)
                        else:
                            made._saved = made._versions = ()
                        made._fix = made._extra = None
                        frame = getframe(1)
                        code = frame.f_code
                        try:
                            own = OWN_FILES[code.co_filename]
                        except KeyError:
                            own = is_own(code.co_filename)
                        if own:
                            made._code, made._lasti = users_place(2) or (None, 0)
                        else:
                            made._code, made._lasti = code, frame.f_lasti
                        return out
        elif takes_arrays and not (other_cls is Tensor or isinstance(other, Tensor) or isinstance(input, Tensor)):
            return compute(input, other)
        return fallback(p, (input, other), {})

    return op


def apply_operator(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """`apply` for an operator: an operand of a foreign class may answer itself."""
    other = tensors[1]
    if not isinstance(other, _OPERANDS) and not hasattr(other.__class__, "__torch_function__"):
        return NotImplemented
    return apply(p, tensors, params)


_OPERANDS = (Tensor, int, float, complex, ndarray, np.generic)


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


def general(p: Primitive, params: tuple[str, ...]) -> Any:
    """The function of a primitive that is not elementwise."""
    forward, node_class, view, name, attach_plain = p.forward, p.node, p.view, p.node_name, views.attach_plain
    plan = _plan(p, params) if p.outputs == 1 and not p.variadic and not p.native else None
    if plan is None:

        def several(*tensors: Any, **params: Any) -> Any:
            if tensors and tensors[0].__class__ is not Tensor and _raw(tensors):
                return forward(*tensors, **params)
            return apply(p, tensors, params)

        return several
    differentiable = bool(p.rules)
    if p.restores:
        plan = []
    restores = p.restores
    one = len(p.inputs) == 1

    def op(*tensors: Any, **params: Any) -> Any:
        first = tensors[0]
        mode = current()
        recorded = cut = False
        if mode is None or mode.plain:
            for t in tensors:
                cls = t.__class__
                if cls is not Tensor and cls is not Parameter:
                    break
                if not t._kind.simple:
                    break
                if t._more is not None and t._more.cut is not None:
                    cut = True
                if t._node is not None:
                    recorded = True
            else:
                history = recorded and differentiable and (mode is None or mode.grad)
                if not restores or not history:
                    kind = first._kind
                    array = forward(first._array, **params) if one else forward(*[t._array for t in tensors], **params)
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
                    if not history:
                        return without_history(p, out, tensors, mode) if recorded or cut else out
                    if kind.category == 2:
                        out._node = made = node_class()
                        made._seq = next_seq()
                        if one:
                            edge = first._node
                            made._edges = (first if edge is LEAF else edge,)
                        else:
                            made._edges = tuple([t if t._node is LEAF else t._node for t in tensors])
                        edges = made._edges
                        _save(plan, made, tensors, params, out, wanted_saves(p, edges) if None in edges else None)
                        made._fix = made._extra = None
                        frame = getframe(1)
                        code = frame.f_code
                        try:
                            own = OWN_FILES[code.co_filename]
                        except KeyError:
                            own = is_own(code.co_filename)
                        if own:
                            made._code, made._lasti = users_place(2) or (None, 0)
                        else:
                            made._code, made._lasti = code, frame.f_lasti
                        return out
        if first.__class__ is not Tensor and _raw(tensors):
            return forward(*tensors, **params)
        return apply(p, tensors, params)

    return op


def _save(plan: Any, node: Any, tensors: Any, params: Any, out: Tensor, wanted: Any) -> None:
    """What the rules need, by plan; `wanted`: which of it (None: all)."""
    saved: list[Any] = []
    versions: list[Any] = []
    for code, which in plan:
        held = None
        if wanted is not None and len(saved) not in wanted:
            value = None
        elif code == _SHAPE:
            value = tensors[which]._array.shape
        elif code == _PARAM:
            value = params[which]
        elif code == _TENSOR:
            value = tensors[which]
            if value.__class__ is not float and value.__class__ is not int:
                counter = value._version_
                held = 0 if counter is None else counter.n
        elif code == _OUT:
            value, held = SavedOutput(out, version(out)), 0
        elif code == _DTYPE:
            value = tensors[which]._kind.dtype
        else:
            value = tuple([e is not None for e in node._edges])
        saved.append(value)
        versions.append(held)
    node._saved, node._versions = tuple(saved), tuple(versions)


def _raw(tensors: tuple[Any, ...]) -> bool:
    """Whether a call comes from a rule in a plain backward: arrays only."""
    return not any(isinstance(t, Tensor) for t in tensors)
