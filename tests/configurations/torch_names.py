"""What `nblayers.nn` has."""
from typing import Any

from .convolution import plain, window
from .drawing import Draw, Setup, call, family, makes, rank_of

TORCH_ACTIVATIONS: dict[str, Any] = {
    **{name: {} for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Sigmoid", "Tanh", "Softsign", "Hardsigmoid", "Hardswish",
                             "LogSigmoid")},
    "LeakyReLU": dict(negative_slope=[0.3]), "ELU": dict(alpha=[2.0]), "CELU": dict(alpha=[0.5]), "PReLU": dict(init=[0.5]),
    "GELU": dict(approximate=["tanh"]), "Softplus": dict(beta=[3.0], threshold=[2.0]),
    "Hardtanh": dict(min_val=[-0.5], max_val=[2.0])}


@makes(*(f"nn.{name}" for name in TORCH_ACTIVATIONS))
def torch_activation(draw: Draw, name: str) -> Setup:
    options, shape = draw.some(**TORCH_ACTIVATIONS[name.split(".")[1]]), draw.shape(1, 3)
    if name == "nn.PReLU":
        options |= draw.some(num_parameters=[shape[1]])
    return Setup(call(name, **options), [draw.numbers(*shape)])


@makes("nn.Threshold")
def threshold(draw: Draw, name: str) -> Setup:
    return Setup(call(name, draw.one([0.1, -0.3]), draw.one([0.1, 20.0])), [draw.numbers(*draw.shape(1, 3))])


@makes("nn.Softmax", "nn.LogSoftmax")
def torch_softmax(draw: Draw, name: str) -> Setup:
    return Setup(call(name, dim=draw.one([-1, 1])), [draw.numbers(*draw.shape(1, 3))])


@makes(*family("Conv#d", "ConvTranspose#d", room="nn"))
def torch_convolution(draw: Draw, name: str) -> Setup:
    rank, groups = rank_of(name), draw.one([1, 1, 2])
    at, inside = window(draw, rank, ("valid",)), groups * draw.integer(1, 2)
    options = {"stride": plain(at.strides), "dilation": plain(at.dilation), "groups": groups, **draw.some(bias=[False])}
    if draw.chance(0.4):
        options["padding"] = plain(tuple(draw.integer(0, (size - 1) // 2) for size in at.sizes))
    if "Transpose" in name:
        options |= draw.some(output_padding=[plain(tuple(max(s, d) - 1 for s, d in zip(at.strides, at.dilation, strict=True)))])
    places = [n + 1 for n in at.places]
    return Setup(call(name, inside, groups * draw.integer(1, 2), plain(at.sizes), **options),
                 [draw.numbers(draw.integer(1, 2), inside, *places)])


@makes(*family("MaxPool#d", "AvgPool#d", room="nn"))
def torch_pooling(draw: Draw, name: str) -> Setup:
    at = window(draw, rank_of(name), ("valid",))
    options = draw.some(stride=[plain(at.strides)]) | draw.flags("ceil_mode")
    if draw.chance(0.4):
        options["padding"] = plain(tuple(size // 2 for size in at.sizes))
    if "Avg" in name:
        options |= draw.some(count_include_pad=[False], divisor_override=[3] if rank_of(name) > 1 else [None])
    shape = draw.integer(1, 2), draw.integer(1, 2), *(n + 1 for n in at.places)
    return Setup(call(name, plain(at.sizes), **options), [draw.one([draw.numbers, draw.distinct])(*shape)])


@makes(*family("BatchNorm#d", room="nn"))
def torch_batch_norm(draw: Draw, name: str) -> Setup:
    shape = draw.integer(2, 3), draw.size(), *(draw.integer(1, 2) for _ in range(rank_of(name)))
    options = draw.some(affine=[False], track_running_stats=[False], momentum=[0.5, None], eps=[0.1], bias=[False])
    return Setup(call(name, shape[1], **options), [draw.numbers(*shape)], {"training": draw.chance()})


@makes(*family("InstanceNorm#d", room="nn"))
def torch_instance_norm(draw: Draw, name: str) -> Setup:
    shape = draw.size(), draw.integer(2, 3), *(draw.integer(1, 2) for _ in range(rank_of(name) - 1))
    options = draw.some(affine=[True], track_running_stats=[True], momentum=[0.5, None], eps=[0.1])
    batch = (draw.integer(1, 2),) if draw.chance(0.7) else ()
    return Setup(call(name, shape[0], **options), [draw.numbers(*batch, *shape)], {"training": draw.chance()})


@makes(*family("AdaptiveAvgPool#d", room="nn"))
def torch_adaptive_pooling(draw: Draw, name: str) -> Setup:
    sizes = tuple(draw.one([None, 1, 2, 3, 5]) for _ in range(rank_of(name)))
    shape = draw.shape(rank_of(name) + 1, rank_of(name) + 1)
    return Setup(call(name, draw.one([sizes, 2])), [draw.numbers(*shape[draw.integer(0, 1):])])


@makes("nn.RMSNorm")
def torch_rms_norm(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    kept = shape[-draw.integer(1, len(shape) - 1):]
    return Setup(call(name, kept, **draw.some(eps=[0.1], elementwise_affine=[False])), [draw.numbers(*shape)])


@makes("nn.RNNCell", "nn.LSTMCell", "nn.GRUCell")
def torch_cell(draw: Draw, name: str) -> Setup:
    batch, inputs, units = draw.one([(1,), (2,), ()]), draw.size(), draw.size()
    options = draw.some(bias=[False]) | (draw.some(nonlinearity=["relu"]) if name == "nn.RNNCell" else {})
    states = [draw.normal(*batch, units) for _ in range(2)] if name == "nn.LSTMCell" else draw.normal(*batch, units)
    return Setup(call(name, inputs, units, **options), [draw.normal(*batch, inputs)], draw.some(hx=[states]))


@makes("nn.Sequential")
def torch_chain(draw: Draw, name: str) -> Setup:
    inside = [call("nn.Linear", 3, 3), *(call(f"nn.{draw.one(['Tanh', 'Sigmoid', 'Identity'])}") for _ in range(2))]
    return Setup(call(name, *inside), [draw.normal(*draw.shape(0, 1), 3)])


@makes("nn.LayerNorm")
def torch_layer_norm(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    kept = shape[-draw.integer(1, len(shape) - 1):]
    return Setup(call(name, kept, **draw.some(eps=[0.1], elementwise_affine=[False], bias=[False])), [draw.numbers(*shape)])


@makes("nn.GroupNorm")
def torch_group_norm(draw: Draw, name: str) -> Setup:
    groups, channels = draw.one([(1, 1), (1, 2), (2, 2), (2, 4)])
    batch, *places = draw.shape(0, 2)
    options = draw.some(eps=[0.1], affine=[False], bias=[False])
    return Setup(call(name, groups, channels, **options), [draw.numbers(batch, channels, *places)])


@makes("nn.RNN", "nn.LSTM", "nn.GRU")
def torch_recurrent(draw: Draw, name: str) -> Setup:
    batch, steps, inputs, units, number = draw.integer(1, 2), *(draw.size() for _ in range(3)), draw.integer(1, 2)
    options = draw.flags("batch_first", "bidirectional") | draw.some(bias=[False])
    if number > 1:
        options |= draw.some(dropout=[0.3])
    if name == "nn.RNN":
        options |= draw.some(nonlinearity=["relu"])
    shape = (batch, steps, inputs) if options.get("batch_first") else (steps, batch, inputs)
    state = number * (2 if options.get("bidirectional") else 1), batch
    if name == "nn.LSTM" and units > 1:
        options |= draw.some(proj_size=[1])
    h = draw.normal(*state, options.get("proj_size", units))
    states = [h, draw.normal(*state, units)] if name == "nn.LSTM" else h
    given = {"training": draw.chance(), **draw.some(hx=[states])}
    return Setup(call(name, inputs, units, num_layers=number, **options), [draw.normal(*shape)], given)


@makes("nn.MultiheadAttention")
def torch_attention(draw: Draw, name: str) -> Setup:
    heads, B, T, S = draw.integer(1, 2), *(draw.size() for _ in range(3))
    width = heads * draw.integer(1, 2)
    options = draw.some(kdim=[1, 3], vdim=[2, 3], bias=[False], dropout=[0.3]) | {"batch_first": True}
    sizes = (T, width), (S, options.get("kdim", width)), (S, options.get("vdim", width))
    given = draw.flags("is_causal") | draw.some(key_padding_mask=[~draw.mask(B, S)], average_attn_weights=[False],
                                                need_weights=[False])
    if T == S and "is_causal" not in given:
        given |= draw.some(attn_mask=[~draw.mask(T, S)])
    given.pop("is_causal", None) if T != S else None
    return Setup(call(name, width, heads, **options), [draw.numbers(B, *size) for size in sizes],
                 {**given, "training": draw.chance()})


@makes("nn.Dropout", "nn.AlphaDropout", *family("Dropout#d", room="nn"))
def torch_dropout(draw: Draw, name: str) -> Setup:
    axes = rank_of(name) + 1 if name[-2].isdigit() else 2
    return Setup(call(name, draw.one([0.0, 0.3, 0.7])), [draw.numbers(*draw.shape(axes, axes))], {"training": draw.chance(0.8)})


@makes("nn.Flatten")
def torch_flatten(draw: Draw, name: str) -> Setup:
    return Setup(call(name, **draw.some(start_dim=[0, 1], end_dim=[-1, 1])), [draw.numbers(*draw.shape(1, 3))])


@makes("nn.Unflatten")
def unflatten(draw: Draw, name: str) -> Setup:
    a, b = draw.size(), draw.size()
    return Setup(call(name, 1, draw.one([(a, b), (-1, b), (a, -1)])), [draw.numbers(draw.integer(1, 2), a * b, draw.size())])


@makes("nn.Upsample")
def torch_upsample(draw: Draw, name: str) -> Setup:
    rank = draw.integer(1, 3)
    mode = draw.one(["nearest", {1: "linear", 2: "bilinear", 3: "nearest"}[rank]])
    return Setup(call(name, scale_factor=tuple(draw.integer(1, 3) for _ in range(rank)), mode=mode),
                 [draw.numbers(*draw.shape(rank + 1, rank + 1))])


@makes(*family("ZeroPad#d", room="nn"))
def zero_pad(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    padding = draw.one([1, tuple(draw.integer(0, 2) for _ in range(2 * rank))])
    return Setup(call(name, padding), [draw.numbers(*draw.shape(rank + 1, rank + 1))])
