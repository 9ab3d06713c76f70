"""Around the gradient check: the command, the pytest plugin, the page, the map in the terminal."""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from nblayers import cli, gradcheck, layers
from nblayers.gradient_check import gradcheck_function, heatmap
from nblayers.gradient_check.report import Report, TensorReport

ROOT = Path(__file__).resolve().parents[1]

FILE = '''
import numpy as np
from nblayers.layers import Layer


class Scale(Layer):
    """A Layer: wrong where `factor` is not 1."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.g = self.add_weight((shape[-1],), "ones", name="g")

    def forward(self, x, training=False):
        self.cache = x
        return x * self.g.value * (2 if training else 1)

    def backward(self, dy):
        self.g.grad += self.factor * (dy * self.cache).reshape(-1, len(self.g.value)).sum(0)
        return dy * self.g.value


class Affine:
    """No Layer."""

    def __init__(self, sizes):
        self.W = np.ones(sizes)

    def fprop(self, x):
        self.x = x
        return x @ self.W

    def bprop(self, dy):
        self.slope = self.x.T @ dy
        return dy @ self.W.T


class Embed:
    def __init__(self):
        self.table = np.arange(20.0).reshape(10, 2)

    def forward(self, ids):
        self.ids = ids
        return self.table[ids]

    def backward(self, dy):
        self.d_table = np.zeros_like(self.table)
        np.add.at(self.d_table, self.ids, dy)


def f(x):
    return x ** 2, x


def b(dy, cache):
    return 2 * cache * dy


ready = Scale()
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("mine.py").write_text(FILE)
    return "mine.py"


def run(capsys, *arguments):
    code = cli.main(["gradcheck", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("arguments", [
    ("mine.py:Scale", "--shape", "2,3"), ("mine.py:ready", "--shape", "2x3", "--seed", "4"),
    ("mine.py:Affine", "--args", "[[3, 2]]", "--shape", "4,3", "--params", "W=slope"),
    ("mine.py:Affine", "--args", '{"sizes": [3, 2]}', "--shape", "4,3", "--forward", "fprop", "--backward", "bprop"),
    ("mine.py:Embed", "--shape", "2,3", "--int", "0,10"), ("mine.py:f,b", "--shape", "5"),
], ids=" ".join)
def test_the_command_passes(arguments, file, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "") and "passed" in out


def test_the_command_fails(file, capsys):
    code, out, _ = run(capsys, "mine.py:Scale", "--args", '{"factor": 2}', "--shape", "2,3", "--html", "out/report.html")
    assert code == 1 and "twice" in out and "relative error  ·" in out and "wrote out/report.html" in out
    assert "FAILED" in Path("out/report.html").read_text()
    assert run(capsys, "mine.py:Scale", "--shape", "2,3", "--training")[0] == 1


@pytest.mark.parametrize("arguments, words", [
    (("nowhere.py:Scale", "--shape", "2"), "there is no file nowhere.py"),
    (("mine.py:Skale", "--shape", "2"), "no Skale: it has the classes Scale, Affine, Embed and the functions f, b"),
    (("mine.py", "--shape", "2"), "which of mine.py. it has the classes Scale"),
    (("mine.py:Affine", "--shape", "2,3"), "Affine cannot be made: TypeError.*given as --args '{\"sizes\": …}'"),
    (("mine.py:Affine", "--args", "{sizes}", "--shape", "2,3"), "--args: expected JSON"),
    (("mine.py:Affine", "--args", "[[3, 2]]", "--shape", "4,5"), r"inputs of shape \(4, 5\): ValueError: .*mine.py, line 33"),
    (("mine.py:Affine", "--args", "[[3, 2]]", "--shape", "4,3", "--params", "V=d"), "Affine has no V"),
    (("mine.py:Affine", "--args", "[[3, 2]]", "--shape", "4,3", "--forward", "up"), "it has no method 'up'"),
    (("mine.py:Scale", "--shape", "2,3", "--forward", "up"), "--forward is for objects that are no Layer"),
    (("mine.py:Scale",), "which inputs.*--shape 2,5,3"),
    (("mine.py:f", "--shape", "2"), "its backward is wanted too, as mine.py:f,BACKWARD"),
    (("broken.py:A", "--shape", "2"), "broken.py, line 2: "),
    (("ends.py:A", "--shape", "2"), "ends.py ends the program"),
    (("raises.py:A", "--shape", "2"), r"raises.py cannot be imported: ZeroDivisionError: .* \(raises.py, line 1\)"),
], ids=str)
def test_the_command_says_what_it_cannot_do(arguments, words, file, capsys):
    Path("broken.py").write_text("x = 1\ndef f(:\n")
    Path("ends.py").write_text("raise SystemExit(3)\n")
    Path("raises.py").write_text("1 / 0\n")
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "") and re.search(words, err)


@pytest.mark.parametrize("arguments", [("--shape", "2,a"), ("--int", "0,4", "--shape", "2"), ("--shape", "2", "--int", "4,4")])
def test_options_that_cannot_be_read(arguments, file, capsys):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "mine.py:Embed", *arguments)
    assert ended.value.code == 2


# ---- the plugin

TEST = '''
import numpy as np, pytest
from nblayers.layers import Dense, Layer
from nblayers.gradient_check import GradientCheckError

class Nearly(Layer):
    def forward(self, x):
        self.cache = x
        return x ** 2
    def backward(self, dy):
        return 2.0001 * self.cache * dy

x = np.arange(1.0, 41).reshape(4, 10)

def test_right(gradcheck):
    report = gradcheck(Dense(2), x)
    print("compared", report.tensors[0].checked, report.tensors[0].index)

def test_wrong(gradcheck):
    gradcheck(Nearly(), x)

def test_pair(gradcheck):
    assert gradcheck(lambda x: (x ** 2, x), lambda dy, cache: 2 * cache * dy, x, max_coordinates=3).tensors[0].checked == 3
    assert not gradcheck(Nearly(), x, raise_error=False, rtol=1e-9)
'''


def pytest_run(folder, *arguments, code=TEST):
    (folder / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "nblayers.gradient_check.plugin", "-p", "no:cacheprovider", "-rA"]
    found = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
                           env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    return found.stdout + found.stderr


def test_the_fixture(tmp_path):
    out = pytest_run(tmp_path, "--gradcheck-html", "pages")
    assert "2 passed, 1 failed" in re.sub(r"(\d failed), (\d passed)", r"\2, \1", out)
    assert "gradcheck of Nearly" in out and "1.00005 times" in out and "compared 40" in out
    pages = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert pages == [f"test_it.py-test_{name}.html" for name in ("pair-2", "pair", "right", "wrong")]


def test_options_of_the_plugin(tmp_path):
    out = pytest_run(tmp_path, "--gradcheck-rtol", "1e-3", "--gradcheck-max-coordinates", "7", "--gradcheck-seed", "5")
    assert "3 passed" in out and "compared 7" in out


def test_the_plugin_is_light():
    code = ("import sys, nblayers.gradient_check.plugin; "
            "print({'numpy', 'numba', 'rich', 'matplotlib', 'nblayers.layers'} & set(sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_the_plugin_is_an_entry_point():
    import tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"nblayers": "nblayers.gradient_check.plugin"}


# ---- the page and the map

def failing():
    x = np.linspace(-1, 1, 24).reshape(2, 3, 4)

    def gradient(x, dy):
        d = 3 * x ** 2 * dy
        d[1, 2, 3] *= 2
        d[0, 0, 0] *= 1.00001
        return d
    return gradcheck_function(lambda x: x ** 3, gradient, x, raise_error=False)


def test_the_page(tmp_path):
    report = failing()
    path = tmp_path / "new" / "report.html"
    page = report.to_html(path)
    assert path.read_text(encoding="utf-8") == page
    assert page.count("<rect class=\"e3\"") == 2 and "[1, 2, 3]: 5.0e-01" in page          # one of them in the legend
    assert "prefers-color-scheme: dark" in page and "FAILED" in page
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", page)
    ElementTree.fromstring(page.replace("<!doctype html>", "").replace("&nbsp;", " ").replace('<meta charset="utf-8">', "")
                           .replace('<meta name="viewport" content="width=device-width, initial-scale=1">', ""))


def test_the_page_of_what_passes_and_of_what_was_not_compared():
    page = gradcheck(layers.Dense(2), np.ones((2, 3))).to_html()
    assert "passed" in page and "3 of 3 gradients are right" in page
    report = Report("layer")
    report.add("random", "<i>")
    assert "FAILED" in report.to_html() and "&lt;i&gt;" in report.to_html()
    assert "&lt;b&gt;layer&lt;/b&gt; &amp; co" in Report("<b>layer</b> & co").to_html()


def test_the_map_in_the_terminal():
    lines = failing().heat_map().splitlines()
    assert lines[0].startswith("WRONG ") and max(map(len, lines)) <= 80
    assert lines[1].split() == ["[0,", "0]", "-···"] and lines[6].split() == ["[1,", "2]", "···#"]
    assert lines[-1] == "relative error  · to 1e-6  - to 1e-4  + to 1e-2  # above  blank not compared"


@pytest.mark.parametrize("shape", [(), (1,), (200,), (3, 500), (40, 50, 70), (0, 3), (2, 0)])
def test_maps_of_any_shape(shape):
    errors = np.full(shape, 1e-9)
    if errors.size:
        errors.reshape(-1)[-1] = 0.5
    report = Report("layer", [TensorReport("x", shape, errors=errors)])
    text = report.heat_map()
    assert max(map(len, text.splitlines())) <= 80 and len(text.splitlines()) < 40
    assert ("#" in text.split("relative error")[0]) == bool(errors.size)
    assert report.to_html()


def test_what_was_not_compared_is_blank():
    errors = np.array([[1e-9, np.nan], [np.nan, np.nan]])
    found = heatmap.table(errors)
    assert [[heatmap.level(float(e)) for e in row] for row in found.errors] == [[0, -1], [-1, -1]]
