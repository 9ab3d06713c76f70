"""Dropout, noise and penalties."""
from .drawing import Draw, Setup, call, family, makes, rank_of

RATES = [0.0, 0.2, 0.5, 0.8]


@makes("layers.Dropout", "layers.AlphaDropout")
def dropout(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    noise = [tuple(draw.one([None, 1]) for _ in shape)]
    return Setup(call(name, draw.one(RATES), **draw.some(noise_shape=noise, seed=[3])), [draw.numbers(*shape)],
                 {"training": draw.chance(0.8)})


@makes("layers.GaussianDropout", "layers.GaussianNoise")
def gaussian(draw: Draw, name: str) -> Setup:
    return Setup(call(name, draw.one(RATES)), [draw.numbers(*draw.shape(1, 3))], {"training": draw.chance(0.8)})


@makes(*family("SpatialDropout#D"))
def spatial_dropout(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    options = draw.data_format() if rank > 1 else {}
    return Setup(call(name, draw.one(RATES), **options), [draw.numbers(*draw.shape(rank + 1, rank + 1))],
                 {"training": draw.chance(0.8)})


@makes("layers.ActivityRegularization")
def activity(draw: Draw, name: str) -> Setup:
    return Setup(call(name, **draw.some(l1=[0.1, 2.0], l2=[0.1, 2.0])), [draw.numbers(*draw.shape(1, 3))])
