# %% [markdown]
# # 00 · The chain rule on a graph
#
# *About 25 minutes.* A network is a long calculation, made of small ones. Each small
# one has a slope that you know from school. The **chain rule** joins these slopes. In
# this lesson you walk back through a calculation by hand. Then you write a program that
# does.
#
# In every lesson some lines are missing. It is **your turn** to write them. Your line
# is compared with the right one at once, and you are told what is wrong with it: at
# your first try in short, at the next in more words. Press Enter twice to see the line.
# Where a question asks for a guess, guess: the lesson comes back to it. (A line that
# begins with `assert` is a promise. If what stands behind it were not true, the lesson
# would stop there.)
#
# ## A question first
#
# Take $v = u \cdot u + u$. At $u = 4$ it is 20.

# %%
import numpy as np

from lessons.data import zeros_and_ones
from lessons.figures import draw_graph, draw_zeros_and_ones
from nblayers.layers import Dense
from nblayers.learn.tools import check_derivative, save_figure, show_source

# %%
# ? guess: how many times as fast as u does v grow there?
slope_at_4 = 9.0

# %% [markdown]
# ## Numbers for paper
#
# The smallest network there is: one input $x$, one weight $w$, one bias $b$. A target
# $t$ says what should have come out.

# %%
x = 2.0
w = 3.0
b = -4.0
t = 5.0

# %% [markdown]
# ## Forward, one node at a time
#
# This is the calculation as a **graph**. A **node** takes one or two values and makes
# one. An arrow says where the value goes.
#
# ```
# x ──┐
#     ├─→ times ── a ──┐
# w ──┘                ├─→ plus ── y ──┐
# b ───────────────────┘               ├─→ minus ── e ──→ square ── L
# t ───────────────────────────────────┘
# ```
#
# A **layer** is a part of a network that one can take as a whole: numbers go in,
# numbers come out. The first two nodes are a layer that is called **Dense**, here with
# one input and one output:
#
# $$a = x w \qquad y = a + b \tag{001.06.Dense}$$
#
# The tag at the right says where a formula comes from. `nblayers formula 001.06.Dense`
# shows it, with its layer and its lesson.

# %%
# ? a, from x and w
a = x * w
# ? y, from a and b
y = a + b
print("a =", a, " y =", y)
assert (a, y) == (6, 2)

# %% [markdown]
# The other two nodes say how wrong that is: the error $e$, and its square, the **loss**
# $L$. The smaller the loss, the better.
#
# $$e = y - t \qquad L = e^2$$

# %%
# ? e, from y and t
e = y - t
L = e ** 2
print("e =", e, " L =", L)
assert (e, L) == (-3, 9)

# %% [markdown]
# ## Backward: what comes from above, times the local slope
#
# How fast does $L$ grow when $w$ grows? That is the **gradient** of $w$, which we call
# $dw$. And we ask it of every value on the way: $de$ is how fast $L$ grows with $e$.
#
# $$de = \frac{\partial L}{\partial e} \qquad dw = \frac{\partial L}{\partial w}$$
#
# (The sign $\partial$ is the $d$ of a derivative by one of several variables. The
# others hold still meanwhile.)
#
# Begin at the end: $L$ grows as fast as itself, so $dL = 1$. Then walk back, node by
# node. No node has to know the whole graph. It knows its **local slope**: how fast its
# output grows with its input. That is all it needs:
#
# $$d_{\text{input}} = d_{\text{output}} \cdot
#   \frac{\partial \text{output}}{\partial \text{input}}$$
#
# First the square. The slope of $e^2$ is $2e$.

# %%
dL = 1.0
# ? de: dL times the local slope of the square
de = dL * 2 * e
check_derivative("de", de, lambda e: e ** 2, e)

# %% [markdown]
# That `check_derivative` moves the number a little and looks how much $L$ moves. So it
# knows the slope without any rule, and can tell whether yours is right: it is the
# witness in all lessons. Lesson 01 shows how it works.
#
# Next, $e = y - t$. If $y$ grows by a little, $e$ grows by as much: the slope is 1. If
# $t$ grows, $e$ falls: the slope is $-1$.

# %%
# ? dy: what comes from above is de; go through the node minus
dy = de * 1
check_derivative("dy", dy, lambda y: (y - t) ** 2, y)
# ? dt, through the same node
dt = de * -1
check_derivative("dt", dt, lambda t: (y - t) ** 2, t)

# %% [markdown]
# A sum, $y = a + b$, hands on what comes from above, as it is, to both of its inputs.

# %%
# ? db: what comes from above is dy; go through the node plus
db = dy * 1
check_derivative("db", db, lambda b: (x * w + b - t) ** 2, b)
da = dy * 1

# %% [markdown]
# A product, $a = x w$. Let $w$ grow by 1: then $a$ grows by $x$. So the local slope for
# one input is **the other input**.

# %%
# ? dw: what comes from above is da; go through the node times
dw = da * x
check_derivative("dw", dw, lambda w: (x * w + b - t) ** 2, w)
# ? dx, through the same node
dx = da * w
check_derivative("dx", dx, lambda x: (x * w + b - t) ** 2, x)
assert (dw, dx) == (-12, -18)

# %% [markdown]
# Here $dw = -12$ is negative: when $w$ grows, the loss falls. So let us make $w$ a
# little larger. We take a hundredth of $-dw$, and do the same with $b$.

# %%
w_better = w - 0.01 * dw
b_better = b - 0.01 * db
L_better = (x * w_better + b_better - t) ** 2
print("the loss was", L, "and is now", round(L_better, 3))
assert L_better < L

# %% [markdown]
# ## A value that is used twice
#
# Back to the first question: $u$ goes into the product twice, and into the sum once.
#
# ```
# u ──┬─→ times ── m ──┐
#     ├─→              ├─→ plus ── v
#     └────────────────┘
# ```
#
# Move $u$, and all its uses move. Each use moves $v$ by its own way, and the moves add
# up. So **a value gets the sum of what comes back from all of its uses**.
#
# $$du = \sum_{\text{uses}} d_{\text{output}} \cdot
#   \frac{\partial \text{output}}{\partial u}$$

# %%
u = 4.0
m = u * u
v = m + u
assert v == 20
dv = 1.0
dm = dv * 1
# ? du: two ways through the product, one straight into the sum; from dm, dv and u
du = dm * u + dm * u + dv * 1
check_derivative("du", du, lambda u: u * u + u, u)
assert du == slope_at_4

# %% [markdown]
# You will meet this sum everywhere: over the samples of a **batch**, some examples that
# go through a network together (lesson 02), over the steps of a sequence (lesson 06),
# over the places of an image (lesson 13).
#
# ## A longer chain: the sigmoid
#
# The **sigmoid** squeezes any number between 0 and 1. It is written $\sigma$ or $s$.
#
# $$s = \sigma(z) = \frac{1}{1 + \exp(-z)} \tag{001.02.sigmoid}$$
#
# As a graph it is four nodes in a row:
#
# ```
# z ──→ minus ── p ──→ exp ── q ──→ 1 plus ── r ──→ 1 over ── s
# ```

# %%
z = 0.5
p = -z
q = np.exp(p)
r = 1 + q
s = 1 / r
print(f"s = {s:.4f}")

# %% [markdown]
# Suppose that $ds = 1$ comes from above. The slopes from school: that of $1/r$ is
# $-1/r^2$, and that of $\exp(p)$ is $\exp(p)$ again, which is $q$.

# %%
ds = 1.0
# ? dr, through the node 1 over
dr = ds * (-1 / r ** 2)
check_derivative("dr", dr, lambda r: 1 / r, r)
# ? dq, through the node 1 plus
dq = dr * 1
# ? dp, through the node exp
dp = dq * q
check_derivative("dp", dp, lambda p: 1 / (1 + np.exp(p)), p)
# ? dz, through the node minus
dz = dp * -1
check_derivative("dz", dz, lambda z: 1 / (1 + np.exp(-z)), z)

# %% [markdown]
# Put together, $dz = q / r^2$. Now $1/r$ is $s$, and $q/r$ is $1 - s$, because
# $q = r - 1$. So the slope of the sigmoid can be said with its own output. You will use
# that in every gate of an LSTM.
#
# $$\sigma'(z) = \sigma(z) \, (1 - \sigma(z))$$

# %%
# ? slope: the slope of the sigmoid, from s alone
slope = s * (1 - s)
print(f"dz = {dz:.4f} and s (1 - s) = {slope:.4f}")
assert np.isclose(slope, dz)

# %% [markdown]
# ## A program that keeps the graph
#
# You have done the same thing each time. A program can do it. A `Graph` keeps a list of
# nodes in the order in which they were made. Of each it keeps the value, and for each
# input a pair: which node it is, and the local slope.

# %%
class Graph:
    def __init__(self):
        self.values = []
        self.edges = []                         # for each node: (input, slope), …

    def node(self, value, *edges):
        self.values.append(value)
        self.edges.append(edges)
        return len(self.values) - 1             # its number

    def add(self, i, j):
        return self.node(self.values[i] + self.values[j], (i, 1.0), (j, 1.0))

    def multiply(self, i, j):
        a, b = self.values[i], self.values[j]
        return self.node(a * b, (i, b), (j, a))

    def square(self, i):
        return self.node(self.values[i] ** 2, (i, 2 * self.values[i]))

    def sigmoid(self, i):
        s = 1 / (1 + np.exp(-self.values[i]))
        return self.node(s, (i, s * (1 - s)))


# %% [markdown]
# ## A program that walks back
#
# Now the walk. A node is made after its inputs. So walk from the last node to the
# first: when you come to a node, all its uses have been there, and its sum is complete.

# %%
# ? [walk_back] a function of a graph that returns a list: the gradient of each node.
# ? All begin with 0.0, the last node with 1.0; graph.values and graph.edges are lists
def walk_back(graph):
    gradients = [0.0] * len(graph.values)
    gradients[-1] = 1.0
    for node in reversed(range(len(graph.values))):
        for i, slope in graph.edges[node]:
            gradients[i] += gradients[node] * slope
    return gradients


# %% [markdown]
# Our network again, and the value that is used twice:

# %%
graph = Graph()
at_x, at_w, at_b = graph.node(x), graph.node(w), graph.node(b)
minus_t = graph.node(-t)
at_y = graph.add(graph.multiply(at_x, at_w), at_b)
graph.square(graph.add(at_y, minus_t))
gradients = walk_back(graph)
print("values   ", graph.values)
print("gradients", gradients)
assert [gradients[i] for i in (at_x, at_w, at_b, at_y)] == [dx, dw, db, dy]

twice = Graph()
at_u = twice.node(u)
twice.add(twice.multiply(at_u, at_u), at_u)
assert walk_back(twice)[at_u] == slope_at_4

# %% [markdown]
# PyTorch and TensorFlow have such a program inside. It is called **automatic
# differentiation**. This library has none. Each of its layers has its backward written
# by hand, for whole arrays at once, so that you can read it. And soon, write it.
#
# ## The same in the library
#
# `Dense(1)` is our first two nodes. `forward` computes $y$. `backward` takes $dy$,
# gives $dx$, and leaves $dw$ and $db$ in `grad`. It calls $dy$ the *upstream* gradient:
# what comes from above. And $w$ is its **kernel**, which is another word for weights.
# With `float64` numbers have 16 digits, with `float32`, which is usual, 7.

# %%
dense = Dense(1, dtype="float64")
dense.build((1, 1))
dense.set_weights([[[w]], [b]])
assert dense.forward(np.array([[x]])) == y
assert dense.backward(np.array([[dy]])) == dx
assert [weight.grad.item() for weight in dense.trainable_weights] == [dw, db]
show_source(Dense.backward, Dense._affine_backward)

# %% [markdown]
# ## A picture: values go forwards, gradients come back

# %%
nodes = {"x": (x, dx), "w": (w, dw), "b": (b, db), "t": (t, dt), "a": (a, da),
         "y": (y, dy), "e": (e, de), "L": (L, dL)}
save_figure(draw_graph(nodes), "00_graph")

# %% [markdown]
# ## A real task: zero or one?
#
# Handwritten digits of 8 × 8 points, zeros and ones only. Of each picture we take two
# numbers: how much ink is in its middle, and how much at its left and right. One node
# more than before, a sigmoid, turns their weighted sum into an answer between 0 and 1.
# Your walk gives the gradients. After each picture the weights take a small step. How
# small is said by $\eta$ (eta), here 0.5:
#
# $$w \gets w - \eta \, dw \tag{002.Update}$$
#
# Once through all pictures is called an **epoch**.

# %%
def neuron(inputs, weights, target):
    graph = Graph()
    total = graph.node(weights[2])
    at_weights = [graph.node(weights[0]), graph.node(weights[1]), total]
    for value, at_weight in zip(inputs, at_weights[:2], strict=True):
        total = graph.add(total, graph.multiply(graph.node(value), at_weight))
    answer = graph.sigmoid(total)
    graph.square(graph.add(answer, graph.node(-target)))
    return graph, at_weights, graph.values[answer]


inputs, labels = zeros_and_ones()
weights = np.zeros(3)                           # middle, sides, bias
for epoch in range(5):
    loss = 0.0
    for sample, label in zip(inputs[:200], labels[:200], strict=True):
        graph, at_weights, _ = neuron(sample, weights, label)
        gradients = walk_back(graph)
        loss += graph.values[-1] / 200
        weights -= 0.5 * np.array([gradients[i] for i in at_weights])
    print(f"epoch {epoch}: mean loss {loss:.3f}, weights {weights.round(2)}")

# %% [markdown]
# ## New digits
#
# A **baseline** is what one reaches without any learning. Here it gives the same answer
# to every picture. Half of them are ones.

# %%
new, truth = inputs[200:], labels[200:]
answers = np.array([neuron(sample, weights, 0)[2] for sample in new])
right = (answers > 0.5) == truth
always = max(np.mean(truth), 1 - np.mean(truth))
print(f"of {len(new)} new digits {right.mean():.1%} are right; always the same answer:",
      f"{always:.1%}; wrong: {np.flatnonzero(~right).tolist()}")
save_figure(draw_zeros_and_ones(new, truth, right, weights), "00_zero_or_one")
assert right.mean() > 0.95 and always < 0.6

# %% [markdown]
# The line in the picture is where the answer is 0.5. One neuron can draw a straight
# line and no more. What lies on the wrong side of it, it gets wrong.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 00 my_answer.py`.
#
# 1. On paper: $a = x w$, then $c = a + x$, then $L = c^2$, with $x = 1$ and $w = 2$.
#    Set `dc`, `dw` and `dx`. (How often is $x$ used?)
# 2. The whole backward of a neuron, for $N$ samples at once:
#    `neuron_backward(x, w, b, t)`. The arrays $x$ and $t$ have shape (N,), $w$ and $b$
#    are numbers, $s = \sigma(x w + b)$, and $L = \sum_n (s_n - t_n)^2$. Return
#    `dx, dw, db`, with `dx` of shape (N,).
# 3. A bug: the walk below is right for many graphs, but not for all. Write it right as
#    `fixed_walk_back(graph)`.
# 4. An experiment: the slope of the sigmoid is largest at $z = 0$. At which $z > 0$ is
#    it a hundredth of that? Set `flat_z`, to two digits after the point.
#
# ```python
# def walk_back(graph):
#     gradients = [0.0] * len(graph.values)
#     gradients[-1] = 1.0
#     for node in reversed(range(len(graph.values))):
#         for i, slope in graph.edges[node]:
#             gradients[i] = gradients[node] * slope
#     return gradients
# ```
