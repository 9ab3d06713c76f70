"""Solutions of the exercises of lesson 09."""
import numpy as np

h = -0.75                                               # h~ = tanh(0.5 + 0.5 · (-4 + 3)) = 0, and 0.75 · (-1) + 0.25 · 0
da_z = -0.75                                            # dh (h_{t-1} - h~) z (1 - z) = 4 · (-1) · 0.75 · 0.25
da_r = -0.25                                            # da_h u r (1 - r) = 1 · (-1) · 0.5 · 0.5
du = 0.5                                                # da_h r, where da_h = 4 · 0.25 · (1 - 0²) = 1
dh_prev = 5                                             # dh z + U_h du = 3 + 4 · 0.5


def gru_step_backward(dh, z, r, u, h_tilde, h_prev, U, after):
    H = len(h_prev)
    U_h = U[:, 2 * H:]
    da_h = dh * (1 - z) * (1 - h_tilde ** 2)
    if after:
        du = da_h * r
        dr, by_u = da_h * u, U_h @ du
    else:
        du = U_h @ da_h
        dr, by_u = du * h_prev, du * r
    da_z, da_r = dh * (h_prev - h_tilde) * z * (1 - z), dr * r * (1 - r)
    dh_prev = dh * z + U[:, :H] @ da_z + U[:, H:2 * H] @ da_r + by_u
    return np.concatenate([da_z, da_r, da_h]), dh_prev


def fixed_weight_gradients(da_h, r, u, h_prev):
    du = da_h * r                                       # the bug: r stands between a_h and the product h U_h + b'
    return h_prev.T @ du, da_h.sum(axis=0), du.sum(axis=0)


W = np.array([[-30, 0, 3], [-30, 0, -3]])               # either mark closes z, and says to h~ what to become
U = np.zeros((1, 3))
b = np.array([[12, 0, 0], [0, 0, 0]])                   # σ(12) to the power of 200 is 0.999; σ(6) leaves 0.6
