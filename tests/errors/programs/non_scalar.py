"""Backward of a tensor with several elements."""

import lamina as torch

x = torch.ones(3, requires_grad=True)
losses = (x - 1) ** 2
losses.backward()
