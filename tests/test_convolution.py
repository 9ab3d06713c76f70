"""Convolution: the three kernels, the ten layers and PyTorch's six: values, gradients, options, configuration, errors."""
import inspect
import os
import subprocess
import sys

import jax
import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, assert_same, copy_weights, rooms_agree, run_kernel

import kernels
import nblayers
from nblayers import config, initializers, layers, nn
from nblayers.devices import to_numpy
from nblayers.layers import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3DTranspose, DepthwiseConv2D, SeparableConv2D
from nblayers.serialization import deserialize_keras_object, serialize_keras_object

DTYPES = ["float32", "float64"]


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """JAX compiles anew for every shape, which takes far longer than the sums."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# image (B, D, H, W, C), windows (OD, OH, OW, F), taps, strides, padding, dilation, groups
GEOMETRIES = {
    "one of everything": ((1, 1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "pointwise": ((2, 1, 3, 2, 5), (1, 3, 2, 3), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "pointwise, strides": ((1, 1, 4, 5, 3), (1, 2, 3, 2), (1, 1, 1), (1, 2, 2), (0, 0, 0), (1, 1, 1), 1),
    "sequence": ((3, 1, 1, 7, 2), (1, 1, 5, 3), (1, 1, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "causal": ((2, 1, 1, 5, 1), (1, 1, 5, 2), (1, 1, 3), (1, 1, 1), (0, 0, 4), (1, 1, 2), 1),
    "same, even window": ((1, 1, 3, 4, 2), (1, 3, 4, 3), (1, 2, 4), (1, 1, 1), (0, 0, 1), (1, 1, 1), 1),
    "strides past the end": ((2, 1, 6, 5, 2), (1, 2, 1, 3), (1, 2, 2), (1, 3, 4), (0, 0, 0), (1, 1, 1), 1),
    "window larger than the image": ((1, 1, 2, 2, 3), (1, 2, 2, 2), (1, 5, 5), (1, 1, 1), (0, 2, 2), (1, 1, 1), 1),
    "volume, all different": ((2, 3, 2, 5, 3), (2, 2, 2, 2), (2, 1, 3), (2, 1, 2), (1, 0, 1), (1, 1, 1), 1),
    "dilation and strides": ((1, 2, 6, 7, 2), (2, 2, 3, 3), (1, 3, 2), (1, 2, 2), (0, 1, 0), (1, 2, 3), 1),
    "longer than reached": ((1, 1, 4, 9, 2), (1, 2, 2, 3), (1, 1, 2), (1, 2, 4), (0, 0, 0), (1, 1, 1), 1),
    "windows outside": ((1, 1, 3, 2, 2), (1, 5, 6, 2), (1, 2, 1), (1, 2, 1), (0, 3, 2), (1, 1, 1), 1),
    "groups": ((1, 1, 3, 3, 6), (1, 3, 3, 4), (1, 3, 2), (1, 1, 1), (0, 1, 1), (1, 1, 1), 2),
    "groups, strides, dilation": ((1, 2, 4, 5, 4), (1, 2, 2, 2), (2, 2, 2), (1, 2, 2), (0, 1, 0), (1, 2, 2), 2),
    "depthwise": ((2, 1, 4, 3, 5), (1, 4, 3, 5), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 5),
    "depthwise, multiplier": ((1, 2, 3, 5, 3), (2, 2, 3, 6), (1, 2, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 3),
    "more channels than a tile": ((1, 1, 1, 2, 9), (1, 1, 2, 11), (1, 1, 2), (1, 1, 1), (0, 0, 1), (1, 1, 1), 1),
}
geometries = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


def arrays_of(geometry, dtype, rng):
    image, windows, taps, *_, groups = geometry
    x, y = rng.normal(size=image), rng.normal(size=(image[0], *windows))
    w = rng.normal(size=(*taps, image[-1] // groups, windows[-1]))
    return tuple(array.astype(dtype) for array in (x, w, y))


def kernels_agree(geometry, dtype, rooms, rng, tolerance=None):
    x, w, y = arrays_of(geometry, dtype, rng)
    steps, settings = (*geometry[3:], True), dict(rooms=rooms, rtol=tolerance, atol=tolerance)
    bias = rng.normal(size=(2, 130)).astype(dtype)
    rooms_agree("convolution", "convolve", [x, w, bias[0, :y.shape[-1]], *steps], [y.shape], **settings)
    rooms_agree("convolution", "convolve_transposed", [y, w, bias[1, :x.shape[-1]], *steps], [x.shape], **settings)
    before = rng.normal(size=w.shape).astype(dtype)
    rooms_agree("convolution", "convolve_weight_gradient", [x, y, *steps], [before], **settings)
    no_bias, dbias = np.zeros(x.shape[-1], dtype), rng.normal(size=y.shape[-1]).astype(dtype)
    rooms_agree("convolution", "convolve_backward", [x, w, no_bias, y, *steps], [before, dbias, x.shape], **settings)


@geometries
def test_kernels_agree(geometry, rng):
    kernels_agree(geometry, "float64", kernels.ROOMS, rng)


@geometries
def test_kernels_agree_in_single_precision(geometry, rng):
    in_cuda = geometry in (GEOMETRIES["pointwise, strides"], GEOMETRIES["sequence"], GEOMETRIES["depthwise"])
    kernels_agree(geometry, "float32", kernels.ROOMS if in_cuda else ("reference", "cpu"), rng)


LARGER = {                              # than the simulator has patience for
    "many channels": ((1, 1, 4, 7, 37), (1, 4, 7, 67), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "many channels, strides": ((2, 1, 7, 9, 33), (1, 4, 5, 19), (1, 3, 2), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    "long sequence": ((3, 1, 1, 301, 5), (1, 1, 150, 8), (1, 1, 4), (1, 1, 2), (0, 0, 1), (1, 1, 1), 1),
    "many groups": ((1, 1, 5, 6, 48), (1, 5, 6, 36), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 12),
    "wide depthwise": ((2, 1, 9, 11, 70), (1, 9, 11, 70), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 70),
    "wide depthwise, multiplier, dilation": ((1, 2, 8, 9, 21), (2, 4, 5, 63), (1, 3, 2), (1, 2, 2), (0, 2, 1), (1, 2, 2), 21),
    "large window": ((1, 3, 7, 5, 3), (3, 7, 5, 4), (3, 7, 4), (1, 1, 1), (1, 3, 1), (1, 1, 1), 1),
    "wide pointwise": ((3, 1, 9, 7, 130), (1, 9, 7, 65), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("geometry", LARGER.values(), ids=LARGER)
def test_larger_kernels_agree(geometry, dtype, rng):
    kernels_agree(geometry, dtype, ("reference", "cpu"), rng, 1e-4 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("room", ["reference", "cpu"])
@geometries
def test_the_three_kernels_are_one_form(geometry, room, rng):
    """<convolve(x, w), y> = <x, convolve_transposed(y, w)> = <w, convolve_weight_gradient(x, y)>: one sum over all paths."""
    x, w, y = arrays_of(geometry, "float64", rng)
    steps = *geometry[3:], True
    none = np.zeros(64)
    [forward] = run_kernel(room, "convolution", "convolve", [x, w, none[:y.shape[-1]], *steps], [y])
    [back] = run_kernel(room, "convolution", "convolve_transposed", [y, w, none[:x.shape[-1]], *steps], [x])
    [dw] = run_kernel(room, "convolution", "convolve_weight_gradient", [x, y, *steps], [np.zeros_like(w)])
    total = np.vdot(forward, y)
    assert np.vdot(back, x) == pytest.approx(total, rel=1e-10, abs=1e-10)
    assert np.vdot(dw, w) == pytest.approx(total, rel=1e-10, abs=1e-10)


def test_the_formula_by_hand(device):
    """Nine numbers, a window of four: the sums written out."""
    x = np.arange(9.0).reshape(1, 1, 3, 3, 1)
    w, b = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 2, 2, 1, 1), np.array([0.5])
    steps = (1, 1, 1), (0, 0, 0), (1, 1, 1), 1, True
    [y] = run_kernel(device, "convolution", "convolve", [x, w, b, *steps], [np.empty((1, 1, 2, 2, 1))])
    np.testing.assert_array_equal(y.ravel(), [4310.5, 5421.5, 7643.5, 8754.5])
    ones = np.ones((1, 1, 2, 2, 1))
    [dx] = run_kernel(device, "convolution", "convolve_transposed", [ones, w, b, *steps], [np.empty((1, 1, 3, 3, 1))])
    np.testing.assert_array_equal(dx.ravel(), [1.5, 11.5, 10.5, 101.5, 1111.5, 1010.5, 100.5, 1100.5, 1000.5])
    [dw] = run_kernel(device, "convolution", "convolve_weight_gradient", [x, ones, *steps], [np.ones((1, 2, 2, 1, 1))])
    np.testing.assert_array_equal(dw.ravel(), [9, 13, 21, 25])


# layer, input shape (channels last), arguments
CASES = [
    ("Conv1D", (2, 7, 3), dict(filters=4, kernel_size=3)),
    ("Conv1D", (2, 7, 4), dict(filters=6, kernel_size=2, strides=3, groups=2, activation="relu")),
    ("Conv1D", (2, 9, 3), dict(filters=2, kernel_size=3, padding="causal", dilation_rate=2, activation="tanh")),
    ("Conv1D", (1, 8, 2), dict(filters=2, kernel_size=3, padding="causal", strides=3, use_bias=False)),
    ("Conv1D", (2, 6, 2), dict(filters=3, kernel_size=4, padding="same")),
    ("Conv2D", (2, 5, 4, 3), dict(filters=5, kernel_size=3)),
    ("Conv2D", (2, 7, 6, 4), dict(filters=6, kernel_size=(3, 2), strides=(2, 3), padding="same", groups=2)),
    ("Conv2D", (1, 7, 6, 2), dict(filters=3, kernel_size=(2, 3), dilation_rate=(2, 1), padding="same", activation="relu")),
    ("Conv2D", (2, 4, 3, 2), dict(filters=3, kernel_size=1, use_bias=False, activation="softmax")),
    ("Conv2D", (2, 1, 1, 1), dict(filters=1, kernel_size=1)),
    ("Conv2D", (1, 3, 3, 2), dict(filters=2, kernel_size=5, padding="same")),
    ("Conv3D", (2, 4, 3, 5, 2), dict(filters=3, kernel_size=(2, 3, 2), activation="elu")),
    ("Conv3D", (1, 4, 5, 3, 4), dict(filters=2, kernel_size=3, strides=(1, 2, 2), padding="same", groups=2)),
    ("Conv3D", (1, 5, 4, 3, 2), dict(filters=2, kernel_size=2, dilation_rate=(2, 1, 1), use_bias=False)),
    ("DepthwiseConv1D", (2, 7, 3), dict(kernel_size=3, activation="relu")),
    ("DepthwiseConv1D", (2, 7, 3), dict(kernel_size=2, strides=2, padding="same", depth_multiplier=2, use_bias=False)),
    ("DepthwiseConv2D", (2, 5, 4, 3), dict(kernel_size=(3, 2), depth_multiplier=3, activation="sigmoid")),
    ("DepthwiseConv2D", (1, 6, 7, 2), dict(kernel_size=3, strides=2, padding="same")),
    ("DepthwiseConv2D", (1, 6, 5, 2), dict(kernel_size=2, dilation_rate=(2, 3), depth_multiplier=2)),
    ("SeparableConv1D", (2, 7, 3), dict(filters=4, kernel_size=3, activation="relu")),
    ("SeparableConv1D", (2, 8, 2), dict(filters=3, kernel_size=2, strides=2, padding="same", depth_multiplier=3)),
    ("SeparableConv2D", (2, 5, 4, 3), dict(filters=2, kernel_size=(2, 3), padding="same", depth_multiplier=2)),
    ("SeparableConv2D", (1, 6, 5, 2), dict(filters=3, kernel_size=2, dilation_rate=(3, 2), use_bias=False, activation="tanh")),
    ("Conv1DTranspose", (2, 4, 3), dict(filters=2, kernel_size=3, activation="relu")),
    ("Conv1DTranspose", (2, 4, 3), dict(filters=2, kernel_size=3, dilation_rate=2, padding="same")),
    ("Conv2DTranspose", (2, 3, 4, 3), dict(filters=2, kernel_size=3, strides=2, padding="same", activation="relu")),
    ("Conv2DTranspose", (1, 3, 2, 2), dict(filters=3, kernel_size=(3, 2), strides=(2, 4), use_bias=False)),
    ("Conv2DTranspose", (1, 3, 2, 2), dict(filters=3, kernel_size=(3, 2), strides=(3, 2), output_padding=(2, 1))),
    ("Conv3DTranspose", (1, 2, 3, 2, 2), dict(filters=2, kernel_size=(3, 1, 2), strides=(2, 1, 3), padding="same")),
]
CHANNELS_FIRST = [CASES[index] for index in (2, 6, 8, 12, 16, 20, 21, 25, 28)]


def named(case):
    name, _, arguments = case
    return f"{name}-" + "-".join(f"{key}={value}" for key, value in arguments.items())


def first(shape):
    return (shape[0], shape[-1], *shape[1:-1])


def agrees(name, x, **arguments):
    """Our layer agrees with Keras'. That is given our weights, as drawing its own takes JAX seconds, and compiled whole."""
    kinds = {"D": ["depthwise"], "S": ["depthwise", "pointwise"], "C": ["kernel"]}[name[0]]
    theirs = getattr(keras.layers, name)(**arguments, **{f"{kind}_initializer": "zeros" for kind in kinds})
    theirs.build(x.shape)
    object.__setattr__(theirs, "stateless_call", jax.jit(theirs.stateless_call))
    agrees_with_keras(getattr(layers, name)(bias_initializer="random_normal", **arguments), theirs, x)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_agrees_with_keras(case, rng):
    name, shape, arguments = case
    agrees(name, rng.normal(size=shape).astype("float32"), **arguments)


@pytest.mark.parametrize("case", CHANNELS_FIRST, ids=named)
def test_channels_first_agrees_with_keras(case, rng):
    """Softmax too: it works along the last axis, which is then not that of the channels."""
    name, shape, arguments = case
    agrees(name, rng.normal(size=first(shape)).astype("float32"), data_format="channels_first", **arguments)


@pytest.mark.parametrize("largest", [None, False, True], ids=lambda value: f"output_padding {value}")
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_paddings_agree_with_keras(padding, largest, rng):
    """A window smaller than its stride, an even one and an odd one."""
    o = None if largest is None else (2, 2, 1) if largest else 0
    settings = dict(filters=2, kernel_size=(1, 4, 5), strides=(3, 3, 2), padding=padding, output_padding=o)
    agrees("Conv3DTranspose", rng.normal(size=(1, 2, 2, 3, 1)).astype("float32"), **settings)


@pytest.mark.parametrize("output_padding", [None, 0, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_lengths_are_keras(padding, output_padding):
    for kernel_size, strides, dilation_rate in [(k, s, 1) for k in range(1, 7) for s in range(1, 5)] + [(3, 1, 2), (2, 1, 3)]:
        o = None if output_padding is None else min(output_padding, strides - 1)
        ours, theirs = (module.layers.Conv1DTranspose(2, kernel_size, strides, padding, o, dilation_rate=dilation_rate)
                        for module in (nblayers, keras))
        assert ours.compute_output_shape((None, 4, 3)) == tuple(theirs.compute_output_shape((None, 4, 3)))


@pytest.mark.parametrize("name, shape, arguments", [CASES[7], CASES[21]])
def test_double_precision_agrees_with_keras(name, shape, arguments, rng, x64):
    agrees(name, rng.normal(size=shape), dtype="float64", **arguments)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_gradients(case, rng):
    name, shape, arguments = case
    layer = getattr(layers, name)(bias_initializer="random_normal", **{**arguments, "activation": "tanh"})
    assert nblayers.gradcheck(layer, rng.normal(size=shape))


@pytest.mark.parametrize("case", CHANNELS_FIRST[::3], ids=named)
def test_gradients_channels_first(case, rng):
    name, shape, arguments = case
    assert nblayers.gradcheck(getattr(layers, name)(data_format="channels_first", **arguments), rng.normal(size=first(shape)))


PENALTIES = dict(kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2")


def test_gradients_with_regularizers(rng):
    assert nblayers.gradcheck(Conv2D(2, 2, bias_initializer="ones", **PENALTIES), rng.normal(size=(2, 3, 3, 2)))


@pytest.mark.parametrize("case", [CASES[i] for i in (2, 6, 16, 21, 25)], ids=named)
def test_every_room(case, device, rng):
    name, shape, arguments = case
    x = rng.normal(size=shape)
    reference = getattr(layers, name)(dtype="float64", **arguments).to("reference")
    expected = reference(x)
    dy = rng.normal(size=expected.shape)
    layer = getattr(layers, name)(dtype="float64", **arguments).to(device)
    layer.build(x.shape)
    copy_weights(reference, layer)
    assert_same(layer(x), expected, "output", rtol=1e-10, atol=1e-12)
    assert_same(layer.backward(dy), reference.backward(dy), "input gradient", rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(layer.weights, reference.weights, strict=True):
        assert_same(ours.grad, theirs.grad, ours.path, rtol=1e-10, atol=1e-12)


def to_torch(kernel):
    """(k…, a, b) as (b, a, k…)."""
    return torch.tensor(np.moveaxis(kernel, (-1, -2), (0, 1)).copy(), requires_grad=True)


@pytest.mark.parametrize("kind, rank", [*(("convolution", n) for n in (1, 2, 3)), *(("transposed", n) for n in (1, 2, 3)),
                                        ("depthwise", 1), ("depthwise", 2)])
def test_agrees_with_pytorch(kind, rank, rng):
    """Windows as PyTorch places them: "valid" is no padding."""
    name = {"convolution": "Conv{}D", "depthwise": "DepthwiseConv{}D", "transposed": "Conv{}DTranspose"}[kind].format(rank)
    settings = {"convolution": dict(filters=6, strides=2, groups=2), "depthwise": dict(strides=2, depth_multiplier=2),
                "transposed": dict(filters=3, strides=2, output_padding=1)}[kind]
    layer = getattr(layers, name)(kernel_size=3, bias_initializer="random_normal", dtype="float64", **settings)
    x = rng.normal(size=(2, *(7, 6, 5)[:rank], 4))
    y = layer(x)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)

    kernel, bias = layer.get_weights()
    if kind == "depthwise":
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
    t, w, b = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True), to_torch(kernel), torch.tensor(bias)
    if kind == "transposed":
        out = getattr(torch, f"conv_transpose{rank}d")(t, w, b, stride=2, output_padding=1)
    else:
        out = getattr(torch, f"conv{rank}d")(t, w, b, stride=2, groups=2 if kind == "convolution" else 4)
    out.backward(torch.tensor(np.moveaxis(dy, -1, 1).copy()))
    assert_same(np.moveaxis(y, -1, 1), out.detach().numpy(), "output", rtol=1e-10, atol=1e-12)
    assert_same(np.moveaxis(dx, -1, 1), t.grad.numpy(), "input gradient", rtol=1e-10, atol=1e-12)
    grad = layer.kernel.grad.reshape(kernel.shape)
    assert_same(np.moveaxis(grad, (-1, -2), (0, 1)), w.grad.numpy(), "kernel gradient", rtol=1e-10, atol=1e-12)


TORCH = [
    ("Conv1d", (2, 4, 9), dict(in_channels=4, out_channels=6, kernel_size=3, stride=2, padding=2, dilation=2, groups=2)),
    ("Conv2d", (2, 1, 5, 4), dict(in_channels=1, out_channels=1, kernel_size=2, stride=1, padding=0)),      # document 002
    ("Conv2d", (1, 3, 5, 4), dict(in_channels=3, out_channels=2, kernel_size=3, padding="same", dilation=2, bias=False)),
    ("Conv2d", (2, 3, 5, 4), dict(in_channels=3, out_channels=2, kernel_size=(3, 2), padding="valid", stride=(2, 1))),
    ("Conv3d", (2, 3, 4, 3, 4), dict(in_channels=3, out_channels=2, kernel_size=(3, 2, 1), padding=(1, 0, 1))),
    ("ConvTranspose1d", (2, 4, 5), dict(in_channels=4, out_channels=6, kernel_size=3, stride=2, padding=1, output_padding=1,
                                        groups=2, dilation=2)),
    ("ConvTranspose2d", (1, 4, 3, 2), dict(in_channels=4, out_channels=2, kernel_size=(3, 2), stride=(2, 3), padding=(1, 0),
                                           output_padding=(1, 2), bias=False)),
    ("ConvTranspose2d", (1, 2, 3, 2), dict(in_channels=2, out_channels=3, kernel_size=2, output_padding=1, dilation=2)),
    ("ConvTranspose3d", (1, 2, 3, 2, 2), dict(in_channels=2, out_channels=3, kernel_size=2, stride=2, padding=1)),
]


@pytest.mark.parametrize("case", TORCH, ids=named)
def test_nn_agrees_with_pytorch(case, rng):
    name, shape, arguments = case
    ours, theirs = getattr(nn, name)(dtype="float64", **arguments), getattr(torch.nn, name)(**arguments).double()
    ours.set_weights([p.detach().numpy() for p in theirs.parameters()])
    x = rng.normal(size=shape)
    t = torch.tensor(x, requires_grad=True)
    expected, y = theirs(t), ours(x)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.tensor(dy))
    assert_same(y, expected.detach().numpy(), "output", rtol=1e-10, atol=1e-12)
    assert_same(ours.backward(dy), t.grad.numpy(), "input gradient", rtol=1e-10, atol=1e-12)
    for p, q in zip(ours.weights, theirs.parameters(), strict=True):
        assert_same(p.grad, q.grad.numpy(), p.path, rtol=1e-10, atol=1e-12)
    assert ours.compute_output_shape(shape) == y.shape


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"])
def test_nn_arguments_are_pytorch_s(name):
    ours = {key: value.default for key, value in inspect.signature(getattr(nn, name)).parameters.items() if key != "kwargs"}
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert list(ours) == [key for key in theirs if key not in ("device", "dtype")]
    assert all(ours[key] == theirs[key].default for key in ours)


def test_nn_gradients(rng):
    assert nblayers.gradcheck(nn.Conv2d(2, 2, 2, padding=1), rng.normal(size=(2, 2, 3, 2)))
    assert nblayers.gradcheck(nn.ConvTranspose1d(2, 4, 3, stride=2, padding=1, groups=2), rng.normal(size=(2, 2, 3)))


def test_nn_starts_as_pytorch_does():
    nblayers.utils.set_random_seed(0)
    for ours, theirs in ((nn.Conv2d(16, 32, 3, groups=2), torch.nn.Conv2d(16, 32, 3, groups=2)),
                         (nn.ConvTranspose1d(32, 64, 5), torch.nn.ConvTranspose1d(32, 64, 5))):
        for p, q in zip(ours.weights, theirs.parameters(), strict=True):
            q = q.detach().numpy()
            assert p.shape == q.shape and abs(p.value).max() == pytest.approx(abs(q).max(), rel=0.2)
            assert p.value.std() == pytest.approx(q.std(), rel=0.3)


@pytest.mark.parametrize("case", TORCH, ids=named)
def test_nn_config(case):
    name, _, arguments = case
    layer = getattr(nn, name)(**arguments)
    again = deserialize_keras_object(serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]


@pytest.mark.parametrize("make, message", [
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="reflect"), "expected padding_mode 'zeros', got 'reflect'"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "expected in_channels and out_channels to be divisible by groups, got 3 and 4 with"),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), r"expected stride 1 with padding 'same', got \(2, 2\)"),
    (lambda: nn.Conv2d(3, 4, 3, padding="causal"), "expected padding 'valid' or 'same', got 'causal'"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), "expected an? integer that is not negative or a tuple of 2 as padding, got -1"),
    (lambda: nn.Conv2d(0, 4, 3), "expected a positive integer as in_channels, got 0"),
    (lambda: nn.Conv2d(3, 4.0, 3), "expected a positive integer as out_channels, got 4.0"),
    (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2, output_padding=2), r"expected an output_padding below stride=\(2,\)"),
    (lambda: nn.Conv2d(3, 4, 3)(np.ones((1, 4, 5, 5))), "expected size 3 on axis -3 of the input, got 4"),
    (lambda: nn.Conv2d(3, 4, 3)(np.ones((3, 5))), "expected an input of at least 3 axes, got 2"),
    (lambda: nn.Conv1d(3, 4, 3)(np.ones((1, 3, 2))), r"an output of one place or more on each axis, got \(2,\)"),
    (lambda: nn.ConvTranspose1d(3, 4, 1, padding=2)(np.ones((1, 3, 4))), r"which gives \(0,\)"),
])
def test_nn_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


LAYERS = sorted({name for name, *_ in CASES})


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_are_keras(name):
    """Names, order and defaults, 1 standing for (1, 1)."""
    def arguments(cls):
        found = [p for p in inspect.signature(cls.__init__).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        return {p.name: 1 if p.default in ((1, 1), (1, 1, 1)) else p.default for p in found}
    ours, theirs = arguments(getattr(layers, name)), arguments(getattr(keras.layers, name))
    assert list(ours.items()) == list(theirs.items())[:len(ours)]
    assert len(ours) == len(theirs) or name == "Conv3DTranspose"        # which passes the rest on


@pytest.mark.parametrize("case", CASES[::2], ids=named)
def test_config_both_ways(case):
    name, _, arguments = case
    ours, theirs = (getattr(module.layers, name)(name="one", trainable=False, **arguments) for module in (nblayers, keras))
    config = theirs.get_config()
    assert ours.get_config().keys() == config.keys()
    assert type(ours).from_config(config).get_config() == ours.get_config()
    again = type(theirs).from_config(ours.get_config())
    assert again.get_config() == config


def test_config_keeps_what_it_was_given():
    given = dict(depthwise_initializer="he_normal", pointwise_regularizer="l2", bias_constraint="non_neg", activation="relu",
                 data_format="channels_first", activity_regularizer="l1", dtype="float64")
    again = SeparableConv2D.from_config(SeparableConv2D(3, 2, **given).get_config())
    assert type(again.depthwise_initializer).__name__ == "HeNormal" and type(again.bias_constraint).__name__ == "NonNeg"
    assert type(again.pointwise_regularizer).__name__ == "L2" and type(again.activity_regularizer).__name__ == "L1"
    assert again.activation is nblayers.activations.relu and (again.data_format, again.dtype) == ("channels_first", "float64")


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Depthwise")])
def test_aliases(name):
    alias = name.replace("Conv", "Convolution")
    assert getattr(layers, alias) is getattr(layers, name) and hasattr(keras.layers, alias)


@pytest.mark.parametrize("case", CASES[1::3], ids=named)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_output_shape(case, data_format):
    name, shape, arguments = case
    ours, theirs = (getattr(module.layers, name)(data_format=data_format, **arguments) for module in (nblayers, keras))
    for places in (shape[1:-1], (None,) * (len(shape) - 2)):
        given = (None, *places, shape[-1]) if data_format == "channels_last" else (None, shape[-1], *places)
        assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))


def test_default_data_format():
    nblayers.config.set_image_data_format("channels_first")
    assert Conv2D(4, 3)(np.ones((1, 2, 5, 6))).shape == (1, 4, 3, 4)
    assert nn.Conv2d(2, 4, 3)(np.ones((1, 2, 5, 6))).shape == (1, 4, 3, 4)


def training_settings(name):
    kinds = ["depthwise", "pointwise"] if name == "SeparableConv2D" else ["kernel"]
    settings = {f"{kind}_regularizer": "l2" for kind in [*kinds, "bias"]} | {f"{kinds[0]}_constraint": "max_norm"}
    return settings | {"bias_constraint": "non_neg", "activity_regularizer": "l2", "bias_initializer": "ones"}


@pytest.mark.parametrize("name, arguments", [
    ("SeparableConv2D", dict(filters=3, kernel_size=2)), ("Conv2DTranspose", dict(filters=3, kernel_size=2, strides=2))])
def test_two_training_steps_agree_with_keras(name, arguments, rng):
    """With regularizers, constraints and an activity regularizer, which act between the steps."""
    def model_of(module):
        return module.models.Sequential([module.layers.Input((4, 5, 2)), getattr(module.layers, name)(
            activation="relu", **arguments, **training_settings(name)), module.layers.Flatten(), module.layers.Dense(1)])
    ours, theirs = model_of(nblayers), model_of(keras)
    copy_weights(ours, theirs)
    x, y = rng.normal(size=(3, 4, 5, 2)).astype("float32"), rng.normal(size=(3, 1)).astype("float32")
    losses = []
    for module, model in ((nblayers, ours), (keras, theirs)):
        model.compile(optimizer=module.optimizers.SGD(0.1), loss="mse")
        losses.append([float(model.train_on_batch(x, y)) for _ in range(2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-3, atol=1e-5)


def test_gradients_add_up(rng):
    layer, x = SeparableConv2D(3, 2), rng.normal(size=(2, 4, 4, 2))
    dy = rng.normal(size=layer(x).shape)
    layer.backward(dy)
    once = [w.grad.copy() for w in layer.weights]
    layer.backward(dy)
    for w, grad in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(w.grad, 2 * grad, rtol=1e-5, atol=1e-5)
    layer.zero_grad()
    assert not any(w.grad.any() for w in layer.weights)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_input_that_is_not_contiguous(data_format, device, rng):
    x = rng.normal(size=(2, 3, 2, 2)).astype("float32").transpose(2, 1, 0, 3)
    layer = Conv2D(2, 2, data_format=data_format).to(device)
    y = to_numpy(layer(x))
    dy = rng.normal(size=(y.shape[1], y.shape[0], *y.shape[2:])).astype("float32").swapaxes(0, 1)
    dx = to_numpy(layer.backward(dy))
    np.testing.assert_array_equal(y, to_numpy(layer(np.ascontiguousarray(x))))
    np.testing.assert_array_equal(dx, to_numpy(layer.backward(np.ascontiguousarray(dy))))


@pytest.mark.parametrize("case", CASES[::3], ids=named)
def test_a_batch_of_one(case, rng):
    name, shape, arguments = case
    x = rng.normal(size=(2, *shape[1:])).astype("float32")
    layer = getattr(layers, name)(**arguments)
    y = layer(x)
    dx = layer.backward(y)
    np.testing.assert_allclose(layer(x[:1]), y[:1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.backward(y[:1]), dx[:1], rtol=1e-5, atol=1e-6)


def test_inputs_of_another_size(rng):
    """Fully convolutional: one layer, images of several sizes, records that are handed back."""
    layer = Conv2D(3, 3, padding="same", activation="tanh")
    small, large = rng.normal(size=(1, 4, 4, 2)), rng.normal(size=(2, 7, 5, 2))
    y, record = layer(small), layer.cache
    expected = layer.backward(y)
    layer(large)
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(y), expected)


def test_the_cache_keeps_no_more_than_backward_reads(rng):
    x = rng.normal(size=(1, 4, 4, 2)).astype("float32")
    layer = Conv2D(3, 3)
    layer(x)
    assert np.shares_memory(layer.cache.x, x) and layer.cache.z is None and layer.cache.y is None
    layer = DepthwiseConv2D(3, activation="relu")
    y = layer(x)
    assert layer.cache.y is y and layer.cache.z is y
    layer = DepthwiseConv2D(3, activation="gelu")
    layer(x)
    assert layer.cache.z is not layer.cache.y


@pytest.mark.parametrize("case", CASES[::4], ids=named)
def test_a_first_layer_needs_no_input_gradient(case, rng):
    name, shape, arguments = case
    x = rng.normal(size=shape).astype("float32")
    layer = getattr(layers, name)(**arguments)
    y = layer(x)
    layer.backward(y)
    expected = [w.grad.copy() for w in layer.weights]
    layer.zero_grad()
    layer.input_gradient = False
    assert layer.backward(y) is None
    assert_same([w.grad for w in layer.weights], expected, rtol=1e-6)


ERRORS = [
    (lambda: Conv2D(0, 3), "expected a positive integer as filters, got 0"),
    (lambda: Conv2D(2.5, 3), "expected a positive integer as filters, got 2.5"),
    (lambda: Conv2D(4, 0), "expected a positive integer or a tuple of 2 as kernel_size, got 0"),
    (lambda: Conv2D(4, (3, 3, 3)), r"expected a positive integer or a tuple of 2 as kernel_size, got \(3, 3, 3\)"),
    (lambda: Conv1D(4, "3"), "expected a positive integer as kernel_size, got '3'"),
    (lambda: Conv2D(4, 3, strides=0), "expected a positive integer or a tuple of 2 as strides, got 0"),
    (lambda: Conv2D(4, 3, dilation_rate=-1), "expected a positive integer or a tuple of 2 as dilation_rate, got -1"),
    (lambda: Conv2D(4, 3, strides=2, dilation_rate=(1, 2)), r"expected strides or dilation_rate of one, got strides=\(2, 2\)"),
    (lambda: Conv1DTranspose(4, 3, 2, dilation_rate=2), r"expected strides or dilation_rate of one, got strides=\(2,\)"),
    (lambda: Conv2D(4, 3, groups=0), "expected a positive integer as groups, got 0"),
    (lambda: Conv2D(4, 3, groups=3), "expected filters to be divisible by groups, got filters=4 and groups=3"),
    (lambda: Conv2D(4, 3, groups=2)(np.ones((1, 5, 5, 3))), "input's channels to be divisible by groups, got 3 channels and"),
    (lambda: Conv2D(4, 3, padding="causal"), "expected padding 'valid' or 'same', got 'causal'"),
    (lambda: Conv1D(4, 3, padding="full"), "expected padding 'valid' or 'same' or 'causal', got 'full'"),
    (lambda: Conv1DTranspose(4, 3, padding="causal"), "expected padding 'valid' or 'same', got 'causal'"),
    (lambda: Conv2D(4, 3, data_format="NHWC"), "expected data_format 'channels_last' or 'channels_first', got 'NHWC'"),
    (lambda: DepthwiseConv2D(3, depth_multiplier=0), "expected a positive integer as depth_multiplier, got 0"),
    (lambda: SeparableConv2D(0, 3), "expected a positive integer as filters, got 0"),
    (lambda: SeparableConv2D(4, 3, depth_multiplier=True), "expected a positive integer as depth_multiplier, got True"),
    (lambda: Conv2DTranspose(0, 3), "expected a positive integer as filters, got 0"),
    (lambda: Conv2DTranspose(4, 3, 2, output_padding=2), r"an output_padding below strides=\(2, 2\), got \(2, 2\)"),
    (lambda: Conv2DTranspose(4, 3, 2, output_padding=-1), "an? integer that is not negative .* as output_padding, got -1"),
    (lambda: Conv2DTranspose(4, 2, 1, "same", 0)(np.ones((1, 1, 3, 2))), r"got \(1, 3\), which gives \(0, 2\)"),
    (lambda: Conv2D(4, 5)(np.ones((1, 4, 6, 2))), r"got \(4, 6\), which gives \(0, 2\) \(kernel_size=\(5, 5\), strides="),
    (lambda: Conv1D(4, 3, dilation_rate=2)(np.ones((1, 4, 2))), r"got \(4,\), which gives \(0,\)"),
    (lambda: DepthwiseConv2D(3)(np.ones((1, 2, 2, 2))), r"one place or more on each axis, got \(2, 2\)"),
    (lambda: Conv2D(4, 3).build((None, 2, None, 3)), r"got \(2, None\), which gives \(0, None\)"),
    (lambda: Conv2D(4, 3).build((None, 5, 5, None)), r"expected an input whose channels \(axis -1\) are known, got shape"),
    (lambda: Conv2D(4, 3)(np.ones((5, 5, 3))), "expected an input of 4 axes, got 3"),
    (lambda: Conv2D(4, 3).build((None, 5, 3)), "expected an input of 4 axes, got shape"),
    (lambda: Conv2D(4, 3)(np.ones((1, 3, 5, 5, 3))), "expected an input of 4 axes, got 5"),
    (lambda: Conv2D(4, 3, padding="same")(np.ones((1, 0, 5, 3))), "one place or more on each axis"),
]


@pytest.mark.parametrize("make, message", ERRORS, ids=[message for _, message in ERRORS])
def test_errors(make, message):
    with pytest.raises(ValueError, match=r"^\w+ '\w+': .*" + message):
        make()


def test_low_rank_adaptation_is_refused():
    with pytest.raises(ValueError, match="Conv2D 'conv2d': lora_rank: low-rank adaptation and quantization are not supported"):
        Conv2D(4, 3, lora_rank=2)


def test_errors_of_a_built_layer():
    layer = Conv2D(4, 3, padding="same")
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        layer.backward(np.ones((1, 5, 5, 4)))
    layer(np.ones((1, 5, 5, 2)))
    with pytest.raises(ValueError, match="expected size 2 on axis -1 of the input, got 3"):
        layer(np.ones((1, 5, 5, 3)))
    with pytest.raises(ValueError, match=r"backward expected dy of shape \(1, 5, 5, 4\), .* got \(1, 5, 5, 3\)"):
        layer.backward(np.ones((1, 5, 5, 3)))
    with pytest.raises(TypeError, match="unknown argument 'colour'"):
        Conv2D(4, 3, colour="red")


def test_nn_in_a_model(rng):
    model = nblayers.models.Sequential([nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Flatten(),
                                        nn.Linear(32, 1)])
    model.compile(optimizer="adam", loss="mse")
    x = rng.normal(size=(8, 1, 4, 4))
    losses = model.fit(x, x.mean(axis=(1, 2, 3)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_conv3d_transpose_has_keras_order():
    layer = Conv3DTranspose(2, 3, 2, "same", "channels_first", 1)
    assert (layer.data_format, layer.output_padding) == ("channels_first", (1, 1, 1))


# batch, image, channels, filters, taps, strides, padding, dilation, groups: what the CPU kernels cut into pieces
LARGE = {
    "odd edges, a second panel": (3, (1, 30, 37), 5, 33, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "bands of rows": (2, (1, 200, 90), 64, 40, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "one long row": (1, (1, 1, 5000), 8, 16, (1, 1, 5), (1, 1, 1), (0, 0, 2), (1, 1, 1), 1),
    "one long row, strides": (1, (1, 1, 3000), 130, 70, (1, 1, 3), (1, 1, 2), (0, 0, 1), (1, 1, 1), 1),
    "strides": (4, (1, 40, 40), 16, 24, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    "dilation": (4, (1, 40, 40), 16, 24, (1, 3, 3), (1, 1, 1), (0, 2, 2), (1, 2, 2), 1),
    "dilation of rows": (2, (1, 41, 40), 16, 24, (1, 3, 2), (1, 1, 1), (0, 3, 0), (1, 3, 1), 1),
    "groups": (4, (1, 30, 30), 64, 96, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 4),
    "depthwise": (4, (1, 40, 40), 70, 70, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 70),
    "depthwise in place": (4, (1, 40, 40), 48, 48, (1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 48),
    "depthwise, multiplier, strides": (4, (1, 40, 40), 70, 140, (1, 5, 5), (1, 2, 2), (0, 2, 2), (1, 1, 1), 70),
    "few channels": (2, (1, 64, 64), 3, 32, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "few filters": (2, (1, 64, 64), 32, 4, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "few of both": (2, (1, 64, 64), 1, 2, (1, 7, 7), (1, 1, 1), (0, 3, 3), (1, 1, 1), 1),
    "pointwise": (3, (1, 28, 28), 64, 130, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "volumes": (2, (9, 16, 17), 16, 20, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    "volumes, strides": (2, (9, 16, 17), 16, 20, (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), 1),
    "volumes, dilation": (2, (9, 16, 17), 6, 20, (3, 2, 3), (1, 1, 1), (2, 1, 2), (2, 1, 2), 1),
    "threads share the columns": (4, (1, 14, 14), 256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "Winograd, odd edges": (2, (1, 37, 30), 40, 50, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "Winograd, valid": (2, (1, 40, 150), 33, 64, (1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "Winograd, volumes": (2, (9, 20, 21), 16, 17, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    "Winograd, volumes, strides and dilation": (2, (9, 20, 21), 16, 40, (2, 3, 3), (2, 1, 1), (2, 1, 0), (3, 1, 1), 1),
    "Winograd, planes": (1, (3, 20, 21), 64, 32, (1, 3, 3), (1, 1, 1), (0, 2, 0), (1, 1, 1), 1),
    "Winograd, small images": (16, (1, 7, 6), 40, 30, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "Winograd, threads share a block": (12, (1, 13, 14), 128, 160, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "Winograd, threads share a volume": (2, (7, 12, 11), 96, 70, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
}


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
def test_large_on_the_cpu_agrees_with_pytorch(case, rng):
    B, image, C, F, taps, strides, padding, dilation, groups = case
    x, w, b = (rng.normal(size=size).astype("f4") for size in ((B, *image, C), (*taps, C // groups, F), F))
    torch_x = torch.from_numpy(x).permute(0, 4, 1, 2, 3).double().requires_grad_()
    torch_w = torch.from_numpy(w).permute(4, 3, 0, 1, 2).double().requires_grad_()
    torch_y = torch.nn.functional.conv3d(torch_x, torch_w, torch.from_numpy(b).double(), strides, padding, dilation, groups)
    dy = rng.normal(size=torch_y.permute(0, 2, 3, 4, 1).shape).astype("f4")
    torch_y.backward(torch.from_numpy(dy).permute(0, 4, 1, 2, 3).double())
    window = strides, padding, dilation, groups, True

    def run(name, *inputs, out):
        [result] = run_kernel("cpu", "convolution", name, [*inputs, *window], [out])
        return result

    no_bias = np.zeros(C, "f4")
    pairs = [
        (run("convolve", x, w, b, out=np.full_like(dy, np.nan)), torch_y.detach().permute(0, 2, 3, 4, 1)),
        (run("convolve_transposed", dy, w, no_bias, out=np.full_like(x, np.nan)), torch_x.grad.permute(0, 2, 3, 4, 1)),
        (run("convolve_weight_gradient", x, dy, out=np.zeros_like(w)), torch_w.grad.permute(2, 3, 4, 1, 0))]
    for ours, theirs in pairs:
        assert np.abs(ours - theirs.numpy()).max() <= 5e-5 * np.abs(theirs.numpy()).max()


TOGETHER = {        # large enough that all three gradients of a part of dy are computed before the next
    "depthwise": (5, (1, 61, 33), 70, 70, (1, 3, 3), (0, 1, 1), (1, 2, 2), 70),
    "pointwise": (11, (1, 28, 28), 40, 72, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "one long row": (1, (1, 1, 30000), 12, 40, (1, 1, 5), (0, 0, 1), (1, 1, 1), 1),
    "volumes, groups": (2, (9, 30, 31), 12, 40, (3, 2, 3), (1, 1, 1), (1, 1, 1), 2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER)
def test_all_gradients_at_once_are_those_one_by_one(case, dtype, rng, monkeypatch):
    from kernels.cpu import convolution
    B, image, C, F, taps, padding, dilation, groups = case
    lengths = [n + 2 * p - (k - 1) * d for n, p, k, d in zip(image, padding, taps, dilation, strict=True)]
    x, w, dy = (rng.normal(size=size).astype(dtype) for size in ((B, *image, C), (*taps, C // groups, F), (B, *lengths, F)))
    window, zeros = ((1, 1, 1), padding, dilation, groups, True), np.zeros(C, dtype)
    [dw] = run_kernel("cpu", "convolution", "convolve_weight_gradient", [x, dy, *window], [np.ones_like(w)])
    [dx] = run_kernel("cpu", "convolution", "convolve_transposed", [dy, w, zeros, *window], [np.full_like(x, np.nan)])
    db = 1 + dy.sum(axis=(0, 1, 2, 3), dtype="f8")
    together, used = convolution._backward_together, []
    monkeypatch.setattr(convolution, "_backward_together", lambda *arguments: used.append(1) or together(*arguments))
    for bias in (np.ones(F, dtype), np.empty(0, dtype)):
        results = run_kernel("cpu", "convolution", "convolve_backward", [x, w, zeros, dy, *window],
                             [np.ones_like(w), bias, np.full_like(x, np.nan)])
        for ours, apart in zip(results, (dw, db[:len(bias)], dx), strict=True):
            assert np.abs(ours - apart).max(initial=0) <= (1e-10 if dtype == "float64" else 1e-4) * np.abs(apart).max(initial=0)
    assert len(used) == 2


def test_the_turns_of_winograd_are_its_matrices(rng):
    from kernels.cpu import _turns
    from kernels.cpu._lanes import LANE_BYTES
    G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
    B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
                    [0, 4, 0, -5, 0, 1]])
    A = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, -1, 1, -1], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 1]])
    d, g = rng.normal(size=6), rng.normal(size=3)
    np.testing.assert_allclose(A.T @ ((G @ g) * (B_T @ d)), np.correlate(d, g), rtol=1e-12, atol=1e-12)     # F(4, 3) itself
    lanes, target = LANE_BYTES // 8, np.empty((6, LANE_BYTES // 8))
    image, weights, upstream = (rng.normal(size=(count, lanes)) for count in (6, 3, 4))
    _turns.times_B(image.reshape(-1), 0, lanes, lanes, target.reshape(-1), 0, lanes, lanes)
    np.testing.assert_allclose(target, B_T @ image, rtol=1e-12, atol=1e-12)
    _turns.times_G(weights.reshape(-1), 0, lanes, target.reshape(-1), 0, lanes)
    np.testing.assert_allclose(target, G @ weights, rtol=1e-12, atol=1e-12)
    _turns.times_A(upstream.reshape(-1), 0, lanes, lanes, 4, target.reshape(-1), 0, lanes, lanes)
    np.testing.assert_allclose(target, A @ upstream, rtol=1e-12, atol=1e-12)


def test_winograd_is_used_where_its_tests_say():
    from kernels.cpu import _winograd
    from kernels.cpu._walk import plan
    for name, (B, (D, H, W), C, F, taps, strides, padding, dilation, groups) in LARGE.items():
        lengths = [(n + 2 * p - (k - 1) * d - 1) // s + 1
                   for n, p, k, d, s in zip((D, H, W), padding, taps, dilation, strides, strict=True)]
        walk = plan((B, D, H, W, C), (B, *lengths, F), taps, strides, dilation, padding, groups, 1)
        if "Winograd" in name:
            assert _winograd.pays(walk), name


def same_where_not_finite(ours, plain, tolerance=1e-4):
    """NaN where it is NaN, the same infinities, and close elsewhere."""
    finite = np.isfinite(plain)
    np.testing.assert_array_equal(np.where(finite, 0, plain), np.where(np.isfinite(ours), 0, ours))
    assert np.abs(ours[finite] - plain[finite]).max() <= tolerance * np.abs(plain[finite]).max()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("place", ["corner", "inside"])
@pytest.mark.parametrize("name", ["valid", "volumes, strides and dilation", "threads share a block"])
def test_what_is_not_finite_stays_in_its_windows(name, place, bad, threads, rng, monkeypatch):
    """Winograd's tiles would spread it; 3e38 overflows in them, and not where it is multiplied by one small weight."""
    monkeypatch.setattr(kernels.get("cpu").convolution, "threads_for", lambda work, share: threads)
    B, image, C, F, taps, *window, groups = LARGE[f"Winograd, {name}"]
    steps = *window, groups
    sizes = ((n + 2 * p - (k - 1) * d - 1) // s + 1
             for n, k, s, p, d in zip(image, taps, *window, strict=True))
    x, dy, w = (rng.normal(size=size).astype("f4") for size in ((B, *image, C), (B, *sizes, F), (*taps, C, F)))
    w *= 0.1
    for array in (x, dy):
        array[(0, 0, 0, 0, 3) if place == "corner" else (1, 0, 5, 6, 3)] = bad

    def run(function, *inputs, out):
        results = [run_kernel("cpu", "convolution", function, [*inputs, *steps, winograd], [out.copy()])[0]
                   for winograd in (True, False)]
        assert 0 < (~np.isfinite(results[1])).sum() < results[1].size or bad == 3e38
        same_where_not_finite(*results)

    run("convolve", x, w, np.zeros(F, "f4"), out=np.full_like(dy, np.nan))
    run("convolve_transposed", dy, w, np.zeros(C, "f4"), out=np.full_like(x, np.nan))
    run("convolve_weight_gradient", x, np.nan_to_num(dy, nan=1, posinf=1), out=np.ones_like(w))
    run("convolve_weight_gradient", np.nan_to_num(x, nan=1, posinf=1), dy, out=np.ones_like(w))


def test_a_bias_that_is_not_finite_is_added():
    x, w, y = np.ones((1, 1, 16, 16, 32), "f4"), np.ones((1, 3, 3, 32, 32), "f4"), np.empty((1, 1, 14, 14, 32), "f4")
    b = np.where(np.arange(32) == 7, np.inf, 0).astype("f4")
    kernels.get("cpu").convolution.convolve(x, w, b, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1, True, y)
    assert np.all(np.isinf(y[..., 7])) and np.all(np.delete(y, 7, -1) == pytest.approx(9 * 32, rel=1e-4))


@pytest.fixture
def winograd_again():
    yield
    config.set_winograd(True)


def test_without_winograd_an_outlier_is_not_felt_outside_its_window(rng, winograd_again):
    layer, x = layers.Conv2D(32, 3, padding="same"), rng.normal(size=(1, 24, 24, 32)).astype("f4")
    clean, spoilt = x.copy(), x.copy()
    spoilt[0, 9, 9, 0] = 1e4
    seen = np.zeros((24, 24), bool)
    seen[8:11, 8:11] = True
    errors = {}
    for setting in (True, False):
        config.set_winograd(setting)
        assert config.winograd() is setting
        y, of_clean = layer(spoilt), layer(clean)
        errors[setting] = np.abs(y - of_clean)[0, ~seen].max() / np.abs(y).max()
    assert errors[False] == 0 < errors[True] < 2e-5


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "Conv3D", "ConvLSTM2D"])
def test_no_layer_takes_winograd_s_way_where_it_may_not(name, monkeypatch, winograd_again):
    from kernels.cpu import _winograd
    asked = []
    monkeypatch.setattr(_winograd, "pays", lambda walk: asked.append(walk) or False)
    layer, x = getattr(layers, name)(32, 3), np.ones((1, *[3] * (name in ("Conv3D", "ConvLSTM2D")), 8, 8, 32), "f4")
    for setting, is_asked in ((False, False), (True, True)):
        config.set_winograd(setting)
        layer.backward(np.ones_like(layer(x)))
        assert bool(asked) is is_asked


@pytest.mark.parametrize("value", ["yes", 2, None])
def test_set_winograd_wants_a_truth_value(value):
    with pytest.raises(ValueError, match=f"set_winograd: expected value to be True or False, got {value!r}"):
        config.set_winograd(value)


@pytest.mark.parametrize("value, said", [("0", "False"), ("1", "True"),
                                         ("no", "ValueError: NBLAYERS_WINOGRAD: expected 0 or 1, got 'no'")])
def test_the_environment_may_forbid_winograd(value, said):
    run = subprocess.run([sys.executable, "-c", "from nblayers import config; print(config.winograd())"],
                         env=os.environ | {"NBLAYERS_WINOGRAD": value}, capture_output=True, text=True, check=False)
    assert (run.stdout or run.stderr).strip().splitlines()[-1] == said


@pytest.mark.parametrize("value", [2e36, 8.5e36])
def test_a_large_pixel_leaves_the_weight_gradient_finite(value):
    """Turned weight gradients may overflow at the very last step back, where no weight itself does."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((3, 10, 13, channels)).astype("f4") for channels in (40, 48))
    x[0, 5, 6, 0] = value
    gradients = []
    for way in (False, True):
        config.set_winograd(way)
        layer = Conv2DTranspose(48, 3, padding="same", kernel_initializer=initializers.GlorotUniform(seed=0))
        layer.forward(x)
        layer.backward(dy)
        gradients.append(layer.kernel.grad)
    assert all(np.isfinite(grad).all() for grad in gradients)
    np.testing.assert_allclose(gradients[1], gradients[0], atol=1e-4 * np.abs(gradients[0]).max())
