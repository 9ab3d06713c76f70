"""What a gradient check found, as text and as values."""
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Index = tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. What it claims was tried out on numbers.

    Attributes:
        kind: one word for the kind of mistake, such as "factor", "transposed", "stale".
        tensor: the input or weight whose gradient it is about; empty for the layer as a whole.
        text: the finding in a sentence.
    """

    kind: str
    tensor: str
    text: str


@dataclass
class TensorReport:
    """What was found about the gradient of one input or weight.

    Attributes:
        name: the input's name in `forward`, or the weight's path.
        shape: its shape.
        checked: how many of its coordinates were compared.
        kinks: indices at which no derivative exists; there the gradient must lie between the slopes on both sides.
        index, analytic, numeric, relative_error: the coordinate that agrees worst and its two derivatives. The error is
            relative to the larger of the two, or to atol / rtol where both are smaller than that.
        errors: the relative error of each element, NaN where it was not compared.
        findings: what is wrong; empty if nothing is.
    """

    name: str
    shape: tuple[int, ...]
    checked: int = 0
    kinks: list[Index] = field(default_factory=list)
    index: Index | None = None
    analytic: float = math.nan
    numeric: float = math.nan
    relative_error: float = 0.0
    errors: np.ndarray | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Add what is wrong with this gradient."""
        self.findings.append(Finding(kind, self.name, text))

    def set_aside(self, indices: Sequence[Index], numeric: Mapping[Index, float], gradient: np.ndarray) -> None:
        """Count these as kinks, and let the worst be the worst of the others."""
        assert self.errors is not None
        self.kinks += indices
        self.checked -= len(indices)
        for index in indices:
            self.errors[index] = np.nan
        self.index = tuple(int(i) for i in np.unravel_index(np.nanargmax(self.errors), self.shape))
        self.analytic, self.numeric = float(gradient[self.index]), numeric[self.index]
        self.relative_error = float(self.errors[self.index])

    @property
    def problem(self) -> str:
        """All that is wrong, in words; empty if nothing is."""
        return "; ".join(finding.text for finding in self.findings)

    @property
    def passed(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        return self.text()

    def text(self, without: Collection[str] = ()) -> str:
        """The numbers in one line, and each finding in one of its own, but for those that are said elsewhere."""
        facts = []
        if self.index is not None:
            facts += [f"{self.checked} of {math.prod(self.shape)} checked",
                      f"worst at {list(self.index)}: analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, relative error "
                      f"{self.relative_error:.1e}"]
        if self.kinks:
            facts.append(f"{len(self.kinks)} at a kink: {', '.join(str(list(i)) for i in self.kinks[:3])}"
                         + (", …" if len(self.kinks) > 3 else ""))
        line = f"{'ok   ' if self.passed else 'WRONG'}  {self.name} {self.shape}" + (": " if facts else "") + "; ".join(facts)
        return "\n         ".join([line, *(finding.text for finding in self.findings if finding.text not in without)])


@dataclass
class Report:
    """The findings of `gradcheck`: true if the layer passed.

    Attributes:
        layer: class and name.
        tensors: one `TensorReport` for each input and weight that has a gradient.
        general: what is wrong with the layer as a whole.
        notes: what else may help to find the mistake.
        trace: of one forward and backward that is wrong, for the page; None where all is right, or where the arrays are large.
        first_wrong: the trace's entry of the first wrong gradient that a line of `backward` computes; None where none is known.
    """

    layer: str
    tensors: list[TensorReport] = field(default_factory=list)
    general: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trace: Any = field(default=None, repr=False, compare=False)
    first_wrong: Any = field(default=None, repr=False, compare=False)

    def add(self, kind: str, text: str) -> None:
        """Add what is wrong with the layer as a whole."""
        self.general.append(Finding(kind, "", text))

    @property
    def problems(self) -> list[str]:
        """What is wrong with the layer as a whole, in words."""
        return [finding.text for finding in self.general]

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong."""
        return [*self.general, *(finding for tensor in self.tensors for finding in tensor.findings)]

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def worst(self) -> TensorReport | None:
        """The tensor with the largest relative error, one that failed before one that did not."""
        return max(self.tensors, key=lambda tensor: (not tensor.passed, tensor.relative_error), default=None)

    def __bool__(self) -> bool:
        return self.passed

    def heat_map(self) -> str:
        """Where in each tensor the gradients differ, as text of 80 columns."""
        from nblayers.gradient_check import heatmap
        return heatmap.text(self)

    def to_html(self, path: str | Path | None = None) -> str:
        """The report as a page that needs no other file, with a map of relative errors; written to `path` if one is given.

        Of a layer whose gradients are wrong the microscope stands below (`nblayers.trace`), at the first wrong gradient that
        `backward` computes on its way, as far as lines say what they compute (`# (1)`, `# from (1)`); else where a wrong
        gradient of a gate, a weight or an input comes out.
        """
        from nblayers.gradient_check import html
        if path is not None:
            html.write(self, path)
        return html.page(self)

    def _shared(self) -> dict[str, list[str]]:
        """What is true of three tensors or more, and their names."""
        found: dict[str, list[str]] = {}
        for tensor in self.tensors:
            for text in dict.fromkeys(finding.text for finding in tensor.findings):
                found.setdefault(text, []).append(tensor.name.split("/")[-1])
        return {text: names for text, names in found.items() if len(names) > 2}

    def __str__(self) -> str:
        lines = [f"gradcheck of {self.layer}: " + ("passed" if self.passed else "FAILED")]
        lines += [f"  WRONG  {problem}" for problem in self.problems]
        shared = self._shared()
        lines += [f"  {tensor.text(shared)}" for tensor in self.tensors]
        lines += [f"  {', '.join(names)}: {text}" for text, names in shared.items()]
        lines += [f"  note: {note}" for note in self.notes]
        worst = self.worst
        if worst is not None and worst.index is not None and not worst.passed:
            lines.append(f"  the worst is {worst.name} at {list(worst.index)}: relative error {worst.relative_error:.1e}")
        return "\n".join(lines)


class GradientCheckError(AssertionError):
    """A backward is not the gradient of its forward; `report` holds the findings."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report
