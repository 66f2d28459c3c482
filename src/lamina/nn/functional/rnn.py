"""Recurrent computations under PyTorch's names: whole sequences (rnn_tanh, rnn_relu, lstm, gru) and single cells.

Here: the loops over layers and directions. Not here: one direction of one layer (rnn_steps.py), parameters, checks and packing
(nn/modules/rnn.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional.rnn_steps import (
    State,
    Step,
    gru_step,
    input_gates,
    layer,
    lstm_step,
    relu_step,
    tanh_step,
)


def _run_layers(
    input: Tensor,
    state: State,
    params: Sequence[Tensor],
    per_run: int,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    run: Callable[[Tensor, State, Sequence[Tensor], bool], tuple[Tensor, State]],
) -> tuple[Tensor, ...]:
    """All layers and directions: the last layer's output, then the final states (layers * directions, batch, size)."""
    directions = 2 if bidirectional else 1
    runs = num_layers * directions
    if len(params) != per_run * runs:
        raise RuntimeError(f"Expected {per_run * runs} weights for {num_layers} layers, got {len(params)}")
    if any(part.shape[0] != runs for part in state):
        raise RuntimeError("Expected more hidden states in stacked_rnn")
    weights = (params[start : start + per_run] for start in range(0, len(params), per_run))
    initial = zip(*(part.unbind(0) for part in state), strict=True)
    finals = []
    for number in range(num_layers):
        outputs = []
        for reverse in (False, True)[:directions]:
            output, final = run(input, next(initial), next(weights), reverse)
            outputs.append(output)
            finals.append(final)
        input = outputs[0] if directions == 1 else lamina.cat(outputs, -1)
        if dropout and train and number < num_layers - 1:
            input = lamina.nn.functional.dropout(input, dropout, train)
    return input, *(lamina.stack(parts) for parts in zip(*finals, strict=True))


def _padded(
    step: Step,
    state: State,
    input: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    if batch_first:
        input = input.transpose(0, 1)
    if input.shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

    def run(rows: Tensor, start: State, weights: Sequence[Tensor], reverse: bool) -> tuple[Tensor, State]:
        return layer(step, rows, start, weights, has_biases, None, reverse)

    per_run = _weights_per_run(has_biases, state)
    output, *final = _run_layers(input, state, params, per_run, num_layers, dropout, train, bidirectional, run)
    return (output.transpose(0, 1) if batch_first else output), *final


def _packed(
    step: Step,
    state: State,
    data: Tensor,
    batch_sizes: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    sizes = tuple(batch_sizes.tolist())

    def run(rows: Tensor, start: State, weights: Sequence[Tensor], reverse: bool) -> tuple[Tensor, State]:
        return layer(step, rows, start, weights, has_biases, sizes, reverse)

    per_run = _weights_per_run(has_biases, state)
    return _run_layers(data, state, params, per_run, num_layers, dropout, train, bidirectional, run)


def _weights_per_run(has_biases: bool, state: State) -> int:
    """How many weights one direction of one layer has; an LSTM whose hidden and cell sizes differ has a projection."""
    projected = len(state) == 2 and state[0].shape[-1] != state[1].shape[-1]
    return 2 + 2 * has_biases + projected


def _one_state(hx: Tensor) -> State:
    return (hx,)


def _two_states(hx: Sequence[Tensor]) -> State:
    if len(hx) != 2:
        raise RuntimeError("lstm expects two hidden states")
    return tuple(hx)


def _sequence(name: str, step: Step, state_of: Callable[[Any], State]) -> Callable[..., tuple[Tensor, ...]]:
    """The public function `name`, which PyTorch gives two signatures: for padded and for packed input."""

    def padded(
        input: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        state = state_of(hx)
        return _padded(step, state, input, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)

    def packed(
        data: Tensor,
        batch_sizes: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
    ) -> tuple[Tensor, ...]:
        state = state_of(hx)
        return _packed(step, state, data, batch_sizes, params, has_biases, num_layers, dropout, train, bidirectional)

    def function(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        # The fourth argument is a flag for padded input and the weights for packed.
        is_packed = "batch_sizes" in kwargs or (len(args) > 3 and not isinstance(args[3], bool))
        return (packed if is_packed else padded)(*args, **kwargs)

    for inner in (padded, packed, function):
        inner.__name__ = inner.__qualname__ = name
    function.__doc__ = f"""{name}(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)

    Or, packed: {name}(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional).
    Returns the last layer's output and the final state of each layer and direction.
    """
    return function


rnn_tanh = _sequence("rnn_tanh", tanh_step, _one_state)
rnn_relu = _sequence("rnn_relu", relu_step, _one_state)
lstm = _sequence("lstm", lstm_step, _two_states)
gru = _sequence("gru", gru_step, _one_state)


def _cell(
    step: Step,
    input: Tensor,
    state: State,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> State:
    """One step for input (batch, features) or (features)."""
    if input.shape[-1] != w_ih.shape[1]:
        raise RuntimeError(f"input has inconsistent input_size: got {input.shape[-1]} expected {w_ih.shape[1]}")
    for place, part in enumerate(state):
        if part.shape[0] != input.shape[0] and input.dim() > 1:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{place} batch size {part.shape[0]}"
            )
        if part.shape[-1] != w_hh.shape[1]:
            raise RuntimeError(
                f"hidden{place} has inconsistent hidden_size: got {part.shape[-1]}, expected {w_hh.shape[1]}"
            )
    unbatched = input.dim() == 1
    if unbatched:
        input, state = input.unsqueeze(0), tuple(part.unsqueeze(0) for part in state)
    gates, bias = input_gates(input, w_ih, b_ih, b_hh, step)
    state = step(gates, state, w_hh.t(), bias, None)
    return tuple(part.squeeze(0) for part in state) if unbatched else state


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """tanh(W_ih x + b_ih + W_hh h + b_hh). Shapes: input (N, I), hx (N, H) -> (N, H)."""
    return _cell(tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """relu(W_ih x + b_ih + W_hh h + b_hh). Shapes: input (N, I), hx (N, H) -> (N, H)."""
    return _cell(relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One LSTM step: the new (hidden, cell). Shapes: input (N, I), hx two of (N, H)."""
    if isinstance(hx, Tensor):
        raise TypeError("lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not Tensor")
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    hidden, cell = _cell(lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)
    return hidden, cell


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One GRU step: the new hidden state. Shapes: input (N, I), hx (N, H) -> (N, H)."""
    return _cell(gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
