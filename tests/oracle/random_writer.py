"""What writes a random program: the tensors there are, names and numbers to write about, and the kinds of statement.

A statement is written by a function that looks at the tensors that the statements before it have made, so that most statements make
sense (shapes fit, dimensions exist) and some do not: what must raise is a part of the test. Here: the writer, and what is left out
because PyTorch leaves it open. Not here: the statements (random_statements.py, random_gradients.py, random_functions.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

Write = Callable[["Writer"], "str | None"]
KINDS: list[tuple[int, Write]] = []

HUGE = 1e4
"""A program ends where a value passes this: rounding errors would be compared from there on."""


class Writer:
    """Writes statements for a program, running them on `torch` as it goes."""

    def __init__(self, rng: Random, torch: Any) -> None:
        self.rng, self.torch = rng, torch
        self.env: dict[str, Any] = {"torch": torch, "log": []}
        self.count = 0
        self.gradients: list[Any] = []
        self.transformed = False  # whether a transform was called
        self.unrecorded = False  # whether there may be views that require grad and have no history

    # ---- what there is to write about --------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        return self.env[name]

    def tensors(self, wanted: Callable[[Any], bool] = lambda t: True) -> list[str]:
        return [n for n, t in self.env.items() if n[0] == "t" and isinstance(t, self.torch.Tensor) and holds(wanted, t)]

    def pick(self, wanted: Callable[[Any], bool] = lambda t: True) -> str:
        """A tensor's name; those of late are picked more often. Raises IndexError when there is none."""
        names = self.tensors(wanted)
        if self.rng.random() < 0.5:
            names = names[-4:]
        return self.rng.choice(names)

    def floating(self) -> str:
        return self.pick(lambda t: t.is_floating_point())

    def partner(self, name: str) -> str:
        """A tensor that broadcasts to the shape of `name`, or a number."""
        shape = self[name].shape
        names = self.tensors(lambda t: t.is_floating_point() and broadcasts(t.shape, shape))
        return self.rng.choice(names) if names and self.rng.random() < 0.8 else self.number()

    def writable(self) -> str:
        """A tensor to be written: usually one that allows it.

        Never one whose elements overlap (other than by expand): the result would depend on the order of the writes. Nor one that
        `autograd.grad` returned: which of those are one in memory is not specified.
        """
        if self.rng.random() < 0.25:
            return self.pick(self.may_be_written)
        return self.pick(lambda t: self.may_be_written(t) and not (t.is_leaf and t.requires_grad))

    def may_be_written(self, t: Any) -> bool:
        return not overlaps(t) and not self.is_gradient(t)

    def is_gradient(self, t: Any) -> bool:
        return any(same_memory(t, g) for g in self.gradients)

    # ---- pieces of source --------------------------------------------------------------------------------------------

    def new(self) -> str:
        """A name to assign to: a fresh one, or now and then one in use."""
        if self.rng.random() < 0.08 and self.count > 4:
            return self.pick()
        self.count += 1
        return f"t{self.count - 1}"

    def number(self) -> str:
        return repr(self.rng.choice((0.5, -0.5, 1.5, 2.0, -0.25, 0.75, 3)))

    def dim(self, name: str) -> int:
        """A dimension of a tensor, from either end; sometimes one that it has not."""
        ndim = self[name].dim()
        if self.rng.random() < 0.03:
            return ndim
        d = self.rng.randrange(max(ndim, 1))
        return d - ndim if ndim and self.rng.random() < 0.3 else d

    def shape(self) -> tuple[int, ...]:
        return tuple(
            self.rng.choice((1, 2, 2, 3, 3, 4) if self.rng.random() < 0.98 else (0,))
            for _ in range(self.rng.choice((0, 1, 1, 2, 2, 2, 3)))
        )

    def values(self, shape: tuple[int, ...], whole: bool = False) -> str:
        """Nested lists: multiples of 1/4, so that sums of few are exact, and seldom equal."""

        def nested(rest: tuple[int, ...]) -> Any:
            if not rest:
                return self.rng.randrange(-3, 4) if whole else self.rng.randrange(-9, 10) / 4
            return [nested(rest[1:]) for _ in range(rest[0])]

        return repr(nested(shape))

    def mask(self, shape: tuple[int, ...]) -> str:
        def nested(rest: tuple[int, ...]) -> Any:
            return [nested(rest[1:]) for _ in range(rest[0])] if rest else self.rng.random() < 0.5

        return f"torch.tensor({nested(shape)!r}, dtype=torch.bool)"

    def indices(self, length: int, n: int | None = None) -> str:
        n = self.rng.choice((1, 2, 3)) if n is None else n
        return f"torch.tensor({[self.rng.randrange(-length, length) for _ in range(n)]!r})"

    def choice(self, *options: str) -> str:
        return self.rng.choice(options)

    # ---- statements --------------------------------------------------------------------------------------------------

    def statement(self) -> str:
        weights = [w for w, _ in KINDS]
        while True:
            (_, write), *_ = self.rng.choices(KINDS, weights)
            try:
                source = write(self)
            except IndexError:  # nothing to pick from
                continue
            if source is not None:
                return source

    def run(self, source: str) -> None:
        self.transformed |= any(name in source for name in ("torch.func", "torch.vmap", "forward_ad", "functional"))
        before = list(self.env.values())
        run_statement(source, self.env)
        if any(
            name in source
            for name in ("torch.autograd.grad(", "torch.func.", "torch.autograd.functional", "torch.vmap")
        ):
            self.gradients += [t for n in self.tensors() if not any((t := self.env[n]) is old for old in before)]

    def too_large(self) -> bool:
        """Whether values have grown so far that rounding would be seen."""
        for name in self.tensors(lambda t: t.is_floating_point() and t.numel()):
            for t in (self[name], None if holds(lambda t: t.grad is None, self[name]) else self[name].grad):
                if t is not None and not float(t.data.abs().max()) < HUGE:
                    return True
        return False


def holds(wanted: Callable[[Any], bool], t: Any) -> bool:
    """Whether `wanted(t)`; a view that was invalidated by a write raises when it is asked for its history."""
    try:
        return wanted(t)
    except RuntimeError:
        return True


def broadcasts(shape: Any, to: Any) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def lies_as_specified(t: Any) -> bool:
    """Whether the memory of `t` is laid out as PyTorch promises.

    Not where something was computed from operands that lie differently (NumPy then prefers row-major order, PyTorch the first
    operand's), nor in views of it.
    """
    return (t._base if t._is_view() else t).is_contiguous()  # type: ignore[no-any-return]


def same_memory(t: Any, other: Any) -> bool:
    return t.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def collide(t: Any, other: Any) -> bool:
    """Whether reading one while writing the other may depend on the order, and PyTorch does not look."""
    return same_memory(t, other) and not (t.is_contiguous() and other.is_contiguous())


def expanded(t: Any) -> bool:
    return any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape, strict=True))


def overlaps(t: Any) -> bool:
    """Whether elements share memory although no stride is zero."""
    reach = 1
    for step, n in sorted((s, n) for s, n in zip(t.stride(), t.shape, strict=True) if n > 1 and s):
        if step < reach:
            return True
        reach += (n - 1) * step
    return False


HOOKED = re.compile(r"(?:t\d+(?=\.register_hook\()|(?<=register_multi_grad_hook\(\[)[t\d, ]+)")


def crashes(t: Any) -> bool:
    """Whether PyTorch's process would end at a hook of `t`: a leaf that requires grad only because its base does."""
    return t is not None and holds(lambda t: t.is_leaf and t._is_view(), t)


def run_statement(source: str, env: dict[str, Any]) -> BaseException | None:
    """Run one statement; what it raised."""
    hooked = HOOKED.search(source)
    if hooked and any(crashes(env.get(name)) for name in hooked[0].split(", ")):
        return RuntimeError("left out")
    try:
        # The program that is printed is the program that runs.
        exec(compile(source, "<program>", "exec"), env)  # noqa: S102
    except Exception as error:
        return error
    return None


def kind(weight: int) -> Callable[[Write], Write]:
    """Register a kind of statement."""

    def register(write: Write) -> Write:
        KINDS.append((weight, write))
        return write

    return register
