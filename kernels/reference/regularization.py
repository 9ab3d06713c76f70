r"""Dropout, as NumPy, one line per equation.

    s_n = k + (n + 1) \gamma \bmod 2^{64}                       (1)    a counter: no element needs the one before it
    u_n = \text{upper 32 bits of } \mathrm{mix}(s_n)            (2)    a uniform number of 32 bits
    m_n = 1 \text{ if } u_n \ge r\,2^{32}, \text{ else } 0      (3)    r is the rate
    y_n = m_n\, x_n / (1 - r)                                   (4)    001.12.Dropout, with (3)

(1) and (2) are SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): the key k of a call
fixes its mask, the same in every room and however the elements are shared out among threads.
"""
import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def dropout_mask(key, threshold, mask):
    """key k and threshold r 2^32, both uint64 -> mask (N,), False where an element is dropped."""
    s = key + np.arange(1, mask.size + 1, dtype=np.uint64) * GAMMA      # (1)
    s = (s ^ (s >> np.uint64(30))) * MIX_1
    s = (s ^ (s >> np.uint64(27))) * MIX_2
    s = s ^ (s >> np.uint64(31))
    mask[...] = (s >> np.uint64(32)) >= threshold                       # (2), (3)


def dropout_apply(x, mask, scale, y):
    """x (N,), mask (N,), scale 1/(1 - r) -> y (N,). Backward is the same function: dx = m dy / (1 - r), from (4)."""
    y[...] = np.where(mask, x * scale, 0)                               # (4)
