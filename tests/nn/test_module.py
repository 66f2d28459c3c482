"""Module: the call with and without hooks, the path in errors, members, state, copies."""

import copy
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn
from lamina.nn.modules.module import (
    module_path,
    register_module_forward_hook,
    register_module_full_backward_hook,
)


class Scale(nn.Module):
    """x * factor, with a buffer that counts calls."""

    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = nn.Parameter(lamina.tensor(factor))
        self.register_buffer("calls", lamina.tensor(0.0))

    def forward(self, x, fail=False):
        if fail:
            raise ValueError("as asked")
        self.calls += 1
        return x * self.factor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.layers = nn.Sequential(Scale(), Scale())

    def forward(self, x, fail=()):
        x = self.first(x, fail="first" in fail)
        if "direct" in fail:
            return self.layers[1](x, fail=True)
        if "unregistered" in fail:
            return [Scale()][0](x, fail=True)
        return self.layers(x) if "layers" not in fail else self.layers(None)


# -- the call


def test_forward_may_be_an_attribute_of_the_instance():
    m = Scale()
    m.forward = lambda x: x + 1
    assert m(lamina.tensor(1.0)).item() == 2.0


def test_hooks_added_by_hand_run():
    m = Scale()
    m._forward_hooks[0] = lambda module, args, output: output + 1
    assert m(lamina.tensor(1.0)).item() == 3.0
    del m._forward_hooks[0]
    assert m(lamina.tensor(1.0)).item() == 2.0


def test_hooks_may_remove_themselves():
    m, seen = Scale(), []
    handles = []

    def once(module, args, output):
        seen.append(output.item())
        handles[0].remove()

    handles.append(m.register_forward_hook(once))
    m.register_forward_hook(lambda module, args, output: seen.append("second"))
    m(lamina.tensor(1.0))
    m(lamina.tensor(1.0))
    assert seen == [2.0, "second", "second"]


def test_global_hooks_run_for_every_module_until_removed():
    seen = []
    with register_module_forward_hook(lambda module, args, output: seen.append(type(module).__name__)):
        Net()(lamina.tensor(1.0))
    Net()(lamina.tensor(1.0))
    assert seen == ["Scale", "Scale", "Scale", "Sequential", "Net"]


def test_compiled_module_is_called_compiled(monkeypatch):
    monkeypatch.setattr(
        lamina, "compile", lambda function, **options: lambda *args: ("compiled", options), raising=False
    )
    m = Scale()
    m.compile(mode="any")
    assert m(lamina.tensor(1.0)) == ("compiled", {"mode": "any"})
    assert copy.deepcopy(m)(lamina.tensor(1.0)).item() == 2.0


# -- backward hooks


@pytest.mark.parametrize("register", ["own", "global"])
def test_full_backward_hook_sees_and_replaces_gradients(register):
    m, seen = Scale(3.0), []

    def hook(module, grad_input, grad_output):
        if isinstance(module, Scale):
            seen.append((grad_input[0].item(), grad_output[0].item()))
            return (grad_input[0] * 10,)
        return None

    handle = m.register_full_backward_hook(hook) if register == "own" else register_module_full_backward_hook(hook)
    x = lamina.tensor(5.0, requires_grad=True)
    (m(x) * 2).backward()
    handle.remove()
    assert seen == [(6.0, 2.0)]
    assert (x.grad.item(), m.factor.grad.item()) == (60.0, 10.0)


def test_full_backward_pre_hook_replaces_the_gradient_of_the_output():
    m = Scale(3.0)
    m.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    x = lamina.tensor(5.0, requires_grad=True)
    m(x).backward()
    assert (x.grad.item(), m.factor.grad.item()) == (30.0, 50.0)


# -- the path in errors


@pytest.mark.parametrize(
    ("fail", "path"),
    [
        ("first", "Net.first"),
        ("direct", "Net.layers.1"),
        ("layers", "Net.layers.0"),
        ("unregistered", "Net.Scale"),
    ],
)
@pytest.mark.parametrize("hooked", [False, True])
def test_an_exception_learns_where_it_came_from(fail, path, hooked):
    net = Net()
    if hooked:
        for module in net.modules():
            module.register_forward_hook(lambda module, args, output: None)
    with pytest.raises((ValueError, TypeError)) as caught:
        net(lamina.tensor(1.0), fail=(fail,))
    assert module_path(caught.value) == path
    assert caught.value._lamina_modules[-1] == ("Net", "")
    assert module_path(pickle.loads(pickle.dumps(caught.value))) == path


def test_an_exception_from_elsewhere_has_no_path():
    assert module_path(ValueError()) is None


def test_paths_of_threads_do_not_meet():
    paths = {}

    def run(fail):
        for _ in range(20):
            with pytest.raises(ValueError) as caught:
                Net()(lamina.tensor(1.0), fail=(fail,))
            paths.setdefault(fail, set()).add(module_path(caught.value))

    threads = [threading.Thread(target=run, args=(fail,)) for fail in ("first", "direct")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == {"first": {"Net.first"}, "direct": {"Net.layers.1"}}


# -- the tree and its state, on random trees

SPECS = st.recursive(
    st.dictionaries(st.sampled_from("pqr"), st.sampled_from(["parameter", "buffer", "passing", "none"])),
    lambda below: st.dictionaries(st.sampled_from("abcd"), below | st.just("parameter"), max_size=3),
    max_leaves=12,
)


def grown(spec, count):
    """A module of that shape, whose tensors hold the numbers 1, 2, ..."""
    module = nn.Module()
    for name, what in spec.items():
        value = lamina.tensor([float(next(count))])
        if isinstance(what, dict):
            module.add_module(name, grown(what, count))
        elif what == "parameter":
            module.register_parameter(name, nn.Parameter(value))
        elif what == "none":
            module.register_parameter(name, None)
        else:
            module.register_buffer(name, value, persistent=what == "buffer")
    return module


@settings(max_examples=60, deadline=None)
@given(SPECS)
def test_random_tree(spec):
    module, other = grown(spec, iter(range(1, 1000))), grown(spec, iter(range(1001, 2000)))
    params, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    state = module.state_dict()
    assert all(module.get_parameter(name) is value for name, value in params.items())
    assert all(module.get_buffer(name) is value for name, value in buffers.items())
    assert all(module.get_submodule(name) is value for name, value in module.named_modules())
    assert set(params) <= set(state) <= set(params) | set(buffers)
    before = dict(other.named_parameters())
    assert other.load_state_dict(pickle.loads(pickle.dumps(state))) == ([], [])
    assert {k: v.item() for k, v in other.state_dict().items()} == {k: v.item() for k, v in state.items()}
    assert all(before[name] is param for name, param in other.named_parameters())
    twin = copy.deepcopy(module)
    assert repr(twin) == repr(module)
    assert not {id(t) for t in twin.parameters()} & {id(t) for t in params.values()}
    module.double()
    assert all(module.get_parameter(name) is value and value.dtype == lamina.float64 for name, value in params.items())


# -- copies


def test_copies_keep_hooks_and_share_none():
    m = Scale()
    m.register_forward_hook(print)
    twin = copy.deepcopy(m)
    assert list(twin._forward_hooks.values()) == [print]
    twin._forward_hooks.clear()
    assert list(m._forward_hooks.values()) == [print]


def test_a_copy_without_hooks_is_on_the_plain_path_again():
    m = Scale()
    assert len(m._forward_hooks) == 0  # to ask for them makes them
    assert "_forward_hooks" not in copy.deepcopy(m).__dict__
    assert "_forward_hooks" in m.__getstate__()  # others who read the pickle look for them


def test_state_of_an_older_version_is_accepted():
    m = Scale.__new__(Scale)
    m.__setstate__({"training": True, "_parameters": {}, "_buffers": {}, "_modules": {}})
    m.register_buffer("late", None, persistent=False)
    assert m.state_dict() == {}


def test_pickle_of_a_module_with_a_load_hook():
    m = nn.Linear(2, 2)
    m.register_load_state_dict_pre_hook(_count_loads)
    twin = pickle.loads(pickle.dumps(m))
    twin.load_state_dict(m.state_dict())
    assert twin.loads == 1
    assert not hasattr(m, "loads")


def _count_loads(module, *args):
    module.loads = getattr(module, "loads", 0) + 1


def test_a_failing_load_keeps_what_fits():
    m = nn.Linear(2, 2)
    good = lamina.ones(2)
    with pytest.raises(RuntimeError, match=r"size mismatch for weight.*shape torch.Size\(\[3, 3\]\)"):
        m.load_state_dict({"weight": lamina.zeros(3, 3), "bias": good})
    assert m.bias.tolist() == [1.0, 1.0]


def test_lazy_module_becomes_an_ordinary_one():
    m = nn.LazyLinear(3)
    m(lamina.ones(2, 4))
    assert type(m) is nn.Linear
    assert "_forward_hooks" not in m.__dict__
