# %% [markdown]
# # Lesson 26f · Anomalies: what an autoencoder cannot draw
#
# *About 30 minutes.* A machine begins to fail now and then. You have many examples of
# what is right, and none of what is wrong. Then a network can learn what is right: an
# **autoencoder** squeezes it into a few numbers and draws it again. What it cannot draw
# is suspect (004.App.Anomaly). You write its backward, the threshold, and how good it
# is.
#
# ## A question first
#
# A scanner has read digits, 8 × 8 points each. Today it loses a row of points now and
# then: the row is white. Of 497 new scans 100 are damaged. But nobody has told.
#
# The simplest idea: a scan that lies far from the **mean** of all good scans is
# suspect. The threshold is such that one in twenty good scans lies above it.

# %%
import numpy as np

from lessons.data import scans
from lessons.figures import draw_anomalies
from nblayers.layers import Dense, Input
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import MeanSquaredError
from nblayers.metrics import Precision, Recall
from nblayers.models import Sequential
from nblayers.optimizers import SGD, Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: how many of the 100 damaged scans does the mean find?
found_by_mean = 15

# %% [markdown]
# ## Numbers for paper
#
# Three pictures ($N = 3$) of two points each ($D = 2$). They are squeezed into one
# number, the **code**. From the code the two points are drawn again.
#
# ```
#  x (N, 2) ──W──▶ code (N, 1) ──V──▶ z (N, 2) ──σ──▶ y (N, 2)
#     │                                                  │
#     └──────────────────▶ (y - x)² ◀────────────────────┘
# ```

# %%
x = np.array([[0.0, 1.0],
              [1.0, 0.5],
              [0.5, 0.0]])                      # (N, D)
N, D = x.shape
W = np.array([[1.0], [3.0]])                    # (D, 1)
b = np.array([-1.0])                            # (1,)
V = np.array([[1.0, -1.0]])                     # (1, D)
c = np.array([0.5, 0.0])                        # (D,)

# %% [markdown]
# ## Forward: squeeze, and draw again
#
# There are two Dense layers. The first one has no activation. The second one has a
# sigmoid, as ink is a number from 0 to 1.
#
# $$output = activation(W \cdot input + b) \tag{001.06.Dense}$$
# $$f(x) = \frac{1}{1 + e^{-x}} \tag{001.02.sigmoid}$$
#
# With samples as rows:
#
# $$code = x W + b \qquad z = code \, V + c \qquad y = \sigma(z)$$

# %%
# ? code, (N, 1)
code = x @ W + b
print("code =", code[:, 0].tolist())
z = code @ V + c                                # (N, D)
# ? y, the pictures drawn again, (N, D), from z
y = 1 / (1 + np.exp(-z))
print("y =", y.round(2).tolist())

# %% [markdown]
# How well is each picture drawn? Its **error** is the mean over its points. It will
# tell what is suspect. The **loss**, which training makes small, is the mean over all
# pictures.
#
# $$error_n = \frac{1}{D} \sum_d (y_{nd} - x_{nd})^2 \qquad
#   L = \frac{1}{N} \sum_n error_n$$

# %%
# ? errors, one for each picture, (N,)
errors = np.mean((y - x) ** 2, axis=1)
L = errors.mean()
print("errors =", errors.round(3).tolist(), " L =", L.round(3))


def loss(x=x, W=W, b=b, V=V, c=c, truth=x):
    y = 1 / (1 + np.exp(-((x @ W + b) @ V + c)))
    return np.mean((y - truth) ** 2)


assert np.isclose(loss(), L)

# %% [markdown]
# ## Backward: from the loss to the code

# %%
# ? dy, the gradient of L by y, (N, D)
dy = 2 * (y - x) / (N * D)
check_derivative("dy", dy, lambda y: np.mean((y - x) ** 2), y)
# ? dz, from y = sigmoid(z)
dz = dy * y * (1 - y)
check_derivative("dz", dz, lambda z: np.mean((1 / (1 + np.exp(-z)) - x) ** 2), z)
dc = dz.sum(axis=0)
check_derivative("dc", dc, lambda c: loss(c=c), c)
# ? dV, from z = code V + c
dV = code.T @ dz
check_derivative("dV", dV, lambda V: loss(V=V), V)
# ? dcode, (N, 1): what arrives at the code
dcode = dz @ V.T
check_derivative("dcode", dcode,
                 lambda k: np.mean((1 / (1 + np.exp(-(k @ V + c))) - x) ** 2), code)

# %% [markdown]
# $$dz = dy \odot y \odot (1 - y) \qquad dV = code^\top dz \qquad dcode = dz \, V^\top$$
#
# ## Backward: the picture has two places
#
# Now the weights of the first layer. And the picture itself: how would the loss change
# with each point of it? $x$ goes **in**, and it is also what $y$ is **compared with**.
# What stands in two places gets the sum of both ways.

# %%
# ? dW, from code = x W + b
dW = x.T @ dcode
check_derivative("dW", dW, lambda W: loss(W=W), W)
db = dcode.sum(axis=0)
check_derivative("db", db, lambda b: loss(b=b), b)
# ? dx, (N, D): by the way in, and by the comparison (y - x)²
dx = dcode @ W.T - dy
check_derivative("dx", dx, lambda x: loss(x=x, truth=x), x)

# %% [markdown]
# $$dW = x^\top dcode \qquad dx = dcode \, W^\top - dy$$
#
# The minus is that of $y - x$. For training nobody needs $dx$. But it tells which
# points make a picture suspect.
#
# ## One step
#
# $$w \gets w - \eta \frac{\partial L}{\partial w}, \; b \gets b - \eta
#   \frac{\partial L}{\partial b} \tag{002.Update}$$

# %%
eta = 0.5
W_next, b_next = W - eta * dW, b - eta * db
V_next, c_next = V - eta * dV, c - eta * dc
stepped = loss(x, W_next, b_next, V_next, c_next)
print(f"the loss before: {L:.4f}, after the step: {stepped:.4f}")
assert stepped < L

# %% [markdown]
# ## The threshold
#
# From which error on is a picture suspect? Take good pictures **which the network has
# not learnt from**: those that it has learnt it draws too well. Let a `share` of them
# lie above the threshold. That is the share of false alarms that you allow.
#
# `np.quantile(a, q)` is the number below which the part `q` of `a` lies.

# %%
errors_good = np.array([0.1, 0.4, 0.2, 0.3, 0.8])
share = 0.2
# ? threshold, a single number, from errors_good and share
threshold = np.quantile(errors_good, 1 - share)
print("threshold =", threshold.round(3))
assert np.mean(errors_good > threshold) == share

# %% [markdown]
# ## How good is it?
#
# Eight new pictures. In the end we learn which ones were damaged. Two questions:
#
# * **Precision**: of all that were called damaged, what part is?
# * **Recall**: of all that are damaged, what part was called so?

# %%
errors_new = np.array([0.3, 0.9, 0.5, 0.1, 0.6, 0.2, 0.45, 0.7])
damaged = np.array([False, True, False, True, True, False, True, True])
# ? called, (8,) True or False: which new ones are called damaged?
called = errors_new > threshold
print("called =", called.astype(int), " damaged =", damaged.astype(int))
# ? precision, a single number, from called and damaged
precision = np.sum(called & damaged) / np.sum(called)
# ? recall, a single number
recall = np.sum(called & damaged) / np.sum(damaged)
print("precision =", precision, " recall =", recall)
assert (precision, recall) == (3 / 4, 3 / 5)

# %% [markdown]
# A higher threshold gives a better precision and a worse recall. You cannot have both.
# And the share of *right answers*? If one in a thousand is damaged, a program that
# never says so is right in 99.9 % of all cases. It has a recall of 0.
#
# ## The same in the library

# %%
encoder, decoder = Dense(1), Dense(2, activation="sigmoid")
small = Sequential([Input((2,)), encoder, decoder]).astype("float64")
small.set_weights([W, b, V, c])
small.compile(SGD(eta), loss="mse")
assert np.allclose(small.forward(x), y, rtol=0, atol=1e-12)
assert np.isclose(MeanSquaredError()(x, small.forward(x)), L)
dx_in = small.backward(dy)                      # the way in alone
assert np.allclose(dx_in - dy, dx, rtol=0, atol=1e-12)
for weight, gradient in zip(small.weights, (dW, db, dV, dc), strict=True):
    assert np.allclose(weight.grad, gradient, rtol=0, atol=1e-12)
small.fit(x, x, batch_size=N, epochs=1, verbose=0)      # x twice: it is the target too
assert np.allclose(encoder.weights[0].value, W_next, rtol=0, atol=1e-12)
for metric, value in ((Precision(), precision), (Recall(), recall)):
    metric.update_state(damaged, called)
    assert np.isclose(metric.result(), value)
show_source(Dense._affine_backward, "kernels.reference.activation:sigmoid_backward")

# %% [markdown]
# ## A real task: the scanner
#
# 1000 scans from the time when the scanner was whole, to learn from. 300 more of that
# time, for the threshold. The 497 new ones are for the examination. The autoencoder has
# four layers: 64 points become 64 numbers, then **8**, then 64, then 64 points.

# %%
data = scans()
set_random_seed(0)
model = Sequential([Input((64,)), Dense(64, "relu"), Dense(8), Dense(64, "relu"),
                    Dense(64, "sigmoid")])
model.compile(Adam(0.003), loss="mse")
trained = model.fit(data.old, data.old, batch_size=40, epochs=60, verbose=0)
drawn = model.predict(data.new, verbose=0)      # (497, 64)


def error_of(scans, drawn):
    return np.mean((drawn - scans) ** 2, axis=1)


found = {"autoencoder": (error_of(data.whole, model.predict(data.whole, verbose=0)),
                         error_of(data.new, drawn))}
mean = data.old.mean(axis=0)                    # the baseline
found["mean"] = error_of(data.whole, mean), error_of(data.new, mean)

# %% [markdown]
# The threshold lets one in twenty good scans lie above it.

# %%
is_damaged = data.is_damaged                    # nobody knew it until now
recalls = {}
for name, (of_good, of_new) in found.items():
    is_called = of_new > np.quantile(of_good, 1 - 0.05)
    right = np.sum(is_called & is_damaged)
    recalls[name] = right / 100
    print(f"{name:12} calls {is_called.sum():3}, {right:2} of them rightly:", end=" ")
    print(f"precision {right / is_called.sum():.2f}, recall {right / 100:.2f}")
assert 100 * recalls["mean"] == found_by_mean
assert recalls["autoencoder"] > 2 * recalls["mean"]

# %% [markdown]
# To be far from the mean is no fault: many good digits are. The autoencoder knows what
# digits look like. It draws the row that is lost, because the code has no number for
# "one row is white".
#
# ## A real task: where is the fault?
#
# So the difference between the scan and what is drawn shows the place. Add it up by
# rows.

# %%
difference = (drawn - data.new).reshape(-1, 8, 8) ** 2
worst_row = difference.mean(axis=2).argmax(axis=1)              # (497,)
placed = np.mean(worst_row[is_damaged] == data.row[is_damaged])
print(f"the worst row is the lost one in {placed:.0%} of the damaged scans")
assert placed > 0.7

# %% [markdown]
# ## A real task: what it got wrong

# %%
of_good, of_new = found["autoencoder"]
limit = np.quantile(of_good, 1 - 0.05)
is_called = of_new > limit
missed, caught = is_damaged & ~is_called, is_damaged & is_called
for name, which in (("caught", caught), ("missed", missed)):
    print(f"{name}: {which.sum()} scans, they have lost", end=" ")
    print(f"{data.ink_lost[which].mean():.2f} points of ink on average")
assert data.ink_lost[missed].mean() < data.ink_lost[caught].mean()
print("false alarms:", np.sum(is_called & ~is_damaged), "of 397 good scans")

# %% [markdown]
# It misses scans whose lost row had little ink. A false alarm is a digit that is
# written in an odd way: strange, but whole. The network cannot tell one from the other.
#
# ## A picture: good, caught, missed

# %%
def for_every_threshold(of_new):
    order = np.argsort(-of_new)                 # the most suspect first
    hits = np.cumsum(is_damaged[order])
    return hits / is_damaged.sum(), hits / np.arange(1, len(of_new) + 1)


curves = {name: for_every_threshold(errors) for name, (_, errors) in found.items()}
shown = {"a false alarm": np.argmax(np.where(is_damaged, 0, of_new)),
         "caught": np.argmax(np.where(caught, of_new, 0)),
         "missed": np.argmin(np.where(missed, of_new, 1))}
kinds = {"whole": of_new[~is_damaged], "damaged": of_new[is_damaged]}
figure = draw_anomalies(data.new, drawn, shown, kinds, limit, curves)
save_figure(figure, "26f_anomalies")

# %% [markdown]
# At the bottom right each point of a curve is a threshold. No threshold makes the mean
# as good as the autoencoder.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26f my_answer.py`.
#
# 1. On paper: ten pictures have the errors 1, 2, … 10. Those with 4, 8, 9 and 10 are
#    damaged. The threshold is 5.5. Set `precision` and `recall`. And an autoencoder
#    without activations has $W = (1, 2)^\top$, $V = (1, 0)$ and no biases. It gets
#    $x = (1, 1)$. Set `dx` of $L = (y_0 - x_0)^2 + (y_1 - x_1)^2$ (2 numbers).
# 2. **A whole backward**, with a batch axis: `autoencoder_backward(x, W, b, V, c)`. It
#    runs forward first. The code goes through a ReLU here: $code = \max(0, x W + b)$.
#    $y = \sigma(code \, V + c)$, and $L$ is the mean of all $(y - x)^2$. Return
#    `dW, db, dV, dc, dx`, for any N, D and size of the code.
# 3. A bug: the function below calls some scans damaged on every day, even if the
#    scanner is whole. On a bad day it misses most of them. Write it right as
#    `fixed_calls(errors_good, errors_new, share)`.
# 4. An experiment: is a network needed? Squeeze the scans with straight lines: take off
#    the mean of `old`, find the 8 best directions with `np.linalg.svd`, project onto
#    them and back. Set `straight`, its recall, with the threshold as in the lesson.
#
# ```python
# def calls(errors_good, errors_new, share):
#     threshold = np.quantile(errors_new, 1 - share)
#     return errors_new > threshold
# ```
