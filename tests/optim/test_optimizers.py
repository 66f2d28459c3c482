"""Optimizers without a reference: they converge, their options mean what they say, their states save and load."""

import copy
import math
import pickle

import pytest

import lamina
from lamina import optim
from lamina.optim.optimizer import (
    Optimizer,
    ParamsT,
    _get_value,
    _use_grad_for_differentiable,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)

RULES = {
    optim.SGD: {"lr": 0.05, "momentum": 0.9},
    optim.Adam: {"lr": 0.1, "amsgrad": True},
    optim.AdamW: {"lr": 0.1, "weight_decay": 1e-4},
    optim.Adamax: {"lr": 0.2},
    optim.NAdam: {"lr": 0.1},
    optim.RAdam: {"lr": 0.1},
    optim.Adagrad: {"lr": 0.5},
    optim.Adadelta: {"lr": 20.0},
    optim.RMSprop: {"lr": 0.01, "centered": True, "momentum": 0.5},
    optim.Rprop: {"lr": 0.1},
    optim.ASGD: {"lr": 0.2},
    optim.Adafactor: {"lr": 0.1},
    optim.Muon: {"lr": 0.05, "weight_decay": 0.0},
}
GOAL = [[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]]


def each_rule(*without):
    return pytest.mark.parametrize("kind", [k for k in RULES if k not in without], ids=lambda k: k.__name__)


def problem(dtype=None):
    """A matrix, its goal, and a closure-like function that sets its gradient."""
    param = lamina.zeros(3, 2, dtype=dtype).requires_grad_()
    goal = lamina.tensor(GOAL, dtype=dtype)

    def backward(optimizer):
        optimizer.zero_grad()
        loss = ((param - goal) ** 2).sum()
        loss.backward()
        return loss

    return param, backward


def run(kind, steps, param_and_backward, optimizer=None, **options):
    param, backward = param_and_backward
    optimizer = optimizer or kind([param], **{**RULES[kind], **options})
    for _ in range(steps):
        backward(optimizer)
        optimizer.step()
    return optimizer


@each_rule()
def test_reaches_the_minimum_of_a_quadratic(kind):
    param, backward = problem()
    optimizer = run(kind, 400, (param, backward))
    assert backward(optimizer).item() < 0.05


@each_rule(optim.LBFGS, optim.Muon)
def test_maximize_is_descent_on_the_negative(kind):
    falling, rising = problem(), problem()
    run(kind, 5, falling)
    param = rising[0]
    optimizer = kind([param], **RULES[kind], maximize=True)
    for _ in range(5):
        rising[1](optimizer)
        param.grad = -param.grad
        optimizer.step()
    assert param.tolist() == falling[0].tolist()


@each_rule()
def test_saved_and_loaded_it_goes_on_unchanged(kind):
    straight, broken = problem(), problem()
    first, second = run(kind, 3, straight), run(kind, 3, broken)
    saved = pickle.loads(pickle.dumps(second.state_dict()))
    other = kind([broken[0]], lr=123.0)
    other.load_state_dict(saved)
    run(kind, 3, straight, first)
    run(kind, 3, broken, other)
    assert straight[0].tolist() == broken[0].tolist()
    assert first.state_dict()["param_groups"] == other.state_dict()["param_groups"]


@each_rule()
def test_copies_are_independent_and_whole(kind):
    param, backward = problem()
    optimizer = run(kind, 2, (param, backward))
    model, copied = copy.deepcopy((param, optimizer))
    assert repr(copied) == repr(optimizer)
    assert copied.param_groups[0]["params"][0] is model
    model.grad = lamina.ones(3, 2)
    copied.step()
    assert model.tolist() != param.tolist()
    assert pickle.loads(pickle.dumps(optimizer)).state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


@each_rule()
def test_state_takes_the_dtype_of_the_parameter_but_steps_do_not(kind):
    saved = run(kind, 2, problem()).state_dict()
    param, _ = problem(lamina.float64)
    optimizer = kind([param], lr=0.1)
    optimizer.load_state_dict(saved)
    for name, value in optimizer.state[param].items():
        assert value.dtype == (lamina.float32 if name == "step" else lamina.float64), name


@each_rule()
def test_a_parameter_without_gradient_is_left_alone(kind):
    idle = lamina.ones(2, 2).requires_grad_()
    busy = lamina.ones(2, 2).requires_grad_()
    busy.grad = lamina.ones(2, 2)
    optimizer = kind([idle, busy], lr=0.1)
    optimizer.step()
    assert idle.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert busy.tolist() != idle.tolist()


@each_rule()
def test_gradients_are_not_modified(kind):
    param, backward = problem()
    optimizer = kind([param], **RULES[kind])
    for _ in range(3):
        backward(optimizer)
        before = param.grad.tolist()
        optimizer.step()
        assert param.grad.tolist() == before


@each_rule(optim.Adafactor, optim.Muon)
def test_a_tensor_as_learning_rate(kind):
    number, tensor = problem(lamina.float64), problem(lamina.float64)
    run(kind, 3, number, lr=0.125)
    run(kind, 3, tensor, lr=lamina.tensor(0.125))
    for a, b in zip(number[0].flatten().tolist(), tensor[0].flatten().tolist(), strict=True):
        assert a == pytest.approx(b, rel=1e-5)


@each_rule(optim.Adafactor, optim.Muon)
def test_differentiable_agrees_with_finite_differences(kind):
    """d(loss after three steps)/d(first gradient), also for the rules that overwrite their state each step."""
    grads = [[0.3, -0.7], [0.2, 0.4], [-0.5, 0.1]]

    def loss_after(first):
        start = lamina.tensor([1.0, 2.0], dtype=lamina.float64).requires_grad_()
        param = start.clone()
        optimizer = kind([param], lr=0.1, differentiable=True)
        for i, grad in enumerate(grads):
            param.grad = first if i == 0 else lamina.tensor(grad, dtype=lamina.float64)
            optimizer.step()
        return (param**2).sum()

    first = lamina.tensor(grads[0], dtype=lamina.float64).requires_grad_()
    loss_after(first).backward()
    for i in range(2):
        ends = []
        for change in (1e-5, -1e-5):
            moved = list(grads[0])
            moved[i] += change
            ends.append(loss_after(lamina.tensor(moved, dtype=lamina.float64)).item())
        slope = 0.0 if first.grad is None else first.grad[i].item()
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-7)


@each_rule(optim.Adafactor, optim.Muon)
def test_complex_parameters_are_pairs_of_real_ones(kind):
    pairs = lamina.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=lamina.float64).requires_grad_()
    param = lamina.view_as_complex(pairs.detach().clone()).requires_grad_()
    a, b = kind([pairs], **RULES[kind]), kind([param], **RULES[kind])
    for i in range(3):
        pairs.grad = lamina.tensor([[1.0, i - 1.0], [0.5, -2.0]], dtype=lamina.float64)
        param.grad = lamina.view_as_complex(pairs.grad.clone())
        a.step()
        b.step()
    assert lamina.view_as_real(param.detach()).tolist() == pairs.tolist()


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_on_rosenbrock(search):
    x = lamina.tensor([-1.5, 2.0], dtype=lamina.float64).requires_grad_()
    optimizer = optim.LBFGS([x], lr=1 if search else 0.01, max_iter=20, line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    for _ in range(5 if search else 60):
        optimizer.step(closure)
    assert first == pytest.approx(100 * (2.0 - 2.25) ** 2 + 6.25)
    assert closure().item() < (1e-8 if search else 1.0)
    assert optimizer.state[x]["func_evals"] >= optimizer.state[x]["n_iter"]


def test_lbfgs_resumes_from_its_state():
    def make():
        x = lamina.tensor([3.0, -1.0], dtype=lamina.float64).requires_grad_()
        optimizer = optim.LBFGS([x], max_iter=2, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = (x**4).sum() + (x[0] * x[1] - 1) ** 2
            loss.backward()
            return loss

        return x, optimizer, closure

    (x, a, first), (y, b, second) = make(), make()
    a.step(first)
    saved, values = copy.deepcopy(a.state_dict()), x.detach().clone()
    a.step(first)
    with lamina.no_grad():
        y.copy_(values)
    b.load_state_dict(saved)
    b.step(second)
    assert x.tolist() == pytest.approx(y.tolist())


def test_sgd_by_hand():
    param = lamina.tensor([1.0]).requires_grad_()
    optimizer = optim.SGD([param], lr=0.5, momentum=0.5, weight_decay=0.25)
    param.grad = lamina.tensor([1.0])
    optimizer.step()  # g = 1 + 0.25; buffer = g; p = 1 - 0.625
    assert param.item() == 0.375
    optimizer.step()  # g = 1 + 0.09375; buffer = 0.625 + g
    assert param.item() == 0.375 - 0.5 * (0.625 + 1.09375)
    assert list(optimizer.state[param]) == ["momentum_buffer"]
    assert not optim.SGD([param], lr=0.1).state


def test_closure_runs_with_gradients_and_its_result_comes_back():
    param, backward = problem()
    for kind, options in RULES.items():
        optimizer = kind([param], **options)
        with lamina.no_grad():
            loss = optimizer.step(lambda optimizer=optimizer: backward(optimizer))
        assert math.isfinite(loss.item())


def test_step_hooks_run_in_order_and_may_replace_arguments():
    param = lamina.ones(1).requires_grad_()
    optimizer = optim.SGD([param], lr=0.1)
    calls = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: calls.append("all before")),
        register_optimizer_step_post_hook(lambda *_: calls.append("all after")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after")),
    ]
    optimizer.step()
    assert calls == ["all before", "before", "after", "all after"]
    for handle in handles:
        handle.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7.0), {}))
    assert optimizer.step() == 7.0
    assert len(calls) == 4
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 1)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 1"):
        optimizer.step()


def test_state_dict_hooks():
    param = lamina.ones(1).requires_grad_()
    optimizer = optim.SGD([param], lr=0.1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("before"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    optimizer.register_state_dict_post_hook(lambda o, state: calls.append("first"), prepend=True)
    optimizer.register_load_state_dict_pre_hook(lambda o, state: {k: v for k, v in state.items() if k != "extra"})
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert saved["extra"] == 1
    assert calls == ["before", "first", "loaded"]


def test_zero_grad():
    param = lamina.ones(2).requires_grad_()
    optimizer = optim.SGD([param], lr=0.1)
    (grad,) = lamina.autograd.grad((param**3).sum(), param, create_graph=True)
    param.grad = grad
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.tolist() == [0.0, 0.0]
    assert not param.grad.requires_grad
    optimizer.zero_grad()
    assert param.grad is None


def test_a_third_party_optimizer():
    """The manner of packages that derive from Optimizer: state by parameter, required options, their own step."""

    class Sign(Optimizer):
        def __init__(self, params: ParamsT, lr=required):
            super().__init__(params, {"lr": lr})

        @_use_grad_for_differentiable
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["count"] = state.get("count", 0) + 1
                    p.add_(lamina.sign(p.grad), alpha=-_get_value(group["lr"]))

    param = lamina.ones(2).requires_grad_()
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        Sign([param])
    optimizer = Sign([{"params": param, "lr": 0.5}])
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    param.grad = lamina.tensor([2.0, -3.0])
    optimizer.step()
    assert (param.tolist(), calls, optimizer.state_dict()["state"]) == ([0.5, 1.5], [1], {0: {"count": 1}})
    assert repr(optimizer) == "Sign (\nParameter Group 0\n    lr: 0.5\n)"
    with pytest.raises(NotImplementedError):
        Optimizer([param], {}).step()


def test_names_of_parameters():
    a, b = lamina.ones(1).requires_grad_(), lamina.ones(1).requires_grad_()
    optimizer = optim.SGD([("a", a)], lr=0.1)
    optimizer.add_param_group({"params": [("b", b)]})
    assert [group["param_names"] for group in optimizer.param_groups] == [["a"], ["b"]]
    assert optimizer.state_dict()["param_groups"][1]["param_names"] == ["b"]
    plain = optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.2)
    optimizer.load_state_dict(plain.state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["a"]
    assert optimizer.param_groups[0]["lr"] == 0.2
    with pytest.raises(ValueError, match="cannot add param group with names"):
        plain.add_param_group({"params": [("c", lamina.ones(1))]})
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [lamina.ones(1)]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        optim.SGD([("a", a), b])


def test_groups_have_options_of_their_own():
    a, b = lamina.ones(1).requires_grad_(), lamina.ones(1).requires_grad_()
    optimizer = optim.SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=0.25)
    a.grad = b.grad = lamina.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.75)
    assert [group["params"] for group in optimizer.state_dict()["param_groups"]] == [[0], [1]]
    assert repr(optimizer).count("Parameter Group") == 2


def test_swapped_in_parameters_and_state():
    param, other = lamina.ones(2).requires_grad_(), lamina.zeros(2).requires_grad_()
    param.grad = other.grad = lamina.ones(2)
    optimizer = optim.Adam([param], lr=0.1)
    with pytest.raises(RuntimeError, match="requires initialized optimizer state"):
        with optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, optimizer.state_dict()):
            pass
    optimizer.step()
    before, saved = param.tolist(), copy.deepcopy(optimizer.state_dict())
    with optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, saved):
        optimizer.step()
    assert param.tolist() == before
    assert other.tolist() != [0.0, 0.0]
    assert saved["state"][0]["step"].item() == 2
    assert optimizer.state[param]["step"].item() == 1


P = [lamina.ones(2, 2).requires_grad_()]
ERRORS = [
    (lambda: optim.SGD(P[0]), TypeError, "params argument given to the optimizer should be an iterable of Tensors"),
    (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda: optim.SGD([1]), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
    (lambda: optim.SGD([{"params": set(P)}]), TypeError, "need to be organized in ordered collections"),
    (lambda: optim.SGD([P[0] * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.SGD([{"params": P}, {"params": P}]), ValueError, "appear in more than one parameter group"),
    (lambda: optim.SGD(P).add_param_group(P), TypeError, "param_group must be a dict, but got <class 'list'>"),
    (lambda: optim.SGD([*P, *P]), UserWarning, "parameter group with duplicate parameters"),
    (lambda: optim.SGD(P, lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD(P, lr=lamina.ones(2)), ValueError, "Tensor lr must be 1-element"),
    (lambda: optim.SGD(P, nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero dampening"),
    (lambda: optim.SGD(P, fused=True, foreach=True), RuntimeError, "`fused` and `foreach` cannot be `True` together"),
    (lambda: optim.Adam(P, fused=True, differentiable=True), RuntimeError, "`fused` does not support"),
    (lambda: optim.Adam(P, betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
    (lambda: optim.Adam(P, betas=(lamina.tensor(0.9), 0.9)), ValueError, "betas must be either both floats or both"),
    (lambda: optim.Adam(P, lr=lamina.tensor(0.1), foreach=True), ValueError, "lr as a Tensor is not supported"),
    (lambda: optim.NAdam(P, momentum_decay=-1), ValueError, "Invalid momentum_decay value: -1"),
    (lambda: optim.Adadelta(P, rho=2), ValueError, "Invalid rho value: 2"),
    (lambda: optim.Rprop(P, etas=(2, 1)), ValueError, "Invalid eta values: 2, 1"),
    (lambda: optim.Adafactor(P, d=0.5), ValueError, "Clipping threshold d should be >= 1 but is: 0.5"),
    (lambda: optim.Muon([lamina.ones(3)]), ValueError, "Muon only supports 2D parameters"),
    (lambda: optim.LBFGS([{"params": P}, {"params": [lamina.ones(1)]}]), ValueError, "LBFGS doesn't support per-param"),
    (lambda: optim.SparseAdam(P, lr=0), ValueError, "Invalid learning rate: 0"),
    (lambda: optim.SGD(P).load_state_dict({"state": {}, "param_groups": []}), ValueError, "different number of param"),
    (
        lambda: optim.SGD(P).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
        ValueError,
        "doesn't match the size of optimizer's group",
    ),
]


@pytest.mark.parametrize("call, kind, text", ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors(call, kind, text):
    with (pytest.warns if issubclass(kind, Warning) else pytest.raises)(kind, match=text):
        call()


def test_errors_in_step():
    param = lamina.ones(2).requires_grad_()
    param.grad = lamina.ones(2)
    with pytest.raises(AssertionError, match="If capturable=True, params and state_steps must be on supported devices"):
        optim.Adam([param], capturable=True).step()
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients, please consider Adam instead"):
        optim.SparseAdam([param]).step()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optim.LBFGS([param], line_search_fn="other").step(lambda: 1.0)


@each_rule(optim.Muon)
def test_small_parameters_together_as_alone(kind):
    """Parameters that are updated as one, among large and shared ones, get the bits that each gets alone."""
    shapes = [(3, 2), (2,), (), (4, 1), (70, 70), (5,)]
    values = [lamina.randn(shape) for shape in shapes]
    steps = [[lamina.randn(shape) for shape in shapes] for _ in range(3)]

    def trained(apart):
        params = [v.clone().requires_grad_() for v in values]
        held = params[1].detach().view(-1)  # somebody else looks at this one
        optimizers = [kind([p], **RULES[kind]) for p in params] if apart else [kind(params, **RULES[kind])]
        versions = [p._version for p in params]
        for grads in steps:
            for p, g in zip(params, grads, strict=True):
                p.grad = g.clone()
            for optimizer in optimizers:
                optimizer.step()
        assert lamina.equal(held, params[1])
        states = [sorted((k, v) for o in optimizers for k, v in o.state[p].items()) for p in params]
        return params, states, [p._version - v for p, v in zip(params, versions, strict=True)]

    together, alone = trained(False), trained(True)
    assert together[2] == alone[2]
    assert all(lamina.equal(a, b) for a, b in zip(together[0], alone[0], strict=True))
    for one, two in zip(together[1], alone[1], strict=True):
        assert [(k, v.tolist()) for k, v in one] == [(k, v.tolist()) for k, v in two]


def test_a_joined_update_is_told_with_its_line():
    """An error about a parameter that a step has changed names the step's line."""
    model = lamina.nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = (model(lamina.ones(1, 2).requires_grad_()) ** 2).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        loss.backward()
    assert any("optimizer.step()" in note for note in caught.value.__notes__)
