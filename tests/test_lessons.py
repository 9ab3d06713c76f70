"""Every lesson runs, keeps the shape that lessons have, and has exercises whose solutions pass their checks."""
import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from helpers import came_to_its_end

from nblayers.learn import catalogue, exercises, latex, script, session
from nblayers.learn.terminal import split_maths

LESSONS = catalogue.lessons()
FIRST = "01_finite_differences"
ALLOWED = set(sys.stdlib_module_names) | {"numpy", "numba", "matplotlib", "nblayers", "kernels", "lessons"}

TURN = re.compile(r"^# \? ", re.MULTILINE)
each = pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])

OF_A_RUN = {"PYTHONIOENCODING": "utf-8", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}      # another test runs beside it


@each
def test_runs_straight_through(path, tmp_path):
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=600,
                          stdin=subprocess.DEVNULL, env=os.environ | OF_A_RUN, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    came_to_its_end(path, tmp_path, done.stdout)
    for page in (tmp_path / "lessons" / "out").glob("*.html"):
        assert false_steps(path, page) == []


def false_steps(path, page):
    """What a lesson says of its page, "step 13 (`dh[1]`)", and is not so."""
    shown = json.loads(re.search(r'<script type="application/json" id="view">(.*?)</script>', page.read_text("utf-8"), re.S)[1])
    names = [shown["panels"][shown["operations"][operation]["panel"]]["name"] + f"[{t}]" * (t >= 0)
             for operation, t, *_ in shown["steps"]]
    said = re.findall(r"[Ss]tep (\d+)\s+\(`([^`]+)`\)", path.read_text("utf-8").replace("\n# ", "\n"))
    assert said
    return [(step, name) for step, name in said if names[int(step) - 1] != name]


@each
def test_has_the_shape_of_a_lesson(path):
    lesson = script.read(path)
    assert lesson.minutes is not None and 20 <= lesson.minutes <= 45
    sections = [heading for cell in lesson.cells if cell.kind == "text"
                for level, heading in script.headings(cell.source) if level == 2]
    assert 6 <= len(sections) <= 24
    for part in ("question", "in the library", "picture", "task", "Exercises"):
        assert any(part in heading for heading in sections), f"no section on {part!r}"
    text = "\n".join(cell.source for cell in lesson.cells if cell.kind == "text")
    assert re.search(r"\\tag\{00[1-4]\.[\w.\\]+\}", text), "no equation names its source"
    assert lesson.source.count("\nassert ") + lesson.source.count("    assert ") + lesson.source.count("check_derivative(") >= 8
    assert "show_source(" in lesson.source and re.search(r"`nblayers check \S+ my_answer.py`", text)


@each
def test_keeps_the_rules_of_a_lesson(path):
    """One idea a line: at most 88 columns, 25 statements a section. At least six turns, each with its known mistakes."""
    source = path.read_text(encoding="utf-8")
    assert [line for line in source.split("\n") if len(line) > 88] == []
    section, statements = "", Counter()
    for cell in script.read(path).cells:
        for level, heading in script.headings(cell.source) if cell.kind == "text" else ():
            section = heading if level <= 2 else section
        statements[section] += sum(isinstance(node, ast.stmt) for top in cell.nodes for node in ast.walk(top))
    assert {heading: count for heading, count in statements.items() if count > 25} == {}
    turns = judged_names(source)
    assert len(turns) >= 6
    checks = vars(exercises_module(path))
    assert [name for name in turns.values() if name and f"turn_{name}" not in checks] == []
    assert {name for name in checks if name.startswith("turn_")} == {f"turn_{name}" for name in turns.values() if name}


def judged_names(source):
    """For each turn's line, the name by which its known mistakes go: its first judged one, with _2 if that is its second turn;
    none for a guess."""
    lines, seen, found = source.split("\n"), Counter(), {}
    for n, line in enumerate(lines):
        if TURN.match(line) and not TURN.match(lines[n - 1]):
            named = re.match(r"# \? \[(\w+)", line) or re.match(r"(?:def )?(\w+)", next(
                below for below in lines[n:] if not below.startswith("#")))
            found[n + 1] = "" if line.startswith("# ? guess:") else named[1]
            seen[named[1]] += bool(found[n + 1])
            found[n + 1] += f"_{seen[named[1]]}" if found[n + 1] and seen[named[1]] > 1 else ""
    return found


def exercises_module(path):
    spec = importlib.util.spec_from_file_location(f"checks_of_{path.stem}", path.parent / "checks" / path.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    ("08_lstm", "fixed_cell_walk", "nothing is made of it"),
    ("10_sequences_in_practice", "fixed_walk", "still ends at padding"),
    ("09_gru", "fixed_weight_gradients", "r is missing"),
    ("11_bidirectional_stacked_time_distributed", "fixed_bidirectional_backward", "in the order of its walk; turn it round"),
    ("12_embedding", "fixed_embedding_backward", "should get their sum"),
    ("13_convolution", "fixed_input_gradient", "taps count backwards"),
    ("14_pooling", "fixed_max_backward", "more goes out than came in"),
    ("15_depthwise_separable_transposed", "fixed_depthwise_backward", "side by side"),
    ("16_conv_lstm", "fixed_recurrent_gradient", "state that step t has made"),
    ("17_normalization", "fixed_layer_norm_backward", "gamma still comes after the means"),
    ("18_regularization", "fixed_max_norm", "the weights of a unit are a column"),
    ("19_attention", "fixed_score_gradient", "the sum still runs over the queries"),
    ("20_branches", "fixed_permute_backward", "the way back is its inverse"),
    ("21_initializers", "fixed_he_normal", "where NumPy wants the standard deviation"),
    ("22_preprocessing", "fixed_standardize", "still have a share in mean and deviation"),
    ("23_your_own_layer", "fixed_residual_backward", "changes one of its arguments, dy, in place"),
    ("24_cpu_kernels", "fixed_threads", "nobody writes output 9"),
    ("25_cuda_kernels", "fixed_column_sums", "with 10 columns nobody sums columns 8, 9"),
    ("26a_forecasting", "fixed_windows", "the network sees what it is to say"),
    ("26b_text", "fixed_warmed", "still the softmax of the probabilities"),
    ("26c_translation", "fixed_write", "still thrown away"),
    ("26d_tagging", "fixed_best_tags", "still remembers the best tag to go to"),
    ("26e_speech", "fixed_merge", "still taken out before the repeats are merged"),
    ("26f_anomalies", "fixed_calls", "still comes from the new scans"),
    ("26g_tune", "fixed_play", "still goes on from the first T notes"),
    ("26h_moving_shapes", "fixed_go_on", "the film still stands still"),
    ("27_open_a_real_model", "fixed_from_torch", "U: it is still reshaped"),
    ("28_data_parallel", "fixed_gradient", "it still counts all steps"),
])
def test_the_planted_bug_is_recognised(stem, name, message, tmp_path):
    """The function as the lesson prints it is wrong, and the check says in what."""
    path = catalogue.find(stem)
    printed = re.findall(r"^```python\n(.*?)^```", script.read(path).cells[-1].source, re.DOTALL | re.MULTILINE)[-1]
    answer = tmp_path / "answer.py"
    imports = "import numpy as np\n" + "from numba import cuda, float32\n" * ("@cuda" in printed)
    answer.write_text(imports + printed + f"\n{name} = {re.search(r'def (.+?)[(]', printed)[1]}\n")
    wrong = [result.message for result in exercises.check(path, answer) if result.state == "wrong"]
    assert len(wrong) == 1 and message in wrong[0]


def told_of_the_second_exercise(lesson, line, instead, message, tmp_path):
    """With one line of the solution's whole backward made wrong, that exercise is wrong, and the sentence says why."""
    path = catalogue.find(lesson)
    solution = (path.parent / "solutions" / path.name).read_text(encoding="utf-8")
    at = solution.rindex(line)
    answer = tmp_path / "answer.py"
    answer.write_text(solution[:at] + instead + solution[at + len(line):], encoding="utf-8")
    results = list(exercises.check(path, answer))
    assert [result.state for result in results] == ["right", "wrong"] + ["right"] * (len(results) - 2)
    assert message in results[1].message, results[1].message


@pytest.mark.parametrize("line, instead, message", [
    ("np.where(real, da @ U.T, dh)", "da @ U.T", "so dh goes on as it is"),
    ("np.where(real, da @ U.T, dh)", "np.where(real, da @ U.T, dh_next)", "all of dh goes on, dy_t too"),
    ("np.where(real, dC_prev, dC_next)", "dC_prev", "the cell is kept whole"),
    ("da = np.where(real, da, 0)", "pass", "da should be 0 there"),
    ("real = mask[:, t, None]", "real = True", "does not use the mask"),
    ("dy[:, t] + dh_next", "dy[:, t]", "nothing comes back from later steps"),
    ("dh_next = np.where", "dh_next = dh_next + np.where", "`+=`"),
    ("reversed(range(x.shape[1]))", "range(x.shape[1])", "the walk goes forwards"),
    ("reversed(range(x.shape[1]))", "range(x.shape[1] - 1, 0, -1)", "the walk ends before t = 0"),
    ("dC = dC_next + dh * o", "dC = dC_next + dh", "o is forgotten"),
    ("da_C = dC_tilde * (1 - C_tilde ** 2)", "da_C = dC_tilde * (1 - C_tilde)", "lacks its square"),
    ("di = dC * C_tilde", "di = dC * C_prev", "only the part of i is wrong"),
    ("db += da.sum(axis=0)", "db = da.sum(axis=0)", "one step only"),
])
def test_a_whole_lstm_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("08_lstm", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dh * (h_prev - h_tilde)", "dh * (h_tilde - h_prev)", "dz has the wrong sign"),
    ("da_h * r\n        by_u", "da_h\n        by_u", "r is missing where h̃ hears"),
    ("by_u = du * r", "by_u = du", "r is missing on the way by h̃"),
    ("dr = du * h_prev", "dr = du * u", "not by u, which is r h_{t-1} already"),
    ("dh_prev = dh * z +", "dh_prev =", "the straight way to h_{t-1} is missing"),
    ("h_prev.T @ du", "h_prev.T @ da_h", "r is missing where h̃ hears"),
    ("u.T @ da_h", "h_prev.T @ da_h", "r is missing where h̃ hears"),
    ("np.concatenate([da_z, da_r, du], axis=1)", "da", "r is missing where h̃ hears"),
    ("dy[:, t] + dh_next", "dy[:, t]", "nothing comes back from later steps"),
    ("reversed(range(x.shape[1]))", "range(x.shape[1])", "the walk goes forwards"),
])
def test_a_whole_gru_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("09_gru", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dh_next = convolve_transposed(da, U)", "dh_next = convolve(da, U.swapaxes(1, 2))", "taps count backwards"),
    ("dx[:, t] = convolve_transposed(da, W)", "dx[:, t] = convolve(da, W.swapaxes(1, 2))", "in dx as in dh"),
    ("dh_next = convolve_transposed(da, U)", "dh_next = da @ U[K // 2].T", "by the middle tap alone"),
    ("dh_next = convolve_transposed(da, U)", "dh_next = dh_next + convolve_transposed(da, U)", "dh_next is added"),
    ("weight_gradient(h_prev, da, K)", "weight_gradient(h_prev, da, K)[::-1]", "dU with K = 5: the taps are in the wrong"),
    ("dU += weight_gradient(h_prev, da, K)", "dU += weight_gradient(steps[t][5] * np.tanh(steps[t][6]), da, K)", "with h_t"),
    ("db += da.sum(axis=(0, 1))", "db = da.sum(axis=(0, 1))", "first step only"),
    ("dy[:, t] + dh_next", "dy[:, t]", "nothing comes back from later steps"),
    ("reversed(range(x.shape[1]))", "range(x.shape[1])", "the walk goes forwards"),
    ("dC = dC_next + dh * o", "dC = dh * o", "dC_next, is missing from dC"),
    ("dC = dC_next + dh * o", "dC = dC_next + dh", "o is forgotten"),
])
def test_a_whole_conv_lstm_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("16_conv_lstm", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("du[..., :H] + ds @ h", "ds @ h", "q stands in u itself too"),
    ("p.swapaxes(1, 2) @ dc + ds", "ds", "h is an answer too"),
    ("ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "ds = p * dp", "the sum in the softmax's backward is missing"),
    ("np.where(mask[:, None], q @ h.swapaxes(1, 2), -1e9)", "q @ h.swapaxes(1, 2)", "the mask is not used"),
])
def test_a_whole_look_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26c_translation", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dbeta / N - h_hat * dgamma / N", "dy.mean(axis=0) - h_hat * (dy * h_hat).mean(axis=0)", "those of each machine alone"),
    ("gamma * (dy", "(dy", "gamma is missing on the way to dh"),
    ("sum(h.sum(axis=0) for h in hs) / N", "sum(h.mean(axis=0) for h in hs) / len(hs)", "they have different sizes"),
    ("dgamma = sum((dy * h_hat).sum", "dgamma = sum((dy * h_hat).mean", "dgamma"),
])
def test_a_whole_synchronised_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("28_data_parallel", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dz @ V.T + dr @ R.T", "dz @ V.T", "the lengths read h too"),
    ("np.add.at(dE, pitch, dx[..., :D])", "dE[pitch] += dx[..., :D]", "gets one of its rows only"),
    ("dh * (1 - h ** 2)", "dh", "the slope of the tanh is missing"),
])
def test_a_whole_notes_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26g_tune", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("/ (N * T)", "/ N", "divide by N T"),
    ("dz = ds / tau", "dz = ds", "its gradient is too; that is missing"),
    ("/ tau ** 2", "/ tau", "the square is missing"),
])
def test_a_whole_head_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26b_text", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dx_hat = (dy * gamma).reshape(split)", "dx_hat = dy.reshape(split)", "gamma is missing"),
    ("shift = dx_hat.mean(axis=axes, keepdims=True)", "shift = 0", "the mean of dx_hat is not taken off"),
    ("dx = (dx_hat - shift - x_hat * along)", "dx = (dx_hat - shift - along)", "still has to be multiplied by x_hat"),
    ("dx = (dx_hat - shift - x_hat * along) / std", "dx = dx_hat - shift - x_hat * along", "it is not divided by std"),
    ("axes = (1, 3) ", "axes = (3,) ", "each place is normalised alone"),
    ("axes = (1, 3) ", "axes = (0, 1, 3) ", "the samples of a batch are put together"),
    ("dgamma = (dy * x_hat.reshape(x.shape))", "dgamma = (dy * x)", "gamma is multiplied by x_hat"),
    ("dbeta = dy.sum(axis=(0, 1))", "dbeta = dy.sum(axis=(0, 1)) / N", "it is a sum over them"),
])
def test_a_whole_group_norm_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("17_normalization", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dk.sum(axis=1), dv.sum(axis=1)", "dk[:, 0], dv[:, 0]", "one head alone is heard"),
    ("dk.sum(axis=1), dv.sum(axis=1)", "dk.mean(axis=1), dv.mean(axis=1)", "it should be a sum"),
    ("dk.sum(axis=1), dv.sum(axis=1)", "dk, dv", "is summed over the heads"),
    ("dq = scale * ds @ k", "dq = ds @ k", "the factor 1 / sqrt(D) is missing"),
    ("ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "ds = p * dp", "the sum in the softmax's backward is missing"),
    ("ds = p * (dp - (dp * p).sum(axis=-1,", "ds = p * (dp - (dp * p).sum(axis=-2,", "it runs over the keys"),
    ("np.where(mask[:, None], scale", "np.where(True, scale", "the mask is not used"),
])
def test_a_whole_attention_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("19_attention", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dy * (1 - g) + da_g", "da_g", "the way through the shortcut, (1 - g) x is missing"),
    ("dy * (1 - g) + da_g", "dy + da_g", "the shortcut has a gate too"),
    ("dg = dy * (h - x)", "dg = dy * h", "the gate stands in (1 - g) x too"),
    ("dh = dy * g", "dh = dy", "the gate is missing from dh"),
    ("da_g = dg * g * (1 - g)", "da_g = dg", "the slope of the sigmoid"),
    ("da_h = dh * (1 - h ** 2)", "da_h = dh * (1 - h)", "not 1 - h"),
    (" + da_h @ W_h.T", "", "the way through the layer h is missing"),
])
def test_a_whole_highway_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("20_branches", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("np.add.at(dclipped, (n, p, q), weight * dy)", "dclipped[n, p, q] += weight * dy", "only one part arrives"),
    ("np.add.at(dclipped, (n, p, q), weight * dy)", "np.add.at(dclipped, (n, p, q), dy)", "the weights of the four pixels"),
    ("np.add.at(dclipped, (n, p, q), weight * dy)", "dclipped += weight * dy[n, p, q]", "as forward does"),
    ("da = dclipped * ((a > 0) & (a < 1))", "da = dclipped", "what was clipped"),
    ("da = dclipped * ((a > 0) & (a < 1))", "da = dclipped * ((x > 0) & (x < 1))", "what was clipped"),
    (" + (1 - f) * da.mean(axis=(1, 2), keepdims=True)", "", "the way through the mean is missing"),
    ("da.mean(axis=(1, 2), keepdims=True)", "da.sum(axis=(1, 2), keepdims=True)", "divide by them"),
    ("da.mean(axis=(1, 2), keepdims=True)", "da.mean(keepdims=True)", "yours is over the batch"),
    ("return f * da", "return da", "the straight way has the factor f"),
])
def test_a_whole_augmentation_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("22_preprocessing", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("self.W.grad += np", "self.W.grad = np", "(+=)"),
    ("self.W.grad += np", "np", "adds nothing to self.W.grad"),
    ('np.einsum("ni,nm,nk->imk", x, z, dy)', 'np.einsum("ni,nm,nk->imk", x, z, dy) / len(x)', "it is a sum over the samples"),
    ('np.einsum("ni,nm,nk->imk", x, z, dy)', 'np.einsum("i,m,k->imk", x[0], z[0], dy[0])', "the first sample alone"),
    ("dx = np", "dx = dy @ self.W.value.sum(axis=1).T  # np", "z is missing; y is linear in x"),
    ("def build(self, x_shape, z_shape):", "def build(self, x_shape, shape):", "def build(self, x_shape, z_shape):"),
    ("return [dx, dz]", "return dx", "a list of two arrays, [dx, dz]"),
    ("return [dx, dz]", "return [dz, dx]", "dx"),
    ("self.cache = x, z", "self.cache = getattr(self, 'kept', (x, z))\n        self.kept = self.cache", "checker says"),
])
def test_a_whole_layer_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("23_your_own_layer", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dy[n, j] if y[n, j] > float32(0) else float32(0)", "dy[n, j]", "the slope of ReLU is missing"),
    ("dy[n, j] if y[n, j] > float32(0) else float32(0)", "dy[n, j] * y[n, j]", "dy is multiplied by y"),
    ("total += x[n, k] * da[n, j] if k < K else da[n, j]", "total = x[n, k] * da[n, j] if k < K else da[n, j]",
     "one sample alone is heard"),
    ("dW[k, j] = total", "dW[k, j] = total / x.shape[0]", "it is a mean over the samples"),
    ("total += da[n, j] * W[k, j]", "total = da[n, j] * W[k, j]", "only the last output is heard"),
    ("back_through_W[2, 8](da, W, dx)", "back_through_W[2, 8](da, W, x)", "changes one of its arguments, x, in place"),
])
def test_a_whole_dense_backward_of_kernels_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("25_cuda_kernels", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dy = 2 * (y - after) / N", "dy = 2 * (y - after)", "not divided by N"),
    ("dy = 2 * (y - after) / N", "dy = (y - after) / N", "the square's 2 is missing"),
    ("dy = 2 * (y - after) / N", "dy = 2 * (after - y) / N", "the sign of dy"),
    ("dV = h[:, -1].T @ dy", "dV = h.sum(axis=1).T @ dy", "made with all states"),
    ("da = dh * (1 - h[:, t + 1] ** 2)", "da = dh * (1 - h[:, t + 1])", "lacks its square"),
    ("dh = da @ U.T", "dh = dh + da @ U.T", "`+=`"),
    ("dh = da @ U.T", "dh = da @ U.T + dy @ V.T", "at the last state alone"),
    ("dU += h[:, t].T @ da", "dU += h[:, t + 1].T @ da", "the state before"),
])
def test_a_whole_forecast_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26a_forecasting", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dy = 2 * (y - x) / x.size", "dy = 2 * (y - x) / len(x)", "divided by N alone"),
    ("dz = dy * y * (1 - y)", "dz = dy", "the slope of the sigmoid"),
    ("dV = code.T @ dz", "dV = a.T @ dz", "made with a"),
    ("dz @ V.T * (a > 0)", "dz @ V.T", "the slope of ReLU is missing"),
    ("da @ W.T - dy", "da @ W.T", "the way in alone"),
    ("da @ W.T - dy", "da @ W.T + dy", "the sign of the comparison"),
])
def test_a_whole_autoencoder_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26f_anomalies", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dz = (y - asked) / asked.size", "dz = (y - asked) / len(asked)", "divided by the frames alone"),
    ("dz = (y - asked) / asked.size", "dz = (y - asked) * y * (1 - y) / asked.size", "has cancelled"),
    ("V[::-1].swapaxes(1, 2)", "V.swapaxes(1, 2)", "the taps count forwards"),
    ("dz) for k in range(K)])", "dz) for k in reversed(range(K))])", "in the wrong order"),
])
def test_a_whole_painter_backward_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("26h_moving_shapes", line, instead, message, tmp_path)


@pytest.mark.parametrize("line, instead, message", [
    ("dz = p - np.eye(len(c))[labels]", "dz = (p - np.eye(len(c))[labels]) / N", "each sample has a loss of its own"),
    ("dz = p - np.eye(len(c))[labels]", "dz = p", "1 is not taken off at the right answer"),
    ("dz = p - np.eye(len(c))[labels]", "dz = -np.eye(len(c))[labels] / p", "it has to go through softmax"),
    ("p = p / p.sum(axis=1, keepdims=True)", "p = np.exp(z) / np.exp(z).sum()", "each row has a sum of its own"),
    ("dh_next = da @ U.T", "dh_next = dh_next + da @ U.T", "`+=`"),
    ("dh_next = da @ U.T", "dh_next = da @ U.T + dz @ V.T", "it reads the last state only"),
    ("reversed(range(T))", "range(T)", "the walk goes forwards"),
    ("dC = dC_next + dh * o", "dC = dh * o", "dC_next"),
    ("da_C = dC * i * (1 - C_tilde ** 2)", "da_C = dC * i * (1 - C_tilde)", "lacks its square"),
])
def test_a_whole_input_gradient_is_checked(line, instead, message, tmp_path):
    told_of_the_second_exercise("27_open_a_real_model", line, instead, message, tmp_path)


def test_keras_reads_digits_as_lesson_27_says(tmp_path):
    """The model beside the lesson is Keras', and so are the predictions; and Keras opens what nblayers saves of it."""
    keras = pytest.importorskip("keras")
    from lessons.data import DIGIT_READER, digits_to_read, predictions_of_keras
    from nblayers.models import load_model
    _, _, images, _ = digits_to_read()
    load_model(DIGIT_READER).save(tmp_path / "again.keras")
    for path in (DIGIT_READER, tmp_path / "again.keras"):
        model = keras.models.load_model(path)
        assert np.allclose(model.predict(images, verbose=0), predictions_of_keras()[0], rtol=0, atol=1e-5)
        assert int(model.optimizer.iterations) == 240
    assert DIGIT_READER.stat().st_size < 100_000


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


@pytest.mark.parametrize("limits, runs, steady", [
    ([1, 1, 1, 1, 1, 1, 1], [5, 5, 5, 5, 5, 5, 5], True),
    ([1, 1.05, 3, 1, 1, 1.02, 1], [5, 5.2, 5, 9, 5, 5, 5], True),          # a busy moment in each
    ([1.2, 1.2, 1.2, 1, 1, 1, 1], [5, 5, 5, 5, 5, 5, 5], False),           # the machine was busy for the first half
    ([1, 1, 1, 1.2, 1.2, 1.2, 1.2], [5, 5, 5, 5, 5, 5, 5], False),
    ([1, 2, 2, 2, 2, 1, 2], [5, 5, 5, 5, 5, 5, 5], False),
    ([1, 1, 1, 1, 1, 1, 1], [5, 9, 9, 9, 9, 9, 9], False),                 # what is measured was disturbed
])
def test_a_busy_machine_is_told(limits, runs, steady):
    from lessons.data import is_steady
    assert is_steady(limits, runs) is steady


@each
def test_the_exercise_with_a_bug_names_what_to_mend(path):
    """On the screen of `nblayers check NAME` there is no lesson to look at."""
    name = re.findall(r"^# def (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)[-1]
    texts = [" ".join((function.__doc__ or "").split()) for function in exercises.checks(path).values()]
    assert any(f"The function {name} at the end of the lesson has a bug. Write it right as fixed_" in text for text in texts)
