"""Batch, layer, group, unit and spectral normalization: kernels in three rooms, gradients, Keras and PyTorch."""
import threading

import keras
import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, keras_vjp, rooms_agree

import kernels
import nblayers
from nblayers import Sequential, gradcheck, layers, nn
from nblayers.models import Model

NO_MASK = np.empty((0, 1, 1), bool)


def batch_kernels_agree(x, mask, rng, **options):
    dtype, C = x.dtype, x.shape[1]
    mean, variance, n = rooms_agree("normalization", "batch_statistics", [x, mask], [(C,)] * 3, **options)
    rstd = 1 / np.sqrt(variance + dtype.type(1e-3))
    gamma, beta, dy = rng.normal(size=C).astype(dtype), rng.normal(size=C).astype(dtype), rng.normal(size=x.shape).astype(dtype)
    rooms_agree("normalization", "batch_norm", [x, mean, rstd, gamma, beta], [x.shape], **options)
    dgamma, dbeta = rooms_agree("normalization", "batch_norm_sums", [dy, x, mean, rstd], [(C,)] * 2, **options)
    inputs = [dy, x, mask, mean, rstd, gamma, n, dgamma, dbeta]
    rooms_agree("normalization", "batch_norm_backward", inputs, [x.shape], **options)


def layer_kernels_agree(x, centred, rng, **options):
    dtype, (A, K, B) = x.dtype, x.shape
    gamma, beta, before = rng.normal(size=(3, K)).astype(dtype)
    inputs = [x, gamma, beta, 1e-3, centred]
    _, mean, rstd = rooms_agree("normalization", "layer_norm", inputs, [x.shape, (A, B), (A, B)], **options)
    inputs = [rng.normal(size=x.shape).astype(dtype), x, gamma, mean, rstd, centred]
    rooms_agree("normalization", "layer_norm_backward", inputs, [before, before, x.shape], **options)


def group_kernels_agree(x, rng, **options):
    dtype, (N, _, G, K, _) = x.dtype, x.shape
    gamma, beta, before = rng.normal(size=(3, G, K)).astype(dtype)
    _, mean, rstd = rooms_agree("normalization", "group_norm", [x, gamma, beta, 1e-3], [x.shape, (N, G), (N, G)], **options)
    inputs = [rng.normal(size=x.shape).astype(dtype), x, gamma, mean, rstd]
    rooms_agree("normalization", "group_norm_backward", inputs, [before, before, x.shape], **options)


def unit_kernels_agree(x, rng, **options):
    A, _, B = x.shape
    x[0] = 0                                                            # the limit
    _, scale = rooms_agree("normalization", "unit_norm", [x, 1e12], [x.shape, (A, B)], **options)
    inputs = [rng.normal(size=x.shape).astype(x.dtype), x, 1e12, scale]
    rooms_agree("normalization", "unit_norm_backward", inputs, [x.shape], **options)


def rooms_for(x):
    return kernels.ROOMS if x.size <= 12 and x.dtype == "float32" else ("reference", "cpu")     # the simulator is slow


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 3, 1), (2, 2, 3), (9, 1, 4), (150, 3, 1), (2, 70, 67)], ids=str)
def test_rooms_agree(shape, dtype, rng):
    x = (rng.normal(size=shape) + 3).astype(dtype)
    options = dict(rooms=rooms_for(x), atol=3e-4 if dtype == "float32" else 1e-9)
    A, C, B = shape
    for mask in (NO_MASK, rng.random((A, 1, 1)) < 0.7, rng.random((A, C, B)) < 0.7):
        batch_kernels_agree(x, mask, rng, **options)
    for centred in (True, False):
        layer_kernels_agree(x, centred, rng, **options)
    unit_kernels_agree(x, rng, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (1, 3, 2, 2, 1), (2, 1, 1, 3, 2), (2, 3, 2, 2, 3), (2, 150, 2, 2, 1)],
                         ids=str)
def test_rooms_agree_on_groups(shape, dtype, rng):
    x = (rng.normal(size=shape) + 1).astype(dtype)
    group_kernels_agree(x, rng, rooms=rooms_for(x), atol=3e-4 if dtype == "float32" else 1e-9)


def test_threads_share_the_work(rng):
    """Large enough for all threads; the reference room is the measure."""
    options = dict(rooms=("reference", "cpu"), rtol=2e-4, atol=2e-3)
    for shape in ((3001, 33, 1), (5, 33, 607)):
        x = rng.normal(size=shape).astype("float32")
        batch_kernels_agree(x, NO_MASK, rng, **options)
        layer_kernels_agree(x, True, rng, **options)
        unit_kernels_agree(x, rng, **options)
    for shape in ((3, 3001, 3, 5, 1), (3, 1, 3, 5, 3001)):
        group_kernels_agree(rng.normal(size=shape).astype("float32"), rng, **options)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("make", [layers.BatchNormalization, layers.LayerNormalization,
                                  lambda **options: layers.GroupNormalization(1, **options)])
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_digits_are_kept(make, axis, rng, device):
    """Numbers far from zero, and many of them: the difference of two means of squares would be noise."""
    x = (rng.normal(size=(3, 300, 400)) + 1e3).astype("float32")
    layer = make(axis=axis).to(device)
    y, exact = layer(x, training=True), make(axis=axis, dtype="float64")(x, training=True)
    np.testing.assert_allclose(y, exact, atol=1e-3)


# gradients and Keras

X = np.random.default_rng(1).normal(size=(3, 4, 6)) + 1
MASK = np.random.default_rng(2).random((3, 4)) < 0.6
BATCH = [dict(), dict(axis=1), dict(axis=-2, scale=False), dict(center=False, scale=False, epsilon=0.1), dict(axis=0)]
LAYER = [dict(), dict(axis=1), dict(axis=[2, 1], epsilon=0.1), dict(axis=[0, 2], scale=False), dict(center=False),
         dict(rms_scaling=True), dict(axis=1, rms_scaling=True, scale=False), dict(axis=[-1, 1]), dict(axis=[0, 1, 2])]
GROUP = [dict(groups=3), dict(groups=-1, center=False), dict(groups=1), dict(groups=6, scale=False),
         dict(groups=2, axis=1), dict(groups=-1, axis=-2, epsilon=0.1)]
UNIT = [dict(), dict(axis=1), dict(axis=[0, 2]), dict(axis=(2, 1))]
CASES = [(name, options) for name, several in (("LayerNormalization", LAYER), ("GroupNormalization", GROUP),
                                               ("UnitNormalization", UNIT)) for options in several]


def pair(kind, **options):
    return (getattr(module, kind)(**options) for module in (layers, keras.layers))


@pytest.mark.parametrize("name, options", CASES)
def test_gradients(name, options):
    assert gradcheck(getattr(layers, name)(**options), X)


@pytest.mark.parametrize("name, options", CASES)
def test_agrees_with_keras(name, options):
    """In float32, in which Keras computes these whatever their dtype."""
    ours, theirs = pair(name, **options)
    agrees_with_keras(ours, theirs, X.astype("float32"))
    assert ours.compute_output_shape(X.shape) == X.shape


@pytest.mark.parametrize("mask", [None, MASK, MASK[:, :1]], ids=["", "masked", "broadcast"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", BATCH)
def test_batch_gradients_and_keras(options, training, mask):
    assert gradcheck(layers.BatchNormalization(**options), X, training=training, mask=mask)
    ours, theirs = pair("BatchNormalization", **options)
    ours.build(X.shape)
    for value, weight in zip((2, 3), ours.non_trainable_weights, strict=True):
        weight.value += value
    agrees_with_keras(ours, theirs, X.astype("float32"), training=training, mask=mask)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("axis, shape", [(-1, (3, 4, 6)), (1, (3, 4, 6)), (-1, (3, 4))])
def test_moving_statistics_are_keras(axis, shape, mask, rng):
    if mask is not None and len(shape) == 2:
        mask = mask[:, 0]
    ours, theirs = pair("BatchNormalization", axis=axis, momentum=0.8)
    for _ in range(3):
        x = (rng.normal(size=shape) * 2 + 1).astype("float32")
        ours(x, training=True, mask=mask)
        ours(x, mask=mask)
        theirs(x, training=True, mask=mask)
    assert_same(ours.get_weights(), theirs.get_weights(), rtol=1e-5, atol=1e-6)
    assert [w.name for w in ours.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]


def test_two_epochs_of_fit_are_keras(rng):
    x, y = rng.normal(size=(24, 5)).astype("float32") * 3 + 1, rng.normal(size=(24, 2)).astype("float32")

    def model(library):
        parts = [library.layers.Dense(4), library.layers.BatchNormalization(momentum=0.9), library.layers.ReLU()
                 if hasattr(library.layers, "ReLU") else library.layers.Activation("relu"), library.layers.Dense(2)]
        made = library.Sequential([library.layers.Input((5,)), *parts])
        made.compile(library.optimizers.SGD(0.05), "mse")
        return made

    ours, theirs = model(nblayers), model(keras)
    copy_weights(theirs, ours)
    for each in (ours, theirs):
        each.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same(ours.get_weights(), theirs.get_weights(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_frozen_is_inference(rng):
    x = rng.normal(size=(5, 3)).astype("float32") + 2
    layer = layers.BatchNormalization()
    layer(x, training=True)
    before = layer.get_weights()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    assert_same(layer.get_weights(), before)
    layer.trainable = True
    assert np.abs(layer(x, training=True).mean(axis=0)).max() < 1e-5


def test_predict_beside_fit_changes_no_statistics(rng):
    """Only training collects: what fit leaves is the same whether or not others predict meanwhile."""
    x, y = rng.normal(size=(64, 3)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")

    def trained(beside):
        nblayers.utils.set_random_seed(0)
        model = Sequential([layers.Input((3,)), layers.BatchNormalization(), layers.Dense(1)])
        model.compile("sgd", "mse")
        done = threading.Event()
        others = [threading.Thread(target=lambda: [model.predict(x + 9, verbose=0) for _ in iter(done.is_set, True)])
                  for _ in range(beside)]
        for other in others:
            other.start()
        model.fit(x, y, epochs=20, batch_size=8, shuffle=False, verbose=0)
        done.set()
        for other in others:
            other.join()
        return model.get_weights()

    assert_same(trained(2), trained(0))


def test_backward_belongs_to_its_forward(rng):
    """An inference forward's backward does not see what training made of the statistics since."""
    layer, x = layers.BatchNormalization(), rng.normal(size=(4, 3)).astype("float32")
    dy = rng.normal(size=x.shape).astype("float32")
    layer(x)
    record, expected = layer.cache, layer.backward(dy)
    layer(x + 5, training=True)
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(dy), expected)


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization"])
def test_inputs_of_all_kinds(name, rng, device):
    options = {"groups": 2} if name == "GroupNormalization" else {}
    layer = getattr(layers, name)(**options).to(device)
    x = rng.normal(size=(2, 2, 4)).astype("float32")
    y = layer(x, training=True)
    turned = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    np.testing.assert_array_equal(layer(turned, training=True), y)
    np.testing.assert_allclose(layer(x.astype("float16"), training=True), y, atol=1e-2)
    assert layer(x.astype(int)).dtype == "float32"
    kept = x.copy(), y.copy()
    dx = layer.backward(y)
    assert dx.shape == x.shape and dx.dtype == "float32"
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])
    assert layer(x[:1]).shape == (1, 2, 4) and layer.backward(y[:1]).shape == (1, 2, 4)
    if name != "BatchNormalization":
        np.testing.assert_allclose(layer(x[:1]), y[:1], atol=1e-6)
    for axis in range(3):
        with pytest.raises(ValueError, match=rf"^{name} '\w+': expected"):
            layer(np.ones([0 if n == axis else size for n, size in enumerate(x.shape)], "float32"))


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "GroupNormalization"])
def test_two_training_steps(name, rng):
    options = {"groups": 2} if name == "GroupNormalization" else {}
    layer, x = getattr(layers, name)(**options), rng.normal(size=(8, 6)).astype("float32")
    target = rng.normal(size=x.shape).astype("float32")
    optimizer, losses = nblayers.optimizers.SGD(0.5), []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(np.square(y - target).mean())
        layer.zero_grad()
        layer.backward(2 * (y - target) / y.size)
        optimizer.step(layer.trainable_weights, "cpu")
    assert losses[2] < losses[1] < losses[0]


def test_masks_go_on(rng):
    inputs = layers.Input((4,), dtype="int32")
    x = layers.Embedding(5, 3, mask_zero=True)(inputs)
    for layer in (layers.BatchNormalization(), layers.LayerNormalization(), layers.UnitNormalization()):
        x = layer(x)
    model = Model(inputs, layers.LSTM(2)(x))
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    np.testing.assert_allclose(model(ids), np.concatenate([model(ids[:1, :2]), model(ids[1:, :1])]), atol=1e-6)
    assert layers.GroupNormalization(3).compute_mask(X, MASK) is MASK           # padding counts in its statistics


def test_unit_norm_of_zeros():
    layer = layers.UnitNormalization()
    assert not layer(np.zeros((1, 3), "float32")).any()
    np.testing.assert_allclose(layer.backward(np.ones((1, 3), "float32")), 1e12, rtol=1e-6)
    assert np.isnan(layer(np.array([[np.nan, 1]], "float32"))).all()


# configurations and errors

CONFIGURED = [("BatchNormalization", dict()), ("BatchNormalization", dict(axis=1, momentum=0.5, beta_regularizer="l2")),
              ("LayerNormalization", dict()), ("LayerNormalization", dict(axis=[2, 1], gamma_constraint="non_neg")),
              ("GroupNormalization", dict()), ("GroupNormalization", dict(groups=-1, axis=1, gamma_initializer="zeros")),
              ("UnitNormalization", dict(axis=[1, 2]))]


@pytest.mark.parametrize("name, options", CONFIGURED)
def test_configurations_are_keras(name, options):
    ours, theirs = pair(name, **options, name="mine")
    for build in (False, True):
        if build:
            ours.build((2, 64, 32))
            theirs.build((2, 64, 32))
        config, expected = ours.get_config(), theirs.get_config()
        assert config.keys() == expected.keys()
        objects = {key for key in config if key.split("_")[-1] in ("initializer", "regularizer", "constraint")} | {"dtype"}
        assert all(config[key] == expected[key] for key in config.keys() - objects)
        assert type(ours).from_config(config).get_config() == type(ours).from_config(expected).get_config() == config


def test_spectral_configuration():
    ours, theirs = (module.SpectralNormalization(module.Dense(3), power_iterations=2, name="s")
                    for module in (layers, keras.layers))
    assert ours.get_config().keys() == theirs.get_config().keys()
    again = layers.SpectralNormalization.from_config(theirs.get_config())
    assert again.power_iterations == 2 and again.layer.units == 3


@pytest.mark.parametrize("make, shape, message", [
    (lambda: layers.BatchNormalization(synchronized="yes"), None, "synchronized"),
    (lambda: layers.BatchNormalization(renorm=True), None, "renorm=False"),
    (lambda: layers.BatchNormalization(axis=[1]), None, "axis to be an integer"),
    (lambda: layers.BatchNormalization(momentum=2), None, r"momentum in \[0.0, 1.0\]|momentum in \[0, 1\]"),
    (lambda: layers.BatchNormalization(epsilon=-1), None, "epsilon"),
    (lambda: layers.BatchNormalization(axis=3), (2, 3, 4), r"axis to name axes of the input, got 3 for shape \(2, 3, 4\)"),
    (lambda: layers.BatchNormalization(), (2, None), "size on axis 1 is known"),
    (lambda: layers.LayerNormalization(axis="a"), None, "axis"),
    (lambda: layers.LayerNormalization(axis=[1, -1]), (2, 3), r"every axis once, got \[1, -1\]"),
    (lambda: layers.LayerNormalization(axis=[]), (2, 3), "axis to name axes"),
    (lambda: layers.UnitNormalization(axis=2.5), None, "axis"),
    (lambda: layers.UnitNormalization(axis=4), (2, 3), "axis to name axes"),
    (lambda: layers.GroupNormalization(0), None, "groups to be a positive integer, or -1"),
    (lambda: layers.GroupNormalization(4), (2, 6), "divisible by groups, got 6 channels with groups=4"),
    (lambda: layers.GroupNormalization(32), (2, 6), "divisible by groups, got 6 channels with groups=32"),
    (lambda: layers.GroupNormalization(2, axis=0), (2, 6), "another axis than that of the samples"),
    (lambda: layers.SpectralNormalization("dense"), None, "a layer, got 'dense'"),
    (lambda: layers.SpectralNormalization(layers.Dense(2), 0), None, "a positive integer as power_iterations"),
    (lambda: layers.SpectralNormalization(layers.Flatten()), (2, 3), "a weight kernel or embeddings"),
    (lambda: nn.GroupNorm(3, 4), None, "divisible by groups"),
    (lambda: nn.LayerNorm(()), None, "sizes in normalized_shape"),
    (lambda: nn.LayerNorm((3, 4)), (2, 4, 4), "expected size 3 on axis -2"),
    (lambda: nn.BatchNorm2d(3), (2, 3, 4), "at least 4 axes"),
    (lambda: nn.BatchNorm1d(3), (2, 4), "expected size 3 on axis 1"),
], ids=lambda value: "" if callable(value) else str(value))
def test_errors(make, shape, message):
    with pytest.raises(ValueError, match=rf"^\w+ '\w+': .*({message})"):
        layer = make()
        layer.compute_output_shape(shape) if None in shape else layer(np.ones(shape, "float32"))
        layer.build(shape)


@pytest.mark.parametrize("mask", [np.ones((3,), bool), np.ones((3, 4, 6), bool), np.ones((3, 5), bool)], ids=str)
def test_masks_that_do_not_fit(mask):
    with pytest.raises(ValueError, match=r"^BatchNormalization '\w+': expected a mask of shape \(3, 4\), got"):
        layers.BatchNormalization()(X, mask=mask)


def test_another_input_than_the_layer_was_built_for():
    for layer, wrong in ((layers.BatchNormalization(), (3, 4, 5)), (layers.BatchNormalization(), (3, 6)),
                         (layers.LayerNormalization(), (3, 5)), (layers.LayerNormalization(axis=[1, 2]), (3, 5, 6)),
                         (layers.GroupNormalization(2), (3, 4, 8))):
        layer(X)
        with pytest.raises(ValueError, match=r"^\w+ '\w+': expected"):
            layer(np.ones(wrong, "float32"))


# spectral normalization

WRAPPED = [("Dense", (4,), (2, 5)), ("Conv2D", (3, 2), (2, 4, 4, 2)), ("Embedding", (6, 3), (2, 4))]


def wrapped(name, arguments, shape, rng, **options):
    ours, theirs = (module.SpectralNormalization(getattr(module, name)(*arguments, dtype="float64"), dtype="float64", **options)
                    for module in (layers, keras.layers))
    x = rng.integers(0, 6, shape).astype(float) if name == "Embedding" else rng.normal(size=shape)
    ours(x)
    theirs(x)
    copy_weights(ours, theirs)
    return ours, theirs, x


@pytest.mark.parametrize("power_iterations", [1, 3])
@pytest.mark.parametrize("name, arguments, shape", WRAPPED)
def test_spectral_agrees_with_keras(name, arguments, shape, power_iterations, rng, x64):
    ours, theirs, x = wrapped(name, arguments, shape, rng, power_iterations=power_iterations)
    assert [w.name for w in ours.weights][:2] == [theirs.weights[0].name, "vector_u"]
    y = ours(x, training=True)
    dy = rng.normal(size=y.shape)
    ours.zero_grad()
    ours.kernel.grad += 1                                       # backward adds to what is there
    dx = ours.backward(dy)
    expected = keras_vjp(theirs, x, dy, training=True)          # through sigma, u and v being constants
    assert_same(y, expected.outputs, rtol=1e-6, atol=1e-8)      # JAX divides by a norm in float32
    if name != "Embedding":
        assert_same(dx, expected.inputs, rtol=1e-6, atol=1e-8)
    ours.kernel.grad -= 1
    assert_same([w.grad for w in ours.trainable_weights], expected.weights, rtol=1e-6, atol=1e-8)
    theirs(x, training=True)
    assert_same(ours.get_weights(), theirs.get_weights(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name, arguments, shape", WRAPPED)
def test_spectral_gradients(name, arguments, shape, training, rng):
    """With u and v as constants the formula is no derivative until they have settled, which 200 iterations make sure of."""
    x = rng.integers(0, 6, shape) if name == "Embedding" else rng.normal(size=shape)
    layer = layers.SpectralNormalization(getattr(layers, name)(*arguments), 200)
    assert gradcheck(layer, x, training=training, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_spectral_norm_becomes_one(rng, device):
    x = rng.normal(size=(2, 6)).astype("float32")
    layer = layers.SpectralNormalization(layers.Dense(5)).to(device)
    for _ in range(30):
        layer(x, training=True)
    assert np.linalg.norm(layer.kernel.numpy(), 2) == pytest.approx(1, abs=1e-3)
    before = layer.get_weights()
    np.testing.assert_allclose(layer(x), layer.layer(x))
    layer.backward(np.ones((2, 5), "float32"))
    assert_same(layer.get_weights(), before)
    layer.kernel.value = np.zeros((6, 5))
    assert not layer(x, training=True).any()
    layer.backward(np.ones((2, 5), "float32"))
    assert np.isfinite(layer.kernel.grad).all()


# PyTorch

def torch_results(theirs, x, dy, training):
    import torch
    theirs = theirs.double().train(training)
    given = torch.tensor(x, requires_grad=True)
    y = theirs(given)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), given.grad.numpy(), [p.grad.numpy() for p in theirs.parameters()]


TORCH = [("BatchNorm1d", (4,), {}, (3, 4)), ("BatchNorm1d", (4,), dict(momentum=0.3), (3, 4, 5)),
         ("BatchNorm2d", (4,), dict(affine=False), (2, 4, 3, 2)), ("BatchNorm2d", (4,), dict(momentum=None), (2, 4, 3, 2)),
         ("BatchNorm3d", (4,), dict(track_running_stats=False, eps=0.1), (2, 4, 1, 3, 2)),
         ("LayerNorm", (5,), {}, (3, 4, 5)), ("LayerNorm", ((4, 5),), dict(bias=False), (3, 4, 5)),
         ("LayerNorm", ([5],), dict(elementwise_affine=False, eps=0.1), (3, 5)),
         ("GroupNorm", (2, 4), {}, (3, 4, 5)), ("GroupNorm", (4, 4), dict(affine=False, eps=0.1), (3, 4, 2, 2)),
         ("GroupNorm", (1, 4), {}, (3, 4))]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name, arguments, options, shape", TORCH)
def test_agrees_with_pytorch(name, arguments, options, shape, training, rng):
    import torch
    ours, theirs = getattr(nn, name)(*arguments, **options, dtype="float64"), getattr(torch.nn, name)(*arguments, **options)
    for parameter, theirs_too in zip(ours.trainable_weights, theirs.parameters(), strict=True):
        parameter.value = rng.normal(size=parameter.shape)
        theirs_too.data = torch.tensor(parameter.numpy())
    for _ in range(2):
        x, dy = rng.normal(size=(2, *shape))
        y = ours(x, training=training)
        ours.zero_grad()
        theirs.zero_grad()
        expected = torch_results(theirs, x, dy, training)
        assert_same([y, ours.backward(dy), [p.grad for p in ours.trainable_weights]], list(expected), rtol=1e-9, atol=1e-9)
    state = [value.numpy() for value in theirs.state_dict().values()]
    assert_same(ours.get_weights(), state, rtol=1e-9)
    ours.set_weights(state)
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    assert gradcheck(again, x, training=training)


def test_a_batch_of_one_number_in_pytorch():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match=r"^BatchNorm1d '\w+': expected more than one number for each feature"):
        layer(np.ones((1, 3), "float32"), training=True)
    assert layer.eval()(np.ones((1, 3), "float32")).shape == (1, 3)


# RMS normalization

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 1), (2, 130)])
def test_rms_kernels_agree(shape, dtype, rng):
    x, gamma = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[1]).astype(dtype)
    rooms_agree("normalization", "rms_norm", [x, gamma, 1e-6], [x.shape, (len(x),)])


@pytest.mark.parametrize("axis", [-1, (-1,), [2, 3]])
def test_rms_normalization(axis, device, rng):
    x, options = rng.normal(size=(2, 3, 2, 4)), dict(axis=axis, epsilon=1e-3, name="r")
    ours, theirs = layers.RMSNormalization(**options).to(device), keras.layers.RMSNormalization(**options)
    agrees_with_keras(ours, theirs, x.astype("float32"))
    assert [(p.name, p.shape) for p in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    assert ours.get_config() == theirs.get_config() and ours.compute_output_shape((None, 3, 2, 4)) == (None, 3, 2, 4)
    layer = layers.RMSNormalization(**options)
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=p.shape) for p in layer.weights])
    assert nblayers.gradcheck(layer, x)


@pytest.mark.parametrize("axis", [1, [1, 2], [2, 1]])
def test_rms_normalization_on_other_axes(axis, rng):
    """Where Keras 3.15 itself fails: it spreads the scale over the last axes."""
    x, layer = rng.normal(size=(2, 3, 2, 4)), layers.RMSNormalization(axis, dtype="float64")
    along = tuple(axis) if isinstance(axis, list) else axis
    np.testing.assert_allclose(layer(x), x / np.sqrt((x ** 2).mean(axis=along, keepdims=True) + 1e-6), rtol=1e-12)
    assert gradcheck(layers.RMSNormalization(axis), x)


def test_rms_normalization_trains_and_takes_views(rng):
    x = rng.normal(size=(4, 12)).astype("float32")[:, ::2]
    model = nblayers.Sequential([layers.RMSNormalization(), layers.Dense(2)])
    model.compile("sgd", "mse")
    losses = model.fit(x, x[:, :2], epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    layer = model.layers[0]
    np.testing.assert_allclose(layer(x[:1]), layer(x)[:1], rtol=1e-6)


@pytest.mark.parametrize("make, message", [
    (lambda: layers.RMSNormalization("a", name="r"), "expected axis"),
    (lambda: layers.RMSNormalization(epsilon=-1, name="r"), "expected epsilon"),
    (lambda: layers.RMSNormalization(3, name="r")(np.ones((2, 3))), "expected axis to name axes of the input"),
    (lambda: layers.RMSNormalization([1, -1], name="r")(np.ones((2, 3))), "expected every axis once"),
    (lambda: layers.RMSNormalization(name="r").build((2, None)), "expected an input whose size on axis 1 is known")])
def test_rms_normalization_errors(make, message):
    with pytest.raises(ValueError, match=f"RMSNormalization 'r': {message}"):
        make()
