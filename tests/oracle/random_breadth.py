"""Statements of random programs: other dtypes, copies of tensors, storages, order and ties, layers, hooks that do more than look.

Here: what the first kinds do not reach. Not here: what is seldom specified (random_writer.py says what is left out).
"""

from __future__ import annotations

from random_gradients import anything, leaves, root, scalar
from random_statements import basic_index
from random_writer import Writer, broadcasts, expanded, kind, lies_as_specified, overlaps, same_memory

# ---- dtypes and copies -----------------------------------------------------------------------------------------------


@kind(4)
def other_dtype(w: Writer) -> str:
    """Integers, booleans, and what they become beside floating tensors."""
    x = w.pick()
    return w.choice(
        f"{w.new()} = {x}.to(torch.{w.choice('int32', 'uint8', 'int8', 'float64', 'float32', 'bool')})",
        f"{w.new()} = {x} > {w.number()}",
        f"{w.new()} = {x}.sign().long() + 1",
        f"{w.new()} = {x} * torch.tensor({w.number()}, dtype=torch.float64)",
        f"{w.new()} = {x} + torch.arange(2)[:1]",
        f"{w.new()} = {x} * True",
        f"{w.new()} = {x} == {w.pick()}",
        f"{w.new()} = {x}.isfinite() & ({x} > 0)",
        f"{w.new()} = {x}.detach() // 2",
        f"{w.new()} = {x} % 2",
        f"{w.new()} = torch.empty({w.choice('0', '(0, 2)', '(2, 0)')}, requires_grad={w.rng.random() < 0.5})",
    )


@kind(3)
def cast_write(w: Writer) -> str | None:
    """Writes across dtypes: what may be written where."""
    x = w.writable()
    ys = w.tensors(lambda t: broadcasts(t.shape, w[x].shape) and not same_memory(t, w[x]))
    if not ys:
        return None
    y = w.rng.choice(ys)
    return w.choice(
        f"{x}.copy_({y})", f"{x}.add_({y})", f"{x}.mul_({y})", f"{x}.copy_({y}.double())", f"{x} += {y}.long()"
    )


@kind(4)
def another(w: Writer) -> str | None:
    """The tensor once more, another way: copied deeply, pickled, as a Parameter, as a plain list of numbers."""
    x = w.pick(lambda t: not w.is_gradient(t) and not t.is_inference())
    if not lies_as_specified(w[x]):
        return None
    return w.choice(
        f"import copy; {w.new()} = copy.deepcopy({x})",
        f"import copy; {w.new()} = copy.copy({x})",
        f"import pickle; {w.new()} = pickle.loads(pickle.dumps({x}.detach()))",
        f"{w.new()} = torch.nn.Parameter({x})",
        f"{w.new()} = torch.nn.Parameter({x}.detach().clone(), requires_grad={w.rng.random() < 0.7})",
        f"{w.new()} = torch.tensor({x}.tolist())",
        f"{w.new()} = torch.as_tensor({x}.detach().clone().numpy())",
        f"{w.new()} = torch.asarray({x})",
        f"{w.new()} = {x}.new_ones(2)",
        f"{w.new()} = torch.empty_like({x}).copy_({x})",
    )


@kind(2)
def storage(w: Writer) -> str | None:
    """Memory given to another tensor."""
    x, y = (w.pick(lambda t: lies_as_specified(t) and not w.is_gradient(t) and not overlaps(t)) for _ in range(2))
    if w[x].shape != w[y].shape:  # nodes look at what they are given with the old shape
        return None
    if w[x].dtype != w[y].dtype or w[x]._is_view() or w[y]._is_view() or same_memory(w[x], w[y]):
        return None
    return w.choice(f"{x}.data = {y}.detach().clone()", f"{x}.data = {y}")


# ---- values --------------------------------------------------------------------------------------------------------


MORE = (
    "{x}.prod()", "{x}.norm()", "{x}.std()", "{x}.var(unbiased=False)", "{x}.max()", "{x}.min()", "{x}.amax({d})",
    "{x}.amin({d})", "{x}.median()",
    "{x}.max({d})[0]", "{x}.min({d}).values", "{x}.sort({d})[0]", "{x}.sort({d}, descending=True).values",
    "{x}.topk(1, {d})[0]", "{x}.cumprod({d})",
    "{x}.logcumsumexp({d})", "{x}.cummax({d})[0]", "{x}.flip({d})", "{x}.roll(1, {d})",
    "{x}.repeat(2, *[1] * ({x}.dim() - 1))",
    "{x}.log_softmax({d})", "{x}.prod({d})", "{x}.norm(dim={d})", "{x}.mean({d}, keepdim=True) * {x}",
    "{x}.var({d})", "{x}.tril()", "{x}.triu(1)",
    "{x}.pow(3)", "{x}.atan()", "{x}.erf()", "{x}.sign() * {x}", "{x}.round()", "{x}.clamp(min=0)",
    "{x}.lerp({x} * 2, 0.3)", "{x}.square().cumsum({d})",
    "torch.addcmul({x}, {x}, {x}, value=0.5)", "torch.maximum({x}, -{x})", "torch.minimum({x}, {x}.detach() * 2)",
    "torch.hypot({x}, {x})",
    "torch.atan2({x}, {x} + 3)", "torch.diff({x})", "torch.trace({x})", "torch.outer({x}, {x})",
    "{x}.gather({d}, torch.zeros([1] * {x}.dim(), dtype=torch.int64))", "{x}.take(torch.tensor([0, 0]))",
    "{x}.masked_select({x} > 0)",
    "torch.stack({x}.unbind()).sum(0)", "torch.cat([*{x}.split(1)], 0)", "{x}.repeat_interleave(2, {d})",
    "{x}.unflatten({d}, (1, -1))",
    "torch.nn.functional.gelu({x})", "torch.nn.functional.softplus({x})",
    "torch.nn.functional.layer_norm({x}, {x}.shape[-1:])",
    "torch.nn.functional.mse_loss({x}, {x}.detach() + 1)", "torch.nn.functional.leaky_relu({x})",
    "torch.nn.functional.pad({x}, (1, 1))",
    "torch.nn.functional.linear({x}, torch.ones(2, {x}.shape[-1]))",
    "torch.nn.functional.cross_entropy({x}, torch.zeros({x}.shape[0], dtype=torch.int64))",
    "torch.linalg.norm({x})", "torch.nn.functional.normalize({x}, dim={d})",
    "torch.nn.functional.huber_loss({x}, {x}.detach() * 0)",
    "torch.diag_embed({x})", "torch.tensordot({x}, {x}, dims=[[{d}], [{d}]])", "torch.nan_to_num({x})",
    "torch.logaddexp({x}, {x} * 2)",
    "torch.nn.functional.dropout({x}, 0.5, training=False)", "torch.nn.functional.threshold({x}, 0.1, 0.5)",
    "torch.where({x} > 0, {x}, {x} * 2)",
)  # fmt: skip


@kind(10)
def computed(w: Writer) -> str:
    """Functions with rules of their own, ties among them (the values are few)."""
    x = w.floating()
    return f"{w.new()} = {w.choice(*MORE).format(x=x, d=w.dim(x))}"


INPLACE = (
    "scatter_({d}, torch.zeros([1] * {x}.dim(), dtype=torch.int64), {n})",
    "index_add_({d}, torch.tensor([0, 0]), torch.ones_like({x}.narrow({d}, 0, 1)).expand_as({x}.index_select({d}, torch.tensor([0, 0]))))",
    "scatter_add_({d}, torch.zeros([2] * {x}.dim(), dtype=torch.int64), torch.ones([2] * {x}.dim(), dtype={x}.dtype))",
    "masked_scatter_({x} > 0, {x}.detach() * 2)",
    "put_(torch.tensor([0, 0]), torch.ones(2, dtype={x}.dtype), accumulate=True)",
    "index_put_((torch.tensor([0, 0]),), {x}[0] * 2, accumulate=True)", "cumsum_({d})", "tril_()",
    "lerp_({x}.detach() * 2, 0.25)", "addcmul_({x}, {x}.detach())", "addcdiv_({x}.detach(), {x} * {x} + 1)",
    "pow_(2)", "abs_()", "reciprocal_()", "sqrt_()",
    "clamp_(min={n})", "sign_()", "floor_()", "fill_diagonal_({n})", "swapaxes_(0, -1)", "unsqueeze_(0)",
    "squeeze_()", "random_(3)", "logical_not_()", "eq_({n})",
    "renorm_(2, 0, 1.0)", "erf_()", "atan_()", "cumprod_({d})", "nan_to_num_()", "hypot_({x}.detach())",
    "remainder_({n})", "copysign_({n})", "addmm_({x}.detach().clone(), {x}.detach().clone())",
    "resize_as_({x})", "requires_grad_()", "mul_({x}.requires_grad)", "copy_({x}.flip(0))", "sub_({x}, alpha=2)",
    "xlogy_({x}.detach() * {x}.detach() + 1)",
)  # fmt: skip


@kind(8)
def more_written(w: Writer) -> str | None:
    x = w.writable()
    if expanded(w[x]) or not lies_as_specified(w[x]):
        return None
    form = w.choice(*INPLACE)
    if "cum" in form and not w[x].is_floating_point():  # for 0-d integers, anything goes
        return None
    if "random_" in form:
        return f"torch.manual_seed(0); {x}.{form}"
    return f"{x}.{form.format(x=x, d=w.dim(x), n=w.number())}"


@kind(4)
def written_pieces(w: Writer) -> str | None:
    """Each of the views that come together is written to."""
    x = w.pick(lambda t: t.dim() > 0 and w.may_be_written(t) and not expanded(t))
    d = w.rng.randrange(w[x].dim())
    views = w.choice(
        f"{x}.split(1, {d})",
        f"{x}.chunk(2, {d})",
        f"{x}.unbind({d})",
        f"[{x}.narrow({d}, 0, 1)]",
        f"{x}.tensor_split(2, {d})",
        f"{x}",
    )
    # two writes at once, by views that see each other's history late in PyTorch, are left out
    factor = w.floating() if w[x].requires_grad else f"{w.floating()}.detach()"
    write = w.choice(
        "p.mul_(2)",
        "p.add_(1)",
        "p.zero_()",
        f"p.copy_({x}.detach().flatten()[0])",
        "p[...] = 1",
        "p.requires_grad_()",
        "p.detach_()",
        f"p.mul_({factor}.sum())",
    )
    mode = w.choice("", "", "with torch.no_grad():\n    ", "with torch.inference_mode():\n    ")
    return f"{mode}for p in {views}: {write}\ndel p"


@kind(3)
def scattered(w: Writer) -> str | None:
    """A view's values put into a copy of its base."""
    # PyTorch copies the memory around a view, too
    x = w.pick(lambda t: t.is_floating_point() and t.dim() > 0 and 0 not in t.shape and not t._is_view())
    return w.choice(
        f"{w.new()} = {x}.select_scatter({x}[0].detach() * 2, 0, 0)",
        f"{w.new()} = {x}.slice_scatter({x}[:1] * 2, 0, 0, 1)",
        f"{w.new()} = {x}.diagonal_scatter({x}.diagonal() * 2)",
        f"{w.new()} = {x}.scatter_add(0, torch.zeros_like({x}, dtype=torch.int64), {x})",
        f"{w.new()} = {x}.scatter_reduce(0, torch.zeros_like({x}, dtype=torch.int64), {x}, {w.choice('sum', 'amax', 'mean', 'prod')!r})",
        f"{w.new()} = {x}.index_put((torch.tensor([0, 0]),), {x}[:1] * 2, accumulate={w.rng.random() < 0.7})",
        f"{w.new()} = {x}.index_fill(0, torch.tensor([0]), 2.0)",
        f"{w.new()} = {x}.masked_scatter({x} > 0, {x} * 2)",
    )  # fmt: skip


@kind(3)
def complex_views(w: Writer) -> str | None:
    given = w.tensors(lambda t: t.is_complex() and w.may_be_written(t) and not expanded(t))
    if not given:
        return None
    z = w.rng.choice(given)
    return w.choice(
        f"torch.view_as_real({z}).mul_({w.number()})", f"{z}.real = {w.number()}", f"{z}.imag = {z}.real",
        f"{z}.real.copy_({z}.imag)", f"{w.new()} = {z}.conj() * {z}",
        f"{w.new()} = {z}.angle()", f"{w.new()} = torch.view_as_complex(torch.view_as_real({z}) * 2)",
        f"{w.new()} = {z}.abs().square()", f"{z}.mul_({z}.detach())",
        f"{z}[{basic_index(w, z)}] = 1j", f"{w.new()} = {z}.sum()", f"{z}.abs().sum().backward()",
        f"{z}.sum().backward()", f"{w.new()} = torch.polar({z}.abs(), {z}.real)",
    )  # fmt: skip


# ---- gradients -----------------------------------------------------------------------------------------------------


@kind(4)
def hook_that_acts(w: Writer) -> str | None:
    """A hook that raises, takes itself away, adds another, goes back itself, or writes."""
    x = w.pick(lambda t: t.requires_grad and not w.is_gradient(t))
    h = f"h{w.rng.randrange(4)}"
    acts = (
        f"{h} = {x}.register_hook(lambda g: {h}.remove())",
        f"{h} = {x}.register_hook(lambda g: 1 / 0)",
        f"{h} = {x}.register_hook(lambda g: g.long())",
        f"{h} = {x}.register_hook(lambda g: g.double())",
        f"{h} = {x}.register_hook(lambda g: g[None])",
        f"{h} = {x}.register_hook(lambda g: 'x')",
        f"{h} = {x}.register_hook(lambda g: log.append(torch.is_grad_enabled()))",
        f"{h} = {x}.register_hook(lambda g: log.append((g.requires_grad, g.is_leaf)))",
        f"{h} = {x}.register_hook(lambda g: ({x}.detach().requires_grad_() ** 2).sum().backward())",
        f"{h} = {x}.register_hook(lambda g: log.append(g.detach().clone()) or {x}.register_hook(lambda g: log.append(1)) and None)",
        f"with torch.no_grad(): {h} = {x}.register_hook(lambda g: g * 3)",
        f"{x}.retain_grad(); {x}.retain_grad()",
        f"{x}.register_hook(print).remove()",
        f"{x}.grad_fn.register_hook(lambda gi, go: gi[0])",
        f"{x}.grad_fn.register_prehook(lambda go: None)",
        f"{x}.register_post_accumulate_grad_hook(lambda p: log.append(p.grad.requires_grad))",
        f"{x}.register_post_accumulate_grad_hook(lambda p: p.data.add_(1))",
    )  # fmt: skip
    return w.rng.choice(acts)


@kind(4)
def derived(w: Writer) -> str | None:
    """Second derivatives, many cotangents at once, transforms inside transforms."""
    x = w.pick(
        lambda t: (
            t.is_floating_point() and t.numel() and not t._is_view() and not t.is_inference() and not t.requires_grad
        )
    )
    body = w.choice(
        "a.sin() * a",
        "(a * a).cumsum(0)",
        "a.exp()",
        "a * a.sum()",
        "a.tanh().prod()",
        "(a * a.detach())",
        "a.clone().mul_(a).sin_()",
        "a * 2 - a",
    )
    f = f"lambda a: ({body}).sum()"
    return w.choice(
        f"{w.new()} = torch.func.grad(lambda a: torch.func.grad({f})(a).sum())({x})",
        f"{w.new()} = torch.func.hessian({f})({x})", f"{w.new()} = torch.func.jacrev(lambda a: {body})({x})",
        f"{w.new()} = torch.func.jacfwd(lambda a: {body})({x})",
        f"{w.new()} = torch.vmap(torch.func.grad({f}))({x})",
        f"{w.new()} = torch.vmap(lambda a: {body}, randomness='same')({x})",
        f"{w.new()} = torch.autograd.functional.hvp({f}, {x})[1]",
        f"{w.new()} = torch.autograd.functional.hessian({f}, {x})",
        f"{w.new()} = torch.func.grad_and_value({f})({x})[0]",
        f"{w.new()} = torch.func.jvp(torch.func.grad({f}), ({x},), ({x},))[1]",
        f"{w.new()} = torch.func.linearize(lambda a: {body}, {x})[1]({x})",
        f"{w.new()} = torch.autograd.functional.jvp(lambda a: {body}, {x}, {x})[1]",
        f"{w.new()} = torch.vmap(torch.vmap(lambda a: {body}))({x})",
    )  # fmt: skip


@kind(3)
def many_cotangents(w: Writer) -> str | None:
    x, names = root(w), anything(w)
    if not names:
        return None
    first = w.new()
    return w.choice(
        f"{first} = torch.autograd.grad({scalar(w, x)}, {names[0]}, create_graph=True, allow_unused=True)[0]\n"
        f"{w.new()} = {first}.square().sum()",
        f"with torch.autograd.graph.allow_mutation_on_saved_tensors():\n    a = {x} * {x}\n    b = a.sum()\n    b.backward()\ndel a, b",
        f"torch.autograd.backward([{x}, {x}], [torch.ones_like({x}), torch.ones_like({x})], retain_graph=True)",
        f"torch.autograd.backward([{scalar(w, x)}], inputs={w.choice('[]', names[0], f'({names[0]},)')}, retain_graph=True)",
        f"{scalar(w, x)}.backward(retain_graph=True); {scalar(w, x)}.backward()",
    )


@kind(2)
def optimised(w: Writer) -> str | None:
    names = [n for n in leaves(w) if w[n].is_floating_point()]
    if not names:
        return None
    made = w.choice(
        "SGD([{p}], lr=0.1)",
        "SGD([{p}], lr=0.1, momentum=0.9)",
        "Adam([{p}], lr=0.1)",
        "AdamW([{p}], lr=0.1)",
        "RMSprop([{p}], lr=0.1)",
        "Adagrad([{p}], lr=0.1)",
    )
    zero = w.choice("", "o.zero_grad()\n", "o.zero_grad(set_to_none=False)\n")
    return f"o = torch.optim.{made.format(p=', '.join(dict.fromkeys(names)))}\no.step()\n{zero}del o"
