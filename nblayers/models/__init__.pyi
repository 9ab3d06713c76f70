from .configuration import clone_model as clone_model, model_from_json as model_from_json
from .model import Functional as Functional, Input as Input, Model as Model
from .saving import load_model as load_model, save_model as save_model
from .sequential import Sequential as Sequential
