"""Dense layers, tables, masks, functions."""

from .activation import ACTIVATIONS
from .drawing import Draw, Setup, Source, call, makes


@makes("layers.Dense")
def dense(draw: Draw, name: str) -> Setup:
    options = draw.some(activation=ACTIVATIONS, use_bias=[False])
    return Setup(call(name, draw.size(), **options, **draw.penalty()), [draw.numbers(*draw.shape(1, 3))])


@makes("layers.Linear", "nn.Linear")
def linear(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    return Setup(call(name, shape[-1], draw.size(), **draw.some(bias=[False])), [draw.numbers(*shape)])


@makes("layers.Embedding")
def embedding(draw: Draw, name: str) -> Setup:
    vocabulary = draw.integer(1, 5)
    options = {**draw.some(mask_zero=[True]), **draw.penalty()}
    return Setup(call(name, vocabulary, draw.size(), **options), [draw.ids(vocabulary, *draw.shape(0, 2))])


@makes("nn.Embedding")
def torch_embedding(draw: Draw, name: str) -> Setup:
    return Setup(call(name, 5, draw.size(), **draw.some(padding_idx=[4])), [draw.ids(4, *draw.shape(0, 2))])


@makes("layers.Identity", "nn.Identity")
def identity(draw: Draw, name: str) -> Setup:
    return Setup(call(name), [draw.numbers(*draw.shape(0, 3))])


@makes("layers.CRF")
def crf(draw: Draw, name: str) -> Setup:
    shape = draw.shape(2, 2)
    mask = {"mask": draw.mask(*shape[:2])} if draw.chance(0.3) else {}
    return Setup(call(name, shape[-1], **draw.some(use_boundary=[False])), [draw.numbers(*shape)], mask)


@makes("layers.InputLayer")
def input_layer(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    return Setup(call(name, shape[1:]), [draw.numbers(*shape)])


@makes("layers.Masking")
def masking(draw: Draw, name: str) -> Setup:
    """Masked steps hold the value exactly, but for zero, at which the output does not jump and yet has no gradient."""
    shape, value = draw.shape(2, 2), draw.one([0.0, 0.5, -1.0])
    x = draw.normal(*shape)
    if value:
        x[~draw.mask(*shape[:2])] = value
    return Setup(call(name, value), [x])


LAMBDAS = [
    "layers.Lambda(lambda x: x ** 2, gradient=lambda x, dy: 2 * x * dy)",
    "layers.Lambda(np.sin, gradient=lambda x, dy: np.cos(x) * dy)",
    "layers.Lambda(lambda x: x.sum(axis=-1), gradient=lambda x, dy: np.broadcast_to(dy[..., None], x.shape).copy())",
    "layers.Lambda(lambda x: [x.copy(), 3 * x], gradient=lambda x, dy: dy[0] + 3 * dy[1])",
    "layers.Lambda(lambda x, scale, mask, training: x * mask * (scale if training else 1), arguments={'scale': 3.0},"
    " gradient=lambda x, dy, scale, mask, training: dy * mask * (scale if training else 1))"]


@makes("layers.Lambda")
def lambda_layer(draw: Draw, name: str) -> Setup:
    source, x = draw.one(LAMBDAS), draw.numbers(*draw.shape(1, 1))
    given = {"mask": draw.mask(*x.shape), "training": draw.chance()} if "mask" in source else {}
    return Setup(Source(source), [x], given)


EINSUMS = [                             # equation, its bias_axes, and those of the input
    ("ab,bc->ac", "c", "ab"), ("abc,cd->abd", "d", "abc"), ("abc,cde->abde", "de", "abc"), ("abcd,cde->abe", "e", "abcd"),
    ("abc,bcd->abd", "b", "abc"), ("abc,dcb->acd", "c", "abc"), ("abc,cd->adb", "db", "abc"), ("abc,cd->ad", "d", "abc"),
    ("ab,b->ab", "b", "ab"), ("ab,cd->abcd", "bd", "ab"), ("abb,bc->ac", "c", "abb"), ("abb,bc->abc", "b", "abb")]


@makes("layers.EinsumDense")
def einsum_dense(draw: Draw, name: str) -> Setup:
    equation, bias_axes, axes = draw.one(EINSUMS)
    sizes = {letter: draw.size() for letter in "abcde"}
    output = tuple(sizes[letter] for letter in equation.split("->")[1][1:])
    options = draw.some(bias_axes=[bias_axes], activation=ACTIVATIONS)
    return Setup(call(name, equation, output, **options), [draw.numbers(*(sizes[letter] for letter in axes))])
