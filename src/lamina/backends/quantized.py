"""Kernels for quantised tensors: none."""

engine: str = "none"
supported_engines: list[str] = ["none"]
