"""Gradients that are recorded: whether they depend on the input, how, and by which node."""

import torch
import torch.nn.functional as F

# by other steps than PyTorch's, or with second derivatives that PyTorch has not
OTHERWISE = set(
    "hardsigmoid silu mish abs norm1 norminf norm0 vnorm1 l1 ce mm mlm bcel ctc cdist pdist dist renorm quantile cumprod hypot "
    "circular det chol logdet slogdet diag tri".split()
)
D = torch.double
torch.manual_seed(0)
x1 = torch.linspace(-0.9, 0.95, 8, dtype=D).view(2, 4)
im = torch.linspace(-1, 1.1, 32, dtype=D).view(1, 2, 4, 4)
vol = torch.linspace(-1, 1.2, 64, dtype=D).view(1, 1, 4, 4, 4)
sq = torch.tensor([[2.0, 0.3], [0.3, 1.0]], dtype=D)
ops = {
    "hardtanh": lambda x: F.hardtanh(x),
    "relu6": lambda x: F.relu6(x),
    "leaky_relu": lambda x: F.leaky_relu(x),
    "threshold": lambda x: F.threshold(x, 0.1, 0.0),
    "relu": lambda x: F.relu(x),
    "prelu": lambda x: F.prelu(x, torch.ones(1, dtype=D)),
    "rrelu": lambda x: F.rrelu(x),
    "rreluT": lambda x: F.rrelu(x, training=True),
    "hardsigmoid": lambda x: F.hardsigmoid(x),
    "hardswish": lambda x: F.hardswish(x),
    "hardshrink": lambda x: F.hardshrink(x),
    "softshrink": lambda x: F.softshrink(x),
    "tanhshrink": lambda x: F.tanhshrink(x),
    "softsign": lambda x: F.softsign(x),
    "elu": lambda x: F.elu(x),
    "selu": lambda x: F.selu(x),
    "celu": lambda x: F.celu(x),
    "gelu": lambda x: F.gelu(x),
    "gelut": lambda x: F.gelu(x, approximate="tanh"),
    "silu": lambda x: F.silu(x),
    "mish": lambda x: F.mish(x),
    "softplus": lambda x: F.softplus(x),
    "logsigmoid": lambda x: F.logsigmoid(x),
    "glu": lambda x: F.glu(x),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "maximum": lambda x: torch.maximum(x, -x),
    "abs": lambda x: x.abs(),
    "sign": lambda x: x.sign(),
    "max": lambda x: x.max(),
    "maxd": lambda x: x.max(1)[0],
    "amax": lambda x: x.amax(1),
    "min": lambda x: x.min(),
    "median": lambda x: x.median(),
    "mediand": lambda x: x.median(1)[0],
    "sort": lambda x: x.sort()[0],
    "topk": lambda x: x.topk(2)[0],
    "kth": lambda x: x.kthvalue(1)[0],
    "mode": lambda x: x.mode()[0],
    "cummax": lambda x: x.cummax(0)[0],
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "nansum": lambda x: x.nansum(),
    "prod": lambda x: x.prod(),
    "norm1": lambda x: x.norm(1),
    "norminf": lambda x: x.norm(float("inf")),
    "norm0": lambda x: x.norm(0),
    "norm2": lambda x: x.norm(),
    "vnorm1": lambda x: torch.linalg.vector_norm(x, 1),
    "l1": lambda x: F.l1_loss(x, x.detach() * 2),
    "mse": lambda x: F.mse_loss(x, x.detach() * 2),
    "huber": lambda x: F.huber_loss(x, x.detach() * 2),
    "smooth": lambda x: F.smooth_l1_loss(x, x.detach() * 2),
    "smooth_lin": lambda x: F.smooth_l1_loss(x, x.detach() + 5),
    "nll": lambda x: F.nll_loss(x, torch.tensor([0, 1])),
    "nlln": lambda x: F.nll_loss(x, torch.tensor([0, 1]), reduction="none"),
    "ce": lambda x: F.cross_entropy(x, torch.tensor([0, 1])),
    "kl": lambda x: F.kl_div(x, x.detach().abs(), reduction="sum"),
    "hinge": lambda x: F.hinge_embedding_loss(x, torch.ones(2, 4, dtype=D)),
    "mm": lambda x: F.multi_margin_loss(x, torch.tensor([0, 1])),
    "mlm": lambda x: F.multilabel_margin_loss(x, torch.tensor([[0, 1, -1, 0], [1, -1, 0, 0]])),
    "softm": lambda x: F.soft_margin_loss(x, torch.ones(2, 4, dtype=D)),
    "bcel": lambda x: F.binary_cross_entropy_with_logits(x, x.detach().abs()),
    "bce": lambda x: F.binary_cross_entropy(x.abs(), x.detach().abs()),
    "marginr": lambda x: F.margin_ranking_loss(x[0], x[1], torch.ones(4, dtype=D)),
    "gnll": lambda x: F.gaussian_nll_loss(x, x.detach(), torch.ones_like(x)),
    "pnll": lambda x: F.poisson_nll_loss(x, x.detach().abs()),
    "ctc": lambda x: F.ctc_loss(
        x.log_softmax(-1).unsqueeze(1), torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1])
    ),
    "dropout": lambda x: F.dropout(x, 0.5),
    "adrop": lambda x: F.alpha_dropout(x, 0.5, True),
    "pad": lambda x: F.pad(x, (1, 1)),
    "nan": lambda x: x.nan_to_num(),
    "frac": lambda x: x.frac(),
    "fmod": lambda x: x.fmod(0.3),
    "rem": lambda x: x.remainder(0.3),
    "floor": lambda x: x.floor(),
    "round": lambda x: x.round(),
    "copysign": lambda x: x.copysign(-x),
    "where": lambda x: torch.where(x > 0, x, -x),
    "sgn": lambda x: x.sgn(),
    "angle": lambda x: x.angle(),
    "heav": lambda x: x * torch.heaviside(x.detach(), x.detach()),
    "cdist": lambda x: torch.cdist(x, x.detach() + 1),
    "pdist": lambda x: F.pdist(x),
    "dist": lambda x: torch.dist(x, x.detach() * 2, 1),
    "renorm": lambda x: x.renorm(1, 0, 0.5),
    "quantile": lambda x: x.quantile(0.3),
    "std": lambda x: x.std(),
    "var": lambda x: x.var(),
    "lse": lambda x: x.logsumexp(0),
    "softmax": lambda x: x.softmax(0),
    "lsm": lambda x: x.log_softmax(0),
    "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(0),
    "aminmax": lambda x: x.aminmax()[0],
    "msort": lambda x: x.msort(),
    "fmax": lambda x: torch.fmax(x, x.detach() * 2),
    "logaddexp": lambda x: torch.logaddexp(x, x.detach()),
    "hypot": lambda x: torch.hypot(x, x.detach() + 3),
    "lerp": lambda x: torch.lerp(x, x.detach(), 0.3),
    "addcmul": lambda x: torch.addcmul(x, x.detach(), x.detach()),
    "triu": lambda x: x.triu(),
    "index_add": lambda x: x.index_add(0, torch.tensor([1]), x[:1].detach()),
    "scatter_reduce": lambda x: x.scatter_reduce(0, torch.zeros(1, 4).long(), x[:1].detach(), "amax"),
    "embedding": lambda x: F.embedding(torch.tensor([1]), x),
    "emb_bag": lambda x: F.embedding_bag(torch.tensor([[1, 0]]), x),
    "emb_bagmax": lambda x: F.embedding_bag(torch.tensor([[1, 0]]), x, mode="max"),
    "linear": lambda x: F.linear(x, x.detach()),
    "bil": lambda x: F.bilinear(x, x.detach(), torch.ones(1, 4, 4, dtype=D)),
    "cos": lambda x: F.cosine_similarity(x, x.detach()),
    "ln": lambda x: F.layer_norm(x, (4,)),
    "gn": lambda x: F.group_norm(x, 2),
    "rms": lambda x: F.rms_norm(x, (4,)),
    "normalize": lambda x: F.normalize(x),
}
iops = {
    "maxpool1": lambda x: F.max_pool1d(x[0], 2),
    "maxpool2": lambda x: F.max_pool2d(x, 2),
    "avgpool1": lambda x: F.avg_pool1d(x[0], 2),
    "avgpool2": lambda x: F.avg_pool2d(x, 2),
    "aavg1": lambda x: F.adaptive_avg_pool1d(x[0], 2),
    "aavg2": lambda x: F.adaptive_avg_pool2d(x, 2),
    "aavg21": lambda x: F.adaptive_avg_pool2d(x, 1),
    "amax2": lambda x: F.adaptive_max_pool2d(x, 2),
    "lppool": lambda x: F.lp_pool2d(x, 2, 2),
    "frac": lambda x: F.fractional_max_pool2d(x, 2, output_size=2),
    "unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "interp": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "area": lambda x: F.interpolate(x, size=2, mode="area"),
    "grid": lambda x: F.grid_sample(x, torch.zeros(1, 2, 2, 2, dtype=D), align_corners=False),
    "unfold": lambda x: F.unfold(x, 2),
    "fold": lambda x: F.fold(F.unfold(x, 2), (4, 4), 2),
    "conv": lambda x: F.conv2d(x, torch.ones(1, 2, 2, 2, dtype=D)),
    "convt": lambda x: F.conv_transpose2d(x, torch.ones(2, 1, 2, 2, dtype=D)),
    "bn": lambda x: F.batch_norm(x, None, None, training=True),
    "bne": lambda x: F.batch_norm(x, torch.zeros(2, dtype=D), torch.ones(2, dtype=D)),
    "in": lambda x: F.instance_norm(x),
    "pixsh": lambda x: F.pixel_shuffle(x.view(1, 4, 2, 4), 2),
    "chsh": lambda x: F.channel_shuffle(x, 2),
    "lrn": lambda x: F.local_response_norm(x, 2),
    "drop2": lambda x: F.dropout2d(x),
}
vops = {
    "max3": lambda x: F.max_pool3d(x, 2),
    "avg3": lambda x: F.avg_pool3d(x, 2),
    "aavg3": lambda x: F.adaptive_avg_pool3d(x, 2),
    "amax3": lambda x: F.adaptive_max_pool3d(x, 2),
    "rep3": lambda x: F.pad(x, (1,) * 6, mode="replicate"),
    "ref3": lambda x: F.pad(x, (1,) * 6, mode="reflect"),
    "tri": lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
    "conv3": lambda x: F.conv3d(x, torch.ones(1, 1, 2, 2, 2, dtype=D)),
}
lops = {
    "inv": torch.linalg.inv,
    "det": torch.linalg.det,
    "chol": torch.linalg.cholesky,
    "logdet": torch.logdet,
    "slogdet": lambda x: torch.linalg.slogdet(x)[1],
    "eigh": lambda x: torch.linalg.eigh(x)[0],
    "svd": lambda x: torch.linalg.svdvals(x),
    "pinv": torch.linalg.pinv,
    "mexp": torch.matrix_exp,
    "solve": lambda x: torch.linalg.solve(x, x.detach()),
    "qr": lambda x: torch.linalg.qr(x)[1],
    "trace": torch.trace,
    "diag": torch.diag,
    "mpow": lambda x: torch.linalg.matrix_power(x, 3),
    "nuc": lambda x: x.norm("nuc"),
    "tri": lambda x: torch.linalg.solve_triangular(x, x.detach(), upper=True),
}
for group, x0 in ((ops, x1), (iops, im), (vops, vol), (lops, sq)):
    for n, f in group.items():
        if n in OTHERWISE:
            continue
        x = x0.clone().requires_grad_()
        torch.manual_seed(0)
        try:
            o = f(x)
            (g,) = torch.autograd.grad(o, x, torch.ones_like(o), create_graph=True)
            r = None
            try:
                if g.requires_grad:
                    r = torch.autograd.grad(g.sum(), x, allow_unused=True)[0]
                    r = None if r is None else [round(v, 4) + 0 for v in r.reshape(-1)[:4].tolist()]
            except Exception as e:
                r = type(e).__name__
            print(n, g.requires_grad, r, o.grad_fn.name(), None if g.grad_fn is None else g.grad_fn.name())
        except Exception as e:
            print(n, type(e).__name__, str(e)[:50])
