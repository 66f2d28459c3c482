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
