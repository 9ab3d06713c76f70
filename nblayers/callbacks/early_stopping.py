"""The end of a training that has stopped getting better."""
import warnings
from typing import Any

from nblayers.arguments import flag, integer, number, optional
from nblayers.callbacks.base import Logs
from nblayers.callbacks.monitor import Monitor
from nblayers.models.progress import resolve_verbose, say


class EarlyStopping(Monitor):
    """Ends the training when a quantity has stopped getting better.

    Arguments:
        monitor: the quantity, a name in the logs.
        min_delta: what is less than this does not count as better.
        patience: so many epochs without anything better are waited for.
        verbose: 1 to print when the training is ended.
        mode: "min", "max", or "auto": from the quantity's name.
        baseline: waiting only starts afresh for values that are better than this too.
        restore_best_weights: give the model the weights of the best epoch at the end.
        start_from_epoch: epochs at the beginning that are not looked at.

    Raises:
        ValueError: an argument of another kind, or a negative number of epochs.
    """

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0,
                 mode: str = "auto", baseline: float | None = None, restore_best_weights: bool = False,
                 start_from_epoch: int = 0) -> None:
        super().__init__(monitor, mode, None, min_delta)
        self.patience = integer("EarlyStopping", "patience", patience, 0)
        self.verbose = resolve_verbose(verbose, "EarlyStopping")
        self.baseline = optional(number, "EarlyStopping", "baseline", baseline, finite=False)
        self.restore_best_weights = flag("EarlyStopping", "restore_best_weights", restore_best_weights)
        self.start_from_epoch = integer("EarlyStopping", "start_from_epoch", start_from_epoch, 0)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"EarlyStopping: no {self.monitor!r} in the logs, which have {', '.join(logs)}", stacklevel=2)
            return
        self._direction()               # an error, if there is one, in the first epoch
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.improves(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping\n")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.\n")
            self.model.set_weights(self.best_weights)
