"""PyTorch's optimizers: numbers and state are PyTorch's over 20 steps in every option; groups, state in and out, errors."""
import copy
import pickle

import numpy as np
import pytest
import torch

import nblayers
from nblayers import constraints, layers, nn, optim, regularizers
from nblayers.parameter import Parameter

RULES = [
    ("SGD", {}), ("SGD", {"lr": 0.1, "weight_decay": 0.1}), ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}), ("SGD", {"momentum": 0.5, "nesterov": True, "lr": 0.1}),
    ("SGD", {"maximize": True, "weight_decay": 0.1}), ("SGD", {"momentum": 0.9, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}), ("Adam", {"weight_decay": 0.1, "lr": 0.05}),
    ("Adam", {"amsgrad": True, "betas": (0.9, 0.5), "lr": 0.05}), ("Adam", {"maximize": True, "weight_decay": 0.1}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.5, "lr": 0.1}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.5}), ("AdamW", {"amsgrad": True, "maximize": True, "lr": 0.05}),
    ("RMSprop", {}), ("RMSprop", {"momentum": 0.9, "alpha": 0.5}), ("RMSprop", {"centered": True, "eps": 1e-3}),
    ("RMSprop", {"centered": True, "momentum": 0.4, "weight_decay": 0.1, "eps": 0.1}), ("RMSprop", {"maximize": True}),
    ("Adagrad", {}), ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3, "lr": 0.1}),
    ("Adagrad", {"weight_decay": 0.1, "maximize": True}),
]
SHAPES = [(3, 4), (5,), (1, 1), ()]
TOLERANCE = {"float32": dict(rtol=1e-6, atol=1e-6), "float64": dict(rtol=1e-12, atol=1e-13)}


def numbers(dtype, steps=20):
    """First values, and gradients of some steps whose sizes differ."""
    rng = np.random.default_rng(5)
    values = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    sizes = 10.0 ** rng.uniform(-1, 1, steps)
    return values, [[np.asarray(size * rng.normal(size=shape), dtype) for shape in SHAPES] for size in sizes]


def pair(name, options, values):
    """Our parameters and optimizer, and PyTorch's."""
    ours = [Parameter(value.copy(), f"w{i}") for i, value in enumerate(values)]
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    return ours, getattr(optim, name)(ours, **options), theirs, getattr(torch.optim, name)(theirs, **options)


def walk(parameters, optimizer, steps):
    for gradients in steps:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient) if isinstance(parameter, torch.Tensor) else gradient
        optimizer.step()


def assert_same_values(ours, theirs, dtype="float64"):
    for one, other in zip(ours, theirs, strict=True):
        assert one.value.dtype == dtype
        np.testing.assert_allclose(one.value, other.detach().numpy(), **TOLERANCE[dtype])


def assert_same_state(ours, theirs, dtype="float64"):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for key, state in theirs["state"].items():
        assert ours["state"][key].keys() == state.keys()
        for name, value in state.items():
            np.testing.assert_allclose(ours["state"][key][name], value.numpy(), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options", RULES, ids=str)
def test_20_steps_are_those_of_pytorch(name, options, dtype):
    values, gradients = numbers(dtype)
    ours, optimizer, theirs, twin = pair(name, options, values)
    arrays = [parameter.value for parameter in ours]
    walk(ours, optimizer, gradients)
    walk(theirs, twin, gradients)
    assert_same_values(ours, theirs, dtype)
    assert_same_state(optimizer, twin, dtype)
    for parameter, array, gradient in zip(ours, arrays, gradients[-1], strict=True):
        assert parameter.value is array
        np.testing.assert_array_equal(parameter.grad, gradient)             # left as it is


@pytest.mark.parametrize("name, options", RULES[2::3], ids=str)
def test_a_state_of_pytorch_goes_on(name, options):
    """Stopped there and resumed here, with what PyTorch saved, tensors and all; and back."""
    values, gradients = numbers("float64")
    _, _, theirs, twin = pair(name, options, values)
    walk(theirs, twin, gradients[:7])
    ours, optimizer, _, _ = pair(name, {}, [value.detach().numpy() for value in theirs])
    optimizer.load_state_dict(twin.state_dict())
    assert_same_state(optimizer, twin)
    walk(ours, optimizer, gradients[7:14])
    walk(theirs, twin, gradients[7:14])
    assert_same_values(ours, theirs)
    back = optimizer.state_dict()
    for state in back["state"].values():
        state.update({key: torch.tensor(value) for key, value in state.items()})
    twin.load_state_dict(back)
    walk(ours, optimizer, gradients[14:])
    walk(theirs, twin, gradients[14:])
    assert_same_values(ours, theirs)


@pytest.mark.parametrize("name, options", RULES[3::5], ids=str)
def test_devices_agree(name, options, device):
    values, gradients = numbers("float64", steps=2)
    expected = None
    for room in ("reference", device):
        ours, optimizer, _, _ = pair(name, options, values[:2])
        with nblayers.device(room):
            walk(ours, optimizer, [step[:2] for step in gradients])
        expected = expected or [parameter.value for parameter in ours]
    for parameter, value in zip(ours, expected, strict=True):
        np.testing.assert_allclose(parameter.value, value, rtol=1e-12)


def test_defaults_and_signatures_are_those_of_pytorch():
    import inspect
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        ours, theirs = (inspect.signature(getattr(module, name)).parameters.values() for module in (optim, torch.optim))
        assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]
        _, optimizer, _, twin = pair(name, {}, [np.zeros(2)])
        assert optimizer.defaults == twin.defaults and repr(optimizer) == repr(twin)


def test_groups():
    values, gradients = numbers("float64")
    ours = [Parameter(value.copy()) for value in values]
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    made = []
    for module, p in ((optim, ours), (torch.optim, theirs)):
        optimizer = module.SGD([{"params": p[:2]}, {"params": p[2], "lr": 0.5, "momentum": 0.5}], lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": [p[3]], "nesterov": True})
        walk(p, optimizer, gradients[:5])
        optimizer.param_groups[0]["lr"] *= 0.1
        walk(p, optimizer, gradients[5:])
        made.append(optimizer)
    assert_same_values(ours, theirs)
    assert_same_state(*made)


def test_named_parameters():
    ours, theirs = Parameter(np.ones(2)), torch.nn.Parameter(torch.ones(2))
    states = [module.Adam([("weight", p)]).state_dict()["param_groups"] for module, p in ((optim, ours), (torch.optim, theirs))]
    assert states[0] == states[1] and states[0][0]["param_names"] == ["weight"]


def test_weights_of_layers_and_of_models():
    """A generator will do; `zero_grad` clears; what is frozen stays; regularizers and constraints act as in `fit`."""
    layer = layers.Dense(2, kernel_regularizer=regularizers.L2(0.5), kernel_constraint=constraints.NonNeg())
    layer.build((None, 3))
    layer.set_weights([np.ones((3, 2)), np.zeros(2)])
    frozen = nn.Linear(3, 2)
    for weight in frozen.weights:
        weight.trainable = False
    kept = frozen.get_weights()
    optimizer = optim.SGD((parameter for each in (layer, frozen) for parameter in each.weights), lr=0.5)
    layer.weights[1].grad = [2.0, 2.0]
    frozen.weight.grad = np.ones((2, 3))
    assert optimizer.step() is None
    np.testing.assert_array_equal(layer.get_weights()[0], np.full((3, 2), 0.5))             # 1 - 0.5 · 2 · 0.5 · 1
    np.testing.assert_array_equal(layer.get_weights()[1], [-1, -1])
    for value, before in zip(frozen.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(value, before)
    for set_to_none in (True, False):
        layer.weights[1].grad = [2.0, 2.0]
        optimizer.zero_grad(set_to_none=set_to_none)
        assert not layer.weights[1].grad.any() and not frozen.weight.grad.any()
    layer.weights[0].grad = np.full((3, 2), 9.0)
    optimizer.step()
    assert not layer.get_weights()[0].any()                                                 # held at 0


def test_closure():
    parameter = Parameter(np.ones(1))

    def closure():
        parameter.grad = 2 * parameter.value
        return 0.25
    assert optim.SGD([parameter], lr=0.25).step(closure) == 0.25
    assert parameter.value[0] == 0.5


def test_a_number_that_does_not_train_is_known():
    """PyTorch's state of a parameter without a gradient is missing, or None; neither is a mistake."""
    optimizer = optim.SGD([Parameter(np.ones(2)), Parameter(np.ones(3))], momentum=0.9)
    saved = optimizer.state_dict()
    saved["state"] = {1: {"momentum_buffer": None}}
    optimizer.load_state_dict(saved)
    optimizer.step()


@pytest.mark.parametrize("change", [lambda held: held[0].astype("float64"), lambda held: held[0].to("reference"), copy.deepcopy,
                                    lambda held: pickle.loads(pickle.dumps(held))], ids=["astype", "to", "deepcopy", "pickle"])
def test_replaced_arrays_are_seen(change):
    """After `to`, `astype` or a copy of both together the next step goes on with the same state."""
    parameter = Parameter(np.zeros(2, "float32"))
    parameter.grad = [1.0, -2.0]
    held = [parameter, optim.Adam([parameter], lr=0.1)]
    held[1].step()
    held = change(held) or held
    held[1].step()
    expected = Parameter(np.zeros(2))
    expected.grad = [1.0, -2.0]
    optimizer = optim.Adam([expected], lr=0.1)
    optimizer.step()
    optimizer.step()
    np.testing.assert_allclose(held[0].value, expected.value, rtol=1e-6)
    assert held[1].state[held[0]]["exp_avg"].dtype == held[0].value.dtype


def test_saved_arrays_are_copies():
    parameter = Parameter(np.zeros(2))
    parameter.grad = [1.0, 1.0]
    optimizer = optim.Adam([parameter])
    optimizer.step()
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["exp_avg"], kept["state"][0]["exp_avg"])
    optimizer.load_state_dict(saved)
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["exp_avg"], kept["state"][0]["exp_avg"])


def test_training_lowers_the_loss(rng):
    """Two layers chained by hand, as in a program of PyTorch."""
    first, act, last = nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)
    x, t = rng.normal(size=(16, 3)).astype("f"), rng.integers(0, 2, 16)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam([*first.weights, *last.weights], lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(criterion(last(act(first(x))), t))
        first.backward(act.backward(last.backward(criterion.backward())))
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


def test_an_optimizer_of_ones_own():
    class Sign(optim.Optimizer):
        state_names = ("count",)

        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        def update(self, room, group, t, gradient, scale, value, count):
            count += 1
            value -= group["lr"] * np.sign(gradient) / count

    parameter = Parameter(np.zeros(2))
    parameter.grad = [3.0, -4.0]
    optimizer = Sign([parameter])
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(parameter.value, [-0.75, 0.75])
    with pytest.raises(NotImplementedError, match="Optimizer: update is not written"):
        optim.Optimizer([parameter], {"lr": 1.0}).step()


def test_the_module_has_two_names():
    from nblayers.nn.optim.lr_scheduler import StepLR

    import nblayers.nn.optim as one
    assert one is optim is nn.optim and StepLR is optim.lr_scheduler.StepLR


P, Q = Parameter(np.ones(2), "p"), Parameter(np.ones(2), "q")


@pytest.mark.parametrize("make, error, message", [
    (lambda: optim.SGD([]), ValueError, "SGD: expected at least one parameter, got none"),
    (lambda: optim.SGD(P), TypeError, "SGD: expected params as a list of parameters or of groups"),
    (lambda: optim.SGD([np.ones(2)]), TypeError, "SGD: expected params to be weights of a layer"),
    (lambda: optim.SGD([P, Q, P]), ValueError, "SGD: parameter 'p' was given twice"),
    (lambda: optim.SGD([{"params": [P]}, {"params": [Q, P]}]), ValueError, "SGD: parameter 'p' was given twice"),
    (lambda: optim.SGD([{"lr": 0.1}]), TypeError, "SGD: expected a group as a dictionary with 'params'"),
    (lambda: optim.SGD([{"params": {P}}]), TypeError, "SGD: expected parameters in an order, got set"),
    (lambda: optim.SGD([Parameter(np.ones(2, int))]), ValueError, "SGD: expected floating parameters"),
    (lambda: optim.SGD([P], lr=-1), ValueError, "SGD: expected lr to be a finite number that is not negative, got -1"),
    (lambda: optim.SGD([P], lr="fast"), ValueError, "SGD: expected lr"),
    (lambda: optim.SGD([P], momentum=-0.1), ValueError, "SGD: expected momentum"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "SGD: expected a momentum above 0 and dampening 0 with nesterov"),
    (lambda: optim.SGD([P], weight_decay=-1), ValueError, "SGD: expected weight_decay"),
    (lambda: optim.SGD([P], differentiable=True), ValueError, "SGD: differentiable=True is not supported"),
    (lambda: optim.Adam([P], betas=(1.0, 0.9)), ValueError, r"Adam: expected each of betas in \[0, 1\), got 1.0"),
    (lambda: optim.Adam([P], betas=0.9), ValueError, "Adam: expected betas as two numbers, got 0.9"),
    (lambda: optim.Adam([{"params": [P], "eps": -1}]), ValueError, "Adam: expected eps"),
    (lambda: optim.RMSprop([P], alpha=1.5), ValueError, r"RMSprop: expected alpha in \[0, 1\], got 1.5"),
    (lambda: optim.Adagrad([P], lr_decay=-1), ValueError, "Adagrad: expected lr_decay"),
    (lambda: optim.AdamW([P], beta=1), TypeError, "^AdamW.* 'beta'"),
])
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_option_that_became_wrong_is_noticed():
    optimizer = optim.SGD([P])
    optimizer.param_groups[0]["lr"] = np.nan
    with pytest.raises(ValueError, match="SGD: expected lr"):
        optimizer.step()
    with pytest.raises(ValueError, match="parameter 'weight': expected a C-contiguous value"):
        optim.SGD([Parameter(np.zeros((3, 4)).T)]).step()


@pytest.mark.parametrize("change, message", [
    (lambda s: {"state": s["state"]}, "Adam: expected a dictionary with 'state' and 'param_groups'"),
    (lambda s: {**s, "param_groups": s["param_groups"] * 2}, r"Adam: expected groups of \[2\] parameters, got \[2, 2\]"),
    (lambda s: {**s, "state": {7: {}}}, r"Adam: expected a state for parameters among \[0, 1\], got \[7\]"),
    (lambda s: {**s, "state": {0: {"sum": np.ones(2)}}}, "Adam: the state of parameter 0: expected exp_avg, .* got 'sum'"),
    (lambda s: {**s, "state": {1: {"exp_avg": np.ones(3)}}}, r"parameter 1: expected exp_avg of shape \(2,\), got \(3,\)"),
    (lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": -1}]}, "Adam: expected lr"),
], ids=range(6))
def test_states_that_do_not_fit(change, message):
    optimizer = optim.Adam([Parameter(np.ones(2)), Parameter(np.ones(2))])
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(change(copy.deepcopy(before)))
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"] and str(after["state"]) == str(before["state"])
