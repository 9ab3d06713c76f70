"""The trace: what it records in every layer, that the rooms agree, and that it leaves no trace of its own."""
import contextlib
import sys
import threading
import warnings

import numpy as np
import pytest
from helpers import random_like
from test_layers import LAYERS

import kernels
import nblayers
from nblayers import layers, models
from nblayers.layers.base import calls
from nblayers.learn.trace.lines import lines_of
from nblayers.learn.trace.symbols import expression, name

PAIR = [(2, 3), (2, 3)]
EVERY = {name: (make, [shape]) for name, (make, shape) in LAYERS.items()} | {
    "Add": (layers.Add, [PAIR]), "Subtract": (layers.Subtract, [PAIR]), "Multiply": (layers.Multiply, [PAIR]),
    "Average": (layers.Average, [PAIR]), "Maximum": (layers.Maximum, [PAIR]), "Minimum": (layers.Minimum, [PAIR]),
    "Concatenate": (layers.Concatenate, [PAIR]), "Dot": (lambda: layers.Dot(1), [PAIR]),
    "GRU, reset before": (lambda: layers.GRU(3, reset_after=False), [(2, 4, 5)]),
    "LSTM backwards": (lambda: layers.LSTM(3, go_backwards=True, return_state=True), [(2, 4, 5)]),
    "Attention": (layers.Attention, [[(2, 3, 4), (2, 5, 4)]]),
    "AdditiveAttention": (layers.AdditiveAttention, [[(2, 3, 4), (2, 5, 4)]]),
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(2, 3), [(2, 3, 4), (2, 5, 4)]),
}
INTEGERS = {"Embedding", "nn.Embedding", "CategoryEncoding", "Hashing", "IntegerLookup"}
COMPUTE_NOTHING = {"Flatten", "nn.Flatten", "nn.Unflatten", "Identity", "ActivityRegularization", "CRF", "RandomCrop",
                   "Hashing", "IntegerLookup"}


def inputs_of(name, shapes, rng):
    if isinstance(shapes, list):
        return [inputs_of(name, shape, rng) for shape in shapes]
    return rng.integers(0, 3, shapes) if name in INTEGERS else rng.normal(size=shapes).astype("float32")


def traced(name, device, seed=0):
    """A trace of forward and, where there is one, backward, with the same numbers in every room."""
    make, shapes = EVERY[name]
    nblayers.utils.set_random_seed(seed)
    with nblayers.device(device):
        layer = make()
    rng = np.random.default_rng(seed)
    arguments = inputs_of(name, shapes, rng)
    with nblayers.trace() as t:
        y = layer.forward(*arguments, training=True)
        with contextlib.suppress(NotImplementedError):
            layer.backward(random_like(y, rng))
    return t


@pytest.mark.parametrize("name", EVERY)
def test_the_rooms_record_the_same(name):
    traced(name, "reference")                           # some weights, as of interpolation, are computed once for a shape
    reference, cpu = traced(name, "reference"), traced(name, "cpu")
    for ours, theirs in zip(reference, cpu, strict=True):
        for field in ("phase", "name", "t", "where", "equation", "formula", "source", "shape"):
            assert getattr(ours, field) == getattr(theirs, field), (ours, theirs, field)
        np.testing.assert_allclose(theirs.value, ours.value, rtol=2e-4, atol=2e-5, err_msg=repr(ours))
        assert [part.by for part in ours.parts] == [part.by for part in theirs.parts]


@pytest.mark.parametrize("name", EVERY)
def test_every_layer_says_what_it_computes(name):
    t = traced(name, "reference")
    assert {"x", "x[0]", "query"} & set(t.names)
    if name not in COMPUTE_NOTHING:
        assert any(entry.equation and entry.phase == "forward" for entry in t), t.table()
    for entry in t:
        assert entry.value.base is None
        assert bool(entry.equation) == bool(entry.source)
        assert entry.formula or not entry.equation
        assert entry.formula.count("{") - entry.formula.count(r"\{") == entry.formula.count("}") - entry.formula.count(r"\}")
        if entry.parts:
            whole = np.broadcast_to(sum(np.asarray(part.value, float) for part in entry.parts), entry.shape)
            np.testing.assert_allclose(whole, entry.value, rtol=1e-4, atol=1e-5, err_msg=entry.source)


def lstm(**options):
    with nblayers.device("reference"):
        layer = layers.LSTM(2, dtype="float64", **options)
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    with nblayers.trace() as t:
        y = layer.forward(x)
        dx = layer.backward(random_like(y, np.random.default_rng(1)))
    return layer, t, dx


def test_an_lstm():
    layer, t, dx = lstm(return_sequences=True)
    assert [entry.t for entry in t.find("c")] == [0, 1, 2, 3]
    assert [entry.t for entry in t.find("dc")] == [3, 2, 1, 0]
    [entry] = t.find("dC", t=2)
    assert entry is t.find("dc", t=2)[0]
    assert (entry.layer, entry.phase, entry.equation, entry.shape) == (layer.name, "backward", "from (3)", (3, 2))
    assert entry.formula == r"dc = dc_{t+1} + dh \odot o \odot (1 - \tanh(c)^{2})"
    assert entry.source == "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)"
    assert [part.by for part in entry.parts] == ["c of the step after", "h"]
    np.testing.assert_array_equal(entry.parts[0].value, t.find("dc_prev", t=3)[0].value)
    [dh] = t.find("dh", t=2)
    assert [part.by for part in dh.parts] == ["y", "h of the step after"]
    np.testing.assert_array_equal(t.find("c", t=1)[0].value, layer.cache.c[:, 1])
    assert t.find("c")[0].formula == r"c_t = f_t c_{t-1} + i_t \tilde{c}_t" and t.find("c")[0].equation == "(004.LSTM.C)"
    np.testing.assert_array_equal(t.find("dx")[-1].value, dx)
    for weight, short in zip(layer.weights, ("dW", "dU", "db"), strict=True):
        np.testing.assert_array_equal(t.find(short)[-1].value, weight.grad)
    assert t.find("dkernel") == t.find("dW")
    line = lines_of(entry.path)[entry.line]
    assert line.source == entry.source and line.function == entry.function == "lstm_step_backward"


def test_a_weights_gradient_is_that_of_the_call():
    layer, t, _ = lstm()
    with nblayers.trace() as again:
        layer.backward(random_like(layer.forward(np.ones((1, 2, 2))), np.random.default_rng(1)))
    total = t.find("dW")[-1].value + again.find("dW")[-1].value
    np.testing.assert_allclose(total, layer.weights[0].grad, rtol=1e-12, atol=1e-15)


def test_finding():
    layer, t, _ = lstm()
    assert t.find("c", phase="forward", layer=layer.name) == t.find("c")
    assert t.find("c", phase="backward") == [] == t.find("c", layer="other") == t.find("c", t=9)
    with pytest.raises(KeyError, match="nothing is called 'dq'; there are x, i, f, c_tilde"):
        t.find("dq")
    assert "dc[2]" in t.table("dC", phase="backward") and "by c of the step after" in t.table("dc")
    assert t.table(most=3).count("\n") == 3 and f"… and {len(t) - 3} more entries" in t.table(most=3)
    assert f"{len(t)} entries: x, i, f" in repr(t)


def test_models():
    with nblayers.device("reference"):
        shared = layers.Dense(3, name="shared")
        chain = models.Sequential([layers.Dense(3, name="first"), shared])
        x = layers.Input((3,))
        model = models.Model(x, layers.Add(name="sum")([shared(x), shared(shared(x))]), name="graph")
    for network, paths in ((chain, {"first", "shared"}), (model, {"shared", "sum"})):
        with nblayers.trace() as t:
            network.backward(np.ones_like(network.forward(np.ones((2, 3), "float32"))))
        assert {entry.layer for entry in t} == {network.name, *(f"{network.name}/{path}" for path in paths)}
        assert {entry.call for entry in t} == {0, 1}                # one of forward, one of backward
    assert len([entry for entry in t.find("z") if entry.layer == "graph/shared"]) == 3
    assert len([entry for entry in t.find("dW") if entry.layer == "graph/shared"]) == 3
    assert not [entry for entry in t.find("dW") if entry.layer == "graph"]          # the layer inside has said it


class Scale(layers.Layer):
    r"""A layer of one's own.

        y = x s + \beta         (1)
    """

    def build(self, input_shape):
        self.s = self.add_weight((input_shape[-1],), "ones", name="s")

    def forward(self, x):
        self.cache = {"x": x, "half": x / 2}
        nblayers.trace.note("doubled", 2 * x, r"2\,x")
        y = x * self.s.value + 1                                    # (1)
        return y

    def backward(self, dy):
        self.s.grad += (dy * self.cache["x"]).sum(axis=0)           # from (1)
        dx = dy * self.s.value                                      # from (1)
        return dx


def test_a_layer_of_ones_own():
    x = np.arange(6.0, dtype="float32").reshape(2, 3)
    with nblayers.trace() as t:
        layer = Scale()
        layer.backward(layer.forward(x))
    assert t.names == ["x", "doubled", "y", "half", "dy", "ds", "dx"]
    assert t.find("y")[0].equation == "(1)" and t.find("y")[0].formula == r"y = x s + \beta"
    assert t.find("doubled")[0].formula == r"2\,x"
    np.testing.assert_array_equal(t.find("half")[0].value, x / 2)
    assert t.find("dx")[0].formula == r"dx = dy \odot s" and t.find("dx")[0].equation == "from (1)"
    kept = t.find("x")[0].value.copy()
    x[:] = 0
    np.testing.assert_array_equal(t.find("x")[0].value, kept)


def test_notes():
    nblayers.trace.note("nothing", 1.0)                             # without a trace
    with nblayers.trace() as t:
        nblayers.trace.note("a", 3)
        t.note("b", [1.0, 2.0])
        for arguments in (("a", "text"), (1, 1.0), ("a", 1.0, 2)):
            with pytest.raises(TypeError, match=r"trace\.note: expected"):
                nblayers.trace.note(*arguments)
    assert [(entry.name, entry.shape, entry.layer) for entry in t] == [("a", (), ""), ("b", (2,), "")]


def test_one_inside_another():
    layer = layers.Dense(2)
    with nblayers.trace() as outer:
        layer.forward(np.ones((1, 2)))
        with nblayers.trace() as inner:
            layer.forward(np.ones((1, 2)))
        layer.forward(np.ones((1, 2)))
    assert len(outer) == 3 * len(inner) > 0


def test_a_trace_goes_on_but_is_not_opened_twice():
    layer, again = layers.Dense(2), nblayers.trace()
    layer.forward(np.ones((1, 2)))
    with nblayers.trace() as outer:
        for _ in range(2):
            with again:
                layer.forward(np.ones((1, 2)))
                with pytest.raises(RuntimeError, match="open already"), again:
                    pass
        layer.forward(np.ones((1, 2)))
    assert calls.watch is None and 3 * len(again) == 2 * len(outer)
    assert [entry.call for entry in again] == [0, 0, 0, 1, 1, 1]
    assert [entry.call for entry in outer] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_block_of_attention_says_of_which_sample_and_head_it_is():
    t = traced("MultiHeadAttention", "reference")
    places = [(b, h) for b in range(2) for h in range(2)]
    assert [(entry.where["b"], entry.where["h"]) for entry in t.find("p", phase="forward")] == places
    assert t.find("p")[0].where["rows"] == (0, 3, None)
    [dh] = lstm()[1].find("dh", t=3)
    assert "np." not in repr(dict(dh.where))


@pytest.mark.parametrize(("value", "words"), [(np.full(4, 1e-300), "‖2e-300‖"), (np.full(4, 1e300), "‖2e+300‖"),
                                              (np.array([np.nan, 1]), "‖nan‖"), (np.zeros(0), "‖0‖")])
def test_norms_of_very_large_and_small_numbers(value, words):
    with warnings.catch_warnings(), nblayers.trace() as t:
        warnings.simplefilter("error")
        t.note("value", value)
        assert t.entries[0].said() == words


def test_each_thread_has_its_own():
    layer = layers.Dense(2)
    layer.forward(np.ones((1, 2)))
    found = {}

    def run(number):
        with nblayers.trace() as t:
            for _ in range(number):
                layer.forward(np.ones((1, 2)))
            found[number] = len(t.find("z"))

    with nblayers.trace() as here:
        threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {1: 1, 2: 2, 3: 3} and len(here) == 0


def test_nothing_is_left_behind():
    layer, others = layers.Dense(2), sys.gettrace()
    with pytest.raises(ValueError, match="expected"), nblayers.trace() as t:
        layer.forward(np.ones((1, 2)))
        layer.backward(np.ones((5, 5)))
    assert calls.watch is None and kernels.get is kernels.loaded and sys.gettrace() is others
    before = len(t)
    layer.forward(np.ones((1, 2)))
    assert len(t) == before


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_results_are_the_same_to_the_last_bit(device, rng):
    with nblayers.device(device):
        model = models.Sequential([layers.LSTM(3, return_sequences=True), layers.Dropout(0.5, seed=1), layers.GRU(2)])
    x, dy = rng.normal(size=(2, 4, 3)).astype("float32"), rng.normal(size=(2, 2)).astype("float32")

    def run():
        model.zero_grad()
        return [model.forward(x), model.backward(dy), *(weight.grad.copy() for weight in model.weights)]
    plain = run()
    with nblayers.trace():
        recorded = run()
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_limit():
    with pytest.warns(UserWarning, match="trace: 5 entries are recorded"), nblayers.trace(limit=5) as t:
        layers.LSTM(2).forward(np.ones((1, 3, 2)))
    assert len(t) == 5
    with warnings.catch_warnings(), nblayers.trace(limit=5) as t:
        warnings.simplefilter("error")
        layers.Dense(2).forward(np.ones((1, 2)))
    for limit in (0, -1, 2.5, True, "many"):
        with pytest.raises(ValueError, match="trace: expected limit to be a positive integer, got"):
            nblayers.trace(limit=limit)


def test_pictures(tmp_path):
    _, t, _ = lstm()
    figure = t.plot(path=tmp_path / "lstm.png")
    assert figure.axes[0].get_title().startswith("values of lstm") and len(figure.axes) == 3
    assert {line.get_label() for line in figure.axes[0].lines} == {"i", "f", "c_tilde", "o", "c", "h"}
    assert (tmp_path / "lstm.png").stat().st_size > 10_000
    with nblayers.trace() as flow:
        layers.Dense(2).forward(np.ones((1, 2)))
    assert len(flow.plot(path=tmp_path / "dense.png").axes) == 1
    with pytest.raises(ValueError, match=r"trace\.plot: the trace is empty"):
        nblayers.trace().plot()


@pytest.mark.parametrize(("python", "latex"), [
    ("dh * o * (1 - g ** 2)", r"dh \odot o \odot (1 - g^{2})"),
    ("da @ U.T", r"da\,U^\top"),
    ("(a + b) / np.sqrt(v)", r"\frac{a + b}{\sqrt{v}}"),
    ("2 * x", r"2\,x"),
    ("dk[b, :, g] + np.sum(x)", r"dk[b,g] + \textstyle\sum(x)"),
    ("a - (b - c)", "a - (b - c)"),
    ("-np.exp(x)", r"-\exp(x)"),
    ("x[..., None]", "x"),
])
def test_python_as_latex(python, latex):
    import ast
    assert expression(ast.parse(python, mode="eval").body) == latex


@pytest.mark.parametrize(("python", "latex"), [
    ("c_tilde", r"\tilde{c}"), ("dc_prev", "dc_{t-1}"), ("gamma", r"\gamma"), ("da_i", "da_i".replace("_i", "_{i}")),
    ("kernel", "W"), ("recurrent_kernel", "U"), ("total", r"\mathrm{total}"), ("delta", r"\delta")])
def test_names_as_latex(python, latex):
    assert name(python) == latex


def test_a_line_that_adds_to_a_gradient_records_what_this_call_adds():
    layer, t, _ = lstm()
    with nblayers.trace() as again:
        layer.backward(random_like(layer.forward(np.ones((1, 2, 2))), np.random.default_rng(1)))
    [db] = again.find("db")                             # one entry, not the total and the gradient
    assert db.equation == "from (4)"
    np.testing.assert_allclose(t.find("db")[0].value + db.value, layer.weights[2].grad, rtol=1e-12)


def test_a_statistic_has_no_gradient_and_a_range_is_one():
    t = traced("BatchNormalization", "reference")
    assert {"dgamma", "dbeta"} <= set(t.names) and "dmoving_mean" not in t.names
    assert lstm()[1].find("dh_prev")[0].equation == "from (004.LSTM.i) to (004.LSTM.o)"
