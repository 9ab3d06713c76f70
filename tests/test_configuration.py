"""What is written down of models can be read back: sharing, classes and functions of one's own, copies, damaged texts."""
import copy
import json
import pickle
import random
import sys

import numpy as np
import pytest
from configurations import GENERATORS, of_generator
from helpers import assert_same

import nblayers
from nblayers import initializers, layers, losses, metrics, optimizers, saving, serialization, utils
from nblayers.layers import GRU, LSTM, RNN, Add, Bidirectional, Dense, Flatten, Input, Lambda, Layer, LSTMCell, TimeDistributed
from nblayers.models import Model, Sequential, clone_model, model_from_json
from nblayers.saving import custom_object_scope, deserialize_keras_object, get_custom_objects, serialize_keras_object

X = np.linspace(-1, 1, 12, dtype="f").reshape(2, 2, 3)


def in_two_models():
    shared = Dense(3, name="shared")
    one, other, x = Input((2, 3)), Input((2, 3)), Input((2, 3))
    inner = Model(one, shared(one), name="inner"), Model(other, shared(other), name="other")
    return Model(x, Add()([model(x) for model in inner]))


def in_two_stacks():
    shared = Dense(3)
    return Sequential([Input((2, 3)), Sequential([shared], name="a"), Sequential([shared], name="b")])


def twice_in_a_stack():
    shared = Dense(3)
    return Sequential([Input((2, 3)), shared, shared])


def one_cell_twice():
    cell = LSTMCell(3)
    return Sequential([Input((2, 3)), RNN([cell, cell])])


def wrapped_and_beside():
    shared, x = Dense(3), Input((2, 3))
    return Model(x, Add()([TimeDistributed(shared)(x), shared(x), TimeDistributed(shared)(x)]))


def beside_both_ways():
    shared, x = GRU(3, return_sequences=True), Input((2, 3))
    return Model(x, Add()([Bidirectional(shared, merge_mode="sum")(x), shared(x)]))


SHARING = [in_two_models, in_two_stacks, twice_in_a_stack, one_cell_twice, wrapped_and_beside, beside_both_ways]


def through_json(model, **options):
    return model_from_json(model.to_json(), **options)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("again", [through_json, clone_model, pickled, copy.deepcopy])
@pytest.mark.parametrize("make", SHARING)
def test_what_is_shared_stays_shared(make, again):
    model = make()
    new = again(model)
    assert [w.shape for w in new.weights] == [w.shape for w in model.weights]
    assert not {id(w) for w in new.weights} & {id(w) for w in model.weights}
    new.set_weights(model.get_weights())
    y = model(X)
    assert_same(new(X), y)
    model.zero_grad()
    assert_same(new.backward(np.ones_like(y)), model.backward(np.ones_like(y)))
    assert_same([w.grad for w in new.weights], [w.grad for w in model.weights])


def test_keras_shares_as_we_do():
    import keras
    model = one_cell_twice()
    described = serialize_keras_object(model)
    from keras.src.saving.serialization_lib import ObjectSharingScope
    with ObjectSharingScope():
        theirs = keras.saving.deserialize_keras_object(json.loads(json.dumps(described)))
        assert len(theirs.weights) == len(model.weights) == 3
        back = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    assert len(deserialize_keras_object(back).weights) == 3


def test_a_shared_object_is_what_its_class_says():
    described = json.loads(in_two_stacks().to_json())
    described["config"]["layers"][2]["config"]["layers"][-1]["class_name"] = "LSTM"
    with pytest.raises(ValueError, match=r"LSTM 'dense.*shared_object_id 0 is that of <Dense"):
        deserialize_keras_object(described)


def test_clones_with_functions():
    model = in_two_models()
    model.compile(optimizers.Adam(0.5), losses.MeanSquaredError("sum"), metrics=["mae"])

    def renamed(layer):
        return type(layer).from_config({**layer.get_config(), "name": f"new_{layer.name}"})
    by_layer = clone_model(model, clone_function=renamed, recursive=True)
    assert [layer.name for layer in by_layer.layers[1:]] == ["inner", "other", f"new_{model.layers[-1].name}"]
    assert by_layer.layers[1].layers[1] is by_layer.layers[2].layers[1]
    assert by_layer.layers[1].layers[1].name == "new_shared" and len(by_layer.weights) == 2
    assert by_layer.optimizer.get_config() == model.optimizer.get_config() and by_layer.optimizer is not model.optimizer
    same = clone_model(model, clone_function=lambda layer: layer)
    assert_same(same(X), model(X))
    x = Input((2, 3), name="mine")
    assert clone_model(model, input_tensors=x).input is x and len(clone_model(model, x).weights) == 2

    def doubled(layer, *args, **kwargs):
        y = layer(*args, **kwargs)
        return layers.Rescaling(2.0)(y) if isinstance(layer, Add) else y
    assert_same(clone_model(model, clone_function=lambda layer: layer, call_function=doubled)(X), 2 * model(X))

    def halved(layer, *args, **kwargs):
        y = layer(*args, **kwargs)
        return layers.Rescaling(0.5)(y) if isinstance(layer, Dense) else y
    deep = clone_model(model, call_function=halved, recursive=True)
    deep.set_weights(model.get_weights())
    assert_same(deep(X), model(X) / 2)
    stack = twice_in_a_stack()
    other = clone_model(stack, clone_function=lambda layer: layer, input_tensors=x)
    assert_same(other(X), stack(X))
    assert len(clone_model(Sequential([Dense(2)]), clone_function=renamed).layers) == 1


def test_what_cannot_be_cloned():
    with pytest.raises(ValueError, match=r"Sequential .*: clone_model takes a call_function for functional models only"):
        clone_model(twice_in_a_stack(), call_function=lambda layer, x: layer(x))
    with pytest.raises(ValueError, match=r"Classifier .*: clone_model takes input_tensors, clone_function and call_function"):
        clone_model(Classifier(3), clone_function=lambda layer: layer)
    with pytest.raises(ValueError, match="expected input_tensors made by Input"):
        clone_model(in_two_models(), input_tensors=3)
    with pytest.raises(ValueError, match="expected input_tensors in the structure of"):
        clone_model(in_two_models(), input_tensors=[Input((2, 3)), Input((2, 3))])


class Classifier(Model):
    """A model of one's own without `get_config`."""

    def __init__(self, units, activation="tanh", **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.flat, self.top = Dense(units, activation=activation), Flatten(), Dense(2)

    def forward(self, x, training=False):
        return self.top(self.flat(self.hidden(x)))

    def backward(self, dy):
        return self.hidden.backward(self.flat.backward(self.top.backward(dy)))


class Named(Layer):
    """A layer of one's own whose `__init__` takes no name."""

    def __init__(self, units, sizes=(1, 2)):
        super().__init__()
        self.units, self.sizes = units, sizes

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), name="w")

    def forward(self, x):
        self.cache = x
        return x @ self.w.value

    def backward(self, dy):
        self.w.grad += self.cache.reshape(-1, self.cache.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
        return dy @ self.w.value.T


class Wide(Dense):
    """A Dense of one's own with one argument more."""

    def __init__(self, units, factor=1.0, **kwargs):
        super().__init__(units, **kwargs)
        self.factor = factor


class Wired(Model):
    def __init__(self, units):
        x = Input((2, 3))
        super().__init__(x, Dense(units)(x))


class Stack(Sequential):
    def __init__(self, units):
        super().__init__([Dense(units), Flatten()])


class Pair(Layer):
    """Two inputs, an inner layer, no `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Dense(2)

    def forward(self, a, b):
        return self.inner(a) + b


OWN = {cls.__name__: cls for cls in (Classifier, Named, Wide, Wired, Stack, Pair)}


@pytest.mark.parametrize("make", [
    lambda: Classifier(4, name="c"), lambda: Named(4), lambda: Wide(4, factor=3.0), lambda: Wired(4), lambda: Stack(4),
    lambda: Sequential([Classifier(2), Named(3)])])
def test_classes_of_ones_own_come_back_built(make):
    model = make()
    if isinstance(model, Model):
        model.compile("adam", "mse")
    y = model(X)
    text = json.dumps(serialize_keras_object(model))
    new = deserialize_keras_object(json.loads(text), OWN)
    assert new.built and new.name == model.name and type(new) is type(model)
    assert [w.shape for w in new.weights] == [w.shape for w in model.weights]
    new.set_weights(model.get_weights())
    assert_same(new(X), y)
    assert getattr(new, "factor", 3.0) == 3.0
    if isinstance(model, Model):
        assert new.optimizer.get_config() == model.optimizer.get_config()
        assert new.train_on_batch(X, np.zeros_like(y)) == model.train_on_batch(X, np.zeros_like(y))
    with custom_object_scope(OWN):
        assert len(deserialize_keras_object(json.loads(text)).weights) == len(model.weights)
    with pytest.raises(ValueError, match=r"custom_objects=\{'\w+': \w+\}"):
        deserialize_keras_object(json.loads(text))


def test_several_inputs_without_a_build():
    layer = Pair()
    layer(X, X[..., :2])
    assert layer.get_build_config() == {"shapes_dict": {"a_shape": (2, 2, 3), "b_shape": (2, 2, 2)}}
    new = deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(layer))), OWN)
    assert [w.shape for w in new.weights] == [(3, 2), (2,)]
    assert Pair().get_build_config() is None
    built = Dense(2)
    built.build((None, 3))
    assert built.get_build_config() == {"input_shape": (None, 3)}
    for wrong in ({}, 3, {"input_shape": "x"}, {"shapes_dict": {"a_shape": [["x"]]}}):
        with pytest.raises(ValueError, match="Pair 'p': expected a build_config such as"):
            Pair(name="p").build_from_config(wrong)
    with pytest.raises(ValueError, match="Pair 'p': cannot be built by a forward on zeros of shape"):
        Pair(name="p").build_from_config({"input_shape": (None, 3)})


def test_arguments_as_keras_keeps_them():
    import keras

    class Theirs(keras.layers.Layer):
        def __init__(self, units, sizes=(1, 2), **kwargs):
            super().__init__(**kwargs)

    class Ours(Layer):
        def __init__(self, units, sizes=(1, 2), **kwargs):
            super().__init__(**kwargs)

    assert Ours(3, trainable=False, name="l").get_config() == Theirs(3, trainable=False, name="l").get_config()


class Forgetful(Dense):
    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)

    def get_config(self):
        return super().get_config()


class Holds(Layer):
    def __init__(self, table, *more, **kwargs):
        super().__init__(**kwargs)


@pytest.mark.parametrize("make, message", [
    (lambda: Forgetful(3, name="f"), r"Forgetful 'f' could not be read back: .*'width'.* Write a get_config\(\)"),
    (lambda: Holds(np.ones(3), name="h"), r"Holds 'h' could not be read back: write a get_config\(\) that adds table"),
    (lambda: Holds(1, 2, name="h"), r"Holds 'h' could not be read back: write a get_config\(\) that adds \*more")])
def test_what_cannot_be_read_back_is_not_written(make, message, tmp_path):
    layer = make()
    for write in (lambda: serialize_keras_object(layer), lambda: Sequential([layer]).to_json(),
                  lambda: Sequential([layer]).save(tmp_path / "m.keras")):
        with pytest.raises(TypeError, match=message):
            write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
@pytest.mark.parametrize("make", [
    lambda: Sequential([Input((2, 3)), LSTM(3), Dense(2)]), lambda: Classifier(3),
    lambda: Model(x := Input((2, 3)), Dense(2)(Sequential([LSTM(3, return_sequences=True), GRU(2)])(x))),
    lambda: Sequential([LSTM(3), Dense(2)])])
def test_a_copy_goes_on_training(make, again):
    model, y = make(), np.ones((2, 2), "f")
    model.compile(optimizers.Adam(Halving()), "mse", metrics=["mae"])
    assert not again(model).built or model.built
    model.fit(X, y, epochs=2, shuffle=False, verbose=0)
    new = again(model)
    history = [each.fit(X, y, epochs=2, shuffle=False, verbose=0).history for each in (model, new)]
    assert history[0] == history[1] and new.optimizer.iterations == model.optimizer.iterations
    assert_same(new.get_weights(), model.get_weights())
    assert new.get_config() == model.get_config()


def test_a_copy_that_begins_at_an_inner_tensor():
    x = Input((3,))
    hidden = Dense(4)(x)
    top = Model(hidden, Dense(2)(hidden))
    h = np.ones((1, 4), "f")
    for new in (pickled(top), copy.deepcopy(top)):
        assert_same(new(h), top(h))
        assert new.layers[0].output is new.input and new.input_shape == (None, 4)
    deep = Input((1,))
    y = deep
    for _ in range(1200):
        y = layers.Identity()(y)
    assert len(pickled(Model(deep, y)).layers) == 1201


NOT_KERAS = ("layers.Linear", "layers.CRF", "layers.Lambda")
BOTH = [name for name in GENERATORS if name.startswith("layers.") and name not in NOT_KERAS]


@pytest.mark.parametrize("name", BOTH)
def test_configurations_go_both_ways(name):
    """All options that the generators of right layers draw; Keras rounds numbers to float32, and forgets SimpleRNN's seed."""
    import keras
    for number in (1, 2, 3, 4):
        ours = of_generator(name, number).make()
        config = json.loads(json.dumps(ours.get_config()))
        theirs = getattr(keras.layers, type(ours).__name__).from_config(json.loads(json.dumps(config)))
        keras_config = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))["config"]
        assert config.keys() - {"seed"} <= keras_config.keys() <= config.keys()
        again = json.loads(json.dumps(type(ours).from_config({**config, **keras_config}).get_config()))
        assert rounded(again) == rounded(config)


def rounded(config):
    if isinstance(config, dict):
        return {key: rounded(value) for key, value in config.items()}
    if isinstance(config, list):
        return [rounded(value) for value in config]
    return float(f"{config:.6g}") if isinstance(config, float) else config


def bend(x):
    return np.tanh(x)


bend.gradient = lambda x, dy: dy * (1 - np.tanh(x) ** 2)


class Halving:
    """A schedule."""

    def __call__(self, step):
        return 0.5 / (1 + step)

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Clip:
    def __init__(self, limit=1.0):
        self.limit = limit

    def __call__(self, w):
        return np.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Soft(losses.Loss):
    def call(self, y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean(-1)

    def call_gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true) / y_pred.shape[-1]


class Own(initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return np.full(shape, 0.25, dtype)


class Counts(metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(np.abs(y_true - y_pred))


class Slow(optimizers.SGD):
    pass


def far(y_true, y_pred):
    return np.abs(y_true - y_pred).mean(-1)


EVERYWHERE = {own.__name__: own for own in (Halving, Clip, Soft, Own, Counts, Slow, bend, far)}


def with_everything():
    inner = Sequential([Bidirectional(LSTM(2, activation=bend, kernel_initializer=Own(), recurrent_constraint=Clip(0.5)))])
    model = Sequential([Input((2, 3)), inner, Dense(2, activation=bend, bias_initializer=Own(), kernel_constraint=Clip(0.5))])
    model.compile(Slow(Halving()), Soft(), metrics=[Counts(), far])
    return model


def check_everything(model):
    model.set_weights([np.full_like(w, 0.1) for w in model.get_weights()])
    assert type(model.optimizer) is Slow and type(model.optimizer._learning_rate) is Halving
    assert model.layers[0].layers[0].backward_layer.cell.recurrent_constraint.limit == 0.5
    assert model.layers[1].activation is bend
    return model.train_on_batch(X, np.ones((2, 2), "f"))


def test_custom_objects_are_found_everywhere(monkeypatch):
    text, expected = with_everything().to_json(), check_everything(with_everything())
    assert check_everything(model_from_json(text, EVERYWHERE)) == expected
    assert check_everything(clone_model(with_everything())) == expected
    others = {name: own for name, own in EVERYWHERE.items() if name != "Halving"}
    with custom_object_scope({"Halving": Halving}), utils.CustomObjectScope(others):
        assert check_everything(model_from_json(text)) == expected
    for name in EVERYWHERE:
        with pytest.raises(ValueError, match=name):
            model_from_json(text, {key: value for key, value in EVERYWHERE.items() if key != name})
    assert get_custom_objects() is saving.get_custom_objects() is utils.get_custom_objects()
    for name, own in EVERYWHERE.items():
        monkeypatch.setitem(get_custom_objects(), name, own)
    assert check_everything(model_from_json(text)) == expected
    with pytest.raises(TypeError, match="custom_objects: expected a dictionary"):
        model_from_json(text, 3)


def test_names_in_a_scope_are_found_by_name():
    with custom_object_scope({"bend": bend, "Own": Own}):
        assert Dense(2, activation="bend", kernel_initializer="Own").activation is bend
    with pytest.raises(ValueError, match="bend"):
        Dense(2, activation="bend")


def test_a_frozen_weight_changes_no_order():
    model = Sequential([Input((3,)), Dense(3), Dense(1)])
    model.layers[0].kernel.trainable = False
    new = through_json(model)
    assert [w.name for w in new.weights] == [w.name for w in model.weights] == ["kernel", "bias"] * 2
    assert new.layers[0].kernel.trainable           # as in Keras: its configuration has a flag for layers, not for weights
    assert not pickled(model).layers[0].kernel.trainable and not copy.deepcopy(model).layers[0].kernel.trainable


SCALE, TABLE = 2.0, np.ones(3)


def closing_over(value):
    return lambda x: x * value


LAMBDAS = {
    "plain": lambda x: x * 2, "numpy": lambda x: np.maximum(x, 0), "default": lambda x, axis=(1, 2): x.mean(axis),
    "keyword": lambda x, *, k=3: x * k, "inner": lambda x: np.stack([n * x for n in range(3)]).sum(0),
    "closure": closing_over(2.5)}


@pytest.mark.parametrize("name", LAMBDAS)
def test_lambdas_come_back(name):
    layer = Lambda(LAMBDAS[name], gradient=lambda x, dy: np.zeros_like(x), arguments={"k": 4} if name == "keyword" else None)
    config = json.loads(json.dumps(layer.get_config()))
    with pytest.raises(ValueError, match=r"Lambda 'lambda.*': function: .*safe_mode=False"):
        Lambda.from_config(config)
    again = Lambda.from_config(config, safe_mode=False)
    assert_same(again(X), layer(X))
    assert not again.backward(np.ones_like(again(X))).any()
    model = Sequential([Input((2, 3)), layer])
    again = deserialize_keras_object(json.loads(model.to_json()), safe_mode=False)
    assert_same(again(X), model(X))
    with pytest.raises(ValueError, match="safe_mode=False"):
        model_from_json(model.to_json())


@pytest.mark.parametrize("function, what", [
    (closing_over(TABLE), r"'value', an array of shape \(3,\)"), (closing_over(bend), "'value', a function"),
    (lambda x: x * SCALE, "the global name 'SCALE', a float"), (lambda x: [SCALE for _ in x], "the global name 'SCALE'"),
    (lambda x: bend(x), "the global name 'bend', a function"), (lambda x, table=TABLE: x * table, "a default, an array"),
    (lambda x: x * undefined, "the name 'undefined', which is not defined")])       # noqa: F821
@pytest.mark.parametrize("place", ["function", "gradient", "mask", "output_shape"])
def test_lambdas_that_cannot_be_written(function, what, place):
    layer = Lambda(**{"function": bend, "name": "l", place: function})
    with pytest.raises(TypeError, match=f"Lambda 'l': .*a lambda uses {what}"):
        layer.get_config()
    assert clone_model(Sequential([layer])).layers[0].get_weights() == []           # which writes nothing
    if place == "function":
        with pytest.raises(TypeError, match=f"Lambda 'l': .*a lambda uses {what}"):
            Sequential([layer]).to_json()


def test_bytecode_of_another_python():
    config = Lambda(lambda x: x, name="l").get_config()
    code = config["function"]["config"]
    assert code["python"] == ".".join(map(str, sys.version_info[:3]))
    code.update(magic="00000000", python="3.99.1")
    with pytest.raises(ValueError, match=r"Lambda 'l': function: .* written by Python 3\.99\.1 and cannot run in"):
        Lambda.from_config(config, safe_mode=False)
    del code["magic"]
    with pytest.raises(ValueError, match=r"does not tell the version .* custom_objects=\{'NAME OF THE LAYER': function\}"):
        Lambda.from_config(config, safe_mode=False)
    assert Lambda.from_config(config, {"l": bend}).function is bend


def test_functions_by_name():
    layer = Lambda(np.tanh, gradient=bend)
    config = json.loads(json.dumps(layer.get_config()))
    assert Lambda.from_config(config, {"bend": bend}).function is np.tanh
    config["function"]["config"] = "load"
    with pytest.raises(ValueError, match="found no function 'load'"):
        Lambda.from_config(config, {"bend": bend})
    assert Lambda.from_config(Lambda(nblayers.activations.relu).get_config()).function is nblayers.activations.relu


HOSTILE = [
    {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
    {"module": "builtins", "class_name": "function", "config": "eval"},
    {"module": "keras.activations", "class_name": "function", "config": "deserialize"},
    {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}, "registered_name": "Popen"},
    {"module": "nblayers.models.saving", "class_name": "function", "config": "load_model"},
    {"module": "keras.layers", "class_name": "__init__", "config": {}}, {"module": ["x"], "class_name": "Dense", "config": {}},
    {"class_name": ["Dense"], "config": {}}, {"class_name": {"a": 1}, "config": {}}, {"class_name": "Dense", "config": "units"},
    {"class_name": "Dense", "config": {"units": [3]}}, {"class_name": "Dense", "config": {"units": 2, "build": 1}},
    {"class_name": "Sequential", "config": {"build_input_shape": [None, 3], "layers": [
        {"class_name": "Dense", "config": {"units": 10**400}}]}},
    {"class_name": "__numpy__", "config": {"value": [[1], [2, 3]], "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
    {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
    {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "InputLayer", "config": {
        "batch_shape": [None, 2**40]}}, {"class_name": "Dense", "config": {"units": 2**40}}]}},
    {"class_name": "Dense", "config": {"units": 3}, "shared_object_id": [1]},
    {"class_name": "Sequential", "config": {"layers": [{"class_name": "Adam", "config": {}}]}}]


@pytest.mark.parametrize("config", HOSTILE)
def test_hostile_configurations(config, monkeypatch):
    before = set(sys.modules)
    with pytest.raises(ValueError):
        deserialize_keras_object(json.loads(json.dumps(config)))
    assert not {name.split(".")[0] for name in set(sys.modules) - before} - {"nblayers", "kernels"}


def test_deep_and_circular_configurations():
    with pytest.raises(ValueError, match="nested too deeply"):
        model_from_json('{"class_name":"Sequential","config":{"layers":[' * 10_000)
    deep = {"class_name": "Dense", "config": {"units": 3}}
    for _ in range(10_000):
        deep = {"class_name": "Sequential", "config": {"name": "s", "layers": [deep]}}
    with pytest.raises(ValueError, match="nested too deeply"):
        deserialize_keras_object(deep)
    deep["config"]["layers"] = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        deserialize_keras_object(deep)
    wired = json.loads(in_two_models().to_json())
    first, last = wired["config"]["layers"][1], wired["config"]["layers"][-1]
    first["inbound_nodes"], last["name"] = last["inbound_nodes"], last["name"]
    first["inbound_nodes"][0]["args"][0][0]["config"]["keras_history"][0] = last["name"]
    with pytest.raises(ValueError, match="need tensors that no other call gives"):
        deserialize_keras_object(wired)


def test_errors_name_the_layer_and_the_key():
    text = json.loads(Sequential([Input((3,)), Dense(2, name="d")]).to_json())
    config = text["config"]["layers"][1]["config"]
    for key, value in (("units", "x"), ("speed", 3), ("kernel_initializer", "warm"), ("use_bias", [1]), ("dtype", 3),
                       ("activation", {"class_name": "Zip", "config": {}}), ("kernel_regularizer", 7)):
        kept = config.pop(key, None)
        config[key] = value
        with pytest.raises(ValueError, match=f"Dense 'd'.*{'Zip' if key == 'activation' else key}"):
            deserialize_keras_object(text)
        config[key] = kept
        if kept is None:
            del config[key]


FUZZED = [in_two_models, twice_in_a_stack, one_cell_twice, wrapped_and_beside, beside_both_ways, with_everything,
          lambda: Sequential([Input((4, 4, 1)), layers.Conv2D(2, 3), layers.MaxPooling2D(2), Flatten(), Dense(2)]),
          lambda: Sequential([layers.Embedding(5, 2, mask_zero=True), GRU(2), layers.BatchNormalization()]),
          lambda: Model(x := Input((4, 3)), layers.MultiHeadAttention(2, 3)(x, x)),
          lambda: Sequential([Input((3,)), layers.LayerNormalization(), layers.Dropout(0.5), layers.PReLU()])]
VALUES = [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "x", [], [None], {}, {"class_name": "Dense", "config": {}},
          {"class_name": "function", "config": "relu"}, [[1, 2], [3]], ["shared", 10**9, -1], "relu", [2**62, 2**62]]


def places_in(value, found):
    """All containers in a configuration, each with its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        places_in(item, found)
    return found


def mutate(config, draw):
    places = places_in(config, [])
    container, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[draw.choice(["x", "name", "units", "shared_object_id", "build_config"])] = draw.choice(VALUES)
    elif kind == 2:
        other, place = draw.choice(places)
        container[key] = copy.deepcopy(other[place])
    else:
        container[key] = draw.choice(VALUES)


def test_a_thousand_damaged_configurations():
    """Each is read, or refused with a ValueError, and reading leaves no trace."""
    draw, refused = random.Random(3), 0
    texts = [make().to_json() for make in FUZZED]
    for number in range(1000):
        config = json.loads(texts[number % len(texts)])
        for _ in range(draw.choice([1, 1, 2, 5])):
            mutate(config, draw)
        try:
            model_from_json(json.dumps(config), EVERYWHERE)
        except ValueError as error:
            assert str(error)
            refused += 1
        assert serialization._thread.reading is None and not serialization._thread.custom_objects
    assert 400 < refused < 1000


def test_arrays_of_strings_come_back_and_objects_are_refused():
    words = np.array(["a", "bcd"])
    described = serialize_keras_object(words)
    assert described["config"]["dtype"] == "str"
    back = deserialize_keras_object(described)
    assert back.dtype == words.dtype and (back == words).all()
    with pytest.raises(TypeError, match="cannot serialize an array of dtype object"):
        serialize_keras_object(np.array([None, {}]))
