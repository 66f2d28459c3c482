"""Programs for test_module_oracle.py: Module and containers."""

import copy
import inspect
from collections import OrderedDict


def members(torch, show):
    """Registering, assigning, reading and deleting members; every rule and its error."""
    nn = torch.nn
    tensor = torch.zeros(2)
    param = nn.Parameter(tensor)

    def before_init(body):
        return lambda: type("Early", (nn.Module,), {"__init__": body})()

    for label, body in {
        "parameter": lambda self: setattr(self, "x", param),
        "module": lambda self: setattr(self, "x", nn.ReLU()),
        "buffer": lambda self: setattr(self, "x", nn.Buffer(tensor)),
        "register_parameter": lambda self: self.register_parameter("x", None),
        "register_buffer": lambda self: self.register_buffer("x", None),
        "read": lambda self: self.x,
        "positional": lambda self: nn.Module.__init__(self, 3),
        "keyword": lambda self: nn.Module.__init__(self, a=3, b=4),
    }.items():
        show(f"before init: {label}", before_init(body))
    linear = nn.Linear(2, 2)
    for name in (3, "a.b", "", "forward", "weight"):
        show(f"register_parameter {name}", lambda: linear.register_parameter(name, None))
        show(f"register_buffer {name}", lambda: linear.register_buffer(name, None))
        show(f"add_module {name}", lambda: linear.add_module(name, None))
    show("parameter from tensor", lambda: linear.register_parameter("q", tensor))
    show("parameter computed", lambda: linear.register_parameter("q", param * 2))
    show("buffer from int", lambda: linear.register_buffer("q", 3))
    show("module from int", lambda: linear.add_module("q", 3))
    for value in (tensor, 3, nn.ReLU(), nn.Buffer(tensor)):
        show("parameter = other", lambda: setattr(linear, "weight", value))
    sequential = nn.Sequential(nn.ReLU())
    for value in (tensor, 3, None):
        show("module = other", lambda: (setattr(sequential, "0", value), sequential))
    norm = nn.BatchNorm1d(2)

    def kinds():
        return (
            list(norm._parameters),
            list(norm._buffers),
            list(norm._modules),
            sorted(norm._non_persistent_buffers_set),
        )

    for name, value in [
        ("running_mean", 3),
        ("running_mean", nn.Parameter(tensor)),
        ("running_var", nn.Tanh()),
        ("running_var", nn.Parameter(tensor)),
        ("bias", None),
        ("plain", 3),
        ("plain", nn.Parameter(tensor)),
        ("extra", nn.Buffer(tensor, persistent=False)),
        ("extra", nn.Buffer(tensor, persistent=True)),
        ("extra", nn.Buffer(tensor, persistent=False)),
        ("extra", tensor + 1),
        ("extra", "text"),
    ]:
        # what nn.Buffer makes is a Tensor in PyTorch
        kind = "Tensor" if isinstance(value, nn.Buffer) else type(value).__name__
        show(f"{name} = {kind}", lambda: (setattr(norm, name, value), kinds()))
    for name in ("extra", "nope", "plain"):
        show(f"del {name}", lambda: (delattr(norm, name), kinds()))
    show("read nothing", lambda: norm.nope)
    show("dir", lambda: [n for n in dir(nn.Sequential(nn.ReLU())) if not n.startswith("_")])
    show("signatures", lambda: inspect.signature(nn.Module.register_buffer).parameters.keys())


def tree(torch, show):
    """Walking and finding by name."""
    nn = torch.nn

    def net():
        return nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.BatchNorm1d(2))

    for path in (
        "0.0.weight",
        "1.running_mean",
        "weight",
        "0.5.weight",
        "0.0.nope",
        "0.0",
        "",
        "0.0.weight.x",
        "0.training",
    ):
        show(f"get_parameter {path}", lambda: net().get_parameter(path).shape)
        show(f"get_buffer {path}", lambda: net().get_buffer(path).shape)
        show(f"get_submodule {path}", lambda: net().get_submodule(path))
    for path in ("0.0", "", "5", "0.7", "x.y", "0.0.weight", "0.0.new", "0.1.a.b"):
        for strict in (False, True):

            def replaced(path=path, strict=strict):
                changed = net()
                changed.set_submodule(path, nn.Tanh(), strict)
                return changed

            show(f"set_submodule {path} {strict}", replaced)
    show("set_submodule 3", lambda: net().set_submodule("0.0", 3))
    shared = nn.Sequential(nn.Linear(2, 2))
    shared.again = shared[0]
    shared.add_module("none", None)
    for remove in (True, False):
        show("named_modules", lambda: [n for n, _ in shared.named_modules(prefix="p", remove_duplicate=remove)])
        show("named_parameters", lambda: [n for n, _ in shared.named_parameters("p", True, remove)])
        show("modules", lambda: len(list(shared.modules(remove_duplicate=remove))))
    show("children", lambda: (list(shared.children()), [n for n, _ in shared.named_children()]))
    show("own", lambda: (list(shared.parameters(recurse=False)), [n for n, _ in net().named_buffers()]))
    order = []
    net().apply(lambda m: order.append(type(m).__name__))
    show("apply", lambda: order)
    show("train", lambda: [m.training for m in net().eval().modules()])
    show("train 1", lambda: net().train(1))
    show("forward", lambda: nn.Module()(3))
    show("requires_grad_", lambda: [p.requires_grad for p in net().requires_grad_(False).parameters()])


def hooks(torch, show):
    """Forward hooks of every kind, and their order."""
    nn = torch.nn
    module = nn.modules.module
    x = torch.ones(1, 2, requires_grad=True)

    def order():
        log, m = [], nn.Linear(2, 1)
        m.register_forward_pre_hook(lambda m, a: log.append("pre 1"))
        m.register_forward_pre_hook(lambda m, a, k: log.append(("pre 2", k)), with_kwargs=True, prepend=True)
        m.register_forward_hook(lambda m, a, o: log.append("forward 1"))
        m.register_forward_hook(lambda m, a, k, o: log.append(("forward 2", k)), with_kwargs=True, prepend=True)
        m.register_full_backward_hook(lambda m, gi, go: log.append(("backward", gi, go)))
        m.register_full_backward_hook(lambda m, gi, go: log.append("backward first"), prepend=True)
        m.register_full_backward_pre_hook(lambda m, go: log.append(("backward pre", go)))
        handles = [
            module.register_module_forward_pre_hook(lambda m, a: log.append("global pre")),
            module.register_module_forward_hook(lambda m, a, k, o: log.append(("global", k)), with_kwargs=True),
            module.register_module_full_backward_hook(lambda m, gi, go: log.append("global backward")),
            module.register_module_full_backward_pre_hook(lambda m, go: log.append("global backward pre")),
        ]
        m(x).sum().backward()
        for handle in handles:
            handle.remove()
        m(input=x)
        return log

    show("order", order)

    def with_pre_hook(hook, with_kwargs):
        m = nn.Linear(2, 1)
        m.register_forward_pre_hook(hook, with_kwargs=with_kwargs)
        return m(x).shape

    show("pre returns 3", lambda: with_pre_hook(lambda m, a, k: 3, True))
    show("pre returns one", lambda: with_pre_hook(lambda m, a, k: (1,), True))
    show("pre returns both", lambda: with_pre_hook(lambda m, a, k: ((torch.ones(5, 2),), {}), True))
    show("pre returns args", lambda: with_pre_hook(lambda m, a: (torch.ones(5, 2),), False))
    show("pre returns arg", lambda: with_pre_hook(lambda m, a: torch.ones(5, 2), False))

    def always(*hooks, arg=x):
        log, m = [], nn.Linear(2, 1)

        def fails(m, a, o):
            log.append("fails")
            raise ValueError("boom")

        for kind in hooks:
            m.register_forward_hook(
                fails if "fails" in kind else lambda m, a, o: log.append(type(o)), always_call="always" in kind
            )
        with_global = module.register_module_forward_hook(lambda m, a, o: log.append("global"), always_call=True)
        try:
            m(arg)
        except Exception as error:
            log.append(type(error))
        with_global.remove()
        return log

    show("always", lambda: always("fails", "logs always"))
    show("always fails", lambda: always("fails always", "logs always", arg=torch.ones(3)))
    show("removed", lambda: (lambda m, h: (h.remove(), h.remove(), len(m._forward_hooks)))(*_hooked(nn)))

    def context():
        m = nn.Linear(2, 1)
        with m.register_forward_hook(lambda m, a, o: torch.ones(1)):
            inside = m(x)
        return inside, len(m._forward_hooks)

    show("context", context)

    def registration():
        log = []
        handles = [
            register(lambda m, n, v: log.append((n, v is None)))
            for register in (
                module.register_module_parameter_registration_hook,
                module.register_module_buffer_registration_hook,
                module.register_module_module_registration_hook,
            )
        ]
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        net.b = nn.Buffer(torch.ones(1))
        net.b = torch.ones(1)
        net.child = nn.Tanh()
        net.child = None
        net.p = nn.Parameter(torch.ones(1))
        net.p = None
        for handle in handles:
            handle.remove()
        return log

    show("registration", registration)


def _hooked(nn):
    m = nn.ReLU()
    return m, m.register_forward_hook(lambda *a: None)


def backward_hooks(torch, show):
    """Full and old backward hooks: what they get, what they may return, what they refuse."""
    nn = torch.nn
    ones = torch.ones(2)

    def forward(function):
        return type("Made", (nn.Module,), {"forward": staticmethod(function)})()

    kinds = {
        "two": lambda a, b=None: (a * 2, a * 3),
        "dict": lambda a: {"x": a * 2},
        "list": lambda a: [a * 2],
        "same": lambda a: a,
        "int": lambda a: 3,
    }

    def leaf():
        return torch.ones(2, requires_grad=True)

    def run(m, args, register, result=None):
        log = []

        def hook(module, *grads):
            log.append(grads)
            return result

        getattr(m, register)(hook)
        out = m(*args)
        flat = list(out.values()) if isinstance(out, dict) else list(out) if isinstance(out, (tuple, list)) else [out]
        if isinstance(flat[0], torch.Tensor):
            sum(t.sum() for t in flat).backward()
        return log, [args[0].grad]

    for register in ("register_full_backward_hook", "register_full_backward_pre_hook", "register_backward_hook"):
        for kind, function in kinds.items():
            show(f"{register} {kind}", lambda: run(forward(function), [leaf()], register))
        show(f"{register} 2 args", lambda: run(forward(kinds["two"]), [leaf(), leaf()], register))
        show(f"{register} 2nd plain", lambda: run(forward(kinds["two"]), [leaf(), ones], register))
    full, pre = "register_full_backward_hook", "register_full_backward_pre_hook"
    show("no input", lambda: run(nn.Tanh().requires_grad_(), [ones], full))
    show("parameters only", lambda: run(nn.Linear(2, 1), [ones], full))
    show("parameters only, returns", lambda: run(nn.Linear(2, 1), [ones], full, (ones,)))
    for result in ((ones,), ones, (ones, ones), (None,)):
        show("returns", lambda: run(forward(kinds["two"]), [leaf()], full, result))
    for result in ((ones,), (ones, ones), (ones, None)):
        show("pre returns", lambda: run(forward(kinds["two"]), [leaf()], pre, result))

    def unused(register):
        log, m, a = [], forward(kinds["two"]), leaf()
        getattr(m, register)(lambda m, *grads: log.append(grads))
        m(a)[0].sum().backward()
        return log, a.grad

    show("unused output", lambda: (unused(full), unused(pre)))
    show("name", lambda: (lambda m: (m.register_full_backward_hook(print), m(leaf()).grad_fn.name()))(nn.Tanh()))

    def both(*registers):
        m = nn.Linear(2, 1)
        for register in registers:
            getattr(m, register)(lambda *a: None)

    show("old and full", lambda: both("register_backward_hook", full))
    show("full and old", lambda: both(full, "register_backward_hook"))

    def global_both():
        handle = nn.modules.module.register_module_full_backward_hook(lambda *a: None)
        try:
            nn.modules.module.register_module_backward_hook(lambda *a: None)
        finally:
            handle.remove()

    show("global both", global_both)

    def in_place():
        m = nn.ReLU(inplace=True)
        m.register_full_backward_hook(lambda *a: None)
        m(leaf() * 1)

    show("in-place under a hook", in_place)


def state(torch, show):
    """state_dict and load_state_dict with all that can be wrong."""
    nn = torch.nn

    def net():
        return nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.BatchNorm1d(2))

    show("state_dict", lambda: net().state_dict())
    show("prefix", lambda: net().state_dict(prefix="foo.")._metadata)
    show("positional", lambda: list(net().state_dict({}, "a.", True)))
    show("keep_vars", lambda: [type(t).__name__ for t in net().state_dict(keep_vars=True).values()])
    good = net().state_dict()
    for label, given, options in [
        ("int", 3, {}),
        ("empty", {}, {}),
        ("unexpected", {"a": 3, "b.c": 4, "0.x": 5, "1.weight.y": 6}, {}),
        ("not strict", {"a": 3, "b.c": 4}, {"strict": False}),
        ("all", good, {}),
        ("shape", {**good, "0.0.weight": torch.zeros(5), "1.bias": torch.zeros(())}, {}),
        ("int value", {**good, "0.0.weight": 3}, {}),
        ("meta", {**good, "0.0.weight": torch.zeros(2, 2, device="meta")}, {}),
        ("assign", good, {"assign": True}),
    ]:
        show(f"load {label}", lambda: net().load_state_dict(given, **options))

    def assigned(value):
        m = nn.Linear(2, 2, device="meta")
        m.weight.requires_grad_(False)
        m.load_state_dict({"weight": value, "bias": torch.zeros(2)}, assign=True)
        return m.weight, m.bias, m.weight is value

    show("assign tensor", lambda: assigned(torch.zeros(2, 2)))
    show("assign parameter", lambda: assigned(nn.Parameter(torch.zeros(2, 2))))
    show("to meta", lambda: nn.Linear(1, 1, device="meta").load_state_dict(nn.Linear(1, 1).state_dict()))

    def hooks():
        log, m = [], nn.Sequential(nn.Linear(1, 1))
        inner = m[0]
        inner.register_state_dict_pre_hook(lambda *a: log.append(a[1:]))
        inner.register_state_dict_post_hook(lambda *a: log.append((list(a[1]), a[2:])))
        inner.register_load_state_dict_pre_hook(lambda *a: log.append((type(a[0]).__name__, list(a[1]), a[2:])))
        inner.register_load_state_dict_post_hook(lambda *a: log.append(a[1:]))
        inner._register_load_state_dict_pre_hook(lambda *a: log.append(len(a)))
        m.load_state_dict(m.state_dict())
        return log

    show("hooks", hooks)

    def with_hook(register, hook, call):
        m = nn.Linear(1, 1)
        getattr(m, register)(hook)
        return call(m)

    show("post returns", lambda: with_hook("register_state_dict_post_hook", lambda *a: 3, lambda m: m.state_dict()))
    show(
        "private returns", lambda: with_hook("_register_state_dict_hook", lambda *a: {"q": 1}, lambda m: m.state_dict())
    )
    load_post = "register_load_state_dict_post_hook"
    show("load post returns", lambda: with_hook(load_post, lambda *a: 3, lambda m: m.load_state_dict(m.state_dict())))
    show("load post clears", lambda: with_hook(load_post, lambda m, k: k[0].clear(), lambda m: m.load_state_dict({})))

    class Extra(nn.Module):
        value = 0

        def get_extra_state(self):
            return self.value

        def set_extra_state(self, state):
            self.value = state

    show("extra", lambda: (lambda m: (m.state_dict(), m.load_state_dict({"_extra_state": 5}), m.value))(Extra()))
    show("extra missing", lambda: Extra().load_state_dict({}))
    show("extra unexpected", lambda: nn.ReLU().load_state_dict({"_extra_state": 3}))
    show("no extra", lambda: nn.ReLU().get_extra_state())

    def buffers():
        m = nn.Module()
        m.register_buffer("kept", torch.ones(1))
        m.register_buffer("passing", torch.ones(1), persistent=False)
        m.register_parameter("scalar", nn.Parameter(torch.zeros(())))
        return m.load_state_dict({"kept": torch.zeros(1), "scalar": torch.ones(1)}), m.scalar, m.state_dict()

    show("persistent", buffers)


def conversion(torch, show):
    """to() in all forms; identity of parameters and gradients."""
    nn = torch.nn

    def to(*args, **kwargs):
        m = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)).to(*args, **kwargs)
        return m[0].weight.dtype, m[1].num_batches_tracked.dtype, m[0].weight.device

    f64, like = torch.float64, torch.zeros(1, dtype=torch.float64)
    for args, kwargs in [
        ((), {}),
        ((None,), {}),
        (("cpu",), {}),
        ((f64,), {}),
        (("cpu", f64, True), {}),
        ((f64, True), {}),
        ((like,), {}),
        ((), {"tensor": like}),
        ((), {"device": torch.device("cpu"), "dtype": f64}),
        (("meta",), {}),
        ((torch.int32,), {}),
        ((torch.complex64,), {}),
        (("abc",), {}),
        (("cpu", "cpu"), {}),
        ((), {"dtype": "abc"}),
        ((), {"other": like}),
        (("cpu", 3), {}),
        (("cpu",), {"copy": True}),
    ]:
        show(f"to {args} {kwargs}", lambda: to(*args, **kwargs))

    def identity(convert):
        m = nn.Linear(1, 1)
        m.weight.grad = torch.ones(1, 1)
        weight, grad = m.weight, m.weight.grad
        convert(m)
        new = m.weight.grad
        return m.weight is weight, new is grad, new.dtype, new.device, new.requires_grad

    for label, convert in {
        "double": lambda m: m.double(),
        "half": lambda m: m.half(),
        "bfloat16": lambda m: m.bfloat16(),
        "type": lambda m: m.type(torch.float64),
        "type name": lambda m: m.type("torch.DoubleTensor"),
        "cpu": lambda m: m.cpu(),
        "meta": lambda m: m.to("meta"),
        "to_empty": lambda m: m.to_empty(device="cpu"),
    }.items():
        show(label, lambda: identity(convert))
    show("cuda", lambda: nn.Linear(1, 1).cuda())
    show("from meta", lambda: nn.Linear(1, 1, device="meta").to("cpu"))
    show("empty from meta", lambda: nn.Linear(1, 1, device="meta").to_empty(device="cpu").weight.shape)
    show("channels_last", lambda: nn.Conv2d(3, 3, 3).to(memory_format=torch.channels_last).weight.stride())

    def zero_grad(set_to_none):
        m = nn.Linear(1, 1)
        m.weight.grad = grad = torch.ones(1, 1)
        m.zero_grad(set_to_none)
        return m.weight.grad, grad

    show("zero_grad", lambda: (zero_grad(True), zero_grad(False)))
    show("deepcopy", lambda: copy.deepcopy(nn.Sequential(nn.Linear(2, 1))))


def sequential(torch, show):
    """Sequential as a list."""
    nn = torch.nn

    def of(*modules, **named):
        return nn.Sequential(OrderedDict(named)) if named else nn.Sequential(*modules)

    def three():
        return of(nn.ReLU(), nn.Tanh(), nn.Sigmoid())

    def changed(change):
        m = three()
        result = change(m)
        return result if result is not m else "itself", m, list(m._modules)

    for idx in (0, -1, 3, -4, "0", slice(1, None), slice(None, None, 2)):
        show(f"[{idx}]", lambda: three()[idx])
        show(f"del [{idx}]", lambda: changed(lambda m: m.__delitem__(idx)))
        show(f"pop {idx}", lambda: changed(lambda m: m.pop(idx)))
        show(f"[{idx}] =", lambda: changed(lambda m: m.__setitem__(idx, nn.GELU())))
    for idx in (0, 1, 3, -1, 5, -5):
        show(f"insert {idx}", lambda: changed(lambda m: m.insert(idx, nn.GELU())))
    show("insert 3", lambda: changed(lambda m: m.insert(0, 3)))
    show("append", lambda: changed(lambda m: m.append(nn.GELU())))
    show("append 3", lambda: changed(lambda m: m.append(3)))
    show("extend", lambda: changed(lambda m: m.extend(of(nn.GELU()))))
    show("named", lambda: (of(a=nn.ReLU(), b=nn.Tanh())[1:], of(a=nn.ReLU()) + of(a=nn.Tanh())))
    show("+", lambda: three() + of(nn.GELU()))
    show("+ list", lambda: three() + [nn.GELU()])
    for times in (2, 0, 1.5):
        show(f"* {times}", lambda: three() * times)
        show(f"*= {times}", lambda: changed(lambda m: m.__imul__(times)))
    show("rmul", lambda: 2 * three())
    show("dict", lambda: nn.Sequential({"a": nn.ReLU()}))
    show("list", lambda: nn.Sequential([nn.ReLU()]))
    show("empty", lambda: (nn.Sequential(), nn.Sequential()(3), bool(nn.Sequential())))
    show("two arguments", lambda: three()(1, 2))

    class Lines(nn.Module):
        def extra_repr(self):
            return "one\ntwo"

    show("repr", lambda: of(Lines(), nn.ModuleList([Lines()]), nn.ModuleList([Lines(), Lines()])))


def containers(torch, show):
    """ModuleList, ModuleDict, ParameterList, ParameterDict."""
    nn = torch.nn
    z = torch.zeros(2)

    def changed(make, change):
        m = make()
        result = change(m)
        return result if result is not m else "itself", m

    def modules():
        return nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])

    for idx in (0, -1, 5, -5, "0", slice(1, None)):
        show(f"list [{idx}]", lambda: modules()[idx])
        show(f"list del {idx}", lambda: changed(modules, lambda m: m.__delitem__(idx)))
        show(f"list pop {idx}", lambda: changed(modules, lambda m: m.pop(idx)))
        show(f"list set {idx}", lambda: changed(modules, lambda m: m.__setitem__(idx, nn.GELU())))
    for idx in (0, 1, -1, 10):
        show(f"list insert {idx}", lambda: changed(modules, lambda m: m.insert(idx, nn.GELU())))
    for given in ([nn.GELU()], 3, [3]):
        show("list extend", lambda: changed(modules, lambda m: m.extend(given)))
        show("list +", lambda: modules() + given)
    show("list call", lambda: modules()(3))

    def named():
        return nn.ModuleDict({"a": nn.ReLU(), "c": nn.Tanh()})

    for given in (
        {"z": nn.ReLU(), "b": nn.Tanh()},
        named(),
        [("z", nn.ReLU())],
        3,
        [3],
        [("a", 1, 2)],
        {"a": 3},
        {"keys": nn.ReLU()},
    ):
        show("dict update", lambda: changed(named, lambda m: m.update(given)))
    show(
        "dict", lambda: (lambda d: (d.pop("a"), d, "a" in d, len(d), list(d.items()), list(d.keys()), list(d)))(named())
    )
    show("dict none", lambda: named()["x"])
    show("dict clear", lambda: changed(named, lambda m: m.clear()))

    def values():
        return nn.ParameterList([nn.Parameter(z), torch.zeros(2, 3), 3, None, torch.zeros(())])

    show("parameters", lambda: (values(), len(values()), [type(v).__name__ for v in values()]))
    for idx in (0, -1, 7, slice(1, 3)):
        show(f"parameters [{idx}]", lambda: values()[idx])
        show(f"parameters set {idx}", lambda: changed(values, lambda m: m.__setitem__(idx, torch.ones(1))))
    for given in ([z], 3, z, "ab"):
        show("parameters extend", lambda: changed(values, lambda m: m.extend(given)))
    show("parameters call", lambda: values()(1))
    show("parameters state", lambda: values().state_dict())

    def table():
        return nn.ParameterDict({"b": z, "a": torch.zeros(1, 2), "c": 3})

    given = (
        {"z": z, "y": z},
        OrderedDict(z=z, y=z),
        nn.ParameterDict({"q": z}),
        [("z", z)],
        3,
        [3],
        {3: z},
        {"a.b": z},
    )
    for each in given:
        show("table update", lambda: changed(table, lambda m: m.update(each)))
    show("table |", lambda: (table() | {"n": z}, {"n": z} | table(), table().__ior__({"n": z})))
    for label, change in {
        "pop": lambda m: m.pop("a"),
        "popitem": lambda m: m.popitem(),
        "pop nothing": lambda m: m.pop("x"),
        "setdefault": lambda m: (m.setdefault("a", z), m.setdefault("n", z), m.setdefault("o")),
        "get": lambda m: (m.get("a"), m.get("x"), m.get("x", 5)),
        "views": lambda m: (list(m.keys()), list(m.values()), list(m.items()), list(reversed(m)), "a" in m),
        "clear": lambda m: m.clear(),
        "fromkeys": lambda m: m.fromkeys(["u", "v"], z),
        "copy": lambda m: m.copy()["a"] is m["a"],
        "del": lambda m: m.__delitem__("x"),
        "call": lambda m: m(3),
        "state": lambda m: m.state_dict(),
    }.items():
        show(f"table {label}", lambda: changed(table, change))
    show("popitem nothing", lambda: nn.ParameterDict().popitem())
    show("nested", lambda: nn.ParameterList([table(), z]))
    show("Container", lambda: nn.Container(a=nn.ReLU()))
