"""Words and where they stand in a vocabulary, compiled for the CPU. Formulas and shapes: kernels/reference/text.py."""
import numpy as np
from numba.extending import register_jitable

from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

OFFSET, PRIME, HALF = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(32)
DROPPED, SPACE, FOLLOWING = 0, 1, 3
WHOLE, CHARACTERS = 0, 2
BYTES = 1 << 16             # for each thread that pay for waking it
TOKENS = 1 << 13            # the same, of tokens


def count_tokens(text, begins, finishes, kinds, split, counts):
    share(_some_counts, threads_for(text.size, BYTES), (text, begins, finishes, kinds, split), (counts,))


def find_tokens(text, begins, finishes, letters, kinds, split, firsts, clean, starts, ends):
    share(_some_tokens, threads_for(text.size, BYTES), (text, begins, finishes, letters, kinds, split, firsts),
          (clean, starts, ends))


def token_hashes(clean, starts, ends, hashes):
    share(_some_hashes, threads_for(hashes.size, TOKENS), (clean, starts, ends), (hashes,))


def look_up(clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing, ids):
    share(_some_look_ups, threads_for(ids.size, TOKENS),
          (clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing), (ids,))


def join_tokens(clean, starts, ends, first, width, offsets, text):
    share(_some_runs, threads_for(first.size, TOKENS), (clean, starts, ends, first, width, offsets), (text,))


def pad_tokens(ids, offsets, y):
    share(_some_rows, threads_for(y.size, BYTES), (ids, offsets), (y,))


def bag_tokens(ids, offsets, count, y):
    share(_some_bags, threads_for(ids.size, TOKENS), (ids, offsets, count), (y,))


@kernel
def _some_counts(text, begins, finishes, kinds, split, s, threads, counts):
    first, last = range_of(counts.size, s, threads)
    for n in range(first, last):
        total, inside = 0, False
        for at in range(begins[n], finishes[n]):
            kind = kinds[text[at]]
            if kind != DROPPED:
                new = kind != SPACE and (not inside or (split == CHARACTERS and kind != FOLLOWING))
                total += new                                                        # (1)
                inside = kind != SPACE
        counts[n] = 1 if split == WHOLE else total


@kernel
def _some_tokens(text, begins, finishes, letters, kinds, split, firsts, s, threads, clean, starts, ends):
    first, last = range_of(firsts.size, s, threads)
    for n in range(first, last):
        t, to, inside = firsts[n] - 1, begins[n], False
        if split == WHOLE:
            t, inside = t + 1, True
            starts[t] = to
        for at in range(begins[n], finishes[n]):
            kind = kinds[text[at]]
            if kind == DROPPED:
                continue
            if split != WHOLE:
                new = kind != SPACE and (not inside or (split == CHARACTERS and kind != FOLLOWING))
                if inside and (new or kind == SPACE):
                    ends[t] = to
                if new:
                    t += 1
                    starts[t] = to
                inside = kind != SPACE
            if inside:
                clean[to] = letters[text[at]]                                       # (1)
                to += 1
        if inside:
            ends[t] = to


@kernel
def _some_hashes(clean, starts, ends, s, threads, hashes):
    first, last = range_of(hashes.size, s, threads)
    for t in range(first, last):
        hashes[t] = _hash(clean, starts[t], ends[t])


@kernel
def _some_look_ups(clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing, s, threads, ids):
    first, last = range_of(ids.size, s, threads)
    mask = slots.size - 1
    for t in range(first, last):
        h = _hash(clean, starts[t], ends[t])
        place, found = np.int64(h ^ h >> HALF) & mask, missing
        while slots[place] >= 0:
            m = slots[place]
            if hashes[m] == h and _same(clean, starts[t], ends[t], vocabulary, begins[m], finishes[m]):
                found = values[m]                                                   # (3)
                break
            place = (place + 1) & mask
        ids[t] = found


@kernel
def group_tokens(clean, starts, ends, slots, groups):
    mask = slots.size - 1
    for t in range(groups.size):
        h = _hash(clean, starts[t], ends[t])
        place = np.int64(h ^ h >> HALF) & mask
        while slots[place] >= 0:
            m = slots[place]
            if _same(clean, starts[t], ends[t], clean, starts[m], ends[m]):
                break
            place = (place + 1) & mask
        if slots[place] < 0:
            slots[place] = t
        groups[t] = slots[place]


@kernel
def _some_runs(clean, starts, ends, first, width, offsets, s, threads, text):
    begin, end = range_of(first.size, s, threads)
    for g in range(begin, end):
        to = offsets[g]
        for t in range(first[g], first[g] + width):
            if t > first[g]:
                text[to] = 32
                to += 1
            for at in range(starts[t], ends[t]):
                text[to] = clean[at]                                                # (5)
                to += 1


@kernel
def _some_rows(ids, offsets, s, threads, y):
    first, last = range_of(y.shape[0], s, threads)
    for n in range(first, last):
        for j in range(y.shape[1]):
            at = offsets[n] + j
            y[n, j] = ids[at] if at < offsets[n + 1] else 0                         # (6)


@kernel
def _some_bags(ids, offsets, count, s, threads, y):
    first, last = range_of(y.shape[0], s, threads)
    for n in range(first, last):
        for t in range(offsets[n], offsets[n + 1]):
            if ids[t] >= 0:
                y[n, ids[t]] = y[n, ids[t]] + y.dtype.type(1) if count else y.dtype.type(1)     # (4)


@register_jitable
def _hash(clean, start, end):
    h = OFFSET
    for at in range(start, end):
        h = (h ^ np.uint64(clean[at])) * PRIME                                      # (2)
    return h


@register_jitable
def _same(a, start, end, b, b_start, b_end):
    same, k = end - start == b_end - b_start, 0
    while same and k < end - start:
        same = a[start + k] == b[b_start + k]
        k += 1
    return same
