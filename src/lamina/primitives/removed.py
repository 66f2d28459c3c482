"""What PyTorch has removed, by name: each raises the error that says what stands in its place."""

from __future__ import annotations

from typing import Any, NoReturn

_SINCE = "This function was deprecated since version 1.9 and is now removed."
_INSTEAD = {
    "eig": f"{_SINCE} `torch.linalg.eig` returns complex tensors: use it, or torch.linalg.eigvals",
    "solve": f"{_SINCE} `torch.solve` is deprecated in favor of `torch.linalg.solve`: X = torch.linalg.solve(A, B)",
    "lstsq": f"{_SINCE} `torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`: torch.linalg.lstsq(A, B).solution",
    "matrix_rank": f"{_SINCE}\nPlease use the `torch.linalg.matrix_rank` function instead. The parameter 'symmetric' was renamed in "
    "`torch.linalg.matrix_rank()` to 'hermitian'.",
    "symeig": f"{_SINCE} Use torch.linalg.eigh(A, UPLO='U' if upper else 'L'), or torch.linalg.eigvalsh",
}


def _removed(name: str, text: str) -> Any:
    def raises(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(text)

    raises.__name__ = raises.__qualname__ = name
    return raises


FUNCTIONS: dict[str, Any] = {name: _removed(name, text) for name, text in _INSTEAD.items()}
METHODS: dict[str, Any] = {
    **{name: f for name, f in FUNCTIONS.items() if name != "matrix_rank"},
    "reinforce": _removed(
        "reinforce", "reinforce() was removed.\nUse torch.distributions instead: log_prob(action) * reward"
    ),
}
