"""The conditional random field: all sequences counted, PyTorch's derivatives, masks, training, files; the rooms; errors."""
import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from helpers import numeric_gradient, rooms_agree

import nblayers
from nblayers import layers, losses, models
from nblayers.layers import CRF
from nblayers.losses import CRFLoss

N, T, U = 4, 4, 3
LENGTHS = np.array([4, 3, 1, 0])


def example(rng, dtype="float64"):
    """Emissions, transitions (one forbidden), start, end; tags."""
    x, A, b, e = (rng.normal(size=shape).astype(dtype) for shape in ((N, T, U), (U, U), U, U))
    A[0, 1] = -np.inf
    return (x, A, b, e), np.array([[1, 1, 2, 1], [0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def layer_of(weights, **options):
    layer = CRF(U, dtype=str(weights[0].dtype), **options)
    layer.build((None, None, U))
    layer.set_weights(weights)
    return layer


def scores(x, A, b, e):
    """Of all sequences of tags, the score of each."""
    sequences = itertools.product(range(U), repeat=len(x))
    return {y: b[y[0]] + sum(x[t, k] for t, k in enumerate(y)) + sum(A[i, j] for i, j in itertools.pairwise(y)) + e[y[-1]]
            for y in sequences} if len(x) else {(): 0.0}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rooms_agree_and_count_all_sequences(dtype, rng):
    (x, A, b, e), tags = example(rng, dtype)
    alpha, scale, log_z = rooms_agree("crf", "crf_forward", (x, A, b, e, LENGTHS), [x.shape, (N, T), (N,)])
    sources, found = np.full(x.shape, 7), np.full((N, T), 7)
    _, found, best = rooms_agree("crf", "crf_decode", (x, A, b, e, LENGTHS), [sources, found, np.full(N, np.nan, dtype)])
    score, = rooms_agree("crf", "crf_score", (x, A, b, e, tags, LENGTHS), [(N,)])
    close = dict(rtol=1e-5 if dtype == "float32" else 1e-12)
    for n, length in enumerate(LENGTHS):
        known = scores(x[n, :length], A, b, e)
        np.testing.assert_allclose(log_z[n], np.logaddexp.reduce(list(known.values())), **close)
        np.testing.assert_allclose(score[n], known[tuple(tags[n, :length])], **close)
        np.testing.assert_allclose(best[n], max(known.values()), **close)
        assert tuple(found[n, :length]) == max(known, key=known.get) and (found[n, length:] == -1).all()
    totals = [np.ones_like(each) for each in (A, b, e)]
    rooms_agree("crf", "crf_backward", (x, A, e, LENGTHS, alpha, scale, rng.normal(size=N).astype(dtype)), [x.shape, *totals])
    rooms_agree("crf", "crf_score_backward", (tags, LENGTHS, best), [np.ones_like(x), *totals])


def test_tags_that_are_far_less_likely_than_others(device, rng):
    """The only way to tag 2 is from tag 1, whose probability float32 has no number for."""
    x, A = np.zeros((1, 3, U)), np.array([[0, -np.inf, -np.inf], [0, 0, 0], [-np.inf, -np.inf, 0]])
    x[0, 0, 1:], x[0, 1:, 2] = (-150, -1000), 120
    for dtype in ("float32", "float64"):
        layer = layer_of([A.astype(dtype)], use_boundary=False).to(device)
        np.testing.assert_allclose(layer.log_likelihood(x, [[1, 2, 2]]), 0, atol=1e-4)
        np.testing.assert_allclose(layer.marginals(x)[0], [[0, 1, 0], [0, 0, 1], [0, 0, 1]], atol=1e-4)
        layer(x)
        dx = layer.loss.gradient([[0, 0, 0]], x.astype(dtype))
        layer.backward(dx)
        np.testing.assert_allclose(dx[0], [[-1, 1, 0], [-1, 0, 1], [-1, 0, 1]], atol=1e-4)
        np.testing.assert_allclose(layer.transitions.grad, [[-2, 0, 0], [0, 0, 1], [0, 0, 1]], atol=1e-4)


def in_torch(x, A, b, e, tags, lengths, weights):
    """The weighted sum of minus the log-likelihoods, by log-sum-exp alone."""
    total = 0
    for n, length in enumerate(lengths):
        if length:
            alpha, score = b + x[n, 0], b[tags[n, 0]] + x[n, 0, tags[n, 0]]
            for t in range(1, length):
                alpha = torch.logsumexp(alpha[:, None] + A, 0) + x[n, t]
                score = score + A[tags[n, t - 1], tags[n, t]] + x[n, t, tags[n, t]]
            total = total + weights[n] * (torch.logsumexp(alpha + e, 0) - score - e[tags[n, length - 1]])
    return total


def test_gradients_are_those_of_torch(rng):
    values, tags = example(rng)
    weights, mask = rng.uniform(size=N), np.arange(T) < LENGTHS[:, None]
    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    theirs = in_torch(*tensors, tags, LENGTHS, weights)
    theirs.backward()
    layer = layer_of(values[1:])
    layer(values[0], mask=mask)
    value, dx = CRFLoss(layer, "sum").value_and_gradient(tags, values[0], weights, mask)
    np.testing.assert_allclose(value, theirs.item(), rtol=1e-12)
    np.testing.assert_array_equal(layer.backward(2 * dx), 2 * dx)               # the loss is one of several, and counts twice
    layer.backward(dx)                                                          # gradients add up
    np.testing.assert_allclose(dx, tensors[0].grad, atol=1e-12)
    for weight, tensor in zip(layer.weights, tensors[1:], strict=True):
        np.testing.assert_allclose(weight.grad, 3 * tensor.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("use_boundary", [True, False])
def test_gradients_are_the_derivatives_of_the_value(use_boundary, rng):
    """Masked steps lie anywhere, and hold any tag."""
    (x, A, *ends), tags = example(rng)
    A[0, 1] = 0.5
    mask = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0]], bool)
    tags[~mask] = -5
    layer = layer_of([A, *ends] if use_boundary else [A], use_boundary=use_boundary)
    layer(x, mask)
    dx = layer.loss.gradient(tags, x, mask=mask)
    layer.backward(dx)
    for array, gradient in [(x, dx), *((weight.value, weight.grad) for weight in layer.weights)]:
        expected = numeric_gradient(lambda: layer.loss(tags, x, mask=mask), array)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)
    for n in range(3):
        alone = layer.loss(tags[n:n + 1, mask[n]], x[n:n + 1, mask[n]])
        np.testing.assert_allclose(-layer.log_likelihood(x, tags, mask)[n], alone, rtol=1e-12)
        np.testing.assert_array_equal(layer.decode(x, mask)[n, mask[n]], layer.decode(x[n:n + 1, mask[n]])[0])
        np.testing.assert_allclose(layer.marginals(x, mask)[n, mask[n]], layer.marginals(x[n:n + 1, mask[n]])[0], rtol=1e-12)
    assert (layer.decode(x, mask)[~mask] == -1).all() and not layer.marginals(x, mask)[~mask].any()
    np.testing.assert_allclose(layer.marginals(x, mask)[mask].sum(axis=-1), 1)


def test_the_layer_gives_its_input_back(rng):
    layer, x = CRF(U), rng.normal(size=(2, T, U)).astype("f4")
    report = nblayers.gradcheck(layer, x.astype(float), raise_error=False)
    assert report.passed, report
    np.testing.assert_array_equal(layer(x), x)
    assert not any(weight.grad.any() for weight in layer.weights)               # no loss of its own, no gradient
    assert [weight.shape for weight in layer.weights] == [(U, U), (U,), (U,)]


def chains(rng):
    """Tags of which each is mostly followed by the next, seen through noise; sequences of unequal lengths."""
    tags = (rng.integers(0, 4, (48, 1)) + np.cumsum(rng.random((48, 8)) < 0.9, axis=1)) % 4
    x = (np.eye(4)[tags] + 1.2 * rng.normal(size=(48, 8, 4))).astype("f4")
    x[np.arange(8) >= rng.integers(4, 9, 48)[:, None]] = 0
    return x, tags


def tagger():
    inputs = layers.Input((None, 4))
    crf = CRF(4, name="tags")
    return models.Model(inputs, crf(layers.Dense(4)(layers.Masking()(inputs)))), crf


def test_training_a_tagger(rng, tmp_path):
    (x, tags), (model, crf) = chains(rng), tagger()
    model.compile(nblayers.optimizers.Adam(0.05), loss=crf.loss, metrics=["accuracy", crf.viterbi_accuracy])
    history = model.fit(x, tags, epochs=15, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["viterbi_accuracy"][-1] > history["accuracy"][-1]            # it knows what follows what
    assert (crf.transitions.value.argmax(axis=1) == (np.arange(4) + 1) % 4).all()
    mask = (x != 0).any(axis=-1)
    emissions = model.predict(x, verbose=0)
    expected = -crf.log_likelihood(emissions, tags, mask).mean()
    np.testing.assert_allclose(model.evaluate(x, tags, verbose=0)[0], expected, rtol=1e-5)
    assert (crf.decode(emissions, mask) == np.where(mask, tags, -1)).mean() > 0.7


def test_a_loss_of_half_weight_and_another_output(rng):
    """The transitions' gradient is scaled with the emissions'."""
    x, tags = chains(rng)
    steps = []
    for factor in (1.0, 0.5):
        nblayers.utils.set_random_seed(0)
        model, crf = tagger()
        model.compile(nblayers.optimizers.SGD(0.1), loss=crf.loss, loss_weights=[factor])
        model.train_on_batch(x, tags)
        steps.append(crf.transitions.value.copy())
    np.testing.assert_allclose(steps[0], 2 * steps[1], rtol=1e-4)


def test_files_and_copies(rng, tmp_path):
    (x, tags), (model, crf) = chains(rng), tagger()
    model.compile("sgd", loss=crf.loss)
    model.fit(x, tags, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    for other in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.loss.crf is other.layers[-1] is not crf
        np.testing.assert_allclose(other.evaluate(x, tags, verbose=0), model.evaluate(x, tags, verbose=0), rtol=1e-6)
    loaded.fit(x, tags, verbose=0)
    assert crf.loss.get_config() == {"name": "crf_loss", "reduction": "sum_over_batch_size", "crf": "tags"}
    unbound = losses.deserialize(losses.serialize(crf.loss))
    with pytest.raises(RuntimeError, match="CRFLoss 'crf_loss': knows its layer by the name 'tags' alone"):
        unbound(tags, x)


@pytest.mark.parametrize("shape", [(1, 5, U), (3, 1, U)])
def test_one_sample_and_one_step(shape, rng):
    layer, x, tags = CRF(U, boundary_initializer="ones"), rng.normal(size=shape), rng.integers(0, U, shape[:2])
    layer.build(shape)
    x = np.asfortranarray(x.astype("f4"))
    loss, dx = layer.loss.value_and_gradient(tags[..., None], layer(x))
    np.testing.assert_allclose(loss, -layer.log_likelihood(x, tags).mean(), rtol=1e-6)
    assert layer.backward(dx).shape == shape and layer.decode(x).shape == shape[:2]


@pytest.mark.parametrize(("given", "message"), [
    ((np.zeros((1, 2)), np.zeros((1, 3, U))), r"expected y_true of shape \(1, 3\), a tag for each step, got \(1, 2\)"),
    ((np.zeros((1, 3, 2)), np.zeros((1, 3, U))), "expected y_true with two axes"),
    ((np.zeros((1, 3)), np.zeros((1, U))), "expected y_pred of shape"),
    ((np.full((1, 3), 3), np.zeros((1, 3, U))), "tags: expected ids from 0 to 2, got 3"),
    ((np.full((1, 3), 0.5), np.zeros((1, 3, U))), "tags: expected whole numbers"),
    ((np.zeros((1, 3)), np.zeros((1, 3, 2))), r"expected .* axis -1 .*3")])
def test_errors(given, message):
    with pytest.raises(ValueError, match=message):
        CRF(U).loss(*given)


def test_other_errors(rng):
    layer, x, tags = CRF(U), rng.normal(size=(2, 3, U)).astype("f4"), np.zeros((2, 3), int)
    with pytest.raises(ValueError, match=r"expected a mask of shape \(2, 3\)"):
        layer.decode(x, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"crf.*: expected a mask of shape \(2, 3\), .* got \(3, 2\)"):
        layer(x, mask=np.ones((3, 2)))
    with pytest.raises(ValueError, match="expected at least one step"):
        layer.decode(x[:, :0])
    with pytest.raises(ValueError, match="expected tags of shape"):
        layer.log_likelihood(x, tags[:1])
    with pytest.raises(TypeError, match=r"expected a CRF layer or its name, got 3"):
        CRFLoss(3)
    with pytest.raises(ValueError, match="a positive integer as units"):
        CRF(0)
    layer(x)
    dx = layer.loss.gradient(tags, x)
    with pytest.raises(ValueError, match="expected the gradient that its loss gave, or a multiple of it"):
        layer.backward(dx + 1)
