"""Programs for test_module_oracle.py: gradients, sequences, pruning, functional calls, lazy modules, fusion."""

import copy
import pickle


def gradients(torch, show):
    """Clipping, and parameters as a vector."""
    nn, utils = torch.nn, torch.nn.utils
    inf, nan = float("inf"), float("nan")

    def with_grad(*values, dtype=torch.float32):
        p = nn.Parameter(torch.zeros(len(values), dtype=dtype))
        p.grad = torch.tensor(values, dtype=dtype)
        return p

    def params():
        return [with_grad(3.0, 4.0), nn.Parameter(torch.zeros(1)), with_grad(12.0)]

    def clipped(function, params, *args, **kwargs):
        result = getattr(utils, function)(params, *args, **kwargs)
        return result, [p.grad for p in ([params] if isinstance(params, torch.Tensor) else params)]

    for args in ((1.0,), (20.0,), (1.0, inf), (1.0, 1), (1.0, 0), (1.0, -inf), (1.0, 2.0, True), ("1.0",), ("a",)):
        show(f"norm {args}", lambda: clipped("clip_grad_norm_", params(), *args))
    show("one", lambda: clipped("clip_grad_norm_", with_grad(3.0, 4.0), 1.0))
    show("generator", lambda: utils.clip_grad_norm_((p for p in params()), 1.0, foreach=True))
    show(
        "nothing",
        lambda: (clipped("clip_grad_norm_", [], 1.0), clipped("clip_grad_norm_", [nn.Parameter(torch.ones(1))], 1.0)),
    )
    show("dtypes", lambda: clipped("clip_grad_norm_", [with_grad(1.0), with_grad(1.0, dtype=torch.float64)], 1.0))
    for value in (nan, inf):
        show("not finite", lambda: clipped("clip_grad_norm_", with_grad(1.0, value), 1.0, error_if_nonfinite=True))
        show("let pass", lambda: clipped("clip_grad_norm_", with_grad(1.0, value), 1.0))
    show("module", lambda: utils.clip_grad_norm_(nn.ReLU(), 1.0))
    show("old name", lambda: clipped("clip_grad_norm", params(), 1.0))
    show("value", lambda: clipped("clip_grad_value_", params(), 3.5))
    show("total", lambda: (utils.get_total_norm([torch.ones(2), torch.ones(7)]), utils.get_total_norm([])))
    show("with norm", lambda: clipped("clip_grads_with_norm_", params(), 1.0, torch.tensor(5.0)))
    some = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2, 2))]
    show("vector", lambda: utils.parameters_to_vector(some).detach())
    show("no vector", lambda: utils.parameters_to_vector([]))
    for vector in (torch.arange(6.0), torch.arange(7.0), torch.arange(5.0), [1, 2]):
        show("from vector", lambda: (utils.vector_to_parameters(vector, some), some))


def sequences(torch, show):
    """Packing, padding and back."""
    rnn = torch.nn.utils.rnn
    x = torch.arange(12.0).reshape(4, 3, 1)
    pack = rnn.pack_padded_sequence
    for lengths in (
        [4, 3, 1],
        [1, 4, 3],
        (2, 2, 2),
        [4, 3, 0],
        [4, 3, -1],
        [5, 3, 1],
        [4, 3],
        torch.tensor([4.0, 3.0, 1.0]),
    ):
        show(f"pack {lengths}", lambda: pack(x, lengths))
        show(f"pack unsorted {lengths}", lambda: pack(x, lengths, enforce_sorted=False))
    show("batch_first", lambda: pack(x.transpose(0, 1), [4, 3, 1], batch_first=True))
    show("2d lengths", lambda: pack(x, torch.tensor([[4, 3, 1]])))
    show("empty", lambda: pack(torch.zeros(0, 2), []))
    packed = pack(x, [1, 4, 3], enforce_sorted=False)
    for args in ((), (True,), (True, -1.0, 6), (False, 0.0, 2)):
        show(f"pad {args}", lambda: rnn.pad_packed_sequence(packed, *args))

    def gradient():
        leaf = x.clone().requires_grad_()
        padded, _ = rnn.pad_packed_sequence(pack(leaf, [1, 4, 3], enforce_sorted=False))
        (padded * torch.arange(12.0).reshape(4, 3, 1)).sum().backward()
        return leaf.grad

    show("gradient", gradient)
    some = [torch.ones(2, 2), torch.ones(4, 2) * 2, torch.ones(1, 2) * 3]
    for args in ((), (True,), (True, 9.0, "left"), (False, 9.0, "left"), (True, 9.0, "foo")):
        show(f"pad_sequence {args}", lambda: rnn.pad_sequence(some, *args))
    for given in (
        torch.ones(2, 3),
        3,
        [],
        [torch.ones(2, 2), torch.ones(2, 3)],
        [1, 2],
        [torch.arange(2), torch.arange(3.0)],
    ):
        show("pad_sequence", lambda: rnn.pad_sequence(given))
    show("unpad", lambda: rnn.unpad_sequence(rnn.pad_sequence(some, True), torch.tensor([2, 4, 1]), True))
    show("pack_sequence", lambda: (rnn.pack_sequence(some, False), rnn.unpack_sequence(rnn.pack_sequence(some, False))))
    show("pack_sequence sorted", lambda: rnn.pack_sequence(some))
    show("invert", lambda: (rnn.invert_permutation(torch.tensor([2, 0, 1])), rnn.invert_permutation(None)))
    made = rnn.PackedSequence
    data, sizes = torch.arange(3.0), torch.tensor([2, 1])
    for args in ((data, sizes), ((data, sizes),), (data,), (data, sizes, torch.tensor([1, 0]))):
        show("made", lambda: made(*args))
    show("made on meta", lambda: made(data, sizes.to("meta")))
    casts = ("double", "float", "half", "long", "int", "short", "char", "byte")
    show("casts", lambda: [getattr(packed, cast)().data.dtype for cast in casts])
    show("to", lambda: (packed.to("cpu") is packed, packed.cpu() is packed, packed.to(torch.float64).batch_sizes.dtype))
    show("tuple", lambda: (len(packed), packed._fields, packed.is_cuda, [type(v).__name__ for v in packed]))
    show("pickle", lambda: (pickle.loads(pickle.dumps(packed)), copy.deepcopy(packed)))


def pruning(torch, show):
    """Every method, their amounts, and several on one parameter."""
    nn, prune = torch.nn, torch.nn.utils.prune

    def shown(function, *args, module=None, **kwargs):
        m = module or nn.Linear(3, 2)
        assert getattr(prune, function)(m, "weight", *args, **kwargs) is m
        m(torch.ones(1, 3) if module is None else torch.ones(1, 1, 4, 4)).sum().backward()
        hook = type(next(iter(m._forward_pre_hooks.values()))).__name__
        return m.weight_mask, m.weight.detach(), m.weight_orig.grad, list(m._parameters), list(m._buffers), hook

    scores = torch.arange(6.0).reshape(2, 3)
    for function, options in [
        ("identity", {}),
        ("random_unstructured", {"amount": 2}),
        ("random_unstructured", {"amount": 0.5}),
        ("l1_unstructured", {"amount": 2}),
        ("l1_unstructured", {"amount": 0.3}),
        ("l1_unstructured", {"amount": 2, "importance_scores": scores}),
        ("l1_unstructured", {"amount": 2, "importance_scores": scores[0]}),
        ("random_structured", {"amount": 1, "dim": 0}),
        ("random_structured", {"amount": 1, "dim": 1}),
        ("ln_structured", {"amount": 1, "n": 2, "dim": 0}),
        ("ln_structured", {"amount": 0.5, "n": 1, "dim": 1}),
        ("ln_structured", {"amount": 1, "n": float("inf"), "dim": -1}),
        ("ln_structured", {"amount": 1, "n": "fro", "dim": -1}),
        ("ln_structured", {"amount": 1, "n": 2, "dim": 5}),
        ("custom_from_mask", {"mask": torch.tensor([[1, 0, 1], [0, 1, 1]])}),
        ("custom_from_mask", {"mask": torch.tensor([[1, 0, 1]])}),
    ]:
        show(f"{function} {options}", lambda: shown(function, **options))
    show("conv", lambda: shown("ln_structured", amount=1, n=2, dim=0, module=nn.Conv2d(1, 2, 2)))
    show("bias", lambda: prune.ln_structured(nn.Linear(2, 2), "bias", 1, 2, 0))
    for amount in (-1, 1.5, -0.1, 100, "a", None, 0, 0.0, 1.0):
        show(f"amount {amount}", lambda: shown("l1_unstructured", amount=amount))
        show(f"slices {amount}", lambda: shown("ln_structured", amount=amount, n=2, dim=0))
    show("other name", lambda: prune.identity(nn.Linear(2, 2), "foo"))

    def several():
        m = nn.Linear(3, 4)
        prune.l1_unstructured(m, "weight", amount=2)
        prune.random_unstructured(m, "weight", amount=0.4)
        prune.ln_structured(m, "weight", amount=1, n=2, dim=0)
        prune.custom_from_mask(m, "weight", torch.ones(4, 3))
        (hook,) = m._forward_pre_hooks.values()
        return m.weight_mask, type(hook).__name__, [type(h).__name__ for h in hook], len(hook), prune.is_pruned(m)

    show("several", several)

    def removed():
        m = prune.l1_unstructured(nn.Linear(3, 2), "weight", amount=2)
        masked = m.weight.detach().clone()
        prune.remove(m, "weight")
        return torch.equal(masked, m.weight), list(m._parameters), list(m._buffers), prune.is_pruned(nn.Sequential(m))

    show("removed", removed)
    show("remove nothing", lambda: prune.remove(nn.Linear(2, 2), "weight"))

    def everywhere(method=prune.L1Unstructured, **options):
        m = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
        prune.global_unstructured([(m[0], "weight"), (m[1], "weight")], pruning_method=method, **options)
        return m[0].weight_mask, m[1].weight_mask

    for options in (
        {"amount": 4},
        {"amount": 0.3},
        {"amount": 1, "importance_scores": 3},
        {"amount": 1, "n": 2, "method": prune.LnStructured},
    ):
        show("global", lambda: everywhere(**options))
    show("global of 3", lambda: prune.global_unstructured(3, prune.L1Unstructured, amount=1))
    show(
        "without module",
        lambda: prune.L1Unstructured(2).prune(torch.arange(4.0), default_mask=torch.tensor([1, 1, 0, 1])),
    )
    show("abstract", lambda: prune.BasePruningMethod())


def functional_calls(torch, show):
    """Other tensors in the place of a module's own."""
    nn = torch.nn

    def call(module, tensors, *args, **options):
        return torch.nn.utils.stateless.functional_call(module, tensors, *args, **options)

    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    w, x = torch.zeros(2, 2), torch.ones(1, 2)
    for tensors in (
        {"0.weight": w},
        {"0.weight": w, "foo": w},
        {"0.weight": 3},
        {"0.in_features": w},
        {"0": w},
        {"0.a.b": w},
        {"": w},
        {"0.bias": None},
    ):
        for strict in (False, True):
            show(f"{list(tensors)} {strict}", lambda: call(net, tensors, x, strict=strict).detach())
        show("as before", lambda: all(torch.equal(v, before[k]) for k, v in net.state_dict().items()))

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = self.b = nn.Parameter(torch.ones(1))
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x):
            self.count = self.count + 1
            return self.a * 10 + self.b + x

    zero, one = torch.zeros(1), torch.ones(1)
    for tensors in ({"a": zero}, {"b": zero}, {"a": zero, "b": one}, {"a": zero, "b": zero}, {"count": zero}):
        for tie in (True, False):

            def tied(tensors=dict(tensors), tie=tie):  # noqa: B006
                m = Tied()
                result = call(m, tensors, (1,), tie_weights=tie).detach()
                return result, tensors, m.count

            show(f"tied {list(tensors)} {tie}", tied)

    def gradient():
        fresh = {k: v.clone().requires_grad_() for k, v in before.items()}
        call(net, fresh, x).sum().backward()
        return [v.grad for v in fresh.values()], [p.grad for p in net.parameters()]

    show("gradient", gradient)
    show("error inside", lambda: call(net, {"0.weight": torch.zeros(5, 5)}, x))
    show("as before", lambda: all(torch.equal(v, before[k]) for k, v in net.state_dict().items()))


def lazy(torch, show):
    """Lazy modules: the first call, states, errors."""
    nn = torch.nn
    x = torch.ones(2, 4)

    def first_call(*args, **kwargs):
        m = nn.LazyLinear(3)
        shape = m(*args, **kwargs).shape
        return shape, type(m).__name__, m, m._forward_pre_hooks, m._load_state_dict_pre_hooks

    show("call", lambda: first_call(x))
    show("keyword", lambda: first_call(input=x))
    show("too many", lambda: first_call(x, 3))
    show("before", lambda: (nn.LazyLinear(3), nn.LazyLinear(3).weight, nn.LazyLinear(3).has_uninitialized_params()))
    show("state", lambda: nn.LazyLinear(3).state_dict())

    def loaded(target, source):
        return target.load_state_dict(source.state_dict()), target

    show("load", lambda: loaded(nn.LazyLinear(3), nn.Linear(4, 3)))
    show("load lazy", lambda: loaded(nn.LazyLinear(3), nn.LazyLinear(3)))
    show("lazy into full", lambda: loaded(nn.Linear(4, 3), nn.LazyLinear(3)))
    show("copies", lambda: (copy.deepcopy(nn.LazyLinear(3)), pickle.loads(pickle.dumps(nn.LazyLinear(3)))))
    show("sequence", lambda: (lambda m: (m(x).shape, m))(nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())))

    class Lazy(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.UninitializedParameter()

        def forward(self, x):
            return x

    def with_initialize(initialize):
        m = type("Lazy", (Lazy,), {"initialize_parameters": initialize} if initialize else {})()
        return m(x).shape, m(x).shape, m

    show("no initialize", lambda: with_initialize(None))
    show("forgets", lambda: with_initialize(lambda self, x: None))
    show("materializes", lambda: with_initialize(lambda self, x: self.w.materialize(x.shape)))


def folding(torch, show):
    """Batch normalisations folded into the layers before them; making modules without values; memory formats."""
    nn, utils = torch.nn, torch.nn.utils

    def folded(layer, norm, x, fuse, *args):
        norm.running_mean.uniform_()
        norm.running_var.uniform_(1, 2)
        norm.weight.data.uniform_()
        layer, norm = layer.eval(), norm.eval()
        fused = fuse(layer, norm, *args)
        close = torch.allclose(norm(layer(x)), fused(x), atol=1e-5)
        return fused, close, fused is layer, fused.weight.requires_grad, fused.bias.requires_grad

    image = torch.arange(32.0).reshape(1, 2, 4, 4).sin()
    for bias in (True, False):
        conv, back = nn.Conv2d(2, 3, 2, bias=bias), nn.ConvTranspose2d(2, 3, 2, bias=bias)
        show("conv", lambda: folded(conv, nn.BatchNorm2d(3), image, utils.fuse_conv_bn_eval))
        show("transposed", lambda: folded(back, nn.BatchNorm2d(3), image, utils.fuse_conv_bn_eval, True))
        linear = nn.Linear(4, 3, bias=bias)
        show("linear", lambda: folded(linear, nn.BatchNorm1d(3), torch.ones(2, 4), utils.fuse_linear_bn_eval))
    show("features", lambda: utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval()))
    show("training", lambda: utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))
    untracked = nn.BatchNorm2d(1, track_running_stats=False).eval()
    show("no statistics", lambda: utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1).eval(), untracked))
    show("skip_init", lambda: (lambda m: (m, m.weight.shape, m.weight.device))(utils.skip_init(nn.Linear, 2, 3)))
    show("skip_init meta", lambda: utils.skip_init(nn.Linear, 2, 3, device="meta").weight.device)
    for cls in (nn.ReLU, int, type("Any", (nn.Module,), {"__init__": lambda self, **kwargs: None})):
        show("skip_init", lambda: utils.skip_init(cls))
    two = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv1d(2, 3, 3))
    show("2d", lambda: utils.convert_conv2d_weight_memory_format(two, torch.channels_last)[0].weight.stride())
    three = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Conv2d(2, 3, 3))
    show("3d", lambda: utils.convert_conv3d_weight_memory_format(three, torch.channels_last_3d)[0].weight.stride())
