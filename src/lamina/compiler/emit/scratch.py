"""Places in the memory that a thread lends to a kernel."""

from __future__ import annotations


class Scratch:
    """Places follow each other, each at a multiple of 64 bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    def take(self, size: int) -> int:
        """Room for `size` bytes; where it begins."""
        place = self.bytes
        self.bytes = (place + size + 63) // 64 * 64
        return place
