"""Optimizers made of others: LossScaleOptimizer and MultiOptimizer against Keras, in all rooms, in files; what they refuse."""
import copy
import pickle

import keras
import numpy as np
import pytest

import nblayers
from nblayers import optimizers
from nblayers.models import load_model
from nblayers.optimizers import SGD, Adam, LossScaleOptimizer, MultiOptimizer, OptimizerMap
from nblayers.parameter import Parameter

SHAPES = [(3, 2), (2,), (0, 2)]
NOT_FINITE = {3: np.inf, 4: -np.inf, 9: np.nan, 17: np.inf}         # steps, and a number in their gradients


def gradients_of(steps, scale=1.0, dtype="float32"):
    rng = np.random.default_rng(3)
    gradients = [[(scale * rng.normal(size=shape)).astype(dtype) for shape in SHAPES] for _ in range(steps)]
    for step, value in NOT_FINITE.items():
        if step >= steps:
            break
        gradients[step][step % 2].flat[1] = value
    return gradients


def parameters_of(dtype="float32"):
    return [Parameter(np.ones(shape, dtype), f"w{i}") for i, shape in enumerate(SHAPES)]


def assert_states_agree(ours, theirs):
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine, np.asarray(other), rtol=1e-4, atol=1e-6)


INNER = [("Adam", {"learning_rate": 0.1}), ("SGD", {"momentum": 0.9, "use_ema": True, "ema_momentum": 0.5}),
         ("RMSprop", {"gradient_accumulation_steps": 2, "clipnorm": 0.5, "weight_decay": 0.1})]


@pytest.mark.parametrize("name, options", INNER)
def test_loss_scale_is_keras_over_20_steps(name, options):
    mine = LossScaleOptimizer(getattr(optimizers, name)(**options), initial_scale=1000.0, dynamic_growth_steps=3)
    theirs = keras.optimizers.LossScaleOptimizer(getattr(keras.optimizers, name)(**options), initial_scale=1000.0,
                                                 dynamic_growth_steps=3)
    parameters, variables = parameters_of(), [keras.Variable(np.ones(shape, "float32")) for shape in SHAPES]
    scales = []
    assert mine.scale_loss(2.0) == 2000
    for gradients in gradients_of(20, 1000.0):
        mine.apply(gradients, parameters)
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        assert mine.dynamic_scale == float(theirs.dynamic_scale) and mine.step_counter == int(theirs.step_counter)
        assert mine.iterations == int(theirs.iterations)
        scales.append(mine.dynamic_scale)
        for parameter, variable in zip(parameters, variables, strict=True):
            np.testing.assert_allclose(parameter.value, np.asarray(variable), rtol=2e-5, atol=1e-6)
    assert_states_agree(mine, theirs)
    assert scales[2:5] == [2000, 1000, 500] and mine.scale_loss(2.0) == 2 * scales[-1]


def test_rooms_do_the_same_steps(device):
    """`step` looks at the gradients times the scale, as they would be with the loss scaled."""
    parameters, expected = parameters_of(), parameters_of()
    mine, plain = (LossScaleOptimizer(Adam(0.1), 2.0 ** 15, 4), Adam(0.1))
    for step, gradients in enumerate(gradients_of(8)):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        mine.step(parameters, device)
        if step not in NOT_FINITE:
            plain.apply(gradients, expected, "reference")
    for parameter, wanted in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.value, wanted.value, rtol=1e-6)
    parameters[0].grad = np.full((3, 2), 1e38)
    before, scale = parameters[0].value.copy(), mine.dynamic_scale
    mine.step(parameters, device)
    np.testing.assert_array_equal(parameters[0].value, before)
    assert mine.dynamic_scale == scale / 2 and mine.iterations == plain.iterations == 6


@pytest.mark.parametrize("first, gradient, last", [(2.0 ** 126, 0.0, 2.0 ** 127), (2.0 ** -125, np.nan, 2.0 ** -126)])
def test_the_scale_stays_a_positive_number(first, gradient, last):
    p = Parameter(np.ones(2, "float32"))
    optimizer = LossScaleOptimizer(SGD(), first, 1)
    for _ in range(3):
        optimizer.apply([np.full(2, gradient, "float32")], [p])
    assert optimizer.dynamic_scale == last
    optimizer.set_weights([0, 0.0, 0, 0.0, 3, 0.01])        # as Keras may leave it
    assert optimizer.dynamic_scale == 2.0 ** -126 and optimizer.iterations == 3


def a_model(library, wrapped, l2=0.01):
    """A model of ours or Keras' that is compiled with the optimizer that `wrapped` makes of the library's optimizers."""
    model = library.Sequential([library.Input((3,)),
                                library.layers.Dense(4, "tanh", kernel_regularizer=library.regularizers.L2(l2), name="first"),
                                library.layers.Dense(1, name="second")])
    model.set_weights([np.linspace(-1, 1, w.size, dtype="float32").reshape(w.shape) for w in model.get_weights()])
    model.compile(wrapped(library.optimizers), "mse")
    return model


WRAPPED = {
    "loss scale": lambda o: o.LossScaleOptimizer(o.Adam(0.01), dynamic_growth_steps=2),
    "loss scale of a schedule": lambda o: o.LossScaleOptimizer(o.SGD(o.schedules.ExponentialDecay(0.1, 2, 0.5), use_ema=True)),
    "multi": lambda o: o.MultiOptimizer(o.OptimizerMap(o.SGD(0.1, momentum=0.9), {".*second/.*": o.Adam(0.01, use_ema=True)})),
    "one of two alike": lambda o: o.MultiOptimizer(o.OptimizerMap(o.SGD(0.1), {".*second/.*": o.SGD(0.2), "no": o.SGD(1.0)})),
    "both": lambda o: o.LossScaleOptimizer(o.MultiOptimizer(o.OptimizerMap(o.Adam(0.1), {".*first/bias": o.Lion(0.01)})),
                                           dynamic_growth_steps=2),
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED.keys())
def test_fit_and_files_are_keras(wrapped, tmp_path, rng):
    """Two epochs in each library; a file of each, opened in the other, which trains on."""
    x, y = rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 1)).astype("float32")
    mine, theirs = a_model(nblayers, wrapped), a_model(keras, wrapped)
    for model in (mine, theirs):
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        model.save(tmp_path / f"{type(model).__module__.split('.')[0]}.keras")
    for w, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(w, other, rtol=1e-4, atol=1e-6)
    assert_states_agree(mine.optimizer, theirs.optimizer)
    ours_again, theirs_again = load_model(tmp_path / "keras.keras"), keras.models.load_model(tmp_path / "nblayers.keras")
    for again, original in ((ours_again, mine), (theirs_again, theirs)):
        assert type(again.optimizer) is type(original.optimizer)
        again.train_on_batch(x, y)
        original.train_on_batch(x, y)
        for w, other in zip(again.get_weights(), original.get_weights(), strict=True):
            np.testing.assert_allclose(w, other, rtol=1e-4, atol=1e-6)
    assert_states_agree(ours_again.optimizer, theirs_again.optimizer)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED.keys())
def test_state_copies_and_weight_files(wrapped, tmp_path, rng):
    x, y = rng.normal(size=(4, 3)).astype("float32"), np.ones((4, 1), "float32")
    model = a_model(nblayers, wrapped)
    model.save_weights(tmp_path / "before.weights.h5")
    model.train_on_batch(x, y)
    model.save_weights(tmp_path / "model.weights.h5")
    others = [a_model(nblayers, wrapped), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    others[0].load_weights(tmp_path / "before.weights.h5")
    others[0].load_weights(tmp_path / "model.weights.h5")
    by_hand = a_model(nblayers, wrapped)
    by_hand.set_weights(model.get_weights())
    by_hand.optimizer.build(by_hand.trainable_weights)
    by_hand.optimizer.set_weights(model.optimizer.variables)
    assert len(model.optimizer.variable_names) == len(model.optimizer.variables)
    for again in (model, *others, by_hand):
        again.train_on_batch(x, y)
        for w, other in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(w, other)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_batch_that_is_not_finite_is_left_out(rng):
    """And the scale, halved until what the loss gives fits, is Keras'."""
    x, y = rng.normal(size=(8, 3)).astype("float32"), 1e33 * np.ones((8, 1), "float32")
    models = [a_model(library, lambda o: o.LossScaleOptimizer(o.SGD(1e-3), dynamic_growth_steps=3), l2=0.0)
              for library in (nblayers, keras)]
    scales = [[], []]
    for model, seen in zip(models, scales, strict=True):
        for _ in range(4):
            model.train_on_batch(x, y)
            seen.append(float(model.optimizer.dynamic_scale))
    assert scales[0] == scales[1] and scales[0][0] > scales[0][1] > scales[0][2]


def test_each_parameter_has_its_optimizer():
    chosen = OptimizerMap(SGD(0.5), {"a/.*": SGD(0.25)})
    chosen["b/kernel"] = SGD(1.0)
    paths = ["a/kernel", "b/kernel", "c/kernel"]
    parameters = [Parameter(np.ones(1)) for _ in paths]
    for parameter, path in zip(parameters, paths, strict=True):
        parameter.path = path
    optimizer = MultiOptimizer(chosen, loss_scale_factor=2.0)
    optimizer.apply([np.full(1, 2.0)] * 3, parameters)
    assert [float(p.value[0]) for p in parameters] == [0.75, 0.0, 0.5]
    optimizer.apply([np.full(1, 2.0)] * 3)
    assert [float(p.value[0]) for p in parameters] == [0.5, -1.0, 0.0]
    assert [inner.iterations for inner in optimizer.optimizers] == [2, 2, 2] and optimizer.iterations == 2
    assert all(inner.loss_scale_factor == 2.0 for inner in optimizer.optimizers)
    assert len(chosen) == 2 and list(chosen) == ["a/.*", "b/kernel"] and chosen["a/x"] is chosen["a/.*"]
    del chosen["b/kernel"]
    assert chosen["b/kernel"] is chosen.default_optimizer


def test_a_function_is_asked_once_for_each_parameter():
    asked = []

    def choose(parameter):
        asked.append(parameter)
        return SGD(0.5)
    optimizer = MultiOptimizer(choose)
    parameters = parameters_of()[:2]
    for _ in range(2):
        optimizer.apply([np.ones(p.shape) for p in parameters], parameters)
    assert asked == parameters and len(optimizer.optimizers) == 2 and np.all(parameters[0].value == 0)


def test_configurations():
    for made in (wrapped(optimizers) for wrapped in WRAPPED.values()):
        again = optimizers.deserialize(optimizers.serialize(made))
        assert again.get_config() == made.get_config() and type(again) is type(made)
        theirs = keras.optimizers.deserialize(optimizers.serialize(made))
        assert optimizers.deserialize(keras.optimizers.serialize(theirs)).name == made.name
    old = {"weight_decay": None, "use_ema": False, "ema_momentum": 0.99}
    assert LossScaleOptimizer(Adam(), **old).inner_optimizer.weight_decay is None


def test_the_learning_rate_is_the_inner_one():
    scaled, several = LossScaleOptimizer(SGD(0.5)), MultiOptimizer(OptimizerMap(SGD(0.5)))
    scaled.learning_rate = 0.25
    assert scaled.inner_optimizer.learning_rate == scaled.lr == 0.25
    assert not hasattr(several, "learning_rate")
    with pytest.raises(AttributeError, match=r"MultiOptimizer 'multi_optimizer\w*' has no learning_rate of its own: set those"):
        several.learning_rate = 0.1
    scaled.exclude_from_weight_decay(var_names=["bias"])
    assert scaled.inner_optimizer._undecayed == ([], "bias")


@pytest.mark.parametrize("make, error, message", [
    (lambda: LossScaleOptimizer("adam"), TypeError, "expected inner_optimizer to be another optimizer, got"),
    (lambda: LossScaleOptimizer(LossScaleOptimizer(SGD())), TypeError, "to be another optimizer"),
    (lambda: LossScaleOptimizer(SGD(), 0.0), ValueError, "expected initial_scale"),
    (lambda: LossScaleOptimizer(SGD(), 1e39), ValueError, "expected initial_scale"),
    (lambda: LossScaleOptimizer(SGD(), dynamic_growth_steps=0), ValueError, "positive integer as dynamic_growth_steps, got 0"),
    (lambda: LossScaleOptimizer(SGD(), dynamic=False), ValueError, "give the inner optimizer a loss_scale_factor"),
    (lambda: LossScaleOptimizer(SGD(), clipnorm=1.0), ValueError, "clipnorm belongs to the inner optimizer, got clipnorm=1.0"),
    (lambda: LossScaleOptimizer(SGD(), learn=1), TypeError, "unexpected keyword|unknown argument 'learn'"),
    (lambda: MultiOptimizer(3), ValueError, "MultiOptimizer: expected optimizer_map"),
    (lambda: MultiOptimizer(lambda p: "sgd").build(parameters_of()), ValueError, "not made of others for 'w0', got 'sgd'"),
    (lambda: OptimizerMap("sgd"), TypeError, "OptimizerMap: expected default_optimizer to be an optimizer, got 'sgd'"),
    (lambda: OptimizerMap(SGD(), [SGD()]), TypeError, "expected optimizer_map to be a dictionary"),
    (lambda: OptimizerMap(SGD(), {"a": LossScaleOptimizer(SGD())}), ValueError, "expected 'a' to be an optimizer that is not"),
    (lambda: OptimizerMap(SGD(), {3: SGD()}), ValueError, "expected a key to be a path or an expression, got 3"),
    (lambda: OptimizerMap(SGD(), {"(": SGD()}), ValueError, r"got '\(': "),
    (lambda: OptimizerMap(SGD(), {"a": SGD()}).__setitem__("a", SGD()), ValueError, "'a' has an optimizer already"),
    (lambda: OptimizerMap(SGD(), {"a.*": SGD(), ".*b": SGD()})["ab"], ValueError, "one optimizer for 'ab', got those of"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("number, value", [(0, -1), (2, -3), (3, np.inf), (3, -2.0), (5, np.nan)])
def test_damaged_states(number, value, tmp_path):
    h5py = pytest.importorskip("h5py")
    model = a_model(nblayers, WRAPPED["loss scale"])
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        file[f"optimizer/vars/{number}"][()] = value
        del file.attrs["nblayers_checksums"], file[f"optimizer/vars/{number}"].attrs["crc32"]
    with pytest.raises(ValueError, match=r"expected the optimizer's (step count|iteration).* as finite numbers, got"):
        model.load_weights(tmp_path / "model.weights.h5")
