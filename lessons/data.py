"""The lessons' data: what is shipped with them, and what is made from a seed. Nothing is downloaded."""
import csv
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from nblayers.notebook import in_notebook

HERE = Path(__file__).resolve().parent


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits of 8 × 8 points: images (1797, 8, 8) float64 from 0 to 16, labels (1797,) int64 from 0 to 9.

    Each point counts the inked ones among 4 × 4 of a scan. They are the test part of "Optical Recognition of Handwritten
    Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49,
    licence CC BY 4.0; the same and in the same order as scikit-learn's `load_digits()`.
    """
    with np.load(HERE / "digits.npz", allow_pickle=False) as file:
        return file["images"].astype(np.float64), file["labels"].astype(np.int64)


# lesson 00
def zeros_and_ones() -> tuple[np.ndarray, np.ndarray]:
    """The zeros and ones among `digits`, mixed: the mean ink of the middle and of the sides (N, 2) from 0 to 1; labels (N,)."""
    images, labels = digits()
    kept = np.random.default_rng(0).permutation(np.flatnonzero(labels < 2))
    images, labels = images[kept] / 16, labels[kept]
    middle = images[:, 2:6, 3:5].mean(axis=(1, 2))
    sides = images[:, 2:6, [1, 2, 5, 6]].mean(axis=(1, 2))
    return np.stack([middle, sides], axis=1), labels


# lesson 01
def tide(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the sea with noise: hours (48,), one in two, and metres (48,)."""
    hours = np.arange(48) * 2.0
    noise = rng.normal(scale=0.2, size=hours.size)
    return hours, 1.5 * np.sin(2 * np.pi * hours / 12.4 + 0.6) + 3.0 + noise


# lesson 02
def strokes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of 8 × 8 points with one stroke each: lying, standing, rising, falling.

    Returns pictures (count, 64) and, of each, a row of (count, 4) that is 1 at its kind.
    """
    pictures = rng.normal(scale=0.3, size=(count, 8, 8))
    kinds = rng.integers(4, size=count)
    along = np.arange(5)
    for picture, kind in zip(pictures, kinds, strict=True):
        row, column = rng.integers(3, size=2)
        rows = row + [2 + 0 * along, along, 4 - along, along][kind]
        columns = column + [along, 2 + 0 * along, along, along][kind]
        picture[rows, columns] += 1
    return pictures.reshape(count, 64), np.eye(4)[kinds]


# lesson 03
def two_moons(samples: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on two half circles that hook into each other, and which one each is on.

    Returns points (samples, 2) and kinds (samples,), 0 and 1 in turn.
    """
    kind = np.arange(samples) % 2
    angle = rng.uniform(0, np.pi, samples)
    side = 1 - 2 * kind                                 # 1 for the upper, -1 for the lower
    points = np.stack([side * np.cos(angle) + kind,
                       side * np.sin(angle) + 0.5 * kind], axis=1)
    return points + rng.normal(scale=noise, size=points.shape), kind


# lesson 04
def three_spirals(samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (samples, 2) on three noisy arms, and the arm of each: 0, 1, 2 in turn."""
    arm = np.arange(samples) % 3
    radius = rng.uniform(0.1, 1, samples)
    noise = rng.normal(scale=0.35, size=samples)
    angle = 4 * radius + arm * 2 * np.pi / 3 + noise
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), arm


# lesson 06
def binary_sums(rng: np.random.Generator, count: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of random binary numbers, the ones first: x (count, digits, 2), and the digits of their sums (count, digits, 1)."""
    numbers = rng.integers(2 ** digits, size=(2, count, 1))
    first, second, total = (number >> np.arange(digits) & 1 for number in (*numbers, numbers.sum(axis=0)))
    return np.stack([first, second], axis=2), total[..., None]


def steps_since_decided(x: np.ndarray) -> np.ndarray:
    """For every digit of the sums of `binary_sums`, how long ago it was decided whether a one is kept for it.

    x (count, digits, 2) -> (count, digits) integers: 0 where the digits just before it are equal, 1 where those before these
    are the last equal ones, and so on; for the first digit -1, since nothing is kept.
    """
    steps = np.arange(x.shape[1])
    decided = np.maximum.accumulate(np.where(x[..., 0] == x[..., 1], steps, -1), axis=1)
    return np.concatenate([np.full((len(x), 1), -1), steps[:-1] - decided[:, :-1]], axis=1)


# lesson 07
def blank_after(images: np.ndarray, blank: int) -> np.ndarray:
    """Images (N, rows, columns) as sequences of rows, then `blank` steps of zeros: (N, rows + blank, columns) float32."""
    return np.pad(images, [(0, 0), (0, blank), (0, 0)]).astype(np.float32)


# lesson 08
def read_text(arguments: Sequence[str]) -> str:
    """Python's own help as prose, or the file of `--text FILE`; small letters, at most 300,000 characters.

    Raises:
        SystemExit: another option, no such file, or a text of less than 5000 characters.
    """
    if arguments and not in_notebook():
        if arguments[0] != "--text" or len(arguments) != 2:
            raise SystemExit(f"the only option of this lesson is --text FILE, but it was given {' '.join(arguments)!r}")
        return _own_text(Path(arguments[1]))
    from pydoc_data.topics import topics
    paragraphs = [" ".join(paragraph.split()) for topic in topics.values() for paragraph in topic.split("\n\n")]
    return "\n".join(filter(_is_prose, paragraphs))[:300_000].lower()


def _own_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SystemExit(f"--text: {path} cannot be read: {error.strerror}") from None
    if len(text) < 5000:
        raise SystemExit(f"--text: expected 5000 characters or more, got {len(text)}")
    return text[:300_000].lower()


def _is_prose(paragraph: str) -> bool:
    """Letters and spaces for the most part: neither a table nor a program."""
    return sum(c.isalpha() or c == " " for c in paragraph) > 0.9 * len(paragraph)


def numbers_and_marks() -> np.ndarray:
    """50 numbers between -1 and 1, each with a mark that is 1 at three steps and 0 elsewhere; (1, 50, 2)."""
    numbers = np.random.default_rng(0).uniform(-1, 1, 50)
    marks = np.isin(np.arange(50), [4, 18, 37])
    return np.stack([numbers, marks], axis=1)[None]


def write_texts(model: Any, start: np.ndarray, chars: np.ndarray, temperatures: Sequence[float], count: int = 300) -> list[str]:
    """Let a model write `count` characters after `start`, at each temperature, side by side.

    Arguments:
        model: gives (texts, steps, characters) probabilities of the next character for (texts, steps) numbers.
        start: the numbers of the characters with which each text begins.
        chars: the characters by number.
        temperatures: what the logarithms of the probabilities are divided by.
    """
    rng = np.random.default_rng(0)
    texts = np.tile(start, (len(temperatures), 1))
    for _ in range(count):
        p = model.predict(texts[:, -len(start):], verbose=0)[:, -1].astype(np.float64)
        p = np.exp(np.log(np.maximum(p, 1e-30)) / np.array(temperatures)[:, None])
        drawn = [rng.choice(len(chars), p=row / row.sum()) for row in p]
        texts = np.column_stack([texts, drawn])
    return [textwrap.fill("".join(chars[text]), 80) for text in texts]


# lesson 10
def dates(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random days of 1900 to 2099, each written in one of three ways, and as 1921-03-07.

    Returns:
        text: the numbers (`ord`) of the characters, 0 behind them, (count, longest).
        truth: those of the ten characters asked for, (count, 10).
    """
    from calendar import month_name

    from nblayers.utils import pad_sequences
    days = _days(rng, count)
    forms = rng.choice(["{0} {1} {2}", "{1} {0}, {2}", "{0}.{3}.{2}"], count)
    texts = [form.format(day.day, month_name[day.month], day.year, day.month) for form, day in zip(forms, days, strict=True)]
    return (pad_sequences([list(map(ord, text)) for text in texts], padding="post"),
            np.array([list(map(ord, str(day))) for day in days]))


def _days(rng: np.random.Generator, count: int) -> list[date]:
    """Random days of 1900 to 2099."""
    return [date(1900, 1, 1) + timedelta(days) for days in rng.integers(73000, size=count).tolist()]


# lesson 11
LETTERS = " abcdefghijklmnopqrstuvwxyz*"
VOWELS = "aeiou"


def missing_vowels(lines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Python's own help in lines of 60 characters, its vowels taken out.

    Returns (lines, 60) each:
        given: integers, 0 a space, 1 to 26 a letter, 27 a gap.
        vowel: integers, 0 to 4 for a, e, i, o, u at a gap, 0 elsewhere.
        asked: True at a gap.
    """
    from pydoc_data.topics import topics
    kept = "".join(c if "a" <= c <= "z" else " " for c in "\n".join(topics.values()).lower())
    text = np.array(list(" ".join(kept.split())[:60 * lines])).reshape(lines, 60)
    code = np.searchsorted(list(LETTERS[:27]), text)
    asked = np.isin(text, list(VOWELS))
    vowel = np.where(asked, np.searchsorted(list(VOWELS), text), 0)
    return np.where(asked, 27, code), vowel, asked


def with_capitals(given: np.ndarray, told: np.ndarray, vowel: np.ndarray) -> list[str]:
    """Lines of `missing_vowels` with the vowels that a network has told, wrong ones as capitals."""
    answers = np.array(list(VOWELS + VOWELS.upper()))[told + 5 * (told != vowel)]
    return ["".join(line) for line in np.where(given == 27, answers, np.array(list(LETTERS))[given])]


# lesson 12
def words_and_neighbours(size: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Gaps in Python's own help: which word stands between two words and two others?

    Arguments:
        size: how many ids there are: 0 for any rare word, then the most frequent words, the first of them the most frequent.

    Returns:
        vocabulary: the word of each id.
        around: the ids of the two words before and the two behind each gap, (gaps, 4).
        missing: the id of the word in the gap, never 0, (gaps,).
    """
    words = re.findall("[a-z_]+", read_text([]))
    counts = Counter(words)
    vocabulary = ["(rare)", *sorted(counts, key=lambda word: (-counts[word], word))[:size - 1]]
    number = {word: i for i, word in enumerate(vocabulary)}
    ids = np.array([number.get(word, 0) for word in words])
    around = np.stack([ids[:-4], ids[1:-3], ids[3:-1], ids[4:]], axis=1)
    asked = ids[2:-2] > 0
    return vocabulary, around[asked], ids[2:-2][asked]


# lesson 14
def chirps(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals of a hundred steps of noise, each with a tone of 16 steps somewhere in it that rises or falls.

    Returns signals (count, 100, 1) float32, kinds (count,), 1 where it rises and 0 where it falls, and steps (count, 16).
    """
    rising = np.sin(8 * np.pi * np.linspace(0, 1, 16) ** 2) * np.hanning(16)
    kinds, begins = rng.integers(2, size=count), rng.integers(84, size=count)
    signals = rng.normal(size=(count, 100, 1))
    steps = begins[:, None] + np.arange(16)
    tones = np.where(kinds[:, None] == 1, rising, rising[::-1])
    signals[np.arange(count)[:, None], steps, 0] += 3 * tones
    return signals.astype(np.float32), kinds, steps


# lesson 15
def scenes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with a square and a disc in random colours on a dark ground with noise; either may cover the other.

    Returns pictures (count, 32, 32, 3), and masks (count, 32, 32, 1), 1 where the disc is seen.
    """
    pictures = rng.uniform(0, 0.3, (count, 1, 1, 3)) + rng.normal(scale=0.05, size=(count, 32, 32, 3))
    masks = np.zeros((count, 32, 32, 1))
    points = np.moveaxis(np.mgrid[:32, :32], 0, -1)
    for picture, mask in zip(pictures, masks, strict=True):
        for is_disc in rng.permutation(2):              # the second one lies on top
            away, radius = np.abs(points - rng.uniform(5, 27, 2)), rng.uniform(5, 9)
            in_disc, in_square = (away ** 2).sum(axis=-1) < radius ** 2, away.max(axis=-1) < 0.85 * radius
            inside = in_disc if is_disc else in_square
            picture[inside], mask[inside] = rng.uniform(0.3, 1, 3), is_disc
    return pictures, masks


# lesson 16
def running_dot() -> np.ndarray:
    """A film of 30 frames of 41 places: a dot runs to the right for 12 frames, then all is black; (1, 30, 41, 1)."""
    film = np.zeros((1, 30, 41, 1))
    for t in range(12):
        film[0, t, 5 + t] = 1
    return film


def bouncing_rings(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Films of 10 frames in which two rings run and bounce off the edges.

    Returns:
        The films, (count, 10, 12, 12, 1), and whether a ring has turned just before frame 2, 3, … 9, (count, 8).
    """
    start = rng.integers(0, 18, (count, 2, 1, 2))
    speed = rng.integers(-1, 2, (count, 2, 1, 2))
    at = 9 - np.abs((start + speed * np.arange(10)[:, None]) % 18 - 9)      # (count, rings, frames, 2): to and fro from 0 to 9
    films = np.zeros((count, 10, 12, 12, 1))
    for n, ring, t in np.ndindex(at.shape[:3]):
        row, column = at[n, ring, t]
        films[n, t, row:row + 3, column:column + 3, 0] += [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    turned = np.diff(at, 2, axis=2).any(axis=(1, 3))
    return films.clip(0, 1), turned


# lesson 18
def digits_with_wrong_labels(count: int, part: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Few digits to learn from, some with a wrong label, and all others for the examination.

    Arguments:
        count: how many to learn from.
        part: the probability that a label is wrong.

    Returns:
        known, labels, wrong: images (count, 64) float32 from 0 to 1, the labels given to them, whether these are wrong.
        new, truth: the other images and their right labels.
    """
    rng = np.random.default_rng(0)
    images, truth = digits()
    mixed = rng.permutation(len(images))
    points, truth = (images[mixed].reshape(-1, 64) / 16).astype(np.float32), truth[mixed]
    wrong = rng.random(count) < part
    labels = truth[:count] + wrong * rng.integers(1, 10, count)
    return points[:count], labels % 10, wrong, points[count:], truth[count:]


# lesson 22
CHAPTERS = ("formatstrings", "string-methods", "typesseq", "debugger", "typesmapping", "import", "execmodel",
            "attribute-access", "assignment", "comparisons")


def paragraphs_of_help(words: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Paragraphs of Python's own help, mixed, and from which of `CHAPTERS` each comes.

    Arguments:
        words: shorter paragraphs are left out.

    Returns:
        texts: (N,) of strings.
        labels: the places of their chapters in `CHAPTERS`, (N,).
    """
    from pydoc_data.topics import topics
    found = [(" ".join(paragraph.split()), label) for label, chapter in enumerate(CHAPTERS)
             for paragraph in topics[chapter].split("\n\n") if len(paragraph.split()) >= words]
    mixed = np.random.default_rng(0).permutation(len(found))
    return np.array([found[i][0] for i in mixed]), np.array([found[i][1] for i in mixed])


def penguins() -> dict[str, np.ndarray]:
    """342 penguins by column: "species", "island", "sex" as strings, "" where it is missing; "bill_length_mm", "bill_depth_mm",
    "flipper_length_mm", "body_mass_g" as numbers.

    They are those of the package palmerpenguins by A. M. Horst, A. P. Hill and K. B. Gorman, 2020,
    https://doi.org/10.5281/zenodo.3960218, licence CC0 1.0, measured by K. B. Gorman and the Palmer Station LTER, 2007 to
    2009. The two that nobody measured are left out.
    """
    with open(HERE / "penguins.csv", encoding="ascii", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["body_mass_g"] != "NA"]
    words = {name: np.array([row[name].replace("NA", "") for row in rows]) for name in ("species", "island", "sex")}
    return words | {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name.endswith(("_mm", "_g"))}


def known_and_new(island: np.ndarray, unseen: str, known: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of rows, mixed: so many of other islands to learn from, the rest of those, and all of the unseen island."""
    others = np.random.default_rng(0).permutation(np.flatnonzero(island != unseen))
    return others[:known], others[known:], np.flatnonzero(island == unseen)


def moved(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Images (N, H, W, C), each moved by one pixel: up, down, to the left or to the right; what comes in is 0."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = images.shape[1:3]
    ways = np.array([[0, 1], [2, 1], [1, 0], [1, 2]])[np.random.default_rng(seed).integers(4, size=len(images))]
    return np.stack([image[i:i + height, j:j + width] for image, (i, j) in zip(padded, ways, strict=True)])


# lesson 23
@dataclass
class Read:
    """What came out of training a layer that reads digits row by row.

    Attributes:
        losses: the mean loss of each epoch.
        images, truth, told: the new digits (597, 8, 8), what they are, what they were taken for (597,).
    """

    losses: list[float]
    images: np.ndarray
    truth: np.ndarray
    told: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.told == self.truth


def row_by_row(layer: Any, epochs: int = 30, eta: float = 0.1) -> Read:
    """Train a recurrent layer of plain arrays on 1200 digits, and try 597 new ones.

    The layer has `forward`, `backward`, and W, U, b with dW, dU, db beside them. A matrix V makes ten logits of its last state.
    """
    images, labels = digits()
    rng = np.random.default_rng(0)
    mixed = rng.permutation(len(images))
    rows, labels = images[mixed] / 16, labels[mixed]
    V = rng.normal(0, 0.1, (len(layer.b), 10))
    losses = []
    for _ in range(epochs):
        total = 0.0
        for first in range(0, 1200, 40):
            x, k = rows[first:first + 40], labels[first:first + 40]
            h = layer.forward(x)
            p = _softmax(h[:, -1] @ V)
            total -= np.log(p[np.arange(40), k]).sum()
            dz = (p - np.eye(10)[k]) / 40
            dy = np.zeros(h.shape)
            dy[:, -1] = dz @ V.T
            layer.backward(dy)
            V -= eta * h[:, -1].T @ dz
            layer.W, layer.U, layer.b = (layer.W - eta * layer.dW, layer.U - eta * layer.dU, layer.b - eta * layer.db)
        losses.append(total / 1200)
    told = (layer.forward(rows[1200:])[:, -1] @ V).argmax(axis=1)
    return Read(losses, images[mixed[1200:]], labels[1200:], told)


def _softmax(z: np.ndarray) -> np.ndarray:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


# lesson 24
@dataclass(frozen=True)
class Measured:
    """How fast something ran, and what the machine could do beside it.

    Attributes:
        rate: Gflop/s of the fastest run.
        limit: Gflop/s of the fastest run of the kernel that never leaves its registers.
        steady: whether that kernel was as fast in the first half of the runs as in the second, whether the middle run of
            each of the two came near its fastest, and all cores near one; if not, the machine is too busy.
    """

    rate: float
    limit: float
    steady: bool

    @property
    def part(self) -> float:
        """The part of the limit that was reached."""
        return self.rate / self.limit

    def __str__(self) -> str:
        busy = "" if self.steady else "  (the machine is too busy: measure again)"
        return f"{self.rate:.3g} Gflop/s, {100 * self.part:.3g} % of {self.limit:.0f}{busy}"


class Speed:
    """Measures speeds, each beside the limit of one core or of all.

    Arguments:
        cores: how many there are.
    """

    def __init__(self, cores: int) -> None:
        from numba import njit, prange

        from kernels.cpu import _tile
        rows, width, turns = _tile.HEIGHTS[0], _tile.WIDE * _tile.VECTOR // 4, 2000
        tile = _tile._make_tiles([rows], _tile.WIDE)

        @njit(nogil=True)
        def registers(x: Any, w: Any, y: Any) -> None:
            for _ in range(turns):
                tile(rows, x, 0, 16, 1, (rows + 2) * 16, w, 0, width, 48 * width, 3, 48, y, 0, 0, y, 0, width, width, False)

        @njit(parallel=True)
        def on_all(x: Any, w: Any, y: Any) -> None:
            for core in prange(cores):
                registers(x[core], w[core], y[core])

        x, w, y = (np.ones((cores, size), "f4") for size in (3 * (rows + 2) * 16, 144 * width, rows * width))
        self._operations = 2 * 144 * rows * width * turns
        self._one, self._all = lambda: registers(x[0], w[0], y[0]), lambda: on_all(x, w, y)
        self.cores = cores

    def of(self, run: Callable[[], Any], operations: float, cores: int = 1, times: int = 7) -> Measured:
        """The speed of `run`, which does so many operations on so many cores: the best of some times, without the first."""
        limit = self._one if cores == 1 else self._all
        for function in (run, self._one, limit):
            function()                          # the first time compiles
        turns = [(_seconds(self._one), _seconds(limit), _seconds(run)) for _ in range(times)]
        one, limits, runs = zip(*turns, strict=True)
        steady = is_steady(limits, runs) and min(limits) < 2.5 * min(one)
        return Measured(operations / min(runs) / 1e9, cores * self._operations / min(limits) / 1e9, steady)


def is_steady(limits: Sequence[float], runs: Sequence[float], share: float = 0.1) -> bool:
    """Whether seconds measured in turns agree so well that their best tells something.

    Arguments:
        limits: those of the kernel that never leaves its registers.
        runs: those of what is measured.
        share: by how much the best of the first half of `limits` and of the second may differ.
    """
    half = len(limits) // 2
    first, second = min(limits[:half]), min(limits[half:])
    agree = max(first, second) <= (1 + share) * min(first, second)
    return bool(agree and np.median(limits) < 1.25 * min(limits) and np.median(runs) < 1.5 * min(runs))


def _seconds(run: Callable[[], Any]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def copy_speed(cores: int, times: int = 7) -> float:
    """GB/s that all cores read and write together when they copy arrays too large for the caches."""
    old, new = np.ones((2, cores, 2 ** 25 // cores), "f4")      # 2 · 128 MiB
    with ThreadPoolExecutor(cores) as pool:
        seconds = [_seconds(lambda: list(pool.map(np.copyto, new, old))) for _ in range(times)]
    return (old.nbytes + new.nbytes) / 1e9 / min(seconds)


def classifier_layers(speed: Speed) -> dict[str, tuple[float, Measured]]:
    """Forward and backward of a small classifier's layers for 32 pictures: operations for each byte, and the speed."""
    from nblayers.layers import Conv2D, Dense, GlobalAveragePooling2D, MaxPooling2D
    y = np.random.default_rng(0).normal(size=(32, 64, 64, 3)).astype("f4")
    found = {}
    for name, layer in (("Conv2D, 3 to 32", Conv2D(32, (3, 3), activation="relu", padding="same")),
                        ("MaxPooling2D, 32", MaxPooling2D()),
                        ("Conv2D, 32 to 64", Conv2D(64, (3, 3), activation="relu", padding="same")),
                        ("MaxPooling2D, 64", MaxPooling2D()),
                        ("GlobalAveragePooling2D", GlobalAveragePooling2D()), ("Dense", Dense(10, activation="softmax"))):
        x, y = y, layer.forward(y, training=True)
        operations = 6 * y.size / y.shape[-1] * layer.weights[0].value.size if layer.weights else x.size    # forward, dx, dw
        run = partial(_forward_and_backward, layer, x)
        found[name] = operations / (8 * (x.size + y.size)), speed.of(run, operations, speed.cores, 5)       # x, y, dy, dx
    return found


def _forward_and_backward(layer: Any, x: np.ndarray) -> np.ndarray:
    return layer.backward(layer.forward(x, training=True))


# lesson 25
def quarter_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The digits, mixed, and each shrunk to 4 × 4 points from 0 to 1.

    Returns:
        images, labels: (1200, 16) float32 and (1200,), to learn from.
        new, truth: (597, 16) and (597,), for the examination.
    """
    images, labels, new, truth = digits_to_read()
    images, new = (each.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16) / 16 for each in (images, new))
    return images, labels, new, truth


def gpu_speeds(relu: Any, product: Any, tiled: Any, tile: int, limit: float, bandwidth: float, size: int = 2048,
               threads: int = 256) -> dict[str, tuple[float, float]]:
    """How fast some kernels of lesson 25 are on this GPU.

    Arguments:
        relu, product, tiled: the kernels.
        tile: rows and columns of a tile of `tiled`.
        limit, bandwidth: Gflop/s and GB/s of the GPU whose roof is asked for.
        size, threads: rows and columns of the matrices, threads of a block.

    Returns:
        By name, Gflop/s that were measured, and those that the roof allows.
    """
    from kernels.cuda._compat import cuda
    x, W, y = (cuda.to_device(np.ones((size, size), "f4")) for _ in range(3))
    many = 16 * size * size                             # more than the GPU's cache holds
    b, long, out = (cuda.to_device(np.ones(length, "f4")) for length in (size, many, many))
    blocks, grid, operations = -(-size * size // threads), (-(-size // tile), -(-size // tile)), 2.0 * size ** 3
    runs = {"relu": (lambda: relu[blocks, threads](long, out), float(many), 1 / 8),
            "product, a thread an output": (lambda: product[blocks, threads](x, W, b, y), operations, 2 / 8),
            f"tiles of {tile}": (lambda: tiled[grid, (tile, tile)](x, W, b, y), operations, tile * 2 / 8)}
    try:
        import cupy
    except ImportError:
        pass                                            # without it there is no cuBLAS to compare with
    else:
        first, second = cupy.ones((2, size, size), "f4")
        runs["CuPy's product (cuBLAS)"] = (lambda: cupy.matmul(first, second), operations, 128 * 2 / 8)
    return {name: (operations / _gpu_seconds(cuda, run) / 1e9, min(limit, bandwidth * intensity))
            for name, (run, operations, intensity) in runs.items()}


def _gpu_seconds(cuda: Any, run: Callable[[], Any], times: int = 20) -> float:
    """How long one of some launches takes, the first one, which compiles, not counted."""
    run()
    cuda.synchronize()
    start = perf_counter()
    for _ in range(times):
        run()
    cuda.synchronize()
    return (perf_counter() - start) / times


# lesson 26d
CARD_TAGS = ("first", "last", "number", "street", "city", "day", "month", "year")
_CARD_WORDS = {                         # by tag: words of its own, and words that other tags have too
    "first": ("Anna Ben Clara David Emma Frank Grace Henry",
              "April May June August Austin Charlotte Florence Jordan Sydney Victoria Lincoln Jackson Chester Madison"),
    "last": ("Baker Cooper Fisher Mason Miller Smith Turner Young",
             "May March Jordan Lincoln Jackson Hamilton Washington Chester Lancaster Bridge Church Garden Mill London York"),
    "street": ("Bridge Castle Church Garden Market Mill School Station",
               "London York Lincoln Hamilton Washington Victoria Lancaster Jackson Madison Baker Mason Miller April June"),
    "city": ("Bristol Dover Leeds London Oxford Plymouth York Bath",
             "Austin Charlotte Florence Jordan Sydney Victoria Lincoln Jackson Chester Madison Hamilton Washington Lancaster"),
    "month": ("January February March July October November", "April May June August")}


def cards(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Cards of an old index, each with a name, an address, a city and a date, or some of these, in any order.

    Returns:
        words: their numbers, 0 behind them, (count, 8).
        tags: for each word one of `CARD_TAGS` by its number, 0 behind them, (count, 8).
        vocabulary: the word of each number, "" for 0.
    """
    from nblayers.utils import pad_sequences
    made = [_card(rng) for _ in range(count)]
    vocabulary = ["", *sorted({word for card in made for _, word in card})]
    number = {word: i for i, word in enumerate(vocabulary)}
    return (pad_sequences([[number[word] for _, word in card] for card in made], 8, padding="post"),
            pad_sequences([[CARD_TAGS.index(tag) for tag, _ in card] for card in made], 8, padding="post"), vocabulary)


def _card(rng: np.random.Generator) -> list[tuple[str, str]]:
    """One card: its tags and words."""
    def word(tag: str) -> str:
        return str(rng.choice(_CARD_WORDS[tag][int(rng.random() < 0.6)].split()))

    def number(largest: int) -> str:
        return str(rng.integers(1, largest + 1))
    name = [("first", word("first")), ("last", word("last"))]
    address = [("number", number(99)), ("street", word("street"))]
    month = word("month") if rng.random() < 0.5 else number(12)
    date = [("day", number(31)), ("month", month), ("year", number(99))]
    name = name[::-1] if rng.random() < 0.3 else name
    address = address[::-1] if rng.random() < 0.5 else address
    date = [date[1], date[0], date[2]] if rng.random() < 0.5 else date
    parts = [part for part in (name, address, [("city", word("city"))], date) if rng.random() < 0.8] or [name]
    return [pair for i in rng.permutation(len(parts)) for pair in parts[i]]


# lesson 26e
SPEECH_VOWELS = ("", "a", "e", "i", "o", "u")   # by class; class 0 is the blank
_FORMANTS = np.array([[730, 1090], [530, 1840], [270, 2290], [570, 840], [300, 870]])  # Hz: Peterson and Barney 1952, men
_BANDS = np.geomspace(200, 3000, 12)            # Hz, the middles of twelve bands


def utterances(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two to four vowels each, as long and as loud as it comes, some with a pause between them, of speakers large and small.

    Returns:
        sounds: how loud each of twelve bands is at each step, 0 behind the end, (count, longest, 12) float32.
        labels: the vowels by their class, 0 behind them, (count, 4).
    """
    from nblayers.utils import pad_sequences
    labels = [rng.integers(1, 6, size=rng.integers(2, 5)) for _ in range(count)]
    return (pad_sequences([_spoken(row - 1, rng) for row in labels], padding="post", dtype="float32"),
            pad_sequences(labels, 4, padding="post"))


def _spoken(vowels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(steps, 12) for these vowels: two hills at the formants, which glide from vowel to vowel, and noise."""
    size = rng.uniform(0.85, 1.25)                      # a short throat sounds higher
    formants, loud = [], []
    for k, vowel in enumerate(vowels):
        again = k > 0 and vowel == vowels[k - 1]
        pause = rng.integers(1, 4) if again or rng.random() < 0.4 else 0
        steps = rng.integers(2, 8)
        formants += [_FORMANTS[vowel] * size] * (pause + steps)
        loud += [0.0] * pause + [rng.uniform(0.7, 1.2)] * steps
    smooth = np.array([np.mean(formants[max(t - 1, 0):t + 2], axis=0) for t in range(len(formants))])
    away = np.log(_BANDS / smooth[:, :, None])          # (steps, 2, 12)
    hills = np.exp(-0.5 * (away / 0.2) ** 2).sum(axis=1)
    return 2 * np.array(loud)[:, None] * hills + rng.normal(scale=0.3, size=hills.shape)


# lesson 26a
def sunspots() -> tuple[np.ndarray, np.ndarray]:
    """The years 1700 to 2008 (309,) int64, and the mean number of sunspots in each (309,) float64.

    They were collected by the National Geophysical Data Center of the United States, http://www.ngdc.noaa.gov/stp/solar, and
    are in the public domain; the same as statsmodels' `sunspots`.
    """
    with open(HERE / "sunspots.csv", encoding="ascii", newline="") as file:
        rows = [(int(row["year"]), float(row["spots"])) for row in csv.DictReader(file)]
    years, spots = zip(*rows, strict=True)
    return np.array(years), np.array(spots)


# lesson 26f
@dataclass
class Scans:
    """Digits from a scanner that has begun to lose a row now and then; ink from 0 to 1, float32.

    Attributes:
        old: from the time when it was whole, to learn from, (1000, 64).
        whole: from that time too, for the threshold, (300, 64).
        new: from today, (497, 64).
        row: of each new one, the row that is lost, 1 to 6; -1 if none is, (497,).
        ink_lost: the ink of that row, in points that are full, (497,).
    """

    old: np.ndarray
    whole: np.ndarray
    new: np.ndarray
    row: np.ndarray
    ink_lost: np.ndarray

    @property
    def is_damaged(self) -> np.ndarray:
        return self.row >= 0


def scans() -> Scans:
    """1797 digits, mixed; of the last 497, 100 have lost one row."""
    images, _ = digits()
    rng = np.random.default_rng(0)
    images = (images[rng.permutation(len(images))] / 16).astype(np.float32)
    new = images[1300:].copy()
    row = np.full(len(new), -1)
    damaged = rng.permutation(len(new))[:100]
    row[damaged] = rng.integers(1, 7, 100)
    ink = np.where(row >= 0, new[np.arange(len(new)), row].sum(axis=1), 0)
    new[damaged, row[damaged]] = 0
    return Scans(images[:1000].reshape(-1, 64), images[1000:1300].reshape(-1, 64), new.reshape(-1, 64), row, ink)


# lesson 26h
def moving_shapes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Films of 8 frames in which two shapes run, one point a frame, over each other and out of the picture.

    Returns:
        The films, (count, 8, 12, 12, 1) float32 of 0 and 1, and whether the two overlap in a frame, (count, 8).
    """
    shapes = np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]], [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 0, 1], [0, 1, 0], [1, 0, 1]]])
    ways = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column])
    kind, way = rng.integers(3, size=(count, 2)), ways[rng.integers(8, size=(count, 2))]
    middle = rng.integers(1, 9, (count, 2, 2))                          # where each is in frame 4
    at = middle[:, :, None] + way[:, :, None] * (np.arange(8)[:, None] - 4)     # (count, 2, 8, 2)
    films = np.zeros((count, 8, 20, 20, 1), np.float32)                 # four points more on each side
    for n, which, t in np.ndindex(at.shape[:3]):
        row, column = np.clip(at[n, which, t] + 4, 0, 17)
        films[n, t, row:row + 3, column:column + 3, 0] += shapes[kind[n, which]]
    overlap = (np.abs(at[:, 0] - at[:, 1]) < 3).all(axis=-1)
    return films[:, :, 4:-4, 4:-4].clip(0, 1), overlap


# lesson 27
DIGIT_READER = HERE / "digit_reader.keras"      # made by lessons/make_digit_reader.py


def digits_to_read() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits in a fixed random order: 1200 images (1200, 8, 8) float32 from 0 to 16 with their labels, then 597 new ones."""
    images, labels = digits()
    mixed = np.random.default_rng(0).permutation(len(images))
    images, labels = images[mixed].astype(np.float32), labels[mixed]
    return images[:1200], labels[:1200], images[1200:], labels[1200:]


def predictions_of_keras() -> tuple[np.ndarray, np.ndarray]:
    """What Keras predicted for the 597 new digits, (597, 10) each: when it wrote the model, and after one more epoch."""
    with np.load(HERE / "digit_reader.npz", allow_pickle=False) as file:
        return file["before"], file["after"]


# lesson 26b
def draw_characters(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of K for each row of probabilities (N, K), drawn with these: (N,) integers."""
    thrown = rng.uniform(size=(len(p), 1))
    return np.minimum((np.cumsum(p, axis=1) < thrown).sum(axis=1), p.shape[1] - 1)


# lesson 28
def digits_of_machines() -> tuple[list[list[tuple[np.ndarray, np.ndarray]]], np.ndarray, np.ndarray]:
    """What four machines have in each of 300 steps, and digits for the examination.

    Returns:
        parts: for each step, for each machine: images (n, 64) from 0 to 1 and labels (n,). The first has 29 digits of all
            kinds, the other three one eight each.
        new, truth: the other images (N, 64) and their labels.
    """
    rng = np.random.default_rng(0)
    images, truth = digits()
    mixed = rng.permutation(len(images))
    points, truth = images[mixed].reshape(-1, 64) / 16, truth[mixed]
    eights = np.flatnonzero(truth[:1000] == 8)
    places = [[rng.integers(1000, size=29), *rng.choice(eights, (3, 1))] for _ in range(300)]
    return [[(points[at], truth[at]) for at in step] for step in places], points[1000:], truth[1000:]


# lesson 26c
SPELLINGS = ("{d} {month} {y}", "{month} {d}, {y}", "{d}.{m}.{y}", "{weekday}, {d} {month} {y}", "{month} {d}{th} {y}",
             "the {d}{th} of {month}, {y}", "{d}-{short}-{y}", "{y}/{m}/{d}", "{weekday} {d}.{m}.{y}", "{y}, {month} {d}")


def spelled_dates(rng: np.random.Generator, count: int) -> tuple[list[str], list[str], np.ndarray]:
    """Random days of 1900 to 2099: each in one of ten spellings, in small letters; as 1921-03-07; which spelling, (count,)."""
    from calendar import day_name, month_name

    def spelled(spelling: str, day: date) -> str:
        ending = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        month = month_name[day.month].lower()
        return spelling.format(d=day.day, m=day.month, y=day.year, th=ending, month=month, short=month[:3],
                               weekday=day_name[day.weekday()].lower())

    days = _days(rng, count)
    kinds = rng.integers(len(SPELLINGS), size=count)
    return [spelled(SPELLINGS[kind], day) for kind, day in zip(kinds, days, strict=True)], list(map(str, days)), kinds


# lesson 26g
_BEGIN = "74.2 67 69 71 72 | 74.2 67.2 67.2 | 76.2 72 74 76 78 | 79.2 67.2 67.2 | 72.2 74 72 71 69 | 71.2 72 71 69 67"
MINUET = (f"{_BEGIN} | 66.2 67 69 71 67 | 69.6 | {_BEGIN} | 69.2 71 69 67 66 | 67.6",
          "83.2 79 81 83 79 | 81.2 74 76 78 74 | 79.2 76 78 79 74 | 73.2 71 73 69.2 | 69 71 73 74 76 78 | 79.2 78.2 76.2 | "
          "78.2 69.2 73.2 | 74.6 | 74.2 67 66 67.2 | 76.2 67 66 67.2 | 74.2 72.2 71.2 | 69 67 66 67 69.2 | "
          "62 64 66 67 69 71 | 72.2 71.2 69.2 | 71 74 67.2 66.2 | 67.6")


def minuet() -> tuple[np.ndarray, np.ndarray]:
    """The upper voice of the Minuet in G by Christian Petzold (1677 to 1733), from Anna Magdalena Bach's book of 1725.

    Its two parts, of 16 bars each, (notes, 2): the number of the pitch (69 is the A of 440 Hz, 70 the next key to the right)
    and the length in eighths. A bar has six eighths.
    """
    first, second = ([(int(pitch), int(length or 1)) for note in part.replace("|", "").split()
                      for pitch, _, length in [note.partition(".")]] for part in MINUET)
    return np.array(first), np.array(second)
