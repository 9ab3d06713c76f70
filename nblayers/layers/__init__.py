"""All layers, under their Keras names."""
from nblayers.layers.base import Layer
from nblayers.layers.input_spec import InputSpec

__all__ = ["InputSpec", "Layer"]
