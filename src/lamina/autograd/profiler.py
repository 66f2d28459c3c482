"""torch.autograd.profiler: the names of lamina.profiler under their older path."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from lamina.profiler import EventList, ProfilerActivity, profile, record_function

__all__ = ["EventList", "ProfilerActivity", "emit_itt", "emit_nvtx", "profile", "record_function"]


@contextmanager
def emit_nvtx(enabled: bool = True, record_shapes: bool = False) -> Any:
    """Marks for NVIDIA's tools: there is no such device, so nothing is marked."""
    yield


@contextmanager
def emit_itt(enabled: bool = True, record_shapes: bool = False) -> Any:
    """Marks for Intel's tools: nothing is marked."""
    yield
