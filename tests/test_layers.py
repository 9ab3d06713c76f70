"""What every layer does with its arguments and attributes: configuration, errors, sizes that are fixed, empty inputs."""
import inspect
import json
import re

import numpy as np
import pytest
from helpers import random_like

import nblayers
from nblayers import callbacks, constraints, initializers, layers, losses, metrics, nn, optimizers, regularizers
from nblayers.layers import Layer

LAYERS = {
    "Dense": (lambda: layers.Dense(4), (2, 5)),
    "Linear": (lambda: layers.Linear(5, 4), (2, 5)),
    "Embedding": (lambda: layers.Embedding(6, 3), (2, 4)),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (2, 4, 5)),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), (2, 4, 5)),
    "GRU": (lambda: layers.GRU(3), (2, 4, 5)),
    "RNN": (lambda: layers.RNN(layers.LSTMCell(3)), (2, 4, 5)),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), (2, 4, 5)),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(2, 2), (2, 3, 5, 2)),
    "Conv2D": (lambda: layers.Conv2D(4, 2, groups=2), (2, 6, 6, 4)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(4, 5), (2, 4, 2)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2), (2, 4, 4, 2)),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 2), (2, 4, 2)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (2, 4, 4, 2)),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(2), (2, 4, 2)),
    "GlobalMaxPooling2D": (lambda: layers.GlobalMaxPooling2D(), (2, 4, 4, 2)),
    "GlobalAveragePooling1D": (lambda: layers.GlobalAveragePooling1D(), (2, 4, 2)),
    "BatchNormalization": (lambda: layers.BatchNormalization(), (2, 4, 5)),
    "LayerNormalization": (lambda: layers.LayerNormalization(axis=[1, 2]), (2, 4, 5)),
    "GroupNormalization": (lambda: layers.GroupNormalization(2), (2, 5, 4)),
    "RMSNormalization": (lambda: layers.RMSNormalization(axis=[1, 2]), (2, 4, 5)),
    "UnitNormalization": (lambda: layers.UnitNormalization(), (2, 4)),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(3)), (2, 4)),
    "nn.BatchNorm1d": (lambda: nn.BatchNorm1d(4), (2, 4, 5)),
    "nn.LayerNorm": (lambda: nn.LayerNorm(5), (2, 4, 5)),
    "nn.GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 5)),
    "nn.MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 2, 4, 4)),
    "nn.AvgPool1d": (lambda: nn.AvgPool1d(2, padding=1), (2, 2, 4)),
    "nn.Conv2d": (lambda: nn.Conv2d(2, 4, 2, groups=2), (2, 2, 4, 4)),
    "nn.ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 4, 2), (2, 2, 4)),
    "nn.LSTM": (lambda: nn.LSTM(5, 3), (4, 2, 5)),
    "nn.GRUCell": (lambda: nn.GRUCell(5, 3), (2, 5)),
    "nn.Embedding": (lambda: nn.Embedding(6, 3), (2, 4)),
    "nn.AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, None)), (2, 2, 4, 5)),
    "nn.InstanceNorm1d": (lambda: nn.InstanceNorm1d(4, affine=True), (2, 4, 5)),
    "nn.RMSNorm": (lambda: nn.RMSNorm(5), (2, 4, 5)),
    "nn.Flatten": (lambda: nn.Flatten(0, 1), (2, 4, 5)),
    "nn.Dropout": (lambda: nn.Dropout(), (2, 4)),
    "nn.ReLU": (lambda: nn.ReLU(), (2, 4)),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Conv1D(2, 2)), (2, 3, 4, 5)),
    "CRF": (lambda: layers.CRF(3), (2, 4, 3)),
    "Flatten": (lambda: layers.Flatten(), (2, 4, 5)),
    "Reshape": (lambda: layers.Reshape((-1, 2)), (2, 4, 5)),
    "RepeatVector": (lambda: layers.RepeatVector(3), (2, 4)),
    "Permute": (lambda: layers.Permute((2, 1)), (2, 4, 5)),
    "Cropping2D": (lambda: layers.Cropping2D(1), (2, 4, 5, 2)),
    "ZeroPadding2D": (lambda: layers.ZeroPadding2D(1), (2, 4, 5, 2)),
    "UpSampling2D": (lambda: layers.UpSampling2D(2, interpolation="bilinear"), (2, 4, 5, 2)),
    "UpSampling1D": (lambda: layers.UpSampling1D(2), (2, 4, 5)),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.1, 0.2), (2, 4, 5, 2)),
    "RandomRotation": (lambda: layers.RandomRotation(0.1), (2, 4, 5, 2)),
    "RandomZoom": (lambda: layers.RandomZoom(0.1), (2, 4, 5, 2)),
    "nn.ZeroPad2d": (lambda: nn.ZeroPad2d(1), (2, 2, 4, 5)),
    "nn.Upsample": (lambda: nn.Upsample(scale_factor=2), (2, 2, 4, 5)),
    "nn.Unflatten": (lambda: nn.Unflatten(1, (2, -1)), (2, 4, 5)),
    "Dropout": (lambda: layers.Dropout(0.5), (2, 4)),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.5), (2, 4, 5)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.5), (2, 4, 4, 2)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.5), (2, 4)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5), (2, 4)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.5), (2, 4)),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(0.1), (2, 4)),
    "Masking": (lambda: layers.Masking(), (2, 4, 5)),
    "ReLU": (lambda: layers.ReLU(3.0), (2, 5)),
    "LeakyReLU": (lambda: layers.LeakyReLU(), (2, 5)),
    "ELU": (lambda: layers.ELU(), (2, 5)),
    "PReLU": (lambda: layers.PReLU(shared_axes=1), (2, 4, 5)),
    "Softmax": (lambda: layers.Softmax(), (2, 5)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"), (2, 3, 5)),
    "nn.PReLU": (lambda: nn.PReLU(4), (2, 4, 3)),
    "nn.Hardtanh": (lambda: nn.Hardtanh(), (2, 5)),
    "nn.LogSoftmax": (lambda: nn.LogSoftmax(1), (2, 5)),
    "Activation": (lambda: layers.Activation("softmax"), (2, 5)),
    "Identity": (lambda: layers.Identity(), (2, 4)),
    "Rescaling": (lambda: layers.Rescaling([0.5, 1, 2]), (2, 4, 5, 3)),
    "Resizing": (lambda: layers.Resizing(3, 4), (2, 4, 5, 3)),
    "CenterCrop": (lambda: layers.CenterCrop(3, 4), (2, 4, 5, 3)),
    "RandomCrop": (lambda: layers.RandomCrop(3, 4), (2, 4, 5, 3)),
    "RandomFlip": (lambda: layers.RandomFlip(), (2, 4, 5, 3)),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.1), (2, 4, 5, 3)),
    "RandomContrast": (lambda: layers.RandomContrast(0.1), (2, 4, 5, 3)),
    "Normalization": (lambda: layers.Normalization(mean=1.0, variance=2.0), (2, 4)),
    "Discretization": (lambda: layers.Discretization([0.0, 1.0]), (2, 4)),
    "CategoryEncoding": (lambda: layers.CategoryEncoding(3, "one_hot"), (2, 4)),
    "Hashing": (lambda: layers.Hashing(3), (2, 4)),
    "IntegerLookup": (lambda: layers.IntegerLookup(vocabulary=[0, 3]), (2, 4)),
}


def built(name):
    make, shape = LAYERS[name]
    layer, x = make(), np.zeros(shape, "f")
    layer(x)
    return layer, x


# fixed sizes and weights: a kernel once wrote past the end of an array where one was changed

FIXED = [
    ("Dense", "units use_bias kernel bias"), ("Linear", "in_features out_features weight bias"),
    ("Embedding", "input_dim output_dim embeddings"), ("PReLU", "alpha shared_axes"), ("nn.PReLU", "num_parameters weight"),
    ("EinsumDense", "equation partial_output_shape bias_axes kernel bias"), ("SpatialDropout2D", "data_format"),
    ("SimpleRNN", "units cell.units cell.kernel cell.recurrent_kernel cell.bias"),
    ("LSTM", "units cell cell.units cell.use_bias"), ("GRU", "units cell.units reset_after"), ("RNN", "cell cell.units"),
    ("Bidirectional", "merge_mode forward_layer.units backward_layer.cell.units"),
    ("ConvLSTM1D", "filters kernel_size strides padding data_format dilation_rate cell.filters cell.kernel"),
    ("Conv2D", "filters kernel_size strides padding data_format dilation_rate groups kernel bias"),
    ("Conv1DTranspose", "filters kernel_size output_padding kernel"),
    ("DepthwiseConv2D", "depth_multiplier kernel_size kernel"),
    ("SeparableConv1D", "filters depth_multiplier depthwise_kernel pointwise_kernel"),
    ("MaxPooling2D", "pool_size strides padding data_format"), ("GlobalMaxPooling2D", "data_format"),
    ("BatchNormalization", "axis center scale gamma beta moving_mean moving_variance"),
    ("LayerNormalization", "axis rms_scaling gamma beta"), ("GroupNormalization", "groups axis gamma beta"),
    ("UnitNormalization", "axis"), ("SpectralNormalization", "power_iterations kernel vector_u layer.kernel"),
    ("nn.BatchNorm1d", "num_features affine track_running_stats weight bias running_mean running_var"),
    ("nn.LayerNorm", "normalized_shape weight bias"), ("nn.GroupNorm", "groups num_channels weight bias"),
    ("nn.AvgPool1d", "pool_size strides padding ceil_mode"), ("nn.Conv2d", "out_channels groups padding weight bias"),
    ("Reshape", "target_shape"), ("RepeatVector", "n"), ("Permute", "dims"), ("Cropping2D", "cropping data_format"),
    ("ZeroPadding2D", "padding"), ("UpSampling2D", "size data_format interpolation"), ("nn.Upsample", "scale_factor mode"),
    ("Normalization", "axis"), ("Discretization", "num_bins output_mode"), ("CategoryEncoding", "num_tokens output_mode"),
    ("Hashing", "num_bins output_mode"),
    ("IntegerLookup", "max_tokens num_oov_indices mask_token oov_token invert output_mode pad_to_max_tokens"),
    ("nn.GRUCell", "input_size hidden_size bias"), ("nn.Embedding", "num_embeddings embedding_dim weight"),
    ("nn.AdaptiveAvgPool2d", "output_size"), ("nn.RMSNorm", "normalized_shape weight"), ("nn.Flatten", "start_dim end_dim"),
    ("nn.ConvTranspose1d", "in_channels output_padding weight"), ("nn.LSTM", "hidden_size num_layers bidirectional bias"),
    ("Resizing", "height width interpolation antialias crop_to_aspect_ratio pad_to_aspect_ratio data_format"),
    ("CRF", "units use_boundary transitions start end"),
    ("CenterCrop", "height width data_format"), ("RandomCrop", "height width"), ("RandomFlip", "data_format"),
]


@pytest.mark.parametrize(("name", "attribute"), [(name, each) for name, several in FIXED for each in several.split()])
@pytest.mark.parametrize("value", [100, (50, 50)], ids=str)
def test_sizes_and_weights_are_fixed_once_a_layer_is_built(name, attribute, value):
    layer, _ = built(name)
    *path, last = attribute.split(".")
    holder = layer
    for part in path:
        holder = getattr(holder, part)
    before = getattr(holder, last)
    with pytest.raises(ValueError, match=rf"^\w+ '.+': {last} is .* for good"):
        setattr(holder, last, value)
    assert getattr(holder, last) is before


def test_sizes_may_change_before_a_layer_is_built():
    layer = layers.LSTM(3)
    layer.units = layer.cell.units = 5
    assert layer(np.ones((2, 3, 4), "f")).shape == (2, 5)
    assert layer.get_config()["units"] == layer.cell.output_size == 5
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'kernel': the layer is not built yet"):
        layers.Dense(3).kernel                          # noqa: B018
    assert not hasattr(layers.Dense(3), "kernel")


def test_new_numbers_for_a_weight():
    layer, x = built("Dense")
    with pytest.raises(ValueError, match=r"Dense '.*': kernel is .*set kernel.value, of shape \(5, 4\); got an array of shape"):
        layer.kernel = np.ones((5, 4))
    with pytest.raises(ValueError, match=r"expected a value of shape \(5, 4\), got \(50, 40\)"):
        layer.kernel.value = np.ones((50, 40))
    layer.kernel.value = np.ones((5, 4))
    assert (layer(x + 1) == 5).all()


@pytest.mark.parametrize("option", ["return_sequences", "return_state", "go_backwards"])
@pytest.mark.parametrize("make", [layers.LSTM, layers.SimpleRNN, lambda n: layers.RNN(layers.GRUCell(n))])
def test_options_that_change_between_forward_and_backward(make, option):
    layer = make(3)
    y = layer(np.ones((2, 4, 5), "f"))
    setattr(layer, option, True)
    with pytest.raises(ValueError, match=r"'.*': expected return_sequences, .* as they were in forward, \(False, False, False"):
        layer.backward(y)
    layer.backward(random_like(layer(np.ones((2, 4, 5), "f")), np.random.default_rng(0)))


def test_states_set_to_another_size():
    layer = layers.LSTM(3, stateful=True)
    layer(np.ones((2, 4, 5), "f"))
    layer.states = [np.zeros((2, 1)), np.zeros((2, 1))]
    with pytest.raises(ValueError, match=r"LSTM '.*': expected initial states of shapes \[\(2, 3\), \(2, 3\)\]"):
        layer(np.ones((2, 4, 5), "f"))


@pytest.mark.parametrize("states", [[None], [[np.zeros((2, 3))]], [np.zeros((2, 4))], [np.zeros((1, 3))], [np.zeros(3)],
                                    [], [np.zeros((2, 3))] * 3, [np.array([["a"] * 3] * 2)]], ids=repr)
@pytest.mark.parametrize("make", [layers.GRU, lambda n: layers.RNN(layers.LSTMCell(n)), layers.GRUCell, layers.LSTMCell,
                                  lambda n: layers.Bidirectional(layers.SimpleRNN(n)),
                                  lambda n: nn.GRU(5, n, batch_first=True)])
def test_states_that_do_not_fit(make, states):
    layer = make(3)
    x = np.ones((2, 5) if isinstance(layer, (layers.GRUCell, layers.LSTMCell)) else (2, 4, 5), "f")
    with pytest.raises((ValueError, TypeError), match=r"\w+ '\w+': expected "):
        layer(x, states)


MAY_BE_EMPTY = {"Embedding", "Flatten", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise",
                "AlphaDropout", "ActivityRegularization", "Masking", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU",
                "Softmax", "EinsumDense", "Identity", "Reshape", "RepeatVector", "Permute", "ZeroPadding2D", "UpSampling2D",
                "UpSampling1D", "nn.ZeroPad2d", "nn.Upsample", "nn.Unflatten", "nn.PReLU", "nn.Hardtanh", "nn.LogSoftmax",
                "nn.Embedding", "nn.Flatten", "nn.Dropout", "nn.ReLU", "Rescaling", "IntegerLookup", "Discretization",
                "CategoryEncoding", "Hashing", "CRF"}


@pytest.mark.parametrize("name", LAYERS)
def test_empty_axes(name):
    """No features, channels, places or samples: an error that names the layer, or an empty result where there is one."""
    make, shape = LAYERS[name]
    for axis in range(len(shape)):
        x = np.zeros([0 if n == axis else size for n, size in enumerate(shape)], "f")
        for layer in (make(), built(name)[0]):
            try:
                y = layer(x)
            except ValueError as error:
                assert re.match(r"\w+ '\w+': expected ", str(error)), error         # the layer, or a cell or layer inside
            else:
                assert name in MAY_BE_EMPTY and (y.size == 0 or ("ZeroPad" in name and not y.any()))


TAKE_LISTS = {"SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM1D", "Bidirectional", "nn.LSTM", "Identity"}


@pytest.mark.parametrize("name", sorted(set(LAYERS) - TAKE_LISTS))
def test_layers_of_one_array_take_no_list_and_no_none(name):
    make, shape = LAYERS[name]
    x = np.ones(shape, "f")
    for given, got in (([x], "a list of 1"), ([x, x], "a list of 2"), (None, "None"), ([[x, x]], "a list of 1")):
        for layer in (make(), built(name)[0]):
            with pytest.raises(ValueError, match=rf"^\w+ '.+': expected (one array|one input|an array as \w+), got {got}$"):
                layer(given)


@pytest.mark.parametrize("mask", ["abc", [[True], [True, False]], object(), np.array([["a"] * 3] * 2)],
                         ids=["text", "ragged", "object", "texts"])
@pytest.mark.parametrize("make", [
    layers.BatchNormalization, layers.Softmax, lambda: layers.LSTM(2), layers.Attention, layers.Maximum,
    lambda: layers.MultiHeadAttention(1, 2), lambda: nn.MultiheadAttention(4, 1)])
def test_masks_that_are_no_truth_values(make, mask):
    layer, x = make(), np.ones((2, 3, 4), "f")
    arguments = {"MultiHeadAttention": ((x, x), {"attention_mask": mask}), "Maximum": (([x, x],), {"mask": [mask, mask]}),
                 "MultiheadAttention": ((x, x, x), {"attn_mask": mask}), "Attention": (([x, x],), {"mask": [mask, None]})}
    args, kwargs = arguments.get(type(layer).__name__, ((x,), {"mask": mask}))
    with pytest.raises((ValueError, TypeError), match=r"^\w+ '\w+': expected "):
        layer(*args, **kwargs)


# arguments

def own_arguments(cls):
    return {name: p for name, p in inspect.signature(cls.__init__).parameters.items() if name not in ("self", "args", "kwargs")}


def classes_of(module, base):
    names = getattr(module, "__all__", dir(module))
    found = [getattr(module, name) for name in names if not name.startswith("_")]
    return [each for each in found if inspect.isclass(each) and issubclass(each, base)]


CALLED = sorted({
    *classes_of(layers, Layer), *classes_of(nn, Layer), *classes_of(optimizers, optimizers.Optimizer),
    *classes_of(losses, losses.Loss), *classes_of(metrics, metrics.Metric), *classes_of(callbacks, callbacks.Callback),
    *classes_of(initializers, initializers.Initializer), *classes_of(regularizers, regularizers.Regularizer),
    *classes_of(constraints, constraints.Constraint)}, key=lambda cls: (cls.__module__, cls.__name__))


@pytest.mark.parametrize("cls", CALLED, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_type_errors_name_the_class_that_was_called(cls):
    required = {name: 1 for name, p in own_arguments(cls).items() if p.default is p.empty}
    wrong = [((), dict.fromkeys(required, 1) | {"nonsense": 1}), ((1,) * 60, {})] + ([((), {})] if required else [])
    for args, kwargs in wrong:
        try:
            cls(*args, **kwargs)
        except TypeError as error:
            assert cls.__name__ in str(error).split("(")[0], error
        except ValueError:
            assert kwargs and required                          # the ones given were looked at first


@pytest.mark.parametrize("cls", [cls for cls in CALLED if issubclass(cls, Layer) and cls is not Layer
                                 and ".interop." not in cls.__module__], ids=lambda cls: cls.__name__)
def test_configuration_holds_all_arguments(cls):
    """Every argument that is kept stands in the configuration, the seed too, and a layer made from it has the same one."""
    given = {"units": 4, "filters": 4, "kernel_size": 2, "pool_size": 2, "input_dim": 5, "output_dim": 3, "rate": 0.3,
             "function": nblayers.activations.relu, "activation": "relu", "in_features": 3, "out_features": 2,
             "in_channels": 2, "out_channels": 4, "shape": (3,), "input_size": 3, "hidden_size": 4, "layer": layers.LSTM(3),
             "cell": layers.LSTMCell(3), "cells": [layers.LSTMCell(3)], "seed": 5, "dropout": 0.25,
             "recurrent_dropout": 0.25, "num_layers": 2, "num_heads": 2, "key_dim": 3, "embed_dim": 4, "head_dim": 3,
             "num_query_heads": 4, "num_key_value_heads": 2, "target_shape": (3, -1), "n": 2, "dims": (2, 1), "axes": 1,
             "dim": 1, "unflattened_size": (2, -1), "padding": (2, 1) * int(getattr(cls, "rank", 1)), "scale_factor": 2,
             "equation": "ab,bc->ac", "output_shape": 4, "threshold": 1.0, "value": 2.0, "num_features": 3, "num_groups": 2,
             "num_channels": 4, "normalized_shape": (3,), "height": 3, "width": 4, "scale": 0.5, "factor": 0.2,
             "height_factor": 0.2, "width_factor": 0.3, "num_bins": 3, "num_tokens": 3, "stddev": 0.2,
             "output_size": 3, "num_embeddings": 5, "embedding_dim": 3}
    arguments = own_arguments(cls)
    chosen = {name: given[name] for name, p in arguments.items() if name in given and (
        p.default is p.empty or name in ("seed", "dim", "dropout", "recurrent_dropout", "num_layers", "scale_factor",
                                         "num_bins", "num_tokens"))}
    if cls is layers.InputLayer:
        chosen = {"shape": (3,)}
    layer = cls(**chosen)
    config = layer.get_config()
    not_kept = {"use_cudnn", "implementation", "weights", "lora_rank", "lora_alpha", "quantization_config", "padding_mode",
                "activity_regularizer", "return_indices", "dilation", "proj_size", "shape", "batch_size", "trainable", "dtype",
                "autocast", "gradient", "mask", "output_shape", "legacy", "flash_attention", "gptq_unpacked_column_size",
                "inplace", "sparse", "has_input_vocabulary", "device", "_weight", "_freeze"}
    assert set(arguments) - set(config) <= not_kept - ({"dilation"} if "Conv" in cls.__name__ else set())
    for name in ("seed", "dropout", "recurrent_dropout"):
        assert name not in chosen or config[name] == chosen[name]
    again = cls.from_config(config).get_config()
    assert json.dumps(again, default=str) == json.dumps(config, default=str)


def test_seeds_survive(rng):
    x = rng.normal(size=(2, 3, 4)).astype("f")
    for make in (layers.SimpleRNN, layers.LSTM, layers.GRU):
        layer = make(3, dropout=0.5, seed=5)
        layer.build(x.shape)
        again = make.from_config(layer.get_config())
        again.build(x.shape)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(x, training=True), layer(x, training=True))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: layers.AveragePooling2D(), r"^AveragePooling2D.__init__\(\) missing 1 required positional argument: 'pool_size'"),
    (lambda: layers.Conv2D(3), r"^Conv2D.__init__\(\) missing 1 required positional argument: 'kernel_size'"),
    (lambda: layers.LSTM(3, cell=4), r"^LSTM.__init__\(\) got multiple values for argument 'cell'"),
    (lambda: nn.MaxPool2d(2, data_format="channels_last"), r"^MaxPool2d.__init__\(\) got multiple values"),
    (lambda: optimizers.Adam(decay_rate=1), r"^Adam.* 'decay_rate'"),
])
def test_type_errors_of_arguments(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_type_errors_that_are_not_about_the_arguments_stay():
    class Careless(Layer):
        def __init__(self):
            super().__init__()
            layers.Dense()

    with pytest.raises(TypeError, match=r"^Dense.__init__\(\) missing"):
        Careless()


def test_the_size_of_an_input_is_not_held_to():
    """In calls, predict and fit, of Model and Sequential alike; a layer that needs a size says so."""
    from nblayers.models import Model, Sequential
    inputs = layers.Input((8, 8, 3))
    parts = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    functional, flat = Model(inputs, parts[1](parts[0](inputs))), Sequential([layers.Input((4, 4)), layers.Flatten(),
                                                                              layers.Dense(2)])
    sequential = Sequential([layers.Input((8, 8, 3)), *parts])
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("f")
    expected = parts[1](parts[0](x))
    for model in (functional, sequential):
        np.testing.assert_array_equal(model(x), expected)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)
        model.compile(nblayers.optimizers.SGD(0.0), "mse")
        model.fit(x, expected, verbose=0)
        with pytest.raises(ValueError, match=r"expected shape \(None, 8, 8, 3\) for input"):
            model(x[0])
        with pytest.raises(ValueError, match=r"Conv2D '.*': expected size 3 on axis -1 of the input, got 2"):
            model(x[..., :2])
    with pytest.raises(ValueError, match=r"Dense '.*': expected size 16 on axis -1 of the input, got 20"):
        flat(np.ones((2, 5, 4)))


@pytest.mark.parametrize("make", [
    lambda: layers.LSTM(4, dropout="a", name="mine"), lambda: layers.GRU(0, name="mine"),
    lambda: layers.SimpleRNN(4, activation="nonsense", name="mine"), lambda: layers.ConvLSTM2D(2, "a", name="mine"),
    lambda: layers.LSTM(2, name="mine")(np.ones((1, 3, 0), "f")), lambda: layers.GRU(2, bias_initializer=3, name="mine"),
])
def test_what_the_cell_refuses_names_the_layer_that_made_it(make):
    with pytest.raises((ValueError, TypeError), match=r"^\w+ 'mine': "):
        make()
    with pytest.raises(ValueError, match=r"^LSTMCell 'own': expected dropout"):
        layers.LSTMCell(3, dropout=2, name="own")


@pytest.mark.parametrize("mask", [[[1, 0, 1], [0, 1, 1]], np.array([[0.7, 0, 1], [0, 0.9, 1]]), np.eye(3)[:2] > 0], ids=str)
@pytest.mark.parametrize("make, before", [(layers.Softmax, ()), (lambda: layers.LSTM(2), (None,)),
                                          (layers.BatchNormalization, (True,))])
def test_a_mask_in_its_place_is_one_by_its_name(make, before, mask, rng):
    layer = make()
    x = rng.normal(size=(2, 3) if isinstance(layer, layers.Softmax) else (2, 3, 4)).astype("f")
    expected = layer(x, *before, mask=mask)
    np.testing.assert_array_equal(layer(x, *before, mask), expected)


def test_a_mask_of_numbers_in_its_place():
    x = np.zeros((1, 3), "f")
    np.testing.assert_allclose(layers.Softmax()(x, np.array([[0.4, 0.9, 1.0]])), [[0, 0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("make", [
    lambda: layers.Dense(2, name="a"), lambda: layers.Conv2D(2, 1, name="a"), lambda: layers.LSTM(2, name="a"),
    lambda: layers.BatchNormalization(name="a"), lambda: layers.ReLU(name="a"), lambda: layers.Add(name="a"),
    lambda: layers.Embedding(3, 2, name="a"), lambda: layers.Attention(name="a"), lambda: nblayers.Sequential(name="a"),
    lambda: layers.TimeDistributed(layers.Dense(2), name="a"), lambda: layers.Bidirectional(layers.LSTM(2), name="a")])
@pytest.mark.parametrize("shape", ["abc", 5, 2.5, [(2, "b")], {"a": 3}])
def test_build_wants_a_shape(make, shape):
    with pytest.raises(ValueError, match=r" 'a': build expected an input shape such as .*, got "):
        make().build(shape)


@pytest.mark.parametrize("make, argument", [
    (lambda: layers.Dropout(0.5), "inputs"), (lambda: layers.Add(), "inputs"), (lambda: layers.Lambda(lambda x: x), "inputs"),
    (lambda: layers.Identity(), "inputs"), (lambda: layers.LSTM(2), "sequences"), (lambda: nn.Linear(2, 2), "inputs"),
    (lambda: layers.Concatenate(), "inputs"), (lambda: layers.Attention(), "inputs"),
    (lambda: layers.MultiHeadAttention(1, 2), "query")])
def test_an_input_is_no_none(make, argument):
    layer = make()
    with pytest.raises(ValueError, match=f"{layer.name}': expected an array as {argument}, got None"):
        layer(None)


@pytest.mark.parametrize("make, x", [(lambda: layers.Dense(2, autocast=False), np.ones((2, 3))),
                                     (lambda: layers.Conv1D(2, 1, autocast=False), np.ones((2, 3, 2))),
                                     (lambda: layers.LSTM(2, autocast=False), np.ones((2, 3, 2), "float16"))])
def test_uncast_inputs_of_another_dtype_are_refused(make, x):
    layer = make()
    with pytest.raises(TypeError, match=f"{layer.name}': expected inputs of its dtype float32, .*got {x.dtype}"):
        layer(x)


def test_weights_take_time_in_proportion_to_their_number():
    """As each list is made with a table, and no member is compared with all others."""
    class Counted(layers.Dense):
        compared = 0

        def __eq__(self, other):
            Counted.compared += 1
            return self is other

        __hash__ = layers.Dense.__hash__

    model = nblayers.Sequential([nblayers.Input((1,)), *(Counted(1) for _ in range(300))])
    Counted.compared = 0
    assert len(model.weights) == len(model.trainable_weights) == 600 and not model.non_trainable_weights
    assert Counted.compared == 0
    shared = layers.Dense(1)
    assert len(nblayers.Sequential([nblayers.Input((1,)), shared, layers.Dense(1), shared]).weights) == 4
