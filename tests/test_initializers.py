"""The 15 initializers: statistics, seeds, shapes, Keras' configurations; and how objects are found by name."""
import math

import keras
import numpy as np
import pytest

from nblayers import config, initializers, random, serialization
from nblayers.initializers import Constant, Identity, Initializer, Orthogonal, VarianceScaling, compute_fans
from nblayers.random import SeedGenerator

RANDOM = {
    "RandomNormal": {"mean": 0.2, "stddev": 0.3}, "RandomUniform": {"minval": -0.3, "maxval": 0.1},
    "TruncatedNormal": {"mean": 0.1, "stddev": 0.2}, "GlorotNormal": {}, "GlorotUniform": {}, "HeNormal": {}, "HeUniform": {},
    "LecunNormal": {}, "LecunUniform": {}, "VarianceScaling": {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"},
    "Orthogonal": {"gain": 1.5},
}
FIXED = {"Zeros": {}, "Ones": {}, "Constant": {"value": 0.5}, "Identity": {"gain": 2.0}}
ALL = {**RANDOM, **FIXED}
every_random = pytest.mark.parametrize("name, arguments", RANDOM.items(), ids=list(RANDOM))
every_one = pytest.mark.parametrize("name, arguments", ALL.items(), ids=list(ALL))


def moments(values):
    values = np.asarray(values, float).ravel()
    return values.mean(), values.std(), values.min(), values.max()


@pytest.mark.parametrize("shape", [(250, 400), (2, 2, 100, 250)])
@every_random
def test_statistics_are_keras(name, arguments, shape):
    ours = getattr(initializers, name)(**arguments, seed=1)(shape)
    theirs = getattr(keras.initializers, name)(**arguments, seed=1)(shape)
    mean, deviation, low, high = moments(ours)
    their_mean, their_deviation, their_low, their_high = moments(theirs)
    assert ours.dtype == np.float32 and ours.shape == shape
    assert mean == pytest.approx(their_mean, abs=0.02 * deviation)
    assert deviation == pytest.approx(their_deviation, rel=0.01)
    if name not in ("RandomNormal", "Orthogonal"):                          # the others end at a bound
        assert low == pytest.approx(their_low, abs=0.005 * deviation)
        assert high == pytest.approx(their_high, abs=0.005 * deviation)
    # the middle of the distribution too: 1, 25, 50, 75 and 99 of 100
    np.testing.assert_allclose(np.percentile(ours, [1, 25, 50, 75, 99]), np.percentile(theirs, [1, 25, 50, 75, 99]),
                               rtol=0.02, atol=0.02 * deviation)


@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "untruncated_normal", "Uniform"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling_has_the_variance_that_it_says(mode, distribution):
    w = VarianceScaling(2.5, mode, distribution, seed=3)((100, 900), "float64")
    n = {"fan_in": 100, "fan_out": 900, "fan_avg": 500}[mode]
    assert w.var() == pytest.approx(2.5 / n, rel=0.02)
    bound = {"Uniform": math.sqrt(3), "untruncated_normal": math.inf}.get(distribution, 2 / 0.87962566)
    assert np.abs(w).max() <= bound * math.sqrt(2.5 / n)


@pytest.mark.parametrize("shape, axes", [
    ((), {}), ((7,), {}), ((3, 5), {}), ((3, 4, 5), {}), ((2, 3, 4, 5), {}), ((2, 3, 4, 5, 6), {}),
    ((3, 4, 5), {"input_axes": [0], "output_axes": [1, 2]}), ((3, 4, 5), {"input_axes": [0, -2], "output_axes": [2]}),
    ((3, 4, 5), {"input_axes": [0]})])
def test_fans_are_keras(shape, axes):
    from keras.src.initializers.random_initializers import compute_fans as theirs
    assert compute_fans(shape, **axes) == theirs(shape, **axes)


def test_input_and_output_axes_are_used():
    w = VarianceScaling(mode="fan_out", input_axes=[0], output_axes=[1, 2], seed=0)((500, 4, 25))
    assert w.var() == pytest.approx(1 / 100, rel=0.03)


def test_truncation_is_at_two_deviations():
    w = initializers.TruncatedNormal(1.0, 0.5, seed=0)((100_000,), "float64")
    assert 0 <= w.min() < 0.01 and 1.99 < w.max() <= 2
    assert w.std() == pytest.approx(0.8796 * 0.5, rel=0.01)


def test_no_units_at_all():
    assert initializers.GlorotUniform()((0, 4)).shape == (0, 4)


@pytest.mark.parametrize("shape", [(4, 4), (9, 4), (4, 9), (3, 3, 2, 5), (2, 1, 30), (1, 1)])
def test_orthogonal_is_orthogonal(shape):
    w = Orthogonal(gain=3, seed=0)(shape, "float64").reshape(-1, shape[-1])
    small = w @ w.T if len(w) <= shape[-1] else w.T @ w
    np.testing.assert_allclose(small, 9 * np.eye(len(small)), atol=1e-12)


def test_every_orthogonal_matrix_is_equally_likely():
    """Without the signs of (2), QR prefers some: its first entry would always be negative."""
    first = [Orthogonal(seed=seed)((2, 2))[0, 0] for seed in range(300)]
    assert 0.4 < np.mean(np.array(first) > 0) < 0.6


def test_fixed_values():
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.Ones()((2,), "float64"), np.ones(2))
    np.testing.assert_array_equal(Constant(1.5)((2, 2)), np.full((2, 2), 1.5))
    np.testing.assert_array_equal(Constant([1.0, 2.0])((3, 2)), [[1, 2]] * 3)
    np.testing.assert_array_equal(Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])
    assert initializers.Zeros()((2,), "int32").dtype == np.int32


@every_random
def test_seeds(name, arguments):
    make = getattr(initializers, name)
    seeded = make(**arguments, seed=5)
    first = seeded((8, 8))
    np.testing.assert_array_equal(seeded((8, 8)), first)                        # the same at every call, as in Keras
    np.testing.assert_array_equal(make(**arguments, seed=5)((8, 8)), first)
    assert (make(**arguments, seed=6)((8, 8)) != first).any()
    np.testing.assert_array_equal(seeded((8, 8), "float64").astype("float32"), first)

    stream = make(**arguments, seed=SeedGenerator(5))
    assert (stream((8, 8)) != stream((8, 8))).any()

    unseeded = make(**arguments)
    random.set_seed(1)
    drawn = unseeded((8, 8))
    assert (unseeded((8, 8)) != drawn).any()
    random.set_seed(1)
    np.testing.assert_array_equal(unseeded((8, 8)), drawn)


def test_seed_generator():
    a, b = SeedGenerator(3), SeedGenerator.from_config(SeedGenerator(3).get_config())
    assert a.generator.random() == b.generator.random() != a.generator.random()
    random.set_seed(2)
    c = SeedGenerator().generator.random()
    random.set_seed(2)
    assert SeedGenerator().generator.random() == c
    assert np.random.default_rng(4).random() == random.generator_of(np.int64(4)).random()
    with pytest.raises(ValueError, match=r"expected a seed that is an integer or a SeedGenerator, got 1\.5"):
        SeedGenerator(1.5)


@every_one
def test_configurations_go_both_ways(name, arguments):
    ours = getattr(initializers, name)(**arguments)
    theirs = getattr(keras.initializers, name)(**arguments)
    settings = keras.initializers.serialize(theirs)
    mine = initializers.serialize(ours)
    if name == "Identity":
        settings["config"]["gain"] = 2.0                # Keras forgets it
    assert mine == settings
    again = initializers.get(settings)
    assert type(again) is type(ours) and initializers.serialize(again) == mine
    assert type(keras.initializers.get(mine)) is type(theirs)
    assert initializers.serialize(ours.clone()) == mine


def test_a_seed_generator_in_keras_configuration():
    theirs = keras.initializers.HeNormal(seed=keras.random.SeedGenerator(4, name="stream"))
    ours = initializers.get(keras.initializers.serialize(theirs))
    assert isinstance(ours.seed, SeedGenerator) and ours.seed.seed == 4
    assert initializers.serialize(ours) == keras.initializers.serialize(theirs)


def test_an_array_in_a_configuration():
    ours = Constant(np.array([1.0, 2.0]))
    assert initializers.serialize(ours) == keras.initializers.serialize(keras.initializers.Constant(np.array([1.0, 2.0])))
    np.testing.assert_array_equal(initializers.get(initializers.serialize(ours))((2, 2)), [[1, 2], [1, 2]])


@pytest.mark.parametrize("spelling, name", [
    ("glorot_uniform", "GlorotUniform"), ("HeNormal", "HeNormal"), ("zeros", "Zeros"), ("zero", "Zeros"), ("one", "Ones"),
    ("normal", "RandomNormal"), ("uniform", "RandomUniform"), ("identity", "Identity"), ("IdentityInitializer", "Identity"),
    ("identity_initializer", "Identity"), ("OrthogonalInitializer", "Orthogonal"), ("constant", "Constant"),
    ("lecun_uniform", "LecunUniform"), ("variance_scaling", "VarianceScaling"), ("truncated_normal", "TruncatedNormal")])
def test_spellings(spelling, name):
    assert type(initializers.get(spelling)).__name__ == name


def test_keras_exports_are_here():
    for name in dir(keras.initializers):
        if name[0] != "_" and "stft" not in name.lower():
            assert hasattr(initializers, name), name


def test_get():
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    ones = initializers.Ones()
    assert initializers.get(ones) is ones
    assert initializers.get(np.ones) is np.ones
    given = np.arange(4).reshape(2, 2)
    copy = initializers.get(given)((2, 2), "float32")
    np.testing.assert_array_equal(copy, given)
    assert copy.dtype == np.float32
    with pytest.raises(ValueError, match=r"expected the shape of the array that was given, \(2, 2\), got \(3,\)"):
        initializers.get(given)((3,))
    assert isinstance(initializers.deserialize({"class_name": "Ones", "config": {}}), initializers.Ones)


def test_default_dtype():
    config.set_floatx("float64")
    for name, arguments in ALL.items():
        assert getattr(initializers, name)(**arguments)((2, 2)).dtype == np.float64


@pytest.mark.parametrize("wrong, message", [
    (lambda: Identity()((2, 3, 4)), r"Identity: expected the shape of a matrix, got \(2, 3, 4\)"),
    (lambda: Orthogonal()((3,)), r"Orthogonal: expected a shape of at least two axes, got \(3,\)"),
    (lambda: VarianceScaling(scale=0), "VarianceScaling: expected scale to be a finite number above 0, got 0"),
    (lambda: VarianceScaling(mode="fan"), r"VarianceScaling: expected mode to be .*fan_avg.*, got 'fan'"),
    (lambda: VarianceScaling(distribution="beta"), r"VarianceScaling: expected distribution to be .*, got 'beta'"),
    (lambda: initializers.HeNormal(seed="x"), "expected a seed that is an integer or a SeedGenerator, got 'x'"),
    (lambda: initializers.get("glorot_unifrom"), "unknown initializer 'glorot_unifrom': did you mean 'GlorotUniform'"),
    (lambda: initializers.get({"config": {}}), "expected the configuration of an initializer to have a 'class_name'"),
])
def test_value_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_type_errors():
    with pytest.raises(TypeError, match=r"expected an initializer .*, got 3"):
        initializers.get(3)
    with pytest.raises(ValueError, match="HeNormal: cannot be made with colour=1"):
        initializers.get({"class_name": "HeNormal", "config": {"colour": 1}})
    with pytest.raises(NotImplementedError, match="Initializer: __call__"):
        Initializer()((2, 2))


@serialization.register_keras_serializable("tests", "Stripes")
class Striped(Initializer):
    def __init__(self, every=2):
        self.every = every

    def __call__(self, shape, dtype=None):
        w = np.zeros(shape, dtype)
        w[::self.every] = 1
        return w

    def get_config(self):
        return {"every": self.every}


def test_a_registered_class_of_your_own():
    settings = serialization.serialize_keras_object(Striped(3))
    assert settings == {"module": __name__, "class_name": "Striped", "config": {"every": 3}, "registered_name": "tests>Stripes"}
    for again in (initializers.get(settings), serialization.deserialize_keras_object(settings)):
        assert type(again) is Striped and again.every == 3
    assert type(initializers.get("tests>Stripes")) is Striped
    assert serialization.get_registered_name(Striped) == "tests>Stripes"
    assert serialization.get_registered_object("tests>Stripes") is Striped
    with pytest.raises(ValueError, match=r"expected Bare to have get_config"):
        serialization.register_keras_serializable()(type("Bare", (), {}))


def test_a_class_that_is_not_registered():
    class Dots(Striped):
        pass

    settings = serialization.serialize(Dots())
    with pytest.raises(ValueError, match="a class 'Dots' that nblayers does not have: give your own as custom_objects"):
        serialization.deserialize_keras_object(settings)
    assert type(serialization.deserialize_keras_object(settings, {"Dots": Dots})) is Dots
    assert type(initializers.deserialize(settings, {"Dots": Dots})) is Dots


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "same", [1, [2, None]], {"a": [1]}])
def test_plain_values_stay(value):
    assert serialization.serialize_keras_object(value) == keras.saving.serialize_keras_object(value) == value
    assert serialization.deserialize_keras_object(value) == value


def test_values_of_numpy():
    assert type(serialization.serialize(np.float32(0.5))) is float and type(serialization.serialize(np.int64(3))) is int
    x = np.arange(4, dtype="float32").reshape(2, 2)
    settings = serialization.serialize(x)
    assert settings == keras.saving.serialize_keras_object(x)
    again = serialization.deserialize_keras_object(settings)
    np.testing.assert_array_equal(again, x)
    assert again.dtype == np.float32


def test_what_cannot_be_serialized():
    with pytest.raises(TypeError, match=r"cannot serialize .*object.*: expected its class to have get_config"):
        serialization.serialize(object())


def test_objects_of_every_module_are_found():
    for theirs in (keras.initializers.HeNormal(3), keras.regularizers.L2(0.1), keras.constraints.MaxNorm(3)):
        ours = serialization.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
        assert type(ours).__name__ == type(theirs).__name__ and type(ours).__module__.startswith("nblayers.")
    from nblayers import activations
    settings = keras.saving.serialize_keras_object(keras.activations.relu)
    assert serialization.deserialize_keras_object(settings) is activations.relu
