"""Public arithmetic with more than two operands or options: alpha, value, weight, rounding_mode.

Here: argument checks. Not here: values and gradients (elementwise.py, division.py); functions without options
(functions.py).
"""

from __future__ import annotations

from typing import Any

from lamina.core import dtype as dtypes
from lamina.core.promotion import as_operand, common_dtype
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives import division, updates
from lamina.primitives import elementary as f
from lamina.primitives import elementwise as e
from lamina.primitives.argument_types import type_name
from lamina.primitives.functions import is_number, is_tensor, number_tensor
from lamina.primitives.inplace import put_out, with_out
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.overridable import asked, asks_below
from lamina.primitives.primitive import Slots
from lamina.primitives.signature import no_overload, not_implemented, not_tensor


def _operand(name: str, input: Any, other: Any) -> Any:
    """`input` as an operand: two numbers make a tensor. Raises TypeError for what is neither number nor tensor."""
    if not is_tensor(input) and not is_number(input):
        raise not_tensor(name, "input", 1, input)
    if is_tensor(other):
        return input
    if not is_number(other):
        raise not_tensor(name, "other", 2, other)
    return input if is_tensor(input) else number_tensor(as_operand(input))


def _check_alpha(name: str, alpha: Any, *operands: Any) -> None:
    if alpha.__class__ is float and operands[0].__class__ is Tensor and operands[0].dtype.category == 2:
        return
    if not is_number(alpha) and not (isinstance(alpha, Tensor) and alpha._array.ndim == 0):
        raise TypeError(f"{name}(): argument 'alpha' must be Number, not {type_name(alpha)}")
    d = common_dtype(operands)
    if d.category == 0 and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if alpha is True and d.category > 0:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if d.category == 1 and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if d.category < 3 and isinstance(alpha, complex):
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")


def _old_form(name: str, number: Any, *tensors: Any) -> tuple[Any, ...]:
    """The arguments of `x.add(2, y)` as those of `x.add(y, alpha=2)`: programs from before PyTorch 1.5 have it."""
    if not is_number(number):
        raise TypeError(f"{name}() takes {len(tensors) + 1} positional arguments but {len(tensors) + 2} were given")
    warn(f"This overload of {name} is deprecated: pass the number by name, after the tensors", UserWarning)
    return (*tensors, number)


def _scaled(name: str, op: Any, scaled: Any, input: Any, other: Any, old: tuple[Any, ...], alpha: Any) -> Tensor:
    if old:
        other, alpha = _old_form(name, other, *old)
    if input.__class__ is not Tensor or other.__class__ is not Tensor:
        input = _operand(name, input, other)
    if alpha.__class__ is int and alpha == 1:
        return op(input, other)  # type: ignore[no-any-return]
    _check_alpha(name, alpha, input, other)
    return scaled(input, other, alpha)  # type: ignore[no-any-return]


def _given(alpha: Any, out: Any) -> dict[str, Any]:
    """What the caller gave of these, as far as can be told."""
    return ({} if alpha.__class__ is int and alpha == 1 else {"alpha": alpha}) | ({} if out is None else {"out": out})


@asks_below(e._add)
def add(input: Any, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other."""
    if (
        input.__class__ is Tensor
        and other.__class__ is Tensor
        and alpha.__class__ is int
        and alpha == 1
        and not old
        and out is None
    ):
        return e._add(input, other)  # type: ignore[no-any-return]
    if asked((input, other), {}):
        return Slots.override(add, (input, other, *old), _given(alpha, out))  # type: ignore[no-any-return]
    result = _scaled("add", e._add, e.add_scaled, input, other, old, alpha)
    return result if out is None else put_out("add", result, out)


add.primitive = e._add.primitive  # type: ignore[attr-defined]  # its in-place form may write directly
add.update = updates.added  # type: ignore[attr-defined]


@asks_below(e._sub)
def sub(input: Any, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other. Raises RuntimeError for bool."""
    if (
        input.__class__ is Tensor
        and other.__class__ is Tensor
        and alpha.__class__ is int
        and alpha == 1
        and not old
        and out is None
    ):
        return e._sub(input, other)  # type: ignore[no-any-return]
    if asked((input, other), {}):
        return Slots.override(sub, (input, other, *old), _given(alpha, out))  # type: ignore[no-any-return]
    result = _scaled("sub", e._sub, e.sub_scaled, input, other, old, alpha)
    return result if out is None else put_out("sub", result, out)


sub.primitive = e._sub.primitive  # type: ignore[attr-defined]  # its in-place form may write directly
sub.update = updates.subtracted  # type: ignore[attr-defined]


@with_out
def subtract(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`sub`."""
    return _scaled("subtract", e._sub, e.sub_scaled, input, other, (), alpha)


@with_out
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    if not is_tensor(input):
        raise no_overload("rsub", (input, other), "Tensor input, Tensor other", "Tensor input, Number other")
    if alpha.__class__ is int and alpha == 1:
        return e._rsub(input, other)  # type: ignore[no-any-return]
    _check_alpha("rsub", alpha, input, other)
    return e.sub_scaled(other, input, alpha)  # type: ignore[no-any-return]


@with_out
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; rounding_mode "floor" or "trunc": a whole quotient, of integers too."""
    if input.__class__ is not Tensor or other.__class__ is not Tensor:
        input = _operand("div", input, other)
    if rounding_mode is None:
        return e.true_divide(input, other)  # type: ignore[no-any-return]
    if rounding_mode == "floor":
        return division.div_floor(input, other)  # type: ignore[no-any-return]
    if rounding_mode == "trunc":
        return division.div_trunc(input, other)  # type: ignore[no-any-return]
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


div.__wrapped__.primitive = e.true_divide.primitive


def quotient_of(self: Tensor, other: Any) -> Any:
    """other / self, as PyTorch computes it: by the reciprocal."""
    return e.mul.operator(f.reciprocal(self), other)


def _double(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return complex(x) if isinstance(x, complex) else float(x)
    return x.to(dtypes.complex128 if x.dtype.category == 3 else dtypes.float64)


@with_out
def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent in float64, or complex128."""
    if not is_tensor(input) and not is_tensor(exponent):
        raise no_overload(
            "float_power", (input, exponent), "Tensor input, Tensor exponent", "Number self, Tensor exponent", "Tensor input, Number exponent"
        )  # fmt: skip
    if not isinstance(input, Tensor):
        return division.rpow(_double(exponent), _double(input))  # type: ignore[no-any-return]
    return division.pow(_double(input), _double(exponent))  # type: ignore[no-any-return]


def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power` for the method in place: raises RuntimeError unless self can hold the result."""
    result = float_power(self, exponent)
    if result.dtype is not self.dtype:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {NAMES[self.dtype.name]} but the operation's result requires "
            f"dtype {NAMES[result.dtype.name]}"
        )
    return result  # type: ignore[no-any-return]


def _check_tensors(name: str, **arguments: Any) -> None:
    for i, (argument, t) in enumerate(arguments.items()):
        if not is_tensor(t):
            raise not_tensor(name, argument, i + 1, t)


def _constant(value: Any, *tensors: Tensor) -> Any:
    """A factor that takes part in no promotion."""
    d = common_dtype(tensors)
    return int(value) if d.category < 2 and isinstance(value, float) else value


@with_out
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *old: Tensor, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    if old:
        tensor1, tensor2, value = _old_form("addcmul", tensor1, tensor2, *old)
    _check_tensors("addcmul", input=input, tensor1=tensor1, tensor2=tensor2)
    if common_dtype((input, tensor1, tensor2)).category == 0:
        raise not_implemented("addcmul_cpu_out", input.dtype)
    return e._addcmul(input, tensor1, tensor2, _constant(value, input, tensor1, tensor2))  # type: ignore[no-any-return]


@with_out
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *old: Tensor, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2. Raises RuntimeError where both are integers."""
    if old:
        tensor1, tensor2, value = _old_form("addcdiv", tensor1, tensor2, *old)
    _check_tensors("addcdiv", input=input, tensor1=tensor1, tensor2=tensor2)
    if tensor1.dtype.category < 2 and tensor2.dtype.category < 2:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
            "true division of tensor1 and tensor2. Use input + value * tensor1 / tensor2, or torch.trunc of that "
            "quotient."
        )
    return e._addcdiv(input, tensor1, tensor2, value)  # type: ignore[no-any-return]


@with_out
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input). Raises RuntimeError unless the tensors agree in dtype."""
    _check_tensors("lerp", input=input, end=end)
    for name, t in (("end", end), ("weight", weight)):
        if isinstance(t, Tensor) and t.dtype is not input.dtype:
            raise RuntimeError(f"expected dtype {_c_name(input)} for `{name}` but got dtype {_c_name(t)}")
    if input.dtype.category < 2:
        kernel = "lerp_kernel_tensor" if isinstance(weight, Tensor) else "lerp_kernel_scalar"
        raise not_implemented(kernel, input.dtype)
    return (e.lerp_tensor if isinstance(weight, Tensor) else e.lerp_number)(input, end, weight)  # type: ignore[no-any-return]


addcmul.__wrapped__.update, addcdiv.__wrapped__.update = updates.product_added, updates.quotient_added
lerp.__wrapped__.update = updates.approached


def _c_name(t: Tensor) -> str:
    return {
        "float32": "float",
        "float64": "double",
        "float16": "c10::Half",
        "bfloat16": "c10::BFloat16",
        "int64": "long",
    }.get(t.dtype.name, t.dtype.name)
