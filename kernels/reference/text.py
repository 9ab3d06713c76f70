r"""Texts as bytes of UTF-8 one behind another: their words, and where these stand in a vocabulary.

    t_{nj}  = \text{the longest runs of bytes of text } n \text{ without white space, the dropped bytes left out}   (1)
    h_0     = 14695981039346656037, \quad h_{k+1} = (h_k \oplus b_k) \cdot 1099511628211 \bmod 2^{64}               (2)
    i_{nj}  = v_m \text{ where } s_m = t_{nj}, \text{ else } v_{oov}                                                (3)
    y_{nv}  = \sum_j [i_{nj} = v], \text{ or } 1 \text{ where that is not } 0                                       (4)
    g_{nj}  = t_{nj} \; t_{n,j+1} \dots t_{n,j+w-1}                                                                 (5)
    y_{nj}  = i_{nj}, \text{ or } 0 \text{ behind the last}                                                         (6)

(1), (5) and (6) are for 001.10.TextVectorization, (2) and (3) for 001.10.StringLookup, (4) for these and for
001.10.IntegerLookup. (2) is FNV-1a: the place from which on to look for a token in the table of (3).
"""
OFFSET, PRIME = 14695981039346656037, 1099511628211
DROPPED, SPACE, KEPT, FOLLOWING = 0, 1, 2, 3        # kinds of bytes; FOLLOWING are those of a character after its first
WHOLE, WORDS, CHARACTERS = 0, 1, 2                  # what a token is


def count_tokens(text, begins, finishes, kinds, split, counts):
    """text (B,) uint8, where each text begins and finishes in it (N,), kinds (256,) of bytes, split what a token is
    -> counts (N,)."""
    for n in range(len(counts)):
        row = text[begins[n]:finishes[n]]
        counts[n] = sum(1 for _ in _tokens_of_row(row, kinds, split))               # (1)


def find_tokens(text, begins, finishes, letters, kinds, split, firsts, clean, starts, ends):
    """The same, and letters (256,) what becomes of a byte, firsts (N,) the number of each text's first token
    -> clean (B,) the bytes of the tokens, each text's from where it begins in `text`; starts, ends (T,) of the tokens in it."""
    for n in range(len(firsts)):
        at, t = begins[n], firsts[n]
        for token in _tokens_of_row(text[begins[n]:finishes[n]], kinds, split):
            starts[t], ends[t] = at, at + len(token)
            clean[starts[t]:ends[t]] = letters[token]                               # (1)
            at, t = ends[t], t + 1


def token_hashes(clean, starts, ends, hashes):
    """Tokens (T,) -> hashes (T,) uint64."""
    for t in range(len(hashes)):
        hashes[t] = _hash_row(clean[starts[t]:ends[t]])


def look_up(clean, starts, ends, slots, hashes, vocabulary, begins, finishes, values, missing, ids):
    """Tokens (T,), and the table: slots (S,) with the numbers of the vocabulary's tokens, -1 where free, S a power of two; of
    these the hashes (V,), the bytes, where each begins and finishes in them, and the values (V,)
    -> ids (T,), `missing` for those not in the table."""
    for t in range(len(ids)):
        token = clean[starts[t]:ends[t]]
        h = _hash_row(token)
        place, ids[t] = (h ^ h >> 32) % len(slots), missing
        while slots[place] >= 0:
            m = slots[place]
            if hashes[m] == h and bytes(vocabulary[begins[m]:finishes[m]]) == bytes(token):
                ids[t] = values[m]                                                  # (3)
                break
            place = (place + 1) % len(slots)


def group_tokens(clean, starts, ends, slots, groups):
    """Tokens (T,), slots (S,) all -1, S a power of two and above T -> groups (T,): the number of one of those like it."""
    numbers = {}
    for t in range(len(groups)):
        groups[t] = numbers.setdefault(bytes(clean[starts[t]:ends[t]]), t)


def join_tokens(clean, starts, ends, first, width, offsets, text):
    """Tokens (T,), first (G,) of each run of `width` tokens, offsets (G + 1,) -> text (B,), a space between a run's tokens."""
    for g in range(len(first)):
        run = [bytes(clean[starts[t]:ends[t]]) for t in range(first[g], first[g] + width)]
        text[offsets[g]:offsets[g + 1]] = list(b" ".join(run))                      # (5)


def pad_tokens(ids, offsets, y):
    """ids (T,) of the tokens, offsets (N + 1,) of the rows in them -> y (N, L): each row's, padded with 0 or cut off."""
    for n in range(len(y)):
        row = ids[offsets[n]:offsets[n + 1]][:y.shape[1]]
        y[n, :len(row)], y[n, len(row):] = row, 0                                   # (6)


def bag_tokens(ids, offsets, count, y):
    """ids (T,) of the tokens, offsets (N + 1,) of the rows in them, zeros (N, V) -> y; negative ids are left out."""
    for n in range(len(y)):
        for i in ids[offsets[n]:offsets[n + 1]]:
            if i >= 0:
                y[n, i] = y[n, i] + 1 if count else 1                               # (4)


def _tokens_of_row(row, kinds, split):
    """The tokens of one text."""
    kept = row[kinds[row] != DROPPED]
    if split == WHOLE:
        return [kept]
    token, tokens = [], []
    for b in kept:
        kind = kinds[b]
        if token and (kind == SPACE or (split == CHARACTERS and kind != FOLLOWING)):
            tokens.append(token)
            token = []
        if kind != SPACE:
            token.append(b)
    return [*tokens, token] if token else tokens


def _hash_row(token):
    h = OFFSET
    for b in token:
        h = (h ^ int(b)) * PRIME % 2**64                                            # (2)
    return h
