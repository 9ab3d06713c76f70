"""A learning rate that is lowered where a training has stopped getting better."""
import warnings

from nblayers.arguments import integer, number
from nblayers.callbacks.base import Logs
from nblayers.callbacks.monitor import Monitor
from nblayers.models.progress import resolve_verbose, say


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a quantity has stopped getting better; the logs tell the rate as "learning_rate".

    Arguments:
        monitor: the quantity, a name in the logs.
        factor: what the learning rate is multiplied by, below 1.
        patience: so many epochs without anything better are waited for.
        verbose: 1 to print when the learning rate is lowered.
        mode: "min", "max", or "auto": from the quantity's name.
        min_delta: what is less than this does not count as better.
        cooldown: so many epochs after a change are not counted.
        min_lr: the learning rate is never lowered below this.

    Raises:
        ValueError: an argument out of range.
        TypeError: in training, the optimizer has a schedule.
    """

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
                 min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0) -> None:
        super().__init__(monitor, mode, None, min_delta)
        self.factor = number("ReduceLROnPlateau", "factor", factor, 0, 1, ")")
        self.patience = integer("ReduceLROnPlateau", "patience", patience, 0)
        self.verbose = resolve_verbose(verbose, "ReduceLROnPlateau")
        self.cooldown = integer("ReduceLROnPlateau", "cooldown", cooldown, 0)
        self.min_lr = number("ReduceLROnPlateau", "min_lr", min_lr, 0)
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.cooldown_counter = 0
        self.best = None

    def in_cooldown(self) -> bool:
        """Whether the learning rate was lowered a few epochs ago."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = self.model.optimizer.learning_rate
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"ReduceLROnPlateau: no {self.monitor!r} in the logs, which have {', '.join(logs)}", stacklevel=2)
            return
        self._direction()               # an error, if there is one, in the first epoch
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        if optimizer.learning_rate > self.min_lr:
            optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.\n")
