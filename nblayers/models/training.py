"""compile, fit, evaluate, predict: the training loop of every model."""
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

import kernels
from nblayers import optimizers, serialization
from nblayers.arguments import found
from nblayers.callbacks import CallbackList, History
from nblayers.compiling import silent_without_verbose
from nblayers.devices import to_numpy
from nblayers.layers.base import Layer, _flatten
from nblayers.losses.crf_loss import CRFLoss
from nblayers.models.alone import ALONE, Alone
from nblayers.models.arguments import check
from nblayers.models.class_weights import ClassWeights
from nblayers.models.course import Course
from nblayers.models.data import ArrayBatches, Epochs, GivenBatches, arrays_in, as_arrays, is_batches, split, weighed
from nblayers.models.interrupts import Interrupts
from nblayers.models.mapped import mapping_of
from nblayers.models.objective import Objective
from nblayers.models.runs import Runs
from nblayers.parameter import Parameter
from nblayers.structures import flatten, map_structure, pack

_Compared = tuple[list[Any], list[Any], list[Any], list[Any]]      # targets, predictions, masks, sample weights


class Trainer(Layer):
    """A layer that can be trained: the base of `Model`.

    Inside a running `fit` (from a callback), and in other threads beside it, `evaluate`, `predict`, `train_on_batch` and
    `test_on_batch` give what they would give alone, and leave the numbers of the epoch as they are: the first run fills the
    metric objects given to `compile`, one that begins before its end fills copies. Training steps of several threads come one
    after the other. `fit` and `compile` of the model that is being fitted are errors.
    """

    _graph: Any = None                  # of a `Model` that is wired

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer: Any = None
        self.loss: Any = None
        self.history: Any = None
        self.stop_training = False
        self._runs = Runs()
        self._objective: Objective | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._parts: _Parts | None = None

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
                weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int = 1,
                jit_compile: bool | str = "auto", auto_scale_loss: bool = True) -> None:
        """Set how the model is trained. Which layers are trainable is asked in each step, not here.

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
            RuntimeError: called while `fit` runs.
        """
        self._runs.refuse_in_fit("compile", self.described)
        check(self.described, loss_weights=loss_weights, run_eagerly=run_eagerly, steps_per_execution=steps_per_execution,
              jit_compile=jit_compile, auto_scale_loss=auto_scale_loss)
        if optimizer is None:
            raise ValueError(f"{self.described}: compile expected an optimizer (a name or an object), got None")
        self.optimizer = found(self.described, "optimizer", optimizers.get, optimizer)
        self._objective = Objective(loss, loss_weights, metrics, weighted_metrics, self.described)
        for part in flatten(loss):
            if isinstance(part, CRFLoss):
                part.find_layer(_flatten(self))
        self.loss = loss
        self.stop_training = False
        self._parts = None
        self._compile_arguments = {"optimizer": self.optimizer, "loss": loss, "loss_weights": loss_weights,
                                   "metrics": metrics, "weighted_metrics": weighted_metrics}

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, from which `compile_from_config` compiles a model in the same way; {} if it is not."""
        config: dict[str, Any] = serialization.serialize(self._compile_arguments)
        return config

    def compile_from_config(self, config: Any) -> None:
        """Compile as `get_compile_config`, ours or Keras', says.

        A class with a `compile` of its own is left as it is, with a warning, as in Keras.

        Raises:
            ValueError: losses, metrics or optimizers that are neither ours, nor registered, nor in a `custom_object_scope`.
        """
        if type(self).compile is not Trainer.compile:
            warnings.warn(f"{self.described} was not compiled, as its class has a compile() of its own: write "
                          "get_compile_config() and compile_from_config(config), or call compile()", stacklevel=2)
            return
        try:
            with serialization.reading(), serialization.telling(f"{self.described}: compile_config", named=self.name):
                self.compile(**map_structure(serialization.custom_object, serialization.deserialize_keras_object(config)))
        except ValueError as error:
            raise ValueError(f"{error} (with compile=False load_model opens the model without compiling it)") from error

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model."""
        return self.sublayers

    @property
    def is_functional(self) -> bool:
        """Whether this is a model wired from inputs to outputs, and no `Sequential`."""
        return self._graph is not None

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

    @property
    def stop_evaluating(self) -> bool:
        """Set it to True in a callback to end the `evaluate`, or the validation, that calls it."""
        return self._runs.evaluating.stopped

    @stop_evaluating.setter
    def stop_evaluating(self, stop: bool) -> None:
        self._runs.evaluating.stopped = stop

    @property
    def stop_predicting(self) -> bool:
        """Set it to True in a callback to end the `predict` that calls it."""
        return self._runs.predicting.stopped

    @stop_predicting.setter
    def stop_predicting(self, stop: bool) -> None:
        self._runs.predicting.stopped = stop

    def reset_metrics(self) -> None:
        """Start the running means of loss and metrics afresh."""
        self._objective_for("reset_metrics").reset()

    @silent_without_verbose
    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto",
            callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: bool | str = True,
            class_weight: dict[int, float] | None = None, sample_weight: Any = None, initial_epoch: int = 0,
            steps_per_epoch: int | None = None, validation_steps: int | None = None,
            validation_batch_size: int | None = None, validation_freq: int | Sequence[int] = 1,
            distribute: Any = None) -> History:
        """Train for some epochs and return the history: `history.history["loss"]` is the list of the epochs' losses.

        An interrupt (Ctrl-C, or what the handler of another signal raises) leaves the weights of the last whole step and
        `model.history` with the epochs so far.

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
            distribute: True shares every batch among the processes that `mpirun -n 4 python train.py` starts; an
                `nblayers.distributed.DataParallel` says more about how.

        Raises:
            ValueError: not compiled; data that do not fit each other or the model; an argument of another kind or out of range.
            ImportError: `distribute` without mpi4py.
            RuntimeError: the model is being fitted already, from a callback or in another thread.
        """
        check(self.described, batch_size=batch_size, epochs=epochs, verbose=verbose, validation_split=validation_split,
              validation_data=validation_data, shuffle=shuffle, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
              validation_steps=validation_steps, validation_batch_size=validation_batch_size, validation_freq=validation_freq)
        self._objective_for("fit")
        self._runs.refuse_in_fit("fit", self.described)
        group = _group_of(distribute, self.described)
        x, y, sample_weight = self._arrays(x, y, sample_weight, self.described)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = self._split(x, y, sample_weight, validation_split)
        batches = self._batches(x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch, self.described, group)
        training = Epochs(batches, steps_per_epoch, "steps_per_epoch")
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps, group)
        with Interrupts() as interrupts:
            interrupts.hold()                           # what is begun in the next line must come to its end
            with self._runs.fitting(self.described), self._objective_for("fit").taken(group) as objective:
                interrupts.release()
                group.begin(self, training, validation, (initial_epoch, epochs))
                if not isinstance(callbacks, CallbackList):
                    callbacks = CallbackList(callbacks, add_history=True, add_progbar=verbose != 0, model=self, verbose=verbose,
                                             epochs=epochs, steps=training.steps)
                callbacks = group.callbacks(callbacks, self)
                self.stop_training = False
                try:
                    course = Course(initial_epoch, training, objective)
                    callbacks.set_course(course)
                    with callbacks.closed_on_error():
                        self._run_epochs(course, epochs, training, validation, validation_freq, callbacks, objective,
                                         interrupts)
                finally:
                    interrupts.hold()
                    callbacks.set_course(None)
                    for data in (training, validation):
                        if data is not None:
                            data.close()
        return self.history

    def _run_epochs(self, course: Course, end: int, training: Epochs, validation: Epochs | None,
                    validation_freq: int | Sequence[int], callbacks: CallbackList, objective: Objective,
                    interrupts: Interrupts) -> None:
        logs: dict[str, float] = {}
        callbacks.on_train_begin()                      # which may bring the course to a later place
        epochs = range(course.epoch, end)
        for epoch in epochs:
            if course.done == 0:
                objective.reset()
            callbacks.on_epoch_begin(epoch)
            batches = self._train_epoch(course, training, callbacks, objective, interrupts)
            if batches == 0 and epoch == epochs[0]:
                raise ValueError(f"{self.described}: fit expected at least one batch, got none")
            if batches == 0:
                warnings.warn(f"{self.described}: the data ran out after {epoch - epochs[0]} of {len(epochs)} epochs, so the "
                              "training ends; a generator can be read only once: let it give the batches of all epochs and say "
                              "steps_per_epoch, or give batches that can be read again", stacklevel=3)
                break
            logs = objective.results()
            if validation is not None and _is_due(epoch + 1, validation_freq):
                try:
                    tested = self._test_epoch(validation, callbacks, objective)
                except (TypeError, ValueError) as error:
                    error.add_note(f"{self.described}: while it was validated on validation_data")
                    raise
                logs.update({f"val_{name}": value for name, value in tested.items()})
            logs = dict(sorted(logs.items()))
            course.epoch, course.done = epoch + 1, 0
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if epochs:
            self._finalize(interrupts)
        callbacks.on_train_end(logs)

    def _train_epoch(self, course: Course, training: Epochs, callbacks: CallbackList, objective: Objective,
                     interrupts: Interrupts) -> int:
        """Train on the batches of one epoch and return how many they were."""
        first = course.done
        foreign = training.foreign or callbacks.watches_train_batches   # code that is not ours runs between the steps
        for step, batch in enumerate(training.epoch(done=first), first):
            callbacks.on_train_batch_begin(step)
            if foreign or step == first:
                interrupts.look()
                self._look_at_parts()
            with objective.group.computing(batch) as (x, y, weight):
                self._train_step(x, y, weight, objective, interrupts)
            course.done = step + 1
            callbacks.on_train_batch_end(step, objective.sorted_results)
            if self.stop_training:
                break
        training.end()
        return course.done

    def _train_step(self, x: Any, y: Any, weight: Any, objective: Objective, interrupts: Interrupts) -> None:
        """Forward, loss, backward, and one step of the optimizer, whole or not at all."""
        with self._told(objective.group, self._train_step, x, y, weight, objective, interrupts), self._runs.lock:
            parts = self._parts
            statistics = parts.copied_statistics() if parts is not None and parts.statistics else ()
            try:
                parts, loss, compared = self._forward_and_backward(x, y, weight, objective)
                interrupts.hold()
            except BaseException:
                interrupts.hold()
                for parameter, value in statistics:     # forward may have changed them
                    parameter.assign(value)
                raise
            self.optimizer.step(parts.trainable, self.device)
        interrupts.release()
        objective.update(loss, *compared)

    def _told(self, group: Alone, step: Callable[..., Any], *arguments: Any) -> AbstractContextManager[None]:
        """Inside, forks may do the step once more to learn which kernels it takes (`kernels.doing`); not of a shared one."""
        if not group.alone:
            return nullcontext()
        return kernels.doing(partial(self._again, step, arguments))

    def _again(self, step: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """A step from the midst of one, in a process that ends with it: calls that were begun are forgotten."""
        self._forget_calls()
        step(*arguments)

    def _finalize(self, interrupts: Interrupts) -> None:
        """Bring the weights to what the optimizer has them be after training, all or none."""
        with self._runs.lock:
            interrupts.hold()
            self.optimizer.finalize_variable_values(self.trainable_weights)
        interrupts.release()

    def _forward_and_backward(self, x: Any, y: Any, weight: Any, objective: Objective) -> tuple["_Parts", float, _Compared]:
        """The model's parts, the loss, with the gradients of all weights left in them, and what the metrics look at."""
        outputs = self.forward(x, training=True)
        compared = self._compared(x, y, weight, outputs, objective)
        parts = self._parts_now()
        if objective.loss is None and not self.losses:
            raise ValueError(f"{self.described}: fit needs a loss; give one to compile")
        loss, gradients = objective.value_and_gradients(*compared)
        loss = objective.group.whole_loss(loss, parts.penalties())
        for parameter in parts.parameters:
            parameter.zero_grad()
        self.input_gradient = False
        try:
            with objective.group.summing(self, parts.trainable, parts.statistics):
                self.backward(pack(outputs, gradients) if isinstance(outputs, (list, tuple, dict)) else gradients[0])
        finally:
            self.input_gradient = True
        return parts, loss, compared

    @silent_without_verbose
    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
                 sample_weight: Any = None, steps: int | None = None, callbacks: Any = None,
                 return_dict: bool = False, distribute: Any = None) -> Any:
        """The loss and the metrics over the data: a number, a list in the order of `metrics_names`, or a dictionary.

        The arguments are those of `fit`.

        Raises:
            ValueError: not compiled; data that do not fit each other or the model.
        """
        check(self.described, batch_size=batch_size, verbose=verbose, steps=steps, return_dict=return_dict)
        self._objective_for("evaluate")
        group = _group_of(distribute, self.described)
        x, y, sample_weight = self._arrays(x, y, sample_weight, self.described)
        batches = self._batches(x, y, sample_weight, None, batch_size, False, steps, self.described, group)
        testing = Epochs(batches, steps, "steps")
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1,
                                     steps=testing.steps)
        with closing(testing), self._objective_for("evaluate").taken(group) as objective:
            group.begin(self, testing)
            callbacks = group.callbacks(callbacks, self)
            with callbacks.closed_on_error():
                return _as_asked(self._test_epoch(testing, callbacks, objective), return_dict)

    def _test_epoch(self, testing: Epochs, callbacks: CallbackList, objective: Objective) -> dict[str, float]:
        step = -1
        with self._runs.evaluating.one() as call:
            callbacks.on_test_begin()
            objective.reset()
            self._look_at_parts()
            for step, batch in enumerate(testing.epoch(afresh=True)):
                callbacks.on_test_batch_begin(step)
                with objective.group.computing(batch) as (x, y, weight):
                    self._test_step(x, y, weight, objective)
                callbacks.on_test_batch_end(step, objective.sorted_results)
                if call.stopped:
                    break
            if step < 0:
                raise ValueError(f"{self.described}: evaluate expected at least one batch, got none (a generator can be read "
                                 "only once: to validate after several epochs give validation_steps, arrays or a Sequence)")
            testing.end()
            callbacks.on_test_end(objective.sorted_results())
            return objective.results()

    def _test_step(self, x: Any, y: Any, weight: Any, objective: Objective) -> None:
        with self._told(objective.group, self._test_step, x, y, weight, objective):
            outputs = self.forward(x, training=False)
            compared = self._compared(x, y, weight, outputs, objective)
            loss = objective.group.whole_loss(objective.value(*compared), self._parts_now().penalties())
            objective.update(loss, *compared)

    @silent_without_verbose
    def predict(self, x: Any = None, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None,
                callbacks: Any = None) -> Any:
        """The outputs for x as NumPy arrays: one array, or a list or dictionary of them for several outputs.

        Raises:
            ValueError: data that do not fit the model; outputs of another length in each batch.
        """
        check(self.described, batch_size=batch_size, verbose=verbose, steps=steps)
        x, _, _ = self._arrays(x, None, None, self.described)
        predicting = Epochs(self._batches(x, None, None, None, batch_size, False, steps, self.described), steps, "steps")
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1,
                                     steps=predicting.steps)
        with closing(predicting), self._runs.predicting.one() as call, callbacks.closed_on_error():
            batches: list[Any] = []
            callbacks.on_predict_begin()
            for step, (batch, _, _) in enumerate(predicting.epoch()):
                callbacks.on_predict_batch_begin(step)
                outputs = self._predicted(batch)
                batches.append(outputs)
                callbacks.on_predict_batch_end(step, {"outputs": outputs})
                if call.stopped:
                    break
            predicting.end()
            callbacks.on_predict_end()
        if not batches:
            raise ValueError(f"{self.described}: predict expected at least one batch, got none")
        if len(batches) == 1:
            return batches[0]
        return pack(batches[0], [self._joined(parts) for parts in zip(*map(flatten, batches), strict=True)])

    def _joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """An output of several batches."""
        shapes = list(dict.fromkeys(part.shape[1:] for part in parts))
        if len(shapes) > 1:
            raise ValueError(f"{self.described}: predict expected every batch to give samples of one shape, got {shapes[0]} "
                             f"and {shapes[1]}: make them of one length (TextVectorization: output_sequence_length), or "
                             "predict one batch at a time")
        return np.concatenate(parts)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None,
                       class_weight: dict[int, float] | None = None, return_dict: bool = False) -> Any:
        """One training step on one batch; returns its loss and metrics as `evaluate` does."""
        self._objective_for("train_on_batch")
        x, y, sample_weight = self._arrays(x, y, sample_weight, self.described)
        check(self.described, return_dict=return_dict)
        batches = self._batches(x, y, sample_weight, class_weight, None, False, 1, self.described)
        with self._objective_for("train_on_batch").taken() as objective, Interrupts() as interrupts:
            objective.reset()
            self._look_at_parts()
            for x, y, weight in batches:
                self._train_step(x, y, weight, objective, interrupts)
            return _as_asked(objective.results(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and the metrics of one batch, as `evaluate` returns them."""
        self._objective_for("test_on_batch")
        x, y, sample_weight = self._arrays(x, y, sample_weight, self.described)
        check(self.described, return_dict=return_dict)
        batches = self._batches(x, y, sample_weight, None, None, False, 1, self.described)
        with self._objective_for("test_on_batch").taken() as objective:
            objective.reset()
            self._look_at_parts()
            for x, y, weight in batches:
                self._test_step(x, y, weight, objective)
            return _as_asked(objective.results(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as NumPy arrays."""
        return self._predicted(self._inputs(x, self.described))

    def _predicted(self, batch: Any) -> Any:
        """The outputs as NumPy arrays of their own: an output may be (a view of) the batch, which its source may use again."""
        with self._told(ALONE, self._predicted, batch):
            return map_structure(lambda y: np.array(to_numpy(y)), self.forward(batch, training=False))

    def _arrays(self, x: Any, y: Any, weight: Any, who: str) -> tuple[Any, Any, Any]:
        """x, y and sample weights as arrays, floats in the model's dtype; batches stay what they are."""
        if is_batches(x):
            for name, value in (("y", y), ("sample_weight", weight)):
                if value is not None:
                    raise ValueError(f"{who}: x gives batches, so {name} belongs into them: (x, y, sample_weight)")
            return x, None, None
        y, weight = as_arrays(y, who, "y"), as_arrays(weight, who, "sample_weight")
        return self._inputs(x, who), self._in_own_dtype(y), self._in_own_dtype(weight)

    def _inputs(self, x: Any, who: str) -> Any:
        if x is None:
            raise ValueError(f"{who}: expected data x, got None")
        return self._in_own_dtype(as_arrays(x, who, "x"))

    def _in_own_dtype(self, value: Any) -> Any:
        """Floating arrays as float32, unless a layer computes in float64: once, or batch by batch where they stay in a file."""
        def convert(array: Any) -> Any:
            as_it_is = array is None or array.dtype.kind != "f" or array.dtype == np.float32
            if as_it_is or mapping_of(array) is not None or self._computes_in_double():
                return array
            return array.astype("float32")
        return map_structure(convert, value)

    def _computes_in_double(self) -> bool:
        return any(layer._computes_in_double() if isinstance(layer, Trainer) else layer.dtype == "float64"
                   for layer in self.layers)

    def _batches(self, x: Any, y: Any, weight: Any, class_weight: dict[int, float] | None, batch_size: int | None,
                 shuffle: bool | str, steps: int | None, who: str, group: Alone = ALONE) -> ArrayBatches | GivenBatches:
        by_class = None if class_weight is None else ClassWeights(class_weight, who)

        def weigh(weight: Any) -> Any:
            if by_class is not None and weight is not None:
                raise ValueError(f"{who}: expected class_weight or sample_weight, got both")
            return by_class or weight

        if is_batches(x):
            return GivenBatches(x, weigh, shuffle, who)
        weight = weigh(weight)
        samples = max((len(array) for array in arrays_in(x) if array.ndim), default=0)
        size = batch_size or (-(-samples // steps) if steps else 32)
        return ArrayBatches(x, y, weight, int(size), shuffle, who, self._in_own_dtype, group.rows_of())

    def _split(self, x: Any, y: Any, weight: Any, fraction: float) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
        if is_batches(x):
            raise ValueError(f"{self.described}: validation_split needs arrays; for batches give validation_data")
        samples = ArrayBatches(x, y, weight, 1, False, self.described).samples
        if int(samples * (1.0 - fraction)) in (0, samples):
            raise ValueError(f"{self.described}: {samples} samples are too few for validation_split={fraction}: training "
                             "and validation need at least one each")
        parts = [split(value, fraction, samples) for value in (x, y, weight)]
        return (parts[0][0], parts[1][0], parts[2][0]), (parts[0][1], parts[1][1], parts[2][1])

    def _validation(self, data: Any, batch_size: int | None, steps: int | None, group: Alone) -> Epochs:
        given = data if isinstance(data, (list, tuple)) else (data,)
        if not 1 <= len(given) <= 3:
            raise ValueError(f"{self.described}: expected validation_data (x, y) or (x, y, sample_weight), "
                             f"got {len(given)} values")
        who = f"{self.described}: validation_data"
        x, y, weight = (*given, None, None)[:3]
        x, y, weight = self._arrays(x, y, weight, who)
        return Epochs(self._batches(x, y, weight, None, batch_size, False, steps, who, group), steps, "validation_steps")

    def _compared(self, x: Any, y: Any, weight: Any, outputs: Any, objective: Objective) -> _Compared:
        """Targets, predictions, masks and sample weights as lists with one entry for each output."""
        mask = self.compute_mask(x, None)
        y, weight = weighed(y, weight, outputs)
        if isinstance(outputs, (list, tuple, dict)):
            predictions = flatten(outputs)
            names = sorted(outputs) if isinstance(outputs, dict) else self._names_of_outputs(len(predictions))
            masks = mask if isinstance(mask, list) else [None] * len(names)
            targets, weights = self._by_output(y, names, "y", objective), self._weights_by_output(weight, names, objective)
        else:
            predictions, names, masks = [outputs], self._names_of_outputs(1), [mask]
            targets, weights = [_only(y)], [_only(weight)]
        self._bind(names, targets, predictions, objective)
        return targets, predictions, masks, weights

    def _bind(self, names: Sequence[str], targets: Sequence[Any], predictions: Sequence[Any], objective: Objective) -> None:
        """Tell the losses and metrics, the first time, which outputs they are for; see that each has its targets."""
        if not objective.bound:
            objective.bind(names, targets, predictions)
            objective.group.check_losses(objective)
        for target, output in zip(targets, objective.outputs, strict=True):
            if target is None and (output.loss is not None or output.metrics or output.weighted_metrics):
                raise ValueError(f"{self.described}: expected targets y for output {output.name!r}, got None")
            if isinstance(target, (list, dict)):
                raise ValueError(f"{self.described}: expected one array y for output {output.name!r}, got {len(target)} arrays")

    def _weights_by_output(self, weight: Any, names: Sequence[str], objective: Objective) -> list[Any]:
        """One weight for each sample counts for every output."""
        if hasattr(weight, "shape") and weight.size == len(weight):
            return [weight] * len(names)
        return self._by_output(weight, names, "sample_weight", objective)

    def _by_output(self, given: Any, names: Sequence[str], what: str, objective: Objective) -> list[Any]:
        """Arrays given as a list or by the names of the outputs, in the order of the outputs."""
        if given is None:
            return [None] * len(names)
        if isinstance(given, dict):
            if set(given) - set(names):
                raise ValueError(f"{self.described}: expected {what} for the outputs {list(names)}, got {list(given)}")
            return [given.get(name) for name in names]
        arrays = given if isinstance(given, list) else [given]
        if len(arrays) != len(names):
            losses = objective.loss
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

    def _look_at_parts(self) -> None:
        """Find out the parts of the model anew if they are not those of the last time: a layer was frozen, added …"""
        parts = self._parts
        if self.built and (parts is None or not parts.are_present()):
            self._parts = _Parts(self)

    def _parts_now(self) -> "_Parts":
        """The parts of the model, found out again after a forward that has built layers."""
        parts = self._parts
        if parts is None or (parts.unbuilt and any(layer.built for layer in parts.unbuilt)):
            self._parts = parts = _Parts(self)
        return parts


class _Parts:
    """What each training step goes through, looked up once: a model has many attributes, and a step is short."""

    def __init__(self, model: Trainer) -> None:
        self.trainable = model.trainable_weights
        self.parameters = model.weights
        self.statistics = [parameter for parameter in self.parameters if not parameter.trainable]
        self.regularized = [parameter for parameter in self.trainable if parameter.regularizer is not None]
        self.layers = _flatten(model)
        self.unbuilt = [layer for layer in self.layers if not layer.built]
        self._flags = self._read_flags()
        self._held = self._look_inside()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()           # a copy of the model finds its own

    def are_present(self) -> bool:
        """Whether the model still has these layers and weights and trains them as it did; a quick question, asked often."""
        if self._read_flags() != self._flags:
            return False
        return list(map(id, chain.from_iterable(self._contents))) == self._seen or self._look_inside() == self._held

    def copied_statistics(self) -> list[tuple[Parameter, Any]]:
        """The weights that forward may change, with copies of their values."""
        return [(parameter, parameter.value.copy()) for parameter in self.statistics]

    def _look_inside(self) -> list[Any]:
        """The layers and weights in the layers' attributes; what these, and the lists among them, hold is noted by its id."""
        attributes = [vars(layer).values() for layer in self.layers]
        contents = [*attributes, *_containers_in(chain.from_iterable(attributes))]      # views: they hold what is there now
        held = list(chain.from_iterable(contents))
        self._contents, self._seen = contents, list(map(id, held))
        return [value for value in held if isinstance(value, (Layer, Parameter))]

    def _read_flags(self) -> list[Any]:
        of_layers: list[Any] = [layer._trainable for layer in self.layers]
        return of_layers + [(parameter.trainable, parameter.regularizer) for parameter in self.parameters]

    def penalties(self) -> float:
        """The sum of `model.losses`: what add_loss and the activity regularizers gave, and the weights' penalties."""
        total = 0.0
        for layer in self.layers:
            if layer._thread.losses:
                total += sum(float(loss) for loss in layer._thread.losses)
        for parameter in self.regularized:
            total += float(parameter.regularizer(parameter.value))
        return total


def _containers_in(values: Iterable[Any]) -> Iterator[Any]:
    """The lists, tuples and dictionaries (their values) among the values and inside them, save those of other things."""
    for value in list(values):                          # at once: another thread may set an attribute meanwhile
        if isinstance(value, (list, tuple, dict)):
            items = value.values() if isinstance(value, dict) else value
            if not items or any(isinstance(item, (Layer, Parameter, list, tuple, dict)) for item in list(items)):
                yield items
                yield from _containers_in(items)


def _group_of(distribute: Any, who: str) -> Alone:
    """The processes that share the batches."""
    if distribute is None or distribute is False:
        return ALONE
    from nblayers.distributed.data_parallel import group_of
    return group_of(distribute, who)


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
