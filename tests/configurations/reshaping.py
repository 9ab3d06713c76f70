"""Layers that move numbers about."""
import math

from .convolution import image_shape, plain
from .drawing import Draw, Setup, call, family, makes, rank_of


@makes("layers.Flatten")
def flatten(draw: Draw, name: str) -> Setup:
    return Setup(call(name, **draw.data_format()), [draw.numbers(*draw.shape(1, 3))])


@makes("layers.Reshape")
def reshape(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    size = math.prod(shape[1:])
    return Setup(call(name, draw.one([(-1,), (size, 1), (1, -1), shape[:0:-1]])), [draw.numbers(*shape)])


@makes("layers.Permute")
def permute(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 4)
    return Setup(call(name, tuple(1 + int(axis) for axis in draw.rng.permutation(len(shape) - 1))), [draw.numbers(*shape)])


@makes("layers.RepeatVector")
def repeat_vector(draw: Draw, name: str) -> Setup:
    return Setup(call(name, draw.size()), [draw.numbers(*draw.shape(1, 1))])


@makes(*family("Cropping#D", "ZeroPadding#D"))
def at_the_edges(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    pairs = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in range(rank))
    options = draw.data_format() if rank > 1 or "Zero" in name else {}
    places = [(sum(pair) if "Cropping" in name else 0) + draw.integer(1, 2) for pair in pairs]
    shape = image_shape(draw, places, draw.integer(1, 2), options)
    return Setup(call(name, pairs[0] if rank == 1 else pairs, **options), [draw.numbers(*shape)])


@makes(*family("UpSampling#D"))
def up_sampling(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    options = {**(draw.data_format() if rank > 1 else {})}
    if rank == 2:
        options |= draw.some(interpolation=["bilinear", "bicubic", "lanczos3", "lanczos5", "nearest"])
    shape = image_shape(draw, [draw.integer(1, 3) for _ in range(rank)], draw.integer(1, 2), options)
    return Setup(call(name, plain(tuple(draw.integer(1, 3) for _ in range(rank))), **options), [draw.numbers(*shape)])
