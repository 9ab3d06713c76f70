# %% [markdown]
# # 19 · Attention: who looks at whom
#
# *About 45 minutes.* A recurrent network passes on what it read from step to step, and
# much is lost on the way. **Attention** looks directly: each step asks all the others,
# and takes a mean of their answers, weighted by how well they fit. It is three
# products and a softmax. You write its backward, with masks and with several heads.
# Then a small Transformer learns to write, and we look at what it looks at.
#
# ## A question first

# %%
import sys

import numpy as np

from lessons.data import read_text, write_texts
from lessons.figures import draw_attention_maps, draw_by_place
from nblayers import trace
from nblayers.layers import (
    Add,
    AdditiveAttention,
    Attention,
    Dense,
    Embedding,
    Input,
    Layer,
    LayerNormalization,
    MultiHeadAttention,
)
from nblayers.learn.graph import computation, show_graph
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

text = read_text(sys.argv[1:])                  # Python's help, or that of --text FILE

# %%
# ? guess: q and k have 64 numbers each, drawn with mean 0 and variance 1. How far from
# ? 0 does their product q · k lie, as a rule (its standard deviation)?
spread = 8
# ? guess: a text of 40 characters, and each looks at all. How many weights are that?
weights_of_text = 1600
# ? guess: each character may look at itself and at earlier ones. What weight does the
# ? first one give to itself?
first_weight = 1.0

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$). Two steps ask ($T = 2$), and three answer ($S = 3$). A step
# that asks has a **query** $q$. One that answers has a **key** $k$, by which it is
# found, and a **value** $v$, which it gives. Queries and keys have $D = 2$ numbers, and
# so have values here.

# %%
N, T, S, D = 2, 2, 3, 2
q = np.array([[[1.0, 0.0], [0.0, 2.0]],
              [[1.0, 1.0], [2.0, 0.0]]])                # (N, T, D)
k = np.array([[[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
              [[0.0, 0.0], [1.0, -1.0], [1.0, 2.0]]])   # (N, S, D)
v = np.array([[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]],
              [[3.0, 0.0], [0.0, 3.0], [1.0, -1.0]]])   # (N, S, D)

# %% [markdown]
# ## A picture of the computation

# %%
show_graph(computation("attention"))

# %% [markdown]
# ## Forward: scores
#
# How well does key $j$ answer query $i$? A **score** says it: the product of the two
# vectors, divided by $\sqrt{D}$. (Why that, you will see soon.) All of them are one
# matrix product for each sample. `swapaxes(1, 2)` transposes each sample's matrix.
#
# $$s_{ij} = \frac{1}{\sqrt{D}} \sum_d q_{id} k_{jd} \qquad
#   s = \frac{q k^\top}{\sqrt{D}}$$

# %%
# ? s, the scores, (N, T, S)
s = q @ k.swapaxes(1, 2) / np.sqrt(D)
print("s =", s.round(3).tolist())
assert np.isclose(s[0, 1, 2], (0 * 1 + 2 * 1) / np.sqrt(2))

# %% [markdown]
# ## Forward: weights, and a mean of the values
#
# A softmax makes weights of the scores (lesson 04): for each query they are positive
# and sum to 1. So it runs along the **last** axis, over the keys. The output is the
# mean of the values with these weights.
#
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_j e^{s_{ij}}} \qquad o_i = \sum_j p_{ij} v_j$$
#
# Many texts write it all in one line:
#
# $$Attention(Q, K, V) = softmax \left( \frac{Q K^\top}{\sqrt{d_k}} \right) V
#   \tag{001.13.Attention}$$
#
# Its $d_k$ is our $D$.

# %%
def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


p = softmax(s)                                  # (N, T, S)
print("p =", p.round(3).tolist())
# ? o, the output, from p and v, (N, T, D)
o = p @ v
print("o =", o.round(3).tolist())
assert np.allclose(p.sum(axis=-1), 1)

# %% [markdown]
# There is no order in it. If keys and values change places together, nothing changes:

# %%
order = [2, 0, 1]
p_in_order = softmax(q @ k[:, order].swapaxes(1, 2) / np.sqrt(D))
assert np.allclose(p_in_order @ v[:, order], o)

# %% [markdown]
# ## Backward: through the mean
#
# $o = p v$ is a product of two matrices, in each sample. Lesson 02 has both gradients.
# Each is $do$ times the transpose of the other factor, on the side where that stood.

# %%
do = np.array([[[1.0, -1.0], [0.0, 2.0]],
               [[-1.0, 0.5], [1.0, 1.0]]])      # (N, T, D)
show_graph(computation("attention"), lit=["do -> dp", "do -> dv"])
# ? dv, from o = p v, (N, S, D)
dv = p.swapaxes(1, 2) @ do
check_derivative("dv", dv, lambda v: np.sum(do * (p @ v)), v)
# ? dp, from o = p v, (N, T, S)
dp = do @ v.swapaxes(1, 2)
check_derivative("dp", dp, lambda p: np.sum(do * (p @ v)), p)

# %% [markdown]
# ## Backward: through the softmax
#
# Each row is a softmax of its own. What arrives is any $dp$, not that of a
# cross-entropy, so nothing collapses. It is the line that lesson 04 calls "without the
# matrix". Do you remember it? A score moves its own weight, and all others of its row.

# %%
show_graph(computation("attention"), lit="dp -> ds")
# ? ds, from p and dp, (N, T, S)
ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
check_derivative("ds", ds, lambda s: np.sum(do * (softmax(s) @ v)), s)
assert np.allclose(ds.sum(axis=-1), 0)

# %% [markdown]
# $$ds_{ij} = p_{ij} \left( dp_{ij} - \sum_j dp_{ij} \, p_{ij} \right)$$
#
# The sum is a mean: what the answers are worth, as they are weighted now. A score is
# raised if its answer is worth more than that.
#
# ## Backward: queries and keys
#
# $s = q k^\top / \sqrt{D}$ is a product again, with a factor in front.

# %%
show_graph(computation("attention"), lit=["ds -> dq", "ds -> dk"])


def loss(q, k, v):
    return np.sum(do * (softmax(q @ k.swapaxes(1, 2) / np.sqrt(D)) @ v))


# ? dq, from s = q k^T / sqrt(D), (N, T, D)
dq = ds @ k / np.sqrt(D)
check_derivative("dq", dq, lambda q: loss(q, k, v), q)
# ? dk, from s = q k^T / sqrt(D), (N, S, D)
dk = ds.swapaxes(1, 2) @ q / np.sqrt(D)
check_derivative("dk", dk, lambda k: loss(q, k, v), k)

# %% [markdown]
# $$dv = p^\top do \qquad dp = do \, v^\top \qquad
#   dq = \frac{ds \, k}{\sqrt{D}} \qquad dk = \frac{ds^\top q}{\sqrt{D}}$$
#
# ## Why the root of D
#
# The product of two random vectors is a sum of $D$ products, each with variance 1. So
# its variance is $D$, and its standard deviation is $\sqrt{D}$. We draw a thousand
# queries of 64 numbers, and 40 keys for each.

# %%
rng = np.random.default_rng(0)
queries = rng.normal(size=(1000, 1, 64))
keys = rng.normal(size=(1000, 40, 64))
products = queries @ keys.swapaxes(1, 2)        # (1000, 1, 40)
print(f"standard deviation of q · k: {products.std():.2f}")
assert round(products.std()) == spread
for name, scores in (("as it is", products), ("divided by 8", products / 8)):
    weights = softmax(scores)
    slope = (weights * (1 - weights)).sum(axis=-1).mean()
    largest = weights.max(axis=-1).mean()
    print(f"{name}: largest weight {largest:.2f}, slope {slope:.2f}")

# %% [markdown]
# As it is, one key out of 40 gets almost all the weight, by chance. There the softmax
# is flat: $p (1 - p)$ is near 0 for all, and next to no gradient arrives at the scores.
# Divided by $\sqrt{D}$ the choice is still open, and can be learned.
#
# ## Masks
#
# Not every key may be looked at. There are two reasons. **Padding**: the sample is
# shorter, and there is nothing at that step. **Causal**: the step lies in the future,
# and a network that learns to predict must not see it. A mask (…, T, S) is True where a
# query may look. Elsewhere the score becomes $-10^9$, so the weight becomes 0.
#
# For a causal mask the texts that ask and answer are the same. Query $i$ may look at
# the keys $j \le i$.

# %%
steps = 4
j = np.arange(steps)                            # the keys
i = j[:, None]                                  # the queries
# ? causal, the mask (steps, steps), True where query i (row) may look at key j
causal = j <= i
print(causal.astype(int))
open_scores = rng.normal(size=(steps, steps))
masked_p = softmax(np.where(causal, open_scores, -1e9))
print(masked_p.round(2))
assert masked_p[0, 0] == first_weight and np.all(masked_p[~causal] == 0)
assert weights_of_text == 40 * 40

# %% [markdown]
# A mask for padding says which **keys** are real, `real` (N, S). It is the same for all
# queries. Both together: `causal & real[:, None, :]`.
#
# ## Attention as a function, with its backward
#
# Here are your lines, with a mask. They work on any axes before the last two.

# %%
def attention(q, k, v, mask):
    s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    p = softmax(np.where(mask, s, -1e9))
    return p @ v, p


# %% [markdown]
# What does the mask change in the backward? Nothing: where it is False, $p$ is 0, and
# $p$ is a factor in $ds$. So nothing goes to the score, and nothing to $q$, $k$, $v$.

# %%
# ? [attention_backward] def attention_backward(do, q, k, v, p): return dq, dk, dv.
# ? Use swapaxes(-1, -2), for any axes before the last two
def attention_backward(do, q, k, v, p):
    dv = p.swapaxes(-1, -2) @ do
    dp = do @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dq = ds @ k / np.sqrt(q.shape[-1])
    dk = ds.swapaxes(-1, -2) @ q / np.sqrt(q.shape[-1])
    return dq, dk, dv


real = np.array([[True, True, True], [True, True, False]])      # (N, S)
mask = real[:, None, :]
dq, dk, dv = attention_backward(do, q, k, v, attention(q, k, v, mask)[1])
check_derivative("dq", dq, lambda q: np.sum(do * attention(q, k, v, mask)[0]), q)
check_derivative("dk", dk, lambda k: np.sum(do * attention(q, k, v, mask)[0]), k)
check_derivative("dv", dv, lambda v: np.sum(do * attention(q, k, v, mask)[0]), v)
assert not dk[1, 2].any() and not dv[1, 2].any()

# %% [markdown]
# ## Additive attention
#
# The first attention (of 2014, for translation) made its scores in another way: a small
# network with one tanh gives each pair its score. The printed formula hides it in
# $W_a [Q; K]$:
#
# $$AdditiveAttention(Q, K, V) = softmax(W_a [Q; K]) V \tag{001.13.AdditiveAttention}$$
#
# Keras has no matrix here, and no root. It adds the vectors. A weight $w$ with $D$
# numbers is learned:
#
# $$s_{ij} = \sum_d w_d \tanh(q_{id} + k_{jd})$$
#
# `q[:, :, None] + k[:, None]` is (N, T, S, D): each query with each key.

# %%
w = np.array([1.0, -2.0])                       # (D,)


def additive_scores(q, k, w):
    return np.tanh(q[:, :, None] + k[:, None]) @ w


t = np.tanh(q[:, :, None] + k[:, None])         # (N, T, S, D)
s_additive = t @ w                              # (N, T, S)
ds = rng.normal(size=(N, T, S))                 # whatever comes through the softmax
# ? dw, from s = t w, (D,)
dw = (ds[..., None] * t).sum(axis=(0, 1, 2))
check_derivative("dw", dw, lambda w: np.sum(ds * additive_scores(q, k, w)), w)
# ? da, what arrives inside the tanh, at q_i + k_j, (N, T, S, D)
da = ds[..., None] * w * (1 - t ** 2)
# ? dk_additive: what arrives at the keys, (N, S, D); each key is asked by all queries
dk_additive = da.sum(axis=1)
check_derivative("dk", dk_additive, lambda k: np.sum(ds * additive_scores(q, k, w)), k)
dq_additive = da.sum(axis=2)
check_derivative("dq", dq_additive, lambda q: np.sum(ds * additive_scores(q, k, w)), q)

# %% [markdown]
# It needs the four axes at once, $D$ times as much memory as the products. So products
# have won.
#
# ## Several heads: forward
#
# One softmax finds one thing. A step may need two: the last verb, and the last comma.
# So the vectors are cut into $H$ **heads**, and each has an attention of its own.
# Before that, three Dense layers make queries, keys and values of the inputs. After it,
# a fourth one mixes the heads.
#
# $$MultiHeadAttention(Q, K, V) = Concat(head_1, \ldots, head_h) W^O
#   \tag{001.13.MultiHeadAttention}$$
#
# where $head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)$. If a text asks itself, all
# three come from the same $x$. That is **self-attention**.

# %%
H = 2                                           # heads, of D = 2 numbers each
x = rng.normal(size=(2, 3, 4))                  # (N, T, 4)
W_q, W_k, W_v, W_o = rng.normal(size=(4, 4, 4))                 # (4, 4) each


def split(a):
    return a.reshape(*a.shape[:2], H, -1).swapaxes(1, 2)        # (N, H, T, D)


# %% [markdown]
# `split` cuts the last axis into heads, and brings them to the front, beside the
# samples. Then the function above does all heads at once. `merge` is the way back.

# %%
q, k, v = split(x @ W_q), split(x @ W_k), split(x @ W_v)
# ? [merge] def merge(a): from (N, H, T, D) back to (N, T, H D), the inverse of split
def merge(a):
    return a.swapaxes(1, 2).reshape(len(a), a.shape[2], -1)


causal = np.tri(3, dtype=bool)
o, p = attention(q, k, v, causal)
y = merge(o) @ W_o                              # (N, T, 4)
print("shapes: q", q.shape, " p", p.shape, " y", y.shape)
assert np.array_equal(merge(split(x)), x)

# %% [markdown]
# ## Several heads: backward
#
# The same way back. First the Dense layer at the end. (As in lesson 02, with a sum over
# samples and steps; `einsum` or `reshape(-1, 4)` does it.)

# %%
dy = rng.normal(size=(2, 3, 4))                 # (N, T, 4)


def multi_head(x, W_q=W_q, W_k=W_k, W_v=W_v, W_o=W_o):
    q, k, v = split(x @ W_q), split(x @ W_k), split(x @ W_v)
    return merge(attention(q, k, v, causal)[0]) @ W_o


# ? dW_o, from y = merge(o) W_o, (4, 4)
dW_o = merge(o).reshape(-1, 4).T @ dy.reshape(-1, 4)
check_derivative("dW_o", dW_o, lambda W: np.sum(dy * multi_head(x, W_o=W)), W_o)
# ? do, what arrives at the heads' outputs, (N, H, T, D)
do = split(dy @ W_o.T)
check_derivative("do", do, lambda o: np.sum(dy * (merge(o) @ W_o)), o)

# %% [markdown]
# Merging has moved numbers and changed none. So its backward moves them back: it is
# `split`. Then your function, and `merge` on the way out.

# %%
dq, dk, dv = attention_backward(do, q, k, v, p)
# ? dW_q, from q = split(x W_q), (4, 4)
dW_q = x.reshape(-1, 4).T @ merge(dq).reshape(-1, 4)
check_derivative("dW_q", dW_q, lambda W: np.sum(dy * multi_head(x, W_q=W)), W_q)
# ? dx, what arrives at x: it was used three times, (N, T, 4)
dx = merge(dq) @ W_q.T + merge(dk) @ W_k.T + merge(dv) @ W_v.T
check_derivative("dx", dx, lambda x: np.sum(dy * multi_head(x)), x)

# %% [markdown]
# $$dx = dq \, W_q^\top + dk \, W_k^\top + dv \, W_v^\top
#   \quad \text{(heads merged)}$$
#
# ## Grouped-query attention
#
# A large model that writes keeps the keys and values of all steps so far. That fills
# the memory. **Grouped-query attention** has fewer heads of keys and values than of
# queries: several heads of queries share one. It is a standard by now, and Keras has
# it.
#
# $$Attention_{grouped} = softmax \left( \frac{Q K^\top}{\sqrt{d_k}} \right) V
#   \tag{001.13.GroupQueryAttention}$$
#
# In shapes: $q$ is (N, 8, T, D), $k$ and $v$ are (N, 2, S, D). Heads 0 to 3 of the
# queries read head 0 of the keys, heads 4 to 7 read head 1. `np.repeat(k, 4, axis=1)`
# makes (N, 8, S, D) of them, and the rest is as before. Backward, one head of keys
# hears four heads of queries.

# %%
k_shared = rng.normal(size=(2, 2, 3, 2))        # (N, 2, S, D)
dk_repeated = rng.normal(size=(2, 8, 3, 2))     # (N, 8, S, D): what arrives at each
# ? dk_shared, what arrives at the two heads of keys, (N, 2, S, D)
dk_shared = dk_repeated.reshape(2, 2, 4, 3, 2).sum(axis=2)
check_derivative("dk_shared", dk_shared,
                 lambda k: np.sum(dk_repeated * np.repeat(k, 4, axis=1)), k_shared)

# %% [markdown]
# ## The same in the library
#
# Keras' `MultiHeadAttention` holds our four matrices, cut into heads. (It has biases
# too, which we leave out.)

# %%
layer = MultiHeadAttention(H, 2, use_bias=False, dtype="float64").to("reference")
layer.build(x.shape, x.shape)
layer.set_weights([W_q.reshape(4, H, 2), W_k.reshape(4, H, 2), W_v.reshape(4, H, 2),
                   W_o.reshape(H, 2, 4)])
assert np.allclose(layer.forward(x, x, use_causal_mask=True), y)
dx_query, dx_value = layer.backward(dy)
assert np.allclose(dx_query + dx_value, dx)
dW_q_theirs, *_, dW_o_theirs = (weight.grad for weight in layer.trainable_weights)
assert np.allclose(dW_q_theirs.reshape(4, 4), dW_q)
assert np.allclose(dW_o_theirs.reshape(4, 4), dW_o)

# %% [markdown]
# Keras' `Attention` is the single head without any matrix. It has **no** $1/\sqrt{D}$;
# `use_scale=True` learns a factor instead. It is given a list: queries, values, keys.

# %%
q, k, v, do = rng.normal(size=(4, 2, 3, 2))     # (N, T, D) each; here S = T
single = Attention(dtype="float64").to("reference")
ours, p = attention(q * np.sqrt(D), k, v, True)
assert np.allclose(single.forward([q, v, k]), ours)
dq, dk, dv = attention_backward(do, q * np.sqrt(D), k, v, p)
expected = (dq * np.sqrt(D), dv, dk)
for got, ours in zip(single.backward(do), expected, strict=True):
    assert np.allclose(got, ours)

additive = AdditiveAttention(dtype="float64").to("reference")
additive.build([q.shape, v.shape, k.shape])
additive.set_weights([w])
assert np.allclose(additive.forward([q, v, k]), softmax(additive_scores(q, k, w)) @ v)

# %% [markdown]
# In the library's room for reading, one block of queries of one head is a function.
# Compare it with yours. It is given no $p$, only $L$, the logarithm of the softmax's
# sum, and draws $p$ again: so a long text needs no memory for $T \times S$ weights. And
# in the place of $\sum_j dp_{ij} p_{ij}$ it has the sum of $do \odot o$. It is the same
# number: put $dp = do \, v^\top$ into it.

# %%
show_source("kernels.reference.attention:attention_block_backward")

# %% [markdown]
# (`z` is for dropout, and `mean` says what a query gets that may look at nobody.)
#
# ## Watch it
#
# Watch on a page what each query looks at, and where the gradient of each weight comes
# from. Open it in a browser; the right arrow takes a step. (`nblayers microscope
# attention` opens one of a trained layer.)
#
# In step 5 (`p`) a row is a query: the third one looks at the last key, and at hardly
# any other. So in step 17 (`dv`) it sends almost nothing to the second value: look at
# the last of the three products. (Weights are not kept, so step 15 (`p`) computes them
# again.) In step 19 (`ds`) add up any row. What is its sum, and why?

# %%
with trace() as seen:
    single.forward([q, v, k])
    single.backward(do)
save_page(seen, "19_microscope")
assert np.allclose(seen.find("dq")[0].value, (dq * np.sqrt(D))[0], rtol=0, atol=1e-14)
# 0: the same number added to all scores of a query changes no weight.
assert np.allclose(seen.find("ds")[0].value.sum(axis=-1), 0, atol=1e-14)
p_seen = seen.find("p")[0].value
assert p_seen[2, 2] > 0.9 and p_seen[2, 1] < 0.01

# %% [markdown]
# ## A real task: a Transformer writes
#
# As in lesson 08: it reads 40 characters, and each is asked for the next one. Our
# **Transformer block** is attention with four heads, then two Dense layers. Around each
# of the two there is a shortcut (lesson 20) and a layer norm (lesson 17).
#
# Attention knows no order. So each place has a vector of its own, which is learned and
# added to the character's. That takes a layer of our own (lesson 23), of six lines.
# Every sample uses the same vectors, so their gradient is a sum over the samples.

# %%
class Place(Layer):
    """Adds a learned vector to each step: x (N, T, D) -> (N, T, D)."""

    def build(self, input_shape):
        self.vectors = self.add_weight(input_shape[1:], initializer="uniform")

    def forward(self, x):
        return x + self.vectors.value

    def backward(self, dy):
        self.vectors.grad += dy.sum(axis=0)
        return dy


# %% [markdown]
# ## The task: one block
#
# The **baseline** is the same network without attention: it sees one character and its
# place, and nothing else.

# %%
chars, code = np.unique(list(text), return_inverse=True)
windows = np.lib.stride_tricks.sliding_window_view(code, 41)[::40]
read, asked = windows[:, :-1], windows[:, 1:]   # (windows, 40): what it reads, the next
print(f"{len(text)} characters, {len(chars)} different ones, {len(read)} windows")


def make_model(heads):
    set_random_seed(0)
    characters = Input((40,), dtype="int32")
    x = Place()(Embedding(len(chars), 64)(characters))
    looked_at = x
    if heads:
        attention_layer = MultiHeadAttention(heads, 64 // heads, name="attention")
        x = Add()([x, attention_layer(x, x, use_causal_mask=True)])
        x = LayerNormalization()(x)
    hidden = Dense(64)(Dense(128, activation="relu")(x))
    x = LayerNormalization()(Add()([x, hidden]))
    model = Model(characters, Dense(len(chars), activation="softmax")(x))
    model.compile(Adam(0.003), "sparse_categorical_crossentropy")
    return model, Model(characters, looked_at)


# %% [markdown]
# ## The task: training
#
# The last tenth of the text is kept for the exam. Loss divided by $\ln 2$ is bits a
# character (lesson 08).

# %%
model, before_attention = make_model(4)
baseline, _ = make_model(0)
epochs = min(35_000 // len(read), 40)           # under a minute, also for a short text
how = {"batch_size": 64, "validation_split": 0.1, "epochs": epochs}
run = model.fit(read, asked, **how, verbose=2)
baseline_run = baseline.fit(read, asked, **how, verbose=0)
bits = {"one character": np.array(baseline_run.history["val_loss"]) / np.log(2),
        "attention": np.array(run.history["val_loss"]) / np.log(2)}
for name, curve in bits.items():
    print(f"{name}: {curve[-1]:.2f} bits a character on unread text")
assert bits["attention"][-1] < bits["one character"][-1] - 0.4

# %% [markdown]
# At which place is it good? The first character sees only itself. There it is no
# better than the baseline. From the second one on it may look back.

# %%
exam = read[-len(read) // 10:], asked[-len(read) // 10:]


def bits_by_place(model):
    p = model.predict(exam[0], verbose=0)
    of_truth = np.take_along_axis(p, exam[1][:, :, None], axis=2)[:, :, 0]
    return -np.log2(of_truth).mean(axis=0)      # (40,)


by_place = {"one character": bits_by_place(baseline), "attention": bits_by_place(model)}
gained = by_place["one character"] - by_place["attention"]
print("gained at places 0, 1, 5, 39:", gained[[0, 1, 5, 39]].round(2))
assert gained[0] < 0.1 and gained[5:].mean() > gained[1] > gained[0]
save_figure(draw_by_place(bits, by_place), "19_learning")

# %% [markdown]
# After the first few characters more of them help little. At the last places it is even
# a little worse. Few have ever looked at them, so perhaps their vectors have learned
# less than the others. (With 14 epochs instead of 5 most of that is gone.)
#
# ## What does it look at?
#
# Here are the weights of all four heads for a piece of unread text. A row is a
# character that asks. What is right of the diagonal is the future.

# %%
piece = exam[0][3]
layer = model.get_layer("attention")
seen = before_attention.predict(piece[None], verbose=0)
_, maps = layer.forward(seen, seen, use_causal_mask=True, return_attention_scores=True)
maps = np.asarray(maps)[0]                      # (heads, 40, 40)
for head, weights in enumerate(maps):
    back = (weights * (np.arange(40)[:, None] - np.arange(40))).sum(axis=1)[1:].mean()
    print(f"head {head} looks back by {back:.1f} characters on average")
    assert back < 10
assert np.allclose(maps.sum(axis=-1), 1, atol=1e-5) and not maps[:, 0, 1:].any()
save_figure(draw_attention_maps(maps, "".join(chars[piece])), "19_maps")

# %% [markdown]
# All four look a few characters back, and each at others of them. Nobody has told them
# that the nearest ones matter most. Now let it write, cold and warm:

# %%
temperatures = (0.5, 1.0)
texts = write_texts(model, read[-1], chars, temperatures)
for temperature, written in zip(temperatures, texts, strict=True):
    print(f"\n----- temperature {temperature}\n{written}")

# %% [markdown]
# One block knows which letters follow which, and short words. It cannot build on what
# it has found out: for that, blocks are stacked, six or a hundred of them.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check attention my_answer.py`.
#
# 1. On paper: one query with the scores $s = (\ln 2, 0, 0)$, already divided by the
#    root. The values are the numbers $v = (4, 0, 4)$, and $do = 1$. Set `p`, `o` and
#    `ds`.
# 2. **A whole backward**, with batch, heads and mask: `attention_backward(do, q, k, v,
#    mask)`. q is (N, H, T, D). But k and v are (N, S, D): **all heads share one** head
#    of keys and values. mask is (N, T, S), True where a query may look. It runs forward
#    first, with $1/\sqrt{D}$. Return `dq, dk, dv`.
# 3. A bug, seen in the wild: the softmax's backward below sums over the wrong axis.
#    With as many queries as keys no shape complains. Write it right as
#    `fixed_score_gradient(p, dp)`, both (N, T, S).
# 4. An experiment: random $q$ and $k$ with variance 1. For which $D$ has $q \cdot k$
#    the standard deviation 16? Set `size`.
#
# ```python
# def score_gradient(p, dp):
#     return p * (dp - (dp * p).sum(axis=1, keepdims=True))
# ```
