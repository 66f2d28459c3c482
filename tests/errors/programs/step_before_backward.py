"""`optimizer.step()` before the last backward."""

import lamina as torch
from lamina import nn

net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
out = net(torch.ones(4, 2))
out.mean().backward(retain_graph=True)
optimizer.step()
out.square().mean().backward()
