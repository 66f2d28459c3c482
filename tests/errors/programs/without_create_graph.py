"""A second derivative without `create_graph=True`."""

import lamina as torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
(slope,) = torch.autograd.grad((x**3).sum(), x)
(curvature,) = torch.autograd.grad(slope.sum(), x)
