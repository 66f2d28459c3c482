"""What stands between modules or programs and transforms: running statistics, writes in place.

Here: replace_all_batch_norm_modules_, functionalize, debug_unwrap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina.core.tensor import Tensor
from lamina.nn.modules.batchnorm import _BatchNorm
from lamina.nn.modules.module import Module
from lamina.primitives.levels import Batched


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let the batch norms in `root` keep no running statistics, in place: under vmap these would be written by all entries."""
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func` itself: operations here may write in place under every transform. Raises RuntimeError for another `remove`."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options are:\n"
            "     remove='mutations': all inplace and out= operators will be removed from the program, and replaced with their "
            "out-of-place equivalents.\n"
            "     remove='mutations_and_views': In addition to the above, all aliasing operators {view} will be replaced with their "
            "non-aliasing counterparts, {view}_copy.\n"
        )

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapped


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """What stands behind a tensor inside vmap: the batch (with recurse=True, of all levels)."""
    while tensor.__class__ is Batched:
        tensor = tensor._value  # type: ignore[attr-defined]
        if not recurse:
            break
    return tensor
