"""Merging: several inputs become one, spread where sizes differ, with masks and ties, against Keras."""
import re

import keras
import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, filled_with_nan, keras_vjp, numeric_gradient, rooms_agree, run_kernel

import nblayers
from nblayers import layers
from nblayers.devices import to_numpy
from nblayers.layers import Add, Average, Concatenate, Dot, Input, Maximum, Minimum, Multiply, Subtract
from nblayers.models import Model

ELEMENTWISE = ["Add", "Average", "Subtract", "Multiply", "Maximum", "Minimum"]
# of two inputs: alike, spread on an axis of either, on both, of fewer axes, of one
TWO = [[(2, 3, 4), (2, 3, 4)], [(2, 3, 4), (2, 1, 4)], [(2, 1, 1), (2, 3, 4)], [(2, 3, 1), (2, 1, 4)], [(2, 4), (2, 3, 4)],
       [(2, 3), (2,)], [(1, 2, 1, 2), (1, 1, 2, 2)]]
THREE = [[(2, 3, 4)] * 3, [(2, 3, 4), (2, 1, 4), (2, 4)], [(2, 1, 1), (2, 3), (2, 2, 3)]]
# for the kernels, which want as many axes: also more axes in turn than four can hold
SPREAD = [((5,), (5,)), ((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (2, 1, 4)), ((2, 3, 1), (2, 3, 4)), ((2, 3, 1, 4), (2, 1, 2, 4)),
          ((1, 3, 4), (1, 1, 1)), ((1, 1), (1, 1)), ((2, 1, 2, 1, 2, 1), (2, 2, 1, 2, 1, 2))]
# of Dot: two shapes, axes
DOTS = [(((2, 4), (2, 4)), 1), (((1, 4), (1, 4)), -1), (((2, 3, 4), (2, 4)), -1), (((2, 4), (2, 3, 4)), (1, 2)),
        (((2, 3, 4), (2, 5, 3)), (1, 2)), (((2, 3, 4), (2, 3, 5)), 1), (((2, 3, 4), (2, 5, 4)), [2, 2]),
        (((2, 3, 4, 2), (2, 5, 4)), (2, -1)), (((2, 3, 4, 2), (2, 5, 3, 2)), (1, 2))]


def arrays(rng, shapes, dtype="float32"):
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def options_of(name):
    return dict(axes=-1) if name == "Dot" else {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape_a, shape_b", SPREAD)
def test_rooms_agree(shape_a, shape_b, dtype, rng):
    a, b = (rng.integers(-2, 3, shape).astype(dtype) for shape in (shape_a, shape_b))       # with ties
    full = np.broadcast_shapes(shape_a, shape_b)
    dy = rng.normal(size=full).astype(dtype)
    rooms_agree("merging", "add", [a, b, 0.5], [full])
    rooms_agree("merging", "subtract", [a, b], [full])
    rooms_agree("merging", "multiply", [a, b], [full])
    for kernel in ("maximum", "minimum"):
        [y] = rooms_agree("merging", kernel, [a, b], [full])
        da, db = rooms_agree("merging", "extremum_backward", [dy, a, b, y], [full, full])
        np.testing.assert_allclose(da + db, dy, rtol=1e-6)                                  # all of dy arrives
    rooms_agree("merging", "scale", [dy.reshape(-1), -0.3], [(dy.size,)])
    for shape in (shape_a, shape_b):
        rooms_agree("merging", "sum_spread", [dy], [shape])


@pytest.mark.parametrize("shapes", [[(4, 70, 600), (4, 70, 600)], [(4, 70, 600), (4, 1, 600)], [(4, 7, 6000), (4, 7, 1)],
                                    [(4, 701, 70), (4, 1, 70)], [(3, 301, 24), (1, 1, 24)], [(4, 100, 1200), (4, 1, 1200)]])
def test_threads_share_the_work(shapes, rng):
    """Large enough for all threads, lines longer than a piece."""
    (a, b), rooms = arrays(rng, shapes), ("reference", "cpu")
    dy = rng.normal(size=a.shape).astype("float32")
    rooms_agree("merging", "add", [a, b, 1.0], [a.shape], rooms=rooms)
    rooms_agree("merging", "subtract", [b, a], [a.shape], rooms=rooms)
    [y] = rooms_agree("merging", "maximum", [a, b], [a.shape], rooms=rooms)
    rooms_agree("merging", "extremum_backward", [dy, a, b, y], [a.shape, a.shape], rooms=rooms)
    rooms_agree("merging", "scale", [dy.reshape(-1), 0.5], [(dy.size,)], rooms=rooms)
    rooms_agree("merging", "sum_spread", [dy], [b.shape], rooms=rooms, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("i, j, k", [(1, 1, 5), (3, 1, 2), (1, 4, 3), (3, 4, 2), (2, 3, 1), (2, 2, 0)])
def test_rooms_agree_on_products(i, j, k, dtype, rng):
    for transpose_a in (False, True):
        for transpose_b in (False, True):
            a, b = arrays(rng, [(2, k, i) if transpose_a else (2, i, k), (2, j, k) if transpose_b else (2, k, j)], dtype)
            rooms_agree("merging", "batch_dot", [a, b, transpose_a, transpose_b], [(2, i, j)])


def test_threads_share_products(rng):
    a, b = arrays(rng, [(5, 130, 100), (5, 100, 90)])
    rooms_agree("merging", "batch_dot", [a, b, False, False], [(5, 130, 90)], rooms=("reference", "cpu"), atol=1e-4)
    x, dy = arrays(rng, [(400, 700)] * 2)
    x, dy = x[..., None], dy[..., None]
    _, r = rooms_agree("normalization", "unit_norm", [x, 1e7], [x.shape, (400, 1)], rooms=("reference", "cpu"))
    rooms_agree("normalization", "unit_norm_backward", [dy, x, 1e7, r], [x.shape], rooms=("reference", "cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rooms_agree_on_unit_vectors(dtype, rng):
    x, dy = arrays(rng, [(3, 4, 1)] * 2, dtype)
    x[1] = 0
    y, r = rooms_agree("normalization", "unit_norm", [x, 1e7], [(3, 4, 1), (3, 1)])
    rooms_agree("normalization", "unit_norm_backward", [dy, x, 1e7, r], [(3, 4, 1)])
    assert (y[1] == 0).all() and r[1] == np.float32(1e7)


@pytest.mark.parametrize("kernel", ["unit_norm", "maximum", "minimum"])
@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_gradients_of_the_kernels(kernel, room, rng):
    a, b, dy = arrays(rng, [(3, 4)] * 3, "float64")
    nothing = filled_with_nan(a.shape)
    if kernel == "unit_norm":
        a, dy, nothing = a[..., None], dy[..., None], nothing[..., None]
        _, r = run_kernel(room, "normalization", kernel, [a, 1e7], [nothing, filled_with_nan((3, 1))])
        [da] = run_kernel(room, "normalization", "unit_norm_backward", [dy, a, 1e7, r], [nothing])
        expected = numeric_gradient(lambda: run_kernel(room, "normalization", kernel, [a, 1e7], [nothing, r])[0], a, dy)
    else:
        [y] = run_kernel(room, "merging", kernel, [a, b], [nothing])
        da, _ = run_kernel(room, "merging", "extremum_backward", [dy, a, b, y], [nothing, nothing])
        expected = numeric_gradient(lambda: run_kernel(room, "merging", kernel, [a, b], [nothing])[0], a, dy)
    np.testing.assert_allclose(da, expected, atol=1e-7)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients(name, rng):
    for shapes in TWO if name == "Subtract" else TWO[1:4] + THREE:
        assert nblayers.gradcheck(getattr(layers, name)(), arrays(rng, shapes, "float64"))


@pytest.mark.parametrize("name, shapes", [(name, shapes) for name in ELEMENTWISE
                                          for shapes in TWO + (THREE if name != "Subtract" else [])])
def test_agrees_with_keras(name, shapes, rng):
    """With many ties, which Maximum and Minimum share as Keras does."""
    x = [rng.integers(-2, 3, shape).astype("float32") for shape in shapes]
    ours, theirs = getattr(layers, name)(), getattr(keras.layers, name)()
    agrees_with_keras(ours, theirs, x)
    assert ours.compute_output_shape(shapes) == tuple(theirs.compute_output_shape(shapes)) == ours(x).shape
    unknown = [(None, *shape[1:-1], None) if len(shape) > 1 else (None,) for shape in shapes]
    assert ours.compute_output_shape(unknown) == tuple(theirs.compute_output_shape(unknown))


def test_single_and_double_precision(x64, rng):
    x = arrays(rng, THREE[1], "float64")
    for name in ("Average", "Multiply", "Maximum"):
        agrees_with_keras(getattr(layers, name)(dtype="float64"), getattr(keras.layers, name)(dtype="float64"), x)
    agrees_with_keras(Dot(-1, True, dtype="float64"), keras.layers.Dot(-1, True, dtype="float64"), x[:2])


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "Subtract"])
def test_one_input(name, rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    agrees_with_keras(getattr(layers, name)(), getattr(keras.layers, name)(), [x])


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate", "Dot"])
def test_in_every_room(name, device, rng):
    x = arrays(rng, [(2, 3, 4), (2, 3, 4) if name in ("Concatenate", "Dot") else (2, 1, 4)], "float64")
    ours, reference = (getattr(layers, name)(**options_of(name), dtype="float64").to(d) for d in (device, "reference"))
    y = reference(x)
    dy = rng.normal(size=y.shape)
    np.testing.assert_allclose(to_numpy(ours(x)), y, rtol=1e-12)
    assert_same(ours.backward(dy), reference.backward(dy), rtol=1e-12)


def test_ties_are_shared(device):
    x = [np.array([[1, 2, 3]], "f"), np.array([[1, 5, 0]], "f"), np.array([[1, 5, 3]], "f")]
    layer = Maximum().to(device)
    y = to_numpy(layer(x))
    dx = [to_numpy(one)[0] for one in layer.backward(np.ones_like(y))]
    np.testing.assert_array_equal(dx, [[0.25, 0, 0.5], [0.25, 0.5, 0], [0.5, 0.5, 0.5]])


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum", "Minimum"])
def test_nan_and_infinity_as_in_keras(name, device):
    a, b = np.array([[np.nan, 1, np.inf, -np.inf, 2]], "f"), np.array([[1, np.nan, 3, np.inf, np.nan]], "f")
    ours, theirs = getattr(layers, name)().to(device), getattr(keras.layers, name)()
    dy = np.ones((1, 5), "f")
    expected = keras_vjp(theirs, [a, b], dy)
    np.testing.assert_array_equal(to_numpy(ours([a, b])), expected.outputs)
    assert_same(ours.backward(dy), expected.inputs)


def test_add_hands_dy_on_and_makes_no_copies(rng):
    x, dy = arrays(rng, [(2, 3)] * 2), rng.normal(size=(2, 3)).astype("f")
    layer = Add()
    layer(x)
    assert all(np.shares_memory(dx, dy) for dx in layer.backward(dy))
    joined, both = Concatenate(), np.ones((2, 6), "f")
    joined(x)
    assert all(np.shares_memory(dx, both) for dx in joined.backward(both))


# masks

MASKS = [np.array([[1, 1, 0], [0, 1, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool), np.array([[0, 0, 1], [0, 1, 0]], bool)]
MASKED = [MASKS[:2], [MASKS[0], None], [None, MASKS[1]], MASKS, [MASKS[0], None, MASKS[1]], [MASKS[0], MASKS[1], None]]


def keras_with_masks(layer, x, masks, dy):
    """What the Keras layer gives for inputs that carry masks: outputs, gradients, the output's mask."""
    import jax
    from keras.src.backend import get_keras_mask, set_keras_mask

    def run(values):
        values = [value * 1 for value in values]                # new arrays, that a mask may stick to
        for value, mask in zip(values, masks, strict=True):
            if mask is not None:
                set_keras_mask(value, mask)
        y = layer(values)
        return y, get_keras_mask(y)

    y, vjp, mask = jax.vjp(run, x, has_aux=True)
    return np.asarray(y), [np.asarray(dx) for dx in vjp(dy)[0]], None if mask is None else np.asarray(mask)


@pytest.mark.parametrize("name", ["Maximum", "Minimum", "Add", "Concatenate"])
@pytest.mark.parametrize("masks", MASKED)
def test_masks_as_in_keras(name, masks, rng):
    x = [rng.integers(-2, 3, (2, 3, 4)).astype("float32") for _ in masks]
    dy = rng.normal(size=(2, 3, 4 * len(masks) if name == "Concatenate" else 4)).astype("float32")
    theirs = getattr(keras.layers, name)()
    theirs(x)
    y, dx, mask = keras_with_masks(theirs, x, masks, dy)
    ours = getattr(layers, name)()
    np.testing.assert_allclose(ours(x, mask=masks), y)
    assert_same(ours.backward(dy), dx, rtol=1e-6)
    assert_same(ours.compute_mask(x, masks), mask)


def test_a_mask_where_inputs_are_spread(rng):
    x, masks = arrays(rng, [(2, 3, 4), (2, 1, 4)]), [MASKS[0], np.array([[1], [0]], bool)]
    dy = rng.normal(size=(2, 3, 4)).astype("float32")
    y, dx, mask = keras_with_masks(keras.layers.Maximum(), x, masks, dy)
    ours = Maximum()
    np.testing.assert_allclose(ours(x, mask=masks), y)
    assert_same(ours.backward(dy), dx, rtol=1e-5)
    np.testing.assert_array_equal(ours.compute_mask(x, masks), mask)
    spread = Maximum()
    np.testing.assert_array_equal(spread([x[0], x[1][:, 0]], mask=[None, np.ones(2, bool)]), np.maximum(*x))


@pytest.mark.parametrize("name", ["Maximum", "Minimum"])
@pytest.mark.parametrize("masks", MASKED[2:4])
def test_gradients_with_masks(name, masks, rng):
    assert nblayers.gradcheck(getattr(layers, name)(), arrays(rng, [(2, 3, 2)] * len(masks), "float64"), mask=masks)


@pytest.mark.parametrize("axis", [1, -2])
def test_masks_concatenated_in_time(axis, rng):
    x = arrays(rng, [(2, 3, 4), (2, 2, 4)])
    ours, theirs = Concatenate(axis), keras.layers.Concatenate(axis)
    masks = [MASKS[0], None]
    np.testing.assert_array_equal(ours.compute_mask(x, masks), theirs.compute_mask(x, masks))
    assert ours.compute_mask(x, [None, None]) is None and ours.compute_mask(x) is None
    ids = np.ones((2, 3), int)
    np.testing.assert_array_equal(Concatenate().compute_mask([ids, ids], [MASKS[0], None]), [True, True])


def test_masks_meet_in_a_model(rng):
    a, b = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    table = layers.Embedding(6, 4, mask_zero=True)
    outputs = layers.LSTM(3)(layers.average([table(a), table(b)]))
    model = Model([a, b], outputs)
    ids = [np.array([[1, 2, 0, 0]]), np.array([[1, 2, 3, 0]])]
    np.testing.assert_allclose(model(ids), model([one[:, :3] for one in ids]), rtol=1e-6)       # masked in both: the last step


# concatenate, dot

@pytest.mark.parametrize("axis", [-1, 1, 2, -2, 0])
def test_concatenate(axis, rng, device):
    shapes = [[n + (place == axis % 3) * number for place, n in enumerate((2, 3, 4))] for number in (0, 2, 1)]
    x = arrays(rng, shapes)
    ours, theirs = Concatenate(axis), keras.layers.Concatenate(axis)
    agrees_with_keras(ours.to(device), theirs, x)
    assert ours.compute_output_shape(shapes) == ours(x).shape
    assert nblayers.gradcheck(Concatenate(axis), [one.astype("float64") for one in x])
    unknown = [(None, *shape[1:]) for shape in shapes]
    assert ours.compute_output_shape(unknown) == tuple(theirs.compute_output_shape(unknown))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shapes, axes", DOTS)
def test_dot(shapes, axes, normalize, rng):
    ours, theirs = Dot(axes, normalize), keras.layers.Dot(axes, normalize)
    x = arrays(rng, shapes)
    agrees_with_keras(ours, theirs, x)
    positive = tuple(axis % len(shape) for axis, shape in zip(axes, shapes, strict=True)) if not isinstance(axes, int) else axes
    assert ours.compute_output_shape(shapes) == ours(x).shape \
        == tuple(keras.layers.Dot(positive).compute_output_shape(shapes))
    assert nblayers.gradcheck(Dot(axes, normalize), [one.astype("float64") for one in x])


def test_dot_of_a_vector_of_zeros():
    layer = Dot(1, normalize=True)
    y = layer([np.zeros((1, 3)), np.ones((1, 3))])
    assert y == 0 and all(np.isfinite(dx).all() for dx in layer.backward(np.ones((1, 1))))


# dtypes, views, functions, configuration

@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate", "Dot"])
def test_dtypes(name, rng):
    """Integers are numbers of the layer's dtype and have no gradient; all floating types become the layer's."""
    x = [rng.integers(0, 5, (2, 3)), rng.normal(size=(2, 3)).astype("float16")]
    layer = getattr(layers, name)(**options_of(name))
    y = layer(x)
    assert y.dtype == np.float32
    first, second = layer.backward(np.ones_like(y))
    assert first is None and second.dtype == np.float32
    np.testing.assert_allclose(y, layer([one.astype("float32") for one in x]))
    assert layer([x[0], x[0]]).dtype.kind == ("i" if name == "Concatenate" else "f")


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate", "Dot"])
def test_views_batch_of_one_and_inputs_left_alone(name, rng):
    x = arrays(rng, [(2, 6, 8)] * 2, "float64")
    views = [one[1:, ::2, ::-2] for one in x]
    layer = getattr(layers, name)(**options_of(name), dtype="float64")
    kept, y = [one.copy() for one in x], layer(views)
    dy = rng.normal(size=(*y.shape[:-1], 2 * y.shape[-1]))
    dy_kept = dy.copy()
    dx = [one.copy() for one in layer.backward(dy[..., ::2])]
    np.testing.assert_array_equal(layer([one.copy() for one in views]), y)
    assert_same(layer.backward(dy[..., ::2].copy()), dx)
    assert_same(x, kept)
    np.testing.assert_array_equal(dy, dy_kept)


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate", "Dot"])
def test_functions(name, rng):
    x = arrays(rng, [(2, 3), (2, 3)])
    function = getattr(layers, name.lower())
    np.testing.assert_allclose(function(x), getattr(keras.layers, name.lower())(x), rtol=1e-6)
    a, b = Input((3,)), Input((3,))
    made = function([a, b], name="merged")
    assert made.name == "merged" and type(made.node.layer) is getattr(layers, name)
    assert layers.concatenate(x, axis=0).shape == (4, 3) and layers.dot(x, axes=1, normalize=True).shape == (2, 1)


@pytest.mark.parametrize("name, arguments", [(name, {}) for name in ELEMENTWISE] + [
    ("Concatenate", {}), ("Concatenate", dict(axis=1)), ("Dot", dict(axes=1)), ("Dot", dict(axes=(1, 2), normalize=True)),
    ("Dot", dict(axes=[-1, 1]))])
def test_config_both_ways(name, arguments):
    ours, theirs = (getattr(module, name)(**arguments, name="m", dtype="float64") for module in (layers, keras.layers))
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()
    assert ours.supports_masking == theirs.supports_masking


def test_activity_regularizer(rng):
    layer = Add(activity_regularizer="l2")
    x = arrays(rng, [(2, 3)] * 2)
    y = layer(x)
    assert layer.losses == [pytest.approx(0.01 * (y ** 2).sum() / 2, rel=1e-5)]
    np.testing.assert_allclose(layer.backward(np.zeros_like(y))[0], 0.02 * y / 2, rtol=1e-5)


# models

def residual(module):
    """A residual block of two branches, with a squeeze-and-excitation gate."""
    L = module.layers
    inputs = L.Input((6, 6, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = L.Conv2D(4, 3, padding="same")(x)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D()(branch))
    x = L.Activation("relu")(L.add([x, L.multiply([branch, gate])]))
    return module.Model(inputs, L.Dense(2)(L.Flatten()(x)))


def u_net(module):
    L = module.layers
    inputs = L.Input((8, 8, 2))
    left = L.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    bottom = L.Conv2D(4, 3, activation="relu")(L.ZeroPadding2D(1)(L.MaxPooling2D()(left)))
    right = L.UpSampling2D(2, interpolation="bilinear")(bottom)
    merged = L.Concatenate()([L.Cropping2D(1)(left), L.Cropping2D(1)(right), L.Cropping2D(1)(inputs)])
    return module.Model(inputs, L.Conv2D(1, 1)(L.average([merged, L.maximum([merged, merged])])))


def towers(module):
    L = module.layers
    a, b = L.Input((4,)), L.Input((5, 4))
    left = L.Dense(3)(L.RepeatVector(5)(a))
    right = L.Permute((2, 1))(L.Reshape((3, 5))(L.Dense(3)(b)))
    distance = L.subtract([left, L.minimum([right, left])])
    return module.Model([a, b], L.Dot((1, 1), normalize=True)([distance, right]))


@pytest.mark.parametrize("make, shapes", [(residual, [(2, 6, 6, 2)]), (u_net, [(2, 8, 8, 2)]), (towers, [(2, 4), (2, 5, 4)])])
def test_models_train_as_in_keras_and_are_saved(make, shapes, tmp_path, rng):
    ours, theirs = make(nblayers), make(keras)
    x = arrays(rng, shapes)
    x = x if len(x) > 1 else x[0]
    theirs.set_weights(ours.get_weights())
    assert ours.output_shape == theirs.output_shape
    y = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), y, rtol=1e-4, atol=1e-5)
    target, losses = rng.normal(size=y.shape).astype("float32"), []
    for model in (ours, theirs):
        model.compile(optimizer="sgd", loss="mse")
        losses.append([float(model.train_on_batch(x, target)) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][0] != losses[0][1] != losses[0][2]
    ours.save(tmp_path / "model.keras")
    again = nblayers.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), ours(x))
    for module, described in ((keras, ours), (nblayers, theirs)):           # the configuration is read on either side
        read = module.models.model_from_json(described.to_json())
        read.set_weights(ours.get_weights())
        np.testing.assert_allclose(np.asarray(read(x)), ours(x), rtol=1e-4, atol=1e-5)


# errors

@pytest.mark.parametrize("layer, shapes, message", [
    (Add(name="m"), (2, 3), "Add 'm': expected a list of arrays, got one of shape (2, 3)"),
    (Add(name="m"), [(2, 3), (2, 4)], "Add 'm': expected inputs whose sizes are the same or 1, got shapes (2, 3), (2, 4)"),
    (Add(name="m"), [(2, 3), (1, 3)], "Add 'm': expected inputs of one batch size, got shapes (2, 3), (1, 3)"),
    (Add(name="m"), [(0, 3), (0, 3)], "Add 'm': expected at least one sample on axis 0, got an input of shape (0, 3)"),
    (Maximum(name="m"), [(2, 3), (2, 3), (2, 2)], "expected inputs whose sizes are the same or 1"),
    (Subtract(name="m"), [(2, 3)] * 3, "Subtract 'm': expected 2 inputs, got 3, of shapes (2, 3), (2, 3), (2, 3)"),
    (Subtract(name="m"), [(2, 3)], "expected 2 inputs, got 1"),
    (Dot(1, name="m"), [(2, 3)] * 3, "Dot 'm': expected 2 inputs, got 3"),
    (Dot(1, name="m"), [(2, 3), (2, 4)], "expected inputs of the same size on axes 1, got shapes (2, 3), (2, 4)"),
    (Dot(0, name="m"), [(2, 3), (2, 3)], "expected axes behind the batch axis, got axes=0 for inputs of shapes (2, 3), (2, 3)"),
    (Dot((-2, 1), name="m"), [(2, 3), (2, 3)], "expected axes behind the batch axis, got axes=(-2, 1)"),
    (Dot(2, name="m"), [(2, 3), (2, 3)], "expected axes behind the batch axis, got axes=2"),
    (Dot(1, name="m"), [(2,), (2,)], "expected axes behind the batch axis, got axes=1 for inputs of shapes (2,), (2,)"),
    (Dot(1, name="m"), [(2, 3), (3, 3)], "expected inputs of one batch size"),
    (Concatenate(name="m"), [(2, 3), (2, 3, 4)], "Concatenate 'm': expected inputs of the same sizes but on axis -1"),
    (Concatenate(1, name="m"), [(2, 3, 4), (2, 3, 5)], "expected inputs of the same sizes but on axis 1"),
    (Concatenate(3, name="m"), [(2, 3), (2, 3)], "expected inputs with an axis 3, got shapes (2, 3), (2, 3)"),
])
def test_inputs_that_do_not_fit(layer, shapes, message):
    """In a call, on symbolic inputs, and when the output's shape is asked for."""
    several = isinstance(shapes, list)
    with pytest.raises(ValueError, match=re.escape(message)):
        layer([np.zeros(shape) for shape in shapes] if several else np.zeros(shapes))
    if several and "one sample" not in message:
        with pytest.raises(ValueError, match=re.escape(message)):
            layer.compute_output_shape(shapes)
        if "batch size" not in message:
            with pytest.raises(ValueError, match=r"^\w+ 'm': expected "):
                layer([Input(shape[1:]) for shape in shapes])
    elif not several:
        with pytest.raises(ValueError, match=r"Add 'm': expected a list of arrays"):
            layer(Input((3,)))


def test_other_errors():
    x = [np.zeros((2, 3, 4), "f")] * 2
    with pytest.raises(ValueError, match="Add 'm': expected a list of arrays, got None among them"):
        Add(name="m")([x[0], None])
    with pytest.raises(ValueError, match="Add 'm': expected a list of arrays, got a list among them"):
        Add(name="m")([x, x])
    with pytest.raises(ValueError, match="expected a list of arrays"):
        Add(name="m")([])
    with pytest.raises(ValueError, match="Maximum 'm': expected a list of 2 masks, one or None for each input, got 1 of them"):
        Maximum(name="m")(x, mask=[np.ones((2, 3), bool)])
    with pytest.raises(ValueError, match=r"expected a mask of shape \(2, 3\) for an input of shape \(2, 3, 4\), got \(2, 2\)"):
        Minimum(name="m")(x, mask=[np.ones((2, 2), bool), None])
    with pytest.raises(ValueError, match="'m': expected a list of 2 masks"):
        Add(name="m").compute_mask(x, np.ones((2, 3), bool))
    with pytest.raises(TypeError, match=r"Dot 'm': expected an integer or two of them as axes"):
        Dot("a", name="m")
    for axes in ((1,), (1, 2, 3), (1, 1.5), True):
        with pytest.raises(ValueError, match="Dot 'm': expected"):
            Dot(axes, name="m")
    with pytest.raises(ValueError, match="Concatenate 'm': expected axis to be an integer"):
        Concatenate(1.5, name="m")
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        Multiply().backward(np.ones((1, 2)))
    layer = Average(name="m")
    layer(x)
    with pytest.raises(ValueError, match=r"backward expected dy of shape \(2, 3, 4\)"):
        layer.backward(np.ones((2, 3)))
