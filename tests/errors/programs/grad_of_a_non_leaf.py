"""Warning: `.grad` of a tensor that is not a leaf."""

import lamina as torch

x = torch.ones(3, requires_grad=True)
hidden = x * 2
hidden.sum().backward()
hidden.grad
