"""The layers of document 001, section 12: noise in training, against learning by heart."""
import math
from typing import Any

import numpy as np

from nblayers import regularizers, sharing
from nblayers.arguments import number
from nblayers.layers import windows
from nblayers.layers.base import Layer, Record
from nblayers.layers.dropping import draw, dropped, mask, scale_of
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.random import SeedGenerator


class Noise(Layer):
    """The base of layers that draw random numbers in training, with a seed of their own."""

    supports_masking = True
    input_spec = InputSpec()

    def _keep_seed(self, seed: int | None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise ValueError(f"{self.described}: expected an integer as seed, got {seed!r}")
        self.seed = seed
        self.seed_generator = SeedGenerator(None if seed is None else int(seed) % 2**64)
        self.built = True

    def _normal(self, x: Any, mean: float, deviation: float) -> Any:
        """Normal numbers in the shape of x."""
        g, number = self.xp.empty_like(x), x.dtype.type
        key = sharing.shifted(self.seed_generator.key(), x.shape)
        self.kernels.regularization.normal_noise(key, number(mean), number(deviation), g.reshape(-1))
        return g

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


class RateNoise(Noise):
    """With a rate."""

    highest = 1.0               # a rate above which there is nothing left

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate <= self.highest:
            limit = "1" if self.highest == 1 else "below 1"
            raise ValueError(f"{self.described}: expected a rate from 0 to {limit}, got {rate!r}")
        self.rate = rate
        self._keep_seed(seed)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}


class Dropout(RateNoise):
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

    class Cache(Record):
        m: np.ndarray | None        # as x, bool; None where nothing was dropped

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = self._checked_shape(noise_shape)

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        if not training or self.rate == 0:
            self.cache = self.Cache(None)
            return inputs
        m = self._draw(inputs.shape)                        # (1)
        self.cache = self.Cache(m)
        return dropped(self, inputs, m, self._scale())      # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        m = self.cache.m
        return dy if m is None else dropped(self, dy, m, self._scale())     # from (2)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        noise_shape = self.noise_shape or shape
        drawn = tuple(n if size is None else size for size, n in zip(noise_shape, shape, strict=False))
        last = shape[len(shape) - len(drawn):]
        if len(noise_shape) > len(shape) or any(size not in (1, n) for size, n in zip(drawn, last, strict=True)):
            raise ValueError(f"{self.described}: expected an input that noise_shape {noise_shape} can be spread over, "
                             f"got shape {shape}")
        of_samples = self.noise_shape is None or (len(drawn) == len(shape) and self.noise_shape[0] is None)
        m = mask(self, draw(self, self.rate, self.seed_generator), drawn, of_samples)
        return m if drawn == shape else self.xp.ascontiguousarray(self.xp.broadcast_to(m, shape))

    def _scale(self) -> float:
        """By what the values that stay are multiplied."""
        return scale_of(self.rate)

    def _checked_shape(self, noise_shape: Any) -> tuple[int | None, ...] | None:
        if noise_shape is None:
            return None
        sizes = tuple(noise_shape) if isinstance(noise_shape, (list, tuple, np.ndarray)) else ()
        if not sizes or not all(n is None or (isinstance(n, (int, np.integer)) and n > 0) for n in sizes):
            raise ValueError(f"{self.described}: expected noise_shape of positive integers and None, got {noise_shape!r}")
        return tuple(None if n is None else int(n) for n in sizes)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"noise_shape": self.noise_shape}


class SpatialDropout(Dropout):
    r"""Dropout that drops whole features: all places of a channel, or none.

        m_{bc} \sim \text{Bernoulli}(1 - r)          (1)    b is the sample, c the channel, r the rate
        y_{bpc} = m_{bc}\, x_{bpc} / (1 - r)         (2)    p counts the places

    Neighbouring steps or pixels tell much the same: dropped one by one they are hardly missed. Input (batch, places…, channels)
    with `rank` axes of places, output likewise.

    Arguments:
        rate: r, the part of the features that is dropped, from 0 to 1.
        data_format: "channels_last" or "channels_first", (batch, channels, places…); by default
            `nblayers.config.image_data_format()`. Sequences are always channels-last.
        seed: see `Dropout`.

    Raises:
        ValueError: rate outside [0, 1]; another data_format; seed is not an integer; an input of another number of axes.

    Source: 001.12.SpatialDropout1D, 001.12.SpatialDropout2D, 001.12.SpatialDropout3D; Tompson and others, 2014.
    """

    rank = 0
    data_format: str = fixed()

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None,
                 dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = windows.data_format(self, data_format)
        places = (1,) * self.rank
        self.noise_shape = (None, None, *places) if self.data_format == "channels_first" else (None, *places, None)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        """As in Keras: without `trainable`, the dtype by its name."""
        return {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype, "data_format": self.data_format}


class SpatialDropout1D(SpatialDropout):
    """Drops whole features of sequences (batch, steps, features); formula: `SpatialDropout`.

    Source: 001.12.SpatialDropout1D.
    """

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", seed, name, dtype, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "data_format"}


class SpatialDropout2D(SpatialDropout):
    """Drops whole channels of images; arguments and formula: `SpatialDropout`. Source: 001.12.SpatialDropout2D."""

    rank = 2


class SpatialDropout3D(SpatialDropout):
    """Drops whole channels of volumes; arguments and formula: `SpatialDropout`. Source: 001.12.SpatialDropout3D."""

    rank = 3


class GaussianDropout(RateNoise):
    r"""Multiplies with normal numbers about 1 in training; at other times it does nothing.

        g \sim N(1, r / (1 - r))       (1)    the second is the variance, r the rate
        y = g\, x                      (2)

    Mean and variance of g are those of dropout's m / (1 - r). The document gives r as the deviation. Input and output have any
    shape.

    Arguments:
        rate: r, from 0 to below 1 (at 1 the deviation is infinite, and Keras fails in training).
        seed: see `Dropout`.

    Raises:
        ValueError: rate outside [0, 1); seed is not an integer.

    Source: 001.12.GaussianDropout; Srivastava et al. 2014.
    """

    highest = math.nextafter(1, 0)

    class Cache(Record):
        g: np.ndarray | None        # as x; None where nothing was drawn

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        deviation = math.sqrt(self.rate / (1 - self.rate))
        g = self._normal(inputs, 1, deviation) if training and self.rate > 0 else None      # (1)
        self.cache = self.Cache(g)
        return self._apply(g, inputs)                                           # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self._apply(self.cache.g, dy)                                    # from (2)

    def _apply(self, g: Any, x: Any) -> Any:
        if g is None:
            return x
        y = self.xp.empty_like(x)
        self.kernels.regularization.noise_apply(x.reshape(-1), g.reshape(-1), y.reshape(-1))
        return y


class GaussianNoise(Noise):
    r"""Adds normal numbers in training; at other times it does nothing. For inputs, a way to have more data than there are.

        g \sim N(0, \sigma^2)          (1)    \sigma is stddev
        y = x + g                      (2)

    Backward, dx is dy. Input and output have any shape.

    Arguments:
        stddev: \sigma, from 0 to 1 as in Keras.
        seed: see `Dropout`.

    Raises:
        ValueError: stddev outside [0, 1]; seed is not an integer.

    Source: keras.layers.GaussianNoise.
    """

    class Cache(Record):
        pass

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = number(self.described, "stddev", stddev, 0, 1)
        self._keep_seed(seed)

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        self.cache = self.Cache()
        if not training or self.stddev == 0:
            return inputs
        g = self._normal(inputs, 0, self.stddev)                                                        # (1)
        y = self.xp.empty_like(inputs)
        self.kernels.merging.add(inputs.reshape(-1), g.reshape(-1), 1.0, y.reshape(-1))                 # (2)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy                                                                                       # from (2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"stddev": self.stddev}


class AlphaDropout(Dropout):
    r"""Dropout for networks of SELUs: it keeps their mean 0 and variance 1.

        m \sim \text{Bernoulli}(1 - r)                                          (1)    r is the rate
        y = a\, (m\, x + (1 - m)\, \alpha') + b                                 (2)
        a = ((1 - r)(1 + r \alpha'^2))^{-1/2},\quad b = -a\, \alpha' r           (3)    \alpha' = -1.7581, a SELU's lower limit

    What is dropped takes the value of a unit that is off, and (3) puts mean and variance right again. Input and output have
    any shape. The document lists an argument `alpha`; there is none.

    Arguments:
        rate: r, the part that is dropped, from 0 to below 1 (Keras fails in training at 1).
        noise_shape, seed: see `Dropout`.

    Raises:
        ValueError: rate outside [0, 1); a noise_shape that is none or does not fit the input; seed is not an integer.

    Source: 001.12.AlphaDropout; Klambauer et al. 2017, "Self-normalizing neural networks".
    """

    highest = math.nextafter(1, 0)

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        x = inputs
        if not training or self.rate == 0:
            self.cache = self.Cache(None)
            return x
        m = self._draw(x.shape)                                                         # (1)
        a, b = self._affine_of_rate()                                                   # (3)
        y, number = self.xp.empty_like(x), x.dtype.type
        self.kernels.regularization.alpha_dropout_apply(x.reshape(-1), m.reshape(-1), number(a), number(b),
                                                        number(a * _OFF + b), y.reshape(-1))            # (2)
        self.cache = self.Cache(m)
        return y

    def _scale(self) -> float:
        return self._affine_of_rate()[0]                                                # from (2): dx = a m dy

    def _affine_of_rate(self) -> tuple[float, float]:
        a = ((1 - self.rate) * (1 + self.rate * _OFF ** 2)) ** -0.5
        return a, -a * _OFF * self.rate


_OFF = -1.6732632423543772 * 1.0507009873554805


class ActivityRegularization(Layer):
    r"""Passes its input on and adds a penalty for large values to the loss.

        y = x                                                                   (1)
        L = \frac{1}{B} \sum (\text{l1}\, |x| + \text{l2}\, x^2)                (2)    over the whole input, B the batch size

    The penalty stands in `losses`; `backward` adds its gradient to dy.

    Arguments:
        l1, l2: how much absolute values and squares count.

    Raises:
        ValueError: one is negative or no number.

    Source: 001.12.ActivityRegularization, whose formula leaves out B.
    """

    supports_masking = True
    input_spec = InputSpec()

    class Cache(Record):
        x: np.ndarray           # any shape

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        number(self.described, "l1", l1, 0)
        number(self.described, "l2", l2, 0)
        self.l1, self.l2 = l1, l2
        self.activity_regularizer = regularizers.L1L2(l1, l2)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        self.cache = self.Cache(inputs)
        return inputs

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy                                       # from (1); the share of (2) is in dy, as for every layer that has one

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        settings = super().get_config()
        del settings["activity_regularizer"]
        return settings | {"l1": self.l1, "l2": self.l2}


__all__ = ["ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
           "SpatialDropout2D", "SpatialDropout3D"]
