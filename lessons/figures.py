"""The lessons' figures: each function draws one and returns it, or saves it as lessons/out/NAME.png."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


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


# lesson 01
def draw_error_against_h(steps, curves):
    """The error of a difference by the h it is made with; curves: name -> errors."""
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for name, errors in curves.items():
        ax.loglog(steps, np.maximum(errors, 1e-13), label=name)
    ax.set(xlabel="h  (left: rounding,  right: too coarse)",
           ylabel="error, as a share of the slope", title="the slope of exp at 1")
    ax.legend()
    return fig


def draw_tide(hours, heights, times, fits):
    """Readings, and fits at finer `times`; fits: name -> (heights, losses by step)."""
    import matplotlib.pyplot as plt
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained",
                                      width_ratios=[2, 1])
    left.plot(hours, heights, "k.", label="readings")
    for name, (fitted, history) in fits.items():
        left.plot(times, fitted, label=name)
        right.semilogy(history, label=name)
    left.set(xlabel="hours", ylabel="metres", title="the tide, and two fits",
             ylim=(0.5, 6))
    right.set(xlabel="step", ylabel="mean squared error", title="the loss on the way")
    left.legend(ncols=3, loc="upper center")
    right.legend()
    return fig


# lesson 02
def draw_strokes(first, weights, history, confusion):
    """The first gradient and the learnt weights (64, 4) of each kind; error and mistakes.

    confusion (4, 4): of each kind (row), how often it was taken for which (column).
    """
    import matplotlib.pyplot as plt
    kinds = ["lying", "standing", "rising", "falling"]
    fig, axes = plt.subplots(2, 5, figsize=(10.5, 4.4), layout="constrained")
    bound = np.abs(weights).max()
    for k, kind in enumerate(kinds):
        axes[0, k].imshow(first[:, k].reshape(8, 8), cmap="gray")
        learnt = axes[1, k].imshow(weights[:, k].reshape(8, 8), cmap="RdBu",
                                   vmin=-bound, vmax=bound)
        axes[0, k].set(title=kind, xticks=[], yticks=[])
        axes[1, k].set(xticks=[], yticks=[])
    axes[0, 0].set(ylabel="first step")
    axes[1, 0].set(ylabel="weights after 300")
    fig.colorbar(learnt, ax=axes[1, 3], shrink=0.8)
    axes[0, 4].plot(history)
    axes[0, 4].set(title="mean squared error", xlabel="step", ylim=(0, None))
    axes[1, 4].imshow(confusion, cmap="Blues")
    for row, counts in enumerate(confusion):
        for column, count in enumerate(counts):
            axes[1, 4].text(column, row, count, ha="center", va="center", fontsize=8,
                            color="white" if row == column else "black")
    axes[1, 4].set(title="row taken for …", xticks=range(4), yticks=range(4),
                   xticklabels=[kind[0] for kind in kinds], yticklabels=kinds)
    return fig


# lesson 03
def draw_slopes(line, curves):
    """Functions (upper half) and slopes (lower) along `line`; curves: name -> (y, slope)."""
    import matplotlib.pyplot as plt
    groups = [("sigmoid", "tanh"), ("relu", "leaky_relu"), ("elu", "softplus"),
              ("silu", "gelu")]
    fig, axes = plt.subplots(2, 4, figsize=(11, 5), layout="constrained", sharex=True,
                             sharey="row")
    for column, names in zip(axes.T, groups, strict=True):
        for name, style in zip(names, ("-", "--"), strict=True):
            for ax, values in zip(column, curves[name], strict=True):
                ax.plot(line, values, style, label=name)
        column[0].legend(loc="upper left")
        column[1].set(xlabel="a")
    axes[0, 0].set(ylabel="f(a)", ylim=(-1.5, 4), xlim=(-4, 4))
    axes[1, 0].set(ylabel="slope f'(a)", ylim=(-0.25, 1.25))
    for ax in axes.flat:
        ax.axhline(0, color="0.8", zorder=0)
        ax.axvline(0, color="0.8", zorder=0)
    return fig


def draw_through_layers(sizes):
    """What is left of a gradient behind 0, 1, 2, … layers; sizes: name -> shares."""
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for name, left in sizes.items():
        ax.semilogy(left, marker=".", label=name)
    ax.set(xlabel="layers passed on the way back", ylabel="share of the gradient left",
           title="the same gradient, through different activations",
           xticks=range(0, 21, 5))
    ax.legend(loc="lower left")
    return fig


def draw_moons(models, points, kind):
    """What each model answers over the plane, the points, and crosses where it is wrong.

    models: name -> (model, right), right (N,) being True where points (N, 2) are right.
    """
    import matplotlib.pyplot as plt
    across, up = np.meshgrid(np.linspace(-2, 3, 120), np.linspace(-1.5, 2, 90))
    plane = np.stack([across.ravel(), up.ravel()], axis=1)
    fig, axes = plt.subplots(1, len(models), figsize=(12, 3.2), layout="constrained",
                             sharey=True)
    for ax, (name, (model, right)) in zip(axes, models.items(), strict=True):
        logits = model.predict(plane, verbose=0).reshape(across.shape)
        ax.contourf(across, up, logits > 0, levels=[-0.5, 0.5, 1.5],
                    colors=["#d9e6f7", "#fbe3d0"])
        ax.scatter(*points.T, c=np.where(kind, "C1", "C0"), s=4)
        ax.scatter(*points[~right].T, marker="x", c="black", s=14, linewidths=0.8)
        ax.set(title=f"{name} ({right.mean():.0%})", xlabel="first coordinate")
    axes[0].set(ylabel="second coordinate")
    return fig


# lesson 04
def draw_pull(logit, pulls):
    """The gradient by the logit of the right class; pulls: loss -> gradients."""
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
    for name, gradient in pulls.items():
        ax.plot(logit, gradient, label=name)
    ax.axhline(0, color="0.8", zorder=0)
    ax.set(xlabel="s, the logit of the right class  (left: sure and wrong)",
           ylabel="ds, the gradient", title="who still pulls when you are wrong?")
    ax.legend()
    return fig


def draw_spirals(points, arm, right, trust, history):
    """The loss; points by arm and the wrong ones; how sure the network is where."""
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(1, 3, figsize=(12.5, 4), layout="constrained")
    axes[0].plot(history)
    axes[0].set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, None), title="training")
    for number in range(3):
        axes[1].scatter(*points[arm == number].T, s=8, label=f"arm {number}")
    axes[1].scatter(*points[~right].T, marker="x", color="black", s=20, label="wrong")
    axes[1].set(title="new points", aspect="equal")
    axes[1].legend(loc="upper right", fontsize=8)
    shown = axes[2].scatter(*points.T, c=trust, s=8, cmap="viridis", vmin=1 / 3, vmax=1)
    axes[2].set(title="how sure it is of its answer", aspect="equal")
    fig.colorbar(shown, ax=axes[2], label="probability of the answer", shrink=0.8)
    return fig


# lesson 05
def draw_valley(paths, heights, curvature):
    """Paths (steps, 2) over the valley ½ Σ curvature w²; right: the loss along each."""
    import matplotlib.pyplot as plt
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained",
                                      width_ratios=[3, 2])
    across, up = np.meshgrid(np.linspace(-4.5, 1.5, 200), np.linspace(-1.25, 1.25, 200))
    loss = 0.5 * (curvature[0] * across ** 2 + curvature[1] * up ** 2)
    left.contour(across, up, loss, levels=[0.1, 0.5, 1.5, 4, 8, 14, 22, 32],
                 colors="0.8", linewidths=0.8)
    for name, path in paths.items():
        left.plot(*path.T, ".-", markersize=4, linewidth=1, label=name)
        right.semilogy(np.maximum(heights[name], 1e-8), label=name)
    left.plot(*paths[name][0], "ko")
    left.plot(0, 0, "k*", markersize=10)
    left.set(xlabel="$w_0$", ylabel="$w_1$", title="from the dot to the star",
             xlim=(-4.5, 1.5), ylim=(-1.25, 1.25))
    right.set(xlabel="step", ylabel="loss", title="the loss on the way")
    right.legend()
    return fig


def draw_training(curves, rates, reached, baseline):
    """The loss by epoch of each optimiser; what each reaches with other learning rates."""
    import matplotlib.pyplot as plt
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, history in curves.items():
        left.semilogy(range(1, len(history) + 1), history, label=name)
        right.semilogx(rates, reached[name], "o-")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="each with a rate that suits it")
    for height, name in ((baseline, "baseline"), (0.1, "chance")):
        right.axhline(height, color="0.5", linestyle=":")
        right.text(rates[0], height, name, color="0.4", va="bottom")
    right.set(xlabel="learning rate", ylabel="share of the new digits that is right",
              ylim=(0, 1), title="after 5 epochs")
    left.legend()
    return fig


def draw_digit_mistakes(images, labels, answers):
    """The first twelve of the digits (N, 64) that were taken for something else."""
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, label, answer in zip(axes.flat, images, labels, answers, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_title(f"{label}, taken for {answer}", fontsize=9)
    return fig


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
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return figure


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


def draw_clock(hands: Mapping[str, np.ndarray], marks: np.ndarray) -> Any:
    """How far to the right the hand points, (T,) of each (T, 2), one line for each clock, with the marks (T,)."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
    for (name, hand), style in zip(hands.items(), ("o:", "o-"), strict=True):
        ax.plot(hand[:, 0], style, ms=3, label=name)
    ax.vlines(np.flatnonzero(marks), -1, 1, color="grey", lw=0.8, label="marks")
    ax.legend(loc="upper left", ncols=3)
    ax.set(xlabel="step t", ylabel="how far to the right the hand points", ylim=(-1.1, 1.5))
    return figure


def draw_contest(norms: Mapping[str, np.ndarray], history: Mapping[str, Sequence[float]],
                 by_blank: Mapping[str, Sequence[float]]) -> Any:
    """What `contest` returns: gradients over time; new digits that are right by epoch and by blank steps, with chance."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    axes[1].sharey(axes[2])
    styles = {"SimpleRNN": "k-", "LSTM": "C0:", "LSTM, bias 4": "C0-", "GRU": "C1:", "GRU, bias 4": "C1-"}
    for name, style in styles.items():
        axes[0].semilogy(norms[name], style, label=name)
        axes[1].plot(range(1, len(history[name]) + 1), history[name], style)
        axes[2].plot(range(30, 30 + len(by_blank[name])), by_blank[name], style, marker=".")
    axes[0].axvspan(0, 7, color="0.9")
    axes[0].text(3.5, 3e-12, "the\ndigit", ha="center")
    for ax in axes[1:]:
        ax.axhline(0.1, color="grey", ls="--", lw=1, label="chance")
    axes[0].set(xlabel="step", ylabel="length of the gradient", xlim=(0, 47), ylim=(1e-12, 100),
                title="before learning: what arrives of length 1")
    axes[1].set(xlabel="epoch", ylabel="part of new digits that is right", ylim=(0, 1), title="while learning")
    axes[2].set(xlabel="blank steps before the question (40 while learning)", title="asked earlier or later")
    handles, labels = zip(*(axes[k].get_legend_handles_labels() for k in (0, 1)), strict=True)
    figure.legend(handles[0] + handles[1], labels[0] + labels[1], loc="outside right upper")
    return figure


# lesson 10
def masked_runs() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A SimpleRNN of 8 units reads 8 steps: as they are, and with 12 zeros behind or in front, with and without a mask.

    Returns:
        By name: the states (steps, 8); the norm of the gradient at each input, (steps,), when ones come in at the last state;
        and which steps are no padding, (steps,).
    """
    from nblayers.layers import SimpleRNN
    from nblayers.utils import set_random_seed
    set_random_seed(0)
    layer = SimpleRNN(8, return_sequences=True)
    sequence = np.random.default_rng(0).normal(size=(8, 4))
    cases = {"as it is": (0, 0, False), "12 zeros behind": (0, 12, False), "12 zeros behind, masked": (0, 12, True),
             "12 zeros in front": (12, 0, False), "12 zeros in front, masked": (12, 0, True)}
    runs = {}
    for name, (front, behind, masked) in cases.items():
        real = np.pad(np.ones(8, bool), (front, behind))
        x = np.pad(sequence, [(front, behind), (0, 0)])[None]
        states = layer.forward(x, mask=real[None] if masked else None)
        dy = np.zeros_like(states)
        dy[:, -1] = 1
        runs[name] = states[0], np.linalg.norm(layer.backward(dy)[0], axis=1), real
    return runs


def draw_mask(runs: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Any:
    """The states of each run of `masked_runs` over time, and below them the gradient at each input, grey at padding."""
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(2, len(runs), figsize=(14, 4.5), layout="constrained", sharex="col", sharey="row",
                             width_ratios=[len(real) + 4 for _, _, real in runs.values()])
    for (name, (states, norms, real)), (top, bottom) in zip(runs.items(), axes.T, strict=True):
        image = top.imshow(states.T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none")
        top.set(title=name.replace(", ", ",\n"))
        bottom.bar(range(len(real)), norms, color=np.where(real, "tab:blue", "grey"))
        for t in np.flatnonzero(~real):
            bottom.axvspan(t - 0.5, t + 0.5, color="lightgrey", alpha=0.5, lw=0)
        bottom.set(xlabel="step t")
    axes[0, 0].set(ylabel="unit")
    axes[1, 0].set(ylabel="gradient at the input\n(its norm)")
    axes[1, 2].text(0.97, 0.95, "grey: padding", ha="right", va="top", transform=axes[1, 2].transAxes)
    fig.colorbar(image, ax=axes[0].tolist(), label="state", pad=0.01)
    return fig


def draw_dates(history: Mapping[str, Sequence[float]], wrong: Mapping[str, np.ndarray]) -> Any:
    """Left the part of right characters after each epoch; right how often each of the ten characters is wrong, (10,)."""
    import matplotlib.pyplot as plt
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, values in history.items():
        left.plot(range(1, len(values) + 1), values, "o-", label=name)
        right.plot(wrong[name], "o-", label=name)
    left.set(title="in training: the right character before is told", xlabel="epoch",
             ylabel="part of the characters that are right", ylim=(0, 1.02))
    right.set(title="500 new dates, written without help", xticks=range(10), xticklabels="YYYY-MM-DD",
              xlabel="character", ylabel="part of the dates that have it wrong", ylim=0)
    left.legend(loc="lower right")
    right.legend()
    return fig


# lesson 11
def influence(layer: Any, x: np.ndarray, columns: slice) -> np.ndarray:
    """How much of input s is in these columns of output t: the norm of a gradient of ones at x_s; (T, T) = [t, s]."""
    dy = np.zeros_like(layer.forward(x))
    norms = np.zeros((x.shape[1], x.shape[1]))
    for t in range(x.shape[1]):
        dy[0] = 0
        dy[0, t, columns] = 1
        norms[t] = np.linalg.norm(layer.backward(dy)[0], axis=1)
    return norms


def draw_halves(heat: Mapping[str, np.ndarray]) -> Any:
    """One panel for each (T, T) = [output t, input s]; what an output knows nothing of stays white."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(heat), figsize=(12, 4.4), layout="constrained", sharey=True)
    for ax, (title, norms) in zip(axes, heat.items(), strict=True):
        ends = len(norms) - 0.5
        image = ax.imshow(np.where(norms > 0, norms, np.nan), norm="log", vmin=1e-4, vmax=2, extent=(-0.5, ends, ends, -0.5))
        ax.axhline(ends - 1, color="crimson", lw=1)
        ax.set(title=title, xlabel="input s", xticks=[0, 10, 20, 29], yticks=[0, 10, 20, 29])
    axes[0].text(0.95, 0.9, "knows nothing of\nwhat comes later", transform=axes[0].transAxes, ha="right", va="top")
    axes[1].text(0.05, 0.2, "knows nothing of\nwhat came before", transform=axes[1].transAxes)
    axes[0].set_ylabel("output t (below the red line: the last)")
    figure.colorbar(image, ax=axes[-1], extend="min", label="length of the gradient that arrives")
    return figure


def draw_vowels(curves: Mapping[str, Sequence[float]], right: Mapping[str, float], at_start: Mapping[str, float],
                baseline: float) -> Any:
    """Vowels put back rightly: after each epoch, and at the end for all gaps and for those where a word begins."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for n, (kind, curve) in enumerate(curves.items()):
        axes[0].plot(range(1, len(curve) + 1), curve, "o-", label=kind)
        bars = axes[1].bar(np.arange(2) + 0.25 * (n - 1), [right[kind], at_start[kind]], width=0.22)
        axes[1].bar_label(bars, fmt="{:.0%}")
    axes[0].axhline(baseline, color="black", linestyle=":", label="always e")
    axes[0].set(xlabel="epoch", ylabel="part of the vowels that is right", ylim=(0, 1), title="unread text, all gaps")
    axes[1].set(xticks=[0, 1], xticklabels=["all gaps", "where a word begins"], title="at the end")
    axes[0].legend(loc="lower right")
    return figure


# lesson 12
def draw_rows_moved(moved: np.ndarray) -> Any:
    """In how many of 100 batches each row (words by their rank) got a gradient; moved (words,)."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    ranks = np.arange(len(moved))
    ax.bar(ranks, moved, width=1.0, color="C0")
    ax.set(xlabel="row of the table (0: any rare word; then words, the most frequent first)", ylabel="batches of 100",
           title="in how many batches a row gets a gradient", xlim=(-1, len(moved)), ylim=(0, 105))
    middle = np.median(moved)
    ax.axhline(middle, linestyle="--", color="0.4")
    ax.text(len(moved) - 5, middle + 2, f"half of the rows: at most {middle:.0f}", ha="right", color="0.3")
    return figure


WORD_KINDS = {"can, must, will, …": "can may must should will cannot would",
              "is, are, be, …": "is are be was were has have been",
              "the, a, this, …": "the a an this any all each its other same no",
              "in, of, to, …": "in of to by for from with on at as",
              "and, or, if, …": "and or if when that which but"}


def draw_words(points: np.ndarray, words: Sequence[str]) -> Any:
    """Words at their places (words, 2), some kinds of words in colours."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(9, 7), layout="constrained")
    kinds = {word: f"C{i}" for i, group in enumerate(WORD_KINDS.values()) for word in group.split()}
    labels = [ax.text(x, y, word, color=kinds.get(word, "0.6"), ha="center", va="center", size=10 if word in kinds else 8,
                      weight="bold" if word in kinds else "normal", zorder=2 + (word in kinds))
              for (x, y), word in zip(points, words, strict=True)]
    for i, name in enumerate(WORD_KINDS):
        ax.plot([], [], "s", color=f"C{i}", label=name)
    ax.plot([], [], "s", color="0.6", label="other words")
    low, high = points.min(axis=0) - 0.05, points.max(axis=0) + 0.05
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="first direction", ylabel="second direction",
           title="70 words by their rows: nobody told the network their kinds")
    ax.legend()
    _push_apart(figure, labels)
    return figure


def _push_apart(figure: Any, labels: Sequence[Any], rounds: int = 50) -> None:
    """Move labels that overlap up and down, a little at a time, until none do."""
    figure.draw_without_rendering()                             # lays the axes out
    to_data = labels[0].axes.transData.inverted()
    for _ in range(rounds):
        boxes = [label.get_window_extent() for label in labels]
        pairs = [(a, b) for a in range(len(labels)) for b in range(a) if boxes[a].overlaps(boxes[b])]
        if not pairs:
            return
        for a, b in pairs:
            upper, lower = (a, b) if boxes[a].y0 + boxes[a].y1 > boxes[b].y0 + boxes[b].y1 else (b, a)
            for which, way in ((upper, 1), (lower, -1)):
                place = labels[which].get_transform().transform(labels[which].get_position())
                labels[which].set_position(to_data.transform(np.add(place, (0, way))))


# lesson 13
def draw_receptive_fields(fields: Mapping[str, np.ndarray]) -> Any:
    """For each stack of layers, by how many paths one output sees each point of the input; 0 stays white."""
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(1, len(fields), figsize=(11, 4), layout="constrained")
    for ax, (title, field) in zip(axes, fields.items(), strict=True):
        far = len(field) // 2 + 0.5
        image = ax.imshow(np.where(field > 0, field, np.nan), cmap="viridis_r", vmin=0, extent=(-far, far, -far, far))
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="points from the middle", xticks=(-7, 0, 7), yticks=(-7, 0, 7))
        fig.colorbar(image, ax=ax, location="bottom", label="paths to the output")
    axes[0].set_ylabel("points from the middle")
    return fig


def draw_digit_task(curves: Mapping[str, Sequence[float]], images: np.ndarray, truth: np.ndarray, answers: np.ndarray,
                    whose: str = "the convolution", lowest: float = 0.8) -> Any:
    """The share of new digits that is right, by epoch; and the first eight digits (N, 8, 8) that were taken for another.

    Arguments:
        whose: answers they are.
        lowest: share that is shown.
    """
    import matplotlib.pyplot as plt
    fig = plt.figure(figsize=(10, 3.4), layout="constrained")
    left, right = fig.subfigures(1, 2)
    ax = left.subplots()
    for name, curve in curves.items():
        ax.plot(range(1, len(curve) + 1), curve, label=name)
    ax.set(xlabel="epoch", ylabel="share of new digits that is right", ylim=(lowest, 1),
           xticks=range(0, len(curve) + 1, 5 if len(curve) > 10 else 1))
    ax.legend(loc="lower right" if lowest else "center right")
    axes = list(right.subplots(2, 4).flat)
    for ax in axes:
        ax.axis("off")
    for ax, n in zip(axes, np.flatnonzero(answers != truth), strict=False):
        ax.imshow(images[n], cmap="gray_r")
        ax.set_title(f"a {truth[n]}, taken for {answers[n]}", fontsize=8)
    right.suptitle(f"what {whose} got wrong", fontsize=10)
    return fig


def draw_feature_maps(windows: np.ndarray, images: np.ndarray, maps: np.ndarray, filters: int = 6) -> Any:
    """The windows (3, 3, F) whose maps (2, 8, 8, F) of two images (2, 8, 8) vary most: above the windows, below their maps."""
    import matplotlib.pyplot as plt
    chosen = np.argsort(-maps.std(axis=(0, 1, 2)))[:filters]
    fig, axes = plt.subplots(3, filters + 1, figsize=(11, 4.8), layout="constrained")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    limit = np.abs(windows).max()
    axes[0, 0].axis("off")
    axes[0, 0].text(0.5, 0.5, "the window's\n3 × 3 weights", ha="center", va="center", transform=axes[0, 0].transAxes)
    for column, f in enumerate(chosen, 1):
        weights = axes[0, column].imshow(windows[:, :, f], cmap="RdBu", vmin=-limit, vmax=limit)
        axes[0, column].set_title(f"filter {f}", fontsize=10)
        for row in (1, 2):
            found = axes[row, column].imshow(maps[row - 1, :, :, f], cmap="viridis", vmin=0, vmax=maps[..., chosen].max())
    for row, image in enumerate(images, 1):
        axes[row, 0].imshow(image, cmap="gray_r")
        axes[row, 0].set_ylabel("the digit", fontsize=9)
        axes[row, 1].set_ylabel("its feature maps", fontsize=9)
    fig.colorbar(weights, ax=axes[0], label="weight")
    fig.colorbar(found, ax=axes[1:], label="output, after relu")
    return fig


# lesson 14
def draw_where_it_lands(picture: np.ndarray, landed: Mapping[str, np.ndarray]) -> Any:
    """A picture (rows, columns), and beside it where gradients land in it, numbers on light colours; five of them by title."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 7.4), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
    axes[0, 0].imshow(picture, cmap="gray")
    axes[0, 0].set_title("the picture")
    for ax, (title, values) in zip(axes.flat[1:], landed.items(), strict=True):
        ax.imshow(values, cmap="YlOrBr", vmin=0, vmax=2 * values.max())     # the darker half is not used: numbers are black
        ax.set_title(title)
        for row, column in np.argwhere(values):
            ax.text(column, row, f"{values[row, column]:.2g}", ha="center", va="center", fontsize=9)
    return figure


def draw_chirps(curves: Mapping[str, Sequence[float]], baseline: float, signal: np.ndarray, heard: np.ndarray,
                steps: np.ndarray) -> Any:
    """Right answers by epoch, and one signal (100,) with its chirp's steps and what was heard of each step, (100,)."""
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4), layout="constrained")
    for name, curve in curves.items():
        left.plot(range(1, len(curve) + 1), curve, ".-", label=name)
    left.axhline(baseline, color="black", linestyle=":", label="baseline")
    left.set(xlabel="epoch", ylabel="part of new signals that is right", ylim=(0.4, 1.02), title="while learning")
    left.legend()
    right.axvspan(steps[0], steps[-1], color="gold", alpha=0.4, label="the chirp")
    right.plot(signal, color="0.5", label="a signal")
    right.fill_between(range(len(heard)), -8, 3 * heard / heard.max() - 8, step="mid", color="tab:red",
                       label="how much of each step is heard")
    right.set(xlabel="step", ylabel="value of the signal", ylim=(-8, 7), yticks=[-3, 0, 3], title="maximum: who was heard?")
    right.legend(loc="upper center", ncols=3, fontsize=8)
    return figure


# lesson 15
def draw_checkerboards(boards: Mapping[str, np.ndarray]) -> Any:
    """The upper left corners of pictures of ones that were made larger, by title, in numbers and on one scale."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(boards), figsize=(13, 3.6), layout="constrained",
                                subplot_kw={"xticks": [], "yticks": []})
    top = max(board.max() for board in boards.values())
    for ax, (title, board) in zip(axes, boards.items(), strict=True):
        image = ax.imshow(board[:9, :9], cmap="YlOrBr", vmin=0, vmax=2 * top)       # light, as numbers are black
        ax.set_title(title)
        for row, column in np.ndindex(9, 9):
            ax.text(column, row, f"{board[row, column]:.2g}", ha="center", va="center", fontsize=7)
    figure.colorbar(image, ax=axes, boundaries=np.linspace(0, top, 100), ticks=range(0, int(top) + 1, 3), shrink=0.8,
                    label="lands on the point")
    figure.suptitle("what lands on each point: the upper left corner of a picture of ones, enlarged with stride 2")
    return figure


def draw_discs(curve: Sequence[float], baseline: float, pictures: np.ndarray, truth: np.ndarray, early: np.ndarray,
               answer: np.ndarray) -> Any:
    """Right points from the second epoch on, beside the six pictures with most mistakes, their masks and two answers."""
    import matplotlib.pyplot as plt
    worst = np.argsort(-((answer > 0.5) != truth).sum(axis=(1, 2, 3)))[:6]
    rows = {"picture": pictures, "truth": truth, "after 1 epoch\n(its largest: white)": early / early[worst].max(),
            f"after {len(curve) + 1} epochs": answer}
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(2, 3))
    left.plot(range(2, 2 + len(curve)), curve, label="the network")
    left.axhline(baseline, color="black", linestyle=":", label="always no")
    left.set(xlabel="epoch", ylabel="part of the points of new pictures that is right", ylim=(0.8, 1))
    left.legend(loc="lower right")
    images = [np.hstack(np.broadcast_to(image[worst], (6, 32, 32, 3))) for image in rows.values()]
    right.imshow(np.vstack(images).clip(0, 1))
    right.set(xticks=[], yticks=range(16, 128, 32), yticklabels=list(rows), title="the six new pictures with most mistakes")
    for place in range(32, 192, 32):
        right.axvline(place - 0.5, color="white", lw=0.5)
    for place in range(32, 128, 32):
        right.axhline(place - 0.5, color="white", lw=0.5)
    return figure


# lesson 16
def draw_stays_and_goes(film: np.ndarray, stays: np.ndarray, goes: np.ndarray, cone: np.ndarray) -> Any:
    """The film and two filters' h, and how much the middle place of the last h hears of each point; all (frames, places)."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained", sharey=True)
    frames, places = (np.arange(size) for size in film.shape)
    for ax, values, title in zip(axes, (film, stays, goes), ("the film x", "h of “stays”", "h of “goes”"), strict=False):
        lit = ax.pcolormesh(frames, places, values.T, cmap="gray", vmin=0, vmax=1)
        ax.set(title=title, xlabel="step t")
    axes[0].set(ylabel="place")
    figure.colorbar(lit, ax=axes[2], label="value")
    powers = np.log10(np.where(cone > 0, cone, np.nan))
    heard = axes[3].pcolormesh(frames, places, powers.T, vmin=-7)
    axes[3].plot(frames[-1], 20, "r>", ms=6, clip_on=False)
    axes[3].set(title="what h at the red mark hears\n(white: nothing at all)", xlabel="step t", facecolor="white")
    figure.colorbar(heard, ax=axes[3], label="size of its gradient, powers of ten")
    return figure


def draw_rings(history: Mapping[str, Sequence[float]], wrong: np.ndarray, as_now: np.ndarray, asked: np.ndarray,
               answer: np.ndarray) -> Any:
    """Loss by epoch, wrong points by frame beside the baseline's, and the film with the most wrong points.

    Arguments:
        history: of the training.
        wrong, as_now: wrong points of the model and of the baseline, (films, 9), for frames 2 to 10.
        asked, answer: the frames and what the model says, (films, 9, 12, 12, 1).
    """
    import matplotlib.pyplot as plt
    figure, axes = plt.subplot_mosaic([["loss", "points"], ["film", "film"]], figsize=(10, 5.6), layout="constrained")
    epochs = range(1, len(history["loss"]) + 1)
    axes["loss"].plot(epochs, history["loss"], label="films that it learns from")
    axes["loss"].plot(epochs, history["val_loss"], label="new films")
    axes["loss"].set(xlabel="epoch", ylabel="cross-entropy of a point", ylim=0)
    axes["points"].plot(range(2, 11), as_now.mean(axis=0), "k--", label="baseline: as now")
    axes["points"].plot(range(2, 11), wrong.mean(axis=0), "o-", label="ConvLSTM")
    axes["points"].set(xlabel="frame", ylabel="wrong points of 144", ylim=(0, 1.4 * as_now.mean()))
    for name in ("loss", "points"):
        axes[name].legend(loc="upper right")
    worst = np.argmax(wrong[:, 1:].sum(axis=1))
    rows = [np.hstack(np.pad(frames[worst, ..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5))
            for frames in (asked, answer)]
    axes["film"].imshow(np.vstack(rows), cmap="gray", vmin=0, vmax=1)
    axes["film"].set(xticks=6.5 + 14 * np.arange(9), xticklabels=range(2, 11), xlabel="frame", yticks=[6.5, 20.5],
                     yticklabels=["truth", "answer"], title="of the new films, the one with the most wrong points")
    return figure


# lesson 17
def draw_who_hears_whom(heard: Mapping[str, np.ndarray]) -> Any:
    """For each layer, the size of one output's gradient by every input, (samples, places, features)."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(heard), figsize=(11, 5), layout="constrained", sharey=True)
    for ax, (name, size) in zip(axes, heard.items(), strict=True):
        samples, places, features = size.shape
        shown = np.where(size > 0, size / size.max(), np.nan).reshape(-1, features)
        image = ax.imshow(shown, cmap="YlOrRd", vmin=0, vmax=1, aspect="auto", extent=(-0.5, features - 0.5, samples, 0))
        for sample in range(1, samples):
            ax.axhline(sample, color="black", lw=0.8)
        ax.set(title=name, xlabel="feature", xticks=range(features), yticks=np.arange(samples) + 0.5,
               yticklabels=range(samples))
    axes[0].set_ylabel(f"sample, with {places} places each")
    figure.colorbar(image, ax=axes, label="size of the gradient, its largest 1; white: nothing")
    return figure


def draw_starts(spreads: Sequence[float], right: Mapping[str, Sequence[float]]) -> Any:
    """The share of new digits that is right, by the spread of the first weights, for each kind of normalisation."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for (name, shares), style in zip(right.items(), ("ks--", "o-", "^-"), strict=True):
        ax.semilogx(spreads, shares, style, label=name)
    ax.axhline(0.1, color="0.6", linestyle=":", label="chance")
    ax.set(xlabel="spread of the first weights (1 is right)", ylabel="share of new digits that is right", ylim=(0, 1.02),
           xticks=spreads, xticklabels=[f"{spread:g}" for spread in spreads])
    ax.minorticks_off()
    ax.legend(loc="center right")
    return figure


# lesson 18
def draw_noise(drops: np.ndarray, gauss: np.ndarray, dropped: Mapping[str, np.ndarray]) -> Any:
    """Factors of dropout and Gaussian dropout (draws, 50), alone and in sums; outputs behind a SELU: name -> (draws,)."""
    import matplotlib.pyplot as plt
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    values, counts = np.unique(drops, return_counts=True)
    left.hist(gauss.ravel(), bins=np.linspace(-3, 5, 81), density=True, color="C1", alpha=0.6, label="Gaussian dropout")
    left.vlines(values, 0, counts / counts.sum(), color="C0", linewidth=5, label="dropout: two values")
    for factors, colour, name in ((drops, "C0", "dropout"), (gauss, "C1", "Gaussian dropout")):
        middle.hist(factors.sum(axis=1), bins=np.arange(19, 82, 2), density=True, color=colour, alpha=0.6, label=name)
    left.set(title="a number 1", xlabel="value", ylabel="how often", ylim=(0, 0.7), xlim=(-3, 5))
    middle.set(title="the sum of 50 of them", xlabel="sum")
    for (name, values), colour, line in zip(dropped.items(), ("0.4", "C0", "C2"), ("-", "--", "-"), strict=True):
        label = f"{name}: mean {values.mean():.2f}, variance {values.var():.2f}".replace("-0.00", "0.00")
        right.hist(values, bins=np.linspace(-3, 4, 57), density=True, histtype="step", color=colour, linestyle=line,
                   linewidth=1.6, label=label)
    right.set(title="outputs of a SELU", xlabel="value", xlim=(-3, 4))
    right.set_ylim(top=1.45 * right.get_ylim()[1])              # the legend stands above the spikes
    for ax in (left, middle, right):
        ax.legend(loc="upper right", fontsize=8)
    return figure


def draw_by_heart(by_heart: Mapping[str, float], right: Mapping[str, float], images: np.ndarray, truth: np.ndarray,
                  told: np.ndarray) -> Any:
    """For each cure the share of wrong labels learnt and of new digits right; some digits (N, 64) that the best got wrong."""
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(12, 4.6), layout="constrained")
    chart, pictures = figure.subfigures(1, 2, width_ratios=[1.5, 1])
    ax = chart.subplots()
    places = np.arange(len(right))[::-1]
    for shift, values, colour, label in ((0.2, by_heart, "C3", "wrong labels learnt by heart"),
                                         (-0.2, right, "C0", "new digits right")):
        bars = ax.barh(places + shift, list(values.values()), 0.38, color=colour, label=label)
        ax.bar_label(bars, [f"{value:.0%}" for value in values.values()], padding=2, fontsize=8)
    ax.set(yticks=places, yticklabels=list(right), xlim=(0, 1.1), xticks=np.linspace(0, 1, 6))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, fontsize=9, frameon=False)
    for ax, image, digit, answer in zip(pictures.subplots(3, 4).flat, images, truth, told, strict=False):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{digit}, taken for {answer}", fontsize=8)
    pictures.suptitle("what the best one got wrong")
    return figure


# lesson 19
def draw_by_place(bits: Mapping[str, Sequence[float]], by_place: Mapping[str, np.ndarray]) -> Any:
    """Bits a character on unread text, by epoch and, after the last one, by the place in the window."""
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
    for (name, curve), style in zip(bits.items(), ("k--", "C0-"), strict=True):
        left.plot(range(1, len(curve) + 1), curve, style, label=name)
        right.plot(by_place[name], style, label=name)
    left.set(xlabel="epoch", ylabel="bits a character, unread text", title="while learning")
    right.set(xlabel="place in the window: so many characters lie before it", title="where it predicts well")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend()
    return figure


def draw_attention_maps(maps: np.ndarray, text: str) -> Any:
    """The weights of each head (heads, T, T) for a text of T characters: rows ask, columns are looked at."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 2, figsize=(11, 11.6), layout="constrained")
    letters = list(text.replace(" ", "␣").replace("\n", "↵"))
    for head, (ax, weights) in enumerate(zip(axes.flat, maps, strict=True)):
        image = ax.imshow(weights, cmap="magma_r", vmin=0, vmax=1)
        ax.set(title=f"head {head}", xticks=range(len(text)), yticks=range(len(text)))
        ax.set_xticklabels(letters, fontsize=7, family="DejaVu Sans Mono")
        ax.set_yticklabels(letters, fontsize=7, family="DejaVu Sans Mono")
    for ax in axes[:, 0]:
        ax.set_ylabel("who asks")
    for ax in axes[1]:
        ax.set_xlabel("who is looked at")
    figure.colorbar(image, ax=axes, label="weight", shrink=0.6)
    return figure


# lesson 20
def gradient_by_depth(spread: float, shortcut: bool, depth: int = 30, units: int = 32) -> np.ndarray:
    """How much of a gradient that comes in at the top arrives at each of so many layers with relu, the first one first.

    Arguments:
        spread: of the weights; 1 is He's, with which a chain keeps what goes through it.
        shortcut: whether each layer's input is added to its output.
    """
    rng = np.random.default_rng(0)
    weights = spread * np.sqrt(2 / units) * rng.normal(size=(depth, units, units))
    x, slopes = rng.normal(size=(64, units)), []
    for W in weights:
        a = x @ W
        slopes.append(a > 0)
        x = np.maximum(a, 0) + shortcut * x
    dx, sizes = rng.normal(size=x.shape), []
    start = np.linalg.norm(dx)
    for W, slope in zip(weights[::-1], slopes[::-1], strict=True):
        dx = (dx * slope) @ W.T + shortcut * dx
        sizes.append(np.linalg.norm(dx) / start)
    return np.array(sizes[::-1])


def draw_shortcuts(sizes: Mapping[str, np.ndarray]) -> Any:
    """How much of the gradient arrives at each layer, the last one at the right."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for (name, size), style in zip(sizes.items(), ("k-", "k:", "C1-", "C1:"), strict=True):
        ax.semilogy(range(1, len(size) + 1), size, style, label=name)
    ax.axhline(1, color="0.7", lw=0.8)
    ax.set(xlabel="layer; the gradient comes in at the right", ylabel="what arrives of the gradient")
    ax.legend()
    return figure


# lesson 21
def draw_through_time(lengths: Mapping[str, Sequence[float]]) -> Any:
    """The length of a gradient by the steps that it has gone back; lengths: name -> (steps + 1,)."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
    for (name, values), style in zip(lengths.items(), ("-", "-", "-", "--"), strict=True):
        ax.semilogy(values, style, label=name, linewidth=3 if name == "Orthogonal" else 1.8)
    ax.set(xlabel="steps back", ylabel="length of the gradient", title="100 times the same matrix", xlim=(0, 100))
    ax.legend()
    return figure


def draw_depth(sizes: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Any:
    """Mean squares by the layer; sizes: name -> those of h forward and of dh backward, from the input to the last layer."""
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", sharey=True)
    for name, (forward, backward) in sizes.items():
        left.semilogy(forward, label=name)
        right.semilogy(backward, label=name)
    left.set(title="forward: h  (read from left to right)", xlabel="layer", ylabel="mean square", xlim=(0, 30))
    right.set(title="backward: dh  (read from right to left)", xlabel="layer", xlim=(0, 30))
    for ax in (left, right):
        ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    left.legend(loc="lower left")
    return figure


def draw_initialized(losses: Mapping[str, Sequence[float]], right: Mapping[str, float],
                     confusions: Mapping[str, np.ndarray]) -> Any:
    """Losses by epoch, with the share of right answers; confusions: name -> (10, 10), how often each was taken for what."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 1 + len(confusions), figsize=(14, 4), layout="constrained",
                                width_ratios=[1.7] + [1] * len(confusions))
    for i, (name, history) in enumerate(losses.items()):
        style = {"color": f"C{i}" if i else "0.3", "linestyle": "--" if i == 2 else "-" if i else ":"}
        axes[0].plot(np.arange(1, len(history) + 1), history, **style,
                     label=f"{name}: {right[name]:.0%} right")
    axes[0].set(title="loss", xlabel="epoch", ylim=(0, 2.6), xlim=(1, None), xticks=range(5, len(history) + 1, 5))
    axes[0].legend(loc="upper right", bbox_to_anchor=(1, 0.64), fontsize=8)
    for ax, (name, counts) in zip(axes[1:], confusions.items(), strict=True):
        ax.imshow(counts, cmap="Blues", vmin=0, vmax=60)
        for row, column in np.argwhere(counts):
            ax.text(column, row, counts[row, column], ha="center", va="center", fontsize=7,
                    color="white" if counts[row, column] > 35 else "black")
        ax.set(title=name, xlabel="the answer", ylabel="digit", xticks=range(10), yticks=range(10))
    return figure


# lesson 22
def draw_words_that_count(words: Sequence[str], counted: np.ndarray, weighted: np.ndarray, titles: Sequence[str]) -> Any:
    """The words of two texts, (2, words) as they are counted and by tf-idf; the ten of each that weigh most."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    for ax, counts, weights, title in zip(axes, counted, weighted, titles, strict=True):
        order = np.argsort(-weights, kind="stable")[:10]
        places = np.arange(len(order))[::-1]
        ax.barh(places + 0.2, counts[order] / counts.sum(), 0.38, color="0.6", label="counted")
        ax.barh(places - 0.2, weights[order] / weights.sum(), 0.38, color="C0", label="tf-idf")
        ax.set(yticks=places, yticklabels=[words[i] for i in order], title=title)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes[0].set_xlabel("share of the text")
    axes[1].set_xlabel("share of the text")
    axes[1].legend(loc="lower right", fontsize=9, frameon=False)
    return figure


def draw_augmented(image: np.ndarray, changed: Mapping[str, np.ndarray]) -> Any:
    """An image (H, W) and, a row for each layer, what it made of copies of it (copies, H, W)."""
    import matplotlib.pyplot as plt
    columns = 1 + max(map(len, changed.values()))
    figure, axes = plt.subplots(len(changed), columns, figsize=(1.15 * columns, 1.3 * len(changed)), layout="constrained")
    for row, (name, images) in zip(axes, changed.items(), strict=True):
        for ax, picture in zip(row, [image, *images], strict=True):
            ax.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        for side in row[0].spines.values():
            side.set(color="C3", linewidth=2)
        row[1].set_title(name, fontsize=9, loc="left")
    axes[0, 0].set_title("as it is", fontsize=9)
    return figure


def draw_heard(heard: Mapping[str, np.ndarray]) -> Any:
    """How much each pixel of an image counts for the sum of the warped one: its gradient (H, W)."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, len(heard), figsize=(2.6 * len(heard), 2.9), layout="constrained")
    top = max(gradient.max() for gradient in heard.values())
    for ax, (name, gradient) in zip(axes, heard.items(), strict=True):
        shown = ax.imshow(gradient, cmap="magma", vmin=0, vmax=top)
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, fontsize=9)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="gradient of the sum")
    return figure


def draw_unknown_island(errors: Mapping[str, tuple[float, float]], baseline: tuple[float, float]) -> Any:
    """The mean error in grams of each model: on known islands, on the unseen one; dashed what the mean of all gets."""
    import matplotlib.pyplot as plt
    figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
    places = np.arange(len(errors))[::-1]
    for shift, k, colour, label in ((0.2, 0, "C0", "islands of the training"), (-0.2, 1, "C3", "an island never seen")):
        bars = ax.barh(places + shift, [pair[k] for pair in errors.values()], 0.38, color=colour, label=label)
        ax.bar_label(bars, [f"{pair[k]:.0f} g" for pair in errors.values()], padding=2, fontsize=8)
        ax.axvline(baseline[k], color=colour, linestyle="--", linewidth=1)
    most = max(*baseline, *(max(pair) for pair in errors.values()))
    ax.set(yticks=places, yticklabels=list(errors), xlabel="mean error (dashed: the mean of all)", xlim=(0, 1.15 * most))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.17), ncols=2, fontsize=9, frameon=False)
    return figure


def draw_few_digits(right: Mapping[str, tuple[float, float]], images: np.ndarray, truth: np.ndarray, told: np.ndarray) -> Any:
    """Shares of digits right for each kind of training: as they lie, and moved; below, moved ones (N, H, W) that went wrong."""
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(10, 3.8), layout="constrained")
    chart, pictures = figure.subfigures(1, 2, width_ratios=[1.6, 1])
    ax = chart.subplots()
    places = np.arange(len(right))[::-1]
    for shift, k, colour, label in ((0.2, 0, "C0", "new digits"), (-0.2, 1, "C1", "the same, moved by one pixel")):
        bars = ax.barh(places + shift, [pair[k] for pair in right.values()], 0.38, color=colour, label=label)
        ax.bar_label(bars, [f"{pair[k]:.0%}" for pair in right.values()], padding=2, fontsize=8)
    ax.set(yticks=places, yticklabels=list(right), xticks=np.linspace(0, 1, 6), xlim=(0, 1.1),
           ylabel="changed in training", xlabel="digits that are right")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2, fontsize=9, frameon=False)
    for ax, image, digit, answer in zip(pictures.subplots(2, 3).flat, images, truth, told, strict=False):
        ax.imshow(image, cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{digit}, taken for {answer}", fontsize=8)
    pictures.suptitle("moved, and wrong in spite of all", fontsize=10)
    return figure


# lesson 23
def draw_mending(reports: Mapping[str, Any]) -> Any:
    """The relative errors of x, W, U, b in each of some reports of the gradient checker."""
    import matplotlib.pyplot as plt
    names = [tensor.name.split("/")[-1] for tensor in next(iter(reports.values())).tensors]
    figure, axes = plt.subplots(len(reports), len(names), figsize=(9, 1.8 * len(reports)), layout="constrained")
    for row, (title, report) in zip(axes, reports.items(), strict=True):
        for ax, tensor in zip(row, report.tensors, strict=True):
            errors = tensor.errors.reshape(-1, tensor.shape[-1])
            image = ax.imshow(np.maximum(errors, 1e-12), norm="log", vmin=1e-12, vmax=1, cmap="RdYlBu_r", aspect="auto")
            ax.set(xticks=[], yticks=[])
            for side in ax.spines.values():
                side.set(color="C3" if not tensor.passed else "0.6", linewidth=2.5 if not tensor.passed else 1)
        row[0].set_ylabel(title)
    for ax, name, tensor in zip(axes[0], names, report.tensors, strict=True):
        ax.set_title(f"{name} {tensor.shape}", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.7, label="relative error", ticks=[1e-12, 1e-9, 1e-6, 1e-3, 1])
    return figure


def draw_row_by_row(outcomes: Mapping[str, Any]) -> Any:
    """The losses of some `lessons.data.Read`, their shares of right digits, and digits that the last one got wrong."""
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(11, 3.8), layout="constrained")
    curves, pictures = figure.subfigures(1, 2, width_ratios=[1.8, 1])
    left, right = curves.subplots(1, 2)
    for name, outcome in outcomes.items():
        left.semilogy(range(1, len(outcome.losses) + 1), outcome.losses, label=name)
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(fontsize=9)
    places = np.arange(len(outcomes))[::-1]
    bars = right.barh(places, [outcome.right.mean() for outcome in outcomes.values()],
                      color=[f"C{k}" for k in range(len(outcomes))])
    right.bar_label(bars, [f"{outcome.right.mean():.0%}" for outcome in outcomes.values()], padding=2, fontsize=9)
    right.set(yticks=places, yticklabels=list(outcomes), xlim=(0, 1.2), xticks=[0, 0.5, 1], xlabel="new digits that are right")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    last = list(outcomes.values())[-1]
    wrong = np.flatnonzero(~last.right)
    for ax, k in zip(pictures.subplots(2, 3).flat, wrong, strict=False):
        ax.imshow(last.images[k], cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{last.truth[k]}, taken for {last.told[k]}", fontsize=8)
    pictures.suptitle("wrong, with all faults mended", fontsize=10)
    return figure


# lesson 24
def draw_steps_and_roofs(steps: Mapping[str, Any], layers: Mapping[str, tuple[float, Any]], ridge: float) -> Any:
    """What part of the limit measured beside it each step of a kernel reaches, and each layer under its roof.

    Arguments:
        steps: `lessons.data.Measured` by step.
        layers: by layer, operations for each byte and `Measured`.
        ridge: operations for each byte from which on memory no longer limits.
    """
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    parts = [100 * step.part for step in steps.values()]
    colours = ["C2" if name == "the library" else "C0" for name in steps]
    bars = left.barh(list(steps), parts, color=colours)
    for bar, step in zip(bars, steps.values(), strict=True):
        bar.set_hatch("" if step.steady else "///")
        bar.set_edgecolor("white")
    left.bar_label(bars, [f" {step.rate:.3g}" + ("" if step.steady else " (busy)") for step in steps.values()], padding=2,
                   bbox={"color": "white", "pad": 0.5})
    left.axvline(100, color="black", ls="--", lw=1)
    left.set(xscale="log", xlim=(min(parts) / 2, 5000), xlabel="% of the limit that was measured beside it",
             title="The steps; at each bar Gflop/s")
    left.invert_yaxis()

    at = np.geomspace(0.03, 500, 200)
    right.loglog(at, 100 * np.minimum(1, at / ridge), color="black")
    for name, (intensity, measured) in layers.items():
        fill = "full" if measured.steady else "none"
        right.plot(intensity, 100 * measured.part, "o", markersize=8, fillstyle=fill, label=name)
    right.set(xlabel="operations for each byte", ylabel="% of the limit of all cores",
              title="A training step's layers, and their roof")
    figure.legend(loc="outside right upper")
    everything = [*steps.values(), *(measured for _, measured in layers.values())]
    busy = sum(not measured.steady for measured in everything)
    if busy:
        figure.suptitle(f"The machine was too busy at {busy} of {len(everything)} (hatched, hollow): measure again", color="C3")
    return figure


# lesson 25
def draw_sectors_and_roof(apart: np.ndarray, fetched: Sequence[int], conflicts: Sequence[int],
                          kernels: Mapping[str, float], limit: float, bandwidth: float) -> Any:
    """What a warp's reading costs, by how many numbers its threads read apart, and kernels under a roof.

    Arguments:
        apart: from one thread to the next, in numbers of four bytes.
        fetched, conflicts: for each of these the sectors of memory, and the steps in shared memory.
        kernels: operations for each byte, by kernel.
        limit, bandwidth: Gflop/s and GB/s.
    """
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    left.step(apart, fetched, where="mid", label="memory: sectors of 32 bytes")
    left.plot(apart, conflicts, ".-", label="shared memory: steps")
    left.text(8, 32.7, "from 8 on, a sector for each thread", fontsize=9)
    left.annotate("33: a padded column", (33, 1), (20.5, 12), fontsize=9, arrowprops={"arrowstyle": "->"})
    left.set(xlabel="numbers from one thread of the warp to the next", ylabel="for one reading of 32 threads", ylim=(0, 36),
             title="What a warp fetches")
    left.legend(loc="lower right", bbox_to_anchor=(0.9, 0.6))

    at = np.geomspace(0.04, 700, 200)
    right.loglog(at, np.minimum(limit, bandwidth * at), color="black")
    for k, (name, intensity) in enumerate(kernels.items()):
        roof = min(limit, bandwidth * intensity)
        right.plot(intensity, roof, "o", color=f"C{k}")
        right.annotate(f"{name}\n{roof / 1000:.3g} Tflop/s", (intensity, roof), (8, -4), textcoords="offset points", va="top",
                       fontsize=9)
    right.set(xlabel="operations for each byte from memory", ylabel="Gflop/s", ylim=(100, 2e5), xlim=(0.04, 700),
              title="The most that an H100 allows them")
    return figure


def draw_race(outcomes: Mapping[str, tuple[Sequence[float], np.ndarray]], new: np.ndarray, truth: np.ndarray,
              baseline: float) -> Any:
    """Losses of trainings, their shares of right digits, and digits that the first one got wrong.

    Arguments:
        outcomes: by name, the losses and what the digits were taken for.
        new, truth: images (N, 16) and what they are.
        baseline: the share that is right without any training.
    """
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(12, 4), layout="constrained")
    curves, pictures = figure.subfigures(1, 2, width_ratios=[2, 1])
    left, right = curves.subplots(1, 2)
    shares = [np.mean(told == truth) for _, told in outcomes.values()]
    for name, (losses, _) in outcomes.items():
        left.plot(losses, label=name)
    left.set(xlabel="step", ylabel="loss")
    left.legend(fontsize=9)
    bars = right.barh([*outcomes, "always the same digit"], [*shares, baseline], color=["C0", "C1", "0.7"])
    right.bar_label(bars, [f"{share:.0%}" for share in [*shares, baseline]], padding=3)
    right.set(xlim=(0, 1.15), xlabel="share of right digits among new ones")
    right.invert_yaxis()
    _, told = next(iter(outcomes.values()))
    wrong = np.flatnonzero(told != truth)[:6]
    for ax, i in zip(pictures.subplots(2, 3).flat, wrong, strict=False):
        ax.imshow(new[i].reshape(4, 4), cmap="gray_r")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{truth[i]}, taken for {told[i]}", fontsize=9)
    pictures.suptitle("wrong, though all kernels are right", fontsize=10)
    return figure


# lesson 26d
def draw_tagging(transitions: np.ndarray, tags: Sequence[str], results: Mapping[str, tuple[float, float, float]]) -> Any:
    """Left how well each tag (column) follows another (row). Right, by tagger, the parts of words right, of cards right,
    of cards that cannot be.
    """
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained", width_ratios=[1, 1.2])
    bound = np.abs(transitions).max()
    image = left.imshow(transitions, cmap="RdBu", vmin=-bound, vmax=bound)
    places = range(len(tags))
    left.set(title="how well a tag follows another", xticks=places, yticks=places, yticklabels=tags, xlabel="tag",
             ylabel="tag before")
    left.set_xticks(places, tags, rotation=45)
    figure.colorbar(image, ax=left, shrink=0.8)
    measures = ("words right", "cards right", "cards that cannot be")
    for k, (measure, colour) in enumerate(zip(measures, ("C0", "C2", "C3"), strict=True)):
        at = np.arange(len(results)) + 0.27 * (k - 1)
        bars = right.bar(at, [result[k] for result in results.values()], 0.25, color=colour, label=measure)
        right.bar_label(bars, fmt="{:.0%}")
    right.set(title="500 new cards", xticks=range(len(results)), xticklabels=results, ylabel="part of them",
              ylim=(0, 1.25), yticks=[0, 0.5, 1])
    right.legend(loc="upper center", ncols=3)
    return figure


# lesson 26e
def draw_speech(sound: np.ndarray, said: np.ndarray, wanted: np.ndarray, names: Sequence[str],
                results: Mapping[str, Sequence[float]]) -> Any:
    """A sound (T, bands), the probabilities (T, C) that a network gave its classes, and those that the loss wanted; on the
    right, by name, the parts of vowels wrong and of sounds right. Class 0 is the blank.
    """
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(11.5, 6), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=[1.6, 1])
    top, middle, below = (figure.add_subplot(grid[row, 0]) for row in range(3))
    top.imshow(sound.T, origin="lower", aspect="auto", cmap="magma")
    top.set(title="a new voice", ylabel="band", xticks=[], yticks=[0, 5, 10])
    for ax, chances, title in ((middle, said, "what the network says"), (below, wanted, "what the loss wanted to hear")):
        for k in range(len(names)):
            ax.plot(chances[:, k], ":" if k == 0 else "-", color="black" if k == 0 else f"C{k}")
        path = chances.argmax(axis=1)
        for step in np.flatnonzero(np.diff(path, prepend=-1)):
            ax.text(step, 1.08, names[path[step]])
        ax.set(title=title, ylabel="probability", xlim=(-0.5, len(sound) - 0.5), ylim=(-0.05, 1.3))
    below.set_xlabel("step")
    right = figure.add_subplot(grid[:, 1])
    for k, (measure, colour) in enumerate((("vowels wrong", "C3"), ("sounds right", "C2"))):
        bars = right.barh(np.arange(len(results)) + 0.4 * k, [result[k] for result in results.values()], 0.36, color=colour,
                          label=measure)
        right.bar_label(bars, fmt="{:.0%}")
    right.set(title="300 new voices", yticks=np.arange(len(results)) + 0.2, xlim=(0, 1.1), xlabel="part of them",
              yticklabels=[name.replace(", ", ",\n") for name in results])
    right.invert_yaxis()
    right.legend(loc="upper right")
    return figure


# lesson 26a
def draw_forecasts(years: np.ndarray, truth: np.ndarray, forecasts: Mapping[str, np.ndarray],
                   losses: Mapping[str, Sequence[float]], ahead: Mapping[str, Sequence[float]]) -> Any:
    """Forecasts for the next year beside the truth, the loss by epoch, and the error by the number of years ahead.

    Arguments:
        years, truth: (years,) what came.
        forecasts: by name, (years,) each.
        losses: by name, one of each epoch.
        ahead: of three kinds of forecast by name, the error for one year ahead, two years, and so on.
    """
    import matplotlib.pyplot as plt
    figure, axes = plt.subplot_mosaic([["years", "years"], ["loss", "ahead"]], figsize=(11, 6.4), layout="constrained",
                                      height_ratios=[1.3, 1])
    axes["years"].plot(years, truth, color="black", lw=2, label="what came")
    colours = dict(zip(ahead, ("C1", "0.6", "C2"), strict=True))
    for name, forecast in forecasts.items():
        axes["years"].plot(years, forecast, ".-", color=colours[name], lw=1, label=name)
    axes["years"].set(ylabel="sunspots", title="one year ahead")
    for name, curve in losses.items():
        axes["loss"].plot(range(1, len(curve) + 1), curve, label=name)
    axes["loss"].set(xlabel="epoch", ylabel="mean squared error, scaled", ylim=0)
    for name, errors in ahead.items():
        axes["ahead"].plot(range(1, len(errors) + 1), errors, ".-", color=colours[name], label=name)
    largest = max(max(errors) for errors in ahead.values())
    axes["ahead"].set(xlabel="years ahead", ylabel="error, in sunspots", ylim=(0, 1.5 * largest))
    for ax in axes.values():
        ax.legend()
    return figure


# lesson 26f
def draw_anomalies(scans: np.ndarray, drawn: np.ndarray, examples: Mapping[str, int], errors: Mapping[str, np.ndarray],
                   threshold: float, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """Scans beside what the autoencoder draws, the errors on either side of the threshold, precision by recall.

    Arguments:
        scans, drawn: (scans, 64).
        examples: by what is said of them, which scans are shown, three.
        errors: by the kind of scan, one for each scan.
        threshold: what is above it is called damaged.
        curves: by name, recall and precision for every threshold.
    """
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    panels = left.subplots(3, 3)
    for row, (name, n) in zip(panels, examples.items(), strict=True):
        off = np.abs(drawn[n] - scans[n])
        for ax, image, colours in zip(row, (scans[n], drawn[n], off), ("gray_r", "gray_r", "Reds"), strict=True):
            ax.imshow(image.reshape(8, 8), cmap=colours, vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    for ax, title in zip(panels[0], ("the scan", "drawn again", "difference"), strict=True):
        ax.set_title(title)
    above, below = right.subplots(2, 1)
    bins = np.linspace(0, max(found.max() for found in errors.values()), 40)
    for (name, found), colour in zip(errors.items(), ("C0", "C3"), strict=True):
        above.hist(found, bins, color=colour, alpha=0.6, label=name)
    above.axvline(threshold, color="black", ls="--", label="threshold")
    above.set(xlabel="error of a scan", ylabel="scans")
    for (name, (recall, precision)), colour in zip(curves.items(), ("C0", "0.6"), strict=True):
        below.plot(recall, precision, color=colour, label=name)
    below.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    for ax in (above, below):
        ax.legend()
    return figure


# lesson 26h
def draw_moving_shapes(films: np.ndarray, frames: np.ndarray, examples: Mapping[str, int], hits: Mapping[str, Sequence[float]],
                       losses: Sequence[float]) -> Any:
    """The loss by epoch, how well the frames fit by how far ahead they are, and how some films go on.

    Arguments:
        films: (films, 8, rows, columns, 1).
        frames: what a network has made of the first four frames, (films, 4, rows, columns, 1).
        examples: by what is said of them, which films are shown.
        hits: by name, the intersection over union for one frame ahead, two frames, and so on.
        losses: one of each epoch.
    """
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(11, 8), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 2])
    loss, fit = above.subplots(1, 2)
    loss.plot(range(1, len(losses) + 1), losses)
    loss.set(xlabel="epoch", ylabel="cross-entropy of a point", ylim=0)
    loss.locator_params(axis="x", integer=True)
    for (name, shares), colour in zip(hits.items(), ("C1", "0.6"), strict=True):
        fit.plot(range(1, len(shares) + 1), shares, ".-", color=colour, label=name)
    fit.set(xlabel="frames ahead", ylabel="intersection over union", ylim=(0, 1.02), xticks=range(1, len(frames[0]) + 1))
    fit.legend()
    for ax, (name, n) in zip(below.subplots(len(examples), 1), examples.items(), strict=True):
        answer = np.concatenate([np.full_like(films[n, :4], 0.5), frames[n]])
        rows = [np.hstack(np.pad(film[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)) for film in (films[n], answer)]
        ax.imshow(np.vstack(rows), cmap="gray", vmin=0, vmax=1)
        wide = films.shape[3] + 2
        ax.set(xticks=(np.arange(8) + 0.5) * wide - 0.5, xticklabels=range(8), yticks=[wide / 2, 1.5 * wide],
               yticklabels=["truth", "painted"], title=f"the film that went on {name}")
    return figure


# lesson 27
def draw_arrays(arrays: Mapping[str, np.ndarray]) -> Any:
    """The arrays of an LSTM one below the other, (rows, 4H) each, with the borders and the names of the four blocks."""
    import matplotlib.pyplot as plt
    rows = [max(len(array), 3) for array in arrays.values()]
    figure, axes = plt.subplots(len(arrays), 1, figsize=(9, 5), layout="constrained", height_ratios=rows)
    bound = max(np.abs(array).max() for array in arrays.values())
    for ax, (name, array) in zip(axes, arrays.items(), strict=True):
        shown = ax.imshow(array, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
        units = array.shape[1] // 4
        for border in (1, 2, 3):
            ax.axvline(border * units - 0.5, color="black", lw=1.5)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(f"{name}\n{len(array)} row{'s' * (len(array) > 1)}", rotation=0, ha="right", va="center")
    axes[-1].set(xticks=[(block + 0.5) * units - 0.5 for block in range(4)], xticklabels=["i", "f", "C̃", "o"])
    figure.colorbar(shown, ax=axes, shrink=0.8)
    return figure


def draw_saliency(image: np.ndarray, slopes: np.ndarray, by_row: np.ndarray, share: np.ndarray) -> Any:
    """A digit (8, 8), the slopes of the loss by its ink, their absolute values by row, ink times slope by row."""
    import matplotlib.pyplot as plt
    figure, (ink, slope, salient, shared) = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained", sharey=True)
    ink.imshow(image, cmap="gray_r")
    ink.set(title="the ink", xticks=[], yticks=range(8), ylabel="row")
    bound = np.abs(slopes).max()
    figure.colorbar(slope.imshow(slopes, cmap="RdBu_r", vmin=-bound, vmax=bound), ax=slope, shrink=0.75)
    slope.set(title="slope of the loss by the ink", xticks=[])
    salient.barh(range(8), by_row, color="C1")
    salient.set(title="saliency by rows", xlabel="sum of absolute slopes")
    shared.barh(range(8), share, color=np.where(share > 0, "C3", "C0"))
    shared.axvline(0, color="black", lw=0.8)
    shared.set(title="ink times slope, by rows", xlabel="above 0 it raises the loss")
    for ax in (salient, shared):
        ax.set_box_aspect(1)
        ax.locator_params(axis="x", nbins=4)
    return figure


def draw_going_on(curves: Mapping[str, Sequence[float]], as_found: float, images: np.ndarray, truth: np.ndarray,
                  told: np.ndarray) -> Any:
    """Shares of right digits by epoch, beside that of the model as it was found; eight digits that are still wrong."""
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(11, 3.8), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
    ax = left.subplots()
    for name, curve in curves.items():
        ax.plot(range(1, len(curve) + 1), curve, marker=".", label=name)
    ax.axhline(as_found, color="0.4", ls="--", label="as it was found")
    ax.set(xlabel="epoch from here on", ylabel="new digits that are right")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend()
    wrong = np.flatnonzero(told != truth)
    for ax in (panels := right.subplots(2, 4)).flat:
        ax.axis("off")
    for ax, k in zip(panels.flat, wrong, strict=False):
        ax.imshow(images[k], cmap="gray_r")
        ax.set_title(f"{truth[k]}, taken for {told[k]}", fontsize=8)
    right.suptitle("still wrong", fontsize=10)
    return figure


# lesson 26b
def draw_writing(curve: Sequence[float], baselines: Mapping[str, float], real: Mapping[float, float],
                 different: Mapping[float, float], line: Sequence[str], cost: np.ndarray) -> Any:
    """Bits by epoch and without a network; real and different words by temperature; the bits of each character of a line."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplot_mosaic([["left", "right"], ["below", "below"]], figsize=(11, 7), layout="constrained")
    left, right, below = axes["left"], axes["right"], axes["below"]
    left.plot(range(1, len(curve) + 1), curve, marker=".", label="LSTM")
    for (name, bits), style in zip(baselines.items(), ("--", ":"), strict=True):
        left.axhline(bits, color="0.4", ls=style, label=name)
    left.set(xlabel="epoch", ylabel="bits a character, unread text", ylim=(0, None))
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend()
    right.plot([*real], [*real.values()], "C2.-", label="words that the text has")
    right.plot([*different], [*different.values()], "C1.-", label="different ones among 100")
    right.set(xlabel="temperature", ylabel="share of the words written", ylim=(0, 1.05))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    right.legend()
    below.bar(range(len(line)), cost)
    below.set(xticks=range(len(line)), ylabel="bits", title="a line of unread text: what each character has cost")
    below.set_xticklabels(["␣" if letter == " " else "↵" if letter == "\n" else letter for letter in line],
                          family="DejaVu Sans Mono")
    return figure


# lesson 26c
def draw_translations(history: Mapping[str, Sequence[float]], right: Mapping[str, np.ndarray], examples: Sequence[str]) -> Any:
    """The share of right characters after each epoch; and of dates that are right as a whole, (spellings,) of each model.

    Arguments:
        examples: one date in each spelling.
    """
    import matplotlib.pyplot as plt
    figure, (left, bars) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=[1, 1.3])
    places = np.arange(len(examples))
    for at, (name, share) in enumerate(right.items()):
        left.plot(range(1, len(history[name]) + 1), history[name], f"C{at}.-", label=name)
        bars.barh(places + 0.4 * at - 0.2, share, 0.4, color=f"C{at}", label=name)
    left.set(xlabel="epoch", ylabel="right characters", title="told the right one before each")
    bars.set(yticks=places, xlim=(0, 1), xlabel="whole dates that are right", title="alone, by spelling")
    bars.set_yticklabels(examples)
    bars.invert_yaxis()
    for axis in (left.yaxis, bars.xaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.legend()
    return figure


def draw_where_it_looks(weights: Sequence[np.ndarray], texts: Sequence[str], written: Sequence[str]) -> Any:
    """One panel for each date: the weights (characters written, characters read)."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(len(texts), 1, figsize=(9, 3.6 * len(texts)), layout="constrained")
    for ax, shares, text, line in zip(axes, weights, texts, written, strict=True):
        image = ax.imshow(shares[:, :len(text)], cmap="magma_r", vmin=0, vmax=1, aspect="auto")
        ax.set(xticks=range(len(text)), yticks=range(len(line)), xlabel="read", ylabel="written")
        ax.set_xticklabels(text.replace(" ", "␣"), family="DejaVu Sans Mono")
        ax.set_yticklabels(line, family="DejaVu Sans Mono")
    figure.colorbar(image, ax=axes, label="weight", shrink=0.6)
    return figure


# lesson 26g
def draw_tunes(tunes: Mapping[str, np.ndarray], given: int, bits: Mapping[str, Mapping[str, float]]) -> Any:
    """Tunes (notes, 2) of pitches and lengths in eighths as bars on a roll, wrong notes in red; the bits of each model a note.

    Arguments:
        tunes: the first one is the right one.
        given: how many notes each of them was given.
        bits: for each task those of each model.
    """
    import matplotlib.pyplot as plt
    figure = plt.figure(figsize=(11, 7.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 1.1])
    right = next(iter(tunes.values()))
    begins = [0, *np.cumsum(right[:, 1])]
    at_right = {(begin, *note) for begin, note in zip(begins, right.tolist(), strict=False)}
    axes = above.subplots(len(tunes), 1, sharex=True, sharey=True)
    for ax, (name, notes) in zip(axes, tunes.items(), strict=True):
        begin = 0
        for k, (pitch, length) in enumerate(notes.tolist()):
            fits = (begin, pitch, length) in at_right
            colour = "0.6" if k < given else "C0" if fits else "C3"
            ax.barh(pitch, length - 0.15, left=begin, height=0.9, color=colour)
            begin += length
        ax.set(ylabel="pitch", title=name, xlim=(0, begins[-1]), xticks=range(0, begins[-1] + 1, 6))
        ax.set_xticklabels([])
        ax.grid(axis="x", lw=0.5)
    axes[-1].set_xlabel("time; a line for each bar. Grey was given, red is wrong")
    ax = below.subplots()
    places = np.arange(len(bits))
    for at, name in enumerate(next(iter(bits.values()))):
        ax.barh(places + 0.38 * at, [of_task[name] for of_task in bits.values()], 0.38, color=f"C{at}", label=name)
    ax.set(yticks=places + 0.19, xlabel="bits a note")
    ax.set_yticklabels(list(bits))
    ax.invert_yaxis()
    ax.legend()
    return figure


# lesson 28
def draw_machines(right: Mapping[str, float], eights: Mapping[str, float], truth: float) -> Any:
    """For each way to put gradients together: how many digits were right, and how many were called an eight."""
    import matplotlib.pyplot as plt
    figure, (left, other) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", sharey=True)
    for ax, shares, colour, title in ((left, right, "C0", "new digits right"), (other, eights, "C3", "called an eight")):
        bars = ax.barh(list(shares), list(shares.values()), color=colour)
        ax.bar_label(bars, [f"{share:.1%}" for share in shares.values()], label_type="center", color="w")
        ax.set(title=title, xlim=(0, 1.15 * max(shares.values())))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    left.invert_yaxis()
    other.axvline(truth, color="k", lw=1, ls="--", label="are eights")
    other.legend(loc="lower right")
    return figure
