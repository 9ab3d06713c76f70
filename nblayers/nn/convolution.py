"""The convolution layers as PyTorch writes them; `nblayers.nn` has their names."""
import math
from typing import Any

from nblayers import initializers
from nblayers.arguments import flag
from nblayers.layers import windows
from nblayers.layers.base import Layer, positive
from nblayers.layers.convolution import sliding
from nblayers.layers.convolution.base import Convolution
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.nn.inside import changed
from nblayers.nn.module import LibraryModule
from nblayers.nn.single import TakesSingle


class TorchConvolution(TakesSingle, Convolution, LibraryModule):
    """What the six share: channels come first, in the data and in the weight, and the padding is a number. An input may lack
    the batch axis.

    Weights, made at once: weight (a, b, kernel_size…) and bias (out_channels,), both from the uniform distribution between
    -1/√(b times the window's size) and its opposite, so that `set_weights([weight, bias])` takes PyTorch's.
    """

    padding: Any = fixed()
    in_channels: int = fixed()
    out_channels: int = fixed()
    groups: int = fixed()
    output_padding: tuple[int, ...] = fixed()
    weight: Any = fixed()
    _slide: Any                     # of `sliding`: plain or transposed
    _slide_backward: Any

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, dilation: Any, groups: int,
                 bias: bool, padding_mode: str, **kwargs: Any) -> None:
        bias = flag(type(self).__name__, "bias", bias)
        super().__init__(kernel_size, stride, "valid", "channels_first", dilation, None, bias, None, **kwargs)
        self.in_channels = positive(self, "in_channels", in_channels)
        self.out_channels = positive(self, "out_channels", out_channels)
        self.groups = positive(self, "groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"{self.described}: expected in_channels and out_channels to be divisible by groups, got "
                             f"{in_channels} and {out_channels} with groups={groups}")
        if not isinstance(padding_mode, str) or padding_mode != "zeros":
            raise ValueError(f"{self.described}: expected padding_mode 'zeros', got {padding_mode!r}; others are not supported")
        self.padding_mode = padding_mode
        self.input_spec = InputSpec(min_ndim=self.rank + 1, max_ndim=self.rank + 2, axes={-self.rank - 1: self.in_channels})

    def _make_weights(self, a: int, b: int) -> None:
        limit = 1 / math.sqrt(b * math.prod(self.kernel_size))
        uniform = initializers.RandomUniform(-limit, limit)
        self.weight = self.add_weight((a, b, *self.kernel_size), uniform, name="weight")
        self.bias = self.add_weight((self.out_channels,), uniform, name="bias") if self.use_bias else None
        self.built = True

    @property
    def stride(self) -> tuple[int, ...]:
        return self.strides

    @property
    def dilation(self) -> tuple[int, ...]:
        return self.dilation_rate

    def _filters(self, channels: Any) -> Any:
        return self.out_channels

    def _convolve(self, cache: Any, z: Any) -> None:
        self._slide(self, cache.x, self._taps_first(self.weight.value), self.bias, cache.window, self.groups, z)

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        w = self._taps_first(self.weight.value)
        dw = self.xp.zeros_like(w)
        self._slide_backward(self, cache.x, w, self.bias, cache.window, self.groups, dz, dw, dx)
        self.weight.grad += self._taps_last(dw)

    def _taps_first(self, weight: Any) -> Any:
        """(a, b, kernel_size…) as the kernels want it, (kernel_size…, b, a): a copy."""
        return self.xp.ascontiguousarray(self.xp.moveaxis(weight, (0, 1), (-1, -2)))

    def _taps_last(self, w: Any) -> Any:
        return self.xp.moveaxis(w, (-1, -2), (0, 1))

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {                       # not Convolution's: its keys are Keras'
            "in_channels": self.in_channels, "out_channels": self.out_channels, "kernel_size": self.kernel_size,
            "stride": self.strides, "padding": self.padding, "dilation": self.dilation_rate, "groups": self.groups,
            "bias": self.use_bias}

    def extra_repr(self) -> str:
        none = (0,) * self.rank
        usual = {"padding": none, "dilation": (1,) * self.rank, "output_padding": none, "groups": 1}
        shown = {name: value for name, value in usual.items() if hasattr(self, name)}
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
                f"{changed(self, shown)}{'' if self.use_bias else ', bias=False'}")


class TorchConv(TorchConvolution):
    """`Conv` with PyTorch's arguments, data and weights: input (batch, in_channels, length…), output (batch, out_channels,
    length…), weight (out_channels, in_channels / groups, kernel_size…), bias (out_channels,).

    Arguments:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, dilation: one integer, or one an axis; stride and dilation may both be above one.
        padding: zeros added on both sides of each axis; or "valid" (none), or "same", with stride 1.
        groups: as in `Conv`.
        bias: whether b is added.

    Raises:
        ValueError: a size is not a positive integer; channels not divisible by groups; another padding, or a padding_mode other
            than "zeros"; "same" with a stride; an input of another number of axes or channels, or smaller than the window.

    Source: 002.Convolution; torch.nn.Conv1d, Conv2d, Conv3d.
    """

    _slide, _slide_backward = staticmethod(sliding.convolve), staticmethod(sliding.convolve_backward)

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, padding_mode, **kwargs)
        if isinstance(padding, str):
            self.padding = windows.padding_mode(self, padding)
            if self.padding == "same" and max(self.strides) > 1:
                raise ValueError(f"{self.described}: expected stride 1 with padding 'same', got {self.strides}")
        else:
            self.padding = windows.sizes(self, "padding", padding, self.rank, smallest=0)
        self._make_weights(self.out_channels, self.in_channels // self.groups)

    def _axis(self, axis: int, n: int) -> tuple[int, int]:
        if isinstance(self.padding, str):
            return super()._axis(axis, n)
        p = self.padding[axis]
        return (n + 2 * p - self._reach()[axis]) // self.strides[axis] + 1, p


class TorchConvTranspose(TorchConvolution):
    """`ConvTranspose` with PyTorch's arguments, data and weights: input (batch, in_channels, length…), output (batch,
    out_channels, length…), weight (in_channels, out_channels / groups, kernel_size…), bias (out_channels,).

    An axis of n becomes (n − 1) stride − 2 padding + dilation (k − 1) + output_padding + 1 long.

    Arguments:
        in_channels, out_channels, kernel_size, stride, dilation, bias: as in `TorchConv`.
        padding: how many places are cut off on both sides of each axis of the output.
        output_padding: places added behind; below stride or dilation.
        groups: channels of input and output are split into so many groups that do not see each other.

    Raises:
        ValueError: a size is not a positive integer; channels not divisible by groups; a padding or output_padding that is
            negative, or the latter not below stride or dilation; a padding_mode other than "zeros"; an input of another number
            of axes or channels; an output without places.

    Source: torch.nn.ConvTranspose1d, ConvTranspose2d, ConvTranspose3d.
    """

    _slide = staticmethod(sliding.convolve_transposed)
    _slide_backward = staticmethod(sliding.convolve_transposed_backward)

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1, padding_mode: str = "zeros",
                 **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, padding_mode, **kwargs)
        self.padding = windows.sizes(self, "padding", padding, self.rank, smallest=0)
        self.output_padding = windows.sizes(self, "output_padding", output_padding, self.rank, smallest=0)
        if any(o >= max(s, d) for o, s, d in zip(self.output_padding, self.strides, self.dilation_rate, strict=True)):
            raise ValueError(f"{self.described}: expected an output_padding below stride={self.strides} or "
                             f"dilation={self.dilation_rate}, got {self.output_padding}")
        self._make_weights(self.in_channels, self.out_channels // self.groups)

    def _axis(self, axis: int, n: int) -> tuple[int, int]:
        p = self.padding[axis]
        return (n - 1) * self.strides[axis] - 2 * p + self._reach()[axis] + self.output_padding[axis], p

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_padding": self.output_padding}


class Conv1d(TorchConv):
    """`TorchConv` over a sequence (batch, channels, steps)."""
    rank = 1


class Conv2d(TorchConv):
    """`TorchConv` over an image (batch, channels, height, width)."""
    rank = 2


class Conv3d(TorchConv):
    """`TorchConv` over a volume (batch, channels, depth, height, width)."""
    rank = 3


class ConvTranspose1d(TorchConvTranspose):
    """`TorchConvTranspose` over a sequence (batch, channels, steps)."""
    rank = 1


class ConvTranspose2d(TorchConvTranspose):
    """`TorchConvTranspose` over an image (batch, channels, height, width)."""
    rank = 2


class ConvTranspose3d(TorchConvTranspose):
    """`TorchConvTranspose` over a volume (batch, channels, depth, height, width)."""
    rank = 3
