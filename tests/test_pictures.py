"""Pictures: the places in our own drawing of a model, what its boxes say, files, and what charts show."""
import subprocess
import sys
from itertools import combinations, pairwise
from math import dist

import matplotlib
import numpy as np
import pytest

from nblayers import callbacks, utils
from nblayers.callbacks.weight_history import histogram_of
from nblayers.layers import LSTM, Add, Concatenate, Dense, Dropout, Input, Subtract
from nblayers.models import Model, Sequential
from nblayers.utils.pictures import model_picture
from nblayers.utils.pictures.layered import SIDES, Box, End, arrange
from nblayers.utils.pictures.model_graph import Options, level_of

matplotlib.use("Agg")
EVERYTHING = Options(show_shapes=True, show_dtype=True, show_layer_names=True, show_layer_activations=True, show_trainable=True,
                     expand_nested=True)


def chain():
    return Sequential([Input((10, 4)), LSTM(3, return_sequences=True), Dropout(0.5), Dense(2, activation="softmax")])


def residual(blocks=12):
    x = entry = Input((4,))
    for _ in range(blocks):
        x = Add()([x, Dense(4)(Dense(4, activation="relu")(Dense(4)(x)))])
    return Model(entry, x)


def branches():
    image, table = Input((4,), name="image"), Input((3,), name="table")
    joined = Concatenate()([Dense(2)(image), Dense(2)(Dense(2)(image)), Dense(2)(Dense(3)(Dense(3)(image))), Dense(2)(table)])
    return Model([image, table], [Dense(1, name="price")(joined), Dense(5, name="kind")(joined)])


def dense_connections():
    found = [Input((4,))]
    for _ in range(5):
        found.append(Dense(4)(Concatenate()(list(found)) if len(found) > 1 else found[0]))
    return Model(found[0], found[-1])


def nested():
    entry = Input((4,))
    hidden = Dense(3)(entry)
    encoder = Model(entry, [Dense(2, name="mean")(hidden), Dense(2, name="spread")(hidden)], name="encoder")
    head = Sequential([Input((2,)), Dense(2), Dense(1)], name="head")
    decoder = Sequential([Input((2,)), Dense(2), head], name="a_decoder_with_a_long_name")
    x = Input((4,))
    return Model(x, decoder(Add()(encoder(x))))


def twins():
    twin = Sequential([Input((4,)), Dense(3)], name="twin")
    left, right = Input((4,), name="left"), Input((4,), name="right")
    return Model([left, right], Dense(1)(Subtract()([twin(left), twin(right)])))


def translation():
    source, target = Input((None, 3)), Input((None, 5))
    _, h, c = LSTM(2, return_state=True)(source)
    return Model([source, target], Dense(5)(LSTM(2, return_sequences=True)(target, initial_state=[h, c])))


def cycle():
    again, other = Dense(4, name="again"), Dense(4, name="other")
    x = Input((4,))
    return Model(x, Add()([again(other(again(again(x)))), x]))


def own_block():
    block = Sequential([Input((4,)), Dense(4)], name="block")
    x = Input((4,))
    return Model(x, block(block(x)))


MODELS = [chain, residual, branches, dense_connections, nested, twins, translation, cycle, own_block]
DIRECTIONS = pytest.mark.parametrize("direction", SIDES)


def drawn(model, direction="TB", options=EVERYTHING):
    level = level_of(model, options)
    return level, model_picture.drawing_of(level, direction)


def on_border(point, box):
    left, top, right, bottom = box.corners
    x, y = point
    inside = left - 0.01 <= x <= right + 0.01 and top - 0.01 <= y <= bottom + 0.01
    return inside and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) < 0.01


def way(points, steps=12):
    """Points along an edge as it is drawn, its S-shaped pieces taken as straight: both stay between the same ranks."""
    return [tuple(np.array(a) + (np.array(b) - a) * t) for a, b in pairwise(points)
            for t in np.linspace(0, 1, steps)]


@pytest.mark.parametrize("make", MODELS)
@DIRECTIONS
def test_boxes_lie_apart_and_edges_beside_them(make, direction):
    _, drawing = drawn(make(), direction)

    def check(drawing, frame):
        for a, b in combinations(drawing.boxes, 2):
            (l, t, r, d), (l2, t2, r2, d2) = a.corners, b.corners
            assert r < l2 or r2 < l or d < t2 or d2 < t
        for box in drawing.boxes:
            l, t, r, d = box.corners
            assert frame[0] <= l + 0.01 and frame[1] <= t + 0.01 and r <= frame[2] + 0.01 and d <= frame[3] + 0.01
            if box.inner is not None:
                check(box.inner, box.corners)
        for edge in drawing.edges:
            for box in drawing.boxes:
                l, t, r, d = box.corners
                assert not any(l + 0.1 < x < r - 0.1 and t + 0.1 < y < d - 0.1 for x, y in way(edge.points))
            for end, point in ((edge.start, edge.points[0]), (edge.end, edge.points[-1])):
                assert end.box is None or on_border(point, end.box)
    check(drawing, (0, 0, drawing.width, drawing.height))


@pytest.mark.parametrize("make", MODELS)
@DIRECTIONS
def test_every_edge_is_drawn_through_to_boxes(make, direction):
    """An edge to a frame goes on inside it from the same point of its border."""
    level, drawing = drawn(make(), direction)

    def check(level, drawing):
        assert len(drawing.edges) == len(level.edges) == len(set(level.edges))
        assert len(drawing.boxes) == len(level.items)
        for item, box in zip(level.items, drawing.boxes, strict=True):
            if item.inner is not None:
                for edge in drawing.edges:
                    if edge.start.box is edge.end.box:
                        continue
                    if edge.end.box is box:
                        assert any(inner.start == End(None, edge.end.port) and dist(inner.points[0], edge.points[-1]) < 0.01
                                   for inner in box.inner.edges)
                    if edge.start.box is box:
                        assert any(inner.end == End(None, edge.start.port) and dist(inner.points[-1], edge.points[0]) < 0.01
                                   for inner in box.inner.edges)
                check(item.inner, box.inner)
    check(level, drawing)


@pytest.mark.parametrize("make", [chain, residual, branches, nested, twins, translation])
def test_edges_that_need_not_cross_do_not(make):
    _, drawing = drawn(make())
    for edges in [drawing.edges, *(box.inner.edges for box in drawing.all_boxes() if box.inner is not None)]:
        for a, b in combinations(edges, 2):
            for p, q in zip(a.points, a.points[1:], strict=False):
                for s, t in zip(b.points, b.points[1:], strict=False):
                    if p[1] == s[1] and q[1] == t[1]:
                        assert (p[0] - s[0]) * (q[0] - t[0]) >= 0


def test_no_edge_goes_through_a_title():
    _, drawing = drawn(nested())
    for box in drawing.all_boxes():
        if box.inner is not None:
            left, *_ = box.corners
            right = left + model_picture.PADDING + model_picture.text_width(box.content[0][0].text, 11.0, True)
            assert all(x > right for edge in box.inner.edges if edge.start.box is None for x, _ in edge.points[:1])


def test_data_flow_in_the_direction():
    for direction, along in (("TB", lambda box: box.y), ("BT", lambda box: -box.y), ("LR", lambda box: box.x),
                             ("RL", lambda box: -box.x)):
        places = [along(box) for box in drawn(chain(), direction)[1].boxes]
        assert places == sorted(places) and len(set(places)) == 3


def test_a_long_edge_is_straight_beside_its_boxes():
    boxes = [Box(60, 20) for _ in range(6)]
    ends = [End(box) for box in boxes]
    long = arrange(boxes, [*pairwise(ends), (ends[0], ends[-1])]).edges[-1]
    assert len({round(x, 6) for x, _ in long.points[2:-2]}) == 1


def texts(level):
    return [cell.text for item in level.items for row in item.rows for cell in row]


def test_what_the_boxes_say():
    level, _ = drawn(translation(), options=Options(show_shapes=True))
    assert "Output shape: [(None, 2), (None, 2), (None, 2)]" in texts(level)
    assert "Input shape: [(None, None, 5), (None, 2), (None, 2)]" in texts(level)
    model = chain()
    model.layers[0].trainable = False
    level, _ = drawn(model)
    assert {"Activation: softmax", "Output dtype: float32", "Trainable", "Non-trainable"} <= {*texts(level)}
    assert texts(level_of(model, Options())) == ["LSTM", "Dropout", "Dense"]
    assert texts(level_of(twins(), Options(expand_nested=True)))[2] == "twin, called 2 times"
    assert "again (Dense), called 3 times" in texts(level_of(cycle(), Options(show_layer_names=True)))


class Own(Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = Dense(3)

    def forward(self, x, training=False):
        return self.dense.forward(x)

    def backward(self, dy):
        return self.dense.backward(dy)


def test_files_without_graphviz(monkeypatch, tmp_path):
    monkeypatch.setattr(model_picture.shutil, "which", lambda name: None)
    for name, begins in (("a.png", b"\x89PNG"), ("b", b"\x89PNG"), ("new/c.svg", b"<?xml"), ("d.pdf", b"%PDF")):
        utils.plot_model(chain(), tmp_path / name, show_shapes=True, dpi=40)
        assert (tmp_path / name).read_bytes().startswith(begins)
    own = Own()
    own(np.zeros((2, 4), "float32"))
    utils.plot_model(own, tmp_path / "own.png", show_shapes=True, dpi=40)
    assert (tmp_path / "own.png").exists()
    with pytest.raises(ValueError, match=r"plot_model: expected to_file to end in one of .*eps, .*png.*got '.*m.xyz'"):
        utils.plot_model(chain(), tmp_path / "m.xyz")


def test_too_large_for_one_image(monkeypatch, tmp_path):
    monkeypatch.setattr(model_picture.shutil, "which", lambda name: None)
    monkeypatch.setattr(model_picture, "LARGEST", 300)
    with pytest.warns(UserWarning, match="pixels are too many for one image"):
        utils.plot_model(chain(), tmp_path / "a.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "a.png").shape
    assert max(height, width) in (299, 300, 301)


def test_graphviz_gets_the_model(monkeypatch, tmp_path):
    given = {}

    def run(command, input, capture_output):
        given.update(command=command, text=input.decode())
        return subprocess.CompletedProcess(command, given["code"])
    monkeypatch.setattr(model_picture.shutil, "which", lambda name: "/usr/bin/dot")
    monkeypatch.setattr(model_picture.subprocess, "run", run)
    given["code"] = 0
    utils.plot_model(nested(), tmp_path / "a.pdf", expand_nested=True, rankdir="LR", splines="curved")
    assert given["command"] == ["dot", "-Tpdf", "-o", str(tmp_path / "a.pdf")] and not (tmp_path / "a.pdf").exists()
    text = given["text"]
    assert text.count("subgraph cluster") == 3 and "rankdir=LR" in text and "splines=curved" in text
    assert text.count("->") == 9 and text.count("{") == text.count("}")
    given["code"] = 1
    utils.plot_model(nested(), tmp_path / "a.pdf", expand_nested=True)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("arguments, kind, message", [
    ((Dense(2),), TypeError, "plot_model: expected a model, got Dense"),
    ((Sequential([Dense(2)]),), ValueError, "plot_model: expected a model that is built, got Sequential"),
    ((chain(), "m.png", "yes"), ValueError, "plot_model: expected show_shapes to be True or False, got 'yes'"),
    ((chain(), 5), ValueError, "plot_model: expected to_file to be a path, got 5")], ids=str)
def test_plot_model_errors(arguments, kind, message):
    with pytest.raises(kind, match=message):
        utils.plot_model(*arguments)
    with pytest.raises(ValueError, match="expected rankdir to be 'TB', 'BT', 'LR' or 'RL', got 'up'"):
        utils.plot_model(chain(), rankdir="up")
    with pytest.raises(ValueError, match="expected dpi to be a finite number above 0, got 0"):
        utils.plot_model(chain(), dpi=0)


def trained(epochs=4, **kwargs):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    model = Sequential([Input((3,)), Dense(2, activation="softmax")], name="m")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    watched = callbacks.WeightHistory(bins=5)
    history = model.fit(x, y, epochs=epochs, validation_split=0.2, verbose=0, callbacks=[watched], **kwargs)
    return model, history, watched


def test_history(tmp_path):
    _, history, _ = trained(validation_freq=2)
    figure = history.plot(path=tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_ylabel() for axes in figure.axes] == ["Loss", "Accuracy"]
    training, validation = figure.axes[0].lines
    np.testing.assert_array_equal(training.get_data(), ([1, 2, 3, 4], history.history["loss"]))
    np.testing.assert_array_equal(validation.get_data(), ([2, 4], history.history["val_loss"]))
    assert training.get_linestyle() != validation.get_linestyle()
    with pytest.raises(ValueError, match=r"History\.plot: no epoch has been recorded yet"):
        callbacks.History().plot()
    with pytest.raises(ValueError, match=r"History\.plot: expected path to end in one of .*png"):
        history.plot(path=tmp_path / "a.txt")


def test_a_history_of_two_trainings():
    history = callbacks.History()
    for _ in range(2):
        history.on_train_begin()
        for epoch in range(3):
            history.on_epoch_end(epoch, {"loss": 1.0})
    assert history.epochs_of("loss") == [1, 2, 3, 4, 5, 6]


def test_weights_and_gradients():
    model, _, watched = trained()
    assert list(watched.weights) == list(watched.gradients) == [weight.path for weight in model.weights]
    last = watched.weights["dense/kernel" if "dense/kernel" in watched.weights else next(iter(watched.weights))][-1]
    counts, edges = np.histogram(model.weights[0].value.astype(float), 5)
    np.testing.assert_array_equal(last.counts, counts)
    np.testing.assert_allclose(last.edges, edges)
    np.testing.assert_allclose(watched.gradients[model.weights[0].path][-1].median, np.median(model.weights[0].grad))
    assert last.epoch == 3 and last.not_finite == 0
    figure = utils.plot_weights(watched)
    assert [axes.get_title() for axes in figure.axes] == [weight.path for weight in model.weights]
    matplotlib.pyplot.close(figure)
    with pytest.raises(ValueError, match=r"plot_gradients: expected names among .* got \['b'\]"):
        utils.plot_gradients(watched, names=["b"])
    with pytest.raises(ValueError, match="plot_weights: no weights have been recorded"):
        utils.plot_weights(callbacks.WeightHistory())
    with pytest.raises(TypeError, match="plot_weights: expected a WeightHistory, got History"):
        utils.plot_weights(callbacks.History())
    with pytest.raises(ValueError, match="WeightHistory: expected a positive integer as bins, got 0"):
        callbacks.WeightHistory(0)


@pytest.mark.parametrize("values, counts, median, not_finite", [
    ([2.0, 2.0], 2, 2.0, 0), ([np.nan, np.inf], 0, np.nan, 2), ([1.0, np.nan, 2.0], 2, 1.5, 1), (5.0, 1, 5.0, 0),
    ([1.0, np.nextafter(1.0, 2.0)], 2, 1.0, 0)], ids=str)
def test_histograms_of_odd_numbers(values, counts, median, not_finite, tmp_path):
    one = histogram_of(0, np.array(values), 7)
    assert one.counts.sum() == counts and one.counts.shape == (7,) and one.edges.shape == (8,)
    np.testing.assert_allclose(one.median, median)
    assert one.not_finite == not_finite
    watched = callbacks.WeightHistory()
    watched.weights = {"w": [one, histogram_of(1, np.arange(5.0), 7)]}
    utils.plot_weights(watched, path=tmp_path / "w.svg")


def shown_matrix(figure):
    return figure.axes[0].images[0].get_array().data


LABELS = np.array([0, 1, 2, 2, 1, 0, 2])
GUESSES = np.array([0, 2, 2, 2, 1, 1, 0])


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_confusion_matrix(normalize, one_hot, tmp_path):
    from sklearn.metrics import confusion_matrix
    y, guess = (np.eye(3)[LABELS], 0.7 * np.eye(3)[GUESSES] + 0.1) if one_hot else (LABELS, GUESSES[:, None])
    figure = utils.plot_confusion_matrix(y, guess, ["a", "b", "$c$"], normalize, path=tmp_path / "c.svg")
    expected = confusion_matrix(LABELS, GUESSES, normalize=normalize)
    np.testing.assert_allclose(shown_matrix(figure), expected)
    written = [float(text.get_text()) for text in figure.axes[0].texts]
    np.testing.assert_allclose(written, np.ravel(expected), atol=0.005)


def test_confusion_of_texts_probabilities_and_matrices(tmp_path):
    texts = [["cat", "dog", "dog"], ["dog", "dog", "cat"]]
    figure = utils.plot_confusion_matrix(*texts, path=tmp_path / "a.png")
    np.testing.assert_array_equal(shown_matrix(figure), [[0, 1], [1, 1]])
    figure = utils.plot_confusion_matrix(*texts, labels=["dog", "cat"], path=tmp_path / "a.png")
    np.testing.assert_array_equal(shown_matrix(figure), [[1, 1], [1, 0]])
    figure = utils.plot_confusion_matrix([0, 1, 1], [[0.1], [0.5], [0.2]], path=tmp_path / "a.png")
    np.testing.assert_array_equal(shown_matrix(figure), [[1, 0], [1, 1]])
    figure = utils.plot_confusion_matrix(np.ones((40, 40)), path=tmp_path / "a.png")
    assert shown_matrix(figure).shape == (40, 40) and not figure.axes[0].texts


@pytest.mark.parametrize("arguments, message", [
    (([0.5], [1]), "expected y_true to hold whole numbers from 0 .* got 0.5"), (([-1], [0]), "got -1"),
    (([0, 1], [0]), "got 2 true and 1 predicted classes"), (([0, 3], [0, 1], ["a", "b"]), "expected 4 labels or more, got 2"),
    ((np.ones((2, 3)),), r"expected a square matrix, or y_true and y_pred, got one array of shape \(2, 3\)"),
    ((np.eye(3), None, ["a"]), "expected 3 labels, one for each class, got 1"),
    ((["a"], ["b"], ["a"]), r"expected classes among the labels \['a'\], got \['b'\]"),
    (([1], [1], None, "rows"), "expected normalize to be None, 'true', 'pred' or 'all', got 'rows'"),
    (([[[1]]], [1]), r"expected y_true of shape \(n,\), \(n, 1\) or \(n, classes\), got \(1, 1, 1\)")], ids=str)
def test_confusion_errors(arguments, message):
    with pytest.raises(ValueError, match=f"plot_confusion_matrix: .*{message}"):
        utils.plot_confusion_matrix(*arguments)


def test_attention(tmp_path):
    scores = np.random.default_rng(0).random((2, 3, 5, 5)).astype("float32")
    words = ["the", "cat", "$sat$", "down", "."]
    figure = utils.plot_attention(scores[0], words, keys=words, path=tmp_path / "a.png")
    for head in range(3):
        axes = figure.axes[head]
        np.testing.assert_array_equal(axes.images[0].get_array(), scores[0, head])
        assert axes.get_title() == f"Head {head}"
        assert [tick.get_text().replace("\\", "") for tick in axes.get_xticklabels()] == words
    with pytest.raises(ValueError, match=r"plot_attention: expected scores of shape .* got \(2, 3, 5, 5\); give one sample's"):
        utils.plot_attention(scores)
    with pytest.raises(ValueError, match="plot_attention: expected 5 names as keys, one for each, got 2"):
        utils.plot_attention(scores[0], keys=["a", "b"])
    with pytest.raises(ValueError, match="plot_attention: expected finite scores"):
        utils.plot_attention([[np.nan]])


def test_saved_figures_are_not_kept_open(tmp_path):
    import matplotlib.pyplot as plt
    plt.close("all")
    utils.plot_attention(np.eye(2), path=tmp_path / "a.png")
    assert not plt.get_fignums()
    figure = utils.plot_attention(np.eye(2))
    assert plt.get_fignums() == [figure.number]
    plt.close("all")


def test_matplotlib_is_imported_only_when_used():
    code = ("import sys, nblayers.utils, nblayers.callbacks; from nblayers.utils import plot_model, plot_attention; "
            "print('matplotlib' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
