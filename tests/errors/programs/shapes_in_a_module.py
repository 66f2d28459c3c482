"""Shapes that do not fit, inside a network."""

import lamina as torch
from lamina import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 32)

    def forward(self, images):
        return self.fc1(images)


Net()(torch.zeros(8, 28, 28))
