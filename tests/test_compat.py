"""Lamina in torch's place: what `import torch` gives, what stays untouched, what packages ask at import.

Each check is a fresh process: the stand-in holds for a whole process, and this one is not to have it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = "import lamina.compat; lamina.compat.install()\n"


def run(code: str, **options) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


SAME_MODULE = (
    "torch torch.nn torch.nn.functional torch.nn.init torch.optim torch.optim.lr_scheduler torch.autograd torch.cuda "
    "torch.cuda.amp torch.utils.data torch.backends.cudnn torch.jit torch.distributed torch.testing torch._C"
).split()
CHECK_SAME = """
own = importlib.import_module({name!r}.replace("torch", "lamina"))
assert importlib.import_module({name!r}) is own, {name!r}
assert own.__spec__.name.startswith("lamina"), {name!r}
"""


def test_every_path_gives_the_same_module():
    run("import importlib\n" + INSTALL + "".join(CHECK_SAME.format(name=name) for name in SAME_MODULE))


SHOWN = {
    "nn.Linear": "torch.nn.modules.linear.Linear", "nn.AdaptiveAvgPool2d": "torch.nn.modules.pooling.AdaptiveAvgPool2d",
    "nn.MultiheadAttention": "torch.nn.modules.activation.MultiheadAttention", "optim.Adam": "torch.optim.adam.Adam",
    "optim.lr_scheduler.StepLR": "torch.optim.lr_scheduler.StepLR", "utils.data.DataLoader": "torch.utils.data.dataloader.DataLoader",
    "distributions.AffineTransform": "torch.distributions.transforms.AffineTransform", "Tensor": "torch.Tensor",
    "nn.utils.prune.Identity": "torch.nn.utils.prune.Identity", "Generator": "torch._C.Generator",
}  # fmt: skip
CHECK_SHOWN = """
shown = {path: str(operator.attrgetter(path)(torch)) for path in SHOWN}
assert shown == {path: f"<class '{name}'>" for path, name in SHOWN.items()}, shown
for path in SHOWN:
    found = operator.attrgetter(path)(torch)
    assert pickle.loads(pickle.dumps(found)) is found, path
assert inspect.getsource(torch.nn.Linear).startswith("class Linear")
"""


@pytest.mark.parametrize("before", ["", "import lamina.nn\n"])
def test_types_print_and_pickle_as_pytorchs(before):
    """Those loaded before, and those loaded after."""
    run(
        f"import inspect, operator, pickle\nSHOWN = {SHOWN}\n"
        + before
        + INSTALL
        + "import torch, torch.nn.utils.prune"
        + CHECK_SHOWN
    )


FROM_IMPORTS = {
    "torch": "Tensor, nn, optim, float32, no_grad, __version__",
    "torch.nn.modules.linear": "Linear",
    "torch.nn.modules.module": "Module",
    "torch.nn.modules": "Module, Conv2d",
    "torch.nn.parameter": "Parameter",
    "torch.optim.optimizer": "Optimizer",
    "torch.optim.lr_scheduler": "StepLR",
    "torch.utils.data.dataset": "Dataset, TensorDataset",
    "torch.utils.data.dataloader": "DataLoader, default_collate",
    "torch.utils.data.sampler": "Sampler, BatchSampler",
    "torch.serialization": "save, load",
    "torch._tensor": "Tensor",
    "torch.types": "Number, Device",
    "torch.amp": "autocast, GradScaler",
    "torch.cuda.amp": "autocast, GradScaler",
    "torch.jit": "ScriptModule, unused, script",
    "torch._dynamo": "allow_in_graph",
    "torch.multiprocessing": "spawn, Process, Queue",
    "torch.profiler": "profile, record_function",
    "torch.testing": "assert_close, make_tensor",
    "torch.torch_version": "TorchVersion",
    "torch._C._nn": "gelu, _parse_to",
    "torch._dynamo.eval_frame": "OptimizedModule",
    "torch.compiler": "allow_in_graph, set_stance",
    "torch.distributions.constraints": "*",
    "torch.distributions.utils": "_sum_rightmost, _standard_normal",
    "torch.futures": "Future, collect_all",
    "torch.hub": "HASH_REGEX, urlparse",
    "torch.jit.annotations": "List",
    "torch.library": "custom_op, Library",
    "torch.nn.modules.transformer": "_get_activation_fn",
    "torch.nn.parallel.distributed": "DistributedDataParallel",
    "torch.utils._pytree": "Context, _dict_flatten_with_keys, _list_unflatten",
}


@pytest.mark.parametrize("module, names", FROM_IMPORTS.items())
def test_names_that_packages_import(module, names):
    run(INSTALL + f"from {module} import {names}")


def test_probes_answer_as_a_pytorch_without_accelerators():
    run(
        INSTALL
        + """
import torch, importlib.metadata
assert not torch.cuda.is_available() and torch.cuda.device_count() == 0 and not torch.cuda.is_initialized()
assert not torch.distributed.is_available() and not torch.distributed.is_initialized()
from torch.distributed import ReduceOp, all_reduce, init_process_group
for call, error in ((all_reduce, ValueError), (init_process_group, NotImplementedError)):
    try:
        call(torch.ones(1), op=ReduceOp.SUM)
    except error as e:
        assert "one process" in str(e)
    else:
        raise AssertionError(call)
assert not torch.backends.mps.is_available() and not torch.xpu.is_available() and not torch.mps.is_available()
assert not torch.jit.is_scripting() and not torch.jit.is_tracing() and torch._C._get_tracing_state() is None
assert torch.version.cuda is None and torch.backends.cudnn.deterministic is False
torch.cuda.manual_seed_all(0); torch.cuda.empty_cache(); torch._C._log_api_usage_once("a.b")
assert torch.serialization.load is torch.load
with torch.backends.cudnn.flags(enabled=True, deterministic=True):
    assert torch.backends.cudnn.deterministic
assert not torch.backends.cudnn.deterministic
try:
    torch.cuda.current_device()
except AssertionError as error:
    assert str(error).startswith("Torch not compiled with CUDA enabled")
assert str(torch.__version__).startswith("2.13.0+lamina")
assert torch.__version__ >= "2.0" and torch.__version__ > (1, 13) and torch.__version__ < "3.0a1"
assert importlib.metadata.version("torch") == str(torch.__version__) and torch.__name__ == "torch"
assert "torch" in importlib.metadata.packages_distributions()["torch"]
"""
    )


def test_a_part_that_is_absent_says_why():
    text = run(
        INSTALL
        + "try:\n    import torch.package\nexcept ModuleNotFoundError as error:\n    print(error.name, error)\n"
        + "try:\n    import torch.nonsense\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    )
    assert text.splitlines() == [
        "torch.package lamina has no torch.package: programs are not packaged; save a state_dict",
        "No module named 'torch.nonsense'",
    ]


def test_a_part_that_is_only_named_can_be_mentioned_and_not_used():
    run(
        INSTALL
        + """
import torch
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy
from torch.distributed.tensor import DTensor
from torch.utils.flop_counter import FlopCounterMode
assert not isinstance(torch.ones(1), DTensor) and not isinstance(torch.nn.Linear(1, 1), FullyShardedDataParallel)
assert torch.export.Dim.__module__ == "torch.export"
assert torch.utils._python_dispatch.is_traceable_wrapper_subclass(torch.ones(1)) is False
for call, said in (
    (lambda: DTensor.from_local, "from_local"),
    (lambda: torch.export.nonsense, "nonsense"),
    (lambda: torch.distributed.nonsense, "is_available"),
):
    try:
        call()
    except AttributeError as error:
        assert said in str(error), error
    else:
        raise AssertionError(said)
for call, said in (
    (lambda: torch.export.export(None), "torch.export.export: graphs are not exported; run the module itself"),
    (lambda: FullyShardedDataParallel(None), "lamina runs in one process"),
    (lambda: torch.nested.nested_tensor([]), "pad_sequence"),
):
    try:
        call()
    except NotImplementedError as error:
        assert said in str(error), error
    else:
        raise AssertionError(said)
"""
    )


@pytest.fixture
def folder_with_a_torch(tmp_path: Path) -> Path:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("Tensor = 'the real one'\n")
    return tmp_path


def test_an_installed_torch_stays_untouched(folder_with_a_torch):
    code = f"import sys; sys.path.insert(0, {str(folder_with_a_torch)!r})\n"
    run(code + "import lamina\nimport torch\nassert torch.Tensor == 'the real one'")
    run(code + INSTALL + "import lamina, torch\nassert torch is lamina")


def test_an_imported_torch_is_refused(folder_with_a_torch):
    text = run(
        f"import sys; sys.path.insert(0, {str(folder_with_a_torch)!r})\nimport torch\nimport lamina.compat\n"
        "try:\n    lamina.compat.install()\nexcept RuntimeError as error:\n    print(error)\n"
        "assert torch.Tensor == 'the real one' and not lamina.compat.installed()"
    )
    assert text.startswith("PyTorch has already been imported in this process (from ")


def test_install_twice_and_import_of_lamina_alone():
    run(INSTALL + "import sys; n = len(sys.meta_path); lamina.compat.install(); assert len(sys.meta_path) == n")
    run("import sys, lamina; assert not [name for name in sys.modules if name.startswith('lamina.compat')]")


@pytest.mark.parametrize(
    "smaller, larger",
    [
        ("2.9.1", "2.13.0"),
        ("2.13.0rc1", "2.13.0"),
        ("2.13.0.dev1", "2.13.0a1"),
        ("2.13.0", "2.13.0+cpu"),
        ("2.13", "2.13.1"),
    ],
)
def test_versions_compare_as_versions(smaller, larger):
    from lamina.torch_version import TorchVersion

    assert TorchVersion(smaller) < larger and TorchVersion(larger) > smaller and TorchVersion(smaller) != larger
    assert TorchVersion(smaller) <= smaller and TorchVersion("2.13.0") == (2, 13)


def test_names_without_meaning_on_a_cpu_answer_or_refuse_by_name():
    run(
        INSTALL
        + """
import torch, torch.nn.attention, torch.nn.parallel, torch.utils.benchmark, torch.utils._contextlib
assert {str(torch.qint8), str(torch.complex32), torch.bfloat16.abbr} == {"torch.qint8", "torch.complex32", "bf16"}
assert torch.zeros(2).dtype not in (torch.quint8, torch.uint4)
for call, error, said in (
    (lambda: torch.zeros(2, dtype=torch.quint8), NotImplementedError, "torch.quint8"),
    (lambda: torch.ones(2).chalf(), NotImplementedError, "torch.complex32"),
    (lambda: torch.eig(torch.eye(2)), RuntimeError, "torch.linalg.eig"),
    (lambda: torch.int_repr(torch.eye(2)), NotImplementedError, "int_repr"),
    (lambda: torch.masked.masked_tensor(1, 2), NotImplementedError, "torch.masked.sum"),
    (lambda: torch.ones(2).is_nonzero(), RuntimeError, "ambiguous"),
):
    try:
        call()
    except error as e:
        assert said in str(e), e
    else:
        raise AssertionError(said)
model = torch.nn.DataParallel(torch.nn.Linear(2, 3))
assert list(model.state_dict()) == ["module.weight", "module.bias"] and model(torch.ones(1, 2)).shape == (1, 3)
with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]), torch._C.DisableTorchFunctionSubclass():
    assert not torch.backends.cuda.flash_sdp_enabled()
assert torch.utils.benchmark.Timer("x + 1", globals={"x": torch.ones(2)}).timeit(10).median > 0
a, b = torch.ones(2), torch.zeros(3)
torch.utils.swap_tensors(a, b)
assert a.shape == (3,) and b.tolist() == [1.0, 1.0]
"""
    )


def test_what_test_suites_import():
    """Modules that PyTorch's own test support needs, and names of them that it uses at import."""
    run(
        INSTALL
        + """
import pytest
import torch
from torch._C import ScriptDict, ScriptList
from torch._inductor.utils import GPU_TYPES
from torch._logging.scribe import open_source_signpost
from torch._utils_internal import get_writable_path
from torch.backends import nnpack, xnnpack
from torch.nn import _reduction
from torch.testing._comparison import BooleanPair, NonePair, NumberPair, ObjectPair, TensorLikePair, not_close_error_metas
from torch.testing._utils import wrapper_set_seed
from torch.utils import _python_dispatch, cpp_extension
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype
from torch.utils.weak import WeakTensorKeyDictionary

assert torch._C._get_torch_function_state() is torch._C._TorchFunctionState.ENABLED
torch._C._set_torch_function_state(torch._C._TorchFunctionState.ENABLED)
for refused in (cpp_extension.load, _python_dispatch.TorchDispatchMode().__enter__, torch.sparse.mm, torch._inductor.compile):
    with pytest.raises(NotImplementedError):
        refused()
try:
    from torch.functional import nonsense
except ImportError:
    pass
else:
    raise AssertionError("a facade that is no package has no submodules")

held = WeakTensorKeyDictionary()
a, b = torch.ones(2), torch.ones(2)
held[a], held[b] = 1, 2
assert held[a] == 1 and len(held) == 2 and a in held and torch.ones(2) not in held
del b
assert list(held.values()) == [1]
pair = [NumberPair, ObjectPair]
assert not not_close_error_metas({"a": [1, "x"]}, {"a": [1, "x"]}, pair_types=pair)
(meta,) = not_close_error_metas({"a": [1, "x"]}, {"a": [1, "y"]}, pair_types=pair)
assert str(meta.to_error()).endswith("x != y\\n\\nThe failure occurred for item ['a'][1]")
"""
    )


def test_pytorchs_own_test_helpers_may_be_added(tmp_path):
    (tmp_path / "_internal").mkdir()
    (tmp_path / "_internal" / "helper.py").write_text("import torch\nanswer = torch.ones(2).sum().item()\n")
    printed = run(
        INSTALL
        + "import torch.testing\n"
        + "try:\n    import torch.testing._internal.helper\nexcept ModuleNotFoundError as error:\n    print(error)\n"
        + f"torch.testing.__path__.append({str(tmp_path)!r})\n"
        + "from torch.testing._internal.helper import answer\nprint(answer)"
    )
    assert printed.splitlines()[0].startswith("lamina has no torch.testing._internal") and printed.endswith("2.0\n")
