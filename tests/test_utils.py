"""Utilities: one-hot encoding, padding and normalizing against Keras, seeds, names."""
import random

import keras
import numpy as np
import pytest

import nblayers
from nblayers import backend, config, utils
from nblayers.layers.base import auto_name
from nblayers.parameter import Parameter
from nblayers.random import generator


@pytest.mark.parametrize("x, count", [
    ([0, 2, 1], None), ([0, 2, 1], 5), ([[0], [2]], None), ([[0, 1], [2, 1]], None), (np.array([[[0], [1]]]), 2), (1, 3),
    ([1.0, 0.0], None), ([True, False], None), (np.array([], int), 3), (np.array([3, 0], "uint8"), None)], ids=str)
def test_to_categorical(x, count):
    ours, expected = utils.to_categorical(x, count), keras.utils.to_categorical(x, count)
    np.testing.assert_array_equal(ours, expected)
    assert ours.dtype == expected.dtype


@pytest.mark.parametrize("x, count, message", [
    ([0, 3], 3, "to_categorical: expected classes from 0 to 2, got 0 to 3"), ([-1, 1], None, "got -1 to 1"),
    ([0.5], None, r"expected whole numbers, got \[0.5\]"), ([np.nan], None, r"got \[nan\]"),
    ([], None, "expected at least one class")])
def test_classes_out_of_range(x, count, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(x, count)


SEQUENCES = [[[1], [2, 3], [4, 5, 6]], [[], [1, 2]], [[1.5, 2.7], [3.2]], [np.arange(4), (5, 6)],
             [[[1, 2], [3, 4]], [[5, 6]], []], [[1, 2, 3]]]


@pytest.mark.parametrize("sequences", SEQUENCES, ids=str)
@pytest.mark.parametrize("options", [
    {}, {"maxlen": 2}, {"maxlen": 5, "value": -1}, {"padding": "post"}, {"padding": "post", "truncating": "post", "maxlen": 2},
    {"maxlen": 2, "truncating": "post"}, {"dtype": "float32", "value": 0.5}, {"maxlen": 1}], ids=str)
def test_pad_sequences(sequences, options):
    ours, expected = utils.pad_sequences(sequences, **options), keras.utils.pad_sequences(sequences, **options)
    np.testing.assert_array_equal(ours, expected)
    assert ours.dtype == expected.dtype


def test_pad_strings():
    padded = utils.pad_sequences([["a"], ["b", "cc"]], dtype=object, value="-", padding="post")
    assert padded.tolist() == [["a", "-"], ["b", "cc"]]


def test_pad_to_no_length():
    assert utils.pad_sequences([[1, 2], [3]], maxlen=0).shape == (2, 0)
    assert utils.pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize("sequences, options, message", [
    ([[1]], {"padding": "left"}, "pad_sequences: expected padding 'pre' or 'post', got 'left'"),
    ([[1]], {"truncating": "both"}, "expected truncating 'pre' or 'post', got 'both'"),
    ([1, 2], {}, "expected a list of sequences, got 1 among them"), (iter([[1]]), {}, "a list of sequences, got list_iter"),
    ([[[1, 2]], [[1]]], {}, r"expected elements of shape \(2,\) as in the first sequence, got \(1,\)"),
    ([[1]], {"value": "x"}, "expected a value that fits dtype int32, got 'x'")])
def test_what_cannot_be_padded(sequences, options, message):
    with pytest.raises(ValueError, match=message):
        utils.pad_sequences(sequences, **options)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize(axis, order, rng):
    x = rng.normal(size=(4, 3))
    x[1] = 0
    result = utils.normalize(x, axis, order)
    norms = np.linalg.norm(result, order, axis)
    np.testing.assert_allclose(norms, np.linalg.norm(x, order, axis) != 0)
    if axis == -1:                          # Keras' own is wrong for axis 0: it takes it for -1
        np.testing.assert_allclose(result, keras.utils.normalize(x, axis, order))


def test_set_random_seed():
    def draw():
        return random.random(), np.random.random(), generator().random()
    utils.set_random_seed(3)
    first = draw()
    assert draw() != first
    utils.set_random_seed(np.int64(3))
    assert draw() == first


@pytest.mark.parametrize("seed", [1.5, "3", None, True, -1, 2**32])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match="set_random_seed: expected an integer from 0 to"):
        utils.set_random_seed(seed)


@pytest.mark.parametrize("clear", [utils.clear_session, backend.clear_session])
def test_clear_session(clear):
    assert [auto_name("Dense"), auto_name("Dense")] == ["dense", "dense_1"]
    clear()
    assert auto_name("Dense") == "dense"


def test_backend():
    backend.set_floatx("float64")
    assert config.floatx() == backend.floatx() == "float64"
    backend.set_epsilon(1e-3)
    assert config.epsilon() == backend.epsilon() == 1e-3
    assert backend.image_data_format() == "channels_last"


def test_arithmetic_of_the_backend(rng):
    x, w = rng.normal(size=(2, 3, 4)).astype("float32"), Parameter(rng.normal(size=(4, 1)).astype("float32"))
    assert backend.dot(x, w).dtype == np.float32
    np.testing.assert_allclose(backend.dot(x, w), keras.ops.dot(x, w.value), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(backend.tanh(x), keras.ops.tanh(x), rtol=1e-5)
    np.testing.assert_allclose(backend.softmax(1000 * x, axis=1), keras.ops.softmax(1000 * x, axis=1), rtol=1e-4, atol=1e-7)
    for axis, keepdims in ((None, False), (1, True), ([0, 2], False)):
        np.testing.assert_allclose(backend.sum(x, axis, keepdims), keras.ops.sum(x, axis, keepdims), rtol=1e-4, atol=1e-5)


def test_reached_from_the_package():
    assert nblayers.utils.pad_sequences is utils.pad_sequences
