"""The machinery of the lessons: reading scripts, stepping and going back, maths in a terminal, notebooks, the command."""
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import textwrap
import unicodedata

import numpy as np
import pexpect
import pytest
from rich.console import Console

import nblayers
from nblayers.learn import catalogue, exercises, latex, memory, script, session, terminal, tools
from nblayers.learn.values import describe

LESSON = r'''
# ---
# jupyter:
#   kernelspec: python3
# ---

# %% [markdown]
# # 99 · A small lesson
#
# *About 5 minutes.* Look at $\frac{\partial L}{\partial x}$ and `$code$`.
#
# $$y = x W^\top + b \tag{002.Linear}$$

# %%
import random
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(2, 3))         # (N, in)


def double(v):
    """Twice.

# %% no marker
    """
    return 2 * v


# %% [markdown]
# ## A loop

# %%
total, kept = 0.0, []
row = x[0]
for i in range(3):
    # the sum so far
    total += x[0, i]
    kept.append(total)
kept.append(rng.normal())
row[0] = 7
luck = random.random(), np.random.rand()
assert len(kept) == 4
assert row[0] == x[0, 0]
print("total", round(total, 3))
double(total)
'''


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(LESSON.lstrip("\n"), encoding="utf-8")
    return path


@pytest.fixture
def at_end(lesson):
    """A session that has been run to its end."""
    run = session.Session(script.read(lesson))
    with run.as_main():
        while run.next():
            pass
        yield run


def test_cells_and_steps(lesson):
    found = script.read(lesson)
    assert (found.title, found.minutes, found.takes_options) == ("A small lesson", 5, False)
    assert [cell.kind for cell in found.cells] == ["text", "code", "text", "code"]
    steps = found.steps()
    lines = lesson.read_text(encoding="utf-8").split("\n")
    for step in steps:
        first = step.source.split("\n")[0]
        assert lines[step.line - 1] == (f"# {first}" if step.kind == "text" else first)
    sources = [step.source for step in steps if step.kind == "code"]
    assert sources[0] == "import random\nimport numpy as np"              # imports in a row are one step
    assert sources[-3] == "assert len(kept) == 4\nassert row[0] == x[0, 0]"
    assert sources[3].startswith("def double") and sources[3].endswith("return 2 * v") and "no marker" in sources[3]
    assert steps[0].section == "99 · A small lesson" and steps[-1].section == "A loop"
    assert [step.source.split("\n")[0] for step in steps if step.can_be_entered] == ["for i in range(3):"]


@pytest.mark.parametrize("source, kinds", [
    ("x = 1\n", ["code"]), ("", []), ("# %%\n", []), ("# %% [markdown]\n# hello\n", ["text"]),
    ("import sys\n# %% [markdown]\n# hello\n# %% a title\nx = 1\n", ["code", "text", "code"]),
])
def test_odd_scripts(source, kinds):
    assert [cell.kind for cell in script.parse(source).cells] == kinds


def test_a_script_that_is_no_python():
    with pytest.raises(SyntaxError):
        script.parse("# %%\nx = (\n")


@pytest.mark.parametrize("loop, plain", [
    ("for i in x:\n    y = i", True), ("for i in x:\n    break", False), ("for i in x:\n    y = 1\nelse:\n    y = 2", False),
    ("for i in x:\n    if i:\n        continue", False), ("for i in x:\n    for j in x:\n        break", True),
    ("while x:\n    y = 1", False),
])
def test_which_loops_can_be_entered(loop, plain):
    assert script.parse(loop).steps()[0].can_be_entered is plain


def test_notebook(lesson):
    import jupytext
    import nbformat
    text = script.notebook_text(script.read(lesson))
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert json.loads(text)["nbformat"] == 4
    theirs = jupytext.reads(LESSON.split("# ---\n")[-1].lstrip("\n"), fmt="py:percent")
    assert [(c.cell_type, c.source) for c in notebook.cells] == [(c.cell_type, c.source) for c in theirs.cells]


def run_all(run):
    while run.next():
        pass


def contents(run):
    names = ("x", "row", "total", "kept", "luck")
    return {name: np.array(run.namespace[name]).tolist() for name in names if name in run.namespace}


def test_stepping_is_running(at_end, lesson):
    plain = {"__name__": "__main__"}
    exec(compile(lesson.read_text(encoding="utf-8"), "plain", "exec"), plain)
    for name in ("x", "kept", "total"):
        assert np.array_equal(plain[name], at_end.namespace[name])
    assert at_end.value == 2 * at_end.namespace["total"]


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 14])
def test_back_is_exact(at_end, steps):
    """Values, random numbers, two names for one array, the contents of a list: all as they were."""
    end, x, length = contents(at_end), at_end.namespace["x"], len(at_end.steps)
    for _ in range(steps):
        at_end.back()
    assert at_end.position == length - steps
    if "x" in at_end.namespace:
        assert at_end.namespace["x"] is x
    run_all(at_end)
    assert contents(at_end) == end and at_end.position == length
    assert np.shares_memory(at_end.namespace["x"], at_end.namespace["row"]) and at_end.namespace["row"][0] == 7


def test_every_state_comes_back(lesson):
    run = session.Session(script.read(lesson))
    with run.as_main():
        states = [(set(run.namespace), contents(run))]
        while run.next():
            states.append((set(run.namespace), contents(run)))
        while run.position:
            run.back()
            assert (set(run.namespace), contents(run)) == states[run.position]
    with pytest.raises(session.CannotGo, match="start"):
        run.back()


def test_what_changed(lesson):
    run = session.Session(script.read(lesson))
    seen = {}
    with run.as_main():
        while (step := run.next()):
            seen[step.source.split("\n")[-1]] = {(change.name, change.in_place) for change in run.changed}
    assert ("x", False) in seen["x = rng.normal(size=(2, 3))         # (N, in)"]
    assert ("rng", True) in seen["x = rng.normal(size=(2, 3))         # (N, in)"]
    assert seen["    kept.append(total)"] == {("kept", True), ("total", False), ("i", False)}
    assert seen["kept.append(rng.normal())"] == {("kept", True), ("rng", True)}
    assert seen["row[0] = 7"] == {("row", True), ("x", True)}
    assert seen["double(total)"] == set()


STATE = '''
import collections
import nblayers.random
from nblayers.layers import Dense

class Slotted:
    __slots__ = ("a",)

def counter():
    count = 0
    def more():
        nonlocal count
        count += 1
        return count
    return more

more = counter()
slotted = Slotted()
slotted.a = 1
bag, queue, table = {1}, collections.deque([1]), collections.defaultdict(list)
nan = np.array([np.nan, -0.0])
words = np.array(["a", None], dtype=object)
fixed = np.arange(3.0)
fixed.flags.writeable = False
called = Dense(2)
called(np.ones((1, 3)))
'''

CHANGE = '''
more()
slotted.a = 2
bag.add(2)
queue.append(2)
table["x"].append(1)
nan[1] = 0.0
words[0] = "b"
layer = Dense(2, name=None)
nblayers.random.generator().normal()
nblayers.random.set_seed(3)
called(np.zeros((4, 3)))
nblayers.set_device("reference")
nblayers.config.set_floatx("float64")
'''


def test_all_kinds_of_state_come_back():
    run = session.Session(script.parse("import numpy as np\n" + STATE + "pass\n" + CHANGE))
    with run.as_main():
        while run.upcoming.source != "pass":
            run.next()
        start, space = run.position, run.namespace
        generator = space["nblayers"].random.generator()
        state = generator.bit_generator.state
        run_all(run)
        assert (space["slotted"].a, len(space["bag"]), len(space["queue"]), space["words"][0]) == (2, 2, 2, "b")
        first_name = space["layer"].name
        assert space["called"].cache.x.shape == (4, 3) and space["layer"].device == "cpu"
        run.back(start)
        assert space["called"].cache.x.tolist() == [[1, 1, 1]]
        assert (nblayers.get_device(), nblayers.config.floatx()) == ("cpu", "float32")
        assert (space["slotted"].a, space["bag"], list(space["queue"]), dict(space["table"])) == (1, {1}, [1], {})
        assert np.signbit(space["nan"][1]) and space["words"].tolist() == ["a", None]
        assert space["nblayers"].random.generator() is generator and generator.bit_generator.state == state
        run_all(run)
        assert space["layer"].name == first_name and space["more"]() == 2


def test_a_large_model_is_compared_not_copied():
    """An array that does not change is kept once, however many steps there are."""
    small = "\n".join(f"a{i} = {i}" for i in range(20))
    run = session.Session(script.parse(f"import numpy as np\nbig = np.zeros(1_000_000)\n{small}"))
    with run.as_main():
        run_all(run)
    copies = {key: size for moment in run._past for key, size in moment.snapshot.arrays().items()}
    assert sum(copies.values()) == 8_000_000


def test_a_module_s_loader_is_no_state_of_it():
    """pytest loads the modules of packages with plugins itself: through its loader all tests can be reached."""
    class Loader(type(pytest.mark)):                    # a class of pytest's
        pass
    Loader.__module__ = "_pytest.assertion.rewrite"
    loader = object.__new__(Loader)
    loader.tests = [["a test"]]
    spec = importlib.util.spec_from_loader("module", loader)
    assert len(memory.take([{"__loader__": loader, "__spec__": spec, "x": [1]}]).contents) == 4


def test_old_steps_are_forgotten_when_memory_is_short(monkeypatch):
    monkeypatch.setattr(session, "MOST_BYTES", 50_000)
    run = session.Session(script.parse("import numpy as np\na = np.zeros(1000)\n" + "a[0] += 1\n" * 40))
    with run.as_main():
        run_all(run)
        run.back()
        assert run.namespace["a"][0] == 39
        with pytest.raises(session.CannotGo, match="too large"):
            run.back(1)
        assert run.namespace["a"][0] == 39


def test_too_many_objects(monkeypatch):
    run = session.Session(script.parse("a = 1\nb = [[] for _ in range(1000)]\nc = 2\n"))
    monkeypatch.setattr(memory, "MOST_OBJECTS", 900)
    with run.as_main():
        run_all(run)
        assert run.namespace["c"] == 2
        with pytest.raises(session.CannotGo, match="too large"):
            run.back()


def test_an_error_in_the_lesson_changes_nothing(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("a = [1]\n\nfor i in range(3):\n    a.append(1 / (1 - i))\n")
    run = session.Session(script.read(path))
    with run.as_main():
        run.next()
        with pytest.raises(session.LessonError, match="line 4: ZeroDivisionError") as caught:
            run.next()
        assert caught.value.line == 4 and isinstance(caught.value.error, ZeroDivisionError)
        assert run.namespace["a"] == [1] and "i" not in run.namespace and run.position == 1
        run.skip()
        assert run.next() is None
        run.back()
        assert run.position == 1


def test_a_loop_turn_by_turn(lesson):
    whole, run = session.Session(script.read(lesson)), session.Session(script.read(lesson))
    with whole.as_main():
        run_all(whole)
    with run.as_main():
        while not run.upcoming.can_be_entered:
            run.next()
        start, steps = run.position, len(run.steps)
        assert run.enter_loop() == 3 and len(run.steps) == steps - 1 + 2 * 3
        first = run.next()
        assert first.source.startswith("for i in range(3):") and first.turn == "turn 1 of 3"
        assert run.namespace["i"] == 0 and run.namespace["kept"] == []
        run.next()
        assert len(run.namespace["kept"]) == 1
        run.next()
        assert run.namespace["i"] == 1
        run.back(start)
        assert run.upcoming.can_be_entered and len(run.steps) == steps and run.namespace["kept"] == []
        run.enter_loop()
        run_all(run)
    assert contents(run)["kept"] == contents(whole)["kept"]


@pytest.mark.parametrize("source, message", [
    ("x = 1", "not a for loop"), ("for i in range(3):\n    break", "break"),
    ("import itertools\nfor i in itertools.count():\n    pass", "more than"),
])
def test_loops_that_cannot_be_entered(source, message):
    run = session.Session(script.parse(source))
    with run.as_main():
        while len(source.split("\n")) == 3 and not run.position:
            run.next()
        with pytest.raises(session.CannotGo, match=message):
            run.enter_loop()


def test_the_lesson_is_main_and_sees_its_options(tmp_path):
    path = tmp_path / "options.py"
    path.write_text("import sys\nargv, name = sys.argv, __name__\nmain = sys.modules['__main__']\n")
    found = script.read(path)
    assert found.takes_options
    before = sys.argv, sys.modules["__main__"]
    run = session.Session(found, ["--text", "a.txt"])
    with run.as_main():
        run_all(run)
    assert run.namespace["argv"] == [str(path), "--text", "a.txt"] and run.namespace["name"] == "__main__"
    assert vars(run.namespace["main"]) is run.namespace and (sys.argv, sys.modules["__main__"]) == before


def test_what_cannot_be_taken_back_is_named(tmp_path):
    path = str(tmp_path / "a")
    run = session.Session(script.parse(f"f = open({path!r}, 'w')\nc = f.write('x')\nit = iter([1, 2])\nd = next(it)\n"))
    with run.as_main():
        run_all(run)
        assert run.back() == ["it (an iterator)"]
        run.back()
        assert run.back() == ["f (an open file)"]
        run.namespace["f"].close()


@pytest.mark.parametrize("tex, text", [
    (r"f_t = \sigma(W_x \cdot [h_{t-1}, x_t])", "fₜ = σ(Wₓ · [hₜ₋₁, xₜ])"),
    (r"\frac{a}{b + c}", "  a\n─────\nb + c"),
    (r"a = \frac{1}{2}\frac{x}{y} z", "    1 x\na = ─ ─ z\n    2 y"),
    (r"W_f", "W_f"), (r"d_{input} + b_{C}^2 - x_{t, i}", "d_input + b_C² − x_(t,i)"),
    (r"e^{x_i}", " xᵢ\ne"),
    (r"x^2 - -y^{-1}", "x² − −y⁻¹"),
    (r"\sum_{t=1}^{T} h_t", " T\n ∑  hₜ\nt=1"),
    (r"\sum_j p_j \log p_j", "∑ⱼ pⱼ log pⱼ"),
    (r"\left( \frac{a}{b} \right)^2", "⎛a⎞²\n⎜─⎟\n⎝b⎠"),
    (r"\begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}", "⎧x  x > 0\n⎩0  else"),
    (r"\begin{pmatrix} 1 & 22 \\ 333 & 4 \end{pmatrix}", "⎛ 1   22⎞\n⎝333  4 ⎠"),
    (r"\begin{aligned} a &= b \\ &= c \end{aligned}", "a = b\n  = c"),
    (r"\underbrace{a + b}_{c}", "a + b\n╰─┬─╯\n  c"),
    (r"\tilde{C}_t \odot \hat y", "C̃ₜ ⊙ ŷ"),
    (r"\sqrt{x + 1} \sqrt x \sqrt[3]{\epsilon}", "√(x + 1)√x∛ε"),
    (r"\operatorname{softmax}(x) \in \mathbb{R}^n, \mathcal{L}", "softmax(x) ∈ ℝⁿ, ℒ"),
])
def test_displayed_formulas(tex, text):
    assert latex.display(tex) == (unicodedata.normalize("NFC", text), None)


@pytest.mark.parametrize("tex, text", [
    (r"\frac{\partial L}{\partial W_{ij}}", "∂L/∂Wᵢⱼ"), (r"\frac{a + b}{2h}", "(a + b)/(2h)"),
    (r"W_f x^{y+z_1}", "W_fx^(y+z₁)"), (r"e^{x_i}", "e^xᵢ"), (r"10^{-7}", "10⁻⁷"), (r"W^\top", "Wᵀ"),
    (r"h \in [0, 1]", "h ∈ [0, 1]"),
])
def test_formulas_in_a_sentence(tex, text):
    assert latex.inline(tex) == text


def test_tag_and_width():
    shown, tag = latex.display(r"a = b \tag{001.02.log\_softmax}")
    assert (shown, tag) == ("a = b", "001.02.log_softmax")
    long = " + ".join(rf"\frac{{x_{{{i}}}}}{{2}}" for i in range(30))
    shown, _ = latex.display("y = " + long, 60)
    assert max(map(latex.width, shown.split("\n"))) <= 60 and shown.count("x") == 30


@pytest.mark.parametrize("tex", [r"\frac{a", r"a}", r"\unknown{x} + 1", r"\begin{what} a \end{what}", r"\left( a", "x_", "",
                                 "\\", r"\begin{cases} a", "{" * 3000, r"a & b", r"\tag", r"\mathbb"])
def test_what_cannot_be_read_stays_as_it_is(tex):
    assert latex.display(tex) == (tex, None) and latex.inline(tex) == tex


def talk(path, *lines, width=90, arguments=()):
    """What the stepper shows when these lines are typed."""
    console = Console(record=True, file=io.StringIO(), width=width, force_terminal=True, highlight=False)
    typed = iter(lines)

    def ask(prompt):
        console.print(prompt, end="")
        line = next(typed, None)
        if line is None:
            raise EOFError
        if isinstance(line, BaseException):
            raise line
        return line
    stepper = terminal.Stepper(session.Session(script.read(path), arguments), console, ask)
    stepper.run()
    return console.export_text(), stepper


def test_a_lesson_is_shown_step_by_step(lesson, capsys):
    shown, _ = talk(lesson, *[""] * 15)
    assert "A small lesson" in shown and "y = xWᵀ + b   (002.Linear)" in shown and "∂L/∂x" in shown and "$code$" in shown
    assert re.search(r"x += rng\.normal\(size=\(2, 3\)\)", shown) and "float64 (2, 3)" in shown and "0.1257" in shown
    assert "✓" in shown and "The end of the lesson" in shown and "total 0.634" in capsys.readouterr().out
    assert "into: the loop" in shown


def test_looking_and_going_back(lesson):
    shown, stepper = talk(lesson, "", "", "", "x.shape", "nope", "1 +", "1 / 0", "b", "'x' in globals()", "", "x.sum()", "q")
    assert "(2, 3)" in shown and "NameError" in shown and "SyntaxError" in shown and "ZeroDivisionError" in shown
    assert "Back before line 18" in shown and "False" in shown and stepper.session.position == 4


def test_experiments(lesson):
    shown, stepper = talk(lesson, "", "", "", "x[0, 0] = 5", "x[0, 0]", "b", "", "x[0, 0]", "q")
    assert "5.0" in shown and stepper.session.namespace["x"][0, 0] != 5


def test_jumping(lesson):
    shown, stepper = talk(lesson, "go loop", "q")
    assert stepper.session.position == 6 and stepper.session.steps[5].section == "A loop"
    shown, stepper = talk(lesson, "go 9", "go 2", "steps", "go nowhere", "go = 3", "go")
    assert stepper.session.position == 2 and "no section" in shown and "A loop" in shown
    _, stepper = talk(lesson, "go 9999", "go 0")
    assert stepper.session.position == 0


def test_into_and_out_of_a_loop(lesson):
    shown, stepper = talk(lesson, "into", "out", "go loop", "", "", "into", "i", "out", "kept", "q")
    assert "not a for loop" in shown and "not inside a loop" in shown and "turn 3 of 3" in shown
    assert stepper.session.upcoming.source == "kept.append(rng.normal())"


def test_run_on_and_help(lesson):
    shown, stepper = talk(lesson, "?", "c", "", "nothing is asked any more")
    assert "look at it" in shown and stepper.session.upcoming is None


def test_a_command_that_is_also_a_variable(tmp_path):
    path = tmp_path / "names.py"
    path.write_text("b, c, h, n = 11, 22, 33, 44\nx = 0\n")
    shown, stepper = talk(path, "c", "h", "n", "p b", "b", "q")
    assert "22" in shown and "33" in shown and "44" in shown and "11" in shown      # only b and q stay commands
    assert "Back before line 1" in shown and stepper.session.position == 0


def test_errors_in_a_lesson_are_survived(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("x = 0\ny = 1 / x\nz = 2\n")
    shown, stepper = talk(path, "", "", "x = 4", "", "", "")
    assert "Line 2 of the lesson stopped with ZeroDivisionError" in shown and stepper.session.namespace["y"] == 0.25
    shown, stepper = talk(path, "", "c", "skip", "c")
    assert stepper.session.upcoming is None and "y" not in stepper.session.namespace and "left out line 2" in shown


def test_interrupts_and_the_end_of_input(tmp_path):
    path = tmp_path / "interrupted.py"
    path.write_text("tries = []\ntries.append(1)\nif len(tries) < 2 and first:\n    raise KeyboardInterrupt\n")
    source = path.read_text().replace("tries = []", "tries = []\nfirst = True")
    path.write_text(source)
    shown, stepper = talk(path, "", "", "", "first = False", "", KeyboardInterrupt())
    assert "Interrupted: nothing has changed" in shown and stepper.session.upcoming is None
    _, stepper = talk(path, "exit()")
    assert stepper.session.position == 1


def test_awkward_objects_do_not_stop_the_stepper(tmp_path):
    path = tmp_path / "awkward.py"
    path.write_text(textwrap.dedent("""
        class Bad:
            def __repr__(self):
                raise RuntimeError("no repr")
        bad = Bad()
        bad
        loop = []
        loop.append(loop)
        text = "[red]not markup[/]" * 200
        def f():
            return 1
    """))
    shown, stepper = talk(path, *[""] * 12, "text", "f", "loop")
    assert stepper.session.upcoming is None and "no repr" in shown and "[red]not markup" in shown and "f()" in shown


@pytest.mark.parametrize("value, kind, content", [
    (np.arange(3.0), "float64 (3,)", "[0. 1. 2.]"), (np.float32(0.5), "float32", "0.5"), ([1, 2], "list of 2", "[1, 2]"),
    (np.zeros((100, 100)), "float64 (100, 100)", "from 0 to 0, mean 0"), (None, "NoneType", "None"),
    ([np.zeros(2), np.zeros((50, 2))], "list of 2", "1: float64 (50, 2)"), ({"a": np.ones(1)}, "dict of 1", "a: float64 (1,)"),
    (np.full(200, np.nan), "float64 (200,)", "nan"),
])
def test_values_are_told(value, kind, content):
    told = describe(value)
    assert told[0] == kind and content in told[1]


def test_a_layers_cache_and_weights_are_told():
    from nblayers.layers import Dense
    layer = Dense(2)
    layer.forward(np.ones((3, 4)))
    kind, content = describe(layer.cache)
    assert kind == "Cache" and re.search(r"^x: float32 \(3, 4\)", content, re.MULTILINE)
    assert describe(layer.kernel)[0].startswith("Parameter dense/kernel, float32 (4, 2)")


def command(*arguments, cwd=None, **options):
    return subprocess.run([sys.executable, "-m", "nblayers.cli", *map(str, arguments)], capture_output=True, text=True, cwd=cwd,
                          stdin=subprocess.DEVNULL, timeout=120, encoding="utf-8",
                          env=os.environ | {"PYTHONIOENCODING": "utf-8"} | options)


def test_lessons_are_listed():
    done = command("lessons")
    assert done.returncode == 0
    for path in catalogue.lessons():
        named = f"{catalogue.number_of(path):4}{catalogue.name_of(path)}"
        assert re.search(rf"^{named} +\d+ min  \w", done.stdout, re.MULTILINE), path.stem


@pytest.mark.parametrize("name, stem", [
    ("1", "01_finite_differences"), ("01", "01_finite_differences"), ("finite", "01_finite_differences"),
    ("linear_and_dense", "02_linear_and_dense"), ("Cross-Entropy", "04_softmax_and_cross_entropy"),
    ("04_softmax_and_cross_entropy.py", "04_softmax_and_cross_entropy"),
])
def test_lessons_are_found(name, stem):
    assert catalogue.find(name).stem == stem


@pytest.mark.parametrize("name, message", [
    ("99", "no lesson"), ("softmux_and_cross_entropy", "did you mean"), ("_", "more than one"), ("", "no lesson"),
])
def test_lessons_that_are_not_found(name, message):
    with pytest.raises(catalogue.UnknownLesson, match=message):
        catalogue.find(name)


def test_an_unknown_lesson_is_exit_code_2():
    for subcommand in ("learn", "notebook", "check"):
        done = command(subcommand, "lstn_or_so")
        assert done.returncode == 2 and "no lesson 'lstn_or_so'" in done.stderr and "01_finite_differences" in done.stderr
    assert command("dance").returncode == 2 and command("lessons", "--what").returncode == 2
    assert command("--version").stdout.startswith("nblayers 0.")


@pytest.mark.parametrize("arguments", [(), ("--no-pause",)])
def test_straight_through(lesson, arguments):
    done = command("learn", lesson, *arguments)
    assert done.returncode == 0, done.stderr
    assert "A small lesson\n══════════════" in done.stdout and "    y = xWᵀ + b   (002.Linear)" in done.stdout
    assert "total 0.634" in done.stdout and "1.26" in done.stdout                 # what it prints, and its last expression
    assert "\x1b" not in done.stdout and not re.search(r" $", done.stdout, re.MULTILINE)


def test_an_output_that_knows_no_greek(lesson):
    done = command("learn", lesson, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0 and "A small lesson" in done.stdout


def test_straight_through_an_error(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("# %%\nx = 0\n\ndef f():\n    return 1 / x\n\nprint('before')\nf()\n")
    done = command("learn", path)
    assert done.returncode == 1 and "before" in done.stdout
    assert "line 8" in done.stderr and "line 5" in done.stderr and "ZeroDivisionError" in done.stderr
    assert "nblayers/learn" not in done.stderr
    path.write_text("x = (\n")
    done = command("learn", path)
    assert done.returncode == 2 and "line 1" in done.stderr


def test_options_go_to_the_lesson(tmp_path):
    path = tmp_path / "options.py"
    path.write_text("import sys\nprint(sys.argv[1:])\n")
    assert "['--text', 'a b']" in command("learn", path, "--no-pause", "--text", "a b").stdout
    path.write_text("print(1)\n")
    done = command("learn", path, "--text", "a")
    assert done.returncode == 2 and "takes no options" in done.stderr


def test_notebook_command(tmp_path):
    import nbformat
    done = command("notebook", "1", cwd=tmp_path)
    path = tmp_path / "01_finite_differences.ipynb"
    assert done.returncode == 0 and path.name in done.stdout
    nbformat.validate(nbformat.read(path, as_version=4))
    again = command("notebook", "1", cwd=tmp_path)
    assert again.returncode == 2 and "already" in again.stderr
    assert command("notebook", "1", "--force", cwd=tmp_path).returncode == 0
    assert command("notebook", "1", "-o", tmp_path / "no" / "such", cwd=tmp_path).returncode == 2


def test_nothing_heavy_is_imported_by_the_command():
    code = "import sys, nblayers.cli; print({'numba', 'rich', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.fixture
def terminal_session(lesson):
    child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", "learn", str(lesson)], encoding="utf-8", dimensions=(40, 100),
                          timeout=60, env=os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"})
    child.expect("help > ")
    yield child
    child.close(force=True)


def ends(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def test_a_session_in_a_terminal(terminal_session):
    child = terminal_session
    assert "A small lesson" in child.before and "002.Linear" in child.before
    for answer in ("import", "rng", "float64"):
        child.sendline("")
        child.expect(answer)
        child.expect("help > ")
    child.sendline("x.shape[1] * 14")
    child.expect("42")
    child.expect("help > ")
    child.sendline("nope")
    child.expect("NameError")
    child.expect("help > ")
    child.sendline("b")
    child.expect("Back before line 18")
    child.expect("help > ")
    child.sendline("'x' in globals()")
    child.expect("False")
    child.expect("help > ")
    child.sendline("q")
    assert ends(child) == 0


@pytest.mark.parametrize("key", ["c", "d"])
def test_control_c_and_d_leave_cleanly(terminal_session, key):
    terminal_session.sendcontrol(key)
    terminal_session.expect(pexpect.EOF)
    assert "Traceback" not in terminal_session.before
    terminal_session.close()
    assert terminal_session.exitstatus == 0


def test_control_c_interrupts_a_step(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text("import time\nprint('sleeping', flush=True) or time.sleep(60)\n")
    child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", "learn", str(path)], encoding="utf-8", timeout=60)
    child.expect("help > ")
    child.sendline("")
    child.expect("sleeping\r")
    child.sendcontrol("c")
    child.expect("Interrupted")
    child.expect("help > ")
    child.sendline("q")
    assert ends(child) == 0


def test_numerical_derivative():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    given = x.copy()
    assert np.allclose(tools.numerical_derivative(lambda x: (x ** 3).sum(), x), 3 * x ** 2)
    assert np.array_equal(x, given)
    assert np.allclose(tools.numerical_derivative(lambda x: x ** 2, 3), 6)
    assert np.allclose(tools.numerical_derivative(lambda x: np.multiply(x, x, out=x).sum(), x), 2 * x)      # in place


def test_check_derivative(capsys):
    x = np.array([1.0, 2.0])
    tools.check_derivative("dx", 2 * x, lambda x: (x ** 2).sum(), x)
    assert "dx agrees with the numerical derivative" in capsys.readouterr().out
    with pytest.raises(AssertionError, match=r"dx\[1\] is 4.001, but its numerical derivative is 4"):
        tools.check_derivative("dx", [2, 4.001], lambda x: (x ** 2).sum(), x)
    with pytest.raises(AssertionError, match="shape"):
        tools.check_derivative("dx", 2.0, lambda x: (x ** 2).sum(), x)


def test_a_single_number_has_no_index():
    with pytest.raises(AssertionError, match=r"^db is -6, but its numerical derivative is 2"):
        tools.check_derivative("db", -6.0, lambda b: 2 * b, 1.0)


def test_show_source(capsys):
    from nblayers.layers import Dense
    tools.show_source(Dense.backward, "kernels.cuda.core:_bias_backward", describe)
    out = capsys.readouterr().out
    for shown in ("nblayers/layers/core.py, line", "def backward(self, dy", "@cuda.jit", "def describe"):
        assert shown in out
    with pytest.raises(AttributeError, match="no function"):
        tools.show_source("kernels.cuda.core:nothing")
    with pytest.raises(ModuleNotFoundError):
        tools.show_source("kernels.cuda.nothing:nothing")


def test_save_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    import matplotlib.pyplot as plt
    figure, _ = plt.subplots()
    tools.save_figure(figure, "test")
    assert (tmp_path / "lessons" / "out" / "test.png").stat().st_size > 1000
    assert "lessons/out/test.png" in capsys.readouterr().out


def test_close_numbers_and_known_mistakes():
    exercises.expect_close([1, 2], [1, 2], "a")
    for got, message in (([1, 3], r"a\[1\] is 3, but should be 2"), ([2, 4], "twice as large"), ([1, 2, 3], "shape"),
                         ("no", "numbers"), ([np.nan, 2], "NaN"), ([7, 7], "seven")):
        with pytest.raises(exercises.Wrong, match=message):
            exercises.expect_close(got, [1, 2], "a", {"seven is not the answer": [7, 7]})


def test_check_command(tmp_path):
    answer = tmp_path / "answer.py"
    answer.write_text("import numpy as np\ncentral_of_cube = 12\ndef silu_backward(x, dy):\n    return unknown\n"
                      "def fixed_derivative(f, x, h):\n    x += h\n    return x\n")
    done = command("check", "1", answer)
    assert done.returncode == 1 and "0 of 4 right" in done.stdout
    assert "12 is the derivative itself" in done.stdout and "NameError in line 4" in done.stdout
    assert "changes one of its arguments" in done.stdout and "best_h is not defined yet" in done.stdout
    answer.write_text("central_of_cube = 12.01\n")
    done = command("check", "1", answer)
    assert done.returncode == 0 and "✓ 1" in done.stdout and "1 of 4 right" in done.stdout
    for text, message in (("x = (\n", "SyntaxError in line 1"), ("\n1 / 0\n", "ZeroDivisionError in line 2")):
        answer.write_text(text)
        done = command("check", "1", answer)
        assert done.returncode == 1 and message in done.stdout
    assert command("check", "1", tmp_path / "none.py").returncode == 2
    listed = command("check", "1")
    assert listed.returncode == 0 and "silu_backward(x, dy)" in listed.stdout
