"""Names that third-party optimizers import from `torch.optim.optimizer` besides the base class.

Nothing in lamina uses them; they answer as PyTorch does on a CPU without compiled multi-tensor kernels.
"""

from collections.abc import Callable
from typing import Any

from lamina.core.tensor import Tensor

_params_doc = "params (iterable): tensors, (name, tensor) pairs, or dicts that define parameter groups"
_foreach_doc = "foreach (bool, optional): accepted for PyTorch's sake; there is one implementation (default: None)"
_fused_doc = "fused (bool, optional): accepted for PyTorch's sake; there is one implementation (default: None)"
_capturable_doc = "capturable (bool, optional): for devices whose work is captured; no CPU is one (default: False)"
_differentiable_doc = "differentiable (bool, optional): whether autograd records the step (default: False)"
_maximize_doc = "maximize (bool, optional): step along the gradient instead of against it (default: False)"


def _default_to_fused_or_foreach(
    params: list[Tensor], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """(fused, foreach) that suit the parameters: neither."""
    return False, False


def _stack_if_compiling(x: Any) -> Any:
    """`x`: lists of scalars need no stacking here, compiled or not."""
    return x


def _disable_dynamo_if_unsupported(single_tensor_fn: Callable[..., object] | None = None) -> Callable[..., Any]:
    """A decorator without effect: no optimizer is kept from being compiled."""

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    return decorate


def _get_foreach_kernels_supported_devices() -> list[str]:
    """Devices with multi-tensor kernels: none of those that lamina has."""
    return []


def _get_fused_kernels_supported_devices() -> list[str]:
    """Devices on which `fused=True` is accepted."""
    return ["cpu"]
