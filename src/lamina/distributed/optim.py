"""Optimizers of distributed training, under the names that packages import: making one raises."""

from __future__ import annotations

from typing import Any

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer:
    """Shards an optimizer's state over processes. Raises NotImplementedError: lamina runs in one process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("ZeroRedundancyOptimizer needs several processes; use the optimizer itself")
