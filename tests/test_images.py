"""Rescaling, flips, brightness and contrast: values and gradients for what was drawn; single images and batches."""
import json
import re

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, numeric_gradient, rooms_agree, run_kernel

import nblayers
from nblayers import config, layers, models

SHAPES = [(3, 4, 5, 3), (2, 3, 1, 1), (2, 5, 4, 2), (1, 1, 1, 1)]
FORMATS = ["channels_last", "channels_first"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def in_format(x, data_format):
    return x if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(x, -1, -3))


# the kernels

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rooms_agree(shape, dtype, rng):
    N, _, _, C = shape
    x, dy = rng.uniform(0, 255, shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    flips, delta, factor = rng.random(N) < 0.5, rng.uniform(-90, 90, N).astype(dtype), rng.uniform(0, 2, N).astype(dtype)
    for vertical, horizontal in ((True, False), (False, True), (True, True)):
        rooms_agree("images", "flip", [x, flips, vertical, horizontal], [shape])
    rooms_agree("images", "brightness", [x, delta, 0, 255], [shape])
    rooms_agree("images", "brightness_backward", [dy, x, delta, 0, 255], [shape])
    mean, _ = rooms_agree("images", "contrast", [x, factor, 0, 255], [(N, C), shape])
    rooms_agree("images", "contrast_backward", [dy, x, factor, 0, 255, mean], [shape])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_threads_share_the_work(channels, rng):
    rooms, shape = ("reference", "cpu"), (5, 100, 300 // channels, channels)
    x, dy, five = rng.uniform(0, 1, shape).astype("f"), rng.normal(size=shape).astype("f"), rng.uniform(0, 2, 5).astype("f")
    rooms_agree("images", "flip", [x, five < 1, True, True], [shape], rooms=rooms)
    rooms_agree("images", "brightness", [x, five - 1, 0, 1], [shape], rooms=rooms)
    rooms_agree("images", "brightness_backward", [dy, x, five - 1, 0, 1], [shape], rooms=rooms)
    mean, _ = rooms_agree("images", "contrast", [x, five, 0, 1], [(5, channels), shape], rooms=rooms)
    rooms_agree("images", "contrast_backward", [dy, x, five, 0, 1, mean], [shape], rooms=rooms)


@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_gradients_of_the_kernels(room, rng):
    x, dy, two = rng.uniform(0, 1, (2, 3, 2, 2)), rng.normal(size=(2, 3, 2, 2)), np.array([0.4, 1.7])
    y, mean = np.empty_like(x), np.empty((2, 2))
    expected = numeric_gradient(lambda: run_kernel(room, "images", "brightness", [x, two - 1, 0.1, 0.8], [y])[0], x, dy)
    found = run_kernel(room, "images", "brightness_backward", [dy, x, two - 1, 0.1, 0.8], [y])[0]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    expected = numeric_gradient(lambda: run_kernel(room, "images", "contrast", [x, two, 0.1, 0.8], [mean, y])[1], x, dy)
    mean, _ = run_kernel(room, "images", "contrast", [x, two, 0.1, 0.8], [mean, y])
    found = run_kernel(room, "images", "contrast_backward", [dy, x, two, 0.1, 0.8, mean], [y])[0]
    np.testing.assert_allclose(found, expected, atol=1e-8)


# the layers, against what Keras makes of the numbers that we drew

RANDOM = [("RandomFlip", {"mode": mode}) for mode in ("horizontal", "vertical", "horizontal_and_vertical")] + [
    ("RandomBrightness", {"factor": 0.4}), ("RandomBrightness", {"factor": (-0.1, 0.6), "value_range": (0.0, 1.0)}),
    ("RandomContrast", {"factor": 0.9}), ("RandomContrast", {"factor": (0.5, 0.8), "value_range": (0.0, 200.0)})]
TRANSFORMATIONS = {"RandomFlip": "flips", "RandomBrightness": "rgb_delta", "RandomContrast": "contrast_factor"}


def made(name, arguments, **more):
    return getattr(layers, name)(seed=4, **arguments, **more)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", [(5, 4, 3, 3), (3, 5, 2)])
@pytest.mark.parametrize("name, arguments", RANDOM, ids=str)
def test_images_are_changed_as_in_keras(name, arguments, shape, data_format, rng):
    import jax
    import keras
    high = arguments.get("value_range", (0, 255))[1]
    x = in_format(rng.uniform(0, high, shape).astype("f"), data_format)
    ours = made(name, arguments, data_format=data_format)
    theirs = getattr(keras.layers, name)(seed=4, data_format=data_format, name=ours.name, **arguments)
    assert ours.get_config() == theirs.get_config()
    assert ours.compute_output_shape(x.shape) == x.shape
    y, dy = ours(x, training=True), rng.normal(size=x.shape).astype("f")
    drawn = ours.cache.drawn.reshape(-1, *[1] * 3) if x.ndim == 4 else ours.cache.drawn.reshape(1, 1, 1)
    given = {TRANSFORMATIONS[name]: drawn if name == "RandomFlip" else drawn.astype("f"), "input_shape": x.shape}
    expected, vjp = jax.vjp(lambda x: theirs.transform_images(x, given, training=True), x)
    assert_same(y, expected, rtol=1e-5, atol=1e-4)
    assert_same(ours.backward(dy), vjp(dy)[0], "gradient", rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name, arguments", RANDOM, ids=str)
def test_gradients(name, arguments, rng):
    x = rng.uniform(0, arguments.get("value_range", (0, 255))[1], (3, 3, 4, 2))
    for training in (True, False):
        nblayers.gradcheck(made(name, arguments), x, training=training)
        nblayers.gradcheck(made(name, arguments, data_format="channels_first"), x[0], training=training)


@pytest.mark.parametrize("name, arguments", RANDOM, ids=str)
def test_inputs(name, arguments, rng):
    """Integers come out as floats; one image is a batch of one; the order of the axes changes nothing; inputs stay."""
    x = rng.integers(0, 256, (3, 4, 5, 3)).astype("uint8")
    layer = made(name, arguments)
    assert layer(x).dtype == layer(x, training=True).dtype == "float32"
    np.testing.assert_array_equal(layer(x), x)
    assert layer.backward(np.ones(x.shape)) is None
    assert made(name, arguments, dtype="float64")(x, training=True).dtype == "float64"
    y = made(name, arguments)(x, training=True)
    np.testing.assert_array_equal(made(name, arguments)(x[:1], training=True), y[:1])
    np.testing.assert_array_equal(made(name, arguments)(x[0], training=True), y[0])
    np.testing.assert_array_equal(made(name, arguments)(np.asfortranarray(x), training=True), y)
    other = made(name, arguments, data_format="channels_first")(in_format(x, "channels_first"), training=True)
    np.testing.assert_allclose(other, in_format(y, "channels_first"), rtol=1e-6, atol=1e-4)
    floats = x.astype("f")
    kept = floats.copy()
    layer.backward(layer(floats, training=True))
    np.testing.assert_array_equal(floats, kept)


@pytest.mark.parametrize("name, arguments", RANDOM, ids=str)
def test_the_same_seed_is_the_same_in_every_room(name, arguments, rng):
    x = rng.uniform(0, arguments.get("value_range", (0, 255))[1], (4, 3, 2, 2)).astype("f")
    results = []
    for room in ("reference", "cpu", "cuda"):
        layer = made(name, arguments).to(room)
        results.append([layer(x, training=True), layer(x, training=True), layer.backward(x)])
    for found in results[1:]:
        assert_same(found, results[0], rtol=1e-5, atol=1e-4)
    assert not np.array_equal(results[0][0], results[0][1])
    again = getattr(layers, name).from_config(made(name, arguments).get_config())
    assert_same(again.to("reference")(x, training=True), results[0][0])
    nblayers.utils.set_random_seed(1)
    first = getattr(layers, name)(**arguments)(x, training=True)
    nblayers.utils.set_random_seed(1)
    np.testing.assert_array_equal(getattr(layers, name)(**arguments)(x, training=True), first)


def test_what_is_drawn():
    x = np.full((4000, 1, 1, 1), 0.5, "f")
    flip = layers.RandomFlip(seed=0)
    flip(x, training=True)
    assert 0.47 < flip.cache.drawn.mean() < 0.53
    for factor, low, high in ((0.2, -0.2, 0.2), (-0.2, -0.2, 0.2), ((0.3, -0.1), -0.1, 0.3)):
        layer = layers.RandomBrightness(factor, (0, 10), seed=0)
        layer(x, training=True)
        assert layer.cache.drawn.min() >= 10 * low and layer.cache.drawn.max() < 10 * high and np.ptp(layer.cache.drawn) > 3
    for factor, low, high in ((0.2, 1.0, 1.2), ((0.1, 0.4), 0.9, 1.4)):
        layer = layers.RandomContrast(factor, seed=0)
        layer(x, training=True)
        assert layer.cache.drawn.min() >= low and layer.cache.drawn.max() < high and np.ptp(layer.cache.drawn) > 0.18
        assert layer.factor == pytest.approx((1 - low, high - 1))


def test_value_ranges_upside_down():
    assert layers.RandomBrightness(0.1, (255, 0)).value_range == [0, 255]           # as Keras
    with pytest.raises(ValueError, match=r"^RandomContrast '.*': expected value_range to be two numbers, the lower first, got"):
        layers.RandomContrast(0.1, (255, 0))


@pytest.mark.parametrize("make, words", [
    (lambda: layers.RandomFlip("both"), "mode to be 'horizontal'"), (lambda: layers.RandomFlip(seed="a"), "seed"),
    (lambda: layers.RandomFlip(data_format="last"), "data_format"),
    (lambda: layers.RandomFlip(bounding_box_format="xywh"), "boxes"),
    (lambda: layers.RandomBrightness(1.5), r"factor to be a number in \[-1, 1\]"),
    (lambda: layers.RandomBrightness("x"), "factor"),
    (lambda: layers.RandomBrightness((0.1,)), "factor"), (lambda: layers.RandomBrightness((0.1, 0.2, 0.3)), "factor"),
    (lambda: layers.RandomBrightness((-3, 0)), "factor"), (lambda: layers.RandomBrightness(True), "factor"),
    (lambda: layers.RandomBrightness(0.1, 5), "value_range"), (lambda: layers.RandomBrightness(0.1, (5, 5)), "value_range"),
    (lambda: layers.RandomBrightness(0.1, (0, float("nan"))), "value_range"), (lambda: layers.RandomContrast(-0.1), "factor"),
    (lambda: layers.RandomContrast(0.1, (0, 1, 2)), "value_range"), (lambda: layers.RandomContrast((0, 2)), "factor")])
def test_arguments_that_are_wrong(make, words):
    with pytest.raises(ValueError, match=rf"^\w+ '\w+': expected .*{words}"):
        make()


@pytest.mark.parametrize("name, arguments", RANDOM[::2], ids=str)
def test_images_that_are_wrong(name, arguments):
    layer = made(name, arguments)
    words = re.escape(f"{layer.described}: expected images with pixels and channels, got shape")
    for shape in [(2, 0, 4, 3), (0, 4, 3), (2, 4, 4, 0)]:
        with pytest.raises(ValueError, match=words):
            layer(np.zeros(shape))
    with pytest.raises(ValueError, match="expected at least one sample"):
        layer(np.zeros((0, 4, 4, 3)))
    for shape in [(4, 4), (1, 2, 3, 4, 5)]:
        with pytest.raises(ValueError, match=r"\w+ '\w+': expected an input of at .* axes"):
            layer(np.zeros(shape))
    layer(np.ones((2, 3, 3, 1)), training=True)
    with pytest.raises(ValueError, match="backward expected dy of shape"):
        layer.backward(np.ones((2, 3, 3)))


# Rescaling

SCALES = [(1 / 255, 0.0), (2, -1.0), ([1.0, 2.0, 3.0], 0.5), (np.array([1.0, 2.0, 3.0]), [3, 2, 1]),
          (np.float32(0.5), np.arange(3)), (np.arange(5.0)[:, None], 0.0), (np.ones((4, 1, 3)), 1.0)]


@pytest.mark.parametrize("scale, offset", SCALES, ids=str)
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 5, 3)])
def test_rescaling_is_that_of_keras(scale, offset, shape, rng):
    import keras
    ours = layers.Rescaling(scale, offset)
    theirs = keras.layers.Rescaling(scale, offset, name=ours.name)
    assert ours.get_config() == theirs.get_config()
    agrees_with_keras(ours, theirs, rng.normal(size=shape).astype("f"))
    assert_same(layers.Rescaling.from_config(ours.get_config())(np.ones(shape)), ours(np.ones(shape)))
    nblayers.gradcheck(ours, rng.normal(size=shape))


def test_rescaling_of_any_shape_and_dtype(rng):
    for shape in [(5,), (3, 2), (2, 1, 2, 1, 2)]:
        x = rng.normal(size=shape).astype("f")
        np.testing.assert_allclose(layers.Rescaling(2, 1)(x), 2 * x + 1)
    layer, x = layers.Rescaling(1 / 255), np.array([[0, 255]], "uint8")
    np.testing.assert_allclose(layer(x), [[0, 1]])
    assert layer(x).dtype == "float32" and layer.backward(np.ones((1, 2))) is None
    big = rng.normal(size=(4, 200, 200, 3)).astype("f")                 # threads share it
    np.testing.assert_allclose(layers.Rescaling([1, 2, 3], 1)(big), big * np.array([1, 2, 3], "f") + 1, atol=1e-5)
    np.testing.assert_allclose(layers.Rescaling(3, 1)(big), big * 3 + 1, rtol=1e-5, atol=1e-5)


def test_rescaling_with_channels_first(rng):
    import keras
    x = rng.normal(size=(2, 3, 4, 5)).astype("f")
    for library in (config, keras.config):
        library.set_image_data_format("channels_first")
    try:
        agrees_with_keras(layers.Rescaling([1, 2, 3], 0.5), keras.layers.Rescaling([1, 2, 3], 0.5), x)
        np.testing.assert_allclose(layers.Rescaling(2, [1, 2, 3])(x), 2 * x + np.array([1, 2, 3])[:, None, None], rtol=1e-6)
    finally:
        for library in (config, keras.config):
            library.set_image_data_format("channels_last")


def test_rescaling_that_does_not_fit():
    for scale, offset, shape in [([1, 2], 0, (2, 3)), (1, np.ones((4, 1)), (1, 3)), ([1, 2, 3], [1, 2], (2, 3))]:
        with pytest.raises(ValueError, match=r"^Rescaling '\w+': expected an input that scale and offset, of shapes"):
            layers.Rescaling(scale, offset)(np.ones(shape))
    for scale in ("a", None, ["a"]):
        with pytest.raises((TypeError, ValueError), match=r"^Rescaling '"):
            layers.Rescaling(scale)


# in models

def test_in_front_of_models(tmp_path, rng):
    """fit draws, predict does not; what was saved draws and computes the same."""
    x, y = rng.integers(0, 256, (8, 6, 6, 3)).astype("uint8"), rng.normal(size=(8, 2))
    flip = layers.RandomFlip(seed=1)
    parts = [flip, layers.RandomBrightness(0.2, seed=2), layers.RandomContrast(0.2, seed=3), layers.Rescaling(1 / 255),
             layers.CenterCrop(4, 4), layers.Flatten(), layers.Dense(2)]
    sequential = models.Sequential([layers.Input((6, 6, 3)), *parts])
    image = layers.Input((6, 6, 3))
    output = image
    for layer in parts:
        output = layer(output)
    functional = models.Model(image, output)
    for model in (sequential, functional):
        model.compile("sgd", "mse")
        before = flip.seed_generator.generator.bit_generator.state
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)
        assert flip.seed_generator.generator.bit_generator.state == before
        model.fit(x, y, epochs=1, batch_size=4, verbose=0)
        assert flip.seed_generator.generator.bit_generator.state != before
        model.save(tmp_path / "model.keras")
        again = models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
        configs = [json.dumps([layer.get_config() for layer in each.layers]) for each in (model, again)]
        assert configs[0] == configs[1]
