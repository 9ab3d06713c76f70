"""Convolution layers (document 001, section 7). Ten layers, three kernels:

- one and two dimensions are three with sizes of one (`windows.volume`);
- a depthwise convolution has as many groups as channels (`depthwise.py`);
- a transposed convolution is the gradient of a convolution (`transposed.py`);
- a separable convolution is a depthwise one, then a pointwise one (`separable.py`).
"""
from nblayers.layers.convolution.conv import Conv1D, Conv2D, Conv3D, Convolution1D, Convolution2D, Convolution3D
from nblayers.layers.convolution.depthwise import DepthwiseConv1D, DepthwiseConv2D
from nblayers.layers.convolution.separable import (
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
from nblayers.layers.convolution.transposed import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
    Convolution1DTranspose,
    Convolution2DTranspose,
    Convolution3DTranspose,
)

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Convolution1D",
    "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose", "Convolution3D", "Convolution3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D",
    "SeparableConvolution2D",
]
