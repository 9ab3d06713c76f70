"""The 18 activation functions: float32 mathematics, kernels in three rooms, values and gradients, lookup; the layers."""
import functools
import inspect
import math
import platform

import jax
import keras
import numpy as np
import pytest
import torch
from helpers import agrees_with_keras, rooms_agree
from numba import njit
from numba.extending import register_jitable

import nblayers
from kernels.cpu import _math
from kernels.cpu._jit import FLAGS
from nblayers import activations, config, nn
from nblayers.devices import to_numpy
from nblayers.gradient_check import gradcheck_function
from nblayers.layers import ELU, Activation, Embedding, LeakyReLU, PReLU, ReLU, Softmax
from nblayers.serialization import register_keras_serializable

NAMES = ["relu", "sigmoid", "softmax", "softplus", "softsign", "tanh", "selu", "elu", "exponential", "leaky_relu", "relu6",
         "silu", "hard_silu", "gelu", "hard_sigmoid", "linear", "mish", "log_softmax"]
ROWWISE = ["softmax", "log_softmax"]
OPTIONS = {
    "relu": [{"negative_slope": 0.1}, {"max_value": 6.0}, {"max_value": 3.0}, {"threshold": 1.0}, {"threshold": -1.0},
             {"threshold": -1.0, "max_value": 3.0}, {"threshold": 1.0, "max_value": 6.0},
             {"negative_slope": 0.2, "max_value": 3.0, "threshold": 1.0}, {"negative_slope": 0.2, "max_value": 6.0},
             {"negative_slope": 0.2, "threshold": -1.0}],
    "elu": [{"alpha": 0.5}], "leaky_relu": [{"negative_slope": 0.01}], "gelu": [{"approximate": True}],
    "softmax": [{"axis": 0}, {"axis": 1}, {"axis": (0, 2)}], "log_softmax": [{"axis": 0}, {"axis": (1, 2)}],
}
CASES = [(name, options) for name in NAMES for options in [{}, *OPTIONS.get(name, [])]]
KINKS = [0.0, 1.0, -1.0, 3.0, -3.0, 6.0]


def case_name(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()) or "default"


every_case = pytest.mark.parametrize("name, options", CASES, ids=case_name)


@functools.cache
def kerass(name, index):
    """x, dy and what Keras makes of them: y, dx."""
    rng, options = np.random.default_rng(index), CASES[index][1]
    x = np.concatenate([rng.normal(size=12) * 3, KINKS]).reshape(2, 3, 3).astype("float32")
    dy = rng.normal(size=x.shape).astype("float32")
    y, vjp = jax.vjp(lambda x: getattr(keras.activations, name)(x, **options), x)
    return x, dy, np.asarray(y), np.asarray(vjp(dy)[0])


def exact_sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


EXACT = {
    "exp": np.exp, "expm1": np.expm1, "tanh": np.tanh, "sigmoid": exact_sigmoid,
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "normal_tail": np.vectorize(lambda x: 0.5 * math.erfc(abs(x) * math.sqrt(0.5)), otypes=[float]),
}
LAST_PLACES = {"exp": 1.5, "expm1": 2, "tanh": 3, "sigmoid": 3, "softplus": 4, "normal_tail": 200}


def scalar_function(name):
    """The function, of `normal_tail` the second of its results."""
    function = getattr(_math, name)
    return register_jitable(lambda x: function(x)[1]) if name == "normal_tail" else function


def compiled(name):
    function = scalar_function(name)

    @njit(**FLAGS)
    def loop(x, y):
        for n in range(x.size):
            y[n] = function(x[n])
    return loop


@pytest.fixture(scope="module", params=list(EXACT))
def scalar(request):
    return request.param, compiled(request.param)


def everywhere():
    """float32 numbers of every size and sign, and many where the functions bend."""
    bits = np.arange(0, 2**32, 99_991, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return np.concatenate([bits[np.isfinite(bits)], np.linspace(-110, 110, 100_001, dtype=np.float32),
                           np.linspace(-2, 2, 100_001, dtype=np.float32)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_float32_functions_are_accurate(scalar):
    name, loop = scalar
    x = everywhere()
    y = np.empty_like(x)
    loop(x, y)
    exact = EXACT[name](x.astype(float))
    rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isinf(y), np.isinf(rounded))
    ordinary = np.isfinite(rounded) & (np.abs(rounded) > 2e-38)
    error = np.abs(y[ordinary] - exact[ordinary]) / np.spacing(np.abs(rounded[ordinary]))
    assert error.max() < LAST_PLACES[name]
    tiny = np.isfinite(rounded) & ~ordinary
    assert np.abs(y[tiny] - exact[tiny]).max() < 2e-38


def test_float32_functions_at_the_ends(scalar):
    name, loop = scalar
    x = np.array([0, math.inf, -math.inf, math.nan, 1e-30, -1e-30], np.float32)
    y = np.empty_like(x)
    loop(x, y)
    at_zero = {"exp": 1, "sigmoid": 0.5, "softplus": math.log(2), "normal_tail": 0.5}.get(name, 0)
    low = {"expm1": -1, "tanh": -1}.get(name, 0)
    high = {"tanh": 1, "sigmoid": 1, "normal_tail": 0}.get(name, math.inf)
    near = 0 if at_zero else 1e-30
    np.testing.assert_allclose(y, [at_zero, high, low, math.nan, at_zero + near, at_zero - near], rtol=2e-7)


def test_float64_functions_are_the_librarys(scalar):
    name, loop = scalar
    x = np.concatenate([np.linspace(-30, 30, 4001), [1e-12, -1e-12, 200, -200]])
    y = np.empty_like(x)
    loop(x, y)
    np.testing.assert_allclose(y, EXACT[name](x), rtol=1e-14, atol=0)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86 instructions")
def test_float32_functions_are_vectorised(scalar):
    _, loop = scalar
    loop(np.zeros(3, np.float32), np.zeros(3, np.float32))
    [assembly] = [text for types, text in loop.inspect_asm().items() if types[0].dtype.name == "float32"]
    instructions = {line.split()[0] for line in assembly.splitlines() if line.strip()}
    assert instructions & {"pslld", "vpslld"}, "no packed shift (it makes 2^n): the loop stayed scalar"
    assert not instructions & {"cvtss2sd", "vcvtss2sd", "cvtps2pd", "vcvtps2pd"}, "double precision in a float32 function"


def test_the_plain_python_versions_agree():
    """They stand in where Numba is switched off."""
    for name, exact in EXACT.items():
        for x in (-3.0, 0.0, 0.7):
            assert scalar_function(name)(x) == pytest.approx(float(exact(x)), rel=1e-12)


def test_maximum_keeps_nan():
    @njit(**FLAGS)
    def largest(x):
        m = x[0]
        for n in range(1, x.size):
            m = _math.maximum(m, x[n])
        return m

    x = np.random.default_rng(0).normal(size=101).astype(np.float32)
    assert largest(x) == x.max()
    x[40] = np.nan
    assert math.isnan(largest(x)) and math.isnan(largest(x[40:])) and math.isnan(_math.maximum(1.0, math.nan))


KERNEL_CASES = [(name, ()) for name in NAMES if name not in ("relu", "elu", "leaky_relu", "gelu", "linear")] + [
    ("relu", (0.0, math.inf, 0.0)), ("relu", (0.1, math.inf, 0.0)), ("relu", (0.2, 3.0, 1.0)), ("relu", (0.0, 6.0, 0.0)),
    ("relu", (0.0, 3.0, -1.0)), ("clip", (-1.0, 3.0)), ("threshold", (1.0, -2.0)),
    ("elu", (1.0,)), ("elu", (0.5,)), ("leaky_relu", (0.2,)), ("gelu", (False,)), ("gelu", (True,))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 33])
@pytest.mark.parametrize("name, arguments", KERNEL_CASES)
def test_rooms_agree(name, arguments, size, dtype, rng):
    x = (rng.normal(size=size) * 3).astype(dtype)
    x[: len(KINKS)] = KINKS[:size]
    x = x.reshape({1: (1, 1), 7: (7, 1), 33: (3, 11)}[size]) if name in ROWWISE else x
    [y] = rooms_agree("activation", name, [x, *arguments], [x.shape])
    dy = rng.normal(size=x.shape).astype(dtype)
    rooms_agree("activation", f"{name}_backward", [dy, x, y, *arguments], [x.shape])


@pytest.mark.parametrize("name", ROWWISE)
def test_rows_longer_than_a_block_of_threads(name, rng):
    x, dy = rng.normal(size=(2, 2, 300)).astype("float32")
    [y] = rooms_agree("activation", name, [x], [x.shape])
    rooms_agree("activation", f"{name}_backward", [dy, x, y], [x.shape])


@pytest.mark.parametrize("name", ROWWISE)
def test_rows_are_shared_between_threads(name, rng):
    x, dy = rng.normal(size=(2, 257, 600)).astype("float32")
    [y] = rooms_agree("activation", name, [x], [x.shape], rooms=("reference", "cpu"))
    rooms_agree("activation", f"{name}_backward", [dy, x, y], [x.shape], rooms=("reference", "cpu"))


@every_case
def test_values_and_gradients_are_keras(name, options, device):
    x, dy, expected, expected_dx = kerass(name, CASES.index((name, options)))
    with nblayers.device(device):
        y = getattr(activations, name)(x, **options)
        dx = getattr(activations, name).gradient(x, dy, **options)
        again = getattr(activations, name).gradient(x, dy, y, **options)
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(to_numpy(y), expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(to_numpy(dx), expected_dx, rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(to_numpy(dx), to_numpy(again))


@every_case
@pytest.mark.parametrize("room", ["reference", "cpu"])
def test_gradients_are_derivatives(name, options, room, rng):
    function = getattr(activations, name)
    x = rng.normal(size=(2, 4, 3)) * 3
    with nblayers.device(room):
        assert gradcheck_function(lambda x: function(x, **options), lambda x, dy: function.gradient(x, dy, **options), x)


@pytest.mark.parametrize("name, theirs", [
    ("gelu", torch.nn.functional.gelu), ("silu", torch.nn.functional.silu), ("mish", torch.nn.functional.mish),
    ("hard_silu", torch.nn.functional.hardswish), ("selu", torch.selu), ("softplus", torch.nn.functional.softplus),
    ("log_softmax", lambda x: torch.log_softmax(x, -1))])
def test_values_and_gradients_are_torchs(name, theirs, rng):
    x, dy = rng.normal(size=(2, 6, 5)) * 4
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(leaf)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(getattr(activations, name)(x), y.detach(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(getattr(activations, name).gradient(x, dy), leaf.grad, rtol=1e-7, atol=1e-9)


def test_worked_examples():
    np.testing.assert_allclose(activations.hard_sigmoid([-3, -1.5, 0, 3]), [0, 0.25, 0.5, 1])       # relu6(x + 3) / 6
    np.testing.assert_allclose(activations.leaky_relu([-1.0, 0, 2]), [-0.2, 0, 2], rtol=1e-6)       # slope 0.2 as a function
    np.testing.assert_allclose(activations.relu([0.5, 1, 1.5], negative_slope=0.1, threshold=1), [-0.05, 0, 1.5], atol=1e-7)
    np.testing.assert_allclose(activations.gelu([1.0]), [0.8413447], rtol=1e-6)                     # exact by default
    np.testing.assert_allclose(activations.gelu([1.0], approximate=True), [0.8411920], rtol=1e-6)
    np.testing.assert_allclose(activations.softmax([0, math.log(3)]), [0.25, 0.75], rtol=1e-6)


def test_large_inputs_neither_overflow_nor_divide_by_zero(device):
    big = np.array([[1000.0, -1000.0, 999.0]], np.float32)
    with nblayers.device(device), np.errstate(over="ignore", under="ignore"):
        p = 1 / (1 + math.exp(-1))
        np.testing.assert_allclose(to_numpy(activations.softmax(big)), [[p, 0, 1 - p]], rtol=1e-5)
        log = [[math.log(p), -2000 + math.log(p), math.log(1 - p)]]
        np.testing.assert_allclose(to_numpy(activations.log_softmax(big)), log, rtol=1e-6)
        for name, high, low in [("sigmoid", 1, 0), ("tanh", 1, -1), ("softplus", 1000, 0), ("silu", 1000, 0), ("mish", 1000, 0),
                                ("gelu", 1000, 0), ("elu", 1000, -1), ("hard_silu", 1000, 0), ("softsign", 0.999, -0.999)]:
            function = getattr(activations, name)
            np.testing.assert_allclose(to_numpy(function(big))[0, :2], [high, low], rtol=2e-6, atol=1e-6)
            assert np.isfinite(to_numpy(function.gradient(big, np.ones_like(big)))).all(), name


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name, device):
    x = np.array([[1.0, math.nan]], np.float32)
    with nblayers.device(device):
        assert np.isnan(to_numpy(getattr(activations, name)(x))[0, 1])


def test_relu_of_minus_infinity(device):
    with nblayers.device(device):
        np.testing.assert_array_equal(to_numpy(activations.relu(np.array([-math.inf, math.inf]))), [0, math.inf])


@pytest.mark.parametrize("value, dtype", [([1, 2], "float32"), (np.arange(3), "float32"), (True, "float32"), (1.5, "float64"),
                                          (np.float64([1]), "float64"), (np.float16([1]), "float32")])
def test_what_comes_in(value, dtype):
    y = activations.tanh(value)
    assert y.dtype == dtype and y.shape == np.shape(value)
    np.testing.assert_allclose(y, np.tanh(np.asarray(value, float)), rtol=1e-3)


def test_non_contiguous_and_empty_arrays(device, rng):
    x = rng.normal(size=(4, 6))[::2, ::-1].T
    dy = rng.normal(size=(2, 6)).T
    kept = x.copy(), dy.copy()
    with nblayers.device(device):
        for name in ("tanh", "softmax"):
            function = getattr(activations, name)
            np.testing.assert_allclose(to_numpy(function(x)), to_numpy(function(x.copy())), rtol=1e-12)
            np.testing.assert_allclose(to_numpy(function.gradient(x, dy)), to_numpy(function.gradient(x.copy(), dy.copy())),
                                       rtol=1e-12)
            assert function(np.zeros((0, 3))).shape == (0, 3) and function(np.zeros((3, 0))).shape == (3, 0)
            assert function.gradient(np.zeros((3, 0)), np.zeros((3, 0))).shape == (3, 0)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(dy, kept[1])


def test_default_float_type_is_that_of_the_settings():
    config.set_floatx("float64")
    assert activations.sigmoid([0]).dtype == np.float64


@pytest.mark.parametrize("name", [*NAMES, "swish", "hard_swish"])
def test_names_and_arguments_are_keras(name):
    ours, theirs = activations.get(name), keras.activations.get(name)
    assert ours is getattr(activations, name) and ours.__name__ == theirs.__name__
    default = inspect.Parameter.empty
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == \
        [(p.name, p.default) for p in inspect.signature(theirs).parameters.values()]
    assert inspect.signature(ours).parameters["x"].default is default and ours.__doc__
    assert activations.serialize(ours) == keras.activations.serialize(theirs)
    assert activations.deserialize(keras.activations.serialize(theirs)) is ours


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("LeakyReLU") is activations.get("leaky_relu") is activations.leaky_relu
    assert activations.get(math.sin) is math.sin
    assert activations.get({"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}) \
        is activations.relu
    with pytest.raises(ValueError, match="unknown activation 'rellu': did you mean 'relu'"):
        activations.get("rellu")
    with pytest.raises(ValueError, match=r"unknown activation 'xyzzy': expected one of elu, exponential.*register"):
        activations.get("xyzzy")
    with pytest.raises(TypeError, match=r"expected an activation \(a name, a configuration or an object\), got 7"):
        activations.get(7)


def test_old_spelling_of_the_slope():
    np.testing.assert_allclose(activations.leaky_relu(np.array([-1.0]), alpha=0.1), [-0.1])
    np.testing.assert_allclose(activations.leaky_relu.gradient(np.array([-1.0]), np.array([2.0]), alpha=0.1), [0.2])
    np.testing.assert_allclose(activations.relu(np.array([-1.0]), alpha=0.1), [-0.1])


def test_errors():
    with pytest.raises(ValueError, match=r"softmax: expected axis to name axes of x, whose shape is \(2, 3\), got 2"):
        activations.softmax(np.ones((2, 3)), axis=2)
    with pytest.raises(ValueError, match=r"log_softmax: .* got \(0, -2\)"):
        activations.log_softmax(np.ones((2, 3)), axis=(0, -2))
    with pytest.raises(ValueError, match=r"softmax: .*shape is \(\)"):
        activations.softmax(1.0)
    with pytest.raises(ValueError, match="relu: expected max_value to be None or not negative, got -1"):
        activations.relu([1.0], max_value=-1)
    with pytest.raises(TypeError, match="tanh: expected an array of numbers, got dtype <U1"):
        activations.tanh(["a"])
    with pytest.raises(ValueError, match=r"tanh: expected dy and y of the shape of x, \(2,\), got \(3,\)"):
        activations.tanh.gradient([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="slope"):
        activations.tanh([1.0], slope=1)


def test_linear_passes_arrays_on(device):
    x, dy = np.ones((2, 2)), np.ones((2, 2))
    for activation in (None, activations.linear):
        assert activations.evaluate(activation, x, device) is x
        assert activations.differentiate(activation, x, x, dy, device) is dy


def cube(x):
    return x ** 3


def test_a_function_of_your_own(rng):
    x, dy = rng.normal(size=(2, 3, 4))
    with pytest.raises(RuntimeError, match=r"activation 'cube' has no gradient.*cube\.gradient = g"):
        activations.differentiate(cube, x, cube(x), dy, "cpu")

    def own(x):
        return x ** 3

    own.gradient = lambda x, dy: dy * 3 * x ** 2
    np.testing.assert_array_equal(activations.evaluate(own, x, "cpu"), x ** 3)
    np.testing.assert_array_equal(activations.differentiate(own, x, x ** 3, dy, "cpu"), dy * 3 * x ** 2)
    assert nblayers.gradcheck(Activation(own), x)
    single = x.astype("float32")
    own.gradient = lambda x, dy: dy.astype("float64")
    assert activations.differentiate(own, single, single, single, "cpu").dtype == np.float32
    own.gradient = lambda x, dy: dy[:1]
    with pytest.raises(ValueError, match=r"'own': expected its gradient to have the shape of x, \(3, 4\), got \(1, 4\)"):
        activations.differentiate(own, x, x, dy, "cpu")


@pytest.mark.parametrize("name", ["tanh", "softmax", "linear"])
def test_layer_is_keras(name, device, rng):
    for shape in [(2, 2, 4), (1, 2)]:
        agrees_with_keras(Activation(name).to(device), keras.layers.Activation(name), rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize("name", NAMES)
def test_layer_gradient(name, rng):
    assert nblayers.gradcheck(Activation(name), rng.normal(size=(3, 4)))


def test_layer_configuration():
    for activation in ("swish", None, keras.activations.leaky_relu):
        theirs = keras.layers.Activation(activation, name="bend")
        ours = Activation.from_config(theirs.get_config())
        assert ours.get_config() == theirs.get_config()
        assert keras.layers.Activation.from_config(ours.get_config()).activation is theirs.activation
    with pytest.raises(ValueError, match="unknown activation 'relo'"):
        Activation("relo")


def test_layer_with_a_registered_function():
    @register_keras_serializable("tests")
    def bend(x):
        return x * 2

    bend.gradient = lambda x, dy: 2 * dy
    layer = Activation(bend)
    assert layer.get_config()["activation"] == {"module": "builtins", "class_name": "function", "config": "tests>bend",
                                                "registered_name": "function"}
    assert Activation.from_config(layer.get_config()).activation is bend


def test_layer_passes_masks_on(rng):
    layer, mask = Activation("relu"), np.array([[True, False]])
    y = layer(rng.normal(size=(1, 2, 3)), mask=mask)
    assert layer.compute_mask(y, mask) is mask
    assert layer.compute_output_shape((None, 4)) == (None, 4)


def test_layer_twice_with_a_list_and_a_strange_stride(rng):
    layer = Activation("tanh")
    x = rng.normal(size=(4, 6)).astype("float32")[:, ::2]
    kept = x.copy()
    for _ in range(2):
        np.testing.assert_allclose(layer(x), np.tanh(kept), rtol=1e-6)
        np.testing.assert_allclose(layer.backward(np.ones((4, 3))), 1 - np.tanh(kept) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_allclose(layer([[0.5]]), [[math.tanh(0.5)]], rtol=1e-6)


def test_layer_errors():
    layer = Activation("tanh", name="bend")
    with pytest.raises(RuntimeError, match="Activation 'bend': backward needs a forward first"):
        layer.backward(np.ones(3))
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Activation 'bend': backward expected dy of shape \(2, 3\)"):
        layer.backward(np.ones((3, 2)))
    with pytest.raises(TypeError, match="Activation 'bend': expected an array of numbers"):
        layer(np.array(["a"]))
    with pytest.raises(ValueError, match="Activation 'bend': expected at least one sample"):
        layer(np.ones((0, 3)))


@pytest.mark.parametrize("name", activations._FROM_OUTPUT)
def test_where_the_output_is_enough_for_the_derivative(name, device, rng):
    activation = activations.get(name)
    x = np.concatenate([rng.normal(scale=4, size=(3, 5)), [[0, -0.0, 6, 7, -1]]])
    y = activations.evaluate(activation, x, device)
    dy = rng.normal(size=x.shape)
    kept, _ = activations.needed(activation, x, y)
    assert kept is y
    np.testing.assert_array_equal(activations.differentiate(activation, kept, y, dy, device),
                                  activations.differentiate(activation, x, y, dy, device))


def test_where_it_is_not_enough():
    x, y = np.zeros(2), np.ones(2)
    for activation in (*map(activations.get, ("gelu", "silu", "mish", "softplus", "elu")), lambda x: x):
        assert activations.needed(activation, x, y)[0] is x
    assert activations.needed(activations.linear, x, y) == activations.needed(None, x, y) == (None, None)


# the activation layers: document 001, section 16

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, n", [(1, 1), (3, 7), (5, 1), (1, 33), (300, 4)])
def test_prelu_rooms_agree(rows, n, dtype, rng):
    x, dy = rng.normal(size=(2, rows, n)).astype(dtype)
    x[0, 0], alpha = 0, rng.normal(size=n).astype(dtype)
    rooms_agree("activation", "prelu", [x, alpha], [x.shape])
    for at_zero in (False, True):
        dx, _ = rooms_agree("activation", "prelu_backward", [dy, x, alpha, at_zero], [x.shape, np.ones(n, dtype)])
        np.testing.assert_allclose(dx[0, 0], dy[0, 0] * alpha[0] * at_zero, rtol=1e-6)


def test_prelu_shares_large_work(rng):
    x, dy = rng.normal(size=(2, 700, 300)).astype("float32")
    alpha = rng.normal(size=300).astype("float32")
    rooms_agree("activation", "prelu", [x, alpha], [x.shape], rooms=("reference", "cpu"))
    rooms_agree("activation", "prelu_backward", [dy, x, alpha, False], [x.shape, np.ones(300, "float32")],
                rooms=("reference", "cpu"), rtol=1e-4, atol=1e-4)


LAYERS = [
    (ReLU, {}), (ReLU, {"max_value": 2.0}), (ReLU, {"max_value": 6}), (ReLU, {"negative_slope": 0.1, "threshold": 0.5}),
    (ReLU, {"max_value": 2, "negative_slope": 0.25, "threshold": 1}), (LeakyReLU, {}), (LeakyReLU, {"negative_slope": 0.01}),
    (ELU, {}), (ELU, {"alpha": 0.5}), (Softmax, {}), (Softmax, {"axis": 1}), (Softmax, {"axis": [1, 2]}),
    (Softmax, {"axis": [-1]}), (PReLU, {}), (PReLU, {"shared_axes": [1, 2]}), (PReLU, {"shared_axes": 1}),
    (PReLU, {"shared_axes": (2,)})]


def layer_name(value):
    return value.__name__ if isinstance(value, type) else case_name(value)


every_layer = pytest.mark.parametrize("cls, options", LAYERS, ids=layer_name)


def with_slopes(cls, options):
    return options | ({"alpha_initializer": "random_normal"} if cls is PReLU else {})


@every_layer
def test_activation_layers_are_keras(cls, options, rng):
    x = np.concatenate([rng.normal(size=33) * 3, [0, 1, 2]]).reshape(3, 4, 3).astype("float32")
    agrees_with_keras(cls(**with_slopes(cls, options)), getattr(keras.layers, cls.__name__)(**options), x)


@every_layer
def test_activation_layer_gradients(cls, options, rng):
    for shape in ((2, 4, 3), (1, 3, 2)):
        assert nblayers.gradcheck(cls(**with_slopes(cls, options)), rng.normal(size=shape) * 2)


@every_layer
def test_activation_layers_in_every_room(cls, options, device, rng):
    x = (rng.normal(size=(2, 3, 8)) * 2)[..., ::2]
    layer, reference = (cls(**with_slopes(cls, options), dtype="float64") for _ in range(2))
    y, dy = reference.to("reference")(x), rng.normal(size=x.shape)
    layer.build(x.shape)
    layer.set_weights(reference.get_weights())
    layer.to(device)
    np.testing.assert_allclose(to_numpy(layer(x)), y, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(layer.backward(dy)), reference.backward(dy), rtol=1e-10, atol=1e-14)
    for own, other in zip(layer.weights, reference.weights, strict=True):
        np.testing.assert_allclose(to_numpy(own.grad), other.grad, rtol=1e-12)


@every_layer
def test_activation_layer_configurations(cls, options):
    theirs = getattr(keras.layers, cls.__name__)(**options, name="a")
    ours = cls(**options, name="a")
    assert ours.get_config() == theirs.get_config()
    assert cls.from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert ours.compute_output_shape((None, 4, 3)) == (None, 4, 3)
    mask = np.ones((2, 4), bool)
    assert ours.compute_mask(None, mask) is mask


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4), (2, 1, 4), (3, 1), (4,), (1,)])
@pytest.mark.parametrize("axis", [-1, 1, [1, 2]])
def test_masked_softmax(axis, shape, rng):
    x, mask = rng.normal(size=(2, 3, 4)).astype("float32"), rng.random(shape) < 0.6
    mask.flat[0] = False
    agrees_with_keras(Softmax(axis), keras.layers.Softmax(axis), x, mask=mask)
    assert nblayers.gradcheck(Softmax(axis), x, mask=mask)


def test_softmax_masks(device, rng):
    x = rng.normal(size=(2, 3))
    layer = Softmax(name="s").to(device)
    y = to_numpy(layer(x, mask=np.array([[True, False, True], [False] * 3])))
    np.testing.assert_allclose(y.sum(axis=1), [1, 0], rtol=1e-6)
    np.testing.assert_array_equal(y[1], 0)
    np.testing.assert_array_equal(to_numpy(layer.backward(x))[1], 0)
    np.testing.assert_array_equal(to_numpy(layer(x, mask=np.array([0.3, 0.6, 1.0])))[:, 0], 0)       # as in Keras
    for mask in (np.ones((3, 1)), np.ones((1, 2, 3)), np.ones(2)):
        with pytest.raises(ValueError, match=r"Softmax 's': expected a mask that can be spread over .* shape \(2, 3\)"):
            layer(x, mask=mask)


def test_prelu_weights_and_steps(rng):
    x = rng.normal(size=(4, 5, 3))
    for shared, shape in ((None, (5, 3)), ([1], (1, 3)), (2, (5, 1)), ([1, 2], (1, 1))):
        layer = PReLU(alpha_regularizer="l2", alpha_constraint="non_neg", alpha_initializer="ones", shared_axes=shared)
        layer(x)
        assert layer.alpha.shape == shape and layer.alpha.name == "alpha"
        assert layer.losses == [pytest.approx(0.01 * np.prod(shape))]
        optimizer = nblayers.optimizers.SGD(0.1)
        losses = []
        for _ in range(2):
            layer.zero_grad()
            y = layer(x)
            losses.append(float((y ** 2).sum() / 2))
            layer.backward(y)
            optimizer.step(layer.trainable_weights, "cpu")
        assert losses[1] < losses[0] and layer.alpha.value.min() >= 0
    layer = PReLU()
    layer(x)
    with pytest.raises(ValueError, match="expected size 5 on axis 1 of the input, got 4"):
        layer(x[:, :4])


@pytest.mark.parametrize("shared_axes, shape", [([2], (2, 3, 0)), ([1, 2], (2, 3, 0)), ([1], (2, 0, 3)), ([2], (2, 3, 0, 2))])
def test_prelu_of_nothing(shared_axes, shape, device):
    layer, x = PReLU(shared_axes=shared_axes).to(device), np.ones(shape, "float32")
    assert layer(x).shape == layer.backward(x).shape == shape
    assert not to_numpy(layer.alpha.grad).any()


def test_slopes_at_zero_are_keras_and_torchs(rng):
    x, dy = np.zeros((2, 3), "float32"), rng.normal(size=(2, 3)).astype("float32")
    agrees_with_keras(PReLU(alpha_initializer="ones"), keras.layers.PReLU(), x)
    ours, theirs, leaf = nn.PReLU(3), torch.nn.PReLU(3), torch.tensor(x, requires_grad=True)
    ours(x)
    theirs(leaf).backward(torch.tensor(dy))
    np.testing.assert_allclose(ours.backward(dy), leaf.grad)
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad)


@pytest.mark.parametrize("make, message", [
    (lambda: ReLU(-1.0, name="a"), "ReLU 'a': expected max_value to be a number that is not negative, got -1.0"),
    (lambda: ReLU(negative_slope=None, name="a"), "ReLU 'a': expected negative_slope .*, got None"),
    (lambda: ReLU(threshold=-1, name="a"), "ReLU 'a': expected threshold .*, got -1"),
    (lambda: LeakyReLU(-0.1, name="a"), "LeakyReLU 'a': expected negative_slope"),
    (lambda: ELU("b", name="a"), "ELU 'a': expected alpha to be a finite number, got 'b'"),
    (lambda: PReLU(shared_axes="b", name="a"), "PReLU 'a': expected shared_axes"),
    (lambda: PReLU(shared_axes=3, name="a")(np.ones((2, 3, 4))), "PReLU 'a': expected shared_axes from 1 to 2"),
    (lambda: PReLU(shared_axes=0, name="a")(np.ones((2, 3, 4))), "PReLU 'a': expected shared_axes from 1 to 2"),
    (lambda: PReLU(name="a").build((None, None, 3)), "PReLU 'a': expected an input of known size"),
    (lambda: Softmax("b", name="a"), "Softmax 'a': expected axis"),
    (lambda: Softmax(2, name="a")(np.ones((2, 3))), "Softmax 'a': expected axis to name axes of x"),
    (lambda: Softmax([1, -1], name="a")(np.ones((2, 3))), "Softmax 'a': expected axis to name axes of x"),
])
def test_activation_layer_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_embedding_into_softmax_passes_no_wrong_mask(rng):
    model = nblayers.Sequential([Embedding(5, 3), Softmax(), nblayers.layers.Dense(2)])
    assert model(np.array([[1, 0, 2]])).shape == (1, 3, 2)


# PyTorch's names

TORCHS = [
    ("ReLU", {}), ("ReLU6", {}), ("LeakyReLU", {}), ("LeakyReLU", {"negative_slope": 0.3}), ("PReLU", {}),
    ("PReLU", {"num_parameters": 3, "init": 0.5}), ("ELU", {}), ("ELU", {"alpha": 2.0}), ("SELU", {}), ("CELU", {}),
    ("CELU", {"alpha": 0.5}), ("GELU", {}), ("GELU", {"approximate": "tanh"}), ("SiLU", {}), ("Mish", {}), ("Sigmoid", {}),
    ("Tanh", {}), ("Softplus", {}), ("Softplus", {"beta": 3.0, "threshold": 2.0}), ("Softsign", {}), ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -0.5, "max_val": 2.0}), ("Hardsigmoid", {}), ("Hardswish", {}), ("Softmax", {"dim": 1}),
    ("LogSoftmax", {"dim": -1}), ("LogSoftmax", {"dim": 0}), ("Threshold", {"threshold": 0.1, "value": 20.0}),
    ("LogSigmoid", {})]


@pytest.mark.parametrize("name, options", TORCHS, ids=case_name)
def test_torchs_layers(name, options, rng):
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    x, dy = rng.normal(size=(2, 2, 3, 4)).astype("float32") * 2
    y, leaf = ours(x), torch.tensor(x, requires_grad=True)
    theirs(leaf).backward(torch.tensor(dy))
    np.testing.assert_allclose(y, theirs(leaf).detach(), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(ours.backward(dy), leaf.grad, rtol=1e-5, atol=2e-6)
    for own, other in zip(ours.weights, theirs.parameters(), strict=True):
        np.testing.assert_allclose(own.grad, other.grad, rtol=1e-5)
    assert nblayers.gradcheck(getattr(nn, name)(**options), rng.normal(size=(2, 3, 2)))
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()
    assert ours.compute_output_shape((None, 3)) == (None, 3)


def test_torchs_defaults():
    for name, _ in TORCHS:
        ours = inspect.signature(getattr(nn, name)).parameters
        theirs = inspect.signature(getattr(torch.nn, name)).parameters
        old = ("min_value", "max_value")                                            # Hardtanh's, which PyTorch warns of
        own = [key for key in theirs if key not in ("device", "dtype", "args", "kwargs", *old)]
        assert [key for key in ours if key != "kwargs"] == own
        assert all(ours[key].default == theirs[key].default for key in own)


@pytest.mark.parametrize("make, message", [
    (lambda: nn.ReLU(inplace=2), "expected inplace to be True or False, got 2"),
    (lambda: nn.Softmax(), "expected dim to be an integer, got None"), (lambda: nn.LogSoftmax(), "expected dim"),
    (lambda: nn.GELU("a"), "expected approximate to be 'none' or 'tanh', got 'a'"),
    (lambda: nn.Hardtanh(1, 1), "expected max_val"),
    (lambda: nn.Softplus(0), "expected beta"), (lambda: nn.CELU(0), "expected alpha"), (lambda: nn.PReLU(0), "num_parameters"),
    (lambda: nn.Threshold("a", 1), "expected threshold"), (lambda: nn.PReLU(3)(np.ones((2, 4))), "expected size 3 on axis 1")])
def test_torchs_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
