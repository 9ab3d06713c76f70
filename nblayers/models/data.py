"""What `fit`, `evaluate` and `predict` are given, as batches."""
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from nblayers import random
from nblayers.arrays import as_array, is_array
from nblayers.models.ahead import by_workers, one_ahead
from nblayers.models.class_weights import ClassWeights
from nblayers.models.mapped import Mappings
from nblayers.structures import map_structure

Batch = tuple[Any, Any, Any]            # inputs, targets, sample weights; the last two may be None
_WORTH_A_THREAD = 2**20                 # bytes of a batch, from which on it is gathered while the last one trains


class PartOfBatch(NamedTuple):
    """What one of several processes has of a batch that they share.

    Attributes:
        x, y, weights: its samples; of a process without any the batch's first.
        start, samples: the first of them in the batch, and how many there are.
        batch: samples in the batch.
    """

    x: Any
    y: Any
    weights: Any
    start: int
    samples: int
    batch: int


class ArrayBatches:
    """Batches cut from arrays.

    Of arrays that are mapped into memory from files only the batches are read. Large batches that have to be gathered or read
    are prepared one ahead.

    Arguments:
        x, y, weights: arrays, or lists or dictionaries of arrays, of equal length along axis 0; None for nothing. Weights by
            class go into each batch as they are.
        batch_size: samples in a batch; the last one may be smaller.
        shuffle: True for a new order of the samples in each pass, "batch" for a new order of whole batches.
        who: opens error messages.
        convert: what is done with the arrays of each batch that was read from a file.
        rows: gives of a batch of so many samples the first and the number of those that are cut out, as a `PartOfBatch`.

    Raises:
        ValueError: arrays of unequal length, or of no samples, or a batch size below 1.
    """

    def __init__(self, x: Any, y: Any, weights: Any, batch_size: int, shuffle: bool | str, who: str,
                 convert: Callable[[Any], Any] | None = None,
                 rows: Callable[[int], tuple[int, int]] | None = None) -> None:
        lengths = {}
        for name, given in (("x", x), ("y", y), ("sample_weight", weights)):
            if any(array.ndim == 0 for array in arrays_in(given)):
                raise ValueError(f"{who}: expected {name} with a batch axis, got a single value, {given!r:.60}")
            if given is not None and not isinstance(given, ClassWeights):
                lengths[name] = [len(array) for array in arrays_in(given)]
        sizes = {size for group in lengths.values() for size in group}
        if len(sizes) > 1:
            shown = ", ".join(f"{name} {' and '.join(map(str, group))}" for name, group in lengths.items())
            raise ValueError(f"{who}: expected the same number of samples in all arrays, got {shown}")
        self.samples = sizes.pop() if sizes else 0
        if self.samples == 0:
            raise ValueError(f"{who}: expected at least one sample, got arrays of length 0")
        if batch_size < 1:
            raise ValueError(f"{who}: expected a batch size of at least 1, got {batch_size}")
        self.x, self.y, self.weights = x, y, weights
        self.batch_size, self.shuffle = batch_size, shuffle
        self.steps = -(-self.samples // batch_size)
        self._convert, self._rows = convert, rows
        self._gathers = bool(shuffle) and shuffle != "batch"        # samples from all places

    def __iter__(self) -> Iterator[Any]:
        arrays = arrays_in([self.x, self.y, self.weights])
        mappings = Mappings(arrays)
        batches = self._read(mappings) if mappings.any else self._cut_out()
        if self.steps == 1 or not (mappings.any or self._gathers) or not all(isinstance(array, np.ndarray) for array in arrays):
            return batches
        size = self.batch_size * sum(map(_bytes_per_sample, arrays))
        return one_ahead(batches) if size >= _WORTH_A_THREAD else batches

    @property
    def extent(self) -> str:
        """How much that is, in words."""
        given = " and ".join(name for name, value in (("x", self.x), ("y", self.y), ("sample_weight", self.weights))
                             if value is not None)
        return f"{given} of {self.samples} samples in batches of {self.batch_size}, shuffle={self.shuffle}"

    def first_sample(self) -> Any:
        """x of a batch of one."""
        return map_structure(self._in_memory, _cut(self.x, slice(0, 1)))

    def _cut_out(self) -> Iterator[Any]:
        size = self.batch_size
        if self._gathers:
            order = random.generator().permutation(self.samples)
            for start in range(0, self.samples, size):
                rows, where = self._part(start)
                chosen = order[rows]
                yield _joined((_take(self.x, chosen), _take(self.y, chosen), _take(self.weights, chosen)), where)
            return
        for batch in random.generator().permutation(self.steps) if self.shuffle else range(self.steps):
            rows, where = self._part(batch * size)
            yield _joined((_cut(self.x, rows), _cut(self.y, rows), _cut(self.weights, rows)), where)

    def _part(self, first: int) -> tuple[slice, tuple[int, int, int] | None]:
        """The places of the batch that begins at `first`, or of this process's part; which part that is, None for the whole."""
        whole = min(self.batch_size, self.samples - first)
        if self._rows is None:
            return slice(first, first + whole), None
        start, count = self._rows(whole)
        return slice(first + start, first + start + max(count, 1)), (start, count, whole)

    def _read(self, mappings: Mappings) -> Iterator[Any]:
        """The batches as arrays in memory."""
        for batch in self._cut_out():
            data = tuple(batch[:3])
            arrays = arrays_in(list(data))
            mappings.count(len(arrays[0]), sum(map(_bytes_per_sample, arrays)), self._gathers)
            x, y, weights = map_structure(self._in_memory, data)
            yield batch._replace(x=x, y=y, weights=weights) if isinstance(batch, PartOfBatch) else (x, y, weights)

    def _in_memory(self, part: Any) -> Any:
        if not isinstance(part, np.ndarray):
            return part
        read = np.array(part, copy=None if self._gathers else True)         # what was gathered is in memory
        return read if self._convert is None else self._convert(read)


class GivenBatches:
    """Batches that come ready-made from a generator, an iterable (a DataLoader) or a Sequence.

    They are made when they are needed, in the thread that trains, unless a Sequence asks for workers: a source may fill one
    buffer again and again, draw from the same random numbers, or ask the model itself.

    Arguments:
        source: yields x, (x, y) or (x, y, sample_weight); a Sequence has `__len__` (or Keras' `num_batches`, None for
            one without end), `__getitem__`, and maybe `on_epoch_begin`, `on_epoch_end`, and `workers`,
            `use_multiprocessing` and `max_queue_size`, as `nblayers.utils.PyDataset` has.
        weigh: gives the weights of a batch from those that came with it.
        shuffle: whether the batches of a Sequence come in a new order in each pass.
        who: opens error messages.

    Raises:
        ValueError: a source of length 0; a batch of more than three parts, or without data.
    """

    def __init__(self, source: Any, weigh: Callable[[Any], Any], shuffle: bool | str, who: str) -> None:
        self.source, self.weigh, self.shuffle, self.who = source, weigh, shuffle, who
        self.steps = _length(source)
        self.endless = self.steps is None and hasattr(source, "num_batches")
        self.indexed = hasattr(source, "__getitem__") and (self.steps is not None or self.endless)
        if self.steps == 0:
            raise ValueError(f"{who}: expected at least one batch, got a {type(source).__name__} of length 0")

    @property
    def extent(self) -> str:
        """How much that is, in words."""
        return f"{'batches' if self.steps is None else f'{self.steps} batches'} of a {type(self.source).__name__}"

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._indexed() if self.indexed else self.source:
            yield self._unpacked(batch)

    def _indexed(self) -> Iterator[Any]:
        indices = self._order()
        workers, processes = getattr(self.source, "workers", 0), getattr(self.source, "use_multiprocessing", False)
        if workers > 1 or (workers == 1 and processes):
            return by_workers(self.source, indices, workers, processes, max(self.source.max_queue_size, 1))
        return map(self.source.__getitem__, indices)

    def _order(self) -> Iterable[int]:
        if self.steps is None:
            return count()
        return map(int, random.generator().permutation(self.steps)) if self.shuffle else range(self.steps)

    def _unpacked(self, batch: Any) -> Batch:
        if isinstance(batch, list):
            batch = tuple(batch)
        if not isinstance(batch, tuple) or (batch and isinstance(batch[0], (str, bytes))):      # texts are x
            batch = (batch,)
        if not 1 <= len(batch) <= 3:
            raise ValueError(f"{self.who}: expected batches of (x,), (x, y) or (x, y, sample_weight), got one of {len(batch)}")
        x, y, weights = (*batch, None, None)[:3]
        if x is None:
            raise ValueError(f"{self.who}: expected batches of (x,), (x, y) or (x, y, sample_weight), got one whose x is None")
        weights = self.weigh(as_arrays(weights, self.who, "sample_weight"))
        return as_arrays(x, self.who, "x"), as_arrays(y, self.who, "y"), weights


class Epochs:
    """Hands out the batches of one epoch after another.

    Arguments:
        batches: where they come from.
        steps: batches in an epoch; None for a whole pass over the data.
        argument: what the caller calls `steps`.

    Raises:
        ValueError: batches without end, and no `steps`.
    """

    def __init__(self, batches: ArrayBatches | GivenBatches, steps: int | None, argument: str) -> None:
        self.batches = batches
        self.steps = steps or batches.steps
        self.foreign = isinstance(batches, GivenBatches)        # the user's code makes the batches
        if steps is None and isinstance(batches, GivenBatches) and batches.endless:
            raise ValueError(f"{batches.who}: expected {argument} for a {type(batches.source).__name__} whose num_batches is "
                             "None, got None")
        self._limit, self._argument = steps, argument
        self._current: Iterator[Batch] | None = None
        self._left = 0                  # batches left in the current pass, where that is known
        self._start: dict[str, Any] | None = None       # the random numbers that the current pass began with
        self._taken = 0                 # batches taken of it
        self._reading: Iterator[Batch] | None = None

    def epoch(self, afresh: bool = False, done: int = 0) -> Iterator[Batch]:
        """The batches of the next epoch; fewer, with a warning, when the data run out.

        An epoch of `steps` batches goes on where the one before stopped; with `afresh` it begins at the first batch, as far as
        the data can be read again. `end` belongs after its last batch, or after the one that it was left at. After `resume` the
        epoch has `done` batches behind it.
        """
        self._tell("on_epoch_begin")
        if self._limit is None:
            current, self._current = self._current or self._begin(), None
            for each in current:
                self._taken += 1
                yield each
            self._start = None
            return
        if afresh:
            self._current = None
        for step in range(done, self._limit):
            if self._current is None or (step == 0 and self.batches.steps and self._left == 0):
                self._current, self._left = self._begin(), self.batches.steps or 0
            batch = next(self._current, None)
            if batch is None:
                if step > 0:            # an epoch of none is the caller's to tell of
                    warnings.warn(f"the data ran out after {step} of {self._limit} batches ({self._argument}={self._limit})",
                                  stacklevel=4)
                self._current = self._start = None
                return
            self._left -= 1
            self._taken += 1
            yield batch

    @property
    def extent(self) -> str:
        """How much that is, in words."""
        return self.batches.extent + ("" if self._limit is None else f", {self._argument}={self._limit}")

    def end(self) -> None:
        """Tell the source that the epoch is over."""
        self._tell("on_epoch_end")

    def close(self) -> None:
        """Leave the data: threads and processes that prepare batches end."""
        getattr(self._reading, "close", lambda: None)()

    def position(self) -> dict[str, Any] | None:
        """The place in the data, as JSON; None between two passes."""
        return None if self._start is None else {**self._start, "taken": self._taken}

    def resume(self, position: dict[str, Any]) -> None:
        """Go to the place that `position` gave: the pass begins as it did, and what was taken of it is passed over.

        Raises:
            ValueError: the data have fewer batches.
        """
        random.set_state(position["random"])
        self.set_own_state(position["own"])
        self._current = self._begin()
        for _ in range(position["taken"]):
            if next(self._current, None) is None:
                raise ValueError(f"expected data of at least {position['taken']} batches, of which so many were done")
        self._taken = position["taken"]
        self._left = (self.batches.steps or 0) - self._taken

    def _begin(self) -> Iterator[Batch]:
        """A new pass over the data."""
        self._start = {"random": random.get_state(), "own": self.own_state()}
        self._taken = 0
        self.close()
        self._reading = iter(self.batches)
        return self._reading

    def own_state(self) -> Any:
        """The state of the random numbers that a source draws by itself; None where it draws none."""
        own = self._own_generator()
        return None if own is None else own.bit_generator.state

    def set_own_state(self, state: Any) -> None:
        """Go on from what `own_state` gave."""
        if state is not None and (own := self._own_generator()) is not None:
            own.bit_generator.state = state

    def _own_generator(self) -> np.random.Generator | None:
        """What a source of batches draws their order from, if it is not the global generator (`TimeseriesDataset`)."""
        own = getattr(getattr(self.batches, "source", None), "generator", None)
        return own if isinstance(own, np.random.Generator) and own is not random.generator() else None

    def _tell(self, hook: str) -> None:
        if isinstance(self.batches, GivenBatches):
            getattr(self.batches.source, hook, lambda: None)()


def is_batches(x: Any) -> bool:
    """Whether x hands out batches itself: a generator, an iterable or a Sequence, and not an array or a container of them."""
    if is_array(x) or isinstance(x, (list, tuple, Mapping, str, bytes)):
        return False
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches")))


def as_arrays(value: Any, who: str = "model", what: str = "data") -> Any:
    """Arrays of whatever holds them; lists and dictionaries of arrays stay lists and dictionaries. Errors: `as_array`."""
    if value is None or type(value) is np.ndarray:
        return value
    if isinstance(value, Mapping):
        return {name: as_arrays(item, who, f"{what}[{name!r}]") for name, item in value.items()}
    if (isinstance(value, (list, tuple)) and not isinstance(next(iter(value), None), (str, bytes))
            and any(is_array(item) or item is None for item in value)):
        return [as_arrays(item, who, what) for item in value]
    return as_array(value, who, what)


def arrays_in(value: Any) -> list[Any]:
    """The arrays in what `as_arrays` returns."""
    if isinstance(value, dict):
        return [array for item in value.values() for array in arrays_in(item)]
    if isinstance(value, list):
        return [array for item in value for array in arrays_in(item)]
    return [] if value is None or isinstance(value, ClassWeights) else [value]


def split(value: Any, fraction: float, samples: int) -> tuple[Any, Any]:
    """The first part of all arrays, and the last `fraction` of them for validation."""
    at = int(samples * (1.0 - fraction))
    return _cut(value, slice(0, at)), _cut(value, slice(at, samples))


def weighed(y: Any, weights: Any, outputs: Any) -> tuple[Any, Any]:
    """Targets and sample weights of a batch, once its outputs are known: weights by class are found then."""
    if not isinstance(weights, ClassWeights):
        return y, weights
    targets, predictions = arrays_in(y), arrays_in(list(outputs) if isinstance(outputs, tuple) else outputs)
    if len(targets) != 1 or len(predictions) != 1:
        raise ValueError(f"{weights.who}: class_weight needs one output and targets y for it, got {len(predictions)} outputs "
                         f"and {len(targets)} arrays y")
    return weights.applied(targets[0], predictions[0])


def _bytes_per_sample(array: Any) -> int:
    return int(array.nbytes) // max(len(array), 1)


def _length(source: Any) -> int | None:
    """How many batches the source says it has; None where it does not know (a DataLoader over an IterableDataset)."""
    try:
        return source.num_batches if hasattr(source, "num_batches") else len(source)
    except (TypeError, NotImplementedError):
        return None


def _joined(data: Batch, where: tuple[int, int, int] | None) -> Any:
    """A batch, or the part of one."""
    return data if where is None else PartOfBatch(*data, *where)


def part_of(batch: Batch, rows: Callable[[int], tuple[int, int]]) -> PartOfBatch:
    """A process's part of a batch that came whole."""
    whole = len(arrays_in(batch[0])[0])
    start, count = rows(whole)
    x, y, weights = (_cut(each, slice(start, start + max(count, 1))) for each in batch)
    return PartOfBatch(x, y, weights, start, count, whole)


def _take(value: Any, chosen: np.ndarray) -> Any:
    if isinstance(value, np.ndarray):
        return value.take(chosen, axis=0)
    if isinstance(value, dict):
        return {name: _take(item, chosen) for name, item in value.items()}
    if isinstance(value, list):
        return [_take(item, chosen) for item in value]
    return value if value is None or isinstance(value, ClassWeights) else value[chosen]


def _cut(value: Any, part: slice) -> Any:
    if isinstance(value, dict):
        return {name: _cut(item, part) for name, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, part) for item in value]
    return value if value is None or isinstance(value, ClassWeights) else value[part]
