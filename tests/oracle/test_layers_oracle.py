"""torch.nn's layers in lamina and in PyTorch: parameters from the same seed, outputs, gradients, repr, state_dict."""

import copy
import inspect
import io
import pickle
import warnings

import numpy as np
import pytest
import torch

import lamina

pytestmark = pytest.mark.filterwarnings("ignore")

# name, constructor arguments, keyword arguments, inputs by shape: "3,4" normal draws that require grad;
# "i5:3,4" integers below 5, "p:3,4" probabilities, "s:3,4" signs, all without grad
CASES = [
    ("Identity", (3,), {}, ["2,3"]),
    ("Linear", (3, 4), {}, ["2,3"]),
    ("Linear", (3, 40), {"bias": False}, ["2,5,3"]),
    ("Bilinear", (2, 3, 4), {}, ["5,2", "5,3"]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, ["2,4,9"]),
    ("Conv1d", (4, 6, 4), {"padding": "same"}, ["2,4,9"]),
    ("Conv2d", (2, 4, 3), {"groups": 2, "dilation": 2, "padding": 2}, ["2,2,7,6"]),
    ("Conv2d", (2, 4, (3, 2)), {"padding": (1, 2), "padding_mode": "circular", "bias": False}, ["2,2,7,6"]),
    ("Conv2d", (2, 4, 3), {"padding": "same", "padding_mode": "reflect"}, ["2,7,6"]),
    ("Conv2d", (2, 4, 3), {"padding": "valid", "padding_mode": "replicate"}, ["1,2,7,6"]),
    ("Conv3d", (2, 4, 2), {"stride": (1, 2, 1)}, ["1,2,4,5,4"]),
    ("ConvTranspose1d", (2, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, ["2,2,5"]),
    ("ConvTranspose2d", (2, 4, 3), {"groups": 2, "stride": 2}, ["1,2,3,4"]),
    ("ConvTranspose3d", (2, 3, 2), {"dilation": 2}, ["1,2,3,3,3"]),
    ("MaxPool1d", (2,), {}, ["2,3,7"]),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True, "return_indices": True}, ["2,3,7,8"]),
    ("MaxPool3d", (2,), {"stride": 1}, ["1,2,3,3,3"]),
    ("AvgPool1d", (3,), {"padding": 1, "count_include_pad": False}, ["2,3,7"]),
    ("AvgPool2d", (3,), {"stride": 2, "divisor_override": 5}, ["2,3,7,7"]),
    ("AvgPool3d", (3, 2, 1), {}, ["1,2,4,4,4"]),
    ("LPPool1d", (2, 3), {}, ["2,3,7"]),
    ("LPPool2d", (3, 2), {"stride": 1}, ["1,2,4,4"]),
    ("LPPool3d", (2, 2), {}, ["1,2,4,4,4"]),
    ("FractionalMaxPool2d", (2,), {"output_size": 3}, ["1,2,7,7"]),
    ("FractionalMaxPool2d", (2,), {"output_ratio": 0.5, "return_indices": True}, ["1,2,7,7"]),
    ("FractionalMaxPool3d", (2,), {"output_size": (2, 3, 2)}, ["1,2,5,5,5"]),
    ("AdaptiveAvgPool1d", (3,), {}, ["2,3,7"]),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, ["2,3,7,7"]),
    ("AdaptiveAvgPool3d", (2,), {}, ["1,2,3,4,5"]),
    ("AdaptiveMaxPool1d", (3,), {}, ["2,3,7"]),
    ("AdaptiveMaxPool2d", ((3, None),), {"return_indices": True}, ["2,3,7,7"]),
    ("AdaptiveMaxPool3d", (2,), {}, ["1,2,3,4,5"]),
    ("BatchNorm1d", (3,), {}, ["4,3"]),
    ("BatchNorm1d", (3,), {"momentum": None, "bias": False}, ["4,3,5"]),
    ("BatchNorm2d", (3,), {"affine": False}, ["4,3,2,2"]),
    ("BatchNorm3d", (3,), {"track_running_stats": False}, ["4,3,2,2,2"]),
    ("SyncBatchNorm", (3,), {}, ["4,3,2"]),
    ("InstanceNorm1d", (3,), {}, ["2,3,5"]),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, ["2,3,4,4"]),
    ("InstanceNorm3d", (3,), {"affine": True, "bias": False}, ["3,2,2,2"]),
    ("LayerNorm", (4,), {}, ["2,3,4"]),
    ("LayerNorm", ((3, 4),), {"bias": False}, ["2,3,4"]),
    ("LayerNorm", (4,), {"elementwise_affine": False}, ["2,3,4"]),
    ("RMSNorm", (4,), {}, ["2,3,4"]),
    ("GroupNorm", (2, 4), {}, ["2,4,3"]),
    ("GroupNorm", (2, 4), {"bias": False}, ["2,4,3"]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, ["2,5,3,3"]),
    ("CrossMapLRN2d", (3,), {"alpha": 0.5}, ["2,7,3,3"]),
    ("CELU", (), {"alpha": 2.0}, ["3,4"]),
    ("ELU", (), {"inplace": False}, ["3,4"]),
    ("GELU", (), {}, ["3,4"]),
    ("GELU", ("tanh",), {}, ["3,4"]),
    ("GLU", (), {}, ["3,4"]),
    ("Hardshrink", (), {}, ["3,4"]),
    ("Hardsigmoid", (), {}, ["3,4"]),
    ("Hardswish", (), {}, ["3,4"]),
    ("Hardtanh", (-0.5, 0.7), {}, ["3,4"]),
    ("LeakyReLU", (0.2,), {}, ["3,4"]),
    ("LogSigmoid", (), {}, ["3,4"]),
    ("LogSoftmax", (1,), {}, ["3,4"]),
    ("Mish", (), {}, ["3,4"]),
    ("PReLU", (4,), {"init": 0.1}, ["3,4"]),
    ("RReLU", (), {}, ["3,4"]),
    ("ReLU", (), {}, ["3,4"]),
    ("ReLU6", (), {}, ["3,4"]),
    ("SELU", (), {}, ["3,4"]),
    ("SiLU", (), {}, ["3,4"]),
    ("Sigmoid", (), {}, ["3,4"]),
    ("Softmax", (0,), {}, ["3,4"]),
    ("Softmax", (), {}, ["3,4"]),
    ("Softmax2d", (), {}, ["2,3,2,2"]),
    ("Softmin", (1,), {}, ["3,4"]),
    ("Softplus", (2.0,), {}, ["3,4"]),
    ("Softshrink", (), {}, ["3,4"]),
    ("Softsign", (), {}, ["3,4"]),
    ("Tanh", (), {}, ["3,4"]),
    ("Tanhshrink", (), {}, ["3,4"]),
    ("Threshold", (0.1, 2.0), {}, ["3,4"]),
    ("Dropout", (0.3,), {}, ["3,40"]),
    ("Dropout1d", (), {}, ["3,4,5"]),
    ("Dropout2d", (), {}, ["3,4,5,2"]),
    ("Dropout3d", (), {}, ["3,4,2,2,2"]),
    ("AlphaDropout", (), {}, ["3,4"]),
    ("FeatureAlphaDropout", (), {}, ["3,4,5"]),
    ("Embedding", (5, 4), {"padding_idx": -2}, ["i5:3,4"]),
    ("Embedding", (5, 4), {"max_norm": 1.0, "norm_type": 1.0, "scale_grad_by_freq": True}, ["i5:6"]),
    ("EmbeddingBag", (5, 4), {"mode": "sum", "padding_idx": 1}, ["i5:3,4"]),
    ("EmbeddingBag", (5, 4), {"mode": "max"}, ["i5:3,4"]),
    ("L1Loss", (), {}, ["3,4", "3,4"]),
    ("MSELoss", (), {"reduction": "sum"}, ["3,4", "3,4"]),
    ("SmoothL1Loss", (), {"beta": 0.5}, ["3,4", "3,4"]),
    ("HuberLoss", (), {"delta": 0.5}, ["3,4", "3,4"]),
    ("PoissonNLLLoss", (), {"full": True}, ["3,4", "p:3,4"]),
    ("GaussianNLLLoss", (), {"full": True}, ["3,4", "3,4", "p:3,4"]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, ["3,4", "p:3,4"]),
    ("BCELoss", (), {}, ["p:3,4", "p:3,4"]),
    ("BCEWithLogitsLoss", (), {}, ["3,4", "p:3,4"]),
    ("NLLLoss", (), {"ignore_index": 1}, ["3,4", "i4:3"]),
    ("NLLLoss2d", (), {}, ["3,4,2,2", "i4:3,2,2"]),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1}, ["3,4", "i4:3"]),
    ("SoftMarginLoss", (), {}, ["3,4", "s:3,4"]),
    ("MultiLabelMarginLoss", (), {}, ["3,4", "i4:3,4"]),
    ("MultiLabelSoftMarginLoss", (), {}, ["3,4", "p:3,4"]),
    ("MultiMarginLoss", (), {"p": 2}, ["3,4", "i4:3"]),
    ("HingeEmbeddingLoss", (), {}, ["3,4", "s:3,4"]),
    ("CosineEmbeddingLoss", (), {"margin": 0.1}, ["3,4", "3,4", "s:3"]),
    ("MarginRankingLoss", (), {"margin": 0.1}, ["3", "3", "s:3"]),
    ("TripletMarginLoss", (), {"swap": True}, ["3,4", "3,4", "3,4"]),
    ("TripletMarginWithDistanceLoss", (), {}, ["3,4", "3,4", "3,4"]),
    ("AdaptiveLogSoftmaxWithLoss", (8, 10, [2, 5]), {"div_value": 2.0}, ["7,8", "i10:7"]),
    ("AdaptiveLogSoftmaxWithLoss", (8, 10, [2, 5]), {"head_bias": True}, ["8", "i10:"]),
    ("LinearCrossEntropyLoss", (4, 5), {"out_features": (2, 3), "bias": True}, ["7,4", "i5:7,2,3"]),
    ("ZeroPad1d", (1,), {}, ["2,3,4"]),
    ("ZeroPad2d", ((1, 2, 0, 1),), {}, ["2,3,4,4"]),
    ("ZeroPad3d", (1,), {}, ["1,2,2,2,2"]),
    ("ConstantPad1d", (1, 2.0), {}, ["2,3,4"]),
    ("ConstantPad2d", (1, 2.0), {}, ["2,3,4,4"]),
    ("ConstantPad3d", (1, 2.0), {}, ["1,2,2,2,2"]),
    ("ReflectionPad1d", ((1, 2),), {}, ["2,3,4"]),
    ("ReflectionPad2d", (1,), {}, ["2,3,4,4"]),
    ("ReflectionPad3d", (1,), {}, ["1,2,3,3,3"]),
    ("ReplicationPad1d", ((1, 2),), {}, ["2,3,4"]),
    ("ReplicationPad2d", (1,), {}, ["2,3,4,4"]),
    ("ReplicationPad3d", (1,), {}, ["1,2,3,3,3"]),
    ("CircularPad1d", ((1, 2),), {}, ["2,3,4"]),
    ("CircularPad2d", (1,), {}, ["2,3,4,4"]),
    ("CircularPad3d", (1,), {}, ["1,2,3,3,3"]),
    ("Upsample", (), {"scale_factor": (2, 3), "mode": "bilinear", "align_corners": True}, ["1,2,3,3"]),
    ("Upsample", (5,), {}, ["1,2,3"]),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, ["1,2,3,3"]),
    ("UpsamplingBilinear2d", (5,), {}, ["1,2,3,3"]),
    ("RNNCell", (3, 4), {}, ["2,3", "2,4"]),
    ("RNNCell", (3, 4, False, "relu"), {}, ["3"]),
    ("LSTMCell", (3, 4), {}, ["2,3"]),
    ("GRUCell", (3, 4), {}, ["2,3", "2,4"]),
    ("GRUCell", (3, 4), {"bias": False}, ["3"]),
    ("RNN", (3, 4), {}, ["5,2,3"]),
    ("RNN", (3, 4, 2, "relu"), {"bidirectional": True}, ["5,2,3", "4,2,4"]),
    ("GRU", (3, 4, 2), {"batch_first": True, "bidirectional": True}, ["2,5,3", "4,2,4"]),
    ("GRU", (3, 4), {"bias": False}, ["5,3"]),
    ("LSTM", (3, 4, 2), {"dropout": 0.5, "bidirectional": True}, ["5,2,3"]),
    ("LSTM", (3, 4, 2), {"proj_size": 2, "bias": False, "batch_first": True}, ["2,5,3"]),
    ("LSTM", (3, 4), {"proj_size": 2, "bidirectional": True}, ["5,3"]),
    ("MultiheadAttention", (4, 2), {}, ["3,2,4", "5,2,4", "5,2,4"]),
    ("MultiheadAttention", (4, 2), {"batch_first": True, "dropout": 0.3}, ["2,3,4"] * 3),
    ("MultiheadAttention", (4, 2), {"kdim": 3, "vdim": 5, "add_bias_kv": True}, ["3,4", "6,3", "6,5"]),
    ("MultiheadAttention", (4, 2), {"add_zero_attn": True, "bias": False}, ["3,2,4"] * 3),
    ("TransformerEncoderLayer", (4, 2, 8), {}, ["3,2,4"]),
    ("TransformerEncoderLayer", (4, 2, 8), {"norm_first": True, "activation": "gelu", "bias": False}, ["3,4"]),
    ("TransformerDecoderLayer", (4, 2, 8), {"batch_first": True}, ["2,3,4", "2,5,4"]),
    ("TransformerDecoderLayer", (4, 2, 8), {"norm_first": True}, ["3,2,4", "5,2,4"]),
    ("Transformer", (4, 2, 2, 2, 8), {}, ["3,2,4", "5,2,4"]),
    ("Fold", ((4, 5), 2), {}, ["1,12,12"]),
    ("Unfold", (2,), {"stride": 2}, ["1,3,4,4"]),
    ("PairwiseDistance", (), {"keepdim": True}, ["3,4", "3,4"]),
    ("CosineSimilarity", (), {}, ["3,4", "3,4"]),
    ("PixelShuffle", (2,), {}, ["1,8,2,3"]),
    ("PixelUnshuffle", (2,), {}, ["1,2,4,6"]),
    ("ChannelShuffle", (2,), {}, ["1,6,2,2"]),
    ("Flatten", (), {}, ["2,3,4"]),
    ("Unflatten", (1, (2, 3)), {}, ["2,6,4"]),
    ("LazyLinear", (4,), {}, ["2,3"]),
    ("LazyConv1d", (4, 3), {}, ["2,2,5"]),
    ("LazyConv2d", (4, 3), {"groups": 2, "bias": False}, ["2,5,5"]),
    ("LazyConv3d", (4, 2), {}, ["1,2,3,3,3"]),
    ("LazyConvTranspose1d", (4, 3), {}, ["2,2,5"]),
    ("LazyConvTranspose2d", (4, 3), {"stride": 2}, ["1,2,5,5"]),
    ("LazyConvTranspose3d", (4, 2), {}, ["1,2,3,3,3"]),
    ("LazyBatchNorm1d", (), {}, ["4,3"]),
    ("LazyBatchNorm2d", (), {"affine": False}, ["4,3,2,2"]),
    ("LazyBatchNorm3d", (), {"bias": False}, ["4,3,2,2,2"]),
    ("LazyInstanceNorm1d", (), {}, ["2,3,5"]),
    ("LazyInstanceNorm2d", (), {"affine": False}, ["2,3,4,4"]),
    ("LazyInstanceNorm3d", (), {}, ["2,3,2,2,2"]),
]
# Their arguments are tensors or do not fit the table: tested on their own below.
ELSEWHERE = {"CTCLoss", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "TransformerEncoder", "TransformerDecoder"}
NOT_LAYERS = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container"}
NOT_LAYERS |= {"RNNBase", "RNNCellBase", "DataParallel"}


def array(spec: str, rng: np.random.Generator) -> np.ndarray:
    kind, _, shape = spec.rpartition(":")
    sizes = tuple(int(size) for size in shape.split(",") if size)
    if kind.startswith("i"):
        return rng.integers(0, int(kind[1:]), sizes)
    if kind == "p":
        return rng.uniform(0.05, 0.95, sizes).astype(np.float32)
    values = rng.standard_normal(sizes).astype(np.float32)
    return np.sign(values) if kind == "s" else values


def tensors(lib, specs):
    rng = np.random.default_rng(7)
    result = []
    for spec in specs:
        tensor = lib.tensor(array(spec, rng))
        result.append(tensor if ":" in spec else tensor.requires_grad_())
    return result


def flat(value):
    """Every tensor in nested tuples."""
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flat(item)]
    return [] if value is None else [value]


def build(lib, name, args, kwargs):
    lib.manual_seed(3)
    return getattr(lib.nn, name)(*args, **kwargs)


def state(module):
    return {name: np.array(tensor.detach().numpy()) for name, tensor in module.state_dict().items()}


def run(lib, module, specs):
    """(outputs, gradients of inputs and parameters) of one training step; the loss weighs outputs unevenly."""
    inputs = tensors(lib, specs)
    outputs = flat(module(*inputs))
    terms = [
        (out * lib.linspace(0.5, 1.5, out.numel()).view(out.shape)).sum()
        for out in outputs
        if out.dtype.is_floating_point and out.requires_grad
    ]
    if terms:
        sum(terms).backward()
    grads = {f"input{i}": tensor.grad for i, tensor in enumerate(inputs) if tensor.requires_grad}
    grads |= {name: parameter.grad for name, parameter in module.named_parameters()}
    values = {name: None if grad is None else np.array(grad.detach().numpy()) for name, grad in grads.items()}
    return [np.array(out.detach().numpy()) for out in outputs], values


def assert_close(got, want, what):
    assert (got is None) == (want is None), what
    if got is not None:
        assert got.dtype == want.dtype and got.shape == want.shape, what
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=what)


def assert_same_state(ours, theirs):
    ours, theirs = state(ours), state(theirs)
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def case_id(case):
    return f"{case[0]}-{case[2]}" if case[2] else case[0]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_layer(case):
    name, args, kwargs, specs = case
    ours, theirs = build(lamina, name, args, kwargs), build(torch, name, args, kwargs)
    assert repr(ours) == repr(theirs)
    assert list(ours._parameters) == list(theirs._parameters)
    assert list(ours._buffers) == list(theirs._buffers)
    public = {key for key in vars(theirs) if not key.startswith("_")}
    assert {key for key in vars(ours) if not key.startswith("_")} == public
    if not name.startswith("Lazy"):
        assert_same_state(ours, theirs)
    for mode in (True, False):
        ours.train(mode), theirs.train(mode)
        lamina.manual_seed(11)
        got, got_grads = run(lamina, ours, specs)
        torch.manual_seed(11)
        want, want_grads = run(torch, theirs, specs)
        assert len(got) == len(want)
        for value, reference in zip(got, want, strict=True):
            assert_close(value, reference, f"output, training={mode}")
        assert list(got_grads) == list(want_grads)
        for key in got_grads:
            # CrossMapLRN2d's backward in PyTorch is not the derivative of its forward.
            if name != "CrossMapLRN2d":
                assert_close(got_grads[key], want_grads[key], f"gradient of {key}, training={mode}")
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert type(copied) is type(ours) and repr(copied) == repr(ours)
        results = []
        for module in (copied.eval(), ours.eval()):
            lamina.manual_seed(13)
            results.append(run(lamina, module, specs)[0])
        for value, reference in zip(*results, strict=True):
            np.testing.assert_array_equal(value, reference)


def test_every_layer_of_torch_is_there_and_tested():
    layers = {
        name for name, value in vars(torch.nn).items() if inspect.isclass(value) and issubclass(value, torch.nn.Module)
    } - NOT_LAYERS
    assert layers <= set(dir(lamina.nn))
    assert layers == {case[0] for case in CASES} | ELSEWHERE


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES} | ELSEWHERE))
def test_signature(name):
    def parameters(lib):
        signature = inspect.signature(getattr(lib.nn, name).__init__)
        return [(p.name, p.kind, callable(p.default) or p.default) for p in signature.parameters.values()]

    ours, theirs = parameters(lamina), parameters(torch)
    if any(kind is inspect.Parameter.VAR_KEYWORD for _, kind, _ in theirs):
        return  # PyTorch passes everything on: whatever names we give are right
    # PyTorch's stubs write some defaults as int and some as float; they are equal all the same.
    assert ours == theirs


@pytest.mark.parametrize("lengths, enforce", [([5, 3, 1], True), ([2, 5, 5, 1], False)])
@pytest.mark.parametrize(
    "name, kwargs",
    [
        ("RNN", {}),
        ("GRU", {"num_layers": 2, "bidirectional": True}),
        ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 2, "dropout": 0.4}),
        ("LSTM", {"bias": False, "batch_first": True}),
    ],
)
@pytest.mark.parametrize("with_state", [False, True])
def test_packed(name, kwargs, lengths, enforce, with_state):
    def once(lib):
        module = build(lib, name, (3, 4), kwargs)
        first = kwargs.get("batch_first", False)
        shape = f"{len(lengths)},5,3" if first else f"5,{len(lengths)},3"
        layers = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
        hidden = f"{layers},{len(lengths)},{kwargs.get('proj_size', 4)}"
        input, hx, cx = tensors(lib, [shape, hidden, f"{layers},{len(lengths)},4"])
        packed = lib.nn.utils.rnn.pack_padded_sequence(input, lengths, batch_first=first, enforce_sorted=enforce)
        lib.manual_seed(5)
        start = ((hx, cx) if name == "LSTM" else hx) if with_state else None
        output, final = module(packed, start)
        padded, _ = lib.nn.utils.rnn.pad_packed_sequence(output, batch_first=first)
        outputs = flat((padded, final))
        sum((out * lib.linspace(0.5, 1.5, out.numel()).view(out.shape)).sum() for out in outputs).backward()
        grads = [p.grad for p in module.parameters()] + [input.grad, hx.grad if with_state else None]
        return [None if tensor is None else tensor.detach().numpy() for tensor in outputs + grads]

    for place, (got, want) in enumerate(zip(once(lamina), once(torch), strict=True)):
        assert_close(got, want, str(place))


def test_transformer_masks_and_stacks():
    def once(lib, **options):
        lib.manual_seed(1)
        nn = lib.nn
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 2)
        decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0, batch_first=True), 2)
        src, tgt = tensors(lib, ["2,3,4", "2,5,4"])
        padding = lib.tensor([[False, False, True], [False, False, False]])
        causal = nn.Transformer.generate_square_subsequent_mask(5)
        results = []
        for train in (True, False):
            encoder.train(train), decoder.train(train)
            with lib.set_grad_enabled(train):
                memory = encoder(src, src_key_padding_mask=padding)
                results += [memory, decoder(tgt, memory, tgt_mask=causal, memory_key_padding_mask=padding)]
                results += [encoder(tgt, mask=causal), encoder(tgt, mask=causal != 0, is_causal=True)]
        return [result.detach().numpy() for result in results]

    for place, (got, want) in enumerate(zip(once(lamina), once(torch), strict=True)):
        assert_close(got, want, str(place))


def test_unpool_ctc_and_output_size():
    def once(lib):
        lib.manual_seed(0)
        nn, results = lib.nn, []
        for dims in (1, 2, 3):
            (input,) = tensors(lib, ["1,2" + ",4" * dims])
            pooled, indices = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)(input)
            unpool = getattr(nn, f"MaxUnpool{dims}d")(2)
            results += [unpool(pooled, indices), unpool(pooled, indices, output_size=[5] * dims)]
        log_probs = tensors(lib, ["6,2,4"])[0].log_softmax(-1)
        loss = nn.CTCLoss(blank=1, zero_infinity=True)
        results.append(loss(log_probs, lib.tensor([[2, 3], [0, 2]]), lib.tensor([6, 5]), lib.tensor([2, 1])))
        transposed = nn.ConvTranspose2d(2, 4, 3, stride=2)
        results.append(transposed(tensors(lib, ["1,2,5,5"])[0], output_size=[12, 11]))
        bag = nn.EmbeddingBag.from_pretrained(lib.arange(12.0).view(4, 3), mode="sum")
        results.append(bag(lib.tensor([1, 2, 3]), lib.tensor([0, 2]), lib.tensor([0.5, 1.0, 2.0])))
        lstm = nn.LSTM(3, 4, proj_size=2)
        results += flat(lstm(*tensors(lib, ["5,2,3"]), tuple(tensors(lib, ["1,2,2", "1,2,4"]))))
        softmax = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0)
        (input,) = tensors(lib, ["6,8"])
        results += [softmax.log_prob(input), softmax.predict(3 * input)]
        return [result.detach().numpy() for result in results]

    for place, (got, want) in enumerate(zip(once(lamina), once(torch), strict=True)):
        assert_close(got, want, str(place))


INITIALISERS = [
    ("uniform_", (-1, 2), (40,)),
    ("normal_", (1, 2), (40,)),
    ("trunc_normal_", (), (50,)),
    ("trunc_normal_", (0.0, 1.0, -0.7, 0.7), (50,)),
    ("trunc_normal_", (0.0, 1.0, 3.0, 5.0), (20,)),
    ("trunc_normal_", (0.5, 2.0, -0.3, 0.1), (20,)),
    ("constant_", (3,), (4,)),
    ("ones_", (), (4,)),
    ("zeros_", (), (4,)),
    ("eye_", (), (4, 3)),
    ("dirac_", (2,), (6, 2, 3, 3)),
    ("xavier_uniform_", (2.0,), (4, 3, 2)),
    ("xavier_normal_", (), (4, 3, 2)),
    ("kaiming_uniform_", (0.1, "fan_out"), (4, 3, 2)),
    ("kaiming_normal_", (0, "fan_in", "relu"), (4, 3, 2)),
    ("sparse_", (0.4,), (7, 5)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name, args, shape", INITIALISERS)
def test_initialiser(name, args, shape, dtype):
    def once(lib):
        lib.manual_seed(9)
        tensor = lib.ones(shape, dtype=getattr(lib, dtype), requires_grad=True)
        result = getattr(lib.nn.init, name)(tensor, *args)
        assert result is tensor and tensor.grad_fn is None
        return tensor.detach().double().numpy(), lib.rand(1).item()

    (got, next_draw), (want, reference) = once(lamina), once(torch)
    np.testing.assert_array_equal(got, want)
    assert next_draw == reference


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (4, 3, 2)])
def test_orthogonal(shape):
    def once(lib):
        lib.manual_seed(9)
        return lib.nn.init.orthogonal_(lib.empty(shape), 2).numpy()

    np.testing.assert_allclose(once(lamina), once(torch), atol=1e-6)


ERRORS = """
nn.Bilinear(0, 2, 3)
nn.Linear(0, 3)
nn.Conv2d(2, 4, 3, groups=0)
nn.Conv2d(3, 4, 3, groups=2)
nn.Conv2d(4, 3, 3, groups=2)
nn.Conv2d(2, 4, 3, padding='same', stride=2)
nn.ConvTranspose2d(2, 4, 3, padding_mode='circular')
nn.ConvTranspose2d(2, 4, 3, stride=2)(z(1, 2, 5, 5), output_size=(30, 30))
nn.ConvTranspose2d(2, 4, 3, stride=2)(z(1, 2, 5, 5), output_size=(30,))
nn.LazyConv2d(4, 3)(z(2, 2))
nn.Dropout(1.5)
nn.BatchNorm1d(3)(z(3))
nn.BatchNorm2d(3)(z(3, 3))
nn.BatchNorm1d(3)(z(1, 3))
nn.SyncBatchNorm(3)(z(2))
nn.InstanceNorm1d(3)(z(3))
nn.InstanceNorm1d(3)(z(2, 4, 5))
nn.InstanceNorm1d(3, affine=True)(z(2, 4, 5))
nn.InstanceNorm1d(2).load_state_dict({'running_mean': z(2), 'running_var': z(2)})
nn.BatchNorm1d(2).load_state_dict({'weight': z(2), 'bias': z(2), 'running_mean': z(2), 'running_var': z(2)})
nn.GroupNorm(2, 3)
nn.Softmax2d()(z(2, 2))
nn.Hardtanh(2, 1)
nn.Hardtanh(min_value=0, max_value=2)
nn.MultiheadAttention(5, 2)
nn.MultiheadAttention(0, 2)
nn.MultiheadAttention(4, 2)(z(3, 1, 4), z(3, 1, 4), z(3, 1, 4), is_causal=True)
nn.Embedding(3, 4, padding_idx=3)
nn.Embedding(3, 4, _weight=z(3, 3))
nn.Embedding.from_pretrained(z(3))
nn.EmbeddingBag(3, 4, padding_idx=-4)
nn.FractionalMaxPool2d(2)
nn.FractionalMaxPool2d(2, output_size=2, output_ratio=.5)
nn.FractionalMaxPool3d(2, output_ratio=1.5)
nn.MultiMarginLoss(p=3)
nn.TripletMarginLoss(margin=-1)
nn.L1Loss(size_average=False)
nn.NLLLoss2d()
nn.AdaptiveLogSoftmaxWithLoss(4, 6, [])
nn.AdaptiveLogSoftmaxWithLoss(4, 6, [4, 2])
nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2])(z(2, 4), z(3).long())
nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2])(z(2, 4), 6 + z(2).long())
nn.CircularPad1d(1)(z(2))
nn.Unflatten(1, 3)
nn.Unflatten(1, (2, 'a'))
nn.Transformer(4, 2, 1, 1, 8)(z(3, 2, 4), z(3, 1, 4))
nn.Transformer(4, 2, 1, 1, 8)(z(3, 2, 5), z(3, 2, 5))
nn.TransformerEncoderLayer(4, 2, 8, activation='foo')
nn.TransformerEncoderLayer(4, 2, 8)(z(3, 1, 4), src_mask=z(3, 3).long())
nn.TransformerEncoder(nn.TransformerEncoderLayer(3, 1, 8, batch_first=True), 2)
nn.LinearCrossEntropyOptions(acc_policy='foo')
nn.RNN(3, 4, nonlinearity='foo')
nn.GRU(3, 4, proj_size=2)
nn.LSTM(3, 4, proj_size=4)
nn.LSTM(3, 4, dropout=.5)
nn.LSTM(3, 4, dropout=1.5)
nn.LSTM(3, 4.0)
nn.LSTM(3, 4, 0)
nn.RNN(3, 4)(z(2, 2, 2, 3))
nn.GRU(3, 4)(z(2, 2, 2, 3))
nn.LSTM(3, 4)(z(2, 2, 5))
nn.RNN(3, 4)(z(5, 2, 3), z(1, 3, 4))
nn.RNN(3, 4)(z(5, 3), z(1, 3, 4))
nn.LSTM(3, 4)(z(5, 2, 3), (z(1, 2, 4), z(1, 3, 4)))
nn.LSTM(3, 4)(z(5, 2, 3), (z(1, 4), z(1, 4)))
nn.LSTM(3, 4)(z(5, 2, 3).double())
nn.LSTM(3, 4)(z(0, 2, 3))
nn.RNNCell(3, 4)(z(2, 2, 3))
nn.RNNCell(3, 4)(z(2, 4))
nn.RNNCell(3, 4)(z(2, 3), z(3, 4))
nn.RNNCell(3, 4)(z(2, 3), z(2, 5))
nn.RNNCell(3, 4, nonlinearity='foo')(z(2, 3))
nn.LSTMCell(3, 4)(z(2, 3), z(2, 4))
nn.LSTMCell(3, 4)(z(2, 3), (z(2, 4), z(3, 4)))
nn.LSTMCell(3, 4)(z(2, 3), (z(1, 2, 4), z(4)))
nn.init.uniform(z(2))
nn.init.xavier_uniform_(z(2))
nn.init.kaiming_uniform_(z(2, 2), mode='foo')
nn.init.kaiming_uniform_(z(2, 2), nonlinearity='foo')
nn.init.kaiming_normal_(z(0, 2))
nn.init.orthogonal_(z(2))
nn.init.dirac_(z(3, 2, 2), 2)
nn.init.trunc_normal_(z(3), 5)
nn.init.calculate_gain('leaky_relu', True)
""".strip().splitlines()


@pytest.mark.parametrize("text", ERRORS)
def test_errors_and_warnings(text):
    def once(lib):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                eval(text, {"nn": lib.nn, "z": lib.zeros})
                error = None
            except Exception as raised:
                error = type(raised).__mro__, str(raised).replace("lamina.", "torch.").split("\n")[0]
        notes = [(w.category, str(w.message)) for w in caught]
        return error and ([base.__name__ for base in error[0]][-3:], error[1]), notes

    assert once(lamina) == once(torch)


def test_state_moves_both_ways():
    ours, theirs = build(lamina, "LSTM", (3, 4), {}), build(torch, "LSTM", (3, 4), {})
    theirs.reset_parameters()
    ours.load_state_dict({name: lamina.tensor(value) for name, value in state(theirs).items()})
    assert_same_state(ours, theirs)
    assert [weight is parameter for weight, parameter in zip(ours._flat_weights, ours.parameters(), strict=True)]
    stream = io.BytesIO(pickle.dumps(ours))
    again = pickle.load(stream)
    assert all(w is p for w, p in zip(again._flat_weights, again.parameters(), strict=True))
