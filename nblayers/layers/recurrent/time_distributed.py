"""TimeDistributed: one layer at every step of a sequence."""
from typing import Any

from nblayers import serialization
from nblayers.layers.base import Layer, Record, _flatten, _shapes
from nblayers.layers.calls import backward_of, build_inside, record_of
from nblayers.layers.input_spec import InputSpec


class TimeDistributed(Layer):
    r"""Applies a layer to every step of a sequence on its own, with the same weights: a convolution to each image of a film.

        y_{bt} = layer(x_{bt})              (1)     for every sequence b and every step t

    The layer is called once: the B sequences of T steps become a batch of B T samples, (B, T, …) -> (B T, …), and its output
    becomes sequences again. Two kinds of layers, to which it makes a difference, are called for one step after the other, as
    Keras calls all of them: in training a layer with weights that no optimizer changes (BatchNormalization, whose statistics
    are then those of one step), and a stateful one.

    Arguments:
        layer: the layer: any that gives one array for one array, recurrent layers and models too.

    `forward(inputs, mask=None)` takes inputs (B, T, …) of three or more axes, also integers if the layer does, and a mask
    (B, T) or (B, T, …), of which the layer is given each step's part if it takes a mask. A mask (B, T) leaves one flag of a
    sample, which says nothing to a layer whose mask tells the sample's own steps (recurrent ones, GlobalAveragePooling1D,
    models with such layers): it is not given to these, and goes on to the next layer (Keras fails). The layer's activity
    regularizer counts, averaged over the samples of a call (Keras leaves it out).

    Raises:
        ValueError: not a layer; inputs of fewer than three axes or without time steps; a mask whose first two axes are not
            those of the inputs; a layer that returns several arrays.

    Source: 001.09.TimeDistributed, 003 "many-to-many".
    """

    supports_masking = True
    masks_steps = True
    input_spec = InputSpec(min_ndim=3)

    class Cache(Record):
        calls: list                 # what each call of the layer left for its backward
        one_by_one: bool            # a call for each step; else one call for all

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.described}: expected a layer, got {layer!r}")
        self.layer = layer
        self._nature: tuple[bool, bool, bool] | None = None

    def build(self, input_shape: Any) -> None:
        build_inside(self, self.layer, self._step_shape(input_shape))

    def forward(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        one_by_one = self._one_by_one(training)
        xs = _split(inputs, one_by_one)
        mask = self._mask_inside(mask, inputs)
        masks = [None] * len(xs) if mask is None else _split(mask, one_by_one)
        ys, calls = [], []
        for x, of_x in zip(xs, masks, strict=True):
            ys.append(self._call(x, of_x, training))                                # (1)
            calls.append(record_of(self.layer))
            if one_by_one:
                self._take_losses()
        self.cache = self.Cache(calls, one_by_one)
        return self._join(ys, inputs.shape[1])

    def backward(self, dy: Any) -> Any:
        cache = self.cache
        dys = _split(dy, cache.one_by_one)
        dxs = [None] * len(dys)
        for n in reversed(range(len(dys))):
            dxs[n] = backward_of(self.layer, cache.calls[n], dys[n], self.input_gradient)      # from (1)
        return None if any(dx is None for dx in dxs) else self._join(dxs, dy.shape[1])

    def _one_by_one(self, training: bool) -> bool:
        has_statistics, stateful, _ = self._nature or self._find_nature()
        return stateful or (training and has_statistics)

    def _find_nature(self) -> tuple[bool, bool, bool]:
        """Whether the layer has weights that no optimizer changes, is stateful, masks steps; remembered once all is built."""
        parts = _flatten(self.layer)
        nature = (any(not parameter.trainable for part in parts for parameter in part._parameters),
                  any(getattr(part, "stateful", False) for part in parts), any(part.masks_steps for part in parts))
        if all(part.built for part in parts):
            self._nature = nature
        return nature

    def _call(self, x: Any, mask: Any, training: bool) -> Any:
        y = self.layer.forward(x, training=training, **({} if mask is None else {"mask": mask}))
        if getattr(y, "shape", ())[:1] != (len(x),):
            raise ValueError(f"{self.described}: expected {self.layer.described} to return one array, with an output for each "
                             f"of {len(x)} samples, got shapes {_shapes(y)}")
        return y

    def _take_losses(self) -> None:
        """Keep the losses of this call of the layer: its next call starts them afresh."""
        for part in _flatten(self.layer):
            self._thread.losses.extend(part._thread.losses)
            part._thread.losses.clear()

    def _join(self, parts: list[Any], steps: int) -> Any:
        """Sequences of what `_split` gave."""
        if len(parts) == steps > 1:
            return self.xp.stack(parts, axis=1)
        (whole,) = parts
        return whole.reshape(len(whole) // steps, steps, *whole.shape[1:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(B, T, …): the shape of the layer's output, with the time axis."""
        shape = self.layer.compute_output_shape(self._step_shape(input_shape))
        if isinstance(shape, list):
            raise ValueError(f"{self.described}: expected {self.layer.described} to return one array, got {len(shape)}")
        return (shape[0], input_shape[1], *shape[1:])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that came in; of a mask (B, T, …) what the layer leaves of it, a step being real if anything in it is."""
        if previous_mask is None or previous_mask.ndim == 2:
            return previous_mask
        batch, steps, *_ = previous_mask.shape
        (x,), (mask,) = [None] if inputs is None else _split(inputs, False), _split(previous_mask, False)
        left = self.layer.compute_mask(x, mask) if self.layer.supports_masking else None
        return mask.reshape(batch, steps, -1).any(axis=-1) if left is None else left.reshape(batch, steps, *left.shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialization.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "TimeDistributed":
        """Make a layer from what `get_config` gave, ours or Keras'; `custom_objects` holds classes of your own by name."""
        return cls(**{**config, "layer": serialization.deserialize_keras_object(config["layer"], custom_objects)})

    def _to_array(self, value: Any) -> Any:
        return self.layer._to_array(value)

    def _check_inputs(self, inputs: Any) -> None:
        if isinstance(inputs, list):
            raise ValueError(f"{self.described}: expected one input, got a list of {len(inputs)}")
        super()._check_inputs(inputs)
        if inputs.shape[1] == 0:
            raise ValueError(f"{self.described}: expected at least one time step on axis 1, got an input of shape "
                             f"{inputs.shape}")

    def _step_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs at one step."""
        if len(input_shape) < 3:
            raise ValueError(f"{self.described}: expected an input of at least 3 axes, got shape {tuple(input_shape)}")
        return (input_shape[0], *input_shape[2:])

    def _mask_inside(self, mask: Any, inputs: Any) -> Any:
        """The mask as far as it is the layer's business."""
        if mask is None:
            return None
        if mask.shape[:2] != inputs.shape[:2]:
            raise ValueError(f"{self.described}: expected a mask of shape {inputs.shape[:2]}, or of more axes after these, "
                             f"got {mask.shape}")
        *_, masks_steps = self._nature or self._find_nature()
        return None if masks_steps and mask.ndim == 2 else mask


def _split(sequences: Any, one_by_one: bool) -> list[Any]:
    """The arrays for the layer's calls: T times (B, …), or once (B T, …)."""
    batch, steps, *others = sequences.shape
    return [sequences[:, t] for t in range(steps)] if one_by_one else [sequences.reshape(batch * steps, *others)]
