"""`pad`: constant, reflected, replicated or wrapped borders.

Constant padding is a primitive; the others pick rows by an index per dimension, so that their gradients follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor
from lamina.primitives import fused
from lamina.primitives.inplace import of_tensors


def _gather1(input: Tensor, last: Tensor) -> Tensor:
    return lamina.index_select(input, input.ndim - 1, last)


def _gather2(input: Tensor, last: Tensor, second: Tensor) -> Tensor:
    return lamina.index_select(_gather1(input, last), input.ndim - 2, second)


def _gather3(input: Tensor, last: Tensor, second: Tensor, third: Tensor) -> Tensor:
    return lamina.index_select(_gather2(input, last, second), input.ndim - 3, third)


_GATHERS = (_gather1, _gather2, _gather3)
_REFLECT = tuple(fused(f"ReflectionPad{rank}D")(body) for rank, body in enumerate(_GATHERS, 1))
_REPLICATE = tuple(fused(f"ReplicationPad{rank}D")(body) for rank, body in enumerate(_GATHERS, 1))


@of_tensors
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with `pad[0]` elements before and `pad[1]` after in the last dimension, and so on backwards.

    Negative amounts cut. mode: "constant" (`value`, default 0; any number of dimensions), "reflect", "replicate" or
    "circular" (the last 1 to 3 dimensions, with one or two dimensions before them).
    """
    check_tensor(input, "pad")
    amounts = _amounts(pad)
    if len(amounts) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(amounts) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(amounts)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return lamina.constant_pad_nd(input, amounts, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    rank = len(amounts) // 2
    if not 1 <= rank <= 3 or input.dim() not in (rank + 1, rank + 2):
        raise NotImplementedError(f"Padding size {len(amounts)} is not supported for {input.dim()}D input tensor.")
    if mode not in _INDEX:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    _check_sizes(input, amounts, mode)
    indices = []
    for place in range(rank):
        dim = input.dim() - 1 - place
        indices.append(_INDEX[mode](input, dim, amounts[2 * place], amounts[2 * place + 1]).to(input.device))
    if mode == "circular":
        return _GATHERS[rank - 1](input, *indices)
    return (_REFLECT if mode == "reflect" else _REPLICATE)[rank - 1](input, *indices)


def _amounts(pad: Sequence[int]) -> list[int]:
    if not isinstance(pad, Sequence) or isinstance(pad, str):
        raise TypeError(f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}")
    for place, item in enumerate(pad):
        if not hasattr(item, "__index__"):
            raise TypeError(
                "pad(): argument 'pad' (position 2) must be tuple of ints, "
                f"but found element of type {type(item).__name__} at pos {place}"
            )
    return [item.__index__() for item in pad]


def _check_sizes(input: Tensor, amounts: list[int], mode: str) -> None:
    rank = len(amounts) // 2
    if mode != "circular":
        first = 1 if input.dim() == rank + 2 else 0
        if any(size == 0 for size in input.shape[first:]):
            raise RuntimeError(
                f"Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with possibly 0 batch size and other "
                f"non-zero dimensions for input, but got: {list(input.shape)}"
            )
    sizes = list(input.shape)
    for place in range(rank):
        sizes[-1 - place] += amounts[2 * place] + amounts[2 * place + 1]
    if any(size < 0 for size in sizes):
        negative = next(size for size in sizes if size < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {negative}: {sizes}")


def _reflect_index(input: Tensor, dim: int, before: int, after: int) -> Tensor:
    size = input.shape[dim]
    if before >= size or after >= size:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
        )
    places = lamina.arange(-before, size + after).abs()
    return (size - 1) - (places - (size - 1)).abs()


def _replicate_index(input: Tensor, dim: int, before: int, after: int) -> Tensor:
    return lamina.arange(-before, input.shape[dim] + after).clamp(0, input.shape[dim] - 1)


def _circular_index(input: Tensor, dim: int, before: int, after: int) -> Tensor:
    size = input.shape[dim]
    if before > size or after > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if size + before + after < 0:
        raise RuntimeError("Negative padding value is resulting in an empty dimension")
    # What negative amounts cut away is not wrapped either.
    kept = size + min(before, 0) + min(after, 0)
    return lamina.arange(-max(before, 0), kept + max(after, 0)) % max(kept, 1) - min(before, 0)


_INDEX: dict[str, Callable[[Tensor, int, int, int], Tensor]] = {
    "reflect": _reflect_index,
    "replicate": _replicate_index,
    "circular": _circular_index,
}
