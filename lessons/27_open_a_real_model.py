# %% [markdown]
# # 27 · Open a real model and step into it
#
# *About 45 minutes.* First, in the terminal: `pip install 'nblayers[files]'`.
#
# A model has been trained with Keras. It reads a handwritten digit row by row and names
# it. You open its file here. It answers as it did there. Then you take its LSTM out,
# and go through it with one digit, forward and back, row by row. You come out at the
# points of the picture: **on what does the answer depend?** At last the training goes
# on where Keras has stopped.
#
# ## A question first
#
# One of the digits is a 2, and the model takes it for a 1. The picture has eight rows.
# Row 0 is at the top, and it is read first. In rows 6 and 7 is the foot of the 2. The
# answer is made from the *last* state alone.

# %%
import json
from zipfile import ZipFile

import numpy as np

from lessons.data import DIGIT_READER, digits_to_read, predictions_of_keras
from lessons.figures import draw_arrays, draw_going_on, draw_saliency
from nblayers.layers import LSTM
from nblayers.learn.graph import cell, show_graph
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import clone_model, load_model
from nblayers.utils import set_random_seed

model = load_model(DIGIT_READER)                # needs nblayers[files]
# ? guess: on which row, 0 to 7, does the loss of this 2 depend most?
most_of_all = 1

# %% [markdown]
# ## Open it
#
# A `.keras` file is a zip archive. `config.json` says what the model is made of.
# `model.weights.h5` holds its numbers. No program is in it: to open it runs nothing.

# %%
with ZipFile(DIGIT_READER) as archive:
    print(*archive.namelist(), sep="\n")
    written_by = json.loads(archive.read("metadata.json"))["keras_version"]
    settings = json.loads(archive.read("config.json"))["config"]["layers"]
print("written by Keras", written_by)
model.summary()

# %% [markdown]
# `Rescaling` divides the ink of each point, 0 to 16, by 16. The LSTM reads the eight
# rows. `Dense` makes ten probabilities of its last state. (The parameters of the
# optimiser come later.)
#
# Does it answer as Keras did? Keras' own predictions for 597 new digits lie beside the
# file.

# %%
images, labels, new_images, new_labels = digits_to_read()
of_keras, of_keras_later = predictions_of_keras()
answers = model.predict(new_images, verbose=0)
print("largest difference from Keras:", np.abs(answers - of_keras).max())
assert np.allclose(answers, of_keras, rtol=0, atol=1e-5)
told = answers.argmax(axis=1)
print(f"{np.mean(told == new_labels):.0%} of the new digits are right")

# %% [markdown]
# What the LSTM has been told is in its configuration. Look at the two activations, and
# at `unit_forget_bias`: the bias of the forget gates began with 1 (lesson 08).

# %%
reader = model.get_layer("reader")
config = reader.get_config()
for name in ("units", "activation", "recurrent_activation", "unit_forget_bias",
             "return_sequences", "go_backwards"):
    print(f"{name:22}{config[name]}")
assert settings[2]["config"]["units"] == config["units"] == 16

# %% [markdown]
# ## Numbers for paper: which column is whose?
#
# A file holds three arrays of an LSTM. Keras calls them `kernel`, `recurrent_kernel`
# and `bias`. They are our $W$, $U$ and $b$. Each has **four blocks side by side**, in
# the order $i$, $f$, $\tilde{C}$, $o$. Nothing in the file says so. You have to know.
#
# On paper: two inputs, two units. Here is a kernel whose numbers are just counted.

# %%
W_small = np.arange(16.0).reshape(2, 8)         # (in, 4H), H = 2
print(W_small)
# ? W_f, the part of W_small for the forget gate, (2, 2)
W_f = W_small[:, 2:4]
print("of f:", W_f.tolist())

# %% [markdown]
# Other libraries lay them otherwise. PyTorch has the same order, but its arrays stand
# the other way: (4H, in). And it has two biases. Some have $o$ before $\tilde{C}$. With
# a wrong order *all shapes fit*, and every answer is wrong.
#
# ## What lies where in the real one

# %%
inputs, H = 8, 16
# ? how_many numbers the LSTM holds, from inputs and H: all of W, U and b
how_many = 4 * H * (inputs + H + 1)
assert how_many == reader.count_params()
model.astype("float64")                         # for derivatives (lesson 01)
W, U, b = reader.get_weights()
V, c = model.get_layer("answer").get_weights()
for weight in model.weights:
    print(f"{weight.path:36}{weight.shape}")
save_figure(draw_arrays({"W": W, "U": U, "b": b[None]}), "27_arrays")
means = np.mean(np.split(b, 4), axis=1)         # by blocks: i, f, C_tilde, o
print("the mean of b in each block:", means.round(2).tolist())
assert means[1] > 0.9                           # begun with 1, and it stayed near it

# %% [markdown]
# That is how you tell an order that nobody has written down: in a trained LSTM the
# block of $b$ that lies near 1 is mostly that of the forget gate.
#
# ## Forward: one real digit
#
# Here is the 2. One sample ($N = 1$), eight rows ($T = 8$) of eight points.

# %%
k = 101                                         # the 2, among the new digits
image = new_images[k:k + 1].astype("float64")   # (1, 8, 8), ink from 0 to 16
for row in image[0]:
    print("".join(" .:-=+*#@"[int(point // 2)] * 2 for point in row))
print("it is a", new_labels[k], "- taken for a", told[k])
assert (new_labels[k], told[k]) == (2, 1)
x = image / 16                                  # what Rescaling makes of it

# %% [markdown]
# The step of an LSTM is that of lesson 08, and so is its walk. We let it read seven of
# the eight rows. It begins with zeros.
#
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f) \tag{004.LSTM.f}$$

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def lstm_step(a, C_prev):
    a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)
    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    C_tilde = np.tanh(a_C)
    C = f * C_prev + i * C_tilde
    return i, f, C_tilde, o, C, o * np.tanh(C)


def forward(x, h_prev, C_prev):
    steps = []
    for t in range(x.shape[1]):
        *gates, C, h = lstm_step(x[:, t] @ W + h_prev @ U + b, C_prev)
        steps.append((h_prev, C_prev, *gates, C, h))
        h_prev, C_prev = h, C
    return steps


zeros = np.zeros((1, H))
steps = forward(x[:, :7], zeros, zeros)
C_prev, h_prev = steps[6][-2:]

# %% [markdown]
# ## Forward: the last row is yours

# %%
# ? a, the pre-activations of the last row, x[:, 7], from h_prev, W, U and b
a = x[:, 7] @ W + h_prev @ U + b                # (1, 4H)
i, f, C_tilde, o = lstm_step(a, C_prev)[:4]
# ? C, the cell after the last row
C = f * C_prev + i * C_tilde
h = o * np.tanh(C)
steps.append((h_prev, C_prev, i, f, C_tilde, o, C, h))
# ? z, the ten logits that Dense makes of h, with V (16, 10) and c (10,)
z = h @ V + c
p = np.exp(z - z.max())
p = p / p.sum()                                 # softmax
for digit in np.argsort(-p[0])[:3]:
    print(f"{digit}: {p[0, digit]:.3f}")
assert np.allclose(p, of_keras[k:k + 1], rtol=0, atol=1e-5)

# %% [markdown]
# These are Keras' probabilities, and you have made them yourself. The **loss** is what
# Keras trained with, the cross-entropy: $L = -\ln p_2$.
#
# `loss_from(t, x, h_prev, C_prev)` reads the rows from $t$ on and gives the loss. The
# numerical derivative needs it.

# %%
onehot = np.eye(10)[[2]]                        # (1, 10), 1 at the right answer


def loss_of_h(h):
    z = h @ V + c
    return np.log(np.exp(z - z.max()).sum()) + z.max() - z[0, 2]


def loss_from(t, x, h_prev, C_prev):
    return loss_of_h(forward(x[:, t:], h_prev, C_prev)[-1][-1])


print("the loss of the 2:", loss_of_h(h).round(2))

# %% [markdown]
# ## Backward: from the loss to the last state
#
# For softmax and cross-entropy together you know $dz$ (lesson 04). Then it goes through
# Dense, to the state (lesson 02).

# %%
# ? dz, of shape (1, 10), from p and onehot
dz = p - onehot
check_derivative("dz", dz, lambda z: np.log(np.exp(z).sum()) - z[0, 2], z)
# ? dh, what arrives at the last state
dh = dz @ V.T
check_derivative("dh", dh, loss_of_h, h)

# %% [markdown]
# $$dz = p - \text{onehot} \qquad dh_7 = dz \, V^\top$$
#
# ## Backward: the last row
#
# Nothing follows, so nothing comes back from later, to $h$ or to $C$.

# %%
show_graph(cell("lstm"), lit="dh -> dC")
# ? dC of the last row, from dh, o and C
dC = dh * o * (1 - np.tanh(C) ** 2)
check_derivative("dC", dC, lambda C: loss_of_h(o * np.tanh(C)), C)

# %% [markdown]
# Now the whole step, which you have written in lesson 08. Write it once more. It is
# called for all eight rows, so it has a `dC_next`.

# %%
# ? [lstm_step_backward] def lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C,
# ? C_prev). Return da, (N, 4H) in the order of the gates, and dC_prev
def lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev):
    dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
    da_i = dC * C_tilde * i * (1 - i)
    da_f = dC * C_prev * f * (1 - f)
    da_C = dC * i * (1 - C_tilde ** 2)
    da_o = dh * np.tanh(C) * o * (1 - o)
    return np.concatenate([da_i, da_f, da_C, da_o], axis=1), dC * f


da_7, dC_prev = lstm_step_backward(dh, zeros, i, f, C_tilde, o, C, C_prev)
check_derivative("dC_prev", dC_prev, lambda C: loss_from(7, x, h_prev, C), C_prev)

# %% [markdown]
# ## Backward: the row before
#
# Dense reads the last state only. So at row 6 there is no $dy$: to $h_6$ comes what
# row 7 sends back, and nothing else.
#
# To $C_6$ two things come: `dC_prev` of row 7, and what comes through $h_6$.

# %%
show_graph(cell("lstm"), lit=["dC_next -> dC", "dh -> dC"])
dC_next = dC_prev
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[6]
# ? dh, all that arrives at h of row 6, from da_7
dh = da_7 @ U.T
check_derivative("dh of row 6", dh, lambda h: loss_from(7, x, h, C), h)
# ? dC, all that arrives at C of row 6
dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
check_derivative("dC of row 6", dC, lambda C: loss_from(7, x, o * np.tanh(C), C), C)

# %% [markdown]
# $$dh_t = da_{t+1} \, U^\top \qquad
#   dC_t = dC_{t+1} \odot f_{t+1} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
#
# ## Backward: from the last row to the first
#
# The values of row `t` are in `steps[t]`: h_prev, C_prev, i, f, C_tilde, o, C, h.

# %%
T = 8
da = np.zeros((1, T, 4 * H))
dh_next = dz @ V.T
dC_next = zeros
# ? [da] the walk: for t in reversed(range(T)). Fill da[:, t]; at h arrives dh_next
for t in reversed(range(T)):
    h_prev, C_prev, i, f, C_tilde, o, C, h = steps[t]
    da[:, t], dC_next = lstm_step_backward(
        dh_next, dC_next, i, f, C_tilde, o, C, C_prev)
    dh_next = da[:, t] @ U.T
assert np.allclose(da[:, 7], da_7)

# %% [markdown]
# ## Backward: out at the points
#
# Each $x_t$ stands in $a_t = x_t W + h_{t-1} U + b$. And $x$ is the ink, times 1/16.
#
# $$x = \text{scale} \cdot \text{ink} + \text{offset} \tag{001.10.Rescaling}$$

# %%
# ? dx, of shape (1, 8, 8), for all rows at once
dx = da @ W.T
check_derivative("dx", dx, lambda x: loss_from(0, x, zeros, zeros), x)
# ? dimage, the gradient of the loss by the ink itself, (1, 8, 8)
dimage = dx / 16
check_derivative("dimage", dimage, lambda ink: loss_from(0, ink / 16, zeros, zeros),
                 image)

# %% [markdown]
# You have gone through a whole real model. The finite differences read the picture 128
# times, and they agree.
#
# ## The same in the library
#
# Backward of the model does all that in one call. We give it the gradient by the
# *probabilities*: $L = -\ln p_2$, so it is $-1/p_2$ at the 2.

# %%
model.to("reference")
p_model = model.forward(image)
dimage_model = model.backward(-onehot / p_model)
print("largest difference:", np.abs(dimage_model - dimage).max())
assert np.allclose(p_model, p, rtol=0, atol=1e-12)
assert np.allclose(dimage_model, dimage, rtol=0, atol=1e-12)
dU = sum(steps[t][0].T @ da[:, t] for t in range(T))
assert np.allclose(reader.weights[1].grad, dU, rtol=0, atol=1e-12)

# %% [markdown]
# An LSTM out of a file is a layer like any other. Taken out, it reads by itself, and
# its `cache` holds the gates of all steps, by name. So you can look into any model.

# %%
alone = LSTM.from_config(reader.get_config()).to("reference")
alone.build(x.shape)
alone.set_weights(reader.get_weights())
assert np.allclose(alone.forward(x), steps[7][-1], rtol=0, atol=1e-12)
assert np.allclose(alone.cache.f[:, 6], steps[6][3], rtol=0, atol=1e-12)
show_source("kernels.reference.recurrent:lstm_step_backward")

# %% [markdown]
# ## A picture: on what the answer depends
#
# `dimage` tells for each point: **with a little more ink there, how does the loss
# grow?** Its absolute value is called the **saliency** of the point. For a row we add
# up its points.

# %%
# ? by_row, the saliency of each row, (8,): from dimage (1, 8, 8)
by_row = np.abs(dimage).sum(axis=(0, 2))
for t, amount in enumerate(by_row):
    print(f"row {t} {'█' * round(100 * amount)}")
assert by_row.argmax() == most_of_all and by_row[6:].sum() < 0.15 * by_row.sum()

# %% [markdown]
# Not the last rows, though they are the nearest ones. What the top of the picture says
# goes through the cell and arrives (lesson 08). The foot, by which *we* tell a 2 from a
# 1, hardly counts here.
#
# Saliency speaks of a *small change*. It does not say what the ink that is there has
# done. A point without ink has a saliency too. For a rough share of the ink itself one
# takes each slope times its own ink. It has a sign: above 0, it raises the loss.

# %%
# ? share, ink times slope, added up by rows, (8,)
share = (image * dimage).sum(axis=(0, 2))
print("ink times slope, by rows:", share.round(2).tolist())
save_figure(draw_saliency(image[0], dimage[0], by_row, share), "27_saliency")

# %% [markdown]
# In the second panel, red points are those where more ink would make the loss larger.
# Blue ones would make it smaller. Is it true? We change every point a little, by one
# shade of the 16, against its slope.

# %%
changed = np.clip(image - np.sign(dimage), 0, 16)
p_changed = model.forward(changed)
print(f"a 2 before: {p[0, 2]:.2f}, after: {p_changed[0, 2]:.2f}")
assert p_changed.argmax() == 2                  # now it is right

# %% [markdown]
# One shade of sixteen, and the answer is another one. It works the other way too, with
# digits that are right. (Exercise 4.)
#
# ## The optimiser was in the file, too
#
# Adam keeps two arrays for each weight (lesson 05): the mean of its gradients, $m$, and
# that of their squares, $v$. They are in the file, and so is the number of steps. Let
# us go on by one step, with 40 digits.

# %%
again = load_model(DIGIT_READER)                # float32 again, as it was written
adam = again.optimizer
print("steps so far:", adam.iterations, "= 8 epochs of 1200 / 40")
m_before, v_before = (np.array(state) for state in adam.variables[2:4])     # of W
kernel = again.get_layer("reader").weights[0]
assert m_before.shape == kernel.shape == (8, 64) and adam.iterations == 240

batch, right = images[:40], np.eye(10)[labels[:40]]
p_batch = again.forward(batch, training=True)
again.backward((-right / p_batch / 40).astype("float32"))       # of the mean loss
g, W_before = kernel.grad.copy(), kernel.value.copy()
beta1, beta2, eta = adam.beta_1, adam.beta_2, adam.learning_rate
number = adam.iterations + 1                    # of this step
# ? m, the mean of the gradients after this step, from m_before, g and beta1
m = beta1 * m_before + (1 - beta1) * g
v = beta2 * v_before + (1 - beta2) * g ** 2
alpha = eta * np.sqrt(1 - beta2 ** number) / (1 - beta1 ** number)
W_after = W_before - alpha * m / (np.sqrt(v) + adam.epsilon)
adam.step(again.trainable_weights)
assert np.allclose(kernel.value, W_after, rtol=0, atol=1e-6)

# %% [markdown]
# ## And if the optimiser's state had been lost?
#
# A new Adam begins with zeros. In its first step $m / \sqrt{v}$ is in proportion to
# $g / |g|$, which is 1 or -1: **every weight that has a gradient moves by the whole**
# $\eta$, be it large or tiny. (A point that never has ink gives its weights no
# gradient.)

# %%
alone = load_model(DIGIT_READER)
alone.compile("adam", loss="sparse_categorical_crossentropy")   # a new Adam
alone.optimizer.learning_rate = eta
alone.forward(batch, training=True)
alone.backward((-right / p_batch / 40).astype("float32"))
alone.optimizer.step(alone.trainable_weights)
cold = np.abs(alone.get_layer("reader").weights[0].value - W_before)
warm = np.abs(W_after - W_before)
for name, moved in (("with the state", warm), ("with a new one", cold)):
    print(f"{name}: half of the weights move by more than {np.median(moved):.5f}")
assert np.median(cold) > 0.99 * eta > 3 * np.median(warm)

# %% [markdown]
# ## A real task: the training goes on
#
# Keras went on too, after it had saved the file: one epoch more, without shuffling. We
# do the same. If anything was missing from the file, it shows here.

# %%
again = load_model(DIGIT_READER)
again.fit(images, labels, batch_size=40, epochs=1, shuffle=False, verbose=0)
later = again.predict(new_images, verbose=0)
print("after one more epoch, from Keras:", np.abs(later - of_keras_later).max())
assert np.allclose(later, of_keras_later, rtol=0, atol=1e-3)

# %% [markdown]
# Thirty steps later it is still Keras' model. Now eleven more epochs. There are two
# **baselines**: the model as it was in the file, and a new one of the same kind, which
# learns for eleven epochs too.

# %%
set_random_seed(0)
new = clone_model(again)
new.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
new.optimizer.learning_rate = eta
exam = (new_images, new_labels)
curves = {name: one.fit(images, labels, batch_size=40, epochs=11, validation_data=exam,
                        verbose=0).history["val_accuracy"]
          for name, one in (("gone on", again), ("from the beginning", new))}
as_found = np.mean(told == new_labels)
for name, curve in curves.items():
    print(f"{name:20}{curve[-1]:.0%} right")
print(f"{'as it was found':20}{as_found:.0%} right")
now = again.predict(new_images, verbose=0).argmax(axis=1)
print("our 2 is now taken for a", now[k])
save_figure(draw_going_on(curves, as_found, new_images, new_labels, now), "27_going_on")
assert curves["gone on"][-1] > as_found + 0.03

# %% [markdown]
# What is still wrong you see in the picture. Some of them nobody could name for
# certain: 8 × 8 points are few.
#
# `again.save("my_reader.keras")` writes a file that Keras opens, with the state of the
# optimiser in it.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 27 my_answer.py`.
#
# 1. On paper: an LSTM of one input and one unit has `kernel = [[1, 3, 2, 0]]`, and its
#    bias is zero. It reads $x = 0$, with $h_{t-1} = 0$ and $C_{t-1} = 4$. To its cell
#    comes $dC = 1$. Set `da_f`, `da_C` and `dx`.
# 2. **A whole backward**, for a batch: `input_gradient(x, labels, W, U, b, V, c)`. It
#    runs forward first: an LSTM that begins with zeros, Dense and softmax on its last
#    state. `x` is (N, T, in), `labels` is (N,). Return `dx`, the gradient of each
#    sample's own cross-entropy by its `x`.
# 3. A bug: `from_torch` takes the four arrays of a PyTorch LSTM and makes Keras' three
#    of them. All shapes fit, and the model answers nonsense. Write it right as
#    `fixed_from_torch`.
# 4. An experiment: change every point of the new digits by `eps` shades, *with* its
#    slope (`image + eps * np.sign(dimage)`, clipped to 0 … 16). With which `eps` does
#    the model of the file misread half of what it had right? Set `eps`, to a tenth.
#
# ```python
# def from_torch(weight_ih, weight_hh, bias_ih, bias_hh):
#     units = weight_hh.shape[1]
#     W = weight_ih.T
#     U = weight_hh.reshape(units, 4 * units)
#     return W, U, bias_ih + bias_hh
# ```
