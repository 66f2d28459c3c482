"""What library code expects of values, and raises without: a recording of a run learns to ask for it at each run.

Not here: what is raised, by whom.
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.autograd import modes
from lamina.core.tensor import Tensor


def expect_none(wrong: Callable[[], Tensor]) -> None:
    """The caller raises where an element of `wrong()`, which is called only while a run is recorded, is not zero."""
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.expects(wrong())
