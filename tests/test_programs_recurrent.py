"""The programs of documents 003 and 004, and the five architectures of 004 as small models that learn.

What a test changes in a program (fewer epochs, a bug of the document) is listed where it is run. The same text with Keras in
place of nblayers says what shapes to expect.
"""
import importlib.util
import random
import types
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, run_program as run
from programs_recurrent import (
    ATTENTION,
    BIDIRECTIONAL,
    CLASSIFICATION,
    CLIPPING,
    COMPILE_AND_FIT,
    DOCUMENT_003,
    DROPOUT,
    ENCODER_DECODER,
    FORECASTING,
    MASKING,
    REGULARIZATION,
    SHAPES_003,
    TEXT_GENERATION,
    TYPES,
)

import nblayers
from nblayers import Model, Sequential, layers, models
from nblayers.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Input,
    Lambda,
    Masking,
    SimpleRNN,
    TimeDistributed,
)
from nblayers.optimizers import Adam

ROOT = Path(__file__).resolve().parents[1]


def shown(model):
    """Name of the class, output shape and parameters of every layer, as `summary` shows them."""
    shape, rows = model.input_shape, []
    for layer in model.layers:
        shape = layer.compute_output_shape(shape)
        rows.append((type(layer).__name__, tuple(shape), layer.count_params()))
    return rows


def binary_sequences(features=1, samples=100):
    return np.random.random((samples, 10, features)), np.random.randint(2, size=(samples, 1))


MODELS = {**TYPES, "masking": MASKING, "bidirectional in detail": BIDIRECTIONAL, "dropout": DROPOUT,
          "regularization": REGULARIZATION}


@pytest.mark.parametrize("name", DOCUMENT_003)
def test_programs_of_document_003(name, capsys):
    """Shapes and counts as printed there (a GRU has 3360 parameters, as in Keras, and not the 3264 of its formula)."""
    program, expected, total = DOCUMENT_003[name]
    variables = run(program + COMPILE_AND_FIT, [("epochs=10", "epochs=2")], np=np, layers=layers, models=models)
    model, predictions = variables["model"], variables["predictions"]
    assert shown(model) == expected and model.count_params() == total
    assert predictions.shape == (100, 1) and ((predictions >= 0) & (predictions <= 1)).all()
    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed and f"{total:,}" in printed
    for _, shape, parameters in expected:
        assert str(shape) in printed and f"{parameters:,}" in printed


@pytest.mark.parametrize("layer_class, states", [(layers.SimpleRNN, 1), (layers.LSTM, 2), (layers.GRU, 1)])
def test_the_four_output_shapes_of_document_003(layer_class, states):
    x, last, every = np.random.random((100, 10, 1)), (100, 32), (100, 10, 32)
    assert layer_class(32, activation='tanh')(x).shape == last
    assert layer_class(32, activation='tanh', return_sequences=True)(x).shape == every
    output, *found = layer_class(32, activation='tanh', return_state=True)(x)
    assert output.shape == last and [s.shape for s in found] == [last] * states
    np.testing.assert_array_equal(output, found[0])                         # output = h
    output, *found = layer_class(32, activation='tanh', return_sequences=True, return_state=True)(x)
    assert output.shape == every and [s.shape for s in found] == [last] * states
    np.testing.assert_array_equal(output[:, -1], found[0])                  # h corresponds to the last element of output


@pytest.mark.parametrize("program, shape, printed", list(zip(
    SHAPES_003, [(100, 32), (100, 10, 32)] * 2, (False, False, True, True), strict=True)))
def test_the_shapes_printed_in_document_003(program, shape, printed, capsys):
    variables = run(program, np=np, layers=layers)
    assert variables["output"].shape == shape
    expected = f"Output: {shape}\nHidden State: (100, 32)\nCell State: (100, 32)\n"
    assert capsys.readouterr().out == (expected if printed else "")


def test_the_parameter_formulas_of_document_003():
    x, h = 8, 32
    counts = {layers.SimpleRNN: (x + h) * h + h, layers.LSTM: 4 * ((x + h) * h + h), layers.GRU: 3 * ((x + h) * h + 2 * h)}
    for layer_class, count in counts.items():
        layer = layer_class(h)
        layer.build((None, 10, x))
        assert layer.count_params() == count
    layer = layers.GRU(h, reset_after=False)
    layer.build((None, 10, x))
    assert layer.count_params() == 3 * ((x + h) * h + h)                    # the document's formula


@pytest.mark.parametrize("name", MODELS)
def test_models_of_document_004(name, monkeypatch):
    """Shapes and counts are Keras'; they learn."""
    for initializer in (keras.initializers.Orthogonal, keras.initializers.GlorotUniform):       # whose values nobody needs
        monkeypatch.setattr(initializer, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype))
    given = dict(sequence_length=12, features=4, max_length=12)
    given["sequences"] = [list(range(1, n)) for n in (3, 120, 20)]

    def made(library):
        names = dict(Sequential=library.Sequential, Input=library.Input, Model=library.Model)
        names.update({n: getattr(library.layers, n) for n in ("Dense", "Dropout", "LSTM", "Masking")})
        text = MODELS[name].replace("nblayers", library.__name__)
        if library is keras:                            # which has the old place only in TensorFlow's clothes
            text = text.replace("from keras.preprocessing.sequence", "from keras.utils")
        return run(text.replace("max_length = 100", "max_length = 12"), **names, **given)

    ours = made(nblayers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # input_shape
        theirs = made(keras)
    assert shown(ours["model"]) == shown(theirs["model"])
    if name == "masking":
        np.testing.assert_array_equal(ours["padded_sequences"], theirs["padded_sequences"])
        assert ours["padded_sequences"].shape == (3, 12)
    model = ours["model"]
    classes = model.output_shape[-1]
    x = np.random.default_rng(0).normal(size=(32, 12, 4))
    y = np.random.default_rng(1).integers(0, max(classes, 2), 32)
    loss = "binary_crossentropy" if classes == 1 else "sparse_categorical_crossentropy"
    model.compile(optimizer=Adam(0.01), loss=loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict(x, verbose=0).shape == (32, classes)


def test_classification(capsys):
    """004.Program.Classification, with its figure."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 12, 3))
    y = (X[:, :, 0].mean(axis=1) > 0).astype(int)
    variables = run(CLASSIFICATION, [("epochs=100", "epochs=3")], X=X, y=y)
    assert shown(variables["model"]) == [
        ("LSTM", (None, 12, 128), 67_584), ("Dropout", (None, 12, 128), 0), ("LSTM", (None, 64), 49_408),
        ("Dropout", (None, 64), 0), ("Dense", (None, 1), 65)]
    history = variables["history"].history
    assert list(history) == ["accuracy", "loss", "val_accuracy", "val_loss"] and len(history["loss"]) == 3
    assert variables["y_pred"].shape == (20, 1) and 0 <= variables["test_acc"] <= 1
    assert "Test accuracy: " in capsys.readouterr().out

    create = variables["create_lstm_model"]
    many = create((12, 3), 4, "softmax")
    assert many.output_shape == (None, 4)
    classes = X.sum(axis=(1, 2)).astype(int) % 4
    assert set(many.fit(X, classes, verbose=0).history) == {"loss", "accuracy"}
    regression = create((12, 3), 2, "linear")
    assert set(regression.fit(X, X[:, -1, :2], verbose=0).history) == {"loss", "mae"}


def test_forecasting(tmp_path, monkeypatch, capsys):
    """004.Program.Forecast without pandas; its last slice is made as long as the predictions that go into it (ERRATA)."""
    series = np.sin(np.arange(700) / 15) * 20 + 100
    (tmp_path / "time_series_data.csv").write_text("value\n" + "\n".join(map(str, series)))
    monkeypatch.chdir(tmp_path)
    variables = run(FORECASTING, [("epochs=100", "epochs=4"), ("import pandas as pd\n", ""),
                                  ("[len(train_predictions)+lookback:len", "[len(train_predictions)+2*lookback:len")],
                    pd=types.SimpleNamespace(read_csv=Table))
    assert shown(variables["model"]) == [
        ("LSTM", (None, 60, 50), 10_400), ("Dropout", (None, 60, 50), 0), ("LSTM", (None, 50), 20_200),
        ("Dropout", (None, 50), 0), ("Dense", (None, 1), 51)]
    losses = variables["history"].history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert variables["X_train"].shape == (500, 60, 1) and variables["test_predictions"].shape == (80, 1)
    assert variables["train_rmse"] < series.std() and "Test RMSE: " in capsys.readouterr().out


class Table(dict):
    """As much of a pandas table as the program needs: columns, and their values."""

    def __init__(self, path):
        table = np.genfromtxt(path, delimiter=",", names=True)
        super().__init__({name: types.SimpleNamespace(values=table[name]) for name in table.dtype.names})


def test_text_generation(tmp_path, monkeypatch, capsys):
    """004.Program.Text; 10 characters of each generated text instead of 400."""
    (tmp_path / "text_data.txt").write_text("The quick brown fox jumps over the lazy dog. " * 9, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    random.seed(0)
    variables = run(TEXT_GENERATION, [("epochs=60", "epochs=2"), ("range(400)", "range(10)")])
    model, characters = variables["model"], len(variables["chars"])
    assert shown(model)[0] == ("LSTM", (None, 40, 128), 4 * ((characters + 128) * 128 + 128))
    assert model.output_shape == (None, characters)
    printed = capsys.readouterr().out
    assert printed.count("----- Generating text after Epoch") == 1         # every tenth epoch
    assert [f"Diversity: {d}" in printed for d in (0.2, 0.5, 1.0, 1.2)] == [True] * 4
    losses = model.history.history["loss"]
    assert len(losses) == 2 and np.isfinite(losses).all()


def test_encoder_decoder(capsys):
    """004.Program.Seq2Seq, with the names that it takes for granted; vocabularies of 60 instead of 10000."""
    words = ["EOS", "BOS", *(chr(ord("a") + i % 26) for i in range(58))]
    variables = run(ENCODER_DECODER, [("vocab_size = 10000", "vocab_size = 60"), ("_dim = 256", "_dim = 32"),
                                      ("hidden_units = 256", "hidden_units = 32")],
                    np=np, BOS_token=1, idx_to_char=dict(enumerate(words)), max_decoder_seq_length=6)
    model, rng = variables["model"], np.random.default_rng(0)
    encoder_tokens, decoder_tokens = rng.integers(2, 60, (2, 24, 20))
    targets = np.eye(60)[np.roll(decoder_tokens, -1, axis=1)]
    history = model.fit([encoder_tokens, decoder_tokens], targets, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict([encoder_tokens, decoder_tokens], verbose=0).shape == (24, 20, 60)
    sentence = variables["decode_sequence"](encoder_tokens[:1])
    assert isinstance(sentence, str) and sentence


def test_encoder_decoder_as_large_as_the_document_s():
    variables = run(ENCODER_DECODER)
    assert variables["model"].count_params() == 2 * 10_000 * 256 + 2 * 525_312 + 256 * 10_000 + 10_000
    assert variables["model"].output_shape == (None, 20, 10_000)
    decoder = variables["decoder_model"]
    tokens, h, c = decoder.predict([np.zeros((1, 1)), np.zeros((1, 256)), np.zeros((1, 256))], verbose=0)
    assert tokens.shape == (1, 1, 10_000) and h.shape == c.shape == (1, 256)


@pytest.mark.parametrize("merge_mode, size", [("concat", 128), ("sum", 64), ("ave", 64), ("mul", 64)])
def test_merge_modes(merge_mode, size):
    layer = run(BIDIRECTIONAL, [("merge_mode='concat'", f"merge_mode='{merge_mode}'")], max_length=12, features=4,
                Sequential=Sequential, LSTM=LSTM, Dense=Dense)["bidirectional_layer"]
    assert layer(np.ones((2, 12, 4))).shape == (2, 12, size)
    assert layer.backward(np.ones((2, 12, size))).shape == (2, 12, 4)


@pytest.mark.parametrize("which", ["clipnorm", "clipvalue"])
def test_clipping(which):
    """The Keras half; the other one is `nblayers.nn.utils`."""
    lines = CLIPPING.replace("torch.nn", "nblayers.nn").replace("model.parameters()", "model.trainable_weights")
    if which == "clipnorm":
        lines = lines.replace("optimizer = Adam(learning_rate=0.001, clipvalue=0.5)", "pass")
    model = Sequential([LSTM(4, input_shape=(5, 2)), Dense(1, activation="sigmoid")])
    for parameter in model.trainable_weights:
        parameter.grad = 10 * np.ones(parameter.shape)
    optimizer = run(lines, model=model, nblayers=nblayers)["optimizer"]
    assert (optimizer.clipnorm, optimizer.clipvalue) == ((1.0, None) if which == "clipnorm" else (None, 0.5))
    norm = np.sqrt(sum((p.grad ** 2).sum() for p in model.trainable_weights))
    assert norm == pytest.approx(1, rel=1e-4)
    x, y = np.random.random((20, 5, 2)), np.random.randint(2, size=20)
    assert set(model.fit(x, y, verbose=0).history) == {"loss", "accuracy"}


def test_dropout_acts_in_training_alone():
    model = run(DROPOUT, Sequential=Sequential, LSTM=LSTM, Dense=Dense, Dropout=Dropout, max_length=12,
                features=4)["model"]
    x = np.random.default_rng(0).normal(size=(3, 12, 4))
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.allclose(model(x, training=True), model(x))


def test_regularizers_add_to_the_loss():
    model = run(REGULARIZATION, Sequential=Sequential, LSTM=LSTM, Dense=Dense, max_length=12, features=4)["model"]
    lstm = model.layers[0]
    assert sum(model.losses) == pytest.approx(0.01 * sum((w ** 2).sum() for w in lstm.get_weights()), rel=1e-5)


# document 004's attention layer

def example():
    spec = importlib.util.spec_from_file_location("attention_layer", ROOT / "examples" / "attention_layer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def attention_of_keras():
    """The document's class on Keras' own arithmetic."""
    text = ATTENTION[:ATTENTION.index("# Usage in model")].replace("nblayers.backend", "keras.ops").replace("nblayers", "keras")
    return run(text, keras=keras)["AttentionLayer"]


def test_the_attention_layer_of_the_document_runs_forward():
    """Its `call` as it stands; a derivative must be written for training."""
    rng = np.random.default_rng(0)
    variables = run(ATTENTION, nblayers=nblayers, max_length=6, features=3, Input=Input, LSTM=LSTM, Dense=Dense, Model=Model)
    model, x = variables["model"], rng.normal(size=(4, 6, 3))
    layer = model.layers[2]
    assert type(layer).__name__ == "AttentionLayer" and layer.count_params() == 64 + 6
    sequence = rng.normal(size=(4, 6, 64)).astype("float32")
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    theirs = attention_of_keras()()
    theirs(sequence)
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(sequence), theirs(sequence), rtol=1e-5, atol=1e-6)
    model.compile("adam", "mse")
    assert model.predict(x, verbose=0).shape == (4, 1)
    with pytest.raises(NotImplementedError, match="backward is not written"):
        model.fit(x, np.zeros(4), verbose=0)


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 2, 1)], ids=str)
def test_the_attention_layer_with_its_backward(shape):
    layer = example().AttentionLayer()
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    assert nblayers.gradcheck(layer, x)
    layer.set_weights([np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(layer.weights)])
    agrees_with_keras(layer, attention_of_keras()(), x)
    np.testing.assert_allclose(layer.cache.a.sum(axis=1), 1, rtol=1e-6)


def test_the_attention_example(capsys):
    """It finds the marked step."""
    module = example()
    module.main()
    printed = capsys.readouterr().out
    assert "passed" in printed
    first, last = (float(word) for word in printed.split("loss ")[1].split("\n")[0].split(" -> "))
    assert last < 0.1 * first
    rows = [line.split("  target")[0].split() for line in printed.splitlines() if "target" in line]
    assert len(rows) == 3
    for row in rows:
        assert max(row, key=lambda weight: float(weight.rstrip("*"))).endswith("*")


# the five architectures of document 004

def test_one_to_one():
    """A number to a number: no recurrence."""
    x = np.random.default_rng(0).uniform(-2, 2, (256, 1))
    model = Sequential([Input((1,)), Dense(16, activation="tanh"), Dense(1)])
    model.compile(Adam(0.02), "mse")
    assert model.fit(x, np.sin(2 * x), epochs=60, verbose=0).history["loss"][-1] < 0.02


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM, GRU])
def test_one_to_many(layer_class):
    """A frequency to the wave of that frequency: the number is shown at every step, the state says where in the wave it is."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0.2, 0.6, (256, 1))
    waves = np.sin(frequency * np.arange(1, 13))[..., None]
    repeat = Lambda(lambda x: np.repeat(x[:, None], 12, axis=1), gradient=lambda x, dy: dy.sum(axis=1))
    model = Sequential([Input((1,)), repeat, layer_class(24, return_sequences=True), Dense(1)])
    assert model.output_shape == (None, 12, 1)
    model.compile(Adam(0.02), "mse")
    assert model.fit(frequency, waves, epochs=30, verbose=0).history["loss"][-1] < 0.02 < waves.var()


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM, GRU])
def test_many_to_one(layer_class):
    """Words to a verdict: does the sentence say more good words than bad ones? Padding is masked."""
    rng = np.random.default_rng(0)
    sentences = [rng.integers(1, 10, rng.integers(1, 9)) for _ in range(400)]
    verdict = np.array([(s < 4).sum() > (s > 6).sum() for s in sentences])
    x = nblayers.utils.pad_sequences(sentences, padding="post")
    model = Sequential([Embedding(10, 8, mask_zero=True), layer_class(16), Dense(1, activation="sigmoid")])
    model.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x[:320], verdict[:320], epochs=25, verbose=0)
    assert history.history["accuracy"][-1] > 0.95
    assert model.evaluate(x[320:], verdict[320:], verbose=0)[1] > 0.88


@pytest.mark.parametrize("recurrent", [SimpleRNN(12, return_sequences=True), Bidirectional(GRU(8, return_sequences=True))],
                         ids=lambda layer: type(layer).__name__)
def test_many_to_many_in_step(recurrent):
    """A tag for every step: has the bit changed?"""
    bits = np.random.default_rng(0).integers(0, 2, (200, 11, 1))
    model = Sequential([Input((None, 1)), recurrent, TimeDistributed(Dense(1, activation="sigmoid"))])
    model.compile(Adam(0.03), "binary_crossentropy", metrics=["accuracy"])
    changed = bits ^ np.concatenate([np.zeros_like(bits[:, :1]), bits[:, :-1]], axis=1)
    assert model.fit(bits, changed, epochs=30, verbose=0).history["accuracy"][-1] > 0.97
    assert model.predict(bits[:3, :5], verbose=0).shape == (3, 5, 1)        # any length


def test_many_to_many_encoder_decoder():
    """A sequence to its reverse, of another length: a last token says that it ends. Decoded one token at a time."""
    rng = np.random.default_rng(0)
    symbols, length, start, end = 4, 4, 4, 5
    words = rng.integers(0, symbols, (512, length))
    edge = np.ones((512, 1), int)
    said = np.concatenate([words[:, ::-1], end * edge], axis=1)
    heard = np.concatenate([start * edge, words[:, ::-1]], axis=1)          # teacher forcing

    encoder_inputs, decoder_inputs = Input((None,)), Input((None,))
    states = GRU(48, return_state=True)(Embedding(6, 12)(encoder_inputs))[1:]
    embedding, head = Embedding(6, 12), Dense(6, activation="softmax")
    decoder = GRU(48, return_sequences=True, return_state=True)
    model = Model([encoder_inputs, decoder_inputs], head(decoder(embedding(decoder_inputs), initial_state=states)[0]))
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.fit([words, heard], said, epochs=40, verbose=0).history["accuracy"][-1] > 0.97

    encoder_model, state = Model(encoder_inputs, states), Input((48,))
    outputs, new_state = decoder(embedding(decoder_inputs), initial_state=[state])
    decoder_model = Model([decoder_inputs, state], [head(outputs), new_state])
    h = encoder_model.predict_on_batch(words[:64])
    token, decoded = start * np.ones((64, 1)), []
    for _ in range(length + 1):
        probabilities, h = decoder_model.predict_on_batch([token, h])
        token = probabilities[:, -1:].argmax(axis=-1)
        decoded.append(token)
    assert (np.concatenate(decoded, axis=1) == said[:64]).mean() > 0.95


def test_masking_skips_what_is_padded():
    """004.Masking: what stands in masked steps changes nothing."""
    model = Sequential([Masking(mask_value=0.), LSTM(8, return_sequences=True), LSTM(4), Dense(1)])
    x = np.random.default_rng(0).normal(size=(3, 7, 2))
    whole = model(x[:, :4])
    x[:, 4:] = 0
    assert_same(model(x), whole, rtol=1e-5, atol=1e-6)
