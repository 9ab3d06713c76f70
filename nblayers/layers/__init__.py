"""All layers, under their Keras names; a layer's module is imported when the layer is first asked for."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nblayers.layers.base import Layer
from nblayers.layers.input_spec import InputSpec

if TYPE_CHECKING:
    from nblayers.graph import Input, InputLayer
    from nblayers.layers.activation import Activation
    from nblayers.layers.core import Dense, Embedding, Identity, Lambda, Linear, Masking
    from nblayers.layers.recurrent import LSTM, RNN, LSTMCell, SimpleRNN, SimpleRNNCell
    from nblayers.layers.regularization import Dropout
    from nblayers.layers.reshaping import Flatten

# the same again for Python, which does not read the lines above
_HOMES = {
    "nblayers.graph": ("Input", "InputLayer"),
    "nblayers.layers.activation": ("Activation",),
    "nblayers.layers.core": ("Dense", "Embedding", "Identity", "Lambda", "Linear", "Masking"),
    "nblayers.layers.recurrent": ("LSTM", "LSTMCell", "RNN", "SimpleRNN", "SimpleRNNCell"),
    "nblayers.layers.regularization": ("Dropout",),
    "nblayers.layers.reshaping": ("Flatten",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LSTM", "RNN", "Activation", "Dense", "Dropout", "Embedding", "Flatten", "Identity", "Input", "InputLayer", "InputSpec",
    "LSTMCell", "Lambda", "Layer", "Linear", "Masking", "SimpleRNN", "SimpleRNNCell",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nblayers.layers' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
