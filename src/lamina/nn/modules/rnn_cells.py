"""Recurrent cells: one step, with weights of their own. Whole sequences: rnn.py."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.nn import init
from lamina.nn.functional import rnn as compute
from lamina.nn.modules.module import Module


class RNNCellBase(Module):
    """Weights `weight_ih`, `weight_hh` and biases of one step, for `num_chunks` gates."""

    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Tensor
    weight_hh: Tensor

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(lamina.empty((gates, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(lamina.empty((gates, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            parameter = Parameter(lamina.empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _check_dims(self, tensor: Tensor, what: str) -> None:
        if tensor.dim() not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected {what} to be 1D or 2D, got {tensor.dim()}D instead")

    def _zero_state(self, input: Tensor) -> Tensor:
        shape = (*input.shape[:-1], self.hidden_size)
        return lamina.zeros(shape, dtype=input.dtype, device=input.device)

    def _weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


class RNNCell(RNNCellBase):
    """One step of an RNN. Shapes: input (N, I) or (I), hx (N, H) or (H), zeros by default -> the new hx."""

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check_dims(input, "input")
        if hx is None:
            hx = self._zero_state(input)
        else:
            self._check_dims(hx, "hidden")
        if self.nonlinearity == "tanh":
            return compute.rnn_tanh_cell(input, hx, *self._weights())
        if self.nonlinearity == "relu":
            return compute.rnn_relu_cell(input, hx, *self._weights())
        raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM. Shapes: input (N, I) or (I), hx two of (N, H) or (H), zeros by default -> the new pair."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        self._check_dims(input, "input")
        if hx is None:
            zeros = self._zero_state(input)
            hx = (zeros, zeros)
        else:
            for place, part in enumerate(hx):
                self._check_dims(part, f"hx[{place}]")
        return compute.lstm_cell(input, hx, *self._weights())


class GRUCell(RNNCellBase):
    """One step of a GRU. Shapes: input (N, I) or (I), hx (N, H) or (H), zeros by default -> the new hx."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check_dims(input, "input")
        if hx is None:
            hx = self._zero_state(input)
        else:
            self._check_dims(hx, "hidden")
        return compute.gru_cell(input, hx, *self._weights())
