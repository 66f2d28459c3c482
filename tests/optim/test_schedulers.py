"""Schedulers and weight averages without a reference: shapes of schedules, saving, warnings, errors."""

import copy
import gc
import pickle
import warnings
import weakref

import pytest

import lamina
from lamina import nn, optim
from lamina.optim import lr_scheduler as schedulers
from lamina.optim import swa_utils


def optimizer(lr=1.0, **options):
    return optim.SGD([lamina.ones(1).requires_grad_()], lr=lr, momentum=0.9, **options)


def rates(scheduler, steps):
    result = scheduler.get_last_lr()[:]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        result += scheduler.get_last_lr()
    return result


SHAPES = {
    "LambdaLR": (lambda o: schedulers.LambdaLR(o, lambda e: 1 / (e + 1)), [1, 1 / 2, 1 / 3, 1 / 4]),
    "MultiplicativeLR": (lambda o: schedulers.MultiplicativeLR(o, lambda e: e), [1, 1, 2, 6]),
    "StepLR": (lambda o: schedulers.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    "MultiStepLR": (lambda o: schedulers.MultiStepLR(o, [1, 3, 3], 0.5), [1, 0.5, 0.5, 0.125]),
    "ConstantLR": (lambda o: schedulers.ConstantLR(o, 0.5, 2), [0.5, 0.5, 1, 1]),
    "LinearLR": (lambda o: schedulers.LinearLR(o, 0.25, 1.0, 3), [0.25, 0.5, 0.75, 1, 1]),
    "ExponentialLR": (lambda o: schedulers.ExponentialLR(o, 0.5), [1, 0.5, 0.25]),
    "PolynomialLR": (lambda o: schedulers.PolynomialLR(o, 4, 2), [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
    "CosineAnnealingLR": (lambda o: schedulers.CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1, 0.5]),
    "CosineAnnealingWarmRestarts": (
        lambda o: schedulers.CosineAnnealingWarmRestarts(o, 2, 2),
        [1, 0.5, 1, (2 + 2**0.5) / 4],
    ),
    "CyclicLR": (lambda o: schedulers.CyclicLR(o, 1.0, 3.0, 2, 1), [1, 2, 3, 1, 2, 3]),
    "OneCycleLR": (
        lambda o: schedulers.OneCycleLR(o, 1.0, 5, pct_start=0.6, anneal_strategy="linear", div_factor=2),
        [0.5, 0.75, 1.0, 0.500025, 0.00005],
    ),
    "SequentialLR": (
        lambda o: schedulers.SequentialLR(
            o, [schedulers.ConstantLR(o, 0.25, 9), schedulers.ExponentialLR(o, 0.5)], [2]
        ),
        [0.25, 0.25, 1, 0.5, 0.25],
    ),
    "ChainedScheduler": (
        lambda o: schedulers.ChainedScheduler([schedulers.ConstantLR(o, 0.5, 2), schedulers.ExponentialLR(o, 0.5)]),
        [0.5, 0.25, 0.25, 0.125],
    ),
    "SWALR": (lambda o: swa_utils.SWALR(o, 0.5, 2, "linear"), [1, 0.75, 0.5, 0.5]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_of_the_schedule(name):
    make, expected = SHAPES[name]
    assert rates(make(optimizer()), len(expected) - 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_state_dict_resumes_the_schedule(name):
    make, _ = SHAPES[name]
    whole = make(optimizer())
    rates(whole, 2)
    saved = pickle.loads(pickle.dumps((whole.state_dict(), whole.optimizer.state_dict())))
    resumed = make(optimizer())
    resumed.load_state_dict(saved[0])
    resumed.optimizer.load_state_dict(saved[1])
    resumed.optimizer.step()
    assert rates(resumed, 2) == rates(whole, 2)


CLOSED = [name for name, (make, _) in SHAPES.items() if hasattr(make(optimizer()), "_get_closed_form_lr")]


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form_equals_the_chained_one(name):
    make, expected = SHAPES[name]
    scheduler = make(optimizer())
    for epoch, lr in enumerate(expected):
        with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step\\(\\)` was not necessary"):
            scheduler.optimizer.step()
            scheduler.step(epoch)
        assert scheduler.get_last_lr() == pytest.approx([lr], abs=1e-12)


def test_momentum_runs_against_the_rate():
    adam = optim.Adam([lamina.ones(1).requires_grad_()], lr=0.1)
    for scheduler in (schedulers.OneCycleLR(adam, 1.0, 4), schedulers.CyclicLR(adam, 0.1, 1.0, 2)):
        momenta = []
        for _ in range(3):
            momenta.append(adam.param_groups[0]["betas"][0])
            adam.step()
            scheduler.step()
        assert momenta[0] == max(momenta) > min(momenta)
        assert adam.param_groups[0]["betas"][1] == 0.999


def test_reduce_on_plateau():
    scheduler = schedulers.ReduceLROnPlateau(optimizer(), factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for metric in (1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, lamina.tensor(0.1)):
        scheduler.step(metric)
        seen += scheduler.get_last_lr()
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2]
    assert scheduler.best == pytest.approx(0.1)
    other = schedulers.ReduceLROnPlateau(optimizer())
    other.load_state_dict(scheduler.state_dict())
    assert (other.best, other.patience, other.num_bad_epochs) == (scheduler.best, 1, 0)


def test_warnings():
    scheduler = schedulers.StepLR(optimizer(), 2)
    with pytest.warns(UserWarning, match="Detected call of `lr_scheduler.step\\(\\)` before `optimizer.step\\(\\)`"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr\\(\\)`"):
        scheduler.get_lr()
    scheduler = schedulers.StepLR(optimizer(), 2)
    scheduler.optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="`optimizer.step\\(\\)` has been overridden"):
        scheduler.step()
    scheduler = schedulers.StepLR(optimizer(), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.optimizer.step()
        scheduler.step()


def test_watching_an_optimizer_keeps_its_step_and_makes_no_cycle():
    watched = optimizer()
    schedulers.StepLR(watched, 2)
    assert watched.step.__name__ == "step"
    assert watched.step(lambda: 3.0) == 3.0
    assert copy.deepcopy(watched).step(lambda: 4.0) == 4.0
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(watched)
        del watched
        assert gone() is None
    finally:
        gc.enable()


ERRORS = [
    (lambda o: schedulers.StepLR(3, 2), TypeError, "int is not an Optimizer"),
    (lambda o: schedulers.StepLR(o, 2, last_epoch=3), KeyError, "param 'initial_lr' is not specified in param_groups"),
    (lambda o: schedulers.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (
        lambda o: schedulers.ConstantLR(o, 2),
        ValueError,
        "Constant multiplicative factor expected to be between 0 and 1",
    ),
    (lambda o: schedulers.LinearLR(o, 0), ValueError, "Starting multiplicative factor expected to be greater than 0"),
    (lambda o: schedulers.SequentialLR(o, [], []), ValueError, "SequentialLR expects at least one scheduler"),
    (
        lambda o: schedulers.SequentialLR(o, [schedulers.StepLR(o, 2)], [1]),
        ValueError,
        "number of schedulers provided to be one more than the number of milestone points",
    ),
    (
        lambda o: schedulers.ChainedScheduler([schedulers.StepLR(o, 2), schedulers.StepLR(optimizer(), 2)]),
        ValueError,
        "ChainedScheduler expects all schedulers to belong to the same optimizer",
    ),
    (
        lambda o: schedulers.SequentialLR(o, [schedulers.ReduceLROnPlateau(o)], []),
        ValueError,
        "SequentialLR does not support `ReduceLROnPlateau`",
    ),
    (lambda o: schedulers.CyclicLR(o, 0.1, 1, mode="x"), ValueError, "mode is invalid and scale_fn is None"),
    (lambda o: schedulers.CyclicLR(o, 0.1, [1, 2]), ValueError, "max_lr must have the same length as optimizer.param_"),
    (lambda o: schedulers.OneCycleLR(o, 0.1), ValueError, "You must define either total_steps OR"),
    (lambda o: schedulers.OneCycleLR(o, 0.1, -1), ValueError, "Expected positive integer total_steps, but got -1"),
    (lambda o: schedulers.OneCycleLR(o, 0.1, 9, pct_start=2), ValueError, "Expected float between 0 and 1 pct_start"),
    (lambda o: rates(schedulers.OneCycleLR(o, 0.1, 3), 4), ValueError, "Tried to step 4 times"),
    (lambda o: schedulers.CosineAnnealingWarmRestarts(o, 0), ValueError, "Expected positive integer T_0, but got 0"),
    (lambda o: schedulers.CosineAnnealingWarmRestarts(o, 1).step(-1), ValueError, "Expected non-negative epoch"),
    (lambda o: schedulers.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
    (lambda o: schedulers.ReduceLROnPlateau(o, "x"), ValueError, "mode x is unknown!"),
    (lambda o: swa_utils.SWALR(o, 0.1, 1.5), ValueError, "anneal_epochs must be equal or greater than 0, got 1.5"),
    (lambda o: swa_utils.get_ema_avg_fn(2), ValueError, "Invalid decay value 2 provided"),
]


@pytest.mark.parametrize("call, kind, text", ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(optimizer())


def test_averaged_model_is_the_mean_of_what_it_saw():
    model = nn.Linear(1, 1, bias=False)
    mean, moving = (
        swa_utils.AveragedModel(model),
        swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5)),
    )
    for value in (1.0, 3.0, 8.0):
        with lamina.no_grad():
            model.weight.fill_(value)
        mean.update_parameters(model)
        moving.update_parameters(model)
    assert mean.module.weight.item() == 4.0
    assert moving.module.weight.item() == 5.0
    assert mean(lamina.ones(1, 1)).item() == 4.0
    assert mean.n_averaged.item() == 3
    assert list(mean.state_dict()) == ["n_averaged", "module.weight"]


def test_update_bn_computes_the_statistics_anew():
    model = nn.Sequential(nn.BatchNorm1d(1)).eval()
    with lamina.no_grad():
        model[0].running_mean.fill_(9.0)
    batches = [lamina.tensor([[1.0], [3.0]]), (lamina.tensor([[3.0], [5.0]]), "label")]
    swa_utils.update_bn(batches, model)
    assert model[0].running_mean.item() == 3.0
    assert model[0].running_var.item() == 2.0
    assert model[0].momentum == 0.1
    assert not model.training
