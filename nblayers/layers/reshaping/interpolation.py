r"""The weights with which a stretched axis is interpolated, as `jax.image.resize` has them.

    p_i = (i + 1/2) / f - 1/2                             (1)    where cell i of n f lies between the n: half-pixel centres
    u_{ik} = \frac{h(|p_i - a_i - k|)}{\sum_l h(|p_i - a_i - l|)}   (2)    over the cells that there are, from a_i on

    bilinear    h(d) = \max(0, 1 - d)                                                           (3)
    bicubic     h(d) = 1.5 d^3 - 2.5 d^2 + 1 (d < 1), -0.5 d^3 + 2.5 d^2 - 4 d + 2 (d < 2)      (4)    Keys 1981, a = -0.5
    lanczosR    h(d) = R \sin(\pi d) \sin(\pi d / R) / (\pi d)^2 (d \le R)                      (5)

At an edge the weights of the cells that do not exist are left out, and the others sum to one. Nothing is smoothed first: an
image that grows has no need of it.
"""
import functools
from collections.abc import Callable

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
def axis_weights(n: int, factor: int, method: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Of an axis of n cells that is stretched by `factor`: where the cells that each new one looks at begin, a (n f,), and
    their weights u (n f, K). Not to be written to.
    """
    radius, h = METHODS[method]
    p = (np.arange(n * factor) + 0.5) / factor - 0.5                                # (1)
    taps = min(2 * radius, n)
    a = np.clip(np.floor(p).astype(np.int64) - radius + 1, 0, n - taps)
    weights = h(abs(p[:, None] - a[:, None] - np.arange(taps)))
    u = weights / weights.sum(axis=1, keepdims=True)                                # (2)
    return a, u.astype(dtype)
