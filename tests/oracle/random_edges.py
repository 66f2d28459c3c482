"""Statements of random programs: edges of the graph, dtypes of gradients, hooks on several, backward inside backward, duals, `out=`."""

from __future__ import annotations

from random_functions import BODIES
from random_gradients import anything, root, scalar
from random_writer import Writer, broadcasts, kind, overlaps, same_memory


@kind(3)
def edge(w: Writer) -> str | None:
    """An edge is asked for, a gradient at it, or a backward from it."""
    known = [n for n in w.env if n[0] == "e" and n[1:].isdigit()]
    if not known or w.rng.random() < 0.4:
        return f"e{w.rng.randrange(3)} = torch.autograd.graph.get_gradient_edge({w.pick()})"
    e = w.rng.choice(known)
    keep = w.choice("", ", retain_graph=True", ", retain_graph=True")
    if w.rng.random() < 0.5:
        return f"{w.new()} = torch.autograd.grad({scalar(w, root(w))}, {e}, allow_unused=True{keep})[0]"
    names = w.tensors(lambda t: t.requires_grad and t.is_leaf)
    if not names:
        return None
    weight = w.choice("None", "torch.tensor(2.0)", f"{w.floating()}.detach()")
    return w.choice(
        f"{w.new()} = torch.autograd.grad({e}, {w.rng.choice(names)}, {weight}, allow_unused=True{keep})[0]",
        f"torch.autograd.backward({e}, {weight}{keep})",
    )


@kind(3)
def walked(w: Writer) -> str | None:
    """The nodes next to a tensor's, and what they are given. Where a transform has been, lamina's nodes are its own."""
    if w.transformed:
        return None
    x = w.pick(lambda t: t.grad_fn is not None)
    return w.choice(
        f"log.append([n if n is None else n.name() for n, _ in {x}.grad_fn.next_functions])",
        f"log.append([(tuple(m.shape), str(m.dtype)) for m in {x}.grad_fn._input_metadata])",
        f"log.append([i for _, i in {x}.grad_fn.next_functions])",
    )


@kind(1)
def dtype_of_gradient(w: Writer) -> str:
    x = w.pick(lambda t: t.is_floating_point() and (t.is_leaf or w.rng.random() < 0.1) and not w.is_gradient(t))
    return f"{x}.grad_dtype = {w.choice('torch.float32', 'torch.float64', 'None')}"


@kind(2)
def several_hooked(w: Writer) -> str | None:
    names = anything(w)
    if not names or any(w.is_gradient(w[n]) for n in names):
        return None
    seen = "lambda gs: log.append([None if g is None else g.detach().clone() for g in gs])"
    mode = "all"
    if w.rng.random() < 0.3:
        seen, mode = "lambda g: log.append(g.detach().clone())", "any"
    return f"h{w.rng.randrange(4)} = torch.autograd.graph.register_multi_grad_hook([{', '.join(names)}], {seen}, mode={mode!r})"


INSIDE = (
    "with torch.enable_grad():\n            a = x.detach().requires_grad_()\n            b = ({body}).sum()\n"
    "        return g * torch.autograd.grad(b, a)[0]",
    "with torch.enable_grad():\n            a = g.detach().requires_grad_()\n            (a * a).sum().backward()\n        return a.grad",
    "return Inner.apply(g, 3)",
    "return g * 2 if torch.is_grad_enabled() else g",
)  # fmt: skip


@kind(3)
def inside(w: Writer) -> str:
    """A Function whose backward runs another backward, or another Function."""
    x = w.pick(lambda t: t.is_floating_point() and t.dim() > 0)
    lines = [
        "class Inner(torch.autograd.Function):",
        "    @staticmethod",
        "    def forward(ctx, x, k):",
        "        ctx.k = k",
        "        return x * k",
        "    @staticmethod",
        "    def backward(ctx, g):",
        "        return g * ctx.k, None",
        "class F(torch.autograd.Function):",
        "    @staticmethod",
        "    def forward(ctx, x):",
        "        ctx.save_for_backward(x)",
        f"        return {w.choice('x * 2', 'Inner.apply(x, 2)', 'x.view_as(x)')}",
        "    @staticmethod",
        f"    {w.choice('@torch.autograd.function.once_differentiable', '')}",
        "    def backward(ctx, g):",
        "        x, = ctx.saved_tensors",
        f"        {w.choice(*INSIDE).format(body=w.choice('a.sin() * a', 'a * a', 'a.exp()'))}",
    ]
    return "\n".join(line for line in lines if line.strip()) + f"\n{w.new()} = F.apply({x})"


@kind(3)
def kept_otherwise(w: Writer) -> str:
    """Saved tensors changed by hooks; checkpoints inside checkpoints."""
    x = w.pick(lambda t: t.is_floating_point() and not t._is_view() and not t.is_inference())
    body, then = w.choice(*BODIES), w.choice("b.sin()", "b * b", "b.exp()")
    check = "torch.utils.checkpoint.checkpoint"
    return w.choice(
        f"with torch.autograd.graph.saved_tensors_hooks(lambda s: s * 2, lambda s: s * 0.5):\n    {w.new()} = (lambda a: {body})({x})",
        f"with torch.autograd.graph.saved_tensors_hooks(lambda s: s.shape, lambda s: torch.ones(s)):\n    {w.new()} = {x} * {x}",
        f"{w.new()} = {check}(lambda b: {check}(lambda a: {body}, {then}, use_reentrant=False) * 2, {x}, use_reentrant=False)",
        f"{w.new()} = sum({check}(lambda a: (a * 2, a.sin()), {x}, use_reentrant={w.rng.random() < 0.3}))",
        f"with torch.autograd.detect_anomaly():\n    {w.new()} = (lambda a: {body})({x})",
    )


@kind(3)
def dual(w: Writer) -> str:
    """A tangent through a piece of the program, by hand."""
    x = w.pick(lambda t: t.is_floating_point() and not t.is_inference())
    body = w.choice(
        *BODIES, "a.detach() * a", "torch.zeros_like(a).copy_(a)", "a.clone().fill_(2) + a", "a.unbind()[0]"
    )
    fwad = "torch.autograd.forward_ad"
    names = (w.new(), w.new())
    # whether and by whom a tangent is recorded follows from PyTorch's formulas
    return (
        f"with {fwad}.dual_level():\n    a = {fwad}.make_dual({x}.clone(){w.choice('', '.detach()')}, torch.ones({x}.shape, dtype={x}.dtype))\n"
        f"    d = {fwad}.unpack_dual({body})\n    {names[0]}, {names[1]} = d.primal * 1, None if d.tangent is None else d.tangent.detach().clone()"
    )


@kind(3)
def stored(w: Writer) -> str | None:
    """Results written to a tensor that is there."""
    x = w.floating()
    out = w.writable()
    if w[out].shape != w[x].shape or overlaps(w[out]) or (x != out and same_memory(w[out], w[x])):
        return None
    ys = w.tensors(lambda t: t.is_floating_point() and broadcasts(t.shape, w[x].shape) and not same_memory(w[out], t))
    y = w.rng.choice(ys) if ys else w.number()
    call = w.choice(f"torch.add({x}, {y}, out={out})", f"torch.mul({x}, {y}, out={out})", f"torch.sin({x}, out={out})")
    return w.choice(call, f"with torch.no_grad(): {call}")
