"""MaskedTensor and its makers, refused by name: lamina has the functions of torch.masked, with masks as arguments."""

from __future__ import annotations

from typing import Any, NoReturn

_WHY = "lamina has no masked tensors; give the mask to a function: torch.masked.sum(input, dim, mask=mask)"


class MaskedTensor:
    """Raises NotImplementedError when it is made."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"MaskedTensor: {_WHY}")


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> NoReturn:
    """Raises NotImplementedError."""
    raise NotImplementedError(f"masked_tensor: {_WHY}")


def as_masked_tensor(data: Any, mask: Any) -> NoReturn:
    """Raises NotImplementedError."""
    raise NotImplementedError(f"as_masked_tensor: {_WHY}")


def is_masked_tensor(obj: Any, /) -> bool:
    """False: there are none."""
    return False
