"""What `fit` asks of the processes that share its batches."""
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from nblayers import random, sharing
from nblayers.devices import to_numpy
from nblayers.distributed.buckets import Buckets
from nblayers.distributed.callbacks import SharedCallbacks
from nblayers.distributed.talk import Talk
from nblayers.layers.base import _flatten
from nblayers.layers.recurrent.rnn import RNN
from nblayers.losses.loss import Loss
from nblayers.models.alone import Alone
from nblayers.models.data import ArrayBatches, PartOfBatch, part_of
from nblayers.models.saving import contents
from nblayers.models.saving.stores import Entry, Store
from nblayers.parameter import Parameter
from nblayers.structures import flatten


class Group(Alone):
    """Several processes that train one model, each on its part of every batch.

    Arguments:
        talk: the processes.
        bucket_bytes: gradients are summed in messages of about so many bytes.
    """

    alone = False

    def __init__(self, talk: Talk, bucket_bytes: int) -> None:
        self.talk, self.bucket_bytes = talk, bucket_bytes
        self._buckets: tuple[list[int], Buckets] | None = None
        self._samples = [0, 0]          # that this process had, and those of whole batches, since the last `collect`

    def running(self, who: str) -> AbstractContextManager[Any]:
        return self.talk.of_one_thread(who)

    def begin(self, model: Any, data: Any, validation: Any = None, epochs: tuple[int, int] | None = None) -> None:
        """All processes see that they are at the same, and go on from the first one's model, and its order of the data.

        Raises:
            ValueError: processes that are at different things; a model that is not built, and batches that are made one by
                one; a stateful layer; losses and metrics that cannot be shared out.
        """
        if not model.built:
            if not isinstance(data.batches, ArrayBatches):
                raise ValueError(f"{model.described}: expected arrays, or a model that is built before it is distributed: call "
                                 "build(input_shape), or begin it with an Input")
            model.predict_on_batch(data.batches.first_sample())
        for layer in _flatten(model):
            if isinstance(layer, RNN) and layer.stateful:
                raise ValueError(f"{layer.described}: expected stateful=False where a batch is shared by several processes")
        if model._objective.bound:
            self.check_losses(model._objective)
        self._samples = [0, 0]
        given = [each for each in (data, validation) if each is not None]
        extents = "; validation: ".join(each.extent for each in given)
        self._see_that_all_agree(model, {**_described(model), "epochs": epochs, "data": extents})
        self.follow(model)
        states = self.from_first(lambda: [each.own_state() for each in given])
        for each, state in zip(given, states, strict=True):
            each.set_own_state(state)

    def _see_that_all_agree(self, model: Any, own: dict[str, Any]) -> None:
        """Processes that are at different things would get wrong sums, or wait for each other for ever.

        Raises:
            ValueError: in all of them.
        """
        told = self.talk.to_first(own, "the beginning of fit or evaluate")
        if difference := self.talk.from_first(_difference_in(told), "the beginning of fit or evaluate"):
            raise ValueError(f"{model.described}: expected the same in all processes, got {difference}")

    def follow(self, model: Any) -> None:
        """Weights, the optimizer's state, random numbers and what callbacks have set become the first process'."""
        state = self.talk.from_first(_state_of(model) if self.talk.rank == 0 else None, "the first one's weights")
        if self.talk.rank:
            _set_state(model, state)

    def follow_settings(self, model: Any) -> None:
        """What a callback may set between two batches: learning rates, what is trained, that training or evaluation ends."""
        settings = self.talk.from_first(_settings_of(model) if self.talk.rank == 0 else None, "the first one's callbacks")
        if self.talk.rank:
            _set_settings(model, settings)

    def rows_of(self) -> Callable[[int], tuple[int, int]]:
        return self._rows

    def _rows(self, batch: int) -> tuple[int, int]:
        """First sample and number of this process's part: as even as can be, the first processes have one more."""
        each, more = divmod(batch, self.talk.size)
        count = each + (self.talk.rank < more)
        return (self.talk.rank * each + min(self.talk.rank, more) if count else 0), count

    def check_losses(self, objective: Any) -> None:
        """See that losses are means or sums over samples.

        Raises:
            ValueError: one is not, or has a whole gradient of its own.
        """
        for output in objective.outputs:
            loss = output.loss
            if loss is None:
                continue
            if loss.mixes_samples:
                raise ValueError(f"{loss.described}: expected a loss that is a mean over samples where a batch is shared by "
                                 "several processes, got one that compares samples of the batch with each other")
            if type(loss).value_and_gradient is not Loss.value_and_gradient:
                raise ValueError(f"{loss.described}: expected gradient(self, y_true, y_pred) where a batch is shared by "
                                 "several processes, got one with sample_weight, which divides by the samples of a part")

    def callbacks(self, callbacks: Any, model: Any) -> SharedCallbacks:
        return SharedCallbacks(callbacks, self, model)

    @contextmanager
    def computing(self, batch: Any) -> Iterator[Any]:
        part = batch if isinstance(batch, PartOfBatch) else part_of(batch, self._rows)
        with sharing.computing(sharing.Part(part.start, part.samples, part.batch, self.talk.add)):
            yield part[:3]
        self._samples = [self._samples[0] + part.samples, self._samples[1] + part.batch]

    def whole_loss(self, loss: float, penalties: float) -> float:
        part = sharing.part()
        return loss + penalties * part.weight if part is not None and part.count else 0.0

    @contextmanager
    def summing(self, model: Any, parameters: Sequence[Parameter], statistics: Sequence[Parameter]) -> Iterator[None]:
        part = sharing.part()
        weight = 1.0 if part is None else part.weight
        buckets = self._buckets_of(model, parameters)
        buckets.begin(weight)
        state = model._thread
        state.tell = buckets.tell
        try:
            yield
        finally:
            state.tell = None
        buckets.finish()
        self._average([each for each in statistics if np.dtype(each.dtype).kind == "f"], weight)

    def _buckets_of(self, model: Any, parameters: Sequence[Parameter]) -> Buckets:
        """The buckets for these weights, made once."""
        graph = model._graph

        def key() -> list[int]:
            return [id(graph), *(id(each.grad) for each in parameters)]
        if self._buckets is None or self._buckets[0] != key():
            first_calls = {} if graph is None else graph.first_calls()
            buckets = Buckets(parameters, first_calls, self.bucket_bytes, self.talk)
            self._buckets = key(), buckets
        return self._buckets[1]

    def _average(self, statistics: Sequence[Parameter], weight: float) -> None:
        """Statistics that forward has changed become their mean over all samples."""
        if not statistics:
            return
        own = np.concatenate([to_numpy(each.value).reshape(-1).astype(float) for each in statistics])
        total = self.talk.add(own * weight if weight else np.zeros_like(own))
        ends = np.cumsum([int(each.value.size) for each in statistics])
        for each, values in zip(statistics, np.split(total, ends[:-1]), strict=True):
            each.assign(values.reshape(each.shape))

    def collect(self, objective: Any) -> None:
        """The first process has the sums of all, and the others begin afresh.

        Raises:
            ValueError: a metric whose state is in no variables; batches of different sizes in the processes.
        """
        for metric in objective.all_metrics():
            if not metric.variables:
                raise ValueError(f"{metric.described}: expected its state in variables (add_variable), which are summed over "
                                 "the processes, got a metric without any")
        told = self.talk.to_first((self._samples, objective.sums()), "the metrics")
        self._samples = [0, 0]
        if self.talk.rank:
            objective.reset()
            return
        _see_that_batches_are_whole(objective.who, [samples for samples, _ in told])
        objective.take_in([sums for _, sums in told[1:]])

    def from_first(self, make: Callable[[], Any]) -> Any:
        return self.talk.from_first(make() if self.talk.rank == 0 else None, "the first one's results")


class _Arrays(Store):
    """Arrays in memory, as a file has them."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        self.entries = {name: Entry(array.shape, array.dtype) for name, array in arrays.items()}

    def _read(self, name: str) -> tuple[np.ndarray, int | None]:
        return self._arrays[name], None


def _described(model: Any) -> dict[str, Any]:
    """What has to be the same in all processes, as it may be shown."""
    weights, objective = model.weights, model._objective
    losses, *metrics = (_names_in(given) for given in (objective.loss, objective.metrics, objective.weighted_metrics))
    return {"model": f"of {len(weights)} weights, {sum(int(each.value.size) for each in weights)} numbers",
            "optimizer": type(model.optimizer).__name__, "loss": losses, "metrics": " and weighted ".join(metrics)}


def _names_in(given: Any) -> str:
    named = [one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__) for one in flatten(given)
             if one is not None]
    return ", ".join(named) or "none"


def _difference_in(told: Sequence[dict[str, Any]]) -> str:
    """The first thing in which what a process has told is not what the first one has; "" for none."""
    return next((f"{name} {told[0][name]} in rank 0 and {own[name]} in rank {rank}"
                 for rank, own in enumerate(told) for name in own if own[name] != told[0][name]), "")


def _see_that_batches_are_whole(who: str, samples: Sequence[Sequence[int]]) -> None:
    """Of (samples that a process had, samples of its whole batches) of all."""
    had = sum(own for own, _ in samples)
    if any(whole != had for _, whole in samples):
        shown = ", ".join(f"{whole} in rank {rank}" for rank, (_, whole) in enumerate(samples))
        raise ValueError(f"{who}: expected batches of the same sizes in all processes, got batches with samples in all {shown}")


def _state_of(model: Any) -> dict[str, Any]:
    return {"arrays": contents.arrays_of(model), "is_swapped": model.optimizer.is_swapped, "random": random.get_state(),
            "seeds": contents.seed_states_of(model), "settings": _settings_of(model)}


def _set_state(model: Any, state: dict[str, Any]) -> None:
    _set_trainable(model, state["settings"]["trainable"])       # which say what state the optimizer has
    contents.load(model, _Arrays(state["arrays"]))
    model.optimizer.is_swapped = state["is_swapped"]
    random.set_state(state["random"])
    contents.load_seed_states(model, state["seeds"])
    _set_settings(model, state["settings"])


def _settings_of(model: Any) -> dict[str, Any]:
    rates = [optimizer._learning_rate for optimizer in model.optimizer.stepping()]
    return {"stop_training": model.stop_training, "stop_evaluating": model.stop_evaluating,
            "learning_rates": [None if callable(rate) else rate for rate in rates],
            "trainable": [[layer._trainable for layer in _flatten(model)], [each.trainable for each in model.weights]]}


def _set_settings(model: Any, settings: dict[str, Any]) -> None:
    model.stop_training = settings["stop_training"]
    if settings["stop_evaluating"]:
        model.stop_evaluating = True
    for optimizer, rate in zip(model.optimizer.stepping(), settings["learning_rates"], strict=False):
        if rate is not None:            # some that a function chooses may not be known yet
            optimizer.learning_rate = rate
    _set_trainable(model, settings["trainable"])


def _set_trainable(model: Any, trainable: list[list[bool]]) -> None:
    for layer, flag in zip(_flatten(model), trainable[0], strict=True):
        layer._trainable = flag
    for parameter, flag in zip(model.weights, trainable[1], strict=True):
        parameter.trainable = flag
