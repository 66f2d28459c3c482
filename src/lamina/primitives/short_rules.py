"""The short way backward: the vjp of the common case, written out for each primitive (see ways.py).

A node whose inputs were plain tensors of one kind and shape runs its rules on arrays, after a look at the versions; whatever else was
the case goes to `PrimitiveNode._vjp` (nodes.py), which also tells what is wrong. Here: this text. Not here: any rule.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lamina.autograd.saved import Packed, SavedOutput
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.primitives.code_objects import as_tuple, lines, written
from lamina.primitives.nodes import PrimitiveNode
from lamina.primitives.primitive import Primitive

# Left of the bar stands for which nodes, or for which of what they saved, a line is there: see `lines`.

VJP = """\
      |def vjp(self, g, create, chosen=None):
      |    saved = self._saved
      |    if saved is None or self._fix is not None or create or chosen is not None:
      |        return general(self, g, create, chosen)
any   |    {values} = saved
held  |    {versions} = self._versions
held  |{unsaved}
edges |    {edges} = self._edges
      |    return {results}
"""
UNSAVED = """\
out          |    if {value}.__class__ is SavedOutput:
out          |        if {value}.version.n != {version}:
out          |            return general(self, g, create, chosen)
out          |        {value} = {value}.array
out scalars  |        if g.__class__ is not ndarray:
out scalars  |            {value} = {value}[()]
out          |    elif {value}.__class__ is Tensor or {value}.__class__ is Parameter:
input        |    if {value}.__class__ is Tensor or {value}.__class__ is Parameter:
-list        |        if {value}._version_ is not None and {value}._version_.n != {version}:
-list        |            return general(self, g, create, chosen)
-list        |        {value} = {value}._array
-list scalars|        if g.__class__ is not ndarray:
-list scalars|            {value} = {value}[()]
-list        |    elif {value} is not None and {value}.__class__ is not float and ({version} is not None or isinstance({value}, special)):
-list        |        return general(self, g, create, chosen)
list         |    {value} = arrays({value}, {version})
list         |    if {value} is None:
list         |        return general(self, g, create, chosen)
"""


def short_vjp(p: Primitive, edges: int, scalars: bool) -> Any:
    """The vjp of nodes that `p` records, with one result. edges: so many are there; scalars: cotangents of 0-d tensors may come as NumPy's
    scalars, which compute ten times as fast as 0-d arrays; what was saved is then taken out of its array.
    """
    names: dict[str, Any] = {f"rule{i}": rule for i, rule in enumerate(p.rules)}
    names |= {
        "general": PrimitiveNode._vjp, "SavedOutput": SavedOutput, "Tensor": Tensor, "Parameter": Parameter, "ndarray": np.ndarray,
        "special": (Tensor, Packed), "arrays": _arrays, "__name__": __name__,
    }  # fmt: skip
    return written("_vjp", functools.partial(_text, p, edges, scalars), names, (None,))


def _text(p: Primitive, count: int, scalars: bool) -> str:
    values = [f"value{j}" for j in range(len(p.saves))]
    unsaved, versions = "", []
    for value, name in zip(values, p.saves, strict=True):
        flags = {
            "input": name in p.inputs,
            "out": name.startswith("out") and name not in p.inputs,
            "list": name in ("rest", "others"),
            "scalars": scalars,
        }
        held = flags["input"] or flags["out"] or flags["list"]
        versions.append(value.replace("value", "version") if held else "_")
        if held:
            unsaved += lines(UNSAVED, flags, {"value": value, "version": versions[-1]})
    given = [", ".join(["g", *[values[j] for j in pick]]) for pick in p.picks]
    results = ["None" if rule is None else f"rule{i}({given[i]})" for i, rule in enumerate(p.rules)]
    edges = [f"edge{i}" for i in range(count)]
    look = count > 1 and not p.variadic  # whether each gradient is asked for
    if look:
        results = [r if r == "None" else f"None if {e} is None else {r}" for e, r in zip(edges, results, strict=False)]
    words = {
        "values": as_tuple(values), "versions": as_tuple(versions), "unsaved": unsaved.rstrip(), "edges": as_tuple(edges),
        "results": results[0] if p.variadic else as_tuple(results),
    }  # fmt: skip
    return lines(VJP, {"any": bool(values), "held": bool(unsaved), "edges": look}, words)


def _arrays(tensors: tuple[Any, ...], versions: tuple[int, ...]) -> tuple[Any, ...] | None:
    """The arrays of several saved tensors; None where one of them is special, or was written to."""
    for t, n in zip(tensors, versions):  # noqa: B905
        if (t.__class__ is not Tensor and t.__class__ is not Parameter) or (
            t._version_ is not None and t._version_.n != n
        ):
            return None
    return tuple([t._array for t in tensors])
