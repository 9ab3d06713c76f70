"""The gradient check on wrong layers as people write them: pairs with a cache, objects with dW, losses, functions of a step."""
import re

import numpy as np
import pytest

from nblayers import gradcheck
from nblayers.gradient_check import gradcheck_function, gradcheck_loss, gradcheck_object, gradcheck_pair
from nblayers.gradient_check.words import times
from nblayers.layers import Layer

pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")]


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def affine(x, w):
    return x @ w, (x, w)


def affine_with(of_x=lambda dx: dx, of_w=lambda dw: dw, of_dy=lambda dy: dy):
    """The backward of `affine` with something done to what it computes."""
    def affine_backward(dy, cache):
        x, w = cache
        dy = of_dy(dy)
        return of_x(dy @ w.T), of_w(x.T @ dy)
    return affine_backward


def check_affine(**wrong):
    return gradcheck_pair(affine, affine_with(**wrong), normal(3, 4), normal(4, 5), raise_error=False)


def bound_both(dy, cache):
    x, w = cache
    gradients = dy @ w.T, x.T @ dy
    norm = np.sqrt(sum((g ** 2).sum() for g in gradients))
    return [g * min(1, 5 / norm) for g in gradients]


def check_both_bound():
    return gradcheck_pair(affine, bound_both, normal(3, 4), normal(4, 5), raise_error=False)


def rnn(x, w, u):
    h = [np.zeros((len(x), len(u)))]
    for t in range(x.shape[1]):
        h.append(np.tanh(x[:, t] @ w + h[-1] @ u))
    return np.stack(h[1:], axis=1), (x, w, u, h)


def rnn_backward(dy, cache, held=lambda da: da):
    x, w, u, h = cache
    dx, dw, du, dh = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), 0
    for t in reversed(range(x.shape[1])):
        da = held((dy[:, t] + dh) * (1 - h[t + 1] ** 2))
        dw += x[:, t].T @ da
        du += h[t].T @ da
        dx[:, t] = da @ w.T
        dh = da @ u.T
    return dx, dw, du


def check_rnn(held):
    def backward(dy, cache):
        return rnn_backward(dy, cache, held)
    return gradcheck_pair(rnn, backward, normal(2, 3, 4), normal(4, 5), normal(5, 5), raise_error=False)


def relu(x):
    return np.maximum(x, 0), x


def check_relu_that_masks_dy():
    return gradcheck_pair(relu, lambda dy, x: dy * (dy > 0), normal(3, 5), raise_error=False)


def conv(x, w, pad):
    n, _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.empty((n, len(w), height, width))
    for i in range(height):
        for j in range(width):
            y[:, :, i, j] = np.tensordot(padded[:, :, i:i + 3, j:j + 3], w, ((1, 2, 3), (1, 2, 3)))
    return y, (padded, w, pad)


def conv_backward(dy, cache, is_cropped=True, adds=True):
    padded, w, pad = cache
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    height, width = dy.shape[2:]
    for i in range(height):
        for j in range(width):
            window = slice(None), slice(None), slice(i, i + 3), slice(j, j + 3)
            dw += np.tensordot(dy[:, :, i, j], padded[window], ((0,), (0,)))
            share = np.tensordot(dy[:, :, i, j], w, ((1,), (0,)))
            dpadded[window] = share + (dpadded[window] if adds else 0)
    first = pad if is_cropped else 0
    return dpadded[:, :, first:first + height, first:first + width], dw


def check_conv(**wrong):
    def backward(dy, cache):
        return conv_backward(dy, cache, **wrong)
    return gradcheck_pair(conv, backward, normal(2, 2, 4, 4), normal(2, 2, 3, 3), 1, raise_error=False)


def svm_loss(w, X, targets, reg, data=1.0, penalty=2.0):
    scores, rows = X @ w, np.arange(len(X))
    margins = np.maximum(0, scores - scores[rows, targets][:, None] + 1)
    margins[rows, targets] = 0
    share = (margins > 0) * 1.0
    share[rows, targets] -= share.sum(axis=1)
    return margins.sum() / len(X) + reg * (w * w).sum(), data * X.T @ share / len(X) + penalty * reg * w


def check_svm(**wrong):
    def svm(w, X, targets, reg):
        return svm_loss(w, X, targets, reg, **wrong)
    return gradcheck_loss(svm, normal(4, 3), normal(5, 4), np.array([0, 1, 2, 1, 0]), 0.1, raise_error=False)


def check_logistic():
    def logistic(w, X, y):
        return (np.logaddexp(0, X @ w) - y * (X @ w)).mean(), X.T @ (sigmoid(X @ w) - y)
    return gradcheck_loss(logistic, normal(4), normal(7, 4), np.array([0.0, 1, 1, 0, 1, 0, 1]), raise_error=False)


def char_rnn(weights, inputs, targets, carries=True, bound=np.inf):
    Wxh, Whh, Why = weights
    h, p, loss = {-1: np.zeros((len(Whh), 1))}, {}, 0.0
    for t, (i, target) in enumerate(zip(inputs, targets, strict=True)):
        h[t] = np.tanh(Wxh[:, [i]] + Whh @ h[t - 1])
        p[t] = np.exp(Why @ h[t])
        p[t] /= p[t].sum()
        loss -= np.log(p[t][target, 0])
    dWxh, dWhh, dWhy, carry = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why), 0
    for t in reversed(range(len(inputs))):
        dy = p[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ h[t].T
        da = (1 - h[t] ** 2) * (Why.T @ dy + (carry if carries else 0))
        dWxh[:, [inputs[t]]] += da
        dWhh += da @ h[t - 1].T
        carry = Whh.T @ da
    return loss, [np.clip(d, -bound, bound) for d in (dWxh, dWhh, dWhy)]


def check_char_rnn(**wrong):
    def loss_function(weights, inputs, targets):
        return char_rnn(weights, inputs, targets, **wrong)
    weights = [normal(5, 6), normal(5, 5), normal(6, 5)]
    return gradcheck_loss(loss_function, weights, [0, 3, 2, 5], [3, 2, 5, 1], raise_error=False)


def check_broadcast():
    return gradcheck_pair(lambda a, b: (a + b, None), lambda dy, cache: (dy, dy), normal(3, 4), normal(4), raise_error=False)


def check_softmax(**options):
    def softmax(x):
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        return p, p

    def mean_for_sum(dy, p):
        return p * (dy - dy.mean(axis=1, keepdims=True))
    return gradcheck_pair(softmax, mean_for_sum, normal(3, 4), raise_error=False, **options)


class Linear:
    def __init__(self):
        self.W, self.dW = normal(4, 5), np.zeros((4, 5))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


class Momentum(Linear):
    def backward(self, dy):
        self.dW = 0.9 * self.dW + self.x.T @ dy
        return dy @ self.W.T


class Unread(Linear):
    """U has a gradient, and forward leaves it out."""

    def __init__(self):
        super().__init__()
        self.U, self.dU = normal(5, 5), np.zeros((5, 5))

    def backward(self, dy):
        self.dU = self.forward(self.x).T @ dy
        return super().backward(dy)


class StepFirst(Linear):
    def backward(self, dy, lr):
        self.W -= lr * self.x.T @ dy
        return dy @ self.W.T


class FirstMask:
    """A mask that is made in the first call and kept."""

    def __init__(self):
        self.mask, self.rng = None, np.random.default_rng(0)

    def forward(self, x):
        mask = 2.0 * (self.rng.random(x.shape) < 0.5)
        if self.mask is None:
            self.mask = mask
        return x * mask

    def backward(self, dy):
        return dy * self.mask


class Adam(Linear):
    """Arrays that belong to no weight's gradient, though some of them are named like that."""

    def __init__(self):
        super().__init__()
        self.params, self.grads = {"W": self.W}, {"W": self.dW}
        self.m, self.v = {"W": np.zeros((4, 5))}, {"W": np.zeros((4, 5))}

    def backward(self, dy):
        self.grads["W"] = self.x.T @ dy
        return dy @ self.W.T


def check_object(make):
    return gradcheck_object(make(), normal(3, 4), raise_error=False)


@pytest.mark.parametrize("check, kind, tensor, words", [
    (lambda: check_affine(of_dy=lambda dy: np.clip(dy, -1, 1)), "clipped", "", "elements are 1 or -1"),
    (lambda: check_affine(of_dy=lambda dy: np.clip(dy, -1, 1)), "clipped", "x", "right for a dy a thousandth as large"),
    (lambda: check_affine(of_dy=lambda dy: dy * min(1, 2 / np.linalg.norm(dy))), "clipped", "", "a dy whose norm is 2"),
    (lambda: check_affine(of_x=lambda dx: np.clip(dx, -0.5, 0.5)), "clipped", "", "no element passes 0.5 or -0.5"),
    (lambda: check_affine(of_x=lambda dx: dx / np.linalg.norm(dx)), "clipped", "", "norm of the gradient of x stays 1"),
    (check_both_bound, "clipped", "", "the norm of all together stays 5"),
    (lambda: check_rnn(lambda da: np.clip(da, -0.5, 0.5)), "clipped", "", "x, w, u stops growing"),
    (lambda: check_affine(of_w=lambda dw: 2 / 3 * dw), "factor", "w", r"2/3 \(0.6666667\) times"),
    (lambda: check_affine(of_x=lambda dx: dx / 2 ** 0.5), "factor", "x", r"1/sqrt\(2\) \(0.7071068\) times"),
    (lambda: check_affine(of_x=lambda dx: dx / 3), "factor", "x", r"0.3333333 times .*1/3, the batch size"),
    (check_relu_that_masks_dy, "not_linear", "", "elements of dy below 0 have no effect"),
    (lambda: check_conv(is_cropped=False), "rolled", "x", "moved by 1 along axis 2 and axis 3"),
    (lambda: check_conv(adds=False), "overwritten", "x", "only one contribution"),
    (lambda: check_svm(data=5.0), "decay", "w", r"5 times .* \(5 is the size of axis 0 of argument X.*less 0.8 times w itself"),
    (lambda: check_svm(penalty=1.0), "decay", "w", "less 0.1 times w itself"),
    (check_logistic, "factor", "w", "7 times .*axis 0 of argument X"),
    (lambda: check_char_rnn(bound=0.5), "clipped", "weights[1]", "larger than 0.5 or less than -0.5"),
    (lambda: check_char_rnn(carries=False), "way_through", "weights[0]", r"right once weights\[1\] is zero"),
    (check_broadcast, "shape", "b", "a sum over the batch is missing"),
    (check_softmax, "place", "x", "a multiple of y along axis 1"),
    (lambda: check_object(Momentum), "single_use", "", "in dW .* but 1.9 times it"),
    (lambda: check_object(Unread), "extra", "U", "should be zero: y does not depend on it"),
    (lambda: check_object(StepFirst), "not_linear", "x", "right with a learning rate near zero"),
    (lambda: check_object(FirstMask), "stale", "", "self.mask"),
])
def test_the_mistake_is_named(check, kind, tensor, words):
    report = check()
    found = [finding for finding in report.findings if (finding.kind, finding.tensor) == (kind, tensor)]
    assert len(found) == 1, report
    assert re.search(words, found[0].text), report


@pytest.mark.parametrize("check", [
    check_affine, check_conv, check_svm, check_char_rnn, lambda: check_rnn(lambda da: da), lambda: check_object(Linear),
    lambda: check_object(Adam)])
def test_what_is_right_passes(check):
    report = check()
    assert report and all(tensor.checked for tensor in report.tensors)


def test_both_mistakes_of_one_backward_are_told():
    class Minus(Layer):
        def build(self, shape):
            self.W = self.add_weight((shape[-1], 5), name="W")

        def forward(self, x):
            self.cache = x
            return -x @ self.W.value

        def backward(self, dy):
            dy *= -1
            self.W.grad = self.cache.T @ dy
            return dy @ self.W.value.T
    assert {f.kind for f in gradcheck(Minus(), normal(3, 4), raise_error=False).findings} == {"changes_dy", "replaces_grad"}


def test_with_a_dy_given_the_note_blames_what_is_to_blame():
    report = check_softmax(dy=np.ones((3, 4)))
    assert not report and any("with a random dy; with the one given" in note for note in report.notes)
    report = gradcheck_pair(relu, lambda dy, x: dy, np.array([[1.0, 2.0, 3.0, 4.0]]), dy=np.ones((1, 4)), raise_error=False)
    assert report and any("with the other sign the gradient of x is wrong" in note for note in report.notes)


def test_inputs_of_one_sign_hide_no_stale_mask():
    class Relu(Layer):
        def forward(self, x):
            if not hasattr(self, "mask"):
                self.mask = x > 0
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * self.mask
    report = gradcheck(Relu(), np.abs(normal(3, 4)) + 0.1, raise_error=False)
    assert [finding.kind for finding in report.findings] == ["stale"]


def test_an_unread_weight_is_listed():
    class Idle(Unread):
        def backward(self, dy):
            return Linear.backward(self, dy)
    report = check_object(Idle)
    assert report and [tensor.name for tensor in report.tensors] == ["x", "W", "U"]
    assert any("y does not depend on U" in note for note in report.notes)


@pytest.mark.parametrize("check, words", [
    (lambda: gradcheck_pair(affine, affine_with(), normal(3, 4), normal(3, 5)),
     r"gradcheck of affine and affine_backward: its forward fails .* x \(3, 4\), w \(3, 5\): ValueError: matmul"),
    (lambda: gradcheck_pair(affine, lambda dy, cache: (dy @ cache[1], None), normal(3, 4), normal(4, 5)),
     r"its backward fails .* dy \(3, 5\), x \(3, 4\), w \(4, 5\)"),
    (lambda: gradcheck_function(np.dot, lambda x, w, dy: (dy @ w.T, x.T @ dy), normal(3, 4), normal(3, 5)),
     r"gradcheck of dot: its forward fails .*\(3, 4\).*\(3, 5\)"),
    (lambda: gradcheck_object(Linear(), normal(3, 2)), r"gradcheck of Linear: its forward fails .* x \(3, 2\)"),
    (lambda: gradcheck_loss(lambda w, X: (np.sum(X @ w), X.T), normal(4), normal(3, 2)), r"its forward fails .* w \(4,\)"),
])
def test_shapes_that_do_not_fit_are_told(check, words):
    with pytest.raises(ValueError, match=words):
        check()


@pytest.mark.parametrize("factor, words", [
    (2 / 3, "2/3 (0.6666667) times what it should be"), (3 / 7, "3/7 (0.4285714) times what it should be"),
    (-1 / 9, "the sign is flipped and the size is 1/9 (0.1111111) times what it should be"),
    (12 ** -0.5, "1/sqrt(12) (0.2886751) times what it should be"), (3 ** 0.5, "sqrt(3) (1.732051) times what it should be"),
    (0.7, "0.7 times what it should be"), (1.25, "1.25 times what it should be"), (0.5, "half as large as it should be"),
    (0.66667, "0.66667 times what it should be"), (-1, "the sign is flipped")])
def test_factors_in_words(factor, words):
    assert times(factor) == words
