"""Several callbacks as one."""
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nblayers.callbacks.backup_and_restore import BackupAndRestore
from nblayers.callbacks.base import HOOKS, AllHooks, Callback, Closing, Logs
from nblayers.callbacks.history import History
from nblayers.callbacks.progbar_logger import ProgbarLogger
from nblayers.models.interrupts import Interrupts


class CallbackList(AllHooks, Callback):
    """Calls the hooks of several callbacks, each hook only where a callback overrides it.

    Arguments:
        callbacks: a callback, or a list of them.
        add_history, add_progbar: whether to add a History and a ProgbarLogger, if the list holds none.
        model: the model that the callbacks belong to.
        params: "verbose", "epochs", "steps", as the callbacks see them.

    Raises:
        TypeError: something that is no callback.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, add_progbar: bool = False, model: Any = None,
                 **params: Any) -> None:
        super().__init__()
        self.callbacks = _flat(callbacks, type(self).__name__ if model is None else model.described)
        if add_history and not any(isinstance(callback, History) for callback in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(callback, ProgbarLogger) for callback in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self._hooks: defaultdict[str, list[tuple[Any, Any]]] = defaultdict(list)
        for callback in self.callbacks:
            self._register(callback)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add one more callback."""
        self.callbacks.extend(_flat(callback, type(self).__name__))
        self._register(callback)

    def _register(self, callback: Any) -> None:
        """Note which hooks the callback has, and who says whether the end of a batch is wanted (None: it always is)."""
        wants = callback.wants if isinstance(callback, ProgbarLogger) else None
        for name in HOOKS:
            if _overrides(callback, name):
                self._hooks[name].append((getattr(callback, name), wants))

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
            if isinstance(callback, History):
                model.history = callback

    def set_course(self, course: Any) -> None:
        """Tell the callbacks that back up a training how far it has come."""
        for callback in self.callbacks:
            if isinstance(callback, BackupAndRestore):
                callback.course = course

    @property
    def watches_train_batches(self) -> bool:
        """Whether a callback other than the progress line is told of single training steps."""
        hooks = self._hooks["on_train_batch_begin"] + self._hooks["on_train_batch_end"]
        return any(wants is None for _, wants in hooks)

    def has(self, hook: str, beside: tuple[type, ...] = ()) -> bool:
        """Whether a callback has this hook, those of some classes aside."""
        return any(not isinstance(getattr(method, "__self__", None), beside) for method, _ in self._hooks[hook])

    def wants(self, hook: str, batch: int) -> bool:
        """Whether a callback wants to be told of this batch."""
        return any(wants is None or wants(batch) for _, wants in self._hooks[hook])

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close where what is done inside ends with an error or an interrupt."""
        try:
            yield
        except BaseException:
            with Interrupts() as interrupts:
                interrupts.hold()
                self.close()
            raise

    def close(self) -> None:
        """End what an error or an interrupt has left open: progress lines, files, averages in the place of the weights."""
        for callback in self.callbacks:
            if isinstance(callback, Closing):
                callback.close()

    def _call(self, name: str, logs: Logs | None, *epoch: int) -> None:
        for hook, _ in self._hooks[name]:
            hook(*epoch, logs or {})

    def _call_for_batch(self, name: str, batch: int, logs: Any) -> None:
        made: Logs | None = None
        for hook, wants in self._hooks[name]:
            if wants is None or wants(batch):
                if made is None:
                    made = logs() if callable(logs) else logs or {}
                hook(batch, logs=made)


def _flat(callbacks: Any, who: str) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [callback for item in callbacks for callback in _flat(item, who)]
    if isinstance(callbacks, type) or not (hasattr(callbacks, "set_model") and hasattr(callbacks, "set_params")):
        raise TypeError(f"{who}: expected callbacks to be a callback or a list of them, got {callbacks!r}")
    return [callbacks]


def _overrides(callback: Any, name: str) -> bool:
    """Whether the hook does anything: a subclass' method, or a function set on the object."""
    names = [name] + ([name.replace("train_", "")] if "train_batch" in name else [])
    methods = [(getattr(callback, n, None), getattr(Callback, n)) for n in names]
    return any(method is not None and getattr(method, "__func__", None) is not idle for method, idle in methods)
