"""Every lesson runs, keeps the shape that lessons have, and has exercises whose solutions pass their checks."""
import ast
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from nblayers.learn import catalogue, exercises, latex, script, session
from nblayers.learn.terminal import split_maths

LESSONS = catalogue.lessons()
FIRST = "01_finite_differences"
ALLOWED = set(sys.stdlib_module_names) | {"numpy", "numba", "matplotlib", "nblayers", "kernels", "lessons"}

each = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])


@each
def test_runs_straight_through(path, tmp_path):
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=600,
                          stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "agrees with the numerical derivative" in done.stdout or path.stem == FIRST
    pictures = list((tmp_path / "lessons" / "out").glob(f"{path.stem[:2]}_*.png"))
    assert pictures and all(f"picture: lessons/out/{picture.name}" in done.stdout for picture in pictures)
    assert [found.name for found in tmp_path.iterdir()] == ["lessons"]


@each
def test_has_the_shape_of_a_lesson(path):
    lesson = script.read(path)
    assert 150 <= lesson.source.count("\n") <= 250
    assert lesson.minutes is not None and 20 <= lesson.minutes <= 30
    sections = [heading for cell in lesson.cells if cell.kind == "text"
                for level, heading in script.headings(cell.source) if level == 2]
    assert 6 <= len(sections) <= 12
    for part in ("question", "in the library", "picture", "task", "Exercises"):
        assert any(part in heading for heading in sections), f"no section on {part!r}"
    text = "\n".join(cell.source for cell in lesson.cells if cell.kind == "text")
    assert re.search(r"\\tag\{00[1-4]\.[\w.\\]+\}", text), "no equation names its source"
    assert lesson.source.count("\nassert ") + lesson.source.count("    assert ") + lesson.source.count("check_derivative(") >= 8
    assert "show_source(" in lesson.source and re.search(r"`nblayers check \S+ my_answer.py`", text)


@each
def test_needs_no_download_and_no_other_package(path):
    imported = [name.split(".")[0] for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])]
    assert set(imported) <= ALLOWED and not {"urllib", "http", "socket"} & set(imported)


@each
def test_every_formula_can_be_set_in_a_terminal(path):
    """At 80 columns, without a command left over; inline ones too."""
    for cell in script.read(path).cells:
        if cell.kind != "text":
            continue
        for kind, piece in split_maths(cell.source):
            if kind == "maths":
                shown, tag = latex.display(piece, 72 - len(f"   ({latex.display(piece)[1]})"))
                wide = max(map(latex.width, shown.split("\n"))) + (len(tag) + 5 if tag else 0)
                assert "\\" not in shown and wide <= 72, piece
        for formula in re.findall(r"(?<![\\$`])\$([^$`]+)\$", re.sub(r"\$\$.+?\$\$|^```.*?^```|`[^`\n]+`", "", cell.source,
                                                                    flags=re.DOTALL | re.MULTILINE)):
            assert "\\" not in latex.inline(formula), formula


@each
def test_is_a_notebook(path):
    import nbformat
    nbformat.validate(nbformat.reads(script.notebook_text(script.read(path)), as_version=4))


@each
def test_solutions_pass_the_checks(path):
    solution = path.parent / "solutions" / path.name
    results = list(exercises.check(path, solution))
    assert len(results) >= 4 and [result.message for result in results if result.state != "right"] == []


@each
def test_an_empty_answer_is_no_error(path, tmp_path):
    answer = tmp_path / "answer.py"
    answer.write_text("")
    assert {result.state for result in exercises.check(path, answer)} == {"missing"}


@pytest.mark.parametrize("stem, name, message", [
    (FIRST, "fixed_derivative", "still half"), ("02_linear_and_dense", "fixed_linear_backward", "right for Dense"),
    ("03_activations", "fixed_elu_backward", "y is the output"),
    ("04_softmax_and_cross_entropy", "fixed_softmax_backward", "diagonal"),
    ("05_training_by_hand", "fixed_adam", "the correction is for the step alone"),
    ("07_gradients_through_time", "fixed_clip", "sum of the norms"),
    ("10_sequences_in_practice", "fixed_walk", "still ends at padding"),
    ("09_gru", "fixed_weight_gradients", "r is missing"),
    ("11_bidirectional_stacked_time_distributed", "fixed_bidirectional_backward", "in the order of its walk; turn it round"),
    ("13_convolution", "fixed_input_gradient", "taps count backwards"),
    ("14_pooling", "fixed_max_backward", "more goes out than came in"),
    ("15_depthwise_separable_transposed", "fixed_depthwise_backward", "side by side"),
    ("16_conv_lstm", "fixed_recurrent_gradient", "state that step t has made"),
    ("24_cpu_kernels", "fixed_threads", "nobody writes output 9"),
])
def test_the_planted_bug_is_recognised(stem, name, message, tmp_path):
    """The function as the lesson prints it is wrong, and the check says in what."""
    path = catalogue.find(stem)
    printed = re.findall(r"^```python\n(.*?)^```", script.read(path).cells[-1].source, re.DOTALL | re.MULTILINE)[-1]
    answer = tmp_path / "answer.py"
    answer.write_text("import numpy as np\n" + printed + f"\n{name} = {re.search(r'def (.+?)[(]', printed)[1]}\n")
    wrong = [result.message for result in exercises.check(path, answer) if result.state == "wrong"]
    assert len(wrong) == 1 and message in wrong[0]


def test_training_can_be_undone_exactly(tmp_path, monkeypatch):
    """Back over a training loop, and forward again: the same weights to the last bit."""
    monkeypatch.chdir(tmp_path)
    run = session.Session(script.read(catalogue.find("02")))
    with run.as_main():
        while run.upcoming is not None:
            step = run.next()
            if "history.append" in step.source:
                trained = run.position
        model = run.namespace["model"]
        weights, history = model.get_weights(), list(run.namespace["history"])
        run.back(trained - 1)
        assert run.namespace["model"] is model and not np.array_equal(model.get_weights()[0], weights[0])
        run.next()
        assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
        assert run.namespace["history"] == history
