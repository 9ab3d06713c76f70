"""The gradient check for anyone's code: the styles in which people write layers by hand, each right and with a mistake."""
import collections
import types

import numpy as np
import pytest

from nblayers import gradcheck, layers, models, nn
from nblayers.gradient_check import (
    GradientCheckError,
    assert_gradients,
    gradcheck_function,
    gradcheck_loss,
    gradcheck_object,
    gradcheck_pair,
)
from nblayers.gradient_check.places import at
from nblayers.gradient_check.remember import remember
from nblayers.gradient_check.subject import Subject
from nblayers.layers import Layer

N, D, H = 3, 4, 5


@pytest.fixture
def x(rng):
    return rng.normal(size=(N, D))


def arrays(*shapes):
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in shapes]


def names(report):
    return [tensor.name for tensor in report.tensors]


def wrong(report):
    return [tensor.name for tensor in report.tensors if not tensor.passed]


# ---- pairs of functions

def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_backward_wrong(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return dx, 2 * dw, db


def test_cs231n(x):
    W, b = arrays((D, H), H)
    report = gradcheck_pair(affine_forward, affine_backward, x, W, b)
    assert names(report) == ["x", "w", "b"] and all(t.checked for t in report.tensors)
    assert gradcheck_pair(affine_forward, affine_backward, x, w=W, b=b)             # the name b is free for the user
    assert wrong(gradcheck_pair(affine_forward, affine_backward_wrong, x, W, b, raise_error=False)) == ["w"]


def test_a_cache_that_is_an_array(x):
    def relu_forward(x):
        return np.maximum(x, 0), x
    assert gradcheck_pair(relu_forward, lambda dout, cache: dout * (cache > 0), x)
    assert gradcheck_pair(relu_forward, lambda dA, Z: dA * (Z > 0), x)
    assert gradcheck_pair(relu_forward, lambda cache, dout: dout * (cache > 0), x)
    assert not gradcheck_pair(relu_forward, lambda dout, cache: dout, x, raise_error=False)


def test_without_a_cache(x):
    assert gradcheck_pair(np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), x)
    assert gradcheck_pair(lambda x: x ** 2, lambda x, grad: 2 * x * grad, x)
    kept = {}

    def f(x):
        kept["x"] = x
        return x ** 3
    assert gradcheck_pair(f, lambda dy: 3 * dy * kept["x"] ** 2, x)


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    H = prev_h.shape[1]
    i, f, o = (1 / (1 + np.exp(-a[:, k * H:(k + 1) * H])) for k in range(3))
    g = np.tanh(a[:, 3 * H:])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    dc = dnext_c + dnext_h * o * (1 - np.tanh(next_c) ** 2)
    di, df, do, dg = dc * g, dc * prev_c, dnext_h * np.tanh(next_c), dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)])
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def test_several_outputs_and_a_cache(x):
    report = gradcheck_pair(lstm_step_forward, lstm_step_backward, x, *arrays((N, H), (N, H), (D, 4 * H), (H, 4 * H), 4 * H))
    assert names(report) == ["x", "prev_h", "prev_c", "Wx", "Wh", "b"]


def test_a_state_of_zeros_hides_no_mistake(x):
    def backward(dnext_h, dnext_c, cache):
        dx, dh, dc, dWx, dWh, db = lstm_step_backward(dnext_h, dnext_c, cache)
        return dx, dh, dc, dWx, 3 * dWh, db
    h, c = np.zeros((N, H)), np.zeros((N, H))
    report = gradcheck_pair(lstm_step_forward, backward, x, h, c, *arrays((D, 4 * H), (H, 4 * H), 4 * H), raise_error=False)
    assert wrong(report) == ["Wh"]
    assert any("prev_h was 0 everywhere" in note for note in report.notes)
    assert not h.any() and not c.any()


class KarpathyLSTM:
    """Functions in a class; the gradients of the last states may be left out."""

    @staticmethod
    def forward(X, WLSTM, c0, h0):
        h, c, cache = [h0], [c0], []
        d = h0.shape[1]
        for t in range(len(X)):
            z = np.hstack([np.ones((len(h0), 1)), X[t], h[-1]])
            a = z @ WLSTM
            i, f, o = (1 / (1 + np.exp(-a[:, k * d:(k + 1) * d])) for k in range(3))
            g = np.tanh(a[:, 3 * d:])
            c.append(i * g + f * c[-1])
            h.append(o * np.tanh(c[-1]))
            cache.append((z, i, f, o, g))
        return np.array(h[1:]), c[-1], h[-1], (cache, c, WLSTM, X.shape[2])

    @staticmethod
    def backward(dHout_in, cache, dcn=None, dhn=None):
        steps, c, W, size = cache
        dH = dHout_in.copy()
        dW, dX = np.zeros_like(W), np.zeros((*dH.shape[:2], size))
        dc, dh = (np.zeros_like(dH[0]) if d is None else d for d in (dcn, dhn))
        for t in reversed(range(len(dH))):
            z, i, f, o, g = steps[t]
            dh = dh + dH[t]
            dc = dc + dh * o * (1 - np.tanh(c[t + 1]) ** 2)
            di, df, do, dg = dc * g, dc * c[t], dh * np.tanh(c[t + 1]), dc * i
            da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)])
            dW += z.T @ da
            dz = da @ W.T
            dX[t], dh, dc = dz[:, 1:1 + size], dz[:, 1 + size:], dc * f
        return dX, dW, dc, dh


def test_gradients_of_states_that_may_be_left_out():
    X, W, c0, h0 = arrays((4, 2, 3), (1 + 3 + 2, 8), (2, 2), (2, 2))
    report = gradcheck_pair(KarpathyLSTM.forward, KarpathyLSTM.backward, X, W, c0, h0, time_axis=0, batch_axis=1)
    assert names(report) == ["X", "WLSTM", "c0", "h0"]


def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps = bn_param["mode"], bn_param.get("eps", 1e-5)
    assert mode == "train"
    mean, var = x.mean(axis=0), x.var(axis=0)
    bn_param["running_mean"] = 0.9 * bn_param.get("running_mean", 0) + 0.1 * mean
    norm = (x - mean) / np.sqrt(var + eps)
    return gamma * norm + beta, (norm, gamma, np.sqrt(var + eps))


def batchnorm_backward(dout, cache):
    norm, gamma, std = cache
    dnorm = dout * gamma
    dx = (dnorm - dnorm.mean(axis=0) - norm * (dnorm * norm).mean(axis=0)) / std
    return dx, (dout * norm).sum(axis=0), dout.sum(axis=0)


def test_a_dictionary_of_settings_is_left_as_it_was(x):
    settings = {"mode": "train", "running_mean": np.zeros(D), "eps": 1e-3}
    assert gradcheck_pair(batchnorm_forward, batchnorm_backward, x, np.ones(D), np.zeros(D), settings)
    assert not settings["running_mean"].any() and set(settings) == {"mode", "running_mean", "eps"}


def test_a_scale_of_ones_hides_no_mistake(x):
    def backward(dout, cache):
        norm, gamma, std = cache
        return batchnorm_backward(dout, (norm, np.ones_like(gamma), std))
    report = gradcheck_pair(batchnorm_forward, backward, x, np.ones(D), np.zeros(D), {"mode": "train"}, raise_error=False)
    assert wrong(report) == ["x"]


def rnn_cell_forward(xt, a_prev, parameters):
    Wax, Waa, ba = parameters["Wax"], parameters["Waa"], parameters["ba"]
    a_next = np.tanh(Wax @ xt + Waa @ a_prev + ba)
    return a_next, (a_next, a_prev, xt, parameters)


def rnn_cell_backward(da_next, cache):
    a_next, a_prev, xt, parameters = cache
    dz = (1 - a_next ** 2) * da_next
    return {"dxt": parameters["Wax"].T @ dz, "da_prev": parameters["Waa"].T @ dz, "dWax": dz @ xt.T, "dWaa": dz @ a_prev.T,
            "dba": dz.sum(axis=1, keepdims=True)}


def test_dictionaries_of_parameters_and_gradients():
    """The style of the deeplearning.ai course."""
    xt, a, Wax, Waa, ba = arrays((D, N), (H, N), (H, D), (H, H), (H, 1))
    report = gradcheck_pair(rnn_cell_forward, rnn_cell_backward, xt, a, {"Wax": Wax, "Waa": Waa, "ba": ba})
    assert names(report) == ["xt", "a_prev", "Wax", "Waa", "ba"]

    def forward(xt, a_prev, parameters):
        a_next, cache = rnn_cell_forward(xt, a_prev, parameters)
        return a_next, 2 * a_next, cache                # a prediction, whose gradient backward does not take
    report = gradcheck_pair(forward, rnn_cell_backward, xt, a, {"Wax": Wax, "Waa": Waa, "ba": ba})
    assert names(report) == ["xt", "a_prev", "Wax", "Waa", "ba"]
    assert "backward takes the gradient of 1 of the 2 outputs: the others are left out" in report.notes

    def backward(da_next, cache):
        return rnn_cell_backward(da_next, cache) | {"dWaa": np.zeros((H, H))}
    report = gradcheck_pair(rnn_cell_forward, backward, xt, a, {"Wax": Wax, "Waa": Waa, "ba": ba}, raise_error=False)
    assert wrong(report) == ["Waa"]


def test_token_ids_stay_integers():
    W, ids = arrays((6, D))[0], np.array([[0, 2, 2], [5, 1, 0]])

    def embed(ids, W):
        assert ids.dtype.kind == "i"
        return W[ids], (ids, W.shape)

    def backward(dy, cache):
        dW = np.zeros(cache[1])
        np.add.at(dW, cache[0], dy)
        return dW
    assert names(gradcheck_pair(embed, backward, ids, W)) == ["W"]
    assert gradcheck_function(lambda ids, W: W[ids], lambda ids, W, dy: [None, backward(dy, (ids, W.shape))], ids, W)

    def overwrites(dy, cache):
        dW = np.zeros(cache[1])
        dW[cache[0]] = dy
        return None, dW
    assert not gradcheck_pair(embed, overwrites, ids, W, raise_error=False)


def test_scalars_simply_work():
    assert gradcheck_function(lambda x: x ** 2, lambda x, dy: 2 * x * dy, 3.0)
    assert gradcheck_function(lambda a, b: a * b, lambda a, b, dy: (dy * b, dy * a), 2.0, np.float64(-0.5))
    assert not gradcheck_function(lambda x: x ** 2, lambda x, dy: x * dy, 3.0, raise_error=False)


def test_backward_that_cannot_be_called(x):
    with pytest.raises(TypeError, match=r"backward takes \(a, b, c, d\)"):
        def backward(a, b, c, d): ...
        gradcheck_pair(lambda x: x, backward, x)


# ---- objects

class Base:
    def __init__(self, dtype=np.float64):
        self.W, self.b = (array.astype(dtype) for array in arrays((D, H), H))


class Affine(Base):
    """Deep learning from scratch: attributes, gradients beside them."""

    factor = 1.0

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.factor * (self.x.T @ dout)
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


class InLists:
    """Deep learning from scratch 2: lists of arrays in float32, gradients written into them."""

    factor = 1.0

    def __init__(self, dtype=np.float32):
        W, b = arrays((D, H), H)
        self.params = [W.astype(dtype), b.astype(dtype)]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x):
        self.x = x
        W, b = self.params
        return x @ W + b

    def backward(self, dout):
        W, _ = self.params
        self.grads[0][...] = self.factor * (self.x.T @ dout)
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ W.T


class InDictionaries:
    """numpy-ml: dictionaries with equal keys."""

    factor = 1.0

    def __init__(self):
        W, b = arrays((D, H), H)
        self.parameters = {"W": W, "b": b}
        self.gradients = {"W": np.zeros_like(W), "b": np.zeros_like(b)}
        self.X = []

    def forward(self, X, retain_derived=True):
        if retain_derived:
            self.X.append(X)
        return X @ self.parameters["W"] + self.parameters["b"]

    def backward(self, dLdy, retain_grads=True):
        X = self.X[-1]
        self.gradients["W"] += self.factor * (X.T @ dLdy)
        self.gradients["b"] += dLdy.sum(axis=0)
        return dLdy @ self.parameters["W"].T


class NewGradients(InDictionaries):
    """A dictionary of gradients that each backward makes anew, keyed dW, db."""

    def backward(self, dout):
        X = self.X[-1]
        self.gradients = {"dW": self.factor * (X.T @ dout), "db": dout.sum(axis=0)}
        return dout @ self.parameters["W"].T


class Nnfs(Base):
    """Neural networks from scratch: nothing is returned; output and dinputs are attributes."""

    factor = 1.0

    def __init__(self):
        super().__init__()
        self.weights, self.biases = self.W, self.b[None]
        del self.W, self.b

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights) + self.biases

    def backward(self, dvalues):
        self.dweights = self.factor * np.dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        self.dinputs = np.dot(dvalues, self.weights.T)


class Stepping(Base):
    """Backward takes a learning rate and changes the weights itself."""

    factor = 1.0

    def forward(self, input):
        self.input = input
        return input @ self.W + self.b

    def backward(self, output_gradient, learning_rate):
        dx = output_gradient @ self.W.T
        self.W -= learning_rate * self.factor * (self.input.T @ output_gradient)
        self.b = self.b - learning_rate * output_gradient.sum(axis=0)
        return dx


class SteppingByItself(Stepping):
    """The same with a rate of its own."""

    learning_rate = 0.01

    def backward(self, output_gradient):
        return super().backward(output_gradient, self.learning_rate)


class Returning(Base):
    """Backward returns the gradients of the weights too."""

    factor = 1.0

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        return dy @ self.W.T, self.factor * (self.x.T @ dy), dy.sum(axis=0)


class ReturningByName(Returning):
    def backward(self, dy):
        dx, dW, db = super().backward(dy)
        return dx, {"W": dW, "b": db}


class ReturningAll(Returning):
    def backward(self, dy):
        dx, dW, db = super().backward(dy)
        return {"dx": dx, "dW": dW, "db": db}


class WithCache(Base):
    """(y, cache) from a method."""

    factor = 1.0

    def forward(self, x):
        return x @ self.W + self.b, x

    def backward(self, dy, cache):
        self.grad_W = self.factor * (cache.T @ dy)
        self.grad_b = dy.sum(axis=0)
        return dy @ self.W.T


class Records:
    """Weights and gradients as attributes of two records."""

    factor = 1.0

    def __init__(self):
        W, b = arrays((D, H), H)
        self.params, self.grads = types.SimpleNamespace(W=W, b=b), types.SimpleNamespace(W=None, b=None)

    def forward(self, x):
        self.x = x
        return x @ self.params.W + self.params.b

    def backward(self, dy):
        self.grads.W, self.grads.b = self.factor * (self.x.T @ dy), dy.sum(axis=0)
        return dy @ self.params.W.T


class WithInput(Base):
    """Backward is given the input again."""

    factor = 1.0

    def forward(self, input):
        return input @ self.W + self.b

    def backward(self, input, grad_output):
        self.W_grad = self.factor * (input.T @ grad_output)
        self.b_grad = grad_output.sum(axis=0)
        return grad_output @ self.W.T


class Bprop(Affine):
    """Other names for the methods."""

    def fprop(self, x):
        return Affine.forward(self, x)

    def bprop(self, grad):
        return Affine.backward(self, grad)

    forward = backward = None


class Variable:
    """A weight of its own kind."""

    def __init__(self, data):
        self.data, self.grad = data, None


class Objects:
    """Weights that are objects with data and grad, as in PyTorch."""

    factor = 1.0

    def __init__(self):
        self._parameters = collections.OrderedDict(weight=Variable(arrays((H, D))[0]), bias=Variable(np.zeros(H)))

    def __getattr__(self, name):
        try:
            return self.__dict__["_parameters"][name]
        except KeyError:
            raise AttributeError(name) from None

    def parameters(self):
        yield from self._parameters.values()

    def named_parameters(self):
        yield from self._parameters.items()

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, grad_output):
        self.weight.grad = self.factor * (grad_output.T @ self.x)
        self.bias.grad = grad_output.sum(axis=0)
        return grad_output @ self.weight.data


class ByMethods(Base):
    """params() and grads() are methods."""

    factor = 1.0

    def params(self):
        return [self.W, self.b]

    def grads(self):
        return [self._of_first, self._of_second]

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self._of_first, self._of_second = self.factor * (self.x.T @ dy), dy.sum(axis=0)
        return dy @ self.W.T


class Network:
    """Layers in a layer, whose lists hold the same arrays."""

    def __init__(self, dtype=np.float32):
        first, second = InLists(dtype), InLists(dtype)
        second.params[0], second.params[1] = (a.astype(dtype) for a in arrays((H, 2), 2))
        second.grads = [np.zeros_like(p) for p in second.params]
        self.layers = [first, second]
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    factor = property(lambda self: 1.0, lambda self, value: setattr(self.layers[0], "factor", value))

    def forward(self, x):
        for layer in self.layers:
            x = np.tanh(layer.forward(x))
            layer.y = x
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout * (1 - layer.y ** 2))
        return dout


class Slots:
    """No __dict__."""

    __slots__ = ("W", "b", "dW", "db", "factor", "x")

    def __init__(self):
        self.W, self.b = arrays((D, H), H)
        self.factor = 1.0

    forward, backward = Affine.forward, Affine.backward


class Optimised(Affine):
    """Backward takes a step with an optimizer of its own: what of it is the gradient cannot be known."""

    def backward(self, dout):
        dx = super().backward(dout)
        self.W = self.W - 0.3 * self.__dict__.pop("dW")
        self.b -= 0.3 * self.__dict__.pop("db")
        return dx


class WithState:
    """(y, h) from forward; backward takes dy, and has a learning rate; the names are short."""

    factor = 1.0

    def __init__(self):
        self.Whh, self.Wxh = arrays((H, H), (H, D))

    def forward(self, inputs):
        h = np.zeros((H, 1))
        self.inputs, self.hs = inputs, [h]
        for x in inputs:
            h = np.tanh(self.Wxh @ x + self.Whh @ h)
            self.hs.append(h)
        return 2 * h, h

    def backprop(self, d_y, learn_rate=2e-2):
        d_h, d_Whh, d_Wxh = 2 * d_y, np.zeros_like(self.Whh), np.zeros_like(self.Wxh)
        for t in reversed(range(len(self.inputs))):
            da = (1 - self.hs[t + 1] ** 2) * d_h
            d_Whh += da @ self.hs[t].T
            d_Wxh += da @ self.inputs[t].T
            d_h = self.Whh.T @ da
        self.Whh -= learn_rate * self.factor * d_Whh
        self.Wxh -= learn_rate * d_Wxh


def test_a_step_of_unknown_size(x):
    report = gradcheck_object(Optimised(), x)
    assert names(report) == ["x"]
    assert any("not checked: W, b, which backward changes by a step of unknown size" in note for note in report.notes)


def test_a_state_beside_the_output():
    thing, inputs = WithState(), arrays((D, 1), (D, 1), (D, 1))
    report = gradcheck_object(thing, inputs, no_gradient="inputs")
    assert names(report) == ["Whh", "Wxh"] and thing.Whh.all()
    assert "backward takes the gradient of 1 of the 2 outputs: the others are left out" in report.notes
    thing.factor = 2
    assert wrong(gradcheck_object(thing, inputs, no_gradient="inputs", raise_error=False)) == ["Whh"]


class Lists:
    """Lists of weights, gradients with short names."""

    def __init__(self):
        self.weights, self.biases = arrays((D, H), (H, 2)), arrays(H, 2)

    def forward(self, x):
        self.a = [x]
        for W, b in zip(self.weights, self.biases, strict=True):
            self.a.append(np.tanh(self.a[-1] @ W + b))
        return self.a[-1]

    def backward(self, delta):
        self.nabla_w, self.nabla_b = [None, None], [None, None]
        for k in (1, 0):
            delta = delta * (1 - self.a[k + 1] ** 2)
            self.nabla_w[k], self.nabla_b[k] = self.a[k].T @ delta, delta.sum(axis=0)
            delta = delta @ self.weights[k].T
        return delta


def test_lists_with_short_names(x):
    assert names(gradcheck_object(Lists(), x)) == ["x", "weights[0]", "weights[1]", "biases[0]", "biases[1]"]


STYLES = {
    Affine: ["W", "b"], InLists: ["params[0]", "params[1]"], InDictionaries: ["parameters['W']", "parameters['b']"],
    NewGradients: ["parameters['W']", "parameters['b']"], Nnfs: ["weights", "biases"], Stepping: ["W", "b"],
    SteppingByItself: ["W", "b"], Returning: ["W", "b"], ReturningByName: ["W", "b"], ReturningAll: ["W", "b"],
    Records: ["params.W", "params.b"], WithCache: ["W", "b"], WithInput: ["W", "b"], Bprop: ["W", "b"],
    Objects: ["weight", "bias"], ByMethods: ["W", "b"],
    Network: ["params[0]", "params[1]", "params[2]", "params[3]"], Slots: ["W", "b"],
}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_a_style_of_objects(style, x):
    thing = style()
    report = gradcheck_object(thing, x)
    assert names(report)[1:] == STYLES[style] and all(t.checked for t in report.tensors)
    assert any("weights found in plain arrays" in note for note in report.notes)
    thing.factor = 3.0
    assert wrong(gradcheck_object(thing, x, raise_error=False)) == STYLES[style][:1]


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_an_object_is_left_as_it_was(style, x):
    thing = style()
    thing.forward(x) if callable(thing.forward) else thing.fprop(x)
    before = snapshot(thing)
    gradcheck_object(thing, x)
    after = snapshot(thing)
    assert [(name, id(array)) for name, array, _ in after] == [(name, id(array)) for name, array, _ in before]
    for (name, _, copy), (_, now, _) in zip(before, after, strict=True):
        np.testing.assert_array_equal(now, copy, err_msg=name)
        assert now.dtype == copy.dtype


def snapshot(thing):
    from nblayers.gradient_check.places import arrays as arrays_of
    return [(str(place), array, array.copy()) for place, array in arrays_of(thing)]


@pytest.mark.parametrize("thing, params, expected", [
    (Affine, {"W": "dW", "b": "db"}, ["W", "b"]), (Affine, {"W": "dW"}, ["W"]), (Affine, ["b"], ["b"]), (Affine, (), []),
    (InLists, {"params": "grads"}, ["params[0]", "params[1]"]), (InLists, {"params[0]": "grads[0]"}, ["params[0]"]),
    (InDictionaries, {"parameters": "gradients"}, ["parameters['W']", "parameters['b']"]),
    (InDictionaries, {"parameters['W']": "gradients['W']"}, ["parameters['W']"]),
    (NewGradients, {"parameters": "gradients"}, ["parameters['W']", "parameters['b']"]),
    (Network, {"layers[0].params": "layers[0].grads"}, ["layers[0].params[0]", "layers[0].params[1]"]),
    (Returning, {"W": 0, "b": 1}, ["W", "b"]), (Returning, ["W", "b"], ["W", "b"]),
    (ByMethods, {"params": "grads"}, ["params()[0]", "params()[1]"]),
], ids=str)
def test_params_as_told(thing, params, expected, x):
    made = thing()
    report = gradcheck_object(made, x, params=params)
    assert names(report)[1:] == expected and not any("weights found" in note for note in report.notes)
    made.factor = 3.0
    assert wrong(gradcheck_object(made, x, params=params, raise_error=False)) == [e for e in expected if e != "b"][:1]


def test_names_of_the_methods(x):
    class Odd:
        def up(self, x):
            self.x = x
            return x ** 2

        def down(self, g):
            return 2 * self.x * g
    assert gradcheck_object(Odd(), x, forward="up", backward="down")
    with pytest.raises(TypeError, match="it has no method 'forward'; its methods are down, up: say forward='…'"):
        gradcheck_object(Odd(), x)
    with pytest.raises(TypeError, match="it has no method 'across'"):
        gradcheck_object(Odd(), x, forward="up", backward="across")
    with pytest.raises(TypeError, match=r"got the class Odd: make one with Odd\(…\)"):
        gradcheck_object(Odd, x)


@pytest.mark.parametrize("params, error, words", [
    ({"V": "dV"}, ValueError, "Affine has no V"), ("W", TypeError, "expected {name of a weight: name of its gradient}"),
    ({"W +": "dW"}, ValueError, "expected the name of an attribute or item"), ({"factor": "dW"}, TypeError, "a floating array"),
])
def test_params_that_are_wrong(params, error, words, x):
    with pytest.raises(error, match=words):
        gradcheck_object(Affine(), x, params=params)


def test_a_weight_without_a_gradient_is_named(x):
    class Forgets(Affine):
        def backward(self, dout):
            return dout @ self.W.T
    report = gradcheck_object(Forgets(), x)
    assert names(report) == ["x"]
    assert any("not checked: W, b, on which y depends" in note and "params={'W': 'dW'}" in note for note in report.notes)


def test_gradients_of_a_wrong_shape(x):
    class Transposed(Affine):
        def backward(self, dout):
            dx = super().backward(dout)
            self.dW = self.dW.T
            return dx
    report = gradcheck_object(Transposed(), x, raise_error=False)
    assert wrong(report) == ["W"] and r"(5, 4): transposed" in report.tensors[-1].problem


def test_weights_of_zeros_are_found(x):
    class Deep:
        def __init__(self):
            self.V, self.W = np.zeros((D, H)), np.zeros((H, 2))

        def forward(self, x):
            self.x, self.h = x, np.tanh(x @ self.V)
            return self.h @ self.W

        def backward(self, dy):
            self.dW = self.h.T @ dy
            da = (dy @ self.W.T) * (1 - self.h ** 2)
            self.dV = self.x.T @ da
            return da @ self.V.T
    assert names(gradcheck_object(Deep(), x)) == ["x", "V", "W"]


def test_library_layers_in_an_object(x):
    class Net:
        factor = 1.0

        def __init__(self):
            self.parts = {"a": layers.Dense(3, activation="tanh", name="a"), "rest": [layers.Dense(2, name="b")]}

        def forward(self, x):
            return self.parts["rest"][0].forward(self.parts["a"].forward(x))

        def backward(self, dy):
            return self.factor * self.parts["a"].backward(self.parts["rest"][0].backward(dy))
    net = Net()
    report = gradcheck_object(net, x)
    assert names(report) == ["x", "a/kernel", "a/bias", "b/kernel", "b/bias"] and net.parts["a"].dtype == "float32"
    net.factor = 2
    assert wrong(gradcheck_object(net, x, raise_error=False)) == ["x"]
    assert gradcheck_object(layers.Dense(2), x)


class Lazy:
    """numpy-ml: the first forward makes the weights."""

    factor = 1.0

    def __init__(self):
        self.parameters, self.gradients, self.X = {"W": None, "b": None}, {}, []
        self.is_initialized = False

    def forward(self, X):
        if not self.is_initialized:
            self.parameters = {"W": np.random.normal(size=(X.shape[1], H)), "b": np.zeros((1, H))}
            self.gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
            self.is_initialized = True
        self.X.append(X)
        return X @ self.parameters["W"] + self.parameters["b"]

    def backward(self, dLdy):
        self.gradients["W"] += self.factor * (self.X[-1].T @ dLdy)
        self.gradients["b"] += dLdy.sum(axis=0, keepdims=True)
        return dLdy @ self.parameters["W"].T


def test_weights_that_the_first_forward_makes(x):
    thing = Lazy()
    assert names(gradcheck_object(thing, x)) == ["X", "parameters['W']", "parameters['b']"]
    assert thing.parameters == {"W": None, "b": None} and not thing.X and not thing.is_initialized
    assert names(gradcheck_object(thing, x, params={"parameters": "gradients"}))[1:] == ["parameters['W']", "parameters['b']"]
    thing.factor = 3.0
    assert wrong(gradcheck_object(thing, x, raise_error=False)) == ["parameters['W']"]

    class LazyLayer(Layer):
        def forward(self, x):
            if not hasattr(self, "W"):
                self.W = np.random.normal(size=(x.shape[1], 2))
            self.cache = x
            return x @ self.W

        def backward(self, dy):
            self.dW = 17 * (self.cache.T @ dy)
            return dy @ self.W.T
    assert wrong(gradcheck(LazyLayer(name="lazy"), x, raise_error=False)) == ["lazy/W"]


def test_reset(x):
    class Stateful(Affine):
        def __init__(self):
            super().__init__()
            self.seen = []

        def clear(self):
            self.seen.clear()

        def forward(self, x):
            self.seen.append(len(self.seen))
            return super().forward(x) * (1 if len(self.seen) == 1 else np.nan)
    assert gradcheck_object(Stateful(), x, reset="clear")
    assert gradcheck_object(Stateful(), x, reset=Stateful.clear)


def test_a_loss_layer_without_dy(x):
    class SoftmaxWithLoss:
        def forward(self, x, t):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            self.y, self.t = e / e.sum(axis=1, keepdims=True), t
            return -np.log(self.y[np.arange(len(t)), t]).mean()

        def backward(self, dout=1):
            dx = self.y.copy()
            dx[np.arange(len(self.t)), self.t] -= 1
            return dx * dout / len(self.t)

    class NoDy(SoftmaxWithLoss):
        def backward(self):
            return super().backward()

    class Given(NoDy):
        def backward(self, x, t):
            return super().backward()
    t = np.array([0, 2, 1])
    for loss in (SoftmaxWithLoss, NoDy, Given):
        assert names(gradcheck_object(loss(), x, t)) == ["x"]


def test_two_inputs_and_the_state_of_a_cell(x):
    class RNN:
        """Deep learning from scratch 2."""

        def __init__(self):
            Wx, Wh, b = arrays((D, H), (H, H), H)
            self.params, self.grads = [Wx, Wh, b], [np.zeros_like(p) for p in (Wx, Wh, b)]

        def forward(self, x, h_prev):
            Wx, Wh, b = self.params
            h_next = np.tanh(h_prev @ Wh + x @ Wx + b)
            self.cache = x, h_prev, h_next
            return h_next

        def backward(self, dh_next):
            Wx, Wh, _ = self.params
            x, h_prev, h_next = self.cache
            dt = dh_next * (1 - h_next ** 2)
            for grad, value in zip(self.grads, (x.T @ dt, h_prev.T @ dt, dt.sum(axis=0)), strict=True):
                grad[...] = value
            return dt @ Wx.T, dt @ Wh.T
    report = gradcheck_object(RNN(), x, np.zeros((N, H)))
    assert names(report) == ["x", "h_prev", "params[0]", "params[1]", "params[2]"]


# ---- losses

def svm_loss(W, X, y, reg):
    scores = X @ W
    margins = np.maximum(0, scores - scores[np.arange(len(y)), y][:, None] + 1)
    margins[np.arange(len(y)), y] = 0
    ds = (margins > 0).astype(float)
    ds[np.arange(len(y)), y] = -ds.sum(axis=1)
    return margins.sum() / len(y) + reg * (W ** 2).sum(), X.T @ ds / len(y) + 2 * reg * W


def test_a_loss_of_one_array(x):
    W, y = arrays((D, H))[0], np.array([0, 4, 2])
    report = gradcheck_loss(svm_loss, W, x, y, 0.1)
    assert names(report) == ["W"]

    def forgets_the_penalty(W, X, y, reg):
        return svm_loss(W, X, y, reg)[0], svm_loss(W, X, y, 0)[1]
    assert not gradcheck_loss(forgets_the_penalty, W, x, y, 0.1, raise_error=False)


class TwoLayerNet:
    """CS231n: model.loss(X, y, reg) reads model.params and returns (loss, grads)."""

    factor = 1.0

    def __init__(self, dtype=np.float64):
        self.params = dict(zip(("W1", "b1", "W2"), (a.astype(dtype) for a in arrays((D, H), H, (H, 3))), strict=True))

    def loss(self, X, y=None, reg=0.0):
        h = np.tanh(X @ self.params["W1"] + self.params["b1"])
        d = h @ self.params["W2"] - y
        grads = {"W2": h.T @ d + reg * self.params["W2"]}
        da = (d @ self.params["W2"].T) * (1 - h ** 2)
        grads["W1"], grads["b1"] = self.factor * (X.T @ da), da.sum(axis=0)
        return 0.5 * (d ** 2).sum() + 0.5 * reg * (self.params["W2"] ** 2).sum(), grads


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_model_that_holds_its_weights(dtype, x):
    model = TwoLayerNet(dtype)
    y = arrays((N, 3))[0]
    before = dict(model.params)
    report = gradcheck_loss(model.loss, model.params, x, y, reg=0.3)
    assert [name.split("'")[1] for name in names(report)] == ["W1", "b1", "W2"] and all(t.checked for t in report.tensors)
    assert all(model.params[name] is before[name] and before[name].dtype == dtype for name in before)
    model.factor = 2.0
    assert len(wrong(gradcheck_loss(model.loss, model.params, x, y, reg=0.3, raise_error=False))) == 1


Wxh, Whh, Why, bh, by = arrays((H, 6), (H, H), (6, H), (H, 1), (6, 1))
Wxh32 = Wxh.astype(np.float32)


def lossFun(inputs, targets, hprev):
    """min-char-rnn: global weights, gradients returned one after the other, and the last state behind them."""
    xs, hs, ps, loss = {}, {-1: np.copy(hprev)}, {}, 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((6, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        y = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy, dbh, dby = (np.zeros_like(w) for w in (Wxh, Whh, Why, bh, by))
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]


def test_global_weights():
    report = gradcheck_loss(lossFun, [Wxh, Whh, Why, bh, by], [0, 3, 5], [3, 5, 1], np.zeros((H, 1)))
    assert names(report) == ["Wxh", "Whh", "Why", "bh", "by"]


def test_global_weights_in_float32_are_put_back():
    def f(x):
        return (Wxh32 * x).sum(), np.full(Wxh32.shape, x)
    kept = Wxh32
    assert gradcheck_loss(f, [Wxh32], 1.5)
    assert Wxh32 is kept and Wxh32.dtype == np.float32


def test_structures_of_weights(x):
    A, B = arrays((D, 2), (2,))

    def by_dict(weights, X):
        y = X @ weights["A"] + weights["B"]
        return (y ** 2).sum(), {"A": 2 * X.T @ y, "B": 2 * y.sum(axis=0)}

    def by_list(weights, X):
        loss, grads = by_dict(dict(zip("AB", weights, strict=True)), X)
        return loss, [grads["A"], grads["B"]]

    def spread(A, B, X):
        return by_list([A, B], X)

    def named(X, A, B):
        loss, grads = by_dict({"A": A, "B": B}, X)
        return loss, {"dA": grads["A"], "dB": grads["B"]}
    assert names(gradcheck_loss(by_dict, {"A": A, "B": B}, x)) == ["A", "B"]
    assert names(gradcheck_loss(by_list, [A, B], x)) == ["weights[0]", "weights[1]"]
    assert gradcheck_loss(spread, [A, B], x)
    assert gradcheck_loss(named, {"A": A, "B": B}, x)


@pytest.mark.parametrize("f, words", [
    (lambda w: 1.0, r"expected \(loss, gradients\), got float"), (lambda w: (w, w), "expected one number as the loss"),
    (lambda w, a, b, c: None, r"it takes \(w, a, b, c\)"),
])
def test_a_loss_that_cannot_be_checked(f, words, x):
    with pytest.raises(TypeError, match=words):
        gradcheck_loss(f, x)
    with pytest.raises(TypeError, match="expected floating arrays as weights"):
        gradcheck_loss(f, [1, 2])


# ---- layers

class PlainDense(Layer):
    """A Layer whose weights are plain arrays."""

    factor = 1.0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.W, self.b = (a.astype(np.float32) for a in arrays((D, H), H))

    def forward(self, x):
        self.cache = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.factor * (self.cache.T @ dy), dy.sum(axis=0)
        return dy @ self.W.T


def test_plain_arrays_of_a_layer(x):
    layer = PlainDense(name="plain")
    W = layer.W
    report = gradcheck(layer, x)
    assert names(report) == ["x", "plain/W", "plain/b"] and layer.W is W and W.dtype == np.float32
    layer.factor = 17
    assert wrong(gradcheck(layer, x, raise_error=False)) == ["plain/W"]


def test_plain_arrays_inside_a_model(x):
    report = gradcheck(models.Sequential([PlainDense(name="plain"), layers.Dense(2, name="dense")]), x)
    assert sorted(names(report)[1:]) == ["dense/bias", "dense/kernel", "plain/W", "plain/b"]


def test_attributes_that_are_the_arrays_of_weights(x):
    class Aliases(Layer):
        def build(self, shape):
            kernel = self.add_weight((shape[-1], 2), name="kernel")
            self.W, self.dW = kernel.value, kernel.grad

        def forward(self, x):
            self.cache = x
            return x @ self.W

        def backward(self, dy):
            self.dW += self.cache.T @ dy
            return dy @ self.W.T
    layer = Aliases(name="aliases")
    report = gradcheck(layer, x)
    assert names(report) == ["x", "aliases/kernel"] and not report.notes
    assert layer.W is layer.weights[0].value and layer.dW is layer.weights[0].grad and layer.W.dtype == np.float32


def test_a_plain_array_without_gradient_is_named(x):
    class Positions(Layer):
        def __init__(self):
            super().__init__()
            self.table = arrays((N, D))[0]
            self.running_mean = np.ones(D)

        def forward(self, x):
            return x + self.table - self.running_mean

        def backward(self, dy):
            return dy
    report = gradcheck(Positions(), x)
    assert [note for note in report.notes if "not checked: self.table, on which y depends" in note]


class State:
    def __init__(self):
        self.n, self.me, self.items, self.queue, self.unique = 0, self, [0], collections.deque([1]), {1}
        self.rest = types.SimpleNamespace(total=np.zeros(2))


def test_state_in_plain_objects_is_put_back(x):
    class Counting(Layer):
        def __init__(self):
            super().__init__()
            self.state = State()

        def forward(self, x):
            state = self.state
            state.n += 1
            state.items.append(state.n)
            state.queue.append(2)
            state.unique.add(state.n + 1)
            state.rest.total += 1
            state.new = x
            return x * (state.n + len(state.items) + len(state.queue) + len(state.unique) + state.rest.total[0])

        def backward(self, dy):
            state = self.state
            return dy * (state.n + len(state.items) + len(state.queue) + len(state.unique) + state.rest.total[0])
    layer = Counting()
    assert gradcheck(layer, x)
    assert layer.state.n == 0 and layer.state.items == [0] and list(layer.state.queue) == [1] and layer.state.unique == {1}
    assert not layer.state.rest.total.any() and not hasattr(layer.state, "new")


def test_remember_long_chains_and_slots():
    class Node:
        __slots__ = ("__hidden", "next", "value")

        def __init__(self, value, after):
            self.value, self.next, self.__hidden = value, after, value

        def change(self):
            self.value = self.__hidden = -1
            del self.next
    first = None
    for k in range(5000):
        first = Node(k, first)
    second = first.next
    put_back = remember(first)
    first.change()
    second.value = 7
    put_back()
    assert (first.value, first.next.value) == (4999, 4998) and first.next is second


@pytest.mark.parametrize("text", ["W", "layer1.W", "params['W1']", "weights[0]", "a[-1].b", "parameters()[0].data"])
def test_places(text):
    assert str(at(None, text)) == text


# ---- the other input

def other_of(layer, *inputs, **kwargs):
    subject = Subject(layer, inputs, kwargs)
    with subject.in_float64(np.random.default_rng(0)):
        return subject, [leaf.copy() for leaf in subject.other], subject.other_kwargs


def test_the_other_input_is_truly_other(x):
    class Any(Layer):
        integer_inputs = True

        def forward(self, x, ids, mask=None):
            return x * (ids[:, None] >= 0)

        def backward(self, dy):
            return [dy, None]
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]], bool)
    subject, (values, ids), named = other_of(Any(), x, np.array([1, 2, 2]), mask=mask)
    assert (np.sign(values) != np.sign(x)).any() and sorted(values.flat) == sorted(x.flat)
    assert not np.array_equal(ids, [1, 2, 2]) and sorted(ids) == [1, 2, 2]
    assert not np.array_equal(named["mask"], mask) and named["mask"].any(axis=1).all()
    assert not np.array_equal(np.argmax(values, axis=1), np.argmax(subject.leaves[0], axis=1))
    _, _, named = other_of(Any(), x, np.array([1, 1, 1]), mask=np.ones((N, D), bool))
    assert not named["mask"].all() and named["mask"].any(axis=1).all()


def test_the_other_input_stays_where_forward_works(x):
    def positive(x):
        if (x <= 0).any():
            raise ValueError("positive numbers, please")
        return np.log(x)
    subject, (values,), _ = other_of(layers.Lambda(positive), np.abs(x))
    assert (values > 0).all() and not np.allclose(values, subject.leaves[0])


def test_other_masks_and_weights_are_used(x):
    seen = []

    class Watching(Layer):
        def build(self, shape):
            self.W = self.add_weight(shape[-1:], name="W")

        def forward(self, x, mask=None):
            seen.append((mask.copy(), self.W.value.copy()))
            return x * self.W.value * mask[:, None]

        def backward(self, dy):
            return dy
    mask = np.array([True, True, False])
    subject = Subject(Watching(), [x], {"mask": mask})
    with subject.in_float64(np.random.default_rng(0)):
        seen.clear()
        subject.forward()
        subject.other_weights()
        subject.forward(subject.other)
        subject.restore()
        subject.forward()
    (first, W), (other, moved), (last, again) = seen
    assert list(first) == [True, True, False] == list(last) and list(other) == [False, True, True]
    assert np.array_equal(W, again) and not np.isclose(W, moved).any()


def test_fewer_steps_and_samples(rng):
    mask = np.ones((3, 5), bool)
    subject = Subject(layers.LSTM(2), [rng.normal(size=(3, 5, 2))], {"mask": mask, "initial_state": [np.ones((3, 2))] * 2})
    with subject.in_float64(rng):
        steps, samples = subject.with_steps(2), subject.with_samples(1)
        assert steps.leaves[0].shape == (3, 2, 2) and steps.kwargs["mask"].shape == (3, 2) and steps.leaves[1].shape == (3, 2)
        assert [leaf.shape[0] for leaf in samples.leaves] == [1, 1, 1] and samples.kwargs["mask"].shape == (1, 5)
        assert steps.forward()[0].shape == (3, 2) and samples.forward(samples.other)[0].shape == (1, 2)
        assert subject.with_steps(5) is None and subject.with_samples(3) is None


# ---- options and errors

def test_no_gradient(x):
    def f(x, y):
        return x * y
    assert gradcheck_function(f, lambda x, y, dy: (dy * y, None), x, x + 1, no_gradient=("y",))
    assert not gradcheck_function(f, lambda x, y, dy: (dy * y, None), x, x + 1, raise_error=False)

    class First(Affine):
        def backward(self, dout):
            super().backward(dout)
    assert gradcheck_object(First(), x, no_gradient="x")


def test_options_are_those_of_gradcheck_everywhere(x):
    W, b = arrays((D, H), H)
    ones = np.ones((N, H))
    report = gradcheck_pair(affine_forward, affine_backward, x, W, b, dy=ones, max_coordinates=3)
    assert [t.checked for t in report.tensors] == [3, 3, 3]
    assert report.tensors[2].analytic == pytest.approx(N)                           # the sum of dy
    assert names(gradcheck_object(Affine(), x, no_gradient=("W",))) == ["x", "b"]
    assert str(gradcheck_object(Affine(), x, seed=3)) == str(gradcheck_object(Affine(), x, seed=3))
    assert str(gradcheck_object(Affine(), x, seed=3)) != str(gradcheck_object(Affine(), x))


def test_the_contract_may_be_looser(x):
    class Pops(Affine):
        def __init__(self):
            super().__init__()
            self.stack = []

        def forward(self, x):
            self.stack.append(x)
            return super().forward(x)

        def backward(self, dout):
            self.x = self.stack.pop()
            dx = super().backward(dout)
            dout *= 0
            return dx
    assert not gradcheck_object(Pops(), x, raise_error=False)
    report = gradcheck_object(Pops(), x, contract=False)
    assert any("changes dy in place" in note for note in report.notes)


def test_input_gradient_is_not_needed(x):
    class First(Layer):
        def build(self, shape):
            self.W = self.add_weight((shape[-1], 2), name="W")

        def forward(self, x):
            self.cache = x
            return x @ self.W.value

        def backward(self, dy):
            self.W.grad += self.cache.T @ dy
    layer = First()
    assert not gradcheck(layer, x, raise_error=False)
    layer.input_gradient = False
    assert gradcheck(layer, x) and layer.input_gradient is False


@pytest.mark.parametrize("returned, words", [
    (lambda x: None, "expected forward to return an array, got None: is `return y` missing"),
    (lambda x: "y", "expected forward to return an array of real numbers, got 'y'"),
    (lambda x: {"y": x}, "got a dictionary with the keys 'y'"),
    (lambda x: (x, {"x": x}), r"what looks like \(y, cache\).*gradcheck_pair"),
    (lambda x: (2 * x, (x, 3 * x)), r"what looks like \(y, cache\).*gradcheck_pair"),
    (lambda x: x * 1j, "got complex numbers"),
    (lambda x: [], "got an empty list"),
])
def test_forward_returns_something_else(returned, words, x):
    class Odd(Layer):
        def forward(self, x):
            return returned(x)

        def backward(self, dy):
            return dy
    with pytest.raises(TypeError, match=f"gradcheck of Odd '.*': .*{words}"):
        gradcheck(Odd(), x)


def test_arguments_that_forward_does_not_take(x):
    W, b = arrays((D, H), H)
    with pytest.raises(TypeError, match=r"gradcheck of Affine: its forward takes \(x\), got 0 inputs: missing .*'x'"):
        gradcheck_object(Affine())
    with pytest.raises(TypeError, match=r"gradcheck of affine_forward: its forward takes \(x, w, b\), got 2 inputs"):
        gradcheck_pair(affine_forward, affine_backward, x, W)
    with pytest.raises(TypeError, match=r"got 2 inputs and c by name"):
        gradcheck_pair(affine_forward, affine_backward, x, W, c=b)
    with pytest.raises(TypeError, match=r"gradcheck of PlainDense '.*': its forward takes \(x\), got 2 inputs: too many"):
        gradcheck(PlainDense(), x, x)


def test_a_layer_that_gives_one_number(x):
    class Sum(Layer):
        def forward(self, x):
            self.cache = x
            return float((x ** 2).sum())

        def backward(self, dy):
            return 2 * self.cache * dy
    assert gradcheck(Sum(), x)
    assert assert_gradients(np.tanh, lambda dy, x: dy / np.cosh(x) ** 2, x) is None


@pytest.mark.parametrize("given, words", [
    ([[1.0, 2.0], [3.0]], "a list of rows of equal length, as inputs, got a ragged list"),
    (np.ones(3) * 1j, "an array of real numbers as inputs, got an array of complex128"),
])
def test_inputs_that_are_no_arrays(given, words):
    with pytest.raises(TypeError, match=words):
        gradcheck(layers.Dense(2), given)


def test_what_is_no_layer_is_told_where_to_go(x):
    with pytest.raises(TypeError, match=r"got Affine; for other code there is nblayers.gradient_check.gradcheck_object"):
        gradcheck(Affine(), x)
    with pytest.raises(TypeError, match="gradcheck_pair"):
        gradcheck(affine_forward, x)


@pytest.mark.parametrize("option", [{"max_coordinates": 0}, {"rtol": np.nan}, {"atol": np.nan}, {"step": np.nan}, {"step": 0},
                                    {"step": -1e-5}, {"seconds": 0}])
def test_options_out_of_range(option, x):
    for check in (lambda: gradcheck(layers.Dense(2), x, **option), lambda: gradcheck_object(Affine(), x, **option),
                  lambda: gradcheck_pair(affine_forward, affine_backward, x, *arrays((D, H), H), **option)):
        with pytest.raises(ValueError, match=next(iter(option))):
            check()


def test_assert_gradients(x):
    W, b = arrays((D, H), H)
    assert assert_gradients(layers.Dense(2), x) is None
    assert assert_gradients(Affine(), x, params={"W": "dW"}) is None
    assert assert_gradients(affine_forward, affine_backward, x, W, b) is None
    with pytest.raises(AssertionError, match="twice") as caught:
        assert_gradients(affine_forward, affine_backward_wrong, x, W, b)
    assert isinstance(caught.value, GradientCheckError) and not caught.value.report


# ---- what the library has besides its layers

def test_modules_of_nn(x):
    assert gradcheck(models.Sequential([nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 2)]), x)
    assert gradcheck(nn.LSTM(D, 2, batch_first=True), x[None])


def test_a_functional_model(x):
    from nblayers import Input, Model
    a, b = Input((D,)), Input((D,))
    h = layers.Dense(3, activation="tanh")(layers.Concatenate()([a, b]))
    model = Model([a, b], [h, layers.Dense(2)(layers.Add()([h, layers.Dense(3)(a)]))])
    report = gradcheck(model, [x, 2 * x])
    assert len(report.tensors) == 2 + 6 and all(t.checked for t in report.tensors)
