"""Linear regression by hand: data from a known line, a loss, and gradient descent on two numbers. No nn, no optim."""

import torch

torch.manual_seed(0)
TRUE_WEIGHT, TRUE_BIAS, NOISE = 2.5, -1.0, 0.1

inputs = torch.linspace(-1, 1, 100)
targets = TRUE_WEIGHT * inputs + TRUE_BIAS + NOISE * torch.randn(100)

weight = torch.zeros((), requires_grad=True)
bias = torch.zeros((), requires_grad=True)
learning_rate = 0.1

for step in range(101):
    predictions = weight * inputs + bias
    loss = ((predictions - targets) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        weight -= learning_rate * weight.grad
        bias -= learning_rate * bias.grad
    if step % 20 == 0:
        print(
            f"step {step:3d}  loss {loss.item():.5f}  weight {weight.item():+.4f} (gradient {weight.grad.item():+.4f})"
            f"  bias {bias.item():+.4f} (gradient {bias.grad.item():+.4f})"
        )
    weight.grad.zero_()
    bias.grad.zero_()

# The same by the normal equations, as a check.
design = torch.stack([inputs, torch.ones(100)], dim=1)
exact = torch.linalg.solve(design.T @ design, design.T @ targets)
print(f"gradient descent: {weight.item():.3f} x {bias.item():+.3f}")
print(f"normal equations: {exact[0].item():.3f} x {exact[1].item():+.3f}")
