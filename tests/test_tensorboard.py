"""What `SummaryWriter` writes, read back by the package tensorboard; without it, what it says."""

import sys

import pytest

import lamina
from lamina.utils.tensorboard import SummaryWriter


def records(folder):
    """(step, tag, plugin, value) of every record in a folder's files."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    return [
        (event.step, value.tag, value.metadata.plugin_data.plugin_name, value.tensor)
        for file in sorted(folder.glob("events*"))
        for event in loader.EventFileLoader(str(file)).Load()
        for value in event.summary.value
    ]


def test_what_is_written_is_read_back(tmp_path):
    pytest.importorskip("tensorboard")
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", lamina.tensor(1.0 / (step + 1)), step)
        writer.add_scalars("both", {"a": 1, "b": 2.5}, 7)
        writer.add_histogram("weights", lamina.arange(10.0), 1, bins="auto")
        writer.add_text("note", "hello")
        writer.add_images("digits", lamina.rand(10, 1, 4, 5), 2)
        writer.add_hparams({"lr": 0.1, "net": "mlp", "bias": True}, {"acc": 0.5}, run_name="run")
        with pytest.raises(NotImplementedError, match="no graphs"):
            writer.add_graph(None)
        with pytest.raises(AssertionError, match="scalar should be 0D"):
            writer.add_scalar("loss", lamina.ones(2))
    found = records(tmp_path)
    losses = [(step, round(tensor.float_val[0], 4)) for step, tag, _, tensor in found if tag == "loss"]
    assert losses == [(0, 1.0), (1, 0.5), (2, 0.3333)]
    assert {tag: plugin for _, tag, plugin, _ in found} == {
        "loss": "scalars", "weights": "histograms", "note/text_summary": "text", "digits": "images"
    }  # fmt: skip
    assert [(step, tag, tensor.float_val[0]) for step, tag, _, tensor in records(tmp_path / "both_b")] == [
        (7, "both", 2.5)
    ]
    assert [tag for _, tag, _, _ in records(tmp_path / "run")] == [
        "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info", "acc"
    ]  # fmt: skip


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install lamina\[tensorboard\]"):
        SummaryWriter(tmp_path)
