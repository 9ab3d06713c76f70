"""Batches prepared while the model trains on the one before them."""
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

_END = object()
_dataset: Any = None                    # in a worker process: what it reads from


def one_ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches in their order, each made in a thread while its predecessor is used; errors come in their place.

    Whoever leaves off early waits for the one batch that is being made.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "nblayers-batches") as thread:
        waiting = thread.submit(next, batches, _END)
        while (batch := waiting.result()) is not _END:
            waiting = thread.submit(next, batches, _END)
            yield batch


def by_workers(dataset: Any, indices: Iterable[int], workers: int, processes: bool, most: int) -> Iterator[Any]:
    """`dataset[i]` for the indices in their order, got by several threads or processes.

    Arguments:
        workers: how many.
        processes: whether they are processes, which read from copies of the dataset as it is now.
        most: how many batches are under way or ready at a time.
    """
    from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

    pool: Executor
    if processes:
        pool, get = ProcessPoolExecutor(workers, initializer=_hold, initargs=(dataset,)), _held_item
    else:
        pool, get = ThreadPoolExecutor(workers, "nblayers-batches"), dataset.__getitem__
    left = iter(indices)
    try:
        waiting = deque(pool.submit(get, i) for i in islice(left, most))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(get, i) for i in islice(left, 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def _hold(dataset: Any) -> None:
    """In a worker process: read from this dataset, and leave Ctrl-C to the process that trains."""
    global _dataset
    _dataset = dataset
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _held_item(index: int) -> Any:
    return _dataset[index]
