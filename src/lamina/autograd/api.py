"""`autograd.backward` and `autograd.grad`: arguments checked, the engine run, results in the caller's form.

Not here: Tensor.backward's own checks of roots (tensor_api.py), the run (engine.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import engine, errors, modes, tensor_api
from lamina.autograd.graph import GradientEdge
from lamina.core.size import Size
from lamina.core.strided import writable
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn
from lamina.primitives import overridable, overrides
from lamina.primitives.creation import ones_like
from lamina.primitives.levels import Batched, edge_of_value, levels_of, lowered, raised


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Accumulate into the leaves' `.grad` the gradients of `tensors`, each times its tensor of `grad_tensors`.

    tensors: a Tensor, a GradientEdge, or several. grad_tensors: for each a Tensor of its shape, or None for a scalar.
    inputs: only these accumulate. Raises RuntimeError for tensors without a graph, and for missing or unfitting `grad_tensors`.
    """
    if grad_variables is not None:
        warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    roots = (tensors,) if isinstance(tensors, (Tensor, GradientEdge)) else tuple(tensors)
    tensor_api.run_backward(roots, grad_tensors, retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of `outputs` by `inputs`, each output times its tensor of `grad_outputs`; nothing accumulates.

    inputs: Tensors or GradientEdges (a dict gives a dict). allow_unused: None for inputs that outputs do not depend on, in
    place of RuntimeError. materialize_grads: zeros for them. is_grads_batched: the first dimension of `grad_outputs` is a batch.
    Returns a tuple in the order of `inputs`.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            f"Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused={allow_unused}."
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outs: Any = (
        (outputs,) if isinstance(outputs, (Tensor, GradientEdge)) or overridable.asks((outputs,)) else tuple(outputs)
    )
    names = tuple(inputs) if isinstance(inputs, dict) else None
    if names is not None:
        inputs = tuple(inputs.values())
    wanted: Any = (
        (inputs,) if isinstance(inputs, (Tensor, GradientEdge)) or overridable.asks((inputs,)) else tuple(inputs)
    )
    if overridable.asked((*outs, *wanted), {}):
        return overrides.override(
            grad, (outs, wanted),
            {"grad_outputs": grad_outputs, "retain_graph": retain_graph, "create_graph": create_graph, "only_inputs": only_inputs,
             "allow_unused": allow_unused, "is_grads_batched": is_grads_batched, "materialize_grads": materialize_grads},
        )  # fmt: skip
    if not only_inputs:
        warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other parts of the "
            "graph, please use torch.autograd.backward.",
            FutureWarning,
        )
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if isinstance(grad_outputs, Tensor):
        grad_outputs = (grad_outputs,)
    if is_grads_batched and grad_outputs is None:
        raise TypeError("grad(): is_grads_batched needs grad_outputs, whose first dimension is the batch")
    keep = create_graph if retain_graph is None else bool(retain_graph)
    if is_grads_batched:
        # vmap is library, above this room, and few programs ask for batches
        from lamina.func import vmap

        _check_batches(outs, grad_outputs)
        unused: list[int] = []

        def one(*gs: Any) -> Any:
            found = _run(outs, wanted, gs, True, create_graph, allow_unused)
            unused[:] = [i for i, f in enumerate(found) if f is None]
            return (*(f for f in found if f is not None), gs[0])  # vmap takes no None, and wants something

        rows = list(vmap(one, 0, 0)(*grad_outputs)[:-1])
        results = tuple(None if i in unused else rows.pop(0) for i in range(len(wanted)))
    else:
        results = _run(outs, wanted, grad_outputs, keep, create_graph, allow_unused)
    if not create_graph:
        errors.note_left("grad()", 3)
    if materialize_grads:
        if any(r is None and not isinstance(t, Tensor) for r, t in zip(results, wanted, strict=True)):
            raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
        results = tuple(_zeros(t, create_graph) if r is None else r for r, t in zip(results, wanted, strict=True))
    return results if names is None else dict(zip(names, results, strict=True))


def _check_batches(outs: tuple[Any, ...], batches: Any) -> None:
    """Each of `batches` has its output's shape behind a dimension of its own. Raises RuntimeError."""
    for i, (out, g) in enumerate(zip(outs, batches, strict=False)):
        if not isinstance(out, Tensor):
            continue
        if g is None and out.numel() != 1:
            raise errors.NonScalarError(out)
        if g is not None and tuple(g.shape[1:]) != tuple(out.shape):
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. "
                "The sizes of the remaining dimensions are expected to match the shape of corresponding output, but a mismatch was "
                f"detected: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}. If you only want "
                "some tensors in `grad_output` to be considered batched, consider using vmap."
            )


def _calculate_shape(output: Any, grad: Tensor, is_grads_batched: bool) -> tuple[Any, Any]:
    """The shape of an output (a Tensor or a GradientEdge), and that of its gradient, of one where there is a batch of them."""
    if isinstance(output, Tensor):
        return output.shape, Size(grad.shape[1:]) if is_grads_batched else grad.shape
    if is_grads_batched:
        raise RuntimeError("Batched grads are not supported with GradientEdge")
    return Size(output.node._input_metadata[output.output_nr].shape), grad.shape


def _zeros(t: Tensor, requires_grad: bool) -> Tensor:
    made = wrap(np.zeros(t._array.shape, t._kind.np), t._kind)
    return made.requires_grad_(requires_grad)


def _run(
    outs: tuple[Any, ...], wanted: tuple[Any, ...], grad_outputs: Any, keep: bool, create: bool, allow_unused: bool
) -> tuple[Any, ...]:
    if any(t.__class__ is Batched for t in outs) and not modes.transforming():
        return _run_entries(outs, wanted, grad_outputs, keep, create, allow_unused)
    roots = tensor_api.make_roots(outs, grad_outputs, create)
    captures: dict[Any, int] = {}
    places = []
    for t in wanted:
        if not isinstance(t, Tensor) and not isinstance(t, GradientEdge):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
        edge = tensor_api.input_edge(t)
        if edge is None and isinstance(t, Tensor) and t._node is None:
            raise errors.NoGraphInputError(t)
        places.append(captures.setdefault(t if edge is None else edge, len(captures)))
    now = modes.current()
    tensors = create or (now is not None and bool(now.transforms or now.listener))
    found = engine.run(roots, create=tensors, keep=keep, captures=captures, accumulates=False, record=create)
    if not allow_unused:
        for i, at in enumerate(places):
            if found[at] is None:
                raise errors.UnusedInputError(i, wanted[i], outs)
    # a cotangent that passed through unchanged is the same Tensor
    known = {id(g._array): g for g in grad_outputs or () if isinstance(g, Tensor)}
    results = [
        f if f is None or tensors else known[id(f)] if id(f) in known else known.setdefault(id(f), wrap(writable(f)))
        for f in found
    ]
    return tuple([results[at] for at in places])


def _run_entries(
    outs: tuple[Any, ...], wanted: tuple[Any, ...], grad_outputs: Any, keep: bool, create: bool, allow_unused: bool
) -> tuple[Any, ...]:
    """`_run` for each entry of a batch: below it, where the graph is one of whole batches."""
    weights = (None,) * len(outs) if grad_outputs is None else tuple(grad_outputs)
    roots = []
    captures: dict[Any, int] = {}
    places = []
    for i, (out, g) in enumerate(zip(outs, weights, strict=True)):
        levels = levels_of(out)
        edge = edge_of_value(out)
        if edge is None:
            raise errors.NoGraphError(i, out)
        if g is None and out._array.size != 1:
            raise errors.NonScalarError(out)
        roots.append((edge, lowered(ones_like(out) if g is None else g, levels)))
    for t in wanted:
        edge = edge_of_value(t)
        if edge is None:
            raise errors.NoGraphInputError(t)
        places.append(captures.setdefault(edge, len(captures)))
        if levels_of(t) != levels_of(outs[0]):
            raise NotImplementedError(
                "autograd.grad of a batch by a tensor that is the same for all its entries: use torch.func.grad, or give each "
                "entry a tensor of its own"
            )
    outer = tuple(level for level in modes.mode().transforms if level not in levels_of(outs[0]))
    token = modes.change(transforms=outer)
    try:
        found = engine.run(roots, create=True, keep=keep, captures=captures, accumulates=False, record=create)
    finally:
        modes.reset(token)
    if not allow_unused and None in found:
        i = next(i for i, at in enumerate(places) if found[at] is None)
        raise errors.UnusedInputError(i, wanted[i], outs)
    return tuple(
        None if found[at] is None else raised(found[at], levels_of(t)) for at, t in zip(places, wanted, strict=True)
    )
