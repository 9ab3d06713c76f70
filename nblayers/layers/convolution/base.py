"""What the ten convolution layers share."""
from typing import Any

import numpy as np

from nblayers import activations, constraints, initializers, regularizers
from nblayers.arguments import flag, found
from nblayers.layers import windows
from nblayers.layers.base import Record, refuse
from nblayers.layers.convolution.sliding import Window
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.spatial import SpatialLayer


class Convolution(SpatialLayer):
    r"""A window of weights that slides over one, two or three axes, then a bias and an activation.

        z = w * x + b           (1)     the sliding product: a subclass's `_convolve`
        y = f(z)                (2)

    One implementation for all ranks. A subclass sets `rank` and `weight_kinds`, makes its weights in `_build_weights`, and
    writes `_convolve` and `_convolve_backward`, the two halves of (1). How exact (1) is: `Conv`.
    """

    causal = False                              # whether padding="causal" is allowed
    weight_kinds: tuple[str, ...] = ("kernel", "bias")      # what has an initializer, a regularizer and a constraint
    kernel_size: tuple[int, ...] = fixed()
    strides: tuple[int, ...] = fixed()
    padding: str = fixed()
    data_format: str = fixed()
    dilation_rate: tuple[int, ...] = fixed()
    use_bias: bool = fixed()
    bias: Any = fixed()

    class Cache(Record):
        x: np.ndarray                           # (B, D, H, W, C)
        window: Window
        z: np.ndarray | None = None             # like the output; y itself where that is enough for f's gradient
        y: np.ndarray | None = None             # the output; both None where f is linear

    def __init__(self, kernel_size: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any,
                 activation: Any, use_bias: bool, activity_regularizer: Any, lora_rank: int | None = None,
                 lora_alpha: float | None = None, quantization_config: Any = None, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        refuse(self, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config)
        self.kernel_size = windows.sizes(self, "kernel_size", kernel_size, self.rank)
        self.strides = windows.sizes(self, "strides", strides, self.rank)
        self.padding = windows.padding_mode(self, padding, self.causal)
        self.data_format = windows.data_format(self, data_format)
        self.dilation_rate = windows.sizes(self, "dilation_rate", dilation_rate, self.rank)
        self.activation = found(self.described, "activation", activations.get, activation)
        self.use_bias = flag(self.described, "use_bias", use_bias)
        self.bias = None
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)                                          # refuses an image that is too small
        channels = self._channels(input_shape)
        if channels is None:
            raise ValueError(f"{self.described}: expected an input whose channels (axis {self._channel_axis}) are known, "
                             f"got shape {tuple(input_shape)}")
        self._build_weights(channels)
        if self.use_bias:
            self.bias = self._add("bias", (self._filters(channels),))
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._channel_axis: channels})

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = self._volume(inputs)
        lengths, before = self._placed(inputs.shape)
        window = Window(windows.three(self.strides, 1), windows.three(before, 0), windows.three(self.dilation_rate, 1))
        z = self.xp.empty((len(x), *windows.three(lengths, 1), self._filters(x.shape[-1])), self.dtype)
        cache = self.Cache(x, window)
        self._convolve(cache, z)                                                        # (1)
        z = self._image(z)
        y = activations.evaluate(self.activation, z, self.device)                       # (2)
        cache.z, cache.y = activations.needed(self.activation, z, y)
        self.cache = cache
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        cache = self.cache
        dz = activations.differentiate(self.activation, cache.z, cache.y, dy, self.device)      # from (2)
        dz = self._volume(dz)
        dx = self.xp.empty_like(cache.x) if self.input_gradient else None
        self._convolve_backward(cache, dz, dx)                                                  # from (1)
        return None if dx is None else self._image(dx)

    def compute_output_shape(self, input_shape: Any) -> Any:
        lengths, _ = self._placed(input_shape)
        filters = self._filters(self._channels(input_shape))
        return self._shape(input_shape[0], lengths, filters)

    def get_config(self) -> dict[str, Any]:
        settings = super().get_config() | {
            "kernel_size": self.kernel_size, "strides": self.strides, "padding": self.padding, "data_format": self.data_format,
            "dilation_rate": self.dilation_rate, "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias, "activity_regularizer": regularizers.serialize(self.activity_regularizer)}
        for kind in self.weight_kinds:
            settings[f"{kind}_initializer"] = initializers.serialize(getattr(self, f"{kind}_initializer"))
            settings[f"{kind}_regularizer"] = regularizers.serialize(getattr(self, f"{kind}_regularizer"))
            settings[f"{kind}_constraint"] = constraints.serialize(getattr(self, f"{kind}_constraint"))
        return settings

    def _build_weights(self, channels: int) -> None:
        """Make the weights but the bias, for an input of so many channels."""
        raise NotImplementedError

    def _filters(self, channels: Any) -> Any:
        """How many channels the output has, for an input of so many (None: unknown)."""
        raise NotImplementedError

    def _convolve(self, cache: Any, z: Any) -> None:
        """Write (1) to z (B, OD, OH, OW, F); cache.x and cache.window stand."""
        raise NotImplementedError

    def _convolve_backward(self, cache: Any, dz: Any, dx: Any) -> None:
        """Given dz (B, OD, OH, OW, F) add to the weights' gradients and write dx (B, D, H, W, C), unless that is None."""
        raise NotImplementedError

    def _axis(self, axis: int, n: int) -> tuple[int, int]:
        """Of axis `axis` with n positions: the output's length, and the positions added in front."""
        k, s, d = self.kernel_size[axis], self.strides[axis], self.dilation_rate[axis]
        return windows.placed(n, k, s, d, self.padding)

    def _placed(self, input_shape: Any) -> tuple[Any, Any]:
        """The output's lengths, and the positions added in front, None for axes of unknown length."""
        places = self._places(input_shape)
        pairs = [(None, None) if n is None else self._axis(axis, n) for axis, n in enumerate(places)]
        lengths = tuple(length for length, _ in pairs)
        if any(length is not None and length < 1 for length in lengths) or 0 in places:
            raise ValueError(f"{self.described}: expected an input large enough for an output of one place or more on each "
                             f"axis, got {places}, which gives {lengths} (kernel_size={self.kernel_size}, "
                             f"strides={self.strides}, dilation_rate={self.dilation_rate}, padding={self.padding!r})")
        return lengths, tuple(before for _, before in pairs)

    def _reach(self) -> tuple[int, ...]:
        """How far a window reaches, its gaps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def _keep(self, kind: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
        """Keep what a weight starts from, its penalty and its constraint as `kernel_initializer`, …"""
        setattr(self, f"{kind}_initializer", found(self.described, f"{kind}_initializer", initializers.get, initializer))
        setattr(self, f"{kind}_regularizer", found(self.described, f"{kind}_regularizer", regularizers.get, regularizer))
        setattr(self, f"{kind}_constraint", found(self.described, f"{kind}_constraint", constraints.get, constraint))

    def _add(self, kind: str, shape: tuple[int, ...], name: str | None = None) -> Any:
        """Make the weight of this kind."""
        return self.add_weight(shape, getattr(self, f"{kind}_initializer"), regularizer=getattr(self, f"{kind}_regularizer"),
                               constraint=getattr(self, f"{kind}_constraint"), name=name or kind)

    def _refuse_strides_with_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(f"{self.described}: expected strides or dilation_rate of one, got strides={self.strides} together "
                             f"with dilation_rate={self.dilation_rate}")
