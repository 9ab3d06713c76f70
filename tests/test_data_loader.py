"""Datasets, samplers and loaders as PyTorch has them; orders from seeds; errors."""
import collections
import inspect
import warnings

import numpy as np
import pytest
import torch
import torch.utils.data as theirs

import nblayers
from nblayers.random import SeedGenerator
from nblayers.utils import data as ours
from nblayers.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

X, Y = np.arange(14.0).reshape(7, 2), np.arange(7)


class Squares(Dataset):
    """A dataset of one's own, of dictionaries."""

    def __getitem__(self, index):
        if index >= 7:
            raise IndexError(index)
        return {"n": index, "square": float(index ** 2), "name": str(index), "pair": (X[index], [index, index + 1])}

    def __len__(self):
        return 7


class OfPyTorch(Squares, theirs.Dataset):
    pass


def assert_same(batch, expected):
    if isinstance(expected, torch.Tensor):
        assert isinstance(batch, np.ndarray) and str(expected.dtype) == f"torch.{batch.dtype}"
        np.testing.assert_array_equal(batch, expected.numpy())
    elif isinstance(expected, dict):
        assert batch.keys() == expected.keys()
        for key in expected:
            assert_same(batch[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert type(batch) is type(expected) and len(batch) == len(expected)
        for one, other in zip(batch, expected, strict=True):
            assert_same(one, other)
    else:
        assert batch == expected


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": 10},
                                     {"batch_size": 10, "drop_last": True}, {"sampler": [4, 2, 2]},
                                     {"batch_size": 2, "sampler": range(1, 5)}, {"batch_sampler": [[0], [3, 1]]},
                                     {"batch_size": 4, "collate_fn": len}, {"shuffle": False, "batch_size": 3}], ids=str)
def test_batches_are_those_of_pytorch(options):
    tensors = theirs.TensorDataset(torch.tensor(X), torch.tensor(Y))
    pairs = [(TensorDataset(X, Y), tensors), (Squares(), OfPyTorch()), (list(Y.tolist()), list(Y.tolist())),
             (Subset(TensorDataset(X, Y), [6, 0, 5, 1, 4]), theirs.Subset(tensors, [6, 0, 5, 1, 4])),
             (Squares() + Squares(), OfPyTorch() + OfPyTorch())]
    for own, other in pairs:
        one, two = DataLoader(own, **options), theirs.DataLoader(other, **options)
        for _ in range(2):
            batches, expected = list(one), list(two)
            assert len(batches) == len(expected) == len(one) == len(two)
            for batch, wanted in zip(batches, expected, strict=True):
                assert_same(batch, wanted)


def test_without_batches():
    """Samples as they are."""
    loader = DataLoader(Squares(), batch_size=None)
    assert len(loader) == 7 and [sample["n"] for sample in loader] == Y.tolist()
    assert list(DataLoader(Squares(), batch_size=None, sampler=[2], collate_fn=len)) == [4]


def order(loader):
    return [int(n) for batch in loader for n in batch[1]]


def test_shuffled():
    """Each epoch has an order of its own; nothing is missing; a seed gives them again."""
    loader = DataLoader(TensorDataset(X, Y), batch_size=3, shuffle=True, generator=5)
    epochs = [order(loader) for _ in range(3)]
    assert all(sorted(epoch) == Y.tolist() for epoch in epochs) and len(set(map(tuple, epochs))) == 3
    for generator in (5, SeedGenerator(5), np.random.default_rng(5)):
        again = DataLoader(TensorDataset(X, Y), batch_size=3, shuffle=True, generator=generator)
        assert [order(again) for _ in range(3)] == epochs
    x, y = next(iter(loader))
    assert x.shape == (3, 2) and (x[:, 0] == 2 * y).all()
    nblayers.utils.set_random_seed(1)
    unseeded = DataLoader(TensorDataset(X, Y), shuffle=True)
    first = order(unseeded)
    nblayers.utils.set_random_seed(1)
    assert order(unseeded) == first


def test_two_walks_at_once():
    loader = DataLoader(TensorDataset(X, Y), batch_size=2)
    walks = iter(loader), iter(loader)
    for _ in range(4):
        assert_same(next(walks[0])[1], torch.tensor(next(walks[1])[1]))


def test_datasets():
    dataset = TensorDataset(X, Y)
    assert len(dataset) == 7 and dataset.tensors[1] is Y and dataset[2][1] == 2
    assert isinstance(TensorDataset(torch.tensor(X)).tensors[0], np.ndarray)
    both = dataset + Subset(dataset, [5])
    assert len(both) == 8 and both[7][1] == both[-1][1] == 5 and both[0][1] == 0 and both.cumulative_sizes == [7, 8]
    assert [sample[1] for sample in both] == [*Y, 5]


@pytest.mark.parametrize("lengths", [[4, 3], [7, 0], [0.5, 0.5], [0.6, 0.3, 0.1], [1.0]], ids=str)
def test_random_split(lengths):
    parts = random_split(TensorDataset(X, Y), lengths, generator=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                     # that a part is empty
        assert [len(part) for part in parts] == [len(part) for part in theirs.random_split(range(7), lengths)]
    assert sorted(int(part[i][1]) for part in parts for i in range(len(part))) == Y.tolist()
    assert [part.indices for part in random_split(Y, lengths, 3)] == [part.indices for part in parts]


def test_samplers():
    assert list(SequentialSampler(Y)) == Y.tolist()
    assert sorted(RandomSampler(Y)) == Y.tolist() and len(RandomSampler(Y)) == 7
    assert collections.Counter(RandomSampler(Y, num_samples=16)).most_common(1)[0][1] == 3 == 16 // 7 + 1
    drawn = list(RandomSampler(Y, replacement=True, num_samples=300, generator=0))
    assert len(drawn) == 300 and set(drawn) == set(range(7))
    assert sorted(SubsetRandomSampler([3, 5, 9])) == [3, 5, 9]
    counts = collections.Counter(WeightedRandomSampler([1, 0, 3], 4000, generator=0))
    assert set(counts) == {0, 2} and 0.7 < counts[2] / 4000 < 0.8
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False)) == [0, 2]
    assert list(BatchSampler(SequentialSampler(Y), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(BatchSampler(SequentialSampler(Y), 3, True)) == len(list(BatchSampler(SequentialSampler(Y), 3, True))) == 2


def test_a_dataset_without_indices():
    class Walk:
        def __iter__(self):
            return iter(Y)

        def __len__(self):
            return 7

    loader = DataLoader(Walk(), batch_size=3)
    assert [len(batch) for batch in loader] == [3, 3, 1] and len(loader) == 3
    loader = DataLoader(Walk(), batch_size=3, drop_last=True)
    assert [len(batch) for batch in loader] == [3, 3] and len(loader) == 2
    assert list(DataLoader(Walk(), batch_size=None)) == Y.tolist()


def test_default_collate():
    Point = collections.namedtuple("Point", "x y")
    for batch in ([1, 2], [1.5, 2], [True, False], [np.float32(1), np.float32(2)], ["a", "b"], [(1, 2.5), (3, 4.5)],
                  [{"a": 1}, {"a": 2}], [Point(1, 2), Point(3, 4)], [X[:2], X[2:4]], [[1, [2, 3]], [4, [5, 6]]]):
        assert_same(default_collate(batch), theirs.default_collate(batch))
    assert_same(default_collate([torch.ones(2), torch.zeros(2)]), torch.tensor([[1.0, 1], [0, 0]]))


def test_signatures_are_those_of_pytorch():
    for name in ours.__all__:
        if name in ("Dataset", "Sampler", "default_collate"):
            continue
        pair = [list(inspect.signature(getattr(module, name)).parameters) for module in (ours, theirs)]
        assert pair[0] == pair[1], name
    defaults = [{p.name: p.default for p in inspect.signature(module.DataLoader).parameters.values()}
                for module in (ours, theirs)]
    assert defaults[0] == defaults[1]


def test_arguments_of_no_use():
    loader = DataLoader(TensorDataset(X, Y), 7, num_workers=4, pin_memory=True, persistent_workers=True, prefetch_factor=2)
    assert order(loader) == Y.tolist()


DATASET = TensorDataset(X, Y)


@pytest.mark.parametrize("make, error, message", [
    (lambda: TensorDataset(), ValueError, r"TensorDataset: expected arrays of one length, got shapes \[\]"),
    (lambda: TensorDataset(X, Y[:3]), ValueError, r"expected arrays of one length, got shapes \[\(7, 2\), \(3,\)\]"),
    (lambda: TensorDataset(3), ValueError, "TensorDataset: expected arrays of one length"),
    (lambda: ConcatDataset([]), ValueError, "ConcatDataset: expected at least one dataset"),
    (lambda: ConcatDataset([DATASET])[7], IndexError, "ConcatDataset: expected an index from -7 to 6, got 7"),
    (lambda: ConcatDataset([DATASET])[[1]], ValueError, "ConcatDataset: expected index to be an integer"),
    (lambda: Dataset()[0], NotImplementedError, "Dataset: __getitem__ is not written"),
    (lambda: random_split(DATASET, [3, 3]), ValueError, "random_split: expected lengths that sum up to 7"),
    (lambda: random_split(DATASET, [3.5, 3.5]), ValueError, "random_split: expected each of lengths"),
    (lambda: DataLoader(DATASET, 0), ValueError, "DataLoader: expected a positive integer as batch_size, got 0"),
    (lambda: DataLoader(DATASET, shuffle="yes"), ValueError, "DataLoader: expected shuffle to be True or False"),
    (lambda: DataLoader(DATASET, shuffle=True, sampler=[1]), ValueError, "DataLoader: expected either a sampler or shuffle"),
    (lambda: DataLoader(DATASET, 2, batch_sampler=[[1]]), ValueError, "DataLoader: expected batch_sampler without"),
    (lambda: DataLoader(DATASET, None, drop_last=True), ValueError, "DataLoader: expected drop_last with a batch_size"),
    (lambda: DataLoader(DATASET, num_workers=-1), ValueError, "DataLoader: expected num_workers"),
    (lambda: DataLoader(DATASET, collate_fn=3), ValueError, "DataLoader: expected collate_fn to be a function"),
    (lambda: DataLoader(DATASET, shuffle=True, generator="x"), ValueError, "DataLoader: generator: expected a seed"),
    (lambda: DataLoader(iter(Y), shuffle=True), ValueError, "expected no shuffle and no sampler for a dataset that has no"),
    (lambda: DataLoader(DATASET[:0] and TensorDataset(X[:0]), shuffle=True), ValueError, "got an empty dataset"),
    (lambda: WeightedRandomSampler([0, 0], 1), ValueError, "WeightedRandomSampler: expected a weight that is not negative"),
    (lambda: WeightedRandomSampler([1, 0], 2, False), ValueError, "WeightedRandomSampler: expected at most 1 samples"),
    (lambda: default_collate([object()]), TypeError, "default_collate: expected samples as arrays, .* got object"),
    (lambda: default_collate([X[0], Y]), ValueError, "default_collate: expected samples of one shape"),
    (lambda: default_collate([(1, 2), (1,)]), ValueError, "default_collate: expected samples of one length"),
    (lambda: DataLoader(DATASET, batchsize=2), TypeError, "^DataLoader.* 'batchsize'"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
