"""An index outside of its dimension."""

import lamina as torch

rows = torch.zeros(3, 2)
last = rows[3]
