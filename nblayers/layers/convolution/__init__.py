"""Convolution layers (document 001, section 7). Ten layers, three kernels:

- one and two dimensions are three with sizes of one (`windows.volume`);
- a depthwise convolution has as many groups as channels (`depthwise.py`);
- a transposed convolution is the gradient of a convolution (`transposed.py`);
- a separable convolution is a depthwise one, then a pointwise one (`separable.py`).
"""
