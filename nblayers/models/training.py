"""compile, fit, evaluate, predict: the training loop of every model."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers import optimizers
from nblayers.callbacks import CallbackList, History
from nblayers.devices import to_numpy
from nblayers.graph import flatten, map_structure, pack
from nblayers.layers.base import Layer, _flatten
from nblayers.models.arguments import check
from nblayers.models.class_weights import ClassWeights
from nblayers.models.data import ArrayBatches, Epochs, GivenBatches, arrays_in, as_arrays, is_batches, split, weighed
from nblayers.models.interrupts import Interrupts
from nblayers.models.objective import Objective


class Trainer(Layer):
    """A layer that can be trained: the base of `Model`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer: Any = None
        self.loss: Any = None
        self.history: Any = None
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self._objective: Objective | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._parts: _Parts | None = None

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
                weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int = 1,
                jit_compile: bool | str = "auto", auto_scale_loss: bool = True) -> None:
        """Set how the model is trained. Call it again after changing which layers are trainable.

        Arguments:
            optimizer: name or object.
            loss: name or object; for several outputs a list, or a dictionary by output name.
            loss_weights: a factor for each loss.
            metrics: list of names and objects; for several outputs a list of lists, or a dictionary by output name.
                "accuracy" chooses the binary, categorical or sparse kind by the shapes.
            weighted_metrics: the same, for metrics that see `sample_weight` and `class_weight`.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted as in Keras; the kernels are always
                compiled, and every batch is a step of its own.

        Raises:
            ValueError: an unknown optimizer, loss or metric; an argument of another kind.
            TypeError: an optimizer, loss or metric that is none.
        """
        check(self.described, loss_weights=loss_weights, run_eagerly=run_eagerly, steps_per_execution=steps_per_execution,
              jit_compile=jit_compile, auto_scale_loss=auto_scale_loss)
        if optimizer is None:
            raise ValueError(f"{self.described}: compile expected an optimizer (a name or an object), got None")
        self.optimizer = optimizers.get(optimizer)
        self._objective = Objective(loss, loss_weights, metrics, weighted_metrics, self.described)
        self.loss = loss
        self.stop_training = False
        self._parts = None
        self._compile_arguments = {"optimizer": self.optimizer, "loss": loss, "loss_weights": loss_weights,
                                   "metrics": metrics, "weighted_metrics": weighted_metrics}

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model."""
        return self.sublayers

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, where they have any."""
        return []

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._objective is not None

    @property
    def metrics(self) -> list[Any]:
        """The metric objects that the model was compiled with (found out with the first batch)."""
        return self._objective.all_metrics() if self._objective is not None else []

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns, in its order."""
        return list(self._objective.results()) if self._objective is not None else []

    def reset_metrics(self) -> None:
        """Start the running means of loss and metrics afresh."""
        self._objective_for("reset_metrics").reset()

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto",
            callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: bool | str = True,
            class_weight: dict[int, float] | None = None, sample_weight: Any = None, initial_epoch: int = 0,
            steps_per_epoch: int | None = None, validation_steps: int | None = None,
            validation_batch_size: int | None = None, validation_freq: int | Sequence[int] = 1) -> History:
        """Train for some epochs and return the history: `history.history["loss"]` is the list of the epochs' losses.

        An interrupt (Ctrl-C) leaves the weights of the last whole step and `model.history` with the epochs so far.

        Arguments:
            x: array, list or dictionary of arrays; or a generator, an iterable or a Sequence of batches (x, y) or
                (x, y, sample_weight).
            y: targets; a list or dictionary for several outputs; None where x gives batches.
            batch_size: 32 by default.
            epochs: the number of the last epoch, counted from `initial_epoch`.
            verbose: 0 nothing, 1 a progress line, 2 a line for each epoch; "auto": 1 on a terminal, 2 elsewhere.
            callbacks: list of callbacks.
            validation_split: the part of the data, taken from their end before shuffling, to validate on.
            validation_data: (x, y), (x, y, sample_weight), or batches.
            shuffle: a new order of the samples in each epoch; "batch" reorders whole batches.
            class_weight: {class: weight of its samples}; 1 for a class that is left out.
            sample_weight: a weight for each sample, or for each time step of each sample.
            steps_per_epoch, validation_steps: batches in an epoch; a whole pass over the data by default.
            validation_batch_size: `batch_size` by default.
            validation_freq: validate after every so many epochs, or after the epochs of this list.

        Raises:
            ValueError: not compiled; data that do not fit each other or the model; an argument of another kind or out of range.
        """
        check(self.described, batch_size=batch_size, epochs=epochs, verbose=verbose, validation_split=validation_split,
              validation_data=validation_data, shuffle=shuffle, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
              validation_steps=validation_steps, validation_batch_size=validation_batch_size, validation_freq=validation_freq)
        self._objective_for("fit")
        x, y, sample_weight = self._arrays(x, y, sample_weight)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = self._split(x, y, sample_weight, validation_split)
        training = Epochs(self._batches(x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch),
                          steps_per_epoch)
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_history=True, add_progbar=verbose != 0, model=self, verbose=verbose,
                                     epochs=epochs, steps=training.steps)
        self._parts = None
        self.stop_training = False
        try:
            with Interrupts() as interrupts:
                self._run_epochs(range(initial_epoch, epochs), training, validation, validation_freq, callbacks, interrupts)
        except KeyboardInterrupt:
            callbacks.close()
            raise
        return self.history

    def _run_epochs(self, epochs: range, training: Epochs, validation: Epochs | None, validation_freq: int | Sequence[int],
                    callbacks: CallbackList, interrupts: Interrupts) -> None:
        objective = self._objective_for("fit")
        logs: dict[str, float] = {}
        callbacks.on_train_begin()
        for epoch in epochs:
            objective.reset()
            callbacks.on_epoch_begin(epoch)
            batches = self._train_epoch(training, callbacks, interrupts)
            if batches == 0 and epoch == epochs[0]:
                raise ValueError(f"{self.described}: fit expected at least one batch, got none")
            if batches == 0:
                break
            logs = objective.results()
            if validation is not None and _is_due(epoch + 1, validation_freq):
                logs.update({f"val_{name}": value for name, value in self._test_epoch(validation, callbacks).items()})
            logs = dict(sorted(logs.items()))
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)

    def _train_epoch(self, training: Epochs, callbacks: CallbackList, interrupts: Interrupts) -> int:
        """Train on the batches of one epoch and return how many they were."""
        step = -1
        for step, (x, y, weight) in enumerate(training.epoch()):
            callbacks.on_train_batch_begin(step)
            self._train_step(x, y, weight, interrupts)
            callbacks.on_train_batch_end(step, self._sorted_results)
            if self.stop_training:
                break
        return step + 1

    def _train_step(self, x: Any, y: Any, weight: Any, interrupts: Interrupts) -> None:
        """Forward, loss, backward, and one step of the optimizer."""
        objective = self._objective_for("fit")
        outputs = self.forward(x, training=True)
        predictions, targets, masks, weights = self._compared(x, y, weight, outputs)
        parts = self._parts or self._find_parts()
        if objective.loss is None and not self.losses:
            raise ValueError(f"{self.described}: fit needs a loss; give one to compile")
        loss, gradients = objective.value_and_gradients(targets, predictions, masks, weights)
        loss += parts.penalties()
        for parameter in parts.parameters:
            parameter.zero_grad()
        self.input_gradient = False
        try:
            self.backward(pack(outputs, gradients) if isinstance(outputs, (list, tuple, dict)) else gradients[0])
        finally:
            self.input_gradient = True
        interrupts.hold()
        self.optimizer.step(parts.trainable, self.device)
        interrupts.release()
        objective.update(loss, len(predictions[0]), targets, predictions, masks, weights)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
                 sample_weight: Any = None, steps: int | None = None, callbacks: Any = None,
                 return_dict: bool = False) -> Any:
        """The loss and the metrics over the data: a number, a list in the order of `metrics_names`, or a dictionary.

        The arguments are those of `fit`.

        Raises:
            ValueError: not compiled; data that do not fit each other or the model.
        """
        check(self.described, batch_size=batch_size, verbose=verbose, steps=steps, return_dict=return_dict)
        self._objective_for("evaluate")
        x, y, sample_weight = self._arrays(x, y, sample_weight)
        testing = Epochs(self._batches(x, y, sample_weight, None, batch_size, False, steps), steps)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1,
                                     steps=testing.steps)
        return _as_asked(self._test_epoch(testing, callbacks), return_dict)

    def _test_epoch(self, testing: Epochs, callbacks: CallbackList) -> dict[str, float]:
        objective = self._objective_for("evaluate")
        self.stop_evaluating = False
        callbacks.on_test_begin()
        objective.reset()
        step = -1
        for step, (x, y, weight) in enumerate(testing.epoch()):
            callbacks.on_test_batch_begin(step)
            self._test_step(x, y, weight)
            callbacks.on_test_batch_end(step, self._sorted_results)
            if self.stop_evaluating:
                break
        if step < 0:
            raise ValueError(f"{self.described}: evaluate expected at least one batch, got none (a generator can be read only "
                             "once: to validate after several epochs give validation_steps, arrays or a Sequence)")
        callbacks.on_test_end(self._sorted_results())
        return objective.results()

    def _test_step(self, x: Any, y: Any, weight: Any) -> None:
        objective = self._objective_for("evaluate")
        outputs = self.forward(x, training=False)
        predictions, targets, masks, weights = self._compared(x, y, weight, outputs)
        loss = objective.value(targets, predictions, masks, weights) + (self._parts or self._find_parts()).penalties()
        objective.update(loss, len(predictions[0]), targets, predictions, masks, weights)

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None,
                callbacks: Any = None) -> Any:
        """The outputs for x as NumPy arrays: one array, or a list or dictionary of them for several outputs.

        Raises:
            ValueError: data that do not fit the model.
        """
        check(self.described, batch_size=batch_size, verbose=verbose, steps=steps)
        x, _, _ = self._arrays(x, None, None)
        predicting = Epochs(self._batches(x, None, None, None, batch_size, False, steps), steps)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1,
                                     steps=predicting.steps)
        self.stop_predicting = False
        batches: list[Any] = []
        outputs: Any = None
        callbacks.on_predict_begin()
        for step, (batch, _, _) in enumerate(predicting.epoch()):
            callbacks.on_predict_batch_begin(step)
            outputs = self.forward(batch, training=False)
            batches.append([to_numpy(y) for y in flatten(outputs)])
            callbacks.on_predict_batch_end(step, {"outputs": outputs})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        if not batches:
            raise ValueError(f"{self.described}: predict expected at least one batch, got none")
        whole = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        return pack(outputs, whole)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None,
                       class_weight: dict[int, float] | None = None, return_dict: bool = False) -> Any:
        """One training step on one batch; returns its loss and metrics as `evaluate` does."""
        objective = self._objective_for("train_on_batch")
        x, y, sample_weight = self._arrays(x, y, sample_weight)
        check(self.described, return_dict=return_dict)
        batches = self._batches(x, y, sample_weight, class_weight, None, False, 1)
        objective.reset()
        with Interrupts() as interrupts:
            for batch in batches:
                self._train_step(*batch, interrupts)
        return _as_asked(objective.results(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and the metrics of one batch, as `evaluate` returns them."""
        objective = self._objective_for("test_on_batch")
        x, y, sample_weight = self._arrays(x, y, sample_weight)
        check(self.described, return_dict=return_dict)
        batches = self._batches(x, y, sample_weight, None, None, False, 1)
        objective.reset()
        for batch in batches:
            self._test_step(*batch)
        return _as_asked(objective.results(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as NumPy arrays."""
        return map_structure(lambda y: np.array(to_numpy(y)), self.forward(self._inputs(x), training=False))

    def _arrays(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        """x, y and sample weights as arrays, floats in the model's dtype; batches stay what they are."""
        if is_batches(x):
            for name, value in (("y", y), ("sample_weight", weight)):
                if value is not None:
                    raise ValueError(f"{self.described}: x gives batches, so {name} belongs into them: (x, y, sample_weight)")
            return x, None, None
        y, weight = as_arrays(y, self.described, "y"), as_arrays(weight, self.described, "sample_weight")
        return self._inputs(x), self._in_own_dtype(y), self._in_own_dtype(weight)

    def _inputs(self, x: Any) -> Any:
        if x is None:
            raise ValueError(f"{self.described}: expected data x, got None")
        return self._in_own_dtype(as_arrays(x, self.described, "x"))

    def _in_own_dtype(self, value: Any) -> Any:
        """Floating arrays as float32, converted once and not in every batch, unless a layer computes in float64."""
        if value is None or self._computes_in_double():
            return value

        def convert(array: Any) -> Any:
            return array if array is None or array.dtype.kind != "f" else array.astype("float32", copy=False)
        return map_structure(convert, value)

    def _computes_in_double(self) -> bool:
        return any(layer._computes_in_double() if isinstance(layer, Trainer) else layer.dtype == "float64"
                   for layer in self.layers)

    def _batches(self, x: Any, y: Any, weight: Any, class_weight: dict[int, float] | None, batch_size: int | None,
                 shuffle: bool | str, steps: int | None) -> ArrayBatches | GivenBatches:
        by_class = None if class_weight is None else ClassWeights(class_weight, self.described)

        def weigh(weight: Any) -> Any:
            if by_class is not None and weight is not None:
                raise ValueError(f"{self.described}: expected class_weight or sample_weight, got both")
            return by_class or weight

        if is_batches(x):
            return GivenBatches(x, weigh, shuffle, self.described)
        weight = weigh(weight)
        samples = max((len(array) for array in arrays_in(x) if array.ndim), default=0)
        size = batch_size or (-(-samples // steps) if steps else 32)
        return ArrayBatches(x, y, weight, int(size), shuffle, self.described)

    def _split(self, x: Any, y: Any, weight: Any, fraction: float) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
        if is_batches(x):
            raise ValueError(f"{self.described}: validation_split needs arrays; for batches give validation_data")
        samples = ArrayBatches(x, y, weight, 1, False, self.described).samples
        if int(samples * (1.0 - fraction)) in (0, samples):
            raise ValueError(f"{self.described}: {samples} samples are too few for validation_split={fraction}: training "
                             "and validation need at least one each")
        parts = [split(value, fraction, samples) for value in (x, y, weight)]
        return (parts[0][0], parts[1][0], parts[2][0]), (parts[0][1], parts[1][1], parts[2][1])

    def _validation(self, data: Any, batch_size: int | None, steps: int | None) -> Epochs:
        given = data if isinstance(data, (list, tuple)) else (data,)
        if not 1 <= len(given) <= 3:
            raise ValueError(f"{self.described}: expected validation_data (x, y) or (x, y, sample_weight), "
                             f"got {len(given)} values")
        x, y, weight = self._arrays(*(*given, None, None)[:3])
        return Epochs(self._batches(x, y, weight, None, batch_size, False, steps), steps)

    def _compared(self, x: Any, y: Any, weight: Any, outputs: Any) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Predictions, targets, masks and sample weights as lists with one entry for each output."""
        mask = self.compute_mask(x, None)
        y, weight = weighed(y, weight, outputs)
        if isinstance(outputs, (list, tuple, dict)):
            predictions = flatten(outputs)
            names = sorted(outputs) if isinstance(outputs, dict) else self._names_of_outputs(len(predictions))
            masks = mask if isinstance(mask, list) else [None] * len(names)
            targets, weights = self._by_output(y, names, "y"), self._weights_by_output(weight, names)
        else:
            predictions, names, masks = [outputs], self._names_of_outputs(1), [mask]
            targets, weights = [_only(y)], [_only(weight)]
        self._bind(names, targets, predictions)
        return predictions, targets, masks, weights

    def _bind(self, names: Sequence[str], targets: Sequence[Any], predictions: Sequence[Any]) -> None:
        """Tell the losses and metrics, the first time, which outputs they are for; see that each has its targets."""
        objective = self._objective_for("fit")
        if not objective.bound:
            objective.bind(names, targets, predictions)
        for target, output in zip(targets, objective.outputs, strict=True):
            if target is None and (output.loss is not None or output.metrics or output.weighted_metrics):
                raise ValueError(f"{self.described}: expected targets y for output {output.name!r}, got None")
            if isinstance(target, (list, dict)):
                raise ValueError(f"{self.described}: expected one array y for output {output.name!r}, got {len(target)} arrays")

    def _weights_by_output(self, weight: Any, names: Sequence[str]) -> list[Any]:
        """One weight for each sample counts for every output."""
        if hasattr(weight, "shape") and weight.size == len(weight):
            return [weight] * len(names)
        return self._by_output(weight, names, "sample_weight")

    def _by_output(self, given: Any, names: Sequence[str], what: str) -> list[Any]:
        """Arrays given as a list or by the names of the outputs, in the order of the outputs."""
        if given is None:
            return [None] * len(names)
        if isinstance(given, dict):
            if set(given) - set(names):
                raise ValueError(f"{self.described}: expected {what} for the outputs {list(names)}, got {list(given)}")
            return [given.get(name) for name in names]
        arrays = given if isinstance(given, list) else [given]
        if len(arrays) != len(names):
            losses = self._compile_arguments["loss"]
            present = [loss is not None for loss in losses] if isinstance(losses, (list, tuple)) else []
            if len(present) != len(names) or sum(present) != len(arrays):       # a list may leave out outputs without loss
                raise ValueError(f"{self.described}: expected {what} for {len(names)} outputs, got {len(arrays)} arrays")
            waiting = iter(arrays)
            return [next(waiting) if has_loss else None for has_loss in present]
        return arrays

    def _names_of_outputs(self, count: int) -> Sequence[str]:
        names = self.output_names
        return names if len(names) == count else [f"output_{i + 1}" for i in range(count)]

    def _objective_for(self, method: str) -> Objective:
        if self._objective is None:
            raise ValueError(f"{self.described}: call compile(optimizer, loss) before {method}")
        return self._objective

    def _sorted_results(self) -> dict[str, float]:
        return dict(sorted(self._objective_for("fit").results().items()))

    def _find_parts(self) -> "_Parts":
        self._parts = _Parts(self)
        return self._parts


class _Parts:
    """What each training step goes through, looked up once: a model has many attributes, and a step is short."""

    def __init__(self, model: Trainer) -> None:
        self.trainable = model.trainable_weights
        self.parameters = model.weights
        self.regularized = [parameter for parameter in self.trainable if parameter.regularizer is not None]
        self.layers = _flatten(model)

    def penalties(self) -> float:
        """The sum of `model.losses`: what add_loss and the activity regularizers gave, and the weights' penalties."""
        total = 0.0
        for layer in self.layers:
            if layer._losses:
                total += sum(float(loss) for loss in layer._losses)
        for parameter in self.regularized:
            total += float(parameter.regularizer(parameter.value))
        return total


def _only(value: Any) -> Any:
    """The array in a list or dictionary of one."""
    if isinstance(value, (list, dict)) and len(value) == 1:
        value, = value.values() if isinstance(value, dict) else value
    return value


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    return epoch % frequency == 0 if isinstance(frequency, (int, np.integer)) else epoch in frequency


def _as_asked(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
