"""Statements of random programs: the program's own Functions, checkpoints, saved-tensor hooks, transforms, complex numbers, modes."""

from __future__ import annotations

from random_gradients import grad
from random_statements import assigned, binary, flags, pieces, sliced, unary, view, written, written_alone
from random_writer import Writer, broadcasts, kind, same_memory

# ---- Functions -------------------------------------------------------------------------------------------------------

FUNCTIONS = (
    # forward's and backward's lines, and how many inputs
    (1, "ctx.save_for_backward(x)\nreturn x.sin()", "x, = ctx.saved_tensors\nreturn g * x.cos()"),
    (1, "y = x.exp()\nctx.save_for_backward(y)\nreturn y", "y, = ctx.saved_tensors\nreturn g * y"),
    (
        2,
        "ctx.save_for_backward(x, y)\nreturn x * y",
        "x, y = ctx.saved_tensors\nreturn (g * y).sum_to_size(x.shape), (g * x).sum_to_size(y.shape)",
    ),
    (2, "return x + y.sum()", "return g, None"),
    (1, "ctx.mark_dirty(x)\nreturn x.mul_(2)", "return g * 2"),
    (1, "ctx.mark_dirty(x)\nx.add_(1)\nreturn x, x * 2", "return g + h * 2"),
    (2, "ctx.mark_dirty(x)\nctx.save_for_backward(y)\nreturn x.mul_(y)", "y, = ctx.saved_tensors\nreturn g * y, None"),
    (1, "return x", "return g * 3"),
    (1, "return x.view_as(x)", "return g * 3"),
    (1, "return x[:1]", "return torch.cat([g, torch.zeros_like(g)])"),
    (1, "return x * 2, x.sum()", "return g * 2 + h"),
    (1, "y = x > 0\nctx.mark_non_differentiable(y)\nreturn x * 2, y", "return g * 2"),
    (1, "ctx.set_materialize_grads(False)\nreturn x * 2, x * 3", "return None if g is None else g * 2"),
    (1, "return x.detach() * 2", "return None"),
)


@kind(5)
def function(w: Writer) -> str:
    """A Function of the program's own."""
    count, forward, backward = w.rng.choice(FUNCTIONS)
    x = w.writable() if "dirty" in forward else w.floating()
    given = [x]
    if count == 2:  # what is read while it is written depends on the order
        apart = "dirty" in forward
        ys = w.tensors(lambda t: t.is_floating_point() and broadcasts(t.shape, w[x].shape))
        given.append(w.rng.choice([n for n in ys if not (apart and n != x and same_memory(w[n], w[x]))]))
    new_style = w.rng.random() < 0.3 and "dirty" not in forward and forward.startswith("return")
    lines = [
        "class F(torch.autograd.Function):",
        "    @staticmethod",
        f"    def forward({'' if new_style else 'ctx, '}x{', y' if count == 2 else ''}):",
        *(f"        {line}" for line in forward.split("\n")),
        *(
            ("    @staticmethod", "    def setup_context(ctx, inputs, output):", "        ctx.x = 1")
            if new_style
            else ()
        ),
        "    @staticmethod",
        "    def backward(ctx, g, h=None):",
        *(f"        {line}" for line in backward.split("\n")),
    ]
    two = forward.rstrip().split("\n")[-1].count(", x") or forward.endswith(", y")
    names = [f"t{w.count + i}" for i in range(2 if two else 1)]
    w.count += len(names)
    return "\n".join(lines) + f"\n{', '.join(names)} = F.apply({', '.join(given)})"


# ---- transforms and saved tensors ------------------------------------------------------------------------------------

BODIES = (
    "a.sin() * a",
    "(a * a).cumsum(0)",
    "a.exp() + a",
    "a[:1] * 2",
    "a.relu() * 3",
    "a / (a * a + 1)",
    "a.clone().mul_(a)",
    "a.view(-1).square()",
)


@kind(4)
def through(w: Writer) -> str:
    """What keeps, recomputes or transforms a piece of the graph."""
    x = w.pick(lambda t: t.is_floating_point() and not t._is_view() and not t.is_inference())
    body = w.choice(*BODIES)
    forms = [
        f"{w.new()} = torch.utils.checkpoint.checkpoint(lambda a: {body}, {x}, use_reentrant=False)",
        f"{w.new()} = torch.utils.checkpoint.checkpoint(lambda a: {body}, {x}, use_reentrant=True)",
        f"with torch.autograd.graph.saved_tensors_hooks(lambda s: s.detach().clone(), lambda s: s):\n    {w.new()} = (lambda a: {body})({x})",
        f"with torch.autograd.graph.save_on_cpu():\n    {w.new()} = (lambda a: {body})({x})",
    ]  # fmt: skip
    if w.unrecorded:  # what comes out of a transform of such a view is said to require grad, and leads nowhere
        return w.choice(*forms)
    return w.choice(
        *forms,
        f"{w.new()} = torch.func.grad(lambda a: ({body}).sum())({x})",
        f"{w.new()} = torch.func.vjp(lambda a: {body}, {x})[0]",
        f"{w.new()} = torch.func.jvp(lambda a: {body}, ({x}.detach(),), (torch.ones_like({x}),))[1]",
        f"{w.new()} = torch.vmap(lambda a: a.sin() * a)({x})",
        f"{w.new()} = torch.autograd.functional.vjp(lambda a: ({body}).sum(), {x})[1]",
        f"{w.new()} = torch.autograd.functional.jacobian(lambda a: ({body}).sum(), {x}, create_graph={w.rng.random() < 0.5})",
    )  # fmt: skip


# ---- complex numbers -------------------------------------------------------------------------------------------------


@kind(3)
def complexes(w: Writer) -> str:
    """Numbers of two parts, and views of the parts."""
    given = w.tensors(lambda t: t.is_complex())
    if not given or w.rng.random() < 0.3:
        x = w.floating()
        return f"{w.new()} = torch.complex({x}, {x} * {w.number()})"
    x = w.rng.choice(given)
    return w.choice(
        f"{w.new()} = {x}.real", f"{w.new()} = {x}.imag", f"{w.new()} = {x} * {x}", f"{w.new()} = {x}.abs()",
        f"{w.new()} = torch.view_as_real({x})", f"{x}.mul_({w.number()})", f"{x}.real.mul_({w.number()})", f"{x}.imag.zero_()",
        f"{w.new()} = ({x} * {x}).real", f"{w.new()} = {x} * {w.floating()}",
    )  # fmt: skip


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
    w.unrecorded |= "enable" not in mode
    inner = [w.rng.choice(kinds)(w) for _ in range(1 if "enable" in mode else w.rng.choice((1, 1, 2)))]
    if any(s is None for s in inner):
        return None
    return f"with {mode}:\n" + "\n".join(f"    {s}" for s in inner)


@kind(2)
def dropped(w: Writer) -> str | None:
    names = w.tensors()
    return f"del {w.rng.choice(names)}" if len(names) > 3 else None
