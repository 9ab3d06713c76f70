"""Normalization layers."""
from collections.abc import Sequence
from typing import Any

from .drawing import Draw, Setup, Source, call, makes


@makes("layers.BatchNormalization")
def batch_normalization(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    options = draw.some(axis=range(len(shape)), epsilon=[0.1], center=[False], scale=[False], momentum=[0.5])
    mask = {"mask": draw.mask(*shape[:-1])} if draw.chance(0.3) else {}
    return Setup(call(name, **options), [draw.numbers(*shape)], {"training": draw.chance(0.7), **mask})


@makes("layers.LayerNormalization")
def layer_normalization(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    options = draw.some(axis=axes_of(draw, shape), epsilon=[0.1], center=[False], scale=[False], rms_scaling=[True])
    return Setup(call(name, **options), [draw.numbers(*shape)])


def axes_of(draw: Draw, shape: Sequence[int]) -> list[Any]:
    """One axis, or several, in ways to say so."""
    several = sorted({draw.integer(1, len(shape) - 1) for _ in range(2)})
    return [-1, draw.integer(1, len(shape) - 1), several]


@makes("layers.GroupNormalization")
def group_normalization(draw: Draw, name: str) -> Setup:
    groups, each = draw.integer(1, 3), draw.integer(1, 2)
    shape = list(draw.shape(1, 3))
    axis = draw.integer(1, len(shape) - 1)
    shape[axis] = groups * each
    options = draw.some(epsilon=[0.1], center=[False], scale=[False])
    return Setup(call(name, draw.one([groups, groups, -1]), axis, **options), [draw.numbers(*shape)])


@makes("layers.RMSNormalization")
def rms_normalization(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    return Setup(call(name, **draw.some(axis=axes_of(draw, shape), epsilon=[0.1])), [draw.numbers(*shape)])


@makes("layers.UnitNormalization")
def unit_normalization(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    return Setup(call(name, **draw.some(axis=axes_of(draw, shape))), [draw.normal(*shape)])


WRAPPED = [("layers.Dense(2)", (2, 3)), ("layers.Conv1D(2, 2)", (1, 3, 2)), ("layers.Dense(3, activation='tanh')", (1, 2, 2)),
           ("layers.Conv2D(1, (1, 2), use_bias=False)", (1, 2, 3, 2))]


@makes("layers.SpectralNormalization")
def spectral_normalization(draw: Draw, name: str) -> Setup:
    """u and v count as constants, which is right once they have settled."""
    inner, shape = draw.one(WRAPPED)
    return Setup(call(name, Source(inner), 200), [draw.normal(*shape)], {"training": draw.chance()},
                 dict(rtol=1e-5, atol=1e-7))
