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
