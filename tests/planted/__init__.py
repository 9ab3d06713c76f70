"""Right layers as people write them, and the faults that people make in them: what the gradient checker must name.

A module of this folder is a family: its classes are right layers, `RIGHT` says how each is called, and `FAULTS` lists edits
of their source, each with what the checker has to say about it.

    RIGHT = {"softmax": Right(Softmax, lambda rng: (rng.normal(size=(3, 5)),))}
    FAULTS = [Fault("softmax", "p * (dy - (p * dy).sum(axis=-1, keepdims=True))", "p * dy * (1 - p)",
                    kind="elementwise", tensor="x", words=("elementwise",))]
    NEVER = ("later steps",)            # pieces of text that no report of this family may hold
"""
import importlib
import inspect
import linecache
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nblayers.layers import Layer

# Kinds of findings that are true of no fault but their own; `may` of a fault lists those that hold beside its kind.
CLAIMS = {
    "changes_input", "changes_dy", "changes_output", "changes_weight", "single_use", "adds_up", "replaces_grad", "stale",
    "random", "ignores_dy", "clipped", "not_linear", "float32", "decay", "repeated_ids", "swapped", "one_sample", "one_step",
    "way_around", "way_through", "mask", "carry", "penalty", "kink", "tie", "transposed", "reversed", "rolled", "moved",
    "weight_transposed", "weight_reversed", "scale_outside", "nearly", "elementwise", "mixing", "overwritten", "missing_sum"}


@dataclass
class Right:
    """A right layer.

    Attributes:
        layer: its class; the source of the class is what faults are planted in.
        inputs: makes the inputs of `forward` from a random generator.
        options: keyword arguments of `gradcheck`, those of `forward` among them.
        other: makes the inputs of another call, which a stale cache shows at; `inputs` if it is left out.
    """

    layer: type[Layer]
    inputs: Callable[[np.random.Generator], tuple[Any, ...]]
    options: dict[str, Any] = field(default_factory=dict)
    other: Callable[[np.random.Generator], tuple[Any, ...]] | None = None

    @cached_property
    def source(self) -> str:
        return textwrap.dedent(inspect.getsource(self.layer))

    @property
    def forward_options(self) -> dict[str, Any]:
        """What of `options` is handed to `forward`."""
        takes = inspect.signature(self.layer.forward).parameters
        return {name: value for name, value in self.options.items() if name in takes}


@dataclass
class Expect:
    """What one finding has to say.

    Attributes:
        kind: its kind; several where each is a true and helpful name of the cause. "place" with words stands for any kind:
            no black box can know the cause, and the words are the place or the change that the text has to give.
        tensor: the last part of the tensor's name, "" for the layer as a whole, None for any.
        words: lower-case pieces that its text holds; "a|b" is one of two.
    """

    kind: str | tuple[str, ...]
    tensor: str | None = None
    words: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if isinstance(self.kind, str) else self.kind

    def holds(self, finding: Any) -> bool:
        text = finding.text.lower()
        is_kind = finding.kind in self.kinds or ("place" in self.kinds and self.words != ())
        return (is_kind and "no pattern" not in text and (self.tensor is None or finding.tensor.split("/")[-1] == self.tensor)
                and all(any(piece in text for piece in word.split("|")) for word in self.words))


@dataclass
class Fault:
    """One edit of a right layer's source, and what the checker has to say about it.

    Attributes:
        layer: the name of the right layer in `RIGHT`.
        old, new: the text replaced, which stands exactly once in the source, and what stands there instead.
        kind, tensor, words: as in `Expect`.
        more: further edits, where one is not enough.
        second: what else has to be found, where two faults are planted.
        may: kinds of `CLAIMS` that are true of this fault too.
        never: further pieces of text that would be untrue.
        inputs, options: instead of the right layer's.
    """

    layer: str
    old: str
    new: str
    kind: str | tuple[str, ...]
    tensor: str | None = None
    words: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    second: Expect | None = None
    may: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    inputs: Callable[[np.random.Generator], tuple[Any, ...]] | None = None
    options: dict[str, Any] | None = None

    @property
    def expected(self) -> list[Expect]:
        first = Expect(self.kind, self.tensor, self.words)
        return [first, self.second] if self.second else [first]

    @property
    def kinds(self) -> set[str]:
        return {kind for expect in self.expected for kind in expect.kinds}


@dataclass
class Planted:
    """A fault with its right layer."""

    name: str
    fault: Fault
    right: Right
    never: tuple[str, ...]

    @property
    def inputs(self) -> Callable[[np.random.Generator], tuple[Any, ...]]:
        return self.fault.inputs or self.right.inputs

    @property
    def options(self) -> dict[str, Any]:
        return self.right.options if self.fault.options is None else self.fault.options

    @cached_property
    def wrong(self) -> type[Layer]:
        """The layer with the fault."""
        source = self.right.source
        for old, new in ((self.fault.old, self.fault.new), *self.fault.more):
            if source.count(old) != 1:
                raise ValueError(f"{self.name}: {old!r} stands {source.count(old)} times in the source of {self.right.layer}")
            source = source.replace(old, new)
        return compiled(source, self.right.layer, self.name)

    def untrue(self, report: Any) -> list[str]:
        """Findings that claim what is not so: their kinds, or the pieces of their text."""
        false = CLAIMS - self.fault.kinds - set(self.fault.may)
        texts = [finding.text.lower() for finding in report.findings]
        pieces = [piece for piece in (*self.never, *self.fault.never) if any(piece in text for text in texts)]
        return sorted({finding.kind for finding in report.findings} & false) + pieces

    def missing(self, report: Any) -> list[Expect]:
        """What should have been found and was not."""
        return [expect for expect in self.fault.expected if not any(map(expect.holds, report.findings))]


def compiled(source: str, layer: type[Layer], name: str) -> type[Layer]:
    """The class of this source, in the module of `layer`; tracebacks show its lines."""
    file = f"<planted {name}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    scope = dict(vars(inspect.getmodule(layer)))
    exec(compile(source, file, "exec"), scope)
    return scope[layer.__name__]


def families() -> Iterator[Any]:
    for found in pkgutil.iter_modules(__path__):
        if not found.name.startswith("_"):
            yield importlib.import_module(f"{__name__}.{found.name}")


def rights() -> dict[str, Right]:
    """All right layers by their names."""
    return {name: right for family in families() for name, right in family.RIGHT.items()}


def planted() -> list[Planted]:
    """All faults; the k-th of a layer is named "layer-k"."""
    found, counts = [], dict.fromkeys(rights(), 0)
    for family in families():
        for fault in family.FAULTS:
            counts[fault.layer] += 1
            found.append(Planted(f"{fault.layer}-{counts[fault.layer]}", fault, family.RIGHT[fault.layer],
                                 getattr(family, "NEVER", ())))
    return found
