"""Windows cut out of images, in the middle or anywhere."""
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.layers.preprocessing.resizing import SizedImageLayer, Window
from nblayers.random import SeedGenerator, generator


class CenterCrop(SizedImageLayer):
    r"""Cuts the middle out of images.

        y_{ij} = x_{t + i,\, l + j}, \quad t = \lfloor (H - h) / 2 \rfloor,\ l = \lfloor (W - w) / 2 \rfloor      (1)

    of (H, W) pixels to (h, w). An image that is smaller on either axis: the largest window in its middle with the ratio of h
    and w, resized bilinearly. Backward, what was cut off gets zero. Where nothing is resized the output is a view of the input.

    Input (height, width, channels) or a batch of them, integers or floats; output likewise, in the layer's dtype. (The document
    gives a tuple (width, height); there is none.)

    Arguments:
        height, width: h and w.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: height or width is not a positive integer; another data_format; an input that has not three or four axes,
            or no pixels.

    Source: 001.10.CenterCrop.
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        rows, columns = self._windows(inputs.shape)
        self.cache = self.Cache(inputs.shape, rows, columns, inputs.dtype.kind == "f")
        return self._sized(self._floats(inputs), rows, columns)                     # (1)

    def _windows(self, shape: Any) -> tuple[Window, Window]:
        height, width = self._places(shape)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        if min(top, left) < 0:
            return self._window_of_its_shape(shape)
        return (top, self.height), (left, self.width)


class RandomCrop(SizedImageLayer):
    r"""Cuts a window out of images, in training at a random place: a network sees each image in many positions.

        y_{ij} = x_{t + i,\, l + j}, \quad t \sim U\{0, \dots, H - h\},\ l \sim U\{0, \dots, W - w\}      (1)    once a batch

    of (H, W) pixels to (h, w). At other times: the largest window in the middle with the ratio of h and w, resized bilinearly,
    as Keras' documentation says (its code then leaves the images as large as they are). In training an image that is not larger
    on both axes is cut as Keras' code does it: up to (h, w) pixels from where that window begins, resized where they are fewer.
    Backward, what was cut off gets zero.

    Input (height, width, channels) or a batch of them, integers or floats; output likewise, in the layer's dtype.

    Arguments:
        height, width: h and w.
        seed: an integer fixes the sequence of draws; by default one is drawn.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: height or width is not a positive integer; another data_format; seed is not an integer; an input that has
            not three or four axes, or no pixels.

    Source: 001.10.RandomCrop.
    """

    def __init__(self, height: int, width: int, seed: int | None = None, data_format: str | None = None,
                 name: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, data_format=data_format, name=name, **kwargs)
        self.seed = int(generator().integers(2**31)) if seed is None else integer(self.described, "seed", seed)
        self.seed_generator = SeedGenerator(self.seed)

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        rows, columns = self._drawn(inputs.shape) if training else self._window_of_its_shape(inputs.shape)      # (1)
        self.cache = self.Cache(inputs.shape, rows, columns, inputs.dtype.kind == "f")
        return self._sized(self._floats(inputs), rows, columns)

    def _drawn(self, shape: Any) -> tuple[Window, Window]:
        """The window of a call in training."""
        height, width = self._places(shape)
        if height > self.height and width > self.width:
            draw = self.seed_generator.generator.integers
            top, left = int(draw(height - self.height + 1)), int(draw(width - self.width + 1))
        else:
            (top, _), (left, _) = self._window_of_its_shape(shape)
        return (top, min(self.height, height - top)), (left, min(self.width, width - left))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


__all__ = ["CenterCrop", "RandomCrop"]
