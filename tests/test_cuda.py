"""Every CUDA kernel compiles to machine code, without a GPU: nothing spilled, no double precision in a float32 kernel."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kernels

SCRIPT = Path(__file__).with_name("cuda_compile.py")
MODULES = sorted(f"kernels.cuda.{path.stem}" for path in (Path(kernels.__file__).parent / "cuda").glob("*.py")
                 if path.stem != "__init__")
ARCHITECTURES = ("sm_75", "sm_80", "sm_90")


def compile_report(modules, path=""):
    environment = dict(os.environ, NUMBA_ENABLE_CUDASIM="0")
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
    assert [text.split(" bytes")[0].rstrip("0123456789") for text in found[2:]] == ["_spilling spills "] * 3
