"""Statements of random programs: tensors made from others, views, writes in place.

Here: what has values. Not here: gradients and hooks (random_gradients.py), Functions, transforms, modes (random_functions.py).
"""

from __future__ import annotations

from typing import Any

from random_writer import (
    Writer,
    broadcasts,
    collide,
    expanded,
    kind,
    lies_as_specified,
    overlaps,
    run_statement,
    same_memory,
)

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
        "as_subclass(torch.Tensor)",
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
    partner = w.partner(x)
    if partner[0] == "t" and same_memory(w[partner], w[x]):  # what is read may have been written already
        partner = w.number()
    return w.choice(
        f"{x}.index_put_(({w.indices(shape[0], 2)},), {partner})",
        f"{x}.index_put_(({w.indices(shape[0], 2)},), torch.tensor(0.5, dtype={x}.dtype), accumulate=True)",
        f"{x}.masked_fill_({w.mask(shape)}, {w.number()})",
        f"{x}.masked_fill_({w.mask(shape[-1:])}, {value})",
        f"{x}.index_fill_({d}, {rows}, {w.number()})",
        f"{x}.index_add_({d}, {rows}, {source})",
        f"{x}.index_copy_({d}, torch.tensor([0]), {x}.narrow({d}, 0, 1) * 2)",
    )


@kind(2)
def reshaped_inplace(w: Writer) -> str:
    x = w.pick(lambda t: not w.is_gradient(t))
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
