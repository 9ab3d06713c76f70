r"""What convolution and pooling share: a window that slides over one, two or three axes.

    length = \lfloor (n + before + after - K) / s \rfloor + 1,      K = (k - 1) d + 1       (1)

of n positions, window k, stride s, dilation d. "valid" adds nothing; "same" adds as much as makes the length ⌈n / s⌉, the odd
one behind; "causal" adds K - 1 in front, so that no output sees a later input.
"""
from typing import Any

import numpy as np

from nblayers import config

Three = tuple[int, int, int]
DATA_FORMATS = ("channels_last", "channels_first")


def sizes(layer: Any, name: str, value: Any, rank: int, smallest: int = 1) -> tuple[int, ...]:
    """An argument such as kernel_size as a tuple of `rank` integers; one integer stands for all axes.

    Raises:
        ValueError: another number of them, no integers, or one below `smallest`.
    """
    single = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    try:
        given = (value,) * rank if single else () if isinstance(value, bytes) else tuple(value)
    except TypeError:
        given = ()
    whole = all(isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in given)
    if len(given) != rank or not whole or any(size < smallest for size in given):
        kind = "a positive integer" if smallest == 1 else "an integer that is not negative"
        several = "" if rank == 1 else f" or a tuple of {rank}"
        raise ValueError(f"{layer.described}: expected {kind}{several} as {name}, got {value!r}")
    return tuple(int(size) for size in given)


def data_format(layer: Any, value: Any) -> str:
    """The argument `data_format`, by default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: neither "channels_last" nor "channels_first".
    """
    chosen = config.image_data_format() if value is None else str(value).lower()
    if chosen not in DATA_FORMATS:
        raise ValueError(f"{layer.described}: expected data_format 'channels_last' or 'channels_first', got {value!r}")
    return chosen


def padding_mode(layer: Any, value: Any, causal: bool = False) -> str:
    """The argument `padding`: "valid", "same" or, where `causal` says so, "causal".

    Raises:
        ValueError: anything else.
    """
    allowed = ("valid", "same", "causal") if causal else ("valid", "same")
    chosen = str(value).lower()
    if chosen not in allowed:
        raise ValueError(f"{layer.described}: expected padding {' or '.join(map(repr, allowed))}, got {value!r}")
    return chosen


def placed(n: int, k: int, s: int, d: int, padding: str) -> tuple[int, int]:
    """Of an axis of n positions: how many windows it has, and how many positions are added in front."""
    reach = (k - 1) * d + 1
    if padding == "same":
        length = -(-n // s)
        return length, max((length - 1) * s + reach - n, 0) // 2
    before = reach - 1 if padding == "causal" else 0
    return (n + before - reach) // s + 1, before                        # (1)


def three(values: tuple[int, ...], fill: int) -> Three:
    """Sizes of one or two axes as sizes of three: the kernels know depth, height and width."""
    depth, height, width = (fill,) * (3 - len(values)) + tuple(values)
    return depth, height, width


def to_channels_last(layer: Any, x: Any) -> Any:
    """An array in the layer's data format as (batch, …, channels), contiguous."""
    return x if layer.data_format == "channels_last" else layer.xp.ascontiguousarray(layer.xp.moveaxis(x, 1, -1))


def from_channels_last(layer: Any, y: Any) -> Any:
    """An array (batch, …, channels) in the layer's data format, contiguous."""
    return y if layer.data_format == "channels_last" else layer.xp.ascontiguousarray(layer.xp.moveaxis(y, -1, 1))


def volume(x: Any) -> Any:
    """A view of (batch, …, channels) as (batch, depth, height, width, channels), depth and height 1 where there are none."""
    batch, *places, channels = x.shape
    return x.reshape(batch, *three(tuple(places), 1), channels)
