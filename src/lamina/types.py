"""Names for type annotations, under torch's path. Nothing that computes."""

import builtins
import os
from collections.abc import Sequence
from typing import IO, TypeAlias

from lamina.core.device import device
from lamina.core.dtype import dtype
from lamina.core.size import Size
from lamina.core.storage import UntypedStorage as Storage
from lamina.core.tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Storage"]

_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
_dtype, _device, _size = dtype, device, Size | list[int] | tuple[int, ...]

Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
