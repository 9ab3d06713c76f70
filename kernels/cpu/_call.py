"""Calling a kernel by its address: it is compiled once, and not again inside every kernel that calls it.

    part = address(_part, x.dtype, x, 0, 10, y)         # in Python: where the kernel for arguments of these types begins
    call(part, x, first, last, y)                       # in a kernel that is given `part`; a tuple stands for its elements

That keeps the large kernels that many others need, and the body of a parallel loop, from being compiled two and three times.
"""
from typing import Any

from numba import config, typeof, types
from numba.core import cgutils
from numba.core.errors import TypingError

from ._jit import intrinsic

_known: dict[tuple[Any, Any], int] = {}


def address(function: Any, key: Any, *arguments: Any) -> Any:
    """Where the kernel begins, compiled if need be; its arguments' types are those of these examples.

    They must follow from `key`, mostly the dtype of the arrays: a kernel that is known by its key is not looked at again.
    """
    if config.DISABLE_JIT:
        return function                                 # which `call` then calls
    if (function, key) not in _known:
        signature = tuple(plain(argument if isinstance(argument, types.Type) else typeof(argument)) for argument in arguments)
        function.compile(signature)
        compiled = function.overloads[signature]
        _known[function, key] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return _known[function, key]


def plain(kind: types.Type) -> types.Type:
    """Caller and callee must agree: all integers go as intp, all arrays in C order."""
    if isinstance(kind, types.Array) and kind.layout != "C":
        raise TypingError(f"expected an array in C order, got {kind}")
    if _is_tuple(kind):
        return types.Tuple([plain(one) for one in kind.types])
    return types.intp if isinstance(kind, types.Integer) else types.unliteral(kind)


def _is_tuple(kind: types.Type) -> bool:
    return isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple)


def _call(function: Any, *arguments: Any) -> None:
    function(*(one for some in arguments for one in (some if type(some) is tuple else [some])))


@intrinsic(_call)
def call(typingctx, function, *arguments):
    taken = tuple(plain(kind) for kind in arguments)
    kinds = tuple(one for kind in taken for one in (kind.types if _is_tuple(kind) else [kind]))

    def codegen(context, builder, sig, args):
        values = []
        for kind, value in zip(taken, cgutils.unpack_tuple(builder, args[1]), strict=True):
            values.extend(cgutils.unpack_tuple(builder, value) if _is_tuple(kind) else [value])
        write_call(context, builder, args[0], kinds, values)
        return context.get_dummy_value()

    return types.none(function, types.Tuple(taken)), codegen


def write_call(context: Any, builder: Any, function: Any, kinds: Any, values: Any) -> None:
    """The call of a kernel at an address, in LLVM's terms; an error goes on to whoever called."""
    convention = context.call_conv
    pointer = builder.inttoptr(function, convention.get_function_type(types.none, kinds).as_pointer())
    status, _ = convention.call_function(builder, pointer, types.none, kinds, values)
    with cgutils.if_unlikely(builder, status.is_error):
        convention.return_status_propagate(builder, status)
