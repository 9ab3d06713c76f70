"""Resizing and the crops: values, gradients, and what Keras gives."""
import numpy as np
import pytest
from helpers import agrees_with_keras, random_like, rooms_agree

import nblayers
from nblayers import layers
from nblayers.layers.reshaping.interpolation import METHODS, axis_weights, rounded, window_weights

ALL = [*METHODS, "nearest"]
LARGE, SMALL = (2, 7, 5, 3), (1, 3, 8, 2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def in_format(x, data_format):
    return x if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(x, -1, -3))


# the weights

@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("n, size", [(1, 1), (1, 3), (9, 4), (5, 7), (8, 3), (40, 3)])
def test_weights_are_those_of_jax(n, size, method, antialias):
    import jax
    a, u = axis_weights(n, size, method, "float64", antialias)
    expected = jax.image.resize(np.eye(n, dtype="f"), (size, n), method, antialias=antialias)
    np.testing.assert_allclose(dense(a, u, n), expected, atol=5e-6)
    assert (np.diff(a) >= 0).all() and a[0] >= 0 and a[-1] + u.shape[1] <= n


def dense(a, u, n):
    matrix = np.zeros((len(a), n))
    for i, (start, weights) in enumerate(zip(a, u, strict=True)):
        matrix[i, start:start + len(weights)] += weights
    return matrix


def test_nearest_cells_of_many_sizes():
    """Where (i + 1/2) n / size is a whole number, rounding may not move it."""
    for n in range(1, 30):
        for size in range(1, 30):
            a, _ = axis_weights(n, size, "nearest", "float32")
            halves = np.arange(size, dtype="f") + np.float32(0.5)
            np.testing.assert_array_equal(a, np.floor(halves * np.float32(n) / np.float32(size)))


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("first, length", [(0, 5), (2, 3), (-2, 9), (-7, 19), (-1, 7)])
def test_weights_of_a_window(first, length, method):
    a, u = window_weights(5, first, length, 4, method, "float64", True)
    whole = np.zeros((4, 40))
    whole[:, 10 + first:10 + first + length] = dense(*axis_weights(length, 4, method, "float64", True), length)
    np.testing.assert_allclose(dense(a, u, 5), whole[:, 10:15], atol=1e-15)
    assert (np.diff(a) >= 0).all() and a[0] >= 0 and a[-1] + u.shape[1] <= 5


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "uint32"])
def test_rounding_keeps_to_the_bounds(dtype):
    bounds = np.iinfo(dtype)
    found = rounded(np, np.array([-1e30, 0.5, 1.5, 2.5, 1e30], "f"), np.dtype(dtype))
    assert found[:4].tolist() == [bounds.min, 0, 2, 2] and found[4] > bounds.max * 0.99 and found.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, size", [((1, 1, 1, 1), (2, 3)), ((2, 9, 4, 1), (2, 1)), ((1, 6, 11, 3), (4, 5)),
                                         ((1, 3, 7, 9), (5, 2))])
def test_rooms_agree(shape, size, dtype, rng):
    N, H, W, C = shape
    x = rng.normal(size=shape).astype(dtype)
    for method, antialias in (("bilinear", False), ("bicubic", True), ("nearest", False)):
        weights = [*axis_weights(H, size[0], method, dtype, antialias), *axis_weights(W, size[1], method, dtype, antialias)]
        rooms_agree("reshaping", "interpolate", [x, *weights], [(N, *size, C)])
        rooms_agree("reshaping", "interpolate_backward", [rng.normal(size=(N, *size, C)).astype(dtype), *weights], [shape])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_threads_share_the_work(channels, rng):
    W, wide = 400 // channels, 350 // channels
    x, y = rng.normal(size=(3, 80, W, channels)).astype("f"), (3, 70, wide, channels)
    weights = [*axis_weights(80, 70, "bilinear", "float32"), *axis_weights(W, wide, "bilinear", "float32")]
    rooms_agree("reshaping", "interpolate", [x, *weights], [y], rooms=("reference", "cpu"))
    rooms_agree("reshaping", "interpolate_backward", [rng.normal(size=y).astype("f"), *weights], [x.shape],
                rooms=("reference", "cpu"))


# the layers, against Keras

RESIZING = [
    (LARGE, (4, 6), {}), (SMALL, (5, 4), {}), (LARGE, (7, 5), {}), (LARGE[1:], (3, 3), {}),
    *[(LARGE, (3, 8), {"interpolation": method}) for method in ALL],
    *[(LARGE, (3, 2), {"interpolation": method, "antialias": True}) for method in ALL],
    *[(shape, size, {"crop_to_aspect_ratio": True}) for shape in (LARGE, SMALL, SMALL[1:]) for size in ((4, 4), (2, 5))],
    *[(shape, size, {"pad_to_aspect_ratio": True, "fill_value": fill})
      for fill, shape in ((0.0, LARGE), (2.5, LARGE), (-1, SMALL)) for size in ((4, 4), (2, 5), (7, 5))],
    *[(SMALL, (4, 5), {"pad_to_aspect_ratio": True, "fill_value": 3, "interpolation": method,
                       "antialias": method != "bicubic"}) for method in ALL],
]


FIRST = [case for case in RESIZING if case[2].get("interpolation") in (None, "lanczos3", "nearest")]


@pytest.mark.parametrize("data_format, shape, size, arguments",
                         [*[("channels_last", *case) for case in RESIZING], *[("channels_first", *case) for case in FIRST]],
                         ids=str)
def test_resizing_is_that_of_keras(data_format, shape, size, arguments, rng):
    import keras
    x = in_format(rng.normal(size=shape).astype("f"), data_format)
    ours = layers.Resizing(*size, data_format=data_format, **arguments)
    theirs = keras.layers.Resizing(*size, data_format=data_format, name=ours.name, **arguments)
    assert ours.get_config() == theirs.get_config()
    assert ours.compute_output_shape(x.shape) == theirs.compute_output_shape(x.shape) == ours(x).shape
    agrees_with_keras(ours, theirs, x, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
@pytest.mark.parametrize("arguments", [{}, {"interpolation": "nearest"}, {"interpolation": "bicubic"},
                                       {"pad_to_aspect_ratio": True, "fill_value": 300.5},
                                       {"interpolation": "nearest", "crop_to_aspect_ratio": True}], ids=str)
def test_integers_stay_integers(arguments, dtype, rng):
    import keras
    x = rng.integers(0, 256, LARGE).astype(dtype)
    ours = layers.Resizing(6, 4, **arguments)
    y = ours(x)
    expected = np.asarray(keras.layers.Resizing(6, 4, **arguments)(x))
    assert y.dtype == dtype == expected.dtype
    assert abs(y.astype(float) - expected).max() <= 1 and (y == expected).mean() > 0.98     # JAX sums in another order
    assert ours.backward(random_like(np.zeros(y.shape), rng)) is None


def test_integers_too_large_for_floats():
    x = np.array([[2**31 - 1, 2**24 + 1], [-2**31, 3]], "int32")[:, :, None]
    y = layers.Resizing(4, 4, "nearest")(x)
    np.testing.assert_array_equal(y, np.repeat(np.repeat(x, 2, 0), 2, 1))
    assert layers.Resizing(4, 4)(x).max() > 2**31 - 200


CROPS = [(LARGE, (4, 4)), (LARGE, (7, 5)), (LARGE, (3, 2)), (LARGE, (9, 4)), (SMALL, (2, 9)), (SMALL, (9, 9)),
         (LARGE[1:], (3, 3)), (LARGE, (7, 2))]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape, size", CROPS, ids=str)
def test_center_crop_is_that_of_keras(shape, size, data_format, rng):
    import keras
    x = in_format(rng.normal(size=shape).astype("f"), data_format)
    ours = layers.CenterCrop(*size, data_format=data_format)
    theirs = keras.layers.CenterCrop(*size, data_format=data_format, name=ours.name)
    assert ours.get_config() == theirs.get_config() and ours.compute_output_shape(x.shape) == ours(x).shape
    agrees_with_keras(ours, theirs, x)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape, size", CROPS, ids=str)
def test_random_crop_is_that_of_keras_for_the_same_place(shape, size, data_format, rng):
    import keras
    x = in_format(rng.normal(size=shape).astype("f"), data_format)
    ours = layers.RandomCrop(*size, seed=3, data_format=data_format)
    theirs = keras.layers.RandomCrop(*size, seed=3, data_format=data_format, name=ours.name)
    assert ours.get_config() == theirs.get_config()
    y = ours(x, training=True)
    place = (ours.cache.rows[0], ours.cache.columns[0])
    theirs.get_random_transformation = lambda *args, **kwargs: place
    height, width = ours._places(x.shape)
    if height <= size[0] or width <= size[1]:
        plain = keras.layers.RandomCrop(*size, data_format=data_format)
        assert plain.get_random_transformation(x, training=True) == place
    np.testing.assert_allclose(y, theirs(x, training=True), atol=1e-5)
    np.testing.assert_allclose(ours(x), layers.Resizing(*size, crop_to_aspect_ratio=True, data_format=data_format)(x))


def test_random_crops_reach_every_place_and_one_serves_a_batch():
    x = np.arange(2 * 4 * 3, dtype="f").reshape(2, 4, 3, 1)
    layer = layers.RandomCrop(2, 2, seed=0)
    crops = [layer(x, training=True) for _ in range(60)]
    assert {crop[0, 0, 0, 0] for crop in crops} == {0, 1, 3, 4, 6, 7}
    assert all(np.array_equal(crop[1] - crop[0], np.full((2, 2, 1), 12)) for crop in crops)
    again = layers.RandomCrop(2, 2, seed=0)
    assert all(np.array_equal(again(x, training=True), crop) for crop in crops)
    assert layers.RandomCrop(2, 2).seed != layers.RandomCrop(2, 2).seed


# gradients

@pytest.mark.parametrize("make", [
    lambda: layers.Resizing(3, 6), lambda: layers.Resizing(6, 3, "bicubic", antialias=True),
    lambda: layers.Resizing(4, 4, "lanczos3", crop_to_aspect_ratio=True), lambda: layers.Resizing(3, 2, "nearest"),
    lambda: layers.Resizing(4, 2, pad_to_aspect_ratio=True, fill_value=2, data_format="channels_first"),
    lambda: layers.CenterCrop(2, 2), lambda: layers.CenterCrop(5, 2), lambda: layers.RandomCrop(2, 3, seed=1),
    lambda: layers.RandomCrop(5, 2, seed=1, data_format="channels_first")])
@pytest.mark.parametrize("shape", [(2, 4, 4, 2), (3, 5, 4)])
def test_gradients(make, shape, rng):
    nblayers.gradcheck(make(), rng.normal(size=shape))
    nblayers.gradcheck(make(), rng.normal(size=shape), training=True)


# what comes in

@pytest.mark.parametrize("make", [layers.Resizing, layers.CenterCrop, layers.RandomCrop])
def test_inputs(make, rng):
    x, layer = rng.normal(size=(2, 6, 4, 3)), make(3, 3)
    y = layer(x)
    assert y.dtype == "float32" and y.shape == (2, 3, 3, 3)
    np.testing.assert_array_equal(layer(x[:, ::-1][:, ::-1].astype("f")), y)
    np.testing.assert_array_equal(layer(np.asfortranarray(x)), y)
    np.testing.assert_array_equal(layer(x[0]), y[0])
    assert layer.backward(y[0]).shape == (6, 4, 3)
    for shape in [(2, 0, 4, 3), (0, 4, 3), (2, 4, 4, 0), (0, 4, 4, 3)]:
        with pytest.raises(ValueError, match=r"\w+ '\w+': expected "):
            layer(np.zeros(shape))
    for shape in [(4, 4), (1, 2, 3, 4, 5)]:
        with pytest.raises(ValueError, match=r"\w+ '\w+': expected an input of at .* axes"):
            layer(np.zeros(shape))


@pytest.mark.parametrize("make, words", [
    (lambda: layers.Resizing(0, 3), "height"), (lambda: layers.Resizing(3, 2.5), "width"),
    (lambda: layers.Resizing((3, 3), 3), "height"), (lambda: layers.Resizing(3, 3, "cubic"), "interpolation"),
    (lambda: layers.Resizing(3, 3, fill_mode="reflect"), "fill_mode"),
    (lambda: layers.Resizing(3, 3, fill_value="a"), "fill_value"),
    (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "one of crop_to"),
    (lambda: layers.Resizing(3, 3, antialias="yes"), "antialias"),
    (lambda: layers.Resizing(3, 3, data_format="x"), "data_format"),
    (lambda: layers.Resizing(3, 3, bounding_box_format="xyxy"), "bounding_box_format"),
    (lambda: layers.CenterCrop(3, -1), "width"), (lambda: layers.RandomCrop(3, True), "width"),
    (lambda: layers.RandomCrop(3, 3, seed=1.5), "seed")])
def test_arguments_that_are_wrong(make, words):
    with pytest.raises(ValueError, match=rf"\w+ '\w+': expected .*{words}"):
        make()


def test_a_model_of_images_of_any_size(rng):
    model = nblayers.Sequential([layers.Input((None, None, 3)), layers.Resizing(6, 6), layers.RandomCrop(4, 4),
                                 layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = rng.integers(0, 256, (4, 9, 7, 3)).astype("uint8")
    model.fit(x, np.zeros((4, 2)), epochs=2, verbose=0)
    assert model.predict(x, verbose=0).shape == model.predict(x[:, :5], verbose=0).shape == (4, 2)
