"""Vectors as values in a kernel: numbers that lie side by side, worked on together, a lane for each.

    v = load(x, at, left, x)        x[at : at + left] as far as there are lanes; those beyond `left` are 0
    v = splat(number, x)            the number in every lane
    v + w,  v * w                   lane by lane
    beats(v, w)                     in which lanes v takes the place of the maximum w: v > w, or v is the first NaN
    equal(v, w)                     in which lanes they are the same
    select(condition, v, w)         v where the condition holds, else w
    widen(v),  narrow(v, x)         the numbers in double precision, and back in that of x
    store(v, y, at, left)           y[at : at + left] = v; nothing is written beyond `left`
    lanes_of(x)                     how many lanes there are

The last argument of `load` and `splat`, an array, says how many lanes there are: two registers full of its numbers. So
numbers of another size can go with them. In Python (NUMBA_DISABLE_JIT=1) a vector is an array of so many numbers. A loop
over channels in which LLVM would find these vectors itself costs more than all of its work, where there are few channels and
many such loops.
"""
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, overload, register_model

from ._call import want_one_type
from ._jit import intrinsic
from ._tile import VECTOR

LANE_BYTES = 2 * VECTOR     # two registers for each: fewer turns of the loop around them


class Lanes(types.Type):
    """The type of a vector: that of its numbers, and how many."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        super().__init__(f"Lanes({dtype}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.dtype).get_value_type(), lanes.count))


_I32, _N = ir.IntType(32), types.intp


@intrinsic(lambda like: LANE_BYTES // like.itemsize)
def lanes_of(typingctx, like):
    """A constant, which `like.itemsize` is not: a loop with that step would begin with two divisions."""
    return _N(like), lambda context, builder, sig, args: ir.Constant(ir.IntType(64), LANE_BYTES * 8 // like.dtype.bitwidth)


def _load(array, at, left, like):
    vector = np.zeros(LANE_BYTES // like.itemsize, array.dtype)
    inside = array[at:at + max(0, min(left, len(vector)))]
    vector[:len(inside)] = inside
    return vector


@intrinsic(_load)
def load(typingctx, array, at, left, like):
    lanes = Lanes(array.dtype, LANE_BYTES * 8 // like.dtype.bitwidth)

    def codegen(context, builder, sig, args):
        vector = context.get_value_type(lanes)
        place, align = _place(context, builder, sig.args[0], args[0], args[1], vector)
        kind = ir.FunctionType(vector, [place.type, _I32, _mask_type(lanes), vector])
        function = builder.module.declare_intrinsic(f"llvm.masked.load.{_suffix(lanes)}.p0", fnty=kind)
        return builder.call(function, [place, align, _mask(builder, args[2], lanes), ir.Constant(vector, None)])

    return lanes(array, _N, _N, like), codegen


def _store(lanes, array, at, left):
    inside = array[at:at + max(0, min(left, len(lanes)))]
    inside[:] = lanes[:len(inside)]


@intrinsic(_store)
def store(typingctx, lanes, array, at, left):
    want_one_type(lanes.dtype, array.dtype)

    def codegen(context, builder, sig, args):
        place, align = _place(context, builder, array, args[1], args[2], args[0].type)
        kind = ir.FunctionType(ir.VoidType(), [args[0].type, place.type, _I32, _mask_type(lanes)])
        function = builder.module.declare_intrinsic(f"llvm.masked.store.{_suffix(lanes)}.p0", fnty=kind)
        whole = builder.icmp_signed(">=", args[3], args[3].type(lanes.count))
        with builder.if_else(whole, likely=True) as (without_mask, with_mask):      # some processors need 12 cycles for a mask
            with without_mask:
                builder.store(args[0], place, align=align.constant)
            with with_mask:
                builder.call(function, [args[0], place, align, _mask(builder, args[3], lanes)])
        return context.get_dummy_value()

    return types.void(lanes, array, _N, _N), codegen


@intrinsic(lambda number, like: np.full(LANE_BYTES // like.itemsize, number))
def splat(typingctx, number, like):
    lanes = Lanes(number, LANE_BYTES * 8 // like.dtype.bitwidth)
    return lanes(number, like), lambda context, builder, sig, args: _splat(builder, args[0], lanes.count)


@intrinsic(lambda value, best: ~(value <= best) & (best == best))
def beats(typingctx, value, best):
    want_one_type(value, best)

    def codegen(context, builder, sig, args):
        value, best = args
        larger_or_nan = builder.fcmp_unordered(">", value, best)
        return builder.and_(larger_or_nan, builder.fcmp_ordered("ord", best, best))     # a NaN stays

    return Lanes(types.boolean, value.count)(value, best), codegen


@intrinsic(np.equal)
def equal(typingctx, a, b):
    want_one_type(a, b)
    return Lanes(types.boolean, a.count)(a, b), lambda context, builder, sig, args: builder.icmp_signed("==", *args)


@intrinsic(np.where)
def select(typingctx, condition, a, b):
    want_one_type(a, b)
    return a(condition, a, b), lambda context, builder, sig, args: builder.select(*args)


@intrinsic(lambda a: a.astype(np.float64))
def widen(typingctx, a):
    lanes = Lanes(types.float64, a.count)
    return lanes(a), lambda context, builder, sig, args: _cast(builder.fpext, args[0], context.get_value_type(lanes))


@intrinsic(lambda a, like: a.astype(like.dtype))
def narrow(typingctx, a, like):
    lanes = Lanes(like.dtype, a.count)
    return lanes(a, like), lambda context, builder, sig, args: _cast(builder.fptrunc, args[0], context.get_value_type(lanes))


@intrinsic(operator.add)
def _add(typingctx, a, b):
    return a(a, b), lambda context, builder, sig, args: builder.fadd(*args, flags=("contract",))


@intrinsic(operator.mul)
def _multiply(typingctx, a, b):
    return a(a, b), lambda context, builder, sig, args: builder.fmul(*args, flags=("contract",))


@overload(operator.add)
def _overload_add(a, b):
    if isinstance(a, Lanes) and a == b:
        return lambda a, b: _add(a, b)


@overload(operator.mul)
def _overload_multiply(a, b):
    if isinstance(a, Lanes) and a == b:
        return lambda a, b: _multiply(a, b)


def _place(context, builder, array_type, array, at, vector):
    """Pointer to the vector that begins at element `at`, and its alignment in bytes."""
    data = context.make_array(array_type)(context, builder, array).data
    place = builder.bitcast(builder.gep(data, [at]), vector.as_pointer())
    return place, ir.Constant(_I32, array_type.dtype.bitwidth // 8)


def _cast(cast, value, target):
    return value if value.type == target else cast(value, target)


def _mask_type(lanes):
    return ir.VectorType(ir.IntType(1), lanes.count)


def _mask(builder, left, lanes):
    """Which lanes lie within the first `left`."""
    numbers = ir.Constant(ir.VectorType(_I32, lanes.count), list(range(lanes.count)))
    return builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(left, _I32), lanes.count))


def _splat(builder, value, count):
    vector = ir.VectorType(value.type, count)
    single = builder.insert_element(cgutils.get_null_value(vector), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(_I32, count), [0] * count))


def _suffix(lanes):
    """How LLVM's intrinsics name the vector: v16f32."""
    return f"v{lanes.count}{'f' if isinstance(lanes.dtype, types.Float) else 'i'}{lanes.dtype.bitwidth}"
