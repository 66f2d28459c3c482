"""An optimizer is given a tensor that was computed."""

import lamina as torch

weight = torch.ones(3, requires_grad=True) * 0.1
optimizer = torch.optim.SGD([weight], lr=0.1)
