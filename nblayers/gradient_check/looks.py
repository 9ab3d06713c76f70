"""What the analytic and the numeric gradient of a tensor say beside each other: (kind, text), or None."""
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.clipping import ADVICE
from nblayers.gradient_check.evidence import Evidence, Found, agree
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.words import ranges, times


def missing(evidence: Evidence) -> Found:
    if evidence.tensor.is_missing:
        return "missing", "backward returns None for it: is `return dx` missing?"
    if not evidence.tensor.gradient.any():
        return "missing", "all zeros: backward never " + ("adds to its grad" if evidence.tensor.is_weight else "fills it")
    return None


def zeros(evidence: Evidence) -> Found:
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    if agree(largest, 0):
        leaves_out = all(agree(numeric, 0) for numeric in evidence.numeric.values())
        return "extra", "should be zero" + (": y does not depend on it" if leaves_out else "")
    if all(abs(evidence.analytic(index)) <= 1e-7 * largest for index in evidence.wrong):
        return "zero", "zero there"
    return None


def other_tensors(evidence: Evidence) -> Found:
    """The gradient of another tensor, or the same numbers as another one's."""
    if evidence.check is None or math.prod(evidence.shape) < 2:
        return None
    check = evidence.check
    for other in check.tensors():
        if other.name == evidence.name or other.gradient.shape != evidence.shape:
            continue
        if all(agree(evidence.analytic(index), check.numeric(other, index)) for index in list(evidence.numeric)[:60]):
            back = check.evidence.get(other.name)
            is_swap = back is not None and all(agree(back.analytic(index), evidence.numeric_at(index))
                                               for index in list(back.numeric)[:60])
            return "swapped", f"holds the gradient of {other.name}" + (": the two are swapped" if is_swap else "")
        if np.array_equal(evidence.tensor.gradient, other.gradient):
            return "swapped", f"the very same numbers as the gradient of {other.name}: one is copied from the other"
    return None


def beside_dy(evidence: Evidence) -> Found:
    """What is there even where dy is zero: a multiple of the weight itself, or what takes no account of dy."""
    idle = evidence.idle
    if idle is None or not np.abs(idle).max(initial=0.0) or len(evidence.check.y) > evidence.check.outputs:
        return None
    if evidence.shares is not None and not evidence.shares.analytic.any():
        return "ignores_dy", "the same for every dy, even for zeros: it does not use dy, which the layers behind it send back"
    evidence.check.subject.restore()
    value = np.asarray(to_numpy(evidence.tensor.values), np.float64)
    what = "the weight" if evidence.tensor.is_weight else evidence.name
    for words, form in ((f"{what} itself", value), (f"the sign of {what} itself", np.sign(value))):
        size = float((form * form).sum())
        factor = float((idle * form).sum()) / size if size else 0.0
        if factor and np.allclose(idle, factor * form, rtol=1e-6, atol=1e-12):
            plus = f"plus {factor:.6g} times {words}, even where dy is zero"
            if not evidence.is_weight:
                return "not_linear", f"{plus}: it is added and not multiplied by dy"
            return "decay", f"{plus}: a weight decay inside of backward, of which forward knows nothing"
    return "not_linear", "not zero where dy is zero: something is added that is not multiplied by dy"


def ratio_everywhere(evidence: Evidence) -> Found:
    """One factor wherever there is anything."""
    return None if any(abs(evidence.numeric[index]) > 1e-9 for index in evidence.right) else ratio(evidence)


def ratio(evidence: Evidence) -> Found:
    """One factor between analytic and numeric, and where such a factor may come from."""
    if len(evidence.wrong) < 2 and math.prod(evidence.shape) > 1:
        return None                                     # a single number is some number of times any other
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    if not largest:
        return None
    strong = [index for index in evidence.wrong if abs(evidence.numeric[index]) > 1e-3 * largest]
    factor = float(np.median([evidence.analytic(index) / evidence.numeric[index] for index in strong]))
    floor = 1e-7 * largest
    if not all(abs(evidence.analytic(i) - factor * evidence.numeric[i]) <= 1e-5 * abs(evidence.analytic(i)) + floor
               for i in evidence.wrong):
        return None
    if (abs(abs(factor) - 1) <= evidence.rtol / 2 and factor > 0) or abs(factor) < 1e-7:
        return None
    size = abs(factor)
    exact = any(agree(size, value) for value in (1.0, 2.0, 0.5))
    origins = "".join(_origins(evidence, size))
    if math.prod(evidence.shape) == 1 and not exact and not origins and not _same_through_all(evidence, factor):
        return None                                     # any number is some number of times another one: that tells nothing
    near_one = abs(size - 1) < 1e-2 and not exact
    words = f"{size:.8g} times what it should be" if near_one and factor > 0 else times(factor, is_explained=bool(origins))
    return "factor", words + origins


def clipped(evidence: Evidence) -> Found:
    """The right numbers but that none passes a bound: of a loss, whose dy is one number that comes to the gradients last."""
    check = evidence.check
    if check is None or len(check.dy) != 1 or check.dy[0].size != 1 or len(evidence.wrong) < 2:
        return None
    dy = abs(float(check.dy[0].reshape(())))
    bound = float(np.abs(evidence.tensor.gradient).max())
    is_held = all(agree(evidence.analytic(index), float(np.clip(numeric, -bound, bound)))
                  for index, numeric in evidence.numeric.items())
    beyond = [evidence.numeric[index] / bound for index in evidence.wrong]
    is_by_chance = len(np.unique(np.round(beyond, 5))) < 3 or np.allclose(beyond, np.round(beyond), atol=1e-6)
    if not is_held or is_by_chance:
        return None
    return "clipped", (f"clipped: right but for {len(evidence.wrong)} elements that should be larger than {bound / dy:.6g} or "
                       f"less than -{bound / dy:.6g} and are exactly that. {ADVICE}")


def and_itself(evidence: Evidence) -> Found:
    """Some times what it should be, plus a multiple of the tensor itself: a penalty whose part is another one."""
    check = evidence.check
    if check is None or len(evidence.numeric) < 5 or len(evidence.wrong) < 4 or len(check.dy) != 1:
        return None
    check.subject.restore()
    values = np.asarray(to_numpy(evidence.tensor.values), np.float64)
    indices = list(evidence.numeric)
    basis = np.array([[evidence.numeric[index], float(values[index])] for index in indices])
    analytic = np.array([evidence.analytic(index) for index in indices])
    size = np.linalg.norm(basis, axis=0)
    if not size.all() or np.linalg.cond(basis / size) > 1e4:
        return None
    times_it, of_itself = np.linalg.lstsq(basis / size, analytic, rcond=None)[0] / size
    if not np.allclose(basis @ [times_it, of_itself], analytic, rtol=1e-5, atol=1e-7 * np.abs(analytic).max()):
        return None
    if abs(of_itself) * size[1] < 1e-3 * np.linalg.norm(analytic) or abs(times_it) < 1e-6:
        return None
    dy = float(check.dy[0].reshape(())) if check.dy[0].size == 1 else 1.0
    own = "" if abs(times_it - 1) < 1e-6 else f"{times(float(times_it))}{''.join(_origins(evidence, abs(float(times_it))))}, "
    sign = "plus" if of_itself * dy > 0 else "less"
    return "decay", (f"{own}{sign} {abs(of_itself / dy):.6g} times {evidence.name} itself: a penalty on it is not the same in "
                     f"the two passes, or its factor is not that of the rest")


def _same_through_all(evidence: Evidence, factor: float) -> bool:
    """Whether a single number is off by one factor through each of several elements of y."""
    shares = evidence.shares
    if shares is None or (np.abs(shares.numeric) > 1e-3 * shares.scale).sum() < 4:
        return False
    return shares.all_same(shares.analytic, factor * shares.numeric)


def _origins(evidence: Evidence, size: float) -> Iterator[str]:
    """Where a factor may come from: a size, a single number, the root of a size."""
    names: dict[int, str] = {}
    for name, count in evidence.sizes.items():
        names.setdefault(count, name)                   # one name for each size, the first
    for count, name in names.items():
        if count > 1 and agree(size, count):
            yield f" ({count} is {name}: summed over it once too often?)"
            return
        if count > 1 and agree(size, 1 / count):
            yield f" (1/{count}, {name}: divided by it? A layer sums, only a loss takes the mean)"
            return
    for name, value in evidence.scalars.items():
        if agree(size, abs(1 / value)) or agree(size, abs(value)):
            left_out = agree(size, abs(1 / value))
            yield f" ({'1 / ' if left_out else ''}{name}: {'it is left out' if left_out else 'it has gone in once too often'}?)"
            return
    if agree(size, 2.0) or agree(size, 0.5):
        return
    for count, name in names.items():
        if count > 1 and (agree(size, count ** 0.5) or agree(size, count ** -0.5)):
            what = f"the square root of {count}" if size > 1 else f"1 / the square root of {count}"
            yield f" ({what}, perhaps of {name})"
            return


def nearly(evidence: Evidence) -> Found:
    """Right to a few digits at every place: another constant, not another formula."""
    if evidence.check is not None and any(_far_off(other) for other in evidence.check.evidence.values()):
        return None
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    worst = max(abs(evidence.analytic(i) - evidence.numeric[i]) / max(abs(evidence.numeric[i]), 0.05 * largest)
                for i in evidence.wrong)
    if len(evidence.wrong) < 2 or worst > 2e-2:
        return None
    return "nearly", (f"right to within {worst:.0e}: a constant that is rounded or not the same in the two passes (an epsilon "
                      "in one of them?), or an approximation")


def _far_off(evidence: Evidence) -> bool:
    """Whether anything of it, through any output, is off by more than half a percent of the largest share."""
    shares = evidence.shares
    return shares is not None and bool(np.abs(shares.analytic - shares.numeric).max(initial=0.0) > 5e-3 * shares.scale)


def layout(evidence: Evidence) -> Found:
    """The right numbers in other places."""
    def is_moved(move: Callable[[Index], Index]) -> bool:
        return all(agree(evidence.analytic(index), evidence.numeric_at(move(index)))
                   for index in [*evidence.probes, *evidence.right])

    shape = evidence.shape
    if len(evidence.wrong) < 2:
        return None
    for i, j in itertools.combinations(range(len(shape)), 2):
        if shape[i] == shape[j] and is_moved(lambda index, i=i, j=j: _swapped(index, i, j)):        # type: ignore[misc]
            return "transposed", f"transposed: axes {i} and {j} are swapped"
    for axis, size in enumerate(shape):
        if size > 1 and is_moved(lambda index, k=axis, n=size: (*index[:k], n - 1 - index[k],
                                                                *index[k + 1:])):  # type: ignore[misc]
            return "reversed", f"in reverse order along axis {axis}"
    return None


def _swapped(index: Index, i: int, j: int) -> Index:
    moved = list(index)
    moved[i], moved[j] = moved[j], moved[i]
    return tuple(moved)


def where(evidence: Evidence) -> str:
    """The part of the tensor that is wrong, if it is not all of it."""
    wrong, right = evidence.wrong, evidence.right
    if not right:
        return ""
    if len(wrong) <= 3:
        return "wrong only at " + ", ".join(str(list(index)) for index in wrong)
    best: tuple[float, str] = (1.0, "")
    for axis, size in enumerate(evidence.shape):
        bad, good = {index[axis] for index in wrong}, {index[axis] for index in right}
        only_good = good - bad
        inside = sum(index[axis] in bad for index in right)
        if only_good and inside < len(wrong) and len(bad) / len(bad | good) < best[0]:
            best = len(bad) / len(bad | good), f"wrong only at {ranges(bad)} of axis {axis} (size {size})"
    return best[1]


def along_an_axis(evidence: Evidence) -> str:
    """The indices of an axis outside of which nothing is wrong."""
    for axis, size in enumerate(evidence.shape):
        bad = {index[axis] for index in evidence.wrong}
        if len(bad) < size and {index[axis] for index in evidence.numeric} == set(range(size)):
            return f"wrong only at {ranges(bad)} of axis {axis} (size {size})"
    return ""


def penalties(evidence: Evidence) -> str:
    """Whether all that is wrong are the penalties."""
    check = evidence.check
    if check is None or len(check.y) == check.outputs or evidence.shares is None:
        return ""
    if not evidence.shares.wrong.any():
        return "right but for the layer's penalties (activity regularizer, add_loss), whose gradient belongs to backward too"
    return ""
