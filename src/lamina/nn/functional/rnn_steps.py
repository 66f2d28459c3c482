"""One direction of one recurrent layer over all its steps, as one node of the graph; and the single step that it repeats.

Here: the composites, their gradients. Not here: the loops on arrays (primitives/kernels/recurrent.py), layers and PyTorch's
functions (rnn.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lamina
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.fused import derived, fused
from lamina.primitives.kernels import recurrent as kernels
from lamina.primitives.nodes import named

State = tuple[Tensor, ...]
# (what the input gives the gates of this step, state, weight_hh transposed, bias_hh, weight_hr transposed) -> new state
Step = Callable[[Tensor, State, Tensor, Tensor | None, Tensor | None], State]


def _linear(state: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return lamina.matmul(state, weight) if bias is None else lamina.addmm(bias, state, weight)


def tanh_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Tensor | None) -> State:
    return (lamina.tanh(lamina.addmm(gates, state[0], weight)),)


def relu_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Tensor | None) -> State:
    return (lamina.relu(lamina.addmm(gates, state[0], weight)),)


def lstm_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Tensor | None) -> State:
    hidden, cell = state
    into, kept, candidate, out = lamina.addmm(gates, hidden, weight).chunk(4, 1)
    cell = lamina.sigmoid(kept) * cell + lamina.sigmoid(into) * lamina.tanh(candidate)
    hidden = lamina.sigmoid(out) * lamina.tanh(cell)
    if projection is not None:
        hidden = lamina.matmul(hidden, projection)
    return hidden, cell


def gru_step(gates: Tensor, state: State, weight: Tensor, bias: Tensor | None, projection: Tensor | None) -> State:
    (hidden,) = state
    # The reset gate multiplies the state's share of the candidate alone, bias included: the shares stay apart.
    reset, update, candidate = _linear(hidden, weight, bias).chunk(3, 1)
    reset_in, update_in, candidate_in = gates.chunk(3, 1)
    candidate = lamina.tanh(candidate_in + lamina.sigmoid(reset_in + reset) * candidate)
    return (candidate + lamina.sigmoid(update_in + update) * (hidden - candidate),)


def input_gates(
    input: Tensor, weight: Tensor, bias_ih: Tensor | None, bias_hh: Tensor | None, step: Step
) -> tuple[Tensor, Tensor | None]:
    """The input's share of the gates, and the bias left for the state's share."""
    if bias_ih is not None and step is not gru_step:
        bias_ih, bias_hh = bias_ih + bias_hh, None
    gates = lamina.matmul(input, weight.t())
    return (gates if bias_ih is None else gates + bias_ih), bias_hh


# ---- all steps, one by one -------------------------------------------------------------------------------------------


def _composite(
    step: Step,
    input: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    state: State,
    w_hr: Tensor | None,
    lengths: tuple[int, ...] | None,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """The states of all steps, then the last of each sequence. lengths: of packed input, how many sequences run at each step."""
    gates, bias = input_gates(input, w_ih, b_ih, b_hh, step)
    weights = w_hh.t(), bias, None if w_hr is None else w_hr.t()
    if lengths is not None:
        steps = gates.split(lengths)
        if reverse:
            return _packed_reverse(steps, state, weights, step)
        return _packed(steps, state, weights, step)
    outputs = []
    steps = gates.unbind(0)
    for gate in reversed(steps) if reverse else steps:
        state = step(gate, state, *weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return lamina.stack(outputs), *state


def _packed(steps: Sequence[Tensor], state: State, weights: Any, step: Step) -> tuple[Tensor, ...]:
    outputs: list[Tensor] = []
    finished: list[State] = []
    for gate in steps:
        running = gate.shape[0]
        if running < state[0].shape[0]:
            finished.append(tuple(part[running:] for part in state))
            state = tuple(part[:running] for part in state)
        state = step(gate, state, *weights)
        outputs.append(state[0])
    # The last to finish are the first rows.
    finished.append(state)
    return lamina.cat(outputs), *(lamina.cat(parts) for parts in zip(*reversed(finished), strict=True))


def _packed_reverse(steps: Sequence[Tensor], initial: State, weights: Any, step: Step) -> tuple[Tensor, ...]:
    """From the last step to the first; a sequence joins, with its own initial state, where it ends."""
    state = tuple(part[: steps[-1].shape[0]] for part in initial)
    outputs = []
    for gate in reversed(steps):
        running, known = gate.shape[0], state[0].shape[0]
        if running > known:
            state = tuple(lamina.cat((part, start[known:running])) for part, start in zip(state, initial, strict=True))
        state = step(gate, state, *weights)
        outputs.append(state[0])
    outputs.reverse()
    return lamina.cat(outputs), *state


# ---- one node --------------------------------------------------------------------------------------------------------

Lengths = tuple[int, ...] | None
Needs = tuple[bool, ...]


def _order(x: Array, lengths: Lengths, reverse: bool) -> kernels.Order:
    return kernels.order((x.shape[1],) * x.shape[0] if lengths is None else lengths, reverse)


def _both(b_ih: Array | None, b_hh: Array | None) -> Array | None:
    return None if b_ih is None or b_hh is None else b_ih + b_hh


def _as_steps(states: Array, x: Array) -> Array:
    """(rows, size) in the form of the input; what users get is memory of its own, which they may write to."""
    return states.reshape(*x.shape[:-1], states.shape[-1]).copy()


def _by_rows(g: Array | None, states: Array) -> Array:
    """The cotangent of all states, row by row."""
    return np.zeros(states.shape, states.dtype) if g is None else np.ascontiguousarray(g.reshape(states.shape))


def _recorded(gs: Sequence[Any]) -> bool:
    """Whether the gradients are to be recorded themselves."""
    return isinstance(next(g for g in gs if g is not None), Tensor)


def _products(
    needs: Needs, x: Array, w_ih: Array, d_input: Array, d_state: Array, before: Array, biased: bool
) -> list[Array | None]:
    """The gradients of the input, both weights and both biases from the cotangents of the gates (rows, gates)."""
    flat = x.reshape(-1, x.shape[-1])
    b_ih = kernels.column_sums(d_input) if biased and (needs[3] or (needs[4] and d_input is d_state)) else None
    b_hh = None
    if biased and needs[4]:
        b_hh = kernels.column_sums(d_state) if b_ih is None or d_input is not d_state else b_ih.copy()
    return [
        kernels.product(d_input, w_ih).reshape(x.shape) if needs[0] else None,
        kernels.product(d_input.T, flat) if needs[1] else None,
        kernels.product(d_state.T, before) if needs[2] else None,
        b_ih if needs[3] else None,
        b_hh,
    ]


def _plain_kernel(
    x: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, h0: Array, *, relu: bool,
    lengths: Lengths, reverse: bool,
) -> tuple[Array, ...]:  # fmt: skip
    o = _order(x, lengths, reverse)
    made, states = kernels.plain(x, w_ih, w_hh, _both(b_ih, b_hh), h0, o, relu)
    return _as_steps(made, x), states.last.copy(), made, states.before


def _plain_grads(
    gs: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h0: Any, out_2: Any, out_3: Any, needs: Needs,
    relu: bool, lengths: Lengths, reverse: bool,
) -> list[Any]:  # fmt: skip
    if _recorded(gs):
        params = {"relu": relu, "lengths": lengths, "reverse": reverse}
        return derived(_plain.fused, (x, w_ih, w_hh, b_ih, b_hh, h0), params, gs, needs)
    d, dh = kernels.plain_grads(_by_rows(gs[0], out_2), gs[1], out_2, w_hh, _order(x, lengths, reverse), relu)
    return [*_products(needs, x, w_ih, d, d, out_3, b_ih is not None), dh]


@fused("Stack", kernel=_plain_kernel, grads=_plain_grads, variadic=True, outputs=4, nondiff=(2, 3), large=False)
def _plain(
    input: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, h0: Tensor, *, relu: bool,
    lengths: Lengths, reverse: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    step = relu_step if relu else tanh_step
    out, last = _composite(step, input, w_ih, w_hh, b_ih, b_hh, (h0,), None, lengths, reverse)
    return out, last, None, None


def _gru_kernel(
    x: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, h0: Array, *, lengths: Lengths,
    reverse: bool,
) -> tuple[Array, ...]:  # fmt: skip
    out, gates, share, states = kernels.gru(x, w_ih, w_hh, b_ih, b_hh, h0, _order(x, lengths, reverse))
    return _as_steps(out, x), states.last.copy(), gates, share, states.before


def _gru_grads(
    gs: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h0: Any, out_2: Any, out_3: Any, out_4: Any,
    needs: Needs, lengths: Lengths, reverse: bool,
) -> list[Any]:  # fmt: skip
    if _recorded(gs):
        params = {"lengths": lengths, "reverse": reverse}
        return derived(_gru.fused, (x, w_ih, w_hh, b_ih, b_hh, h0), params, gs, needs)
    g = _by_rows(gs[0], out_4)
    d, dh = kernels.gru_grads(g, gs[1], out_2, out_3, out_4, w_hh, _order(x, lengths, reverse))
    width = h0.shape[1]
    found = _products(needs, x, kernels.gru_weights(w_ih), d[:, : 3 * width], d[:, width:], out_4, b_ih is not None)
    found[1], found[3] = (None if v is None else kernels.gru_gates(v) for v in (found[1], found[3]))
    return [*found, dh]


@fused("Stack", kernel=_gru_kernel, grads=_gru_grads, variadic=True, outputs=5, nondiff=(2, 3, 4), large=False)
def _gru(
    input: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, h0: Tensor, *,
    lengths: Lengths, reverse: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    out, last = _composite(gru_step, input, w_ih, w_hh, b_ih, b_hh, (h0,), None, lengths, reverse)
    return out, last, None, None, None


def _lstm_kernel(
    x: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, h0: Array, c0: Array,
    w_hr: Array | None, *, lengths: Lengths, reverse: bool,
) -> tuple[Array | None, ...]:  # fmt: skip
    made = kernels.lstm(x, w_ih, w_hh, _both(b_ih, b_hh), h0, c0, w_hr, _order(x, lengths, reverse))
    last = made.hidden.last.copy(), made.cells.last.copy()
    out = made.out.reshape(*x.shape[:-1], made.out.shape[-1])
    return out, *last, made.gates, made.bent, made.hidden.before, made.cells.before, made.unprojected


def _lstm_grads(
    gs: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h0: Any, c0: Any, w_hr: Any, out_3: Any, out_4: Any,
    out_5: Any, out_6: Any, out_7: Any, needs: Needs, lengths: Lengths, reverse: bool,
) -> list[Any]:  # fmt: skip
    if _recorded(gs):
        params = {"lengths": lengths, "reverse": reverse}
        return derived(_lstm.fused, (x, w_ih, w_hh, b_ih, b_hh, h0, c0, w_hr), params, gs, needs)
    o = _order(x, lengths, reverse)
    d, dh, dc, projected = kernels.lstm_grads(
        _by_rows(gs[0], out_5), *gs[1:], out_3, out_4, out_5, out_6, w_hh, w_hr, o
    )
    of_projection = None if projected is None or not needs[7] else projected.T @ out_7
    return [*_products(needs, x, w_ih, d, d, out_5, b_ih is not None), dh, dc, of_projection]


@fused("Stack", kernel=_lstm_kernel, grads=_lstm_grads, variadic=True, outputs=8, nondiff=(3, 4, 5, 6, 7), large=False)
def _lstm(
    input: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, h0: Tensor, c0: Tensor,
    w_hr: Tensor | None, *, lengths: Lengths, reverse: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    made = _composite(lstm_step, input, w_ih, w_hh, b_ih, b_hh, (h0, c0), w_hr, lengths, reverse)
    return *made, None, None, None, None, None


def _is_onednn(input: Tensor, w_hr: Tensor | None, lengths: Lengths) -> bool:
    """Whether PyTorch leaves an LSTM to oneDNN: then its node has another name."""
    return w_hr is None and lengths is None and input.dtype is not lamina.float64


def layer(
    step: Step,
    input: Tensor,
    state: State,
    weights: Sequence[Tensor],
    has_biases: bool,
    lengths: Lengths,
    reverse: bool,
) -> tuple[Tensor, State]:
    """One direction of one layer: all its states and the last ones. input: (time, batch, features), or rows where packed."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if has_biases else (None, None)
    if step is lstm_step:
        w_hr = rest[-1] if len(rest) in (1, 3) else None
        made = _lstm(input, w_ih, w_hh, b_ih, b_hh, *state, w_hr, lengths=lengths, reverse=reverse)[:3]
        name = "MkldnnRnnLayer" if _is_onednn(input, w_hr, lengths) else "Stack"
    elif step is gru_step:
        made, name = _gru(input, w_ih, w_hh, b_ih, b_hh, *state, lengths=lengths, reverse=reverse)[:2], "Stack"
    else:
        relu = step is relu_step
        made = _plain(input, w_ih, w_hh, b_ih, b_hh, *state, relu=relu, lengths=lengths, reverse=reverse)[:2]
        name = "Stack"
    return named(made[0], "Cat" if lengths is not None else name), made[1:]
