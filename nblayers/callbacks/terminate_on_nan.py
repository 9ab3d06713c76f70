"""The end of a training whose loss is no number."""
import math

from nblayers.arguments import flag
from nblayers.callbacks.base import Callback, Logs
from nblayers.models.progress import say


class TerminateOnNaN(Callback):
    """Ends the training when the loss is NaN or infinite.

    Arguments:
        raise_error: raise an error instead, so that `on_train_end` of other callbacks is not called (and a backup is kept).

    Raises:
        ValueError: a `raise_error` that is no truth value.
        RuntimeError: with `raise_error`, in training.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = flag("TerminateOnNaN", "raise_error", raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"TerminateOnNaN: expected a finite loss, got {loss} in batch {batch}")
        say(f"Batch {batch}: Invalid loss, terminating training\n")
        self.model.stop_training = True
