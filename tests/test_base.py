"""The base of every layer: document 001, section 1, `InputSpec` and `Parameter`."""
import importlib.metadata
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas
import pytest
import torch
from helpers import numeric_gradient

import nblayers
from nblayers import config, regularizers
from nblayers.devices import to_numpy
from nblayers.layers import LSTM, Conv2D, Dense, InputSpec, Layer
from nblayers.layers.base import Record, auto_name
from nblayers.parameter import Parameter


class Scale(Layer):
    """A layer as a user writes one: y = x s + stat."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", regularizer="l2", name="scale")
        self.stat = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="stat")

    def forward(self, x):
        self.cache = x
        return x * self.scale.value + self.stat.value

    def backward(self, dy):
        self.scale.grad += (dy * self.cache).reshape(-1, dy.shape[-1]).sum(axis=0)
        return dy * self.scale.value


class Stack(Layer):
    """Sublayers in an attribute, a list and a dictionary, and weights of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stat = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="stat")
        self.inner = Scale()
        self.many = [Scale(), Scale()]
        self.named = {"a": Scale()}

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(1,), initializer="ones", name="factor")

    @property
    def chain(self):
        return [self.inner, *self.many, self.named["a"]]

    def forward(self, x):
        for layer in self.chain:
            x = layer(x)
        self.cache = x
        return x * self.factor.value

    def backward(self, dy):
        self.factor.grad += (dy * self.cache).sum()
        dx = dy * self.factor.value
        for layer in reversed(self.chain):
            dx = layer.backward(dx)
        return dx


class KerasScale(keras.layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", regularizer="l2", name="scale")
        self.stat = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="stat")

    def call(self, x):
        return x * self.scale + self.stat


class KerasStack(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stat = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="stat")
        self.inner = KerasScale()
        self.many = [KerasScale(), KerasScale()]
        self.named = {"a": KerasScale()}

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(1,), initializer="ones", name="factor")

    def call(self, x):
        for layer in [self.inner, *self.many, self.named["a"]]:
            x = layer(x)
        return x * self.factor


class Double(Layer):
    """No weights, no cache."""

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


class TwoOutputs(Layer):
    class Cache(Record):
        x: np.ndarray

    def forward(self, x):
        self.cache = self.Cache(x)
        return [2 * x, x[:, 0]]

    def backward(self, dy):
        d_first, d_second = dy
        dx = 2 * d_first
        dx[:, 0] += d_second
        return dx


@pytest.fixture
def stacks(rng):
    """Ours and Keras', built, with the same random weights."""
    x = rng.normal(size=(3, 4)).astype("float32")
    ours, theirs = Stack(), KerasStack()
    ours(x), theirs(x)
    ours.set_weights([rng.normal(size=w.shape).astype("float32") for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    return ours, theirs, x


def last_names(weights):
    return [weight.path.rsplit("/", 1)[-1] for weight in weights]


def lists_of(layer):
    return [last_names(weights) for weights in (layer.weights, layer.trainable_weights, layer.non_trainable_weights)]


def test_weights_come_in_the_order_of_keras(stacks):
    ours, theirs, x = stacks
    assert lists_of(ours) == lists_of(theirs)
    assert ours.variables == ours.weights and ours.trainable_variables == ours.trainable_weights
    assert ours.non_trainable_variables == ours.non_trainable_weights
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)       # the order of values too


@pytest.mark.parametrize("part", ["inner", "whole"])
def test_trainable_moves_weights_as_in_keras(stacks, part):
    ours, theirs, _ = stacks
    for layer in (ours, theirs):
        (layer.inner if part == "inner" else layer).trainable = False
    assert lists_of(ours) == lists_of(theirs)
    assert len(ours.losses) == len(theirs.losses)                   # frozen weights are not penalised
    ours.trainable = True
    assert ours.inner.trainable and ours.many[0].trainable and ours.named["a"].trainable
    assert last_names(ours.trainable_weights) == ["factor", "scale", "scale", "scale", "scale"]


def test_a_shared_sublayer_counts_once(rng):
    stack = Stack()
    stack.many[1] = stack.inner
    stack(rng.normal(size=(2, 3)))
    assert len(stack.weights) == 2 + 2 * 3
    assert stack.count_params() == sum(weight.value.size for weight in stack.weights)


def test_trainable_as_an_argument():
    layer = Scale(trainable=False)
    layer.build((None, 3))
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 2


def test_add_weight_options():
    layer = Layer(name="own")
    weight = layer.add_weight((2, 3), "ones", regularizer=regularizers.L1(0.5), constraint="non_neg", name="w")
    assert weight.path == "own/w" and weight.shape == (2, 3) and weight.dtype == "float32" and weight.trainable
    assert layer.losses == [pytest.approx(3.0)]
    np.testing.assert_array_equal(weight.constraint(np.array([-1.0, 2.0])), [0, 2])
    np.testing.assert_array_equal(weight.grad, np.zeros((2, 3)))


def test_add_weight_shapes_and_defaults():
    layer = Layer()
    assert layer.add_weight().shape == () and layer.add_weight(5).shape == (5,) and layer.add_weight([2, 1]).shape == (2, 1)
    kernel = layer.add_weight((50, 50)).value
    assert 0.9 * np.sqrt(6 / 100) < np.abs(kernel).max() <= np.sqrt(6 / 100)       # glorot_uniform
    counter = layer.add_weight((2,), dtype="int32")
    np.testing.assert_array_equal(counter.value, [0, 0])
    layer.astype("float64")
    assert counter.dtype == "int32" and layer.weights[0].dtype == "float64"


def test_add_weight_takes_a_function_and_checks_its_shape():
    layer = Layer(name="own")
    weight = layer.add_weight((2,), lambda shape, dtype: np.full(shape, 7, dtype))
    np.testing.assert_array_equal(weight.value, [7, 7])
    with pytest.raises(ValueError, match=r"Layer 'own': expected the initializer to give shape \(2,\), got \(3,\)"):
        layer.add_weight((2,), lambda shape, dtype: np.zeros(3))
    with pytest.raises(ValueError, match="unknown initializer 'nonsense'"):
        layer.add_weight((2,), "nonsense")


def test_get_weights_are_copies_and_set_weights_copies_in(stacks):
    ours, _, _ = stacks
    values = ours.get_weights()
    values[0][...] = 99
    assert ours.factor.value[0] != 99
    live = ours.factor.value
    ours.set_weights([np.zeros_like(value) for value in values])
    assert live is ours.factor.value and live[0] == 0


def test_set_weights_errors(stacks):
    ours, _, _ = stacks
    before, values = ours.get_weights(), [value + 1 for value in ours.get_weights()]
    with pytest.raises(ValueError, match="Stack 'stack': expected 10 weight arrays, got 1"):
        ours.set_weights(values[:1])
    with pytest.raises(ValueError, match=r"expected weight 'scale/scale' of shape \(4,\), got \(5,\)"):
        ours.set_weights([*values[:2], np.zeros(5), *values[3:]])
    for value, kept in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)                  # nothing was set in part
    with pytest.raises(ValueError, match="not built yet"):
        Scale().set_weights([np.zeros(2)])


def test_count_params_needs_a_built_layer(stacks):
    ours, theirs, _ = stacks
    assert ours.count_params() == theirs.count_params()
    with pytest.raises(ValueError, match="Scale 's': count_params needs a built layer"):
        Scale(name="s").count_params()


def test_build_makes_weights_once():
    class Child(Scale):
        def build(self, input_shape):
            super().build(input_shape)
            self.shift = self.add_weight((1,), "zeros", name="shift")

    layer = Child(name="c")
    layer.build((None, 3))
    assert layer.built and last_names(layer.weights) == ["scale", "shift", "stat"]
    with pytest.raises(ValueError, match="Child 'c': is built already"):
        layer.build((None, 3))
    assert len(layer.weights) == 3


def test_losses_come_in_the_order_of_keras_and_start_afresh_at_each_call():
    class KerasInner(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(2,), initializer="ones", regularizer=keras.regularizers.L1(1.0))

        def call(self, x):
            self.add_loss(keras.ops.convert_to_tensor(3.0))
            return x * self.w

    class KerasOuter(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = [KerasInner(activity_regularizer=keras.regularizers.L1(10.0)), KerasInner()]

        def build(self, input_shape):
            self.s = self.add_weight(shape=(1,), initializer="ones", regularizer=keras.regularizers.L1(5.0))

        def call(self, x):
            self.add_loss([keras.ops.convert_to_tensor(7.0), keras.ops.convert_to_tensor(8.0)])
            return self.parts[1](self.parts[0](x)) * self.s

    class Inner(Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(2,), initializer="ones", regularizer=regularizers.L1(1.0))

        def forward(self, x):
            self.add_loss(3.0)
            return x * self.w.value

    class Outer(Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = [Inner(activity_regularizer=regularizers.L1(10.0)), Inner()]

        def build(self, input_shape):
            self.s = self.add_weight(shape=(1,), initializer="ones", regularizer=regularizers.L1(5.0))

        def forward(self, x):
            self.add_loss([7.0, 8.0])
            return self.parts[1](self.parts[0](x)) * self.s.value

    theirs = KerasOuter(activity_regularizer=keras.regularizers.L1(100.0))
    ours = Outer(activity_regularizer=regularizers.L1(100.0))
    for _ in range(2):
        x = np.ones((2, 2), "float32")
        ours(x), theirs(x)
        assert ours.losses == pytest.approx([float(loss) for loss in theirs.losses])


@pytest.mark.parametrize("penalty", ["l1", "l2", regularizers.L1L2(0.1, 0.3)])
def test_activity_regularizer_value_and_gradient(penalty, rng):
    x, dy = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    layer = Scale(activity_regularizer=penalty, dtype="float64")
    layer.build((None, 3))
    layer.scale.assign(rng.normal(size=3))

    def loss():
        y = layer.forward(x)
        return (y * dy).sum() + layer.losses[0]

    loss()
    assert layer.losses[0] == pytest.approx(regularizers.get(penalty)(layer.forward(x)) / 4)
    dx = layer.backward(dy)
    np.testing.assert_allclose(dx, numeric_gradient(loss, x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(layer.scale.grad, numeric_gradient(loss, layer.scale.value), rtol=1e-6, atol=1e-9)


def test_activity_regularizer_agrees_with_keras(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    ours, theirs = Scale(activity_regularizer="l2"), KerasScale(activity_regularizer="l2")
    ours(x), theirs(x)
    assert ours.losses == pytest.approx([float(loss) for loss in theirs.losses], rel=1e-6)


def test_activity_regularizer_of_several_outputs(rng):
    x = rng.normal(size=(4, 3))
    layer = TwoOutputs(activity_regularizer="l2", dtype="float64")

    def loss():
        layer.forward(x)
        return sum(layer.losses)

    loss()
    dx = layer.backward([None, None])
    np.testing.assert_allclose(dx, numeric_gradient(loss, x), rtol=1e-6, atol=1e-9)


def test_backward_before_forward():
    layer = Scale(name="s")
    layer.build((None, 3))
    with pytest.raises(RuntimeError, match="Scale 's': backward needs a forward first"):
        layer.backward(np.zeros((2, 3)))


def test_backward_checks_dy():
    layer = Scale(name="s")
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Scale 's': backward expected dy of shape \(2, 3\), .* got \(2, 4\)"):
        layer.backward(np.ones((2, 4)))
    two = TwoOutputs(name="two")
    two(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"backward expected a list of 2 gradients, .* got one array"):
        two.backward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"got 1$"):
        two.backward([np.ones((2, 3))])


def test_none_in_dy_stands_for_zeros(rng):
    layer = TwoOutputs(dtype="float64")
    layer(rng.normal(size=(2, 3)))
    d = rng.normal(size=(2, 3))
    np.testing.assert_array_equal(layer.backward([d, None]), layer.backward([d, np.zeros(2)]))


@pytest.mark.parametrize("x, error, message", [
    (np.zeros((0, 3)), ValueError, r"expected at least one sample on axis 0, got an input of shape \(0, 3\)"),
    (np.float32(3), ValueError, r"expected at least one sample on axis 0, got an input of shape \(\)"),
    (np.array([["a", "b"]]), TypeError, "expected an array of numbers, got dtype <U1"),
    (np.ones((1, 2), complex), TypeError, "expected an array of numbers, got dtype complex128"),
    ([[1, 2], [3]], ValueError, "expected an input as one array, got a list that makes none"),
    (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), ValueError, "expected an input without masked elements"),
    (pandas.DataFrame({"a": [1.0], "b": ["x"]}), TypeError, "expected an input to hold numbers in all columns, got 'b'"),
])
def test_bad_inputs(x, error, message):
    with pytest.raises(error, match=f"Scale 's': {message}"):
        Scale(name="s").forward(x)


@pytest.mark.parametrize("given", [
    torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, dtype=torch.bfloat16), [[1, 1, 1], [1, 1, 1]],
    pandas.DataFrame({"a": [1.0, 1.0], "b": [True, True], "c": [1, 1]})], ids=["graph", "bfloat16", "lists", "table"])
def test_a_layer_reads_arrays_of_other_libraries(given):
    layer = Scale()
    np.testing.assert_array_equal(layer(given), np.ones((2, 3)))
    np.testing.assert_array_equal(layer.backward(given), np.ones((2, 3)))


def test_an_input_like_the_one_before_is_taken_as_it_is_and_any_other_is_checked():
    layer, x = Dense(2, name="d"), np.arange(12, dtype="float32").reshape(4, 3)
    y = layer(x)
    np.testing.assert_array_equal(layer(x), y)
    assert layer.cache.x is x
    strided = np.asfortranarray(x)
    np.testing.assert_array_equal(layer(strided), y)
    assert layer.cache.x.flags.c_contiguous
    np.testing.assert_array_equal(layer(x.astype("float64")), y)
    assert layer.cache.x.dtype == "float32"
    with pytest.raises(ValueError, match="Dense 'd': expected size 3 on axis -1 of the input, got 4"):
        layer(x.reshape(3, 4))
    assert layer.astype("float64")(x).dtype == "float64"
    layer(x.astype("float64"))
    layer.input_spec = InputSpec(ndim=3)
    with pytest.raises(ValueError, match="Dense 'd': expected an input of 3 axes"):
        layer(x.astype("float64"))


def test_a_check_of_values_sees_every_input():
    class Positive(Scale):
        def _check_inputs(self, inputs):
            super()._check_inputs(inputs)
            if (inputs <= 0).any():
                raise ValueError("not positive")

    layer, x = Positive(), np.ones((2, 3), "float32")
    layer(x), layer(x)
    x[0] = 0
    with pytest.raises(ValueError, match="not positive"):
        layer(x)


@pytest.mark.parametrize("dy", ["a", np.ones((2, 2), complex), [[1.0], [1.0, 2.0]]], ids=["text", "complex", "ragged"])
def test_bad_gradients(dy):
    layer = Dense(2, name="d")
    layer(np.ones((2, 3)))
    with pytest.raises((TypeError, ValueError), match="Dense 'd': expected dy "):
        layer.backward(dy)


@pytest.mark.parametrize("layer", [Dense(2), LSTM(2), Conv2D(2, 2)], ids=lambda layer: layer.name)
def test_no_input(layer):
    with pytest.raises(ValueError, match=rf"{layer.name}': expected an array as (inputs|sequences), got None"):
        layer(None)


def test_a_layer_that_was_not_made():
    class Forgetful(Layer):
        def __init__(self):
            self.units = 3

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"Forgetful: its __init__ must call super\(\).__init__\(\) first"):
        Forgetful()(np.ones((2, 3)))


def test_inputs_are_cast_and_never_changed(rng):
    x = rng.normal(size=(3, 4))
    layer = Scale()
    for given in (x, x.astype("float32"), np.asfortranarray(x), x[::-1, ::-1], x.tolist(), np.ones((3, 4), int)):
        kept = np.array(given)
        y = layer.forward(given)
        dx = layer.backward(kept[::-1])
        assert y.dtype == dx.dtype == np.float32 and dx.shape == y.shape == (3, 4)
        np.testing.assert_allclose(y, kept, rtol=1e-6)
        np.testing.assert_array_equal(given, kept)


def test_autocast_off_leaves_floats_alone():
    assert Double(autocast=False)(np.ones((1, 2), "float64")).dtype == np.float64
    assert Double()(np.ones((1, 2), "float64")).dtype == np.float32


def test_a_batch_of_one_and_two_training_steps(rng):
    layer, x = Scale(dtype="float64"), rng.normal(size=(1, 4))
    for _ in range(2):
        y = layer(x, training=True)
        layer.zero_grad()
        layer.backward(2 * (y - 1))
        layer.scale.value -= 0.1 * layer.scale.grad
    assert np.abs(layer(x) - 1).sum() < np.abs(x - 1).sum()


def test_grad_adds_up_until_zero_grad(rng):
    layer, x = Stack(dtype="float64"), rng.normal(size=(2, 3))
    layer(x)
    layer.backward(np.ones((2, 3)))
    once = [weight.grad.copy() for weight in layer.weights]
    layer(x)
    layer.backward(np.ones((2, 3)))
    for weight, grad in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(weight.grad, 2 * grad)
    layer.zero_grad()
    assert not any(weight.grad.any() for weight in layer.weights)


def test_every_layer_may_be_told_training_and_mask():
    np.testing.assert_array_equal(Double()(np.ones((1, 2)), training=True, mask=np.array([True])), [[2, 2]])


def test_an_unknown_keyword_is_an_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        Double()(np.ones((1, 2)), speed=3)


def test_the_input_may_be_named():
    layer = Scale()
    np.testing.assert_array_equal(layer.forward(x=np.ones((2, 3))), np.ones((2, 3)))
    assert layer.scale.shape == (3,)


def test_a_cache_may_be_kept_and_handed_back(rng):
    layer = TwoOutputs(dtype="float64")
    layer(np.ones((2, 3)))
    record = layer.cache
    layer(np.ones((5, 3)))
    layer.cache = record
    assert layer.backward([np.ones((2, 3)), np.ones(2)]).shape == (2, 3)
    with pytest.raises(ValueError, match=r"expected dy of shape \(2, 3\)"):
        layer.backward([np.ones((5, 3)), np.ones(5)])


def test_unwritten_methods_say_so():
    class Empty(Layer):
        pass

    with pytest.raises(NotImplementedError, match="Empty 'e': forward is not written"):
        Empty(name="e").forward(np.ones((1, 1)))
    with pytest.raises(NotImplementedError, match="Empty 'e': no gradient: backward is not written"):
        Empty(name="e").backward(np.ones((1, 1)))


def test_a_layer_with_keras_call_is_built_and_called():
    class Affine(Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1], 2), "ones")

        def call(self, inputs):
            return np.matmul(inputs, self.w)            # a weight is an array to NumPy

    layer = Affine()
    y = layer([[1, 2, 3]])
    np.testing.assert_array_equal(y, [[6, 6]])
    assert y.dtype == np.float32 and layer.built


def test_compute_mask_passes_or_warns():
    mask = np.array([[True, False]])
    layer = Double(name="d")
    with pytest.warns(UserWarning, match="Double 'd' was given a mask but does not support masking"):
        assert layer.compute_mask(None, mask) is None
    layer.supports_masking = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert layer.compute_mask(None, mask) is mask
        assert Double().compute_mask(None, None) is None


def test_base_config_is_that_of_keras():
    ours = Double(name="d", trainable=False, dtype="float64", activity_regularizer="l2").get_config()
    theirs = keras.layers.ReLU(name="d", trainable=False, dtype="float64", activity_regularizer="l2").get_config()
    for key in ("name", "trainable", "dtype", "activity_regularizer"):
        assert ours[key] == theirs[key]
    assert sorted(Double(name="d").get_config()) == ["dtype", "name", "trainable"]


def test_from_config_both_ways():
    theirs = keras.layers.Identity(name="d", trainable=False, dtype="float64", activity_regularizer="l1")
    ours = Double.from_config(theirs.get_config())
    assert (ours.name, ours.trainable, ours.dtype) == ("d", False, "float64")
    assert ours.activity_regularizer.l1 == pytest.approx(0.01)
    again = keras.layers.Identity.from_config(ours.get_config())
    assert again.get_config() == theirs.get_config()


def test_from_config_says_what_a_layer_of_your_own_needs():
    class Own(Layer):
        def __init__(self, units):
            super().__init__()

    with pytest.raises(TypeError, match=r"Own cannot be made from the configuration .* needs a get_config\(\)"):
        Own.from_config({"name": "own", "size": 3})


def test_config_is_not_changed_by_from_config():
    settings = Double(name="d").get_config()
    kept = dict(settings)
    Double.from_config(settings)
    assert settings == kept


@pytest.mark.parametrize("class_name", ["Dense", "LSTM", "RNN", "SimpleRNN", "GRUCell", "Conv2D", "MyCustomLayer", "LSTMCell",
                                        "TimeDistributed", "MultiHeadAttention", "_Private", "Conv2DTranspose", "ReLU", "X"])
def test_names_are_those_of_keras(class_name):
    from keras.src.utils.naming import to_snake_case
    assert auto_name(class_name) == to_snake_case(class_name)
    assert auto_name(class_name) == f"{to_snake_case(class_name)}_1"


def test_layers_are_numbered_and_named():
    assert [Double().name, Double().name, Double(name="mine").name, Double().name] == ["double", "double_1", "mine", "double_2"]
    assert repr(Scale(name="s")) == "<Scale name=s, built=False>"


def test_unknown_arguments():
    with pytest.raises(TypeError, match="Double 'd': unknown argument 'units', 'speed'"):
        Double(name="d", units=3, speed=1)


@pytest.mark.parametrize("arguments, shape", [
    (dict(input_shape=(4,)), (None, 4)), (dict(input_shape=4), (None, 4)), (dict(input_shape=(5, 4), batch_size=2), (2, 5, 4)),
    (dict(batch_input_shape=(2, None, 4)), (2, None, 4)), (dict(input_dim=4), (None, 4)),
    (dict(input_dim=4, input_length=5), (None, 5, 4)), (dict(input_length=5), (None, 5)), ({}, None)])
def test_keras_2_declarations_of_the_input(arguments, shape):
    assert Double(**arguments).declared_input_shape == shape


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32"),
                                   {"class_name": "DTypePolicy", "config": {"name": "float64"}}])
def test_dtype(dtype, rng):
    layer = Scale(dtype=dtype)
    x = rng.normal(size=(2, 3))
    assert layer(x).dtype == layer.dtype == layer.scale.dtype == layer.backward(x).dtype == layer.scale.grad.dtype


def test_floatx_is_the_default():
    assert Double().dtype == "float32"
    config.set_floatx("float64")
    assert Double().dtype == "float64"


@pytest.mark.parametrize("dtype", ["int32", "float16", "mixed_bfloat16", "nonsense", 3])
def test_other_dtypes_are_errors(dtype):
    with pytest.raises(ValueError, match="Double 'd': expected dtype 'float32' or 'float64'"):
        Double(name="d", dtype=dtype)


def test_astype(rng):
    layer, x = Stack(), rng.normal(size=(2, 3))
    layer(x)
    assert layer.astype("float64") is layer
    assert layer(x).dtype == layer.inner.dtype == layer.inner.scale.dtype == "float64"
    assert layer.backward(x).dtype == np.float64
    with pytest.raises(ValueError, match="expected dtype"):
        layer.astype("int8")


def test_to_moves_the_layer_and_its_sublayers(device, rng):
    layer, x = Stack(), rng.normal(size=(2, 3))
    before = layer(x)
    assert layer.to(device) is layer
    assert layer.device == layer.inner.device == layer.named["a"].device == device
    assert layer.kernels.__name__ == layer.inner.kernels.__name__ == f"kernels.{device}"
    with pytest.raises(RuntimeError, match="backward needs a forward first"):       # the cache lies on the other device
        layer.backward(x)
    np.testing.assert_allclose(to_numpy(layer(x)), before, rtol=1e-6)
    with pytest.raises(ValueError, match="unknown device 'tpu': expected one of reference, cpu, cuda"):
        layer.to("tpu")


def test_layers_are_made_on_the_current_device(device):
    assert Double().device == "cpu"
    with nblayers.device(device):
        layer = Scale()
    assert layer.device == device and Double().device == "cpu"
    nblayers.set_device(device)
    assert Double().device == nblayers.get_device() == device


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul_of_a_layer(device, transpose_a, transpose_b, rng):
    layer = Double(dtype="float64").to(device)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    stored = a.T if transpose_a else a, b.T if transpose_b else b
    given = [layer.xp.ascontiguousarray(layer.xp.asarray(m)) for m in stored]
    flags = dict(transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_allclose(to_numpy(layer.matmul(*given, **flags)), a @ b)
    out = layer.xp.ones((3, 2))
    assert layer.matmul(*given, out, add=True, **flags) is out
    np.testing.assert_allclose(to_numpy(out), a @ b + 1)


def matrices(**changed):
    given = dict(a=np.ones((3, 4), "f4"), b=np.ones((4, 2), "f4"), out=np.ones((3, 2), "f4"))
    return given | changed


READ_ONLY = np.ones((3, 2), "f4")
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("given, error, message", [
    (matrices(a=np.ones((3, 4))), TypeError, "expected a to be an array of dtype float32, got float64"),
    (matrices(b=np.ones((4, 2))), TypeError, "expected b to be an array of dtype float32, got float64"),
    (matrices(b=np.ones((4, 2), int)), TypeError, "expected b to be an array of dtype float32, got int64"),
    (matrices(a=[[1.0] * 4] * 3), TypeError, "expected a to be an array of dtype float32, got list"),
    (matrices(a=np.float32(2)), TypeError, "expected a to be an array of dtype float32, got float32"),
    (matrices(out=np.ones((3, 2))), TypeError, "expected out to be an array of dtype float32, got float64"),
    (matrices(out=np.ones((3, 2), ">f4")), TypeError, "expected out to be an array of dtype float32, got >f4"),
    (matrices(a=np.ones(4, "f4")), ValueError, r"expected a to have two axes, got shape \(4,\)"),
    (matrices(b=np.ones((1, 4, 2), "f4")), ValueError, r"expected b to have two axes, got shape \(1, 4, 2\)"),
    (matrices(b=np.ones((5, 2), "f4")), ValueError, r"got shapes \(3, 4\) and \(5, 2\) .*: K is 4 and 5"),
    (matrices(transpose_a=True), ValueError, "with transpose_a=True and transpose_b=False: K is 3 and 4"),
    (matrices(out=np.ones((1, 2), "f4")), ValueError, r"expected `out` of shape \(3, 2\), got \(1, 2\)"),
    (matrices(out=np.ones((3, 4), "f4")[:, ::2]), ValueError, "expected an `out` that is C-contiguous and writable, got str"),
    (matrices(out=READ_ONLY), ValueError, "expected an `out` that is C-contiguous and writable, got one that is read-only"),
    (matrices(out=None, add=True), ValueError, "expected an `out` to add to"),
])
def test_matmul_checks_what_it_is_given(given, error, message):
    for device in ("reference", "cpu"):
        layer = Double().to(device)
        with pytest.raises(error, match=f"Double '{layer.name}': matmul {message}" if message[0] == "e" else message):
            layer.matmul(**given)


def test_matmul_wants_memory_of_its_own():
    layer, a = Double(), np.ones((4, 4), "f4")
    room = np.ones(40, "f4")
    for operands in ((a, a, a), (a, room[:16].reshape(4, 4), room[15:31].reshape(4, 4))):
        with pytest.raises(ValueError, match="expected an `out` with memory of its own"):
            layer.matmul(*operands)
    side_by_side = layer.matmul(a, room[:16].reshape(4, 4), room[16:32].reshape(4, 4))
    assert np.all(side_by_side == 4) and np.all(room[32:] == 1)


def test_matmul_of_matrices_that_are_not_contiguous_or_empty(rng):
    layer, a, b = Double(), rng.normal(size=(6, 8)).astype("f4"), rng.normal(size=(8, 10)).astype("f4")
    np.testing.assert_allclose(layer.matmul(a[::2, ::2], b.T[::5, ::2].T), a[::2, ::2] @ b.T[::5, ::2].T, rtol=1e-5)
    assert np.array_equal(layer.matmul(np.ones((2, 0), "f4"), np.ones((0, 3), "f4")), np.zeros((2, 3)))
    assert layer.matmul(np.ones((0, 4), "f4"), np.ones((4, 3), "f4")).shape == (0, 3)
    assert layer.matmul(np.ones((2, 4), "f4"), np.ones((4, 0), "f4")).shape == (2, 0)


def test_output_shape_is_inferred():
    assert Scale().compute_output_shape((None, 3)) == (None, 3)
    assert Double().compute_output_shape((2, None, 3)) == (2, None, 3)
    assert TwoOutputs().compute_output_shape((None, 4)) == [(None, 4), (None,)]


def test_inferring_leaves_the_layer_alone(rng):
    layer = Scale(name="s", activity_regularizer="l2")
    layer.compute_output_shape((None, 3))
    assert not layer.built and layer.weights == []
    x = rng.normal(size=(2, 3))
    layer(x)
    losses, cache = layer.losses, layer.cache
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    assert layer.losses == losses and layer.cache is cache
    layer.backward(x)


def test_parameter_value_is_live():
    parameter = Parameter(np.zeros(3, "float32"), name="w")
    live, grad = parameter.value, parameter.grad
    parameter.value = [1, 2, 3]
    parameter.value += 1
    parameter.grad += 5
    parameter.grad = [1, 1, 1]
    assert parameter.value is live and parameter.grad is grad
    np.testing.assert_array_equal(live, [2, 3, 4])
    np.testing.assert_array_equal(grad, [1, 1, 1])
    parameter.assign(np.zeros(3))
    np.testing.assert_array_equal(live, 0)
    parameter.zero_grad()
    np.testing.assert_array_equal(grad, 0)


def test_parameter_as_an_array():
    parameter = Parameter(np.arange(3.0), name="w")
    copy = parameter.numpy()
    copy[0] = 9
    assert parameter.value[0] == 0 and parameter.shape == (3,) and parameter.dtype == "float64"
    np.testing.assert_array_equal(np.add(parameter, 1), [1, 2, 3])
    np.testing.assert_array_equal(np.asarray(parameter, dtype="float32"), [0, 1, 2])
    assert repr(parameter) == "<Parameter w, shape=(3,), dtype=float64>"


def test_parameter_shape_is_checked():
    parameter = Parameter(np.zeros(3), name="w")
    with pytest.raises(ValueError, match=r"parameter 'w': expected a value of shape \(3,\), got \(1,\)"):
        parameter.assign([1])
    with pytest.raises(ValueError, match=r"expected a value of shape \(3,\), got \(\)"):
        parameter.value = 1
    with pytest.raises(ValueError):
        parameter.grad = np.zeros(4)


SPECS = [
    (dict(ndim=2), (2,), "an input of 2 axes, got 1"),
    (dict(max_ndim=2), (2, 2, 2), "at most 2 axes, got 3"),
    (dict(min_ndim=2), (2,), "at least 2 axes, got 1"),
    (dict(shape=(None, 3)), (2, 4), "size 3 on axis 1 of the input, got 4"),
    (dict(shape=(None, 3)), (2, 3, 1), "an input of 2 axes, got 3"),
    (dict(axes={-1: 3}), (2, 4), "size 3 on axis -1 of the input, got 4"),
    (dict(axes={1: 3}), (2, 4, 3), "size 3 on axis 1 of the input, got 4"),
    (dict(dtype="float64"), (2,), "dtype float64, got float32"),
]


@pytest.mark.parametrize("arguments, shape, message", SPECS)
def test_input_spec_errors_as_in_keras(arguments, shape, message):
    from keras.src.layers.input_spec import assert_input_compatibility
    with pytest.raises(ValueError, match=f"Double 'd': expected {message}|Double 'd': expected an input of {message}"):
        layer = Double(name="d")
        layer.input_spec = InputSpec(**arguments)
        layer(np.zeros(shape))
    with pytest.raises(ValueError):
        assert_input_compatibility(keras.layers.InputSpec(**arguments), keras.KerasTensor(shape), "layer")


@pytest.mark.parametrize("arguments, shape", [
    (dict(ndim=2), (2, 3)), (dict(max_ndim=2), (2,)), (dict(min_ndim=2), (2, 2, 2)), (dict(shape=(None, 3)), (2, 3)),
    (dict(axes={-1: 3, 1: None}), (2, 5, 3)), (dict(axes={0: 3}), (None, 1)), ({}, (1,)),
    (dict(shape=(None, 1), allow_last_axis_squeeze=True), (2,)), (dict(shape=(None,), allow_last_axis_squeeze=True), (2, 1)),
])
def test_input_spec_accepts_what_keras_accepts(arguments, shape):
    from keras.src.layers.input_spec import assert_input_compatibility
    assert InputSpec(**arguments).mismatch(shape, "float32") == ""
    assert_input_compatibility(keras.layers.InputSpec(**arguments), keras.KerasTensor(shape), "layer")


def test_input_spec_axis_that_the_input_lacks():
    spec = InputSpec(axes={2: 3})
    assert spec.mismatch((2, 4), "float32") == "expected size 3 on axis 2 of the input, got 2 axes (shape (2, 4))"


def test_input_spec_that_contradicts_itself():
    with pytest.raises(ValueError, match="axis 5 does not exist in an input of at most 2 axes"):
        InputSpec(ndim=2, axes={5: 3})
    for axes in ({"a": 1}, [1]):
        with pytest.raises(TypeError, match="expected axes to be a dictionary with integer keys"):
            InputSpec(axes=axes)


def test_input_spec_as_a_list(rng):
    class Add(Layer):
        def forward(self, inputs):
            return inputs[0] + inputs[1]

    layer = Add(name="a")
    layer.input_spec = [InputSpec(ndim=2), InputSpec(shape=(None, 3))]
    layer([np.zeros((2, 3)), np.zeros((2, 3))])
    with pytest.raises(ValueError, match="Add 'a': expected 2 inputs, got 1"):
        layer([np.zeros((2, 3))])
    with pytest.raises(ValueError, match="expected size 3 on axis 1"):
        layer([np.zeros((2, 4)), np.zeros((2, 4))])


@pytest.mark.parametrize("arguments", [
    dict(shape=(None, 2)), dict(dtype="int32", max_ndim=3), dict(axes={1: 2}, optional=True)])
def test_input_spec_config(arguments):
    ours, theirs = InputSpec(**arguments), keras.layers.InputSpec(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert repr(InputSpec(ndim=2)) == "InputSpec(ndim=2)"


class MyCustomLayer(Layer):
    """The example at the end of section 1, its backward written by hand."""

    def __init__(self, units=32, input_dim=32):
        super(MyCustomLayer, self).__init__()           # noqa: UP008       as the document writes it
        self.units = units
        self.weight = self.add_weight(shape=(input_dim, units),
                                      initializer="random_normal",
                                      regularizer=regularizers.l2(1e-4),
                                      trainable=True)
        self.bias = self.add_weight(shape=(units,), initializer="zeros", trainable=True)

    def forward(self, inputs):
        self.cache = inputs
        return inputs @ self.weight.value + self.bias.value

    def backward(self, dy):
        self.weight.grad += self.cache.T @ dy
        self.bias.grad += dy.sum(axis=0)
        return dy @ self.weight.value.T


def test_the_documents_custom_layer(rng):
    layer = MyCustomLayer(10, 5)
    y = layer(np.ones((3, 5)))
    weight = layer.get_weights()[0]
    assert weight.shape == (5, 10) and len(layer.weights) == 2
    np.testing.assert_allclose(y, np.ones((3, 5), "float32") @ weight, rtol=1e-5)
    assert layer.losses == pytest.approx([1e-4 * (weight.astype(float) ** 2).sum()], rel=1e-5)
    assert nblayers.gradcheck(layer, rng.normal(size=(3, 5)))


def test_users_layers_pass_the_gradient_check(rng):
    assert nblayers.gradcheck(Scale(activity_regularizer="l2"), rng.normal(size=(3, 4)))
    assert nblayers.gradcheck(Stack(), rng.normal(size=(3, 4)))
    assert nblayers.gradcheck(TwoOutputs(), rng.normal(size=(3, 4)))


def run_python(code, **environment):
    import os
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment},
                          cwd="/", check=False)


def test_importing_loads_nothing_heavy():
    code = ("import sys, nblayers, nblayers.layers\n"
            "from nblayers.layers import Dense, LSTM, Embedding, Input, Activation\n"
            "Dense(3).build((None, 2))\n"
            "print([name for name in ('numba', 'matplotlib', 'rich', 'keras', 'jax', 'torch') if name in sys.modules])")
    result = run_python(code)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_a_foreign_kernels_package_is_named(tmp_path):
    import os
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    result = run_python("import nblayers", PYTHONPATH=path)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: nblayers needs its own package 'kernels', but Python found another one at ")
    assert str(tmp_path / "kernels") in last


def test_layers_lists_what_it_exports():
    from nblayers import layers
    assert dir(layers) == sorted(layers.__all__)
    for name in layers.__all__:
        theirs = getattr(keras.layers, name, None)                              # MaxPool2D is MaxPooling2D, there too
        inside = {"GroupQueryAttention": "GroupedQueryAttention"}.get(name, name)   # whose default name Keras makes of this
        expected = name if theirs is None or theirs.__name__ == inside else theirs.__name__
        assert getattr(layers, name).__name__ == expected
    with pytest.raises(AttributeError, match=r"nblayers\.layers.* Nonsense"):
        layers.Nonsense  # noqa: B018


@pytest.mark.parametrize("package", ["nblayers", "nblayers.callbacks", "nblayers.layers", "nblayers.models", "nblayers.nn"])
def test_one_list_for_python_and_for_type_checkers(package):
    import ast
    module = importlib.import_module(package)
    folder = Path(module.__file__).parent
    imports = [node for node in ast.walk(ast.parse((folder / "__init__.pyi").read_text())) if isinstance(node, ast.ImportFrom)]
    names = [alias for node in imports for alias in node.names]
    assert sorted(alias.name for alias in names) == module.__all__ == dir(module)
    assert all(alias.asname == alias.name for alias in names)           # else a type checker takes it for private
    assert all(hasattr(module, name) for name in module.__all__)
    assert (Path(nblayers.__file__).parent / "py.typed").exists()


def test_version_is_the_packages():
    assert nblayers.__version__ == importlib.metadata.version("nblayers")


def test_dense_is_a_layer():
    assert issubclass(Dense, Layer) and nblayers.Layer is Layer


def test_large_arrays_begin_at_a_line_of_the_cache():
    from kernels import aligned
    for shape, dtype in (((7, 5, 999), "float32"), (20_001, "float64"), ((3, 50_000), "int32")):
        for array in (aligned.empty(shape, dtype), aligned.empty_like(np.ones(shape, dtype, order="F"))):
            assert array.shape == np.empty(shape).shape and array.dtype == dtype
            assert array.ctypes.data % 64 == 0 and array.flags.c_contiguous and array.flags.writeable
    assert aligned.empty((2, 0, 3)).shape == (2, 0, 3) and aligned.empty(4).dtype == float and aligned.zeros is np.zeros
    with nblayers.device("cpu"):
        layer = nblayers.layers.Conv2D(16, 3)
    assert layer.forward(np.zeros((4, 30, 30, 3), "f4")).ctypes.data % 64 == 0
