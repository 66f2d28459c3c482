"""A `view` for images of another size."""

import lamina as torch
from lamina import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 5)
        self.fc = nn.Linear(320, 10)

    def forward(self, images):
        maps = nn.functional.max_pool2d(self.conv(images), 2)
        return self.fc(maps.view(-1, 320))


Net()(torch.zeros(3, 1, 28, 28))
