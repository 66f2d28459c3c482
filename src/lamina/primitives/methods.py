"""The one table of Tensor's methods: which public function is which method. Installed when lamina is imported.

Here: names. Not here: any computing. A name that is here twice is an error.
"""

from __future__ import annotations

from typing import Any

from lamina.autograd import tensor_api
from lamina.core import dtype as dtypes
from lamina.core.tensor import Tensor
from lamina.primitives import (
    arithmetic,
    conversion,
    creation,
    elementary,
    filling,
    gathering,
    indexing,
    masking,
    matmul,
    protocol,
    random,
    rearrange,
    reduction,
)
from lamina.primitives import elementwise as e
from lamina.primitives.inplace import inplace


def reflected(op: Any) -> Any:
    """`other op self`, for the methods with an r in front."""

    def method(self: Any, other: Any) -> Any:
        return op(other, self)

    return method


OPERATORS: dict[str, Any] = {
    "__add__": e._add, "__radd__": e._add, "__sub__": e._sub, "__rsub__": reflected(e._sub), "__mul__": e.mul, "__rmul__": e.mul,
    "__truediv__": e.true_divide, "__rtruediv__": reflected(e.true_divide), "__neg__": e.neg,
    "__eq__": e.eq, "__ne__": e.ne, "__lt__": e.lt, "__le__": e.le, "__gt__": e.gt, "__ge__": e.ge,
    "__matmul__": matmul.matmul_operator, "__rmatmul__": reflected(matmul.matmul_operator),
    "__getitem__": indexing.getitem, "__setitem__": indexing.setitem,
}  # fmt: skip

METHODS: dict[str, Any] = {
    **tensor_api.METHODS,
    **protocol.METHODS,
    # shape
    "view": rearrange.view, "view_as": rearrange.view_as, "reshape": rearrange.reshape, "reshape_as": rearrange.reshape_as,
    "expand": rearrange.expand, "expand_as": rearrange.expand_as, "broadcast_to": rearrange.broadcast_to,
    "permute": rearrange.permute, "transpose": rearrange.transpose, "t": rearrange.t, "movedim": rearrange.movedim,
    "unsqueeze": rearrange.unsqueeze, "squeeze": rearrange.squeeze, "flatten": rearrange.flatten,
    "unflatten": rearrange.unflatten, "ravel": rearrange.ravel, "narrow": rearrange.narrow, "select": rearrange.select,
    "split": rearrange.split, "chunk": rearrange.chunk, "unbind": rearrange.unbind, "diagonal": rearrange.diagonal,
    "unfold": rearrange.unfold, "contiguous": rearrange.contiguous,
    # conversion
    "clone": conversion.clone, "to": conversion.to, "type": conversion.type_, "type_as": conversion.type_as,
    # reduction
    "sum": reduction.sum, "mean": reduction.mean, "sum_to_size": reduction.sum_to_size,
    # arithmetic
    "add": arithmetic.add, "sub": arithmetic.sub, "mul": e.mul, "div": e.true_divide, "neg": e.neg, "tanh": elementary.tanh, "exp": e.exp,
    # products
    "mm": matmul.mm, "bmm": matmul.bmm, "mv": matmul.mv, "dot": matmul.dot, "matmul": matmul.matmul, "addmm": matmul.addmm,
    "baddbmm": matmul.baddbmm, "addbmm": matmul.addbmm, "addmv": matmul.addmv, "addr": matmul.addr, "outer": matmul.outer,
    "ger": matmul.outer,
    # random draws
    "bernoulli": random.bernoulli, "multinomial": random.multinomial, "uniform_": random.uniform_, "normal_": random.normal_,
    "log_normal_": random.log_normal_, "exponential_": random.exponential_, "geometric_": random.geometric_,
    "cauchy_": random.cauchy_, "bernoulli_": random.bernoulli_fill, "random_": random.random_,
    # writes
    "copy_": filling.copy_, "fill_": filling.fill_, "zero_": filling.zero_, "set_": filling.set_, "resize_": filling.resize_,
    # creation
    "new_zeros": creation.new_zeros, "new_ones": creation.new_ones, "new_empty": creation.new_empty,
    "new_full": creation.new_full, "new_tensor": creation.new_tensor,
    # picking and writing by index and mask
    "gather": gathering.gather, "take_along_dim": gathering.take_along_dim, "index_select": gathering.index_select,
    "take": gathering.take, "masked_select": gathering.masked_select, "masked_fill": masking.masked_fill,
    "tril": masking.tril, "triu": masking.triu,
}  # fmt: skip
METHODS |= {
    name: conversion.caster(d)
    for name, d in (
        ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16", dtypes.bfloat16),
        ("long", dtypes.int64), ("int", dtypes.int32), ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8),
        ("bool", dtypes.bool_), ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128),
    )
}  # fmt: skip

INPLACE: dict[str, Any] = {
    "add_": arithmetic.add, "sub_": arithmetic.sub, "mul_": e.mul, "div_": e.true_divide, "neg_": e.neg, "tanh_": elementary.tanh, "exp_": e.exp,
    "addmm_": matmul.addmm, "baddbmm_": matmul.baddbmm, "addbmm_": matmul.addbmm, "addmv_": matmul.addmv, "addr_": matmul.addr,
    "__iadd__": e._add, "__isub__": e._sub, "__imul__": e.mul, "__itruediv__": e.true_divide,
    "masked_fill_": masking.masked_fill, "tril_": masking.tril, "triu_": masking.triu,
}  # fmt: skip

PROPERTIES: dict[str, Any] = {
    **tensor_api.PROPERTIES,
    "T": property(lambda self: rearrange.permute(self, tuple(range(self.dim() - 1, -1, -1)))),
    "mT": property(rearrange.matrix_transpose),
    "H": property(rearrange.hermitian),
    "mH": property(rearrange.matrix_hermitian),
    "real": property(conversion.real),
    "imag": property(conversion.imag),
}


def install(cls: type[Any] = Tensor) -> None:
    """Give `cls` its methods. Raises TypeError for a name that it has already."""
    tables = (OPERATORS, METHODS, {name: inplace(op, name) for name, op in INPLACE.items()}, PROPERTIES)
    for table in tables:
        for name, function in table.items():
            if name in vars(cls):
                raise TypeError(f"Tensor.{name} is declared twice")
            setattr(cls, name, function)
