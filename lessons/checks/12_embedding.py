"""Checks of lesson 12: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]

SUM = "a word that occurs several times gets one of its gradients only; it should get their sum: np.add.at(dE, ids, dy)"


# Forward

def turn_y(lesson: SimpleNamespace) -> Known:
    ids, E = lesson.ids, lesson.E
    return {"those are the rows that stand one higher; ids count from 0, as NumPy does": E[ids - 1],
            "that is text 0 alone; index with all ids at once": E[ids[0]],
            "those are the ids; the rows of E that they name are asked for": ids,
            "the last axis should be that of the numbers of a word: (N, T, D)": E[ids].transpose(0, 2, 1)}


def turn_onehot(lesson: SimpleNamespace) -> Known:
    ids, V = lesson.ids, lesson.V
    return {"the places of 0 and 1 are swapped": 1 - np.eye(V)[ids],
            "that is one row of V for a whole text; each place in it has a row of its own":
                np.eye(V)[ids].sum(axis=1),
            "each row is as long as there are ids, V": np.eye(V - 1)[np.minimum(ids, V - 2)],
            "the 1 stands at the id itself, not one before it: ids count from 0": np.eye(V)[ids - 1],
            "the axis of the ids comes last: (N, T, V)": np.eye(V)[ids].transpose(0, 2, 1)}


def turn_y_product(lesson: SimpleNamespace) -> Known:
    onehot, E = lesson.onehot, lesson.E
    return {"that is the sum over the steps too; each place keeps its own vector": (onehot @ E).sum(axis=1),
            "every place gets the sum of all rows; multiply by onehot": np.ones_like(onehot) @ E,
            "that is the table with the rows in the opposite order": onehot @ E[::-1]}


def turn_m(lesson: SimpleNamespace) -> Known:
    ids = lesson.ids
    return {"it is the other way round: 1 at a word, 0 at padding": (ids == 0).astype(float),
            "those are the ids; a mask has 1 at each word": ids.astype(float),
            "all steps count; padding should have 0": np.ones(ids.shape),
            "word 1 is a word too: only id 0 is padding": (ids > 1).astype(float)}


def turn_s(lesson: SimpleNamespace) -> Known:
    y, m, k = lesson.y, lesson.m[:, :, None], lesson.k
    return {"padding is in the mean: multiply y by the mask": y.mean(axis=1),
            "padding is in the sum: multiply y by the mask": y.sum(axis=1) / k,
            "it is divided by T; divide by k, the number of real words": (y * m).mean(axis=1),
            "that is the sum; divide it by k": (y * m).sum(axis=1),
            "it is multiplied by k; divide": (y * m).sum(axis=1) * k,
            "the mean runs over the texts; it should run over the steps, axis 1": (y * m).mean(axis=0)}


# Backward

def turn_ds(lesson: SimpleNamespace) -> Known:
    s, target = lesson.s, lesson.target
    return {"the sign is turned: where s is larger than its target, more of s makes the loss larger": target - s,
            "a factor of 2 is too much: the loss is half the square": 2 * (s - target),
            "that is s; the target has to be taken off": s,
            "it is divided by N; this loss is a sum over the texts": (s - target) / 2,
            "that is the loss of each number; its derivative is asked for": (s - target) ** 2 / 2}


def turn_dy(lesson: SimpleNamespace) -> Known:
    ds, m, k = lesson.ds[:, None], lesson.m[:, :, None], lesson.k[:, :, None]
    return {"padding gets a gradient; it does not stand in the mean: multiply by the mask": np.ones_like(m) * ds / k,
            "the mean divides by k, so its gradient does too": m * ds,
            "it is divided by T; the mean divides by k, the number of real words": m * ds / 3,
            "it is multiplied by k; the mean divides": m * ds * k,
            "y itself does not come in: each word of a text gets the same": m * ds / k * lesson.y}


def turn_dE_product(lesson: SimpleNamespace) -> Known:
    onehot, dy = lesson.onehot, lesson.dy
    right = _gradient(lesson.ids, dy, lesson.V)
    return {"it is transposed: dE has the shape of E, (V, D)": right.T,
            "that is text 0 alone; both texts say something to the same table": _gradient(lesson.ids[:1], dy[:1], lesson.V),
            "that is text 1 alone; both texts say something to the same table": _gradient(lesson.ids[1:], dy[1:], lesson.V),
            "that is one matrix for each text; they share the table, so add over the texts":
                np.einsum("ntv,ntd->nvd", onehot, dy),
            "it is divided by the number of places; the gradient is a sum": right / 6,
            "that is made with y; what comes back is dy": _gradient(lesson.ids, lesson.y, lesson.V)}


def turn_dE(lesson: SimpleNamespace) -> Known:
    ids, dy, V = lesson.ids, lesson.dy, lesson.V
    shifted = np.zeros((V, dy.shape[-1]))
    np.add.at(shifted, ids - 1, dy)
    return {"a word that occurs often gets its last gradient only; add place by place": _trapped(ids, dy, V),
            "that is text 0 alone; range(2) goes over both": _gradient(ids[:1], dy[:1], V),
            "the last step is left out; range(3) goes over 0, 1 and 2": _gradient(ids[:, :2], dy[:, :2], V),
            "the rows are one too high; ids count from 0, as NumPy does": shifted,
            "it is taken off; the gradient is a sum": -_gradient(ids, dy, V),
            "that is the mean over the places of a word; the gradient is their sum":
                _gradient(ids, dy, V) / np.maximum(np.bincount(ids.ravel(), minlength=V), 1)[:, None]}


def turn_embedding_backward(lesson: SimpleNamespace, given: Callable) -> None:
    for shape in ((6,), (2, 5), (2, 2, 3)):
        rng = np.random.default_rng(12)
        ids = rng.integers(0, 4, shape)
        dy = rng.normal(size=(*shape, 3)).round(2)
        _expect_gradient(given(ids.copy(), dy.copy(), 6), ids, dy, 6, f"dE for ids of shape {shape}")


def turn_part(lesson: SimpleNamespace) -> Known:
    return {"that is the number of rows; divide it by all of them": np.array(3200.0),
            "that is the words of one text; the batch has 32": np.array(0.005),
            "that is the number of texts by that of rows; each text has 100 words": np.array(0.0016),
            "it is turned over: how many of all rows move?": np.array(6.25),
            "those are per cent; the part is a number below 1": np.array(16.0),
            "that is the part that cannot move": np.array(0.84)}


def turn_E_sparse(lesson: SimpleNamespace) -> Known:
    E, dE, eta, touched = lesson.E, lesson.dE, lesson.eta, lesson.touched
    return {"that goes uphill; a step of descent is against the gradient": E + eta * dE,
            "eta is missing": E - dE,
            "the step has replaced the rows; take it off them (`-=`)": _with(E, touched, -eta * dE[touched]),
            "only row 1 has moved; `touched` holds all": _with(E, [1], E[1] - eta * dE[1]),
            "nothing has moved: write back into E_sparse[touched] (`-=`)": E}


def _with(E: np.ndarray, rows: np.ndarray | list[int], values: np.ndarray) -> np.ndarray:
    changed = E.copy()
    changed[rows] = values
    return changed


def _gradient(ids: np.ndarray, dy: np.ndarray, V: int) -> np.ndarray:
    """dE (V, D): each row the sum of dy over the places of its id."""
    dE = np.zeros((V, dy.shape[-1]))
    np.add.at(dE, ids, dy)
    return dE


def _trapped(ids: np.ndarray, dy: np.ndarray, V: int) -> np.ndarray:
    """What `dE[ids] += dy` makes: the last place of an id wins."""
    dE = np.zeros((V, dy.shape[-1]))
    for index in np.ndindex(ids.shape):
        dE[ids[index]] = dy[index]
    return dE


def _expect_gradient(got: object, ids: np.ndarray, dy: np.ndarray, V: int, name: str) -> None:
    right = _gradient(ids, dy, V)
    counts = np.maximum(np.bincount(ids.ravel(), minlength=V), 1)[:, None]
    expect_close(got, right, name, {
        SUM: _trapped(ids, dy, V),
        "that is the mean over the places of a word; the gradient is their sum": right / counts,
        "that is a row for each id that occurs; the table has V rows, those of absent words stay 0": right[np.unique(ids)],
        "it is divided by the number of places; the gradient is a sum": right / ids.size,
        "it is multiplied by the number of places of a word; each place brings its own dy, once": right * counts})


# Exercises

def exercise_1(answer: Answer) -> None:
    """The gradient of a table, on paper

    dE (3 numbers) for the ids (2, 0, 2) and dy = (1, 5, 3): what comes to the three rows.
    """
    answer.on_paper("dE", [5, 0, 4], [
        "For each row, ask at which places its id stands. Add what comes back to these places.",
        "Id 2 stands at the first and the last place."], {
        "those are the gradients in the order of the places; put them into the rows that the ids name": [1, 5, 3],
        "row 2 has only its last gradient; it stands at two places and gets their sum": [5, 0, 3],
        "row 2 has only its first gradient; it stands at two places and gets their sum": [5, 0, 1],
        "row 2 has the mean; it gets the sum": [5, 0, 2],
        "ids count from 0: row 0 comes first": [0, 4, 5]})


def exercise_2(answer: Answer) -> None:
    """The whole backward of a text classifier

    text_backward(ids, E, W, dz): returns dE, dW, db of z = s W + b, where s is the mean of the real words of each text. ids
    (N, T) with 0 for padding, E (V, D), W (D, C), dz (N, C).
    """
    names = ("db", "dW", "dE")

    def compare(N: int, T: int, V: int, D: int, C: int) -> None:
        numbers = _texts(N, T, V, D, C)
        dE, dW, db = returned(answer.function("text_backward")(*numbers), "text_backward", "dE", "dW", "db")
        right = _text_backward(*numbers)
        wrong = mistakes.spoiled(right, lambda mistake: _text_backward(*numbers, mistake), TEXT)
        expect_all((db, dW, dE), right, wrong, names, "text_backward")

    for_each_size(answer, compare, [(1, 1, 2, 1, 1), (1, 3, 2, 1, 1), (2, 3, 4, 2, 1), (3, 5, 6, 2, 4)])


TEXT = {"trap": SUM,
        "no mask": "padding gets a gradient: multiply dy by the mask, ids != 0",
        "by T": "dy is divided by T; the mean divides by the number of real words of each text",
        "not divided": "dy is not divided; the mean divides by the number of real words of each text",
        "padding in s": "dW is made with a mean that holds padding; leave it out of s",
        "sum for s": "dW is made with the sum of the words; s is their mean",
        "one count": "every text is divided by the same number; each has its own number of real words",
        "mean over the batch": "the gradients are divided by N; they are sums over the texts"}


def _text_backward(ids: np.ndarray, E: np.ndarray, W: np.ndarray, dz: np.ndarray, mistake: str = "") -> dict[str, np.ndarray]:
    m = (ids != 0).astype(float)[:, :, None]
    k = m.sum(axis=1)
    s = {"padding in s": E[ids].mean(axis=1), "sum for s": (E[ids] * m).sum(axis=1)}.get(mistake, (E[ids] * m).sum(axis=1) / k)
    ds = dz @ W.T
    by = {"by T": ids.shape[1], "not divided": 1, "one count": k.mean()}.get(mistake, k[:, None])
    dy = (np.ones_like(m) if mistake == "no mask" else m) * ds[:, None] / by
    dE = (_trapped if mistake == "trap" else _gradient)(ids, dy, len(E))
    parts = {"dE": dE, "dW": s.T @ dz, "db": dz.sum(axis=0)}
    return {name: value / len(ids) for name, value in parts.items()} if mistake == "mean over the batch" else parts


def _texts(N: int, T: int, V: int, D: int, C: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(12)
    ids = rng.integers(1, V, (N, T))
    for n in range(N):
        ids[n, T - (n + (N == 1)) % T:] = 0             # padding behind; the first text of several has none
    return ids, *(rng.normal(size=size).round(2) for size in ((V, D), (D, C), (N, C)))


def exercise_3(answer: Answer) -> None:
    """The line that forgets

    The function embedding_backward at the end of the lesson has a bug. Write it right as
    fixed_embedding_backward(ids, dy, V): dE (V, D), for ids of any shape, also where an id occurs several times.
    """
    rng = np.random.default_rng(3)
    ids, dy = rng.integers(0, 4, (2, 5)), rng.normal(size=(2, 5, 3)).round(2)
    _expect_gradient(answer.function("fixed_embedding_backward")(ids, dy, 6), ids, dy, 6, "dE")


def exercise_4(answer: Answer) -> None:
    """How long half of the table waits

    batches: after how many batches of 320 words half of the 5000 rows have been moved (a tenth more or less will do).
    """
    batches = float(answer.array("batches", ()))
    p = 1 / np.arange(1, 5001)
    moved = np.mean(1 - (1 - p / p.sum()) ** (320 * max(batches, 0)))
    if not 0.47 < moved < 0.53:
        raise Wrong(f"after {batches:g} batches {moved:.0%} of the rows have moved: "
                    f"{'fewer' if moved > 0.5 else 'more'} are asked for")
