"""The learning rate as a function of the epoch."""
import inspect
from collections.abc import Callable
from typing import Any

from nblayers.arguments import function, number
from nblayers.callbacks.base import Callback, Logs
from nblayers.models.progress import resolve_verbose, say


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch; the logs tell it as "learning_rate".

    Arguments:
        schedule: called with the epoch, counted from 0, and the present learning rate (or with the epoch alone, if it takes no
            more); gives the new one.
        verbose: 1 to print it.

    Raises:
        ValueError: a schedule that cannot be called, or, in an epoch, one that gives no number.
        TypeError: the optimizer has a schedule of its own.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = function("LearningRateScheduler", "schedule", schedule)
        self.verbose = resolve_verbose(verbose, "LearningRateScheduler")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        takes_rate = _takes(self.schedule, epoch, optimizer.learning_rate)
        rate = self.schedule(epoch, optimizer.learning_rate) if takes_rate else self.schedule(epoch)
        optimizer.learning_rate = number("LearningRateScheduler", "what the schedule gives", rate)
        if self.verbose:
            say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {optimizer.learning_rate}.\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _takes(called: Callable[..., Any], *arguments: Any) -> bool:
    """Whether it can be called like that; yes if Python cannot tell."""
    try:
        inspect.signature(called).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
