"""Small trained layers to look at: what `nblayers microscope NAME` opens."""
import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nblayers import layers, models, optimizers, utils
from nblayers.devices import device
from nblayers.layers import Layer
from nblayers.learn import catalogue
from nblayers.learn.microscope.view import view
from nblayers.learn.trace import trace

SONG = ("row, row, row your boat, gently down the stream, merrily, merrily, merrily, merrily, life is but a dream. "
        "row, row, row your boat, gently up the creek, if you see a little mouse, do not forget to squeak. ") * 2
STEPS = 12                              # characters that are read
UNITS = 8
TEXT = 20_000                           # characters of a text that are learnt
VOWELS = "aeiou"


class UnknownExample(LookupError):
    """No example goes by that name; the text says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class Example:
    """A layer that was trained, and one forward and backward of it.

    Attributes:
        title: what it is and does.
        trace: of the layer, and perhaps of others.
        layer: the layer's name in the trace.
        labels: what stands at each time step, or none.
    """

    title: str
    trace: trace
    layer: str
    labels: list[str] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """What the microscope shows of it."""
        return view(self.trace, self.layer, self.title, labels=self.labels)


def example(name: str, text: str | None = None, seed: int = 0) -> Example:
    """Train a small layer in a few seconds, and trace one forward and backward of it.

    Arguments:
        name: one of NAMES.
        text: what the recurrent ones learn to go on with; a song by default.

    Raises:
        UnknownExample: no such name.
        ValueError: the text is too short, or the layer reads none.
    """
    known = name.lower().replace("-", "_")
    if known not in MAKERS:
        near = difflib.get_close_matches(known, MAKERS, 1, 0.4)
        raise UnknownExample(f"no example is called {name!r}{f'; do you mean {near[0]}?' if near else '.'} "
                             f"There are {', '.join(MAKERS)}")
    if text is not None and known not in RECURRENT:
        raise ValueError(f"microscope: {known} reads no text; {', '.join(RECURRENT)} do")
    utils.set_random_seed(seed)
    with device("reference"):           # nothing to compile, and its lines are what one sees
        return RECURRENT[known](text) if known in RECURRENT else OTHERS[known]()


def _of_text(title: str, make: Callable[[], Layer], blanks: bool = False) -> Callable[[str | None], Example]:
    """An example of a layer that reads characters and tells the next ones; or with `blanks` the vowels that were taken out."""
    def made(text: str | None) -> Example:
        read, asked, chars = _windows(text, blanks)
        embedding, layer, dense = layers.Embedding(len(chars), 6), make(), layers.Dense(len(chars))
        _fit(models.Sequential([embedding, layer, dense]), [read], asked, 250)
        x, wanted = embedding.forward(read[:3]), asked[:3]
        layer.zero_grad()
        with trace() as recorded:
            logits = dense.forward(layer.forward(x))
            layer.backward(dense.backward(_slope(logits, wanted)))
        what = "tells the vowels that were taken out" if blanks else "tells the next character"
        return Example(f"{title} {what}", recorded, layer.name, [chars[i] for i in read[0]])
    return made


def _windows(text: str | None, blanks: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What is read and what is asked, (windows, STEPS) numbers of characters; and the characters."""
    clean = " ".join((SONG if text is None else text[:TEXT]).split())
    if len(clean) < 4 * STEPS:
        raise ValueError(f"microscope: expected a text of {4 * STEPS} characters or more, got {len(clean)}")
    given = "".join("_" if blanks and char in VOWELS else char for char in clean)
    chars = sorted({*clean, *given})
    windows = np.lib.stride_tricks.sliding_window_view
    read = windows([chars.index(char) for char in given], STEPS)
    asked = windows([chars.index(char) for char in clean], STEPS)
    return (read, asked, chars) if blanks else (read[:-1], asked[1:], chars)


def _fit(model: Any, inputs: list[np.ndarray], wanted: np.ndarray, batches: int) -> None:
    """Some batches of training, by hand: forward, the loss's slope, backward, a step."""
    optimizer, chooser = optimizers.Adam(0.02), np.random.default_rng(0)
    for _ in range(batches):
        chosen = chooser.integers(len(wanted), size=32)
        given = [one[chosen] for one in inputs]
        logits = model.forward(given if len(given) > 1 else given[0], training=True)
        model.zero_grad()
        model.backward(_slope(logits, wanted[chosen]))
        weights = model.trainable_weights
        optimizer.apply([weight.grad for weight in weights], weights)


def _slope(logits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The gradient of the mean cross-entropy."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return (p - np.eye(logits.shape[-1], dtype=p.dtype)[wanted]) / wanted.size


def _attention() -> Example:
    """Queries and keys learn where the characters of a reversed row stand."""
    steps, tokens = 6, 5
    row = np.random.default_rng(0).integers(tokens, size=(400, steps))
    x = layers.Input((steps,), dtype="int32")
    place = layers.Input((steps,), dtype="int32")
    both = layers.Add()([layers.Embedding(tokens, 8)(x), layers.Embedding(steps, 8)(place)])
    attention = layers.Attention(use_scale=True, name="attention")
    query, key, value = (layers.Dense(8, use_bias=False)(both) for _ in range(3))
    logits = layers.Dense(tokens)(attention([query, value, key]))
    model = models.Model([x, place], logits)
    places = np.tile(np.arange(steps), (len(row), 1))
    _fit(model, [row, places], row[:, ::-1], 150)
    with trace() as recorded:
        model.backward(_slope(model.forward([row[:1], places[:1]]), row[:1, ::-1]))
    return Example("Attention turns a row round", recorded, "attention")


def _digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(catalogue.HOME / "digits.npz") as found:
        names = list(found)
        images = next(found[name] for name in names if found[name].ndim > 1)
        numbers = next(found[name] for name in names if found[name].ndim == 1)
    return images.reshape(len(images), 8, 8, 1)[:300].astype("float32") / images.max(), numbers[:300].astype(int)


def _of_digits(title: str, shown: str) -> Callable[[], Example]:
    def made() -> Example:
        images, numbers = _digits()
        model = models.Sequential([layers.Conv2D(2, 3, activation="relu", name="convolution"),
                                   layers.MaxPooling2D(2, name="max_pooling"), layers.Flatten(), layers.Dense(10)])
        _fit(model, [images], numbers, 40)
        with trace() as recorded:
            model.backward(_slope(model.forward(images[:1]), numbers[:1]))
        return Example(title, recorded, shown)
    return made


def _batch_norm() -> Example:
    images, numbers = _digits()
    model = models.Sequential([layers.Flatten(), layers.Dense(6), layers.BatchNormalization(name="batch_norm"),
                               layers.Activation("relu"), layers.Dense(10)])
    _fit(model, [images], numbers, 60)
    with trace() as recorded:
        model.backward(_slope(model.forward(images[:8], training=True), numbers[:8]))
    return Example("Batch normalisation inside a reader of digits", recorded, "batch_norm")


RECURRENT: dict[str, Callable[[str | None], Example]] = {
    "simple_rnn": _of_text("A SimpleRNN", lambda: layers.SimpleRNN(UNITS, return_sequences=True)),
    "lstm": _of_text("An LSTM", lambda: layers.LSTM(UNITS, return_sequences=True)),
    "gru": _of_text("A GRU", lambda: layers.GRU(UNITS, return_sequences=True)),
    "gru_reset_before": _of_text("A GRU whose reset gate acts first",
                                 lambda: layers.GRU(UNITS, return_sequences=True, reset_after=False)),
    "bidirectional": _of_text("A bidirectional LSTM", lambda: layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True)),
                              blanks=True)}
OTHERS: dict[str, Callable[[], Example]] = {
    "attention": _attention, "convolution": _of_digits("A convolution reads a digit", "convolution"),
    "max_pooling": _of_digits("Max pooling between a convolution and the classes", "max_pooling"), "batch_norm": _batch_norm}
MAKERS = [*RECURRENT, *OTHERS]
