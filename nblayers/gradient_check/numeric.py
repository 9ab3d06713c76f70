r"""A derivative from function values, and where there is none.

    F(h) = (L(x + h) - L(x)) / h        (1)    the slope to the right
    B(h) = (L(x) - L(x - h)) / h        (2)    the slope to the left
    D(h) = (F(h) + B(h)) / 2            (3)    misses the derivative by O(h^2)
    R = (4 D(h/2) - D(h)) / 3           (4)    by O(h^4)

F - B shrinks with h where L is smooth. Where it does not, L has a kink (relu at 0, two equal numbers in a maximum) or a jump.
"""
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)
RATIOS = (1 / 2, 1 / 8, 1 / 8)          # by which h is made finer until the slopes are those of a smooth function


@dataclass
class Slopes:
    """(1) and (2) for one h, and how much rounding alone may have added to them."""

    right: float
    left: float
    noise: float

    @property
    def central(self) -> float:
        return (self.right + self.left) / 2                                     # (3)

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


def slopes_of_loss(factors: Sequence[np.ndarray | float], y: Sequence[np.ndarray], more: Sequence[np.ndarray],
                   less: Sequence[np.ndarray], step: float) -> Slopes:
    """(1) and (2) of L, the sum of all outputs times their factors.

    Arguments:
        factors: what each output is multiplied with.
        y, more, less: the outputs, and those after a step on and a step back.
        step: h.
    """
    right = left = variance = 0.0
    for factor, here, on, back in zip(factors, y, more, less, strict=True):
        right += float(np.sum(factor * (on - here))) / step
        left += float(np.sum(factor * (here - back))) / step
        variance += float(np.sum((factor * here * (on != back)) ** 2))
    return Slopes(right, left, noise=4 * EPSILON * variance ** 0.5 / step)


def derivative(slopes: Callable[[float], Slopes], step: float, analytic: float,
               agree: Callable[[float, float, float], bool]) -> tuple[float, float, bool]:
    """The numeric derivative that `analytic` is to be compared with, its noise, and whether there is a kink instead.

    Arguments:
        slopes: gives the slopes for one h.
        step: the largest h.
        analytic: the derivative claimed. Once it agrees, nothing finer is tried.
        agree: (analytic, numeric, noise) -> whether the two are equal within the tolerance.
    """
    coarse = slopes(step)
    if agree(analytic, coarse.central, coarse.noise):
        return coarse.central, coarse.noise, False
    for ratio in RATIOS:
        step *= ratio
        fine = slopes(step)
        extrapolated = (fine.central - ratio ** 2 * coarse.central) / (1 - ratio ** 2)      # (4), for any ratio
        for value in (extrapolated, fine.central):
            if agree(analytic, value, fine.noise):
                return value, fine.noise, False
        if _smooth(coarse, fine, ratio, abs(analytic - extrapolated)):
            return extrapolated, fine.noise, False
        coarse = fine
    return coarse.central, coarse.noise, True


def _smooth(coarse: Slopes, fine: Slopes, ratio: float, difference: float) -> bool:
    """Whether the slopes for two h come together as those of a smooth function do.

    A gap that is small against the difference to explain is no reason to doubt it.
    """
    if not (math.isfinite(coarse.gap) and math.isfinite(fine.gap)):
        return False
    unexplained = min(0.01 * difference, 0.1 * abs(fine.central)) + 20 * fine.noise
    steady = abs(fine.central - coarse.central) <= 1e-6 * abs(fine.central) + unexplained
    closing = fine.gap <= unexplained or fine.gap <= (1 + ratio) / 2 * coarse.gap
    return steady and closing
