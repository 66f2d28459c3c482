"""The version that lamina stands for, and what it was built with: nothing but Python.

Here: `torch.version`. `__version__` is PyTorch's, with lamina's own as the local part, so that version checks pass.
"""

from lamina.torch_version import TorchVersion

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "lamina", "rocm", "xpu"]

lamina: str = "0.1.0"
__version__: TorchVersion = TorchVersion(f"2.13.0+lamina{lamina}")
debug: bool = False
git_version: str = "unknown"
cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
