"""A leaf that requires grad is written to."""

import lamina as torch

weight = torch.zeros(3, requires_grad=True)
weight -= 0.1
