"""Who answers a call in its place: modes (that decline, that are entered twice, switched off), foreign objects, subclasses."""

import warnings

import torch
from torch import overrides
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

warnings.simplefilter("ignore")
log = []


def tried(what, call):
    log.clear()
    try:
        result = call()
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:60]}"
    print(what, log, type(result).__name__, result if isinstance(result, (int, str)) else "")


class Like:
    def __init__(self, value=0):
        self.value = value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        log.append(func.__name__)
        return -1


class Sub(torch.Tensor):
    pass


class Mode(TorchFunctionMode):
    def __init__(self, name, answer=lambda func, types, args, kwargs: func(*args, **kwargs)):
        self.name, self.answer = name, answer

    def __torch_function__(self, func, types, args=(), kwargs=None):
        log.append((self.name, func.__name__, [t.__name__ for t in types]))
        return self.answer(func, types, args, kwargs or {})


class Bad(TorchFunctionMode):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return None


x, s = torch.ones(2, 3), Sub([1.0, 2.0])
for what, call in {
    "mm": lambda: torch.mm(Like(), x), "add": lambda: torch.add(x, Like()), "linear": lambda: F.linear(x, Like(), x),
    "pad": lambda: F.pad(x, [1, Like(), 0, 0]), "stack": lambda: torch.stack([Like(), x]), "key": lambda: x[Like()],
    "nested key": lambda: x[(0, (Like(), Like()))], "grad": lambda: torch.autograd.grad(Like(), x), "dropout": lambda: F.dropout(Like()),
    "einsum": lambda: torch.einsum("ij,jk->ik", x, Like()), "split": lambda: torch.split(Like(), [2]),
}.items():  # fmt: skip
    tried(what, call)
key = torch.ones(3)
key[Like()] = 1
key[0] = Like()
print(key.tolist())
for what, call in {
    "ones": lambda: s.new_ones(2), "sum": lambda: s.sum(), "item": lambda: s[0], "max": lambda: torch.max(s, 0).values,
    "view": lambda: s.view(2, 1), "mixed": lambda: s + torch.ones(2),
}.items():  # fmt: skip
    tried(what, call)
declines = Mode("declines", lambda func, types, args, kwargs: NotImplemented)
plain_only = Mode("plain", lambda func, types, args, kwargs: NotImplemented if types else func(*args, **kwargs))
for mode in (Mode("all", lambda *call: -40), declines, plain_only, Mode("through"), Bad()):
    with mode:
        tried("neg", lambda: torch.neg(s))
        tried("randn", lambda: torch.randn(2))
        tried("tensor", lambda: torch.tensor([1.0]))
with Mode("outer"), Mode("inner") as inner:
    tried("two", lambda: torch.empty(2))
    with inner:
        tried("three", lambda: torch.empty(2))
    with torch._C.DisableTorchFunctionSubclass():
        tried("no subclasses", lambda: torch.sum(s))
    with torch._C.DisableTorchFunction():
        tried("nobody", lambda: torch.sum(s))
        print(torch._C._is_torch_function_all_disabled(), overrides.has_torch_function((s,)))
        with overrides._enable_torch_function():
            tried("again", lambda: torch.sum(s))
    print(
        [mode.name for mode in overrides._get_current_function_mode_stack()],
        overrides._get_current_function_mode() is inner,
    )
print(overrides._get_current_function_mode(), overrides._get_current_function_mode_stack())
tried("no sequence", lambda: overrides.has_torch_function(object()))
for base in (torch.ones(2), torch.ones(2, requires_grad=True)):
    for made in (Sub(base), torch.Tensor(base)):
        print(type(made).__name__, made._is_view(), made._base is base, made.requires_grad, made.is_leaf)
print(
    overrides.resolve_name(torch.add),
    overrides.resolve_name(F.relu),
    overrides.resolve_name(len),
)
