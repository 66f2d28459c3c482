"""Samples of a primitive's declaration as one function of tensors that can be compiled: values and gradients, in several dtypes and layouts.

Here: how samples become calls, and other values for the same calls. Not here: the samples (tests/primitives), what is compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lamina

sys.path.insert(0, str(Path(__file__).parents[1] / "primitives"))

from checks import Call
from conventions import CONSTANT, DRAWS, results
from samples import SAMPLES

LAYOUTS: tuple[Callable[[Any], Any], ...] = (
    lambda t: t,
    lambda t: t.mT.contiguous().mT if t.ndim > 1 else t,
    lambda t: t.repeat_interleave(2, -1)[..., ::2] if t.ndim else t,
    lambda t: t[..., :1].expand(t.shape) if t.ndim and t.shape[-1] else t,
)
"""Where the elements lie: in order, turned, with gaps, the last dimension in one place."""


def other(a: Any) -> Any:
    """Other numbers for which the same calls are defined."""
    return a * a.dtype.type(1.03125) if a.dtype.kind in "fc" else np.flip(a).copy()


class Case:
    """One call: arrays and numbers in the order of the arguments, how arrays lie, by which arguments gradients are taken."""

    def __init__(
        self, p: Any, args: Sequence[Any], params: dict[str, Any], layout: int = 0, smooth: Sequence[int] = ()
    ) -> None:
        self.p, self.args, self.params, self.layout, self.smooth = p, tuple(args), params, layout, tuple(smooth)
        self.weights: tuple[Any, ...] = ()

    def arguments(self, change: Callable[[Any], Any] = np.copy) -> list[Any]:
        """Tensors and numbers; leaves where gradients are wanted."""
        made = []
        for i, a in enumerate(self.args):
            if isinstance(a, np.ndarray):
                t = lamina.tensor(change(a))
                # an index in one place of memory, or a matrix to be factored, is another sample
                t = LAYOUTS[self.layout](t).detach() if a.dtype.kind == "f" else t
                made.append(t.requires_grad_() if i in self.smooth else t)
            else:
                made.append(a)
        return made

    def defined(self) -> bool:
        """Whether there is such a call, with these numbers and with the others; finds the weights of results."""
        try:
            if self.smooth:
                outs = [
                    o for o in results(self.p, self.p.function(*self.arguments(), **self.params)) if o.requires_grad
                ]
                if not outs:
                    return False
                rng = np.random.default_rng(0)
                self.weights = tuple(lamina.tensor(rng.uniform(0.5, 1.5, o.shape)).to(o.dtype) for o in outs)
            together([self])(*self.arguments())
            together([self])(*self.arguments(other))
        except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError):
            return False
        return True


def values(p: Any, given: Any, params: Any, smooth: Any, weights: Any) -> tuple[Any, ...]:
    """What a caller sees of a call; views as copies."""
    outs = results(p, p.function(*given, **params))
    return tuple([o.clone() for o in outs] if p.view else outs)


def gradients(p: Any, given: Any, params: Any, smooth: Any, weights: Any) -> tuple[Any, ...]:
    """The gradients of a call's results, weighted."""
    outs = [o for o in results(p, p.function(*given, **params)) if o.requires_grad]
    wanted = list(map(given.__getitem__, smooth))
    return tuple([g.clone() for g in lamina.autograd.grad(outs, wanted, weights, materialize_grads=True)])


def together(cases: Sequence[Case]) -> Callable[..., Any]:
    """All calls as one function of all their arguments."""
    plan = tuple((gradients if c.smooth else values, c.p, len(c.args), c.params, c.smooth, c.weights) for c in cases)

    def run(*arguments: Any) -> Any:
        found: Any = ()
        for kind, p, count, params, smooth, weights in plan:
            given, arguments = arguments[:count], arguments[count:]
            found += kind(p, given, params, smooth, weights)
        return found

    return run


MOST = 4
"""Samples of one primitive that are looked at."""


def cases_of(p: Any) -> list[Case]:
    """Samples in float32, also their gradients; the first one in float64 in other layouts too, in bfloat16, and in int64."""
    found: list[Case] = []
    for k, (args, params) in enumerate(SAMPLES.get(p.name, ())[:MOST]):
        if any(isinstance(a, np.ndarray) and a.dtype.kind == "c" for a in args) or params.get("generator") is not None:
            continue
        smooth = [i for i in Call(p, args, params).smooth if i not in CONSTANT.get(p.name, ())]

        def cast(dtype: Any, args: Any = args) -> list[Any]:
            return [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args]

        found.append(Case(p, cast(np.float32), params))
        if smooth:
            found.append(Case(p, cast(np.float32), params, 0, smooth))
        if k == 0:
            found.extend(Case(p, args, params, layout) for layout in range(1, len(LAYOUTS)))
            if smooth:
                found.append(Case(p, args, params, 1, smooth))
            if smooth and not p.name.startswith("fused "):  # whose kernels keep more than their bodies give
                found.append(Case(p, cast(lamina.bfloat16.np), params))
            if smooth and p.elementwise:
                found.append(Case(p, cast(np.int64), params))
    return [case for case in found if p.name not in DRAWS and case.defined()]
