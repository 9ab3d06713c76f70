"""Dense, EinsumDense, Linear, Embedding, Masking, Lambda, Identity: kernels, values, gradients, options, settings, errors."""
import functools

import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, copy_weights, keras_vjp, rooms_agree

import nblayers
from nblayers import initializers, nn, regularizers
from nblayers.devices import to_numpy
from nblayers.layers import Dense, EinsumDense, Embedding, Identity, Lambda, Linear, Masking
from nblayers.serialization import register_keras_serializable


def square(x):
    return x ** 2


SIZES = [(1, 1, 1), (5, 3, 7), (9, 4, 1), (1, 2, 33), (40, 5, 16)]
DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N, V, D", SIZES)
def test_embedding_kernels(N, V, D, dtype, rng):
    ids, table = rng.integers(0, V, N), rng.normal(size=(V, D)).astype(dtype)
    [y] = rooms_agree("core", "embedding_forward", [ids, table], [(N, D)])
    np.testing.assert_array_equal(y, table[ids])
    dy, before = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=(V, D)).astype(dtype)
    [added] = rooms_agree("core", "embedding_backward", [ids, dy], [before])
    expected = before.copy()
    np.add.at(expected, ids, dy)
    np.testing.assert_allclose(added, expected, rtol=1e-5, atol=1e-5)


def test_embedding_kernels_share_large_work(rng):
    ids, table = rng.integers(0, 7, 4000), rng.normal(size=(7, 40)).astype("float32")
    dy = rng.normal(size=(4000, 40)).astype("float32")
    rooms_agree("core", "embedding_forward", [ids, table], [(4000, 40)], rooms=("reference", "cpu"))
    rooms_agree("core", "embedding_backward", [ids, dy], [table], rooms=("reference", "cpu"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N, V, D", SIZES)
def test_masking_kernels(N, V, D, dtype, rng):
    x = rng.normal(size=(N, D)).astype(dtype)
    x[:: 2] = 0.1
    value = np.dtype(dtype).type(0.1)
    [mask] = rooms_agree("core", "masking_mask", [x, value], [np.zeros(N, bool)])
    np.testing.assert_array_equal(mask, np.arange(N) % 2 == 1)
    [y] = rooms_agree("core", "masking_apply", [x, mask], [(N, D)])
    np.testing.assert_array_equal(y, np.where(mask[:, None], x, 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N, V, D", SIZES)
def test_bias_kernel(N, V, D, dtype, rng):
    dz, before = rng.normal(size=(N, D)).astype(dtype), rng.normal(size=D).astype(dtype)
    [db] = rooms_agree("core", "bias_backward", [dz], [before])
    np.testing.assert_allclose(db, before + dz.sum(axis=0), rtol=1e-4, atol=1e-5)


DENSE = [dict(), dict(use_bias=False), dict(activation="relu"), dict(activation="softmax"),
         dict(activation="tanh", use_bias=False), dict(activity_regularizer="l2", activation="sigmoid")]


@pytest.mark.parametrize("arguments", DENSE, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (2, 3, 5), (2, 1, 3, 4)])
def test_dense_gradients(shape, arguments, rng):
    assert nblayers.gradcheck(Dense(3, bias_initializer="random_normal", **arguments), rng.normal(size=shape))


@pytest.mark.parametrize("shape, arguments, dtype", [
    ((1, 1), {}, "float32"), ((4, 3), {}, "float64"), *(((2, 3, 5), arguments, "float32") for arguments in DENSE[:-1])])
def test_dense_agrees_with_keras(shape, arguments, dtype, rng, x64):
    x = rng.normal(size=shape).astype(dtype)
    ours, theirs = (cls(3, bias_initializer="random_normal", dtype=dtype, **arguments) for cls in (Dense, keras.layers.Dense))
    agrees_with_keras(ours, theirs, x)


def test_dense_activity_regularizer_agrees_with_keras(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    ours, theirs = Dense(2, activity_regularizer="l2"), keras.layers.Dense(2, activity_regularizer="l2")
    ours(x), theirs(x)
    copy_weights(ours, theirs)
    ours(x), theirs(x)
    assert ours.losses == pytest.approx([float(loss) for loss in theirs.losses], rel=1e-5)


def test_dense_in_every_room(device, rng):
    x, dy = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 4))
    reference = Dense(4, "tanh", dtype="float64").to("reference")
    expected = reference(x)
    layer = Dense(4, "tanh", dtype="float64")
    layer.build(x.shape)
    copy_weights(reference, layer)
    layer.to(device)
    np.testing.assert_allclose(to_numpy(layer(x)), expected, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(layer.backward(dy)), reference.backward(dy), rtol=1e-10)
    for ours, theirs in zip(layer.weights, reference.weights, strict=True):
        np.testing.assert_allclose(to_numpy(ours.grad), theirs.grad, rtol=1e-10)


def test_dense_initializers_regularizers_constraints():
    layer = Dense(2, kernel_initializer="ones", bias_initializer=initializers.Constant(3.0), bias_regularizer="l2",
                  kernel_regularizer=regularizers.L1(0.5), kernel_constraint="non_neg", bias_constraint="max_norm")
    y = layer(np.ones((1, 4), "float32"))
    np.testing.assert_array_equal(y, [[7, 7]])
    assert layer.losses == pytest.approx([0.5 * 8, 0.01 * 18])
    np.testing.assert_array_equal(layer.kernel.constraint(-layer.kernel.value), 0)
    assert layer.bias.constraint is not None and [weight.name for weight in layer.weights] == ["kernel", "bias"]


def test_dense_without_bias_has_one_weight():
    layer = Dense(2, use_bias=False)
    layer.build((None, 3))
    assert layer.bias is None and [weight.name for weight in layer.weights] == ["kernel"]


def test_dense_activation_may_be_a_function(rng):
    from nblayers import activations
    x = rng.normal(size=(2, 3))
    by_name, by_function = Dense(2, "tanh", dtype="float64"), Dense(2, activations.tanh, dtype="float64")
    by_name.build((None, 3)), by_function.build((None, 3))
    copy_weights(by_name, by_function)
    np.testing.assert_array_equal(by_name(x), by_function(x))


def test_dense_takes_two_steps(rng):
    layer, x = Dense(2, "tanh", dtype="float64"), rng.normal(size=(8, 3))
    target, losses = np.tanh(rng.normal(size=(8, 2))), []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for weight in layer.trainable_weights:
            weight.value -= 0.01 * weight.grad
    assert losses[0] > losses[1] > losses[2]


def test_dense_of_a_view(rng):
    layer, x = Dense(2, dtype="float64"), rng.normal(size=(6, 8))
    expected = layer(x[::2, ::-2].copy())
    np.testing.assert_array_equal(layer(x[::2, ::-2]), expected)
    dy = rng.normal(size=(2, 3)).T
    np.testing.assert_array_equal(layer.backward(dy), layer.backward(dy.copy()))


@pytest.mark.parametrize("make", [lambda: Dense(2, "tanh"), lambda: Linear(3, 2)])
def test_no_steps(make):
    layer = make()
    assert layer(np.zeros((4, 0, 3))).shape == (4, 0, 2)
    assert layer.backward(np.zeros((4, 0, 2))).shape == (4, 0, 3)
    assert not any(weight.grad.any() for weight in layer.weights)


@pytest.mark.parametrize("shape", [(None, 3), (7, None, 3)])
def test_dense_output_shape(shape):
    assert Dense(5).compute_output_shape(shape) == keras.layers.Dense(5).compute_output_shape(shape) == (*shape[:-1], 5)


@pytest.mark.parametrize("units", [0, -1, 2.0, "3", None, True])
def test_dense_units(units):
    with pytest.raises(ValueError, match="Dense 'd': expected a positive integer as units, got"):
        Dense(units, name="d")


def test_dense_errors(rng):
    layer = Dense(2, name="d")
    with pytest.raises(ValueError, match=r"Dense 'd': expected an input of at least 2 axes, got 1 \(shape \(3,\)\)"):
        layer(np.ones(3))
    with pytest.raises(ValueError, match=r"Dense 'd': expected an input whose last axis is known, got shape \(2, None\)"):
        layer.build((2, None))
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Dense 'd': expected size 3 on axis -1 of the input, got 4 \(shape \(2, 4\)\)"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match="unknown activation"):
        Dense(2, activation="nonsense")
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        Dense(2).backward(np.ones((1, 2)))


@pytest.mark.parametrize("option", [dict(lora_rank=2), dict(lora_alpha=1.0), dict(quantization_config={})])
@pytest.mark.parametrize("make", [functools.partial(Dense, 3), functools.partial(Embedding, 3, 2),
                                  functools.partial(EinsumDense, "ab,bc->ac", 3)])
def test_lora_and_quantization_are_refused(make, option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: low-rank adaptation and quantization are not supported"):
        make(**option)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (2, 3, 5)])
def test_linear_gradients(shape, bias, rng):
    assert nblayers.gradcheck(Linear(shape[-1], 2, bias=bias), rng.normal(size=shape))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (2, 3, 5)])
def test_linear_agrees_with_torch(shape, bias, device, rng):
    theirs = torch.nn.Linear(shape[-1], 2, bias=bias, dtype=torch.float64)
    ours = Linear(shape[-1], 2, bias=bias, dtype="float64").to(device)
    ours.set_weights([parameter.detach().numpy() for parameter in theirs.parameters()])
    x, dy = torch.tensor(rng.normal(size=shape), requires_grad=True), torch.tensor(rng.normal(size=(*shape[:-1], 2)))
    y = theirs(x)
    y.backward(dy)
    np.testing.assert_allclose(to_numpy(ours(x.detach().numpy())), y.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(to_numpy(ours.backward(dy.numpy())), x.grad.numpy(), rtol=1e-12, atol=1e-14)
    for mine, parameter in zip(ours.weights, theirs.parameters(), strict=True):
        np.testing.assert_allclose(to_numpy(mine.grad), parameter.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_linear_is_dense_with_the_weight_transposed(rng):
    x, linear, dense = rng.normal(size=(4, 3)), Linear(3, 2, dtype="float64"), Dense(2, dtype="float64")
    dense.build((None, 3))
    weight, bias = linear.get_weights()
    dense.set_weights([weight.T, bias])
    np.testing.assert_allclose(linear(x), dense(x))


def test_linear_starts_as_in_torch():
    layer = Linear(100, 500)
    assert layer.weight.shape == (500, 100) and layer.bias.shape == (500,) and layer.built
    for parameter in layer.weights:
        assert 0.09 < np.abs(parameter.value).max() <= 0.1 and abs(parameter.value.mean()) < 0.02
        assert parameter.value.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)


def test_linear_config_and_errors():
    layer = Linear(3, 2, bias=False, name="l")
    again = Linear.from_config(layer.get_config())
    assert (again.in_features, again.out_features, again.bias, again.name) == (3, 2, None, "l")
    assert layer.compute_output_shape((None, 5, 3)) == (None, 5, 2)
    with pytest.raises(ValueError, match="Linear 'l': expected size 3 on axis -1 of the input, got 4"):
        layer(np.ones((1, 4)))
    with pytest.raises(ValueError, match="expected a positive integer as out_features, got 0"):
        Linear(3, 0)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 3, 4)])
@pytest.mark.parametrize("arguments", [dict(), dict(mask_zero=True), dict(activity_regularizer="l2")], ids=str)
def test_embedding_gradients(shape, arguments, rng):
    assert nblayers.gradcheck(Embedding(4, 3, **arguments), rng.integers(0, 4, shape))


@pytest.mark.parametrize("shape", [(1,), (2, 5), (2, 3, 4)])
def test_embedding_agrees_with_keras(shape, rng):
    agrees_with_keras(Embedding(4, 3), keras.layers.Embedding(4, 3), rng.integers(0, 4, shape))


def test_embedding_agrees_with_torch(device, rng):
    theirs, ours = torch.nn.Embedding(7, 3, dtype=torch.float64), Embedding(7, 3, dtype="float64")
    ours.build(None)
    ours.set_weights([theirs.weight.detach().numpy()])
    ours.to(device)
    ids, dy = rng.integers(0, 7, (4, 6)), rng.normal(size=(4, 6, 3))
    y = theirs(torch.tensor(ids))
    y.backward(torch.tensor(dy))
    np.testing.assert_array_equal(to_numpy(ours(ids)), y.detach().numpy())
    assert ours.backward(dy) is None
    np.testing.assert_allclose(to_numpy(ours.embeddings.grad), theirs.weight.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64", "bool", "float32", "float64"])
def test_embedding_of_every_kind_of_id(dtype):
    layer = Embedding(3, 2)
    y = layer(np.array([[0, 1], [1, 0]], dtype))
    np.testing.assert_array_equal(y, layer.embeddings.value[[[0, 1], [1, 0]]])
    assert y.dtype == np.float32
    assert layer.backward(y) is None


def test_embedding_of_large_ids_in_float64():
    layer = Embedding(2**24 + 2, 1, embeddings_initializer="zeros")
    layer.build(None)
    layer.embeddings.value[-1] = 1
    np.testing.assert_array_equal(layer(np.array([2.0**24 + 1, 2.0**24])), [[1], [0]])


def test_embedding_of_no_steps():
    layer = Embedding(3, 2)
    assert layer(np.zeros((4, 0), int)).shape == (4, 0, 2)
    assert layer.backward(np.zeros((4, 0, 2))) is None


@pytest.mark.parametrize("ids, found", [
    ([[0, 5], [1, 2]], r"5 at index \(0, 1\)"), ([[0, 1], [-1, 9]], r"-1 at index \(1, 0\)"),
    (np.array([[0, 2**64 - 1]], np.uint64), r"18446744073709551615 at index \(0, 1\)"), ([7.0], r"7.0 at index \(0,\)")])
def test_embedding_ids_out_of_range(device, ids, found):
    with pytest.raises(ValueError, match=f"Embedding 'e': expected ids from 0 to 4, got {found}"):
        Embedding(5, 2, name="e").to(device)(np.array(ids))


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("error")
def test_embedding_ids_must_be_whole(value):
    with pytest.raises(ValueError, match=rf"Embedding 'e': expected whole numbers as ids, got {value} at index \(0, 1\)"):
        Embedding(5, 2, name="e")(np.array([[1, value]]))


def test_embedding_of_text_is_an_error():
    with pytest.raises(TypeError, match="Embedding 'e': expected an array of numbers, got dtype <U3"):
        Embedding(5, 2, name="e")(np.array([["the", "cat"]]))


def test_embedding_initial_weights(rng):
    table = rng.normal(size=(4, 3)).astype("float32")
    for weights in (table, [table]):
        layer = Embedding(4, 3, weights=weights)
        assert layer.built
        np.testing.assert_array_equal(layer([[2]]), table[[[2]]])
        np.testing.assert_array_equal(keras.layers.Embedding(4, 3, weights=weights)(np.array([[2]])), table[[[2]]])
    with pytest.raises(ValueError, match=r"expected weight 'e/embeddings' of shape \(4, 3\), got \(3, 4\)"):
        Embedding(4, 3, weights=table.T, name="e")


def test_embedding_options():
    layer = Embedding(4, 3, embeddings_initializer="ones", embeddings_regularizer="l1", embeddings_constraint="unit_norm")
    layer.build((None, 5))
    assert layer.losses == pytest.approx([0.01 * 12]) and layer.embeddings.constraint is not None
    assert np.abs(Embedding(400, 3)([[0]])).max() <= 0.05


def test_embedding_keras_2_arguments():
    assert Embedding(4, 3, input_length=7).declared_input_shape == (None, 7)
    assert Embedding(input_dim=4, output_dim=3, batch_input_shape=(2, 7)).declared_input_shape == (2, 7)


def test_embedding_mask():
    ids = np.array([[0, 2], [1, 0]])
    np.testing.assert_array_equal(Embedding(3, 2, mask_zero=True).compute_mask(ids), ids != 0)
    assert Embedding(3, 2).compute_mask(ids) is None
    assert Embedding(3, 2, mask_zero=True).supports_masking and not Embedding(3, 2).supports_masking


@pytest.mark.parametrize("name, size", [("input_dim", 0), ("input_dim", True), ("output_dim", -1), ("output_dim", 2.5)])
def test_embedding_sizes(name, size):
    with pytest.raises(ValueError, match=f"expected a positive integer as {name}, got {size}"):
        Embedding(**{"input_dim": 3, "output_dim": 2, name: size})


def test_embedding_output_shape():
    assert Embedding(3, 2).compute_output_shape((None, None)) == (None, None, 2)


def test_embedding_takes_two_steps():
    layer, ids, target = Embedding(3, 2, dtype="float64"), np.array([[0, 1, 1]]), np.ones((1, 3, 2))
    untouched, losses = None, []
    for _ in range(3):
        y = layer(ids, training=True)
        untouched = layer.embeddings.value[2].copy() if untouched is None else untouched
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        layer.embeddings.value -= 0.1 * layer.embeddings.grad
    assert losses[0] > losses[1] > losses[2]
    np.testing.assert_array_equal(layer.embeddings.value[2], untouched)


def steps(rng, shape, value, dtype="float64"):
    """Random steps, of which the first and some others are all `value`; one holds it in part."""
    x = rng.normal(size=shape).astype(dtype)
    rows = x.reshape(-1, shape[-1])
    rows[::2] = value
    rows[-1, 0] = value
    return x


@pytest.mark.parametrize("value", [0.0, -1.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 5, 3), (4, 2), (1, 1, 1), (2, 3, 2, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_masking_agrees_with_keras(shape, value, dtype, device, rng, x64):
    x, dy = steps(rng, shape, value, dtype), rng.normal(size=shape).astype(dtype)
    ours, theirs = Masking(value, dtype=dtype).to(device), keras.layers.Masking(value, dtype=dtype)
    expected = keras_vjp(theirs, x, dy)
    np.testing.assert_array_equal(to_numpy(ours(x)), expected.outputs)
    np.testing.assert_array_equal(to_numpy(ours.backward(dy)), expected.inputs)
    np.testing.assert_array_equal(to_numpy(ours.compute_mask(x)), np.asarray(theirs.compute_mask(x)))


def test_masking_gradients(rng):
    x = steps(rng, (2, 5, 3), 0.0)
    x[x == 0] = 1e-300              # a step that is exactly the mask value has no derivative
    assert nblayers.gradcheck(Masking(), x)
    layer = Masking(dtype="float64")
    layer(np.zeros((1, 2, 3)))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 2, 3))), 0)


def test_masking_ignores_a_mask_that_comes_in():
    x = np.array([[[0.0], [1.0]]])
    np.testing.assert_array_equal(Masking().compute_mask(x, np.array([[True, False]])), [[False, True]])


def test_masking_the_rest():
    assert Masking().supports_masking and Masking().compute_output_shape((None, 3, 2)) == (None, 3, 2)
    with pytest.raises(ValueError, match="Masking 'm': expected an input of at least 2 axes"):
        Masking(name="m")(np.ones(3))
    with pytest.raises(ValueError, match="Masking 'm': expected a number as mask_value, got 'x'"):
        Masking("x", name="m")


def test_identity(rng):
    x = rng.normal(size=(2, 3))
    assert nblayers.gradcheck(Identity(), x)
    assert nblayers.gradcheck(Identity(activity_regularizer="l2"), x)
    assert Identity().supports_masking and Identity().compute_output_shape((None, 3)) == (None, 3)


def test_identity_of_a_list_and_of_integers(rng):
    layer = Identity(dtype="float64")
    x, ids = rng.normal(size=(2, 3)), np.array([1, 2])
    y = layer([x, ids])
    assert y[0] is x and y[1].dtype == ids.dtype
    dx, d_ids = layer.backward([x, None])
    np.testing.assert_array_equal(dx, x)
    assert d_ids is None


def test_lambda_with_a_gradient(rng):
    layer = Lambda(square, gradient=lambda x, dy: 2 * x * dy)
    assert nblayers.gradcheck(layer, rng.normal(size=(2, 3)))
    assert not nblayers.gradcheck(Lambda(square, gradient=lambda x, dy: x * dy), rng.normal(size=(2, 3)), raise_error=False)


def worked_in_place(x):
    x *= 2
    return x


def gradient_in_place(x, dy):
    x *= 0
    dy *= 2
    return dy


def test_lambda_may_work_in_place(rng):
    """Nobody else's arrays change: neither the caller's nor those that the layers beside it hold."""
    layer, x, dy = Lambda(worked_in_place, gradient=gradient_in_place), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    layer.astype("float64")
    given, upstream = x.copy(), dy.copy()
    np.testing.assert_array_equal(layer(x), 2 * given)
    np.testing.assert_array_equal(layer.backward(dy), 2 * upstream)
    np.testing.assert_array_equal(layer.backward(dy), 2 * upstream)
    np.testing.assert_array_equal([x, dy], [given, upstream])
    nblayers.gradcheck(layer, x)
    several = Lambda(lambda both: [worked_in_place(a) for a in both], dtype="float64",
                     gradient=lambda xs, dys: [gradient_in_place(xs[0], dys[0]), None])
    several([x, dy])
    several.backward([dy, dy])
    np.testing.assert_array_equal([x, dy], [given, upstream])


def test_lambda_in_place_within_models(rng):
    from nblayers.models import Model, Sequential
    x, inputs = rng.normal(size=(2, 3)).astype("float32"), nblayers.layers.Input((3,))
    given = x.copy()
    views = Sequential([inputs, Identity(), Lambda(lambda x: x, gradient=lambda x, dy: dy),
                        Lambda(worked_in_place, gradient=gradient_in_place)])
    np.testing.assert_array_equal(views(x), 2 * given)
    np.testing.assert_array_equal(views.predict(x, verbose=0), 2 * given)
    same = Identity()(inputs)
    branches = Model(inputs, [Lambda(worked_in_place, gradient=gradient_in_place)(same), Lambda(np.negative)(same), same])
    np.testing.assert_array_equal(branches(x), [2 * given, -given, given])
    np.testing.assert_array_equal(x, given)


def test_lambda_in_place_on_a_mask():
    def hide(x, mask):
        mask[:] = False
        return x

    mask = np.ones((2, 3), bool)
    Lambda(hide)(np.ones((2, 3, 1), "f"), mask=mask)
    assert mask.all()


def test_lambda_of_several_inputs(rng):
    layer = Lambda(lambda inputs: inputs[0] * inputs[1], gradient=lambda x, dy: [dy * x[1], dy * x[0]])
    assert nblayers.gradcheck(layer, [rng.normal(size=(2, 3)), rng.normal(size=(2, 3))])


def test_lambda_of_several_outputs(rng):
    layer = Lambda(lambda x: (x[:, :1], x ** 2), gradient=lambda x, dy: 2 * x * dy[1] + np.pad(dy[0], [(0, 0), (0, 2)]))
    assert nblayers.gradcheck(layer, rng.normal(size=(2, 3)))


@pytest.mark.filterwarnings("ignore:Layer 'lambda:UserWarning")
def test_lambda_arguments_mask_and_training(rng, x64):
    x, mask = rng.normal(size=(2, 3)), np.array([True, False])

    def f(x, scale, mask=None, training=False):
        return scale * x * mask[:, None] * (2 if training else 1)

    def g(x, dy, scale, mask, training):
        return scale * dy * mask[:, None] * (2 if training else 1)

    ours = Lambda(f, arguments={"scale": 3.0}, gradient=g, dtype="float64")
    theirs = keras.layers.Lambda(f, arguments={"scale": 3.0}, dtype="float64")
    for training in (False, True):
        y = ours(x, mask=mask, training=training)
        np.testing.assert_array_equal(y, f(x, 3.0, mask, training))
        np.testing.assert_allclose(y, theirs(x, mask=mask, training=training), rtol=1e-12)
        assert nblayers.gradcheck(ours, x, mask=mask, training=training)


def test_lambda_without_a_gradient(rng):
    layer = Lambda(square, name="l")
    layer(rng.normal(size=(2, 3)))
    with pytest.raises(NotImplementedError, match=r"Lambda 'l': no gradient: pass .* as Lambda\(function, gradient=g\)"):
        layer.backward(np.ones((2, 3)))


@pytest.mark.parametrize("function, derivative", [
    (lambda x: np.tanh(x) ** 2, lambda x: 2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
    (lambda x: x[:, :1] * x.sum(axis=1, keepdims=True), None), (lambda x: np.exp(3 * x), lambda x: 3 * np.exp(3 * x))])
def test_lambda_with_a_measured_gradient(function, derivative, device, rng):
    layer = Lambda(function, gradient="numeric").to(device)
    x = rng.normal(size=(2, 3))
    assert nblayers.gradcheck(layer, x)
    if derivative is not None:
        for dtype, rtol in (("float32", 1e-6), ("float64", 1e-8)):
            layer = Lambda(function, gradient="numeric", dtype=dtype).to(device)
            y = layer(x)
            dy = rng.normal(size=y.shape).astype(dtype)
            dx = layer.backward(dy)
            assert dx.dtype == dtype
            np.testing.assert_allclose(to_numpy(dx), dy * derivative(x.astype(dtype).astype(float)), rtol=rtol, atol=1e-9)


def test_lambda_measures_several_inputs_outputs_and_options(rng):
    def both(x, power, mask=None, training=False):
        kept = x[0] * mask[..., None] if mask is not None else x[0]
        return [kept ** power, x[1] * x[0][:, :1] * (2 if training else 1)]

    layer = Lambda(both, arguments={"power": 3}, gradient="numeric")
    a, b, mask = rng.normal(size=(2, 3)), rng.normal(size=(2, 2)), np.array([True, False])
    assert nblayers.gradcheck(layer, [a, b], mask=mask, training=True)
    kept, layer = a.copy(), Lambda(lambda x: x[0] * x[1], gradient="numeric", dtype="float64")
    layer([a, np.array([[2], [3]])])
    da, nothing = layer.backward(np.ones((2, 3)))
    np.testing.assert_allclose(da, [[2] * 3, [3] * 3])
    assert nothing is None
    np.testing.assert_array_equal(a, kept)
    assert Lambda.from_config(Lambda(square, gradient="numeric").get_config(), {"square": square}).gradient == "numeric"


def test_lambda_dtypes():
    image = np.array([[0, 255]], np.uint8)
    y = Lambda(lambda x: x / 255.0)(image)              # document 000
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [[0, 1]])
    seen = Lambda(lambda x: x)
    assert seen(image).dtype == np.uint8 and seen(np.ones((1, 2))).dtype == np.float32
    layer = Lambda(lambda x: 0.5 * x, gradient=lambda x, dy: 0.5 * dy)
    layer(image)
    assert layer.backward(np.ones((1, 2))) is None
    layer(np.ones((1, 2), "float32"))
    assert layer.backward(np.ones((1, 2))).dtype == np.float32


def test_lambda_gradient_is_checked():
    layer = Lambda(square, gradient=lambda x, dy: dy[:1], name="l")
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Lambda 'l': expected gradient to return shape \(2, 3\), .* got \(1, 3\)"):
        layer.backward(np.ones((2, 3)))
    layer = Lambda(lambda x: x[0] + x[1], gradient=lambda x, dy: dy, name="l")
    layer([np.ones((2, 3)), np.ones((2, 3))])
    with pytest.raises(ValueError, match="Lambda 'l': expected gradient to return a list of 2 arrays"):
        layer.backward(np.ones((2, 3)))


def test_lambda_needs_functions():
    with pytest.raises(TypeError, match="Lambda 'l': expected a function as function, got 3"):
        Lambda(3, name="l")
    with pytest.raises(TypeError, match="Lambda 'l': expected a function as gradient, or 'numeric', got 3"):
        Lambda(square, gradient=3, name="l")


@pytest.mark.parametrize("output_shape, expected", [
    (None, (None, 6)), ((6,), (None, 6)), ([6], (None, 6)), (lambda shape: (shape[0], 2 * shape[1]), (None, 6))])
def test_lambda_output_shape(output_shape, expected):
    layer = Lambda(lambda x: np.concatenate([x, x], axis=-1), output_shape=output_shape)
    assert layer.compute_output_shape((None, 3)) == expected


def test_lambda_output_shape_of_lists():
    assert Lambda(lambda x: x[0], output_shape=(3,)).compute_output_shape([(5, 3), (5, 2)]) == (5, 3)
    assert Lambda(lambda x: [x, x], output_shape=[(3,), (4,)]).compute_output_shape((None, 3)) == [(None, 3), (None, 4)]


def test_lambda_mask():
    mask = np.array([[True, False]])
    assert Lambda(square, mask=mask).compute_mask(None) is mask
    assert Lambda(square, mask=lambda x, previous: previous).compute_mask(None, mask) is mask
    assert Lambda(square, mask=mask).supports_masking and not Lambda(square).supports_masking
    with pytest.warns(UserWarning, match="does not support masking"):
        assert Lambda(square).compute_mask(None, mask) is None


# EinsumDense: equation, output_shape, bias_axes, input; all ways to lie in memory, batches of products, sums over an axis

EINSUMS = [
    ("ab,bc->ac", 5, "c", (2, 3)), ("abc,cd->abd", (None, 4), "d", (2, 3, 5)), ("...x,xy->...y", 4, "y", (2, 3, 5)),
    ("...x,xy->...y", 4, None, (1, 3)), ("abc,cde->abde", (3, 4, 2), "de", (2, 3, 5)),
    ("abcd,cde->abe", (3, 4), "e", (2, 3, 4, 5)), ("abc,bcd->abd", (3, 4), "b", (2, 3, 5)),
    ("ab...,bc->ac...", 6, "c", (2, 3, 4, 5)),
    ("abc,dc->abd", (3, 4), None, (2, 3, 5)),
    ("abc,dcb->acd", (5, 4), "c", (2, 3, 5)), ("abc,cd->adb", (4, 3), "db", (2, 3, 5)), ("abc,bd->adc", (4, 5), "d", (2, 3, 5)),
    ("abc,cd->ad", 4, "d", (2, 3, 5)), ("...ab,bc->...ac", (3, 4), "a", (2, 6, 3, 5)), ("abc,bd->acd", (5, 4), "cd", (2, 3, 5)),
    ("ab,b->ab", 3, "b", (2, 3)), ("ab,cd->abcd", (3, 4, 5), "bd", (2, 3)),
    ("abb,bc->ac", 4, "c", (2, 3, 3)), ("abb,bc->abc", (3, 4), "b", (2, 3, 3)), ("ab,bb->a", (), None, (2, 3)),
    ("ab,bcc->ac", 4, None, (2, 3)), ("abbd,dc->ac", 4, None, (2, 3, 3, 2)), ("abb...,bc->ac...", 4, None, (2, 3, 3, 5)),
]


@pytest.mark.parametrize("equation, output_shape, bias_axes, shape", EINSUMS)
def test_einsum_dense(equation, output_shape, bias_axes, shape, rng):
    arguments = dict(equation=equation, output_shape=output_shape, activation="tanh", bias_axes=bias_axes)
    ours, theirs = EinsumDense(**arguments, bias_initializer="random_normal"), keras.layers.EinsumDense(**arguments)
    x = rng.normal(size=shape)
    agrees_with_keras(ours, theirs, x.astype("float32"))
    assert ours.compute_output_shape(shape) == ours(x).shape
    for unknown, length in zip(theirs.compute_output_shape((None, *shape[1:])), (None, *ours(x).shape[1:]), strict=True):
        assert unknown in (None, length)
    layer = EinsumDense(**arguments, bias_initializer="random_normal")
    assert nblayers.gradcheck(layer, x)
    layer.input_gradient = False
    layer(x)
    assert layer.backward(rng.normal(size=ours(x).shape)) is None


@pytest.mark.parametrize("equation, output_shape, bias_axes, shape", [EINSUMS[4], EINSUMS[6], EINSUMS[9], EINSUMS[-2]])
def test_einsum_dense_in_every_room(equation, output_shape, bias_axes, shape, device, rng):
    layer = EinsumDense(equation, output_shape, bias_axes=bias_axes, dtype="float64")
    reference = EinsumDense(equation, output_shape, bias_axes=bias_axes, dtype="float64").to("reference")
    x = rng.normal(size=(*shape[:-1], 2 * shape[-1]))[..., ::2]
    y = reference(x)
    layer.build(shape)
    layer.set_weights(reference.get_weights())
    layer.to(device)
    dy = rng.normal(size=y.shape)
    np.testing.assert_allclose(to_numpy(layer(x)), y, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(layer.backward(dy)), reference.backward(dy), rtol=1e-12)
    for own, other in zip(layer.weights, reference.weights, strict=True):
        np.testing.assert_allclose(to_numpy(own.grad), other.grad, rtol=1e-12)


@pytest.mark.parametrize("equation, output_shape, bias_axes, shape, message", [
    ("ab,bc", 4, None, (2, 3), "expected an equation of the form"),
    ("ab, bc->ac", 4, None, (2, 3), "expected an equation of the"),
    ("ab,bc->ac...", 4, None, (2, 3), "expected an equation of the form"),
    ("abc,cd->abd", (3, 4), None, (2, 5), "expected an input of 3 axes for 'abc,cd->abd', got 2"),
    ("...bc,cd->...bd", (3, 4), None, (2,), "expected an input of at least 2 axes"),
    ("ab,bc->acc", (4, 4), None, (2, 3), "expected each letter once in the output 'acc'"),
    ("abb,bc->ac", 4, None, (2, 3, 5), r"expected axes of one size for 'b' of 'abb,bc->ac', got \[3, 5\] of an input of shape"),
    ("ab,bcz->ac", 4, None, (2, 3), "expected every letter of the kernel elsewhere in 'ab,bcz->ac', got 'z'"),
    ("ab,bc->acz", (4, 5), None, (2, 3), "expected every letter of the output elsewhere in 'ab,bc->acz', got 'z'"),
    ("abc,cd->abd", (7, 4), None, (2, 3, 5), "expected input and output of one size on axis 'b', got 3 .* 7 from output_shape"),
    ("ab,bc->ac", (4, 5), None, (2, 3), r"expected output_shape of 1 sizes .* got \(4, 5\)"),
    ("ab,bc->ac", None, None, (2, 3), "expected a size above 0 for axis 'c' of the kernel"),
    ("ab,bc->ac", 4, "z", (2, 3), "expected bias_axes among the letters of the output of 'ab,bc->ac', got 'z'"),
    ("ab,bc->ac", 4, "", (2, 3), "expected bias_axes among the letters"),
    ("abc,cd->abd", (None, 4), "b", (2, None, 5), "expected a size above 0 for axis 'b' of the bias")])
def test_einsum_dense_errors(equation, output_shape, bias_axes, shape, message):
    with pytest.raises(ValueError, match=f"EinsumDense 'e': {message}"):
        EinsumDense(equation, output_shape, bias_axes=bias_axes, name="e").build(shape)


def test_einsum_dense_the_rest(rng):
    layer = EinsumDense("abc,cd->abd", (None, 4), name="e")
    x = rng.normal(size=(2, 3, 5))
    assert layer(x).shape == (2, 3, 4) and layer(x[:1, :2]).shape == (1, 2, 4)
    with pytest.raises(ValueError, match="EinsumDense 'e': expected size 5 on axis 2 of the input, got 4"):
        layer(x[..., :4])
    with pytest.raises(ValueError, match="EinsumDense 'e': expected an input of 3 axes, got 2"):
        layer(x[0])
    with pytest.raises(ValueError, match="expected output_shape as sizes and None, got 'a'"):
        EinsumDense("ab,bc->ac", "a")
    limit = np.sqrt(6 / (400 + 6))                      # the kernel's axes c and d are its inputs, e its outputs
    layer = EinsumDense("abcd,cde->abe", (None, 6))
    layer.build((None, 2, 20, 20))
    assert 0.95 * limit < np.abs(layer.kernel.value).max() <= limit
    model = nblayers.Sequential([nblayers.Input((3, 5)), EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"),
                                 nblayers.layers.Flatten(), Dense(1)])
    assert model.output_shape == (None, 1) and model.layers[0].compute_output_shape((None, 3, 5)) == (None, 3, 4)
    model.compile("sgd", "mse")
    losses = [model.train_on_batch(x, np.ones((2, 1))) for _ in range(5)]
    assert losses[-1] < losses[0]


CONFIGURED = [
    ("EinsumDense", dict(equation="ab,bc->ac", output_shape=4, name="e")),
    ("EinsumDense", dict(equation="abc,cd->abd", output_shape=(None, 4), bias_axes="d", activation="relu", name="e",
                         kernel_initializer="he_normal", bias_initializer="ones", kernel_regularizer="l1",
                         bias_regularizer="l2", activity_regularizer="l2", kernel_constraint="max_norm",
                         bias_constraint="non_neg")),
    ("Dense", dict(units=3, name="d")),
    ("Dense", dict(units=3, activation="relu", use_bias=False, kernel_initializer="he_normal", bias_initializer="ones",
                   kernel_regularizer="l1", bias_regularizer="l2", activity_regularizer="l2", kernel_constraint="max_norm",
                   bias_constraint="non_neg", name="d", trainable=False, dtype="float64")),
    ("Embedding", dict(input_dim=3, output_dim=2, name="e")),
    ("Embedding", dict(input_dim=3, output_dim=2, embeddings_initializer="zeros", embeddings_regularizer="l2",
                       embeddings_constraint="unit_norm", mask_zero=True, activity_regularizer="l1", name="e")),
    ("Masking", dict(mask_value=-1.0, name="m")), ("Masking", dict(name="m")), ("Identity", dict(name="i")),
]


@pytest.mark.parametrize("name, arguments", CONFIGURED)
def test_config_both_ways(name, arguments):
    ours_class, theirs_class = getattr(nblayers.layers, name), getattr(keras.layers, name)
    ours, theirs = ours_class(**arguments), theirs_class(**arguments)
    assert sorted(ours.get_config()) == sorted(theirs.get_config())
    assert ours_class.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert theirs_class.from_config(ours.get_config()).get_config() == theirs.get_config()
    again = ours_class.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()


def test_lambda_config_of_a_lambda_both_ways():
    offset = 3.0
    arguments = dict(function=lambda x, b=2.0: x * offset * b, output_shape=(3,), mask=lambda x, m: m, arguments={"b": 4.0},
                     name="l")
    ours, theirs = Lambda(**arguments), keras.layers.Lambda(**arguments)
    config, keras_config = ours.get_config(), theirs.get_config()
    for key in ("function", "mask"):                    # with what tells the version of Python, which Keras leaves out
        assert keras_config[key]["config"].items() <= config[key]["config"].items()
    x = np.ones((1, 3), "float32")
    again = Lambda.from_config(config, safe_mode=False)
    np.testing.assert_array_equal(again(x), 12 * x)
    with pytest.raises(ValueError, match=r"Lambda 'l': function: .* does not tell the version of Python"):
        Lambda.from_config(keras_config, safe_mode=False)
    assert again.compute_mask(x, "m") == "m" and again.compute_output_shape((None, 3)) == (None, 3)
    np.testing.assert_array_equal(keras.layers.Lambda.from_config(ours.get_config(), safe_mode=False)(x), 12 * x)


def test_lambda_config_is_refused_in_safe_mode():
    config = Lambda(lambda x: x).get_config()
    with pytest.raises(ValueError, match=r"the configuration brings a lambda as bytecode.*safe_mode=False"):
        Lambda.from_config(config)
    config["function"]["config"]["code"] = "AAAA"
    with pytest.raises(ValueError, match="cannot read the lambda's bytecode"):
        Lambda.from_config(config, safe_mode=False)


def test_lambda_sees_numpy_after_from_config():
    again = Lambda.from_config(Lambda(lambda x: np.exp(x), gradient=lambda x, dy: np.exp(x) * dy).get_config(), safe_mode=False)
    assert nblayers.gradcheck(again, np.ones((2, 3)))


def test_lambda_config_of_a_named_function(rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    ours, theirs = Lambda(square, name="l"), keras.layers.Lambda(square, name="l")
    assert ours.get_config() == theirs.get_config()
    np.testing.assert_array_equal(Lambda.from_config(theirs.get_config(), custom_objects={"square": square})(x), x ** 2)
    with pytest.raises(ValueError, match="Lambda 'l': function: found no function 'square': register it with register_keras_s"):
        Lambda.from_config(ours.get_config())


def test_lambda_config_of_a_registered_function():
    @register_keras_serializable(package="test_core")
    def cube(x):
        return x ** 3

    np.testing.assert_array_equal(Lambda.from_config(Lambda(cube).get_config())(np.full((1, 2), 2.0)), 8)


def test_lambda_config_of_something_else():
    with pytest.raises(TypeError, match=r"Lambda 'l': get_config can write down a named function, .* functools\.partial"):
        Lambda(functools.partial(np.add, 1), name="l").get_config()


def test_nn_names():
    x = np.ones((2, 3, 4), "float32")
    assert nn.Linear(4, 5)(x).shape == (2, 3, 5)
    assert nn.Flatten()(x).shape == (2, 12) and nn.Identity(54, unused=1)(x).shape == (2, 3, 4)
    assert nn.Dropout().rate == 0.5 and nn.Dropout(p=0.2).rate == 0.2
    np.testing.assert_array_equal(nn.ReLU()(-x), 0 * x)
    np.testing.assert_allclose(nn.Tanh()(x), np.tanh(x), rtol=1e-6)
    np.testing.assert_allclose(nn.Sigmoid()(0 * x), 0.5)
    assert nn.Embedding(1000, 4)(np.zeros((1, 2), int)).shape == (1, 2, 4)


def test_nn_embedding_starts_from_the_normal_distribution():
    assert nn.Embedding(1000, 10).weight.value.std() == pytest.approx(1, rel=0.05)


def test_given_weights_of_another_shape_are_told_of_once():
    said = r"^Embedding 'e': expected weight 'e/embeddings' of shape \(5, 2\), got \(3, 2\) in weights$"
    with pytest.raises(ValueError, match=said):
        Embedding(5, 2, weights=[np.zeros((3, 2))], name="e")


@pytest.mark.parametrize("make", [functools.partial(Dense, 3), functools.partial(EinsumDense, "ab,bc->ac", 3)])
def test_only_what_backward_needs_is_kept(make, rng):
    x = rng.normal(size=(2, 4)).astype("float32")
    layer = make()
    layer(x)
    assert layer.cache.z is None and layer.cache.y is None
    layer = make(activation="relu")
    y = layer(x)
    assert layer.cache.z is y and layer.cache.y is y
    layer = make(activation="gelu")
    y = layer(x)
    assert layer.cache.y is y and layer.cache.z is not y
