"""nblayers: the Keras layers with every forward and backward pass written by hand, as readable Numba kernels."""
from importlib import import_module
from typing import Any

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

# attributes and the modules that hold them: nothing heavy is imported before it is asked for
_HOMES = {
    "Model": "models", "Sequential": "models", "Input": "layers", "Layer": "layers", "Parameter": "parameter",
    "gradcheck": "gradient_check", "device": "devices", "get_device": "devices", "set_device": "devices",
}
_MODULES = ("activations", "backend", "callbacks", "config", "constraints", "initializers", "layers", "losses", "metrics",
            "models", "nn", "optimizers", "preprocessing", "regularizers", "saving", "utils")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(import_module(f"nblayers.{_HOMES[name]}"), name)
        globals()[name] = found         # stands from now on, also where a module has the same name
        return found
    if name in _MODULES:
        return import_module(f"nblayers.{name}")
    raise AttributeError(f"module 'nblayers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOMES, *_MODULES, "__version__"])
