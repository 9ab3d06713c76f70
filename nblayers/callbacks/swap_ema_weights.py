"""Moving averages of the weights in the place of the weights, for as long as a model is judged."""
from collections.abc import Callable
from typing import Any

from nblayers.arguments import flag
from nblayers.callbacks.base import Closing, Logs
from nblayers.models.interrupts import Interrupts


class SwapEMAWeights(Closing):
    """Evaluates, validates and predicts with the averages that an optimizer with `use_ema` keeps, and trains with the weights.

        model.compile(Adam(use_ema=True), "mse")
        model.fit(x, y, validation_split=0.1, callbacks=[SwapEMAWeights()])             # "val_loss" is that of the averages
        model.fit(x, y, epochs=9, callbacks=[SwapEMAWeights(swap_on_epoch=True), ModelCheckpoint("averages.keras")])

    What is saved between the two swaps has the averages as weights, and the weights in the state of the optimizer (with
    `swap_on_epoch`, at the end of the last epoch, the averages in both). A training that an error or an interrupt ends before
    that has the weights of its last step. Weights that no optimizer changes, such as
    BatchNormalization's means, have no averages and stay as they are. Two cases differ from Keras: after `predict` the weights
    are put back (Keras leaves the averages in the model), and a training that was stopped early ends with the averages, as
    others with `use_ema` do (with `swap_on_epoch` Keras ends with the weights).

    Arguments:
        swap_on_epoch: swap at the end of each epoch too, and back at the begin of the next, for the callbacks behind this one.

    Raises:
        ValueError: a `swap_on_epoch` that is no truth value; when it begins, an optimizer without `use_ema`.

    Source: keras.callbacks.SwapEMAWeights; Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = flag("SwapEMAWeights", "swap_on_epoch", swap_on_epoch)
        self._begun: list[bool] = []    # for each evaluation under way, whether it was the one that swapped

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._check()
        self._begun.clear()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch and self.model.optimizer.is_swapped:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch and epoch + 1 == self.params.get("epochs"):
            self._finalize()
        elif self.swap_on_epoch and not self.model.optimizer.is_swapped:
            self._swap()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._end()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end()

    def close(self) -> None:
        """Put the weights back."""
        if (any(self._begun) or self.swap_on_epoch) and self.model.optimizer.is_swapped:
            self._swap()
        self._begun.clear()

    def _begin(self) -> None:
        self._check()
        self._begun.append(not self.model.optimizer.is_swapped)
        if self._begun[-1]:
            self._swap()

    def _end(self) -> None:
        if self._begun.pop():
            self._swap()

    def _check(self) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.averaging():
            given = "a model that is not compiled" if optimizer is None else optimizer.described
            raise ValueError(f"SwapEMAWeights: expected an optimizer with use_ema=True, got {given}")

    def _swap(self) -> None:
        self._whole(self.model.optimizer.swap_averages)

    def _finalize(self) -> None:
        """Both are the averages, as at the end of `fit`."""
        self._whole(self.model.optimizer.finalize_variable_values, self.model.trainable_weights)

    def _whole(self, change: Callable[..., None], *arguments: Any) -> None:
        """All of it or nothing."""
        with Interrupts() as interrupts, self.model._runs.lock:
            interrupts.hold()
            change(*arguments)
