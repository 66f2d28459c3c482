"""What a primitive is, and how one is called: promotion, computing, recording.

Here: `elementwise` and `primitive` (declarations), `apply` (the general call), the nodes that they record. Not here: any single
operation (the family files), in-place forms and `out=` (inplace.py), transforms (transforms.py).

A rule sees raw arrays in a plain backward and Tensors where the backward is recorded; a primitive called on raw arrays just
computes. So one text of a rule serves both. A rule's argument names say what is kept for it: an input's name, `out`, a
parameter's name, `<input>_shape`, `<input>_dtype`, or `needs` (which inputs are asked for). With variadic=True: `shapes` (of all inputs), `rest`
(all inputs but the first).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors, modes, views
from lamina.autograd.graph import Node, Output, Packed, SavedOutput, edge_of, extra_of, next_seq
from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU, KINDS, Kind
from lamina.core.parameter import Parameter
from lamina.core.promotion import as_operand, common_dtype
from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import LEAF, Tensor, more, version, wrap
from lamina.core.version import OWN_FILES, getframe, users_place

ndarray = np.ndarray
new = object.__new__
current = modes.current
Rule = Callable[..., Any]


class Slots:
    """What stands above the primitives fills these; nothing here imports it."""

    transform: Callable[..., Any]  # a call in which a level of vmap or jvp is open
    override: Callable[..., Any]  # a call with an argument whose class has __torch_function__
    fuser: Callable[..., Any] | None = None  # native kernels for composites (the compiler's)
    inplace: Callable[..., Any]  # an in-place write in which a level is open
    cut: Callable[..., None] | None = None  # notes why a result does not require grad


class Primitive:
    """All that is declared about one operation."""

    __slots__ = (
        "alone", "batch", "check", "elementwise", "emit", "forward", "function", "holds", "holomorphic", "inputs", "jvp", "meta", "name",
        "native", "node", "node_name", "nondiff", "number", "outputs", "picks", "promote", "refuses", "restores", "rules", "saves",
        "variadic", "view", "wraps",
    )  # fmt: skip

    name: str
    forward: Callable[..., Any]
    inputs: tuple[str, ...]
    rules: tuple[Rule | None, ...]
    picks: tuple[tuple[int, ...], ...]  # for each rule, where its arguments stand in `saves`
    saves: tuple[str, ...]
    outputs: int  # 0: as many as the arguments say
    node: type[Node]
    number: Primitive | None  # of two inputs: how a call is recorded whose second operand is a Python number
    alone: bool  # such a call's node has one edge, not (edge, None)
    refuses: dict[int, tuple[type[Exception], str]]  # by dtype category: what is raised
    check: Callable[[Sequence[Any]], None] | None  # of operands that are not plain tensors of one floating dtype

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


PRIMITIVES: dict[str, Primitive] = {}


# ---- declarations ----------------------------------------------------------------------------------------------------


def _argnames(f: Callable[..., Any]) -> tuple[str, ...]:
    code = f.__code__  # type: ignore[attr-defined]
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]  # type: ignore[no-any-return]


def _declare(
    name: str,
    forward: Callable[..., Any],
    inputs: tuple[str, ...],
    grads: Sequence[Rule | None] | Rule | None,
    *,
    node: str | None = None,
    outputs: int = 1,
    nondiff: tuple[int, ...] = (),
    holomorphic: bool = True,
    view: bool = False,
    variadic: bool = False,
    meta: Any = None,
    emit: Any = None,
    jvp: Any = None,
    batch: Any = None,
    promote: str = "same",
    elementwise: bool = False,
    restores: bool = False,
    wraps: bool = False,
    number: str | None = None,
    refuses: dict[int, Any] | None = None,
    check: Callable[[Sequence[Any]], None] | None = None,
    native: bool = False,
) -> Primitive:
    p = new(Primitive)
    p.name, p.forward, p.inputs, p.outputs, p.nondiff = name, forward, inputs, outputs, nondiff
    p.holomorphic, p.view, p.variadic, p.meta, p.emit, p.jvp, p.batch = holomorphic, view, variadic, meta, emit, jvp, batch
    p.promote, p.elementwise, p.restores, p.wraps = promote, elementwise, restores or elementwise, wraps
    p.native, p.alone, p.check = native, False, check
    p.refuses = {c: (NotImplementedError, m) if isinstance(m, str) else m for c, m in (refuses or {}).items()}
    _rules(p, () if grads is None else (grads,) if callable(grads) else tuple(grads))
    p.node_name = _node_name(node or "".join(part.capitalize() for part in name.split("_")))
    p.node = _node_class(p)
    p.number = _number_form(p, number) if elementwise and len(p.rules) == 2 and p.rules[0] is not None else None
    if name in PRIMITIVES:
        raise TypeError(f"primitive {name!r} is declared twice")
    PRIMITIVES[name] = p
    return p


def _rules(p: Primitive, rules: tuple[Rule | None, ...]) -> None:
    """Set the gradient rules of `p`, and what they save."""
    saves: list[str] = []
    picks = []
    for rule in rules:
        names = () if rule is None else _argnames(rule)[1:]
        for n in names:
            if n not in saves:
                saves.append(n)
        picks.append(tuple(saves.index(n) for n in names))
    p.rules, p.saves, p.picks = rules, tuple(saves), tuple(picks)
    p.holds = any(n in p.inputs or n.startswith("out") for n in saves)


def _node_name(name: str) -> str:
    return name if "Backward" in name or name == "NotImplemented" else name + "Backward0"


def _number_form(p: Primitive, name: str | None) -> Primitive:
    """`p` as recorded for (Tensor, number). name: PyTorch's of this node, where it has one edge and a name of its own."""
    q = new(Primitive)
    for slot in Primitive.__slots__:
        if hasattr(p, slot):
            setattr(q, slot, getattr(p, slot))
    _rules(q, p.rules[:1])
    q.number, q.alone = None, name is not None
    q.node_name = _node_name(name) if name else p.node_name
    facts: dict[str, Any] = {"__slots__": (), "__module__": "torch.autograd", "_primitive": q, "_holds": q.holds, "_width": 1}
    if set(q.saves) <= set(q.inputs):
        facts["_vjp"] = _number_vjp(q)
    q.node = type(q.node_name, (PrimitiveNode,), facts)
    return q


def _node_class(p: Primitive) -> type[Node]:
    facts: dict[str, Any] = {"__slots__": (), "__module__": "torch.autograd", "_primitive": p, "_holds": p.holds}
    if not p.outputs:
        return type(p.node_name, (SeveralNode,), facts)
    facts["_width"] = p.outputs - len(p.nondiff) if p.outputs > 1 else 1
    if p.elementwise and len(p.rules) == 1 and p.saves in ((), ("out",), (p.inputs[0],)):
        facts["_vjp"] = _unary_vjp(p)
    elif p.elementwise and len(p.rules) == 2 and None not in p.rules and set(p.saves) <= set(p.inputs):
        facts["_vjp"] = _binary_vjp(p)
    return type(p.node_name, (PrimitiveNode,), facts)


def primitive(name: str, forward: Callable[..., Any], grads: Any = None, *, inputs: int | None = None, **options: Any) -> Any:
    """Declare an operation whose shapes or dtypes are its own: `f(tensors..., *, params)`.

    forward: arrays (positional) and parameters (keyword only) -> array, or a tuple of `outputs` arrays. grads: a rule for each
    tensor input, or, with variadic=True, one rule that returns all. view=True: the result looks at the first input's memory.
    Returns the function that applies it.
    """
    code = forward.__code__  # type: ignore[attr-defined]
    names = code.co_varnames[: code.co_argcount]
    p = _declare(name, forward, names if inputs is None else names[:inputs], grads, **options)

    def op(*tensors: Any, **params: Any) -> Any:
        if tensors and tensors[0].__class__ is not Tensor and _raw(tensors):
            return p.forward(*tensors, **params)
        return apply(p, tensors, params)

    op.__name__ = op.__qualname__ = name
    op.primitive = p  # type: ignore[attr-defined]
    p.function = op
    return op


def _raw(tensors: tuple[Any, ...]) -> bool:
    """Whether a call comes from a rule in a plain backward: arrays only."""
    return not any(isinstance(t, Tensor) for t in tensors)


def elementwise(
    name: str,
    compute: Callable[..., Any],
    grads: Sequence[Rule | None] | None = None,
    *,
    emit: Any = None,
    promote: str = "same",
    **options: Any,
) -> Any:
    """Declare an operation on elements, of one or more inputs, which broadcast and promote.

    promote: "same" (the common dtype), "float" (integers become the default float), "bool" (the result is bool), "complex" (the
    result is complex), "rest" (the first input keeps its dtype), "none". refuses: by category of dtype (0 bool, 1 integer,
    2 floating, 3 complex) the message of the NotImplementedError, or (error, message); "{}" in it is the dtype. number: the name of
    the node where the second operand is a Python number. check: looks at the operands of calls that need promotion, before it.
    native: low precision is not computed in float32.
    Returns a plain function of the inputs; of two inputs it has an attribute `operator`, the form for `Tensor.__op__`.
    """
    n = compute.nin if isinstance(compute, np.ufunc) else compute.__code__.co_argcount
    inputs = ("x", "y", "z")[:n] if isinstance(compute, np.ufunc) else _argnames(compute)[:n]
    p = _declare(name, compute, inputs, grads, emit=emit, promote=promote, elementwise=True, **options)
    if n == 1:
        op = _unary(p)
    elif n == 2:
        op = _binary(p, apply)
        op.operator = _binary(p, _apply_operator)
        op.operator.__name__ = op.operator.__qualname__ = name
    else:

        def op(*tensors: Any) -> Any:
            return compute(*tensors) if _raw(tensors) else apply(p, tensors, {})

    op.__name__ = op.__qualname__ = name
    op.primitive = p
    p.function = op
    return op


# ---- the fast ways: plain tensors of one kind, nothing special switched on ---------------------------------------------


INT64 = CPU[dtypes.int64]


def _quick(p: Primitive) -> tuple[bool, ...]:
    """By category of dtype: whether `forward` may be called on arrays as they are."""
    whole = p.promote != "float"
    allowed = (whole, whole, True, len(p.inputs) == 2)
    return tuple(ok and c not in p.refuses and (c > 0 or p.check is None) for c, ok in enumerate(allowed))


def _unary(p: Primitive) -> Any:
    compute, node_class, n_saves = p.forward, p.node, len(p.saves)
    differentiable = bool(p.rules)
    keeps_input = p.saves == (p.inputs[0],)
    keeps_out = p.saves == ("out",)
    simple = differentiable and (n_saves == 0 or keeps_input or keeps_out)
    to_bool = p.promote == "bool"
    quick = _quick(p)

    def op(input: Any) -> Any:
        cls = input.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain) and quick[kind.dtype.category]:
                node = input._node
                if node is None or (mode is not None and not mode.grad):
                    if input._more is None or input._more.cut is None:
                        return wrap(compute(input._array), None if to_bool else kind)
                elif simple:
                    array = compute(input._array)
                    if array.__class__ is not ndarray:
                        array = np.asarray(array)
                    out = new(Tensor)
                    out._array = array
                    out._kind = kind
                    out._more = out._version_ = None
                    out._node = made = new(node_class)
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
                    if OWN_FILES[code.co_filename]:
                        made._code, made._lasti = users_place(2) or (None, 0)
                    else:
                        made._code, made._lasti = code, frame.f_lasti
                    return out
        elif cls is ndarray or isinstance(input, np.generic):
            return compute(input)
        return apply(p, (input,), {})

    return op


def _binary(p: Primitive, fallback: Callable[..., Any]) -> Any:
    compute, node_class, saves = p.forward, p.node, p.saves
    first, second = p.inputs
    to_other = p.promote in ("bool", "complex")
    differentiable = bool(p.rules)
    both, x_only, y_only = saves in ((first, second), (second, first)), saves == (first,), saves == (second,)
    swapped = saves == (second, first)
    simple = differentiable and not to_other and (both or x_only or y_only or not saves)
    quick = _quick(p)
    number = p.number if not to_other and p.number is not None and set(p.number.saves) <= {first, second} else None
    number_class, alone, number_saves = (number.node, number.alone, number.saves) if number is not None else (None, False, ())
    number_x, number_y, number_first = first in number_saves, second in number_saves, number_saves[:1] == (first,)

    def op(input: Any, other: Any) -> Any:
        cls, other_cls = input.__class__, other.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain):
                if other_cls is Tensor or other_cls is Parameter:
                    if other._kind is kind and quick[kind.dtype.category]:
                        x, y, node, other_node = input._array, other._array, input._node, other._node
                        try:
                            array = compute(x, y)
                        except ValueError:
                            broadcast(x.shape, y.shape)
                            raise
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        if (node is None and other_node is None) or (mode is not None and not mode.grad):  # not recorded
                            if (input._more is None or input._more.cut is None) and (other._more is None or other._more.cut is None):
                                out = new(Tensor)
                                out._array = array
                                out._kind = BY_NUMPY[array.dtype] if to_other else kind
                                out._node = out._more = out._version_ = None
                                return out
                        elif simple and kind.dtype.category == 2:
                            out = new(Tensor)
                            out._array = array
                            out._kind = kind
                            out._more = out._version_ = None
                            out._node = made = new(node_class)
                            made._seq = next_seq()
                            made._edges = (input if node is LEAF else node, other if other_node is LEAF else other_node)
                            if node is None or other_node is None:
                                _save_for(p, made, (input, other))
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
                            shape = array.shape
                            if x.shape == shape and y.shape == shape:
                                made._fix = None
                            else:
                                made._fix = ((x.shape, x.dtype), (y.shape, y.dtype))
                            made._extra = None
                            frame = getframe(1)
                            code = frame.f_code
                            if OWN_FILES[code.co_filename]:
                                made._code, made._lasti = users_place(2) or (None, 0)
                            else:
                                made._code, made._lasti = code, frame.f_lasti
                            return out
                elif (
                    (other_cls is float and kind.dtype.category >= 2)
                    or (other_cls is int and (kind.dtype.category == 2 or kind is INT64))
                ) and quick[kind.dtype.category]:
                    node = input._node
                    if node is None or (mode is not None and not mode.grad):
                        if input._more is None or input._more.cut is None:
                            array = compute(input._array, other)
                            if array.__class__ is not ndarray:
                                array = np.asarray(array)
                            out = new(Tensor)
                            out._array = array
                            out._kind = BY_NUMPY[array.dtype] if to_other else kind
                            out._node = out._more = out._version_ = None
                            return out
                    elif number_class is not None and kind.dtype.category == 2:
                        array = compute(input._array, other)
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        out = new(Tensor)
                        out._array = array
                        out._kind = kind
                        out._more = out._version_ = None
                        out._node = made = new(number_class)
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
                        if OWN_FILES[code.co_filename]:
                            made._code, made._lasti = users_place(2) or (None, 0)
                        else:
                            made._code, made._lasti = code, frame.f_lasti
                        return out
        elif not (other_cls is Tensor or isinstance(other, Tensor) or isinstance(input, Tensor)):
            return compute(input, other)
        return fallback(p, (input, other), {})

    return op


def _apply_operator(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """`apply` for an operator: an operand of a foreign class may answer itself."""
    other = tensors[1]
    if not isinstance(other, _OPERANDS) and not hasattr(other.__class__, "__torch_function__"):
        return NotImplemented
    return apply(p, tensors, params)


_OPERANDS = (Tensor, int, float, complex, ndarray, np.generic)


# ---- the general way -------------------------------------------------------------------------------------------------


def apply(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """Call a primitive on Tensors and numbers, whatever is switched on."""
    mode = current()
    if mode is not None and (mode.function_modes or mode.transforms):
        if mode.function_modes:
            return Slots.override(p.function, tensors, params)
        found = Slots.transform(p, tensors, params)
        if found is not NotImplemented:
            return found
    if mode is None or not mode.no_overrides:
        for t in tensors:
            cls = t.__class__
            if cls is not Tensor and cls is not Parameter and getattr(cls, "_overrides", False):
                return Slots.override(p.function, tensors, params)
    fix: Any = None
    if p.elementwise:
        tensors, arrays, kind, where = _promoted(p, tensors)
    else:
        tensors = tuple(t if t is None or isinstance(t, Tensor) else wrap(as_operand(t)) for t in tensors)
        arrays = [None if t is None else t._array for t in tensors]
        kind, where = None, _device(p, tensors)
    if where is devices.meta:
        result = _meta(p, arrays, params)
    else:
        result = _computed(p, arrays, params)
    grad = mode is None or mode.grad
    record = grad and p.rules and any(t is not None and t.__class__ in _CARRIES and t._node is not None for t in tensors)
    record = record or (grad and p.rules and any(isinstance(t, Tensor) and t._node is not None for t in tensors))
    if p.outputs == 1:
        outs = [_result(result, kind, where)]
    else:
        outs = [None if r is None else _result(r, None, where) for r in result]
    if mode is not None and mode.inference:
        for out in outs:
            more(out).inference = True
    if p.view:
        _attach_views(p, outs, tensors[0], mode)
    if record:
        _record(p, tensors, params, outs, arrays, fix, mode)
    elif Slots.cut is not None:
        Slots.cut(p, tensors, outs, mode)
    return outs[0] if p.outputs == 1 else tuple(outs)


_CARRIES = frozenset((Tensor, Parameter))


def _result(array: Any, kind: Kind | None, where: Any) -> Tensor:
    if array.__class__ is not ndarray:
        array = np.asarray(array)
    if kind is None or kind.np is not array.dtype:
        kind = BY_NUMPY[array.dtype] if where is devices.cpu else KINDS[BY_NUMPY[array.dtype].dtype, where]
    return wrap(array, kind)


def _device(p: Primitive, tensors: Sequence[Any]) -> Any:
    where = devices.cpu
    for t in tensors:
        if t is not None and t._kind.device is devices.meta:
            where = devices.meta
    return where


def _promoted(p: Primitive, given: Sequence[Any]) -> Any:
    """Operands as Tensors or numbers, their arrays in the common dtype, the result's kind (where known) and device."""
    tensors = [t if isinstance(t, Tensor) else as_operand(t) for t in given]
    where = devices.cpu
    for t in tensors:
        if isinstance(t, Tensor) and t._kind.device is devices.meta:
            where = devices.meta
    if p.check is not None:
        p.check(tensors)
    if p.promote == "none":
        return tensors, [t._array if isinstance(t, Tensor) else t for t in tensors], None, where
    shared = common_dtype(tensors[1:] if p.promote == "rest" else tensors)
    if p.promote == "float" and shared.category < 2:
        shared = dtypes.get_default_dtype()
    if shared.category in p.refuses:
        error, text = p.refuses[shared.category]
        raise error(text.format(shared.alias[:-6]))
    arrays = []
    for i, t in enumerate(tensors):
        if isinstance(t, Tensor):
            a = t._array
            kept = a.dtype is shared.np or a.dtype == shared.np or (i == 0 and p.promote == "rest")
            arrays.append(a if kept else a.astype(shared.np))
        elif p.promote == "bool" and shared.category == 1:
            arrays.append(np.asarray(t))  # compared as it is: 300 exceeds any uint8
        else:
            # a number is not rounded to low precision: it is an operand of the computation in float32
            arrays.append(np.asarray(t).astype(np.float32 if shared.is_low and p.promote != "bool" else shared.np))
    known = p.promote not in ("bool", "complex")
    return tensors, arrays, (CPU[shared] if where is devices.cpu else KINDS[shared, where]) if known else None, where


def _computed(p: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    if p.view:
        return p.forward(*arrays, **params)
    low = next((a.dtype for a in arrays if a is not None and a.dtype.itemsize < 4 and BY_NUMPY[a.dtype].dtype.is_low), None)
    if low is None or p.promote == "none" or p.native:
        try:
            return p.forward(*arrays, **params)
        except ValueError:
            if p.elementwise:
                broadcast(*(a.shape for a in arrays))
            raise
    wide = [a.astype(np.float32) if a is not None and a.dtype == low else a for a in arrays]
    result = p.forward(*wide, **params)
    if p.outputs == 1:
        return result.astype(low) if result.dtype == np.float32 else result
    return tuple(r.astype(low) if r is not None and r.dtype == np.float32 else r for r in result)


def _meta(p: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """Shapes and dtypes of a result, without values."""
    if p.view:
        return p.forward(*arrays, **params)
    if p.meta is not None:
        return p.meta(*arrays, **params)
    if p.elementwise:
        tiny = _computed(p, [a.reshape(-1)[:1].reshape(()) if a.size else np.zeros((), a.dtype) for a in arrays], params)
        return np.broadcast_to(np.zeros((), np.asarray(tiny).dtype), broadcast(*(a.shape for a in arrays)))
    # no rule of its own: compute on zeros and keep the shape
    result = p.forward(*(None if a is None else np.zeros(a.shape, a.dtype) for a in arrays), **params)
    if p.outputs == 1:
        return np.broadcast_to(np.zeros((), np.asarray(result).dtype), np.shape(result))
    return tuple(None if r is None else np.broadcast_to(np.zeros((), np.asarray(r).dtype), np.shape(r)) for r in result)


def _attach_views(p: Primitive, outs: Sequence[Tensor], source: Tensor, mode: Any) -> None:
    made_in = "several" if p.outputs != 1 else "" if mode is None or mode.grad else "inference" if mode.inference else "no_grad"
    for out in outs:
        views.attach(out, source, p.node_name, made_in)


def _record(p: Primitive, tensors: Any, params: Any, outs: list[Any], arrays: Any, fix: Any, mode: Any) -> None:
    """Make the node of a call, and the outputs its."""
    if p.number is not None and not isinstance(tensors[1], Tensor):
        p = p.number
    node = new(p.node)
    node._seq, node._extra = next_seq(), None
    node._edges = tuple([edge_of(t) if isinstance(t, Tensor) else None for t in (tensors[:1] if p.alone else tensors)])
    place = users_place(3)
    node._code, node._lasti = place if place is not None else (None, 0)
    if not p.outputs:
        node._width = len(outs)
    several = p.outputs == 0 or p.node._width > 1
    nr = 0
    for i, out in enumerate(outs):
        if i in p.nondiff or out is None or out._kind.dtype.category < 2:
            continue
        out._node = Output(node, nr) if several else node
        nr += 1
    hooks = mode.saved_hooks[-1] if mode is not None and mode.saved_hooks else None
    wanted = _wanted(p, node._edges)
    saved, versions = [], []
    for j, name in enumerate(p.saves):
        if j not in wanted:
            saved.append(None)
            versions.append(None)
            continue
        value, held = _to_save(p, name, tensors, params, outs, node)
        if isinstance(value, Tensor):
            if hooks is not None:
                value = Packed(value, hooks, edge_of(value))
            else:
                held = 0 if value._version_ is None else value._version_.n
        saved.append(value)
        versions.append(held)
    node._saved, node._versions = tuple(saved), tuple(versions)
    node._fix = fix
    if p.restores and not p.elementwise:
        node._fix = tuple((t._array.shape, t._array.dtype) if isinstance(t, Tensor) else None for t in tensors)
    elif p.elementwise:
        result = outs[0]._array
        same = all(a.shape == result.shape and a.dtype == result.dtype for a in arrays)
        same = same and all(not isinstance(t, Tensor) or t._array is a for t, a in zip(tensors, arrays, strict=True))
        if not same or result.dtype.kind not in "f" or result.dtype.itemsize < 4:
            node._fix = tuple((t._array.shape, t._array.dtype) if isinstance(t, Tensor) else None for t in tensors)
    elif any(o is not None and (o._kind.dtype.category == 3 or o._kind.dtype.is_low) for o in outs) or any(
        t is not None and t._kind.dtype.category == 3 for t in tensors
    ):
        node._fix = tuple((t._array.shape, t._array.dtype) if t is not None else None for t in tensors)
    if mode is not None and mode.anomaly is not None:
        extra_of(node).stack = mode.anomaly.stack()


def _wanted(p: Primitive, edges: tuple[Any, ...]) -> set[int]:
    """Which of `p.saves` the rules of the asked inputs need: what nobody needs is not kept, and may be written to."""
    if p.variadic:
        return set(range(len(p.saves)))
    return {j for edge, pick in zip(edges, p.picks, strict=False) if edge is not None for j in pick}


def _save_for(p: Primitive, node: Node, tensors: tuple[Tensor, ...]) -> None:
    """Save plain inputs of an elementwise call of which not all require grad."""
    wanted = _wanted(p, node._edges)
    kept = [tensors[p.inputs.index(name)] if j in wanted else None for j, name in enumerate(p.saves)]
    node._saved = tuple(kept)
    node._versions = tuple([None if t is None else 0 if t._version_ is None else t._version_.n for t in kept])


def _to_save(p: Primitive, name: str, tensors: Any, params: Any, outs: Any, node: Node) -> tuple[Any, Any]:
    if name in p.inputs and not (p.variadic and name == p.inputs[0]):
        return tensors[p.inputs.index(name)], None
    if name in params:
        return params[name], None
    if name == "out" or name.startswith("out_"):
        i = int(name[4:] or 0)
        counter = version(outs[i])
        mode = current()
        nr = sum(1 for k in range(i) if k not in p.nondiff) if node._width > 1 else None
        if i in p.nondiff:
            return wrap(outs[i]._array, outs[i]._kind), None
        kept = SavedOutput(outs[i], counter, nr)
        if mode is not None and mode.saved_hooks:
            return Packed(kept.tensor(node), mode.saved_hooks[-1], None), None
        return kept, counter.n
    if name == "needs":
        return tuple(e is not None for e in node._edges), None
    if p.variadic and name == "shapes":
        return tuple(t._array.shape for t in tensors), None
    if p.variadic and name == "rest":
        return tuple(tensors[1:]), None
    base, _, what = name.rpartition("_")
    if base in p.inputs and what in ("shape", "dtype"):
        t = tensors[p.inputs.index(base)]
        return (None if t is None else t._array.shape if what == "shape" else t._kind.dtype), None
    raise TypeError(f"primitive {p.name!r}: a rule names {name!r}, which is no input, parameter or output")


class PrimitiveNode(Node):
    """The node of a primitive: runs its rules."""

    __slots__ = ()
    _primitive: Primitive

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        p = self._primitive
        if self._saved is None:
            raise errors.FreedGraphError(self)
        if p.wraps and not create:  # the rules are written on public functions
            return _on_tensors(self, g)
        values = self.saved_values(create)
        if self._fix is not None:
            return self._fixed(g, values, create)
        edges = self._edges
        if p.variadic:
            return p.rules[0](g, *[values[j] for j in p.picks[0]])  # type: ignore[misc,no-any-return]
        return [
            None if edge is None or rule is None else rule(g, *[values[j] for j in pick])
            for edge, rule, pick in zip(edges, p.rules, p.picks, strict=False)
        ]

    def saved_values(self, create: bool) -> list[Any]:
        """What was saved, as arrays or as Tensors. Raises ModifiedError for what was written to since."""
        out: list[Any] = []
        for value, held in zip(self._saved, self._versions, strict=True):  # type: ignore[arg-type]
            if isinstance(value, Tensor):
                counter = value._version_
                if counter is not None and held is not None and counter.n != held:
                    raise errors.ModifiedError(self, value, held, counter, False)
                out.append(value if create else value._array)
            elif value.__class__ is SavedOutput:
                if value.version.n != held:
                    raise errors.ModifiedError(self, value, held, value.version, True)
                out.append(value.tensor(self) if create else value.array)
            elif value.__class__ is Packed:
                t = value.unpack()
                out.append(t if create else t._array)
            elif value.__class__ is tuple and value and isinstance(value[0], Tensor):
                out.append(value if create else tuple([t._array for t in value]))
            else:
                out.append(value)
        return out

    def _fixed(self, g: Any, values: list[Any], create: bool) -> Sequence[Any]:
        """Rules where inputs were broadcast, promoted, complex or of low precision: undo it on the way back."""
        p = self._primitive
        gs = g if isinstance(g, list) else [g]
        kinds = [x.dtype for x in gs if x is not None]
        if not create:
            wide = np.result_type(*(np.float32 if BY_NUMPY[k].dtype.is_low else k for k in kinds))
            is_complex = wide.kind == "c" or any(isinstance(v, ndarray) and v.dtype.kind == "c" for v in values)
            gs = [None if x is None else np.asarray(x, wide) if x.dtype != wide else x for x in gs]
            if p.elementwise or wide != kinds[0]:
                to = wide if not is_complex or wide.kind == "c" else np.result_type(wide, np.complex64)
                values = [
                    v.astype(to if v.dtype.kind == "c" or to.kind != "c" else np.empty(0, to).real.dtype)
                    if isinstance(v, ndarray) and v.dtype.kind in "fciuV" and v.dtype != to and (p.elementwise or v.dtype.kind in "fV")
                    else v
                    for v in values
                ]  # fmt: skip
        else:
            is_complex = any(k.is_complex for k in kinds) or any(isinstance(v, Tensor) and v.is_complex() for v in values)
        conjugate = is_complex and p.holomorphic
        if conjugate:
            gs = [None if x is None else x.conj() for x in gs]
        given = gs if isinstance(g, list) else gs[0]
        if p.variadic:
            results: Any = p.rules[0](given, *[values[j] for j in p.picks[0]])  # type: ignore[misc]
        else:
            results = [
                None if edge is None or rule is None else rule(given, *[values[j] for j in pick])
                for edge, rule, pick in zip(self._edges, p.rules, p.picks, strict=False)
            ]
        done = []
        for r, about in zip(results, self._fix, strict=False):
            if r is not None and about is not None:
                if conjugate:
                    r = r.conj()
                shape, dtype = about
                r = _restored(r, shape if p.restores else None, dtype, create)
            done.append(r)
        return done


def _on_tensors(node: PrimitiveNode, g: Any) -> Sequence[Any]:
    """Rules that need Tensors, in a backward that is not recorded."""
    given = [None if x is None else wrap(x) for x in g] if isinstance(g, list) else wrap(g)
    return [None if r is None else r._array if isinstance(r, Tensor) else r for r in node._vjp(given, True)]


class SeveralNode(PrimitiveNode):
    """The node of a primitive whose arguments say how many outputs there are."""

    __slots__ = ("_width",)
    _width: int


def _unary_vjp(p: Primitive) -> Any:
    """The vjp of one input with at most one thing saved: the common case in few steps."""
    (rule,) = p.rules
    assert rule is not None
    general = PrimitiveNode._vjp

    def vjp(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
        saved = self._saved
        if create or self._fix is not None or saved is None:
            return general(self, g, create)
        if not saved:
            return (rule(g),)
        kept = saved[0]
        if kept.__class__ is SavedOutput:
            if kept.version.n == self._versions[0]:  # type: ignore[index]
                return (rule(g, kept.array),)
        elif kept.__class__ is Tensor or kept.__class__ is Parameter:
            counter = kept._version_
            if counter is None or counter.n == self._versions[0]:  # type: ignore[index]
                return (rule(g, kept._array),)
        return general(self, g, create)

    return vjp


def _binary_vjp(p: Primitive) -> Any:
    """The vjp of two inputs, for plain tensors of one kind and shape."""
    first, second = p.rules
    assert first is not None and second is not None
    general = PrimitiveNode._vjp
    if not p.saves:

        def free(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
            if create or self._fix is not None:
                return general(self, g, create)
            one, two = self._edges
            return None if one is None else first(g), None if two is None else second(g)

        return free
    if len(p.saves) != 2 or any(len(pick) != 1 for pick in p.picks):
        return general
    swapped = p.picks[0][0] == 1

    def vjp(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
        saved = self._saved
        if create or self._fix is not None or saved is None:
            return general(self, g, create)
        a, b = saved
        held_a, held_b = self._versions  # type: ignore[misc]
        if held_a is None or held_b is None:
            return general(self, g, create)
        counter_a, counter_b = a._version_, b._version_
        if (counter_a is not None and counter_a.n != held_a) or (counter_b is not None and counter_b.n != held_b):
            return general(self, g, create)
        if swapped:
            return first(g, b._array), second(g, a._array)
        return first(g, a._array), second(g, b._array)

    return vjp


def _number_vjp(p: Primitive) -> Any:
    """The vjp for (Tensor, number)."""
    (rule,) = p.rules
    assert rule is not None
    general = PrimitiveNode._vjp
    at = p.saves.index(p.inputs[0]) if p.inputs[0] in p.saves else -1
    several = len(p.saves) == 2

    def vjp(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
        saved = self._saved
        if create or self._fix is not None or saved is None:
            return general(self, g, create)
        if not saved:
            return (rule(g),)
        if at < 0:
            return (rule(g, saved[0]),)
        kept, held = saved[at], self._versions[at]  # type: ignore[index]
        counter = kept._version_ if held is not None else None
        if held is None or (counter is not None and counter.n != held):
            return general(self, g, create)
        if not several:
            return (rule(g, kept._array),)
        return (rule(g, kept._array, saved[1]),) if at == 0 else (rule(g, saved[0], kept._array),)

    return vjp


def _restored(r: Any, shape: Any, dtype: Any, create: bool) -> Any:
    """A cotangent in the shape and dtype of its input: summed over broadcast dimensions, real for a real input."""
    if create:
        if shape is not None and r.shape != shape:
            r = r.sum_to_size(shape)
        if r.is_complex() and dtype.kind != "c":
            r = r.real
        to = BY_NUMPY[dtype].dtype
        return r if r.dtype is to else r.to(to)
    if shape is not None and r.shape != shape:
        r = sum_to(r, shape)
    if r.dtype != dtype:
        if r.dtype.kind == "c" and dtype.kind != "c":
            r = r.real
        r = r.astype(dtype)
    return r


def sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """Sum the dimensions that broadcasting from `shape` added or stretched."""
    lead = array.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and array.shape[i + lead] != 1)
    if axes:
        array = np.add.reduce(array, axis=axes, keepdims=True)
    return array.reshape(shape)
