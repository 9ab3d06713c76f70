"""The values of images changed: to another scale, and at random brighter and of another contrast."""
import math
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arrays import as_numbers
from nblayers.layers.base import Layer, Record
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.preprocessing.images import RandomImageLayer, factor_range, range_of_values
from nblayers.serialization import deserialize_keras_object, serialize_keras_object

LONG = 256                  # numbers in a row from which on its loop is worth while


class Rescaling(Layer):
    r"""Brings numbers to another scale: pixels of [0, 255] to [0, 1] with a scale of 1/255.

        y = s\, x + o           (1)

    Backward, dx = s dy. The document's formula is the special case s = 1/255.

    Input of any shape, integers or floats; output likewise, in the layer's dtype.

    Arguments:
        scale, offset: s and o, numbers, or arrays that are spread over the input: one number for each channel, channels last,
            or first where that is `nblayers.config.image_data_format()`.

    Raises:
        TypeError: scale or offset are no numbers.
        ValueError: they cannot be spread over the input.

    Source: 001.10.Rescaling.
    """

    supports_masking = True
    integer_inputs = True
    input_spec = InputSpec()

    class Cache(Record):
        s: np.ndarray           # spread over x as `_spread` does it
        is_float: bool          # integers have no gradient

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        for name in ("scale", "offset"):
            self._numbers(name)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs.astype(self.dtype, copy=False)
        s, o = self._spread(x.shape)
        self.cache = self.Cache(s, inputs.dtype.kind == "f")
        return self._affine_map(x, s, o)                                        # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if not self.cache.is_float:
            return None
        return self._affine_map(dy, self.cache.s, self.xp.zeros_like(self.cache.s))             # from (1)

    def _numbers(self, name: str) -> np.ndarray:
        """scale or offset as an array in the layer's dtype; where channels come first, with the axes of places behind them."""
        values = np.asarray(as_numbers(getattr(self, name), self, name), self.dtype)
        if values.ndim and config.image_data_format() == "channels_first":
            values = values.reshape(values.shape + (1,) * (3 - values.ndim))
        return values

    def _spread(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """s and o with the sizes of the input on neighbouring axes, and 1 on all others."""
        values = [self._numbers(name) for name in ("scale", "offset")]
        try:
            both = np.broadcast_shapes(*(each.shape for each in values))
            fits = np.broadcast_shapes(both, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"{self.described}: expected an input that scale and offset, of shapes {values[0].shape} and "
                             f"{values[1].shape}, can be spread over, got shape {shape}")
        sizes = _neighbours((1,) * (len(shape) - len(both)) + both, shape)
        s, o = (self.xp.asarray(np.ascontiguousarray(np.broadcast_to(each, sizes))) for each in values)
        return s, o

    def _affine_map(self, x: Any, s: Any, o: Any) -> Any:
        y = self.xp.empty_like(x)
        view = _in_three(x.shape, s.shape)
        zeros = self.xp.zeros(s.size, s.dtype)
        self.kernels.normalization.batch_norm(x.reshape(view), zeros, self.xp.ones_like(zeros), s.reshape(-1), o.reshape(-1),
                                              y.reshape(view))
        return y

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {name: serialize_keras_object(getattr(self, name)) for name in ("scale", "offset")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        given = {name: deserialize_keras_object(config[name]) for name in ("scale", "offset") if name in config}
        return super().from_config(config | given)


def _neighbours(sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """These sizes, each 1 or that of the shape, where 1 is left only before and behind: those of the shape are neighbours.

    Few numbers at the end are spread over the axes before them too, so that a kernel's rows are long.
    """
    there = [axis for axis, size in enumerate(sizes) if size > 1]
    if not there:
        return sizes
    first, last = there[0], there[-1] + 1
    while first > 1 and last == len(shape) and math.prod(shape[first:]) < LONG:
        first -= 1
    return (1,) * first + shape[first:last] + (1,) * (len(shape) - last)


def _in_three(shape: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape (A, C, B) of an array of this shape whose axes C are those on which `sizes` is not 1."""
    there = [axis for axis, size in enumerate(sizes) if size > 1]
    first, last = (there[0], there[-1] + 1) if there else (1, 1)
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


class RandomBrightness(RandomImageLayer):
    r"""Makes images brighter or darker in training, each by its own amount.

        d_n = (\text{high} - \text{low})\, u_n, \quad u_n \sim U(a, b)           (1)    one draw for each image
        y_n = \text{clip}(x_n + d_n,\, \text{low},\, \text{high})                (2)

    Backward, what was clipped has no gradient.

    Input (height, width, channels) or a batch of them, integers or floats; output likewise, in the layer's dtype. (Keras adds
    to integers in their own dtype, where the sum may run over; here they are floats first.)

    Arguments:
        factor: a and b, two numbers in [-1, 1], or one for both sides of 0.
        value_range: low and high, the range of the values; the other way round they are sorted.
        seed: an integer fixes the sequence of draws.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: factor, value_range, seed or data_format are none of these; an input that has not three or four axes, or
            no pixels.

    Source: 001.10.RandomBrightness.
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.factor = factor_range(self, factor, -1, 1)
        self.value_range = range_of_values(self, value_range, sorted)

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        low, high = self.value_range
        return (high - low) * self._uniform(*self.factor, self._count(shape))                       # (1)

    def _change(self, x: Any, drawn: np.ndarray) -> Any:
        y, d = self.xp.empty_like(x), self._for_planes(drawn, x.shape, self.dtype)
        self.kernels.images.brightness(self._planes(x), d, *self.value_range, self._planes(y))      # (2)
        return y

    def _change_back(self, dy: Any, x: Any, drawn: np.ndarray) -> Any:
        dx, d = self.xp.empty_like(dy), self._for_planes(drawn, x.shape, self.dtype)
        self.kernels.images.brightness_backward(self._planes(dy), self._planes(x), d, *self.value_range,
                                                self._planes(dx))                                   # from (2)
        return dx

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor, "value_range": self.value_range}


class RandomContrast(RandomImageLayer):
    r"""Stretches the values of each channel about their mean in training, or draws them together.

        f_n \sim U(1 - a,\, 1 + b)                                                           (1)    one draw for each image
        m_{nc} = \frac{1}{HW} \sum_{ij} x_{nijc}                                             (2)
        y_{nijc} = \text{clip}(f_n (x_{nijc} - m_{nc}) + m_{nc},\, \text{low},\, \text{high})    (3)

    Backward, what was clipped has no gradient, and the mean hands its share to every pixel of its channel.

    Input (height, width, channels) or a batch of them, integers or floats; output likewise, in the layer's dtype.

    Arguments:
        factor: a and b, two numbers in [0, 1], the smaller first. One number stands for b alone, and a is 0, as Keras computes
            it (its documentation says that it stands for both).
        value_range: low and high, the range of the values.
        seed: an integer fixes the sequence of draws.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: factor, value_range, seed or data_format are none of these; an input that has not three or four axes, or
            no pixels.

    Source: 001.10.RandomContrast.
    """

    class Cache(RandomImageLayer.Cache):
        m: Any = None           # (N, C), or (N C, 1) where the channels come first

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.factor = factor_range(self, factor, 0, 1)
        self.value_range = range_of_values(self, value_range, type(value_range))

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        a, b = self.factor
        return self._uniform(1 - a, 1 + b, self._count(shape))                                      # (1)

    def _change(self, x: Any, drawn: np.ndarray) -> Any:
        planes, y, f = self._planes(x), self.xp.empty_like(x), self._for_planes(drawn, x.shape, self.dtype)
        m = self.cache.m = self.xp.empty((len(planes), planes.shape[-1]), x.dtype)
        self.kernels.images.contrast(planes, f, *self.value_range, m, self._planes(y))              # (2), (3)
        return y

    def _change_back(self, dy: Any, x: Any, drawn: np.ndarray) -> Any:
        dx, f = self.xp.empty_like(dy), self._for_planes(drawn, x.shape, self.dtype)
        self.kernels.images.contrast_backward(self._planes(dy), self._planes(x), f, *self.value_range, self.cache.m,
                                              self._planes(dx))                                     # from (3), (2)
        return dx

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor, "value_range": self.value_range}


__all__ = ["RandomBrightness", "RandomContrast", "Rescaling"]
