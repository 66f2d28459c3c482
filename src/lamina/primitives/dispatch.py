"""The general call of a primitive: overrides, levels, promotion, computing, recording.

Here: `apply`, which does whatever is switched on, and `record`, which makes the node. Not here: the straight way (ways.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors, modes, views
from lamina.autograd.graph import Node, Output, edge_of, extra_of, next_seq, several
from lamina.autograd.saved import Packed, SavedOutput
from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import strided
from lamina.core.device import BY_NUMPY, CPU, KINDS, Kind
from lamina.core.parameter import Parameter
from lamina.core.promotion import as_operand, common_dtype
from lamina.core.size import broadcast, refused
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, more, version, wrap
from lamina.core.version import UNTRACKED, users_place
from lamina.primitives.overridable import asks
from lamina.primitives.primitive import Primitive, Slots

ndarray = np.ndarray
new = object.__new__
current = modes.current


def apply(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """Call a primitive on Tensors and numbers, whatever is switched on."""
    mode = current()
    if mode is not None and (mode.asked is not None or mode.transforms):
        if mode.asked is not None:
            return Slots.override(p.public, tensors, params)
        found = Slots.transform(p, tensors, params)
        if found is not NotImplemented:
            return found
    if (mode is None or not mode.no_overrides) and asks(tensors):
        return Slots.override(p.public, tensors, params)
    fix: Any = None
    given = tensors
    if p.elementwise:
        tensors, arrays, kind, where = _promoted(p, tensors)
    else:
        tensors = tuple(t if t is None or isinstance(t, Tensor) else wrap(as_operand(t)) for t in tensors)
        arrays = [None if t is None else t._array for t in tensors]
        kind, where = None, _device(p, tensors)
    if where is devices.meta:
        result = _meta(p, arrays, params)
    else:
        result = computed(p, arrays, params)
    grad = mode is None or (mode.grad and not mode.inference)
    recorded = (
        grad and p.rules and any(t is not None and t.__class__ in _CARRIES and t._node is not None for t in tensors)
    )
    recorded = recorded or (grad and p.rules and any(isinstance(t, Tensor) and t._node is not None for t in tensors))
    outs: list[Any]
    recorded = recorded and _has_history(p, tensors, result)
    if p.outputs == 1:
        outs = [_result(result, kind, where)]
    else:
        outs = [None if r is None else _result(r, None, where) for r in result]
    if p.view:
        _attach_views(p, outs, tensors[0], mode)
    elif mode is not None and mode.inference:
        for out in outs:
            if out is not None:
                more(out).inference, out._version_ = True, UNTRACKED
    if mode is not None and mode.listener is not None:
        mode.listener.call(p, given, arrays, params, outs)
    if recorded:
        record(p, tensors, params, outs, arrays, fix, mode)
    else:
        for out in outs:
            if out is not None:
                without_history(p, out, tensors, mode)
    return outs[0] if p.outputs == 1 else tuple(outs)


def _has_history(p: Primitive, tensors: Sequence[Any], result: Any) -> bool:
    """Raises for an operand whose history a write has made unknown. False: nothing of the result would have a gradient from it."""
    for t in tensors:
        if isinstance(t, Tensor) and t._more is not None and t._more.broken:
            for i, r in enumerate((result,) if p.outputs == 1 else result):
                if r is not None and i not in p.nondiff and BY_NUMPY[r.dtype].dtype.category > 1:
                    raise errors.ViewInPlaceError(t, "", t._more.view, base_modified=True)
            return False
    return True


_CARRIES = frozenset((Tensor, Parameter))


def without_history(p: Primitive, out: Tensor, tensors: Sequence[Any], mode: Any) -> Tensor:
    """`out`, which has no history, knowing why where something before it has one: for the error that asks."""
    for t in tensors:
        if isinstance(t, Tensor):
            about = t._more
            if about is not None and about.cut is not None:
                more(out).cut = about.cut
                return out
            if t._node is not None:
                place = users_place(3)
                if mode is not None and not mode.grad:
                    cut = errors.Cut(
                        "computed while gradients were off: no_grad, inference_mode, set_grad_enabled(False)",
                        place,
                        "compute it where gradients are on",
                    )
                else:
                    cut = errors.Cut(f"{p.name} has no gradient", place, "compute the loss from what comes before it")
                more(out).cut = cut
                return out
    return out


def _result(array: Any, kind: Kind | None, where: Any) -> Tensor:
    if array.__class__ is not ndarray:
        array = np.asarray(array)
    if kind is None or kind.np is not array.dtype:
        kind = BY_NUMPY[array.dtype] if where is devices.cpu else KINDS[BY_NUMPY[array.dtype].dtype, where]
    return wrap(array, kind)


def _device(p: Primitive, tensors: Sequence[Any]) -> Any:
    """Where a call computes. Raises RuntimeError for elements of several devices; a number in a 0-d tensor of the CPU goes anywhere."""
    where = devices.cpu
    for t in tensors:
        if isinstance(t, Tensor) and t._kind.device is devices.meta:
            where = devices.meta
    if where is devices.meta and p.elementwise:
        for t in tensors:
            if isinstance(t, Tensor) and t._kind.device is not where and t._array.ndim:
                first = next(t for t in tensors if isinstance(t, Tensor))
                here, there = ("cpu", "meta") if first._kind.device is devices.meta else ("meta", "cpu")
                raise RuntimeError(f"Tensor on device {here} is not on the expected device {there}!")
    return where


LOW = 4
"""In `refuses`: bfloat16 and float16, beside the categories of dtypes."""


def _promoted(p: Primitive, given: Sequence[Any]) -> Any:
    """Operands as Tensors or numbers, their arrays in the common dtype, the result's kind (where known) and device."""
    tensors = [t if isinstance(t, Tensor) else as_operand(t) for t in given]
    where = _device(p, tensors)
    if p.check is not None:
        p.check(tensors)
    if p.promote == "none":
        return tensors, [t._array if isinstance(t, Tensor) else t for t in tensors], None, where
    shared = common_dtype(tensors[1:] if p.promote == "rest" else tensors)
    if p.promote == "float" and shared.category < 2:
        shared = dtypes.get_default_dtype()
    refused = p.refuses.get(shared.category) or (p.refuses.get(LOW) if shared.is_low else None)
    if refused is not None:
        error, text = refused
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


def computed(p: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    low = next(
        (a.dtype for a in arrays if a is not None and a.dtype.itemsize < 4 and BY_NUMPY[a.dtype].dtype.is_low), None
    )
    if low is None or p.promote == "none" or p.native or p.view:
        try:
            return p.forward(*arrays, **params)
        except (ValueError, OverflowError) as error:
            if p.elementwise:
                broadcast(*(a.shape for a in arrays))
            raise refused(error) from None
    wide = [a.astype(np.float32) if a is not None and a.dtype == low else a for a in arrays]
    result = p.forward(*wide, **params)
    if p.outputs == 1:
        return result.astype(low) if result.dtype == np.float32 else result
    return tuple(r.astype(low) if r is not None and r.dtype == np.float32 else r for r in result)


def _meta(p: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    """Shapes, strides and dtypes of a result, without values."""
    if p.view:
        return p.forward(*arrays, **params)
    if p.meta is not None:
        result = p.meta(*arrays, **params)
    elif p.elementwise:
        tiny = computed(p, [np.ones((), a.dtype) for a in arrays], params)  # zeros may not be divided by
        shape = broadcast(*(a.shape for a in arrays))
        like = next((a for a in arrays if a.shape == shape and not a.flags.c_contiguous), None)
        kind = np.asarray(tiny).dtype
        return strided.untouched(shape, kind) if like is None else strided.empty_as(like, kind)
    else:
        # no rule of its own: compute on zeros and keep the shape
        result = p.forward(*(None if a is None else np.zeros(a.shape, a.dtype) for a in arrays), **params)
    return _emptied(result) if p.outputs == 1 else tuple(None if r is None else _emptied(r) for r in result)


def _emptied(result: Any) -> Array:
    """Untouched memory in the place of a result of which only shape, strides and dtype count."""
    array = np.asarray(result)
    if array.size > 1 and 0 not in array.strides:
        return strided.empty_as(array)
    return strided.untouched(array.shape, array.dtype)


def _attach_views(p: Primitive, outs: Sequence[Tensor], source: Tensor, mode: Any) -> None:
    made_in = (
        ("several" if p.outputs != 1 else "")
        if mode is None or mode.grad
        else "inference"
        if mode.inference
        else "no_grad"
    )
    for out in outs:
        views.attach(out, source, p.node_name, made_in)


def record(p: Primitive, tensors: Any, params: Any, outs: list[Any], arrays: Any, fix: Any, mode: Any) -> None:
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
    listed = several(node)
    nr = 0
    for i, out in enumerate(outs):
        if i in p.nondiff or out is None or out._kind.dtype.category < 2:
            continue
        out._node = Output(node, nr) if listed else node
        nr += 1
    if listed:
        node._ends = tuple(
            [(o._array.shape, o._kind) for o in outs if o is not None and getattr(o._node, "node", None) is node]
        )
    hooks = mode.saved_hooks[-1] if mode is not None and mode.saved_hooks else None
    wanted = wanted_saves(p, node._edges)
    saved: list[Any] = []
    versions: list[int | None] = []
    for j, name in enumerate(p.saves):
        if j not in wanted:
            saved.append(None)
            versions.append(None)
            continue
        value, held = _to_save(p, name, tensors, params, outs, node)
        if isinstance(value, Tensor):
            value, held = _held(value, hooks)
        elif value.__class__ is tuple and value and isinstance(value[0], Tensor):
            value, held = zip(*(_held(t, hooks) for t in value), strict=True)
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


def _held(t: Tensor, hooks: Any) -> tuple[Any, int | None]:
    """What stands for a saved tensor, and its version now."""
    if t._more is not None and t._more.inference:
        raise errors.InferenceSavedError()
    if hooks is not None:
        return Packed(t, hooks, edge_of(t)), None
    return t, 0 if t._version_ is None else t._version_.n


def wanted_saves(p: Primitive, edges: tuple[Any, ...]) -> set[int]:
    """Which of `p.saves` the rules of the asked inputs need: what nobody needs is not kept, and may be written to."""
    if p.variadic:
        return set(range(len(p.saves)))
    return {j for edge, pick in zip(edges, p.picks, strict=False) if edge is not None for j in pick}


def _to_save(p: Primitive, name: str, tensors: Any, params: Any, outs: Any, node: Node) -> tuple[Any, Any]:
    if name in p.inputs:
        return tensors[p.inputs.index(name)], None
    if name in params:
        return params[name], None
    if name == "out" or name.startswith("out_"):
        i = int(name[4:] or 0)
        if outs[i] is None:
            return None, None
        counter = version(outs[i])
        mode = current()
        nr = sum(1 for k in range(i) if k not in p.nondiff) if several(node) else None
        if i in p.nondiff:
            plain = wrap(outs[i]._array, outs[i]._kind)
            plain._version_ = counter
            return plain, None
        kept = SavedOutput(outs[i], counter, nr)
        if mode is not None and mode.saved_hooks:
            return Packed(kept.tensor(node), mode.saved_hooks[-1], None, nr or 0), None
        return kept, counter.n
    if name == "needs":
        return tuple(e is not None for e in node._edges), None
    if p.variadic and name == "shapes":
        return tuple(t._array.shape for t in tensors), None
    if p.variadic and name in ("rest", "others"):
        return tuple(tensors[1 if name == "rest" else len(p.inputs) :]), None
    base, _, what = name.rpartition("_")
    if base in p.inputs and what in ("shape", "dtype"):
        t = tensors[p.inputs.index(base)]
        return (None if t is None else t._array.shape if what == "shape" else t._kind.dtype), None
    if base in p.inputs and what == "turned":
        return strided.is_turned(tensors[p.inputs.index(base)]._array), None
    raise TypeError(f"primitive {p.name!r}: a rule names {name!r}, which is no input, parameter or output")
