"""A tour of autograd: leaves, accumulation, hooks, second derivatives, no_grad and .data, the freed graph.

Each stop is a function that prints what there is to see.
"""

import warnings

import torch


def leaf_and_non_leaf() -> None:
    """A leaf was made by the user; gradients arrive at leaves, and at others only when asked."""
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    z = y.sum()
    print("x is a leaf:", x.is_leaf, " its grad_fn:", x.grad_fn)
    print("y is a leaf:", y.is_leaf, " its grad_fn:", type(y.grad_fn).__name__)
    print(
        "z:",
        z.item(),
        " made by",
        type(z.grad_fn).__name__,
        "from",
        [type(f).__name__ for f, _ in z.grad_fn.next_functions],
    )
    y.retain_grad()
    z.backward()
    print("dz/dx:", x.grad, " dz/dy:", y.grad)

    lost = x * 2
    lost.sum().backward()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print("grad of a non-leaf:", lost.grad, f"({len(caught)} warning)")


def accumulation() -> None:
    """Each backward adds to .grad; zero it, or two half batches make one whole."""
    w = torch.tensor([1.0, -1.0], requires_grad=True)
    batch = torch.arange(8.0).reshape(4, 2)
    for half in batch.split(2):
        ((half @ w) ** 2).sum().backward()
        print("after half a batch:", w.grad)
    halves = w.grad.clone()
    w.grad = None
    ((batch @ w) ** 2).sum().backward()
    print("the whole batch:  ", w.grad, " the same:", torch.equal(halves, w.grad))


def hooks() -> None:
    """A hook sees a gradient on its way, and may change it."""
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: print("  gradient at y:", grad))
    handle = x.register_hook(lambda grad: grad.clamp(max=5.0))
    x.register_post_accumulate_grad_hook(lambda leaf: print("  arrived at x:", leaf.grad))
    print("with a hook that clamps:")
    (y * y).sum().backward()
    handle.remove()
    x.grad = None
    print("without it:")
    (x * 2).pow(2).sum().backward()


def second_derivatives() -> None:
    """create_graph=True records the backward too, so that it can be differentiated again."""
    x = torch.tensor(2.0, requires_grad=True)
    y = x**4
    derivatives = [y]
    for order in range(1, 6):
        derivatives.append(torch.autograd.grad(derivatives[-1], x, create_graph=True)[0])
        print(f"derivative {order} of x**4 at 2: {derivatives[-1].item():g}")
    point = torch.tensor([1.0, 2.0])
    print("Hessian of x*x*y:", torch.autograd.functional.hessian(lambda p: p[0] * p[0] * p[1], point).tolist())


def no_grad_and_data() -> None:
    """Three ways past autograd, and what each of them means."""
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.no_grad():
        w -= 0.5
    print("updated in no_grad:", w)
    print("detached:", w.detach(), " shares memory:", w.detach().data_ptr() == w.data_ptr())
    loss = (w * w).sum()
    w.data.mul_(10)  # unseen by autograd: backward uses the changed values
    loss.backward()
    print("gradient after .data was changed:", w.grad)
    loss = (w * w).sum()
    with torch.no_grad():
        w.add_(1.0)  # seen: the version of w has changed
    try:
        loss.backward()
    except RuntimeError as error:
        print("after a change in place:", str(error).split(":")[0])


def freed_graph() -> None:
    """backward frees what it saved, unless it is told to keep it."""
    x = torch.tensor(3.0, requires_grad=True)
    y = x.exp()
    y.backward(retain_graph=True)
    y.backward()
    print(f"two backward passes: {x.grad.item():.4f} = 2 * exp(3)")
    try:
        y.backward()
    except RuntimeError as error:
        print("a third:", str(error).split(" (")[0])


if __name__ == "__main__":
    for stop in (leaf_and_non_leaf, accumulation, hooks, second_derivatives, no_grad_and_data, freed_graph):
        print(f"--- {stop.__name__.replace('_', ' ')}: {stop.__doc__}")
        stop()
