"""Files that are damaged, or made to do harm: every one is refused, and none costs more than its own length."""

import io
import pickle
import struct
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import io as files

REFUSED = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError)
HEAD = b"\x80\x02"


def archive(data, records=None, compression=zipfile.ZIP_STORED):
    """A file in the zip format around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        for name, content in {"data.pkl": data, "version": b"3\n", **(records or {})}.items():
            out.writestr(f"archive/{name}", content)
    file.seek(0)
    return file


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def storage(numel, kind="FloatStorage", key="0", location="cpu"):
    parts = (text("storage"), b"ctorch\n" + kind.encode() + b"\n", text(key), text(location), integer(numel))
    return b"(" + b"".join(parts) + b"tQ"


def tensor(numel, offset, size, stride):
    def numbers(values):
        return b"(" + b"".join(map(integer, values)) + b"t"

    geometry = integer(offset) + numbers(size) + numbers(stride)
    hooks = b"ccollections\nOrderedDict\n)R"
    return HEAD + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(numel) + geometry + b"\x89" + hooks + b"tR."


FOUR = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}


def test_the_builders_of_this_file_make_good_files():
    assert files.load(archive(tensor(4, 1, (2,), (2,)), FOUR)).tolist() == [2, 4]


CALLS = {
    "system": b"cos\nsystem\n" + text("true") + b"\x85R.",
    "posix": b"cposix\nsystem\n" + text("true") + b"\x85R.",
    "eval": b"cbuiltins\neval\n" + text("1") + b"\x85R.",
    "python 2": b"c__builtin__\neval\n" + text("1") + b"\x85R.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "own io": b"clamina.io.serialization\nload\n.",
    "torch load": b"ctorch\nload\n.",
    "torch hub": b"ctorch.hub\nload\n.",
    "dotted": b"\x8c\x05torch\x8c\x0bTensor.item\x93.",
    "call a dtype": b"ctorch\nfloat32\n)R.",
    "call a storage class": b"ctorch\nFloatStorage\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",
    "new parameter": b"ctorch.nn.parameter\nParameter\n)\x81.",
    "build a class": b"ctorch\nTensor\n}(" + text("item") + b"Nub.",
    "build a function": b"ctorch._utils\n_rebuild_tensor\nN}(" + text("__defaults__") + b"Nu\x86b.",
    "items of a class": b"ctorch\nTensor\n" + text("item") + b"Ns.",
    "append to a tuple": b")Na.",
    "other encodings": b"c_codecs\nencode\n" + text("x") + text("hex_codec") + b"\x86R.",
    "smuggled builder": b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nbytearray\nctorch\nTensor\n"
    + integer(2**40)
    + b"\x85NtR.",
    "not a storage": b"ctorch._utils\n_rebuild_tensor\n(]K\x00))tR.",
    "not an id": b"K\x01Q.",
    "layout": b"ctorch.serialization\n_get_layout\n" + text("torch.load") + b"\x85R.",
}


@pytest.mark.parametrize("case", CALLS)
def test_nothing_is_run(case):
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed\."):
        files.load(archive(HEAD + CALLS[case], FOUR))


def nested_tuples(levels, step):
    """Levels of tuples, each twice in the next: exponentially large to whoever walks through it."""
    return b")" + step * levels


COPY = b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86Ra"
CLAIMS = {
    "bytearray": b"cbuiltins\nbytearray\n" + integer(2**40) + b"\x85R.",
    "text": b"X\xff\xff\xff\xff.",
    "long text": b"\x8d" + struct.pack("<Q", 2**62) + b".",
    "bytes": b"\x8e" + struct.pack("<Q", 2**62) + b".",
    "mutable bytes": b"\x96" + struct.pack("<Q", 2**62) + b".",
    "number": b"\x8b\xff\xff\xff\x7f.",
    "line without end": b"c" + b"x" * 10**6,
    "deep key": b"}" + nested_tuples(3 * 10**5, b"\x85") + b"Ns.",
    "wide key": b"}" + nested_tuples(60, b"2\x86") + b"Ns.",
    "wide element": b"cbuiltins\nset\n]" + nested_tuples(60, b"2\x86") + b"a\x85R.",
    "copies": b"](K\x00" + b"K\x01" * 20000 + b"lq\x00" + b"cbuiltins\nset\nh\x00\x85Ra" * 5000 + b".",
    "copies of text": b"]" + text("x" * 10**5) + b"q\x000" + COPY * 9999 + b".",
    "no end": b"]" * 1000,
    "underflow": b"0000.",
    "protocol": b"\x80\xff.",
}


@pytest.mark.parametrize("case", CLAIMS)
def test_claims_cost_nothing(case):
    file = archive(HEAD + CLAIMS[case])
    tracemalloc.start()
    with pytest.raises(pickle.UnpicklingError):
        files.load(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**28


def test_memo_of_any_index():
    assert files.load(archive(HEAD + b"K\x07r\xff\xff\xff\xff0j\xff\xff\xff\xff.")) == 7


def test_deep_lists_are_no_danger():
    loaded = files.load(archive(HEAD + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."))
    assert len(loaded) == 1


TENSORS = {
    "more than present": (10**12, 0, (10**12,), (1,)),
    "beyond the end": (4, 0, (5,), (1,)),
    "by stride": (4, 0, (2, 2), (3, 2)),
    "by offset": (4, 4, (1,), (1,)),
    "negative stride": (4, 3, (2,), (-1,)),
    "negative size": (4, 0, (-1,), (1,)),
    "negative offset": (4, -1, (1,), (1,)),
    "negative storage": (-1, 0, (1,), (1,)),
    "overflow": (4, 0, (2**62, 2**62), (0, 0)),
    "lengths": (4, 0, (1, 1), (1,)),
}


@pytest.mark.parametrize("case", TENSORS)
def test_impossible_tensors(case):
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        files.load(archive(tensor(*TENSORS[case]), FOUR))


def test_missing_record():
    with pytest.raises(RuntimeError, match="PytorchStreamReader failed .*file not found: archive/data/0"):
        files.load(archive(tensor(4, 0, (4,), (1,))))


def test_compressed_records_are_refused():
    with pytest.raises(RuntimeError, match="compressed"):
        files.load(archive(tensor(2**20, 0, (1,), (1,)), {"data/0": bytes(2**22)}, zipfile.ZIP_DEFLATED))


def test_overlapping_records_are_refused():
    """Many entries of the directory over the same bytes: each would be read into memory of its own."""
    content = bytearray(archive(HEAD + b"N.", {f"data/{i}": bytes(10**4 * (i == 0)) for i in range(50)}).getvalue())
    directory = content.rindex(b"PK\x05\x06")
    position = struct.unpack("<I", content[directory + 16 : directory + 20])[0]
    first = content.index(b"archive/data/0", position) - 46
    place = content[first + 16 : first + 46]
    while (position := content.find(b"PK\x01\x02", position + 1)) > 0:
        if b"archive/data/" in content[position + 46 : position + 60]:
            content[position + 16 : position + 28] = place[:12]
            content[position + 42 : position + 46] = place[26:30]
    with pytest.raises(RuntimeError, match="larger than the file"):
        files.load(io.BytesIO(bytes(content)))


def saved(**options):
    file = io.BytesIO()
    files.save({"weight": lamina.arange(6.0), "n": [1, "two"]}, file, **options)
    return file.getvalue()


ZIP, LEGACY = saved(), saved(_use_new_zipfile_serialization=False)


@pytest.mark.parametrize("content", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_truncated(content):
    for length in range(len(content)):
        with pytest.raises(REFUSED):
            files.load(io.BytesIO(content[:length]))


@pytest.mark.parametrize("start", range(4, 200, 28))
def test_bytes_missing_in_the_middle(start):
    content = archive(tensor(4, 0, (4,), (1,)), FOUR).getvalue()
    with pytest.raises(RuntimeError, match="PytorchStreamReader failed"):
        files.load(io.BytesIO(content[:start] + content[start + 150 :]))


def test_one_wrong_byte_never_shows():
    """A zip file with one byte changed is refused, or the byte did not matter."""
    for i in range(len(ZIP)):
        damaged = bytearray(ZIP)
        damaged[i] ^= 0x11
        try:
            loaded = files.load(io.BytesIO(bytes(damaged)))
        except REFUSED:
            continue
        assert loaded["weight"].tolist() == [0, 1, 2, 3, 4, 5]
        assert loaded["n"] == [1, "two"]


PICKLE = zipfile.ZipFile(io.BytesIO(ZIP)).read("archive/data.pkl")


def edits_of(data):
    """Places where bytes are removed and others put in."""
    return st.lists(
        st.tuples(st.integers(0, len(data)), st.integers(0, 3), st.binary(max_size=4)), min_size=1, max_size=5
    )


def edited(data, edits):
    for position, removed, inserted in edits:
        data = data[:position] + inserted + data[position + removed :]
    return data


@settings(max_examples=500, deadline=None)
@given(edits_of(PICKLE))
def test_any_pickle_is_read_or_refused(edits):
    try:
        files.load(archive(edited(PICKLE, edits), {"data/0": struct.pack("<6f", *range(6))}))
    except REFUSED:
        pass


@settings(max_examples=300, deadline=None)
@given(edits_of(LEGACY))
def test_any_legacy_stream_is_read_or_refused(edits):
    try:
        files.load(io.BytesIO(edited(LEGACY, edits)))
    except REFUSED:
        pass


@pytest.mark.parametrize("content", [b"hello, this is text", pickle.dumps([1]), pickle.dumps([1], 2), b"\x00" * 64])
def test_other_files(content):
    with pytest.raises(REFUSED):
        files.load(io.BytesIO(content))


def test_tar_files_are_refused(tmp_path):
    path = tmp_path / "old.tar"
    with tarfile.open(path, "w") as out:
        out.add(__file__, "storages")
    with pytest.raises(RuntimeError, match="Cannot use ``weights_only=True`` with files saved in the legacy"):
        files.load(path)
    with pytest.raises(NotImplementedError, match="save them again"):
        files.load(path, weights_only=False)


def test_torchscript_archives_are_refused():
    with pytest.raises(RuntimeError, match="Cannot use ``weights_only=True`` with TorchScript archives"):
        files.load(archive(HEAD + b"N.", {"constants.pkl": b""}))


def test_big_endian_files_are_turned():
    records = {"data/0": struct.pack(">4f", 1, 2, 3, 4), "byteorder": b"big"}
    assert files.load(archive(tensor(4, 0, (4,), (1,)), records)).tolist() == [1, 2, 3, 4]
