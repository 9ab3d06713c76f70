"""Images brought to one height and width."""
from typing import Any

import numpy as np

from nblayers.arguments import choice, flag, number
from nblayers.layers.base import Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.preprocessing.images import ImageLayer
from nblayers.layers.reshaping.interpolation import METHODS, axis_weights, rounded, window_weights

Window = tuple[int, int]                # the first cell, which may lie before the image, and how many there are


class SizedImageLayer(ImageLayer):
    """The base of the layers that give images a height and a width: a window of them, as it is or stretched to that size.

    Arguments:
        height, width: of the output.

    Raises:
        ValueError: height or width is not a positive integer; what `ImageLayer` raises.
    """

    height: int = fixed()
    width: int = fixed()
    interpolation = "bilinear"
    antialias = False

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        rows: Window                # which of x went into y
        columns: Window
        is_float: bool              # integers have no gradient

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def _sized(self, x: Any, rows: Window, columns: Window) -> Any:
        """The window of the images, a view where it has the size of the output."""
        if self._fits(rows, columns):
            return self._view(x, rows, columns)
        y = self.xp.empty(self._with_places(x.shape, self.height, self.width), x.dtype)
        weights = self._weights(x.shape, rows, columns)
        self.kernels.reshaping.interpolate(self._planes(x), *weights, self._planes(y))
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        shape, rows, columns = self.cache.shape, self.cache.rows, self.cache.columns
        if not self.cache.is_float:
            return None
        dx = self.xp.empty(shape, dy.dtype)
        if self._fits(rows, columns):
            dy, whole = self._planes(dy)[:, None], self._planes(dx)[:, None]
            self.kernels.reshaping.pad(dy, (0, rows[0], columns[0]), whole)                         # from the window
        else:
            self.kernels.reshaping.interpolate_backward(self._planes(dy), *self._weights(shape, rows, columns),
                                                        self._planes(dx))                           # from the interpolation
        return dx

    def _fits(self, rows: Window, columns: Window) -> bool:
        """Whether the window lies in the image and has the size of the output."""
        return (rows[1], columns[1]) == (self.height, self.width) and min(rows[0], columns[0]) >= 0

    def _view(self, x: Any, rows: Window, columns: Window) -> Any:
        i, j = (slice(first, first + length) for first, length in (rows, columns))
        return x[..., i, j, :] if self.data_format == "channels_last" else x[..., i, j]

    def _weights(self, shape: Any, rows: Window, columns: Window) -> list[Any]:
        """Of rows and columns: where the cells that a new one looks at begin, and their weights."""
        both = zip(self._places(shape), (rows, columns), (self.height, self.width), strict=True)
        return [self.xp.asarray(part) for n, window, size in both
                for part in window_weights(n, *window, size, self.interpolation, self.dtype, self.antialias)]

    def _window_of_its_shape(self, shape: Any) -> tuple[Window, Window]:
        """The largest window in the middle that has the output's ratio of height and width."""
        height, width = self._places(shape)
        rows = max(min(height, width * self.height // self.width), 1)
        columns = max(min(width, height * self.width // self.height), 1)
        return ((height - rows) // 2, rows), ((width - columns) // 2, columns)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._with_places(self._one_shape(input_shape), self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"height": self.height, "width": self.width}


class Resizing(SizedImageLayer):
    r"""Images of one size, whatever size they come in, as a batch and a network want them.

        y_{ij} = \sum_k \sum_l u_{ik} v_{jl}\, x_{a_i + k,\, b_j + l}       (1)    for each channel

    u are the weights of the rows from a_i on, v those of the cells of a row from b_j on: see `reshaping.interpolation`.
    Backward, dy goes back along the same weights. Integers stay integers: they are rounded, half to even.

    Input (height, width, channels) or a batch of them; output likewise, with `height` and `width`. (The document gives a
    tuple (width, height); there is none.)

    Arguments:
        height, width: of the output.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5". What lies outside the image has no weight.
        crop_to_aspect_ratio: resize the largest window in the middle that has the output's ratio of height and width.
        pad_to_aspect_ratio: resize the whole image with as much around it as brings it to the output's ratio.
        fill_mode: "constant": what is around it is `fill_value`.
        fill_value: that number.
        antialias: smooth an image that shrinks, so that all of its cells count; nothing to "nearest".
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: an argument is none of these; both to crop and to pad; an input that has not three or four axes, or no
            pixels.

    Source: 001.10.Resizing.
    """

    interpolation: str = fixed()
    antialias: bool = fixed()
    crop_to_aspect_ratio: bool = fixed()
    pad_to_aspect_ratio: bool = fixed()

    def __init__(self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False,
                 pad_to_aspect_ratio: bool = False, fill_mode: str = "constant", fill_value: float = 0.0,
                 antialias: bool = False, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)
        who = self.described
        self.interpolation = choice(who, "interpolation", interpolation, [*METHODS, "nearest"])
        self.crop_to_aspect_ratio = flag(who, "crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = flag(who, "pad_to_aspect_ratio", pad_to_aspect_ratio)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(f"{who}: expected one of crop_to_aspect_ratio and pad_to_aspect_ratio, got both")
        self.fill_mode = choice(who, "fill_mode", fill_mode, ["constant"])
        number(who, "fill_value", fill_value)
        self.fill_value = fill_value
        self.antialias = flag(who, "antialias", antialias)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        rows, columns = self._windows(inputs.shape)
        is_float = inputs.dtype.kind == "f"
        self.cache = self.Cache(inputs.shape, rows, columns, is_float)
        if self.interpolation == "nearest" and not is_float and min(rows[0], columns[0]) >= 0:
            return self._taken(inputs, rows, columns)                               # (1), no integer too large for a float
        y = self._sized(self._floats(inputs), rows, columns)                        # (1)
        if self.fill_value and min(rows[0], columns[0]) < 0:
            self._fill(y, inputs.shape, rows, columns)
        return y if is_float else rounded(self.xp, y, inputs.dtype)

    def _windows(self, shape: Any) -> tuple[Window, Window]:
        """Which rows and which columns become the output."""
        height, width = self._places(shape)
        if self.crop_to_aspect_ratio:
            return self._window_of_its_shape(shape)
        if self.pad_to_aspect_ratio:
            above = max(0, (width * self.height // self.width - height) // 2)
            left = 0 if above else max(0, (height * self.width // self.height - width) // 2)
            return (-above, height + 2 * above), (-left, width + 2 * left)
        return (0, height), (0, width)

    def _taken(self, x: Any, rows: Window, columns: Window) -> Any:
        """The nearest cells themselves."""
        for axis, (first, length), size in zip(self._axes, (rows, columns), (self.height, self.width), strict=True):
            x = x.take(self.xp.asarray(first + axis_weights(length, size, "nearest", self.dtype)[0]), axis=axis)
        return x

    def _fill(self, y: Any, shape: Any, rows: Window, columns: Window) -> None:
        """Add to y what lies around the image, with the weights that the image leaves."""
        _, u, _, v = self._weights(shape, rows, columns)
        inside = (u.sum(axis=1) if rows[0] < 0 else self.xp.ones(self.height, y.dtype))[:, None]
        if columns[0] < 0:
            inside = inside * v.sum(axis=1)
        planes = self._planes(y)
        planes += (self.fill_value * (1 - inside))[:, :, None].astype(y.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "interpolation": self.interpolation, "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio, "fill_mode": self.fill_mode, "fill_value": self.fill_value,
            "antialias": self.antialias}


__all__ = ["Resizing", "SizedImageLayer"]
