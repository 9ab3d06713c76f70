"""Training a learner's layer and, with the same first weights on the same batches, the library's beside it."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.learn import workshop
from nblayers.learn.tools import save_figure

SAME = 1e-6                             # curves that differ by less, relatively, lie on each other


@dataclass
class Run:
    """What came out: the loss of each batch for both, (steps,), and the models."""

    mine: np.ndarray
    library: np.ndarray
    model: Any
    library_model: Any

    @property
    def largest_difference(self) -> float:
        """NaN and infinity count as infinite."""
        difference = np.abs(self.mine - self.library)
        return float(np.max(np.where(np.isfinite(difference), difference, np.inf)))

    @property
    def parts_at(self) -> int | None:
        """The first batch, from 1, from which on the curves are two; None if they lie on each other."""
        apart = ~(np.abs(self.mine - self.library) <= SAME * np.maximum(1, np.abs(self.library)))
        return int(np.argmax(apart)) + 1 if apart.any() else None


def models(piece: workshop.Piece, layer_class: Any) -> tuple[Any, Any]:
    """The learner's model and the library's, in float64, with the same weights."""
    from nblayers.models import Sequential
    from nblayers.optimizers import Adam
    from nblayers.utils import set_random_seed
    task = piece.task
    set_random_seed(0)
    x, _ = task.batch(np.random.default_rng(0))

    def of_library(*args: Any, **kwargs: Any) -> Any:
        return piece.library(piece.module.LAYER(*args, **kwargs))

    both = []
    for make, room in ((layer_class, "reference"), (of_library, task.room)):
        model = Sequential(task.layers(make))
        model.build(x.shape)
        model.astype("float64").to(room)
        model.compile(Adam(task.rate), loss=task.loss)
        both.append(model)
    both[1].set_weights(both[0].get_weights())
    return both[0], both[1]


def train(piece: workshop.Piece, layer_class: Any, steps: int, progress: Callable[[int, float, float], None]) -> Run:
    """Train both; `progress(steps done, loss, the library's loss)` is called after each step."""
    model, library_model = models(piece, layer_class)
    rng = np.random.default_rng(0)
    losses = np.zeros((2, steps))
    for k in range(steps):
        x, y = piece.task.batch(rng)
        for row, each in zip(losses, (model, library_model), strict=True):
            row[k] = piece.task.scale * each.train_on_batch(x, y)
        progress(k + 1, *losses[:, k])
    return Run(losses[0], losses[1], model, library_model)


def draw_curves(run: Run, name: str, figure: str, ylabel: str) -> None:
    """Both losses, smoothed, and below by how much they differ: saved as lessons/out/FIGURE.png."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    steps = np.arange(1, len(run.mine) + 1)
    over = max(1, min(25, len(steps) // 10))
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5), layout="constrained", sharex=True, height_ratios=[3, 1])
    top.plot(steps, run.mine, color="tab:orange", alpha=0.2, linewidth=0.8)
    top.plot(steps[over - 1:], _smoothed(run.mine, over), color="tab:orange", linewidth=5, alpha=0.7, label="your layer")
    top.plot(steps[over - 1:], _smoothed(run.library, over), "k--", linewidth=1.2, label="the library's")
    top.set(ylabel=ylabel, title=f"{name}: the loss, mean of {over} batches")
    top.set_ylim(bottom=0)
    top.legend()
    bottom.semilogy(steps, np.maximum(np.abs(run.mine - run.library), 1e-17), color="tab:orange")
    bottom.set(xlabel="batch", ylabel="difference", ylim=(1e-17, 10))
    save_figure(fig, figure)


def _smoothed(values: np.ndarray, over: int) -> np.ndarray:
    return np.convolve(values, np.ones(over) / over, "valid")
