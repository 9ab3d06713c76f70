"""Metrics: running results against Keras, which accuracy the shapes mean, names, a user's own, errors."""
import keras
import numpy as np
import pytest

from nblayers import metrics


def binary(rng, shape):
    return (rng.uniform(size=shape) > 0.5).astype("float32")


def uniform(rng, shape):
    return rng.uniform(size=shape).astype("float32")


def softmax(rng, shape):
    p = uniform(rng, shape)
    return p / p.sum(axis=-1, keepdims=True)


def one_hot(rng, shape):
    return np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]


def classes(rng, shape):
    return rng.integers(0, 3, shape)


# class, options, targets, their shape, predictions, their shape, shapes of weights
CASES = [
    ("Accuracy", {}, classes, (6,), classes, (6, 1), [(6,), (6, 1)]),
    ("Accuracy", {}, binary, (6, 2), binary, (6, 2), [(6,), (6, 2)]),
    ("BinaryAccuracy", {}, binary, (6, 1), uniform, (6, 1), [(6,), (6, 1)]),
    ("BinaryAccuracy", {}, classes, (6,), uniform, (6, 1), [(6,)]),
    ("BinaryAccuracy", {"threshold": 0.2}, binary, (6, 4), uniform, (6, 4), [(6,), (6, 1), (6, 4)]),
    ("BinaryAccuracy", {}, binary, (6, 4), uniform, (6, 4, 1), [(6, 4)]),
    ("CategoricalAccuracy", {}, one_hot, (6, 3), uniform, (6, 3), [(6,), (6, 1)]),
    ("CategoricalAccuracy", {}, one_hot, (6, 4, 3), uniform, (6, 4, 3), [(6,), (6, 4)]),
    ("SparseCategoricalAccuracy", {}, classes, (6,), uniform, (6, 3), [(6,)]),
    ("SparseCategoricalAccuracy", {}, classes, (6, 1), uniform, (6, 3), [(6,), (6, 1)]),
    ("SparseCategoricalAccuracy", {}, classes, (6, 4), uniform, (6, 4, 3), [(6,), (6, 4)]),
    ("SparseCategoricalAccuracy", {}, classes, (6, 4, 1), uniform, (6, 4, 3), [(6, 4)]),
    ("MeanSquaredError", {}, uniform, (6, 1), uniform, (6, 1), [(6,), (6, 1)]),
    ("MeanSquaredError", {}, uniform, (6,), uniform, (6, 1), []),
    ("MeanAbsoluteError", {}, uniform, (6, 4, 2), uniform, (6, 4, 2), [(6,), (6, 4)]),
    ("RootMeanSquaredError", {}, uniform, (6, 4), uniform, (6, 4), [(6,), (6, 4)]),
    ("RootMeanSquaredError", {}, uniform, (6,), uniform, (6, 1), [(6,)]),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("BinaryCrossentropy", {"from_logits": True}, binary, (6, 1), uniform, (6, 1), []),
    ("CategoricalCrossentropy", {"from_logits": True}, one_hot, (6, 4, 3), uniform, (6, 4, 3), [(6, 4)]),
    ("SparseCategoricalCrossentropy", {}, classes, (6, 4), softmax, (6, 4, 3), [(6,)]),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, classes, (6,), softmax, (6, 3), []),
]


@pytest.mark.parametrize("case, weights_shape", [(case, shape) for case in CASES for shape in [None, *case[-1]]],
                         ids=lambda value: f"{value[0]}-{value[3]}-{value[5]}" if len(value or "") == 7 else str(value))
def test_results_are_those_of_keras(case, weights_shape, rng):
    """Over two batches of unequal length, before and after a reset."""
    name, options, targets, t_shape, predictions, p_shape, _ = case
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    for _ in range(2):
        for rows in (slice(None), slice(0, 1)):
            t, p = targets(rng, t_shape)[rows], predictions(rng, p_shape)[rows]
            weights = None if weights_shape is None else uniform(rng, weights_shape)[rows]
            ours.update_state(t, p, weights)
            theirs.update_state(t, p, weights)
            assert ours.result() == pytest.approx(float(theirs.result()), rel=2e-5)
        ours.reset_state()
        theirs.reset_state()
        assert ours.result() == 0
    assert type(ours.result()) is float


@pytest.mark.parametrize("dtype, t, p, root", [
    ("uint8", [[0], [10]], [[200], [255]], 223.634747), ("int16", [[-30000]], [[30000]], 60000),
    ("bool", [[1], [0]], [[0], [0]], 0.5 ** 0.5), ("float16", [[0]], [[300]], 300), ("int8", [[-100]], [[100]], 200),
    ("float64", [[0]], [[1e200]], np.inf), ("float64", [[0]], [[1e100]], 1e100)])
@pytest.mark.filterwarnings("ignore:overflow")
def test_errors_neither_wrap_nor_overflow(dtype, t, p, root):
    t, p = np.array(t, dtype), np.array(p, dtype)
    error = np.abs(p.astype(float) - t)
    for weights in (None, [1.0] * len(t)):
        assert metrics.RootMeanSquaredError()(t, p, weights) == pytest.approx(root)
        assert metrics.MeanSquaredError()(t, p, weights) == pytest.approx(root ** 2 if root < 1e199 else root)
        assert metrics.MeanAbsoluteError()(t, p, weights) == pytest.approx(error.mean())


def test_mean_of_large_values():
    assert metrics.Mean()(np.array([60000, 60000], "float16")) == 60000
    assert metrics.Mean()(np.array([2 ** 62] * 4)) == 2.0 ** 62
    assert metrics.Mean()(np.array([200, 200], "uint8"), [1, 1]) == 200
    assert metrics.Mean()(np.array([1 + 1e-12]), [2]) == 1 + 1e-12


def test_equal_integers_are_exactly_equal():
    assert metrics.Accuracy()([16777216], [16777217]) == 0 and metrics.Accuracy()([-1], np.array([255], "uint8")) == 0
    assert metrics.Accuracy()([0.5], [0]) == 0 and metrics.Accuracy()([0.1], np.array([0.1], "float32")) == 1


NO_NUMBERS = [np.array(["0", "1"]), np.array([0, 1], object), np.array([0, 1], complex), np.array([0, 1], "datetime64[D]"),
              [None, 1]]


@pytest.mark.parametrize("given", NO_NUMBERS, ids=lambda given: str(np.asarray(given).dtype))
@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_what_holds_no_numbers_is_refused(name, given):
    metric, sparse = getattr(metrics, name)(), name.startswith("Sparse")
    p, columns = np.full((2, 2), 0.5), np.stack([np.asarray(given)] * 2, axis=1)
    good = np.array([0, 1]) if sparse else p
    for what, arguments in (("y_true", (given if sparse else columns, p)), ("y_pred", (good, columns)),
                            ("sample_weight", (good, p, given))):
        with pytest.raises(TypeError, match=f"expected {what} to hold numbers, got dtype"):
            metric(*arguments)
    with pytest.raises(TypeError, match="Mean 'mean': expected values to hold numbers"):
        metrics.Mean()(given)


@pytest.mark.parametrize("make, message", [
    (lambda: metrics.BinaryAccuracy(threshold="a"), "BinaryAccuracy .*: expected threshold to be a finite number, got 'a'"),
    (lambda: metrics.BinaryAccuracy(threshold=None), "expected threshold to be a finite number, got None"),
    (lambda: metrics.BinaryCrossentropy(label_smoothing=2), r"expected label_smoothing in \[0, 1\], got 2"),
    (lambda: metrics.CategoricalCrossentropy(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: metrics.SparseCategoricalCrossentropy(ignore_class="a"), "expected ignore_class to be an integer, got 'a'"),
    (lambda: metrics.MeanMetricWrapper(3), "MeanMetricWrapper .*: expected fn to be a function, got 3"),
    (lambda: metrics.Mean(name=3), "Mean: expected name to be a string, got 3"),
    (lambda: metrics.Mean(dtype="int8"), "expected dtype 'float32' or 'float64'")])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("values, weights", [
    (3.0, None), ([1, 2, 4], None), (np.arange(6.0).reshape(2, 3), None), (np.arange(12.0).reshape(2, 3, 2), None),
    (3.0, 0.5), ([1, 2, 4], [1, 0, 2]), (np.arange(6.0).reshape(2, 3), [1, 3]), (np.arange(6.0).reshape(2, 3), [[1], [3]]),
    (np.arange(6.0).reshape(2, 3), [[1, 2, 3], [4, 5, 6]]), (np.arange(12.0).reshape(2, 3, 2), [[1, 2, 3], [4, 5, 6]]),
    (np.arange(2.0).reshape(2, 1), [1, 3]), (np.arange(2.0), [[1], [3]]), ([1.0, 2.0], 2.0), ([True, False], None)], ids=str)
def test_mean(values, weights):
    ours, theirs = metrics.Mean(), keras.metrics.Mean()
    for _ in range(2):
        ours.update_state(np.asarray(values) if isinstance(values, list) else values, weights)
        theirs.update_state(np.asarray(values, "float32"), weights)
    assert ours.result() == pytest.approx(float(theirs.result()))
    assert ours(5.0) == pytest.approx(float(theirs(5.0)))


def test_long_sums_keep_their_digits():
    """16777216 ones are 1 + 1 + … in float32 no more."""
    metric = metrics.Mean()
    metric.total, metric.count = 2.0 ** 24, 2.0 ** 24
    for _ in range(100):
        metric.update_state(np.ones(1, "float32"))
    assert metric.total == 2 ** 24 + 100 and metric.result() == 1


@pytest.mark.parametrize("t_shape", [(8,), (8, 1), (8, 3), (8, 4), (8, 4, 1), (8, 4, 3)])
@pytest.mark.parametrize("p_shape", [(8, 1), (8, 3), (8, 4, 1), (8, 4, 3)])
@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
def test_accuracy_is_the_kind_that_keras_takes(t_shape, p_shape, name):
    from keras.src.trainers.compile_utils import get_metric
    expected = get_metric(name, np.zeros(t_shape), np.zeros(p_shape))
    metric = metrics.resolve(name, t_shape, p_shape, None)
    assert type(metric).__name__ == type(expected).__name__ and metric.name == expected.name == name


def total_error(y_true, y_pred):
    return abs(y_pred - y_true).sum(axis=-1)


@pytest.mark.parametrize("identifier, cls, name", [
    ("mae", "MeanAbsoluteError", "mae"), ("mse", "MeanSquaredError", "mse"), ("MSE", "MeanSquaredError", "MSE"),
    ("mean_absolute_error", "MeanAbsoluteError", "mean_absolute_error"), ("BinaryAccuracy", "BinaryAccuracy", "BinaryAccuracy"),
    ("binary_accuracy", "BinaryAccuracy", "binary_accuracy"), (total_error, "MeanMetricWrapper", "total_error"),
    (metrics.RootMeanSquaredError(name="root"), "RootMeanSquaredError", "root"),
    (metrics.BinaryAccuracy, "BinaryAccuracy", "binary_accuracy"), ("root_mean_squared_error", "RootMeanSquaredError",
                                                                     "root_mean_squared_error"),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
])
def test_names_are_those_of_keras(identifier, cls, name):
    metric = metrics.resolve(identifier, (4, 1), (4, 1))
    assert type(metric).__name__ == cls and metric.name == name
    assert type(metrics.get(identifier)) is type(metric)


def test_a_metric_of_ones_own(rng):
    metric = metrics.get(total_error)
    t, p = uniform(rng, (5, 3)), uniform(rng, (5, 3))
    metric.update_state(t, p)
    assert metric.result() == pytest.approx(np.abs(p - t).sum(axis=-1).mean())
    metric = metrics.MeanMetricWrapper(lambda y_true, y_pred, factor: factor, name="constant", factor=3)
    assert metric(t, p) == 3

    class Largest(metrics.Metric):
        def reset_state(self):
            self.largest = -np.inf

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest = max(getattr(self, "largest", -np.inf), float(y_pred.max()))

        def result(self):
            return self.largest

    metric = Largest()
    assert metric.name == "largest" and metric(t, p) == p.max()


@pytest.mark.parametrize("metric", [
    metrics.Mean(), metrics.Accuracy(), metrics.BinaryAccuracy(threshold=0.3), metrics.CategoricalAccuracy("c"),
    metrics.SparseCategoricalAccuracy(), metrics.MeanSquaredError(), metrics.MeanAbsoluteError(),
    metrics.RootMeanSquaredError(), metrics.BinaryCrossentropy(from_logits=True), metrics.CategoricalCrossentropy(axis=1),
    metrics.SparseCategoricalCrossentropy(ignore_class=2)], ids=repr)
def test_configurations_are_those_of_keras(metric):
    theirs = getattr(keras.metrics, type(metric).__name__).from_config(metric.get_config())
    assert theirs.get_config() == metric.get_config()
    saved = metrics.serialize(metric)
    assert saved == {"module": "keras.metrics", "class_name": type(metric).__name__, "config": theirs.get_config(),
                     "registered_name": None}
    again = metrics.deserialize(saved)
    assert type(again) is type(metric) and again.get_config() == metric.get_config()


def test_configuration_of_a_wrapped_function(rng):
    from nblayers import losses
    metric = metrics.MeanMetricWrapper(losses.binary_crossentropy, "cost", from_logits=True)
    again = metrics.MeanMetricWrapper.from_config(metric.get_config())
    t, p = binary(rng, (4, 1)), uniform(rng, (4, 1))
    assert again.name == "cost" and again(t, p) == metric(t, p) != 0


def test_get_other_things():
    assert metrics.get(None) is None
    assert type(metrics.get("accuracy")) is metrics.Accuracy
    with pytest.raises(ValueError, match="unknown metric 'acuracy': did you mean 'Accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="expected a metric"):
        metrics.get(3)
    with pytest.raises(ValueError, match=r"expected a metric .*, got None"):
        metrics.resolve(None, (1,), (1,))


@pytest.mark.parametrize("metric, t, p, message", [
    (metrics.BinaryAccuracy(), (4, 2), (4, 3), r"binary_accuracy: .* the shape of y_pred \(4, 3\), got \(4, 2\)"),
    (metrics.CategoricalAccuracy(), (4,), (4, 3), r"categorical_accuracy: expected y_true in the shape"),
    (metrics.Accuracy(), (3,), (4, 1), r"accuracy: expected y_true in the shape"),
    (metrics.SparseCategoricalAccuracy(), (4, 3), (4, 3), r"sparse_categorical_accuracy: expected y_true of shape \(4,\)"),
    (metrics.MeanSquaredError(), (4, 2), (4, 3), r"expected y_true in the shape of y_pred"),
    (metrics.RootMeanSquaredError(), (4, 2), (4, 3), r"root_mean_squared_error: expected y_true in the shape"),
])
def test_shapes_that_do_not_fit(metric, t, p, message):
    with pytest.raises(ValueError, match=message):
        metric.update_state(np.zeros(t), np.zeros(p))


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"BinaryAccuracy 'binary_accuracy': expected sample_weight .* \(4, 1\), got \(3,\)"):
        metrics.BinaryAccuracy().update_state(np.zeros((4, 1)), np.zeros((4, 1)), np.ones(3))


def test_unwritten_methods():
    for method in ("update_state", "result", "reset_state"):
        with pytest.raises(NotImplementedError, match=f"{method} is not written"):
            getattr(metrics.Metric(), method)()
