"""nblayers.nn: every module against its twin in PyTorch, what a Module finds inside, modes, state dictionaries and files."""
import copy
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
from helpers import assert_same

import nblayers
from nblayers import layers, models, nn
from nblayers.utils import deserialize_keras_object, serialize_keras_object

CLOSE = dict(rtol=1e-9, atol=1e-10)
TWINS = [
    ("Linear(4, 3)", (2, 4)), ("Linear(4, 3, bias=False)", (4,)), ("Linear(4, 3)", (2, 5, 4)),
    ("Identity(1, unused=2)", (2, 3)),
    ("Conv1d(2, 4, 3, stride=2, padding=1, groups=2)", (2, 2, 7)), ("Conv1d(2, 3, 2, bias=False)", (2, 5)),
    ("Conv2d(2, 4, (1, 3), padding='same', dilation=(1, 2))", (2, 2, 5, 6)), ("Conv2d(2, 3, 2, (2, 1))", (2, 4, 5)),
    ("Conv3d(1, 2, 2, padding=1)", (1, 1, 3, 3, 2)), ("ConvTranspose1d(4, 2, 3, 2, 1, 1, groups=2)", (2, 4, 4)),
    ("ConvTranspose2d(2, 3, 2, stride=2, bias=False)", (1, 2, 3, 2)), ("ConvTranspose3d(1, 2, 2)", (1, 2, 2, 2)),
    ("MaxPool1d(2)", (2, 3, 5)), ("MaxPool2d(3, 2, 1, ceil_mode=True)", (2, 3, 6, 5)), ("MaxPool3d(2)", (1, 4, 4, 4)),
    ("AvgPool1d(2, stride=1, padding=1)", (2, 3, 5)), ("AvgPool2d((2, 3), divisor_override=4)", (3, 6, 5)),
    ("AvgPool3d(2, count_include_pad=False, padding=1)", (1, 2, 4, 4, 4)),
    ("AdaptiveAvgPool1d(3)", (2, 2, 7)), ("AdaptiveAvgPool2d((2, None))", (2, 3, 5, 4)), ("AdaptiveAvgPool2d(1)", (3, 4, 4)),
    ("AdaptiveAvgPool2d(5)", (1, 2, 3, 7)), ("AdaptiveAvgPool3d((1, 2, 3))", (1, 2, 3, 4, 5)),
    ("BatchNorm1d(3)", (4, 3)), ("BatchNorm1d(3, momentum=None, eps=0.1)", (2, 3, 4)),
    ("BatchNorm2d(3, affine=False)", (2, 3, 2, 2)),
    ("BatchNorm2d(2, track_running_stats=False)", (2, 2, 2, 3)), ("BatchNorm3d(2, momentum=0.5, bias=False)", (2, 2, 2, 1, 2)),
    ("InstanceNorm1d(3)", (2, 3, 4)), ("InstanceNorm1d(3, affine=True, track_running_stats=True)", (2, 3, 4)),
    ("InstanceNorm2d(2, affine=True, momentum=0.3, track_running_stats=True)", (2, 3, 2)),
    ("InstanceNorm3d(2, eps=0.1, affine=True)", (3, 2, 2, 2, 2)),
    ("LayerNorm(4)", (2, 3, 4)), ("LayerNorm((3, 4), eps=0.1, bias=False)", (2, 3, 4)),
    ("LayerNorm(4, elementwise_affine=False)", (4,)), ("GroupNorm(2, 4)", (2, 4, 3)), ("GroupNorm(1, 4, affine=False)", (2, 4)),
    ("GroupNorm(4, 4, eps=0.1, bias=False)", (2, 4, 2, 2)), ("RMSNorm(4)", (2, 3, 4)),
    ("RMSNorm((3, 4), eps=0.1, elementwise_affine=False)", (2, 3, 4)),
    *((f"{name}()", (2, 3)) for name in ("ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid",
                                         "Tanh", "Softsign", "Softplus", "Hardsigmoid", "Hardswish", "Hardtanh", "LogSigmoid",
                                         "PReLU")),
    ("ReLU(inplace=True)", (5,)), ("LeakyReLU(0.3)", (2, 3, 2)), ("ELU(0.5)", (2, 3)), ("CELU(2.0)", (2, 3)),
    ("GELU('tanh')", (2, 3)), ("Softplus(3.0, 0.5)", (2, 3)), ("Hardtanh(-0.5, 0.7)", (2, 3)), ("PReLU(3, 0.1)", (2, 3, 2)),
    ("Threshold(0.1, 20.0)", (2, 3)), ("Softmax(dim=1)", (2, 3, 2)), ("LogSoftmax(dim=-1)", (2, 3)),
    ("Dropout(0.0)", (2, 3)), ("Dropout2d(1.0)", (2, 3, 2, 2)), ("Flatten()", (2, 3, 4)), ("Flatten(0, 1)", (2, 3, 4)),
    ("Flatten(-2)", (2, 3, 4)), ("Unflatten(1, (2, -1))", (2, 6)), ("ZeroPad1d((1, 2))", (2, 3)),
    ("ZeroPad2d(1)", (1, 2, 2, 3)),
    ("ZeroPad3d((0, 1, 1, 0, 2, 1))", (2, 1, 2, 2)), ("Upsample(scale_factor=2)", (1, 2, 3)),
    ("Upsample(scale_factor=(2, 3), mode='bilinear')", (1, 2, 2, 3)),
    ("Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2, False))", (5, 4)),
    ("Sequential(nn.Conv2d(1, 2, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 1))", (2, 1, 5, 6)),
]


def twins(call):
    """Our module and PyTorch's, made by the same code, with the same weights, in double precision."""
    theirs = eval(f"nn.{call}", {"nn": torch.nn}).double()
    ours = eval(f"nn.{call}", {"nn": nn}).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    return ours, theirs


def agree(ours, theirs, x, rng):
    """Output, gradient of the input, all weights' gradients and the state afterwards."""
    x_torch = torch.tensor(x, requires_grad=True)
    y, y_torch = ours(x), theirs(x_torch.clone())               # which `inplace` may change
    assert_same(y, y_torch.detach(), "output", **CLOSE)
    dy = rng.normal(size=y.shape)
    y_torch.backward(torch.tensor(dy))
    ours.zero_grad()
    close = {**CLOSE, "rtol": 1e-7} if isinstance(ours, nn.Hardsigmoid) else CLOSE          # PyTorch's slope is float32's 1/6
    assert_same(ours.backward(dy), x_torch.grad, "input gradient", **close)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert_same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()], "weight gradient", **CLOSE)
    theirs.zero_grad()
    same_state(ours, theirs)


def same_state(ours, theirs):
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert_same(list(state.values()), list(expected.values()), "state", **CLOSE)


@pytest.mark.parametrize(("call", "shape"), TWINS, ids=[call for call, _ in TWINS])
def test_every_module_is_its_twin(call, shape, rng):
    torch.manual_seed(0)
    ours, theirs = twins(call)
    assert ours.training and repr(ours) == repr(theirs)
    for _ in range(2):
        agree(ours, theirs, rng.normal(size=shape), rng)
    agree(ours.eval(), theirs.eval(), rng.normal(size=shape), rng)


def test_every_class_has_a_twin_in_a_test():
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    tested = {call.partition("(")[0] for call, _ in TWINS}
    elsewhere = {"Module", "ModuleList", "ModuleDict", "ParameterList", "Embedding", "MultiheadAttention", "AlphaDropout",
                 "Dropout1d", "Dropout3d", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}
    assert classes == tested | elsewhere


@pytest.mark.parametrize("options", [{}, dict(padding_idx=1), dict(padding_idx=-1, scale_grad_by_freq=True),
                                     dict(max_norm=1.0), dict(max_norm=0.5, norm_type=1.0, sparse=False)], ids=str)
@pytest.mark.parametrize("shape", [(), (5,), (2, 4)], ids=str)
def test_embedding(options, shape, rng):
    theirs, ours = torch.nn.Embedding(6, 3, **options, dtype=torch.float64), nn.Embedding(6, 3, **options, dtype="float64")
    assert repr(ours) == repr(theirs)
    padding = options.get("padding_idx")
    assert padding is None or not ours.weight[padding].any()
    ours.load_state_dict(theirs.state_dict())
    ids = rng.integers(0, 6, shape)
    y, y_torch = ours(ids), theirs(torch.tensor(ids))
    assert_same(y, y_torch.detach(), **CLOSE)
    dy = rng.normal(size=y.shape)
    y_torch.backward(torch.tensor(dy))
    assert ours.backward(dy) is None
    assert_same(ours.weight.grad, theirs.weight.grad, **CLOSE)
    same_state(ours, theirs)


def test_embedding_from_a_table(rng):
    table = rng.normal(size=(4, 3)).astype("float32")
    layer = nn.Embedding.from_pretrained(table, padding_idx=0)
    np.testing.assert_array_equal(layer(np.array([0, 2])), table[[0, 2]])
    assert not layer.weight.requires_grad and nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    for make, message in [(lambda: nn.Embedding.from_pretrained(np.ones(3)), r"expected embeddings \(rows, columns\)"),
                          (lambda: nn.Embedding(3, 2, 3), "expected padding_idx to be an integer from -3 to 2, got 3"),
                          (lambda: nn.Embedding(3, 2, max_norm=0), "expected max_norm to be a finite number above 0"),
                          (lambda: nn.Embedding(0, 2), "expected a positive integer as num_embeddings"),
                          (lambda: layer([4]), r"expected ids from 0 to 3, got 4 at index \(0,\)")]:
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.filterwarnings("ignore:dropout2d")
@pytest.mark.parametrize("call", ["Dropout(0.5)", "Dropout1d(0.5)", "Dropout2d(0.5)", "Dropout3d(0.5)", "AlphaDropout(0.5)"])
def test_dropout_drops_what_pytorch_drops(call):
    """The numbers drawn are other ones: the same places go together, and the same values appear."""
    name = call.partition("(")[0]
    ours, theirs = eval(f"nn.{call}"), eval(f"torch.nn.{call}")
    assert repr(ours) == repr(theirs) and ours.p == 0.5
    rank = int(name[-2]) if name[-1] == "d" else 2
    for shape in [(40, 5, *(2,) * rank), (40, *(2,) * rank)]:
        x = np.ones(shape, "f")
        y, y_torch = ours(x), theirs(torch.tensor(x)).numpy()
        np.testing.assert_allclose(np.unique(y), np.unique(y_torch), rtol=1e-5)
        together = [axis for axis in range(1, y.ndim) if (y_torch == y_torch.take([0], axis)).all()]
        assert together == [axis for axis in range(1, y.ndim) if (y == y.take([0], axis)).all()]
        np.testing.assert_allclose(ours.backward(x) != 0, y == y.max())
        np.testing.assert_array_equal(ours.eval()(x), x)
        ours.train()


# what is found inside, under which names

def network(nn, array):
    """The same class of both libraries."""
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = nn.LayerNorm(width)
            self.scale = nn.Parameter(array([0.5] * width))
            self.register_buffer("offset", array([1.0] * width))
            self.register_buffer("scratch", array([0.0]), persistent=False)
            self.register_parameter("absent", None)
            self.register_buffer("nothing", None)

        def forward(self, x):
            return self.norm(x) * self.scale + self.offset

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 4, padding_idx=0)
            self.rnn = nn.LSTM(4, 4, batch_first=True, bidirectional=True)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.blocks = nn.ModuleList([Block(8), Block(8)])
            self.heads = nn.ModuleDict({"a": nn.Linear(8, 2), "b": nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3))})
            self.weights_of_heads = nn.ParameterList([array([1.0]), array([2.0, 3.0])])
            self.stem = nn.Sequential(OrderedDict([("fc", nn.Linear(8, 8)), ("act", nn.ReLU())]))
            self.out = nn.Linear(4, 7, bias=False)
            self.out.weight = self.embedding.weight             # one matrix for both
            self.block = self.blocks[0]                         # held twice
    return Network()


def both():
    return network(nn, np.array), network(torch.nn, torch.tensor)


def names(pairs):
    return [name for name, _ in pairs]


def test_names_are_pytorchs():
    ours, theirs = both()
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert names(getattr(ours, method)()) == names(getattr(theirs, method)()), method
    one_level = dict(prefix="net", recurse=False)
    assert names(ours.named_parameters(**one_level)) == names(theirs.named_parameters(**one_level))
    assert names(ours.named_parameters(remove_duplicate=False)) == names(theirs.named_parameters(remove_duplicate=False))
    assert list(ours.state_dict(prefix="m.")) == list(theirs.state_dict(prefix="m."))
    assert len(list(ours.modules())) == len(list(theirs.modules()))
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    ours.load_state_dict(theirs.state_dict())
    same_state(ours, theirs)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear").replace("torch.float32", "float32")
    assert ours.get_submodule("blocks.1.norm") is ours.blocks[1].norm and ours.get_parameter("out.weight") is ours.out.weight
    assert ours.get_buffer("blocks.0.offset") is ours.block.offset and ours.get_submodule("") is ours
    with pytest.raises(AttributeError, match="has no module 'nowhere', only"):
        ours.get_submodule("nowhere")


def test_weights_of_both_libraries_are_one_list():
    """`weights`, Keras' list, has what `parameters` and `buffers` have, each once."""
    ours, _ = both()
    found = [*ours.parameters(), *ours.buffers()]
    assert {id(p) for p in ours.weights} == {id(p) for p in found} and len(ours.weights) == len(found)
    assert ours.out.weight is ours.embedding.weight
    again = copy.deepcopy(ours)
    assert again.out.weight is again.embedding.weight and again.out.weight is not ours.out.weight
    assert names(again.named_parameters()) == names(ours.named_parameters())


def test_one_weight_in_two_places_collects_both_gradients(rng):
    encoder, decoder = nn.Linear(3, 2, bias=False, dtype="float64"), nn.Linear(3, 2, bias=False, dtype="float64")
    decoder.weight = encoder.weight
    x = rng.normal(size=(4, 3))
    for layer in (encoder, decoder):
        layer(x)
        layer.backward(np.ones((4, 2)))
    np.testing.assert_allclose(encoder.weight.grad, 2 * np.tile(x.sum(axis=0), (2, 1)))
    lstm = nn.LSTM(3, 2)
    lstm.weight_hh_l0 = nn.Parameter(np.zeros((8, 2)))
    assert lstm.weights[1] is lstm.weight_hh_l0 and lstm.weight_hh_l0.dtype == "float32"
    lstm(np.ones((1, 1, 3)), (np.ones((1, 1, 2)), np.ones((1, 1, 2))))
    lstm.backward(None)
    with pytest.raises(ValueError, match=r"expected a parameter of shape \(2, 3\) as weight, got \(3, 2\)"):
        decoder.weight = nn.Parameter(np.ones((3, 2)))


def test_parameters_are_arrays_in_arithmetic(rng):
    w = nn.Parameter(rng.normal(size=(2, 3)))
    x = rng.normal(size=(4, 3))
    np.testing.assert_array_equal(x @ w.T, x @ w.value.T)
    for computed, expected in [(w * 2 + x[:2], w.value * 2 + x[:2]), (1 - w, 1 - w.value), (np.exp(w), np.exp(w.value)),
                               (-w, -w.value), (w[0] / 3, w.value[0] / 3), (np.sum(w, axis=0), w.value.sum(axis=0)),
                               (w > 0, w.value > 0)]:
        assert type(computed) is np.ndarray
        np.testing.assert_array_equal(computed, expected)
    before, live = w.numpy(), w.data
    w -= 0.5
    assert isinstance(w, nn.Parameter) and w.data is live
    np.testing.assert_array_equal(w.data, before - 0.5)
    w.data = np.ones((2, 3))
    assert (live == 1).all() and w.numel() == 6 and w.size() == (2, 3) and w.size(1) == 3 and w.dim() == w.ndim == 2
    assert w == w and w in [nn.Parameter(1.0), w] and not w.requires_grad_(False).trainable
    with pytest.raises(ValueError, match="expected floating data, of which there is a gradient, got dtype int64"):
        nn.Parameter([1, 2])


def test_attributes_of_a_module():
    module = nn.Module()
    module.w = nn.Parameter([1.0])
    module.register_buffer("count", np.array(3))
    assert module.w.name == "w" and module.w.dtype == "float32" and module.count.dtype == "int64"
    module.count = 4
    assert module.count.value == 4 and names(module.named_buffers()) == ["count"]
    module.w += 1
    assert module.w[0] == 2
    with pytest.raises(TypeError, match=r"w is a weight of the module: set w.value"):
        module.w = np.ones(1)
    module.u = module.w
    module.w = nn.Parameter([3.0])
    assert names(module.named_parameters()) == ["w", "u"] and module.w[0] == 3 and module.u[0] == 2
    module.u = module.w
    assert len(list(module.parameters())) == 1
    module.u = None
    module.w = None
    assert not list(module.parameters()) and names(module.named_buffers()) == ["count"]
    module.v = nn.Parameter([1.0])
    del module.v, module.count
    assert not module.weights and not hasattr(module, "v")
    module.layer = nn.Linear(2, 2)
    module.layer = None
    assert not module.weights
    for make, error, message in [
            (lambda: module.register_buffer("a.b", [1.0]), ValueError, "expected a name without a dot"),
            (lambda: module.register_buffer("train", [1.0]), ValueError, "expected a name that is free, got 'train'"),
            (lambda: module.register_parameter("p", [1.0]), TypeError, "expected an nn.Parameter or None as p, got list"),
            (lambda: module.add_module("m", 3), TypeError, "expected a module as m, got int 3"),
            (lambda: setattr(module, "weights", nn.Parameter([1.0])), AttributeError, "choose another name for the parameter")]:
        with pytest.raises(error, match=message):
            make()

    class Forgetful(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([1.0])
    with pytest.raises(AttributeError, match="its __init__ must call super"):
        Forgetful()


def test_containers_are_lists_and_dictionaries():
    chain = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    chain.append(nn.Linear(3, 2)).extend([nn.Tanh()]).insert(0, nn.Identity())
    assert [type(m).__name__ for m in chain] == ["Identity", "Linear", "ReLU", "Linear", "Tanh"] and len(chain) == 5
    assert isinstance(chain[1:3], nn.Sequential) and chain[1:3][0] is chain[1] and chain[-1] is chain[4]
    chain[0] = nn.Linear(2, 2)
    assert isinstance(chain.pop(2), nn.ReLU)
    del chain[0]
    assert names(chain.named_children()) == ["0", "1", "2"] and chain[0] in chain and len(chain + chain) == 6
    assert nn.Sequential()(3.0) == 3 and not len(nn.Sequential())
    blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(3)).extend([nn.ReLU()])
    assert len(blocks) == 4 and len(blocks[1:]) == 3 and repr(blocks).count("3 x Linear") == 1
    table = nn.ModuleDict([("a", nn.Linear(1, 1))])
    table["b"] = nn.ReLU()
    assert list(table) == list(table.keys()) == ["a", "b"] and table.a is table["a"] and "b" in table
    table.update({"name": nn.Tanh()})
    assert isinstance(table.pop("name"), nn.Tanh) and len(table.items()) == 2 and len(table.values()) == 2
    weights = nn.ParameterList([[1.0], nn.Parameter([2.0, 3.0])]).append(np.ones(1))
    assert len(weights) == 3 and weights[-1][0] == 1 and len(weights[:2]) == 2
    assert names(weights.named_parameters()) == ["0", "1", "2"]
    for make, error, message in [
            (lambda: nn.Sequential(nn.ReLU, 3), TypeError, "expected a module as 0, got "),
            (lambda: chain.append("a"), TypeError, "expected a module as 3, got str 'a'"),
            (lambda: chain[7], IndexError, "expected a number from -3 to 2, got 7"),
            (lambda: nn.ModuleList(3), TypeError, "expected a list of modules, got int"),
            (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ValueError, "expected names without a dot, got 'a.b'"),
            (lambda: weights[3], IndexError, "expected a number from -3 to 2")]:
        with pytest.raises(error, match=message):
            make()


def test_a_module_twice_in_a_chain(rng):
    layer = nn.Linear(3, 3)
    assert nblayers.gradcheck(nn.Sequential(layer, nn.Tanh(), layer), rng.normal(size=(2, 3)))
    assert names(nn.Sequential(layer, layer).named_parameters()) == ["0.weight", "0.bias"]


def test_a_chain_is_made_again_from_its_configuration(rng):
    chain = nn.Sequential(OrderedDict([("fc", nn.Linear(3, 2)), ("act", nn.ReLU(inplace=True)), ("d", nn.Dropout(0.3))]))
    again = deserialize_keras_object(serialize_keras_object(chain))
    assert repr(again) == repr(chain)
    again.load_state_dict(chain.state_dict())
    x = rng.normal(size=(2, 3))
    np.testing.assert_array_equal(again.eval()(x), chain.eval()(x))


# the mode

class Noisy(nn.Module):
    """A torch-like module, whose forward knows nothing of `training`."""

    def __init__(self):
        super().__init__()
        self.drop, self.norm = nn.Dropout(1.0), nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.drop(x))

    def backward(self, dy):
        return self.drop.backward(self.norm.backward(dy))


def test_modules_follow_their_mode():
    model, x = Noisy(), np.array([[1.0, 2.0], [3.0, 5.0]])
    assert model.training and model.drop.training
    assert (model(x) == 0).all() and model.norm.num_batches_tracked.value == 1
    assert model.eval() is model and not model.norm.training
    assert (model(x) > 0.9).all() and model.norm.num_batches_tracked.value == 1
    assert (model(x, training=True) == 0).all() and not model.training and model.norm.num_batches_tracked.value == 2
    model.train().drop.eval()
    model(x)
    assert model.norm.num_batches_tracked.value == 3 and (model(x, training=False) != 0).all()
    assert model.norm.num_batches_tracked.value == 3
    with pytest.raises(ValueError, match="expected mode to be True or False, got 'yes'"):
        model.train("yes")


def test_training_by_name_only():
    class Named(nn.Module):
        def forward(self, *inputs, training=False):
            return inputs[0] * training + inputs[1]
    module, x = Named(), np.ones((2, 3))
    assert (module(x, x, x) == 2).all() and (module(x, x, training=False) == 1).all() and (module.eval()(x, x) == 1).all()


def test_layers_of_keras_names_in_a_chain():
    chain = nn.Sequential(layers.Dense(3), layers.Dropout(1.0))
    assert (chain(np.ones((2, 4))) == 0).all() and not (chain.eval()(np.ones((2, 4))) == 0).all()
    assert list(chain.state_dict()) == ["0.kernel", "0.bias"]


def test_modules_in_a_model_are_told(rng):
    model = models.Sequential([layers.Input((2,)), Noisy(), nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))])
    model.compile("sgd", "mse")
    x = rng.normal(size=(4, 2)).astype("float32")
    tracked = model.layers[0].norm.num_batches_tracked
    assert tracked.value == 0                               # shapes were found without training
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    assert tracked.value == 0
    model.fit(x, np.ones((4, 1)), verbose=0)
    assert tracked.value == 1


@pytest.mark.parametrize("base", [layers.Layer, models.Model])
def test_modules_in_layers_of_keras_are_told(base):
    class Told(base):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(1.0)

        def forward(self, x, training=False):
            return self.drop(x)
    layer, x = Told(), np.ones((2, 3))
    assert (layer(x) == 1).all() and (layer(x, training=True) == 0).all() and (layer(x, True) == 0).all()
    assert (layer.drop(x) == 0).all()                       # by itself it has its own mode
    model = models.Sequential([layers.Input((3,)), layer]) if base is layers.Layer else layer
    model.compile("sgd", "mse")
    assert (model.predict(x, verbose=0) == 1).all()


def test_switches():
    model, seen = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))), []
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["Linear", "Linear", "BatchNorm1d", "Sequential", "Sequential"]
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters()) and not model.trainable_weights
    model.requires_grad_()
    assert len(model.trainable_weights) == 6 and not any(b.trainable for b in model.buffers())
    assert {p.dtype for p in model.double().parameters()} == {"float64"} and model(np.ones((3, 2))).dtype == "float64"
    assert model.to("float32")[0].weight.dtype == "float32" and model.to(np.float64).dtype == "float64"
    assert model.to("reference", np.float32)[1][0].device == "reference" and model.cpu().device == "cpu"
    model(np.ones((3, 2)))
    model.backward(np.ones((3, 1)))
    model.zero_grad(set_to_none=True)
    assert not any(p.grad.any() for p in model.parameters())
    with pytest.raises(ValueError):
        model.to("nowhere")
    assert nn.Linear(2, 2, device="reference").device == "reference"


def test_frozen_weights_are_not_clipped():
    free, frozen = nn.Parameter([3.0]), nn.Parameter([4.0], requires_grad=False)
    free.grad, frozen.grad = [3.0], [4.0]
    assert nn.utils.clip_grad_norm_([free, frozen], 1.0) == 3 and frozen.grad == 4


def test_inputs_of_your_own_modules():
    class Takes(nn.Module):
        def forward(self, x, steps, mode="mean", parts=None):
            self.seen = x, steps, mode, parts
            return x
    module, ids = Takes(), np.array([[1, 2]])
    module(torch.tensor([[1, 2]]), 3, mode="sum", parts={"a": [torch.ones(2), None]})
    x, steps, mode, parts = module.seen
    assert type(x) is np.ndarray and x.dtype == ids.dtype and steps == 3 and type(steps) is int and mode == "sum"
    assert type(parts["a"][0]) is np.ndarray and parts["a"][1] is None
    module([[1.0, 2.0]], (1, 2))
    assert module.seen[0].dtype == "float32" and module.seen[0].shape == (1, 2)


# state dictionaries and files

def test_a_state_dict_that_does_not_fit_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = model.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    del state["0.bias"]
    state |= {"1.weight": np.ones(4), "more": np.ones(1)}
    with pytest.raises(ValueError, match=r"Sequential '.*': expected a state_dict of its own weights, got of another shape: "
                                         r"'1.weight' \(expected \(3,\), got \(4,\)\); missing: '0.bias'; unexpected: 'more'$"):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match=r"got of another shape: '1.weight' \(expected \(3,\), got \(4,\)\)$"):
        model.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match=r"expected '0.weight' to hold numbers"):
        model.load_state_dict({**state, "0.weight": "words"})
    with pytest.raises(TypeError, match="expected a state_dict, a dictionary of arrays by name, got list"):
        model.load_state_dict([1])
    assert_same(list(model.state_dict().values()), list(before.values()))
    del state["1.weight"]
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.bias", "1.weight"] and result.unexpected_keys == ["more"]
    np.testing.assert_array_equal(model[0].weight, before["0.weight"] + 1)
    unbuilt = nn.Sequential(layers.Dense(3))
    with pytest.raises(ValueError, match=r"unexpected: '0.kernel', '0.bias' .0 not built yet: call the module on data first"):
        unbuilt.load_state_dict({"0.kernel": np.ones((2, 3)), "0.bias": np.ones(3)})


def test_state_dicts_of_older_versions_and_other_dtypes():
    model = nn.BatchNorm1d(3)
    state = torch.nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    assert model.load_state_dict(state) == ([], [])
    linear, value = nn.Linear(2, 1), torch.tensor([[1.5, 2.5]], dtype=torch.bfloat16)
    linear.load_state_dict({"weight": value, "bias": torch.tensor([1], dtype=torch.float16)})
    np.testing.assert_array_equal(linear.weight, [[1.5, 2.5]])
    linear.load_state_dict(linear.state_dict(keep_vars=True))
    linear.state_dict()["weight"][...] = 0
    assert linear.weight[0, 0] == 1.5                       # copies


@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors"])
def test_files_of_both_libraries(ending, tmp_path, rng):
    ours, theirs = both()
    written, theirs_written = tmp_path / f"ours{ending}", tmp_path / f"theirs{ending}"
    if ending == ".safetensors":
        import safetensors.torch
        safetensors.torch.save_file({name: value.clone() for name, value in theirs.state_dict().items()}, theirs_written)
        read = safetensors.torch.load_file
    else:
        torch.save(theirs.state_dict(), theirs_written)
        read = torch.load
    ours.load_state_dict(nn.load(theirs_written))
    same_state(ours, theirs)
    for parameter in ours.parameters():
        parameter.value += 1
    nn.save(ours.state_dict(), written)
    theirs.load_state_dict(read(written))
    same_state(ours, theirs)
    nn.save({"w": np.asfortranarray(rng.normal(size=(2, 3)))[::-1], "n": np.array(3), "e": np.ones((0, 2))}, written)
    again = nn.load(str(written))
    assert again["n"].shape == () and again["n"] == 3 and again["w"].flags.c_contiguous and again["e"].shape == (0, 2)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_checkpoints_hold_more_than_weights(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": 3, "model": torch.nn.Linear(2, 1).state_dict(), "losses": [0.5, 0.25], "note": None}, path)
    checkpoint = nn.load(path)
    nn.Linear(2, 1).load_state_dict(checkpoint["model"])
    assert checkpoint["epoch"] == 3 and checkpoint["losses"] == [0.5, 0.25] and checkpoint["note"] is None
    nn.save(checkpoint, path)
    assert torch.load(path)["losses"] == [0.5, 0.25]
    torch.save({"w": torch.ones(2, dtype=torch.bfloat16)}, path)
    assert nn.load(path)["w"].dtype == "float32"


class Evil:
    """What a pickle may run when it is read."""

    def __reduce__(self):
        return print, ("the file ran code",)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_damaged_files_are_named(ending, tmp_path, capsys):
    path = tmp_path / f"weights{ending}"
    nn.save({"w": np.ones((4, 5)), "b": np.ones(3)}, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(np.float64(1).tobytes()) + 7] ^= 1                      # one bit of one number
    damaged = [bytes(flipped), b"", b"\0" * 100, whole[:len(whole) // 2], whole[:20], b"\xff" + whole[1:], whole[:-30]]
    for number, data in enumerate(damaged):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"(?s)load: expected a file .*got '.*weights"):
            pytest.fail(f"{number}: {nn.load(path)}")
    if ending == ".pt":
        torch.save({"w": Evil()}, path)
        with pytest.raises(ValueError, match="load: expected a file of arrays by name that PyTorch wrote"):
            nn.load(path)
        assert capsys.readouterr().out == ""


def test_tensors_larger_than_their_file(tmp_path):
    """Of one number a tensor makes as many as it likes."""
    path = tmp_path / "w.pt"
    row = torch.ones(1000)
    torch.save({str(number): row for number in range(100)}, path)
    tied = nn.load(path)
    assert len(tied) == 100 and tied["7"] is tied["8"]
    for state in ({"w": torch.ones(1).expand(10**10)}, {str(number): row[:] for number in range(1000)},
                  {"w": torch.ones(2, dtype=torch.complex64)}, {"w": {1, 2}}):
        torch.save(state, path)
        with pytest.raises(ValueError, match=r"load: expected a file of arrays by name that PyTorch wrote, got '.*w\.pt'"):
            nn.load(path)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_flipped_bits_never_load_silently(ending, tmp_path, rng):
    """An error, or what was written: some bits of an archive mean nothing."""
    path, state = tmp_path / f"w{ending}", {"w": rng.normal(size=(4, 5)), "b": np.ones(3, "f"), "n": np.array(3)}
    nn.save(state, path)
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = nn.load(path)
        except ValueError as error:
            assert "w" + ending in str(error)
        else:
            assert set(found) == set(state) and all(found[name].dtype == value.dtype for name, value in state.items())
            assert_same([found[name] for name in state], list(state.values()))


def test_bfloat16_in_safetensors(tmp_path):
    import safetensors.torch
    safetensors.torch.save_file({"w": torch.tensor([1.5], dtype=torch.bfloat16)}, tmp_path / "w.safetensors")
    assert nn.load(tmp_path / "w.safetensors")["w"].tolist() == [1.5]
    assert nn.load(tmp_path / "w.safetensors")["w"].dtype == "float32"


def test_wrong_arguments_for_files(tmp_path):
    for make, error, message in [
            (lambda: nn.save({}, "w.npz"), ValueError, "save: expected a path that ends in .pt, .pth, .bin or .safetensors"),
            (lambda: nn.load(3), ValueError, "load: expected the path of a file, got int"),
            (lambda: nn.load(tmp_path / "no.pt"), FileNotFoundError, "load: expected a file, got .*no.pt"),
            (lambda: nn.save([np.ones(2)], tmp_path / "w.safetensors"), TypeError, "expected a state_dict, a dictionary of"),
            (lambda: nn.save({"w": {}}, tmp_path / "w.safetensors"), TypeError, "save: expected 'w' to hold numbers"),
            (lambda: nn.save({"w": object()}, tmp_path / "w.pt"), TypeError, "save: expected an array to hold numbers")]:
        with pytest.raises(error, match=message):
            make()
    assert not list(tmp_path.iterdir())


def test_optional_packages_are_named(tmp_path, monkeypatch):
    for ending, package, extra in ((".pt", "torch", "torch"), (".safetensors", "safetensors", "files")):
        path = tmp_path / f"w{ending}"
        path.write_bytes(b"")
        with monkeypatch.context() as patch:
            for name in (package, f"{package}.numpy"):
                patch.setitem(sys.modules, name, None)
            for call in (lambda path=path: nn.load(path), lambda path=path: nn.save({"w": np.ones(1)}, path)):
                with pytest.raises(ImportError, match=rf"needs {package}: pip install 'nblayers\[{extra}\]'"):
                    call()


def test_nothing_optional_is_imported():
    code = ("import sys; from nblayers import nn; m = nn.Sequential(nn.Linear(2, 1)); m.load_state_dict(m.state_dict()); "
            "print([name for name in ('torch', 'safetensors', 'h5py', 'jax', 'keras') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_two_training_steps_are_pytorchs(rng):
    """The whole loop, its `loss.backward()` written as ours."""
    torch.manual_seed(0)
    ours, theirs = twins("Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(9, 1))")
    criterion, theirs_criterion = nblayers.losses.MeanSquaredError(), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for _ in range(2):
        x, y = rng.normal(size=(4, 2, 4)), rng.normal(size=(4, 1))
        loss_torch = theirs_criterion(theirs(torch.tensor(x)), torch.tensor(y))
        optimizer.zero_grad()
        loss_torch.backward()
        optimizer.step()
        loss, doutputs = criterion.value_and_gradient(y, ours(x))
        ours.zero_grad()
        ours.backward(doutputs)
        for p in ours.parameters():
            p -= 0.1 * p.grad
        assert_same(loss, loss_torch.detach(), **CLOSE)
        same_state(ours, theirs)
