"""GRU and its cell, both ways to reset: against Keras, PyTorch, each other, and finite differences."""
import inspect
import itertools

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, exact_tanh, numeric_gradient

import kernels
import nblayers
from nblayers import optimizers
from nblayers.layers import GRU, RNN, Dense, GRUCell, Input
from nblayers.models import Sequential
from nblayers.utils import pack_padded_sequence, pad_packed_sequence

B, T, D, H = 3, 5, 2, 4
MASKS = {
    "no mask": None,
    "right padding": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "left padding": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1, 1, 0, 1, 1]],
    "a row of padding": [[0, 0, 0, 0, 0], [1, 0, 1, 1, 1], [1, 1, 1, 1, 0]],
}
both_ways = pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])


def mask_of(kind):
    return None if MASKS[kind] is None else np.array(MASKS[kind], bool)


def sequences(rng, dtype="float64"):
    return rng.normal(size=(B, T, D)).astype(dtype)


def with_random_weights(layer, rng, shape=(B, T, D)):
    layer.build(shape)
    layer.built = True
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


@both_ways
@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_layer_in_three_rooms(rng, reset_after, activation):
    x, mask, dy = sequences(rng)[:, :3], mask_of("holes")[:, :3], rng.normal(size=(B, 3, H))
    layer = GRU(H, activation, return_sequences=True, go_backwards=True, reset_after=reset_after, dtype="float64")
    with_random_weights(layer, rng)
    results = {}
    for room in kernels.ROOMS:
        layer.to(room)
        layer.zero_grad()
        results[room] = [layer(x, mask=mask), layer.backward(dy), *(p.grad.copy() for p in layer.weights)]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


KERAS = [
    ({}, "no mask", False),
    (dict(return_sequences=True), "holes", False),
    (dict(return_state=True), "left padding", True),
    (dict(return_sequences=True, return_state=True, go_backwards=True), "holes", True),
    (dict(return_sequences=True, go_backwards=True), "no mask", False),
    (dict(go_backwards=True, return_state=True), "right padding", False),
    (dict(return_sequences=True, return_state=True, use_bias=False), "a row of padding", True),
    (dict(zero_output_for_mask=True, return_sequences=True, go_backwards=True), "holes", True),
    (dict(zero_output_for_mask=True, return_state=True), "right padding", True),
    (dict(unroll=True, implementation=1), "no mask", True),
    (dict(activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True), "holes", True),
    (dict(activation="softmax", recurrent_activation=None, go_backwards=True, use_bias=False), "left padding", False),
    (dict(activation="elu", zero_output_for_mask=True, return_sequences=True, return_state=True), "a row of padding", True),
]


@both_ways
@pytest.mark.parametrize(("options", "mask", "initial"), KERAS)
def test_values_and_gradients_are_keras(rng, x64, reset_after, options, mask, initial):
    import keras
    arguments = {"mask": mask_of(mask)} if mask_of(mask) is not None else {}
    if initial:
        arguments["initial_state"] = [rng.normal(size=(B, H))]
    options = dict(options, reset_after=reset_after, dtype="float64")
    ours = with_random_weights(GRU(H, **options), rng)
    agrees_with_keras(ours, exact_tanh(keras.layers.GRU(H, **options)), sequences(rng), **arguments)


@both_ways
def test_float32_is_keras_too_and_stays_float32(rng, reset_after):
    import keras
    ours = with_random_weights(GRU(H, return_sequences=True, reset_after=reset_after), rng)
    agrees_with_keras(ours, keras.layers.GRU(H, return_sequences=True, reset_after=reset_after), sequences(rng, "float32"))
    y = ours(sequences(rng, "float32"))
    assert {a.dtype.name for a in (y, ours.backward(y), *(p.grad for p in ours.weights))} == {"float32"}
    walked = RNN(GRUCell(H, reset_after=reset_after))
    y = walked(sequences(rng, "float32"))
    assert {a.dtype.name for a in (y, walked.backward(y), *(p.grad for p in walked.weights))} == {"float32"}


@both_ways
@pytest.mark.parametrize("zero", [False, True])
def test_rnn_over_a_cell_is_keras(rng, x64, reset_after, zero):
    import keras
    options = dict(return_sequences=True, return_state=True, go_backwards=True, zero_output_for_mask=zero, dtype="float64")
    ours = with_random_weights(RNN(GRUCell(H, reset_after=reset_after, dtype="float64"), **options), rng)
    theirs = exact_tanh(keras.layers.RNN(keras.layers.GRUCell(H, reset_after=reset_after, dtype="float64"), **options))
    agrees_with_keras(ours, theirs, sequences(rng), mask=mask_of("holes"), initial_state=[rng.normal(size=(B, H))])


@both_ways
@pytest.mark.parametrize("options", [dict(dropout=0.4), dict(recurrent_dropout=0.4), dict(dropout=0.3, recurrent_dropout=0.4),
                                     dict(dropout=1.0), dict(recurrent_dropout=1.0)], ids=str)
def test_dropout_is_keras_given_the_same_masks(rng, x64, monkeypatch, reset_after, options):
    import keras
    options = dict(options, return_sequences=True, reset_after=reset_after, dtype="float64")
    ours = with_random_weights(GRU(H, seed=3, **options), rng)
    theirs = exact_tanh(keras.layers.GRU(H, **options))
    x, mask = sequences(rng), mask_of("holes")
    theirs(x)
    drawn, draw = {}, ours.cell.dropout_masks

    def remember(*arguments):
        drawn["x"], drawn["h"] = draw(*arguments)
        return drawn["x"], drawn["h"]

    def masks_of(name, keras_mask):
        def masks(step):
            if drawn[name] is None:
                return keras_mask(step)
            found = [keras.ops.convert_to_tensor(m) for m in drawn[name]]
            return found if hasattr(theirs.cell, "dropout_mask_count") else found[0]
        return masks

    monkeypatch.setattr(ours.cell, "dropout_masks", remember)
    for name, method in {"x": "get_dropout_mask", "h": "get_recurrent_dropout_mask"}.items():
        monkeypatch.setattr(theirs.cell, method, masks_of(name, getattr(theirs.cell, method)))
    agrees_with_keras(ours, theirs, x, mask=mask, training=True)
    if 1.0 not in options.values():
        assert any(masks is not None and (masks == 0).any() for masks in drawn.values())


@pytest.mark.parametrize("ours", [GRU, GRUCell])
def test_arguments_are_keras(ours):
    import keras

    def arguments(function):
        found = [(p.name, p.default) for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        return [argument for argument in found if argument[0] != "implementation"]      # Keras takes it among its **kwargs
    theirs = getattr(keras.layers, ours.__name__)
    assert arguments(ours.__init__) == arguments(theirs.__init__)
    if ours is GRU:
        assert arguments(ours.forward) == arguments(theirs.call)


@both_ways
def test_config_goes_to_keras_and_back(reset_after):
    import keras
    options = dict(activation="relu", recurrent_activation="tanh", use_bias=False, kernel_initializer="he_normal",
                   recurrent_regularizer="l2", bias_constraint="non_neg", dropout=0.1, recurrent_dropout=0.2, seed=5,
                   reset_after=reset_after, name="r", trainable=False, dtype="float64")
    sequence = dict(return_sequences=True, return_state=True, go_backwards=True, stateful=True, unroll=True,
                    zero_output_for_mask=True, activity_regularizer={
                        "module": "keras.regularizers", "class_name": "L1", "config": {"l1": 0.25}, "registered_name": None})
    for our_class, given in ((GRU, options | sequence), (GRUCell, options)):
        their_class = getattr(keras.layers, our_class.__name__)
        ours, theirs = our_class(H, **given), their_class(H, **given)
        assert ours.get_config().keys() == theirs.get_config().keys()
        assert our_class.from_config(theirs.get_config()).get_config() == ours.get_config()
        assert their_class.from_config(ours.get_config()).get_config() == theirs.get_config()
        assert our_class(3).get_config().keys() == their_class(3).get_config().keys()


@pytest.mark.parametrize(("return_sequences", "return_state"), list(itertools.product([False, True], repeat=2)))
def test_shapes_and_masks_that_go_on_are_keras(return_sequences, return_state):
    import keras
    options = dict(return_sequences=return_sequences, return_state=return_state)
    ours, theirs = GRU(H, **options), keras.layers.GRU(H, **options)
    shapes = theirs.compute_output_shape((None, 7, 2))
    assert ours.compute_output_shape((None, 7, 2)) == (list(shapes) if return_state else shapes)
    mask = np.ones((2, 7), bool)
    assert_same(ours.compute_mask(None, mask), theirs.compute_mask(None, mask))
    assert ours.supports_masking


def test_weights_and_their_regularizers():
    for reset_after, shape in ((True, (2, 3 * H)), (False, (3 * H,))):
        layer = GRU(H, reset_after=reset_after, bias_initializer="ones", recurrent_regularizer="l2", bias_regularizer="l1",
                    kernel_constraint="non_neg")
        layer.build((None, None, D))
        assert [p.shape for p in layer.weights] == [(D, 3 * H), (H, 3 * H), shape]
        np.testing.assert_array_equal(layer.cell.bias.value, 1)
        U = layer.cell.recurrent_kernel.value
        np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-5)
        assert [p.path for p in layer.weights] == [f"{layer.name}/gru_cell/{n}" for n in ("kernel", "recurrent_kernel", "bias")]
        assert [p.regularizer is None for p in layer.weights] == [True, False, False]
        assert [p.constraint is None for p in layer.weights] == [False, True, True]
        np.testing.assert_allclose(layer.losses, [0.01 * (U ** 2).sum(), 0.01 * np.prod(shape)], rtol=1e-5)
    assert len(GRU(H, use_bias=False).cell.weights) == 0
    assert len(with_random_weights(GRU(H, use_bias=False), np.random.default_rng(0)).weights) == 2
    assert len(with_random_weights(GRU(H, trainable=False), np.random.default_rng(0)).trainable_weights) == 0


def test_parameter_counts_of_document_003():
    counts = {}
    for reset_after in (True, False):
        layer = GRU(32, activation="tanh", reset_after=reset_after, input_shape=(10, 1))
        layer.build((None, 10, 1))
        counts[reset_after] = layer.count_params()
    assert counts == {True: 3360, False: 3264}              # as printed there, and as its formula has it
    model = Sequential([GRU(32, activation="tanh", input_shape=(10, 1)), Dense(1)])
    assert model.count_params() == 3360 + 33


def test_the_four_output_shapes_of_document_003(rng):
    x = rng.random((100, 10, 1))
    assert GRU(32)(x).shape == (100, 32)
    assert GRU(32, return_sequences=True)(x).shape == (100, 10, 32)
    output, h = GRU(32, return_state=True)(x)
    assert output.shape == h.shape == (100, 32)
    np.testing.assert_array_equal(output, h)
    output, h = GRU(32, return_sequences=True, return_state=True)(x)
    assert output.shape == (100, 10, 32) and h.shape == (100, 32)
    np.testing.assert_array_equal(output[:, -1], h)


def as_torch_has_them(layer, part):
    """The "value" or "grad" of our weights as PyTorch's GRU holds its own: transposed, the gates in the order r, z, n."""
    z, r, h = np.arange(3 * H).reshape(3, H)
    W, U, *biases = (getattr(p, part)[..., [*r, *z, *h]] for p in layer.weights)
    return [W.T, U.T, *(row for bias in biases for row in bias)]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("packed", [False, True])
def test_values_and_gradients_are_pytorchs(rng, use_bias, packed):
    import torch
    from torch.nn.utils import rnn
    ours = GRU(H, return_sequences=True, return_state=True, use_bias=use_bias, dtype="float64")
    with_random_weights(ours, rng)
    theirs = torch.nn.GRU(D, H, batch_first=True, bias=use_bias, dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip(theirs.parameters(), as_torch_has_them(ours, "value"), strict=True):
            parameter[:] = torch.tensor(value)
    x, h0, lengths = sequences(rng), rng.normal(size=(B, H)), [3, 5, 1]
    x_torch, h0_torch = torch.tensor(x, requires_grad=True), torch.tensor(h0, requires_grad=True)
    if packed:
        y_torch, last = theirs(rnn.pack_padded_sequence(x_torch, torch.tensor(lengths), True, False), h0_torch[None])
        y_torch = rnn.pad_packed_sequence(y_torch, batch_first=True)[0]
        given = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y_ours, state = ours(given, initial_state=[h0])
        y = pad_packed_sequence(y_ours, batch_first=True)[0]
    else:
        y_torch, last = theirs(x_torch, h0_torch[None])
        y, state = ours(x, initial_state=[h0])
    assert_same([y, state], [y_torch.detach(), last[0].detach()], rtol=1e-12, atol=1e-12)
    dy, dstate = rng.normal(size=y.shape), rng.normal(size=state.shape)
    ((y_torch * torch.tensor(dy)).sum() + (last[0] * torch.tensor(dstate)).sum()).backward()
    if packed:
        dx, dh0 = ours.backward([pack_padded_sequence(dy, lengths, batch_first=True, enforce_sorted=False), dstate])
        dx = pad_packed_sequence(dx, batch_first=True)[0]
    else:
        dx, dh0 = ours.backward([dy, dstate])
    assert_same([dx, dh0], [x_torch.grad, h0_torch.grad], rtol=1e-10, atol=1e-12)
    assert_same(as_torch_has_them(ours, "grad"), [p.grad for p in theirs.parameters()], "weights", rtol=1e-10, atol=1e-12)


@both_ways
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_packed_is_padded_with_a_mask(rng, reset_after, go_backwards, return_sequences):
    layer = GRU(H, reset_after=reset_after, go_backwards=go_backwards, return_sequences=return_sequences, return_state=True,
                dtype="float64")
    with_random_weights(layer, rng)
    x, h0, lengths, mask = sequences(rng), rng.normal(size=(B, H)), [3, 5, 1], mask_of("right padding")
    y, state = layer(x, initial_state=[h0], mask=mask)
    dy, dstate = rng.normal(size=y.shape), rng.normal(size=state.shape)
    if return_sequences:                                    # as walked; those of a packed batch stand as time goes
        in_time = (lambda a: a[:, ::-1]) if go_backwards else (lambda a: a)
        y, dy = in_time(y) * mask[..., None], dy * in_time(mask)[..., None]
    expected = y, state, *layer.backward([dy, dstate]), *(p.grad.copy() for p in layer.weights)
    pack = lambda a: pack_padded_sequence(a, lengths, batch_first=True, enforce_sorted=False)       # noqa: E731
    unpack = lambda a: pad_packed_sequence(a, batch_first=True)[0]                                  # noqa: E731
    layer.zero_grad()
    y, state = layer(pack(x), initial_state=[h0])
    dx, dh0 = layer.backward([pack(in_time(dy)) if return_sequences else dy, dstate])
    got = unpack(y) if return_sequences else y, state, unpack(dx), dh0, *(p.grad for p in layer.weights)
    assert_same(got, expected, rtol=1e-10, atol=1e-12)


@both_ways
@pytest.mark.parametrize("mask", MASKS)
def test_fused_layer_is_an_rnn_over_its_cell(rng, reset_after, mask):
    x, state = sequences(rng), [rng.normal(size=(B, H))]
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "use_bias")
    for flags in itertools.product([False, True], repeat=5):
        options = dict(zip(names, flags, strict=True), dtype="float64")
        fused = with_random_weights(GRU(H, reset_after=reset_after, **options), rng)
        cell = GRUCell(H, reset_after=reset_after, use_bias=options.pop("use_bias"), dtype="float64")
        walked = RNN(cell, **options)
        call = dict(mask=mask_of(mask), initial_state=state)
        outputs = fused(x, **call)
        assert isinstance(fused.cache, GRU.Cache)
        walked.build(x.shape)
        copy_weights(fused, walked)
        assert_same(walked(x, **call), outputs, f"output {options}", rtol=1e-12, atol=1e-13)
        dy = [rng.normal(size=y.shape) for y in outputs] if fused.return_state else rng.normal(size=outputs.shape)
        assert_same(walked.backward(dy), fused.backward(dy), f"input gradient {options}", rtol=1e-10, atol=1e-12)
        assert_same([p.grad for p in walked.weights], [p.grad for p in fused.weights], f"weight gradient {options}",
                    rtol=1e-10, atol=1e-12)


@both_ways
def test_cache_holds_the_symbols_of_the_formula(rng, reset_after):
    layer = with_random_weights(GRU(H, reset_after=reset_after, dtype="float64"), rng)
    x = sequences(rng)
    y = layer(x)
    cache = layer.cache
    sigmoid = lambda a: 1 / (1 + np.exp(-a))                                            # noqa: E731
    h_prev = np.concatenate([cache.h0[:, None], cache.h[:, :-1]], axis=1)
    W, U, b = layer.get_weights()
    b, b_recurrent = b if reset_after else (b, np.zeros(3 * H))
    x_z, x_r, x_h = np.split(x @ W + b, 3, axis=-1)
    a_z, a_r, a_h = np.split(h_prev @ U + b_recurrent, 3, axis=-1)
    symbols = {"z": sigmoid(x_z + a_z), "r": sigmoid(x_r + a_r), "u": a_h if reset_after else cache.r * h_prev,
               "h_tilde": np.tanh(x_h + (cache.r * cache.u if reset_after else cache.u @ U[:, 2 * H:])),
               "h": cache.z * h_prev + (1 - cache.z) * cache.h_tilde}
    for name, value in symbols.items():
        np.testing.assert_allclose(getattr(cache, name), value, rtol=1e-10, err_msg=name)
    assert all(np.shares_memory(gate, cache.gates) for gate in (cache.z, cache.r, cache.h_tilde))
    np.testing.assert_array_equal(y, cache.h[:, -1])


@both_ways
def test_masked_steps_may_hold_anything(rng, reset_after):
    x, mask = sequences(rng), mask_of("holes")
    layer = with_random_weights(GRU(H, reset_after=reset_after, dtype="float64", return_sequences=True), rng)
    dy = rng.normal(size=(B, T, H))
    expected = layer(x, mask=mask), layer.backward(dy)[mask], [p.grad.copy() for p in layer.weights]
    x[~mask] = 1e30
    layer.zero_grad()
    y, dx = layer(x, mask=mask), layer.backward(dy)
    assert_same([y, dx[mask], [p.grad for p in layer.weights]], list(expected), rtol=1e-12)
    np.testing.assert_array_equal(dx[~mask], 0)


GRADCHECK = [
    {}, dict(return_sequences=True), dict(return_state=True), dict(return_sequences=True, return_state=True, go_backwards=True),
    dict(use_bias=False, go_backwards=True), dict(zero_output_for_mask=True, return_sequences=True),
    dict(zero_output_for_mask=True, return_state=True), dict(unroll=True, stateful=True),
    dict(activation="softsign", return_sequences=True), dict(recurrent_activation="gelu", use_bias=False),
    dict(dropout=0.3), dict(recurrent_dropout=0.3, dropout=0.2), dict(recurrent_dropout=0.3, return_sequences=True),
    dict(activity_regularizer="l2", return_sequences=True),
]


@both_ways
@pytest.mark.parametrize("options", GRADCHECK, ids=str)
def test_gradients_are_finite_differences(rng, reset_after, options):
    layer = GRU(3, reset_after=reset_after, **options)
    nblayers.gradcheck(layer, sequences(rng)[:2, :4], initial_state=[rng.normal(size=(2, 3))], mask=mask_of("holes")[:2, :4],
                       training=True)


@both_ways
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_under_masks(rng, reset_after, mask):
    layer = GRU(3, reset_after=reset_after, return_sequences=True, return_state=True)
    nblayers.gradcheck(layer, sequences(rng), initial_state=[rng.normal(size=(B, 3))], mask=mask_of(mask))


@both_ways
@pytest.mark.parametrize("options", [dict(activation="gelu"), dict(recurrent_activation="hard_sigmoid", use_bias=False),
                                     dict(recurrent_dropout=0.4, dropout=0.2), dict(dropout=0.4)], ids=str)
def test_gradients_of_a_cell_alone(rng, reset_after, options):
    """backward((dout, [dstate])), the state's gradient included."""
    cell = with_random_weights(GRUCell(3, reset_after=reset_after, dtype="float64", **options), rng, (B, D))
    x, h = rng.normal(size=(B, D)), rng.normal(size=(B, 3))
    dout, dnew = rng.normal(size=(B, 3)), rng.normal(size=(B, 3))
    cell.forward(x, [h], training=True)
    dx, (dh,) = cell.backward((dout, [dnew]))
    gradients = [p.grad.copy() for p in cell.weights]

    def loss():
        out, (new,) = cell.forward(x, [h], training=True)               # the masks stay until they are reset
        return (out * dout).sum() + (new * dnew).sum()
    for value, gradient in zip([x, h, *(p.value for p in cell.weights)], [dx, dh, *gradients], strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(loss, value), rtol=1e-6, atol=1e-8)


def test_dropout_masks(rng):
    x = np.ones((2, 50, 40), "float32")
    layer = GRU(H, dropout=0.25, seed=1)
    layer(x)
    np.testing.assert_array_equal(layer.cache.x, x)                                                 # not in inference
    layer(x, training=True)
    first = layer.cache.dropout_mask
    assert first.shape == (2, 40) and set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_array_equal(layer.cache.x, np.broadcast_to(first[:, None], x.shape))          # the same at every step
    again = GRU(H, dropout=0.25, seed=1)
    again(x, training=True)
    np.testing.assert_array_equal(again.cache.dropout_mask, first)                                  # the seed fixes them
    layer = GRU(H, recurrent_dropout=0.5, dropout=0.25)
    layer(x, training=True)
    masks = [step.masks for step in layer.cache.steps]
    assert masks[0][0].shape == (3, 2, 40) and masks[0][1].shape == (3, 2, H)
    assert all(m[0] is masks[0][0] and m[1] is masks[0][1] for m in masks)
    layer(x)
    assert isinstance(layer.cache, GRU.Cache)


@both_ways
def test_two_stateful_calls_are_one_long_one(rng, reset_after):
    x = sequences(rng, "float32")
    layer = GRU(H, stateful=True, return_sequences=True, reset_after=reset_after)
    output = layer(x[:, :2])
    first = output.copy()
    output[...] = 7                                                 # the state is not the output that we may change
    second = layer(x[:, 2:])
    layer.reset_state()
    whole = layer(x)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-5, atol=1e-7)
    assert (layer(x) != whole).any()
    with pytest.raises(ValueError, match=r"GRU 'gru': expected a batch of 3 sequences.*got 2"):
        layer(x[:2])
    layer.reset_state()
    assert layer.states is None
    np.testing.assert_array_equal(layer(x), whole)


def test_ways_to_give_the_initial_state(rng):
    x, h0 = sequences(rng), rng.normal(size=(B, H))
    layer = GRU(H, dtype="float64")
    by_keyword = layer(x, initial_state=[h0]), *layer.backward(np.ones((B, H)))
    for call in (lambda: layer([x, h0]), lambda: layer(x, [h0]), lambda: layer(x, initial_state=(h0,)),
                 lambda: layer(x, initial_state=h0)):
        assert_same([call(), *layer.backward(np.ones((B, H)))], list(by_keyword))
    layer(x)
    assert isinstance(layer.backward(np.ones((B, H))), np.ndarray)


@both_ways
@pytest.mark.parametrize("options", [{}, dict(activation="relu")], ids=str)
def test_two_training_steps(rng, reset_after, options):
    layer = GRU(H, reset_after=reset_after, **options)
    x, target = sequences(rng, "float32"), rng.normal(size=(B, H)).astype("float32")
    losses = []
    for _ in range(3):
        y = layer(x)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for p in layer.trainable_weights:
            p.value -= 0.01 * p.grad
    assert losses[2] < losses[1] < losses[0]


def test_training_obeys_constraints_and_penalties(rng):
    x, y = sequences(rng, "float32"), rng.normal(size=(B, 1)).astype("float32")
    gru = GRU(H, kernel_constraint="non_neg", recurrent_regularizer="l2", bias_constraint="max_norm")
    model = Sequential([Input((T, D)), gru, Dense(1)])
    model.compile(optimizer=optimizers.SGD(0.1), loss="mse")
    kernel, recurrent_kernel, bias = gru.get_weights()
    losses = model.fit(x, y, epochs=2, verbose=0).history["loss"]
    new_kernel, new_recurrent, new_bias = gru.get_weights()
    assert losses[1] < losses[0]
    assert (new_kernel >= 0).all() and (kernel < 0).any()
    assert (new_recurrent != recurrent_kernel).any() and (new_bias != bias).any()


@both_ways
def test_gradients_are_added_and_inputs_left_alone(rng, reset_after):
    layer = GRU(H, return_sequences=True, return_state=True, go_backwards=True, zero_output_for_mask=True,
                reset_after=reset_after)
    x, h0, mask = sequences(rng, "float32"), rng.normal(size=(B, H)).astype("float32"), mask_of("holes")
    dy = [np.ones_like(y) for y in layer(x, initial_state=[h0], mask=mask)]
    given = [x, h0, mask, *dy]
    kept = [a.copy() for a in given]
    dx = layer.backward(dy)
    once = [p.grad.copy() for p in layer.weights]
    assert_same(layer.backward(dy), dx)
    assert_same([p.grad for p in layer.weights], [2 * g for g in once], rtol=1e-5, atol=1e-5)
    assert_same(given, kept)
    assert_same(layer.backward([dy[0], None]), layer.backward([dy[0], np.zeros_like(h0)]))


@both_ways
@pytest.mark.parametrize("options", [{}, dict(activation="elu")], ids=str)
@pytest.mark.parametrize(("batch", "time"), [(1, 5), (3, 1), (1, 1)])
def test_batch_of_one_and_one_step(rng, reset_after, options, batch, time):
    layer = GRU(H, return_sequences=True, dtype="float64", reset_after=reset_after, **options)
    x = sequences(rng)
    whole = layer(x)
    np.testing.assert_allclose(layer(x[:batch, :time]), whole[:batch, :time], rtol=1e-12)
    assert layer.backward(np.ones((batch, time, H))).shape == (batch, time, D)


@both_ways
def test_non_contiguous_input(rng, reset_after):
    layer = GRU(H, return_sequences=True, dtype="float64", reset_after=reset_after)
    x, dy = sequences(rng), rng.normal(size=(B, T, H))
    y, dx = layer(x), layer.backward(dy)
    np.testing.assert_array_equal(layer(np.asfortranarray(x)[::-1][::-1], mask=np.ones((T, B), bool).T), y)
    np.testing.assert_array_equal(layer.backward(np.asfortranarray(dy)), dx)


def test_nobody_needs_the_input_gradient(rng):
    layer = GRU(H, dtype="float64")
    layer(sequences(rng))
    layer.backward(np.ones((B, H)))
    expected = [p.grad.copy() for p in layer.weights]
    layer.input_gradient = False
    layer.zero_grad()
    assert layer.backward(np.ones((B, H))) is None
    assert_same([p.grad for p in layer.weights], expected)


def test_bad_input_is_named(rng):
    layer, x, h0 = GRU(H, name="r"), sequences(rng), rng.normal(size=(B, H))
    with pytest.raises(RuntimeError, match="GRU 'r': backward needs a forward first"):
        layer.backward(x)
    layer(x)
    for call, message in [
        (lambda: layer(x[0]), "expected an input of 3 axes, got 2"),
        (lambda: layer(x[..., :1]), "expected size 2 on axis 2 of the input, got 1"),
        (lambda: layer(x[:, :0]), r"expected at least one time step on axis 1, got an input of shape \(3, 0, 2\)"),
        (lambda: layer(x, mask=np.ones((3, 4), bool)), r"expected a mask of shape \(3, 5\), got \(3, 4\)"),
        (lambda: layer(x, initial_state=[h0[:2]]), r"expected initial states of shapes \[\(3, 4\)\], got \[\(2, 4\)\]"),
        (lambda: layer(x, initial_state=[h0, h0]), "expected initial states of shapes"),
        (lambda: layer.backward(np.ones((B, T, H))), r"backward expected dy of shape \(3, 4\)"),
    ]:
        with pytest.raises(ValueError, match=f"GRU 'r': {message}"):
            call()
    cell = GRUCell(H, name="c")
    for states in ([np.ones((B, 3))], [h0, h0], h0):
        with pytest.raises(ValueError, match=r"GRUCell 'c': expected states of shapes \[\(3, 4\)"):
            cell.forward(np.ones((B, D)), states)


@pytest.mark.parametrize("layer_class", [GRU, GRUCell])
def test_bad_arguments_are_named(layer_class):
    for arguments, message in [
        (dict(units=0), f"^{layer_class.__name__} .*: expected a positive integer as units, got 0"),
        (dict(units=2, dropout=1.5), "expected dropout in .0, 1., got 1.5"),
        (dict(units=2, recurrent_dropout=-1), "expected recurrent_dropout in .0, 1., got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer_class(**arguments)
    with pytest.raises(TypeError, match=f"{layer_class.__name__}.*: unknown argument 'unitz'"):
        layer_class(2, unitz=3)
    with pytest.raises(ValueError, match=r"GRU 'gru.*': expected use_cudnn to be 'auto', True or False, got 'yes'"):
        GRU(2, use_cudnn="yes")
