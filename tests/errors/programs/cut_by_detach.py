"""The loss does not require grad: `detach()`."""

import lamina as torch

x = torch.ones(3, requires_grad=True)
hidden = (x * 2).detach()
loss = hidden.sum()
loss.backward()
