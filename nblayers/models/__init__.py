"""Models: `Sequential`, `Model`, and their files."""
from nblayers.graph import Input
from nblayers.models.model import Model
from nblayers.models.sequential import Sequential
from nblayers.saving import clone_model, load_model, model_from_json, save_model

Functional = Model                      # Keras' name for a Model made from inputs and outputs

__all__ = ["Functional", "Input", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
