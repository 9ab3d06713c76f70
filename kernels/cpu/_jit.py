"""The one way that a CPU kernel is compiled.

Numba's cache looks at the source file of the kernel alone. Ours also looks at the compile flags and at the helper files
(`_*.py`) that kernels import: edit one of them, and every kernel of the room is compiled anew.
"""
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit, types
from numba.extending import register_jitable

# reassociation and contraction let LLVM vectorise sums; NaN and inf keep their meaning
FLAGS: dict[str, Any] = dict(cache=True, error_model="numpy", nogil=True, no_cfunc_wrapper=True,     # nobody calls one from C
                             fastmath={"nsz", "arcp", "contract", "afn", "reassoc"})


def _fingerprint() -> str:
    helpers = sorted(Path(__file__).parent.glob("_*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in helpers)).hexdigest()


FINGERPRINT = _fingerprint()


def _compiled(function: Callable[..., Any], **flags: Any) -> Any:
    dispatcher = njit(**FLAGS, **flags)(function)
    if not config.DISABLE_JIT:
        index = dispatcher._cache._cache_file
        index._version = (index._version, index._source_stamp, FINGERPRINT)     # the one thing that is read of an older index
        template = dispatcher.get_call_template                                 # one kernel for all numbers, not one for each
        dispatcher.get_call_template = lambda kinds, named: template(tuple(map(types.unliteral, kinds)), named)
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a serial kernel, on its first call, for the types of that call."""
    return _compiled(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """The same with `prange`. It takes long to compile: kernels share their work out by `_team`, which has the one there is."""
    return _compiled(function, parallel=True)


@register_jitable
def even(count: int, most: int) -> int:
    """How large the fewest equal parts of `count` are, if none may have more than `most`; for kernels and for Python."""
    parts = (count + most - 1) // most
    return (count + parts - 1) // parts
