"""Running a program on two libraries at once, comparing all that can be seen after every statement; shrinking what differs.

Here: what is seen of a tensor, when two sights are equal, and shrinking. Not here: where programs come from (random_programs.py).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from random_programs import text
from random_writer import run_statement

TOLERANCE = {"float32": 2e-4, "float64": 1e-9, "complex64": 2e-4, "complex128": 1e-9}

UNSPECIFIED = (
    "Inplace update to inference tensor outside InferenceMode",  # raised after the write
    "INTERNAL ASSERT FAILED",  # as PyTorch says there, a fault of its own
    "Batching rule not implemented",  # nor is a transform without one
)
"""Where PyTorch raises one of these, a program is compared no further."""

HISTORY_LOST = "has been modified inplace"
"""What PyTorch says of a view before it looks at anything else. lamina may find another fault of the same statement first."""


@dataclass
class Difference:
    """Where two runs of a program part."""

    program: list[str]
    at: int  # the statement after which it was seen
    what: str  # "raises", "values of t3", ...
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        lines = [f"  {s}" if i != self.at else f"> {s}" for i, s in enumerate(self.program)]
        body = "\n".join(line.replace("\n", "\n  ") for line in lines)
        return f"{self.what}\n  lamina:  {self.ours}\n  PyTorch: {self.theirs}\nafter the marked statement of\n{body}\n\n{text(self.program)}"

    @property
    def sort(self) -> str:
        return self.what.split(" of ")[0]


def lies(t: Any) -> tuple[Any, ...] | None:
    """Offset and strides (of dimensions with several places), as far as they are specified: not where something was computed from
    operands that lie differently (NumPy then prefers row-major order, PyTorch the first operand's), nor in views of it."""
    if not (t._base if t._is_view() else t).is_contiguous() or not t.numel():
        return None
    return t.storage_offset(), *(s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1)


FACTS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda t: tuple(t.shape),
    "dtype": lambda t: str(t.dtype),
    "requires_grad": lambda t: t.requires_grad,
    "is_leaf": lambda t: t.is_leaf,
    "version": lambda t: t._version,
    "place in memory": lies,
    "retains_grad": lambda t: t.retains_grad,
    "grad_fn": lambda t: None if t.grad_fn is None else t.grad_fn.name(),
    "output_nr": lambda t: t.output_nr,
    "values": lambda t: np.array(t.data.numpy()),
    "being a view": lambda t: t._is_view(),
}


GRADIENTS = re.compile(
    r"^ *((?:t\d+, )*t\d+),? = (?:torch\.autograd\.grad\(.*|torch\.autograd\.functional.*|torch\.func\..*|t\d+\.grad)$",
    re.MULTILINE,
)
"""Statements that name gradients ..."""
OF_GRADIENTS = frozenset(("being a view", "version", "place in memory"))
"""... of which it is left open whether they are views of others, how they lie, and how often they were written to when they came."""


def sight(t: Any, torch: Any, inner: bool = False) -> dict[str, Any]:
    """All that is compared of a value."""
    if isinstance(t, torch.Tensor):
        seen = {name: asked(fact, t) for name, fact in FACTS.items()}
        if not inner:
            grad = asked(lambda t: t.grad, t)
            seen |= {f"grad's {k}": v for k, v in sight(grad, torch, inner=True).items() if k not in OF_GRADIENTS}
        return seen
    if isinstance(t, (list, tuple)):
        return {f"{i} {k}": v for i, item in enumerate(t) for k, v in sight(item, torch).items()} | {"length": len(t)}
    return {"value": t if t is None or isinstance(t, (bool, int, float, str)) else type(t).__name__}


def asked(fact: Callable[[Any], Any], t: Any) -> Any:
    """A fact of a tensor, or the type of what asking for it raises (as PyTorch does for views that a write has invalidated)."""
    try:
        return fact(t)
    except Exception as error:
        if UNSPECIFIED[1] in str(error):
            raise Unspecified from error
        return f"raises {type(error).__name__}"


class Unspecified(Exception):
    """PyTorch met a fault of its own."""


def shared(t: Any, other: Any, torch: Any) -> bool:
    return (
        t is other
        or isinstance(t, torch.Tensor)
        and t.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    )


def same(ours: Any, theirs: Any, single: bool) -> bool:
    """single: float64 values may come from float32 ones."""
    if isinstance(theirs, np.ndarray):
        if not isinstance(ours, np.ndarray) or ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return False
        if theirs.dtype.kind not in "fc" or not theirs.size:
            return bool((ours == theirs).all())
        with np.errstate(all="ignore"):
            tolerance = TOLERANCE["float32" if single else str(theirs.dtype)]
            return np.allclose(
                ours, theirs, tolerance, tolerance * max(1.0, float(np.abs(theirs).max())), equal_nan=True
            )
    return bool(ours == theirs)


def alike(ours: BaseException | None, theirs: BaseException | None) -> bool:
    """Whether `ours` is what `theirs` is; the libraries' own types go by their names."""
    return isinstance(ours, type(theirs)) or type(theirs).__name__ in [c.__name__ for c in type(ours).__mro__]


def first_sentence(error: BaseException) -> str:
    return str(error).split("\n")[0].split(". ")[0]


def run_both(statements: list[str], lamina: Any, torch: Any, *, messages: bool = False) -> Difference | None:
    """Run a program on both, looking at everything after every statement; the first difference. messages: also what is raised."""
    envs: list[dict[str, Any]] = [{"torch": lib, "log": []} for lib in (lamina, torch)]
    gradients: list[Any] = []  # PyTorch's tensors that were made by a backward
    inference = any("inference_mode" in s for s in statements)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at, source in enumerate(statements):
            ours, theirs = (run_statement(source, env) for env in envs)
            if theirs is not None and any(s in str(theirs) for s in UNSPECIFIED):
                return None
            if ours is not None and HISTORY_LOST in str(theirs):
                continue
            if (ours is None) != (theirs is None) or not alike(ours, theirs):
                return Difference(statements, at, "raises", repr(ours), repr(theirs))
            if messages and theirs is not None and first_sentence(ours) != first_sentence(theirs):  # type: ignore[arg-type]
                return Difference(statements, at, "message", repr(ours), repr(theirs))
            names = [n for found in GRADIENTS.finditer(source) for n in found[1].split(", ")]
            gradients += [envs[1][n] for n in names if isinstance(envs[1].get(n), torch.Tensor)]
            try:
                for what, a, b in differences(envs, gradients, inference, lamina, torch):
                    return Difference(statements, at, what, a, b)
            except Unspecified:
                return None
    return None


def differences(
    envs: list[dict[str, Any]], gradients: list[Any], inference: bool, lamina: Any, torch: Any
) -> Iterator[tuple[str, Any, Any]]:
    """What differs. inference: PyTorch counts versions of what was computed from inference tensors by chance."""
    ours, theirs = envs
    single = any(isinstance(t, torch.Tensor) and t.dtype == torch.float32 for t in theirs.values())
    names = [n for n in theirs if n[0] == "t" and n != "torch"] + ["log"]
    for name in names:
        a, b = sight(ours.get(name), lamina), sight(theirs.get(name), torch)
        free = frozenset(("version", "being a view")) if inference else frozenset()
        free |= OF_GRADIENTS if name == "log" else frozenset()
        free |= OF_GRADIENTS if any(shared(theirs.get(name), g, torch) for g in gradients) else frozenset()
        if free >= OF_GRADIENTS and name != "log":
            gradients.append(theirs[name])
        for key in (*b, *(k for k in a if k not in b)):
            if key == "place in memory" and (a.get(key) is None or b.get(key) is None):
                continue
            if key.endswith("grad_fn") and (
                key != "grad_fn" or free >= OF_GRADIENTS
            ):  # of gradients: whether there is one
                if (a.get(key) is None) == (b.get(key) is None):
                    continue
            if not key.endswith(tuple(free)) and not same(a.get(key), b.get(key), single):
                yield f"{key} of {name}", a.get(key), b.get(key)


def shrunk(found: Difference, **run: Any) -> Difference:
    """A shorter program with a difference of the same sort: statements are left out as long as it stays."""

    def attempt(statements: list[str]) -> Difference | None:
        other = run_both(statements, **run)
        return other if other is not None and other.sort == found.sort else None

    found = attempt(found.program[: found.at + 1]) or found
    size = max(len(found.program) // 2, 1)
    while True:
        i, smaller = 0, False
        while i < len(found.program):
            better = attempt(found.program[:i] + found.program[i + size :])
            if better is not None:
                found, smaller = better, True
            else:
                i += size
        if size == 1 and not smaller:
            break
        size = max(size // 2, 1)
    for i, source in enumerate(found.program):
        for simpler in simpler_forms(source):
            better = attempt([*found.program[:i], simpler, *found.program[i + 1 :]])
            if better is not None:
                found = better
                break
    return found


def simpler_forms(source: str) -> list[str]:
    """A statement without its context, or a context with fewer statements."""
    head, *body = source.split("\n")
    if not body:
        return []
    plain = [line.strip() for line in body]
    return [*plain, "\n".join(plain), *(f"{head}\n{line}" for line in body if len(body) > 1)]
