"""Optimizers and schedulers against PyTorch: values, states, state dicts, learning rates."""

import copy
import importlib
import warnings

import numpy as np
import pytest
import torch

import lamina
from lamina import optim
from lamina.optim import lr_scheduler, swa_utils

# One row per optimizer: its option sets. Every set is run in float32 and float64.
CASES = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "maximize": True},
    ],
    "Adam": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": "tensor"},
    ],
    "AdamW": [{"lr": 0.1}, {"lr": 0.1, "amsgrad": True, "maximize": True}],
    "Adamax": [{"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.1, "maximize": True, "eps": 1e-2}],
    "NAdam": [
        {"lr": 0.1},
        {"weight_decay": 0.1, "maximize": True},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "RAdam": [
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True},
        {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "Adagrad": [
        {"lr": 0.1},
        {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True},
    ],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1, "maximize": True}],
    "RMSprop": [
        {},
        {"momentum": 0.9, "weight_decay": 0.1, "maximize": True},
        {"centered": True, "alpha": 0.9},
        {"centered": True, "momentum": 0.5},
    ],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2), "maximize": True}],
    "ASGD": [{}, {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True}],
    "Adafactor": [
        {},
        {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-5, 1e-2), "d": 2.0, "weight_decay": 0.1, "maximize": True},
    ],
    "Muon": [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3, "weight_decay": 0.5}],
}
ROWS = [(name, options) for name, rows in CASES.items() for options in rows]
IDS = [f"{name}-{i}" for name, rows in CASES.items() for i in range(len(rows))]
COMPLEX = [row for row in ROWS if row[0] not in ("Adafactor", "Muon")]


class Pair:
    """The same parameters, gradients and options in both libraries."""

    def __init__(self, name, options, dtype, seed=0):
        self.rng = np.random.default_rng(seed)
        shapes = [(4, 3), (2, 5)] if name == "Muon" else [(4, 3), (5,), (), (2, 3, 2)]
        self.dtype = dtype
        self.values = [self.random(shape) for shape in shapes]
        self.sides = []
        for library in (lamina, torch):
            params = [library.tensor(value).requires_grad_() for value in self.values]
            given = dict(options)
            if given.get("lr") == "tensor":
                given["lr"] = library.tensor(0.1)
            optimizer = getattr(importlib.import_module(f"{library.__name__}.optim"), name)(params, **given)
            self.sides.append((library, params, optimizer))

    def random(self, shape):
        value = self.rng.standard_normal(shape)
        if np.issubdtype(self.dtype, np.complexfloating):
            value = value + 1j * self.rng.standard_normal(shape)
        return np.asarray(value, dtype=self.dtype)

    def run(self, steps):
        for _ in range(steps):
            grads = [self.random(value.shape) for value in self.values]
            for library, params, optimizer in self.sides:
                for param, grad in zip(params, grads, strict=True):
                    param.grad = library.tensor(grad)
                optimizer.step()

    def check(self, bfloat16=False):
        (_, mine, a), (_, theirs, b) = self.sides
        for x, y in zip(mine, theirs, strict=True):
            close(x, y, bfloat16)
        same(a.state_dict()["state"], b.state_dict()["state"], bfloat16)


def close(x, y, bfloat16=False):
    x, y = x.detach().numpy(), y.detach().numpy()
    assert x.dtype == y.dtype and x.shape == y.shape
    single = x.dtype in (np.float32, np.complex64)
    tolerance = 1e-2 if bfloat16 else 2e-6 if single else 1e-13
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * 0.1)


def same(x, y, bfloat16=False):
    """Nested containers alike, and the tensors in them close."""
    if isinstance(y, torch.Tensor):
        close(x, y, bfloat16)
    elif isinstance(y, dict):
        assert list(x) == list(y)
        for key in y:
            same(x[key], y[key], bfloat16)
    elif isinstance(y, list | tuple):
        assert len(x) == len(y)
        for a, b in zip(x, y, strict=True):
            same(a, b, bfloat16)
    elif isinstance(y, float):
        assert x == pytest.approx(y, rel=1e-12)
    else:
        assert x == y


def translated(tree, library):
    """A state dict with its tensors in the other library."""
    if hasattr(tree, "detach"):
        return library.tensor(tree.detach().numpy())
    if isinstance(tree, dict):
        return {key: translated(value, library) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(translated(value, library) for value in tree)
    return tree


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, options", ROWS, ids=IDS)
def test_ten_steps(name, options, dtype):
    pair = Pair(name, options, dtype)
    assert repr(pair.sides[0][2]) == repr(pair.sides[1][2])
    same(
        [{k: v for k, v in g.items() if k != "params"} for g in pair.sides[0][2].param_groups],
        [{k: v for k, v in g.items() if k != "params"} for g in pair.sides[1][2].param_groups],
    )
    pair.run(10)
    pair.check(bfloat16=name == "Muon")


@pytest.mark.parametrize("name, options", COMPLEX)
def test_complex(name, options):
    pair = Pair(name, options, np.complex128)
    pair.run(5)
    pair.check()


@pytest.mark.parametrize("name, options", ROWS, ids=IDS)
def test_state_dict_crosses_over(name, options):
    """Train three steps, exchange the state dicts of the libraries, train on."""
    pair = Pair(name, options, np.float64)
    pair.run(3)
    (_, _, mine), (_, _, theirs) = pair.sides
    from_mine, from_theirs = translated(mine.state_dict(), torch), translated(theirs.state_dict(), lamina)
    mine.load_state_dict(from_theirs)
    theirs.load_state_dict(from_mine)
    pair.run(3)
    pair.check(bfloat16=name == "Muon")


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("Adafactor", "Muon")])
def test_differentiable(name):
    """The gradient through the steps, with respect to the start and to the gradients."""
    options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    if name != "Rprop":
        options["weight_decay"] = 0.1
    # PyTorch's own graph does not survive a second step of these two.
    steps = 1 if name in ("Adamax", "Rprop") else 3
    results = []
    for library in (lamina, torch):
        rng = np.random.default_rng(1)
        start = library.tensor(rng.standard_normal(4)).requires_grad_()
        grads = [library.tensor(rng.standard_normal(4)).requires_grad_() for _ in range(steps)]
        param = start.clone()
        kind = getattr(importlib.import_module(f"{library.__name__}.optim"), name)
        optimizer = kind([param], lr=0.1, differentiable=True, **options)
        for grad in grads:
            param.grad = grad
            optimizer.step()
        (param**2).sum().backward()
        results.append([start.grad, *(grad.grad for grad in grads)])
    for x, y in zip(*results, strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            # PyTorch computes the bias corrections in single precision here.
            np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-4)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("history_size", [3, 100])
def test_lbfgs(search, history_size):
    results = []
    for library in (lamina, torch):
        x = library.tensor([-1.5, 2.0, 0.5], dtype=library.float64).requires_grad_()
        y = library.tensor([[0.3]], dtype=library.float64).requires_grad_()
        optimizer = library.optim.LBFGS(
            [x, y], lr=0.002 if search is None else 1, max_iter=7, history_size=history_size, line_search_fn=search
        )

        def closure(x=x, y=y, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum() + (y * x[0] - 1).pow(2).sum()
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(4)]
        state = optimizer.state_dict()["state"][0]
        results.append((losses, x, y, state["func_evals"], state["n_iter"]))
    (a, *mine, calls, iterations), (b, *theirs, their_calls, their_iterations) = results
    assert (calls, iterations) == (their_calls, their_iterations)
    np.testing.assert_allclose(a, b, rtol=1e-6)
    for x, y in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_sparse_adam():
    """Dense gradients are refused; lamina has no others."""
    for library in (lamina, torch):
        param = library.ones(5, 2).requires_grad_()
        optimizer = library.optim.SparseAdam([param], lr=0.1)
        param.grad = library.ones(5, 2)
        with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
            optimizer.step()


SCHEDULERS = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, [lambda epoch: 0.95, lambda epoch: 1 - epoch / 100]),
    "StepLR": lambda s, o: s.StepLR(o, 4, 0.3),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.2, 7),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.7, 9),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 20, 1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 7, 0.01),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1), s.CosineAnnealingLR(o, 10), s.ExponentialLR(o, 0.9)], [5, 15]
    ),
    "SequentialLR-restarts": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1), s.CosineAnnealingWarmRestarts(o, 3, 2)], [4]
    ),
    "SequentialLR-nested": lambda s, o: s.SequentialLR(
        o, [s.SequentialLR(o, [s.ConstantLR(o, 0.5), s.StepLR(o, 2)], [3]), s.ExponentialLR(o, 0.9)], [8]
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9)]),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 3, 5),
    "CyclicLR-triangular2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.2, 0.3], 3, mode="triangular2"),
    "CyclicLR-exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "CyclicLR-function": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 3, scale_fn=lambda x: 1 / x, scale_mode="cycle"),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.2, 31),
    "OneCycleLR-linear": lambda s, o: s.OneCycleLR(
        o, [0.2, 0.4], epochs=4, steps_per_epoch=8, anneal_strategy="linear", three_phase=True, pct_start=0.2
    ),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1),
    "ReduceLROnPlateau-max": lambda s, o: s.ReduceLROnPlateau(
        o, "max", 0.5, 1, threshold=0.01, threshold_mode="abs", min_lr=[0.01, 0.02]
    ),
    "SWALR": lambda s, o: s.SWALR(o, [0.05, 0.01], 7),
    "SWALR-linear": lambda s, o: s.SWALR(o, 0.05, 0, "linear"),
}


def libraries():
    return ((lamina, lr_scheduler, swa_utils), (torch, torch.optim.lr_scheduler, torch.optim.swa_utils))


def schedule(name, kind="SGD", last=False):
    """(library, optimizer, scheduler) of both libraries."""
    for library, schedulers, averages in libraries():
        options = {"momentum": 0.9} if kind == "SGD" else {}
        groups = [{"params": [library.ones(2).requires_grad_()], "lr": lr} for lr in (0.1, 0.25)]
        optimizer = getattr(importlib.import_module(f"{library.__name__}.optim"), kind)(groups, lr=0.1, **options)
        with warnings.catch_warnings():
            # A nested SequentialLR warns about the order of calls while it is built, in both libraries.
            warnings.simplefilter("ignore" if name == "SequentialLR-nested" else "error")
            scheduler = SCHEDULERS[name](averages if name.startswith("SWALR") else schedulers, optimizer)
        yield library, optimizer, scheduler


def plain(groups):
    return [{key: value for key, value in group.items() if key != "params"} for group in groups]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_thirty_epochs(name, kind):
    """The exact floats, the whole group (momentum too), the state dict, and no warning."""
    records = []
    metrics = np.random.default_rng(0).random(30).tolist()
    for _, optimizer, scheduler in schedule(name, kind):
        record = [plain(optimizer.param_groups), list(scheduler.get_last_lr())]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for epoch in range(30):
                optimizer.step()
                scheduler.step(*([metrics[epoch]] if "Plateau" in name else []))
                record += [plain(copy.deepcopy(optimizer.param_groups)), list(scheduler.get_last_lr())]
        record.append(copy.deepcopy(scheduler.state_dict()))
        records.append(record)
    assert records[0] == records[1]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_scheduler_state_crosses_over(name):
    """A scheduler that loads the other library's state after some epochs goes on as that one does."""
    (_, mine, a), (_, theirs, b) = schedule(name)
    step = [0.5] if "Plateau" in name else []
    for _ in range(6):
        theirs.step()
        b.step(*step)
    a.load_state_dict(copy.deepcopy(b.state_dict()))
    for group, other in zip(mine.param_groups, theirs.param_groups, strict=True):
        group.update({key: value for key, value in other.items() if key != "params"})
    for _ in range(8):
        for optimizer, scheduler in ((mine, a), (theirs, b)):
            optimizer.step()
            scheduler.step(*step)
        assert a.get_last_lr() == b.get_last_lr()


CLOSED = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR"]


@pytest.mark.parametrize("name", [*CLOSED, "LambdaLR", "CosineAnnealingWarmRestarts", "CyclicLR", "SWALR"])
def test_jump_to_epoch(name):
    records = []
    for _, optimizer, scheduler in schedule(name):
        record = []
        optimizer.step()
        for epoch in (3, 11, 5, 0, 20):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                scheduler.step(epoch)
            record.append((scheduler.get_last_lr(), [str(w.message) for w in caught]))
        records.append(record)
    assert records[0] == records[1]


@pytest.mark.parametrize("name", [*CLOSED, "LambdaLR", "OneCycleLR", "CosineAnnealingWarmRestarts"])
def test_resume_from_last_epoch(name):
    """A new scheduler with last_epoch=6 over groups that a former run left."""
    records = []
    for library, optimizer, scheduler in schedule(name):
        for _ in range(6):
            optimizer.step()
            scheduler.step()
        module = lr_scheduler if library is lamina else torch.optim.lr_scheduler
        kind = type(scheduler).__name__
        arguments = {
            "StepLR": (4, 0.3),
            "MultiStepLR": ([2, 5, 5, 11], 0.3),
            "ConstantLR": (0.2, 7),
            "LinearLR": (0.2, 0.7, 9),
            "ExponentialLR": (0.9,),
            "PolynomialLR": (20, 1.7),
            "CosineAnnealingLR": (7, 0.01),
            "LambdaLR": (lambda epoch: 0.95**epoch,),
            "OneCycleLR": (0.2, 31),
            "CosineAnnealingWarmRestarts": (3, 2),
        }[kind]
        again = getattr(module, kind)(optimizer, *arguments, last_epoch=6)
        record = [again.get_last_lr()]
        for _ in range(5):
            optimizer.step()
            again.step()
            record.append(list(again.get_last_lr()))
        records.append(record)
    assert records[0] == records[1]


@pytest.mark.parametrize(
    "name", ["StepLR", "SequentialLR", "ChainedScheduler", "CosineAnnealingWarmRestarts", "CyclicLR"]
)
def test_warnings_about_order(name):
    records = []
    for _, optimizer, scheduler in schedule(name):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scheduler.step()
            if hasattr(scheduler, "get_lr") and not hasattr(scheduler, "_schedulers"):
                scheduler.get_lr()
            optimizer.step = lambda: None
            scheduler.step()
        records.append([str(w.message) for w in caught])
    assert records[0] == records[1]


def test_tensor_lr_is_filled_in_place():
    records = []
    for library, schedulers, _ in libraries():
        lr = library.tensor(0.1)
        optimizer = library.optim.SGD([library.ones(1).requires_grad_()], lr=lr)
        scheduler = schedulers.ExponentialLR(optimizer, 0.9)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        assert optimizer.param_groups[0]["lr"] is lr
        records.append([lr.item(), scheduler.get_last_lr()[0].item(), scheduler.base_lrs[0].item()])
    assert records[0] == records[1]


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("average", ["default", "ema", "ema_multi", "swa", "swa_multi"])
def test_averaged_model(average, use_buffers):
    if average == "swa_multi":
        use_buffers = False  # PyTorch's function refuses integer buffers
    records = []
    for library, _, averages in libraries():
        rng = np.random.default_rng(0)
        nn = importlib.import_module(f"{library.__name__}.nn")
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        options = {
            "default": {},
            "ema": {"avg_fn": averages.get_ema_avg_fn(0.9)},
            "ema_multi": {"multi_avg_fn": averages.get_ema_multi_avg_fn(0.9)},
            "swa": {"avg_fn": averages.get_swa_avg_fn()},
            "swa_multi": {"multi_avg_fn": averages.get_swa_multi_avg_fn()},
        }[average]
        averaged = averages.AveragedModel(model, use_buffers=use_buffers, **options)
        for _ in range(4):
            with library.no_grad():
                for value in model.state_dict().values():
                    value.copy_(library.tensor(rng.integers(1, 9, tuple(value.shape))))
            averaged.update_parameters(model)
        averages.update_bn([library.tensor(rng.standard_normal((4, 3)).astype(np.float32))], averaged)
        records.append({key: value.numpy() for key, value in averaged.state_dict().items()})
    assert list(records[0]) == list(records[1])
    for key, value in records[1].items():
        np.testing.assert_allclose(records[0][key], value, rtol=1e-6)


def test_names_are_the_same():
    assert set(torch.optim.__all__) <= set(optim.__all__)
    assert set(torch.optim.lr_scheduler.__all__) <= set(lr_scheduler.__all__)
    assert set(torch.optim.swa_utils.__all__) <= set(swa_utils.__all__)
