"""torch.nn.parallel: DataParallel, which on the CPU calls its module; DistributedDataParallel, refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.nn.modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """`module` on every device; there is one, so that forward is the module's own. Parameters are named "module...."."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module, inputs: Any, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0, module_kwargs: Any = None
) -> Any:  # fmt: skip
    """The module's result for `inputs`: there is one device."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))


class DistributedDataParallel(Module):
    """Raises ValueError: there is no process group."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group. "
            "lamina trains in one process: use the module itself where torch.distributed.is_available() is False."
        )
