"""Convolution, forward and transposed, and the columns under it: declarations on the kernels of kernels/.

Here: `convolution` with PyTorch's checks, im2col, col2im. Not here: how they loop (kernels/convolution.py), the named forms
conv1d ... conv_transpose3d (nn/functional/convolution.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.kernels import columns
from lamina.primitives.kernels import convolution as kernels
from lamina.primitives.matmul import autocast
from lamina.primitives.padding import constant_pad_nd
from lamina.primitives.registry import primitive

Ints = tuple[int, ...]

# The three below are one bilinear form seen from its three sides, so each one's gradients are the other two.

conv_ = primitive(
    "conv", lambda x, w, *, stride, padding, dilation, groups: kernels.conv_forward(x, w, stride, padding, dilation, groups),
    grads=(lambda g, w, x_shape, stride, padding, dilation, groups: conv_input_(
               g, w, shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups),
           lambda g, x, w_shape, stride, padding, dilation, groups: conv_weight_(
               g, x, shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)),
    meta=lambda x, w, *, stride, padding, dilation, groups: _shape_only(x, w, stride, padding, dilation),
    node="Convolution", large=True, follows=True)  # fmt: skip

conv_input_ = primitive(
    "conv_input",
    lambda g, w, *, shape, stride, padding, dilation, groups: kernels.conv_input_grad(
        np.ascontiguousarray(g), w, shape, stride, padding, dilation, groups),
    grads=(lambda h, w, stride, padding, dilation, groups: conv_(
               h, w, stride=stride, padding=padding, dilation=dilation, groups=groups),
           lambda h, g, w_shape, stride, padding, dilation, groups: conv_weight_(
               g, h, shape=w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)),
    meta=lambda g, w, *, shape, stride, padding, dilation, groups: np.broadcast_to(np.zeros((), g.dtype), shape),
    node="Convolution", large=True, follows=True)  # fmt: skip

conv_weight_ = primitive(
    "conv_weight",
    lambda g, x, *, shape, stride, padding, dilation, groups: kernels.conv_weight_grad(
        np.ascontiguousarray(g), x, shape, stride, padding, dilation, groups),
    grads=(lambda h, x, stride, padding, dilation, groups: conv_(
               x, h, stride=stride, padding=padding, dilation=dilation, groups=groups),
           lambda h, g, x_shape, stride, padding, dilation, groups: conv_input_(
               g, h, shape=x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)),
    meta=lambda g, x, *, shape, stride, padding, dilation, groups: np.broadcast_to(np.zeros((), g.dtype), shape),
    node="ConvolutionBackward", large=True)  # fmt: skip


def _shifted(y: Array, b: Array) -> Array:
    """`y` with the bias added per channel, in its own memory."""
    return np.add(y, b.reshape(-1, *(1,) * (y.ndim - 2)), out=y)


def _bias_grad(g: Any) -> Any:
    return g.sum((0, *range(2, g.ndim)))


conv_bias_ = primitive(
    "conv_bias",
    lambda x, w, b, *, stride, padding, dilation, groups: _shifted(
        kernels.conv_forward(x, w, stride, padding, dilation, groups), b),
    grads=(*conv_.primitive.rules, lambda g: _bias_grad(g)),
    meta=lambda x, w, b, *, stride, padding, dilation, groups: _shape_only(x, w, stride, padding, dilation),
    node="Convolution", large=True, follows=True)  # fmt: skip

conv_input_bias_ = primitive(
    "conv_input_bias",
    lambda g, w, b, *, shape, stride, padding, dilation, groups: _shifted(
        kernels.conv_input_grad(np.ascontiguousarray(g), w, shape, stride, padding, dilation, groups), b),
    grads=(*conv_input_.primitive.rules, lambda h: _bias_grad(h)),
    meta=lambda g, w, b, *, shape, stride, padding, dilation, groups: np.broadcast_to(np.zeros((), g.dtype), shape),
    node="Convolution", large=True, follows=True)  # fmt: skip


def _outputs(space: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Ints:
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def _shape_only(x: Array, w: Array, stride: Ints, padding: Ints, dilation: Ints) -> Array:
    outputs = _outputs(x.shape[2:], w.shape[2:], stride, padding, dilation)
    return np.broadcast_to(np.zeros((), x.dtype), (x.shape[0], w.shape[0], *outputs))


def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    transposed: bool, output_padding: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """Cross-correlation of (N, C, *space) with (O, C / groups, *kernel); transposed: its adjoint.

    Raises RuntimeError for shapes, dtypes and parameters that do not fit.
    """
    input, weight, bias = autocast(input, weight, bias)
    n = weight._array.ndim - 2
    stride, padding, dilation, output_padding = (_repeated(v, n) for v in (stride, padding, dilation, output_padding))
    _check(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    if transposed:
        return _transposed(input, weight, bias, stride, padding, dilation, output_padding, groups)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if bias is None:
        return conv_(input, weight, **options)  # type: ignore[no-any-return]
    return conv_bias_(input, weight, bias, **options)  # type: ignore[no-any-return]


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    output_padding: Ints,
    groups: int,
) -> Tensor:
    space, kernel = input._array.shape[2:], weight._array.shape[2:]
    outputs = tuple(
        (m - 1) * s - 2 * p + d * (k - 1) + o + 1
        for m, s, p, d, k, o in zip(space, stride, padding, dilation, kernel, output_padding, strict=True)
    )
    if any(m <= 0 for m in outputs):
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, space))}). Calculated output size per channel: "
            f"({' x '.join(map(str, outputs))}). Output size is too small"
        )
    shape = (input._array.shape[0], weight._array.shape[1] * groups, *outputs)
    beyond = [o // s for o, s in zip(output_padding, stride, strict=True)]
    if any(beyond):  # zeros that reach as far: so the adjoint has just the windows that there are
        input = constant_pad_nd(input, [side for b in reversed(beyond) for side in (0, b)])
    options = {"shape": shape, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if bias is None:
        return conv_input_(input, weight, **options)  # type: ignore[no-any-return]
    return conv_input_bias_(input, weight, bias, **options)  # type: ignore[no-any-return]


def _repeated(values: Any, n: int) -> Ints:
    found = (values,) * n if isinstance(values, int) else tuple(values)
    return found * n if len(found) == 1 else found


def _check(
    input: Tensor, weight: Tensor, bias: Any, stride: Ints, padding: Ints, dilation: Ints, transposed: bool, output_padding: Ints,
    groups: int,
) -> None:  # fmt: skip
    x, w = input._array.shape, weight._array.shape
    n = len(w) - 2
    if n < 1:
        raise RuntimeError("weight should have at least three dimensions")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if len(x) != len(w):
        raise RuntimeError(
            f"Expected {len(w)}-dimensional input for {len(w)}-dimensional weight {list(w)}, but got {len(x)}-dimensional input of size {list(x)} instead"  # noqa: E501
        )
    if input._kind.dtype is not weight._kind.dtype:
        raise RuntimeError(f"Input type ({_cpp(input)}) and weight type ({_cpp(weight)}) should be the same")
    if bias is not None and bias._kind.dtype is not input._kind.dtype:
        raise RuntimeError(f"Input type ({_cpp(input)}) and bias type ({_cpp(bias)}) should be the same")
    for name, values in (
        ("stride", stride),
        ("padding", padding),
        ("dilation", dilation),
        ("output_padding", output_padding),
    ):
        if len(values) != n:
            raise RuntimeError(
                f"expected {name} to be a single integer value or a list of {n} values to match the convolution dimensions, but got {name}={list(values)}"  # noqa: E501
            )
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(o < 0 for o in output_padding):
        raise RuntimeError("negative output_padding is not supported")
    if any(d <= 0 for d in dilation):
        shown = f", but got {[1, *dilation] if n == 1 else list(dilation)}" if min(dilation) == 0 else ""
        raise RuntimeError(f"dilation should be greater than zero{shown}")
    if w[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size {list(w)} instead"
        )
    if w[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size {list(w)} instead"
        )
    if transposed:
        if x[1] != w[0]:
            raise RuntimeError(
                f"Given transposed=1, weight of size {list(w)}, expected input{list(x)} to have {w[0]} channels, but got {x[1]} channels instead"
            )
        if any(o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
            raise RuntimeError("output padding must be smaller than either stride or dilation")
        outputs = w[1] * groups
        if bias is not None and bias._array.shape != (outputs,):
            raise RuntimeError(
                f"Given transposed=1, weight of size {list(w)}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size {list(bias._array.shape)} instead"  # noqa: E501
            )
        return
    if x[1] != w[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(w)}, expected input{list(x)} to have {w[1] * groups} channels, but got {x[1]} channels instead"  # noqa: E501
        )
    if bias is not None and bias._array.shape != (w[0],):
        raise RuntimeError(
            f"Given weight of size {list(w)}, expected bias to be 1-dimensional with {w[0]} elements, but got bias of size {list(bias._array.shape)} instead"  # noqa: E501
        )
    padded = tuple(m + 2 * p for m, p in zip(x[2:], padding, strict=True))
    kernel = tuple(d * (k - 1) + 1 for k, d in zip(w[2:], dilation, strict=True))
    if any(a < b for a, b in zip(padded, kernel, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: ({' x '.join(map(str, kernel))}). "
            "Kernel size can't be greater than actual input size"
        )


def _cpp(t: Tensor) -> str:
    return f"torch.{t._kind.dtype.alias}" if t._kind.dtype.category != 3 else f"CPU{errors.scalar_name(t)}Type"


# ---- columns ---------------------------------------------------------------------------------------------------------

im2col_ = primitive(
    "im2col", lambda x, *, kernel, dilation, padding, stride: columns.im2col(x, kernel, dilation, padding, stride),
    grads=(lambda g, x_shape, kernel, dilation, padding, stride: col2im_(
        g, space=x_shape[2:], kernel=kernel, dilation=dilation, padding=padding, stride=stride),), node="Im2Col")  # fmt: skip

col2im_ = primitive(
    "col2im", lambda x, *, space, kernel, dilation, padding, stride: columns.col2im(x, space, kernel, dilation, padding, stride),
    grads=(lambda g, kernel, dilation, padding, stride: im2col_(
        g, kernel=kernel, dilation=dilation, padding=padding, stride=stride),), node="Col2Im")  # fmt: skip


def im2col(input: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
    """All windows of (N, C, H, W) as columns: (N, C * kh * kw, L); without N for (C, H, W)."""
    kernel, dilation, padding, stride = _windows(kernel_size, dilation, padding, stride)
    x = input._array
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: "
            f"{list(x.shape)}"
        )
    blocks = _outputs(x.shape[-2:], kernel, stride, padding, dilation)
    if any(b < 1 for b in blocks):
        raise RuntimeError(
            f"Given input with spatial size ({x.shape[-2]}, {x.shape[-1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({dilation[0]}, "
            f"{dilation[1]}), padding=({padding[0]}, {padding[1]}), stride=({stride[0]}, {stride[1]}), calculated shape of the array of sliding "
            f"blocks as ({blocks[0]}, {blocks[1]}), but its components must be at least one."
        )
    batched = x.ndim == 4
    out = im2col_(
        input if batched else input.unsqueeze(0), kernel=kernel, dilation=dilation, padding=padding, stride=stride
    )
    return out if batched else out.squeeze(0)  # type: ignore[no-any-return]


def col2im(input: Tensor, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
    """Columns (N, C * kh * kw, L) added up where they came from: (N, C, *output_size)."""
    kernel, dilation, padding, stride = _windows(kernel_size, dilation, padding, stride)
    space = tuple(output_size)
    x = input._array
    if x.ndim not in (2, 3) or 0 in x.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: "
            f"{list(x.shape)}"
        )
    area = kernel[0] * kernel[1]
    if x.shape[-2] % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)="
            f"{x.shape[-2]} and kernel_size=({kernel[0]}, {kernel[1]})."
        )
    blocks = _outputs(space, kernel, stride, padding, dilation)
    if any(b < 1 for b in blocks):
        raise RuntimeError(
            f"Given output_size=({space[0]}, {space[1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({dilation[0]}, {dilation[1]}), "
            f"padding=({padding[0]}, {padding[1]}), stride=({stride[0]}, {stride[1]}), calculated shape of the array of sliding blocks as "
            f"({blocks[0]}, {blocks[1]}), which is too small (non-positive)"
        )
    if x.shape[-1] != blocks[0] * blocks[1]:
        raise RuntimeError(
            f"Given output_size=({space[0]}, {space[1]}), kernel_size=({kernel[0]}, {kernel[1]}), dilation=({dilation[0]}, {dilation[1]}), "
            f"padding=({padding[0]}, {padding[1]}), stride=({stride[0]}, {stride[1]}), expected size of input's dimension 2 to match the calculated "
            f"number of sliding blocks {blocks[0]} * {blocks[1]} = {blocks[0] * blocks[1]}, but got input.size(2)={x.shape[-1]}."
        )
    batched = x.ndim == 3
    out = col2im_(
        input if batched else input.unsqueeze(0),
        space=space,
        kernel=kernel,
        dilation=dilation,
        padding=padding,
        stride=stride,
    )
    return out if batched else out.squeeze(0)  # type: ignore[no-any-return]


def _windows(kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Ints, Ints, Ints, Ints]:
    found = {
        "kernel": _repeated(kernel, 2),
        "dilation": _repeated(dilation, 2),
        "padding": _repeated(padding, 2),
        "stride": _repeated(stride, 2),
    }
    for name, values in found.items():
        if any(v < 0 if name == "padding" else v <= 0 for v in values):
            what = (
                "padding should be non-negative"
                if name == "padding"
                else f"{name} size should be greater than zero"
                if name == "kernel"
                else f"{name} should be greater than zero"
            )
            letters = {"kernel": "kernel", "dilation": "dilation", "padding": "pad", "stride": "stride"}[name]
            raise RuntimeError(f"{what}, but got {letters}_height: {values[0]} {letters}_width: {values[1]}")
    return found["kernel"], found["dilation"], found["padding"], found["stride"]
