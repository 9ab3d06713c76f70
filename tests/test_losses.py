"""Losses: values and gradients against Keras on JAX, numerical derivatives, weights and masks, a user's own, errors."""
import keras
import numpy as np
import pytest
from helpers import double_precision, numeric_gradient

from nblayers import config, losses
from nblayers.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    LossFunctionWrapper,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)

# keras.ops.mean rounds to float32 on the way, also in double precision; the digits after are for the numerical derivative
TOLERANCE = {"float32": dict(rtol=3e-5, atol=1e-6), "float64": dict(rtol=5e-6, atol=1e-12)}
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"]


def real(rng, shape):
    return rng.normal(size=shape)


def fraction(rng, shape):
    return rng.uniform(size=shape)


def binary(rng, shape):
    return (rng.uniform(size=shape) > 0.5).astype(float)


def softmax(rng, shape):
    p = rng.uniform(0.05, 1, size=shape)
    return p / p.sum(axis=-1, keepdims=True)


def one_hot(rng, shape):
    return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]


def classes(rng, shape):
    return rng.integers(0, 3, shape)


def signs(rng, shape):
    return 2 * binary(rng, shape) - 1


def unit(rng, shape):
    p = rng.normal(size=shape)
    return p / np.linalg.norm(p, axis=-1, keepdims=True)


def inside(rng, shape):
    return 0.9 * unit(rng, shape)


OF_CLASSES = (SparseCategoricalCrossentropy, CategoricalGeneralizedCrossEntropy, Circle)

# class, options, targets, their shape, predictions, their shape
CASES = [
    (MeanSquaredError, {}, real, (5, 4), real, (5, 4)),
    (MeanSquaredError, {}, real, (5,), real, (5,)),
    (MeanSquaredError, {}, real, (5,), real, (5, 1)),
    (MeanSquaredError, {}, real, (5, 1), real, (5,)),
    (MeanSquaredError, {}, real, (5, 3), real, (5, 3, 1)),
    (MeanSquaredError, {}, real, (5, 3, 1), real, (5, 3)),
    (MeanSquaredError, {}, real, (1, 1), real, (1, 1)),
    (MeanAbsoluteError, {}, real, (5, 4), real, (5, 4)),
    (MeanAbsoluteError, {}, real, (5, 2, 3), real, (5, 2, 3)),
    (BinaryCrossentropy, {}, binary, (6, 1), fraction, (6, 1)),
    (BinaryCrossentropy, {}, fraction, (6,), fraction, (6, 1)),
    (BinaryCrossentropy, {"label_smoothing": 0.2}, binary, (4, 3), fraction, (4, 3)),
    (BinaryCrossentropy, {"axis": 1}, binary, (4, 3, 2), fraction, (4, 3, 2)),
    (BinaryCrossentropy, {"from_logits": True}, binary, (4, 3), real, (4, 3)),
    (BinaryCrossentropy, {"from_logits": True, "label_smoothing": 0.1, "axis": -2}, binary, (4, 3), real, (4, 3)),
    (BinaryCrossentropy, {}, real, (4, 3), fraction, (4, 3)),                           # targets outside [0, 1]
    (CategoricalCrossentropy, {}, one_hot, (5, 4), softmax, (5, 4)),
    (CategoricalCrossentropy, {}, softmax, (5, 2, 4), softmax, (5, 2, 4)),
    (CategoricalCrossentropy, {}, fraction, (5, 4), fraction, (5, 4)),                  # neither sums to 1
    (CategoricalCrossentropy, {"label_smoothing": 0.3}, one_hot, (5, 4), softmax, (5, 4)),
    (CategoricalCrossentropy, {"axis": 1}, one_hot, (5, 4, 2), fraction, (5, 4, 2)),
    (CategoricalCrossentropy, {"axis": 1, "label_smoothing": 0.3}, one_hot, (5, 4, 4), fraction, (5, 4, 4)),
    (CategoricalCrossentropy, {"from_logits": True}, one_hot, (5, 4), real, (5, 4)),
    (CategoricalCrossentropy, {"from_logits": True, "axis": 1, "label_smoothing": 0.1}, fraction, (5, 4, 4), real, (5, 4, 4)),
    (SparseCategoricalCrossentropy, {}, classes, (5,), softmax, (5, 3)),
    (SparseCategoricalCrossentropy, {}, classes, (5, 1), fraction, (5, 3)),
    (SparseCategoricalCrossentropy, {}, classes, (5, 2), softmax, (5, 2, 3)),
    (SparseCategoricalCrossentropy, {"from_logits": True}, classes, (5, 2, 1), real, (5, 2, 3)),
    (SparseCategoricalCrossentropy, {"ignore_class": 1}, classes, (8,), softmax, (8, 3)),
    (SparseCategoricalCrossentropy, {"ignore_class": 1, "from_logits": True}, classes, (4, 5), real, (4, 5, 3)),
    (MeanAbsolutePercentageError, {}, real, (5, 4), real, (5, 4)),
    (MeanAbsolutePercentageError, {}, real, (5,), real, (5, 1)),
    (MeanSquaredLogarithmicError, {}, real, (5, 4), real, (5, 4)),                      # half of them negative
    (MeanSquaredLogarithmicError, {}, fraction, (5, 2, 3), fraction, (5, 2, 3)),
    (CosineSimilarity, {}, real, (5, 4), real, (5, 4)),
    (CosineSimilarity, {"axis": 1}, real, (5, 4, 2), real, (5, 4, 2)),
    (Huber, {}, real, (5, 4), real, (5, 4)),
    (Huber, {"delta": 0.3}, real, (5,), real, (5, 1)),
    (LogCosh, {}, real, (5, 4), real, (5, 4)),
    (Hinge, {}, binary, (5, 4), real, (5, 4)),
    (Hinge, {}, signs, (5,), real, (5, 1)),
    (SquaredHinge, {}, signs, (5, 4), real, (5, 4)),
    (SquaredHinge, {}, real, (5, 2, 3), real, (5, 2, 3)),
    (CategoricalHinge, {}, one_hot, (5, 4), real, (5, 4)),
    (CategoricalHinge, {}, softmax, (5, 2, 4), real, (5, 2, 4)),
    (KLDivergence, {}, softmax, (5, 4), softmax, (5, 4)),
    (KLDivergence, {}, one_hot, (5, 2, 4), fraction, (5, 2, 4)),
    (Poisson, {}, classes, (5, 4), fraction, (5, 4)),
    (Poisson, {}, classes, (5,), fraction, (5, 1)),
    (BinaryFocalCrossentropy, {}, binary, (4, 3), fraction, (4, 3)),
    (BinaryFocalCrossentropy, {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "label_smoothing": 0.1}, binary,
     (6, 1), fraction, (6, 1)),
    (BinaryFocalCrossentropy, {"gamma": 0.0, "axis": 1}, fraction, (4, 3, 2), fraction, (4, 3, 2)),
    (BinaryFocalCrossentropy, {"from_logits": True, "apply_class_balancing": True}, binary, (4, 3), real, (4, 3)),
    (CategoricalFocalCrossentropy, {}, one_hot, (5, 4), softmax, (5, 4)),
    (CategoricalFocalCrossentropy, {"alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 1.5}, softmax, (5, 2, 4), fraction, (5, 2, 4)),
    (CategoricalFocalCrossentropy, {"gamma": 0.5, "axis": 1}, one_hot, (5, 4, 2), fraction, (5, 4, 2)),
    (CategoricalFocalCrossentropy, {"from_logits": True, "label_smoothing": 0.1}, one_hot, (5, 4), real, (5, 4)),
    (CategoricalGeneralizedCrossEntropy, {}, classes, (5,), softmax, (5, 3)),
    (CategoricalGeneralizedCrossEntropy, {"q": 0.7}, classes, (5, 2), softmax, (5, 2, 3)),
    (Dice, {}, binary, (3, 4, 2), fraction, (3, 4, 2)),
    (Dice, {"axis": (1, 2)}, binary, (3, 4, 2), fraction, (3, 4, 2)),
    (Tversky, {"alpha": 0.3, "beta": 0.7}, binary, (3, 4), fraction, (3, 4)),
    (Tversky, {"alpha": 0.2, "axis": -1}, fraction, (3, 4, 2), fraction, (3, 4, 2)),
    (Circle, {}, classes, (9,), unit, (9, 4)),
    (Circle, {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}, classes, (9,), inside, (9, 4)),
]


def draw(case, dtype):
    rng = np.random.default_rng(3)
    loss, _, targets, t_shape, predictions, p_shape = case
    t, p = targets(rng, t_shape), predictions(rng, p_shape).astype(dtype)
    return t if loss in OF_CLASSES else t.astype(dtype), p


def keras_twin(loss):
    config = {**loss.get_config(), "dtype": loss.dtype or "float32"}
    if type(loss) is SparseCategoricalCrossentropy:
        config["axis"] = loss.axis
    return getattr(keras.losses, type(loss).__name__)(**config)


def keras_results(loss, t, p, weights=None):
    """Value and gradient of the sum of the (weighted) values of Keras' loss."""
    import jax
    with double_precision(p.dtype == "float64"):
        keras.config.set_floatx(str(p.dtype))
        twin = keras_twin(loss)

        def total(p):
            value = twin(t, p, weights)
            return value.sum(), value

        gradient, value = jax.jit(jax.grad(total, has_aux=True))(p)
        keras.config.set_floatx("float32")
        return np.asarray(value), np.asarray(gradient)


def check(loss, t, p, weights=None, dtype="float32"):
    expected, dp_expected = keras_results(loss, t, p, weights)
    given = [t.copy(), p.copy()]
    value, dp = loss.value_and_gradient(t, p, weights)
    np.testing.assert_allclose(value, expected, **TOLERANCE[dtype])
    np.testing.assert_allclose(dp, dp_expected, **TOLERANCE[dtype])
    assert dp.dtype == dtype and dp.shape == p.shape
    assert loss.reduction is None or type(value) is float
    np.testing.assert_allclose(loss(t, p, weights), value, rtol=1e-6)
    np.testing.assert_array_equal(loss.gradient(t, p, weights), dp)
    np.testing.assert_array_equal(t, given[0])
    np.testing.assert_array_equal(p, given[1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}-{case[3]}-{case[5]}")
def test_value_and_gradient_are_those_of_keras(case):
    check(case[0](**case[1]), *draw(case, "float32"))


@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: f"{case[0].__name__}-{case[1]}-{case[3]}-{case[5]}")
def test_double_precision_is_that_of_keras(case):
    check(case[0](**case[1], dtype="float64"), *draw(case, "float64"), dtype="float64")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}-{case[3]}-{case[5]}")
def test_gradient_is_the_derivative_of_the_value(case):
    t, p = draw(case, "float64")
    loss = case[0](**case[1])
    weights = np.random.default_rng(1).uniform(size=np.shape(loss.call(t, p)))
    dp = loss.gradient(t, p, weights)
    np.testing.assert_allclose(dp, numeric_gradient(lambda: loss(t, p, weights), p), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("reduction, shape", [
    *[(reduction, shape) for reduction in [*REDUCTIONS[1:], None] for shape in [None, (4, 1), (4, 5)]],
    *[("sum_over_batch_size", shape) for shape in [(4,), (4, 1), (4, 5), (4, 5, 1), (1, 5), (5,), ()]]], ids=str)
@pytest.mark.parametrize("make", [MeanSquaredError,
                                  lambda reduction: SparseCategoricalCrossentropy(reduction=reduction, ignore_class=2)],
                         ids=["error", "ignoring"])
def test_weights_and_reductions(make, reduction, shape, rng):
    loss = make(reduction=reduction)
    t = rng.normal(size=(4, 5, 3)) if isinstance(loss, MeanSquaredError) else rng.integers(0, 3, (4, 5))
    p = softmax(rng, (4, 5, 3)).astype("float32")
    weights = None if shape is None else rng.uniform(size=shape)
    if shape == (4,):                                   # Keras wants the axis of the steps said
        expected, dp = keras_results(loss, t, p, weights[:, None])
        value, gradient = loss.value_and_gradient(t, p, weights)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        np.testing.assert_allclose(gradient, dp, rtol=1e-5, atol=1e-7)
    else:
        check(loss, t, p, weights)


def test_a_weight_a_sample_is_no_weight_a_step(rng):
    """(B,) weighs samples also where there are as many time steps (Keras broadcasts it along the steps then)."""
    loss, t, p, w = MeanSquaredError(), rng.normal(size=(4, 4, 2)), rng.normal(size=(4, 4, 2)), rng.uniform(size=4)
    assert loss(t, p, w) == pytest.approx(loss(t, p, w[:, None]))
    assert loss(t, p, w) != pytest.approx(loss(t, p, w[None, :]))


def test_weights_of_one_output_column(rng):
    loss = BinaryCrossentropy()
    t, p = binary(rng, (6, 1)).astype("float32"), fraction(rng, (6, 1)).astype("float32")
    for shape in [(6,), (6, 1)]:
        check(loss, t, p, rng.uniform(size=shape))


def test_zero_weights_give_zero(rng):
    t, p = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    for reduction in REDUCTIONS:
        value, dp = MeanSquaredError(reduction).value_and_gradient(t, p, np.zeros(3))
        assert value == 0 and not dp.any()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_class", [None, 1])
def test_masks_are_those_of_keras(reduction, weighted, ignore_class, rng):
    import jax
    import jax.numpy as jnp
    loss = SparseCategoricalCrossentropy(ignore_class=ignore_class, reduction=reduction)
    t, p, mask = rng.integers(0, 3, (4, 5)), softmax(rng, (4, 5, 3)).astype("float32"), rng.uniform(size=(4, 5)) > 0.4
    weights = rng.uniform(size=(4, 5)).astype("float32") if weighted else None
    twin = keras_twin(loss)

    def run(p):
        keras.src.backend.set_keras_mask(p, jnp.asarray(mask))
        return twin(t, p, weights)

    value, dp = loss.value_and_gradient(t, p, weights, mask=mask)
    assert value == pytest.approx(float(run(jnp.asarray(p))), rel=1e-5)
    np.testing.assert_allclose(dp, jax.grad(run)(jnp.asarray(p)), rtol=1e-5, atol=1e-7)
    assert loss(t, p, weights, mask=mask) == pytest.approx(value)


def test_nothing_valid_is_zero():
    p = np.full((2, 3), 1 / 3)
    assert SparseCategoricalCrossentropy(ignore_class=0)(np.zeros(2, int), p) == 0
    assert MeanSquaredError()(p, 2 * p, mask=np.zeros(2, bool)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipped_probabilities(dtype):
    """Beyond [epsilon, 1 - epsilon] the value stands still and the gradient is 0, as in Keras."""
    p = np.array([0.0, 1.0, 1e-9, 1 - 1e-9, 2.0, -1.0, 1e-6, 0.5], dtype)
    t = np.array([1.0, 0.0, 0.3], dtype)
    check(BinaryCrossentropy(dtype=dtype), t.repeat(len(p))[:, None], np.tile(p, len(t))[:, None], dtype=dtype)
    p = np.array([[0, 0, 1], [1e-9, 0.5, 0.5], [0.2, 0.3, 0.5], [1, 1e-8, 0], [3, 1, 4]], dtype).repeat(3, axis=0)
    k = np.tile([0, 1, 2], 5)
    check(SparseCategoricalCrossentropy(dtype=dtype), k, p, dtype=dtype)
    check(CategoricalCrossentropy(dtype=dtype), np.eye(3, dtype=dtype)[k], p, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits(dtype):
    x = np.array([-1000.0, 1000, -90, 90, -20, 0, 1e-8], dtype).repeat(2)[:, None]
    t = np.tile(np.array([0, 1], dtype), 7)[:, None]
    check(BinaryCrossentropy(from_logits=True, dtype=dtype), t, x, dtype=dtype)
    x = np.array([[1000, -1000, 0], [1e4, 1e4, 1e4], [-1e4, -1e4 + 1, -1e4]], dtype).repeat(3, axis=0)
    k = np.tile([0, 1, 2], 3)
    check(SparseCategoricalCrossentropy(from_logits=True, dtype=dtype), k, x, dtype=dtype)
    check(CategoricalCrossentropy(from_logits=True, dtype=dtype), np.eye(3, dtype=dtype)[k], x, dtype=dtype)


def test_absolute_error_where_it_is_zero():
    assert not MeanAbsoluteError().gradient(np.ones((2, 3)), np.ones((2, 3))).any()


def test_epsilon_is_the_one_configured():
    config.set_epsilon(1e-2)
    assert BinaryCrossentropy()(np.ones((1, 1)), np.zeros((1, 1))) == pytest.approx(-np.log(1e-2))


def test_an_ignored_prediction_may_be_anything():
    p = np.array([[0.2, 0.8], [np.nan, np.nan]])
    value, dp = SparseCategoricalCrossentropy(ignore_class=-1).value_and_gradient([1, -1], p)
    assert value == pytest.approx(-np.log(0.8)) and np.isfinite(dp[0]).all()


def test_axis_of_the_classes(rng):
    """Keras on JAX refuses another axis than the last for integer classes: compare with one-hot targets."""
    p, k = softmax(rng, (4, 5, 3)), rng.integers(0, 3, (4, 5))
    for from_logits in (False, True):
        sparse = SparseCategoricalCrossentropy(from_logits, axis=1).value_and_gradient(k, np.moveaxis(p, -1, 1))
        last = SparseCategoricalCrossentropy(from_logits).value_and_gradient(k, p)
        assert sparse[0] == pytest.approx(last[0])
        np.testing.assert_allclose(sparse[1], np.moveaxis(last[1], -1, 1))
        dense = CategoricalCrossentropy(from_logits).value_and_gradient(np.eye(3)[k], p)
        assert dense[0] == pytest.approx(last[0])
        np.testing.assert_allclose(dense[1], last[1], atol=1e-15)


@pytest.mark.parametrize("integers", ["int8", "int32", "int64", "uint8", "uint64", "bool", "float32"])
def test_types_of_classes(integers):
    p = np.array([[0.2, 0.8], [0.7, 0.3]])
    assert SparseCategoricalCrossentropy()(np.array([1, 0], integers), p) == pytest.approx(-np.log([0.8, 0.7]).mean())


def test_lists_integers_and_strided_arrays():
    assert MeanSquaredError()([1, 2], [[1], [4]]) == 2
    value, dp = MeanSquaredError().value_and_gradient([[1], [2]], [[1], [4]])
    assert value == 2 and dp.dtype == config.floatx()
    t, p = np.arange(24.0).reshape(4, 6)[:, ::2], np.arange(24.0, 48).reshape(6, 4).T[:, ::2]
    for loss in (MeanSquaredError(), CategoricalCrossentropy(), CategoricalCrossentropy(from_logits=True)):
        expected = loss.value_and_gradient(t.copy(), p.copy())
        value, dp = loss.value_and_gradient(t, p)
        assert value == pytest.approx(expected[0])
        np.testing.assert_allclose(dp, expected[1])
    for from_logits in (False, True):
        loss = SparseCategoricalCrossentropy(from_logits)
        np.testing.assert_allclose(loss.gradient([0, 1, 2, 0], p), loss.gradient([0, 1, 2, 0], p.copy()))


def test_dtype_of_the_computation():
    p = np.array([[0.3, 0.7]], "float32")
    value, dp = CategoricalCrossentropy(dtype="float64").value_and_gradient([[0, 1]], p)
    assert dp.dtype == "float32" and value == -np.log(np.float64(p[0, 1]) / np.float64(p.sum(dtype="float64")))


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("axis", [1, 2, -2])
def test_smoothing_counts_the_classes_of_its_axis(from_logits, axis, rng):
    t, p = rng.uniform(size=(2, 3, 4, 5)), rng.uniform(size=(2, 3, 4, 5))
    options = dict(from_logits=from_logits, label_smoothing=0.5, reduction=None)
    value, dp = CategoricalCrossentropy(axis=axis, **options).value_and_gradient(t, p)
    last, dlast = CategoricalCrossentropy(**options).value_and_gradient(np.moveaxis(t, axis, -1), np.moveaxis(p, axis, -1))
    np.testing.assert_allclose(value, last)
    np.testing.assert_allclose(np.moveaxis(dp, axis, -1), dlast)


INF = np.inf


@pytest.mark.parametrize("logits, value, gradient", [
    ([0, -INF, 1], 1.3132617, [-0.7310586, 0, 0.7310586]), ([-INF, -INF, 1], INF, [-1, 0, 1]), ([1, -INF, -INF], 0, [0, 0, 0]),
    ([INF, -INF, 1], 0, [0, 0, 0]), ([0, INF, 1], INF, [-1, 1, 0]), ([-INF, -INF, -INF], np.nan, [np.nan] * 3),
    ([np.nan, -INF, 1], np.nan, [np.nan] * 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_logits_of_classes(logits, value, gradient, dtype):
    p = np.array([logits, [0.5, 1, 2]], dtype)
    plain = CategoricalCrossentropy(True, reduction=None).value_and_gradient([[0, 0.5, 0.5]], p[1:])
    for loss, t in ((SparseCategoricalCrossentropy(True, reduction=None), [0, 2]),
                    (CategoricalCrossentropy(True, reduction=None), [[1, 0, 0], [0, 0.5, 0.5]])):
        values, dp = loss.value_and_gradient(t, p)
        np.testing.assert_allclose([values[0], *dp[0]], [value, *gradient], rtol=1e-6)
        if loss.__class__ is CategoricalCrossentropy:
            np.testing.assert_allclose(values[1:], plain[0], rtol=1e-6)
            np.testing.assert_allclose(dp[1:], plain[1], rtol=1e-6)


@pytest.mark.parametrize("logit, target, value, gradient", [
    (INF, 1, 0, 0), (-INF, 0, 0, 0), (INF, 0, INF, 1), (-INF, 1, INF, -1), (INF, 0.5, INF, 0.5), (np.nan, 0, np.nan, np.nan)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_logits_of_a_yes_or_no(logit, target, value, gradient, dtype):
    values, dp = BinaryCrossentropy(True, reduction=None).value_and_gradient([[target], [1]], np.array([[logit], [2]], dtype))
    np.testing.assert_allclose(values, [value, np.log1p(np.exp(-2))], rtol=1e-6)
    np.testing.assert_allclose(dp[:, 0], [gradient, -1 / (1 + np.exp(2))], rtol=1e-6)


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), CategoricalCrossentropy(), SparseCategoricalCrossentropy()])
def test_probabilities_of_zero_and_one(loss):
    t = [0, 1] if isinstance(loss, SparseCategoricalCrossentropy) else [[1, 0], [0, 1]]
    for p in ([[1, 0], [0, 1]], [[0, 1], [1, 0]]):
        value, dp = loss.value_and_gradient(t, p)
        assert np.isfinite(value) and np.isfinite(dp).all()


NUMBERS = ["bool", "uint8", "int8", "int16", "uint16", "int32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.mark.parametrize("predictions", NUMBERS)
@pytest.mark.parametrize("targets", NUMBERS)
def test_all_dtypes_compute_in_floatx_at_least(targets, predictions):
    t, p = np.array([[0, 1], [1, 0]], targets), np.array([[1, 1], [0, 1]], predictions)
    for loss in (MeanSquaredError(), MeanAbsoluteError(), BinaryCrossentropy(from_logits=True), BinaryCrossentropy(),
                 CategoricalCrossentropy(from_logits=True), SparseCategoricalCrossentropy(from_logits=True)):
        classes = t[:, 0] if isinstance(loss, SparseCategoricalCrossentropy) else t
        value, dp = loss.value_and_gradient(classes, p)
        wide = "float64" if predictions == "float64" else config.floatx()
        expected, dexpected = loss.value_and_gradient(classes.astype("float64"), p.astype(wide))
        assert value == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(dp, dexpected, rtol=1e-3 if predictions == "float16" else 1e-6)
        assert dp.dtype == (predictions if predictions.startswith("float") else config.floatx())


@pytest.mark.parametrize("dtype, t, p", [("uint8", [[0], [10]], [[200], [255]]), ("int8", [[-100]], [[100]]),
                                         ("float16", [[0]], [[300]]), ("uint64", [[3]], [[2]])])
def test_differences_neither_wrap_nor_overflow(dtype, t, p):
    error = np.abs(np.array(p, float) - t)
    assert MeanSquaredError()(np.array(t, dtype), np.array(p, dtype)) == pytest.approx((error ** 2).mean())
    assert MeanAbsoluteError()(np.array(t, dtype), np.array(p, dtype)) == pytest.approx(error.mean())


NO_NUMBERS = [np.array(["0", "1"]), ["0", "1"], np.array([b"0", b"1"]), np.array([0, 1], object), np.array([0, 1], complex),
              np.array([0, 1], "datetime64[D]"), np.array([0, 1], "timedelta64[D]"), [None, 1]]


@pytest.mark.parametrize("given", NO_NUMBERS, ids=lambda given: str(np.asarray(given).dtype))
@pytest.mark.parametrize("make", [MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy, CategoricalCrossentropy,
                                  SparseCategoricalCrossentropy, lambda: LossFunctionWrapper(losses.mean_squared_error)])
def test_what_holds_no_numbers_is_refused(make, given):
    loss, p = make(), np.full((2, 2), 0.5)
    sparse = isinstance(loss, SparseCategoricalCrossentropy)
    good, columns = np.array([0, 1]) if sparse else p, np.asarray(given)[:, None]
    for what, arguments in (("y_true", (given if sparse else columns, p if sparse else p[:, :1])),
                            ("y_pred", (good, np.broadcast_to(columns, (2, 2)))), ("sample_weight", (good, p, given)),
                            ("mask", (good, p, None, given))):
        with pytest.raises(TypeError, match=f"{type(loss).__name__} .*: expected {what} to hold numbers, got dtype"):
            loss.value_and_gradient(*arguments)
        with pytest.raises(TypeError, match=what):
            loss(*arguments)


def test_ragged_targets_are_refused():
    with pytest.raises(ValueError, match="expected y_true as one array, got a list that makes none"):
        MeanSquaredError()([[1, 2], [3]], np.ones((2, 2)))


FUNCTIONS = [
    ("mean_squared_error", {}, real, real), ("mean_absolute_error", {}, real, real),
    ("binary_crossentropy", {"label_smoothing": 0.1}, binary, fraction),
    ("binary_crossentropy", {"from_logits": True}, binary, real),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.1}, one_hot, real),
    ("categorical_crossentropy", {}, one_hot, softmax),
    ("mean_absolute_percentage_error", {}, real, real), ("mean_squared_logarithmic_error", {}, fraction, fraction),
    ("cosine_similarity", {"axis": 0}, real, real), ("huber", {"delta": 0.5}, real, real), ("log_cosh", {}, real, real),
    ("hinge", {}, binary, real), ("squared_hinge", {}, signs, real), ("categorical_hinge", {}, one_hot, real),
    ("kl_divergence", {}, softmax, softmax), ("poisson", {}, classes, fraction),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "gamma": 1.0}, binary, fraction),
    ("categorical_focal_crossentropy", {"alpha": 0.5}, one_hot, softmax), ("dice", {"axis": 1}, binary, fraction),
    ("tversky", {"alpha": 0.2, "axis": -1}, binary, fraction),
]


@pytest.mark.parametrize("name, options, targets, predictions", FUNCTIONS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_functions_give_a_value_for_each_sample(name, options, targets, predictions, rng):
    t, p = targets(rng, (4, 3)).astype("float32"), predictions(rng, (4, 3)).astype("float32")
    function = getattr(losses, name)
    np.testing.assert_allclose(function(t, p, **options), getattr(keras.losses, name)(t, p, **options), rtol=1e-5, atol=1e-6)
    loss = LossFunctionWrapper(function, **options)
    expected = function.loss(**options).value_and_gradient(t, p)
    np.testing.assert_allclose(loss.value_and_gradient(t, p)[1], expected[1], rtol=1e-5)
    assert loss(t, p) == pytest.approx(expected[0], rel=1e-6)


def test_sparse_function_leaves_ignored_classes_at_zero(rng):
    t, p = np.array([0, 1, 2, 1]), softmax(rng, (4, 3)).astype("float32")
    for options in ({}, {"ignore_class": 1}, {"from_logits": True, "ignore_class": 1}):
        expected = keras.losses.sparse_categorical_crossentropy(t, p, **options)
        np.testing.assert_allclose(losses.sparse_categorical_crossentropy(t, p, **options), expected, rtol=1e-5)


def test_functions_of_classes(rng):
    k, p = rng.integers(0, 3, 6), softmax(rng, (6, 3)).astype("float32")
    expected = keras.losses.categorical_generalized_cross_entropy(k, p, 0.3)
    np.testing.assert_allclose(losses.categorical_generalized_cross_entropy(k, p, 0.3), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.categorical_generalized_cross_entropy(k[:, None], p, 0.3), expected, rtol=1e-5)


@pytest.mark.parametrize("with_references", [False, True])
def test_circle_with_references(with_references, rng):
    """The values are Keras' for samples that have partners; the gradient is the derivative for y_pred in the one role."""
    k, p = np.array([0, 1, 2, 0, 1, 2]), 0.9 * unit(rng, (6, 4))
    options = dict(ref_labels=rng.integers(0, 3, 8), ref_embeddings=unit(rng, (8, 4))) if with_references else {}
    options |= dict(gamma=3.0, margin=0.3)
    theirs = {name: np.asarray(value, "float32") if name == "ref_embeddings" else value for name, value in options.items()}
    expected = np.asarray(keras.losses.circle(k, p.astype("float32"), **theirs))
    np.testing.assert_allclose(losses.circle(k, p, **options), expected, rtol=1e-4, atol=1e-5)
    dp = losses.circle.gradient(k, p, **options)
    np.testing.assert_allclose(dp, numeric_gradient(lambda: losses.circle(k, p, **options).sum(), p), rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match=r"Circle .*: expected ref_labels and ref_embeddings together"):
        losses.circle(k, p, ref_labels=k)


def test_samples_without_a_partner_do_not_count(rng):
    """Class 3 has one sample: Keras leaves it out of the mean, and so do we."""
    k, p = np.array([0, 0, 1, 1, 3]), unit(rng, (5, 4)).astype("float32")
    check(Circle(gamma=5.0), k, p, rng.uniform(size=5).astype("float32"))
    assert Circle(reduction=None)(k, p)[4] == 0
    value, dp = Circle().value_and_gradient(np.zeros(3, int), p[:3])
    assert value == 0 and not dp.any()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_a_loss_over_several_axes(reduction, rng):
    t, p = binary(rng, (3, 4, 2)).astype("float32"), fraction(rng, (3, 4, 2)).astype("float32")
    check(Dice(reduction, axis=(1, 2)), t, p, rng.uniform(size=3).astype("float32"))
    with pytest.raises(ValueError, match=r"Dice 'dice': expected a sample_weight .*\(\), got \(3,\)"):
        Dice(reduction)(t, p, np.ones(3))


@pytest.mark.parametrize("loss, t, p, expected", [
    (MeanAbsolutePercentageError(), [[1, 2]], [[1, 2]], [[0, 0]]), (Huber(), [[0, 0, 0]], [[-2, 0, 2]], [[-1 / 3, 0, 1 / 3]]),
    (Hinge(), [[1, -1]], [[1, -1]], [[0, 0]]), (SquaredHinge(), [[1, -1]], [[1, -1]], [[0, 0]]),
    (CategoricalHinge(), [[1, 0, 0]], [[0, 0, 0]], [[-1, 1 / 3, 1 / 3]]), (CategoricalHinge(), [[1, 0]], [[1, 0]], [[0, 0]]),
    (KLDivergence(), [[0.5, 0.5]], [[0, 2]], [[0, 0]]), (CosineSimilarity(), [[1, 0]], [[0, 0]], [[-1e7, 0]]),
    (LogCosh(), [[0, 0]], [[-1e4, 1e4]], [[-0.5, 0.5]]), (BinaryFocalCrossentropy(gamma=0.5), [[1, 0]], [[1, 0]], [[0, 0]]),
    (CategoricalGeneralizedCrossEntropy(), [0], [[0.0, 1]], [[-(1e-7 ** -0.5), 0]]),
    (MeanSquaredLogarithmicError(), [[1, 1]], [[-1, 0]], [[0, 0]])], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_where_the_formula_has_a_kink(loss, t, p, expected, dtype):
    value, dp = loss.value_and_gradient(t, np.array(p, dtype))
    assert np.isfinite(value)
    np.testing.assert_allclose(dp, expected, rtol=1e-5, atol=1e-12)


def test_digits_of_small_errors():
    e = np.array([[1e-3]])
    assert LogCosh()([[0]], e) == pytest.approx(0.5e-6 - 1e-12 / 12, rel=1e-9)
    assert LogCosh()([[0]], e.astype("float32")) == pytest.approx(0.5e-6, rel=1e-3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}-{case[3]}-{case[5]}")
def test_strided_arrays_and_a_batch_of_one(case):
    t, p = draw(case, "float64")
    loss = case[0](**case[1])
    expected = loss.value_and_gradient(t, p)
    wide = np.stack([p, p], axis=-1)[..., 0], np.stack([t, t], axis=-1)[..., 0]
    value, dp = loss.value_and_gradient(wide[1], wide[0])
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(dp, expected[1], rtol=1e-12, atol=1e-300)
    assert loss.gradient(t[:1], p[:1]).shape == p[:1].shape


def test_every_loss_of_keras_is_here():
    missing = [name for name in dir(keras.losses) if not name.startswith("_") and not hasattr(losses, name)]
    assert not missing


class Quartic(Loss):
    def call(self, y_true, y_pred):
        return ((y_pred - y_true) ** 4).mean(axis=-1)

    def gradient(self, y_true, y_pred):
        return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]


def quartic(y_true, y_pred):
    return ((y_pred - y_true) ** 4).mean(axis=-1)


quartic.gradient = lambda y_true, y_pred: 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]


class Total(Loss):
    """A single value for the batch."""

    def call(self, y_true, y_pred):
        return ((y_pred - y_true) ** 2).sum()

    def gradient(self, y_true, y_pred):
        return 2 * (y_pred - y_true)


class Whole(Loss):
    """Takes the weights, and therefore the reduction, upon itself."""

    def call(self, y_true, y_pred):
        return ((y_pred - y_true) ** 2).mean(axis=-1)

    def gradient(self, y_true, y_pred, sample_weight=None):
        weights = 1 if sample_weight is None else sample_weight[:, None]
        return 2 * weights * (y_pred - y_true) / y_pred.size


@pytest.mark.parametrize("make", [Quartic, lambda: losses.get(quartic), lambda: losses.get(Quartic), Whole])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_of_ones_own(make, weighted, rng):
    loss, t, p = make(), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    weights = rng.uniform(size=4) if weighted else None
    value, dp = loss.value_and_gradient(t, p, weights)
    assert value == loss(t, p, weights)
    np.testing.assert_allclose(dp, numeric_gradient(lambda: loss(t, p, weights), p), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(loss.gradient(t, p, weights), dp)


def test_a_loss_of_one_value_for_the_batch(rng):
    t, p = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    value, dp = Total().value_and_gradient(t, p)
    assert value == pytest.approx(((p - t) ** 2).sum())
    np.testing.assert_allclose(dp, 2 * (p - t))


def test_subclass_of_a_loss_with_another_formula(rng):
    class Halved(MeanSquaredError):
        def call(self, y_true, y_pred):
            return ((y_pred - y_true) ** 2).mean(axis=-1) / 2

        def gradient(self, y_true, y_pred):
            return (y_pred - y_true) / y_pred.shape[-1]

    t, p = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    value, dp = MeanSquaredError().value_and_gradient(t, p)
    half = Halved()
    assert half(t, p) == pytest.approx(value / 2)
    np.testing.assert_allclose(half.gradient(t, p), dp / 2)


def test_options_of_a_wrapped_function(rng):
    def scaled(y_true, y_pred, factor):
        return factor * quartic(y_true, y_pred)
    scaled.gradient = lambda y_true, y_pred, factor: factor * quartic.gradient(y_true, y_pred)
    t, p = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    loss = LossFunctionWrapper(scaled, factor=3.0)
    assert loss.name == "scaled" and loss(t, p) == pytest.approx(3 * Quartic()(t, p))
    np.testing.assert_allclose(loss.gradient(t, p), 3 * Quartic().gradient(t, p))


def test_own_loss_takes_lone_columns_as_keras_functions_do(rng):
    t, p = rng.normal(size=4), rng.normal(size=(4, 1))
    assert Quartic()(t, p) == pytest.approx(((p[:, 0] - t) ** 4).mean())


def test_without_a_gradient():
    loss = losses.get(lambda y_true, y_pred: abs(y_pred - y_true).mean(axis=-1))
    assert loss(np.zeros((2, 3)), np.ones((2, 3))) == 1
    with pytest.raises(NotImplementedError, match=r"has no gradient: write gradient\(self, y_true, y_pred\).*f\.gradient"):
        loss.value_and_gradient(np.zeros((2, 3)), np.ones((2, 3)))

    class Bare(Loss):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare 'bare': write call\(y_true, y_pred\)"):
        Bare()(np.zeros((2, 3)), np.ones((2, 3)))


def test_own_gradient_of_a_wrong_shape():
    class Wrong(Quartic):
        def gradient(self, y_true, y_pred):
            return (y_pred - y_true).mean(axis=-1)

    with pytest.raises(ValueError, match=r"Wrong 'wrong': expected its gradient in the shape of y_pred \(2, 3\), got \(2,\)"):
        Wrong().gradient(np.zeros((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("name, cls", [
    ("mse", MeanSquaredError), ("MSE", MeanSquaredError), ("mean_squared_error", MeanSquaredError),
    ("MeanSquaredError", MeanSquaredError), ("mae", MeanAbsoluteError), ("MAE", MeanAbsoluteError),
    ("bce", BinaryCrossentropy), ("BCE", BinaryCrossentropy), ("binary_crossentropy", BinaryCrossentropy),
    ("categorical_crossentropy", CategoricalCrossentropy), ("sparse_categorical_crossentropy", SparseCategoricalCrossentropy),
])
def test_get_by_name(name, cls):
    loss = losses.get(name)
    assert type(loss) is cls
    assert loss.name == (name if name != "MeanSquaredError" else "mean_squared_error")


def test_get_other_things():
    loss = BinaryCrossentropy(from_logits=True)
    assert losses.get(None) is None and losses.get(loss) is loss
    assert type(losses.get(MeanSquaredError)) is MeanSquaredError
    assert type(losses.get(losses.mean_squared_error)) is MeanSquaredError
    with pytest.raises(ValueError, match="unknown loss 'mean_square_error': did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(TypeError, match="expected a loss"):
        losses.get(3)


@pytest.mark.parametrize("loss", [
    MeanSquaredError(), MeanAbsoluteError("sum", "error"), BinaryCrossentropy(True, 0.1, 0),
    CategoricalCrossentropy(label_smoothing=0.2, reduction=None), SparseCategoricalCrossentropy(True, -1),
    MeanAbsolutePercentageError(), MeanSquaredLogarithmicError("sum"), CosineSimilarity(1), Huber(0.5), LogCosh(), Hinge(),
    SquaredHinge("none"), CategoricalHinge(name="h"), KLDivergence(), Poisson(), BinaryFocalCrossentropy(True, 0.5, 3, True),
    CategoricalFocalCrossentropy([0.1, 0.2], 1.0, label_smoothing=0.1, axis=1), CategoricalGeneralizedCrossEntropy(0.3),
    Dice(axis=[1, 2]), Tversky(0.3, 0.6), Circle(50.0, 0.3, False)], ids=repr)
def test_configurations_are_those_of_keras(loss):
    theirs = getattr(keras.losses, type(loss).__name__).from_config(loss.get_config())
    left_out = {"Huber": {"delta": 0.5}, "CosineSimilarity": {"axis": 1}}.get(type(loss).__name__, {})     # by Keras alone
    assert {**theirs.get_config(), **left_out} == loss.get_config()
    saved = losses.serialize(loss)
    assert saved == {"module": "keras.losses", "class_name": type(loss).__name__, "config": loss.get_config(),
                     "registered_name": None}
    again = losses.deserialize(saved)
    assert type(again) is type(loss) and again.get_config() == loss.get_config()


def test_configuration_of_a_wrapped_function():
    loss = LossFunctionWrapper(losses.binary_crossentropy, from_logits=True)
    again = LossFunctionWrapper.from_config(loss.get_config())
    assert again.fn is losses.binary_crossentropy and again.options == {"from_logits": True}
    assert losses.deserialize(losses.serialize(losses.mean_squared_error)) is losses.mean_squared_error


def test_names_are_numbered():
    assert [Quartic().name, Quartic().name, Quartic(name="q").name] == ["quartic", "quartic_1", "q"]


@pytest.mark.parametrize("loss, t, p, message", [
    (MeanSquaredError(), (4, 2), (4, 3),
     r"MeanSquaredError 'mean_squared_error': expected y_true in the shape of y_pred \(4, 3\), got \(4, 2\)"),
    (MeanSquaredError(), (4, 1), (4, 3), r"expected y_true in the shape of y_pred"),
    (MeanSquaredError(), (4,), (5, 1), r"expected y_true in the shape of y_pred \(5, 1\), got \(4,\)"),
    (MeanSquaredError(), (), (), r"expected y_pred with at least one axis"),
    (MeanSquaredError(), (0, 3), (0, 3), r"expected at least one sample, got values of shape \(0,\)"),
    (BinaryCrossentropy(), (4,), (4, 3), r"BinaryCrossentropy 'binary_crossentropy': expected y_true in the shape"),
    (CategoricalCrossentropy(), (4,), (4, 3), r"\(4,\); integer classes belong to sparse_categorical_crossentropy"),
    (SparseCategoricalCrossentropy(), (4, 3), (4, 3), r"expected y_true of shape \(4,\).*one-hot targets belong to"),
    (SparseCategoricalCrossentropy(), (3,), (4, 3), r"expected y_true of shape \(4,\), that of y_pred \(4, 3\) without"),
    (SparseCategoricalCrossentropy(), (), (), r"expected y_pred to have axis -1, got shape \(\)"),
    (SparseCategoricalCrossentropy(axis=2), (4,), (4, 3), r"expected y_pred to have axis 2, got shape \(4, 3\)"),
    (BinaryCrossentropy(axis=-3), (4, 3), (4, 3), r"BinaryCrossentropy.*expected y_pred to have axis -3, got shape \(4, 3\)"),
    *[(loss(), (4, 2), (4, 3), rf"{loss.__name__} .*: expected y_true in the shape of y_pred \(4, 3\), got \(4, 2\)")
      for loss in (MeanAbsolutePercentageError, Huber, Hinge, CategoricalHinge, KLDivergence, Poisson, Dice)],
    (CosineSimilarity(2), (4, 3), (4, 3), r"expected y_pred to have axis 2, got shape \(4, 3\)"),
    (Dice(axis=2), (4, 3), (4, 3), r"expected y_pred to have axis 2, got shape \(4, 3\)"),
    (Tversky(axis=(1, -1)), (4, 3), (4, 3), r"expected y_pred to have axis \(1, -1\), got shape \(4, 3\)"),
    (CategoricalHinge(), (4, 0), (4, 0), r"expected at least one class, got y_pred of shape \(4, 0\)"),
    (CategoricalFocalCrossentropy([1, 2]), (4, 3), (4, 3), "expected alpha with a weight for each of 3 classes, got 2"),
    (CategoricalFocalCrossentropy(), (4,), (4, 3), "integer classes have to be one-hot"),
    (CategoricalGeneralizedCrossEntropy(), (3,), (4, 3), r"expected y_true of shape \(4,\), that of y_pred \(4, 3\) without"),
    (Circle(), (4, 3), (4, 3), r"Circle 'circle': expected y_pred of shape \(samples, features\) and y_true with a class"),
    (Circle(), (4,), (4,), r"Circle 'circle': expected y_pred of shape"),
])
def test_shapes_that_do_not_fit(loss, t, p, message):
    for method in (loss, loss.value_and_gradient):
        with pytest.raises(ValueError, match=message):
            method(np.zeros(t), np.ones(p))


@pytest.mark.parametrize("weights", [(3,), (4, 2), (4, 3, 2), (4, 1, 1, 1)])
def test_weights_that_do_not_fit(weights):
    for what in ("sample_weight", "mask"):
        with pytest.raises(ValueError, match=rf"expected a {what} for each sample.*fits \(4, 5\), got \({weights[0]}"):
            MeanSquaredError()(np.zeros((4, 5, 3)), np.ones((4, 5, 3)), **{what: np.ones(weights)})


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), BinaryCrossentropy(from_logits=True), CategoricalCrossentropy(),
                                  CategoricalCrossentropy(from_logits=True), BinaryCrossentropy(reduction=None)])
def test_nan_targets(loss):
    t, p = np.zeros((2, 3)), np.full((2, 3), 1 / 3)
    t[0, 1] = np.nan
    for method in (loss, loss.value_and_gradient):
        with pytest.raises(ValueError, match=f"{type(loss).__name__}.*expected targets without NaN, got 1 NaN in 6"):
            method(t, p)
    p[0, 0] = np.nan
    assert np.isnan(loss(np.zeros((2, 3)), p)).any()        # of predictions it is the model's own affair


@pytest.mark.parametrize("targets, message", [
    ([0, 3], "expected classes from 0 to 2, as y_pred has 3, got 0 to 3"), ([0, -1], "got -1 to 0"),
    ([0.0, 0.5], "expected whole numbers as classes, got \\[0.5\\]"), ([0.0, np.nan], "got \\[nan\\]"),
    ([0.0, np.inf], "got \\[inf\\]"),
])
@pytest.mark.parametrize("from_logits", [False, True])
def test_classes_out_of_range(targets, message, from_logits):
    loss = SparseCategoricalCrossentropy(from_logits)
    with pytest.raises(ValueError, match="SparseCategoricalCrossentropy 'sparse_categorical_crossentropy': .*" + message):
        loss.value_and_gradient(np.array(targets), np.full((2, 3), 1 / 3))


def test_ignored_classes_may_be_out_of_range_but_no_others():
    loss, p = SparseCategoricalCrossentropy(ignore_class=-1), np.full((2, 3), 1 / 3)
    assert loss([0, -1], p) == pytest.approx(np.log(3))
    with pytest.raises(ValueError, match="got -2 to 0"):
        loss([0, -2], p)


@pytest.mark.parametrize("make, message", [
    (lambda: MeanSquaredError("median"), "MeanSquaredError 'mean_squared_error': expected reduction .* got 'median'"),
    (lambda: BinaryCrossentropy(axis=True), "expected axis to be an int"),
    (lambda: BinaryCrossentropy(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: BinaryCrossentropy(label_smoothing="a"), r"expected label_smoothing in \[0, 1\], got 'a'"),
    (lambda: CategoricalCrossentropy(label_smoothing=float("nan")), r"expected label_smoothing in \[0, 1\], got nan"),
    (lambda: CategoricalCrossentropy(from_logits="no"), "expected from_logits to be True or False, got 'no'"),
    (lambda: SparseCategoricalCrossentropy(ignore_class=0.5), "expected ignore_class to be an integer, got 0.5"),
    (lambda: MeanSquaredError(np.zeros(2)), "expected reduction to be .* got array"),
    (lambda: MeanSquaredError(name=3), "MeanSquaredError: expected name to be a string, got 3"),
    (lambda: LossFunctionWrapper(3), "expected fn to be a function, got 3"),
    (lambda: BinaryCrossentropy(label_smoothing=2), r"expected label_smoothing in \[0, 1\], got 2"),
    (lambda: MeanSquaredError(dtype="int32"), "expected dtype 'float32' or 'float64'"),
    (lambda: Huber(0), "Huber 'huber_loss': expected delta to be a finite number above 0, got 0"),
    (lambda: CosineSimilarity("a"), "expected axis to be an integer, got 'a'"),
    (lambda: BinaryFocalCrossentropy(alpha=2), r"expected alpha in \[0, 1\], got 2"),
    (lambda: BinaryFocalCrossentropy(gamma=-1), "expected gamma to be a finite number that is not negative, got -1"),
    (lambda: CategoricalFocalCrossentropy(["a"]), "expected each of alpha to be a finite number that is not negative, got 'a'"),
    (lambda: CategoricalGeneralizedCrossEntropy(1), "expected q in .*, got 1"),
    (lambda: Dice(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: Tversky(-1), "expected alpha to be a finite number that is not negative, got -1"),
    (lambda: Circle(0), "expected gamma to be a finite number above 0, got 0"),
    (lambda: Circle(margin=2), r"expected margin in \[0, 1\], got 2"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_predictions_that_are_no_numbers():
    with pytest.raises(TypeError, match=r"MeanSquaredError.*expected y_pred to hold numbers"):
        MeanSquaredError()([["a"]], [["b"]])


def test_a_single_class_is_warned_about():
    with pytest.warns(UserWarning, match="single class"):
        CategoricalCrossentropy()(np.ones((2, 1)), np.ones((2, 1)))
