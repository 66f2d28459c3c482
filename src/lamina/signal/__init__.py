"""Signal processing: windows."""

from lamina.signal import windows as windows

__all__ = ["windows"]
