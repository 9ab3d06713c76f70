# %% [markdown]
# # 08 · LSTM: a memory with gates, and its backward term by term
#
# *About 30 minutes.* A SimpleRNN makes its state anew at every step. An LSTM has a second one, the **cell** $C_t$, and three
# gates: what of it is kept, what is added, what is shown. You derive all its gradients, then it learns to write, from Python's
# own help or from a text of yours (`nblayers learn lstm --text FILE`).
#
# ## A question first
# On its way back from cell to cell a gradient is multiplied by the forget gate, and by nothing else. With small inputs that
# gate stands at $\sigma(0) = 0.5$ where its bias is 0, at $\sigma(1) = 0.73$ where it is 1. How much is left after 50 steps, to
# a power of ten? Which bias would leave about a hundredth? Write down your guesses.

# %%
import sys
import textwrap
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import LSTM, Dense, Embedding, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

own_file = sys.argv[2] if sys.argv[1:2] == ["--text"] and len(sys.argv) == 3 else None
assert own_file or not sys.argv[1:] or "ipykernel" in sys.modules, "the only option of this lesson is --text FILE"
own_text = Path(own_file).read_text(encoding="utf-8", errors="replace") if own_file else ""
assert not own_file or len(own_text) >= 5000, f"--text: expected 5000 characters or more, got {len(own_text)}"

# %% [markdown]
# ## Numbers for paper
# Three steps with one number each, two units. The gates' columns lie in Keras' order, $i$, $f$, $\tilde{C}$, $o$, and $b$
# begins as in Keras: with 1 for $f$. What the layers above tell step $t$ is $dy_t$, that is,
# $\mathcal{L} = \sum_t dy_t \cdot h_t$.

# %%
x = np.array([[1.0], [0.0], [-1.0]])                        # (T, in)
W = np.array([[1, 0, 0, -1, 2, -1, 0, 1]]) / 2              # (in, 4 units)
U = np.array([[0, 1, 1, 0, 1, 2, -1, 0], [1, 0, 0, 1, -2, 1, 0, -1]]) / 2  # (units, 4 units)
b = np.array([0.0, 0, 1, 1, 0, 0, 0, 0])
h_0, C_0 = np.array([0.0, 0.0]), np.array([1.0, -1.0])
dy = np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]])       # (T, units)

# %% [markdown]
# ## Forward
# $$i_t = \sigma(W_i \cdot [h_{t-1}, x_t] + b_i) \tag{004.LSTM.i}$$
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f) \tag{004.LSTM.f}$$
# $$\tilde{C}_t = \tanh(W_C \cdot [h_{t-1}, x_t] + b_C) \tag{004.LSTM.C~}$$
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \tag{004.LSTM.C}$$
# $$o_t = \sigma(W_o \cdot [h_{t-1}, x_t] + b_o) \qquad h_t = o_t \odot \tanh(C_t) \tag{004.LSTM.o}$$
# The document joins $h_{t-1}$ and $x_t$, with a matrix for each gate. Keras keeps apart what multiplies $x$ (`kernel`, here
# $W$) from what multiplies $h$ (`recurrent_kernel`, $U$), each for all gates at once. The sums are the same.

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2             # 1 / (1 + exp(-a)), without its overflow


def forward(x=x, W=W, U=U, b=b, h_0=h_0, C_0=C_0):
    steps, h, C = [], h_0, C_0
    for x_t in x:
        a = x_t @ W + b + h @ U                 # the pre-activations of all gates
        i = sigmoid(a[0:2])                     # (004.LSTM.i)
        f = sigmoid(a[2:4])                     # (004.LSTM.f)
        C_tilde = np.tanh(a[4:6])               # (004.LSTM.C~)
        C = f * C + i * C_tilde                 # (004.LSTM.C)
        o = sigmoid(a[6:8])                     # (004.LSTM.o)
        h = o * np.tanh(C)                      # (004.LSTM.o)
        steps.append((a, i, f, C_tilde, o, C, h))
    return [np.array(value) for value in zip(*steps, strict=True)]


def loss(first=0, **changed):
    return np.sum(dy[first:] * forward(**{"x": x[first:], **changed})[-1])  # of step `first` and those after it


_, *gates, cells, h = forward()
for name, value in zip(("i", "f", "C~", "o", "C", "h"), (*gates, cells, h), strict=True):
    print(f"{name:>2}:", *value.round(3))
assert np.allclose(cells[0], sigmoid(np.array([1, 0.5])) * C_0 + sigmoid(np.array([0.5, 0])) * np.tanh([1, -0.5]))

# %% [markdown]
# ## Backward: what h is made of
# We begin at the last step. Nothing comes back to it from later ones: $dh_3 = dy_3$. In $h_t = o_t \tanh(C_t)$ each factor is
# given $dh$ times the other one, and $\tanh' = 1 - \tanh^2$:
# $$do_t = dh_t \odot \tanh(C_t) \qquad dC_t = dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$

# %%
(i, f, C_tilde, o), C, C_prev, dh = (gate[2] for gate in gates), cells[2], cells[1], dy[2]
do = dh * np.tanh(C)
check_derivative("do", do, lambda o: dh @ (o * np.tanh(C)), o)
dC = dh * o * (1 - np.tanh(C) ** 2)
check_derivative("dC", dC, lambda C: dh @ (o * np.tanh(C)), C)

# %% [markdown]
# ## Backward: what C is made of
# (004.LSTM.C) adds two products. Again each factor is given $dC$ times the other one:
# $$df_t = dC_t \odot C_{t-1} \quad di_t = dC_t \odot \tilde{C}_t \quad d\tilde{C}_t = dC_t \odot i_t \quad
#   dC_{t-1} = dC_t \odot f_t$$
# The last is the carry for whose sake the LSTM was invented: from cell to cell there is no matrix and no slope, only a gate.

# %%
df = dC * C_prev
check_derivative("df", df, lambda f: dh @ (o * np.tanh(f * C_prev + i * C_tilde)), f)
di = dC * C_tilde
check_derivative("di", di, lambda i: dh @ (o * np.tanh(f * C_prev + i * C_tilde)), i)
dC_tilde = dC * i
check_derivative("dC~", dC_tilde, lambda C_tilde: dh @ (o * np.tanh(f * C_prev + i * C_tilde)), C_tilde)
dC_prev = dC * f
check_derivative("dC_2", dC_prev, lambda C: loss(first=2, h_0=h[1], C_0=C), C_prev)

# %% [markdown]
# ## Backward: the pre-activations, and the state before
# A gate's gradient is multiplied by its slope, which its own value tells: $\sigma' = \sigma (1 - \sigma)$ (lesson 03). All four
# pre-activations hold $h_{t-1} U$, so the state before gets four products, added; in code one, as the gates lie side by side.
# $$da_i = di \odot i (1 - i) \qquad da_f = df \odot f (1 - f)$$
# $$da_C = d\tilde{C} \odot (1 - \tilde{C}^2) \qquad da_o = do \odot o (1 - o)$$
# $$dh_{t-1} = U_i \, da_i + U_f \, da_f + U_C \, da_C + U_o \, da_o = U \, da_t$$

# %%
da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)])
check_derivative("da_3", da, lambda da: loss(first=2, b=b + da, h_0=h[1], C_0=C_prev), np.zeros(8))
check_derivative("dh_2", U @ da, lambda h: loss(first=2, h_0=h, C_0=C_prev), h[1])

# %% [markdown]
# ## Backward: through time
# A step further back, both carries are **added** to what the step hears itself: $dh$ to $dy_t$, $dC$ to what comes through
# $h_t$. Write `=` for `+=` and a test with $T = 1$ still passes. And each weight stands in every step: a sum over time.
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t \qquad db = \sum_t da_t \qquad dx_t = da_t \, W^\top$$

# %%
da, dh, dC = np.zeros((3, 8)), np.zeros(2), np.zeros(2)
for t in reversed(range(3)):
    (i, f, C_tilde, o), C, C_prev = (gate[t] for gate in gates), cells[t], cells[t - 1] if t else C_0
    dh += dy[t]
    dC += dh * o * (1 - np.tanh(C) ** 2)
    di, df, dC_tilde, do = dC * C_tilde, dC * C_prev, dC * i, dh * np.tanh(C)
    da[t] = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)])
    dh, dC = U @ da[t], dC * f
    check_derivative(f"dh_{t}", dh, lambda h, t=t, C=C_prev: loss(first=t, h_0=h, C_0=C), h[t - 1] if t else h_0)
    check_derivative(f"dC_{t}", dC, lambda C, t=t: loss(first=t, h_0=h[t - 1] if t else h_0, C_0=C), C_prev)
dW, dU, db, dx = x.T @ da, np.array([h_0, *h[:2]]).T @ da, da.sum(axis=0), da @ W.T
for name, gradient, value in (("W", dW, W), ("U", dU, U), ("b", db, b), ("x", dx, x)):
    check_derivative("d" + name, gradient, lambda v, name=name: loss(**{name: v}), value)

# %% [markdown]
# ## The same in the library
# The layer on the same numbers, in the room for reading and in the compiled one, and then its backward. The layer sees to
# inputs and weights, a kernel walks through time. Find each of your lines in all three rooms.

# %%
for room, dtype, tolerance in (("reference", "float64", 1e-15), ("cpu", "float32", 1e-6)):
    lstm = LSTM(2, return_sequences=True, dtype=dtype).to(room)
    lstm.build((1, 3, 1))
    assert np.array_equal(lstm.get_weights()[2], b)  # a new LSTM begins with our bias
    lstm.set_weights([W, U, b])
    y = lstm.forward(x[None].astype(dtype), initial_state=[h_0[None].astype(dtype), C_0[None].astype(dtype)])
    results = [y, *lstm.backward(dy[None].astype(dtype)), *(weight.grad for weight in lstm.trainable_weights)]
    for theirs, ours in zip(results, (h, dx, dh, dC, dW, dU, db), strict=True):
        assert np.allclose(theirs, ours, rtol=0, atol=tolerance)
show_source(LSTM._run_backward, "kernels.reference.recurrent:lstm_backward", "kernels.cpu.recurrent:_lstm_backward",
            "kernels.cpu._lstm:lstm_slopes", "kernels.cuda.recurrent:_lstm_backward")

# %% [markdown]
# ## A picture: what gates are for
# Left, a latch: an LSTM of one unit, its weights set by hand, reads a number and a mark. At a mark $i$ opens and $f$ closes:
# the cell takes the number in and holds it. Right, how much of the gradient by $h_{50}$ arrives at each input of new layers; by
# the cell alone it would be $\sigma(\text{bias})^{50}$, the answer to the question. A SimpleRNN has no gate to open.

# %%
assert np.allclose(np.log10(sigmoid(np.array([0, 1])) ** 50), [-15, -7], atol=0.3) and round(sigmoid(2.34) ** 50, 3) == 0.01
set_random_seed(0)
rng, marks = np.random.default_rng(0), np.isin(np.arange(50), [4, 18, 37])
latch, inputs = LSTM(1, return_sequences=True).to("reference"), np.stack([rng.uniform(-1, 1, 50), marks], axis=1)[None]
latch.build(inputs.shape)
latch.set_weights([[[0, 0, 3, 0], [12, -12, 0, 0]], np.zeros((1, 4)), [-6, 6, 0, 6]])
y = latch.forward(inputs)[0, :, 0]
rows = {"mark": marks} | {name: getattr(latch.cache, name)[0, :, 0] for name in ("i", "f", "c_tilde", "o", "c")} | {"h": y}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained", subplot_kw={"xlabel": "t"})
left.imshow(list(rows.values()), cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none")
left.set(yticks=range(7), yticklabels=rows, title="a latch: blue 1, white 0, red -1")
inputs = rng.normal(size=(1, 50, 32))
for name, layer in (("SimpleRNN", SimpleRNN(32)), *((f"LSTM, forget bias {bias}", LSTM(32)) for bias in (0, 1, 4))):
    layer.to("reference").build(inputs.shape)
    if name[-1].isdigit():
        layer.trainable_weights[2].value[32:64] = int(name[-1])
    norm = np.linalg.norm(layer.backward(np.ones_like(layer.forward(inputs)))[0], axis=1)
    right.semilogy(norm / norm[-1], label=f"{name}: {norm[0] / norm[-1]:.0e}")
right.legend(title="gradient by $x_t$, relative to $x_{50}$")
save_figure(fig, "08_gates")

# %% [markdown]
# ## A real task: writing
# "Text Generation" of document 004 (004.Program.Text): after 40 characters, which is next? Changed: an Embedding instead of
# ones and zeros, one LSTM instead of two, and by `return_sequences=True` each of the 40 is asked for its next one, not only the
# last. A loss of $L$ is $L / \ln 2$ bits a character; who knows only how frequent each one is needs the entropy
# $H = -\sum_k p_k \log_2 p_k$. Two to the power of the bits is the **perplexity**: between so many one hesitates. The texts are
# drawn as by the document's `sample`, logarithms divided by a temperature: cold repeats what is surest, hot misspells.

# %%
paragraphs = [" ".join(paragraph.split()) for topic in topics.values() for paragraph in topic.split("\n\n")]
prose = "\n".join(p for p in paragraphs if sum(c.isalpha() or c == " " for c in p) > 0.9 * len(p))  # no tables, no programs
text = (own_text or prose)[:300_000].lower()
chars, code = np.unique(list(text), return_inverse=True)
windows = np.lib.stride_tricks.sliding_window_view(code, 41)[::40]  # 40 characters, and the next
model = Sequential([Embedding(len(chars), 32), LSTM(128, return_sequences=True), Dense(len(chars), activation="softmax")])
model.compile(Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(windows[:, :-1], windows[:, 1:], batch_size=128, epochs=min(65_000 // len(windows), 40),
                    validation_split=0.1, verbose=2).history
bits, share = np.transpose([history["loss"], history["val_loss"]]) / np.log(2), np.bincount(code) / len(code)
H = -np.sum(share * np.log2(share))
print(f"unread text: {bits[-1, 1]:.2f} bits a character, perplexity {2 ** bits[-1, 1]:.1f}; frequencies: {H:.2f}, {2 ** H:.1f}")
assert bits[-1, 1] < H
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(range(1, len(bits) + 1), bits, "o-", label=["training", "validation"])
ax.axhline(H, ls="--", color="grey", label="frequencies alone")
ax.set(xlabel="epoch", ylabel="bits a character", ylim=0)
ax.legend(loc="lower left")
save_figure(fig, "08_loss")
temperatures = np.array([0.2, 0.5, 1.0, 1.2])
written = np.tile(windows[-1, :-1], (4, 1))  # the end of the text, which was kept for validation
for _ in range(300):
    preds = model.predict(written[:, -40:], verbose=0)[:, -1].astype("float64")  # four texts side by side
    exp_preds = np.exp(np.log(np.maximum(preds, 1e-30)) / temperatures[:, None])
    probas = [rng.multinomial(1, p / np.sum(p)) for p in exp_preds]
    written = np.column_stack([written, np.argmax(probas, axis=1)])
for T, row in zip(temperatures, written, strict=True):
    print(f"\n----- temperature {T}", textwrap.fill("".join(chars[k] for k in row), 80), sep="\n")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check lstm my_answer.py`.
# 1. On paper: one unit, $f = i = o = 0.5$, $\tilde{C} = 1$, $C_{t-1} = -1$, last step, $dh = 4$. Set `C`, `dC`, `df`, `da_f`,
#    `dC_prev`.
# 2. A backward to fill in: `lstm_step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, U)`, where `dh` holds $dy_t$ and the carry,
#    `dC` the carry alone. Return `da, dh_prev, dC_prev`.
# 3. A bug: with the walk below an LSTM learns, but remembers badly. Write it right as `fixed_cell_walk(dh, o, f, C)`: given
#    $dh_t$ of all steps, (T, units), it returns all $dC_t$.
# 4. An experiment: with small inputs, which forget bias leaves a tenth of the gradient after 100 steps in the cell? Set `bias`.
# ```python
# def cell_walk(dh, o, f, C):
#     dC = np.zeros_like(C)
#     for t in reversed(range(len(C))):
#         dC[t] = dh[t] * o[t] * (1 - np.tanh(C[t]) ** 2)
#         carry = dC[t] * f[t]
#     return dC
# ```
