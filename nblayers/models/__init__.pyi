from .model import Functional as Functional, Input as Input, Model as Model
from .saving import (
    clone_model as clone_model,
    load_model as load_model,
    model_from_json as model_from_json,
    save_model as save_model,
)
from .sequential import Sequential as Sequential
