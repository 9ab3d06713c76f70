"""Every CUDA kernel compiles to machine code, without a GPU: nothing spilled, no double precision in a float32 kernel."""
import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kernels
from nblayers.learn import catalogue, exercises, tools

SCRIPT = Path(__file__).with_name("cuda_compile.py")
MODULES = sorted(f"kernels.cuda.{path.stem}" for path in (Path(kernels.__file__).parent / "cuda").glob("*.py")
                 if path.stem != "__init__")
ARCHITECTURES = ("sm_75", "sm_80", "sm_90") if os.environ.get("NBLAYERS_TEST_ALL") == "1" else ("sm_75",)


def compile_report(modules, path=""):
    environment = dict(os.environ, NUMBA_ENABLE_CUDASIM="0", ARCHITECTURES=" ".join(ARCHITECTURES))
    environment["PYTHONPATH"] = os.pathsep.join([str(path), os.environ["PYTHONPATH"]])
    run = subprocess.run([sys.executable, SCRIPT, *modules], env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def report():
    return compile_report(MODULES)


def complaints(found):
    """What is wrong in the report on one module."""
    texts = [f"{name} is a kernel that SIGNATURES does not list" for name in found["unlisted"]]
    for name, kernel in found["kernels"].items():
        if kernel["double"] and "float64" not in kernel["signature"]:
            texts.append(f"{name} has {kernel['double']} double-precision instructions, though it is {kernel['signature']}")
        texts += [f"{name} spills {kernel[sm]['spilled']} bytes on {sm}" for sm in ARCHITECTURES if kernel[sm]["spilled"]]
    return texts


@pytest.mark.parametrize("module", MODULES)
def test_kernels_compile(module, report):
    assert complaints(report[module]) == []


def test_there_are_kernels(report):
    for topic in kernels.TOPICS:
        found = report[f"kernels.cuda.{topic}"]["kernels"]
        assert found and all(kernel[sm]["registers"] > 0 for kernel in found.values() for sm in ARCHITECTURES)


PLANTED = """
from numba import cuda

@cuda.jit
def _double(x):
    x[cuda.grid(1)] = max(x[0], 0.0)

@cuda.jit(device=True)
def _helper(x):
    return x

@cuda.jit
def _forgotten(x):
    x[0] = _helper(x[1])

@cuda.jit
def _single(x):
    x[0] = _helper(x[1])

@cuda.jit(max_registers=24)
def _spilling(x):
    {load}
    cuda.syncthreads()
    {store}

SIGNATURES = {{"_double": (_double, "void(float32[:])"), "_single": (_single, "void(float32[:])"),
              "_spilling": (_spilling, "void(float32[:])")}}
"""


def test_mistakes_are_noticed(tmp_path):
    load = "; ".join(f"v{k} = x[{k}]" for k in range(40))       # more values at once than it may have registers
    store = "; ".join(f"x[{k}] = v{39 - k}" for k in range(40))
    (tmp_path / "planted_kernels.py").write_text(PLANTED.format(load=load, store=store))
    found = complaints(compile_report(["planted_kernels"], tmp_path)["planted_kernels"])
    assert found[0] == "_forgotten is a kernel that SIGNATURES does not list"
    assert found[1].startswith("_double has")
    assert [text.split(" bytes")[0].rstrip("0123456789") for text in found[2:]] == ["_spilling spills "] * len(ARCHITECTURES)


LESSON = """
import math

from numba import float32

from kernels.cuda._compat import cuda

THREADS, TILE, PADDED = 128, 16, 17
"""
V, M, BOX = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"
OF_LESSON = {
    "relu_one": (V, V), "relu": (V, V), "product": (M, M, V, M), "tiled": (M, M, V, M), "racing_sum": (V, V),
    "atomic_sum": (V, V), "tree_sum": (V, V), "softmax": (M, V, M), "softmax_backward": (M, M, M),
    "weight_gradient": (M, M, M), "bias_gradient": (M, V), "walk": (BOX, M, BOX)}
OF_SOLUTIONS = {"slope_of_relu": (M, M, M), "weights_and_bias": (M, M, M, V), "back_through_W": (M, M, M),
                "turn_tiles": (M, M), "add_columns": (M, V)}


def lesson_module(path, arguments):
    """The kernels of a lesson as a module, with the blocks of a GPU."""
    made = [node for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.decorator_list]
    signatures = [f"'{name}': ({name}, 'void({', '.join(types)})')" for name, types in arguments.items()]
    return "\n\n".join([LESSON, *map(ast.unparse, made), f"SIGNATURES = {{{', '.join(signatures)}}}"])


def test_the_lessons_kernels_run_on_a_gpu_as_they_stand(tmp_path):
    """All that are decorated in lesson 25 and its solutions. To import the compiler once more takes half of the seconds."""
    lesson = catalogue.find("25")
    modules = {"of_lesson": (lesson, OF_LESSON), "of_solutions": (exercises.solutions(lesson), OF_SOLUTIONS)}
    for name, (path, arguments) in modules.items():
        (tmp_path / f"{name}.py").write_text(lesson_module(path, arguments))
    found = compile_report([*modules], tmp_path)
    for name, (_, arguments) in modules.items():
        assert complaints(found[name]) == [] and set(found[name]["kernels"]) == set(arguments)


def test_a_gpu_or_the_simulator_is_chosen():
    """By who has not imported numba.cuda yet, but perhaps Numba."""
    code = ("import numba; from nblayers.learn.tools import gpu_or_simulator; print(gpu_or_simulator()); "
            "from kernels.cuda._compat import SIMULATED, cuda; print(SIMULATED, hasattr(cuda, 'simulator'))")
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    expected = "on a GPU\nFalse False\n" if tools._gpus() else "in Numba's simulator\nTrue True\n"
    assert run.stdout == expected, run.stderr[-2000:]


def test_the_speeds_of_the_lessons_kernels():
    """Measured in the simulator, where they say nothing: that it runs."""
    from kernels.cuda._compat import cuda
    from lessons.data import gpu_speeds

    @cuda.jit
    def two(x, y):
        y[0] = x[0]

    @cuda.jit
    def four(x, W, b, y):
        y[0, 0] = x[0, 0] + b[0]
    speeds = gpu_speeds(two, four, four, 4, 900.0, 1000.0, size=4, threads=8)
    assert {name: roof for name, (_, roof) in speeds.items() if "CuPy" not in name} == {
        "relu": 125.0, "product, a thread an output": 250.0, "tiles of 4": 900.0}
    assert all(rate > 0 for rate, _ in speeds.values())
