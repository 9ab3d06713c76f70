"""Compiling and its cache: damaged, full or not writable, it costs time, never a run; Python for kernels; signals."""
import importlib.util
import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels import interrupts
from kernels.cpu import _cache
from nblayers import compiling, layers, warm_up

MODULE = """
from kernels.cpu._jit import kernel

@kernel
def inner(x):
    return x + 1

@kernel
def outer(x, y):
    for n in range(x.size):
        y[n] = 2 * inner(x[n])
"""


class Planted:
    """A source file with two kernels; each call of `run` is what a new process does: how many of them came from the cache."""

    def __init__(self, directory):
        self.source = directory / "source" / "planted.py"
        self.source.parent.mkdir()
        self.source.write_text(MODULE)
        self.cache = directory / "cache"

    def load(self):
        spec = importlib.util.spec_from_file_location("planted", self.source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def run(self):
        module, y = self.load(), np.zeros(3)
        module.outer(np.arange(3.0), y)
        assert y.tolist() == [2, 4, 6]
        return sum(module.outer.stats.cache_hits.values())

    @property
    def files(self):
        found = [path for path in self.cache.rglob("*") if path.is_file() and path.name != _cache.CLAIMS]
        return {path.name.split("-")[0]: path for path in found}


@pytest.fixture
def planted(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(_cache, "_said", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for function in (_cache.directories, _cache._can_be_written, _cache._source_digest, _cache._claims):
        function.cache_clear()
    yield Planted(tmp_path)
    _cache.directories.cache_clear()


DAMAGES = {
    "empty": lambda content, other: b"",
    "one byte": lambda content, other: content[:1],
    "no code": lambda content, other: content[:32],
    "half": lambda content, other: content[:len(content) // 2],
    "the last byte missing": lambda content, other: content[:-1],
    "a byte too many": lambda content, other: content + b"\0",
    "one bit": lambda content, other: content[:4000] + bytes([content[4000] ^ 1]) + content[4001:],
    "zeros": lambda content, other: bytes(len(content)),
    "random": lambda content, other: np.random.default_rng(0).bytes(len(content)),
    "a pickle of something else": lambda content, other: pickle.dumps({"x": 1}),
    "another kernel's": lambda content, other: other,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced(planted, damage):
    assert planted.run() == 0
    assert planted.run() == 1
    files = planted.files
    content, other = files["planted.outer"].read_bytes(), files["planted.inner"].read_bytes()
    files["planted.outer"].write_bytes(DAMAGES[damage](content, other))
    assert planted.run() == 0
    assert planted.run() == 1
    assert set(planted.files) == {"planted.inner", "planted.outer"}            # nothing is left over


def test_files_that_are_gone_are_made_again(planted):
    planted.run()
    planted.files["planted.outer"].unlink()
    assert [planted.run(), planted.run()] == [0, 1]
    for path in planted.files.values():
        path.unlink()
    planted.cache.rename(planted.cache.with_name("gone"))
    assert [planted.run(), planted.run()] == [0, 1]


def test_an_edited_source_is_compiled_anew(planted):
    planted.run()
    planted.source.write_text(MODULE.replace("2 * inner", "inner(x[n]) + 1 * inner"))
    _cache._source_digest.cache_clear()
    assert [planted.run(), planted.run()] == [0, 1]


def nowhere(planted, monkeypatch):
    """No directory can be written: a file stands where one should be, and in /proc nobody makes any."""
    (planted.source.parent / "__pycache__").write_text("")
    monkeypatch.setattr(_cache.config, "CACHE_DIR", "/proc/none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(planted.source / "home"))


def test_without_a_directory_kernels_are_compiled_and_it_is_said_once(planted, monkeypatch):
    nowhere(planted, monkeypatch)
    with pytest.warns(RuntimeWarning, match=r"no directory .* can be written \(tried /proc/none.*NUMBA_CACHE_DIR") as told:
        assert [planted.run(), planted.run()] == [0, 0]
    assert len(told) == 1


def test_another_directory_is_taken(planted, monkeypatch):
    monkeypatch.setattr(_cache.config, "CACHE_DIR", "/proc/none")
    assert [planted.run(), planted.run()] == [0, 1]
    assert list((planted.source.parent / "__pycache__").glob("*.nbc"))


@pytest.mark.parametrize("given", [True, False])
def test_a_directory_that_cannot_be_written_is_read(planted, monkeypatch, given):
    """Both as NUMBA_CACHE_DIR and beside the source."""
    if not given:
        monkeypatch.setattr(_cache.config, "CACHE_DIR", "")
    planted.run()
    monkeypatch.setattr(_cache, "_can_be_written", lambda place: False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert planted.run() == 1


def test_a_full_disk_costs_time_only(planted):
    planted.cache.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))                # what a write meets is as on a full disk
    try:
        with pytest.warns(RuntimeWarning, match="cannot be kept in .*NUMBA_CACHE_DIR") as told:
            hits = planted.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (hits, len(told), planted.files) == (0, 1, {})
    assert [planted.run(), planted.run()] == [0, 1]


def python(code, *options, arguments=(), **environment):
    """Begin to run code in a process of its own."""
    return subprocess.Popen([sys.executable, *options, "-c", code, *arguments], env={**os.environ, **environment}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def output(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out.strip()


def test_processes_that_write_at_once(planted):
    code = ("import sys, numpy; sys.path.insert(0, sys.argv[1]); import planted; y = numpy.zeros(3)\n"
            "planted.outer(numpy.arange(3.0), y); print(y.tolist(), sum(planted.outer.stats.cache_hits.values()))")

    def start():
        return subprocess.Popen([sys.executable, "-c", code, str(planted.source.parent)], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env={**os.environ, "NUMBA_CACHE_DIR": str(planted.cache)})

    assert {output(process)[:15] for process in [start() for _ in range(3)]} == {"[2.0, 4.0, 6.0]"}
    assert output(start()) == "[2.0, 4.0, 6.0] 1"
    assert set(planted.files) == {"planted.inner", "planted.outer"}


@pytest.mark.parametrize("first, then", [("link", "address"), ("link", "call"), ("address", "call"), ("address", "link"),
                                         ("call", "link"), ("call", "address")])
def test_a_kernel_is_taken_further_by_a_later_process(planted, first, then):
    """What one made of it is in the cache, and each goes on from there; the next finds all of it."""
    planted.source.write_text(MODULE.replace("inner(x):", "inner(x, n):").replace("inner(x[n])", "inner(x[n], n)") + FURTHER)

    def run(how):
        return output(python(FURTHER_RUN, arguments=(str(planted.source.parent), how), NUMBA_CACHE_DIR=str(planted.cache)))

    assert [run(how) for how in (first, then, then)] == ["[2.0, 4.0, 6.0]"] * 3
    assert run(then) == run(first)


def test_a_kernel_that_another_one_brought_along_returns_arrays(planted):
    """The constants of its wrapper came later than the other kernel's file."""
    planted.source.write_text("""
import numpy as np
from kernels.cpu._jit import kernel

@kernel
def made(n):
    return np.zeros(n)

@kernel
def filled(y):
    y[:] = made(y.size)
""")
    code = ("import sys, numpy; sys.path.insert(0, sys.argv[1]); import planted\n"
            "planted.filled(numpy.ones(2)); print(planted.made(2).tolist())")
    for _ in range(3):
        assert output(python(code, arguments=(str(planted.source.parent),), NUMBA_CACHE_DIR=str(planted.cache))) == "[0.0, 0.0]"


FURTHER = """
from kernels.cpu._call import call

@kernel
def linking(x, n, y):
    outer(x, y)

@kernel
def calling(part, x, y):
    call(part, x, y)
"""
FURTHER_RUN = """
import sys
import numpy
sys.path.insert(0, sys.argv[1])
import planted
from kernels.cpu._call import address

x, y = numpy.arange(3.0), numpy.zeros(3)
{"link": lambda: planted.linking(x, 3, y), "call": lambda: planted.outer(x, y),
 "address": lambda: planted.calling(address(planted.outer, x, y), x, y)}[sys.argv[2]]()
print(y.tolist())
"""
COUNT = """
import sys, time, numpy, kernels
from kernels.cpu import _cache
_cache.PATIENCE = float(sys.argv[2])
compiled = []
kernels.on_compile = lambda name, begins: (compiled.append(name) if begins else None, time.sleep(float(sys.argv[3])))
sys.path.insert(0, sys.argv[1])
import planted
y = numpy.zeros(3)
planted.outer(numpy.arange(3.0), y)
print(y.tolist(), *compiled)
"""


def counting(planted, patience, slowly=0.0):
    """A process that says what it compiled."""
    return python(COUNT, arguments=(str(planted.source.parent), str(patience), str(slowly)), NUMBA_CACHE_DIR=str(planted.cache))


def test_processes_do_not_compile_the_same_kernel(planted):
    compiled = [output(process) for process in [counting(planted, 60) for _ in range(3)]]
    assert "".join(compiled).count("outer") == "".join(compiled).count("inner") == 1
    assert all(out.startswith("[2.0, 4.0, 6.0]") for out in compiled)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_nobody_waits_for_a_process_that_compiles_no_more(planted, number):
    """One that is killed has no claim; one that is stopped is waited for a while."""
    other = counting(planted, 60, slowly=60)
    lock = planted.cache
    while not list(lock.rglob(_cache.CLAIMS)):
        time.sleep(0.01)
    time.sleep(0.2)
    other.send_signal(number)
    try:
        assert output(counting(planted, 0.5)) == "[2.0, 4.0, 6.0] outer inner"
    finally:
        other.kill()


AHEAD = """
import os, sys, time, numpy, kernels
from pathlib import Path
from kernels.cpu import _ahead
sys.path.insert(0, sys.argv[1])
import planted

FIRST, MIDDLE, UNTIL = os.getpid(), sys.argv[2], time.monotonic() + float(sys.argv[3])
_ahead.SECONDS = 1.0
compiled, x, y, log = [], numpy.arange(3.0), numpy.zeros(3), open(sys.argv[1] + "/log", "w")
kernels.on_compile = lambda name, begins: compiled.append(name) if begins else None

def step():
    planted.first(x, y)
    if os.getpid() != FIRST:
        exec(MIDDLE)
    while os.getpid() == FIRST and time.monotonic() < UNTIL and not list(Path(sys.argv[1]).rglob("planted.last*.nbc")):
        time.sleep(0.01)
    planted.last(x, y)

with kernels.doing(step):
    step()
log.close()
print(y.tolist(), *compiled)
"""
STEP = MODULE + """
@kernel
def first(x, y):
    y[0] = x[1]

@kernel
def last(x, y):
    outer(x, y)
"""


def ahead(planted, middle="", patience=60, **environment):
    """What a process says of a step with two kernels, between which it waits for a fork to compile the last.

    `middle` is what the fork does when it rehearses the step.
    """
    planted.source.write_text(STEP)
    variables = {"NUMBA_CACHE_DIR": str(planted.source.parent / "cache"), "NBLAYERS_COMPILE_AHEAD": "1", **environment}
    return output(python(AHEAD, arguments=(str(planted.source.parent), middle, str(patience)), **variables))


needs_forks = pytest.mark.skipif(not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2,
                                 reason="kernels are compiled ahead on Linux, if there is a second core")


@needs_forks
@pytest.mark.parametrize("middle", ["", "print('heard')", "os.write(1, b'heard')", "os.system('echo heard >&2')",
                                    "y[:] = x[:] = 7", "log.write('heard')", "kernels.on_compile = print",
                                    "planted.outer(y, x)"])
def test_a_fork_compiles_ahead_and_nothing_else_of_it_reaches_anyone(planted, middle):
    assert ahead(planted, middle) == "[2.0, 4.0, 6.0] first"
    assert not (planted.source.parent / "log").read_text()


@needs_forks
@pytest.mark.parametrize("middle", ["raise ValueError", "log.write('heard'); log.flush()", "os.abort()",
                                    "os.kill(os.getpid(), 9)", "sys.exit(1)", "while True: pass"])
def test_a_rehearsal_that_fails_leaves_the_rest_to_the_first_process(planted, middle):
    assert ahead(planted, middle, patience=2) == "[2.0, 4.0, 6.0] first last outer inner"
    assert not (planted.source.parent / "log").read_text()


@needs_forks
@pytest.mark.parametrize("why_not", [{"NBLAYERS_COMPILE_AHEAD": "0"}, {"NUMBA_DISABLE_JIT": "1"}])
def test_compiling_ahead_can_be_switched_off(planted, why_not):
    compiled = "" if "NUMBA_DISABLE_JIT" in why_not else " first last outer inner"
    assert ahead(planted, "open(sys.argv[1] + '/here', 'w')", patience=1, **why_not) == f"[2.0, 4.0, 6.0]{compiled}"
    assert not (planted.source.parent / "here").exists()


def test_a_kernel_without_a_source_file_is_not_kept(planted):
    function = {}
    exec(compile(MODULE, "<typed>", "exec"), function)
    y = np.zeros(3)
    function["outer"](np.arange(3.0), y)
    assert y.tolist() == [2, 4, 6] and not planted.files


def test_recompile_does_not_read_the_cache(planted):
    planted.run()
    outer = planted.load().outer
    outer(np.zeros(1), np.zeros(1))
    outer.recompile()
    assert sum(outer.stats.cache_hits.values()) == 1 and sum(outer.stats.cache_misses.values()) == 1


BITS = """
import hashlib
import numpy as np
from within import slopes

x = np.random.default_rng(0).normal(size=(8, 1001)).astype("float32")
slopes(x)
print(hashlib.sha256(x.tobytes()).hexdigest())
"""
WITHIN = """
from kernels.cpu._jit import kernel
from kernels.cpu._lstm import lstm_slopes

@kernel
def slopes(x):
    lstm_slopes(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
"""


def test_the_process_that_compiles_computes_the_same_bits(tmp_path):
    """A kernel within another one is optimised once more with it; which of the two is called must not depend on the cache."""
    (tmp_path / "within.py").write_text(WITHIN)
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    compiling, loading = (output(python(BITS, **environment)) for _ in range(2))
    assert compiling == loading


class Stop(Exception):
    """What a handler raises."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGALRM, signal.SIGUSR1])
def test_a_signal_waits_for_the_compiler(planted, monkeypatch, number):
    def stop(*_):
        raise Stop

    came = []
    monkeypatch.setattr(kernels, "on_compile", lambda name, begins: (came.append(name), os.kill(os.getpid(), number)))
    previous = signal.signal(number, stop)
    try:
        outer, y = planted.load().outer, np.zeros(3)
        with pytest.raises(Stop):
            outer(np.arange(3.0), y)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, previous)
    assert came == ["outer", "inner", "inner", "outer"]
    outer(np.arange(3.0), y)
    assert y.tolist() == [2, 4, 6] and planted.run() == 1


def test_compiling_goes_on_after_an_interrupt_at_any_moment(planted):
    def stop(*_):
        raise Stop

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        for n in range(12):
            planted.source.write_text(MODULE.replace("x + 1", f"x + 1 + 0 * {n}"))
            _cache._source_digest.cache_clear()
            module, y = planted.load(), np.zeros(3)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.012 * n)
                module.outer(np.arange(3.0), y)
            except Stop:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            module.outer(np.arange(3.0), y)
            assert y.tolist() == [2, 4, 6] and not interrupts._holding
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_every_signal_is_delivered(monkeypatch):
    came = []

    def note(number, frame):
        came.append(number)
        raise Stop

    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        with pytest.raises(Stop), interrupts.held_back():
            for number in numbers:
                os.kill(os.getpid(), number)
            assert not came
        assert sorted(came) == sorted(numbers) and all(signal.getsignal(number) is note for number in numbers)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


PYTHON = (Path(__file__).parent / "without_compiling.py").read_text()


@pytest.mark.parametrize("part", ["sequences", "images", "rest"])
def test_without_a_compiler(part):
    """NUMBA_DISABLE_JIT=1: every layer's kernels run as Python and agree with the reference room, without a warning."""
    assert output(python(PYTHON.replace("PART", part), "-W", "error", NUMBA_DISABLE_JIT="1")) == "agree"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True

    @property
    def screen(self):
        """What is seen on the last line."""
        line = ""
        for part in self.getvalue().split("\r"):
            line = part + line[len(part):]
        return line.rstrip()


@pytest.fixture
def line():
    return compiling.CompilingLine().show


def test_the_line_says_what_is_compiled_and_goes(line, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    terminal.write("1/8 a progress line that is rather long, with loss: 0.1234")
    line("_outer", True)
    assert terminal.screen == "Compiling kernels, once on this machine: outer (1)"
    line("inner", True)
    assert terminal.screen == "Compiling kernels, once on this machine: inner (2)"
    line("inner", False)
    assert terminal.screen == "Compiling kernels, once on this machine: outer (2)"
    line("_outer", False)
    assert terminal.screen == "" and terminal.getvalue().endswith("\r") and "\n" not in terminal.getvalue()


def test_the_line_fits_the_terminal(line, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "30")
    line("outer", True)
    assert terminal.screen == "Compiling kernels, once on th"


class Closed(io.StringIO):
    """A stream that cannot be asked."""

    def isatty(self):
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("errors", [io.StringIO(), None, Closed()], ids=["a file", "none", "closed"])
def test_the_line_takes_stdout_where_stderr_is_no_terminal(line, monkeypatch, errors):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "stdout", terminal)
    line("outer", True)
    assert terminal.screen.endswith("outer (1)")
    line("outer", False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    line("outer", True)
    assert terminal.screen == sys.stdout.getvalue() == ""


@pytest.mark.parametrize("verbose, said", [((), True), ((0,), False), ((1,), True), (("auto",), True)])
def test_the_line_is_silent_with_verbose_0(line, monkeypatch, verbose, said):
    @compiling.silent_without_verbose
    def fit(x, verbose="auto"):
        line("outer", True)
        line("outer", False)

    for arguments, named in ((verbose, {}), ((), {"verbose": verbose[0]} if verbose else {})):
        monkeypatch.setattr(sys, "stderr", Terminal())
        fit(1, *arguments, **named)
        assert bool(sys.stderr.getvalue()) == said


def test_it_may_be_said_even_with_verbose_0(monkeypatch):
    """As `nblayers learn` does, where a step would seem to hang."""
    line = compiling.CompilingLine()
    line.heeds_verbose = False

    @compiling.silent_without_verbose
    def fit(verbose):
        line.show("outer", True)
        return sys.stderr.screen
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert fit(verbose=0).endswith("outer (1)")


def test_training_is_silent_with_verbose_0():
    from nblayers.models import Sequential
    for name in ("fit", "evaluate", "predict"):
        assert getattr(Sequential, name).__wrapped__


RELU6 = ("import numpy as np; from nblayers import layers as L; from nblayers.models import Sequential\n"
         "model = Sequential([L.Input((4,)), L.Activation('relu6')])\n"
         "x = np.zeros((2, 4), 'float32'); model.predict(x, verbose=VERBOSE); print('done')")


def test_on_a_terminal_it_is_said_once(tmp_path):
    pexpect = pytest.importorskip("pexpect")

    def screen(verbose):
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        child = pexpect.spawn(sys.executable, ["-c", RELU6.replace("VERBOSE", verbose)], env=variables, encoding="utf-8",
                              timeout=120, dimensions=(24, 80))
        return child.read()

    silent = screen("0")
    for path in tmp_path.rglob("*.nbc"):
        path.unlink()
    cold, warm = screen("1"), screen("1")
    assert "once on this machine: relu6" in cold
    assert "once on this machine" not in silent + warm
    assert all("done" in text for text in (silent, cold, warm))


def test_every_layer_is_warmed_up():
    without = {"ActivityRegularization", "Concatenate", "FlaxLayer", "Flatten", "Identity", "Input", "InputLayer", "InputSpec",
               "JaxLayer", "Lambda", "Layer", "Permute", "RepeatVector", "Reshape", "TFSMLayer", "TorchModuleWrapper",
               *(name for name in layers.__all__ if name.islower())}
    assert {name for name in layers.__all__ if list(warm_up.jobs([name])) == ["optimizers"]} == without
    assert warm_up.jobs(["Conv2D", "MaxPool1D", "Convolution3D"]) == {
        "Convolution": "Conv2D, Convolution3D", "Pooling": "MaxPool1D", "optimizers": "optimizers"}
    assert set(warm_up.jobs()) == {job for name in layers.__all__ for job in warm_up.jobs([name])}


@pytest.mark.parametrize("name, hint", [("LSTMM", ": did you mean LSTM?"), ("lstm", ": did you mean LSTM?"), ("basis", "")])
def test_an_unknown_layer(name, hint, capsys):
    from nblayers.cli import main
    assert main(["warm-up", "Dense", name]) == 2
    assert f"nblayers: there is no layer '{name}'{hint}" in capsys.readouterr().err


def test_warming_up_one_layer_keeps_its_kernels(tmp_path):
    code = "import kernels, nblayers.compiling; from nblayers.warm_up import run; print(run('Masking')[0])"
    assert [output(python(code, NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2)] == ["2", "0"]


def test_nothing_is_compiled_after_warming_up():
    """The kernels of all optimizers, kept where the other tests find them."""
    command = "import sys; from nblayers.cli import main; sys.exit(main(['warm-up', 'Masking']))"
    first, again = (output(python(command)) for _ in range(2))
    assert first.startswith("compiling for Masking, optimizers: this may take minutes\n") and "they are kept in " in first
    assert "Masking          all there" in again and "\n0 kernels compiled" in again
    code = ("import kernels, nblayers.compiling; from nblayers.warm_up import run\n"
            "print(run('Masking')[0] + run('optimizers')[0])")
    assert output(python(code)) == "0"
