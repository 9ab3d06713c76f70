"""Bidirectional: a recurrent layer from both ends of the sequence."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.layers.base import Layer, Record
from nblayers.layers.calls import backward_of, build_inside, record_of
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.packed import KeepsPacked
from nblayers.layers.recurrent.rnn import RNN, _first
from nblayers.layers.recurrent.states import apart
from nblayers.utils.packing import PackedSequence

MERGE_MODES = ("concat", "sum", "mul", "ave", None)
SHARED = ("return_sequences", "return_state", "stateful")


class Bidirectional(KeepsPacked):
    r"""Two recurrent layers over one sequence, from its beginning and from its end, so that each output has seen all of it.

        y^f = forward\_layer(x)             (1)
        y^b = backward\_layer(x)            (2)     walks from the end; with return_sequences its outputs are turned round,
                                                    so that y^f_t and y^b_t belong to the same x_t
        y   = [y^f\ y^b]                    (3)     "concat": side by side on the last axis
        y   = y^f + y^b                     (4)     "sum"
        y   = (y^f + y^b) / 2               (5)     "ave"
        y   = y^f y^b                       (6)     "mul"; with None both are returned

    Without return_sequences each layer gives its last output: y^b has then seen the sequence from its end to x_0.

    Arguments:
        layer: a recurrent layer: `RNN`, any that is made from it, or your own with go_backwards, return_sequences,
            return_state, stateful and a `get_config`. A copy with fresh weights, named "forward_…", becomes `forward_layer`.
        merge_mode: "concat", "sum", "ave", "mul" or None.
        weights: the first values of all weights, the forward layer's and then the backward layer's.
        backward_layer: the layer that walks the other way; by default another copy of `layer`, named "backward_…".

    Both layers get zero_output_for_mask = return_sequences, whatever they had.

    `forward(sequences, initial_state=None, mask=None)` takes what the layers take; initial_state is the list of the forward
    layer's states, then the backward layer's. It returns y, or with merge_mode None y^f and y^b, and with return_state also the
    last states in the order of initial_state. `backward` returns dL/dsequences, or [dL/dsequences, *dL/dstates] if initial
    states were given. A PackedSequence is taken where the layers take one.

    Raises:
        ValueError: not a recurrent layer, another merge_mode; a backward_layer that goes the same way as the layer, or differs
            from it in return_sequences, return_state or stateful; an odd number of initial states; what the layers raise.

    Source: 001.09.Bidirectional; Schuster and Paliwal 1997, "Bidirectional recurrent neural networks".
    """

    supports_masking = masks_steps = True
    merge_mode: str | None = fixed()

    class Cache(Record):
        forward: tuple              # what the forward layer left for its backward
        backward: tuple             # what the backward layer left
        y_f: np.ndarray             # the forward layer's output (the data of a packed one)
        y_b: np.ndarray             # the backward layer's, in the order of y_f
        packed: Any                 # the packed output without its data, or None
        given: bool                 # whether backward returns the gradients of the initial states

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._check_recurrent("layer", layer)
        if backward_layer is not None:
            self._check_recurrent("backward_layer", backward_layer)
        if not isinstance(merge_mode, (str, type(None))) or merge_mode not in MERGE_MODES:
            raise ValueError(f"{self.described}: expected merge_mode to be one of {MERGE_MODES}, got {merge_mode!r}")
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, "forward")
        self.backward_layer = _copy(layer, "backward", go_backwards=True) if backward_layer is None else backward_layer
        self._check_pair()
        for each in (self.forward_layer, self.backward_layer):
            if hasattr(each, "zero_output_for_mask"):
                each.zero_output_for_mask = each.return_sequences
        self.return_sequences, self.return_state, self.stateful = (getattr(layer, name) for name in SHARED)
        if weights is not None and not isinstance(weights, (list, tuple)):
            raise ValueError(f"{self.described}: expected a list of arrays as weights, got {weights!r}")
        self._first_weights = weights

    def _check_recurrent(self, name: str, layer: Any) -> None:
        needed = ("go_backwards", *SHARED)
        if not isinstance(layer, Layer) or not all(hasattr(layer, attribute) for attribute in needed):
            raise ValueError(f"{self.described}: expected {name} to be a recurrent layer, with {', '.join(needed)}, "
                             f"got {layer!r}")

    def _check_pair(self) -> None:
        ahead, back = self.forward_layer, self.backward_layer
        if ahead.go_backwards == back.go_backwards:
            raise ValueError(f"{self.described}: expected layers that go opposite ways, got go_backwards={ahead.go_backwards} "
                             "in both")
        for name in SHARED:
            if getattr(ahead, name) != getattr(back, name):
                raise ValueError(f"{self.described}: expected the same {name} in both layers, got {getattr(ahead, name)} in "
                                 f"layer and {getattr(back, name)} in backward_layer")

    def build(self, input_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            build_inside(self, layer, _first(input_shape))
        if self._first_weights is not None:
            self.set_weights(self._first_weights)

    def reset_state(self) -> None:
        """Forget where the last call of stateful layers ended."""
        if self.stateful:
            self.forward_layer.reset_state()
            self.backward_layer.reset_state()

    reset_states = reset_state

    @property
    def states(self) -> list[Any] | None:
        """Where the last call of stateful layers ended: the forward layer's states, then the backward layer's; or None."""
        if not self.stateful or self.forward_layer.states is None:
            return None
        return [*self.forward_layer.states, *self.backward_layer.states]

    def forward(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        sequences, initial_state = apart(self, sequences, initial_state)
        mask = mask[0] if isinstance(mask, list) else mask
        first_half, second_half = self._halves(initial_state)
        y_f, *states_f = self._walk(self.forward_layer, sequences, first_half, mask, training)          # (1)
        y_b, *states_b = self._walk(self.backward_layer, sequences, second_half, mask, training)        # (2)
        packed = None
        if isinstance(y_f, PackedSequence):
            if self.activity_regularizer is not None:
                raise ValueError(f"{self.described}: expected an array, got a packed batch, for an activity_regularizer")
            packed, y_f, y_b = y_f._replace(data=None), y_f.data, y_b.data
        self.cache = self.Cache(record_of(self.forward_layer), record_of(self.backward_layer), y_f, y_b, packed,
                                initial_state is not None)
        merged = self._merge(y_f, y_b)
        outputs = [*(merged if packed is None else [packed._replace(data=y) for y in merged]), *states_f, *states_b]
        return outputs if self.return_state or self.merge_mode is None else outputs[0]

    def _halves(self, initial_state: Any) -> tuple[Any, Any]:
        if initial_state is None:
            return None, None
        states = initial_state if isinstance(initial_state, list) else [initial_state]
        half, odd = divmod(len(states), 2)
        if odd:
            raise ValueError(f"{self.described}: expected an even number of initial states, the forward layer's and then the "
                             f"backward layer's, got {len(states)}")
        return states[:half], states[half:]

    def _walk(self, layer: Any, sequences: Any, states: Any, mask: Any, training: bool) -> list[Any]:
        """[output, *last states] of one of the layers, the output in the order of the forward layer's."""
        given = {} if states is None else {"initial_state": states}
        with self._in_order(layer) as turn:
            outputs = layer.forward(sequences, mask=mask, training=training, **given)
        y, *last = outputs if self.return_state else [outputs]
        return [turn(y), *last]

    def _walk_backward(self, layer: Any, record: Any, dy: Any, dstates: list[Any]) -> list[Any]:
        """[dL/dsequences, *dL/dinitial states] of one of the layers."""
        with self._in_order(layer) as turn:
            dy = turn(dy)
            dinputs = backward_of(layer, record, [dy, *dstates] if self.return_state else dy, self.input_gradient)
        return dinputs if self.cache.given else [dinputs]

    @contextmanager
    def _in_order(self, layer: Any) -> Iterator[Callable[[Any], Any]]:
        """Gives a function that puts outputs in the forward layer's order; nothing is left to it where the layer does so."""
        if layer is self.forward_layer or not self.return_sequences:
            yield lambda y: y
        elif isinstance(layer, RNN):
            layer._thread.turned = True
            try:
                yield lambda y: y
            finally:
                layer._thread.turned = False
        else:
            yield lambda y: y if isinstance(y, PackedSequence) else y[:, ::-1]      # a packed one stands in time's order

    def _merge(self, y_f: Any, y_b: Any) -> list[Any]:
        match self.merge_mode:
            case "concat":
                y = self.xp.concatenate([y_f, y_b], axis=-1)            # (3)
            case "sum":
                y = y_f + y_b                                           # (4)
            case "ave":
                y = (y_f + y_b) / 2                                     # (5)
            case "mul":
                y = y_f * y_b                                           # (6)
            case _:
                return [y_f, y_b]
        return [y.astype(self.dtype, copy=False)]

    def backward(self, dy: Any) -> Any:
        cache, dy = self.cache, dy if isinstance(dy, list) else [dy]
        dy, dstates = (dy[:2], dy[2:]) if self.merge_mode is None else (dy[:1], dy[1:])
        half = len(dstates) // 2
        dy_f, dy_b = self._merge_backward(dy if cache.packed is None else [d.data for d in dy])
        if cache.packed is not None:
            dy_f, dy_b = cache.packed._replace(data=dy_f), cache.packed._replace(data=dy_b)
        dx_f, *dstates_f = self._walk_backward(self.forward_layer, cache.forward, dy_f, dstates[:half])         # from (1)
        dx_b, *dstates_b = self._walk_backward(self.backward_layer, cache.backward, dy_b, dstates[half:])       # from (2)
        dx = self._sum(dx_f, dx_b)                                      # from (1) and (2), which both read x
        return [dx, *dstates_f, *dstates_b] if cache.given else dx

    def _sum(self, dx_f: Any, dx_b: Any) -> Any:
        if dx_f is None or dx_b is None:
            return None
        return dx_f._replace(data=dx_f.data + dx_b.data) if isinstance(dx_f, PackedSequence) else dx_f + dx_b

    def _merge_backward(self, dy: list[Any]) -> Any:
        """The gradients of y^f and y^b."""
        y_f, y_b = self.cache.y_f, self.cache.y_b
        match self.merge_mode:
            case "concat":
                split = y_f.shape[-1]
                return dy[0][..., :split], dy[0][..., split:]           # from (3)
            case "sum":
                return dy[0], dy[0]                                     # from (4)
            case "ave":
                return dy[0] / 2, dy[0] / 2                             # from (5)
            case "mul":
                return dy[0] * y_b, dy[0] * y_f                         # from (6)
        return dy

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """The shape of y, or the list of shapes that `forward` returns."""
        shape = _first(sequences_shape)
        ahead, back = self.forward_layer.compute_output_shape(shape), self.backward_layer.compute_output_shape(shape)
        (y_f, *states_f), (y_b, *states_b) = (ahead, back) if self.return_state else ([ahead], [back])
        if self.merge_mode == "concat":
            y_f = (*y_f[:-1], y_f[-1] + y_b[-1])
        shapes = [y_f, *([y_b] if self.merge_mode is None else []), *states_f, *states_b]
        return shapes if self.return_state or self.merge_mode is None else shapes[0]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that came in goes on with sequences of outputs; states have none."""
        mask = previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask
        mask = mask if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else [mask] if self.return_state else mask

    def get_config(self) -> dict[str, Any]:
        layers = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return {**super().get_config(), "merge_mode": self.merge_mode, **serialization.serialize_keras_object(layers)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Bidirectional":
        """Make a layer from what `get_config` gave, ours or Keras'; `custom_objects` holds classes of your own by name."""
        layers = {name: config.get(name) for name in ("layer", "backward_layer")}
        return cls(**{**config, **serialization.deserialize_keras_object(layers, custom_objects)})

    def _to_array(self, value: Any) -> Any:
        return self.forward_layer._to_array(value)

    def _check_inputs(self, inputs: Any) -> None:
        if isinstance(inputs, PackedSequence):
            return self.forward_layer._check_inputs(inputs)
        self.input_spec = self.forward_layer.input_spec
        super()._check_inputs(inputs[0] if isinstance(inputs, list) else inputs)


def _copy(layer: Layer, way: str, **changes: Any) -> Any:
    """A layer of the same configuration, with fresh weights and a name of its own."""
    return serialization.remade(layer, name=f"{way}_{layer.name.removeprefix(f'{way}_')}", **changes)
