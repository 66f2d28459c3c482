"""Backward through what an earlier step left: a hidden state."""

import lamina as torch
from lamina import nn

rnn = nn.GRU(2, 3)
state = torch.zeros(1, 1, 3)
for _ in range(2):
    out, state = rnn(torch.ones(4, 1, 2), state)
    out.sum().backward()
