"""CategoryEncoding, Hashing and HashedCrossing: Keras' values for strings and integers of every dtype, errors, models."""
import re

import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from helpers import assert_same, numeric_gradient, rooms_agree

from nblayers import layers
from nblayers.devices import to_numpy
from nblayers.layers import CategoryEncoding, Dense, Embedding, Flatten, HashedCrossing, Hashing, Input
from nblayers.models import Model, Sequential, load_model

pytestmark = [pytest.mark.filterwarnings("ignore:overflow encountered"),        # in the simulator, which computes in Python
              pytest.mark.filterwarnings("ignore:Explicitly requested dtype")]   # JAX has no int64
IDS = np.array([[0, 2, 2], [3, 1, 0]])
SHAPES = [(), (1,), (4,), (4, 1), (4, 3), (2, 3, 2), (2, 3, 1)]
WORDS = np.array([["a", "bb", ""], ["Straße", "日本語", "x" * 70]])
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]
MODES = ["int", "one_hot", "multi_hot", "count"]


def same(ours, theirs):
    """The same numbers, shape and kind of dtype as Keras gave."""
    theirs = np.asarray(theirs)
    assert ours.dtype.kind == theirs.dtype.kind
    np.testing.assert_array_equal(to_numpy(ours), theirs)
    assert ours.shape == theirs.shape


# kernels

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("N, L, V", [(1, 1, 1), (3, 4, 5), (2, 0, 3), (5, 3, 1)])
def test_rooms_agree_on_weighted_counts(N, L, V, dtype, rng):
    ids, weights = rng.integers(0, V, (N, L)), rng.normal(size=(N, L)).astype(dtype)
    y, = rooms_agree("encoding", "weighted_counts", [ids, weights], [(N, V)])
    rooms_agree("encoding", "weighted_counts_backward", [y, ids], [(N, L)])


def test_many_weighted_counts_are_shared_between_threads(rng):
    ids, weights = rng.integers(0, 5, (7000, 6)), rng.normal(size=(7000, 6)).astype("f")
    y, = rooms_agree("encoding", "weighted_counts", [ids, weights], [(7000, 5)], rooms=("reference", "cpu"), atol=1e-5)
    rooms_agree("encoding", "weighted_counts_backward", [y, ids], [ids.shape], rooms=("reference", "cpu"))


# CategoryEncoding

@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_category_encoding_is_keras(mode, shape, rng):
    ids = rng.integers(0, 4, shape)
    ours, theirs = CategoryEncoding(4, mode), keras.layers.CategoryEncoding(4, mode)
    same(ours(ids), theirs(ids))
    assert ours.compute_output_shape(shape) == ours(ids).shape
    assert ours.backward(np.ones(ours(ids).shape)) is None


def test_category_encoding_by_hand(device):
    for mode, expected in (("one_hot", np.eye(4)[IDS]), ("multi_hot", [[1, 0, 1, 0], [1, 1, 0, 1]]),
                           ("count", [[1, 0, 2, 0], [1, 1, 0, 1]])):
        y = CategoryEncoding(4, mode).to(device)(IDS)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(to_numpy(y), expected)
    y = CategoryEncoding(4, "count", dtype="float64").to(device)(IDS, count_weights=[[1, 2, 3], [4, 5, 0.5]])
    assert y.dtype == np.float64
    np.testing.assert_array_equal(to_numpy(y), [[1, 0, 5, 0], [0.5, 5, 0, 4]])


@pytest.mark.parametrize("dtype", [*INTEGERS, "uint64", "bool", "float32", "float64", "float16"])
def test_category_encoding_takes_whole_numbers_of_every_dtype(dtype):
    ids = np.array([[0, 1], [1, 0]]).astype(dtype)
    np.testing.assert_array_equal(CategoryEncoding(3, "one_hot")(ids), np.eye(3)[ids.astype(int)])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 3, 2)])
def test_count_weights(shape, rng):
    ids, weights = rng.integers(0, 4, shape), rng.normal(size=shape)
    layer = CategoryEncoding(4, "count", dtype="float64")
    y = layer(ids, count_weights=weights)
    if len(shape) < 3:                                      # there Keras on JAX stumbles over its own axis
        theirs = keras.layers.CategoryEncoding(4, "count")(ids, count_weights=weights.astype("f"))
        np.testing.assert_allclose(y, theirs, rtol=1e-5, atol=1e-6)
    dy = rng.normal(size=y.shape)
    nothing, dweights = layer.backward(dy)
    assert nothing is None
    expected = numeric_gradient(lambda: CategoryEncoding(4, "count", dtype="float64")(ids, count_weights=weights), weights, dy)
    np.testing.assert_allclose(dweights, expected, rtol=1e-6, atol=1e-9)


def test_non_contiguous_and_single_samples():
    wide = np.arange(24).reshape(4, 6) % 4
    layer = CategoryEncoding(4, "count")
    np.testing.assert_array_equal(layer(wide[:, ::2]), layer(wide[:, ::2].copy()))
    np.testing.assert_array_equal(layer(wide[:1]), layer(wide)[:1])
    np.testing.assert_array_equal(layer(torch.tensor(wide)), layer(wide))
    assert not layer(np.zeros((2, 0), int)).any()           # samples of no ids


@pytest.mark.parametrize(("make", "message"), [
    (lambda: CategoryEncoding(), "expected a positive integer as num_tokens, got None"),
    (lambda: CategoryEncoding(0), "expected a positive integer as num_tokens, got 0"),
    (lambda: CategoryEncoding(4, "int"), "expected output_mode to be 'multi_hot', 'one_hot' or 'count', got 'int'"),
    (lambda: CategoryEncoding(4, sparse=True), "expected sparse=False, got True"),
    (lambda: CategoryEncoding(4, dtype="int32"), "expected dtype 'float32' or 'float64', got 'int32'"),
    (lambda: CategoryEncoding(4)([[0, 4]]), "expected ids from 0 to 3, got 4 at index (0, 1)"),
    (lambda: CategoryEncoding(4)([[0, -1]]), "expected ids from 0 to 3, got -1 at index (0, 1)"),
    (lambda: CategoryEncoding(4)(4), "expected ids from 0 to 3, got 4"),
    (lambda: CategoryEncoding(4)([[0.5, 1]]), "expected whole numbers as ids, got 0.5 at index (0, 0)"),
    (lambda: CategoryEncoding(4)([[np.nan, 1]]), "expected whole numbers as ids, got nan at index (0, 0)"),
    (lambda: CategoryEncoding(4)(np.zeros((0, 3), int)), "expected at least one sample on axis 0"),
    (lambda: CategoryEncoding(4)([[1]], count_weights=[[1.0]]), "count_weights are for output_mode 'count'"),
    (lambda: CategoryEncoding(4, "count")([[1, 2]], count_weights=[[1.0]]), "inputs' shape (1, 2), got (1, 1)"),
])
def test_errors_of_category_encoding(make, message):
    with pytest.raises(ValueError, match=r"^CategoryEncoding '.*': .*" + re.escape(message)):
        make()


def test_category_encoding_takes_no_strings():
    with pytest.raises(TypeError, match=r"^CategoryEncoding '.*': expected an array of numbers"):
        CategoryEncoding(4)(np.array(["a"]))


# Hashing

@pytest.mark.parametrize("options", [{}, {"salt": 5}, {"salt": [1, 2**40]}, {"salt": -7}, {"mask_value": "bb"},
                                     {"mask_value": "", "salt": 3}], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_hashed_strings_are_keras(mode, options):
    ours, theirs = Hashing(7, output_mode=mode, **options), keras.layers.Hashing(7, output_mode=mode, **options)
    expected = theirs(WORDS)
    for words in (WORDS, WORDS.tolist(), WORDS.astype(object), np.char.encode(WORDS, "utf-8")):
        same(ours(words), expected)
    assert ours.compute_output_shape(WORDS.shape) == expected.shape
    assert ours.backward(np.ones(expected.shape)) is None


@pytest.mark.parametrize("dtype", [*INTEGERS, "float16", "float32", "float64"])
def test_hashed_numbers_are_keras(dtype, rng):
    numbers = (rng.integers(-100 if np.dtype(dtype).kind in "if" else 0, 100, (4, 3)) * 1.25).astype(dtype)
    mask = numbers[0, 0].item()
    for options in ({}, {"mask_value": mask}, {"salt": 7}):
        same(Hashing(9, **options)(numbers), keras.layers.Hashing(9, **options)(numbers))


def test_hashed_truth_values_are_tensorflows():
    tf = pytest.importorskip("tensorflow")
    flags = np.array([True, False])
    same(Hashing(1000)(flags), tf.strings.to_hash_bucket_fast(tf.as_string(flags), 1000))
    np.testing.assert_array_equal(Hashing(1000)(np.array([2**64 - 1], np.uint64)), Hashing(1000)([str(2**64 - 1)]))


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_shapes_of_hashing(shape, mode, rng):
    numbers = rng.integers(0, 50, shape)
    ours = Hashing(5, output_mode=mode)
    same(ours(numbers), keras.layers.Hashing(5, output_mode=mode)(numbers))
    same(ours(numbers.astype(str)), np.asarray(ours(numbers)))
    assert ours.compute_output_shape(shape) == ours(numbers).shape


def test_the_documented_values_of_hashing(device):
    """Those in Keras' docstring."""
    letters = [["A"], ["B"], ["C"], ["D"], ["E"]]
    for options, expected in (({}, [1, 0, 1, 1, 2]), ({"salt": [133, 137]}, [1, 2, 1, 0, 2]), ({"salt": 133}, [0, 0, 2, 1, 0])):
        y = Hashing(3, **options).to(device)(letters)
        assert y.dtype == np.int64 and to_numpy(y).tolist() == [[n] for n in expected]
    y = Hashing(3, mask_value="").to(device)([["A"], ["B"], [""], ["C"], ["D"]])
    assert to_numpy(y).tolist() == [[1], [1], [0], [2], [2]]


def test_single_values_and_single_bins():
    assert Hashing(1000)("wire") == Hashing(1000)(["wire"])[0] and Hashing(1000)("wire").shape == ()
    assert Hashing(1000)(12).shape == () and Hashing(4, output_mode="count")(12).shape == (4,)
    np.testing.assert_array_equal(Hashing(1, mask_value="a")(["a", "b"]), keras.layers.Hashing(1, mask_value="a")(["a", "b"]))


def test_columns_and_tables():
    words = ["red", "green", "red"]
    expected = Hashing(100)(words)
    for column in (pd.Series(words), pd.Series(words, dtype="string"), pl.Series(words), np.array(words, "T")
                   if hasattr(np.dtypes, "StringDType") else words):
        np.testing.assert_array_equal(Hashing(100)(column), expected)
    table = pd.DataFrame({"a": words, "b": words})
    np.testing.assert_array_equal(Hashing(100)(table), np.stack([expected, expected], axis=1))
    np.testing.assert_array_equal(Hashing(100)(pd.DataFrame({"a": [1, 2]})), Hashing(100)([[1], [2]]))


def test_dtypes_of_hashing():
    assert Hashing(4, dtype="int32")([1]).dtype == np.int32
    assert Hashing(4, output_mode="one_hot", dtype="float64")([1]).dtype == np.float64
    assert Hashing(4)(Input((3,), dtype="string")).dtype == "int64"
    assert Hashing(4, output_mode="count")(Input((3,), dtype="int64")).dtype == "float32"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Hashing(0), "expected a positive integer as num_bins, got 0"),
    (lambda: Hashing(None), "expected a positive integer as num_bins, got None"),
    (lambda: Hashing(3, output_mode="tf_idf"), "expected output_mode to be 'int'"),
    (lambda: Hashing(3, sparse=True), "expected sparse=False, got True"),
    (lambda: Hashing(3, salt="a"), "expected salt to be an integer from -9223372036854775808 to 18446744073709551615, got 'a'"),
    (lambda: Hashing(3, salt=[1, 2, 3]), "expected an integer or two as salt, got [1, 2, 3]"),
    (lambda: Hashing(3, salt=2**64), "expected salt to be an integer from -9"),
    (lambda: Hashing(3, dtype="float32"), "expected dtype 'int64' or 'int32' with output_mode 'int', got 'float32'"),
    (lambda: Hashing(3)([1.0, np.nan]), "expected numbers below 2^63, got nan at index (1,)"),
    (lambda: Hashing(3)([np.inf]), "expected numbers below 2^63, got inf at index (0,)"),
    (lambda: Hashing(3)([b"\xff\xfe"]), "expected bytes in utf-8"),
    (lambda: Hashing(3)(["a", "\ud800"]), "half a character"),
    (lambda: Hashing(3)([["a"], ["b", "c"]]), "nested lists of different lengths"),
    (lambda: Hashing(3)([]), "expected at least one sample"),
])
def test_errors_of_hashing(make, message):
    with pytest.raises(ValueError, match=r"^Hashing '.*': .*" + re.escape(message)):
        make()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Hashing(3, mask_value="a")([1, 2]), "expected inputs of the kind of mask_value='a', got numbers"),
    (lambda: Hashing(3, mask_value=1)(["a"]), "expected inputs of the kind of mask_value=1, got strings"),
    (lambda: Hashing(3)(np.array(["a", 1], object)), "expected strings, got 1 (int)"),
    (lambda: Hashing(3)(["a", None]), "expected strings, got None"),
    (lambda: Hashing(3)([None, "a"]), "expected strings, got None (NoneType) as element [0]"),
    (lambda: Hashing(3)(np.array([1j])), "expected an array of numbers, got dtype complex128"),
])
def test_wrong_kinds_of_inputs(make, message):
    with pytest.raises(TypeError, match=r"^Hashing '.*': .*" + re.escape(message)):
        make()


# HashedCrossing

A, B = np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])


@pytest.mark.parametrize("mode", ["int", "one_hot"])
@pytest.mark.parametrize("features", [[A, B], [B, A], [B, B], [A, A, B]], ids=["ab", "ba", "bb", "aab"])
def test_crossings_are_keras(features, mode):
    ours, theirs = HashedCrossing(5, output_mode=mode), keras.layers.HashedCrossing(5, output_mode=mode)
    for given in (features, [each[:, None] for each in features]):
        same(ours(given), theirs(given))
        assert ours.compute_output_shape([each.shape for each in given]) == ours(given).shape
        assert ours.backward(np.ones(ours(given).shape)) == [None] * len(given)
    same(ours(tuple(each.tolist() for each in features)), theirs(features))
    same(ours([each[0] for each in features]), theirs([each[0] for each in features]))


def test_the_documented_values_of_crossing(device):
    """Those in Keras' docstring."""
    assert to_numpy(HashedCrossing(5).to(device)((A, B))).tolist() == [1, 4, 1, 1, 3]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_crossed_integers_of_every_dtype(dtype, rng):
    numbers = rng.integers(-100 if dtype.startswith("i") else 0, 100, (2, 6)).astype(dtype)
    same(HashedCrossing(11)([numbers[0], numbers[1]]), keras.layers.HashedCrossing(11)([numbers[0], numbers[1]]))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: HashedCrossing(0), ValueError, "expected a positive integer as num_bins, got 0"),
    (lambda: HashedCrossing(3, "count"), ValueError, "expected output_mode to be 'int' or 'one_hot', got 'count'"),
    (lambda: HashedCrossing(3, sparse=True), ValueError, "expected sparse=False"),
    (lambda: HashedCrossing(3)(A), ValueError, "expected a list of two or more inputs, got one array"),
    (lambda: HashedCrossing(3)([A]), ValueError, "expected a list of two or more inputs, got a list of 1"),
    (lambda: HashedCrossing(3)(None), ValueError, "expected a list of two or more inputs, got None"),
    (lambda: HashedCrossing(3)([A, B[:2]]), ValueError, "expected inputs of one shape, got (5,), (2,)"),
    (lambda: HashedCrossing(3)([IDS, IDS]), ValueError, "(batch,) or (batch, 1), got (2, 3)"),
    (lambda: HashedCrossing(3)([A, B + 0.5]), TypeError, "expected inputs of strings or integers, got dtype float64"),
    (lambda: HashedCrossing(3)([Input((1,)), Input((1,))]), TypeError, "strings or integers, got dtype float32"),
    (lambda: HashedCrossing(3)([Input((2,), dtype="string")] * 2), ValueError, "(batch,) or (batch, 1), got (None, 2)"),
    (lambda: HashedCrossing(3)(Input((1,), dtype="string")), ValueError, "got one array"),
])
def test_errors_of_crossing(make, error, message):
    with pytest.raises(error, match=r"^HashedCrossing '.*': .*" + re.escape(message)):
        make()


# configurations and models

@pytest.mark.parametrize(("name", "options"), [
    ("CategoryEncoding", {"num_tokens": 4}), ("CategoryEncoding", {"num_tokens": 4, "output_mode": "count"}),
    ("Hashing", {"num_bins": 4}), ("Hashing", {"num_bins": 4, "salt": 3, "mask_value": "a", "output_mode": "count"}),
    ("Hashing", {"num_bins": 4, "dtype": "int32"}), ("HashedCrossing", {"num_bins": 4}),
    ("HashedCrossing", {"num_bins": 4, "output_mode": "one_hot"})], ids=str)
def test_configurations_are_keras(name, options):
    ours, theirs = (getattr(module, name)(**options, name="mine") for module in (layers, keras.layers))
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()


@pytest.mark.parametrize("words", [np.array([["a"], ["b"], ["c"], ["a"]]), [["a"], ["b"], ["c"], ["a"]]], ids=["array", "list"])
@pytest.mark.parametrize("inputs", [[Input((1,), dtype="string")], []], ids=["Input", "none"])
def test_strings_at_the_front_of_a_model(words, inputs, tmp_path):
    model = Sequential([*inputs, Hashing(20), Embedding(20, 3), Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    y = np.array([0.0, 1, 2, 0])
    model.fit(words, y, epochs=2, verbose=0)
    expected = model.predict(words, verbose=0)
    np.testing.assert_array_equal(expected[0], expected[3])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict(words, verbose=0), expected)


def test_a_functional_model_of_features(tmp_path):
    colour, size = Input((1,), dtype="string", name="colour"), Input((1,), dtype="int64", name="size")
    features = layers.Concatenate()([HashedCrossing(8, "one_hot")([colour, size]), Hashing(4, output_mode="one_hot")(colour),
                                     CategoryEncoding(5, "one_hot")(size)])
    model = Model([colour, size], Dense(1)(features))
    model.compile("adam", "mse")
    data = {"colour": np.array([["red"], ["blue"], ["red"]]), "size": np.array([[1], [1], [4]])}
    model.fit(data, np.zeros(3), verbose=0)
    expected = model.predict(data, verbose=0)
    np.testing.assert_array_equal(model([data["colour"], data["size"]]), expected)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict(data, verbose=0), expected)


def test_integers_at_the_front_of_a_model():
    for first in (CategoryEncoding(6), Hashing(6, output_mode="multi_hot")):
        model = Sequential([Input((3,), dtype="int64"), first, Dense(1)])
        model.compile("sgd", "mse")
        model.fit(IDS, np.zeros(2), verbose=0)
        assert model.output_shape == (None, 1) and model.predict(IDS, verbose=0).shape == (2, 1)
        assert model.backward(np.ones((2, 1))) is None


def test_all_rooms_give_the_same(device):
    numbers = np.arange(12).reshape(4, 3)
    for make in (lambda: Hashing(5), lambda: Hashing(5, salt=3, mask_value=4, output_mode="count"),
                 lambda: CategoryEncoding(12, "multi_hot")):
        assert_same(make().to(device)(numbers), make().to("reference")(numbers))
