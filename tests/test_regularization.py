"""Dropout: its kernels, what it computes, its masks."""
import keras
import numpy as np
import pytest
import torch
from helpers import rooms_agree, run_kernel

import nblayers
from nblayers.devices import to_numpy
from nblayers.layers import Dropout
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
