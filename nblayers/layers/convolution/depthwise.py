"""Depthwise convolution: every channel by itself."""
from typing import Any

from nblayers.layers.base import positive
from nblayers.layers.convolution import sliding
from nblayers.layers.convolution.base import Convolution
from nblayers.layers.fixed import fixed


class DepthwiseConv(Convolution):
    r"""Every channel is convolved by itself, with windows of its own: far fewer weights and products than `Conv`.

        z_{n, i, c M + j} = b_{c M + j} + \sum_k x_{n, i s + k d - p, c} w_{kcj}        (1)     j < M, the depth multiplier
        y                 = f(z)                                                        (2)

    A convolution with as many groups as channels, which is how it is computed. Channels are mixed by a pointwise convolution
    after it (`SeparableConv2D` has both). Document 001 leaves out the stride.

    Input (batch, length…, C), output (batch, length…, C depth_multiplier), with data_format="channels_first" (batch, channels,
    length…). Weights: kernel w (kernel_size…, C, depth_multiplier), bias b (C depth_multiplier,).

    Arguments:
        kernel_size, strides, data_format, dilation_rate, activation, use_bias: as in `Conv`.
        padding: "valid" or "same".
        depth_multiplier: M, how many channels of the output each channel of the input gives.
        depthwise_initializer, bias_initializer: what w and b start from.
        depthwise_regularizer, bias_regularizer: penalties on w and b.
        activity_regularizer: penalty on the output, divided by the batch size.
        depthwise_constraint, bias_constraint: applied to w and b after each optimizer step.

    Raises:
        ValueError: depth_multiplier or a size is not a positive integer; another padding or data_format; an input of another
            number of axes or channels, or smaller than the window.
    """

    depth_multiplier: int = fixed()
    kernel: Any = fixed()

    weight_kinds = ("depthwise", "bias")

    def __init__(self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1,
                 data_format: str | None = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
                 depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 depthwise_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 depthwise_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, activity_regularizer,
                         **kwargs)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def _build_weights(self, channels: int) -> None:
        self.kernel = self._add("depthwise", (*self.kernel_size, channels, self.depth_multiplier), "kernel")

    def _filters(self, channels: Any) -> Any:
        return None if channels is None else channels * self.depth_multiplier

    def _convolve(self, cache: Any, z: Any) -> None:
        sliding.convolve(self, cache.x, self.kernel.value, self.bias, cache.window, cache.x.shape[-1], z)

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        x, w = cache.x, self.kernel
        sliding.convolve_backward(self, x, w.value, self.bias, cache.window, x.shape[-1], dz, w.grad, dx)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"depth_multiplier": self.depth_multiplier}


class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution over a sequence (batch, steps, channels). The equations and arguments are `DepthwiseConv`'s.

    Source: 001.07.DepthwiseConv1D.
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution over an image (batch, height, width, channels). The equations and arguments are `DepthwiseConv`'s.

    Source: 001.07.DepthwiseConv2D.
    """

    rank = 2
