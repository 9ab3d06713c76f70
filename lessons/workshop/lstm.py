"""An LSTM in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 08 (nblayers learn lstm) derives every gradient, with initial states and a mask.

    nblayers check lstm my_lstm.py      the gradient checker looks at your backward
    nblayers train lstm my_lstm.py      your layer learns to write
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
    """What backward needs. N samples, T steps, D inputs, H units; step t of i is i[:, t]."""

    x: np.ndarray               # (N, T, D)
    mask: np.ndarray            # (N, T), True at real steps
    given: bool                 # whether initial states were given
    i: np.ndarray               # (N, T, H), the input gate
    f: np.ndarray               # (N, T, H), the forget gate
    C_tilde: np.ndarray         # (N, T, H), what may be added to the cell
    o: np.ndarray               # (N, T, H), the output gate
    C: np.ndarray               # (N, T, H), the cell after each step
    h: np.ndarray               # (N, T, H), the state after each step
    C_prev: np.ndarray          # (N, T, H), the cell before each step
    h_prev: np.ndarray          # (N, T, H), the state before each step


class MyLSTM(Layer):
    """H units. The columns of the gates lie side by side in W, U and b, in Keras' order i, f, C~, o."""

    def __init__(self, units, return_sequences=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = return_sequences

    def build(self, input_shape):
        D, H = input_shape[-1], self.units
        self.W = self.add_weight((D, 4 * H), name="W")
        self.U = self.add_weight((H, 4 * H), initializer="orthogonal", name="U")
        self.b = self.add_weight((4 * H,), initializer="zeros", name="b")
        self.b.value[H:2 * H] = 1                                   # at first the cell keeps what it has

    def forward(self, x, initial_state=None, mask=None):
        """x (N, T, D), initial_state [h_0, C_0], both (N, H), mask (N, T) -> h (N, T, H), or the last one (N, H)."""
        N, T, _ = x.shape
        H = self.units
        W, U, b = self.W.value, self.U.value, self.b.value
        real_steps = np.ones((N, T), bool) if mask is None else mask
        h_t, C_t = initial_state or np.zeros((2, N, H), x.dtype)
        i, f, C_tilde, o, C, h, C_prev, h_prev = np.empty((8, N, T, H), x.dtype)
        for t in range(T):
            C_prev[:, t] = C_t
            h_prev[:, t] = h_t
            a = x[:, t] @ W + h_t @ U + b                           # (N, 4 H), of all gates
            a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)
            i[:, t] = sigmoid(a_i)                                  # (004.LSTM.i)
            f[:, t] = sigmoid(a_f)                                  # (004.LSTM.f)
            C_tilde[:, t] = np.tanh(a_C)                            # (004.LSTM.C~)
            o[:, t] = sigmoid(a_o)                                  # (004.LSTM.o)
            real = real_steps[:, t, None]                           # (N, 1): where it is False, both states stay
            C_t = np.where(real, f[:, t] * C_t + i[:, t] * C_tilde[:, t], C_t)      # (004.LSTM.C)
            h_t = np.where(real, o[:, t] * np.tanh(C_t), h_t)
            C[:, t] = C_t
            h[:, t] = h_t
        self.cache = Cache(x, real_steps, initial_state is not None, i, f, C_tilde, o, C, h, C_prev, h_prev)
        return h if self.return_sequences else h[:, -1]

    def backward(self, dy):
        """dy, of the shape of forward's output -> dx (N, T, D), or [dx, dh_0, dC_0] if initial states were given."""
        cache = self.cache  # given
        N, T, H = cache.h.shape  # given
        dy = dy if self.return_sequences else at_each_step(dy, T)  # given
        # > Walk back through time, t = T - 1, …, 0. Two gradients come back from the step after, dh and dC, (N, H) each; in
        # > lesson 08 they are dh_next and dC_next. What comes back to the last step? At each step, in this order:
        # >   1. dh, of h_t: who has read h_t?
        # >   2. do and dC, from h = o tanh(C): in how many ways does C_t reach the loss?
        # >   3. df, di, dC_tilde, and what goes back to the cell of the step before, from (004.LSTM.C).
        # >   4. da (N, 4 H), of the four pre-activations: which slope belongs to which gate? The order is i, f, C~, o.
        # >   5. add to self.W.grad, self.U.grad, self.b.grad: at how many places is each weight used? And dx[:, t].
        # >   6. dh of the step before: how many gates have read it?
        # > Where cache.mask is False a step has computed nothing: what is 0 there, and what goes back as it came?
        # > Return dx, or [dx, dh, dC] if cache.given.
        dx = np.empty_like(cache.x)
        dh, dC = np.zeros((2, N, H), dy.dtype)
        for t in reversed(range(T)):
            i, f, C_tilde, o = cache.i[:, t], cache.f[:, t], cache.C_tilde[:, t], cache.o[:, t]
            tanh_C = np.tanh(cache.C[:, t])
            # >> 1. dh_t = dy_t + what comes back; before the last step that is 0
            dh = dh + dy[:, t]
            # >> 2. do = dh tanh(C); dC_t = what comes back + dh o (1 − tanh²(C))
            do = dh * tanh_C
            dC_t = dC + dh * o * (1 - tanh_C ** 2)
            # >> 3. df = dC C_{t−1}, di = dC C̃, dC̃ = dC i
            df = dC_t * cache.C_prev[:, t]
            di = dC_t * C_tilde
            dC_tilde = dC_t * i
            # >> 4. σ' = σ (1 − σ) for i, f and o; tanh' = 1 − tanh² for C̃; all are 0 where the step is masked
            da_i = di * i * (1 - i)
            da_f = df * f * (1 - f)
            da_C = dC_tilde * (1 - C_tilde ** 2)
            da_o = do * o * (1 - o)
            real = cache.mask[:, t, None]
            da = np.where(real, np.concatenate([da_i, da_f, da_C, da_o], axis=1), 0)
            # >> 5. dW = Σ x_tᵀ da_t, dU = Σ h_{t−1}ᵀ da_t, db = Σ da_t, over steps and samples; dx_t = da_t Wᵀ
            self.W.grad += cache.x[:, t].T @ da
            self.U.grad += cache.h_prev[:, t].T @ da
            self.b.grad += da.sum(axis=0)
            dx[:, t] = da @ self.W.value.T
            # >> 6. back to step t − 1: da_t Uᵀ for h, dC_t f_t for the cell; past a masked step both go as they came
            dh = np.where(real, da @ self.U.value.T, dh)
            dC = np.where(real, dC_t * f, dC)
        return [dx, dh, dC] if cache.given else dx


# %% the workshop
from nblayers.layers import LSTM
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import recurrent_cases
from nblayers.learn.workshop.tasks import Text

LESSON = "08_lstm"
LAYER = MyLSTM
PARTS = ("i", "f", "C~", "o")
CASES = recurrent_cases(states=2)
TASK = Text(units=64)
DONE = """You have written the whole backward of an LSTM: four gates, two states, every step of time, a batch axis, masks,
initial states. Nothing has differentiated for you, here or in the library. And the network that has just learned to
write has learned by your lines."""


def library(layer):
    return LSTM(layer.units, return_sequences=layer.return_sequences)


BUGS = [
    Bug([("dC_t = dC + dh * o * (1 - tanh_C ** 2)", "dC_t = dh * o * (1 - tanh_C ** 2)")],
        "what comes back to the cell from the step after, dC, is worked out and then dropped: the memory is not "
        "trained over more than a step",
        "It learns all the same: after 150 batches its loss is 3.352 bits a character, the right layer's 3.399."),
    Bug([("df = dC_t * cache.C_prev[:, t]", "df = dC_t * cache.C[:, t]")],
        "df takes the cell after the step, C_t, where the forget gate was multiplied with the one before, C_{t-1}",
        "It learns all the same: after 150 batches its loss is 3.416 bits a character, the right layer's 3.399."),
    Bug([("dC = np.where(real, dC_t * f, dC)", "dC = np.where(real, dC_t, dC)")],
        "on its way back from cell to cell the gradient is not multiplied by the forget gate: what was forgotten "
        "is still blamed",
        "It learns all the same: after 150 batches its loss is 3.585 bits a character, the right layer's 3.399."),
    Bug([("self.U.grad += cache.h_prev[:, t].T @ da", "self.U.grad += cache.h[:, t].T @ da")],
        "U's gradient is made with the state after the step; U was multiplied with the state before, h_{t-1}",
        "It learns all the same: after 150 batches its loss is 3.52 bits a character, the right layer's 3.399."),
    Bug([("da_C = dC_tilde * (1 - C_tilde ** 2)", "da_C = dC_tilde * C_tilde * (1 - C_tilde)")],
        "the slope of the candidate C~ is that of a sigmoid; it is a tanh: 1 - C~²",
        "It learns all the same: after 150 batches its loss is 3.557 bits a character, the right layer's 3.399."),
    Bug([("self.b.grad += da.sum(axis=0)", "self.b.grad += da.mean(axis=0)")],
        "b's gradient is the mean over the batch; a layer sums, and the loss has taken the mean already",
        "It learns all the same: after 150 batches its loss is 3.402 bits a character, the right layer's 3.399."),
    Bug([("dh = np.where(real, da @ self.U.value.T, dh)", "dh = da @ self.U.value.T"),
         ("dC = np.where(real, dC_t * f, dC)", "dC = dC_t * f")],
        "at a masked step nothing was computed, so both gradients should pass it as they came; here dh ends "
        "there, and dC is changed",
        "In training it does not show at all: on this task both learn the same."),
    Bug([("tanh_C = np.tanh(cache.C[:, t])", "tanh_C = cache.C[:, t]")],
        "tanh is forgotten where h = o tanh(C) is differentiated: do and the slope are made with C itself",
        "It hardly learns: after 150 batches its loss is 4.478 bits a character, the right layer's 3.399."),
    Bug([("self.W.grad += cache.x[:, t].T @ da", "self.W.grad = cache.x[:, t].T @ da")],
        "W's gradient is replaced (=) at each step instead of added to (+=): the share of the first step alone "
        "is left",
        "It learns, a little worse: after 150 batches its loss is 3.686 bits a character, the right layer's 3.399."),
    Bug([("h_t = np.where(real, o[:, t] * np.tanh(C_t), h_t)", "h_t = np.where(real, o[:, t] * C_t, h_t)"),
         ("tanh_C = np.tanh(cache.C[:, t])", "tanh_C = cache.C[:, t]"),
         ("dC_t = dC + dh * o * (1 - tanh_C ** 2)", "dC_t = dC + dh * o")],
        "h = o C, without the tanh: backward is the right gradient of this forward, so no gradient check can see "
        "it; only the comparison with another LSTM does",
        "It learns all the same: after 150 batches its loss is 3.497 bits a character, the right layer's 3.399."),
]
