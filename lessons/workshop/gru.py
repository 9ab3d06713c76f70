"""A GRU in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 09 (nblayers learn gru) derives every gradient. New here: an initial state, and a mask.

    nblayers check gru my_gru.py        the gradient checker looks at your backward
    nblayers train gru my_gru.py        your layer learns to write
"""
import numpy as np

from nblayers.layers.base import Layer, Record


def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2             # 1 / (1 + exp(-a)), without its overflow


def at_each_step(dy, T):
    """The gradient (N, H) of the last output as (N, T, H): nothing is asked of the steps before."""
    dh = np.zeros((len(dy), T, dy.shape[1]), dy.dtype)
    dh[:, -1] = dy
    return dh


class Cache(Record):
    """What backward needs. N samples, T steps, D inputs, H units; step t of z is z[:, t]."""

    x: np.ndarray               # (N, T, D)
    mask: np.ndarray            # (N, T), True at real steps
    given: bool                 # whether an initial state was given
    z: np.ndarray               # (N, T, H), the update gate: how much of the state is kept
    r: np.ndarray               # (N, T, H), the reset gate
    u: np.ndarray               # (N, T, H), what the candidate gets from the state, before the reset gate
    h_tilde: np.ndarray         # (N, T, H), the candidate for the new state
    h: np.ndarray               # (N, T, H), the state after each step
    h_prev: np.ndarray          # (N, T, H), the state before each step


class MyGRU(Layer):
    """H units, the reset gate after the product. The columns lie side by side in W, U, b and b_U, in Keras' order z, r, h~.

    `bias` holds two rows: b, added to x W, and b_U, added to h U.
    """

    def __init__(self, units, return_sequences=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = return_sequences

    def build(self, input_shape):
        D, H = input_shape[-1], self.units
        self.W = self.add_weight((D, 3 * H), name="W")
        self.U = self.add_weight((H, 3 * H), initializer="orthogonal", name="U")
        self.bias = self.add_weight((2, 3 * H), initializer="zeros", name="bias")

    def forward(self, x, initial_state=None, mask=None):
        """x (N, T, D), initial_state [h_0], (N, H), mask (N, T) -> h (N, T, H), or the last one (N, H)."""
        N, T, _ = x.shape
        H = self.units
        W, U = self.W.value, self.U.value
        b, b_U = self.bias.value
        real_steps = np.ones((N, T), bool) if mask is None else mask
        [h_t] = initial_state or np.zeros((1, N, H), x.dtype)
        z, r, u, h_tilde, h, h_prev = np.empty((6, N, T, H), x.dtype)
        for t in range(T):
            h_prev[:, t] = h_t
            x_z, x_r, x_h = np.split(x[:, t] @ W + b, 3, axis=1)
            h_z, h_r, u[:, t] = np.split(h_t @ U + b_U, 3, axis=1)
            z[:, t] = sigmoid(x_z + h_z)
            r[:, t] = sigmoid(x_r + h_r)
            h_tilde[:, t] = np.tanh(x_h + r[:, t] * u[:, t])
            real = real_steps[:, t, None]                           # (N, 1): where it is False, the state stays
            h_t = np.where(real, z[:, t] * h_t + (1 - z[:, t]) * h_tilde[:, t], h_t)
            h[:, t] = h_t
        self.cache = Cache(x, real_steps, initial_state is not None, z, r, u, h_tilde, h, h_prev)
        return h if self.return_sequences else h[:, -1]

    def backward(self, dy):
        """dy, of the shape of forward's output -> dx (N, T, D), or [dx, dh_0] if an initial state was given."""
        cache = self.cache  # given
        N, T, H = cache.h.shape  # given
        dy = dy if self.return_sequences else at_each_step(dy, T)  # given
        # > Walk back through time, t = T - 1, …, 0. One gradient comes back from the step after, dh (N, H). What comes back to
        # > the last step? At each step, in this order:
        # >   1. dh, of h_t: who has read h_t?
        # >   2. dz and dh_tilde, from forward's last equation. Which way from h_t to h_prev does it show?
        # >   3. da_h, of what stands in the tanh; from it dr and du.
        # >   4. da_z and da_r: which slope do both have?
        # >   5. Two gradients (N, 3 H) side by side: da_x, of x W + b, and da_U, of h_prev U + b_U. Where do they differ?
        # >   6. add to self.W.grad, self.U.grad, both rows of self.bias.grad: which of the two belongs to which? And dx[:, t].
        # >   7. dh of the step before: how many ways lead to it?
        # > Where cache.mask is False a step has computed nothing: what is 0 there, and what goes back as it came?
        # > Return dx, or [dx, dh] if cache.given.
        dx = np.empty_like(cache.x)
        dh = np.zeros((N, H), dy.dtype)
        for t in reversed(range(T)):
            z, r, u, h_tilde = cache.z[:, t], cache.r[:, t], cache.u[:, t], cache.h_tilde[:, t]
            h_prev = cache.h_prev[:, t]
            real = cache.mask[:, t, None]
            # >> 1. dh_t = dy_t + what comes back; before the last step that is 0
            dh = dh + dy[:, t]
            # >> 2. h = z h_prev + (1 − z) h̃: dz = dh (h_prev − h̃), dh̃ = dh (1 − z), and dh z goes straight back
            dz = dh * (h_prev - h_tilde)
            dh_tilde = dh * (1 - z)
            # >> 3. da_h = dh̃ (1 − h̃²); a_h = x_h + r u: dr = da_h u, du = da_h r
            da_h = dh_tilde * (1 - h_tilde ** 2)
            dr = da_h * u
            du = da_h * r
            # >> 4. σ' = σ (1 − σ)
            da_z = dz * z * (1 - z)
            da_r = dr * r * (1 - r)
            # >> 5. da_x = da_z, da_r, da_h; da_U = da_z, da_r, du: r stands before the candidate's third of h_prev U
            da_x = np.where(real, np.concatenate([da_z, da_r, da_h], axis=1), 0)
            da_U = np.where(real, np.concatenate([da_z, da_r, du], axis=1), 0)
            # >> 6. dW = Σ x_tᵀ da_x, dU = Σ h_{t−1}ᵀ da_U, the rows of the bias: Σ da_x and Σ da_U; dx_t = da_x Wᵀ
            self.W.grad += cache.x[:, t].T @ da_x
            self.U.grad += h_prev.T @ da_U
            self.bias.grad[0] += da_x.sum(axis=0)
            self.bias.grad[1] += da_U.sum(axis=0)
            dx[:, t] = da_x @ self.W.value.T
            # >> 7. back to step t − 1: dh z + da_U Uᵀ; past a masked step dh goes as it came
            dh = np.where(real, dh * z + da_U @ self.U.value.T, dh)
        return [dx, dh] if cache.given else dx


# %% the workshop
from nblayers.layers import GRU
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import recurrent_cases
from nblayers.learn.workshop.tasks import Text

LESSON = "09_gru"
LAYER = MyGRU
PARTS = ("z", "r", "h~")
CASES = recurrent_cases(states=1)
TASK = Text(units=64)
DONE = """You have written the whole backward of a GRU: two gates, a state that is kept and replaced, every step of time, a
batch axis, masks, an initial state. The network that has just learned to write has learned by your lines."""


def library(layer):
    return GRU(layer.units, return_sequences=layer.return_sequences)


BUGS = [
    Bug([("dh = np.where(real, dh * z + da_U @ self.U.value.T, dh)", "dh = np.where(real, da_U @ self.U.value.T, dh)")],
        "the direct way back, dh z, is missing: the state was kept by z, and so is its gradient",
        "It learns all the same: after 150 batches its loss is 2.919 bits a character, the right layer's 3.037."),
    Bug([("dz = dh * (h_prev - h_tilde)", "dz = dh * (h_tilde - h_prev)")],
        "dz has the wrong sign: h = z h_prev + (1 - z) h~, so z takes h_prev in and h~ out (papers that swap z "
        "and 1 - z have the other sign)",
        "It learns much worse: after 150 batches its loss is 4.798 bits a character, the right layer's 3.037."),
    Bug([("dr = da_h * u", "dr = da_h * h_prev")],
        "dr is made for a reset gate before the product (r h_prev); here r stands after it and multiplies u",
        "It learns all the same: after 150 batches its loss is 3.105 bits a character, the right layer's 3.037."),
    Bug([("da_U = np.where(real, np.concatenate([da_z, da_r, du], axis=1), 0)", "da_U = da_x")],
        "the third part of da_U leaves out the reset gate: U's product goes through r, x's does not",
        "It learns, a little worse: after 150 batches its loss is 4.02 bits a character, the right layer's 3.037."),
    Bug([("self.bias.grad[1] += da_U.sum(axis=0)", "self.bias.grad[1] += da_x.sum(axis=0)")],
        "the second bias gets the gradient of the first; in its last part the reset gate is missing",
        "It learns all the same: after 150 batches its loss is 3.038 bits a character, the right layer's 3.037."),
    Bug([("self.U.grad += h_prev.T @ da_U", "self.U.grad += cache.h[:, t].T @ da_U")],
        "U's gradient is made with the state after the step; U was multiplied with the state before",
        "It learns, a little worse: after 150 batches its loss is 3.251 bits a character, the right layer's 3.037."),
    Bug([("dh = np.where(real, dh * z + da_U @ self.U.value.T, dh)", "dh = dh * z + da_U @ self.U.value.T")],
        "at a masked step nothing was computed, so dh should pass it as it came; here it is multiplied by z",
        "In training it does not show at all: on this task both learn the same."),
    Bug([("dh = dh + dy[:, t]", "dh = dy[:, t]")],
        "what comes back from the step after is dropped, `=` for `+`: each step is trained alone",
        "It learns all the same: after 150 batches its loss is 2.995 bits a character, the right layer's 3.037."),
    Bug([("z[:, t] * h_t + (1 - z[:, t]) * h_tilde[:, t]", "(1 - z[:, t]) * h_t + z[:, t] * h_tilde[:, t]"),
         ("dz = dh * (h_prev - h_tilde)", "dz = dh * (h_tilde - h_prev)"),
         ("dh_tilde = dh * (1 - z)", "dh_tilde = dh * z"),
         ("dh * z + da_U @ self.U.value.T", "dh * (1 - z) + da_U @ self.U.value.T")],
        "z and 1 - z have changed places, forward and backward: the gradient is right, so no gradient check can "
        "see it; weights of another GRU give other numbers",
        "It learns all the same: after 150 batches its loss is 3.025 bits a character, the right layer's 3.037."),
]
