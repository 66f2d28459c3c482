"""The words that a declaration puts into the text of its straight way.

Here: what they are. Not here: the text (ways.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.primitives.code_objects import as_tuple
from lamina.primitives.plans import DTYPE, NEEDS, OUT, PARAM, REST, RESULT, SHAPE, SHAPES, TENSOR, TURNED, plan_of
from lamina.primitives.primitive import Primitive

IS_TENSOR = "({0}.__class__ is Tensor or {0}.__class__ is Parameter)"


class Wording:
    """The words for the calls of a primitive.

    recorded: as what they are recorded (None: they are not, by the straight way); called: what is called; number: the second of the
    operands is a number.
    """

    def __init__(
        self,
        recorded: Primitive | None,
        called: Primitive,
        operands: tuple[str, ...],
        params: tuple[str, ...],
        number: bool = False,
    ) -> None:
        p = self.p = recorded or called
        self.params, self.number, self.elements = params, number, called.elementwise
        self.operands, self.tensors = operands, operands[:1] if number else operands
        self.count = count = len(self.tensors)
        self.arrays, self.nodes = [f"array{i}" for i in range(count)], [f"node{i}" for i in range(count)]
        self.results = [f"result{i}" for i in range(p.outputs)]
        changes = self.elements and p.promote in ("bool", "complex")
        plan = None if recorded is None or changes else plan_of(p, params)
        self.plan = plan or []
        self.flags = {
            "elements": self.elements, "many": not count, "number": number,
            "one": self.elements and count == 1, "several": self.elements and count > 1,
            "array": p.outputs == 1, "results": p.outputs > 1, "views": p.outputs == 0, "view": p.view, "changes": changes,
            "ufunc": isinstance(p.forward, np.ufunc), "keeps_out": (OUT, None) in self.plan,
            "rules": bool(p.rules) and plan is not None, "long": bool(p.rules) and plan is None,
        }  # fmt: skip

    # ---- operands that may be no tensors -----------------------------------------------------------------------------

    def _absent(self, i: int) -> str:
        """The question whether operand `i` is no tensor; empty where it always is one."""
        t = self.operands[i]
        if self.elements:  # of three and more, those behind what gives the dtype may be numbers
            return (
                f"{t}.__class__ is float or {t}.__class__ is int"
                if i > self._gives_kind() and len(self.operands) > 2
                else ""
            )
        return f"{t} is None" if i else ""

    def _gives_kind(self) -> int:
        return int(self.p.promote == "rest")

    def _or(self, i: int, text: str, otherwise: str = "None") -> str:
        absent = self._absent(i)
        return f"{otherwise} if {absent} else {text}" if absent else text

    def _unless(self, i: int, test: str) -> str:
        absent = self._absent(i)
        return f"({absent} or {test})" if absent else f"({test})"

    # ---- the call ----------------------------------------------------------------------------------------------------

    def called(self, out: bool) -> dict[str, str]:
        """The words of CALL and CALL_OF_MANY. out: the function takes `out=`."""
        words = {
            "signature": ", ".join((*self.operands, *self.params, "*, out=None")[: None if out else -1]),
            "operands": ", ".join(self.operands),
            "by_place": "".join(f", {name}" for name in self.params),
            "by_name": "".join(f", {name}={name}" for name in self.params),
            "named": self._named(),
        }
        if not self.operands:
            return words
        first, giving = self.operands[0], self.operands[self._gives_kind()]
        fits = f"{IS_TENSOR} and {{0}}._kind is kind" if self.elements else f"{IS_TENSOR} and {{0}}._kind.simple"
        if giving != first:
            words["first_fits"] = (
                f"{first}.__class__ is Tensor and {first}._kind is BOOL and {IS_TENSOR.format(giving)}"
            )
        else:
            words["first_fits"] = IS_TENSOR[1:-1].format(first)
        words |= {
            "gives_kind": giving,
            "others_fit": " and ".join(
                self._unless(i, fits.format(t)) for i, t in enumerate(self.operands) if i > self._gives_kind()
            ),
            "are_arrays": " and ".join(f"{t}.__class__ is ndarray" for t in self.operands),
        }
        return words

    def _named(self) -> str:
        return f"{{{', '.join(f'{name!r}: {name}' for name in self.params)}}}"

    # ---- what it makes -----------------------------------------------------------------------------------------------

    def made(self) -> dict[str, str]:
        """The words of MADE."""
        p, tensors, arrays, nodes = self.p, self.tensors, self.arrays, self.nodes
        edges = [f"{t} if {n} is LEAF else {n}" for t, n in zip(tensors, nodes, strict=True)]
        uncut = [self._unless(i, f"{t}._more is None or {t}._more.cut is None") for i, t in enumerate(tensors)]
        numbers = [f"float({t})" if self.elements else "None" for t in tensors]
        return self._any() | {
            "first": tensors[0],
            "operands": as_tuple([*self.operands]),
            "arrays": ", ".join(arrays),
            "arrays_of": ", ".join(self._or(i, f"{t}._array", numbers[i]) for i, t in enumerate(tensors)),
            "nodes": ", ".join(nodes),
            "nodes_of": ", ".join(self._or(i, f"{t}._node") for i, t in enumerate(tensors)),
            "history": " or ".join(f"{n} is not None" for n in nodes),
            "given": ", ".join((*arrays, *self.operands[self.count :], *self.params)),
            "no_history": " and ".join([*(f"{n} is None" for n in nodes), *uncut]),
            "node_class": "number_class" if self.number else "node_class",
            "edges": as_tuple(edges if p.alone or not self.number else [*edges, "None"]),
            "fix": self._fix(),
        }

    def made_of_many(self) -> dict[str, str]:
        """The words of MADE where there is any number of tensors."""
        given = "".join(f", {name}={name}" for name in self.params)
        return self._any() | {
            "operands": "tensors", "history": "history", "given": f"*arrays{given}", "node_class": "node_class", "edges": "edges", "fix": "None",
        }  # fmt: skip

    def _any(self) -> dict[str, str]:
        p, several = self.p, self.p.outputs != 1
        words = {
            "named": self._named(),
            "results": ", ".join(self.results),
            "main": "".join([r for i, r in enumerate(self.results) if i not in p.nondiff][:1]),
            "result": as_tuple(self.results) if p.outputs > 1 else "outs" if several else "out",
            "cut_off": "cut_off" if several else "without_history",
        }
        if self.flags["rules"]:
            words["saved"], words["versions"] = self._kept()
        return words

    def _fix(self) -> str:
        """What broadcasting did, or the shapes and dtypes that the way back restores."""
        facts = as_tuple([self._or(i, f"({a}.shape, {a}.dtype)") for i, a in enumerate(self.arrays)])
        if not self.elements:
            return facts if self.p.restores else "None"
        if self.count == 1:
            return "None"
        alike = [self._unless(i, f"{a}.shape == array0.shape") for i, a in enumerate(self.arrays)]
        if self._absent(self.count - 1) or self._gives_kind():
            alike = [self._unless(i, f"{a}.shape == array.shape") for i, a in enumerate(self.arrays)]
        else:
            alike = alike[1:]
        return f"None if {' and '.join(alike)} else {facts}"

    # ---- what it saves -----------------------------------------------------------------------------------------------

    def _kept(self) -> tuple[str, str]:
        """What is saved, and the versions of what can be written to; None in place of what no gradient that is asked for needs."""
        saved, versions, fresh, if_fresh = [], [], [], []
        for j, (code, which) in enumerate(self.plan):
            value, held, new = self._entry(code, which)
            needing = [i for i, pick in enumerate(self.p.picks[: self.count]) if j in pick]
            if len(needing) < self.count and not self.p.variadic:
                condition = " or ".join(f"node{i} is not None" for i in needing)
                value = f"({value}) if {condition} else None"
                held = held and f"({held}) if {condition} else None"
                if_fresh.append(f"({condition})")
            saved.append(value)
            versions.append(held or "None")
            fresh.append("0" if held else "None")
            if_fresh += new
        every = as_tuple(versions)
        if if_fresh and set(versions) - {"0", "None"}:
            every = f"{as_tuple(fresh)} if {' and '.join(dict.fromkeys(if_fresh))} else {every}"
        return as_tuple(saved), every

    def _entry(self, code: int, which: Any) -> tuple[str, str, list[str]]:
        """One thing to save: itself, its version ("": it has none), and what holds where that is 0."""
        if code == TENSOR:
            t, absent = self.operands[which], self._absent(which)
            if which >= self.count:  # a number
                return t, "", []
            there = [f"not ({absent})"] if absent else []
            held = f"0 if {t}._version_ is None else {t}._version_.n"
            return t, self._or(which, held), [*there, f"{t}._version_ is None"]
        if code == SHAPE:
            return self._or(which, f"array{which}.shape"), "", []
        if code == DTYPE:
            return self._or(which, f"{self.operands[which]}._kind.dtype"), "", []
        if code == TURNED:  # strided.is_turned, without the call
            return f"len(steps := array{which}.strides) > 1 and 0 < steps[-2] < steps[-1]", "", []
        if code == OUT:
            return "kept", "0", []
        if code == RESULT:
            return f"result{which}", f"None if result{which} is None else 0", [f"result{which} is not None"]
        if code == NEEDS:
            return as_tuple([f"{n} is not None" for n in self.nodes]) if self.operands else "needs_of(edges)", "", []
        if code == SHAPES:
            return "shapes_of(arrays)", "", []
        if code == REST:
            return "tensors[1:]", "versions_of(tensors[1:])", []
        assert code == PARAM
        return self.params[which], "", []
