"""Names of PyTorch's compiler back end that programs set and read. There is no such compiler: `torch.compile` is lamina's own."""

from typing import Any

from lamina._inductor import config, utils
from lamina.primitives.refusals import refusal

__all__ = ["config", "utils"]


def __getattr__(name: str) -> Any:
    if name in (
        "aoti_compile_and_package",
        "aoti_load_package",
        "aot_compile",
        "compile",
        "compile_fx",
        "cudagraph_mark_step_begin",
    ):
        return refusal(f"torch._inductor.{name}", "there is no such compiler; torch.compile is lamina's own")
    raise AttributeError(f"module 'torch._inductor' has no attribute '{name}'")
