"""Solutions of the exercises of lesson 22."""
import numpy as np

y = [(4 + 8) / 2, (0 + 12) / 2]                         # places 0.5 and 2.5
dx = [2 / 2, 2 / 2, 4 / 2, 4 / 2]
dx_contrast = [0.5 * 1 + 0.5 * 1, 0.5 * 0 + 0.5 * 1, 0.5 * 2 + 0.5 * 1]    # the mean of dy is 1
weight = np.log(1 + 8 / (1 + 3))


def corners(u, v):
    rows, columns = u.shape[1:]
    for s in (0, 1):
        for t in (0, 1):
            p, q = np.floor(u).astype(int) + s, np.floor(v).astype(int) + t
            inside = (p >= 0) & (p < rows) & (q >= 0) & (q < columns)
            weight = inside * (1 - np.abs(u - p)) * (1 - np.abs(v - q))
            yield weight, p.clip(0, rows - 1), q.clip(0, columns - 1)


def augment_backward(dy, x, f, u, v):
    dclipped = np.zeros_like(dy)
    n = np.arange(len(dy))[:, None, None]
    for weight, p, q in corners(u, v):
        np.add.at(dclipped, (n, p, q), weight * dy)
    f = f[:, None, None]
    a = f * x + (1 - f) * x.mean(axis=(1, 2), keepdims=True)
    da = dclipped * ((a > 0) & (a < 1))
    return f * da + (1 - f) * da.mean(axis=(1, 2), keepdims=True)


def fixed_standardize(train, new):
    mean, std = train.mean(axis=0), train.std(axis=0)   # the bug: the new numbers had a share in them
    std = np.where(std == 0, 1, std)
    return (train - mean) / std, (new - mean) / std


def share_that_shares(bins, throws=300):
    rng = np.random.default_rng(0)
    shared = 0
    for _ in range(throws):
        counts = np.bincount(rng.integers(bins, size=300), minlength=bins)
        shared += counts[counts > 1].sum()
    return shared / (300 * throws)


low, high = 300, 30_000
while high - low > 20:
    middle = (low + high) // 2
    low, high = (middle, high) if share_that_shares(middle) > 0.1 else (low, middle)
bins_needed = high                                      # about 2840: 299 others, each misses with 1 - 1/K
