"""Statements of random programs: backward, autograd.grad, `.grad`, steps of an optimizer, hooks."""

from __future__ import annotations

from typing import Any

from random_writer import Writer, kind

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
def hook(w: Writer) -> str | None:
    x = w.pick(lambda t: t.requires_grad or w.rng.random() < 0.1)
    handle = f"h{w.rng.randrange(4)}"
    chance = w.rng.random()
    if chance < 0.5:
        return f"{handle} = {x}.register_hook({w.choice(*HOOKS)})"
    if chance < 0.65:
        if w.is_gradient(w[x]):  # it may be one with another, which would then be seen to keep its gradient too
            return None
        return f"{x}.retain_grad()"
    if chance < 0.8:
        what = w.choice("log.append(p.grad.detach().clone())", "p.grad.mul_(2)", "setattr(p, 'grad', None)")
        return f"{handle} = {x}.register_post_accumulate_grad_hook(lambda p: {what})"
    return f"{handle} = {x}.grad_fn.{w.choice(*NODE_HOOKS)}"


@kind(2)
def unhooked(w: Writer) -> str | None:
    handles = [n for n in w.env if n[0] == "h"]
    return f"{w.rng.choice(handles)}.remove()" if handles else None
