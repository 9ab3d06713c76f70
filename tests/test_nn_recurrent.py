"""nblayers.nn.RNN, LSTM and GRU against PyTorch's: values and all gradients, padded, packed and single sequences."""
import copy

import numpy as np
import pytest
import torch
from helpers import assert_same
from torch.nn.utils import rnn as torch_rnn

import nblayers
from nblayers import nn, optimizers
from nblayers.nn.utils import rnn
from nblayers.utils import deserialize_keras_object, serialize_keras_object

T, B, D, H = 5, 3, 4, 2
CLASSES = ["RNN", "LSTM", "GRU"]
CLOSE = dict(rtol=1e-9, atol=1e-11)
OPTIONS = [
    {}, dict(bias=False), dict(num_layers=2), dict(bidirectional=True), dict(batch_first=True),
    dict(num_layers=3, bidirectional=True, batch_first=True), dict(num_layers=2, bidirectional=True, bias=False)]


def pair(name, options):
    """Our module and PyTorch's with the same weights, in double precision."""
    theirs = getattr(torch.nn, name)(D, H, **options, dtype=torch.float64)
    ours = getattr(nn, name)(D, H, **options, dtype="float64")
    assert [p.name for p in ours.weights] == [key for key, _ in theirs.named_parameters()]
    assert all(getattr(ours, p.name) is p for p in ours.weights)
    ours.set_weights([p.detach().numpy() for p in theirs.parameters()])
    return ours, theirs


def states_for(ours, rng, batch=(B,)):
    shape = (ours.num_layers * (2 if ours.bidirectional else 1), *batch, H)
    states = [rng.normal(size=shape) for _ in range(ours.states)]
    return states if ours.states == 2 else states[0]


def tensors(value):
    if isinstance(value, (list, tuple)):
        return tuple(tensors(item) for item in value)
    return torch.tensor(value, requires_grad=True)


def leaves(values):
    if isinstance(values, (rnn.PackedSequence, torch_rnn.PackedSequence)):
        return [values.data]
    return [leaf for value in values for leaf in leaves(value)] if isinstance(values, (list, tuple)) else [values]


def numbers(values):
    return [leaf.detach().numpy() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves(values)]


def agree(ours, theirs, x, hx, rng, x_torch=None):
    """Outputs and the gradients of input, initial states and weights."""
    x_torch = tensors(x) if x_torch is None else x_torch
    hx_torch = None if hx is None else tensors(hx)
    y, last = ours(x, hx)
    y_torch, last_torch = theirs(x_torch, hx_torch)
    assert_same(numbers((y, last)), numbers((y_torch, last_torch)), "output", **CLOSE)
    assert isinstance(last, tuple) == (ours.states == 2)
    upstream = [rng.normal(size=leaf.shape) for leaf in leaves((y, last))]
    torch.autograd.backward(leaves((y_torch, last_torch)), [torch.tensor(u) for u in upstream])
    dy = y._replace(data=upstream[0]) if isinstance(y, rnn.PackedSequence) else upstream[0]
    dx = ours.backward((dy, tuple(upstream[1:]) if ours.states == 2 else upstream[1]))
    expected = leaves(x_torch if hx is None else (x_torch, hx_torch))
    assert_same(leaves(dx), [leaf.grad.numpy() for leaf in expected], "input gradient", **CLOSE)
    assert_same([p.grad for p in ours.weights], [p.grad.numpy() for p in theirs.parameters()], "weight gradient", **CLOSE)
    return y, dx


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "hx"])
def test_padded(name, options, given, rng):
    ours, theirs = pair(name, options)
    x = rng.normal(size=(B, T, D) if options.get("batch_first") else (T, B, D))
    y, dx = agree(ours, theirs, x, states_for(ours, rng) if given else None, rng)
    assert y.shape[:2] == x.shape[:2]
    if given:
        assert dx[0].shape == x.shape


@pytest.mark.parametrize("options", [dict(bias=False), dict(num_layers=2, bidirectional=True, batch_first=True)], ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "hx"])
def test_projected(options, given, rng):
    """A state that is smaller than the cell: padded, packed, and one sequence alone."""
    theirs = torch.nn.LSTM(D, 3, proj_size=H, **options, dtype=torch.float64)
    ours = nn.LSTM(D, 3, proj_size=H, **options, dtype="float64")
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    walks = ours.num_layers * (2 if ours.bidirectional else 1)

    def states(*batch):
        return [rng.normal(size=(walks, *batch, size)) for size in (H, 3)] if given else None
    agree(ours, theirs, rng.normal(size=(B, T, D) if ours.batch_first else (T, B, D)), states(B), rng)
    agree_again(ours, theirs)
    agree(ours, theirs, rng.normal(size=(T, D)), states(), rng)
    agree_again(ours, theirs)
    sequences = [rng.normal(size=(n, D)) for n in (3, 5, 1)]
    x_torch = torch_rnn.pack_sequence([torch.tensor(s) for s in sequences], enforce_sorted=False)
    x_torch = x_torch._replace(data=x_torch.data.detach().requires_grad_())
    agree(ours, theirs, rnn.pack_sequence(sequences, enforce_sorted=False), states(B), rng, x_torch)


def agree_again(ours, theirs):
    ours.zero_grad()
    theirs.zero_grad()


@pytest.mark.parametrize("options", [{}, dict(bias=False)], ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "hx"])
@pytest.mark.parametrize("batch", [(B,), ()], ids=["batch", "single"])
@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(name, batch, given, options, rng):
    """A loop over time by hand: each step's record is kept, and put back in the way back."""
    options = options | (dict(nonlinearity="relu") if name == "RNNCell" and given else {})
    theirs = getattr(torch.nn, name)(D, H, **options, dtype=torch.float64)
    ours = getattr(nn, name)(D, H, **options, dtype="float64")
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = rng.normal(size=(3, *batch, D))
    x_torch = torch.tensor(x, requires_grad=True)
    hx = [rng.normal(size=(*batch, H)) for _ in range(ours.states)] if given else None
    hx = hx[0] if given and ours.states == 1 else hx
    hx_torch = None if hx is None else tensors(hx)
    state, state_torch, records = hx, hx_torch, []
    for t in range(3):
        state, state_torch = ours(x[t], state), theirs(x_torch[t], state_torch)
        records.append(ours.cache)
    assert_same(numbers(state), numbers(state_torch), "state", **CLOSE)
    upstream = [rng.normal(size=leaf.shape) for leaf in leaves([state])]
    torch.autograd.backward(leaves([state_torch]), [torch.tensor(u) for u in upstream])
    dstate, dx = upstream if ours.states == 2 else upstream[0], []
    for t in reversed(range(3)):
        ours.cache = records[t]
        back = ours.backward(dstate)
        dx_t, dstate = back if t or given else (back, None)
        dx.insert(0, dx_t)
    assert_same(dx, list(x_torch.grad), "input gradient", **CLOSE)
    if given:
        assert_same(leaves([dstate]), [leaf.grad for leaf in leaves([hx_torch])], "state gradient", **CLOSE)
    assert_same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()], "weight gradient", **CLOSE)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("lengths, given", [([3, 5, 1], True), ([5, 4, 4], False)], ids=["unsorted hx", "sorted"])
def test_packed(name, options, lengths, given, rng):
    ours, theirs = pair(name, options)
    sequences = [rng.normal(size=(n, D)) for n in lengths]
    x = rnn.pack_sequence(sequences, enforce_sorted=not given)
    x_torch = torch_rnn.pack_sequence([torch.tensor(s) for s in sequences], enforce_sorted=not given)
    x_torch = x_torch._replace(data=x_torch.data.detach().requires_grad_())
    y, dx = agree(ours, theirs, x, states_for(ours, rng) if given else None, rng, x_torch)
    for packed in (y, dx[0] if given else dx):
        assert isinstance(packed, rnn.PackedSequence)
        assert_same(list(packed[1:]), list(x[1:]))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", [{}, dict(batch_first=True, bidirectional=True, num_layers=2)], ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_one_sequence_without_a_batch(name, options, given, rng):
    ours, theirs = pair(name, options)
    y, _ = agree(ours, theirs, rng.normal(size=(T, D)), states_for(ours, rng, ()) if given else None, rng)
    assert y.ndim == 2


@pytest.mark.parametrize("shape", [(1, 1, D), (1, B, D), (T, 1, D)], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_one_step_and_one_sequence(name, shape, rng):
    ours, theirs = pair(name, dict(bidirectional=True))
    agree(ours, theirs, rng.normal(size=shape), None, rng)


def test_relu(rng):
    ours, theirs = pair("RNN", dict(nonlinearity="relu", num_layers=2))
    agree(ours, theirs, rng.normal(size=(T, B, D)), states_for(ours, rng), rng)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("options", [dict(num_layers=2, bidirectional=True), dict(batch_first=True),
                                     dict(num_layers=2, dropout=0.4)], ids=str)
def test_gradcheck(name, options, rng):
    layer = getattr(nn, name)(D, H, **options)
    x = rng.normal(size=(B, T, D) if options.get("batch_first") else (T, B, D))
    assert nblayers.gradcheck(layer, x, hx=states_for(layer, rng), training=True)


@pytest.mark.parametrize("name", CLASSES)
def test_rooms(name, device, rng):
    x, results = rng.normal(size=(3, 2, D)).astype("float32"), []
    options = dict(num_layers=2, bidirectional=True)
    with nblayers.device("reference"):
        layer = getattr(nn, name)(D, H, **options)
    for room in ("reference", device):
        layer.to(room).zero_grad()
        y, last = layer(x)
        dx = layer.backward((np.ones_like(y), None))
        results.append([y, *leaves(last), dx, *(p.grad.copy() for p in layer.weights)])
    assert_same(results[1], results[0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_float32_stays(name, rng):
    layer = getattr(nn, name)(D, H, 2, bidirectional=True)
    y, last = layer(rng.normal(size=(T, B, D)))
    dx = layer.backward((np.ones(y.shape), None))
    assert {a.dtype.name for a in [y, *leaves(last), dx, *(p.grad for p in layer.weights)]} == {"float32"}
    limit = 1 / np.sqrt(H)
    assert all((abs(w) <= limit).all() and w.std() > 0 for w in layer.get_weights())


def test_dropout_between_the_layers(rng):
    x = rng.normal(size=(T, B, D))
    layer = nn.LSTM(D, 16, 2, dropout=0.5).eval()
    np.testing.assert_array_equal(layer(x)[0], layer(x)[0])
    dropped = layer(x, training=True)[0]
    assert not np.allclose(dropped, layer(x)[0])
    everything = nn.LSTM(D, 16, 2, dropout=1.0, bias=False)
    y, (h, _) = everything(x, training=True)
    assert (y == 0).all() and (h[0] != 0).all()
    with pytest.warns(UserWarning, match="dropout acts between layers"):
        nn.GRU(D, H, dropout=0.5)


@pytest.mark.parametrize("name", CLASSES)
def test_inputs_stay_and_gradients_add_up(name, rng):
    layer = getattr(nn, name)(D, H, 2, dtype="float64")
    x, hx = rng.normal(size=(T, B, D)), states_for(layer, rng)
    kept = copy.deepcopy([x, hx])
    y, _ = layer(x, hx)
    dy = np.ones_like(y)
    first = layer.backward((dy, None))
    once = [p.grad.copy() for p in layer.weights]
    assert_same(leaves(layer.backward((dy, None))), leaves(first))
    assert_same([p.grad for p in layer.weights], [2 * g for g in once], **CLOSE)
    assert_same(leaves([x, hx]), leaves(kept))
    strange = np.asfortranarray(x)[::-1][::-1]
    np.testing.assert_array_equal(layer(strange, hx)[0], y)


@pytest.mark.parametrize("name", CLASSES)
def test_a_record_can_be_handed_back(name, rng):
    layer = getattr(nn, name)(D, H, 2, bidirectional=True, dtype="float64")
    y, _ = layer(rng.normal(size=(T, B, D)))
    record, dy = layer.cache, (rng.normal(size=y.shape), None)
    expected = layer.backward(dy)
    layer(rng.normal(size=(T + 1, B + 1, D)))
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(dy), expected)


@pytest.mark.parametrize("name", CLASSES)
def test_saved_and_made_again(name, rng):
    options = dict(num_layers=2, batch_first=True, bidirectional=True, bias=False)
    layer = getattr(nn, name)(D, H, **options, **({"nonlinearity": "relu"} if name == "RNN" else {}))
    again = deserialize_keras_object(serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    x = rng.normal(size=(B, T, D))
    np.testing.assert_array_equal(again(x)[0], layer(x)[0])


@pytest.mark.parametrize("make, message", [
    (lambda: nn.LSTM(0, 2), "expected a positive integer as input_size, got 0"),
    (lambda: nn.LSTM(2, 2.5), "expected a positive integer as hidden_size, got 2.5"),
    (lambda: nn.GRU(2, 2, 0), "expected a positive integer as num_layers, got 0"),
    (lambda: nn.GRU(2, 2, 2, dropout=1.5), "expected dropout in .0, 1., got 1.5"),
    (lambda: nn.RNN(2, 2, nonlinearity="elu"), "RNN: expected nonlinearity to be 'tanh' or 'relu', got 'elu'"),
    (lambda: nn.LSTM(2, 4, proj_size=4), "LSTM: expected a proj_size below hidden_size 4, got 4"),
    (lambda: nn.LSTM(2, 4, proj_size=-1), "LSTM: expected proj_size to be an integer of at least 0, got -1"),
    (lambda: nn.GRUCell(D, H)(np.ones((2, 3))), "expected size 4 on axis -1 of the input, got 3"),
    (lambda: nn.GRUCell(D, H)(np.ones((T, B, D))), "expected an input of at most 2 axes"),
    (lambda: nn.RNNCell(D, H)(np.ones((B, D)), np.ones((B, 3))), r"expected initial states of shapes \[\(3, 2\)\], got"),
    (lambda: nn.GRU(D, H)(np.ones((T, B, 3))), r"expected an input \(time, batch, 4\), .* got \(5, 3, 3\)"),
    (lambda: nn.GRU(D, H, batch_first=True)(np.ones(4)), r"expected an input \(batch, time, 4\)"),
    (lambda: nn.GRU(D, H)(np.ones((0, B, D))), "expected an input"),
    (lambda: nn.GRU(D, H)(rnn.pack_sequence([np.ones(3)])), "or a PackedSequence of data"),
    (lambda: nn.GRU(D, H)(np.ones((T, B, D)), np.ones((2, B, H))),
     r"expected initial states of shapes \[\(1, 3, 2\)\], got \[\(2, 3, 2\)\]"),
    (lambda: nn.LSTM(D, H)(np.ones((T, B, D)), np.ones((1, B, H))), r"\[\(1, 3, 2\), \(1, 3, 2\)\], got \[\(1, 3, 2\)\]"),
])
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_gradients_are_named():
    layer = nn.LSTM(D, H)
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        layer.backward((np.ones((T, B, H)), None))
    layer(np.ones((T, B, D)))
    with pytest.raises(ValueError, match="backward expected a list of 2 gradients"):
        layer.backward(np.ones((T, B, H)))
    with pytest.raises(ValueError, match=r"backward expected dy of shape \(5, 3, 2\)"):
        layer.backward((np.ones((B, T, H)), None))
    packed, _ = layer(rnn.pack_sequence([np.ones((3, D)), np.ones((2, D))]))
    assert (layer.backward(None).data == 0).all()
    for dy in ((np.ones((5, H)), None), packed, np.ones((5, H))):
        with pytest.raises(ValueError, match="backward expected the gradients of the output, a PackedSequence, and of"):
            layer.backward(dy)


# the PyTorch programs of documents 002 and 004: their forward as it stands, the backward by hand

class SimpleRNN(nn.Module):
    """Document 002's (whose `__init` lacks its underscores)."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        out, _ = self.rnn(x)
        self.cache = out.shape
        return self.fc(out[:, -1, :])

    def backward(self, dy):
        dout = np.zeros(self.cache, dy.dtype)
        dout[:, -1, :] = self.fc.backward(dy)
        return self.rnn.backward((dout, None))


class LSTMModel(nn.Module):
    """Document 004's."""

    def __init__(self, input_size, hidden_size, num_layers, output_size, dropout=0.2):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.lstm = nn.LSTM(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, batch_first=True,
                            dropout=dropout if num_layers > 1 else 0)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h0 = np.zeros((self.num_layers, len(x), self.hidden_size))
        c0 = np.zeros((self.num_layers, len(x), self.hidden_size))
        out, _ = self.lstm(x, (h0, c0))
        self.cache = out.shape
        out = self.dropout(out[:, -1, :])
        return self.fc(out)

    def backward(self, dy):
        dout = np.zeros(self.cache, dy.dtype)
        dout[:, -1, :] = self.dropout.backward(self.fc.backward(dy))
        dx, _ = self.lstm.backward((dout, None))
        return dx


@pytest.mark.parametrize("make", [lambda: SimpleRNN(3, 16, 1), lambda: LSTMModel(3, 16, 2, 1)], ids=["002", "004"])
def test_modules_of_the_documents_train(make, rng):
    model = make()
    x = rng.normal(size=(64, 6, 3)).astype("float32")
    y = (x[:, -2:, 0].sum(axis=1) > 0).astype("float32")[:, None]
    criterion = nblayers.losses.BinaryCrossentropy(from_logits=True)
    optimizer, losses = optimizers.Adam(0.01), []
    for _ in range(60):
        outputs = model(x)
        loss, doutputs = criterion.value_and_gradient(y, outputs)
        model.zero_grad()
        model.backward(doutputs)
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step(list(model.parameters()))
        losses.append(loss)
    assert losses[-1] < 0.5 * losses[0]
    model.eval()
    assert ((model(x) > 0) == y).mean() > 0.85


@pytest.mark.parametrize("model", [SimpleRNN(3, 4, 2), LSTMModel(3, 4, 2, 2)], ids=["002", "004"])
def test_modules_of_the_documents_have_the_right_gradient(model, rng):
    assert nblayers.gradcheck(model, rng.normal(size=(2, 4, 3)), training=True)


def test_dynamic_rnn_of_document_004(rng):
    """Its snippet, line by line, with arrays for tensors."""
    lstm, sequences = nn.LSTM(D, H, batch_first=True), rng.normal(size=(4, 6, D))
    lengths = np.array([2, 6, 3, 1])
    sort_idx = np.argsort(-lengths)
    lengths, sequences = lengths[sort_idx], sequences[sort_idx]
    packed_sequences = rnn.pack_padded_sequence(sequences, lengths, batch_first=True)
    outputs, hidden = lstm(packed_sequences)
    outputs, found = rnn.pad_packed_sequence(outputs, batch_first=True)
    assert outputs.shape == (4, 6, H) and found.tolist() == [6, 3, 2, 1]
    for row, length, state in zip(outputs, lengths, hidden[0][0], strict=True):
        np.testing.assert_array_equal(row[length - 1], state)
        assert (row[length:] == 0).all()
