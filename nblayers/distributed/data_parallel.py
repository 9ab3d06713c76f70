"""`DataParallel`: a model that several processes train together."""
from typing import Any

from nblayers.arguments import integer, number
from nblayers.callbacks import History
from nblayers.distributed.group import Group
from nblayers.distributed.talk import connected
from nblayers.models.alone import ALONE, Alone

_OWN = ("model", "timeout", "bucket_bytes", "_group")   # attributes of a DataParallel; all others are its model's


class DataParallel:
    """A model whose `fit` and `evaluate` share every batch among the processes of `mpirun`.

        model = DataParallel(model)                     # the one line; then mpirun -n 4 python train.py
        model.fit(x, y, batch_size=256, epochs=10)

    Everything else is the model's own: `model.summary()`, `model.predict(x)`, which each process does by itself;
    `model.save(path)` and `model.save_weights(path)` write in the first process alone. A model's own `fit` has these settings
    with `distribute=DataParallel(timeout=60)`.

    All processes run the same program on the same data; a source that shuffles by itself, as PyTorch's DataLoader, needs the
    same seed in each. `batch_size` counts the samples of all; of each batch a process takes its part, as even as can be, and
    reads no more of a memory-mapped array. The loss is the mean over the whole batch, sample weights and masks counted in all
    parts, so that the number of processes changes only how sums are rounded. Dropout, noise and random images give each sample
    what it would get in one process. Batch normalization takes the statistics of each process' part, and the mean over the
    processes as moving ones, unless it is `synchronized=True`. What a layer of your own gives to `add_loss` counts as a mean
    over the samples that it sees.

    Weights, the optimizer's state and random numbers are the first process' at the beginning. A model that is not built yet is
    built before the data are shuffled, in one process after that: the same seed gives other numbers. The first process alone
    has progress lines, calls callbacks and writes checkpoints; what callbacks set (weights, optimizer, random numbers,
    `trainable`, that training ends) is brought to the others, so that a checkpoint goes on with any number of them. An error
    that nobody catches, Ctrl-C, and a process that does not come within `timeout` end all processes with one message that says
    which one and what; so do other models or data in one of them.

    Arguments:
        model: a model; None for settings alone.
        timeout: seconds that a process waits for the others: a callback of the first one may take so long.
        bucket_bytes: gradients are summed in messages of about so many bytes, begun while the backward still runs.

    Raises:
        TypeError: something that is no model.
        ValueError: a timeout or a size out of range; in `fit` a stateful layer, batches from a generator for a model
            that is not built, a loss that compares samples with each other, other data in another process.
        RuntimeError: in `fit` and `evaluate` a process that has left the program, or waits for something else; two threads.
        ImportError: mpi4py is not installed.

    Source: Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training".
    """

    def __init__(self, model: Any = None, timeout: float = 300.0, bucket_bytes: int = 2**20) -> None:
        if model is not None and not hasattr(model, "fit"):
            raise TypeError(f"DataParallel: expected a model, got {model!r:.60}")
        self.model = model
        self.timeout = number("DataParallel", "timeout", timeout, 0, open="(")
        self.bucket_bytes = integer("DataParallel", "bucket_bytes", bucket_bytes, 1)
        self._group: Alone | None = None
        if model is not None:
            connected()                 # an error from here on ends all processes

    @property
    def group(self) -> Alone:
        """The processes, with these settings."""
        talk = connected()
        talk.timeout = self.timeout
        if self._group is None:
            self._group = ALONE if talk.size == 1 else Group(talk, self.bucket_bytes)
        return self._group

    def fit(self, *args: Any, **kwargs: Any) -> History:
        """The model's `fit` on all processes."""
        history: History = self._model().fit(*args, **{**kwargs, "distribute": self})
        return history

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """The model's `evaluate` on all processes; each gets the numbers over all data."""
        return self._model().evaluate(*args, **{**kwargs, "distribute": self})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """The model's `save`, in the first process; the others wait for it."""
        self.group.from_first(lambda: self._model().save(*args, **kwargs))

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """The model's `save_weights`, in the first process; the others wait for it."""
        self.group.from_first(lambda: self._model().save_weights(*args, **kwargs))

    def train_on_batch(self, *args: Any, **kwargs: Any) -> None:
        """Not shared: `fit` with one batch is."""
        raise NotImplementedError("DataParallel: train_on_batch is not shared by processes: call fit(x, y, batch_size=len(x))")

    def _model(self) -> Any:
        if self.model is None:
            raise ValueError("DataParallel: expected a model, got settings alone: DataParallel(model)")
        return self.model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "model":
            raise AttributeError(name)
        return getattr(self._model(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or self.model is None:
            super().__setattr__(name, value)
        else:
            setattr(self.model, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._model()(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<DataParallel {self.model!r}>"


def rank() -> int:
    """Which process of `mpirun` this is, from 0."""
    return connected().rank


def size() -> int:
    """How many processes `mpirun` has started."""
    return connected().size


def group_of(distribute: Any, who: str) -> Alone:
    """The processes that `fit(..., distribute=…)` means.

    Raises:
        TypeError: neither a flag nor a `DataParallel`.
    """
    if distribute is True:
        distribute = DataParallel()
    if not isinstance(distribute, DataParallel):
        raise TypeError(f"{who}: expected distribute to be True, False or a DataParallel, got {distribute!r:.60}")
    return distribute.group
