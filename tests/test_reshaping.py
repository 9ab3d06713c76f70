"""Reshaping: other shapes, cells cut off, zeros, copies and interpolated cells, in every room, against Keras and PyTorch."""
import re

import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, filled_with_nan, numeric_gradient, rooms_agree, run_kernel

import nblayers
from nblayers import config, layers, nn
from nblayers.devices import to_numpy
from nblayers.layers import Flatten
from nblayers.layers.reshaping.interpolation import METHODS, axis_weights

SHAPES = [(1,), (4,), (3, 2), (2, 3, 4), (1, 1, 1), (2, 3, 4, 5), (1, 2, 3, 1, 2)]
FORMATS = ["channels_last", "channels_first"]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_flatten_gradients(shape, data_format, rng):
    assert nblayers.gradcheck(Flatten(data_format), rng.normal(size=shape))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_flatten_agrees_with_keras(shape, data_format, rng):
    agrees_with_keras(Flatten(data_format), keras.layers.Flatten(data_format), rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize("data_format", FORMATS)
def test_flatten_in_every_room(device, data_format, rng):
    x, dy = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 12))
    layer, reference = Flatten(data_format, dtype="float64").to(device), Flatten(data_format, dtype="float64").to("reference")
    np.testing.assert_array_equal(to_numpy(layer(x)), reference(x))
    np.testing.assert_array_equal(to_numpy(layer.backward(dy)), reference.backward(dy))


def test_both_formats_give_the_same_output(rng):
    x = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(Flatten()(x), Flatten("channels_first")(np.moveaxis(x, -1, 1)))


def test_flatten_is_a_view_where_possible(rng):
    x = rng.normal(size=(2, 3, 4))
    layer = Flatten(dtype="float64")
    assert np.shares_memory(layer(x), x)
    dy = rng.normal(size=(2, 12))
    assert np.shares_memory(layer.backward(dy), dy)
    first = Flatten("channels_first", dtype="float64")
    assert first(x).flags.c_contiguous and first.backward(dy).flags.c_contiguous


def test_flatten_keeps_integers():
    x = np.arange(12).reshape(2, 3, 2)
    layer = Flatten()
    y = layer(x)
    assert y.dtype == x.dtype
    assert layer.backward(np.ones((2, 6))) is None
    assert np.asarray(keras.layers.Flatten()(x)).dtype.kind == "i"


def test_no_steps():
    layer = Flatten()
    assert layer(np.zeros((2, 0, 3))).shape == (2, 0)
    assert layer.backward(np.zeros((2, 0))).shape == (2, 0, 3)


@pytest.mark.parametrize("shape", [(None, 3, 4), (2, None, 4), (None,), (3, 2)])
def test_flatten_output_shape(shape):
    assert Flatten().compute_output_shape(shape) == keras.layers.Flatten().compute_output_shape(shape)


def test_default_data_format():
    assert Flatten().data_format == "channels_last"
    config.set_image_data_format("channels_first")
    assert Flatten().data_format == "channels_first"


@pytest.mark.parametrize("arguments", [dict(name="f"), dict(data_format="channels_first", name="f", dtype="float64")])
def test_flatten_config_both_ways(arguments):
    ours, theirs = Flatten(**arguments), keras.layers.Flatten(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert Flatten.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert keras.layers.Flatten.from_config(ours.get_config()).get_config() == theirs.get_config()


def test_flatten_errors():
    with pytest.raises(ValueError, match="Flatten 'f': expected data_format 'channels_last' or 'channels_first', got 'last'"):
        Flatten("last", name="f")
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        Flatten().backward(np.ones((1, 2)))
    assert Flatten().supports_masking == keras.layers.Flatten().supports_masking


# the kernels: images with sizes of one, one channel, few and many; factors

VOLUMES = [(1, 1, 1, 1, 1), (2, 2, 3, 2, 1), (1, 1, 3, 4, 3), (2, 1, 1, 5, 9)]
FACTORS = [(1, 1, 1), (1, 1, 2), (2, 3, 2), (1, 2, 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", VOLUMES)
def test_rooms_agree(shape, dtype, rng):
    x = rng.normal(size=shape).astype(dtype)
    N, *places, C = shape
    rooms_agree("reshaping", "pad", [x, (0, 0, 0)], [shape])
    rooms_agree("reshaping", "pad", [x, (1, 0, 2)], [(N, *(n + more for n, more in zip(places, (2, 1, 3), strict=True)), C)])
    for factors in FACTORS if C < 9 else FACTORS[2:3]:
        larger = (N, *(n * factor for n, factor in zip(places, factors, strict=True)), C)
        rooms_agree("reshaping", "repeat", [x, factors], [larger])
        rooms_agree("reshaping", "repeat_backward", [rng.normal(size=larger).astype(dtype), factors], [shape])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, factors", [((1, 1, 1, 1), (2, 3)), ((2, 3, 4, 1), (2, 1)), ((1, 2, 5, 3), (1, 2)),
                                            ((1, 3, 2, 9), (2, 2))])
def test_rooms_agree_on_interpolation(shape, factors, dtype, rng):
    N, H, W, C = shape
    x, larger = rng.normal(size=shape).astype(dtype), (N, H * factors[0], W * factors[1], C)
    for method in ("bilinear", "bicubic"):
        weights = [*axis_weights(H, H * factors[0], method, dtype), *axis_weights(W, W * factors[1], method, dtype)]
        rooms_agree("reshaping", "interpolate", [x, *weights], [larger])
        rooms_agree("reshaping", "interpolate_backward", [rng.normal(size=larger).astype(dtype), *weights], [shape])


@pytest.mark.parametrize("channels", [1, 16])
def test_threads_share_the_work(channels, rng):
    """Large enough for all threads; the reference room is the measure."""
    x, rooms = rng.normal(size=(3, 1, 64, 80 * 16 // channels, channels)).astype("float32"), ("reference", "cpu")
    N, _, H, W, C = x.shape
    rooms_agree("reshaping", "pad", [x, (0, 1, 2)], [(N, 1, H + 3, W + 4, C)], rooms=rooms)
    larger = (N, 1, 2 * H, 2 * W, C)
    dy = rng.normal(size=larger).astype("float32")
    rooms_agree("reshaping", "repeat", [x, (1, 2, 2)], [larger], rooms=rooms)
    rooms_agree("reshaping", "repeat_backward", [dy, (1, 2, 2)], [x.shape], rooms=rooms)
    weights = [*axis_weights(H, 2 * H, "bilinear", "float32"), *axis_weights(W, 2 * W, "bilinear", "float32")]
    rooms_agree("reshaping", "interpolate", [x[:, 0], *weights], [dy[:, 0].shape], rooms=rooms)
    rooms_agree("reshaping", "interpolate_backward", [dy[:, 0], *weights], [x[:, 0].shape], rooms=rooms)


@pytest.mark.parametrize("kernel", ["repeat", "interpolate"])
@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_gradients_of_the_kernels(kernel, room, rng):
    x, dy = rng.normal(size=(1, 1, 3, 2, 2)), rng.normal(size=(1, 1, 6, 6, 2))
    settings = [(1, 2, 3)]
    if kernel == "interpolate":
        x, dy = x[0], dy[0]
        settings = [*axis_weights(3, 6, "bicubic", "float64"), *axis_weights(2, 6, "lanczos3", "float64")]
    y, dx = filled_with_nan(dy.shape), filled_with_nan(x.shape)
    expected = numeric_gradient(lambda: run_kernel(room, "reshaping", kernel, [x, *settings], [y])[0], x, dy)
    [found] = run_kernel(room, "reshaping", kernel + "_backward", [dy, *settings], [dx])
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n, factor", [(1, 3), (2, 2), (7, 1), (9, 4)])
def test_weights(n, factor, method):
    """They are JAX's, sum to one, and begin further on at each step."""
    import jax
    a, u = axis_weights(n, n * factor, method, "float64")
    matrix = np.zeros((n * factor, n))
    for i, (start, weights) in enumerate(zip(a, u, strict=True)):
        matrix[i, start:start + len(weights)] += weights
    expected = jax.image.resize(np.eye(n, dtype="f"), (n * factor, n), method.removeprefix("bi"), antialias=False)
    np.testing.assert_allclose(matrix, expected, atol=3e-6)
    np.testing.assert_allclose(u.sum(axis=1), 1)
    assert (np.diff(a) >= 0).all() and a[0] == 0 and a[-1] + u.shape[1] == n


# the layers: arguments, and the shape of an input with its channels last

CASES = [
    ("Reshape", dict(target_shape=(4, 3)), (2, 3, 4)), ("Reshape", dict(target_shape=(2, -1)), (2, 3, 4)),
    ("Reshape", dict(target_shape=[-1]), (1, 3, 4)), ("Reshape", dict(target_shape=()), (3, 1)),
    ("RepeatVector", dict(n=3), (2, 4)), ("RepeatVector", dict(n=1), (1, 1)),
    ("Permute", dict(dims=(2, 1)), (2, 3, 4)), ("Permute", dict(dims=(3, 1, 2)), (2, 3, 4, 2)),
    ("Permute", dict(dims=[1]), (2, 3)),
    ("Cropping1D", dict(), (2, 5, 3)), ("Cropping1D", dict(cropping=2), (1, 5, 3)),
    ("Cropping1D", dict(cropping=(0, 3)), (2, 5, 3)),
    ("Cropping2D", dict(), (2, 4, 5, 3)), ("Cropping2D", dict(cropping=1), (2, 4, 5, 3)),
    ("Cropping2D", dict(cropping=(1, 2)), (2, 4, 5, 1)), ("Cropping2D", dict(cropping=((1, 0), (0, 2))), (1, 4, 5, 3)),
    ("Cropping3D", dict(), (2, 3, 4, 3, 2)), ("Cropping3D", dict(cropping=((1, 0), (0, 2), (1, 1))), (1, 3, 4, 3, 2)),
    ("ZeroPadding1D", dict(), (2, 3, 4)), ("ZeroPadding1D", dict(padding=(0, 2)), (1, 3, 4)),
    ("ZeroPadding2D", dict(), (2, 3, 2, 3)), ("ZeroPadding2D", dict(padding=2), (2, 1, 2, 3)),
    ("ZeroPadding2D", dict(padding=((1, 0), (0, 2))), (2, 3, 2, 1)),
    ("ZeroPadding3D", dict(), (1, 2, 3, 1, 2)), ("ZeroPadding3D", dict(padding=((1, 0), (0, 2), (1, 1))), (2, 2, 1, 3, 2)),
    ("UpSampling1D", dict(), (2, 3, 4)), ("UpSampling1D", dict(size=3), (1, 3, 1)),
    ("UpSampling2D", dict(), (2, 3, 2, 3)), ("UpSampling2D", dict(size=(3, 1)), (2, 3, 2, 1)),
    *[("UpSampling2D", dict(size=size, interpolation=method), shape) for method in METHODS
      for size, shape in ((2, (2, 3, 4, 2)), ((1, 3), (1, 1, 2, 9)))],
    ("UpSampling2D", dict(interpolation="BILINEAR"), (1, 2, 2, 1)),
    ("UpSampling3D", dict(), (2, 2, 1, 3, 2)), ("UpSampling3D", dict(size=(1, 3, 2)), (1, 2, 1, 3, 1)),
]
NO_FORMAT = ("Reshape", "RepeatVector", "Permute", "Cropping1D", "UpSampling1D")
BOTH = [(name, {**arguments, "data_format": data_format} if data_format else arguments, shape)
        for name, arguments, shape in CASES
        for data_format in ([None] if name in NO_FORMAT else [None, "channels_first"])]
ONE_EACH = list({name: (name, arguments, shape) for name, arguments, shape in BOTH}.values())


def made(name, arguments, shape, rng, dtype="float32"):
    """Our layer, Keras', and an input in the layer's data format."""
    ours, theirs = (getattr(module, name)(**arguments, dtype=dtype) for module in (layers, keras.layers))
    x = rng.normal(size=shape).astype(dtype)
    return ours, theirs, np.moveaxis(x, -1, 1).copy() if arguments.get("data_format") == "channels_first" else x


@pytest.mark.parametrize("name, arguments, shape", BOTH)
def test_agrees_with_keras(name, arguments, shape, rng):
    ours, theirs, x = made(name, arguments, shape, rng)
    agrees_with_keras(ours, theirs, x)
    assert ours.compute_output_shape(x.shape) == tuple(theirs.compute_output_shape(x.shape)) == ours(x).shape
    unknown = (None, *(None if place % 2 else n for place, n in enumerate(x.shape[1:])))
    assert tuple(ours.compute_output_shape(unknown)) == tuple(theirs.compute_output_shape(unknown))
    assert ours.supports_masking == theirs.supports_masking


@pytest.mark.parametrize("name, arguments, shape", BOTH)
def test_gradients(name, arguments, shape, rng):
    ours, _, x = made(name, arguments, shape, rng)
    assert nblayers.gradcheck(ours, x)


@pytest.mark.parametrize("name, arguments, shape", ONE_EACH)
def test_in_every_room(name, arguments, shape, device, rng):
    layer, _, x = made(name, arguments, shape, rng, "float64")
    reference = made(name, arguments, shape, rng, "float64")[0].to("reference")
    y = reference(x)
    dy = rng.normal(size=y.shape)
    np.testing.assert_allclose(to_numpy(layer.to(device)(x)), y, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(layer.backward(dy)), reference.backward(dy), rtol=1e-12)


@pytest.mark.parametrize("name, arguments, shape", ONE_EACH)
def test_views_batch_of_one_and_inputs_left_alone(name, arguments, shape, rng):
    layer, _, x = made(name, arguments, shape, rng, "float64")
    wide = rng.normal(size=(3, *(2 * n for n in x.shape[1:])))
    view = wide[1:2, *[slice(None, None, -2)] * (x.ndim - 1)]
    kept, y = wide.copy(), layer(view).copy()
    dy = rng.normal(size=(*y.shape, 2))[..., 0]
    dy_kept, dx = dy.copy(), layer.backward(dy).copy()
    np.testing.assert_array_equal(layer(view.copy()), y)
    np.testing.assert_array_equal(layer.backward(dy.copy()), dx)
    np.testing.assert_array_equal(wide, kept)
    np.testing.assert_array_equal(dy, dy_kept)


@pytest.mark.parametrize("name, arguments, shape", [case for case in ONE_EACH if "interpolation" not in case[1]])
def test_integers_stay_integers(name, arguments, shape, rng):
    ours, theirs, x = made(name, arguments, shape, rng)
    for dtype in ("int32", "uint8"):
        whole = (10 * abs(x)).astype(dtype)
        y, expected = ours(whole), np.asarray(theirs(whole))
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, rtol=1e-5)
        assert ours.backward(np.ones(y.shape)) is None


@pytest.mark.parametrize("interpolation", METHODS)
def test_interpolated_integers_are_rounded(interpolation, rng):
    x = rng.integers(40, 200, (1, 4, 3, 2))
    ours, theirs = (module.UpSampling2D(interpolation=interpolation) for module in (layers, keras.layers))
    y = ours(x)
    assert y.dtype == x.dtype and ours.backward(y) is None
    assert (abs(y - np.asarray(theirs(x))) <= (interpolation != "bilinear")).all()         # a half may fall on either side
    assert ours(np.array([[0, 255], [255, 0]] * 2, np.uint8).reshape(1, 4, 2, 1)).dtype == np.uint8


def test_views_where_a_view_will_do(rng):
    x = rng.normal(size=(2, 4, 6, 3)).astype("f")
    for layer in (layers.Reshape((-1,)), layers.Permute((2, 1, 3)), layers.Cropping2D(1)):
        assert np.shares_memory(layer(x), x)
    for layer in (layers.Reshape((-1,)), layers.Permute((2, 1, 3)), layers.ZeroPadding2D(1)):
        dy = np.ones(layer(x).shape, "f")
        assert np.shares_memory(layer.backward(dy), dy)


@pytest.mark.parametrize("name, arguments, shape", CASES)
def test_config_both_ways(name, arguments, shape):
    ours, theirs = (getattr(module, name)(**arguments, name="r", dtype="float64") for module in (layers, keras.layers))
    if "padding" in arguments or "cropping" in arguments or name == "ZeroPadding3D":
        assert np.shape(next(iter(ours.get_config()[key] for key in ("padding", "cropping") if key in ours.get_config()))) \
            == ((int(name[-2]), 2) if name[-2] != "1" else (2,))
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()


def test_sequences_have_their_channels_last_whatever_the_default():
    config.set_image_data_format("channels_first")
    x = np.zeros((1, 6, 2), "f")
    assert layers.Cropping1D(1)(x).shape == (1, 4, 2) and layers.UpSampling1D(2)(x).shape == (1, 12, 2)
    assert layers.ZeroPadding1D(1)(x).shape == (1, 6, 4)


def test_a_mask_ends():
    with pytest.warns(UserWarning, match="Reshape 'r' was given a mask but does not support masking"):
        assert layers.Reshape((2, 2), name="r").compute_mask(np.ones((1, 4)), np.ones((1, 4), bool)) is None


def test_trains_two_steps(rng):
    x, target = rng.normal(size=(3, 4, 6, 2)).astype("f"), rng.normal(size=(3, 4)).astype("f")
    ours, theirs = (module.Sequential([
        module.layers.Dense(3), module.layers.Cropping2D(1), module.layers.UpSampling2D(2, interpolation="bicubic"),
        module.layers.ZeroPadding2D(((1, 0), (0, 1))), module.layers.Permute((2, 1, 3)), module.layers.Reshape((-1, 5)),
        module.layers.Flatten(), module.layers.Dense(2), module.layers.RepeatVector(2), module.layers.UpSampling1D(2),
        module.layers.Cropping1D((1, 0)), module.layers.ZeroPadding1D((0, 1)), module.layers.Permute((2, 1)),
        module.layers.GlobalAveragePooling1D()]) for module in (nblayers, keras))
    for model in (theirs, ours):
        model(x)
    theirs.set_weights(ours.get_weights())
    losses = []
    for model in (ours, theirs):
        model.compile(optimizer="sgd", loss="mse")
        losses.append([float(model.train_on_batch(x, target)) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][0] > losses[0][1] > losses[0][2]


def test_a_view_as_a_model_output(rng):
    x = rng.normal(size=(4, 3, 5)).astype("f")
    model = nblayers.Sequential([layers.Dense(2), layers.Permute((2, 1)), layers.Cropping1D((0, 1))])
    model.compile("sgd", "mse")
    assert model.predict(x, verbose=0).shape == (4, 1, 3)
    first, second = (model.train_on_batch(x, np.ones((4, 1, 3))) for _ in range(2))
    assert second < first


# PyTorch

TORCH = [
    ("ZeroPad1d", (2,), (2, 3, 4)), ("ZeroPad1d", ((1, 2),), (3, 4)), ("ZeroPad2d", ((1, 0, 2, 3),), (2, 3, 4, 2)),
    ("ZeroPad2d", (1,), (3, 4, 2)), ("ZeroPad3d", ((1, 0, 0, 2, 3, 1),), (1, 2, 2, 3, 2)),
    ("Unflatten", (1, (2, 3)), (2, 6)), ("Unflatten", (-1, (-1, 2)), (2, 3, 4)), ("Unflatten", (1, (3, 1)), (2, 3, 4)),
    ("Upsample", (None, 2), (2, 3, 4)), ("Upsample", (None, (2, 3)), (2, 3, 2, 4)), ("Upsample", (None, 2.0), (1, 2, 2, 3, 2)),
    ("Upsample", (None, 3, "linear"), (2, 3, 4)), ("Upsample", (None, (2, 3), "bilinear", False), (2, 3, 4, 5)),
    ("Upsample", (None, 2, "bilinear"), (1, 1, 1, 2))]


@pytest.mark.parametrize("name, arguments, shape", TORCH)
def test_agrees_with_pytorch(name, arguments, shape, rng, device):
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    x = rng.normal(size=shape).astype("float32")
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor)
    dy = rng.normal(size=tuple(expected.shape)).astype("float32")
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(to_numpy(ours.to(device)(x)), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(ours.backward(dy)), tensor.grad.numpy(), rtol=1e-5, atol=1e-6)
    assert ours.compute_output_shape(shape) == tuple(expected.shape)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.ZeroPad2d((1, 2), name="z"), "ZeroPad2d 'z': expected padding as an integer that is not negative"),
    (lambda: nn.ZeroPad1d(-1, name="z"), "ZeroPad1d 'z': expected padding as"),
    (lambda: nn.Upsample(4, name="u"), "Upsample 'u': expected a scale_factor in place of a size"),
    (lambda: nn.Upsample(scale_factor=1.5, name="u"), "Upsample 'u': expected a positive integer as scale_factor, got 1.5"),
    (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), "expected mode to be 'nearest', 'linear' or 'bilinear'"),
    (lambda: nn.Upsample(None, 2, "bilinear", True), "expected align_corners=False, got True"),
    (lambda: nn.Upsample(None, (2, 3))(np.ones((1, 2, 3))), "expected an input of 4 axes for scale_factor (2, 3), got 3"),
    (lambda: nn.Upsample(None, 2, "bilinear")(np.ones((1, 2, 3))), "expected an input of 4 axes"),
    (lambda: nn.Unflatten(0, (2, 3))(np.ones((6, 2))), "expected an input with an axis 0 behind the batch axis"),
    (lambda: nn.Unflatten(1, (2, 2))(np.ones((1, 6))), "expected a size that (2, 2) holds on axis 1, got 6"),
    (lambda: nn.Unflatten(1, (4, -1))(np.ones((1, 6))), "expected a size that (4, -1) holds on axis 1, got 6"),
    (lambda: nn.Unflatten(1, (-1, -1)), "expected sizes with at most one -1 as unflattened_size"),
    (lambda: nn.Unflatten(1.5, (2,)), "expected dim to be an integer, got 1.5"),
])
def test_errors_of_pytorch_names(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


# errors

@pytest.mark.parametrize("make, message", [
    (lambda: layers.Reshape((-1, -1), name="r"), "Reshape 'r': expected at most one -1 in target_shape, got (-1, -1)"),
    (lambda: layers.Reshape((2, -2), name="r"),
     "Reshape 'r': expected each size of target_shape to be an integer of at least -1"),
    (lambda: layers.Reshape("ab", name="r"), "Reshape 'r': expected each size of target_shape"),
    (lambda: layers.Reshape((2, 2), name="r")(np.ones((1, 5))),
     "Reshape 'r': expected samples with 4 numbers for target_shape (2, 2), got shape (1, 5), 5 of them"),
    (lambda: layers.Reshape((2, -1), name="r")(np.ones((1, 5))), "expected samples with a multiple of 2 numbers"),
    (lambda: layers.Reshape((0, -1), name="r")(np.ones((1, 5))), "expected samples with a multiple of 0 numbers"),
    (lambda: layers.RepeatVector(0, name="r"), "RepeatVector 'r': expected a positive integer as n, got 0"),
    (lambda: layers.RepeatVector(2.0, name="r"), "expected a positive integer as n, got 2.0"),
    (lambda: layers.RepeatVector(2, name="r")(np.ones((1, 2, 3))), "'r': expected an input of 2 axes, got 3"),
    (lambda: layers.Permute((0, 1), name="p"),
     "Permute 'p': expected the axes from 1 to their number, each once, as dims, got (0, 1)"),
    (lambda: layers.Permute((2, 2), name="p"), "each once, as dims, got (2, 2)"),
    (lambda: layers.Permute((1, 1.5), name="p"), "expected each of dims to be an integer, got 1.5"),
    (lambda: layers.Permute((2, 1), name="p")(np.ones((1, 2))), "expected an input of 3 axes, got 2"),
    (lambda: layers.Cropping1D((1, 2, 3), name="c"),
     "Cropping1D 'c': expected cropping as an integer that is not negative, a pair of them"),
    (lambda: layers.Cropping2D(-1, name="c"),
     "expected cropping as an integer that is not negative, 2 of them or 2 pairs, got -1"),
    (lambda: layers.Cropping2D(((1, 2), (3,)), name="c"), "expected cropping as"),
    (lambda: layers.Cropping2D("ab", name="c"), "expected cropping as"),
    (lambda: layers.Cropping3D((1, 2), name="c"), "3 of them or 3 pairs"),
    (lambda: layers.Cropping1D(2, name="c")(np.ones((1, 4, 2))),
     "Cropping1D 'c': expected a size above 4 on axis 0 of the places, as so many cells are cut off by cropping=(2, 2), got 4"),
    (lambda: layers.Cropping2D(1, "channels_first", name="c")(np.ones((1, 4, 3, 2))),
     "expected a size above 2 on axis 1 of the places"),
    (lambda: layers.Cropping2D(1, name="c").compute_output_shape((None, 2, None, 3)), "expected a size above 2 on axis 0"),
    (lambda: layers.Cropping2D(1, "last", name="c"),
     "'c': expected data_format 'channels_last' or 'channels_first', got 'last'"),
    (lambda: layers.ZeroPadding1D(1.5, name="z"), "ZeroPadding1D 'z': expected padding as an integer"),
    (lambda: layers.ZeroPadding2D((1, -2), name="z"), "expected padding as"),
    (lambda: layers.ZeroPadding3D(True, name="z"), "expected padding"),
    (lambda: layers.ZeroPadding2D(name="z")(np.ones((1, 2, 3))), "expected an input of 4 axes, got 3"),
    (lambda: layers.UpSampling1D(0, name="u"), "UpSampling1D 'u': expected a positive integer as size, got 0"),
    (lambda: layers.UpSampling2D((1, 2, 3), name="u"), "UpSampling2D 'u': expected a positive integer or a tuple of 2 as size"),
    (lambda: layers.UpSampling2D(1.5, name="u"), "expected a positive integer or a tuple of 2 as size"),
    (lambda: layers.UpSampling2D(2, None, "cubic", name="u"),
     "'u': expected interpolation to be 'nearest', 'bilinear', 'bicubic', 'lanczos3' or 'lanczos5'"),
    (lambda: layers.UpSampling3D(2, name="u")(np.ones((1, 2, 3, 4))), "expected an input of 5 axes, got 4"),
    (lambda: layers.UpSampling2D(name="u")(np.ones((0, 2, 3, 4))), "expected at least one sample on axis 0"),
])
def test_errors(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_backward_needs_a_forward_and_the_right_shape():
    for name, arguments, shape in ONE_EACH:
        layer = getattr(layers, name)(**{key: value for key, value in arguments.items() if key != "data_format"})
        with pytest.raises(RuntimeError, match="backward needs a forward first"):
            layer.backward(np.ones((1, 2)))
        layer(np.ones(shape))
        with pytest.raises(ValueError, match="backward expected dy of shape"):
            layer.backward(np.ones((1, 7, 1)))


@pytest.mark.parametrize("shape", [None, 3, (), "abc", (None,), [(2, 3)], (2, 3, 4, 5, 6, 7)], ids=str)
@pytest.mark.parametrize("make", [lambda: layers.RepeatVector(2), lambda: layers.Permute((2, 1)),
                                  lambda: layers.Reshape((1, -1)), lambda: nn.Upsample(scale_factor=2)])
def test_shapes_that_are_not_of_one_input(make, shape):
    layer = make()
    if not (isinstance(layer, layers.Reshape) and shape in ((None,), (2, 3, 4, 5, 6, 7))):
        with pytest.raises(ValueError, match=rf"^\w+ '{layer.name}': expected "):
            layer.compute_output_shape(shape)
