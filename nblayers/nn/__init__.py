"""PyTorch's names and arguments for the layers that mean the same there.

Every layer is a `Module` with PyTorch's methods (`parameters`, `state_dict`, `train`, `eval` …), and takes the weights of its
twin there. What differs: gradients come from `backward`, written by hand, in place of `loss.backward()` (see `Module`); they
begin with zeros in place of None; arrays are NumPy's.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
