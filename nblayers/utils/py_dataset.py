"""Batches by their number, which several threads or processes may make."""
from typing import Any

from nblayers.arguments import flag, integer


class PyDataset:
    """Batches by their number: write `__getitem__`, which gives x, (x, y) or (x, y, sample_weight), and `__len__`.

        class Pictures(PyDataset):
            def __len__(self):
                return math.ceil(len(self.files) / 32)

            def __getitem__(self, batch):
                ...

        model.fit(Pictures(workers=4))

    Batches come in order, however many workers make them. Workers make some ahead of the training, in threads (which help where
    the work waits for files, or is NumPy's) or in processes of their own, which hold copies of this object; with one worker and
    no process the thread that trains makes each when it is needed.

    Arguments:
        workers: threads or processes that make batches.
        use_multiprocessing: processes. On systems that start them afresh (all but Linux) the program needs
            `if __name__ == "__main__":`.
        max_queue_size: batches that are under way or ready at a time.

    Raises:
        ValueError: an argument of another kind.

    Source: keras.utils.PyDataset, formerly Sequence.
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        who = type(self).__name__
        self.workers = integer(who, "workers", workers, 0)
        self.use_multiprocessing = flag(who, "use_multiprocessing", use_multiprocessing)
        self.max_queue_size = integer(who, "max_queue_size", max_queue_size, 0)

    def __getitem__(self, index: int) -> Any:
        """The batch of this number."""
        raise NotImplementedError(f"{type(self).__name__}: __getitem__ is not written")

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None, in a class that says so, for batches without end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__}: neither __len__ nor num_batches is written")

    def on_epoch_begin(self) -> None:
        """Before each epoch."""

    def on_epoch_end(self) -> None:
        """After each epoch."""


Sequence = PyDataset
