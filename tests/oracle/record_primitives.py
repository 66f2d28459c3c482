"""Write what PyTorch gives for the samples of primitives to tests/expected/primitive_values.json: run it where PyTorch is.

`python tests/oracle/record_primitives.py`. Here: asking PyTorch. Not here: its spelling of each primitive (primitive_forms.py).
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "primitives"))

from checks import Call, cotangents
from conventions import DRAWS, FREE, INVARIANT, otherwise, results
from primitive_forms import form
from recorded import FILE, digest, packed
from samples import SAMPLES, primitives

from lamina.primitives.registry import Primitive


def compared(p: Primitive) -> bool:
    """Draws are compared elsewhere, by their streams."""
    return p.name not in DRAWS and not p.name.startswith("drawn_") and not p.name.endswith("_written")


def as_torch(a: Any, requires_grad: bool = False) -> Any:
    return torch.from_numpy(np.array(a, order="C")).requires_grad_(requires_grad) if isinstance(a, np.ndarray) else a


def called(p: Primitive, tensors: Any, params: dict[str, Any], free: bool = False) -> list[Any]:
    """PyTorch's results, without what is determined by chance. free: as functions of free numbers."""
    function = form(p.name)
    assert function is not None, f"{p.name}: primitive_forms.py does not say it in PyTorch"
    tensors = list(tensors)
    for i, make in FREE.get(p.name, {}).items() if free else ():
        tensors[i] = make(tensors[i], params)
    outs = results(p, function(*tensors, **params))
    return list(INVARIANT[p.name](*outs)) if p.name in INVARIANT else outs


def values(p: Primitive, args: Any, params: dict[str, Any]) -> list[Any]:
    return [o.detach().resolve_conj().numpy() for o in called(p, map(as_torch, args), params)]


def gradients(p: Primitive, args: Any, params: dict[str, Any]) -> dict[int, Any]:
    """PyTorch's gradients by the arguments that have one, for the cotangents of the checks; nothing where it is not connected."""
    call = Call(p, args, params)
    given = cotangents(call.outputs(call.tensors(requires_grad=True)))
    tensors = [as_torch(a, i in call.smooth) for i, a in enumerate(args)]
    outs = [o for o in called(p, tensors, params, free=True) if o.is_floating_point() or o.is_complex()]
    if not given or len(outs) < len(given) or not all(o.requires_grad for o in outs[: len(given)]):
        return {}
    wanted = [tensors[i] for i in call.smooth]
    found = torch.autograd.grad(outs[: len(given)], wanted, [as_torch(g.numpy()) for g in given], allow_unused=True)
    return {i: g.resolve_conj().numpy(force=True) for i, g in zip(call.smooth, found, strict=True) if g is not None}


def table() -> dict[str, dict[str, dict[str, list[Any]]]]:
    found: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for p in primitives():
        for args, params in SAMPLES[p.name] if compared(p) else ():
            row = found.setdefault(p.name, {}).setdefault(
                digest(args, params), {"values": packed(values(p, args, params))}
            )
            if otherwise(p, params):
                by = gradients(p, args, params)
                row["gradients"] = packed([by[i] for i in otherwise(p, params)])
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(rows, separators=(',', ':'))}" for name, rows in table().items()
    )
    FILE.write_text(f"{{\n{lines}\n}}\n")
