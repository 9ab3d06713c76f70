"""The figures of the lessons: each function returns a matplotlib figure."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


# lesson 06
def draw_paths(arriving: np.ndarray) -> Any:
    """How much of loss s arrives at state t, for arriving (T, T) = [s, t] with 1 where a loss meets its own state."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(5.8, 4.8), layout="constrained")
    ends = len(arriving) - 0.5
    image = ax.imshow(arriving, extent=(-0.5, ends, ends, -0.5), vmin=0, vmax=1)
    figure.colorbar(image, label="part of the loss's gradient that arrives")
    ticks = [*range(0, len(arriving), 5), len(arriving) - 1]
    ax.set(xlabel="state t", ylabel="loss s", xticks=ticks, yticks=ticks, title="Which loss is heard at which state?")
    ax.text(0.97, 0.9, "no loss reaches\na later state", transform=ax.transAxes, ha="right", va="top")
    return figure


def draw_adding(histories: Mapping[str, Sequence[float]], by_age: Mapping[str, Sequence[float]]) -> Any:
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
    return figure


# lesson 07
def draw_norms(norms: Mapping[str, np.ndarray], rows: int = 8) -> Any:
    """The length of a gradient at each step of its way back, one line for each network; the first `rows` steps are shaded."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    ax.axvspan(0, rows - 1, color="0.9")
    ax.text((rows - 1) / 2, 2e-9, "the digit", ha="center")
    for key, norm in norms.items():
        ax.semilogy(norm, label=key)
    ax.annotate("the gradient walks this way", (0.5, 0.05), (0.95, 0.05), xycoords="axes fraction", ha="right", va="center",
                arrowprops={"arrowstyle": "->"})
    ax.set(xlabel="step", ylabel="length of the gradient", xlim=(0, 47), ylim=(1e-9, 1e3),
           title="Of a gradient of length 1 at step 47, what arrives?")
    ax.legend(title="recurrent kernel", loc="upper right", ncols=len(norms))
    return figure


def draw_memory(history: Mapping[str, Sequence[float]], by_blank: Mapping[str, Sequence[float]]) -> Any:
    """Digits that are right by epoch, and by the number of blank steps before the question, from 30; with a line for chance."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for key in history:
        axes[0].plot(range(1, len(history[key]) + 1), history[key], label=key)
        axes[1].plot(range(30, 30 + len(by_blank[key])), by_blank[key], ".-")
    for ax in axes:
        ax.axhline(0.1, color="black", linestyle=":", label="chance")
    figure.legend(*axes[0].get_legend_handles_labels(), title="recurrent kernel", loc="outside right upper")
    axes[0].set(xlabel="epoch", xticks=range(5, 21, 5), ylabel="part of new digits that is right", ylim=(0, 1),
                title="while learning")
    axes[1].set(xlabel="blank steps before the question (40 while learning)", xticks=range(30, 51, 5),
                title="asked earlier or later")
    return figure


def draw_clipping(losses: Mapping[str, Sequence[float]]) -> Any:
    """The loss by epoch, one line for each way to descend, with a line for guessing among ten digits."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for key, loss in losses.items():
        ax.plot(range(1, len(loss) + 1), loss, ".-", label=key)
    ax.axhline(np.log(10), color="black", linestyle=":", label="chance")
    ax.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 3), title="Gradient descent with a rate of 0.1")
    ax.legend()
    return figure


# lesson 09
def contest(epochs: int = 12) -> tuple[dict[str, np.ndarray], dict[str, list[float]], dict[str, list[float]]]:
    """SimpleRNN, LSTM and GRU of 32 units read a digit row by row, then 40 blank steps, and are asked which digit it was.

    "bias 4" begins with a forget gate (LSTM) or an update gate (GRU) that is nearly open.

    Returns:
        norms: by network, the mean length of the gradient at the states after step 0 to 47 (LSTM: h and C together), when one
            of length 1 comes in at the last, before learning.
        history: by network, the part of 397 new digits that is right after each epoch.
        by_blank: by network, the same after learning, asked after 30 to 50 blank steps.
    """
    from lessons.data import blank_after, digits
    from nblayers.layers import Dense
    from nblayers.models import Sequential
    from nblayers.optimizers import Adam
    images, labels = digits()
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order] / 16, labels[order]
    seen, new, truth = blank_after(images, 40), images[1400:], labels[1400:]
    norms, history, by_blank = {}, {}, {}
    for name in ("SimpleRNN", "LSTM", "LSTM, bias 4", "GRU", "GRU, bias 4"):
        norms[name] = _norms_over_time(_contestant(name).cell, seen[:100])
        model = Sequential([_contestant(name), Dense(10, activation="softmax")])
        model.compile(Adam(0.003, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
        run = model.fit(seen[:1400], labels[:1400], batch_size=50, epochs=epochs, verbose=0,
                        validation_data=(seen[1400:], truth))
        history[name] = run.history["val_accuracy"]
        answers = [model.forward(blank_after(new, blank)).argmax(axis=1) for blank in range(30, 51)]
        by_blank[name] = [float(np.mean(answer == truth)) for answer in answers]
    return norms, history, by_blank


def _contestant(name: str) -> Any:
    """A new layer of 32 units for sequences of 8 numbers a step."""
    from nblayers import layers
    from nblayers.utils import set_random_seed
    set_random_seed(0)
    kind, _, bias = name.partition(", ")
    layer = getattr(layers, kind)(32)
    layer.build((None, 48, 8))
    if bias:
        gate = slice(32, 64) if kind == "LSTM" else slice(32)           # f of i, f, C̃, o; z of z, r, h̃
        layer.trainable_weights[2].value.reshape(-1)[gate] = 4
    return layer


def _norms_over_time(cell: Any, x: np.ndarray) -> np.ndarray:
    """The mean length of the gradient at the states after each step of x (N, T, in), from one of length 1 at the last: (T,)."""
    states, caches = cell.get_initial_state(len(x)), []
    for t in range(x.shape[1]):
        _, states = cell.forward(x[:, t], list(states))
        caches.append(cell.cache)
    gradients = [np.full_like(state, (len(states) * state.shape[1]) ** -0.5) for state in states]
    norms = np.ones(x.shape[1])
    for t in range(x.shape[1] - 1, 0, -1):
        cell.cache = caches[t]
        _, gradients = cell.backward((np.zeros_like(gradients[0]), gradients))
        norms[t - 1] = np.linalg.norm(np.concatenate(gradients, axis=1), axis=1).mean()
    return norms


# lesson 00
def draw_graph(values: Mapping[str, tuple[float, float]]) -> Any:
    """The graph of (x w + b - t)²; `values` has the value and the gradient of each of x, w, b, t, a, y, e, L."""
    import matplotlib.pyplot as plt
    at = {"x": (0, 3), "w": (0, 2), "b": (0, 1), "t": (0, 0), "a": (1.5, 2.5), "y": (3, 2), "e": (4.5, 1.5), "L": (6, 1.5)}
    how = {("x", "a"): "times", ("w", "a"): "", ("a", "y"): "plus", ("b", "y"): "", ("y", "e"): "minus", ("t", "e"): "",
           ("e", "L"): "square"}
    figure, ax = plt.subplots(figsize=(10, 4.4), layout="constrained")
    for (begin, end), word in how.items():
        for shift, colour, ends in ((0.06, "C0", (begin, end)), (-0.06, "C3", (end, begin))):
            (x0, y0), (x1, y1) = at[ends[0]], at[ends[1]]
            ax.annotate("", (x1, y1 + shift), (x0, y0 + shift),
                        arrowprops={"arrowstyle": "->", "color": colour, "shrinkA": 34, "shrinkB": 34})
        if word:
            ax.text(at[end][0], at[end][1] + 0.42, word, ha="center", style="italic")
    for key, (x, y) in at.items():
        value, gradient = f"{key} = {values[key][0]:g}", f"d{key} = {values[key][1]:g}"
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.6"}
        for text, colour, around in ((f"{value}\n{gradient}", "none", box), (f"{value}\n", "C0", None),
                                     (f"\n{gradient}", "C3", None)):
            ax.text(x, y, text, ha="center", va="center", color=colour, size=11, bbox=around)
    ax.text(4.5, 0.2, "blue: values go forwards", color="C0")
    ax.text(4.5, -0.05, "red: gradients come back", color="C3")
    ax.set(xlim=(-0.6, 6.6), ylim=(-0.4, 3.5))
    ax.axis("off")
    return figure


def draw_zeros_and_ones(inputs: np.ndarray, labels: np.ndarray, right: np.ndarray, weights: np.ndarray) -> Any:
    """Zeros and ones by their two numbers (N, 2), the line where a neuron of weights (3,) is undecided, what it got wrong."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(6, 4.6), layout="constrained")
    for digit, marker in ((0, "o"), (1, "|")):
        ax.plot(*inputs[labels == digit].T, marker, label=f"a {('zero', 'one')[digit]}")
    ax.plot(*inputs[~right].T, "o", markersize=14, markerfacecolor="none", color="black", label="taken for the other")
    middle = np.array([0, 1])
    ax.plot(middle, -(weights[2] + weights[0] * middle) / weights[1], "--", color="0.5", label="the answer is 0.5")
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 0.9), xlabel="ink in the middle", ylabel="ink at the sides")
    ax.legend()
    return figure
