"""Callbacks of a training that several processes share: the first process has them, the others follow."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nblayers.callbacks import CallbackList, History, ProgbarLogger
from nblayers.callbacks.base import HOOKS, AllHooks

_ONLY_LOOK = (History, ProgbarLogger)   # which change nothing


class SharedCallbacks(AllHooks):
    """Calls the callbacks in the first process, and brings what they do to the others.

    After a hook that a callback of the user has, all go on with the first one's weights, optimizer and random numbers; after a
    hook for single batches, where that would cost too much, with its learning rate, `trainable` of all layers, `stop_training`
    and `stop_evaluating`. The others keep the history.

    Arguments:
        callbacks: what `fit` has made.
        group: the processes.
        model: the model that is trained.
    """

    def __init__(self, callbacks: CallbackList, group: Any, model: Any) -> None:
        self.group, self.model = group, model
        self.first = group.talk.rank == 0
        self._own = callbacks if self.first else CallbackList(
            [each for each in callbacks.callbacks if isinstance(each, History)], model=model, **callbacks.params)
        self._called, self._acted = group.from_first(lambda: (_hooks_of(callbacks, ()), _hooks_of(callbacks, _ONLY_LOOK)))
        self._course: Any = None

    @property
    def watches_train_batches(self) -> bool:
        """Whether a callback other than the progress line is told of single training steps."""
        return not self._acted.isdisjoint(("on_train_batch_begin", "on_train_batch_end"))

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close where what is done inside ends with an error or an interrupt."""
        with self._own.closed_on_error():
            yield

    def set_course(self, course: Any) -> None:
        """Tell the callbacks that back up a training how far it has come."""
        self._course = course
        self._own.set_course(course)

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch; a backup may bring all to a later place."""
        before = self._place()
        super().on_train_begin(logs)
        state = self.group.from_first(lambda: None if self._place() == before else {**self._course.state(), "means": None})
        if state is not None and not self.first:
            self._course.resume(state)

    def _place(self) -> tuple[Any, ...]:
        return self._course.epoch, self._course.done

    def _call(self, name: str, logs: Any, *epoch: int) -> None:
        getattr(self._own, name)(*epoch, logs)
        if name in self._acted:
            self.group.follow(self.model)

    def _call_for_batch(self, name: str, batch: int, logs: Any) -> None:
        """Running means are asked for only where a callback wants them, as they cost a message."""
        if name not in self._called:
            return
        if name not in self._acted and not self.group.from_first(lambda: self._own.wants(name, batch)):
            return
        made = logs() if callable(logs) else logs
        if self.first:
            getattr(self._own, name)(batch, made)
        if name in self._acted:
            self.group.follow_settings(self.model)


def _hooks_of(callbacks: CallbackList, beside: tuple[type, ...]) -> set[str]:
    """The hooks that callbacks have, those of some classes aside."""
    return {name for name in HOOKS if callbacks.has(name, beside)}
