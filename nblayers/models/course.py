"""How far a running `fit` has come: what a training that was stopped needs, beside the model, to go on."""
from typing import Any

from nblayers import random
from nblayers.models.data import Epochs
from nblayers.models.objective import Objective


class Course:
    """The course of one `fit`.

    Attributes:
        epoch: the epoch under way, or the next one.
        done: batches that are done in it.
    """

    def __init__(self, epoch: int, training: Epochs, objective: Objective) -> None:
        self.epoch, self.done = epoch, 0
        self._training, self._objective = training, objective

    def state(self) -> dict[str, Any]:
        """Everything, as JSON: the place in the data, the random numbers, the running means."""
        return {"epoch": self.epoch, "batch": self.done, "random": random.get_state(), "data": self._training.position(),
                "means": self._objective.state() if self.done else None}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where a course was when it gave `state`."""
        self.epoch, self.done = state["epoch"], state["batch"]
        if state["data"] is not None:
            self._training.resume(state["data"])
        if state["means"] is None:
            self._objective.reset()
        else:
            self._objective.resume(state["means"])
        random.set_state(state["random"])
