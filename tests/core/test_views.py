"""Chains of views: values, shape, strides, offset, memory, version and base, against a model of strided memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina


@dataclass(frozen=True)
class Layout:
    """A view as PyTorch defines it: where it lies in a storage of numbers 0, 1, 2 ..."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    def values(self):
        places = np.full(self.shape, self.offset)
        for d, (n, s) in enumerate(zip(self.shape, self.strides, strict=True)):
            places = places + (np.arange(n) * s).reshape([-1 if i == d else 1 for i in range(len(self.shape))])
        return places


def contiguous(shape):
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


# Each takes (draw, tensor, layout) and gives both after the same view.


def transpose(draw, t, v):
    a, b = draw(dims(v)), draw(dims(v))
    order = list(range(len(v.shape)))
    order[a], order[b] = order[b], order[a]
    return t.transpose(a, b), permuted(v, order)


def permute(draw, t, v):
    order = draw(st.permutations(range(len(v.shape))))
    return t.permute(order), permuted(v, order)


def permuted(v, order):
    return replace(v, shape=tuple(v.shape[i] for i in order), strides=tuple(v.strides[i] for i in order))


def sliced(draw, t, v):
    d = draw(dims(v))
    start = draw(st.integers(0, v.shape[d] - 1))
    stop, step = draw(st.integers(start + 1, v.shape[d])), draw(st.integers(1, 3))
    key = (slice(None),) * d + (slice(start, stop, step),)
    n = len(range(start, stop, step))
    return t[key], replace(
        v,
        shape=put(v.shape, d, n),
        strides=put(v.strides, d, v.strides[d] * step),
        offset=v.offset + start * v.strides[d],
    )


def narrow(draw, t, v):
    d = draw(dims(v))
    start = draw(st.integers(0, v.shape[d] - 1))
    n = draw(st.integers(1, v.shape[d] - start))
    return t.narrow(d, start, n), replace(v, shape=put(v.shape, d, n), offset=v.offset + start * v.strides[d])


def select(draw, t, v):
    d = draw(dims(v))
    i = draw(st.integers(-v.shape[d], v.shape[d] - 1))
    offset = v.offset + i % v.shape[d] * v.strides[d]
    return t.select(d, i), Layout(without(v.shape, d), without(v.strides, d), offset)


def unsqueeze(draw, t, v):
    d = draw(st.integers(0, len(v.shape)))
    step = v.shape[d] * v.strides[d] if d < len(v.shape) else 1
    return t.unsqueeze(d), replace(v, shape=insert(v.shape, d, 1), strides=insert(v.strides, d, step))


def squeeze(draw, t, v):
    kept = [d for d, n in enumerate(v.shape) if n != 1]
    return t.squeeze(), permuted(v, kept)


def diagonal(draw, t, v):
    k = draw(st.integers(1 - v.shape[0], v.shape[1] - 1))
    n = min(v.shape[0] + min(k, 0), v.shape[1] - max(k, 0))
    offset = v.offset + (k * v.strides[1] if k > 0 else -k * v.strides[0])
    return t.diagonal(k), Layout((*v.shape[2:], n), (*v.strides[2:], v.strides[0] + v.strides[1]), offset)


def unfold(draw, t, v):
    d = draw(dims(v))
    size, step = draw(st.integers(1, v.shape[d])), draw(st.integers(1, 3))
    n = (v.shape[d] - size) // step + 1
    return t.unfold(d, size, step), replace(
        v, shape=(*put(v.shape, d, n), size), strides=(*put(v.strides, d, v.strides[d] * step), v.strides[d])
    )


def unflatten(draw, t, v):
    d = draw(dims(v))
    a = draw(st.sampled_from([k for k in range(1, v.shape[d] + 1) if v.shape[d] % k == 0]))
    b = v.shape[d] // a
    shape, strides = list(v.shape), list(v.strides)
    shape[d : d + 1], strides[d : d + 1] = (a, b), (b * v.strides[d], v.strides[d])
    return t.unflatten(d, (a, b)), replace(v, shape=tuple(shape), strides=tuple(strides))


def split(draw, t, v):
    d = draw(dims(v))
    size = draw(st.integers(1, v.shape[d]))
    parts = t.split(size, d)
    i = draw(st.integers(0, len(parts) - 1))
    n = min(size, v.shape[d] - i * size)
    return parts[i], replace(v, shape=put(v.shape, d, n), offset=v.offset + i * size * v.strides[d])


def flat(draw, t, v):
    """view(-1), where the layout allows it."""
    if v.strides != contiguous(v.shape):
        return t, v
    return t.view(-1), Layout((math.prod(v.shape),), (1,), v.offset)


OPS = (transpose, permute, sliced, narrow, select, unsqueeze, squeeze, diagonal, unfold, unflatten, split, flat)


def put(values, d, n):
    return (*values[:d], n, *values[d + 1 :])


def insert(values, d, n):
    return (*values[:d], n, *values[d:])


def without(values, d):
    return values[:d] + values[d + 1 :]


def dims(v):
    return st.integers(0, len(v.shape) - 1)


def fits(op, v):
    return len(v.shape) >= {unsqueeze: 0, squeeze: 0, flat: 0, diagonal: 2}.get(op, 1)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_chains(data):
    draw = data.draw
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    base = lamina.arange(float(math.prod(shape))).reshape(shape).clone()
    t, v = base, Layout(shape, contiguous(shape))
    for _ in range(draw(st.integers(1, 6))):
        op = draw(st.sampled_from([op for op in OPS if fits(op, v)]))
        t, v = op(draw, t, v)
        assert t.shape == v.shape and t.storage_offset() == v.offset
        # a dimension of size 1 may be stepped over by anything
        assert [s for s, n in zip(t.stride(), v.shape, strict=True) if n > 1] == [
            s for s, n in zip(v.strides, v.shape, strict=True) if n > 1
        ]
    assert t.tolist() == v.values().tolist()
    assert t is base or (t._base is base and t._is_view())
    assert t.untyped_storage().data_ptr() == base.untyped_storage().data_ptr()
    assert t.data_ptr() == base.data_ptr() + v.offset * 4
    assert t.is_contiguous() == all(
        n == 1 or s == c for n, s, c in zip(v.shape, v.strides, contiguous(v.shape), strict=True)
    )
    if len(set(v.values().flat)) == v.values().size:  # nothing lies twice
        before = base._version
        t.add_(100.0)
        assert t._version == base._version == before + 1
        expected = np.arange(base.numel(), dtype=float)
        expected[v.values().reshape(-1)] += 100
        assert base.reshape(-1).tolist() == expected.tolist()


def test_memory_formats():
    x = lamina.zeros(2, 3, 4, 5)
    last = x.to(memory_format=lamina.channels_last)
    assert last.stride() == (60, 1, 15, 3)
    assert [x.is_contiguous(memory_format=f) for f in (lamina.contiguous_format, lamina.channels_last)] == [True, False]
    assert [last.is_contiguous(memory_format=f) for f in (lamina.contiguous_format, lamina.channels_last)] == [
        False,
        True,
    ]
    assert (last * 2).stride() == last.stride() == lamina.empty_like(last).stride()
    assert lamina.zeros(2, 1, 4, 5).is_contiguous(memory_format=lamina.channels_last)


@pytest.mark.parametrize("make", [lambda t: t.detach(), lambda t: t.view(lamina.int32), lambda t: t.detach()[1:]])
def test_versions_are_shared_with_what_is_cut_off(make):
    x = lamina.zeros(3)
    other = make(x)
    other.add_(1)
    assert x._version == other._version == 1


def test_data_has_a_version_of_its_own():
    x = lamina.zeros(3)
    x.data.add_(1)
    assert x._version == 0 and x.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "empty", [lambda: lamina.empty(0).expand(3, 0), lambda: lamina.ones(1).expand(0), lambda: lamina.ones(3)[3:]]
)
def test_nothing_can_be_written_to(empty):
    t = empty()
    assert t.mul_(2).add_(lamina.ones(1)).zero_().numel() == 0
