"""RNN, LSTM and GRU as PyTorch writes them: several layers and both directions in one, PyTorch's weights; and their cells."""
import math
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from nblayers import arguments, devices, initializers, layers
from nblayers.layers.base import InputSpec, Layer, Record, _shapes, positive
from nblayers.layers.calls import backward_of, record_of
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.fused import FusedRNN
from nblayers.layers.recurrent.packed import TakesPacked
from nblayers.nn.inside import changed
from nblayers.nn.module import LibraryModule
from nblayers.nn.projection import ProjectedLSTMCell
from nblayers.parameter import Parameter
from nblayers.utils import packing
from nblayers.utils.packing import PackedSequence, check_packed


class HoldsWalks(LibraryModule):
    """What the layers and the cells share: a walk through time is a layer of `nblayers.layers` with the same numbers elsewhere.

    It holds copies of the weights, transposed and with the gates in Keras' order, which each forward renews; backward brings
    its gradients back.
    """

    input_size: int = fixed()
    hidden_size: int = fixed()
    bias: bool = fixed()
    states = 1                                  # h alone, or h and c
    gates: tuple[int, ...] = (0,)               # where Keras' k-th gate stands among PyTorch's; its own inverse

    def __init__(self, input_size: int, hidden_size: int, bias: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_size = positive(self, "input_size", input_size)
        self.hidden_size = positive(self, "hidden_size", hidden_size)
        self.bias = arguments.flag(self.described, "bias", bias)

    def _make_walk(self, columns: int, ending: str, turned: bool = False) -> "_Walk":
        """The walk over inputs of so many columns, whose weights' names have this ending."""
        limit, names = 1 / math.sqrt(self.hidden_size), {}
        for kind, shape in self._shapes_of(columns).items():
            names[kind] = kind + ending
            setattr(self, names[kind], self.add_weight(shape, initializers.RandomUniform(-limit, limit), name=names[kind]))
        options = dict(use_bias=self.bias, return_sequences=True, return_state=True, go_backwards=turned,
                       kernel_initializer="zeros", recurrent_initializer="zeros", name=f"{self.name}{ending}")
        with devices.device(self.device):
            layer = self._make_layer(**options)
        layer.build((None, None, columns))
        return _Walk(layer, names, self.gates, turned)

    def _shapes_of(self, columns: int) -> dict[str, tuple[int, ...]]:
        """The weights' shapes, in PyTorch's order."""
        rows = len(self.gates) * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, self._output_size)}
        return shapes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {})

    @property
    def _output_size(self) -> int:
        """The size of h."""
        return self.hidden_size

    def _make_layer(self, **options: Any) -> Any:
        """The layer of `nblayers.layers` that does one walk."""
        raise NotImplementedError

    def _checked_states(self, hx: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
        """The initial states, by default zeros."""
        if hx is None:
            return [self.xp.zeros(shape, self.dtype) for shape in shapes]
        states = hx if isinstance(hx, list) else [hx]
        if _shapes(states) != shapes:
            raise ValueError(f"{self.described}: expected initial states of shapes {shapes}, got {_shapes(states)}")
        return states

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "input_size": self.input_size, "hidden_size": self.hidden_size, "bias": self.bias}

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + changed(self, self._usual)

    _usual: Mapping[str, Any] = MappingProxyType({"bias": True})        # settings that repr does not show


class Recurrent(TakesPacked, HoldsWalks):
    r"""What the three share.

    Layer l reads what layer l-1 gave; with `bidirectional` it is two walks, one from each end, side by side:

        h^{(l)} = walk(x^{(l)}),  h'^{(l)} = walk from the end(x^{(l)})         (1)     weights _l0, _l0_reverse, _l1 …
        x^{(l+1)} = m [h^{(l)}, h'^{(l)}]                                       (2)     m: dropout, of all layers but the last
    """

    num_layers: int = fixed()
    bidirectional: bool = fixed()
    _usual = MappingProxyType({"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
                               "bidirectional": False})
    proj_size = 0

    class Cache(Record):
        walks: list                 # what each walk's forward left, layer by layer
        dropouts: list              # the same of the dropout between two layers
        packed: Any                 # the PackedSequence given, without its data; None for arrays
        given: bool                 # whether backward returns the gradients of the initial states
        single: bool                # whether one sequence was given, without a batch axis

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float,
                 bidirectional: bool, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, **kwargs)
        self.num_layers = positive(self, "num_layers", num_layers)
        self.batch_first = arguments.flag(self.described, "batch_first", batch_first)
        self.bidirectional = arguments.flag(self.described, "bidirectional", bidirectional)
        self.dropout = arguments.number(self.described, "dropout", dropout, 0, 1)
        if self.dropout and self.num_layers == 1:
            warnings.warn(f"{self.described}: dropout acts between layers, and num_layers=1 has nothing between", stacklevel=3)
        self._dropouts = [layers.Dropout(self.dropout, dtype=self.dtype, name=f"dropout_l{n}")
                          for n in range(self.num_layers - 1)]
        self._walks = [self._make_walk(self._columns(number), f"_l{number}{suffix}", bool(suffix))
                       for number in range(self.num_layers) for suffix in self._suffixes]
        self.built = True

    @property
    def _suffixes(self) -> list[str]:
        return ["", "_reverse"] if self.bidirectional else [""]

    def _columns(self, number: int) -> int:
        """How many numbers a step of this layer reads."""
        return self._output_size * len(self._suffixes) if number else self.input_size

    def _held_layers(self) -> Iterator[tuple[str, Layer]]:
        return iter(())                             # the dropouts have no name in PyTorch

    def flatten_parameters(self) -> None:
        """Does nothing: in PyTorch it puts the weights side by side in a GPU's memory."""

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
                    self, cache.walks[n], [dh, *(state[n] for state in dlast)], needed)             # from (1)
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
        sizes = [self._output_size, self.hidden_size][:self.states]
        shapes = [(len(self._walks), *(() if single else (batch,)), size) for size in sizes]
        return self._batched(self._checked_states(hx, shapes), single)

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
        return {**super().get_config(), "num_layers": self.num_layers, "batch_first": self.batch_first,
                "dropout": self.dropout, "bidirectional": self.bidirectional}


class _Walk:
    """One layer in one direction: a layer of `nblayers.layers`, and the names of the module's weights, which it computes with.

    Not a Layer itself, so that the copies are not among the weights.
    """

    def __init__(self, layer: Any, names: dict[str, str], gates: tuple[int, ...], turned: bool) -> None:
        self.layer, self.names, self.gates = layer, names, gates
        self.turned = turned                    # outputs stand in the order of time

    def forward(self, x: Any, states: list[Any], owner: Layer) -> tuple[list[Any], Any]:
        """[h, *last states], and what its backward reads."""
        if (self.layer.device, self.layer.dtype) != (owner.device, owner.dtype):
            self.layer.to(owner.device).astype(owner.dtype)
        self._copy_weights(owner)
        self.layer._thread.turned = self.turned
        if isinstance(x, PackedSequence) and not isinstance(self.layer, FusedRNN):
            (h, *last), record = self._forward_padded(x, states)
            return [h, *last], record
        return self.layer.forward(x, initial_state=states), record_of(self.layer)

    def backward(self, owner: Layer, record: Any, dy: list[Any], input_gradient: bool) -> list[Any]:
        """[dx, *gradients of the initial states]; adds to the gradients of PyTorch's weights."""
        self.layer.zero_grad()
        self.layer._thread.turned = self.turned
        if isinstance(dy[0], PackedSequence) and not isinstance(self.layer, FusedRNN):
            dx = self._backward_padded(record, dy)
        else:
            dx = backward_of(self.layer, record, dy, input_gradient)
        self._bring_gradients(owner)
        return dx

    def _forward_padded(self, packed: PackedSequence, states: list[Any]) -> tuple[list[Any], Any]:
        """The walk of a layer that takes no packed batch."""
        x, lengths = packing.pad_packed_sequence(packed, batch_first=True)
        h, *last = self.layer.forward(x, initial_state=states, mask=np.arange(x.shape[1]) < lengths[:, None])
        return [_packed_like(packed, h), *last], record_of(self.layer)

    def _backward_padded(self, record: Any, dy: list[Any]) -> list[Any]:
        dpacked, *dlast = dy
        dh, _ = packing.pad_packed_sequence(dpacked, batch_first=True)
        dx, *dstates = backward_of(self.layer, record, [dh, *dlast], True)
        return [_packed_like(dpacked, dx), *dstates]

    def _copy_weights(self, owner: Layer) -> None:
        cell, weights = self.layer.cell, self._weights_of(owner)
        cell.kernel.value[...] = self._gates_turned(weights["weight_ih"].value).T
        cell.recurrent_kernel.value[...] = self._gates_turned(weights["weight_hh"].value).T
        if "weight_hr" in weights:
            cell.projection.value[...] = weights["weight_hr"].value.T
        if cell.bias is not None:
            b_ih, b_hh = (self._gates_turned(weights[name].value) for name in ("bias_ih", "bias_hh"))
            if cell.bias.value.ndim == 2:               # GRU's two, of the input and of the state
                cell.bias.value[0], cell.bias.value[1] = b_ih, b_hh
            else:
                cell.bias.value[...] = b_ih + b_hh

    def _bring_gradients(self, owner: Layer) -> None:
        cell, weights = self.layer.cell, self._weights_of(owner)
        weights["weight_ih"].grad += self._gates_turned(cell.kernel.grad.T)
        weights["weight_hh"].grad += self._gates_turned(cell.recurrent_kernel.grad.T)
        if "weight_hr" in weights:
            weights["weight_hr"].grad += cell.projection.grad.T
        if cell.bias is not None:
            db = cell.bias.grad
            for name, share in zip(("bias_ih", "bias_hh"), db if db.ndim == 2 else (db, db), strict=True):
                weights[name].grad += self._gates_turned(share)

    def _weights_of(self, owner: Layer) -> dict[str, Parameter]:
        return {kind: getattr(owner, name) for kind, name in self.names.items()}

    def _gates_turned(self, weight: Any) -> Any:
        """The blocks of rows of the gates in the other library's order."""
        if len(self.gates) == 1 or self.gates == tuple(range(len(self.gates))):
            return weight
        blocks = weight.reshape(len(self.gates), -1, *weight.shape[1:])
        return blocks[list(self.gates)].reshape(weight.shape)


def _packed_like(packed: PackedSequence, padded: Any) -> PackedSequence:
    """The steps of a padded batch (B, T, …) that lie in this packed one, in its order."""
    rows = packed._replace(data=padded[:1, 0].repeat(len(packed.data), axis=0))
    return packing.pad_packed_sequence_backward(padded, rows, batch_first=True)


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
        self.nonlinearity = _checked_nonlinearity("RNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **kwargs)

    def _make_layer(self, **options: Any) -> Any:
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

With a proj_size P, h_t = W_{hr} (o_t \tanh(c_t)), of size P.

    Arguments: as in `RNN`, without nonlinearity.
        proj_size: P, below hidden_size; 0 for no projection. Such a walk has no kernel of its own: it is slower.

    `forward(input, (h_0, c_0))` returns output, (h_n, c_n); `backward((doutput, (dh_n, dc_n)))` returns dL/dinput, or
    [dL/dinput, [dL/dh_0, dL/dc_0]]. Weights: as in `RNN` with 4H rows, the gates in the order i, f, g, o, which is Keras' too.
    With a projection W_hh has P columns and each layer and direction one weight more, weight_hr (P, H), after the biases.

    Raises:
        ValueError: as in `RNN`; a proj_size that is not from 0 to below hidden_size.

    Source: 004.Program.Torch; torch.nn.LSTM.
    """

    states = 2
    gates = (0, 1, 2, 3)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, **kwargs: Any) -> None:
        self.proj_size = arguments.integer("LSTM", "proj_size", proj_size, 0)
        if isinstance(hidden_size, int) and 0 < hidden_size <= self.proj_size:
            raise ValueError(f"LSTM: expected a proj_size below hidden_size {hidden_size}, got {proj_size}")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **kwargs)

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _shapes_of(self, columns: int) -> dict[str, tuple[int, ...]]:
        return super()._shapes_of(columns) | ({"weight_hr": (self.proj_size, self.hidden_size)} if self.proj_size else {})

    def _make_layer(self, **options: Any) -> Any:
        if not self.proj_size:
            return layers.LSTM(self.hidden_size, dtype=self.dtype, **options)
        of_cell = {key: options.pop(key) for key in ("use_bias", "kernel_initializer", "recurrent_initializer")}
        cell = ProjectedLSTMCell(self.hidden_size, self.proj_size, dtype=self.dtype, **of_cell)
        return layers.RNN(cell, dtype=self.dtype, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "proj_size": self.proj_size}


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

    def _make_layer(self, **options: Any) -> Any:
        return layers.GRU(self.hidden_size, dtype=self.dtype, **options)


class RecurrentCell(HoldsWalks):
    """What the three cells share: one step of a walk.

    `forward(input, hx=None)` takes x (B, D) or (D,) and the state before, (B, H) or (H,), of an LSTM both (h, c), zeros by
    default. It returns the state after. `backward` takes its gradient and returns dL/dinput, or [dL/dinput, dL/dhx] if hx was
    given. In a loop over time keep each step's record (`record = cell.cache`) and put it back before its backward.
    """

    class Cache(Record):
        walk: Any                   # what the walk's forward left
        given: bool                 # whether backward returns the gradients of the states before
        single: bool                # whether there was no batch axis

    def __init__(self, input_size: int, hidden_size: int, bias: bool, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, **kwargs)
        self._walk = self._make_walk(self.input_size, "")
        self.input_spec = InputSpec(min_ndim=1, max_ndim=2, axes={-1: self.input_size})
        self.built = True

    def forward(self, input: Any, hx: Any = None) -> Any:
        single = input.ndim == 1
        x = input[None] if single else input
        shape = (self.hidden_size,) if single else (len(x), self.hidden_size)
        states = self._checked_states(hx, [shape] * self.states)
        (_, *last), record = self._walk.forward(x[:, None], [state[None] if single else state for state in states], self)
        self.cache = self.Cache(record, hx is not None, single)
        last = [state[0] for state in last] if single else last
        return last[0] if self.states == 1 else tuple(last)

    def backward(self, dy: Any) -> Any:
        cache = self.cache
        dlast = [dy] if self.states == 1 else dy
        dlast = [d[None] if cache.single else d for d in dlast]
        dh = self.xp.zeros((len(dlast[0]), 1, self.hidden_size), self.dtype)
        dx, *dstates = self._walk.backward(self, cache.walk, [dh, *dlast], self.input_gradient)
        dx = None if dx is None else dx[:, 0]
        if cache.single:
            dx, dstates = None if dx is None else dx[0], [d[0] for d in dstates]
        if not cache.given:
            return dx
        return [dx, dstates[0] if self.states == 1 else dstates]


class RNNCell(RecurrentCell):
    r"""One step of `RNN`.

        h' = f(W_{ih} x + b_{ih} + W_{hh} h + b_{hh})

    Arguments:
        input_size, hidden_size: sizes D and H.
        bias: whether there are b_ih and b_hh.
        nonlinearity: f, "tanh" or "relu".

    Inputs and outputs: `RecurrentCell`. Weights: weight_ih (H, D), weight_hh (H, H), bias_ih (H,), bias_hh (H,).

    Raises:
        ValueError: a size that is not a positive integer, another nonlinearity; an input or state of another shape.

    Source: torch.nn.RNNCell.
    """

    _usual = MappingProxyType({"bias": True, "nonlinearity": "tanh"})

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        self.nonlinearity = _checked_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, **kwargs)

    def _make_layer(self, **options: Any) -> Any:
        return layers.SimpleRNN(self.hidden_size, self.nonlinearity, dtype=self.dtype, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "nonlinearity": self.nonlinearity}


class LSTMCell(RecurrentCell):
    """One step of `LSTM`; the equations stand there.

    Arguments, inputs and outputs: as in `RNNCell` and `RecurrentCell`, with two states: `forward(input, (h, c))` gives
    (h', c'). Weights: as in `RNNCell` with 4H rows, the gates in the order i, f, g, o.

    Raises:
        ValueError: as in `RNNCell`.

    Source: torch.nn.LSTMCell.
    """

    states = 2
    gates = (0, 1, 2, 3)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, **kwargs)

    def _make_layer(self, **options: Any) -> Any:
        return layers.LSTM(self.hidden_size, dtype=self.dtype, **options)


class GRUCell(RecurrentCell):
    """One step of `GRU`; the equations stand there.

    Arguments, inputs and outputs: as in `RNNCell`. Weights: with 3H rows, the gates in the order r, z, n.

    Raises:
        ValueError: as in `RNNCell`.

    Source: torch.nn.GRUCell.
    """

    gates = (1, 0, 2)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, **kwargs)

    def _make_layer(self, **options: Any) -> Any:
        return layers.GRU(self.hidden_size, dtype=self.dtype, **options)


def _checked_nonlinearity(who: str, value: Any) -> str:
    return arguments.choice(who, "nonlinearity", value, ("tanh", "relu"))


__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]
