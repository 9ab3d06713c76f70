r"""The weights with which an axis is stretched or shrunk, as `jax.image.resize` has them.

    p_i = (i + 1/2) / f - 1/2                             (1)    where cell i of n f lies between the n: half-pixel centres
    u_{ik} = \frac{h(|p_i - a_i - k| / s)}{\sum_l h(|p_i - a_i - l| / s)}   (2)    over the cells that there are, from a_i on

    bilinear    h(d) = \max(0, 1 - d)                                                           (3)
    bicubic     h(d) = 1.5 d^3 - 2.5 d^2 + 1 (d < 1), -0.5 d^3 + 2.5 d^2 - 4 d + 2 (d < 2)      (4)    Keys 1981, a = -0.5
    lanczosR    h(d) = R \sin(\pi d) \sin(\pi d / R) / (\pi d)^2 (d \le R)                      (5)
    nearest     u = 1 for the cell in which (i + 1/2) / f lies                                  (6)

At an edge the weights of the cells that do not exist are left out, and the others sum to one. s is 1, and an image that shrinks
loses cells between those that are looked at; with antialiasing s is max(1, 1/f), so that all of them count.
"""
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


def _triangle(d: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - d)                                                     # (3)


def _cubic(d: np.ndarray) -> np.ndarray:
    near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0))                           # (4)


def _lanczos(d: np.ndarray, R: int) -> np.ndarray:
    inner = np.where(d > 1e-3, np.pi * d, 1)                                        # as JAX, which has 1 about 0
    h = np.where(d > 1e-3, R * np.sin(inner) * np.sin(inner / R) / inner ** 2, 1)
    return np.where(d <= R, h, 0)                                                   # (5)


# each with its radius: how far a cell has weight
METHODS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1, _triangle), "bicubic": (2, _cubic), "lanczos3": (3, functools.partial(_lanczos, R=3)),
    "lanczos5": (5, functools.partial(_lanczos, R=5))}


@functools.lru_cache(64)
def axis_weights(n: int, size: int, method: str, dtype: str, antialias: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Of an axis of n cells that gets `size` of them: where the cells that each new one looks at begin, a (size,), and their
    weights u (size, K). Not to be written to.

    Arguments:
        method: one of `METHODS`, or "nearest".
        antialias: whether an axis that shrinks is smoothed first; nothing to "nearest".
    """
    if method == "nearest":
        return (2 * np.arange(size) + 1) * n // (2 * size), np.ones((size, 1), dtype)           # (6)
    radius, h = METHODS[method]
    smoothed = antialias and n > size
    s = n / size if smoothed else 1
    taps = min(n, -(-2 * radius * n // size) if smoothed else 2 * radius)
    p = (np.arange(size) + 0.5) * n / size - 0.5                                    # (1)
    a = np.clip(np.floor(p - radius * s).astype(np.int64) + 1, 0, n - taps)
    weights = h(abs(p[:, None] - a[:, None] - np.arange(taps)) / s)
    u = weights / weights.sum(axis=1, keepdims=True)                                # (2)
    return a, u.astype(dtype)


@functools.lru_cache(64)
def window_weights(n: int, first: int, length: int, size: int, method: str, dtype: str,
                   antialias: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The same for a window of so many cells, of which number `first` of the n is the first: a part of them or, where `first`
    is negative, all of them and others about them. Those others are left out, so that weights may sum to less than one.
    """
    a, u = axis_weights(length, size, method, dtype, antialias)
    if first >= 0:
        return a + first, u
    taps = min(n, u.shape[1])
    start = np.clip(a + first, 0, n - taps)
    places = start[:, None] + np.arange(taps) - first - a[:, None]                  # of the new taps among the old ones
    there = (places >= 0) & (places < u.shape[1])
    return start, np.where(there, np.take_along_axis(u, np.clip(places, 0, u.shape[1] - 1), axis=1), 0)


def rounded(xp: ModuleType, y: Any, dtype: np.dtype) -> Any:
    """Numbers as integers of this dtype, half to even as in Keras; beyond its bounds the bound."""
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo("uint8")
    high = y.dtype.type(bounds.max)
    if int(high) > bounds.max:                                                      # the next float above it
        high = np.nextafter(high, y.dtype.type(0))
    return xp.rint(y).clip(y.dtype.type(bounds.min), high).astype(dtype)
