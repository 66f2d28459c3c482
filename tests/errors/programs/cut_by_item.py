"""The loss does not require grad: through `item()` and back."""

import lamina as torch

x = torch.ones(3, requires_grad=True)
total = (x * x).sum().item()
loss = torch.tensor(total)
loss.backward()
