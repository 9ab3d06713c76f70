"""Kinds, words and boxes: only weights of counts have a gradient here."""
import numpy as np

from .drawing import Draw, Setup, call, makes

WORDS = np.array(["red", "green", "blue", "red or green"])


@makes("layers.CategoryEncoding")
def encoding(draw: Draw, name: str) -> Setup:
    """Counts have a gradient for their weights."""
    mode, ids = draw.one(["count", "count", "multi_hot", "one_hot"]), draw.ids(4, *draw.shape(1, 1))
    weights = {"count_weights": draw.numbers(*ids.shape)} if mode == "count" and draw.chance(0.8) else {}
    return Setup(call(name, 4, mode), [ids], weights)


@makes("layers.Discretization")
def discretization(draw: Draw, name: str) -> Setup:
    return Setup(call(name, [-0.5, 0.25, 1.0]), [draw.normal(*draw.shape(1, 2))])


@makes("layers.Hashing")
def hashing(draw: Draw, name: str) -> Setup:
    x = draw.one([draw.ids(9, 2, 3), WORDS[draw.ids(4, 3)]])
    return Setup(call(name, draw.integer(1, 5)), [x])


@makes("layers.HashedCrossing")
def crossing(draw: Draw, name: str) -> Setup:
    return Setup(call(name, draw.integer(1, 5)), [[draw.ids(9, 3), draw.ids(4, 3)]])


@makes("layers.IntegerLookup")
def integer_lookup(draw: Draw, name: str) -> Setup:
    return Setup(call(name, vocabulary=[5, 2, 7], output_mode=draw.one(["int", "multi_hot"])), [draw.ids(8, 2, 3)])


@makes("layers.StringLookup")
def string_lookup(draw: Draw, name: str) -> Setup:
    return Setup(call(name, vocabulary=["red", "blue"], output_mode=draw.one(["int", "multi_hot"])), [WORDS[draw.ids(4, 2, 2)]])


@makes("layers.TextVectorization")
def text_vectorization(draw: Draw, name: str) -> Setup:
    return Setup(call(name, vocabulary=["red", "or"], output_mode=draw.one(["int", "multi_hot"])), [WORDS[draw.ids(4, 3)]])
