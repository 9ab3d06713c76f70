"""Regularizers: values, gradients, Keras' configurations, use in layers."""
import jax
import keras
import numpy as np
import pytest
from helpers import numeric_gradient

import nblayers
from nblayers import regularizers
from nblayers.layers import Activation, Dense
from nblayers.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer

CASES = [("L1", {}), ("L1", {"l1": 0.3}), ("L2", {}), ("L2", {"l2": 0.2}), ("L1L2", {}), ("L1L2", {"l1": 0.1, "l2": 0.4}),
         ("OrthogonalRegularizer", {}), ("OrthogonalRegularizer", {"factor": 0.7, "mode": "columns"})]
every_case = pytest.mark.parametrize("name, arguments", CASES)


@every_case
def test_values_and_gradients_are_keras(name, arguments, rng):
    w = rng.normal(size=(4, 6)).astype("float32")
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    value, gradient = jax.value_and_grad(theirs)(jax.numpy.asarray(w))
    assert isinstance(ours(w), float)
    assert ours(w) == pytest.approx(float(value), rel=1e-5)
    assert ours.gradient(w).dtype == np.float32
    np.testing.assert_allclose(ours.gradient(w), gradient, rtol=1e-4, atol=1e-6)


@every_case
def test_gradients_are_derivatives(name, arguments, rng):
    regularizer, w = getattr(regularizers, name)(**arguments), rng.normal(size=(5, 3))
    kept = w.copy()
    np.testing.assert_allclose(regularizer.gradient(w), numeric_gradient(lambda: regularizer(w), w), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(w, kept)


def test_worked_examples():
    w = np.array([[3.0, -4.0], [0.0, 1.0]])
    assert L1(0.5)(w) == 4 and L2(0.5)(w) == 13 and L1L2(0.5, 0.5)(w) == 17
    np.testing.assert_array_equal(L1L2(0.5, 0.5).gradient(w), [[3.5, -4.5], [0, 1.5]])
    np.testing.assert_array_equal(L1(0.5).gradient(np.zeros(2)), [0, 0])       # a weight may rest at the kink
    assert L2(0.5)([[3, -4], [0, 1]]) == 13                                     # lists too
    assert OrthogonalRegularizer(1.0)(w) == pytest.approx(0.8)                  # |cosine| of its two rows
    assert OrthogonalRegularizer(1.0)(np.eye(3)) == 0


def test_orthogonal_with_a_row_of_zeros_or_a_single_row(rng):
    w = rng.normal(size=(3, 4))
    w[1] = 0
    assert np.isfinite(OrthogonalRegularizer()(w)) and np.isfinite(OrthogonalRegularizer().gradient(w)).all()
    assert OrthogonalRegularizer()(w[:1]) == 0
    np.testing.assert_array_equal(OrthogonalRegularizer().gradient(w[:1]), np.zeros((1, 4)))


@every_case
def test_configurations_go_both_ways(name, arguments):
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    settings, mine = keras.regularizers.serialize(theirs), regularizers.serialize(ours)
    numbers = {key: value for key, value in mine["config"].items() if key != "mode"}
    assert numbers == pytest.approx({key: settings["config"][key] for key in numbers})      # Keras rounds some to float32
    settings["config"].update(numbers)
    assert mine == settings
    assert type(regularizers.get(settings)) is type(ours)
    assert type(keras.regularizers.get(mine)) is type(theirs)
    assert regularizers.serialize(type(ours).from_config(ours.get_config())) == mine


@pytest.mark.parametrize("spelling, expected", [
    ("l1", L1), ("L2", L2), ("l1_l2", L1L2), ("l1l2", L1L2), ("L1L2", L1L2), ("orthogonal_regularizer", OrthogonalRegularizer)])
def test_spellings(spelling, expected):
    assert type(regularizers.get(spelling)) is expected


def test_get():
    assert regularizers.l1 is L1 and regularizers.l2 is L2 and regularizers.l1_l2 is L1L2
    assert regularizers.get(None) is None
    assert type(regularizers.get(L2)) is L2
    own = L2(3)
    assert regularizers.get(own) is own
    assert regularizers.deserialize({"class_name": "L1", "config": {"l1": 2}}).l1 == 2
    assert L1(None).l1 == L2(None).l2 == 0.01 and L1L2(None, None).l1 == 0


class Centre(Regularizer):
    def __call__(self, w):
        return float(w.sum() ** 2)

    def gradient(self, w):
        return np.full_like(w, 2 * w.sum())


def test_one_of_your_own_in_a_layer(rng):
    layer = Dense(2, kernel_regularizer=Centre(), activity_regularizer=L2(0.3))
    x = rng.normal(size=(5, 3)).astype("float32")
    y = layer(x)
    assert layer.losses == pytest.approx([0.3 * np.square(y).sum() / 5, layer.kernel.value.sum() ** 2], rel=1e-5)


@pytest.mark.parametrize("activity", ["l1", L1L2(0.1, 0.2)])
def test_activity_regularizer_in_backward(activity, rng):
    assert nblayers.gradcheck(Activation("tanh", activity_regularizer=activity), rng.normal(size=(3, 4)))


@pytest.mark.parametrize("wrong, message", [
    (lambda: L1(-1), "L1: expected l1 to be a finite number that is not negative, got -1"),
    (lambda: L2(float("inf")), "L2: expected l2 .* got inf"),
    (lambda: L1L2(l2="a"), "L1L2: expected l2 .* got 'a'"),
    (lambda: OrthogonalRegularizer(float("nan")), "OrthogonalRegularizer: expected factor .* got nan"),
    (lambda: OrthogonalRegularizer(mode="both"), "expected mode to be 'rows' or 'columns', got 'both'"),
    (lambda: OrthogonalRegularizer()(np.ones(3)), r"expected the weights to be a matrix, got shape \(3,\)"),
    (lambda: OrthogonalRegularizer().gradient(np.ones((2, 3, 4))), r"expected .* a matrix, got shape \(2, 3, 4\)"),
    (lambda: regularizers.get("l3"), "unknown regularizer 'l3': expected one of L1, L1L2, L2, Orthog"),
    (lambda: regularizers.get("ortogonal_regularizer"), "did you mean 'OrthogonalRegularizer'"),
])
def test_value_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_penalty_without_a_gradient():
    with pytest.raises(TypeError, match=r"expected a regularizer with gradient\(w\) beside __call__\(w\)"):
        regularizers.get(lambda w: 0.0)

    class Half(Regularizer):
        def __call__(self, w):
            return 0.0

    with pytest.raises(NotImplementedError, match=r"Half: gradient\(w\) is not written"):
        Half().gradient(np.ones(2))
    with pytest.raises(NotImplementedError, match="Half: get_config"):
        Half().get_config()
    assert Regularizer()(np.ones(2)) == 0
