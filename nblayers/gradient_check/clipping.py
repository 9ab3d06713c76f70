r"""Gradients that stop growing with dy: each element is clipped, or a norm, of the gradients or of dy itself.

    g(dy) = J dy                        (1)    what a gradient is
    g(s dy) = s J dy                    (2)    for s so small that nothing is clipped; for large s not

Each look compares g for a dy far beyond any bound with what (1) gives for one far inside of all bounds.
"""
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from nblayers.gradient_check.shares import spread

TINY, SMALL, LARGE, LARGER = 1e-6, 1e-3, 1e6, 1e7
MOST_ELEMENTS = 6                       # of y, through which a bound is looked for
ADVICE = "Clipping belongs into the optimizer"
Gradients = Sequence[np.ndarray]


def near(a: np.ndarray, b: np.ndarray, whole: np.ndarray, tolerance: float = 1e-8) -> bool:
    """Whether two gradients are equal but for rounding; `whole` says how large one of them is as a whole."""
    largest = float(np.abs(whole).max(initial=0.0))
    return bool((np.abs(a - b) <= tolerance * np.abs(b) + tolerance * 1e-2 * largest + 1e-14).all())


def clipped(check: Any) -> str:
    """The bound that gradients run into as dy grows, in words; empty if there is none."""
    growth = _Growth(check)
    looks = (growth.of_elements, growth.of_norms, growth.of_dy_elements, growth.of_dy_norm, growth.of_something)
    return next((text for look in looks if (text := look())), "")


class _Growth:
    """What becomes of the gradients as dy grows."""

    def __init__(self, check: Any) -> None:
        self.check = check
        names = [*check.subject.names, *(parameter.path.split("/")[-1] for parameter in check.subject.weights)]
        found = check.gradients([LARGE * dy for dy in check.dy])
        self.kept = [k for k, g in enumerate(found) if g is not None and g.size]
        self.names = [names[k] if len(names) == len(found) else str(k) for k in self.kept]
        self.is_weight = [k >= len(found) - len(check.subject.weights) for k in self.kept]
        self.large, self.larger = self.at(check.dy, LARGE), self.at(check.dy, LARGER)
        self.tiny = self.at(check.dy, TINY)

    def at(self, dy: Sequence[np.ndarray], factor: float) -> list[np.ndarray]:
        found = self.check.gradients([factor * d for d in dy])
        return [np.asarray(found[k]) for k in self.kept]

    @cached_property
    def is_steady(self) -> bool:
        """(2), for the two smallest."""
        small = self.at(self.check.dy, SMALL)
        return all(near(a * (SMALL / TINY), b, b) for a, b in zip(self.tiny, small, strict=True))

    @cached_property
    def other_dy(self) -> list[np.ndarray]:
        return [self.check.rng.normal(size=dy.shape) for dy in self.check.dy]

    def of_elements(self) -> str:
        """No element of a gradient passes a bound, and all but zeros reach it."""
        for a, b, tiny in zip(self.large, self.larger, self.tiny, strict=True) if self.is_steady else ():
            bound, bound_again = float(np.abs(a).max()), float(np.abs(b).max())
            hit = int((np.abs(a) == bound).sum())
            if bound and bound == bound_again and hit > 1 and near(a, np.clip(tiny * (LARGE / TINY), -bound, bound), a):
                return (f"gradients are clipped: for larger and larger dy no element passes {bound:.6g} or -{bound:.6g}, and "
                        f"{hit} are exactly that. {ADVICE}")
        return ""

    def of_norms(self) -> str:
        """A norm of several gradients together, or of one, stays what it is, whatever dy, and the direction is right."""
        everything = range(len(self.names))
        weights = [k for k in everything if self.is_weight[k]]
        groups = [("the norm of all together", list(everything)), ("the norm of all weights' gradients together", weights)]
        groups += [(f"the norm of the gradient of {self.names[k]}", [k]) for k in everything if self.large[k].size > 1]
        for words, chosen in groups:
            norm = _norm(self.large, chosen)
            if norm and self._has_norm(chosen, norm):
                return f"gradients are clipped: for larger and larger dy {words} stays {norm:.6g}. {ADVICE}"
        return ""

    def _has_norm(self, chosen: Sequence[int], norm: float) -> bool:
        others = self.at(self.other_dy, LARGE)
        return (all(abs(_norm(gradients, chosen) - norm) <= 1e-6 * norm for gradients in (self.larger, others))
                and _is_multiple(self.large, self.tiny, chosen))

    def of_dy_elements(self) -> str:
        """Each element of dy is held between two bounds before anything else."""
        elements = spread(self.check.columns(), MOST_ELEMENTS)
        bounds = [bound for element in elements if (bound := self._bound(self.check.unit(element)))]
        if not bounds or max(bounds) - min(bounds) > 1e-6 * bounds[0]:
            return ""
        found = self.at([bounds[0] * np.sign(dy) for dy in self.check.dy], TINY)
        is_so = (all(near(found[k] / TINY, self.large[k], self.large[k], 1e-6) for k in self.held)
                 and self._in_proportion_below(bounds[0] / max(float(np.abs(dy).max(initial=0.0)) for dy in self.check.dy)))
        return (f"dy is clipped: for larger and larger dy {self._gradients_of_held} are those of a dy whose elements are "
                f"{bounds[0]:.6g} or -{bounds[0]:.6g}. {ADVICE}") if is_so else ""

    def of_dy_norm(self) -> str:
        """dy is scaled down to a norm before anything else."""
        bounds = [self._bound(dy) * _norm(dy, range(len(dy))) for dy in (self.check.dy, self.other_dy)]
        if not bounds[0] or abs(bounds[0] - bounds[1]) > 1e-6 * bounds[0]:
            return ""
        return (f"dy is clipped: for larger and larger dy {self._gradients_of_held} are those of a dy whose norm is "
                f"{bounds[0]:.6g}. {ADVICE}") if (_is_multiple(self.large, self.tiny, self.held) and self._in_proportion_below(
                    bounds[0] / _norm(self.check.dy, range(len(self.check.dy))))) else ""

    def _in_proportion_below(self, factor: float) -> bool:
        """(2) up to `factor` times dy, where a bound is reached: clipped it is, and not bent as by a tanh."""
        below = self.at(self.check.dy, 0.75 * factor)
        return all(near(below[k], self.tiny[k] * (0.75 * factor / TINY), below[k], 1e-6) for k in self.held)

    def _bound(self, dy: Sequence[np.ndarray]) -> float:
        """How many times (1) those held are for a dy beyond all bounds; 0 if there is none, or they still grow."""
        large, larger, tiny = (self.at(dy, factor) for factor in (LARGE, LARGER, TINY))
        size = _norm(tiny, self.held) / TINY
        grows = _norm(larger, self.held) > (1 + 1e-6) * _norm(large, self.held)
        return _norm(large, self.held) / size if size and not grows else 0.0

    @cached_property
    def held(self) -> list[int]:
        """The gradients that no longer grow."""
        return [k for k, tiny in enumerate(self.tiny)
                if tiny.any() and _norm(self.larger, [k]) <= (1 + 1e-6) * _norm(self.large, [k])]

    @property
    def _gradients_of_held(self) -> str:
        some = [self.names[k] for k in self.held]
        return "the gradients" if len(some) == len(self.names) else f"the gradients of {', '.join(some)}"

    def of_something(self) -> str:
        """In proportion to a small dy, and no longer growing with a large one."""
        if not self.is_steady:
            return ""
        names = [name for name, a, b, c in zip(self.names, self.tiny, self.large, self.larger, strict=True)
                 if a.any() and _norm([c], [0]) <= 2 * _norm([b], [0])]
        return (f"backward is not linear in dy: for larger and larger dy the gradient of {', '.join(names)} stops growing, so "
                f"that something inside of backward holds it between bounds. {ADVICE}") if names else ""


def _norm(gradients: Gradients, chosen: Sequence[int]) -> float:
    """The Euclidean norm of all numbers together."""
    return float(np.sqrt(sum((gradients[k] ** 2).sum() for k in chosen)))


def _is_multiple(a: Gradients, b: Gradients, chosen: Sequence[int]) -> bool:
    """Whether all chosen of a are one and the same number of times those of b."""
    ours, theirs = (np.concatenate([gradients[k].ravel() for k in chosen] or [np.zeros(0)]) for gradients in (a, b))
    size = float(theirs @ theirs)
    return bool(size) and near(ours, float(ours @ theirs) / size * theirs, ours, 1e-6)
