"""How the two passes behave, apart from the numbers that come out: what they change, keep, round and take no notice of."""
import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check import clipping
from nblayers.gradient_check.clipping import near
from nblayers.gradient_check.others import of_one_sign
from nblayers.gradient_check.points import at, elsewhere
from nblayers.gradient_check.subject import present


def check_forward(check: Any) -> None:
    """Finite float64 outputs, the same twice, inputs left alone."""
    subject, report = check.subject, check.report
    subject.restore()
    check.y = subject.forward()
    find_changed_inputs(check, "forward")
    for k, y in enumerate(check.y):
        if y.dtype.kind == "c":
            report.add("dtype", f"forward's output {k} is complex: gradients are checked for real outputs only")
        elif y.dtype.kind not in "fiub":
            report.add("dtype", f"forward's output {k} is an array of {y.dtype}, where numbers are expected")
        elif not np.isfinite(y).all():
            report.add("nan", f"forward's output {k} holds NaN or infinity, first at {first(~np.isfinite(y))}")
        elif y.dtype.kind == "f" and y.dtype != np.float64:
            report.add("float32", f"forward's output {k} is {y.dtype} though the layer computes in float64: allocate with the "
                                "input's dtype, or self.dtype")
    if not check.y:
        report.add("nothing_checked", "forward gives no output")
    subject.restore()
    if not same(check.y, subject.forward()):
        report.add("random", "forward gives another output for the same input the second time: it draws random numbers or "
                             "keeps a state which gradcheck cannot put back (make it an array or a NumPy Generator in an "
                             "attribute)")


def find_changed_inputs(check: Any, who: str) -> None:
    for name, leaf, given in zip(check.subject.names, check.subject.handed, check.given, strict=True):
        if not same([leaf], [given]):
            _contract(check, "changes_input", f"{who} changes the input {name!r} in place: work on a copy")


def _contract(check: Any, kind: str, text: str) -> None:
    """A finding; a note where nobody asks for this contract."""
    if check.settings.contract:
        check.report.add(kind, text)
    else:
        check.report.notes.append(text)


def check_backward(check: Any) -> None:
    """The gradients to be compared; dy, inputs, outputs and weights are left alone."""
    subject = check.subject
    values = [parameter.numpy() for parameter in subject.weights]
    dy = check.copied_dy()
    check.kept = cached_arrays(subject.layer)
    check.dx, check.dw = subject.backward(dy)
    if not same(dy, check.dy):
        _contract(check, "changes_dy", "backward changes dy in place: work on a copy")
    if not same([to_numpy(y) for y in present(subject.outputs)], check.y[:check.outputs]):
        _contract(check, "changes_output", "backward changes forward's output in place: work on a copy")
    find_changed_inputs(check, "backward")
    for parameter, value in zip(subject.weights, values, strict=True):
        if not np.array_equal(parameter.numpy(), value):
            check.report.add("changes_weight", f"backward changes the value of the weight {parameter.path!r} in place: it may "
                                               f"only add to its grad")


def check_second_backward(check: Any) -> None:
    """The same gradient again from the same cache, and added to what is in the weights' `grad`."""
    subject, report = check.subject, check.report
    told = {finding.kind for finding in report.general}
    if "changes_weight" in told:
        return
    replaced = check_adds(check)
    if told - {"changes_dy"}:                           # what was changed above would be found here again
        return
    check.gradients(check.dy)
    try:
        dx, dw = subject.backward(check.copied_dy())
    except Exception as error:
        report.add("single_use", "a second backward after one forward fails: backward must only read the "
                                 f"cache{changed(check)} ({type(error).__name__}: {error})")
        return
    if _close(dx, [None if d is None else 2 * d for d in check.dx]) and not _close(dx, check.dx):
        report.add("adds_up", "the gradient returned adds up from one backward to the next: start from zeros in each call")
    elif not _close(dx, check.dx):
        report.add("single_use", "a second backward after one forward returns another gradient: backward must only read "
                                 f"the cache{changed(check)}")
    for parameter, once, twice in zip(subject.weights, check.dw, dw, strict=True):
        has_told = any(finding.kind in ("single_use", "adds_up") for finding in report.general)
        if parameter.path not in replaced and not has_told and not _close([twice], [2 * once]):
            report.add("single_use", f"a second backward adds something else to the grad of {parameter.path!r} than the "
                                     f"first{changed(check)}")
    if not report.problems:
        check_plain_adds(check)


def check_plain_adds(check: Any) -> None:
    """A gradient in a plain array is made anew in each backward, or added to; a mixture of the two is neither."""
    subject = check.subject
    check.gradients(check.dy)
    once = {parameter.path: gradient for parameter, gradient in zip(subject.weights, check.dw, strict=True)}
    for one, got in subject.backward_without_clearing(check.copied_dy()):
        gradient = once[one.parameter.path]
        if not _close([got], [gradient]) and not _close([got], [2 * gradient]):
            times = float((got * gradient).sum()) / max(float((gradient ** 2).sum()), 1e-300)
            part = f", but {times:.6g} times it, as with momentum" if _close([got], [times * gradient]) else ""
            check.report.add("single_use", f"a second backward leaves in {one.source} neither its own gradient nor the sum of "
                                           f"both{part}")


def check_adds(check: Any) -> set[str]:
    """Backward adds to what is in `grad` already; the weights of which it replaces that are returned."""
    subject, found = check.subject, set()
    subject.restore()
    subject.forward()
    there = [check.rng.normal(size=parameter.shape) for parameter in subject.weights]
    for parameter, value in zip(subject.weights, there, strict=True):
        if isinstance(parameter.grad, np.ndarray):
            parameter.grad[...] = value
        else:                                           # in the memory of another device
            parameter.grad.set(value)
    _, dw = subject.backward(check.copied_dy())
    for parameter, value, once, got in zip(subject.weights, there, check.dw, dw, strict=True):
        adds, replaces = (np.isclose(got, wanted, rtol=1e-9, atol=1e-12) for wanted in (value + once, once))
        if (adds | replaces).all() and (replaces & (once != 0)).any():
            check.report.add("replaces_grad", f"backward replaces the grad of {parameter.path!r} (=) where it must add to it "
                                              f"(+=)")
            found.add(parameter.path)
    return found


def cached_arrays(layer: Any) -> dict[str, np.ndarray]:
    """Copies of the arrays that a layer keeps between forward and backward, by name."""
    found: dict[str, np.ndarray] = {}

    def walk(value: Any, name: str, depth: int) -> None:
        if isinstance(value, np.ndarray) and value.dtype != object:
            found[name] = value.copy()
        elif depth and isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{name}[{key!r}]" if name else str(key), depth - 1)
        elif depth and hasattr(value, "_fields"):
            for key in value._fields:
                walk(getattr(value, key), f"{name}.{key}", depth - 1)
        elif depth and isinstance(value, (list, tuple)):
            for key, item in enumerate(value[:50]):
                walk(item, f"{name}[{key}]", depth - 1)
        elif depth and hasattr(value, "__dataclass_fields__"):
            for key in value.__dataclass_fields__:
                walk(getattr(value, key, None), f"{name}.{key}", depth - 1)

    own = {key: value for key, value in vars(layer).items() if not key.startswith("_")}
    with contextlib.suppress(AttributeError, RuntimeError):         # none, or none any more
        own["cache"] = layer.cache
    for key, value in own.items():
        walk(value, key, 3)
    return found


def changed(check: Any) -> str:
    """Which of the arrays that forward kept backward has changed: " (it changes cache.h)"."""
    now = cached_arrays(check.subject.layer)
    names = [name for name, before in check.kept.items() if name not in now or not same([now[name]], [before])]
    return f" (it changes {', '.join(names[:4])})" if names else ""


def check_after_another_forward(check: Any) -> None:
    """The gradient must be that of the last forward, whatever was computed before it."""
    subject = check.subject
    subject.restore()
    subject.stir()
    try:
        subject.other_weights()
        if subject.other_signs is not None:
            subject.forward(subject.other_signs, is_other=True)
            subject.backward(check.copied_dy())
        subject.forward(subject.other)
        subject.backward(check.copied_dy())
    except Exception:                                   # other numbers may be none that this layer takes
        return
    subject.restore_weights_and_chance()
    if not same(subject.forward(), check.y):            # a stateful layer, which is allowed to remember
        return
    dx, dw = subject.backward(check.copied_dy())
    told = {finding.kind for finding in check.report.general}
    if not _close([*dx, *dw], [*check.dx, *check.dw]) and not told & {"adds_up", "single_use"}:
        check.report.add("stale", "after a forward on other inputs the gradient is another one: backward uses what that "
                                  "earlier forward kept (a stale cache)")


def check_linear(check: Any) -> None:
    """A gradient is linear in dy: what is small stays in proportion, what is zero stays zero, signs turn."""
    if any(finding.kind == "changes_weight" for finding in check.report.general):
        return
    once = check.gradients(check.dy)
    if not _close(once, [*check.for_each(check.dx), *check.dw]):
        return                                          # said already: it changes from call to call
    small = check.gradients([1e-3 * dy for dy in check.dy])
    idle = check.gradients([0 * dy for dy in check.dy])
    minus = check.gradients([-dy for dy in check.dy])
    lines = [(a, b, c, z) for a, b, c, z in zip(once, small, minus, idle, strict=True) if a is not None and a.size
             and np.isfinite(a).all()]
    lines = [line for line in lines if all(part is not None for part in line)]
    in_line = [near(b - z, 1e-3 * (a - z), a - z) and near(c - z, z - a, a - z) for a, b, c, z in lines]
    check.is_linear = all(in_line)
    if check.is_linear:
        return
    if all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c, _ in lines):
        check.report.add("ignores_dy", "backward gives the same gradient whatever dy is: it does not use dy, which the "
                                       "layers behind it send back")
        return
    if text := clipping.clipped(check):
        check.report.add("clipped", text)
        return
    rounded = [near(b - z, 1e-3 * (a - z), a - z, 1e-5) and near(c - z, z - a, a - z, 1e-5) for a, b, c, z in lines]
    if all(rounded):                                    # check_precision says more
        check.is_linear = True
        return
    if text := _of_one_sign(check):
        check.report.add("not_linear", text)
        return
    names = [name for name, fits in zip(_names(check, once), in_line, strict=False) if not fits]
    turned = all(near(c - z, z - a, a - z) for a, b, c, z in lines)
    how = "for -dy it is not the gradient with its sign turned"
    if turned:
        how = "a thousandth of dy does not give a thousandth of the gradient"
    check.report.add("not_linear", f"backward is not linear in dy: {how} ({', '.join(names)})")


def _of_one_sign(check: Any) -> str:
    """Whether what comes from the elements of dy above 0, or from those below 0, is dropped."""
    once = [g for g in check.gradients(check.dy) if g is not None and g.size]
    parts = [[g for g in check.gradients([np.where(sign * dy > 0, dy, 0.0) for dy in check.dy]) if g is not None and g.size]
             for sign in (1, -1)]
    for words, kept, dropped in (("below", *parts), ("above", *parts[::-1])):
        if _close(kept, once) and not any(map(np.any, dropped)) and any(map(np.any, kept)):
            return (f"backward is not linear in dy: elements of dy {words} 0 have no effect. A mask made from dy stands where "
                    "one made from forward's input or output belongs")
    return ""


def _names(check: Any, gradients: Sequence[Any]) -> list[str]:
    names = [*check.subject.names, *(parameter.path for parameter in check.subject.weights)]
    names = names if len(names) == len(gradients) else [str(k) for k in range(len(gradients))]
    return [name for name, g in zip(names, gradients, strict=True) if g is not None and g.size]


def forgive_single_points(check: Any) -> None:
    """A note, where backward gives 0 at a number such as one that means "masked" and is right at all numbers near it."""
    subject = check.subject
    where = {name: evidence.wrong for name, evidence in check.evidence.items()
             if not evidence.tensor.is_weight and evidence.right and not any(map(evidence.analytic, evidence.wrong))}
    if not where:
        return
    rng = np.random.default_rng(5)
    leaves = [leaf + 1e-3 * rng.normal(size=leaf.shape) if leaf.dtype.kind == "f" else leaf for leaf in subject.leaves]
    try:
        verdicts = check.again(at(subject, leaves=leaves), rng).verdicts(where)
    except Exception:                                   # then it stays a finding
        return
    finally:
        subject.restore()
    for name in [name for name, is_right in verdicts.items() if is_right]:
        evidence = check.evidence.pop(name)
        evidence.report.findings.clear()
        evidence.report.set_aside(where[name], evidence.numeric, evidence.tensor.gradient)
        check.report.notes.append(f"{name}: 0 at {len(where[name])} elements, where forward's slope is another, but right at "
                                  "all numbers near theirs: not counted, as with a value that means \"masked\"")


def check_elsewhere(check: Any) -> None:
    """All right so far: is it so for truly other numbers too? Other inputs, signs, winners, ids, masks, weights and dy."""
    given, most = check.settings.dy, 200 if check.has_time() else 12
    others = [(check.again(elsewhere(check.subject), check.rng, most, given), "other numbers than those given (inputs in "
               "another order, other masks and ids, weights changed by up to two fifths); with those given")]
    if given is not None:
        others.append((check.again(check.subject, check.rng, most), "a random dy; with the one given"))
    for other, words in others:
        other.deadline = check.deadline
        if _finds_faults(other):
            _take_over(check, other)
            check.report.notes.append(f"all of this shows with {words} every gradient is right")
            return
    if check.subject.other_signs is not None:
        _note_other_signs(check)


def _note_other_signs(check: Any) -> None:
    """A note, where gradients are wrong for inputs of the sign that those given do not have; a layer may be made for one."""
    subject = check.subject
    other = check.again(at(subject, subject.other_signs, None, subject.other_kwargs, subject.other_args), check.rng)
    is_wrong = _finds_faults(other)
    subject.restore()
    wrong = [tensor.name for tensor in other.report.tensors if not tensor.passed and tensor.relative_error > 1e-3]
    if is_wrong and wrong:
        one_sign = [name for name, leaf in zip(subject.names, subject.leaves, strict=True) if of_one_sign(leaf)]
        what = "the gradient of" if len(wrong) == 1 else "the gradients of"
        verb = "is" if len(wrong) == 1 else "are"
        check.report.notes.append(f"all numbers of {', '.join(one_sign)} have one sign: with the other sign {what} "
                                  f"{', '.join(wrong)} {verb} wrong. If such numbers occur, check with them")


def _finds_faults(other: Any) -> bool:
    """Run this check; whether it has anything to say."""
    try:
        other.check_values()
    except Exception:                                   # other numbers may be none that this layer takes
        return False
    tells_nothing = all(finding.kind == "nothing_checked" for finding in other.report.findings)
    return not tells_nothing and not any(finding.kind in ("nan", "random") for finding in other.report.general)


def _take_over(check: Any, other: Any) -> None:
    """Let a check go on with what another one found."""
    check.report.general, check.report.tensors, check.evidence = other.report.general, other.report.tensors, other.evidence
    for name in ("y", "dy", "dx", "dw", "outputs", "subject", "given", "is_linear"):
        setattr(check, name, getattr(other, name))
    for evidence in check.evidence.values():
        evidence.check = check


def nothing_checked(check: Any) -> None:
    """A check that compared no number proves nothing."""
    subject = check.subject
    why = ("it has no input of floating numbers and no weights" if not any(leaf.dtype.kind == "f" for leaf in subject.leaves)
           and not subject.weights else "no input and no weight has a gradient to compare")
    check.report.add("nothing_checked", f"nothing was checked: {why}")


def first(bad: np.ndarray) -> list[int]:
    """The first place that is true."""
    return [int(i) for i in np.argwhere(bad)[0]]


def same(values: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Whether two lists hold the same arrays, NaN at the same places included."""
    return len(values) == len(others) and all(a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
                                              for a, b in zip(values, others, strict=True))


def _close(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Equal but for the order of a parallel sum."""
    def close(a: Any, b: Any) -> bool:
        if a is None or b is None or a.shape != b.shape:
            return a is b
        largest = float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))
        return np.allclose(a, b, rtol=1e-9, atol=1e-12 * largest, equal_nan=True)
    return len(values) == len(others) and all(map(close, values, others))
