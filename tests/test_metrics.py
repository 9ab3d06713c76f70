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


def rounded(rng, shape):
    return rng.integers(0, 3, shape).astype("float32") / 2


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
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot, (6, 3), uniform, (6, 3), [(6,)]),
    ("TopKCategoricalAccuracy", {"k": 1}, one_hot, (6, 4, 3), uniform, (6, 4, 3), [(6, 4)]),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, classes, (6,), uniform, (6, 3), [(6,)]),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, classes, (6, 4), rounded, (6, 4, 3), [(6, 4)]),         # with equal predictions
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, classes, (6,), classes, (6, 3), []),
    ("MeanAbsolutePercentageError", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("MeanSquaredLogarithmicError", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("LogCoshError", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("CosineSimilarity", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("CosineSimilarity", {"axis": 1}, uniform, (6, 4, 3), uniform, (6, 4, 3), [(6, 3)]),
    ("PearsonCorrelation", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("ConcordanceCorrelation", {"axis": 1}, uniform, (6, 4, 3), uniform, (6, 4, 3), [(6,)]),
    ("Hinge", {}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("SquaredHinge", {}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("CategoricalHinge", {}, one_hot, (6, 3), uniform, (6, 3), [(6,)]),
    ("KLDivergence", {}, softmax, (6, 3), softmax, (6, 3), [(6,)]),
    ("Poisson", {}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("TruePositives", {}, binary, (6, 4), uniform, (6, 4), [(6,), (6, 4)]),
    ("FalsePositives", {"thresholds": [0.8, 0.2]}, binary, (6, 4), uniform, (6, 4), [(6, 1)]),
    ("TrueNegatives", {"thresholds": [0.0, 0.5, 1.0]}, binary, (6,), rounded, (6, 1), []),
    ("FalseNegatives", {"thresholds": 0.3}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("Precision", {}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("Precision", {"top_k": 2}, binary, (6, 4), rounded, (6, 4), [(6,)]),
    ("Precision", {"thresholds": [0.1, 0.6], "class_id": 2}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("Recall", {}, binary, (6,), uniform, (6,), [(6,)]),
    ("Recall", {"top_k": 1, "class_id": 1, "thresholds": 0.2}, one_hot, (6, 4, 3), uniform, (6, 4, 3), [(6, 4)]),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 1}, binary, (6, 4), uniform, (6, 4), []),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 7}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("RecallAtPrecision", {"precision": 0.6, "class_id": 1}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("AUC", {}, binary, (6, 4), uniform, (6, 4), [(6,), (6, 4)]),
    ("AUC", {"curve": "PR"}, binary, (6, 1), uniform, (6, 1), [(6,)]),
    ("AUC", {"curve": "PRGAIN", "num_thresholds": 9}, binary, (6, 4), uniform, (6, 4), []),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "thresholds": [0.7, 0.1]}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("AUC", {"summation_method": "majoring", "from_logits": True}, binary, (6, 4), uniform, (6, 4), []),
    ("AUC", {"multi_label": True, "label_weights": [0.1, 0.2, 0.3, 0.4]}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("AUC", {"multi_label": True, "num_labels": 4, "curve": "PR"}, binary, (6, 4), uniform, (6, 4), []),
    ("AUC", {"multi_label": True, "thresholds": [0.3, 0.9]}, binary, (6, 4), uniform, (6, 4), [(6,)]),
    ("AUC", {"label_weights": [0.1, 0.2, 0.3, 0.4], "thresholds": [0.4]}, binary, (6, 4), uniform, (6, 4), []),
    ("FBetaScore", {"beta": 2.0}, one_hot, (6, 3), softmax, (6, 3), [(6,)]),
    ("FBetaScore", {"average": "micro", "threshold": 0.3}, binary, (6, 3), uniform, (6, 3), [(6,)]),
    ("F1Score", {"average": "macro"}, one_hot, (6, 3), rounded, (6, 3), []),
    ("F1Score", {"average": "weighted"}, one_hot, (6, 3), softmax, (6, 3), [(6,)]),
    ("R2Score", {}, uniform, (6, 4), uniform, (6, 4), [(6,), (6, 4)]),
    ("R2Score", {"class_aggregation": None, "num_regressors": 2}, uniform, (6, 4), uniform, (6, 4), []),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, uniform, (6, 4), uniform, (6, 4), [(6,)]),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2], "dtype": "float32"}, classes, (6,), classes, (6,), [(6,)]),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "ignore_class": 0}, classes, (6, 4), classes, (6, 4), []),
    ("BinaryIoU", {"threshold": 0.4, "dtype": "float32"}, binary, (6, 4), uniform, (6, 4), [(6, 4)]),
    ("MeanIoU", {"num_classes": 3, "sparse_y_pred": False}, classes, (6,), uniform, (6, 3), []),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 1]}, one_hot, (6, 3), uniform, (6, 3), []),
    ("OneHotMeanIoU", {"num_classes": 3, "dtype": "float32"}, one_hot, (6, 3), uniform, (6, 3), [(6,)]),
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
        expected = np.asarray(theirs.result())
        np.testing.assert_allclose(ours.result(), expected, rtol=3e-5, atol=1e-6)
        assert np.size(ours.result()) > 1 or type(ours.result()) is float
        ours.reset_state()
        theirs.reset_state()
        assert not np.any(ours.result())
    assert [each.name for each in ours.variables] == [each.name for each in theirs.variables]
    assert [each.shape for each in ours.variables] == [tuple(each.shape) for each in theirs.variables]


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


REQUIRED = {"IoU": (2, [0, 1]), "MeanIoU": (2,), "OneHotIoU": (2, [1]), "OneHotMeanIoU": (2,),
            "SensitivityAtSpecificity": (0.5,),
            "SpecificityAtSensitivity": (0.5,), "PrecisionAtRecall": (0.5,), "RecallAtPrecision": (0.5,)}


@pytest.mark.parametrize("given", NO_NUMBERS, ids=lambda given: str(np.asarray(given).dtype))
@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_what_holds_no_numbers_is_refused(name, given):
    metric, sparse = getattr(metrics, name)(*REQUIRED.get(name, ())), name.startswith("Sparse")
    p, columns = np.full((2, 2), 0.5), np.stack([np.asarray(given)] * 2, axis=1)
    good = np.array([0, 1]) if sparse else p
    for what, arguments in (("y_true", (given if sparse else columns, p)), ("y_pred", (good, columns)),
                            ("sample_weight", (good, p, given))):
        with pytest.raises(TypeError, match=f"expected {what} to hold numbers, got dtype"):
            metric(*arguments)
    for values in (metrics.Mean(), metrics.Sum()):
        with pytest.raises(TypeError, match=f"{values.described}: expected values to hold numbers"):
            values(given)


@pytest.mark.parametrize("make, message", [
    (lambda: metrics.BinaryAccuracy(threshold="a"), "BinaryAccuracy .*: expected threshold to be a finite number, got 'a'"),
    (lambda: metrics.BinaryAccuracy(threshold=None), "expected threshold to be a finite number, got None"),
    (lambda: metrics.BinaryCrossentropy(label_smoothing=2), r"expected label_smoothing in \[0, 1\], got 2"),
    (lambda: metrics.CategoricalCrossentropy(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: metrics.SparseCategoricalCrossentropy(ignore_class="a"), "expected ignore_class to be an integer, got 'a'"),
    (lambda: metrics.MeanMetricWrapper(3), "MeanMetricWrapper .*: expected fn to be a function, got 3"),
    (lambda: metrics.Mean(name=3), "Mean: expected name to be a string, got 3"),
    (lambda: metrics.Mean(dtype="int8"), "expected dtype 'float32' or 'float64'"),
    (lambda: metrics.TopKCategoricalAccuracy(0), "expected a positive integer as k, got 0"),
    (lambda: metrics.SparseTopKCategoricalAccuracy(from_sorted_ids="a"), "expected from_sorted_ids to be True or False"),
    (lambda: metrics.CosineSimilarity(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: metrics.PearsonCorrelation(axis=0.5), "expected axis to be an integer, got 0.5"),
    (lambda: metrics.Precision(2), r"Precision: expected each of thresholds in \[0, 1\], got 2"),
    (lambda: metrics.Recall([]), r"Recall: expected thresholds as a number or several, got \[\]"),
    (lambda: metrics.Precision(top_k=0), "expected a positive integer as top_k, got 0"),
    (lambda: metrics.Precision(class_id=-1), "expected class_id to be an integer of at least 0, got -1"),
    (lambda: metrics.PrecisionAtRecall(2), r"PrecisionAtRecall: expected recall in \[0, 1\], got 2"),
    (lambda: metrics.RecallAtPrecision(0.5, 0), "expected a positive integer as num_thresholds, got 0"),
    (lambda: metrics.AUC(1), "AUC: expected num_thresholds to be an integer of at least 2, got 1"),
    (lambda: metrics.AUC(curve="COR"), "expected curve to be 'ROC', 'PR' or 'PRGAIN', got 'COR'"),
    (lambda: metrics.AUC(summation_method=3), "expected summation_method to be .* or 'minoring', got 3"),
    (lambda: metrics.AUC(num_labels=2), "expected num_labels only where multi_label is True, got 2"),
    (lambda: metrics.AUC(label_weights=[[1]]), r"expected label_weights with a number for each label, got shape \(1, 1\)"),
    (lambda: metrics.AUC(thresholds=[2]), r"expected each of thresholds in \[0, 1\], got 2"),
    (lambda: metrics.FBetaScore("mean"), "expected average to be None, 'micro', 'macro' or 'weighted', got 'mean'"),
    (lambda: metrics.FBetaScore(beta=0), "expected beta to be a finite number above 0, got 0"),
    (lambda: metrics.F1Score(threshold=0), r"expected threshold in \(0, 1\], got 0"),
    (lambda: metrics.R2Score("mean"), "expected class_aggregation to be None, 'uniform_average' or"),
    (lambda: metrics.R2Score(num_regressors=-1), "expected num_regressors to be an integer of at least 0, got -1"),
    (lambda: metrics.IoU(2, [2]), "expected each of target_class_ids to be an integer from 0 to 1, got 2"),
    (lambda: metrics.MeanIoU(0), "MeanIoU: expected a positive integer as num_classes, got 0"),
    (lambda: metrics.MeanIoU(2, dtype="complex64"), "expected dtype 'float32' or 'float64'")])
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
    metric.total.assign(2.0 ** 24)
    metric.count.assign(2.0 ** 24)
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


ONE_OF_EACH = [
    metrics.Mean(), metrics.Accuracy(), metrics.BinaryAccuracy(threshold=0.3), metrics.CategoricalAccuracy("c"),
    metrics.SparseCategoricalAccuracy(), metrics.MeanSquaredError(), metrics.MeanAbsoluteError(),
    metrics.RootMeanSquaredError(), metrics.BinaryCrossentropy(from_logits=True), metrics.CategoricalCrossentropy(axis=1),
    metrics.SparseCategoricalCrossentropy(ignore_class=2), metrics.Sum(), metrics.TopKCategoricalAccuracy(3),
    metrics.SparseTopKCategoricalAccuracy(3), metrics.SparseTopKCategoricalAccuracy(3, from_sorted_ids=True),
    metrics.MeanAbsolutePercentageError(), metrics.MeanSquaredLogarithmicError(), metrics.LogCoshError(),
    metrics.CosineSimilarity(axis=1), metrics.PearsonCorrelation(axis=0), metrics.ConcordanceCorrelation(), metrics.Hinge(),
    metrics.SquaredHinge(), metrics.CategoricalHinge(), metrics.KLDivergence(), metrics.Poisson(), metrics.TruePositives(),
    metrics.FalsePositives(0.3), metrics.TrueNegatives([0.3, 0.4]), metrics.FalseNegatives(), metrics.Precision(0.3, 2, 1),
    metrics.Recall(), metrics.SensitivityAtSpecificity(0.5), metrics.SpecificityAtSensitivity(0.5, 20),
    metrics.PrecisionAtRecall(0.5, class_id=1), metrics.RecallAtPrecision(0.5), metrics.AUC(),
    metrics.AUC(curve="pr", summation_method="Minoring", multi_label=True, num_labels=2, thresholds=[0.5, 0.2]),
    metrics.FBetaScore("macro", 2.0, 0.5), metrics.F1Score(), metrics.R2Score(None, 2), metrics.IoU(3, [1, 2], ignore_class=0),
    metrics.BinaryIoU([1], 0.3), metrics.MeanIoU(3, axis=1), metrics.OneHotIoU(3, [1]),
    metrics.OneHotMeanIoU(3, dtype="float32")]


@pytest.mark.parametrize("metric", ONE_OF_EACH, ids=repr)
def test_configurations_are_those_of_keras(metric):
    theirs = getattr(keras.metrics, type(metric).__name__).from_config(metric.get_config())
    left_out = {"axis": 1} if type(metric).__name__ == "CosineSimilarity" else {}       # by Keras alone
    assert {**theirs.get_config(), **left_out} == metric.get_config()
    saved = metrics.serialize(metric)
    assert saved == {"module": "keras.metrics", "class_name": type(metric).__name__, "config": metric.get_config(),
                     "registered_name": None}
    again = metrics.deserialize(saved)
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    assert getattr(metric, "_direction", None) == getattr(theirs, "_direction", None) or "down" in metric._direction


def test_label_weights_as_keras_saves_them():
    theirs = keras.metrics.AUC(multi_label=True, label_weights=[1.0, 2.0])
    ours = metrics.deserialize(keras.saving.serialize_keras_object(theirs))
    assert ours.label_weights.tolist() == [1, 2]


def test_every_metric_of_keras_is_here():
    missing = [name for name in dir(keras.metrics) if not name.startswith("_") and not hasattr(metrics, name)]
    assert not missing
    public = {name for name in dir(keras.metrics) if name[0].isupper()} - {"Metric", "MeanMetricWrapper"}
    assert {type(metric).__name__ for metric in ONE_OF_EACH} == public == {case[0] for case in CASES} | {"Mean", "Sum"}


@pytest.mark.parametrize("case", [case for case in CASES if len(case[3]) > 1 or case[0] in ("Precision", "Recall")],
                         ids=lambda case: f"{case[0]}-{case[3]}-{list(case[1])}")
def test_batches_and_merged_metrics_give_the_same_result(case, rng):
    name, options, targets, t_shape, predictions, p_shape, _ = case
    t, p, w = targets(rng, t_shape), predictions(rng, p_shape), rng.uniform(size=6)
    if name.endswith("Crossentropy"):
        p = p.clip(0.01, 0.99)
    whole, parts, merged = (getattr(metrics, name)(**options) for _ in range(3))
    whole.update_state(t, p, w)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        parts.update_state(t[rows], p[rows], w[rows])
        one = getattr(metrics, name)(**options)
        one.update_state(t[rows], p[rows], w[rows])
        merged.merge_state([one])
    np.testing.assert_allclose(parts.result(), whole.result(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(merged.result(), parts.result(), rtol=1e-12, atol=1e-12)
    strided = np.stack([p, p], axis=-1)[..., 0]
    whole.reset_state()
    np.testing.assert_allclose(whole(t, strided, w), parts.result(), rtol=1e-6, atol=1e-12)


def test_metrics_that_do_not_merge():
    with pytest.raises(ValueError, match="Recall 'r': expected metrics of its own class, got <Precision name=p>"):
        metrics.Recall(name="r").merge_state([metrics.Precision(name="p")])
    with pytest.raises(ValueError, match=r"expected true_positives of shape \(1,\), got \(2,\) of <Recall name=s>"):
        metrics.Recall(name="r").merge_state([metrics.Recall([0.1, 0.2], name="s")])


@pytest.mark.parametrize("values, weights", [
    (3.0, None), ([1, 2, 4], None), (np.arange(6.0).reshape(2, 3), None), (3.0, 0.5), ([1, 2, 4], [1, 0, 2]),
    (np.arange(6.0).reshape(2, 3), [1, 3]), (np.arange(6.0).reshape(2, 3), [[1], [3]])], ids=str)
def test_sum(values, weights):
    ours, theirs = metrics.Sum(), keras.metrics.Sum()
    for _ in range(2):
        ours.update_state(values, weights)
        theirs.update_state(np.asarray(values, "float32"), weights)
    assert ours.result() == pytest.approx(float(theirs.result())) and type(ours.result()) is float


@pytest.mark.parametrize("metric, t, p, expected", [
    (metrics.Precision(), [0, 1], [np.nan, 0.9], 1.0), (metrics.TrueNegatives(), [0, 1], [np.nan, np.nan], 1.0),
    (metrics.AUC(), [0, 0, 1, 1], [-3.0, 0.2, 0.9, 4.0], 1.0), (metrics.Precision(), [0, 0], [0.1, 0.1], 0.0),
    (metrics.PearsonCorrelation(), [[0.1] * 5, [1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5]] * 2, 0.5),
    (metrics.R2Score(), [[0.1], [0.1], [0.1]], [[0.1], [0.1], [0.2]], 0.0),
    (metrics.SparseTopKCategoricalAccuracy(5), [-1, 1, 0], [[0.1, 0.2], [0.3, np.nan], [0.0, 1.0]], 1 / 3),
    (metrics.MeanIoU(2), [0, 0], [0, 0], 1.0), (metrics.F1Score("micro"), [[0, 1]], [[0, 0]], 0.0)],
    ids=lambda v: repr(v) if isinstance(v, metrics.Metric) else None)
def test_edges(metric, t, p, expected):
    assert metric(np.array(t), np.array(p)) == pytest.approx(expected)


def test_fractions_as_weights_of_integer_metrics():
    """Keras casts them to the metric's dtype."""
    assert metrics.MeanIoU(2)([0, 1], [0, 0], [0.75, 0.25]) == pytest.approx(0.375)


@pytest.mark.parametrize("metric, t, p, w, message", [
    (metrics.Precision(), (4, 2), (4, 3), None, r"Precision .*: expected y_true in the shape of y_pred \(4, 3\)"),
    (metrics.Recall(), (), (), None, "expected y_pred with at least one axis, got a single number"),
    (metrics.Recall(class_id=3), (4, 3), (4, 3), None, r"expected y_pred of shape \(…, classes\) with a class 3, got"),
    (metrics.Precision(), (4, 2), (4, 2), (3,), r"Precision .*: expected sample_weight of a shape .* \(4, 2\), got \(3,\)"),
    (metrics.AUC(multi_label=True, num_labels=2), (4, 3), (4, 3), None, r"expected y_pred of shape \(samples, 2\), got"),
    (metrics.AUC(label_weights=[1, 2]), (4, 3), (4, 3), None, r"expected y_pred with 2 labels, as label_weights has"),
    (metrics.F1Score(), (4,), (4,), None, r"F1Score .*: expected y_true and y_pred of shape \(samples, columns\), got \(4,\)"),
    (metrics.R2Score(), (4,), (4,), None, r"R2Score .*: expected y_true and y_pred of shape \(samples, columns\), got \(4,\)"),
    (metrics.MeanIoU(2), (4,), (3,), None, r"MeanIoU .*: expected as many classes in y_true as in y_pred, got shapes \(4,\)"),
    (metrics.OneHotMeanIoU(2), (4, 3), (4, 3), None, r"expected y_true with 2 classes on axis -1, got shape \(4, 3\)"),
    (metrics.ConcordanceCorrelation(axis=2), (4, 3), (4, 3), None, "expected y_pred with values on axis 2"),
    (metrics.Sum(), (), (), None, r"Sum .*: expected sample_weight of a shape that fits the values \(4, 3\), got \(4, 2\)"),
    (metrics.TopKCategoricalAccuracy(), (4,), (4, 3), None, "top_k_categorical_accuracy: expected y_true in the shape")])
def test_what_does_not_fit(metric, t, p, w, message):
    arguments = [np.zeros((4, 3)), np.zeros((4, 2))] if isinstance(metric, metrics.Sum) else [np.zeros(t), np.zeros(p)]
    with pytest.raises(ValueError, match=message):
        metric.update_state(*arguments, *([] if w is None else [np.ones(w)]))


def test_classes_that_are_none():
    with pytest.raises(ValueError, match="MeanIoU 'iou': expected classes from 0 to 1, got labels from 0 to 3"):
        metrics.MeanIoU(2, "iou")([0, 3], [0, 0])
    assert metrics.MeanIoU(2, ignore_class=255)([0, 255], [0, 0]) == metrics.MeanIoU(2)([0, -1], [0, 9], [1, 0]) == 1


def test_confusion_matrix(rng):
    from nblayers.utils import confusion_matrix
    t, p = rng.integers(0, 3, 20), rng.integers(0, 3, 20)
    C = confusion_matrix(t, p)
    assert C.shape == (3, 3) and C.dtype == "int32"
    assert all(C[i, j] == ((t == i) & (p == j)).sum() for i in range(3) for j in range(3))
    weights = rng.uniform(size=(4, 5))
    weighted = confusion_matrix(t.reshape(4, 5), p.reshape(4, 5), 4, weights, "float64")
    assert weighted.shape == (4, 4) and weighted.sum() == pytest.approx(weights.sum()) and not weighted[3].any()
    for arguments, message in ((([0, 1], [0]), "expected as many predictions as labels, got 1 and 2"),
                               (([0, -1], [0, 1]), "expected classes from 0 to 1, got labels from -1 to 0"),
                               (([0, 1], [0, 2], 2), "expected classes from 0 to 1, .* predictions from 0 to 2"),
                               (([0.5], [0]), r"expected whole numbers as labels, got \[0.5\]"),
                               (([0], [0], None, [1, 2]), "expected a weight for each of 1 labels, got 2")):
        with pytest.raises(ValueError, match=f"confusion_matrix: {message}"):
            confusion_matrix(*arguments)


def test_configuration_of_a_wrapped_function(rng):
    from nblayers import losses
    metric = metrics.MeanMetricWrapper(losses.binary_crossentropy, "cost", from_logits=True)
    again = metrics.MeanMetricWrapper.from_config(metric.get_config())
    t, p = binary(rng, (4, 1)), uniform(rng, (4, 1))
    assert again.name == "cost" and again(t, p) == metric(t, p) != 0


class LargestError(metrics.Metric):
    """As people write them for Keras."""

    def __init__(self, name="largest_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_variable(shape=(), initializer="zeros", name="largest")
        self.by_column = self.add_weight(shape=(2,), name="by_column")

    def update_state(self, y_true, y_pred, sample_weight=None):
        error = abs(y_pred - y_true)
        self.largest.assign(max(self.largest, error.max()))
        self.by_column.assign_add(error.sum(axis=0))

    def result(self):
        return self.largest


def test_variables_of_ones_own():
    metric = LargestError()
    assert float(metric(np.zeros((2, 2)), np.array([[1, -3], [2, 0]]))) == 3
    assert [each.name for each in metric.variables] == ["largest", "by_column"]
    assert metric.by_column.numpy().tolist() == [3, 3] and metric.by_column[1] == 3
    assert (metric.by_column / 2 + 1).tolist() == [2.5, 2.5] and metric.by_column.dtype == "float64"
    assert repr(metric.largest) == "<Variable largest, value=3.0>"
    with pytest.raises(ValueError, match=r"variable 'by_column': expected a value of shape \(2,\), got \(3,\)"):
        metric.by_column.assign(np.zeros(3))
    metric.reset_state()
    assert metric.largest == 0 and not metric.by_column.numpy().any()


def fitted(library, m):
    """The history of a model with two outputs and many metrics."""
    a = library.Input((3,))
    p = library.layers.Dense(1, "sigmoid", kernel_initializer="ones", name="p")(a)
    q = library.layers.Dense(3, "softmax", kernel_initializer="ones", name="q")(a)
    model = library.Model(a, [p, q])
    model.compile(library.optimizers.SGD(0.1), ["binary_crossentropy", "categorical_crossentropy"], metrics=[
        ["accuracy", "AUC", m.Precision(name="precision"), m.BinaryIoU(name="iou")],
        ["acc", m.F1Score(), m.TopKCategoricalAccuracy(2), "kl_divergence", m.MeanAbsoluteError()]],
        weighted_metrics=[["Recall"], [m.R2Score()]])
    rng = np.random.default_rng(0)
    x, t, u = rng.normal(size=(10, 3)), binary(rng, (10, 1)), one_hot(rng, (10, 3))
    return model.fit(x, [t, u], batch_size=4, shuffle=False, verbose=0).history


def test_histories_are_those_of_keras():
    """Twenty seconds and more: Keras compiles a training step with all these metrics."""
    import nblayers
    ours, theirs = fitted(nblayers, metrics), fitted(keras, keras.metrics)
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_mask_reaches_metrics_of_counts(capsys):
    """The masked steps of a sequence do not count; a score for each class is shown in the progress line."""
    import nblayers
    model = nblayers.Sequential([nblayers.layers.Masking(), nblayers.layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.TruePositives(), metrics.Recall([0.1, 0.9999])])
    x = np.array([[[1.0], [0.0]], [[2.0], [3.0]]])
    _, count, recall = model.evaluate(x, np.ones((2, 2, 1)), verbose=2)
    assert count == 3 and recall.tolist() == [1, 0]
    assert "recall: [1.0000 0.0000e+00]" in capsys.readouterr().out


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
