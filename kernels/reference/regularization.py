r"""Dropout and its relatives, as NumPy, one line per equation.

    s_n = k + (n + 1) \gamma \bmod 2^{64}                       (1)    a counter: no element needs the one before it
    u_n = \text{upper 32 bits of } \mathrm{mix}(s_n)            (2)    a uniform number of 32 bits
    m_n = 1 \text{ if } u_n \ge r\,2^{32}, \text{ else } 0      (3)    r is the rate
    y_n = m_n\, x_n / (1 - r)                                   (4)    001.12.Dropout, with (3)
    g_n = \mu + \sigma \sqrt{-2 \ln u}\, \cos(2 \pi v)          (5)    normal numbers, from two uniform ones (Box and Muller)
    y_n = g_n x_n                                               (6)    001.12.GaussianDropout
    y_n = a x_n + b \text{ where } m_n = 1, \text{ else } c      (7)    001.12.AlphaDropout, with (3)

    (3), (4)    001.12.SpatialDropout1D, 001.12.SpatialDropout2D, 001.12.SpatialDropout3D: one m for a whole feature map

In (5) u and v are the upper and the lower 32 bits of mix(s_n), as numbers between 0 and 1; for (6) \mu is 1 and \sigma is
\sqrt{r / (1 - r)}.

(1) and (2) are SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"): the key k of a call
fixes its mask, the same in every room and however the elements are shared out among threads.
"""
import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(key, count):
    """key k, uint64 -> mix(s_n) for n < count, uint64."""
    s = key + np.arange(1, count + 1, dtype=np.uint64) * GAMMA          # (1)
    s = (s ^ (s >> np.uint64(30))) * MIX_1
    s = (s ^ (s >> np.uint64(27))) * MIX_2
    return s ^ (s >> np.uint64(31))


def dropout_mask(key, threshold, mask):
    """key k and threshold r 2^32, both uint64 -> mask (N,), False where an element is dropped."""
    mask[...] = (_mixed(key, mask.size) >> np.uint64(32)) >= threshold   # (2), (3)


def dropout_apply(x, mask, scale, y):
    """x (N,), mask (N,), scale 1/(1 - r) -> y (N,). Backward is the same function: dx = m dy / (1 - r), from (4)."""
    y[...] = np.where(mask, x * scale, 0)                               # (4)


def normal_noise(key, mean, deviation, noise):
    """key k, uint64, mean mu, deviation sigma -> noise g (N,)."""
    s, number = _mixed(key, noise.size), noise.dtype.type
    u = ((s >> np.uint64(32)).astype(noise.dtype) + number(0.5)) * number(2**-32)
    v = (s & np.uint64(0xFFFFFFFF)).astype(noise.dtype) * number(2**-32)
    noise[...] = mean + deviation * np.sqrt(-2 * np.log(u)) * np.cos(number(2 * np.pi) * v)        # (5)


def noise_apply(x, noise, y):
    """x, noise (N,) -> y (N,). Backward is the same function: dx = g dy, from (6)."""
    y[...] = x * noise                                                  # (6)


def alpha_dropout_apply(x, mask, scale, shift, dropped, y):
    """x, mask (N,), numbers a, b and c -> y (N,). Backward is `dropout_apply`: dx = m a dy, from (7)."""
    y[...] = np.where(mask, scale * x + shift, dropped)                 # (7)
