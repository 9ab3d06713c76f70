"""The workshop: layers that a learner writes, with `nblayers start`, `check`, `train` and `break`."""
import os
import sys
import time
from pathlib import Path

import numpy as np
import pexpect
import pytest

from nblayers import cli
from nblayers.learn import sandbox, workshop
from nblayers.learn.workshop import checking, commands, looking, training

ROOT = Path(__file__).resolve().parents[1]
NAMES = workshop.names()
BUGS = [(name, number) for name in NAMES for number in range(1, len(workshop.find(name).bugs) + 1)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder, text, name="layer.py"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def states(piece, path):
    """What becomes of each case, in this process."""
    checking._load_once.cache_clear()
    return [checking.try_case(index, piece.name, path)[0] for index in range(len(piece.cases) + 1)]


def test_which_there_are():
    assert [name for name in NAMES if name in ("lstm", "dense", "gru", "convolution", "softmax", "simple_rnn")] == [
        "dense", "softmax", "simple_rnn", "lstm", "gru", "convolution"]         # as the lessons come
    assert workshop.find("simple-rnn") is workshop.find("simple_rnn")
    with pytest.raises(workshop.UnknownPiece, match="no layer 'lstn' to write; there are dense, softmax"):
        workshop.find("lstn")
    assert all(len(workshop.find(name).bugs) >= (6 if workshop.find(name).is_recurrent else 4) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name, folder):
    piece = workshop.find(name)
    text = piece.solution()
    assert "# given" not in text and "# >" not in text and "workshop" not in text.lower()
    assert states(piece, written(folder, text)) == ["right"] * (len(piece.cases) + 1)


def test_float64_is_explained(folder):
    piece = workshop.find("attention")
    wide = piece.solution().replace("scale = self.size ** 0.5", "scale = np.sqrt(self.size)").replace("dx += ", "dx = dx + ")
    checking._load_once.cache_clear()
    state, sentence, _ = checking.try_case(len(piece.cases), piece.name, written(folder, wide))
    assert state == "wrong" and "as np.sqrt(2) is; a number of Python's, as 2 ** 0.5, keeps float32" in sentence


@pytest.mark.parametrize("name", NAMES)
def test_the_template_has_hints_and_no_answer(name, folder):
    piece = workshop.find(name)
    template, solution = piece.template(), piece.solution()
    assert workshop.made_here(template) is piece
    assert template.split("def backward")[0] == solution.split("def backward")[0]
    backward = template.split("def backward")[1]
    assert "#   1. " in backward and "# >" not in backward and "# given" not in backward
    assert len([line for line in backward.split("\n") if ".grad" in line and not line.lstrip().startswith("#")]) == 0
    path = written(folder, template)
    [verdict] = checking.check(piece, Path(path))
    assert verdict.state == "missing" and f"{piece.class_name}: its backward is not written yet" in verdict.sentence


@pytest.mark.parametrize("name", NAMES)
def test_hints_come_one_after_the_other(name, folder, capsys):
    """In the file questions, then the equations, then the lines."""
    piece = workshop.find(name)
    hints = piece.hints()
    template, code = piece.template(), [line for _, lines in hints for line in lines]
    numbers = [equation.split(".")[0] for equation, _ in hints]
    assert numbers == [str(k + 1) for k in range(len(hints))] and all(f"#   {number}. " in template for number in numbers)
    assert "?" in template.split("def backward")[1] and hints[-1][1]
    assert not any(equation.partition(" ")[2] in template for equation, _ in hints)
    assert all(line in piece.solution() for line in code) and code[-1].lstrip().startswith("return")
    path = written(folder, template)
    said = []
    for times in range(3):
        cli.main(["check", name, path, *["--hint"] * times])
        said.append(" ".join(capsys.readouterr().out.split()))
    equations = [equation[:30] for equation, _ in hints]
    assert said[0].endswith("--hint") and not any(equation in said[0] for equation in equations)
    assert all(equation in said[1] for equation in equations) and code[-1].strip() not in said[1]
    assert all(equation in said[2] for equation in equations) and all(" ".join(line.split()) in said[2] for line in code)


def test_a_bug_goes_into_a_copy_of_ones_own_file(folder, capsys):
    piece = workshop.find("lstm")
    own = piece.solution().replace("class MyLSTM", "MINE = True\n\n\nclass MyLSTM")
    path = written(folder, own, "my_lstm.py")
    assert cli.main(["break", "lstm", path, "--bug", "2"]) == 0
    broken = Path("broken_lstm.py").read_text(encoding="utf-8")
    assert "MINE = True" in broken and piece.planted(broken) == 2 and Path(path).read_text(encoding="utf-8") == own
    assert "a copy of" in (said := capsys.readouterr().out) and "bug 2 of 10; the same number gives the same bug" in said
    assert cli.main(["break", "lstm", path, "-o", path, "--force"]) == 2 and "stays as it is" in capsys.readouterr().err
    other = written(folder, own.replace("dC_t", "dcell").replace("da", "delta"), "my_lstm.py")
    assert piece.bugs_for(Path(other).read_text(encoding="utf-8")) == [8]
    assert cli.main(["break", "lstm", other, "--bug", "2", "--force"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "in another way" in said and "a new file" in said and "No file of yours has changed" in said
    assert "MINE" not in Path("broken_lstm.py").read_text(encoding="utf-8")
    assert cli.main(["break", "lstm", other, "--force"]) == 0
    assert piece.planted(Path("broken_lstm.py").read_text(encoding="utf-8")) == 8
    assert cli.main(["break", "lstm", "nothing.py"]) == 2


@pytest.mark.parametrize("name, number", BUGS)
def test_each_bug_runs_and_is_found(name, number, folder):
    piece = workshop.find(name)
    text = piece.broken(number)
    path = written(folder, text)
    assert piece.planted(text) == number and piece.planted(piece.solution()) is None
    found = states(piece, path)
    assert "wrong" in found and "missing" not in found
    sizes, mine, theirs = looking.norms(piece, checking.load(piece, path))
    assert np.isfinite([*sizes.values()]).all() and np.isfinite(mine).all() and np.isfinite(theirs).all()
    assert piece.bugs[number - 1].learns


def test_bugs_are_different():
    for name in NAMES:
        piece = workshop.find(name)
        texts = {bug.planted(piece.solution()) for bug in piece.bugs}
        assert len(texts) == len({bug.what for bug in piece.bugs}) == len(piece.bugs)


def test_the_same_file_gets_the_same_report(folder, capsys):
    assert cli.main(["break", "simple_rnn", "--bug", "1"]) == 0
    said = []
    for arguments in (["simple_rnn", "broken_simple_rnn.py"], ["--inputs", "simple_rnn", "broken_simple_rnn.py"]):
        capsys.readouterr()
        assert cli.main(["check", *arguments]) == 1
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "WRONG" in said[0]


def test_a_bug_that_the_gradient_check_cannot_see(folder):
    piece = workshop.find("lstm")
    path = written(folder, piece.broken(len(piece.bugs)))
    assert states(piece, path) == ["right"] * len(piece.cases) + ["wrong"]
    checking._load_once.cache_clear()
    _, sentence, _ = checking.try_case(len(piece.cases), "lstm", path)
    assert "forward is" in sentence and "cannot see this" in sentence


def test_the_report_names_the_gate(folder):
    piece = workshop.find("lstm")
    path = written(folder, piece.solution().replace("da_o = do * o * (1 - o)", "da_o = do * o"))
    checking._load_once.cache_clear()
    state, sentence, report = checking.try_case(2, "lstm", path)
    assert state == "wrong" and "W" in sentence and "my/" not in report
    assert "in the part of o\n" in report


@pytest.mark.parametrize("body, expected", [
    ("        while True:\n            pass\n", "not done after 1 seconds"),
    ("        return dy @ self.W.value\n", "ValueError in line"),
    ("        import os\n        os._exit(3)\n", "ended itself"),
    ("        return None\n", "backward returns None"),
])
def test_backwards_that_fail(body, expected, folder):
    piece = workshop.find("dense")
    before, start, _ = piece.solution().partition('        """dy, of the shape of y')
    text = before + body
    path = Path(written(folder, text))
    verdicts = checking.check(piece, path, seconds=1)
    first_two = [next(verdicts), next(verdicts)]
    verdicts.close()
    assert start and any(expected in verdict.sentence + verdict.report for verdict in first_two)


def test_files_that_give_no_layer(folder, capsys):
    syntax = written(folder, "class MyLSTM(Layer):\n    def (:\n", "syntax.py")
    assert cli.main(["check", "lstm", syntax]) == 1
    assert "SyntaxError in line 2" in capsys.readouterr().out
    other = written(folder, workshop.find("gru").template(), "my_gru.py")
    assert cli.main(["check", "lstm", other]) == 2
    assert f"nblayers check gru {other}" in capsys.readouterr().err
    assert cli.main(["train", "lstm", other]) == 2
    assert "should define a class MyLSTM, but defines MyGRU" in capsys.readouterr().err
    assert cli.main(["train", "lstm", "nothing.py"]) == 2
    assert "there is no file nothing.py" in capsys.readouterr().err
    assert cli.main(["train", "gru", other, "--steps", "0"]) == 2
    assert cli.main(["train", "gru", other, "--steps", "1"]) == 1
    assert "not written yet" in capsys.readouterr().out
    assert cli.main(["start", "perceptron"]) == 2
    assert "no layer 'perceptron'" in capsys.readouterr().err


def test_start_does_not_overwrite(folder, capsys):
    assert cli.main(["start", "gru"]) == 0
    Path("my_gru.py").write_text("mine", encoding="utf-8")
    assert cli.main(["start", "gru"]) == 2 and Path("my_gru.py").read_text() == "mine"
    assert cli.main(["start", "gru", "--force"]) == 0 and "class MyGRU" in Path("my_gru.py").read_text()
    assert cli.main(["start", "gru", "-o", "other.py"]) == 0
    assert cli.main(["start", "gru", "-o", "no/such/folder.py"]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert cli.main(["break", "gru", "--bug", "99"]) == 2 and not Path("broken_gru.py").exists()


@pytest.mark.parametrize("name", NAMES)
def test_training_lies_on_the_librarys(name, folder, capsys, monkeypatch):
    piece = workshop.find(name)
    monkeypatch.setattr(piece.task, "room", "reference")        # nothing is compiled
    path = written(folder, piece.solution(), f"my_{name}.py")
    steps = 2 if name == "convolution" else 12
    assert cli.main(["train", name, path, "--steps", str(steps)]) == 0
    out = capsys.readouterr().out
    assert f"{steps} / {steps}" in out and "Your curve lies on the library's" in out and piece.done in out
    assert Path(f"lessons/out/my_{name}_curve.png").stat().st_size > 5000


def test_training_a_broken_layer(folder, capsys):
    piece = workshop.find("simple_rnn")
    path = written(folder, piece.broken(1), "broken.py")
    assert cli.main(["train", "simple_rnn", path, "--steps", "5"]) == 1
    out = capsys.readouterr().out
    assert "The curves are two: from batch 2 on" in out and piece.done not in out


def test_a_curve_alone_proves_nothing(folder, capsys):
    """Without a mask a bug in the mask's lines shows in no curve."""
    piece = workshop.find("simple_rnn")
    path = written(folder, piece.broken(7), "broken.py")
    assert cli.main(["train", "simple_rnn", path, "--steps", "3"]) == 1
    out = capsys.readouterr().out
    assert "Your curve lies on the library's" in out and piece.done not in out
    assert "a mask: sequences of different lengths" in out


def test_tasks_can_be_learned():
    """The adding task, with the library's layer in both places: better than always saying 1."""
    piece = workshop.find("simple_rnn")
    run = training.train(piece, piece.module.LAYER, 400, lambda *_: None)
    assert run.parts_at is None and run.mine[-20:].mean() < 0.5 * run.mine[:5].mean()


def test_the_answer_is_told_after_asking(folder, capsys, monkeypatch):
    path = written(folder, workshop.find("gru").broken(2))
    answers = iter(["", "y"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert commands.answer(workshop.find("gru"), Path(path), False) == 1
    assert "wrong sign" not in capsys.readouterr().out
    assert commands.answer(workshop.find("gru"), Path(path), False) == 0
    assert "wrong sign" in capsys.readouterr().out
    assert commands.answer(workshop.find("gru"), Path(written(folder, "x = 1\n", "x.py")), True) == 2


def test_as_a_learner(folder):
    """The LSTM from start to end, through a pseudo-terminal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "110", "LINES": "40"}

    def run(*arguments, code=0, answer=None):
        child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", *arguments], env=environment, encoding="utf-8",
                              timeout=120, dimensions=(40, 110))
        said = ""
        if answer is not None:
            child.expect("Sure")
            said = child.before
            child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        said += child.before
        assert child.exitstatus == code, said
        return said

    assert "nblayers check lstm my_lstm.py" in run("start", "lstm")
    assert "not written yet" in run("check", "lstm", "my_lstm.py", code=1)
    piece = workshop.find("lstm")
    Path("my_lstm.py").write_text(piece.solution(), encoding="utf-8")
    said = run("check", "lstm", "my_lstm.py")
    assert said.count("✓") == len(piece.cases) + 1 and "All 10 right" in said and "lessons/workshop/lstm.py" in said
    said = run("train", "lstm", "my_lstm.py", "--steps", "4")
    assert "4 / 4" in said and "Your curve lies on the library's" in said and "It writes" in said
    assert "You have written the whole backward of an LSTM" in said
    assert Path("lessons/out/my_lstm_curve.png").is_file()

    assert "one bug" in run("break", "lstm", "--bug", "1")
    said = run("check", "lstm", "broken_lstm.py", code=1)
    assert "✓ one step, three samples" in said and "✗ two steps, one sample: wrong is the gradient of x" in said
    assert "gradient checker's words" in said
    said = run("break", "lstm", "--look", "broken_lstm.py")
    assert "dx, step 1 " in said and "<-" in said and "is no bug" in said
    assert Path("lessons/out/broken_lstm_norms.png").is_file()
    assert "then dropped" in run("break", "lstm", "--answer", "broken_lstm.py", answer="y")
    text = Path("broken_lstm.py").read_text(encoding="utf-8")
    Path("broken_lstm.py").write_text(text.replace("dC_t = dh * o", "dC_t = dC + dh * o"), encoding="utf-8")
    assert "The bug is found" in run("check", "lstm", "broken_lstm.py")


def a_job(kind):
    print("printed", kind)
    if kind == "endless":
        while True:
            pass
    if kind == "raises":
        raise ValueError("no")
    if kind == "exits":
        os._exit(3)
    if kind == "a function":
        return lambda: 0
    return input() if kind == "asks" else kind


def test_sandbox():
    kinds = ["fine", "endless", "raises", "exits", "a function", "asks", 7]
    start = time.perf_counter()
    outcomes = list(sandbox.each_limited(a_job, kinds, seconds=1))
    assert time.perf_counter() - start < 90
    assert [outcome.state for outcome in outcomes] == ["done", "late", "raised", "died", "raised", "raised", "done"]
    assert [outcome.prints for outcome in outcomes] == [f"printed {kind}\n" for kind in kinds]
    assert outcomes[0].value == "fine" and outcomes[-1].value == 7
    assert isinstance(outcomes[2].error, ValueError) and "a_job" in outcomes[2].trace
