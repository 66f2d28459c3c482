"""NumPy's float64 in a network of float32."""

import numpy as np

import lamina as torch
from lamina import nn

net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
data = torch.from_numpy(np.ones((2, 3)))
net(data)
