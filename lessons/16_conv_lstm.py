# %% [markdown]
# # 16 · ConvLSTM: a memory at every place of a picture
#
# *About 45 minutes.* Take the LSTM of lesson 08. Put convolutions where it has
# products. Now every place of a picture has a memory with gates of its own, and it
# hears its neighbours. You write the backward: half of it is lesson 08, half of it is
# lesson 13. Then a network says how films go on.
#
# ## A question first
#
# A film of 32 × 32 points, black and white. An LSTM reads it, one frame a step. Its
# state is as large as a frame, 1024 numbers. A ConvLSTM with windows of 3 × 3 has as
# large a state.
#
# And a film one point high, windows of 3. A dot flashes in the first frame. All other
# frames are black. How far can the news travel?

# %%
import numpy as np

from lessons.data import bouncing_rings, running_dot
from lessons.figures import draw_rings, draw_stays_and_goes
from nblayers.activations import sigmoid
from nblayers.layers import Conv3D, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, Input
from nblayers.learn.graph import cell, show_graph
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: how many weights has the LSTM, biases included?
lstm_weights = 8_392_704
# ? guess: how many has the ConvLSTM?
conv_lstm_weights = 76
# ? guess: at how many places can h know of the flash after 10 steps, its own included?
places_that_know = 21

# %% [markdown]
# ## Numbers for paper
#
# Two films ($N = 2$), three frames each ($T = 3$), six points in a row. In the first
# film a dot runs to the right, in the second one to the left. As in Keras the last axis
# counts channels. Here there is one.

# %%
N, T = 2, 3
x = np.array([[[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]],
              [[0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]]], float)
x = x[..., None]                                # (N, T, points, channels)

# %% [markdown]
# A window has three taps ($K = 3$). Each of the four things in an LSTM has a window of
# its own. They lie side by side, in Keras' order: $i$, $f$, $\tilde{C}$, $o$.
#
# The state has one filter ($F = 1$) and four places ($P = 4$). For a window of three
# has four places on six points.

# %%
K, P, F = 3, 4, 1
#               i     f     C~    o
W = np.array([[[0.5, 0.0, -0.5, 0.0]],          # tap 0
              [[1.0, -0.5, 1.0, 0.5]],          # tap 1
              [[0.0, 0.5, 0.5, -0.5]]])         # tap 2: (K, channels, 4F)
U = np.array([[[0.0, 0.5, 1.0, 0.0]],
              [[0.5, 0.0, 0.0, -0.5]],
              [[-0.5, 0.0, 0.5, 0.5]]])         # (K, F, 4F)
b = np.array([0.0, 1.0, 0.0, 0.0])              # (4F,)
h_start = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.5]])[..., None]
C_start = np.array([[1.0, 0.0, 0.5, -1.0], [0.0, 1.0, -1.0, 0.5]])[..., None]
print("both states:", h_start.shape)            # (N, P, F)

# %% [markdown]
# ## Forward: two convolutions
#
# This is lesson 13's convolution, with $p$ zeros on either side. Each tap $k$ meets the
# places that lie under it:
#
# $$(W * x)_m = \sum_k x_{m + k - p} \, W_k$$

# %%
def convolve(x, w, p=0):
    x = np.pad(x, ((0, 0), (p, p), (0, 0)))     # (N, places, channels)
    places = x.shape[1] - len(w) + 1
    return sum(x[:, k:k + places] @ w[k] for k in range(len(w)))


# %% [markdown]
# `padding` and `strides` of the layer belong to the convolution of $x_t$ **alone**.
# Here it has no zeros ($p = 0$, `valid` in Keras), so the state is smaller than the
# frame.
#
# The state meets its window $U$ at every step. It must keep its size. So there are
# always zeros: $p = (K - 1) / 2$ on either side, here one.
#
# $$a_t = W * x_t + U * h_{t-1} + b \tag{001.09.ConvLSTM1D}$$

# %%
h_prev = h_start
C_prev = C_start
# ? a, the pre-activations of the first step, from x[:, 0], h_prev, W, U and b
a = convolve(x[:, 0], W) + convolve(h_prev, U, 1) + b           # (N, P, 4F)
print("a of the first film, a row for each place:")
print(a[0])

# %% [markdown]
# ## Forward: at each place an LSTM
#
# From $a_t$ on it is the LSTM of lesson 08, at each place by itself. No place looks at
# another one.
#
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \tag{001.09.LSTMCell}$$
# $$h_t = o_t \odot \tanh(C_t)$$
#
# So `lstm_step` is lesson 08's, letter for letter but one: the gates lie side by side
# along the **last** axis. (In the paper, Shi et al. 2015, the gates look into the cell
# too. Keras has no such "peepholes", and neither have we.)

# %%
def lstm_step(a, C_prev):
    a_i, a_f, a_C, a_o = np.split(a, 4, axis=-1)
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    C_tilde = np.tanh(a_C)
    o = sigmoid(a_o)
    C = f * C_prev + i * C_tilde
    h = o * np.tanh(C)
    return i, f, C_tilde, o, C, h


def forward(x, h_prev, C_prev, W=W, U=U, b=b):
    steps = []
    for t in range(x.shape[1]):
        a = convolve(x[:, t], W) + convolve(h_prev, U, 1) + b
        i, f, C_tilde, o, C, h = lstm_step(a, C_prev)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C, h))
        h_prev, C_prev = h, C
    return steps


# %%
steps = forward(x, h_start, C_start)
for t in range(T):
    print(f"step {t}, h of the first film:", steps[t][-1][0, :, 0].round(3).tolist())
by_hand = sigmoid(0.5) * 1 + sigmoid(1.0) * np.tanh(1.0)        # f C_prev + i C~
assert np.isclose(steps[0][-2][0, 0, 0], by_hand)

# %% [markdown]
# ## Backward: each place by itself
#
# The layers above tell each step how the loss grows with $h_t$. That is $dy_t$. And as
# in lesson 08 something follows our three steps. It sends `dC_later` back to the last
# $C$. So for us the loss is the sum of all $dy \odot h$ and of `dC_later` $\odot$ the
# last $C$. `loss_from(t, h_prev, C_prev)` is the loss of step $t$ and all later ones.

# %%
dy = np.array([[[1, 0, 0, -1], [0, 1, 0, 0], [1, -1, 2, 0]],
               [[0, 2, -1, 0], [1, 0, 0, 1], [0, 1, 1, -2]]], float)
dy = dy[..., None]                              # (N, T, P, F)
dC_later = np.array([[1, 0, -1, 2], [0, -2, 1, 1]], float)[..., None]   # (N, P, F)


def loss_from(t, h_prev, C_prev, x=x, W=W, U=U, b=b):
    later = forward(x[:, t:], h_prev, C_prev, W, U, b)
    by_h = sum(np.sum(dy[:, t + s] * later[s][-1]) for s in range(len(later)))
    return by_h + np.sum(dC_later * later[-1][-2])


print("L =", loss_from(0, h_start, C_start))

# %% [markdown]
# We begin at the last step, $t = 2$. To its $C$ comes back `dC_later`, to its $h$
# nothing. The picture is that of one place.
#
# $$do_t = dh_t \odot \tanh(C_t)$$

# %%
show_graph(cell("lstm"), lit=["dC_next -> dC", "dh -> dC"])
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[2]               # the last step
dC_next = dC_later
dh = dy[:, 2]                                   # and nothing from later
do = dh * np.tanh(C)
check_derivative("do", do, lambda o: np.sum(dh * (o * np.tanh(C))), o)
# ? dC, all that arrives at C: from the next step, and through h = o tanh(C)
dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)   # (N, P, F)
check_derivative("dC", dC,
                 lambda C: np.sum(dh * (o * np.tanh(C))) + np.sum(dC_next * C), C)

# %% [markdown]
# $$dC_t = dC_{next} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
#
# ## Backward: what C is made of
#
# $C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t$ is made of two products. Each factor
# is given $dC$ times the other factor.

# %%
def loss_by_C(C):                               # of the last step
    return np.sum(dh * (o * np.tanh(C))) + np.sum(dC_next * C)


di = dC * C_tilde
check_derivative("di", di, lambda i: loss_by_C(f * C_prev + i * C_tilde), i)
dC_tilde = dC * i
check_derivative("dC~", dC_tilde, lambda c: loss_by_C(f * C_prev + i * c), C_tilde)
# ? df, from C = f C_prev + i C_tilde
df = dC * C_prev
check_derivative("df", df, lambda f: loss_by_C(f * C_prev + i * C_tilde), f)
# ? dC_prev, what goes on to the cell of the step before
dC_prev = dC * f
check_derivative("dC_prev", dC_prev, lambda c: loss_from(2, h_prev, c), C_prev)

# %% [markdown]
# Look at the last line. There is no window in it. **In the cell a gradient stays at its
# place**, and so does what is remembered. Only $h$ gets around.
#
# ## Backward: one step as a function
#
# Go on through the sigmoids and the tanh, as in lesson 08. Nothing is new, but the
# gates lie along the last axis. Write it once more from memory.

# %%
# ? [lstm_step_backward] one step back: def lstm_step_backward(dh, dC_next, i, f,
# ? C_tilde, o, C, C_prev). Return da (N, P, 4F), in the order i, f, C~, o, and dC_prev
def lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev):
    do = dh * np.tanh(C)
    dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
    df = dC * C_prev
    di = dC * C_tilde
    dC_tilde = dC * i
    dC_prev = dC * f
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_C = dC_tilde * (1 - C_tilde ** 2)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_C, da_o], axis=-1)
    return da, dC_prev


a = convolve(x[:, 2], W) + convolve(h_prev, U, 1) + b           # of the last step
da_last, dC_prev = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)


def loss_by_a(a):
    *_, C, h = lstm_step(a, C_prev)
    return np.sum(dh * h) + np.sum(dC_next * C)


check_derivative("da", da_last, loss_by_a, a)

# %% [markdown]
# ## Backward: what arrives at one place
#
# Lesson 08 had $dh_{t-1} = da_t U^\top$. Now $U$ is a window. Take place 1 of the first
# film. On the way forward, three windows lay on it:
#
# * the window of place 0, with its tap 2;
# * the window of place 1, with its tap 1;
# * the window of place 2, with its tap 0.
#
# Each of them sends something back. What they send is added up.

# %%
def loss_by_place_1(value):
    changed = h_prev.copy()
    changed[0, 1] = value
    return loss_from(2, changed, C_prev)


# ? arrives, at place 1 of h_prev in the first film: from da_last[0, 0], [0, 1], [0, 2]
arrives = da_last[0, 0] @ U[2].T + da_last[0, 1] @ U[1].T + da_last[0, 2] @ U[0].T
check_derivative("dh_prev[0, 1]", arrives, loss_by_place_1, h_prev[0, 1])

# %% [markdown]
# ## Backward: the transposed convolution
#
# The same for all places. Look at your three terms: the place counts up while the tap
# counts down.
#
# This is a convolution again. Turn the window round, so that tap $K - 1$ comes first.
# Let channels and filters change places. And put $K - 1 - p$ zeros on either side
# (lesson 13). You may use `convolve`.

# %%
# ? [convolve_transposed] def convolve_transposed(da, w, p=0): the way back through
# ? convolve(x, w, p). da is (N, places, out), w (K, in, out). Return dx
def convolve_transposed(da, w, p=0):
    turned = w[::-1].swapaxes(1, 2)             # (K, out, in)
    return convolve(da, turned, len(w) - 1 - p)


dh_prev = convolve_transposed(da_last, U, 1)    # (N, P, F)
check_derivative("dh_prev", dh_prev, lambda h: loss_from(2, h, C_prev), h_prev)
assert np.allclose(dh_prev[0, 1], arrives)

# %% [markdown]
# At every place $m$:
#
# $$dh_{t-1, m} = \sum_k da_{t, m + p - k} \, U_k^\top$$
#
# ## Backward: the weights of one step
#
# A tap stands at all places, in all films. At place $m$, tap $k$ met $h$ of place
# $m + k - p$. Pad $h$ as in `convolve`. Then tap $k$ met the places from $k$ on.

# %%
# ? [weight_gradient] def weight_gradient(x, da, K, p=0): what one step adds to the
# ? gradient of w in convolve(x, w, p), (K, in, out). da is (N, places, out)
def weight_gradient(x, da, K, p=0):
    x = np.pad(x, ((0, 0), (p, p), (0, 0)))
    places = da.shape[1]
    taps = [np.einsum("nmc,nmg->cg", x[:, k:k + places], da) for k in range(K)]
    return np.stack(taps)


dU_last = weight_gradient(h_prev, da_last, K, 1)
check_derivative("dU, last step", dU_last,
                 lambda U: loss_from(2, h_prev, C_prev, U=U), U)

# %% [markdown]
# $$dU_k = \sum_n \sum_m h_{n, m + k - p}^\top \, da_{n, m}$$
#
# ## Backward: a step with a next one
#
# One step back, to $t = 1$. What the last step calls `dh_prev` and `dC_prev`, this one
# calls `dh_next` and `dC_next`.

# %%
dh_next = dh_prev
dC_next = dC_prev
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[1]
# ? dh of step 1: what its own loss says, and what comes back from the step after
dh = dy[:, 1] + dh_next
check_derivative("dh of step 1", dh,
                 lambda h: np.sum(dy[:, 1] * h) + loss_from(2, h, C), h)

# %% [markdown]
# So BPTT is again in two formulas. Only in the first one places meet. Here $*^\top$
# stands for `convolve_transposed`.
#
# $$dh_t = dy_t + U *^\top da_{t+1}$$
# $$dC_t = dC_{t+1} \odot f_{t+1} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
#
# ## Backward: the walk
#
# From the last step to the first, as in lesson 08. The values of step `t` are in
# `steps[t]`: h_prev, C_prev, i, f, C_tilde, o, C, h. Keep $da_t$ of all steps in `da`.

# %%
da = np.zeros((N, T, P, 4 * F))
dh_next = np.zeros((N, P, F))
dC_next = dC_later
# ? [da, dh_next, dC_next] the walk back: for t in reversed(range(T)). Fill da[:, t]
for t in reversed(range(T)):
    h_prev, C_prev, i, f, C_tilde, o, C, h = steps[t]
    dh = dy[:, t] + dh_next
    da[:, t], dC_next = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
    dh_next = convolve_transposed(da[:, t], U, 1)
check_derivative("dh_start", dh_next, lambda h: loss_from(0, h, C_start), h_start)
check_derivative("dC_start", dC_next, lambda c: loss_from(0, h_start, c), C_start)
assert np.allclose(da[:, 2], da_last)

# %% [markdown]
# After the walk these two are what arrives at the first states. We give them names of
# their own.
#
# ## Backward: all weights, and the films
#
# Every step uses the same windows. So their gradients are sums over the steps too. The
# bias stands at all places, in all steps, in all films.

# %%
dh_start = dh_next
dC_start = dC_next
h_before = np.stack([step[0] for step in steps], axis=1)        # (N, T, P, F)


def whole_loss(x=x, W=W, U=U, b=b):
    return loss_from(0, h_start, C_start, x, W, U, b)


# ? dW, the sum over all steps; x is (N, T, points, channels), and W has no zeros
dW = sum(weight_gradient(x[:, t], da[:, t], K) for t in range(T))
check_derivative("dW", dW, lambda W: whole_loss(W=W), W)
# ? dU; h_before holds h_prev of each step, and U has one zero on either side
dU = sum(weight_gradient(h_before[:, t], da[:, t], K, 1) for t in range(T))
check_derivative("dU", dU, lambda U: whole_loss(U=U), U)
# ? db, from (N, T, P, 4F) to (4F,)
db = da.sum(axis=(0, 1, 2))
check_derivative("db", db, lambda b: whole_loss(b=b), b)
# ? dx, (N, T, points, channels); try np.stack([… for t in range(T)], axis=1)
dx = np.stack([convolve_transposed(da[:, t], W) for t in range(T)], axis=1)
check_derivative("dx", dx, lambda x: whole_loss(x=x), x)

# %% [markdown]
# ## The same in the library
#
# The layer on the same numbers, and its backward. With `return_state` it takes the
# gradients of its last $h$ and $C$ too. All that it gives is ours.

# %%
layer = ConvLSTM1D(F, K, return_sequences=True, return_state=True, dtype="float64")
layer.to("reference")
layer.build(x.shape)
assert np.array_equal(layer.get_weights()[2], b)     # the bias of f begins with 1
layer.set_weights([W, U, b])
y, *_ = layer.forward(x, initial_state=[h_start, C_start])
theirs = [*layer.backward([dy, 0 * dC_later, dC_later]),
          *(weight.grad for weight in layer.trainable_weights)]
ours = [dx, dh_start, dC_start, dW, dU, db]
for got, expected in zip(theirs, ours, strict=True):
    assert np.allclose(got, expected, rtol=0, atol=1e-14)
assert np.allclose(y[:, 2], steps[2][-1], rtol=0, atol=1e-15)

# %% [markdown]
# In the library's room for reading there is one code for one, two and three dimensions.
# Find your lines: `lstm_step_backward` is the very function that LSTM uses. Around it
# stand the two convolutions. (`real` is for masks, as in lesson 08.)

# %%
show_source("kernels.reference.conv_lstm:conv_lstm_forward",
            "kernels.reference.conv_lstm:conv_lstm_backward")

# %%
show_source("kernels.reference.recurrent:lstm_step_backward")

# %% [markdown]
# In the stepper, type `show_source("kernels.cpu.conv_lstm:_backward")` for the compiled
# room, or `show_source("kernels.cuda.conv_lstm:conv_lstm_backward")` for the GPU's.

# %% [markdown]
# ## In two dimensions
#
# A place of a picture has two numbers $(l, m)$, and a tap has two, $(j, k)$. So the sum
# over the taps is double:
#
# $$(W * x)_{lm} = \sum_j \sum_k x_{l + j - p, m + k - p} \, W_{jk}$$
#
# With this $*$ the layer is what it was. (Many texts print only that $h_t$ depends on
# $x_t$, $h_{t-1}$ and $C_{t-1}$.)
#
# $$a_t = W * x_t + U * h_{t-1} + b, \text{ then } C_t, h_t \text{ as above}
#   \tag{001.09.ConvLSTM2D}$$
#
# Here are small pictures, drawn by chance, and one step.

# %%
def convolve_2d(x, w, p=0):
    x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))     # (N, rows, columns, channels)
    rows, columns = x.shape[1] - len(w) + 1, x.shape[2] - len(w) + 1
    return sum(x[:, j:j + rows, k:k + columns] @ w[j, k]
               for j in range(len(w)) for k in range(len(w)))


rng = np.random.default_rng(1)
x_2d = rng.normal(size=(N, 5, 6, 1))
h_2d, C_2d, dy_2d = rng.normal(size=(3, N, 3, 4, F))    # no zeros for W: 3 × 4 places
W_2d, U_2d = rng.normal(size=(2, K, K, 1, 4 * F))
a_2d = convolve_2d(x_2d, W_2d) + convolve_2d(h_2d, U_2d, 1) + b
*gates, y_2d = lstm_step(a_2d, C_2d)
da_2d, dC_2d = lstm_step_backward(dy_2d, 0, *gates, C_2d)

# %% [markdown]
# Look: `lstm_step` and `lstm_step_backward` are the old ones. They see each place by
# itself, so it is all the same to them in how many directions places lie. Only the way
# back through the window is new. In one dimension it was `w[::-1].swapaxes(1, 2)`.

# %%
# ? U_back, (K, K, 4F, F): the window with which convolve_2d takes da_2d back to h_2d
U_back = U_2d[::-1, ::-1].swapaxes(2, 3)
dh_2d = convolve_2d(da_2d, U_back, K - 1 - 1)           # K - 1 - p, with p = 1
check_derivative("dh_prev", dh_2d,
                 lambda h: np.sum(da_2d * convolve_2d(h, U_2d, 1)), h_2d)

# %% [markdown]
# $$dh_{t-1, lm} = \sum_j \sum_k da_{t, l + p - j, m + p - k} \, U_{jk}^\top$$
#
# A turn by half a circle: **both** axes of taps count backwards. The layer agrees:

# %%
picture = ConvLSTM2D(F, K, dtype="float64").to("reference")
picture.build((N, 1, 5, 6, 1))
picture.set_weights([W_2d, U_2d, b])
y_theirs = picture.forward(x_2d[:, None], initial_state=[h_2d, C_2d])
assert np.allclose(y_theirs, y_2d, rtol=0, atol=1e-14)
_, dh_theirs, dC_theirs = picture.backward(dy_2d)
assert np.allclose(dh_theirs, dh_2d, rtol=0, atol=1e-14)
assert np.allclose(dC_theirs, dC_2d, rtol=0, atol=1e-14)

# %% [markdown]
# ## In three dimensions
#
# Three dimensions are one sum more: films of bodies, as from a scanner.
#
# $$a_t = W * x_t + U * h_{t-1} + b, \text{ then } C_t, h_t \text{ as above}
#   \tag{001.09.ConvLSTM3D}$$
#
# Our first films are such bodies, one point high and one point deep. So the layer gives
# the old numbers, and its weights have two more axes.

# %%
body = ConvLSTM3D(F, (1, 1, K), return_sequences=True, dtype="float64")
body.to("reference").build((N, T, 1, 1, 6, 1))
body.set_weights([W[None, None], U[None, None], b])
states = [h_start[:, None, None], C_start[:, None, None]]
y_body = body.forward(x[:, :, None, None], initial_state=states)
assert np.allclose(y_body[:, :, 0, 0], y, rtol=0, atol=1e-15)
dx_body, *_ = body.backward(dy[:, :, None, None])
dx_ours, *_ = layer.backward([dy, 0 * dC_later, 0 * dC_later])
assert np.allclose(dx_body[:, :, 0, 0], dx_ours, rtol=0, atol=1e-14)

# %% [markdown]
# ## The weights counted
#
# An LSTM with $I$ inputs and $H$ units has so many weights:
#
# $$4 \, [(I + H) \, H + H] \tag{003.Params.LSTM}$$
#
# In a ConvLSTM $I$ and $F$ count **channels**, and each pair of them has a window of
# $K^2$ taps. The size of the picture does not come in:
#
# $$4 \, [K^2 \, (I + F) \, F + F]$$

# %%
assert lstm_weights == 4 * ((1024 + 1024) * 1024 + 1024)
counted = Sequential([Input((10, 32, 32, 1)), ConvLSTM2D(1, 3)])
assert conv_lstm_weights == counted.count_params() == 4 * (9 * (1 + 1) * 1 + 1)

# %% [markdown]
# The price: with one window of 3 × 3, a place hears its next neighbours only.
#
# ## A picture: what stays and what goes
#
# A dot runs for 12 frames. Then the film is black. Two filters look at it. We set their
# weights by hand.
#
# * **Stays** takes in what it sees, and keeps $f$ open. Its cell holds the trail.
# * **Goes** shuts $f$. Its $i$ and $\tilde{C}$ look at $h$ one place back. So the dot
#   runs on in the dark.

# %%
film = running_dot()                            # (1, 30, 41, 1)
#                     i         f         C~       o, each of "stays" and of "goes"
bias = np.array([-6.0, -6.0, 6.0, -6.0, 0.0, 0.0, 6.0, 6.0])
see = np.zeros((3, 1, 8))
see[1, 0] = [12, 12, 0, 0, 3, 3, 0, 0]          # the middle tap: both see the dot
hear = np.zeros((3, 2, 8))
hear[0, 1] = [0, 12, 0, 0, 0, 3, 0, 0]          # from one place back, h of "goes"
seer = ConvLSTM1D(2, 3, padding="same", return_sequences=True).to("reference")
seer.build(film.shape)
seer.set_weights([see, hear, bias])
stays, goes = np.moveaxis(seer.forward(film)[0], -1, 0)         # (30, 41) each
assert np.array_equal(np.flatnonzero(stays[-1] > 0.5), np.arange(5, 17))
assert np.flatnonzero(goes[-1] > 0.5).tolist() == [5 + 29]

# %% [markdown]
# And the flash. How much does **one** number of the last $h$ hear of each point of a
# film? A new layer answers: its backward, with $dy = 1$ at that number and 0 elsewhere.

# %%
set_random_seed(0)
noise = np.random.default_rng(0).normal(size=(1, 30, 41, 4))
hearer = ConvLSTM1D(8, 3, padding="same", return_sequences=True).to("reference")
at_one_number = np.zeros_like(hearer.forward(noise))
at_one_number[0, -1, 20, 0] = 1                 # the last step, the middle place
cone = np.abs(hearer.backward(at_one_number)[0]).max(axis=-1)   # (30, 41)
figure = draw_stays_and_goes(film[0, :, :, 0], stays, goes, cone)
save_figure(figure, "16_stays_and_goes")

# %% [markdown]
# It is a cone. The newest frame is heard by the window $W$: one place to either side.
# Each step further back adds one place to either side, by $U$. With $K$ taps it is
# $(K - 1) / 2$ places. What runs faster than that, nobody can follow.
#
# The flash spreads in the same way. Its own step brings it one place to either side, by
# $W$. Each of the nine steps after it brings it one place further, by $U$.

# %%
heard = np.count_nonzero(cone[-10])             # of the tenth frame from the end
assert heard == 2 * 10 + 1 == places_that_know
assert np.count_nonzero(cone[-1]) == 3

# %% [markdown]
# ## A real task: the next frame
#
# Two rings run through a picture of 12 × 12 points. They bounce off its edges. Which
# points will be lit in the next frame? A single frame shows no direction. So nobody can
# know the second frame. Where else will the network err?

# %%
rng = np.random.default_rng(0)
old, _ = bouncing_rings(128, rng)               # (128, 10, 12, 12, 1): to learn from
new, turning = bouncing_rings(100, rng)         # and whether a ring turns, (100, 8)
read = new[:, :-1]                              # (100, 9, 12, 12, 1): what it reads
asked = new[:, 1:]                              # each one's next

# %% [markdown]
# At each step a convolution makes a picture of the ConvLSTM2D's 16 filters. It is a
# `Conv3D` whose window is one frame long.

# %%
set_random_seed(0)
memory = ConvLSTM2D(16, 3, padding="same", return_sequences=True)
painter = Conv3D(1, (1, 3, 3), padding="same", activation="sigmoid")
model = Sequential([Input((9, 12, 12, 1)), memory, painter])
model.compile(Adam(0.02), loss="binary_crossentropy")
trained = model.fit(old[:, :-1], old[:, 1:], batch_size=8, epochs=15, verbose=2,
                    validation_data=(read, asked))

# %% [markdown]
# A **baseline**: the points that are lit now will be lit in the next frame. We count
# the wrong points of each frame.

# %%
answer = model.predict(read, verbose=0)
wrong = np.sum((answer > 0.5) != asked, axis=(2, 3, 4))         # (100, 9)
as_now = np.sum((read > 0.5) != asked, axis=(2, 3, 4))
second = wrong[:, 0].mean()                     # seen: a single frame
in_turns = wrong[:, 1:][turning].mean()         # a ring has just turned
elsewhere = wrong[:, 1:][~turning].mean()
print(f"wrong points a frame: {elsewhere:.1f} where both rings run straight on,")
print(f"{in_turns:.1f} where one turns, {second:.1f} in the second frame;")
print(f"as now: {as_now.mean():.1f}")
assert 1.5 * elsewhere < in_turns < as_now.mean() / 2
assert 2 * elsewhere < second
save_figure(draw_rings(trained.history, wrong, as_now, asked, answer), "16_films")

# %% [markdown]
# It errs where a ring turns. There it must know where the edge is, and the two rings
# may lie on each other.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check conv_lstm my_answer.py`.
#
# 1. On paper: one film, four places, one filter. A gate has $da = (0, 2, 0, -1)$ and
#    $U = (1, 3, -2)$. The others have $da = 0$. The state before was
#    $h = (1, -1, 3, 2)$. Set `dh_prev`, `dU` (of that gate), and `weights`: how many
#    `ConvLSTM2D(16, 3)` has on 3 channels.
# 2. **A whole backward**, in one dimension, with a batch axis:
#    `conv_lstm_backward(dy, x, W, U, b, h_start, C_start)`. It runs forward first. K is
#    odd, and both convolutions have K // 2 zeros on either side. dy is (N, T, P, F), x
#    is (N, T, P, channels), W (K, channels, 4F), U (K, F, 4F), the states (N, P, F).
#    Return `dx, dW, dU, db, dh_start, dC_start`.
# 3. A bug: with the gradient of $U$ below, films are still learned, only worse. Write
#    it right as `fixed_recurrent_gradient(h_start, h, da, K)`. h_start is (N, P, F), h
#    is (N, T, P, F), da is (N, T, P, 4F). Return (K, F, 4F).
# 4. An experiment: dots run 3 places a step, to the right or to the left. A
#    `ConvLSTM1D(8, K, padding="same")`, and nothing behind it, is to say at each place
#    whether a dot will be there next. Which smallest odd K can do it? Set `K`.
#
# ```python
# def recurrent_gradient(h_start, h, da, K):
#     p = K // 2
#     P = da.shape[2]
#     h = np.pad(h, ((0, 0), (0, 0), (p, p), (0, 0)))
#     taps = [np.einsum("ntmf,ntmg->fg", h[:, :, k:k + P], da) for k in range(K)]
#     return np.stack(taps)
# ```
