"""The stepper's finer points: functions that are stepped into, what is shown of values, pages, graphs."""
import io
import os
import re
import sys

import numpy as np
import pexpect
import pytest
from rich.console import Console

from nblayers.learn import graph, pager, script, session, terminal, tools
from nblayers.learn.values import describe

CALLS = '''
import numpy as np

x = np.array([1.0, 2.0])


def scale(v, by=2):
    """So many times as much."""
    made = []
    for item in v:
        # one after the other
        made.append(item * by)
    return np.array(made)


def first_above(v, limit):
    for item in v:
        if item > limit:
            return item
    return None


def nothing(v):
    v[0] += 1


def squares(v):
    deep = [scale(v) for _ in v]
    return sum(item ** 2 for item in v) + len(deep)


def factorial(n):
    if n < 2:
        return 1
    return n * factorial(n - 1)


y = scale(x) + scale(x, by=3)
a = first_above(y, 7)
nothing(x)
total = squares(x)
six = factorial(3)
'''
RESULTS = ("x", "y", "a", "total", "six")


def talk(source, *lines, width=90):
    """What the stepper shows when these lines are typed."""
    console = Console(record=True, file=io.StringIO(), width=width, force_terminal=True, highlight=False)
    typed = iter(lines)

    def ask(prompt):
        console.print(prompt, end="")
        line = next(typed, None)
        if line is None:
            raise EOFError
        return line
    parsed = script.parse(source) if isinstance(source, str) else script.read(source)
    stepper = terminal.Stepper(session.Session(parsed), console, ask)
    stepper.run()
    return console.export_text(), stepper


def start(source, upto=None):
    run = session.Session(script.parse(source))
    with run.as_main():
        while run.upcoming is not None and not (upto and run.upcoming.source.startswith(upto)):
            run.next()
    return run


def results(run):
    return {name: np.array(run.namespace[name]).tolist() for name in RESULTS if name in run.namespace}


def enter_all(run):
    """Run to the end, stepping into every loop and function; the states on the way."""
    states = []
    while run.upcoming is not None:
        states.append((run.position, len(run.frames), snapshot_of(run)))
        if run.entry == "the loop":
            run.enter_loop()
        elif run.entry:
            run.enter_function()
            continue
        run.next()
    return states


def snapshot_of(run):
    return {name: repr(value) for name, value in run.here.items()
            if not name.startswith("__") and not callable(value) and not isinstance(value, type(sys))}


def test_functions_stepped_into_give_the_same():
    whole, run = start(CALLS), session.Session(script.parse(CALLS))
    with run.as_main():
        states = enter_all(run)
    assert results(run) == results(whole) and not run.frames
    assert max(depth for _, depth, _ in states) == 3                        # factorial, in itself, in itself


def test_back_works_over_functions():
    run = session.Session(script.parse(CALLS))
    with run.as_main():
        states = enter_all(run)
        end = results(run)
        for position, depth, state in reversed(states):
            if position < run.position:
                run.back()
                if position == run.position and depth == len(run.frames):
                    assert snapshot_of(run) == state
        assert run.position == 0 and not run.frames and run.steps == run.script.steps()
        while run.next():
            pass
    assert results(run) == end


def test_a_functions_variables_are_in_view_and_back_leaves_it():
    run = start(CALLS, "y = scale")
    with run.as_main():
        steps = len(run.steps)
        assert run.entry == "scale()"
        name, head = run.enter_function()
        assert name == "scale" and head.startswith("def scale(v, by=2):") and "So many times" in head
        assert [(change.name, np.array(change.value).tolist()) for change in run.changed] == [("v", [1, 2]), ("by", 2)]
        assert run.next().source == "    made = []" and run.look("by + len(made)") == 2
        assert "made" not in run.namespace
        assert run.enter_loop() == 2
        while not run.returned:
            run.next()
        assert run.returned == "scale" and run.value.tolist() == [2, 4] and run.entry == "scale()"
        assert run.upcoming.source.startswith("y = scale")
        run.enter_function()
        assert run.look("by") == 3
        run.back(run.position - 1)
        assert run.look("by") == 2
        while run.frames:
            run.back()
        assert len(run.steps) == steps and run.entry == "scale()"


@pytest.mark.parametrize("source, message", [
    ("def f():\n    yield 1\nx = list(f())", "generator"),
    ("f = lambda: 1\nx = f()", "lambda"),
    ("n = 0\ndef f():\n    global n\n    n += 1\nx = f()", "global"),
    ("import random\ndef f(a):\n    return a\nx = random.random() + f(1)", "before it"),
    ("def f():\n    return 1\nx = [f() for _ in range(2)]", "before it|no function"),
    ("def f():\n    return 1\nx = 0 and f()", "no function"),
    ("import math\nx = math.sqrt(4)", "no function"),
])
def test_functions_that_cannot_be_entered(source, message):
    run = start(source, "x = ")
    with run.as_main(), pytest.raises(session.CannotGo, match=message):
        run.enter_function()


def test_a_closure_made_in_a_function_stepped_into():
    source = "def make(n):\n    m = [n]\n    def add(v):\n        m.append(v)\n        return sum(m)\n    return add\n" \
             "add = make(3)\ny = add(4)\nz = add(5)"
    run = session.Session(script.parse(source))
    with run.as_main():
        enter_all(run)
        assert (run.namespace["y"], run.namespace["z"]) == (7, 12)
        run.back()
        while run.frames or run.entry != "add()":
            run.back()
        assert run.look("add(0)") == 7


def test_into_and_out_of_a_function_in_the_dialogue():
    shown, stepper = talk(CALLS, "go 7", "into", "by", "into", "out", "out", "")
    assert "into: scale()" in shown and "into scale, statement by statement" in shown and "turn 2 of 2" in shown
    assert "scale returns" in shown and "Enter: step 8 of 12 in scale · b: back · into: the loop ·" in shown
    assert "Enter: step 8 of 12 in scale, turn 2 of 2 ·" in shown and "Enter: step 9 of 12 ·" in shown
    assert stepper.session.namespace["y"].tolist() == [5, 10]


def test_looking_does_not_repeat_the_last_change():
    shown, _ = talk("import numpy as np\nx = np.zeros(3)\nx[0] = 5\n", "", "", "x.sum()", "x[1] = 2")
    told = shown.split("x.sum()")[-1] if "x.sum()" in shown else shown
    assert told.count("[5. 0. 0.]") == 1 and "[5. 2. 0.]" in told           # after the step; the experiment shows its own


SET_UP = ("import sys\nimport math\n\nimport random\nown = sys.argv[1] if sys.argv[1:] else None\n"
          "assert not own\ntext = own or 'none'\nn = 3\n")


def test_the_set_up_is_one_folded_step():
    steps = script.parse(SET_UP).steps()
    assert [step.source.split("\n")[0] for step in steps] == ["import sys", "n = 3"]
    shown, _ = talk(SET_UP, "list")
    assert "imports and options, 7 lines; list shows them" in shown and shown.count("import random") == 1
    assert shown.index("imports and options") < shown.index("import random")
    assert len(script.parse("import sys\nx = 1\nimport math\ny = sys.argv").steps()) == 4


@pytest.mark.parametrize("shape", [(3,), (7, 9), (81,), (40, 30), (2, 3, 4), (2, 3, 2), (32, 3, 28, 28), (2, 2, 2, 2, 2),
                                   (30, 1), (0, 3), (300, 300, 2)])
def test_arrays_take_eight_lines_at_most(shape):
    value = np.random.default_rng(0).normal(size=shape)
    kind, content = describe(value, 70)
    lines = content.split("\n")
    assert len(lines) <= 8 and max(map(len, lines)) <= 70 + 30 and kind.startswith("float64")
    if value.size < 5000:
        whole = describe(value, 70, whole=True)[1]
        assert len(re.findall(r"-?\d+\.\d*", whole)) == value.size


def test_all_shows_the_whole_array():
    shown, _ = talk("import numpy as np\nx = np.arange(600).reshape(100, 6)\n", "", "all x")
    assert "(all x shows it whole)" in shown and "317" not in shown.split("all x shows")[0] and "317" in shown


def test_histories_and_tuples_are_tables():
    history = {"loss": [0.5, 0.25, 0.125], "accuracy": [0.5, 0.75, 1.0]}
    assert describe(history)[1].split("\n") == [" loss  accuracy", "  0.5       0.5", " 0.25      0.75", "0.125         1"]
    from nblayers.callbacks import History
    kept = History()
    kept.epoch, kept.history = list(range(30)), {"loss": [1 / (i + 1) for i in range(30)]}
    kind, content = describe(kept)
    lines = content.split("\n")
    assert kind == "History, 30 epochs" and len(lines) <= 8 and lines[-1].split() == ["30", "0.03333"]
    rows = describe([("small", 1.23456, 2), ("larger", 10.0, 30)])[1].split("\n")
    assert rows == ["small   1.235   2", "larger     10  30"]


def test_lists_of_arrays_and_of_many_numbers_are_told_by_their_kind():
    state = (np.zeros((2, 2)),) * 8
    assert describe([state] * 3)[1] == "each a tuple of 8: 8 × float64 (2, 2)"
    assert describe({"SGD": ([np.zeros((3, 4))], [0.1] * 30)})[1] == "SGD: tuple of 2  (list of 1, list of 30)"
    assert describe({"a": {"loss": [0.5] * 30, "accuracy": [0.1] * 30}})[1] == "a: dict of 2  (loss, accuracy)"


def test_a_small_array_of_three_axes_shows_its_first_matrix_whole():
    lines = describe(np.arange(30.0).reshape(2, 5, 3), 70)[1].split("\n")
    assert len(lines) == 6 and lines[-1] == "and 1 more such matrix" and "12. 13. 14." in lines[4]
    alone = describe(np.random.default_rng(0).normal(size=(1, 8, 8)), 70)[1].split("\n")
    assert len(alone) == 5 and alone[0].startswith("[0]  [[") and alone[-1].endswith("]]")      # no word of 0 more


@pytest.mark.parametrize("typed, whole", [
    ("x = 1", True), ("for t in range(3): print(t)", True), ("for t in range(3):\n    x = t", False),
    ("for t in range(3):\n    x = t\n", True), ("x = [1,\n     2]", True), ("x = [1,", False)])
def test_a_block_of_several_lines_ends_with_an_empty_one(typed, whole):
    assert terminal.is_whole(typed) == whole


def test_comments_far_to_the_right_move_up_where_a_line_is_too_long():
    line = "dh = dy + dh_next" + " " * 60 + "# (N, H)"
    assert tools.closer(line, 80) == "dh = dy + dh_next  # (N, H)" and tools.closer(line, 100) == line


def test_a_parameter_shows_its_gradient():
    from nblayers.layers import Dense
    layer = Dense(2)
    y = layer.forward(np.ones((1, 3), np.float32))
    assert "gradient  all zero" in describe(layer.kernel)[1]
    layer.backward(np.full_like(y, 4))
    content = describe(layer.kernel)[1]
    assert re.search(r"value +\[\[", content) and re.search(r"gradient +\[\[4\. 4\.\]", content)


def test_changed_inside_means_that_something_can_be_seen():
    source = ("import numpy as np\nfrom nblayers.layers import SimpleRNN\nlayer = SimpleRNN(2)\n"
              "x = np.ones((1, 2, 3), np.float32)\ny = layer(x)\ny2 = layer(2 * x)\ndx = layer.backward(y)\n"
              "layer.set_weights([w + 1 for w in layer.get_weights()])\n")
    run, told = session.Session(script.parse(source)), {}
    with run.as_main():
        while (step := run.next()):
            told[step.source] = [change.name for change in run.changed if change.in_place]
    assert told["y = layer(x)"] == ["layer"]                                # it got its weights
    assert told["y2 = layer(2 * x)"] == []                                  # only its cache
    assert told["dx = layer.backward(y)"] == ["layer"]                      # the gradients
    assert [told[step] for step in told if "set_weights" in step] == [["layer"]]


def test_changed_inside_does_not_push_the_numbers_aside():
    shown, _ = talk("import numpy as np\nclass Box:\n    pass\nbox = Box()\nx = np.zeros((2, 10))\n"
                    "x[:] = 0.123; box.a = 1\n", *[""] * 5, width=80)
    last = shown[shown.rindex("x[:]"):]
    assert "changed inside: box" in last
    assert re.search(r"^ +\[\[0\.123( 0\.123){9}\] *$", last, re.MULTILINE)


TRAINING = ("class Model:\n    def fit(self):\n        print('trained')\n\n"
            "def train():\n    Model().fit()\n\nx = 1\ntrain()\ny = 2\n")


def test_running_on_asks_before_a_training(tmp_path, capsys):
    path = tmp_path / "training.py"
    path.write_text(TRAINING)
    shown, stepper = talk(path, "c", "no", "c", "")
    assert "Line 9 trains" in shown and stepper.session.upcoming is None
    assert capsys.readouterr().out.count("trained") == 1
    _, stepper = talk(path, "c", "stop")
    assert stepper.session.upcoming.source == "train()"


def test_go_runs_unseen(capsys):
    source = "\n".join(f"a{i} = {i}\nprint('line', {i})" for i in range(10))
    shown, stepper = talk(source, "go 15", "go 200", "go 3")
    assert "ran 13 steps" in shown and "a5" not in shown and "a7 = 7" in shown
    assert "this lesson has 20 steps" in shown and stepper.session.position == 3
    assert "line 5" not in capsys.readouterr().out


def test_a_step_has_one_number_everywhere():
    source = "# %% [markdown]\n# # One\n# %%\na = 1\nb = 2\n# %% [markdown]\n# # Two\n# %%\nc = 3\nd = 4\n"
    shown, stepper = talk(source, "go 3", "b", "go 5", "steps")
    assert "b = 2" in shown and "Back before line 5 (step 3)" in shown and "Enter: step 3 of 6 ·" in shown
    assert "Enter: step 6 of 6 ·" in shown and "▸   4  Two" in shown and stepper.session.position == 5


LOOPS = ("# %% [markdown]\n# # One\n# %%\na = 0\nfor i in range(3):\n    a += i\n    a *= 2\nfor i in range(2):\n    a += 1\n"
         "# %% [markdown]\n# # Two\n# %%\nb = a\nc = b\n")


def test_what_a_loop_is_stepped_into_has_the_number_of_the_loop():
    """Of six steps the third and the fourth are loops; whatever was stepped into, the others keep their numbers."""
    shown, stepper = talk(LOOPS, "go 2", "into", "", "", "out", "into", "steps", "")
    assert "Enter: step 3 of 7, turn 1 of 3 ·" in shown and "Enter: step 3 of 7, turn 2 of 3 ·" in shown
    assert "Enter: step 4 of 7 · b: back · into: the loop" in shown and "Enter: step 4 of 7, turn 2 of 2 ·" in shown
    assert "   5  Two" in shown and "Enter: step 5 of 7 ·" in shown and stepper.session.position == 2 + 3 * 2 + 2
    shown, stepper = talk(LOOPS, "go 2", "into", "out", "into", "go 6")
    assert stepper.session.namespace["b"] == 10 and "c" not in stepper.session.namespace
    for back, a in (("go 4", 10), ("go 3", 8), ("go 2", 0)):
        shown, stepper = talk(LOOPS, "go 2", "into", "out", "into", back)
        assert stepper.session.namespace["a"] == a
        assert f"Enter: step {int(back[-1]) + 1} of 7 ·" in shown.rstrip().split("\n")[-1]
    shown, stepper = talk(LOOPS, "go 2", "into", "a = 50", "go 8")
    assert "go 2 takes that back." in shown and "this lesson has 7 steps" in shown


def test_a_prompt_leaves_room_for_a_command():
    for width in (60, 50):
        shown, _ = talk(LOOPS, "go 2", "into", "", width=width)
        prompts = re.findall("Enter: step .*?: help >", shown)
        assert prompts[-1].startswith("Enter: step 3 of 7, turn 2 of 3 ·") and max(map(len, prompts)) < width - 6, width


def test_an_experiment_is_told_when_a_later_line_fails():
    source = "x = 1\ny = 2\nz = x + y\nassert z == 3\n"
    shown, stepper = talk(source, "x = 7", "fresh = 1", "y", "", "", "")
    assert "x changed: the lesson goes on with its new value. go 1 takes that back." in shown
    assert "fresh changed" not in shown and "y changed" not in shown
    assert "You have changed x since step 1 (with 'x = 7')" in " ".join(shown.split())
    shown, stepper = talk(source, "x = 7", "", "", "", "go 1", "", "", "")
    assert "Line 4 of the lesson stopped" in shown and stepper.session.upcoming is None and not stepper.session.experiments
    shown, _ = talk(source.replace("== 3", "== 4"), "", "", "")
    assert "Line 4 of the lesson stopped" in shown and "You have changed" not in shown


@pytest.mark.parametrize("typed, names", [
    ("x[0] = 5", ("x",)), ("sum = 3", ("sum",)), ("rng.normal()", ("rng",)), ("new = 1", None), ("x.sum()", None),
    ("x = x", None),
])
def test_which_experiments_change_the_lesson(typed, names):
    run = start("import numpy as np\nrng = np.random.default_rng(0)\nx = np.zeros(3)\n")
    run.look(typed)
    assert [experiment.names for experiment in run.experiments] == ([names] if names else [])
    with run.as_main():
        run.back(1)
        assert run.experiments == []


def test_an_experiment_that_fails_halfway_has_changed_something():
    shown, stepper = talk("x = 1\ny = 2\n", "x = 7; 1 / 0")
    assert [experiment.names for experiment in stepper.session.experiments] == [("x",)] and "x changed" in shown


def test_an_experiment_may_be_a_block():
    shown, stepper = talk("x = 1\ny = 2\n", "for i in range(3):", "    x = i", "", "print(x", ")", "def f(:", "x = x")
    assert stepper.session.namespace["x"] == 2 and shown.count("... > ") == 3 and "... > )" not in shown
    assert "SyntaxError: invalid syntax" in shown and "<typed" not in shown and "nothing has changed" in shown


def test_comments_are_not_broken_in_their_brackets():
    line = "some_long_name = np.zeros((2, 3, 4))       # (N, T, H)"
    for width in range(40, len(line) + 8):
        console = Console(record=True, file=io.StringIO(), width=width)
        console.print(terminal.whole_code(script.parse(line).steps()[0]))
        assert "# (N, T, H)" in console.export_text()
    long = "x = 1  # " + 6 * "many words " + "(N, T, H) and more"
    console = Console(record=True, file=io.StringIO(), width=60)
    console.print(terminal.whole_code(script.parse(long).steps()[0]))
    shown = console.export_text()
    assert "(N, T, H)" in shown and max(len(line.rstrip()) for line in shown.split("\n")) <= 60


@pytest.mark.parametrize("value, shown", [
    (np.array([0.00034567, 0.1]), "[0.0003457 0.1      ]"), (np.array([0.01236, 1.0]), "0.01236"),
    (np.array([1.0, 2.5]), "[1.  2.5]"),
    (np.array([1e-7, 1.0]), "1.e-07"), (np.zeros(3), "[0. 0. 0.]"), (np.array([np.nan, 0.25]), "[ nan 0.25]"),
    (np.array([1, 20]), "[ 1 20]"),
])
def test_small_numbers_keep_four_digits(value, shown):
    assert shown in describe(value)[1]


def test_what_was_quick_the_last_time_is_not_asked_about(tmp_path):
    class Known(session.Session):
        seconds = 0.2

        def seconds_of(self, step):
            return self.seconds
    source = "for i in range(5000):\n    x = i\ny = 1\n"
    run = terminal.Stepper(Known(script.parse(source)), Console(file=io.StringIO()), lambda _: "")
    step, = script.parse("for i in range(5000):\n    x = i").steps()
    assert not run.may_take_long(step)
    Known.seconds = 31.0
    assert run.may_take_long(step) and run.agrees(step) and "took 31 seconds the last time" in run.console.file.getvalue()
    Known.seconds = None
    assert run.may_take_long(step)
    short, said = (script.parse(text).steps()[0] for text in ("for i in range(300):\n    x = i", "x = f()  # half a minute"))
    assert not run.may_take_long(short) and run.may_take_long(said)


def test_going_stops_at_an_error():
    shown, stepper = talk("a = 1\nb = 2\nc = 1 / 0\nd = 4\ne = 5\n", "go 5")
    assert "Line 3 of the lesson stopped with ZeroDivisionError" in shown and stepper.session.position == 2
    assert "c = 1 / 0" in shown


def test_what_was_left_out_is_named():
    source = "import math\nimport no_such_module as nsm\nx = math.pi\ny = nsm.z\n"
    shown, stepper = talk(source, "skip", "", "", "nsm", "b", "b")
    assert "left out line 2" in shown and "import no_such_module as nsm" in shown
    assert shown.count("nsm is made by line 2, which was left out") == 2
    assert stepper.session.namespace.get("math") is None or stepper.session.position == 1


def test_a_pager_stops_after_a_screenful():
    class Screen(io.StringIO):
        pass
    out, asked = Screen(), []

    def ask(question):
        asked.append(out.getvalue().count("\n"))
        return "" if len(asked) < 2 else "q"
    page = pager.Pager(out, 10, 40, ask)
    page.write("".join(f"line {i}\n" for i in range(30)))
    assert asked == [8, 16] and "line 15" in out.getvalue() and "line 16" not in out.getvalue()
    page = pager.Pager(out, 10, 40, ask)
    page.write("x" * 39 + "\n" + "\x1b[1m" + "y" * 40 + "\x1b[0m\n" + "z" * 200 + "\n")        # 1 + 1 + 5 lines
    assert page.shown == 7


def test_a_formula_is_not_cut_between_two_pages():
    out, seen = io.StringIO(), []
    page = pager.Pager(out, 12, 40, lambda question: seen.append(out.getvalue()) or "")
    box = ["+----+", "| dx |", "| -- |", "+----+"]
    page.write("\n".join([*(f"line {i}\n" for i in range(4)), *box, "", "last", ""]))
    assert len(seen) == 1 and seen[0].endswith("line 3\n\n")
    assert "\n".join(box) in out.getvalue() and out.getvalue().endswith("last\n")


@pytest.fixture
def at_terminal(tmp_path):
    children = []

    def begin(source, rows=24, columns=80):
        path = tmp_path / "lesson.py"
        path.write_text(source)
        child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", "learn", str(path)], encoding="utf-8", timeout=60,
                              dimensions=(rows, columns), env=os.environ | {"TERM": "xterm-256color"})
        child.expect("help > ")
        children.append(child)
        return child
    yield begin
    for child in children:
        child.close(force=True)


def test_long_output_is_paged_on_a_small_screen(at_terminal):
    child = at_terminal("x = 1\nfor i in range(60):\n    print('line', i)\ny = 2\n")
    child.sendline("")
    child.expect("more: Enter")
    assert "for" in child.before and "line 15" in child.before and "line 30" not in child.before
    child.sendline("")
    child.expect("more: Enter")
    assert "line 30" in child.before
    child.sendline("q")
    child.expect("help > ")
    assert "line 59" not in child.before
    child.sendline("i + y if 'y' in globals() else i")
    child.expect("59")


def test_a_matrix_is_not_cut_between_two_pages(at_terminal):
    child = at_terminal("import numpy as np\nx = 1\n\n"
                        "for i in range(3):\n    print(np.full((9, 3), i))\ny = 2\n", rows=24)
    child.sendline("")
    child.expect("help > ")
    child.sendline("")
    child.expect("more: Enter")
    assert child.before.count("[0 0 0]") == 9 and child.before.count("[1 1 1]") in (0, 9)
    child.sendline("")
    child.expect("help > |more: Enter")
    assert child.before.count("[2 2 2]") in (0, 9)


def test_source_is_no_wider_than_the_screen(at_terminal):
    child = at_terminal("from nblayers.learn.tools import show_source\nshow_source('nblayers.learn.tools:check_derivative')\n"
                        "x = 3\n", rows=60, columns=60)
    child.sendline("")
    child.expect("help > ")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", child.before)
    lines = [line.rstrip() for line in plain.split("\n")]
    assert "\x1b[" in child.before and max(map(len, lines)) <= 60
    words = re.sub(r"\s+", "", plain)
    assert "tolerance*max(1.0,np.abs(numeric).max())" in words
    assert any(line.strip().startswith("def check_derivative(name: str, analytic: Any,") for line in lines)
    assert not any(re.search(r"\bnumer$|\bdifferen$|\btoler$", line) for line in lines)


def test_titles_of_lessons_do_not_break_words():
    child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", "lessons"], encoding="utf-8", timeout=60, dimensions=(50, 64),
                          env={name: value for name, value in os.environ.items() if name != "COLUMNS"})
    child.expect(pexpect.EOF)
    lines = [line.rstrip() for line in child.before.split("\n")]
    assert max(map(len, lines)) <= 64 and any(line.startswith("    ") for line in lines)


GRAPHS = [make(name) for name in ("simple_rnn", "lstm", "gru") for make in (graph.cell, graph.unrolled)]


@pytest.mark.parametrize("drawn", GRAPHS, ids=lambda drawn: drawn.title)
def test_graphs_fit_a_screen_and_every_edge_can_be_lit(drawn, capsys):
    graph.show_graph(drawn)
    plain = capsys.readouterr().out
    assert drawn.width <= 80 and drawn.height <= 16 and not set(plain) & set("━┃")
    for node in drawn.nodes:
        assert node.label in plain
    for edge in drawn.edges:
        for lit in (f"{edge.start} -> {edge.end}", f"d{edge.end} -> {edge.start}", f"d{edge.end}->d{edge.start}"):
            graph.show_graph(drawn, lit)
            assert set(capsys.readouterr().out) & set("━┃┏▶◀▲▼") and graph.find_edges(drawn, lit)[0].edge == next(
                other for other in drawn.edges if (other.start, other.end) == (edge.start, edge.end))
        cells = edge.cells()
        boxes = {name: graph.box(drawn.node(name)) for name in (edge.start, edge.end)}
        for name, cell in ((edge.start, cells[0]), (edge.end, cells[-1])):
            left, top, right, bottom = boxes[name]
            assert left <= cell[0] <= right and top <= cell[1] <= bottom


def test_a_lit_gradient_runs_backwards(capsys):
    graph.show_graph(graph.cell("lstm"), "dC -> f")
    rows = capsys.readouterr().out.split("\n")
    assert re.search(r"C_prev  ─+▶×◀━+\+◀━+┃ C ┃─+▶ C_next", rows[1]) and rows[5][27] == "▼"
    graph.show_graph(graph.cell("lstm"), "f -> C")
    rows = capsys.readouterr().out.split("\n")
    assert re.search(r"×━+▶\+━+▶┃ C ┃", rows[1]) and rows[2][27] == "▲"


@pytest.mark.parametrize("call, message", [
    (lambda: graph.find_edges(graph.cell("lstm"), "f -> o"), "no edge 'f -> o'.*C_prev -> C.*backwards"),
    (lambda: graph.cell("dense"), "simple_rnn, lstm, gru"), (lambda: graph.unrolled("lstm", 4), "1 to 3 steps, got 4"),
])
def test_graphs_that_are_not_there(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_figures_of_graphs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import matplotlib.pyplot as plt
    for drawn in GRAPHS:
        ax = graph.draw_graph(drawn, lit=f"d{drawn.edges[-1].end} -> {drawn.edges[-1].start}")
        assert {text.get_text() for text in ax.texts} >= {node.maths for node in drawn.nodes}
        assert sum(line.get_color() == graph.LIT for line in ax.lines) >= 1
        plt.close(ax.figure)
    figure, ax = plt.subplots()
    assert graph.draw_graph(graph.cell("lstm"), ax) is ax
    tools.save_figure(figure, "cell")


def test_the_help_fits_a_small_screen():
    assert max(map(len, terminal.HELP.split("\n"))) <= 80


def test_a_graph_in_a_variable_is_not_spelt_out():
    shown, _ = talk("from nblayers.learn.graph import cell\npicture = cell('lstm')\n", "")
    assert "Edge(" not in shown and "picture = cell" in shown
