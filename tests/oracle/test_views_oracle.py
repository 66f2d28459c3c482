"""Views beside PyTorch's: strides, offsets, storages, and the layout of what is computed from them; meta tensors too.

Chains of views are drawn at random. Strides of dimensions of size 1 are free, and empty tensors have none.
"""

import random

import pytest
import torch

import lamina

RESULTS = {
    "clone": lambda lib, v: v.clone(),
    "contiguous": lambda lib, v: v.contiguous(),
    "scaled": lambda lib, v: v * 2.0,
    "negated": lambda lib, v: -v,
    "added": lambda lib, v: v + v,
    "exp": lambda lib, v: v.exp(),
    "compared": lambda lib, v: v > 0,
    "double": lambda lib, v: v.double(),
    "zeros_like": lambda lib, v: lib.zeros_like(v),
    "masked_fill": lambda lib, v: v.masked_fill(v > 0, 1.0),
    "flip": lambda lib, v: v.flip(-1) if v.dim() else v,
    "in place": lambda lib, v: v.clone().mul_(2.0),
}


def step(draw, shape):
    """A view that fits: its name and a function of a tensor."""
    n = len(shape)
    kind = draw.choice(
        (
            "permute",
            "slice",
            "unsqueeze",
            "expand",
            "select",
            "transpose",
            "narrow",
            "diagonal",
            "unfold",
            "split",
            "view",
        )
    )
    if kind == "unsqueeze" or not n:
        at = draw.randint(0, n)
        return kind, lambda v: v.unsqueeze(at)
    d = draw.randrange(n)
    if kind == "permute":
        order = draw.sample(range(n), n)
        return f"{kind} {order}", lambda v: v.permute(order)
    if kind == "slice":
        part = slice(draw.choice((None, 1)), None, draw.randint(1, 3))
        return f"{kind} {d} {part}", lambda v: v[(slice(None),) * d + (part,)]
    if kind == "expand":
        size = [draw.choice((2, 3)) if k == 1 and draw.random() < 0.5 else k for k in shape]
        return f"{kind} {size}", lambda v: v.expand(size)
    if kind == "select" and shape[d]:
        return f"{kind} {d}", lambda v: v.select(d, shape[d] - 1)
    if kind == "narrow" and shape[d] > 1:
        return f"{kind} {d}", lambda v: v.narrow(d, 1, shape[d] - 1)
    if kind == "diagonal" and n > 1:
        offset = draw.choice((-1, 0, 0, 1))
        return f"{kind} {offset}", lambda v: v.diagonal(offset, 0, n - 1)
    if kind == "unfold" and shape[d] > 1:
        return f"{kind} {d}", lambda v: v.unfold(d, 2, 1)
    if kind == "split" and shape[d] > 1:
        return f"{kind} {d}", lambda v: v.split(1, d)[-1]
    if kind == "view" and n > 1 and 0 not in shape:
        return kind, lambda v: v.view(-1, shape[-1])
    return "transpose", lambda v: v.transpose(0, n - 1)


def strides(v):
    return tuple(s for s, n in zip(v.stride(), v.shape, strict=True) if n != 1)


def stretched(v):
    return any(s == 0 and n > 1 for s, n in zip(v.stride(), v.shape, strict=True))


def facts(lib, base, v):
    if v.numel() == 0:
        return tuple(v.shape), v.is_contiguous()
    about = [
        tuple(v.shape), strides(v), v.storage_offset(), v.is_contiguous(), v.untyped_storage().nbytes(), v._base is base,
        v.is_contiguous(memory_format=lib.channels_last) if v.dim() == 4 and 1 not in v.shape else None,
    ]  # fmt: skip
    if v.device.type == "cpu":
        about += [
            v.data_ptr() - base.data_ptr(), v.untyped_storage().data_ptr() == base.untyped_storage().data_ptr(), v.tolist()
        ]  # fmt: skip
    return about


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_chain(seed, device):
    draw = random.Random(seed)
    for _ in range(12):
        shape = [draw.choice((1, 1, 2, 3, 4)) for _ in range(draw.randint(0, 4))]
        if draw.random() < 0.1 and shape:
            shape[0] = 0
        size = 1
        for n in shape:
            size *= n
        bases = [lib.arange(float(size), device="cpu").reshape(shape).clone().to(device) for lib in (lamina, torch)]
        mine, theirs = bases
        chain = []
        for _ in range(draw.randint(1, 4)):
            name, view = step(draw, tuple(theirs.shape))
            chain.append(name)
            try:
                theirs = view(theirs)
            except RuntimeError:
                with pytest.raises(RuntimeError):
                    view(mine)
                break
            mine = view(mine)
        said = (shape, chain)
        assert facts(lamina, bases[0], mine) == facts(torch, bases[1], theirs), said
        if theirs.numel() and not (stretched(theirs) or (device == "meta" and not theirs.is_contiguous())):
            for name, result in RESULTS.items():
                assert strides(result(lamina, mine)) == strides(result(torch, theirs)), (said, name)


def both(make):
    return make(lamina), make(torch)


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.ones(2, 3, 4, 5).to(memory_format=lib.channels_last).exp(),
        lambda lib: lib.ones(2, 3, 4, 5).to(memory_format=lib.channels_last) + lib.ones(3, 1, 1),
        lambda lib: lib.nn.functional.relu(lib.ones(2, 3, 4, 5).to(memory_format=lib.channels_last)),
        lambda lib: lib.ones(2, 3, 4, 5, 6).to(memory_format=lib.channels_last_3d) * 2,
        lambda lib: lib.ones(2, 3, 4, 5).contiguous(memory_format=lib.channels_last).clone(),
        lambda lib: lib.ones(2, 3, 4, 5).to(memory_format=lib.channels_last).contiguous(),
        lambda lib: lib.nn.functional.pad(lib.ones(2, 3, 4, 5).to(memory_format=lib.channels_last), (1, 1)),
        lambda lib: lib.zeros(2, 3, 4, 5).to(memory_format=lib.channels_last).view(lib.int32),
        lambda lib: lib.zeros(4, 6).view(lib.float64),
        lambda lib: lib.zeros(4, 6, dtype=lib.float64)[::2].view(lib.float32),
        lambda lib: lib.zeros(4, 6, dtype=lib.complex64).real,
        lambda lib: lib.zeros(4, 6, dtype=lib.complex64).t().imag,
        lambda lib: lib.view_as_real(lib.zeros(4, 6, dtype=lib.complex64)[1:]),
        lambda lib: lib.zeros(4, 6)[1:].as_strided((2, 2), (1, 3)),
        lambda lib: lib.zeros(4, 6)[1:].as_strided((2, 2), (1, 3), 2),
        lambda lib: lib.empty_permuted((2, 3, 4), (2, 0, 1)),
        lambda lib: lib.empty_strided((2, 3), (1, 2)).t(),
        lambda lib: lib.zeros(360).resize_as_(lib.zeros(2, 3, 4, 5).to(memory_format=lib.channels_last)),
        lambda lib: lib.zeros(120).resize_as_(
            lib.zeros(2, 3, 4, 5).to(memory_format=lib.channels_last), memory_format=lib.preserve_format
        ),
        lambda lib: lib.zeros(120).resize_(2, 3, 4, 5, memory_format=lib.channels_last),
        lambda lib: lib.zeros(0, 5, 8, dtype=lib.int8).view(lib.int16),
        lambda lib: lib.tensor(1.0).mT,
        lambda lib: lib.tensor(1.0).adjoint(),
    ],
)
@pytest.mark.filterwarnings("ignore:.*deprecated on 0-D")
def test_layout(make):
    mine, theirs = both(make)
    assert (mine.stride(), mine.storage_offset(), mine.is_contiguous()) == (
        theirs.stride(), theirs.storage_offset(), theirs.is_contiguous(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.zeros(2, 3, 4, dtype=lib.int8)[:, :, 1:].view(lib.int16),
        lambda lib: lib.zeros(2, 3, 4, dtype=lib.int8)[:, :, 1:3].view(lib.int16),
        lambda lib: lib.zeros(9, dtype=lib.int8).as_strided((2, 3, 2), (8, 3, 1)).view(lib.int16),
        lambda lib: lib.zeros(2, 4, 6, dtype=lib.int8).transpose(1, 2).view(lib.int16),
        lambda lib: lib.zeros(2, 4, 6).transpose(1, 2).view(lib.int8),
        lambda lib: lib.view_as_complex(lib.zeros(10)[1:9].view(4, 2)),
        lambda lib: lib.view_as_complex(lib.zeros(10).as_strided((2, 2), (1, 1))),
        lambda lib: lib.zeros(4).resize_(2, 2, memory_format=lib.preserve_format),
    ],
)
def test_refused(make):
    with pytest.raises(RuntimeError) as theirs:
        make(torch)
    with pytest.raises(RuntimeError) as mine:
        make(lamina)
    assert str(mine.value) == str(theirs.value)


@pytest.mark.parametrize("seed", range(20))
def test_changes_of_geometry_in_place(seed):
    """t_, squeeze_ and the like, on tensors with and without history, between views of them."""
    draw = random.Random(seed)
    names = ("t_", "transpose_", "unsqueeze_", "squeeze_", "swapaxes_")
    plan = [(draw.choice(names), draw.random() < 0.4) for _ in range(4)]
    results = []
    for lib in (lamina, torch):
        leaf = lib.arange(6.0).reshape(2, 3).requires_grad_()
        x = leaf * 1
        view = x[0]
        for name, write in plan:
            if name == "t_" and x.dim() > 2:
                continue
            getattr(x, name)(*{"transpose_": (0, -1), "swapaxes_": (0, -1), "unsqueeze_": (0,)}.get(name, ()))
            if write:
                view.mul_(2)
        (x * lib.arange(6.0).reshape(x.shape)).sum().backward()
        results.append((tuple(x.shape), x.stride(), x.tolist(), view.tolist(), leaf.grad.tolist(), x._version))
    assert results[0] == results[1]
