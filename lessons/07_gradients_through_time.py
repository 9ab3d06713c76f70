# %% [markdown]
# # 07 · Gradients through time: why they vanish, why they explode, and what helps
#
# *About 30 minutes.* Lesson 06 carried a gradient back from step to step. Here you measure what is left of it after many steps,
# and try every cure that document 004 lists (004.Vanishing): clipping, initialisation, gates, skip connections.
#
# ## A question first
# If each of 50 steps multiplies by 0.9, half a percent is left; with 1.1, 117 times as much. But $W_{hh}$ is a matrix: can a
# gradient grow on its way through one whose eigenvalues are all 0.5? And: a network reads a digit and 40 blank steps, and then
# is asked which it was. Who will learn it, a SimpleRNN or an LSTM, both as Keras makes them? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import data
from nblayers.initializers import GlorotUniform, Identity, Orthogonal, RandomNormal
from nblayers.layers import GRU, LSTM, Dense, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import SGD, Adam, clip_by_global_norm, clip_by_norm, clip_by_value
from nblayers.parameter import Parameter
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper, and forward
# Three steps with one number each, two units; $W_{hh}$ is half a rotation: $R$ turns a vector and keeps its length.
# $$h_t = \tanh(W_{hx} x_t + W_{hh} h_{t-1} + b_h) \tag{004.RNN}$$
# Document 001 writes $W$ and $U$ for the two matrices (001.09.SimpleRNN, 001.09.SimpleRNNCell). Here $b_h = 0$, and there is
# one loss at the end, $\mathcal{L} = dh_3 \cdot h_3$. Each step may be given a $W_{hh}$ of its own: we shall change one alone.

# %%
x = np.array([[1.0], [0.0], [-1.0]])        # (T, in)
W_hx = np.array([[1.0], [0.5]])             # (units, in)
R = np.array([[0.6, -0.8], [0.8, 0.6]])     # (units, units)
W_hh, h_0, dh_3 = 0.5 * R, np.zeros(2), np.array([1.0, 0.0])


def forward(x=x, W_hh=W_hh, h_0=h_0, first=0):
    h, each = [h_0], np.broadcast_to(W_hh, (3, 2, 2))
    for t in range(first, 3):
        h.append(np.tanh(W_hx @ x[t] + each[t] @ h[-1]))    # (004.RNN)
    return np.array(h)


h = forward()
print("h_0 to h_3 =", *h.round(3))
assert np.allclose(h[1], np.tanh([1, 0.5])) and round(0.9 ** 50, 3) == 0.005 and round(1.1 ** 50) == 117

# %% [markdown]
# ## Backward: a link, and the chain
# One link is the slope of $\tanh$ and the matrix. The gradient by an early state is the chain of all links from the end:
# $$\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2) \, W_{hh}
#   \qquad dh_{t-1} = W_{hh}^\top (dh_t \odot (1 - h_t^2))$$
# $$\frac{\partial \mathcal{L}}{\partial y_t} \frac{\partial y_t}{\partial h_t} \frac{\partial h_t}{\partial h_{t-1}} \cdots
#   \frac{\partial h_1}{\partial h_0} \tag{002.BPTT.chain}$$
# And the weights? Their gradient is a sum, and the part of step $t$ is what changing $W_{hh}$ *there only* would do. So the sum
# does not vanish, but **the last steps make nearly all of it**: what was long ago has no say in what is learnt.
# $$dW_{hh} = \sum_t dW_t \qquad dW_t = da_t \, h_{t-1}^\top \qquad da_t = dh_t \odot (1 - h_t^2)$$

# %%
dh = [dh_3]
for t in (2, 1, 0):
    dh.insert(0, W_hh.T @ (dh[0] * (1 - h[t + 1] ** 2)))
    check_derivative(f"dh_{t}", dh[0], lambda h, t=t: dh_3 @ forward(h_0=h, first=t)[-1], h[t])
parts = np.array([np.outer(dh[t] * (1 - h[t] ** 2), h[t - 1]) for t in (1, 2, 3)])
check_derivative("the part of each step", parts, lambda W: dh_3 @ forward(W_hh=W)[-1], np.array([W_hh] * 3))
check_derivative("dW_hh", parts.sum(axis=0), lambda W: dh_3 @ forward(W_hh=W)[-1], W_hh)
print("length of dh_0 to dh_3:", np.linalg.norm(dh, axis=1).round(3))

# %% [markdown]
# ## How long the gradient gets
# A slope is at most 1, and a matrix stretches no vector by more than its largest **singular value** $s$:
# $$\|dh_{t-1}\| \leq s \cdot \max(1 - h_t^2) \cdot \|dh_t\|$$
# With $x = 0$ all states are 0 and all slopes 1: then $W_{hh} = rR$ multiplies by $r$ exactly. In the long run the largest
# **eigenvalue** $|\lambda|$ decides. Until then a gradient may grow all the same, the first answer: by `A` fourfold.

# %%
for r in (0.5, 1, 2):
    dh_0 = np.linalg.matrix_power(r * R.T, 3) @ dh_3
    check_derivative(f"dh_0 with r = {r}", dh_0, lambda h, r=r: dh_3 @ forward(0 * x, r * R, h)[-1], h_0)
    assert np.isclose(np.linalg.norm(dh_0), r ** 3)
A = np.array([[0.5, 4.0], [0.0, 0.5]])
lengths = [np.linalg.norm(np.linalg.matrix_power(A.T, steps) @ dh_3) for steps in range(16)]
print("back through A:", *np.round(lengths, 2))
assert (np.linalg.eigvals(A) == 0.5).all() and 4 < max(lengths) < 4.1 and lengths[15] < 0.01

# %% [markdown]
# ## Against both: how the weights begin
# $$W \sim U\left(-\sqrt{\frac{6}{n_{in} + n_{out}}}, \sqrt{\frac{6}{n_{in} + n_{out}}}\right) \tag{001.03.GlorotUniform}$$
# Others are $\mathcal{N}(0, 0.05^2)$ (001.03.RandomNormal), $I$ (001.03.IdentityInitializer), and Keras' choice, a matrix with
# all $s = 1$ (001.03.Orthogonal: by an SVD, says the document; Keras takes a QR). Of $n \times n$ independent numbers with
# deviation $\sigma$ the largest $|\lambda|$ is about $\sigma \sqrt{n}$, the largest $s$ twice that.

# %%
set_random_seed(0)
for name, draw in {"RandomNormal": RandomNormal(), "GlorotUniform": GlorotUniform(), "Orthogonal": Orthogonal(),
                   "Identity": Identity(), "Orthogonal, gain 1.5": Orthogonal(1.5)}.items():
    W = draw((100, 100), dtype="float64")
    eigenvalue, s = np.abs(np.linalg.eigvals(W)).max(), np.linalg.norm(W, 2)
    after = np.linalg.norm(np.linalg.matrix_power(W.T, 50) @ np.full(100, 0.1))
    print(f"{name:20} |λ| {eigenvalue:.2f}, s {s:.2f}; of a gradient of 1 there is {after:.1e} after 50 steps")
    assert name[0] not in "RG" or np.allclose([eigenvalue, s], [10 * W.std(), 20 * W.std()], rtol=0.1)

# %% [markdown]
# ## Against explosions: clipping
# After the walk back, before the step (004.Clipping). With $g$ a gradient and $c$ the bound:
# $$\text{by norm} \;\; g \min(1, c / \|g\|) \qquad \text{by value} \;\; \max(-c, \min(g, c))$$
# By value changes the direction. By norm does not; but Keras' `clipnorm` takes each variable by itself: a short gradient gains
# on a long one. PyTorch's `clip_grad_norm_`, in the document beside it, is Keras' `global_clipnorm`: one factor for all.

# %%
for clip, becomes in ((clip_by_value, [[2.6, 2.6], [0, 2.6]]), (clip_by_norm, [[1.56, 2.08], [0, 2.6]]),
                      (clip_by_global_norm, [[0.6, 0.8], [0, 2.4]])):
    weights = [Parameter(np.zeros(2)), Parameter(np.zeros(2))]
    weights[0].grad[:], weights[1].grad[:] = [3, 4], [0, 12]        # of lengths 5 and 12, together 13
    clip(weights, 2.6)
    assert np.allclose([weight.grad for weight in weights], becomes)

# %% [markdown]
# ## Against vanishing: a path without a matrix
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \tag{004.LSTM.C}$$
# $$h_t = (1 - z_t) \cdot h_{t-1} + z_t \cdot \tilde{h}_t \tag{001.09.GRUCell}$$
# What is kept and added to has a link of its own: $f_t$ here, $1 - z_t$ there (Keras has it the other way round, $z_t$), 1 in a
# skip connection, $h_t = h_{t-1} + \dots$ One loop walks back through any cell; the witness pushes the states that go in.

# %%
def there_and_back(cell, x, states, dstates):
    """The last states, and the gradient by those before each step and by the last (T + 1, states, B, units); x (T, B, in)."""
    records, found = [], [list(dstates)]
    for x_t in x:
        _, states = cell.forward(x_t, list(states))
        records.append(cell.cache)
    for record in reversed(records):
        cell.cache = record
        found.insert(0, cell.backward((np.zeros_like(found[0][0]), found[0]))[1])
    return np.array(states), np.array(found, dtype="float64")


rng = np.random.default_rng(0)
for kind in (SimpleRNNCell, LSTMCell, GRUCell):
    cell, (first, d) = kind(2, dtype="float64"), rng.normal(size=(2, 2 if kind is LSTMCell else 1, 1, 2))
    check_derivative(f"{kind.__name__}: first states", there_and_back(cell, x[:, None], first, d)[1][0],
                     lambda s, cell=cell, d=d: np.sum(d * there_and_back(cell, x[:, None], s, d)[0]), first)

# %% [markdown]
# ## The same in the library
# Find the link in all three rooms: the slope, then the product with the transposed matrix. And then a clip, and an initialiser.

# %%
rnn = SimpleRNN(2, dtype="float64")
rnn.build((1, 3, 1))
rnn.set_weights([W_hx.T, W_hh.T, np.zeros(2)])
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    assert np.allclose(rnn.forward(x[None], initial_state=h_0[None]), h[3], rtol=0, atol=1e-15)
    assert np.allclose(rnn.backward(dh_3[None])[1], dh[0], rtol=0, atol=1e-15)
    assert np.allclose(rnn.trainable_weights[1].grad, parts.sum(axis=0).T, rtol=0, atol=1e-15)
show_source("kernels.reference.recurrent:simple_rnn_backward", "kernels.cpu.recurrent:_simple_rnn_backward",
            "kernels.cuda.recurrent:_simple_rnn_backward", clip_by_global_norm, Orthogonal.draw)

# %% [markdown]
# ## A picture: the gradient's norm over time
# New networks read digits row by row (shaded), then 40 blank steps. A gradient comes in by the last states: how much arrives?
# With Keras' biases the LSTM's links are $\sigma(1) = 0.73$ and the GRU's $\sigma(0) = 0.5$: they begin by forgetting. Not so
# the SimpleRNN, whose matrix is orthogonal and whose slopes are near 1. (With gain 1.5 they are not: that slows the explosion.)

# %%
networks = {"SimpleRNN": (SimpleRNN, "orthogonal"), "SimpleRNN, normal": (SimpleRNN, "random_normal"),
            "SimpleRNN, gain 1.5": (SimpleRNN, Orthogonal(1.5)), "LSTM": (LSTM, "orthogonal"),
            "LSTM, bias 4": (LSTM, "orthogonal"), "GRU": (GRU, "orthogonal"), "GRU, bias 4": (GRU, "orthogonal")}
order = rng.permutation(1797)
pictures, y = (values[order] for values in data.digits())


def shown(blank):
    return np.pad(pictures.reshape(-1, 8, 8) / 16, [(0, 0), (0, blank), (0, 0)]).astype("float32")


def new(name):
    set_random_seed(0)
    layer = networks[name][0](32, recurrent_initializer=networks[name][1])
    layer.build((1, 48, 8))
    if "bias" in name:
        layer.trainable_weights[2].value.flat[slice(32, 64) if name[0] == "L" else slice(32)] = 4     # of f; of z
    return layer


(fig, axes), arriving = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained", sharey=True), {}
for name in networks:
    cell = new(name).cell
    states = np.array(cell.get_initial_state(100))
    norm = np.linalg.norm(there_and_back(cell, shown(40)[:100].swapaxes(0, 1), states, states + 1)[1], axis=(1, 3)).mean(axis=1)
    arriving[name] = norm[8] / norm[-1]
    axes["SLG".index(name[0])].semilogy(norm / norm[-1], label=f"{name}: {arriving[name]:.0e}")
for ax in axes:
    ax.axvspan(0, 8, alpha=0.15)
    ax.legend(title="at the end of the digit", fontsize=8, loc="upper center")
    ax.set(xlabel="t", ylabel="the gradient's norm", ylim=(1e-12, 1e9))
save_figure(fig, "07_norms")
assert np.allclose(1 / (1 + np.exp([-1.0, 0.0, -4.0])), [0.73, 0.5, 0.98], atol=0.005)     # the links of the cells

# %% [markdown]
# ## A real task: which digit was it?
# The picture foretells what twelve epochs teach, and the second answer: the SimpleRNN. But ask it a step too early or too late!
# What goes round through an orthogonal matrix is kept, and *turned*: at step 48 it lies as the Dense layer learnt it, a step on
# it does not. A cell hardly moves. (GRU's one gate does both: who keeps 0.98 takes in 0.02, and is slow; gain 1.5 is luck.)
# On the right, plain gradient descent: unclipped, long steps drive the units to where $\tanh$ is flat, and nothing comes back.

# %%
def learn(layer, optimizer):
    model = Sequential([layer, Dense(10, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x[:1400], y[:1400], batch_size=50, epochs=12, verbose=0, validation_data=(x[1400:], y[1400:])).history
    return history, [np.mean(model.forward(shown(blank)[1400:]).argmax(axis=1) == y[1400:]) for blank in range(30, 51)]


(fig, axes), x, right = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained"), shown(40), {}
for name in networks:
    history, right[name] = learn(new(name), Adam(0.003, global_clipnorm=1.0))
    print(f"{name:20} right {right[name][10]:.0%}, one blank step later {right[name][11]:.0%}, ten {right[name][20]:.0%}")
    axes[0].plot(range(1, 13), history["val_accuracy"], label=name)
    axes[1].plot(range(30, 51), right[name])
for bound in (None, 1.0):
    history, right[bound] = learn(new("SimpleRNN"), SGD(0.1, global_clipnorm=bound))
    axes[2].plot(range(1, 13), history["loss"], label=f"{'clipped' if bound else 'not clipped'}: {right[bound][10]:.0%} right")
axes[0].set(xlabel="epoch", ylabel="new digits that are right", ylim=(0, 1.1))
axes[1].set(xlabel="blank steps before the question (40 in training)", ylabel="new digits that are right")
axes[2].set(xlabel="epoch", ylabel="loss of a SimpleRNN with SGD")
for ax in axes[::2]:
    ax.legend(fontsize=8, loc="upper left" if ax is axes[0] else "center right")
save_figure(fig, "07_memory")
for name, bad in (("SimpleRNN", "SimpleRNN, normal"), ("SimpleRNN", "LSTM"), ("LSTM, bias 4", "LSTM"), ("GRU, bias 4", "GRU")):
    assert right[name][10] > right[bad][10] + 0.1 and arriving[name] > 0.1 and arriving[bad] < 0.01
assert right["SimpleRNN"][11] < 0.4 < right["LSTM, bias 4"][11] and right[1.0][10] > right[None][10] + 0.2

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check 07 my_answer.py`.
# 1. On paper: one unit, $h_1 = 0$, $h_2 = 0.6$, $h_3 = 0.8$, weight 2.5, $dh_3 = 1$: set `dh_0`. And two gradients, $(8, 6)$
#    and $(0, 24)$, clipped to 2.6: set `by_value`, `by_norm`, `by_global_norm`, each (2, 2).
# 2. A backward to fill in: `through_time(h_0, h, W_h, dh_T)`, for tanh, h (T, units): return `dh` (T + 1, units) of all states
#    from $h_0$ on, and `parts` (T, units, units), what each step adds to $dW_h$.
# 3. A bug: the clip below shortens too much. Write it right as `fixed_clip(gradients, bound)`: a list of arrays.
# 4. An experiment: with which deviation `sigma` of 100 × 100 numbers, and slopes of 1, does a gradient not vanish nor explode?
# ```python
# def clip(gradients, bound):
#     norm = sum(np.linalg.norm(g) for g in gradients)
#     return [g * min(1, bound / norm) for g in gradients]
# ```
