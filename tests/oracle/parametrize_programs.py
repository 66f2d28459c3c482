"""Programs for test_module_oracle.py: normalised and parametrized weights."""

import copy
import pickle


def weight_norm(torch, show):
    """The old form, by hooks."""
    nn, utils = torch.nn, torch.nn.utils
    x = torch.ones(1, 2)

    def shown(dim):
        m = nn.Linear(2, 3)
        before = m.weight.detach().clone()
        utils.weight_norm(m, dim=dim)
        out = m(x)
        out.sum().backward()
        same = torch.allclose(before, m.weight)
        return m.state_dict(), same, out.detach(), m.weight_g.grad, m.weight_v.grad, list(m._parameters)

    for dim in (0, 1, -1, None, 5):
        show(f"dim {dim}", lambda: shown(dim))
    show("conv", lambda: utils.weight_norm(nn.Conv2d(2, 3, 2), dim=1).weight_g.shape)
    show("twice", lambda: utils.weight_norm(utils.weight_norm(nn.Linear(2, 2))))
    show("other name", lambda: utils.weight_norm(nn.Linear(2, 2), "foo"))
    show("lazy", lambda: utils.weight_norm(nn.LazyLinear(3)))

    def removed():
        m = utils.weight_norm(nn.Linear(2, 2))
        before = m.weight.detach().clone()
        utils.remove_weight_norm(m)
        return list(m._parameters), m._forward_pre_hooks, torch.equal(before, m.weight)

    show("removed", removed)
    show("not there", lambda: utils.remove_weight_norm(nn.Linear(2, 2)))
    show("pickle", lambda: pickle.loads(pickle.dumps(utils.weight_norm(nn.Linear(2, 2)))))


def spectral_norm(torch, show):
    """The old form, by hooks."""
    nn, utils = torch.nn, torch.nn.utils

    def shown(m, **options):
        utils.spectral_norm(m, **options)
        before = m.weight
        m.eval()
        m(torch.ones(2, *([4] * (m.weight.dim() - 2)), 2) if m.weight.dim() == 2 else torch.ones(1, 2, 4))
        u = m.weight_u.clone()
        m.train()
        for _ in range(2):
            m(torch.ones(1, 2) if m.weight.dim() == 2 else torch.ones(1, 2, 4))
        return before, m.state_dict(), m.state_dict()._metadata, u, m.weight.detach(), list(m._buffers)

    for options in ({}, {"n_power_iterations": 3}, {"dim": 1}, {"eps": 0.1}, {"n_power_iterations": 0}):
        show(f"{options}", lambda: shown(nn.Linear(2, 3), **options))
    show("transposed", lambda: shown(nn.ConvTranspose1d(2, 3, 2)))
    show("twice", lambda: utils.spectral_norm(utils.spectral_norm(nn.Linear(2, 2))))
    show("other name", lambda: utils.spectral_norm(nn.Linear(2, 2), "foo"))
    show("lazy", lambda: utils.spectral_norm(nn.LazyLinear(3)))
    show("not there", lambda: utils.remove_spectral_norm(nn.Linear(2, 2)))

    def removed():
        m = utils.spectral_norm(nn.Linear(2, 2))
        utils.remove_spectral_norm(m)
        return list(m._parameters), list(m._buffers), m._forward_pre_hooks, m._state_dict_hooks, m.state_dict()

    show("removed", removed)
    normed = utils.spectral_norm(nn.Linear(2, 2))
    show("load", lambda: normed.load_state_dict(normed.state_dict()))
    show("load plain", lambda: normed.load_state_dict(nn.Linear(2, 2).state_dict()))

    def old_form():
        state = utils.spectral_norm(nn.Linear(2, 2)).state_dict()
        del state["weight_v"]
        state["weight"] = state["weight_orig"] / 2
        state._metadata[""] = {"version": 1}
        m = utils.spectral_norm(nn.Linear(2, 2))
        return m.load_state_dict(state), m.weight_v

    show("load old form", old_form)


def parametrize(torch, show):
    """Registering, reading, assigning, caching, removing."""
    nn, tools = torch.nn, torch.nn.utils.parametrize
    register = tools.register_parametrization

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

        def right_inverse(self, a):
            return a.triu()

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    def made(forward, right_inverse=None):
        methods = {"forward": staticmethod(forward)}
        if right_inverse is not None:
            methods["right_inverse"] = staticmethod(right_inverse)
        return type("Made", (nn.Module,), methods)()

    def shown(m):
        return m, m.weight.detach(), m.state_dict(), [n for n, _ in m.named_parameters()], type(m).__name__

    def linear(*parametrizations, name="weight", **options):
        m = nn.Linear(3, 3)
        for each in parametrizations:
            register(m, name, each, **options)
        return m

    show("one", lambda: shown(linear(Symmetric())))
    show("two", lambda: shown(linear(Symmetric(), Double())))
    show("bias", lambda: shown(linear(Double(), name="bias")))
    for name in ("foo", "training"):
        show(f"name {name}", lambda: linear(Double(), name=name))
    show("function", lambda: linear(lambda x: x))
    changes = {
        "shape": lambda x: x[0],
        "dtype": lambda x: x.double(),
        "int": lambda x: 3,
        "pair": lambda x: (x, x * 0),
        "pair with int": lambda x: (x, 3),
    }
    for label, change in changes.items():
        show(f"forward changes {label}", lambda: linear(made(change)))
        show(f"second changes {label}", lambda: linear(Double(), made(change)))
        show(f"unsafe {label}", lambda: linear(made(change), unsafe=True).weight)
        show(f"inverse changes {label}", lambda: linear(made(lambda x: x, change)))
        show(f"second inverse changes {label}", lambda: linear(Double(), made(lambda x: x, change)))
        show(f"inverse of two changes {label}", lambda: shown(linear(made(lambda x, y: x + y, change))))
    for label, value in {"tensor": torch.ones(3, 3), "int": 3, "double": torch.ones(3, 3).double()}.items():

        def assigned(*parametrizations, value=value):
            m = linear(*parametrizations)
            original = m.parametrizations.weight.original
            m.weight = value
            return m.weight.detach(), original, m.parametrizations.weight.original is original

        show(f"assign {label}", lambda: assigned(Symmetric()))
        show(f"assign {label} without inverse", lambda: assigned(Symmetric(), Double()))

    def pair_assigned(result):
        m = linear(made(lambda x, y: x + y, lambda x: (x, x * 0)))
        type(m.parametrizations.weight[0]).right_inverse = staticmethod(lambda x: result)
        m.weight = torch.ones(3, 3)
        return m.state_dict()

    one = torch.ones(3, 3)
    for result in (one, 3, (one,), (one, 3), (one, one), (one, one.double())):
        show("assign to a pair", lambda: pair_assigned(result))

    def removed(*parametrizations, leave=True):
        m = nn.Linear(3, 3)
        weight = m.weight
        for each in parametrizations:
            register(m, "weight", each)
        tools.remove_parametrizations(m, "weight", leave)
        return m, m.weight is weight, m.weight, list(m.state_dict()), type(m).__name__, list(m._modules)

    for leave in (True, False):
        show(f"removed {leave}", lambda: removed(Symmetric(), Double(), leave=leave))
        show(f"removed pair {leave}", lambda: removed(made(lambda x, y: x + y, lambda x: (x, x * 0)), leave=leave))
    show("remove nothing", lambda: removed())
    m = linear(Symmetric())
    show("is", lambda: [tools.is_parametrized(m, *n) for n in ((), ("weight",), ("bias",), ("foo",))])
    show("before", lambda: (tools.type_before_parametrizations(m).__name__, type(m).__mro__[1].__name__))

    def cached():
        with tools.cached():
            inside = m.weight is m.weight
            with tools.cached():
                pass
            nested = m.weight is m.weight
        return inside, nested, m.weight is m.weight

    show("cached", cached)
    show("pickle", lambda: pickle.dumps(m))
    show("deepcopy", lambda: shown(copy.deepcopy(m)))
    show("delete", lambda: delattr(m, "weight"))
    show("empty", lambda: tools.ParametrizationList([], m.bias))

    def transferred(*name):
        target = nn.Linear(3, 3)
        tools.transfer_parametrizations_and_params(m, target, *name)
        return torch.equal(target.weight, m.weight), target

    show("transfer", lambda: (transferred(), transferred("weight")))
    show("transfer other", lambda: transferred("bias"))
    show(
        "buffer",
        lambda: tools.remove_parametrizations(register(nn.BatchNorm1d(2), "running_mean", Double()), "running_mean"),
    )
    show("gradient", lambda: (m(torch.ones(1, 3)).sum().backward(), m.parametrizations.weight.original.grad))


def parametrizations(torch, show):
    """weight_norm, spectral_norm, orthogonal."""
    nn, made = torch.nn, torch.nn.utils.parametrizations

    def shown(m, kind, **options):
        getattr(made, kind)(m, **options)
        return m, m.weight.detach(), m.weight.detach(), m.bias.detach() if hasattr(m, "bias") else None, m.state_dict()

    for kind in ("weight_norm", "spectral_norm"):
        for options in ({}, {"dim": 1}, {"name": "bias"}, {"name": "foo"}):
            show(f"{kind} {options}", lambda: shown(nn.Linear(2, 3), kind, **options))
        show(f"{kind} conv", lambda: shown(nn.Conv1d(2, 3, 2), kind))
        show(f"{kind} transposed", lambda: shown(nn.ConvTranspose1d(2, 3, 2), kind))
    for options in ({"n_power_iterations": 0}, {"dim": 5}, {"dim": -1}, {"n_power_iterations": 4, "eps": 0.1}):
        show(f"spectral_norm {options}", lambda: shown(nn.Linear(2, 3), "spectral_norm", **options))

    def from_old():
        old, new = torch.nn.utils.weight_norm(nn.Linear(2, 3)), made.weight_norm(nn.Linear(2, 3))
        return new.load_state_dict(old.state_dict()), torch.equal(new.weight, old.weight)

    show("weight_norm from old", from_old)

    def is_orthogonal(w):
        w = w.detach().double()
        w = w if w.size(-2) >= w.size(-1) else w.mT
        return bool(torch.allclose(w.mT @ w, torch.eye(w.size(-1), dtype=w.dtype), atol=1e-5))

    def orthogonal(shape, orthogonal_map, trivialization):
        m = made.orthogonal(nn.Linear(*shape), orthogonal_map=orthogonal_map, use_trivialization=trivialization)
        state = list(m.state_dict())
        assert is_orthogonal(m.weight)
        m(torch.ones(1, shape[0])).sum().backward()
        grad = m.parametrizations.weight.original.grad
        target = torch.linalg.qr(torch.arange(float(shape[0] * shape[1])).reshape(max(shape), min(shape)).cos())[0]
        m.weight = target if shape[1] >= shape[0] else target.mT.contiguous()
        return state, grad.shape, (m.weight - (target if shape[1] >= shape[0] else target.mT)).abs().max() < 1e-5

    for orthogonal_map in ("matrix_exp", "cayley", "householder", None, "foo"):
        for trivialization in (True, False):
            for shape in ((3, 3), (2, 4), (4, 2)):
                show(
                    f"{orthogonal_map} {trivialization} {shape}",
                    lambda: orthogonal(shape, orthogonal_map, trivialization),
                )
    for weight in (torch.ones(3, 3), torch.ones(3, 2)):
        show("not orthogonal", lambda: setattr(made.orthogonal(nn.Linear(3, 3)), "weight", weight))
    show("vector", lambda: made.orthogonal(nn.Linear(2, 3), "bias"))
    show("other name", lambda: made.orthogonal(nn.Linear(2, 3), "foo"))


def graph_names(torch, show):
    """The nodes a user sees."""
    nn, utils = torch.nn, torch.nn.utils
    sequences = [torch.ones(2, 3, requires_grad=True), torch.ones(1, 3)]
    packed = utils.rnn.pack_sequence(sequences)
    show("packed", lambda: packed.data.grad_fn.name())
    show("padded", lambda: utils.rnn.pad_sequence(sequences).grad_fn.name())
    show("padded again", lambda: utils.rnn.pad_packed_sequence(packed)[0].grad_fn.name())
    for dim in (0, 1, None):
        show("weight_norm", lambda: utils.parametrizations.weight_norm(nn.Linear(2, 3), dim=dim).weight.grad_fn.name())
    show("weight_norm in the middle", lambda: utils.weight_norm(nn.Conv1d(2, 3, 2), dim=1).weight.grad_fn.name())
    show("spectral_norm", lambda: utils.parametrizations.spectral_norm(nn.Linear(2, 3)).weight.grad_fn.name())
    show("vector", lambda: utils.parameters_to_vector(nn.Linear(2, 2).parameters()).grad_fn.name())
