"""Hashing on the GPU, a thread for each string. Formulas and shapes: kernels/reference/hashing.py."""
import numpy as np

from ._compat import THREADS, blocks_for, cuda

K0, K1, K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
SEED, SEED_2 = np.uint64(81), np.uint64(113)
K = np.uint64(0xC6A4A7935BD1E995)
SIP_0, SIP_1, SIP_2, SIP_3 = (np.uint64(word) for word in (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261,
                                                           0x7465646279746573))
ZERO, ONE, TWO, THREE, EIGHT, NINE, TEN = (np.uint64(n) for n in (0, 1, 2, 3, 8, 9, 10))
S16, S24, S32, S47, S56 = (np.uint64(n) for n in (16, 24, 32, 47, 56))
BYTE = np.uint64(255)
MINUS, ZERO_SIGN = np.uint64(ord("-")), np.uint64(ord("0"))


def farm_hash(text, begins, finishes, hashes):
    _farm_hashes[blocks_for(hashes.size), THREADS](text, begins, finishes, hashes)


def sip_hash(text, begins, finishes, key, hashes):
    _sip_hashes[blocks_for(hashes.size), THREADS](text, begins, finishes, key, hashes)


def combine_hashes(first, second, hashes):
    _combined[blocks_for(hashes.size), THREADS](first, second, hashes)


def decimal_lengths(numbers, lengths):
    _lengths[blocks_for(lengths.size), THREADS](numbers, lengths)


def decimal_text(numbers, offsets, text):
    _decimals[blocks_for(numbers.size), THREADS](numbers, offsets, text)


@cuda.jit(device=True)
def _magnitude(number):
    return ZERO - np.uint64(number) if number < 0 else np.uint64(number)


@cuda.jit(device=True)
def _farm_hash(s):
    if s.size <= 16:
        return _farm_hash_16(s)
    return _farm_hash_32(s) if s.size <= 32 else _farm_hash_64(s) if s.size <= 64 else _farm_hash_long(s)


@cuda.jit(device=True)
def _farm_hash_16(s):
    n = np.uint64(s.size)
    m = K2 + n * TWO
    if s.size >= 8:
        a, b = _word(s, 0) + K2, _word(s, s.size - 8)
        return _pair(_turn(b, 37) * m + a, (_turn(a, 25) + b) * m, m)           # (3)
    if s.size >= 4:
        return _pair(n + (_half_word(s, 0) << THREE), _half_word(s, s.size - 4), m)     # (4)
    if s.size == 0:
        return K2
    y = np.uint64(s[0]) + (np.uint64(s[s.size >> 1]) << EIGHT)
    z = n + (np.uint64(s[s.size - 1]) << TWO)
    return _mix(y * K2 ^ z * K0) * K2                                           # (5)


@cuda.jit(device=True)
def _farm_hash_32(s):
    n = s.size
    m = K2 + np.uint64(n) * TWO
    a, b, c, d = _word(s, 0) * K1, _word(s, 8), _word(s, n - 8) * m, _word(s, n - 16) * K2
    return _pair(_turn(a + b, 43) + _turn(c, 30) + d, a + _turn(b + K2, 18) + c, m)     # (6)


@cuda.jit(device=True)
def _farm_hash_64(s):
    n = s.size
    m = K2 + np.uint64(n) * TWO
    a, b, c, d = _word(s, 0) * K2, _word(s, 8), _word(s, n - 8) * m, _word(s, n - 16) * K2
    y = _turn(a + b, 43) + _turn(c, 30) + d
    z = _pair(y, a + _turn(b + K2, 18) + c, m)
    e, f, g, h = _word(s, 16) * m, _word(s, 24), (y + _word(s, n - 32)) * m, (z + _word(s, n - 24)) * m
    return _pair(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, m)      # (7)


@cuda.jit(device=True)
def _farm_hash_long(s):
    y = SEED * K1 + SEED_2
    z = _mix(y * K2 + SEED_2) * K2
    v, w, x = (ZERO, ZERO), (ZERO, ZERO), SEED * K2 + _word(s, 0)
    blocks, rest = (s.size - 1) >> 6, np.uint64((s.size - 1) & 63)
    for i in range(blocks):
        x, y, z, v, w = _block(x, y, z, v, w, s[64 * i:64 * i + 64], K1, ONE)           # (8)
    m = K1 + ((z & BYTE) << ONE)
    w = (w[0] + rest, w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _block(x, y, z, v, w, s[s.size - 64:], m, NINE)                     # (8)
    return _pair(_pair(v[0], w[0], m) + _mix(y) * K0 + z, _pair(v[1], w[1], m) + x, m)


@cuda.jit(device=True)
def _block(x, y, z, v, w, s, m, nine):
    x = _turn(x + y + v[0] + _word(s, 8), 37) * m ^ w[1] * nine
    y = _turn(y + v[1] + _word(s, 48), 42) * m + v[0] * nine + _word(s, 40)
    z = _turn(z + w[0], 33) * m
    v = _quarter(s[:32], v[1] * m, x + w[0])
    w = _quarter(s[32:], z + w[1], y + _word(s, 16))
    return z, y, x, v, w


@cuda.jit(device=True)
def _quarter(s, a, b):
    a = a + _word(s, 0)
    b = _turn(b + a + _word(s, 24), 21)
    c = a + _word(s, 8) + _word(s, 16)
    return c + _word(s, 24), b + _turn(c, 44) + a


@cuda.jit(device=True)
def _mix(x):
    return x ^ (x >> S47)                                                       # (1)


@cuda.jit(device=True)
def _pair(u, v, m):
    a = _mix((u ^ v) * m)                                                       # (2)
    return _mix((v ^ a) * m) * m                                                # (2)


@cuda.jit(device=True)
def _turn(x, bits):
    return x >> np.uint64(bits) | x << np.uint64(64 - bits)


@cuda.jit(device=True)
def _word(s, i):
    return _half_word(s, i) | _half_word(s, i + 4) << S32


@cuda.jit(device=True)
def _half_word(s, i):
    i = np.uint64(i)                                                            # never counted from the end of s
    return np.uint64(s[i]) | np.uint64(s[i + ONE]) << EIGHT | np.uint64(s[i + TWO]) << S16 | np.uint64(s[i + THREE]) << S24


@cuda.jit(device=True)
def _sip_hash(s, key_0, key_1):
    v = (key_0 ^ SIP_0, key_1 ^ SIP_1, key_0 ^ SIP_2, key_1 ^ SIP_3)
    words = s.size >> 3
    last = np.uint64(s.size) << S56                                             # the last word ends in the length
    for i in range(8 * words, s.size):
        last |= np.uint64(s[i]) << np.uint64(8 * (i & 7))
    for i in range(words + 1):
        m = _word(s, 8 * i) if i < words else last
        v = _sip_round(_sip_round((v[0], v[1], v[2], v[3] ^ m)))                # (9)
        v = (v[0] ^ m, v[1], v[2], v[3])                                        # (9)
    v = _sip_round(_sip_round(_sip_round(_sip_round((v[0], v[1], v[2] ^ BYTE, v[3])))))
    return v[0] ^ v[1] ^ v[2] ^ v[3]                                            # (10)


@cuda.jit(device=True)
def _sip_round(v):
    v0, v1, v2, v3 = v
    v0, v2 = v0 + v1, v2 + v3
    v1, v3 = _turn(v1, 51) ^ v0, _turn(v3, 48) ^ v2
    v0, v2 = _turn(v0, 32) + v3, v2 + v1
    v1, v3 = _turn(v1, 47) ^ v2, _turn(v3, 43) ^ v0
    return v0, v1, _turn(v2, 32), v3


@cuda.jit
def _farm_hashes(text, begins, finishes, hashes):
    for i in range(cuda.grid(1), hashes.size, cuda.gridsize(1)):
        hashes[i] = _farm_hash(text[begins[i]:finishes[i]])


@cuda.jit
def _sip_hashes(text, begins, finishes, key, hashes):
    for i in range(cuda.grid(1), hashes.size, cuda.gridsize(1)):
        hashes[i] = _sip_hash(text[begins[i]:finishes[i]], key[0], key[1])


@cuda.jit
def _combined(first, second, hashes):
    for i in range(cuda.grid(1), hashes.size, cuda.gridsize(1)):
        r = _mix(second[i] * K) * K ^ first[i] ^ K                              # (11)
        hashes[i] = _mix(_mix(r * K) * K)                                       # (11)


@cuda.jit
def _lengths(numbers, lengths):
    for i in range(cuda.grid(1), lengths.size, cuda.gridsize(1)):
        rest, count = _magnitude(numbers[i]), 1 + (numbers[i] < 0)
        while rest >= TEN:
            rest, count = rest // TEN, count + 1
        lengths[i] = count


@cuda.jit
def _decimals(numbers, offsets, text):
    for i in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        rest = _magnitude(numbers[i])
        for at in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
            text[at] = ZERO_SIGN + rest % TEN
            rest //= TEN
        if numbers[i] < 0:
            text[offsets[i]] = MINUS


SIGNATURES = {
    "_farm_hashes": (_farm_hashes, "void(uint8[:], int64[:], int64[:], uint64[:])"),
    "_sip_hashes": (_sip_hashes, "void(uint8[:], int64[:], int64[:], uint64[:], uint64[:])"),
    "_combined": (_combined, "void(uint64[:], uint64[:], uint64[:])"),
    "_lengths": (_lengths, "void(int64[:], int64[:])"),
    "_decimals": (_decimals, "void(int64[:], int64[:], uint8[:])"),
}
