"""Kernels as LLVM IR: text made by a small writer of our own, one module for each kernel."""
