"""Bugs that may be planted into a layer that is right."""
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One bug: what is replaced in the source by what, what is wrong then, and what becomes of training with it."""

    edits: Sequence[tuple[str, str]]
    what: str
    learns: str = ""

    def planted(self, source: str) -> str:
        """The source with the bug in it.

        Raises:
            ValueError: what is to be replaced does not stand in it exactly once.
        """
        for old, new in self.edits:
            if source.count(old) != 1:
                raise ValueError(f"expected {old!r} once, found it {source.count(old)} times")
            source = source.replace(old, new)
        return source
