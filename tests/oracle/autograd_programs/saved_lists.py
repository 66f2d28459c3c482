"""`_saved_*` that are lists, numbers or follow from others; hooks on one saved tensor; nodes known while they are unpacked."""

import torch
import torch.nn.functional as F
from show import show

x = torch.ones(2, 2, requires_grad=True)
row = torch.ones(1, 1, 4, requires_grad=True)
picture = torch.ones(1, 1, 3, 3, requires_grad=True)
batch = torch.ones(1, 3, 3, requires_grad=True)
i = torch.tensor([0, 1])
made = {
    "stack": (torch.stack([x, x], 1), "dim"),
    "index": (x[:, i], "indices self_sym_sizes"),
    "index front": (x[i], "indices"),
    "index two": (x[i, i], "indices"),
    "mean": (x.mean(), "self_sym_sizes self_sym_numel"),
    "linear": (F.interpolate(row, 8, mode="linear"), "output_size align_corners scales"),
    "linear by": (F.interpolate(row, scale_factor=0.5, mode="linear"), "output_size scales"),
    "nearest": (F.interpolate(picture, (2, 2)), "output_size scales_h scales_w"),
    "conv": (F.conv2d(picture, picture), "bias_sym_sizes_opt transposed output_padding"),
    "conv bias": (F.conv2d(picture, picture, torch.ones(1)), "bias_sym_sizes_opt"),
    "addbmm": (torch.addbmm(batch[0], batch, batch), "batch1_sym_argsize_0 batch1_sym_argsize_1 batch2_sym_argsize_2"),
    "mm": (x @ x, "mat2_sym_sizes self_sym_strides"),
    "unfold": (F.unfold(picture, 2), "self_sym_argsize_minus_1 self_sym_argsize_minus_2 kernel_size"),
    "pdist": (torch.pdist(x, p=1), "p"),
    "logit": (torch.logit(x), "eps"),
    "qr": (torch.linalg.qr(x)[0], "mode"),
    "trunc": (torch.div(x, 2.0, rounding_mode="trunc"), "rounding_mode"),
    "add": (x + x, "alpha"),
    "slice": (x[0:1], "start end step dim"),
    "split": (x.split(1)[0], "split_size dim"),
    "nll": (F.nll_loss(x, i, torch.ones(2)), "weight target reduction"),
    "silu": (F.silu(x), "self"),
    "elu": (F.elu(x, 0.5), "self alpha"),
    "glu": (F.glu(x, 1), "self dim"),
    "threshold": (F.threshold(x, 1, 2), "threshold"),
}
for name, (out, attributes) in made.items():
    for attribute in attributes.split():
        print(name, attribute, end=" ")
        show(lambda: getattr(out.grad_fn, f"_saved_{attribute}"))
    print([type(n).__name__ if n is not None else None for n, _ in out.grad_fn.next_functions])

indexed = x[:, i]
first, second = indexed.grad_fn._raw_saved_indices
show(lambda: first.register_hooks(lambda t: t, lambda t: t))
show(lambda: second.register_hooks(lambda t: t + 0, lambda t: t))
indexed.sum().backward()
print(x.grad)
show(lambda: indexed.grad_fn._saved_indices)

y = x * x
for hooks in ((3, print), (print,), (lambda t: t * 2, lambda t: t * 3)):
    show(lambda: y.grad_fn._raw_saved_self.register_hooks(*hooks))
print(y.grad_fn._saved_self, y.grad_fn._saved_self.is_leaf)
show(lambda: torch.autograd.SavedTensor())
with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
    z = x * x
print(z.grad_fn._saved_self)

log = []


def unpack(t):
    node = torch._C._current_autograd_node()
    node.register_hook(
        lambda made, given: log.append((node.name(), given)) or tuple(None if g is None else g / 2 for g in made)
    )
    return t


x.grad = None
with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
    (x.sin() * 3).sum().backward()
print(log, x.grad)

counts = [0, 0]


def counted(at):
    def call(t):
        counts[at] += 1
        return t

    return call


with torch.autograd.graph.saved_tensors_hooks(counted(0), counted(1)):
    kept = torch._C._autograd._make_saved_tensor(x, is_output=False)
    print(counts, kept.unpack().requires_grad, torch.equal(kept.unpack(), x), counts)
written = torch.ones(2)
kept = torch._C._autograd._make_saved_tensor(written, is_output=False)
written.add_(1)
show(lambda: kept.unpack())
with torch.autograd.graph.allow_mutation_on_saved_tensors():
    show(lambda: torch.autograd.graph.allow_mutation_on_saved_tensors().__enter__())
