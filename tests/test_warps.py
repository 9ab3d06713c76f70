"""RandomTranslation, RandomRotation and RandomZoom: the kernels that move images, and what the layers draw."""
from itertools import product

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from helpers import filled_with_nan, rooms_agree

import kernels
import nblayers
from nblayers import Model, Sequential, config, layers
from nblayers.devices import to_numpy
from nblayers.layers import Dense, Flatten, Input, RandomRotation, RandomTranslation, RandomZoom
from nblayers.layers.preprocessing.warps import FILL_MODES, INTERPOLATIONS

MODES = list(product(FILL_MODES, INTERPOLATIONS))
CODES = list(product(range(4), range(2)))
FORMATS = ("channels_last", "channels_first")
# far enough that places lie beyond the mirrored image, too
MADE = {RandomTranslation: ((-1, 0.9), 1), RandomRotation: (0.4,), RandomZoom: ((-0.6, 1.0), 0.9)}
CLASSES = pytest.mark.parametrize("cls", MADE)


def make(cls, **settings):
    return cls(*MADE[cls], **{"seed": 3, "name": "w", **settings})


def some_maps(count, rng, dtype="float64"):
    """Maps about the identity; the last reads from far outside."""
    maps = np.array([1, 0, 0, 0, 1, 0]) + rng.normal(size=(count, 6)) * [0.5, 0.5, 3, 0.5, 0.5, 3]
    maps[-1, [2, 5]] *= 9
    return maps.astype(dtype)


# kernels

@pytest.mark.parametrize(("fill", "interpolation"), CODES)
@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (1, 1, 1, 1), (3, 1, 5, 2), (2, 4, 1, 1)], ids=str)
def test_rooms_agree(shape, fill, interpolation, rng):
    for dtype in ("float32", "float64"):
        maps, x = some_maps(shape[0], rng, dtype), rng.normal(size=shape).astype(dtype)
        rooms_agree("warps", "warp", [x, maps, interpolation, fill, x.dtype.type(1.5)], [shape])
        rooms_agree("warps", "warp_gradient", [x, maps, interpolation, fill], [shape])


@pytest.mark.parametrize(("fill", "interpolation"), CODES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_larger_images_with_threads(fill, interpolation, channels, rng, monkeypatch):
    """Long stretches inside the image, one thread and several: the same bits."""
    warps, shape = kernels.get("cpu").warps, (5, 9, 13, channels)
    maps, x = some_maps(5, rng), rng.normal(size=shape)
    maps[0], maps[1] = (1, 0, 0, 0, 1, 0), (0, 1, 0, -1, 0, 8)          # nothing moved; a quarter turn of the square part
    jobs = [("warp", [x, maps, interpolation, fill, 1.5]), ("warp_gradient", [x, maps, interpolation, fill])]
    for name, inputs in jobs:
        y, = rooms_agree("warps", name, inputs, [shape], rooms=("cpu", "reference"))
        many = filled_with_nan(shape)
        with monkeypatch.context() as patch:
            patch.setattr(warps, "PARALLEL_FROM", 1)
            getattr(warps, name)(*inputs, many)
        np.testing.assert_array_equal(many, y)
        np.testing.assert_array_equal(y[0], x[0])


@pytest.mark.parametrize("name", ["constant", "nearest", "reflect", "wrap"])
def test_what_lies_beside_the_image(name, device):
    x = np.array([1.0, 2, 3]).reshape(1, 1, 3, 1)
    expected = {"constant": [9, 9, 9, 9, 9, 9, 9], "nearest": [1] * 7, "reflect": [1, 2, 3, 3, 2, 1, 1],
                "wrap": [3, 2, 1, 3, 2, 1, 3]}[name]
    y = np.empty_like(x)
    with nblayers.device(device):
        for step, value in enumerate(expected, 1):                      # the first pixel is read `step` to the left of itself
            kernels.get(device).warps.warp(x, np.array([[1.0, 0, -step, 0, 1, 0]]), 0, FILL_MODES.index(name), 9.0, y)
            assert y[0, 0, 0, 0] == value


def test_halves_are_rounded_away_from_zero(device):
    x = np.arange(1.0, 5).reshape(1, 1, 4, 1)
    for shift, expected in ((0.5, [2, 3, 4, 9]), (-0.5, [9, 2, 3, 4]), (-1.5, [9, 9, 2, 3]), (0.49999997, [1, 2, 3, 4])):
        y = np.empty_like(x)
        kernels.get(device).warps.warp(x, np.array([[1, 0, shift, 0, 1, 0]]), 0, 0, 9.0, y)
        assert y.ravel().tolist() == expected


# layers against Keras

def in_words_of_keras(cls, maps, shape):
    """The numbers that a layer drew, as the Keras layer's own transformation holds them."""
    maps = maps.astype("f")
    if cls is RandomTranslation:
        return {"translations": -maps[:, [2, 5]], "input_shape": shape}
    if cls is RandomZoom:
        return {"width_zoom": maps[:, :1], "height_zoom": maps[:, 4:5], "input_shape": shape}
    return {"rotation_matrix": jnp.asarray(np.pad(maps, ((0, 0), (0, 2))))}


@CLASSES
@pytest.mark.parametrize(("fill_mode", "interpolation"), MODES)
@pytest.mark.parametrize("data_format", FORMATS)
def test_keras(cls, fill_mode, interpolation, data_format, rng):
    settings = dict(fill_mode=fill_mode, interpolation=interpolation, fill_value=1.5, data_format=data_format)
    ours, theirs = make(cls, **settings), getattr(keras.layers, cls.__name__)(*MADE[cls], seed=3, name="w", **settings)
    x, dy = rng.normal(size=(2, 2, 5, 6, 3) if data_format == "channels_last" else (2, 2, 3, 5, 6)).astype("f")
    y, dx = ours(x, training=True), ours.backward(dy)
    transformation = in_words_of_keras(cls, ours.cache.drawn, x.shape)
    expected, back = jax.vjp(lambda x: theirs.transform_images(x, transformation, training=True), jnp.asarray(x))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(dx, back(jnp.asarray(dy))[0], rtol=1e-5, atol=2e-5)
    np.testing.assert_array_equal(ours(x), theirs(x, training=False))


@CLASSES
def test_drawn_as_in_keras(cls, rng):
    """One number instead of a range: both draw the same, and Keras' own call gives the same images."""
    factors = {RandomTranslation: ((0.3, 0.3), (-0.2, -0.2)), RandomRotation: ((0.1, 0.1),),
               RandomZoom: ((-0.3, -0.3), (0.2, 0.2))}[cls]
    x = rng.normal(size=(2, 5, 6, 3)).astype("f")
    theirs = getattr(keras.layers, cls.__name__)(*factors)
    np.testing.assert_allclose(cls(*factors)(x, training=True), theirs(x, training=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cls(*factors)(x[0], training=True), theirs(x[0], training=True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("make_layer", "low", "high"), [
    (lambda: RandomTranslation(0.5, 0), -4, 4), (lambda: RandomTranslation((0.1, 0.5), 0), 0.8, 4),
    (lambda: RandomTranslation((0.5, 0.1), 0), 0.8, 4), (lambda: RandomTranslation(-0.5, 0), -4, 4)])
def test_range_of_a_factor(make_layer, low, high):
    layer = make_layer()
    layer(np.ones((500, 8, 4, 1)), training=True)
    h = -layer.cache.drawn[:, 5]
    assert low <= h.min() < low + (high - low) / 20 and high - (high - low) / 20 < h.max() <= high
    assert not layer.cache.drawn[:, 2].any()


def test_zoom_keeps_the_ratio():
    layer = RandomZoom(0.5, seed=1)
    layer(np.ones((8, 5, 7, 1)), training=True)
    np.testing.assert_array_equal(layer.cache.drawn[:, 0], layer.cache.drawn[:, 4])
    both = RandomZoom(0.5, 0.5, seed=1)
    both(np.ones((8, 5, 7, 1)), training=True)
    assert (both.cache.drawn[:, 0] != both.cache.drawn[:, 4]).all()


def test_directions():
    """Down and to the right; counter-clockwise; a positive zoom shows more."""
    x = np.zeros((1, 5, 5, 1), "f")
    x[0, 2, 4] = 1                                                      # three o'clock
    moved = RandomTranslation((0.4, 0.4), (-0.2, -0.2), "constant")(x, training=True)
    assert np.argwhere(moved[..., 0] > 0.5).tolist() == [[0, 4, 3]]
    turned = RandomRotation((0.25, 0.25), "constant")(x, training=True)
    assert np.argwhere(turned[..., 0] > 0.5).tolist() == [[0, 0, 2]]    # twelve o'clock
    smaller = RandomZoom((1, 1), fill_mode="constant")(x, training=True)
    assert np.argwhere(smaller[..., 0] > 0.5).tolist() == [[0, 2, 3]]


# what every layer does

@CLASSES
@pytest.mark.parametrize(("fill_mode", "interpolation"), MODES)
def test_gradients(cls, fill_mode, interpolation, rng):
    for data_format, shape in zip(FORMATS, [(2, 4, 5, 2), (2, 2, 4, 5)], strict=True):
        layer = make(cls, fill_mode=fill_mode, interpolation=interpolation, fill_value=0.5, data_format=data_format)
        assert nblayers.gradcheck(layer, rng.normal(size=shape), training=True)


@CLASSES
@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (1, 1, 1, 1), (4, 3, 2)], ids=str)
def test_every_room_draws_the_same(cls, shape, device, rng):
    x, dy = rng.normal(size=(2, *shape)).astype("f")
    layer, other = make(cls).to(device), make(cls).to("reference")
    for _ in range(2):                                                  # the second call draws on
        y, expected = to_numpy(layer(x, training=True)), other(x, training=True)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(to_numpy(layer.backward(dy)), other.backward(dy), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(to_numpy(layer(x)), x)
        np.testing.assert_array_equal(to_numpy(layer.backward(dy)), dy)


@CLASSES
def test_single_images_and_integers(cls, rng):
    x = rng.integers(0, 256, (5, 4, 3)).astype("uint8")
    one, batch, floats = make(cls), make(cls), make(cls)
    y = one(x, training=True)
    assert y.shape == x.shape and y.dtype == np.float32
    np.testing.assert_array_equal(y, batch(x[None], training=True)[0])
    np.testing.assert_array_equal(y, floats(x.astype("f"), training=True))
    assert one.backward(y) is None
    assert floats.backward(y).shape == x.shape
    assert one(x).dtype == np.float32
    first = make(cls, data_format="channels_first")
    np.testing.assert_allclose(first(x.transpose(2, 0, 1), training=True), y.transpose(2, 0, 1), rtol=1e-5, atol=1e-3)


@CLASSES
def test_non_contiguous_and_double(cls, rng):
    x, dy = rng.normal(size=(2, 2, 5, 8, 6))
    slices = x[:, ::-1, ::2, 1::2], dy[:, ::-1, ::2, 1::2]
    layer, same = make(cls, dtype="float64"), make(cls, dtype="float64")
    y, expected = layer(slices[0], training=True), same(slices[0].copy(), training=True)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(layer.backward(slices[1]), same.backward(slices[1].copy()))
    assert make(cls)(x.astype("float16"), training=True).dtype == np.float32


@CLASSES
def test_seeds(cls, rng):
    x = rng.normal(size=(3, 5, 4, 2)).astype("f")
    layer, same, another = make(cls), make(cls), make(cls, seed=4)
    first, second = layer(x, training=True), layer(x, training=True)
    assert (first != second).any() and (first != another(x, training=True)).any()
    np.testing.assert_array_equal(same(x, training=True), first)
    drawn = []
    for _ in range(2):
        nblayers.utils.set_random_seed(7)
        drawn.append(make(cls, seed=None)(x, training=True))
    np.testing.assert_array_equal(*drawn)
    assert len(np.unique(layer.cache.drawn, axis=0)) == 3               # each image its own


@CLASSES
def test_configuration(cls):
    layer = make(cls, fill_mode="wrap", interpolation="nearest", fill_value=2.5, data_format="channels_first")
    theirs = getattr(keras.layers, cls.__name__).from_config(layer.get_config())
    expected = {key: value for key, value in theirs.get_config().items() if key != "dtype"}
    assert {key: layer.get_config()[key] for key in expected} == expected
    assert cls.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer.compute_output_shape((None, 3, 5, 6)) == (None, 3, 5, 6)
    config.set_image_data_format("channels_first")
    assert cls(*MADE[cls]).data_format == "channels_first"


@pytest.mark.parametrize(("build", "message"), [
    (lambda: RandomRotation(1.5, name="w"), r"RandomRotation 'w': expected factor to be a number in \[-1, 1\] or two of them"),
    (lambda: RandomRotation("a", name="w"), "expected factor"), (lambda: RandomRotation(None), "expected factor"),
    (lambda: RandomRotation((0.1, 0.2, 0.3)), "expected factor"), (lambda: RandomRotation(float("nan")), "expected factor"),
    (lambda: RandomTranslation(0.1, 2), "expected width_factor to be a number"),
    (lambda: RandomTranslation((-2, 0), 0), "expected height_factor to be a number"),
    (lambda: RandomZoom(-1, name="w"), "RandomZoom 'w': expected height_factor above -1"),
    (lambda: RandomZoom(0.1, (-1, 0)), "expected width_factor above -1"),
    (lambda: RandomZoom(0.1, 1.1), "expected width_factor to be a number"),
    (lambda: RandomZoom(0.1, fill_mode="mirror", name="w"), "RandomZoom 'w': expected fill_mode to be 'constant', "),
    (lambda: RandomRotation(0.1, interpolation="bicubic"), "expected interpolation to be"),
    (lambda: RandomRotation(0.1, fill_value="a"), "expected fill_value"),
    (lambda: RandomRotation(0.1, seed=0.5), "expected seed"), (lambda: RandomRotation(0.1, data_format="last"), "data_format"),
    (lambda: RandomRotation(0.1, bounding_box_format="xyxy"), "bounding_box_format"),
    (lambda: RandomRotation(0.1, name="w")(np.ones((4, 4), "f")), r"RandomRotation 'w': expected"),
    (lambda: RandomRotation(0.1, name="w")(np.ones((2, 0, 4, 3), "f")), r"RandomRotation 'w': expected images with pixels"),
    (lambda: RandomRotation(0.1, name="w")(np.ones((0, 4, 4, 3), "f")), r"RandomRotation 'w': expected at least one sample"),
    (lambda: RandomRotation(0.1, name="w")(np.ones((1, 2, 2, 4, 3), "f")), r"RandomRotation 'w': expected"),
])
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_nothing_goes_back_before_forward():
    with pytest.raises(RuntimeError, match="RandomRotation 'w'"):
        make(RandomRotation).backward(np.ones((1, 2, 2, 1), "f"))


def test_at_the_front_of_a_model(rng):
    x, y = rng.normal(size=(16, 6, 5, 3)).astype("f"), rng.integers(0, 2, 16)
    inputs = Input((6, 5, 3))
    hidden = inputs
    for cls in MADE:
        hidden = make(cls, name=None)(hidden)
    functional = Model(inputs, Dense(2, activation="softmax")(Flatten()(hidden)))
    sequential = Sequential([*(make(cls, name=None) for cls in MADE), Flatten(), Dense(2, activation="softmax")])
    for model in (functional, sequential):
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
        np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))     # nothing moves
        assert model.layers[-1].kernel.value.shape == (90, 2)


def test_an_input_is_made_to_fit(rng):
    """The gradient leads to an image whose turned version is the one that is wanted."""
    target = rng.normal(size=(1, 6, 6, 1))
    layer = RandomRotation((0.25, 0.25), dtype="float64")
    x = np.zeros_like(target)
    for _ in range(40):
        x -= 0.5 * layer.backward(layer(x, training=True) - target)
    np.testing.assert_allclose(layer(x, training=True), target, atol=1e-6)


def test_all_names():
    assert {cls.__name__ for cls in MADE} <= set(layers.__all__)
