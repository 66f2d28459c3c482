"""Products with Jacobians and Hessians of a function: vjp, jvp, vhp, hvp, jacobian, hessian.

All are written on `autograd.grad`: a jvp is the vjp of the vjp in its cotangent. strict: raise RuntimeError where a result does
not depend on an input, in place of zeros. create_graph: results can be differentiated again. Not here: the transforms of func/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lamina
from lamina import eye, zeros_like
from lamina.autograd import modes
from lamina.autograd.api import grad
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.levels import batch_levels, everywhere

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
Tensors = tuple[Any, ...]


def _construct_standard_basis_for(tensors: tuple[Tensor, ...], tensor_numels: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Of the unit vectors of the space that all tensors span together, the part that belongs to each: (all elements, its own)."""
    parts = np.split(np.eye(sum(tensor_numels)), np.cumsum(tensor_numels)[:-1], axis=1)
    return tuple(wrap(part.astype(t._kind.np), t._kind) for t, part in zip(tensors, parts, strict=True))


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs of `func`, v^T J): `v` has the outputs' shapes; None for one scalar output."""
    with modes.enable_grad():
        run = _Call("vjp", func, inputs, create_graph, strict)
        if v is not None:
            v = run.vector(v, run.outputs, run.several_outputs)
        elif len(run.outputs) != 1 or run.outputs[0].nelement() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
            )
    found = run.derived(run.outputs, run.inputs, v, create_graph)
    return run.result(run.filled(found, run.inputs, "back"), run.several_inputs)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs of `func`, J v): `v` has the inputs' shapes; None for one scalar input."""
    with modes.enable_grad():
        run = _Call("jvp", func, inputs, create_graph, strict, before=lambda r: r.vector_of_inputs(v))
        weights = tuple(zeros_like(o, requires_grad=True) for o in run.outputs)
        back = _grad(run.outputs, run.inputs, weights, create_graph=True)
        run.check(back, "grad_inputs")
    found = run.derived(back, weights, run.v, create_graph)
    return run.result(run.filled(found, run.outputs, "back_trick"), run.several_outputs)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(value of the scalar function, v^T H): `v` has the inputs' shapes; None for one scalar input."""
    with modes.enable_grad():
        run = _Call("vhp", func, inputs, create_graph, strict, before=lambda r: r.vector_of_inputs(v)).scalar()
        slope = _grad(run.outputs, run.inputs, None, create_graph=True)
        run.check(slope, "jacobian")
    found = run.derived(slope, run.inputs, run.v, create_graph)
    return run.result(run.filled(found, run.inputs, "double_back"), run.several_inputs)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(value of the scalar function, H v): as `vhp`, by one backward more; prefer `vhp` where H is symmetric."""
    with modes.enable_grad():
        run = _Call("hvp", func, inputs, create_graph, strict, before=lambda r: r.vector_of_inputs(v)).scalar()
        slope = _grad(run.outputs, run.inputs, None, create_graph=True)
        run.check(slope, "jacobian")
        weights = tuple(zeros_like(t, requires_grad=True) for t in run.inputs)
        back = _grad(slope, run.inputs, weights, create_graph=True)
        run.check(slope, "hessian")
    found = run.derived(back, weights, run.v, create_graph)
    return run.result(run.filled(found, run.inputs, "double_back_trick"), run.several_inputs)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: of shape `output.shape + input.shape`, nested in tuples as outputs and then inputs are.

    vectorize: all rows (reverse mode) or columns (forward mode) in one batch.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs than inputs, '
            '"forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported together (yet). '
                'Please either set `create_graph=False` or `strategy="reverse-mode"`.'
            )
        return _by_columns(func, inputs, strict, vectorize)
    with modes.enable_grad():
        run = _Call("jacobian", func, inputs, create_graph, strict)
        if vectorize:
            if strict:
                raise RuntimeError(
                    "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please either "
                    "set `strict=False` or `vectorize=False`."
                )
            rows = [run.rows_at_once(o) for o in run.outputs]
        else:
            rows = [run.rows(i, o) for i, o in enumerate(run.outputs)]
    return run.nested(rows)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a scalar function: of shape `input.shape + input.shape`, nested in tuples as inputs are."""
    several, _ = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*args: Any) -> Any:
        out = func(*args)
        several_outputs, outs = _tuple(out, "outputs of the user-provided function", "hessian")
        _check_scalar(outs, several_outputs, "hessian")
        return out

    def slope(*args: Any) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            # these are dual numbers already: views of them keep the tangents
            args = tuple(a.view_as(a) if a.requires_grad else a.requires_grad_(True) for a in args)
        found = jacobian(scalar, args, create_graph=True)
        if strict:
            _check_history(found, "jacobian")
        return found

    found = jacobian(
        slope, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize, strategy=outer_jacobian_strategy
    )
    if not several:
        while isinstance(found, tuple):
            (found,) = found
    return found


class _Call:
    """A call of the user's function on inputs of its own, and what the six functions do with it."""

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        inputs: Any,
        create_graph: bool,
        strict: bool,
        before: Callable[[_Call], None] | None = None,
    ) -> None:
        self.name, self.create_graph, self.strict = name, create_graph, strict
        self.v: Any = None
        self.several_inputs, given = _tuple(inputs, "inputs", name)
        self.inputs = _own(given, create_graph)
        if before is not None:
            before(self)
        self.several_outputs, self.outputs = _tuple(func(*self.inputs), "outputs of the user-provided function", name)
        self.check(self.outputs, "outputs")

    def scalar(self) -> _Call:
        _check_scalar(self.outputs, self.several_outputs, self.name)
        return self

    def vector_of_inputs(self, v: Any) -> None:
        """`v` for each input; None: one for a lone number."""
        if v is not None:
            self.v = self.vector(v, self.inputs, self.several_inputs)
        elif len(self.inputs) != 1 or self.inputs[0].nelement() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
            )

    def vector(self, v: Any, like: Tensors, several: bool) -> Tensors:
        _, given = _tuple(v, "v", self.name)
        own = _own(given, self.create_graph, need_graph=False)
        if len(own) != len(like):
            if several:
                raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(own)}.")
            raise RuntimeError("The given v should contain a single Tensor.")
        for i, (a, b) in enumerate(zip(own, like, strict=True)):
            if a.size() != b.size():
                entry = f"Entry {i} in " if several else ""
                raise RuntimeError(f"{entry}v has invalid size: should be {b.size()} but got {a.size()}.")
        return own

    def check(self, tensors: Any, what: str) -> None:
        if self.strict:
            _check_history(tensors, what)

    def derived(self, outputs: Tensors, inputs: Tensors, v: Any, create_graph: bool) -> Tensors:
        with modes.set_grad_enabled(create_graph or modes.is_grad_enabled()):
            return _grad(outputs, inputs, v, create_graph=create_graph)

    def filled(self, found: Tensors, like: Tensors, stage: str) -> Tensors:
        """Zeros for None; strict: RuntimeError."""
        done = []
        for i, (g, ref) in enumerate(zip(found, like, strict=True)):
            if self.strict and (g is None or (self.create_graph and "double" in stage and not g.requires_grad)):
                raise RuntimeError(_INDEPENDENT[stage].format(i))
            done.append(zeros_like(ref) if g is None else g)
        if self.strict and self.create_graph:
            for i, g in enumerate(done):
                if not g.requires_grad:
                    raise RuntimeError(_INDEPENDENT["double_back"].format(i))
        return tuple(done)

    def result(self, derived: Tensors, several: bool) -> tuple[Any, Any]:
        outputs = self.outputs
        if not self.create_graph:
            outputs, derived = tuple(o.detach() for o in outputs), tuple(d.detach() for d in derived)
        return (outputs if self.several_outputs else outputs[0]), (derived if several else derived[0])

    def rows(self, i: int, output: Tensor) -> list[Tensor]:
        """The Jacobian of one output by each input, row by row."""
        columns: list[list[Any]] = [[] for _ in self.inputs]
        flat = output.reshape(-1)
        for j in range(output.nelement()):
            found = _grad((flat[j],), self.inputs, None, create_graph=self.create_graph, keep=True)
            for k, (g, column, t) in enumerate(zip(found, columns, self.inputs, strict=True)):
                if g is not None and self.strict and self.create_graph and not g.requires_grad:
                    raise RuntimeError(_INDEPENDENT["double_back"].format(k))
                if g is None and self.strict:
                    raise RuntimeError(
                        f"Output {i} of the user-provided function is independent of input {k}. This is not allowed in strict mode."
                    )
                column.append(zeros_like(t) if g is None else g)
        return [
            (lamina.stack(c) if c else zeros_like(output)).view(output.size() + t.size())
            for c, t in zip(columns, self.inputs, strict=True)
        ]

    def rows_at_once(self, output: Tensor) -> list[Tensor]:
        n = output.nelement()
        basis = eye(n, dtype=output.dtype).view((n, *output.size()))
        if not output.requires_grad:
            found: Tensors = (None,) * len(self.inputs)
        else:
            found = grad(
                output,
                self.inputs,
                basis,
                retain_graph=True,
                create_graph=self.create_graph,
                allow_unused=True,
                is_grads_batched=True,
            )
        return [
            (basis.new_zeros(output.size() + t.size()) if g is None else g.reshape(output.size() + t.size()))
            for g, t in zip(found, self.inputs, strict=True)
        ]

    def nested(self, rows: Sequence[Sequence[Tensor]]) -> Any:
        done = tuple(tuple(r if self.create_graph else r.detach() for r in row) for row in rows)
        inner = done if self.several_inputs else tuple(row[0] for row in done)
        return inner if self.several_outputs else inner[0]


def _by_columns(func: Callable[..., Any], inputs: Any, strict: bool, vectorize: bool) -> Any:
    if strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for `vectorize=True`."
        )
    from lamina.autograd import forward_ad  # this and vmap are needed for this strategy alone
    from lamina.func import vmap

    several_inputs, given = _tuple(inputs, "inputs", "jacobian")
    shape: list[bool] = []

    def column(at: int) -> Callable[[Any], Any]:
        def pushed(direction: Any) -> Any:
            with modes.Transforming(False), forward_ad.dual_level():
                duals = [
                    forward_ad.make_dual(t, direction if i == at else everywhere(zeros_like(t), batch_levels()))
                    for i, t in enumerate(given)
                ]
                several, outs = _tuple(func(*duals), "outputs of the user-provided function", "jacobian")
                shape[:] = [several]
                found = []
                for o in outs:
                    primal, tangent = forward_ad.unpack_dual(o)
                    found.append(zeros_like(primal) if tangent is None else tangent)
                return tuple(found)

        return pushed

    per_input = []
    for at, t in enumerate(given):
        n = t.nelement()
        basis = eye(n, dtype=t.dtype).view((n, *t.size()))
        columns = vmap(column(at))(basis)
        per_input.append([c.movedim(0, -1).reshape(c.size()[1:] + t.size()) for c in columns])
    rows = [list(row) for row in zip(*per_input, strict=True)]  # lists: as PyTorch returns them in this mode
    inner: Any = rows if several_inputs else tuple(row[0] for row in rows)
    return inner if shape[0] else inner[0]


def _tuple(given: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Whether several were given, and all of them. Raises TypeError for what is no Tensor."""
    given_to = f"{what} given to {name}" if what != "v" else "v given to " + name
    several = isinstance(given, tuple)
    items = given if several else (given,)
    for i, t in enumerate(items):
        if not isinstance(t, Tensor):
            which = f"value at index {i}" if several else f"given {what}"
            raise TypeError(
                f"The {given_to} must be either a Tensor or a tuple of Tensors but the {which} has type {type(t)}."
            )
    return several, items


def _own(tensors: Tensors, create_graph: bool, need_graph: bool = True) -> Tensors:
    """Inputs that nobody else uses: connected to the given ones under create_graph, leaves otherwise."""
    return tuple(
        t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_(need_graph) for t in tensors
    )


def _grad(outputs: Any, inputs: Tensors, v: Any, *, create_graph: bool, keep: bool | None = None) -> Tensors:
    """`grad` by what has history; None for all where nothing has."""
    weights = (None,) * len(outputs) if v is None else v
    pairs = [(o, w) for o, w in zip(outputs, weights, strict=True) if o is not None and o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    outs, given = zip(*pairs, strict=True)
    return grad(outs, inputs, given, allow_unused=True, create_graph=create_graph, retain_graph=keep)  # type: ignore[no-any-return]


def _check_scalar(outputs: Tensors, several: bool, name: str) -> None:
    if several:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].nelement() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")


def _check_history(tensors: Any, what: str) -> None:
    for i, t in enumerate(tensors if isinstance(tensors, tuple) else (tensors,)):
        if t is None:
            raise RuntimeError(_INDEPENDENT["back"].format(i))
        if not t.requires_grad:
            raise RuntimeError(_NO_HISTORY[what].format(i))


_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "back_trick": (
        "The gradient with respect to the input is independent of entry {} in the grad_outputs when using the double backward trick to "
        "compute forward mode gradients. This is not allowed in strict mode."
    ),
    "double_back": (
        "The jacobian of the user-provided function is independent of input {}. This is not allowed in strict mode when "
        "create_graph=True."
    ),
    "double_back_trick": (
        "The hessian of the user-provided function is independent of entry {} in the grad_jacobian. This is not allowed in strict mode "
        "as it prevents from using the double backward trick to replace forward mode AD."
    ),
}
_NO_HISTORY = {
    "outputs": (
        "Output {} of the user-provided function does not require gradients. The outputs must be computed in a differentiable manner "
        "from the input when running in strict mode."
    ),
    "grad_inputs": (
        "The gradient with respect to input {} is independent of the inputs of the user-provided function. This is not allowed in strict "
        "mode."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is independent of "
        "the input. This is not allowed in strict mode. You should ensure that your function is twice differentiable and that the "
        "jacobian depends on the inputs (this would be violated by a linear function for example)."
    ),
    "hessian": (
        "The hessian of the user-provided function with respect to input {} is independent of the input. This is not allowed in strict "
        "mode. You should ensure that your function is thrice differentiable and that the hessian depends on the inputs."
    ),
}
