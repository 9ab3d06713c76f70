"""Dropout's numbers in a layer's room: drawn for one call, and applied to its values and to their gradients."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers import sharing
from nblayers.layers.base import Layer
from nblayers.random import SeedGenerator


@dataclass(eq=False)
class Drop:
    """The dropout of one call.

    Attributes:
        key: what fixes its numbers.
        threshold: the rate as one of 32 bits; 0 for no dropout.
        scale: by what the values that stay are multiplied.
    """

    key: Any
    threshold: Any
    scale: Any


def scale_of(rate: float) -> float:
    """The factor that keeps the mean, 1 / (1 - rate); 0 where nothing stays."""
    return 0 if rate == 1 else 1 / (1 - rate)


def draw(layer: Layer, rate: float, generator: SeedGenerator) -> Drop:
    """The dropout of this call; at rate 0 nothing is drawn."""
    key = generator.key() if rate else np.uint64(0)
    return Drop(key, np.uint64(round(rate * 2**32)), np.dtype(layer.dtype).type(scale_of(rate)))


def mask(layer: Layer, drop: Drop, shape: tuple[int, ...], of_samples: bool = True) -> Any:
    """True for what stays; axis 0 is the samples', unless one draw counts for all of them."""
    m = layer.xp.empty(shape, bool)
    key = sharing.shifted(drop.key, shape) if of_samples else drop.key
    layer.kernels.regularization.dropout_mask(key, drop.threshold, m.reshape(-1))
    return m


def dropped(layer: Layer, x: Any, m: Any, scale: float) -> Any:
    """m x scale, which is y for x and dx for dy."""
    y = layer.xp.empty_like(x)
    layer.kernels.regularization.dropout_apply(x.reshape(-1), m.reshape(-1), x.dtype.type(scale), y.reshape(-1))
    return y
