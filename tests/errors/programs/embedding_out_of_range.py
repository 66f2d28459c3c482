"""A word that the embedding has not."""

import lamina as torch

embedding = torch.nn.Embedding(100, 8)
vectors = embedding(torch.tensor([5, 100]))
