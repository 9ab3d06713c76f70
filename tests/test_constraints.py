"""Constraints: Keras' values, configurations, use in layers."""
import keras
import numpy as np
import pytest

from nblayers import constraints
from nblayers.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from nblayers.layers import Dense

CASES = [("MaxNorm", {}), ("MaxNorm", {"max_value": 0.5, "axis": 1}), ("MaxNorm", {"axis": [0, 1]}),
         ("MaxNorm", {"axis": None}), ("MinMaxNorm", {}), ("NonNeg", {}),
         ("MinMaxNorm", {"min_value": 1.5, "max_value": 1.8, "rate": 0.25, "axis": (0, 1)}),
         ("UnitNorm", {}), ("UnitNorm", {"axis": [0, 2]})]
every_case = pytest.mark.parametrize("name, arguments", CASES)


@every_case
def test_values_are_keras(name, arguments, rng):
    w = rng.normal(size=(3, 4, 5)).astype("float32")
    w[:, 1] = 0
    kept = w.copy()
    ours = getattr(constraints, name)(**arguments)(w)
    axis = arguments.get("axis")
    theirs = getattr(keras.constraints, name)(**{**arguments, "axis": tuple(axis)} if isinstance(axis, list) else arguments)(w)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(w, kept)


def test_worked_examples():
    w = np.array([[3.0, 0.3], [4.0, -0.4]])                     # columns of norm 5 and 0.5
    np.testing.assert_allclose(MaxNorm(2)(w), [[1.2, 0.3], [1.6, -0.4]], rtol=1e-6)
    np.testing.assert_allclose(MinMaxNorm(1, 2)(w), [[1.2, 0.6], [1.6, -0.8]], rtol=1e-6)
    np.testing.assert_allclose(MinMaxNorm(1, 2, rate=0.5)(w), [[2.1, 0.45], [2.8, -0.6]], rtol=1e-6)
    np.testing.assert_allclose(UnitNorm()(w), [[0.6, 0.6], [0.8, -0.8]], rtol=1e-6)
    np.testing.assert_array_equal(NonNeg()(w), [[3, 0.3], [4, 0]])
    np.testing.assert_array_equal(UnitNorm()(np.zeros((2, 2))), np.zeros((2, 2)))


def test_float64_stays(rng):
    for constraint in (MaxNorm(), MinMaxNorm(), NonNeg(), UnitNorm(), Constraint()):
        assert constraint(rng.normal(size=(2, 3))).dtype == np.float64


@every_case
def test_configurations_go_both_ways(name, arguments):
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    settings = keras.constraints.serialize(theirs)
    assert constraints.serialize(ours) == settings
    assert constraints.serialize(constraints.get(settings)) == settings
    assert keras.constraints.serialize(keras.constraints.get(constraints.serialize(ours))) == settings


@pytest.mark.parametrize("spelling, expected", [
    ("max_norm", MaxNorm), ("MaxNorm", MaxNorm), ("min_max_norm", MinMaxNorm), ("non_neg", NonNeg), ("UnitNorm", UnitNorm)])
def test_spellings(spelling, expected):
    assert type(constraints.get(spelling)) is expected


def test_get():
    assert constraints.max_norm is MaxNorm and constraints.unit_norm is UnitNorm
    assert constraints.get(None) is None
    assert type(constraints.get(NonNeg)) is NonNeg
    assert constraints.get(np.abs) is np.abs
    assert constraints.deserialize({"class_name": "MaxNorm", "config": {"max_value": 7}}).max_value == 7
    with pytest.raises(ValueError, match="unknown constraint 'max_nrom': did you mean 'MaxNorm'"):
        constraints.get("max_nrom")
    with pytest.raises(TypeError, match=r"expected a constraint \(a name, a configuration or an object\), got 3"):
        constraints.get(3)


class Whole(Constraint):
    def __call__(self, w):
        return np.round(w)


def test_in_a_layer():
    layer = Dense(2, kernel_constraint="unit_norm", bias_constraint=Whole())
    layer.build((None, 3))
    assert type(layer.kernel.constraint) is UnitNorm
    np.testing.assert_array_equal(layer.bias.constraint(np.array([0.4, 1.7])), [0, 2])
