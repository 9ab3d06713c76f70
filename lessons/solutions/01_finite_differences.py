"""Solutions of the exercises of lesson 01."""
import numpy as np

central_of_cube = (2.1 ** 3 - 1.9 ** 3) / 0.2           # 3x² + h² = 12.01


def silu_backward(x, dy):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))                   # the product rule on x σ(x), with σ' = σ (1 - σ)


def fixed_derivative(f, x, h):
    df = np.zeros_like(x)
    for i in range(len(x)):
        keep = x[i]
        x[i] = keep + h
        above = f(x)
        x[i] = keep - h                                 # the bug: this stepped back to x only
        below = f(x)
        x[i] = keep                                     # exactly, which adding h again need not give
        df[i] = (above - below) / (2 * h)
    return df


def error(h):
    x, h = np.float32(100), np.float32(h)
    return abs(float((np.sin(x + h) - np.sin(x - h)) / (2 * h)) - np.cos(100.0))


best_h = min((10.0 ** -k for k in range(8)), key=error)
