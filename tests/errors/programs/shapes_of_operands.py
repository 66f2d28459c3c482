"""Shapes that do not broadcast."""

import lamina as torch

prediction = torch.zeros(8, 3)
target = torch.zeros(8)
error = prediction - target
