"""gradcheck and gradgradcheck: gradients compared with finite differences.

A Jacobian here has a row for each element of the input and a column for each of the output; that of a complex output is looked at
twice, for its real and its imaginary part. Not here: comparison of other things (lamina.testing).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

import lamina
from lamina.autograd.api import grad
from lamina.autograd.differences import GradcheckError, numerical_jacobians, perturbed_alike, random_direction
from lamina.autograd.function import Function
from lamina.core.device import BY_NUMPY
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


@dataclass
class _Options:
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    undefined: bool
    dtypes: bool
    batched: bool
    batched_forward: bool
    forward: bool
    backward: bool
    fast: bool


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func` at `inputs` (float64 or complex128) agree with finite differences of step `eps`.

    Returns True, or raises GradcheckError (raise_exception=False: returns False). fast_mode: one random direction in place of
    every element.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    options = _Options(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad, check_batched_forward_grad,
        check_forward_ad, check_backward_ad, fast_mode,
    )  # fmt: skip
    try:
        return _checked(func, _tuple(inputs), options)
    except GradcheckError:
        if raise_exception:
            raise
        return False


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradients of `func`, by its inputs and by `grad_outputs` (None: random ones)."""
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    given = _tuple(inputs)
    if grad_outputs is None:
        outs = [o for o in _tuple(func(*given)) if _requires_grad(o)]
        weights = tuple(_random_like(o, gen_non_contig_grad_outputs).requires_grad_() for o in outs)
    else:
        weights = _tuple(grad_outputs)
    count = len(weights)
    wanted = [i for i, t in enumerate(given) if _requires_grad(t)]

    def first_gradients(*args: Any) -> Any:
        watched = (*wanted, *range(len(args) - count, len(args)))
        own = tuple(a.requires_grad_(True) if i in watched and not a.requires_grad else a for i, a in enumerate(args))
        points, weights = own[:-count], own[-count:]
        outs = [o for o in _tuple(func(*points)) if _requires_grad(o)]
        found = grad(outs, [points[i] for i in wanted], weights, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first_gradients, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


def _checked(func: Callable[..., Any], inputs: tuple[Any, ...], options: _Options) -> bool:
    _check_inputs(inputs)
    outputs = _tuple(func(*inputs))
    watched = [(i, t) for i, t in enumerate(inputs) if _requires_grad(t)]
    chosen = [i for i, o in enumerate(outputs) if o.requires_grad]
    seen = chosen or range(len(outputs))

    def values() -> list[Any]:
        outs = _tuple(func(*inputs))
        return [outs[i]._array.copy() for i in seen]

    if not chosen:
        for _, t in watched:
            for jacobians in numerical_jacobians(values, t, len(outputs), options.eps):
                if not all(_close(rows, 0.0, options) for rows in jacobians.values()):
                    raise GradcheckError("Numerical gradient for function expected to be zero")
        return True
    outs = [outputs[i] for i in chosen]
    numerical = None if options.fast else [numerical_jacobians(values, t, len(outs), options.eps) for _, t in watched]
    if options.backward:
        for k, o in enumerate(outs):
            for part in _parts(o):
                if options.fast:
                    _compare_direction(values, o, k, part, watched, options)
                else:
                    assert numerical is not None
                    _compare_jacobians(o, k, part, watched, [n[k] for n in numerical], options)
        _check_weights(outs, [t for _, t in watched])
        if options.undefined:
            _check_undefined(func, inputs, [t for _, t in watched], chosen)
        if options.batched:
            _check_batched(outs, [t for _, t in watched])
    if options.forward:
        from lamina.autograd.gradcheck_forward import Forward  # for this check alone

        forward = Forward(func, inputs, chosen, watched)
        if options.fast:
            forward.compare_direction(values, options.eps, lambda a, n: _close(a, n, options))
        else:
            forward.compare(values, options.eps, lambda a, n: _close(a, n, options))
        if options.undefined:
            forward.check_zeros()
        if options.batched_forward:
            forward.check_batched()
    return True


def _parts(o: Any) -> tuple[str, ...]:
    return ("imag", "real") if o.is_complex() else ("real",)


def _prefix(o: Any, part: str) -> str:
    return (
        ""
        if not o.is_complex()
        else f"While considering the {'imaginary' if part == 'imag' else 'real'} part of complex outputs only, "
    )


def _iter_tensors(x: Any, only_requiring_grad: bool = False) -> Iterator[Any]:
    """The tensors in `x`, a tensor or nested lists and tuples."""
    waiting = [x]
    while waiting:
        now = waiting.pop()
        if isinstance(now, Tensor):
            if now.requires_grad or not only_requiring_grad:
                yield now
        elif isinstance(now, (list, tuple)):
            waiting.extend(reversed(now))


def _get_numerical_jacobian(
    fn: Callable[..., Any],
    inputs: Any,
    outputs: Any = None,
    target: Any = None,
    eps: float = 1e-3,
    is_forward_ad: bool = False,
) -> list[tuple[Any, ...]]:
    """For each input that requires grad (of `target`, or of `inputs`) the Jacobian of each output, by differences."""

    def values() -> list[Any]:
        return [o._array.copy() for o in _tuple(fn(inputs))]

    count = len(_tuple(fn(inputs)) if outputs is None else _tuple(outputs))
    found = []
    for t in _iter_tensors(inputs if target is None else target, only_requiring_grad=True):
        jacobians = numerical_jacobians(values, t, count, eps)
        found.append(tuple(wrap(j["real"] + 1j * j["imag"] if "imag" in j else j["real"]) for j in jacobians))
    return found


# ---- backward --------------------------------------------------------------------------------------------------------


def _analytical(o: Any, part: str, inputs: Sequence[Any], dtypes: bool) -> list[Any]:
    """The Jacobians by backward, one output element at a time."""
    found = [np.zeros((t._array.size, o.nelement()), t._array.dtype) for t in inputs]
    weight = np.zeros(o._array.shape, o._array.dtype)
    for column, index in enumerate(np.ndindex(weight.shape)):
        weight[index] = 1j if part == "imag" else 1.0
        grads = grad(o, inputs, wrap(weight.copy(), o._kind), retain_graph=True, allow_unused=True)
        weight[index] = 0
        for jacobian, g, t in zip(found, grads, inputs, strict=True):
            if g is None:
                continue
            if g._array.shape != t._array.shape:
                raise GradcheckError("Gradient has wrong size")
            if dtypes and g.dtype is not t.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            jacobian[:, column] = g._array.reshape(-1)
    return found


def _compare_jacobians(
    o: Any,
    k: int,
    part: str,
    watched: Sequence[tuple[int, Any]],
    numerical: Sequence[dict[str, Any]],
    options: _Options,
) -> None:
    inputs = [t for _, t in watched]
    analytical = _analytical(o, part, inputs, options.dtypes)
    _check_again(analytical, _analytical(o, part, inputs, False), options)
    for (i, _), a, n in zip(watched, analytical, numerical, strict=True):
        wanted = n.get(part, np.zeros_like(a))
        if not _close(a, wanted, options):
            raise GradcheckError(_prefix(o, part) + _mismatch(k, i, wanted, a))


def _check_again(first: Sequence[Any], again: Sequence[Any], options: _Options) -> None:
    """A backward gives the same twice."""
    for a, b in zip(first, again, strict=True):
        if a is not None and a.size and np.abs(a - b).max() > options.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different values, "
                f"although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {options.nondet_tol}."
            )


def _mismatch(k: int, i: int, numerical: Any, analytical: Any) -> str:
    shown = [t if isinstance(t, (float, complex)) else wrap(t) for t in (numerical, analytical)]
    return f"Jacobian mismatch for output {k} with respect to input {i},\nnumerical:{shown[0]}\nanalytical:{shown[1]}\n"


def _close(a: Any, n: Any, options: _Options, terms: float = 1.0) -> bool:
    """terms: how many differences, each within the absolute tolerance, these numbers add up."""
    return bool(np.allclose(a, n, rtol=options.rtol, atol=options.atol * terms, equal_nan=True))


def _compare_direction(
    values: Callable[[], list[Any]], o: Any, k: int, part: str, watched: Sequence[tuple[int, Any]], options: _Options
) -> None:
    """u^T J v, once by differences and once by backward, for a random u of each input and a random v of the output."""
    source = lamina.Generator()
    v = random_direction(source, getattr(o._array, "real", o._array))
    inputs = [t for _, t in watched]
    weight = (v * (1j if part == "imag" else 1.0)).astype(o._array.dtype)
    grads, again = (grad(o, inputs, wrap(weight, o._kind), retain_graph=True, allow_unused=True) for _ in range(2))
    first, second = ([None if g is None else g._array for g in found] for found in (grads, again))
    _check_again(first, second, options)
    for (i, t), g in zip(watched, grads, strict=True):
        if options.dtypes and g is not None and g.dtype is not t.dtype:
            raise GradcheckError("Gradient has dtype mismatch")
        u = random_direction(source, t._array)
        before = t._array.copy()
        try:
            t._array[...] = before + options.eps * u
            plus = values()[k]
            t._array[...] = before - options.eps * u
            minus = values()[k]
        finally:
            t._array[...] = before
        perturbed_alike(minus, plus, o._array, f"by {options.eps}")
        slope = getattr((plus - minus) / (2 * options.eps), part)
        numerical = float((slope * v).sum())
        analytical = 0.0 if g is None else float((np.conj(g._array) * u).sum().real)
        if not _close(analytical, numerical, options, float(np.abs(u).sum() * np.abs(v).sum())):
            slow = numerical_jacobians(values, t, len(values()), options.eps)[k].get(
                part, np.zeros((t._array.size, o.nelement()))
            )
            exact = _analytical(o, part, [t], False)[0]
            raise GradcheckError(
                _prefix(o, part) + _mismatch(k, i, numerical, analytical)
                + "\nThe above quantities relating the numerical and analytical jacobians are computed in fast mode: along one random "
                f"direction. In slow mode:\n\nNumerical:\n {wrap(slow)}\nAnalytical:\n{wrap(exact)}\n\n"
                f"The max per-element difference (slow mode) is: {np.abs(slow - exact).max()}.\n"
            )  # fmt: skip


def _check_weights(outs: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Backward is linear in the outputs' gradients: none of them, no gradient."""
    zeros = [wrap(np.zeros(o._array.shape, o._array.dtype), o._kind) for o in outs]
    found = grad(outs, inputs, zeros, retain_graph=True, allow_unused=True)
    for g, t in zip(found, inputs, strict=True):
        if g is None:
            continue
        if g._array.any():
            raise GradcheckError("backward not multiplied by grad_output")
        if g._array.shape != t._array.shape:
            raise GradcheckError("grad is incorrect size")


class _Undefined(Function):
    """The identity, whose gradient is undefined."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return None


def _check_undefined(
    func: Callable[..., Any], inputs: tuple[Any, ...], watched: Sequence[Any], chosen: Sequence[int]
) -> None:
    """With no gradient for its outputs, for all or for one of several, backward must give none, or zeros."""

    def check(which: Sequence[int]) -> None:
        outs = [_tuple(func(*inputs))[i] for i in chosen]
        ends = [_Undefined.apply(o) if i in which else o for i, o in enumerate(outs)]
        weights = [
            wrap((np.ones if i in which else np.zeros)(o._array.shape, o._array.dtype), o._kind)
            for i, o in enumerate(outs)
        ]
        try:
            found = grad(ends, watched, weights, allow_unused=True)
        except RuntimeError as error:
            _warn_of_undefined()
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. A backward gets None for outputs that nobody used, and "
                "must cope with it."
            ) from error
        for g in found:
            if g is not None and g._array.any():
                _warn_of_undefined()
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are undefined or zero. A backward gets None "
                    "for outputs that nobody used, and must cope with it."
                )

    check(range(len(chosen)))
    if len(chosen) > 1:
        for i in range(len(chosen)):
            check([i])


def _warn_of_undefined() -> None:
    warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may break existing "
        'callers of this function. If this is true for you, you can call this function with "check_undefined_grad=False" to disable the '
        "feature",
    )


def _check_batched(outs: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Backward in a batch gives what backward one by one gives."""
    for k, o in enumerate(outs):
        weights = lamina.stack([_random_like(o, False) for _ in range(2)])
        one_by_one = [grad(o, inputs, w, retain_graph=True, allow_unused=True) for w in weights]
        try:
            together = grad(o, inputs, weights, retain_graph=True, allow_unused=True, is_grads_batched=True)
        except RuntimeError as error:
            raise GradcheckError(
                f"While computing batched gradients, got: {error}\n\ngradcheck or gradgradcheck failed while testing batched gradient "
                "computation (check_batched_grad)"
            ) from error
        for i, (batch, singles) in enumerate(zip(together, zip(*one_by_one, strict=True), strict=True)):
            if batch is not None and not lamina.allclose(batch, lamina.stack(list(singles))):
                raise GradcheckError(
                    f"For output {k} and input {i}: the gradients of a batch differ from those one by one (check_batched_grad)"
                )


# ---- old names -------------------------------------------------------------------------------------------------------


def get_numerical_jacobian(
    fn: Callable[..., Any], inputs: Any, target: Any = None, eps: float = 1e-3, grad_out: float = 1.0
) -> Any:
    """The Jacobians of the first output of `fn(inputs)`. Deprecated: `torch.autograd.functional.jacobian` computes them."""
    _was_private("get_numerical_jacobian", grad_out)
    return tuple(jacobians[0] for jacobians in _get_numerical_jacobian(fn, inputs, None, target, eps))


def get_analytical_jacobian(inputs: Any, output: Any, nondet_tol: float = 0.0, grad_out: float = 1.0) -> Any:
    """(Jacobians by backward, whether it gives the same twice, whether shapes fit, whether dtypes do). Deprecated likewise."""
    _was_private("get_analytical_jacobian", grad_out)
    watched = list(_iter_tensors(inputs, True))
    first, again = (_analytical(output, "real", watched, False) for _ in range(2))
    same = all(not a.size or np.abs(a - b).max() <= nondet_tol for a, b in zip(first, again, strict=True))
    return tuple(wrap(a) for a in first), same, True, True


def _was_private(name: str, grad_out: float) -> None:
    if grad_out != 1.0:
        raise ValueError(f"Expected grad_out to be 1.0. {name} no longer supports values of grad_out != 1.0.")
    warn(
        f"`{name}` was part of PyTorch's private API and not meant to be exposed. It is deprecated: use "
        "torch.autograd.functional.jacobian.",
        FutureWarning,
    )


# ---- inputs ----------------------------------------------------------------------------------------------------------


def _tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _requires_grad(t: Any) -> bool:
    return isinstance(t, Tensor) and t._node is not None


def _random_like(o: Any, noncontiguous: bool) -> Any:
    array = o._array
    kind = array.dtype if array.dtype.kind in "fc" else np.dtype(np.float64)
    made = lamina.testing.make_tensor(
        array.shape, dtype=BY_NUMPY[kind].dtype, device="cpu", low=-1, high=1, noncontiguous=noncontiguous
    )
    return made


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    any_watched = False
    for i, t in enumerate(inputs):
        if not _requires_grad(t):
            continue
        any_watched = True
        if t.dtype not in (lamina.float64, lamina.complex128):
            warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely fail if "
                "all the inputs are not of double precision floating point or complex. ",
            )
        if any(s == 0 and n > 1 for s, n in zip(t.stride(), t.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to be able to "
                "compute the numerical gradients correctly. You should call .contiguous on the input before passing it to gradcheck."
            )
        if t.is_leaf:
            t.retain_grad()
    if not any_watched:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


class _Callable(ModuleType):
    """This module is what `autograd.gradcheck` gives once it is imported; programs call that."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return gradcheck(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
