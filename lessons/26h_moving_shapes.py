# %% [markdown]
# # Lesson 26h · Moving shapes: how does the film go on?
#
# *About 30 minutes.* A film stops after four frames. What comes next? Lesson 16 took
# the ConvLSTM apart. Here it is part of a program (004.App.Video): cut films into
# windows, let a ConvLSTM read one, paint the next frame, and go on from there. You
# write the lines that matter, and the way back from the painted frame into the memory.
#
# ## A question first
#
# Shapes of 3 × 3 points run through a picture of 12 × 12, one point a frame, in one of
# eight directions. Here is a forecast that costs nothing: **the next frame is the last
# one, copied.** How well does it fit? Take all points that are lit in the forecast or
# in the truth. Which part of them is lit in both?

# %%
import numpy as np

from lessons.data import moving_shapes
from lessons.figures import draw_moving_shapes
from nblayers.layers import Conv1D, Conv2D, ConvLSTM1D, ConvLSTM2D, Input
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import BinaryCrossentropy
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: in percent, how much of it does the copy hit?
hit_by_copy = 21

# %% [markdown]
# ## Numbers for paper
#
# A film one point high: six points, five frames. A dot runs to the right, another one
# to the left. They meet. As in Keras the last axis counts channels, here one.

# %%
film = np.zeros((5, 6, 1))                      # (frames, points, channels)
for t in range(5):
    film[t, [t, 5 - t]] = 1
for frame in film:
    print("".join(".#"[int(point)] for point in frame[:, 0]))

# %% [markdown]
# ## Cut the film into windows
#
# The network sees $T = 3$ frames, and has to say the fourth. So this film makes two
# samples ($N = 2$).

# %%
T, P = 3, 6
N = len(film) - T
# ? x, the windows, (N, T, P, 1)
x = np.stack([film[n:n + T] for n in range(N)])
# ? asked, the frame after each window, (N, P, 1)
asked = film[T:]
assert x.shape == (2, 3, 6, 1) and asked.shape == (2, 6, 1)

# %% [markdown]
# ## The baseline, and a number for how well a frame fits
#
# Most points are dark. Who says "all dark" has most points right. So we look at lit
# points only. **Intersection over union** (IoU): how many points are lit in both
# frames, divided by how many are lit in one of them at least.
#
# $$IoU = \frac{|A \cap B|}{|A \cup B|}$$

# %%
# ? as_last, the baseline: the last frame of each window, (N, P, 1)
as_last = x[:, -1]


# ? [iou] def iou(a, b): of two arrays; a point is lit if it is above 0.5. Over all
# ? points of all frames
def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return np.sum(a & b) / np.sum(a | b)


print("the copy:", iou(as_last, asked), " the truth:", iou(asked, asked))
assert iou(as_last, asked) == 2 / 6

# %% [markdown]
# ## Forward: the memory
#
# The ConvLSTM of lesson 16: a convolution of the frame, one of the state, and at each
# place an LSTM. Both convolutions have zeros at the ends, so all have six places. There
# is one filter ($F = 1$), and a window has three taps.
#
# $$h_t = ConvLSTM1D(x_t, h_{t-1}, c_{t-1}) \tag{001.09.ConvLSTM1D}$$
#
# ```
#   x_0           x_1           x_2
#    │W            │W            │W
#    ▼             ▼             ▼
#   h_0, C_0 ─U─▶ h_1, C_1 ─U─▶ h_2, C_2
#                               │V
#                               ▼
#                               z ──σ──▶ y ──▶ L ◀── asked
# ```
#
# Its $c$ is our cell $C$, as `c` is a bias here:
#
# $$a_t = W * x_t + U * h_{t-1} + b$$
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \qquad h_t = o_t \odot \tanh(C_t)$$

# %%
rng = np.random.default_rng(3)
W = rng.normal(size=(3, 1, 4)).round(1)         # (taps, channels, 4F): i, f, C~, o
U = rng.normal(size=(3, 1, 4)).round(1)         # (taps, F, 4F)
b = np.array([0.0, 1.0, 0.0, 0.0])              # (4F,)


def convolve(x, w):                             # (N, places, channels): `same`
    x = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    return sum(x[:, k:k + P] @ w[k] for k in range(3))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# %%
def remember(x, h_prev, C_prev, W=W, U=U, b=b):
    steps = []
    for t in range(x.shape[1]):
        a = convolve(x[:, t], W) + convolve(h_prev, U) + b
        a_i, a_f, a_C, a_o = np.split(a, 4, axis=-1)
        i, f, C_tilde, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_C), sigmoid(a_o)
        C = f * C_prev + i * C_tilde
        h = o * np.tanh(C)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C, h))
        h_prev, C_prev = h, C
    return steps


dark = np.zeros((N, P, 1))                      # the first states
steps = remember(x, dark, dark)
h = steps[-1][-1]                               # (N, P, F), after the last frame
print("h of the first window:", h[0, :, 0].round(2))

# %% [markdown]
# ## Forward: the painter
#
# A convolution makes the next frame of the last state. A sigmoid makes it a number from
# 0 to 1: how surely is this point lit?
#
# $$output[i] = activation(\sum_j (x[i+j] \cdot w[j]) + b) \tag{001.07.Conv1D}$$
#
# Here its $w$ is $V$, its $b$ is $c$.

# %%
V = np.array([1.0, -2.0, 0.5]).reshape(3, 1, 1)                 # (taps, F, 1)
c = np.array([-0.5])
# ? z, (N, P, 1), by convolve
z = convolve(h, V) + c
y = sigmoid(z)
print("y of the first window:", y[0, :, 0].round(2))

# %% [markdown]
# ## The loss and its gradient
#
# Each point is a question with two answers, lit or dark. So the loss is the binary
# cross-entropy, and its mean over all points of all frames.
#
# $$L = -\frac{1}{N P} \sum_{n,m} \big(t_{nm} \ln y_{nm} + (1 - t_{nm})
#   \ln(1 - y_{nm})\big)$$
#
# Here $t_{nm}$ is 1 where `asked` is lit. With the sigmoid before it, its gradient by
# $z$ is as short as that of softmax and cross-entropy in lesson 04.

# %%
def cross_entropy(y):
    return -np.mean(asked * np.log(y) + (1 - asked) * np.log(1 - y))


# ? dz, the gradient of cross_entropy(sigmoid(z)) by z, (N, P, 1)
dz = (y - asked) / (N * P)
check_derivative("dz", dz, lambda z: cross_entropy(sigmoid(z)), z)

# %% [markdown]
# $$dz = \frac{y - t}{N P}$$
#
# ## Backward: the painter
#
# Forward, place $m$ met $h$ at $m - 1$, $m$ and $m + 1$, by the taps 0, 1, 2. So tap
# $k$ gathers what it met. And back to $h$ the window is turned round (lesson 13).

# %%
h_padded = np.pad(h, ((0, 0), (1, 1), (0, 0)))  # (N, P + 2, F)
# ? dV, (3, 1, 1): for each tap k a sum over pictures and places; h_padded[:, k:k + P]
# ? is what tap k met
dV = np.stack([np.einsum("nmf,nmg->fg", h_padded[:, k:k + P], dz) for k in range(3)])
check_derivative("dV", dV, lambda V: cross_entropy(sigmoid(convolve(h, V) + c)), V)
dc = dz.sum(axis=(0, 1))
# ? dh, (N, P, F), what arrives at the last state; by convolve
dh = convolve(dz, V[::-1].swapaxes(1, 2))
check_derivative("dh", dh, lambda h: cross_entropy(sigmoid(convolve(h, V) + c)), h)

# %% [markdown]
# ## Backward: into the memory
#
# The last step of the memory. Nothing comes back from later. At each place it is an
# LSTM (lesson 08).

# %%
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[-1]


def painted(h):
    return cross_entropy(sigmoid(convolve(h, V) + c))


# ? dC, all that arrives at the last C
dC = dh * o * (1 - np.tanh(C) ** 2)
check_derivative("dC", dC, lambda C: painted(o * np.tanh(C)), C)
# ? da_f, the gradient of the forget gate's pre-activation
da_f = dC * C_prev * f * (1 - f)
check_derivative("da_f", da_f, lambda a: painted(
    o * np.tanh(sigmoid(a) * C_prev + i * C_tilde)), np.log(f / (1 - f)))
da_i = dC * C_tilde * i * (1 - i)
da_C = dC * i * (1 - C_tilde ** 2)
da_o = dh * np.tanh(C) * o * (1 - o)
da = np.concatenate([da_i, da_f, da_C, da_o], axis=-1)          # (N, P, 4F)
# ? dh_prev, what the last step sends back into the state before, (N, P, F)
dh_prev = convolve(da, U[::-1].swapaxes(1, 2))
check_derivative("dh_prev", dh_prev,
                 lambda h: painted(remember(x[:, -1:], h, C_prev)[0][-1]), h_prev)
dC_prev = dC * f

# %% [markdown]
# $$dC = dh \odot o \odot (1 - \tanh^2 C) \qquad da_f = dC \odot C_{t-1} \odot f
#   \odot (1 - f)$$
#
# From here it goes on step by step, as in lesson 16.
#
# ## Several frames ahead
#
# Feed the painted frame back: the oldest frame goes out, the painted one comes in at
# the end. The network has only seen frames whose points are 0 or 1. So make the
# painted one such a frame first.

# %%
# ? x_moved, the windows one frame later, (N, T, P, 1), from x and y
x_moved = np.concatenate([x[:, 1:], (y > 0.5)[:, None]], axis=1)
assert x_moved.shape == x.shape and set(np.unique(x_moved)) <= {0, 1}

# %% [markdown]
# ## The same in the library

# %%
memory = ConvLSTM1D(1, 3, padding="same")
painter = Conv1D(1, 3, padding="same", activation="sigmoid")
small = Sequential([Input((T, P, 1)), memory, painter]).astype("float64")
small.to("reference").set_weights([W, U, b, V, c])
assert np.allclose(small.forward(x), y, rtol=0, atol=1e-12)
assert np.isclose(BinaryCrossentropy()(asked, y), cross_entropy(y))
dx = small.backward(dz / (y * (1 - y)))         # it begins with the gradient by y
assert np.allclose(painter.weights[0].grad, dV, rtol=0, atol=1e-12)
check_derivative("dx", dx, lambda x: painted(remember(x, dark, dark)[-1][-1]), x)
show_source("kernels.reference.conv_lstm:conv_lstm_backward")

# %% [markdown]
# ## A real task: the next frame
#
# Films of eight frames with two shapes each: a ring, a plus or a cross. They run over
# each other, and out of the picture. The network sees four frames. From each film that
# it learns from we cut four windows. (`overlap` says where the two shapes lie on each
# other.)

# %%
rng = np.random.default_rng(0)
old, _ = moving_shapes(100, rng)                # (100, 8, 12, 12, 1): to learn from
new, overlap = moving_shapes(100, rng)          # for the examination
seen = 4
old_x = np.concatenate([old[:, k:k + seen] for k in range(4)])  # (400, 4, 12, 12, 1)
old_asked = np.concatenate([old[:, k + seen] for k in range(4)])
new_x, new_asked = new[:, :seen], new[:, seen]
copied = iou(new_x[:, -1], new_asked)
print(f"the copy hits {copied:.0%}")
assert round(100 * copied) == hit_by_copy

# %%
set_random_seed(0)
model = Sequential([Input((seen, 12, 12, 1)), ConvLSTM2D(12, 3, padding="same"),
                    Conv2D(1, 3, padding="same", activation="sigmoid")])
model.compile(Adam(0.02), loss="binary_crossentropy")
trained = model.fit(old_x, old_asked, batch_size=16, epochs=20, verbose=0)
y = model.predict(new_x, verbose=0)
print(f"the ConvLSTM hits {iou(y, new_asked):.0%}")
assert iou(y, new_asked) > 2 * copied

# %% [markdown]
# ## A real task: four frames ahead
#
# Feed its own frames back, and see how long it goes well. The baseline stays the last
# frame that was seen.

# %%
moved, frames = new_x, []
for _ in range(4):
    frame = model.predict(moved, verbose=0)
    moved = np.concatenate([moved[:, 1:], (frame > 0.5)[:, None]], axis=1)
    frames.append(frame)
frames = np.stack(frames, axis=1)               # (100, 4, 12, 12, 1)
hits = {"ConvLSTM": [iou(frames[:, k], new[:, seen + k]) for k in range(4)],
        "last frame copied": [iou(new_x[:, -1], new[:, seen + k]) for k in range(4)]}
for name, shares in hits.items():
    print(f"{name:18}", *(f"{share:.0%}" for share in shares))
assert hits["ConvLSTM"][3] < hits["ConvLSTM"][0]
assert hits["ConvLSTM"][1] > hits["last frame copied"][1]

# %% [markdown]
# ## A real task: what it got wrong
#
# Where two shapes lie on each other, a frame does not tell whose a point is. In some
# films that happens while the network is watching, or in the frame that it has to
# paint.

# %%
crowded = overlap[:, :seen + 1].any(axis=1)     # (100,)
by_kind = {"crowded": crowded, "free": ~crowded}
for name, which in by_kind.items():
    print(f"{name}: {which.sum()} films, {iou(y[which], new_asked[which]):.0%} hit")
assert iou(y[crowded], new_asked[crowded]) < iou(y[~crowded], new_asked[~crowded])

# %% [markdown]
# ## A picture: the film goes on

# %%
by_film = np.array([iou(frames[n], new[n, seen:]) for n in range(100)])
examples = {"best": by_film.argmax(), "worst": by_film.argmin()}
figure = draw_moving_shapes(new, frames, examples, hits, trained.history["loss"])
save_figure(figure, "26h_moving_shapes")

# %% [markdown]
# An error stays, and grows: what was painted wrongly is read as truth in the next step.
# And a shape that was painted too faintly is gone for good.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26h my_answer.py`.
#
# 1. On paper: two frames, `1 1 0 0 1` and `0 1 1 0 1`. Set `shared`, their IoU. And a
#    painter with the taps $V = (1, 3, -2)$ and zeros at the ends gets
#    $dz = (0, 1, 0, 2)$. Set `dh` (4 numbers).
# 2. **A whole backward**, with a batch axis: `painter_backward(h, V, c, asked)`. It
#    runs forward first, as in this lesson: $y = \sigma(V * h + c)$, with zeros at the
#    ends, and the mean binary cross-entropy. h is (N, P, F), V (K, F, G), c (G,), asked
#    (N, P, G); K is odd. Return `dV, dc, dh`.
# 3. A bug: the program below goes on with a film, and every film stands still. Write it
#    right as `fixed_go_on(model, x, count)`. `model` takes (N, T, P) and gives (N, P).
# 4. An experiment: suppose somebody told which way to shift the copy. Take the films of
#    `moving_shapes(100, np.random.default_rng(0))`. Shift frame 3 of each film by -1, 0
#    or 1 rows and columns, with `np.roll`, in all nine ways. Take the best IoU with
#    frame 4. Set `shifted`, its mean over the films.
#
# ```python
# def go_on(model, x, count):
#     frames = []
#     for k in range(count):
#         frames.append(model(x))
#     return np.stack(frames, axis=1)
# ```
