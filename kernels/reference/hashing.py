r"""Hashing of many strings at once, as NumPy: FarmHash's Fingerprint64, SipHash-2-4, and numbers as decimal text.

All arithmetic is that of uint64, modulo 2^64; \oplus is exclusive or, \gg a shift, \ggg a rotation. s_i is the word of 8 bytes
at byte i of the string, the lowest byte first, s_{-i} the one that begins i bytes before its end; n is its length in bytes.

    \mathrm{mix}(x) = x \oplus (x \gg 47)                                                           (1)
    a = \mathrm{mix}((u \oplus v)\, m), \quad
        H_m(u, v) = m \cdot \mathrm{mix}((v \oplus a)\, m)                                          (2)    two words into one
    a = s_0 + k_2, \quad h = H_m((s_{-8} \ggg 37)\, m + a, ((a \ggg 25) + s_{-8})\, m)              (3)    n = 8 … 16
    h = H_m(n + 8 t_0, t_{-4}), \quad t \text{ words of 4 bytes}                                    (4)    n = 4 … 7
    h = k_2 \,\mathrm{mix}(k_2 (b_0 + 2^8 b_{n/2}) \oplus k_0 (n + 4 b_{n-1})), \quad b \text{ bytes}   (5)    n = 1 … 3
    a = k_1 s_0, \; b = s_8, \; c = m s_{-8}, \; d = k_2 s_{-16}, \quad
        h = H_m((a + b \ggg 43) + (c \ggg 30) + d,\; a + (b + k_2 \ggg 18) + c)                     (6)    n = 17 … 32
    \text{pairs of (6) with } s_0 \dots s_{-8} \text{ and } s_{16} \dots s_{-24}                    (7)    n = 33 … 64
    (x, y, z, v, w) \leftarrow \mathrm{block}(x, y, z, v, w, \text{64 bytes})                       (8)    n > 64, by blocks
    v \leftarrow \mathrm{round}^2(v_3 \oplus s_i), \quad v_0 \leftarrow v_0 \oplus s_i              (9)    SipHash: each word
    h = v_0 \oplus v_1 \oplus v_2 \oplus v_3 \text{ after } \mathrm{round}^4(v_2 \oplus 255)        (10)
    r = \mathrm{mix}(k\, l_2)\, k \oplus l_1 \oplus k, \quad
        h = \mathrm{mix}(\mathrm{mix}(k\, r)\, k)                                                   (11)   two hashes l into one

with m = k_2 + 2n in (3), (4), (6), (7). (1) to (8) are FarmHash (Pike 2014), `tf.strings.to_hash_bucket_fast`; (9), (10) are
SipHash (Aumasson, Bernstein 2012), `tf.strings.to_hash_bucket_strong`; (11) is TensorFlow's FingerprintCat64.

    001.10.Hashing            (1), (2), (3), (4), (5), (6), (7), (8); with a salt (9), (10)
    001.10.HashedCrossing     (1), (2), (3), (4), (5), (6), (7), (8), (11)

Strings lie in `text` (bytes); string i is text[begins[i]:finishes[i]].
"""
import numpy as np

K0, K1, K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
SEED, SEED_2 = np.uint64(81), np.uint64(113)
K = np.uint64(0xC6A4A7935BD1E995)       # of (11)
SIP = tuple(np.uint64(word) for word in (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573))


def farm_hash(text, begins, finishes, hashes):
    """text (B,) uint8; begins, finishes (N,) int64 -> hashes (N,) uint64."""
    with np.errstate(over="ignore"):
        for i in range(hashes.size):
            hashes[i] = _farm_hash_string(text[begins[i]:finishes[i]])


def sip_hash(text, begins, finishes, key, hashes):
    """text (B,) uint8; begins, finishes (N,) int64; key (2,) uint64 -> hashes (N,) uint64."""
    with np.errstate(over="ignore"):
        for i in range(hashes.size):
            hashes[i] = _sip_hash_string(text[begins[i]:finishes[i]], key)


def combine_hashes(first, second, hashes):
    """first, second (N,) uint64 -> hashes (N,) uint64."""
    r = _mix(second * K) * K ^ first ^ K                                         # (11)
    hashes[...] = _mix(_mix(r * K) * K)                                           # (11)


def decimal_lengths(numbers, lengths):
    """numbers (N,), int64 or uint64 -> lengths (N,) int64: how many characters each takes, a minus sign included."""
    for i in range(numbers.size):
        lengths[i] = len(str(numbers[i]))


def decimal_text(numbers, offsets, text):
    """numbers (N,), int64 or uint64; offsets (N + 1,), the sums of their lengths -> text (B,) uint8, one behind another."""
    for i in range(numbers.size):
        text[offsets[i]:offsets[i + 1]] = np.frombuffer(str(numbers[i]).encode(), np.uint8)


def _farm_hash_string(s):
    """s (n,) uint8 -> uint64."""
    if s.size <= 16:
        return _farm_hash_16(s)
    return _farm_hash_32(s) if s.size <= 32 else _farm_hash_64(s) if s.size <= 64 else _farm_hash_long(s)


def _farm_hash_16(s):
    """s of at most 16 bytes -> uint64."""
    n = np.uint64(s.size)
    m = K2 + n * np.uint64(2)
    if n >= 8:
        a, b = _word(s, 0) + K2, _word(s, -8)
        return _pair(_turn(b, 37) * m + a, (_turn(a, 25) + b) * m, m)              # (3)
    if n >= 4:
        return _pair(n + (_half_word(s, 0) << np.uint64(3)), _half_word(s, -4), m)     # (4)
    if n == 0:
        return K2
    y = np.uint64(s[0]) + (np.uint64(s[s.size // 2]) << np.uint64(8))
    z = n + (np.uint64(s[-1]) << np.uint64(2))
    return _mix(y * K2 ^ z * K0) * K2                                            # (5)


def _farm_hash_32(s):
    """s of 17 to 32 bytes -> uint64."""
    m = K2 + np.uint64(s.size) * np.uint64(2)
    a, b, c, d = _word(s, 0) * K1, _word(s, 8), _word(s, -8) * m, _word(s, -16) * K2
    return _pair(_turn(a + b, 43) + _turn(c, 30) + d, a + _turn(b + K2, 18) + c, m)     # (6)


def _farm_hash_64(s):
    """s of 33 to 64 bytes -> uint64."""
    m = K2 + np.uint64(s.size) * np.uint64(2)
    a, b, c, d = _word(s, 0) * K2, _word(s, 8), _word(s, -8) * m, _word(s, -16) * K2
    y = _turn(a + b, 43) + _turn(c, 30) + d
    z = _pair(y, a + _turn(b + K2, 18) + c, m)
    e, f, g, h = _word(s, 16) * m, _word(s, 24), (y + _word(s, -32)) * m, (z + _word(s, -24)) * m
    return _pair(_turn(e + f, 43) + _turn(g, 30) + h, e + _turn(f + a, 18) + g, m)      # (7)


def _farm_hash_long(s):
    """s of more than 64 bytes -> uint64."""
    y = SEED * K1 + SEED_2
    z = _mix(y * K2 + SEED_2) * K2
    zero = np.uint64(0)
    v, w, x = (zero, zero), (zero, zero), SEED * K2 + _word(s, 0)
    blocks, rest = (s.size - 1) // 64, np.uint64((s.size - 1) % 64)
    for i in range(blocks):
        x, y, z, v, w = _block(x, y, z, v, w, s[64 * i:64 * i + 64], K1, np.uint64(1))           # (8)
    m = K1 + ((z & np.uint64(255)) << np.uint64(1))
    w = w[0] + rest, w[1]
    v = v[0] + w[0], v[1]
    w = w[0] + v[0], w[1]
    x, y, z, v, w = _block(x, y, z, v, w, s[-64:], m, np.uint64(9))                              # (8): the last 64 bytes
    return _pair(_pair(v[0], w[0], m) + _mix(y) * K0 + z, _pair(v[1], w[1], m) + x, m)


def _block(x, y, z, v, w, s, m, nine):
    """The state, a block s of 64 bytes, a factor m -> the next state."""
    x = _turn(x + y + v[0] + _word(s, 8), 37) * m ^ w[1] * nine
    y = _turn(y + v[1] + _word(s, 48), 42) * m + v[0] * nine + _word(s, 40)
    z = _turn(z + w[0], 33) * m
    v = _quarter(s[:32], v[1] * m, x + w[0])
    w = _quarter(s[32:], z + w[1], y + _word(s, 16))
    return z, y, x, v, w                                                        # x and z change places


def _quarter(s, a, b):
    """32 bytes s and two words -> two words."""
    a = a + _word(s, 0)
    b = _turn(b + a + _word(s, 24), 21)
    c = a + _word(s, 8) + _word(s, 16)
    return c + _word(s, 24), b + _turn(c, 44) + a


def _mix(x):
    return x ^ (x >> np.uint64(47))                                             # (1)


def _pair(u, v, m):
    a = _mix((u ^ v) * m)                                                        # (2)
    return _mix((v ^ a) * m) * m                                                 # (2)


def _turn(x, bits):
    """The bits of x, moved right by so many places; what falls out comes in on the left."""
    return x >> np.uint64(bits) | x << np.uint64(64 - bits)


def _word(s, i):
    """The 8 bytes from s[i] on as a number."""
    return s[i:i + 8 if i != -8 else None].copy().view("<u8")[0]


def _half_word(s, i):
    """The 4 bytes from s[i] on as a number."""
    return np.uint64(s[i:i + 4 if i != -4 else None].copy().view("<u4")[0])


def _sip_hash_string(s, key):
    """s (n,) uint8, key (2,) uint64 -> uint64."""
    v = [key[i % 2] ^ SIP[i] for i in range(4)]
    padded = np.zeros(s.size // 8 * 8 + 8, np.uint8)
    padded[:s.size], padded[-1] = s, s.size % 256                               # the last word ends in the length
    for m in padded.view("<u8"):
        v[3] = v[3] ^ m
        v = _sip_round(*_sip_round(*v))                                           # (9)
        v[0] = v[0] ^ m                                                         # (9)
    v[2] = v[2] ^ np.uint64(255)
    for _ in range(4):
        v = _sip_round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]                                            # (10)


def _sip_round(v0, v1, v2, v3):
    """The state, four words -> the next one. A turn left by b is one right by 64 - b."""
    v0, v2 = v0 + v1, v2 + v3
    v1, v3 = _turn(v1, 51) ^ v0, _turn(v3, 48) ^ v2
    v0, v2 = _turn(v0, 32) + v3, v2 + v1
    v1, v3 = _turn(v1, 47) ^ v2, _turn(v3, 43) ^ v0
    return [v0, v1, _turn(v2, 32), v3]
