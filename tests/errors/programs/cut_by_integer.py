"""The loss does not require grad: a cast to integers."""

import lamina as torch

logits = torch.tensor([0.2, 1.7], requires_grad=True)
picked = logits.long()
loss = (picked * 2.0).sum()
loss.backward()
