"""`torch.sparse`: lamina has no sparse layouts. The switch of their checks is there; every operation refuses."""

from __future__ import annotations

from typing import Any

from lamina.primitives.refusals import refusal

__all__ = ["check_sparse_tensor_invariants"]
_WHY = "sparse tensors are not supported; use dense ones, or gather and index_add"
_REFUSED = ("addmm", "as_sparse_gradcheck", "log_softmax", "mm", "sampled_addmm", "softmax", "spdiags", "spsolve", "sum",
            "to_sparse_semi_structured", "SparseSemiStructuredTensor")  # fmt: skip


class check_sparse_tensor_invariants:
    """A switch without effect, and a context or decorator that sets it: there are no sparse tensors to check."""

    _on = False

    def __init__(self, enable: bool = True) -> None:
        self.state = enable
        self._before: bool | None = None

    @classmethod
    def is_enabled(cls) -> bool:
        """Whether it is on."""
        return check_sparse_tensor_invariants._on

    @classmethod
    def enable(cls) -> None:
        """Switch it on."""
        check_sparse_tensor_invariants._on = True

    @classmethod
    def disable(cls) -> None:
        """Switch it off."""
        check_sparse_tensor_invariants._on = False

    def __enter__(self) -> None:
        if self._before is not None:
            raise RuntimeError(
                "This context manager instance is already activated. Use a different context manager instance."
            )
        self._before = self.is_enabled()
        check_sparse_tensor_invariants._on = self.state

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            check_sparse_tensor_invariants._on, self._before = self._before, None

    def __call__(self, mth: Any) -> Any:
        """`mth`, with the switch set while it runs."""

        def switched(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.state):
                return mth(*args, **kwargs)

        return switched


def __getattr__(name: str) -> Any:
    if name in _REFUSED:
        return refusal(f"torch.sparse.{name}", _WHY)
    raise AttributeError(f"module 'torch.sparse' has no attribute '{name}'")
