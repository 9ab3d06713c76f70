"""What the layers over images share: their data format, single images and batches, and the random numbers of a call."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nblayers import sharing
from nblayers.arguments import as_float, integer, optional
from nblayers.layers import windows
from nblayers.layers.base import Layer, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.random import SeedGenerator


class ImageLayer(Layer):
    """The base of the layers over images: (height, width, channels) or a batch of them, channels before the places where
    data_format="channels_first".

    Images come in as integers or floats and go out in the layer's dtype; `backward` gives integers no gradient. For the
    kernels every array is `_planes`: (images, H, W, C), and where the channels come first each is an image of its own.

    Arguments:
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.
        bounding_box_format: None: boxes beside the images are not supported.

    Raises:
        ValueError: another data_format; a bounding_box_format; an input that has not three or four axes, or no pixels.
    """

    integer_inputs = True               # `_floats` casts them, and knows then that they were
    input_spec = InputSpec(min_ndim=3, max_ndim=4)
    data_format: str = fixed()

    def __init__(self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if bounding_box_format is not None:
            raise ValueError(f"{self.described}: expected bounding_box_format None, as images come without boxes, "
                             f"got {bounding_box_format!r}")
        self.data_format = windows.data_format(self, data_format)
        self.built = True

    def _check_inputs(self, inputs: Any) -> None:
        if 0 in getattr(inputs, "shape", ())[-3:]:
            raise ValueError(f"{self.described}: expected images with pixels and channels, got shape {inputs.shape}")
        super()._check_inputs(inputs)

    def _floats(self, x: Any) -> Any:
        """x in the layer's dtype; itself where it has it."""
        return x.astype(self.dtype, copy=False)

    def _places(self, shape: Any) -> tuple[Any, Any]:
        """Height and width of the images in an array of this shape."""
        height, width = self._axes
        return shape[height], shape[width]

    @property
    def _axes(self) -> tuple[int, int]:
        """The axes of height and width, counted from behind."""
        return (-3, -2) if self.data_format == "channels_last" else (-2, -1)

    def _with_places(self, shape: Any, height: Any, width: Any) -> tuple[Any, ...]:
        """This shape with another height and width."""
        sizes = list(shape)
        for axis, size in zip(self._axes, (height, width), strict=True):
            sizes[axis] = size
        return tuple(sizes)

    def _planes(self, x: Any) -> Any:
        """A view of one image or a batch as (N, H, W, C), or as (N C, H, W, 1) where the channels come first."""
        if self.data_format == "channels_last":
            return x.reshape(-1, *x.shape[-3:])
        return x.reshape(-1, *x.shape[-2:], 1)

    def _count(self, shape: Any) -> int:
        """How many images there are in an array of this shape."""
        return shape[0] if len(shape) == 4 else 1

    def _for_planes(self, values: Any, shape: Any, dtype: Any) -> Any:
        """A number for each image as one for each of the `_planes` of an array of this shape, on the layer's device."""
        channels = 1 if self.data_format == "channels_last" else shape[-3]
        return self.xp.asarray(np.repeat(np.asarray(values, dtype), channels, axis=0))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._one_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


class RandomImageLayer(ImageLayer):
    """The base of the layers that change images at random in training, and leave them as they are at other times.

    A subclass says in `_draw` what is drawn for a call, and in `_change` and `_change_back` what becomes of the images and of
    their gradients. The numbers are drawn here on the host: the same seed gives the same images in every room.

    Arguments:
        seed: an integer fixes the sequence of draws; each call in training makes the next. Without one it comes from
            `nblayers.utils.set_random_seed`.

    Raises:
        ValueError: seed is not an integer; what `ImageLayer` raises.
    """

    class Cache(Record):
        x: np.ndarray           # as the input, in the layer's dtype
        drawn: Any              # what `_draw` gave; None where nothing was changed
        is_float: bool          # integers have no gradient

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = optional(integer, self.described, "seed", seed)
        self.seed_generator = SeedGenerator(self.seed)

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        x = self._floats(inputs)
        drawn = self._draw(x.shape) if training else None
        self.cache = self.Cache(x, drawn, inputs.dtype.kind == "f")
        return x if drawn is None else self._change(x, drawn)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if not self.cache.is_float:
            return None
        return dy if self.cache.drawn is None else self._change_back(dy, self.cache.x, self.cache.drawn)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        """What is drawn for images of this shape: for each image its numbers."""
        raise NotImplementedError

    def _change(self, x: Any, drawn: Any) -> Any:
        """The images with what was drawn for them."""
        raise NotImplementedError

    def _change_back(self, dy: Any, x: Any, drawn: Any) -> Any:
        """dL/dx for dL/dy and what was drawn."""
        raise NotImplementedError

    def _uniform(self, low: float, high: float, size: int) -> np.ndarray:
        """So many numbers of the layer's own stream, one for each image, in [low, high), float64."""
        def draw(shape: tuple[int, ...]) -> np.ndarray:
            return self.seed_generator.generator.uniform(low, high, shape)
        return sharing.drawn(draw, (size,))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


def factor_range(layer: Layer, factor: Any, low: float, high: float, name: str = "factor") -> tuple[float, float]:
    """The argument of this name: two numbers in [low, high], which come back sorted, or one number f for (max(-f, low), f).

    Raises:
        ValueError: anything else.
    """
    pair = tuple(factor) if isinstance(factor, (list, tuple)) else (factor,)
    if not 1 <= len(pair) <= 2 or isinstance(factor, (list, tuple)) != (len(pair) == 2) or not _within(pair, low, high):
        raise ValueError(f"{layer.described}: expected {name} to be a number in [{low}, {high}] or two of them, got {factor!r}")
    if len(pair) == 2:
        return tuple(sorted(pair))
    size = abs(factor)
    return max(-size, low), size


def _within(values: Sequence[Any], low: float, high: float) -> bool:
    return all(low <= as_float(value) <= high for value in values)


def range_of_values(layer: Layer, value: Any, sort: Callable[[Any], Any]) -> Any:
    """The argument `value_range`: two numbers, the lower first once `sort` has been at them.

    Raises:
        ValueError: anything else.
    """
    pair = sort(value) if isinstance(value, (list, tuple)) and len(value) == 2 and _within(value, -np.inf, np.inf) else None
    if pair is None or not pair[0] < pair[1]:
        raise ValueError(f"{layer.described}: expected value_range to be two numbers, the lower first, got {value!r}")
    return pair
