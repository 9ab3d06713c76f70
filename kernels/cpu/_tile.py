"""The one fast thing that a CPU kernel needs: a tile of outputs kept in vector registers while a sum runs.

    c[r, n] = start[r, n] + sum over m < runs, k < length:  a[r * a_row + m * a_run + k * a_k] * b[m * b_run + k * b_k + n]

for r < rows, n < columns. `a` is read where it lies, by any stride: a matrix, a transposed matrix, a row of a batch of
sequences, or the windows of an image: a window is a run of numbers for each of its rows. `b` has its columns side by side: a
row-major matrix, or a panel packed by `pack_columns`. One column of vectors is multiplied with one number of `a` at a time,
so nothing has to be shuffled. `columns` may be fewer than the tile is wide: the rest is masked, neither read nor written. A
masked load takes the place of an addition, so whole tiles are written without masks.
`start` may be c itself, or one row for all (start_row = 0), and counts only with `add`. All positions and strides count
elements.
"""
from functools import cache

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.np.numpy_support import from_dtype

from ._call import address, want_one_type
from ._jit import intrinsic, kernel


def _vector_bytes() -> int:
    """Width of a vector register: 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE, NEON)."""
    try:
        features = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:
        return 16
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


VECTOR = _vector_bytes()
LINE = 16                               # float32 numbers in a line of the cache
LONG = 64                               # a sum of this length gives the outputs time to come into the cache
WIDE = 2                                # vectors side by side in a tile
HEIGHTS = (14, 9, 4, 2, 1) if VECTOR == 64 else (6, 4, 3, 2, 1)     # rows: the tallest fills 28 of 32 registers, or 12 of 16
NARROW_HEIGHTS = (16, 14, 8, 4, 1) if VECTOR == 64 else (12, 8, 4, 2, 1)    # where one vector is wide enough
CHANNEL_HEIGHTS = (8, 5, 3, 1) if VECTOR == 64 else (5, 3, 2, 1)    # the same by channel; the taps of a row are often 3 or 5
ABREAST = 4                             # panels that are packed together
DOT_ROWS = 8 if VECTOR == 64 else 3
FEW = 4                                 # so few columns are better summed along k
REACH = {1: (1, 1), 2: (1, 2), 3: (3, 1), 4: (1, 4), 5: (5, 1), 6: (3, 2)}      # rows from an address: odd strides, scale


class _Vector:
    """How vectors of one number type are written in LLVM's terms."""

    def __init__(self, context, builder, dtype):
        self.context, self.builder = context, builder
        self.number = context.get_value_type(dtype)
        self.lanes, self.bytes = 8 * VECTOR // dtype.bitwidth, dtype.bitwidth // 8
        self.type = ir.VectorType(self.number, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        kind, module = f"v{self.lanes}f{dtype.bitwidth}.p0", builder.module
        pointer = self.type.as_pointer()
        self._load = module.declare_intrinsic(
            f"llvm.masked.load.{kind}", fnty=ir.FunctionType(self.type, [pointer, _I32, self.mask_type, self.type]))
        summed = ir.FunctionType(self.number, [self.number, self.type])
        self._sum = module.declare_intrinsic(f"llvm.vector.reduce.fadd.v{self.lanes}f{dtype.bitwidth}", fnty=summed)
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

    def masks(self, columns, vectors, whole=False):
        """For each of `vectors` side by side: which lanes lie within the first `columns`; None where all do."""
        if whole:
            return [None] * vectors
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
        if mask is None:
            return self.builder.load(place, align=self.bytes)
        return self.builder.call(self._load, [place, _ALIGN, mask, self.zero])

    def sum(self, start, value):
        """`start` and all lanes of a vector, added in any order."""
        return self.builder.call(self._sum, [start, value], fastmath=("reassoc",))

    def store(self, value, pointer, offset, mask):
        """Store where not masked."""
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())
        if mask is None:
            self.builder.store(value, place, align=self.bytes)
        else:
            self.builder.call(self._store, [value, place, _ALIGN, mask])


_I32, _I64 = ir.IntType(32), ir.IntType(64)
_ALIGN = ir.Constant(_I32, 4)


class _Rows:
    """Rows that lie a stride apart and are walked along together, all their addresses in a few registers.

    An address may be a register plus another one times 1, 2, 4 or 8: with a stride, three and five strides it reaches seven
    rows. `hidden` keeps LLVM from going from row to row by additions instead, of which each would wait for the one before.
    """

    def __init__(self, vector, first, stride, count):
        self.builder = vector.builder
        bytes_apart = self.builder.mul(stride, ir.Constant(_I64, vector.bytes))
        self.apart = {odd: self.builder.mul(bytes_apart, ir.Constant(_I64, odd)) for odd, _ in REACH.values()}
        self.firsts = [self.builder.gep(first, [self.builder.mul(stride, ir.Constant(_I64, r))])
                       for r in range(0, count, len(REACH) + 1)]

    def hidden(self, pointers):
        """The same pointers, of which LLVM does not know where they come from."""
        same = ir.InlineAsm(ir.FunctionType(pointers[0].type, [pointers[0].type]), "", "=r,0")
        return [self.builder.call(same, [pointer]) for pointer in pointers]

    def place(self, r, pointers=None):
        """Pointer to row r, when the pointers to the rows of `firsts` have come so far."""
        group, away = divmod(r, len(REACH) + 1)
        pointer = (pointers or self.firsts)[group]
        if not away:
            return pointer
        odd, scale = REACH[away]
        units = self.builder.bitcast(pointer, ir.IntType(8 * scale).as_pointer())
        return self.builder.bitcast(self.builder.gep(units, [self.apart[odd]]), pointer.type)


def _sum_over_runs(builder, vector, cells, rows, a_steps, b, b_steps, runs, length, step, products):
    """Two loops, m < runs and k < length in steps, that add to a vector for each cell; returns the sums.

    `rows` and the pointer b go on by their steps (for a run, for a step of k). `products(k, row pointers, b)` writes what is
    added: a cell and two factors.
    """
    zero, one = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
    before = builder.block
    run, loop, run_end, done = (builder.append_basic_block(name) for name in ("run", "k", "run_end", "done"))
    ways = [*((first, *a_steps) for first in rows.firsts), (b, *b_steps)]
    builder.branch(run)

    builder.position_at_end(run)
    m = builder.phi(_I64)
    m.add_incoming(zero, before)
    sums = {cell: builder.phi(vector.type) for cell in cells}
    starts = [builder.phi(b.type) for _ in ways]
    builder.branch(loop)

    builder.position_at_end(loop)
    k = builder.phi(_I64)
    k.add_incoming(zero, run)
    partial = {cell: builder.phi(vector.type) for cell in cells}
    phis = [builder.phi(b.type) for _ in ways]
    now = [*rows.hidden(phis[:-1]), phis[-1]]
    total = {}
    for cell, x, weight in products(k, now[:-1], now[-1]):
        total[cell] = builder.fadd(builder.fmul(x, weight, flags=("fast",)), partial[cell], flags=("fast",))
    k_next = builder.add(k, ir.Constant(_I64, step))
    k.add_incoming(k_next, loop)
    for phi, start, here, (_, _, along) in zip(phis, starts, now, ways, strict=True):
        phi.add_incoming(start, run)
        phi.add_incoming(builder.gep(here, [along]), loop)
    for cell in cells:
        partial[cell].add_incoming(sums[cell], run)
        partial[cell].add_incoming(total[cell], loop)
    builder.cbranch(builder.icmp_signed("<", k_next, length), loop, run_end)

    builder.position_at_end(run_end)
    m_next = builder.add(m, one)
    m.add_incoming(m_next, run_end)
    for start, (first, to_next_run, _) in zip(starts, ways, strict=True):
        start.add_incoming(first, before)
        start.add_incoming(builder.gep(start, [to_next_run]), run_end)
    for cell in cells:
        sums[cell].add_incoming(vector.zero, before)
        sums[cell].add_incoming(total[cell], run_end)
    builder.cbranch(builder.icmp_signed("<", m_next, runs), run, done)
    builder.position_at_end(done)
    return total


def _make_tiles(heights, vectors, by_channel=False):
    """Tiles of some heights as one function for kernels, the first argument saying which of them is wanted.

    `by_channel`: column n of b meets number n of a, not every number of a.
    """
    def in_python(height, a, a_at, a_row, a_k, a_run, b, b_at, b_k, b_run, runs, length,
                  start, start_at, start_row, c, c_at, c_row, columns, add):
        r, n = np.arange(height)[:, None], np.arange(columns)
        total = start[start_at + r * start_row + n] if add else np.zeros((height, columns), c.dtype)
        for m in range(runs):
            for k in range(length):
                total = total + a[a_at + r * a_row + m * a_run + k * a_k + n * by_channel] * b[b_at + m * b_run + k * b_k + n]
        c[c_at + r * c_row + n] = total

    @intrinsic(in_python)
    def tile(typingctx, height, a, a_at, a_row, a_k, a_run, b, b_at, b_k, b_run, runs, length,
             start, start_at, start_row, c, c_at, c_row, columns, add):
        want_one_type(a.dtype, b.dtype, start.dtype, c.dtype)
        n = types.intp
        signature = types.void(n, a, n, n, n, n, b, n, n, n, n, n, start, n, n, c, n, n, n, types.boolean)

        def codegen(context, builder, sig, args):
            width = vectors * 8 * VECTOR // sig.args[1].dtype.bitwidth
            for rows in heights:
                with builder.if_then(builder.icmp_signed("==", args[0], ir.Constant(_I64, rows))):
                    all_columns = builder.icmp_signed("==", args[-2], ir.Constant(_I64, width))
                    with builder.if_else(all_columns) as (whole, part):
                        with whole:
                            _write_tile(context, builder, sig.args[1:], args[1:], rows, vectors, by_channel, True)
                        with part:
                            _write_tile(context, builder, sig.args[1:], args[1:], rows, vectors, by_channel, False)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _write_tile(context, builder, kinds, args, rows, vectors, by_channel, whole):
    """The tile of so many rows and vectors side by side, all of them whole or not, in LLVM's terms."""
    _, _, a_row, a_k, a_run, _, _, b_k, b_run, runs, length, _, _, start_row, _, _, c_row, columns, add = args
    vector = _Vector(context, builder, kinds[0].dtype)
    cells = [(r, v) for r in range(rows) for v in range(vectors)]
    masks = vector.masks(columns, vectors, whole)
    lanes = [ir.Constant(_I64, v * vector.lanes) for v in range(vectors)]
    a, b, start, c = (vector.data(kinds[i], args[i], args[i + 1]) for i in (0, 5, 11, 14))
    a_rows, old_rows, c_rows = (_Rows(vector, *way, rows) for way in ((a, a_row), (start, start_row), (c, c_row)))

    def products(k, a_now, b_now):
        weights = [vector.load(b_now, lane, mask) for lane, mask in zip(lanes, masks, strict=True)]
        for r in range(rows):
            number = a_rows.place(r, a_now)
            x = None if by_channel else vector.splat(builder.load(number))
            for v in range(vectors):
                yield (r, v), vector.load(number, lanes[v], masks[v]) if by_channel else x, weights[v]

    with builder.if_then(builder.icmp_signed(">=", builder.mul(runs, length), ir.Constant(_I64, LONG))):
        for r, v in cells:
            vector.prefetch(c_rows.place(r), lanes[v])
    total = _sum_over_runs(builder, vector, cells, a_rows, (a_run, a_k), b, (b_run, b_k), runs, length, 1, products)
    keep = vector.splat(add)
    for r, v in cells:
        old = vector.load(old_rows.place(r), lanes[v], keep if whole else builder.and_(masks[v], keep))
        vector.store(builder.fadd(old, total[r, v]), c_rows.place(r), lanes[v], masks[v])


def _make_dot_tile(rows, columns):
    """For few columns: c[r, n] = start[n] + sum over m, k of a[r a_row + m a_run + k] b[n b_n + m b_run + k], lanes along k."""
    def in_python(a, a_at, a_row, a_run, b, b_at, b_n, b_run, runs, length, start, start_at, c, c_at, c_row):
        r, n, k = np.arange(rows)[:, None, None], np.arange(columns)[:, None], np.arange(length)
        total = start[start_at + n[:, 0]]
        for m in range(runs):
            total = total + np.sum(a[a_at + r * a_row + m * a_run + k] * b[b_at + n * b_n + m * b_run + k], axis=-1)
        c[c_at + r[..., 0] * c_row + n[:, 0]] = total

    @intrinsic(in_python)
    def tile(typingctx, a, a_at, a_row, a_run, b, b_at, b_n, b_run, runs, length, start, start_at, c, c_at, c_row):
        want_one_type(a.dtype, b.dtype, start.dtype, c.dtype)
        n = types.intp
        signature = types.void(a, n, n, n, b, n, n, n, n, n, start, n, c, n, n)

        def codegen(context, builder, sig, args):
            _, _, a_row, a_run, _, _, b_n, b_run, runs, length, _, _, _, _, c_row = args
            vector = _Vector(context, builder, sig.args[0].dtype)
            cells = [(r, v) for r in range(rows) for v in range(columns)]
            a, b, start, c = (vector.data(sig.args[i], args[i], args[i + 1]) for i in (0, 4, 10, 12))

            a_rows, step = _Rows(vector, a, a_row, rows), ir.Constant(_I64, vector.lanes)

            def products(k, a_now, b_now):
                mask = vector.masks(builder.sub(length, k), 1)[0]
                weights = [vector.load(b_now, builder.mul(b_n, ir.Constant(_I64, v)), mask) for v in range(columns)]
                for r in range(rows):
                    x = vector.load(a_rows.place(r, a_now), ir.Constant(_I64, 0), mask)
                    for v in range(columns):
                        yield (r, v), x, weights[v]

            total = _sum_over_runs(builder, vector, cells, a_rows, (a_run, step), b, (b_run, step), runs, length, vector.lanes,
                                   products)
            for r, v in cells:
                first = builder.load(builder.gep(start, [ir.Constant(_I64, v)]))
                place = builder.add(builder.mul(c_row, ir.Constant(_I64, r)), ir.Constant(_I64, v))
                builder.store(vector.sum(first, total[r, v]), builder.gep(c, [place]))
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _copy_columns(source, source_at, columns, target, target_at):
    target[target_at:target_at + columns] = source[source_at:source_at + columns]


@intrinsic(_copy_columns)
def copy_columns(typingctx, source, source_at, columns, target, target_at):
    """target[target_at + n] = source[source_at + n] for n < columns <= width of a tile, in whole vectors."""
    want_one_type(source.dtype, target.dtype)
    n = types.intp

    def codegen(context, builder, sig, args):
        vector = _Vector(context, builder, sig.args[0].dtype)
        source, target = vector.data(sig.args[0], args[0], args[1]), vector.data(sig.args[3], args[3], args[4])
        all_columns = builder.icmp_signed("==", args[2], ir.Constant(_I64, WIDE * vector.lanes))
        with builder.if_else(all_columns) as branches:          # a masked store takes long without AVX-512
            for branch, whole in zip(branches, (True, False), strict=True):
                with branch:
                    for v, mask in enumerate(vector.masks(args[2], WIDE, whole)):
                        start = ir.Constant(_I64, v * vector.lanes)
                        vector.store(vector.load(source, start, mask), target, start, mask)
        return context.get_dummy_value()

    return types.void(source, n, n, target, n), codegen


def _turn_block(source, source_at, source_row, target, target_at, target_row):
    side = VECTOR // source.itemsize
    r, n = np.arange(side)[:, None], np.arange(side)
    target[target_at + n * target_row + r] = source[source_at + r * source_row + n]


@intrinsic(_turn_block)
def turn_block(typingctx, source, source_at, source_row, target, target_at, target_row):
    """target[target_at + n target_row + r] = source[source_at + r source_row + n] for r, n < lanes of a vector."""
    want_one_type(source.dtype, target.dtype)
    n = types.intp

    def codegen(context, builder, sig, args):
        vector = _Vector(context, builder, sig.args[0].dtype)
        source, target = vector.data(sig.args[0], args[0], args[1]), vector.data(sig.args[3], args[3], args[4])
        lanes, zero = vector.lanes, ir.Constant(_I64, 0)
        rows = [vector.load(source, builder.mul(args[2], ir.Constant(_I64, r)), None) for r in range(lanes)]
        step = 1
        while step < lanes:                                     # squares of 2, of 4, … change places across the diagonal
            low = [n if not n & step else n - step + lanes for n in range(lanes)]
            high = [n + step if not n & step else n + lanes for n in range(lanes)]
            masks = [ir.Constant(ir.VectorType(_I32, lanes), places) for places in (low, high)]
            for r in range(lanes):
                if not r & step:
                    pair = rows[r], rows[r + step]
                    rows[r], rows[r + step] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            step *= 2
        for r, row in enumerate(rows):
            vector.store(row, builder.gep(target, [builder.mul(args[5], ir.Constant(_I64, r))]), zero, None)
        return context.get_dummy_value()

    return types.void(source, n, n, target, n, n), codegen


@intrinsic(lambda array, at: None)
def fetch(typingctx, array, at):
    """Ask for the numbers about array[at], which are soon needed; where there is no such number, nothing happens."""
    def codegen(context, builder, sig, args):
        vector = _Vector(context, builder, sig.args[0].dtype)
        vector.prefetch(vector.data(sig.args[0], args[0], args[1]), ir.Constant(_I64, 0))
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic(lambda: None)
def wide_vectors(typingctx):
    """Say at the top of a kernel that its loops are worth the widest registers; LLVM would take half of AVX-512's."""
    def codegen(context, builder, sig, args):
        set.add(builder.function.attributes, f'"prefer-vector-width"="{8 * VECTOR}"')   # llvmlite knows no valued ones
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(lambda array: WIDE * VECTOR // array.itemsize)
def tile_width(typingctx, array):
    """How many columns of the array's numbers a tile has: a constant, where array.itemsize would cost a division."""
    def codegen(context, builder, sig, args):
        return context.get_constant(types.intp, 8 * WIDE * VECTOR // sig.args[0].dtype.bitwidth)

    return types.intp(array), codegen


wide_tiles = _make_tiles(HEIGHTS, WIDE)
narrow_tiles = _make_tiles(NARROW_HEIGHTS, 1)
channel_tiles = _make_tiles(CHANNEL_HEIGHTS, WIDE, by_channel=True)
dots_tall1, dots_tall3, dots1, dots3 = (_make_dot_tile(rows, columns) for rows in (DOT_ROWS, 1) for columns in (1, 3))


MOST = 64                               # rows left up to which it is worked out which tiles cover them best


def _first_heights(heights, vectors):
    """For every number of rows that are left: the height with which tiles cover them in the fewest cycles.

    A step of a tile takes half a cycle for each vector, no fewer than an addition takes (4), and time to read b.
    """
    cost, first = [0.0], [0]
    for left in range(1, MOST):
        cycles = {h: max(h * vectors / 2, 4) + 0.75 * vectors + cost[left - h] for h in heights if h <= left}
        first.append(min(cycles, key=cycles.__getitem__))
        cost.append(cycles[first[-1]])
    return np.array([*first, heights[0]])


WIDE_FIRST, NARROW_FIRST, CHANNEL_FIRST = (
    _first_heights(heights, vectors) for heights, vectors in ((HEIGHTS, WIDE), (NARROW_HEIGHTS, 1), (CHANNEL_HEIGHTS, WIDE)))


@kernel
def column_product(a, a_at, a_row, a_k, a_run, rows, b, b_at, b_k, b_run, runs, length,
                   start, start_at, start_row, c, c_at, c_row, columns, add, lines, a_line, c_line):
    """One column of tiles: c[r, n] = start[r, n] + sum over m, k of a[r, m, k] b[m, k, n] for r < rows, n < columns.

    `columns` is at most the width of a tile. The same is done `lines` times with the next line of a and c: the rows of an
    image. With a_row = 0, `a` is packed by `pack_rows` (and has one run and one line).
    """
    narrow = columns <= tile_width(b) // WIDE and a_row != 0
    for line in range(lines):
        r = 0
        while r < rows:
            left = min(rows - r, MOST)
            at, row, step = a_at + line * a_line + r * a_row, a_row, a_k
            old, to = start_at + (line * c_line if start_row else 0) + r * start_row, c_at + line * c_line + r * c_row
            if narrow:
                height = NARROW_FIRST[left]
                narrow_tiles(height, a, at, row, step, a_run, b, b_at, b_k, b_run, runs, length,
                             start, old, start_row, c, to, c_row, columns, add)
            else:
                height = WIDE_FIRST[left]
                if a_row == 0:
                    at, row, step = a_at + r * length, 1, height
                wide_tiles(height, a, at, row, step, a_run, b, b_at, b_k, b_run, runs, length,
                           start, old, start_row, c, to, c_row, columns, add)
            r += height


@kernel
def channel_product(a, a_at, a_row, a_k, a_run, rows, b, b_at, b_k, b_run, runs, length,
                    start, start_at, start_row, c, c_at, c_row, columns, add, lines, a_line, c_line):
    """The same channel by channel: c[r, n] = start[r, n] + sum over m, k of a[r, m, k, n] b[m, k, n], n side by side in all."""
    for line in range(lines):
        r = 0
        while r < rows:
            height = CHANNEL_FIRST[min(rows - r, MOST)]
            at, to = a_at + line * a_line + r * a_row, c_at + line * c_line + r * c_row
            old = start_at + (line * c_line if start_row else 0) + r * start_row
            channel_tiles(height, a, at, a_row, a_k, a_run, b, b_at, b_k, b_run, runs, length,
                          start, old, start_row, c, to, c_row, columns, add)
            r += height


@kernel
def dot_product(a, a_at, a_row, a_run, rows, b, b_at, b_n, b_run, runs, length, start, start_at, c, c_at, c_row, columns,
                lines, a_line, c_line):
    """For few columns: c[r, n] = start[n] + sum over m, k of a[r, m, k] b[n, m, k], k side by side in both."""
    for line in range(lines):
        n = 0
        while n < columns:
            three = columns - n >= 3
            r = 0
            while r < rows:
                tall = rows >= DOT_ROWS
                r = min(r, rows - DOT_ROWS) if tall else r          # the last tile may compute some rows once more
                at, to = a_at + line * a_line + r * a_row, c_at + line * c_line + r * c_row + n
                row, old = b_at + n * b_n, start_at + n
                if tall and three:
                    dots_tall3(a, at, a_row, a_run, b, row, b_n, b_run, runs, length, start, old, c, to, c_row)
                elif tall:
                    dots_tall1(a, at, a_row, a_run, b, row, b_n, b_run, runs, length, start, old, c, to, c_row)
                elif three:
                    dots3(a, at, a_row, a_run, b, row, b_n, b_run, runs, length, start, old, c, to, c_row)
                else:
                    dots1(a, at, a_row, a_run, b, row, b_n, b_run, runs, length, start, old, c, to, c_row)
                r += DOT_ROWS if tall else 1
            n += 3 if three else 1


@cache
def product_address(product, dtype):
    """Where `column_product`, `channel_product` or `dot_product` begins, for `call`."""
    array, n = types.Array(from_dtype(dtype), 1, "C"), types.intp
    if product is dot_product:
        return address(product, array, n, n, n, n, array, n, n, n, n, n, array, n, array, n, n, n, n, n, n)
    return address(product, array, n, n, n, n, n, array, n, n, n, n, n, array, n, n, array, n, n, n, types.boolean, n, n, n)


@kernel
def pack_columns(b, b_at, b_k, b_n, length, columns, panel, at, width):
    """b[k, n] for k < length, n < columns -> panel[at + k * width + n]: the columns of a tile side by side."""
    if b_n == 1:
        for k in range(length):
            copy_columns(b, b_at + k * b_k, columns, panel, at + k * width)
    elif b_k == 1 and columns == width:
        side = width // WIDE
        whole = length // side * side
        for n in range(0, columns, side):
            for k in range(0, whole, side):
                turn_block(b, b_at + n * b_n + k, b_n, panel, at + k * width + n, width)
        _pack_one_by_one(b, b_at + whole, b_k, b_n, length - whole, columns, panel, at + whole * width, width)
    else:
        _pack_one_by_one(b, b_at, b_k, b_n, length, columns, panel, at, width)


@kernel
def pack_panels(b, b_at, b_k, b_n, length, columns, panels, at, width):
    """Several panels, one behind the other. Rows that lie side by side are read together: each is a short way in memory."""
    whole = columns // width if b_n == 1 else 0
    for k in range(length if whole else 0):
        for p in range(whole):
            copy_columns(b, b_at + k * b_k + p * width, width, panels, at + (p * length + k) * width)
    for n in range(whole * width, columns, width):
        pack_columns(b, b_at + n * b_n, b_k, b_n, length, min(width, columns - n), panels, at + n * length, width)


@kernel
def _pack_one_by_one(b, b_at, b_k, b_n, length, columns, panel, at, width):
    for k in range(0, length, 8):                               # eight rows of the panel stay in the cache meanwhile
        for n in range(columns):
            for i in range(k, min(k + 8, length)):
                panel[np.uintp(at + i * width + n)] = b[np.uintp(b_at + n * b_n + i * b_k)]


@kernel
def pack_rows(a, a_at, a_row, a_k, rows, length, packed):
    """a[r, k] for r < rows, k < length -> packed: tile after tile, in each the rows side by side for every k."""
    r = 0
    while r < rows:
        height = WIDE_FIRST[min(rows - r, MOST)]
        at = r * length
        if a_row == 1 and VECTOR == 64:
            for k in range(length):
                for i in range(0, height, tile_width(a)):
                    copy_columns(a, a_at + r + i + k * a_k, min(tile_width(a), height - i), packed, at + k * height + i)
        elif a_row == 1:                                        # a masked store takes long without AVX-512
            for k in range(length):
                for i in range(height):
                    packed[np.uintp(at + k * height + i)] = a[np.uintp(a_at + r + i + k * a_k)]
        else:
            for i in range(height):
                start = a_at + (r + i) * a_row
                for k in range(length):
                    packed[np.uintp(at + k * height + i)] = a[np.uintp(start + k * a_k)]
        r += height
