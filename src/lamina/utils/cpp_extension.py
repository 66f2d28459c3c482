"""Names of PyTorch's builder of native extensions. Lamina builds nothing native: every call refuses."""

import os
import tempfile
from typing import Any

from lamina.primitives.refusals import refusal

_WHY = "nothing native is built; write the operation in Python, torch.compile makes it fast"
CUDA_HOME = ROCM_HOME = CUDNN_HOME = None
IS_WINDOWS = IS_MACOS = False
IS_LINUX = True
IS_HIP_EXTENSION = False
_REFUSED = (
    "BuildExtension", "CppExtension", "CUDAExtension", "SyclExtension", "check_compiler_ok_for_platform",
    "get_compiler_abi_compatibility_and_version", "include_paths", "library_paths", "load", "load_inline", "verify_ninja_availability",
)  # fmt: skip


def get_default_build_root() -> str:
    """Where PyTorch would build."""
    return os.path.realpath(os.path.join(tempfile.gettempdir(), "torch_extensions"))


def is_ninja_available() -> bool:
    """False: nothing is built."""
    return False


def __getattr__(name: str) -> Any:
    if name in _REFUSED:
        return refusal(f"torch.utils.cpp_extension.{name}", _WHY)
    raise AttributeError(f"module 'torch.utils.cpp_extension' has no attribute '{name}'")
