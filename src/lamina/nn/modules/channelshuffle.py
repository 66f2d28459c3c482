"""Channels interleaved across groups."""

from __future__ import annotations

from lamina.core.tensor import Tensor
from lamina.nn import functional as F
from lamina.nn.modules.module import Module


class ChannelShuffle(Module):
    """Channel c of g goes where channel g of c was. Shape: (N, C, *), kept; C divisible by `groups`."""

    groups: int

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
