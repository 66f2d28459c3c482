"""Handles of hooks, under the name that programs import them by."""

from lamina.autograd.handles import RemovableHandle

__all__ = ["RemovableHandle"]
