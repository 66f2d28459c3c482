"""Samples of primitives that move elements about: views, joining, picking and writing by an index, windows over images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""

    def apart(*shape: int) -> Any:
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.137).reshape(shape)

    def call(*arrays: Any, **params: Any) -> Sample:
        return arrays, params

    x, cube, row, point, square = apart(3, 4), apart(2, 3, 4), apart(4), np.array(0.7), apart(3, 3)
    pairs = apart(3, 2)
    index, flat_index = np.array([[2, 0, 1, 1], [0, 0, 2, 1]]), np.array([2, 0, 2])
    columns = np.array([3, 0, 3])
    mask = x > 0
    found: dict[str, list[Sample]] = {
        "clone": [call(x, order="preserve"), call(point, order="contiguous")],
        "to_copy": [call(x, to=np.dtype(np.float64))],
        "view": [call(x, shape=(2, 6)), call(point, shape=(1, 1))],
        "unsafe_view": [call(x.T, shape=(6, 2))],
        "expand": [call(row, size=(3, 4)), call(apart(3, 1), size=(2, 3, 4)), call(point, size=(2,))],
        "permute": [call(cube, dims=(2, 0, 1))],
        "transpose": [call(cube, dim0=0, dim1=2)],
        "t": [call(x), call(row)],
        "unsqueeze": [call(x, dim=1), call(point, dim=0)],
        "squeeze": [call(apart(3, 1, 4, 1), dims=(1, 3)), call(point, dims=())],
        "select": [call(cube, dim=1, index=-1)],
        "slice": [call(cube, dim=2, part=slice(0, 4, 2))],
        "embed": [call(row, shape=(3, 4), index=(1,))],
        "diagonal": [call(cube, offset=1, dim1=0, dim2=2)],
        "diagonal_adjoint": [call(apart(3, 2), shape=(2, 3, 4), offset=1, dim1=0, dim2=2)],
        "unfold": [call(x, dim=1, size=2, step=2), call(point, dim=0, size=1, step=1)],
        "unfold_adjoint": [call(apart(3, 2, 2), shape=(3, 4), dim=1, size=2, step=2)],
        "split": [call(x, dim=1, sizes=(1, 3))],
        "unbind": [call(x, dim=1)],
        "cat": [call(x, x[:, :2] * 2, dim=1), call(row, row, dim=0)],
        "stack": [call(x, x * 2, dim=1), call(point, point, dim=0)],
        "real": [call(x + 1j * x)], "imag": [call(x + 1j * x)],
        "view_as_real": [call(x + 1j * x)], "view_as_complex": [call(pairs)],
        "view_as_real_copy": [call(x + 1j * x)], "view_as_complex_copy": [call(pairs)],
        "copy": [call(x, row), call(x, x * 2)], "fill": [call(x, point)], "zero": [call(x)],
        "tril": [call(square, diagonal=-1)], "triu": [call(x, diagonal=1)],
        "trace": [call(x), call(square)],
        "diag_embed": [call(x, offset=0, dim1=1, dim2=2), call(x, offset=-1, dim1=0, dim2=2)],
        "flip": [call(cube, dims=(0, 2))],
        "roll": [call(cube, shifts=(1, 2), dims=(0, 2))],
        "rot90": [call(cube, k=1, dims=(0, 2))],
        "repeat": [call(x, repeats=(2, 1, 3)), call(point, repeats=(2,))],
        "select_scatter": [call(x, row, at={"dim": 0, "index": 1})],
        "slice_scatter": [call(x, apart(3, 2), at={"dim": 1, "part": slice(0, 4, 2)})],
        "diagonal_scatter": [call(square, apart(3), at={"offset": 0, "dim1": 0, "dim2": 1})],
        "block_diag": [call(x, square)],
        "masked_kept": [call(x, mask)], "masked_dropped": [call(x, mask)],
        "masked_fill": [call(x, mask, point), call(row, mask[0], point)],
        "masked_select": [call(x, mask)],
        "masked_scatter": [call(x, apart(12), mask)],
        "gather": [call(x, index, dim=0), call(row, np.array([1, 1, 0]), dim=0), call(point, np.array(0), dim=0)],
        "gather_adjoint": [call(apart(2, 4), index, shape=(3, 4), dim=0)],
        "index_select": [call(cube, flat_index, dim=1)],
        "index_select_adjoint": [call(apart(2, 3, 4), flat_index, shape=(2, 5, 4), dim=1)],
        "take": [call(x, np.array([[0, -1], [5, 5]]))],
        "take_adjoint": [call(apart(2, 2), np.array([[0, -1], [5, 5]]), shape=(3, 4))],
        "embedding": [call(x, index, padding_idx=-1, scale_grad_by_freq=False), call(x, index, padding_idx=1, scale_grad_by_freq=False)],
        "embedding_dense_backward": [
            call(apart(2, 4, 5), index, rows=3, padding_idx=-1, scale_grad_by_freq=False),
            call(apart(2, 4, 5), index, rows=3, padding_idx=1, scale_grad_by_freq=True),
        ],
        "index": [
            call(x, flat_index, at=(0,)), call(cube, np.array([[0, 2], [1, 1]]), at=(1,)), call(cube, flat_index, columns, at=(1, 2)),
            call(cube, np.array([1, 0]), np.array([[3], [1]]), at=(0, 2)), call(x, np.array(1), at=(1,)),
        ],
        "index_adjoint": [
            call(apart(3, 4), flat_index, shape=(3, 4), at=(0,)), call(apart(2, 3), flat_index, columns, shape=(2, 3, 4), at=(1, 2)),
            call(apart(2, 2, 3), np.array([1, 0]), np.array([[3], [1]]), shape=(2, 3, 4), at=(0, 2)),
        ],
        "index_put": [
            call(x, apart(2, 4), np.array([2, 0]), at=(0,), accumulate=False), call(x, point, flat_index, at=(0,), accumulate=True),
            call(cube, apart(2, 3), flat_index, columns, at=(1, 2), accumulate=True),
            call(cube, apart(3), np.array([1, 0]), np.array([[3], [1]]), at=(0, 2), accumulate=False),
        ],
        "index_add": [call(x, flat_index, apart(3, 3), dim=1, alpha=2), call(x, flat_index, x, dim=0, alpha=1)],
        "index_copy": [call(x, np.array([2, 0]), apart(3, 2), dim=1)],
        "index_fill": [call(x, np.array([2, 0]), point, dim=1)],
        "scatter": [call(x, np.array([[2, 0, 1, 1]]), apart(2, 4), dim=0)],
        "scatter_add": [call(x, index, apart(2, 4), dim=0)],
        "scatter_value": [call(x, index, dim=0, value=0.5)],
        "scatter_reduce": [
            call(x, index, apart(2, 4), dim=0, reduce=reduce, include_self=True) for reduce in ("sum", "mean", "amax")
        ],
        "put": [call(x, np.array([3, 7]), apart(2), accumulate=True)],
        "constant_pad_nd": [call(x, pad=((1, 0), (-1, 2)), value=0.0)],
    }  # fmt: skip
    return found | _images(apart, call)


def _images(apart: Any, call: Any) -> dict[str, list[Sample]]:
    images, filters, volume = apart(2, 4, 5, 6), apart(6, 2, 3, 2), apart(1, 2, 4, 4, 4)
    window = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 1), "groups": 2}
    pool = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "ceil_mode": False}
    average = {**pool, "count_include_pad": True, "divisor": None}
    columns = {"kernel": (2, 2), "dilation": (1, 1), "padding": (0, 1), "stride": (1, 2)}
    space = {"align_corners": False, "scales": (None, None)}
    return {
        "conv": [call(images, filters, **window)],
        "conv_bias": [call(images, filters, apart(6), **window)],
        "conv_input": [call(apart(2, 6, 3, 5), filters, shape=(2, 4, 5, 6), **window)],
        "conv_input_bias": [call(apart(2, 6, 3, 5), filters, apart(4), shape=(2, 4, 5, 6), **window)],
        "conv_weight": [call(apart(2, 6, 3, 5), images, shape=(6, 2, 3, 2), **window)],
        "im2col": [call(images, **columns)],
        "col2im": [call(apart(2, 16, 4 * 4), space=(5, 6), **columns)],
        "max_pool2d": [call(images, dilation=(1, 1), indices=True, **pool)],
        "avg_pool2d": [call(images, **average)],
        "avg_pool2d_grad": [call(apart(2, 4, 2, 3), shape=(2, 4, 5, 6), **average)],
        "adaptive_avg_pool2d": [call(images, outputs=(2, 3))],
        "adaptive_avg_pool2d_grad": [call(apart(2, 4, 2, 3), shape=(2, 4, 5, 6), outputs=(2, 3))],
        "adaptive_max_pool2d": [call(images, outputs=(2, 3))],
        "max_pool3d": [
            call(volume, kernel=(2, 2, 2), stride=(2, 2, 2), padding=(0, 0, 0), dilation=(1, 1, 1), ceil_mode=False, indices=True)
        ],
        "upsample_bilinear2d": [call(images, outputs=(7, 9), **space)],
        "upsample_bilinear2d_grad": [call(apart(2, 4, 7, 9), inputs=(5, 6), **space)],
        "upsample_nearest2d": [call(images, outputs=(7, 9), **space)],
    }  # fmt: skip
