"""Checkpoints of Orbax, a library for many machines: Keras has them, this library does not."""
from typing import Any

from nblayers.callbacks.base import Callback


class OrbaxCheckpoint(Callback):
    """Not here: it says so, and what to use instead.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, directory: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 mode: str = "auto", save_freq: Any = "epoch", initial_value_threshold: float | None = None,
                 max_to_keep: int = 1, save_on_background: bool = True, save_weights_only: bool = False) -> None:
        raise NotImplementedError("OrbaxCheckpoint: nblayers writes no directories of Orbax; BackupAndRestore goes on with a "
                                  "training that was stopped, ModelCheckpoint keeps models and weights (its save_freq, "
                                  "save_best_only and monitor are the same)")
