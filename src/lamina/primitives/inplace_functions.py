"""The in-place functions of the top-level namespace, `torch.exp_(x)` and the like: the methods of the same names."""

from __future__ import annotations

from lamina.primitives import addmm, adjusted, selection
from lamina.primitives import functions as f
from lamina.primitives.functions import bare
from lamina.primitives.inplace import inplace

abs_, neg_, negative_ = inplace(bare(f.abs), "abs_"), inplace(bare(f.neg), "neg_"), inplace(bare(f.neg), "negative_")
reciprocal_, sqrt_, rsqrt_ = (
    inplace(bare(f.reciprocal), "reciprocal_"),
    inplace(bare(f.sqrt), "sqrt_"),
    inplace(bare(f.rsqrt), "rsqrt_"),
)
square_, relu_ = inplace(bare(f.square), "square_"), inplace(bare(f.relu), "relu_")
conj_physical_ = inplace(bare(f.conj_physical), "conj_physical_")
exp_, exp2_, expm1_ = inplace(bare(f.exp), "exp_"), inplace(bare(f.exp2), "exp2_"), inplace(bare(f.expm1), "expm1_")
log_, log2_, log10_ = inplace(bare(f.log), "log_"), inplace(bare(f.log2), "log2_"), inplace(bare(f.log10), "log10_")
log1p_, sigmoid_ = inplace(bare(f.log1p), "log1p_"), inplace(bare(f.sigmoid), "sigmoid_")
sin_, cos_, tan_ = inplace(bare(f.sin), "sin_"), inplace(bare(f.cos), "cos_"), inplace(bare(f.tan), "tan_")
asin_ = arcsin_ = inplace(bare(f.asin), "asin_")
acos_ = arccos_ = inplace(bare(f.acos), "acos_")
atan_ = arctan_ = inplace(bare(f.atan), "atan_")
sinh_, cosh_, tanh_ = inplace(bare(f.sinh), "sinh_"), inplace(bare(f.cosh), "cosh_"), inplace(bare(f.tanh), "tanh_")
asinh_ = arcsinh_ = inplace(bare(f.asinh), "asinh_")
acosh_ = arccosh_ = inplace(bare(f.acosh), "acosh_")
atanh_ = arctanh_ = inplace(bare(f.atanh), "atanh_")
sinc_, deg2rad_, rad2deg_ = (
    inplace(bare(f.sinc), "sinc_"),
    inplace(bare(f.deg2rad), "deg2rad_"),
    inplace(bare(f.rad2deg), "rad2deg_"),
)
ceil_, floor_, frac_ = inplace(bare(f.ceil), "ceil_"), inplace(bare(f.floor), "floor_"), inplace(bare(f.frac), "frac_")
trunc_ = fix_ = inplace(bare(f.trunc), "trunc_")
round_ = inplace(bare(adjusted.round), "round_")
logit_, nan_to_num_ = inplace(bare(adjusted.logit), "logit_"), inplace(bare(adjusted.nan_to_num), "nan_to_num_")
clamp_ = clip_ = inplace(bare(selection.clamp), "clamp_")
clamp_min_, clamp_max_ = (
    inplace(bare(selection.clamp_min), "clamp_min_"),
    inplace(bare(selection.clamp_max), "clamp_max_"),
)
threshold_ = inplace(bare(selection.threshold), "threshold_")
erf_, erfc_, i0_ = inplace(bare(f.erf), "erf_"), inplace(bare(f.erfc), "erfc_"), inplace(bare(f.i0), "i0_")
gcd_, lcm_ = inplace(bare(f.gcd), "gcd_"), inplace(bare(f.lcm), "lcm_")
ldexp_, xlogy_ = inplace(bare(f.ldexp), "ldexp_"), inplace(bare(f.xlogy), "xlogy_")
addmv_ = inplace(addmm.addmv, "addmv_")
