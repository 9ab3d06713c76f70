"""Optimizers: the rules against Keras over several steps, the three rooms, clipping, decay, constraints, state, errors."""
import copy
import itertools
import pickle
import re
import warnings

import keras
import numpy as np
import pytest
from helpers import double_precision, rooms_agree

import kernels
from kernels.cpu._jit import Kernel
from nblayers import constraints, optimizers, regularizers
from nblayers.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Muon,
    Nadam,
    Optimizer,
    RMSprop,
    ScheduleFreeAdamW,
)
from nblayers.parameter import Parameter

RULES = [
    (SGD, {}), (SGD, {"learning_rate": 0.1, "momentum": 0.9}), (SGD, {"momentum": 0.5, "nesterov": True}),
    (RMSprop, {}), (RMSprop, {"rho": 0.5, "momentum": 0.9, "epsilon": 1e-3}), (RMSprop, {"centered": True}),
    (RMSprop, {"centered": True, "momentum": 0.4, "learning_rate": 0.01}),
    (Adam, {}), (Adam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}), (Adam, {"amsgrad": True, "beta_2": 0.5}),
    (AdamW, {}), (Adagrad, {"learning_rate": 0.1}), (Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    (Adadelta, {"learning_rate": 1.0}), (Adadelta, {"rho": 0.5, "epsilon": 1e-2}),
    (Adamax, {"learning_rate": 0.1}), (Adamax, {"beta_2": 0.5, "epsilon": 1e-2}),
    (Nadam, {"learning_rate": 0.1}), (Nadam, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    (Adafactor, {}), (Adafactor, {"learning_rate": 0.5, "clip_threshold": 0.5, "beta_2_decay": -0.5, "epsilon_2": 1.5}),
    (Lion, {}), (Lion, {"beta_1": 0.5, "beta_2": 0.5}),
    (Lamb, {"learning_rate": 0.1}), (Lamb, {"beta_1": 0.5, "epsilon": 1e-2}),
    (Ftrl, {"learning_rate": 0.1}),
    (Ftrl, {"learning_rate": 0.5, "learning_rate_power": -0.7, "initial_accumulator_value": 0.3, "beta": 0.3,
            "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.05}),
    (Muon, {}), (Muon, {"nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5, "adam_weight_decay": None, "ns_steps": 2,
                        "exclude_layers": ["w2"]}),
    (ScheduleFreeAdamW, {"learning_rate": 0.1}), (ScheduleFreeAdamW, {"beta_1": 0.5, "warmup_steps": 3}),
]
IN_SINGLE_PRECISION = (Adafactor, Muon)         # some numbers of Keras' rules, whatever the dtype
CLASSES = list(dict.fromkeys(cls for cls, _ in RULES))
COMMON = [{}, {"weight_decay": 0.1}, {"clipnorm": 0.5}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7}, {"clipnorm": 100.0},
          {"global_clipnorm": 100.0}, {"weight_decay": 0.01, "clipnorm": 0.5}, {"clipnorm": 0.0}]
SHAPES = [(3, 4), (5,), (1, 1), (2, 3, 2), (4, 2)]
TOGETHER = {"weight_decay": 0.01, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3, "loss_scale_factor": 4.0,
            "gradient_accumulation_steps": 2}


def label(value):
    return getattr(value, "__name__", str(value))


def numbers(dtype, steps=5):
    """First values, and gradients of some steps whose sizes differ."""
    rng = np.random.default_rng(5)
    values = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    return values, [[(10.0 ** (step % 5 - 2) * rng.normal(size=shape)).astype(dtype) for shape in SHAPES]
                    for step in range(steps)]


def applied(optimizer, values, gradients, device="cpu"):
    """The same by `apply`."""
    parameters = [Parameter(value.copy(), f"w{i}") for i, value in enumerate(values)]
    for step in gradients:
        optimizer.apply(step, parameters, device)
    return parameters


def ours(optimizer, values, gradients, device="cpu", **options):
    parameters = [Parameter(value.copy(), f"w{i}", **options) for i, value in enumerate(values)]
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient
        optimizer.step(parameters, device)
        for parameter, gradient in zip(parameters, step, strict=True):
            np.testing.assert_array_equal(parameter.grad, gradient)
    return [parameter.value for parameter in parameters]


def theirs(cls, options, values, gradients, penalty=None, constraint=None):
    """The same in Keras, with d penalty(w)/dw added to each gradient, as it is when Keras differentiates the whole loss."""
    import jax
    dtype = str(values[0].dtype)
    with double_precision(dtype == "float64"):
        keras.config.set_floatx(dtype)
        optimizer = getattr(keras.optimizers, cls.__name__)(**options)
        variables = [keras.Variable(value, dtype=dtype, name=f"w{i}") for i, value in enumerate(values)]
        for variable in variables:
            variable.constraint = constraint
        optimizer.build(variables)
        with jax.disable_jit(False):
            apply = jax.jit(optimizer.stateless_apply)
            for step in gradients:
                if penalty is not None:
                    step = [g + np.asarray(jax.grad(penalty)(np.asarray(v))) for g, v in zip(step, variables, strict=True)]
                state = apply([v.value for v in optimizer.variables], [jax.numpy.asarray(g, dtype) for g in step],
                              [v.value for v in variables])
                for variable, value in zip((*variables, *optimizer.variables), (*state[0], *state[1]), strict=True):
                    variable.assign(value)
        keras.config.set_floatx("float32")
        return [np.asarray(variable) for variable in variables], optimizer


def assert_close(values, expected, dtype, cls=None):
    # in float32 Keras loses digits in 1 - beta_2^t, which is 0.001 at first
    tolerance = dict(rtol=1e-4, atol=1e-6) if dtype == "float32" else dict(rtol=1e-11, atol=1e-13)
    if dtype == "float64" and cls in IN_SINGLE_PRECISION:
        tolerance = dict(rtol=2e-6, atol=1e-8)
    for value, other in zip(values, expected, strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, other, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls, options", RULES, ids=label)
def test_rules_are_those_of_keras(cls, options, dtype):
    values, gradients = numbers(dtype, steps=5 if dtype == "float32" else 20)
    expected, _ = theirs(cls, options, values, gradients)
    assert_close(ours(cls(**options), values, gradients), expected, dtype, cls)


@pytest.mark.parametrize("clip, cls, options", [
    (clip, *rule) for clip, rule in zip(itertools.cycle([{"clipnorm": 0.5}, {"global_clipnorm": 0.7}, {"clipvalue": 0.3}]),
                                        [*RULES[::4], *RULES[10::2]], strict=False)], ids=label)
def test_all_options_together_are_those_of_keras(clip, cls, options):
    """With a schedule, averages and accumulation: values and state after 20 steps."""
    values, gradients = numbers("float64", steps=20)
    rate = options.get("learning_rate", 0.01)
    schedules = [module.schedules.InverseTimeDecay(rate, 4, 0.5) for module in (optimizers, keras.optimizers)]
    mine, given = ({**options, **TOGETHER, **clip, "learning_rate": schedule} for schedule in schedules)
    expected, twin = theirs(cls, given, values, gradients)
    optimizer = cls(**mine)
    assert_close([parameter.value for parameter in applied(optimizer, values, gradients)], expected, "float64", cls)
    assert len(optimizer.variables) == len(twin.variables)
    tolerance = dict(rtol=1e-5, atol=1e-7) if cls in IN_SINGLE_PRECISION else dict(rtol=1e-9, atol=1e-12)
    for variable, other in zip(optimizer.variables, twin.variables, strict=True):
        np.testing.assert_allclose(variable, other.numpy(), **tolerance)


@pytest.mark.parametrize("common", COMMON[1:], ids=label)
@pytest.mark.parametrize("cls, options", [RULES[0], RULES[2], RULES[6], RULES[9]], ids=label)
def test_common_options_are_those_of_keras(cls, options, common):
    values, gradients = numbers("float64")
    expected, _ = theirs(cls, {**options, **common}, values, gradients)
    assert_close(ours(cls(**options, **common), values, gradients), expected, "float64")


@pytest.mark.parametrize("common", [{}, {"clipnorm": 0.5}, {"weight_decay": 0.1}], ids=label)
@pytest.mark.parametrize("l1", [0.0, 0.03125])
def test_regularizers_and_constraints(common, l1):
    """Not L1 and NonNeg together: at 0, where the constraint leaves weights, JAX takes |w|' = 1, we 0."""
    values, gradients = numbers("float64")
    both = [None, None] if l1 else [constraints.NonNeg(), keras.constraints.NonNeg()]
    expected, _ = theirs(Adam, {"learning_rate": 0.5, **common}, values, gradients, keras.regularizers.L1L2(l1, 0.25), both[1])
    result = ours(Adam(0.5, **common), values, gradients, regularizer=regularizers.L1L2(l1, 0.25), constraint=both[0])
    assert_close(result, expected, "float64")
    assert l1 or all((value >= 0).all() for value in result)


@pytest.mark.parametrize("common", [{}, {"clipnorm": 0.5}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7}, {"weight_decay": 0.1}],
                         ids=label)
@pytest.mark.parametrize("cls, options", [*RULES[:10:3], *RULES[10::2]], ids=label)
def test_devices_agree(cls, options, common, device):
    values, gradients = numbers("float64", steps=2)
    expected = ours(cls(**options, **common), values, gradients, "reference")
    for value, other in zip(ours(cls(**options, **common), values, gradients, device), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 33])
def test_rooms_agree(n, dtype, rng):
    g, w, a, b, c = (rng.normal(size=n).astype(dtype) for _ in range(5))
    # the second moment of a mean square and a mean must not be smaller than that mean's square
    b, c, empty = np.abs(b) + a ** 2, np.abs(c), np.empty(0, dtype)
    rooms_agree("optimizers", "squared_norm", [g], [(1,)])
    rooms_agree("optimizers", "sgd", [g, 0.5, 0.3, 0.01, 0.1], [w])
    for nesterov in (False, True):
        rooms_agree("optimizers", "sgd_momentum", [g, 0.5, 0.01, 0.1, 0.9, nesterov], [a, w])
    for momentum, u in ((0.0, empty), (0.9, c)):
        for centered, mean in ((False, empty), (True, a)):
            rooms_agree("optimizers", "rmsprop", [g, 0.5, 0.01, 0.1, 0.9, 1e-3, momentum, centered], [b, u, mean, w])
    for amsgrad, v_max in ((False, empty), (True, c)):
        rooms_agree("optimizers", "adam", [g, 0.5, 0.3, 0.01, 0.1, 0.9, 0.99, 1e-3, amsgrad], [a, b, v_max, w])
    for nesterov in (False, True):
        rooms_agree("optimizers", "pytorch_momentum", [g, -0.5, 0.3, 0.1, 0.9, 0.2, nesterov], [a, w])
    for momentum, u in ((0.0, empty), (0.9, c)):
        for centered, mean in ((False, empty), (True, a)):
            rooms_agree("optimizers", "pytorch_rmsprop", [g, -0.5, 0.3, 0.1, 0.9, 1e-3, momentum, centered], [b, u, mean, w])
    rooms_agree("optimizers", "pytorch_adagrad", [g, -0.5, 0.3, 0.1, 1e-3], [c, w])
    rooms_agree("optimizers", "accumulate", [g, 0.5], [a])
    for overwrite in (False, True):
        rooms_agree("optimizers", "moving_average", [0.9, overwrite], [a, w])
    rooms_agree("optimizers", "adagrad", [g, 0.5, 0.01, 0.1, 1e-3], [c, w])
    rooms_agree("optimizers", "adadelta", [g, 0.5, 0.01, 0.1, 0.9, 1e-3], [b, c, w])
    rooms_agree("optimizers", "adamax", [g, 0.5, 0.01, 0.1, 0.9, 0.99, 1e-3], [a, c, w])
    rooms_agree("optimizers", "nadam", [g, 0.5, 0.01, 0.1, 0.2, 1.5, 0.9, 0.99, 1e-3], [a, c, w])
    rooms_agree("optimizers", "lion", [g, 0.5, 0.01, 0.1, 0.9, 0.8], [a, w])
    rooms_agree("optimizers", "lamb", [g, 0.5, 0.01, 0.1, 1.1, 1.5, 0.9, 0.99, 1e-3], [a, c, (2,), w])
    for power in (0.5, 0.7):
        rooms_agree("optimizers", "ftrl", [g, 0.5, 0.01, 0.1, power, 0.3, 0.2, 0.1, 0.4], [c, a, w])
    rooms_agree("optimizers", "adafactor_vector", [g, 0.5, 0.01, 0.1, 0.9, 1e-30, 1e-3, 0.7], [c, (2,), w])
    for nesterov in (False, True):
        rooms_agree("optimizers", "muon_direction", [g, 0.5, 0.9, nesterov], [a, (n,)])
    rooms_agree("optimizers", "schedule_free_adam", [g, 0.5, 0.01, 0.1, 0.25, 1.5, 0.9, 0.99, 1e-3], [a, c, w])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (3, 2, 4)], ids=str)
def test_rooms_agree_on_matrices(shape, dtype, rng):
    g, w = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    batch, rows, columns = shape
    r, c, square = (rng.normal(size=size).astype(dtype) ** 2 for size in ((batch, rows), (batch, columns), (rows, rows)))
    outputs = [r, c, shape, (batch,), (2,), w]
    rooms_agree("optimizers", "adafactor_matrix", [g, 0.5, 0.01, 0.1, 0.9, 1e-30, 1e-3, 0.7], outputs)
    rooms_agree("optimizers", "quintic", [square + 1, 3.4, -4.8, 2.0], [square])


def test_all_of_them_are_compiled_on_the_cpu():
    """Python takes a thousand times as long over a large parameter, with the same result."""
    names = [name for name, kernel in vars(kernels.get("reference").optimizers).items() if callable(kernel) and name[0] != "_"]
    assert "accumulate" in names
    assert [name for name in names if not isinstance(getattr(kernels.get("cpu").optimizers, name), Kernel)] == []


@pytest.mark.parametrize("room", kernels.ROOMS)
def test_nan_in_the_gradient_is_not_swallowed(room):
    g, empty = np.array([np.nan, 1.0]), np.empty(0)
    functions = kernels.get(room).optimizers
    for function, numbers_, state in [("rmsprop", (0.0, 0.1, 0.9, 1e-7, 0.0, True), 2),
                                      ("adam", (0.0, 0.0, 0.1, 0.9, 0.999, 1e-7, True), 3)]:
        w, arrays = np.zeros(2), [np.zeros(2) for _ in range(state)]
        arrays = [arrays[0], empty, arrays[1]] if function == "rmsprop" else arrays
        getattr(functions, function)(g, 1.0, *numbers_, *arrays, w)
        assert np.isnan(w[0]) and np.isfinite(w[1])


@pytest.mark.parametrize("cls, options", RULES[10::2], ids=label)
def test_nan_in_one_gradient_stays_with_its_parameter(cls, options, device):
    """A rule that looks at a parameter as a whole (Adafactor, Lamb, Muon) loses all of it, as in Keras; others one number."""
    values, gradients = [np.ones(3), np.ones((2, 2)), np.ones((2, 2))], [[np.ones(3), np.ones((2, 2)), np.ones((2, 2))]]
    gradients[0][0][0] = gradients[0][1][0, 0] = np.nan
    expected, _ = theirs(cls, options, values, gradients)
    for value, other in zip(ours(cls(**options), values, gradients, device), expected, strict=True):
        np.testing.assert_array_equal(np.isnan(value), np.isnan(other))


@pytest.mark.parametrize("room", kernels.ROOMS)
def test_centered_rmsprop_survives_rounding(room):
    """A gradient that stays the same has no variance; in float32 v - a^2 then falls below 0."""
    g, v, a, w = (np.full(1, number, "float32") for number in (10, 99.99999, 10.000001, 0))
    kernels.get(room).optimizers.rmsprop(g, 1.0, 0.0, 1e-3, 1.0, 1e-7, 0.0, True, v, np.empty(0, "float32"), a, w)
    assert np.isfinite(w).all()


def test_a_small_decay_is_not_rounded_away():
    """1 - 1e-8 is 1 in float32: the decay has to act on the value, not through that difference."""
    w = np.full(1, 1e-3, "float32")
    g, start = -w, w.copy()
    for room in kernels.ROOMS:
        w = start.copy()
        kernels.get(room).optimizers.sgd(g, 1.0, 0.0, 3e-8, 3e-8, w)
        np.testing.assert_array_equal(w, start)         # the decay and the step cancel


def with_gradients(*gradients):
    parameters = [Parameter(np.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return parameters


def test_clip_functions(device):
    p, q = with_gradients(np.array([[3.0, 4.0]]), np.array([0.0, 12.0]))
    assert optimizers.clip_by_global_norm([p, q], 26, device) == 13
    np.testing.assert_array_equal(p.grad, [[3, 4]])
    assert optimizers.clip_by_global_norm([p, q], 6.5, device) == 13
    np.testing.assert_allclose(p.grad, [[1.5, 2]])
    np.testing.assert_allclose(q.grad, [0, 6])
    optimizers.clip_by_norm([p, q], 3, device)
    np.testing.assert_allclose(p.grad, [[1.5, 2]])
    np.testing.assert_allclose(q.grad, [0, 3])
    optimizers.clip_by_value([p, q], 1.75)
    np.testing.assert_allclose(p.grad, [[1.5, 1.75]])
    np.testing.assert_allclose(q.grad, [0, 1.75])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_what_is_not_finite(bad):
    """As Keras: a global norm that is not finite makes all gradients NaN; a norm or bound for each does what it can."""
    values, gradients = [np.ones(2), np.ones(2)], [[np.array([bad, 1.0]), np.array([1.0, 1.0])]]
    for options in ({"global_clipnorm": 1.0}, {"clipnorm": 1.0}, {"clipvalue": 1.0}):
        expected, _ = theirs(SGD, options, values, gradients)
        np.testing.assert_allclose(ours(SGD(**options), values, gradients), expected)


def test_gradients_of_zero():
    values, gradients = [np.ones(2)], [[np.zeros(2)]]
    for options in ({"global_clipnorm": 1.0}, {"clipnorm": 1.0}):
        np.testing.assert_array_equal(ours(SGD(**options), values, gradients), [[1, 1]])


def test_weights_that_are_not_trainable_stay():
    p, q = with_gradients(np.ones(2), np.ones(2))
    q.trainable = False
    optimizer = SGD(0.5)
    optimizer.step([p, q])
    np.testing.assert_array_equal(p.value, [-0.5, -0.5])
    np.testing.assert_array_equal(q.value, [0, 0])
    optimizer.step([q])
    assert optimizer.iterations == 1


def test_state_belongs_to_the_parameter(rng):
    """Steps on other parameters, in another order, do not mix up the states."""
    gradients = [rng.normal(size=3), rng.normal(size=2)]
    p, q = with_gradients(*gradients)
    alone = ours(SGD(momentum=0.9), [np.zeros(3)], [[gradients[0]]] * 2)[0]
    optimizer = SGD(momentum=0.9)
    optimizer.step([p, q])
    optimizer.step([q, p])
    np.testing.assert_array_equal(p.value, alone)
    optimizer.step([q])
    np.testing.assert_array_equal(p.value, alone)


@pytest.mark.parametrize("change", [lambda p: p.astype("float64"), lambda p: p.to("reference"), copy.deepcopy,
                                    lambda p: pickle.loads(pickle.dumps(p))], ids=["astype", "to", "deepcopy", "pickle"])
def test_replaced_arrays_are_seen(change):
    """After `to`, `astype` or a copy of all together the next step goes on with the same state on the new arrays."""
    held = [with_gradients(np.array([1.0, -2], "float32"))[0], Adam(0.1)]
    held[1].step([held[0]])
    if change in (copy.deepcopy,) or change.__code__.co_names == ("pickle", "loads", "dumps"):
        old, held = held, change(held)
        before = old[0].value.copy()
        held[1].step([held[0]])
        np.testing.assert_array_equal(old[0].value, before)
    else:
        change(held[0])
        held[1].step([held[0]])
    expected = ours(Adam(0.1), [np.zeros(2)], [[np.array([1.0, -2])]] * 2)[0]
    np.testing.assert_allclose(held[0].value, expected, rtol=1e-6)
    assert held[1]._slots[held[0]].state[0].dtype == held[0].value.dtype


def test_value_is_changed_in_place():
    p, = with_gradients(np.ones(3))
    p.constraint = constraints.MaxNorm(0.5)
    array = p.value
    Adam().step([p])
    assert p.value is array and array.any()


def test_assigning_to_the_value_between_steps():
    p, = with_gradients(np.ones(2))
    optimizer = SGD(0.5)
    optimizer.step([p])
    p.assign([3.0, 4.0])
    optimizer.step([p])
    np.testing.assert_array_equal(p.value, [2.5, 3.5])


def test_apply_takes_gradients_as_they_are():
    p, q = with_gradients(np.zeros(2), np.zeros(2))
    p.regularizer = regularizers.L2(1.0)
    p.assign([1.0, 1.0])
    optimizer = SGD(0.5)
    assert optimizer.apply_gradients([(np.ones(2), p), (None, q)]) == 1
    np.testing.assert_array_equal(p.value, [0.5, 0.5])
    optimizer.apply([[2, 2], [4.0, 4.0]], [p, q])
    np.testing.assert_array_equal(p.value, [-0.5, -0.5])
    np.testing.assert_array_equal(q.value, [-2, -2])
    optimizer.apply([np.ones(2, "float32"), np.ones((4,))[::2]])          # those known, in the order of their first step
    np.testing.assert_array_equal(q.value, [-2.5, -2.5])
    assert optimizer.iterations == 3
    optimizer.apply([], [])
    assert optimizer.iterations == 3


@pytest.mark.parametrize("common", [{}, {"use_ema": True, "gradient_accumulation_steps": 2}], ids=label)
@pytest.mark.parametrize("cls, options", [rule for rule, before in zip(RULES, [(None, {}), *RULES], strict=False)
                                          if rule[0] is not before[0] or rule[0] is RMSprop], ids=label)
def test_variables_are_in_the_order_of_keras(cls, options, common):
    values, gradients = numbers("float32", steps=2)
    _, twin = theirs(cls, {**options, **common}, values, gradients)
    optimizer = cls(**options, **common)
    ours(optimizer, values, gradients)
    assert len(optimizer.variables) == len(twin.variables) == len(optimizer.variable_names)
    for variable, name, other in zip(optimizer.variables, optimizer.variable_names, twin.variables, strict=True):
        np.testing.assert_allclose(variable, other.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)
        theirs_name = re.sub(r"^variable_\d+$", "variable", other.path.split("/")[-1])      # Nadam's has no name, but a number
        assert name == theirs_name or (cls is Adafactor and name.endswith(("_r", "_c")))


@pytest.mark.parametrize("cls, options", RULES[10::2], ids=label)
def test_what_a_file_keeps(cls, options):
    """`load_state` goes on from `state_for`, also in another order of the parameters; `expected_state` tells its shapes."""
    values, gradients = numbers("float32", steps=4)
    optimizer, other = (cls(**options, use_ema=True, gradient_accumulation_steps=2) for _ in range(2))
    assert len(optimizer.state_for([])) == 2
    parameters = applied(optimizer, values, gradients[:3])
    backwards = parameters[::-1]
    state = optimizer.state_for(backwards)
    assert [(array.shape, array.dtype.kind) for array in state] == other.expected_state(backwards)[1]
    other.load_state(backwards, [array.copy() for array in state])
    twins = copy.deepcopy(parameters)
    other = copy.deepcopy({"parameters": parameters, "optimizer": other})
    optimizer.apply(gradients[3], parameters)
    other["optimizer"].apply(gradients[3], other["parameters"])
    for parameter, twin, before in zip(parameters, other["parameters"], twins, strict=True):
        np.testing.assert_array_equal(parameter.value, twin.value)
        assert (parameter.value != before.value).any()


def test_assign():
    p, = with_gradients(np.ones(2))
    optimizer = SGD(momentum=0.5)
    assert not optimizer.built
    optimizer.build([p])
    assert optimizer.built
    optimizer.assign(p, [1.0, 2.0])
    optimizer.assign(optimizer.variables[2], 4.0)
    optimizer.learning_rate = 1.0
    optimizer.step([p])
    np.testing.assert_array_equal(p.value, [2, 3])                          # u = 4 / 2 - 1


def test_set_weights_goes_on_where_another_stopped():
    values, gradients = numbers("float64")
    first, second = Adam(0.01), Adam(0.5)
    middle = ours(first, values, gradients[:2])
    parameters = [Parameter(value.copy()) for value in middle]
    second.build(parameters)
    second.set_weights(first.variables)
    assert second.iterations == 2 and second.learning_rate == pytest.approx(0.01)
    second.learning_rate = 0.01
    for step in gradients[2:]:
        second.apply(step, parameters)
    for parameter, value in zip(parameters, ours(Adam(0.01), values, gradients), strict=True):
        np.testing.assert_allclose(parameter.value, value, rtol=1e-12)


def test_learning_rate_may_be_set():
    p, = with_gradients(np.ones(1))
    optimizer = SGD(0.5)
    optimizer.step([p])
    optimizer.learning_rate = np.float32(0.25)
    optimizer.step([p])
    assert p.value[0] == -0.75 and type(optimizer.learning_rate) is float
    optimizer.lr = 1
    assert optimizer.learning_rate == 1.0


def test_schedules():
    p, = with_gradients(np.ones(1))
    optimizer = SGD(learning_rate=lambda step: 1.0 / 2 ** step)
    rates = []
    for _ in range(3):
        rates.append(optimizer.learning_rate)
        optimizer.step([p])
    assert rates == [1, 0.5, 0.25] and p.value[0] == -1.75
    optimizer.learning_rate = lambda: 2.0
    assert optimizer.learning_rate == 2


def test_schedule_of_keras():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)
    values, gradients = numbers("float32")
    expected, _ = theirs(Adam, {"learning_rate": schedule}, values, gradients)
    assert_close(ours(Adam(schedule), values, gradients), expected, "float32")


def test_a_schedule_is_not_overwritten_by_a_number():
    optimizer = SGD(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
    with pytest.raises(TypeError, match="its learning_rate is a schedule, ExponentialDecay, and cannot be set to 0"):
        optimizer.learning_rate = 0.5
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.25, 2, 0.5)
    assert optimizer.learning_rate == 0.25


def test_averages():
    p, q = with_gradients(np.ones(2), np.ones(2))
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.5)
    optimizer.finalize_variable_values([])
    with pytest.raises(ValueError, match="SGD 'sgd': expected parameters that its steps have changed, got weight"):
        optimizer.finalize_variable_values([q])
    for _ in range(3):
        optimizer.step([p])
    np.testing.assert_array_equal(p.value, [-3, -3])
    optimizer.finalize_variable_values([p, q])
    np.testing.assert_array_equal(p.value, [-2.25, -2.25])                  # (-1 / 2 - 1) / 2 - 3 / 2
    np.testing.assert_array_equal(q.value, [0, 0])
    plain = SGD(1.0)
    plain.step([q])
    plain.finalize_variable_values([p, q])
    np.testing.assert_array_equal(q.value, [-1, -1])


def test_accumulation_is_one_step_of_the_mean():
    p, = with_gradients(np.zeros(2))
    optimizer, seen = SGD(1.0, gradient_accumulation_steps=3), []
    for gradient in ([1.0, 0.0], [2.0, 3.0], [6.0, 0.0], [9.0, 9.0]):
        optimizer.apply([np.array(gradient)], [p])
        seen.append((p.value.tolist(), optimizer.iterations))
    assert seen == [([0, 0], 0), ([0, 0], 0), ([-3, -1], 1), ([-3, -1], 1)]


def test_scaled_losses():
    p, = with_gradients(np.ones(2))
    optimizer = SGD(1.0, loss_scale_factor=8.0)
    assert optimizer.scale_loss(2.0) == 16 and SGD().scale_loss(2.0) == 2
    optimizer.apply([np.full(2, 8.0)], [p])
    np.testing.assert_array_equal(p.value, [-1, -1])
    optimizer.step([p])                                                     # the gradient of the loss as it is
    np.testing.assert_array_equal(p.value, [-2, -2])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda held: pickle.loads(pickle.dumps(held))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("cls, options", RULES[10::2], ids=label)
def test_copies_go_on_alone(cls, options, again):
    values, gradients = numbers("float32", steps=4)
    optimizer = cls(**options, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2)
    parameters = applied(optimizer, values, gradients[:3])
    twins, other = again((parameters, optimizer))
    before = [parameter.value.copy() for parameter in parameters]
    other.apply(gradients[3], twins)
    for parameter, value in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(parameter.value, value)
    optimizer.apply(gradients[3], parameters)
    for parameter, twin in zip(parameters, twins, strict=True):
        np.testing.assert_array_equal(parameter.value, twin.value)


def test_ftrl_makes_weights_zero():
    """Exactly, where |z| is at most lambda_1; and where the divisor is 0 too, Keras has NaN."""
    p, = with_gradients(np.array([0.1, 5.0]))
    Ftrl(0.5, l1_regularization_strength=1.0).step([p])
    assert p.value[0] == 0 and p.value[1] < 0
    p, = with_gradients(np.zeros(2))
    Ftrl(0.5, initial_accumulator_value=0.0).step([p])
    np.testing.assert_array_equal(p.value, [0, 0])
    with pytest.raises(ValueError, match=r"Ftrl 'ftrl\w*': expected learning_rate to be a finite number above 0, got 0.0"):
        Ftrl(0.0).step([p])


def test_muon_tells_matrices_from_the_rest():
    shapes = {"dense/kernel": (3, 2), "dense/bias": (2,), "embedding/embeddings": (4, 2), "output/kernel": (2, 2)}
    parameters = [Parameter(np.zeros(shape), path) for path, shape in shapes.items()]
    optimizer = Muon(exclude_layers=["^output"])
    optimizer.build(parameters)
    with_velocity = {name for name in optimizer.variable_names if name.endswith("velocity")}
    assert with_velocity == {"dense_bias_velocity", "embedding_embeddings_velocity", "output_kernel_velocity"}


def test_muon_makes_the_update_nearly_orthogonal(rng):
    """Singular values from 0.01 to 1 come to about 1, which is what its polynomial is for."""
    u, _, v = np.linalg.svd(rng.normal(size=(6, 4)), full_matrices=False)
    p, = with_gradients(u * [1.0, 0.3, 0.1, 0.01] @ v)
    Muon(1.0, weight_decay=0.0, rms_rate=None).step([p])
    values = np.linalg.svd(p.value, compute_uv=False)
    assert (values > 0.3).all() and (values < 1.3).all() and values[0] / values[-1] < 4


def test_old_spellings():
    assert Adam(lr=0.25).learning_rate == 0.25
    with pytest.warns(UserWarning, match="decay is ignored"):
        SGD(decay=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SGD(decay=None)


def test_weight_decay_leaves_out_what_is_excluded():
    kernel, bias, other = (Parameter(np.ones(1), name) for name in ("kernel", "bias", "kernel"))
    optimizer = SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[other], var_names=["bias"])
    optimizer.step([kernel, bias, other])
    assert [kernel.value[0], bias.value[0], other.value[0]] == [0.75, 1, 1]


def test_an_optimizer_of_ones_own():
    class Sign(Optimizer):
        state_names = (("count",),)

        def update(self, room, gradient, scale, decay, step_size, value, count):
            count += 1
            value -= step_size * np.sign(gradient) / count

    p, = with_gradients(np.array([3.0, -4.0]))
    optimizer = Sign(0.5)
    optimizer.step([p])
    optimizer.step([p])
    np.testing.assert_array_equal(p.value, [-0.75, 0.75])
    with pytest.raises(NotImplementedError, match="Optimizer 'optimizer': update is not written"):
        Optimizer().step([p])


def test_get():
    optimizer = Adam()
    assert optimizers.get(None) is None and optimizers.get(optimizer) is optimizer
    for name, cls in {"adam": Adam, "Adam": Adam, "ADAM": Adam, "sgd": SGD, "SGD": SGD, "rmsprop": RMSprop,
                      "RMSprop": RMSprop, "adamw": AdamW, "adam_w": AdamW, "nadam": Nadam, "Ftrl": Ftrl, "lion": Lion}.items():
        assert type(optimizers.get(name)) is cls
    assert type(optimizers.get(RMSprop)) is RMSprop
    found = optimizers.get({"class_name": "adam", "config": {"learning_rate": 0.5}})
    assert type(found) is Adam and found.learning_rate == 0.5
    with pytest.raises(ValueError, match="unknown optimizer 'adm': did you mean 'Adam'"):
        optimizers.get("adm")
    for wrong in (3, lambda: None):
        with pytest.raises(TypeError, match="expected an optimizer"):
            optimizers.get(wrong)


def assert_same_config(config, expected):
    """But for the learning rate, which Keras holds in float32."""
    assert config == {**expected, "learning_rate": pytest.approx(expected["learning_rate"], rel=1e-6)}


@pytest.mark.parametrize("cls, options", RULES, ids=label)
def test_configurations_are_those_of_keras(cls, options):
    common = {**TOGETHER, "weight_decay": 0.1, "clipnorm": 2.0, "name": "mine"}
    optimizer = cls(**{**options, **common})
    twin = getattr(keras.optimizers, cls.__name__).from_config(optimizer.get_config())
    assert_same_config(optimizer.get_config(), twin.get_config())
    again = optimizers.deserialize({"module": "keras.optimizers", "class_name": cls.__name__, "config": twin.get_config(),
                                    "registered_name": None})
    assert type(again) is cls and again.get_config() == twin.get_config()
    assert optimizers.serialize(again) == {"module": "keras.optimizers", "class_name": cls.__name__,
                                           "config": twin.get_config(), "registered_name": None}


def test_defaults_and_names_are_those_of_keras():
    for cls in CLASSES:
        config, expected = cls().get_config(), getattr(keras.optimizers, cls.__name__)().get_config()
        assert_same_config(config, {**expected, "name": config["name"]})
    assert [cls().name for cls in (Adam, SGD, RMSprop, AdamW)] == ["adam_1", "sgd_1", "rm_sprop_1", "adam_w_1"]


def test_schedule_in_a_configuration():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    config = Adam(schedule).get_config()
    assert config["learning_rate"]["class_name"] == "ExponentialDecay"
    again = Adam.from_config(config)
    assert type(again._learning_rate) is optimizers.schedules.ExponentialDecay
    twin = keras.optimizers.Adam.from_config(again.get_config())
    assert twin.get_config()["learning_rate"] == again.get_config()["learning_rate"]
    config["learning_rate"] = {**config["learning_rate"], "class_name": "MyDecay", "registered_name": None}
    with pytest.raises(ValueError, match="'MyDecay'"):
        Adam.from_config(config)
    found = Adam.from_config(config, custom_objects={"MyDecay": optimizers.schedules.InverseTimeDecay})
    assert type(found._learning_rate) is optimizers.schedules.InverseTimeDecay


@pytest.mark.parametrize("make, message", [
    (lambda: Adam(clipnorm=1.0, clipvalue=0.5), "Adam 'adam': expected only one of clipnorm, clipvalue and global_"),
    (lambda: Adam(clipvalue=1.0, global_clipnorm=0.5), "expected only one"),
    (lambda: SGD(use_ema=3), "SGD 'sgd': expected use_ema to be True or False, got 3"),
    (lambda: SGD(loss_scale_factor=0.0), "SGD 'sgd': expected loss_scale_factor to be a finite number above 0, got 0.0"),
    (lambda: SGD(gradient_accumulation_steps=1), "expected gradient_accumulation_steps to be an integer of at least 2, got 1"),
    (lambda: AdamW(weight_decay=None), "AdamW 'adam_w': expected weight_decay to be a finite number that .*, got None"),
    (lambda: Lion(beta_1=0.0), r"Lion 'lion': expected beta_1 in \(0, 1\], got 0.0"),
    (lambda: Ftrl(learning_rate_power=0.5), "Ftrl 'ftrl': expected learning_rate_power to be a finite number of at most 0"),
    (lambda: Muon(exclude_layers="dense"), "Muon 'muon': expected exclude_layers as a list of strings, got 'dense'"),
    (lambda: Adafactor(clip_threshold=0), "Adafactor 'adafactor': expected clip_threshold to be a finite number above 0"),
    (lambda: SGD(momentum=1.5), r"SGD 'sgd': expected momentum in \[0, 1\], got 1.5"),
    (lambda: RMSprop(rho=-0.1), r"expected rho in \[0, 1\], got -0.1"),
    (lambda: Adam(beta_1=1.0), r"expected beta_1 in \[0, 1\), got 1.0"),
    (lambda: Adam(beta_2=float("nan")), r"expected beta_2 in \[0, 1\), got nan"),
    (lambda: Adam("fast"), "Adam 'adam': expected learning_rate to be a number or a schedule, got 'fast'"),
    (lambda: Adam(True), "expected learning_rate to be a number or a schedule, got True"),
    (lambda: Adam([0.1, 0.2]), "expected learning_rate to be a number"),
    (lambda: Adam(None), "expected learning_rate to be a number or a schedule, got None"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_unknown_argument():
    with pytest.raises(TypeError, match="Adam 'adam': unknown argument 'beta'"):
        Adam(beta=0.5)


def test_gradients_that_do_not_fit():
    p, q = with_gradients(np.zeros(2), np.zeros(3))
    optimizer = SGD()
    with pytest.raises(ValueError, match="SGD 'sgd': expected 2 gradients, as many as parameters, got 1"):
        optimizer.apply([np.zeros(2)], [p, q])
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(3,\) for 'weight', got \(2,\)"):
        optimizer.apply([np.zeros(2), np.zeros(2)], [p, q])
    with pytest.raises(ValueError, match="expected a gradient for at least one parameter"):
        optimizer.apply([None, None], [p, q])
    with pytest.raises(ValueError, match="expected arrays of shapes"):
        optimizer.set_weights([np.zeros(2)])
    with pytest.raises(ValueError, match="parameter 'weight': expected a C-contiguous value"):
        optimizer.step([Parameter(np.zeros((3, 4)).T)])
