"""What a learner's layer is trained on: small real tasks that NumPy does in about a minute."""
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Make = Callable[..., Any]               # makes the layer: the learner's, or the library's with the same options


@dataclass
class Text:
    """Which character comes next? Lesson 08's text model, smaller: Embedding, the layer, Dense with softmax."""

    units: int
    length: int = 20
    steps: int = 1000
    batch_size: int = 32
    rate: float = 0.01
    loss: str = "sparse_categorical_crossentropy"
    ylabel: str = "bits a character"
    scale: float = float(1 / np.log(2))
    about: str = "which character comes next, in the texts of Python's own help"
    room: str = "reference"             # of the library's model

    @cached_property
    def text(self) -> str:
        from pydoc_data.topics import topics
        paragraphs = [" ".join(paragraph.split()) for topic in topics.values() for paragraph in topic.split("\n\n")]
        prose = [p for p in paragraphs if sum(c.isalpha() or c == " " for c in p) > 0.9 * len(p)]
        return "\n".join(prose)[:150_000].lower()

    @cached_property
    def coded(self) -> tuple[np.ndarray, np.ndarray]:
        """The characters, and the text as their numbers."""
        chars, code = np.unique(list(self.text), return_inverse=True)
        return chars, code

    @cached_property
    def windows(self) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(self.coded[1], self.length + 1)[::self.length]

    def layers(self, make: Make) -> list[Any]:
        from nblayers.layers import Dense, Embedding
        count = len(self.coded[0])
        return [Embedding(count, 24), make(self.units, return_sequences=True), Dense(count, activation="softmax")]

    def batch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Windows of the first nine tenths of the text, and for each character the next one."""
        rows = self.windows[rng.integers(len(self.windows) * 9 // 10, size=self.batch_size)]
        return rows[:, :-1], rows[:, 1:]

    def results(self, model: Any) -> list[str]:
        """What the model has learned: its loss on text that it has not read, and some text of its own."""
        chars, code = self.coded
        unread = self.windows[len(self.windows) * 9 // 10:]
        bits = model.test_on_batch(unread[:, :-1], unread[:, 1:]) * self.scale
        share = np.bincount(code) / len(code)
        frequencies = -np.sum(share * np.log2(share))
        written = textwrap.fill("".join(chars[self.write(model)]), 76, initial_indent="    ", subsequent_indent="    ")
        return [f"On text that it has not read: {bits:.2f} bits a character. "
                f"With nothing but the shares of the characters it would be {frequencies:.2f}.",
                "It writes (temperature 0.5, begun with the last line of the text):", "", written]

    def write(self, model: Any, count: int = 300, temperature: float = 0.5) -> np.ndarray:
        rng = np.random.default_rng(0)
        written = list(self.windows[-1, :-1])
        for _ in range(count):
            p = model.predict_on_batch(np.array([written[-self.length:]]))[0, -1].astype("float64")
            p = np.exp(np.log(np.maximum(p, 1e-30)) / temperature)
            written.append(rng.choice(len(p), p=p / p.sum()))
        return np.array(written)


@dataclass
class Looking(Text):
    """Which character comes next? With attention: Embedding, a vector for each place, the layer, Dense layers."""

    heads: int = 4

    def layers(self, make: Make) -> list[Any]:
        from nblayers.layers import Dense, Embedding
        count = len(self.coded[0])
        return [Embedding(count, self.units), _place(), make(self.heads, self.units // self.heads, causal=True),
                Dense(2 * self.units, activation="relu"), Dense(count, activation="softmax")]


def _place() -> Any:
    """A layer that adds a learned vector to each step: without it attention knows no order."""
    from nblayers.layers import Layer

    class Place(Layer):
        def build(self, input_shape: Any) -> None:
            self.vectors = self.add_weight(input_shape[1:], initializer="uniform", name="vectors")

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x + self.vectors.value

        def backward(self, dy: np.ndarray) -> np.ndarray:
            self.vectors.grad += dy.sum(axis=0)
            return dy

    return Place()


@dataclass
class Digits:
    """Which digit is it? 8 × 8 points, 1,797 of them.

    Arguments:
        plan: given `make`, the layers: the layer under test, others, and names of some: "relu", "flatten", "dense" (10 units).
        flat: whether the images come as 64 numbers.
        softmax: whether a softmax of the library comes last.
    """

    plan: Callable[[Make], Sequence[Any]]
    flat: bool = False
    softmax: bool = False
    steps: int = 600
    batch_size: int = 32
    rate: float = 0.005
    loss: str = "sparse_categorical_crossentropy"
    ylabel: str = "loss"
    scale: float = 1.0
    about: str = "which digit is it, 8 × 8 points"
    room: str = "reference"             # of the library's model

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        from lessons.data import digits
        images, labels = digits()
        x = images / 16
        return x.reshape(-1, 64) if self.flat else x[..., None], labels

    def layers(self, make: Make) -> list[Any]:
        from nblayers.layers import Activation, Dense, Flatten
        named: dict[str, Callable[[], Any]]
        named = {"relu": lambda: Activation("relu"), "flatten": Flatten, "dense": lambda: Dense(10)}
        layers = [named[layer]() if isinstance(layer, str) else layer for layer in self.plan(make)]
        return [*layers, Activation("softmax")] if self.softmax else layers

    def batch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Of the first 1,500."""
        x, labels = self.data
        chosen = rng.integers(1500, size=self.batch_size)
        return x[chosen], labels[chosen]

    def results(self, model: Any) -> list[str]:
        x, labels = self.data[0][1500:], self.data[1][1500:]
        guessed = model.predict_on_batch(x).argmax(axis=1)
        wrong = np.flatnonzero(guessed != labels)
        often = np.bincount(labels).max() / len(labels)
        lines = [f"Of {len(labels)} digits that it has not seen it reads {np.mean(guessed == labels):.1%} rightly; "
                 f"who always says the most frequent one, {often:.1%}."]
        if len(wrong):
            k = wrong[0]
            lines += [f"A {labels[k]} that it took for a {guessed[k]}:", "",
                      *("    " + "".join(" .:oO@"[int(v * 5.99)] * 2 for v in row) for row in x[k].reshape(8, 8))]
        return lines


@dataclass
class Adding:
    """Two of the numbers in a sequence are marked: what is their sum? The first one has to be remembered."""

    units: int
    length: int = 10
    steps: int = 1500
    batch_size: int = 64
    rate: float = 0.003
    loss: str = "mse"
    ylabel: str = "mean squared error"
    scale: float = 1.0
    about: str = "the sum of two marked numbers among ten"
    room: str = "reference"             # of the library's model

    def layers(self, make: Make) -> list[Any]:
        from nblayers.layers import Dense
        return [make(self.units), Dense(1)]

    def batch(self, rng: np.random.Generator, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Each step holds a number from 0 to 1 and a mark; one mark lies in the first half, one in the second."""
        N, half = count or self.batch_size, self.length // 2
        numbers, marks = rng.uniform(size=(N, self.length)), np.zeros((N, self.length))
        rows = np.arange(N)
        marks[rows, rng.integers(half, size=N)] = 1
        marks[rows, half + rng.integers(half, size=N)] = 1
        return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1, keepdims=True)

    def results(self, model: Any) -> list[str]:
        x, y = self.batch(np.random.default_rng(1), 1000)
        off = np.abs(model.predict_on_batch(x) - y)
        return [f"On 1000 new sequences its sums are off by {off.mean():.3f} on average; who always says 1 is off by "
                f"{np.abs(1 - y).mean():.3f}."]
