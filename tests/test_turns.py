"""The learner's turns: questions in a lesson, answers judged, in the stepper and in a notebook."""
import contextlib
import io
import os
import re

import numpy as np
import pytest
from helpers import came_to_its_end
from rich.console import Console

from nblayers.learn import asking, catalogue, exercises, script, session, tools, turns, variants
from nblayers.notebook import in_notebook

LESSON = '''
# %% [markdown]
# # 99 · A small lesson

# %%
import numpy as np

from nblayers.learn.tools import check_derivative

N, T, H = 2, 3, 2
rng = np.random.default_rng(0)
h = rng.normal(size=(N, T, H))
dy = rng.normal(size=(N, T, H))
U = np.array([[1.0, 2.0], [-1.0, 0.5]])
slope = 1 - np.tanh(h) ** 2


def loss(U):
    return np.sum(dy[:, 0] * np.tanh(h[:, 0] @ U))


# ? guess: how many numbers has dy?
count = 12

# ? da, the gradient of the pre-activation
da = dy[:, 0] * (1 - np.tanh(h[:, 0] @ U) ** 2)
# ? dU, from a = h U
dU = h[:, 0].T @ da
check_derivative("dU", dU, loss, U)

# ? db, the same with a bias
db = da.sum(axis=0)

# the walk
kept = np.zeros((N, T, H))
dh_next = np.zeros((N, H))
again = kept
# ? [kept, dh_next] the walk back through time
for t in reversed(range(T)):
    dh = dy[:, t] + dh_next
    kept[:, t] = dh * slope[:, t]
    dh_next = kept[:, t] @ U.T

# ? [twice] a function that doubles
def twice(v):
    return 2 * v

# ? the total
total = float(kept.sum())
# ? add the norm
total += 1.5
print(dy.size == count, twice(total))
'''.lstrip()

CHECKS = '''
import numpy as np

from nblayers.learn.exercises import Wrong


def turn_da(lesson):
    return {"the slope is forgotten": lesson.dy[:, 0]}


def turn_dU(lesson):
    return {"that is its transpose": lesson.dU.T}


def turn_db(lesson):
    return {"the sum over the batch is missing": lesson.da, "it is a mean": lesson.db / lesson.N}


def turn_kept(lesson):
    alone = lesson.dy * lesson.slope
    return {"kept": {"nothing comes back from the step after": alone}, "dh_next": {"zero": 0 * lesson.dh_next}}


def turn_twice(lesson, given):
    if given(3) != 6:
        raise Wrong(f"twice(3) should be {lesson.twice(3)}, but is {given(3)}")


def turn_total(lesson):
    return {"a mean": lesson.kept.mean()}


def turn_total_2(lesson):
    return {"nothing is added": lesson.total - 1.5}
'''


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(LESSON, encoding="utf-8")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "small.py").write_text(CHECKS, encoding="utf-8")
    return path


@pytest.fixture
def at(lesson):
    """A session that stands before the turn of a check's name."""
    run = session.Session(script.read(lesson))
    names = turns.check_names(run.script)

    def go(name):
        while names.get(run.upcoming.line) != name and not (run.upcoming.question and name in run.upcoming.question.judged):
            run.next()
        return turns.Turn(run)
    with run.as_main():
        yield go


def questions(source):
    return [step for step in script.parse(source).steps() if step.question is not None]


@pytest.mark.parametrize("source, text, judged, is_guess, shown, line", [
    ("# ? dL/do\ndo = 1", "dL/do", ("do",), False, "do = 1", 2),
    ("x = 0\n\n# a remark\n# ? one\n# ? two\na, (b, *c) = 1, (2, 3)\n# after", "a remark one two", ("a", "b", "c"), False,
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


@pytest.mark.parametrize("name, text", [
    ("da", "dy[:, 0] * (1 - np.tanh(h[:, 0] @ U) ** 2)"), ("da", "da = (1 - np.tanh(h[:, 0] @ U) ** 2) * dy[:, 0]"),
    ("da", "a = np.tanh(h[:, 0] @ U)\nda = dy[:, 0] * (1 - a * a)"),
    ("da", "(dy[:, 0] * (1 - np.tanh(h[:, 0] @ U) ** 2)).tolist()"),
    ("dU", "dU = np.zeros_like(U)\nfor n in range(N):\n    dU += np.outer(h[n, 0], da[n])"),
    ("kept", "d = 0\nfor t in (2, 1, 0):\n    kept[:, t] = (dy[:, t] + d) * slope[:, t]\n    d = kept[:, t] @ U.T\n"
     "dh_next = d"),
    ("twice", "def twice(v):\n    return v + v"), ("twice", "lambda v: v + v"),
    ("total", "np.sum(kept)"), ("total", "kept.sum() + 0"),
    ("total_2", "total + 1.5"), ("total_2", "1.5"), ("total_2", "total += 3 / 2"), ("total_2", "total = total + 1.5"),
])
def test_right_answers(at, name, text):
    turn = at(name)
    verdict = turn.answer(text)
    assert (verdict.state, verdict.message) == ("right", "")
    right = turn.right()
    turn.go_on(verdict)
    space = turn.session.namespace
    for judged, value in right.items():
        if not callable(value):
            assert type(space[judged]) is type(value) and np.allclose(space[judged], value)
    assert space.get("again") is space.get("kept")


@pytest.mark.parametrize("name, text, message", [
    ("da", "dy[:, 0]", "da: the slope is forgotten"),
    ("da", "-dy[:, 0] * (1 - np.tanh(h[:, 0] @ U) ** 2)", "da is not right: the sign is flipped."),
    ("da", "dy[:, 0] / 2 * (1 - np.tanh(h[:, 0] @ U) ** 2)", "half as large as it should be (1/2, the batch size: divided"),
    ("da", "dy * 0", "da should have shape (2, 2), but it has shape (2, 3, 2)"),
    ("da", "[1, 2]", "da should have shape (2, 2), but it has shape (2,): its first axis is missing. Is that"),
    ("da", "3", "but it is a single number"),
    ("da", "np.zeros((2, 2))", "all zeros"), ("da", "'x'", "should be numbers"), ("da", "np.full((2, 2), np.nan)", "NaN"),
    ("da", "'x' + ", "SyntaxError: invalid syntax"), ("da", "unknown * 2", "NameError: name 'unknown' is not defined"),
    ("da", "x = 1\nda = x / 0", "ZeroDivisionError in line 2, 'da = x / 0': division by zero"),
    ("dU", "(h[:, 0].T @ da).T", "dU: that is its transpose"), ("db", "da", "the sum over the batch is missing"),
    ("dU", "np.where([[1, 0], [0, 0]], 7, h[:, 0].T @ da)", "dU[0, 0] is 7, but should be"),
    ("dU", "h[:, 0].T @ da + [[1], [0]]", "wrong only at [0, 0], [0, 1]. dU[0, "),
    ("db", "da.mean(axis=0)", "it is a mean"), ("kept", "kept = dy * slope", "kept: nothing comes back"),
    ("kept", "kept[:] = 1\ndh_next = dh_next", "kept["), ("kept", "kept, dh_next = 1, 2, 3", "ValueError"),
    ("kept", "right = kept.copy()\ndel dh_next", "dh_next is not assigned yet"),
    ("kept", "for t in (2, 1, 0):\n    kept[:, t] = (dy[:, t] + dh_next) * slope[:, t]\n    dh_next = 2 * kept[:, t] @ U.T",
     "wrong only at 0-1 of axis 1 (size 3)"),
    ("twice", "def twice(v):\n    return 3 * v", "twice(3) should be 6, but is 9"), ("twice", "3", "should be a function"),
    ("twice", "def twice(v):\n    return v.nothing", "twice raised AttributeError in line 2"),
    ("twice", "def twice(v):\n    2 * v", "is there a `return` missing?"), ("total", "7", "total is 7, but should be"),
    ("total_2", "total", "nothing is added"),
])
def test_wrong_answers_are_told_and_leave_no_trace(at, name, text, message):
    turn = at(name)
    space = turn.session.namespace
    names, kept = set(space), space["kept"].copy() if "kept" in space else None
    verdict = turn.answer(text)
    assert verdict.state in ("wrong", "error") and message in verdict.message and "\n" not in verdict.message
    assert set(space) == names and (kept is None or np.array_equal(space["kept"], kept))
    assert turn.session.upcoming is turn.step


@pytest.mark.parametrize("name, text, message", [
    ("da", "dy[:, 0] * (1 - np.tanh(h[:, 0] @ U))", "da: a power is missing: np.tanh(h[:, 0] @ U) ** 2"),
    ("da", "1 - np.tanh(h[:, 0] @ U) ** 2", "da: a factor is missing: dy[:, 0]"),
    ("da", "dy[:, 0] * np.tanh(h[:, 0] @ U) ** 2", "da["),                        # no term is missing: its sign is turned too
    ("da", "dy[:, 1] * (1 - np.tanh(h[:, 0] @ U) ** 2)", "da: an index is another one: dy[:, 0]"),
    ("da", "dy[:, 0] * (1 + np.tanh(h[:, 0] @ U) ** 2)", "da: a sign is turned: 1 - np.tanh(h[:, 0] @ U) ** 2"),
    ("dU", "h[:, 0] @ da", "dU: a transpose is missing: h[:, 0].T"),
    ("dU", "dy[:, 0].T @ da", "dU: one array stands where another belongs: h, not dy"),
    ("kept", "for t in (2, 1, 0):\n    kept[:, t] = dy[:, t] * slope[:, t] + dh_next\n    dh_next = kept[:, t] @ U.T",
     "kept is not right"),
    ("kept", "for t in (2, 1, 0):\n    kept[:, t] = (dy[:, t] + dh_next) * slope[:, t]\n    dh_next = dy[:, t] @ U.T", "kept"),
    ("total_2", "-5", "total is -5, but should be"),
])
def test_a_changed_line_is_known_by_its_numbers(at, name, text, message):
    verdict = at(name).answer(text)
    assert verdict.state == "wrong" and verdict.message.startswith(message)
    assert message in verdict.first or verdict.first in f"{message.rpartition(': ')[0]}."


@pytest.mark.parametrize("name, text, message", [
    ("dU", "da @ h", "the shapes (2, 2) and (2, 3, 2) in da @ h do not fit: a product with @ needs as many columns at "
                     "the left (2) as rows at the right (3)"),
    ("dU", "dU = 0\ndU = (da * dy[0]) @ da", "in line 2, 'dU = (da * dy[0]) @ da': the shapes (2, 2) and (3, 2) in da *"),
    ("dU", "np.ones((2, 8)) @ np.ones((3, 8))", "left (8) as rows at the right (3). Should one of the two be transposed?"),
    ("dU", "h[:, 0].T @ 2", "a single number is multiplied with *"),
    ("dU", "np.reshape(da, 3)", "ValueError: cannot reshape"),
])
def test_shapes_that_do_not_fit_are_told_in_words(at, name, text, message):
    verdict = at(name).answer(text)
    assert verdict.state == "error" and message in verdict.message and "gufunc" not in verdict.message


def test_the_first_wrong_try_does_not_hand_over_the_answer(lesson):
    shown, _ = talk(lesson, *until(lesson, "da"), "1 - np.tanh(h[:, 0] @ U) ** 2", "1 - np.tanh(h[:, 0] @ U) ** 2")
    assert shown.count("da: a factor is missing.") == 1 and shown.count("da: a factor is missing: dy[:, 0]") == 1
    assert shown.index("missing.") < shown.index("missing: dy")


def test_what_goes_on_are_the_lessons_numbers_and_the_learners_names(at):
    turn = at("da")
    turn.go_on(turn.answer("a = np.tanh(h[:, 0] @ U)\nh = h.copy()\nda = (dy[:, 0] * (1 - a * a)).astype('float32')"))
    space = turn.session.namespace
    assert "a" in space and space["da"].dtype == np.float64 and {change.name for change in turn.session.changed} >= {"da", "a"}
    assert not np.array_equal(space["da"], space["da"].astype("float32"))       # not rounded as the learner's
    turn.session.back()
    assert "a" not in space and "da" not in space and turn.session.upcoming is turn.step


def test_what_a_walk_overwrites_is_not_at_hand(at):
    turn = at("kept")
    turn.session.look("dh = dy[:, 0]; t = 5")
    assert {"dh", "t"}.isdisjoint(name for name, _ in turn.at_hand())


@pytest.mark.parametrize("source, written", [
    ("x = x + 1", set()), ("x += 1", set()), ("for t in r:\n    dh = y[t] + back\n    back = dh @ U", {"t", "dh"}),
    ("a, b = b, 1", {"a"}), ("c = [i for i in a]", {"c", "i"}), ("x[0] = 1", set()),
    ("def f(v):\n    return v + y\ny = f(1)", {"f"}),
])
def test_what_is_written_before_it_is_read(source, written):
    assert script.names_written_first(script.ast.parse(source).body) == written


@pytest.mark.parametrize("source, read", [
    ("check('dx', dx, lambda x: f(x * y), x)", {"check", "dx", "f", "y", "x"}), ("total += x", {"total", "x"}),
    ("def f(x, n=m):\n    y = x\n    return y * k", {"m", "k"}), ("g = lambda x: x", set())])
def test_what_is_read(source, read):
    assert script.names_read(script.ast.parse(source).body) == read


def test_what_is_at_hand(at):
    assert [name for name, _ in at("da").at_hand()] == ["dy", "h", "U"]
    assert [name for name, _ in at("dU").at_hand()] == ["da", "h", "loss", "U"]
    assert [name for name, _ in at("kept").at_hand()] == ["dh_next", "dy", "kept", "slope", "T", "U"]


@pytest.mark.parametrize("guess, truth, told", [
    ("12", 12, "exactly right"), ("10", 12, "off by 2"), ("1e-3", 1e-5, "2 powers of ten"),
    ("11.5", 12, "close, off by 0.5"), ("1e-3", 1e-15, "12 powers of ten too large"),
    ("1", 1000, "3 powers of ten too small"), ("yes", True, "right"),
    ("no", True, "the other way round"), ("'W'", "W", "right"), ("keras", "Keras", "right"),
    ("U", "W", "another one"), ("-5", 5, "off by 10"), ("3", "W", "another one"), ("0", 4.0, "off by 4"),
])
def test_guesses(guess, truth, told):
    run = session.Session(script.parse(f"# ? guess: what?\nanswer = {truth!r}\n"))
    with run.as_main():
        verdict = turns.Turn(run).guess(guess)
    assert verdict.state == "guess" and told in turns.held_against(verdict.own["answer"], truth)


def talk(path, *lines, width=90):
    """What the stepper shows when these lines are typed."""
    console = Console(record=True, file=io.StringIO(), width=width, force_terminal=True, highlight=False)
    typed = iter(lines)

    def ask(prompt):
        console.print(prompt, end="", markup=False)
        line = next(typed, None)
        if line is None:
            raise EOFError
        console.print(line, markup=False)
        return line
    stepper = asking.AskingStepper(session.Session(script.read(path)), console, ask)
    stepper.run()
    return console.export_text().replace("\N{NO-BREAK SPACE}", " "), stepper


def until(path, name):
    """A line that brings the stepper to the question for `name`."""
    steps = script.read(path).steps()
    at = next(i for i, step in enumerate(steps) if step.question and name in step.question.judged)
    return [f"go {at + 1}"]


def test_a_question_is_asked_before_its_line_is_shown(lesson):
    shown, stepper = talk(lesson, *until(lesson, "da"), "")
    assert "da, the gradient of the pre-activation" in shown and "da = ?" in shown and "dy (2, 3, 2)" in shown
    assert "Once more Enter shows the line" in shown and "da = dy" not in shown and stepper.session.upcoming.question
    shown, stepper = talk(lesson, *until(lesson, "da"), "", "")
    assert "da = dy[:, 0] *" in shown and "da" in stepper.session.namespace and stepper.written == set()


def test_a_right_answer_is_checked_by_the_derivative(lesson, capsys):
    shown, stepper = talk(lesson, *until(lesson, "dU"), "da.T @ h[:, 0]", "dU = h[:, 0].T @ da  # mine")
    assert "that is its transpose" in shown and "✓ Right." in shown and "The lesson writes" not in shown
    assert "dU agrees with the numerical derivative" in capsys.readouterr().out
    assert stepper.session.upcoming.question.judged == ("db",) and len(stepper.written) == 1
    shown, _ = talk(lesson, *until(lesson, "dU"), "np.matmul(h[:, 0].T, da)")
    assert "The lesson writes" in shown and "dU = h[:, 0].T @ da" in shown


def test_a_question_is_asked_as_soon_as_it_comes(lesson):
    """Whoever types at once has answered."""
    position = int(until(lesson, "da")[0].split()[1])
    shown, _ = talk(lesson, f"go {position - 1}", "", "", "dy[:, 0]", "dU = 3")
    assert shown.count("da = ?") == 1 and "da: the slope is forgotten" in shown and f"step {position} of 22" in shown
    shown, _ = talk(lesson, f"go {position - 1}", "7", "for t in (0, 1):", "    da = t", "")
    assert "Kept: 7." in shown and "✗ da should have shape" in shown and "IndentationError" not in shown


def test_lines_that_go_on_begin_below_the_first(lesson):
    shown, _ = talk(lesson, *until(lesson, "kept"), "for t in (2, 1, 0):", "    pass", "")
    first, second = (line for line in shown.split("\n") if "for t in (2" in line or "    pass" in line)
    assert first.startswith("your turn > for") and second == "      ... >     pass"


def test_going_over_turns_is_told(lesson):
    shown, stepper = talk(lesson, *until(lesson, "db"))
    [back] = until(lesson, "da")
    assert f"That passed over 2 of your turns. {back} goes back to the first of them." in shown
    shown, stepper = talk(lesson, *until(lesson, "db"), back)
    assert stepper.is_open and stepper.turn.question.judged == ("da",)


def test_all_judged_names_are_shown(lesson):
    shown, _ = talk(lesson, *until(lesson, "kept"))
    assert "kept = ?   dh_next = ?   (both are judged)" in shown


def test_the_source_of_a_typed_function_is_shown(lesson, capsys):
    lines = ["def twice(v):", "    return v + v  # mine", "", "def other(v):", "    return v", ""]
    _, stepper = talk(lesson, *until(lesson, "twice"), *lines)
    tools.show_source(stepper.session.namespace["twice"], stepper.session.namespace["other"])
    shown = capsys.readouterr().out
    assert "typed by you, line 1" in shown and "return v + v  # mine" in shown and "def other" in shown


def test_looking_during_a_turn(lesson):
    lines = ["U", "da.shape", "p U + 100", "tanh = np.tanh(h)", "print(1)", "?", "into"]
    shown, stepper = talk(lesson, *until(lesson, "dU"), *lines)
    assert "101" in shown and "(2, 2)" in shown and "It is your turn" in shown and "is yours to write" in shown
    assert "✗" not in shown
    assert stepper.is_open and "tanh" in stepper.session.namespace


def test_a_name_that_is_a_known_mistake_is_shown_and_told(lesson):
    shown, _ = talk(lesson, *until(lesson, "da"), "dy[:, 0]", "dy[:, 1]")
    assert shown.count("float64 (2, 2)") >= 2 and shown.count("(As an answer it is wrong. da: the slope is forgotten)") == 1


def test_back_over_a_turn_asks_again(lesson):
    shown, stepper = talk(lesson, *until(lesson, "da"), "", "", "b", "")
    assert "Back before your turn" in shown and shown.count("da = ?") == 2 and stepper.is_open
    shown, stepper = talk(lesson, *until(lesson, "dU"), "b", "", "")
    assert shown.count("dU = ?") == 2 and shown.count("da = ?") == 1 and stepper.is_open


def test_blocks_end_with_an_empty_line(lesson):
    walk = ["d = np.zeros((N, H))", "for t in (2, 1, 0):", "    kept[:, t] = (dy[:, t] + d) * slope[:, t]",
            "    d = kept[:, t] @ U.T", "", "dh_next = d", ""]
    shown, stepper = talk(lesson, *until(lesson, "kept"), *walk)
    assert "✗ dh_next is not assigned yet" in shown             # the block ended before dh_next was assigned
    del walk[4]
    shown, stepper = talk(lesson, *until(lesson, "kept"), *walk)
    assert "✓ Right" in shown and stepper.session.upcoming.question.judged == ("twice",)
    shown, stepper = talk(lesson, *until(lesson, "twice"), "def twice(v):", "    return v + v", "")
    assert "✓ Right" in shown and stepper.session.namespace["twice"](1) == 2


def test_guesses_are_held_against_the_truth(lesson, capsys):
    shown, stepper = talk(lesson, *until(lesson, "count"), "10", "c")
    before, _, after = shown.partition("Your guess for count: 10. It is 12: off by 2.")
    assert "count = 12" not in before and "print(dy.size" in before and "You wrote 0 of 7." in after
    shown, stepper = talk(lesson, *until(lesson, "count"), "", "")
    assert stepper.session.upcoming.question.judged == ("da",) and "count = 12" not in shown
    shown, _ = talk(lesson, *until(lesson, "count"), "", "", "c")
    assert shown.count("count, of which you made no guess, is 12.") == 1


def write_all(path, but):
    """Talk through a lesson, writing its own lines at all turns but those for the names in `but`."""
    console = Console(record=True, file=io.StringIO(), width=90, force_terminal=True, highlight=False)
    waiting = []

    def ask(prompt):
        if waiting:
            return waiting.pop(0)
        if stepper.session.upcoming is None:
            raise EOFError
        if stepper.is_open and stepper.turn.question.judged[0] not in but:
            waiting[:] = stepper.turn.step.source.split("\n")
            waiting.extend([""] * isinstance(stepper.turn.step.nodes[0], turns.BLOCKS))
            return waiting.pop(0)
        return ""
    stepper = asking.AskingStepper(session.Session(script.read(path)), console, ask)
    stepper.run()
    return console.export_text()


def test_the_turns_are_counted(lesson):
    shown = write_all(lesson, {"db", "count"})
    assert "You wrote 6 of 7." in shown and shown.count("✓ Right.") == 6 and "The end of the lesson" in shown
    assert shown.index("You wrote") < shown.index("The end of the lesson") and "✗" not in shown
    assert "The lesson writes" not in shown


def code_cells(path, fill):
    """The code of a lesson's notebook, with `fill` {name: text} typed into the cells to fill in."""
    found = []
    for cell in script.notebook(script.read(path))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            for name, text in fill.items():
                if source.endswith("...") and (f"\n{name} = ..." in f"\n{source}" or f"\n{name}:" in source):
                    source = re.sub(r"(\w+ = )?\.\.\.$", "", source) + text
            found.append(source)
    return found


def run_cells(cells, again=()):
    """Run cells in one namespace, those that hold a text of `again` twice; what they leave."""
    space = {"__name__": "__main__"}
    for source in cells:
        for _ in range(1 + any(text in source for text in again)):
            exec(compile(source, "<cell>", "exec"), space)
    return space


def test_a_notebook_that_nobody_filled_in(lesson, capsys):
    import nbformat
    nbformat.validate(nbformat.reads(script.notebook_text(script.read(lesson)), as_version=4))
    space = run_cells(code_cells(lesson, {}))
    plain = {"__name__": "__main__"}
    exec(LESSON, plain)
    for name in ("da", "dU", "db", "kept", "dh_next", "total", "count"):
        assert np.array_equal(space[name], plain[name]), name
    assert space["twice"](4) == 8 and capsys.readouterr().out.count("not filled in yet") == 7


@pytest.mark.parametrize("line, cell", [
    ("dW = 1", "dW = ..."), ("a, b = 1, 2", "a = ...\nb = ..."), ("def f(x, y=1):\n    return f", "# def f(x, y=1):\nf = ..."),
    ("dW += 1", "begin_turn"), ("for t in x:\n    dW += t", "begin_turn"), ("for t in x:\n    dW[t] = 1", "begin_turn"),
    ("dW = dW + 1", "begin_turn"), ("dW[0] = 1", "begin_turn"),
])
def test_what_a_cell_to_fill_in_begins_with(line, cell):
    """A turn that reads what it changes must not begin by overwriting it."""
    source = f"# ? [{'a, b' if 'a, b' in line else 'f' if 'def' in line else 'dW'}] what\n{line}\n"
    sources = ["".join(part["source"]) for part in script.notebook(script.parse(source))["cells"]]
    assert [found.startswith(cell) for found in sources if found.endswith("...")] == [True]


def test_a_notebook_folds_its_answers(lesson):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in script.notebook(script.read(lesson))["cells"]]
    at = cells.index(("markdown", "**Your turn.** dU, from a = h U"))
    assert cells[at + 1] == ("code", "dU = ...") and cells[at + 2] == ("code", f"check_turn({str(lesson)!r}, 'dU', dU)")
    assert cells[at + 3][1].startswith("<details>") and "\ndU = h[:, 0].T @ da\n" in cells[at + 3][1]
    assert not any("h[:, 0].T @ da" in source for kind, source in cells if kind == "code")
    assert cells[at + 4] == ("code", "check_derivative(\"dU\", dU, loss, U)")


WALK = """
d = 0
for t in (2, 1, 0):
    kept[:, t] = (dy[:, t] + d) * slope[:, t]
    d = kept[:, t] @ U.T
dh_next = d
"""


def test_a_notebook_that_was_filled_in(lesson, capsys):
    fill = {"da": "da = (1 - np.tanh(h[:, 0] @ U) ** 2) * dy[:, 0]", "dU": "dU = da.T @ h[:, 0]", "db": "db = sum(da)",
            "# kept, dh_next": WALK, "twice": "twice = lambda v: v + v", "total": "total = np.sum(kept)", "guess": "guess = 10"}
    cells = [source.replace("check_derivative(\"dU\"", "0, (\"dU\"") for source in code_cells(lesson, fill)]
    space = run_cells(cells, again=("for t in (2, 1, 0)", "check_turn"))
    shown = capsys.readouterr().out
    assert shown.count("✗ dU: that is its transpose") == 2 and shown.count("✓ Right.") == 10
    assert "Your guess: 10. It is 12: off by 2." in shown and shown.count("not filled in yet") == 2
    assert space["again"] is space["kept"] and "d" in space


def test_a_wrong_walk_in_a_notebook_is_taken_back(lesson, capsys):
    wrong = {"# kept, dh_next": WALK.replace("U.T", "U")}
    cells = code_cells(lesson, wrong)
    at = next(i for i, source in enumerate(cells) if "for t in (2" in source)
    space = run_cells(cells[:at + 2])
    assert "✗ kept is not right" in capsys.readouterr().out and not space["kept"].any() and not space["dh_next"].any()
    for source in (cells[at].replace("@ U", "@ U.T"), cells[at + 1], cells[at].replace("@ U", "@ U.T"), cells[at + 1]):
        exec(source, space)
    assert capsys.readouterr().out == "✓ Right.\n✓ Right.\n" and space["again"] is space["kept"] and space["kept"].any()


def fill_in(cells, at, text):
    """Run the cell of a turn with `text` in it, and its check."""
    space = run_cells(cells[:at])

    def once(text=text):
        exec(re.sub(r"^\w+ = \.\.\.$", text, cells[at]), space)
        exec(cells[at + 1], space)
    return once


def test_a_notebook_helps_in_stages(lesson, capsys):
    (lesson.parent / "checks" / "small.py").write_text(CHECKS.replace("slope is forgotten", "slope is forgotten: 1 - tanh(a)²"))
    cells = code_cells(lesson, {})
    at = cells.index("da = ...")
    once = fill_in(cells, at, "da = dy[:, 0]")
    once()
    assert capsys.readouterr().out == "✗ da: the slope is forgotten.\n"
    once()
    assert capsys.readouterr().out == "✗ da: the slope is forgotten: 1 - tanh(a)²\n"
    once()
    shown = capsys.readouterr().out
    assert shown.startswith("✗ da: the slope is forgotten: 1 - tanh(a)²\n") and "    da = dy[:, 0] * (1 - np.tanh(" in shown
    once("da = dy[:, 0] * (1 - np.tanh(h[:, 0] @ U) ** 2)"), once()
    assert capsys.readouterr().out == "✓ Right.\n✗ da: the slope is forgotten.\n"


def test_a_notebook_that_is_left_empty_helps_in_stages(lesson, capsys):
    cells = code_cells(lesson, {})
    at = cells.index("dU = ...")
    once = fill_in(cells, at, "dU = ...")
    capsys.readouterr(), once()
    assert "dU: not filled in yet. The notebook goes on" in capsys.readouterr().out
    at_hand = "dU: not filled in yet. At hand: da (2, 2), h (2, 3, 2), loss(U), U (2, 2)\n"
    once()
    assert capsys.readouterr().out == at_hand
    run_cells(cells[:at + 2])                                   # all again: no new stage
    shown = capsys.readouterr().out
    assert shown.endswith(at_hand) and shown.count("At hand") == 1
    once()
    assert capsys.readouterr().out == at_hand + "The lesson's line:\n    dU = h[:, 0].T @ da\n"


def run_notebook(path, until=None):
    """What the cells of a lesson's notebook print in a kernel, if nobody fills anything in."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.reads(script.notebook_text(script.read(path)), as_version=4)
    notebook.cells = notebook.cells[:until]
    pytest.importorskip("nbclient").NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_a_notebook_in_a_kernel(lesson):
    lesson.write_text(lesson.read_text(encoding="utf-8") + "\n# %%\nfrom nblayers.notebook import in_notebook\n"
                      "print('a notebook:', in_notebook())\n", encoding="utf-8")
    shown = run_notebook(lesson)
    assert "a notebook: True" in shown and not in_notebook()
    assert shown.count("not filled in yet") == 7 and "dU agrees with the numerical derivative" in shown


@pytest.fixture(scope="module", params=catalogue.lessons(), ids=lambda path: path.stem)
def marked(request, tmp_path_factory):
    return request.param


LONG_ENDS = {"07", "08", "09", "10", "11", "19", "20"}   # they train for more than ten seconds; test_install runs 08


def test_every_turn_of_a_lesson(marked, tmp_path, monkeypatch, capsys):
    """In one pass: each is right by its own line, and each known mistake is told by its sentence."""
    monkeypatch.chdir(tmp_path)
    run = session.Session(script.read(marked))
    asked, end = 0, len(run.steps)
    stops_early = catalogue.number_of(marked) in LONG_ENDS and os.environ.get("NBLAYERS_TEST_ALL") != "1"
    if stops_early:
        end = 1 + max(i for i, step in enumerate(run.steps) if step.question is not None)
    with run.as_main():
        while run.position < end:
            step = run.upcoming
            if step.question is None or step.question.is_guess:
                asked += step.question is not None
                run.next()
                continue
            asked += 1
            turn = turns.Turn(run)
            verdict = turn.answer(step.source)
            assert verdict.state == "right", f"line {step.line}: {verdict.message}"
            told_every_mistake(turn)
            nothing_is_superfluous(turn)
            turn.go_on(verdict)
    assert asked >= 6
    if not stops_early:
        came_to_its_end(marked, tmp_path, capsys.readouterr().out)


def test_the_notebook_of_a_lesson(marked, tmp_path, monkeypatch):
    """To the last turn; what comes after it is code that was tried in one pass."""
    monkeypatch.chdir(tmp_path)
    sources = ["".join(cell["source"]) for cell in script.notebook(script.read(marked))["cells"]]
    checks = [i for i, source in enumerate(sources) if source.startswith(("check_turn(", "keep_guess("))]
    shown = run_notebook(marked, checks[-1] + 1)
    assert shown.count("not filled in yet") == sum(sources[i].startswith("check_turn(") for i in checks)


def parts(value, path=()):
    """What a function returned, and each part of it, with the way to it."""
    yield path, value
    if isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from parts(part, (*path, i))


def with_part(value, path, new):
    """What a function returned, with another part."""
    if not path:
        return new
    return type(value)(with_part(part, path[1:], new) if i == path[0] else part for i, part in enumerate(value))


class StandIn:
    """A CUDA kernel whose last argument, or a device function whose result, is what `more` makes of it."""

    def __init__(self, kernel, more):
        self.kernel, self.more, self.py_func = kernel, more, kernel.py_func

    def __getitem__(self, launch):
        def launched(*args):
            self.kernel[launch](*args)
            args[-1][...] = self.more(args[-1])
        return launched

    def __call__(self, *args):
        return self.more(self.kernel(*args))


def with_result(value, more):
    """A function or a kernel like `value`, whose results are what `more` makes of them."""
    return StandIn(value, more) if exercises.is_kernel(value) else lambda *args, **kwargs: more(value(*args, **kwargs))


def listed_mistakes(name, turn, right):
    """(call, way to the part of its result, sentence, wrong value) of all that a check compares with known mistakes."""
    results, found = [], []

    def recorded(result):
        results.append(result)
        return result

    def place(got):
        """Which call returned these numbers, and where in its result; and the shape that they had there, if it was another."""
        for call, result in reversed([*enumerate(results)]):
            for path, part in parts(result):
                if part is got or (not isinstance(part, (tuple, list)) and np.array_equal(np.ravel(got), np.ravel(part))):
                    return call, path, np.shape(part) if np.shape(part) != np.shape(got) else None
        return None

    def spy(got, want, label, mistakes=None, *args, **kwargs):
        tolerance, at = kwargs.get("tolerance", 1e-6), place(got)
        for sentence, wrong in (mistakes or {}).items() if at else ():
            if np.shape(wrong) != np.shape(want) or not np.allclose(wrong, want, tolerance, tolerance):
                found.append((*at[:2], sentence, np.reshape(wrong, at[2]) if at[2] else wrong))
        return compare(got, want, label, mistakes, *args, **kwargs)

    compare, module = exercises.expect_close, exercises.checks_module(turn.session.script.path)
    with turn.session.trial() as space, pytest.MonkeyPatch.context() as patch:
        patch.setattr(exercises, "expect_close", spy)
        patch.setattr(module, "expect_close", spy)
        given = with_result(right[name], recorded)
        assert turns.judge_function(name, given, turns.variables(space, right), turn.check) == ""
    return found


def told_every_mistake_of(name, turn, right):
    """A function that is right but for one known mistake in one part of one result is told so."""
    listed = listed_mistakes(name, turn, right)
    told = set()
    for call, path, sentence, wrong in listed:
        calls = iter(range(1000))

        def mistaken(result, call=call, path=path, wrong=wrong, calls=calls):
            return with_part(result, path, wrong) if next(calls) == call else result
        with turn.session.trial() as space:
            given = with_result(right[name], mistaken)
            message = turns.judge_function(name, given, turns.variables(space, right), turn.check)
        assert message, f"{name}: {sentence}"
        told |= {sentence} if sentence in message else set()
    missed = {sentence for _, _, sentence, _ in listed} - told
    assert not missed, f"line {turn.step.line}, {name}: {missed}"


# What may be left out of a right answer, by lesson, and why. Elsewhere an answer without it would be judged right by accident.
SUPERFLUOUS = {
    "00_chain_rule": {"dL", "ds", "dm", "dv", "1"},     # what comes from above is 1 there
    "05_training_by_hand": {"rho * v_before", "beta1 * m_before", "beta2 * v_before", "rho", "beta1", "beta2",  # the first step
                            "epsilon"},                 # is there for zeros only; adam_step is judged over several steps
    "13_convolution": {"stride"},                       # a stride of 1
    "25_cuda_kernels": {"1"},                           # rounding up: it matters only where a size is a multiple
}


def nothing_is_superfluous(turn):
    """No term, factor or transpose of the lesson's line can be left out of a right answer."""
    right, lesson = turn.right(), turn.session.script.path.stem
    if any(callable(value) for value in right.values()):
        return                                          # its check has numbers of its own
    for variant in variants.variants(turn.step.nodes, {}):
        if variant.what not in (variants.TERM, variants.FACTOR, variants.TRANSPOSE):
            continue
        with contextlib.suppress(Exception), turn.session.trial() as space, np.errstate(all="ignore"):
            turn.session.execute(variant.nodes)
            is_right = all(turns.same(space[name], value) for name, value in right.items())
            if is_right and variant.more not in SUPERFLUOUS.get(lesson, ()):
                pytest.fail(f"line {turn.step.line}: the answer is right without {variant.more}")


WRONG = {}                              # what a test's learner types


def told_every_mistake(turn):
    where, right = f"line {turn.step.line}", turn.right()
    assert turn.check is not None, f"{where}: lessons/checks has no turn_{turn.question.judged[0]}"
    functions = [name for name, value in right.items() if callable(value)]
    if functions:
        kernel = exercises.is_kernel(right[functions[0]])
        nonsense = StandIn(right[functions[0]], lambda _: 0.123) if kernel else lambda *_, **__: 0.123
        with turn.session.trial() as space:
            assert turns.judge_function(functions[0], nonsense, turns.variables(space, right), turn.check)
        for name in functions:
            told_every_mistake_of(name, turn, right)
        return
    with turn.session.trial() as space:
        known = turn.check(turns.variables(space, right))
    assert known, f"{where}: no known mistake"
    several = len(right) > 1
    for name, mistakes in known.items() if several else [(turn.question.judged[0], known)]:
        for sentence, wrong in mistakes.items():
            WRONG.update(right | {name: wrong})
            verdict = turn.answer("\n".join(f"{key} = __import__('test_turns').WRONG[{key!r}]" for key in right))
            assert verdict.message == f"{name}: {sentence}", f"{where}: {verdict}"


KERNEL = "@cuda.jit\ndef {}:\n    for i in range(cuda.grid(1), {}, cuda.gridsize(1)):\n        {}"
TREE = """
@cuda.jit(device=True)
def block_sum(own, shared):
    t = cuda.threadIdx.x
    shared[t] = own
    cuda.syncthreads()
    step = THREADS // 2
    while step > 0:
        if t < step:
            shared[t] += shared[t + step]
        cuda.syncthreads()
        step //= 2
    total = shared[0]
    cuda.syncthreads()
    return total
"""
TILES = """
@cuda.jit
def tiled(x, W, b, y):
    x_tile = cuda.shared.array((TILE, TILE), float32)
    W_tile = cuda.shared.array((TILE, TILE), float32)
    u, v = cuda.threadIdx.x, cuda.threadIdx.y
    j, n = cuda.blockIdx.x * TILE + u, cuda.blockIdx.y * TILE + v
    (N, K), J = x.shape, W.shape[1]
    total = b[j] if j < J else float32(0)
    for k0 in range(0, K, TILE):
        x_tile[v, u] = x[n, k0 + u] if n < N and k0 + u < K else float32(0)
        W_tile[v, u] = W[k0 + v, j] if k0 + v < K and j < J else float32(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += x_tile[v, k] * W_tile[k, u]
        cuda.syncthreads()
    if n < N and j < J:
        y[n, j] = total
"""
WRONG_KERNELS = [
    ("relu_one", "def relu_one(x, y):\n    pass", "relu_one should be a kernel: write @cuda.jit above its def"),
    ("relu_one", "@cuda.jit\ndef relu_one(x, y):\n    y[cuda.grid(1)] = 0", "a thread goes beyond an array"),
    ("relu_one", "@cuda.jit\ndef relu_one(x, y):\n    y[cuda.threadIdx.x] = x[cuda.grid(1) % x.size]", "nobody writes y[8]"),
    ("relu", "@cuda.jit\ndef relu(x, y):\n    i = cuda.grid(1)\n    if i < x.size:\n        y[i] = max(x[i], 0)",
     "a thread takes one number and ends"),
    ("product", KERNEL.format("product(x, W, b, y)", "y.size", "y[i % len(x), i // len(x)] = b[i // len(x)]\n        "
                              "for k in range(len(W)): y[i % len(x), i // len(x)] += x[i % len(x), k] * W[k, i // len(x)]"),
     "not the order: neighbouring threads have the same number of W"),
    ("tiled", TILES.replace("        cuda.syncthreads()\n    if", "    if"), "2 barriers; 4 are needed for 2 tiles"),
    ("tiled", TILES.replace("if k0 + v < K and j < J", "if k0 + v < K"), "a thread goes beyond an array"),
    ("tiled", TILES.replace("    total = b[j] if", "    if n >= N or j >= J:\n        return\n    total = b[j] if"),
     "whole tiles are right, but of a product of (6, 5) and (5, 7)"),
    ("tiled", TILES.replace("x_tile[v, k]", "x[n, k0 + k]").replace("range(TILE)", "range(min(TILE, K - k0) * (n < N))"),
     "numbers of x are read; 2 blocks along j"),
    ("atomic_sum", KERNEL.format("atomic_sum(x, total)", "x.size", "total[0] += x[i]"), "Use cuda.atomic.add(total, 0"),
    ("atomic_sum", KERNEL.format("atomic_sum(x, total)", "x.size", "cuda.atomic.add(total, 0, x[i])"), "41 atomics wait"),
    ("block_sum", TREE.replace("    cuda.syncthreads()\n    return", "    return"), "8 barriers; 10 are needed for two sums"),
    ("block_sum", TREE.replace("        cuda.syncthreads()\n        step", "            cuda.syncthreads()\n        step"),
     "some threads come to"),
    ("block_sum", TREE.replace("total = shared[0]", "total = shared[t]"), "thread 0 has the sum, but others return something"),
    ("bias_gradient", KERNEL.format("bias_gradient(dy, db)", "dy.size", "db[i % dy.shape[1]] = dy[i // dy.shape[1], "
                                    "i % dy.shape[1]]"), "one sample alone is heard, this one or that"),
    ("walk", "@cuda.jit\ndef walk(a, U, h):\n    n = cuda.blockIdx.x\n    for t in range(h.shape[1]):\n"
     "        for j in range(cuda.threadIdx.x, h.shape[2], cuda.blockDim.x):\n            total = a[n, t, j]\n"
     "            for k in range(h.shape[2]):\n                total += (h[n, t - 1, k] if t else float32(0)) * U[k, j]\n"
     "            h[n, t, j] = math.tanh(total)", "a thread comes to 0 barriers; 2 are needed in three steps"),
]


def test_wrong_kernels_are_told():
    """In one pass, as the lesson goes."""
    run, asked = session.Session(script.read(catalogue.find("25"))), [*WRONG_KERNELS]
    with run.as_main(), contextlib.redirect_stdout(io.StringIO()):
        while asked:
            name, text, message = asked[0]
            if not (run.upcoming.question and run.upcoming.question.judged == (name,)):
                run.next()
                continue
            verdict = turns.Turn(run).answer(text)
            assert verdict.state == "wrong" and message in verdict.message, f"{name}: {verdict.message}"
            del asked[0]


@pytest.mark.parametrize("stem, name, text, message", [
    ("05", "dy", "y - t", "dy: it is twice as large as it should be: the square brings a 2, the mean divides by all"),
    ("06", "dh", "for t in (2, 1, 0):\n    dh[:, t] = dy[:, t] + dh_next\n    da[:, t] = dh[:, t] * (1 - h[:, t])\n"
     "    dh_next = da[:, t] @ U.T", "dh: the slope of tanh lacks its square: it is 1 - h_t²"),
    ("08", "dh", "dy[:, 2]", "dh: what comes back from what follows is missing: add dh_next"),
    ("08", "dC", "dh * o * (1 - np.tanh(C) ** 2)", "dC: what comes back from the cell of the step after is missing from dC"),
    ("08", "di", "dC * i", "di: di and dC̃ are swapped: i is multiplied by C̃, and C̃ by i"),
    ("08", "dC_tilde", "dC * C_tilde", "dC_tilde: di and dC̃ are swapped: i is multiplied by C̃, and C̃ by i"),
    ("08", "da_o", "do * o", "da_o: the second factor of a gate's slope is missing: σ (1 - σ)"),
    ("08", "dh_prev", "da_last @ U", "the shapes (2, 8) and (2, 8) in da_last @ U do not fit: a product with @ needs as"),
])
def test_what_newcomers_wrote(stem, name, text, message):
    run = session.Session(script.read(catalogue.find(stem)))
    with run.as_main(), contextlib.redirect_stdout(io.StringIO()):
        while not (run.upcoming.question and name in run.upcoming.question.judged):
            run.next()
        verdict = turns.Turn(run).answer(text)
    assert verdict.message.startswith(message)
