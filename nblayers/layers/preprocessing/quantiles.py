"""Approximate quantiles of a stream, as Keras finds them: the numbers read are kept as a few, each with a weight.

A summary is an array (2, n), float32: numbers in increasing order, and how many of those read each stands for.
"""
import numpy as np

EMPTY = np.zeros((2, 0), np.float32)


def summarized(values: np.ndarray, epsilon: float) -> np.ndarray:
    """About 1 / epsilon of the values, at equal distances in their order."""
    values = np.sort(values.astype(np.float32).reshape(-1))
    step = max(values.size / (1.0 / epsilon), 1)
    chosen = values[int(step - 1)::int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def merged(new: np.ndarray, old: np.ndarray, epsilon: float) -> np.ndarray:
    """The summary of what both stand for."""
    both = np.concatenate((new, old), axis=1)
    return compressed(both[:, np.argsort(both[0])], epsilon)


def compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """A summary of 1 / epsilon numbers, by interpolation; one that is small enough stays as it is."""
    if summary.shape[1] * epsilon < 1:
        return summary
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    reached = summary[1].cumsum()
    fractions = reached / reached[-1]
    numbers, reached = np.interp(wanted, fractions, summary[0]), np.interp(wanted, fractions, reached)
    return np.stack((numbers, np.diff(reached, prepend=0))).astype(np.float32)


def boundaries_of(summary: np.ndarray, bins: int) -> list[float]:
    """The boundaries of so many bins that hold equally many numbers; of fewer, where the summary has fewer."""
    return compressed(summary, 1.0 / bins)[0, :-1].tolist()
