"""What programs ask of CUDA: there is none. Answers as a CPU-only PyTorch gives them.

Here: probes (`is_available`, `device_count`, memory figures of 0), calls that do nothing where there is no device
(`manual_seed_all`, `empty_cache`), and for the rest the error that programs know. Not here: a device.
"""

from collections import OrderedDict
from types import TracebackType
from typing import Any, NoReturn

from lamina.core.device import NO_CUDA
from lamina.core.device import device as Device
from lamina.core.explained import noted
from lamina.cuda import jiterator as jiterator

_NOT_COMPILED = "Torch not compiled with CUDA enabled"


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise the AssertionError of a PyTorch without CUDA."""
    raise noted(AssertionError(_NOT_COMPILED), NO_CUDA)


current_device = get_device_name = get_device_properties = get_device_capability = _refuse
initial_seed = synchronize = mem_get_info = get_rng_state = set_rng_state = _refuse
current_stream = default_stream = set_stream = init = ipc_collect = can_device_access_peer = _refuse
current_blas_handle = memory_snapshot = utilization = temperature = power_draw = clock_rate = _refuse


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no device."""
    return False


def is_tf32_supported() -> bool:
    """False: there is no device."""
    return False


def is_current_stream_capturing() -> bool:
    """False: there is no stream."""
    return False


def device_count() -> int:
    """0."""
    return 0


def get_arch_list() -> list[str]:
    """Empty."""
    return []


def get_gencode_flags() -> str:
    """Empty."""
    return ""


def set_device(device: Any) -> None:
    """Refuses a device; -1 means none and is accepted."""
    if device != -1:
        _refuse()


def manual_seed(seed: int) -> None:
    """Nothing: there is no device to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no device to seed."""


def seed() -> None:
    """Nothing: there is no device to seed."""


def seed_all() -> None:
    """Nothing: there is no device to seed."""


def get_rng_state_all() -> list[Any]:
    """Empty."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Refuses a state; an empty list is accepted."""
    if list(new_states):
        _refuse()


def empty_cache() -> None:
    """Nothing."""


def memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated
memory_cached = max_memory_cached = memory_allocated


def memory_stats(device: Any = None) -> "OrderedDict[str, Any]":
    """Empty."""
    return OrderedDict()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Says that there is no device."""
    return "no CUDA device"


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


class OutOfMemoryError(RuntimeError):
    """Never raised here; named in the except clauses of programs."""

    __module__ = "torch"


class device:
    """A context that selects a device; entering it for a real one fails."""

    def __init__(self, device: Any) -> None:
        self.idx = -1 if device is None or (isinstance(device, int) and device < 0) else Device(device).index or 0

    def __enter__(self) -> None:
        if self.idx >= 0:
            _refuse()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put back."""


class device_of(device):
    """The device of a tensor, which is never a CUDA device here: does nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(None)


class StreamContext:
    """A context that selects a stream; only None is accepted."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            _refuse()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put back."""


stream = StreamContext


class Stream:
    """A CUDA stream: a class to name, not to make."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("torch.cuda.Stream requires CUDA support: lamina computes on the CPU")


class Event:
    """A CUDA event: a class to name, not to make."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Tried to instantiate dummy base class Event: lamina computes on the CPU")


class CUDAGraph:
    """A CUDA graph: a class to name, not to make."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Tried to instantiate dummy base class CUDAGraph: lamina computes on the CPU")


class graph:
    """Raises the AssertionError of a PyTorch without CUDA: no graph is captured."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()


default_generators: tuple[Any, ...] = ()


class _CudaTensorType(type):
    """Classes like `torch.cuda.FloatTensor`: nothing is an instance of them."""

    def __instancecheck__(cls, instance: object) -> bool:
        return False

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"type torch.cuda.{cls.__name__} not available. {_NOT_COMPILED}.")


def _tensor_type(name: str) -> type:
    return _CudaTensorType(name, (), {"__module__": "torch.cuda", "__doc__": "Never available here."})


FloatTensor, DoubleTensor, HalfTensor = map(_tensor_type, ("FloatTensor", "DoubleTensor", "HalfTensor"))
BFloat16Tensor, BoolTensor, ByteTensor = map(_tensor_type, ("BFloat16Tensor", "BoolTensor", "ByteTensor"))
CharTensor, ShortTensor = map(_tensor_type, ("CharTensor", "ShortTensor"))
IntTensor, LongTensor = map(_tensor_type, ("IntTensor", "LongTensor"))
