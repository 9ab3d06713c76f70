"""`keras.preprocessing.sequence`."""
from nblayers.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]
