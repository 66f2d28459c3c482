"""Files against PyTorch: what either writes, the other reads, with memory shared as it was."""

import io
import pickle
import pickletools
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.core.parameter import Parameter

PARAMETER = {lamina: Parameter, torch: torch.nn.Parameter}
SAVES = [{}, {"_use_new_zipfile_serialization": False}]
TYPED = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128".split()
UNTYPED = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2".split()


def _shared(t):
    base = t.arange(10.0)
    matrix = base.view(2, 5)
    return {"base": base, "part": base[2:6:2], "turned": matrix.t(), "wide": base[:1].expand(4), "again": base}


def _tagged(t):
    tensor, parameter = t.ones(2), PARAMETER[t](t.ones(2))
    tensor.note, parameter.note = "kept", [1]
    return [tensor, parameter]


def _state_dict(t):
    state = OrderedDict(weight=t.ones(2, 3), bias=t.zeros(3, dtype=t.float64))
    state._metadata = OrderedDict([("", {"version": 1})])
    return {"model": state, "optimizer": {"state": {0: {"step": t.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}}


OBJECTS = {
    "shared": _shared,
    "dtypes": lambda t: [t.tensor([0, 1, 2, 3]).to(getattr(t, name)) for name in TYPED],
    "parameter": lambda t: PARAMETER[t](t.tensor([1.5, 2.5])),
    "frozen": lambda t: PARAMETER[t](t.tensor([1.5]), requires_grad=False),
    "leaf": lambda t: t.ones(3, requires_grad=True),
    "tagged": _tagged,
    "state_dict": _state_dict,
    "empty": lambda t: [t.empty(0), t.empty(0, 3), t.tensor(2.0)],
    "meta": lambda t: t.empty(2, 3, device="meta", dtype=t.float16),
    "words": lambda t: [t.Size([1, 2]), t.float16, t.bool, t.device("cpu"), t.device("cuda", 1), t.strided],
    "containers": lambda t: [
        {1: (2, {3}), "é": b"\x00\xff"},
        Counter("aab"),
        1j,
        2**100,
        -1.5,
        None,
        True,
        bytearray(b"x"),
    ],
    "nested": lambda t: {"a": [({"b": (t.ones(1),)},)]},
    "rng": lambda t: t.Generator().manual_seed(3).get_state(),
}


def _facts(found, storages):
    """What must be equal in both worlds, without the classes of either; storages are numbered by first appearance."""
    if hasattr(found, "untyped_storage"):
        kind = str(found.dtype).removeprefix("torch.")
        place = (kind, tuple(found.shape), found.stride(), found.requires_grad, type(found).__name__, str(found.device))
        if found.device.type == "meta":
            return place
        number = storages.setdefault(found.data_ptr() - found.storage_offset() * found.element_size(), len(storages))
        plain = found.detach()
        numbers = (plain.float() if kind.startswith(("bfloat", "float8", "uint")) else plain).tolist()
        return (*place, found.storage_offset(), number if found.numel() else None, numbers, sorted(vars(found)))
    if isinstance(found, dict):
        items = [(_facts(k, storages), _facts(v, storages)) for k, v in found.items()]
        return (
            type(found).__name__,
            items,
            _facts(list(vars(found).values()), storages) if hasattr(found, "__dict__") else 0,
        )
    if isinstance(found, (list, tuple)):
        return type(found).__name__, [_facts(x, storages) for x in found]
    plain = isinstance(found, (int, float, complex, str, bytes, bytearray, set, type(None)))
    return found if plain else (type(found).__name__, str(found))


def facts(found):
    return _facts(found, {})


def _saved(library, obj, **options):
    file = io.BytesIO()
    library.save(obj, file, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize("trusting", [False, True], ids=["weights_only", "trusting"])
@pytest.mark.parametrize("options", SAVES, ids=["zip", "legacy"])
@pytest.mark.parametrize("name", OBJECTS)
def test_both_directions(name, options, trusting):
    ours, theirs = OBJECTS[name](lamina), OBJECTS[name](torch)
    read_by_torch = torch.load(_saved(lamina, ours, **options), weights_only=not trusting)
    read_by_lamina = lamina.load(_saved(torch, theirs, **options), weights_only=not trusting)
    assert facts(read_by_torch) == facts(theirs)
    assert facts(read_by_lamina) == facts(ours) == facts(theirs)


@pytest.mark.parametrize("name", UNTYPED)
def test_dtypes_without_a_storage_class(name):
    """PyTorch itself cannot read back what it writes of these in the legacy format."""
    ours, theirs = (t.tensor([0, 1, 2]).to(getattr(t, name)) for t in (lamina, torch))
    assert facts(torch.load(_saved(lamina, ours))) == facts(theirs)
    assert facts(torch.load(_saved(lamina, ours, **SAVES[1]))) == facts(theirs)
    assert facts(lamina.load(_saved(torch, theirs))) == facts(ours)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_same_pickle(name):
    """Opcode by opcode: so whatever reads PyTorch's files reads ours."""
    pickles = []
    for library in (lamina, torch):
        archive = zipfile.ZipFile(_saved(library, OBJECTS[name](library)))
        pickles.append(
            [(code.name, argument) for code, argument, _ in pickletools.genops(archive.read("archive/data.pkl"))]
        )
    assert pickles[0] == pickles[1]


def test_paths_and_mmap(tmp_path):
    ours, theirs = _shared(lamina), _shared(torch)
    lamina.save(ours, tmp_path / "ours.pt")
    torch.save(theirs, tmp_path / "theirs.pt")
    assert facts(torch.load(tmp_path / "ours.pt", mmap=True)) == facts(theirs)
    assert facts(lamina.load(tmp_path / "theirs.pt", mmap=True)) == facts(ours)


def test_records_are_aligned():
    archive = zipfile.ZipFile(_saved(lamina, [lamina.ones(n) for n in range(1, 9)]))
    for entry in archive.infolist():
        header = archive.fp.seek(entry.header_offset) and archive.fp.read(30)
        if header:
            start = (
                entry.header_offset
                + 30
                + int.from_bytes(header[26:28], "little")
                + int.from_bytes(header[28:], "little")
            )
            assert start % 64 == 0


GEOMETRY = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(GEOMETRY, st.integers(0, 7)), min_size=1, max_size=4), st.sampled_from(SAVES))
def test_any_views_of_one_storage(views, options):
    def build(t):
        base = t.arange(100)
        return [base.as_strided([n for n, _ in dims], [s for _, s in dims], offset) for dims, offset in views]

    # An empty tensor keeps its shape; where it would have looked is nobody's business.
    read_by_torch = torch.load(_saved(lamina, build(lamina), **options))
    read_by_lamina = lamina.load(_saved(torch, build(torch), **options))
    for ours, theirs in zip(read_by_lamina, read_by_torch, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert ours.tolist() == theirs.tolist()
        if ours.numel() > 1:
            assert ours.storage_offset() == theirs.storage_offset()
    assert np.ptp([t.untyped_storage().data_ptr() for t in read_by_lamina if t.numel()] or [0]) == 0


MESSAGES = {
    "no directory": lambda t, d: t.save(1, d / "missing" / "x.pt"),
    "not a file": lambda t, d: t.save(1, 5),
    "cannot read": lambda t, d: t.load(5),
    "missing": lambda t, d: t.load("/missing/x.pt"),
    "empty": lambda t, d: t.load(io.BytesIO()),
    "mmap of a file object": lambda t, d: t.load(_saved(t, 1), mmap=True),
    "pickle_module": lambda t, d: t.load(io.BytesIO(), pickle_module=pickletools, weights_only=True),
    "two dtypes": lambda t, d: (lambda a: t.save([a, a.view(t.int32)], io.BytesIO()))(t.ones(2)),
    "unknown place": lambda t, d: t.load(_saved(t, t.ones(1)), map_location="nowhere"),
    "no gpu": lambda t, d: t.load(_saved(t, t.ones(1)), map_location="cuda"),
    "map_location": lambda t, d: t.load(_saved(t, t.ones(1)), map_location=5),
    "class": lambda t, d: t.load(_saved(t, OrderedDict(a=zipfile.ZipFile))),
    "system": lambda t, d: t.load(_saved(t, io.open)),
    "cut off": lambda t, d: t.load(io.BytesIO(_saved(t, t.ones(9)).getvalue()[:-20])),
    "cut off, legacy": lambda t, d: t.load(io.BytesIO(_saved(t, t.ones(9), **SAVES[1]).getvalue()[:-7])),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_errors_begin_alike(case, tmp_path):
    with pytest.raises(Exception) as theirs:
        MESSAGES[case](torch, tmp_path)
    with pytest.raises(type(theirs.value)) as ours:
        MESSAGES[case](lamina, tmp_path)
    first = str(theirs.value).split(". ", 1)[0].split(";", 1)[0]
    assert str(ours.value).startswith(first)


def test_refused_global_is_named_alike():
    file = _saved(torch, zipfile.ZipFile)
    messages = []
    for library in (torch, lamina):
        file.seek(0)
        with pytest.raises(Exception) as caught:
            library.load(file)
        messages.append(str(caught.value))
    sentence = (
        "WeightsUnpickler error: Unsupported global: GLOBAL zipfile.ZipFile was not an allowed global by default."
    )
    assert all(sentence in message for message in messages)


def test_safetensors_both_directions():
    import safetensors.torch

    from lamina.io import safetensors as own

    names = [*TYPED[:-1], "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
    ours, theirs = ({n: t.tensor([[0, 1], [2, 3]]).to(getattr(t, n)) for n in names} for t in (lamina, torch))
    read_by_lamina = own.load(safetensors.torch.save(theirs))
    assert {n: facts(t) for n, t in safetensors.torch.load(own.save(ours)).items()} == {
        n: facts(t) for n, t in theirs.items()
    }
    assert {n: facts(t) for n, t in read_by_lamina.items()} == {n: facts(t) for n, t in ours.items()}


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(
    "make, instead",
    [
        (lambda: torch.eye(3).to_sparse(), "to_dense"),
        (lambda: torch.eye(3).to_sparse_csr(), "to_dense"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "dequantize"),
    ],
)
@pytest.mark.parametrize("options", SAVES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # what PyTorch says of both kinds
def test_tensors_that_lamina_has_not_are_refused_with_what_to_save(make, instead, options, weights_only):
    file = io.BytesIO()
    torch.save({"w": make()}, file, **options)
    file.seek(0)
    with pytest.raises(NotImplementedError, match=instead):
        lamina.load(file, weights_only=weights_only)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit.script
def test_a_torchscript_archive_is_refused_by_name(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with pytest.raises(RuntimeError, match="Cannot use ``weights_only=True`` with TorchScript archives"):
        lamina.load(tmp_path / "script.pt")
    with pytest.raises(NotImplementedError, match="save the state_dict"):
        lamina.load(tmp_path / "script.pt", weights_only=False)


def test_what_pickle_itself_wrote_is_read_under_the_name_torch(tmp_path):
    (tmp_path / "state.pkl").write_bytes(pickle.dumps(torch.nn.Linear(2, 3).state_dict()))
    code = (
        "import pickle, sys, lamina.compat; lamina.compat.install(); import torch; "
        "state = pickle.load(open(sys.argv[1], 'rb')); model = torch.nn.Linear(2, 3); "
        "print(model.load_state_dict(state), isinstance(state['weight'], torch.Tensor))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state.pkl"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n")[0] == "<All keys matched successfully> True", done.stderr
