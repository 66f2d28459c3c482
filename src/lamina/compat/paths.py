"""Which paths of torch lie elsewhere in lamina, and which are not there at all.

A path that is the same below `lamina` and `torch` needs no entry: the modules themselves win over this table.
"""

# Path of torch -> modules of lamina that have its names.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "functorch": ("lamina.func", "lamina._functorch.make_functional", "torch.fx.experimental.proxy_tensor"),
    "functorch.einops": ("lamina.func",),
    "functorch.experimental": ("lamina.func", "lamina._functorch.batches"),
    "torch._C._functorch": ("lamina._functorch.wrappers",),
    "torch._C._nn": ("lamina.nn._native",),
    "torch._custom_ops": ("lamina.library",),
    "torch._C._autograd": ("lamina.autograd.native",),
    "torch._functorch.apis": ("lamina.func", "lamina._functorch.batches"),
    "torch._functorch.batch_norm_replacement": ("lamina.func",),
    "torch._functorch.deprecated": ("lamina.func", "lamina._functorch.make_functional"),
    "torch._functorch.eager_transforms": ("lamina.func", "lamina._functorch.batches"),
    "torch._functorch.functional_call": ("lamina.func",),
    "torch._functorch.vmap": ("lamina.func", "lamina._functorch.batches", "lamina._functorch.wrappers"),
    "torch._jit_internal": ("lamina.jit",),
    "torch._C._profiler": ("lamina.profiler", "lamina.core.traces"),
    "torch._prims": ("lamina",),
    "torch._refs.fft": ("lamina.fft",),
    "torch._refs.linalg": ("lamina.linalg",),
    "torch._refs.nn": ("lamina.nn",),
    "torch._refs.nn.functional": ("lamina.nn.functional",),
    "torch._refs.special": ("lamina.special",),
    "torch._tensor": ("lamina",),
    "torch._tensor_str": ("lamina.core.printing", "lamina"),
    "torch._vendor": (),
    "torch._vendor.packaging": ("packaging",),
    "torch._vendor.packaging.version": ("packaging.version",),
    "torch.autograd.variable": ("lamina.autograd",),
    "torch.functional": ("lamina",),
    "torch.fx._symbolic_trace": ("lamina.fx.tracer",),
    "torch.nn.modules": ("lamina.nn",),
    "torch.nn.parallel.data_parallel": ("lamina.nn.parallel",),
    "torch.nn.parallel.distributed": ("lamina.nn.parallel",),
    "torch.nn.parameter": ("lamina.core.parameter",),
    "torch.random": ("lamina",),
    "torch.return_types": ("lamina",),
    "torch.serialization": ("lamina.io", "lamina.io.serialization", "lamina"),
    "torch.storage": ("lamina.core.typed_storage", "lamina.core.storage", "lamina.io.serialization", "lamina"),
    "torch.utils.data._utils": ("lamina.utils.data",),
    "torch.utils.data.dataloader": ("lamina.utils.data",),
    "torch.utils.data.dataset": ("lamina.utils.data",),
    "torch.utils.data.sampler": ("lamina.utils.data",),
}

# Of these paths the packages: an entry also serves what lies below it.
PACKAGES = frozenset(("torch.nn.modules", "torch.utils.data._utils"))

# Path of torch -> what to say to a program that imports it.
ABSENT: dict[str, str] = {
    "torch.package": "programs are not packaged; save a state_dict",
    "torch.testing._internal": "PyTorch's helpers for its own tests come with PyTorch; append a folder with a copy to torch.testing.__path__",
    "torch.utils.mobile_optimizer": "there is no mobile runtime",
    "torch.utils.data.datapipes": "data pipes are deprecated in PyTorch too; use a Dataset or an IterableDataset",
}


def elsewhere(path: str) -> tuple[str, ...] | None:
    """Lamina's modules that have the names of a torch path: the entry of the path, or of the nearest package above it."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    while "." in path:
        path = path.rpartition(".")[0]
        if path in PACKAGES:
            return ELSEWHERE[path]
    return None


def facades_in(parent: str) -> list[str]:
    """The paths of the table directly below a torch path."""
    return [path for path in ELSEWHERE if path.rpartition(".")[0] == parent]
