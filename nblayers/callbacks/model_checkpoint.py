"""Models and weights saved during the training."""
import os
import warnings
from typing import Any

from nblayers.arguments import as_float, flag, number, optional
from nblayers.callbacks.base import Logs
from nblayers.callbacks.monitor import Monitor
from nblayers.models.progress import resolve_verbose, say


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, during the training.

    Arguments:
        filepath: where to; may hold {epoch} (from 1), {batch} and names of the logs: "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: the quantity for `save_best_only`.
        verbose: 1 to print what is saved.
        save_best_only: save only what is better than all before.
        save_weights_only: save the weights only: to a path that ends in .npz, .h5 or .safetensors.
        mode: "min", "max", or "auto": from the quantity's name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: a first best value.

    Raises:
        ValueError: another ending of the path, another `save_freq`, or an argument of another kind.
    """

    def __init__(self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", save_freq: str | int = "epoch",
                 initial_value_threshold: float | None = None) -> None:
        threshold = optional(number, "ModelCheckpoint", "initial_value_threshold", initial_value_threshold, finite=False)
        super().__init__(monitor, mode, threshold)
        if not isinstance(filepath, (str, os.PathLike)):
            raise ValueError(f"ModelCheckpoint: expected filepath to be a path, got {filepath!r}")
        self.filepath = os.fspath(filepath)
        self.verbose = resolve_verbose(verbose, "ModelCheckpoint")
        self.save_best_only = flag("ModelCheckpoint", "save_best_only", save_best_only)
        self.save_weights_only = flag("ModelCheckpoint", "save_weights_only", save_weights_only)
        batches = as_float(save_freq)
        if not (isinstance(save_freq, str) and save_freq == "epoch") and not (batches >= 1 and batches.is_integer()):
            raise ValueError(f"ModelCheckpoint: expected save_freq to be 'epoch' or a number of batches, got {save_freq!r}")
        endings = (".npz", ".h5", ".safetensors") if save_weights_only else (".keras",)
        if not self.filepath.endswith(endings):
            what = "weights" if save_weights_only else "models"
            raise ValueError(f"ModelCheckpoint: expected a filepath for {what} that ends in {' or '.join(endings)}, "
                             f"got {self.filepath!r}")
        self.save_freq = save_freq
        self._epoch = self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as error:
            raise KeyError(f"ModelCheckpoint: the filepath {self.filepath!r} names {error}, which is not among "
                           f"{['epoch', *logs]}") from error
        if not self._should_save(epoch, logs, path):
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)

    def _should_save(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._tell(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"ModelCheckpoint: no {self.monitor!r} in the logs; saving anyway", stacklevel=2)
            return True
        self._direction()
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.improves(current, self.best):
            self._tell(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        self._tell(f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def _tell(self, message: str) -> None:
        if self.verbose:
            say(f"{message}\n")
