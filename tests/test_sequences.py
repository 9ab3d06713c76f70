"""Sequences of unequal lengths and long ones: packing against PyTorch, windows against Keras, clipping, BPTT step by step."""
import copy
import math
import os
import pickle

import keras
import numpy as np
import pytest
import torch
from helpers import assert_same, numeric_gradient
from torch.nn.utils import rnn as torch_rnn

import nblayers
from nblayers import nn, optimizers, utils
from nblayers.layers import GRU, LSTM, RNN, Bidirectional, Dense, Layer, LSTMCell, SimpleRNN, SimpleRNNCell
from nblayers.models import Sequential
from nblayers.nn.utils import rnn
from nblayers.parameter import Parameter
from nblayers.utils import bptt, timeseries_dataset_from_array

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

LENGTHS = [[4, 3, 3, 1], [2, 4, 1, 4, 3], [1], [3, 3], [5, 1, 1]]


def batch(rng, lengths, features=(2,), batch_first=True, longer=0):
    T = max(lengths) + longer
    shape = (len(lengths), T) if batch_first else (T, len(lengths))
    return rng.normal(size=(*shape, *features))


def assert_packed(ours, theirs):
    assert type(ours) is rnn.PackedSequence
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b.detach().numpy())
            assert a.dtype == b.detach().numpy().dtype


# packing

@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("features", [(), (2,), (3, 2)], ids=str)
@pytest.mark.parametrize("total_length", [None, 7])
def test_packing_and_its_gradients(lengths, batch_first, features, total_length, rng):
    x = batch(rng, lengths, features, batch_first)
    enforce = lengths == sorted(lengths, reverse=True)
    x_torch = torch.tensor(x, requires_grad=True)
    packed = rnn.pack_padded_sequence(x, lengths, batch_first, enforce)
    expected = torch_rnn.pack_padded_sequence(x_torch, lengths, batch_first, enforce)
    assert_packed(packed, expected)
    assert packed.lengths.tolist() == lengths

    padded, found = rnn.pad_packed_sequence(packed, batch_first, -1.5, total_length)
    expected_padded, expected_lengths = torch_rnn.pad_packed_sequence(expected, batch_first, -1.5, total_length)
    np.testing.assert_array_equal(padded, expected_padded.detach())
    np.testing.assert_array_equal(found, expected_lengths)
    assert found.dtype == np.int64

    dpadded = rng.normal(size=padded.shape)
    ddata, = torch.autograd.grad(expected_padded, expected.data, torch.tensor(dpadded), retain_graph=True)
    dpacked = rnn.pad_packed_sequence_backward(dpadded, packed, batch_first)
    np.testing.assert_array_equal(dpacked.data, ddata)
    assert_packed(dpacked, expected._replace(data=ddata))

    dx = rnn.pack_padded_sequence_backward(dpacked, batch_first, max(lengths))
    np.testing.assert_array_equal(dx, torch.autograd.grad(expected.data, x_torch, ddata)[0])


def test_the_gradient_of_padding_is_zero(rng):
    x = batch(rng, [2, 3], longer=2)
    packed = rnn.pack_padded_sequence(x, [2, 3], True, False)
    dx = rnn.pack_padded_sequence_backward(packed._replace(data=np.ones_like(packed.data)), True, total_length=5)
    np.testing.assert_array_equal(dx[..., 0], [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_each_is_the_adjoint_of_the_other(lengths, rng):
    """<pack(x), p> = <x, backward(p)> for all x and p: what a gradient of a linear map is."""
    x = batch(rng, lengths)
    packed = rnn.pack_padded_sequence(x, lengths, True, False)
    p = packed._replace(data=rng.normal(size=packed.data.shape))
    assert np.vdot(packed.data, p.data) == pytest.approx(np.vdot(x, rnn.pack_padded_sequence_backward(p, True)))
    padded = rnn.pad_packed_sequence(p, True)[0]
    assert np.vdot(padded, x) == pytest.approx(np.vdot(p.data, rnn.pad_packed_sequence_backward(x, p, True).data))


def test_gradients_keep_an_order_that_is_not_ours(rng):
    """Among equal lengths any order is right; the gradient follows that of the sequence."""
    packed = rnn.PackedSequence(np.arange(4.0), np.array([3, 1]), np.array([2, 1, 0]))
    np.testing.assert_array_equal(packed.unsorted_indices, [2, 1, 0])
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True)
    assert padded.tolist() == [[2, 0], [1, 0], [0, 3]] and lengths.tolist() == [1, 1, 2]
    assert rnn.pad_packed_sequence_backward(padded, packed, True).data.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool"])
def test_dtypes_stay(dtype):
    packed = rnn.pack_sequence([np.ones((3, 2), dtype), np.ones((1, 2), dtype)])
    assert packed.data.dtype == rnn.pad_packed_sequence(packed)[0].dtype == dtype


def test_inputs_need_not_be_contiguous_and_stay_as_they_are(rng):
    x = rng.normal(size=(6, 4, 3))
    before = x.copy()
    ours = rnn.pack_padded_sequence(x[::2, :, ::2], np.array([3, 1, 2], "int32"), True, False)
    expected = torch_rnn.pack_padded_sequence(torch.tensor(x[::2, :, ::2]), [3, 1, 2], True, False)
    assert_packed(ours, expected)
    ours.data[...] = 0
    np.testing.assert_array_equal(x, before)


def test_a_packed_sequence_is_a_tuple_of_arrays():
    packed = rnn.pack_sequence([np.array([1, 2]), np.array([3, 4, 5])], enforce_sorted=False)
    data, batch_sizes, sorted_indices, unsorted_indices = packed
    assert data.tolist() == [3, 1, 4, 2, 5] and batch_sizes.tolist() == [2, 2, 1]
    assert sorted_indices.tolist() == unsorted_indices.tolist() == [1, 0]
    assert_same(list(rnn.PackedSequence((data, batch_sizes), sorted_indices=sorted_indices)), list(packed))
    for copied in (pickle.loads(pickle.dumps(packed)), copy.deepcopy(packed)):
        assert type(copied) is rnn.PackedSequence
        assert_same(list(copied), list(packed))
    assert rnn.invert_permutation(None) is None
    assert rnn.invert_permutation(np.array([2, 0, 1])).tolist() == [1, 2, 0]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_lists_of_sequences(batch_first, side, rng):
    sequences = [rng.normal(size=(n, 2)) for n in (2, 4, 1)]
    tensors = [torch.tensor(s) for s in sequences]
    padded = rnn.pad_sequence(sequences, batch_first, 9.0, side)
    np.testing.assert_array_equal(padded, torch_rnn.pad_sequence(tensors, batch_first, 9.0, side))
    if side == "right":
        assert_same(rnn.unpad_sequence(padded, [2, 4, 1], batch_first), sequences)
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert_packed(packed, torch_rnn.pack_sequence(tensors, enforce_sorted=False))
    assert_same(rnn.unpack_sequence(packed), sequences)


@pytest.mark.parametrize("call, message", [
    (lambda x: rnn.pack_padded_sequence(x, [2, 3], True), r"lengths in decreasing order, got \[2, 3\]; enforce_sorted=False"),
    (lambda x: rnn.pack_padded_sequence(x, [3, 0], True), r"pack_padded_sequence: expected 2 lengths from 1 to 3, got"),
    (lambda x: rnn.pack_padded_sequence(x, [4, 1], True), r"expected 2 lengths from 1 to 3, got \[4, 1\]"),
    (lambda x: rnn.pack_padded_sequence(x, [3], True), r"expected 2 lengths from 1 to 3, got \[3\]"),
    (lambda x: rnn.pack_padded_sequence(x, [3, 1.5], True), "expected 2 lengths from 1 to 3"),
    (lambda x: rnn.pack_padded_sequence(x, [3, 3]), "expected 3 lengths from 1 to 2"),
    (lambda x: rnn.pack_padded_sequence(x[0, :, 0], [3]), r"expected an input of at least two axes, got one of shape \(3,\)"),
    (lambda x: rnn.pad_packed_sequence(rnn.pack_sequence(list(x)), total_length=2), "total_length of at least the longest"),
    (lambda x: rnn.pad_packed_sequence_backward(x[:, :2], rnn.pack_sequence(list(x)), True),
     r"expected dpadded of 2 sequences of at least 3 steps of shape \(4,\), got shape \(2, 2, 4\) with batch_first=True"),
    (lambda x: rnn.pad_sequence([x[0], x[1, :, :2]]), "expected sequences of elements of one shape"),
    (lambda x: rnn.pad_sequence([1, 2]), "expected sequences of elements of one shape"),
    (lambda x: rnn.pad_sequence([]), "pad_sequence: expected at least one sequence"),
    (lambda x: rnn.pad_sequence(list(x), padding_side="both"), "expected padding_side 'left' or 'right', got 'both'"),
    (lambda x: rnn.unpad_sequence(x, [3, 4], True), "unpad_sequence: expected 2 lengths from 0 to 3"),
])
def test_what_cannot_be_packed(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((2, 3, 4)))


# packed batches in layers, and batches that are none

PACKED_LAYERS = {
    "SimpleRNN": lambda **options: SimpleRNN(3, **options), "LSTM": lambda **options: LSTM(3, **options),
    "GRU": lambda **options: GRU(3, **options), "Bidirectional": lambda go_backwards, **options: Bidirectional(
        LSTM(3, go_backwards=go_backwards, **options),
        backward_layer=GRU(2, go_backwards=not go_backwards, **options), dtype="float64"),
}


@pytest.mark.parametrize("lengths", [[1, 1, 1], [1], [4], [4, 1, 1], [1, 3, 2, 3]], ids=str)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("name", PACKED_LAYERS)
def test_packed_with_dropout_is_padded_with_a_mask(name, go_backwards, return_sequences, lengths, rng):
    x, mask = batch(rng, lengths, (8,)), np.arange(max(lengths)) < np.array(lengths)[:, None]
    turns = go_backwards and return_sequences                       # outputs of arrays stand as walked, packed ones do not
    make = lambda: PACKED_LAYERS[name](go_backwards=go_backwards, return_sequences=return_sequences, dropout=0.4, seed=5,  # noqa: E731
                                       dtype="float64")
    pack = lambda a: rnn.pack_padded_sequence(a, lengths, True, enforce_sorted=False)                   # noqa: E731
    unpack = lambda a: rnn.pad_packed_sequence(a, batch_first=True)[0]                                  # noqa: E731
    with_array, with_packed = make(), make()
    with_array.build(x.shape)
    with_packed.build(x.shape)
    with_packed.set_weights(with_array.get_weights())
    y = with_array(x, mask=mask, training=True)
    dy = rng.normal(size=y.shape)
    if return_sequences:
        y, dy = (y[:, ::-1] if turns else y) * mask[..., None], dy * (mask[:, ::-1] if turns else mask)[..., None]
    expected = y, with_array.backward(dy), *(p.grad for p in with_array.weights)

    y = with_packed(pack(x), training=True)
    dy = pack(dy[:, ::-1] if turns else dy) if return_sequences else dy
    got = unpack(y) if return_sequences else y, unpack(with_packed.backward(dy)), *(p.grad for p in with_packed.weights)
    assert_same(got, expected, rtol=1e-10, atol=1e-12)


NO_BATCHES = [
    (lambda d: rnn.PackedSequence(d, np.array([2, 4])), r"expected batch_sizes that never grow, got \[2, 4\]"),
    (lambda d: rnn.PackedSequence(d, np.array([4, 3])), r"batch_sizes that add up to the 6 rows of data, got \[4, 3\]"),
    (lambda d: rnn.PackedSequence(d, np.array([10**9])), "batch_sizes that add up to the 6 rows"),
    (lambda d: rnn.PackedSequence(d, np.array([7, -1])), "batch_sizes of at least one step and one sequence each"),
    (lambda d: rnn.PackedSequence(d, np.array([6, 0])), "batch_sizes of at least one step and one sequence each"),
    (lambda d: rnn.PackedSequence(d, np.array([], int)), "batch_sizes of at least one step and one sequence each"),
    (lambda d: rnn.PackedSequence(d, np.array([4.0, 2.0])), "batch_sizes to be a sequence of integers, got float64"),
    (lambda d: rnn.PackedSequence(d, 6), r"batch_sizes to be a sequence of integers, got int64 of shape \(\)"),
    (lambda d: rnn.PackedSequence(d[:0], np.array([4, 2])), "add up to the 0 rows of data"),
    (lambda d: rnn.PackedSequence(d[0, 0], np.array([1])), "expected packed data to be an array"),
    (lambda d: rnn.PackedSequence(None, np.array([4, 2])), "expected packed data to be an array"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.array([0, 1, 2, 9])), "sorted_indices to be a permutation of 4"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.array([0, 1, 2, -1])), "sorted_indices to be a permutation of 4"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.array([0, 1, 2])), "sorted_indices to be a permutation of 4"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.array([0, 1, 1, 2])), "sorted_indices to be a permutation of 4"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.arange(4.0)), "sorted_indices to be a sequence of integers, got float64"),
    (lambda d: rnn.PackedSequence(d, [4, 2], np.array([1, 2, 0, 3]), np.arange(4)), "unsorted_indices its inverse"),
    (lambda d: rnn.PackedSequence(d, [4, 2], None, np.arange(4)), "or neither, got one of them alone"),
]


@pytest.mark.parametrize("make, message", NO_BATCHES)
def test_what_is_no_packed_batch(make, message):
    """Kernels find their rows by these numbers: each of them once read or wrote past the end of an array."""
    packed = make(np.ones((6, 2)))
    takers = [SimpleRNN(3, name="s"), LSTM(3, name="l"), GRU(3, name="g"), Bidirectional(GRU(3, name="g"), name="b"),
              nn.LSTM(2, 3, name="n"), nn.GRU(2, 3, bidirectional=True, name="n"), rnn.pad_packed_sequence, rnn.unpack_sequence,
              lambda packed: rnn.pad_packed_sequence_backward(np.ones((2, 4, 2)), packed)]
    for take in takers:
        with pytest.raises((TypeError, ValueError), match=f"(SimpleRNN|LSTM|GRU|pad_packed_sequence).*{message}"):
            take(packed)


def test_what_is_not_even_a_packed_sequence():
    with pytest.raises(TypeError, match="PackedSequence: expected data and batch_sizes, got ndarray alone"):
        rnn.PackedSequence(np.ones(3))
    with pytest.raises(TypeError, match="pad_packed_sequence: expected a PackedSequence, got ndarray"):
        rnn.pad_packed_sequence(np.ones((3, 2)))
    with pytest.raises(ValueError, match="pack_padded_sequence: expected at least one sequence"):
        rnn.pack_padded_sequence(np.ones((3, 0, 2)), [])


# windows over a series

def batches_by_definition(data, targets, sequence_length, sequence_stride=1, sampling_rate=1, batch_size=128, start_index=0,
                          end_index=None):
    """What Keras' documentation says: a list of batches of windows, or of (windows, targets)."""
    series = data[start_index:end_index]
    count = len(series) - (sequence_length - 1) * sampling_rate
    positions = range(0, count if targets is None else min(count, len(targets)), sequence_stride)
    found = [(series[p:p + sequence_length * sampling_rate:sampling_rate],
              None if targets is None else targets[start_index:end_index][p]) for p in positions]
    if batch_size is not None:
        found = [tuple(map(np.array, zip(*found[n:n + batch_size], strict=True))) for n in range(0, len(found), batch_size)]
    return [windows if targets is None else (windows, labels) for windows, labels in found]


def keras_batches(*args, **kwargs):
    """Keras' own, as arrays; it needs TensorFlow, which the tests do not install."""
    pytest.importorskip("tensorflow")
    return [tuple(part.numpy() for part in batch) if isinstance(batch, tuple) else batch.numpy()
            for batch in keras.utils.timeseries_dataset_from_array(*args, **kwargs)]


@pytest.mark.parametrize("options", [
    {}, {"sequence_stride": 3}, {"sampling_rate": 2}, {"sequence_stride": 2, "sampling_rate": 3, "batch_size": 2},
    {"batch_size": None}, {"start_index": 5}, {"end_index": 20}, {"start_index": 3, "end_index": 17, "sequence_stride": 2},
    {"batch_size": 1}, {"sequence_length": 1}, {"sequence_length": 24}], ids=str)
@pytest.mark.parametrize("with_targets", [False, True])
@pytest.mark.parametrize("oracle", [batches_by_definition, keras_batches])
def test_windows(oracle, options, with_targets, rng):
    data = rng.normal(size=(30, 2))
    targets = np.arange(30 if options.get("start_index") else 25) if with_targets else None
    options = {"sequence_length": 4, "batch_size": 5, **options}
    ours = timeseries_dataset_from_array(data, targets, **options)
    expected = oracle(data, targets, **options)
    assert len(ours) == len(expected)
    for _ in range(2):                                      # again and again
        for batch, other in zip(ours, expected, strict=True):
            if not with_targets:
                batch, other = (batch,), (other,)
            for a, b in zip(batch, other, strict=True):
                np.testing.assert_array_equal(a, b)
                assert np.asarray(a).dtype == np.asarray(b).dtype


def test_windows_of_scalars_and_targets_that_end_early():
    batches = list(timeseries_dataset_from_array(np.arange(10), np.arange(3, 10), 3, start_index=2))
    assert batches[0][0].tolist() == [[2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6, 7], [6, 7, 8]]
    assert batches[0][1].tolist() == [5, 6, 7, 8, 9]        # Keras would look for targets beyond the end


def test_shuffled_windows():
    def pass_over(dataset):
        return np.concatenate([x for x, _ in dataset])[:, 0].tolist()
    data = np.arange(50)
    first, second = (timeseries_dataset_from_array(data, data, 3, batch_size=7, shuffle=True, seed=4) for _ in range(2))
    passes = [pass_over(first), pass_over(first)]
    assert [pass_over(second), pass_over(second)] == passes
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1]) == list(range(48))
    assert all((x[:, 0] == y).all() for x, y in first)


def test_shuffled_windows_are_those_of_keras():
    data = np.arange(50)
    options = dict(batch_size=7, shuffle=True, seed=4)
    ours, theirs = timeseries_dataset_from_array(data, data, 3, **options), keras_batches(data, data, 3, **options)
    assert sorted(np.concatenate([x for x, _ in ours])[:, 0]) == sorted(np.concatenate([x for x, _ in theirs])[:, 0])


def test_windows_train_a_model(rng):
    series = np.sin(np.arange(130) / 3).astype("float32")[:, None]
    dataset = timeseries_dataset_from_array(series[:-6], series[6:, 0], 6, batch_size=16)
    (windows, _), = dataset.take(1)
    model = Sequential([LSTM(6, input_shape=windows.shape[1:]), Dense(1)])
    model.compile(nblayers.optimizers.Adam(0.02), "mse")
    history = model.fit(dataset, epochs=8, verbose=0, validation_data=dataset)
    assert history.history["loss"][-1] < 0.3 * history.history["loss"][0]
    assert model.evaluate(dataset, verbose=0) == pytest.approx(history.history["val_loss"][-1])
    alone = timeseries_dataset_from_array(series[:-6], None, 6, batch_size=16)
    assert model.predict(alone, verbose=0).shape == (119, 1)
    arrays = np.concatenate(list(alone))
    np.testing.assert_allclose(model.predict(arrays, verbose=0), model.predict(alone, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options, message", [
    ({"sequence_length": 0}, "expected sequence_length of at least 1, got 0"),
    ({"sequence_stride": 0}, "expected sequence_stride of at least 1 and at most 9, got 0"),
    ({"sequence_stride": 10}, "at most 9, got 10"), ({"sampling_rate": 10}, "sampling_rate of at least 1 and at most 9"),
    ({"start_index": -1}, "start_index of at least 0"), ({"start_index": 10}, "at most 9, got 10"),
    ({"start_index": 4, "end_index": 4}, "end_index of at least 5 and at most 10, got 4"), ({"end_index": 11}, "at most 10"),
    ({"batch_size": 0}, "batch_size of at least 1, got 0"), ({"format": "torch"}, "format to be 'tf' or 'grain', got 'torch'"),
    ({"sequence_length": 11}, "room for at least one window of 11 steps and its target, got 10 steps and 10 targets"),
    ({"start_index": 8}, "window of 3 steps and its target, got 2 steps")])
def test_no_windows(options, message):
    with pytest.raises(ValueError, match=message):
        timeseries_dataset_from_array(np.zeros(10), np.zeros(10), **{"sequence_length": 3, **options})


# gradient clipping

def parameters(rng, scale=1.0):
    found = []
    for shape in [(3, 4), (5,), (1, 2, 2)]:
        parameter = Parameter(np.zeros(shape, "float32"))
        parameter.grad = scale * rng.normal(size=shape)
        found.append(parameter)
    return found


def torch_parameters(ours):
    theirs = [torch.nn.Parameter(torch.zeros(p.shape)) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        q.grad = torch.tensor(p.grad.copy())
    return theirs


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 100.0, 0.0])
def test_clip_grad_norm(norm_type, scale, rng):
    ours = parameters(rng, scale)
    theirs = torch_parameters(ours)
    norm = nn.utils.clip_grad_norm_(ours, 1.0, norm_type=norm_type)
    assert isinstance(norm, float)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, 1.0, norm_type=norm_type)), rel=1e-5)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=1e-5)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_gradients_that_are_not_finite(value, rng):
    ours = parameters(rng)
    ours[1].grad[2] = value
    theirs, before = torch_parameters(ours), [p.grad.copy() for p in ours]
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        with pytest.raises(TypeError, match=f"{clip.__name__}: expected parameters to be weights of a layer, got 5"):
            clip(5, 1.0)
    with pytest.raises(RuntimeError, match="clip_grad_norm_: expected gradients of a finite norm"):
        nn.utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    assert_same([p.grad for p in ours], before)
    nn.utils.clip_grad_norm_(ours, 1.0)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)


def test_clip_grad_value(rng):
    ours = parameters(rng)
    theirs = torch_parameters(ours)
    nn.utils.clip_grad_value_(ours, clip_value=0.5)
    torch.nn.utils.clip_grad_value_(theirs, clip_value=0.5)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)


def test_clipping_one_parameter_none_and_integers(rng):
    parameter = parameters(rng)[0]
    norm = nn.utils.clip_grad_norm_(parameter, 0.1)
    assert norm == pytest.approx(np.linalg.norm(parameter.grad) * norm / 0.1, rel=1e-4)
    assert nn.utils.clip_grad_norm_([], 1.0) == 0.0
    count = Parameter(np.zeros(2, "int32"), trainable=False)
    assert nn.utils.clip_grad_norm_([count, parameter], 1.0) == pytest.approx(0.1, rel=1e-4)
    nn.utils.clip_grad_value_(iter([count, parameter]), 0.01)
    assert abs(parameter.grad).max() <= 0.01
    with pytest.raises(ValueError, match="expected a positive norm_type, got 0"):
        nn.utils.clip_grad_norm_([parameter], 1.0, norm_type=0)


def test_keras_clipping_is_found_where_one_looks_for_it(rng):
    assert utils.clip_by_value is optimizers.clip_by_value and utils.clip_by_norm is optimizers.clip_by_norm
    for clip, key in ((utils.clip_by_norm, "clipnorm"), (utils.clip_by_value, "clipvalue"),
                      (utils.clip_by_global_norm, "global_clipnorm")):
        ours = parameters(rng)
        theirs = keras.optimizers.SGD(1.0, **{key: 0.7})._clip_gradients([p.grad for p in ours])
        clip(ours, 0.7)
        assert_same([p.grad for p in ours], theirs, key, rtol=1e-5)


# backpropagation through time, step by step

CASES = [
    (lambda: SimpleRNN(3, dtype="float64"), lambda: Dense(2, "softmax", dtype="float64"), "categorical_crossentropy"),
    (lambda: SimpleRNN(3, "relu", dtype="float64"), lambda: Dense(2, dtype="float64"), "mse"),
    (lambda: LSTM(3, dtype="float64"), lambda: Dense(2, "sigmoid", dtype="float64"), "binary_crossentropy"),
    (lambda: GRU(3, dtype="float64"), lambda: Dense(2, dtype="float64"), "mse"),
    (lambda: LSTMCell(3, dtype="float64"), lambda: Dense(2, "tanh", dtype="float64"), "mae"),
    (lambda: RNN(SimpleRNNCell(3, dtype="float64"), dtype="float64"), lambda: Dense(2, dtype="float64"), "mse")]


@pytest.fixture(params=CASES, ids=["SimpleRNN", "relu", "LSTM", "GRU", "LSTMCell", "RNN"])
def case(request, rng):
    make_rnn, make_head, loss = request.param
    x = rng.normal(size=(2, 6, 4))
    targets = rng.random((2, 6, 2))
    return make_rnn(), make_head(), x, targets / targets.sum(axis=-1, keepdims=True), loss


def weights_of(*layers):
    return [p for layer in layers for p in layer.trainable_weights]


def zero(*layers):
    for layer in layers:
        layer.zero_grad()


def initial_states(layer, rng):
    sizes = layer.state_size if isinstance(layer.state_size, list) else [layer.state_size]
    return [rng.normal(size=(2, size)) for size in sizes]


def test_bptt_is_the_gradient(case, rng):
    layer, head, x, targets, loss = case
    states = initial_states(layer, rng)
    result = bptt(layer, head, x, targets, loss, initial_state=states)
    assert result.loss == pytest.approx(sum(result.losses)) and len(result.losses) == 6
    assert result.y.shape == (2, 6, 2) and result.h.shape == result.dh.shape == (2, 6, 3)
    analytic = [p.grad.copy() for p in weights_of(layer, head)]

    def value():
        return bptt(layer, head, x, targets, loss, initial_state=states).loss

    arrays = [x, *states, *(p.value for p in weights_of(layer, head))]
    for array, gradient in zip(arrays, [result.dx, *result.dstates, *analytic], strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(value, array), rtol=1e-5, atol=1e-8)


def test_dh_is_what_a_change_of_the_state_does(rng):
    """dL/dh_t of (4): nudge h_t on its way to the head and to the next step."""
    class Nudged(SimpleRNNCell):
        def forward(self, inputs, states, training=False):
            h, _ = super().forward(inputs, states, training)
            h = h + self.nudges[len(self.seen)]
            self.seen.append(h)
            return h, [h]

    cell, head = Nudged(3, dtype="float64"), Dense(2, dtype="float64")
    cell.nudges = np.zeros((5, 2, 3))
    x, targets = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 2))

    def value():
        cell.seen = []
        return bptt(cell, head, x, targets, "mse").loss

    cell.seen = []
    dh = bptt(cell, head, x, targets, "mse").dh
    np.testing.assert_allclose(dh, numeric_gradient(value, cell.nudges).swapaxes(0, 1), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", [SimpleRNN, LSTM, GRU])
def test_bptt_agrees_with_the_kernels(make, rng):
    layer, head = make(3, return_sequences=True, return_state=True, dtype="float64"), Dense(2, "tanh", dtype="float64")
    x, targets = rng.normal(size=(2, 6, 4)), rng.normal(size=(2, 6, 2))
    states = initial_states(layer.cell, rng)
    result = bptt(layer, head, x, targets, "mse", initial_state=states)
    stepwise = [p.grad.copy() for p in weights_of(layer, head)]
    zero(layer, head)
    h, *last = layer(x, initial_state=states)
    y = head(h)
    losses = nblayers.losses.get("mse")
    dy = np.stack([losses.gradient(targets[:, t], y[:, t]) for t in range(6)], axis=1)
    dx, *dstates = layer.backward([head.backward(dy), *[None] * len(last)])
    close = dict(rtol=1e-10, atol=1e-12)
    assert_same([result.h, result.y, result.dx, *result.states, *result.dstates], [h, y, dx, *last, *dstates], **close)
    assert_same(stepwise, [p.grad for p in weights_of(layer, head)], **close)


def test_a_stack_of_cells(rng):
    layer = RNN([SimpleRNNCell(3), LSTMCell(4)], return_sequences=True, dtype="float64").astype("float64")
    head, x, targets = Dense(2, dtype="float64"), rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 2))
    result = bptt(layer, head, x, targets, "mse")
    stepwise = [p.grad.copy() for p in weights_of(layer, head)]
    zero(layer, head)
    y = head(layer(x))
    dx = layer.backward(head.backward(5 * nblayers.losses.get("mse").gradient(targets, y)))
    assert result.dh.shape == (2, 5, 4)
    assert_same([*stepwise, result.dx], [*(p.grad for p in weights_of(layer, head)), dx], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("truncate", [1, 2, 4, 6, 9])
def test_truncated_bptt(case, truncate, rng):
    """The same as going over the parts one by one, each beginning with the last states of the part before."""
    layer, head, x, targets, loss = case
    states = initial_states(layer, rng)
    whole = bptt(layer, head, x, targets, loss, truncate, states)
    gradients = [p.grad.copy() for p in weights_of(layer, head)]
    zero(layer, head)
    parts, carried = [], states
    for start in range(0, 6, truncate):
        part = slice(start, start + truncate)
        parts.append(bptt(layer, head, x[:, part], targets[:, part], loss, initial_state=carried))
        carried = parts[-1].states
    close = dict(rtol=1e-10, atol=1e-12)
    assert_same(gradients, [p.grad for p in weights_of(layer, head)], **close)
    assert_same([whole.dh, whole.dx, *whole.states, *whole.dstates],
                [np.concatenate([p.dh for p in parts], axis=1), np.concatenate([p.dx for p in parts], axis=1),
                 *carried, *parts[0].dstates], **close)
    assert whole.loss == pytest.approx(sum(p.loss for p in parts))


def test_truncation_changes_only_what_came_through_the_cut(case):
    layer, head, x, targets, loss = case
    full, cut = (bptt(layer, head, x, targets, loss, truncate) for truncate in (None, 3))
    np.testing.assert_allclose(full.dh[:, 3:], cut.dh[:, 3:])
    assert not np.allclose(full.dh[:, 2], cut.dh[:, 2])
    np.testing.assert_array_equal(full.y, cut.y)


@pytest.mark.parametrize("truncate", [None, 4])
def test_training_with_bptt(truncate, rng):
    """The parity of the last two bits, at every step."""
    layer, head = SimpleRNN(8), Dense(1, "sigmoid")
    bits = rng.integers(0, 2, (32, 13, 1))
    x, targets = bits[:, 1:], bits[:, 1:] ^ bits[:, :-1]
    optimizer, losses = optimizers.Adam(0.03), []
    states = None
    for _ in range(120):
        result = bptt(layer, head, x, targets, "binary_crossentropy", truncate, states)
        optimizer.step(weights_of(layer, head))
        zero(layer, head)
        losses.append(result.loss / 12)
    assert losses[-1] < 0.15 < 0.6 < losses[0]


def test_one_step_of_one_sequence(rng):
    layer, head = SimpleRNN(2), Dense(1)
    result = bptt(layer, head, rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1, 1)), nblayers.losses.MeanSquaredError())
    assert result.dx.shape == (1, 1, 3) and result.y.dtype == result.dh.dtype == np.float32


def test_dropout_drops_in_training_alone(rng):
    layer, head = SimpleRNN(8, dropout=0.5, recurrent_dropout=0.5, seed=1), Dense(1)
    x, targets = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 1))
    plain, again, dropped = (bptt(layer, head, x, targets, "mse", training=training).loss for training in (False, False, True))
    assert plain == again != dropped


class Doubled(Layer):
    state_size = 2

    def forward(self, x, states):
        return 2 * states[0], [x]


@pytest.mark.parametrize("change, message", [
    ({"rnn": SimpleRNN(2, go_backwards=True)}, "bptt expected a layer that goes forwards, got go_backwards=True"),
    ({"rnn": Doubled(dtype="float64")}, "bptt expected a cell whose output is its first state"),
    ({"truncate": 0}, "bptt expected truncate of at least 1, got 0"),
    ({"loss": None}, "bptt expected a loss, and targets for 2 sequences of 3 steps, got None"),
    ({"targets": np.ones((2, 4, 1))}, r"targets for 2 sequences of 3 steps, got 'mse' and targets of shape \(2, 4, 1\)"),
    ({"initial_state": [np.ones((2, 3))]}, r"expected initial states of shapes \[\(2, 2\)\], got \[\(2, 3\)\]"),
    ({"x": np.ones((2, 3))}, "expected"), ({"x": np.ones((2, 0, 2))}, "expected at least one time step")])
def test_bptt_says_what_is_wrong(change, message):
    arguments = {"rnn": SimpleRNN(2), "head": Dense(1), "x": np.ones((2, 3, 2)), "targets": np.ones((2, 3, 1)), "loss": "mse"}
    with pytest.raises(ValueError, match=message):
        bptt(**{**arguments, **change})


def test_bptt_wants_a_cell():
    with pytest.raises(TypeError, match="expected a cell"):
        bptt(Dense(2), Dense(1), np.ones((2, 3, 2)), np.ones((2, 3, 1)), "mse")


# Keras' and PyTorch's places

def test_places():
    from nblayers.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
    from nblayers.preprocessing.sequence import pad_sequences
    assert pad_sequences is utils.pad_sequences is nblayers.preprocessing.sequence.pad_sequences
    assert pack_padded_sequence is utils.pack_padded_sequence and pad_packed_sequence is utils.pad_packed_sequence
    assert nblayers.preprocessing.timeseries_dataset_from_array is utils.timeseries_dataset_from_array
    assert nblayers.nn.utils.rnn.PackedSequence is utils.PackedSequence
    assert set(torch_rnn.__all__) <= set(rnn.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = utils.nothing
