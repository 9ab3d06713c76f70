"""Symbolic tensors, the calls between them, and how a graph runs forward and backward."""
import copy
import json

import numpy as np
import pytest
from helpers import assert_same, copy_weights, keras_vjp, numeric_gradient

from nblayers import gradcheck, layers as L
from nblayers.layers import LSTM, Dense, Embedding, Flatten, Input, InputLayer, Lambda, Layer, Masking
from nblayers.layers.symbolic import SymbolicTensor
from nblayers.models import Model, Sequential
from nblayers.models.graph import Graph
from nblayers.structures import flatten, map_structure, pack


class Sum(Layer):
    """The sum of a list of arrays; masks meet as in Keras' merging layers."""

    supports_masking = True

    def forward(self, inputs):
        self.cache = len(inputs)
        return sum(inputs)

    def backward(self, dy):
        return [dy] * self.cache

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None or any(mask is None for mask in previous_mask):
            return None
        return np.logical_or(*previous_mask)


class Product(Layer):
    """Two arguments, and no declared output shape."""

    def forward(self, a, b):
        self.cache = (a, b)
        return a * b

    def backward(self, dy):
        a, b = self.cache
        return [dy * b, dy * a]


class Halves(Layer):
    """Two outputs."""

    def forward(self, x):
        self.cache = x.shape
        return [x[:, :1], x[:, 1:]]

    def backward(self, dy):
        return np.concatenate(dy, axis=1)


class SeesMask(Layer):
    """Remembers the mask that it was given."""

    supports_masking = True

    def forward(self, x, mask=None):
        self.seen = mask
        self.cache = ()
        return x

    def backward(self, dy):
        return dy

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize("arguments, shape", [
    (dict(shape=(10, 3)), (None, 10, 3)), (dict(shape=(None, 3), batch_size=4), (4, None, 3)), (dict(shape=7), (None, 7)),
    (dict(batch_shape=(2, 5)), (2, 5)), (dict(shape=()), (None,)), (dict(shape=[np.int64(4)]), (None, 4))])
def test_input_is_a_symbolic_tensor(arguments, shape):
    x = Input(**arguments, name="x")
    assert isinstance(x, SymbolicTensor) and x.is_symbolic
    assert (x.shape, x.ndim, x.dtype, x.name) == (shape, len(shape), "float32", "x")
    assert x.node.layer.get_config() == {"batch_shape": shape, "dtype": "float32", "sparse": False, "ragged": False,
                                         "name": "x", "optional": False}
    assert Input(tensor=x) is x


@pytest.mark.parametrize("dtype, name", [(None, "float32"), ("int64", "int64"), (np.float64, "float64"), ("string", "string")])
def test_dtype_of_an_input(dtype, name):
    assert Input((2,), dtype=dtype).dtype == name


@pytest.mark.parametrize("arguments, message", [
    ({}, "either shape or batch_shape, got neither"), (dict(shape=(2,), batch_shape=(1, 2)), "got both"),
    (dict(batch_shape=(1, 2), batch_size=1), "batch_size"), (dict(shape=(2,), sparse=True), "sparse"),
    (dict(shape=(2.5,)), "sizes and None"), (dict(shape=(-1,)), "sizes and None")])
def test_input_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Input(**arguments)


def test_a_symbolic_tensor_has_no_values():
    x = Input((2,))
    with pytest.raises(TypeError, match="no values"):
        np.asarray(x)
    with pytest.raises(TypeError):
        np.ones(2) + x


def test_calling_a_layer_builds_it_and_infers_shapes():
    dense = Dense(3)
    y = dense(Input((10, 4)))
    assert y.shape == (None, 10, 3) and dense.built and dense.kernel.shape == (4, 3) and y.name == dense.name
    states = LSTM(5, return_sequences=True, return_state=True)(y)
    assert [s.shape for s in states] == [(None, 10, 5), (None, 5), (None, 5)]


def test_shapes_of_layers_that_declare_none():
    x = Input((6, 2))
    assert Lambda(lambda a: a[:, ::2].sum(axis=-1))(x).shape == (None, 3)
    assert Product()(x, Input((6, 2))).shape == (None, 6, 2)
    assert [y.shape for y in Halves()(x)] == [(None, 1, 2), (None, 5, 2)]


def test_a_layer_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"LSTM 'r'.*3 axes, got 2"):
        LSTM(2, name="r")(Input((4,)))
    shared = Dense(2, name="d")
    shared(Input((4,)))
    with pytest.raises(ValueError, match=r"Dense 'd'.*size 4 on axis -1.*got 5"):
        shared(Input((5,)))


def test_outputs_must_follow_from_the_inputs():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    with pytest.raises(ValueError, match=r"Model 'm'.*need the input 'b'.*\['a'\]"):
        Model(a, Sum()([a, b]), name="m")


def test_names_must_differ():
    x = Input((2,))
    with pytest.raises(ValueError, match="2 layers named 'same'"):
        Model(x, Dense(2, name="same")(Dense(2, name="same")(x)))


def test_inputs_and_outputs_must_be_symbolic():
    x = Input((2,))
    with pytest.raises(ValueError, match=r"Model 'functional'.*ndarray"):
        Model(x, np.zeros(3))
    with pytest.raises(ValueError, match="made by Input"):
        Model("x", x)


def branching(L, M, I, add):
    """A graph in which depth, not the order of the calls, decides the order of the layers."""
    a, b, unused = I((4,), name="a"), I((4,), name="b"), I((4,), name="unused")
    late = L.Dense(3, name="late")
    shared = L.Dense(3, name="shared")
    u, v = shared(a), shared(b)
    w = L.Dense(3, name="deep")(L.Dense(3, name="deeper")(v))
    return M([b, a, unused], [add([late(u), w, u]), L.Dense(1, name="second")(v)])


def test_layers_stand_in_keras_order():
    import keras

    import nblayers
    ours = branching(nblayers.layers, Model, Input, Sum(name="add"))
    theirs = branching(keras.layers, keras.Model, keras.Input, keras.layers.Add(name="add"))
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [p.shape for p in ours.weights] == [tuple(v.shape) for v in theirs.weights]
    copy_weights(theirs, ours)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(3, 4)).astype("f") for _ in range(3)]
    dy = [rng.normal(size=(3, n)).astype("f") for n in (3, 1)]
    y = ours(x)
    expected = keras_vjp(theirs, x, dy)
    assert_same(y, expected.outputs, rtol=1e-5, atol=1e-6)
    ours.zero_grad()
    dx = ours.backward(dy)
    assert dx[2] is None                        # nothing flows to an input that nothing uses
    assert_same(dx[:2], expected.inputs[:2], rtol=1e-5, atol=1e-6)
    assert_same([p.grad for p in ours.trainable_weights], expected.weights, rtol=1e-5, atol=1e-6)


def test_a_deep_graph_needs_no_recursion():
    x = y = Input((1,))
    for _ in range(1500):
        y = SeesMask()(y)
    assert len(Graph([x], [y], "graph").layers) == 1501


def test_an_inner_tensor_may_be_the_input():
    x = Input((4,))
    hidden = Dense(3, name="hidden")(x)
    model = Model(x, Dense(2, name="top")(hidden))
    top = Model(hidden, model.output)
    assert top.input_shape == (None, 3) and [type(layer).__name__ for layer in top.layers] == ["InputLayer", "Dense"]
    h = Model(x, hidden)(np.ones((2, 4), "f"))
    assert_same(top(h), model(np.ones((2, 4), "f")))
    again = Model.from_config(json.loads(top.to_json())["config"])
    again.set_weights(top.get_weights())
    assert_same(again(h), top(h))


@pytest.mark.parametrize("make", [
    lambda: Sequential([Input((4,)), Sequential([Dense(4), Dense(3)]), Dense(3)]), lambda: _copied(Input((4,))),
    lambda: _copied(Dense(4)(Input((3,)))), lambda: Sequential([Dense(3), Dense(3)])])
def test_a_copy_of_a_model_is_independent(make, capsys):
    model, x = make(), np.ones((1, 4), "f")
    other = copy.deepcopy(model)
    if not model.built:
        other.build((None, 4)), model.build((None, 4))
    other.set_weights([0 * w for w in other.get_weights()])
    assert model(x).any() and not other(x).any()
    if isinstance(model, Sequential):
        other.add(Dense(2, bias_initializer="ones"))
        assert other(x).tolist() == [[1, 1]] and model.output_shape == (None, 3)
    assert gradcheck(other, x).passed
    texts = []
    for each in (model, copy.deepcopy(model)):
        each.summary()
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert copy.deepcopy(model).get_config() == model.get_config()


def _copied(x):
    shared = Dense(4)
    return Model(x, Dense(3)(Sum()([shared(x), shared(shared(x))])))


def wired():
    """Shared layers, a tensor used three times, two arguments, two outputs, a constant, nested models."""
    x, z = Input((3,)), Input((3,))
    inner = Sequential([Dense(4, activation="tanh"), Dense(3)])
    shared = Dense(3, activation="sigmoid")
    a, b = shared(x), shared(shared(z))
    first, rest = Halves()(Product()(a, b=inner(b)))
    constant = np.full((1, 3), 0.5)
    return Model([x, z], [Sum()([a, a, inner(x), constant]), Dense(2)(rest), first])


def test_gradients_of_a_graph():
    report = gradcheck(wired(), [np.random.default_rng(i).normal(size=(2, 3)) for i in range(2)])
    assert report.passed, report


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_output_without_gradient_counts_as_zero(missing, rng):
    model = wired().astype("float64")
    x = [rng.normal(size=(2, 3)) for _ in range(2)]
    dy = [rng.normal(size=y.shape) for y in model(x)]
    with_none = [None if i == missing else d for i, d in enumerate(dy)]
    dy[missing] = np.zeros_like(dy[missing])
    expected = model.backward(dy)
    assert_same(model.backward(with_none), expected)


def test_nothing_given_is_changed(rng):
    model = wired()
    x = [rng.normal(size=(2, 3)).astype("f") for _ in range(2)]
    before = copy.deepcopy(x)
    y = model(x)
    dy = [np.ones_like(a) for a in y]
    model.backward(dy)
    assert_same(x, before)
    assert_same(dy, [np.ones_like(a) for a in y])


def test_each_call_of_a_shared_layer_has_its_record(rng):
    """Two forwards of a model, then backward of the first through its record."""
    model = wired().astype("float64")
    x1, x2 = ([rng.normal(size=(2, 3)) for _ in range(2)] for _ in range(2))
    dy = [rng.normal(size=y.shape) for y in model(x1)]
    expected = model.backward(dy)
    model(x1)
    record = model.cache
    model(x2)
    model.cache = record
    assert_same(model.backward(dy), expected)


def test_keyword_tensors_with_gradients(rng):
    x, h, c = Input((4, 3)), Input((5,)), Input((5,))
    model = Model([x, h, c], LSTM(5)(x, initial_state=[h, c])).astype("float64")
    arrays = [rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 5)), rng.normal(size=(2, 5))]
    dy = rng.normal(size=(2, 5))
    model(arrays)
    for dx, array in zip(model.backward(dy), arrays, strict=True):
        assert_same(dx, numeric_gradient(lambda: model(arrays), array, dy), rtol=1e-5, atol=1e-8)


def test_arguments_fixed_in_the_call_stay(rng):
    from nblayers.layers import Dropout
    x = Input((50,))
    model = Model(x, Dropout(0.5)(x, training=True))
    assert (model(np.ones((2, 50), "f"), training=False) == 0).any()


def test_losses_of_a_layer_called_twice_add_up():
    x, z = Input((3,)), Input((3,))
    shared = Dense(2, activity_regularizer="l2", kernel_regularizer="l2")
    model = Model([x, z], Sum()([shared(x), shared(z)]))
    arrays = [np.ones((4, 3), "f"), np.full((4, 3), 2, "f")]
    model(arrays)
    kernel = shared.kernel.value
    expected = sum(0.01 * ((a @ kernel) ** 2).sum() / 4 for a in arrays) + 0.01 * (kernel ** 2).sum()
    assert sum(model.losses) == pytest.approx(expected, rel=1e-5)


def test_backward_that_gives_too_few_gradients_is_named():
    class Wrong(Product):
        def backward(self, dy):
            return dy

    a, b = Input((2,)), Input((2,))
    model = Model([a, b], Wrong(name="wrong")(a, b))
    y = model([np.ones((1, 2), "f")] * 2)
    with pytest.raises(RuntimeError, match=r"Wrong 'wrong'.*2 gradients.*got 1"):
        model.backward(y)


IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])


def test_masks_reach_the_layers_that_know_them():
    x = Input((4,))
    first, second, blind = SeesMask(), SeesMask(), Lambda(lambda a: a)
    model = Model(x, second(blind(first(Dense(2)(Embedding(5, 3, mask_zero=True)(x))))))
    with pytest.warns(UserWarning, match="does not support masking"):
        model(IDS)
    np.testing.assert_array_equal(first.seen, IDS != 0)
    assert second.seen is None


def test_masks_of_several_inputs_and_of_the_model():
    x, z = Input((4,)), Input((4, 3))
    total, last = Sum(), SeesMask()
    model = Model([x, z], last(total([Embedding(5, 3, mask_zero=True)(x), Masking()(z)])))
    values = np.ones((2, 4, 3), "f")
    values[:, 1:] = 0
    y = model([IDS, values])
    np.testing.assert_array_equal(last.seen, (IDS != 0) | values.any(axis=-1))
    np.testing.assert_array_equal(model.compute_mask([IDS, values]), last.seen)
    assert y.shape == (2, 4, 3)


def test_a_mask_given_to_the_model_goes_to_its_inputs():
    seen = SeesMask()
    model = Sequential([Input((4, 3)), seen])
    model(np.ones((2, 4, 3), "f"), mask=IDS != 0)
    np.testing.assert_array_equal(seen.seen, IDS != 0)


def test_masks_pass_through_nested_models():
    seen = SeesMask()
    model = Sequential([Sequential([Embedding(5, 3, mask_zero=True), Dense(2)]), seen])
    model(IDS)
    np.testing.assert_array_equal(seen.seen, IDS != 0)


def decoder(L, M, I):
    x, h, c = I((4,)), I((3,)), I((3,))
    e = L.Embedding(5, 2, mask_zero=True)(x)
    lstm = L.LSTM(3, return_sequences=True)
    return M([x, h, c], [lstm(e, initial_state=[h, c]), lstm(e)])


BESIDE_STATES = {
    "SimpleRNN": (lambda: L.SimpleRNN(3), 1), "GRU": (lambda: L.GRU(3, return_sequences=True), 1),
    "LSTM": (lambda: L.LSTM(3), 2), "RNN": (lambda: L.RNN(L.GRUCell(3)), 1),
    "Bidirectional": (lambda: L.Bidirectional(L.LSTM(3, return_sequences=True)), 4),
}


@pytest.mark.parametrize("spelling", ["keyword", "position", "list"])
@pytest.mark.parametrize("kind", BESIDE_STATES)
def test_masks_beside_initial_states(kind, spelling, rng):
    """The mask of the sequences stays, as in a call on arrays. Keras drops it unless states come in the list."""
    make, count = BESIDE_STATES[kind]
    embedding, layer, x = L.Embedding(5, 2, mask_zero=True), make(), Input((4,), dtype="int32")
    states, values = [Input((3,)) for _ in range(count)], [rng.normal(size=(2, 3)).astype("f") for _ in range(count)]
    called = {"keyword": lambda: layer(embedding(x), initial_state=states if count > 1 else states[0]),
              "position": lambda: layer(embedding(x), states), "list": lambda: layer([embedding(x), *states])}[spelling]()
    model = Model([x, *states], called)
    expected = layer(embedding(IDS), initial_state=values, mask=IDS != 0)
    np.testing.assert_array_equal(model([IDS, *values]), expected)
    assert (expected != layer(embedding(IDS), initial_state=values)).any()
    mask = model.compute_mask(None)
    assert mask is None if expected.ndim == 2 else (mask == (IDS != 0)).all()


def test_masks_beside_initial_states_of_a_decoder(rng):
    """Keras' values, but for the mask that it drops."""
    import keras

    import nblayers
    ours, theirs = decoder(nblayers.layers, Model, Input), decoder(keras.layers, keras.Model, keras.Input)
    copy_weights(theirs, ours)
    x = [np.maximum(IDS, 1), *(rng.normal(size=(2, 3)).astype("f") for _ in range(2))]
    assert_same(ours(x), [np.asarray(y) for y in theirs(x)], rtol=1e-4, atol=1e-6)


def test_masks_of_several_arguments_by_name():
    class Two(Layer):
        supports_masking = True

        def forward(self, a, b, mask=None, b_mask=None):
            self.seen, self.cache = (mask, b_mask), a.shape
            return a

        def backward(self, dy):
            return [dy, None]

    class Named(Two):
        def forward(self, a, b, a_mask=None, b_mask=None):
            self.seen, self.cache = (a_mask, b_mask), a.shape
            return a

    for kind in (Two, Named):
        x, layer, inner = Input((4,), dtype="int32"), kind(), L.Embedding(5, 2, mask_zero=True)
        model = Model(x, layer(inner(x), b=L.Embedding(5, 2, mask_zero=True)(x)))
        model(IDS)
        assert_same(list(layer.seen), [IDS != 0] * 2)
        np.testing.assert_array_equal(model.compute_mask(None), IDS != 0)


def test_nested_models_called_by_keyword(rng):
    x, embedding, inner = Input((4,), dtype="int32"), L.Embedding(5, 2, mask_zero=True), Sequential([L.GRU(3)], name="inner")
    model = Model(x, inner(inputs=embedding(x)))
    np.testing.assert_array_equal(model(IDS), inner.layers[0](embedding(IDS), mask=IDS != 0))
    with pytest.raises(TypeError, match=r"Sequential 'inner': expected the arguments of its forward "
                                        r"\(inputs, training, mask\): got an unexpected keyword argument 'initial_state'"):
        inner(embedding(x), initial_state=Input((3,)))


def named():
    a, b = Input((2,), name="a"), Input((3,), name="b")
    return Model({"a": a, "b": b}, {"sum": Dense(1)(a), "all": Dense(4)(b)})


def test_inputs_and_outputs_by_name(rng):
    model = named()
    arrays = {"b": rng.normal(size=(2, 3)).astype("f"), "a": rng.normal(size=(2, 2)).astype("f")}
    y = model(arrays)
    assert set(y) == {"sum", "all"} and y["all"].shape == (2, 4)
    dx = model.backward({"sum": np.ones((2, 1), "f"), "all": np.ones((2, 4), "f")})
    assert dx["a"].shape == (2, 2) and dx["b"].shape == (2, 3)
    assert_same(list(model([arrays["a"], arrays["b"]]).values()), list(y.values()))


def test_wrong_inputs_are_named():
    model = named()
    a, b = np.ones((2, 2), "f"), np.ones((2, 3), "f")
    with pytest.raises(ValueError, match=r"expected inputs named \['a', 'b'\], got \['a', 'c'\]"):
        model({"a": a, "c": b})
    with pytest.raises(ValueError, match="expected 2 inputs, got 1"):
        model(a)
    with pytest.raises(ValueError, match=r"expected shape \(None, 3\) for input 'b', got \(2, 3, 4\)"):
        model([a, np.ones((2, 3, 4))])
    with pytest.raises(ValueError, match=r"at least one sample, got input 'a' of shape \(0, 2\)"):
        model([a[:0], b[:0]])


def test_a_last_axis_of_one_may_be_missing_or_too_many():
    model = Sequential([Input((1,)), Dense(2)])
    column = np.arange(3, dtype="f")[:, None]
    y = model(column)
    assert model.backward(np.ones_like(y)).shape == (3, 1)
    assert_same(model(column[:, 0]), y)
    assert model.backward(np.ones_like(y)).shape == (3,)
    assert_same(model(column[:, :, None]), y)
    assert model.backward(np.ones_like(y)).shape == (3, 1, 1)


def test_the_length_of_a_sequence_is_free():
    x = Input((20,))
    model = Model(x, LSTM(3)(Embedding(5, 2)(x)))
    assert model(np.zeros((2, 1))).shape == (2, 3)


def test_integers_and_strings_are_passed_on():
    class Lengths(Layer):
        def _to_array(self, value):
            return value

        def forward(self, x):
            return np.char.str_len(x).astype("f")

        def compute_output_shape(self, input_shape):
            return input_shape

    model = Sequential([Input((1,), dtype="string"), Lengths()])
    assert_same(model(np.array([["ab"], ["c"]])), np.array([[2], [1]], "f"))
    assert_same(model.predict(np.array([["ab"], ["c"]], dtype=object).astype(str), verbose=0), np.array([[2], [1]], "f"))


def interchangeable(L, M, I, S):
    """Shared calls, several outputs, keyword tensors, nested models: what Keras and we must write alike."""
    x, z = I((4,), name="x"), I((4,), name="z")
    shared = L.Embedding(6, 3, name="shared")
    encoder = L.LSTM(5, return_state=True, name="encoder")
    _, h, c = encoder(shared(x))
    decoded = L.LSTM(5, return_sequences=True, name="decoder")(shared(z), initial_state=[h, c])
    inner_input = I((4, 5), name="inner_input")
    inner = M(inner_input, L.Dense(2, name="inner_dense")(inner_input), name="inner")
    stack = S([L.Flatten(name="flat"), L.Dense(3, name="stack_dense")], name="stack")
    return M([x, z], [inner(decoded), stack(inner(decoded)), h], name="whole")


def test_configurations_are_exchanged_with_keras(rng):
    import keras

    import nblayers
    ours = interchangeable(nblayers.layers, Model, Input, Sequential)
    theirs = interchangeable(keras.layers, keras.Model, keras.Input, keras.Sequential)
    x = [rng.integers(0, 6, (2, 4)) for _ in range(2)]
    copy_weights(theirs, ours)
    expected = [np.asarray(y) for y in theirs(x)]
    assert_same(ours(x), expected, rtol=1e-5, atol=1e-6)

    made_here = Model.from_config(json.loads(json.dumps(theirs.get_config())))
    copy_weights(theirs, made_here)
    assert [layer.name for layer in made_here.layers] == [layer.name for layer in theirs.layers]
    assert_same(made_here(x), expected, rtol=1e-5, atol=1e-6)

    made_there = keras.Model.from_config(json.loads(json.dumps(ours.get_config())))
    copy_weights(ours, made_there)
    assert_same([np.asarray(y) for y in made_there(x)], expected, rtol=1e-5, atol=1e-6)


def test_a_configuration_that_does_not_connect():
    config = json.loads(interchangeable(__import__("nblayers").layers, Model, Input, Sequential).to_json())["config"]
    config["layers"] = [layer for layer in config["layers"] if layer["name"] != "shared"]
    with pytest.raises(ValueError, match="no other call gives"):
        Model.from_config(config)


def test_constants_are_written_down():
    x = Input((3,))
    model = Model(x, Sum()([x, np.arange(3.0)]))
    again = Model.from_config(json.loads(model.to_json())["config"], custom_objects={"Sum": Sum})
    assert_same(again(np.ones((1, 3), "f")), np.array([[1, 2, 3]], "f"))


def test_structures():
    structure = {"b": [1, (2, 3)], "a": 4}
    assert flatten(structure) == [4, 1, 2, 3]
    assert map_structure(lambda n: n * 10, structure) == {"b": [10, (20, 30)], "a": 40}
    assert pack(structure, "wxyz") == {"b": ["x", ("y", "z")], "a": "w"}


def test_flatten_layer_in_a_graph_with_unknown_sizes():
    assert Flatten()(Input((None, 3))).shape == (None, None)
    assert isinstance(InputLayer((2,)), Layer)


def test_a_gradient_of_double_precision_stays_one(rng):
    """The model's own dtype is that of its name alone: its layers convert what they are given."""
    model = Sequential([Input((6,)), Dense(3, dtype="float64")])
    x, dy = rng.normal(size=(5, 6)), rng.normal(size=(5, 3))
    model.forward(x, training=True)
    dx = model.backward(dy)
    assert dx.dtype == model.layers[0].kernel.grad.dtype == "float64"
    np.testing.assert_allclose(model.layers[0].kernel.grad, x.T @ dy, rtol=1e-13)
    np.testing.assert_allclose(dx, dy @ model.layers[0].kernel.value.T, rtol=1e-13)
