"""The loss does not require grad: `no_grad`."""

import lamina as torch

x = torch.ones(3, requires_grad=True)
with torch.no_grad():
    hidden = x * 2
loss = hidden.sum()
loss.backward()
