"""Images and numbers prepared."""
from typing import Any

import numpy as np

from .convolution import image_shape
from .drawing import Draw, Setup, call, makes


@makes("layers.Rescaling")
def rescaling(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    scale = draw.one([0.5, -3.0, [float(n) for n in range(1, shape[-1] + 1)]])
    return Setup(call(name, scale, **draw.some(offset=[1.0])), [draw.numbers(*shape)])


@makes("layers.Normalization")
def normalizing(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    axis = draw.integer(1, len(shape) - 1)
    mean, variance = (draw.normal(shape[axis]).tolist() for _ in range(2))
    given = draw.one([dict(axis=None, mean=0.5, variance=2.0),
                      dict(axis=axis, mean=mean, variance=[abs(v) + 0.1 for v in variance])])
    return Setup(call(name, **given, **draw.flags("invert")), [draw.numbers(*shape)])


def images(draw: Draw, options: dict[str, Any], low: int = 1, high: int = 4) -> np.ndarray:
    """A batch of images or a single one."""
    shape = image_shape(draw, [draw.integer(low, high), draw.integer(low, high)], draw.integer(1, 2), options)
    return draw.numbers(*shape) if draw.chance(0.7) else draw.numbers(*shape)[0]


@makes("layers.RandomBrightness", "layers.RandomContrast")
def colors(draw: Draw, name: str) -> Setup:
    options = draw.some(value_range=[(0.0, 1.0), (-1.0, 1.0)], seed=[3])
    return Setup(call(name, draw.one([0.3, 0.9, (0.1, 0.5)]), **options), [images(draw, {})], {"training": draw.chance(0.8)})


@makes("layers.RandomFlip")
def flips(draw: Draw, name: str) -> Setup:
    options = draw.some(mode=["horizontal", "vertical"], seed=[3]) | draw.data_format()
    return Setup(call(name, **options), [images(draw, options)], {"training": draw.chance(0.8)})


@makes("layers.RandomTranslation", "layers.RandomRotation", "layers.RandomZoom")
def warps(draw: Draw, name: str) -> Setup:
    count = {"Translation": 2, "Rotation": 1, "Zoom": draw.integer(1, 2)}[name.partition("Random")[2]]
    factors = [draw.one([0.3, (-0.5, 0.5), (0.1, 0.2)]) for _ in range(count)]
    options = draw.some(fill_mode=["constant", "nearest", "reflect", "wrap"], interpolation=["nearest", "bilinear"],
                        fill_value=[0.5]) | draw.data_format()
    return Setup(call(name, *factors, **options), [images(draw, options)], {"training": draw.chance(0.8)})


@makes("layers.CenterCrop")
def center_crop(draw: Draw, name: str) -> Setup:
    options = draw.data_format()
    return Setup(call(name, draw.integer(1, 4), draw.integer(1, 4), **options), [images(draw, options)])


@makes("layers.RandomCrop")
def random_crop(draw: Draw, name: str) -> Setup:
    options = draw.data_format()
    return Setup(call(name, draw.integer(1, 4), draw.integer(1, 4), **options), [images(draw, options)],
                 {"training": draw.chance(0.7)})


@makes("layers.Resizing")
def resizing(draw: Draw, name: str) -> Setup:
    keep = draw.one([{}, {}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
    options = draw.some(interpolation=["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"], antialias=[True],
                        fill_value=[0.5]) \
        | draw.data_format() | keep
    return Setup(call(name, draw.integer(1, 4), draw.integer(1, 4), **options), [images(draw, options)])
