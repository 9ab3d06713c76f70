"""Data in batches as PyTorch writes it (`torch.utils.data`), of NumPy arrays.

    train_dataset = TensorDataset(X_train, y_train)
    train_loader = DataLoader(train_dataset, batch_size=32, shuffle=True)
    for inputs, targets in train_loader:
        ...

A dataset knows its length and gives the sample of an index; a sampler gives the indices in their order; a loader puts the
samples of one batch together. All is done in the thread that asks: there are no workers.
"""
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers import random
from nblayers.arguments import flag, function, integer, number, optional
from nblayers.arrays import as_array
from nblayers.naming import NamesItself


class Dataset:
    """The class that datasets are made from: write `__getitem__` and `__len__`."""

    def __getitem__(self, index: Any) -> Any:
        """The sample of this index."""
        raise NotImplementedError(f"{type(self).__name__}: __getitem__ is not written")

    def __add__(self, other: Any) -> "ConcatDataset":
        """Both, one after the other."""
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Samples (a[i], b[i], …) of arrays of one length.

    Attributes:
        tensors: the arrays.

    Raises:
        ValueError: no arrays, a single number among them, or arrays of different lengths.
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(as_array(tensor, "TensorDataset", "each of tensors") for tensor in tensors)
        shapes = [tensor.shape for tensor in self.tensors]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: expected arrays of one length, got shapes {shapes}")

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The samples of a dataset at some indices.

    Attributes:
        dataset, indices: as given.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Raises:
        ValueError: no datasets.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, got none")
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        index = integer("ConcatDataset", "index", index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: expected an index from {-len(self)} to {len(self) - 1}, got {index}")
        place = index % len(self)
        which = int(np.searchsorted(self.cumulative_sizes, place, side="right"))
        return self.datasets[which][place - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Parts of a dataset, drawn at random, that do not overlap.

    Arguments:
        lengths: numbers of samples that sum up to the dataset's, or shares that sum up to 1; samples that shares leave over
            go to the first parts, one each.
        generator: see `DataLoader`.

    Raises:
        ValueError: lengths that do not sum up.
    """
    count = len(dataset)
    sizes = [number("random_split", "each of lengths", length, 0) for length in lengths]
    if math.isclose(sum(sizes), 1) and max(sizes) <= 1:
        whole = [math.floor(count * share) for share in sizes]
        for k in range(count - sum(whole)):
            whole[k % len(whole)] += 1
    else:
        whole = [integer("random_split", "each of lengths", length, 0) for length in lengths]
    if sum(whole) != count:
        raise ValueError(f"random_split: expected lengths that sum up to {count}, or shares that sum up to 1, "
                         f"got {list(lengths)}")
    order = _generator("random_split", generator).permutation(count).tolist()
    ends = list(itertools.accumulate(whole))
    return [Subset(dataset, order[end - size:end]) for size, end in zip(whole, ends, strict=True)]


class Sampler:
    """The class that samplers are made from: write `__iter__`, and `__len__` where the number of indices is known."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__}: __iter__ is not written")


class SequentialSampler(Sampler):
    """All indices in their order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Indices in random order, another one at each walk.

    Arguments:
        data_source: the dataset.
        replacement: whether an index may come more than once.
        num_samples: how many; by default the dataset's number. Without replacement more than that are further walks.
        generator: see `DataLoader`.

    Raises:
        ValueError: an empty dataset, a num_samples that is no positive integer.
    """

    def __init__(self, data_source: Any, replacement: bool = False, num_samples: int | None = None,
                 generator: Any = None) -> None:
        self.data_source = data_source
        self.replacement = flag("RandomSampler", "replacement", replacement)
        self._num_samples = optional(integer, "RandomSampler", "num_samples", num_samples, 1)
        self.generator = _generator("RandomSampler", generator) if generator is not None else None
        if not len(data_source):
            raise ValueError("RandomSampler: expected samples, got an empty dataset")

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, wanted = len(self.data_source), self.num_samples
        rng = _generator("RandomSampler", self.generator)
        if self.replacement:
            return iter(rng.integers(count, size=wanted).tolist())
        walks = [rng.permutation(count) for _ in range(-(-wanted // count))]
        return iter(np.concatenate(walks)[:wanted].tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """These indices in random order, another one at each walk; `generator`: see `DataLoader`."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = _generator("SubsetRandomSampler", generator) if generator is not None else None

    def __iter__(self) -> Iterator[int]:
        for place in _generator("SubsetRandomSampler", self.generator).permutation(len(self.indices)):
            yield self.indices[place]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Indices drawn with probabilities in proportion to weights.

    Arguments:
        weights: a number for each index, not negative.
        num_samples: how many are drawn.
        replacement: whether an index may come more than once.
        generator: see `DataLoader`.

    Raises:
        ValueError: weights that are negative or all 0, or not one for each index; more samples than there are to draw.
    """

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        who = "WeightedRandomSampler"
        self.weights = np.asarray(as_array(weights, who, "weights"), np.float64)
        self.num_samples = integer(who, "num_samples", num_samples, 1)
        self.replacement = flag(who, "replacement", replacement)
        self.generator = _generator(who, generator) if generator is not None else None
        if self.weights.ndim != 1 or not (self.weights >= 0).all() or not 0 < self.weights.sum() < math.inf:
            raise ValueError(f"{who}: expected a weight that is not negative for each index, and one above 0, got {weights!r}")
        if not self.replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(f"{who}: expected at most {np.count_nonzero(self.weights)} samples without replacement, "
                             f"got {num_samples}")

    def __iter__(self) -> Iterator[int]:
        rng = _generator("WeightedRandomSampler", self.generator)
        share = self.weights / self.weights.sum()
        return iter(rng.choice(len(share), self.num_samples, self.replacement, share).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of a sampler; the last one may be shorter, and is left out with `drop_last`.

    Raises:
        ValueError: a batch_size that is no positive integer.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = integer("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = flag("BatchSampler", "drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)                                                   # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class DataLoader(NamesItself):
    """The batches of a dataset; each walk over it is one epoch.

    Arguments:
        dataset: what has `__getitem__` and `__len__`, or (without shuffle and samplers) anything to walk over.
        batch_size: how many samples; None gives single samples as they are.
        shuffle: whether each epoch has an order of its own, drawn at random.
        sampler: the indices in their order; in place of shuffle.
        batch_sampler: lists of indices; in place of batch_size, shuffle, sampler and drop_last.
        collate_fn: makes a batch of a list of samples; by default `default_collate`.
        drop_last: whether a last batch that is shorter is left out.
        generator: where the orders are drawn from: a seed, a generator of NumPy, or a SeedGenerator; by default the library's
            own, which `nblayers.utils.set_random_seed` resets.
        num_workers, pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers,
            pin_memory_device, in_order: accepted as in PyTorch and of no use: the thread that asks does the work.

    Attributes:
        dataset, batch_size, drop_last, sampler, batch_sampler, collate_fn: as above.

    Raises:
        ValueError: arguments that exclude each other or are out of range.
        TypeError: a walk over samples that `default_collate` cannot put together.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[int] | None = None, batch_sampler: Iterable[list[int]] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
                 timeout: float = 0, worker_init_fn: Any = None, multiprocessing_context: Any = None, generator: Any = None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "",
                 in_order: bool = True) -> None:
        self.num_workers = integer("DataLoader", "num_workers", num_workers, 0)
        self.dataset = dataset
        self.drop_last = flag("DataLoader", "drop_last", drop_last)
        shuffle = flag("DataLoader", "shuffle", False if shuffle is None else shuffle)
        self._walks = not hasattr(dataset, "__getitem__")
        if self._walks and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: expected no shuffle and no sampler for a dataset that has no __getitem__, "
                             f"got {type(dataset).__name__}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: expected either a sampler or shuffle, got both")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: expected batch_sampler without batch_size, shuffle, sampler and drop_last, got both")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: expected drop_last with a batch_size, got batch_size None")
        rng = None if generator is None else _generator("DataLoader", generator)
        self.sampler: Any = sampler
        if sampler is None and not self._walks:
            self.sampler = RandomSampler(dataset, generator=rng) if shuffle else SequentialSampler(dataset)
        self.batch_sampler = batch_sampler
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, integer("DataLoader", "batch_size", batch_size, 1), self.drop_last)
        self.batch_size = None if batch_sampler is not None else batch_size
        by_default = default_collate if self.batch_sampler is not None else _as_it_is
        self.collate_fn = by_default if collate_fn is None else function("DataLoader", "collate_fn", collate_fn)

    def __iter__(self) -> Iterator[Any]:
        if self._walks:
            yield from self._walk()
        elif self.batch_sampler is None:
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])
        else:
            at_once = self.collate_fn is default_collate and _takes_lists(self.dataset)
            for indices in self.batch_sampler:
                yield list(self.dataset[list(indices)]) if at_once else self.collate_fn([self.dataset[i] for i in indices])

    def _walk(self) -> Iterator[Any]:
        """The batches of a dataset without indices."""
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        """The number of batches."""
        if self._walks:
            count, size = len(self.dataset), self.batch_size or 1
            return count // size if self.drop_last else -(-count // size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)          # type: ignore[arg-type]


def _takes_lists(dataset: Any) -> bool:
    """Whether a list of indices gives what `default_collate` makes of the samples, sooner."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) is TensorDataset


def _as_it_is(sample: Any) -> Any:
    return sample


def default_collate(batch: Sequence[Any]) -> Any:
    """One array of the samples, stacked; lists and dictionaries of arrays where the samples are tuples or dictionaries.

    Strings stay a list.

    Raises:
        TypeError: samples of another kind.
        ValueError: arrays of different shapes, tuples of different lengths.
    """
    first = batch[0]
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in batch}) > 1:
            raise ValueError(f"default_collate: expected samples of one length, got {sorted({len(s) for s in batch})}")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    if not hasattr(first, "__array__") and not isinstance(first, (bool, int, float, complex)):
        raise TypeError("default_collate: expected samples as arrays, numbers, strings, tuples or dictionaries, "
                        f"got {type(first).__name__}")
    arrays = [np.asarray(as_array(sample, "default_collate", "a sample")) for sample in batch]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("default_collate: expected samples of one shape, got "
                         f"{sorted({array.shape for array in arrays})}: pad them, or write a collate_fn")
    return np.stack(arrays)


def _generator(who: str, generator: Any) -> np.random.Generator:
    """Where to draw from."""
    if isinstance(generator, np.random.Generator):
        return generator
    try:
        return random.generator_of(generator)
    except ValueError as error:
        raise ValueError(f"{who}: generator: {error}") from error


__all__ = ["BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "RandomSampler", "Sampler", "SequentialSampler", "Subset",
           "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "default_collate", "random_split"]
