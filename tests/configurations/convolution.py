"""Windows that slide: convolution and pooling."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .activation import ACTIVATIONS
from .drawing import Draw, Setup, call, family, makes, rank_of


class Window(NamedTuple):
    """Where a window stands on each axis, and places for it."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str
    places: tuple[int, ...]


def window(draw: Draw, rank: int, paddings: Sequence[str] = ("valid", "same")) -> Window:
    """Strides or dilation, not both; large enough places where the padding is "valid"."""
    most = 3 if rank < 3 else 2
    sizes = tuple(draw.integer(1, most) for _ in range(rank))
    strides = tuple(draw.integer(1, 3) if draw.chance(0.3) else 1 for _ in range(rank))
    apart = max(strides) == 1 and draw.chance(0.3)
    dilation = tuple(draw.integer(1, 2) for _ in range(rank)) if apart else (1,) * rank
    padding = draw.one(paddings)
    reach = [(size - 1) * d + 1 if padding == "valid" else 1 for size, d in zip(sizes, dilation, strict=True)]
    places = tuple(least + draw.integer(0, 4 - rank) for least in reach)
    return Window(sizes, strides, dilation, padding, places)


def plain(values: tuple[int, ...]) -> Any:
    """A number for one axis."""
    return values[0] if len(values) == 1 else values


def image_shape(draw: Draw, places: Sequence[int], channels: int, options: dict[str, Any]) -> tuple[int, ...]:
    batch = draw.integer(1, 2)
    return (batch, channels, *places) if options.get("data_format") == "channels_first" else (batch, *places, channels)


def convolution_options(draw: Draw, at: Window) -> dict[str, Any]:
    return {"strides": plain(at.strides), "padding": at.padding, "dilation_rate": plain(at.dilation), **draw.data_format(),
            **draw.some(activation=ACTIVATIONS, use_bias=[False]), **draw.penalty()}


@makes(*family("Conv#D"))
def convolution(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    at = window(draw, rank, ("valid", "same", "causal") if rank == 1 else ("valid", "same"))
    options, groups = convolution_options(draw, at), draw.one([1, 1, 1, 2])
    if at.padding == "causal":
        options.pop("data_format", None)
    shape = image_shape(draw, at.places, groups * draw.integer(1, 2), options)
    return Setup(call(name, groups * draw.integer(1, 2), plain(at.sizes), groups=groups, **options), [draw.numbers(*shape)])


@makes(*family("Conv#DTranspose"))
def transposed(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    at = window(draw, rank)
    options, least = convolution_options(draw, at), 1
    if max(at.strides) > 1 and draw.chance(0.4):
        options["output_padding"], least = plain(tuple(draw.integer(0, s - 1) for s in at.strides)), 2
    shape = image_shape(draw, [draw.integer(least, 3) for _ in at.places], draw.integer(1, 2), options)
    return Setup(call(name, draw.integer(1, 2), plain(at.sizes), **options), [draw.numbers(*shape)])


@makes(*family("DepthwiseConv#D", "SeparableConv#D", ranks="12"))
def by_channel(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    at = window(draw, rank)
    at = at._replace(strides=at.strides[:1] * rank)                     # Keras wants them equal
    options = convolution_options(draw, at) | draw.some(depth_multiplier=[2, 3])
    filters = [draw.integer(1, 2)] if "Separable" in name else []
    shape = image_shape(draw, at.places, draw.integer(1, 3), options)
    return Setup(call(name, *filters, plain(at.sizes), **options), [draw.numbers(*shape)])


@makes(*family("MaxPooling#D", "AveragePooling#D"))
def pooling(draw: Draw, name: str) -> Setup:
    at = window(draw, rank_of(name))
    options = {"padding": at.padding, **draw.some(strides=[plain(at.strides)]), **draw.data_format()}
    shape = image_shape(draw, [n + 1 for n in at.places], draw.integer(1, 2), options)
    return Setup(call(name, plain(at.sizes), **options), [draw.one([draw.numbers, draw.distinct])(*shape)])


@makes(*family("GlobalMaxPooling#D", "GlobalAveragePooling#D"))
def global_pooling(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    options = {**draw.data_format(), **draw.flags("keepdims")}
    places = [draw.integer(1, 4 - rank // 2) for _ in range(rank)]
    x = draw.one([draw.numbers, draw.distinct])(*image_shape(draw, places, draw.integer(1, 3), options))
    masks = name.endswith("AveragePooling1D") and draw.chance()
    mask = draw.mask(len(x), places[0]) | (np.arange(places[0]) == draw.integer(0, places[0] - 1))
    return Setup(call(name, **options), [x], {"mask": mask} if masks else {})
