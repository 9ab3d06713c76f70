"""Models and weights in files."""
import io
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import assert_same

import nblayers
from nblayers import losses, metrics, optimizers
from nblayers.layers import LSTM, Dense, Dropout, Embedding, Flatten, Input, Lambda, Layer, StringLookup
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
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert json.loads(archive.read("metadata.json"))["nblayers_version"] == nblayers.__version__
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            assert weights["layers/lstm/cell/vars"].attrs["name"] == "lstm_cell"
            assert weights["layers/dense/vars/0"].shape == (5, 2) and weights["layers/dense/vars"].attrs["name"] == "top"
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


@pytest.mark.parametrize("name", ["w.npz", "w.weights.npz", "w.h5", "w.weights.h5", "w.safetensors"])
def test_weights_come_back(name, tmp_path):
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
        assert file.files == [f"layers/sequential{n}/layers/dense/vars/{i}" for n in ("", "_1") for i in (0, 1)]
    expected = model.get_weights()
    model.set_weights([0 * w for w in expected])
    model.load_weights(tmp_path / "w.npz")
    assert_same(model.get_weights(), expected)


@pytest.mark.parametrize(("package", "name"), [("h5py", "w.h5"), ("safetensors", "w.safetensors")])
def test_a_missing_package_is_named_with_the_extra_to_install(package, name, tmp_path, monkeypatch):
    model = Sequential([Input((2,)), Dense(1)])
    model.save_weights(tmp_path / name)
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    for method in (model.save_weights, model.load_weights):
        with pytest.raises(ImportError, match=rf"{package}: pip install 'nblayers\[files\]'"):
            method(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_importing_the_library_imports_no_package_for_files():
    program = "import sys, nblayers.models, nblayers.callbacks; print([m for m in ('h5py', 'safetensors') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_file_errors(tmp_path):
    model = Sequential([Input((2,)), Dense(1)], name="m")
    with pytest.raises(ValueError, match=r"ends in \.keras, got 'm.h5'"):
        model.save("m.h5")
    with pytest.raises(ValueError, match=r"ends in \.h5 or \.npz or \.safetensors, got 'w.txt'"):
        model.save_weights("w.txt")
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)
    model.save_weights(tmp_path / "w.npz")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save_weights(tmp_path / "w.npz", overwrite=False)
    with pytest.raises(ValueError, match=r"w\.npz.*Sequential 'other': expected 'dense_1/kernel' .* of shape \(3, 1\)"):
        Sequential([Input((3,)), Dense(1)], name="other").load_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"'dense_3/kernel' \(layers/dense_1/vars/0\) is missing; 'dense_3/bias'"):
        Sequential([Input((2,)), Dense(1), Dense(1)]).load_weights(tmp_path / "w.npz")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="which does not exist"):
        load_model(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ValueError, match="expected a file written by model"):
        load_model(tmp_path / "text.keras")


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    model = Sequential([Input((2,)), Dense(1)])
    path = tmp_path / "w.npz"
    model.save_weights(path)
    before = path.read_bytes()

    def fail(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        model.save_weights(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["w.npz"]


def test_links_and_modes_stay(tmp_path):
    model, link, target = Sequential([Input((2,)), Dense(1)]), tmp_path / "link.npz", tmp_path / "there" / "target.npz"
    target.parent.mkdir()
    link.symlink_to(target)
    model.save_weights(link)                            # to nothing yet
    target.chmod(0o640)
    model.save_weights(link)
    assert link.is_symlink() and stat.S_IMODE(target.stat().st_mode) == 0o640
    model.load_weights(target)
    (tmp_path / "directory.npz").mkdir()
    with pytest.raises(ValueError, match="expected the path of a file"):
        model.save_weights(tmp_path / "directory.npz")


def test_threads_that_save_to_one_path(tmp_path):
    models = [Sequential([Input((2,)), Dense(n + 1)]) for n in range(4)]
    threads = [threading.Thread(target=lambda m=m: [m.save_weights(tmp_path / "w.npz") for _ in range(10)]) for m in models]
    [thread.start() for thread in threads]
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "w.npz").exists():
            with np.load(tmp_path / "w.npz") as file:
                assert len(file.files) == 2 and file[file.files[0]].shape[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


@pytest.mark.parametrize("ending", ["h5", "npz", "safetensors"])
def test_awkward_names_and_many_weights(ending, tmp_path):
    model = Sequential([Input((2,)), Dense(2, name="a"), Dense(2, name="a/kernel"), *(Dense(1) for _ in range(60))])
    model.save_weights(tmp_path / f"w.{ending}")
    expected = model.get_weights()
    model.set_weights([0 * w for w in expected])
    model.load_weights(tmp_path / f"w.{ending}")
    assert_same(model.get_weights(), expected)


def test_more_weights_than_an_attribute_holds(tmp_path):
    class Many(Layer):
        def build(self, shape):
            self.all = [self.add_weight((), "ones", name="a_rather_long_name") for _ in range(4200)]

        def forward(self, x):
            return x

    model = Sequential([Input((2,)), Many()])
    model.save_weights(tmp_path / "w.h5")
    model.load_weights(tmp_path / "w.h5")


def test_mismatches_can_be_left_out(tmp_path):
    model, other = (Sequential([Input((2,)), Dense(3), Dense(n)]) for n in (1, 2))
    model.save_weights(tmp_path / "w.npz")
    kept = other.get_weights()[2:]
    with pytest.warns(UserWarning, match=r"expected 'dense_3/kernel' .* of shape \(3, 2\), got \(3, 1\)"):
        other.load_weights(tmp_path / "w.npz", skip_mismatch=True)
    assert_same(other.get_weights(), [*model.get_weights()[:2], *kept])


def test_weights_of_a_whole_model(tmp_path):
    model, other = (Sequential([Input((2,)), Dense(3)]) for _ in range(2))
    model.save(tmp_path / "m.keras")
    other.load_weights(tmp_path / "m.keras")
    assert_same(other.get_weights(), model.get_weights())


def test_frozen_weights_keep_their_places(tmp_path):
    model = Sequential([Input((2,)), Dense(2)])
    model.layers[0].kernel.trainable = False
    model.save(tmp_path / "m.keras")
    assert_same(load_model(tmp_path / "m.keras").get_weights(), model.get_weights())


@pytest.mark.parametrize("compiled", [True, False])
def test_training_goes_on_from_a_file(compiled, tmp_path):
    model, x, y = sequential()
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras", compile=compiled)
    if not compiled:
        assert again.optimizer is None
        return
    assert again.optimizer.learning_rate == model.optimizer.learning_rate == 0.01       # and not its float32
    for each in (model, again):                         # dropout goes on in its stream of random numbers
        each.fit(x, y, epochs=3, verbose=0, shuffle=False)
    assert_same(again.get_weights(), model.get_weights(), rtol=0)
    assert_same(again.optimizer.variables, model.optimizer.variables, rtol=0)


def test_words_that_are_no_lines(tmp_path):
    words = np.array([["a\nb"], [" "], ["a\nb"], ["c\u2028"]])
    lookup = StringLookup()
    lookup.adapt(words)
    model = Sequential([Input((1,), dtype="string"), lookup])
    model.save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").layers[0].get_vocabulary() == lookup.get_vocabulary()


OLD = Path(__file__).parent / "files"
PREDICTED = np.array([[0.009810530580580235], [0.00959795992821455]])


@pytest.mark.parametrize("ending", ["keras", "npz", "h5"])
def test_files_of_nblayers_0_1_0(ending):
    model = load_model(OLD / "0.1.0.keras")
    if ending != "keras":
        model.set_weights([0 * w for w in model.get_weights()])
        model.load_weights(OLD / f"0.1.0.{ending}")
    assert_same(model.predict(np.array([["red", "blue", "green"], ["blue", "red", "red"]]), verbose=0), PREDICTED, rtol=1e-5)
    assert model.optimizer.iterations == 0 and model.metrics_names
