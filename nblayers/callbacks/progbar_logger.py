"""The progress line."""
from typing import Any

from nblayers.callbacks.base import Closing, Logs
from nblayers.models.progress import Progbar, resolve_verbose, say


class ProgbarLogger(Closing):
    """Prints the progress line; `fit` adds it unless `verbose` is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.progbar: Progbar | None = None
        self.verbose, self.epochs = 1, 1
        self.steps: int | None = None
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.verbose = resolve_verbose(params.get("verbose", 1))
        self.epochs, self.steps = params.get("epochs", 1), params.get("steps")

    def wants(self, batch: int) -> bool:
        """Whether to be told of the end of this batch: the first is timed, others change the line or have to be counted."""
        return self.progbar is not None and (batch == 0 or self.steps is None or self.progbar.due)

    def close(self) -> None:
        """End the line."""
        if self.progbar is not None:
            self.progbar.close()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True             # validation is then silent

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start()
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._start()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._update(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, None)

    def _start(self) -> None:
        self.progbar = Progbar(self.steps, verbose=self.verbose)

    def _update(self, batch: int, logs: Logs | None) -> None:
        if self.progbar is not None:
            self.progbar.update(batch + 1, (logs or {}).items(), finalize=False)

    def _finish(self, logs: Logs | None) -> None:
        if self.progbar is not None:
            self.steps = self.progbar.target = self.steps or self.progbar.seen
            self.progbar.update(self.steps, (logs or {}).items(), finalize=True)
