"""Kernels that take every number of an array by itself: large arrays are shared between the threads."""
import functools
from collections.abc import Callable
from typing import Any

from numba import prange

from ._call import address, call
from ._jit import kernel, parallel_kernel, threads_for

SHARE = 1 << 16             # numbers for each thread that pay for waking it


def elementwise(function: Callable[..., None]) -> Callable[..., None]:
    """Compile f(x, settings…, y), or f_backward(dy, x, y, settings…, dx), over flat arrays of one size."""
    part = kernel(function)
    arrays, parallel = (3, _share_backward) if function.__name__.endswith("_backward") else (1, _share)

    @functools.wraps(function)
    def shared(*arguments: Any) -> None:
        threads = threads_for(arguments[0].size, SHARE)
        if threads == 1:
            part(*arguments)
        else:
            settings = arguments[arrays:-1]
            where = address(part, (arguments[0].dtype, *map(type, settings)), *arguments)
            parallel(where, *arguments[:arrays], settings, threads, arguments[-1])
    return shared


@parallel_kernel
def _share(part, x, settings, threads, y):
    for s in prange(threads):
        first, last = s * x.size // threads, (s + 1) * x.size // threads
        call(part, x[first:last], settings, y[first:last])


@parallel_kernel
def _share_backward(part, dy, x, y, settings, threads, dx):
    for s in prange(threads):
        first, last = s * x.size // threads, (s + 1) * x.size // threads
        call(part, dy[first:last], x[first:last], y[first:last], settings, dx[first:last])


@kernel
def add_to(y, x):
    for n in range(y.size):
        y[n] += x[n]
