"""A hook returns a gradient of another shape."""

import lamina as torch


def normed(grad):
    return grad.sum()


x = torch.ones(3, requires_grad=True)
hidden = x * 2
hidden.register_hook(normed)
hidden.sum().backward()
