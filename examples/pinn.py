"""A physics-informed network: solves the heat equation u_t = a u_xx from the equation alone.

On 0 <= x <= 1, 0 <= t <= 1, with u(x, 0) = sin(pi x) and u = 0 at both ends, the solution is exp(-a pi^2 t) sin(pi x).
The network is trained so that its own derivatives, taken through `create_graph=True`, satisfy the equation.
"""

import argparse
import math

import torch
from torch import nn

DIFFUSIVITY = 0.1


def derivative(values: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """d values / d at, elementwise, ready to be differentiated again."""
    return torch.autograd.grad(values.sum(), at, create_graph=True)[0]


def residual(model: nn.Module, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """u_t - a u_xx: zero where the network obeys the heat equation."""
    x, t = x.requires_grad_(), t.requires_grad_()
    u = model(torch.cat([x, t], dim=1))
    u_t, u_x = derivative(u, t), derivative(u, x)
    return u_t - DIFFUSIVITY * derivative(u_x, x)


def exact(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.exp(-DIFFUSIVITY * math.pi**2 * t) * torch.sin(math.pi * x)


def main() -> None:
    parser = argparse.ArgumentParser(description="Solve the heat equation with a network.")
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)

    # Inside, at the start (t = 0), and at both ends.
    inside_x, inside_t = torch.rand(256, 1), torch.rand(256, 1)
    start_x = torch.linspace(0, 1, 64).unsqueeze(1)
    ends_x = torch.tensor([0.0, 1.0]).repeat(32).unsqueeze(1)
    edge = torch.cat([torch.cat([start_x, ends_x]), torch.cat([torch.zeros(64, 1), torch.rand(64, 1)])], dim=1)
    edge_values = torch.cat([torch.sin(math.pi * start_x), torch.zeros(64, 1)])

    for step in range(args.steps + 1):
        optimizer.zero_grad()
        physics = residual(model, inside_x, inside_t).pow(2).mean()
        boundary = nn.functional.mse_loss(model(edge), edge_values)
        (physics + 10 * boundary).backward()
        if step % (args.steps // 5) == 0:
            print(f"step {step:4d}  equation {physics.item():.3e}  boundary {boundary.item():.3e}")
        if step < args.steps:
            optimizer.step()
            scheduler.step()

    grid = torch.cartesian_prod(torch.linspace(0, 1, 21), torch.linspace(0, 1, 21))
    with torch.no_grad():
        error = (model(grid).squeeze(1) - exact(grid[:, 0], grid[:, 1])).abs()
    print(f"error on a 21 x 21 grid: mean {error.mean().item():.4f}, largest {error.max().item():.4f}")


if __name__ == "__main__":
    main()
