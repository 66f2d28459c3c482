"""save and load: round trips, shared memory, places, files that are written whole or not at all."""

import gc
import io
import os
import pickle
from collections import Counter, OrderedDict

import pytest

import lamina
from lamina import io as files
from lamina.core.parameter import Parameter

FORMATS = [{}, {"_use_new_zipfile_serialization": False}]
DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 uint32 uint64 "
    "float8_e4m3fn float8_e5m2"
).split()


def saved(obj, **options):
    file = io.BytesIO()
    files.save(obj, file, **options)
    file.seek(0)
    return file


def round_trip(obj, **options):
    return files.load(saved(obj, **options))


@pytest.fixture(params=FORMATS, ids=["zip", "legacy"])
def options(request):
    return request.param


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_containers(options, protocol):
    obj = {
        "list": [1, -2.5, None, True, 2**70, "text", b"\x00\xff", bytearray(b"ab"), 1j],
        "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "set": {1, 2},
        (1, "key"): Counter("aab"),
        "words": [lamina.Size([2, 3]), lamina.float16, lamina.device("cpu"), lamina.strided],
        "ordered": OrderedDict(b=1, a=2),
    }
    assert round_trip(obj, pickle_protocol=protocol, **options) == obj


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(name, options):
    tensor = lamina.tensor([0, 1, 1]).to(getattr(lamina, name))
    loaded = round_trip(tensor, **options)
    assert loaded.dtype == tensor.dtype
    assert loaded.to(lamina.complex128).tolist() == [0, 1, 1]


def test_tensors_share_memory_as_before(options):
    base = lamina.arange(10.0)
    loaded, part, turned, again = round_trip([base, base[2:6:2], base.view(2, 5).t(), base], **options)
    loaded[2] = 100.0
    assert part.tolist() == [100.0, 4.0]
    assert turned[2, 0].item() == 100.0
    assert turned.stride() == (1, 5)
    assert again is loaded


def test_what_belongs_to_a_tensor(options):
    leaf, parameter, frozen = (
        lamina.ones(2, requires_grad=True),
        Parameter(lamina.ones(2)),
        Parameter(lamina.ones(1), False),
    )
    parameter.note = "kept"
    inner = (leaf * 2).detach().requires_grad_()
    loaded = round_trip([leaf, parameter, frozen, inner], **options)
    assert [t.requires_grad for t in loaded] == [True, True, False, True]
    assert [type(t) for t in loaded] == [lamina.Tensor, Parameter, Parameter, lamina.Tensor]
    assert loaded[1].note == "kept"


def test_result_of_an_operation_loads_as_a_leaf():
    loaded = round_trip(lamina.ones(2, requires_grad=True) * 2)
    assert loaded.requires_grad
    assert loaded.is_leaf


def test_attributes_of_a_state_dict(options):
    state = OrderedDict(weight=lamina.ones(2))
    state._metadata = {"": {"version": 2}}
    assert round_trip(state, **options)._metadata == {"": {"version": 2}}


def test_meta_and_empty(options):
    meta, empty = round_trip([lamina.empty(2, 3, device="meta"), lamina.empty(0, 4)], **options)
    assert (meta.device.type, meta.shape) == ("meta", (2, 3))
    assert empty.shape == (0, 4)


class Point:
    def __init__(self, x):
        self.x = x


def test_users_classes(options):
    with pytest.raises(
        pickle.UnpicklingError, match=r"Weights only load failed(.*\n)*.*Unsupported global: GLOBAL .*Point"
    ):
        round_trip(Point(1), **options)
    with files.safe_globals([Point]):
        assert files.get_safe_globals() == [Point]
        assert round_trip(Point(3), **options).x == 3
    assert files.get_safe_globals() == []
    assert files.load(saved(Point(4), **options), weights_only=False).x == 4
    assert files.get_unsafe_globals_in_checkpoint(saved([Point(1), {1}, lamina.ones(1)])) == [f"{__name__}.Point"]


def test_another_name_may_be_allowed():
    content = saved(Point(1)).getvalue()
    try:
        files.add_safe_globals([(Point, f"{__name__}.Point")])
        assert files.load(io.BytesIO(content)).x == 1
    finally:
        files.clear_safe_globals()


@pytest.mark.parametrize("place", ["cpu", lamina.device("cpu"), {"cpu": "cpu"}, lambda storage, location: storage])
def test_map_location(place, options):
    assert files.load(saved(lamina.ones(2), **options), map_location=place).tolist() == [1, 1]


def test_map_location_meta(options):
    loaded = files.load(
        saved([lamina.ones(2, 3).t(), lamina.ones(1).to(lamina.uint16)], **options), map_location="meta"
    )
    assert [(t.device.type, t.shape, t.stride()) for t in loaded] == [("meta", (3, 2), (1, 3)), ("meta", (1,), (1,))]


@pytest.mark.parametrize("place", ["cuda", {"cpu": "cuda:1"}])
def test_absent_device(place, options):
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device but"):
        files.load(saved(lamina.ones(2), **options), map_location=place)


def test_exceptions_of_the_users_function_pass():
    def place(storage, location):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        files.load(saved(lamina.ones(2)), map_location=place)


def test_mmap_shows_the_file_and_leaves_it_alone(tmp_path):
    path = tmp_path / "weights.pt"
    files.save({"a": lamina.arange(4.0), "b": lamina.ones(3)}, path)
    before = path.read_bytes()
    loaded = files.load(path, mmap=True)
    loaded["a"][0] = 7.0
    assert loaded["a"].tolist() == [7, 1, 2, 3]
    assert loaded["a"].untyped_storage().nbytes() == 16
    assert path.read_bytes() == before


def test_mmap_needs_a_zip_at_a_path(tmp_path):
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        files.load(saved(1), mmap=True)
    files.save(1, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        files.load(tmp_path / "old.pt", mmap=True)


def test_several_objects_in_one_legacy_stream():
    stream = io.BytesIO()
    for n in range(3):
        files.save(lamina.full((2,), n), stream, _use_new_zipfile_serialization=False)
    stream.seek(0)
    assert [files.load(stream).tolist() for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]


def test_streams_need_only_write(options):
    class Pipe:
        def __init__(self):
            self.content = b""

        def write(self, content):
            self.content += bytes(content)

    pipe = Pipe()
    files.save(lamina.ones(3), pipe, **options)
    assert files.load(io.BytesIO(pipe.content)).tolist() == [1, 1, 1]


class Pieces(io.BytesIO):
    """An unbuffered file: it takes and gives less than it is asked to."""

    def write(self, content):
        return super().write(bytes(content)[: len(content) // 2 + 1])

    def read(self, n=-1):
        return super().read(n // 2 + 1 if n > 0 else n)

    def readinto(self, target):
        return super().readinto(target[: len(target) // 2 + 1])


def test_streams_that_take_and_give_pieces(options):
    stream = Pieces()
    files.save({"a": lamina.arange(1000)}, stream, **options)
    stream.seek(0)
    assert files.load(stream)["a"].equal(lamina.arange(1000))


@pytest.mark.parametrize("until", [0, 1, 4, 9, 30])
def test_after_a_failed_save_nothing_more_is_written(options, until):
    class Full(io.BytesIO):
        calls = 0

        def write(self, content):
            self.calls += 1
            if self.calls == until + 1:
                raise OSError("the disk is full")
            return super().write(content)

    stream = Full()
    with pytest.raises(OSError, match="the disk is full"):
        files.save([lamina.zeros(9)] * 9, stream, **options)
    calls = stream.calls
    gc.collect()
    assert stream.calls == calls


class Unpicklable:
    def __reduce__(self):
        raise OSError("the power fails")


def _full_disk(*_):
    raise OSError("the power fails")


@pytest.mark.parametrize("moment", ["pickling", "fsync", "replace"])
def test_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch, options, moment):
    path = tmp_path / "weights.pt"
    files.save(lamina.ones(2), path, **options)
    obj = [lamina.zeros(1000), Unpicklable() if moment == "pickling" else 0]
    if moment != "pickling":
        monkeypatch.setattr(os, moment, _full_disk)
    with pytest.raises(OSError, match="the power fails"):
        files.save(obj, path, **options)
    assert files.load(path).tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["weights.pt"]


def test_replacing_keeps_links_and_modes(tmp_path):
    target, link = tmp_path / "real.pt", tmp_path / "link.pt"
    files.save(1, target)
    target.chmod(0o640)
    link.symlink_to(target)
    files.save(2, link)
    assert link.is_symlink()
    assert files.load(target) == 2
    assert target.stat().st_mode & 0o777 == 0o640


def test_two_dtypes_of_one_storage_are_refused():
    tensor = lamina.ones(2)
    with pytest.raises(RuntimeError, match="Cannot save multiple tensors or storages that view the same data"):
        saved([tensor, tensor.view(lamina.int32)])


def test_storages():
    loaded = round_trip(lamina.tensor([1, 2], dtype=lamina.int16).untyped_storage())
    assert loaded.tolist() == [1, 0, 2, 0]
