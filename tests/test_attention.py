"""Attention: kernels in every room, the layers against Keras and PyTorch, masks of every kind."""
import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, assert_same, copy_weights, filled_with_nan, random_like, rooms_agree

import kernels
import nblayers
from nblayers import Model, layers, nn
from nblayers.devices import to_numpy
from nblayers.layers.attention import product
from nblayers.layers.dropping import Drop
from nblayers.serialization import deserialize_keras_object, serialize

# the simulator's integers are NumPy's, which say so when they wrap around
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


# kernels

def no_mask(axes):
    return np.empty((0,) * axes, bool)


def settings(rng, dtype, B, T, S, query=False, key=False, pair=None, before=None, after=None, mean=False, rate=0.0):
    """What stands between the arrays of `attention` and its outputs."""
    number = np.dtype(dtype).type
    return [rng.random((B, T)) < 0.7 if query else no_mask(2), rng.random((B, S)) < 0.7 if key else no_mask(2),
            rng.random(pair) < 0.6 if pair else no_mask(4), T + S if before is None else before,
            T + S if after is None else after, number(0.3), mean, np.uint64(2**63 + 12345),
            np.uint64(round(rate * 2**32)), number(1 / (1 - rate))]


# B, T, S, H, G, D, E and the settings: sizes of one; masks that leave queries without a key; more than a block of keys
KERNELS = [
    ((1, 1, 1, 1, 1, 1, 1), {}), ((1, 5, 6, 2, 1, 3, 10), dict(pair=(1, 1, 5, 6), mean=True, after=0, query=True)),
    ((2, 5, 6, 2, 2, 9, 3), dict(key=True, rate=0.25, before=1)), ((1, 6, 3, 2, 2, 1, 2), dict(before=1, after=1, mean=True)),
    ((2, 37, 300, 4, 2, 40, 37), {}), ((1, 300, 37, 4, 1, 4, 37), dict(after=0, before=3)),
    ((2, 37, 30, 4, 2, 8, 8), dict(query=True, key=True, pair=(2, 1, 37, 30), mean=True)),
    ((2, 37, 150, 4, 2, 8, 8), dict(pair=(2, 4, 37, 1), mean=True, rate=0.25)),
    ((2, 20, 150, 3, 3, 5, 17), dict(pair=(1, 3, 1, 150), after=2)), ((1, 20, 260, 1, 1, 33, 1), dict(after=0, rate=0.5)),
]


def run_attention(sizes, options, dtype, rng, rooms):
    B, T, S, H, G, D, E = sizes
    q, k, v, dy = (rng.normal(size=s).astype(dtype) for s in ((B, T, H, D), (B, S, G, D), (B, S, G, E), (B, T, H, E)))
    given = settings(rng, dtype, B, T, S, **options)
    y, lse = rooms_agree("attention", "attention", [q, k, v, *given], [dy.shape, (B, H, T)], rooms=rooms)
    gradients = rooms_agree("attention", "attention_backward", [dy, q, k, v, y, lse, *given], [q.shape, k.shape, v.shape],
                            rooms=rooms, atol=5e-5 if dtype == "float32" else None)
    return (q, k, v, dy, given), y, lse, gradients


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes, options", KERNELS)
def test_rooms_agree(sizes, options, dtype, rng):
    rooms = kernels.ROOMS if sizes[2] < 10 else ("reference", "cpu")
    run_attention(sizes, options, dtype, rng, rooms)


@pytest.mark.parametrize("sizes, options", [
    ((3, 100, 130, 1, 1, 32, 32), dict(after=0)), ((1, 300, 300, 3, 1, 32, 40), dict(mean=True, key=True, after=0, rate=0.1)),
    ((2, 130, 300, 4, 2, 32, 32), {})])
def test_threads_share_the_work(sizes, options, rng):
    """Heads that are too few for the threads are cut into parts; sizes large enough for several threads."""
    run_attention(sizes, options, "float32", rng, ("reference", "cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("B, T, S, H, G, D, E", [(1, 1, 1, 1, 1, 1, 1), (2, 5, 7, 4, 2, 3, 4), (3, 60, 70, 4, 1, 33, 20)])
def test_rooms_agree_on_the_parts(B, T, S, H, G, D, E, dtype, rng):
    rooms = kernels.ROOMS if S < 10 else ("reference", "cpu")
    more = dict(rooms=rooms, atol=1e-4 if dtype == "float32" else None)
    q, k, v, dy = (rng.normal(size=s).astype(dtype) for s in ((B, T, H, D), (B, S, G, D), (B, S, G, E), (B, T, H, E)))
    [s] = rooms_agree("attention", "dot_scores", [q, k], [(B, H, T, S)], rooms=rooms)
    scale, ds = q.dtype.type(0.3), random_like(s, rng)
    rooms_agree("attention", "dot_scores_backward", [ds, q, k, scale], [q.shape, k.shape], **more)
    given = settings(rng, dtype, B, T, S, query=True, key=True, pair=(B, 1, T, S), before=2, after=3)[:6]
    for mean in (False, True):
        outputs = [s.shape, np.zeros((B, H, T), bool)]
        p, seen = rooms_agree("attention", "masked_softmax", [s, *given, mean], outputs, rooms=rooms)
        np.testing.assert_allclose(p.sum(axis=-1), np.where(seen, 1, mean), rtol=1e-5)
    rooms_agree("attention", "masked_softmax_backward", [ds, p, seen], [s.shape], rooms=rooms)
    rooms_agree("attention", "weighted_sum", [p, v], [dy.shape], rooms=rooms)
    rooms_agree("attention", "weighted_sum_backward", [dy, p, v], [p.shape, v.shape], **more)
    q, k, ds = (np.ascontiguousarray(each) for each in (q[:, :, 0], k[:, :, 0], ds[:, 0]))
    w = rng.normal(size=D).astype(dtype)
    rooms_agree("attention", "additive_scores", [q, k, w, scale], [ds.shape], rooms=rooms)
    loose = dict(rtol=1e-3, atol=1e-3) if dtype == "float32" else {}
    shapes = [q.shape, k.shape, (D,), (1,)]
    rooms_agree("attention", "additive_scores_backward", [ds, q, k, w, scale], shapes, rooms=rooms, **loose)


@pytest.mark.parametrize("room", ["reference", "cpu"])
@pytest.mark.parametrize("sizes, options", [KERNELS[5], KERNELS[7], KERNELS[8]])
def test_the_kernel_without_scores_computes_what_the_parts_do(sizes, options, room, rng):
    (q, k, v, dy, given), y, lse, (dq, dk, dv) = run_attention(sizes, options, "float64", rng, [room])
    layer = nblayers.layers.Identity(dtype="float64").to(room)
    masks, scale, mean = given[:5], given[5], given[6]
    s = product.scores(layer, q, k)
    weighed = product.weigh(layer, s, v, masks, scale, mean, Drop(*given[7:]))
    np.testing.assert_allclose(weighed.y, y, atol=1e-12)
    np.testing.assert_array_equal(weighed.seen, lse < np.inf)
    ds, dv_parts = product.weigh_backward(layer, weighed, dy)
    for ours, theirs in zip((*product.scores_backward(layer, ds, q, k, scale), dv_parts), (dq, dk, dv), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_nothing_is_lost_in_large_scores(room, rng):
    """Scores of hundreds, in rising order: every block has a new maximum, by which what came before is scaled down."""
    q, k = np.full((1, 3, 1, 1), 1.0, "f"), np.arange(600, dtype="f").reshape(1, 600, 1, 1)
    v = rng.normal(size=(1, 600, 1, 2)).astype("f")
    y, lse = filled_with_nan((1, 3, 1, 2), "f"), filled_with_nan((1, 1, 3), "f")
    given = settings(rng, "float32", 1, 3, 600)
    kernels.get(room).attention.attention(q, k, v, *given[:5], np.float32(1), *given[6:], y, lse)
    p = np.exp(np.arange(600.0) - 599)
    np.testing.assert_allclose(y[0, :, 0], np.tile((p / p.sum()) @ v[0, :, 0], (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(lse, 599 + np.log(p.sum()), rtol=1e-6)


def test_a_nan_stays_in_its_row(rng):
    q, k, v = (rng.normal(size=(1, 20, 1, 4)).astype("f") for _ in range(3))
    q[0, 3] = np.nan
    for room in ("reference", "cpu"):
        y, lse = filled_with_nan(q.shape, "f"), filled_with_nan((1, 1, 20), "f")
        kernels.get(room).attention.attention(q, k, v, *settings(rng, "float32", 1, 20, 20), y, lse)
        assert np.isnan(y[0, 3]).all() and np.isfinite(np.delete(y, 3, 1)).all()


# Keras

def arrays(rng, *shapes, dtype="float32"):
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


Q, V, K, W = (2, 5, 6), (2, 4, 7), (2, 4, 3), (2, 4, 6)
HEADS = dict(num_heads=2, key_dim=3)
MULTI_HEAD = [
    (HEADS, (Q, V), {}), (HEADS, (Q, V, K), dict(use_causal_mask=True)),
    (dict(HEADS, value_dim=4, output_shape=(2, 3)), (Q, V, K), dict(use_causal_mask=True, return_attention_scores=True)),
    (dict(HEADS, use_bias=False, output_shape=5), (Q, V, K), dict(return_attention_scores=True, attention_mask=(2, 5, 4))),
    (dict(HEADS, sliding_window=2, use_gate=True), (Q, V), dict(attention_mask=(5, 4))),
    (dict(HEADS, sliding_window=1, flash_attention=False), (Q, V), dict(attention_mask=(1, 2, 5, 4), use_causal_mask=True)),
    (HEADS, (Q, V), dict(value_mask=(2, 4), key_mask=(2, 4))),
    (dict(HEADS, dropout=0.5), (Q, V), dict(attention_mask=(2, 2, 5, 4))),
    (HEADS, ((2, 3, 4, 6), (2, 3, 5, 6)), dict(attention_mask=(2, 3, 4, 3, 5))),
    (dict(HEADS, attention_axes=(2,)), ((2, 3, 4, 6), (2, 3, 5, 6)), dict(value_mask=(2, 3, 5))),
    (dict(HEADS, attention_axes=-3), ((2, 3, 4, 6), (2, 5, 4, 6)), dict(return_attention_scores=True)),
]


def with_masks(kwargs, rng):
    """The keyword arguments, masks drawn for their shapes."""
    return {name: rng.random(value) < 0.5 if name.endswith("mask") and isinstance(value, tuple) else value
            for name, value in kwargs.items()}


def split(shapes, rng):
    """Positional arguments, and the key, which some are given, by name."""
    query, value, *key = arrays(rng, *shapes)
    return (query, value), {"key": key[0]} if key else {}


@pytest.mark.parametrize("options, shapes, call", MULTI_HEAD)
def test_multi_head_agrees_with_keras(options, shapes, call, rng):
    inputs, key = split(shapes, rng)
    ours, theirs = layers.MultiHeadAttention(**options), keras.layers.MultiHeadAttention(**options)
    agrees_with_keras(ours, theirs, *inputs, **key, **with_masks(call, rng))
    shape = ours.compute_output_shape(*shapes, return_attention_scores=bool(call.get("return_attention_scores")))
    outputs = ours(*inputs, **key, **with_masks(call, rng))
    assert shape == ([y.shape for y in outputs] if isinstance(outputs, list) else outputs.shape)


@pytest.mark.parametrize("groups, options, call", [
    (2, {}, {}), (1, dict(use_gate=True), dict(return_attention_scores=True, use_causal_mask=True)),
    (4, dict(use_bias=False, sliding_window=2), dict(value_mask=(2, 4), attention_mask=(2, 5, 4)))])
def test_grouped_query_agrees_with_keras(groups, options, call, rng):
    ours, theirs = (module.GroupQueryAttention(3, 4, groups, **options) for module in (layers, keras.layers))
    agrees_with_keras(ours, theirs, *arrays(rng, Q, W), **with_masks(call, rng))


SCORES = [("Attention", {}), ("Attention", dict(use_scale=True)), ("Attention", dict(score_mode="concat")),
          ("Attention", dict(score_mode="concat", use_scale=True)), ("AdditiveAttention", {}),
          ("AdditiveAttention", dict(use_scale=False))]
VALUE_MASK = np.array([[1, 0, 1, 1], [0, 1, 1, 0]], bool)


@pytest.mark.parametrize("call", [{}, dict(return_attention_scores=True, use_causal_mask=True), dict(mask="both")], ids=str)
@pytest.mark.parametrize("name, options", SCORES)
def test_attention_agrees_with_keras(name, options, call, rng):
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    inputs = arrays(rng, Q, V, W) if call else arrays(rng, Q, W)
    if "mask" in call:
        call = dict(mask=[rng.random((2, 5)) < 0.6, VALUE_MASK])
    agrees_with_keras(ours, theirs, inputs, **call)
    shapes = [x.shape for x in inputs]
    assert ours.compute_output_shape(shapes) == tuple(theirs.compute_output_shape(shapes))


@pytest.mark.parametrize("scores", [False, True])
def test_queries_without_a_key_as_in_keras(scores, rng):
    """The mean of the values in MultiHeadAttention, 0 where its scores are asked for; the mean in Attention."""
    inputs, mask = arrays(rng, Q, V), np.array([[1, 0, 1, 1], [0, 0, 0, 0]], bool)
    ours, theirs = layers.MultiHeadAttention(**HEADS), keras.layers.MultiHeadAttention(**HEADS)
    agrees_with_keras(ours, theirs, *inputs, value_mask=mask, return_attention_scores=scores)
    q, v = arrays(rng, Q, W)
    y, expected = (module.Attention()([q, v], mask=[None, mask]) for module in (layers, keras.layers))
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose(y[1], np.tile(v[1].mean(axis=0), (5, 1)), atol=1e-6)


def embedded(module, attend):
    """A model in which masks come with the tensors."""
    words, other = module.layers.Input((5,), dtype="int32"), module.layers.Input((4,), dtype="int32")
    table = module.layers.Embedding(9, 6, mask_zero=True)
    return module.Model([words, other], module.layers.GlobalAveragePooling1D()(attend(table(words), table(other))))


@pytest.mark.parametrize("make", [
    lambda m: lambda q, v: m.layers.MultiHeadAttention(2, 3)(q, v),
    lambda m: lambda q, v: m.layers.MultiHeadAttention(2, 3, dropout=0.1)(q, v, use_causal_mask=True),
    lambda m: lambda q, v: m.layers.MultiHeadAttention(2, 3)(q, v, return_attention_scores=True)[0],
    lambda m: lambda q, v: m.layers.GroupQueryAttention(3, 4, 2)(q, value=v, key=v),
    lambda m: lambda q, v: m.layers.Attention(use_scale=True)([q, v]),
    lambda m: lambda q, v: m.layers.AdditiveAttention()([q, v, v]),
])
def test_masks_come_with_the_tensors(make, rng):
    ours, theirs = embedded(nblayers, make(nblayers)), embedded(keras, make(keras))
    copy_weights(theirs, ours)
    x = [np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]]), np.array([[1, 2, 0, 0], [3, 0, 0, 4]])]
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)
    ours.compile("sgd", "mse")
    theirs.compile("sgd", "mse")
    y = rng.normal(size=(2, 6)).astype("f")
    for model in (ours, theirs):
        model.fit(x, y, epochs=2, verbose=0)
    if not any(getattr(layer, "dropout", 0) for layer in ours.layers):                     # theirs draws other numbers
        assert_same(ours.get_weights(), theirs.get_weights(), "weights after two steps", rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, options", [
    ("MultiHeadAttention", dict(HEADS, value_dim=4, dropout=0.25, seed=3, output_shape=(2, 3), attention_axes=(1,),
                                kernel_regularizer="l2", bias_constraint="max_norm", activity_regularizer="l1")),
    ("MultiHeadAttention", dict(HEADS, sliding_window=2, use_gate=True, use_bias=False)),
    ("GroupQueryAttention", dict(head_dim=3, num_query_heads=4, num_key_value_heads=2, dropout=0.5, seed=1)),
    ("Attention", dict(use_scale=True, score_mode="concat", dropout=0.5, seed=2)),
    ("AdditiveAttention", dict(use_scale=False, dropout=0.5))])
def test_configuration_is_kerass(name, options):
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    assert ours.name == theirs.name or ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")
    config, expected = serialize(ours), keras.saving.serialize_keras_object(theirs)
    expected["config"]["name"] = config["config"]["name"]
    assert all(config[key] == expected[key] for key in ("module", "class_name", "registered_name"))
    plain = {key: value for key, value in expected["config"].items() if not isinstance(value, dict)}
    assert {key: config["config"][key] for key in plain} == plain and set(config["config"]) == set(expected["config"])
    again = deserialize_keras_object(config)
    assert serialize(again) == config and type(again) is type(ours)
    assert type(deserialize_keras_object(expected)) is type(ours)
    keras.saving.deserialize_keras_object(config)


def test_weights_are_kerass(rng):
    ours, theirs = (module.MultiHeadAttention(2, 3, use_gate=True) for module in (layers, keras.layers))
    for layer in (ours, theirs):
        layer.build(Q, V, K)
    assert [p.shape for p in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [p.path.split("/", 1)[1] for p in ours.weights] == [w.path.split("/", 1)[1] for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    assert ours.count_params() == theirs.count_params()
    assert ours.query_dense.kernel is ours.weights[0]


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_penalties_are_kerass(name, rng):
    sizes = dict(HEADS) if name[0] == "M" else dict(head_dim=3, num_query_heads=2, num_key_value_heads=1)
    options = dict(sizes, kernel_regularizer="l2", activity_regularizer="l1")
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    inputs = arrays(rng, Q, W)
    for layer in (ours, theirs):
        layer.build(Q, W)
    copy_weights(theirs, ours)
    np.testing.assert_allclose(ours(*inputs), theirs(*inputs), atol=1e-6)
    assert float(sum(ours.losses)) == pytest.approx(float(sum(theirs.losses)), rel=1e-5)


# gradients

@pytest.mark.parametrize("options, shapes, call", [*MULTI_HEAD, (dict(HEADS, activity_regularizer="l2"), (Q, V), {}),
                                                   (HEADS, (Q, V), dict(query_mask=(2, 5), value_mask=(2, 4)))])
def test_gradients_of_multi_head(options, shapes, call, rng):
    inputs, key = split(shapes, rng)
    nblayers.gradcheck(layers.MultiHeadAttention(**options), *inputs, **key, **with_masks(call, rng))


@pytest.mark.parametrize("call", [dict(training=True), dict(training=True, return_attention_scores=True)])
@pytest.mark.parametrize("layer, shapes", [
    (lambda: layers.MultiHeadAttention(2, 3, dropout=0.4, seed=1), (Q, V)),
    (lambda: layers.GroupQueryAttention(2, 4, 2, dropout=0.4, use_gate=True), (Q, W)),
    (lambda: layers.Attention(dropout=0.4, use_scale=True, seed=1), ([Q, W],)),
    (lambda: layers.AdditiveAttention(dropout=0.4), ([Q, V, W],)),
    (lambda: layers.Attention(score_mode="concat", use_scale=True), ([Q, V, W],)),
])
def test_gradients_with_dropout_and_scores(layer, shapes, call, rng):
    inputs = [arrays(rng, *shape) if isinstance(shape, list) else arrays(rng, shape)[0] for shape in shapes]
    nblayers.gradcheck(layer(), *inputs, **call)


@pytest.mark.parametrize("scores", [False, True])
def test_gradients_with_masks(scores, rng):
    mask = [rng.random((2, 5)) < 0.6, np.array([[0, 1, 1, 0], [0, 0, 0, 0]], bool)]
    nblayers.gradcheck(layers.Attention(use_scale=True), arrays(rng, Q, W), mask=mask, use_causal_mask=True,
                       return_attention_scores=scores)


# dropout

@pytest.mark.parametrize("make", [lambda: layers.MultiHeadAttention(2, 3, dropout=0.5, seed=3),
                                  lambda: layers.Attention(dropout=0.5, seed=3)])
def test_dropout_is_the_same_with_scores_and_without(make, rng):
    """A seed fixes the masks; the kernel that keeps no scores draws what the parts draw, forward and backward."""
    q, v = arrays(rng, (2, 40, 6), (2, 150, 6))
    results = []
    for scores in (False, True):
        layer = make()
        inputs = (q, v) if isinstance(layer, layers.MultiHeadAttention) else ([q, v],)
        layer(*inputs)
        if results:
            layer.set_weights(results[0][-1])
        y = layer(*inputs, training=True, return_attention_scores=scores)
        dx = layer.backward([np.ones_like(y[0]), None] if scores else np.ones_like(y))
        results.append([y[0] if scores else y, *dx, layer.get_weights()])
    for a, b in zip(results[0][:-1], results[1][:-1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert not np.allclose(results[0][0], layer(*inputs))
    np.testing.assert_array_equal(layer(*inputs, training=True) == layer(*inputs), False)


def test_all_is_dropped_at_rate_one(rng):
    q, v = arrays(rng, Q, W)
    assert (layers.Attention(dropout=1)([q, v], training=True) == 0).all()


# memory

def test_scores_are_not_kept(rng):
    T = 600
    layer = layers.MultiHeadAttention(2, 4)
    x = rng.normal(size=(1, T, 8)).astype("f")
    layer.backward(layer(x, x, use_causal_mask=True))
    attended = layer.cache.attended
    assert isinstance(attended, product.Fused) and max(getattr(each, "size", 0) for each in vars(attended).values()) <= 8 * T
    assert all(getattr(each, "size", 0) <= T for each in attended.settings)


# every layer

MADE = {
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(**HEADS), lambda q, v: (q, v)),
    "GroupQueryAttention": (lambda: layers.GroupQueryAttention(3, 4, 2), lambda q, v: (q, v)),
    "Attention": (lambda: layers.Attention(use_scale=True), lambda q, v: ([q, v],)),
    "AdditiveAttention": (layers.AdditiveAttention, lambda q, v: ([q, v],)),
    "nn.MultiheadAttention": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), lambda q, v: (q, v, v)),
}


def first(y):
    return y[0] if isinstance(y, list) else y


def upstream(y, rng):
    return [random_like(each, rng) for each in y] if isinstance(y, list) else random_like(y, rng)


@pytest.mark.parametrize("name", MADE)
def test_devices_agree(name, rng):
    make, call = MADE[name]
    q, v = arrays(rng, (1, 3, 6), (1, 2, 6))
    layer, results = make(), {}
    layer(*call(q, v))
    dy = upstream(layer(*call(q, v)), rng)
    for room in kernels.ROOMS:
        layer.to(room).zero_grad()
        y = layer(*call(q, v))
        dx = layer.backward(dy)
        results[room] = [to_numpy(each) for each in (first(y), *dx, *(p.grad for p in layer.weights))]
    for room in kernels.ROOMS[1:]:
        assert_same(results[room], results["reference"], room, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MADE)
def test_inputs(name, rng):
    """Slices, float64, integers and lists are taken and left as they are; a batch of one is a part of a larger one."""
    make, call = MADE[name]
    layer = make()
    q, v = arrays(rng, (4, 10, 12), (4, 8, 12))
    a, b = q[::2, ::2, ::2], v[::2, ::2, ::2]
    before = a.copy(), b.copy()
    y = layer(*call(a, b))
    dy = upstream(y, rng)
    kept = [each.copy() for each in (dy if isinstance(dy, list) else [dy])]
    dx = layer.backward(dy)
    assert first(y).dtype == "float32" and all(d.dtype == "float32" and d.flags.c_contiguous for d in dx)
    assert [d.shape for d in dx][:2] == [a.shape, b.shape]
    assert_same([a, b], before) or assert_same(dy if isinstance(dy, list) else [dy], kept)
    np.testing.assert_array_equal(first(layer(*call(a.copy(), b.copy()))), first(y))
    np.testing.assert_allclose(first(layer(*call(a[1:].astype("float64"), b[1:]))), first(y)[1:], atol=1e-6)
    wide = layer.astype("float64")
    assert first(wide(*call(a, b))).dtype == "float64"
    with pytest.raises(ValueError, match=r"^\w+ '\w+': expected "):
        layer(*call(a[:0], b[:0]))
    with pytest.raises(ValueError, match=r"^\w+ '\w+': expected "):
        layer(*call(a, b[:, :0]))
    with pytest.raises(ValueError, match=r"^\w+ '\w+': expected "):
        layer(*call(a[..., :0], b[..., :0]))


@pytest.mark.parametrize("name", [name for name in MADE if name[:2] != "nn"])
def test_a_model_learns(name, rng):
    make, call = MADE[name]
    inputs = layers.Input((5, 6))
    layer = make()
    model = Model(inputs, layers.GlobalAveragePooling1D()(layer(*call(inputs, inputs))))
    x, y = rng.normal(size=(8, 5, 6)).astype("f"), rng.normal(size=(8, 6)).astype("f")
    model.compile(nblayers.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, y, epochs=3, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    again = nblayers.models.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)


def test_a_layer_that_is_called_twice(rng):
    """Each call's own record: the gradient is the sum of both calls'."""
    inputs = layers.Input((5, 6))
    layer = layers.MultiHeadAttention(2, 3)
    model = Model(inputs, layer(layer(inputs, inputs), inputs, use_causal_mask=True))
    nblayers.gradcheck(model, *arrays(rng, (2, 5, 6)))


@pytest.mark.parametrize("name, attribute", [(name, each) for name, several in [
    ("MultiHeadAttention", "num_heads key_dim value_dim use_bias attention_axes query_dense output_dense"),
    ("GroupQueryAttention", "head_dim num_query_heads num_key_value_heads use_gate sliding_window"),
    ("Attention", "use_scale score_mode scale"), ("AdditiveAttention", "use_scale scale"),
    ("nn.MultiheadAttention", "embed_dim num_heads kdim batch_first in_proj_weight out_proj"),
] for each in several.split()])
def test_sizes_and_weights_are_fixed_once_a_layer_is_built(name, attribute, rng):
    make, call = MADE[name]
    layer = make()
    layer(*call(*arrays(rng, Q, W)))
    with pytest.raises(ValueError, match=rf"^\w+ '.+': {attribute} is .* for good"):
        setattr(layer, attribute, 100)


@pytest.mark.parametrize("make, message", [
    (lambda: layers.MultiHeadAttention(0, 3), "a positive integer as num_heads"),
    (lambda: layers.MultiHeadAttention(2, 3.5), "a positive integer as key_dim"),
    (lambda: layers.MultiHeadAttention(2, 3, value_dim=0), "a positive integer as value_dim"),
    (lambda: layers.MultiHeadAttention(2, 3, dropout=2), r"dropout in \[0.0?, 1.0?\]|dropout in"),
    (lambda: layers.MultiHeadAttention(2, 3, sliding_window=0), "a positive integer as sliding_window"),
    (lambda: layers.MultiHeadAttention(2, 3, attention_axes="a"), "attention_axes"),
    (lambda: layers.MultiHeadAttention(2, 3, output_shape="a"), "output_shape"),
    (lambda: layers.MultiHeadAttention(2, 3, dropout=0.5, flash_attention=True), "dropout 0 with flash_attention"),
    (lambda: layers.MultiHeadAttention(2, 3, kernel_initializer="nonsense"), "kernel_initializer|unknown initializer"),
    (lambda: layers.GroupQueryAttention(2, 3, 2), "num_query_heads to be a multiple"),
    (lambda: layers.Attention(score_mode="cosine"), "score_mode to be"), (lambda: layers.Attention(dropout=-1), "dropout"),
    (lambda: layers.Attention(seed="a"), "seed"), (lambda: nn.MultiheadAttention(5, 2), "embed_dim to be a multiple"),
    (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), "add_bias_kv=False"),
    (lambda: nn.MultiheadAttention(4, 2, add_zero_attn=True), "add_zero_attn=False"),
])
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=rf"^\w+ '\w+': .*({message})"):
        make()


def z(*shape):
    return np.zeros(shape, "f")


@pytest.mark.parametrize("layer, args, kwargs, message", [
    (layers.MultiHeadAttention, (z(2, 6), z(2, 6)), {}, "one number of axes, at least 3"),
    (layers.MultiHeadAttention, (z(*Q), z(2, 3, 4, 6)), {}, "one number of axes"),
    (layers.MultiHeadAttention, (z(*Q), None), {}, "one number of axes"),
    (layers.MultiHeadAttention, (z(*Q), z(3, 4, 6)), {}, r"query and value to agree in axes \[0\], got shapes \(2, 5, 6\)"),
    (layers.MultiHeadAttention, (z(*Q), z(*V), z(2, 3, 7)), {}, "value and key to differ in the last axis only"),
    (layers.MultiHeadAttention, (z(*Q), z(*V)), dict(query_mask=z(2, 4)), r"query_mask of shape \(2, 5\), got \(2, 4\)"),
    (layers.MultiHeadAttention, (z(*Q), z(*V)), dict(value_mask=z(2, 5)), r"value_mask of shape \(2, 4\), got \(2, 5\)"),
    (layers.MultiHeadAttention, (z(*Q), z(*V)), dict(key_mask=z(3, 4)), "key_mask of shape"),
    (layers.MultiHeadAttention, (z(*Q), z(*V)), dict(attention_mask=z(2, 4, 5)), r"fit the scores, of shape \(2, 2, 5, 4\)"),
    (layers.MultiHeadAttention, (z(*Q), z(*V)), dict(attention_mask=z(4)), "fit the scores"),
    (layers.MultiHeadAttention, (z(2, 3, 4, 6), z(2, 3, 4, 6)), dict(use_causal_mask=True), "one attention axis"),
    (layers.GroupQueryAttention, (z(2, 3, 4, 6), z(2, 3, 4, 6)), {}, "of 3 axes"),
    (layers.Attention, (z(*Q),), {}, r"\[query, value\]"), (layers.Attention, ([z(*Q)],), {}, r"\[query, value\]"),
    (layers.Attention, ([z(*Q), z(*V)],), {}, "query .batch, T, D., value"),
    (layers.Attention, ([z(*Q), z(3, 4, 6)],), {}, "query .batch, T, D., value"),
    (layers.Attention, ([z(*Q), z(*V), z(2, 3, 6)],), {}, "query .batch, T, D., value"),
    (layers.Attention, ([z(*Q), z(*W)],), dict(mask=z(2, 5)), r"mask as a list"),
    (layers.Attention, ([z(*Q), z(*W)],), dict(mask=[z(2, 4), None]), r"query_mask of shape \(2, 5\), got \(2, 4\)"),
    (layers.AdditiveAttention, ([z(*Q), z(*W)],), dict(mask=[None, z(2, 5)]), r"value_mask of shape \(2, 4\)"),
])
def test_inputs_that_are_refused(layer, args, kwargs, message):
    sizes = {layers.MultiHeadAttention: (2, 3), layers.GroupQueryAttention: (3, 4, 2)}.get(layer, ())
    with pytest.raises(ValueError, match=rf"^\w+ '\w+': .*{message}"):
        layer(*sizes)(*args, **kwargs)


def test_what_does_not_fit_the_weights(rng):
    layer = layers.MultiHeadAttention(2, 3)
    layer(*arrays(rng, Q, V))
    with pytest.raises(ValueError, match=r"expected query of 3 axes, the last of size 6, got \(2, 5, 7\)"):
        layer(*arrays(rng, (2, 5, 7), V))
    with pytest.raises(ValueError, match=r"expected key of 3 axes, the last of size 7, got \(2, 4, 3\)"):
        layer(*arrays(rng, Q, V, K))
    with pytest.raises(ValueError, match="return_attention_scores=False with flash_attention"):
        layers.MultiHeadAttention(2, 3, flash_attention=True)(*arrays(rng, Q, V), return_attention_scores=True)
    with pytest.raises(ValueError, match=r"expected attention_axes between .*, got \(0,\)"):
        layers.MultiHeadAttention(2, 3, attention_axes=0)(*arrays(rng, Q, V))
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        layers.MultiHeadAttention(2, 3).backward(np.zeros(Q))
    layer(*arrays(rng, Q, V))
    with pytest.raises(ValueError, match=r"expected dy of shape \(2, 5, 6\)"):
        layer.backward(np.zeros(V))
    additive = layers.AdditiveAttention()
    additive(arrays(rng, Q, W))
    with pytest.raises(ValueError, match="a last axis of size 6"):
        additive(arrays(rng, (2, 5, 3), K))


# PyTorch

def torch_pair(**options):
    theirs = torch.nn.MultiheadAttention(6, 2, **options).double()
    ours = nn.MultiheadAttention(6, 2, dtype="float64", **options)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.as_tensor(np.random.default_rng(1).normal(size=parameter.shape)))
    ours.set_weights([parameter.detach().numpy() for parameter in theirs.parameters()])
    return ours, theirs


@pytest.mark.parametrize("options, call", [
    ({}, {}), (dict(batch_first=True, bias=False), dict(average_attn_weights=False)),
    (dict(kdim=3, vdim=4), dict(need_weights=False)), (dict(batch_first=True), dict(attn_mask=(5, 4), need_weights=False)),
    ({}, dict(attn_mask=(4, 5, 4), key_padding_mask=(2, 4))), (dict(vdim=4), dict(floating=True)), ({}, dict(unbatched=True)),
    ({}, dict(unbatched=True, need_weights=False))])
def test_multihead_attention_agrees_with_pytorch(options, call, rng):
    ours, theirs = torch_pair(**options)
    call = dict(call)
    sizes = (6, options.get("kdim", 6), options.get("vdim", 6))
    inputs = [rng.normal(size=(2, steps, size)) for steps, size in zip((5, 4, 4), sizes, strict=True)]
    if not options.get("batch_first"):
        inputs = [x.swapaxes(0, 1) for x in inputs]
    if call.pop("unbatched", False):
        inputs = [x[:, 0] for x in inputs]
    if call.pop("floating", False):
        call["attn_mask"] = np.triu(np.full((5, 4), -np.inf), 1)
    for name in ("attn_mask", "key_padding_mask"):
        if isinstance(call.get(name), tuple):
            call[name] = rng.random(call[name]) < 0.3
            call[name][..., 0] = False                          # PyTorch has NaN where nothing is left
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    y, weights = ours(*inputs, **call)
    expected, of_weights = theirs(*tensors, **{name: torch.tensor(value) if isinstance(value, np.ndarray) else value
                                               for name, value in call.items()})
    dy = [rng.normal(size=y.shape), None if weights is None else rng.normal(size=weights.shape)]
    total = (expected * torch.tensor(dy[0])).sum()
    if weights is not None:
        total = total + (of_weights * torch.tensor(dy[1])).sum()
        np.testing.assert_allclose(weights, of_weights.detach().numpy(), atol=1e-12)
    total.backward()
    ours.zero_grad()
    dx = ours.backward(dy)
    results = expected, *(t.grad for t in tensors), *(p.grad for p in theirs.parameters())
    assert_same([y, *dx, *(p.grad for p in ours.weights)], [each.detach().numpy() for each in results], "PyTorch",
                rtol=1e-9, atol=1e-11)


def test_multihead_attention_of_pytorch_has_its_weights():
    for options in ({}, dict(kdim=3)):
        ours, theirs = nn.MultiheadAttention(6, 2, **options), torch.nn.MultiheadAttention(6, 2, **options)
        assert [(name, p.shape) for name, p in ours.named_parameters()] == [
            (name, tuple(p.shape)) for name, p in theirs.named_parameters()]
    q = np.zeros((5, 2, 6))
    weights = nn.MultiheadAttention(6, 2)(q, q, q, is_causal=True)[1]
    np.testing.assert_array_equal(weights[0] > 0, np.tri(5, dtype=bool))


@pytest.mark.parametrize("call, message", [
    (dict(attn_mask=np.full((5, 5), 0.5)), "floats that are 0 or -inf"),
    (dict(attn_mask=np.ones((4, 5), bool)), "attn_mask of shape"),
    (dict(key_padding_mask=np.ones((5, 2), bool)), r"key_padding_mask of shape \(2, 5\)")])
def test_masks_that_multihead_attention_refuses(call, message):
    x = np.zeros((5, 2, 6))
    with pytest.raises(ValueError, match=rf"^MultiheadAttention '\w+': expected .*{message}"):
        nn.MultiheadAttention(6, 2)(x, x, x, **call)
    with pytest.raises(ValueError, match="expected query, key and value"):
        nn.MultiheadAttention(6, 2)(x, x, x[:3])


@pytest.mark.parametrize("causal", ["no", 2, np.ones((2, 5, 4), bool), [True], None], ids=repr)
@pytest.mark.parametrize("make", [layers.Attention, layers.AdditiveAttention, lambda: layers.MultiHeadAttention(1, 2),
                                  lambda: layers.GroupQueryAttention(2, 2, 1)])
def test_causal_is_a_truth_value(make, causal):
    layer, x = make(), np.ones((2, 3, 4), "f")
    with pytest.raises(ValueError, match=r"^\w+ '\w+': expected use_causal_mask to be True or False, got "):
        layer(*([[x, x]] if isinstance(layer, layers.Attention) else [x, x]), use_causal_mask=causal)


@pytest.mark.parametrize("shapes", [None, 3, (), [(2, 3, 4)], (None, None), (2, 3, 4)], ids=str)
def test_shapes_of_attention_that_are_none(shapes):
    with pytest.raises(ValueError, match=r"^Attention 'a': expected shapes of \[query, value\]"):
        layers.Attention(name="a").compute_output_shape(shapes)


def test_kernels_start_as_wide_as_in_keras():
    """Fans are those of a dense layer from features to all heads, not of a convolution."""
    layer = layers.MultiHeadAttention(8, 16, kernel_initializer="he_normal")
    layer.build((1, 3, 64), (1, 3, 64))
    for kernel, fan in ((layer.query_dense.kernel, 64), (layer.output_dense.kernel, 128)):
        assert np.std(kernel.value) == pytest.approx(np.sqrt(2 / fan), rel=0.05)


@pytest.mark.parametrize("options", [{}, {"kdim": 3, "vdim": 5, "batch_first": True}])
def test_nobody_needs_multihead_attentions_input_gradient(options, rng):
    layer = nn.MultiheadAttention(4, 2, **options)
    q, k, v = (rng.normal(size=(2, 2, size)).astype("float32") for size in (4, layer.kdim, layer.vdim))
    y = layer(q, k, v)
    layer.backward(y)
    expected = [parameter.grad.copy() for parameter in layer.weights]
    layer.zero_grad()
    layer.input_gradient = False
    assert layer.backward(y) == [None, None, None]
    assert_same([parameter.grad for parameter in layer.weights], expected)


@pytest.mark.parametrize("make, name", [(lambda: nn.MultiheadAttention(4, 2), "is_causal"),
                                        (lambda: layers.MultiHeadAttention(2, 2, seed=1), "use_causal_mask"),
                                        (lambda: layers.GroupQueryAttention(2, 2, 1, seed=1), "use_causal_mask")])
def test_settings_are_no_arrays(make, name, rng):
    layer, x = make(), rng.normal(size=(3, 3, 4)).astype("float32")
    arguments = (x, x, x)
    expected = layer(*arguments, **{name: True})
    assert_same(layer(*arguments, **{name: np.True_}), expected)
    with pytest.raises(ValueError, match=f"{layer.name}.*expected {name} to be True or False, got"):
        layer(*arguments, **{name: np.ones(2)})
