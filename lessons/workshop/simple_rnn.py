"""A SimpleRNN in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 06 (nblayers learn simple_rnn) derives every gradient. New here: an initial state, and a mask.

    nblayers check simple_rnn my_simple_rnn.py      the gradient checker looks at your backward
    nblayers train simple_rnn my_simple_rnn.py      your layer learns to add
"""
import numpy as np

from nblayers.layers.base import Layer, Record


def at_each_step(dy, T):
    """The gradient (N, H) of the last output as (N, T, H): nothing is asked of the steps before."""
    dh = np.zeros((len(dy), T, dy.shape[1]), dy.dtype)
    dh[:, -1] = dy
    return dh


class Cache(Record):
    """What backward needs. N samples, T steps, D inputs, H units; step t of h is h[:, t]."""

    x: np.ndarray               # (N, T, D)
    mask: np.ndarray            # (N, T), True at real steps
    given: bool                 # whether an initial state was given
    h: np.ndarray               # (N, T, H), the state after each step
    h_prev: np.ndarray          # (N, T, H), the state before each step


class MySimpleRNN(Layer):
    """H units: h_t = tanh(x_t W + h_{t-1} U + b)."""

    def __init__(self, units, return_sequences=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = return_sequences

    def build(self, input_shape):
        D, H = input_shape[-1], self.units
        self.W = self.add_weight((D, H), name="W")
        self.U = self.add_weight((H, H), initializer="orthogonal", name="U")
        self.b = self.add_weight((H,), initializer="zeros", name="b")

    def forward(self, x, initial_state=None, mask=None):
        """x (N, T, D), initial_state [h_0], (N, H), mask (N, T) -> h (N, T, H), or the last one (N, H)."""
        N, T, _ = x.shape
        H = self.units
        W, U, b = self.W.value, self.U.value, self.b.value
        real_steps = np.ones((N, T), bool) if mask is None else mask
        [h_t] = initial_state or np.zeros((1, N, H), x.dtype)
        h, h_prev = np.empty((2, N, T, H), x.dtype)
        for t in range(T):
            h_prev[:, t] = h_t
            a = x[:, t] @ W + h_t @ U + b
            real = real_steps[:, t, None]                           # (N, 1): where it is False, the state stays
            h_t = np.where(real, np.tanh(a), h_t)
            h[:, t] = h_t
        self.cache = Cache(x, real_steps, initial_state is not None, h, h_prev)
        return h if self.return_sequences else h[:, -1]

    def backward(self, dy):
        """dy, of the shape of forward's output -> dx (N, T, D), or [dx, dh_0] if an initial state was given."""
        cache = self.cache  # given
        N, T, H = cache.h.shape  # given
        dy = dy if self.return_sequences else at_each_step(dy, T)  # given
        # > Walk back through time, t = T - 1, …, 0. One gradient comes back from the step after, dh (N, H), in lesson
        # > 06 dh_next. What comes back to the last step? At each step, in this order:
        # >   1. dh, of h_t: who has read h_t?
        # >   2. da, of the pre-activation, from (001.09.SimpleRNN): which number of the cache tells the slope?
        # >   3. add to self.W.grad, self.U.grad, self.b.grad: at how many places is each weight used? And dx[:, t].
        # >   4. dh of the step before: through what has it been read?
        # > Where cache.mask is False a step has computed nothing: what is 0 there, and what goes back as it came?
        # > Return dx, or [dx, dh] if cache.given.
        dx = np.empty_like(cache.x)
        dh = np.zeros((N, H), dy.dtype)
        for t in reversed(range(T)):
            real = cache.mask[:, t, None]
            # >> 1. dh_t = dy_t + what comes back; before the last step that is 0
            dh = dh + dy[:, t]
            # >> 2. da_t = dh_t (1 − h_t²), and 0 where the step is masked
            da = np.where(real, dh * (1 - cache.h[:, t] ** 2), 0)
            # >> 3. dW = Σ x_tᵀ da_t, dU = Σ h_{t−1}ᵀ da_t, db = Σ da_t, over steps and samples; dx_t = da_t Wᵀ
            self.W.grad += cache.x[:, t].T @ da
            self.U.grad += cache.h_prev[:, t].T @ da
            self.b.grad += da.sum(axis=0)
            dx[:, t] = da @ self.W.value.T
            # >> 4. what comes back to step t − 1 is da_t Uᵀ; past a masked step dh goes as it came
            dh = np.where(real, da @ self.U.value.T, dh)
        return [dx, dh] if cache.given else dx


# %% the workshop
from nblayers.layers import SimpleRNN
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import recurrent_cases
from nblayers.learn.workshop.tasks import Adding

LESSON = "06_simple_rnn_bptt"
LAYER = MySimpleRNN
PARTS = ()
CASES = recurrent_cases(states=1)
TASK = Adding(units=32)
DONE = """You have written backpropagation through time: every step, a batch axis, masks, an initial state. The network that
has just learned to add two numbers it saw at different times has learned by your lines."""


def library(layer):
    return SimpleRNN(layer.units, return_sequences=layer.return_sequences)


BUGS = [
    Bug([("dh = dh + dy[:, t]", "dh = dy[:, t]")],
        "what comes back from the step after is dropped, `=` for `+`: nothing is learned over more than a step",
        "It learns much worse: after 800 batches its loss is 0.04436, the right layer's 0.01287."),
    Bug([("dh = np.where(real, da @ self.U.value.T, dh)", "dh = np.where(real, da @ self.U.value, dh)")],
        "U is not transposed on the way back; both are (H, H), so no shape complains",
        "It learns much worse: after 800 batches its loss is 0.1066, the right layer's 0.01287."),
    Bug([("1 - cache.h[:, t] ** 2", "1 - cache.h_prev[:, t] ** 2")],
        "the slope is that of the step before: 1 - h_{t-1}² where 1 - h_t² belongs",
        "It learns much worse: after 800 batches its loss is 0.2318, the right layer's 0.01287."),
    Bug([("1 - cache.h[:, t] ** 2", "1 - np.tanh(cache.h[:, t]) ** 2")],
        "tanh is taken twice: h_t is tanh(a_t) already, and the slope is 1 - h_t²",
        "It learns, a little worse: after 800 batches its loss is 0.01654, the right layer's 0.01287."),
    Bug([("self.U.grad += cache.h_prev[:, t].T @ da", "self.U.grad += cache.h[:, t].T @ da")],
        "U's gradient is made with the state after the step; U was multiplied with the state before",
        "It learns much worse: after 800 batches its loss is 0.1153, the right layer's 0.01287."),
    Bug([("self.U.grad += cache.h_prev[:, t].T @ da", "self.U.grad = cache.h_prev[:, t].T @ da")],
        "U's gradient is replaced (=) at each step instead of added to (+=): the share of the first step alone "
        "is left",
        "It learns much worse: after 800 batches its loss is 0.07221, the right layer's 0.01287."),
    Bug([("dh = np.where(real, da @ self.U.value.T, dh)", "dh = da @ self.U.value.T")],
        "at a masked step nothing was computed, so dh should pass it as it came; here it ends there",
        "In training it does not show at all: on this task both learn the same."),
    Bug([("self.b.grad += da.sum(axis=0)", "self.b.grad += da.mean(axis=0)")],
        "b's gradient is the mean over the batch; a layer sums, and the loss has taken the mean already",
        "It learns all the same: after 800 batches its loss is 0.01287, the right layer's 0.01287."),
]
