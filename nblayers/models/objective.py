"""The losses and metrics that a model was compiled with."""
import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import numpy as np

from nblayers import losses as loss_module, metrics as metric_module, sharing
from nblayers.arguments import found
from nblayers.devices import to_numpy
from nblayers.layers.base import Layer
from nblayers.locks import Lock
from nblayers.metrics.metric import Variable
from nblayers.models.alone import ALONE, Alone
from nblayers.models.arguments import check_leaves
from nblayers.structures import flatten

# names that stand for a binary, categorical or sparse kind, by the shapes
_LOSS_BY_SHAPE, _METRIC_BY_SHAPE = ("crossentropy", "ce"), ("accuracy", "acc")

# objectives and metric objects that a run is filling, by their ids; metric objects may belong to several models
_in_use: dict[int, Any] = {}
_using = Lock()


class _Output:
    """What is computed for one output of the model."""

    def __init__(self, name: str, loss: Any, loss_weight: float, metrics: list[Any], weighted_metrics: list[Any]) -> None:
        self.name, self.loss, self.loss_weight = name, loss, loss_weight
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        self.loss_sum = 0.0


class Objective:
    """The losses and metrics of a compiled model, with their running means over an epoch.

    Arguments:
        loss: name, object or function; for several outputs a list, or a dictionary by output name. None: no loss.
        loss_weights: a factor for each loss, in the same forms; 1 by default.
        metrics: list of names and objects; for several outputs a list of lists, or a dictionary by output name.
        weighted_metrics: the same, for metrics that see the sample weights.
        who: opens error messages.

    Raises:
        ValueError: an unknown name, or metrics that are not in a list or dictionary.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any, who: str) -> None:
        self.who = who
        self.loss, self.loss_weights = loss, loss_weights
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, (list, tuple, dict)):
                raise ValueError(f"{who}: compile expected {argument} as a list or a dictionary, got {given!r}")
        check_leaves(who, "loss", flatten(loss), loss_module.Loss, "losses")
        check_leaves(who, "metrics", flatten(metrics or []), metric_module.Metric, "metrics")
        check_leaves(who, "weighted_metrics", flatten(weighted_metrics or []), metric_module.Metric, "metrics")
        for name in flatten(loss):
            if isinstance(name, str) and name not in _LOSS_BY_SHAPE:
                found(who, "loss", loss_module.get, name)       # an unknown name is an error now, not in the first epoch
        for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            for name in flatten(given or []):
                if isinstance(name, str) and name not in _METRIC_BY_SHAPE:
                    found(who, argument, metric_module.get, name)
        self.outputs: list[_Output] = []
        self._waiting: dict[str, Any] | None = None     # the means to go on from, until the outputs are known
        self._named_metrics: list[tuple[str, Any]] = []
        self._filled = self._find_filled()
        self._state = Lock()            # a thread may copy what another one is filling
        self.group: Alone = ALONE       # the processes that share the batches of the run
        self.reset()

    @contextmanager
    def taken(self, group: Alone = ALONE) -> Iterator["Objective"]:
        """For one run: this objective, or while another run fills it, or one of its metrics, a copy with means of its own.

        Arguments:
            group: the processes that share the run's batches.

        Raises:
            TypeError: a metric that cannot be copied.
        """
        own = self._filled
        with _using:
            free = _in_use.keys().isdisjoint(own)
            if free:
                _in_use.update(own)
        taken = self if free else self._copied()
        try:
            taken.group = group
            with group.running(self.who):
                yield taken
        finally:
            taken.group = ALONE
            if free:
                with _using:
                    for key in own:
                        del _in_use[key]

    def _find_filled(self) -> dict[int, Any]:
        """What a run fills, by its id: this objective, the metric objects given to compile, and those made of names."""
        given = flatten((self.metrics or [], self.weighted_metrics or []))
        made = [metric for output in self.outputs for metric in (*output.metrics, *output.weighted_metrics)]
        return {id(one): one for one in (self, *given, *made) if isinstance(one, (Objective, metric_module.Metric))}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_filled", "group")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.group = ALONE
        self._filled = self._find_filled()      # by the ids that the copies have

    def _copied(self) -> "Objective":
        """The same losses, and copies of the metrics."""
        with self._state:
            kept = {id(one): one for one in self._uncopied()}
            new = copy.copy(self)
            try:
                new.metrics, new.weighted_metrics = copy.deepcopy((self.metrics, self.weighted_metrics), kept)
                new.outputs = [_Output(o.name, o.loss, o.loss_weight, copy.deepcopy(o.metrics, kept),
                                       copy.deepcopy(o.weighted_metrics, kept)) for o in self.outputs]
            except (TypeError, copy.Error) as error:
                raise TypeError(f"{self.who}: this run needs copies of the metrics, which another run is filling, and one "
                                f"cannot be copied: {error}") from error
        new._filled, new._state = new._find_filled(), Lock()
        new._name_metrics()
        new.reset()
        return new

    def _uncopied(self) -> list[Any]:
        """What copies of the metrics refer to as the metrics do: functions, objects that these are methods of, and layers."""
        given = flatten((self.metrics or [], self.weighted_metrics or []))
        functions = [one for one in given if not isinstance(one, metric_module.Metric)]
        held = [value for metric in self._filled.values() if metric is not self for name, value in vars(metric).items()
                if name == "fn" or isinstance(value, (MethodType, Layer))]
        return functions + held

    @property
    def bound(self) -> bool:
        """Whether the outputs that the losses belong to are known."""
        return bool(self.outputs)

    def bind(self, names: Sequence[str], targets: Sequence[Any], predictions: Sequence[Any]) -> None:
        """Find for each output its loss and metrics, the kind of accuracy by the shapes.

        Raises:
            ValueError: losses, weights or metrics that do not belong to these outputs.
        """
        losses = self._each(self.loss, names, "loss")
        factors = self._each(self.loss_weights, names, "loss_weights")
        metrics, weighted = (self._each_list(getattr(self, argument), names, argument)
                             for argument in ("metrics", "weighted_metrics"))
        outputs = []
        for i, (name, y, p) in enumerate(zip(names, targets, predictions, strict=True)):
            shapes = (np.shape(y) if y is not None else np.shape(p), np.shape(p))
            loss = self._loss(losses[i], *shapes)
            outputs.append(_Output(name, loss, 1.0 if factors[i] is None else float(factors[i]),
                                   [metric_module.resolve(m, *shapes, loss) for m in metrics[i]],
                                   [metric_module.resolve(m, *shapes, loss) for m in weighted[i]]))
        with self._state:
            self.outputs = outputs
            self._filled = self._find_filled()
            self._name_metrics()
            for _, metric in self._named_metrics:
                metric.reset_state()    # another model may have filled it before
        if self._waiting is not None:
            self.resume(self._waiting)

    def value_and_gradients(self, targets: Sequence[Any], predictions: Sequence[Any], masks: Sequence[Any],
                            weights: Sequence[Any]) -> tuple[float, list[Any]]:
        """The weighted sum of the losses and its gradient for each output (None where there is no loss)."""
        total = 0.0
        gradients: list[Any] = []
        for output, y, p, mask, weight in zip(self.outputs, targets, predictions, masks, weights, strict=True):
            if output.loss is None:
                gradients.append(None)
                continue
            try:
                with sharing.counting():
                    value, dp = output.loss.value_and_gradient(y, p, weight, mask)
            except ValueError as error:
                raise ValueError(f"{self._at(output)}: {error}") from error
            value, samples = _as_summand(value, len(p))
            total += value * output.loss_weight
            gradients.append(dp if output.loss_weight == 1.0 else dp * dp.dtype.type(output.loss_weight))
            output.loss_sum += value * samples
        return total, gradients

    def value(self, targets: Sequence[Any], predictions: Sequence[Any], masks: Sequence[Any], weights: Sequence[Any]) -> float:
        """The weighted sum of the losses."""
        total = 0.0
        for output, y, p, mask, weight in zip(self.outputs, targets, predictions, masks, weights, strict=True):
            if output.loss is not None:
                try:
                    with sharing.counting():
                        value = output.loss(y, p, weight, mask)
                except ValueError as error:
                    raise ValueError(f"{self._at(output)}: {error}") from error
                value, samples = _as_summand(value, len(p))
                total += value * output.loss_weight
                output.loss_sum += value * samples
        return total

    def update(self, loss: float, targets: Sequence[Any], predictions: Sequence[Any], masks: Sequence[Any],
               weights: Sequence[Any]) -> None:
        """Take one batch into the running means of loss and metrics."""
        part = sharing.part()
        samples = len(predictions[0]) if part is None else part.count
        self._loss_sum += loss * (samples if part is None else part.batch)
        self._samples += samples
        if samples == 0:
            return
        with self._state:
            for output, y, p, mask, weight in zip(self.outputs, targets, predictions, masks, weights, strict=True):
                for metric in output.metrics:
                    metric.update_state(y, p, _weighed(mask, None, p))
                for metric in output.weighted_metrics:
                    metric.update_state(y, p, _weighed(mask, weight, p))

    def reset(self) -> None:
        """Start the running means afresh."""
        self._loss_sum, self._samples, self._waiting = 0.0, 0, None
        with self._state:
            for output in self.outputs:
                output.loss_sum = 0.0
            for _, metric in self._named_metrics:
                metric.reset_state()

    def state(self) -> dict[str, Any]:
        """The running means, as JSON."""
        return {"results": {name: np.asarray(result).tolist() for name, result in self._own_results().items()},
                "loss": [self._loss_sum, self._samples],
                "outputs": [output.loss_sum for output in self.outputs],
                "variables": [[each.numpy().tolist() for each in metric.variables] for _, metric in self._named_metrics],
                "metrics": [_numbers_of(metric) for _, metric in self._named_metrics]}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._loss_sum, self._samples = state["loss"]
        self._waiting = None if self.bound else state
        if self.bound:
            for output, loss_sum in zip(self.outputs, state["outputs"], strict=True):
                output.loss_sum = loss_sum
            for (_, metric), values in zip(self._named_metrics, state["variables"], strict=True):
                for variable, value in zip(metric.variables, values, strict=True):
                    variable.value = np.asarray(value, variable.dtype) if isinstance(value, list) else value
            for (_, metric), numbers in zip(self._named_metrics, state["metrics"], strict=True):
                for name, (value, dtype) in numbers.items():
                    vars(metric)[name] = value if dtype is None else np.array(value, dtype)

    def results(self) -> dict[str, Any]:
        """The running means in the order in which `evaluate` returns them: the loss, the metrics, the single losses.

        Of a group of processes all have to ask, and get those over all of them.
        """
        self.group.collect(self)
        return self.group.from_first(self._own_results)

    def take_in(self, sums: Sequence[tuple[float, int, list[float], list[list[Any]]]]) -> None:
        """Add what other processes have found since they began: what `sums` gave there."""
        for loss_sum, samples, output_sums, states in sums:
            self._loss_sum += loss_sum
            self._samples += samples
            for output, other in zip(self.outputs, output_sums, strict=True):
                output.loss_sum += other
            for (_, metric), values in zip(self._named_metrics, states, strict=True):
                twin = copy.deepcopy(metric, {id(one): one for one in self._uncopied()})
                for variable, value in zip(twin.variables, values, strict=True):
                    variable.value = value
                metric.merge_state([twin])

    def sums(self) -> tuple[float, int, list[float], list[list[Any]]]:
        """What the running means are made of."""
        return (self._loss_sum, self._samples, [output.loss_sum for output in self.outputs],
                [[variable.value for variable in metric.variables] for _, metric in self._named_metrics])

    def _own_results(self) -> dict[str, Any]:
        """The running means of what this process has seen, or has been told of."""
        if self._waiting is not None:
            waiting = self._waiting["results"]          # an epoch that was stopped after its last batch
            return {name: _plain(result) for name, result in waiting.items()}
        count = max(self._samples, 1)
        found: dict[str, Any] = {"loss": self._loss_sum / count}
        singles = {f"{o.name}_loss": o.loss_sum / count for o in self.outputs if o.loss is not None}
        if len(singles) > 1:
            found.update(singles)
        for name, metric in self._named_metrics:
            result = metric.result()
            found.update(result if isinstance(result, dict) else {name: _plain(result)})
        return found

    def sorted_results(self) -> dict[str, Any]:
        """The same by name, as callbacks see them."""
        return dict(sorted(self.results().items()))

    def all_metrics(self) -> list[Any]:
        """The metric objects."""
        return [metric for _, metric in self._named_metrics]

    def _each(self, given: Any, names: Sequence[str], argument: str) -> list[Any]:
        """One entry for each output, from a single one, a list, or a dictionary by name."""
        if isinstance(given, dict):
            unknown = [key for key in given if key not in names]
            if unknown and not (len(names) == 1 and len(given) == 1):
                raise ValueError(f"{self.who}: {argument} names {unknown}, expected names of outputs: {list(names)}")
            return list(given.values()) if unknown else [given.get(name) for name in names]
        if isinstance(given, (list, tuple)):
            if len(given) != len(names):
                raise ValueError(f"{self.who}: expected {argument} for {len(names)} outputs, got {len(given)}")
            return list(given)
        return [given] * len(names)

    def _each_list(self, given: Any, names: Sequence[str], argument: str) -> list[list[Any]]:
        if not given:
            return [[] for _ in names]
        if len(names) == 1:
            unknown = [key for key in given if key not in names] if isinstance(given, dict) else []
            if unknown:
                raise ValueError(f"{self.who}: {argument} names {unknown}, expected names of outputs: {list(names)}")
            return [flatten(given)]
        return [[] if entry is None else flatten(entry) for entry in self._each(given, names, argument)]

    def _loss(self, identifier: Any, y_shape: tuple[int, ...], p_shape: tuple[int, ...]) -> Any:
        if identifier is None:
            return None
        if isinstance(identifier, str) and identifier in _LOSS_BY_SHAPE:
            sparse = len(y_shape) < len(p_shape) or (y_shape[-1] == 1 and p_shape[-1] > 1)
            kind = "binary" if p_shape[-1] == 1 else "sparse_categorical" if sparse else "categorical"
            identifier = f"{kind}_crossentropy"
        return loss_module.get(identifier)

    def _name_metrics(self) -> None:
        """Names as in Keras: the output's before the metric's where there are several; a name's second use is numbered."""
        several = len(self.outputs) > 1
        named: dict[str, Any] = {}
        for weighted in (False, True):
            for output in self.outputs:
                for metric in output.weighted_metrics if weighted else output.metrics:
                    prefix = f"{output.name}_" if several else ""
                    name = prefix + metric.name
                    if weighted and name in named:
                        name = f"{prefix}weighted_{metric.name}"
                    base, count = name, 0
                    while name in named:
                        count += 1
                        name = f"{base}_{count}"
                    named[name] = metric
        self._named_metrics = sorted(named.items()) if several else list(named.items())

    def _at(self, output: _Output) -> str:
        return f"{self.who}, output {output.name!r}" if len(self.outputs) > 1 else self.who


def _as_summand(value: Any, samples: int) -> tuple[Any, int]:
    """A loss as this process's summand of the whole batch's, and the samples in that."""
    part = sharing.part()
    if part is None:
        return value, samples
    return value if part.count else 0.0, part.batch


def _plain(result: Any) -> Any:
    """A float; the array of a metric that has several results (`FBetaScore` for each class)."""
    return float(result) if np.size(result) == 1 else np.asarray(result)


def _weighed(mask: Any, weight: Any, prediction: Any) -> Any:
    """Mask and sample weight in one array."""
    if mask is None:
        return weight
    merged = mask.astype(prediction.dtype)
    if weight is None:
        return merged
    weight = loss_module.array_module_of(merged).asarray(weight, merged.dtype)
    if weight.ndim == merged.ndim + 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    return merged * weight.reshape(weight.shape + (1,) * (merged.ndim - weight.ndim))


def _numbers_of(metric: Any) -> dict[str, Any]:
    """The numbers and arrays among a metric's attributes, its variables apart, with the dtypes of the latter."""
    own = {name: value for name, value in vars(metric).items() if not isinstance(value, Variable)}
    numbers = {name: (value, None) for name, value in own.items() if isinstance(value, (int, float))}
    arrays = {name: (np.asarray(to_numpy(value)).tolist(), str(value.dtype)) for name, value in own.items()
              if isinstance(value, np.generic) or hasattr(value, "dtype")}
    return {**numbers, **arrays}
