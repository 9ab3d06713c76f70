"""Solutions of the exercises of lesson 23."""
from math import comb

import numpy as np

from nblayers.layers import Layer

# e = (1, 2) and (-1, 1); de = -dy s e = (-2, -8) and (1, -2); dc = -de; ds = -(2 · (1, 4) + 1 · (1, 1)) / 2
dc = [[2, 8], [-1, 2]]
ds = [-1.5, -4.5]


class Bilinear(Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, x_shape, z_shape):
        self.W = self.add_weight((x_shape[-1], z_shape[-1], self.units), name="W")

    def forward(self, x, z):
        self.cache = x, z
        return np.einsum("ni,imk,nm->nk", x, self.W.value, z)

    def backward(self, dy):
        x, z = self.cache
        self.W.grad += np.einsum("ni,nm,nk->imk", x, z, dy)
        dx = np.einsum("nk,imk,nm->ni", dy, self.W.value, z)
        dz = np.einsum("nk,imk,ni->nm", dy, self.W.value, x)
        return [dx, dz]


def fixed_residual_backward(x, W, dy):
    a = x @ W
    da = np.where(a > 0, dy, 0)                         # the bug: `da = dy` is the same array, so the shortcut lost it too
    return dy + da @ W.T, x.T @ da


def share_found(compared):
    return 1 - comb(9900, compared) / comb(10000, compared)     # 1 - the share of draws that miss all 100 wrong elements


found = share_found(200)
needed = next(count for count in range(1, 10001) if share_found(count) >= 0.99)
