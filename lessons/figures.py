"""The lessons' figures. Each function saves one as lessons/out/NAME.png under the current directory."""
from collections.abc import Mapping, Sequence

import numpy as np

from nblayers.learn.tools import save_figure


# lesson 06
def draw_paths(arriving: np.ndarray, name: str) -> None:
    """How much of loss s arrives at state t, for arriving (T, T) = [s, t] with 1 where a loss meets its own state."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(5.8, 4.8), layout="constrained")
    ends = len(arriving) - 0.5
    image = ax.imshow(arriving, extent=(-0.5, ends, ends, -0.5), vmin=0, vmax=1)
    figure.colorbar(image, label="part of the loss's gradient that arrives")
    ticks = [*range(0, len(arriving), 5), len(arriving) - 1]
    ax.set(xlabel="state t", ylabel="loss s", xticks=ticks, yticks=ticks, title="Which loss is heard at which state?")
    ax.text(0.97, 0.9, "no loss reaches\na later state", transform=ax.transAxes, ha="right", va="top")
    save_figure(figure, name)


def draw_adding(histories: Mapping[str, Sequence[float]], by_age: Mapping[str, Sequence[float]], name: str) -> None:
    """The loss while learning to add, and the part of wrong digits by the age of what had to be remembered."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    colours = {key: f"C{k}" for k, key in enumerate([*histories, *by_age.keys() - histories.keys()])}
    for key, history in histories.items():
        axes[0].semilogy(history, color=colours[key], label=key)
    for key, wrong in by_age.items():
        axes[1].plot(wrong, "o-" if key in histories else "--", color=colours[key], label=key)
    axes[0].set(xlabel="training step", ylabel="cross-entropy", title="while learning, 8 digits")
    axes[1].set(xlabel="steps since it was decided whether a one is kept", ylabel="part of the digits that is wrong",
                ylim=(-0.03, 1.03), title="in the examination, 32 digits")
    axes[1].legend()
    save_figure(figure, name)
