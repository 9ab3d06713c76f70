"""Callbacks that watch, end, save and resume a training."""
import inspect
import math
import os
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nblayers import arguments
from nblayers.arguments import as_float, flag, integer, number, optional, text
from nblayers.devices import to_numpy
from nblayers.models.progress import Progbar, resolve_verbose, say
from nblayers.naming import NamesItself

Logs = dict[str, Any]

_HOOKS = ("on_train_begin", "on_train_end", "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end",
          "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin",
          "on_test_batch_end", "on_predict_batch_begin", "on_predict_batch_end")


class Callback(NamesItself):
    """The base of all callbacks. Batches and epochs are counted from 0; `logs` holds loss and metrics by name.

    Attributes:
        model: the model that is trained; set `model.stop_training = True` to end the training.
        params: "verbose", "epochs" and "steps" (None where their number is not known).
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch of fit."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation, whose results are in `logs` as "val_…"."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; `logs` are the means over the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before evaluate, or a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After evaluate, or a validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of evaluate, or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of evaluate, or of a validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before predict."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After predict."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of predict."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of predict; `logs["outputs"]` are its outputs."""


class Closing(Callback):
    """A callback that has to be told when a training ends with an error or an interrupt."""

    def close(self) -> None:
        """End what is open."""


class CallbackList(Callback):
    """Calls the hooks of several callbacks, each hook only where a callback overrides it.

    Arguments:
        callbacks: a callback, or a list of them.
        add_history, add_progbar: whether to add a History and a ProgbarLogger, if the list holds none.
        model: the model that the callbacks belong to.
        params: "verbose", "epochs", "steps", as the callbacks see them.

    Raises:
        TypeError: something that is no callback.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, add_progbar: bool = False, model: Any = None,
                 **params: Any) -> None:
        super().__init__()
        self.callbacks = _flat(callbacks, type(self).__name__ if model is None else model.described)
        if add_history and not any(isinstance(callback, History) for callback in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(callback, ProgbarLogger) for callback in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self._hooks: defaultdict[str, list[tuple[Any, Any]]] = defaultdict(list)
        for callback in self.callbacks:
            self._register(callback)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add one more callback."""
        self.callbacks.extend(_flat(callback, type(self).__name__))
        self._register(callback)

    def _register(self, callback: Any) -> None:
        """Note which hooks the callback has, and who says whether the end of a batch is wanted (None: it always is)."""
        wants = callback.wants if isinstance(callback, ProgbarLogger) else None
        for name in _HOOKS:
            if _overrides(callback, name):
                self._hooks[name].append((getattr(callback, name), wants))

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
            if isinstance(callback, History):
                model.history = callback

    def set_course(self, course: Any) -> None:
        """Tell the callbacks that back up a training how far it has come."""
        for callback in self.callbacks:
            if isinstance(callback, BackupAndRestore):
                callback.course = course

    @property
    def watches_train_batches(self) -> bool:
        """Whether a callback other than the progress line is told of single training steps."""
        hooks = self._hooks["on_train_batch_begin"] + self._hooks["on_train_batch_end"]
        return any(wants is None for _, wants in hooks)

    def close(self) -> None:
        """End progress lines and files that an error or an interrupt has left open."""
        for callback in self.callbacks:
            if isinstance(callback, Closing):
                callback.close()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for hook, _ in self._hooks["on_epoch_begin"]:
            hook(epoch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for hook, _ in self._hooks["on_epoch_end"]:
            hook(epoch, logs or {})

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_for_batch("on_predict_batch_end", batch, logs)

    def _call(self, name: str, logs: Logs | None) -> None:
        for hook, _ in self._hooks[name]:
            hook(logs or {})

    def _call_for_batch(self, name: str, batch: int, logs: Any) -> None:
        """`logs` may be a function that makes them: a step is short, and few callbacks look at every one."""
        made: Logs | None = None
        for hook, wants in self._hooks[name]:
            if wants is None or wants(batch):
                if made is None:
                    made = logs() if callable(logs) else logs or {}
                hook(batch, logs=made)


def _flat(callbacks: Any, who: str) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [callback for item in callbacks for callback in _flat(item, who)]
    if isinstance(callbacks, type) or not (hasattr(callbacks, "set_model") and hasattr(callbacks, "set_params")):
        raise TypeError(f"{who}: expected callbacks to be a callback or a list of them, got {callbacks!r}")
    return [callbacks]


def _overrides(callback: Any, name: str) -> bool:
    """Whether the hook does anything: a subclass' method, or a function set on the object."""
    names = [name] + ([name.replace("train_", "")] if "train_batch" in name else [])
    methods = [(getattr(callback, n, None), getattr(Callback, n)) for n in names]
    return any(method is not None and getattr(method, "__func__", None) is not idle for method, idle in methods)


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns it.

    Attributes:
        history: for each name ("loss", "accuracy", "val_loss", …) the list of its values.
        epoch: the epochs done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}         # in which each name had a value: validation may be rarer

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch + 1)

    def epochs_of(self, name: str) -> list[int]:
        """The epochs, counted from 1, that the values of a name belong to."""
        known, count = self._epochs.get(name, []), len(self.history[name])
        grows = all(first < second for first, second in pairwise(known))        # one History of two trainings counts on
        return known if len(known) == count and grows else list(range(1, count + 1))

    def plot(self, path: Any = None) -> Any:
        """Draw the loss and each metric over the epochs, a panel each: training a full line, validation a broken one.

            history = model.fit(x, y, epochs=20, validation_split=0.1)
            history.plot(path="history.png")

        Arguments:
            path: save the picture there; without it, `plt.show()` shows it, and so does a notebook.

        Returns:
            The figure (matplotlib's).

        Raises:
            ValueError: nothing recorded yet, or a path that ends in no format of pictures.

        Source: document 004, "history".
        """
        from nblayers.utils.pictures.charts import plot_history
        return plot_history(self, path)


@dataclass(frozen=True)
class Histogram:
    """How some numbers are spread.

    Attributes:
        epoch: counted from 0.
        counts: how many finite ones lie in each bin; edges: of the bins, one more; both edges of all bins are equal where all
            numbers are.
        median: of the finite ones, NaN if there are none.
        not_finite: how many are NaN or infinite.
    """

    epoch: int
    counts: np.ndarray
    edges: np.ndarray
    median: float
    not_finite: int

    @property
    def density(self) -> np.ndarray:
        """Share of the numbers in each bin, by its width."""
        return self.counts / self.counts.sum() / np.diff(self.edges)


class WeightHistory(Callback):
    """Records histograms of weights and gradients after every epoch, for `utils.plot_weights` and `utils.plot_gradients`.

    Arguments:
        bins: of each histogram.

    Attributes:
        weights: for each path of a weight ("dense/kernel") its histograms, one an epoch.
        gradients: the same for the gradients of trainable weights in the epoch's last batch.

    Raises:
        ValueError: not a positive number of bins.
    """

    def __init__(self, bins: int = 30) -> None:
        super().__init__()
        self.bins = integer("WeightHistory", "bins", bins, 1)
        self.weights: dict[str, list[Histogram]] = {}
        self.gradients: dict[str, list[Histogram]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.weights, self.gradients = {}, {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for weight in self.model.weights:
            self.weights.setdefault(weight.path, []).append(histogram_of(epoch, weight.value, self.bins))
        for weight in self.model.trainable_weights:
            self.gradients.setdefault(weight.path, []).append(histogram_of(epoch, weight.grad, self.bins))


def histogram_of(epoch: int, values: Any, bins: int) -> Histogram:
    """How the numbers of an array are spread; NaN and infinity are counted apart."""
    numbers = np.ravel(to_numpy(values)).astype(float)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return Histogram(epoch, np.zeros(bins, int), np.zeros(bins + 1), math.nan, numbers.size)
    low, high = finite.min(), finite.max()
    edges = np.linspace(low, high, bins + 1)
    if (np.diff(edges) > 0).all():
        counts, _ = np.histogram(finite, edges)
    else:
        counts, edges = np.full(bins, 0), np.full(bins + 1, low)
        counts[0] = finite.size
    return Histogram(epoch, counts, edges, float(np.median(finite)), numbers.size - finite.size)


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


class _Monitor(Callback):
    """Says whether a quantity in the logs has become better (unlike in Keras, a first NaN can be beaten)."""

    def __init__(self, monitor: str, mode: str, best: float | None, min_delta: float = 0.0) -> None:
        super().__init__()
        if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__}: expected mode to be 'auto', 'min' or 'max', got {mode!r}; taking 'auto'",
                          stacklevel=3)
            mode = "auto"
        who = type(self).__name__
        self.monitor, self.mode = text(who, "monitor", monitor), mode
        self.best = best
        self.min_delta = abs(number(who, "min_delta", min_delta))

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than the reference by more than `min_delta`; anything is better than None.

        NaN is better than nothing else, and every number is better than NaN.
        """
        if reference is None:
            return True
        if math.isnan(reference):
            return not math.isnan(value)
        return value + self.min_delta < reference if self._direction() == "min" else value - self.min_delta > reference

    def _direction(self) -> str:
        """ "min" or "max": for "auto" found out from the name of the quantity, or from the metric itself.

        Raises:
            ValueError: it cannot be told.
        """
        if self.mode == "auto":
            name = self.monitor.removeprefix("val_")
            declared = {m.name: getattr(m, "_direction", None) for m in getattr(self.model, "metrics", ())}.get(name)
            if declared:
                self.mode = "max" if declared == "up" else "min"
            elif name.endswith(("loss", "error", "mse", "mae", "crossentropy")):
                self.mode = "min"
            elif name.endswith(("acc", "accuracy", "auc", "precision", "recall", "score")):
                self.mode = "max"
            else:
                raise ValueError(f"{type(self).__name__}: cannot tell whether {self.monitor!r} should become larger or "
                                 "smaller; give mode='max' or mode='min'")
        return self.mode


class EarlyStopping(_Monitor):
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


class ModelCheckpoint(_Monitor):
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
        if not isinstance(backup_dir, (str, os.PathLike)) or not os.fspath(backup_dir):
            raise ValueError(f"BackupAndRestore: expected backup_dir to be a path, got {backup_dir!r}")
        self.backup_dir = Path(backup_dir)
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


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))`.

    Arguments:
        on_epoch_begin, on_epoch_end: called with (epoch, logs).
        on_train_begin, on_train_end: called with (logs).
        on_train_batch_begin, on_train_batch_end: called with (batch, logs).
        kwargs: any other hook of `Callback`.

    Raises:
        TypeError: no such hook, or something that cannot be called.
    """

    def __init__(self, on_epoch_begin: Callable[..., Any] | None = None, on_epoch_end: Callable[..., Any] | None = None,
                 on_train_begin: Callable[..., Any] | None = None, on_train_end: Callable[..., Any] | None = None,
                 on_train_batch_begin: Callable[..., Any] | None = None,
                 on_train_batch_end: Callable[..., Any] | None = None, **kwargs: Callable[..., Any]) -> None:
        super().__init__()
        given = {"on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
                 "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
                 "on_train_batch_end": on_train_batch_end, **kwargs}
        for name, function in given.items():
            if name not in (*_HOOKS, "on_batch_begin", "on_batch_end"):
                raise TypeError(f"LambdaCallback: there is no hook {name!r}; the hooks are {', '.join(_HOOKS)}")
            if function is not None and not callable(function):
                raise TypeError(f"LambdaCallback: expected a function for {name}, got {function!r}")
            if function is not None:
                setattr(self, name, function)


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
        self.schedule = arguments.function("LearningRateScheduler", "schedule", schedule)
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


class ReduceLROnPlateau(_Monitor):
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
