"""StringLookup and IntegerLookup: values and errors beside Keras', vocabularies, adapt, files, models."""
import io
import json
import threading
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import run_kernel

import kernels
import nblayers
from nblayers import layers
from nblayers.arrays import as_strings
from nblayers.layers.preprocessing.strings import text_buffer
from nblayers.models import Model, Sequential, clone_model, load_model

# the simulator computes in Python, where a hash's product overflows with a warning
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")
WORDS = [["a", "b", "zz"], ["", "a", "a"], ["é", "[UNK]", "b"]]
NUMBERS = [[5, 7, -1], [0, 5, 5], [9, -8, 7]]
HIDDEN = "עברית", "e\u0301", "a\u200db", "", " ", "a\0b", "\0", "\U0001F600", "日本"


@pytest.fixture(scope="module")
def keras_layers():
    import keras
    return keras.layers


STRINGS = [
    dict(), dict(mask_token=""), dict(num_oov_indices=3), dict(num_oov_indices=3, mask_token="", salt=7),
    dict(num_oov_indices=2, salt=[3, 9]),
    dict(num_oov_indices=9, salt=[-1, -2**63]), dict(output_mode="multi_hot", mask_token=""), dict(output_mode="count"),
    dict(output_mode="count", num_oov_indices=2, mask_token="zz"), dict(output_mode="one_hot", mask_token=""),
    dict(output_mode="tf_idf", idf_weights=[0.25, 0.5]), dict(output_mode="count", max_tokens=6, pad_to_max_tokens=True),
    dict(output_mode="tf_idf", idf_weights=[0.25, 0.5], max_tokens=6, pad_to_max_tokens=True),
]
INTEGERS = [
    dict(), dict(mask_token=0), dict(num_oov_indices=3), dict(num_oov_indices=3, oov_method="farmhash"),
    dict(num_oov_indices=3, oov_method="farmhash", salt=[1, 2]), dict(output_mode="multi_hot", mask_token=0),
    dict(output_mode="count", oov_token=-3), dict(output_mode="one_hot"), dict(output_mode="tf_idf", idf_weights=[0.25, 0.5]),
]
CASES = [("StringLookup", ["a", "b"], WORDS, options) for options in STRINGS] + [
    ("IntegerLookup", [5, 7], NUMBERS, options) for options in INTEGERS]


@pytest.mark.parametrize(("kind", "vocabulary", "data", "options"), CASES, ids=str)
def test_values_configuration_and_vocabulary_are_those_of_keras(kind, vocabulary, data, options, keras_layers):
    ours = getattr(layers, kind)(vocabulary=vocabulary, name="l", **options)
    theirs = getattr(keras_layers, kind)(vocabulary=vocabulary, name="l", **options)
    data = np.array(data)
    y = ours(data)
    np.testing.assert_allclose(y, np.asarray(theirs(data)), rtol=1e-6)
    assert y.dtype == ("int64" if ours.output_mode == "int" else "float32")
    assert ours.get_vocabulary() == list(theirs.get_vocabulary()) and ours.vocabulary_size() == theirs.vocabulary_size()
    assert ours.get_vocabulary(include_special_tokens=False) == list(theirs.get_vocabulary(include_special_tokens=False))
    assert ours.get_config() == theirs.get_config()
    assert ours.compute_output_shape((None, 3)) == theirs.compute_output_shape((None, 3)) == (None, *y.shape[1:])
    assert ours.compute_output_shape((None, 1)) == theirs.compute_output_shape((None, 1))
    again = type(ours).from_config(json.loads(json.dumps(theirs.get_config())))
    np.testing.assert_array_equal(again(data), y)
    assert ours.backward(np.zeros(y.shape, "f")) is None


ADAPTED = [
    ("StringLookup", dict(), WORDS), ("StringLookup", dict(mask_token="", max_tokens=4), WORDS),
    ("StringLookup", dict(output_mode="tf_idf"), WORDS), ("StringLookup", dict(output_mode="tf_idf"), ["b", "a", "b"]),
    ("StringLookup", dict(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True, num_oov_indices=2), WORDS),
    ("StringLookup", dict(output_mode="count", max_tokens=3), WORDS),
    ("IntegerLookup", dict(), NUMBERS), ("IntegerLookup", dict(output_mode="tf_idf", mask_token=0), NUMBERS),
]


@pytest.mark.parametrize(("kind", "options", "data"), ADAPTED, ids=str)
def test_adapt_learns_what_keras_learns(kind, options, data, keras_layers):
    ours, theirs = (getattr(module, kind)(name="l", **options) for module in (layers, keras_layers))
    data = np.array(data)
    for layer in (ours, theirs):
        layer.adapt(data)
    assert ours.get_vocabulary() == list(theirs.get_vocabulary())
    assert ours.get_config() == theirs.get_config()
    if ours.output_mode == "tf_idf":
        np.testing.assert_allclose(ours.idf_weights, theirs.idf_weights.numpy(), rtol=1e-6)
    rows = data.reshape(-1, 1) if data.ndim == 1 else data
    np.testing.assert_allclose(ours(rows), np.asarray(theirs(rows)), rtol=1e-6)


def test_ties_in_counts_go_by_the_alphabet_backwards():
    layer = layers.StringLookup()
    layer.adapt(["b", "a", "é", "b", "z"])
    assert layer.get_vocabulary() == ["[UNK]", "b", "é", "z", "a"]


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup"])
def test_adapt_takes_arrays_lists_tables_and_batches_alike(kind, tmp_path):
    data = np.array(WORDS) if kind == "StringLookup" else np.array(NUMBERS)
    on_disk = np.lib.format.open_memmap(tmp_path / "data.npy", "w+", data.dtype, data.shape)
    on_disk[:] = data
    sources = [data, data.tolist(), on_disk, iter(data), (row for row in data), pd.DataFrame(data), pl.DataFrame(data),
               data.reshape(-1), pd.Series(data.reshape(-1)), pl.Series(data.reshape(-1)), [row[None] for row in data][:3]]
    found = []
    for source in sources:
        layer = getattr(layers, kind)()
        layer.adapt(source)
        found.append(layer.get_vocabulary())
    assert all(vocabulary == found[0] for vocabulary in found)
    layer.adapt(iter(data), steps=1)
    assert set(layer.get_vocabulary()[1:]) <= set(data[0].tolist())


def test_states_add_up_and_can_be_forgotten():
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.update_state(["q"])
    layer.reset_state()
    layer.update_state(["a", "b", "a"])
    layer.update_state([["a", "c"]])
    layer.finalize_state()
    assert layer.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    np.testing.assert_allclose(layer.idf_weights, [0.63237333, 0.51082563, 0.6931472, 0.6931472])
    layer.finalize_state()                              # nothing was counted since
    assert layer.vocabulary_size() == 4


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup"])
def test_memory_of_adapt_does_not_grow_with_the_stream(kind):
    rng = np.random.default_rng(0)

    def stream(batches):
        for _ in range(batches):
            numbers = rng.integers(0, 50, 1000)
            yield numbers.astype(str) if kind == "StringLookup" else numbers

    def peak(batches):
        layer = getattr(layers, kind)()
        tracemalloc.start()
        layer.adapt(stream(batches))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert layer.vocabulary_size() == 51
        return top
    peak(2)
    assert peak(40) < 1.5 * peak(4)


@pytest.mark.parametrize("data", [WORDS, np.array(WORDS), np.array(WORDS, object), np.array(WORDS, np.dtypes.StringDType()),
                                  [[word.encode() for word in row] for row in WORDS], tuple(map(tuple, WORDS)),
                                  np.array([[word.encode() for word in row] for row in WORDS]), pd.DataFrame(WORDS),
                                  pl.DataFrame(np.array(WORDS)), np.array(WORDS)[:, ::-1][:, ::-1],
                                  [[np.str_(word) for word in row] for row in WORDS]],
                         ids=lambda data: type(data).__name__)
def test_strings_come_in_all_forms(data):
    layer = layers.StringLookup(vocabulary=["a", "é"])
    expected = [[1, 0, 0], [0, 1, 1], [2, 0, 0]]
    np.testing.assert_array_equal(layer(data), expected)
    model = Sequential([layers.StringLookup(vocabulary=["a", "é"])])
    np.testing.assert_array_equal(model.predict(data, verbose=0), expected)
    assert layer("a") == 1 and layer("a").shape == () and layer(["a"]).shape == (1,)


@pytest.mark.parametrize("make", [list, np.array, lambda strings: np.array(strings, object),
                                  lambda strings: [string.encode() for string in strings]],
                         ids=["list", "str", "object", "bytes"])
def test_nothing_of_a_string_is_lost(make):
    hidden = [string for string in HIDDEN if make is not np.array or not string.endswith("\0")]     # NumPy drops these zeros
    layer = layers.StringLookup(vocabulary=hidden, num_oov_indices=0)
    np.testing.assert_array_equal(layer(make(hidden)), np.arange(len(hidden)))
    back = layers.StringLookup(vocabulary=hidden, num_oov_indices=0, invert=True)
    assert back(layer(make(hidden))).tolist() == hidden
    learned = layers.StringLookup()
    learned.adapt(make(hidden))
    assert sorted(learned.get_vocabulary(False)) == sorted(hidden)


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_one_value_alone_and_numpys_own_values(kind, keras_layers):
    vocabulary, options = ([3, 5], {}) if kind == "IntegerLookup" else (["a", "b"], {})
    if kind == "TextVectorization":
        options = dict(split=None)
    for mode in ("int", "one_hot", "count"):
        ours, theirs = (getattr(module, kind)(vocabulary=vocabulary, output_mode=mode, **options)
                        for module in (layers, keras_layers))
        np.testing.assert_array_equal(ours(vocabulary[0]), np.asarray(theirs(vocabulary[0])))
        np.testing.assert_array_equal(ours(list(np.array(vocabulary))), np.asarray(theirs(vocabulary)))


def test_columns_of_categories():
    model = Sequential([layers.StringLookup(vocabulary=["a", "b"])])
    texts = pd.Series(["b", "a", "q"], dtype="category")
    for column in (texts, pl.Series(["b", "a", "q"], dtype=pl.Categorical), pl.Series(["b", "a", "q"], dtype=pl.Enum("abq"))):
        np.testing.assert_array_equal(model.predict(column, verbose=0), [2, 1, 0])
    np.testing.assert_array_equal(model.layers[0](pd.DataFrame({"x": texts, "y": texts})), [[2, 2], [1, 1], [0, 0]])
    with pytest.raises(TypeError, match=r"StringLookup.*: expected strings, got nan \(float\) as element \[1\]"):
        model.predict(pd.Series(["a", None], dtype="category"), verbose=0)


def test_bytes_are_read_in_their_encoding():
    layer = layers.StringLookup(vocabulary=["é"], encoding="latin-1")
    assert layer(["é".encode("latin-1"), "é", b"e"]).tolist() == [1, 1, 0]


INVALID = [
    ([b"ok", b"\xff"], ValueError, r"expected bytes in utf-8, got b'\\xff' as element \[1\]"),
    ([["ok"], ["\ud800"]], ValueError, r"got '\\ud800' as element \[1, 0\].*surrogate"),
    (["ok", None], TypeError, r"expected strings, got None \(NoneType\) as element \[1\]"),
    (["ok", 3.5], TypeError, r"expected strings, got 3.5 \(float\) as element \[1\]"),
    ([["a"], ["b", "c"]], ValueError, "nested lists of different lengths"),
    ([1.0, 2.0], TypeError, r"expected strings, got 1.0 \(float\) as element \[0\]"),
    (np.ones(2), TypeError, "expected an input to hold strings, got dtype float64"),
    ([], (TypeError, ValueError), "expected"),
    (np.empty((0, 1), object), ValueError, "at least one sample"),
]


@pytest.mark.parametrize(("data", "error", "message"), INVALID, ids=range(len(INVALID)))
def test_what_is_no_text_is_named(data, error, message):
    with pytest.raises(error, match=rf"StringLookup 'l'.*{message}"):
        layers.StringLookup(vocabulary=["a"], name="l")(data)


@pytest.mark.parametrize(("kind", "options", "message"), [
    ("StringLookup", dict(max_tokens=1), "max_tokens"), ("StringLookup", dict(num_oov_indices=-1), "num_oov_indices"),
    ("StringLookup", dict(max_tokens=3, num_oov_indices=7), "max_tokens of at least 7, the ids for the mask"),
    ("IntegerLookup", dict(max_tokens=2, num_oov_indices=2, mask_token=0), "max_tokens of at least 3"),
    ("StringLookup", dict(sparse=True), "sparse"), ("StringLookup", dict(pad_to_max_tokens=True), "max_tokens with pad"),
    ("StringLookup", dict(output_mode="words"), "output_mode"), ("StringLookup", dict(encoding="klingon"), "encoding"),
    ("StringLookup", dict(invert=True, output_mode="count"), "'int' with invert"),
    ("StringLookup", dict(idf_weights=[1.0]), "idf_weights are for output_mode 'tf_idf'"),
    ("StringLookup", dict(vocabulary=["a"], output_mode="tf_idf"), "expected idf_weights with a vocabulary"),
    ("StringLookup", dict(vocabulary=["a"], output_mode="tf_idf", idf_weights=[1.0, 2.0]), "one of idf_weights for each of 1"),
    ("StringLookup", dict(vocabulary=["a"], output_mode="tf_idf", idf_weights=[np.nan]), "finite"),
    ("StringLookup", dict(vocabulary=["a", "b", "a", "b"]), "'a', 'b' more than once"),
    ("StringLookup", dict(vocabulary=["a", ""], mask_token=""), r"mask_token '' at place 1"),
    ("StringLookup", dict(vocabulary=["[UNK]", "", "a"], mask_token=""), r"mask_token '' at place 1"),
    ("StringLookup", dict(vocabulary=["a", "[UNK]"], invert=True), r"oov_token '\[UNK\]' at place 1"),
    ("StringLookup", dict(vocabulary=["a", "b"], max_tokens=2), "at most max_tokens=2, got 3"),
    ("StringLookup", dict(vocabulary=[]), "at least one token"), ("StringLookup", dict(vocabulary=[["a"]]), "one axis"),
    ("StringLookup", dict(vocabulary="no/such/file"), "vocabulary file at 'no/such/file': No such file"),
    ("StringLookup", dict(vocabulary={"a"}), "in an order"), ("StringLookup", dict(vocabulary=["a", None]), "got None"),
    ("StringLookup", dict(salt=[1, 2, 3]), "salt"), ("StringLookup", dict(salt=2**64), "salt to be an integer from"),
    ("StringLookup", dict(mask_token=0), "mask_token to be a string"),
    ("IntegerLookup", dict(vocabulary_dtype="int32"), "vocabulary_dtype"), ("IntegerLookup", dict(salt=1), "salt is for"),
    ("IntegerLookup", dict(oov_method="md5"), "oov_method"), ("IntegerLookup", dict(vocabulary=[1.5]), "integers"),
    ("IntegerLookup", dict(vocabulary=["a"]), "integers"), ("IntegerLookup", dict(oov_token="x"), "oov_token to be an integer"),
    ("IntegerLookup", dict(vocabulary=[3, 3]), "3 more than once"),
])
def test_arguments_that_make_no_sense_are_refused(kind, options, message):
    with pytest.raises((ValueError, TypeError), match=rf"{kind} 'l': .*{message}"):
        getattr(layers, kind)(name="l", **options)


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_labels_in_batches_are_no_tokens(kind):
    x, y = ([7, 5, 7], [9, 9, 8]) if kind == "IntegerLookup" else (["b", "a", "b"], [1, 0, 1])
    known = []
    for batch in ((np.array(x), np.array(y)), [np.array(x), np.array(y)], (x, np.array(y), np.ones(3)), x, tuple(x)):
        layer = getattr(layers, kind)()
        layer.adapt(iter([batch]))
        known.append(layer.get_vocabulary(include_special_tokens=False))
    assert all(tokens == [x[0], x[1]] for tokens in known)
    with pytest.raises(TypeError, match=f"{kind}.*an iterable of batches, got a dict"):
        layer.adapt({"column": x})


def test_a_file_with_too_many_tokens_is_refused():
    layer = layers.StringLookup(max_tokens=3, output_mode="count", pad_to_max_tokens=True)
    with pytest.raises(ValueError, match="at most max_tokens=3, got 4"):
        layer.assets = {"vocabulary": ["a", "b", "c"], "idf_weights": None}


def test_calls_that_make_no_sense_are_refused():
    with pytest.raises(RuntimeError, match="has no vocabulary yet: call adapt"):
        layers.StringLookup()(["a"])
    with pytest.raises(ValueError, match="expected tokens of the vocabulary, as num_oov_indices is 0, got 'q', 'é'"):
        layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["q", "a", "é", "q"])
    with pytest.raises(ValueError, match="num_oov_indices is 0, got 7"):
        layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)([7, 1])
    with pytest.raises(ValueError, match="was made with a vocabulary"):
        layers.StringLookup(vocabulary=["a"]).adapt(["a"])
    with pytest.raises(ValueError, match="at least one token"):
        layers.StringLookup().adapt(iter([]))
    with pytest.raises(ValueError, match="steps counts"):
        layers.StringLookup().adapt(["a"], steps=1)
    with pytest.raises(TypeError, match="an iterable of batches, got a int"):
        layers.IntegerLookup().adapt(3)
    for numbers in ([1.5], [np.nan]):
        with pytest.raises(ValueError, match="expected integers"):
            layers.IntegerLookup(vocabulary=[1])(numbers)
    with pytest.raises(ValueError, match="expected integers below"):
        layers.IntegerLookup(vocabulary=[1])(np.array([2**63], np.uint64))
    with pytest.raises(TypeError, match="expected an array of numbers"):
        layers.IntegerLookup(vocabulary=[1])(["a"])
    counts = layers.StringLookup(vocabulary=["a"], output_mode="count")
    with pytest.raises(RuntimeError, match="keeps its size, 2, got one of 3"):
        counts.set_vocabulary(["a", "b"])
    counts.set_vocabulary(["b"])
    assert counts([["b", "a"]]).tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="set_vocabulary expected idf_weights"):
        counts.set_vocabulary(["b"], [1.0])
    with pytest.raises(TypeError, match=r"expected strings, as from Input.*float32"):
        counts(layers.Input((1,)))


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup"])
def test_inversion(kind):
    vocabulary = ["a", "b"] if kind == "StringLookup" else [12, 36]
    forth = getattr(layers, kind)(vocabulary=vocabulary)
    back = getattr(layers, kind)(vocabulary=forth.get_vocabulary(), invert=True)
    assert back([[1, 2], [0, 1]]).tolist() == [[vocabulary[0], vocabulary[1]], [back.oov_token, vocabulary[0]]]
    assert back(2).shape == () and back(2).item() == vocabulary[1]
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=rf"expected ids from 0 to 2, got {wrong}"):
            back([1, wrong])


def test_many_integers_far_apart(rng):
    vocabulary = rng.choice(10**12, 500, replace=False)
    data = np.concatenate([vocabulary, rng.integers(-10**15, 10**15, 100), [np.iinfo(np.int64).min, np.iinfo(np.int64).max]])
    known = {int(token): n + 1 for n, token in enumerate(vocabulary)}
    np.testing.assert_array_equal(layers.IntegerLookup(vocabulary=vocabulary)(data), [known.get(int(x), 0) for x in data])


def test_vocabulary_files(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("עברית\r\nb c\né\n".encode())
    layer = layers.StringLookup(vocabulary=path)
    assert layer.get_vocabulary() == ["[UNK]", "עברית", "b c", "é"]
    assert layers.StringLookup(vocabulary=str(path), name="l").get_config()["vocabulary"] is None
    path.write_text("\n[UNK]\na\n")
    assert layers.StringLookup(vocabulary=str(path), mask_token="").get_vocabulary() == ["", "[UNK]", "a"]
    path.write_text("a\nb\n", "utf-8-sig")
    assert layers.StringLookup(vocabulary=str(path)).get_vocabulary() == ["[UNK]", "a", "b"]
    path.write_text("3\n-4\n")
    assert layers.IntegerLookup(vocabulary=str(path)).get_vocabulary() == [-1, 3, -4]
    for content, message in [(b"a\n\xe4\nb", "UTF-8, got b'\\\\xe4' in line 2"), (b"a\n\nb\n", "an empty line 2"),
                             (b"a\nb\na\n", "'a' more than once"), (b"", "empty file")]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            layers.StringLookup(vocabulary=str(path))
    for content, wrong in [("3\nx\n", "x"), ("3\n9223372036854775808\n", "9223372036854775808")]:
        path.write_text(content)
        with pytest.raises(ValueError, match=rf"an integer below 2\*\*63 in each line of .*, got '{wrong}' in line 2"):
            layers.IntegerLookup(vocabulary=str(path))


def color_model(adapted=True):
    lookup = layers.StringLookup(output_mode="one_hot")
    if adapted:
        lookup.adapt(["red", "green", "red"])
    numbers = layers.IntegerLookup(vocabulary=[10, 20])
    color, size = layers.Input((1,), dtype="string", name="color"), layers.Input((1,), dtype="int64", name="size")
    both = layers.Concatenate()([lookup(color), layers.Flatten()(layers.Embedding(3, 2)(numbers(size)))])
    model = Model([color, size], layers.Dense(1)(both))
    model.compile("sgd", "mse")
    return model


COLORS = {"color": ["red", "green", "blue", "red"], "size": np.array([10, 20, 30, 10])}


def test_lookups_in_a_functional_model_and_in_files(tmp_path):
    model = color_model()
    y = np.ones((4, 1), "f")
    model.fit(COLORS, y, epochs=2, verbose=0)
    model.fit([COLORS["color"], COLORS["size"]], y, verbose=0, batch_size=3, validation_split=0.25)
    assert np.isfinite(model.evaluate(COLORS, y, verbose=0))
    expected = model.predict(COLORS, verbose=0)
    summary = io.StringIO()
    model.summary(print_fn=summary.write)
    assert "StringLookup" in summary.getvalue()
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "m.keras").predict(COLORS, verbose=0), expected)
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(COLORS, verbose=0), expected)
    y = model(COLORS)
    assert model.backward(np.ones_like(y)) == [None, None]


def test_weights_of_tf_idf_are_saved(tmp_path):
    lookup = layers.StringLookup(output_mode="tf_idf", max_tokens=5, pad_to_max_tokens=True)
    lookup.adapt(WORDS)
    model = Sequential([lookup, layers.Dense(2)])
    expected = model.predict(np.array(WORDS), verbose=0)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "m.keras").predict(np.array(WORDS), verbose=0), expected)


def test_two_threads_call_one_layer():
    words = [f"w{n}" for n in range(2000)]
    layer = layers.StringLookup(vocabulary=words[::2])
    expected = [n // 2 + 1 if n % 2 == 0 else 0 for n in range(2000)]
    results = []

    def call(order):
        for _ in range(20):
            results.append(np.array_equal(layer(words[::order]), expected[::order]))
    threads = [threading.Thread(target=call, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40


def test_other_devices_give_the_same(device):
    with nblayers.device(device):
        layer = layers.StringLookup(num_oov_indices=2, output_mode="tf_idf")
        layer.adapt(WORDS)
        y = layer(WORDS)
        numbers = layers.IntegerLookup(vocabulary=[5, 7], num_oov_indices=2, oov_method="farmhash", output_mode="count")
        z = numbers(NUMBERS)
    expected = layers.StringLookup(num_oov_indices=2, output_mode="tf_idf")
    expected.adapt(WORDS)
    np.testing.assert_array_equal(y, expected(WORDS))
    np.testing.assert_array_equal(z, layers.IntegerLookup(vocabulary=[5, 7], num_oov_indices=2, oov_method="farmhash",
                                                          output_mode="count")(NUMBERS))


# kernels

TOKENS = ["a", "bb", "", "é", "a", "ccc" * 9, "bb", "q"]


@pytest.mark.parametrize("room", kernels.ROOMS)
def test_kernels_of_the_table(room):
    from nblayers.layers.preprocessing.tables import _slots, free_slots
    texts = text_buffer(as_strings(TOKENS, "test"), "test")
    hashes, = run_kernel(room, "text", "token_hashes", texts, [np.zeros(len(TOKENS), np.uint64)])
    expected = []
    for token in TOKENS:
        h = 14695981039346656037
        for b in token.encode():
            h = (h ^ b) * 1099511628211 % 2**64
        expected.append(h)
    assert hashes.tolist() == expected
    known = text_buffer(as_strings(["bb", "é", "a"], "test"), "test")
    of_known, = run_kernel("reference", "text", "token_hashes", known, [np.zeros(3, np.uint64)])
    ids, = run_kernel(room, "text", "look_up", [*texts, _slots(of_known), of_known, *known, np.array([7, 8, 9]), -1],
                      [np.full(len(TOKENS), 99)])
    assert ids.tolist() == [9, 7, -1, 8, 9, -1, 7, -1]
    _, groups = run_kernel(room, "text", "group_tokens", texts, [free_slots(len(TOKENS)), np.full(len(TOKENS), 99)])
    alike = [[a == b for b in TOKENS] for a in TOKENS]
    assert (groups[:, None] == groups).tolist() == alike and all(TOKENS[g] == TOKENS[t] for t, g in enumerate(groups))


@pytest.mark.parametrize("room", kernels.ROOMS)
def test_kernels_of_the_output(room):
    ids, offsets = np.array([2, 0, 2, -2, 1, 1]), np.array([0, 3, 3, 6])
    y, = run_kernel(room, "text", "pad_tokens", [ids, offsets], [np.full((3, 2), 99)])
    assert y.tolist() == [[2, 0], [0, 0], [-2, 1]]
    for count, expected in [(True, [[1, 0, 2], [0, 0, 0], [0, 2, 0]]), (False, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])]:
        y, = run_kernel(room, "text", "bag_tokens", [ids, offsets, count], [np.zeros((3, 3), "f")])
        assert y.tolist() == expected


def test_shared_work_gives_the_same():
    words = np.array([f"w{n % 5000}" for n in range(40_000)])
    layer = layers.StringLookup(vocabulary=[f"w{n}" for n in range(0, 5000, 2)])
    np.testing.assert_array_equal(layer(words), [n % 5000 // 2 + 1 if n % 2 == 0 else 0 for n in range(40_000)])
