"""The logs of a training, kept."""
from itertools import pairwise
from typing import Any

from nblayers.callbacks.base import Callback, Logs


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns it.

    Attributes:
        history: for each name ("loss", "accuracy", "val_loss", …) the list of its values.
        epoch: the epochs done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}         # in which each name had a value: validation may be rarer

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch + 1)

    def epochs_of(self, name: str) -> list[int]:
        """The epochs, counted from 1, that the values of a name belong to."""
        known, count = self._epochs.get(name, []), len(self.history[name])
        grows = all(first < second for first, second in pairwise(known))        # one History of two trainings counts on
        return known if len(known) == count and grows else list(range(1, count + 1))

    def plot(self, path: Any = None) -> Any:
        """Draw the loss and each metric over the epochs, a panel each: training a full line, validation a broken one.

            history = model.fit(x, y, epochs=20, validation_split=0.1)
            history.plot(path="history.png")

        Arguments:
            path: save the picture there; without it, `plt.show()` shows it, and so does a notebook.

        Returns:
            The figure (matplotlib's).

        Raises:
            ValueError: nothing recorded yet, or a path that ends in no format of pictures.

        Source: document 004, "history".
        """
        from nblayers.utils.pictures.charts import plot_history
        return plot_history(self, path)
