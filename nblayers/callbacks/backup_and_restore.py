"""Backups of a training, to go on from."""
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from nblayers import arguments
from nblayers.arguments import flag, integer
from nblayers.callbacks.base import Callback, Logs


class BackupAndRestore(Callback):
    """Backs up a training, so that one that was stopped goes on as if it had not been.

        model.fit(x, y, epochs=100, callbacks=[BackupAndRestore("backup")])     # the same program again goes on

    Weights, the optimizer's moments and step count, the order of the samples, the masks of dropout and the states of stateful
    layers are what they would have been, to the last bit, also in the middle of an epoch. Give the same model, data and
    arguments again. Data that are no arrays are read again from their beginning, up to the batch where the training was
    stopped. What other callbacks remember (EarlyStopping's best value) begins afresh, as in Keras. Put it behind callbacks that
    change the model or its optimizer at the end of an epoch: what comes after it is not in the backup.

    Arguments:
        backup_dir: a directory for this backup alone; made if it is not there.
        save_freq: "epoch": at the end of each epoch; or after so many batches.
        double_checkpoint: keep the backup before the last one too, and go on from it should the last one be damaged.
        delete_checkpoint: remove the backup when the training has come to its end.

    Raises:
        ValueError: no directory, another `save_freq`; in `fit` a model that is not built, a damaged backup, or that of another
            model.

    Source: keras.callbacks.BackupAndRestore, which restores weights, moments and epoch.
    """

    def __init__(self, backup_dir: Any, save_freq: str | int = "epoch", double_checkpoint: bool = False,
                 delete_checkpoint: bool = True) -> None:
        super().__init__()
        self.backup_dir = Path(arguments.path("BackupAndRestore", "backup_dir", backup_dir))
        self.save_freq = save_freq if save_freq == "epoch" else integer("BackupAndRestore", "save_freq", save_freq, 1)
        self.double_checkpoint = flag("BackupAndRestore", "double_checkpoint", double_checkpoint)
        self.delete_checkpoint = flag("BackupAndRestore", "delete_checkpoint", delete_checkpoint)
        self.course: Any = None         # set by fit
        self._batches = 0

    @property
    def _files(self) -> list[Path]:
        """The last backup, and the one before."""
        return [self.backup_dir / "latest.zip", self.backup_dir / "previous.zip"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.model.built:
            raise ValueError(f"BackupAndRestore: expected a model that is built before fit, got {self.model.described}: call "
                             "build(input_shape), or begin it with an Input")
        there = [path for path in self._files if path.exists()]
        for path in there:
            try:
                return _backup().load_training(self.model, self.course, path)
            except ValueError:
                if path is there[-1]:
                    raise

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and self.backup_dir.exists():
            for path in self._files:
                path.unlink(missing_ok=True)
            if not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()

    def _save(self) -> None:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        latest, previous = self._files
        if self.double_checkpoint and latest.exists():
            os.replace(latest, previous)
        _backup().save_training(self.model, self.course, latest)


def _backup() -> Any:
    return import_module("nblayers.models.saving.backup")      # which imports this module
