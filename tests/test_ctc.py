"""CTC: all paths counted, PyTorch, Keras, numerical derivatives, the three rooms; its decoding; every error."""
import copy
import itertools
import pickle

import keras
import numpy as np
import pytest
import torch
from helpers import numeric_gradient, rooms_agree

import nblayers
from nblayers import layers, losses, models, nn
from nblayers.activations import log_softmax
from nblayers.losses import CTC
from nblayers.utils import ctc_decode

# repeated labels, no labels, too few steps for a label repeated, no steps, as many steps as labels
LABELS = np.array([[1, 1, 2], [0, 0, 0], [2, 2, 0], [1, 2, 0], [0, 0, 0], [2, 1, 2]])
STEPS, COUNTS = np.array([5, 3, 2, 0, 0, 3]), np.array([3, 0, 2, 2, 0, 3])
IMPOSSIBLE = [2, 3]


def read(path):
    """What a path of classes reads as."""
    return tuple(k for k, _ in itertools.groupby(path) if k)


def probabilities(log_p):
    """Of all readings, by counting the paths."""
    found = {}
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        found[read(path)] = found.get(read(path), 0) + np.exp(sum(log_p[t, k] for t, k in enumerate(path)))
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rooms_agree(dtype, rng):
    log_p = log_softmax(rng.normal(size=(6, 5, 3)).astype(dtype))
    lengths, shapes = (LABELS, STEPS, COUNTS, 0), [(6, 5, 7), (6, 5), (6,)]
    alpha, scale, loss = rooms_agree("ctc", "ctc_forward", (log_p, *lengths), shapes)
    for n in range(6):
        p = probabilities(log_p[n, :STEPS[n]]).get(tuple(LABELS[n, :COUNTS[n]]), 0)
        np.testing.assert_allclose(np.exp(-loss[n]), p, rtol=1e-5 if dtype == "float32" else 1e-12)
    dloss = rng.normal(size=6).astype(dtype)
    dx, = rooms_agree("ctc", "ctc_backward", (log_p, alpha, scale, loss, *lengths, dloss), [log_p.shape])
    assert not dx[IMPOSSIBLE].any() and not dx[1, 3:].any()


def test_impossible_classes_and_long_sequences(device, rng):
    """Probabilities of 0, and losses of which float32 would keep few digits."""
    x = rng.normal(size=(1, 300 if device != "cuda" else 12, 4)) * 3
    x[0, ::3, 2] = -np.inf
    labels = np.array([[1, 2, 3, 3]])
    with nblayers.device(device):
        exact, gradient = CTC().value_and_gradient(labels, x)
        value, dx = CTC().value_and_gradient(labels, x.astype("f4"))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    np.testing.assert_allclose(dx, gradient, atol=2e-5)
    t = torch.tensor(log_softmax(x), requires_grad=True)
    lengths = torch.tensor([x.shape[1]]), torch.tensor([4])
    torch.nn.functional.ctc_loss(t.transpose(0, 1), torch.tensor(labels), *lengths, reduction="sum").backward()
    np.testing.assert_allclose(gradient, np.where(np.isfinite(x), t.grad, 0), atol=1e-10)      # PyTorch's is NaN there


# losses.CTC

@pytest.mark.parametrize("reduction", ["mean_with_sample_weight", "none"])
def test_value_and_gradient_are_those_of_keras(reduction, rng):
    import jax
    labels, x = np.array([[1, 1, 2], [3, 0, 0], [0, 0, 0]]), rng.normal(size=(3, 6, 4)).astype("f4")
    weights = rng.uniform(size=3).astype("f4")
    twin = keras.losses.CTC(reduction=reduction)

    def total(x):
        value = twin(labels, x, weights)
        return value.sum(), value

    expected, value = jax.grad(total, has_aux=True)(x)
    ours, dx = CTC(reduction).value_and_gradient(labels, x, weights)
    np.testing.assert_allclose(ours, value, rtol=1e-5)
    np.testing.assert_allclose(dx, expected, atol=2e-6)
    np.testing.assert_allclose(losses.ctc(labels, x), keras.losses.ctc(labels, x), rtol=1e-5)


def test_gradient_is_the_derivative_of_the_value(rng):
    labels, x, weights = np.array([[1, 1], [2, 0]]), rng.normal(size=(2, 4, 3)), np.array([0.5, 2.0])
    mask = np.array([[1, 1, 1, 1], [0, 1, 0, 1]], bool)
    dx = CTC().gradient(labels, x, weights, mask)
    np.testing.assert_allclose(dx, numeric_gradient(lambda: CTC()(labels, x, weights, mask), x), rtol=1e-6, atol=1e-9)
    assert not dx[~mask].any()


def test_masked_steps_are_not_there(rng):
    x, mask = rng.normal(size=(2, 5, 3)), np.array([[0, 1, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    labels = np.array([[1, 2], [1, 0]])
    values = CTC("none")(labels, x, mask=mask)
    for n in range(2):
        np.testing.assert_allclose(values[n], CTC()(labels[n:n + 1], x[n:n + 1, mask[n]]), rtol=1e-12)
    np.testing.assert_allclose(CTC()(labels, x, mask=np.array([True, False])), CTC()(labels[:1], x[:1]))


def test_too_few_steps(rng):
    x, labels = rng.normal(size=(2, 2, 3)), np.array([[1, 1], [1, 2]])
    values, dx = CTC("none").value_and_gradient(labels, x)
    assert values[0] == np.inf and np.isfinite(values[1]) and not dx[0].any() and dx[1].any()
    assert CTC()(labels, x) == np.inf
    np.testing.assert_allclose(CTC("sum")(labels, x, np.array([0.0, 1.0])), values[1])


@pytest.mark.parametrize("given", [lambda x: np.asfortranarray(x), lambda x: x[::-1, :, ::-1][::-1, :, ::-1], list])
def test_arrays_that_lie_otherwise_and_one_step(given, rng):
    x, labels = rng.normal(size=(2, 1, 3)), np.array([[1], [0]])
    value, dx = CTC().value_and_gradient(labels.astype(float), given(x))
    np.testing.assert_allclose(value, -(log_softmax(x)[0, 0, 1] + log_softmax(x)[1, 0, 0]) / 2)
    assert dx.shape == x.shape
    one = CTC().value_and_gradient(labels[:1], x[:1])
    assert one[1].shape == (1, 1, 3) and np.isfinite(one[0])


def test_nan_stays_nan(rng):
    x = rng.normal(size=(2, 4, 3)).astype("f4")
    x[0, 1, 2] = np.nan
    values, dx = CTC("none").value_and_gradient(np.array([[1], [1]]), x)
    assert np.isnan(values[0]) and np.isfinite(values[1]) and np.isnan(dx[0]).any() and np.isfinite(dx[1]).all()


def test_trains_and_decodes(rng):
    """Each label is heard for some steps, noise between them: the network finds out which is which."""
    labels = rng.integers(1, 4, (32, 3))
    heard = np.repeat(labels, 3, axis=1) * np.array([1, 1, 0] * 3)
    x = np.eye(4)[heard][..., ::-1] + 0.1 * rng.normal(size=(32, 9, 4))
    model = models.Sequential([layers.Input((9, 4)), layers.Dense(4)])
    model.compile(nblayers.optimizers.Adam(0.1), loss="ctc")
    history = model.fit(x, labels, epochs=12, batch_size=8, verbose=0).history["loss"]
    found = ctc_decode(model.predict(x, verbose=0), np.full(32, 9))[0][0]
    assert history[-1] < 0.2 * history[0] and (found[:, :3] == labels).mean() > 0.8


def test_configurations_are_those_of_keras():
    loss = CTC("sum", name="mine")
    assert loss.get_config() == keras.losses.CTC("sum", name="mine").get_config()
    for again in (losses.deserialize(losses.serialize(loss)), losses.get(keras.losses.serialize(keras.losses.CTC("sum"))),
                  pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert isinstance(again, CTC) and again.reduction == "sum"
    assert losses.get("ctc").name == "ctc" and isinstance(losses.get("CTC"), CTC)


@pytest.mark.parametrize(("labels", "shape", "message"), [
    ([[1, 3]], (1, 4, 3), r"y_true: expected ids from 0 to 2, got 3 at index \(0, 1\)"),
    ([[1, -1]], (1, 4, 3), "expected ids from 0 to 2, got -1"), ([[1.5]], (1, 4, 3), "expected whole numbers"),
    ([[0, 1]], (1, 4, 3), "labels and then zeros, got a 0 before a label"), ([1], (1, 4, 3), "y_true with two axes"),
    ([[1], [1]], (1, 4, 3), "as many samples"), ([[1]], (1, 4), "y_pred of shape"), ([[1]], (1, 0, 3), "none of them 0")])
def test_errors(labels, shape, message):
    with pytest.raises(ValueError, match=f"^CTC 'ctc'.*{message}"):
        CTC()(labels, np.zeros(shape))


def test_masks_that_do_not_fit():
    with pytest.raises(ValueError, match="expected a mask for each sample"):
        CTC()([[1]], np.zeros((1, 4, 3)), mask=np.ones((1, 3)))


# nn.CTCLoss

@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("padded", [True, False])
def test_values_and_gradients_are_those_of_torch(reduction, zero_infinity, padded, rng):
    """Its gradient by the log-probabilities, which is the one by the logits."""
    blank, labels = 2, np.where(LABELS == 2, 0, LABELS)
    x, is_real = rng.normal(size=(5, 6, 3)), np.arange(3) < COUNTS[:, None]
    targets = labels if padded else labels[is_real]
    logits = torch.tensor(x, requires_grad=True)
    log_p = logits.log_softmax(-1)
    log_p.retain_grad()
    theirs = torch.nn.CTCLoss(blank, reduction, zero_infinity)(log_p, torch.tensor(targets), torch.tensor(STEPS),
                                                              torch.tensor(COUNTS))
    dloss = rng.normal(size=theirs.shape)
    (theirs * torch.tensor(dloss)).sum().backward()
    criterion = nn.CTCLoss(blank, reduction, zero_infinity)
    ours = criterion(log_p.detach(), targets, torch.tensor(STEPS), COUNTS.tolist())
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-12)
    dlog_p = criterion.backward(dloss if reduction == "none" else float(dloss))
    np.testing.assert_allclose(dlog_p, log_p.grad, atol=1e-12)
    softmax = nn.LogSoftmax(-1, dtype="float64")
    softmax(x)
    if zero_infinity:
        np.testing.assert_allclose(softmax.backward(dlog_p), logits.grad, atol=1e-12)


def test_one_sample_float32_and_numbers(rng):
    log_p = log_softmax(rng.normal(size=(4, 3)).astype("f4"))
    criterion = nn.CTCLoss()
    loss = criterion(log_p, [1, 2], 4, 2)
    assert loss.dtype == "f4" and loss.shape == () and criterion.backward().shape == (4, 3)
    theirs = torch.nn.CTCLoss()(torch.tensor(log_p), torch.tensor([1, 2]), torch.tensor(4), torch.tensor(2))
    np.testing.assert_allclose(loss, theirs, rtol=1e-6)
    assert nn.CTCLoss(reduction="none")(log_p, [1, 2], (4,), (2,)).shape == ()


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.zeros((4, 2, 3)), [[1], [3]], (4, 4), (1, 1)), "targets: expected ids from 0 to 2, got 3"),
    ((np.zeros((4, 2, 3)), [[1], [0]], (4, 4), (1, 1)), "other than the blank, got 0 at index"),
    ((np.zeros((4, 2, 3)), [[1], [1]], (5, 4), (1, 1)), r"input_lengths from 0 to 4, the steps of log_probs, got \[5, 4\]"),
    ((np.zeros((4, 2, 3)), [[1], [1]], (4, 4), (1, -1)), "target_lengths of at least 0"),
    ((np.zeros((4, 2, 3)), [[1], [1]], (4, 4), (1, 2)), r"targets of shape \(2, 2 or more\), or \(3,\)"),
    ((np.zeros((4, 2, 3)), [[1], [1]], (4,), (1, 1)), "input_lengths as 2 whole numbers"),
    ((np.zeros((4, 2, 3)), [[1], [1]], (4.5, 4), (1, 1)), "input_lengths as 2 whole numbers"),
    ((np.zeros(4), [1], 4, 1), "log_probs of shape"), ((np.zeros((4, 2, 0)), [[1], [1]], (4, 4), (1, 1)), "none of them 0")])
def test_errors_of_the_criterion(arguments, message):
    with pytest.raises(ValueError, match=f"^CTCLoss.*{message}"):
        nn.CTCLoss()(*arguments)


def test_arguments_of_the_criterion():
    for wrong in (dict(blank=-1), dict(reduction="max"), dict(zero_infinity=2)):
        with pytest.raises(ValueError, match=r"^CTCLoss: expected "):
            nn.CTCLoss(**wrong)
    with pytest.raises(RuntimeError, match="backward needs a call first"):
        nn.CTCLoss().backward()
    with pytest.raises(ValueError, match="more than 5 classes"):
        nn.CTCLoss(5)(np.zeros((4, 1, 3)), [[1]], (4,), (1,))
    criterion = nn.CTCLoss(reduction="none")
    criterion(np.zeros((4, 1, 3)), [[1]], (4,), (1,))
    with pytest.raises(ValueError, match=r"dloss of shape \(1,\), got \(2,\)"):
        criterion.backward(np.ones(2))


# decoding

@pytest.mark.parametrize("options", [
    {}, {"merge_repeated": False}, {"mask_index": 2},
    {"strategy": "beam_search", "beam_width": 4, "top_paths": 3, "mask_index": 2}], ids=str)
def test_decoding_is_that_of_keras(options, rng):
    x, lengths = 2 * rng.normal(size=(3, 5, 4)).astype("f4"), np.array([5, 3, 1])
    for ours, theirs in zip(ctc_decode(x, lengths, **options), keras.ops.ctc_decode(x, lengths, **options), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert ours.dtype == theirs.dtype


def test_a_beam_that_is_wide_enough_finds_all_readings(rng):
    x = rng.normal(size=(2, 4, 3))
    labels, scores = ctc_decode(x, [4, 0], "beam_search", beam_width=60, top_paths=40)
    expected = sorted(probabilities(log_softmax(x)[0]).items(), key=lambda each: -each[1])
    for k, (reading, p) in enumerate(expected):
        assert tuple(labels[k, 0, :len(reading)]) == reading and (labels[k, 0, len(reading):] == -1).all()
        np.testing.assert_allclose(scores[0, k], np.log(p))
    assert np.isneginf(scores[0, len(expected):]).all() and (labels[len(expected):, 0] == -1).all()
    assert scores[1, 0] == 0 and (labels[:, 1] == -1).all() and np.isneginf(scores[1, 1:]).all()


@pytest.mark.parametrize(("given", "message"), [
    (dict(inputs=np.zeros((2, 3))), "inputs of shape"),
    (dict(sequence_lengths=[3]), "sequence_lengths as 2 whole numbers from 0 to 3"),
    (dict(sequence_lengths=[3, 4]), "sequence_lengths as 2 whole numbers from 0 to 3"),
    (dict(strategy="best"), "strategy"),
    (dict(beam_width=0), "a positive integer as beam_width"),
    (dict(top_paths=101), "top_paths"), (dict(mask_index=4), "mask_index"),
    (dict(merge_repeated=3), "merge_repeated")])
def test_errors_of_decoding(given, message):
    with pytest.raises(ValueError, match=f"^ctc_decode: expected {message}"):
        ctc_decode(**({"inputs": np.zeros((2, 3, 4)), "sequence_lengths": [3, 3]} | given))
