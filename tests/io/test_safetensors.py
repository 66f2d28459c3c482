"""safetensors: round trips, what the format cannot hold, damaged files."""

import os

import pytest
from safetensors import SafetensorError

import lamina
from lamina.io import safetensors

NAMES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 uint16 uint32 uint64 float8_e4m3fn "
    "float8_e5m2"
).split()


@pytest.fixture
def tensors():
    made = {name: lamina.tensor([[0, 1], [2, 3]]).to(getattr(lamina, name)) for name in NAMES}
    return {**made, "0-d": lamina.tensor(2.5), "empty": lamina.empty(0, 3)}


def same(loaded, tensors):
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (loaded[name].dtype, loaded[name].shape) == (tensor.dtype, tensor.shape)
        assert loaded[name].to(lamina.complex128).tolist() == tensor.to(lamina.complex128).tolist()


def test_bytes(tensors):
    same(safetensors.load(safetensors.save(tensors, {"format": "pt"})), tensors)


@pytest.mark.parametrize("left_out", [(), ("float8_e4m3fn", "float8_e5m2")], ids=["all", "no float8"])
def test_files(tensors, tmp_path, left_out):
    kept = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    safetensors.save_file(kept, tmp_path / "w.safetensors")
    loaded = safetensors.load_file(tmp_path / "w.safetensors")
    same(loaded, kept)
    loaded["float32"].fill_(9)
    same(safetensors.load_file(tmp_path / "w.safetensors"), kept)


def test_interrupted_save_leaves_the_old_file(tensors, tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("the power fails")

    path = tmp_path / "w.safetensors"
    safetensors.save_file(tensors, path)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="the power fails"):
        safetensors.save_file({"other": lamina.ones(1)}, path)
    assert os.listdir(tmp_path) == [path.name]
    same(safetensors.load_file(path), tensors)


def test_what_cannot_be_saved():
    base = lamina.arange(6.0)
    with pytest.raises(RuntimeError, match="Some tensors share memory"):
        safetensors.save({"a": base, "b": base[2:]})
    with pytest.raises(ValueError, match="You are trying to save a non contiguous tensor: `a` which is not allowed"):
        safetensors.save({"a": base.view(2, 3).t()})
    with pytest.raises(ValueError, match="Key `a` is invalid, expected torch.Tensor but received <class 'int'>"):
        safetensors.save({"a": 5})
    assert safetensors.load(safetensors.save({"a": base[:2], "b": base[2:]})).keys() == {"a", "b"}


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 8 + b"{}"])
def test_damaged(content, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(SafetensorError):
        safetensors.load(content)
    with pytest.raises(SafetensorError):
        safetensors.load_file(path)
