"""Anomaly mode: backward's errors and NaNs told with the traceback of the forward call that they belong to.

Here: the mode and its warnings. Not here: when the engine asks (engine.py), where forward stacks are taken (primitives).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import Node
from lamina.core.tensor import Tensor
from lamina.core.version import getframe, is_own
from lamina.core.warn import warn


class Anomaly:
    """What is asked for; the engine and the primitives call it."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan

    def stack(self) -> str:
        """The user's stack now, as text."""
        frame = getframe(1)
        while frame.f_back is not None and is_own(frame.f_code.co_filename):
            frame = frame.f_back
        frames = traceback.extract_stack(frame)
        while len(frames) > 1 and is_own(frames[0].filename):  # how the program was started
            del frames[0]
        return "".join(frames.format())

    def checked(self, node: Node, g: Any, create: bool) -> Sequence[Any]:
        """Run `node` backward; on an error, or a NaN in a result, warn with the forward's traceback. Raises RuntimeError for a NaN."""
        try:
            results = node._vjp(g, create)
        except Exception:
            self._tell(node)
            raise
        if self.check_nan:
            for i, (r, edge) in enumerate(zip(results, node._edges, strict=False)):
                if r is not None and edge is not None and _has_nan(r._array if isinstance(r, Tensor) else r):
                    self._tell(node)
                    raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
        return results

    def _tell(self, node: Node) -> None:
        stack = None if node._extra is None else node._extra.stack
        if stack is None:
            text = (
                f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly during forward pass "
                "for more information."
            )
        else:
            text = f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{stack}"
        warn(text)


def _has_nan(array: Any) -> bool:
    if array.dtype.kind in "fc":
        return bool(np.isnan(np.sum(array)) and np.isnan(array).any())
    return array.dtype.kind == "V" and bool(np.isnan(array.astype(np.float32)).any())


class _AnomalyMode:
    def __init__(self, mode: bool, check_nan: bool) -> None:
        self.wanted = Anomaly(check_nan) if mode else None
        self.before = modes.mode().anomaly

    def __enter__(self) -> None:
        modes.change(anomaly=self.wanted)

    def __exit__(self, *error: object) -> None:
        modes.change(anomaly=self.before)


class detect_anomaly(_AnomalyMode):
    """In this context forward calls remember their tracebacks, and backward checks for NaN (`check_nan`)."""

    __module__ = "torch.autograd.anomaly_mode"

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
        warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging."
        )


class set_detect_anomaly(_AnomalyMode):
    """Anomaly mode on or off from the call on; as a context manager, until its end."""

    __module__ = "torch.autograd.anomaly_mode"

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(mode, check_nan)
        modes.change(anomaly=self.wanted)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return modes.mode().anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """Whether backward looks for NaN where anomaly mode is on (as it is to begin with)."""
    wanted = modes.mode().anomaly
    return wanted is None or bool(wanted.check_nan)


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Anomaly mode on or off in this thread."""
    modes.change(anomaly=Anomaly(check_nan) if mode else None)
