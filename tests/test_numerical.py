"""Normalization and Discretization: Keras' values and statistics, data of every form, errors, models."""
import re

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import agrees_with_keras, rooms_agree

from nblayers import Sequential, gradcheck, layers
from nblayers.devices import to_numpy
from nblayers.layers import Dense, Discretization, Flatten, Input, Normalization
from nblayers.models import Model, clone_model, load_model

SHAPES = [((7, 3), -1), ((7, 3), None), ((5, 4, 3), (1, 2)), ((5, 4, 3), (-1, 1)), ((5, 4, 3), 1), ((5, 4, 3), (0, 2)),
          ((6,), None), ((5, 4, 3), None), ((2, 3, 1, 2), (1, 3))]
BOUNDARIES = [-1.0, 0.0, 0.5, 2.0]
MODES = ["int", "one_hot", "multi_hot", "count"]


def numbers(rng, shape, dtype="float32"):
    return (rng.normal(size=shape) * 5 + 3).astype(dtype)


def adapted(axis, x, **options):
    layer = Normalization(axis, **options)
    layer.adapt(x)
    return layer


# Normalization

@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("shape, axis", SHAPES, ids=str)
def test_normalization_is_keras(shape, axis, invert, rng):
    x = numbers(rng, shape)
    ours, theirs = adapted(axis, x, invert=invert), keras.layers.Normalization(axis, invert=invert)
    theirs.adapt(x)
    for a, b in ((ours.mean, theirs.mean), (ours.variance, theirs.variance)):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    agrees_with_keras(ours, theirs, x)                      # with our statistics, and the gradients
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("axis, mean, variance", [
    (-1, 3.0, 2.0), (None, 3.0, 2.0), (-1, [1.0, 2, 3], [1.0, 4, 0]), (-1, [1.0], [4.0]), ((1, 2), [1.0, 2, 3], [1.0, 4, 9]),
    ((1, 2), np.arange(12.0).reshape(4, 3), np.ones((4, 3))),
    ((2, 1), [[1.0], [2], [3], [4]], [[1.0], [4], [9], [16]])], ids=str)
@pytest.mark.parametrize("invert", [False, True])
def test_given_statistics_are_keras(axis, mean, variance, invert, rng):
    x = numbers(rng, (5, 4, 3))
    ours, theirs = (made(axis=axis, mean=mean, variance=variance, invert=invert)
                    for made in (Normalization, keras.layers.Normalization))
    y = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), y, rtol=1e-5, atol=1e-5)
    assert ours.weights == [] and ours.mean.shape == theirs.mean.shape
    dy = rng.normal(size=x.shape).astype("f")
    scale = np.maximum(np.sqrt(np.broadcast_to(theirs.variance, x.shape)), 1e-7)
    ours(x)
    np.testing.assert_allclose(ours.backward(dy), dy * scale if invert else dy / scale, rtol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("shape, axis", SHAPES, ids=str)
def test_gradients_of_normalization(shape, axis, invert, rng):
    x = numbers(rng, shape, "float64")
    assert gradcheck(adapted(axis, x, invert=invert, dtype="float64"), x)


def test_normalization_by_hand(device):
    """The values in Keras' docstring, and the way back."""
    layer = Normalization()
    layer.adapt(np.array([[0, 7, 4], [2, 9, 6], [0, 7, 4], [2, 9, 6]], "f"))
    layer.to(device)
    x = np.array([[0, 7, 4]], "f")
    np.testing.assert_allclose(to_numpy(layer(x)), [[-1, -1, -1]])
    assert [w.name for w in layer.weights] == ["mean", "variance", "count"] and layer.trainable_weights == []
    assert [w.path for w in layer.weights] == [f"{layer.name}/{name}" for name in ("mean", "variance", "count")]
    assert layer.get_weights()[2] == 4
    back = Normalization(mean=[1.0, 8, 5], variance=[1.0, 1, 1], invert=True).to(device)
    np.testing.assert_allclose(to_numpy(back(layer(x))), x)
    np.testing.assert_allclose(to_numpy(back.backward(np.ones_like(x))), 1)


@pytest.mark.parametrize("axis", [-1, None, (1, 2), 1])
def test_rooms_agree_on_normalization(axis, device, rng):
    x = numbers(rng, (3, 2, 4))
    layer, expected = adapted(axis, x).to(device), adapted(axis, x).to("reference")
    np.testing.assert_allclose(to_numpy(layer(x)), expected(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_numpy(layer.backward(x)), expected.backward(x), rtol=1e-5)


class Batches:
    """As Keras' Sequence: numbered, with nothing to say where they end."""

    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        return self.parts[index % len(self.parts)], None


@pytest.mark.parametrize("kind", ["list", "generator", "pairs", "list of pairs", "Sequence", "torch", "DataLoader", "tensor",
                                  "nested lists", "table", "memory-mapped", "integers"])
@pytest.mark.parametrize("make", [Normalization, lambda **options: Discretization(num_bins=4, **options)])
def test_data_of_every_form(make, kind, rng, tmp_path):
    x = numbers(rng, (50, 3)).round()
    parts = np.array_split(x, 4)
    batched = kind in ("list", "generator", "pairs", "list of pairs", "Sequence", "torch", "DataLoader")
    expected, layer = make(), make()
    expected.adapt(np.split(x, [25]) if kind == "DataLoader" else parts if batched else x)
    if kind == "memory-mapped":
        np.save(tmp_path / "x.npy", x)
    layer.adapt({
        "list": lambda: parts, "generator": lambda: iter(parts), "pairs": lambda: ((part, part[:, 0]) for part in parts),
        "list of pairs": lambda: [(part, part[:, 0], None) for part in parts], "Sequence": lambda: Batches(parts),
        "torch": lambda: [torch.tensor(part) for part in parts], "tensor": lambda: torch.tensor(x), "nested lists": x.tolist,
        "DataLoader": lambda: torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(x)), batch_size=25),
        "table": lambda: pd.DataFrame(x), "memory-mapped": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "integers": lambda: x.astype(int)}[kind]())
    if isinstance(layer, Discretization):
        assert layer.bin_boundaries == expected.bin_boundaries
    else:
        np.testing.assert_allclose(layer.mean, x.mean(axis=0, keepdims=True), rtol=1e-6)
        np.testing.assert_allclose(layer.variance, x.var(axis=0, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("batches", [1, 7, 1000])
def test_the_merge_keeps_its_digits(batches, rng):
    """A deviation of 1 about a million, where the difference of two means would lose it all; parts of unequal length."""
    x = rng.normal(size=(1000, 2)) + 1e6
    layer = Normalization(dtype="float64")
    cuts = np.sort(rng.integers(0, 1000, batches - 1))
    layer.adapt(np.split(x, cuts))                          # some of no samples
    np.testing.assert_allclose(layer.mean[0], x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(layer.variance[0], x.var(axis=0), rtol=1e-10)
    assert layer.count.value == 1000


def test_lists_of_numpys_own_numbers():
    numbers = np.array([1.0, 2, 6])
    for data in (list(numbers), iter([list(numbers)]), [[*numbers]]):
        layer = Normalization(axis=None)
        layer.adapt(data)
        assert layer.mean == 3 and layer.count.value == 3
        bins = Discretization(num_bins=3, epsilon=0.1)
        bins.adapt(iter([list(numbers)]))
        assert bins.summary.size == 6


def test_boundaries_are_the_layers_own():
    boundaries = [0.0, 1.0]
    layer = Discretization(boundaries)
    boundaries.append(-5.0)
    assert layer(3.0) == 2 and layer.get_config()["bin_boundaries"] == [0.0, 1.0]
    assert Discretization([np.float32(0), 2]).bin_boundaries == [0.0, 2.0]


def test_an_array_is_read_in_parts(monkeypatch, rng):
    from nblayers.layers.preprocessing import batches
    taken = []

    class Stored:
        """An array on a disk, as h5py's."""
        shape, dtype = (100, 3), np.dtype("f")
        data = numbers(rng, (100, 3))

        def __getitem__(self, rows):
            taken.append(rows)
            return self.data[rows]

    monkeypatch.setattr(batches.batches_of, "__defaults__", (30, False))
    layer = Normalization()
    layer.adapt(Stored())
    assert len(taken) == 10 and taken[-1] == slice(90, 100)
    np.testing.assert_allclose(layer.variance[0], Stored.data.var(axis=0), rtol=1e-5)


def test_adapt_again_forgets():
    layer = Normalization(axis=None)
    layer.adapt(np.array([1.0, 2, 3]))
    layer.adapt(np.array([10.0, 20]))
    assert layer.mean == 15 and layer.variance == 25 and layer.count.value == 2


def test_constant_features_and_large_numbers():
    x = np.full((4, 1), 3.0, "f")
    layer, theirs = adapted(-1, x), keras.layers.Normalization()
    theirs.adapt(x)
    np.testing.assert_allclose(layer(x + 1), theirs(x + 1))             # divided by epsilon
    np.testing.assert_allclose(adapted(-1, [[1e18], [-1e18]])([[1e18]]), 1)
    with pytest.raises(ValueError, match=r"^Normalization '.*': adapt expected numbers whose variance fits in float32"):
        Normalization().adapt(np.array([[1e25], [-1e25]]))


def test_integers_non_contiguous_and_single_samples(rng):
    x = rng.integers(0, 255, (4, 6)).astype("uint8")
    layer = adapted(-1, x[:, ::2])
    y = layer(x[:, ::2])
    np.testing.assert_allclose(y, layer(x[:, ::2].astype("f").copy()))
    np.testing.assert_allclose(layer(x[:1, ::2]), y[:1])
    np.testing.assert_allclose(layer(x[:, ::2].tolist()), y)
    assert y.dtype == np.float32 and np.isnan(layer([[np.nan, 0, 0]])).tolist() == [[True, False, False]]


def test_statistics_are_checked_before_the_first_call():
    layer = Normalization()
    y = layer(Input((3,)))                                  # a node of a model, which is adapted later
    assert y.shape == (None, 3)
    with pytest.raises(ValueError, match=r"^Normalization '.*': expected a mean and a variance before the first call: adapt"):
        layer(np.ones((2, 3)))
    layer.adapt(np.array([[0.0, 0, 0], [2, 2, 2]]))
    np.testing.assert_allclose(layer(np.ones((1, 3))), 0)


def test_one_axis_has_no_features():
    with pytest.warns(UserWarning, match=r"^Normalization '.*': adapt was given one axis, .* axis=None"):
        Normalization().adapt(np.array([1.0, 2, 3]))
    layer = Normalization()
    layer.adapt(iter(np.array([[1.0, 10], [3.0, 30]])))     # samples one by one
    np.testing.assert_allclose(layer.mean, [2, 20])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Normalization(mean=1.0), "expected both mean and variance, got mean=1.0 and variance=None"),
    (lambda: Normalization(variance=1.0), "expected both mean and variance, got mean=None"),
    (lambda: Normalization(mean=1.0, variance=[1.0]), "expected mean and variance of one shape, got () and (1,)"),
    (lambda: Normalization(mean=[[1.0]], variance=[[1.0]]), "expected a mean of at most 1 axes"),
    (lambda: Normalization(mean=[1.0], variance=[-1.0]), "variances of at least 0"),
    (lambda: Normalization(mean=[np.nan], variance=[1.0]), "expected finite means"),
    (lambda: Normalization(mean=[1.0, 2], variance=[1.0, 2]).build((None, 3)), "a mean that spreads over shape (3,)"),
    (lambda: Normalization(axis="a"), "expected axis to be an integer, got 'a'"),
    (lambda: Normalization(axis=3).build((None, 3)), "expected axis to name axes of the input, got (3,) for shape (None, 3)"),
    (lambda: Normalization(axis=(1, -1)).build((None, 3)), "expected every axis once"),
    (lambda: Normalization().build((None, None)), "expected an input whose size on axis 1 is known and above 0"),
    (lambda: Normalization(invert="a"), "expected invert to be True or False"),
    (lambda: Normalization(mean=1.0, variance=1.0).adapt([[1.0]]), "adapt expected a layer without mean and variance"),
    (lambda: Normalization().adapt([]), "adapt expected at least one sample, got none"),
    (lambda: Normalization().adapt(iter([])), "adapt expected at least one sample, got none"),
    (lambda: Normalization().adapt(np.zeros((0, 3))), "adapt expected at least one sample, got none"),
    (lambda: Normalization().adapt(np.array(3.0)), "expected axis to name axes of the input, got (-1,) for shape ()"),
    (lambda: Normalization().adapt([[1, np.nan]]), "adapt expected finite numbers, got nan at index (0, 1): fill in"),
    (lambda: Normalization().adapt([[1, np.inf]]), "adapt expected finite numbers, got inf at index (0, 1)"),
    (lambda: Normalization().adapt([np.ones((2, 3)), np.ones((2, 4))]), "expected size 3 on axis 1 of the input, got 4"),
    (lambda: Normalization().adapt([np.ones((2, 3)), np.ones(3)]), "expected"),
    (lambda: Normalization().adapt(iter([(np.ones((2, 3)),) * 4])), "(x, y) or (x, y, sample_weight), got one of 4"),
    (lambda: adapted(-1, np.ones((2, 3)))(np.ones((2, 4))), "expected size 3 on axis 1 of the input, got 4"),
])
def test_errors_of_normalization(make, message):
    with pytest.raises(ValueError, match=r"^Normalization '.*': .*" + re.escape(message)):
        make()


@pytest.mark.parametrize("data", [{"a": 1}, "text", None, [["a"]], object(), 3.0, 7j])
@pytest.mark.parametrize("make", [Normalization, lambda: Discretization(num_bins=3)])
def test_data_that_are_no_numbers(make, data):
    with pytest.raises((TypeError, ValueError), match=r"^(Normalization|Discretization) '.*': "):
        make().adapt(data)


# Discretization

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("N, K", [(1, 1), (7, 0), (20, 4), (33, 17)])
def test_rooms_agree_on_bins(N, K, dtype, rng):
    boundaries = np.sort(rng.integers(-5, 5, K)).astype(dtype)          # some of them equal
    x = rng.integers(-6, 6, N).astype(dtype)
    bins, = rooms_agree("encoding", "bins", [x, boundaries], [np.full(N, -7, np.int32)])
    np.testing.assert_array_equal(bins, np.digitize(x, boundaries))
    strange = np.array([np.nan, np.inf, -np.inf], dtype)
    bins, = rooms_agree("encoding", "bins", [strange, boundaries], [np.full(3, -7, np.int32)])
    assert bins.tolist() == [-1, K, 0]


def test_many_bins_are_shared_between_threads(rng):
    x = rng.normal(size=100_000).astype("f")
    rooms_agree("encoding", "bins", [x, np.linspace(-2, 2, 9).astype("f")], [np.full(x.size, -7, np.int32)],
                rooms=("reference", "cpu"))


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1), (4, 3), (2, 3, 2), (2, 3, 1)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_discretization_is_keras(mode, shape, rng):
    x = np.asarray(rng.integers(-4, 6, shape) / 2, "f")                 # some of them boundaries
    ours, theirs = (made(BOUNDARIES, output_mode=mode) for made in (Discretization, keras.layers.Discretization))
    y, expected = ours(x), np.asarray(theirs(x))
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype and y.shape == expected.shape == ours.compute_output_shape(shape)
    assert ours.backward(np.ones(y.shape)) is None


def test_discretization_by_hand(device):
    x = [[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]]
    y = Discretization([0.0, 1.0, 2.0]).to(device)(x)
    assert y.dtype == np.int32 and to_numpy(y).tolist() == [[0, 2, 3, 1], [1, 3, 2, 1]]
    assert to_numpy(Discretization([]).to(device)(x)).tolist() == [[0] * 4] * 2
    assert to_numpy(Discretization([0, 1]).to(device)([-1, 0, 5, np.inf, -np.inf])).tolist() == [0, 1, 2, 2, 0]


@pytest.mark.parametrize("epsilon", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("count, parts", [(3, 1), (10, 1), (1000, 1), (50, 3), (2000, 7)])
def test_boundaries_are_keras(count, parts, epsilon, rng):
    x = rng.normal(size=count).astype("f")
    for bins in (1, 4, 10, 33):
        ours, theirs = (made(num_bins=bins, epsilon=epsilon, name="mine")
                        for made in (Discretization, keras.layers.Discretization))
        for layer in (ours, theirs):
            layer.adapt(np.array_split(x, parts) if parts > 1 else x)
        assert ours.bin_boundaries == theirs.bin_boundaries
        assert ours.get_config() == theirs.get_config()
        np.testing.assert_array_equal(ours(x), theirs(x))


def test_boundaries_of_steps_and_of_few_numbers(rng):
    parts = np.split(rng.normal(size=60).astype("f"), 3)
    ours, theirs = Discretization(num_bins=4), keras.layers.Discretization(num_bins=4)
    for layer in (ours, theirs):
        layer.adapt(iter(parts), steps=2)
    assert ours.bin_boundaries == theirs.bin_boundaries
    x = np.array([[3.0, 3], [3, 1]])
    for layer in (ours, theirs):
        layer.adapt(x)
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_the_memory_of_a_stream_does_not_grow(rng):
    layer = Discretization(num_bins=10)
    for _ in range(30):
        layer.update_state(rng.normal(size=(100, 10)))
    assert layer.summary.shape[1] <= 101
    layer.finalize_state()
    np.testing.assert_allclose(layer.bin_boundaries[4], 0, atol=0.1)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Discretization(), "expected either bin_boundaries or num_bins, got neither"),
    (lambda: Discretization([1.0], 3), "expected either bin_boundaries or num_bins, got both"),
    (lambda: Discretization(num_bins=0), "expected a positive integer as num_bins, got 0"),
    (lambda: Discretization([2.0, 1.0]), "expected bin_boundaries as numbers in increasing order"),
    (lambda: Discretization([1.0, np.nan]), "expected bin_boundaries as numbers in increasing order"),
    (lambda: Discretization(5), "expected bin_boundaries as numbers in increasing order, got 5"),
    (lambda: Discretization([[1.0]]), "expected bin_boundaries as numbers in increasing order"),
    (lambda: Discretization(num_bins=3, epsilon=0), "expected epsilon in (0, 1], got 0"),
    (lambda: Discretization([1.0], output_mode="tf_idf"), "expected output_mode to be 'int'"),
    (lambda: Discretization([1.0], output_mode="one_hot", sparse=True), "expected sparse=False"),
    (lambda: Discretization(num_bins=3)([1.0]), "expected boundaries before the first call: adapt"),
    (lambda: Discretization([1.0]).adapt([1.0]), "adapt expected a layer with num_bins, got one with bin_boundaries"),
    (lambda: Discretization(num_bins=3).adapt([[1.0, np.nan]]), "adapt expected numbers, got nan at index (0, 1)"),
    (lambda: Discretization(num_bins=3).adapt([]), "adapt expected at least one number, got none"),
    (lambda: Discretization(num_bins=3).adapt([1.0], steps=0), "expected a positive integer as steps, got 0"),
    (lambda: Discretization([1.0])([[1.0, np.nan]]), "expected numbers, got nan at index (0, 1)"),
])
def test_errors_of_discretization(make, message):
    with pytest.raises(ValueError, match=r"^Discretization '.*': .*" + re.escape(message)):
        make()


# configurations, files, models, programs

@pytest.mark.parametrize(("name", "options"), [
    ("Normalization", {}), ("Normalization", {"axis": None, "invert": True}), ("Normalization", {"axis": (1, 2)}),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [2.0, 3.0]}), ("Normalization", {"mean": 1.0, "variance": 2.0}),
    ("Discretization", {"num_bins": 3}), ("Discretization", {"bin_boundaries": [1.0, 2.0], "output_mode": "count"}),
    ("Discretization", {"num_bins": 3, "epsilon": 0.1, "dtype": "float64"})], ids=str)
def test_configurations_are_keras(name, options):
    ours, theirs = (getattr(module, name)(**options, name="mine") for module in (layers, keras.layers))
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == ours.get_config()


def test_files_keep_what_was_adapted(tmp_path, rng):
    x = numbers(rng, (40, 3))
    normalization, bins = Normalization(), Discretization(num_bins=4, output_mode="one_hot")
    normalization.adapt(x)
    bins.adapt(normalization(x))
    model = Sequential([Input((3,)), normalization, bins, Flatten(), Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, x[:, 0], verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    np.testing.assert_allclose(loaded.layers[0].variance, x.var(axis=0, keepdims=True), rtol=1e-5)
    model.save_weights(tmp_path / "model.weights.npz")
    fresh = clone_model(model)
    with pytest.raises(ValueError, match="adapt the layer to data"):
        fresh.predict(x, verbose=0)
    fresh.load_weights(tmp_path / "model.weights.npz")
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)


def test_a_functional_model_trains_behind_normalization(rng):
    x = numbers(rng, (60, 2)) * [1, 1000]
    normalization = Normalization()
    inputs = Input((2,))
    model = Model(inputs, Dense(1)(normalization(inputs)))
    normalization.adapt(x)
    model.compile("sgd", "mse")
    losses = model.fit(x, x[:, 0], epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    np.testing.assert_allclose(normalization.mean[0], x.mean(axis=0), rtol=1e-5)        # fit leaves the statistics alone
    y = model(x)
    dx = model.backward(np.ones_like(y))                    # an input can be optimised
    kernel = model.layers[-1].kernel.value
    np.testing.assert_allclose(dx[0], kernel[:, 0] / x.std(axis=0), rtol=1e-4)


def test_the_statistics_of_another_data_type(rng):
    x = numbers(rng, (10, 3), "float64")
    layer = adapted(-1, x, dtype="float64")
    assert layer(x).dtype == np.float64 and layer.astype("float32")(x).dtype == np.float32
    assert layer.count.dtype == "int64"
