# %% [markdown]
# # 22 · Preprocessing: texts, tables and pictures become numbers
#
# *About 45 minutes.* A network multiplies and adds. A text, an island, a missing value
# cannot be multiplied. **Preprocessing** is what makes numbers of them, before the
# first weight. Some of it has a gradient and some has none: you write those that there
# are. It can be taken in two halves: texts and tables, then pictures.
#
# ## A question first
#
# Twenty words are thrown into 100 bins, each where chance wants it. And: a network has
# seen 100 handwritten digits, and gets nine in ten new ones right. Now each new digit
# is moved by a single pixel.

# %%
import re
from collections import Counter

import numpy as np

from lessons.data import (
    CHAPTERS,
    digits,
    known_and_new,
    moved,
    paragraphs_of_help,
    penguins,
)
from lessons.figures import (
    draw_augmented,
    draw_few_digits,
    draw_heard,
    draw_unknown_island,
    draw_words_that_count,
)
from nblayers import layers
from nblayers.layers import Dense, Flatten
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# ? guess: in how many of 100 such throws do at least two words share a bin?
throws_shared = 87
# ? guess: how many percent of the moved digits are right?
moved_right = 40

# %% [markdown]
# ## Numbers for paper: two texts
#
# Two texts ($N = 2$). They are brought to small letters, punctuation goes, and white
# space separates the **tokens**: what gets one number each.

# %%
texts = ["A cat sees the dog.", "A dog sees a bird!"]
tokens = [re.sub(r"[^\w\s]", "", text.lower()).split() for text in texts]
print(tokens)
often = Counter(word for words in tokens for word in words)
print(dict(often))

# %% [markdown]
# The **vocabulary** lists the words, the most frequent first. Several come equally
# often: of these, Keras takes the *last* in the alphabet first.

# %%
# ? vocabulary, a list: sort the keys of `often` by their counts, then by themselves
vocabulary = sorted(often, key=lambda word: (often[word], word), reverse=True)
print(vocabulary)
assert vocabulary == ["a", "sees", "dog", "the", "cat", "bird"]

# %% [markdown]
# A token's number is its **id**. Two ids are taken already: 0 fills up short texts, and
# 1 is for every unknown word (`[UNK]`). So for $k = 0, 1, \dots$
#
# $$\text{id} = 2 + k \text{ for vocabulary}_k, \text{ else } 1
#   \tag{001.10.TextVectorization}$$

# %%
new_text = ["the", "dog", "sees", "a", "fox"]
# ? ids, a list: the ids of new_text, from vocabulary; nobody has seen a fox before
ids = [2 + vocabulary.index(w) if w in vocabulary else 1 for w in new_text]
print("ids =", ids)
assert ids == [5, 4, 3, 2, 1]

# %% [markdown]
# ## Which words tell something: tf-idf
#
# A text has any length, but a Dense layer wants rows of one length. So count: a column
# for each word of the vocabulary, and column 0 for all that is unknown. This is called
# a **bag of words**, since their order is lost.

# %%
column = {word: 1 + k for k, word in enumerate(vocabulary)}
counts = np.zeros((2, 7))                               # (N, V)
# ? [counts] for each text n and each of its words: one more in the word's column
for n, words in enumerate(tokens):
    for word in words:
        counts[n, column[word]] += 1
print(counts)
assert counts.sum(axis=1).tolist() == [5, 5] and counts[1, 1] == 2

# %% [markdown]
# "a" comes often and tells nothing, as it is in every text. "bird" tells much. So
# each count is multiplied by a weight, which is small for words that are in many texts.
# Let $\text{df}_k$ be in how many of the $N$ texts word $k$ is, however often:
#
# $$\text{idf}_k = \log\left(1 + \frac{N}{1 + \text{df}_k}\right)$$
# $$y_{nk} = \text{count}_{nk} \, \text{idf}_k \tag{001.10.TextVectorization}$$
#
# Many texts print $\log(N / \text{df}_k)$: then a word of all texts weighs 0. Keras has
# the line above. The unknown gets the mean weight of all others.

# %%
# ? df, for each column, from counts
df = (counts > 0).sum(axis=0)                           # (V,)
# ? idf, for N = 2 texts, from df
idf = np.log(1 + 2 / (1 + df))                          # (V,)
idf[0] = idf[1:].mean()
# ? y, from counts and idf
y = counts * idf                                        # (N, V)
print("idf =", idf.round(3))
print("y =", y.round(3).tolist())
assert np.isclose(idf[1], np.log(5 / 3)) and np.isclose(idf[4], np.log(2))

# %% [markdown]
# There is no gradient by a text: one cannot move a little from "cat" to "dog". But the
# layer behind has one for its weights, as always: $dW = y^\top da$.
#
# ## No vocabulary: a hash
#
# A vocabulary must be learnt and kept. A **hash** needs none: a fixed rule that makes a
# large number of any word's bytes, as wild as if it had been drawn. Then
#
# $$\text{bin} = \text{hash}(x) \text{ mod } K \tag{001.10.Hashing}$$
#
# is the word's bin. Keras takes FarmHash. For words of at most three bytes it is short.
# The bytes are numbers from 0 to 255; the middle one is that at $\lfloor \text{length}
# / 2 \rfloor$. $P$ and $Q$ are fixed, all is modulo $2^{64}$, and $\oplus$ is exclusive
# or:
#
# $$g_1 = \text{first} + 2^8 \, \text{middle}, \quad
#   g_2 = \text{length} + 4 \, \text{last}$$
# $$e = (Q g_1) \oplus (P g_2), \quad
#   \text{hash} = Q \, (e \oplus \lfloor e / 2^{47} \rfloor)$$

# %%
P, Q = 0xC3A5C85C97CB3127, 0x9AE16A3B2F90404F
LIMIT = 2 ** 64

# ? [short_hash] of 1 to 3 letters; word.encode() has the bytes; ^ is exclusive or
def short_hash(word):
    letters = word.encode()
    g_1 = letters[0] + 2 ** 8 * letters[len(letters) // 2]
    g_2 = len(letters) + 4 * letters[-1]
    e = (Q * g_1 % LIMIT) ^ (P * g_2 % LIMIT)
    return Q * (e ^ e // 2 ** 47) % LIMIT


short = ["a", "cat", "dog", "the", "fox", "no", "is", "it"]
bins = [short_hash(word) % 10 for word in short]
print(dict(zip(short, bins, strict=True)))
assert bins == layers.Hashing(10)(np.array(short)).tolist()

# %% [markdown]
# Two words in one bin are a **collision**: what comes behind cannot tell them apart.
# How likely is it? The second word misses the first with probability $1 - 1/K$, the
# third both with $1 - 2/K$, and so on. All of 20 words must miss.

# %%
print("bins with collisions:", [k for k, count in Counter(bins).items() if count > 1])
# ? chance, that at least two of 20 words share one of 100 bins; np.prod multiplies
chance = 1 - np.prod(1 - np.arange(20) / 100)
print(f"at least two of 20 words share a bin of 100: {chance:.0%}")
assert round(100 * chance) == throws_shared

# %% [markdown]
# Two features may be **crossed**: each pair of their values gets a bin. Many texts
# print $\text{hash}(x_1 + x_2)$. Then ("a", "bc") and ("ab", "c") would always collide.
# Keras puts the two *hashes* into one by another hash, $\text{cat}$, from a fixed start
# on:
#
# $$\text{bin} = \text{cat}(\text{cat}(\text{start}, \text{hash}_1), \text{hash}_2)
#   \text{ mod } K
#   \tag{001.10.HashedCrossing}$$

# %%
cross = layers.HashedCrossing(1000)
pair = cross([np.array(["a", "ab"]), np.array(["bc", "c"])])
turned = cross([np.array(["bc", "c"]), np.array(["a", "ab"])])
print("crossed:", pair, "in the other order:", turned)
assert pair[0] != pair[1] and pair.tolist() != turned.tolist()

# %% [markdown]
# ## A table: missing and unseen categories
#
# A **category** is one of a few words, as an island. It gets an id, too, and here Keras
# fills up nothing: 0 is the unknown, the vocabulary begins at 1.
#
# $$\text{id} = 1 + k \text{ for vocabulary}_k, \text{ else } 0
#   \tag{001.10.StringLookup}$$
#
# What is *missing* is "" in our tables. It is a category as any other: that somebody
# did not measure may tell something. What is *unseen* in training is unknown.
#
# An id is a name, not an amount: island 2 is not twice island 1. So it becomes a row
# with one 1, **one-hot**:
#
# $$y_{nk} = [\text{id}_n = k] \tag{001.10.CategoryEncoding}$$

# %%
islands = ["[UNK]", "Biscoe", "Dream", ""]
island_ids = np.array([1, 2, 1, 3])             # Biscoe, Dream, Biscoe, missing
# ? one_hot, a row for each id; np.eye(4) has them all
one_hot = np.eye(4)[island_ids]                 # (N, V)
print(one_hot)
assert one_hot.sum(axis=0).tolist() == [0, 2, 1, 1]

# %% [markdown]
# ("multi_hot" marks all ids of a sample in one row, "count" counts them. Many texts
# list an integer mode for this layer; there is none.)
#
# Behind it stands a Dense layer, $a = y W$. What do its weights hear?

# %%
da = np.array([[1.0, 0.5], [-2.0, 1.0], [3.0, -1.5], [0.5, 0.0]])   # (N, out)
W = np.arange(8.0).reshape(4, 2)                # (V, out)
# ? dW, from one_hot and da, where a = one_hot @ W
dW = one_hot.T @ da
print("dW =", dW.tolist())
check_derivative("dW", dW, lambda W: np.sum(da * (one_hot @ W)), W)
assert not dW[0].any()

# %% [markdown]
# Look at row 0, that of the unknown: nothing unknown is in the training data, by
# definition. So its weights never move. They stay what the initialiser has drawn, and
# add that to the first unseen island they meet. Remember it for later.
#
# Integers may be categories too, as years. For what is unknown there can be several
# ids. Here there are two, and $x$ itself decides:
#
# $$\text{id} = 2 + k \text{ for vocabulary}_k, \text{ else } x \text{ mod } 2
#   \tag{001.10.IntegerLookup}$$

# %%
years, asked = [2007, 2008], [2008, 2009, 2012, 2007]
year_ids = [2 + years.index(x) if x in years else x % 2 for x in asked]
print("ids of the years:", year_ids)
assert year_ids == [3, 1, 0, 2]

# %% [markdown]
# ## Numbers: to mean 0 and deviation 1
#
# A penguin's flipper is 200 mm long, its bill 17 mm deep. A step that suits the weight
# of one is too large for the other. So each feature is shifted and divided:
#
# $$x_{\text{norm}} = \frac{x - \mu}{\sigma} \tag{001.10.Normalization}$$
#
# $\mu$ and $\sigma$ are mean and deviation of the *training* data: `adapt` takes them
# once. (Many texts say that the result lies between 0 and 1. It does not.)

# %%
seen = np.array([[180.0, 15.0], [200.0, 19.0], [180.0, 19.0], [200.0, 15.0]])
mu, sigma = seen.mean(axis=0), seen.std(axis=0)         # (features,)
print("mean", mu, "deviation", sigma)
x = np.array([[210.0, 16.0],
              [190.0, 21.0]])                           # (N, features), new ones
# ? x_norm, from x, mu and sigma
x_norm = (x - mu) / sigma
print("x_norm =", x_norm.tolist())
assert np.allclose(x_norm, [[2, -0.5], [0, 2]])

# %% [markdown]
# Backward: what is $dL/dx$, when $d x_{\text{norm}}$ comes back? Here $\mu$ and
# $\sigma$ are constants. They do not depend on this $x$.

# %%
dx_norm = np.array([[1.0, 2.0], [-3.0, 0.5]])           # (N, features)
# ? dx, from dx_norm and sigma
dx = dx_norm / sigma
check_derivative("dx", dx, lambda x: np.sum(dx_norm * (x - mu) / sigma), x)

# %% [markdown]
# Batch normalisation (lesson 17) computes the same quotient. But it takes $\mu$ and
# $\sigma$ from the very batch. So they are part of the graph, and each sample hears the
# others: two means are taken off.
#
# $$dx = \frac{1}{\sigma} \left( d\hat{x} - \text{mean}(d\hat{x}) -
#   \hat{x} \, \text{mean}(d\hat{x} \, \hat{x}) \right)$$

# %%
x_hat = (seen - mu) / sigma                             # (4, features)
dx_hat = np.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 1.0], [3.0, -1.0]])
# ? dx_batch, from dx_hat, x_hat and sigma; the means are over the samples, axis 0
dx_batch = (dx_hat - dx_hat.mean(axis=0)
            - x_hat * (dx_hat * x_hat).mean(axis=0)) / sigma
check_derivative("dx of a batch", dx_batch, lambda x: np.sum(
    dx_hat * (x - x.mean(axis=0)) / x.std(axis=0)), seen)
print("constants:", (dx_hat / sigma).sum(axis=0), " of the batch:",
      dx_batch.sum(axis=0).round(12) + 0)
assert np.allclose(dx_batch.sum(axis=0), 0) and abs(dx_hat.sum(axis=0)).min() > 0

# %% [markdown]
# To shift all samples together changes nothing behind a batch normalisation: so its
# gradient sums to 0. Behind a `Normalization` it changes all.
#
# And what is missing (`nan`) in a table of numbers? Without care it makes a `nan` of
# every mean, and of all that follows. Put the mean in its place: that is 0 once the
# numbers are normalised.

# %%
gaps = np.array([[np.nan, 2.0], [1.0, np.nan]])         # normalised already
filled = np.where(np.isnan(gaps), 0, gaps)
assert filled.tolist() == [[0, 2], [1, 0]]

# %% [markdown]
# Pixels need no statistics: their range is known. A scale of 1/255 brings them to [0,
# 1].
#
# $$y = \text{scale} \cdot x + \text{offset} \tag{001.10.Rescaling}$$
#
# Backward: $dx = \text{scale} \cdot dy$.
#
# ## Numbers into bins
#
# Behind one number, a Dense layer is a straight line. Cut the number into **bins**,
# make them one-hot, and the same layer has a level for each bin: any staircase. The
# boundaries $b$ are **quantiles**: they have equally many numbers between them.
#
# $$\text{bin} = \text{how many } k \text{ with } b_k \le x
#   \tag{001.10.Discretization}$$

# %%
heights = np.array([5.0, 1.0, 7.0, 30.0, 2.0, 8.0, 4.0, 6.0])
b = np.sort(heights)[[1, 3, 5]]         # a quarter, a half, three quarters of them
print("boundaries", b)
# ? height_bins, from heights and b; a number on a boundary belongs to the upper bin
height_bins = (heights[:, None] >= b).sum(axis=1)
print("bins", height_bins, "of sizes", np.bincount(height_bins))
assert height_bins.tolist() == [2, 0, 3, 3, 1, 3, 1, 2]

# %% [markdown]
# 30 is far out, and no matter: it is in the last bin. The price: a bin has no slope.
# The gradient by $x$ is 0 wherever there is one. (And what lies *on* a boundary goes
# up: so the first bin has one number less here, the last one more. Keras does the
# same.)
#
# ## Pictures of one size: a product of matrices
#
# Pictures come in any size and a batch wants one. Say 3 columns shall become 2. New
# column $j$ has its middle at this **place** among the old ones:
#
# $$v_j = (j + \frac{1}{2}) \frac{\text{old}}{\text{new}} - \frac{1}{2}
#   \tag{001.10.Resizing}$$
#
# with so many old and new columns. The halves are there because a pixel is a square,
# and its middle lies half a pixel in. Between two pixels, the nearer one counts for
# more:
#
# $$B_{jl} = \max(0, 1 - |v_j - l|)$$

# %%
old, new = 3, 2
# ? v, the places of both new columns: from np.arange(new), old and new
v = (np.arange(new) + 0.5) * old / new - 0.5
B = np.maximum(0, 1 - np.abs(v[:, None] - np.arange(old)))
print("v =", v, " B =", B.tolist())
assert B.tolist() == [[0.75, 0.25, 0], [0, 0.25, 0.75]]

# %% [markdown]
# (If a place lies beside the picture, a row's sum is below 1. Then it is divided by
# it.) Rows have such a matrix, $A$. Here 4 rows become 2, and each is the mean of two.
#
# $$y_n = A \, x_n \, B^\top$$
#
# It is a product of matrices. You know its way back from lesson 02.

# %%
A = np.array([[0.5, 0.5, 0, 0],
              [0, 0, 0.5, 0.5]])                        # (new rows, rows)
x = np.arange(24.0).reshape(2, 4, 3) % 7                # (N, rows, columns)
y = A @ x @ B.T                                         # (N, 2, 2)
print("y of sample 0 =", y[0].tolist())
assert np.allclose(y, layers.Resizing(2, 2, dtype="float64")(x[..., None])[..., 0])

dy = np.array([[[1.0, 2.0], [0.0, -1.0]], [[3.0, 0.0], [1.0, 1.0]]])
# ? dx, from dy, A and B
dx = A.T @ dy @ B                                       # (N, rows, columns)
print("dx of sample 0 =", dx[0].tolist())
check_derivative("dx", dx, lambda x: np.sum(dy * (A @ x @ B.T)), x)

# %% [markdown]
# Each pixel gets its gradient back by the weights it was read with: the **transpose**.
#
# Shrink 256 columns to 64, and each new one still reads two, of four. Of the whole
# picture, half of the rows and half of the columns count. Three quarters of the pixels
# are never seen, and hear nothing! `antialias=True` reads them all. Keras' default does
# not.

# %%
big = np.random.default_rng(0).random((1, 256, 256, 1))
heard = {}
for smooth in (False, True):
    layer = layers.Resizing(64, 64, antialias=smooth, dtype="float64")
    dx = layer.backward(np.ones_like(layer.forward(big)))
    heard[smooth] = float((dx != 0).mean())
print("pixels that count:", heard)
assert heard == {False: 0.25, True: 1.0}

# %% [markdown]
# ## Pictures moved: where does a pixel come from?
#
# To **augment** pictures is to change them at random in training, in a way that leaves
# the answer the same. So the network sees a new picture each time.
#
# To move, turn or zoom, ask for each *new* pixel $(i, j)$: at which row $u$ and column
# $v$ of the old picture is it read? Down by a part $r$ of the height:
#
# $$u = i - r \cdot \text{rows} \tag{001.10.RandomTranslation}$$
#
# A zoom by $z$ about the middle, $M = (\text{rows} - 1)/2$:
#
# $$u = M + (1 + z)(i - M) \tag{001.10.RandomZoom}$$
#
# A turn by the part $\rho$ of a whole turn, $\varphi = 2 \pi \rho$, counter-clockwise:
#
# $$u = M + (j - M) \sin \varphi + (i - M) \cos \varphi \tag{001.10.RandomRotation}$$
# $$v = M + (j - M) \cos \varphi - (i - M) \sin \varphi$$

# %%
i = np.arange(5)                        # the rows of a picture with five
u_moved = i - 0.2 * 5
# ? u_zoomed, the rows read for a zoom by z = 0.25
u_zoomed = 2 + (1 + 0.25) * (i - 2)
print("moved:", u_moved, " zoomed:", u_zoomed)
assert u_moved.tolist() == [-1, 0, 1, 2, 3]
assert u_zoomed.tolist() == [-0.5, 0.75, 2, 3.25, 4.5]

# %% [markdown]
# With $z > 0$ the five new rows span more than the old ones: it zooms *out*. (Many
# texts print it the other way. And the factor of a rotation is no angle in degrees.)
#
# ## The warp: gather
#
# Most places lie between pixels. **Bilinear**: the mean of the four around, weighted by
# nearness in both directions. With $p = \lfloor u \rfloor$ and $q = \lfloor v \rfloor$:
#
# $$y = \sum_{s=0}^{1} \sum_{t=0}^{1} (1 - |u - p - s|)(1 - |v - q - t|) \,
#   x_{p+s, q+t}$$
#
# ```text
#    x[p, q] ────┐
#    x[p, q+1] ──┼──▶ × 4 weights ──▶ + ──▶ y[i, j]          gather
#    x[p+1, q] ──┤
#    x[p+1, q+1] ┘        dx[p, q] ◀── += × weight ◀── dy[i, j]     scatter
# ```

# %%
x = np.array([[8.0, 4.0], [16.0, 12.0]])
# ? value, read at row u = 0.25 and column v = 0.5 of x
value = 0.75 * 0.5 * 8 + 0.75 * 0.5 * 4 + 0.25 * 0.5 * 16 + 0.25 * 0.5 * 12
print("value =", value)
assert value == 8

# %% [markdown]
# For whole pictures, the four pixels of each place come from a small function. What
# lies beside the picture is 0 here: such a pixel has weight 0. (Keras calls this
# `fill_mode="constant"`. Its default is "reflect": the picture is mirrored there.)

# %%
def corners(u, v):
    """The four pixels read at places u, v (N, …): their weights, rows and columns."""
    rows, columns = u.shape[1:]
    for s in (0, 1):
        for t in (0, 1):
            p, q = np.floor(u).astype(int) + s, np.floor(v).astype(int) + t
            inside = (p >= 0) & (p < rows) & (q >= 0) & (q < columns)
            weight = inside * (1 - np.abs(u - p)) * (1 - np.abs(v - q))
            yield weight, p.clip(0, rows - 1), q.clip(0, columns - 1)


# ? [warp] x, u, v (N, rows, columns) -> y, from the pixels that corners(u, v) gives
def warp(x, u, v):
    n = np.arange(len(x))[:, None, None]
    return sum(weight * x[n, p, q] for weight, p, q in corners(u, v))


u, v = np.array([[[0.25, 1.0], [0.25, 2.0]]]), np.array([[[0.5, 0.0], [0.75, 0.0]]])
y = warp(x[None], u, v)                                 # (N, rows, columns)
print("y =", y.tolist())
assert np.allclose(y, [[[8, 16], [7, 0]]])

# %% [markdown]
# ## The warp backward: scatter
#
# Backward, each $dy_{nij}$ goes to the four pixels it was made of, in the same shares.
# One pixel may have been read at many places: then it collects from all of them. As in
# lesson 12, `dx[n, p, q] += …` would keep one of these only; `np.add.at` adds them all.

# %%
# ? [warp_backward] dy, u, v (N, rows, columns) -> dx; np.add.at(dx, (n, p, q), what)
def warp_backward(dy, u, v):
    dx = np.zeros_like(dy)
    n = np.arange(len(dy))[:, None, None]
    for weight, p, q in corners(u, v):
        np.add.at(dx, (n, p, q), weight * dy)
    return dx


dy = np.array([[[1.0, 2.0], [-4.0, 3.0]]])              # (N, rows, columns)
dx = warp_backward(dy, u, v)
print("dx =", dx.tolist())
check_derivative("dx", dx, lambda x: np.sum(dy * warp(x, u, v)), x[None])

# %% [markdown]
# ## Colours: brightness and contrast
#
# A pixel lies between low and high, here 0 and 255. Brightness adds the same $d$ to all
# of a picture: a part of that range, drawn at random. What runs over is clipped:
#
# $$y = \text{clip}(x + d) \tag{001.10.RandomBrightness}$$

# %%
x = np.array([[10.0, 50.0, 240.0], [90.0, 120.0, 150.0]])       # (N, pixels)
dy = np.array([[1.0, -2.0, 3.0], [4.0, 0.5, -1.0]])
d = 255 * np.array([[0.1], [-0.4]])                     # (N, 1)
y_bright = np.clip(x + d, 0, 255)
# ? dx_bright, from dy, x and d: what was clipped no longer depends on x
dx_bright = dy * ((x + d > 0) & (x + d < 255))
print("y =", y_bright.tolist(), " dx =", (dx_bright + 0).tolist())
check_derivative("dx", dx_bright, lambda x: np.sum(dy * np.clip(x + d, 0, 255)), x)
assert dx_bright[0, 2] == dx_bright[1, 0] == 0

# %% [markdown]
# Contrast stretches each channel about its own mean $m$, by a factor $f$:
#
# $$a = f (x - m) + m = f x + (1 - f) \, m, \qquad y = \text{clip}(a)
#   \tag{001.10.RandomContrast}$$
#
# Now the mean is part of the graph. Each pixel is in $m$, so each pixel hears all.

# %%
f = np.array([[1.5], [0.5]])                            # (N, 1)
m = x.mean(axis=1, keepdims=True)                       # (N, 1)
a = f * (x - m) + m
y_contrast = np.clip(a, 0, 255)
print("a =", a.tolist(), " y =", y_contrast.tolist())
# ? da, from dy and a: through the clip
da = dy * ((a > 0) & (a < 255))                         # (N, pixels)
# ? dm, from da and f: m is in every pixel's a
dm = ((1 - f) * da).sum(axis=1, keepdims=True)          # (N, 1)
# ? dx_contrast, from da, f and dm; m is the mean of 3 pixels
dx_contrast = f * da + dm / 3                           # (N, pixels)
print("dx =", dx_contrast.round(3).tolist())
check_derivative("dx", dx_contrast, lambda x: np.sum(dy * np.clip(
    f * x + (1 - f) * x.mean(axis=1, keepdims=True), 0, 255)), x)

# %% [markdown]
# In short, $dx = f \, da + (1 - f) \, \text{mean}(da)$: the gradient goes through the
# same stretching, about *its* mean.
#
# ## Flips and crops
#
# A **flip** turns the order of columns (or rows) round. A **crop** cuts out a window.
# In the middle, the new rows begin at
#
# $$\lfloor (\text{old} - \text{new}) / 2 \rfloor \tag{001.10.CenterCrop}$$
#
# $$y_{nij} = x_{n, i, \text{columns} - 1 - j} \tag{001.10.RandomFlip}$$
# $$y_{nij} = x_{n, i + \text{top}, j + \text{left}} \tag{001.10.RandomCrop}$$
#
# Top and left are drawn once for a batch. (Height comes first, then width. And a flip
# has no mode "both"; it is called "horizontal_and_vertical".)

# %%
x = np.arange(16.0).reshape(2, 4, 2)                    # (N, rows, columns)
dy = np.arange(1.0, 17).reshape(2, 4, 2)
# ? dx_flip, for y = x[:, :, ::-1]
dx_flip = dy[:, :, ::-1]
check_derivative("dx", dx_flip, lambda x: np.sum(dy * x[:, :, ::-1]), x)

dy = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])     # (N, 2, 2)
dx_crop = np.zeros_like(x)
# ? [dx_crop] for y = x[:, 1:3]: dx_crop holds zeros; put dy where it came from
dx_crop[:, 1:3] = dy
check_derivative("dx", dx_crop, lambda x: np.sum(dy * x[:, 1:3]), x)

# %% [markdown]
# ## The same in the library: texts and tables
#
# `adapt` learns, a call computes. All of it may stand at the front of a model.

# %%
words_of = layers.TextVectorization()
words_of.adapt(texts)
assert words_of.get_vocabulary() == ["", "[UNK]", *vocabulary]
assert words_of([" ".join(new_text)]).tolist() == [ids]

weighted = layers.TextVectorization(output_mode="tf_idf", dtype="float64")
weighted.adapt(texts)
print("tf-idf of the library:", weighted(texts).round(3).tolist())
assert np.allclose(weighted(texts), counts * idf, rtol=1e-6)

lookup = layers.StringLookup(vocabulary=islands[1:], output_mode="one_hot")
print("an unseen island:", lookup([["Torgersen"]]).tolist())
assert np.array_equal(lookup([["Biscoe"], ["Dream"], ["Biscoe"], [""]]), one_hot)
by_year = layers.IntegerLookup(vocabulary=years, num_oov_indices=2)
assert by_year(asked).tolist() == year_ids
encode = layers.CategoryEncoding(4, output_mode="one_hot")
assert np.array_equal(encode(island_ids), one_hot)
several = layers.CategoryEncoding(4, output_mode="multi_hot")
assert several(np.array([[1, 3, 3]])).tolist() == [[0, 1, 0, 1]]

# %% [markdown]
# ## The same in the library: numbers and colours
#
# Numbers have a `backward`, where there is something to go back through. A layer that
# changes pictures at random draws in `training=True` only. It keeps what it has drawn:
# with that, our lines give its numbers.

# %%
scaled = layers.Normalization(dtype="float64")
scaled.adapt(seen)
assert np.allclose(scaled.forward(sigma * x_norm + mu), x_norm)
assert np.allclose(scaled.backward(dx_norm), dx_norm / sigma)
in_bins = layers.Discretization(num_bins=4)
in_bins.adapt(heights)
assert np.allclose(in_bins.bin_boundaries, b)
assert np.array_equal(in_bins(heights), height_bins)

pictures = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 1))
back = np.random.default_rng(1).normal(size=pictures.shape)
for room in ("reference", "cpu"):
    rescaled = layers.Rescaling(1 / 255, dtype="float64").to(room)
    assert np.allclose(rescaled.forward(pictures), pictures / 255)
    assert np.allclose(rescaled.backward(back), back / 255)

    layer = layers.RandomContrast((0.9, 0.9), seed=1, dtype="float64").to(room)
    layer.forward(pictures, training=True)
    f = layer.cache.drawn[:, None, None, None]
    a = f * pictures + (1 - f) * pictures.mean(axis=(1, 2), keepdims=True)
    da = back * ((a > 0) & (a < 255))
    mean = da.mean(axis=(1, 2), keepdims=True)
    assert np.allclose(layer.backward(back), f * da + (1 - f) * mean)

    layer = layers.RandomBrightness((0.4, 0.4), dtype="float64").to(room)
    brighter = layer.forward(pictures, training=True)
    assert np.allclose(brighter, np.clip(pictures + 0.4 * 255, 0, 255))
    assert np.allclose(layer.backward(back), back * (pictures + 0.4 * 255 < 255))

# %% [markdown]
# ## The same in the library: warps
#
# Here are the three random warps with the places that each has drawn, then a flip and
# a crop.

# %%
def places(drawn, rows, columns):
    """u, v (N, rows, columns), of the six numbers drawn for each picture."""
    a_0, a_1, a_2, b_0, b_1, b_2 = drawn.T[:, :, None, None]
    i, j = np.mgrid[:rows, :columns]
    return b_0 * j + b_1 * i + b_2, a_0 * j + a_1 * i + a_2


how = {"fill_mode": "constant", "seed": 1, "dtype": "float64"}
for layer in (layers.RandomTranslation(0.3, 0.3, **how),
              layers.RandomRotation(0.2, **how),
              layers.RandomZoom(0.3, **how)):
    given = layer.forward(pictures, training=True)[..., 0]
    u, v = places(layer.cache.drawn, 4, 4)
    assert np.allclose(given, warp(pictures[..., 0], u, v))
    back_here = layer.backward(back)[..., 0]
    assert np.allclose(back_here, warp_backward(back[..., 0], u, v))
    assert np.array_equal(layer.forward(pictures), pictures)

flip = layers.RandomFlip("horizontal", seed=5, dtype="float64")
given = flip.forward(pictures, training=True)
for n, is_flipped in enumerate(flip.cache.drawn):
    assert np.array_equal(given[n], pictures[n, :, ::-1] if is_flipped else pictures[n])
crop = layers.CenterCrop(2, 4, dtype="float64")
assert np.array_equal(crop.forward(pictures), pictures[:, 1:3])
assert np.array_equal(crop.backward(back[:, 1:3]), np.pad(
    back[:, 1:3], ((0, 0), (1, 1), (0, 0), (0, 0))))
show_source("kernels.reference.warps:warp_pixel",
            "kernels.reference.warps:warp_pixel_gradient")

# %% [markdown]
# (The compiled kernel: `show_source("kernels.cpu.warps:warp")`. And that of a GPU,
# where many threads add to one pixel:
# `show_source("kernels.cuda.warps:warp_gradient")`.)
#
# ## A picture: what augmentation makes of a digit
#
# One digit of 8 × 8 pixels, and what five layers make of it.

# %%
images, labels = digits()
images = images[..., None] / 16                 # (N, rows, columns, 1), from 0 to 1
kinds = {"moved": layers.RandomTranslation(0.125, 0.125, "constant", seed=1),
         "turned": layers.RandomRotation(0.1, "constant", seed=2),
         "zoomed": layers.RandomZoom(0.3, None, "constant", seed=3),
         "contrast": layers.RandomContrast((0.8, 0.8), value_range=(0, 1), seed=4),
         "flipped": layers.RandomFlip("horizontal", seed=5)}
copies = np.repeat(images[5:6], 8, axis=0)
changed = {name: layer.forward(copies, training=True)[..., 0]
           for name, layer in kinds.items()}
save_figure(draw_augmented(images[5, :, :, 0], changed), "22_augmented")
assert changed["contrast"].min() >= 0 and changed["contrast"].max() <= 1
kept = {name: float((picture == copies[..., 0]).all(axis=(1, 2)).mean())
        for name, picture in changed.items()}
print("left as it was:", kept)
assert 0 < kept["flipped"] < 1 and kept["turned"] == 0

# %% [markdown]
# ## A picture: who is heard through a warp
#
# Let the loss be the sum of all new pixels. Then a pixel's gradient says how often it
# was read, in all. The pictures have 24 × 24 pixels.

# %%
def one_warp(z=0.0, rho=0.0, down=0.0):
    """u, v (1, 24, 24) of a zoom, a turn, and a move by `down` pixels."""
    i, j = np.mgrid[:24, :24] - 11.5
    sin, cos = np.sin(2 * np.pi * rho), np.cos(2 * np.pi * rho)
    u, v = (1 + z) * (j * sin + i * cos), (1 + z) * (j * cos - i * sin)
    return u[None] + 11.5 - down, v[None] + 11.5


ones = np.ones((1, 24, 24))
heard = {name: warp_backward(ones, *one_warp(**how))[0] for name, how in {
    "moved down by 4.5": {"down": 4.5}, "turned by 1/12": {"rho": 1 / 12},
    "zoomed in, z = -0.4": {"z": -0.4}, "zoomed out, z = 0.6": {"z": 0.6}}.items()}
save_figure(draw_heard(heard), "22_heard")
for name, gradient in heard.items():
    print(f"{name:20} in all {gradient.sum():5.0f}, the largest {gradient.max():.2f}")
assert heard["moved down by 4.5"][-4:].max() == 0
assert heard["zoomed in, z = -0.4"].max() > 2 > 1.3 > heard["turned by 1/12"].max()
assert heard["zoomed out, z = 0.6"].sum() < 0.5 * ones.sum()

# %% [markdown]
# Moved: the last rows fell out and hear nothing. Turned: the corners. Zoomed in: the
# middle was read two or three times for each pixel, in a pattern; the rim never. Zoomed
# out: each is read, but by fewer, and again not all alike.
#
# ## A picture and a real task: from which chapter?
#
# Python's own help has chapters. Here are paragraphs of ten of them: which chapter does
# a paragraph come from? First, what counting shows of two, and what tf-idf shows.

# %%
paragraphs, chapters = paragraphs_of_help()
split = len(paragraphs) * 7 // 10
bag = layers.TextVectorization(max_tokens=1000, output_mode="count")
bag.adapt(paragraphs[:split])
weighted = layers.TextVectorization(max_tokens=1000, output_mode="tf_idf")
weighted.adapt(paragraphs[:split])
first, second = (paragraphs[:split][chapters[:split] == c] for c in (1, 3))
counted, by_idf = (np.stack([part(first).sum(axis=0), part(second).sum(axis=0)])[:, 1:]
                   for part in (bag, weighted))         # without the unknown
save_figure(draw_words_that_count(bag.get_vocabulary()[1:], counted, by_idf,
                                  (CHAPTERS[1], CHAPTERS[3])), "22_tf_idf")
the = np.stack([part[:, 0] / part.sum(axis=1) for part in (counted, by_idf)])
assert bag.get_vocabulary()[1] == "the" and (the[1] < 0.5 * the[0]).all()

# %% [markdown]
# By tf-idf "the" has a third of its share, and what is rare elsewhere moves up. Still,
# "the" comes so often that it does not go away.
#
# Now the model: raw text in, a bag of words, one Dense layer. The baseline says the
# most frequent chapter each time.

# %%
right = {"most frequent": (chapters[split:] == np.bincount(chapters[:split]).argmax())
         .mean()}
for mode in ("multi_hot", "count", "tf_idf"):
    set_random_seed(0)
    words = layers.TextVectorization(max_tokens=1000, output_mode=mode)
    words.adapt(paragraphs[:split])
    model = Sequential([words, Dense(len(CHAPTERS))])
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True))
    model.fit(paragraphs[:split], chapters[:split], epochs=60, verbose=0)
    answers = model.predict(paragraphs[split:], verbose=0).argmax(axis=1)
    right[mode] = (answers == chapters[split:]).mean()
print({name: f"{share:.0%}" for name, share in right.items()})
for n in np.flatnonzero(answers != chapters[split:])[:3]:
    print(f"{CHAPTERS[chapters[split + n]]}, taken for {CHAPTERS[answers[n]]}:",
          paragraphs[split + n][:50], "…")
assert right.pop("most frequent") < 0.25 and min(right.values()) > 0.6

# %% [markdown]
# Seven in ten, out of ten chapters, without an idea of grammar. To be honest: here
# tf-idf is not better than the plain counts. The Dense layer has weights of its own for
# each word, and learns by itself that "the" tells nothing.
#
# ## A real task: a table with an island never seen
#
# 342 penguins. How heavy is one, from three lengths, its species, sex and island? Sex
# is missing for nine. 200 of two islands are known. Two examinations: others of the
# same islands, and all of Torgersen, which nobody has seen.

# %%
table = penguins()
known, same, unseen = known_and_new(table["island"], "Torgersen", 200)
grams = table["body_mass_g"]
lengths = np.stack([table[f"{part}_mm"] for part in
                    ("bill_length", "bill_depth", "flipper_length")], axis=1)
print(len(known), "known,", len(same), "of the same islands,", len(unseen), "unseen")
print("sex missing:", (table["sex"] == "").sum())
middle, spread = grams[known].mean(), grams[known].std()
normalise = layers.Normalization()
normalise.adapt(lengths[known])


def one_hot_of(name, hide=0):
    """One column of the table, one-hot; every so many rows to learn from are hidden."""
    look = layers.StringLookup(output_mode="one_hot")
    look.adapt(table[name][known])
    told = table[name].astype("<U9")
    if hide:
        told[known[::hide]] = "hidden"
    return look(told[:, None])


# %% [markdown]
# ## A real task: the contest of the tables

# %%
def errors(*columns):
    """The mean error in grams, on the same islands and on the unseen one."""
    set_random_seed(0)
    rows = np.concatenate(columns, axis=1)
    model = Sequential([Dense(1)])
    model.compile(Adam(0.05), "mse")
    wanted = (grams[known, None] - middle) / spread
    model.fit(rows[known], wanted, epochs=200, verbose=0)
    wrong = np.abs(model.predict(rows, verbose=0)[:, 0] * spread + middle - grams)
    return float(wrong[same].mean()), float(wrong[unseen].mean())


norm = normalise(lengths)
sex, species = one_hot_of("sex"), one_hot_of("species")
found = {"lengths as they are": errors(lengths),
         "lengths, normalised": errors(norm),
         "+ sex, species": errors(norm, sex, species),
         "+ island": errors(norm, sex, species, one_hot_of("island")),
         "+ island, some hidden": errors(norm, sex, species,
                                         one_hot_of("island", hide=5))}
baseline = tuple(float(np.abs(grams[rows] - middle).mean()) for rows in (same, unseen))
print(f"{'the mean of all':22} {baseline[0]:4.0f} g {baseline[1]:4.0f} g")
for name, pair in found.items():
    print(f"{name:22} {pair[0]:4.0f} g {pair[1]:4.0f} g")
save_figure(draw_unknown_island(found, baseline), "22_unknown_island")
assert found["lengths, normalised"][0] < 0.8 * found["lengths as they are"][0]
assert found["+ sex, species"][0] < 0.85 * found["lengths, normalised"][0]
assert found["+ island"][1] > 1.4 * found["+ sex, species"][1]
assert found["+ island, some hidden"][1] < 0.8 * found["+ island"][1]

# %% [markdown]
# On the known islands, the column of islands does no harm. On the unseen one it ruins
# all: there the weight of `[UNK]` comes in, which was never trained. That is row 0 of
# your `dW`. The cure: hide the island of some penguins in training. Then "unknown" is
# something the network has met.
#
# ## A real task: 100 digits
#
# 100 digits to learn from, 1697 to examine: as they lie, and moved by one pixel. Each
# number is the mean of three such draws, so that chance does not decide.

# %%
def change(how):
    """The layers that change pictures in training."""
    if how == "moved":
        return [layers.RandomTranslation(0.125, 0.125, "constant")]
    return [layers.RandomFlip("horizontal")] if how == "flipped" else []


def taught(how, seed):
    """A network that has learnt 100 digits; the new ones, their labels, its answers."""
    order = np.random.default_rng(seed).permutation(len(images))
    few, rest = order[:100], order[100:]
    set_random_seed(seed)
    model = Sequential([*change(how), Flatten(), Dense(64, "relu"), Dense(10)])
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[few], labels[few], epochs=200, batch_size=25, verbose=0)
    shifted = moved(images[rest])
    answers = [model.predict(part, verbose=0).argmax(axis=1)
               for part in (images[rest], shifted)]
    return shifted, labels[rest], answers


right = {}
for name in ("nothing", "moved", "flipped"):
    runs = [taught(name, seed) for seed in range(3)]
    right[name] = tuple(np.mean([[(told == truth).mean() for told in answers]
                                 for _, truth, answers in runs], axis=0).tolist())
    print(f"{name:8} {right[name][0]:.0%} right; moved digits: {right[name][1]:.0%}")

# %% [markdown]
# ## What augmentation did, and what it did not

# %%
shifted, truth, answers = taught("moved", 0)
wrong = answers[1] != truth
save_figure(draw_few_digits(right, shifted[wrong][..., 0], truth[wrong],
                            answers[1][wrong]), "22_few_digits")
assert abs(100 * right["nothing"][1] - moved_right) < 8
assert right["moved"][1] > right["nothing"][1] + 0.15
assert right["flipped"][0] < right["nothing"][0] - 0.02
assert right["moved"][0] < right["nothing"][0] + 0.02

# %% [markdown]
# Moves in training: far more moved digits are right. But for digits as they lie it
# gains nothing, and even loses a little. They all lie in the middle, so a network of
# this size that learns moves as well learns what nobody asks for. Flips do harm: a
# flipped 7 is no 7. Augmentation says which changes do not matter. It helps where that
# is true *and* where such changes come.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 22 my_answer.py`.
#
# 1. On paper: a row of pixels $(4, 8, 0, 12)$ is resized to two. Set `y`; then
#    $dy = (2, 4)$ comes back: set `dx`. A channel $(10, 20, 60)$ meets contrast with
#    $f = 0.5$, and $dy = (1, 0, 2)$ comes back: set `dx_contrast`. A word is in 3 of
#    8 texts: set `weight`, its idf as Keras has it.
# 2. A whole backward: `augment_backward(dy, x, f, u, v)`. Pictures (N, rows, columns)
#    first get another contrast, $a = f (x - m) + m$ and a clip to [0, 1]. Then they are
#    warped with the places `u`, `v` (zeros beside the picture). `f` is (N,), each
#    picture has its own mean $m$. Return `dx`.
# 3. A bug, seen in the wild: the function below runs without complaint, and the
#    examination of the model looks better than it is. Write it right as
#    `fixed_standardize(train, new)`. A column that is constant in `train` is only
#    shifted.
# 4. An experiment: throw 300 words into $K$ bins at random, often. For which $K$ does
#    one word in ten share its bin with another? Set `bins_needed`.
#
# ```python
# def standardize(train, new):
#     both = np.concatenate([train, new])
#     mean, std = both.mean(axis=0), both.std(axis=0)
#     return (train - mean) / std, (new - mean) / std
# ```
