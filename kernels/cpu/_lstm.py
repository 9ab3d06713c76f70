r"""The gates of an LSTM, element by element: what a step and its backward do once the products are done.

    i = \sigma(a_i),  f = \sigma(a_f),  o = \sigma(a_o)        (004.LSTM.i), (004.LSTM.f), (004.LSTM.o)
    c~ = \tanh(a_c)                                         (004.LSTM.C~)
    c = f c_{t-1} + i c~                                    (004.LSTM.C)
    h = o \tanh(c)                                          (3)

All arrays are flat and of one size: the LSTM's and the ConvLSTM's are the same.
"""
from ._jit import kernel
from ._math import sigmoid, tanh
from ._tile import wide_vectors


@kernel
def lstm_state(i, f, c_tilde, o, c_prev, c, h):
    """i, f, c~, o hold a_i, a_f, a_c, a_o -> their values, c and h."""
    wide_vectors()
    for n in range(c.size):
        i[n] = sigmoid(i[n])                                                # (004.LSTM.i)
        f[n] = sigmoid(f[n])                                                # (004.LSTM.f)
    for n in range(c.size):
        c_tilde[n] = tanh(c_tilde[n])                                       # (004.LSTM.C~)
        o[n] = sigmoid(o[n])                                                # (004.LSTM.o)
    for n in range(c.size):
        c[n] = f[n] * c_prev[n] + i[n] * c_tilde[n]                         # (004.LSTM.C)
        h[n] = o[n] * tanh(c[n])                                            # (3)


@kernel
def lstm_slopes(i, f, c_tilde, o, c_prev, c, dh, dc):
    """i, f, c~, o <- da_i, da_f, da_c, da_o; dc, of c_t <- that of c_{t-1}."""
    wide_vectors()
    one = c.dtype.type(1)
    for n in range(c.size):
        tanh_c = tanh(c[n])
        do = dh[n] * tanh_c                                                 # from (3)
        dc_t = dc[n] + dh[n] * o[n] * (one - tanh_c * tanh_c)               # from (3)
        di, df, dc_tilde = dc_t * c_tilde[n], dc_t * c_prev[n], dc_t * i[n]     # from (004.LSTM.C)
        dc[n] = dc_t * f[n]                                                 # from (004.LSTM.C)
        i[n] = di * i[n] * (one - i[n])                                     # from (004.LSTM.i)
        f[n] = df * f[n] * (one - f[n])                                     # from (004.LSTM.f)
        c_tilde[n] = dc_tilde * (one - c_tilde[n] * c_tilde[n])             # from (004.LSTM.C~)
        o[n] = do * o[n] * (one - o[n])                                     # from (004.LSTM.o)
