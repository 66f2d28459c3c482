"""lamina: PyTorch programs without PyTorch. The public namespace is shaped as torch's; subpackages load when first used."""

from __future__ import annotations

import importlib
from typing import Any

from lamina.core.device import device, memory_format, strided
from lamina.core.dtype import DTYPES, dtype, get_default_dtype, set_default_dtype
from lamina.core.factories import as_tensor, from_numpy, tensor
from lamina.core.size import Size
from lamina.core.tensor import Tensor
from lamina.primitives import methods

methods.install()
