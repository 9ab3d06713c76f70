"""Compiling ahead, `nblayers warm-up`: layers run on small and on large inputs, until the cache holds all their kernels.

Which kernels a layer needs depends on the sizes: threads share large work, and few columns or a 3 x 3 window of many channels
have kernels of their own. So each kind of layer has examples that reach all of them, with zeros for numbers.
"""
import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

import kernels
import nblayers
from nblayers import activations, layers, optim, optimizers
from nblayers.layers import Layer
from nblayers.structures import map_structure

Examples = Iterator[tuple[Any, ...]]      # a layer, its input (a tuple for several), and perhaps settings of the call


class UnknownLayer(ValueError):
    """A name that is no layer's."""


def jobs(names: Sequence[str] = ()) -> dict[str, str]:
    """The kinds of layers to run for these names, by default all, and the optimizers; each with the names that ask for it.

    Raises:
        UnknownLayer: nblayers.layers has no layer of that name.
    """
    asked: dict[str, list[str]] = {} if names else {kind: [kind] for kind in _EXAMPLES}
    for name in dict.fromkeys(names):
        for kind in _kinds(name):
            asked.setdefault(kind, []).append(name)
    return {**{kind: ", ".join(by) for kind, by in asked.items()}, "optimizers": "optimizers"}


def _kinds(name: str) -> list[str]:
    """The kind of a layer, of which there are examples: its class or the next that it is made from; none without kernels."""
    found = getattr(layers, name, None)
    if not callable(found):
        spelled = {known.lower(): known for known in dir(layers)}
        near = [spelled[match] for match in difflib.get_close_matches(name.lower(), spelled, 1)]
        raise UnknownLayer(f"there is no layer {name!r}" + (f": did you mean {near[0]}?" if near else ""))
    return [kind.__name__ for kind in getattr(found, "__mro__", ()) if kind.__name__ in _EXAMPLES][:1]


def run(job: str) -> tuple[int, float]:
    """Run one kind of layers, or the optimizers; how many kernels were compiled for it, and in how many seconds."""
    compiled: list[str] = []
    kernels.on_compile = lambda name, begins: compiled.append(name) if begins else None
    start = time.perf_counter()
    with nblayers.device("cpu"):
        if job == "optimizers":
            _run_optimizers()
        else:
            for layer, x, *settings in _EXAMPLES[job]():
                inputs = x if isinstance(x, tuple) else (x,)
                y = layer(*inputs, training=True, **(settings[0] if settings else {}))
                layer.backward(map_structure(np.zeros_like, y))
    return len(compiled), time.perf_counter() - start


def place() -> str | None:
    """The directory that compiled kernels are kept in; None where none can be written, or nothing is compiled."""
    caches = (getattr(each, "_cache", None) for each in vars(kernels.get("cpu").core).values())
    return next((cache.cache_path for cache in caches if cache is not None), None)


def _run_optimizers() -> None:
    settings: list[dict[str, Any]] = [{}, {"weight_decay": 0.1}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}]
    made: list[optimizers.Optimizer]
    made = [kind(**some) for kind in (optimizers.SGD, optimizers.RMSprop, optimizers.Adam) for some in settings]
    made += [optimizers.SGD(momentum=0.9), optimizers.SGD(momentum=0.9, nesterov=True), optimizers.Adam(amsgrad=True),
             optimizers.RMSprop(momentum=0.9, centered=True),
             optimizers.Adam(use_ema=True, ema_overwrite_frequency=1, gradient_accumulation_steps=2)]
    made += [kind() for kind in (optimizers.Adagrad, optimizers.Adadelta, optimizers.Adamax, optimizers.Nadam, optimizers.Lion,
                                 optimizers.Adafactor, optimizers.Lamb, optimizers.Ftrl, optimizers.Muon,
                                 optimizers.ScheduleFreeAdamW)]
    for optimizer in made:
        layer = _with_gradients()
        optimizer.step(layer.trainable_weights, "cpu")
    with nblayers.device("cpu"):
        for make in (partial(optim.SGD, momentum=0.9), optim.RMSprop, optim.Adagrad):
            make(_with_gradients().trainable_weights).step()


def _with_gradients() -> Layer:
    layer = layers.Dense(2)
    layer.backward(layer(_zeros(1, 2)))
    return layer


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


def _each(make: Callable[..., Layer], *examples: tuple[tuple[int, ...], tuple[int, ...]]) -> Callable[[], Examples]:
    """The layer made with some arguments, and zeros of some shape, for each of the examples."""
    return lambda: ((make(*arguments), _zeros(*shape)) for arguments, shape in examples)


def _convolutions() -> Examples:
    for filters, size, shape in ((5, 3, (2, 8, 8, 3)), (16, 3, (4, 32, 32, 16)),
                                 (8, 3, (8, 64, 64, 4)),                            # all gradients of a part of dy together
                                 (640, 1, (1, 8, 8, 512)),                          # weights too many for each thread's own
                                 (24, 3, (1, 12, 16, 24)), (24, 3, (4, 32, 32, 24)), (96, 3, (4, 32, 32, 96))):     # Winograd
        yield layers.Conv2D(filters, size, padding="same"), _zeros(*shape)


def _warps() -> Examples:
    for interpolation in ("nearest", "bilinear"):
        for shape in ((2, 6, 6, 3), (8, 64, 64, 3)):
            yield layers.RandomRotation(0.1, interpolation=interpolation), _zeros(*shape)


def _depthwise() -> Examples:
    for shape in ((2, 8, 8, 3), (4, 64, 64, 16)):
        for multiplier in (1, 2):
            for padding in ("valid", "same"):
                yield layers.DepthwiseConv2D(3, padding=padding, depth_multiplier=multiplier), _zeros(*shape)


def _separable() -> Examples:
    yield from _depthwise()
    yield from _convolutions()


def _conv_lstms() -> Examples:
    for filters, shape in ((2, (1, 2, 4, 4, 2)), (8, (32, 2, 16, 16, 4)), (8, (1, 2, 32, 32, 4)), (32, (32, 2, 16, 16, 16)),
                           (32, (1, 2, 32, 32, 16))):
        yield layers.ConvLSTM2D(filters, 3, padding="same"), _zeros(*shape)


def _activations(names: Sequence[str] = tuple(dir(activations))) -> Examples:
    for name in names:
        if hasattr(getattr(activations, name), "kernel_name"):
            yield layers.Activation(name), _zeros(4, 6)
            yield layers.Activation(name), _zeros(256, 512)


def _with_usual_activations(examples: Callable[[], Examples]) -> Callable[[], Examples]:
    """The examples of a layer with an argument `activation`, and those of the functions that are mostly given to it."""
    return lambda: chain(examples(), _activations(("relu", "sigmoid", "softmax", "tanh")))


def _normalized(make: Callable[[int], Layer]) -> Callable[[], Examples]:
    return lambda: ((make(axis), _zeros(*shape)) for axis in (-1, 1) for shape in ((4, 6, 8), (16, 64, 64)))


def _embeddings() -> Examples:
    for dtype in ("int32", "int64"):
        yield layers.Embedding(5, 3), np.zeros((2, 4), dtype)
    yield layers.Embedding(5, 64), np.zeros((64, 64), "int32")


def _attention(make: Callable[..., Layer], inputs: Callable[..., Any]) -> Callable[[], Examples]:
    """Small and large, without scores and with them."""
    return lambda: ((make(), inputs(_zeros(*shape)), {"return_attention_scores": scores})
                    for shape in ((2, 4, 6), (16, 128, 64)) for scores in (False, True))


def _pair(x: Any) -> Any:
    """Query and value as one list."""
    return ([x, x],)


def _up_sampling() -> Examples:
    for interpolation in ("nearest", "bilinear"):
        for shape in ((2, 6, 6, 3), (8, 64, 64, 16)):
            yield layers.UpSampling2D(2, interpolation=interpolation), _zeros(*shape)


def _merging() -> Examples:
    for make in (layers.Average, layers.Subtract, layers.Multiply, layers.Maximum, layers.Minimum):
        for batch, channels in ((2, 3), (64, 256)):
            yield make(), [_zeros(batch, 16, channels)] * 2
            yield make(), [_zeros(batch, 16, channels), _zeros(batch, channels)]


def _hashed() -> Examples:
    for count in (4, 1 << 16):
        numbers = np.zeros((count, 2), np.int64)
        for salt in (None, 1):
            yield layers.Hashing(8, salt=salt, output_mode="count"), numbers
        yield layers.HashedCrossing(8), [numbers[:, 0].copy()] * 2


def _counted() -> Examples:
    for count in (4, 1 << 16):
        ids = np.zeros((count, 2), np.int64)
        for mode in ("one_hot", "multi_hot", "count"):
            yield layers.CategoryEncoding(8, mode), ids
        yield layers.CategoryEncoding(8, "count"), ids, {"count_weights": np.zeros(ids.shape, "float32")}


def _in_bins() -> Examples:
    for shape in ((4, 6), (256, 512)):
        for mode in ("int", "one_hot"):
            yield layers.Discretization([0.0, 1.0], output_mode=mode), _zeros(*shape)


def _tagged() -> Examples:
    """What a `CRF` computes, it computes for its loss and in `decode`."""
    for shape in ((2, 4, 3), (32, 60, 20)):
        layer, x = layers.CRF(shape[-1]), _zeros(*shape)
        layer.loss.gradient(np.zeros(shape[:2], int), x)
        layer.decode(x)
        yield layer, x


def _sequences(make: Callable[..., Layer]) -> Callable[[], Examples]:
    return _each(make, ((3,), (2, 4, 5)), ((64,), (64, 16, 64)))


def _sized_images() -> Examples:
    """Cut, stretched and shrunk, of one and of three channels."""
    for make in (layers.CenterCrop, layers.Resizing):
        for shape in ((2, 6, 6, 3), (8, 96, 96, 3), (8, 96, 96, 16)):
            yield make(4, 4), _zeros(*shape)


_CELLS = _sequences(lambda units: layers.RNN([layers.LSTMCell(units), layers.GRUCell(units), layers.SimpleRNNCell(units)]))
_LARGE_AND_SMALL = ((), (4, 6)), ((), (256, 512))
_DENSE = ((3,), (4, 6)), ((512,), (256, 512))
_IMAGES = ((2,), (2, 6, 6, 3)), ((2,), (8, 32, 32, 16))
_PICTURES = ((), (2, 6, 6, 3)), ((), (8, 96, 96, 3))


def _texts() -> Examples:
    few, many = ["a b c"], ["a b c"] * (1 << 15)                                    # threads share the latter
    for texts in (few, many):
        learned = layers.TextVectorization(ngrams=2)
        learned.adapt(texts)
        yield learned, texts
        yield layers.TextVectorization(vocabulary=["a"], output_mode="count"), texts
        yield layers.StringLookup(vocabulary=["a"], num_oov_indices=2), texts


_EXAMPLES: dict[str, Callable[[], Examples]] = {
    "Convolution": _with_usual_activations(_convolutions),
    "ConvLSTM": _conv_lstms,
    "LSTM": _sequences(layers.LSTM),
    "GRU": _sequences(layers.GRU),
    "SimpleRNN": _sequences(layers.SimpleRNN),
    "Activation": _activations,
    "Dense": _with_usual_activations(_each(layers.Dense, *_DENSE)),
    "EinsumDense": _each(lambda units: layers.EinsumDense("ab,bc->ac", units, bias_axes="c"), *_DENSE),
    "Linear": _each(lambda units: layers.Linear(6 if units == 3 else 512, units), *_DENSE),
    "Embedding": _embeddings,
    "DepthwiseConv": _depthwise,
    "SeparableConv": _separable,
    "Pooling": lambda: chain(_each(layers.MaxPooling2D, *_IMAGES)(), _each(layers.AveragePooling2D, *_IMAGES)()),
    "DenseCell": _CELLS,
    "StackedRNNCells": _CELLS,
    "RNN": _CELLS,
    "Bidirectional": _sequences(lambda units: layers.Bidirectional(layers.LSTM(units))),
    "TimeDistributed": _each(lambda units: layers.TimeDistributed(layers.Dense(units)),
                             ((3,), (2, 4, 6)), ((512,), (16, 16, 512))),
    "Heads": _attention(lambda: layers.MultiHeadAttention(2, 16), lambda x: (x, x)),
    "Attention": _attention(layers.Attention, _pair),
    "AdditiveAttention": _attention(layers.AdditiveAttention, _pair),
    "BatchNormalizer": _normalized(lambda axis: layers.BatchNormalization(axis)),
    "LayerNormalizer": _normalized(lambda axis: layers.LayerNormalization(axis)),
    "RMSNormalization": _normalized(lambda axis: layers.RMSNormalization(axis)),
    "GroupNormalizer": _normalized(lambda axis: layers.GroupNormalization(2, axis)),
    "UnitNormalization": _normalized(lambda axis: layers.UnitNormalization(axis)),
    "SpectralNormalization": _each(lambda units: layers.SpectralNormalization(layers.Dense(units)), *_DENSE),
    "Dropout": _each(lambda: layers.Dropout(0.5), *_LARGE_AND_SMALL),
    "GaussianDropout": _each(lambda: layers.GaussianDropout(0.5), *_LARGE_AND_SMALL),
    "GaussianNoise": _each(lambda: layers.GaussianNoise(0.5), *_LARGE_AND_SMALL),
    "AlphaDropout": _each(lambda: layers.AlphaDropout(0.5), *_LARGE_AND_SMALL),
    "CRF": _tagged,
    "ReLU": _each(layers.ReLU, *_LARGE_AND_SMALL),
    "LeakyReLU": _each(layers.LeakyReLU, *_LARGE_AND_SMALL),
    "ELU": _each(layers.ELU, *_LARGE_AND_SMALL),
    "PReLU": _each(layers.PReLU, *_LARGE_AND_SMALL),
    "Softmax": _each(layers.Softmax, *_LARGE_AND_SMALL),
    "Masking": _each(layers.Masking, ((), (2, 4, 6)), ((), (16, 16, 512))),
    "Cropping": _each(layers.Cropping2D, ((1,), (2, 6, 6, 3)), ((1,), (8, 64, 64, 16))),
    "ZeroPadding": _each(layers.ZeroPadding2D, ((1,), (2, 6, 6, 3)), ((1,), (8, 64, 64, 16))),
    "UpSampling": _up_sampling,
    "SizedImageLayer": _sized_images,
    "RandomFlip": _each(layers.RandomFlip, *_PICTURES),
    "RandomBrightness": _each(lambda: layers.RandomBrightness(0.5), *_PICTURES),
    "RandomContrast": _each(lambda: layers.RandomContrast(0.5), *_PICTURES),
    "Rescaling": lambda: ((layers.Rescaling(scale), _zeros(*shape)) for scale in (0.5, [1, 2, 3]) for _, shape in _PICTURES),
    "RandomWarp": _warps,
    "TakesStrings": _texts,
    "ElementwiseMerge": _merging,
    "Normalization": _each(lambda: layers.Normalization(mean=0.0, variance=1.0), *_LARGE_AND_SMALL),
    "Discretization": _in_bins,
    "CategoryEncoding": _counted,
    "Hasher": _hashed,
    "Dot": lambda: ((layers.Dot(-1, normalize), [_zeros(*shape)] * 2) for normalize in (False, True)
                    for shape in ((2, 4, 6), (16, 128, 128))),
}
