"""The lessons' data: what is shipped with them, and what is made from a seed. Nothing is downloaded."""
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits of 8 × 8 points: images (1797, 8, 8) float64 from 0 to 16, labels (1797,) int64 from 0 to 9.

    Each point counts the inked ones among 4 × 4 of a scan. They are the test part of "Optical Recognition of Handwritten
    Digits" by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49,
    licence CC BY 4.0; the same and in the same order as scikit-learn's `load_digits()`.
    """
    with np.load(HERE / "digits.npz", allow_pickle=False) as file:
        return file["images"].astype(np.float64), file["labels"].astype(np.int64)


# lesson 03
def two_moons(samples, noise, rng):
    """Points on two half circles that hook into each other, and which one each is on.

    Returns points (samples, 2) and kinds (samples,), 0 and 1 in turn.
    """
    kind = np.arange(samples) % 2
    angle = rng.uniform(0, np.pi, samples)
    side = 1 - 2 * kind                                 # 1 for the upper, -1 for the lower
    points = np.stack([side * np.cos(angle) + kind,
                       side * np.sin(angle) + 0.5 * kind], axis=1)
    return points + rng.normal(scale=noise, size=points.shape), kind


# lesson 02
def strokes(count, rng):
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


# lesson 04
def three_spirals(samples, rng):
    """Points (samples, 2) on three noisy arms, and the arm of each: 0, 1, 2 in turn."""
    arm = np.arange(samples) % 3
    radius = rng.uniform(0.1, 1, samples)
    noise = rng.normal(scale=0.35, size=samples)
    angle = 4 * radius + arm * 2 * np.pi / 3 + noise
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), arm


# lesson 01
def tide(rng):
    """Heights of the sea with noise: hours (48,), one in two, and metres (48,)."""
    hours = np.arange(48) * 2.0
    noise = rng.normal(scale=0.2, size=hours.size)
    return hours, 1.5 * np.sin(2 * np.pi * hours / 12.4 + 0.6) + 3.0 + noise
