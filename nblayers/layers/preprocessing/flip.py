"""Images turned about an axis at random."""
from typing import Any

import numpy as np

from nblayers.arguments import choice
from nblayers.layers.preprocessing.images import RandomImageLayer

HORIZONTAL, VERTICAL, BOTH = MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(RandomImageLayer):
    r"""Turns half of the images about in training, so that a model learns no left and no right.

        f_n \sim \text{Bernoulli}(1/2)                              (1)    one draw for each image
        y_{nij} = x_{n,\, H - 1 - i,\, W - 1 - j}                   (2)    where f_n = 1, else y = x

    "horizontal" turns columns only, "vertical" rows only; with both at once an image is turned by half a circle or not at
    all. Backward, a pixel's gradient goes to where the pixel came from: (2) again.

    Input (height, width, channels) or a batch of them; output likewise, in the layer's dtype.

    Arguments:
        mode: "horizontal", "vertical" or "horizontal_and_vertical". (The document's "both" does not exist.)
        seed: an integer fixes the sequence of draws.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: another mode or data_format; seed is not an integer; an input that has not three or four axes, or no pixels.

    Source: 001.10.RandomFlip.
    """

    def __init__(self, mode: str = BOTH, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.mode = choice(self.described, "mode", mode, MODES)

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._uniform(0, 1, self._count(shape)) <= 0.5           # (1)

    def _change(self, x: Any, drawn: np.ndarray) -> Any:
        y = self.xp.empty_like(x)
        flips = self._for_planes(drawn, x.shape, bool)
        self.kernels.images.flip(self._planes(x), flips, self.mode != HORIZONTAL, self.mode != VERTICAL, self._planes(y))  # (2)
        return y

    def _change_back(self, dy: Any, x: Any, drawn: np.ndarray) -> Any:
        return self._change(dy, drawn)                                  # from (2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mode": self.mode}


__all__ = ["RandomFlip"]
