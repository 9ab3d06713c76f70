# %% [markdown]
# # 05 · Loss, optimiser, and a training loop by hand
#
# *About 45 minutes, without the exercises.* You can compute gradients now. Here you use
# them. A **loss** says in one number how wrong a network is. An **optimiser** is the
# rule that turns a gradient into a step. You write four such rules: plain gradient
# descent, momentum, RMSprop and Adam. Then you train a small network with nothing but
# NumPy.
#
# ## A question first
#
# One weight has the gradient −2000, and the learning rate is 0.1. Plain gradient
# descent moves the weight by $0.1 \cdot 2000 = 200$. By how much does Adam move it, in
# its very first step? And if the gradient were −0.002?

# %%
import numpy as np

from lessons.data import digits
from lessons.figures import draw_digit_mistakes, draw_training, draw_valley
from nblayers.layers import Dense
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import CategoricalCrossentropy, MeanSquaredError
from nblayers.optimizers import SGD, Adam, RMSprop
from nblayers.parameter import Parameter

# ? guess: by how much does Adam move that weight in its first step?
adam_first = 0.1

# %% [markdown]
# ## Numbers for paper: two losses
#
# Two samples ($N = 2$) with two outputs each ($D = 2$); $t$ is the target. For numbers
# that may be anything one takes the **mean squared error**, the mean over all of them:
#
# $$L = \frac{1}{N D} \sum_n \sum_d (y_{nd} - t_{nd})^2$$

# %%
y = np.array([[1.0, 3.0],
              [2.0, 0.0]])              # (N, D)
t = np.array([[0.0, 1.0],
              [2.0, 2.0]])              # (N, D)
# ? mse, the mean squared error, as a number; do it on paper
mse = 2.25
assert np.mean((y - t) ** 2) == mse

# ? dy, the gradient of the mean squared error by y
dy = 2 * (y - t) / 4
check_derivative("dy", dy, lambda y: np.mean((y - t) ** 2), y)
assert dy.tolist() == [[0.5, 1], [0, -1]]

# %% [markdown]
# For classes one takes the **cross-entropy** of lesson 04: minus the logarithm of the
# probability that the right class has, here again the mean over the samples.
#
# $$L = -\frac{1}{N} \sum_n \sum_i t_{ni} \ln p_{ni}$$
#
# Two samples, three classes. The **logits**, the numbers before softmax, are such that
# softmax gives simple fractions.

# %%
logits = np.log([[2.0, 1.0, 1.0],
                 [1.0, 2.0, 1.0]])
classes = np.array([[1.0, 0.0, 0.0],
                    [0.0, 0.0, 1.0]])   # the first is of class 0, the second of class 2


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(z, t):
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.sum(t * log_p) / len(z)


p = softmax(logits)
assert np.allclose(p, [[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 2, 1 / 4]])
assert np.isclose(cross_entropy(logits, classes), 1.5 * np.log(2))

# %% [markdown]
# For one sample, lesson 04 found $p - t$. For the mean of $N$ samples?

# %%
# ? dlogits, from p and classes
dlogits = (p - classes) / 2
check_derivative("dlogits", dlogits, lambda z: cross_entropy(z, classes), logits)
assert np.allclose(8 * dlogits, [[-2, 1, 1], [1, 2, -3]])

# %% [markdown]
# Why divide by $N$ at all? A gradient is a sum over the batch (lesson 02). With the
# mean, a batch of 64 gives a gradient of the same size as a batch of 32, and the
# learning rate may stay. **Divide once**, at the loss. No layer divides again.
#
# ## A step against the gradient
#
# The gradient $g = \partial L / \partial w$ points to where the loss grows. So go the
# other way. How far is told by the **learning rate** $\eta$ (eta):
#
# $$w \gets w - \eta \, g \tag{002.Update}$$
#
# In all that follows: two weights, one with a large gradient, one with a small one.

# %%
w = np.array([1.0, 1.0])
g = np.array([4.0, -0.5])
eta = 0.1
# ? w_sgd: where one plain step leads
w_sgd = w - eta * g
assert np.allclose(w_sgd, [0.6, 1.05])

# %% [markdown]
# (It is called **SGD**, stochastic gradient descent. Stochastic means "by chance": the
# gradient is that of a batch drawn by chance, not of all data.)
#
# How large may $\eta$ be? Take one weight with the loss $L = \frac{1}{2} c w^2$, a
# parabola. $c$ says how strongly it is curved. Here $g = c w$, so a step makes of $w$
#
# $$w - \eta c w = (1 - \eta c) \, w$$
#
# It is multiplied by $1 - \eta c$, at every step again.

# %%
# ? guess: c = 4; from which learning rate on does w come no nearer to 0?
limit = 0.5
for rate in (0.05, 0.25, 0.45, limit, 0.55):
    places = [(1 - rate * 4) ** k for k in range(6)]
    print(f"eta = {rate:.2f}:", *(f"{place:7.3f}" for place in places))
assert abs(1 - limit * 4) == 1

# %% [markdown]
# At $\eta = 1/c$ one step leads to the bottom. Beyond it, each step jumps over the
# bottom to the other side. From $2/c$ on it lands higher up than before. The steepest
# direction sets the limit for all weights. That is the trouble with plain steps. Think
# of a long narrow valley: a step that is short enough to cross it is much too short to
# get along it.
#
# ## Momentum
#
# A ball does not forget at once how it rolled. Keep a velocity $u$. At every step a
# part $\mu$ of it is kept, and the new push is added:
#
# $$u \gets \mu u - \eta g \qquad w \gets w + u$$
#
# Here is the second step, with the same gradient as in the first.

# %%
mu = 0.9
u_first = -eta * g                      # the first step: u was 0
w_first = w + u_first
# ? u, the velocity of the second step
u = mu * u_first - eta * g
# ? w_momentum: where the second step leads, from w_first
w_momentum = w_first + u
assert np.allclose(u, [-0.76, 0.095]) and np.allclose(w_momentum, [-0.16, 1.145])

# %%
# ? guess: if g stays the same for long, u becomes how many times as long as u_first?
times = 10
velocity = u_first
for _ in range(200):
    velocity = mu * velocity - eta * g
assert np.allclose(velocity, times * u_first)

# %% [markdown]
# The pushes add up to $1 + \mu + \mu^2 + \dots = 1 / (1 - \mu)$. Along a valley they
# all point the same way, so the steps grow. Across it they change sign and cancel.
#
# **Nesterov's** momentum looks ahead along $u$ before it pushes. Keras writes that as
# $w \gets w + \mu u - \eta g$, with the new $u$.
#
# ## RMSprop
#
# Why should a weight with a small gradient take small steps? **RMSprop** divides by the
# root of the mean square of the gradient (*RMS*, root mean square). The mean $v$ runs
# along: a part $\rho$ (rho) of the old mean, and the rest new. It begins at 0.
#
# $$v \gets \rho v + (1 - \rho) \, g^2$$
#
# $$w \gets w - \eta \frac{g}{\sqrt{v + \epsilon}}$$
#
# $\epsilon$ (epsilon, here $10^{-7}$) keeps the division finite where $v$ is 0. Keras
# has it under the root; many texts have it outside.

# %%
rho, epsilon = 0.9, 1e-7
v_before = np.zeros(2)
# ? v, after the first step
v = rho * v_before + (1 - rho) * g ** 2
# ? w_rms: where the first step leads
w_rms = w - eta * g / np.sqrt(v + epsilon)
print("RMSprop moves w by", (w_rms - w).round(3).tolist())
assert np.allclose(np.abs(w_rms - w), 0.1 / np.sqrt(0.1), rtol=1e-4)

# %% [markdown]
# Both weights move **equally far**, though one gradient is eight times the other. But
# it is 0.316, not 0.1. The mean began at 0, and after one step it holds only a tenth of
# $g^2$. So the first steps are too long.
#
# ## Adam
#
# **Adam** takes both ideas: a running mean $m$ of the gradient in place of the gradient
# itself, over the root of the running mean $v$ of its square.
#
# $$m \gets \beta_1 m + (1 - \beta_1) \, g$$
#
# $$v \gets \beta_2 v + (1 - \beta_2) \, g^2$$

# %%
beta1, beta2 = 0.9, 0.999
m_before, v_before = np.zeros(2), np.zeros(2)
# ? m, after the first step
m = beta1 * m_before + (1 - beta1) * g
# ? v_adam, after the first step
v_adam = beta2 * v_before + (1 - beta2) * g ** 2
assert np.allclose(m, [0.4, -0.05]) and np.allclose(v_adam, [0.016, 0.00025])

# %% [markdown]
# Both are too small, since they began at 0. How much too small? Each step keeps the
# part $\beta_1$ of what was there. So after step $k$ the 0 of the beginning still has
# the share $\beta_1^k$ in the mean. All gradients together have the rest,
# $1 - \beta_1^k$. Adam divides by that share. This is the **bias correction**. With
# the two corrected means, $\hat m$ and $\hat v$, it takes its step:
#
# $$w \gets w - \eta \, \frac{\hat m}{\sqrt{\hat v} + \epsilon}$$

# %%
k = 1                                   # the first step
# ? m_hat, at step k
m_hat = m / (1 - beta1 ** k)
# ? v_hat, at step k
v_hat = v_adam / (1 - beta2 ** k)
assert np.allclose(m_hat, g) and np.allclose(v_hat, g ** 2)

# ? w_adam: where the first step leads
w_adam = w - eta * m_hat / (np.sqrt(v_hat) + epsilon)
print("Adam moves w by", (w_adam - w).round(6).tolist())
assert np.allclose(np.abs(w_adam - w), adam_first)

# %% [markdown]
# $$\hat m = \frac{m}{1 - \beta_1^k} \qquad \hat v = \frac{v}{1 - \beta_2^k}$$
#
# In the first step $\hat m = g$ and $\hat v = g^2$, so $\hat m / \sqrt{\hat v}$ is the
# sign of $g$. **Every weight moves by $\eta$, whatever its gradient.** That answers the
# question: 0.1, for −2000 and for −0.002.
#
# Keras takes both corrections and $\eta$ into one number $\alpha$, and puts $\epsilon$
# beside the uncorrected root. Where gradients are not tiny the two agree:
#
# $$w \gets w - \alpha \, \frac{m}{\sqrt{v} + \epsilon}$$

# %%
# ? alpha, at step k: from eta, beta1, beta2 and k (without epsilon both steps are one)
alpha = eta * np.sqrt(1 - beta2 ** k) / (1 - beta1 ** k)
w_keras = w - alpha * m / (np.sqrt(v_adam) + epsilon)
print("difference between the two ways:", np.abs(w_keras - w_adam).max())
assert 0 < np.abs(w_keras - w_adam).max() < 1e-6

# %% [markdown]
# $$\alpha = \eta \frac{\sqrt{1 - \beta_2^k}}{1 - \beta_1^k}$$
#
# ## Each rule as a function
#
# A rule is given the weights, their gradient, what it keeps (its
# **state**), the number $k$ of the step (from 1) and the learning rate. It returns the
# new weights and the new state.

# %%
def sgd_step(w, g, k, eta):
    return (w - eta * g,)


def momentum_step(w, g, u, k, eta):
    u = mu * u - eta * g
    return w + u, u


def rmsprop_step(w, g, v, k, eta):
    v = rho * v + (1 - rho) * g ** 2
    return w - eta * g / np.sqrt(v + epsilon), v


# %% [markdown]
# The fourth is yours: Adam, as Keras writes it. (A mean may be written
# $m + (1 - \beta_1)(g - m)$ too. That is the same number but for rounding.)

# %%
# ? [adam_step] def adam_step(w, g, m, v, k, eta): returns the new w, m, v
def adam_step(w, g, m, v, k, eta):
    m = m + (1 - beta1) * (g - m)
    v = v + (1 - beta2) * (g ** 2 - v)
    alpha = eta * np.sqrt(1 - beta2 ** k) / (1 - beta1 ** k)
    return w - alpha * m / (np.sqrt(v) + epsilon), m, v


# %% [markdown]
# ## The same in the library
#
# Ten steps of each beside the library's optimisers, with the same ten gradients.
# Written as Keras writes it, ours ends at the same place to the last digit. (With your
# $\epsilon$ in another place, or your sums in another order, a little is left.)

# %%
pushes = np.random.default_rng(0).normal(size=(10, 2))


def walk_beside(step, states, optimizer):
    """Ten steps of ours and of the library's; returns where each of them ends."""
    parameter = Parameter(w.copy())
    ours, kept = w.copy(), [np.zeros(2) for _ in range(states)]
    for number, push in enumerate(pushes, 1):
        ours, *kept = step(ours, push, *kept, number, 0.1)
        parameter.grad[...] = push
        optimizer.step([parameter], device="reference")
    return ours, parameter.value


for step, states, optimizer in ((sgd_step, 0, SGD(0.1)),
                                (momentum_step, 1, SGD(0.1, momentum=0.9)),
                                (rmsprop_step, 1, RMSprop(0.1)),
                                (adam_step, 2, Adam(0.1))):
    ours, theirs = walk_beside(step, states, optimizer)
    print(f"{step.__name__:14} ours {ours.round(4)}, the library's {theirs.round(4)},"
          f" difference {np.abs(ours - theirs).max():.0e}")
    assert np.allclose(ours, theirs, rtol=0, atol=1e-5)

show_source("kernels.reference.optimizers:adam")

# %% [markdown]
# There is your rule. Around it stand three things more: `scale` shrinks gradients that
# are too long (lesson 07), `decay` shrinks the weights (lesson 18), and `amsgrad` is a
# variant that keeps the largest $v$. The two losses:

# %%
value, gradient = MeanSquaredError().value_and_gradient(t, y)
assert value == mse and np.array_equal(gradient, dy)
from_logits = CategoricalCrossentropy(from_logits=True)
value, gradient = from_logits.value_and_gradient(classes, logits)
assert np.isclose(value, 1.5 * np.log(2)) and np.allclose(gradient, dlogits, rtol=1e-14)

# %% [markdown]
# ## A picture: four ways down a valley
#
# $L = \frac{1}{2} (w_0^2 + 50 \, w_1^2)$: flat along $w_0$, fifty times as curved along
# $w_1$. All begin at the same place and take 60 steps.

# %%
curvature = np.array([1.0, 50.0])
start = np.array([-4.0, 1.0])


def walk(step, states, eta):
    """The places of 60 steps down the valley, the start included: (61, 2)."""
    places, kept = [start], [np.zeros(2) for _ in range(states)]
    for number in range(1, 61):
        place, *kept = step(places[-1], curvature * places[-1], *kept, number, eta)
        places.append(place)
    return np.array(places)


paths = {"SGD, η = 0.038": walk(sgd_step, 0, 0.038),
         "momentum, η = 0.01": walk(momentum_step, 1, 0.01),
         "RMSprop, η = 0.1": walk(rmsprop_step, 1, 0.1),
         "Adam, η = 0.3": walk(adam_step, 2, 0.3)}
heights = {name: 0.5 * (curvature * path ** 2).sum(axis=1)
           for name, path in paths.items()}
for name, height in heights.items():
    print(f"{name:19} loss {height[10]:.3f} after 10 steps, {height[60]:.4f} after 60")
save_figure(draw_valley(paths, heights, curvature), "05_valley")

wild = walk(sgd_step, 0, 0.041)         # 2 / 50 is 0.04
assert np.abs(wild[-1, 1]) > 10 and heights["SGD, η = 0.038"][60] < 0.1

# %% [markdown]
# Plain steps jump from wall to wall and creep along the bottom. Momentum swings, but
# comes along. RMSprop and Adam do not see the fifty: they measure every direction by
# its own gradients. Adam swings too, since it keeps a mean of the gradient, as momentum
# does.
#
# ## A network, backward by hand
#
# Two layers: $a = x W_1 + b_1$, $h = \text{relu}(a)$, logits $z = h W_2 + b_2$, then
# softmax and cross-entropy. Two samples of three numbers, two hidden units, two
# classes.
#
# ```text
#    x ──▶ a ──▶ h ──▶ z ──▶ L          W1, b1 enter at a;  W2, b2 enter at z
#         da ◀── dh ◀── dz ◀─┘
# ```

# %%
x = np.array([[1.0, 2.0, 0.0],
              [-1.0, 1.0, 1.0]])        # (N, in)
target = np.array([[1.0, 0.0],
                   [0.0, 1.0]])         # (N, classes)
W1, b1 = np.array([[1.0, -1.0], [0.5, 1.0], [0.0, 0.5]]), np.array([0.0, 0.5])
W2, b2 = np.array([[1.0, 0.0], [-1.0, 1.0]]), np.array([0.5, 0.0])


def forward(x, W1, b1, W2, b2):
    """The pre-activation, the hidden units, the logits."""
    a = x @ W1 + b1
    h = np.maximum(a, 0)
    return a, h, h @ W2 + b2


def loss_of(W1, b1, W2, b2):
    return cross_entropy(forward(x, W1, b1, W2, b2)[2], target)


a, h, z = forward(x, W1, b1, W2, b2)
print("h =", h.tolist(), "  z =", z.tolist())
assert h.tolist() == [[2, 1.5], [0, 3]]

# %% [markdown]
# ## The way back
#
# All of it comes from lessons 02, 03 and 04.

# %%
# ? dz, the gradient by the logits; the loss is a mean over N = 2
dz = (softmax(z) - target) / 2
check_derivative("dz", dz, lambda z: cross_entropy(z, target), z)

# ? dW2
dW2 = h.T @ dz
check_derivative("dW2", dW2, lambda W2: loss_of(W1, b1, W2, b2), W2)

# ? db2
db2 = dz.sum(axis=0)
check_derivative("db2", db2, lambda b2: loss_of(W1, b1, W2, b2), b2)

# ? dh
dh = dz @ W2.T
check_derivative("dh", dh, lambda h: cross_entropy(h @ W2 + b2, target), h)

# ? da, through relu
da = dh * (a > 0)
# ? dW1
dW1 = x.T @ da
check_derivative("dW1", dW1, lambda W1: loss_of(W1, b1, W2, b2), W1)

# ? db1
db1 = da.sum(axis=0)
check_derivative("db1", db1, lambda b1: loss_of(W1, b1, W2, b2), b1)

# %% [markdown]
# The library's layers give the same four gradients:

# %%
hidden = Dense(2, activation="relu", dtype="float64")
last = Dense(2, dtype="float64")
hidden.build(x.shape)
last.build(h.shape)
hidden.set_weights([W1, b1])
last.set_weights([W2, b2])

output = last.forward(hidden.forward(x))
hidden.backward(last.backward(from_logits.gradient(target, output)))
assert np.allclose(hidden.kernel.grad, dW1, rtol=1e-13, atol=1e-14)
assert np.allclose(hidden.bias.grad, db1, rtol=1e-13, atol=1e-14)
assert np.allclose(last.kernel.grad, dW2, rtol=1e-13, atol=1e-14)
assert np.allclose(last.bias.grad, db2, rtol=1e-13, atol=1e-14)

# %% [markdown]
# ## A real task: read digits
#
# 1,797 handwritten digits of 8 × 8 points. 1,200 are for training, 597 are kept apart,
# to see what the network does with digits that it has never seen. 64 inputs, 32 hidden
# units, ten classes. The **baseline**: the mean picture of each digit; a new one is
# called by the nearest.

# %%
images, labels = digits()
order = np.random.default_rng(0).permutation(len(images))
images = images[order].reshape(-1, 64) / 16             # every point from 0 to 1
labels = labels[order]
known, known_labels = images[:1200], labels[:1200]
new, new_labels = images[1200:], labels[1200:]

means = np.array([known[known_labels == digit].mean(axis=0) for digit in range(10)])
distances = np.square(new[:, None] - means).sum(axis=2)         # (597, 10)
baseline = (distances.argmin(axis=1) == new_labels).mean()
print(f"baseline: {baseline:.1%} of the new digits are right")

# %% [markdown]
# ## One function for a batch of any size
#
# Now put your seven lines from above into one function. The training loop will call it.

# %%
# ? [gradients] def gradients(x, target, W1, b1, W2, b2): forward, then backward;
# ? return the loss, and a tuple of dW1, db1, dW2, db2
def gradients(x, target, W1, b1, W2, b2):
    a, h, z = forward(x, W1, b1, W2, b2)
    dz = (softmax(z) - target) / len(x)
    da = (dz @ W2.T) * (a > 0)
    slopes = x.T @ da, da.sum(axis=0), h.T @ dz, dz.sum(axis=0)
    return cross_entropy(z, target), slopes


loss, slopes = gradients(x, target, W1, b1, W2, b2)
for slope, ours in zip(slopes, (dW1, db1, dW2, db2), strict=True):
    assert np.allclose(slope, ours)

# %% [markdown]
# ## The training loop
#
# A **batch** of 32 digits gives one gradient and one step. All batches
# once are an **epoch**. Before each epoch the digits are shuffled.

# %%
def new_weights(rng):
    """He initialisation (lesson 03) for the hidden layer; 1 / inputs for the last."""
    return [rng.normal(scale=np.sqrt(2 / 64), size=(64, 32)), np.zeros(32),
            rng.normal(scale=np.sqrt(1 / 32), size=(32, 10)), np.zeros(10)]


one_hot = np.eye(10)[known_labels]      # a row for each digit, 1 at its class


def train(step, states, eta, epochs=15):
    """A training loop; returns the weights, and the mean loss of each epoch."""
    rng = np.random.default_rng(1)
    weights = new_weights(rng)
    kept = [[np.zeros_like(weight) for _ in range(states)] for weight in weights]
    history, k = [], 0
    for _ in range(epochs):
        losses = []
        for batch in np.array_split(rng.permutation(1200), 1200 // 32):
            loss, slopes = gradients(known[batch], one_hot[batch], *weights)
            losses.append(loss)
            k += 1
            for n, slope in enumerate(slopes):
                weights[n], *kept[n] = step(weights[n], slope, *kept[n], k, eta)
        history.append(np.mean(losses))
    return weights, history


# %% [markdown]
# ## Four optimisers at work

# %%
def share_right(weights):
    answers = forward(new, *weights)[2].argmax(axis=1)
    return (answers == new_labels).mean()


# %% [markdown]
# First each with a learning rate that suits it. Then each with five rates.

# %%
rules = {"SGD": (sgd_step, 0, 0.3), "momentum": (momentum_step, 1, 0.03),
         "RMSprop": (rmsprop_step, 1, 0.003), "Adam": (adam_step, 2, 0.01)}
trained = {name: train(*rule) for name, rule in rules.items()}
for name, (weights, history) in trained.items():
    print(f"{name:9} loss {history[0]:.2f} to {history[-1]:.3f},"
          f" {share_right(weights):.1%} of the new digits are right")
assert min(share_right(weights) for weights, _ in trained.values()) > baseline + 0.03

rates = [1e-4, 1e-3, 1e-2, 1e-1, 1]
print("right after 5 epochs, with the learning rates", *rates)
reached = {name: [share_right(train(step, states, rate, epochs=5)[0]) for rate in rates]
           for name, (step, states, _) in rules.items()}
for name, shares in reached.items():
    print(f"{name:9}", *(f"{share:5.0%}" for share in shares))
assert reached["Adam"][1] > 0.8 and reached["SGD"][1] < 0.3
curves = {name: history for name, (_, history) in trained.items()}
save_figure(draw_training(curves, rates, reached, baseline), "05_training")

# %% [markdown]
# With the right learning rate all four get there. RMSprop and Adam have an advantage:
# they learn well with a small rate too. At 0.001 they are at work already, where SGD
# has hardly begun.
#
# And what does the network get wrong?

# %%
answers = forward(new, *trained["Adam"][0])[2].argmax(axis=1)
wrong = np.flatnonzero(answers != new_labels)
pairs = [f"{new_labels[n]} taken for {answers[n]}" for n in wrong]
print(f"{len(wrong)} of 597 are wrong:", ", ".join(pairs[:8]), "…")
assert 0 < len(wrong) < 40
save_figure(draw_digit_mistakes(new[wrong], new_labels[wrong], answers[wrong]),
            "05_mistakes")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 05 my_answer.py`.
#
# 1. On paper: $w = 2$, $g = -3$, $\eta = 0.1$, nothing kept yet. Where does the first
#    step lead with SGD (`w_sgd`), and with Adam (`w_adam`)? And where does the
#    **second** step of momentum lead ($\mu = 0.9$, the same $g$ again): `w_momentum`?
# 2. A whole backward: $h = \tanh(x W_1 + b_1)$, $y = h W_2 + b_2$, and the mean squared
#    error to $t$, for a batch. Write `network_gradients(x, t, W1, b1, W2, b2)`; return
#    the loss and the list of dW1, db1, dW2, db2.
# 3. A bug, below: an Adam that takes a right first step, then slows down. Write it
#    right as `fixed_adam(w, g, m, v, k, eta)`, which returns w, m, v.
# 4. An experiment: the valley $L = \frac{1}{2} (w_0^2 + 9 w_1^2)$ from (−4, 1), plain
#    steps. With which learning rate is the loss below $10^{-9}$ soonest? Set `best_eta`
#    (3 % will do). How far from the limit $2/9$ is it?
#
# ```python
# def adam(w, g, m, v, k, eta):
#     m = 0.9 * m + 0.1 * g
#     v = 0.999 * v + 0.001 * g ** 2
#     m = m / (1 - 0.9 ** k)
#     v = v / (1 - 0.999 ** k)
#     return w - eta * m / (np.sqrt(v) + 1e-7), m, v
# ```
