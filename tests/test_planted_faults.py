"""Faults planted in right layers: each one shows without the checker, is caught by it, and is called by its name.

Every right layer is run here, and an evenly spread third of the faults, with every kind and every layer among them. All of the
faults: `python -m tests.planted`.
"""
import functools

import numpy as np
import pytest

from nblayers import gradcheck
from tests import planted
from tests.planted import _plain

pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")]

RIGHTS = planted.rights()
SLOW = {"encoder_decoder", "gates_lstm", "peephole_lstm", "conv_lstm", "lstm", "conv_rnn"}      # more than a second for a check

UNNAMED = {                             # what no black box can name, and why
    "learned_scale-7": "where the softmax has one element forward does not depend on the scores at all",
    "lstm-27": "forward has another function before y, so that all gradients are wrong through all outputs",
    "lstm-28": "the same",
}


def sample(cases):
    """Every third fault (of slow layers every twelfth), then one of each kind and of each layer that is not among them."""
    chosen = [case for k, case in enumerate(cases) if k % (12 if case.fault.layer in SLOW else 3) == 0]
    kinds = {case.fault.expected[0].kinds[0] for case in chosen}
    layers = {case.fault.layer for case in chosen}
    for case in cases:
        kind = case.fault.expected[0].kinds[0]
        if kind not in kinds or case.fault.layer not in layers:
            chosen.append(case)
            kinds.add(kind)
            layers.add(case.fault.layer)
    return chosen


CASES = sample(planted.planted())
BEHAVIOUR = {"changes_input", "changes_dy", "changes_output", "changes_weight", "single_use", "adds_up", "replaces_grad",
             "stale", "random", "float32"}


def call(layer, inputs, options, right, seed=1):
    """The layer's call with other numbers than those that the checker sees."""
    takes = right.forward_options
    given = {name: options[name] for name in takes if name in options}
    return _plain.Call(layer, inputs(np.random.default_rng(11)), given, seed)


def story(layer, inputs, options, right):
    other = (right.other or inputs)(np.random.default_rng(12))
    return list(call(layer, inputs, options, right).story(other))


@functools.cache
def right_story(name):
    right = RIGHTS[name]
    return story(right.layer, right.inputs, right.options, right)


@pytest.mark.parametrize("name", RIGHTS)
def test_a_right_layer_is_right(name):
    right = RIGHTS[name]
    assert call(right.layer, right.inputs, right.options, right).wrong() == []
    assert not any(isinstance(value, str) for told in right_story(name) for value in told)


@pytest.mark.parametrize("name", RIGHTS)
def test_a_right_layer_passes(name):
    right = RIGHTS[name]
    assert gradcheck(right.layer(), *right.inputs(np.random.default_rng(0)), **right.options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_shows(case):
    """Without the checker: by plain differences, or in what the right layer and the wrong one give for the same numbers."""
    wrong = call(case.wrong, case.inputs, case.options, case.right)
    if "tie" in case.fault.kinds:
        assert not wrong.fits_all_together()
        return
    if "kink" in case.fault.kinds:
        assert wrong.wrong()
        return
    told = list(wrong.story((case.right.other or case.inputs)(np.random.default_rng(12))))
    was = right_story(case.fault.layer) if case.fault.inputs is None and case.fault.options is None \
        else story(case.right.layer, case.inputs, case.options, case.right)
    if case.fault.kinds & BEHAVIOUR:
        assert len(told) != len(was) or not all(map(_plain.same, told, was))
    elif _plain.same(told[0], was[0]):
        assert not _plain.same(told[1], was[1])             # one forward, another gradient
    else:
        assert wrong.wrong()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_named(case):
    report = gradcheck(case.wrong(), *case.inputs(np.random.default_rng(0)), raise_error=False, **case.options)
    assert not report, f"{case.name} passes"
    if case.name in UNNAMED:
        assert not case.untrue(report), report
        return
    assert not case.missing(report), f"{case.name}: {case.fault.new!r}\n{report}"
    assert not case.untrue(report), f"{case.name}: {case.fault.new!r}\n{report}"


def test_the_sample_is_large_and_of_every_kind():
    cases = planted.planted()
    assert len(CASES) >= 350
    assert {case.fault.layer for case in CASES} == {case.fault.layer for case in cases}
    assert {case.fault.expected[0].kinds[0] for case in CASES} == {case.fault.expected[0].kinds[0] for case in cases}
    assert len(UNNAMED) <= 0.05 * len(cases)
