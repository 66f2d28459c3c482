"""Faults to inject into the compiler: each makes one primitive's compiled code wrong. Run as a program, it injects one and runs a file."""

from __future__ import annotations

import runpy
import sys

from lamina.compiler.loops import Work
from lamina.compiler.lowering.rules import RULES
from lamina.primitives.primitive import PRIMITIVES


def _emit(name, emit):
    """The expression of an elementwise primitive is another."""
    return lambda put: put(PRIMITIVES[name], "emit", emit)


def _rule(name, change):
    """The instructions that a primitive is lowered to are others."""

    def inject(put):
        rule = RULES[name]

        def wrong(node):
            works = list(rule(node))
            for work in works:
                work.insts = [change(inst) for inst in work.insts]
            return works

        RULES[name] = wrong
        put.undo.append(lambda: RULES.__setitem__(name, rule))

    return inject


def _fused(put):
    """A product with an exponential is wrong in one kernel with it only."""
    real = Work.kernel

    def kernel(self):
        made, operands = real(self)
        if not hasattr(made, "body"):
            return made, operands
        body = [
            inst._replace(op="add") if inst.op == "mul" and any(made.body[a].op == "exp" for a in inst.args) else inst
            for inst in made.body
        ]
        return made._replace(body=tuple(body)), operands

    put(Work, "kernel", kernel)


FAULTS = {
    "tanh": _emit("tanh", lambda b, x: b.sin(x)),
    "neg": _emit("neg", lambda b, x: x),
    "log": _emit("log", lambda b, x: b.log(b.abs(x))),
    "lerp_number": _emit("lerp_number", lambda b, x, *rest, **options: x),
    "bitwise_and": _emit("bitwise_and", lambda b, x, y: b.or_(x, y)),
    "sin": _emit("sin", lambda b, x: b.exp(x)),
    "sum": _rule("sum", lambda inst: inst._replace(op="max") if inst.op == "sum" else inst),
    "mul": _fused,
}


class Put:
    """Sets attributes, and sets them back."""

    def __init__(self):
        self.undo = []

    def __call__(self, owner, name, value):
        before = getattr(owner, name)
        setattr(owner, name, value)
        self.undo.append(lambda: setattr(owner, name, before))

    def back(self):
        for undo in reversed(self.undo):
            undo()


if __name__ == "__main__":
    FAULTS[sys.argv[1]](Put())
    runpy.run_path(sys.argv[2], run_name="__main__")
