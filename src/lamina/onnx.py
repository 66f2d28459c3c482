"""ONNX's names under torch's path: probes, and a refusal that says what to do."""

from typing import Any, NoReturn

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """False: nothing is being exported."""
    return False


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """Refuses."""
    raise NotImplementedError(
        "torch.onnx.export: lamina does not write ONNX files; save the state_dict and export from PyTorch"
    )


class OperatorExportTypes:
    """How PyTorch's exporter treats operators: names, without effect."""

    ONNX, ONNX_ATEN, ONNX_ATEN_FALLBACK, ONNX_FALLTHROUGH = range(4)


class TrainingMode:
    """In which mode PyTorch's exporter puts a module: names, without effect."""

    EVAL, PRESERVE, TRAINING = range(3)


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Nothing: nothing is exported."""


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Nothing: nothing is exported."""
