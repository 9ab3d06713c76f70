# %% [markdown]
# # 11 · Bidirectional, stacked, TimeDistributed: building with recurrent layers
# *About 30 minutes.* One recurrent layer walks one way, once. Two can walk towards each other, one can stand on another, and a
# layer that knows nothing of time can be set at every step. You derive what each of the three does to a gradient: it is
# divided, handed down, or summed. Then a network fills in the vowels of a text, from the left alone and from both sides.
#
# ## A question first
# A stack of three SimpleRNNs reads 50 steps. Along how many paths does $x_1$ reach the last state of the uppermost layer? And:
# `Bidirectional(LSTM(64, return_sequences=True))` reads 30 characters, and you take its last output, `out[:, -1, :]`, as the
# PyTorch program of document 004 does with an LSTM (004.Program.Torch). How many characters has each of its two halves seen?
# Write down your guesses.

# %%
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import GRU, RNN, Bidirectional, Dense, Embedding, SimpleRNN, SimpleRNNCell, TimeDistributed
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper
# Three steps with one number each. Two SimpleRNNs of one unit read them from both ends, one of two units reads what they say,
# and a Dense makes one output a step. A sample is a row. Again $\mathcal{L} = \sum_t do_t \cdot o_t$.

# %%
x = np.array([[1.0], [0.0], [-1.0]])                                    # (T, in)
ahead = {"W": np.array([[1.0]]), "U": np.array([[0.5]]), "b": np.array([0.0])}
back = {"W": np.array([[0.5]]), "U": np.array([[-1.0]]), "b": np.array([0.5])}
upper = {"W": np.array([[1.0, -0.5], [0.5, 1.0]]), "U": np.array([[0.5, -1.0], [1.0, 0.0]]), "b": np.array([0.0, 0.5])}
V, c, do = np.array([[1.0], [-1.0]]), np.array([0.5]), np.array([[1.0], [-1.0], [2.0]])

# %% [markdown]
# ## Forward: from both ends
# $$h_t = \tanh(x_t W + h_{t-1} U + b) \tag{001.09.SimpleRNN}$$
# walks from $x_1$ to $x_3$ and gives $y^f$. Another, with weights of its own, walks from $x_3$ to $x_1$ (`go_backwards`) and
# leaves its states in the order of its walk. They are **turned round**, so that $y^f_t$ and $y^b_t$ belong to the same $x_t$:
# $$y_t = [y^f_t, y^b_t] \tag{004.Bidirectional}$$
# The document lists four ways to merge: `concat`, this one (001.15.Concatenate), `sum` (001.15.Add), `ave` (001.15.Average) and
# `mul` (001.15.Multiply). Keras has a fifth, `None`: both are returned. And without `return_sequences` each direction
# (001.09.Bidirectional) gives where *its own* walk ends: $y^f_3$ and $y^b_1$.

# %%
def walk(x, W, U, b):
    h = [np.zeros(len(U))]
    for x_t in x:
        h.append(np.tanh(x_t @ W + h[-1] @ U + b))              # (001.09.SimpleRNN)
    return np.array(h[1:])


y_f, y_b = walk(x, **ahead), walk(x[::-1], **back)[::-1]
y = np.concatenate([y_f, y_b], axis=1)                          # (004.Bidirectional)
print("y^f, y^b:", *y.round(3))
assert np.allclose(y_f[0], np.tanh(1)) and np.allclose(y_b[2], np.tanh(0)) and np.allclose(y_b[1], np.tanh(0.5))

# %% [markdown]
# ## Forward: one on top of another, and one at every step
# The upper layer reads the *sequence* that the lower one leaves, so all but the last need `return_sequences=True`. And the
# Dense has the same $V$ and $c$ at every step:
# $$h^k_t = \tanh(h^{k-1}_t W^k + h^k_{t-1} U^k + b^k) \tag{004.Stacked}$$
# $$o_t = h_t V + c \tag{001.09.TimeDistributed}$$
# Document 003 sets a Dense at every step like this. A Dense works on the last axis and would do the same alone. The wrapper is
# for layers that would take the time axis for something else, such as a convolution on the pictures of a film (004.App.Video).

# %%
h = walk(y, **upper)                                            # (004.Stacked)
o = h @ V + c                                                   # (001.09.TimeDistributed)
print("h:", *h.round(3), "  o:", o[:, 0].round(3))
assert np.allclose(o[1], h[1, 0] - h[1, 1] + 0.5)

# %% [markdown]
# ## Backward: the same layer at every step
# $V$ stands in every step, so its gradient is a **sum** over time, as over a batch: for this layer $T$ steps of $B$ sequences
# *are* a batch of $B \cdot T$ samples, and so the library calls it, once.
# $$dV = \sum_t h_t^\top do_t \qquad dc = \sum_t do_t \qquad dh_t = do_t \, V^\top$$

# %%
dV, dc, dh = h.T @ do, do.sum(axis=0), do @ V.T
check_derivative("dV", dV, lambda V: np.sum(do * (h @ V + c)), V)
check_derivative("dc", dc, lambda c: np.sum(do * (h @ V + c)), c)
check_derivative("dh, from the Dense", dh, lambda h: np.sum(do * (h @ V + c)), h)

# %% [markdown]
# ## Backward: down the stack
# Layers and steps are a grid, and a state is heard in two places: above it and after it. Its gradient is the **sum**:
# $$dh^k_t = \underbrace{W^{k+1} da^{k+1}_t}_{\text{from above}} + \underbrace{U^k da^k_{t+1}}_{\text{from later}} \qquad
#   da = dh \odot (1 - h^2)$$
# So the upper layer walks back as in lesson 06, and what it would call $dx$ is handed down. A path from $x_1$ to the last state
# of three layers goes 49 times right and twice up, in any order: $51 \cdot 50 / 2 = 1275$ paths, the first answer.

# %%
def walk_back(x, h, dh, W, U, b):
    da, carry = np.zeros_like(h), np.zeros(len(U))
    for t in reversed(range(len(h))):
        da[t] = (dh[t] + carry) * (1 - h[t] ** 2)               # from above, and from later
        carry = U @ da[t]
    before = np.vstack([np.zeros(len(U)), h[:-1]])
    return da @ W.T, {"W": x.T @ da, "U": before.T @ da, "b": da.sum(axis=0)}


def loss_above(y, **changed):
    return np.sum(do * (walk(y, **upper | changed) @ V + c))    # what is made of the lower layers' outputs


dy, dupper = walk_back(y, h, dh, **upper)
check_derivative("dy, handed down", dy, loss_above, y)
for name, gradient in dupper.items():
    check_derivative(f"d{name} of the upper layer", gradient, lambda v, name=name: loss_above(y, **{name: v}), upper[name])

# %% [markdown]
# ## Backward: from both ends
# Joining hands each part its own columns: the gradient is **divided**. The layer from the end takes its outputs in the order
# of its own walk, so its gradient is turned round on the way in, and what it gives for $x$ on the way out. $x$ is read twice:
# $$[dy^f_t, dy^b_t] = dy_t \qquad dx_t = dx^f_t + dx^b_t$$
# A sum would send its gradient to both, an average half of it, and a product to each times the other, $dy^f = dy \odot y^b$.

# %%
dy_f, dy_b = dy[:, :1], dy[:, 1:]
dx_f, dahead = walk_back(x, y_f, dy_f, **ahead)
dx_b, dback = walk_back(x[::-1], y_b[::-1], dy_b[::-1], **back)
dx_b = dx_b[::-1]


def loss(x_f=x, x_b=x, ahead=ahead, back=back):
    return loss_above(np.concatenate([walk(x_f, **ahead), walk(x_b[::-1], **back)[::-1]], axis=1))


check_derivative("dx by the way there", dx_f, lambda x: loss(x_f=x), x)
check_derivative("dx by the way back", dx_b, lambda x: loss(x_b=x), x)
check_derivative("dx", dx_f + dx_b, lambda x: loss(x, x), x)
for name in ("W", "U", "b"):
    check_derivative(f"d{name}, there", dahead[name], lambda v, name=name: loss(ahead=ahead | {name: v}), ahead[name])
    check_derivative(f"d{name}, back", dback[name], lambda v, name=name: loss(back=back | {name: v}), back[name])
for mode, merge, d_f, d_b in (("sum", np.add, do, do), ("ave", lambda f, b: (f + b) / 2, do / 2, do / 2),
                              ("mul", np.multiply, do * y_b, do * y_f)):
    check_derivative(f"{mode}: dy^f", d_f, lambda f, merge=merge: np.sum(do * merge(f, y_b)), y_f)
    check_derivative(f"{mode}: dy^b", d_b, lambda b, merge=merge: np.sum(do * merge(y_f, b)), y_b)

# %% [markdown]
# ## The same in the library
# First our model; a layer with `go_backwards` turns $x$ and $dx$ itself. Then two ways to stack: layer on layer, each with all
# its steps, or one `RNN` (001.09.RNN: it wraps a cell and has no `units`) over a list of cells, from which it makes one
# (001.09.StackedRNNCells: its argument is `cells`, not `layers`), each step with all its layers. The grid is the same, and so
# are the numbers, but only the first can give whole sequences to a kernel. Let all weights be 1 and leave out $\tanh$, and the
# gradient counts the paths. In the kernels see which step is walked $n$-th.

# %%
double = {"return_sequences": True, "dtype": "float64"}
gradients = (*dahead.values(), *dback.values(), *dupper.values(), dV, dc)
for room in ("reference", "cpu"):
    model = Sequential([Bidirectional(SimpleRNN(1, **double), dtype="float64"), SimpleRNN(2, **double),
                        TimeDistributed(Dense(1, dtype="float64"), dtype="float64")]).to(room)
    model.build((1, 3, 1))
    model.set_weights([*ahead.values(), *back.values(), *upper.values(), V, c])
    assert np.allclose(model.forward(x[None])[0], o, rtol=0, atol=1e-14)
    assert np.allclose(model.backward(do[None])[0], dx_f + dx_b, rtol=0, atol=1e-14)
    assert all(np.allclose(weight.grad, gradient, rtol=0, atol=1e-14)
               for weight, gradient in zip(model.trainable_weights, gradients, strict=True))
stacks = (Sequential([SimpleRNN(1, activation=None, **double) for _ in range(3)]),
          RNN([SimpleRNNCell(1, activation=None, dtype="float64") for _ in range(3)], **double))
for stack in stacks:
    stack.build((1, 50, 1))
    stack.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)] * 3)
    stack.forward(np.ones((1, 50, 1)))
    assert stack.backward(np.arange(50).reshape(1, 50, 1) == 49)[0, 0, 0] == 1275
show_source(Bidirectional.backward, Bidirectional._merge_backward, type(stacks[1].cell).backward, TimeDistributed.backward,
            "kernels.reference.recurrent:_walk", "kernels.reference.recurrent:simple_rnn_backward",
            "kernels.cpu.recurrent:_simple_rnn_backward", "kernels.cuda.recurrent:_simple_rnn_backward")

# %% [markdown]
# ## A picture: what each half knows
# How much of each $x_s$ is in each output? The half that walks there knows nothing that comes later, the half that walks back
# nothing that came before; of two such layers each half of the second knows all. Far right the second question: in the last
# output one half has seen all 30 characters, the other **one**. Without `return_sequences` that other half is $y^b_1$.

# %%
set_random_seed(0)
inputs, heat = np.random.default_rng(0).normal(size=(1, 30, 4)), np.zeros((3, 30, 30))
one = Bidirectional(GRU(16, return_sequences=True)).to("reference")
two = Sequential([Bidirectional(GRU(16, return_sequences=True)) for _ in range(2)]).to("reference")
fig, axes = plt.subplots(1, 4, figsize=(15, 3.7), layout="constrained")
for k, (layer, half, title) in enumerate(((one, 0, "the half that walks there"), (one, 1, "the half that walks back"),
                                          (two, 0, "the first half of a second layer"))):
    dy = np.zeros_like(layer.forward(inputs))
    for t in range(30):
        dy[0, :, 16 * half:16 * half + 16] = np.arange(30)[:, None] == t
        heat[k, t] = np.linalg.norm(layer.backward(dy)[0], axis=1)
    image = axes[k].imshow(np.where(heat[k] > 0, heat[k], np.nan), norm="log", vmin=1e-4, vmax=2, extent=(0.5, 30.5, 30.5, 0.5))
    axes[k].set(title=title, xlabel="s, the input", ylabel="t, the output")
fig.colorbar(image, ax=axes[2])
for values, name, seen in ((heat[0, -1], "y^f_{30}", 30), (heat[1, -1], "y^b_{30}", 1), (heat[1, 0], "y^b_1", 30)):
    axes[3].semilogy(range(1, 31), np.where(values > 0, values, np.nan), "o-", ms=4, label=f"${name}$ has seen {seen}")
    assert np.sum(values > 0) == seen
axes[3].legend(loc="lower center")
axes[3].set(title="three rows of these pictures", xlabel="s, the input", ylim=(1e-10, 10))
save_figure(fig, "11_halves")

# %% [markdown]
# ## A real task: which vowel was it?
# From a text, Python's own help, all vowels are taken out, `th*s *s wh*t *s l*ft`, and have to be put back: a label for each
# step, as when names are marked (004.App.NER). A consonant has none; its weight in the loss is 0. What follows says as much of
# a vowel as what went before, most of all at the beginning of a word. In the samples wrong vowels are capitals.

# %%
letters, vowels, right = " abcdefghijklmnopqrstuvwxyzAEIOU", [1, 5, 9, 15, 21], {}
text = " ".join("".join(c if c in letters[1:27] else " " for c in "\n".join(topics.values()).lower()).split())
code = np.array([letters.index(c) for c in text[:84_000]]).reshape(-1, 60)
asked, unread = np.isin(code, vowels), slice(-140, None)
given, label, first = np.where(asked, 27, code), np.searchsorted(vowels, code) % 5, asked & (np.roll(code, 1) == 0)
fig, ax = plt.subplots(figsize=(7, 3.7), layout="constrained")
for name, walks in (("forward", 0), ("both ways", 1), ("both ways, twice", 2)):
    set_random_seed(0)
    layers = [Bidirectional(GRU(24, return_sequences=True)) for _ in range(walks)] or [GRU(48, return_sequences=True)]
    model = Sequential([Embedding(28, 16), *layers, TimeDistributed(Dense(5, activation="softmax"))])
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    history = model.fit(given[:-140], label[:-140], sample_weight=asked[:-140], batch_size=32, epochs=6, verbose=0,
                        validation_data=(given[unread], label[unread], asked[unread])).history
    ax.plot(range(1, 7), history["val_accuracy"], "o-", label=name)
    told = model.predict(given[unread], verbose=0).argmax(axis=2)
    is_right = told == label[unread]
    right[name] = is_right[asked[unread]].mean(), is_right[first[unread]].mean()
    shown = np.array(list(letters))[np.where(asked[unread] & ~is_right, told + 27, code[unread])]
    print(f"{name}, {model.count_params()} weights: right {right[name][0]:.0%}, where words begin {right[name][1]:.0%}",
          *map("".join, shown[:2]), sep="\n  ")
ax.set(xlabel="epoch", ylabel="part of the unread vowels that is right")
ax.legend()
save_figure(fig, "11_vowels")
assert right["both ways"][0] > right["forward"][0] + 0.05 and right["both ways"][1] > right["forward"][1] + 0.15

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check 11 my_answer.py`.
# 1. On paper: both directions add to $x$ half the state before, no $\tanh$, and read $x = (4, 2, 8)$. Set `y` (3, 2), joined,
#    and for a gradient of 1 at both numbers of $y_1$, 0 elsewhere, `dx` (3). And `paths`: how many lead from $x_1$ to the last
#    state of a stack of 4 layers that reads 4 steps?
# 2. A backward to fill in: `stack_backward(x, h1, h2, dh2, W1, U1, W2, U2)` for two SimpleRNNs, tanh, first states 0, all
#    arrays (T, …); `dh2` comes from above. Return `dx, dW1, dU1, dW2, dU2`.
# 3. A bug: the function below passes every test with $T = 1$. `there` and `back` are the backward functions of both layers,
#    gradients in and out in the order of their walk. Write it right as `fixed_bidirectional_backward(there, back, dy)`.
# 4. An experiment: three `SimpleRNN(1, activation=None)`, one on another, kernels 1, recurrent weights 0.85, read 60 steps. In
#    one layer the gradient fades from the last step on. In three, how many steps before the last is it largest? Set `steps`.
# ```python
# def bidirectional_backward(there, back, dy):
#     half = dy.shape[1] // 2
#     return there(dy[:, :half]) + back(dy[::-1, half:])
# ```
