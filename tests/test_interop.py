"""Other frameworks' modules as layers: their values, gradients and state, trained among layers of ours."""
import copy
import pickle
import subprocess
import sys
import threading
from itertools import chain

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from helpers import agrees_with_keras, random_like

import nblayers
from nblayers import layers, optimizers
from nblayers.layers import Dense, FlaxLayer, Input, JaxLayer, TFSMLayer, TorchModuleWrapper
from nblayers.models import Model, Sequential, clone_model, load_model
from nblayers.structures import flatten

D, H = 4, 3                 # what the wrapped middle of a model takes and gives
KINDS = ["torch", "jax", "linen", "nnx", "tensorflow"]


@pytest.fixture(autouse=True)
def compiled_by_jax():
    """As users run it: JAX compiles."""
    with jax.disable_jit(False):
        yield


def call_fn(params, inputs):
    return jnp.tanh(inputs @ params["kernel"] + params["bias"])


def init_fn(rng, inputs):
    return {"kernel": jax.random.normal(rng, (inputs.shape[-1], H)), "bias": jnp.zeros(H)}


class LinenDense(flax.linen.Module):
    units: int = H

    @flax.linen.compact
    def __call__(self, inputs):
        return jnp.tanh(flax.linen.Dense(self.units)(inputs))

    def get_config(self):
        return {"units": self.units}


class NnxDense(nnx.Module):
    def __init__(self):
        self.dense = nnx.Linear(D, H, rngs=nnx.Rngs(0))

    def __call__(self, inputs):
        return jnp.tanh(self.dense(inputs))

    def get_config(self):
        return {}


OWN = {"call_fn": call_fn, "init_fn": init_fn, "LinenDense": LinenDense, "NnxDense": NnxDense}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel with endpoints of several kinds, in double precision."""
    import tensorflow as tf
    path, one = str(tmp_path_factory.mktemp("saved_model")), tf.TensorSpec((None, D), tf.float64)

    class Saved(tf.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.kernel = tf.Variable(rng.normal(size=(D, H)), name="kernel")
            self.bias = tf.Variable(rng.normal(size=H), name="bias")
            self.table = tf.Variable(rng.normal(size=(5, H)), name="table")
            self.mean = tf.Variable(np.zeros(H), trainable=False, name="mean")

        @tf.function(input_signature=[one])
        def serve(self, x):
            return tf.tanh(x @ self.kernel + self.bias)

        @tf.function(input_signature=[one])
        def normalized(self, x):
            return x @ self.kernel - self.mean

        @tf.function(input_signature=[one])
        def train(self, x):
            z = x @ self.kernel
            mean = tf.reduce_mean(z, 0)
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
            return z - mean

        @tf.function(input_signature=[{"ids": tf.TensorSpec((None,), tf.int32), "x": one}])
        def several(self, inputs):
            return {"ids": inputs["ids"], "y": inputs["x"] @ self.kernel * tf.gather(self.table, inputs["ids"])}

    model = Saved()
    tf.saved_model.save(model, path, signatures={"serving_default": model.serve})
    return path


@pytest.fixture
def middle(saved):
    """Makes a layer tanh(x W + b) of this kind, in double precision, with these weights."""
    def make(kind, kernel=None, bias=None, **settings):
        layer = {"torch": lambda: TorchModuleWrapper(torch.nn.Sequential(torch.nn.Linear(D, H), torch.nn.Tanh()), **settings),
                 "jax": lambda: JaxLayer(call_fn, init_fn, **settings),
                 "linen": lambda: FlaxLayer(LinenDense(), **settings), "nnx": lambda: FlaxLayer(NnxDense(), **settings),
                 "tensorflow": lambda: TFSMLayer(saved, **settings)}[kind]()
        layer.astype("float64")
        if not layer.built:
            layer.build((None, D))
        if kernel is not None:
            layer.set_weights([kernel.T if kind == "torch" else kernel, bias] if kind in ("torch", "tensorflow")
                              else [bias, kernel])
        return layer
    return make


def kernel_and_bias(layer):
    """The weights, or their gradients, of a layer of `middle`, as Dense has them."""
    arrays = sorted(((p.value, p.grad) for p in layer.weights), key=lambda pair: -pair[0].ndim)
    (kernel, dkernel), (bias, dbias) = arrays
    is_torch = isinstance(layer, TorchModuleWrapper)
    return [kernel.T if is_torch else kernel, bias], [dkernel.T if is_torch else dkernel, dbias]


# a model of three layers, the middle one another framework's

def data(rng):
    return [rng.normal(size=shape) for shape in ((6, 5), (6, 1))]


def start(rng):
    return [rng.normal(size=shape) for shape in ((5, D), (D,), (D, H), (H,), (H, 1), (1,))]


def torch_twin(weights, x, t):
    weights = [torch.tensor(w, requires_grad=True) for w in weights]
    optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9)
    for rows in (slice(0, 3), slice(3, 6)) * 2:
        W, b, V, c, U, d = weights
        y = torch.tanh(torch.tanh(torch.tensor(x[rows]) @ W + b) @ V + c) @ U + d
        optimizer.zero_grad()
        torch.mean((y - torch.tensor(t[rows])) ** 2).backward()
        optimizer.step()
    return [w.detach().numpy() for w in weights], [w.grad.numpy() for w in weights]


def jax_twin(weights, x, t):
    def loss(weights, x, t):
        W, b, V, c, U, d = weights
        return jnp.mean((jnp.tanh(jnp.tanh(x @ W + b) @ V + c) @ U + d - t) ** 2)

    velocities = [np.zeros_like(w) for w in weights]
    with jax.enable_x64(True):
        for rows in (slice(0, 3), slice(3, 6)) * 2:
            gradients = jax.jit(jax.grad(loss))(weights, x[rows], t[rows])
            velocities = [0.9 * v + g for v, g in zip(velocities, gradients, strict=True)]
            weights = [w - 0.1 * v for w, v in zip(weights, velocities, strict=True)]
        return [np.asarray(w) for w in weights], [np.asarray(g) for g in gradients]


def tensorflow_twin(weights, x, t):
    import tensorflow as tf
    variables, velocities = [tf.Variable(w) for w in weights], [np.zeros_like(w) for w in weights]
    for rows in (slice(0, 3), slice(3, 6)) * 2:
        with tf.GradientTape() as tape:
            W, b, V, c, U, d = variables
            loss = tf.reduce_mean((tf.tanh(tf.tanh(x[rows] @ W + b) @ V + c) @ U + d - t[rows]) ** 2)
        gradients = [g.numpy() for g in tape.gradient(loss, variables)]
        velocities = [0.9 * v + g for v, g in zip(velocities, gradients, strict=True)]
        for variable, v in zip(variables, velocities, strict=True):
            variable.assign_sub(0.1 * v)
    return [v.numpy() for v in variables], gradients


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_model_trains_as_its_twins(kind, middle, rng):
    """Four steps of SGD in `fit`: weights and the last gradients are those of nblayers alone and of the framework alone."""
    nblayers.config.set_floatx("float64")                   # losses too
    x, t = data(rng)
    weights = start(rng)
    trained = {}
    for name, wrapped in (("mixed", middle(kind, *weights[2:4])), ("ours", Dense(H, "tanh", dtype="float64"))):
        model = Sequential([Input((5,)), Dense(D, "tanh", dtype="float64"), wrapped, Dense(1, dtype="float64")])
        first, _, last = model.layers
        first.set_weights(weights[:2])
        last.set_weights(weights[4:])
        if name == "ours":
            wrapped.set_weights(weights[2:4])
        model.compile(optimizers.SGD(0.1, momentum=0.9), "mse")
        model.fit(x, t, batch_size=3, epochs=2, shuffle=False, verbose=0)
        values, gradients = zip(*map(kernel_and_bias, (first, wrapped, last)), strict=True)
        trained[name] = [*chain.from_iterable(values), *chain.from_iterable(gradients)]
    twin = {"torch": torch_twin, "tensorflow": tensorflow_twin}.get(kind, jax_twin)
    values, gradients = twin(weights, x, t)
    for name, expected in (("nblayers", trained["ours"]), (kind, [*values, *gradients])):
        for ours, theirs in zip(trained["mixed"], expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.abs(trained["mixed"][2] - weights[2]).max() > 1e-3           # it did move


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_copies(kind, middle, rng):
    layer, x = middle(kind, rng.normal(size=(D, H)), rng.normal(size=H)), rng.normal(size=(2, D))
    nblayers.gradcheck(layer, x)
    y = layer(x)
    copies = [copy.deepcopy(layer)] if kind == "nnx" else [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    for each in copies:
        np.testing.assert_array_equal(each(x), y)
        each.weights[0].value += 1
        assert np.abs(each(x) - y).max() > 1e-3
    np.testing.assert_array_equal(layer(x), y)


@pytest.mark.parametrize("kind", KINDS)
def test_two_calls_of_one_layer(kind, middle, rng):
    weights = rng.normal(size=(D, H)), rng.normal(size=H)
    x = [rng.normal(size=(2, D)), rng.normal(size=(2, D))]
    results = []
    for layer in (middle(kind, *weights), Dense(H, "tanh", dtype="float64")):
        a, b = Input((D,)), Input((D,))
        model = Model([a, b], layers.Multiply(dtype="float64")([layer(a), layer(b)]))
        if isinstance(layer, Dense):
            layer.set_weights(weights)
        y = model(x)
        dx = model.backward(random_like(y, np.random.default_rng(1)))
        results.append([y, *dx, *kernel_and_bias(layer)[1]])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_several_threads(kind, middle, rng):
    layer, xs = middle(kind), rng.normal(size=(4, 2, D))
    expected = []
    for x in xs:
        y = layer(x)
        expected.append((y, layer.backward(y)))
    wrong = []

    def work(x, y, dx):
        with jax.disable_jit(False):
            for _ in range(15):
                if not (np.array_equal(layer(x), y) and np.array_equal(layer.backward(y), dx)):
                    wrong.append(x)

    threads = [threading.Thread(target=work, args=(x, *each)) for x, each in zip(xs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_strides_and_steps(kind, middle, rng):
    """A batch of one, an input that does not lie in order or is read-only, gradients that add up, no gradient for the input."""
    layer, x = middle(kind), rng.normal(size=(2, D))
    y = layer(x)
    turned, fixed = np.asfortranarray(np.repeat(x, 2, 1))[:, ::2], x.copy()
    fixed.flags.writeable = False
    for same in (turned, fixed, x.tolist()):
        np.testing.assert_array_equal(layer(same), y)
    np.testing.assert_allclose(layer(x[:1]), y[:1], rtol=1e-12)
    layer(x)
    dx = layer.backward(y)
    once = [p.grad.copy() for p in layer.weights]
    np.testing.assert_array_equal(layer.backward(y), dx)                    # the record is only read
    for parameter, g in zip(layer.weights, once, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * g)
    layer.input_gradient = False
    assert layer.backward(y) is None
    layer.input_gradient = True
    with pytest.raises(ValueError, match=r"\w+ '\w+': expected inputs that .* can work with, got shapes .*\(2, 5\)"):
        layer(np.ones((2, D + 1)))
    with pytest.raises(ValueError, match=r"backward expected dy of shape \(2, 3\)"):
        layer(x)
        layer.backward(np.ones((2, 5)))
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        copy.deepcopy(layer).backward(y)
    assert layer.compute_output_shape((None, D)) == (None, H) and y.flags.writeable


@pytest.mark.parametrize("kind", KINDS)
def test_models_in_files(kind, middle, rng, tmp_path):
    x = rng.normal(size=(2, D))
    model = Sequential([Input((D,)), middle(kind, name="wrapped"), Dense(1)])
    safe = kind not in ("torch", "tensorflow")
    if kind == "jax":
        for name in ("call_fn", "init_fn"):
            nblayers.utils.register_keras_serializable()(OWN[name])
    model.save(tmp_path / "model.keras")
    if not safe:
        with pytest.raises(ValueError, match=r"(TorchModuleWrapper|TFSMLayer): the configuration brings .*safe_mode=False"):
            load_model(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras", OWN, safe_mode=safe)
    np.testing.assert_array_equal(again(x), model(x))
    if kind in ("linen", "nnx"):
        for name in ("LinenDense", "NnxDense"):
            nblayers.utils.register_keras_serializable()(OWN[name])
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(x), model(x))
    clone.get_layer("wrapped").weights[0].value += 1
    assert np.abs(clone(x) - model(x)).max() > 1e-3


# PyTorch

def torch_gradients(module, inputs, dy):
    """Outputs, and PyTorch's gradients of inputs and parameters."""
    leaves = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    outputs = flatten(module(*[leaf.clone() for leaf in leaves]))      # some work in place
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    gradients = torch.autograd.grad(outputs, [*wanted, *module.parameters()], [torch.tensor(d) for d in dy])
    arrays = iter([g.numpy() for g in gradients])
    return ([y.detach().numpy() for y in outputs], [next(arrays) if leaf.requires_grad else None for leaf in leaves],
            list(arrays))


nn = torch.nn
TORCH = {
    "convolution": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(inplace=True)), [(2, 2, 4, 4)]),
    "in place at once": (lambda: nn.Sequential(nn.ELU(inplace=True), nn.Linear(4, 2)), [(2, 4)]),
    "channels last": (lambda: nn.Conv2d(2, 3, 2).to(memory_format=torch.channels_last), [(2, 2, 4, 4)]),
    "lstm": (lambda: nn.LSTM(3, 2, batch_first=True), [(2, 4, 3)]),
    "attention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), [(2, 3, 4), (2, 5, 4), (2, 5, 4)]),
    "bilinear": (lambda: nn.Bilinear(3, 4, 2), [(2, 3), (2, 4)]),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradients_are_pytorchs(name, training, rng):
    make, shapes = TORCH[name]
    module = make().double()
    layer = TorchModuleWrapper(copy.deepcopy(module))
    inputs = [rng.normal(size=shape) for shape in shapes]
    kept = copy.deepcopy(inputs)
    outputs = layer(*inputs, training=training)
    dy = random_like(outputs, rng)
    dx = layer.backward(dy)
    module.train(training)
    y, dinputs, dweights = torch_gradients(module, inputs, flatten(dy))
    for ours, theirs in ((flatten(outputs), y), (dx if isinstance(dx, list) else [dx], dinputs),
                         ([p.grad for p in layer.trainable_weights], dweights), (inputs, kept)):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    for ours, theirs in zip(layer.module.buffers(), module.buffers(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if name == "convolution":
        state = [p.value for p in layer.non_trainable_weights]
        assert (np.abs(state[0]).max() > 0) == training and state[2] == training


def test_integers_masks_and_settings(rng):
    embedding = TorchModuleWrapper(nn.Embedding(6, 3))
    ids = np.array([[1, 5], [1, 0]])
    y = embedding(ids)
    assert embedding.backward(np.ones_like(y)) is None
    np.testing.assert_array_equal(embedding.weights[0].grad[:, 0], [1, 2, 0, 0, 0, 1])
    symbolic = Input((2,), dtype="int32")
    assert Model(symbolic, Dense(2)(embedding(symbolic)))(ids).shape == (2, 2, 2)
    assert embedding.compute_output_shape((None, 2)) == (None, 2, 3)

    attention = nn.MultiheadAttention(4, 2, batch_first=True).double()
    layer, q = TorchModuleWrapper(attention), rng.normal(size=(2, 3, 4))
    added, hidden = rng.normal(size=(3, 3)), np.array([[False, False, True]] * 2)
    for settings in ({"attn_mask": added}, {"key_padding_mask": hidden}, {"need_weights": False}):
        y, w = layer(q, q, q, **settings)
        expected, _ = attention(*[torch.tensor(q)] * 3, **{name: torch.tensor(value) if hasattr(value, "shape") else value
                                                            for name, value in settings.items()})
        np.testing.assert_allclose(y, expected.detach(), rtol=1e-12)
        assert (w is None) == ("need_weights" in settings)
        assert [d.shape for d in layer.backward([np.ones_like(y), None])] == [q.shape] * 3


class Several(nn.Module):
    """Structures in and out, an unused parameter, a buffer that is replaced, a result of whole numbers."""

    def __init__(self):
        super().__init__()
        self.scale, self.unused = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.ones(2))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs):
        if self.training:
            self.calls = self.calls + 1
        a, (b, _) = inputs["a"], inputs["rest"]
        return {"sum": a * self.scale + b, "largest": a.argmax(-1), "nothing": None}


def test_structures(rng):
    layer = TorchModuleWrapper(Several())
    a, b = rng.normal(size=(2, 3)).astype("f"), rng.normal(size=(2, 3)).astype("f")
    inputs = {"a": a, "rest": (b, np.array([1, 2]))}
    y = layer(inputs, training=True)
    assert set(y) == {"sum", "largest", "nothing"} and y["nothing"] is None
    np.testing.assert_array_equal(y["largest"], a.argmax(-1))
    dx = layer.backward({"sum": np.ones((2, 3))})
    np.testing.assert_array_equal(dx["a"], np.full((2, 3), 2))
    np.testing.assert_array_equal(dx["rest"][0], np.ones((2, 3)))
    assert dx["rest"][1] is None
    named = {p.name: p for p in layer.weights}
    np.testing.assert_allclose(named["scale"].grad, a.sum(), rtol=1e-5)
    assert named["calls"].value == 1 and not named["unused"].grad.any()
    with pytest.raises(ValueError, match=r"expected a dictionary of gradients with keys among .*got \['total'\]"):
        layer.backward({"total": a})
    layer.backward(None)

    class WithoutNone(Several):
        def forward(self, inputs):
            return {key: value for key, value in super().forward(inputs).items() if value is not None}

    symbolic = {"a": Input((3,)), "rest": (Input((3,)), Input((), dtype="int32"))}
    tensors = TorchModuleWrapper(WithoutNone())(symbolic)
    assert tensors["sum"].shape == (None, 3) and tensors["largest"].shape == (None,)
    model = Model(flatten(symbolic), Dense(1)(tensors["sum"]))
    model.compile("sgd", "mse")
    model.fit([a, b, np.array([1, 2])], np.ones((2, 1)), verbose=0)


def test_module_and_weights_are_one_memory(rng):
    module = nn.Linear(3, 2)
    layer, x = TorchModuleWrapper(module), rng.normal(size=(4, 3)).astype("f")
    kernel, _ = layer.weights
    kernel.value = np.ones((2, 3))
    assert (module.weight == 1).all()
    module.load_state_dict({"weight": torch.full((2, 3), 2.0), "bias": torch.zeros(2)})
    assert (kernel.value == 2).all()
    for replace in (lambda: module.load_state_dict({"weight": torch.full((2, 3), 3.0), "bias": torch.ones(2)}, assign=True),
                    lambda: setattr(module.weight, "data", torch.full((2, 3), 3.0)), module.double,
                    lambda: setattr(module, "weight", nn.Parameter(torch.full((2, 3), 3.0)))):
        kernel.value = np.ones((2, 3))
        replace()
        y = layer(x)
        assert y.dtype == np.float32 and (kernel.value == (1 if replace == module.double else 3)).all()
        np.testing.assert_array_equal(y, module(torch.tensor(x)).detach())
        kernel.zero_grad()
        layer.backward(y)
        optimizers.SGD(1.0).step(layer.trainable_weights)
        np.testing.assert_array_equal(kernel.value, module.weight.detach())
        assert np.abs(kernel.grad).max() > 0
    module.weight = None
    with pytest.raises(ValueError, match=r"expected the module to keep its parameters and buffers, \['weight', 'bias'\], got"):
        layer(x)


def test_gradcheck_leaves_the_module_as_it_was(rng):
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    layer, x = TorchModuleWrapper(module), rng.normal(size=(4, 3)).astype("f")
    before = copy.deepcopy(module.state_dict())
    nblayers.gradcheck(layer, x, training=True)
    for name, tensor in module.state_dict().items():
        assert tensor.dtype == before[name].dtype and torch.equal(tensor, before[name])
    layer.weights[0].value += 1
    assert torch.equal(module[0].weight, before["0.weight"] + 1)


def test_freezing(rng):
    layer, x = TorchModuleWrapper(nn.Linear(3, 2)), rng.normal(size=(4, 3)).astype("f")
    kernel, bias = layer.weights
    kernel.trainable = False
    assert not layer.module.weight.requires_grad and layer.trainable_weights == [bias]
    layer.backward(layer(x))
    assert not kernel.grad.any() and bias.grad.any()
    layer.module.weight.requires_grad_(True)
    assert layer.trainable_weights == [kernel, bias] and layer.weights == [kernel, bias]
    layer.trainable = False
    assert layer.trainable_weights == []
    buffer = TorchModuleWrapper(nn.BatchNorm1d(2)).weights[-1]
    with pytest.raises(ValueError, match="a buffer of a PyTorch module cannot be trained"):
        buffer.trainable = True


def test_dropout_follows_training(rng):
    layer, x = TorchModuleWrapper(nn.Dropout(0.5)), np.ones((2, 50), "f")
    np.testing.assert_array_equal(layer(x), x)
    torch.manual_seed(1)
    y = layer(x, training=True)
    np.testing.assert_array_equal(layer.backward(x), y)                     # the same ones dropped
    torch.manual_seed(1)
    np.testing.assert_array_equal(layer(x, training=True), y)
    assert set(np.unique(y)) == {0, 2}


def test_dtypes():
    assert TorchModuleWrapper(nn.Linear(3, 2).double()).dtype == "float64"
    half = TorchModuleWrapper(nn.Linear(3, 2).bfloat16())
    assert half.dtype == "float32" and half(np.ones((1, 3))).dtype == np.float32
    layer = TorchModuleWrapper(nn.BatchNorm1d(3), dtype="float64")
    assert layer.module.running_mean.dtype == torch.float64 and layer.weights[-1].dtype == "int64"
    layer.astype("float32")
    assert layer(np.ones((2, 3))).dtype == np.float32 == layer.module.weight.detach().numpy().dtype


def test_an_output_shape_that_is_told():
    class Odd(nn.Module):
        def forward(self, x):
            return x.reshape(-1, 7)

    symbolic = Input((None,))
    assert TorchModuleWrapper(Odd(), output_shape=[None, 7])(symbolic).shape == (None, 7)
    with pytest.raises(ValueError, match=r"TorchModuleWrapper '\w+': expected inputs that the module Odd can work with"):
        TorchModuleWrapper(Odd())(symbolic)


def test_errors_of_torch_modules():
    for wrong in (nn.Linear, 5, nblayers.nn.Linear(3, 2)):
        with pytest.raises(TypeError, match=r"^TorchModuleWrapper: expected a torch.nn.Module as module, got "):
            TorchModuleWrapper(wrong)
    with pytest.raises(ValueError, match=r"expected a lazy module that was called once, got 'weight' without a shape"):
        TorchModuleWrapper(nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"expected real parameters, got 'weight' of torch.complex64"):
        TorchModuleWrapper(nn.Linear(2, 3, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"expected a shape such as \(None, 8\) as output_shape, got 'abc'"):
        TorchModuleWrapper(nn.Linear(2, 3), output_shape="abc")
    with pytest.raises(TypeError, match=r"TorchModuleWrapper '\w+': unknown argument 'units'"):
        TorchModuleWrapper(nn.Linear(2, 3), units=3)

    class Local(nn.Module):
        pass

    with pytest.raises(ValueError, match=r"get_config expected a module that torch.save can write, got Local"):
        TorchModuleWrapper(Local()).get_config()
    config = TorchModuleWrapper(nn.Linear(2, 3)).get_config()
    with pytest.raises(ValueError, match=r"^TorchModuleWrapper: cannot read the module of the configuration"):
        TorchModuleWrapper.from_config(config | {"module": config["module"][:40]}, safe_mode=False)


# JAX

def calls():
    def one(inputs):
        return jnp.sin(inputs)

    def trained(params, inputs):
        return [inputs @ params["w"], jnp.sum(inputs, 1) * params["scale"]]

    def stateful(params, state, inputs):
        return inputs @ params["w"] + state["n"], {"n": state["n"] + 1}

    def switched(inputs, training, params):
        return jnp.tanh(inputs @ params["w"]) if training else inputs @ params["w"]

    weights = {"w": np.random.default_rng(0).normal(size=(D, H)), "scale": 1.5}
    return {"inputs": (one, {}), "params": (trained, {"params": weights}), "training": (switched, {"params": weights}),
            "state": (stateful, {"params": weights, "state": {"n": 2.0}})}


@pytest.mark.parametrize("name", calls())
@pytest.mark.parametrize("training", [False, True])
def test_call_functions_give_what_keras_gives(name, training, rng):
    import keras
    function, weights = calls()[name]
    ours, theirs = JaxLayer(function, **weights), keras.layers.JaxLayer(function, **weights)
    assert [p.shape for p in ours.weights] == [v.shape for v in theirs.weights]
    x = rng.normal(size=(2, D)).astype("f")
    settings = {"training": training} if name == "training" else {}
    if name == "state":
        for _ in range(2):
            np.testing.assert_allclose(ours(x, training), theirs(x, training=training), rtol=1e-5, atol=1e-6)
    else:
        agrees_with_keras(ours, theirs, x, **settings)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    nblayers.gradcheck(ours, x, **settings)


def test_state_and_random_keys():
    def noisy(params, state, rng, inputs, training):
        kept = jax.random.bernoulli(rng, 0.5, inputs.shape) if training else 1.0
        return inputs * kept * params, {**state, "ids": state["ids"] + 1, "factor": state["factor"] * params}

    def init(rng, inputs, training):
        assert training is True and inputs.shape[1:] == (D,)
        return jnp.float32(3), {"ids": jnp.zeros(2, "int32"), "factor": 1.0, "kind": "a setting"}

    layer, x = JaxLayer(noisy, init, seed=4), np.ones((2, D), "f")
    symbolic = layer(Input((D,)))
    assert symbolic.shape == (None, D) and [p.name for p in layer.weights] == ["params", "factor", "ids"]
    assert [p.dtype for p in layer.weights] == ["float32", "float32", "int32"]
    assert layer.get_weights()[1] == 1                          # finding the shape changed no state
    np.testing.assert_array_equal(layer(x), 3 * x)
    assert layer.state["factor"].value == 3 and (layer.state["ids"].value == 1).all() and layer.params.value == 3
    first, second = layer(x, training=True), layer(x, training=True)
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), second)
    assert (first != second).any() and set(np.unique(second)) == {0, 3}
    again = JaxLayer(noisy, init, seed=4)
    np.testing.assert_array_equal(again(x, training=True), first)
    assert again.seed == layer.seed == 4


def test_a_state_that_is_used_and_changed_at_once(rng):
    """The gradient is the one for the state before the call."""
    layer = JaxLayer(lambda state, inputs: (inputs * state, state + 1), state=np.full(64, 2.0))
    x = rng.normal(size=(1, 64)).astype("f")
    y = layer(x)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), np.full((1, 64), 2))


def test_structures_of_jax(rng):
    def function(params, inputs):
        a, (b, ids) = inputs["a"], inputs["rest"]
        return {"looked up": params["table"][ids] * a, "ids": ids}, b

    def init(inputs):
        assert inputs["rest"][1].dtype == np.int32
        return {"table": jnp.ones((5, 3))}

    layer = JaxLayer(function, init)
    tensors, b = layer({"a": Input((3,)), "rest": (Input((3,)), Input((), dtype="int32"))})
    assert tensors["looked up"].shape == b.shape == (None, 3)
    a, ids = rng.normal(size=(2, 3)).astype("f"), np.array([4, 1])
    y, b = layer({"a": a, "rest": (a, ids)})
    dx = layer.backward(({"looked up": np.ones((2, 3))}, None))
    np.testing.assert_array_equal(dx["a"], np.ones((2, 3)))
    assert dx["rest"][1] is None and not dx["rest"][0].any() and y["ids"].dtype.kind == "i"
    np.testing.assert_allclose(layer.params["table"].grad[ids], a)


def test_errors_of_jax_functions(rng):
    for wrong, message in (((lambda x: x,), "expected call_fn to take inputs, and nothing beside params, state, .*arguments x"),
                           ((lambda inputs, extra: 0,), "got arguments inputs, extra"),
                           ((call_fn, lambda rng: 0), "expected init_fn to take inputs"),
                           ((call_fn,), "expected init_fn, params or state, as call_fn takes params, got none")):
        with pytest.raises(ValueError, match=rf"^JaxLayer '\w+': .*{message}"):
            JaxLayer(*wrong)
    with pytest.raises(TypeError, match=r"^JaxLayer '\w+': expected a function as call_fn, got 3"):
        JaxLayer(3)
    layer = JaxLayer(call_fn, init_fn)
    with pytest.raises(ValueError, match=r"expected 0 weight arrays, got 1 \(the layer is not built yet"):
        layer.set_weights([np.ones(3)])
    with pytest.raises(ValueError, match="count_params needs a built layer"):
        layer.count_params()
    with pytest.raises(ValueError, match=r"get_config expected an init_fn, which makes params and state again"):
        JaxLayer(call_fn, params={"kernel": np.ones((D, H)), "bias": np.ones(H)}).get_config()
    x = rng.normal(size=(2, D))
    with pytest.raises(ValueError, match=r"expected call_fn to return a new state of the structure PyTreeDef\(\*\), got"):
        JaxLayer(lambda state, inputs: (inputs, [state]), state=1.0)(x)
    with pytest.raises(ValueError, match=r"expected call_fn to return state 'state' of shape \(\), got \(2,\)"):
        JaxLayer(lambda state, inputs: (inputs, jnp.ones(2)), state=1.0)(x)
    with pytest.raises(ValueError, match=r"'jax_layer\w*': expected inputs that call_fn can work with, .* \(2, 4\): Trac"):
        JaxLayer(lambda inputs: np.sin(inputs))(x)
    with pytest.raises(ValueError, match=r"expected seed to be an integer, got 1.5"):
        JaxLayer(call_fn, init_fn, seed=1.5)


# Flax

class LinenNormalized(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, inputs, training=False):
        z = flax.linen.BatchNorm(use_running_average=not training, momentum=0.9)(flax.linen.Dense(H)(inputs))
        return flax.linen.Dropout(0.5, deterministic=not training)(z)

    def scaled(self, inputs):
        return 2 * self(inputs)


class NnxNormalized(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.parts = nnx.List([nnx.Linear(D, H, rngs=rngs), nnx.BatchNorm(H, momentum=0.9, rngs=rngs),
                               nnx.Dropout(0.5, rngs=rngs)])

    def __call__(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs

    def scaled(self, inputs):
        return 2 * self(inputs)


@pytest.mark.parametrize("make", [LinenNormalized, NnxNormalized])
def test_flax_modules_with_state(make, rng):
    layer, x = FlaxLayer(make(), seed=1), rng.normal(size=(3, D)).astype("f")
    layer(x)
    state = {p.name: p for p in layer.non_trainable_weights}
    mean, variance = (next(p for name, p in state.items() if name.endswith(end)) for end in ("mean", "var"))
    kernel = next(p for p in layer.weights if p.name.endswith("kernel"))
    assert not mean.value.any() and len(layer.trainable_weights) == 4
    z = x @ kernel.value
    y = layer(x, training=True)
    np.testing.assert_allclose(mean.value, 0.1 * z.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(variance.value, 0.9 + 0.1 * z.var(0), rtol=1e-5)
    assert (y == 0).any() and (layer(x, training=True) != y).any()
    kept = mean.value.copy()
    np.testing.assert_array_equal(layer(x), layer(x))
    np.testing.assert_array_equal(mean.value, kept)
    nblayers.gradcheck(layer, x, training=True)
    named = FlaxLayer(make(), method="scaled") if make is LinenNormalized else FlaxLayer(make(), method=make.scaled)
    np.testing.assert_allclose(FlaxLayer(named.module, make.scaled)(x).shape, (3, H))
    named(x)
    named.set_weights([p.value for p in layer.weights])
    np.testing.assert_allclose(named(x), 2 * layer(x), rtol=1e-6)


def test_linen_gives_what_keras_gives(rng):
    import keras
    x = rng.normal(size=(4, D)).astype("f")
    variables = LinenNormalized().init(jax.random.key(0), x)
    agrees_with_keras(FlaxLayer(LinenNormalized(), variables=variables),
                      keras.layers.FlaxLayer(LinenNormalized(), variables=variables), x)


def test_an_nnx_module_is_written_back(rng):
    module, x = NnxNormalized(), rng.normal(size=(6, D)).astype("f")
    layer = FlaxLayer(module)
    first = layer(x, training=True)
    layer.weights[0].value += 1
    before = np.asarray(module.parts[0].bias[...]).copy()
    assert layer.write_back() is module
    np.testing.assert_array_equal(module.parts[0].bias[...], before + 1)
    assert module.parts[2].rngs.count[...] == 1
    module.eval()
    np.testing.assert_allclose(module(x), layer(x), rtol=1e-5, atol=1e-6)
    assert (first == 0).any()
    with pytest.raises(ValueError, match=r"write_back expected an nnx module"):
        FlaxLayer(LinenDense()).write_back()


def test_errors_of_flax_modules():
    for wrong in (LinenDense, 5, call_fn):
        with pytest.raises(TypeError, match=r"^FlaxLayer: expected a flax.linen.Module or a flax.nnx.Module as module, got"):
            FlaxLayer(wrong)
    for module, variables in ((NnxDense(), {}), (LinenDense(), 3)):
        with pytest.raises(ValueError, match=r"^FlaxLayer: expected variables as the dictionary of a linen module, got"):
            FlaxLayer(module, variables=variables)
    with pytest.raises(TypeError, match=r"cannot serialize .*expected its class to have get_config"):
        FlaxLayer(LinenNormalized()).get_config()


# TensorFlow

def test_endpoints_of_a_saved_model(saved, rng):
    x = rng.normal(size=(4, D)).astype("f").astype("d")
    layer = TFSMLayer(saved, "normalized", "train", dtype="float64")
    kernel, mean = layer.weights
    assert (kernel.name, mean.name) == ("kernel", "mean") and layer.trainable_weights == [kernel]
    y = layer(x, training=True)
    np.testing.assert_allclose(mean.value, 0.1 * (x @ kernel.value).mean(0))
    nblayers.gradcheck(layer, x[:2], training=True)
    np.testing.assert_allclose(layer(x), x @ kernel.value - mean.value)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    frozen = TFSMLayer(saved, "normalized", trainable=False)
    assert frozen.trainable_weights == [] and len(frozen.weights) == 2
    assert frozen(x).dtype == np.float32 and frozen.backward(np.ones((4, H))).dtype == np.float32

    signature = TFSMLayer(saved, "serving_default", dtype="float64")
    assert list(signature(x)) == ["output_0"]
    np.testing.assert_array_equal(signature(x)["output_0"], TFSMLayer(saved, dtype="float64")(x))

    several, ids = TFSMLayer(saved, "several", dtype="float64"), np.array([1, 1, 0, 4])
    y = several({"x": x, "ids": ids})
    dx = several.backward({"y": np.ones((4, H))})
    table = next(p for p in several.weights if p.name == "table")
    np.testing.assert_allclose(dx["x"], table.value[ids] @ kernel.value.T)
    assert dx["ids"] is None and y["ids"].dtype == np.int32 and table.grad[2:4].sum() == 0 != table.grad[1].sum()
    symbolic = several({"x": Input((D,)), "ids": Input((), dtype="int32")})
    assert symbolic["y"].shape == (None, H)


def test_errors_of_saved_models(saved, tmp_path):
    with pytest.raises(ValueError, match=r"TFSMLayer '\w+': expected the directory of a SavedModel as filepath, got"):
        TFSMLayer(tmp_path)
    with pytest.raises(ValueError, match=r"expected call_endpoint to be an attribute or a signature .*serving_default.* 'no'"):
        TFSMLayer(saved, "no")
    with pytest.raises(ValueError, match=r"expected call_training_endpoint to be an attribute"):
        TFSMLayer(saved, call_training_endpoint="no")


# all of them

@pytest.mark.parametrize("make, package", [(lambda: TorchModuleWrapper(None), "torch"), (lambda: JaxLayer(call_fn), "jax"),
                                           (lambda: FlaxLayer(None), "flax"), (lambda: TFSMLayer("a"), "tensorflow")])
def test_a_framework_that_is_missing(make, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"^\w+ needs {package}: install it by itself, or pip install 'nblayers\[oracle\]'"):
        make()


def test_nothing_is_imported_before_it_is_used():
    program = ("import sys; from nblayers.layers import TorchModuleWrapper, JaxLayer, FlaxLayer, TFSMLayer; "
               "sys.exit(str({'torch', 'jax', 'flax', 'tensorflow'} & set(sys.modules) or ''))")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.strip() == ""
