"""Checks of lesson 22: its turns and its exercises."""
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_close, for_each_size

Known = dict[str, Any]


# Texts

def turn_vocabulary(lesson: SimpleNamespace) -> Known:
    often = lesson.often
    return {"the rarest stand first; turn the order round": sorted(often, key=lambda word: (often[word], word)),
            "the counts are missing: first by how often a word comes": sorted(often, reverse=True),
            "that is the order of the alphabet; first by how often a word comes": sorted(often),
            "of several as frequent the first in the alphabet stands first; Keras takes the last":
                sorted(often, key=lambda word: (-often[word], word)),
            "of several as frequent the one read first stands first; Keras takes the last in the alphabet":
                sorted(often, key=lambda word: -often[word]),
            "those are the words as they come; sort them": list(often)}


def turn_ids(lesson: SimpleNamespace) -> Known:
    words, known = lesson.new_text, lesson.vocabulary
    places = [known.index(word) if word in known else -1 for word in words]
    return {"0 and 1 are taken; the vocabulary begins at 2": [k if k >= 0 else 1 for k in places],
            "0 fills up short texts, 1 is the unknown; the vocabulary begins at 2": [1 + k if k >= 0 else 1 for k in places],
            "0 is for filling up; the unknown word has 1": [2 + k if k >= 0 else 0 for k in places],
            "the fox is missing: an unknown word has an id too, 1": [2 + k for k in places if k >= 0],
            "the fox gets a new id; what is not in the vocabulary is unknown, 1": [2 + k if k >= 0 else 8 for k in places]}


def turn_counts(lesson: SimpleNamespace) -> Known:
    right = lesson.counts
    return {"a word that comes twice counts twice: add 1": (right > 0) * 1.0,
            "the words stand one column too far left; column 0 is for the unknown": np.roll(right, -1, axis=1),
            "both texts are counted in both rows; text n has row n": np.tile(right.sum(axis=0), (2, 1)),
            "both texts are counted in row 0; text n has row n": np.stack([right.sum(axis=0), np.zeros(7)]),
            "text 1 is missing": right * [[1], [0]]}


def turn_df(lesson: SimpleNamespace) -> Known:
    counts = lesson.counts
    return {"that is how often a word comes; in how many texts it is counts here": counts.sum(axis=0),
            "those are the words of each text; for each column, sum over the texts": (counts > 0).sum(axis=1),
            "it is turned round: that counts the texts without the word": (counts == 0).sum(axis=0),
            "that is the share of the texts; their number is asked for": (counts > 0).mean(axis=0)}


def turn_idf(lesson: SimpleNamespace) -> Known:
    df = lesson.df
    with np.errstate(divide="ignore"):
        printed = np.log(2 / df)
    return {"that is log(N / df), as many texts print it": printed,
            "the first 1 is missing: log(1 + N / (1 + df))": np.log(2 / (1 + df)),
            "the 1 below is missing: it keeps a word of no text from a division by 0": np.log1p(2 / np.maximum(df, 1e-300)),
            "the logarithm is missing": 1 + 2 / (1 + df),
            "it is turned over: the number of texts stands above": np.log(1 + (1 + df) / 2)}


def turn_y(lesson: SimpleNamespace) -> Known:
    counts, idf = lesson.counts, lesson.idf
    return {"that is the weight of each word alone; how often it comes counts too": (counts > 0) * idf,
            "the counts are divided; multiply by the weights": counts / idf,
            "the weights are missing": counts,
            "both texts are added up; each has a row": (counts * idf).sum(axis=0),
            "the counts are divided by the length of the text; Keras does not do that": counts / 5 * idf}


P, Q, LIMIT = 0xC3A5C85C97CB3127, 0x9AE16A3B2F90404F, 2 ** 64


def turn_short_hash(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    told = {"": "", "no modulo": "it is modulo 2^64: % LIMIT after each product",
            "letters": "the middle byte is the one at len // 2",
            "length": "g_2 has the length, and four times the last byte",
            "changed places": "Q is multiplied by g_1, P by g_2; they have changed places",
            "no mix": "the last product is with e ^ e // 2 ** 47, not with e alone"}
    for word in ("cat", "a", "no", "the"):
        got = given(word)
        if isinstance(got, (float, np.floating)):
            raise Wrong("short_hash gives a floating number, which is not exact: use // in place of /")
        for mistake, sentence in told.items():
            if int(got) == _hash(word, mistake):
                if mistake:
                    raise Wrong(f"short_hash: {sentence}")
                break
        else:
            raise Wrong(f"short_hash of {word!r} gives {got}, which is not right; go through g_1, g_2, e one by one")


def _hash(word: str, mistake: str = "") -> int:
    letters = word.encode()
    limit = 2 ** 256 if mistake == "no modulo" else LIMIT
    g_1 = letters[0] + 2 ** 8 * letters[(len(letters) - 1) // 2 if mistake == "letters" else len(letters) // 2]
    g_2 = letters[-1] + 4 * len(letters) if mistake == "length" else len(letters) + 4 * letters[-1]
    a, b = (P, Q) if mistake == "changed places" else (Q, P)
    e = (a * g_1 % limit) ^ (b * g_2 % limit)
    return Q * (e if mistake == "no mix" else e ^ e // 2 ** 47) % limit


def turn_chance(lesson: SimpleNamespace) -> Known:
    miss = np.prod(1 - np.arange(20) / 100)
    return {"that is how likely all are apart; at least two share: 1 minus it": np.array(miss),
            "the first word misses none, it has 1 - 0/100: np.arange(20)": np.array(1 - np.prod(1 - np.arange(1, 21) / 100)),
            "that is one word against 19; each pair may meet": np.array(1 - (1 - 1 / 100) ** 19),
            "that is the mean number of pairs in one bin, which may be above 1": np.array(190 / 100),
            "those are words for bins; it is not 20 in 100": np.array(20 / 100)}


# Tables

def turn_one_hot(lesson: SimpleNamespace) -> Known:
    right = lesson.one_hot
    return {"a row for each sample, a column for each id; yours is turned": right.T,
            "those are all four rows, each once; take the row of each id: np.eye(4)[island_ids]": np.eye(4),
            "that is one row with all ids of the samples": right.sum(axis=0),
            "column 0 is for the unknown; the ids stand one too far left": np.roll(right, -1, axis=1)}


def turn_dW(lesson: SimpleNamespace) -> Known:
    one_hot, da = lesson.one_hot, lesson.da
    return {"one_hot has to be turned: W has a row for each id": one_hot @ da,
            "that is a mean over the samples; it is a sum": one_hot.T @ da / 4,
            "it is turned: W is (V, out)": da.T @ one_hot,
            "that is the gradient of what comes out; multiply by what came in": da,
            "samples of one island add up; yours keeps the last": np.stack([np.zeros(2), *da[[2, 1, 3]]])}


# Numbers

def turn_x_norm(lesson: SimpleNamespace) -> Known:
    x, mu, sigma, seen = lesson.x, lesson.mu, lesson.sigma, lesson.seen
    return {"the mean is not taken off": x / sigma,
            "it is not divided by the deviation": x - mu,
            "it is divided by the variance; the deviation is its root": (x - mu) / sigma ** 2,
            "the mean has to be taken off before the division": x / sigma - mu,
            "those are mean and deviation of the new numbers; the training data's are kept":
                (x - x.mean(axis=0)) / x.std(axis=0),
            "that is a range from 0 to 1, as many texts have it":
                (x - seen.min(axis=0)) / (seen.max(axis=0) - seen.min(axis=0))}


def turn_dx(lesson: SimpleNamespace) -> Known:
    dx_norm, sigma = lesson.dx_norm, lesson.sigma
    return {"the division is there on the way back too": dx_norm,
            "forward divides by sigma, so backward divides too": dx_norm * sigma,
            "it is divided twice": dx_norm / sigma ** 2,
            "mu does not come in: the derivative of x - mu by x is 1": (dx_norm - lesson.mu) / sigma,
            "mu and sigma are constants here; the mean over the batch is not taken off":
                (dx_norm - dx_norm.mean(axis=0)) / sigma}


def turn_dx_batch(lesson: SimpleNamespace) -> Known:
    dx_hat, x_hat, sigma = lesson.dx_hat, lesson.x_hat, lesson.sigma
    shift, along = dx_hat.mean(axis=0), x_hat * (dx_hat * x_hat).mean(axis=0)
    return {"that is for a constant mean and deviation; here the batch makes them": dx_hat / sigma,
            "the mean's part is missing: take off the mean of dx_hat": (dx_hat - along) / sigma,
            "the deviation's part is missing: take off x_hat times the mean of dx_hat x_hat": (dx_hat - shift) / sigma,
            "it is not divided by sigma": dx_hat - shift - along,
            "those are sums over the samples; take means": (dx_hat - 4 * shift - 4 * along) / sigma,
            "the means are over the samples, axis 0; yours are over the features":
                (dx_hat - dx_hat.mean(axis=1, keepdims=True)
                 - x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)) / sigma,
            "the second mean still has to be multiplied by x_hat": (dx_hat - shift - (dx_hat * x_hat).mean(axis=0)) / sigma}


def turn_height_bins(lesson: SimpleNamespace) -> Known:
    heights, b = lesson.heights, lesson.b
    return {"what lies on a boundary belongs to the upper bin: >=": (heights[:, None] > b).sum(axis=1),
            "that counts the boundaries above; those up to x count": (heights[:, None] < b).sum(axis=1),
            "the bins begin with 0": 1 + (heights[:, None] >= b).sum(axis=1),
            "that is how many numbers each boundary has below or above; a bin for each number is asked for":
                (heights[:, None] >= b).sum(axis=0)}


# Pictures

def turn_v(lesson: SimpleNamespace) -> Known:
    new, old = np.arange(lesson.new), lesson.old
    ratio = old / lesson.new
    return {"a pixel's middle lies half a pixel in: the halves are missing": new * ratio,
            "the half of the old pixel still has to be taken off": (new + 0.5) * ratio,
            "the half of the new pixel is missing": new * ratio - 0.5,
            "it is turned over: old columns stand above": (new + 0.5) / ratio - 0.5,
            "that fits the first and the last pixel onto each other; Keras has the halves":
                new * (old - 1) / (lesson.new - 1)}


def turn_dx_2(lesson: SimpleNamespace) -> Known:
    A, dy, B = lesson.A, lesson.dy, lesson.B
    back = A.T @ dy @ B
    return {"that is for one column only: @ B spreads dy over the columns": A.T @ dy,
            "the rows are missing: A.T @ spreads dy over the rows": dy @ B,
            "both samples are added up; each has its own gradient": back.sum(axis=0),
            "each old row gets all of dy; A's weights are a half": np.ceil(A.T) @ dy @ B}


def turn_u_zoomed(lesson: SimpleNamespace) -> Known:
    i = lesson.i
    return {"that zooms about row 0; the middle is 2": 1.25 * i,
            "it is divided: with z > 0 more of the picture is read": 2 + (i - 2) / 1.25,
            "the factor is 1 + z, not z": 2 + 0.25 * (i - 2),
            "the middle still has to be added": 1.25 * (i - 2),
            "the middle of rows 0 to 4 is 2, not 2.5": 2.5 + 1.25 * (i - 2.5),
            "the factor is 1 + z; yours is 1 - z": 2 + 0.75 * (i - 2)}


def turn_value(lesson: SimpleNamespace) -> Known:
    x = lesson.x
    return {"that is the mean of all four; nearer ones count for more": np.array(x.mean()),
            "row and column have changed places: u is the row": np.array(0.5 * (0.75 * x[0, 0] + 0.25 * x[0, 1])
                                                                         + 0.5 * (0.75 * x[1, 0] + 0.25 * x[1, 1])),
            "the far pixels got the weights of the near ones: row 0 has 0.75, row 1 0.25":
                np.array(0.25 * (x[0, 0] + x[0, 1]) / 2 + 0.75 * (x[1, 0] + x[1, 1]) / 2),
            "the two pixels of row 1 are missing": np.array(0.375 * (x[0, 0] + x[0, 1])),
            "the two pixels of column 1 are missing": np.array(0.375 * x[0, 0] + 0.125 * x[1, 0]),
            "that is a pixel; the place lies between four": np.array(x[0, 1])}


def _corners(u: np.ndarray, v: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rows, columns = u.shape[1:]
    for s in (0, 1):
        for t in (0, 1):
            p, q = np.floor(u).astype(int) + s, np.floor(v).astype(int) + t
            inside = (p >= 0) & (p < rows) & (q >= 0) & (q < columns)
            yield inside * (1 - np.abs(u - p)) * (1 - np.abs(v - q)), p.clip(0, rows - 1), q.clip(0, columns - 1)


def _warp(x: np.ndarray, u: np.ndarray, v: np.ndarray, mistake: str = "") -> np.ndarray:
    y = np.zeros(x.shape)
    n = np.zeros((len(x), 1, 1), int) if mistake == "sample 0" else np.arange(len(x))[:, None, None]
    for corner, (weight, p, q) in enumerate(_corners(u, v)):
        if mistake != "one corner" or corner == 0:
            pixel = x[n, q, p] if mistake == "turned" else x[n, p, q]
            last = mistake == "last corner"
            y = (0 if last else y) + {"no weight": 1, "mean": 0.25}.get(mistake, weight) * pixel
    return y


def _warp_backward(dy: np.ndarray, u: np.ndarray, v: np.ndarray, mistake: str = "") -> np.ndarray:
    dx = np.zeros(dy.shape)
    n = np.zeros((len(dy), 1, 1), int) if mistake == "sample 0" else np.arange(len(dy))[:, None, None]
    for corner, (weight, p, q) in enumerate(_corners(u, v)):
        share = dy if mistake == "no weight" else weight * dy
        place = (n, q, p) if mistake == "turned" else (n, p, q)
        if mistake == "one corner" and corner:
            continue
        if mistake == "lost":
            dx[place] += share
        else:
            np.add.at(dx, place, share)
    return dx


FORWARD = {"one corner": "only the first of the four pixels is read; add them up",
           "last corner": "only the last of the four pixels is kept; add them up",
           "no weight": "the weights are not used: multiply each pixel by its weight",
           "mean": "that is the mean of the four pixels; nearer ones count for more",
           "turned": "rows and columns have changed places: x[n, p, q]",
           "sample 0": "all samples are read from picture 0; each from its own: n = np.arange(N)[:, None, None]"}
BACKWARD = {"lost": "where a pixel was read several times only one part arrives: np.add.at adds them all",
            "one corner": "only the first of the four pixels gets something",
            "no weight": "the weights are missing: each pixel gets back its share",
            "turned": "rows and columns have changed places: (n, p, q)",
            "sample 0": "all gradients land in picture 0; each in its own: n = np.arange(N)[:, None, None]"}


def _places() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(22)
    return rng.uniform(-0.7, 3.6, (3, 4, 4)).round(1), rng.uniform(-0.7, 3.6, (3, 4, 4)).round(1)


def _numbers() -> np.ndarray:
    return np.random.default_rng(23).normal(size=(3, 4, 4)).round(2)


def turn_warp(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    x, (u, v) = _numbers(), _places()
    expect_close(given(x, u, v), _warp(x, u, v), "y", {told: _warp(x, u, v, name) for name, told in FORWARD.items()},
                 axes=("sample", "row", "column"))


def turn_warp_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    dy, (u, v) = _numbers(), _places()
    known = {told: _warp_backward(dy, u, v, name) for name, told in BACKWARD.items()}
    known["that reads dy at the places, as forward does; backward, dy lands there"] = _warp(dy, u, v)
    expect_close(given(dy, u, v), _warp_backward(dy, u, v), "dx", known, axes=("sample", "row", "column"))


# Colours, flips and crops

def turn_dx_bright(lesson: SimpleNamespace) -> Known:
    dy, x, d = lesson.dy, lesson.x, lesson.d
    inside = (x + d > 0) & (x + d < 255)
    return {"what was clipped no longer depends on x: 0 there": dy,
            "it is turned round: the gradient goes through where nothing was clipped": dy * ~inside,
            "above 255 was clipped too": dy * (x + d > 0),
            "below 0 was clipped too": dy * (x + d < 255),
            "d does not come in: the derivative of x + d by x is 1": dy * inside * d}


def turn_da(lesson: SimpleNamespace) -> Known:
    dy, a = lesson.dy, lesson.a
    inside = (a > 0) & (a < 255)
    return {"what was clipped no longer depends on a: 0 there": dy,
            "it is turned round: the gradient goes through where nothing was clipped": dy * ~inside,
            "above 255 was clipped too": dy * (a > 0),
            "below 0 was clipped too": dy * (a < 255),
            "f comes later: this is the gradient of a": lesson.f * dy * inside}


def turn_dm(lesson: SimpleNamespace) -> Known:
    da, f = lesson.da, lesson.f
    return {"m is in every pixel's a: sum over them": (1 - f) * da,
            "that is their mean; it is a sum": ((1 - f) * da).mean(axis=1, keepdims=True),
            "the factor of m in a is 1 - f": da.sum(axis=1, keepdims=True),
            "that is the factor of x; m has 1 - f": (f * da).sum(axis=1, keepdims=True),
            "the sign is turned: a is f x + (1 - f) m": ((f - 1) * da).sum(axis=1, keepdims=True),
            "m is one for each picture; sum over its pixels, axis 1": ((1 - f) * da).sum(axis=0, keepdims=True)}


def turn_dx_contrast(lesson: SimpleNamespace) -> Known:
    da, f, dm = lesson.da, lesson.f, lesson.dm
    return {"the way through the mean is missing": f * da,
            "each pixel is a third of the mean: divide dm by 3": f * da + dm,
            "the straight way has the factor f": da + dm / 3,
            "the way through the mean is taken off; add it": f * da - dm / 3,
            "that is the way through the mean alone": np.broadcast_to(dm / 3, da.shape),
            "dm is multiplied by 1 - f once more": f * da + (1 - f) * dm / 3}


def turn_dx_flip(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"column j came from the other side: dy has to be flipped too": dy,
            "the rows are turned round; here it is the columns, the last axis": dy[:, ::-1],
            "the samples are turned round; here it is the columns, the last axis": dy[::-1],
            "rows and columns are turned round; only columns were": dy[:, ::-1, ::-1],
            "the sign does not turn": -dy[:, :, ::-1]}


def turn_dx_crop(lesson: SimpleNamespace) -> Known:
    right = lesson.dx_crop
    return {"nothing has arrived: dx_crop[:, 1:3] = dy": np.zeros_like(right),
            "it lies one row too high; the window began at row 1": np.roll(right, -1, axis=1),
            "it lies one row too low; the window began at row 1": np.roll(right, 1, axis=1),
            "what was cut off hears nothing": np.repeat(lesson.dy, 2, axis=1)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Resizing, contrast and a weight, on paper

    y (2 numbers) and, for dy = (2, 4), dx (4 numbers) of (4, 8, 0, 12) resized to two; dx_contrast (3 numbers) of the channel
    (10, 20, 60) with f = 0.5 and dy = (1, 0, 2); weight, the idf of a word that is in 3 of 8 texts.
    """
    answer.on_paper("y", [6, 6], [
        "New pixel j has its middle at (j + 1/2) · 4/2 - 1/2.", "That is 0.5 and 2.5: halfway between two pixels."], {
        "a pixel's middle lies half a pixel in; that reads at 0 and 2": [4, 0],
        "those are sums; each of two pixels has the weight a half": [12, 12],
        "that fits the first and the last pixel onto each other": [4, 12]})
    answer.on_paper("dx", [1, 1, 2, 2], [
        "Each pixel gets back its share.", "Pixels 0 and 1 were read with a half each, for the first new one."], {
        "the weights are missing: each was read with a half": [2, 2, 4, 4],
        "that reads at 0 and 2, without the halves of a pixel": [2, 0, 4, 0]})
    answer.on_paper("dx_contrast", [1, 0.5, 1.5], [
        "Nothing is clipped. There are two ways: straight, and through the mean.",
        "Straight: f dy. Through the mean: (1 - f) times the mean of dy."], {
        "the way through the mean is missing": [0.5, 0, 1],
        "each pixel is a third of the mean; yours hears all of it": [2, 1.5, 2.5],
        "the straight way has the factor f": [1.5, 0.5, 2.5]})
    answer.on_paper("weight", np.log(3), ["Keras has log(1 + N / (1 + df)).", "N is 8, df is 3."], {
        "that is log(N / df), as many texts print it": np.log(8 / 3),
        "the first 1 is missing": np.log(2),
        "the 1 below is missing": np.log(1 + 8 / 3),
        "the logarithm is missing": 3})


def exercise_2(answer: Answer) -> None:
    """The whole backward of contrast and a warp

    augment_backward(dy, x, f, u, v): returns dx. x (N, rows, columns) first gets another contrast, a = f (x - m) + m with
    each picture's own mean m, and a clip to [0, 1]; then it is warped with the places u, v, zeros beside the picture. f (N,),
    dy, u, v (N, rows, columns).
    """
    def compare(N: int, rows: int, columns: int) -> None:
        numbers = _augmented(N, rows, columns)
        got = answer.function("augment_backward")(*numbers)
        right = {"dx": _augment_backward(*numbers)}
        wrong = mistakes.spoiled(right, lambda mistake: {"dx": _augment_backward(*numbers, mistake)}, AUGMENT)
        expect_close(got, right["dx"], "dx", mistakes.known(right, wrong, "dx"), axes=("sample", "row", "column"))

    for_each_size(answer, compare, [(1, 2, 2), (2, 3, 3), (3, 5, 5)])


AUGMENT = {"no warp": "the warp is missing on the way back",
           "gather": "that reads dy at the places, as forward does; backward, dy lands there",
           "lost": "where a pixel was read several times only one part arrives: np.add.at adds them all",
           "no weight": "the weights of the four pixels are missing",
           "no clip": "what was clipped to [0, 1] has no gradient",
           "clip of x": "that looks at where x lies; a was clipped",
           "no mean": "the way through the mean is missing",
           "whole mean": "each pixel is one of rows · columns in the mean; divide by them",
           "batch mean": "each picture has its own mean; yours is over the batch",
           "no factor": "the straight way has the factor f",
           "first factor": "each picture has its own f; yours is that of picture 0"}


def _augment_backward(dy: np.ndarray, x: np.ndarray, f: np.ndarray, u: np.ndarray, v: np.ndarray,
                      mistake: str = "") -> np.ndarray:
    f = f[:1, None, None] if mistake == "first factor" else f[:, None, None]
    a = f * x + (1 - f) * x.mean(axis=(1, 2), keepdims=True)
    if mistake == "gather":
        back = _warp(dy, u, v)
    else:
        back = dy if mistake == "no warp" else _warp_backward(dy, u, v, mistake if mistake in BACKWARD else "")
    looked_at = x if mistake == "clip of x" else a
    da = back if mistake == "no clip" else back * ((looked_at > 0) & (looked_at < 1))
    mean = da.mean(axis=(0, 1, 2) if mistake == "batch mean" else (1, 2), keepdims=True)
    through = {"no mean": 0, "whole mean": x[0].size}.get(mistake, 1) * (1 - f) * mean
    return (1 if mistake == "no factor" else f) * da + through


def _augmented(N: int, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(22)
    x, u, v = (rng.uniform(low, high, (N, rows, columns)).round(2)
               for low, high in ((0, 1), (-0.7, rows - 0.4), (-0.7, columns - 0.4)))
    return rng.normal(size=x.shape).round(2), x, np.linspace(1.7, 0.6, N), u, v


def exercise_3(answer: Answer) -> None:
    """The examination that was known before

    The function standardize at the end of the lesson has a bug. Write it right as
    fixed_standardize(train, new): both (samples, features); returns both, brought to mean 0 and deviation 1. A column that
    is constant in train is only shifted.
    """
    train = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0], [2.0, 50.0, 5.0], [6.0, 30.0, 5.0]])
    new = np.array([[9.0, 0.0, 7.0], [7.0, 20.0, 5.0]])
    with np.errstate(all="ignore"):
        result = answer.function("fixed_standardize")(train.copy(), new.copy())
        both = np.concatenate([train, new])
        mean, std = both.mean(axis=0), both.std(axis=0)
        own = (new - new.mean(axis=0)) / new.std(axis=0)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong("fixed_standardize should return two arrays: train, new")
    mu, sigma = train.mean(axis=0), train.std(axis=0)
    one = np.where(sigma == 0, 1, sigma)
    first = np.asarray(result[0], float)
    if first.shape == train.shape and np.isnan(first[:, 2]).any():
        raise Wrong("a column that is constant in train becomes 0/0, not a number: divide by 1 there")
    peeked = "the new numbers still have a share in mean and deviation; those of train alone count"
    expect_close(first, (train - mu) / one, "train", {
        peeked: (train - mean) / std,
        "the deviation is still that of both; train's alone counts": (train - mu) / std,
        "the mean is still that of both; train's alone counts": (train - mean) / one}, tolerance=1e-5)
    expect_close(result[1], (new - mu) / one, "new", {
        peeked: (new - mean) / std,
        "the new numbers are scaled by their own mean and deviation; a model knows train's": own}, tolerance=1e-5)


def exercise_4(answer: Answer) -> None:
    """How many bins for 300 words

    bins_needed: for how many bins does one word in ten share its bin with another, of 300 words that are thrown at random (200
    more or less will do).
    """
    given = float(answer.array("bins_needed", ()))
    if given < 1:
        raise Wrong(f"{given:g} is no number of bins")
    shared = 1 - (1 - 1 / given) ** 299
    if not 2640 <= given <= 3040:
        raise Wrong(f"with {given:g} bins {shared:.1%} of the words share theirs with another")
