"""Convolution over one, two and three axes."""
from typing import Any

from nblayers.layers.base import positive
from nblayers.layers.convolution import sliding
from nblayers.layers.convolution.base import Convolution
from nblayers.layers.fixed import fixed


class Conv(Convolution):
    r"""Every place of the output sees a small window of the input, and all places share the window's weights.

        z_{nif} = b_f + \sum_k \sum_c x_{n, i s + k d - p, c} w_{kcf}       (1)
        y       = f(z)                                                      (2)

    n is the sample, i the place, k the tap of the window, c the channel, f the filter; i, k, s, d and p stand for one number an
    axis. This is a cross-correlation: the window is not flipped. Document 001 leaves out the sum over channels and the stride.

    Input (batch, length…, C), output (batch, length…, filters), with data_format="channels_first" (batch, channels, length…).
    The output has ⌊(n + added − (k − 1) d − 1) / s⌋ + 1 places on an axis of n. Weights: kernel w (kernel_size…, C / groups,
    filters), bias b (filters,).

    On the CPU a window of 3 × 3 (or any × 3 × 3) and stride 1 takes, with 16 channels and more, Winograd's way: 4 × 4 places
    together, with a quarter of the multiplications. In float32 the error of all 16 is then up to 1e-5 of the largest output
    that one of them could have. So a pixel of 10000 among ones is felt in the second digit also where the window does not see
    it, up to three places away. An inf or a NaN stays in its windows. `nblayers.config.set_winograd(False)`, or
    NBLAYERS_WINOGRAD=0 in the environment, computes every output of all convolution layers from its own window.

    Arguments:
        filters: how many channels the output has.
        kernel_size: k, the window's size; one integer, or one an axis. So also strides and dilation_rate.
        strides: s, how far the window moves from one place to the next.
        padding: "valid" adds nothing; "same" adds zeros so that the output has ⌈n / s⌉ places, the odd one behind; "causal"
            (Conv1D) adds zeros in front only, so that no place sees a later one.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.
        dilation_rate: d, how far the window's taps lie apart.
        groups: channels and filters are split into so many groups, and a filter sees the channels of its own group only.
        activation: f, a name or an activation function; none is f(z) = z.
        use_bias: whether b is added.
        kernel_initializer, bias_initializer: what w and b start from.
        kernel_regularizer, bias_regularizer: penalties on w and b.
        activity_regularizer: penalty on the output, divided by the batch size.
        kernel_constraint, bias_constraint: applied to w and b after each optimizer step.

    Raises:
        ValueError: filters, groups or a size is not a positive integer; filters or the input's channels are not divisible by
            groups; strides and a dilation_rate above one together; another padding or data_format; an input of another number
            of axes or channels, or smaller than the window.
    """

    filters: int = fixed()
    groups: int = fixed()
    kernel: Any = fixed()

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
                 dilation_rate: Any = 1, groups: int = 1, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 bias_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, activity_regularizer,
                         **kwargs)
        self.filters = positive(self, "filters", filters)
        self.groups = positive(self, "groups", groups)
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self._refuse_strides_with_dilation()
        if self.filters % self.groups:
            raise ValueError(f"{self.described}: expected filters to be divisible by groups, got filters={self.filters} and "
                             f"groups={self.groups}")

    def _build_weights(self, channels: int) -> None:
        if channels % self.groups:
            raise ValueError(f"{self.described}: expected the input's channels to be divisible by groups, got {channels} "
                             f"channels and groups={self.groups}")
        self.kernel = self._add("kernel", (*self.kernel_size, channels // self.groups, self.filters))

    def _filters(self, channels: Any) -> Any:
        return self.filters

    def _convolve(self, cache: Any, z: Any) -> None:
        sliding.convolve(self, cache.x, self.kernel.value, self.bias, cache.window, self.groups, z)

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        w = self.kernel
        sliding.convolve_backward(self, cache.x, w.value, self.bias, cache.window, self.groups, dz, w.grad, dx)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters, "groups": self.groups}


class Conv1D(Conv):
    """Convolution over a sequence (batch, steps, channels): a signal, a text. The equations and arguments are `Conv`'s.

    Source: 001.07.Conv1D.
    """

    rank = 1
    causal = True


class Conv2D(Conv):
    """Convolution over an image (batch, height, width, channels). The equations and arguments are `Conv`'s.

    Source: 001.07.Conv2D; 002.Convolution.
    """

    rank = 2


class Conv3D(Conv):
    """Convolution over a volume or a film (batch, depth, height, width, channels). The equations and arguments are `Conv`'s.

    Source: 001.07.Conv3D.
    """

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D            # Keras' longer names
