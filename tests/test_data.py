"""What fit, evaluate and predict are given: arrays of other libraries, tables, loaders of batches, class weights."""
import numpy as np
import pytest
from helpers import assert_same

import nblayers
from nblayers import losses
from nblayers.arrays import as_array
from nblayers.layers import LSTM, Dense, Embedding, Input
from nblayers.models import Model, Sequential

X = np.random.default_rng(0).normal(size=(10, 4)).astype("f")
Y = np.random.default_rng(1).normal(size=(10, 3)).astype("f")


def small():
    model = Sequential([Input((4,)), Dense(3, kernel_initializer="ones")], name="m")
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def used(x, y=None, validation=None, **options):
    """What every way to use data gives."""
    model = small()
    validation = (x, y) if validation is None else validation
    history = model.fit(x, y, verbose=0, shuffle=False, validation_data=validation, epochs=2, **options).history
    return [list(history.values()), model.evaluate(x, y, verbose=0, **options), model.predict(x, verbose=0, **options),
            model.get_weights()]


class Unsized:
    """Can be gone through again and again, and has a length that it does not know."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        raise TypeError("how should I know?")


class Indexed(Unsized):
    def __getitem__(self, index):
        raise NotImplementedError


@pytest.mark.parametrize("source", [Unsized, Indexed])
def test_iterables_without_a_length_are_read_to_their_end(source):
    batches = source([(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])])
    assert_same(flattened(used(batches, validation=batches)), flattened(used(X, Y, batch_size=4)), rtol=1e-6)
    model = small()
    model.fit(batches, verbose=0, steps_per_epoch=2)
    assert model.predict(batches, steps=2, verbose=0).shape == (8, 3)


def flattened(values):
    return [np.asarray(leaf) for value in values for leaf in (flattened(value) if isinstance(value, list) else [value])]


@pytest.mark.parametrize("kind", ["map", "iterable", "worker"])
def test_loaders_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    data = torch.utils.data

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(zip(X, Y, strict=True))

    pairs = data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = data.DataLoader(Stream() if kind == "iterable" else pairs, batch_size=4, num_workers=int(kind == "worker"))
    assert_same(flattened(used(loader, validation=loader)), flattened(used(X, Y, batch_size=4)), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors_of_pytorch_are_arrays(dtype, requires_grad):
    torch = pytest.importorskip("torch")
    x = torch.tensor(np.round(X)).to(getattr(torch, dtype))
    x.requires_grad = requires_grad and dtype in ("float32", "float64", "float16", "bfloat16")
    array, y = np.round(X).astype("f" if dtype == "bfloat16" else dtype), torch.tensor(Y, requires_grad=requires_grad)
    model, other = small(), small()
    for one, a, b, w in ((model, x, y, torch.ones(10)), (other, array, Y, np.ones(10))):
        one.fit(a, b, verbose=0, shuffle=False, sample_weight=w, validation_data=(a, b, w), batch_size=4)
        one.fit(((a, b) for _ in range(2)), verbose=0)
        one.train_on_batch(a, b)
    assert_same(model.get_weights(), other.get_weights())
    expected = other.predict(array, verbose=0)
    assert_same([model.predict(x, verbose=0), model.predict_on_batch(x), model(x.detach())], [expected] * 3)
    loss = losses.MeanSquaredError()
    assert loss(y, torch.tensor(Y) + 1) == loss(Y, Y + 1)


def test_tensors_without_an_array():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"Sequential 'm': expected x as an array, got a tensor that makes none: .*Sparse"):
        small().predict(torch.tensor(X).to_sparse())


def test_arrays_of_other_libraries():
    import jax.numpy as jnp

    class OnlyDLPack:
        def __dlpack__(self, **options):
            return X.__dlpack__(**options)

        def __dlpack_device__(self):
            return X.__dlpack_device__()

    expected = small().predict(X, verbose=0)
    for x in (jnp.asarray(X), OnlyDLPack(), np.ma.array(X, mask=False), X.view(np.matrix), X.tolist(), memoryview(X)):
        assert_same(small().predict(x, verbose=0), expected)
    assert small().predict(jnp.asarray(X, "bfloat16"), verbose=0).shape == (10, 3)
    with pytest.raises(ValueError, match="expected x without masked elements"):
        small().predict(np.ma.array(X, mask=X > 0))


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


def test_a_frame_of_numbers_and_truth_values(pd):
    frame = pd.get_dummies(pd.DataFrame({"a": X[:, 0], "c": list("xyzxyzxyzx")}))
    array = np.column_stack([X[:, 0], *(np.array(list("xyzxyzxyzx")) == letter for letter in "xyz")])
    assert_same(flattened(used(frame, pd.DataFrame(Y))), flattened(used(array.astype("f"), Y)))


NULLABLE = [("Int64", "int64"), ("boolean", "bool"), ("Float64", "float64"), ("UInt8", "uint8"), ("Float32", "float32")]


@pytest.mark.parametrize("dtype, plain", NULLABLE)
def test_nullable_columns(pd, dtype, plain):
    whole, holes = pd.Series([0, 1, 1], dtype=dtype), pd.Series([0, None, 1], dtype=dtype)
    for column in (whole, whole.to_frame(), pd.Index(whole)):
        assert as_array(column).dtype == plain
        np.testing.assert_array_equal(as_array(column).ravel(), [0, 1, 1])
    np.testing.assert_array_equal(as_array(holes), [0, np.nan, 1])
    frame = pd.DataFrame({"a": holes, "a ": whole, "n": np.arange(3), "b": [True, False, True]})
    frame.columns = ["a", "a", "n", "b"]                                            # names may repeat
    np.testing.assert_array_equal(as_array(frame), [[0, 0, 0, 1], [np.nan, 1, 1, 0], [1, 1, 2, 1]])


def test_columns_and_indices(pd):
    y = pd.Series(np.arange(10) % 3, index=range(90, 100))
    model = Sequential([Input((4,)), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, y, sample_weight=pd.Series(np.ones(10)), verbose=0)
    assert len({model.evaluate(X, given, verbose=0) for given in (y, pd.Index(y), y.to_numpy())}) == 1
    np.testing.assert_array_equal(as_array(pd.Series(["a", "b"])), ["a", "b"])      # for layers that take texts


@pytest.mark.parametrize("argument", ["x", "y"])
def test_columns_that_hold_no_numbers_are_named(pd, argument):
    frame = pd.DataFrame({"age": np.arange(10.0), "name": list("abcdefghij"), "kind": pd.Categorical([1, 2] * 5),
                          "born": pd.to_datetime(["2020-01-01"] * 10)})
    named = (rf"Sequential 'm': expected {argument} to hold numbers in all columns, got 'name' \((object|str)\), "
             r"'kind' \(category\), 'born' \(datetime64.*\)")
    for bad, message in ((frame, named), (frame["kind"], "expected . to hold numbers, got column 'kind' of dtype category"),
                         (frame["born"], "column 'born' of dtype datetime64"), (frame[["kind"]], r"'kind' \(category\)")):
        x, y = (bad, Y) if argument == "x" else (X, bad)
        for call in (lambda: small().fit(x, y, verbose=0), lambda: small().evaluate(x, y, verbose=0),       # noqa: B023
                     lambda: small().fit(iter([(x, y)]), verbose=0)):                                       # noqa: B023
            with pytest.raises(TypeError, match=message):
                call()


def test_tables_of_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1.5, 2], "b": [True, None], "i": [1, None], "n": [1, 2]})
    np.testing.assert_array_equal(as_array(frame), [[1.5, 1, 1, 1], [2, np.nan, np.nan, 2]])
    np.testing.assert_array_equal(as_array(frame["b"]), [1, np.nan])
    with pytest.raises(TypeError, match=r"in all columns, got 's' \(String\)"):
        as_array(frame.with_columns(s=pl.Series(["a", "b"])))


@pytest.mark.parametrize("batch, message", [
    (None, "got one whose x is None"), ((None, Y), "got one whose x is None"), ([None, None], "got one whose x is None"),
    ((X, Y, None, None), "got one of 4"), ((X, None), "expected targets y for output"),
    (([[1, 2], [3]], Y), "expected x as one array, got a list that makes none")])
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_batches_that_are_none(method, batch, message):
    with pytest.raises(ValueError, match=f"Sequential 'm': .*{message}"):
        getattr(small(), method)(iter([batch]), verbose=0)


@pytest.mark.parametrize("x, message", [
    (None, "expected data x, got None"), (5, r"expected x with a batch axis, got a single value, array\(5\)"),
    ("abc", "expected x with a batch axis"), (object(), "expected x with a batch axis"),
    ([[1, 2], [3]], "expected x as one array")])
def test_data_that_are_none(x, message):
    for call in (lambda: small().fit(x, Y, verbose=0), lambda: small().predict(x, verbose=0)):
        with pytest.raises(ValueError, match=f"Sequential 'm': {message}"):
            call()


# class weights

WEIGHTS = {0: 5.0, 1: 2.0}


def weighted_fit(outputs, y, loss, mask_zero=False, **weights):
    """Gradients and loss of one step of a model that maps one id to outputs of this shape."""
    nblayers.random.set_seed(0)
    shape = outputs[1:]
    ids = np.arange(1, 1 + int(np.prod(outputs[:-1]))).reshape(outputs[:-1]) * (np.asarray(weights.pop("real", 1)) > 0)
    model = Sequential([Input(shape[:-1] if len(shape) > 1 else ()), Embedding(30, shape[-1], mask_zero=mask_zero)], name="m")
    model.compile(nblayers.optimizers.SGD(1.0), loss, weighted_metrics=["mae"] if np.shape(y) == outputs else None)
    history = model.fit(ids, y, batch_size=len(ids), verbose=0, **weights).history
    return [*map(np.array, history.values()), *model.get_weights()]


LABELS = np.random.default_rng(3).integers(0, 3, (6, 2))
YES = LABELS % 2


@pytest.mark.parametrize("y, outputs, loss, expected", [
    (LABELS[:, 0], (6, 3), "sparse", LABELS[:, 0]), (LABELS[:, :1], (6, 3), "sparse", LABELS[:, 0]),
    (LABELS[:, 0].astype("f"), (6, 3), "sparse", LABELS[:, 0]), (np.eye(3)[LABELS[:, 0]], (6, 3), "categorical", LABELS[:, 0]),
    (LABELS, (6, 2, 3), "sparse", LABELS), (LABELS[..., None], (6, 2, 3), "sparse", LABELS),
    (np.eye(3)[LABELS], (6, 2, 3), "categorical", LABELS), (YES[:, 0], (6, 1), "binary", YES[:, 0]),
    (YES[:, :1], (6, 1), "binary", YES[:, 0]), (YES[..., None], (6, 2, 1), "binary", YES), (YES, (6, 2, 1), "binary", YES),
    (YES > 0, (6, 2, 1), "binary", YES)], ids=lambda value: str(np.shape(value)) if not isinstance(value, str) else value)
@pytest.mark.parametrize("masked", [False, True])
def test_class_weights_are_the_weights_of_the_classes(y, outputs, loss, expected, masked):
    name = {"sparse": "SparseCategorical", "categorical": "Categorical", "binary": "Binary"}[loss]
    masked &= len(outputs) > 2              # a mask of steps
    real = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [1, 1], [1, 0]]) if masked else 1

    def crossentropy():
        return getattr(losses, f"{name}Crossentropy")(from_logits=True)

    by_class = weighted_fit(outputs, y, crossentropy(), masked, class_weight=WEIGHTS, real=real)
    each = np.where(expected == 0, 5.0, np.where(expected == 1, 2.0, 1.0))
    targets = y[..., None] if outputs[-1] == 1 and np.shape(y) == outputs[:-1] else y
    by_sample = weighted_fit(outputs, targets, crossentropy(), masked, sample_weight=each, real=real)
    plain = weighted_fit(outputs, targets, crossentropy(), masked, real=real)
    assert_same(by_class[:1] + by_class[-1:], by_sample[:1] + by_sample[-1:], rtol=1e-6)
    assert abs(by_class[-1] - plain[-1]).max() > 0.01


@pytest.mark.parametrize("keys", [{0: 5, 1: 2}, {0.0: 5.0, 1.0: 2.0}, {np.int64(0): np.float32(5), np.uint8(1): 2},
                                  {False: 5.0, True: 2.0}, {0: 5, 1: 2, -1: 7, 99: 7}])
def test_class_weights_may_be_spelled_as_numbers(keys):
    y = LABELS[:, 0]
    assert_same(weighted_fit((6, 3), y, "sparse_categorical_crossentropy", class_weight=keys),
                weighted_fit((6, 3), y, "sparse_categorical_crossentropy", class_weight=WEIGHTS))


@pytest.mark.parametrize("weights, message", [
    ([1.0, 2.0], r"expected class_weight as a dictionary \{class: weight\}, got list .*dict\(enumerate\(weights\)\)"),
    ((1.0, 2.0), "as a dictionary .*got tuple"), (np.ones(3), "as a dictionary .*got ndarray"),
    ("balanced", "got str 'balanced'"), (5, "got int 5"), ({1}, "got set"),
    ({"0": 1.0}, "expected the classes in class_weight as whole numbers, got '0'"),
    ({0.5: 1.0}, "whole numbers, got 0.5"), ({None: 1.0}, "whole numbers, got None"), ({(0,): 1.0}, r"got \(0,\)"),
    ({0: "a"}, r"expected class_weight\[0\] to be a finite number, got 'a'"), ({0: None}, "to be a finite number, got None"),
    ({0: np.nan}, "to be a finite number, got nan"), ({0: np.inf}, "to be a finite number, got inf"), ({0: [1]}, r"got \[1\]")])
def test_class_weights_of_a_wrong_kind(weights, message):
    for call in (lambda: small().fit(X, Y, class_weight=weights, verbose=0),
                 lambda: small().fit(iter([(X, Y)]), class_weight=weights, verbose=0),
                 lambda: small().train_on_batch(X, Y, class_weight=weights)):
        with pytest.raises(ValueError, match=f"Sequential 'm': .*{message}"):
            call()


def test_class_weights_that_cannot_be():
    model = small()
    for y, message in ((np.full((10, 3), np.nan), "classes without NaN"),
                       (np.ones((10, 3, 3)), r"got y of shape \(10, 3, 3\)")):
        with pytest.raises(ValueError, match=f"Sequential 'm': class_weight .*{message}"):
            model.fit(X, y, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="class_weight or sample_weight, got both"):
        model.fit(iter([(X, Y, np.ones(10))]), class_weight={0: 1.0}, verbose=0)
    x = Input((4,))
    two = Model(x, [Dense(3)(x), Dense(2)(x)], name="m")
    two.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"Model 'm': class_weight needs one output .*got 2 outputs and 2 arrays y"):
        two.fit(X, [Y, Y[:, :2]], class_weight={0: 1.0}, verbose=0)


def test_class_weights_with_masked_steps_of_a_recurrent_layer():
    y = np.array([[0, 1, 2], [1, 1, 0]])
    model = Sequential([Input((3,)), Embedding(9, 4, mask_zero=True), LSTM(5, return_sequences=True), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    history = model.fit(np.array([[1, 2, 3], [4, 5, 0]]), y, class_weight=WEIGHTS, verbose=0, epochs=2).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("data, message", [
    ((X, Y[:3]), "expected the same number of samples in all arrays, got x"), ((None, Y), "expected data x, got None"),
    (("a", Y), "expected x with a batch axis"), ((X[:0], Y[:0]), "expected at least one sample"),
    ((X, [[1], [1, 2]]), "expected y as one array")])
def test_errors_say_that_it_is_validation_data(data, message):
    model = small()
    with pytest.raises(ValueError, match=f"^Sequential '{model.name}': validation_data: {message}"):
        model.fit(X, Y, verbose=0, validation_data=data)


def test_errors_while_validating_say_so():
    model = small()
    with pytest.raises(ValueError, match="expected targets y for output") as caught:
        model.fit(X, Y, verbose=0, validation_data=(X, None))
    assert caught.value.__notes__ == [f"Sequential '{model.name}': while it was validated on validation_data"]


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_model_without_data_names_itself(method):
    model = small()
    with pytest.raises(ValueError, match=f"^Sequential '{model.name}': expected data x, got None"):
        getattr(model, method)(verbose=0)
