# %% [markdown]
# # 09 · GRU: two gates, one state, and two ways to reset
# *About 30 minutes.* A gated recurrent unit does with one state and two gates what the LSTM of lesson 08 does with two states
# and three gates. You derive its gradients for both ways of resetting that libraries have, and then it reads Python.
#
# ## A question first
# A GRU mixes its old state with a new one: $1 - z$ of the old and $z$ of the new, say the documents. Keras has it the other way
# round. You have weights that Keras trained, and a layer made after the documents: what must you change in the weights? And
# document 003 counts $3 [(x + h) h + h]$ of them, 3264 for $x = 1$, $h = 32$, where Keras prints 3360. What are the other 96,
# and how many of them can do something that the rest cannot? Write down your guesses.

# %%
import io
import tokenize
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import GRU, LSTM, Dense, Embedding, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper
# Three steps with one number each, two units. The columns lie in Keras' order $z$, $r$, $\tilde{h}$. There are two rows of
# biases: $b$ goes with $x$, and $b'$ with $h$. Again $\mathcal{L} = \sum_t dy_t \cdot h_t$.

# %%
x = np.array([[1.0], [0.0], [-1.0]])                        # (T, in)
W = np.array([[1, 0, 0, -1, 2, -1]]) / 2                    # (in, 3 units)
U = np.array([[0, 1, 1, 0, 1, 2], [1, 0, 0, 1, -2, 1]]) / 2     # (units, 3 units)
b = np.array([[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 2, -2]]) / 2     # (2, 3 units)
h_0, dy = np.array([1.0, -1.0]), np.array([[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]])    # (units), (T, units)

# %% [markdown]
# ## Forward: as the document has it, and as Keras has it
# In short $h_t = \text{GRU}(x_t, h_{t-1})$ (001.09.GRU). At length, with $h$ and $x$ joined as document 003 says too:
# $$r_t = \sigma(W_r \cdot [h_{t-1}, x_t] + b_r) \qquad z_t = \sigma(W_z \cdot [h_{t-1}, x_t] + b_z)$$
# $$\tilde{h}_t = \tanh(W \cdot [r_t \cdot h_{t-1}, x_t] + b)$$
# $$h_t = (1 - z_t) \cdot h_{t-1} + z_t \cdot \tilde{h}_t \tag{001.09.GRUCell}$$
# Keras has two matrices, $W$ for $x$ and $U$ for $h$, and $h_t = z_t h_{t-1} + (1 - z_t) \tilde{h}_t$, which we follow: $z$
# near 1 keeps. As $1 - \sigma(a) = \sigma(-a)$ (001.02.sigmoid), you need only negate what makes $z$, its columns of $W$, $U$
# and $b$: the first answer. And there are two ways to reset, *before* the product with $U_h$, as above, or *after* it:
# $$\text{before:} \quad u_t = r_t \odot h_{t-1} \qquad \tilde{h}_t = \tanh(x_t W_h + b_h + u_t U_h)$$
# $$\text{after:} \quad u_t = h_{t-1} U_h + b'_h \qquad \tilde{h}_t = \tanh(x_t W_h + b_h + r_t \odot u_t)$$
# Before, $r$ says which **old** units are read; after, which **new** ones listen. Keras resets after, unless told
# `reset_after=False`: all that $U$ multiplies is then $h_{t-1}$, in one product, without waiting for $r$. Before, $b' = 0$.

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2             # (001.02.sigmoid), without its overflow


def candidate(x_h, r, h, U_h, b_h, after):
    u = h @ U_h + b_h if after else r * h
    return u, np.tanh(x_h + r * u if after else x_h + u @ U_h)


def forward(x=x, W=W, U=U, b=b, h_0=h_0, after=True):
    steps, h, b_h = [], h_0, b[1] * after
    for x_t in x:
        x_z, x_r, x_h = np.split(x_t @ W + b[0], 3)
        z = sigmoid(x_z + h @ U[:, 0:2] + b_h[0:2])
        r = sigmoid(x_r + h @ U[:, 2:4] + b_h[2:4])
        u, h_tilde = candidate(x_h, r, h, U[:, 4:6], b_h[4:6], after)
        h = z * h + (1 - z) * h_tilde           # (001.09.GRUCell), with Keras' z
        steps.append((z, r, u, h_tilde, h))
    return [np.array(value) for value in zip(*steps, strict=True)]


def loss(first=0, **changed):
    return np.sum(dy[first:] * forward(**{"x": x[first:], **changed})[-1])  # of step `first` and those after it


for after in (True, False):
    print("reset after" if after else "reset before", "z, r, u, h~, h:", *(value[0].round(3) for value in forward(after=after)))
z, r, u, h_tilde, h = forward()
assert np.allclose(u[0], [2.5, -0.5]) and np.allclose(1 - sigmoid(np.array([-1, 0, 2])), sigmoid(np.array([1, 0, -2])))

# %% [markdown]
# ## Backward: what h is made of
# The last step, $dh_3 = dy_3$. What $z$ gives to the one it takes from the other, so its gradient is a difference:
# $$dz_t = dh_t \odot (h_{t-1} - \tilde{h}_t) \qquad d\tilde{h}_t = dh_t \odot (1 - z_t)$$
# $$\text{and straight on to } h_{t-1}: \quad dh_t \odot z_t$$
# This straight way is the LSTM's cell: no matrix, no slope, only a gate.

# %%
dh, h_prev = dy[2], h[1]
check_derivative("dz", dh * (h_prev - h_tilde[2]), lambda z: dh @ (z * h_prev + (1 - z) * h_tilde[2]), z[2])
check_derivative("dh~", dh * (1 - z[2]), lambda h_tilde: dh @ (z[2] * h_prev + (1 - z[2]) * h_tilde), h_tilde[2])
check_derivative("dh_2, straight on", dh * z[2], lambda h: dh @ (z[2] * h + (1 - z[2]) * h_tilde[2]), h_prev)

# %% [markdown]
# ## Backward: through the reset
# Let $a_h$ be what $\tanh$ (001.02.tanh) is taken of: $da_h = d\tilde{h} \odot (1 - \tilde{h}^2)$. Then both ways meet the same
# two operations, a product by elements and one with $U_h$, in opposite order:
# $$\text{after:} \quad du = da_h \odot r \qquad dr = da_h \odot u \qquad \text{to } h_{t-1}: \; U_h \, du$$
# $$\text{before:} \quad du = U_h \, da_h \qquad dr = du \odot h_{t-1} \qquad \text{to } h_{t-1}: \; du \odot r$$

# %%
U_h, x_h = U[:, 4:6], x[2] @ W[:, 4:6] + b[0, 4:6]
for after in (True, False):
    z, r, u, h_tilde, h = forward(after=after)
    r, u, h_prev, d = r[2], u[2], h[1], dy[2] * (1 - z[2])
    da_h = d * (1 - h_tilde[2] ** 2)
    du = da_h * r if after else U_h @ da_h
    check_derivative(f"after={after}: dr", da_h * u if after else du * h_prev,
                     lambda r, h=h_prev, d=d, after=after: d @ candidate(x_h, r, h, U_h, b[1, 4:6], after)[1], r)
    check_derivative(f"after={after}: dh_2, by u", U_h @ du if after else du * r,
                     lambda h, r=r, d=d, after=after: d @ candidate(x_h, r, h, U_h, b[1, 4:6], after)[1], h_prev)

# %% [markdown]
# ## Backward: through time
# So $h_{t-1}$ is heard in four places, and its gradient is a sum of four, with $da_z = dz \odot z (1 - z)$ and $da_r$ likewise:
# $$dh_{t-1} = dh_t \odot z_t + U_z \, da_z + U_r \, da_r + \begin{cases} U_h \, du & \text{after} \\
#   du \odot r_t & \text{before} \end{cases}$$
# A product with $U_h$ has two sides. After, they are $h_{t-1}$ and $du$; before, $u$ and $da_h$. Therefore
# $$dU_h = \sum_t h_{t-1}^\top du_t \;\; \text{(after)} \qquad dU_h = \sum_t u_t^\top da_{h,t} \;\; \text{(before)}$$
# In $z$ and $r$ both biases are simply added, and get the same gradient for ever. Only $b'_h$, inside the reset, has one of its
# own, $\sum_t du_t$. So the 96 are the second row of biases, and 32 of them do something new: the second answer.

# %%
def backward(after):
    z, r, u, h_tilde, h = forward(after=after)
    da, product, dh, before = np.zeros((3, 6)), np.zeros((3, 2)), np.zeros(2), np.array([h_0, *h[:2]])
    for t in reversed(range(3)):
        dh = dh + dy[t]
        da_h = dh * (1 - z[t]) * (1 - h_tilde[t] ** 2)
        product[t] = da_h * r[t] if after else da_h             # the gradient of what U_h gave
        back = U_h @ product[t]
        dz, dr = dh * (before[t] - h_tilde[t]), da_h * u[t] if after else back * before[t]
        da[t] = np.concatenate([dz * z[t] * (1 - z[t]), dr * r[t] * (1 - r[t]), da_h])
        dh = dh * z[t] + U[:, :4] @ da[t, :4] + (back if after else back * r[t])
        check_derivative(f"after={after}: dh_{t}", dh, lambda h, t=t: loss(first=t, h_0=h, after=after), before[t])
    dU = np.hstack([before.T @ da[:, :4], (before if after else u).T @ product])
    db = np.array([da.sum(axis=0), after * np.hstack([da[:, :4], product]).sum(axis=0)])
    for name, gradient, value in (("W", x.T @ da, W), ("U", dU, U), ("b", db, b), ("x", da @ W.T, x)):
        check_derivative(f"after={after}: d{name}", gradient, lambda v, name=name: loss(**{name: v}, after=after), value)
    return h, da @ W.T, dh, x.T @ da, dU, db if after else db[0]


results = {after: backward(after) for after in (True, False)}
assert np.array_equal(*results[True][-1][:, :4]) and not np.isclose(*results[True][-1][:, 4:]).any()

# %% [markdown]
# ## The same in the library
# Both ways, in the room for reading and in the compiled one. Then document 003's counts: $(x + h) h + h$ for a SimpleRNN
# (003.Params.RNN), four times that for an LSTM (003.Params.LSTM), three times for a GRU (003.Params.GRU) that resets before. In
# the sources look at what stands between the products: only a reset before must make two of them, one waiting for the other.

# %%
for after in (True, False):
    for room, dtype, tolerance in (("reference", "float64", 1e-15), ("cpu", "float32", 1e-6)):
        gru = GRU(2, return_sequences=True, reset_after=after, dtype=dtype).to(room)
        gru.build((1, 3, 1))
        gru.set_weights([W, U, b if after else b[0]])
        y = gru.forward(x[None].astype(dtype), initial_state=[h_0[None].astype(dtype)])
        found = [y, *gru.backward(dy[None].astype(dtype)), *(weight.grad for weight in gru.trainable_weights)]
        assert all(np.allclose(*pair, rtol=0, atol=tolerance) for pair in zip(found, results[after], strict=True))
for layer, count in ((SimpleRNN(32), 1088), (LSTM(32), 4352), (GRU(32, reset_after=False), 3264), (GRU(32), 3360)):
    layer.build((1, 10, 1))
    assert layer.count_params() == count
show_source(GRU._products_backward, "kernels.reference.recurrent:gru_backward", "kernels.cuda.recurrent:_gru_backward",
            *(f"kernels.cpu.recurrent:{name}" for name in ("_gru_backward", "_gru_slopes", "_slope_of_reset")))

# %% [markdown]
# ## A picture: starting again
# $z$ holds, as $f$ in the LSTM (001.09.LSTM, 001.09.LSTMCell), with $1 - z$ for its $i$; and a GRU shows all that it holds. And
# $r$? Here $U_h$ turns the state like the hand of a clock, with $z$ near 0: each state is made anew of the last. A mark shall
# set it to twelve. If $r$ stays near 1, the mark is but a push. Where $r$ falls to 0, the hand forgets where it stood.

# %%
marks = np.isin(np.arange(50), [4, 18, 37])
clock, turn = GRU(2, return_sequences=True).to("reference"), 0.75 * np.array([[3 ** 0.5, -1], [1, 3 ** 0.5]])
clock.build((1, 50, 1))
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for push, style, name in ((0, "o:", "r stays near 1"), (-12, "o-", "r falls to 0 at the marks")):
    clock.set_weights([[[0, 0, push, push, 0, 3]], np.hstack([np.zeros((2, 4)), turn]), [[-6, -6, 6, 6, 0, 0], [0] * 6]])
    hand = clock.forward(marks[None, :, None])[0]
    ax.plot(hand[:, 0], style, ms=3, label=name)
    assert (np.ptp(hand[marks], axis=0).max() < 0.02) == bool(push)     # after a reset the state is always the same
ax.vlines(np.flatnonzero(marks), -1, 1, color="grey", lw=0.8, label="marks")
ax.legend(loc="upper left", ncols=3)
ax.set(xlabel="t", ylabel="how far to the right the hand points", ylim=(-1.1, 1.5))
save_figure(fig, "09_reset")

# %% [markdown]
# ## A real task: code, string or comment?
# Python's own library is read character by character, and of each the network says which it is; Python's `tokenize` knows. One
# must remember how a string began, with `'` or `"`, one or three. The picture shows three lines that are new to the networks,
# and their gates, averaged over the units. At `#` and `'` $z$ falls, and so does $f$, while $i$ rises: something is taken in.
# Behind them it is held. And a `#` within a string is a temptation.

# %%
source = "".join(Path(tokenize.__file__).with_name(f"{name}.py").read_text("utf-8")
                 for name in ("argparse", "difflib", "inspect", "random", "textwrap"))
begin, kinds = np.cumsum([0] + [len(line) for line in io.StringIO(source)]), np.zeros(len(source), int)
for kind, _, (row, column), (last_row, last_column), _ in tokenize.generate_tokens(io.StringIO(source).readline):
    if "STRING" in tokenize.tok_name[kind] or kind == tokenize.COMMENT:
        kinds[begin[row - 1] + column:begin[last_row - 1] + last_column] = 1 + (kind == tokenize.COMMENT)
code, starts = np.array([min(ord(c), 127) for c in source]), [0]
for at in np.flatnonzero((code[:-100] == 10) & (kinds[:-100] == 0)) + 1:    # 100 characters from the beginning of a line on
    starts += [at] * int(at >= starts[-1] + 100)
(given, unread), (truth, true) = (np.split(values[np.add.outer(starts, np.arange(100))], [9 * len(starts) // 10])
                                  for values in (code, kinds))
line = "n = 1  # it's one\nname = 'abc # d'\nreturn n\n"
fig, axes = plt.subplot_mosaic("ABB;ACC;ADD", figsize=(13, 6), layout="constrained")
for place, name, layer, gates in (("B", "GRU, reset before", GRU(32, return_sequences=True, reset_after=False), "zr"),
                                  ("C", "GRU, reset after", GRU(32, return_sequences=True), "zr"),
                                  ("D", "LSTM", LSTM(32, return_sequences=True), "fio")):
    set_random_seed(0)
    model = Sequential([Embedding(128, 16), layer, Dense(3, activation="softmax")])
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    right = model.fit(given, truth, batch_size=32, epochs=5, verbose=0, validation_data=(unread, true)).history["val_accuracy"]
    axes["A"].plot(range(1, 6), right, "o-", label=name)
    worst = np.sum((told := model.predict(unread, verbose=0).argmax(axis=2)) != true, axis=1).argmax()
    shown = np.where(unread[worst] == 10, "\n", np.array([".", "s", "#"])[told[worst]])
    print(f"{name}: {right[-1]:.1%} right. Most is wrong here; below it, what the network said, s for string, # for comment:",
          "".join(map(chr, unread[worst])), "".join(shown), sep="\n")
    layer.forward(model.layers[0].forward(unread))
    keeps = [getattr(layer.cache, gates[0])[true == kind].mean() for kind in (0, 1, 2)]
    print(f"{gates[0]} on average: in code {keeps[0]:.2f}, in strings {keeps[1]:.2f}, in comments {keeps[2]:.2f}\n")
    assert right[-1] > 0.9 and keeps[0] < keeps[1] - 0.1
    told = model.layers[2].forward(layer.forward(model.layers[0].forward(np.array([[ord(c) for c in line]]))))[0]
    rows = {"string?": told[:, 1], "comment?": told[:, 2]}
    rows |= {gate: getattr(layer.cache, gate)[0].mean(axis=1) for gate in gates}
    axes[place].imshow(list(rows.values()), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes[place].set(yticks=range(len(rows)), yticklabels=rows, xticks=range(len(line)), xticklabels=line.replace("\n", "↵"),
                    title=f"{name}: white 0, blue 1")
axes["A"].set(xlabel="epoch", xticks=range(1, 6), ylabel="part of the unread characters that is right")
axes["A"].legend(loc="lower right")
save_figure(fig, "09_reading_python")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check gru my_answer.py`.
# 1. On paper: one unit that resets after, $z = 0.75$, $r = 0.5$, $h_{t-1} = -1$, $x_h = 0.5$, $U_h = 4$, $b'_h = 3$, and
#    $U_z = U_r = 0$; last step, $dh = 4$. Set `h`, `da_z`, `da_r`, `du`, `dh_prev`.
# 2. A backward to fill in: `gru_step_backward(dh, z, r, u, h_tilde, h_prev, U, after)` for both ways. Return `da, dh_prev`.
# 3. A bug: these gradients are for a layer that resets after, yet the network learns badly, though $dx$ and $dh_0$ are right.
#    Write it right as `fixed_weight_gradients(da_h, r, u, h_prev)`, all (T, units): return `dU_h, db_h, db_after`.
# 4. An experiment: choose `W` (2, 3), `U` (1, 3) and `b` (2, 3) of a `GRU(1)` that is a switch. It reads two numbers a step,
#    mostly $(0, 0)$. From a $(1, 0)$ on it shall stay above 0.9, from a $(0, 1)$ on below -0.9, for 200 steps if need be.
# ```python
# def weight_gradients(da_h, r, u, h_prev):
#     return h_prev.T @ da_h, da_h.sum(axis=0), da_h.sum(axis=0)
# ```
