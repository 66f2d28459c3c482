"""Containers behave as the list or dict they look like, whatever is done to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn

LAYERS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU)

INDEX = st.integers(-4, 4)
SLICE = st.builds(slice, st.none() | INDEX, st.none() | INDEX, st.sampled_from([None, 1, 2, -1]))
CHANGES = st.lists(
    st.tuples(st.sampled_from(["append", "extend", "+="]), st.integers(0, 3))
    | st.tuples(st.sampled_from(["insert", "set"]), st.integers(0, 4))
    | st.tuples(st.sampled_from(["del", "pop"]), INDEX | SLICE),
    max_size=8,
)


def change(target, action, arg, modules):
    """Do one thing to a list or a container of modules; what it raised, or None."""
    try:
        match action:
            case "append":
                target.append(modules[0])
            case "extend":
                target.extend(modules[:arg])
            case "+=":
                target += (
                    type(target)(modules[:arg])
                    if not isinstance(target, nn.Sequential)
                    else nn.Sequential(*modules[:arg])
                )
            case "insert":
                if arg <= len(target):  # a list takes any index, a Sequential refuses, a ModuleList keeps the name
                    target.insert(arg, modules[0])
            case "set":
                target[arg] = modules[0]
            case "del":
                del target[arg]
            case "pop":
                if isinstance(target, list) and isinstance(arg, slice):  # a list has no such pop
                    del target[arg]
                else:
                    target.pop(arg)
    except IndexError:
        return IndexError
    return None


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
@settings(max_examples=80, deadline=None)
@given(changes=CHANGES)
def test_as_a_list(kind, changes):
    container, plain = kind(), []
    for action, arg in changes:
        modules = [layer() for layer in LAYERS]
        assert change(container, action, arg, modules) == change(plain, action, arg, modules)
        assert [*container] == plain
        assert list(container._modules) == [str(i) for i in range(len(plain))]
    assert len(container) == len(plain)
    for idx in (*range(-len(plain), len(plain)), slice(None, None, 2), slice(-1)):
        found = container[idx]
        assert [*found] == plain[idx] if isinstance(idx, slice) else found is plain[idx]


@pytest.mark.parametrize("kind", [nn.ModuleDict, nn.ParameterDict])
@settings(max_examples=50, deadline=None)
@given(
    changes=st.lists(st.tuples(st.sampled_from(["set", "del", "pop", "update"]), st.sampled_from("abc")), max_size=8)
)
def test_as_a_dict(kind, changes):
    container, plain = kind(), {}
    for action, key in changes:
        value = nn.ReLU() if kind is nn.ModuleDict else nn.Parameter(lamina.zeros(1))
        if action == "set":
            container[key] = plain[key] = value
        elif action == "update":
            container.update([(key, value)])
            plain.update([(key, value)])
        elif key in plain:
            del plain[key]
            container.pop(key) if action == "pop" else container.__delitem__(key)
        else:
            with pytest.raises((KeyError, AttributeError)):
                container.pop(key)
        assert list(container.keys()) == list(container) == list(plain)
        assert all(a is b for a, b in zip(container.values(), plain.values(), strict=True))


def test_sequential_composes():
    x = lamina.tensor([-1.0, 0.5])
    first, second = nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Sequential(nn.Sigmoid())
    assert (first + second)(x).equal(second(first(x)))
    assert (first * 2)(x).equal(first(first(x)))


def test_repr_of_repeated_modules():
    inner = nn.ModuleList([nn.Sequential(nn.ReLU()) for _ in range(3)])
    assert repr(nn.ModuleList([*inner, nn.Tanh()])) == (
        "ModuleList(\n  (0-2): 3 x Sequential(\n    (0): ReLU()\n  )\n  (3): Tanh()\n)"
    )


def test_parameter_list_registers_tensors_and_keeps_others():
    values = nn.ParameterList([lamina.zeros(2), "text", nn.Parameter(lamina.ones(1))])
    assert [name for name, _ in values.named_parameters()] == ["0", "2"]
    values[0] = lamina.ones(3)
    assert [v.tolist() if hasattr(v, "tolist") else v for v in values] == [[1.0, 1.0, 1.0], "text", [1.0]]
