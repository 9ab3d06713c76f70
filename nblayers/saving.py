"""Keras' module `saving`: models in files, and objects from their configurations."""
from nblayers.models.configuration import clone_model, deserialize, model_from_json, serialize, to_json
from nblayers.models.saving import load_model, load_weights, save_model, save_weights
from nblayers.serialization import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

__all__ = ["CustomObjectScope", "clone_model", "custom_object_scope", "deserialize", "deserialize_keras_object",
           "get_custom_objects", "get_registered_name", "get_registered_object",
           "load_model", "load_weights", "model_from_json", "register_keras_serializable", "save_model", "save_weights",
           "serialize", "serialize_keras_object", "to_json"]
