"""The mistakes that learners make in a backward, and the numbers that each of them gives.

A sentence says first what is wrong; behind its first colon or semicolon stands what would be right. The stepper shows the
first part alone at the first wrong try.

Every function takes numbers (float64) as the lessons name and shape them, and returns `(right, mistakes)`:

    right       {"dC": array, …}: all gradients by name
    mistakes    {"what is wrong, in a sentence": {"dC": array, …}}: all names for a mistake that spreads (in the walk), or
                those in which it can be made, one by one (a sum over the samples that is missing)

`known(right, mistakes, "dC")` is the dictionary {sentence: wrong numbers} of one name, without those that the mistake leaves
right: what `expect_close` and the turns of a lesson (`turn_dC`) want. `nblayers.learn.exercises.expect_all` compares all names.

Samples are rows: N samples, T steps, I inputs, H units. W (I, …), U (H, …), b (…). `mask` (N, T) is True at real steps; at the
others a state stays as it is. dy (N, T, H) is what each step's own loss sends into h_t.

One step, arrays (N, H):
    simple_rnn_step_backward(dh, h, h_prev, U)                              da, dh_prev; h = tanh(a)
    lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev, U)         do, dC, di, df, dC_tilde, da_i, da_f, da_C_tilde,
                                                                            da_o, da (N, 4H: i, f, C̃, o), dh_prev, dC_prev
    gru_step_backward(dh, z, r, u, h_tilde, h_prev, U, after)               dz, dh_tilde, da_h_tilde, du, dr, da_z, da_r,
                                                                            da (N, 3H: z, r, h̃), dh_prev
        u is h_prev U_h + b' for a reset after the product, and r h_prev for one before it (`after` says which)

A whole walk; states and gates (N, T, H), first states (N, H):
    simple_rnn_backward(x, h_start, h, W, U, dy, mask=None)                     da, dx, dW, dU, db, dh_start
    lstm_backward(x, h_start, C_start, i, f, C_tilde, o, C, h, W, U, dy, mask=None)
                                                                            da, dx, dW, dU, db, dh_start, dC_start
    gru_backward(x, h_start, z, r, u, h_tilde, h, W, U, dy, after, mask=None)   da, dx, dW, dU, db, dh_start
        db is (2, 3H) for a reset after: of x W + b, and of h_prev U + b'

A convolution:
    conv1d_backward(x, w, dy, stride=1)                                     dx, dw, db; x (N, T, C), w (K, C, F), dy (N, T', F)
"""
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Values = dict[str, np.ndarray]
Mistakes = dict[str, Values]


def known(right: Values, mistakes: Mistakes, name: str) -> dict[str, np.ndarray]:
    """The wrong numbers of one name by sentence, without those that are right in spite of the mistake."""
    return {sentence: wrong[name] for sentence, wrong in mistakes.items()
            if name in wrong and not same(wrong[name], right[name])}


def spoiled(right: Values, compute: Callable[[str], Values], sentences: Mapping[str, str]) -> Mistakes:
    """What each mistake makes of the values, without those that it leaves right.

    Arguments:
        right: the right values by name.
        compute: the values with a mistake, which its argument names.
        sentences: by mistake, what to say of it.
    """
    return {sentence: wrong for mistake, sentence in sentences.items()
            if (wrong := {name: value for name, value in compute(mistake).items() if not np.allclose(value, right[name])})}


def distinct(known: dict[str, np.ndarray], *others: np.ndarray) -> dict[str, np.ndarray]:
    """Without the sentences whose numbers an earlier one gives too, or which are those of `others`: right by chance, say."""
    found: dict[str, np.ndarray] = {}
    for sentence, values in known.items():
        if not any(same(values, other) for other in (*others, *found.values())):
            found[sentence] = values
    return found


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers, but for rounding."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):                 # of two infinities
        is_near = (a == b) | (abs(a - b) <= 1e-9 + 1e-6 * abs(b))
    return bool(is_near.all())


def softmax(s: np.ndarray, axis: int = -1) -> np.ndarray:
    """e^s over its sum along the axis."""
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def turned(a: np.ndarray) -> np.ndarray:
    """Each matrix of the last two axes transposed."""
    return a.swapaxes(-1, -2)


def _all(compute: Callable[[str], Values], sentences: dict[str, str]) -> tuple[Values, Mistakes]:
    """`compute` without a mistake, and with each of them."""
    return compute(""), {sentence: compute(mistake) for mistake, sentence in sentences.items()}


# recurrent networks: what all walks back have in common

_WALK = {
    "dropped": "nothing comes back from later steps: what step t + 1 sends, dh_next, has to be added",
    "last loss": "the loss of the last step alone is heard; each step has a loss of its own",
    "forwards": "the walk goes forwards; what step t + 1 sends back must be known before step t: begin with the last step",
    "stops": "the walk ends before t = 0; the first step is missing (`range(T - 1, -1, -1)` or `reversed(range(T))`)",
    "adds": "dh_next is added to the one before (`+=`); it is what step t + 1 alone sends: replace it",
}
_MASKS = {
    "mask ignored": "the mask is not used",
    "stopped": "the gradient ends at padding; where the mask is False, dh goes on to the step before as it is",
    "heard": "a masked step has a da; nothing is heard there, so it is 0",
    "carry heard": "at padding dh goes through the weights; where the mask is False, it goes on as it is",
}
Step = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _walk(step: Step, dy: np.ndarray, mask: np.ndarray | None, mistake: str,
          later: tuple[np.ndarray, ...] = ()) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """da of all steps (N, T, …), dh_start, dC_start. `step(t, dh, dC_next)` returns da, dh_prev, dC_prev.

    Without a cell dC stays 0. `later` is what comes back to the last states.
    """
    N, T, H = dy.shape
    mask = np.ones((N, T), bool) if mask is None or mistake == "mask ignored" else mask.astype(bool)
    dh_next, dC_next = later or (np.zeros((N, H)), np.zeros((N, H)))
    da: list[np.ndarray] = [np.zeros(0)] * T
    for t in range(T) if mistake == "forwards" else reversed(range(T)):
        own = 0 * dy[:, t] if mistake == "last loss" and t < T - 1 else dy[:, t]
        dh = own if mistake == "dropped" else own + dh_next
        da_t, dh_prev, dC_prev = step(t, dh, dC_next)
        if mistake == "stops" and t == 0:
            da[t] = 0 * da_t
            break
        real = mask[:, t, None]
        da[t] = np.where(real | (mistake == "heard"), da_t, 0)
        past = 0 if mistake == "stopped" else 1
        through = real | (mistake == "carry heard")
        dh_prev, dC_prev = np.where(through, dh_prev, past * dh), np.where(through, dC_prev, past * dC_next)
        dh_next = dh_next + dh_prev if mistake == "adds" else dh_prev
        dC_next = dC_next + dC_prev if mistake == "adds C" else dC_prev
    return np.stack(da, axis=1), dh_next, dC_next


def before(first: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The state before each step (N, T, H)."""
    return np.concatenate([first[:, None], states[:, :-1]], axis=1)


def _sums(x: np.ndarray, W: np.ndarray, da: np.ndarray) -> Values:
    return {"dx": da @ W.T, "dW": _product(x, da), "db": da.sum(axis=(0, 1))}


def _product(a: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Σ aᵀ d over samples and steps."""
    return np.einsum("nti,ntg->ig", a, d)


def _wrong_sums(x: np.ndarray, W: np.ndarray, da: np.ndarray, d_rec: np.ndarray, h_start: np.ndarray,
                h: np.ndarray) -> Mistakes:
    """Mistakes in the sums over samples and steps; `d_rec` is what belongs to the product with U."""
    N, T = da.shape[:2]
    h_prev = before(h_start, h)
    right = {"dW": _product(x, da), "dU": _product(h_prev, d_rec), "db": da.sum(axis=(0, 1))}

    def at(t: slice) -> Values:
        return {"dW": _product(x[:, t], da[:, t]), "dU": _product(h_prev[:, t], d_rec[:, t]), "db": da[:, t].sum(axis=(0, 1))}

    one = "it holds one step only: is there a `=` that should be `+=`?"
    return {
        one: at(slice(0, 1)),
        one + " ": at(slice(T - 1, T)),
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum":
            {name: value / N for name, value in right.items()},
        "it is a mean over samples and steps; the weights are used in all of them, so their gradient is the sum":
            {name: value / (N * T) for name, value in right.items()},
        "it is a mean over the steps; the weights are used in all of them, so their gradient is the sum":
            {name: value / T for name, value in right.items()},
        "it is the transpose of what it should be; it has the shape of its weights": {"dW": right["dW"].T, "dU": right["dU"].T},
        "the sum over the samples is missing": {"db": da.sum(axis=1)},
        "the sum over the steps is missing": {"db": da.sum(axis=0)},
        "the sum over samples and steps is missing": {"db": da},
        "it is made with h_t; U is multiplied by the state before, h_{t-1}": {"dU": _product(h, d_rec)},
        "the first step is left out, or its h_start is taken for 0": {"dU": _product(h_prev[:, 1:], d_rec[:, 1:])},
        "the first step is made with the last state: h[:, t - 1] is h[:, -1] there, but should be h_start":
            {"dU": _product(np.roll(h, 1, axis=1), d_rec)},
        "it is made with x; W is multiplied by x, U by h_{t-1}": {"dU": _product(x, d_rec)},
        "going down to x, W is not transposed: da Wᵀ": {"dx": da @ W} if W.shape[0] == W.shape[1] else {},
    }


# SimpleRNN

_RNN_STEP = {
    "no slope": "the slope of tanh is missing: da = dh (1 - h²)",
    "slope before": "the slope is that of the step before; at step t it is 1 - h_t²",
    "tanh twice": "the tanh is taken once more: h is tanh(a) already, so the slope is 1 - h²",
    "1 - h": "the slope of tanh lacks its square: it is 1 - h²",
    "h": "h² is no slope of tanh: that is 1 - h²",
    "sigmoid": "h (1 - h) is the slope of a sigmoid; that of tanh is 1 - h²",
    "untransposed": "going back, U is not transposed: da Uᵀ",
    "carry dh": "what goes back is made with dh; it should be da Uᵀ, after the slope",
    "no U": "what goes back is da itself; on the way to h_{t-1} stands U: da Uᵀ",
}


def _rnn_step(mistake: str, dh: np.ndarray, h: np.ndarray, h_prev: np.ndarray, U: np.ndarray) -> Values:
    slope = {"no slope": np.ones_like(h), "slope before": 1 - h_prev ** 2, "tanh twice": 1 - np.tanh(h) ** 2, "1 - h": 1 - h,
             "h": h ** 2, "sigmoid": h * (1 - h)}.get(mistake, 1 - h ** 2)
    da = dh * slope
    dh_prev = {"untransposed": da @ U, "carry dh": dh @ U.T, "no U": da}.get(mistake, da @ U.T)
    return {"da": da, "dh_prev": dh_prev}


def simple_rnn_step_backward(dh: np.ndarray, h: np.ndarray, h_prev: np.ndarray, U: np.ndarray) -> tuple[Values, Mistakes]:
    """One step back of h = tanh(x W + h_prev U + b): da and dh_prev (N, H)."""
    return _all(lambda mistake: _rnn_step(mistake, dh, h, h_prev, U), _RNN_STEP)


def simple_rnn_backward(x: np.ndarray, h_start: np.ndarray, h: np.ndarray, W: np.ndarray, U: np.ndarray, dy: np.ndarray,
                        mask: np.ndarray | None = None) -> tuple[Values, Mistakes]:
    """The whole walk back of a SimpleRNN: da (N, T, H), dx, dW, dU, db, dh_start."""
    h_prev = before(h_start, h)

    def compute(mistake: str) -> Values:
        def step(t: int, dh: np.ndarray, dC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            slope_of = np.roll(h, 1, axis=1)[:, t] if mistake == "slope rolled" else h[:, t]
            made = _rnn_step(mistake, dh, slope_of, h_prev[:, t], U)
            if mistake == "after":                      # what arrives from later steps goes past the slope
                made["da"] = dy[:, t] * (1 - h[:, t] ** 2) + dh - dy[:, t]
                made["dh_prev"] = made["da"] @ U.T
            return made["da"], made["dh_prev"], dC
        da, dh_start, _ = _walk(step, dy, mask, mistake)
        return {"da": da, **_sums(x, W, da), "dU": _product(h_prev, da), "dh_start": dh_start}

    more = {"slope rolled": _RNN_STEP["slope before"] + " (at t = 0, h[:, t - 1] is the last one)",
            "after": "dh_next is added after the slope; it arrives at h_t with all else, and goes through the slope too"}
    right, mistakes = _all(compute, _RNN_STEP | more | _WALK | ({} if mask is None else _MASKS))
    mistakes |= _wrong_sums(x, W, right["da"], right["da"], h_start, h)
    mistakes |= _wrong_first(right["da"][:, 0], "da")
    return right, mistakes


def _wrong_first(at_0: np.ndarray, name: str) -> Mistakes:
    return {f"that is {name} of the first step; one more product, with Uᵀ, leads to h_start": {"dh_start": at_0},
            "nothing arrives at h_start; it is what the first step sends back": {"dh_start": np.zeros_like(at_0)}}


# LSTM

_LSTM_STEP = {
    "carry dropped": "what comes back from the cell of the step after is missing from dC: add dC_next",
    "carry alone": "what comes through h_t is missing from dC: dh o (1 - tanh² C)",
    "carry inside": "dC_next stands inside the slope of tanh; it arrives at C itself: only dh o has the slope before it",
    "o forgotten": "o is forgotten: h = o tanh(C), so dC gets dh o (1 - tanh² C)",
    "no slope of C": "the slope of tanh(C) is missing from dC: 1 - tanh² C",
    "C for tanh C": "the slope of tanh(C) is made with C itself: it is 1 - tanh² C",
    "1 - tanh C": "the slope of tanh(C) lacks its square: it is 1 - tanh² C",
    "dC is do": "tanh(C) stands where its slope belongs: dC gets dh o (1 - tanh² C)",
    "do by C": "do is made with C itself: it is dh tanh(C)",
    "do by slope": "the slope of tanh(C) belongs to dC, not to do: do is dh tanh(C)",
    "do by dC": "do is made with dC, but o does not come into C: it is dh tanh(C)",
    "df by C": "df is made with the new cell: it is dC C_{t-1}",
    "swapped": "di and df are swapped: i is multiplied by C̃, f by C_{t-1}",
    "swapped i": "di and dC̃ are swapped: i is multiplied by C̃, and C̃ by i",
    "dh for dC": "that is made with dh, but i, f and C̃ come into C: they get dC",
    "twice all": "the gate is applied twice: di is dC C̃, without a further i; so for f, o and C̃",
    "twice i": "the gate is applied twice: di is dC C̃, without a further i",
    "twice f": "the gate is applied twice: df is dC C_{t-1}, without a further f",
    "twice o": "the gate is applied twice: do is dh tanh(C), without a further o",
    "twice C": "the gate is applied twice: dC̃ is dC i, with one i",
    "1 - C_tilde": "the slope of C̃ lacks its square: it is 1 - C̃²",
    "C_tilde as gate": "that is the slope of a sigmoid, but C̃ is a tanh: 1 - C̃²",
    "no slope C_tilde": "the slope of C̃ is missing: 1 - C̃²",
    "gates as tanh": "that is the slope of a tanh, but the gates are sigmoids: σ (1 - σ)",
    "no slope i": "the slope of i is missing: i (1 - i)",
    "no slope f": "the slope of f is missing: f (1 - f)",
    "no slope o": "the slope of o is missing: o (1 - o)",
    "no slopes": "that is di, df, dC̃ and do, without the slopes",
    "half slopes": "the first factor of a gate's slope is missing: σ (1 - σ)",
    "other half": "the second factor of a gate's slope is missing: σ (1 - σ)",
    "order f": "f stands first; the order is i, f, C̃, o",
    "order o": "C̃ and o have changed places; the order is i, f, C̃, o",
    "keeps all": "the forget gate is missing from dC_prev: dC_prev = dC f",
    "keeps by i": "that is by way of the input gate; the cell is kept by f: dC_prev = dC f",
    "keeps the carry": "only dC_next goes on to C_{t-1}; it should be all of dC, what comes through h_t too",
    "keeps through": "dC_next does not go on to C_{t-1}; it should be all of dC",
    "keeps twice": "the forget gate is applied twice: dC_prev = dC f",
    "untransposed": "going back, U is not transposed: da Uᵀ",
}


def _lstm_step(mistake: str, dh: np.ndarray, dC_next: np.ndarray, i: np.ndarray, f: np.ndarray, C_tilde: np.ndarray,
               o: np.ndarray, C: np.ndarray, C_prev: np.ndarray, U: np.ndarray) -> Values:
    tanh_C = np.tanh(C)
    slope = 1 - tanh_C ** 2
    do = {"do by C": dh * C, "do by slope": dh * slope, "twice o": dh * tanh_C * o, "twice all": dh * tanh_C * o}.get(
        mistake, dh * tanh_C)
    dC = {"carry dropped": dh * o * slope, "carry alone": dC_next, "carry inside": (dC_next + dh * o) * slope,
          "o forgotten": dC_next + dh * slope, "no slope of C": dC_next + dh * o,
          "C for tanh C": dC_next + dh * o * (1 - C ** 2),
          "1 - tanh C": dC_next + dh * o * (1 - tanh_C), "dC is do": dC_next + dh * o * tanh_C}.get(
        mistake, dC_next + dh * o * slope)
    do = dC * tanh_C if mistake == "do by dC" else do
    to_cell = dh if mistake == "dh for dC" else dC
    di, df, dC_tilde = to_cell * C_tilde, to_cell * C_prev, to_cell * i
    di = {"swapped": df, "swapped i": dC_tilde, "twice i": di * i, "twice all": di * i}.get(mistake, di)
    df = {"swapped": to_cell * C_tilde, "df by C": to_cell * C, "twice f": df * f, "twice all": df * f}.get(mistake, df)
    dC_tilde = {"twice C": dC_tilde * i, "twice all": dC_tilde * i, "swapped i": to_cell * C_tilde}.get(mistake, dC_tilde)
    da_i, da_f, da_o = (d * _gate_slope(mistake, gate, name) for d, gate, name in ((di, i, "i"), (df, f, "f"), (do, o, "o")))
    da_C_tilde = dC_tilde * {"1 - C_tilde": 1 - C_tilde, "C_tilde as gate": C_tilde * (1 - C_tilde),
                             "no slope C_tilde": np.ones_like(C), "no slopes": np.ones_like(C)}.get(mistake, 1 - C_tilde ** 2)
    order = {"order f": (da_f, da_i, da_C_tilde, da_o), "order o": (da_i, da_f, da_o, da_C_tilde)}.get(
        mistake, (da_i, da_f, da_C_tilde, da_o))
    da = np.concatenate(order, axis=-1)
    dC_prev = {"keeps all": dC, "keeps by i": dC * i, "keeps the carry": dC_next * f, "keeps through": (dC - dC_next) * f,
               "keeps twice": dC * f * f}.get(mistake, dC * f)
    back = U if mistake == "untransposed" and U.shape[0] == U.shape[1] else U.T
    return {"do": do, "dC": dC, "di": di, "df": df, "dC_tilde": dC_tilde, "da_i": da_i, "da_f": da_f, "da_C_tilde": da_C_tilde,
            "da_o": da_o, "da": da, "dh_prev": da @ back, "dC_prev": dC_prev}


def _gate_slope(mistake: str, gate: np.ndarray, name: str) -> np.ndarray:
    if mistake in ("no slopes", f"no slope {name}"):
        return np.ones_like(gate)
    return {"gates as tanh": 1 - gate ** 2, "half slopes": 1 - gate, "other half": gate}.get(mistake, gate * (1 - gate))


def lstm_step_backward(dh: np.ndarray, dC_next: np.ndarray, i: np.ndarray, f: np.ndarray, C_tilde: np.ndarray, o: np.ndarray,
                       C: np.ndarray, C_prev: np.ndarray, U: np.ndarray) -> tuple[Values, Mistakes]:
    """One step back of an LSTM, all (N, H) but U (H, 4H) and da (N, 4H); dh is dy_t + dh_next."""
    return _all(lambda mistake: _lstm_step(mistake, dh, dC_next, i, f, C_tilde, o, C, C_prev, U), _LSTM_STEP)


def lstm_backward(x: np.ndarray, h_start: np.ndarray, C_start: np.ndarray, i: np.ndarray, f: np.ndarray, C_tilde: np.ndarray,
                  o: np.ndarray, C: np.ndarray, h: np.ndarray, W: np.ndarray, U: np.ndarray, dy: np.ndarray,
                  mask: np.ndarray | None = None, later: tuple[np.ndarray, ...] = ()) -> tuple[Values, Mistakes]:
    """The whole walk back of an LSTM: da (N, T, 4H), dx, dW, dU, db, dh_start, dC_start.

    `later` is what comes back to the last h and C from a part that follows.
    """
    h_prev, C_prev = before(h_start, h), before(C_start, C)

    def compute(mistake: str) -> Values:
        keeps = {"f after": np.roll(f, -1, axis=1), "f before": np.roll(f, 1, axis=1)}.get(mistake)
        states = np.roll(C, 1, axis=1) if mistake == "C rolled" else C_prev

        def step(t: int, dh: np.ndarray, dC_next: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            dC_next = 0 * dC_next if mistake == "cell dropped" else dC_next
            made = _lstm_step(mistake, dh, dC_next, i[:, t], f[:, t], C_tilde[:, t], o[:, t], C[:, t], states[:, t], U)
            dC_prev = made["dC_prev"] if keeps is None else made["dC"] * keeps[:, t]
            return made["da"], made["dh_prev"], dC_prev
        da, dh_start, dC_start = _walk(step, dy, mask, mistake, later)
        return {"da": da, **_sums(x, W, da), "dU": _product(h_prev, da), "dh_start": dh_start, "dC_start": dC_start}

    more = {
        "cell dropped": _LSTM_STEP["carry dropped"],
        "adds C": "dC_next is added to the one before (`+=`); it is what step t + 1 alone sends: replace it",
        "f after": "the forget gate is that of the step after; on the way from C_t to C_{t-1} stands f_t",
        "f before": "the forget gate is that of the step before; on the way from C_t to C_{t-1} stands f_t",
        "C rolled": "at t = 0, C[:, t - 1] is the last C; the cell before the first step is C_start",
    }
    of_one_step = ("carry dropped", "keeps the carry")  # in a walk both mean that nothing comes back by the cell
    steps = {mistake: sentence for mistake, sentence in _LSTM_STEP.items() if mistake not in of_one_step}
    right, mistakes = _all(compute, steps | more | _WALK | ({} if mask is None else _MASKS))
    mistakes |= _wrong_sums(x, W, right["da"], right["da"], h_start, h)
    return right, mistakes


# GRU

_GRU_STEP = {
    "z turned": "h = (1 - z) h_{t-1} + z h̃ is another convention; in Keras z is the part of h_{t-1}",
    "h̃ by z": "dh̃ is made with z: it is dh times 1 - z",
    "h̃ whole": "a factor is missing from dh̃: it is dh times 1 - z",
    "dz sign": "dz has the wrong sign: h = z h_{t-1} + (1 - z) h̃, so dz is dh (h_{t-1} - h̃)",
    "dz half": "z stands in h twice, and one half is missing from dz: it is dh times h_{t-1} - h̃",
    "no slope h̃": "the slope of h̃ is missing: 1 - h̃²",
    "1 - h̃": "the slope of h̃ lacks its square: it is 1 - h̃²",
    "gates as tanh": "that is the slope of a tanh, but the gates are sigmoids: σ (1 - σ)",
    "no slope z": "the slope of z is missing: z (1 - z)",
    "no slope r": "the slope of r is missing: r (1 - r)",
    "no slopes": "those are dz, dr and dh̃, without the slopes",
    "other reset": "dr is that of the other way to reset (after the product, or before it)",
    "r by u": "before the product, r is multiplied by h_{t-1}, not by u, which is r h_{t-1} already",
    "da has r": "after the product, du = da_h r belongs to u alone; da_h itself is what x W gets",
    "order": "r stands first; the order is z, r, h̃",
    "straight dropped": "the straight way to h_{t-1} is missing: dh z",
    "straight turned": "the straight way to h_{t-1} is dh z, not dh (1 - z)",
    "straight whole": "the straight way to h_{t-1} is dh z, not all of dh",
    "no way by z": "the way to h_{t-1} by z is missing: da_z U_zᵀ",
    "no way by r": "the way to h_{t-1} by r is missing: da_r U_rᵀ",
    "no way by u": "the way to h_{t-1} by h̃ is missing",
    "u without r": "r is missing on the way by h̃",
    "u other": "the way by h̃ is that of the other way to reset (after the product, or before it)",
    "untransposed": "going back multiplies by the transposes of U's blocks",
}


def _gru_step(mistake: str, dh: np.ndarray, z: np.ndarray, r: np.ndarray, u: np.ndarray, h_tilde: np.ndarray,
              h_prev: np.ndarray, U: np.ndarray, after: bool) -> Values:
    U_z, U_r, U_h = np.split(U.copy(), 3, axis=1)
    if mistake == "untransposed":
        U_z, U_r, U_h = U_z.T, U_r.T, U_h.T
    dh_tilde = {"z turned": dh * z, "h̃ by z": dh * z, "h̃ whole": dh}.get(mistake, dh * (1 - z))
    dz = {"z turned": dh * (h_tilde - h_prev), "dz sign": dh * (h_tilde - h_prev), "dz half": dh * h_prev}.get(
        mistake, dh * (h_prev - h_tilde))
    one = np.ones_like(z)
    da_h = dh_tilde * {"no slope h̃": one, "1 - h̃": 1 - h_tilde, "no slopes": one}.get(mistake, 1 - h_tilde ** 2)
    to_u = da_h * r if after else da_h @ U_h.T
    if after:
        dr = (da_h @ U_h.T) * h_prev if mistake == "other reset" else da_h * u
    else:
        dr = {"other reset": da_h * u, "r by u": to_u * u}.get(mistake, to_u * h_prev)
    da_z, da_r = (d * _gate_slope(mistake, gate, name) for d, gate, name in ((dz, z, "z"), (dr, r, "r")))
    first, second = (da_r, da_z) if mistake == "order" else (da_z, da_r)
    da = np.concatenate([first, second, da_h * r if mistake == "da has r" else da_h], axis=-1)
    straight = {"z turned": dh * (1 - z), "straight turned": dh * (1 - z), "straight dropped": 0 * dh,
                "straight whole": dh}.get(mistake, dh * z)
    by_after, by_before, plain = (da_h * r) @ U_h.T, (da_h @ U_h.T) * r, da_h @ U_h.T
    by_u = {"no way by u": 0 * dh, "u without r": plain, "u other": by_before if after else by_after}.get(
        mistake, by_after if after else by_before)
    by_z, by_r = (mistake != "no way by z") * (da_z @ U_z.T), (mistake != "no way by r") * (da_r @ U_r.T)
    return {"dz": dz, "dh_tilde": dh_tilde, "da_h_tilde": da_h, "du": to_u, "dr": dr, "da_z": da_z, "da_r": da_r, "da": da,
            "dh_prev": straight + by_z + by_r + by_u}


def gru_step_backward(dh: np.ndarray, z: np.ndarray, r: np.ndarray, u: np.ndarray, h_tilde: np.ndarray, h_prev: np.ndarray,
                      U: np.ndarray, after: bool) -> tuple[Values, Mistakes]:
    """One step back of a GRU, all (N, H) but U (H, 3H) and da (N, 3H)."""
    return _all(lambda mistake: _gru_step(mistake, dh, z, r, u, h_tilde, h_prev, U, after), _GRU_STEP)


def gru_backward(x: np.ndarray, h_start: np.ndarray, z: np.ndarray, r: np.ndarray, u: np.ndarray, h_tilde: np.ndarray,
                 h: np.ndarray, W: np.ndarray, U: np.ndarray, dy: np.ndarray, after: bool,
                 mask: np.ndarray | None = None) -> tuple[Values, Mistakes]:
    """The whole walk back of a GRU: da (N, T, 3H), dx, dW, dU, db, dh_start."""
    h_prev, H = before(h_start, h), h.shape[-1]

    def sums(da: np.ndarray, with_r: bool = True) -> Values:
        a_h, gates = da[..., 2 * H:], da[..., :2 * H]
        inside = a_h * r if after and with_r else a_h
        by_u = _product(h_prev if after or not with_r else r * h_prev, inside)
        total, recurrent = da.sum(axis=(0, 1)), np.concatenate([gates, inside], axis=-1).sum(axis=(0, 1))
        return {"dU": np.concatenate([_product(h_prev, gates), by_u], axis=1),
                "db": np.stack([total, recurrent]) if after else total}

    def compute(mistake: str) -> Values:
        def step(t: int, dh: np.ndarray, dC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            made = _gru_step(mistake, dh, z[:, t], r[:, t], u[:, t], h_tilde[:, t], h_prev[:, t], U, after)
            return made["da"], made["dh_prev"], dC
        da, dh_start, _ = _walk(step, dy, mask, mistake)
        return {"da": da, **_sums(x, W, da), **sums(da), "dh_start": dh_start}

    right, mistakes = _all(compute, _GRU_STEP | _WALK | ({} if mask is None else _MASKS))
    d_rec = np.concatenate([right["da"][..., :2 * H], right["da"][..., 2 * H:] * (r if after else 1)], axis=-1)
    mistakes |= _wrong_sums(x, W, right["da"], d_rec, h_start, h)
    mistakes["r is missing where h̃ hears the state before: after the product du = da_h r, before it r h_{t-1}"] = sums(
        right["da"], with_r=False)
    return right, mistakes


# convolution

_CONV = {
    "overwrites": "where windows overlap, the last one has overwritten the others; they add up",
    "turned": "the taps are counted backwards: tap k of output i lies on i · stride + k",
    "no stride": "output i is taken to look at i and the places after it; with a stride it begins at i · stride",
}


def conv1d_backward(x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: int = 1) -> tuple[Values, Mistakes]:
    """A Conv1D without padding: dx (N, T, C), dw (K, C, F), db (F,)."""
    right = _conv1d(x, w, dy, stride, "")
    N, K = len(x), len(w)
    mistakes: Mistakes = {_CONV["overwrites"]: {"dx": _conv1d(x, w, dy, stride, "overwrites")["dx"]},
                          _CONV["turned"]: {"dx": _conv1d(x, w[::-1], dy, stride, "")["dx"], "dw": right["dw"][::-1]},
                          _CONV["no stride"]: {name: _conv1d(x, w, dy, 1, "")[name] for name in ("dx", "dw")}}
    last = (dy.shape[1] - 1) * stride
    return right, mistakes | {
        "only the last place counts in it; a weight stands in every output": {
            "dw": np.einsum("nkc,nf->kcf", x[:, last:last + K], dy[:, -1]), "db": dy[:, -1].sum(axis=0)},
        "only the last sample counts in it": {"dw": _conv1d(x[-1:], w, dy[-1:], stride, "")["dw"], "db": dy[-1].sum(axis=0)},
        "channels and filters have changed places; dw has the shape of w, (K, C, F)": {"dw": right["dw"].swapaxes(1, 2)},
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum":
            {name: right[name] / N for name in ("dx", "dw", "db")},
        "it is a mean over samples and places; b stands in every output, so its gradient is the sum":
            {"db": dy.mean(axis=(0, 1))},
        "it is a mean over the places; b stands in every output, so its gradient is the sum":
            {"db": dy.mean(axis=1).sum(axis=0)},
        "the sum over the samples is missing": {"db": dy.sum(axis=1)},
        "the sum over the places is missing": {"db": dy.sum(axis=0)},
    }


def _conv1d(x: np.ndarray, w: np.ndarray, dy: np.ndarray, stride: int, mistake: str) -> Values:
    dx, dw = np.zeros_like(x, dtype=float), np.zeros_like(w, dtype=float)
    for i, k in _places(dy.shape[1], len(w)):
        at = i * stride + k
        dx[:, at] = (mistake != "overwrites") * dx[:, at] + dy[:, i] @ w[k].T
        dw[k] += x[:, at].T @ dy[:, i]
    return {"dx": dx, "dw": dw, "db": dy.sum(axis=(0, 1))}


def _places(outputs: int, taps: int) -> Iterator[Any]:
    return iter(np.ndindex(outputs, taps))
