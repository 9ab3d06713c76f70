"""What the machine can do at most: multiply-adds in registers, and bytes copied in memory, on all cores."""
import json
import sys
import time

import numpy as np
from alternate import answer
from numba import get_num_threads, prange

from kernels.cpu._call import call
from kernels.cpu._jit import parallel_kernel
from kernels.cpu._tile import HEIGHTS, column_product, product_address, tile_width

ROWS, LENGTH, TIMES = 2 * HEIGHTS[0], 256, 2000       # whole tiles of the greatest height


@parallel_kernel
def _multiply_on_all(tile, a, b, c):
    width = tile_width(a)
    for s in prange(len(a)):
        for _ in range(TIMES):
            call(tile, a[s], 0, LENGTH, 1, 0, ROWS, b[s], 0, width, 0, 1, LENGTH, c[s], 0, width, c[s], 0, width, width, False,
                 1, 0, 0)


@parallel_kernel
def _copy_on_all(x, y):
    for s in prange(len(x)):
        y[s] = x[s]


def flops() -> float:
    """Floating-point operations a second of the register tile, its operands in the first-level cache, on all cores."""
    threads, width = get_num_threads(), tile_columns()
    a, b, c = (np.ones((threads, n), "f4") for n in (ROWS * LENGTH, LENGTH * width, ROWS * width))
    tile = product_address(column_product, a.dtype)
    return threads * TIMES * 2 * ROWS * LENGTH * width / fastest(lambda: _multiply_on_all(tile, a, b, c))


def bandwidth() -> float:
    """Bytes a second read and written when a large array is copied by all cores."""
    x, y = (np.ones((get_num_threads(), 1 << 24), "f4") for _ in range(2))
    return 2 * x.nbytes / fastest(lambda: _copy_on_all(x, y))


def tile_columns() -> int:
    """Columns of a tile of float32 numbers."""
    from kernels.cpu._tile import VECTOR, WIDE
    return WIDE * VECTOR // 4


def fastest(run, times: int = 20) -> float:
    """The shortest of some runs, in seconds: a limit is what goes when nothing disturbs."""
    run()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


LIMITS = {"Gflop": flops, "GB": bandwidth}

if __name__ == "__main__":
    if sys.argv[1:] == ["--turns"]:
        for unit in map(json.loads, sys.stdin):
            answer(LIMITS[unit]())
        sys.exit()
    print(f"the machine's limits on {get_num_threads()} cores: {flops() / 1e9:.0f} Gflop/s (float32), "
          f"{bandwidth() / 1e9:.1f} GB/s (copy)")
