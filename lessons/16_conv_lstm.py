# %% [markdown]
# # 16 · ConvLSTM: a memory at every place of a picture
#
# *About 30 minutes.* Put convolutions where an LSTM has products, and every place of a picture has a memory with gates of its
# own, which hears its neighbours. You derive the backward from lessons 08 and 13. Then a network says how films go on.
#
# ## A question first
# A film of 32 × 32 points. How many weights has an LSTM whose state is as large as a frame? How many has a ConvLSTM with as
# large a state and windows of 3 × 3? Then, a film one point high, windows of 3: a dot flashes in the first frame, all others
# are black. At how many places can the state know of it after 10 steps? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nblayers.activations import sigmoid
from nblayers.layers import Conv3D, ConvLSTM1D, ConvLSTM2D, Input
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper, and two convolutions
# Three frames of six points: a dot moves to the right. Windows of three taps, one for each gate, side by side in Keras' order
# $i$, $f$, $\tilde{C}$, $o$. They have four places on six points: so large are the states $h$ and $C$. (What the layers above
# tell step $t$ is $dy_t$: $\mathcal{L} = \sum_t dy_t \cdot h_t$.) The document's formula for (001.09.ConvLSTM2D) and its
# relatives is a name, $h_t = \mathrm{ConvLSTM2D}(x_t, h_{t-1}, c_{t-1})$. It does not say that `padding` and `strides` belong
# to the convolution of $x_t$ **alone**: with `valid`, the default, the state is smaller than the frame. But the state itself
# meets a window at every step and must keep its size: always `same`, with $p = (K - 1) / 2$ zeros on either side.
# $$(W * x)[m] = \sum_k x[m + k - p] \cdot W[k]$$

# %%
x = np.array([[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]])[..., None].astype(float)     # (T, places, channels)
W = np.array([[[1, 0, -1, 0]], [[2, -1, 2, 1]], [[0, 1, 1, -1]]]) / 2                   # (K, channels, 4 filters)
U = np.array([[[0, 1, 2, 0]], [[1, 0, 0, -1]], [[-1, 0, 1, 1]]]) / 2                    # (K, filters, 4 filters)
b, h_0, C_0 = np.array([0.0, 1, 0, 0]), np.zeros((4, 1)), np.array([[1.0], [0], [0], [-1]])     # states: (places, filters)
dy = np.array([[1, 0, 0, -1], [0, 1, 0, 0], [1, -1, 2, 0]])[..., None].astype(float)    # (T, places of the state, filters)


def convolve(x, w, p=0):
    x, y = np.pad(x, [(p, p)] * (x.ndim - 1) + [(0, 0)]), 0
    for k in np.ndindex(w.shape[:-2]):                  # each tap, and all that it meets while the window moves; any dimension
        y += x[tuple(slice(j, j + n - K + 1) for j, n, K in zip(k, x.shape[:-1], w.shape[:-2], strict=True))] @ w[k]
    return y

# %% [markdown]
# ## Forward
# The rest is the document's LSTM cell (001.09.LSTMCell) at each place by itself; but what it joins, $h_{t-1}$ and $x_t$, stays
# apart. (In the paper, Shi et al. 2015, the gates also look into the cell. Keras has no such "peepholes".)
# $$a_t = W * x_t + U * h_{t-1} + b \tag{001.09.ConvLSTM1D}$$
# $$i_t = \sigma(a_i) \quad f_t = \sigma(a_f) \quad \tilde{C}_t = \tanh(a_C) \quad o_t = \sigma(a_o) \tag{001.09.LSTMCell}$$
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \qquad h_t = o_t \odot \tanh(C_t) \tag{001.09.LSTMCell}$$

# %%
def forward(x=x, W=W, U=U, b=b, h_0=h_0, C_0=C_0, p=0):
    steps, h, C = [], h_0, C_0
    for x_t in x:
        a_i, a_f, a_C, a_o = np.split(convolve(x_t, W, p) + convolve(h, U, len(U) // 2) + b, 4, axis=-1)
        i, f, C_tilde, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_C), sigmoid(a_o)
        C = f * C + i * C_tilde
        h = o * np.tanh(C)
        steps.append((i, f, C_tilde, o, C, h))
    return [np.array(value) for value in zip(*steps, strict=True)]


def loss(first=0, **changed):
    return np.sum(dy[first:] * forward(**{"x": x[first:], **changed})[-1])  # of step `first` and those after it


*gates, C, h = forward()
for name, value in zip(("i", "f", "C~", "o", "C", "h"), (*gates, C, h), strict=True):
    print(f"{name:>2}:", *value[..., 0].round(2))
assert h[0].shape == (4, 1) and np.isclose(C[0, 0, 0], sigmoid(1 - 0.5) * 1 + sigmoid(1) * np.tanh(1))  # middle taps on the dot

# %% [markdown]
# ## Backward: each place by itself
# Between the pre-activations $a$ and the states no place meets another: it is lesson 08, for all places at once.
# $$do_t = dh_t \odot \tanh(C_t) \qquad dC_t = \text{carry} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
# $$df_t = dC_t \odot C_{t-1} \quad di_t = dC_t \odot \tilde{C}_t \quad d\tilde{C}_t = dC_t \odot i_t \quad
#   dC_{t-1} = dC_t \odot f_t$$
# Look at the last one: **in the cell a gradient stays at its place**, as memory does. Only $h$ gets around.

# %%
def at_each_place(dh, dC, i, f, C_tilde, o, C, C_prev):
    do = dh * np.tanh(C)
    dC = dC + dh * o * (1 - np.tanh(C) ** 2)            # the carry, and what comes through h
    df, di, dC_tilde, dC_prev = dC * C_prev, dC * C_tilde, dC * i, dC * f
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)], axis=-1)
    return do, dC, df, di, dC_tilde, dC_prev, da


(i, f, C_tilde, o), dh = (gate[2] for gate in gates), dy[2]
do, dC, df, di, dC_tilde, dC_prev, da = at_each_place(dh, 0, i, f, C_tilde, o, C[2], C[1])
check_derivative("do", do, lambda o: np.sum(dh * o * np.tanh(C[2])), o)
check_derivative("dC", dC, lambda C: np.sum(dh * o * np.tanh(C)), C[2])
check_derivative("df", df, lambda f: np.sum(dh * o * np.tanh(f * C[1] + i * C_tilde)), f)
check_derivative("di", di, lambda i: np.sum(dh * o * np.tanh(f * C[1] + i * C_tilde)), i)
check_derivative("dC~", dC_tilde, lambda C_tilde: np.sum(dh * o * np.tanh(f * C[1] + i * C_tilde)), C_tilde)
check_derivative("dC_2", dC_prev, lambda C: loss(first=2, h_0=h[1], C_0=C), C[1])
check_derivative("da_3", da, lambda da: loss(first=2, b=b + da, h_0=h[1], C_0=C[1]), np.zeros((4, 4)))

# %% [markdown]
# ## Backward: transposed convolutions, and through time
# Lesson 08 had $dh_{t-1} = U \, da_t$ and $dU = \sum_t h_{t-1}^\top da_t$. Now there are windows: to a place $m$ comes what
# all windows on it send back, so the taps count backwards (lesson 13); and a weight stands at all places, in all steps.
# $$dh_{t-1}[m] = \sum_k U[k] \, da_t[m - k + p] \qquad dU[k] = \sum_t \sum_m h_{t-1}[m + k - p]^\top da_t[m]$$
# Both are convolutions again, the first with the window turned round and $K - 1 - p$ zeros on either side, the second with $da$
# as the window. $W$ likewise. In time there are two carries: $dC$ stays at its place, $dh$ comes from all around, **added**.

# %%
def convolve_transposed(da, w, p=0):
    return convolve(da, np.flip(w, range(w.ndim - 2)).swapaxes(-1, -2), len(w) - 1 - p)


def weight_gradient(x, da, p=0):                        # the window da over one channel after the other
    return np.stack([convolve(channel[..., None], da[..., None, :], p) for channel in np.moveaxis(x, -1, 0)], axis=-2)


def backward(x, W, U, b, h_0, C_0, dy, gates, C, h, p=0):
    dx, dh, dC, dW, dU, db = map(np.zeros_like, (x, h_0, C_0, W, U, b))
    for t in reversed(range(len(x))):
        h_prev, C_prev = (h[t - 1], C[t - 1]) if t else (h_0, C_0)
        *_, dC, da = at_each_place(dh + dy[t], dC, *(gate[t] for gate in gates), C[t], C_prev)
        dx[t], dh = convolve_transposed(da, W, p), convolve_transposed(da, U, len(U) // 2)
        dW += weight_gradient(x[t], da, p)
        dU += weight_gradient(h_prev, da, len(U) // 2)
        db += da.reshape(-1, len(b)).sum(axis=0)
    return dx, dh, dC, dW, dU, db


check_derivative("dh_2", convolve_transposed(da, U, p=1), lambda h: loss(first=2, h_0=h, C_0=C[1]), h[1])
check_derivative("dU, step 3", weight_gradient(h[1], da, p=1), lambda U: loss(first=2, U=U, h_0=h[1], C_0=C[1]), U)
gradients = backward(x, W, U, b, h_0, C_0, dy, gates, C, h)
for name, gradient, value in zip(("x", "h_0", "C_0", "W", "U", "b"), gradients, (x, h_0, C_0, W, U, b), strict=True):
    check_derivative("d" + name, gradient, lambda v, name=name: loss(**{name: v}), value)

# %% [markdown]
# ## The same in the library
# The layer on our numbers in one dimension, in two on random ones: our functions never asked for the dimension (nor does
# 001.09.ConvLSTM3D). In the source of each room find the line where $dh$ goes to its neighbours. Then the answers: an LSTM has
# $4 [(x + h) h + h]$ weights (003.Params.LSTM); here $x$ and $h$ count channels, each with $K^2$ taps, the same at all places.
# Last, what is left of 64 × 64 points by the document's first layer, with `valid`.

# %%
rng = np.random.default_rng(0)
shapes = (3, 5, 4, 2), (3, 3, 2, 12), (3, 3, 3, 12), 12, (5, 4, 3), (5, 4, 3), (3, 5, 4, 3)
cases = (x, W, U, b, h_0, C_0, dy, 0), (*(rng.normal(scale=0.5, size=shape) for shape in shapes), 1)
for Layer, padding, (x, W, U, b, h_0, C_0, dy, p) in zip((ConvLSTM1D, ConvLSTM2D), ("valid", "same"), cases, strict=True):
    *gates, C, h = forward(x, W, U, b, h_0, C_0, p)
    for room, dtype, tolerance in (("reference", "float64", 1e-14), ("cpu", "float32", 1e-5)):
        layer = Layer(dy.shape[-1], 3, padding=padding, return_sequences=True, dtype=dtype).to(room)
        layer.build((1, *x.shape))
        layer.set_weights([W, U, b])
        y = layer.forward(x[None].astype(dtype), initial_state=[h_0[None].astype(dtype), C_0[None].astype(dtype)])
        results = [y, *layer.backward(dy[None].astype(dtype)), *(weight.grad for weight in layer.trainable_weights)]
        for theirs, ours in zip(results, (h, *backward(x, W, U, b, h_0, C_0, dy, gates, C, h, p)), strict=True):
            assert np.allclose(theirs, ours, rtol=tolerance, atol=tolerance)
show_source(ConvLSTM2D._run_backward, "kernels.reference.conv_lstm:conv_lstm_backward", "kernels.cpu.conv_lstm:_backward",
            "kernels.cpu._lstm:lstm_slopes", "kernels.cuda.conv_lstm:conv_lstm_backward", "kernels.cuda.conv_lstm:_slopes")
assert 4 * ((1024 + 1024) * 1024 + 1024) == 8_392_704
assert Sequential([Input((10, 32, 32, 1)), ConvLSTM2D(1, 3)]).count_params() == 4 * (9 * (1 + 1) * 1 + 1) == 76
assert ConvLSTM2D(32, (3, 3)).compute_output_shape((None, 10, 64, 64, 1)) == (None, 62, 62, 32)

# %% [markdown]
# ## A picture: what stays and what goes
# Two filters, weights set by hand. A dot runs, then the film is black. "Stays" takes in what it sees and keeps $f$ open: its
# cell holds the trail. "Goes" shuts $f$; its $i$ and $\tilde{C}$ look at $h$ one place back, so the dot runs on in the dark.
# Right, how much one number of $h_{30}$ hears of each point of a film: a cone, on either side $(K - 1) / 2$ places wider with
# each step. So 21 places know of the flash after 10 steps, and what runs faster nobody can follow.

# %%
film = np.pad(np.eye(12), ((0, 18), (5, 24)))[None, :, :, None]  # (1, T, places, 1): a dot for 12 frames, 18 black ones
seer, hearer = (ConvLSTM1D(filters, 3, padding="same", return_sequences=True).to("reference") for filters in (2, 8))
seer.build(film.shape)
W, U, b = (np.zeros(weight.shape) for weight in seer.get_weights())
W[1, 0] = [12, 12, 0, 0, 3, 3, 0, 0]                            # the middle tap: i, f, C~, o, each of "stays" and of "goes"
U[0, 1] = [0, 12, 0, 0, 0, 3, 0, 0]                             # the tap one place back, from the h of "goes"
seer.set_weights([W, U, np.array([-6, -6, 6, -6, 0, 0, 6, 6])])
stays, goes = np.moveaxis(seer.forward(film)[0], -1, 0)
assert np.array_equal(np.flatnonzero(stays[-1] > 0.5), range(5, 17)) and np.flatnonzero(goes[-1] > 0.5).tolist() == [5 + 29]
set_random_seed(0)
dy = np.zeros_like(hearer.forward(rng.normal(size=(1, 30, 41, 4))))
dy[0, -1, 20, 0] = 1
cone = np.abs(hearer.backward(dy)[0]).max(axis=-1)
assert np.count_nonzero(cone[-10]) == 21 and np.array_equal(cone[-15] > 0, np.abs(np.arange(41) - 20) <= 15)
images = film[0, :, :, 0], stays, goes, np.log10(np.where(cone > 0, cone, np.nan))
fig, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained", sharey=True)
for ax, values, title in zip(axes, images, ("the film", "stays", "goes", "gradient by the film"), strict=True):
    image = ax.pcolormesh(range(1, 31), range(41), values.T, **({"vmin": -7} if ax is axes[3] else {"cmap": "gray", "vmax": 1}))
    ax.set(title=title, xlabel="t", ylabel="place" if ax is axes[0] else None)
fig.colorbar(image, label="powers of ten")
save_figure(fig, "16_stays_and_goes")

# %% [markdown]
# ## A real task: the next frame
# Two rings run through a picture of 12 × 12 points and bounce off its edges. Which points will be lit in the next frame? The
# simple guess: those that are lit now. A single frame shows no direction, so nobody can know the second one. At each step a
# convolution (a `Conv3D` one frame long) makes a picture of the ConvLSTM2D's filters. Where else will it err?

# %%
def films(count):
    start, speed = rng.integers(0, 18, (count, 2, 1, 2)), rng.integers(-1, 2, (count, 2, 1, 2))
    at = 9 - np.abs((start + speed * np.arange(10)[:, None]) % 18 - 9)      # (count, rings, T, 2): to and fro between 0 and 9
    frames = np.zeros((count, 10, 12, 12, 1))
    for n, ring, t in np.ndindex(at.shape[:3]):
        row, column = at[n, ring, t]
        frames[n, t, row:row + 3, column:column + 3, 0] += [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    return frames.clip(0, 1), np.diff(at, 2, axis=2).any(axis=(1, 3))       # whether a ring turned before frame 3, 4, …


(old, _), (new, turns) = films(128), films(100)
model = Sequential([Input((9, 12, 12, 1)), ConvLSTM2D(16, 3, padding="same", return_sequences=True),
                    Conv3D(1, (1, 3, 3), padding="same", activation="sigmoid")])
model.compile(Adam(0.02), loss="binary_crossentropy")
now, truth = new[:, :-1], new[:, 1:]
history = model.fit(old[:, :-1], old[:, 1:], batch_size=8, epochs=15, verbose=0, validation_data=(now, truth)).history
answer = model.predict(now, verbose=0)
wrong, simple = (np.sum((guess > 0.5) != truth, axis=(2, 3, 4)) for guess in (answer, now))
usual, turning, second, rough = (w.mean() for w in (wrong[:, 1:][~turns], wrong[:, 1:][turns], wrong[:, 0], simple))
print(f"wrong points: {usual:.1f} a frame, {turning:.1f} where a ring turns, {second:.1f} in the second; as now {rough:.1f}")
assert 1.5 * usual < turning < rough / 2 and 2 * usual < second
fig, axes = plt.subplot_mosaic([["loss", "wrong points"], ["film", "film"]], figsize=(9, 5.3), layout="constrained")
axes["loss"].plot(range(1, 16), np.transpose([history["loss"], history["val_loss"]]), label=["training", "new films"])
axes["wrong points"].plot(range(2, 11), np.transpose([simple.mean(axis=0), wrong.mean(axis=0)]), label=["as now", "answer"])
for name, unit in (("loss", "epoch"), ("wrong points", "frame")):
    axes[name].set(xlabel=unit, ylabel=name, ylim=0)
    axes[name].legend(loc="right")
worst = np.argmax(wrong[:, 1:].sum(axis=1))
rows = [np.hstack(np.pad(frames[worst, ..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=0.5)) for frames in (truth, answer)]
axes["film"].imshow(np.vstack(rows), cmap="gray")
axes["film"].set(xticks=[], yticks=[6.5, 20.5], yticklabels=["truth", "answer"], title="the film with the most wrong points")
save_figure(fig, "16_films")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check conv_lstm my_answer.py`.
# 1. On paper: four places, one filter. A gate has $da = (0, 2, 0, -1)$ and $U = (1, 3, -2)$, the others $da = 0$; the state was
#    $h = (1, -1, 3, 2)$. Set `dh_prev`, that gate's `dU`, and `weights`: how many `ConvLSTM2D(16, 3)` has on 3 channels.
# 2. A backward to fill in, in one dimension: `step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, h_prev, U)`. U is (K, F, 4F),
#    K odd, all others (places, F), `dC` the carry alone. Return `da, dh_prev, dC_prev, dU`.
# 3. A bug: with this gradient of $U$, for all steps at once, films are still learned, only worse. Write it right as
#    `fixed_recurrent_gradient(h_0, h, da, K)`: h_0 (places, F), h (T, places, F), da (T, places, 4F); return (K, F, 4F).
# 4. An experiment: dots run 3 places a step, right or left. At every step one `ConvLSTM1D(8, K, padding="same")`, and nothing
#    behind it, is to say at each place whether a dot will be there next. With which smallest odd K can it? Set `K`.
# ```python
# def recurrent_gradient(h_0, h, da, K):
#     h = np.pad(h, ((0, 0), (K // 2, K // 2), (0, 0)))
#     return np.array([np.einsum("tpf,tpg->fg", h[:, k:k + da.shape[1]], da) for k in range(K)])
# ```
