"""The microscope: what a view holds, the page, examples, two side by side, the widget; and the page in a browser."""
import base64
import hashlib
import json
import re
import shutil
import statistics
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import nblayers
from nblayers import layers, nn
from nblayers.cli import main
from nblayers.learn import microscope
from nblayers.learn.microscope import examples
from nblayers.learn.microscope.mathml import mathml
from nblayers.learn.microscope.page import page, source
from nblayers.learn.microscope.view import steps, view

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RECURRENT = {
    "simple_rnn": lambda: layers.SimpleRNN(4, return_sequences=True), "lstm": lambda: layers.LSTM(4, return_sequences=True),
    "gru": lambda: layers.GRU(4, return_sequences=True), "gru_reset_before": lambda: layers.GRU(4, reset_after=False),
    "bidirectional": lambda: layers.Bidirectional(layers.LSTM(4))}
SHOWN = {**RECURRENT, "attention": lambda: layers.Attention(), "convolution": lambda: layers.Conv2D(2, 3, activation="relu"),
         "max_pooling": lambda: layers.MaxPooling2D(2), "batch_norm": lambda: layers.BatchNormalization(),
         "dense": lambda: layers.Dense(3, activation="tanh")}


def traced(make, shape=(3, 5, 2), **arguments):
    """A trace of a forward and a backward in the reference room."""
    rng = np.random.default_rng(0)
    nblayers.utils.set_random_seed(0)
    with nblayers.device("reference"):
        layer = make()
        x = rng.normal(size=shape).astype("float32")
        given = [x, x[:, ::-1].copy()] if isinstance(layer, layers.Attention) else x
        y = layer.forward(given, **arguments)
        layer.zero_grad()
        with nblayers.trace() as t:
            y = layer.forward(given, **arguments)
            layer.backward(rng.normal(size=y.shape).astype("float32"))
    return t


@pytest.fixture(scope="module")
def traces():
    shapes = {"convolution": (1, 6, 5, 2), "max_pooling": (1, 4, 6, 2), "batch_norm": (6, 3), "dense": (4, 2)}
    return {name: traced(make, shapes.get(name, (3, 5, 2)), **({"training": True} if name == "batch_norm" else {}))
            for name, make in SHOWN.items()}


def inside(text):
    """The view that a page holds."""
    return json.loads(re.search(r'<script type="application/json" id="view">(.*?)</script>', text, re.S)[1])


def numbers(shown, kind="<f4"):
    """The whole row of numbers: of arrays that resemble earlier ones only what has changed is written."""
    written, row = np.frombuffer(base64.b64decode(shown["numbers"]), kind).tolist(), []
    for start, like, size, runs in shown["changed"]:
        row += [written.pop(0) for _ in range(start - len(row))] if start > len(row) else []
        row += row[like:like + size] if like >= 0 else [0.0] * size
        for at, count in zip(runs[::2], runs[1::2], strict=True):
            row[start + at:start + at + count], written = written[:count], written[count:]
    return np.array(row + written, kind)


def same(pool, at, shape, value, samples):
    """Whether a value, or its first samples, stands in the pool."""
    kept = value if value.shape == tuple(shape) else value[:samples]
    return kept.shape == tuple(shape) and np.array_equal(pool[at:at + kept.size], kept.astype("<f4").ravel(), equal_nan=True)


# ---- the view ----

@pytest.mark.parametrize("name", SHOWN)
def test_numbers_survive(traces, name):
    """Every value, operand and stored part of every step is in the page, as it was computed."""
    shown = inside(traces[name].to_html())
    pool, entries = numbers(shown), steps(traces[name])[0]
    assert len(entries) == len(shown["steps"]) > 3
    for entry, (operation, t, at, parts, operands, *_) in zip(entries, shown["steps"], strict=True):
        what = shown["operations"][operation]
        assert same(pool, at, what["shape"], entry.value, shown["samples"])
        assert t == (-1 if entry.t is None else entry.t)
        for key, shape, place in zip(what["operands"], what["operand_shapes"], operands, strict=True):
            assert place < 0 or same(pool, place, shape, entry.operands[key], shown["samples"])
        for part, place, recorded in zip(what["parts"], parts, entry.parts, strict=True):
            assert (part["tree"] is None) == (place >= 0)
            assert place < 0 or same(pool, place, part["shape"], recorded.value, shown["samples"])


@pytest.mark.parametrize("name", SHOWN)
def test_formulas_are_mathml_and_code_is_the_line(traces, name):
    shown = view(traces[name])
    assert all(formula.startswith("<math>") and "\\" not in formula for formula in shown["formulas"])     # none left as LaTeX
    for entry, (operation, *_) in zip(steps(traces[name])[0], shown["steps"], strict=True):
        code = shown["operations"][operation]["code"]
        assert (code is None) == (not entry.path)
        if code:
            function = shown["functions"][code[0]]
            line = Path(entry.path).read_text().split("\n")[entry.line - 1]
            assert function["lines"][code[1]].split() == line.split() and function["first"] + code[1] == entry.line
            assert not function["path"].startswith("/")


@pytest.mark.parametrize("name, lit", {
    "simple_rnn": {"a": "a", "h": "h", "dh": "h", "da": "a", "dh_prev": "h_prev"},
    "lstm": {"f": "f", "c_tilde": "C_tilde", "c": "C", "h": "h", "dc": "C", "da_f": "a", "dc_prev": "C_prev", "do": "o"},
    "gru": {"z": "z", "u": "u", "h_tilde": "h_tilde", "da_h": "h_tilde", "dr": "r", "dh_prev": "h_prev"},
    "gru_reset_before": {"u": "u", "dr": "r", "du": "u"}, "attention": {"s": "s", "p": "p", "dv": "v", "ds": "s"},
    "batch_norm": {"variance": "var", "normal": "x_hat", "dgamma": "gamma", "dmean": "mean"}}.items())
def test_operations_light_their_node(traces, name, lit):
    shown = view(traces[name])
    found = {shown["panels"][one["panel"]]["name"]: one["light"] for one in shown["operations"]}
    assert {key: found[key]["node"] for key in lit} == lit


def edges(shown, name):
    """What an operation of the first layer gets and gives by, as pairs of nodes."""
    one = next(one for one in shown["operations"] if shown["panels"][one["panel"]]["name"] == name)
    there = [(edge["start"], edge["end"]) for edge in shown["pictures"][0]["edges"]]
    return {there[i] for i in one["light"]["gets"]}, {there[i] for i in one["light"]["gives"]}


def test_edges_that_an_operation_feeds(traces):
    lstm = view(traces["lstm"])
    assert edges(lstm, "f") == ({("a", "f"), ("h_prev", "a"), ("x", "a")}, {("f", "C")})
    assert edges(lstm, "c") == ({("f", "C"), ("i", "C"), ("C_tilde", "C"), ("C_prev", "C")}, {("C", "h"), ("C", "C_next")})
    assert edges(lstm, "dc") == ({("C", "h"), ("C", "C_next")}, {("f", "C"), ("i", "C"), ("C_tilde", "C"), ("C_prev", "C")})
    assert edges(lstm, "dh") == ({("h", "y"), ("h", "h_next")}, {("C", "h"), ("o", "h")})
    assert edges(lstm, "da_f")[0] == {("a", "f")}
    gru = view(traces["gru"])
    assert edges(gru, "dh_prev")[0] == {("h_prev", "h"), ("h_prev", "u"), ("h_prev", "r"), ("h_prev", "z")}
    assert edges(view(traces["gru_reset_before"]), "u") == ({("h_prev", "u"), ("r", "u")}, {("u", "h_tilde")})


def test_windows_show_the_patch(traces):
    """A convolution's steps outline the patch under the kernel, and the patch that a gradient returns to."""
    shown = view(traces["convolution"])
    def marked(name, phase):
        return [(one[5], shown["operations"][one[0]]) for one in shown["steps"] if len(one) > 5
                and (shown["panels"][shown["operations"][one[0]]["panel"]]["name"]) == name
                and shown["panels"][shown["operations"][one[0]]["panel"]]["phase"] == phase]
    def places(marks):
        return {shown["panels"][panel]["name"]: (rows, columns) for panel, rows, columns, *_ in marks}
    forward, weights, back = marked("z", "forward"), marked("dW", "backward"), marked("dx", "backward")
    assert len(forward) == len(weights) == len(back) == 4 * 3
    assert places(forward[4][0]) == {"x": ([1, 4, 1], [1, 4, 1]), "z": ([1, 2, 1], [1, 2, 1])}
    assert places(back[5][0]) == {"dz": ([1, 2, 1], [2, 3, 1]), "dx": ([1, 4, 1], [2, 5, 1])}
    pooled = view(traces["max_pooling"])
    winners = [mark for one in pooled["steps"] if len(one) > 5 for mark in one[5] if mark[3] >= 0]
    x, y = (traces["max_pooling"].find(name)[0].value[0] for name in "xy")
    at = {(mark[1][0], mark[2][0], mark[3]) for mark in winners}
    assert sorted(float(x[place]) for place in at) == sorted(y.ravel().tolist())


def shown_windows(shown, name):
    """The steps of windows that fill this array, each with its values (samples, …)."""
    pool, found = numbers(shown), []
    for operation, _, at, _, _, *extra in shown["steps"]:
        what = shown["operations"][operation]
        if extra and extra[2].startswith("window") and shown["panels"][what["panel"]]["name"] == name:
            found.append(pool[at:at + np.prod(what["shape"])].reshape(what["shape"]))
    return found


def test_windows_of_all_samples():
    t = traced(lambda: layers.Conv2D(2, 3, strides=2, padding="same", activation="relu"), (2, 7, 6, 2))
    shown = view(t)
    assert "z" not in t.names               # the cache keeps y in its place
    for name, wanted in (("z", "y"), ("dx", "dx"), ("dW", "dW")):
        *_, last = found = shown_windows(shown, name)
        assert len(found) == 4 * 3
        [whole] = [entry.value for entry in t.find(wanted) if not entry.function]
        np.testing.assert_allclose(np.maximum(last, 0) if name == "z" else last, whole, rtol=1e-4, atol=1e-6)
    pooled = traced(lambda: layers.MaxPooling2D(2), (3, 4, 4, 2))
    np.testing.assert_array_equal(shown_windows(view(pooled), "dx")[-1], pooled.find("dx")[-1].value)


SLIDING = {                             # layer, input, windows
    "sequence": (lambda: layers.Conv1D(2, 3, strides=2, padding="same", activation="relu", data_format="channels_first"),
                 (2, 3, 7), {"z": 4, "dW": 4, "dx": 4}),
    "causal": (lambda: layers.Conv1D(2, 2, dilation_rate=2, padding="causal"), (2, 5, 3), {"y": 5, "dW": 5, "dx": 5}),
    "image": (lambda: layers.Conv2D(2, 3, data_format="channels_first"), (2, 1, 5, 5), {"y": 9, "dW": 9, "dx": 9}),
    "groups": (lambda: layers.Conv2D(4, 2, groups=2, dilation_rate=2), (2, 4, 5, 4), {"y": 6, "dW": 6, "dx": 6}),
    "volume": (lambda: layers.Conv3D(2, 2), (2, 2, 3, 3, 2), {"y": 4, "dW": 4, "dx": 4}),
    "depthwise": (lambda: layers.DepthwiseConv2D(2, depth_multiplier=2, activation="tanh"), (2, 3, 3, 3),
                  {"z": 4, "dW": 4, "dx": 4}),
    "two passes": (lambda: layers.SeparableConv2D(2, 2, data_format="channels_first"), (2, 3, 3, 3),
                   {"h": 4, "y": 4, "ddepthwise_kernel": 4, "dpointwise_kernel": 4, "dh": 4, "dx": 4}),
    "two passes, a sequence": (lambda: layers.SeparableConv1D(2, 2, padding="same", activation="relu"), (2, 4, 3),
                               {"h": 4, "z": 4, "ddepthwise_kernel": 4, "dpointwise_kernel": 4, "dh": 4, "dx": 4}),
    "transposed": (lambda: layers.Conv2DTranspose(2, 3, strides=2, padding="same", bias_initializer="ones"), (2, 3, 2, 3),
                   {"y": 6, "dW": 6, "dx": 6}),
    "transposed, a sequence": (lambda: layers.Conv1DTranspose(2, 3, activation="relu"), (2, 4, 3), {"z": 4, "dW": 4, "dx": 4}),
    "transposed, a volume": (lambda: layers.Conv3DTranspose(2, 2), (1, 2, 1, 2, 2), {"y": 4, "dW": 4, "dx": 4}),
    "maximum": (lambda: layers.MaxPooling2D(3, strides=2, padding="same", data_format="channels_first"), (2, 2, 5, 4),
                {"y": 6, "dx": 6}),
    "maximum, a sequence": (lambda: layers.MaxPooling1D(2), (2, 6, 3), {"y": 3, "dx": 3}),
    "maximum, a volume": (lambda: layers.MaxPooling3D(2), (2, 2, 4, 4, 2), {"y": 4, "dx": 4}),
    "maximum of all": (layers.GlobalMaxPooling2D, (2, 3, 3, 2), {"y": 1, "dx": 1}),
    "mean": (lambda: layers.AveragePooling2D(2, strides=1, padding="same"), (2, 3, 3, 2), {"y": 9, "dx": 9}),
    "mean, a sequence": (lambda: layers.AveragePooling1D(3, data_format="channels_first"), (2, 2, 6), {"y": 2, "dx": 2}),
    "mean, a volume": (lambda: layers.AveragePooling3D(2), (1, 2, 2, 4, 2), {"y": 2, "dx": 2}),
    "mean of all": (lambda: layers.GlobalAveragePooling1D(), (2, 4, 3), {"y": 1, "dx": 1}),
    "padded mean": (lambda: nn.AvgPool2d(2, 2, 1), (2, 2, 4, 4), {"mean": 9, "dx": 9}),
    "adaptive mean": (lambda: nn.AdaptiveAvgPool2d(2), (2, 2, 5, 4), {"y": 4, "dx": 4}),
    "weights turned": (lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2), (2, 2, 3, 3), {"y": 9, "dweight": 9, "dx": 9}),
    "weights turned, transposed": (lambda: nn.ConvTranspose1d(2, 3, 2, stride=2), (2, 2, 3), {"y": 3, "dweight": 3, "dx": 3}),
    "in time": (lambda: layers.ConvLSTM1D(2, 2), (2, 3, 4, 2), {})}


@pytest.mark.parametrize("name", SLIDING)
def test_windows_are_the_layers(name):
    """Each window adds what it says; all together they are the layer's own output and gradients."""
    make, shape, wanted = SLIDING[name]
    t, layer = traced(make, shape), make()
    shown, (entries, extras) = view(t), steps(t)
    found = {key: windows for key in [*t.names, "z", "dh"] if (windows := shown_windows(shown, key))}
    assert {key: len(windows) for key, windows in found.items()} == wanted and not shown["left_out"]
    own = {entry.name: entry.value for entry in t.entries if not entry.function or "." in entry.function}
    batched = {shown["panels"][one["panel"]]["name"] for one in shown["operations"] if one["batched"]}
    assert not batched & {"dW", "ddepthwise_kernel", "dpointwise_kernel", "dweight"}
    activation = getattr(layer, "activation", None) or (lambda z: z)
    for key, (*_, last) in found.items():
        if (whole := own.get("y" if key == "z" else key)) is not None:
            whole = as_shown(key, whole, getattr(layer, "data_format", "")).reshape(last.shape)
            np.testing.assert_allclose(activation(last) if key == "z" else last, whole, rtol=1e-4, atol=1e-5)
    for key in {"h", "z", "y", "mean"} & set(found):
        filled = [np.isfinite(one).sum() for one in found[key]]
        assert "transposed" in name or filled == [filled[0] * count for count in range(1, len(filled) + 1)]
    for entry, extra in zip(entries, extras, strict=True):
        if extra.window and entry.parts:
            np.testing.assert_allclose(sum(part.value for part in entry.parts), entry.value, rtol=1e-4, atol=1e-6)


def as_shown(name, value, data_format):
    """An array of a layer with its channels last, weights with their taps first."""
    if name == "dweight":
        return np.moveaxis(value, (0, 1), (-1, -2))
    is_image = name in ("y", "z", "mean", "dx") and value.ndim > 2
    return np.moveaxis(value, 1, -1) if is_image and data_format == "channels_first" else value


@pytest.mark.parametrize("name, step, marked", [
    ("causal", 4, {("x", 0, 3, 2, 6, 2), ("y", 0, 2, 4, 5, 1)}),                            # channels down, places across
    ("volume", 3, {("x", 1, 3, 1, 3, 1), ("x", 4, 6, 1, 3, 1), ("y", 1, 2, 1, 2, 1)}),      # in both planes
    ("two passes", 1, {("x", 0, 2, 1, 3, 1), ("h", 0, 1, 1, 2, 1)}),
    ("weights turned", 0, {("x", 0, 2, 0, 2, 1), ("y", 0, 1, 0, 1, 1)}),
    ("transposed", 1, {("x", 0, 1, 1, 2, 1), ("y", 0, 3, 2, 4, 1)}), ("mean", 8, {("x", 2, 3, 2, 3, 1), ("y", 2, 3, 2, 3, 1)})])
def test_patches_of_all_kinds(name, step, marked):
    """The patch under a window of a sequence, an image and a volume: name, rows, columns and the step between those."""
    extras = [extra for extra in steps(traced(*SLIDING[name][:2]))[1] if extra.window]
    assert {(mark.name, *mark.rows[:2], *mark.columns) for mark in extras[step].marks} == marked


def test_windows_of_a_large_image_lie_all_over_it(monkeypatch):
    """From the first to the last, fewer where the page grows too large; those that are left out are counted."""
    t = traced(lambda: layers.AveragePooling2D(2, strides=1), (1, 15, 15, 2))
    places = [extra.window[0] for extra in steps(t)[1] if extra.window]
    assert places[:150] == places[150:] and places[0] == 1 and places[149] == 14 * 14
    assert set(np.diff(places[:150])) == {1, 2}
    assert view(t)["left_out"] == [f"average_pooling2d {name}: 46 of 196 windows" for name in ("y", "dx")]
    monkeypatch.setattr("nblayers.learn.microscope.view.BUDGET", 4000)
    shown = view(t)
    found = [int(one[7].split()[1]) for one in shown["steps"] if len(one) > 7]
    assert len(numbers(shown)) > len(base64.b64decode(shown["numbers"])) / 4 <= 4000
    assert 4 < len(found) < 100 and found[0] == 1 and found[-1] == 196


def test_numbers_beyond_single_precision():
    with nblayers.trace() as t:
        t.note("value", np.array([[1e-300, 1e300, np.nan, -np.inf]]))
    shown = inside(t.to_html())
    assert shown["precise"] and not view(traced(lambda: layers.Dense(2), (2, 2)))["precise"]
    np.testing.assert_array_equal(numbers(shown, "<f8"), t.entries[0].value[0])


def test_an_activation_inside_a_layer_has_the_layers_name(traces):
    found = {entry.source: (entry.name, entry.shape) for entry in steps(traces["dense"])[0] if entry.equation == "from (5)"}
    assert set(found.values()) == {("dz", (4, 3))}


@pytest.mark.parametrize("formula", [r"\text{<img/src=x/onerror=alert(1)>}", r"\href{javascript:alert(1)}{x}", r"\mbox{<b>}",
                                     r"a & b", r"\textcolor{x\" onclick=\"y}{z}"])
def test_a_formula_of_anyones_is_only_a_formula(formula):
    """Nothing in it runs, also in a notebook, where no content policy holds."""
    for element in ElementTree.fromstring(mathml(formula)).iter():
        assert element.tag.startswith("m") and not {"href", "src", "onclick", "onerror"} & set(element.attrib)


def test_a_hundred_steps_of_64_units_are_under_a_megabyte():
    for make in (lambda: layers.LSTM(64), lambda: layers.LSTM(64, return_sequences=True), lambda: layers.GRU(64)):
        assert len(traced(make, (4, 100, 16)).to_html().encode()) < 1_000_000


def test_samples_and_layers_are_chosen(traces):
    shown = view(traces["lstm"], samples=2)
    assert (shown["samples"], shown["batch"]) == (2, 3)
    one = view(traces["bidirectional"], layer="backward_" + traces["bidirectional"].entries[1].layer.split("forward_")[-1])
    assert [layer["backwards"] for layer in one["layers"]] == [True]
    with pytest.raises(ValueError, match=r"no layer is called 'other'; there are \w+"):
        view(traces["lstm"], layer="other")
    with pytest.raises(ValueError, match="the trace is empty"):
        nblayers.trace().to_html()


def test_what_is_too_large_is_left_out():
    shown = view(traced(lambda: layers.Dense(400), (2, 300)))
    assert [name.split(" ", 1)[1] for name in shown["left_out"]] == ["dW (300, 400)"]
    assert len(page(shown)) < 1_000_000


def test_masked_steps_and_states_are_named():
    with nblayers.device("reference"):
        layer = layers.LSTM(3, return_sequences=True)
    mask = np.arange(4) < np.array([[2], [4]])
    with nblayers.trace() as t:
        y = layer.forward(np.ones((2, 4, 2), "float32"), mask=mask, initial_state=[np.ones((2, 3), "float32")] * 2)
        layer.backward(y)
    shown = view(t)
    assert shown["layers"][0]["masked"] == [[2, 3], []]
    said = {panel["name"]: panel["words"] for panel in shown["panels"]}
    assert (said["dx[1]"], said["dx[2]"]) == ("gradient of the initial hidden state", "gradient of the initial cell state")
    light = {shown["panels"][one["panel"]]["name"]: one["light"] for one in shown["operations"]}
    assert (light["dx[1]"]["node"], light["dx[2]"]["node"]) == ("h_prev", "C_prev")


def test_words_are_no_code(traces):
    shown = view(traces["batch_norm"])
    by = [part["by"] for one in shown["operations"] for part in one["parts"]]
    assert "mean and variance" in by and not any("(_" in one or "np." in one or "_by" in one for one in by)
    assert "normalised input, computed again" in [panel["words"] for panel in shown["panels"]]


# ---- the page ----

def test_the_page_stands_alone(traces, tmp_path):
    path = traces["lstm"].to_html(tmp_path / "new" / "lstm.html", title="<b>LSTM</b> & co")
    text = path.read_text(encoding="utf-8")
    assert path.name == "lstm.html" and "<title>&lt;b&gt;LSTM&lt;/b&gt; &amp; co</title>" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    for tag, kind in (("style", "style-src"), ('script type="module"', "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}


def test_text_of_anyones_cannot_leave_its_place(traces):
    shown = view(traces["dense"], title="</script><script>alert(1)</script>", labels=["</script>"])
    text = page(shown)
    assert text.count("<script") == 2 and inside(text)["title"] == shown["title"]


# ---- examples, the command, two side by side, the widget ----

@pytest.mark.parametrize("name", ["lstm", "attention", "max_pooling"])
def test_the_command_writes_a_page(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["microscope", name, "--no-browser"]) == 0
    assert capsys.readouterr().out == f"wrote microscope_{name}.html\n"
    assert len(inside((tmp_path / f"microscope_{name}.html").read_text(encoding="utf-8"))["steps"]) > 10


def test_the_command_reads_a_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("abcabcabcabd " * 20)
    assert main(["microscope", "simple_rnn", "gru", "--text", "mine.txt", "-o", "two.html", "--no-browser"]) == 0
    both = inside(Path("two.html").read_text(encoding="utf-8"))
    assert "".join(both["panes"][0]["labels"]) in "abcabcabcabd " * 3 and len(both["panes"]) == 2


@pytest.mark.parametrize("arguments, words", [
    (["lstn"], "no example is called 'lstn'; do you mean lstm? There are simple_rnn, lstm, gru"),
    (["a", "b", "c"], "one layer, or two side by side, not 3"),
    (["attention", "--text", "mine.txt"], "attention reads no text"),
    (["lstm", "--text", "none.txt"], "cannot read none.txt"), (["lstm", "--text", "mine.txt"], "48 characters or more, got 5")])
def test_what_the_command_refuses(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("short")
    assert main(["microscope", *arguments, "--no-browser"]) == 2
    assert words in capsys.readouterr().err


class TooMuchAtStepTwo(layers.SimpleRNN):
    """What arrives at its third step is half as much again."""

    def backward(self, dy):
        dy = dy.copy()
        dy[:, 2] *= 1.5
        return super().backward(dy)


def test_side_by_side_finds_the_first_difference(traces):
    text = microscope.side_by_side(traces["simple_rnn"], traced(lambda: TooMuchAtStepTwo(4, return_sequences=True)))
    both = inside(text)
    first = both["pairs"][both["differences"][0]]
    left = steps(traces["simple_rnn"])[0]
    assert (left[first[0]].name, left[first[0]].phase) == ("dh", "backward") and left[first[0]].t == 2
    names = [left[both["pairs"][at][0]].label for at in both["differences"]]
    assert names[0] == "dh[2]" and not any("[3]" in name or "[4]" in name for name in names)
    assert f'data-first="{both["differences"][0] + 1}"' in text


def test_side_by_side_goes_in_step(traces):
    both = inside(microscope.side_by_side(traces["simple_rnn"], traces["lstm"], titles=("left", "right")))
    left, right = (steps(traces[name])[0] for name in ("simple_rnn", "lstm"))
    for i, j in both["pairs"]:
        assert (left[i].t, left[i].phase) == (right[j].t, right[j].phase)
    assert {i for i, _ in both["pairs"]} == set(range(len(left))) and {j for _, j in both["pairs"]} == set(range(len(right)))
    assert both["differences"] == []                    # they do not compute the same
    assert both["title"] == "left beside right"


def test_the_widget_has_the_same_script(traces):
    pytest.importorskip("anywidget")
    shown = microscope.widget(traces["gru"], step=7)
    assert shown.step == 7 and shown.view["title"] == traces["gru"].entries[0].layer
    assert "export default { render }" in str(shown._esm) and ".microscope" in str(shown._css)
    with pytest.raises(ValueError, match=r"step to be from 1 to \d+, got 0"):
        microscope.widget(traces["gru"], step=0)


class WrongForgetGate(layers.LSTM):
    """The columns of its forget gate are a tenth too large in the gradients of all weights."""

    def backward(self, dy):
        dx = super().backward(dy)
        for weight in self.weights:
            weight.grad[..., self.units:2 * self.units] *= 1.1
        return dx


def test_a_gradient_report_opens_at_the_first_wrong_term():
    with nblayers.device("reference"):
        x = np.random.default_rng(0).normal(size=(2, 3, 2))
        report = nblayers.gradcheck(WrongForgetGate(2), x, raise_error=False)
        text = report.to_html()
        assert nblayers.gradcheck(layers.LSTM(2), x).trace is None
    entry = steps(report.trace)[0][int(re.search(r'data-first="(\d+)"', text)[1]) - 1]
    assert (entry.name, entry.t, entry.phase) == ("df", 2, "backward")
    assert "FAILED" in text and len(inside(text)["steps"]) == len(steps(report.trace)[0])


def test_every_example_has_a_name_and_says_what_it_is():
    assert examples.MAKERS == ["simple_rnn", "lstm", "gru", "gru_reset_before", "bidirectional", "attention", "convolution",
                               "max_pooling", "batch_norm"]


# ---- in a browser ----

@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=[
            "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
            "--disable-component-update"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page, offline; at the end there must have been no error and no request."""
    tabs = []

    def open_page(text, width=1120, height=900, fragment="", scheme="light"):
        file = tmp_path / f"page{len(tabs)}.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, color_scheme=scheme,
                                      has_touch=width < 500)
        tab = context.new_page()
        tab.problems, tab.requests = [], []
        tab.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.on("console", lambda message: tab.problems.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("request", lambda request: tab.requests.append(request.url))
        tab.goto(file.as_uri() + fragment)
        tab.wait_for_selector("#microscope[data-step]")
        tabs.append(tab)
        return tab
    yield open_page
    for tab in tabs:
        assert tab.problems == [] and len(tab.requests) == 1 and tab.requests[0].startswith("file:")
        tab.context.close()


def at(tab):
    return int(tab.get_attribute("#microscope", "data-step"))


def test_keys(opened, traces):
    tab = opened(traces["lstm"].to_html(), fragment="#step=4")
    assert at(tab) == 4                                 # the link
    for key, wanted in (("ArrowRight", 5), ("ArrowLeft", 4), ("Home", 1), ("PageDown", 2), ("PageDown", 8), ("PageUp", 2)):
        tab.keyboard.press(key)
        assert at(tab) == wanted, key
    assert tab.url.endswith("#step=2")
    tab.keyboard.press("End")
    assert at(tab) == len(steps(traces["lstm"])[0]) and tab.get_attribute("#microscope", "data-phase") == "backward"
    tab.keyboard.press("Home")
    tab.keyboard.press(" ")
    tab.wait_for_selector("#microscope[data-step='2']")
    tab.keyboard.press(" ")
    now = at(tab)
    tab.wait_for_timeout(900)
    assert at(tab) == now                               # stopped
    tab.evaluate("location.hash = '#step=9'")
    tab.wait_for_selector("#microscope[data-step='9']")


def test_the_widget_keeps_its_keys_and_is_as_dark_as_jupyter(opened, traces):
    shown = json.dumps(view(traces["lstm"])).replace("<", "\\u003c")
    tab = opened(f"""<!doctype html><style>{source("microscope.css")}</style><body data-jp-theme-light="false">
      <main id="microscope"></main><script type="module">{source("microscope.js")}
      const given = {{ view: {shown}, step: 3 }};
      render({{ el: document.getElementById("microscope"), model: {{ get: (name) => given[name], on() {{}}, save_changes() {{}},
               set(name, value) {{ given[name] = value; window.told = value; }} }} }});</script>""")
    assert at(tab) == 3 and tab.get_attribute("#microscope", "data-theme") == "dark"
    tab.focus("#microscope")
    tab.keyboard.press("ArrowRight")
    assert at(tab) == tab.evaluate("window.told") == 4
    assert tab.get_attribute("#microscope", "data-lm-suppress-shortcuts") == "true"
    tab.evaluate("document.body.dataset.jpThemeLight = 'true'")
    tab.wait_for_selector("#microscope[data-theme=light]")


def test_an_embedded_page_is_as_dark_as_the_page_around_it(opened, traces, tmp_path):
    traces["max_pooling"].to_html(tmp_path / "inner.html")
    tab = opened('<!doctype html><main id="microscope" data-step="1">around</main>')
    tab.evaluate("""() => new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.src = "inner.html";
      frame.onload = () => { frame.contentWindow.postMessage({ theme: "dark" }, "*"); done(); };
      document.body.append(frame);
    })""")
    inner = next(frame for frame in tab.frames if "inner.html" in frame.url)
    inner.wait_for_selector("#microscope[data-theme=dark]")
    tab.requests.pop()                                  # the inner page


def test_a_number_is_chosen_and_followed(opened, traces):
    tab = opened(traces["lstm"].to_html())
    tab.locator("figure[data-name=dc] canvas").last.click(position={"x": 5, "y": 5})
    entry = traces["lstm"].find("dc", t=0)[0]
    assert "time step 0: gradient of the cell state" in tab.inner_text(".sentence").lower()
    assert f"{float(entry.value[0, 0]):.4g}".replace("-", "−").rstrip("0") in tab.inner_text(".sentence")
    assert "is the sum of" in tab.inner_text(".ledger") and tab.locator(".ledger tbody tr").count() == 3
    assert "lstm_step_backward" in tab.inner_text(".code summary") and tab.locator(".listing li.on").count() == 1
    tab.locator(".figures button.number").first.click()     # to where an operand was computed
    assert "step" in tab.inner_text(".count") and at(tab) < len(steps(traces["lstm"])[0])
    tab.select_option("select", "2")
    assert "sample 2" in tab.inner_text(".sentence")
    tab.focus(".main canvas")
    before = at(tab)
    tab.keyboard.press("ArrowDown")
    assert at(tab) == before and "unit 1" in tab.inner_text(".main output")


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru", "gru_reset_before", "attention", "convolution"])
def test_the_formulas_with_numbers_give_the_values(opened, traces, name):
    """What the page computes from the operands it has, by formula and as the sum of the parts, is what the layer computed."""
    tab = opened(traces[name].to_html())
    worst, count = tab.evaluate("""() => {
      const { view } = document.getElementById("microscope").microscope.panes[0];
      let worst = 0, count = 0;
      const compare = (a, b) => {
        if (a === undefined || b === undefined) return;
        count++;
        worst = Math.max(worst, Math.abs(a - b));
      };
      for (const step of view.steps) {
        const { shape, batched, tree, parts } = step.what, size = view.rest(shape, batched).reduce((a, b) => a * b, 1);
        for (let sample = 0; sample < (batched ? shape[0] : 1); sample++)
          for (let i = 0; i < size; i++) {
            const value = view.value(step, sample, i);
            if (tree !== null && !step.what.blank) compare(view.compute(step, tree, sample, i), value);
            if (parts.length) compare(parts.map((_, k) => view.part(step, k, sample, i)).reduce((a, b) => a + b), value);
          }
      }
      return [worst, count];
    }""")
    assert count > 100 and worst < 2e-6


@pytest.mark.parametrize("width, scheme", [(360, "dark"), (1120, "light")])
def test_no_page_is_wider_than_its_window(opened, traces, width, scheme):
    for name in ("bidirectional", "convolution", "batch_norm", "dense"):
        tab = opened(traces[name].to_html(), width, 800, scheme=scheme)
        assert tab.get_attribute("#microscope", "data-theme") == scheme
        for key in ("PageDown", "End"):
            tab.keyboard.press(key)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.querySelectorAll('button, select, input, canvas, svg[role]')].every("
                            "one => one.innerText || one.getAttribute('aria-label') || one.closest('label'))")
        assert tab.locator(".sentence[aria-live=polite]").count() == 1
        tab.click(".table summary")
        tab.wait_for_selector(".table td")
        tab.click("button[aria-label='light or dark']")
        assert tab.get_attribute("#microscope", "data-theme") != scheme


def test_two_side_by_side_move_together(opened, traces):
    tab = opened(microscope.side_by_side(traces["simple_rnn"], traced(lambda: TooMuchAtStepTwo(4, return_sequences=True))))
    assert "The first step that differs" in tab.inner_text(".difference:visible")
    tab.keyboard.press("Home")
    assert tab.locator(".difference:visible").count() == 0
    tab.click("button.first")
    assert tab.locator(".pane .where").all_inner_texts()[0] == tab.locator(".pane .where").all_inner_texts()[1]


def test_every_step_is_drawn_in_50_ms(opened):
    """100 steps of 64 units; the time from the order to the end of the next layout, over steps spread over the whole."""
    tab = opened(traced(lambda: layers.LSTM(64), (4, 100, 16)).to_html())
    times = tab.evaluate("""() => {
      const { microscope } = document.getElementById("microscope"), times = [];
      for (let at = 0; at < microscope.length; at += 7) {
        const start = performance.now();
        microscope.go(at);
        document.body.getBoundingClientRect();
        times.push(performance.now() - start);
      }
      return times;
    }""")
    assert statistics.median(times) < 50
