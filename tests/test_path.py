"""The way through the course: the digits that are shipped, the path and its progress, the formula index."""
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pexpect
import pytest
from rich.console import Console

from lessons import data
from nblayers import cli
from nblayers.learn import asking, catalogue, course, formulas, progress, script, terminal
from nblayers.learn.catalogue import COURSE


def test_the_digits_are_scikit_learns():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8) and images.dtype == theirs.images.dtype and labels.dtype == theirs.target.dtype
    np.testing.assert_array_equal(images, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def test_the_digits_are_the_callers_own():
    data.digits()[0][:] = -1
    assert data.digits()[0].min() == 0


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder of the test's own."""
    monkeypatch.setenv("NBLAYERS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(progress, "_said", set())
    return tmp_path / "state"


@pytest.fixture
def small(tmp_path, monkeypatch, state):
    """A course of one small lesson, 01."""
    home = tmp_path / "lessons"
    home.mkdir()
    monkeypatch.setattr(catalogue, "HOME", home)
    path = home / "01_small.py"
    path.write_text(SMALL.lstrip("\n"), encoding="utf-8")
    return path


SMALL = '''
# %% [markdown]
# # 01 · Small

# %%
x = 1
print("one")

# %% [markdown]
# ## Loop

# %%
for i in range(3):
    x += i
y = x

# %% [markdown]
# ## Last

# %%
# ? z, one more than y
z = y + 1
'''


def followed(path):
    return progress.Followed(script.read(path))


def test_where_progress_is_kept(monkeypatch, tmp_path):
    monkeypatch.delenv("NBLAYERS_STATE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert progress.folder() == tmp_path / ".local" / "state" / "nblayers"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert progress.folder() == tmp_path / "xdg" / "nblayers"
    monkeypatch.setenv("NBLAYERS_STATE", str(tmp_path / "own"))
    assert progress.folder() == tmp_path / "own"


def test_every_step_is_kept(small):
    run = followed(small)
    with run.as_main():
        run.next(), run.next(), run.next()
    done = progress.read(small)
    assert done.at == progress.Place(3, "01 · Small", 3) and done.furthest == done.at and done.begun and not done.done
    with run.as_main():
        run.back()
    assert (progress.read(small).at.position, progress.read(small).furthest.position) == (2, 3)
    with run.as_main():
        while run.next():
            pass
    done = progress.read(small)
    assert done.done and not done.begun and progress.last() == "01_small"


def test_a_loop_that_was_stepped_into_counts_when_it_is_over(small):
    run = followed(small)
    with run.as_main():
        for _ in range(4):
            run.next()
        assert run.enter_loop() == 3
        run.next()
        assert progress.read(small).at.position == 4
        run.next(), run.next()
        assert (progress.read(small).at.position, run.position) == (5, 7)
        while run.next():
            pass
    assert progress.read(small).at.position == progress.read(small).steps == 8


def test_only_the_courses_lessons_are_kept(small, tmp_path):
    other = tmp_path / "02_mine.py"
    other.write_text("x = 1\n")
    run = followed(other)
    with run.as_main():
        run.next()
    assert not progress.file().exists()


def position_of(path):
    lesson = script.read(path)
    return progress.position(lesson, lesson.steps(), progress.read(path))


def test_a_place_is_found_again_by_its_section(small):
    run = followed(small)
    with run.as_main():
        for _ in range(5):
            run.next()
    assert position_of(small) == 5
    small.write_text(SMALL.replace("x = 1\n", "x = 1\nw = 2\nv = 3\n"))
    assert position_of(small) == 5      # before the text of "Loop", moved by two
    small.write_text(SMALL.replace("## Loop", "## Another"))
    assert position_of(small) == 0


def test_turns_and_exercises_add_up(small):
    progress.turn_written(small, "do", 6)
    progress.turn_written(small, "dC")
    progress.turn_written(small, "do", 6)
    progress.exercises_right(small, ["1", "2"], 4)
    progress.exercises_right(small, ["2", "3"], 4)
    done = progress.read(small)
    assert (done.turns, done.turn_count, done.exercises, done.exercise_count) == (["dC", "do"], 6, ["1", "2", "3"], 4)
    assert course._entry(1, "Small", small).state() == "2 of 6 turns · 3 of 4 exercises"


def test_a_turn_is_kept_when_the_learner_wrote_it(small):
    for answers, written in ((["", ""], []), (["y", "y + 1"], ["Last: z"])):
        given = iter(answers)
        stepper = asking.AskingStepper(followed(small), Console(file=io.StringIO(), width=90), lambda _: "")
        with stepper.session.as_main():
            for _ in range(7):                          # the last one asks
                stepper.next()
            while stepper.session.upcoming is not None:
                stepper.obey(next(given))
        assert progress.read(small).turns == written
    assert progress.read(small).turn_count == 1


def test_a_guess_is_kept_over_leaving(small):
    small.write_text(SMALL.replace("x = 1\n", "# ? guess: how much?\nx = 1\n", 1).lstrip(), encoding="utf-8")

    def talk(*lines):
        console, given = Console(file=io.StringIO(), width=90), iter(lines)

        def ask(_):
            line = next(given, None)
            if line is None:
                raise EOFError
            return line
        stepper = asking.AskingStepper(followed(small), console, ask)
        assert course.go_on(stepper, script.read(small), sure=True)
        stepper.run()
        return console.file.getvalue()
    assert "Kept: 8." in talk("8", "q") and progress.read(small).guesses == {"x": (8, 0)}
    assert "Your guess for x: 8. It is 4: off by 4." in " ".join(talk("", "", "", "q").split())
    assert "Your guess" not in talk("", "q")            # it was told


def test_a_turn_without_an_answer_is_not_kept(small):
    run = followed(small)
    with run.as_main():
        while run.next():
            pass
    assert progress.read(small).turns == [] and progress.read(small).done


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lessons": 3}', '{"lessons": {"01_small": {"at": 5}}}', "\0", "[" * 100_000,
                                  '{"lessons": {"01_small": {"steps": null}}}', '{"lessons": {"01_small": []}}'])
def test_a_damaged_file_is_put_aside(small, capsys, text):
    progress.folder().mkdir()
    progress.file().write_text(text)
    assert progress.read(small) == progress.Lesson()
    assert "damaged" in capsys.readouterr().err and progress.file().with_suffix(".damaged").read_text() == text
    progress.turn_written(small, "do")
    assert progress.read(small).turns == ["do"] and not capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_once(small, state, capsys):
    state.write_text("a file where the folder should be")
    run = followed(small)
    with run.as_main():
        run.next(), run.next()
    assert capsys.readouterr().err.count("your progress is not kept") == 1
    assert progress.read(small) == progress.Lesson()


def test_no_half_written_file_is_left(small, monkeypatch):
    progress.turn_written(small, "do")
    monkeypatch.setattr(progress.json, "dump", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    progress.turn_written(small, "dC")
    assert progress.read(small).turns == ["do"] and list(progress.folder().iterdir()) == [progress.file()]


def test_the_path_names_every_lesson_there_is():
    assert [path.stem for path in catalogue.lessons() if catalogue.number_of(path) not in COURSE] == []
    assert len(COURSE) == 36 and max(map(len, COURSE.values())) <= 38


def test_a_low_window_leaves_out_what_is_to_come(small):
    def shown(height):
        console = Console(file=io.StringIO(), force_terminal=True, width=80, height=height, color_system=None)
        course.show(course.course(), console)
        return console.file.getvalue()
    assert "to come" in shown(40) and "to come" not in shown(24) and "01" in shown(24)


@pytest.mark.parametrize("name, message", [
    ("8", "lesson 08 is to come: LSTM"), ("08", "lesson 08 is to come"), ("convlstm", "lesson 16 is to come: ConvLSTM"),
    ("26", "lesson 26a is to come: Program: the sunspots"), ("26b", "lesson 26b is to come"),
    ("99", "there is no lesson '99'"), ("zebra", "there is no lesson 'zebra'")])
def test_a_lesson_that_is_to_come(small, name, message):
    with pytest.raises(catalogue.UnknownLesson, match=message):
        catalogue.find(name)


def test_a_lesson_in_several_scripts(small):
    for name in ("26a_first", "26b_second", "27_after"):
        small.with_name(f"{name}.py").write_text("# %% [markdown]\n# # Lesson 26a · One\n")
    assert [path.stem for path in catalogue.lessons()][-3:] == ["26a_first", "26b_second", "27_after"]
    assert catalogue.find("26b").stem == "26b_second" == catalogue.find("second").stem
    assert [entry.number for entry in course.course() if entry.path][-2:] == ["26b", "27"]
    assert script.read(catalogue.find("26a")).title == "One"
    with pytest.raises(catalogue.UnknownLesson, match="more than one lesson is meant by '26': 26a_first, 26b_second"):
        catalogue.find("26")


def test_where_to_go_on():
    def entry(number, position=0, done=False):
        lesson = progress.Lesson(steps=9, at=progress.Place(position), done=done)
        return course.Entry(f"{number:02d}", "", Path(f"{number:02d}_x.py"), done=lesson)
    entries = [entry(0, 9, True), entry(1), course.Entry("02", ""), entry(3, 4), entry(4)]
    assert course.upcoming(entries, None).number == "01"
    assert course.upcoming(entries, "00_x").number == "01"
    assert course.upcoming(entries, "03_x").number == "03"
    assert course.upcoming(entries, "04_x").number == "01"                           # round again to what was left out
    assert course.upcoming([entry(0, 9, True)], "00_x") is None
    assert course.question(entry(3, 4)).startswith("Enter: go on with 03 at step 1 ·")


LEARN = """
import sys
from pathlib import Path
from nblayers import cli
from nblayers.learn import catalogue
catalogue.HOME = Path(sys.argv[1])
sys.exit(cli.main(["learn", *sys.argv[2:]]))
"""


@pytest.fixture
def learn(small, state):
    """`nblayers learn` in a terminal, on the course of one small lesson."""
    return lambda *arguments: pexpect.spawn(
        sys.executable, ["-c", LEARN, str(small.parent), *arguments], encoding="utf-8", timeout=60, dimensions=(40, 100),
        env=os.environ | {"NBLAYERS_STATE": str(state), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"})


@pytest.mark.parametrize("leave", ["q", "Ctrl-C", "Ctrl-D", "closed"])
def test_a_learner_leaves_and_comes_back(learn, small, leave):
    child = learn()
    child.expect("Enter: begin 01 · or a lesson's number or name · q: leave > ")
    assert "to come" in child.before
    child.sendline("nonsense")
    child.expect("there is no lesson 'nonsense'")
    child.sendline("8")
    child.expect("lesson 08 is to come")
    child.sendline("small")
    child.expect("Enter: step 2 of 8 .*help > ")
    child.sendline("")
    child.expect("Enter: step 3 of 8 .*help > ")
    if leave == "closed":
        child.close(force=True)
    else:
        child.sendline("q") if leave == "q" else child.sendcontrol(leave[-1].lower())
        child.expect(pexpect.EOF)
    assert progress.read(small).at.position == 2

    child = learn()
    child.expect("▸.*01.*step 3 of 8")
    child.expect("Enter: go on with 01 at step 3 ")
    child.sendline("")
    child.expect("Steps 1 to 2 run again first")
    child.expect("one.*Enter: step 4 of 8 .*help > ")
    child.sendline("c")
    child.expect("Enter: leave .*help > ")
    child.sendline("")                                                              # its end: the path again
    child.expect("✓.*01.*done")
    child.expect("All of it is done.*> ")
    child.sendline("q")
    child.expect(pexpect.EOF)


def test_a_lesson_asked_for_by_name_offers_to_go_on(learn, small):
    run = followed(small)
    with run.as_main():
        for _ in range(5):
            run.next()
    for answer, position in (("", 6), ("s", 1), ("q", None)):
        child = learn("1")
        child.expect("You left this lesson at step 6 of 8, in the section “Loop”")
        child.expect("from the lesson's start · q: leave > ")
        child.sendline(answer)
        child.expect(rf"Enter: step {position + 1} of 8" if position else pexpect.EOF)
        child.close(force=True)
        progress._update(small, lambda lesson: setattr(lesson, "at", progress.Place(5, "Loop", 2)))


def test_without_a_terminal_the_path_is_printed(state):
    done = subprocess.run([sys.executable, "-m", "nblayers.cli", "learn"], capture_output=True, text=True, encoding="utf-8",
                          stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0 and not done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(COURSE)
    assert not state.exists()


def test_going_on_runs_what_came_before_silently(small):
    run = followed(small)
    with run.as_main():
        for _ in range(5):
            run.next()
    shown = io.StringIO()
    stepper = terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: "")
    course.go_on(stepper, script.read(small), sure=True)
    assert stepper.session.position == 5 and stepper.session.namespace["x"] == 4
    said = shown.getvalue()
    assert "step 6 of 8, in the section “Loop”" in said and "one" not in said.split()
    assert "Last" not in said                           # the next step is a text, and is shown as usual
    with stepper.session.as_main():
        stepper.session.back(), stepper.session.keep()
    shown.truncate(0)
    course.go_on(terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: ""), script.read(small), sure=True)
    assert shown.getvalue().rstrip().split("\n")[-2].strip() == "Loop"                # the text above the next step, again
    stepper = terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: "s")
    course.go_on(stepper, script.read(small), sure=False)
    assert stepper.session.position == 0


def test_before_a_long_wait_the_learner_is_asked(small):
    run = followed(small)
    with run.as_main():
        for _ in range(5):
            run.next()
    run.keep({4: 31.0})
    shown = io.StringIO()
    stepper = terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: "s")
    course.go_on(stepper, script.read(small), sure=True)
    assert re.search(r"That takes 3\d seconds", " ".join(shown.getvalue().split())) and stepper.session.position == 0


def test_ctrl_c_ends_the_silent_run(small):
    run = followed(small)
    with run.as_main():
        for _ in range(6):
            run.next()
    small.write_text(SMALL.replace("y = x\n", "raise KeyboardInterrupt\n"))
    shown = io.StringIO()
    stepper = terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: "")
    progress._update(small, lambda lesson: vars(lesson).update(digest=progress.digest(stepper.session.script)))
    course.go_on(stepper, script.read(small), sure=True)
    assert "Interrupted before step 6" in shown.getvalue() and stepper.session.position == 5
    assert progress.read(small).at.position == 5


def test_going_on_stops_at_a_step_that_fails(small):
    run = followed(small)
    with run.as_main():
        for _ in range(5):
            run.next()
    small.write_text(SMALL.replace("x = 1\n", "x = 1 / 0\n"))
    shown = io.StringIO()
    stepper = terminal.Stepper(followed(small), Console(file=shown, width=90), lambda _: "")
    course.go_on(stepper, script.read(small), sure=True)
    assert stepper.session.position == 1 and "ZeroDivisionError" in shown.getvalue()


@pytest.mark.parametrize("path", catalogue.lessons(), ids=lambda path: path.stem)
def test_tags_are_identifiers_of_the_index(path):
    """Tags that name no text, as (1) or (central), are a lesson's own."""
    found = [tag for tag, _ in formulas.tags(script.read(path)) if re.match(r"\d{3}\b", tag)]
    assert [tag for tag in found if tag not in formulas.index()] == []


def test_every_formula_is_shown_in_a_lesson():
    unseen = {formula.id for formula in formulas.index().values() if formula.text and not formulas.lessons(formula.id)}
    assert unseen == set()


def test_a_formula_without_a_tag_is_found_by_its_name():
    """And one with a tag by that alone."""
    lesson = script.parse("# %% [markdown]\n# # 99 · A\n#\n# ## B\n#\n# (001.08.MaxPooling3D). $$h \\tag{004.LSTM.h}$$ 1.5.x\n")
    assert [*formulas.mentions(lesson)] == [("001.08.MaxPooling3D", "B")] and [*formulas.tags(lesson)] == [("004.LSTM.h", "B")]
    assert [path.stem for path, _ in formulas.lessons("001.08.MaxPooling3D")] == ["14_pooling"]
    assert "00_chain_rule" not in {path.stem for path, _ in formulas.lessons("004.LSTM.f")}


def test_layers_and_kernels_name_identifiers_of_the_index():
    files = [*formulas.ROOT.glob("kernels/*/*.py"), *(path for path, _ in formulas._modules())]
    found = {name for path in files for name in re.findall(r"\b00\d\.\w+(?:\.\w+)*~?", path.read_text(encoding="utf-8"))}
    sections = {name.rpartition(".")[0] for name in formulas.index()}
    assert len(found) > 100 and {name for name in found if name not in formulas.index()} <= sections


@pytest.mark.parametrize("formula", [formula for formula in formulas.index().values() if formula.text], ids=lambda f: f.id)
def test_every_formula_can_be_set(formula):
    assert formula.line and "\\" not in formula.line and "$" not in formula.line
    shown = io.StringIO()
    Console(file=shown, width=100).print(terminal.LessonText(formula.text))
    assert "$" not in shown.getvalue() and "\\" not in shown.getvalue()


def test_a_gate_is_found_everywhere():
    found = formulas.lines("004.LSTM.f")
    assert {line.room for line in found} == set(formulas.ROOMS)
    for line in found:
        text = (formulas.ROOT / line.path).read_text(encoding="utf-8").split("\n")[line.number - 1]
        assert text.strip().startswith(line.source) and "004.LSTM.f" in text
    assert {line.backward for line in found if line.room == "reference"} == {True, False}
    assert {path.stem for path, _ in formulas.lessons("004.LSTM.f")} >= {"08_lstm"}
    layers = [line.rpartition(" ")[2] for line in formulas.layers(formulas.find("004.LSTM.f"))]
    assert layers == ["LSTM", "LSTMCell"]


@pytest.mark.parametrize("identifier, code", [
    ("001.02.sigmoid", "np.where(x < 0, e, 1) / (1"), ("001.06.Embedding", "y[n] = embeddings[i]"),
    ("001.06.Dense", "np.matmul(a"),
    ("001.07.Conv2D", 'np.einsum("dhwgc,dhwcgf->gf"'), ("001.07.Conv1DTranspose", 'np.einsum("gf,dhwcgf->dhwgc"'),
    ("001.08.AveragePooling2D", "x[m].mean("), ("001.09.GRUCell", "h_tilde = np.tanh("), ("001.12.Dropout", "np.where(mask"),
    ("001.09.SimpleRNN", "@"), ("001.09.LSTM", "di * i * (1 - i)"), ("001.09.GRU", "h_tilde"),
    ("001.09.ConvLSTM1D", "lstm_step("),
    ("002.Update", "learning_rate * "),
])
def test_the_equations_of_the_reference_room_are_found(identifier, code):
    found = formulas.lines(identifier)
    assert any(code in line.source for line in found if line.room == "reference"), found
    assert {line.room for line in found} >= {"cuda"}
    assert identifier[:6] in ("001.06", "001.07", "002.Up") or {line.room for line in found} == set(formulas.ROOMS)


@pytest.mark.parametrize("layer", ["Dense", "Embedding", "Conv1D", "MaxPooling3D", "LSTM", "GRU", "ConvLSTM2D", "Dropout"])
def test_layers_are_imported_as_the_index_says(layer):
    formula = next(formula for formula in formulas.index().values() if formula.keras == f"keras.layers.{layer}")
    lines = formulas.layers(formula)
    assert f"from nblayers.layers import {layer}" in lines
    for line in lines:
        exec(line, {})


@pytest.mark.parametrize("written, meant", [
    ("004.LSTM.f", "004.LSTM.f"), ("(004.lstm.f)", "004.LSTM.f"), ("004.lstm.c~", "004.LSTM.C~"), ("conv2d", "001.07.Conv2D"),
    ("001.01.add\\_weight", "001.01.add_weight")])
def test_an_identifier_may_be_written_loosely(written, meant):
    assert formulas.find(written).id == meant


@pytest.mark.parametrize("written, close", [
    ("004.LSTM.g", "004.LSTM."), ("lstm", "001.09.LSTM or 003.Params.LSTM"), ("convd2", "Conv2D")])
def test_close_matches_of_what_is_unknown(written, close):
    with pytest.raises(formulas.UnknownFormula, match="did you mean .*" + re.escape(close)):
        formulas.find(written)


def test_the_commands_of_the_index():
    def command(*arguments):
        return subprocess.run([sys.executable, "-m", "nblayers.cli", *arguments], capture_output=True, text=True,
                              encoding="utf-8", env=os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"})
    page = command("formula", "004.LSTM.f")
    assert page.returncode == 0 and "(004.LSTM.f)" in page.stdout and "Forget gate" in page.stdout
    assert "08_lstm" in page.stdout and re.search(r"kernels/cuda/recurrent\.py:\d+", page.stdout)
    unknown = command("formula", "004.LSTM.g")
    assert unknown.returncode == 2 and "did you mean" in unknown.stderr
    listed = command("formulas", "forget")
    assert "004.LSTM.f" in [line.split()[0] for line in listed.stdout.splitlines()[:-2]]
    assert command("formulas", "zebra").returncode == 2
    assert len(command("formulas").stdout.splitlines()) == len(formulas.index()) + 2


@pytest.mark.parametrize("word, some", [
    ("gate", {"001.09.GRU", "001.09.LSTM", "004.LSTM.f"}), ("reset", {"001.09.GRUCell"}), ("FORGET", {"004.LSTM.f"}),
    ("import Dense", {"001.06.Dense"}), ("normalization", {"001.11.GroupNormalization"}), ("initialiser", {"001.03.HeNormal"}),
    ("hₜ", {"002.HiddenState"}), ("keras.layers.Permute", {"001.14.Permute"}), ("relu6(x", {"001.02.hard_sigmoid"}),
])
def test_formulas_are_found_by_other_words(word, some):
    found = {formula.id for formula in formulas.matching(word)}
    assert found >= some and len(found) < len(formulas.index()) / 2


@pytest.mark.parametrize("wide", [60, 80, 110])
def test_identifiers_are_never_cut(wide):
    shown = io.StringIO()
    Console(file=shown, width=wide).print(formulas.table(list(formulas.index().values()), wide))
    lines = shown.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == list(formulas.index()) and max(map(len, lines)) <= wide


def test_what_keras_does_stands_under_a_formula():
    def page(identifier):
        shown = io.StringIO()
        Console(file=shown, width=80).print(formulas.page(formulas.find(identifier)))
        return " ".join(shown.getvalue().split())
    assert "In Keras 3: relu6(x + 3) / 6" in page("hard_sigmoid") and "samples are rows" not in page("hard_sigmoid")
    for column in ("001.09.SimpleRNN", "004.LSTM.f", "001.06.Dense", "002.HiddenState", "004.RNN"):
        assert "samples are rows" in page(column), column
    assert "z keeps" in page("001.09.GRU") and "In Keras 3" not in page("004.LSTM.f")
    for wrong, right in (("000.Lambda", "x[..., ::-1]"), ("002.BPTT.chain", "are sums over t"), ("002.Loss", "ŷ the truth"),
                         ("004.Program.Torch", "squeeze(1)")):
        assert right in page(wrong).partition("What is right: ")[2], wrong
    assert "a Dense layer behind it" in page("004.RNN") and "What is right" not in page("004.RNN")
    assert sum(bool(formula.note) for formula in formulas.index().values()) > 50


def test_the_index_is_what_its_tool_writes():
    """Each note and each list of words belongs to an entry; those of the shipped index are the tool's."""
    import runpy
    tool = runpy.run_path(str(formulas.ROOT / "tools" / "make_catalogue.py"))
    for patterns in (tool["NOTES"], tool["RIGHT"], tool["WORDS"]):
        assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in formulas.index())] == []
    for formula in formulas.index().values():
        assert (formula.note, formula.right, formula.words) == tuple(
            tool["fitting"](formula.id, tool[texts]) or "" for texts in ("NOTES", "RIGHT", "WORDS"))


def test_the_picture_in_the_readme():
    root = ElementTree.parse(formulas.ROOT / "docs" / "stepper.svg").getroot()
    text = " ".join("".join(root.itertext()).split())
    assert "nblayers learn lstm" in text and "is missing from dC" in text and "agrees with the numerical derivative" in text
    assert "url(http" not in text and not root.findall(".//{*}image")
    assert "](docs/stepper.svg)" in (formulas.ROOT / "README.md").read_text(encoding="utf-8")


def test_the_exercises_that_a_check_found_right_are_kept(state, tmp_path, capsys):
    path = catalogue.find("lstm")
    assert cli.main(["check", "lstm", str(path.parent / "solutions" / path.name)]) == 0
    done = progress.read(path)
    assert len(done.exercises) == done.exercise_count >= 3 and not done.begun
    empty = tmp_path / "empty.py"
    empty.write_text("")
    assert cli.main(["check", "lstm", str(empty)]) == 1
    assert progress.read(path) == done
