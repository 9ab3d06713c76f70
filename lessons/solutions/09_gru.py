"""Solutions of the exercises of lesson 09."""
import numpy as np

# 1. On paper
h = -0.75                                       # h~ = tanh(0.5 + 0.5 · (-4 + 3)) = 0, and 0.75 · (-1) + 0.25 · 0
da_z = -0.75                                    # dh (h_{t-1} - h~) z (1 - z) = 4 · (-1) · 0.75 · 0.25
da_r = -0.25                                    # da_h u r (1 - r) = 1 · (-1) · 0.5 · 0.5
du = 0.5                                        # da_h r, where da_h = 4 · 0.25 · (1 - 0²) = 1
dh_prev = 5                                     # dh z + du U_h = 3 + 0.5 · 4


# 2. A whole backward
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def gru_step(shares, h_prev, U, recurrent_bias, after):
    x_z, x_r, x_h = np.split(shares, 3, axis=1)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    b_z, b_r, b_h = np.split(recurrent_bias, 3)
    z = sigmoid(x_z + h_prev @ U_z + b_z)
    r = sigmoid(x_r + h_prev @ U_r + b_r)
    if after:
        u = h_prev @ U_h + b_h
        h_tilde = np.tanh(x_h + r * u)
    else:
        u = r * h_prev
        h_tilde = np.tanh(x_h + u @ U_h)
    h = z * h_prev + (1 - z) * h_tilde
    return z, r, h_tilde, u, h


def gru_step_backward(dh, z, r, h_tilde, u, h_prev, U, after):
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    dz = dh * (h_prev - h_tilde)
    dh_tilde = dh * (1 - z)
    da_h = dh_tilde * (1 - h_tilde ** 2)
    if after:
        dr = da_h * u
        du = da_h * r
        by_u = du @ U_h.T
    else:
        du = da_h @ U_h.T
        dr = du * h_prev
        by_u = du * r
    da_z = dz * z * (1 - z)
    da_r = dr * r * (1 - r)
    dh_prev = dh * z + by_u + da_r @ U_r.T + da_z @ U_z.T
    return da_z, da_r, da_h, du, dh_prev


def gru_backward(dy, x, W, U, b, h_start, after):
    H = U.shape[0]
    input_bias = b[0] if after else b
    recurrent_bias = b[1] if after else np.zeros(3 * H)
    h_prev = h_start
    steps = []
    for t in range(x.shape[1]):
        z, r, h_tilde, u, h = gru_step(x[:, t] @ W + input_bias, h_prev, U, recurrent_bias, after)
        steps.append((h_prev, z, r, h_tilde, u))
        h_prev = h
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    dU = np.zeros_like(U)
    db = np.zeros_like(b)
    dh_next = np.zeros_like(h_start)
    for t in reversed(range(x.shape[1])):
        h_prev, z, r, h_tilde, u = steps[t]
        dh = dy[:, t] + dh_next
        da_z, da_r, da_h, du, dh_next = gru_step_backward(dh, z, r, h_tilde, u, h_prev, U, after)
        da = np.concatenate([da_z, da_r, da_h], axis=1)
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU[:, :H] += h_prev.T @ da_z
        dU[:, H:2 * H] += h_prev.T @ da_r
        if after:
            dU[:, 2 * H:] += h_prev.T @ du
            db[0] += da.sum(axis=0)
            db[1] += np.concatenate([da_z, da_r, du], axis=1).sum(axis=0)
        else:
            dU[:, 2 * H:] += u.T @ da_h
            db += da.sum(axis=0)
    return dx, dW, dU, db, dh_next


# 3. The bug: r stands between a_h and the product h U_h + b'
def fixed_weight_gradients(da_h, r, u, h_prev):
    du = da_h * r
    dU_h = np.einsum("nti,ntj->ij", h_prev, du)
    return dU_h, da_h.sum(axis=(0, 1)), du.sum(axis=(0, 1))


# 4. The experiment
W = np.array([[-30, 0, 3], [-30, 0, -3]])       # either mark closes z, and says to h~ what to become
U = np.zeros((1, 3))
b = np.array([[12, 0, 0], [0, 0, 0]])           # σ(12) to the power of 200 is 0.999; σ(6) leaves 0.6
