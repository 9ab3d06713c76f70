"""The one fast thing that a CPU kernel needs: a tile of outputs kept in vector registers while a sum runs.

    c[r, n] (+)= sum over k < K:  a[r * a_row + k * a_k] * b[k * b_k + n]        for r < rows, n < columns

`a` is read where it lies, by any row and k stride: a matrix, a transposed matrix, a row of a batch of sequences. `b` has its
columns side by side: a row-major matrix, or a panel packed by `pack`. One column of vectors is multiplied with one number
of `a` at a time, so nothing has to be shuffled. `columns` may be fewer than the tile is wide: the rest is masked, neither
read nor written. All positions and strides count elements.
"""
import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel


def _vector_bytes() -> int:
    """Width of a vector register: 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE, NEON)."""
    try:
        features = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:
        return 16
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


VECTOR = _vector_bytes()
LONG = 64                               # a sum of this length gives the outputs time to come into the cache
WIDE = 2                                # vectors side by side in a tile
START, SIDE_BY_SIDE = np.intp(0), np.intp(1)    # no literals: for each of those Numba compiles the function called once more
HEIGHTS = (14, 8, 4, 2, 1) if VECTOR == 64 else (6, 4, 3, 2, 1)     # rows: the tallest fills 28 of 32 registers, or 12 of 16


class _Vector:
    """How vectors of one number type are written in LLVM's terms."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        self.number = context.get_value_type(dtype)
        self.lanes = VECTOR // dtype.bitwidth * 8
        self.type = ir.VectorType(self.number, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        kind, module = f"v{self.lanes}f{dtype.bitwidth}.p0", builder.module
        pointer = self.type.as_pointer()
        self._load = module.declare_intrinsic(
            f"llvm.masked.load.{kind}", fnty=ir.FunctionType(self.type, [pointer, _I32, self.mask_type, self.type]))
        self._store = module.declare_intrinsic(
            f"llvm.masked.store.{kind}", fnty=ir.FunctionType(ir.VoidType(), [self.type, pointer, _I32, self.mask_type]))

    def data(self, array_type, array, offset):
        """Pointer to the element at `offset` of an array."""
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [offset])

    def splat(self, value):
        """A vector with `value` in every lane."""
        kind = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes))

    def masks(self, columns, vectors):
        """For each of `vectors` side by side: which lanes lie within the first `columns`."""
        left = self.splat(self.builder.trunc(columns, _I32))
        numbers = [list(range(v * self.lanes, (v + 1) * self.lanes)) for v in range(vectors)]
        return [self.builder.icmp_signed("<", ir.Constant(ir.VectorType(_I32, self.lanes), n), left) for n in numbers]

    def prefetch(self, pointer, offset):
        """Fetch what will be written at `offset` into the cache meanwhile."""
        place = self.builder.gep(pointer, [offset])
        fetch = self.builder.module.declare_intrinsic(
            "llvm.prefetch.p0", fnty=ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32]))
        self.builder.call(fetch, [place, *(ir.Constant(_I32, flag) for flag in (1, 3, 1))])     # write, keep, data

    def load(self, pointer, offset, mask):
        """The vector at `offset`, zero where masked."""
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())
        return self.builder.call(self._load, [place, _ALIGN, mask, self.zero])

    def store(self, value, pointer, offset, mask):
        """Store where not masked."""
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())
        self.builder.call(self._store, [value, place, _ALIGN, mask])


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ALIGN = ir.Constant(_I32, 4)


def _make_tile(rows, vectors):
    @intrinsic
    def tile(typingctx, a, a_at, a_row, a_k, b, b_at, b_k, length, c, c_at, c_row, columns, add):
        n = types.intp
        signature = types.void(a, n, n, n, b, n, n, n, c, n, n, n, types.boolean)

        def codegen(context, builder, sig, args):
            _, _, a_row, a_k, _, _, b_k, length, _, _, c_row, columns, add = args
            vector = _Vector(context, builder, sig.args[0].dtype)
            cells = [(r, v) for r in range(rows) for v in range(vectors)]
            masks = vector.masks(columns, vectors)
            starts = [ir.Constant(_I64, v * vector.lanes) for v in range(vectors)]
            a, b, c = (vector.data(sig.args[i], args[i], args[i + 1]) for i in (0, 4, 8))
            a_rows = [builder.gep(a, [builder.mul(a_row, ir.Constant(_I64, r))]) for r in range(rows)]
            ends = [[builder.add(builder.mul(c_row, ir.Constant(_I64, r)), start) for start in starts] for r in range(rows)]
            with builder.if_then(builder.icmp_signed(">=", length, ir.Constant(_I64, LONG))):
                for end in (end for row in ends for end in row):
                    vector.prefetch(c, end)
            before, loop, done = builder.block, builder.append_basic_block("k"), builder.append_basic_block("done")
            builder.branch(loop)

            builder.position_at_end(loop)
            k = builder.phi(_I64)
            k.add_incoming(ir.Constant(_I64, 0), before)
            sums = {cell: builder.phi(vector.type) for cell in cells}
            b_row = builder.gep(b, [builder.mul(k, b_k)])
            weights = [vector.load(b_row, start, mask) for start, mask in zip(starts, masks, strict=True)]
            k_offset = builder.mul(k, a_k)
            total = {}
            for r in range(rows):
                x = vector.splat(builder.load(builder.gep(a_rows[r], [k_offset])))
                for v in range(vectors):
                    total[r, v] = builder.fadd(builder.fmul(x, weights[v], flags=("fast",)), sums[r, v], flags=("fast",))
            k_next = builder.add(k, ir.Constant(_I64, 1))
            k.add_incoming(k_next, loop)
            for cell in cells:
                sums[cell].add_incoming(vector.zero, before)
                sums[cell].add_incoming(total[cell], loop)
            builder.cbranch(builder.icmp_signed("<", k_next, length), loop, done)

            builder.position_at_end(done)
            keep = vector.splat(add)
            for r, v in cells:
                old = vector.load(c, ends[r][v], builder.and_(masks[v], keep))
                vector.store(builder.fadd(old, total[r, v]), c, ends[r][v], masks[v])
            return context.get_dummy_value()

        return signature, codegen

    return tile


@intrinsic
def copy_columns(typingctx, source, source_at, columns, target, target_at):
    """target[target_at + n] = source[source_at + n] for n < columns <= width of a tile, in whole vectors."""
    n = types.intp

    def codegen(context, builder, sig, args):
        vector = _Vector(context, builder, sig.args[0].dtype)
        source, target = vector.data(sig.args[0], args[0], args[1]), vector.data(sig.args[3], args[3], args[4])
        for v, mask in enumerate(vector.masks(args[2], WIDE)):
            start = ir.Constant(_I64, v * vector.lanes)
            vector.store(vector.load(source, start, mask), target, start, mask)
        return context.get_dummy_value()

    return types.void(source, n, n, target, n), codegen


@intrinsic
def wide_vectors(typingctx):
    """Say at the top of a kernel that its loops are worth the widest registers; LLVM would take half of AVX-512's."""
    def codegen(context, builder, sig, args):
        set.add(builder.function.attributes, f'"prefer-vector-width"="{8 * VECTOR}"')   # llvmlite knows no valued ones
        return context.get_dummy_value()

    return types.void(), codegen


wide0, wide1, wide2, wide3, wide4 = (_make_tile(rows, 2) for rows in HEIGHTS)
narrow0, narrow1, narrow2, narrow3, narrow4 = (_make_tile(rows, 1) for rows in HEIGHTS)
H0, H1, H2, H3, H4 = HEIGHTS


@kernel
def tile_height(left):
    """How many rows the next tile takes when `left` are still to do: two middle ones rather than a full and a thin one."""
    if left >= H0 and not H0 < left < 2 * H1 + 2:
        return H0
    if left >= H1:
        return H1
    if left >= H2:
        return H2
    return H3 if left >= H3 else H4


@kernel
def column_product(a, a_at, a_row, a_k, rows, b, b_at, b_k, length, c, c_at, c_row, columns, add):
    """One column of tiles: c[r, n] (+)= sum over k of a[r, k] b[k, n] for r < rows, n < columns <= width of a tile.

    With a_row = 0, `a` is packed by `pack_rows`.
    """
    narrow = columns <= VECTOR // b.itemsize
    r = 0
    while r < rows:
        height = tile_height(rows - r)
        if a_row == 0:
            at, row, step = a_at + r * length, 1, height
        else:
            at, row, step = a_at + r * a_row, a_row, a_k
        to = c_at + r * c_row
        if height == H0:
            if narrow:
                narrow0(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
            else:
                wide0(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        elif height == H1:
            if narrow:
                narrow1(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
            else:
                wide1(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        elif height == H2:
            if narrow:
                narrow2(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
            else:
                wide2(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        elif height == H3:
            if narrow:
                narrow3(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
            else:
                wide3(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        elif narrow:
            narrow4(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        else:
            wide4(a, at, row, step, b, b_at, b_k, length, c, to, c_row, columns, add)
        r += height


@kernel
def pack_columns(b, b_at, b_k, b_n, length, columns, panel, at, width):
    """b[k, n] for k < length, n < columns -> panel[at + k * width + n]: the columns of a tile side by side."""
    if b_n == 1:
        for k in range(length):
            copy_columns(b, b_at + k * b_k, columns, panel, at + k * width)
    else:
        for k in range(0, length, 8):                           # eight rows of the panel stay in the cache meanwhile
            for n in range(columns):
                for i in range(k, min(k + 8, length)):
                    panel[np.uintp(at + i * width + n)] = b[np.uintp(b_at + n * b_n + i * b_k)]


@kernel
def pack_rows(a, a_at, a_row, a_k, rows, length, packed):
    """a[r, k] for r < rows, k < length -> packed: tile after tile, in each the rows side by side for every k."""
    r = 0
    while r < rows:
        height = tile_height(rows - r)
        at = r * length
        if a_row == 1:
            for k in range(length):
                copy_columns(a, a_at + r + k * a_k, height, packed, at + k * height)
        else:
            for i in range(height):
                start = a_at + (r + i) * a_row
                for k in range(length):
                    packed[np.uintp(at + k * height + i)] = a[np.uintp(start + k * a_k)]
        r += height
