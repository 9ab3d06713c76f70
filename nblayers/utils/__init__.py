"""Small things that programs need around a model."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from nblayers.utils import data
from nblayers.utils.arrays import normalize, to_categorical
from nblayers.utils.confusion import confusion_matrix
from nblayers.utils.packing import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_padded_sequence_backward,
    pack_sequence,
    pad_packed_sequence,
    pad_packed_sequence_backward,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from nblayers.utils.py_dataset import PyDataset, Sequence
from nblayers.utils.sequences import pad_sequences
from nblayers.utils.session import clear_session, set_random_seed
from nblayers.utils.split import split_dataset
from nblayers.utils.timeseries import timeseries_dataset_from_array

if TYPE_CHECKING:
    from nblayers.optimizers import clip_by_global_norm, clip_by_norm, clip_by_value
    from nblayers.utils.ctc import ctc_decode
    from nblayers.utils.directory import image_dataset_from_directory, text_dataset_from_directory
    from nblayers.utils.pictures.charts import plot_attention, plot_confusion_matrix, plot_gradients, plot_weights
    from nblayers.utils.pictures.model_picture import plot_model
    from nblayers.utils.unrolled import bptt

_CHARTS = ("plot_attention", "plot_confusion_matrix", "plot_gradients", "plot_weights")
_HOMES = {"bptt": "nblayers.utils.unrolled", "clip_by_global_norm": "nblayers.optimizers",
          "clip_by_norm": "nblayers.optimizers", "clip_by_value": "nblayers.optimizers", "ctc_decode": "nblayers.utils.ctc",
          "image_dataset_from_directory": "nblayers.utils.directory", "plot_model": "nblayers.utils.pictures.model_picture",
          "text_dataset_from_directory": "nblayers.utils.directory", **dict.fromkeys(_CHARTS, "nblayers.utils.pictures.charts")}

__all__ = ["CustomObjectScope", "PackedSequence", "PyDataset", "Sequence", "bptt", "clear_session", "clip_by_global_norm",
           "clip_by_norm", "clip_by_value", "confusion_matrix", "ctc_decode", "custom_object_scope", "data",
           "deserialize_keras_object", "get_custom_objects", "get_registered_name", "get_registered_object",
           "image_dataset_from_directory", "invert_permutation", "normalize", "pack_padded_sequence",
           "pack_padded_sequence_backward", "pack_sequence", "pad_packed_sequence", "pad_packed_sequence_backward",
           "pad_sequence", "pad_sequences", "plot_attention", "plot_confusion_matrix", "plot_gradients", "plot_model",
           "plot_weights", "register_keras_serializable", "serialize_keras_object", "set_random_seed", "split_dataset",
           "text_dataset_from_directory", "timeseries_dataset_from_array", "to_categorical", "unpack_sequence",
           "unpad_sequence"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nblayers.utils' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
