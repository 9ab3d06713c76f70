"""Models and weights in files."""
import json
import sys
import zipfile

import numpy as np
import pytest
from helpers import assert_same

import nblayers
from nblayers import losses, metrics, optimizers
from nblayers.layers import LSTM, Dense, Dropout, Embedding, Flatten, Input, Lambda, Layer
from nblayers.models import Model, Sequential, clone_model, load_model, model_from_json, save_model
from nblayers.serialization import register_keras_serializable


class Scale(Layer):
    """A layer of one's own, with an argument and a weight."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def forward(self, x):
        self.cache = x
        return x * self.scale.value * x.dtype.type(self.factor)

    def backward(self, dy):
        return dy * self.scale.value * dy.dtype.type(self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def sequential():
    model = Sequential([Embedding(6, 4, mask_zero=True), LSTM(5), Dropout(0.5), Dense(2, activation="softmax", name="top")])
    model.compile(optimizers.Adam(0.01, clipnorm=1.0), losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy", metrics.SparseCategoricalCrossentropy(name="ce")])
    return model, np.array([[1, 2, 3], [4, 0, 0]]), np.array([0, 1])


def functional():
    x, z = Input((3,), name="x"), Input((4, 3), name="z")
    shared = Dense(2, name="shared")
    inner = Sequential([Flatten(), Dense(3)], name="inner")
    model = Model([x, z], [shared(x), shared(inner(z))])
    model.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.5], metrics=[["mae"], None])
    rng = np.random.default_rng(0)
    return model, [rng.normal(size=(2, 3)).astype("f"), rng.normal(size=(2, 4, 3)).astype("f")], [np.ones((2, 2), "f")] * 2


@pytest.mark.parametrize("make", [sequential, functional])
def test_a_model_comes_back_whole(make, tmp_path):
    model, x, y = make()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert type(again) is type(model) and again.name == model.name
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert_same(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(x, y, verbose=0, return_dict=True)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    again.fit(x, y, verbose=0)
    assert not load_model(tmp_path / "model.keras", compile=False).compiled


def test_what_lies_in_the_file(tmp_path):
    model, _, _ = sequential()
    model.build((None, 3))
    save_model(model, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.npz"]
        assert json.loads(archive.read("metadata.json"))["nblayers_version"] == nblayers.__version__
        config = json.loads(archive.read("config.json"))
        with archive.open("model.weights.npz") as file, np.load(file) as weights:
            assert weights.files[0] == "embedding/embeddings" and weights.files[-2:] == ["top/kernel", "top/bias"]
    assert config["class_name"] == "Sequential" and config["module"] == "keras"
    assert [(layer["module"], layer["class_name"]) for layer in config["config"]["layers"]] == [
        ("keras.layers", name) for name in ("InputLayer", "Embedding", "LSTM", "Dropout", "Dense")]
    assert config["compile_config"]["optimizer"]["config"]["clipnorm"] == 1.0


@pytest.mark.parametrize("make", [sequential, functional])
def test_the_configuration_is_keras(make, tmp_path):
    import keras
    model, x, _ = make()
    model.build((None, 3)) if isinstance(model, Sequential) else None
    theirs = keras.models.model_from_json(model.to_json())
    theirs.set_weights(model.get_weights())
    assert_same(model.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-6)
    ours = model_from_json(theirs.to_json())
    ours.set_weights(theirs.get_weights())
    assert_same(ours.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5)


def test_layers_of_ones_own(tmp_path):
    model = Sequential([Input((3,)), Sequential([Scale(3.0), Scale(0.5)], name="inner"), Dense(2)])
    model.layers[0].layers[0].scale.value = [1, 2, 3]
    model.save(tmp_path / "own.keras")
    again = load_model(tmp_path / "own.keras", custom_objects={"Scale": Scale})
    x = np.ones((2, 3), "f")
    assert_same(again(x), model(x))
    with pytest.raises(ValueError, match=r"a layer 'Scale'.*custom_objects=\{'Scale': Scale\}"):
        load_model(tmp_path / "own.keras")
    copy = clone_model(model)
    assert not np.array_equal(copy.get_weights()[-2], model.get_weights()[-2]) and copy.name == model.name


def test_registered_layers(tmp_path):
    @register_keras_serializable("tests")
    class Twice(Scale):
        pass

    Sequential([Input((3,)), Twice()]).save(tmp_path / "own.keras")
    assert isinstance(load_model(tmp_path / "own.keras").layers[0], Twice)


def test_lambdas_need_trust(tmp_path):
    model = Sequential([Input((3,)), Lambda(lambda x: x ** 2)])
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match="safe_mode=False"):
        load_model(tmp_path / "lambda.keras")
    assert load_model(tmp_path / "lambda.keras", safe_mode=False)(np.full((1, 3), 3, "f")).tolist() == [[9, 9, 9]]


def test_a_model_that_is_not_built(tmp_path):
    Sequential([Dense(3)]).save(tmp_path / "m.keras")
    model = load_model(tmp_path / "m.keras")
    assert not model.built and model(np.ones((1, 2))).shape == (1, 3)


def test_trainable_flags_come_back(tmp_path):
    model = Sequential([Input((2,)), Dense(3), Dense(1)])
    model.layers[0].trainable = False
    model.save(tmp_path / "m.keras")
    assert [layer.trainable for layer in load_model(tmp_path / "m.keras").layers] == [False, True]
    model.trainable = False
    model.save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").trainable_weights == []


@pytest.mark.parametrize("name", ["w.npz", "w.weights.npz", "w.h5", "w.weights.h5"])
def test_weights_come_back(name, tmp_path):
    if name.endswith("h5"):
        pytest.importorskip("h5py")
    model, _, _ = sequential()
    model.build((None, 3))
    model.save_weights(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    other, _, _ = sequential()                              # its layers have other names
    other.build((None, 3))
    other.load_weights(str(tmp_path / name))
    assert_same(other.get_weights(), model.get_weights())


def test_weights_of_one_name(tmp_path):
    model = Sequential([Sequential([Dense(2, name="d")]), Sequential([Dense(3, name="d")])])
    model.build((None, 2))
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert file.files == ["d/kernel", "d/bias", "d/kernel_1", "d/bias_1"]
    expected = model.get_weights()
    model.set_weights([0 * w for w in expected])
    model.load_weights(tmp_path / "w.npz")
    assert_same(model.get_weights(), expected)


def test_h5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    model = Sequential([Input((2,)), Dense(1)])
    for method in (model.save_weights, model.load_weights):
        with pytest.raises(ImportError, match="pip install h5py"):
            method(tmp_path / "w.weights.h5")
    assert list(tmp_path.iterdir()) == []


def test_file_errors(tmp_path):
    model = Sequential([Input((2,)), Dense(1)], name="m")
    with pytest.raises(ValueError, match=r"ends in \.keras, got 'm.h5'"):
        model.save("m.h5")
    with pytest.raises(ValueError, match=r"ends in \.npz or \.h5, got 'w.txt'"):
        model.save_weights("w.txt")
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)
    model.save_weights(tmp_path / "w.npz")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save_weights(tmp_path / "w.npz", overwrite=False)
    with pytest.raises(ValueError, match=r"Sequential 'other'.*expected weight 'dense_1/kernel' of shape"):
        Sequential([Input((3,)), Dense(1)], name="other").load_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="expected 4 weight arrays, got 2"):
        Sequential([Input((2,)), Dense(1), Dense(1)]).load_weights(tmp_path / "w.npz")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="which does not exist"):
        load_model(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ValueError, match="expected a file written by model"):
        load_model(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "theirs.keras", "w") as archive:
        archive.writestr("model.weights.h5", "")
    with pytest.raises(ValueError, match="a file of Keras itself"):
        load_model(tmp_path / "theirs.keras")


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    model = Sequential([Input((2,)), Dense(1)])
    path = tmp_path / "w.npz"
    model.save_weights(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        model.save_weights(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["w.npz"]
