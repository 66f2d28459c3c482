"""Backward a second time through a graph that is freed."""

import lamina as torch

w = torch.tensor([1.0, 2.0], requires_grad=True)
loss = (w * w).sum()
loss.backward()
loss.backward()
