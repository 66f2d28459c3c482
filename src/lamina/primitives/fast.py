"""The fast ways of elementwise calls with one or two inputs: plain tensors of one kind, nothing special switched on.

An operation's common case is one short straight function; whatever is not common goes to `apply` (dispatch.py), which does the same
and more. Here: these functions. Not here: the other primitives' (straight.py); anything that only a few calls need.

Each function ends in the same lines that make the node and note the place: calling one for it would cost a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import next_seq
from lamina.autograd.saved import SavedOutput
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.core.version import OWN_FILES, Version, getframe, is_own, users_place
from lamina.primitives.code_objects import own_code
from lamina.primitives.dispatch import apply, without_history
from lamina.primitives.primitive import Primitive
from lamina.primitives.straight_many import several

ndarray = np.ndarray
new = object.__new__
current = modes.current
INT64 = CPU[dtypes.int64]
UNWRITTEN = (0, 0)  # versions of two tensors


def _quick(p: Primitive) -> tuple[bool, ...]:
    """By category of dtype: whether `forward` may be called on arrays as they are."""
    whole = p.promote != "float"
    allowed = (whole, whole, True, len(p.inputs) == 2)
    return tuple(ok and c not in p.refuses and (c > 0 or p.check is None) for c, ok in enumerate(allowed))


Put = Callable[[Any, Any], Any]
"""put(result, out): writes to what was given as `out=`."""


def _no_out(made: Any, out: Any) -> Any:
    raise TypeError("got an unexpected argument 'out'")


def _unary(input: Any) -> Any: ...
def _unary_out(input: Any, *, out: Any = None) -> Tensor: ...  # type: ignore[empty-body]
def _binary(input: Any, other: Any) -> Any: ...
def _binary_out(input: Any, other: Any, *, out: Any = None) -> Tensor: ...  # type: ignore[empty-body]


_SHOWN = [(signature(plain), signature(with_out)) for plain, with_out in ((_unary, _unary_out), (_binary, _binary_out))]


def _public(op: Any, out: bool) -> Any:
    """`op` with or without `out=`, as it is to be called: in the code it is the last argument, as a default by name costs more."""
    code = own_code(op).__code__
    shown = _SHOWN[code.co_argcount - 2]
    if out:
        code = code.replace(co_argcount=code.co_argcount - 1, co_kwonlyargcount=1)
        op = FunctionType(code, op.__globals__, op.__name__, None, op.__closure__)
        op.__kwdefaults__ = {"out": None}
    op.__signature__ = shown[out]
    return op


def unary(p: Primitive, fallback: Callable[..., Any] = apply, takes_arrays: bool = True, put: Put | None = None) -> Any:
    """The function of a primitive with one input. takes_arrays: rules call it, with arrays."""
    compute, node_class, n_saves = p.forward, p.node, len(p.saves)
    differentiable = bool(p.rules)
    keeps_input = p.saves == (p.inputs[0],)
    keeps_out = p.saves == ("out",)
    simple = differentiable and (n_saves == 0 or keeps_input or keeps_out)
    to_bool = p.promote == "bool"
    quick = _quick(p)
    ufunc = isinstance(compute, np.ufunc)

    def op(input: Any, out: Any = None) -> Any:
        if out is not None:
            return (put or _no_out)(op(input), out)
        cls = input.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain) and quick[kind.category]:
                node, array = input._node, input._array
                if node is None or (mode is not None and not mode.grad) or not differentiable:
                    made = wrap(compute(array), None if to_bool else kind)
                    if node is None and (input._more is None or input._more.cut is None):
                        return made
                    return without_history(p, made, (input,), mode)
                elif simple:
                    # told to, NumPy makes an array of a 0-d result, not a scalar
                    array = compute(array) if not ufunc or array.ndim else compute(array, out=...)
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
                        kept = new(SavedOutput)
                        kept.array, kept.kind, kept.nr = array, kind, None
                        kept.version = out._version_ = Version()
                        made._saved = (kept,)
                        made._versions = (0,)
                    else:
                        made._saved = made._versions = ()
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
        elif takes_arrays and (cls is ndarray or isinstance(input, np.generic)):
            return compute(input)
        return fallback(p, (input,), {})

    return _public(op, put is not None)


def binary(
    p: Primitive,
    fallback: Callable[..., Any] = apply,
    takes_arrays: bool = True,
    numbers: bool = True,
    put: Put | None = None,
) -> Any:
    """The function of a primitive with two inputs. numbers: whether the second may be a Python number; takes_arrays: see `unary`."""
    compute, node_class, saves = p.forward, p.node, p.saves
    first, second = p.inputs
    to_other = p.promote in ("bool", "complex")
    differentiable = bool(p.rules)
    both = saves in ((first, second), (second, first))
    x_only, y_only = saves == (first,), saves == (second,)
    swapped = saves == (second, first)
    simple = differentiable and not to_other and (both or x_only or y_only or not saves)
    quick = _quick(p)
    ufunc = isinstance(compute, np.ufunc)
    asked_x, asked_y = _asked(p, 0), _asked(p, 1)
    number = p.number if not to_other and p.number is not None and set(p.number.saves) <= {first, second} else None
    number_class: Any
    number_class, alone, number_saves = (
        (number.node, number.alone, number.saves) if number is not None else (None, False, ())
    )
    number_x, number_y, number_first = first in number_saves, second in number_saves, number_saves[:1] == (first,)
    if differentiable and not to_other and not p.native and "out" in saves:
        fallback = several(p, fallback, takes_arrays, numbers)

    def op(input: Any, other: Any, out: Any = None) -> Any:
        if out is not None:
            return (put or _no_out)(op(input, other), out)
        cls, other_cls = input.__class__, other.__class__
        if cls is Tensor or cls is Parameter:
            kind = input._kind
            mode = current()
            if kind.plain and (mode is None or mode.plain):
                if other_cls is Tensor or other_cls is Parameter:
                    if other._kind is kind and quick[kind.category]:
                        x, y, node, other_node = input._array, other._array, input._node, other._node
                        free = (
                            (node is None and other_node is None)
                            or (mode is not None and not mode.grad)
                            or not differentiable
                        )
                        if free or (simple and kind.category == 2):
                            shape = x.shape
                            try:
                                # told to, NumPy makes an array of a 0-d result, not a scalar
                                array = compute(x, y) if shape or not ufunc else compute(x, y, out=...)
                            except ValueError:
                                broadcast(shape, y.shape)
                                raise
                            if array.__class__ is not ndarray:
                                array = np.asarray(array)
                            out = new(Tensor)
                            out._array = array
                            out._kind = kind
                            out._more = out._version_ = None
                            if free:
                                out._node = None
                                if to_other:
                                    out._kind = BY_NUMPY[array.dtype]
                                one, two = input._more, other._more
                                if (
                                    node is None is other_node
                                    and (one is None or one.cut is None)
                                    and (two is None or two.cut is None)
                                ):
                                    return out
                                return without_history(p, out, (input, other), mode)
                            out._node = made = node_class()
                            made._seq = next_seq()
                            made._edges = (input if node is LEAF else node, other if other_node is LEAF else other_node)
                            if not saves:
                                made._saved = made._versions = ()
                            elif node is None or other_node is None:  # what nobody needs is not kept
                                kept = asked_y if node is None else asked_x
                                made._saved, made._versions = _kept((input, other), kept)
                            elif both:
                                v, w = input._version_, other._version_
                                if swapped:
                                    made._saved = (other, input)
                                    made._versions = (
                                        UNWRITTEN
                                        if v is None is w
                                        else (0 if w is None else w.n, 0 if v is None else v.n)
                                    )
                                else:
                                    made._saved = (input, other)
                                    made._versions = (
                                        UNWRITTEN
                                        if v is None is w
                                        else (0 if v is None else v.n, 0 if w is None else w.n)
                                    )
                            else:
                                kept = input if x_only else other
                                v = kept._version_
                                made._saved = (kept,)
                                made._versions = (0 if v is None else v.n,)
                            if shape == y.shape:
                                made._fix = None
                            else:
                                made._fix = ((shape, x.dtype), (y.shape, y.dtype))
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
                    free = node is None or (mode is not None and not mode.grad) or not differentiable
                    if free or (number_class is not None and kind.category == 2):
                        array = compute(input._array, other)
                        if array.__class__ is not ndarray:
                            array = np.asarray(array)
                        out = new(Tensor)
                        out._array = array
                        out._kind = kind
                        out._more = out._version_ = None
                        if free:
                            out._node = None
                            if to_other:
                                out._kind = BY_NUMPY[array.dtype]
                            if node is None and (input._more is None or input._more.cut is None):
                                return out
                            return without_history(p, out, (input,), mode)
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
                        made._code = code = frame.f_code
                        made._lasti = frame.f_lasti
                        try:
                            own = OWN_FILES[code.co_filename]
                        except KeyError:
                            own = is_own(code.co_filename)
                        if own:
                            made._code, made._lasti = users_place(2) or (None, 0)
                        return out
        elif takes_arrays and not (other_cls is Tensor or isinstance(other, Tensor) or isinstance(input, Tensor)):
            return compute(input, other)
        return fallback(p, (input, other), {})

    return _public(op, put is not None)


def _kept(pair: tuple[Tensor, Tensor], kept: tuple[int | None, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What is saved of two inputs, and the versions."""
    saved = tuple([None if i is None else pair[i] for i in kept])
    return saved, tuple([None if t is None else 0 if t._version_ is None else t._version_.n for t in saved])


def _asked(p: Primitive, which: int) -> tuple[int | None, ...]:
    """What is kept where only one input requires grad: for each of `p.saves` the number of the input; None: nobody needs it."""
    if which >= len(p.rules):
        return ()
    return tuple(
        p.inputs.index(name) if j in p.picks[which] and name in p.inputs else None for j, name in enumerate(p.saves)
    )


def apply_operator(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """`apply` for an operator: an operand of a foreign class may answer itself."""
    other = tensors[1]
    if not isinstance(other, _OPERANDS) and not hasattr(other.__class__, "__torch_function__"):
        return NotImplemented
    return apply(p, tensors, params)


_OPERANDS = (Tensor, int, float, complex, ndarray, np.generic)
