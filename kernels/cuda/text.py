"""Words and where they stand in a vocabulary, on the GPU: a thread for each text or token. Formulas and shapes:
kernels/reference/text.py."""
import numpy as np

from ._compat import THREADS, blocks_for, cuda

OFFSET, PRIME, HALF = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(32)
DROPPED, SPACE, FOLLOWING = 0, 1, 3
WHOLE, CHARACTERS = 0, 2


def count_tokens(text, begins, finishes, kinds, split, counts):
    _count_tokens[blocks_for(counts.size), THREADS](text, begins, finishes, kinds, split, counts)


def find_tokens(text, begins, finishes, letters, kinds, split, firsts, clean, starts, ends):
    _find_tokens[blocks_for(firsts.size), THREADS](text, begins, finishes, letters, kinds, split, firsts, clean, starts, ends)


def token_hashes(clean, starts, ends, hashes):
    _token_hashes[blocks_for(hashes.size), THREADS](clean, starts, ends, hashes)


def look_up(clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing, ids):
    _look_up[blocks_for(ids.size), THREADS](clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing,
                                            ids)


def group_tokens(clean, starts, ends, slots, groups):
    _group_tokens[blocks_for(groups.size), THREADS](clean, starts, ends, slots, groups)


def join_tokens(clean, starts, ends, first, width, offsets, text):
    _join_tokens[blocks_for(first.size), THREADS](clean, starts, ends, first, width, offsets, text)


def pad_tokens(ids, offsets, y):
    _pad_tokens[blocks_for(y.size), THREADS](ids, offsets, y)


def bag_tokens(ids, offsets, count, y):
    _bag_tokens[blocks_for(y.shape[0]), THREADS](ids, offsets, count, y)


@cuda.jit
def _count_tokens(text, begins, finishes, kinds, split, counts):
    for n in range(cuda.grid(1), counts.size, cuda.gridsize(1)):
        total, inside = 0, False
        for at in range(begins[n], finishes[n]):
            kind = kinds[text[at]]
            if kind != DROPPED:
                if kind != SPACE and (not inside or (split == CHARACTERS and kind != FOLLOWING)):
                    total += 1                                                      # (1)
                inside = kind != SPACE
        counts[n] = 1 if split == WHOLE else total


@cuda.jit
def _find_tokens(text, begins, finishes, letters, kinds, split, firsts, clean, starts, ends):
    for n in range(cuda.grid(1), firsts.size, cuda.gridsize(1)):
        t, to, inside = firsts[n] - 1, begins[n], False
        if split == WHOLE:
            t += 1
            inside = True
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


@cuda.jit
def _token_hashes(clean, starts, ends, hashes):
    for t in range(cuda.grid(1), hashes.size, cuda.gridsize(1)):
        hashes[t] = _hash(clean, starts[t], ends[t])


@cuda.jit
def _look_up(clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing, ids):
    mask = slots.size - 1
    for t in range(cuda.grid(1), ids.size, cuda.gridsize(1)):
        h = _hash(clean, starts[t], ends[t])
        place = np.int64(h ^ h >> HALF) & mask
        found = missing
        while slots[place] >= 0:
            m = slots[place]
            if hashes[m] == h and _same(clean, starts[t], ends[t], vocabulary, begins[m], finishes[m]):
                found = values[m]                                                   # (3)
                break
            place = (place + 1) & mask
        ids[t] = found


@cuda.jit
def _group_tokens(clean, starts, ends, slots, groups):
    mask = slots.size - 1
    for t in range(cuda.grid(1), groups.size, cuda.gridsize(1)):
        h = _hash(clean, starts[t], ends[t])
        place = np.int64(h ^ h >> HALF) & mask
        m = cuda.atomic.cas(slots, place, -1, t)                    # who comes first to a free place has it
        while m >= 0 and not _same(clean, starts[t], ends[t], clean, starts[m], ends[m]):
            place = (place + 1) & mask
            m = cuda.atomic.cas(slots, place, -1, t)
        groups[t] = t if m < 0 else m


@cuda.jit
def _join_tokens(clean, starts, ends, first, width, offsets, text):
    for g in range(cuda.grid(1), first.size, cuda.gridsize(1)):
        to = offsets[g]
        for t in range(first[g], first[g] + width):
            if t > first[g]:
                text[to] = 32
                to += 1
            for at in range(starts[t], ends[t]):
                text[to] = clean[at]                                                # (5)
                to += 1


@cuda.jit
def _pad_tokens(ids, offsets, y):
    N, L = y.shape
    for k in range(cuda.grid(1), N * L, cuda.gridsize(1)):
        n, j = k // L, k % L
        at = offsets[n] + j
        y[n, j] = ids[at] if at < offsets[n + 1] else 0                             # (6)


@cuda.jit
def _bag_tokens(ids, offsets, count, y):
    for n in range(cuda.grid(1), y.shape[0], cuda.gridsize(1)):
        for t in range(offsets[n], offsets[n + 1]):
            if ids[t] >= 0:
                y[n, ids[t]] = y[n, ids[t]] + y.dtype.type(1) if count else y.dtype.type(1)     # (4)


@cuda.jit(device=True)
def _hash(clean, start, end):
    h = OFFSET
    for at in range(start, end):
        h = (h ^ np.uint64(clean[at])) * PRIME                                      # (2)
    return h


@cuda.jit(device=True)
def _same(a, start, end, b, b_start, b_end):
    same, k = end - start == b_end - b_start, 0
    while same and k < end - start:
        same = a[start + k] == b[b_start + k]
        k += 1
    return same


SIGNATURES = {
    "_count_tokens": (_count_tokens, "void(uint8[:], int64[:], int64[:], uint8[:], int64, int64[:])"),
    "_find_tokens": (_find_tokens, "void(uint8[:], int64[:], int64[:], uint8[:], uint8[:], int64, int64[:], uint8[:], "
                                   "int64[:], int64[:])"),
    "_token_hashes": (_token_hashes, "void(uint8[:], int64[:], int64[:], uint64[:])"),
    "_look_up": (_look_up, "void(uint8[:], int64[:], int64[:], int64[:], uint64[:], uint8[:], int64[:], int64[:], int64[:], "
                           "int64, int64[:])"),
    "_group_tokens": (_group_tokens, "void(uint8[:], int64[:], int64[:], int64[:], int64[:])"),
    "_join_tokens": (_join_tokens, "void(uint8[:], int64[:], int64[:], int64[:], int64, int64[:], uint8[:])"),
    "_pad_tokens": (_pad_tokens, "void(int64[:], int64[:], int64[:,:])"),
    "_bag_tokens": (_bag_tokens, "void(int64[:], int64[:], boolean, float32[:,:])"),
}
