"""One of several views is written to."""

import lamina as torch

x = torch.ones(4, requires_grad=True) * 1
left, right = x.chunk(2)
left.mul_(2)
