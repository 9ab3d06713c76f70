"""nblayers: the Keras layers with every forward and backward pass written by hand, as readable Numba kernels."""
import lazy_loader

try:
    import kernels as _kernels
except ModuleNotFoundError as error:
    raise ImportError("nblayers needs its own package 'kernels' beside it, and found none: install nblayers again "
                      "(pip install --force-reinstall nblayers)") from error
if not getattr(_kernels, "IS_NBLAYERS", False):
    _found = getattr(_kernels, "__file__", None) or next(iter(getattr(_kernels, "__path__", ["?"])))
    raise ImportError(f"nblayers needs its own package 'kernels', but Python found another one at {_found}: "
                      "uninstall or rename that one, or install nblayers into an environment of its own")

__version__ = "0.1.0"

# `__init__.pyi` is the list of what there is; nothing of it is imported before it is asked for
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
