"""Checking a learner's answers: mistakes are recognised, endless loops end, hints come before answers."""
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nblayers.learn import catalogue, exercises, mistakes
from nblayers.learn.tools import numerical_derivative

N, T, I, H = 2, 3, 2, 2
MASK = np.array([[1, 1, 0], [0, 1, 1]], bool)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def numbers(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size) for size in sizes]


def rnn_states(x, h_start, W, U, mask=None):
    h, states = h_start, []
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ W + h @ U)
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        states.append(h)
    return np.stack(states, axis=1)


def lstm_states(x, h_start, C_start, W, U, mask=None):
    """i, f, C_tilde, o, C, h."""
    h, C, records = h_start, C_start, []
    for t in range(x.shape[1]):
        i, f, C_tilde, o = np.split(x[:, t] @ W + h @ U, 4, axis=1)
        i, f, C_tilde, o = sigmoid(i), sigmoid(f), np.tanh(C_tilde), sigmoid(o)
        real = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        C_new = f * C + i * C_tilde
        h, C = np.where(real, o * np.tanh(C_new), h), np.where(real, C_new, C)
        records.append((i, f, C_tilde, o, C, h))
    return [np.stack(kind, axis=1) for kind in zip(*records, strict=True)]


def gru_states(x, h_start, W, U, b, after, mask=None):
    """z, r, u, h_tilde, h."""
    h, records, H = h_start, [], h_start.shape[1]
    for t in range(x.shape[1]):
        a, rec = x[:, t] @ W + b[0], h @ U[:, :2 * H] + after * b[1, :2 * H]
        z, r = sigmoid(a[:, :H] + rec[:, :H]), sigmoid(a[:, H:2 * H] + rec[:, H:])
        u = h @ U[:, 2 * H:] + b[1, 2 * H:] if after else r * h
        h_tilde = np.tanh(a[:, 2 * H:] + (r * u if after else u @ U[:, 2 * H:]))
        new = z * h + (1 - z) * h_tilde
        h = new if mask is None else np.where(mask[:, t, None], new, h)
        records.append((z, r, u, h_tilde, h))
    return [np.stack(kind, axis=1) for kind in zip(*records, strict=True)]


def rnn_case(mask=None):
    """right and wrong gradients, L as a function of the values, the values by name of their gradient."""
    x, h_start, W, U, dy = numbers((N, T, I), (N, H), (I, H), (H, H), (N, T, H))
    right, wrong = mistakes.simple_rnn_backward(x, h_start, rnn_states(x, h_start, W, U, mask), W, U, dy, mask)
    values = {"dx": x, "dh_start": h_start, "dW": W, "dU": U}
    return right, wrong, lambda dx, dh_start, dW, dU: np.sum(dy * rnn_states(dx, dh_start, dW, dU, mask)), values


def lstm_case(mask=None):
    x, h_start, C_start, W, U, dy = numbers((N, T, I), (N, H), (N, H), (I, 4 * H), (H, 4 * H), (N, T, H))
    i, f, C_tilde, o, C, h = lstm_states(x, h_start, C_start, W, U, mask)
    right, wrong = mistakes.lstm_backward(x, h_start, C_start, i, f, C_tilde, o, C, h, W, U, dy, mask)
    values = {"dx": x, "dh_start": h_start, "dC_start": C_start, "dW": W, "dU": U}

    def loss(dx, dh_start, dC_start, dW, dU):
        return np.sum(dy * lstm_states(dx, dh_start, dC_start, dW, dU, mask)[-1])
    return right, wrong, loss, values


def gru_case(after, mask=None):
    x, h_start, W, U, b, dy = numbers((N, T, I), (N, H), (I, 3 * H), (H, 3 * H), (2, 3 * H), (N, T, H))
    z, r, u, h_tilde, h = gru_states(x, h_start, W, U, b, after, mask)
    right, wrong = mistakes.gru_backward(x, h_start, z, r, u, h_tilde, h, W, U, dy, after, mask)
    values = {"dx": x, "dh_start": h_start, "dW": W, "dU": U}
    return right, wrong, lambda dx, dh_start, dW, dU: np.sum(dy * gru_states(dx, dh_start, dW, dU, b, after, mask)[-1]), values


def conv_case(stride):
    x, w, b = numbers((2, 8, 3), (3, 3, 4), (4,))
    [dy] = numbers((2, (8 - 3) // stride + 1, 4), seed=1)

    def loss(dx, dw, db):
        return sum(np.sum(dy[:, i] * (np.einsum("nkc,kcf->nf", dx[:, i * stride:i * stride + 3], dw) + db))
                   for i in range(dy.shape[1]))
    return *mistakes.conv1d_backward(x, w, dy, stride), loss, {"dx": x, "dw": w, "db": b}


CASES = {"simple_rnn": rnn_case, "simple_rnn, masked": lambda: rnn_case(MASK), "lstm": lstm_case,
         "lstm, masked": lambda: lstm_case(MASK), "gru after": lambda: gru_case(True), "gru before": lambda: gru_case(False),
         "gru after, masked": lambda: gru_case(True, MASK), "gru before, masked": lambda: gru_case(False, MASK),
         "conv1d": lambda: conv_case(1), "conv1d, stride 2": lambda: conv_case(2)}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
def test_what_is_right_agrees_with_the_numerical_derivative(case):
    right, _, loss, values = case()
    for name, value in values.items():
        def of_one(v, name=name):
            return loss(**{**values, name: v})
        np.testing.assert_allclose(right[name], numerical_derivative(of_one, value), rtol=1e-6, atol=1e-8, err_msg=name)


@each_case
def test_every_mistake_can_be_told_from_the_others(case):
    right, wrong, _, _ = case()
    for sentence, values in wrong.items():
        made = {**right, **values}
        if all(mistakes.same(made[name], right[name]) for name in right):
            continue
        with pytest.raises(exercises.Wrong) as raised:
            exercises.expect_all(list(made.values()), right, wrong, list(right), "f")
        told = re.sub(r"^\w+: | \([^()]* (?:is|are) right\)$", "", str(raised.value))
        assert told == sentence.strip() and raised.value.recognised


RNN = """
import numpy as np
def rnn_backward(x, h_start, h, W, U, dy):
    N, T, H = h.shape
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(H)
    dh_next = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        h_prev = h[:, t - 1] if t > 0 else h_start
        dh = dy[:, t] + dh_next
        da = dh * (1 - h[:, t] ** 2)
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU += h_prev.T @ da
        db += da.sum(axis=0)
        dh_next = da @ U.T
    return dx, dW, dU, db, dh_next
"""
LSTM = """
import numpy as np
def lstm_backward(x, h_start, C_start, i, f, C_tilde, o, C, h, W, U, dy):
    N, T, H = h.shape
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(4 * H)
    dh_next, dC_next = np.zeros((N, H)), np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        h_prev, C_prev = (h[:, t - 1], C[:, t - 1]) if t > 0 else (h_start, C_start)
        dh = dy[:, t] + dh_next
        do = dh * np.tanh(C[:, t])
        dC = dC_next + dh * o[:, t] * (1 - np.tanh(C[:, t]) ** 2)
        di = dC * C_tilde[:, t]
        df = dC * C_prev
        dC_tilde = dC * i[:, t]
        da_i = di * i[:, t] * (1 - i[:, t])
        da_f = df * f[:, t] * (1 - f[:, t])
        da_C_tilde = dC_tilde * (1 - C_tilde[:, t] ** 2)
        da_o = do * o[:, t] * (1 - o[:, t])
        da = np.concatenate([da_i, da_f, da_C_tilde, da_o], axis=1)
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU += h_prev.T @ da
        db += da.sum(axis=0)
        dh_next = da @ U.T
        dC_next = dC * f[:, t]
    return dx, dW, dU, db, dh_next, dC_next
"""
GATES = ("i", "f", "C̃", "o")


def defined(source, *changes):
    """What a learner's file defines, after changes {old: new} typed into it."""
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    namespace = {}
    exec(source, namespace)
    return exercises.Answer(namespace)


def check_rnn(answer):
    x, h_start, W, U, dy = numbers((N, T, I), (N, H), (I, H), (H, H), (N, T, H))
    h = rnn_states(x, h_start, W, U)
    result = answer.function("rnn_backward")(x, h_start, h, W, U, dy)
    exercises.expect_all(result, *mistakes.simple_rnn_backward(x, h_start, h, W, U, dy), ("dx", "dW", "dU", "db", "dh_start"),
                         "rnn_backward", {"dx": ("sample", "step", "input")})


def check_lstm(answer):
    x, h_start, C_start, W, U, dy = numbers((N, T, I), (N, H), (N, H), (I, 4 * H), (H, 4 * H), (N, T, H))
    states = lstm_states(x, h_start, C_start, W, U)
    result = answer.function("lstm_backward")(x, h_start, C_start, *states, W, U, dy)
    exercises.expect_all(result, *mistakes.lstm_backward(x, h_start, C_start, *states, W, U, dy),
                         ("dx", "dW", "dU", "db", "dh_start", "dC_start"), "lstm_backward", blocks=GATES)


def test_the_right_backwards_pass():
    check_rnn(defined(RNN))
    check_lstm(defined(LSTM))


@pytest.mark.parametrize("old, new, sentence", [
    ("dh * (1 - h[:, t] ** 2)", "dh", "the slope of tanh is missing"),
    ("1 - h[:, t] ** 2", "1 - h_prev ** 2", "slope is that of the step before"),
    ("1 - h[:, t] ** 2", "1 - h[:, t - 1] ** 2", "slope is that of the step before"),
    ("1 - h[:, t] ** 2", "1 - np.tanh(h[:, t]) ** 2", "the tanh is taken once more"),
    ("range(T - 1, -1, -1)", "range(T)", "the walk goes forwards"),
    ("range(T - 1, -1, -1)", "range(T - 1, 0, -1)", "ends before t = 0"),
    ("dh_next = da @", "dh_next += da @", "`+=`"),
    ("dh = dy[:, t] + dh_next", "dh = dy[:, t] + dh_next if t == T - 1 else dh_next", "the last step alone"),
    ("dh = dy[:, t] + dh_next", "dh = dy[:, t]", "nothing comes back from later steps"),
    ("da @ U.T", "da @ U", "U is not transposed: da Uᵀ"),
    ("da @ U.T", "dh @ U.T", "what goes back is made with dh"),
    ("da = dh * (1 - h[:, t] ** 2)", "da = dy[:, t] * (1 - h[:, t] ** 2) + dh_next", "dh_next is added after the slope"),
    ("dW += x", "dW = x", "dW: it holds one step only: is there a `=`"),
    ("dU += h_prev.T", "dU += h[:, t].T", "U is multiplied by the state before"),
    ("if t > 0 else h_start", "", "h[:, t - 1] is h[:, -1] there"),
    ("if t > 0 else h_start", "if t > 0 else 0 * h_start", "its h_start is taken for 0"),
    ("da.sum(axis=0)", "da.mean(axis=0)", "divided by the number of samples"),
    ("dU, db, dh_next", "dU, db, da", "that is da of the first step"),
])
def test_mistakes_in_a_simple_rnn(old, new, sentence):
    with pytest.raises(exercises.Wrong, match=re.escape(sentence)) as raised:
        check_rnn(defined(RNN, (old, new)))
    assert raised.value.recognised


@pytest.mark.parametrize("old, new, sentence", [
    ("dC_next + dh * o[:, t] * (1 -", "(dC_next + dh * o[:, t]) * (1 -", "dC_next stands inside the slope"),
    ("dh * o[:, t] * (1", "dh * (1", "o is forgotten"),
    ("(1 - C_tilde[:, t] ** 2)", "(1 - C_tilde[:, t])", "the slope of C̃ lacks its square"),
    ("di = dC * C_tilde[:, t]", "di = dC * C_tilde[:, t] * i[:, t]", "the gate is applied twice: di"),
    ("df = dC * C_prev", "df = dC * C_prev * f[:, t]", "the gate is applied twice: df"),
    ("do = dh * np.tanh(C[:, t])", "do = dh * o[:, t] * np.tanh(C[:, t])", "the gate is applied twice: do"),
    ("dC_tilde = dC * i[:, t]", "dC_tilde = dC * i[:, t] * i[:, t]", "the gate is applied twice: dC̃"),
    ("di = dC * C_tilde[:, t]\n        df = dC * C_prev", "df = dC * C_tilde[:, t]\n        di = dC * C_prev",
     "di and df are swapped"),
    ("dC = dC_next + dh", "dC = dh", "what comes back from the cell of the step after"),
    ("dC_next + dh * o[:, t] * (1 - np.tanh(C[:, t]) ** 2)", "dC_next", "what comes through h_t"),
    ("(1 - np.tanh(C[:, t]) ** 2)", "(1 - C[:, t] ** 2)", "is made with C itself"),
    ("(1 - C_tilde[:, t] ** 2)", "C_tilde[:, t] * (1 - C_tilde[:, t])", "that is the slope of a sigmoid"),
    ("[da_i, da_f,", "[da_f, da_i,", "f stands first"),
    ("dC_next = dC * f[:, t]", "dC_next = dC", "the forget gate is missing from dC_prev"),
    ("dC_next = dC * f[:, t]", "dC_next = dC * f[:, t - 1]", "that of the step before"),
    ("dC_next = dC * f[:, t]", "dC_next += dC * f[:, t]", "dC_next is added to the one before"),
    ("dh_next = da @ U.T", "dh_next += da @ U.T", "it is what step t + 1 alone sends"),
    ("range(T - 1, -1, -1)", "range(T)", "the walk goes forwards"),
    ("range(T - 1, -1, -1)", "range(T - 1, 0, -1)", "ends before t = 0"),
    ("df = dC * C_prev", "df = dC * C[:, t]", "made with the new cell"),
])
def test_mistakes_in_an_lstm(old, new, sentence):
    with pytest.raises(exercises.Wrong, match=re.escape(sentence)):
        check_lstm(defined(LSTM, (old, new)))


def message(got, want, **more):
    with pytest.raises(exercises.Wrong) as raised:
        exercises.expect_close(got, want, "da", **more)
    return str(raised.value)


@pytest.mark.parametrize("axes", range(5))
def test_a_wrong_number_is_told_in_any_number_of_axes(axes):
    want = np.ones((2, 3, 2, 2)[:axes])
    got = want.copy()
    got[(0,) * axes] = 7.5
    assert " is 7.5, but should be 1" in message(got, want)


def test_places_have_names():
    want = np.arange(16.0).reshape(2, 8)
    got = want.copy()
    got[0, 7] = 99
    assert message(got, want, axes=("sample",), blocks=GATES) == (
        "da[0, 7] (sample 0, the second unit of o) is 99, but should be 7; only the part of o is wrong")
    assert message(got, want, axes=("sample", "unit")) == "da[0, 7] (sample 0, unit 7) is 99, but should be 7"
    assert message([1, 2], 1).startswith("da should be a single number, but it has shape (2,)")
    assert message(1, [1, 2]).startswith("da should have shape (2,), but it is a single number")


def test_what_may_be_wrong_is_put_into_words():
    """In the gradient checker's words."""
    want = np.arange(1.0, 10).reshape(3, 3) ** 2
    assert "transposed" in message(want.T, want) and "transposed" in message(want[:2].T, want[:2])
    assert "the sign is flipped" in message(-want, want) and "half as large" in message(want / 2, want)
    assert "all zeros" in message(0 * want, want) and "Is a sum over it missing?" in message(want, want.sum(axis=0))
    assert message("no", want) == "da should be numbers, but it is 'no'"
    assert message(want * np.nan, want) == "da holds NaN or infinity"
    with pytest.raises(exercises.Wrong) as raised:
        exercises.expect_close(np.ones((2, 1, 2)), np.arange(4.0).reshape(2, 1, 2), "dx")
    assert raised.value.answer == "dx is 0, 1; 2, 3"


def test_a_changed_argument_is_named():
    for source, name in (("def f(a, b):\n    b += 1\n    return a", "b"),
                         ("def f(*all):\n    all[1][0] = 5\n    return 1", "_2")):
        with pytest.raises(exercises.Wrong, match=f"changes one of its arguments, \\w*{name}, in place"):
            defined(source).function("f")(np.ones(2), np.ones(2))


def test_what_a_function_returns():
    for result, told in (((1, 2), "2 values"), (np.ones(3), "one ndarray"), ((1, 2, None), "c is None")):
        with pytest.raises(exercises.Wrong, match=told):
            exercises.returned(result, "f", "a", "b", "c")
    assert exercises.returned([1, 2, 3], "f", "a", "b", "c") == (1, 2, 3)


def test_on_paper_hints_come_before_the_number():
    answer = exercises.Answer({"C": 5, "D": 7, "E": [[1.0], [2.0]], "F": [1, 2, 3]})
    for name, want, told in (("C", 3, "C is not 5. Look here"), ("D", 3, "D: seven, of course"), ("F", [1, 2], "shape")):
        with pytest.raises(exercises.Wrong, match=told) as raised:
            answer.on_paper(name, want, ["Look here", "And here"], {"seven, of course": 7})
        assert "3" not in str(raised.value).replace("(3,)", "")
    answer.on_paper("E", [1, 2], [])
    with pytest.raises(exercises.Missing):
        answer.on_paper("G", 1, [])


def test_the_smallest_inputs_that_fail_and_the_sentence_of_the_largest():
    answer = defined("def f(x):\n    return x + (len(x) > 1)")
    tried = []

    def compare(size):
        tried.append(size)
        x = np.zeros(size)
        exercises.expect_close(answer.function("f")(x), x, "y", {"one too many": np.ones(3)})
    with pytest.raises(exercises.Wrong, match="one too many") as raised:
        exercises.for_each_size(answer, compare, [(1,), (2,), (3,)])
    assert tried == [1, 2, 3] and raised.value.inputs.given["x"].shape == (2,)
    exercises.for_each_size(answer, compare, [(1,)])


class Slanted(exercises.Answer):
    """A lesson's own solution, with one number of an exercise on paper off."""

    def __init__(self, namespace, number):
        super().__init__(namespace)
        self.number, self.asked = number, []

    def value(self, name):
        value = super().value(name)
        if name not in self.asked:
            self.asked.append(name)
        if self.asked.index(name) != self.number:
            return value
        return 1.37 * np.asarray(value, float) + 0.0137


@pytest.mark.parametrize("path", catalogue.lessons(), ids=[path.stem for path in catalogue.lessons()])
def test_no_exercise_on_paper_gives_its_number_away(path):
    namespace = {}
    papers = {title: check for title, check in exercises.checks(path).items() if "on paper" in title.lower()}
    source = exercises.solutions(path).read_text(encoding="utf-8")
    exec(re.split(r"\n(?:def |@)", source)[0], namespace)               # the exercise on paper comes first
    for check in papers.values():
        number = 0
        while True:
            answer = Slanted(namespace, number)
            try:
                check(answer)
            except exercises.Wrong as wrong:
                name = answer.asked[number]
                right = [f"{value:.6g}" for value in np.ravel(np.asarray(namespace[name], float))]
                told = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?", wrong.on_paper)
                assert "should be" not in wrong.on_paper.replace("should begin", "") and not (
                    len(right) == 1 and right[0] in told and right[0] not in ("0", "1", "2")), wrong.on_paper
            else:
                break
            number += 1
        assert number >= 1


LESSON = r'''
import numpy as np
from nblayers.learn.exercises import Answer, expect_close


def exercise_1(answer: Answer) -> None:
    """A number, on paper

    a: what 2 + 2 is.
    """
    answer.on_paper("a", 4, ["Use your fingers.", "One hand will do.", "All but the thumb."])


def exercise_2(answer: Answer) -> None:
    """A function

    double(x): twice x.
    """
    x = np.array([1.0, 2.5])
    expect_close(answer.function("double")(x), 2 * x, "y")


def exercise_3(answer: Answer) -> None:
    """Another

    triple(x): three times x.
    """
    x = np.random.default_rng(0).normal(size=(20, 3))
    expect_close(answer.function("triple")(x), 3 * x, "y")
'''


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "01_example.py"
    path.write_text("# %% [markdown]\n# # Example\n")
    for name in ("checks", "solutions"):
        (tmp_path / name).mkdir()
    (tmp_path / "checks" / "01_example.py").write_text(LESSON, encoding="utf-8")
    (tmp_path / "solutions" / "01_example.py").write_text(
        "a = 4\ndef double(x):\n    return 2 * x\ndef triple(x):\n    return 3 * x\n")
    return path


def checked(lesson, source, seconds=3.0):
    path = lesson.parent / "answer.py"
    path.write_text(source, encoding="utf-8")
    return list(exercises.check(lesson, path, seconds))


def test_an_endless_loop_costs_its_own_exercise_only(lesson):
    found = checked(lesson, "print('start')\na = 4\ndef double(x):\n    print('in')\n    while True:\n        pass\n"
                            "def triple(x):\n    return 3 * x\n", 1.0)
    assert [result.state for result in found] == ["right", "wrong", "right"]
    assert re.search(r"did not end within 1 s \(it was in line [56]\)", found[1].message)
    assert found[0].file_prints == "start\n" and found[1].prints == "in\n" and found[2].prints == found[2].file_prints == ""


@pytest.mark.parametrize("source, told", [
    ("print('so far')\nwhile True:\n    pass\n", r"did not end within 1 s \(it was in line [23]\)"),
    ("print('so far')\n1 / 0\n", "ZeroDivisionError in line 2"), ("print('so far')\nx = (\n", "SyntaxError in line 2"),
    ("print('so far')\nimport sys\nsys.exit(3)\n", "SystemExit in line 3"),
    ("print('so far', flush=True)\nimport os\nos._exit(0)\n", "it ended the whole process"),
])
def test_a_file_that_does_not_run(lesson, source, told):
    with pytest.raises(exercises.DoesNotRun, match=told) as raised:
        checked(lesson, source, 1.0)
    assert raised.value.prints == ("" if "Syntax" in told else "so far\n")


def test_functions_that_end_the_process_or_return_odd_things(lesson):
    found = checked(lesson, "a = 'four'\ndef double(x):\n    exit()\ndef triple(x):\n    import os\n    os._exit(1)\n")
    assert found[0].message == "a should be numbers, but it is 'four'"
    assert "SystemExit in line 3" in found[1].message and "ended the whole process" in found[2].message


def test_files_beside_the_answer_can_be_imported(lesson):
    (lesson.parent / "mine.py").write_text("FOUR = 4\n")
    assert checked(lesson, "from mine import FOUR\na = FOUR\n")[0].state == "right"


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "nblayers.cli", "check", *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120, encoding="utf-8",
                          env=os.environ | {"PYTHONIOENCODING": "utf-8"})


def test_more_is_told_on_asking(lesson):
    answer = lesson.parent / "answer.py"
    answer.write_text("for k in range(30):\n    print('line', k)\na = 5\n"
                      "def double(x):\n    print('x' * 2000)\n    return x\ndef triple(y):\n    return y\n")
    done = command(lesson, answer)
    assert done.returncode == 1 and "a is not 5. Use your fingers." in done.stdout and "One hand" not in done.stdout
    verdicts, prints = done.stdout.split("your file printed (22 lines before these):")
    assert "✗ 3 · Another" in verdicts and "line 29" in prints and "line 21" not in prints and "exercise 2 printed" in prints
    assert "One hint more:" in done.stdout and "--inputs" in done.stdout and " 4" not in verdicts
    pasted = re.search(r"This was the call, to paste:\n(.*\n.*)\n", done.stdout)[1]
    namespace = {"np": np, "double": lambda x: 2 * x}
    exec(pasted, namespace)
    assert namespace["x"].tolist() == [1.0, 2.5] and pasted.endswith("double(x)")
    assert "triple(y (20, 3))" in done.stdout

    done = command(lesson, answer, "--hint", "--inputs")
    assert "hint: One hand" in done.stdout and "thumb" not in done.stdout and "y = np.array([[0.12573" in done.stdout
    done = command(lesson, answer, "--hint", "--hint")
    assert "thumb" in done.stdout and "--answer" in done.stdout and "a is 4" not in done.stdout
    assert "answer: a is 4" in command(lesson, answer, "--answer").stdout


def test_once_all_is_right_the_solutions_are_named(lesson):
    solution = lesson.parent / "solutions" / "01_example.py"
    done = command(lesson, solution)
    assert done.returncode == 0 and "3 of 3 right. Well done." in done.stdout and str(solution) in done.stdout
    solution.write_text("a = 4\n")
    assert str(solution.parent / "01") not in command(lesson, solution).stdout


def test_what_there_is_to_define(lesson):
    done = command(lesson)
    assert done.returncode == 0 and "2 · A function\n    double(x): twice x." in done.stdout


def test_control_c_ends_it(lesson):
    answer = lesson.parent / "answer.py"
    answer.write_text("print('go')\nwhile True:\n    try:\n        pass\n    except KeyboardInterrupt:\n        pass\n")
    process = subprocess.Popen([sys.executable, "-m", "nblayers.cli", "check", str(lesson), str(answer)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors


def test_it_fits_a_terminal_of_80_columns(lesson):
    pexpect = pytest.importorskip("pexpect")
    answer = lesson.parent / "answer.py"
    answer.write_text("print('long ' * 60)\na = 5\ndef double(x):\n    return x + 1\ndef triple(y):\n    return 4 * y\n")
    child = pexpect.spawn(sys.executable, ["-m", "nblayers.cli", "check", str(lesson), str(answer), "--hint"], timeout=60,
                          dimensions=(24, 80), encoding="utf-8", env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    child.expect(pexpect.EOF)
    lines = child.before.replace("\r", "").splitlines()
    told = lines[:next(k for k, line in enumerate(lines) if " of 3 right" in line)]
    assert len(told) > 8 and max(map(len, told)) <= 80


LESSON_06 = """
import numpy as np
def rnn_backward(x, h_start, h, W, U, dy):
    dx, dW, dU, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(len(U))
    dh_next = np.zeros_like(h_start)
    for t in reversed(range(h.shape[1])):
        h_prev = h[:, t - 1] if t > 0 else h_start
        da = (dy[:, t] + dh_next) * (1 - h[:, t] ** 2)
        dx[:, t], dh_next = da @ W.T, da @ U.T
        dW, dU, db = dW + x[:, t].T @ da, dU + h_prev.T @ da, db + da.sum(axis=0)
    return dx, dh_next, dW, dU, db
"""


@pytest.mark.parametrize("old, new, sentence, steps", [
    ("(1 - h[:, t] ** 2)", "1", "the slope of tanh is missing", 1),
    ("if t > 0 else h_start", "", "h[:, t - 1] is h[:, -1] there, but should be h_start", 1),
    ("dh_next = da @ W.T, da @ U.T", "dh_next = da @ W.T, dh_next + da @ U.T", "`+=`", 2),
    ("reversed(range(h.shape[1]))", "range(h.shape[1] - 1, 0, -1)", "ends before t = 0", 1),
])
def test_the_check_of_lesson_06(old, new, sentence, steps):
    """The sentence is the large arrays', the inputs to paste are the smallest that go wrong."""
    check = list(exercises.checks(catalogue.find("06")).values())[1]
    check(defined(LESSON_06))
    with pytest.raises(exercises.Wrong, match=re.escape(sentence)) as raised:
        check(defined(LESSON_06, (old, new)))
    assert raised.value.inputs.given["x"].shape == (1, steps, 1)
