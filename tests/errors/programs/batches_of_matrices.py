"""Batches of matrices, the second one not turned."""

import lamina as torch

queries, keys = torch.zeros(2, 5, 8), torch.zeros(2, 5, 8)
weights = (queries @ keys).softmax(-1)
