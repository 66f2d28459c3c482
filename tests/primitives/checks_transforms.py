"""Checks that every declaration passes: its tangent is the adjoint's adjoint, and a batch is the entries one by one.

`check_jvp(op, args, params)` and `check_vmap(op, args, params)` take a primitive's function and a sample: arrays and numbers, and
static parameters. Not here: gradients against finite differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from conventions import CONSTANT, DRAWS, INVARIANT, otherwise, results

import lamina
from lamina.func import jvp, vjp, vmap

SHAPED_BY_VALUES = frozenset((
    "nonzero", "unique", "unique_dim", "unique_consecutive", "bincount", "masked_select", "masked_select_adjoint", "masked_scatter",
    "linalg_lstsq", "nn.functional.embedding_bag", "nn.utils.rnn.pack_padded_sequence",
))  # fmt: skip
"""Entries of a batch would have results of several shapes, or values that must fit, or PyTorch refuses them."""
IN_MEMORY = frozenset(("as_strided", "as_strided_adjoint", "restride", "take_slice", "clear_slice", "put_slice"))
"""Their parameters say where in memory; a copy of the input lies elsewhere."""


def is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"


def _on(op: Any, args: Sequence[Any], params: dict[str, Any], places: Sequence[int]) -> Callable[..., tuple[Any, ...]]:
    """The op as a function of some of its arguments, that returns a tuple."""

    def function(*given: Any) -> tuple[Any, ...]:
        full = [lamina.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
        for place, t in zip(places, given, strict=True):
            full[place] = t
        outs = results(op.primitive, op(*full, **params))
        return tuple(INVARIANT[op.primitive.name](*outs) if op.primitive.name in INVARIANT else outs)

    return function


def _inner(a: Any, b: Any) -> float:
    """The real inner product of two tensors."""
    return float(np.sum(np.conj(a.numpy()) * b.numpy()).real)


def check_jvp(op: Any, args: Sequence[Any], params: dict[str, Any]) -> None:
    """<u, J t> is <J^T u, t>, and what the function returns is the same with and without tangents."""
    p = op.primitive
    places = [
        i
        for i, a in enumerate(args)
        if is_float(a)
        and i not in otherwise(p, params) + CONSTANT.get(p.name, ())
        and (p.variadic or (i < len(p.rules) and p.rules[i] is not None))
    ]
    if not p.rules or not places or p.name in DRAWS | IN_MEMORY:
        return
    rng = np.random.default_rng(0)

    def like(t: Any) -> Any:
        values = rng.standard_normal(t.shape)
        if np.dtype(t.numpy().dtype).kind == "c":
            values = values + 1j * rng.standard_normal(t.shape)
        return lamina.tensor(values.astype(t.numpy().dtype))

    function = _on(op, args, params, places)
    primals = tuple(lamina.tensor(args[i]) for i in places)
    along = tuple(like(t) for t in primals)

    def smooth(*given: Any) -> tuple[Any, ...]:
        return tuple(o for o in function(*given) if o.is_floating_point() or o.is_complex())

    expected, pull = vjp(smooth, *primals)
    cotangents = tuple(map(like, expected))
    try:
        gradients = pull(cotangents)
    except RuntimeError as error:
        if "not implemented" in str(error) or "not supported" in str(error):  # as declared: nothing to compare with
            return
        raise
    value, moved = jvp(smooth, primals, along)
    for a, b in zip(value, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13, atol=1e-15)
    ahead = sum(_inner(u, t) for u, t in zip(cotangents, moved, strict=True))
    back = sum(_inner(t, g) for t, g in zip(along, gradients, strict=True))
    np.testing.assert_allclose(ahead, back, rtol=1e-9, atol=1e-9)


def check_vmap(op: Any, args: Sequence[Any], params: dict[str, Any]) -> None:
    """vmap over one argument, over all, over another dimension, and twice, against the entries one by one."""
    p = op.primitive
    if p.name in DRAWS | SHAPED_BY_VALUES | IN_MEMORY:
        return
    arrays = [i for i, a in enumerate(args) if isinstance(a, np.ndarray)]
    choices = [(i,) for i in arrays] + ([tuple(arrays)] if len(arrays) > 1 else [])
    for places in choices:
        entries = [tuple(_varied(args[i], k) for i in places) for k in range(3)]
        function = _on(op, args, params, places)
        alone = [function(*(lamina.tensor(a) for a in entry)) for entry in entries]
        together = [np.stack([entry[j] for entry in entries]) for j in range(len(places))]
        _compare(vmap(function)(*map(lamina.tensor, together)), alone, p.name)
        behind = [lamina.tensor(np.ascontiguousarray(np.moveaxis(t, 0, -1))) for t in together]
        _compare(vmap(function, in_dims=-1)(*behind), alone, p.name)
        twice = vmap(vmap(function))(*[lamina.tensor(np.stack([t, t])) for t in together])
        _compare(tuple(t[1] for t in twice), alone, p.name)
        none = vmap(function)(*[lamina.tensor(t[:0]) for t in together])
        assert all(t.shape[1:] == o.shape and t.shape[0] == 0 for t, o in zip(none, alone[0], strict=True)), p.name


def _varied(a: Any, k: int) -> Any:
    """Another entry: near the first, so that it is in the same domain; indices and masks in another order."""
    if is_float(a):
        return np.asarray(a * (1 + 0.001 * k))
    return np.roll(a, k).reshape(a.shape)


def _compare(batch: Sequence[Any], alone: Sequence[Sequence[Any]], name: str) -> None:
    for j, t in enumerate(batch):
        expected = np.stack([np.asarray(outs[j].numpy()) for outs in alone])
        assert t.numpy().dtype == expected.dtype, f"{name}: {t.dtype}"
        np.testing.assert_allclose(t.numpy(), expected, rtol=1e-10, atol=1e-12, err_msg=name)
