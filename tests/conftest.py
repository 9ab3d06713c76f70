"""What every test runs under: the checkout these tests lie in, few threads, Keras on JAX, the CUDA simulator."""
import gc
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))                       # this checkout, also where another copy is installed ...
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))     # ... and in children

for module in [name for name in sys.modules if name.partition(".")[0] in ("nblayers", "kernels", "lessons")]:
    own = str(ROOT / module.partition(".")[0])
    if not (getattr(sys.modules[module], "__file__", None) or own).startswith(own):
        del sys.modules[module]                     # another copy's pytest plugin was loaded before this checkout was found

sys.dont_write_bytecode = False                     # the hundreds of processes of the tests each import numba; compiled
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)     # once it takes 0.8 seconds, compiled each time 3.5

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
os.environ["NBLAYERS_COMPILE_AHEAD"] = "0"                 # the other core has a worker of its own
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


# minutes the first, half a minute the last; turns and workshop when the kernels of the lessons are compiled
LONGEST = ["lessons", "attention", "cuda", "install", "convolution", "normalization", "turns", "workshop", "optimizers",
           "models", "conv_lstm", "gradcheck_many", "planted_faults", "programs_catalogue", "activation", "compiling",
           "pooling", "kernels", "keras_files", "layers"]


# of the cases of these tests one in so many is run, so that the suite ends in time; all of them with NBLAYERS_TEST_ALL=1
EVERY = {
    "test_lessons::test_runs_straight_through": 18,         # test_turns steps through nearly all of them to their ends
    "test_lessons::test_an_empty_answer_is_no_error": 4,
    "test_turns::test_the_notebook_of_a_lesson": 9,
    "test_workshop::test_each_bug_runs_and_is_found": 4,
    "test_workshop::test_training_lies_on_the_librarys": 2,
    "test_workshop::test_hints_come_one_after_the_other": 2,
    **{f"test_lessons::test_a_whole_{name}_is_checked": 3 for name in (
        "conv_lstm_backward", "input_gradient", "dense_backward_of_kernels", "lstm_backward", "gru_backward",
        "forecast_backward", "autoencoder_backward", "painter_backward")},
    "test_optimizers::test_variables_are_in_the_order_of_keras": 3,
    "test_optimizers::test_all_options_together_are_those_of_keras": 2, "test_optimizers::test_rules_are_those_of_keras": 3,
    "test_planted_faults::test_a_fault_is_named": 3, "test_planted_faults::test_a_fault_shows": 3,
    "test_conv_lstm::test_gradients_are_finite_differences": 2,
    "test_bidirectional::test_gradients_are_finite_differences": 2, "test_bidirectional::test_layers_and_cells_of_ones_own": 3,
    "test_keras_files::test_there_and_back": 2, "test_configuration::test_configurations_go_both_ways": 2,
    "test_programs_catalogue::test_models": 4, "test_programs_catalogue::test_images": 2,
    "test_gradcheck_many::test_no_false_alarm": 4, "test_models::test_training_is_keras_training": 2,
    "test_lessons::test_solutions_pass_the_checks": 2, "test_lessons::test_the_planted_bug_is_recognised": 2,
    "test_normalization::test_rooms_agree": 2, "test_attention::test_rooms_agree": 2,
    "test_attention::test_rooms_agree_on_the_parts": 2, "test_attention::test_gradients_of_multi_head": 2,
    "test_trace::test_the_rooms_record_the_same": 2, "test_stacked::test_gradients_are_finite_differences": 2,
    "test_convolution::test_large_on_the_cpu_agrees_with_pytorch": 2, "test_convolution::test_kernels_agree": 2,
    "test_optimizers::test_common_options_are_those_of_keras": 2, "test_metrics::test_results_are_those_of_keras": 2,
    "test_planted_faults::test_a_right_layer_passes": 2, "test_site::test_a_page_on_a_phone_and_a_desk_light_and_dark": 2,
}


def pytest_collection_modifyitems(config, items):
    """Files that take long come first: none of them is begun when the other worker has nothing left to do."""
    if os.environ.get("NBLAYERS_TEST_ALL") != "1":
        leave_out(config, items)
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"workers need the same names of tests, and {addresses[0]} has an address in it")
    rank = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def leave_out(config, items):
    """Keep, of each test in EVERY, the cases 0, n, 2n …"""
    met = Counter()
    left_out = []
    for item in items:
        test = f"{item.path.stem}::{getattr(item, 'originalname', item.name)}"
        if met[test] % EVERY.get(test, 1):
            left_out.append(item)
        met[test] += 1
    names_are_there(config, met, {item.path.stem for item in items})
    gone = set(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in gone]


def names_are_there(config, met, files):
    """A test in EVERY that its file, collected whole, does not have would run all its cases under its new name."""
    if any("::" in argument for argument in config.args) or any(config.getoption(name, False) for name in ("lf", "stepwise")):
        return
    for test in EVERY:
        file = test.partition("::")[0]
        if test not in met and (file in files or not (ROOT / "tests" / f"{file}.py").exists()):
            raise pytest.UsageError(f"EVERY in tests/conftest.py names {test}, which is not there")


def pytest_collection_finish():
    """The millions of objects of JAX, TensorFlow and PyTorch stay: nobody need look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    sys.dont_write_bytecode = True                  # a test edits what it imports, faster than the time of a file is kept


if os.environ.get("NBLAYERS_TEST_XLA") != "1":
    jax_in_numpy.install()
if not ON_GPU and os.environ.get("NBLAYERS_TEST_CUDASIM") != "1":
    import cuda_in_greenlets
    cuda_in_greenlets.install()


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
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
    nblayers_random.set_seed(0)
