"""Images moved, turned and zoomed at random: each pixel is read from another place."""
from typing import Any

import numpy as np

from nblayers.arguments import choice, number
from nblayers.layers.preprocessing.images import RandomImageLayer, factor_range

INTERPOLATIONS = ("nearest", "bilinear")                        # as the kernels number them
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


class RandomWarp(RandomImageLayer):
    r"""The base of the layers that read each pixel of an image, in training, from another place.

        u_{nij} = b_{n0}\, j + b_{n1}\, i + b_{n2},\quad v_{nij} = a_{n0}\, j + a_{n1}\, i + a_{n2}         (1)
        y_{nijc} = \text{interpolated}(x_n)_c \text{ at row } u_{nij} \text{ and column } v_{nij}           (2)

    The six numbers a, b are drawn for each image; a subclass says how. "nearest" takes the pixel next to the place,
    "bilinear" the mean of the four around it, the nearer ones counting for more. Beside the image pixels are made up:

        reflect    d c b a | a b c d | d c b a        constant   k k k k | a b c d | k k k k      k is fill_value
        wrap       a b c d | a b c d | a b c d        nearest    a a a a | a b c d | d d d d

    Backward, each pixel hands its gradient to those it was made of, in the same shares; the draws have none.

    Input (height, width, channels) or a batch of them, integers or floats; output likewise, in the layer's dtype. (These are
    Keras' values on JAX. On TensorFlow it makes up places instead of pixels, on PyTorch it reflects about the outermost pixel
    and cannot wrap.)

    Arguments:
        fill_mode: "reflect", "constant", "wrap" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: an integer fixes the sequence of draws.
        fill_value: k, a number.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: an argument is none of these; an input that has not three or four axes, or no pixels.
    """

    class Cache(RandomImageLayer.Cache):
        drawn: np.ndarray | None    # (N, 6) float64: a_0, a_1, a_2, b_0, b_1, b_2 of each image; None where nothing was changed

    def __init__(self, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
                 fill_value: float = 0.0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(seed, data_format=data_format, **kwargs)
        self.fill_mode = choice(self.described, "fill_mode", fill_mode, FILL_MODES)
        self.interpolation = choice(self.described, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = number(self.described, "fill_value", fill_value)

    def _draw(self, shape: tuple[int, ...]) -> np.ndarray:
        return affine(*self._draw_maps(self._count(shape), *self._places(shape)))

    def _draw_maps(self, count: int, height: int, width: int) -> tuple[Any, ...]:
        """a_0, a_1, a_2, b_0, b_1, b_2 for so many images of this size, each (count,) or a number."""
        raise NotImplementedError

    def _change(self, x: Any, drawn: np.ndarray) -> Any:
        y = self.xp.empty_like(x)
        self.kernels.warps.warp(self._planes(x), *self._moves(x, drawn), x.dtype.type(self.fill_value), self._planes(y))  # (2)
        return y

    def _change_back(self, dy: Any, x: Any, drawn: np.ndarray) -> Any:
        dx = self.xp.empty_like(dy)
        self.kernels.warps.warp_gradient(self._planes(dy), *self._moves(x, drawn), self._planes(dx))            # from (2)
        return dx

    def _moves(self, x: Any, drawn: np.ndarray) -> tuple[Any, int, int]:
        """What the kernels are told: the map of each plane, and the numbers of interpolation and fill mode."""
        maps = self._for_planes(drawn, x.shape, x.dtype)
        return maps, INTERPOLATIONS.index(self.interpolation), FILL_MODES.index(self.fill_mode)

    def get_config(self) -> dict[str, Any]:
        names = ("fill_mode", "interpolation", "fill_value")
        return super().get_config() | {name: getattr(self, name) for name in names}


def affine(*numbers: Any) -> np.ndarray:
    """Six numbers, or arrays (count,) of them, as maps (count, 6)."""
    return np.stack(np.broadcast_arrays(*numbers), axis=-1)


class RandomTranslation(RandomWarp):
    r"""Moves images in training, each by its own share of its height and width.

        h_n = H\, r_n,\quad w_n = W\, s_n                   (1)    r_n from height_factor, s_n from width_factor
        y_{nij} = x_n \text{ at row } i - h_n \text{ and column } j - w_n          (2)

    So positive numbers move down and to the right. Between and beside the pixels: `RandomWarp`, whose a is (1, 0, -w) and b
    (0, 1, -h).

    Arguments:
        height_factor, width_factor: two numbers in [-1, 1], the bounds of r or s, or one number for both sides of 0.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomWarp`.

    Raises:
        ValueError: an argument is none of these; an input that has not three or four axes, or no pixels.

    Source: 001.10.RandomTranslation.
    """

    def __init__(self, height_factor: Any, width_factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear",
                 seed: int | None = None, fill_value: float = 0.0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = factor_range(self, height_factor, -1, 1, "height_factor")
        self._width = factor_range(self, width_factor, -1, 1, "width_factor")

    def _draw_maps(self, count: int, height: int, width: int) -> tuple[Any, ...]:
        h, w = height * self._uniform(*self._height, count), width * self._uniform(*self._width, count)         # (1)
        return 1, 0, -w, 0, 1, -h                                                                               # (2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomRotation(RandomWarp):
    r"""Turns images in training about their middle, each by its own angle.

        \varphi_n = 2 \pi\, r_n                                                     (1)    r_n from factor
        v_{nij} = m_v + (j - m_v) \cos \varphi_n - (i - m_u) \sin \varphi_n         (2)    m_v = (W - 1) / 2
        u_{nij} = m_u + (j - m_v) \sin \varphi_n + (i - m_u) \cos \varphi_n         (3)    m_u = (H - 1) / 2
        y_{nij} = x_n \text{ at row } u_{nij} \text{ and column } v_{nij}           (4)

    A positive angle turns the image counter-clockwise. Between and beside the pixels: `RandomWarp`. (The document calls the
    factor degrees; it is a part of a turn.)

    Arguments:
        factor: two numbers in [-1, 1], the bounds of r, or one number for both sides of 0; 0.25 is a quarter turn.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomWarp`.

    Raises:
        ValueError: an argument is none of these; an input that has not three or four axes, or no pixels.

    Source: 001.10.RandomRotation.
    """

    def __init__(self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
                 fill_value: float = 0.0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = factor_range(self, factor, -1, 1)

    def _draw_maps(self, count: int, height: int, width: int) -> tuple[Any, ...]:
        angle = 2 * np.pi * self._uniform(*self.factor, count)                                                  # (1)
        cos, sin, m_u, m_v = np.cos(angle), np.sin(angle), (height - 1) / 2, (width - 1) / 2
        return cos, -sin, m_v - m_v * cos + m_u * sin, sin, cos, m_u - m_v * sin - m_u * cos                    # (2), (3)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor}


class RandomZoom(RandomWarp):
    r"""Zooms into images or out of them in training, about their middle, each image by its own factors.

        r_n = 1 + f_n,\quad s_n = 1 + g_n                   (1)    f_n from height_factor, g_n from width_factor, or g_n = f_n
        u_{ni} = m_u + r_n (i - m_u)                        (2)    m_u = (H - 1) / 2
        v_{nj} = m_v + s_n (j - m_v)                        (3)    m_v = (W - 1) / 2
        y_{nij} = x_n \text{ at row } u_{ni} \text{ and column } v_{nj}            (4)

    A positive factor zooms out: more of what is there, and beside it, comes into view. Between and beside the pixels:
    `RandomWarp`.

    Arguments:
        height_factor: two numbers above -1 and up to 1, the bounds of f, or one number for both sides of 0.
        width_factor: the same for g; None keeps the ratio of height and width.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomWarp`.

    Raises:
        ValueError: an argument is none of these; an input that has not three or four axes, or no pixels.

    Source: 001.10.RandomZoom.
    """

    def __init__(self, height_factor: Any, width_factor: Any = None, fill_mode: str = "reflect",
                 interpolation: str = "bilinear", seed: int | None = None, fill_value: float = 0.0,
                 data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = self._zooms(height_factor, "height_factor")
        self._width = None if width_factor is None else self._zooms(width_factor, "width_factor")

    def _zooms(self, factor: Any, name: str) -> tuple[float, float]:
        low, high = factor_range(self, factor, -1, 1, name)
        if -1 in (factor if isinstance(factor, (list, tuple)) else (factor,)):
            raise ValueError(f"{self.described}: expected {name} above -1, where one point of the image is all, got {factor!r}")
        return 1 + low, 1 + high                                                                                # (1)

    def _draw_maps(self, count: int, height: int, width: int) -> tuple[Any, ...]:
        r = self._uniform(*self._height, count)                                                                 # (1)
        s = r if self._width is None else self._uniform(*self._width, count)
        return s, 0, (1 - s) * (width - 1) / 2, 0, r, (1 - r) * (height - 1) / 2                                # (2), (3)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"height_factor": self.height_factor, "width_factor": self.width_factor}


__all__ = ["RandomRotation", "RandomTranslation", "RandomZoom"]
