"""The gradient checker: correct layers pass, every planted mistake is found and named, the layer is left as it was."""
import random

import numpy as np
import pytest

from nblayers import gradcheck, layers, models
from nblayers.gradient_check import GradientCheckError, gradcheck_function
from nblayers.gradient_check.diagnosis import NO_PATTERN
from nblayers.gradient_check.subject import FunctionPair
from nblayers.layers import Layer

B, T, D, H = 3, 4, 5, 5


class Tanh(Layer):
    """y = tanh(x W + b) of (B, D), correct; the planted mistakes are made in subclasses."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], H), name="W")
        self.b = self.add_weight((H,), "zeros", name="b")

    def forward(self, x):
        y = np.tanh(x @ self.W.value + self.b.value)
        self.cache = x, y
        return y

    def gradients(self, dy):
        x, y = self.cache
        da = dy * (1 - y ** 2)
        return da @ self.W.value.T, x.T @ da, da.sum(0)

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        self.W.grad += dW
        self.b.grad += db
        return dx


class Recurrent(Layer):
    """h_t = tanh(x_t W + h_{t-1} U) of (B, T, D); gives all h and the last one."""

    carry = 1.0
    slope = staticmethod(lambda h: 1 - h ** 2)

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x, initial_state=None):
        h = [np.zeros((len(x), H), x.dtype) if initial_state is None else initial_state]
        for t in range(x.shape[1]):
            h.append(np.tanh(x[:, t] @ self.W.value + h[-1] @ self.U.value))
        self.cache = x, h, initial_state is not None
        return [np.stack(h[1:], axis=1), h[-1]]

    def backward(self, dy):
        x, h, with_state = self.cache
        dh_all, dh = dy[0], dy[1].copy()
        dx = np.empty_like(x)
        for t in reversed(range(x.shape[1])):
            da = (dh_all[:, t] + dh) * self.slope(h[t + 1])
            dx[:, t] = da @ self.W.value.T
            self.W.grad += x[:, t].T @ da
            self.U.grad += h[t].T @ da
            dh = self.carry * da @ self.U.value.T
        return [dx, dh] if with_state else dx


@pytest.fixture
def x(rng):
    return rng.normal(size=(B, D))


@pytest.fixture
def sequence(rng):
    return rng.normal(size=(B, T, D))


def findings(layer, *inputs, **options):
    report = gradcheck(layer, *inputs, raise_error=False, **options)
    assert not report.passed and not report
    return report


def of(report, name):
    return next(tensor for tensor in report.tensors if tensor.name.split("/")[-1] == name)


def test_a_correct_layer_passes(x):
    report = gradcheck(Tanh(), x)
    assert report and report.passed
    assert [(t.name, t.shape, t.checked) for t in report.tensors] == [
        ("x", (B, D), B * D), ("tanh/W", (D, H), D * H), ("tanh/b", (H,), H)]
    assert all(t.relative_error < 1e-7 for t in report.tensors)
    assert "passed" in str(report) and "15 of 15 checked" in str(report)


def test_recurrent_layer_with_states_passes(sequence, rng):
    report = gradcheck(Recurrent(), sequence, initial_state=rng.normal(size=(B, H)))
    assert [t.name for t in report.tensors] == ["x", "initial_state", "recurrent/W", "recurrent/U"]


def test_arrays_of_any_kind_are_taken(x):
    for given in (x.astype(np.float32), x.tolist(), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        assert gradcheck(Tanh(), given)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4)])
def test_batch_of_one(shape, rng):
    assert gradcheck(Tanh(), rng.normal(size=shape))


def test_lists_of_inputs_and_integers(x):
    class Take(Layer):
        integer_inputs = True

        def forward(self, inputs, scale=None):
            a, index = inputs
            self.cache = a, index, scale
            return a[index] * scale

        def backward(self, dy):
            a, index, scale = self.cache
            da = np.zeros_like(a)
            np.add.at(da, index, dy * scale)
            return [da, None, (dy * a[index]).sum(keepdims=True)[0]]

    report = gradcheck(Take(), [x, np.array([2, 0, 2])], scale=np.array([1.5]))
    assert [t.name for t in report.tensors] == ["inputs[0]", "scale"]


def test_an_integer_input_has_no_gradient():
    class Wrong(Layer):
        integer_inputs = True

        def forward(self, ids):
            return ids * 1.0

        def backward(self, dy):
            return dy

    assert "integer" in of(findings(Wrong(), np.array([[1, 2]])), "ids").problem


def test_function_pairs(x):
    assert gradcheck_function(lambda x: x ** 3, lambda x, dy: 3 * x ** 2 * dy, x)
    assert gradcheck_function(lambda a, b: a @ b.T, lambda a, b, dy: [dy @ b, dy.T @ a], x, 2 * x)
    with pytest.raises(GradientCheckError, match="half as large"):
        gradcheck_function(lambda x: x ** 2, lambda x, dy: x * dy, x)
    assert gradcheck_function(lambda p: (p ** 2).mean(), lambda p, dy: 2 * p / p.size * dy, x)


def test_what_works_in_place_cannot_mislead(x):
    """Each call is handed arrays of its own, so that a layer may keep them, and what one changes no other sees."""
    class Remembering(Layer):
        """Knows the array that it was given last, and computes only once for it."""

        def forward(self, x, mask=None):
            if getattr(self, "last", None) is not x:
                self.last, self.y = x, x ** 2 * mask
            mask[...] = False                           # what came in is not needed any more
            self.cache = x
            return self.y

        def backward(self, dy):
            return 2 * self.cache * dy * (self.y != 0)

    mask = np.arange(x.size).reshape(x.shape) % 3 > 0
    kept = mask.copy()
    assert gradcheck(Remembering(), x, mask=mask)
    np.testing.assert_array_equal(mask, kept)

    def square(x):
        return np.multiply(x, x, out=x)

    with pytest.raises(GradientCheckError, match=r"forward changes the input '.*' in place"):
        gradcheck_function(square, lambda x, dy: 2 * x * dy, x)


def test_activity_regularizer_and_added_losses(x):
    class Penalised(Tanh):
        forgets = False

        def forward(self, x):
            self.add_loss(float((x ** 2).sum()))
            return super().forward(x)

        def backward(self, dy):
            return super().backward(dy) + (0 if self.forgets else 2 * self.cache[0])

    assert gradcheck(Penalised(activity_regularizer="l2"), x)
    layer = Penalised()
    layer.forgets = True
    assert "penalties" in of(findings(layer, x), "x").problem


def test_large_tensors_are_sampled(rng):
    report = gradcheck(Tanh(), rng.normal(size=(2, 60)), max_coordinates=37)
    assert [t.checked for t in report.tensors] == [37, 37, H]


def test_not_a_layer():
    with pytest.raises(TypeError, match="expected a Layer, got function"):
        gradcheck(lambda x: x, np.ones(3))


@pytest.mark.parametrize("inputs", [(), ("text",), (None,)])
def test_arrays_to_build_the_layer_for_are_wanted(inputs):
    with pytest.raises(TypeError, match="gradcheck of Dense 'd': expected the arrays that its forward takes, got "):
        gradcheck(layers.Dense(2, name="d"), *inputs)


def relu(slope_at_zero=0.0, factor=1.0):
    return lambda x: np.maximum(x, 0), lambda x, dy: factor * dy * np.where(x == 0, slope_at_zero, x > 0)


@pytest.mark.parametrize("slope", [0.0, 1.0, 0.3])
def test_a_kink_is_listed_and_not_failed(slope):
    report = gradcheck_function(*relu(slope), np.array([[-1.0, 0.0, 2.0, 1e-13]]))
    assert (0, 1) in report.tensors[0].kinks and "kink" in str(report)


@pytest.mark.parametrize("distance", [1e-6, 3e-6, 6e-6, 9e-6])
def test_near_a_kink_the_derivative_is_still_found(distance):
    x = np.array([[-1.0, distance, -distance]])
    report = gradcheck_function(*relu(), x)
    assert report.tensors[0].checked == 3 and not report.tensors[0].kinks
    assert not gradcheck_function(*relu(factor=1.001), x, raise_error=False)


def test_a_tie_in_a_maximum_is_a_kink():
    def gradient(x, dy):
        return dy[:, None] * (np.arange(3) == x.argmax(1)[:, None])
    report = gradcheck_function(lambda x: x.max(axis=1), gradient, np.array([[1.0, 3.0, 3.0], [1.0, 2.0, 3.0]]))
    assert report.tensors[0].kinks == [(0, 1), (0, 2)] and report.tensors[0].checked == 4


def test_nothing_but_kinks_is_no_pass():
    with pytest.raises(GradientCheckError, match="every coordinate checked lies at a kink"):
        x = np.array([[0.5, -0.3], [1.0, 2.0]])
        gradcheck_function(lambda a: np.maximum(a - x, 0), lambda a, dy: dy * (a > x), x)


def test_a_mistake_elsewhere_is_found_beside_kinks():
    report = gradcheck_function(*relu(factor=2), np.array([[0.0, 1.0, 2.0]]), raise_error=False)
    assert "twice" in report.tensors[0].problem and report.tensors[0].kinks == [(0, 0)]


def planted(**changes):
    """A Tanh layer with gradients (dx, dW, db) changed by functions of the same names."""
    class Planted(Tanh):
        def gradients(self, dy):
            found = dict(zip(("dx", "dW", "db"), super().gradients(dy), strict=True))
            return [changes.get(name, lambda g: g)(g) for name, g in found.items()]
    return Planted()


@pytest.mark.parametrize("change, words", [
    (lambda g: 2 * g, "twice as large as it should be"),
    (lambda g: g / 2, "half as large as it should be"),
    (lambda g: -g, "the sign is flipped"),
    (lambda g: -2 * g, "the sign is flipped and twice as large"),
    (lambda g: 1.7 * g, "1.7 times what it should be"),
    (lambda g: g * (1 + 1e-4), r"1\.0001 times"),
    (lambda g: g * (1 + 3e-6), r"1\.000003 times"),
    (lambda g: g / B, "1/3, the batch size: divided by it?"),
    (lambda g: g * B, "3 is the batch size: summed over it once too often?"),
    (lambda g: 0 * g, "all zeros"),
    (lambda g: g * np.nan, "NaN or infinity, first at"),
    (lambda g: g + 1e-4, "15 of|25 of|5 of"),
])
@pytest.mark.parametrize("name, tensor", [("dx", "x"), ("dW", "W"), ("db", "b")])
def test_wrong_numbers(change, words, name, tensor, x):
    with pytest.raises(GradientCheckError, match=words) as caught:
        gradcheck(planted(**{name: change}), x)
    assert [t.name.split("/")[-1] for t in caught.value.report.tensors if not t.passed] == [tensor]


@pytest.mark.parametrize("relative", [1e-4, -1e-4, 3e-6])
def test_subtly_wrong_at_one_place(relative, x):
    def change(g):
        g = g.copy()
        g[1, 2] *= 1 + relative
        return g
    report = findings(planted(dW=change), x)
    tensor = of(report, "W")
    assert tensor.index == (1, 2) and report.worst is tensor
    assert tensor.relative_error == pytest.approx(abs(relative), rel=0.05)
    assert tensor.analytic / tensor.numeric == pytest.approx(1 + relative, rel=1e-6)
    assert "wrong only at [1, 2]" in tensor.problem and "[1, 2]" in str(report)


def test_transposed_and_reversed(x):
    assert "transposed" in of(findings(planted(dW=lambda g: g.T), x), "W").problem
    assert "in reverse order along axis 0" in of(findings(planted(dW=lambda g: g[::-1]), x), "W").problem
    assert "in reverse order along axis 0" in of(findings(planted(db=lambda g: g[::-1]), x), "b").problem
    assert "transposed" in of(findings(planted(dW=lambda g: g.T), x, max_coordinates=10), "W").problem


def test_a_gradient_of_what_has_no_effect(x):
    class Unused(Tanh):
        def backward(self, dy):
            dx = super().backward(dy)
            self.c.grad += dy.sum()
            return dx

        def build(self, input_shape):
            super().build(input_shape)
            self.c = self.add_weight((2,), name="c")
    assert "should be zero" in of(findings(Unused(), x), "c").problem


def test_a_part_is_wrong(x):
    def change(g):
        g = g.copy()
        g[:, 2:4] *= -1
        return g
    assert "the sign is flipped; wrong only at 2-3 of axis 1 (size 5)" in of(findings(planted(dW=change), x), "W").problem


def test_a_scale_of_one_hides_no_missing_factor(x):
    class Scale(Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

        def forward(self, x):
            self.cache = x
            return x * self.scale.value

        def backward(self, dy):
            self.scale.grad += (dy * self.cache).sum(0)
            return dy
    assert not of(findings(Scale(), x), "x").passed


def test_only_one_sample_has_gone_in(x):
    for place, word in ((-1, "last"), (0, "first")):
        class Loop(Tanh):
            def gradients(self, dy, place=place):
                x, y = self.cache
                da = dy * (1 - y ** 2)
                return da @ self.W.value.T, np.outer(x[place], da[place]), da.sum(0)
        assert f"the share of the {word} sample alone" in of(findings(Loop(), x), "W").problem


def test_only_one_time_step_has_gone_in(sequence):
    for place, word in ((-1, "last"), (0, "first")):
        class PerStep(Tanh):
            def gradients(self, dy, place=place):
                x, y = self.cache
                da = dy * (1 - y ** 2)
                return da @ self.W.value.T, x[:, place].T @ da[:, place], da.sum((0, 1))
        assert f"the share of the {word} time step alone" in of(findings(PerStep(), sequence), "W").problem


def test_the_gradient_takes_no_account_of_the_input(x):
    assert "the same for every dy" in of(findings(planted(dW=lambda g: np.arange(25.0).reshape(5, 5)), x), "W").problem
    class LeftOut(Tanh):
        def gradients(self, dy):
            _, dW, db = super().gradients(dy)
            return np.tanh(dy) @ self.W.value.T, dW, db
    assert "not linear in dy" in str(findings(LeftOut(), x))


@pytest.mark.parametrize("change, words", [(0.3, ""), (-0.3, ""), (0.5, "half as large"), (-1, "the sign is flipped")])
def test_a_single_number_is_no_pattern(change, words):
    layer = FunctionPair(lambda x: x ** 2, lambda x, dy: change * 2 * x * dy)
    problem = of(findings(layer, np.array([[1.5]])), "x").problem
    assert "times what" not in problem and (words in problem if words else NO_PATTERN in problem)


def test_a_dropped_carry(sequence):
    layer = Recurrent()
    layer.carry = 0.0
    report = findings(layer, sequence)
    assert "right for what comes through y at the same time step, missing for what comes from later steps" in of(report,
                                                                                                                 "x").problem
    assert not of(report, "U").passed


def test_a_mistake_that_time_has_spread(sequence):
    class Wrong(Recurrent):
        slope = staticmethod(lambda h: (1 - h ** 2) * np.array([1, -1, 1, 1, 1]))
    report = findings(Wrong(), sequence)
    assert not any(tensor.passed for tensor in report.tensors)
    assert "with the first time step alone: the sign is flipped; wrong only at 1 of axis 1 (size 5)" in of(report, "W").problem


def test_the_wrong_output_is_named(sequence):
    class Wrong(Recurrent):
        def backward(self, dy):
            return super().backward([dy[0], 2 * dy[1]])
    report = findings(Wrong(), sequence)
    assert "only what comes through output 1 of 0-1 is wrong" in of(report, "x").problem
    assert "only what comes through output 1 of 0-1 is wrong" in of(report, "W").problem


def test_only_the_last_step_of_the_output_has_gone_in(sequence):
    class Wrong(Recurrent):
        def backward(self, dy):
            last = np.zeros_like(dy[0])
            last[:, -1] = dy[0][:, -1]
            return super().backward([last, dy[1]])
    report = findings(Wrong(), sequence)
    assert "only what comes through output 0 of 0-1 is wrong" in of(report, "W").problem


class Assigns(Tanh):
    words = r"replaces the grad of 'assigns/W' \(=\)"

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        self.W.grad = dW
        self.b.grad += db
        return dx


class AddsUp(Tanh):
    words = "the gradient returned adds up"
    dx = 0.0

    def backward(self, dy):
        self.dx = self.dx + super().backward(dy)
        return self.dx


class UsesUpItsCache(Tanh):
    words = r"a second backward after one forward fails.*IndexError"

    def forward(self, x):
        y = super().forward(x)
        self.stack = [self.cache]
        return y

    def backward(self, dy):
        self.cache = self.stack.pop()
        return super().backward(dy)


class ChangesItsCache(Tanh):
    words = "a second backward after one forward returns another gradient"

    def forward(self, x):
        y = super().forward(x)
        self.cache = x, y.copy()
        return y

    def backward(self, dy):
        dx = super().backward(dy)
        self.cache[1][...] *= 0.5
        return dx


class Stale(Tanh):
    words = "a stale cache"
    x = None

    def forward(self, x):
        y = super().forward(x)
        if self.x is None:
            self.x = x
        self.cache = self.x, y
        return y


class ChangesDy(Tanh):
    words = "backward changes dy in place"

    def backward(self, dy):
        dx = super().backward(dy)
        dy *= 0.5
        return dx


class ChangesInput(Tanh):
    words = "backward changes the input 'x' in place"

    def backward(self, dy):
        dx = super().backward(dy)
        self.cache[0][...] = dx
        return dx


class ForwardChangesInput(Tanh):
    words = "forward changes the input 'x' in place"

    def forward(self, x):
        y = super().forward(x)
        x += 1
        return y


class ChangesOutput(Tanh):
    words = "backward changes forward's output in place"

    def backward(self, dy):
        dx = super().backward(dy)
        self.cache[1][...] = 0
        return dx


class ChangesWeight(Tanh):
    words = "backward changes the value of the weight 'changes_weight/W'"

    def backward(self, dy):
        dx = super().backward(dy)
        self.W.value -= 0.1 * self.W.grad
        return dx


class ReturnsNothing(Tanh):
    words = "backward returns None for it: is `return dx` missing"

    def backward(self, dy):
        super().backward(dy)


class ReturnsTransposed(Tanh):
    words = r"backward returns a gradient of shape \(5, 3\): transposed"

    def backward(self, dy):
        return super().backward(dy).T


class ReturnsSum(Tanh):
    words = "its batch axis is summed away"

    def backward(self, dy):
        return super().backward(dy).sum(0)


class ReturnsTwo(Tanh):
    words = "backward returns 2 gradients for 1 inputs"

    def backward(self, dy):
        return [super().backward(dy), dy]


class ReturnsFloat32(Tanh):
    words = "backward returns float32"

    def backward(self, dy):
        return super().backward(dy).astype(np.float32)


class ForwardGivesFloat32(Tanh):
    words = "forward's output 0 is float32"

    def forward(self, x):
        return super().forward(x).astype(np.float32)


class RoundsInside(Tanh):
    words = "forward rounds to float32"

    def forward(self, x):
        return super().forward(x).astype(np.float32).astype(x.dtype)


class GivesNaN(Tanh):
    words = r"forward's output 0 holds NaN or infinity, first at \[1, 2\]"

    def forward(self, x):
        y = super().forward(x)
        y[1, 2] = np.nan
        return y


class DrawsAtRandom(Tanh):
    words = "forward gives another output for the same input the second time"

    def forward(self, x):
        return super().forward(x) * np.random.default_rng().uniform()


@pytest.mark.parametrize("layer", [
    Assigns, AddsUp, UsesUpItsCache, ChangesItsCache, Stale, ChangesDy, ChangesInput, ForwardChangesInput, ChangesOutput,
    ChangesWeight, ReturnsNothing, ReturnsTransposed, ReturnsSum, ReturnsTwo, ReturnsFloat32, ForwardGivesFloat32, RoundsInside,
    GivesNaN, DrawsAtRandom], ids=lambda layer: layer.__name__)
@pytest.mark.parametrize("is_built", [True, False])
def test_wrong_behaviour(layer, is_built, x):
    made = layer()
    if is_built:
        made.build((None, D))
    with pytest.raises(GradientCheckError, match=layer.words):
        gradcheck(made, x)


def test_one_of_several_gradients_is_missing(x):
    def product(a, b):
        return a * b
    assert gradcheck_function(product, lambda a, b, dy: [dy * b, dy * a], x, x)
    report = gradcheck_function(product, lambda a, b, dy: [dy * b, None], x, x, raise_error=False)
    assert [t.passed for t in report.tensors] == [True, False] and "returns None for it" in of(report, "b").problem
    report = gradcheck_function(product, lambda a, b, dy: None, x, x, raise_error=False)
    assert all("returns None for it" in t.problem for t in report.tensors)
    report = gradcheck_function(product, lambda a, b, dy: dy * b, x, x, raise_error=False)
    assert "backward returns 1 gradients for 2 inputs (a, b)" in report.problems[0] and not report.tensors


def test_none_is_right_where_nothing_depends_on_the_input(x):
    assert gradcheck_function(lambda a, b: a * (b > 0), lambda a, b, dy: [dy * (b > 0), None], x, x)


class Noisy(Tanh):
    """Draws from its own generator, NumPy's and Python's; keeps a state and a count."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = np.random.default_rng(1)
        self.state = np.zeros(H)
        self.calls = [0]

    def build(self, input_shape):
        super().build(input_shape)
        self.mean = self.add_weight((H,), "zeros", trainable=False, name="mean")

    def forward(self, x, training=False):
        y = super().forward(x)
        scale = self.generator.uniform() + np.random.uniform() + random.random()
        self.cache = *self.cache, scale
        self.state += y.sum(0)
        self.mean.value = self.mean.value + 1
        self.calls[0] += 1
        self.latest = y
        return y * scale

    def backward(self, dy):
        *self.cache, scale = self.cache
        try:
            return super().backward(dy * scale)
        finally:
            self.cache = (*self.cache, scale)


@pytest.mark.parametrize("fails", [False, True])
def test_the_layer_is_left_as_it_was(fails, x):
    layer = Noisy()
    layer(x.astype(np.float32))
    layer.backward(np.ones((B, H)))
    if fails:
        layer.gradients = lambda dy: Noisy.gradients(layer, 1.1 * dy)
    values, grads = [p.value for p in layer.weights], [p.grad for p in layer.weights]
    copies = [a.copy() for a in (*values, *grads, layer.state)]
    states = layer.generator.bit_generator.state, np.random.get_state()[2], random.getstate()
    cache, latest, calls = layer.cache, layer.latest, layer.calls
    given = x.copy()

    report = gradcheck(layer, x, training=True, raise_error=False)

    assert report.passed is not fails
    np.testing.assert_array_equal(x, given)
    assert layer.dtype == "float32" and all(p.dtype == "float32" for p in layer.weights)
    assert all(p.value is v and p.grad is g for p, v, g in zip(layer.weights, values, grads, strict=True))
    for now, before in zip([*values, *grads, layer.state], copies, strict=True):
        np.testing.assert_array_equal(now, before)
        assert now.dtype == before.dtype
    assert (layer.generator.bit_generator.state, np.random.get_state()[2], random.getstate()) == states
    assert layer.cache is cache and layer.latest is latest and layer.calls is calls and calls == [1]


def test_the_layer_is_put_back_after_an_error(x):
    class Raises(Tanh):
        def backward(self, dy):
            raise NotImplementedError("not yet")
    layer = Raises()
    layer(x)
    before = layer.get_weights()
    with pytest.raises(NotImplementedError, match="not yet"):
        gradcheck(layer, x)
    assert layer.dtype == "float32"
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(layer.get_weights(), before, strict=True))


def test_the_same_seed_gives_the_same_report(x):
    layer = Tanh()
    assert str(gradcheck(layer, x)) == str(gradcheck(layer, x))
    assert str(gradcheck(layer, x, seed=1)) != str(gradcheck(layer, x))


MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]], bool)


@pytest.mark.parametrize("layer, options", [
    (lambda: layers.Dense(H, activation="relu"), {}),
    (lambda: layers.Dense(H, activation="softmax", activity_regularizer="l2", kernel_regularizer="l1"), {}),
    (lambda: layers.SimpleRNN(H, return_sequences=True), {"mask": MASK}),
    (lambda: layers.LSTM(H), {"mask": MASK}),
    (lambda: layers.LSTM(H, return_sequences=True, return_state=True, go_backwards=True, dropout=0.3, recurrent_dropout=0.2),
     {"mask": MASK, "training": True, "initial_state": [np.ones((B, H)), np.full((B, H), 0.5)]}),
    (lambda: layers.RNN(layers.LSTMCell(H), return_sequences=True), {}),
    (lambda: layers.LSTM(H, stateful=True), {}),
    (lambda: layers.Dropout(0.5), {"training": True}),
    (lambda: layers.Dropout(0.5), {"training": False}),
    (lambda: models.Sequential([layers.LSTM(H, return_sequences=True), layers.Dropout(0.5), layers.Flatten(), layers.Dense(2)]),
     {"training": True}),
], ids=["dense", "dense with penalties", "rnn", "lstm", "lstm with all", "cell", "stateful", "dropout", "no dropout", "model"])
def test_the_catalogue(layer, options, sequence):
    made = layer()
    assert gradcheck(made, sequence, max_coordinates=40, **options)
    assert made.dtype == "float32"


def test_a_model_of_tokens():
    ids = np.array([[1, 2, 0], [3, 3, 1]])
    model = models.Sequential([layers.Embedding(4, 3, mask_zero=True), layers.LSTM(2), layers.Dense(2)])
    report = gradcheck(model, ids)
    assert [t.shape for t in report.tensors] == [p.shape for p in model.weights]


def test_penalties_inside_a_model(sequence):
    penalised = layers.Dense(3, activity_regularizer="l2", kernel_regularizer="l2")
    assert gradcheck(models.Sequential([penalised, layers.Dense(2, activity_regularizer="l1")]), sequence)


def test_a_wrong_backward_inside_a_model_is_found(sequence):
    class Wrong(layers.Dense):
        def backward(self, dy):
            return 1.001 * super().backward(dy)
    model = models.Sequential([layers.Dense(3), Wrong(2, name="wrong"), layers.Dense(2)])
    report = findings(model, sequence)
    assert [t.passed for t in report.tensors] == [False, False, False, True, True, True, True]


def test_a_frozen_layer(x):
    layer = layers.Dense(2, trainable=False)
    report = gradcheck(layer, x)
    assert report.tensors[0].passed and not layer.trainable


def test_every_room(device, x):
    assert gradcheck(layers.Dense(2, activation="tanh").to(device), x[:, :2], max_coordinates=4)
