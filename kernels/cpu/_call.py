"""Calling a kernel by its address: it is compiled once, and not again inside every kernel that calls it.

    part = address(_part, x, 0, 10, y)      # in Python: where the kernel for arguments of these types begins
    call(part, x, first, last, y)           # in a kernel that is given `part`; a tuple stands for its elements

An address says nothing of types. So floating arrays of one call must be of one dtype, which compiling the call makes sure of.

That keeps the large kernels that many others need, and the body of a parallel loop, from being compiled two and three times.
"""
from typing import Any

import numpy as np
from numba import config, typeof, types
from numba._dispatcher import compute_fingerprint
from numba.core import cgutils
from numba.core.errors import TypingError

from ._jit import intrinsic
from ._written import write_call

_known: dict[tuple[Any, ...], int] = {}


def address(function: Any, *arguments: Any) -> Any:
    """Where the kernel for arguments of the types of these examples begins; it is compiled if need be.

    Raises:
        TypeError: an array is not in C order, or arrays that meet are not of one dtype.
    """
    if config.DISABLE_JIT:
        return function                                 # which `call` then calls
    key = function, fingerprint(arguments)
    if key not in _known:
        try:
            _known[key] = function.address_of(kinds_of(arguments))
        except TypingError as error:
            raise refusal(function, arguments, error) from error
    return _known[key]


def kinds_of(arguments: tuple[Any, ...]) -> tuple[types.Type, ...]:
    """The types for which a kernel that is given these is compiled."""
    return tuple(_writable(plain(one if isinstance(one, types.Type) else typeof(one))) for one in arguments)


def fingerprint(arguments: tuple[Any, ...]) -> Any:
    """What tells the types of these arguments apart, sooner than `typeof` finds them. Types stand for themselves."""
    try:
        return compute_fingerprint(arguments)
    except NotImplementedError:                         # they are types
        return arguments


def refusal(function: Any, arguments: Any, error: TypingError) -> TypeError:
    """What is raised instead of Numba's error, which names neither the kernel nor what came."""
    came = ", ".join(str(typeof(argument)) for argument in arguments if isinstance(argument, np.ndarray))
    return TypeError(f"kernel {function.__name__}: expected arrays in C order and of one dtype, got {came}")


def plain(kind: types.Type) -> types.Type:
    """Caller and callee must agree: all integers go as intp, all arrays in C order."""
    if isinstance(kind, types.Array) and kind.layout != "C":
        raise TypingError(f"expected an array in C order, got {kind}")
    if _is_tuple(kind):
        return types.Tuple([plain(one) for one in kind.types])
    return types.intp if isinstance(kind, types.Integer) else types.unliteral(kind)


def _writable(kind: types.Type) -> types.Type:
    """An array that must not be written is an input, and the code for it the same."""
    if _is_tuple(kind):
        return types.Tuple([_writable(one) for one in kind.types])
    return kind.copy(readonly=False) if isinstance(kind, types.Array) else kind


def want_one_type(*kinds: types.Type) -> None:
    """Stop compiling what would read or write memory as numbers of another type."""
    if len(set(kinds)) > 1:
        raise TypingError(f"expected numbers of one type, got {', '.join(map(str, kinds))}")


def _is_tuple(kind: types.Type) -> bool:
    return isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple)


def _call(function: Any, *arguments: Any) -> None:
    function(*(one for some in arguments for one in (some if type(some) is tuple else [some])))


@intrinsic(_call)
def call(typingctx, function, *arguments):
    taken = tuple(plain(kind) for kind in arguments)
    kinds = tuple(one for kind in taken for one in (kind.types if _is_tuple(kind) else [kind]))
    want_one_type(*(kind.dtype for kind in kinds if isinstance(kind, types.Array) and isinstance(kind.dtype, types.Float)))

    def codegen(context, builder, sig, args):
        values = []
        for kind, value in zip(taken, cgutils.unpack_tuple(builder, args[1]), strict=True):
            values.extend(cgutils.unpack_tuple(builder, value) if _is_tuple(kind) else [value])
        write_call(context, builder, args[0], kinds, values)
        return context.get_dummy_value()

    return types.none(function, types.Tuple(taken)), codegen
