"""Calls of kernels at an address, written in LLVM's terms."""
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

_NUMBERS = (types.intp,) * 3
Kinds = tuple[tuple[types.Type, ...], tuple[types.Type, ...]]


def write_call(context: Any, builder: Any, function: Any, kinds: Any, values: Any) -> None:
    """The call of a kernel at an address, in LLVM's terms; an error goes on to whoever called."""
    convention = context.call_conv
    pointer = builder.inttoptr(function, convention.get_function_type(types.none, kinds).as_pointer())
    status, _ = convention.call_function(builder, pointer, types.none, kinds, values)
    with cgutils.if_unlikely(builder, status.is_error):
        convention.return_status_propagate(builder, status)


def write_loop(context: Any, builder: Any, loop: Any, threads: Any, part: Any, kinds: Kinds, values: Any,
               apart: bool = False) -> None:
    """The call of `_team`'s loop for the kernel at the address `part`: part(*before, s, threads, *after) for each s.

    Arguments:
        loop: where the loop begins.
        kinds, values: of the arguments before and after s and threads.
        apart: the kernel is given row s of the last argument, which has two axes.
    """
    arguments = cgutils.pack_struct(builder, [part, *values[0], *values[1]])
    share = _write_share(context, builder.module, arguments.type, kinds, apart)
    where = [builder.ptrtoint(one, threads.type) for one in (share, cgutils.alloca_once_value(builder, arguments))]
    write_call(context, builder, loop, _NUMBERS, [where[0], threads, where[1]])


def _write_share(context: Any, module: Any, kind: Any, kinds: Kinds, apart: bool) -> Any:
    """The function (s, threads, where the arguments lie) that does share s."""
    convention = context.call_conv
    share = ir.Function(module, convention.get_function_type(types.none, _NUMBERS), module.get_unique_name("share"))
    share.linkage = "internal"
    builder = ir.IRBuilder(share.append_basic_block())
    s, threads, where = convention.get_arguments(share)
    part, *values = cgutils.unpack_tuple(builder, builder.load(builder.inttoptr(where, kind.as_pointer())))
    (before, after), count = kinds, len(kinds[0])
    if apart:
        values[-1] = _row(context, builder, after[-1], values[-1], s)
        after = *after[:-1], types.Array(after[-1].dtype, 1, "C")
    every = *before, types.intp, types.intp, *after
    write_call(context, builder, part, every, [*values[:count], s, threads, *values[count:]])
    convention.return_value(builder, context.get_dummy_value())
    return share


def _row(context: Any, builder: Any, kind: types.Array, value: Any, s: Any) -> Any:
    """Row s of an array with two axes; whoever holds the array holds its memory."""
    array = context.make_array(kind)(context, builder, value)
    row = context.make_array(types.Array(kind.dtype, 1, "C"))(context, builder)
    (_, columns), (next_row, next_column) = (cgutils.unpack_tuple(builder, one) for one in (array.shape, array.strides))
    populate_array(row, data=cgutils.pointer_add(builder, array.data, builder.mul(s, next_row)), shape=[columns],
                   strides=[next_column], itemsize=array.itemsize, meminfo=array.meminfo, parent=array.parent)
    return row._getvalue()
