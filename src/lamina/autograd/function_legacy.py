"""Functions of old programs: in place by a flag, nested inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lamina.autograd.function import Function


class InplaceFunction(Function):
    """A Function that may be told to work in place. Kept for old programs."""

    __module__ = "torch.autograd.function"

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from _flat(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from _flat(v)
    else:
        yield value


def _rebuilt(like: Any, values: Any) -> Any:
    if isinstance(like, (list, tuple)):
        return type(like)(_rebuilt(v, values) for v in like)
    if isinstance(like, dict):
        return type(like)((k, _rebuilt(v, values)) for k, v in like.items())
    return next(values)


class NestedIOFunction(Function):
    """A Function whose inputs and outputs are nested: `forward_extended` and `backward_extended`. Kept for old programs."""

    __module__ = "torch.autograd.function"

    @classmethod
    def apply(cls, *input: Any) -> Any:
        shapes: dict[str, Any] = {}

        class Flat(Function):
            @staticmethod
            def forward(ctx: Any, *flat: Any) -> Any:
                result = cls.forward_extended(ctx, *_rebuilt(input, iter(flat)))
                shapes["out"] = result
                return tuple(_flat(result))

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return tuple(_flat(cls.backward_extended(ctx, *_rebuilt(shapes["like"], iter(gradients)))))

        Flat.__name__ = cls.__name__
        Flat._backward_cls.__name__ = f"{cls.__name__}Backward"
        outs = Flat.apply(*_flat(input))
        result = shapes.pop("out")
        shapes["like"] = _rebuilt(result, iter([None] * len(outs)))
        if not isinstance(result, tuple):
            shapes["like"] = (shapes["like"],)
        return _rebuilt(result, iter(outs))

    @staticmethod
    def forward_extended(ctx: Any, *input: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def backward_extended(ctx: Any, *grad_output: Any) -> Any:
        raise NotImplementedError
