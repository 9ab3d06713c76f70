"""Arrays mapped into memory from files, such as `np.load(path, mmap_mode="r")`, of which only what is used is read."""
import mmap
from collections.abc import Iterable
from typing import Any

import numpy as np

READ_AT_MOST = 128 * 2**20              # bytes of the files that stay in memory
_AROUND = 64 * 2**10                    # the system reads so many bytes around each place that is asked for


def mapping_of(array: Any) -> np.memmap | None:
    """The memory-mapped array that an array is, or looks into."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array
        array = array.base
    return None


class Mappings:
    """Gives the memory of what was read of memory-mapped arrays back from time to time; their files stay as they are.

    Without that the whole file would come to lie in the process' memory, if there is room. An array of mode "c", whose changes
    are in memory alone, stays there.
    """

    def __init__(self, arrays: Iterable[Any]) -> None:
        mappings = [mapping for array in arrays if (mapping := mapping_of(array)) is not None]
        self.any = bool(mappings)
        self._files = {id(mapping._mmap): mapping._mmap for mapping in mappings if mapping.mode != "c"}     # type: ignore[attr-defined]
        self._read = 0

    def count(self, samples: int, size: int, apart: bool) -> None:
        """Samples of `size` bytes each were read, side by side or from places far apart."""
        self._read += samples * (max(size, _AROUND) if apart else size)
        if self._read > READ_AT_MOST:
            self._read = 0
            for file in self._files.values():
                if hasattr(file, "madvise"):
                    file.madvise(mmap.MADV_DONTNEED)
