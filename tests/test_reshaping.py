"""Flatten."""
import keras
import numpy as np
import pytest
from helpers import agrees_with_keras

import nblayers
from nblayers import config
from nblayers.devices import to_numpy
from nblayers.layers import Flatten

SHAPES = [(1,), (4,), (3, 2), (2, 3, 4), (1, 1, 1), (2, 3, 4, 5), (1, 2, 3, 1, 2)]
FORMATS = ["channels_last", "channels_first"]


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, data_format, rng):
    assert nblayers.gradcheck(Flatten(data_format), rng.normal(size=shape))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_keras(shape, data_format, rng):
    agrees_with_keras(Flatten(data_format), keras.layers.Flatten(data_format), rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize("data_format", FORMATS)
def test_in_every_room(device, data_format, rng):
    x, dy = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 12))
    layer, reference = Flatten(data_format, dtype="float64").to(device), Flatten(data_format, dtype="float64").to("reference")
    np.testing.assert_array_equal(to_numpy(layer(x)), reference(x))
    np.testing.assert_array_equal(to_numpy(layer.backward(dy)), reference.backward(dy))


def test_both_formats_give_the_same_output(rng):
    x = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    np.testing.assert_array_equal(Flatten()(x), Flatten("channels_first")(np.moveaxis(x, -1, 1)))


def test_is_a_view_where_possible(rng):
    x = rng.normal(size=(2, 3, 4))
    layer = Flatten(dtype="float64")
    assert np.shares_memory(layer(x), x)
    dy = rng.normal(size=(2, 12))
    assert np.shares_memory(layer.backward(dy), dy)
    first = Flatten("channels_first", dtype="float64")
    assert first(x).flags.c_contiguous and first.backward(dy).flags.c_contiguous


def test_integers_stay_integers():
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
def test_output_shape(shape):
    assert Flatten().compute_output_shape(shape) == keras.layers.Flatten().compute_output_shape(shape)


def test_default_data_format():
    assert Flatten().data_format == "channels_last"
    config.set_image_data_format("channels_first")
    assert Flatten().data_format == "channels_first"


@pytest.mark.parametrize("arguments", [dict(name="f"), dict(data_format="channels_first", name="f", dtype="float64")])
def test_config_both_ways(arguments):
    ours, theirs = Flatten(**arguments), keras.layers.Flatten(**arguments)
    assert ours.get_config() == theirs.get_config()
    assert Flatten.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert keras.layers.Flatten.from_config(ours.get_config()).get_config() == theirs.get_config()


def test_errors():
    with pytest.raises(ValueError, match="Flatten 'f': expected data_format 'channels_last' or 'channels_first', got 'last'"):
        Flatten("last", name="f")
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        Flatten().backward(np.ones((1, 2)))
    assert Flatten().supports_masking == keras.layers.Flatten().supports_masking
