"""Work for several threads: a kernel is called once on each, and told which share of the work is its own.

    share(part, threads, (x, size), (y,))           # in Python: part(x, size, s, threads, y) for each s < threads
    sum_of_shares(part, threads, (x, size), y)      # the same where all add to y
    share_out(team, part, (x, size), (y,))          # the first in a kernel; Python gave it team_of(threads) and address(part)
    first, last = range_of(count, s, threads)       # in `part`: from where to where its share of `count` goes

A parallel loop takes Numba a second and more to compile, so one serves all kernels: it knows of a share no more than its
address, and where the arguments lie.
"""
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numba import config, prange, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import register_jitable

from ._call import address, call, fingerprint, kinds_of, plain, refusal
from ._flat import add_to
from ._jit import intrinsic, kernel, parallel_kernel
from ._threads import alone, launch
from ._written import write_loop


class Team(NamedTuple):
    """Where the loop over shares begins, and how many there are."""

    loop: int
    threads: int


def team_of(threads: int) -> Team:
    """A team of so many threads; in a forked process one thread does the shares of all."""
    return _team(threads, alone())


@cache
def _team(threads: int, alone: bool) -> Team:
    return Team(address(_one_by_one if alone else _loop, 0, 0, 0), threads)


def share(part: Any, threads: int, before: Any, after: Any) -> None:
    """Call a kernel once on each of so many threads: part(*before, s, threads, *after).

    Raises:
        TypeError: an array is not in C order, or arrays that meet are not of one dtype.
    """
    if threads == 1:
        try:
            part(*before, 0, 1, *after)
        except TypingError as error:
            raise refusal(part, (*before, *after), error) from error
    else:
        launch(_for_all(part, before, after), team_of(threads).loop, threads, *before, *after)


def signed(number: Any) -> Any:
    """The same 64 bits as a signed number: `share` takes no other. Python's own loops take the number as it is."""
    return number if config.DISABLE_JIT else int(np.uint64(number).astype(np.int64))


def sum_of_shares(part: Any, threads: int, before: Any, total: Any) -> None:
    """The same where part(*before, s, threads, total) adds to `total`: each thread to one of its own, their sum afterwards."""
    if threads == 1:
        try:
            part(*before, 0, 1, total)
        except TypingError as error:
            raise refusal(part, (*before, total), error) from error
    else:
        totals = np.zeros((threads, total.size), total.dtype)
        launch(_for_all(part, before, (total,), apart=True), team_of(threads).loop, threads, *before, totals)
        for own in totals:
            add_to(total, own)


_known: dict[tuple[Any, ...], Any] = {}


def _for_all(part: Any, before: Any, after: Any, apart: bool = False) -> Any:
    """A function of the loop, the threads and the arguments, which calls a kernel for these types on each thread.

    `apart`: the last argument has a row for each thread.
    """
    if config.DISABLE_JIT:
        return partial(_one_after_the_other, part, len(before), apart)
    key = part, apart, fingerprint((before, after))
    if key not in _known:
        try:
            _known[key] = part.for_all(kinds_of((*before, 0, 0, *after)), len(before), apart)
        except TypingError as error:
            raise refusal(part, (*before, *after), error) from error
    return _known[key]


def _one_after_the_other(part: Any, place: int, apart: bool, loop: Any, threads: int, *arguments: Any) -> None:
    *others, last = arguments
    for s in range(threads):
        every = *others, last[s] if apart else last
        part(*every[:place], s, threads, *every[place:])


@register_jitable
def range_of(count, s, threads):
    """Where share s of `count` begins, and where the next one does."""
    return s * count // threads, (s + 1) * count // threads


@parallel_kernel
def _loop(share, threads, arguments):
    for s in prange(threads):
        call(share, s, threads, arguments)


@kernel
def _one_by_one(share, threads, arguments):
    for s in range(threads):
        call(share, s, threads, arguments)


def _share_out(team: Team, part: Any, before: Any, after: Any) -> None:
    for s in range(team.threads):
        part(*before, s, team.threads, *after)


@intrinsic(_share_out)
def share_out(typingctx, team, part, before, after):
    kinds = tuple(tuple(plain(one) for one in some.types) for some in (before, after))

    def codegen(context, builder, sig, args):
        team, part, *ends = args
        loop, threads = cgutils.unpack_tuple(builder, team)
        before, after = (cgutils.unpack_tuple(builder, end) for end in ends)
        write_loop(context, builder, loop, threads, part, kinds, (before, after))
        return context.get_dummy_value()

    return types.none(team, part, *(types.Tuple(some) for some in kinds)), codegen
