"""PyTorch's names and arguments for the layers that mean the same there.

What differs from PyTorch: a layer has no mode of its own: `forward(x, training=True)` says so at each call, and without it
Dropout does nothing. Gradients come from `backward`, written by hand.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
