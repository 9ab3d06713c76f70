"""Transposed convolution: the gradient of a convolution as a layer of its own."""
from typing import Any

from nblayers.layers import windows
from nblayers.layers.base import positive
from nblayers.layers.convolution import sliding
from nblayers.layers.convolution.base import Convolution
from nblayers.layers.fixed import fixed


class ConvTranspose(Convolution):
    r"""Every place of the input is spread over a window of the output: how an image is made larger, with learned weights.

        z_{nmf} = b_f + \sum_{i, k: m = i s + k d - p} \sum_c x_{nic} w_{kfc}       (1)
        y       = f(z)                                                              (2)

    The sum runs over all places i and taps k that meet in m. It is the gradient of a convolution of stride s for its input:
    this layer's forward is `Conv`'s backward, and the other way round. Document 001 repeats the convolution's formula instead;
    and with stride 1 the output grows by k − 1 at most, so that its segmentation example gives a small mask.

    Input (batch, length…, C), output (batch, length…, filters), with data_format="channels_first" (batch, channels, length…).
    With K = (k − 1) d + 1 and o the output_padding, an axis of n places becomes
    - (n − 1) s + K + o long if padding is "valid"; o is max(s − K, 0) where it is None;
    - n s long if it is "same", and (n − 1) s + K mod 2 + o with an output_padding.

    Weights: kernel w (kernel_size…, filters, C), bias b (filters,).

    Arguments:
        filters: how many channels the output has.
        kernel_size, data_format, dilation_rate, activation, use_bias: as in `Conv`.
        strides: s, how far apart the windows of neighbouring places lie.
        padding: "valid" keeps all that the windows reach; "same" cuts p places off in front, and behind as many as the length
            above asks for.
        output_padding: o, places added behind; below strides.
        kernel_initializer, bias_initializer: what w and b start from.
        kernel_regularizer, bias_regularizer: penalties on w and b.
        activity_regularizer: penalty on the output, divided by the batch size.
        kernel_constraint, bias_constraint: applied to w and b after each optimizer step.

    Raises:
        ValueError: filters or a size is not a positive integer; an output_padding that is negative or not below its stride;
            strides and a dilation_rate above one together; another padding or data_format; an input of another number of axes
            or channels; an output without places.
    """

    filters: int = fixed()
    output_padding: tuple[int, ...] | None = fixed()
    kernel: Any = fixed()

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
                 data_format: str | None = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 bias_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, activity_regularizer,
                         **kwargs)
        self.filters = positive(self, "filters", filters)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = windows.sizes(self, "output_padding", output_padding, self.rank, smallest=0)
            if any(o >= s for o, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(f"{self.described}: expected an output_padding below strides={self.strides}, "
                                 f"got {self.output_padding}")
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)
        self._refuse_strides_with_dilation()

    def _build_weights(self, channels: int) -> None:
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))

    def _filters(self, channels: Any) -> Any:
        return self.filters

    def _axis(self, axis: int, n: int) -> tuple[int, int]:
        s, K = self.strides[axis], self._reach()[axis]
        o = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return (n - 1) * s + K + (max(s - K, 0) if o is None else o), 0
        length = n * s if o is None else (n - 1) * s + K % 2 + o
        added = length - (n - 1) * s + K - 2        # zeros around the input, were this computed as a convolution, as Keras does
        return length, max(K - 1 - (added + 1) // 2, 0)

    def _convolve(self, cache: Any, z: Any) -> None:
        sliding.convolve_transposed(self, cache.x, self.kernel.value, self.bias, cache.window, 1, z)

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        w = self.kernel
        sliding.convolve_transposed_backward(self, cache.x, w.value, self.bias, cache.window, 1, dz, w.grad, dx)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters, "output_padding": self.output_padding}


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over a sequence (batch, steps, channels). The equations and arguments are `ConvTranspose`'s.

    Source: 001.07.Conv1DTranspose.
    """

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over an image (batch, height, width, channels). The equations and arguments are `ConvTranspose`'s.

    Source: 001.07.Conv2DTranspose.
    """

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over a volume (batch, depth, height, width, channels). The equations and arguments are
    `ConvTranspose`'s, but data_format comes before output_padding here, as in Keras.

    Source: 001.07.Conv3DTranspose.
    """

    rank = 3

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
                 output_padding: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs)


# Keras' longer names
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
