"""A check that failed, and the means to try it in other circumstances."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.points import at
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.words import NO_PATTERN

PROBES = 8                              # coordinates of each tensor that are looked at
Make = Callable[[np.ndarray], np.ndarray]


class Lab:
    """A check that failed, and the tensors that are still to be explained.

    Attributes:
        wanted: coordinates of these tensors.
        values, names: of the weights, and of those inputs that may be weights, as in functions that are given all by argument.
    """

    def __init__(self, check: Any, wanted: dict[str, list[Index]]) -> None:
        self.check, self.wanted = check, dict(wanted)
        subject = check.subject
        self.inputs = [k for k in range(subject.first_weight, len(subject.leaves)) if subject.leaves[k].dtype.kind == "f"]
        self.values = [np.array(to_numpy(parameter.value), np.float64) for parameter in subject.weights]
        self.values += [subject.leaves[k].copy() for k in self.inputs]
        self.names = [parameter.path.split("/")[-1] for parameter in subject.weights]
        self.names += [subject.names[k] for k in self.inputs]

    def right_at(self, there: Any, where: Mapping[str, Sequence[Index]] | None = None) -> set[str]:
        """Which of the wanted tensors are right there."""
        return {name for name, is_right in self.verdicts_at(there, where).items() if is_right}

    def verdicts_at(self, there: Any, where: Mapping[str, Sequence[Index]] | None = None) -> dict[str, bool]:
        """Whether each of the wanted tensors is right there, without those of which nothing can be told."""
        try:
            return self.check.again(there).verdicts(self.wanted if where is None else where)
        except Exception:                               # a layer that cannot do with it has nothing to tell here
            return {}
        finally:
            self.check.subject.restore()

    def all_wrong(self) -> dict[str, list[Index]]:
        """All wrong coordinates of the wanted tensors, the largest first."""
        evidence = self.check.evidence
        return {name: sorted(evidence[name].wrong, key=partial(_size_at, evidence[name]))[:24] for name in self.wanted}

    def mostly_wrong(self, least: float = 0.5) -> dict[str, list[Index]]:
        """The wanted tensors of which so large a part is wrong: where little is, other numbers may hide it by chance."""
        evidence = self.check.evidence
        return {name: where for name, where in self.wanted.items()
                if len(evidence[name].wrong) >= least * len(evidence[name].numeric)}

    def is_open(self, name: str) -> bool:
        """Whether nothing at all is known of what is wrong with this tensor."""
        return all(finding.text.endswith(NO_PATTERN) for finding in self.check.evidence[name].report.findings)

    def shapes_at(self, there: Any) -> dict[str, tuple[int, ...]]:
        """The shapes of the wanted tensors there, where inputs may be smaller."""
        shapes = {name: self.check.evidence[name].shape for name in self.wanted}
        return shapes | {name: leaf.shape for name, leaf in zip(there.names, there.leaves, strict=True) if name in shapes}

    def with_weights(self, chosen: Iterable[int], make: Make) -> Any:
        chosen = set(chosen)
        return self.at_values([make(v) if k in chosen else None for k, v in enumerate(self.values)])

    def at_values(self, values: Sequence[np.ndarray | None]) -> Any:
        """The subject with these in the place of `values`; None leaves what is there."""
        subject = self.check.subject
        count = len(subject.weights)
        given = {k: value for k, value in zip(self.inputs, values[count:], strict=True) if value is not None}
        leaves = [given.get(k, leaf) for k, leaf in enumerate(subject.leaves)] if given else None
        return at(subject, leaves=leaves, weights=values[:count])

    def with_input(self, chosen: int, make: Make) -> Any:
        """The subject with one of the inputs changed."""
        return at(self.check.subject, leaves=[make(leaf) if k == chosen else leaf for k,
                                              leaf in enumerate(self.check.subject.leaves)])

    def only_zero(self, chosen: int, seed: int) -> Any:
        """One weight zero, the others with other numbers and signs."""
        rng = np.random.default_rng(seed)
        return self.at_values([0 * v if k == chosen else rng.normal(size=v.shape) * np.abs(v).mean()
                               for k, v in enumerate(self.values)])

    def tell(self, names: Iterable[str], kind: str, text: str) -> None:
        """A finding for each of these tensors, in front of what was known; they need no other."""
        for name in sorted(names):
            report = self.check.evidence[name].report
            report.add(kind, text)
            report.findings.insert(0, report.findings.pop())
            self.wanted.pop(name, None)

    def tell_wrong_too(self, wrong: set[str], right: set[str], there: str) -> None:
        """Of what nothing is known yet, that it is wrong even there, where others are right."""
        others = ", ".join(name.split("/")[-1] for name in sorted(right)[:4]) + (", …" if len(right) > 4 else "")
        for name in wrong - right if right else ():
            if self.is_open(name):
                verb = "are" if len(right) > 1 else "is"
                self.check.evidence[name].report.add("place", f"wrong even {there}, where {others} {verb} right")


def _size_at(evidence: Any, index: Index) -> float:
    """By which to sort: the largest first."""
    return -abs(float(evidence.numeric[index]))


def within(where: dict[str, list[Index]], shapes: dict[str, tuple[int, ...]]) -> dict[str, list[Index]]:
    """Those of the coordinates that still exist."""
    found = {}
    for name, indices in where.items():
        if kept := [index for index in indices if all(i < n for i, n in zip(index, shapes[name], strict=True))]:
            found[name] = kept
    return found


def explain_at(lab: Lab, there: Any, words: str, names: list[str], kinds: tuple[str, ...] = ()) -> list[str]:
    """What is wrong there, told of these tensors; all that is wrong there is returned."""
    from nblayers.gradient_check import diagnosis
    check = lab.check
    other = check.again(there, coordinates=check.settings.max_coordinates)
    try:
        other.check_values()
        if other.is_linear:
            other.account()
        found = {name: diagnosis.explain(evidence) for name, evidence in other.evidence.items() if name in names}
    except Exception:                                   # a layer that cannot do with so few has nothing to tell here
        return []
    finally:
        check.subject.restore()
    for name, (kind, text) in found.items():
        if text != NO_PATTERN and text not in check.evidence[name].report.problem and (not kinds or kind in kinds):
            check.evidence[name].report.add("place", f"{words}: {text}")
    return [name.split("/")[-1] for name in other.evidence]
