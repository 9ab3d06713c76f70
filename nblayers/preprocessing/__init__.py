"""`keras.preprocessing`: data made ready for a model."""
from nblayers.preprocessing import sequence
from nblayers.utils.timeseries import timeseries_dataset_from_array

__all__ = ["sequence", "timeseries_dataset_from_array"]
