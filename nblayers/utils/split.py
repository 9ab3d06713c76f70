"""Two parts of one set of samples."""
import random as python_random
from collections.abc import Iterator
from typing import Any

import numpy as np

from nblayers import random
from nblayers.arguments import flag, integer, optional
from nblayers.arrays import as_array
from nblayers.structures import flatten, map_structure
from nblayers.utils.data import Dataset, Subset


class ArrayDataset(Dataset):
    """Samples that are rows of arrays: an array, or a tuple of arrays of one length, whose samples are tuples.

        for x, y in dataset: …                      # single samples
        model.fit(dataset.batch(32))
    """

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(flatten(self.arrays)[0])

    def __getitem__(self, index: Any) -> Any:
        return map_structure(lambda array: array[index], self.arrays)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def batch(self, batch_size: int, drop_remainder: bool = False) -> "Batched":
        """The samples in batches, the last of which may be smaller, or is left out with `drop_remainder`."""
        size = integer("batch", "batch_size", batch_size, 1)
        return Batched(self, size, flag("batch", "drop_remainder", drop_remainder))


class Batched:
    """Batches of a dataset in its order; may be gone through again and again."""

    def __init__(self, dataset: ArrayDataset, batch_size: int, drop_remainder: bool) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        count = len(dataset)
        self._batches = count // batch_size if drop_remainder else -(-count // batch_size)

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Any]:
        size = self.batch_size
        return (self.dataset[i * size:(i + 1) * size] for i in range(len(self)))


def split_dataset(dataset: Any, left_size: float | None = None, right_size: float | None = None, shuffle: bool = False,
                  seed: int | None = None, preferred_backend: str | None = None) -> tuple[Any, Any]:
    """The first and the last samples of a dataset, such as those to train on and those to test on.

        left, right = split_dataset((x, y), left_size=0.8)
        model.fit(left.batch(32), validation_data=right.batch(32))

    Arguments:
        dataset: an array; a list or tuple of arrays of one length; a dataset with `__len__` and `__getitem__`, ours or
            PyTorch's; or a `tf.data.Dataset`, whose samples are read into memory.
        left_size, right_size: numbers of samples, or shares between 0 and 1; one that is None has what the other leaves. The
            samples between the two parts, if there are any, are in none.
        shuffle: draw the samples of both parts at random.
        seed: of that draw, which is Keras' own with TensorFlow; by default from the library's random numbers.
        preferred_backend: accepted as in Keras.

    Returns:
        Two datasets with `__len__` and `__getitem__`: `ArrayDataset`, whose `batch` makes batches (of a batched
        `tf.data.Dataset` these batches), or `nblayers.utils.data.Subset` of what had an index.

    Raises:
        ValueError: sizes out of range, no sizes, a part without samples, arrays of different lengths.
        TypeError: a dataset or a size of another kind.
    """
    flag("split_dataset", "shuffle", shuffle)
    optional(integer, "split_dataset", "seed", seed)
    size = None
    if isinstance(dataset, (np.ndarray, list, tuple)):
        samples: Any = ArrayDataset(_arrays(dataset))
    elif hasattr(dataset, "as_numpy_iterator"):
        samples, size = _read(dataset)
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        samples = dataset
    else:
        raise TypeError("split_dataset: expected an array, a list or tuple of arrays, a dataset with __len__ and __getitem__, "
                        f"or a tf.data.Dataset, got {type(dataset).__name__}")
    left, right = _sizes(left_size, right_size, len(samples))
    order = list(range(len(samples)))
    if shuffle:
        python_random.Random(int(random.generator().integers(10**6)) if seed is None else seed).shuffle(order)
    parts = [_chosen(samples, part) for part in (order[:left], order[-right:])]
    return (parts[0], parts[1]) if size is None else (parts[0].batch(size), parts[1].batch(size))


def _arrays(given: Any) -> Any:
    if isinstance(given, np.ndarray):
        arrays: Any = given
    else:
        arrays = tuple(as_array(item, "split_dataset", f"dataset[{i}]") for i, item in enumerate(given))
    lengths = [len(array) if array.ndim else None for array in flatten(arrays)]
    if not lengths or None in lengths or len(set(lengths)) > 1:
        raise ValueError(f"split_dataset: expected arrays of one length, got lengths {lengths}")
    return arrays


def _read(dataset: Any) -> tuple[ArrayDataset, int | None]:
    """The samples of a `tf.data.Dataset`, and its batch size."""
    size = getattr(dataset, "_batch_size", None)
    read = list((dataset if size is None else dataset.unbatch()).as_numpy_iterator())
    if not read:
        raise ValueError("split_dataset: expected at least one sample, got an empty dataset")
    if isinstance(read[0], tuple):
        return ArrayDataset(tuple(np.stack(column) for column in zip(*read, strict=True))), _whole(size)
    if isinstance(read[0], dict):
        return ArrayDataset({name: np.stack([sample[name] for sample in read]) for name in read[0]}), _whole(size)
    return ArrayDataset(np.stack(read)), _whole(size)


def _whole(size: Any) -> int | None:
    return None if size is None else int(size)


def _chosen(samples: Any, chosen: list[int]) -> Any:
    return ArrayDataset(samples[np.array(chosen)]) if isinstance(samples, ArrayDataset) else Subset(samples, chosen)


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    """Both sizes as numbers of samples."""
    if left is None and right is None:
        raise ValueError("split_dataset: expected left_size or right_size, got neither")
    counts = [_count(name, size, total) for name, size in (("left_size", left), ("right_size", right))]
    of_left = total - counts[1] if counts[0] is None and counts[1] is not None else counts[0] or 0
    of_right = total - of_left if counts[1] is None else counts[1]
    if of_left + of_right > total or (isinstance(left, float) and isinstance(right, float) and left + right > 1):
        raise ValueError(f"split_dataset: expected left_size and right_size that sum up to {total} samples at most, or to 1, "
                         f"got {left} and {right}")
    if not (of_left and of_right):
        raise ValueError(f"split_dataset: expected at least one sample in each part, got {of_left} and {of_right} of {total}")
    return of_left, of_right


def _count(name: str, size: Any, total: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(f"split_dataset: expected {name} as an integer, a float or None, got {size!r}")
    share = isinstance(size, (float, np.floating))
    if not 0 < size < (1 if share else total):
        raise ValueError(f"split_dataset: expected {name} as a number of samples from 1 to {total - 1}, or a share between "
                         f"0 and 1, got {size!r}")
    return round(float(size) * total) if share else int(size)
