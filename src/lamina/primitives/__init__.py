"""Primitives: every differentiable operation, one file per family.

`registry.py` says what a primitive is; `fused.py` makes composites one node; `methods.py` is the table of Tensor's methods.
"""

from lamina.primitives.fused import fused
from lamina.primitives.inplace import inplace

__all__ = ["fused", "inplace"]
