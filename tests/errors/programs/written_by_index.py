"""A tensor that backward needs was written to by an index."""

import lamina as torch

scores = torch.tensor([[0.5, 1.0, 2.0]], requires_grad=True)
weights = scores.softmax(-1)
weights[weights < 0.2] = 0
weights.sum().backward()
