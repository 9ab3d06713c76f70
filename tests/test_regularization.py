"""Dropout and its relatives: kernels, what they compute, their masks."""
import math

import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, rooms_agree, run_kernel

import nblayers
from nblayers import nn
from nblayers.devices import to_numpy
from nblayers.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from nblayers.random import set_seed

# the simulator's integers are NumPy's, which say so when they wrap around
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


@pytest.mark.parametrize("rate", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("key", [0, 12345, 2**64 - 1])
def test_rooms_draw_the_same_mask(key, rate):
    for size in (1, 7, 65):
        rooms_agree("regularization", "dropout_mask", [np.uint64(key), np.uint64(round(rate * 2**32))], [np.zeros(size, bool)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 65])
def test_rooms_apply_the_mask_alike(size, dtype, rng):
    x, mask = rng.normal(size=size).astype(dtype), rng.random(size) < 0.5
    [y] = rooms_agree("regularization", "dropout_apply", [x, mask, np.dtype(dtype).type(1.25)], [(size,)])
    np.testing.assert_allclose(y, np.where(mask, x * 1.25, 0), rtol=1e-6)


def test_the_numbers_are_those_of_splitmix64():
    """The first outputs for seed 1234567 in its authors' reference program: the upper halves decide."""
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    for threshold in (o >> 32 for o in outputs):
        inputs = [np.uint64(1234567), np.uint64(threshold)]
        [mask] = run_kernel("cpu", "regularization", "dropout_mask", inputs, [np.zeros(5, bool)])
        np.testing.assert_array_equal(mask, [o >> 32 >= threshold for o in outputs])


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9, 1])
def test_rate_and_scale(rate):
    x = np.ones((100, 1000), "float32")
    layer = Dropout(rate, seed=1)
    y = layer(x, training=True)
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - rate, abs=0.01)         # 6 standard deviations
    assert np.all(y[kept] == np.float32(1 / (1 - rate))) if rate < 1 else not kept.any()
    assert y.mean() == pytest.approx(1 if rate < 1 else 0, abs=0.06)
    np.testing.assert_array_equal(layer.backward(x), y)             # dx = dy m / (1 - r)
    assert y.dtype == np.float32


def test_elements_are_independent():
    y = Dropout(0.5, seed=3)(np.ones((1000, 1000)), training=True) / 2
    for a, b in ((y[:, 1:], y[:, :-1]), (y[1:], y[:-1])):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] == pytest.approx(0, abs=0.006)


@pytest.mark.parametrize("training", [False, None])
def test_identity_when_not_training(training, rng):
    x = rng.normal(size=(3, 4)).astype("float32")
    layer = Dropout(0.5)
    np.testing.assert_array_equal(layer(x, training=training), x)
    np.testing.assert_array_equal(layer.backward(x), x)
    np.testing.assert_array_equal(layer(x), x)


@pytest.mark.parametrize("noise_shape", [None, (None, 1, None), (1, 3, 1), (3, 1)])
@pytest.mark.parametrize("training", [False, True])
def test_gradients(noise_shape, training, rng):
    assert nblayers.gradcheck(Dropout(0.4, noise_shape, seed=2), rng.normal(size=(2, 3, 4)), training=training)


@pytest.mark.parametrize("noise_shape, same_along", [
    ((None, 1, None), [1]), ([1, None, None], [0]), ((20, 1, 1), [1, 2]), ((30, 1), [0, 2]), ((1, 1, 40), [0, 1])])
def test_noise_shape(noise_shape, same_along, device):
    shape = (20, 30, 40) if device == "cpu" else (2, 3, 4)
    noise_shape = [{20: 2, 30: 3, 40: 4}.get(n, n) for n in noise_shape] if device != "cpu" else noise_shape
    y = to_numpy(Dropout(0.5, noise_shape, seed=1).to(device)(np.ones(shape), training=True))
    for axis in range(3):
        same = np.all(y == np.take(y, [0], axis))
        assert same == (axis in same_along) or device != "cpu"
        assert same or axis not in same_along


def test_noise_shape_broadcasts_as_in_keras():
    for noise_shape in [(None, 1, None), (3, 1), (1,)]:
        theirs = np.asarray(keras.layers.Dropout(0.5, noise_shape, seed=1)(np.ones((2, 3, 4)), training=True))
        assert Dropout(0.5, noise_shape, seed=1)(np.ones((2, 3, 4)), training=True).shape == theirs.shape


def test_a_seed_fixes_the_sequence_of_masks(device):
    x = np.ones((4, 5))
    first, second = (Dropout(0.5, seed=7).to(device) for _ in range(2))
    drawn = [to_numpy(first(x, training=True)) for _ in range(3)]
    for y in drawn:
        np.testing.assert_array_equal(to_numpy(second(x, training=True)), y)
    assert not np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[1], drawn[2])
    reference = Dropout(0.5, seed=7).to("reference")
    np.testing.assert_array_equal(reference(x, training=True), drawn[0])        # the same in every room
    assert not np.array_equal(Dropout(0.5, seed=8)(x, training=True), drawn[0])


def test_without_a_seed_the_global_one_counts():
    x = np.ones((10, 10))
    set_seed(1)
    first = Dropout(0.5)(x, training=True)
    other = Dropout(0.5)(x, training=True)
    set_seed(1)
    np.testing.assert_array_equal(Dropout(0.5)(x, training=True), first)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", [0, -1, 2**70, np.int64(3)])
def test_any_integer_is_a_seed(seed):
    Dropout(0.5, seed=seed)(np.ones((2, 2)), training=True)


def test_scale_is_that_of_torch_and_keras():
    x = np.ones((50, 50), "float32")
    values = [np.unique(np.asarray(y)) for y in (
        Dropout(0.25)(x, training=True), keras.layers.Dropout(0.25)(x, training=True), torch.nn.Dropout(0.25)(torch.tensor(x)))]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    np.testing.assert_allclose(values[0], values[2], rtol=1e-6)


def test_inputs_are_left_alone_and_may_be_views(rng):
    x = rng.normal(size=(6, 4))
    kept = x.copy()
    layer = Dropout(0.5, seed=1, dtype="float64")
    y = layer(x[::2, ::-1], training=True)
    dx = layer.backward(x[::2, ::-1])
    np.testing.assert_array_equal(y, dx)
    np.testing.assert_array_equal(x, kept)
    assert Dropout(0.5)(np.ones((1, 2), int), training=True).dtype == np.float32


def test_masks_pass_and_shape_stays():
    layer, mask = Dropout(0.5), np.array([[True, False]])
    assert layer.compute_mask(None, mask) is mask and layer.compute_output_shape((None, 3)) == (None, 3)
    assert layer.weights == [] and layer.built


@pytest.mark.parametrize("rate", [-0.1, 1.1, "a", None, True, float("nan")])
def test_bad_rate(rate):
    with pytest.raises(ValueError, match="Dropout 'd': expected a rate from 0 to 1, got"):
        Dropout(rate, name="d")


@pytest.mark.parametrize("noise_shape", ["abc", 3, (1.5,), (0, 1), (-1,), ()])
def test_bad_noise_shape(noise_shape):
    with pytest.raises(ValueError, match="Dropout 'd': expected noise_shape of positive integers and None, got"):
        Dropout(0.5, noise_shape, name="d")


@pytest.mark.parametrize("noise_shape", [(2, 2), (1, 1, 1)])
def test_noise_shape_that_does_not_fit(noise_shape):
    with pytest.raises(ValueError, match=r"expected an input that noise_shape .* can be spread over, got shape \(2, 3\)"):
        Dropout(0.5, noise_shape)(np.ones((2, 3)), training=True)


@pytest.mark.parametrize("seed", [1.5, "a", True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="Dropout 'd': expected an integer as seed, got"):
        Dropout(0.5, seed=seed, name="d")


def test_backward_before_forward():
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        Dropout(0.5).backward(np.ones((1, 2)))


@pytest.mark.parametrize("arguments", [
    dict(rate=0.5, name="d"), dict(rate=0.2, noise_shape=(None, 1), seed=3, name="d", dtype="float64")])
def test_config_both_ways(arguments):
    ours, theirs = Dropout(**arguments), keras.layers.Dropout(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert Dropout.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert keras.layers.Dropout.from_config(ours.get_config()).get_config() == theirs.get_config()


# Dropout's relatives

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 65])
def test_rooms_agree_on_the_others(size, dtype, rng):
    number = np.dtype(dtype).type
    x, mask = rng.normal(size=size).astype(dtype), rng.random(size) < 0.5
    rooms_agree("regularization", "normal_noise", [np.uint64(12345), number(1), number(0.7)], [np.full(size, np.nan, dtype)])
    rooms_agree("regularization", "noise_apply", [x, x[::-1].copy()], [(size,)])
    rooms_agree("regularization", "alpha_dropout_apply", [x, mask, number(0.9), number(0.3), number(-1.5)], [(size,)])


def test_large_work_is_shared(rng):
    rooms, size = ("reference", "cpu"), 300_001
    x, one = rng.normal(size=size).astype("float32"), np.float32(0.7)
    key = np.uint64(2**64 - 5)
    [mask] = rooms_agree("regularization", "dropout_mask", [key, np.uint64(2**31)], [np.zeros(size, bool)], rooms=rooms)
    rooms_agree("regularization", "dropout_apply", [x, mask, one], [(size,)], rooms=rooms)
    rooms_agree("regularization", "normal_noise", [key, one, one], [np.full(size, np.nan, "float32")], rooms=rooms)
    rooms_agree("regularization", "noise_apply", [x, x], [(size,)], rooms=rooms)
    rooms_agree("regularization", "alpha_dropout_apply", [x, mask, one, one, -one], [(size,)], rooms=rooms)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_noise_is_normal(dtype):
    for key in (1, 2**63 + 5):
        [g] = run_kernel("cpu", "regularization", "normal_noise", [np.uint64(key), *map(np.dtype(dtype).type, (1, 2))],
                         [np.empty(200_000, dtype)])
        z = (g.astype(float) - 1) / 2
        moments = [(z ** k).mean() for k in (1, 2, 3, 4)]               # 0, 1, 0, 3; five standard deviations
        np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=[0.012, 0.016, 0.05, 0.12][-1])
        np.testing.assert_allclose(moments[:2], [0, 1], atol=0.016)
        assert np.corrcoef(z[1:], z[:-1])[0, 1] == pytest.approx(0, abs=0.012)
        for place in (-2, -1, 0.5, 1.5):
            assert (z < place).mean() == pytest.approx(0.5 * math.erfc(-place / math.sqrt(2)), abs=0.006)


SPATIAL = [(SpatialDropout1D, {}, (20, 6, 30), (1,)), (SpatialDropout2D, {}, (20, 3, 4, 30), (1, 2)),
           (SpatialDropout2D, {"data_format": "channels_first"}, (20, 30, 3, 4), (2, 3)),
           (SpatialDropout3D, {}, (20, 2, 3, 2, 30), (1, 2, 3)),
           (SpatialDropout3D, {"data_format": "channels_first"}, (20, 30, 2, 3, 2), (2, 3, 4))]


@pytest.mark.parametrize("cls, options, shape, places", SPATIAL)
def test_spatial_dropout_drops_whole_features(cls, options, shape, places, rng):
    layer = cls(0.4, seed=1, **options)
    x = rng.normal(size=shape).astype("float32")
    y = layer(x, training=True)
    kept = y != 0
    by_feature = kept.all(axis=places)
    np.testing.assert_array_equal(by_feature, kept.any(axis=places))
    assert by_feature.mean() == pytest.approx(0.6, abs=0.12)
    np.testing.assert_allclose(y[kept], (x / 0.6)[kept], rtol=1e-6)
    np.testing.assert_allclose(layer.backward(x), y, rtol=1e-6)
    np.testing.assert_array_equal(layer(x), x)
    small = tuple(min(n, 3) for n in shape)
    assert nblayers.gradcheck(cls(0.4, seed=2, **options), rng.normal(size=small), training=True)
    with pytest.raises(ValueError, match=f"expected an input of {len(shape)} axes, got 2"):
        layer(x.reshape(20, -1))


def test_spatial_dropout_formats():
    with pytest.raises(ValueError, match="SpatialDropout2D 's': expected data_format"):
        SpatialDropout2D(0.5, "last", name="s")
    nblayers.config.set_image_data_format("channels_first")
    assert SpatialDropout2D(0.5).data_format == "channels_first" and SpatialDropout1D(0.5).noise_shape == (None, 1, None)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout(rate, rng):
    layer = GaussianDropout(rate, seed=3)
    y = layer(np.ones((300, 400), "float32"), training=True)
    assert y.dtype == np.float32 and y.mean() == pytest.approx(1, abs=0.04)
    assert y.std() == pytest.approx(math.sqrt(rate / (1 - rate)), rel=0.02)
    theirs = np.asarray(keras.layers.GaussianDropout(rate, seed=1)(np.ones((300, 400), "float32"), training=True))
    assert y.std() == pytest.approx(theirs.std(), rel=0.03)
    x = rng.normal(size=(300, 400)).astype("float32")
    np.testing.assert_allclose(layer.backward(x), x * y, rtol=1e-6)             # g is y where x was 1
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


@pytest.mark.parametrize("stddev", [1e-4, 0.3, 1])
def test_gaussian_noise(stddev, rng):
    x = rng.normal(size=(300, 400)).astype("float32")
    layer = GaussianNoise(stddev, seed=3)
    noise = layer(np.zeros_like(x), training=True)
    assert noise.dtype == np.float32 and noise.mean() == pytest.approx(0, abs=0.02 * stddev)
    assert noise.std() == pytest.approx(stddev, rel=0.02)
    np.testing.assert_array_equal(GaussianNoise(stddev, seed=3)(x, training=True), x + noise)
    np.testing.assert_array_equal(layer.backward(x), x)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(GaussianNoise(0)(x, training=True), x)
    agrees_with_keras(layer, keras.layers.GaussianNoise(stddev), x[:2, :3])


@pytest.mark.parametrize("stddev", [-0.1, 1.5, "a", None, True])
def test_gaussian_noise_errors(stddev):
    with pytest.raises(ValueError, match=r"GaussianNoise 'n': expected stddev in \[0, 1\], got"):
        GaussianNoise(stddev, name="n")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate, rng):
    x = rng.normal(size=(500, 600)).astype("float32")
    layer = AlphaDropout(rate, seed=3)
    y = layer(x, training=True)
    assert y.mean() == pytest.approx(0, abs=0.02) and y.std() == pytest.approx(1, abs=0.02)
    dropped = np.isclose(y, y.min()) if rate == 0.9 else y == np.unique(y)[np.argmax(np.unique(y, return_counts=True)[1])]
    assert rate == 0.9 or dropped.mean() == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_alpha_dropout_values_are_those_of_keras_and_torch(rate):
    x = np.full((60, 60), 0.7, "float32")
    values = [np.unique(np.asarray(y)) for y in (
        AlphaDropout(rate)(x, training=True), keras.layers.AlphaDropout(rate)(x, training=True),
        torch.nn.AlphaDropout(rate)(torch.tensor(x)))]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    np.testing.assert_allclose(values[0], values[2], rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: GaussianDropout(0.4, seed=2), lambda: AlphaDropout(0.4, seed=2),
                                  lambda: GaussianNoise(0.4, seed=2), lambda: AlphaDropout(0.4, (None, 1, None), seed=2)])
@pytest.mark.parametrize("training", [False, True])
def test_gradients_of_the_others(make, training, rng):
    for shape in ((2, 3, 4), (1, 2, 2)):
        assert nblayers.gradcheck(make(), rng.normal(size=shape), training=training)


@pytest.mark.parametrize("make", [lambda: GaussianDropout(0.4, seed=2), lambda: AlphaDropout(0.4, seed=2),
                                  lambda: GaussianNoise(0.4, seed=2), lambda: SpatialDropout1D(0.4, seed=2)])
def test_the_others_in_every_room(make, device, rng):
    x, dy = rng.normal(size=(2, 2, 3, 4))
    layer, reference = make().astype("float64").to(device), make().astype("float64").to("reference")
    for _ in range(2):
        np.testing.assert_allclose(to_numpy(layer(x, training=True)), reference(x, training=True), rtol=1e-12)
        np.testing.assert_allclose(to_numpy(layer.backward(dy)), reference.backward(dy), rtol=1e-12)


@pytest.mark.parametrize("cls", [GaussianDropout, AlphaDropout])
def test_rates_of_the_others(cls):
    for rate in (1, 1.0, -0.1, None, "a"):
        with pytest.raises(ValueError, match=f"{cls.__name__} 'd': expected a rate from 0 to below 1, got"):
            cls(rate, name="d")
    with pytest.raises(ValueError, match="expected an integer as seed"):
        cls(0.5, seed=1.5)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(cls(0)(x, training=True), x)


@pytest.mark.parametrize("l1, l2", [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
def test_activity_regularization(l1, l2, device, rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    layer, theirs = ActivityRegularization(l1, l2).to(device), keras.layers.ActivityRegularization(l1, l2)
    agrees_with_keras(ActivityRegularization(), keras.layers.ActivityRegularization(), x)
    theirs(x)
    np.testing.assert_array_equal(to_numpy(layer(x)), x)
    assert layer.losses == [pytest.approx(float(theirs.losses[0]), rel=1e-5)]
    np.testing.assert_allclose(to_numpy(layer.backward(x)), x + (l1 * np.sign(x) + 2 * l2 * x) / 4, rtol=1e-5)
    assert nblayers.gradcheck(ActivityRegularization(l1, l2), x)


def test_activity_regularization_the_rest():
    with pytest.raises(ValueError, match="ActivityRegularization 'a': expected l1"):
        ActivityRegularization(-1, name="a")
    mask = np.ones((2, 3), bool)
    assert ActivityRegularization().compute_mask(None, mask) is mask


@pytest.mark.parametrize("cls, arguments", [
    (SpatialDropout1D, dict(rate=0.5, seed=3)), (SpatialDropout2D, dict(rate=0.5, data_format="channels_first")),
    (SpatialDropout3D, dict(rate=0.5, dtype="float64")), (GaussianDropout, dict(rate=0.5, seed=3)),
    (GaussianNoise, dict(stddev=0.5, seed=3)),
    (AlphaDropout, dict(rate=0.5)), (AlphaDropout, dict(rate=0.5, noise_shape=(None, 1), seed=2, trainable=False)),
    (ActivityRegularization, dict(l1=0.1)), (ActivityRegularization, dict(l1=0.1, l2=0.2, dtype="float64"))])
def test_configurations_of_the_others(cls, arguments):
    ours, theirs = cls(**arguments, name="d"), getattr(keras.layers, cls.__name__)(**arguments, name="d")
    assert ours.get_config() == theirs.get_config()
    assert cls.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()


@pytest.mark.parametrize("name, shape, kept_along", [("Dropout1d", (5, 6, 7), (2,)), ("Dropout2d", (5, 6, 2, 3), (2, 3)),
                                                     ("Dropout3d", (5, 6, 2, 2, 2), (2, 3, 4)), ("AlphaDropout", (5, 6), ())])
def test_torchs_dropouts(name, shape, kept_along, rng):
    layer = getattr(nn, name)(p=0.4)
    x = np.abs(rng.normal(size=shape)) + 1
    y = layer(x, training=True)
    if kept_along:
        np.testing.assert_array_equal((y != 0).all(axis=kept_along), (y != 0).any(axis=kept_along))
        np.testing.assert_allclose(y[y != 0], (x / 0.6)[y != 0], rtol=1e-5)
    np.testing.assert_array_equal(layer.eval()(x), x.astype("float32"))
    with pytest.raises(ValueError, match="expected inplace to be True or False"):
        getattr(nn, name)(inplace="yes")
    with pytest.raises(ValueError, match=f"{name}: expected p"):
        getattr(nn, name)(1.5)
