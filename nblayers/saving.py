"""Keras' module `saving`: models in files, and objects from their configurations."""
from nblayers.models.saving import (
    clone_model,
    deserialize,
    load_model,
    load_weights,
    model_from_json,
    save_model,
    save_weights,
    serialize,
    to_json,
)
from nblayers.serialization import (
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = ["clone_model", "deserialize", "deserialize_keras_object", "get_registered_name", "get_registered_object",
           "load_model", "load_weights", "model_from_json", "register_keras_serializable", "save_model", "save_weights",
           "serialize", "serialize_keras_object", "to_json"]
