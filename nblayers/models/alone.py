"""What `fit` and `evaluate` ask of the processes that share their batches, where there is one process."""
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from nblayers.parameter import Parameter

_AS_IT_IS = nullcontext()


class Alone:
    """One process that shares nothing. `nblayers.distributed.group.Group` answers for several."""

    alone = True

    def running(self, who: str) -> AbstractContextManager[Any]:
        """While a `fit` or `evaluate` runs."""
        return _AS_IT_IS

    def begin(self, model: Any, data: Any, validation: Any = None, epochs: tuple[int, int] | None = None) -> None:
        """All processes see that they are at the same, and go on from the first one's model.

        Arguments:
            model: one that is not built is built for these data.
            data, validation: `Epochs` of the data that are gone through, and of those in between.
            epochs: from which epoch to which; None for none.
        """

    def rows_of(self) -> Callable[[int], tuple[int, int]] | None:
        """Gives of a batch of so many samples the first and the number of this process's; None: it has all of them."""
        return None

    def check_losses(self, objective: Any) -> None:
        """See that the losses and metrics can be shared out, once they are known."""

    def callbacks(self, callbacks: Any, model: Any) -> Any:
        """The callbacks as `fit` calls them."""
        return callbacks

    def computing(self, batch: Any) -> AbstractContextManager[Any]:
        """A step on this process's part of a batch: x, y, weights."""
        return nullcontext(batch)

    def whole_loss(self, loss: float, penalties: float) -> float:
        """The loss of the data and what is added to it."""
        return loss + penalties

    def summing(self, model: Any, parameters: Sequence[Parameter], statistics: Sequence[Parameter]
                ) -> AbstractContextManager[None]:
        """Around a backward: afterwards the gradients and the statistics are those of the whole batch."""
        return _AS_IT_IS

    def collect(self, objective: Any) -> None:
        """Bring the sums that the running means are made of to the first process."""

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What the first process makes."""
        return make()


ALONE = Alone()
