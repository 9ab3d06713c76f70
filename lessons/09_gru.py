# %% [markdown]
# # 09 · GRU: two gates, one state, and two ways to reset
#
# *About 40 minutes.* An LSTM has two states and three gates. A **gated recurrent
# unit** (GRU) has one state and two gates, and remembers as well. You write all its
# gradients, for both ways to reset that libraries have. Then the three cells hold a
# contest: SimpleRNN, LSTM and GRU.
#
# ## A question first
#
# A GRU mixes its old state with a new one. The **update gate** $z$ says how. Many texts
# keep $1 - z$ of the old state. Keras keeps $z$ of it. So what is $z$ worth to whom?
#
# And a count. By the formula of many texts, a GRU of 32 units that reads one number has
# 3264 weights. Keras prints 3360. The 96 more are a second row of biases.

# %%
import numpy as np

from kernels.reference import recurrent
from lessons.figures import contest, draw_clock, draw_contest
from nblayers import trace
from nblayers.layers import GRU, LSTM, SimpleRNN
from nblayers.learn.graph import cell, show_graph
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source

# ? guess: z is 0.9 by the formula of many texts. Which part of the old state is kept?
kept_by_texts = 0.1
# ? guess: how many of the 96 biases can do something that the others cannot?
useful_biases = 32

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), three steps ($T = 3$) of one number each, two units ($H = 2$).
# A sample is a row. `x[:, t]` is step $t$ of both samples.
#
# A GRU computes three things, so it has three matrices $W$ and three $U$. Their columns
# lie side by side, in Keras' order: $z$, $r$, $\tilde{h}$. There are two rows of
# biases. The first, $b$, is added to $x W$. The second, $b'$, is added to $h U$.

# %%
N, T, H = 2, 3, 2
x = np.array([[[1.0], [0.0], [-1.0]],
              [[0.0], [1.0], [1.0]]])           # (N, T, in)
#              z          r          h~
W = np.array([[0.5, 0.0, 0.0, -0.5, 1.0, -0.5]])                # (in, 3H)
U = np.array([[0.0, 0.5, 0.5, 1.0, 0.5, 1.0],
              [-0.5, 0.0, 0.0, 0.5, -1.0, 0.5]])                # (H, 3H)
b = np.array([[0.0, 0.5, 0.0, 0.0, 0.0, 0.0],
              [0.5, -1.0, 0.5, 0.0, 1.0, -1.0]])                # (2, 3H): b and b'
h_start = np.array([[1.0, -1.0], [0.0, 2.0]])   # (N, H), before the first step
dy = np.array([[[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]],
               [[0.5, -1.0], [2.0, 0.0], [-1.0, 1.0]]])         # (N, T, H)

# %% [markdown]
# ## A picture of one step
#
# $$h_t = \text{GRU}(x_t, h_{t-1}) \tag{001.09.GRU}$$
#
# One thing comes from the step before: $h_{t-1}$, in code `h_prev`. The upper line runs
# through, as the cell of an LSTM does: a product and a sum. Below is what is new: the
# candidate $\tilde{h}$, in code `h_tilde`. The **reset gate** $r$ says how much of the
# old state the candidate hears.

# %%
show_graph(cell("gru"))

# %% [markdown]
# ## Forward: two gates
#
# What the input gives to all three comes first: its **shares** $x_t W + b$. Then each
# gate is a sigmoid, as in the LSTM:
#
# $$z_t = \sigma(x_t W_z + b_z + h_{t-1} U_z + b'_z)$$
# $$r_t = \sigma(x_t W_r + b_r + h_{t-1} U_r + b'_r)$$

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2             # 1 / (1 + exp(-a)), without overflow


h_prev = h_start
x_z, x_r, x_h = np.split(x[:, 0] @ W + b[0], 3, axis=1)         # (N, H) each
U_z, U_r, U_h = np.split(U, 3, axis=1)          # (H, H) each
b_z, b_r, b_h = np.split(b[1], 3)               # (H,) each, of b'
# ? z, the update gate, from x_z, h_prev, U_z and b_z
z = sigmoid(x_z + h_prev @ U_z + b_z)           # (N, H)
print("z, the update gate:", z.round(3).tolist())
r = sigmoid(x_r + h_prev @ U_r + b_r)           # (N, H)
print("r, the reset gate:", r.round(3).tolist())

# %% [markdown]
# ## Forward: the candidate, reset after the product
#
# The candidate is a tanh of $x$ and the old state. There are two ways to reset. Keras
# makes the product with $U_h$ first. We call it $u$. Then $r$ acts on it:
#
# $$u_t = h_{t-1} U_h + b'_h$$
# $$\tilde{h}_t = \tanh(x_t W_h + b_h + r_t \odot u_t)$$

# %%
# ? u, the old state through U_h; its bias is b_h
u = h_prev @ U_h + b_h                          # (N, H)
print("u =", u.tolist())
# ? h_tilde, the candidate, from x_h, r and u
h_tilde = np.tanh(x_h + r * u)                  # (N, H)
print("h~ =", h_tilde.round(3).tolist())
assert np.allclose(u[0], [2.5, -0.5])

# %% [markdown]
# ## Forward: the new state
#
# In Keras $z$ is the part of the old state that is kept. What is left, $1 - z$, is the
# part of the candidate:
#
# $$h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tilde{h}_t$$

# %%
# ? h, the new state, as in Keras
h = z * h_prev + (1 - z) * h_tilde              # (N, H)
print("h =", h.round(3).tolist())

# %% [markdown]
# Many texts have it the other way round:
#
# $$h_t = (1 - z_t) \odot h_{t-1} + z_t \odot \tilde{h}_t \tag{001.09.GRUCell}$$
#
# Both are right, but weights of the one are wrong for the other. As
# $1 - \sigma(a) = \sigma(-a)$, you change the sign of all that makes $z$: its columns
# of $W$, of $U$ and of both biases.

# %%
z_of_texts = sigmoid(-(x_z + h_prev @ U_z + b_z))
assert np.allclose(h, (1 - z_of_texts) * h_prev + z_of_texts * h_tilde)
assert np.isclose(kept_by_texts, 1 - 0.9)

# %% [markdown]
# ## Forward: one step as a function, and the walk
#
# Here are your lines again, as a function. Its names are those of the library's.

# %%
def gru_step(shares, h_prev, U, b):
    x_z, x_r, x_h = np.split(shares, 3, axis=1)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    b_z, b_r, b_h = np.split(b[1], 3)
    z = sigmoid(x_z + h_prev @ U_z + b_z)
    r = sigmoid(x_r + h_prev @ U_r + b_r)
    u = h_prev @ U_h + b_h
    h_tilde = np.tanh(x_h + r * u)
    h = z * h_prev + (1 - z) * h_tilde
    return z, r, h_tilde, u, h


def forward(x, W, U, b, h_prev):
    steps = []
    for t in range(x.shape[1]):
        z, r, h_tilde, u, h = gru_step(x[:, t] @ W + b[0], h_prev, U, b)
        steps.append((h_prev, z, r, h_tilde, u, h))
        h_prev = h
    return steps


# %% [markdown]
# The loss is a sum of products again. `loss_from(t, h_prev)` is the loss of step $t$
# and all later ones.
#
# $$L = \sum_t \sum_n \sum_j dy_{tnj} \, h_{tnj}$$

# %%
steps = forward(x, W, U, b, h_start)
for t in range(T):
    print(f"step {t}, h =", steps[t][-1].round(3).tolist())
assert np.array_equal(steps[0][-1], h)


def loss_from(t, h_prev, x=x, W=W, U=U, b=b):
    steps = forward(x[:, t:], W, U, b, h_prev)
    return sum(np.sum(dy[:, t + k] * step[-1]) for k, step in enumerate(steps))


# %% [markdown]
# ## Backward: what h is made of
#
# The last step, $t = 2$. Nothing comes back from later, so $dh = dy$ there.
#
# $h = z \odot h_{t-1} + (1 - z) \odot \tilde{h}$. The gate $z$ stands in it twice. What
# it gives to the one it takes from the other.

# %%
show_graph(cell("gru"), lit=["dh -> dz", "dh -> dh_tilde"])
h_prev, z, r, h_tilde, u, h = steps[2]          # the last step
dh = dy[:, 2]                                   # (N, H)
# ? dz, from h = z h_prev + (1 - z) h_tilde
dz = dh * (h_prev - h_tilde)                    # (N, H)
check_derivative("dz", dz, lambda z: np.sum(dh * (z * h_prev + (1 - z) * h_tilde)), z)
# ? dh_tilde, from h = z h_prev + (1 - z) h_tilde
dh_tilde = dh * (1 - z)                         # (N, H)
check_derivative("dh~", dh_tilde,
                 lambda c: np.sum(dh * (z * h_prev + (1 - z) * c)), h_tilde)

# %% [markdown]
# $$dz_t = dh_t \odot (h_{t-1} - \tilde{h}_t)
#   \qquad d\tilde{h}_t = dh_t \odot (1 - z_t)$$
#
# ## Backward: through the candidate
#
# $\tilde{h} = \tanh(a_h)$ with $a_h = x_h + r \odot u$. First the slope of the tanh.
# Then a product: each factor is given $da_h$ times the other.

# %%
show_graph(cell("gru"), lit=["dh_tilde -> dr", "dh_tilde -> du"])
x_z, x_r, x_h = np.split(x[:, 2] @ W + b[0], 3, axis=1)
# ? da_h, through h_tilde = tanh(a_h)
da_h = dh_tilde * (1 - h_tilde ** 2)            # (N, H)
check_derivative("da_h", da_h, lambda a: np.sum(dh_tilde * np.tanh(a)), x_h + r * u)
# ? dr, from a_h = x_h + r u
dr = da_h * u                                   # (N, H)
check_derivative("dr", dr, lambda r: np.sum(dh_tilde * np.tanh(x_h + r * u)), r)
# ? du, from a_h = x_h + r u
du = da_h * r                                   # (N, H)
check_derivative("du", du, lambda u: np.sum(dh_tilde * np.tanh(x_h + r * u)), u)

# %% [markdown]
# $$da_h = d\tilde{h}_t \odot (1 - \tilde{h}_t^2) \qquad dr_t = da_h \odot u_t
#   \qquad du_t = da_h \odot r_t$$
#
# Keep $da_h$ and $du$ apart. The input's part $x W_h$ is given $da_h$. The product with
# $U_h$ is given $du$. Only $r$ is between them, and many wrong GRUs have left it out.
#
# ## Backward: through the gates
#
# Two sigmoids, and the slope that you know: $\sigma' = \sigma (1 - \sigma)$.

# %%
# ? da_z, through z = sigmoid(a_z)
da_z = dz * z * (1 - z)                         # (N, H)
check_derivative("da_z", da_z, lambda a: np.sum(dz * sigmoid(a)),
                 x_z + h_prev @ U_z + b_z)
# ? da_r, through r = sigmoid(a_r)
da_r = dr * r * (1 - r)                         # (N, H)
check_derivative("da_r", da_r, lambda a: np.sum(dr * sigmoid(a)),
                 x_r + h_prev @ U_r + b_r)

# %% [markdown]
# ## Backward: the state before
#
# $h_{t-1}$ is heard in four places: by $z$, by $r$, by $u$, and straight by $h$. So
# four gradients come back to it, and they are added.
#
# The straight way, $dh \odot z$, is the LSTM's cell again: no matrix, no slope, only a
# gate. With $z$ near 1 nearly all of the gradient comes through.

# %%
show_graph(cell("gru"),
           lit=["dh -> dh_prev", "dz -> dh_prev", "dr -> dh_prev", "du -> dh_prev"])
# ? dh_prev, a sum of four: straight, by u, by r and by z
dh_prev = dh * z + du @ U_h.T + da_r @ U_r.T + da_z @ U_z.T     # (N, H)
check_derivative("dh_prev", dh_prev, lambda h: loss_from(2, h), h_prev)

# %% [markdown]
# $$dh_{t-1} = dh_t \odot z_t + du_t U_h^\top + da_r U_r^\top + da_z U_z^\top$$
#
# ## Backward: one step as a function
#
# You have written every line of it. Now put them together.

# %%
# ? [gru_step_backward] one step back: def gru_step_backward(dh, z, r, h_tilde, u,
# ? h_prev, U). Return da (N, 3H) in the order z, r, h~, and du and dh_prev (N, H)
def gru_step_backward(dh, z, r, h_tilde, u, h_prev, U):
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    dz = dh * (h_prev - h_tilde)
    dh_tilde = dh * (1 - z)
    da_h = dh_tilde * (1 - h_tilde ** 2)
    dr = da_h * u
    du = da_h * r
    da_z = dz * z * (1 - z)
    da_r = dr * r * (1 - r)
    dh_prev = dh * z + du @ U_h.T + da_r @ U_r.T + da_z @ U_z.T
    return np.concatenate([da_z, da_r, da_h], axis=1), du, dh_prev


again = gru_step_backward(dh, z, r, h_tilde, u, h_prev, U)
assert np.allclose(again[2], dh_prev, rtol=0, atol=1e-15)

# %% [markdown]
# ## Backward: the walk
#
# From the last step to the first, as in lessons 06 and 08. At each step all that
# arrives at $h_t$ is added up:
#
# $$dh_t = dy_t + dh_{next}$$
#
# `da_all` and `du_all` keep `da` and `du` of all steps. The values of step `t` are in
# `steps[t]`: h_prev, z, r, h_tilde, u, h.

# %%
da_all = np.zeros((N, T, 3 * H))
du_all = np.zeros((N, T, H))
dh_next = np.zeros((N, H))
# ? [da_all, du_all, dh_next] the walk back: for t in reversed(range(T))
for t in reversed(range(T)):
    h_prev, z, r, h_tilde, u, h = steps[t]
    dh = dy[:, t] + dh_next
    da, du, dh_next = gru_step_backward(dh, z, r, h_tilde, u, h_prev, U)
    da_all[:, t] = da
    du_all[:, t] = du
check_derivative("dh_start", dh_next, lambda h: loss_from(0, h), h_start)
dh_start = dh_next

# %% [markdown]
# ## Backward: the weights
#
# $W$ and $x$ are as in every layer. $U$ has three blocks. What was multiplied by them
# is $h_{t-1}$, all three times. But what comes back to $U_h$ is $du$.

# %%
h_before = np.stack([step[0] for step in steps], axis=1)        # (N, T, H), each h_prev
dx = da_all @ W.T                               # (N, T, in)
check_derivative("dx", dx, lambda x: loss_from(0, h_start, x=x), x)
dW = np.einsum("nti,ntj->ij", x, da_all)        # (in, 3H), a sum over samples and steps
check_derivative("dW", dW, lambda W: loss_from(0, h_start, W=W), W)
d_recurrent = np.concatenate([da_all[:, :, :2 * H], du_all], axis=2)    # of h U + b'
# ? dU, the sum over samples and steps, (H, 3H); from h_before and d_recurrent
dU = np.einsum("nti,ntj->ij", h_before, d_recurrent)
check_derivative("dU", dU, lambda U: loss_from(0, h_start, U=U), U)
# ? db, both rows, (2, 3H): the one beside x W, and the one beside h U
db = np.stack([da_all.sum(axis=(0, 1)), d_recurrent.sum(axis=(0, 1))])
check_derivative("db", db, lambda b: loss_from(0, h_start, b=b), b)
print(db.round(3))

# %% [markdown]
# $$dU_z = \sum_t h_{t-1}^\top da_z \qquad dU_r = \sum_t h_{t-1}^\top da_r
#   \qquad dU_h = \sum_t h_{t-1}^\top du$$
#
# Look at the two rows of $db$. In $z$ and $r$ they are the same, and remain so: there
# $b$ and $b'$ are simply added. Only $b'_h$ stands inside the reset, and differs. So of
# the 96 biases, 32 can do something that the others cannot.

# %%
assert np.array_equal(db[0, :2 * H], db[1, :2 * H])
assert not np.isclose(db[0, 2 * H:], db[1, 2 * H:]).any()
assert useful_biases == 96 // 3

# %% [markdown]
# ## Reset before the product: forward
#
# This is the way of many texts, and of Keras with `reset_after=False`. First $r$ acts
# on the old state. Then comes the product. There is no $b'$.
#
# $$u_t = r_t \odot h_{t-1}$$
# $$\tilde{h}_t = \tanh(x_t W_h + b_h + u_t U_h)$$
#
# Before, $r$ says which **old** units are heard. After, it says which **new** ones
# listen. Before costs time: the product with $U_h$ must wait for $r$. After, all three
# products with $U$ are one.
#
# We take the last step again, with the `h_prev` from above.

# %%
h_prev = steps[2][0]
z = sigmoid(x_z + h_prev @ U_z)
r = sigmoid(x_r + h_prev @ U_r)
# ? u, for a reset before the product
u = r * h_prev                                  # (N, H)
# ? h_tilde, for a reset before the product, from x_h, u and U_h
h_tilde = np.tanh(x_h + u @ U_h)                # (N, H)
h = z * h_prev + (1 - z) * h_tilde

# %% [markdown]
# ## Reset before the product: backward
#
# $dz$, $d\tilde{h}$ and $da_h$ are made as above. Then the same two operations come in
# the opposite order: first back through $U_h$, then through the product with $r$.

# %%
def loss_by_candidate(u):
    return np.sum(dh_tilde * np.tanh(x_h + u @ U_h))


dh = dy[:, 2]
dh_tilde = dh * (1 - z)
da_h = dh_tilde * (1 - h_tilde ** 2)
# ? du, from a_h = x_h + u @ U_h
du = da_h @ U_h.T                               # (N, H)
check_derivative("du", du, loss_by_candidate, u)
# ? dr, from u = r h_prev
dr = du * h_prev                                # (N, H)
check_derivative("dr", dr, lambda r: loss_by_candidate(r * h_prev), r)

# %% [markdown]
# The state before is again given a sum of four. Three of them are as before.

# %%
def loss_by_h_prev(h_prev):
    z = sigmoid(x_z + h_prev @ U_z)
    r = sigmoid(x_r + h_prev @ U_r)
    h_tilde = np.tanh(x_h + (r * h_prev) @ U_h)
    return np.sum(dh * (z * h_prev + (1 - z) * h_tilde))


da_z = dh * (h_prev - h_tilde) * z * (1 - z)
da_r = dr * r * (1 - r)
# ? dh_prev, for a reset before the product: straight, by u, by r and by z
dh_prev = dh * z + du * r + da_r @ U_r.T + da_z @ U_z.T         # (N, H)
check_derivative("dh_prev", dh_prev, loss_by_h_prev, h_prev)
# ? dU_h of this one step: what U_h was multiplied by, and what came back
dU_h = u.T @ da_h                               # (H, H)
check_derivative("dU_h", dU_h,
                 lambda U_h: np.sum(dh_tilde * np.tanh(x_h + u @ U_h)), U_h)

# %% [markdown]
# Side by side:
#
# $$\text{after:} \quad du = da_h \odot r \qquad dr = da_h \odot u
#   \qquad dU_h = h_{t-1}^\top du$$
# $$\text{before:} \quad du = da_h U_h^\top \qquad dr = du \odot h_{t-1}
#   \qquad dU_h = u^\top da_h$$
#
# ## The same in the library
#
# The library's step back beside yours. The numbers behind its lines are those of the
# equations in the notes at the head of its file.

# %%
show_source("kernels.reference.recurrent:gru_step_backward",
            "kernels.reference.recurrent:gru_step_reset_before_backward")
h_last, *values, _ = steps[2]
pairs = zip(recurrent.gru_step_backward(dh, *values, h_last, U), again, strict=True)
assert all(np.allclose(*pair, rtol=0, atol=1e-15) for pair in pairs)

# %% [markdown]
# Then the whole layer, with a reset after, on all steps. And with a reset before, on
# the last step alone.

# %%
gru = GRU(H, return_sequences=True, dtype="float64").to("reference")
gru.build(x.shape)
gru.set_weights([W, U, b])
y = gru.forward(x, initial_state=[h_start])
theirs = [*gru.backward(dy), *(weight.grad for weight in gru.trainable_weights)]
for got, expected in zip(theirs, [dx, dh_start, dW, dU, db], strict=True):
    assert np.allclose(got, expected, rtol=0, atol=1e-14)
assert np.allclose(y[:, 2], steps[2][-1], rtol=0, atol=1e-15)

gru = GRU(H, reset_after=False, dtype="float64").to("reference")
gru.build(x.shape)
gru.set_weights([W, U, b[0]])
y = gru.forward(x[:, 2:], initial_state=[h_prev])
assert np.allclose(y, h, rtol=0, atol=1e-15)
assert np.allclose(gru.backward(dh)[1], dh_prev, rtol=0, atol=1e-15)
assert np.allclose(gru.trainable_weights[1].grad[:, 2 * H:], dU_h, rtol=0, atol=1e-15)

# %% [markdown]
# The same lines stand in the compiled room and in that of the GPU. In the stepper type
# `show_source("kernels.cpu.recurrent:_gru_slopes")`, or
# `show_source("kernels.cuda.recurrent:_gru_backward")`.
#
# Now the counts. With $I$ numbers in and $H$ units, a GRU with one row of biases has
#
# $$3 \, [(I + H) H + H] \tag{003.Params.GRU}$$
#
# weights, an LSTM four times the bracket, a SimpleRNN the bracket itself.

# %%
layers = {"SimpleRNN": (SimpleRNN(32), 1088), "LSTM": (LSTM(32), 4352),
          "GRU, before": (GRU(32, reset_after=False), 3264), "GRU": (GRU(32), 3360)}
for name, (layer, count) in layers.items():
    layer.build((1, 10, 1))
    print(f"{name:12} {layer.count_params()} weights")
    assert layer.count_params() == count
assert 3360 - 3264 == 96

# %% [markdown]
# ## Watch it
#
# Watch the step on a page: forward, then backward, with what each gradient is the sum
# of. Open it in a browser; the right arrow takes a step. (`nblayers microscope gru` and
# `nblayers microscope gru_reset_before` open one of a trained layer.)
#
# Go to step 17 (`dh_prev[0]`). The state before was used in four places, so four
# gradients come back to it, and the table has a line for each. At sample 0, unit 1,
# which of the four is the largest? Which factor has let it through?

# %%
gru.zero_grad()
with trace() as seen:
    gru.forward(x[:, 2:], initial_state=[h_prev])
    gru.backward(dh)
save_page(seen, "09_microscope")
assert np.allclose(seen.find("h")[0].value, h, rtol=0, atol=1e-15)
assert np.allclose(seen.find("dh_prev")[0].value, dh_prev, rtol=0, atol=1e-15)
# The one straight from h, dh ⊙ z: here z is 0.73, the gate holds most of the state.
ways = {part.by: abs(part.value[0, 1]) for part in seen.find("dh_prev")[0].parts}
assert max(ways, key=ways.get) == "h" and len(ways) == 4
assert round(seen.find("z")[0].value[0, 1], 2) == 0.73

# %% [markdown]
# ## A picture: starting again
#
# $z$ holds, like the LSTM's $f$. What is $r$ for? Here is a GRU whose weights we set by
# hand. $U_h$ turns the state like the hand of a clock. $z$ is near 0, so each state is
# made anew from the last. A mark shall set the hand to one place. If $r$ stays near 1,
# the mark is only a push. Where $r$ falls to 0, the hand forgets where it stood.

# %%
marks = np.isin(np.arange(50), [4, 18, 37])
turn = 0.75 * np.array([[3 ** 0.5, -1], [1, 3 ** 0.5]])         # by 30 degrees
clock = GRU(2, return_sequences=True).to("reference")
clock.build((1, 50, 1))
hands = {}
for name, push in (("r stays near 1", 0), ("r falls to 0 at the marks", -12)):
    #                   z  r           h~
    clock.set_weights([[[0, 0, push, push, 0, 3]],              # from the mark
                       np.hstack([np.zeros((2, 4)), turn]),     # from the state
                       [[-6, -6, 6, 6, 0, 0], [0] * 6]])
    hands[name] = clock.forward(marks[None, :, None])[0]        # (50, 2)
    spread = np.ptp(hands[name][marks], axis=0).max()
    print(f"{name}: after the three marks the states differ by {spread:.3f}")
    assert (spread < 0.02) == (push == -12)
save_figure(draw_clock(hands, marks), "09_reset")

# %% [markdown]
# ## A real task: the contest of the three cells
#
# The task of lesson 07. A network of 32 units reads a digit row by row: 8 steps. Then
# come 40 blank steps. Then it is asked which digit it was. One in ten is right by
# chance.
#
# Five take part: SimpleRNN, LSTM, GRU, and the last two once more with a bias of 4 on
# the gate that keeps ($f$ or $z$). $\sigma(4) = 0.98$. First we look at how much of a
# gradient arrives, before anything is learnt. Then they learn for 12 epochs.

# %%
norms, history, by_blank = contest()
for name in norms:
    shares = by_blank[name]                     # after 30 to 50 blank steps
    print(f"{name:13} gradient at the digit's last row: {norms[name][7]:.0e};",
          f"{shares[10]:.0%} right, one blank step later {shares[11]:.0%}")
save_figure(draw_contest(norms, history, by_blank), "09_contest")
assert norms["GRU"][7] < 1e-6 and norms["LSTM"][7] < 0.01
for name in ("SimpleRNN", "LSTM, bias 4", "GRU, bias 4"):
    assert norms[name][7] > 0.1

# %% [markdown]
# The gradient foretells who learns. A GRU begins with $z = \sigma(0) = 0.5$ and a new
# LSTM with $f = \sigma(1) = 0.73$: they forget before they can learn to keep. The LSTM
# learns little, and the GRU stays at chance. With a bias of 4 both learn.
#
# The SimpleRNN learns too, as its matrix is orthogonal. But see what it gets wrong: one
# blank step later it does not know any more. What it keeps turns round at each step. In
# a gated cell it stays where it is.
#
# With this seed the GRU is a little behind the LSTM. Its one gate does two things: who
# keeps 0.98 takes in 0.02 only. The LSTM has a gate for each.

# %%
right = {name: shares[10] for name, shares in by_blank.items()}
assert right["GRU"] < 0.2
for name in ("LSTM", "GRU"):
    assert right[f"{name}, bias 4"] > right[name] + 0.15
    later = by_blank[f"{name}, bias 4"][11]
    assert abs(later - right[f"{name}, bias 4"]) < 0.1
assert by_blank["SimpleRNN"][11] < right["SimpleRNN"] - 0.2

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check gru my_answer.py`.
#
# 1. On paper: one sample, one unit, reset after, the last step. $z = 0.75$, $r = 0.5$,
#    $h_{t-1} = -1$, $x_h = 0.5$, $U_h = 4$, $b'_h = 3$, $U_z = U_r = 0$, $dh = 4$. Set
#    `h`, `da_z`, `da_r`, `du` and `dh_prev`.
# 2. **A whole backward**, with batch axis, for both ways to reset:
#    `gru_backward(dy, x, W, U, b, h_start, after)`. It runs forward first. `after` is
#    True or False. Return `dx, dW, dU, db, dh_start`. `b` and `db` are (2, 3H) for a
#    reset after, and (3H,) for one before.
# 3. A bug: these gradients are for a reset after. The network learns badly, though `dx`
#    and `dh_start` are right. Write it right as
#    `fixed_weight_gradients(da_h, r, u, h_prev)`. All four are (N, T, H). Return
#    `dU_h`, `db_h` and, for the bias inside the reset, `db_after`.
# 4. An experiment: choose `W` (2, 3), `U` (1, 3) and `b` (2, 3) of a `GRU(1)` that is a
#    switch. It reads two numbers a step, mostly $(0, 0)$. From a $(1, 0)$ on it shall
#    stay above 0.9, from a $(0, 1)$ on below -0.9, for 200 steps if need be.
#
# ```python
# def weight_gradients(da_h, r, u, h_prev):
#     dU_h = np.einsum("nti,ntj->ij", h_prev, da_h)
#     db_h = da_h.sum(axis=(0, 1))
#     return dU_h, db_h, db_h
# ```
