"""The loss does not require grad: a comparison."""

import lamina as torch

scores = torch.tensor([0.2, 1.7], requires_grad=True)
right = (scores > 1).float()
loss = 1 - right.mean()
loss.backward()
