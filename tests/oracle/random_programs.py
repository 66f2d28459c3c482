"""Random programs of tensors, as Python source: what the property test runs on lamina and on PyTorch.

A program is a list of statements; each was written by one of the functions below, which looks at the tensors that the
statements before it have made, so that most statements make sense (shapes fit, dimensions exist) and some do not: what must
raise is a part of the test. Here: the writing. Not here: running and comparing (program_runs.py).

The names in a program: `torch`, the library; `t0`, `t1` ... tensors; `h0` ... handles of hooks; `log`, what hooks recorded.
"""

from __future__ import annotations

import re
import warnings
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
        return tuple(self.rng.choice((1, 2, 2, 3, 3, 4)) for _ in range(self.rng.choice((0, 1, 1, 2, 2, 2, 3))))

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
        before = list(self.env.values())
        run_statement(source, self.env)
        if "torch.autograd.grad(" in source:
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


HOOKED = re.compile(r"(t\d+)\.register_hook\(")


def crashes(t: Any) -> bool:
    """Whether PyTorch's process would end at a hook of `t`: a leaf that requires grad only because its base does."""
    return t is not None and holds(lambda t: t.is_leaf and t._is_view(), t)


def run_statement(source: str, env: dict[str, Any]) -> BaseException | None:
    """Run one statement; what it raised."""
    hooked = HOOKED.search(source)
    if hooked and crashes(env.get(hooked[1])):
        return RuntimeError("left out")
    try:
        # The program that is printed is the program that runs.
        exec(compile(source, "<program>", "exec"), env)  # noqa: S102
    except Exception as error:
        return error
    return None


def program(seed: int, torch: Any) -> list[str]:
    """The statements of program number `seed`."""
    rng = Random(seed)
    writer = Writer(rng, torch)
    statements: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(rng.randrange(8, 30)):
            source = leaf(writer) if i < 3 else writer.statement()
            assert source is not None
            writer.run(source)
            if writer.too_large():
                break
            statements.append(source)
    return statements


def kind(weight: int) -> Callable[[Write], Write]:
    """Register a kind of statement."""

    def register(write: Write) -> Write:
        KINDS.append((weight, write))
        return write

    return register


# ---- making --------------------------------------------------------------------------------------------------------


@kind(5)
def leaf(w: Writer) -> str:
    if w.rng.random() < 0.08:
        return f"{w.new()} = torch.tensor({w.values(w.shape(), whole=True)})"
    dtype = "" if w.rng.random() < 0.6 else ", dtype=torch.float64"
    wants = ", requires_grad=True" if w.rng.random() < 0.65 else ""
    return f"{w.new()} = torch.tensor({w.values(w.shape())}{dtype or ', dtype=torch.float32'}{wants})"


UNARY = (
    "{x}.tanh()", "{x}.exp()", "{x}.neg()", "-{x}", "{x}.clone()", "{x}.contiguous()", "{x} * {n}", "{n} - {x}", "{x} / {n}", "{x} + {n}",
    "{x}.sin()", "{x}.sigmoid()", "{x} ** 2", "{x}.square()", "{x}.abs()", "{x}.relu()", "{x}.clamp(-1.1, 1.1)", "({x} * {x} + 1).sqrt()",
    "{x}.double()", "{x}.float()", "{x}.long()", "torch.zeros_like({x})", "torch.ones_like({x})", "{x}.detach().clone()", "{x}.to({x}.dtype)",
)  # fmt: skip


@kind(8)
def unary(w: Writer) -> str:
    return f"{w.new()} = {w.choice(*UNARY).format(x=w.floating(), n=w.number())}"


@kind(12)
def binary(w: Writer) -> str:
    x = w.floating()
    y = w.partner(x)
    form = w.choice(
        "{x} + {y}",
        "{x} - {y}",
        "{x} * {y}",
        "{x} * {y}",
        "torch.add({x}, {y}, alpha=2)",
        "{y} - {x}",
        "{x} / ({y} * {y} + 1.5)",
    )
    return f"{w.new()} = {form.format(x=x, y=y)}"


@kind(3)
def mixed(w: Writer) -> str:
    """Dtypes and shapes as they come."""
    return f"{w.new()} = {w.pick()} {w.choice('+', '*', '-')} {w.pick()}"


@kind(2)
def joined(w: Writer) -> str:
    x = w.floating()
    same = [n for n in w.tensors(lambda t: t.shape == w[x].shape) if w[n].dtype == w[x].dtype]
    y = w.rng.choice(same)
    return f"{w.new()} = torch.{w.choice('cat', 'stack')}([{x}, {y}], dim={w.dim(x)})"


@kind(2)
def where(w: Writer) -> str:
    x = w.floating()
    return f"{w.new()} = torch.where({w.mask(tuple(w[x].shape))}, {x}, {w.partner(x)})"


@kind(5)
def reduced(w: Writer) -> str:
    x = w.floating()
    if w.rng.random() < 0.4:
        return f"{w.new()} = {x}.{w.choice('sum()', 'mean()', 'square().sum()', 'logsumexp(0)')}"
    d, keep = w.dim(x), w.choice("", ", keepdim=True")
    return f"{w.new()} = {x}.{w.choice(f'sum({d}{keep})', f'mean({d}{keep})', f'cumsum({d})', f'softmax({d})', f'logsumexp({d}{keep})')}"


@kind(4)
def product(w: Writer) -> str | None:
    x = w.pick(lambda t: t.is_floating_point() and t.dim() in (1, 2))
    fits = w.tensors(lambda t: t.dim() in (1, 2) and t.shape[0] == w[x].shape[-1] and t.dtype == w[x].dtype)
    if fits:
        return f"{w.new()} = {x} @ {w.rng.choice(fits)}"
    return f"{w.new()} = {x} @ {x}.t()" if w[x].dim() == 2 else None


# ---- views ---------------------------------------------------------------------------------------------------------


def a_slice(w: Writer, length: int) -> str:
    start = w.rng.choice(("", "", "1", "-2"))
    stop = w.rng.choice(("", "", "-1", str(length), "2"))
    return f"{start}:{stop}" + w.rng.choice(("", "", "", ":2"))


def basic_index(w: Writer, x: str) -> str:
    """Slices, integers, None and Ellipsis."""
    parts, shape = [], w[x].shape
    for n in shape[: w.rng.randrange(len(shape)) + 1] if len(shape) else ():
        parts.append(w.rng.choice((a_slice(w, n), a_slice(w, n), str(w.rng.randrange(-n, n)) if n else "0", ":")))
    if w.rng.random() < 0.15:
        parts.insert(w.rng.randrange(len(parts) + 1), "None")
    if w.rng.random() < 0.15 or not parts:
        parts.insert(w.rng.choice((0, len(parts))), "...")
    return ", ".join(parts)


@kind(8)
def sliced(w: Writer) -> str:
    x = w.pick()
    return f"{w.new()} = {x}[{basic_index(w, x)}]"


def a_view(w: Writer, x: str) -> str:
    """Source of a view of `x` by a method."""
    t = w[x]
    shape, d = tuple(t.shape), w.dim(x)
    n = shape[d] if -len(shape) <= d < len(shape) else 1
    order = list(range(len(shape)))
    w.rng.shuffle(order)
    forms = [
        f"transpose({d}, {w.dim(x)})", f"permute({order})", f"unsqueeze({d})", f"squeeze({d})", "squeeze()",
        f"expand({[w.rng.choice((1, 2)), *shape]})", f"select({d}, {w.rng.randrange(max(n, 1))})", "detach()", "view_as({x})",
        f"narrow({d}, {w.rng.randrange(max(n, 1))}, 1)", f"unfold({d}, {w.rng.choice((1, 2))}, {w.rng.choice((1, 2))})",
        f"movedim({d}, {w.dim(x)})", f"swapaxes({d}, {w.dim(x)})",
    ]  # fmt: skip
    if len(shape) >= 2:
        forms += [f"diagonal({w.rng.choice((0, 0, 1, -1))})", "mT", "diagonal(0, -1, 0)"]
    if len(shape) == 2:
        forms += ["t()", "T"]
    if 1 in shape:
        forms += [f"expand({[2 if n == 1 else n for n in shape]})"] * 2
    if lies_as_specified(t) and not w.is_gradient(t):
        forms += [
            "view(-1)",
            "flatten()",
            "reshape([-1])",
            f"view({[*shape, 1]})",
            f"reshape({[*shape[::-1]]})",
            f"view({[*shape[::-1]]})",
        ]
    if t.numel() >= 2 and lies_as_specified(t) and not w.is_gradient(t):
        half = t.numel() // 2
        forms += [
            f"as_strided([{half}], [1])",
            f"as_strided([{half}], [1], {t.storage_offset() + 1})",
            "as_strided([2, 2], [1, 1])",
        ]
    return f"{x}.{w.rng.choice(forms).format(x=x)}"


@kind(14)
def view(w: Writer) -> str:
    return f"{w.new()} = {a_view(w, w.pick())}"


@kind(3)
def pieces(w: Writer) -> str:
    """Views that come several at once."""
    x = w.pick(lambda t: t.dim() > 0)
    d = w.rng.randrange(w[x].dim())
    n = w[x].shape[d]
    form, count = w.rng.choice(
        (
            (f"{x}.unbind({d})", n),
            (f"{x}.split(1, {d})", n),
            (f"{x}.chunk(2, {d})", min(n, 2)),
            (f"{x}.split([1, {n - 1}], {d})", 2),
        )
    )
    if count == 0 or w.rng.random() < 0.4:
        return f"{w.new()} = {form}[{w.rng.randrange(max(count, 1))}]"
    names = []
    for _ in range(count):
        w.count += 1
        names.append(f"t{w.count - 1}")
    return f"{', '.join(names)}{',' if count == 1 else ''} = {form}"


@kind(2)
def other_data(w: Writer) -> str:
    x = w.pick(lambda t: not w.is_gradient(t))
    if w.rng.random() < 0.7:
        return f"{w.new()} = {x}.data"
    return f"{x}.data = {w.pick(lambda t: t.shape == w[x].shape and t.dtype == w[x].dtype)}.detach() * {w.number()}"


@kind(4)
def picked(w: Writer) -> str:
    """Copies by tensors, lists and masks."""
    x = w.pick(lambda t: t.dim() > 0 and t.shape[0] > 0)
    n = w[x].shape[0]
    d = w.rng.randrange(w[x].dim())
    form = w.choice(
        f"[{w.indices(n)}]", f"[[0, {n - 1}]]", f"[{w.mask(tuple(w[x].shape))}]", f"[{w.mask((n,))}]", f"[None, {w.indices(n)}]",
        f".index_select({d}, torch.tensor([0, {w[x].shape[d] - 1}]))", f".masked_fill({w.mask(tuple(w[x].shape))}, {w.number()})",
        f"[..., {w.indices(max(w[x].shape[-1], 1))}]",
    )  # fmt: skip
    return f"{w.new()} = {x}{form}"


# ---- writes ----------------------------------------------------------------------------------------------------------

ALONE = (
    "tanh_()", "exp_()", "neg_()", "sin_()", "sigmoid_()", "zero_()", "fill_({n})", "mul_({n})", "add_({n})", "clamp_(-1.1, 1.1)", "relu_()",
    "div_({n})", "square_()", "fill_(torch.tensor({n}))",
)  # fmt: skip


@kind(8)
def written_alone(w: Writer) -> str:
    x = w.writable()
    return f"{target(w, x)}.{w.choice(*ALONE).format(n=w.number())}"


def target(w: Writer, x: str) -> str:
    """The tensor itself, or a view made on the spot."""
    chance = w.rng.random()
    source = x if chance < 0.7 else f"{x}[{basic_index(w, x)}]" if chance < 0.85 else a_view(w, x)
    found = run_value(source, w.env)
    return x if found is not None and overlaps(found) else source


@kind(12)
def written(w: Writer) -> str | None:
    x = w.writable()
    y = w.partner(x)
    if y[0] == "t" and collide(w[x], w[y]):
        return None
    if w.rng.random() < 0.25:
        return f"{x} {w.choice('+=', '*=', '-=', '/=')} {y}"
    if y[0] != "t":
        y = w.rng.choice(w.tensors(lambda t: t.is_floating_point() and not collide(w[x], t)))
    return f"{x}.{w.choice('add_({y})', 'mul_({y})', 'sub_({y})', 'copy_({y})', 'copy_({y})', 'add_({y}, alpha=0.5)', 'mul_({y}.sum())', 'div_({y} * {y} + 1.5)').format(y=y)}"  # noqa: E501


@kind(10)
def assigned(w: Writer) -> str | None:
    x = w.writable()
    shape = tuple(w[x].shape)
    index = w.rng.choice(("basic", "basic", "basic", "mask", "rows", "list", "pair"))
    if index != "basic" and (not shape or 0 in shape or expanded(w[x])):
        return None
    if index == "basic":
        key = basic_index(w, x)
    elif index == "mask":
        key = w.mask(shape if w.rng.random() < 0.6 else shape[:1])
    elif index == "rows":
        key = w.indices(shape[0])
    elif index == "list":
        key = f"[0, {shape[0] - 1}]"
    else:
        key = ", ".join(w.indices(n, 2) for n in shape)
    found = run_value(f"{x}[{key}]", w.env)
    fits = w.tensors(lambda t: t.is_floating_point() and broadcasts(t.shape, found.shape)) if found is not None else []
    fits = [n for n in fits if not same_memory(w[n], w[x])]
    if not w[x].is_floating_point():  # PyTorch would let integers require grad
        fits = [n for n in fits if not w[n].requires_grad]
    operator = w.choice("=", "=", "=", "+=", "*=")
    if (
        operator != "=" and not w[x].requires_grad
    ):  # two writes at once, by views that see each other's history late in PyTorch
        fits = [n for n in fits if not w[n].requires_grad]
    y = w.rng.choice(fits) if fits and w.rng.random() < 0.75 else w.number()
    return f"{x}[{key}] {operator} {y}"


def run_value(source: str, env: dict[str, Any]) -> Any:
    """The value of an expression that may raise; None then."""
    scope = {**env}
    return scope["found"] if run_statement(f"with torch.no_grad(): found = {source}", scope) is None else None


@kind(4)
def put(w: Writer) -> str | None:
    x = w.writable()
    shape = tuple(w[x].shape)
    if not shape or 0 in shape or expanded(w[x]):
        return None
    d = w.rng.randrange(len(shape))
    rows = f"torch.tensor([0, {shape[d] - 1}])"
    y = w.floating()
    picks = [
        n
        for n in w.tensors(lambda t: t.is_floating_point() and tuple(t.shape) == (*shape[:d], 2, *shape[d + 1 :]))
        if w[n].dtype == w[x].dtype and not same_memory(w[n], w[x])
    ]
    source = w.rng.choice(picks) if picks else y
    value = w.rng.choice(
        w.tensors(lambda t: t.dim() == 0 and t.is_floating_point() and w[x].is_floating_point()) or [w.number()]
    )
    return w.choice(
        f"{x}.index_put_(({w.indices(shape[0], 2)},), {w.partner(x)})",
        f"{x}.index_put_(({w.indices(shape[0], 2)},), torch.tensor(0.5, dtype={x}.dtype), accumulate=True)",
        f"{x}.masked_fill_({w.mask(shape)}, {w.number()})",
        f"{x}.masked_fill_({w.mask(shape[-1:])}, {value})",
        f"{x}.index_fill_({d}, {rows}, {w.number()})",
        f"{x}.index_add_({d}, {rows}, {source})",
        f"{x}.index_copy_({d}, torch.tensor([0]), {x}.narrow({d}, 0, 1) * 2)",
    )


@kind(2)
def reshaped_inplace(w: Writer) -> str:
    x = w.pick()
    return f"{x}.{w.choice('t_()', f'transpose_({w.dim(x)}, {w.dim(x)})', f'squeeze_({w.dim(x)})', f'unsqueeze_({w.dim(x)})')}"


@kind(5)
def flags(w: Writer) -> str:
    x = w.pick(lambda t: not w.is_gradient(t))
    return w.choice(
        f"{x}.requires_grad_()",
        f"{x}.requires_grad_(False)",
        f"{x}.detach_()",
        f"{x}.requires_grad = True",
        f"{x}.detach_()",
    )


# ---- gradients -------------------------------------------------------------------------------------------------------


def root(w: Writer) -> str:
    """A tensor to go back from: usually one with a history."""
    return w.pick(lambda t: t.requires_grad and t.numel()) if w.rng.random() < 0.9 else w.floating()


def scalar(w: Writer, x: str) -> str:
    if w[x].dim() == 0 and w.rng.random() < 0.7:
        return x
    return w.choice(f"{x}.sum()", f"({x} * {x}).sum()", f"{x}.mean()", f"{x}.sum()")


def leaves(w: Writer) -> list[str]:
    names = w.tensors(lambda t: t.requires_grad and t.is_leaf)
    return w.rng.sample(names, min(len(names), w.rng.choice((1, 1, 2, 3))))


def anything(w: Writer) -> list[str]:
    """Tensors to ask the gradient of: leaves and others."""
    names = w.tensors(lambda t: t.requires_grad or w.rng.random() < 0.05)
    return w.rng.sample(names, min(len(names), w.rng.choice((1, 1, 2, 3))))


def as_given(options: Any) -> str:
    """What is done with a tensor that is a cotangent: where the backward is not recorded, whether it requires grad is left open."""
    return " * 1" if "create_graph=True" in options else ".detach().clone()"


@kind(10)
def backward(w: Writer) -> str:
    x = root(w)
    options = w.rng.choice(((), (), ("retain_graph=True",), ("retain_graph=True",), ("create_graph=True",)))
    if w.rng.random() < 0.2 and (names := anything(w)):
        options = (*options, f"inputs=[{', '.join(names)}]")
    if w.rng.random() < 0.25:
        given = w.choice(
            f"torch.ones_like({x})",
            f"torch.full_like({x}, 0.5)",
            f"{x}.detach() + 1",
            f"{w.floating()}{as_given(options)}",
        )
        return f"{x}.backward({', '.join((given, *options))})"
    return f"{scalar(w, x)}.backward({', '.join(options)})"


@kind(9)
def grad(w: Writer) -> str | None:
    x, names = root(w), anything(w)
    if not names:
        return None
    options = [
        o
        for o, chance in (
            ("retain_graph=True", 0.4),
            ("create_graph=True", 0.4),
            ("allow_unused=True", 0.6),
            ("materialize_grads=True", 0.1),
        )
        if w.rng.random() < chance
    ]
    results = []
    for _ in names:
        w.count += 1
        results.append(f"t{w.count - 1}")
    left = f"{', '.join(results)}{',' if len(results) == 1 else ''}"
    if w.rng.random() < 0.2:
        y = root(w)
        options.insert(0, f"[torch.ones_like({x}), {y}{as_given(options)}]")
        return f"{left} = torch.autograd.grad([{x}, {y}], [{', '.join(names)}], {', '.join(options)})"
    return f"{left} = torch.autograd.grad({scalar(w, x)}, [{', '.join(names)}]{''.join(', ' + o for o in options)})"


@kind(4)
def about_grad(w: Writer) -> str:
    x = w.pick(lambda t: (t.grad is not None or w.rng.random() < 0.1) and not w.is_gradient(t))
    return w.choice(
        f"{x}.grad = None", f"{x}.grad.zero_()", f"{w.new()} = {x}.grad", f"{w.new()} = {x}.grad * 2", f"{x}.grad = {w.pick()}",
        f"{x}.grad.mul_(0.5)", f"{x}.grad = torch.ones_like({x})", f"{x}.grad = {x}.grad.detach()", f"{x}.grad.detach_()",
    )  # fmt: skip


@kind(2)
def step(w: Writer) -> str:
    """What an optimizer does."""
    x = w.pick(lambda t: t.grad is not None)
    return w.choice(
        f"with torch.no_grad(): {x} -= 0.1 * {x}.grad",
        f"{x}.data.add_({x}.grad, alpha=-0.1)",
        f"{x}.data -= 0.1 * {x}.grad.data",
    )


# ---- hooks -----------------------------------------------------------------------------------------------------------

HOOKS = (
    "lambda g: g * 2", "lambda g: log.append(g.detach().clone())", "lambda g: g + 0.5", "lambda g: log.append(g.shape)", "lambda g: g.sum()",
    "lambda g: None", "lambda g: -g", "lambda g: g.clone()",
)  # fmt: skip
NODE_HOOKS = (
    "register_hook(lambda gi, go: log.append([None if g is None else g.detach().clone() for g in (*gi, *go)]))",
    "register_prehook(lambda go: log.append([None if g is None else g.detach().clone() for g in go]))",
    "register_prehook(lambda go: tuple(None if g is None else g * 2 for g in go))",
    "register_hook(lambda gi, go: tuple(None if g is None else g * 0.5 for g in gi))",
)


@kind(7)
def hook(w: Writer) -> str:
    x = w.pick(lambda t: t.requires_grad or w.rng.random() < 0.1)
    handle = f"h{w.rng.randrange(4)}"
    chance = w.rng.random()
    if chance < 0.5:
        return f"{handle} = {x}.register_hook({w.choice(*HOOKS)})"
    if chance < 0.65:
        return f"{x}.retain_grad()"
    if chance < 0.8:
        what = w.choice("log.append(p.grad.detach().clone())", "p.grad.mul_(2)", "setattr(p, 'grad', None)")
        return f"{handle} = {x}.register_post_accumulate_grad_hook(lambda p: {what})"
    return f"{handle} = {x}.grad_fn.{w.choice(*NODE_HOOKS)}"


@kind(2)
def unhooked(w: Writer) -> str | None:
    handles = [n for n in w.env if n[0] == "h"]
    return f"{w.rng.choice(handles)}.remove()" if handles else None


# ---- contexts and names ----------------------------------------------------------------------------------------------


@kind(9)
def within(w: Writer) -> str | None:
    """Statements in a mode."""
    mode = w.choice(
        "torch.no_grad()",
        "torch.no_grad()",
        "torch.no_grad()",
        "torch.enable_grad()",
        "torch.set_grad_enabled(False)",
        "torch.inference_mode()",
    )
    kinds = [unary, binary, view, view, sliced, written, assigned, written_alone, pieces]
    if "inference" not in mode:
        kinds += [flags, grad]
    inner = [w.rng.choice(kinds)(w) for _ in range(1 if "enable" in mode else w.rng.choice((1, 1, 2)))]
    if any(s is None for s in inner):
        return None
    return f"with {mode}:\n" + "\n".join(f"    {s}" for s in inner)


@kind(2)
def dropped(w: Writer) -> str | None:
    names = w.tensors()
    return f"del {w.rng.choice(names)}" if len(names) > 3 else None


def text(statements: list[str]) -> str:
    """The program, to be pasted and run."""
    return "import torch\n\nlog = []\n" + "\n".join(statements) + "\n"
