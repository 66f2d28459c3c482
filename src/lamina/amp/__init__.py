"""Mixed precision: matrix products in bfloat16 (`autocast`) and loss scaling (`GradScaler`).

Here: the switches. Not here: which operations autocast changes (the dispatch in primitives/ reads the mode).
"""

from lamina.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from lamina.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
