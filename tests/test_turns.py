"""The learner's turns: questions in a lesson, answers judged, in the stepper and in a notebook."""
import pytest

from nblayers.learn import catalogue, script


def questions(source):
    return [step for step in script.parse(source).steps() if step.question is not None]


@pytest.mark.parametrize("source, text, judged, is_guess, shown, line", [
    ("# ? dL/do\ndo = 1", "dL/do", ("do",), False, "do = 1", 2),
    ("x = 0\n\n# a remark\n# ? one\n# ? two\na, (b, *c) = 1, (2, 3)\n# after", "a remark\none\ntwo", ("a", "b", "c"), False,
     "a, (b, *c) = 1, (2, 3)\n# after", 6),
    ("# ? add\nx += 1\ny = 2", "add", ("x",), False, "x += 1", 2),
    ("# ? row\nx[t], y = 1, 2", "row", ("x", "y"), False, "x[t], y = 1, 2", 2),
    ("# ? [da, dh] the walk\nfor t in x:\n    da[t] = 1", "the walk", ("da", "dh"), False, "for t in x:\n    da[t] = 1", 2),
    ("# ? [f] a function\n@deco\ndef f():\n    pass", "a function", ("f",), False, "@deco\ndef f():\n    pass", 2),
    ("# ? guess: how much?\nlost = 15", "how much?", ("lost",), True, "lost = 15", 2),
    ("# ? two\na = 1; b = 2", "two", ("a", "b"), False, "a = 1; b = 2", 2),
])
def test_questions_are_read(source, text, judged, is_guess, shown, line):
    step, = questions(source)
    assert (step.question.text, step.question.judged, step.question.is_guess) == (text, judged, is_guess)
    assert (step.source, step.line) == (shown, line) and not script.wrong_markers(script.parse(source))


def test_a_marked_statement_is_a_step_of_its_own():
    steps = script.parse("assert a\n# ? [x] why\nassert b\nassert c").steps()
    assert [step.source for step in steps] == ["assert a", "assert b", "assert c"]
    unmarked = script.parse("# what is this?\nx = 1\n#? no\ny = 2").steps()
    assert [step.question for step in unmarked] == [None, None] and unmarked[0].source == "# what is this?\nx = 1"


@pytest.mark.parametrize("source, message", [
    ("x = 1\n# ? nothing below", "line 2"), ("# ? a blank line\n\nx = 1", "line 1"), ("# ? q\n# no question\nx = 1", "line 1"),
    ("for i in x:\n    # ? inside\n    y = 1", "line 2"), ("# ? call\nf(1)", "judges no names"),
    ("# ? block\nif x:\n    y = 1", "judges no names"), ("# ? attribute\na.b = 1", "judges no names"),
])
def test_wrong_markers_are_found(source, message):
    wrong, = script.wrong_markers(script.parse(source))
    assert message in wrong


@pytest.mark.parametrize("path", catalogue.lessons(), ids=[path.stem for path in catalogue.lessons()])
def test_every_marker_of_a_lesson_is_right(path):
    assert script.wrong_markers(script.read(path)) == []
