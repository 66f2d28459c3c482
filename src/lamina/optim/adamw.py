"""AdamW under the module name that PyTorch gives it; the optimizer lives in adam.py."""

from functools import partial

from lamina.optim.adam import AdamW, adam

__all__ = ["AdamW", "adamw"]

adamw = partial(adam, decoupled_weight_decay=True)
