r"""Document 004's attention layer, with its backward written by hand: a worked example of a layer of your own.

An LSTM gives a vector x_t for every time step. Instead of keeping only the last, this layer gives each step a score, makes the
scores into weights that sum to 1, and returns the weighted sum:

    e_t = \tanh(x_t W + b_t)                    (1)     the score: a number for each step
    a_t = \exp(e_t) / \sum_s \exp(e_s)          (2)     softmax over time
    y = \sum_t a_t x_t                          (3)

Backward is the same upwards. x is used twice, in (3) and in (1), so that its gradient has two shares:

    da_t = x_t \cdot dy                         (4)     from (3)
    dx_t = a_t dy + de_t (1 - e_t^2) W^T        (5)     from (3) and (1)
    de_t = a_t (da_t - \sum_s a_s da_s)         (6)     from (2): raising one weight lowers all others

    python examples/attention_layer.py          checks the gradient, trains, shows where the layer looks
"""
from typing import Any

import numpy as np

import nblayers
from nblayers.layers import LSTM, Dense, Input, Layer
from nblayers.layers.base import Record
from nblayers.models import Model


class AttentionLayer(Layer):
    """The sum of a sequence's vectors, each weighed by how much it matters.

    Input (B, T, D), output (B, D). Weights: W (D, 1), b (T, 1): a bias for every time step, so that the first
    call fixes T.

    Source: 004.Attention.
    """

    class Cache(Record):
        x: np.ndarray           # (B, T, D)
        e: np.ndarray           # (B, T, 1)
        a: np.ndarray           # (B, T, 1), the attention: sums to 1 over time

    def build(self, input_shape: Any) -> None:
        _, T, D = input_shape
        self.W = self.add_weight(name="att_weight", shape=(D, 1), initializer="normal")
        self.b = self.add_weight(name="att_bias", shape=(T, 1), initializer="zeros")

    def forward(self, x: Any) -> Any:
        e = np.tanh(x @ self.W.value + self.b.value)                    # (1)
        exp = np.exp(e)                                                 # |e| < 1: no overflow
        a = exp / exp.sum(axis=1, keepdims=True)                        # (2)
        self.cache = self.Cache(x, e, a)
        return (x * a).sum(axis=1)                                      # (3)

    def backward(self, dy: Any) -> Any:
        x, e, a = self.cache.x, self.cache.e, self.cache.a
        dy = dy[:, None, :]                                             # (B, 1, D): the same for every step
        da = (x * dy).sum(axis=2, keepdims=True)                        # from (3)
        de = a * (da - (a * da).sum(axis=1, keepdims=True))             # from (2)
        dz = de * (1 - e ** 2)                                          # from (1), z = x W + b
        self.W.grad += (x * dz).sum(axis=(0, 1))[:, None]               # from (1)
        self.b.grad += dz.sum(axis=0)                                   # from (1)
        return a * dy + dz @ self.W.value.T                             # from (3) and (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        B, _, D = input_shape
        return B, D


def marked_numbers(samples: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of (number, mark): the target is the one number that is marked."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.normal(size=(samples, steps)), np.zeros((samples, steps))], axis=2)
    marked = rng.integers(0, steps, samples)
    x[np.arange(samples), marked, 1] = 1
    return x.astype("float32"), x[np.arange(samples), marked, 0].astype("float32")


def main() -> None:
    nblayers.utils.set_random_seed(0)
    print(nblayers.gradcheck(AttentionLayer(), np.random.default_rng(0).normal(size=(2, 5, 3))))

    x, y = marked_numbers(600, 12, seed=0)
    inputs = Input(shape=(12, 2))
    lstm_out = LSTM(16, return_sequences=True)(inputs)
    attention = AttentionLayer()
    model = Model(inputs, Dense(1)(attention(lstm_out)))
    model.compile(optimizer=nblayers.optimizers.Adam(0.01), loss="mse")
    history = model.fit(x, y, epochs=40, batch_size=32, verbose=0).history["loss"]
    print(f"loss {history[0]:.3f} -> {history[-1]:.3f}")

    x, y = marked_numbers(3, 12, seed=1)
    predicted = model.predict(x, verbose=0)[:, 0]
    for sequence, weights, target, guess in zip(x, attention.cache.a[..., 0], y, predicted, strict=True):
        shown = " ".join(f"{weight:.2f}{'*' if mark else ' '}" for weight, mark in zip(weights, sequence[:, 1], strict=True))
        print(f"{shown}  target {target:5.2f}, predicted {guess:5.2f}")


if __name__ == "__main__":
    main()
