"""`torch._functorch.utils`: small things around transforms."""

from __future__ import annotations

import contextlib
from typing import Any

from lamina._functorch.wrappers import unwrap_if_dead
from lamina.core.tensor import Tensor

argnums_t = int | tuple[int, ...]
enable_single_level_autograd_function = contextlib.nullcontext
"""Nothing to allow: a Function is applied at each level that takes part in it."""


def unwrap_dead_wrappers(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`args`, those without their history that have outlived the transform they were made in; the same tuple where none has."""
    seen = tuple(unwrap_if_dead(a) if isinstance(a, Tensor) else a for a in args)
    return args if all(a is b for a, b in zip(args, seen, strict=True)) else seen
