"""What programs ask of distributed training: it is not available, as in a PyTorch built without it.

Here: the probes. What such a PyTorch lacks (`init_process_group`, `all_reduce`, ...) is lacking here too, so
that packages which look before they call go their single-process way.
"""

from typing import Any

__all__ = ["is_available", "is_initialized"]


def is_available() -> bool:
    """False: programs run in one process."""
    return False


def is_initialized() -> bool:
    """False: there is no process group."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"module 'torch.distributed' has no attribute {name!r}: lamina runs in one process; "
        "ask torch.distributed.is_available() first"
    )
