"""Models and weights in files."""
from nblayers.models.saving.model_files import load_model, save_model
from nblayers.models.saving.weight_files import load_weights, save_weights

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]
