"""The straight way of a call: plain tensors, nothing special switched on. It computes, makes a tensor and a node, and is done.

The text of such a function is the same for all primitives but for what their declarations say: how many tensors and which parameters,
what the rules need, whether the result is a view. So there is one text, written out and compiled for a primitive when it is first called;
primitives alike share what is written. To read one: `print(inspect.getsource(lamina.exp))`.

Whatever is not common goes to `apply` (dispatch.py), which does the same and more. Here: the text. Not here: the words that a declaration
puts in its places (wording.py); which primitives are called so (fast.py, straight.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from textwrap import indent
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import next_seq
from lamina.autograd.saved import SavedOutput
from lamina.autograd.views import attach_plain, plain_ways
from lamina.core import dtype as dtypes
from lamina.core.device import BY_NUMPY, CPU
from lamina.core.parameter import Parameter
from lamina.core.size import refused
from lamina.core.tensor import LEAF, Tensor
from lamina.core.version import OWN_FILES, Version, getframe, place_from
from lamina.primitives import plans
from lamina.primitives.code_objects import by_position, lines, written
from lamina.primitives.dispatch import apply, without_history
from lamina.primitives.primitive import Primitive
from lamina.primitives.wording import Wording

# Left of the bar stands for which calls a line is there: see `lines`.

CALL = """\
            |def op({signature}):
out         |    if out is not None:
out         |        return put(itself({operands}), out)
            |    if {first_fits}:
            |        kind, now = {gives_kind}._kind, current()
elements    |        if kind.plain and quick[kind.category] and (now is None or now.plain):
-elements   |        if kind.simple and (now is None or now.plain):
one         |{made}
-one        |            if {others_fit}:
-one        |{made}
numbers     |            elif (other.__class__ is float and kind.category >= 2) or (
numbers     |                other.__class__ is int and (kind.category == 2 or kind is INT64)
numbers     |            ):
numbers     |{made_by_number}
arrays one  |    elif {operands}.__class__ is ndarray or isinstance({operands}, generic):
arrays -one |    elif ({are_arrays}) or raw(({operands})):
arrays      |        return compute({operands}{by_place})
            |    return fallback(primitive, ({operands},), {named})
"""
CALL_OF_MANY = """\
            |def op(*tensors{by_place}):
            |    now = current()
            |    if tensors and (now is None or now.plain):
            |        arrays, edges, history = parts_of(tensors)
            |        if arrays:
            |            kind = tensors[0]._kind
            |{made}
            |    if tensors and tensors[0].__class__ is not Tensor and raw(tensors):
            |        return compute(*tensors{by_name})
            |    return fallback(primitive, tensors, {named})
"""
MADE = """\
-many              |{arrays} = {arrays_of}
-many              |{nodes} = {nodes_of}
rules              |recorded = ({history}) and (now is None or now.grad)
rules elements     |if recorded and kind.category != 2:
rules elements     |    return fallback(primitive, {operands}, {named})
long               |if ({history}) and (now is None or now.grad):
long               |    return fallback(primitive, {operands}, {named})
number             |if kind.category == 2:
number             |    other = float(other)  # NumPy takes twice as long for an int
results            |{results} = wrapped(compute({given}))
results            |out, kind = {main}, {main}._kind
views              |outs = views_of(compute({given}), kind, {first}, way_of_several if now is None or now.grad else way_unrecorded)
array -elements    |try:
array -elements    |    array = compute({given})
array -elements    |except (ValueError, OverflowError) as error:
array -elements    |    raise refused(error) from None
array one -ufunc   |array = compute({given})
array one ufunc    |array = compute({given}) if array0.ndim else compute({given}, out=...)  # so told, it does not make a scalar
array several      |try:
array several ufunc|    array = compute({given}) if array0.ndim else compute({given}, out=...)
array several -ufunc|    array = compute({given})
array several      |except ValueError:
array several      |    check_shapes({arrays})
array several      |    raise
array              |if array.__class__ is not ndarray:
array              |    array = asarray(array)
array -elements    |if array.dtype is not kind.np:
array -elements    |    kind = BY_NUMPY[array.dtype]
array changes      |kind = BY_NUMPY[array.dtype]
array              |out = new(Tensor)
array              |out._array = array
array              |out._kind = kind
array              |out._node = out._more = out._version_ = None
array view         |attach_plain(out, {first}, way if now is None or now.grad else way_unrecorded)
rules              |if not recorded:
rules -many        |    if {no_history}:
rules -many        |        return {result}
rules              |    return {cut_off}(primitive, {result}, {operands}, now)
-rules -many       |if {no_history}:
-rules -many       |    return {result}
-rules             |return {cut_off}(primitive, {result}, {operands}, now)
rules -elements    |if kind.category != 2:  # complex numbers of real ones
rules -elements    |    return fallback(primitive, {operands}, {named})
rules -views       |out._node = made = {node_class}()
rules views        |made = node_class()
rules views        |bind(outs, made, kind)
rules              |made._seq = next_seq()
rules              |made._edges = {edges}
rules keeps_out    |kept = new(SavedOutput)
rules keeps_out    |kept.array, kept.kind, kept.nr = array, kind, None
rules keeps_out    |kept.version = out._version_ = Version()
rules              |made._saved = {saved}
rules              |made._versions = {versions}
rules              |made._fix = {fix}
rules              |made._extra = None
rules              |frame = getframe(1)
rules              |made._code = code = frame.f_code
rules              |made._lasti = frame.f_lasti
rules              |if OWN_FILES[code.co_filename]:
rules              |    made._code, made._lasti = place_from(frame.f_back) or (None, 0)
rules              |return {result}
"""

_NAMES: dict[str, Any] = {
    "BOOL": CPU[dtypes.bool_], "BY_NUMPY": BY_NUMPY, "INT64": CPU[dtypes.int64], "LEAF": LEAF, "OWN_FILES": OWN_FILES,
    "Parameter": Parameter, "SavedOutput": SavedOutput, "Tensor": Tensor, "Version": Version, "asarray": np.asarray,
    "attach_plain": attach_plain, "current": modes.current, "generic": np.generic, "getframe": getframe, "ndarray": np.ndarray,
    "new": object.__new__, "next_seq": next_seq, "place_from": place_from, "refused": refused,
    "without_history": without_history, "__name__": __name__,
    **{f.__name__: f for f in (
        plans.bind, plans.check_shapes, plans.cut_off, plans.needs_of, plans.parts_of, plans.raw, plans.shapes_of, plans.versions_of,
        plans.views_of, plans.wrapped,
    )},
}  # fmt: skip


def way(
    p: Primitive,
    operands: tuple[str, ...],
    params: tuple[str, ...] = (),
    *,
    fallback: Callable[..., Any] = apply,
    takes_arrays: bool = True,
    takes_numbers: bool = False,
    put: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """The function that calls `p`: with tensors, then parameters, by position or by name.

    operands: the tensors' names; none: there is any number; fallback: called for what is not common, as `apply` is; takes_arrays: rules
    call it, with arrays; takes_numbers: the second of two operands may be one; put(result, out): writes to what is given as `out=`,
    which the function then takes.
    """
    compute, defaults = p.forward, None
    if operands and not p.elementwise:
        compute = by_position(p.forward)
        defaults = compute.__defaults__
    names = _NAMES | {
        "primitive": p, "compute": compute, "node_class": p.node, "number_class": p.number and p.number.node, "quick": _quick(p),
        "fallback": fallback, "put": put,
    }  # fmt: skip
    if p.view:
        names["way"], names["way_unrecorded"] = plain_ways(p.node_name)
        names["way_of_several"] = plain_ways(p.node_name, "several")[0]

    def write() -> str:
        return _text(p, operands, params, takes_arrays, takes_numbers, put is not None)

    op = written(p.name, write, names, defaults, {"out": None} if put else None)
    op.__signature__ = _shown(operands, params, put is not None)
    return op


@functools.cache
def _shown(operands: tuple[str, ...], params: tuple[str, ...], out: bool) -> inspect.Signature:
    """The signature of a function that may not be written yet."""
    by_name, either = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [
        inspect.Parameter(name, either if operands else by_name, annotation="Any") for name in (*operands, *params)
    ]
    if not operands:
        shown.insert(0, inspect.Parameter("tensors", inspect.Parameter.VAR_POSITIONAL, annotation="Any"))
    if out:
        shown.append(inspect.Parameter("out", by_name, default=None, annotation="Any"))
    return inspect.Signature(shown, return_annotation="Any")


def _quick(p: Primitive) -> tuple[bool, ...]:
    """By category of dtype: whether `forward`, of elements, may be called on arrays as they are."""
    whole = p.promote != "float" and len(p.inputs) < 3
    allowed = (whole, whole, True, len(p.inputs) == 2)
    return tuple(ok and c not in p.refuses and (c > 0 or p.check is None) for c, ok in enumerate(allowed))


def _text(
    p: Primitive, operands: tuple[str, ...], params: tuple[str, ...], takes_arrays: bool, takes_numbers: bool, out: bool
) -> str:
    """What `way` compiles."""
    call = Wording(p, p, operands, params)
    made = lines(MADE, call.flags, call.made()) if operands else lines(MADE, call.flags, call.made_of_many())
    words = call.called(out) | {"made": indent(made, " " * (12 if len(operands) < 2 else 16)).rstrip()}
    if not operands:
        return lines(CALL_OF_MANY, {}, words)
    if takes_numbers:
        by_number = Wording(p.number, p, operands, (), number=True)
        words["made_by_number"] = indent(lines(MADE, by_number.flags, by_number.made()), " " * 16).rstrip()
    return lines(
        CALL,
        call.flags | {"numbers": takes_numbers, "arrays": takes_arrays, "out": out, "one": len(operands) == 1},
        words,
    )
