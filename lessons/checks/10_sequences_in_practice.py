"""Checks of lesson 10: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


# Masks, forward and backward

def turn_mask(lesson: SimpleNamespace) -> Known:
    steps, lengths = np.arange(lesson.T), lesson.lengths[:, None]
    return {"one step too many: a sample of length 1 has step 0 alone, so it is <, not <=": steps <= lengths,
            "it is turned round: True is for real steps": steps >= lengths,
            "that is the mask of padding at the front; here it is at the end": steps >= lesson.T - lengths,
            "the axes have changed places: mask is (N, T)": (steps < lengths).T,
            "that looks at the numbers; a 9 might be real, and so is our 0: use the lengths": lesson.x[..., 0] != 0}


def turn_h_1(lesson: SimpleNamespace) -> Known:
    real, new, h_0 = lesson.real, lesson.new, lesson.h_0
    return {"the mask is turned round: the new state is for the real step": np.where(real, h_0, new),
            "the padding has been read; at a masked step the state stays as it is": new,
            "the state is 0 at the masked step; it stays as it is, h_0": np.where(real, new, 0),
            "the second sample is real at step 1: it has a new state": h_0}


def turn_da_2(lesson: SimpleNamespace) -> Known:
    real, dh, h = lesson.real, lesson.dh_2, lesson.h
    through = dh * (1 - h[:, 2] ** 2)
    return {"a masked step has no say: its a has no influence, so da is 0 there": through,
            "the mask is turned round: da is 0 where the step is NOT real": np.where(real, 0, through),
            "the slope of tanh, 1 - h², is missing": np.where(real, dh, 0),
            "dh goes past the masked step, but not into its da: that is 0": np.where(real, through, dh),
            "the slope is that of step 1; here it is that of h[:, 2]": np.where(real, dh * (1 - h[:, 1] ** 2), 0),
            "the slope is 1 - h², not 1 - tanh(h)²: h is tanh(a) already": np.where(real, dh * (1 - np.tanh(h[:, 2]) ** 2), 0)}


def turn_dh_next(lesson: SimpleNamespace) -> Known:
    real, da, dh, U = lesson.real, lesson.da_2, lesson.dh_2, lesson.U
    return {"the gradient ends at the masked step; there h_2 is h_1, so dh_2 goes on as it is": da @ U.T,
            "the mask is turned round: past the masked step, through the real one": np.where(real, dh, da @ U.T),
            "at the masked step dh_2 goes through U; it goes on as it is": dh @ U.T,
            "the real sample goes past its step too; there it goes through, by da_2 Uᵀ": dh,
            "going back multiplies by the transpose, da_2 Uᵀ": np.where(real, da @ U, dh),
            "at the real step it is da_2 Uᵀ, after the slope": np.where(real, dh @ U.T, dh),
            "at the real step both are added; it is one or the other": da @ U.T + dh}


def turn_dh_1(lesson: SimpleNamespace) -> Known:
    own, back = lesson.dy[:, 1], lesson.dh_next
    return {"what comes back from step 2, dh_next, is missing": own,
            "the loss of step 1 itself is missing, dy[:, 1]": back,
            "a masked step has a state, so it may have a dy: dy[:, 1] is added for both samples":
                np.where(lesson.mask[:, 1, None], own, 0) + back,
            "that is dy of step 2; h_1 has dy[:, 1]": lesson.dy[:, 2] + back,
            "a value that is used twice gets the sum, not the product": own * back}


def turn_da(lesson: SimpleNamespace) -> dict[str, Known]:
    right, wrong = _backward(lesson)
    return {"da": mistakes.distinct(mistakes.known(right, wrong, "da")),
            "dh_next": mistakes.distinct(mistakes.known(right, wrong, "dh_start"))}


def turn_dU(lesson: SimpleNamespace) -> Known:
    return _sums(lesson, "dU")


def turn_dx(lesson: SimpleNamespace) -> Known:
    return _sums(lesson, "dx") | {
        "that goes back to the state, by U; down to the input it is by W": lesson.da @ lesson.U.T,
        "that is made with dy: what comes back, the slope and the mask are missing": lesson.dy @ lesson.W.T,
        "each step of x is read once: dx is not summed over the steps": lesson.dx.sum(axis=1)}


def _backward(lesson: SimpleNamespace) -> tuple[mistakes.Values, mistakes.Mistakes]:
    return mistakes.simple_rnn_backward(lesson.x, lesson.h_start, lesson.h, lesson.W, lesson.U, lesson.dy, lesson.mask)


def _sums(lesson: SimpleNamespace, name: str) -> Known:
    """Mistakes in the sums over samples and steps; da is right already."""
    right, wrong = _backward(lesson)
    sums = {sentence: values for sentence, values in wrong.items() if "da" not in values}
    return mistakes.distinct(mistakes.known(right, sums, name))


# The mean over real steps

def turn_mean_loss(lesson: SimpleNamespace) -> Known:
    losses, mask = lesson.losses, lesson.mask
    return {"padding counts: it is the mean over all six steps": losses.mean(),
            "the sum is right, but divide by the number of real steps, 4, not by all": np.sum(mask * losses) / losses.size,
            "the losses of padding are still in the sum": losses.sum() / mask.sum(),
            "that is the sum; divide by the number of real steps": np.sum(mask * losses),
            "divide by the number of real steps, not by the number of samples": np.sum(mask * losses) / len(losses)}


def turn_dh_own(lesson: SimpleNamespace) -> Known:
    mask, h = lesson.mask[..., None], lesson.h
    count, each = lesson.mask.sum(), lesson.mask.sum(axis=1)[:, None, None]
    return {"a masked step does not count, so its gradient is 0": h / count,
            "the division is missing: the loss is a mean over the real steps": mask * h,
            "divide by the number of real steps, not by all": mask * h / lesson.mask.size,
            "divide by the real steps of all samples together, not by those of each": mask * h / each,
            "a factor of 2 is too much: each loss is half the square": 2 * mask * h / count,
            "that has the loss in it; its derivative by h is h": mask * h ** 2 / 2 / count}


# Attention

def turn_alpha(lesson: SimpleNamespace) -> Known:
    powers, mask = lesson.powers, lesson.mask
    return {"padding has a weight; multiply the powers by the mask first": powers / powers.sum(axis=1, keepdims=True),
            "the mask comes too late: the weights of the real steps do not add up to 1":
                mask * powers / powers.sum(axis=1, keepdims=True),
            "the sum is over the samples too; each sample has weights of its own": mask * powers / np.sum(mask * powers),
            "the sum is over the samples; it should be over the steps, axis 1":
                mask * powers / np.sum(mask * powers, axis=0),
            "the division is missing: a sample's weights add up to 1": mask * powers,
            "those are equal weights; each real step has its power": mask / mask.sum(axis=1, keepdims=True)}


def turn_dalpha(lesson: SimpleNamespace) -> Known:
    h, dc = lesson.h, lesson.dc[:, None]
    return {"the sum over the units is missing: alpha_t is one number for all of them": h * dc,
            "h is missing: alpha_t stands beside h_t": np.sum(dc + 0 * h, axis=2),
            "a step's weight stands beside its own state, not beside c": np.sum(lesson.c[:, None] * dc + 0 * h, axis=2),
            "that is with alpha already; the derivative by alpha_t has h_t and dc alone": lesson.alpha * np.sum(h * dc, axis=2),
            "it is a sum over the units, not a mean": np.mean(h * dc, axis=2)}


def turn_de(lesson: SimpleNamespace) -> Known:
    alpha, dalpha = lesson.alpha, lesson.dalpha
    mean = np.sum(alpha * dalpha, axis=1, keepdims=True)
    return {"that is the diagonal alone; the softmax divides, so all scores of a sample move each weight": alpha * dalpha,
            "that is the slope of a sigmoid; the other weights of the sample come in too": alpha * (1 - alpha) * dalpha,
            "the factor alpha is missing": dalpha - mean,
            "what is taken off is the mean weighted by alpha, not the plain one":
                alpha * (dalpha - dalpha.mean(axis=1, keepdims=True)),
            "what is taken off is the sum of alpha · dalpha, not that of dalpha":
                alpha * (dalpha - dalpha.sum(axis=1, keepdims=True)),
            "the sum is over the steps of each sample, not over the samples":
                alpha * (dalpha - np.sum(alpha * dalpha, axis=0)),
            "the sign is wrong: the sum is taken off": alpha * (dalpha + mean)}


def turn_ds(lesson: SimpleNamespace) -> Known:
    de, e, s = lesson.de, lesson.e, lesson.s
    return {"the slope of tanh is missing": de,
            "the slope is 1 - e²; e is tanh(s) already": de * (1 - np.tanh(e) ** 2),
            "the slope of tanh is 1 - tanh², not 1 - tanh": de * (1 - e),
            "that is made with s; the slope is 1 - tanh(s)²": de * (1 - s ** 2),
            "that is the slope of a sigmoid": de * e * (1 - e)}


def turn_dh_all(lesson: SimpleNamespace) -> Known:
    by_c, by_s = lesson.alpha[..., None] * lesson.dc[:, None], lesson.ds[..., None] * lesson.v
    return {"h_t stands in its score too, s_t = h_t · v + k_t: that way is missing": by_c,
            "h_t stands in c too, beside alpha_t: that way is missing": by_s,
            "alpha is missing: in c, h_t stands beside alpha_t": lesson.dc[:, None] + by_s,
            "v is missing: in s_t, h_t stands beside v": by_c + lesson.ds[..., None],
            "that is made with de; h_t stands in s, before the tanh": by_c + lesson.de[..., None] * lesson.v,
            "two ways are added, not multiplied": by_c * by_s}


# Packing

def turn_batch_sizes(lesson: SimpleNamespace) -> Known:
    lengths, T = lesson.lengths, lesson.T
    return {"a sample of length 1 has step 0 and no step 1: it is >, not >=": [int(np.sum(lengths >= t)) for t in range(T)],
            "those are the lengths; asked is how many samples have each step": sorted(map(int, lengths), reverse=True),
            "those are all samples at every step, as in the padded array": [len(lengths)] * T,
            "that counts the samples that have ended": [int(np.sum(lengths <= t)) for t in range(T)],
            "they are in the order of the steps, step 0 first": [int(np.sum(lengths > t)) for t in reversed(range(T))]}


def turn_state(lesson: SimpleNamespace) -> dict[str, Known]:
    walks = {sentence: _packed_forward(lesson, mistake) for mistake, sentence in {
        "no state": "the state before, state[:n] @ U, is missing",
        "same rows": "the rows do not move on: add n to `at` after each step",
        "all begin": "each step begins with the first states; it begins with those of the step before, in `state`",
        "untransposed": "samples are rows: state[:n] @ U, not U.T"}.items()}
    ended = np.concatenate([lesson.state[:1], 0 * lesson.state[1:]])
    return {"state": {sentence: wrong[0] for sentence, wrong in walks.items()} | {
                "nothing is written into state[:n]": lesson.h_start[lesson.order],
                "a sample that has ended keeps its state; it is not set to 0": ended},
            "h_packed": {sentence: wrong[1] for sentence, wrong in walks.items()}}


def _packed_forward(lesson: SimpleNamespace, mistake: str) -> tuple[np.ndarray, np.ndarray]:
    """The last states and all of them, packed, with a mistake."""
    start, state, at = lesson.h_start[lesson.order], lesson.h_start[lesson.order], 0
    h, U = np.zeros((len(lesson.data), lesson.H)), lesson.U.T if mistake == "untransposed" else lesson.U
    for n in lesson.batch_sizes:
        reads = slice(0, n) if mistake == "same rows" else slice(at, at + n)
        before = {"no state": 0 * state, "all begin": start}.get(mistake, state)[:n]
        state = state.copy()
        h[at:at + n] = state[:n] = np.tanh(lesson.data[reads] @ lesson.W + before @ U + lesson.b)
        at += n
    return state, h


PACKED = {
    "untransposed": "going back multiplies by the transpose, da Uᵀ",
    "no slope": "the slope of tanh, 1 - h², is missing",
    "dh": "what goes on is da Uᵀ, after the slope, not dh Uᵀ",
    "again": "d_last is added at every step; it arrives once, at each sample's last step",
    "forgets": "the gradients of shorter samples are lost: a step changes only the first n rows of dh_packed"}


def turn_da_packed(lesson: SimpleNamespace) -> dict[str, Known]:
    right, walks = _packed_backward(lesson, ""), {sentence: _packed_backward(lesson, name) for name, sentence in PACKED.items()}
    return {name: mistakes.distinct({sentence: wrong[k] for sentence, wrong in walks.items()}, right[k])
            for k, name in enumerate(("da_packed", "dh_packed"))}


def _packed_backward(lesson: SimpleNamespace, mistake: str) -> tuple[np.ndarray, np.ndarray]:
    h, U, dh, end = lesson.h_packed, lesson.U, lesson.d_last.copy(), len(lesson.h_packed)
    da = np.zeros_like(h)
    for n in lesson.batch_sizes[::-1]:
        rows = slice(end - n, end)
        da[rows] = dh[:n] * (1 if mistake == "no slope" else 1 - h[rows] ** 2)
        back = {"untransposed": da[rows] @ U, "dh": dh[:n] @ U.T}.get(mistake, da[rows] @ U.T)
        if mistake == "forgets":
            dh = np.zeros_like(dh)
        dh[:n] = back + lesson.d_last[:n] if mistake == "again" else back
        end -= n
    return da, dh


# States that are handed on

def turn_dy_first(lesson: SimpleNamespace) -> Known:
    own, handed = lesson.dy[:, :2], lesson.handed
    return {"nothing is handed back; the last state of the first part is where the second begins": own,
            "it is added to step 0; the second part begins with the LAST state of the first": _with(own, 0, own[:, 0] + handed),
            "it takes the place of the loss of that step; it should be added to it": _with(own, 1, handed),
            "it is added to every step; the last state alone is handed on": own + handed[:, None],
            "the sign is wrong: what comes back is added": _with(own, 1, own[:, 1] - handed)}


def turn_dy_enc(lesson: SimpleNamespace) -> Known:
    right, back = lesson.dy_enc, lesson.dh_mid
    last_real = np.where(np.arange(lesson.T)[:, None] == lesson.lengths[:, None, None] - 1, back[:, None], 0)
    return {"it arrives at the last state, h[:, T - 1], of the short sample too; the walk takes it past the padding": last_real,
            "it arrives at the last state alone, not at every one": 0 * right + back[:, None],
            "it arrives at the last state, not at the first": right[:, ::-1],
            "dg is of the decoder's own states; the encoder is given dh_mid": _with(0 * right, 2, lesson.dg[:, -1]),
            "nothing arrives; the decoder began with the encoder's last state": 0 * right,
            "the losses at the steps of the encoder are gone: only the decoder has losses": lesson.dy + right}


def turn_lstm_weights(lesson: SimpleNamespace) -> Known:
    return {"that is a SimpleRNN's; an LSTM has four of it": np.array(lesson.rnn_weights),
            "that is a GRU's with one bias; an LSTM has four of a SimpleRNN's": np.array(3 * lesson.rnn_weights),
            "the biases are missing, or the weights from the input: (x + h) h + h": np.array(4 * 33 * 32),
            "the weights from the state are missing: (x + h) h": np.array(4 * (32 + 32)),
            "one bias is missing for each gate: 4 [(x + h) h + h]": np.array(4 * 33 * 32 + 32),
            "an LSTM of Keras has one bias": np.array(4 * (33 * 32 + 2 * 32))}


def _with(values: np.ndarray, t: int, at_t: np.ndarray) -> np.ndarray:
    """A copy with other numbers at step t."""
    changed = values.copy()
    changed[:, t] = at_t
    return changed


# Exercises

def exercise_1(answer: Answer) -> None:
    """A masked step, on paper

    h_2 and dx for h_t = x_t + h_{t-1} / 2, a first state of 0, x = (4, 9, 2) with the 9 masked and the last state as the loss;
    mean_loss of the losses (1, 8, 2) at these steps.
    """
    answer.on_paper("h_2", 4, [
        "Write down h_0, h_1, h_2 one after the other; at a masked step the state stays as it is.",
        "h_1 = h_0 = 4."], {
        "the 9 has been read; at padding the state stays as it is": 7.5,
        "the state is halved at padding too, as if there were a step with x = 0; it stays as it is": 3,
        "the state is set to 0 at padding; it stays as it is": 2})
    answer.on_paper("dx", [0.5, 0, 1], [
        "Walk back from dh_2 = 1: a real step has dx_t = dh and hands on dh / 2; a masked one has dx_t = 0 and hands on dh.",
        "dh_1 = 0.5, and step 1 is masked."], {
        "no input is heard at padding, so its gradient is 0": [0.5, 0.5, 1],
        "the masked step has been read, and halves the gradient on its way": [0.25, 0.5, 1],
        "the masked step halves the gradient on its way; it should pass as it is": [0.25, 0, 1],
        "the gradient stops at padding; it should pass as it is": [0, 0, 1],
        "it should begin with the first step": [1, 0, 0.5]})
    answer.on_paper("mean_loss", 1.5, [
        "Only real steps count, in the sum and in what it is divided by.",
        "Steps 0 and 2 are real."], {
        "the loss at padding counts": 11 / 3,
        "that is divided by all steps; only the real ones count": 1,
        "that is the sum; divide by the number of real steps": 3})


def exercise_2(answer: Answer) -> None:
    """The whole backward with a mask

    masked_backward(x, mask, h_start, h, W, U, dy): returns dx, dh_start, dW, dU, db. x (N, T, in), mask (N, T) True at real
    steps, h_start (N, H), h (N, T, H) the states of a tanh network, W (in, H), U (H, H), dy (N, T, H) what each step's own loss
    sends into its state, at masked steps too.
    """
    names = ("dx", "dh_start", "dW", "dU", "db")

    def check(N: int, T: int, inputs: int, H: int, masks: bool) -> None:
        x, mask, h_start, h, W, U, dy = _numbers(N, T, inputs, H, masks)
        result = answer.function("masked_backward")(x, mask, h_start, h, W, U, dy)
        right, wrong = mistakes.simple_rnn_backward(x, h_start, h, W, U, dy, mask)
        more = {
            "the mask is turned round: the walk goes through padding and past real steps":
                mistakes.simple_rnn_backward(x, h_start, h, W, U, dy, ~mask)[0],
            "a masked step has a dy_t too, as it has an h_t: all of dh goes on, not dh_next alone":
                mistakes.simple_rnn_backward(x, h_start, h, W, U, dy * mask[..., None], mask)[0]} if masks else {}
        expect_all(result, right, wrong | more, names, "masked_backward",
                   {"dx": ("sample", "step", "input"), "dh_start": ("sample", "unit")},
                   order=("db", "dW", "dU", "dx", "dh_start"))

    for_each_size(answer, check, [(1, 1, 1, 1, False), (2, 3, 1, 2, False), (3, 5, 2, 3, True)])


def _numbers(N: int, T: int, inputs: int, H: int, masks: bool) -> tuple[np.ndarray, ...]:
    """x, mask, h_start, h, W, U, dy, from a seed."""
    rng = np.random.default_rng(10 * N + T)
    sizes = ((N, T, inputs), (N, H), (inputs, H), (H, H), (N, T, H))
    x, h_start, W, U, dy = (rng.normal(scale=0.7, size=size) for size in sizes)
    mask = np.ones((N, T), bool)
    if masks:
        mask[0, T - 2:] = mask[1, 0] = mask[2, 1:3] = False
    h, h_prev = np.zeros_like(dy), h_start
    for t in range(T):
        h[:, t] = h_prev = np.where(mask[:, t, None], np.tanh(x[:, t] @ W + h_prev @ U), h_prev)
    return x, mask, h_start, h, W, U, dy


def exercise_3(answer: Answer) -> None:
    """The bug behind the padding

    The function walk at the end of the lesson has a bug. Write it right as
    fixed_walk(h, mask, U, d_last): returns da (N, T, H), 0 at padding. h (N, T, H) the states of a tanh network, mask (N, T),
    U (H, H), d_last (N, H) the gradient by the last states.
    """
    rng = np.random.default_rng(11)
    h, U, d_last = rng.uniform(-1, 1, (3, 5, 2)), rng.normal(size=(2, 2)), rng.normal(size=(3, 2))
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 0, 1, 0, 1]], bool)

    def walk(mistake: str = "") -> np.ndarray:
        da, dh = np.zeros_like(h), d_last
        for t in reversed(range(5)):
            real = mask[:, t, None]
            da[:, t] = np.where(real, 1, mistake == "heard") * dh * (1 - h[:, t] ** 2)
            through = da[:, t] @ U.T
            dh = {"dropped": through, "added": through + dh, "always past": np.where(real, dh, through)}.get(
                mistake, np.where(real, through, dh))
        return da

    expect_close(answer.function("fixed_walk")(h, mask, U, d_last), walk(), "da", {
        "the gradient still ends at padding: where the mask is False, dh should go on as it is": walk("dropped"),
        "dh goes past real steps too; there it goes through, by da Uᵀ, and only there": walk("added"),
        "the mask is used the wrong way round for what comes back: past padding, through real steps": walk("always past"),
        "a masked step has no da: no weight and no input is heard there": walk("heard")}, axes=("sample", "step", "unit"))


def exercise_4(answer: Answer) -> None:
    """How much padding

    shuffled and sorted_first: what part of the arrays is padding, for 32,000 lengths from 1 to 100 in batches of 32, as they
    come and sorted before they are cut into batches.
    """
    shuffled, sorted_first = float(answer.array("shuffled", ())), float(answer.array("sorted_first", ()))
    if 0.51 < shuffled < 0.53:
        raise Wrong(f"shuffled = {shuffled:g}: that is the part that is real")
    if 0.492 < shuffled < 0.51:
        raise Wrong(f"shuffled = {shuffled:g}: that is as if every array were 100 long; it is as long as its longest sentence")
    if not 0.47 < shuffled < 0.492:
        raise Wrong(f"shuffled is not {shuffled:g}: it is 1 - (sum of all lengths) / (sum of 32 · longest, over the batches)")
    if sorted_first > 0.9:
        raise Wrong(f"sorted_first = {sorted_first:g}: that is the part that is real")
    if not 0 < sorted_first < 0.01:
        raise Wrong(f"sorted_first is not {sorted_first:g}: in a sorted batch nearly all have one length: hardly any padding")
