"""Schedules against Keras at 200 steps, restarts against their definition, configurations, errors, training with them."""
import math

import jax
import keras
import numpy as np
import pytest
from helpers import double_precision

from nblayers import layers, models, optimizers
from nblayers.optimizers import schedules
from nblayers.optimizers.schedules import CosineDecay, CosineDecayRestarts, ExponentialDecay, LearningRateSchedule
from nblayers.serialization import register_keras_serializable

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7.5, "decay_rate": 2}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 2.0, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [50, 120], "values": [1.0, 0.5, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [3.5], "values": [1.0, 0.25]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 150}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 70, "end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 40, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 150}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 120, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 30}),
    ("CosineDecay", {"initial_learning_rate": 0.05, "decay_steps": 120, "warmup_target": 0.2}),
    ("CosineDecay", {"initial_learning_rate": 0.05, "decay_steps": 120, "warmup_steps": 30}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 20}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 13, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.05}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 25, "t_mul": 1.0, "m_mul": 0.9}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 110, "t_mul": 0.5}),
]


@pytest.mark.parametrize("name, arguments", CASES, ids=str)
def test_schedules_are_those_of_keras(name, arguments):
    ours = getattr(schedules, name)(**arguments)
    with double_precision(True):
        keras.config.set_floatx("float64")
        theirs = getattr(keras.optimizers.schedules, name)(**arguments)
        expected = np.array(jax.vmap(theirs)(np.arange(200)))
        keras.config.set_floatx("float32")
    rates = np.array([ours(step) for step in range(200)])
    compared = np.ones(200, bool)
    if name == "CosineDecayRestarts":               # Keras' logarithm may round a restart to the step before it
        begins = begin_of_periods(**arguments)
        compared = ~np.isin(np.arange(200), begins)
    assert compared.sum() > 150
    # Keras' cosine is one of single precision
    np.testing.assert_allclose(rates[compared], expected[compared], rtol=1e-9, atol=1e-7 if "Cosine" in name else 1e-12)
    assert all(type(ours(step)) is float for step in (0, np.int32(3), np.array(3)))
    np.testing.assert_array_equal(ours(np.arange(200)), rates)
    assert ours(np.zeros((2, 3), int)).shape == (2, 3)


def begin_of_periods(first_decay_steps, t_mul=2.0, **others):
    begins, length = [0.0], float(first_decay_steps)
    while begins[-1] < 200 and length > 1e-3:
        begins.append(begins[-1] + length)
        length *= t_mul
    return begins


@pytest.mark.parametrize("t_mul, m_mul", [(1.0, 1.0), (2.0, 0.5), (3.0, 1.0), (1.5, 0.9), (1.1, 1.0)])
@pytest.mark.parametrize("first", [1, 10, 1000])
def test_a_restart_begins_at_its_step(first, t_mul, m_mul):
    """Where one period ends the next begins at the top, however the logarithm is rounded."""
    schedule = CosineDecayRestarts(1.0, first, t_mul, m_mul)
    begin, length, height = 0.0, float(first), 1.0
    for _ in range(12):
        if begin == int(begin) and begin < 2 ** 40:
            assert schedule(int(begin)) == pytest.approx(height, rel=1e-6)
            assert schedule(begin + length / 2) == pytest.approx(height / 2, rel=1e-6)
        begin, length, height = begin + length, length * t_mul, height * m_mul


def test_periods_that_become_shorter_come_to_an_end():
    schedule = CosineDecayRestarts(1.0, 8, t_mul=0.5, alpha=0.25)
    assert schedule(4) == pytest.approx(0.625) and schedule(10) == pytest.approx(0.625)
    assert schedule(16) == schedule(1000) == 0.25


@pytest.mark.parametrize("name, arguments", CASES, ids=str)
def test_configurations_are_those_of_keras(name, arguments):
    ours, theirs = getattr(schedules, name)(**arguments), getattr(keras.optimizers.schedules, name)(**arguments)
    assert ours.get_config() == theirs.get_config() and list(ours.get_config()) == list(theirs.get_config())
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    assert type(keras.optimizers.schedules.deserialize(schedules.serialize(ours))) is type(theirs)
    assert repr(ours).startswith(f"{name}(")


@register_keras_serializable()
class Halving(LearningRateSchedule):
    def __init__(self, first):
        self.first = first

    def __call__(self, step):
        return self.first / 2 ** step

    def get_config(self):
        return {"first": self.first}


def test_a_schedule_of_ones_own(tmp_path):
    optimizer = optimizers.SGD(Halving(1.0))
    assert optimizer.learning_rate == 1.0
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again._learning_rate) is Halving and again._learning_rate.first == 1.0
    for method in ("__call__", "get_config"):
        with pytest.raises(NotImplementedError, match=rf"LearningRateSchedule: {method}.* is not written"):
            getattr(LearningRateSchedule(), method)(*(0,) * (method == "__call__"))


def test_a_model_is_trained_and_saved_with_a_schedule(tmp_path):
    x, y = np.ones((6, 2)), np.ones((6, 1))
    model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(optimizers.SGD(CosineDecay(0.0, 4, warmup_target=0.1, warmup_steps=2)), "mse")
    before = model.get_weights()
    model.train_on_batch(x, y)                          # the first learning rate is 0
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.fit(x, y, batch_size=2, verbose=0)
    assert model.optimizer.learning_rate == pytest.approx(0.1 * (1 + math.cos(math.pi / 2)) / 2)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert again.optimizer.get_config()["learning_rate"] == model.optimizer.get_config()["learning_rate"]


@pytest.mark.parametrize("make, message", [
    (lambda: ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay: expected decay_steps to be a finite number above 0, got 0"),
    (lambda: schedules.InverseTimeDecay("a", 1, 0.5), "InverseTimeDecay: expected initial_learning_rate to be a finite number"),
    (lambda: schedules.PolynomialDecay(0.1, -1), "PolynomialDecay: expected decay_steps to be a finite number above 0, got -1"),
    (lambda: CosineDecay(0.1, 0), "CosineDecay: expected decay_steps"),
    (lambda: CosineDecay(0.1, 1, warmup_steps=1.5), "CosineDecay: expected warmup_steps to be an integer"),
    (lambda: CosineDecayRestarts(0.1, 0), "CosineDecayRestarts: expected first_decay_steps"),
    (lambda: CosineDecayRestarts(0.1, 1, t_mul=0), "CosineDecayRestarts: expected t_mul to be a finite number above 0, got 0"),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "expected one value more than boundaries, got 2 val"),
    (lambda: schedules.PiecewiseConstantDecay([2, 2], [0.1, 0.2, 0.3]), "of which each is larger than the one before"),
    (lambda: schedules.PiecewiseConstantDecay(3, [0.1]), "Decay: expected boundaries as a list of numbers, got 3"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_step_that_is_no_number():
    with pytest.raises(TypeError, match="ExponentialDecay: expected step to hold numbers"):
        ExponentialDecay(0.1, 2, 0.5)("a")
    assert schedules.PiecewiseConstantDecay([], [0.5])(7) == 0.5
    with pytest.raises(ValueError, match="unknown schedule 'CosineDecy': did you mean 'CosineDecay'"):
        schedules.deserialize({"class_name": "CosineDecy", "config": {}})
