"""Random modules and steps, compiled beside eager: the same losses, parameters, gradients and what Python saw.

A seed makes a program: layers, views, writes in place, reductions, products, convolutions, dropout, an optimizer, batches of changing
size, now and then a counter, a print or a branch on values. `LAMINA_FUZZ_STEPS` says how many (make fuzz: 2,000).
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import lamina as torch
from lamina import nn

pytestmark = pytest.mark.full
COUNT = int(os.environ.get("LAMINA_FUZZ_STEPS", "100"))
F = nn.functional

UNARY = (
    torch.tanh, torch.sigmoid, torch.relu, torch.exp, torch.sin, torch.cos, torch.abs, F.gelu, F.silu, F.softplus, F.leaky_relu, F.elu,
    lambda x: x.clamp(-1, 1), lambda x: x.square(), lambda x: (x.abs() + 0.1).sqrt(), lambda x: (x.abs() + 0.1).log(),
    lambda x: x * 0.5 - 1, lambda x: -x, lambda x: 1 / (x.abs() + 1), lambda x: x.pow(3), lambda x: torch.where(x > 0, x, x * 0.1),
    lambda x: x.masked_fill(x > 1, 0.5), lambda x: x.round() + x * 0.1, lambda x: torch.nan_to_num(x / (x.abs() + 1)),
)  # fmt: skip
ROWS = (
    lambda x: torch.softmax(x, -1), lambda x: F.log_softmax(x, 1), lambda x: F.layer_norm(x, x.shape[1:]),
    lambda x: x - x.mean(1, keepdim=True), lambda x: x / (x.norm(dim=1, keepdim=True) + 1), lambda x: x * x.amax(1, keepdim=True).detach(),
    lambda x: x + x.sum(0), lambda x: x - x.max(0).values, lambda x: x.cumsum(1) * 0.1, lambda x: x / (x.std(1, keepdim=True) + 1),
    lambda x: x + x.logsumexp(1, keepdim=True), lambda x: x * x.argmax(1, keepdim=True), lambda x: x + x.var(0, unbiased=False),
)  # fmt: skip
VIEWS = (
    lambda x: x.t().contiguous().t(), lambda x: x.flip(1), lambda x: x.roll(1, 0), lambda x: torch.cat([x[:, 1:], x[:, :1]], 1),
    lambda x: x.reshape(-1, 2, x.shape[1] // 2).transpose(1, 2).reshape(x.shape), lambda x: x[:, torch.arange(x.shape[1] - 1, -1, -1)],
    lambda x: torch.stack([x, x * 2]).sum(0), lambda x: x.unsqueeze(0).expand(3, *x.shape).mean(0), lambda x: F.pad(x, (1, 0))[:, :-1],
    lambda x: x.tril() + x, lambda x: x.repeat(2, 1)[: x.shape[0]], lambda x: torch.einsum("ij,ij->ij", x, x * 0.5),
    lambda x: x.split(x.shape[1] // 2, 1)[0].repeat(1, 2), lambda x: x.unbind(1)[0].unsqueeze(1) + x,
)  # fmt: skip


def written(x, how):
    y = x.clone()
    if how == 0:
        y[:, 0] = x[:, 1] * 2
    elif how == 1:
        y.mul_(0.5).add_(x)
    elif how == 2:
        y[1:].add_(1.0)
    elif how == 3:
        y.t()[0] *= 3
    else:
        y = y.contiguous()
        y.view(-1)[::2] = 0.25
    return y


class Net(nn.Module):
    """Layers that a seed chooses."""

    def __init__(self, seed):
        super().__init__()
        self.plan, self.noted, self.calls = [], [], 0
        r = random.Random(seed)
        width = r.choice((4, 6, 8))
        self.width = width
        self.layers = nn.ModuleList()
        for _ in range(r.randint(2, 6)):
            kind = r.choice(
                (
                    "linear",
                    "linear",
                    "unary",
                    "unary",
                    "rows",
                    "views",
                    "write",
                    "norm",
                    "dropout",
                    "conv",
                    "embed",
                    "residual",
                )
            )
            if kind in ("linear", "residual"):
                self.layers.append(nn.Linear(width, width, bias=r.random() < 0.7))
                self.plan.append((kind, len(self.layers) - 1))
            elif kind == "norm":
                self.layers.append(r.choice((nn.LayerNorm(width), nn.BatchNorm1d(width))))
                self.plan.append((kind, len(self.layers) - 1))
            elif kind == "conv":
                self.layers.append(nn.Conv1d(1, 2, 3, padding=1))
                self.plan.append((kind, len(self.layers) - 1))
            elif kind == "embed":
                self.layers.append(nn.Embedding(5, width))
                self.plan.append((kind, len(self.layers) - 1))
            elif kind == "dropout":
                self.plan.append((kind, r.choice((0.1, 0.5))))
            else:
                many = {"unary": len(UNARY), "rows": len(ROWS), "views": len(VIEWS), "write": 5}[kind]
                self.plan.append((kind, r.randrange(many)))
        self.scale = nn.Parameter(torch.ones(width))
        self.effect = r.choice((None,) * 9 + ("count", "note", "branch"))

    def forward(self, x, index):
        if self.effect == "count":
            self.calls += 1
        for kind, which in self.plan:
            if kind in ("linear", "norm"):
                x = self.layers[which](x)
            elif kind == "residual":
                x = x + self.layers[which](x).tanh()
            elif kind == "conv":
                x = self.layers[which](x.unsqueeze(1)).mean(1)
            elif kind == "embed":
                x = x + self.layers[which](index)
            elif kind == "dropout":
                x = F.dropout(x, which, self.training)
            elif kind == "unary":
                x = UNARY[which](x)
            elif kind == "rows":
                x = ROWS[which](x)
            elif kind == "views":
                x = VIEWS[which](x)
            else:
                x = written(x, which)
        x = x * self.scale
        if self.effect == "note":
            self.noted.append(round(float(x.detach().mean()), 2))
        if self.effect == "branch" and x.sum() > 0:
            x = x * 2
        return x


# eps is large: else a rounding in a gradient near zero becomes a whole step, in eager runs too
OPTIMIZERS = (
    lambda p: torch.optim.SGD(p, lr=0.01),
    lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01, nesterov=True),
    lambda p: torch.optim.Adam(p, lr=0.003, eps=1e-2),
    lambda p: torch.optim.AdamW(p, lr=0.003, eps=1e-2, amsgrad=True),
    lambda p: torch.optim.RMSprop(p, lr=0.003, eps=1e-2, momentum=0.5),
    lambda p: torch.optim.Adagrad(p, lr=0.01, eps=1e-2),
)


def run(seed, compile):
    """What the program of a seed leaves: losses, parameters, buffers, gradients, and what its Python saw."""
    r = random.Random(seed + 1)
    torch.manual_seed(seed)
    net = Net(seed)
    optimizer = OPTIMIZERS[r.randrange(len(OPTIMIZERS))](net.parameters())
    loss_of = r.choice(
        (
            F.mse_loss,
            F.l1_loss,
            F.smooth_l1_loss,
            lambda a, b: F.cross_entropy(a, b.argmax(1)),
            lambda a, b: (a * b).sum(),
        )
    )
    clip, whole, zero = r.random() < 0.4, r.random() < 0.6, r.random() < 0.5

    def step(x, y, index):
        optimizer.zero_grad(set_to_none=zero)
        loss = loss_of(model(x, index), y)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    model = net if whole else compile(net)
    call = compile(step) if whole else step
    seen = []
    for i in range(6):
        if i == 4:
            optimizer.param_groups[0]["lr"] *= 0.5
        if i == 5 and r.random() < 0.3:
            net.eval()
        n = 3 + (i == 3 and r.random() < 0.5)
        x, y, index = torch.randn(n, net.width), torch.randn(n, net.width), torch.randint(0, 5, (n,))
        seen.append(call(x, y, index))
    tensors = [*seen, *net.parameters(), *net.buffers(), *(p.grad for p in net.parameters())]
    return (
        [None if t is None else np.array(t.detach()._array) for t in tensors],
        (net.calls, net.noted),
        call if whole else model,
    )


@pytest.mark.parametrize("seed", range(COUNT))
@pytest.mark.fuzz
def test_step(seed):
    expected, python, _ = run(seed, lambda f: f)
    found, seen, _ = run(seed, lambda f: torch.compile(f, verify="never"))
    assert seen == python
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert (a is None) == (b is None), i
        if a is not None:
            # sums in another order, six steps long
            scale = max(1.0, float(np.abs(b).max(initial=0.0)))
            off = np.abs(a.astype(float) - b.astype(float)) > 2e-3 * scale
            assert np.isnan(a).sum() == np.isnan(b).sum(), i
            assert off.sum() <= 0.02 * a.size + 1, f"value {i}: {a} for {b}"
