"""Records of TensorBoard's: what becomes of a number, of values, of a picture, of a text.

Here: building them with the tensorboard package, which is imported when the first one is written. Not here: files (writer.py).
"""

from __future__ import annotations

import importlib
import io
import json
import time
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor

_SMALLEST, _GROWTH = 1e-12, 1.1


def _package(name: str) -> Any:
    """A module of the package tensorboard: an extra, loaded when first needed."""
    try:
        return importlib.import_module(f"tensorboard.{name}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "SummaryWriter needs the package tensorboard: pip install lamina[tensorboard]", name="tensorboard"
        ) from error


def event_file(folder: str, max_queue: int, flush_secs: int, suffix: str) -> Any:
    """A new file of events in a folder."""
    return _package("summary.writer.event_file_writer").EventFileWriter(folder, max_queue, flush_secs, suffix)


def event(record: Any, step: int | None, walltime: float | None) -> Any:
    """A record at a step and a time."""
    made = _package("compat.proto.event_pb2").Event(summary=record)
    made.wall_time = time.time() if walltime is None else walltime
    if step is not None:
        made.step = int(step)
    return made


def _record(**value: Any) -> Any:
    summaries = _package("compat.proto.summary_pb2")
    return summaries.Summary(value=[summaries.Summary.Value(**value)])


def _metadata(plugin: str, content: bytes = b"") -> Any:
    metadata = _package("compat.proto.summary_pb2").SummaryMetadata
    return metadata(plugin_data=metadata.PluginData(plugin_name=plugin, content=content))


def _array(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)


def scalar(tag: str, value: Any) -> Any:
    """One number. Raises AssertionError for several."""
    found = _array(value).squeeze()
    if found.ndim:
        raise AssertionError("scalar should be 0D")
    return _record(tag=tag, simple_value=float(found))


def tensor(tag: str, value: Any) -> Any:
    """A float tensor as it is."""
    found = _array(value).astype(np.float32)
    shape = _package("compat.proto.tensor_shape_pb2").TensorShapeProto
    proto = _package("compat.proto.tensor_pb2").TensorProto(
        dtype="DT_FLOAT",
        tensor_content=found.tobytes(),
        tensor_shape=shape(dim=[shape.Dim(size=n) for n in found.shape]),
    )
    return _record(tag=tag, metadata=_metadata("tensor"), tensor=proto)


def text(tag: str, content: str) -> Any:
    """A text."""
    shape = _package("compat.proto.tensor_shape_pb2").TensorShapeProto
    proto = _package("compat.proto.tensor_pb2").TensorProto(
        dtype="DT_STRING", string_val=[content.encode()], tensor_shape=shape(dim=[shape.Dim(size=1)])
    )
    return _record(tag=f"{tag}/text_summary", metadata=_metadata("text"), tensor=proto)


def _exponential_bins() -> list[float]:
    positive, edge = [], _SMALLEST
    while edge < 1e20:
        positive.append(edge)
        edge *= _GROWTH
    return [-e for e in reversed(positive)] + [0.0] + positive


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None) -> Any:
    """Counts between edges, and the moments. Raises ValueError where there is no value."""
    found = _array(values).astype(np.float64).reshape(-1)
    if not found.size:
        raise ValueError("The input has no element.")
    counts, edges = np.histogram(found, bins=np.array(_exponential_bins()) if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        edges = np.append(edges[:-1][::step], edges[-1])
    filled = np.flatnonzero(counts)
    first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, len(counts))
    proto = _package("compat.proto.summary_pb2").HistogramProto(
        min=found.min(), max=found.max(), num=len(found), sum=found.sum(), sum_squares=found @ found,
        bucket_limit=edges[first : last + 1].tolist(), bucket=[0.0, *counts[first:last].tolist()],
    )  # fmt: skip
    return _record(tag=tag, histo=proto)


def image(tag: str, picture: Any, layout: str) -> Any:
    """A picture, or several in a grid, as PNG."""
    pixels = _height_width_channels(_array(picture), layout.upper())
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels.astype(np.float32) * 255, 0, 255).astype(np.uint8)
    drawing = importlib.import_module("PIL.Image")  # a picture is compressed by Pillow, which is no dependency
    file = io.BytesIO()
    drawing.fromarray(pixels).save(file, format="PNG")
    height, width, channels = pixels.shape
    proto = _package("compat.proto.summary_pb2").Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue()
    )
    return _record(tag=tag, image=proto)


def _height_width_channels(array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    if len(layout) != array.ndim or set(layout) - set("NCHW"):
        raise AssertionError(
            f"size of input tensor and input format are different. tensor shape: {array.shape}, format: {layout}"
        )
    if "C" not in layout:
        array, layout = array[..., None], f"{layout}C"
    order = [layout.index(axis) for axis in ("NHWC" if "N" in layout else "HWC")]
    array = array.transpose(order)
    if array.ndim == 4:
        array = _grid(array)
    return np.concatenate([array] * 3, 2) if array.shape[2] == 1 else array


def _grid(pictures: np.ndarray[Any, Any], columns: int = 8) -> np.ndarray[Any, Any]:
    n, height, width, channels = pictures.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = np.zeros((rows * columns, height, width, channels), pictures.dtype)
    canvas[:n] = pictures
    canvas = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels)


def drawn(figure: Any, close: bool) -> np.ndarray[Any, Any]:
    """The pixels of a figure of matplotlib."""
    agg = importlib.import_module("matplotlib.backends.backend_agg")  # an extra; whoever has a figure has it
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    if close:
        importlib.import_module("matplotlib.pyplot").close(figure)
    return np.asarray(canvas.buffer_rgba())[..., :3]


def hparams(values: dict[str, Any], metrics: dict[str, Any], domains: Any = None) -> list[Any]:
    """What hyper-parameters there are, their values, and the end: three records."""
    api, plugin = _package("plugins.hparams.api_pb2"), _package("plugins.hparams.plugin_data_pb2")
    infos, start = [], plugin.SessionStartInfo()
    for name, given in values.items():
        if given is None:
            continue
        value = given.item() if isinstance(given, (Tensor, np.generic)) else given
        kind = "FLOAT64" if isinstance(value, (int, float)) else "STRING"  # a bool is a number: PyTorch's rule
        if kind == "FLOAT64":
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value, default=str)
        infos.append(api.HParamInfo(name=name, type=getattr(api, f"DATA_TYPE_{kind}")))
    experiment = api.Experiment(
        hparam_infos=infos, metric_infos=[api.MetricInfo(name=api.MetricName(tag=tag)) for tag in metrics]
    )
    end = plugin.SessionEndInfo(status=api.Status.Value("STATUS_SUCCESS"))
    parts = (
        ("_hparams_/experiment", {"experiment": experiment}),
        ("_hparams_/session_start_info", {"session_start_info": start}),
        ("_hparams_/session_end_info", {"session_end_info": end}),
    )
    return [
        _record(tag=tag, metadata=_metadata("hparams", plugin.HParamsPluginData(version=0, **part).SerializeToString()))
        for tag, part in parts
    ]
