"""What is timed. A case takes the library under the name `torch`, and gives a function that does the work once.

`op/`: one operation whose input requires grad; `back/`: the same, forward and backward; `plain/`: without gradients (operations.py).
`chain/`: many, forward and backward. `large/`: on 4 MB and more, where memory and arithmetic count. `step/`: whole training steps.
"""

from collections.abc import Callable
from typing import Any

from operations import IN_PLACE, OPERATIONS, Case, operation

CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    """Enter a case under its name."""

    def enter(build: Case) -> Case:
        CASES[name] = build
        return build

    return enter


for _name, _operation in OPERATIONS.items():
    CASES[f"op/{_name}"], CASES[f"back/{_name}"] = operation(_operation), operation(_operation, backward=True)
for _name, _operation in IN_PLACE.items():
    CASES[f"plain/{_name}"] = operation(_operation, grad=False)


def _chain(name: str, shape: tuple[int, ...], links: int, link: Callable[[Any, Any], Any], grad: bool = True) -> None:
    @case(f"chain/{name}")
    def build(torch: Any) -> Callable[[], Any]:
        leaf, factor = (torch.rand(shape, requires_grad=grad) for _ in range(2))
        cotangent = torch.ones(shape)

        def run() -> Any:
            out = leaf
            for _ in range(links):
                out = link(out, factor)
            if grad:
                leaf.grad = factor.grad = None
                out.backward(cotangent)
            return out

        return run


_chain("50 mul 3x3", (3, 3), 50, lambda x, y: x * y)
_chain("50 mul 0-d", (), 50, lambda x, y: x * y)
_chain("25 mul and tanh 0-d", (), 25, lambda x, y: (x * y).tanh())
_chain("50 mul 3x3 no grad", (3, 3), 50, lambda x, y: x * y, grad=False)


def _large(name: str, operation: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    @case(f"large/{name}")
    def build(torch: Any) -> Callable[[], Any]:
        inputs = [torch.rand(shape) for shape in shapes]
        return lambda: operation(torch, *inputs)


_MB4, _MB64 = (1024, 1024), (4096, 4096)
_large("add 4 MB", lambda torch, a, b: a + b, _MB4, _MB4)
_large("add 64 MB", lambda torch, a, b: a + b, _MB64, _MB64)
_large("mul 4 MB", lambda torch, a, b: a * b, _MB4, _MB4)
_large("sum 4 MB", lambda torch, a: a.sum(), _MB4)
_large("copy 4 MB", lambda torch, a: a.clone(), _MB4)
_large("tanh 4 MB", lambda torch, a: a.tanh(), _MB4)
_large("exp 4 MB", lambda torch, a: a.exp(), _MB4)
_large("matmul 512", lambda torch, a, b: a @ b, (512, 512), (512, 512))
_large("conv2d 64x8x28x28", lambda torch, x, w: torch.conv2d(x, w), (64, 8, 28, 28), (16, 8, 5, 5))


def _step(torch: Any, model: Any, optimizer: Any, inputs: Any, labels: Any) -> Callable[[], Any]:
    criterion = torch.nn.CrossEntropyLoss()

    def run() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return run


@case("step/mlp 2-16-16-2 SGD")
def tiny_mlp(torch: Any) -> Callable[[], Any]:
    """A network so small that only the overhead counts."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    return _step(
        torch, model, torch.optim.SGD(model.parameters(), lr=0.1), torch.randn(32, 2), torch.randint(0, 2, (32,))
    )


@case("step/mlp 2-16-16-2 AdamW")
def tiny_mlp_adamw(torch: Any) -> Callable[[], Any]:
    """The same, where the optimizer's overhead counts too."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    return _step(torch, model, torch.optim.AdamW(model.parameters()), torch.randn(32, 2), torch.randint(0, 2, (32,)))


@case("step/lstm 28-128 Adam")
def lstm(torch: Any) -> Callable[[], Any]:
    """A classifier of sequences: many small steps in a row."""
    nn = torch.nn

    class Classifier(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, input: Any) -> Any:
            return self.head(self.lstm(input)[0][:, -1])

    model = Classifier()
    return _step(
        torch, model, torch.optim.Adam(model.parameters()), torch.randn(32, 28, 28), torch.randint(0, 10, (32,))
    )


@case("step/mlp 784-512-10 Adam")
def digits_mlp(torch: Any) -> Callable[[], Any]:
    """A network whose matrix products count."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    return _step(
        torch, model, torch.optim.Adam(model.parameters()), torch.randn(128, 784), torch.randint(0, 10, (128,))
    )


@case("step/digits cnn Adam")
def digits_cnn(torch: Any) -> Callable[[], Any]:
    """The network of examples/mnist.py."""
    nn = torch.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    return _step(
        torch, model, torch.optim.Adam(model.parameters()), torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    )
