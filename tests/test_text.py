"""TextVectorization: values, configuration and vocabularies beside Keras', functions, errors, models."""
import io
import json
import threading

import numpy as np
import pandas as pd
import pytest
from helpers import run_kernel

import kernels
import nblayers
from nblayers import layers
from nblayers.arrays import as_strings
from nblayers.layers.preprocessing.strings import cut, text_buffer
from nblayers.layers.preprocessing.text import _byte_tables
from nblayers.models import Model, Sequential, clone_model, load_model, model_from_json
from nblayers.serialization import register_keras_serializable

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")      # in the simulator, which computes in Python
TEXTS = ["The cat, the DOG!", "", "cat\u00a0dog  cat's\t\n É é e\u0301 (x_y)", "שלום עולם... \x0bцАр\x1cb",
         "a-b c \U0001F600", " ?! "]
VOCABULARY = ["cat", "the", "cats", "dog", "É"]


@pytest.fixture(scope="module")
def keras_layers():
    import keras
    return keras.layers


OPTIONS = [
    dict(), dict(standardize=None), dict(standardize="lower"), dict(standardize="strip_punctuation"),
    dict(split="character"), dict(split=None), dict(split=None, standardize=None), dict(ngrams=2), dict(ngrams=(2,)),
    dict(ngrams=(3, 1)), dict(ngrams=3, split="character"), dict(output_sequence_length=3), dict(output_sequence_length=12),
    dict(output_mode="multi_hot"), dict(output_mode="count", max_tokens=20, pad_to_max_tokens=True),
    dict(output_mode="tf_idf"), dict(output_mode="count", ngrams=2), dict(max_tokens=7), dict(max_tokens=3),
    dict(output_mode="multi_hot", split=None),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)], ids=["batch", "column"])
def test_values_configuration_and_vocabulary_are_those_of_keras(options, shape, keras_layers):
    if shape == (-1,) and options.get("split", "") is None:
        pytest.skip("without a split one axis is one sample")
    ours, theirs = (module.TextVectorization(name="t", **options) for module in (layers, keras_layers))
    texts = np.array(TEXTS).reshape(shape)
    for layer in (ours, theirs):
        layer.adapt(texts)
    assert ours.get_vocabulary() == list(theirs.get_vocabulary())
    assert ours.vocabulary_size() == theirs.vocabulary_size()
    y, expected = ours(texts), np.asarray(theirs(texts))
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert y.dtype == ("int64" if ours.output_mode == "int" else "float32")
    assert ours.get_config() == theirs.get_config()
    again = layers.TextVectorization.from_config(json.loads(json.dumps(theirs.get_config())))
    again._lookup.assets = ours._lookup.assets
    np.testing.assert_array_equal(again(texts), y)
    declared = ours.compute_output_shape((None, *texts.shape[1:]))
    assert len(declared) == y.ndim and all(a in (None, b) for a, b in zip(declared, y.shape, strict=True))
    assert ours.backward(np.zeros(y.shape, "f")) is None


GIVEN = [dict(), dict(output_mode="tf_idf", idf_weights=[0.1, 0.2, 0.3, 0.4, 0.5]), dict(output_mode="count", max_tokens=9)]


@pytest.mark.parametrize("options", GIVEN, ids=str)
def test_a_given_vocabulary(options, keras_layers):
    ours, theirs = (module.TextVectorization(name="t", vocabulary=VOCABULARY, **options) for module in (layers, keras_layers))
    np.testing.assert_allclose(ours(TEXTS), np.asarray(theirs(np.array(TEXTS))), rtol=1e-6)
    assert ours.get_vocabulary() == list(theirs.get_vocabulary()) and ours.get_config() == theirs.get_config()
    again = layers.TextVectorization.from_config(json.loads(json.dumps(ours.get_config())))
    np.testing.assert_array_equal(again(TEXTS), ours(TEXTS))
    assert again.get_config() == ours.get_config()


def test_without_a_split_each_string_is_a_token(keras_layers):
    data = np.array([["Cat", "the", "x!"], ["dog", "", "cat"]])
    for options in (dict(), dict(ngrams=2), dict(output_sequence_length=2), dict(output_mode="count"),
                    dict(output_mode="tf_idf")):
        made = []
        for module in (layers, keras_layers):
            layer = module.TextVectorization(split=None, **options)
            layer.adapt(data)
            made.append((layer.get_vocabulary(), np.asarray(layer(data))))
        assert made[0][0] == list(made[1][0])
        np.testing.assert_allclose(made[0][1], made[1][1], rtol=1e-6)
    one_hot = layers.TextVectorization(split=None, output_mode="one_hot", vocabulary=["cat", "dog"])
    assert one_hot([["cat", "q"]]).tolist() == [[[0, 1, 0], [1, 0, 0]]]
    assert layers.TextVectorization(split=None, vocabulary=["cat"])("Cat").item() == 2


def test_lower_case_and_punctuation_are_asciis():
    layer = layers.TextVectorization(vocabulary=["É", "é", "don’t", "dont", "a\u00a0b"])
    assert layer(["É é don’t don't a\u00a0b A"]).tolist() == [[2, 3, 4, 5, 6, 1]]


@pytest.mark.parametrize("data", [TEXTS, np.array(TEXTS), np.array(TEXTS, object), [text.encode() for text in TEXTS],
                                  pd.Series(TEXTS), np.array(TEXTS)[:, None], [[text] for text in TEXTS],
                                  np.array([text.encode() for text in TEXTS])], ids=lambda data: type(data).__name__)
def test_texts_come_in_all_forms(data):
    layer = layers.TextVectorization()
    layer.adapt(data)
    np.testing.assert_array_equal(layer(data), layer(TEXTS))
    assert layer("the cat").tolist() == layer(["the cat"])[0].tolist() == layer([["the cat"]])[0].tolist()
    assert layer([""]).shape == (1, 0)


def test_adapt_takes_batches_and_disks(tmp_path):
    expected = layers.TextVectorization(output_mode="tf_idf")
    expected.adapt(TEXTS)
    on_disk = np.lib.format.open_memmap(tmp_path / "texts.npy", "w+", np.array(TEXTS).dtype, (len(TEXTS),))
    on_disk[:] = TEXTS
    for source, options in [(on_disk, dict(batch_size=2)), ((TEXTS[at:at + 2] for at in (0, 2, 4)), {}), (iter(TEXTS), {}),
                            (iter([TEXTS, ["not", "seen"]]), dict(steps=1))]:
        layer = layers.TextVectorization(output_mode="tf_idf")
        layer.adapt(source, **options)
        assert layer.get_vocabulary() == expected.get_vocabulary()
        np.testing.assert_array_equal(layer(TEXTS), expected(TEXTS))


@register_keras_serializable("tests")
def without_digits(texts):
    assert isinstance(texts, np.ndarray) and texts.dtype.kind == "U"
    return np.char.translate(np.char.lower(texts), str.maketrans("", "", "0123456789"))


@register_keras_serializable("tests")
def at_commas(texts):
    return [text.split(",") for text in texts]


def test_functions_of_ones_own(tmp_path, keras_layers):
    layer = layers.TextVectorization(standardize=without_digits, split=at_commas, ngrams=2)
    layer.adapt(["Ä1,b", "b,c2,Ä"])
    assert layer.get_vocabulary() == ["", "[UNK]", "ä", "b", "ä b", "c ä", "c", "b c"]
    expected = [[2, 3, 4], [1, 0, 0]]
    assert layer(["Ä,b", "x9"]).tolist() == expected
    assert layer([["Ä,b"], ["x9"]]).tolist() == expected
    again = layers.TextVectorization.from_config(layer.get_config() | {"name": "u"})
    assert again.standardize is without_digits
    model = Sequential([layer])
    assert model.predict(["Ä,b", "x9"], verbose=0).tolist() == expected
    model.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras")
    assert loaded(["Ä,b", "x9"]).tolist() == expected and loaded.layers[0].split is at_commas
    theirs = keras_layers.TextVectorization(standardize=without_digits, split=None, vocabulary=["ä"])
    ours = layers.TextVectorization(standardize=without_digits, split=None, vocabulary=["ä"])
    np.testing.assert_array_equal(ours([["Ä1", "b"]]), np.asarray(theirs(np.array([["Ä1", "b"]]))))
    arrays = layers.TextVectorization(split=lambda texts: np.array([text.split() for text in texts]), vocabulary=["a"])
    assert arrays(["a b", "c a"]).tolist() == [[2, 1], [1, 2]]
    none = layers.TextVectorization(split=lambda texts: [[] for _ in texts], vocabulary=["a"])
    assert none(["a b", "c a"]).shape == (2, 0)


@pytest.mark.parametrize(("options", "message"), [
    (dict(standardize="upper"), "standardize"), (dict(split="lines"), "split"), (dict(ngrams=0), "ngrams"),
    (dict(ngrams=()), "ngrams"), (dict(ngrams=(1, 0)), "ngrams"), (dict(ngrams="2"), "ngrams"),
    (dict(output_mode="words"), "output_mode"), (dict(output_mode="one_hot"), "ragged"), (dict(ragged=True), "ragged=True"),
    (dict(sparse=True, output_mode="count"), "sparse=True"), (dict(max_tokens=1), "max_tokens"),
    (dict(output_mode="count", output_sequence_length=3), "output_sequence_length is for output_mode 'int'"),
    (dict(output_sequence_length=0), "output_sequence_length"), (dict(encoding="klingon"), "encoding"),
    (dict(vocabulary=["a", "a"]), "'a' more than once"), (dict(vocabulary=["a", ""]), "mask_token ''"),
    (dict(vocabulary=["a"], output_mode="tf_idf"), "expected idf_weights"), (dict(pad_to_max_tokens=True), "max_tokens"),
    (dict(vocabulary="no/such/file"), "vocabulary file at"), (dict(units=3), "unknown argument 'units'"),
])
def test_arguments_that_make_no_sense_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=rf"TextVectorization 't': .*{message}"):
        layers.TextVectorization(name="t", **options)


def test_calls_that_make_no_sense_are_refused():
    with pytest.raises(RuntimeError, match="TextVectorization 't': has no vocabulary yet"):
        layers.TextVectorization(name="t")(["a"])
    layer = layers.TextVectorization(vocabulary=["a"], name="t")
    with pytest.raises(ValueError, match="'t': was made with a vocabulary"):
        layer.adapt(["a"])
    with pytest.raises(ValueError, match=r"expected one text for each sample.*got shape \(1, 2\)"):
        layer([["a", "b"]])
    with pytest.raises(ValueError, match=r"TextVectorization 't': expected bytes in utf-8, got b'\\xc3' as element \[1, 0\]"):
        layer([[b"ok"], [b"\xc3"]])
    with pytest.raises(TypeError, match=r"'t': expected strings, got nan"):
        layer(pd.Series(["a", np.nan], dtype=object))
    with pytest.raises(ValueError, match="adapt expected at least one token"):
        layers.TextVectorization().adapt(["", "?!"])
    with pytest.raises(ValueError, match=r"standardize to return an array of shape \(2,\), as it was given, got \(1,\)"):
        layers.TextVectorization(standardize=lambda texts: texts[:1], vocabulary=["a"])(["a", "b"])
    with pytest.raises(ValueError, match="a list of tokens for each of 2 texts, got 1"):
        layers.TextVectorization(split=lambda texts: [["a"]], vocabulary=["a"])(["a", "b"])
    with pytest.raises(ValueError, match="a list of tokens for each text, got 'a'"):
        layers.TextVectorization(split=lambda texts: texts.tolist(), vocabulary=["a"])(["a", "b"])
    for split in (lambda texts: 5, lambda texts: [5]):
        with pytest.raises(ValueError, match="'t': expected split to return a list of tokens for each text, got 5"):
            layers.TextVectorization(split=split, vocabulary=["a"], name="t")(["a"])
    with pytest.raises(TypeError, match="expected strings, got 3"):
        layers.TextVectorization(split=lambda texts: [[3] for _ in texts], vocabulary=["a"])(["a", "b"])


LABELLED = ["good film", "bad film", "good!", "BAD...", "so good", "so bad"] * 6


def sentiment(name):
    text = layers.TextVectorization(max_tokens=20, output_sequence_length=3)
    text.adapt(LABELLED)
    if name == "sequential":
        model = Sequential([text, layers.Embedding(20, 4, mask_zero=True), layers.LSTM(4),
                            layers.Dense(1, activation="sigmoid")])
    elif name == "with input":
        model = Sequential([layers.Input((1,), dtype="string"), text, layers.Embedding(20, 4), layers.Flatten(),
                            layers.Dense(1, activation="sigmoid")])
    else:
        x = layers.Input(shape=(1,), dtype="string")
        model = Model(x, layers.Dense(1, activation="sigmoid")(layers.GRU(4)(layers.Embedding(20, 4)(text(x)))))
    model.compile(nblayers.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("name", ["sequential", "with input", "functional"])
def test_models_learn_from_raw_text(name, tmp_path):
    model, y = sentiment(name), np.array([1, 0] * 18, "f")
    history = model.fit(LABELLED, y, epochs=15, verbose=0, validation_split=0.1)
    assert history.history["loss"][-1] < 0.3
    assert model.evaluate(np.array(LABELLED)[:, None], y, verbose=0, return_dict=True)["accuracy"] == 1.0
    expected = model.predict(LABELLED[:4], verbose=0)
    np.testing.assert_array_equal(model(np.array(LABELLED[:4])), expected)
    np.testing.assert_allclose(model.predict(pd.Series(LABELLED[:4]), verbose=0, batch_size=2), expected, rtol=1e-5)
    model.fit(((LABELLED[at:at + 4], y[at:at + 4]) for at in range(0, 8, 4)), verbose=0)
    expected = model.predict(LABELLED[:4], verbose=0)
    assert model.train_on_batch(LABELLED[:4], y[:4]) is not None
    lines = io.StringIO()
    model.summary(print_fn=lines.write)
    assert "TextVectorization" in lines.getvalue() and "(None, 3)" in lines.getvalue()
    expected = model.predict(LABELLED[:4], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(LABELLED[:4], verbose=0), expected)
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(LABELLED[:4], verbose=0), expected)
    assert model_from_json(model.to_json()).count_params() == model.count_params()


def test_a_model_for_counts_comes_back_with_its_vocabulary(tmp_path):
    text = layers.TextVectorization(output_mode="tf_idf")
    text.adapt(TEXTS)
    model = Sequential([text, layers.Dense(2)])
    expected = model.predict(TEXTS, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict(TEXTS, verbose=0), expected)


def test_batches_of_several_lengths():
    texts, y = ["a", "b a", "a b c", "c"], np.array([0.0, 1, 1, 0])
    text = layers.TextVectorization(vocabulary=["a", "b"], name="t")
    with pytest.raises(ValueError, match=r"'m': predict expected .* samples of one shape, got \(2,\) and \(3,\): make"):
        Sequential([text], name="m").predict(texts, batch_size=2, verbose=0)
    model = Sequential([text, layers.Embedding(4, 2), layers.GlobalMaxPooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    expected = model.predict(texts, batch_size=2, verbose=0)
    for kind in (list, tuple, np.array):                    # a generator's batches of two texts are not (x, y)
        given = (kind(texts[i:i + 2]) for i in (0, 2))
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
    model.fit(((texts[i:i + 2], y[i:i + 2]) for i in (0, 2)), verbose=0)


def test_two_threads_call_one_layer():
    texts = [f"W{n} w{n + 1}, x" for n in range(500)]
    layer = layers.TextVectorization()
    layer.adapt(texts)
    expected, results = layer(texts), []

    def call(order):
        for _ in range(20):
            results.append(np.array_equal(layer(texts[::order]), expected[::order]))
    threads = [threading.Thread(target=call, args=(order,)) for order in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40


@pytest.mark.parametrize("options", [dict(ngrams=2), dict(output_mode="count", split="character")], ids=str)
def test_other_devices_give_the_same(device, options):
    with nblayers.device(device):
        layer = layers.TextVectorization(**options)
        layer.adapt(TEXTS)
        y = layer(TEXTS)
    expected = layers.TextVectorization(**options)
    expected.adapt(TEXTS)
    assert layer.get_vocabulary() == expected.get_vocabulary()
    np.testing.assert_array_equal(y, expected(TEXTS))


# kernels

CASES = [("lower_and_strip_punctuation", "whitespace", [["it's", "A", "tést"], [], ["x"], []]), (None, None, None),
         ("lower", "character", None), ("strip_punctuation", "whitespace", None), ("strip_punctuation", "character", None)]


@pytest.mark.parametrize("room", kernels.ROOMS)
@pytest.mark.parametrize(("standardize", "split"), [(standardize, split) for standardize, split, _ in CASES])
def test_kernels_find_the_tokens(room, standardize, split):
    given = ["It's A\ttést", "", " x ", "?! !", "\n", "a,b c"]
    texts = text_buffer(as_strings(given, "test"), "test")
    letters, kinds = _byte_tables(standardize, split)
    number = {None: 0, "whitespace": 1, "character": 2}[split]
    counts, = run_kernel(room, "text", "count_tokens", [*texts, kinds, number], [np.full(6, 99)])
    expected = []
    for text in given:
        text = "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text) if "lower" in str(standardize) else text
        text = "".join(c for c in text if c not in "'?!,") if "strip" in str(standardize) else text
        expected.append([text] if split is None else text.split() if split == "whitespace" else list(text))
    assert counts.tolist() == list(map(len, expected))
    firsts, total = np.cumsum(counts) - counts, counts.sum()
    clean, starts, ends = run_kernel(room, "text", "find_tokens", [*texts, letters, kinds, number, firsts],
                                     [np.zeros_like(texts.text), np.full(total, 99), np.full(total, 99)])
    assert cut(clean, starts, ends) == [token for row in expected for token in row]


@pytest.mark.parametrize("room", kernels.ROOMS)
def test_kernels_join_tokens(room):
    texts = text_buffer(as_strings(["a", "bb", "", "é"], "test"), "test")
    joined, = run_kernel(room, "text", "join_tokens", [*texts, np.array([0, 2, 1]), 2, np.array([0, 4, 7, 10])],
                         [np.zeros(10, np.uint8)])
    assert joined.tobytes().decode() == "a bb ébb "


def test_shared_work_gives_the_same():
    texts = [f"Word{n % 50}, and more!  " * 3 for n in range(6000)]
    layer = layers.TextVectorization(ngrams=2)
    layer.adapt(texts[:100])
    y = layer(texts)
    np.testing.assert_array_equal(y[:100], layer(texts[:100]))
    np.testing.assert_array_equal(y[5950:], y[:50])
