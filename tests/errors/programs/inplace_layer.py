"""A layer with `inplace=True` after one that keeps its result."""

import lamina as torch
from lamina import nn

net = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.ReLU(inplace=True))
out = net(torch.ones(4, 2))
out.sum().backward()
