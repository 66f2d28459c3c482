"""Checks that every declaration passes, on samples: values, gradients of first and second order, recorded backward, shapes.

A check takes a primitive and a sample (arrays and numbers; parameters) and raises AssertionError with what it found. Finite
differences are taken in float64. Here: the checks. Not here: samples (samples.py), transforms (checks_transforms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from conventions import APPROXIMATE, CONSTANT, DRAWS, FREE, INVARIANT, REFUSED, otherwise, results

import lamina
from lamina.primitives.registry import Primitive

Array = np.ndarray[Any, Any]

STEP = 1e-6


class Call:
    """A primitive on a sample."""

    def __init__(self, p: Primitive, args: Sequence[Any], params: dict[str, Any]) -> None:
        self.p, self.args, self.params = p, tuple(args), params
        self.smooth = [i for i, a in enumerate(args) if is_smooth(a) and has_rule(p, i)]

    def tensors(self, dtype: Any = None, requires_grad: bool = False) -> list[Any]:
        """The arguments as Tensors; floating ones in `dtype` when it is given."""
        made = []
        for i, a in enumerate(self.args):
            if not isinstance(a, np.ndarray):
                made.append(a)
                continue
            a = a.astype(dtype) if dtype is not None and a.dtype == np.float64 else a.copy()
            made.append(lamina.tensor(a, requires_grad=requires_grad and i in self.smooth))
        return made

    def on(self, tensors: Sequence[Any]) -> list[Any]:
        """The results, as a list."""
        return results(self.p, self.p.function(*tensors, **self.params))

    def freely(self, tensors: Sequence[Any]) -> list[Any]:
        """The results as functions of free numbers, without what is determined by chance (conventions.py)."""
        given = list(tensors)
        for i, make in FREE.get(self.p.name, {}).items():
            given[i] = make(given[i], self.params)
        outs = self.on(given)
        if self.p.name in INVARIANT:
            outs = list(INVARIANT[self.p.name](*outs))
        return outs

    def outputs(self, tensors: Sequence[Any]) -> list[Any]:
        """Those of them that have a gradient."""
        return [o for o in self.freely(tensors) if o.requires_grad]


def has_rule(p: Primitive, i: int) -> bool:
    return i not in CONSTANT.get(p.name, ()) and (p.variadic or (i < len(p.rules) and p.rules[i] is not None))


def is_smooth(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind in "fc"


def cotangents(outs: Sequence[Any], seed: int = 1) -> list[Any]:
    rng = np.random.default_rng(seed)

    def numbers(shape: Any) -> Array:
        return rng.uniform(0.5, 1.5, shape) * rng.choice((-1, 1), shape)

    return [
        lamina.tensor(
            np.asarray(numbers(o.shape) + (1j * numbers(o.shape) if o.is_complex() else 0.0), o.detach().numpy().dtype)
        )
        for o in outs
    ]


def gradients(call: Call, tensors: list[Any], given: Sequence[Any], create_graph: bool = False) -> list[Any]:
    """What the rules return for the smooth arguments; zeros for None."""
    outs = call.outputs(tensors)
    wanted = [tensors[i] for i in call.smooth]
    return list(lamina.autograd.grad(outs, wanted, list(given), create_graph=create_graph, materialize_grads=True))


def inner(a: Any, b: Any) -> float:
    """The real inner product."""
    return float(np.sum(np.conj(np.asarray(a)) * np.asarray(b)).real)


def differences(f: Callable[[], float], x: Array) -> tuple[Array, Array]:
    """The slope of f by each element of `x`, which is changed and restored; and where f is smooth enough for it to tell.

    A complex element has a slope by its real and by its imaginary part.
    """
    slope, known = np.zeros_like(x), np.ones(x.shape, bool)
    middle = f()
    for at in product(*map(range, x.shape)):
        before = x[at]
        found = []
        for step in (STEP, STEP * 1j) if x.dtype.kind == "c" else (STEP,):
            x[at] = before + step
            up = f()
            x[at] = before - step
            down = f()
            x[at] = before
            right, left = (up - middle) / STEP, (middle - down) / STEP
            # a kink has two slopes; which of them is the gradient, PyTorch says, and the tests of points
            known[at] &= bool(np.isfinite(up - down) and abs(right - left) <= 1e-2 * (1 + abs(right)))
            known[at] &= abs(up - down) < 0.1 * (
                1 + abs(middle)
            )  # a step, where the values before and after tell nothing
            found.append((up - down) / (2 * STEP))
        slope[at] = found[0] if len(found) == 1 else found[0] + 1j * found[1]
    return slope, known


def compare(slopes: tuple[Array, Array], gradient: Any, what: str) -> None:
    slope, known = slopes
    gradient = np.asarray(gradient.detach())
    assert gradient.shape == slope.shape, f"{what}: shape {gradient.shape}, expected {slope.shape}"
    assert known.any() or not known.size, f"{what}: the sample has a kink or a step at every element"
    scale = max(1.0, float(np.abs(slope[known]).max(initial=0.0)))
    np.testing.assert_allclose(gradient[known], slope[known], rtol=2e-5, atol=2e-6 * scale, err_msg=what)


def compare_values(p: Primitive, outs: Sequence[Any], expected: Sequence[Any]) -> None:
    found = [o.detach().resolve_conj().numpy() for o in (INVARIANT[p.name](*outs) if p.name in INVARIANT else outs)]
    assert len(found) == len(expected), f"{len(found)} results, expected {len(expected)}"
    for o, e in zip(found, expected, strict=True):
        assert (o.shape, o.dtype) == (e.shape, e.dtype), f"{o.shape} {o.dtype}, expected {e.shape} {e.dtype}"
        tolerance = APPROXIMATE.get(p.name, 1e-9)
        np.testing.assert_allclose(o, e, rtol=tolerance, atol=tolerance * 1e-3, err_msg="value")


# ---- the checks ------------------------------------------------------------------------------------------------------


def check_value(
    p: Primitive, args: Sequence[Any], params: dict[str, Any], expected: Sequence[Any] | None = None
) -> None:
    """The value is the one expected; float32 stays float32 and is near; arguments are not changed."""
    call = Call(p, args, params)
    tensors = call.tensors()
    outs = call.on(tensors)
    for t, a in zip(tensors, args, strict=True):
        if isinstance(a, np.ndarray) and not p.view:
            np.testing.assert_array_equal(t.numpy(), a, err_msg="an argument was changed")
    if expected is not None and p.name not in DRAWS:
        compare_values(p, outs, expected)
    if p.name in DRAWS | INVARIANT.keys() or any(isinstance(a, np.ndarray) and a.dtype.kind == "c" for a in args):
        return
    for o, narrow in zip(outs, call.on(call.tensors(np.float32)), strict=True):
        if o.dtype is lamina.float64:
            # the memory, not the label: a constant of NumPy's own widens it
            assert "dtype" in params or "to" in params or narrow.numpy().dtype == np.float32, (
                f"of float32 comes {narrow.numpy().dtype}"
            )
            scale = max(1.0, float(np.abs(o.numpy()[np.isfinite(o.numpy())]).max(initial=0.0)))
            np.testing.assert_allclose(narrow.numpy(), o.numpy(), rtol=1e-3, atol=1e-4 * scale)


def check_gradient(p: Primitive, args: Sequence[Any], params: dict[str, Any]) -> None:
    """Each rule's cotangent is the slope of the value."""
    call = Call(p, args, params)
    tensors = call.tensors(requires_grad=True)
    free = call.freely(tensors)
    positions = [j for j, o in enumerate(free) if o.requires_grad]
    given = cotangents([free[j] for j in positions])
    found = unless_refused(p, 1, lambda: gradients(call, tensors, given)) if positions else None
    if found is None or p.name in DRAWS:
        return
    arrays = [a.copy() if isinstance(a, np.ndarray) else a for a in args]

    def total() -> float:
        values = call.freely([lamina.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays])
        return sum(inner(g, values[j].detach()) for g, j in zip(given, positions, strict=True))

    for i, g in zip(call.smooth, found, strict=True):
        if i not in otherwise(p, params):
            compare(differences(total, arrays[i]), g, f"gradient by argument {i}")


def check_second(p: Primitive, args: Sequence[Any], params: dict[str, Any]) -> None:
    """The recorded backward's own gradients, by the arguments and by the cotangents, are the slopes of the backward."""
    call = Call(p, args, params)
    tensors = call.tensors(requires_grad=True)
    outs = call.outputs(tensors)
    given = [g.requires_grad_() for g in cotangents(outs)]
    first = unless_refused(p, 1, lambda: gradients(call, tensors, given, create_graph=True)) if outs else None
    if first is None or p.name in DRAWS:
        return
    weights = cotangents(first, seed=2)
    wanted = [*(tensors[i] for i in call.smooth), *given]
    connected = [(f, w) for f, w in zip(first, weights, strict=True) if f.requires_grad]
    second = [lamina.zeros_like(t) for t in wanted]
    if connected:
        found = unless_refused(p, 2, lambda: second_of(connected, wanted))
        if found is None:
            return
        second = list(found)
    arrays = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    gs = [g.detach().numpy().copy() for g in given]

    def total() -> float:
        made = [
            lamina.tensor(a, requires_grad=i in call.smooth) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(arrays)
        ]
        found = gradients(call, made, [lamina.tensor(g) for g in gs])
        return sum(inner(w, f) for w, f in zip(weights, found, strict=True))

    for k, s in enumerate(second):
        x = arrays[call.smooth[k]] if k < len(call.smooth) else gs[k - len(call.smooth)]
        what = f"argument {call.smooth[k]}" if k < len(call.smooth) else f"cotangent {k - len(call.smooth)}"
        compare(differences(total, x), s, f"second gradient by {what}")


def check_recorded(p: Primitive, args: Sequence[Any], params: dict[str, Any]) -> None:
    """The backward on raw arrays is the recorded one, and its dtypes are those of the arguments, also in float32."""
    call = Call(p, args, params)
    if not call.smooth or p.name in DRAWS | INVARIANT.keys():
        return
    for dtype in (None, np.float32):
        outs = call.outputs(call.tensors(dtype, requires_grad=True))
        if not outs:
            return
        given = cotangents(outs)
        tensors = call.tensors(dtype, requires_grad=True)
        first = unless_refused(p, 1, partial(gradients, call, tensors, given, create_graph=True))
        if first is None:
            return
        raw = gradients(call, call.tensors(dtype, requires_grad=True), given)
        for i, a, b in zip(call.smooth, raw, first, strict=True):
            assert a.dtype is b.dtype is tensors[i].dtype, (
                f"gradients by argument {i} are {a.dtype} and {b.dtype}, not {tensors[i].dtype}"
            )
            tolerance = 1e-9 if dtype is None else 1e-3
            scale = max(1.0, float(np.abs(a.numpy()[np.isfinite(a.numpy())]).max(initial=0.0)))
            np.testing.assert_allclose(
                a.numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance * scale, err_msg=f"argument {i}"
            )


def check_meta(p: Primitive, args: Sequence[Any], params: dict[str, Any]) -> None:
    """On meta tensors come the shapes and dtypes of the values."""
    call = Call(p, args, params)
    tensors = call.tensors()
    outs = call.on(tensors)
    if p.name == "linalg_lstsq":  # a rank decides whether there are residuals
        return
    try:
        metas = call.on([t.to("meta") if isinstance(t, lamina.Tensor) else t for t in tensors])
    except (NotImplementedError, RuntimeError) as error:  # the values decide the shape
        if (
            isinstance(error, RuntimeError)
            and not isinstance(error, NotImplementedError)
            and "meta tensors" not in str(error)
        ):
            raise
        return
    assert len(metas) == len(outs), f"{len(metas)} results, expected {len(outs)}"
    for m, o in zip(metas, outs, strict=True):
        assert m.device.type == "meta"
        assert (m.shape, m.dtype) == (o.shape, o.dtype), (
            f"on meta {tuple(m.shape)} {m.dtype}, expected {tuple(o.shape)} {o.dtype}"
        )


def check_convention(p: Primitive, args: Sequence[Any], params: dict[str, Any], expected: Sequence[Any]) -> None:
    """The gradients by those arguments where PyTorch's is not the slope are PyTorch's."""
    call = Call(p, args, params)
    tensors = call.tensors(requires_grad=True)
    found = gradients(call, tensors, cotangents(call.outputs(tensors)))
    for i, e in zip(otherwise(p, params), expected, strict=True):
        np.testing.assert_allclose(
            found[call.smooth.index(i)].numpy(), e, rtol=1e-9, atol=1e-12, err_msg=f"argument {i}"
        )


CHECKS = (check_value, check_gradient, check_second, check_recorded, check_meta)


def second_of(connected: Sequence[tuple[Any, Any]], wanted: Sequence[Any]) -> list[Any]:
    first, weights = zip(*connected, strict=True)
    return list(lamina.autograd.grad(first, wanted, weights, materialize_grads=True))


def unless_refused(p: Primitive, order: int, compute: Callable[[], list[Any]]) -> list[Any] | None:
    """What is computed; None where PyTorch has no derivative of this order, and so it is refused here."""
    try:
        return compute()
    except (NotImplementedError, RuntimeError):
        if p.name in REFUSED[order]:
            return None
        raise
