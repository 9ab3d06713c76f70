"""What the callbacks share that watch a quantity."""
import math
import warnings

from nblayers.arguments import number, text
from nblayers.callbacks.base import Callback


class Monitor(Callback):
    """Says whether a quantity in the logs has become better (unlike in Keras, a first NaN can be beaten)."""

    def __init__(self, monitor: str, mode: str, best: float | None, min_delta: float = 0.0) -> None:
        super().__init__()
        if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__}: expected mode to be 'auto', 'min' or 'max', got {mode!r}; taking 'auto'",
                          stacklevel=3)
            mode = "auto"
        who = type(self).__name__
        self.monitor, self.mode = text(who, "monitor", monitor), mode
        self.best = best
        self.min_delta = abs(number(who, "min_delta", min_delta))

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than the reference by more than `min_delta`; anything is better than None.

        NaN is better than nothing else, and every number is better than NaN.
        """
        if reference is None:
            return True
        if math.isnan(reference):
            return not math.isnan(value)
        return value + self.min_delta < reference if self._direction() == "min" else value - self.min_delta > reference

    def _direction(self) -> str:
        """ "min" or "max": for "auto" found out from the name of the quantity, or from the metric itself.

        Raises:
            ValueError: it cannot be told.
        """
        if self.mode == "auto":
            name = self.monitor.removeprefix("val_")
            declared = {m.name: getattr(m, "_direction", None) for m in getattr(self.model, "metrics", ())}.get(name)
            if declared:
                self.mode = "max" if declared == "up" else "min"
            elif name.endswith(("loss", "error", "mse", "mae", "crossentropy")):
                self.mode = "min"
            elif name.endswith(("acc", "accuracy", "auc", "precision", "recall", "score")):
                self.mode = "max"
            else:
                raise ValueError(f"{type(self).__name__}: cannot tell whether {self.monitor!r} should become larger or "
                                 "smaller; give mode='max' or mode='min'")
        return self.mode
