"""Pooling: windows and ties, in every room, against Keras and PyTorch."""
import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, filled_with_nan, keras_vjp, numeric_gradient, rooms_agree, run_kernel

import kernels
import nblayers
from nblayers import layers, nn
from nblayers.devices import to_numpy
from nblayers.layers import windows
from nblayers.serialization import deserialize_keras_object, serialize

SLIDING = [f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)]
GLOBAL = [f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)]
SHORT = {"Max": "MaxPool", "Average": "AvgPool", "GlobalMax": "GlobalMaxPool", "GlobalAverage": "GlobalAvgPool"}
FORMATS = ["channels_last", "channels_first"]
PLACES = {1: (9,), 2: (5, 6), 3: (4, 5, 3)}

# image, pool_size, strides, padding: windows that overlap, tile, leave gaps, hang over; sizes of one; small images
WINDOWS = [
    ((1, 1, 1), (1, 1, 1), (1, 1, 1), "valid"), ((1, 1, 1), (1, 2, 3), (1, 1, 1), "same"),
    ((1, 4, 6), (1, 2, 2), (1, 2, 2), "valid"), ((1, 5, 7), (1, 2, 2), (1, 2, 2), "valid"),
    ((1, 5, 7), (1, 2, 2), (1, 2, 2), "same"), ((1, 3, 5), (1, 3, 3), (1, 1, 1), "same"),
    ((1, 5, 5), (1, 3, 2), (1, 2, 1), "valid"), ((1, 7, 8), (1, 2, 2), (1, 3, 4), "valid"),
    ((1, 7, 8), (1, 2, 1), (1, 3, 3), "same"), ((1, 1, 11), (1, 1, 4), (1, 1, 3), "same"),
    ((1, 1, 11), (1, 1, 5), (1, 1, 5), "valid"), ((3, 4, 5), (2, 2, 2), (2, 2, 2), "same"),
    ((3, 3, 4), (3, 2, 3), (1, 1, 2), "valid"), ((3, 3, 2), (2, 3, 4), (1, 2, 2), "same"),
    ((2, 4, 3), (2, 4, 3), (2, 4, 3), "valid"), ((1, 6, 40), (1, 6, 40), (1, 6, 40), "valid"),
    ((1, 7, 41), (1, 5, 37), (1, 1, 3), "valid"), ((3, 3, 2), (3, 3, 2), (1, 2, 1), "same"),
]


def placed(image, size, strides, padding):
    """The arguments of a kernel after x, and the output's places."""
    found = [windows.placed(n, k, s, 1, padding) for n, k, s in zip(image, size, strides, strict=True)]
    return [size, strides, tuple(before for _, before in found)], tuple(length for length, _ in found)


def distinct(rng, shape, dtype="float64"):
    """Numbers in random order, no two closer than 0.1: a step of a finite difference makes no other number the largest."""
    return (0.1 * rng.permutation(np.prod(shape)).reshape(shape) - 3).astype(dtype)


def default(name):
    """The arguments that the layer cannot do without."""
    return [] if name.startswith("Global") else [2]


def values_and_gradient(layer, x, dy):
    y = layer(x)
    return to_numpy(y), to_numpy(layer.backward(dy))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch, channels", [(2, 1), (1, 3), (1, 37)])
@pytest.mark.parametrize("image, size, strides, padding", WINDOWS)
def test_rooms_agree(image, size, strides, padding, batch, channels, dtype, rng):
    simulated = channels == 1 or (channels == 3 and np.prod(image) < 20)        # the simulator is slow
    rooms = kernels.ROOMS if simulated and np.prod(image) < 100 else ("reference", "cpu")
    x = rng.integers(-3, 4, (batch, *image, channels)).astype(dtype)            # with many ties
    window, lengths = placed(image, size, strides, padding)
    shape = (batch, *lengths, channels)
    y, index = rooms_agree("pooling", "max_pool", [x, *window], [shape, np.full(shape, -9, np.int32)], rooms=rooms)
    dy = rng.normal(size=shape).astype(dtype)
    [dx] = rooms_agree("pooling", "max_pool_gradient", [dy, index, *window], [x.shape], rooms=rooms)
    assert dx.sum() == pytest.approx(dy.sum(), abs=1e-3)                        # each dy arrives, once
    rooms_agree("pooling", "average_pool", [x, *window], [shape], rooms=rooms)
    [dx] = rooms_agree("pooling", "average_pool_gradient", [dy, *window], [x.shape], rooms=rooms)
    assert dx.sum() == pytest.approx(dy.sum(), abs=1e-3)
    assert y.max() <= x.max() and index.min() >= 0 and index.max() < np.prod(size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("image, lengths, channels", [((2, 3, 5), (1, 2, 3), 2), ((1, 1, 7), (1, 1, 3), 1),
                                                      ((1, 3, 2), (1, 5, 2), 3), ((1, 9, 8), (1, 4, 1), 37)], ids=str)
def test_adaptive_rooms_agree(image, lengths, channels, dtype, rng):
    rooms = kernels.ROOMS if channels < 10 else ("reference", "cpu")
    x, dy = rng.normal(size=(2, *image, channels)).astype(dtype), rng.normal(size=(2, *lengths, channels)).astype(dtype)
    [y] = rooms_agree("pooling", "adaptive_average_pool", [x], [dy.shape], rooms=rooms)
    [dx] = rooms_agree("pooling", "adaptive_average_pool_gradient", [dy], [x.shape], rooms=rooms)
    assert (y * dy).sum() == pytest.approx((x * dx).sum(), rel=1e-3)            # one is the other's transpose


def test_adaptive_threads_share_the_work(rng):
    x, shape = rng.normal(size=(4, 1, 24, 26, 35)).astype("float32"), (4, 1, 5, 26, 35)
    rooms_agree("pooling", "adaptive_average_pool", [x], [shape], rooms=("reference", "cpu"))
    dy = rng.normal(size=shape).astype("float32")
    rooms_agree("pooling", "adaptive_average_pool_gradient", [dy], [x.shape], rooms=("reference", "cpu"))


@pytest.mark.parametrize("image, channels, size", [((1, 24, 26), 35, 2), ((1, 24, 26), 35, 3), ((1, 40, 40), 40, 40)])
def test_threads_share_the_work(image, channels, size, rng):
    """Large enough for all threads; the reference room is the measure."""
    x = rng.normal(size=(4, *image, channels)).astype("float32")
    window, lengths = placed(image, (1, size, size), (1, min(size, 2), min(size, 2)), "valid")
    shape, rooms = (4, *lengths, channels), ("reference", "cpu")
    _, index = rooms_agree("pooling", "max_pool", [x, *window], [shape, np.full(shape, -9, np.int32)], rooms=rooms)
    dy = rng.normal(size=shape).astype("float32")
    rooms_agree("pooling", "max_pool_gradient", [dy, index, *window], [x.shape], rooms=rooms)
    rooms_agree("pooling", "average_pool", [x, *window], [shape], rooms=rooms)
    rooms_agree("pooling", "average_pool_gradient", [dy, *window], [x.shape], rooms=rooms)


@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_gradients_of_the_kernels(room, rng):
    image, size, strides = (2, 4, 5), (2, 3, 2), (1, 2, 1)
    window, lengths = placed(image, size, strides, "same")
    x, dy = distinct(rng, (1, *image, 2)), rng.normal(size=(1, *lengths, 2))
    y, dx = filled_with_nan(dy.shape), filled_with_nan(x.shape)

    def run(function, *inputs, outputs):
        return run_kernel(room, "pooling", function, [*inputs, *window], outputs)

    index = run("max_pool", x, outputs=[y, np.empty(y.shape, np.int32)])[1]
    expected = numeric_gradient(lambda: run("max_pool", x, outputs=[y, index])[0], x, dy)
    np.testing.assert_allclose(run("max_pool_gradient", dy, index, outputs=[dx])[0], expected, atol=1e-7)
    expected = numeric_gradient(lambda: run("average_pool", x, outputs=[y])[0], x, dy)
    np.testing.assert_allclose(run("average_pool_gradient", dy, outputs=[dx])[0], expected, atol=1e-7)


OPTIONS = [
    dict(), dict(pool_size=3, strides=1), dict(pool_size=3, strides=2, padding="same"), dict(pool_size=2, strides=3),
    dict(pool_size=2, strides=3, padding="same"), dict(pool_size=2, strides=1, padding="same"), dict(pool_size=1, strides=2)]
LAYER_OPTIONS = [(name, options, data_format) for name in SLIDING for number, options in enumerate(OPTIONS)
                 for data_format in FORMATS if name.endswith("2D") or (number < 3 and data_format == FORMATS[number % 2])]


def sliding_options(name, options):
    return {"pool_size": 2, **options} if name.startswith("Average") else options


@pytest.mark.parametrize("name, options, data_format", LAYER_OPTIONS)
def test_sliding_agrees_with_keras(name, options, data_format, rng):
    places = PLACES[int(name[-2])]
    options = {**sliding_options(name, options), "data_format": data_format}
    shape = (2, *places, 3) if data_format == "channels_last" else (2, 3, *places)
    x = rng.integers(-4, 5, shape).astype("float32")                            # ties go where Keras sends them
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    agrees_with_keras(ours, theirs, x)
    assert ours.compute_output_shape(shape) == ours(x).shape == tuple(theirs.compute_output_shape(shape))
    unknown = (None,) * len(shape)
    assert ours.compute_output_shape(unknown) == unknown


@pytest.mark.parametrize("name, size, strides", [
    ("MaxPooling2D", (2, 3), (1, 2)), ("AveragePooling2D", [3, 1], [2, 1]), ("MaxPooling3D", (1, 2, 3), 1),
    ("AveragePooling3D", (2, 1, 2), (2, 2, 1)), ("MaxPooling1D", (3,), [2]), ("AveragePooling1D", [2], 3)])
@pytest.mark.parametrize("padding", ["valid", "SAME"])
def test_sizes_differ_by_axis(name, size, strides, padding, rng, x64):
    x = rng.normal(size=(2, *PLACES[int(name[-2])], 3))
    ours, theirs = (getattr(module, name)(size, strides, padding, dtype="float64") for module in (layers, keras.layers))
    agrees_with_keras(ours, theirs, x)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", GLOBAL)
def test_global_agrees_with_keras(name, data_format, keepdims, rng):
    places = PLACES[int(name[-2])]
    shape = (2, *places, 3) if data_format == "channels_last" else (2, 3, *places)
    ours, theirs = (getattr(module, name)(data_format=data_format, keepdims=keepdims) for module in (layers, keras.layers))
    agrees_with_keras(ours, theirs, distinct(rng, shape, "float32"))
    assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    assert ours.compute_output_shape((None,) * len(shape)) == tuple(theirs.compute_output_shape((None,) * len(shape)))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", SLIDING + GLOBAL)
def test_gradients(name, data_format, rng):
    places = PLACES[int(name[-2])]
    x = distinct(rng, (2, *places, 2) if data_format == "channels_last" else (2, 2, *places))
    options = [dict(keepdims=True), {}] if name.startswith("Global") else [
        dict(pool_size=2), dict(pool_size=3, strides=2, padding="same"), dict(pool_size=2, strides=1)]
    for chosen in options:
        assert nblayers.gradcheck(getattr(layers, name)(**chosen, data_format=data_format), x)


@pytest.mark.parametrize("name", SLIDING + GLOBAL)
def test_in_every_room(name, device, rng):
    places = {1: (5,), 2: (3, 4), 3: (2, 3, 2)}[int(name[-2])]
    options = {} if name.startswith("Global") else dict(pool_size=2, strides=1, padding="same")
    x = rng.normal(size=(2, *places, 3))
    layer, reference = (getattr(layers, name)(**options, dtype="float64").to(d) for d in (device, "reference"))
    dy = rng.normal(size=reference(x).shape)
    for a, b in zip(values_and_gradient(layer, x, dy), values_and_gradient(reference, x, dy), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


TIED = np.array([[1, 3, 3, 1], [3, 1, 3, 3], [2, 2, 0, 0], [2, 2, 0, 0]], "float32")


@pytest.mark.parametrize("size, strides, landed", [
    (2, 2, [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]),
    (3, 1, [[0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])])
def test_a_tie_goes_to_the_first(size, strides, landed, device):
    x = TIED[None, :, :, None]
    layer = layers.MaxPooling2D(size, strides).to(device)
    dx = layer.backward(np.ones_like(to_numpy(layer(x))))
    np.testing.assert_array_equal(to_numpy(dx)[0, :, :, 0], landed)
    theirs = torch.tensor(TIED[None, None], requires_grad=True)
    torch.nn.functional.max_pool2d(theirs, size, strides).sum().backward()
    np.testing.assert_array_equal(theirs.grad[0, 0], landed)
    theirs = keras.layers.MaxPooling2D(size, strides)
    np.testing.assert_array_equal(keras_vjp(theirs, x, np.ones(theirs(x).shape)).inputs[0, :, :, 0], landed)


def test_a_global_tie_goes_to_the_first_too(device):
    x, landed = TIED[None, :, :, None], np.zeros((4, 4))
    landed[0, 1] = 1
    layer = layers.GlobalMaxPooling2D().to(device)
    dx = layer.backward(np.ones_like(to_numpy(layer(x))))
    np.testing.assert_array_equal(to_numpy(dx)[0, :, :, 0], landed)
    theirs = torch.tensor(TIED[None, None], requires_grad=True)
    torch.nn.functional.adaptive_max_pool2d(theirs, 1).sum().backward()
    np.testing.assert_array_equal(theirs.grad[0, 0], landed)
    shared = keras_vjp(keras.layers.GlobalMaxPooling2D(), x, np.ones((1, 1))).inputs[0, :, :, 0]
    np.testing.assert_allclose(shared, np.where(TIED == 3, 0.2, 0))             # where Keras on JAX has another rule


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"])
def test_nan_and_infinity_pass_as_in_keras(name, device, rng):
    x = rng.normal(size=(1, 4, 6, 5)).astype("float32")
    x[0, 1, 1, 0] = x[0, 2, 4, 1] = x[0, 3, 5, 1] = np.nan
    x[0, 0, 0, 2] = np.inf
    x[0, :2, :2, 3] = -np.inf
    ours, theirs = (getattr(module, name)(*default(name)) for module in (layers, keras.layers))
    np.testing.assert_allclose(to_numpy(ours.to(device)(x)), theirs(x), rtol=1e-6)


def test_the_first_nan_wins(device):
    x = np.full((1, 3, 3, 1), -np.inf, "float32")
    x[0, 1, 1, 0] = x[0, 1, 2, 0] = np.nan
    for layer in (layers.MaxPooling2D(3), layers.GlobalMaxPooling2D()):
        y = to_numpy(layer.to(device)(x))
        assert np.isnan(y).all()
        np.testing.assert_array_equal(np.flatnonzero(to_numpy(layer.backward(np.ones_like(y)))), [4])


def test_all_minus_infinity(device):
    """Padding is -inf too, and wins nothing even so."""
    layer = layers.MaxPooling1D(3, 1, "same").to(device)
    x = np.full((1, 3, 1), -np.inf, "float32")
    y, dx = values_and_gradient(layer, x, np.ones((1, 3, 1)))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx.ravel(), [2, 1, 0])


@pytest.mark.parametrize("name", ["AveragePooling2D", "GlobalAveragePooling2D"])
def test_means_of_many_numbers_keep_their_precision(name, rng):
    x = np.full((1, 512, 512, 3), 0.1, "float32")
    x[..., 1] = rng.normal(1, 1, (512, 512))
    layer = getattr(layers, name)(*[512] * name.startswith("Average"))
    exact = x.astype("float64").mean(axis=(0, 1, 2))
    np.testing.assert_allclose(layer(x).ravel(), exact, rtol=2e-7)


@pytest.mark.parametrize("size", [7, 64])
def test_padding_is_no_part_of_a_mean(size, device):
    layer = layers.AveragePooling1D(size, 1, "same").to(device)
    np.testing.assert_allclose(to_numpy(layer(np.full((1, 5, 2), 3.0))), 3, rtol=1e-6)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_mask(data_format, keepdims, device, rng):
    x = rng.normal(size=(3, 5, 2)).astype("float32")
    mask = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], bool)
    x[0, 2] = np.nan                                                            # what is masked does not matter
    if data_format == "channels_first":
        x = np.moveaxis(x, 1, 2)
    options = dict(data_format=data_format, keepdims=keepdims)
    ours, theirs = layers.GlobalAveragePooling1D(**options).to(device), keras.layers.GlobalAveragePooling1D(**options)
    y = to_numpy(ours(x, mask=mask))
    dy = rng.normal(size=y.shape).astype("float32")
    expected = keras_vjp(theirs, x, dy, mask=mask)
    np.testing.assert_allclose(y, expected.outputs, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(ours.backward(dy)), expected.inputs, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(x).sum(), 2)
    assert ours.compute_mask(x, mask) is None and theirs.compute_mask(x, mask) is None


@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_with_a_mask(data_format, rng):
    mask = np.array([[True, False, True, True], [False, True, False, False]])
    shape = (2, 4, 3) if data_format == "channels_last" else (2, 3, 4)
    assert nblayers.gradcheck(layers.GlobalAveragePooling1D(data_format), rng.normal(size=shape), mask=mask)


def test_mask_of_an_embedding_arrives():
    ids = np.array([[3, 0, 5], [0, 0, 2]])
    model = nblayers.Sequential([layers.Embedding(6, 4, mask_zero=True), layers.GlobalAveragePooling1D()])
    y = model.predict(ids, verbose=0)
    table = model.layers[0].get_weights()[0]
    np.testing.assert_allclose(y, [(table[3] + table[5]) / 2, table[2]], rtol=1e-6)


def test_other_layers_stop_a_mask():
    mask = np.ones((1, 4), bool)
    with pytest.warns(UserWarning, match="MaxPooling1D 'p' was given a mask but does not support masking"):
        assert layers.MaxPooling1D(name="p").compute_mask(np.ones((1, 4, 1)), mask) is None


def test_mask_errors():
    layer = layers.GlobalAveragePooling1D(name="g")
    x = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"GlobalAveragePooling1D 'g': expected a mask of shape \(2, 3\), got \(2, 4\)"):
        layer(x, mask=np.ones((2, 4)))
    with pytest.raises(ValueError, match="'g': expected the mask to leave a step of every sample, got none of sample 1"):
        layer(x, mask=np.array([[1, 0, 0], [0, 0, 0]]))


@pytest.mark.parametrize("name", SLIDING + GLOBAL)
def test_views_batch_of_one_and_inputs_left_alone(name, rng):
    rank = int(name[-2])
    layer = getattr(layers, name)(*default(name), dtype="float64")
    x = rng.normal(size=(2, *(2 * n for n in PLACES[rank]), 6))
    view = x[1:, ..., ::-2][(slice(None), *[slice(None, None, 2)] * rank)]
    kept, dy = x.copy(), rng.normal(size=layer(view).shape)
    dy_kept = dy.copy()
    for a, b in zip(values_and_gradient(layer, view, dy[..., ::-1]),
                    values_and_gradient(layer, view.copy(), dy[..., ::-1].copy()), strict=True):
        assert a.flags.c_contiguous
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(dy, dy_kept)
    assert len(view) == 1


def test_integers_become_floats():
    assert layers.MaxPooling1D()(np.arange(6).reshape(1, 6, 1)).dtype == np.float32


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"])
def test_trains_two_steps(name, rng):
    """The second step does not see the first one's cache or gradients."""
    x, target = rng.normal(size=(6, 4, 4, 3)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    ours, theirs = (module.Sequential([
        module.layers.Dense(5), getattr(module.layers, name)(*default(name)), module.layers.Flatten(), module.layers.Dense(2)])
        for module in (nblayers, keras))
    theirs(x)
    ours(x)
    theirs.set_weights(ours.get_weights())
    losses = []
    for model in (ours, theirs):
        model.compile(optimizer="sgd", loss="mse")
        losses.append([float(model.train_on_batch(x, target)) for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][2] < losses[0][1] < losses[0][0]


def test_one_layer_called_twice(rng):
    """Each call has its record, handed back to the layer for its backward."""
    layer = layers.MaxPooling2D(2, dtype="float64")
    a, b = rng.normal(size=(2, 1, 4, 4, 1))
    layer(a)
    record = layer.cache
    layer(b)
    dy = rng.normal(size=(1, 2, 2, 1))
    layer.cache = record
    dx = layer.backward(dy)
    np.testing.assert_array_equal(dx != 0, a == np.kron(layer(a)[0, ..., 0], np.ones((2, 2)))[None, ..., None])


def test_cache_holds_no_image(rng):
    x = rng.normal(size=(2, 8, 8, 16)).astype("float32")
    for name in SLIDING[1::3] + GLOBAL[1::3]:
        layer = getattr(layers, name)(*default(name))
        y = layer(x)
        held = sum(value.nbytes for value in vars(layer.cache).values() if isinstance(value, np.ndarray))
        assert held <= y.nbytes, name


@pytest.mark.parametrize("name", SLIDING + GLOBAL)
def test_config_both_ways(name):
    rank = int(name[-2])
    choices = [dict(data_format="channels_first", keepdims=True)] if name.startswith("Global") else [
        dict(pool_size=3), dict(pool_size=(2,) * rank, strides=1, padding="same", data_format="channels_first")]
    for options in choices:
        ours, theirs = (getattr(module, name)(**options, name="p", dtype="float64") for module in (layers, keras.layers))
        assert ours.get_config() == theirs.get_config()
        assert list(ours.get_config()) == list(theirs.get_config())
        assert getattr(layers, name).from_config(theirs.get_config()).get_config() == theirs.get_config()
        assert getattr(keras.layers, name).from_config(ours.get_config()).get_config() == theirs.get_config()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", SHORT)
def test_short_names(kind, rank):
    assert getattr(layers, f"{SHORT[kind]}{rank}D") is getattr(layers, f"{kind}Pooling{rank}D")
    assert getattr(keras.layers, f"{SHORT[kind]}{rank}D") is getattr(keras.layers, f"{kind}Pooling{rank}D")


def test_default_data_format():
    nblayers.config.set_image_data_format("channels_first")
    assert layers.MaxPooling2D()(np.ones((1, 3, 4, 6))).shape == (1, 3, 2, 3)
    assert layers.GlobalAveragePooling2D()(np.ones((1, 3, 4, 6))).shape == (1, 3)


@pytest.mark.parametrize("arguments, message", [
    (dict(pool_size=0), "expected a positive integer or a tuple of 2 as pool_size, got 0"),
    (dict(pool_size=(2, 2, 2)), r"as pool_size, got \(2, 2, 2\)"), (dict(pool_size=2.5), "as pool_size, got 2.5"),
    (dict(pool_size=None), "as pool_size, got None"),
    (dict(strides=0), "as strides, got 0"), (dict(strides="a"), "as strides, got 'a'"),
    (dict(padding="causal"), "expected padding 'valid' or 'same', got 'causal'"), (dict(padding=1), "got 1"),
    (dict(data_format="NHWC"), "expected data_format 'channels_last' or 'channels_first', got 'NHWC'")])
def test_bad_arguments(arguments, message):
    for cls in (layers.MaxPooling2D, layers.AveragePooling2D):
        with pytest.raises(ValueError, match=f"^{cls.__name__} 'p': .*{message}"):
            cls(**{"pool_size": 2, **arguments}, name="p")


@pytest.mark.parametrize("name", SLIDING + GLOBAL)
def test_bad_inputs(name):
    layer = getattr(layers, name)(*default(name), name="p")
    rank = int(name[-2])
    with pytest.raises(ValueError, match=f"^{name} 'p': expected an input of {rank + 2} axes, got {rank + 1}"):
        layer(np.ones((2,) * (rank + 1)))
    with pytest.raises(ValueError, match=f"^{name} 'p': expected an input of {rank + 2} axes, got shape"):
        layer.compute_output_shape((2,) * (rank + 1))
    with pytest.raises(ValueError, match=rf"^{name} 'p': expected a size of at least"):
        layer(np.ones((1, *(4,) * (rank - 1), 0, 3)))
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        getattr(layers, name)(*default(name)).backward(np.ones((1, 1)))
    y = layer(np.ones((1, *(4,) * rank, 3)))
    with pytest.raises(ValueError, match="backward expected dy of shape"):
        layer.backward(np.ones((*y.shape, 1)))
    with pytest.raises(TypeError, match="unknown argument 'size'"):
        type(layer)(*default(name), size=3)


def test_image_smaller_than_the_window():
    for layer in (layers.MaxPooling2D(3, name="p"), layers.AveragePooling2D((1, 3), name="p")):
        with pytest.raises(ValueError, match=r"'p': expected a size of at least 3 on spatial axis 1, .* 'valid', got 2"):
            layer(np.ones((1, 4, 2, 1)))
        with pytest.raises(ValueError, match="expected a size of at least 3 on spatial axis 1"):
            layer.compute_output_shape((None, 4, 2, 1))
    assert layers.MaxPooling2D(3, padding="same")(np.ones((1, 4, 2, 1))).shape == (1, 2, 1, 1)


TORCH_OPTIONS = [
    dict(), dict(stride=2), dict(padding=1), dict(stride=2, padding=1), dict(stride=2, ceil_mode=True),
    dict(stride=2, padding=1, ceil_mode=True), dict(stride=3, padding=1, ceil_mode=True), dict(stride=4, ceil_mode=True)]


def agrees_with_torch(ours, theirs, x, rng):
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(given)
    dy = rng.normal(size=tuple(expected.shape)).astype("float32")
    expected.backward(torch.tensor(dy))
    y, dx = values_and_gradient(ours, x, dy)
    np.testing.assert_allclose(y, expected.detach(), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(dx, given.grad, rtol=2e-6, atol=1e-6)
    assert ours.compute_output_shape(x.shape) == y.shape
    again = deserialize_keras_object(serialize(ours))
    np.testing.assert_array_equal(again(x), y)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", TORCH_OPTIONS)
def test_max_pool_of_torch(options, rank, rng):
    x = rng.integers(-9, 10, (2, 3, *PLACES[rank])).astype("float32")
    for size in (2, 3):
        ours, theirs = (getattr(module, f"MaxPool{rank}d")(size, **options) for module in (nn, torch.nn))
        agrees_with_torch(ours, theirs, x, rng)


COUNTS = [dict(), dict(count_include_pad=False), dict(divisor_override=5), dict(divisor_override=-2)]


@pytest.mark.parametrize("rank, more", [(rank, more) for rank in (1, 2, 3) for more in COUNTS[:2 if rank == 1 else 4]])
@pytest.mark.parametrize("options", TORCH_OPTIONS)
def test_average_pool_of_torch(options, rank, more, rng):
    x = rng.normal(size=(2, 3, *PLACES[rank])).astype("float32")
    ours, theirs = (getattr(module, f"AvgPool{rank}d")(3, **options, **more) for module in (nn, torch.nn))
    agrees_with_torch(ours, theirs, x, rng)


@pytest.mark.parametrize("kind, options, shape", [
    ("MaxPool2d", dict(kernel_size=3, stride=2, ceil_mode=True), (1, 2, 2, 2)),
    ("AvgPool1d", dict(kernel_size=4, stride=4, ceil_mode=True), (2, 1, 3)),
    ("AvgPool2d", dict(kernel_size=3, stride=(3, 2), ceil_mode=True), (1, 1, 1, 2)),
    ("MaxPool3d", dict(kernel_size=2, stride=2, padding=1, ceil_mode=True), (1, 1, 1, 2, 3))], ids=str)
def test_torch_windows_larger_than_the_image(kind, options, shape, rng):
    """With ceil_mode a first window may end outside the image."""
    ours, theirs = (getattr(module, kind)(**options) for module in (nn, torch.nn))
    agrees_with_torch(ours, theirs, rng.normal(size=shape), rng)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Max", "Avg"])
def test_any_torch_pooling(kind, rank, rng):
    """At random, with and without a batch axis: PyTorch's values and gradients, and an error where it has one."""
    def draw(low, high):
        return int(rng.integers(low, high)) if rng.random() < 0.5 else tuple(rng.integers(low, high, rank).tolist())

    for _ in range(40):
        options = {"kernel_size": draw(1, 5), "stride": draw(1, 5), "padding": draw(0, 3), "ceil_mode": rng.random() < 0.6}
        if kind == "Avg":
            options["count_include_pad"] = bool(rng.random() < 0.5)
            if rank > 1 and rng.random() < 0.3:
                options["divisor_override"] = int(rng.choice([-3, 1, 7]))
        x = rng.normal(size=(*([2] if rng.random() < 0.7 else []), 2, *rng.integers(1, 7, rank)))
        try:
            theirs = getattr(torch.nn, f"{kind}Pool{rank}d")(**options)
            theirs(torch.tensor(x))
        except RuntimeError:
            if kind == "Avg" and rank == 3 and (np.array(x.shape[-3:]) < options["kernel_size"]).any():
                continue                                        # PyTorch forgets padding and ceil_mode in this one
            with pytest.raises(ValueError, match=f"{kind}Pool{rank}d '.*': expected"):
                getattr(nn, f"{kind}Pool{rank}d")(**options)(x)
        else:
            agrees_with_torch(getattr(nn, f"{kind}Pool{rank}d")(**options), theirs, x, rng)


def test_torch_sizes_differ_by_axis(rng):
    x = rng.normal(size=(2, 3, 6, 9)).astype("float32")
    for kind in ("Max", "Avg"):
        ours, theirs = (getattr(module, f"{kind}Pool2d")((2, 4), stride=(1, 3), padding=(0, 2)) for module in (nn, torch.nn))
        agrees_with_torch(ours, theirs, x, rng)


@pytest.mark.parametrize("layer", [
    nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True), nn.AvgPool2d((3, 2), 2, 1, ceil_mode=True),
    nn.AvgPool1d(2, padding=1, divisor_override=3)], ids=lambda layer: layer.name)
def test_gradients_with_torch_padding(layer, rng):
    assert nblayers.gradcheck(layer, distinct(rng, (2, 2, 5, 4)[:2 + layer.rank]))


@pytest.mark.parametrize("make, message", [
    (lambda: nn.MaxPool2d(2, dilation=2), "MaxPool2d .*: expected dilation=1, got 2"),
    (lambda: nn.MaxPool1d(2, return_indices=True), "MaxPool1d .*: return_indices is not supported"),
    (lambda: nn.MaxPool2d(2, padding=2), r"MaxPool2d .*: expected padding of at most half of kernel_size \(2, 2\), got"),
    (lambda: nn.AvgPool3d(2, padding=-1), "expected an integer that is not negative or a tuple of 3 as padding, got"),
    (lambda: nn.MaxPool2d(0), "expected a positive integer or a tuple of 2 as kernel_size, got 0"),
    (lambda: nn.AvgPool1d(2, (1, 1)), r"expected a positive integer as stride, got \(1, 1\)"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), "expected a divisor_override other than 0"),
    (lambda: nn.AvgPool2d(5, padding=2)(np.ones((1, 1, 4, 0))), "expected a size of at least 1 on spatial axis 1"),
    (lambda: nn.MaxPool2d(5, padding=1)(np.ones((1, 1, 2, 4))), "expected a size of at least 3 on spatial axis 0")])
def test_torch_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_kernel_writes_no_numbers_of_another_size():
    """A vector of doubles stored in an array of floats went beyond its end."""
    x, y, index = np.ones((1, 1, 4, 4, 3)), np.zeros((1, 1, 2, 2, 3), "f4"), np.zeros((1, 1, 2, 2, 3), np.int32)
    with pytest.raises(TypeError, match="_max_rows: expected arrays in C order and of one dtype, got array\\(float64"):
        kernels.get("cpu").pooling.max_pool(x, (1, 2, 2), (1, 2, 2), (0, 0, 0), y, index)
    with pytest.raises(TypeError, match="_max_gradient_rows: expected arrays in C order and of one dtype, got array\\(float32"):
        kernels.get("cpu").pooling.max_pool_gradient(y, index, (1, 2, 2), (1, 2, 2), (0, 0, 0), x)
