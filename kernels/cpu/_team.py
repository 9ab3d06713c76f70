"""Work for several threads: a kernel is called once on each, and told which share of the work is its own.

    share(part, threads, (x, size), (y,))           # in Python: part(x, size, s, threads, y) for each s < threads
    sum_of_shares(part, threads, (x, size), y)      # the same where all add to y
    share_out(team, part, (x, size), (y,))          # the first in a kernel; Python gave it team_of(threads) and address(part)
    first, last = range_of(count, s, threads)       # in `part`: from where to where its share of `count` goes

A parallel loop takes Numba a second and more to compile, so one serves all kernels: it knows of a share no more than its
address, and where the arguments lie.
"""
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import register_jitable

from ._call import address, call, plain, refusal, write_call
from ._flat import add_to
from ._jit import intrinsic, kernel, parallel_kernel
from ._threads import alone, launch


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
        launch(_on_team, team_of(threads), address(part, *before, 0, threads, *after), before, after)


def sum_of_shares(part: Any, threads: int, before: Any, total: Any) -> None:
    """The same where part(*before, s, threads, total) adds to `total`: each thread to one of its own, their sum afterwards."""
    if threads == 1:
        try:
            part(*before, 0, 1, total)
        except TypingError as error:
            raise refusal(part, (*before, total), error) from error
    else:
        apart = address(part, *before, 0, threads, total)
        own = address(_own_total, apart, before, 0, threads, total.reshape(1, -1))
        launch(_sum_on_team, team_of(threads), own, apart, before, total)


@kernel
def _on_team(team, part, before, after):
    share_out(team, part, before, after)


@kernel
def _sum_on_team(team, own, part, before, total):
    totals = np.zeros((team.threads, total.size), total.dtype)
    share_out(team, own, (part, before), (totals,))
    for s in range(team.threads):
        add_to(total, totals[s])


@kernel
def _own_total(part, before, s, threads, totals):
    call(part, before, s, threads, totals[s])


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


def _one_after_the_other(team: Team, part: Any, before: Any, after: Any) -> None:
    for s in range(team.threads):
        part(*before, s, team.threads, *after)


@intrinsic(_one_after_the_other)
def share_out(typingctx, team, part, before, after):
    kinds = tuple(tuple(plain(one) for one in some.types) for some in (before, after))

    def codegen(context, builder, sig, args):
        team, part, *ends = args
        loop, threads = cgutils.unpack_tuple(builder, team)
        before, after = (cgutils.unpack_tuple(builder, end) for end in ends)
        arguments = cgutils.pack_struct(builder, [part, *before, *after])
        share = _write_share(context, builder.module, arguments.type, kinds)
        where = [builder.ptrtoint(one, threads.type) for one in (share, cgutils.alloca_once_value(builder, arguments))]
        write_call(context, builder, loop, _NUMBERS, [where[0], threads, where[1]])
        return context.get_dummy_value()

    return types.none(team, part, *(types.Tuple(some) for some in kinds)), codegen


_NUMBERS = (types.intp,) * 3


def _write_share(context: Any, module: Any, kind: Any, kinds: Any) -> Any:
    """The function (s, threads, where the arguments lie) that does share s, in LLVM's terms."""
    convention = context.call_conv
    share = ir.Function(module, convention.get_function_type(types.none, _NUMBERS), module.get_unique_name("share"))
    share.linkage = "internal"
    builder = ir.IRBuilder(share.append_basic_block())
    s, threads, where = convention.get_arguments(share)
    part, *values = cgutils.unpack_tuple(builder, builder.load(builder.inttoptr(where, kind.as_pointer())))
    before, after = values[:len(kinds[0])], values[len(kinds[0]):]
    write_call(context, builder, part, (*kinds[0], types.intp, types.intp, *kinds[1]), [*before, s, threads, *after])
    convention.return_value(builder, context.get_dummy_value())
    return share
