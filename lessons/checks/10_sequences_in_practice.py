"""Checks of the exercises of lesson 10."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close, returned


def exercise_1(answer: Answer) -> None:
    """A masked step, on paper

    h_3 and dx for h_t = x_t + h_{t-1} / 2, h_0 = 0, x = (4, 9, 2) with the 9 masked and L = h_3; mean_loss of the losses
    (1, 8, 2) at these steps.
    """
    answer.on_paper("h_3", 4, [
        "Write down h_1, h_2, h_3 one after the other; at a masked step the state stays as it is.",
        "h_2 = h_1 = 4."], {
        "the 9 has been read; at padding the state stays as it is": 7.5,
        "the state is halved at padding too, as if there were a step with x = 0; it stays as it is": 3,
        "the state is set to 0 at padding; it stays as it is": 2})
    answer.on_paper("dx", [0.5, 0, 1], [
        "Walk back from dh_3 = 1: a real step has dx_t = dh and hands on dh / 2; a masked one has dx_t = 0 and hands on dh.",
        "dh_2 = 0.5, and step 2 is masked."], {
        "no input is heard at padding, so its gradient is 0": [0.5, 0.5, 1],
        "the masked step has been read, and halves the gradient on its way": [0.25, 0.5, 1],
        "the masked step halves the gradient on its way; it should pass as it is": [0.25, 0, 1],
        "the gradient stops at padding; it should pass as it is": [0, 0, 1],
        "it should begin with the first step": [1, 0, 0.5]})
    answer.on_paper("mean_loss", 1.5, [
        "Only real steps count, in the sum and in what it is divided by.",
        "Steps 1 and 3 are real."], {
        "the loss at padding counts": 11 / 3,
        "that is divided by all steps; only the real ones count": 1,
        "that is the sum; divide by the number of real steps": 3})


def exercise_2(answer: Answer) -> None:
    """Back through a packed batch

    packed_backward(h, batch_sizes, W_h, dh_T): returns da (all steps, units) and dh_0 (B, units). h (all steps, units) holds
    the states of a tanh network as they lie packed, dh_T (B, units) the gradient by each sequence's last state.
    """
    rng = np.random.default_rng(10)
    h, W_h, dh_T, batch_sizes = rng.uniform(-1, 1, (9, 3)), rng.normal(size=(3, 3)), rng.normal(size=(4, 3)), [4, 2, 2, 1]
    result = answer.function("packed_backward")(h, list(batch_sizes), W_h, dh_T)
    returned(result, "packed_backward", "da", "dh_0")

    def walk(mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
        da, dh, at = np.zeros_like(h), dh_T.copy(), 0 if mistake == "from the front" else len(h)
        for n in batch_sizes if mistake == "from the front" else batch_sizes[::-1]:
            rows = slice(at, at + n) if mistake == "from the front" else slice(at - n, at)
            at += n if mistake == "from the front" else -n
            da[rows] = dh[:n] * (1 if mistake == "no slope" else 1 - h[rows] ** 2)
            carry = da[rows] @ (W_h if mistake == "untransposed" else W_h.T)
            if mistake == "forgets the rest":
                dh = np.zeros_like(dh)
            dh[:n] = dh_T[:n] + carry if mistake == "again" else carry
        return da, dh

    known = {sentence: walk(mistake) for mistake, sentence in {
        "untransposed": "going back multiplies by the transpose, da W_hᵀ",
        "no slope": "the slope of tanh, 1 - h², is missing",
        "from the front": "the walk goes back: it begins with the last step, at the end of the rows",
        "again": "dh_T is added at every step; it arrives once, at each sequence's last step",
        "forgets the rest": "the gradients of shorter sequences are lost: a step changes only the first so many "
                            "rows of dh"}.items()}
    da, dh_0 = walk()
    expect_close(result[0], da, "da", {sentence: wrong[0] for sentence, wrong in known.items()})
    expect_close(result[1], dh_0, "dh_0", {
        "the shorter sequences have kept dh_T; all have a step 1": np.concatenate([dh_0[:1], dh_T[1:]]),
        "that is da of step 1; one more product with W_hᵀ leads to h_0": da[:4],
        **{sentence: wrong[1] for sentence, wrong in known.items()}})


def exercise_3(answer: Answer) -> None:
    """The bug behind the padding

    fixed_walk(h, mask, W_h, dh): returns da (B, T, units), 0 at padding. h (B, T, units) the states of a tanh network, mask
    (B, T), W_h (units, units) as in the lesson, dh (B, units) the gradient by the last states.
    """
    rng = np.random.default_rng(11)
    h, W_h, dh_T = rng.uniform(-1, 1, (3, 5, 2)), rng.normal(size=(2, 2)), rng.normal(size=(3, 2))
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1], [1, 0, 1, 0, 1]], bool)

    def walk(mistake: str = "") -> np.ndarray:
        da, dh = np.zeros_like(h), dh_T
        for t in reversed(range(5)):
            real = mask[:, t, None]
            da[:, t] = np.where(real, 1, mistake == "heard") * dh * (1 - h[:, t] ** 2)
            through = da[:, t] @ W_h.T
            match mistake:
                case "dropped":
                    dh = through
                case "added":
                    dh = through + dh
                case "always past":
                    dh = np.where(real, dh, through)
                case _:
                    dh = np.where(real, through, dh)
        return da

    expect_close(answer.function("fixed_walk")(h, mask, W_h, dh_T), walk(), "da", {
        "the gradient still ends at padding: where the mask is False, dh should go on as it is": walk("dropped"),
        "dh goes past real steps too; there it goes through, by da W_hᵀ, and only there": walk("added"),
        "the mask is used the wrong way round for the carry: past padding, through real steps": walk("always past"),
        "a masked step has no da: no weight and no input is heard there": walk("heard")})


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
