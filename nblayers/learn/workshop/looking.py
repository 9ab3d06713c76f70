"""Looking at a layer's gradients beside the library's: how large they are, step by step back through time."""
from typing import Any

import numpy as np

from nblayers.learn import workshop
from nblayers.learn.tools import save_figure

STEPS = 24


def norms(piece: workshop.Piece, layer_class: Any) -> tuple[dict[str, tuple[float, float]], np.ndarray, np.ndarray]:
    """For one batch, on the same weights: the norm of each weight's gradient, the layer's and the library's; and the norms
    of dx at each time step (or for each sample of a layer without time), the layer's and the library's.

    A recurrent layer hears something at its last step alone; all that is left of it further back came through time.
    """
    rng = np.random.default_rng(4)
    how: dict[str, Any] = {}
    if piece.is_recurrent:
        options, x = {"units": 8}, rng.normal(size=(16, STEPS, 4))
    else:
        options, (arrays, how) = piece.cases[-1].options, piece.cases[-1].inputs(rng)
        x = arrays[0]
    mine = layer_class(**options, name="my", dtype="float64")
    theirs = piece.library(piece.module.LAYER(**options)).astype("float64").to("reference")
    for layer in (mine, theirs):
        layer.build(x.shape)
    if piece.has_random_weights:
        values = piece.weights(rng, mine)
    else:
        values = [rng.normal(size=w.shape) * (0.6 / w.shape[0] ** 0.5 if len(w.shape) > 1 else 0) for w in mine.weights]
    mine.set_weights(values)
    theirs.set_weights(values)
    sizes, along = [], []
    outputs = [layer.forward(x, **how) for layer in (mine, theirs)]
    dy = rng.normal(size=outputs[1].shape)
    for layer in (mine, theirs):
        dx = np.asarray(layer.backward(dy))
        axis = 1 if piece.is_recurrent else 0
        along.append(np.sqrt((dx ** 2).sum(axis=tuple(k for k in range(dx.ndim) if k != axis))))
        sizes.append([float(np.linalg.norm(w.grad)) for w in layer.weights] + [float(np.linalg.norm(dx))])
    names = [*(w.name for w in mine.weights), "x"]
    return dict(zip(names, zip(*sizes, strict=True), strict=True)), along[0], along[1]


def draw_norms(piece: workshop.Piece, mine: np.ndarray, theirs: np.ndarray, figure: str) -> None:
    """Both norms along time (or the samples), saved as lessons/out/FIGURE.png."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
    places = np.arange(1, len(mine) + 1)
    style = "-" if piece.is_recurrent else ""
    ax.plot(places, np.maximum(mine, 1e-17), "o" + style, color="tab:orange", markersize=8, linewidth=3, alpha=0.7,
            label="this layer")
    ax.plot(places, np.maximum(theirs, 1e-17), "x" + style, color="black", linewidth=1, label="the library's")
    if piece.is_recurrent:
        ax.set(yscale="log", xlabel="time step t; only the last one has a loss", ylabel="norm of the gradient of $x_t$")
    else:
        ax.set(ylim=(0, None), xlabel="sample", ylabel="norm of the gradient of x", xticks=places)
    ax.legend()
    save_figure(fig, figure)
