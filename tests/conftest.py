"""What every test runs under: the checkout these tests lie in, few threads, Keras on JAX, the CUDA simulator."""
import gc
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))                       # this checkout, also where another copy is installed ...
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))     # ... and in children

for module in [name for name in sys.modules if name.partition(".")[0] in ("nblayers", "kernels", "lessons")]:
    own = str(ROOT / module.partition(".")[0])
    if not (getattr(sys.modules[module], "__file__", None) or own).startswith(own):
        del sys.modules[module]                     # another copy's pytest plugin was loaded before this checkout was found

ON_GPU = os.environ.get("NBLAYERS_TEST_GPU") == "1"
os.environ["NUMBA_ENABLE_CUDASIM"] = "0" if ON_GPU else "1"
os.environ.pop("NBLAYERS_DEVICE", None)
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
# JAX compiles each shape for one run: without optimising it takes two thirds of the time
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
os.environ["MPLBACKEND"] = "agg"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["NBLAYERS_STATE"] = os.path.join(tempfile.gettempdir(), f"nblayers-tests-{os.getpid()}")       # not the tester's own
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")        # threads that wait leave the core to the other worker
for variable in ("COLUMNS", "LINES"):
    os.environ.pop(variable, None)                  # pytest-xdist sets them: a test's terminal has a size of its own
THREADS = str(min(2, os.cpu_count() or 1))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, THREADS)

import jax_in_numpy  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import kernels  # noqa: E402
from nblayers import (  # noqa: E402
    config,
    devices,
    random as nblayers_random,
)
from nblayers.layers import base  # noqa: E402

SETTINGS = {setting: setting.get() for setting in (
    devices._device, config._floatx, config._epsilon, config._image_data_format, config._winograd)}


LONGEST = ["lessons", "turns", "attention", "workshop", "install", "cuda", "convolution", "normalization", "conv_lstm",
           "activation", "compiling", "pooling", "kernels", "layers"]       # minutes the first, half a minute the last


def pytest_collection_modifyitems(items):
    """Files that take long come first: none of them is begun when the other worker has nothing left to do."""
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"workers need the same names of tests, and {addresses[0]} has an address in it")
    rank = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_collection_finish():
    """The millions of objects of JAX, TensorFlow and PyTorch stay: nobody need look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


if os.environ.get("NBLAYERS_TEST_XLA") != "1":
    jax_in_numpy.install()


@pytest.fixture(params=kernels.ROOMS)
def device(request):
    """The name of each room in turn; nothing is set: hand it to `layer.to(device)` or `nblayers.device(device)`."""
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x64():
    """JAX in double precision, so that a Keras layer made in the test with dtype="float64" is one."""
    import jax
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def no_progress():
    """A learner who has done nothing yet, in every test."""
    yield
    shutil.rmtree(os.environ["NBLAYERS_STATE"], ignore_errors=True)


@pytest.fixture(autouse=True)
def fresh_settings():
    """Default device, dtype, names and the same random numbers for every test."""
    for setting, value in SETTINGS.items():
        setting.set(value)
    base.clear_names()
    random.seed(0)
    np.random.seed(0)
    nblayers_random.set_seed(0)
