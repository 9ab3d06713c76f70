"""The layers of document 001, section 12: noise in training, against learning by heart."""
from typing import Any

import numpy as np

from nblayers.layers.base import Layer, Record
from nblayers.random import SeedGenerator


class Dropout(Layer):
    r"""Sets a random part of the values to zero in training; at other times it does nothing.

        m \sim \text{Bernoulli}(1 - r)          (1)    r is the rate
        y = m\, x / (1 - r)                     (2)

    The document leaves out the factor 1/(1 - r), by which the expected value of y is x. Input and output have any shape.

    Arguments:
        rate: r, the part that is dropped, from 0 to 1.
        noise_shape: shape of m, None for the input's own size; where it is 1, one draw counts for the whole axis:
            (None, 1, None) drops the same features at every step of a sequence.
        seed: an integer fixes the sequence of masks; each call in training draws the next. Without one it comes from
            `nblayers.utils.set_random_seed`.

    Raises:
        ValueError: rate outside [0, 1]; noise_shape is not made of positive integers and None, or does not fit the input; seed
            is not an integer.

    Source: 001.12.Dropout; Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    supports_masking = True

    class Cache(Record):
        m: np.ndarray | None        # as x, bool; None where nothing was dropped

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate <= 1:
            raise ValueError(f"{self.described}: expected a rate from 0 to 1, got {rate!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise ValueError(f"{self.described}: expected an integer as seed, got {seed!r}")
        self.rate = rate
        self.seed = seed
        self.noise_shape = self._checked_shape(noise_shape)
        self.seed_generator = SeedGenerator(None if seed is None else int(seed) % 2**64)
        self.built = True

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        if not training or self.rate == 0:
            self.cache = self.Cache(None)
            return inputs
        m = self._draw(inputs.shape)                        # (1)
        self.cache = self.Cache(m)
        return self._apply(m, inputs)                       # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        m = self.cache.m
        return dy if m is None else self._apply(m, dy)      # from (2)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        noise_shape = self.noise_shape or shape
        drawn = tuple(n if size is None else size for size, n in zip(noise_shape, shape, strict=False))
        last = shape[len(shape) - len(drawn):]
        if len(noise_shape) > len(shape) or any(size not in (1, n) for size, n in zip(drawn, last, strict=True)):
            raise ValueError(f"{self.described}: expected an input that noise_shape {noise_shape} can be spread over, "
                             f"got shape {shape}")
        m = self.xp.empty(drawn, bool)
        threshold = np.uint64(round(self.rate * 2**32))
        key = np.uint64(self.seed_generator.generator.bit_generator.random_raw())
        self.kernels.regularization.dropout_mask(key, threshold, m.reshape(-1))
        return m if drawn == shape else self.xp.ascontiguousarray(self.xp.broadcast_to(m, shape))

    def _apply(self, m: Any, x: Any) -> Any:
        y = self.xp.empty_like(x)
        scale = x.dtype.type(0 if self.rate == 1 else 1 / (1 - self.rate))
        self.kernels.regularization.dropout_apply(x.reshape(-1), m.reshape(-1), scale, y.reshape(-1))
        return y

    def _checked_shape(self, noise_shape: Any) -> tuple[int | None, ...] | None:
        if noise_shape is None:
            return None
        sizes = tuple(noise_shape) if isinstance(noise_shape, (list, tuple, np.ndarray)) else ()
        if not sizes or not all(n is None or (isinstance(n, (int, np.integer)) and n > 0) for n in sizes):
            raise ValueError(f"{self.described}: expected noise_shape of positive integers and None, got {noise_shape!r}")
        return tuple(None if n is None else int(n) for n in sizes)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}


__all__ = ["Dropout"]
