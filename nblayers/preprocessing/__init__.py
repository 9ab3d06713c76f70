"""`keras.preprocessing`: data made ready for a model."""
from typing import TYPE_CHECKING, Any

from nblayers.preprocessing import sequence
from nblayers.utils.timeseries import timeseries_dataset_from_array

if TYPE_CHECKING:
    from nblayers.utils.directory import image_dataset_from_directory, text_dataset_from_directory

__all__ = ["image_dataset_from_directory", "sequence", "text_dataset_from_directory", "timeseries_dataset_from_array"]


def __getattr__(name: str) -> Any:
    if name not in ("image_dataset_from_directory", "text_dataset_from_directory"):
        raise AttributeError(f"module 'nblayers.preprocessing' has no attribute {name!r}")
    from nblayers.utils import directory

    return getattr(directory, name)
