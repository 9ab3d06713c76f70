# %% [markdown]
# # Lesson 26a · Forecasting: the sunspots of next year
#
# *About 30 minutes.* A series of numbers goes on. How? You write a whole program that
# says it: cut the series into windows, scale it, train a network, and hold it against
# forecasts that cost nothing. You write the lines that matter, the gradients too.
#
# ## A question first
#
# For 309 years people have counted spots on the sun. Their number rises and falls,
# about once in eleven years. Here are two forecasts that anybody can make:
#
# * next year will be **as this year**,
# * next year will be **as it was eleven years before**.

# %%
import numpy as np

from lessons.data import sunspots
from lessons.figures import draw_forecasts
from nblayers.callbacks import EarlyStopping
from nblayers.layers import LSTM, Dense, Input, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import MeanSquaredError
from nblayers.models import Sequential
from nblayers.optimizers import SGD, Adam
from nblayers.utils import set_random_seed, timeseries_dataset_from_array

# %%
# ? guess: which one is better: 1 for "as this year", 11 for "eleven years before"?
better_of_two = 1
# ? guess: a year has 0 to 190 spots. By how many is the better one wrong, typically?
wrong_by = 30

# %% [markdown]
# ## Numbers for paper
#
# A short series, six years. Let $T = 3$ years be what the network sees. A **window** is
# three years in a row, and the year after it is what the network has to say. Six years
# make $N = 3$ windows: after the fourth one nothing is known.
#
# ```
#   s_0  s_1  s_2  s_3  s_4  s_5
#  └──── x_0 ────┘  ↑               what comes after x_0
#       └──── x_1 ────┘  ↑          what comes after x_1
#            └──── x_2 ────┘  ↑     what comes after x_2
# ```

# %%
s = np.array([2.0, 6.0, 6.0, 2.0, 0.0, 5.0])    # spots of six years
T = 3                                           # years that the network sees
N = len(s) - T                                  # windows

# %% [markdown]
# ## Scale: only the past is known
#
# Networks like numbers near 0, about as large as 1. So take off the mean, and divide by
# the deviation.
#
# $$x_{norm} = \frac{x - mean}{std} \tag{001.10.Normalization}$$
#
# Whose mean? We pretend to stand in year 4 and to know the **first four** years alone.
# If the last two had a share in the mean, the program would know something of the
# future. Nobody has that later, when it counts. Many programs make this mistake.

# %%
known = s[:4]
# ? scaled, the whole series (6,), by the mean and the deviation of what is known
scaled = (s - known.mean()) / known.std()
print("scaled =", scaled.tolist())
assert scaled.tolist() == [-1, 1, 1, -1, -2, 0.5]

# %% [markdown]
# ## Cut the series into windows
#
# A recurrent layer wants (samples, steps, inputs). Here one number comes in at each
# step. So a window is (3, 1), and all windows together are (3, 3, 1).

# %%
# ? x, all windows, (N, T, 1), from scaled
x = np.stack([scaled[n:n + T] for n in range(N)])[..., None]
print("x =", x[..., 0].tolist())
# ? after, what comes after each window, (N, 1)
after = scaled[T:, None]
print("after =", after[:, 0].tolist())
assert after.shape == (3, 1)

# %% [markdown]
# $$x_{nt} = s_{n+t} \qquad after_n = s_{n+T}$$
#
# ## Forward: read a window, say one number
#
# The network is that of lesson 06, with a Dense layer behind it. It reads the window
# year by year. Only its **last** state is used: many steps go in, one number comes out
# (002.ManyToOne).
#
# $$h_t = f(W_x x_t + W_h h_{t-1} + b_h) \tag{002.HiddenState}$$
# $$y_t = g(W_y h_t + b_y) \tag{002.Output}$$
#
# ```
#   x_0         x_1         x_2
#    │W          │W          │W
#    ▼           ▼           ▼
#   h_0 ──U──▶  h_1 ──U──▶  h_2 ──V──▶ y ──▶ L
#                                            ▲
#                                          after
# ```
#
# In our notation samples are rows, and there are two units, $H = 2$:
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b) \qquad y = h_{T-1} V + c$$

# %%
W = np.array([[1.0, -0.5]])                     # (in, H)
U = np.array([[0.5, 0.25],
              [-1.0, 0.0]])                     # (H, H)
b = np.array([0.5, 0.0])                        # (H,)
V = np.array([[1.0], [2.0]])                    # (H, 1)
c = np.array([-0.5])                            # (1,)


def states(W, U, b):
    h = np.zeros((N, T, len(U)))
    h_prev = np.zeros((N, len(U)))
    for t in range(T):
        h_prev = np.tanh(x[:, t] @ W + h_prev @ U + b)
        h[:, t] = h_prev
    return h


h = states(W, U, b)                             # (N, T, H)
# ? y, the forecasts, (N, 1), from h, V and c
y = h[:, -1] @ V + c
print("y =", y[:, 0].round(3).tolist())

# %% [markdown]
# ## The loss and its gradient
#
# The loss is the mean of the squared errors.
#
# $$L = \frac{1}{N} \sum_n (y_n - after_n)^2$$

# %%
# ? L, a single number
L = np.mean((y - after) ** 2)
print("L =", L.round(3))


def loss(W=W, U=U, b=b, V=V, c=c):
    return np.mean((states(W, U, b)[:, -1] @ V + c - after) ** 2)


# ? dy, the gradient of L by y, (N, 1)
dy = 2 * (y - after) / N
check_derivative("dy", dy, lambda y: np.mean((y - after) ** 2), y)

# %% [markdown]
# $$dy_n = \frac{2}{N} (y_n - after_n)$$
#
# ## Backward: Dense, then through the years
#
# Dense you know from lesson 02. What it sends back arrives at the last state, and at no
# other one.

# %%
# ? dV, from y = h_last V + c
dV = h[:, -1].T @ dy
check_derivative("dV", dV, lambda V: loss(V=V), V)
dc = dy.sum(axis=0)
check_derivative("dc", dc, lambda c: loss(c=c), c)
# ? dh, what arrives at the last state, (N, H)
dh = dy @ V.T
check_derivative("dh", dh, lambda h: np.mean((h @ V + c - after) ** 2), h[:, -1])

# %% [markdown]
# Now back from the last year to the first. A year in the middle has no loss of its own.
# To its state comes only what the year after it sends back.

# %%
da = np.zeros_like(h)                           # (N, T, H)
# ? [da] the walk: for t in reversed(range(T)). Fill da[:, t]; dh is what arrives at h
for t in reversed(range(T)):
    da[:, t] = dh * (1 - h[:, t] ** 2)
    dh = da[:, t] @ U.T
dW = sum(x[:, t].T @ da[:, t] for t in range(T))
check_derivative("dW", dW, lambda W: loss(W=W), W)
h_before = np.concatenate([np.zeros((N, 1, 2)), h[:, :-1]], axis=1)     # (N, T, H)
dU = sum(h_before[:, t].T @ da[:, t] for t in range(T))
check_derivative("dU", dU, lambda U: loss(U=U), U)
db = da.sum(axis=(0, 1))
check_derivative("db", db, lambda b: loss(b=b), b)

# %% [markdown]
# $$da_t = dh_t \odot (1 - h_t^2) \qquad dh_{t-1} = da_t \, U^\top$$
#
# ## One step
#
# Every weight goes a little way against its gradient. $\eta$ says how far.
#
# $$w \gets w - \eta \frac{\partial L}{\partial w}, \; b \gets b - \eta
#   \frac{\partial L}{\partial b} \tag{002.Update}$$

# %%
eta = 0.05
# ? U_next, U after one step
U_next = U - eta * dU
stepped = loss(W - eta * dW, U_next, b - eta * db, V - eta * dV, c - eta * dc)
print(f"the loss before: {L:.3f}, after the step: {stepped:.3f}")
assert stepped < L

# %% [markdown]
# ## Several years ahead
#
# The network says one year. How does it say the year after that? **Feed its forecast
# back**: the window moves on by one year. Its oldest year goes out. The forecast comes
# in at the end, as if it were true.

# %%
# ? x_moved, the windows one year later, (N, T, 1), from x and y (N, 1)
x_moved = np.concatenate([x[:, 1:], y[:, None]], axis=1)
print("x_moved =", x_moved[..., 0].round(3).tolist())
assert x_moved.shape == x.shape

# %% [markdown]
# ## The same in the library
#
# As people write it. The layers get our numbers, and one step of `SGD` does all that
# you have done.

# %%
rnn, dense = SimpleRNN(2), Dense(1)
small = Sequential([Input((T, 1)), rnn, dense]).astype("float64")
small.set_weights([W, U, b, V, c])
small.compile(SGD(eta), loss="mse")
assert np.allclose(small.predict(x, verbose=0), y, rtol=0, atol=1e-12)
assert np.isclose(MeanSquaredError()(after, small.forward(x)), L)
small.backward(dy)
for weight, gradient in zip(small.weights, (dW, dU, db, dV, dc), strict=True):
    assert np.allclose(weight.grad, gradient, rtol=0, atol=1e-12)
small.fit(x, after, batch_size=N, epochs=1, verbose=0)
assert np.allclose(rnn.weights[1].value, U_next, rtol=0, atol=1e-12)

# %% [markdown]
# There is a function that cuts windows. And this is the step of the SimpleRNN in the
# library's room for reading:

# %%
dataset = timeseries_dataset_from_array(scaled[:-1, None], scaled[T:, None], T)
x_library, after_library = next(iter(dataset))
assert np.array_equal(x_library, x) and np.array_equal(after_library, after)
show_source("kernels.reference.recurrent:simple_rnn_step_backward")

# %% [markdown]
# ## The real series
#
# The years up to 1920 are known. From 1921 on there are 88 years for the examination. A
# window has 22 years, about two turns of the sun's clock.

# %%
years, spots = sunspots()                       # (309,) each, 1700 to 2008
is_known = years < 1921
mean, std = spots[is_known].mean(), spots[is_known].std()
series = (spots - mean) / std
lookback = 22


def windows(series, T):
    x = np.stack([series[n:n + T] for n in range(len(series) - T)])
    return x[..., None], series[T:, None]


all_x, all_after = windows(series, lookback)    # (287, 22, 1), (287, 1)
is_new = years[lookback:] >= 1921               # by the year that is asked for
new_x, new_after = all_x[is_new], all_after[is_new]
assert new_x.shape == (88, 22, 1)

# %% [markdown]
# How wrong is a forecast? We take the root of the mean squared error (RMSE). Times
# `std` it is a number of spots again.
#
# $$error = \sqrt{\frac{1}{N} \sum_n (y_n - after_n)^2}$$

# %%
# ? [rmse] a function: def rmse(y, after), the error as a single number
def rmse(y, after):
    return np.sqrt(np.mean((y - after) ** 2))


# ? as_this_year, (88, 1): the forecast "as this year", from new_x
as_this_year = new_x[:, -1]
# ? as_11_before, (88, 1): as eleven years before the year that is asked for
as_11_before = new_x[:, -11]
for name, y in (("as this year", as_this_year), ("eleven years before", as_11_before)):
    print(f"{name:20} wrong by {std * rmse(y, new_after):.1f} spots")
assert np.isclose(std * rmse(as_this_year, new_after), wrong_by, atol=0.5)
assert rmse(as_this_year, new_after) < rmse(as_11_before, new_after)

# %% [markdown]
# The clock of the sun does not go well: a turn takes nine to fourteen years. So eleven
# years before is worse. These two are our **baselines**.
#
# ## A real task: one year ahead
#
# Now an LSTM, as in many programs (004.Program.Forecast). It learns from the windows
# before 1888. The 33 years from 1888 to 1920 are for **validation**: when the error
# there grows, the network has begun to learn the old years by heart. Then
# `EarlyStopping` ends it, and takes the best weights back.

# %%
asked = years[lookback:]
old, late = asked < 1888, (asked >= 1888) & (asked < 1921)
set_random_seed(0)
model = Sequential([Input((lookback, 1)), LSTM(16), Dense(1)])
model.compile(Adam(0.01), loss="mse")
stop = EarlyStopping(patience=15, restore_best_weights=True)
trained = model.fit(all_x[old], all_after[old], batch_size=16, epochs=60, verbose=0,
                    validation_data=(all_x[late], all_after[late]), callbacks=[stop])
y = model.predict(new_x, verbose=0)
print(len(trained.history["loss"]), "epochs")
error = rmse(y, new_after)
print(f"the LSTM is wrong by {std * error:.1f} spots")
assert error < 0.8 * rmse(as_this_year, new_after)

# %% [markdown]
# ## A real task: what it got wrong

# %%
off = std * (y - new_after)[:, 0]               # (88,): above 0 it said too many
for n in np.argsort(-np.abs(off))[:5]:
    print(f"{asked[is_new][n]}: {spots[~is_known][n]:.0f} spots,", end=" ")
    print(f"{abs(off[n]):.0f} too {'many' if off[n] > 0 else 'few'} said")
rising = (new_after > as_this_year)[:, 0]
print(f"years of rise: {off[rising].mean():.1f} spots off on average,", end=" ")
print(f"years of fall: {off[~rising].mean():.1f}")
assert off[rising].mean() < off[~rising].mean()

# %% [markdown]
# It says too few where the number rises fast. The highest peaks of all, about 1957, are
# beyond what it had ever seen: the largest number up to 1920 was 154, and 1957 had 190.
#
# ## A real task: eleven years ahead
#
# Feed the forecasts back, ten times. Which of the three errs least, two, five, eleven
# years ahead?

# %%
ahead = {"LSTM": [], "as this year": [], "eleven years before": []}
moved = new_x
for k in range(11):                             # k + 1 years ahead
    y_k = model.predict(moved, verbose=0)
    moved = np.concatenate([moved[:, 1:], y_k[:, None]], axis=1)
    kept = slice(0, 88 - k)                     # the last windows have no such year
    forecasts = y_k, as_this_year, new_x[:, -11 + k]
    for errors, one in zip(ahead.values(), forecasts, strict=True):
        errors.append(std * rmse(one[kept], new_after[k:]))
for k in (0, 1, 4, 10):
    print(f"{k + 1:2} years:", *(f"{errors[k]:5.1f}" for errors in ahead.values()))
assert ahead["LSTM"][1] < 0.7 * ahead["as this year"][1]
assert ahead["LSTM"][10] > 1.3 * ahead["LSTM"][0]

# %% [markdown]
# Every forecast that is fed back brings its own error along. So the error grows with
# the years. "Eleven years before" does not care how far ahead it is asked.
#
# ## A picture: forecasts and errors

# %%
shown = {"LSTM": mean + std * y[:, 0], "as this year": mean + std * as_this_year[:, 0]}
losses = {"to learn from": trained.history["loss"],
          "validation": trained.history["val_loss"]}
figure = draw_forecasts(years[~is_known], spots[~is_known], shown, losses, ahead)
save_figure(figure, "26a_forecasts")

# %% [markdown]
# Look at "as this year": it is the truth itself, one year late. A forecast that looks
# good in such a picture may be no more than that. So always compute the baseline.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26a my_answer.py`.
#
# 1. On paper: the series 5, 1, 3, 8, 7 and $T = 2$. A network says $y = 2 x_1 - x_0$
#    for each window: it draws a straight line on. Set `x` (all windows), `y`, and `dy`
#    (of the mean squared error).
# 2. **A whole backward**, with a batch axis: `forecast_backward(x, after, W, U, b, V,
#    c)`. It runs forward first, as in this lesson, from states of zeros, with any N, T,
#    H. Return `dW, dU, db, dV, dc` of the mean squared error.
# 3. A bug: with the windows below a network is marvellous in its examination, and of no
#    use. Write it right as `fixed_windows(series, T)`. It returns x (N, T) and what
#    comes after (N,).
# 4. An experiment: is an LSTM needed? Take nine years ($T = 9$). Let `np.linalg.lstsq`
#    find the straight combination of them, with a constant, that fits the years up to
#    1920 best. Set `straight`, its error from 1921 on, in spots.
#
# ```python
# def windows(series, T):
#     x = [series[n:n + T] for n in range(len(series) - T + 1)]
#     after = [series[n + T - 1] for n in range(len(series) - T + 1)]
#     return np.array(x), np.array(after)
# ```
