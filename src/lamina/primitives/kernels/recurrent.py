"""Recurrent layers on arrays: one direction of one layer over all its steps, and the way back.

The rows of all steps lie one after the other: a step is (first row, number of rows), and of the sequences the first ones are always
those that are running. The input's share of all gates is one product; a step works in place in its rows; the gradients of weights
are one product each over all rows. Here: arrays. Not here: the recorded forms (nn/functional/rnn_steps.py), native code for the
loops (compiler/recurrent.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lamina.core.strided import Array
from lamina.primitives.addmm import addmm
from lamina.primitives.kernels.products import dot
from lamina.primitives.large import large_call
from lamina.primitives.matmul import mm_
from lamina.primitives.primitive import Slots


class Order(NamedTuple):
    """The steps (first row, rows) in the order in which they run."""

    steps: tuple[tuple[int, int], ...]
    batch: int  # sequences
    rows: int
    reverse: bool
    even: bool  # all sequences are of one length


@cache
def order(lengths: tuple[int, ...], reverse: bool) -> Order:
    """lengths: how many sequences are running, step by step."""
    steps, at = [], 0
    for n in lengths:
        steps.append((at, n))
        at += n
    if reverse:
        steps.reverse()
    return Order(tuple(steps), lengths[0], at, reverse, lengths[0] == lengths[-1])


class Memory:
    """A state from step to step. `before`: for each row what its step starts from; `last`: what each sequence ends with."""

    def __init__(self, start: Array, o: Order) -> None:
        # One block: a step of even sequences hands on to the rows after (in reverse: before) those that it started from.
        self.whole = np.empty((o.rows + o.batch, start.shape[1]), start.dtype)
        self.before = self.whole[o.batch :] if o.reverse else self.whole[: o.rows]
        self.last = self.whole[: o.batch] if o.reverse else self.whole[o.rows :]
        self.start, self.order = start, o
        at, n = o.steps[0]
        self.before[at : at + n] = start[:n]

    def hand_on(self, k: int, value: Array) -> None:
        """Put what step k made where the next step starts from it, or where it ends."""
        n, steps = len(value), self.order.steps
        if k + 1 == len(steps):
            self.last[:n] = value
            return
        at, following = steps[k + 1]
        self.before[at : at + min(n, following)] = value[:following]
        if following > n:  # sequences that begin here
            self.before[at + n : at + following] = self.start[n:following]
        elif following < n:
            self.last[following:n] = value[following:]


def _input_gates(x: Array, weight: Array, bias: Array | None) -> Array:
    """The input's share of the gates: (rows, gates)."""
    rows = x.reshape(-1, x.shape[-1])
    if bias is None:
        return product(rows, weight.T)
    return large_call(addmm, _affine, bias, rows, weight.T)  # type: ignore[no-any-return]


def _affine(bias: Array, x: Array, y: Array) -> Array:
    out = dot(x, y)
    out += bias
    return out


def product(x: Array, y: Array) -> Array:
    """x @ y."""
    return large_call(mm_, dot, x, y)  # type: ignore[no-any-return]


def _turned(weight: Array) -> Array:
    """The transpose, row by row: many small products go through it faster."""
    return np.ascontiguousarray(weight.T)


def _cotangent(given: Array | None, like: Array) -> Array:
    """The cotangent of a last state, to be written over by the steps."""
    return np.zeros(like.shape, like.dtype) if given is None else np.array(given, like.dtype, order="C")


def _native(name: str, o: Order, *arrays: Array | None) -> bool:
    """Whether native code has run all steps."""
    return Slots.recurrent is not None and o.even and Slots.recurrent(name, o, arrays)


def column_sums(x: Array) -> Array:
    return np.ones(len(x), x.dtype) @ x


# ---- one gate --------------------------------------------------------------------------------------------------------


def plain(
    x: Array, w_ih: Array, w_hh: Array, bias: Array | None, h0: Array, o: Order, relu: bool
) -> tuple[Array, Memory]:
    """h = tanh (or relu) of W_ih x + W_hh h + bias: all states (rows, H), and what steps started from."""
    out, states, turned = _input_gates(x, w_ih, bias), Memory(h0, o), _turned(w_hh)
    if not _native("relu" if relu else "tanh", o, out, states.whole, turned):
        product = np.empty((o.batch, out.shape[1]), out.dtype)
        for k, (at, n) in enumerate(o.steps):
            h = out[at : at + n]
            h += np.dot(states.before[at : at + n], turned, out=product[:n])
            if relu:
                np.maximum(h, 0.0, out=h)
            else:
                np.tanh(h, out=h)
            states.hand_on(k, h)
    return out, states


def plain_grads(g: Array, g_last: Array | None, made: Array, w_hh: Array, o: Order, relu: bool) -> tuple[Array, Array]:
    """The cotangents of the gates (rows, H) and of the first state (N, H). made: the states."""
    d, dh = np.empty_like(made), _cotangent(g_last, made[: o.batch])
    if not _native("relu grad" if relu else "tanh grad", o, g, made, d, dh, w_hh):
        for at, n in reversed(o.steps):
            h, slope, state = made[at : at + n], d[at : at + n], dh[:n]
            state += g[at : at + n]
            if relu:
                np.multiply(state, h > 0.0, out=slope)
            else:
                np.multiply(h, h, out=slope)
                np.subtract(1.0, slope, out=slope)
                slope *= state
            np.dot(slope, w_hh, out=state)
    return d, dh


# ---- LSTM ------------------------------------------------------------------------------------------------------------


class Lstm(NamedTuple):
    """What an LSTM's steps leave: for each row (or, of memories, beside the rows what they started from)."""

    out: Array  # hidden states
    gates: Array  # input, forget, candidate, output: after their functions
    bent: Array  # tanh of the cell
    hidden: Memory
    cells: Memory
    unprojected: Array | None  # hidden states before the projection


def _in_slab(width: int, values: tuple[float, ...], dtype: Any) -> Array:
    """Numbers for each gate, along a row of gates."""
    return np.repeat(np.array(values, dtype), width)


def lstm(
    x: Array, w_ih: Array, w_hh: Array, bias: Array | None, h0: Array, c0: Array, w_hr: Array | None, o: Order
) -> Lstm:
    """Hochreiter's and Schmidhuber's cell. w_hr: a projection of the hidden state."""
    gates, turned, width = _input_gates(x, w_ih, bias), _turned(w_hh), c0.shape[1]
    bent = np.empty((o.rows, width), gates.dtype)
    made = np.empty((o.rows, width), gates.dtype)
    out = made if w_hr is None else np.empty((o.rows, len(w_hr)), gates.dtype)
    hidden, cells = Memory(h0, o), Memory(c0, o)
    if w_hr is None and _native("lstm", o, gates, bent, out, hidden.whole, cells.whole, turned):
        return Lstm(out, gates, bent, hidden, cells, None)
    product = np.empty((o.batch, 4 * width), gates.dtype)
    cell, part = (np.empty((o.batch, width), gates.dtype) for _ in range(2))
    # sigmoid(x) = (1 + tanh(x / 2)) / 2: so one tanh serves all gates
    inside, outside, shift = (
        _in_slab(width, v, gates.dtype) for v in ((0.5, 0.5, 1.0, 0.5), (0.5, 0.5, 1.0, 0.5), (0.5, 0.5, 0.0, 0.5))
    )
    project = None if w_hr is None else _turned(w_hr)
    for k, (at, n) in enumerate(o.steps):
        rows = slice(at, at + n)
        gate = gates[rows]
        gate += np.dot(hidden.before[rows], turned, out=product[:n])
        gate *= inside
        np.tanh(gate, out=gate)
        gate *= outside
        gate += shift
        c = np.multiply(gate[:, width : 2 * width], cells.before[rows], out=cell[:n])
        c += np.multiply(gate[:, :width], gate[:, 2 * width : 3 * width], out=part[:n])
        cells.hand_on(k, c)
        h = np.multiply(gate[:, 3 * width :], np.tanh(c, out=bent[rows]), out=made[rows])
        if project is not None:
            h = np.dot(h, project, out=out[rows])
        hidden.hand_on(k, h)
    return Lstm(out, gates, bent, hidden, cells, None if w_hr is None else made)


def lstm_grads(
    g: Array, g_hidden: Array | None, g_cell: Array | None, gates: Array, bent: Array, hidden: Array, cells: Array,
    w_hh: Array, w_hr: Array | None, o: Order,
) -> tuple[Array, Array, Array, Array | None]:  # fmt: skip
    """The cotangents of the gates (rows, 4 H), of the first hidden state and cell, and of projected states (rows, P)."""
    width = bent.shape[1]
    d = np.empty_like(gates)
    dh, dc = _cotangent(g_hidden, hidden[: o.batch]), _cotangent(g_cell, cells[: o.batch])
    if w_hr is None and _native("lstm grad", o, g, gates, bent, cells, d, dh, dc, w_hh):
        return d, dh, dc, None
    slope, part, more = (np.empty((o.batch, w), d.dtype) for w in (4 * width, width, width))
    shift = _in_slab(width, (0.0, 0.0, 1.0, 0.0), d.dtype)
    projected = None if w_hr is None else np.empty((o.rows, len(w_hr)), d.dtype)
    for at, n in reversed(o.steps):
        rows = slice(at, at + n)
        gate, into, tanh, state, cell = gates[rows], d[rows], bent[rows], dh[:n], dc[:n]
        state += g[rows]
        hid = state
        if projected is not None and w_hr is not None:
            projected[rows] = state
            hid = np.dot(state, w_hr, out=more[:n])
        np.multiply(hid, tanh, out=into[:, 3 * width :])
        inner = np.multiply(tanh, tanh, out=part[:n])
        np.subtract(1.0, inner, out=inner)
        inner *= gate[:, 3 * width :]
        inner *= hid
        cell += inner
        np.multiply(cell, gate[:, 2 * width : 3 * width], out=into[:, :width])
        np.multiply(cell, cells[rows], out=into[:, width : 2 * width])
        np.multiply(cell, gate[:, :width], out=into[:, 2 * width : 3 * width])
        # s (1 - s), and for the candidate 1 - s ** 2 = (s + 1) (1 - s)
        into *= np.subtract(1.0, gate, out=slope[:n])
        into *= np.add(gate, shift, out=slope[:n])
        cell *= gate[:, width : 2 * width]
        np.dot(into, w_hh, out=state)
    return d, dh, dc, projected


# ---- GRU -------------------------------------------------------------------------------------------------------------


def gru(
    x: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, h0: Array, o: Order
) -> tuple[Array, Array, Array, Memory]:
    """Cho's cell: all states (rows, H), gates after their functions (reset, update, candidate), the state's share of the candidate."""
    gates, turned, width = _input_gates(x, w_ih, b_ih), _turned(w_hh), h0.shape[1]
    out, share = (np.empty((o.rows, width), gates.dtype) for _ in range(2))
    states = Memory(h0, o)
    bias = np.zeros(3 * width, gates.dtype) if b_hh is None else b_hh
    if _native("gru", o, gates, share, out, states.whole, bias, turned):
        return out, gates, share, states
    product = np.empty((o.batch, 3 * width), gates.dtype)
    for k, (at, n) in enumerate(o.steps):
        rows = slice(at, at + n)
        before, gate = states.before[rows], gates[rows]
        of_state = np.dot(before, turned, out=product[:n])
        of_state += bias
        share[rows] = of_state[:, 2 * width :]
        both, candidate = gate[:, : 2 * width], gate[:, 2 * width :]
        both += of_state[:, : 2 * width]
        both *= 0.5
        np.tanh(both, out=both)
        both *= 0.5
        both += 0.5
        h = np.multiply(gate[:, :width], share[rows], out=out[rows])
        candidate += h
        np.tanh(candidate, out=candidate)
        np.subtract(before, candidate, out=h)
        h *= gate[:, width : 2 * width]
        h += candidate
        states.hand_on(k, h)
    return out, gates, share, states


def gru_grads(
    g: Array, g_last: Array | None, gates: Array, share: Array, before: Array, w_hh: Array, o: Order
) -> tuple[Array, Array]:
    """The cotangents (rows, 4 H) of the candidate's input share, reset, update and the candidate's state share, and of the first
    state: the first three parts are the input's gates in another order, the last three the state's.
    """
    width = share.shape[1]
    d, dh = np.empty((o.rows, 4 * width), gates.dtype), _cotangent(g_last, before[: o.batch])
    if _native("gru grad", o, g, gates, share, before, d, dh, w_hh):
        return d, dh
    part, kept = (np.empty((o.batch, width), d.dtype) for _ in range(2))
    for at, n in reversed(o.steps):
        rows = slice(at, at + n)
        gate, into, state, spare = gates[rows], d[rows], dh[:n], part[:n]
        reset, update, candidate = (gate[:, i * width : (i + 1) * width] for i in range(3))
        inward, d_reset, d_update, outward = (into[:, i * width : (i + 1) * width] for i in range(4))
        state += g[rows]
        through = np.multiply(state, update, out=kept[:n])
        np.subtract(before[rows], candidate, out=d_update)
        d_update *= through
        d_update *= np.subtract(1.0, update, out=spare)
        np.multiply(spare, state, out=inward)
        np.multiply(candidate, candidate, out=spare)
        inward *= np.subtract(1.0, spare, out=spare)
        np.multiply(inward, reset, out=outward)
        np.multiply(outward, share[rows], out=d_reset)
        d_reset *= np.subtract(1.0, reset, out=spare)
        np.dot(into[:, width:], w_hh, out=state)
        state += through
    return d, dh


def gru_weights(weight: Array) -> Array:
    """Rows of the input's gates in the order of `gru_grads`."""
    width = len(weight) // 3
    return np.concatenate((weight[2 * width :], weight[: 2 * width]))


def gru_gates(values: Array) -> Array:
    """What is in the order of `gru_grads`, in that of the gates."""
    width = len(values) // 3
    return np.concatenate((values[width:], values[:width]))
