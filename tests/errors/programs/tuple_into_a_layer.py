"""A recurrent layer inside of `Sequential`."""

import lamina as torch
from lamina import nn

net = nn.Sequential(nn.LSTM(2, 3), nn.Linear(3, 1))
net(torch.zeros(4, 1, 2))
