"""What nodes say that they saved, by PyTorch's names."""

import torch
import torch.nn.functional as F
from show import show

x = torch.tensor([[0.3, 0.6], [0.9, 0.2]], requires_grad=True)
y = torch.tensor([[0.5, 0.25], [0.4, 0.8]], requires_grad=True)
i = torch.tensor([[0, 1], [1, 0]])
row = torch.tensor([1, 0])
made = {
    "mul": (x * y, "self other"),
    "number": (x * 2.5, "self other"),
    "pow": (x**y, "self exponent result"),
    "rpow": (2.0**x, "exponent result"),
    "exp": (x.exp(), "result"),
    "addcmul": (torch.addcmul(x, y, y), "tensor1 tensor2 value"),
    "lerp": (torch.lerp(x, y, 0.25), "weight"),
    "where": (torch.where(x > 0.5, x, y), "condition"),
    "clamp": (x.clamp(0.25, 0.5), "self min max"),
    "clamp_min": (x.clamp_min(0.5), "self min"),
    "mm": (x @ y, "self mat2"),
    "mv": (x.mv(y[0]), "self vec"),
    "dot": (x[0].dot(y[0]), "self tensor"),
    "addmm": (torch.addmm(x, x, y), "mat1 mat2 alpha beta"),
    "gather": (x.gather(1, i), "index dim"),
    "index_select": (x.index_select(0, row), "index dim self_sym_sizes"),
    "scatter": (x.scatter(1, i, y), "index dim"),
    "index_add": (x.index_add(0, row, y), "index dim alpha"),
    "masked_fill": (x.masked_fill(x > 0.5, 0), "mask"),
    "sum": (x.sum(0), "self_sym_sizes dim keepdim"),
    "amax": (x.amax(0), "self result dim keepdim"),
    "logsumexp": (x.logsumexp(0), "self result dim keepdim"),
    "max": (x.max(0)[0], "indices dim keepdim self_sym_sizes"),
    "sort": (x.sort(0)[0], "indices dim self_sym_sizes"),
    "cumsum": (x.cumsum(0), "dim"),
    "softmax": (x.softmax(1), "result dim"),
    "tril": (x.tril(1), "diagonal"),
    "permute": (x.permute(1, 0), "dims"),
    "unsqueeze": (x.unsqueeze(1), "dim"),
    "select": (x.select(0, 1), "dim index self_sym_sizes"),
    "inverse": (torch.linalg.inv(x), "inverse"),
    "eigh": (torch.linalg.eigh(x + x.t())[0], "eigenvalues eigenvectors"),
    "mse": (F.mse_loss(x, y), "self target"),
    "gelu": (F.gelu(x), "self"),
    "conv": (F.conv2d(x.view(1, 1, 2, 2), y.view(1, 1, 2, 2)), "input weight stride padding dilation groups"),
}
for name, (out, attributes) in made.items():
    for attribute in attributes.split():
        print(name, attribute, end=" ")
        show(lambda: getattr(out.grad_fn, f"_saved_{attribute}"))
    first = attributes.split()[0]
    show(
        lambda: (
            type(getattr(out.grad_fn, f"_raw_saved_{first}")).__name__
            if torch.is_tensor(getattr(out.grad_fn, f"_saved_{first}"))
            else None
        )
    )
    show(lambda: out.grad_fn._saved_nothing)
out = (x * y).exp()
out.sum().backward()
show(lambda: out.grad_fn._saved_result)
