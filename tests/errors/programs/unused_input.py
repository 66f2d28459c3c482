"""The gradient by a tensor that was not used."""

import lamina as torch

x = torch.ones(2, requires_grad=True)
y = torch.ones(2, requires_grad=True)
loss = (x * 3).sum()
torch.autograd.grad(loss, [x, y])
