"""nblayers as a stranger gets it: installed from the checkout into a fresh environment, used from an empty folder.

Skipped only with NBLAYERS_SKIP_INSTALL_TEST=1.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(os.environ.get("NBLAYERS_SKIP_INSTALL_TEST") == "1", reason="NBLAYERS_SKIP_INSTALL_TEST=1")


class Installed:
    """A fresh environment with nblayers in it, and an empty folder to work in."""

    def __init__(self, folder):
        self.environment, self.folder = folder / "environment", folder / "empty"
        self.folder.mkdir()
        self.run(sys.executable, "-m", "venv", "--without-pip", self.environment)
        python = self.environment / "bin" / "python"                # bytecode is made of what is imported, not of all packages
        self.run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", CHECKOUT)

    def run(self, *command):
        """What the command prints; variables that steer our tests are taken away from it."""
        ours = ("PYTHON", "NUMBA_", "NBLAYERS_", "KERAS_")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        run = subprocess.run([str(word) for word in command], cwd=self.folder, env=variables, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        return run.stdout

    def python(self, code):
        return self.run(self.environment / "bin" / "python", "-c", code).strip()

    def command(self, *arguments):
        return self.run(self.environment / "bin" / "nblayers", *arguments)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("install"))


def test_the_three_packages_come_from_the_environment(installed):
    for package in ("nblayers", "kernels", "lessons"):
        found = Path(installed.python(f"import {package}; print({package}.__file__)"))
        assert found.is_relative_to(installed.environment)
        assert {path.relative_to(found.parent) for path in found.parent.rglob("*.py")} == \
            {path.relative_to(CHECKOUT / package) for path in (CHECKOUT / package).rglob("*.py")}


def test_import_loads_nothing_heavy(installed):
    code = "import sys, nblayers, nblayers.layers; print({'numba', 'rich', 'matplotlib'} & set(sys.modules))"
    assert installed.python(code) == "set()"


def test_a_small_model_learns(installed):
    first, last = map(float, installed.python("""
import numpy as np, nblayers
from nblayers.layers import Dense, Embedding, LSTM
from nblayers.models import Sequential
nblayers.utils.set_random_seed(0)
x = np.random.default_rng(0).integers(0, 8, (64, 5))
y = x[:, -1] % 2
model = Sequential([Embedding(8, 4), LSTM(8), Dense(2, activation="softmax")])
model.compile(optimizer=nblayers.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=20, batch_size=16, verbose=0)
print(history.history["loss"][0], history.history["loss"][-1])
""").split())
    assert last < first / 2


def test_gradcheck_is_at_hand(installed):
    code = "import numpy as np, nblayers; print(nblayers.gradcheck(nblayers.layers.Dense(2), np.ones((2, 3))).passed)"
    assert installed.python(code) == "True"


def test_the_lessons_data_come_with_them(installed):
    code = "from lessons import data; from nblayers.learn import formulas; print(data.digits()[0].shape, len(formulas.index()))"
    assert installed.python(code) == "(1797, 8, 8) 206"


def test_the_lessons_are_listed(installed):
    assert "lstm" in installed.command("lessons")


def test_a_lesson_runs_straight_through(installed):
    printed = installed.command("learn", "lstm", "--no-pause")
    assert all(f"temperature {value}" in printed for value in (0.2, 0.5, 1.0, 1.2))
    assert [picture for picture in installed.folder.rglob("*.png") if "loss" in picture.name]
