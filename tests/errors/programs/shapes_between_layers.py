"""A layer that does not fit the one before."""

import lamina as torch
from lamina import nn

net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(16, 8, 3))
net(torch.zeros(2, 1, 28, 28))
