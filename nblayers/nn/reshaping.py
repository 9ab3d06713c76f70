"""Reshaping as PyTorch writes it; `nblayers.nn` has these names."""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.arguments import choice, flag, integer
from nblayers.layers import windows
from nblayers.layers.base import Layer, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.reshaping.interpolation import axis_weights
from nblayers.layers.reshaping.padding import ZeroPadding
from nblayers.nn.module import LibraryModule
from nblayers.nn.single import TakesSingle


class _OtherAxes(LibraryModule):
    """The same numbers in the same order under another shape, which a subclass says; output and gradient are views."""

    integer_inputs = True

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        is_float: bool              # integers have no gradient

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        self.cache = self.Cache(inputs.shape, inputs.dtype.kind == "f")
        return inputs.reshape(self.compute_output_shape(inputs.shape))

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        return dy.reshape(self.cache.shape) if self.cache.is_float else None


class Flatten(_OtherAxes):
    """Lays some axes side by side into one, by default all but the batch axis; output and gradient are views.

    Arguments:
        start_dim, end_dim: the first and the last of these axes; negative ones count from the end.

    Raises:
        ValueError: one is no integer; an input without these axes, or where they are not in this order.

    Source: torch.nn.Flatten.
    """

    input_spec = InputSpec(min_ndim=1)
    start_dim: int = fixed()
    end_dim: int = fixed()

    def __init__(self, start_dim: int = 1, end_dim: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_dim = integer(self.described, "start_dim", start_dim)
        self.end_dim = integer(self.described, "end_dim", end_dim)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = tuple(input_shape)
        rank = len(shape)
        first, last = (axis + rank if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < rank:
            raise ValueError(f"{self.described}: expected an input with the axes {self.start_dim} to {self.end_dim}, "
                             f"got shape {shape}")
        together = shape[first:last + 1]
        return (*shape[:first], None if None in together else math.prod(together), *shape[last + 1:])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"start_dim": self.start_dim, "end_dim": self.end_dim}

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(_OtherAxes):
    """One axis of (batch, …) laid out as several; output and gradient are views.

    Arguments:
        dim: which axis, not the batch axis 0; a negative one counts from the end.
        unflattened_size: the sizes that it is laid out as; one -1 stands for the size that is left.

    Raises:
        ValueError: dim is not an integer or 0, no sizes, more than one -1; an input without that axis, or of another
            size on it.
    """

    input_spec = InputSpec(min_ndim=2)
    dim: int = fixed()
    unflattened_size: tuple[int, ...] = fixed()

    def __init__(self, dim: int, unflattened_size: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = integer(self.described, "dim", dim)
        given = unflattened_size if isinstance(unflattened_size, (list, tuple)) else (unflattened_size,)
        sizes = tuple(integer(self.described, "each of unflattened_size", size, -1) for size in given)
        if not sizes or sizes.count(-1) > 1:
            raise ValueError(f"{self.described}: expected sizes with at most one -1 as unflattened_size, "
                             f"got {unflattened_size!r}")
        self.unflattened_size = sizes
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        rank = len(input_shape)
        axis = self.dim + rank if self.dim < 0 else self.dim
        if not 0 < axis < rank:
            raise ValueError(f"{self.described}: expected an input with an axis {self.dim} behind the batch axis, got shape "
                             f"{tuple(input_shape)}")
        size, known = input_shape[axis], math.prod(n for n in self.unflattened_size if n != -1)
        if size is not None and (size % known if -1 in self.unflattened_size and known else size != known):
            raise ValueError(f"{self.described}: expected a size that {self.unflattened_size} holds on axis {self.dim}, "
                             f"got {size}")
        left = None if size is None else size // max(known, 1)
        return (*input_shape[:axis], *(left if n == -1 else n for n in self.unflattened_size), *input_shape[axis + 1:])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dim": self.dim, "unflattened_size": self.unflattened_size}

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class TorchZeroPadding(TakesSingle, ZeroPadding, LibraryModule):
    """`layers.ZeroPadding` of (batch, channels, …) or, without the batch axis, (channels, …).

    Arguments:
        padding: an integer, or the zeros in front and behind of each axis, the last axis first: (left, right, top, bottom, …).

    Raises:
        ValueError: no integers, another number of them, or negative ones, with which PyTorch crops: see `layers.Cropping2D`.
    """

    def __init__(self, padding: Any, **kwargs: Any) -> None:
        several = isinstance(padding, (list, tuple, np.ndarray))
        self._given = tuple(padding) if several else padding
        pairs = [self._given[2 * axis:2 * axis + 2] for axis in reversed(range(self.rank))] if several else padding
        if several and len(self._given) != 2 * self.rank:
            pairs = None                                                # which the layer refuses
        super().__init__(pairs[0] if several and pairs and self.rank == 1 else pairs, "channels_first", **kwargs)
        self.input_spec = InputSpec(min_ndim=self.rank + 1, max_ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {"padding": self._given}

    def extra_repr(self) -> str:
        return str(self._given if isinstance(self._given, tuple) else (self._given,) * (2 * self.rank))


class ZeroPad1d(TorchZeroPadding):
    """`layers.ZeroPadding1D` as PyTorch writes it; arguments: `TorchZeroPadding`."""

    rank = 1


class ZeroPad2d(TorchZeroPadding):
    """`layers.ZeroPadding2D` as PyTorch writes it; arguments: `TorchZeroPadding`."""

    rank = 2


class ZeroPad3d(TorchZeroPadding):
    """`layers.ZeroPadding3D` as PyTorch writes it; arguments: `TorchZeroPadding`."""

    rank = 3


class Upsample(LibraryModule):
    """`layers.UpSampling1D`, `UpSampling2D` or `UpSampling3D`, for inputs (batch, channels, …) of one, two or three axes more.

    Arguments:
        size: must be None: give scale_factor.
        scale_factor: a whole number, or one for each axis.
        mode: "nearest"; of one axis "linear", of two "bilinear". PyTorch's bicubic has other weights than ours, and there is no
            trilinear one here.
        align_corners: False or None: half-pixel centres.
        recompute_scale_factor: changes nothing for whole numbers.

    Raises:
        ValueError: a size, no whole number as scale_factor, another mode, align_corners=True; an input of another number
            of axes.
    """

    scale_factor: Any = fixed()
    mode: str = fixed()

    class Cache(Record):
        shape: tuple[int, ...]      # of x

    def __init__(self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
                 recompute_scale_factor: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size is not None:
            raise ValueError(f"{self.described}: expected a scale_factor in place of a size, got size={size!r}")
        self.size = None
        several = isinstance(scale_factor, (list, tuple))
        factors = tuple(self._whole(factor) for factor in (scale_factor if several else [scale_factor]))
        self.scale_factor = factors if several else factors[0]
        self.mode = choice(self.described, "mode", mode, ["nearest", "linear", "bilinear"])
        if align_corners is not None and flag(self.described, "align_corners", align_corners):
            raise ValueError(f"{self.described}: expected align_corners=False, got True, which is not supported")
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor
        axes = {"nearest": None, "linear": 3, "bilinear": 4}[self.mode]
        self.input_spec = InputSpec(ndim=axes) if axes else InputSpec(min_ndim=3, max_ndim=5)
        self.built = True

    def _whole(self, factor: Any) -> int:
        whole = int(factor) if isinstance(factor, (float, np.floating)) and float(factor).is_integer() else factor
        return integer(self.described, "scale_factor", whole, 1)

    def _factors(self, rank: int) -> tuple[int, ...]:
        factors = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * rank
        if len(factors) != rank:
            raise ValueError(f"{self.described}: expected an input of {len(factors) + 2} axes for scale_factor "
                             f"{self.scale_factor}, got {rank + 2}")
        return factors

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        self.cache = self.Cache(inputs.shape)
        y = self.xp.empty(self.compute_output_shape(inputs.shape), self.dtype)
        self._run("repeat" if self.mode == "nearest" else "interpolate", inputs, inputs.shape, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = self.xp.empty(self.cache.shape, self.dtype)
        self._run("repeat_backward" if self.mode == "nearest" else "interpolate_backward", dy, dx.shape, dx)
        return dx

    def _run(self, kernel: str, source: Any, shape: tuple[int, ...], target: Any) -> None:
        """Call a kernel on arrays whose channels are samples, between x of this shape and y, in either direction."""
        places = shape[2:]
        factors = windows.three(self._factors(len(places)), 1)
        settings = [factors]
        if self.mode != "nearest":
            sizes = windows.three(places, 1)
            settings = [self.xp.asarray(part) for n, factor in zip(sizes[1:], factors[1:], strict=True)
                        for part in axis_weights(n, n * factor, "bilinear", self.dtype)]
        volumes = [x.reshape(x.shape[0] * x.shape[1], *windows.three(x.shape[2:], 1), 1) for x in (source, target)]
        source, target = volumes if self.mode == "nearest" else [volume[:, 0] for volume in volumes]
        getattr(self.kernels.reshaping, kernel)(source, *settings, target)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, channels, *places = self._one_shape(input_shape)
        sizes = [None if n is None else n * factor for n, factor in zip(places, self._factors(len(places)), strict=True)]
        return (batch, channels, *sizes)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "size": self.size, "scale_factor": self.scale_factor, "mode": self.mode, "align_corners": self.align_corners,
            "recompute_scale_factor": self.recompute_scale_factor}

    def extra_repr(self) -> str:
        factor = self.scale_factor
        shown = tuple(map(float, factor)) if isinstance(factor, tuple) else float(factor)
        return f"scale_factor={shown}, mode={self.mode!r}"


__all__ = ["Flatten", "Unflatten", "Upsample", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d"]
