# %% [markdown]
# # 08 · LSTM: a memory with gates, and its backward term by term
#
# *About 30 minutes.* A SimpleRNN makes its state anew at every step. An LSTM has a second one, the **cell** $C_t$, and three gates:
# what of it is kept, what is added, what is shown. You derive all its gradients, then it learns to write English, or to write like
# a text of yours (`nblayers learn lstm --text FILE`).
#
# ## A question first
#
# On its way back from cell to cell a gradient is multiplied by the forget gate, and by nothing else. With small inputs that gate
# stands at $\sigma(0) = 0.5$ where its bias is 0, at $\sigma(1) = 0.73$ where it is 1. How much is left after 50 steps, to a power of
# ten? Which bias would leave about a hundredth? Write down your guesses.

# %%
import argparse
import sys
import textwrap
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import LSTM, Dense, Embedding, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

parser = argparse.ArgumentParser()
parser.add_argument("--text", type=argparse.FileType(encoding="utf-8", errors="replace"), help="a text to learn from")
file = parser.parse_args([] if "ipykernel" in sys.modules else None).text

# %% [markdown]
# ## Numbers for paper
#
# A sequence of three steps with one number each, two units. The columns of the gates lie side by side, in Keras' order $i$, $f$,
# $\tilde{C}$, $o$; the bias of $f$ begins at 1, as in Keras. For a loss we take $\mathcal{L} = \sum_t dy_t \cdot h_t$: then $dy_t$
# is what step $t$ is told by the layers above.

# %%
x = np.array([[1.0], [0.0], [-1.0]])                                    # (T, in)
W = np.array([[1, 0, 0, -1, 2, -1, 0, 1]]) / 2                          # (in, 4 units): i i f f C~ C~ o o
U = np.array([[0, 1, 1, 0, 1, 2, -1, 0], [1, 0, 0, 1, -2, 1, 0, -1]]) / 2       # (units, 4 units)
b = np.array([0.0, 0, 1, 1, 0, 0, 0, 0])
h_0, C_0 = np.array([0.0, 0.0]), np.array([1.0, -1.0])
dy = np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]])                    # (T, units)

# %% [markdown]
# ## Forward
#
# $$i_t = \sigma(W_i \cdot [h_{t-1}, x_t] + b_i) \tag{004.LSTM.i}$$
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f) \tag{004.LSTM.f}$$
# $$\tilde{C}_t = \tanh(W_C \cdot [h_{t-1}, x_t] + b_C) \tag{004.LSTM.C~}$$
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \tag{004.LSTM.C}$$
# $$o_t = \sigma(W_o \cdot [h_{t-1}, x_t] + b_o) \qquad h_t = o_t \odot \tanh(C_t) \tag{004.LSTM.o}$$
# The document joins $h_{t-1}$ and $x_t$, with a matrix for each gate. Keras keeps apart what multiplies $x$ (`kernel`, here $W$)
# and $h$ (`recurrent_kernel`, $U$), each for all gates at once; the sums are the same. As in lesson 06, a `push` on any value
# shows what the loss makes of it.

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2                                     # 1 / (1 + exp(-a)), without its overflow


def forward(x=x, W=W, U=U, b=b, h_0=h_0, C_0=C_0, push=("", 0, 0.0)):
    def keep(name, value):
        v.setdefault(name, []).append(value + push[2] if push[:2] == (name, t) else value)
        return v[name][t]

    v, h, C = {}, h_0, C_0
    for t in range(3):
        a = keep("a", x[t] @ W + b + h @ U)                             # all four pre-activations
        i = keep("i", sigmoid(a[0:2]))                                  # (004.LSTM.i)
        f = keep("f", sigmoid(a[2:4]))                                  # (004.LSTM.f)
        C_tilde = keep("C~", np.tanh(a[4:6]))                           # (004.LSTM.C~)
        C = keep("C", f * C + i * C_tilde)                              # (004.LSTM.C)
        o = keep("o", sigmoid(a[6:8]))                                  # (004.LSTM.o)
        h = keep("h", o * np.tanh(C))                                   # (004.LSTM.o)
    return v


def loss(**changed):
    return np.sum(dy * forward(**changed)["h"])


def check(name, t, gradient):
    check_derivative(f"d{name}_{t + 1}", gradient, lambda p: loss(push=(name, t, p)), np.zeros(len(gradient)))


v = forward()
for name in ("i", "f", "C~", "C", "o", "h"):
    print(f"{name:>2}:", *np.round(v[name], 3))
assert np.allclose(v["C"][0], sigmoid(np.array([1, 0.5])) * C_0 + sigmoid(np.array([0.5, 0])) * np.tanh([1, -0.5]))

# %% [markdown]
# ## Backward: what h is made of
#
# We begin at the last step, to which nothing comes back from later ones: $dh_3 = dy_3$. In $h_t = o_t \tanh(C_t)$ each factor is
# given $dh$ times the other, and $\tanh' = 1 - \tanh^2$:
# $$do_t = dh_t \odot \tanh(C_t) \qquad dC_t = dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$

# %%
t = 2                                                                   # Python counts from 0
i, f, C_tilde, C, o = (v[name][t] for name in ("i", "f", "C~", "C", "o"))
dh = dy[t]
check("h", t, dh)
do = dh * np.tanh(C)
check("o", t, do)
dC = dh * o * (1 - np.tanh(C) ** 2)
check("C", t, dC)

# %% [markdown]
# ## Backward: what C is made of
#
# (004.LSTM.C) is a sum of two products. Again each factor is given $dC$ times the other:
# $$df_t = dC_t \odot C_{t-1} \quad di_t = dC_t \odot \tilde{C}_t \quad d\tilde{C}_t = dC_t \odot i_t \quad dC_{t-1} = dC_t \odot f_t$$
# The last is the carry for whose sake the LSTM was invented: from cell to cell there is no matrix and no slope, only a gate.

# %%
df = dC * v["C"][t - 1]
check("f", t, df)
di = dC * C_tilde
check("i", t, di)
dC_tilde = dC * i
check("C~", t, dC_tilde)

# %% [markdown]
# ## Backward: the four pre-activations
#
# Each gate's gradient is multiplied by its slope, which its own value tells: $\sigma' = \sigma (1 - \sigma)$ (lesson 03).
# $$da_i = di \odot i (1 - i) \quad da_f = df \odot f (1 - f) \quad da_C = d\tilde{C} \odot (1 - \tilde{C}^2) \quad da_o = do \odot o (1 - o)$$

# %%
da_i, da_f, da_C, da_o = di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)
check("a", t, np.concatenate([da_i, da_f, da_C, da_o]))

# %% [markdown]
# ## Backward: the two carries
#
# All four gates read $h_{t-1}$, so it is given four products, added; in code one, as the gates lie side by side. To both carries
# the step before **adds** what it hears itself:
# $$dh_{t-1} = dy_{t-1} + U \, da_t \qquad dC_{t-1} = dC_t \odot f_t + dh_{t-1} \odot o_{t-1} \odot (1 - \tanh^2(C_{t-1}))$$

# %%
da, dh, dC = np.zeros((3, 8)), np.zeros(2), np.zeros(2)
for t in reversed(range(3)):
    i, f, C_tilde, C, o = (v[name][t] for name in ("i", "f", "C~", "C", "o"))
    dh = dh + dy[t]                                                     # `=` without `dh +` passes every test with T = 1,
    dC = dC + dh * o * (1 - np.tanh(C) ** 2)                            # and so does a cell's carry that is dropped
    di, df, dC_tilde, do = dC * C_tilde, dC * (v["C"][t - 1] if t else C_0), dC * i, dh * np.tanh(C)
    da[t] = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)])
    for name, gradient in (("h", dh), ("C", dC), ("a", da[t])):
        check(name, t, gradient)
    dh, dC = U @ da[t], dC * f
for name, gradient, value in (("h_0", dh, h_0), ("C_0", dC, C_0)):
    check_derivative("d" + name, gradient, lambda p, name=name: loss(**{name: p}), value)

# %% [markdown]
# ## Backward: the weights
#
# They stand in every step, so their gradients are sums over time, as in lesson 06:
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t \qquad db = \sum_t da_t \qquad dx_t = da_t \, W^\top$$

# %%
dW, dU, db, dx = x.T @ da, np.array([h_0, *v["h"][:2]]).T @ da, da.sum(axis=0), da @ W.T
for name, gradient, value in (("W", dW, W), ("U", dU, U), ("b", db, b), ("x", dx, x)):
    check_derivative("d" + name, gradient, lambda p, name=name: loss(**{name: p}), value)

# %% [markdown]
# ## The same in the library
#
# The layer on the same numbers, in the room for reading and in the compiled one; then its backward. The layer sees to weights and
# inputs, the kernel to the walk through time: find each of your lines in all three rooms.

# %%
for room, dtype, digits in (("reference", "float64", 15), ("cpu", "float32", 6)):
    lstm = LSTM(2, return_sequences=True, dtype=dtype).to(room)
    lstm.build((1, 3, 1))
    assert np.array_equal(lstm.get_weights()[2], b)                     # a new LSTM begins with our bias
    lstm.set_weights([W, U, b])
    y = lstm.forward(x[None].astype(dtype), initial_state=[h_0[None].astype(dtype), C_0[None].astype(dtype)])
    gradients = lstm.backward(dy[None].astype(dtype)) + [weight.grad for weight in lstm.trainable_weights]
    for ours, theirs in zip((v["h"], dx, dh, dC, dW, dU, db), [y, *gradients], strict=True):
        assert np.allclose(theirs, ours, rtol=0, atol=10.0 ** -digits), room
show_source(LSTM._run_backward, "kernels.reference.recurrent:lstm_backward", "kernels.cpu.recurrent:_lstm_backward",
            "kernels.cpu.recurrent:_lstm_slopes", "kernels.cuda.recurrent:_lstm_backward")

# %% [markdown]
# ## A picture: what gates are for
# Left, an LSTM of one unit with weights set by hand: a latch. It is given a number and a mark. At a mark $i$ opens and $f$ closes,
# so the cell takes the number in, and then holds it to the next mark. Right, how much of the gradient by $h_{50}$ arrives at each
# input, in new layers of 32 units: the answer to the question. A SimpleRNN has no gate to open.

# %%
set_random_seed(0)
rng, marks = np.random.default_rng(0), np.isin(np.arange(50), [4, 18, 37])
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
latch = LSTM(1, return_sequences=True).to("reference")
latch.build((1, 50, 2))
latch.set_weights([[[0, 0, 3, 0], [12, -12, 0, 0]], np.zeros((1, 4)), [-6, 6, 0, 6]])
latch.forward(np.stack([rng.uniform(-1, 1, 50), marks], axis=1)[None])
gates = {"mark": marks} | {name: getattr(latch.cache, name)[0, :, 0] for name in ("i", "f", "c_tilde", "o", "c", "h")}
left.imshow(list(gates.values()), cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none")
left.set_yticks(range(7), gates)
left.set(xlabel="t", title="a latch")
assert np.allclose(gates["c"][18:37], gates["c_tilde"][18], atol=0.1)

inputs = 0.1 * rng.normal(size=(1, 50, 8))
for name, layer, bias in (("LSTM, forget bias 0", LSTM(32), 0), ("LSTM, 1 (Keras)", LSTM(32), 1), ("LSTM, 2.34", LSTM(32), 2.34),
                          ("SimpleRNN", SimpleRNN(32).to("reference"), None)):
    layer.build(inputs.shape)
    if bias is not None:
        layer.trainable_weights[2].value[32:64] = bias
    norm = np.linalg.norm(layer.backward(np.ones_like(layer.forward(inputs)))[0], axis=1)
    print(name, f"{norm[0] / norm[-1]:.0e}", bias and f"{sigmoid(bias) ** 49:.0e}")
    right.semilogy(norm / norm[-1], label=name)
right.set(xlabel="t", title="gradient by the input of step t")
right.legend()
save_figure(fig, "08_gates")
