"""Settings of PyTorch's compiler back end: remembered, without effect."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

debug = fallback_random = cpp_wrapper = freezing = epilogue_fusion = coordinate_descent_tuning = (
    force_disable_caches
) = False
max_autotune = max_autotune_gemm = False
fx_graph_cache = size_asserts = True


@contextlib.contextmanager
def patch(settings: Mapping[str, Any] | str | None = None, value: Any = None, **more: Any) -> Iterator[None]:
    """A context in which these settings hold."""
    wanted = {settings: value, **more} if isinstance(settings, str) else {**(settings or {}), **more}
    namespace = vars(sys.modules[__name__])
    before = {name: namespace[name] for name in wanted if name in namespace}
    namespace.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            if name in before:
                namespace[name] = before[name]
            else:
                del namespace[name]
