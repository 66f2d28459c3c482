"""A tensor of inference mode in a computation with gradients."""

import lamina as torch

with torch.inference_mode():
    scale = torch.ones(3)
x = torch.ones(3, requires_grad=True)
y = x * scale
