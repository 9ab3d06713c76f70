"""The figures of the lessons: each function returns a matplotlib figure."""
from collections.abc import Mapping
from typing import Any

import numpy as np


# lesson 08
def gradient_norms(layer: Any, x: np.ndarray) -> np.ndarray:
    """How much of the gradient by the last state arrives at each input: its norm for each step of the one sequence x, (T,)."""
    layer.to("reference")
    y = layer.forward(x)
    return np.linalg.norm(layer.backward(np.ones_like(y))[0], axis=1)


def draw_gates(inputs: np.ndarray, cache: Any, h: np.ndarray, norms: Mapping[str, np.ndarray]) -> Any:
    """Left the latch: what it is offered and takes, its gates. Right what is left of a gradient on its way back.

    Arguments:
        inputs: (1, T, 2), the numbers and the marks.
        cache: of the latch's forward: i, f and c, (1, T, 1).
        h: (1, T, 1), what the latch shows.
        norms: for each layer by name, the norm of the gradient at each step.
    """
    import matplotlib.pyplot as plt
    fig = plt.figure(figsize=(11, 5), layout="constrained")
    panels = fig.subplot_mosaic([["cell", "way back"], ["cell", "way back"], ["gates", "way back"]])
    _draw_latch(panels["cell"], inputs[0], cache.c[0, :, 0], h[0, :, 0])
    steps = np.arange(inputs.shape[1])
    panels["gates"].step(steps, cache.i[0, :, 0], where="mid", label="i, the input gate")
    panels["gates"].step(steps, cache.f[0, :, 0], where="mid", label="f, the forget gate")
    panels["gates"].set(xlabel="step t", ylabel="gate's value", ylim=(-0.1, 1.7), xlim=(-1, len(steps)), yticks=[0, 0.5, 1])
    panels["gates"].legend(loc="upper center", ncols=2)
    for (name, norm), style in zip(norms.items(), ("k:", "-", "-", "-"), strict=True):
        panels["way back"].semilogy(np.arange(1, len(norm) + 1), norm / norm[-1], style, label=name)
        panels["way back"].annotate(f"{norm[0] / norm[-1]:.0e}", (1, norm[0] / norm[-1]), (0, 4), textcoords="offset points")
    panels["way back"].set(title="how much of the gradient by h of step 50 arrives", xlabel="at the input of step t",
                           ylabel="its norm, relative to that at step 50")
    panels["way back"].legend(loc="lower right")
    return fig


def _draw_latch(ax: Any, inputs: np.ndarray, c: np.ndarray, h: np.ndarray) -> None:
    """The numbers offered, those taken in (rings), the cell and what it shows."""
    steps, marked = np.arange(len(inputs)), inputs[:, 1] == 1
    ax.plot(steps, inputs[:, 0], ".", color="grey", label="number that is read")
    ax.plot(steps[marked], inputs[marked, 0], "o", mfc="none", ms=12, color="crimson", label="with a mark: it is taken in")
    ax.step(steps, c, where="mid", color="tab:blue", label="cell C")
    ax.step(steps, h, where="mid", color="tab:cyan", ls="--", label="h = o tanh(C)")
    for t in steps[marked]:
        ax.annotate(f"{inputs[t, 0]:.2f}", (t, inputs[t, 0]), (9, 6), textcoords="offset points", color="crimson")
        ax.annotate(f"{c[t]:.2f}", (t + 3, c[t]), (0, 4 if c[t] > 0 else -13), textcoords="offset points", color="tab:blue")
    ax.axhline(0, color="lightgrey", lw=0.8)
    ax.set(title="a latch: it holds tanh(3 · number) until the next mark", ylabel="value", ylim=(-1.2, 1.9),
           xlim=(-1, len(steps)))
    ax.legend(loc="upper center", ncols=2)


def draw_loss(training: np.ndarray, validation: np.ndarray, entropy: float) -> Any:
    """Bits a character after each epoch, and what frequencies alone need."""
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
    epochs = np.arange(1, len(training) + 1)
    ax.plot(epochs, training, "o-", label="text that it learns from")
    ax.plot(epochs, validation, "o-", label="unread text")
    ax.axhline(entropy, ls="--", color="grey", label="frequencies alone")
    ax.set(xlabel="epoch", ylabel="bits a character", ylim=0)
    ax.legend(loc="lower left")
    return fig
