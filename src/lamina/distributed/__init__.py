"""What programs ask of distributed training: it is not available, as in a PyTorch built without it.

Here: the probes; and the collectives and types by name, which packages import at the top of a file: to call one is the error of a
PyTorch without a process group, to make a group is refused. Not here: more than one process.
"""

from __future__ import annotations

import enum
from typing import Any, NoReturn

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


is_gloo_available = is_mpi_available = is_nccl_available = is_ucc_available = is_torchelastic_launched


class ReduceOp(enum.Enum):
    """How collectives combine values."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM, UNUSED = range(10)


class ProcessGroup:
    """Processes that work together: a class to name, not to make."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()


class group:
    """The group of all processes: there is none."""

    WORLD = None


class GroupMember:
    """As `group`; and what stands for a group that this process is not in."""

    WORLD = None
    NON_GROUP_MEMBER = -100


class Backend(str):
    """The name of a library that carries messages."""

    GLOO, MPI, NCCL, UCC, UNDEFINED = "gloo", "mpi", "nccl", "ucc", "undefined"
    __slots__ = ()


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises NotImplementedError: lamina runs in one process."""
    raise NotImplementedError(
        "torch.distributed: lamina runs in one process; ask torch.distributed.is_available() first, and use the module itself"
    )


def _without_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises ValueError: there is no process group."""
    raise ValueError(
        "Default process group has not been initialized, please make sure to call init_process_group. "
        "lamina runs in one process: ask torch.distributed.is_available() first."
    )


init_process_group = new_group = new_subgroups = init_device_mesh = FileStore = HashStore = TCPStore = PrefixStore = (
    _refuse
)
all_gather = all_gather_into_tensor = all_gather_object = all_reduce = all_to_all = all_to_all_single = barrier = (
    _without_group
)
batch_isend_irecv = broadcast = broadcast_object_list = destroy_process_group = gather = gather_object = _without_group
get_backend = get_global_rank = get_group_rank = get_process_group_ranks = get_rank = get_world_size = _without_group
irecv = isend = monitored_barrier = P2POp = recv = recv_object_list = reduce = reduce_scatter = _without_group
reduce_scatter_tensor = scatter = scatter_object_list = send = send_object_list = _without_group


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"module 'torch.distributed' has no attribute {name!r}: lamina runs in one process; "
        "ask torch.distributed.is_available() first"
    )
