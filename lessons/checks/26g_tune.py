"""Checks of lesson 26g: its turns and its exercises."""
from collections import defaultdict
from types import SimpleNamespace

import numpy as np

from lessons.data import minuet
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size
from nblayers.learn.mistakes import softmax

Known = dict[str, np.ndarray]


# Notes

def turn_frequency(lesson: SimpleNamespace) -> Known:
    keys = lesson.pitches - 69
    return {"twelve keys make it twice as large; here one key does: divide by 12": 440 * 2.0 ** keys,
            "pitch 69 has 440 Hz; take 69 off": 440 * 2 ** (lesson.pitches / 12),
            "each key makes it larger by the same factor; here something is added": 440 * (1 + keys / 12),
            "the sign is turned: to the right it gets higher": 440 * 2 ** (-keys / 12),
            "440 is missing": 2 ** (keys / 12)}


def turn_begins(lesson: SimpleNamespace) -> Known:
    lengths = lesson.lengths
    return {"that is when each note ends": np.cumsum(lengths),
            "those are the places of the notes; they have lengths": np.arange(len(lengths)),
            "that is one too much: the first one begins at 0": np.cumsum(lengths) - lengths + 1,
            "the last length is not needed, and 0 stands in front": np.append(0, np.cumsum(lengths))}


def turn_x(lesson: SimpleNamespace) -> Known:
    E, F, pitch, length = lesson.E, lesson.F, lesson.pitch, lesson.length
    return {"the rows of F stand in front; E first": np.concatenate([F[length], E[pitch]], axis=2),
            "the rows of E alone": E[pitch], "the rows of F alone": F[length],
            "they are added; put them side by side": E[pitch] + F[length]}


def turn_loss(lesson: SimpleNamespace) -> dict[str, float]:
    of_note = lesson.of_note
    return {"the sign is turned: a logarithm of a probability is below 0": np.log(of_note).mean(),
            "that is the sum; take the mean over all notes": -np.log(of_note).sum(),
            "that is the logarithm of the mean; take the mean of the logarithms": -np.log(of_note.mean()),
            "that is divided by two; the losses of pitch and length are added": -np.log(of_note).mean() / 2,
            "that is in bits; the loss has the natural logarithm": -np.log2(of_note).mean()}


# Backward

def turn_dz(lesson: SimpleNamespace) -> Known:
    p, right, count = lesson.p, lesson.next_pitch, lesson.N * lesson.T
    return {"the loss is a mean over all notes: divide by N T": p - right,
            "that is divided by the samples alone; the mean is over N T notes": (p - right) / lesson.N,
            "that is divided by the steps alone; the mean is over N T notes": (p - right) / lesson.T,
            "the sign is wrong: with more of z at the right pitch the loss falls": (right - p) / count,
            "two losses are added, and none is halved": (p - right) / count / 2,
            "that is the gradient by the probabilities; dz has gone through the softmax": -right / p / count}


def turn_dh(lesson: SimpleNamespace) -> Known:
    by_pitch, by_length = lesson.dz @ lesson.V.T, lesson.dr @ lesson.R.T
    return {"that is the way from the pitches alone; the lengths read h too": by_pitch,
            "that is the way from the lengths alone; the pitches read h too": by_length,
            "what arrives in two ways is added up; that is their mean": (by_pitch + by_length) / 2,
            "R is not transposed": by_pitch + lesson.dr @ lesson.R,
            "V and R are left out": np.broadcast_to((lesson.dz.sum(axis=2) + lesson.dr.sum(axis=2))[..., None], by_pitch.shape)}


def turn_dE(lesson: SimpleNamespace) -> Known:
    pitch, dx = lesson.pitch, lesson.dx
    once, other, mean = (np.zeros_like(lesson.E) for _ in range(3))
    once[pitch] = dx[..., :2]
    np.add.at(other, pitch, dx[..., 1:])
    counts = np.bincount(pitch.ravel(), minlength=len(once))
    np.add.at(mean, pitch, dx[..., :2])
    return {"a pitch that comes often gets one of its rows only: dE[pitch] += … adds once; use np.add.at": once,
            "those are the last two numbers of dx; those of E are the first two": other,
            "that is the mean for each pitch; what arrives is added up": mean / np.maximum(counts, 1)[:, None],
            "that is with x; what arrives is dx": _added(lesson.E, pitch, lesson.x[..., :2])}


def _added(table: np.ndarray, kinds: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What arrives at a table: `rows` (N, T, D), each added to the row of its kind (N, T)."""
    total = np.zeros_like(table)
    np.add.at(total, kinds, rows)
    return total


def turn_chain(lesson: SimpleNamespace) -> Known:
    counts, share = lesson.counts, lesson.share
    sums = counts.sum(axis=1, keepdims=True)
    return {"each row sums to 1: what comes after one note": (counts + share) / (counts.sum(axis=0) + 1),
            "the shares are one more note in each row: the sum grows by 1": (counts + share) / np.maximum(sums, 1),
            "the shares are not mixed in": counts / (sums + 1),
            "that adds one to each count; the shares sum to 1 in all": (counts + 1) / (sums + 8),
            "the shares belong to the notes that come, along the last axis": (counts + share[:, None]) / (sums + 1)}


def turn_right(lesson: SimpleNamespace) -> dict[str, float]:
    equal = lesson.said == lesson.truth
    return {"that counts pitches and lengths for themselves; a note is right if both are": equal.mean(),
            "that looks at the pitches alone": equal[:, 0].mean(),
            "that looks at the lengths alone": equal[:, 1].mean(),
            "that is the number of right notes; what share of all is it?": equal.all(axis=1).sum(),
            "that counts a note if one of both is right": equal.any(axis=1).mean()}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Pitch, time and bits, on paper

    frequencies of the pitches 57 and 81; begins of notes with the lengths 2, 1, 1, 2; bits of a note with 1/4 for its pitch and
    1/2 for its length.
    """
    answer.on_paper("frequencies", [220, 880], [
        "69 is 440 Hz. How many keys lie between, and what do twelve keys do?"], {
        "they have changed places: to the right it gets higher": [880, 220]})
    answer.on_paper("begins", [0, 2, 3, 4], ["The first one begins at 0, each other one where the one before ends."], {
        "that is when they end": [2, 3, 4, 6], "those are their places": [0, 1, 2, 3]})
    answer.on_paper("bits", 3, ["The probability of the note is the product of both.", "It is 1/8."], {
        "that is the pitch alone": 2, "that is the length alone": 1, "that is the natural logarithm": np.log(8)})


def exercise_2(answer: Answer) -> None:
    """A whole backward, from two losses to two tables

    notes_backward(pitch, length, E, F, W, V, R, next_pitch, next_length): dE, dF, dW, dV, dR. pitch, length, next_pitch and
    next_length (N, T) are numbers; x = [E[pitch], F[length]], h = tanh(x W), z = h V, r = h R; the loss is the mean over all
    notes of both cross-entropies, added.
    """
    def check(N: int, T: int, pitches: int, lengths: int, D: int) -> None:
        rng = np.random.default_rng(10 * N + T)
        E, F, W = rng.normal(size=(pitches, D)), rng.normal(size=(lengths, 1)), rng.normal(size=(D + 1, 3))
        V, R = rng.normal(size=(3, pitches)), rng.normal(size=(3, lengths))
        pitch, length = rng.integers(pitches, size=(N, T)), rng.integers(lengths, size=(N, T))
        next_pitch, next_length = rng.integers(pitches, size=(N, T)), rng.integers(lengths, size=(N, T))
        given = pitch, length, E, F, W, V, R, next_pitch, next_length
        result = answer.function("notes_backward")(*given)
        expect_all(result, *_notes_backward(*given), ("dE", "dF", "dW", "dV", "dR"), "notes_backward",
                   {"dE": ("pitch",), "dF": ("length",)}, order=("dV", "dR", "dW", "dE", "dF"))
    for_each_size(answer, check, [(1, 1, 2, 2, 1), (2, 4, 3, 2, 2), (3, 5, 4, 3, 2)])


def _notes_backward(pitch: np.ndarray, length: np.ndarray, E: np.ndarray, F: np.ndarray, W: np.ndarray, V: np.ndarray,
                    R: np.ndarray, next_pitch: np.ndarray, next_length: np.ndarray
                    ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    D = E.shape[1]
    x = np.concatenate([E[pitch], F[length]], axis=2)
    h = np.tanh(x @ W)
    dz = (softmax(h @ V) - np.eye(V.shape[1])[next_pitch]) / pitch.size
    dr = (softmax(h @ R) - np.eye(R.shape[1])[next_length]) / pitch.size

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("nti,ntj->ij", a, b)

    def below(dh: np.ndarray, slope: np.ndarray = 1 - h ** 2) -> mistakes.Values:
        dx = (dh * slope) @ W.T
        return {"dW": product(x, dh * slope), "dE": _added(E, pitch, dx[..., :D]), "dF": _added(F, length, dx[..., D:])}

    dh = dz @ V.T + dr @ R.T
    right = {"dV": product(h, dz), "dR": product(h, dr)} | below(dh)
    dx = (dh * (1 - h ** 2)) @ W.T
    once_E, once_F = np.zeros_like(E), np.zeros_like(F)
    once_E[pitch], once_F[length] = dx[..., :D], dx[..., D:]
    return right, {
        "the loss is a mean over all notes: divide by N T": {name: value * pitch.size for name, value in right.items()},
        "that is divided by the samples alone: divide by N T": {
            name: value * pitch.shape[1] for name, value in right.items()},
        "two losses are added, and none is halved": {name: value / 2 for name, value in right.items()},
        "the sign is turned": {name: -value for name, value in right.items()},
        "only the pitches are heard on the way down; the lengths read h too": below(dz @ V.T),
        "only the lengths are heard on the way down; the pitches read h too": below(dr @ R.T),
        "the slope of the tanh is missing": below(dh, np.ones_like(h)),
        "the slope of the tanh lacks its square": below(dh, 1 - h),
        "a kind that comes often gets one of its rows only: dE[pitch] += … adds once; use np.add.at": {
            "dE": once_E, "dF": once_F}}


def exercise_3(answer: Answer) -> None:
    """It repeats itself

    The function play at the end of the lesson has a bug. Write it right as fixed_play(predict, notes, count, T): all notes,
    (given + count, 2). predict takes the window (T, 2) and gives the next note, (2,).
    """
    notes, T = np.random.default_rng(6).integers(1, 9, size=(7, 2)), 4
    weights = np.arange(1, 2 * T + 1).reshape(T, 2)

    def predict(window: np.ndarray) -> np.ndarray:
        window = np.asarray(window)
        if window.shape != (T, 2):
            raise Wrong(f"predict should be given the window (T, 2), ({T}, 2) here, but it is {window.shape}")
        return np.array([(window * weights).sum() % 11, (window[::-1] * weights).sum() % 7])

    def played(mistake: str = "") -> np.ndarray:
        tune = notes
        for _ in range(5):
            window = {"first": tune[:T], "given": notes[-T:], "turned": tune[-T:][::-1]}.get(mistake, tune[-T:])
            tune = np.concatenate([tune, [predict(window)]])
        return tune

    right = played()
    expect_close(answer.function("fixed_play")(predict, notes, 5, T), right, "the tune", {
        "it still goes on from the first T notes; the last ones are notes[-T:]": played("first"),
        "it goes on from the last notes that were given; its own have to come in": played("given"),
        "the window is turned round: the last note stands last": played("turned"),
        "those are the new notes alone; return those that were given too": right[len(notes):]}, axes=("note",))


def exercise_4(answer: Answer) -> None:
    """How much a chain could know

    sure_by_one and sure_by_two: in A A B B, the share of the places where what comes is the only note that ever follows the one
    note, or the two notes, before it.
    """
    first, second = ([tuple(note) for note in part.tolist()] for part in minuet())
    tune = [*first, *first, *second, *second]
    for name, known in (("sure_by_one", 1), ("sure_by_two", 2)):
        share = float(as_array(answer.array(name, ()), name))
        right, kinds = _sure(tune, known)
        if share > 1:
            raise Wrong(f"{name} is {share:g}; a share is between 0 and 1")
        if abs(share - kinds) < 5e-4:
            raise Wrong(f"{name}: that counts each note before once; count all places where it stands", recognised=True)
        if abs(share - (1 - right)) < 5e-4:
            raise Wrong(f"{name}: that is the share of the places where several notes may follow", recognised=True)
        if abs(share - right) > 5e-4:
            raise Wrong(f"{name} is not {share:g}: gather in a dictionary which notes follow each "
                        f"{'note' if known == 1 else 'pair'}; a note is pitch and length")


def _sure(tune: list[tuple[int, int]], known: int) -> tuple[float, float]:
    """The share of places, and that of kinds of `known` notes before, after which only one note ever comes."""
    after = defaultdict(set)
    before = [tuple(tune[at - known:at]) for at in range(known, len(tune))]
    for notes, note in zip(before, tune[known:], strict=True):
        after[notes].add(note)
    return float(np.mean([len(after[notes]) == 1 for notes in before])), float(np.mean([len(n) == 1 for n in after.values()]))
