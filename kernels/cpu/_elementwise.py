"""Kernels that take every number of an array by itself: large arrays are shared between the threads."""
import functools
from collections.abc import Callable
from typing import Any

from ._call import address, call
from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

SHARE = 1 << 16             # numbers for each thread that pay for waking it


def elementwise(function: Callable[..., None]) -> Callable[..., None]:
    """Compile f(x, settings…, y), or f_backward(dy, x, y, settings…, dx), over flat arrays of one size."""
    part = kernel(function)
    arrays, some = (3, _some_backward) if function.__name__.endswith("_backward") else (1, _some)

    @functools.wraps(function)
    def shared(*arguments: Any) -> None:
        threads = threads_for(arguments[0].size, SHARE)
        if threads == 1:
            part(*arguments)
        else:
            *inputs, y = arguments
            settings = tuple(inputs[arrays:])
            share(some, threads, (address(part, *arguments), *inputs[:arrays], settings), (y,))
    return shared


@kernel
def _some(part, x, settings, s, threads, y):
    first, last = range_of(x.size, s, threads)
    call(part, x[first:last], settings, y[first:last])


@kernel
def _some_backward(part, dy, x, y, settings, s, threads, dx):
    first, last = range_of(x.size, s, threads)
    call(part, dy[first:last], x[first:last], y[first:last], settings, dx[first:last])
