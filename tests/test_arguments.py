"""Arguments of a wrong kind: every error names the argument, what was expected and what came."""
from fractions import Fraction

import numpy as np
import pytest

from nblayers import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    nn,
    optimizers,
    regularizers,
    utils,
)
from nblayers.arguments import axes, choice, flag, integer, number, sizes
from nblayers.models import Sequential

X, Y = np.ones((6, 4), "f"), np.ones((6, 3), "f")
NAN, INF = float("nan"), float("inf")


def model(**compiled):
    made = Sequential([layers.Input((4,)), layers.Dense(3, name="d")], name="m")
    made.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return made


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers(value):
    assert integer("f", "n", value, 1) == 3 and type(integer("f", "n", value)) is int


@pytest.mark.parametrize("value", ["3", 3.0, 2.5, True, np.True_, None, [3], NAN, 1j, np.array([3]), object()])
def test_what_is_no_integer(value):
    with pytest.raises(ValueError, match="f: expected a positive integer as n, got"):
        integer("f", "n", value, 1)
    with pytest.raises(ValueError, match="f: expected n to be an integer from 0 to 5, got"):
        integer("f", "n", value, 0, 5)


@pytest.mark.parametrize("value", [0.5, np.float16(0.5), np.float64(0.5), np.array(0.5), Fraction(1, 2)])
def test_numbers(value):
    assert number("f", "r", value, 0, 1) == 0.5 and type(number("f", "r", value)) is float


@pytest.mark.parametrize("value", ["a", "0.5", True, np.True_, None, [0.5], NAN, INF, -INF, 10 ** 400, 1j, np.array([0.5]),
    -1, 2, int])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match=r"f: expected r in \[0, 1\], got"):
        number("f", "r", value, 0, 1)


def test_bounds_of_numbers():
    assert number("f", "r", INF, 0, finite=False) == INF and number("f", "r", -3) == -3
    for value, options, message in ((0, dict(low=0, open="("), "to be a finite number above 0"), (1, dict(low=0, high=1,
        open=")"),
                                    r"in \[0, 1\)"), (-1, dict(low=0), "to be a finite number that is not negative"),
                                    (NAN, dict(finite=False), "to be a number, got nan"), (1, dict(low=2), "of at least 2")):
        with pytest.raises(ValueError, match=f"f: expected r .*{message}"):
            number("f", "r", value, **options)


def test_the_other_checks():
    assert [flag("f", "b", value) for value in (True, np.False_, 1, np.int64(0))] == [True, False, True, False]
    assert axes("f", "a", [0, np.int64(1)]) == [0, 1] and sizes("f", "s", (None, 3)) == (None, 3) and sizes("f", "s", 3) == (3,)
    assert choice("f", "c", None, ("a", None)) is None
    for check, value in ((flag, "no"), (flag, None), (flag, 2), (flag, 0.0), (flag, np.ones(2)), (axes, "a"), (axes, [0.5]),
                         (sizes, "ab"), (sizes, (2.5,)), (sizes, (-1,))):
        with pytest.raises(ValueError, match=r"f: expected (each of )?x "):
            check("f", "x", value)
    with pytest.raises(ValueError, match="f: expected x to be 'a' or 'b', got array"):
        choice("f", "x", np.ones(2), ("a", "b"))


COUNTS = [0, -1, 2.5, "2", True, [2], NAN]
FIT = {"batch_size": COUNTS, "steps_per_epoch": COUNTS, "validation_steps": COUNTS, "validation_batch_size": COUNTS,
       "epochs": [-1, 1.5, "2", None], "initial_epoch": [-1, 0.5, "0"], "validation_split": ["a", -0.1, 1.0, NAN, None, True],
       "validation_freq": [0, -1, 1.5, "a", [0], [1, "a"], None, np.array([0])], "shuffle": ["a", 2, 0.5, []],
       "validation_data": [5, "a", 2.5], "callbacks": [5, "a", [5], callbacks.EarlyStopping], "verbose": ["loud", 3, -1, 2.5,
           None],
       "class_weight": [[1.0], "a"]}
TEST = {"batch_size": COUNTS, "steps": COUNTS, "verbose": [3, "loud", None], "callbacks": [5, [None, "a"]]}
CALLS = [("fit", name, value) for name, values in FIT.items() for value in values] + [
    (method, name, value) for method in ("evaluate", "predict") for name, values in TEST.items() for value in values] + [
    (method, "return_dict", value) for method in ("evaluate", "train_on_batch", "test_on_batch") for value in ("a", 2, None)]


@pytest.mark.parametrize("method, name, value", CALLS, ids=lambda value: repr(value)[:30])
def test_entry_points(method, name, value):
    given = {"x": X, "y": Y, name: value}
    if method == "predict":
        del given["y"]
    with pytest.raises((ValueError, TypeError), match=rf"(Sequential 'm': )?.*expected .*{name}.*got "):
        getattr(model(), method)(**given)


COMPILE = {"optimizer": [None, 5, []], "loss": [5, [5]], "loss_weights": ["a", [NAN], ["a"], {"d": None, "e": "b"}],
    "metrics": [[5]],
           "weighted_metrics": [[5], "mae"], "run_eagerly": ["a"], "steps_per_execution": [0, "a"], "jit_compile": ["a", 2],
           "auto_scale_loss": [None]}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in COMPILE.items() for value in values], ids=str)
def test_compile(name, value):
    with pytest.raises((ValueError, TypeError), match=rf"expected .*{name}.*got|{name} expected|an {name} \(a name"):
        model(**{name: value})


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_metrics_for_outputs_that_do_not_exist(argument):
    with pytest.raises(ValueError, match=rf"Sequential 'm': {argument} names \['unknown'\], expected names .*: \['d'\]"):
        model(**{argument: {"unknown": "mae"}}).fit(X, Y, verbose=0)
    assert "mae" in model(**{argument: {"d": "mae"}}).fit(X, Y, verbose=0).history


def test_what_keras_takes_goes_on_working():
    history = model(loss_weights=np.float32(0.5)).fit(
        X, Y, batch_size=np.int64(2), epochs=np.int32(2), validation_split=np.float32(0.4), validation_freq=np.int64(1),
        shuffle=np.True_, steps_per_epoch=None, verbose=False, initial_epoch=np.uint8(0), callbacks=(callbacks.Callback(),
        [None]))
    assert len(history.history["val_loss"]) == 2
    assert model().fit(X, Y, epochs=0, verbose=0).history == {}
    assert len(model().fit(X, Y, epochs=3, validation_data=(X, Y), validation_freq=np.array([2]),
        verbose=0).history["val_loss"]) == 1
    layers.LSTM(np.int64(4), dropout=np.float32(0.5), return_sequences=np.True_, use_bias=0, seed=-3)
    optimizers.Adam(np.float32(0.1), epsilon=0, clipnorm=INF, weight_decay=np.float64(0.1), amsgrad=1)
    initializers.RandomNormal(0, np.float32(1), seed=np.int64(3))((2, np.int64(3)))
    np.testing.assert_array_equal(initializers.RandomNormal(seed=-3)((2,)), initializers.RandomNormal(seed=-3)((2,)))


MADE = [
    (optimizers.SGD, {"momentum": ["a", None, NAN, True, 1.5], "loss_scale_factor": [0, "a"],
                      "gradient_accumulation_steps": [1, 1.5, "a"], "nesterov": ["a", None],
                      "learning_rate": [NAN, INF, "a", int],
                      "clipnorm": [-1, "a", NAN], "clipvalue": [-1, "a"], "global_clipnorm": [-1, "a"], "weight_decay": [-1,
                      "a", INF],
                      "ema_momentum": [2, "a"], "ema_overwrite_frequency": [0, "a"], "use_ema": ["a", np.ones(2)],
                      "name": [3]}),
    (optimizers.RMSprop, {"rho": ["a", None, 2], "momentum": ["a"], "epsilon": [None, "a", -1, NAN], "centered": ["a"]}),
    (optimizers.Adam, {"beta_1": ["a", 1], "beta_2": [None, 1], "epsilon": [None, "a", INF], "amsgrad": ["a"]}),
    (optimizers.AdamW, {"weight_decay": [None, "a", -1]}), (optimizers.Lion, {"beta_1": [0, "a", 2], "beta_2": [NAN, 2]}),
    (optimizers.Adagrad, {"initial_accumulator_value": [-1, "a"], "epsilon": [None, -1]}),
    (optimizers.Adadelta, {"rho": ["a", 2], "epsilon": ["a"]}),
    (optimizers.Adamax, {"beta_1": [1], "beta_2": [2], "epsilon": [-1]}),
    (optimizers.Nadam, {"beta_1": [1, "a"], "beta_2": [1], "epsilon": [-1]}),
    (optimizers.Lamb, {"beta_1": [1], "beta_2": [1, "a"], "epsilon": [-1]}),
    (optimizers.Adafactor, {"beta_2_decay": [1, "a"], "epsilon_1": [-1], "epsilon_2": [-1, None], "clip_threshold": [0],
        "relative_step": ["a"]}),
    (optimizers.Ftrl, {"learning_rate_power": [1, "a"], "initial_accumulator_value": [-1], "l1_regularization_strength": [-1],
        "l2_regularization_strength": [-1], "l2_shrinkage_regularization_strength": [-1], "beta": [-1, "a"]}),
    (optimizers.Muon, {"adam_beta_1": [1], "adam_beta_2": [1], "adam_weight_decay": [-1], "epsilon": [-1], "momentum": [2],
        "exclude_layers": ["a", 3, [3]], "exclude_embeddings": ["a"], "muon_a": ["a"], "muon_b": [None], "muon_c": [NAN],
        "adam_lr_ratio": [-1], "ns_steps": [-1, 1.5], "nesterov": ["a"], "rms_rate": ["a"]}),
    (optimizers.ScheduleFreeAdamW, {"beta_1": [0, "a"], "beta_2": [1], "epsilon": [-1], "warmup_steps": [-1, 1.5]}),
    (losses.CategoricalCrossentropy, {"axis": ["a", 1.5], "label_smoothing": ["a", NAN, 2], "from_logits": ["a"],
        "reduction": [3]}),
    (metrics.BinaryAccuracy, {"threshold": ["a", NAN], "name": [3]}),
    (regularizers.L1L2, {"l1": ["a", NAN, -1, True], "l2": ["a", INF]}), (regularizers.OrthogonalRegularizer, {"mode": [3,
        "a"]}),
    (constraints.MinMaxNorm, {"min_value": ["a", -1], "max_value": ["a", -1, NAN], "rate": ["a", 2, NAN], "axis": ["a", [0.5],
        1.5]}),
    (constraints.MaxNorm, {"max_value": ["a", -1, None], "axis": ["a"]}), (constraints.UnitNorm, {"axis": ["a", 0.5]}),
    (initializers.Constant, {"value": ["a", None, [[1], [1, 2]]]}), (initializers.Identity, {"gain": ["a", None]}),
    (initializers.RandomNormal, {"mean": ["a", NAN], "stddev": ["a", -1], "seed": ["a", 1.5, True]}),
    (initializers.TruncatedNormal, {"stddev": ["a", -1]}), (initializers.RandomUniform, {"minval": ["a"], "maxval": ["a", NAN,
        -1]}),
    (initializers.VarianceScaling, {"scale": [0, "a", NAN], "mode": [3], "distribution": [3, np.ones(2)], "input_axes": ["a"]}),
    (initializers.Orthogonal, {"gain": ["a"]}), (initializers.GlorotUniform, {"output_axes": [[0.5]]}),
    (callbacks.ReduceLROnPlateau, {"factor": [1, "a", -1], "patience": [-1, "a"], "min_delta": ["a"], "cooldown": [-1, 1.5],
                                   "min_lr": [-1, "a"], "monitor": [3], "verbose": ["a"]}),
    (callbacks.EarlyStopping, {"patience": [-1, 1.5, "a", None], "min_delta": ["a", NAN], "monitor": [3], "baseline": ["a"],
                               "restore_best_weights": ["a"], "start_from_epoch": [-1, "a"], "verbose": ["a", -1]}),
    (lambda **given: callbacks.ModelCheckpoint(**{"filepath": "a.keras", **given}), {
        "filepath": [3, None, b"a.keras"], "save_freq": [0, "a", 1.5, True], "save_best_only": ["a"],
        "save_weights_only": ["a"],
        "monitor": [None], "initial_value_threshold": ["a", NAN]}),
    (lambda **given: layers.Dense(**{"units": 3, **given}), {
        "units": ["a", 0, 2.5, True], "use_bias": ["a", None], "activation": [5, int], "kernel_initializer": [5, "",
        "nonsense"],
        "bias_regularizer": [5], "kernel_constraint": [5], "activity_regularizer": [5], "trainable": ["a"], "autocast": [None],
        "name": [5], "dtype": ["int8"], "input_shape": ["a", (2.5,)], "input_dim": ["a"], "batch_size": ["a"]}),
    (lambda **given: layers.Embedding(5, 3, **given), {"mask_zero": ["a"], "weights": ["a", np.ones(2)],
        "embeddings_initializer": [5]}),
    (lambda **given: layers.Conv1D(**{"filters": 3, "kernel_size": 2, **given}), {
        "kernel_size": [b"x", "a", 0], "use_bias": ["a"], "activation": [5], "kernel_initializer": [5], "bias_constraint": [5],
        "padding": [3], "data_format": [3]}),
    (layers.GlobalAveragePooling1D, {"keepdims": ["a"], "data_format": [3]}), (layers.MaxPooling1D, {"pool_size": [b"x", 0,
        "a"]}),
    (lambda **given: layers.Lambda(abs, **given), {"arguments": [5], "output_shape": [5], "gradient": [5]}),
    (lambda **given: layers.Bidirectional(layers.LSTM(2), **given), {"merge_mode": [np.ones(2), "a"], "weights": ["a"]}),
    (layers.StackedRNNCells, {"cells": [5, []]}), (layers.Activation, {"activation": [5, "nonsense"]}),
    (lambda **given: layers.ConvLSTM1D(**{"filters": 3, "kernel_size": 2, **given}), {
        "dropout": ["a", NAN, -1], "unit_forget_bias": ["a"], "recurrent_activation": [5], "return_sequences": ["a"]}),
    (lambda **given: nn.LSTM(3, 4, **given), {"bias": ["a"], "batch_first": ["a"], "dropout": ["a", NAN, True],
        "proj_size": ["a", 4, -1],
                                              "bidirectional": ["a"], "num_layers": ["a"]}),
    (lambda **given: nn.RNN(3, 4, **given), {"nonlinearity": [np.ones(2), 3]}),
    (lambda **given: nn.Conv1d(3, 4, 2, **given), {"bias": ["a"], "padding_mode": [np.ones(2)], "padding": [b"x", -1]}),
    (lambda **given: nn.AvgPool1d(2, **given), {"ceil_mode": ["a"], "count_include_pad": ["a"], "divisor_override": ["a",
        0.5]}),
    (lambda **given: nn.MaxPool1d(2, **given), {"return_indices": ["a"]}),
    (Sequential, {"layers": [5, 2.5], "trainable": ["a"]}),
    (lambda **given: utils.to_categorical(**{"x": [0, 1], **given}), {"x": ["a", ["1"], None], "num_classes": [0, 2.5, "a"]}),
    (lambda **given: utils.normalize(**{"x": X, **given}), {"x": ["a"], "axis": [5, "a", None], "order": ["a", NAN]}),
    (lambda **given: utils.pad_sequences(**{"sequences": [[1], [2, 3]], **given}), {
        "maxlen": ["a", -1, 2.5], "dtype": ["nonsense", 5], "padding": [3], "value": [None, [1, 2, 3], "a"],
        "sequences": [["a"], 5]}),
    (lambda **given: utils.timeseries_dataset_from_array(**{"data": X, "targets": Y, "sequence_length": 2, **given}), {
        "sequence_length": ["a", None, 1.5], "sequence_stride": ["a", 1.5], "sampling_rate": [None, "a"], "batch_size": ["a",
        0, 2.5],
        "shuffle": ["a"], "start_index": ["a", 0.5], "end_index": ["a", 9, 0], "format": [3], "data": [5], "targets": [5]}),
    (lambda **given: utils.pack_padded_sequence(**{"input": X[..., None], "lengths": [6, 5, 3, 1], **given}), {
        "lengths": ["a", [None] * 4, ["1"] * 4], "batch_first": ["a", np.ones(2)], "enforce_sorted": ["a"]}),
    (lambda **given: utils.pad_sequence(**{"sequences": [X, X[:2]], **given}), {
        "sequences": [5], "batch_first": ["a"], "padding_value": ["a", None], "padding_side": [np.ones(2)]}),
    (lambda **given: nn.utils.clip_grad_norm_(**{"parameters": [], "max_norm": 1, **given}), {
        "parameters": [5, [5]], "max_norm": ["a", -1, NAN], "norm_type": ["a", 0]}),
    (lambda **given: utils.clip_by_norm([], **given), {"bound": ["a", -1, NAN]}),
    (lambda **given: activations.relu(X, **given), {"negative_slope": ["a", NAN], "max_value": ["a", -1], "threshold": [None]}),
    (lambda **given: activations.softmax(X, **given), {"axis": ["a", 0.5]}), (lambda **given: activations.elu(X, **given),
        {"alpha": ["a"]}),
    (lambda **given: initializers.Zeros()(**{"shape": (2,), **given}), {"shape": ["a", -1, 2.5, (2, None)],
        "dtype": ["nonsense", 5]}),
]
RECURRENT = {"units": ["a", 0, True], "dropout": ["a", NAN, -1, None, True], "recurrent_dropout": ["a", INF], "use_bias": ["a"],
             "seed": ["a", 1.5, True], "kernel_initializer": [5], "recurrent_initializer": ["nonsense"], "bias_constraint": [5],
             "activation": [5]}
SEQUENCE = {name: ["a", None, 2] for name in ("return_sequences", "return_state", "go_backwards", "stateful", "unroll",
                                              "zero_output_for_mask")}
MADE += [(lambda cls=cls, **given: cls(**{"units": 3, **given}), wrong)
         for wrong, classes in ((RECURRENT | SEQUENCE, (layers.SimpleRNN, layers.LSTM, layers.GRU)),
                                (RECURRENT, (layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell))) for cls in classes]
MADE += [(layers.LSTM, {"unit_forget_bias": ["a"], "use_cudnn": [np.ones(2)]}), (layers.GRU, {"reset_after": ["a"]})]
NEEDED = {layers.LSTM: {"units": 3}, layers.GRU: {"units": 3}}


@pytest.mark.parametrize("make, name, values", [(make, name, values) for make, wrong in MADE for name, values in wrong.items()],
                         ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_made(make, name, values):
    for value in values:
        with pytest.raises((ValueError, TypeError),
        match=rf"(expected|unknown|not supported).*{name}|{name}.*(expected|unknown|not sup)"):
            make(**NEEDED.get(make, {}), **{name: value})


def test_a_schedule_that_gives_no_number():
    for rate in (lambda step: "a", lambda step: NAN, lambda: None):
        with pytest.raises(ValueError,
        match=r"SGD .*: expected what the schedule gives as learning_rate to be a finite number, got"):
            model(optimizer=optimizers.SGD(rate)).fit(X, Y, verbose=0)


def test_parameters_of_an_optimizer_that_are_none():
    for parameters in (5, [5], np.ones(2)):
        with pytest.raises(TypeError, match=r"SGD .*: expected parameters to be weights of a layer"):
            optimizers.SGD().step(parameters)
