"""Small things that programs need around a model."""
from nblayers.serialization import (
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from nblayers.utils.arrays import normalize, to_categorical
from nblayers.utils.sequences import pad_sequences
from nblayers.utils.session import clear_session, set_random_seed

__all__ = ["clear_session", "deserialize_keras_object", "get_registered_name", "get_registered_object", "normalize",
           "pad_sequences", "register_keras_serializable", "serialize_keras_object", "set_random_seed", "to_categorical"]
