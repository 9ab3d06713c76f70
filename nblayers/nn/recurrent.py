"""RNN, LSTM and GRU as PyTorch writes them: several layers and both directions in one, PyTorch's weights."""
import math
import warnings
from typing import Any

import numpy as np

from nblayers import arguments, devices, initializers, layers
from nblayers.layers.base import Layer, Record, _shapes, positive
from nblayers.layers.calls import backward_of, record_of
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.fused import FusedRNN
from nblayers.layers.recurrent.packed import TakesPacked
from nblayers.parameter import Parameter
from nblayers.utils.packing import PackedSequence, check_packed


class Recurrent(TakesPacked):
    r"""What the three share.

    Layer l reads what layer l-1 gave; with `bidirectional` it is two walks, one from each end, side by side:

        h^{(l)} = walk(x^{(l)}),  h'^{(l)} = walk from the end(x^{(l)})         (1)     weights _l0, _l0_reverse, _l1 …
        x^{(l+1)} = m [h^{(l)}, h'^{(l)}]                                       (2)     m: dropout, of all layers but the last

    One walk is a layer of `nblayers.layers` with the same numbers in other places: it holds copies of the weights, transposed
    and with the gates in Keras' order, which each forward renews; backward brings its gradients back.
    """

    input_size: int = fixed()
    hidden_size: int = fixed()
    num_layers: int = fixed()
    bias: bool = fixed()
    bidirectional: bool = fixed()
    states = 1                                  # h alone, or h and c
    gates: tuple[int, ...] = (0,)               # where Keras' k-th gate stands among PyTorch's; its own inverse

    class Cache(Record):
        walks: list                 # what each walk's forward left, layer by layer
        dropouts: list              # the same of the dropout between two layers
        packed: Any                 # the PackedSequence given, without its data; None for arrays
        given: bool                 # whether backward returns the gradients of the initial states
        single: bool                # whether one sequence was given, without a batch axis

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float,
                 bidirectional: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_size = positive(self, "input_size", input_size)
        self.hidden_size = positive(self, "hidden_size", hidden_size)
        self.num_layers = positive(self, "num_layers", num_layers)
        self.bias = arguments.flag(self.described, "bias", bias)
        self.batch_first = arguments.flag(self.described, "batch_first", batch_first)
        self.bidirectional = arguments.flag(self.described, "bidirectional", bidirectional)
        self.dropout = arguments.number(self.described, "dropout", dropout, 0, 1)
        if self.dropout and self.num_layers == 1:
            warnings.warn(f"{self.described}: dropout acts between layers, and num_layers=1 has nothing between", stacklevel=3)
        self._dropouts = [layers.Dropout(self.dropout, dtype=self.dtype, name=f"dropout_l{n}")
                          for n in range(self.num_layers - 1)]
        self._walks = [self._make_walk(n, suffix) for n in range(self.num_layers) for suffix in self._suffixes]
        self.built = True

    @property
    def _suffixes(self) -> list[str]:
        return ["", "_reverse"] if self.bidirectional else [""]

    def _make_walk(self, number: int, suffix: str) -> "_Walk":
        rows, limit = len(self.gates) * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        columns = self.hidden_size * len(self._suffixes) if number else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        weights = {}
        for name, shape in shapes.items():
            full = f"{name}_l{number}{suffix}"
            weights[name] = self.add_weight(shape, initializers.RandomUniform(-limit, limit), name=full)
            setattr(self, full, weights[name])
        options = dict(use_bias=self.bias, return_sequences=True, return_state=True, go_backwards=bool(suffix),
                       kernel_initializer="zeros", recurrent_initializer="zeros", name=f"{self.name}_l{number}{suffix}")
        with devices.device(self.device):
            layer = self._make_layer(**options)
        layer.build((None, None, columns))
        return _Walk(layer, weights, self.gates, bool(suffix))

    def _make_layer(self, **options: Any) -> FusedRNN:
        """The layer of `nblayers.layers` that does one walk."""
        raise NotImplementedError

    def forward(self, input: Any, hx: Any = None, training: bool = False) -> tuple[Any, Any]:
        x, single = self._taken_in(input)
        initial, given = self._initial(hx, x.shape[0], single), hx is not None
        ends: list[list[Any]] = []
        records, dropouts = [], []
        for number in range(self.num_layers):
            outputs = []
            for walk in self._walks_of(number):
                (h, *end), record = walk.forward(x, [state[len(ends)] for state in initial], self)  # (1)
                outputs.append(_data(h))
                ends.append(end)
                records.append(record)
            x = _with_data(x, self.xp.concatenate(outputs, axis=-1))                                # (2)
            if number < self.num_layers - 1:
                dropout = self._dropouts[number]
                x = _with_data(x, dropout.forward(_data(x), training=training))                     # (2)
                dropouts.append(dropout.cache)
        packed = input._replace(data=None) if isinstance(input, PackedSequence) else None
        self.cache = self.Cache(records, dropouts, packed, given, single)
        last = [self.xp.stack(states) for states in zip(*ends, strict=True)]
        if single:
            last = [self.xp.ascontiguousarray(states[:, 0]) for states in last]
        return self._given_out(x), last[0] if self.states == 1 else tuple(last)

    def backward(self, dy: Any) -> Any:
        doutput, dlast = dy
        cache = self.cache
        dx, _ = self._taken_in(doutput)
        dlast = self._batched([dlast] if self.states == 1 else dlast, cache.single)
        dinitial: list[Any] = [None] * len(self._walks)
        for number in reversed(range(self.num_layers)):
            if number < self.num_layers - 1:
                self._dropouts[number].cache = cache.dropouts[number]
                dx = _with_data(dx, self._dropouts[number].backward(_data(dx)))                     # from (2)
            needed = number > 0 or self.input_gradient
            shares = self.xp.split(_data(dx), len(self._suffixes), axis=-1)                         # from (2)
            dinputs = []
            for n, share in enumerate(shares, number * len(self._suffixes)):
                dh = _with_data(dx, self.xp.ascontiguousarray(share))
                dinput, *dinitial[n] = self._walks[n].backward(
                    cache.walks[n], [dh, *(state[n] for state in dlast)], needed)                   # from (1)
                dinputs.append(_data(dinput))
            dx = _with_data(dx, sum(dinputs)) if needed else None
        dx = self._given_out(dx) if self.input_gradient else None
        if not cache.given:
            return dx
        dstates = [self.xp.stack(states) for states in zip(*dinitial, strict=True)]
        if cache.single:
            dstates = [states[:, 0] for states in dstates]
        return [dx, dstates[0] if self.states == 1 else dstates]

    def _walks_of(self, number: int) -> list["_Walk"]:
        count = len(self._suffixes)
        return self._walks[number * count:(number + 1) * count]

    def _taken_in(self, x: Any) -> tuple[Any, bool]:
        """The sequences as the walks read them, packed or (B, T, …), and whether there was one without a batch axis.

        Time-major sequences (T, B, …) lie in memory as packed ones of equal length do.
        """
        if isinstance(x, PackedSequence):
            return x, False
        single = x.ndim == 2
        if single:
            return x[None], True
        if self.batch_first:
            return x, False
        T, B = x.shape[:2]
        return PackedSequence(x.reshape(T * B, -1), np.full(T, B)), False

    def _given_out(self, x: Any) -> Any:
        """The inverse of `_taken_in`."""
        cache = self.cache
        if cache.packed is not None:
            return cache.packed._replace(data=_data(x))
        if cache.single:
            return x[0]
        return x if self.batch_first else x.data.reshape(len(x.batch_sizes), x.batch_sizes[0], -1)

    def _initial(self, hx: Any, batch: int, single: bool) -> list[Any]:
        """The initial states, each (walks, B, H)."""
        shape = (len(self._walks), batch, self.hidden_size)
        if hx is None:
            return [self.xp.zeros(shape, self.dtype)] * self.states
        states = hx if isinstance(hx, list) else [hx]
        expected = [(shape[0], self.hidden_size) if single else shape] * self.states
        if _shapes(states) != expected:
            raise ValueError(f"{self.described}: expected initial states of shapes {expected}, got {_shapes(states)}")
        return self._batched(states, single)

    def _batched(self, states: list[Any], single: bool) -> list[Any]:
        return [self.xp.ascontiguousarray(state[:, None]) if single else state for state in states]

    def _check_inputs(self, inputs: Any) -> None:
        if isinstance(inputs, PackedSequence):
            check_packed(self.described, inputs)
        data = _data(inputs)
        ranks = (2,) if isinstance(inputs, PackedSequence) else (2, 3)
        if getattr(data, "ndim", 0) not in ranks or data.shape[-1] != self.input_size or data.size == 0:
            layout = "batch, time" if self.batch_first else "time, batch"
            raise ValueError(f"{self.described}: expected an input ({layout}, {self.input_size}), (time, {self.input_size}), "
                             f"or a PackedSequence of data (steps, {self.input_size}), got {getattr(data, 'shape', data)!r}")

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        packed = self.cache.packed
        if packed is None or shapes is not self.cache._outputs:
            return super()._to_gradient(dy, shapes)
        match dy:
            case None:
                doutput, dlast = None, None
            case [(PackedSequence() | None) as doutput, dlast]:
                pass
            case _:
                raise ValueError(f"{self.described}: backward expected the gradients of the output, a PackedSequence, and of "
                                 f"the last states, as forward gave them, got {type(dy).__name__}")
        rows = int(np.sum(packed.batch_sizes)), shapes[0][-1]
        data = super()._to_gradient(None if doutput is None else doutput.data, rows)
        return [packed._replace(data=data), super()._to_gradient(dlast, shapes[1])]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "input_size": self.input_size, "hidden_size": self.hidden_size,
                "num_layers": self.num_layers, "bias": self.bias, "batch_first": self.batch_first, "dropout": self.dropout,
                "bidirectional": self.bidirectional}


class _Walk:
    """One layer in one direction: a layer of `nblayers.layers`, and PyTorch's weights, which it computes with.

    Not a Layer itself, so that the copies are not among the weights.
    """

    def __init__(self, layer: FusedRNN, weights: dict[str, Parameter], gates: tuple[int, ...],
                 turned: bool) -> None:
        self.layer, self.weights, self.gates = layer, weights, gates
        self.turned = turned                    # outputs stand in the order of time

    def forward(self, x: Any, states: list[Any], owner: Layer) -> tuple[list[Any], Any]:
        """[h, *last states], and what its backward reads."""
        if (self.layer.device, self.layer.dtype) != (owner.device, owner.dtype):
            self.layer.to(owner.device).astype(owner.dtype)
        self._copy_weights()
        self.layer._thread.turned = self.turned
        return self.layer.forward(x, initial_state=states), record_of(self.layer)

    def backward(self, record: Any, dy: list[Any], input_gradient: bool) -> list[Any]:
        """[dx, *gradients of the initial states]; adds to the gradients of PyTorch's weights."""
        self.layer.zero_grad()
        self.layer._thread.turned = self.turned
        dx = backward_of(self.layer, record, dy, input_gradient)
        self._bring_gradients()
        return dx

    def _copy_weights(self) -> None:
        cell, weights = self.layer.cell, self.weights
        cell.kernel.value[...] = self._gates_turned(weights["weight_ih"].value).T
        cell.recurrent_kernel.value[...] = self._gates_turned(weights["weight_hh"].value).T
        if cell.bias is not None:
            b_ih, b_hh = (self._gates_turned(weights[name].value) for name in ("bias_ih", "bias_hh"))
            if cell.bias.value.ndim == 2:               # GRU's two, of the input and of the state
                cell.bias.value[0], cell.bias.value[1] = b_ih, b_hh
            else:
                cell.bias.value[...] = b_ih + b_hh

    def _bring_gradients(self) -> None:
        cell, weights = self.layer.cell, self.weights
        weights["weight_ih"].grad += self._gates_turned(cell.kernel.grad.T)
        weights["weight_hh"].grad += self._gates_turned(cell.recurrent_kernel.grad.T)
        if cell.bias is not None:
            db = cell.bias.grad
            for name, share in zip(("bias_ih", "bias_hh"), db if db.ndim == 2 else (db, db), strict=True):
                weights[name].grad += self._gates_turned(share)

    def _gates_turned(self, weight: Any) -> Any:
        """The blocks of rows of the gates in the other library's order."""
        if len(self.gates) == 1 or self.gates == tuple(range(len(self.gates))):
            return weight
        blocks = weight.reshape(len(self.gates), -1, *weight.shape[1:])
        return blocks[list(self.gates)].reshape(weight.shape)


def _data(x: Any) -> Any:
    return x.data if isinstance(x, PackedSequence) else x


def _with_data(x: Any, data: Any) -> Any:
    return x._replace(data=data) if isinstance(x, PackedSequence) else data


class RNN(Recurrent):
    r"""Elman's recurrent network.

        h_t = f(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    Arguments:
        input_size: features D of x_t.
        hidden_size: size H of the state.
        num_layers: layers on top of each other, each reading the states of the one below.
        nonlinearity: f, "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: inputs and outputs are (B, T, …) instead of (T, B, …); states are not concerned.
        dropout: the part of the values between two layers that is dropped in training.
        bidirectional: walk from both ends; outputs have 2H features.

    `forward(input, hx=None)` takes sequences (T, B, D), one sequence (T, D), or a PackedSequence, and initial states (layers
    times directions, B, H), zeros by default. It returns the last layer's states of all steps, in the layout of the input, and
    the last states of all layers. `backward((doutput, dh_n))` returns dL/dinput, or [dL/dinput, dL/dhx] if hx was given.

    Weights, drawn uniformly from -1/√H to 1/√H, in PyTorch's order: weight_ih_l0 (H, D), weight_hh_l0 (H, H), bias_ih_l0 (H,),
    bias_hh_l0 (H,), weight_ih_l0_reverse …, weight_ih_l1 (H, H or 2H) …; `set_weights` takes PyTorch's `parameters()`.

    Raises:
        ValueError: a size that is not a positive integer, dropout outside [0, 1], another nonlinearity; an input or states of
            another shape.

    Source: 002.HiddenState; torch.nn.RNN.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, **kwargs: Any) -> None:
        if not isinstance(nonlinearity, str) or nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **kwargs)

    def _make_layer(self, **options: Any) -> FusedRNN:
        return layers.SimpleRNN(self.hidden_size, self.nonlinearity, dtype=self.dtype, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "nonlinearity": self.nonlinearity}


class LSTM(Recurrent):
    r"""Long short-term memory.

        i_t = \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi})
        f_t = \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf})
        g_t = \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg})
        o_t = \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho})
        c_t = f_t c_{t-1} + i_t g_t
        h_t = o_t \tanh(c_t)

    Arguments: as in `RNN`, without nonlinearity. `proj_size` is not supported.

    `forward(input, (h_0, c_0))` returns output, (h_n, c_n); `backward((doutput, (dh_n, dc_n)))` returns dL/dinput, or
    [dL/dinput, [dL/dh_0, dL/dc_0]]. Weights: as in `RNN` with 4H rows, the gates in the order i, f, g, o, which is Keras' too.

    Raises:
        ValueError: as in `RNN`; a proj_size other than 0.

    Source: 004.Program.Torch; torch.nn.LSTM.
    """

    states = 2
    gates = (0, 1, 2, 3)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, **kwargs: Any) -> None:
        if arguments.as_float(proj_size) != 0:
            raise ValueError(f"LSTM: expected proj_size 0, got {proj_size!r}: projections are not supported")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **kwargs)

    def _make_layer(self, **options: Any) -> FusedRNN:
        return layers.LSTM(self.hidden_size, dtype=self.dtype, **options)


class GRU(Recurrent):
    r"""Gated recurrent unit.

        r_t = \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr})
        z_t = \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz})
        n_t = \tanh(W_{in} x_t + b_{in} + r_t (W_{hn} h_{t-1} + b_{hn}))
        h_t = (1 - z_t) n_t + z_t h_{t-1}

    Arguments, inputs and outputs: as in `RNN`, without nonlinearity. Weights: with 3H rows, the gates in the order r, z, n;
    Keras has z, r, n.

    Raises:
        ValueError: as in `RNN`.

    Source: torch.nn.GRU.
    """

    gates = (1, 0, 2)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **kwargs)

    def _make_layer(self, **options: Any) -> FusedRNN:
        return layers.GRU(self.hidden_size, dtype=self.dtype, **options)
