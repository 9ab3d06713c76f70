"""Solutions of the exercises of lesson 08."""
import numpy as np

C = 0                                                   # 0.5 · (-1) + 0.5 · 1
dC = 2                                                  # dh o (1 - tanh²(0)) = 4 · 0.5 · 1
df = -2                                                 # dC C_{t-1}
da_f = -0.5                                             # df f (1 - f)
dC_prev = 1                                             # dC f


def lstm_step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, U):
    do = dh * np.tanh(C)
    dC = dC + dh * o * (1 - np.tanh(C) ** 2)
    di, df, dC_tilde = dC * C_tilde, dC * C_prev, dC * i
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)])
    return da, U @ da, dC * f


def fixed_cell_walk(dh, o, f, C):
    dC, carry = np.zeros_like(C), 0.0
    for t in reversed(range(len(C))):
        dC[t] = dh[t] * o[t] * (1 - np.tanh(C[t]) ** 2) + carry     # the bug: the carry was made and then dropped
        carry = dC[t] * f[t]
    return dC


gate = 0.1 ** (1 / 100)                                 # 0.977
bias = np.log(gate / (1 - gate))                        # 3.76, the number whose sigmoid the gate is
