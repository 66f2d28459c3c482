"""Indexing, rearranging and creation beside PyTorch's: values, strides, gradients, nodes and errors.

Each row of indexing_rows.txt is an expression run with both libraries; keys of x[...] are drawn at random.
"""

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import lamina

# Composites in PyTorch too, by other steps; or nodes that are named by PyTorch's generated code.
OTHER_NODES = ("_copy", "torch.diag(", "linspace", "signal", "kaiser")


def rows():
    lines = (Path(__file__).parent / "indexing_rows.txt").read_text().splitlines()
    return [line for line in lines if line and line[0] not in "#["]


def names(library, grad):
    rng = np.random.default_rng(3)
    x = library.tensor(rng.standard_normal((3, 4)).round(2), dtype=library.float32, requires_grad=grad)
    return {
        "torch": library, "x": x * 1, "y": library.tensor([[0.5, -2.0], [3.0, 1.5]]), "z": library.tensor(3.0),
        "v": library.arange(4), "i": library.tensor([[0, 1], [2, 0]]), "n": library.tensor([0, 0, 1]),
        "buffer": bytearray(np.arange(4, dtype=np.int32).tobytes()),
    }, x  # fmt: skip


def facts(result):
    """What is compared of a result: nested, tensors as shape, dtype, strides where they mean something, and values."""
    if isinstance(result, (torch.Tensor, lamina.Tensor)):
        strides = (
            tuple(s for s, n in zip(result.stride(), result.shape, strict=True) if n != 1)
            if 0 not in result.shape
            else ()
        )
        return tuple(result.shape), str(result.dtype), strides, result.detach().to(type_of(result).complex128).tolist()
    if isinstance(result, (tuple, list)):
        return [facts(r) for r in result]
    return result


def type_of(t):
    return torch if isinstance(t, torch.Tensor) else lamina


def run(library, expression, grad=False):
    """The facts of an expression's value and its gradient, or its error."""
    scope, leaf = names(library, grad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = eval(expression, scope)
        except Exception as error:
            return "error", type(error).__name__, str(error).split("\n")[0].split(". ")[0]
    if not grad:
        return "value", facts(result), None
    first = result[0] if isinstance(result, (tuple, list)) and result else result
    if not isinstance(first, (torch.Tensor, lamina.Tensor)) or not first.requires_grad:
        return "value", None, None
    name = first.grad_fn.name()
    weights = library.arange(first.numel()).reshape(first.shape) + 1.0
    try:
        (first * weights).sum().backward()
    except RuntimeError as error:
        return "error", type(error).__name__, str(error)
    return "value", facts(leaf.grad), name


@pytest.mark.parametrize("row", rows())
def test_row(row):
    mine, theirs = run(lamina, row), run(torch, row)
    if mine[0] == theirs[0] == "value":
        np.testing.assert_equal(plain(mine[1]), plain(theirs[1]))
    else:
        assert mine == theirs


def plain(value):
    """Facts with values rounded to what two libraries share."""
    if isinstance(value, complex):
        return complex(float(f"{value.real:.5g}"), float(f"{value.imag:.5g}"))
    if isinstance(value, (tuple, list)):
        return tuple(plain(v) for v in value)
    return value


@pytest.mark.parametrize("row", [r for r in rows() if "x" in r.split("(")[0] + r.split("(")[-1]])
def test_gradient(row):
    theirs = run(torch, row, grad=True)
    if theirs[0] == "error":
        return
    mine = run(lamina, row, grad=True)
    assert plain(mine[1]) == plain(theirs[1])
    if not any(part in row for part in OTHER_NODES):
        assert mine[2] == theirs[2]


# ---- x[key] ----------------------------------------------------------------------------------------------------------


def random_key(draw, shape):
    """A key, most often one that fits: a function of the library, so that tensors are its own."""
    items = []
    dims = list(shape)
    while dims and draw.random() < 0.8:
        kind = draw.choice("islnNbteLmMaf")
        size = dims[0]
        if kind == "i" and size:
            items.append(draw.randint(-size - (draw.random() < 0.1), size - 1 + (draw.random() < 0.1)))
        elif kind == "s":
            items.append(
                slice(
                    *[draw.choice((None, draw.randint(-size - 1, size + 1))) for _ in "ab"], draw.choice((None, 1, 2))
                )
            )
        elif kind in "lL":
            values = [draw.randint(-size, size - 1) for _ in range(draw.randint(0, 3))] if size else []
            items.append(values if kind == "l" else ("tensor", values))
        elif kind in "nN":
            items.append(None if kind == "n" else ...)
            if sum(item is ... for item in items) > 1:
                items.pop()
            continue
        elif kind == "b":
            items.append(draw.random() < 0.7)
            continue
        elif kind == "t":
            values = [[draw.randint(-size, size - 1)] for _ in range(2)] if size else [[]]
            items.append(("tensor", values))
        elif kind == "e":
            items.append(("tensor", draw.randint(0, max(size - 1, 0))) if size else slice(None))
        elif kind == "m":
            items.append(("mask", [draw.random() < 0.5 for _ in range(size)]))
        elif kind == "M" and len(dims) > 1:
            items.append(("mask", [[draw.random() < 0.5 for _ in range(dims[1])] for _ in range(size)]))
            dims.pop(0)
        elif kind == "a":
            items.append(np.array([draw.randint(-size, size - 1)]) if size else slice(None))
        else:
            wrong = (1.5, "a", slice(None, None, -1), ("tensor", [1.0]))
            items.append(draw.choice(wrong) if draw.random() < 0.1 else slice(None))
        dims.pop(0)
    return items


def made(library, items, bare):
    built = [
        item if not isinstance(item, tuple)
        else library.tensor(item[1], dtype=library.bool) if item[0] == "mask"
        else library.tensor(item[1]) if item[1] not in ([], [[]]) else library.tensor(item[1], dtype=library.int64)
        for item in items
    ]  # fmt: skip
    return built[0] if bare and len(built) == 1 else tuple(built)


def outcome(library, shape, items, bare, write):
    base = library.arange(float(np.prod(shape))).reshape(shape).requires_grad_()
    x = base * 1
    try:
        key = made(library, items, bare)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = x[key]
            if write:
                x[key] = found * 0 - library.arange(float(found.numel())).reshape(found.shape)
                found = x
        (found * (library.arange(float(found.numel())).reshape(found.shape) + 1)).sum().backward()
        shares = (
            not write and found.numel() > 0 and x.untyped_storage().data_ptr() == found.untyped_storage().data_ptr()
        )
        return facts(found), facts(base.grad), shares, found.grad_fn.name() if found.numel() and not write else None
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        return type(error).__name__


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("write", [False, True])
def test_random_keys(seed, write):
    draw = random.Random(seed)
    for _ in range(25):
        shape = tuple(draw.choice((1, 2, 3, 3, 4, 0)) for _ in range(draw.randint(0, 4)))
        items, bare = random_key(draw, shape), draw.random() < 0.5
        assert outcome(lamina, shape, items, bare, write) == outcome(torch, shape, items, bare, write), (
            shape,
            items,
            bare,
        )
