"""The three rooms as a house: same functions everywhere, nothing of nblayers inside, a cache that notices every edit."""
import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels.cpu import _tile

HOUSE = Path(kernels.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
TOPICS = sorted({path.stem for room in kernels.ROOMS for path in (HOUSE / room).glob("*.py") if path.stem[0] != "_"})
ALLOWED = {"kernels", "numpy", "math", "numba", "llvmlite", "cupy"} | set(sys.stdlib_module_names)


def named(path):
    return str(path.relative_to(HOUSE))


def tree(path):
    return ast.parse(path.read_text())


def public_functions(room, topic):
    """The kernels. Equations of one step, block, row, pixel or window (`lstm_step`) are to be read, in the reference room."""
    return {node.name: node for node in tree(HOUSE / room / f"{topic}.py").body
            if isinstance(node, ast.FunctionDef) and node.name[0] != "_"
            and not (room == "reference" and re.search("_(step|block|row|pixel)(_|$)|^window", node.name))}


def run_python(code, *path, **environment):
    """Run code in a process of its own; its output, or its last line of error."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment}
    run = subprocess.run([sys.executable, "-P", "-c", code], env=variables, capture_output=True, text=True, timeout=300)
    return run.stdout.strip() if run.returncode == 0 else run.stderr.strip().splitlines()[-1]


def test_the_topics_are_those_that_are_declared():
    assert sorted(kernels.TOPICS) == TOPICS


@pytest.mark.parametrize("topic", TOPICS)
def test_rooms_hold_the_same_functions(topic):
    arguments = {room: {name: [a.arg for a in node.args.args] for name, node in public_functions(room, topic).items()}
                 for room in kernels.ROOMS}
    # a function that only the cpu room's other files use is no kernel: every kernel stands in the reference room
    expected = arguments["reference"]
    assert expected
    for room in kernels.ROOMS:
        assert {name: arguments[room].get(name) for name in expected} == expected, room
    assert set(arguments["cuda"]) == set(expected)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("room", kernels.ROOMS)
def test_kernels_take_plain_arguments_and_return_nothing(room, topic):
    for name in public_functions("reference", topic):
        node = public_functions(room, topic)[name]
        a = node.args
        assert not (a.defaults or a.kwonlyargs or a.vararg or a.kwarg), f"{name} has defaults or keyword arguments"
        inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n is not node]
        of_inner = {id(n) for function in inner for n in ast.walk(function)}
        returned = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None and id(n) not in of_inner]
        assert not returned, f"{name} returns something"


@pytest.mark.parametrize("topic", TOPICS)
def test_the_reference_room_explains_itself(topic):
    assert "(1)" in ast.get_docstring(tree(HOUSE / "reference" / f"{topic}.py"))
    for room in ("cpu", "cuda"):
        assert f"kernels/reference/{topic}.py" in ast.get_docstring(tree(HOUSE / room / f"{topic}.py")), room


@pytest.mark.parametrize("path", FILES, ids=named)
def test_kernels_import_nothing_of_nblayers(path):
    for node in ast.walk(tree(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
            [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert {name.split(".")[0] for name in names} <= ALLOWED


@pytest.mark.parametrize("path", FILES, ids=named)
def test_how_kernels_are_compiled(path):
    """Flags stand in one file; no unsafe fastmath; no signature, which would compile at import."""
    text = path.read_text()
    assert not re.search(r"fastmath\s*=\s*True", text)
    assert path.name == "_jit.py" or "njit" not in text
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith(("jit", "kernel")):
                    assert not decorator.args, f"{node.name}: a signature in the decorator"


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown device 'tpu': expected one of reference, cpu, cuda"):
        kernels.get("tpu")
    with pytest.raises(AttributeError, match="no attribute 'astrology'"):
        _ = kernels.get("reference").astrology


def test_import_is_light():
    code = ("import sys, nblayers, nblayers.layers, kernels; kernels.get('reference').matmul\n"
            "print(sorted({'numba', 'rich', 'matplotlib', 'cupy'} & set(sys.modules)))")
    assert run_python(code, HOUSE.parent) == "[]"


def test_a_foreign_package_of_the_same_name_is_named(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("")
    error = run_python("import nblayers", tmp_path, HOUSE.parent)
    assert error.startswith("ImportError: nblayers needs its own package 'kernels'") and str(tmp_path) in error


HELPER = """
from kernels.cpu._jit import kernel

@kernel
def one():
    return 1
"""
CALLER = """
import numpy as np
from ._jit import kernel
from ._planted import one

@kernel
def write(x):
    x[0] = one()
"""
RUN = """
import numpy as np
from kernels.cpu.planted import write
x = np.zeros(1)
write(x)
print(int(x[0]), sum(write.stats.cache_hits.values()))
"""


def test_an_edited_helper_makes_the_cache_stale(tmp_path):
    shutil.copytree(HOUSE, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    room = tmp_path / "kernels" / "cpu"
    (room / "_planted.py").write_text(HELPER)
    (room / "planted.py").write_text(CALLER)

    def run():
        value, hits = run_python(RUN, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()
        return int(value), "from the cache" if int(hits) else "compiled"

    assert run() == (1, "compiled")
    assert run() == (1, "from the cache")
    (room / "_planted.py").write_text(HELPER.replace("return 1", "return 2"))
    assert run() == (2, "compiled")
    assert run() == (2, "from the cache")
    flags = (room / "_jit.py").read_text()
    (room / "_jit.py").write_text(flags.replace('"nsz", ', ""))
    assert flags != (room / "_jit.py").read_text()
    assert run() == (2, "compiled")


PAIR = """
from typing import NamedTuple
from ._jit import kernel

class Pair(NamedTuple):
    a: int
    b: int

@kernel
def write(x, pair):
    x[0] = pair.b
"""


def test_a_cache_with_types_that_are_gone_is_not_read(tmp_path):
    shutil.copytree(HOUSE, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / "kernels" / "cpu" / "planted.py"
    for name in ("Pair", "Couple"):
        planted.write_text(PAIR.replace("Pair", name))
        code = (f"import numpy as np; from kernels.cpu.planted import write, {name}\n"
                f"x = np.zeros(1); write(x, {name}(1, 2)); print(x[0])")
        assert run_python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == "2.0"


NARROW = """
import llvmlite.binding
import numpy as np

features = llvmlite.binding.get_host_cpu_features()
for name in features:
    if name.startswith("avx512") or (WIDTH == 16 and name.startswith(("avx", "fma"))):
        features[name] = False
llvmlite.binding.get_host_cpu_features = lambda: features

import kernels
from kernels.cpu import _tile
from kernels.cpu import _tile
assert _tile.VECTOR <= WIDTH, _tile.VECTOR
rng, reference, cpu = np.random.default_rng(0), kernels.get("reference"), kernels.get("cpu")
worst = 0.0

def compare(topic, name, inputs, shapes):
    global worst
    pairs = [[np.zeros(shape, inputs[0].dtype) for shape in shapes] for _ in range(2)]
    for room, outputs in zip((reference, cpu), pairs):
        getattr(getattr(room, topic), name)(*inputs, *outputs)
    single = 1e5 if inputs[0].dtype == "float32" else 1e12
    worst = max(worst, *(single * abs(a - b).max() / abs(a).max() for a, b in zip(*pairs)))

for dtype in ("float32",):
    for ta, tb in ((0, 0), (0, 1), (1, 0), (1, 1)):
        a, b = rng.normal(size=(135, 301)).astype(dtype), rng.normal(size=(301, 97)).astype(dtype)
        a, b = np.ascontiguousarray(a.T) if ta else a, np.ascontiguousarray(b.T) if tb else b
        compare("matmul", "matmul", [a, b, ta, tb, False], [(135, 97)])
        if not ta:
            compare("matmul", "affine", [a, b, tb, rng.normal(size=97).astype(dtype)], [(135, 97)])
for C, F, groups in ((16, 37, 1), (5, 3, 1), (13, 13, 13)):
    x, w, dy = (rng.normal(size=size) for size in ((2, 1, 9, 11, C), (1, 3, 3, C // groups, F), (2, 1, 9, 11, F)))
    steps = (1, 1, 1), (0, 1, 1), (1, 1, 1), groups, True
    compare("convolution", "convolve", [x, w, np.ones(F), *steps], [dy.shape])
    compare("convolution", "convolve_backward", [x, w, np.zeros(C), dy, *steps], [w.shape, (F,), x.shape])
print("agree" if worst < 10 else worst)
"""


@pytest.mark.parametrize("width", [width for width in (32, 16) if width < _tile.VECTOR])
def test_tiles_of_narrower_registers(width, tmp_path):
    """AVX2, and SSE or NEON: what is compiled on a machine with less than this one has. Every tile anew: 50 s."""
    code = NARROW.replace("WIDTH", str(width))
    assert run_python(code, HOUSE.parent, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="1") == "agree"


@pytest.fixture(scope="module")
def team():
    """Two kernels and what `_team` makes of them."""
    from kernels.cpu import _team
    from kernels.cpu._jit import kernel

    @kernel
    def scale(x, factors, s, threads, owner, y):
        first, last = _team.range_of(x.size, s, threads)
        for n in range(first, last):
            owner[n], y[n] = 10 * threads + s, factors[1] * x[n]

    @kernel
    def add_up(x, s, threads, total):
        for n in range(*_team.range_of(x.size, s, threads)):
            total[0] += x[n]

    @kernel
    def twice(x, y):
        add_up(x, 0, 1, y)
        add_up(x, 1, 2, y)

    return _team, scale, add_up, twice


@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("threads", [1, 2, 3, 9])
def test_threads_share_the_work(team, threads, count):
    _team, scale, add_up, _ = team
    x, owner, y, total = np.arange(1.0, count + 1), np.zeros(count, np.int64), np.full(count, np.nan), np.ones(1)
    _team.share(scale, threads, (x, (2, 3)), (owner, y))
    assert np.array_equal(y, 3 * x)
    shares = [list(range(s * count // threads, (s + 1) * count // threads)) for s in range(threads)]
    assert owner.tolist() == [10 * threads + s for s, places in enumerate(shares) for _ in places]
    _team.sum_of_shares(add_up, threads, (x,), total)
    assert total[0] == 1 + x.sum()


def test_a_share_wants_arrays_in_c_order(team):
    """The address of a kernel says nothing of types: another order would be read wrongly, not refused."""
    _team, _, add_up, _ = team
    with pytest.raises(TypeError, match="add_up: expected arrays in C order and of one dtype, got array\\(float64, 1d, A\\)"):
        _team.sum_of_shares(add_up, 2, (np.ones(8)[::2],), np.ones(1))


@pytest.mark.parametrize("threads", [1, 2])
def test_arrays_of_another_dtype_are_no_garbage(team, threads):
    """An address is of a kernel for these types, and for no others of the same last argument."""
    _team, scale, *_ = team
    for dtype in ("float64", "float32", "int8", "float64"):
        x, owner, y = np.arange(1, 6).astype(dtype), np.zeros(5, np.int64), np.full(5, np.nan)
        _team.share(scale, threads, (x, (2, 3)), (owner, y))
        _team.share(scale, threads, (x, (2.0, 3.0)), (owner, y))
        assert np.array_equal(y, [3, 6, 9, 12, 15])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("wrong", ["a", "b", "c"])
def test_a_product_of_two_dtypes_is_refused(wrong, threads, monkeypatch):
    """The register tile is called by its address, which knows no types."""
    matmul = kernels.get("cpu").matmul
    monkeypatch.setattr(matmul, "threads_for", lambda work, share: threads)
    arrays = {name: np.ones((4, 4), "float64" if name == wrong else "float32") for name in "abc"}
    with pytest.raises(TypeError, match=r"_some_of_product: expected arrays in C order and of one dtype, got array\(float"):
        matmul.matmul(arrays["a"], arrays["b"], False, False, False, arrays["c"])


def test_a_kernel_is_compiled_once_for_all_numbers(team):
    *_, add_up, twice = team
    total = np.zeros(1)
    twice(np.ones(4), total)
    assert total[0] == 4 + 2 and len({str(signature) for signature in add_up.signatures}) == 1


COMPUTE = """
import os, sys, threading
import numpy as np
import kernels, numba
a = np.random.default_rng(0).normal(size=(300, 300)).astype("f4")
expected = a @ a                        # once: a child may wait forever for NumPy's BLAS
product = kernels.get("cpu").matmul.matmul
def compute(*_):
    c, total = np.empty_like(a), np.zeros(300, "f4")
    product(a, a, False, False, False, c)                               # 2 x 13 million: large enough for two threads
    kernels.get("cpu").core.bias_backward(np.ones((1000, 300), "f4"), total)
    return bool(np.allclose(c, expected, atol=1e-3) and (total == 1000).all())
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if compute() else 1)
    return os.waitpid(pid, 0)[1] == 0
"""
LAYERS = pytest.mark.parametrize("layer", ["omp", "workqueue"])


def run_in_threads(code, layer):
    return run_python(COMPUTE + code, HOUSE.parent, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")


@LAYERS
def test_several_threads_begin_parallel_loops(layer):
    """Numba's workqueue ends a process in which two of them meet."""
    assert run_in_threads("""
results = []
threads = [threading.Thread(target=lambda: results.extend(compute() for _ in range(50))) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(numba.threading_layer(), len(results), all(results))
""", layer) == f"{layer} 150 True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@LAYERS
def test_a_forked_child_computes(layer):
    """So do its own children and a pool's, while other threads of the parent compute; GNU's OpenMP would end the child."""
    assert run_in_threads("""
import multiprocessing
done, first = threading.Event(), compute()
def busy():
    while not done.is_set(): compute()
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
results = [child() for _ in range(10)]
pid = os.fork()
if pid == 0: os._exit(0 if compute() and child() and compute() else 1)
grandchild = os.waitpid(pid, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(2) as pool:
    mapped = pool.map_async(compute, range(8)).get(timeout=60)
done.set()
for thread in threads: thread.join()
print(numba.threading_layer(), first, all(results), grandchild, all(mapped), compute())
""", layer) == f"{layer} True True True True True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_parent_that_never_computed_has_all_threads():
    assert run_in_threads("""
from kernels.cpu import _threads
pid = os.fork()
if pid == 0: os._exit(0 if compute() and _threads.threads_for(1 << 30, 1) == 2 and child() else 1)
print(os.waitpid(pid, 0)[1], compute(), _threads.threads_for(1 << 30, 1))
""", "omp") == "0 True 2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_is_not_left_waiting_for_a_lock():
    """Another thread holds the compiler's lock, and then ours, when the process forks."""
    assert run_in_threads("""
from numba.core.compiler_lock import global_compiler_lock
from kernels.cpu import _threads
compute()
for lock in (global_compiler_lock, _threads._turn):
    held, go = threading.Event(), threading.Event()
    def hold():
        with lock:
            held.set(); go.wait(0.2)
    holder = threading.Thread(target=hold); holder.start(); held.wait()
    pid = os.fork()
    if pid == 0:
        numba.njit(lambda x: x + 1)(1)
        os._exit(0 if compute() else 1)
    go.set(); holder.join()
    print(os.waitpid(pid, 0)[1], compute(), end=" ")
""", "workqueue") == "0 True 0 True"


def test_kernels_have_names_of_their_own():
    """The code of one that a fork compiled is found by its name, and by the types it is for."""
    printed = run_python("import kernels\nfrom kernels.cpu._ahead import kernels_made\n"
                         "room = kernels.get('cpu')\n[getattr(room, topic) for topic in kernels.TOPICS]\n"
                         "print(*(f'{kernel.__module__}.{kernel.__qualname__}' for kernel in kernels_made))", HOUSE.parent)
    names = printed.split()
    assert len(set(names)) == len(names) > 300
