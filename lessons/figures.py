"""The figures of the lessons: each function returns a matplotlib figure."""
import numpy as np


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
    right.axhline(baseline, color="0.5", linestyle=":", label="baseline")
    right.axhline(0.1, color="0.8", linestyle=":", label="chance")
    right.set(xlabel="learning rate", ylabel="right of the new digits", ylim=(0, 1),
              title="after 5 epochs")
    left.legend()
    right.legend(loc="center left")
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
