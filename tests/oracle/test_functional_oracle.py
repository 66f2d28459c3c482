"""nn.functional beside PyTorch's: values, first and second gradients, nodes, draws, warnings and errors.

Each row of functional_rows.txt is an expression in `F` and the tensors of `_names`, run with both libraries.
"""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import lamina
from lamina.nn import functional

# No second derivative in PyTorch, or (max, antialias) none worth the time.
NO_SECOND = (
    "(im, im", "enable_gqa", "need_weights=False", "beta=0.0", "multi_margin", "multilabel_margin", "embedding_bag",
    "pdist", "hardsigmoid", "'max'", "antialias",
    "scale_grad_by_freq",  # refused by lamina: PyTorch leaves the scale out of the second derivative
)  # fmt: skip


# Composites in PyTorch too, by other steps.
OTHER_NODES = ("circular", "pairwise_distance")


def _rows(kind):
    text = (Path(__file__).parent / "functional_rows.txt").read_text()
    section = text.split(f"\n[{kind}:")[1].split("\n[")[0]
    return section.strip().splitlines()[1:]


def _names(library, functions):
    """The tensors that the rows speak of, and the leaves among them."""
    rng = np.random.default_rng(7)
    floats = {
        "x": (3, 4), "y": (3, 4), "im": (2, 3, 4, 5), "w3": 3, "b3": 3, "w4": 4, "b5": 5, "b2": 2, "w6": 6,
        "w54": (5, 4),
        "w35": (3, 5), "w234": (2, 4, 4), "k": (6, 3, 2, 2), "w45": (4, 5), "w15": (15, 5), "b15": 15, "w55": (5, 5),
        "theta": (2, 2, 3), "grid": (2, 3, 2, 2), "lp": (6, 2, 5),
    }  # fmt: skip
    arrays = {name: rng.standard_normal(shape) for name, shape in floats.items()}
    arrays |= {"p": rng.uniform(0.05, 0.95, (3, 4)), "q": rng.uniform(0.05, 0.95, (3, 4))}
    leaves = {name: library.tensor(a, requires_grad=True) for name, a in arrays.items()}
    fixed = {
        "sign": np.where(rng.random((3, 4)) < 0.5, -1.0, 1.0),
        "i3": np.array([0, 2, 1]),
        "ispace": rng.integers(0, 3, (2, 4, 5)),
        "labels": np.array([[3, 0, -1, 1], [-1, 0, 0, 0], [0, 1, 2, 3]]),
        "bag": np.array([[0, 2, 2], [1, 4, 0]]),
        "offsets": np.array([0, 2, 2, 5]),
        "all_offsets": np.array([0, 2, 2, 6]),
        "ends": np.array([1, 3]),
        "mask": np.array([[0, 1, 1, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]) > 0,
        "weights3": rng.uniform(0.2, 2, 3),
        "weights4": rng.uniform(0.2, 2, 4),
        "ctc": np.array([[1, 1, 4], [2, 3, 1]]),
    }
    return {"F": functions, **leaves, **{name: library.tensor(a) for name, a in fixed.items()}}, leaves


def _outcome(library, functions, row, differentiate=True, seed=3):
    """What the row gives: its array, first gradients, second gradients, warnings, error."""
    names, leaves = _names(library, functions)
    library.manual_seed(seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.filterwarnings(
            "ignore", category=RuntimeWarning, module=r"lamina\."
        )  # as lamina itself says at import
        try:
            out = eval(row, names)
        except Exception as error:
            return {"error": (type(error).__name__, str(error)), "warnings": _texts(said)}
    found = {"value": out.detach().double().numpy(), "dtype": str(out.dtype), "warnings": _texts(said)}
    if out.requires_grad and differentiate:
        used = [leaf for name, leaf in leaves.items() if name in row]
        g = library.tensor(np.cos(np.arange(out.numel(), dtype=float)).reshape(out.shape), requires_grad=True)
        first = library.autograd.grad(out.double(), used, g, create_graph=True, allow_unused=True)
        found["first"] = [None if t is None else t.detach().numpy() for t in first]
        if not any(word in row for word in NO_SECOND):
            live = [t for t in first if t is not None and t.requires_grad]
            total = sum((t * t).sum() for t in live)
            second = library.autograd.grad(total, [*used, g], allow_unused=True)
            found["second"] = [None if t is None else t.numpy() for t in second]
    return found


def _texts(said):
    return [str(w.message).split(" (Triggered")[0] for w in said]


def _same(ours, theirs, label, single=False):
    rtol, atol = (1e-5, 1e-6) if single else (1e-7, 1e-8)  # a row in float32 rounds there, in an order of its own
    for mine, other in zip(ours, theirs, strict=True):
        mine = np.zeros_like(other) if mine is None and other is not None else mine
        other = np.zeros_like(mine) if other is None and mine is not None else other
        if mine is not None:
            np.testing.assert_allclose(mine, other, rtol=rtol, atol=atol, err_msg=label)


@pytest.mark.parametrize("row", _rows("values"))
def test_value_and_derivatives(row):
    ours, theirs = _outcome(lamina, functional, row), _outcome(torch, torch.nn.functional, row)
    assert "error" not in theirs, theirs
    assert "error" not in ours, ours
    assert ours["dtype"] == theirs["dtype"]
    single = ".float()" in row
    _same([ours["value"]], [theirs["value"]], "value", single)
    assert ("first" in ours) == ("first" in theirs)
    _same(ours.get("first", []), theirs.get("first", []), "first", single)
    _same(ours.get("second", []), theirs.get("second", []), "second", single)
    assert ours["warnings"] == theirs["warnings"] or "same" in row  # PyTorch gives that one once per process


@pytest.mark.filterwarnings("ignore")  # PyTorch says some things once in a process, whichever test comes first
@pytest.mark.parametrize("row", [row for row in _rows("values") if not any(word in row for word in OTHER_NODES)])
def test_node(row):
    """The last node of the graph is PyTorch's, but for the kind of view and the number of the overload."""
    ours, theirs = (
        eval(row, _names(library, functions)[0]).grad_fn.name()
        for library, functions in ((lamina, functional), (torch, torch.nn.functional))
    )
    spelled = [name.replace("Unsafe", "").rstrip("0123456789") for name in (ours, theirs)]
    assert spelled[0] == spelled[1]


@pytest.mark.parametrize("row", _rows("draws"))
def test_draws(row):
    ours, theirs = _outcome(lamina, functional, row, False), _outcome(torch, torch.nn.functional, row, False)
    assert "error" not in ours, ours
    np.testing.assert_allclose(ours["value"], theirs["value"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("row", _rows("refused"))
def test_errors_and_warnings(row):
    ours, theirs = _outcome(lamina, functional, row, False), _outcome(torch, torch.nn.functional, row, False)
    assert ours["warnings"] == theirs["warnings"]
    if "error" not in theirs:
        assert theirs["warnings"], "a row that is neither refused nor warned about tests nothing"
        np.testing.assert_allclose(ours["value"], theirs["value"], rtol=1e-9)
        return
    assert ours["error"][0] == theirs["error"][0]
    first_sentence = theirs["error"][1].split("\n")[0].split(". ")[0].rstrip(".")
    assert ours["error"][1].startswith(first_sentence)


def test_ctc_loss():
    targets, flat = [[1, 1, 4], [2, 3, 1]], [1, 1, 2, 3, 1]
    for targets_, reduction in ((targets, "none"), (flat, "mean"), (targets, "sum")):
        results = []
        for library, functions in ((lamina, functional), (torch, torch.nn.functional)):
            names, leaves = _names(library, functions)
            scores = functions.log_softmax(names["lp"], 2)
            loss = functions.ctc_loss(scores, library.tensor(targets_), (6, 5), (2, 3), reduction=reduction)
            results.append((loss, library.autograd.grad(loss.sum(), names["lp"])[0]))
        for mine, other in zip(*results, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_ctc_loss_impossible():
    """Two labels and the blank between equal ones need three times: infinite, unless `zero_infinity`."""
    for zero in (False, True):
        results = []
        for library, functions in ((lamina, functional), (torch, torch.nn.functional)):
            names, _ = _names(library, functions)
            loss = functions.ctc_loss(
                names["lp"], library.tensor([[1, 1], [2, 3]]), (2, 2), (2, 2), reduction="none", zero_infinity=zero
            )
            results.append((loss, library.autograd.grad(loss.sum(), names["lp"])[0]))
        assert math.isinf(results[0][0][0].item()) is not zero
        for mine, other in zip(*results, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bags", [(8, 2, 3), (5, 1, 4)])
def test_running_statistics(bags):
    results = []
    for library, functions in ((lamina, functional), (torch, torch.nn.functional)):
        rng = np.random.default_rng(1)
        x, mean, var = (library.tensor(a) for a in (rng.standard_normal(bags), np.zeros(bags[1]), np.ones(bags[1])))
        functions.batch_norm(x, mean, var, training=True, momentum=0.3)
        functions.instance_norm(x, mean, var, momentum=0.2)
        results.append((mean.numpy(), var.numpy()))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)


def test_same_names():
    """Every public function of PyTorch's module is there, with the same argument names."""
    missing = [
        name
        for name, value in vars(torch.nn.functional).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) in ("torch.nn.functional", "torch._C._nn", None)
        and name != "assert_int_or_pair"
        and not hasattr(functional, name)
    ]
    assert missing == []
