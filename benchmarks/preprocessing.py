"""Preprocessing layers: nblayers against Keras on its fastest backend, or TensorFlow's own layer where Keras calls that.

Each function gives cases by name; a case is a layer made from a library's module of layers, and what it is given.
"""
import os
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from alternate import Cases, compare


class Case(NamedTuple):
    """A layer: how it is made of the layers of nblayers or Keras, and what it is given."""

    name: str
    make: Callable[[Any], Any]
    inputs: Callable[[], Any]
    call: str = "__call__"


WORDS, KNOWN = 20_000, 10_000


def words(count: int = WORDS) -> list[str]:
    """So many words, all different, as long as English ones are."""
    letters = random.Random(0)
    made = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(3, 10))) for _ in range(count * 11 // 10)]
    return list(dict.fromkeys(made))[:count]


def drawn(*shape: int) -> np.ndarray:
    """Words as often as in a language: the n-th a factor n rarer than the first."""
    rarity = 1 / np.arange(1, WORDS + 1)
    return np.array(words(), object)[np.random.default_rng(0).choice(WORDS, shape, p=rarity / rarity.sum())]


def sentences(count: int, length: int = 20) -> list[str]:
    """Sentences with capitals, commas and full stops."""
    return [" ".join(word + "," * (n % 7 == 6) for n, word in enumerate(row)).capitalize() + "."
            for row in drawn(count, length)]


def text() -> Iterator[Case]:
    """From text to numbers."""
    def vectorize(layers: Any, **options: Any) -> Any:
        return layers.TextVectorization(vocabulary=words()[:KNOWN], **options)

    def look_up(layers: Any) -> Any:
        return layers.StringLookup(vocabulary=words()[:KNOWN])

    def to_adapt(layers: Any) -> Any:
        return layers.TextVectorization(max_tokens=KNOWN)
    few = partial(sentences, 20_000)
    many = partial(sentences, 100_000)
    yield Case("TextVectorization 100000x20, array of objects", vectorize, lambda: np.array(many(), object))
    yield Case("TextVectorization 100000x20, array of str", vectorize, lambda: np.array(many()))
    yield Case("TextVectorization 100000x20, list", vectorize, many)
    yield Case("TextVectorization 20000x20, 2-grams", partial(vectorize, ngrams=2), lambda: np.array(few()))
    yield Case("TextVectorization 20000x20, characters", partial(vectorize, split="character"), lambda: np.array(few()))
    yield Case("TextVectorization 32x20, list", vectorize, partial(sentences, 32))
    yield Case("TextVectorization.adapt 20000x20, array of str", to_adapt, lambda: np.array(few()), "adapt")
    yield Case("StringLookup 1000000, array of objects", look_up, lambda: drawn(1_000_000))
    yield Case("StringLookup 1000000, array of str", look_up, lambda: drawn(1_000_000).astype(str))
    yield Case("IntegerLookup 1000000", lambda layers: layers.IntegerLookup(vocabulary=np.arange(0, 3 * KNOWN, 3)),
               lambda: np.random.default_rng(0).integers(0, 3 * KNOWN, 1_000_000))


AUGMENTATIONS = {"RandomFlip": ("horizontal",), "RandomRotation": (0.1,), "RandomZoom": (0.2,), "RandomContrast": (0.2,)}


def augmented_by(names: Sequence[str], layers: Any) -> Callable[[Any], Any]:
    """These layers one after the other, in training."""
    chain = [getattr(layers, name)(*AUGMENTATIONS[name]) for name in names]

    def run(x: Any) -> Any:
        for layer in chain:
            x = layer(x, training=True)
        return x
    return in_a_graph(layers, run)


def in_a_graph(layers: Any, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """In a graph of TensorFlow Keras' layers compute in TensorFlow, where they are fastest, whatever the backend."""
    if layers.__name__.startswith("nblayers"):
        return run
    import tensorflow as tf
    return tf.function(run)


@cache
def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def images() -> Iterator[Case]:
    """Images that are changed at random, and brought to another size."""
    shape = (64, 224, 224, 3)
    for names in (*((name,) for name in AUGMENTATIONS), tuple(AUGMENTATIONS)):
        yield Case(f"{', '.join(name.removeprefix('Random').lower() for name in names)} {'x'.join(map(str, shape))}",
                   partial(augmented_by, names), partial(pictures, *shape))
    yield Case("resizing 64x256x256x3 to 224x224", lambda layers: in_a_graph(layers, layers.Resizing(224, 224)),
               partial(pictures, 64, 256, 256, 3))


def cases() -> Iterator[Case]:
    yield from text()
    yield from images()


def made(layers: Any) -> Cases:
    """What to time; layer and input of a case are made in its first run, which is not counted."""
    def run(case: Case) -> Callable[[], object]:
        ready = cache(lambda: partial(getattr(case.make(layers), case.call), case.inputs()))
        return lambda: ready()()
    return {case.name: run(case) for case in cases()}


def ours() -> Cases:
    from nblayers import layers
    return made(layers)


def theirs() -> Cases:
    os.environ["KERAS_BACKEND"] = "jax"
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["OMP_NUM_THREADS"]))
    from keras import layers
    return made(layers)


if __name__ == "__main__":
    compare("Preprocessing", {"nblayers": ours, "Keras": theirs}, target=1.0)
