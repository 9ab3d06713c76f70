"""Separable convolution: depthwise, then pointwise."""
from typing import Any

import numpy as np

from nblayers.layers.base import positive
from nblayers.layers.convolution import sliding
from nblayers.layers.convolution.base import Convolution
from nblayers.layers.fixed import fixed


class SeparableConv(Convolution):
    r"""A depthwise convolution looks around in each channel, a pointwise one then mixes the channels: `Conv` in fewer weights.

        h_{n, i, c M + j} = \sum_k x_{n, i s + k d - p, c} w_{kcj}      (1)     depthwise; j < M, the depth multiplier
        z_{nif}           = b_f + \sum_e h_{nie} v_{ef}                 (2)     pointwise: a window of one place
        y                 = f(z)                                        (3)

    Both are the convolution of `Conv`: (1) with as many groups as channels, (2) with a window of size one. Document 001 writes
    one formula for the two.

    Input (batch, length…, C), output (batch, length…, filters), with data_format="channels_first" (batch, channels, length…).
    Weights: depthwise_kernel w (kernel_size…, C, depth_multiplier), pointwise_kernel v (1…, C depth_multiplier, filters),
    bias b (filters,).

    Arguments:
        filters: how many channels the output has.
        kernel_size, strides, data_format, dilation_rate, activation, use_bias: as in `Conv`; the window's are for (1).
        padding: "valid" or "same".
        depth_multiplier: M, how many channels of h each channel of the input gives.
        depthwise_initializer, pointwise_initializer, bias_initializer: what w, v and b start from.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalties on w, v and b.
        activity_regularizer: penalty on the output, divided by the batch size.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied to w, v and b after each optimizer step.

    Raises:
        ValueError: filters, depth_multiplier or a size is not a positive integer; another padding or data_format; an input of
            another number of axes or channels, or smaller than the window.
    """

    filters: int = fixed()
    depth_multiplier: int = fixed()
    depthwise_kernel: Any = fixed()
    pointwise_kernel: Any = fixed()

    weight_kinds = ("depthwise", "pointwise", "bias")

    class Cache(Convolution.Cache):
        h: np.ndarray | None = None             # (B, OD, OH, OW, C M)

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
                 dilation_rate: Any = 1, depth_multiplier: int = 1, activation: Any = None, use_bias: bool = True,
                 depthwise_initializer: Any = "glorot_uniform", pointwise_initializer: Any = "glorot_uniform",
                 bias_initializer: Any = "zeros", depthwise_regularizer: Any = None, pointwise_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, depthwise_constraint: Any = None,
                 pointwise_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, activity_regularizer,
                         **kwargs)
        self.filters = positive(self, "filters", filters)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._keep("pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def _build_weights(self, channels: int) -> None:
        M, ones = self.depth_multiplier, (1,) * self.rank
        self.depthwise_kernel = self._add("depthwise", (*self.kernel_size, channels, M), "depthwise_kernel")
        self.pointwise_kernel = self._add("pointwise", (*ones, channels * M, self.filters), "pointwise_kernel")

    def _filters(self, channels: Any) -> Any:
        return self.filters

    def _convolve(self, cache: Any, z: Any) -> None:
        x, w, v = cache.x, self.depthwise_kernel.value, self.pointwise_kernel.value
        cache.h = self.xp.empty((*z.shape[:-1], v.shape[-2]), self.dtype)
        sliding.convolve(self, x, w, None, cache.window, x.shape[-1], cache.h)                              # (1)
        sliding.convolve(self, cache.h, v, self.bias, sliding.POINT, 1, z)                                          # (2)

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        x, h, w, v = cache.x, cache.h, self.depthwise_kernel, self.pointwise_kernel
        dh = self.xp.empty_like(h)
        sliding.convolve_backward(self, h, v.value, self.bias, sliding.POINT, 1, dz, v.grad, dh)            # from (2)
        sliding.convolve_backward(self, x, w.value, None, cache.window, x.shape[-1], dh, w.grad, dx)        # from (1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters, "depth_multiplier": self.depth_multiplier}


class SeparableConv1D(SeparableConv):
    """Separable convolution over a sequence (batch, steps, channels). The equations and arguments are `SeparableConv`'s.

    Source: 001.07.SeparableConv1D.
    """

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable convolution over an image (batch, height, width, channels). The equations and arguments are `SeparableConv`'s.

    Source: 001.07.SeparableConv2D.
    """

    rank = 2


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D       # Keras' longer names
