"""Recurrent layers: masks, states, both directions."""
from collections.abc import Callable
from typing import Any

from .activation import SMOOTH
from .convolution import image_shape, plain, window
from .drawing import Draw, Setup, Source, call, evaluate, family, makes, rank_of


def cell_options(draw: Draw, cell: str) -> dict[str, Any]:
    options = draw.some(activation=SMOOTH[:8], use_bias=[False], dropout=[0.3], recurrent_dropout=[0.3])
    if cell != "SimpleRNN":
        options |= draw.some(recurrent_activation=["hard_sigmoid", "softsign"])
    if cell == "GRU":
        options |= draw.some(reset_after=[False])
    return options


def walk_options(draw: Draw) -> dict[str, Any]:
    return draw.flags("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful")


def states_like(draw: Draw, states: Any) -> Any:
    """Random states in the structure of these."""
    return [states_like(draw, each) for each in states] if isinstance(states, (list, tuple)) else draw.normal(*states.shape)


def sequence_call(draw: Draw, x: Any, states: Callable[[], Any]) -> dict[str, Any]:
    """Mask, initial states and training, each or not."""
    given: dict[str, Any] = {"training": draw.chance()}
    if draw.chance(0.4):
        given["mask"] = draw.steps_mask(*x.shape[:2])
    if draw.chance(0.4):
        given["initial_state"] = states_like(draw, states())
    return given


def first_states(source: str, x: Any) -> Any:
    """The states that this layer begins with, for these sequences."""
    layer = evaluate(source)
    layer.build(x.shape)
    return layer.get_initial_state(len(x))


@makes("layers.SimpleRNN", "layers.LSTM", "layers.GRU")
def recurrent(draw: Draw, name: str) -> Setup:
    options = cell_options(draw, name.split(".")[1]) | walk_options(draw) | draw.flags("unroll") | draw.penalty()
    source, x = call(name, draw.integer(1, 3), **options), draw.numbers(*draw.shape(2, 2))
    return Setup(source, [x], sequence_call(draw, x, lambda: first_states(source, x)))


def cell_source(draw: Draw) -> Source:
    cell = draw.one(["SimpleRNN", "LSTM", "GRU"])
    return call(f"layers.{cell}Cell", draw.integer(1, 2), **cell_options(draw, cell))


@makes("layers.RNN")
def walked(draw: Draw, name: str) -> Setup:
    cells = [cell_source(draw) for _ in range(draw.integer(1, 2))]
    cell = draw.one([cells, call("layers.StackedRNNCells", cells)]) if len(cells) > 1 else cells[0]
    source, x = call(name, cell, **walk_options(draw), **draw.flags("unroll")), draw.numbers(*draw.shape(2, 2))
    return Setup(source, [x], sequence_call(draw, x, lambda: first_states(source, x)))


@makes("layers.SimpleRNNCell", "layers.LSTMCell", "layers.GRUCell")
def cell(draw: Draw, name: str) -> Setup:
    units, x = draw.integer(1, 3), draw.numbers(*draw.shape(1, 1))
    states = [draw.normal(len(x), units) for _ in range(2 if "LSTM" in name else 1)]
    options = cell_options(draw, name.split(".")[1].removesuffix("Cell"))
    return Setup(call(name, units, **options), [x, states], {"training": draw.chance()})


@makes("layers.StackedRNNCells")
def stacked(draw: Draw, name: str) -> Setup:
    source, x = call(name, [cell_source(draw) for _ in range(draw.integer(1, 2))]), draw.numbers(*draw.shape(1, 1))
    states = states_like(draw, evaluate(source).get_initial_state(len(x)))
    return Setup(source, [x, states], {"training": draw.chance()})


@makes(*family("ConvLSTM#D"))
def conv_lstm(draw: Draw, name: str) -> Setup:
    rank = rank_of(name)
    at = window(draw, rank)
    options = {"strides": plain(at.strides), "padding": at.padding, "dilation_rate": plain(at.dilation), **draw.data_format(),
               **cell_options(draw, "LSTM"), **walk_options(draw)}
    batch, *rest = image_shape(draw, at.places, draw.integer(1, 2), options)
    source, x = call(name, draw.integer(1, 2), plain(at.sizes), **options), draw.numbers(batch, draw.integer(1, 2), *rest)
    return Setup(source, [x], sequence_call(draw, x, lambda: first_states(source, x)))


@makes("layers.Bidirectional")
def bidirectional(draw: Draw, name: str) -> Setup:
    kind = draw.one(["SimpleRNN", "LSTM", "GRU"])
    options = cell_options(draw, kind) | draw.flags("return_sequences", "return_state", "zero_output_for_mask", "stateful")
    units = draw.integer(1, 2)
    both = {"backward_layer": call(f"layers.{kind}", units, go_backwards=True, **options)} if draw.chance(0.2) else {}
    merged = draw.some(merge_mode=["sum", "mul", "ave", "concat", None])
    source = call(name, call(f"layers.{kind}", units, **options), **merged, **both)
    x = draw.numbers(*draw.shape(2, 2))

    def states() -> list[Any]:
        layer = evaluate(source)
        layer.build(x.shape)
        return [*layer.forward_layer.get_initial_state(len(x)), *layer.backward_layer.get_initial_state(len(x))]

    return Setup(source, [x], sequence_call(draw, x, states))


INSIDE = [("layers.Dense(2, activation='tanh')", 1), ("layers.Conv1D(2, 2, padding='same')", 2), ("layers.LSTM(2)", 2),
          ("layers.GRU(2, return_sequences=True)", 2), ("layers.Dropout(0.4)", 1), ("layers.LayerNormalization()", 1),
          ("layers.Bidirectional(layers.SimpleRNN(2))", 2), ("layers.Flatten()", 2), ("layers.Softmax()", 1)]


@makes("layers.TimeDistributed")
def time_distributed(draw: Draw, name: str) -> Setup:
    inner, axes = draw.one(INSIDE)
    x = draw.numbers(*draw.shape(1 + axes, 1 + axes))
    mask = {"mask": draw.steps_mask(*x.shape[:2])} if draw.chance(0.3) else {}
    return Setup(call(name, Source(inner), **draw.penalty()), [x], {"training": draw.chance(), **mask})
