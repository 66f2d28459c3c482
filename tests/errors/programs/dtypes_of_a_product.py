"""A product of two dtypes."""

import lamina as torch

data = torch.zeros(4, 3, dtype=torch.float64)
weight = torch.zeros(3, 2)
out = data @ weight
