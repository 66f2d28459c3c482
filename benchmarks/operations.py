"""Single operations on small tensors: what a call costs beside its arithmetic.

An operation is a function of the library, under the name `torch`, and of named inputs: `a`, `b`, `c` are matrices that require grad,
`w` a vector that does, `s` a batch of matrices; `i` is a vector of indices, `m` a mask, which do not. Here: the table, and how a case
is made of a row. Not here: anything larger (cases.py).
"""

import inspect
from collections.abc import Callable
from typing import Any

Case = Callable[[Any], Callable[[], Any]]

INPUTS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("a", "b", "c"), lambda torch: torch.rand(3, 3)),
    "w": lambda torch: torch.rand(3),
    "s": lambda torch: torch.rand(2, 3, 3),
    "i": lambda torch: torch.tensor([2, 0, 1]),
    "m": lambda torch: torch.eye(3) > 0,
}

OPERATIONS: dict[str, Callable[..., Any]] = {
    # element by element
    "add": lambda torch, a, b: a + b,
    "add number": lambda torch, a: a + 2.0,
    "add row": lambda torch, a, w: a + w,
    "sub": lambda torch, a, b: a - b,
    "mul": lambda torch, a, b: a * b,
    "mul number": lambda torch, a: a * 2.0,
    "div": lambda torch, a, b: a / b,
    "div number": lambda torch, a: a / 2.0,
    "neg": lambda torch, a: -a,
    "abs": lambda torch, a: a.abs(),
    "exp": lambda torch, a: a.exp(),
    "log": lambda torch, a: a.log(),
    "sqrt": lambda torch, a: a.sqrt(),
    "tanh": lambda torch, a: a.tanh(),
    "relu": lambda torch, a: torch.relu(a),
    "F.relu": lambda torch, a: torch.nn.functional.relu(a),
    "sigmoid": lambda torch, a: a.sigmoid(),
    "gelu": lambda torch, a: torch.nn.functional.gelu(a),
    "pow 2": lambda torch, a: a**2,
    "pow tensor": lambda torch, a, b: a**b,
    "where": lambda torch, m, a, b: torch.where(m, a, b),
    "clamp": lambda torch, a: a.clamp(0.2, 0.8),
    "maximum": lambda torch, a, b: torch.maximum(a, b),
    "masked_fill": lambda torch, a, m: a.masked_fill(m, 0.0),
    # reductions
    "sum": lambda torch, a: a.sum(),
    "sum dim": lambda torch, a: a.sum(1),
    "mean": lambda torch, a: a.mean(),
    "mean dim": lambda torch, a: a.mean(dim=-1, keepdim=True),
    "max": lambda torch, a: a.max(),
    "max dim": lambda torch, a: a.max(1)[0],
    "amax": lambda torch, a: a.amax(1),
    "var": lambda torch, a: a.var(),
    "norm": lambda torch, a: a.norm(),
    "prod": lambda torch, a: a.prod(),
    "cumsum": lambda torch, a: a.cumsum(0),
    "logsumexp": lambda torch, a: a.logsumexp(1),
    "softmax": lambda torch, a: torch.softmax(a, dim=-1),
    "log_softmax": lambda torch, a: torch.log_softmax(a, dim=-1),
    # views
    "view": lambda torch, a: a.view(9),
    "reshape": lambda torch, a: a.reshape(9),
    "flatten": lambda torch, a: a.flatten(),
    "transpose": lambda torch, a: a.transpose(0, 1),
    "permute": lambda torch, a: a.permute(1, 0),
    "t": lambda torch, a: a.t(),
    "T": lambda torch, a: a.T,
    "expand": lambda torch, w: w.expand(3, 3),
    "squeeze": lambda torch, a: a.squeeze(0),
    "unsqueeze": lambda torch, a: a.unsqueeze(0),
    "chunk": lambda torch, a: a.chunk(3)[0],
    "split": lambda torch, a: a.split(2)[0],
    "unbind": lambda torch, a: a.unbind()[0],
    "detach": lambda torch, a: a.detach(),
    # indexing and joining
    "[0]": lambda torch, a: a[0],
    "[1:3]": lambda torch, a: a[1:3],
    "[:, None]": lambda torch, a: a[:, None],
    "[:, 0]": lambda torch, a: a[:, 0],
    "[..., 1:]": lambda torch, a: a[..., 1:],
    "[tensor]": lambda torch, a, i: a[i],
    "[mask]": lambda torch, a, m: a[m],
    "gather": lambda torch, a, m: a.gather(1, m.long()),
    "cat": lambda torch, a, b: torch.cat((a, b)),
    "stack": lambda torch, a, b: torch.stack((a, b)),
    # products
    "mm": lambda torch, a, b: torch.mm(a, b),
    "matmul": lambda torch, a, b: a @ b,
    "mv": lambda torch, a, w: a @ w,
    "bmm": lambda torch, s: torch.bmm(s, s),
    "linear": lambda torch, a, b, w: torch.nn.functional.linear(a, b, w),
    "addmm": lambda torch, w, a, b: torch.addmm(w, a, b),
    # layers and losses
    "cross_entropy": lambda torch, a, i: torch.nn.functional.cross_entropy(a, i),
    "mse_loss": lambda torch, a, b: torch.nn.functional.mse_loss(a, b),
    "nll_loss": lambda torch, a, i: torch.nn.functional.nll_loss(a, i),
    "bce_with_logits": lambda torch, a, b: torch.nn.functional.binary_cross_entropy_with_logits(a, b),
    "embedding": lambda torch, i, a: torch.nn.functional.embedding(i, a),
    "layer_norm": lambda torch, a, w: torch.nn.functional.layer_norm(a, (3,), w, w),
    "dropout": lambda torch, a: torch.nn.functional.dropout(a, 0.5, True),
    # copies and conversions
    "clone": lambda torch, a: a.clone(),
    "contiguous": lambda torch, a: a.t().contiguous(),
    "to": lambda torch, a: a.to(torch.float64),
    "to the same": lambda torch, a: a.to(torch.float32),
}
"""What is timed with gradients."""

IN_PLACE: dict[str, Callable[..., Any]] = {
    "add": lambda torch, a, b: a + b,
    "add_": lambda torch, a, b: a.add_(b),
    "add_ number": lambda torch, a: a.add_(1.0),
    "mul_ number": lambda torch, a: a.mul_(0.5),
    "copy_": lambda torch, a, b: a.copy_(b),
    "zero_": lambda torch, a: a.zero_(),
    "fill_": lambda torch, a: a.fill_(1.0),
    "relu_": lambda torch, a: a.relu_(),
    "[0] = number": lambda torch, a: a.__setitem__(0, 1.0),
    "[0] = tensor": lambda torch, a, w: a.__setitem__(0, w),
    "item": lambda torch, w: w[0].item(),
    "compare": lambda torch, a, b: a < b,
    "argmax": lambda torch, a: a.argmax(1),
    "long": lambda torch, m: m.long(),
    "zeros_like": lambda torch, a: torch.zeros_like(a),
    "zeros": lambda torch: torch.zeros(3, 3),
    "tensor": lambda torch: torch.tensor([1.0, 2.0, 3.0]),
    "randn": lambda torch: torch.randn(3, 3),
    "arange": lambda torch: torch.arange(9),
    "shape": lambda torch, a: a.shape[0],
    "size": lambda torch, a: a.size(0),
}
"""What is timed without gradients."""


def operation(compute: Callable[..., Any], *, grad: bool = True, backward: bool = False) -> Case:
    """The case of one operation. grad: inputs require grad; backward: with the way back."""

    def build(torch: Any) -> Callable[[], Any]:
        names = list(inspect.signature(compute).parameters)[1:]
        inputs = [INPUTS[name](torch) for name in names]
        leaves = [t.requires_grad_() for t in inputs if grad and t.is_floating_point()]
        if not backward:
            return lambda: compute(torch, *inputs)
        cotangent = torch.ones_like(compute(torch, *inputs).detach())

        def run() -> None:
            for leaf in leaves:
                leaf.grad = None
            compute(torch, *inputs).backward(cotangent)

        def without_history() -> Any:
            return compute(torch, *inputs)

        return run if compute(torch, *inputs).requires_grad else without_history

    return build
