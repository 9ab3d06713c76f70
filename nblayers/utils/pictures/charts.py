"""Charts: the course of a training, confusion matrices, weights and gradients over epochs, attention."""
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers.arguments import choice
from nblayers.arrays import as_array, as_numbers, is_strings
from nblayers.utils.confusion import confusion_matrix
from nblayers.utils.pictures.figures import BLUE, VERMILION, finished, grid

if TYPE_CHECKING:
    from nblayers.callbacks import History, WeightHistory
    from nblayers.callbacks.weight_history import Histogram

FEW_EPOCHS = 25                         # that many are marked by a dot each
MOST_NUMBERS = 30                       # a matrix of more classes is shown without numbers
MOST_TICKS = 40                         # of more tokens or classes, only some are named along an axis
CELL = 0.22                             # inches of a token or class along an axis, wide enough for its text
MAP = "cividis"                         # a colour map for eyes with and without colour vision, from dark to light


def plot_history(history: "History", path: Any = None) -> Any:
    """The picture of `History.plot`."""
    names = sorted({name.removeprefix("val_"): None for name in history.history}, key=lambda name: name != "loss")
    if not names:
        raise ValueError("History.plot: no epoch has been recorded yet; call fit first")
    figure, panels = grid(len(names), 2, (6, 4))
    for axes, name in zip(panels, names, strict=True):
        for key, label, colour, line in ((name, "Training", BLUE, "-"), (f"val_{name}", "Validation", VERMILION, "--")):
            if key in history.history:
                _draw_course(axes, history.epochs_of(key), history.history[key], label, colour, line)
        title = _spelled(name)
        axes.set(xlabel="Epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)
    return finished("History.plot", figure, path)


def _draw_course(axes: Any, epochs: Sequence[int], values: Sequence[Any], label: str, colour: str, line: str) -> None:
    table = np.array([np.ravel(value) for value in values], float)
    marker = "o" if len(epochs) <= FEW_EPOCHS else ""
    for column, course in enumerate(table.T):
        axes.plot(epochs, course, line, color=colour, marker=marker, markersize=4, label=None if column else label)


def _spelled(name: str) -> str:
    """ "mean_absolute_error" as "Mean absolute error"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def plot_confusion_matrix(y_true: Any, y_pred: Any = None, labels: Iterable[Any] | None = None, normalize: str | None = None,
                          path: Any = None) -> Any:
    """Show how often samples of each class (rows) were taken for each class (columns).

        plot_confusion_matrix(y_test, model.predict(x_test), labels=["cat", "dog", "hen"])

    Arguments:
        y_true: the true classes, (n,) or (n, 1): numbers from 0, or texts; or one-hot, (n, classes). Without `y_pred`, the
            matrix itself, (classes, classes).
        y_pred: the predicted classes in the same forms; probabilities, (n, classes): the largest counts; or of two
            classes the probability of the second, (n,) or (n, 1), floats from 0 to 1: from 0.5 on it counts.
        labels: the classes' names, in order; for texts also the order. By default numbers, or the texts sorted.
        normalize: None for counts; "true", "pred" or "all" for shares of each row, of each column, of all.
        path: save the picture there.

    Returns:
        The figure (matplotlib's).

    Raises:
        ValueError: classes that are no whole numbers from 0, more of them than labels, texts that are not among the labels,
            unequal lengths, a matrix that is not square, another `normalize`.
    """
    who = "plot_confusion_matrix"
    choice(who, "normalize", normalize, (None, "true", "pred", "all"))
    names = None if labels is None else [str(label) for label in labels]
    if y_pred is None:
        counts = _square(who, y_true)
    else:
        names, counts = _counted(who, y_true, y_pred, names)
    names = [str(i) for i in range(len(counts))] if names is None else names
    if len(names) != len(counts):
        raise ValueError(f"{who}: expected {len(counts)} labels, one for each class, got {len(names)}")
    shown = _normalized(counts, normalize)
    figure, (axes,) = grid(1, 1, _matrix_size(len(names), len(names), names, names))
    image = axes.imshow(shown, cmap=MAP, vmin=0, vmax=1 if normalize in ("true", "pred") else None, aspect="auto")
    if len(names) <= MOST_NUMBERS:
        _write_numbers(axes, image, shown, "{:.2f}" if normalize else "{:,.0f}" if _are_whole(shown) else "{:.3g}")
    _name_ticks(axes, names, names)
    axes.set(xlabel="Predicted class", ylabel="True class")
    what = {None: "samples", "true": "share of the true class", "pred": "share of the predicted class", "all": "share of all"}
    figure.colorbar(image, ax=axes, aspect=30, fraction=0.05, label=what[normalize].capitalize())
    return finished(who, figure, path)


def _square(who: str, matrix: Any) -> np.ndarray:
    counts = np.asarray(as_numbers(matrix, who, "the matrix"), float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"{who}: expected a square matrix, or y_true and y_pred, got one array of shape {counts.shape}")
    if not (counts >= 0).all():
        raise ValueError(f"{who}: expected a matrix of counts, got numbers below 0 or NaN")
    return counts


def _counted(who: str, y_true: Any, y_pred: Any, names: list[str] | None) -> tuple[list[str] | None, np.ndarray]:
    """The names of the classes and the matrix of counts."""
    if is_strings(y_true) or is_strings(y_pred):
        true, predicted = ([str(text) for text in np.ravel(as_array(y, who, what))]
                           for y, what in ((y_true, "y_true"), (y_pred, "y_pred")))
        names = sorted({*true, *predicted}) if names is None else names
        if unknown := {*true, *predicted} - {*names}:
            raise ValueError(f"{who}: expected classes among the labels {names}, got {sorted(unknown)}")
        places = {name: i for i, name in enumerate(names)}
        rows, columns = (np.array([places[text] for text in texts], int) for texts in (true, predicted))
    else:
        rows, columns = _classes(who, "y_true", y_true), _classes(who, "y_pred", y_pred)
    if len(rows) != len(columns) or not len(rows):
        raise ValueError(f"{who}: expected as many y_pred as y_true, at least one, got {len(rows)} true and {len(columns)} "
                         "predicted classes")
    wide = [np.shape(y)[1] for y in (y_true, y_pred) if np.ndim(y) == 2 and not is_strings(y)]
    size = max([int(rows.max()) + 1, int(columns.max()) + 1, *wide]) if names is None else len(names)
    if max(rows.max(), columns.max()) >= size:
        raise ValueError(f"{who}: expected {max(rows.max(), columns.max()) + 1} labels or more, got {size}: {names}")
    return names, confusion_matrix(rows, columns, size, dtype="float64", who=who)


def _classes(who: str, what: str, values: Any) -> np.ndarray:
    """The number of each sample's class."""
    array = np.asarray(as_numbers(values, who, what))
    if array.ndim not in (1, 2):
        raise ValueError(f"{who}: expected {what} of shape (n,), (n, 1) or (n, classes), got {array.shape}")
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(axis=1)
    flat = array.ravel()
    if what == "y_pred" and flat.dtype.kind == "f" and ((flat > 0) & (flat < 1)).any() and ((flat >= 0) & (flat <= 1)).all():
        return (flat >= 0.5).astype(int)
    with np.errstate(invalid="ignore"):
        whole = flat.astype(int)
    if (whole != flat).any() or (whole < 0).any():
        wrong = flat[(whole != flat) | (whole < 0)][0]
        raise ValueError(f"{who}: expected {what} to hold whole numbers from 0 (or probabilities), got {wrong}")
    return whole


def _normalized(counts: np.ndarray, normalize: str | None) -> np.ndarray:
    if normalize is None:
        return counts
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    total = counts.sum(axis=axis, keepdims=True)
    return counts / np.maximum(total, np.finfo(float).tiny)


def _are_whole(numbers: np.ndarray) -> bool:
    return bool((numbers == np.round(numbers)).all())


def _write_numbers(axes: Any, image: Any, numbers: np.ndarray, form: str) -> None:
    """Each number in its cell, dark on light and light on dark."""
    longest = max(len(form.format(number)) for number in numbers.ravel())
    size = min(11.0, 72 * _cell(len(numbers)) / (0.72 * longest))
    for (row, column), number in np.ndenumerate(numbers):
        axes.text(column, row, form.format(number), ha="center", va="center", fontsize=size, color=_ink(image, number))


def _ink(image: Any, value: float) -> str:
    """Black or white, whichever is read better on the colour of the value."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _cell(classes: int) -> float:
    """How many inches wide the cell of a matrix with numbers is."""
    return max(0.42, min(0.9, 4.0 / classes))


def _matrix_size(rows: int, columns: int, names_down: Sequence[str], names_across: Sequence[str]) -> tuple[float, float]:
    """Inches for a matrix with room for the names beside and below it, and a colour bar."""
    cell = _cell(columns) if columns <= MOST_NUMBERS else CELL * min(MOST_TICKS / columns, 1)
    return cell * columns + 0.09 * _longest(names_down) + 1.9, cell * rows + 0.09 * _longest(names_across) + 0.9


def _longest(names: Sequence[str]) -> int:
    return max(map(len, names), default=0)


def _name_ticks(axes: Any, down: Sequence[str], across: Sequence[str]) -> None:
    """The names beside rows and below columns, some of them only where there are too many to be read."""
    for axis, names in ((axes.yaxis, down), (axes.xaxis, across)):
        step = -(-len(names) // MOST_TICKS)
        places = range(0, len(names), step)
        axis.set_ticks(places, [names[i].replace("$", r"\$") for i in places], fontsize=8)
    if _longest(across) > 2:
        axes.tick_params("x", rotation=90)


def plot_attention(scores: Any, queries: Iterable[Any] | None = None, keys: Iterable[Any] | None = None,
                   path: Any = None) -> Any:
    """Show how much each query attends to each key: a map for each head, dark for little and light for much.

        y, scores = MultiHeadAttention(4, 16)(x, x, return_attention_scores=True)
        plot_attention(scores[0], queries=words, keys=words)

    Arguments:
        scores: of one sample: (heads, queries, keys), or (queries, keys) for one head.
        queries, keys: their names (words, positions), numbers by default.
        path: save the picture there.

    Returns:
        The figure (matplotlib's).

    Raises:
        ValueError: scores of another shape (of a whole batch, say), NaN in them, or another number of names.
    """
    who = "plot_attention"
    maps = np.asarray(as_numbers(scores, who, "scores"), float)
    if maps.ndim == 2:
        maps = maps[None]
    if maps.ndim != 3 or not maps.size:
        hint = "; give one sample's, scores[0]" if maps.ndim == 4 else ""
        raise ValueError(f"{who}: expected scores of shape (heads, queries, keys) or (queries, keys), got {maps.shape}{hint}")
    if not np.isfinite(maps).all():
        raise ValueError(f"{who}: expected finite scores, got NaN or infinity")
    down, across = _token_names(who, "queries", queries, maps.shape[1]), _token_names(who, "keys", keys, maps.shape[2])
    size = (max(CELL * min(maps.shape[2], MOST_TICKS) + 0.085 * _longest(down) + 0.5, 1.9),
            max(CELL * min(maps.shape[1], MOST_TICKS) + 0.085 * _longest(across) + 0.9, 1.9))
    figure, panels = grid(len(maps), max(1, int(14 // size[0])), size)
    low, high = min(0.0, float(maps.min())), float(maps.max())
    for head, (axes, scores_of_head) in enumerate(zip(panels, maps, strict=True)):
        image = axes.imshow(scores_of_head, cmap=MAP, vmin=low, vmax=high, aspect="auto")
        _name_ticks(axes, down, across)
        axes.set_title(f"Head {head}" if len(maps) > 1 else "", fontsize=10)
        axes.set(xlabel="Keys", ylabel="Queries")
    figure.colorbar(image, ax=panels, label="Attention", aspect=30, fraction=0.05)
    return finished(who, figure, path)


def _token_names(who: str, what: str, names: Iterable[Any] | None, count: int) -> list[str]:
    found = [str(i) for i in range(count)] if names is None else [str(name) for name in names]
    if len(found) != count:
        raise ValueError(f"{who}: expected {count} names as {what}, one for each, got {len(found)}")
    return found


def plot_weights(history: "WeightHistory", names: Iterable[str] | None = None, path: Any = None) -> Any:
    """Show how the values of each weight are spread, epoch by epoch: light where many are, a line through their medians.

        watched = WeightHistory()
        model.fit(x, y, epochs=20, callbacks=[watched])
        plot_weights(watched)

    Arguments:
        history: what the callback has recorded.
        names: the paths of the weights to show ("dense/kernel"); all by default.
        path: save the picture there.

    Returns:
        The figure (matplotlib's). A cross marks an epoch in which numbers were NaN or infinite.

    Raises:
        TypeError: not a WeightHistory.
        ValueError: nothing recorded, or a name that is no weight's.
    """
    return _plot_histograms("plot_weights", history, "weights", names, path)


def plot_gradients(history: "WeightHistory", names: Iterable[str] | None = None, path: Any = None) -> Any:
    """The same for the gradients of the last batch of each epoch: arguments, returns and raises are those of `plot_weights`."""
    return _plot_histograms("plot_gradients", history, "gradients", names, path)


def _plot_histograms(who: str, history: Any, what: str, names: Iterable[str] | None, path: Any) -> Any:
    from nblayers.callbacks import WeightHistory
    if not isinstance(history, WeightHistory):
        raise TypeError(f"{who}: expected a WeightHistory, got {type(history).__name__} {history!r}")
    recorded: dict[str, list[Histogram]] = getattr(history, what)
    if not recorded:
        raise ValueError(f"{who}: no {what} have been recorded; give the WeightHistory to fit as a callback")
    chosen = list(recorded) if names is None else [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in chosen if name not in recorded] or ([] if chosen else ["no name"]):
        raise ValueError(f"{who}: expected names among {list(recorded)}, got {unknown}")
    figure, panels = grid(len(chosen), 3, (4.2, 2.8))
    for axes, name in zip(panels, chosen, strict=True):
        _draw_histograms(axes, recorded[name])
        axes.set_title(name, fontsize=min(9, 420 / len(name)), parse_math=False)
    for axes in panels:
        axes.set_xlabel("Epoch")
    return finished(who, figure, path)


def _draw_histograms(axes: Any, histograms: "Sequence[Histogram]") -> None:
    """A column for each epoch, as light as its share of values is dense."""
    import matplotlib
    spread = [one for one in histograms if one.counts.sum()]
    axes.set_facecolor(matplotlib.colormaps[MAP](0.0))
    densest = [float(one.density.max()) for one in spread if one.edges[0] < one.edges[-1]]
    for one in spread:
        light = (one.density / max(densest, default=1.0)) ** 0.5 if one.edges[0] < one.edges[-1] else np.ones(1)
        edges = one.edges if one.edges[0] < one.edges[-1] else one.edges[[0, -1]]
        axes.pcolormesh([one.epoch + 0.5, one.epoch + 1.5], edges, light[:, None], cmap=MAP, vmin=0, vmax=1)
    axes.plot([one.epoch + 1 for one in spread], [one.median for one in spread], color="white", linewidth=2.4)
    axes.plot([one.epoch + 1 for one in spread], [one.median for one in spread], color=VERMILION, linewidth=1.4)
    broken = [one.epoch + 1 for one in histograms if one.not_finite]
    if broken:
        axes.plot(broken, [0.06] * len(broken), "x", color="white", transform=axes.get_xaxis_transform())
    axes.xaxis.get_major_locator().set_params(integer=True)
