"""Kernel languages that PyTorch can call: none here. Lamina's kernels are its compiler's."""

available_dsls: list[str] = []
