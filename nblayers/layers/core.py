"""The layers of document 001, section 6, and `Linear` of document 002."""
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers import activations, constraints, initializers, regularizers
from nblayers.arguments import flag, found
from nblayers.devices import to_numpy
from nblayers.layers.base import Layer, Parameter, Record, positive, refuse
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import ids_below
from nblayers.layers.input_spec import InputSpec
from nblayers.serialization import deserialize_keras_object, get_registered_object, reading, serialize
from nblayers.structures import copied


class Dense(Layer):
    r"""A layer in which every output sees every input: what most networks begin or end with.

        z_{nu} = \sum_d x_{nd} W_{du} + b_u             (1)
        y      = f(z)                                   (2)

    Document 001 writes W x; Keras keeps a sample in a row and computes x W, with W (D, U). An input of more than two axes is
    a stack of such rows: the same W acts on its last axis.

    Input (batch, …, D), output (batch, …, units). Weights: kernel W (D, U), bias b (U,).

    Arguments:
        units: U, the number of outputs.
        activation: f, a name or an activation function; none is f(z) = z.
        use_bias: whether b is added.
        kernel_initializer, bias_initializer: what W and b start from.
        kernel_regularizer, bias_regularizer: penalties on W and b.
        activity_regularizer: penalty on the output, divided by the batch size.
        kernel_constraint, bias_constraint: applied to W and b after each optimizer step.

    Raises:
        ValueError: units is not a positive integer; lora_rank, lora_alpha or quantization_config is given; an input of fewer
            than two axes or of another last axis than the layer was built for.

    Source: 001.06.Dense.
    """

    supports_masking = True
    units: int = fixed()
    use_bias: bool = fixed()
    kernel: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray       # (batch, …, D)
        z: np.ndarray       # (batch, …, U); y where f's slope is told by y, None where f is linear
        y: np.ndarray       # (batch, …, U), or None likewise

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, lora_rank: int | None = None,
                 lora_alpha: float | None = None, quantization_config: Any = None, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        refuse(self, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config)
        self.units = positive(self, "units", units)
        self.activation = found(self.described, "activation", activations.get, activation)
        self.use_bias = flag(self.described, "use_bias", use_bias)
        self.kernel_initializer = found(self.described, "kernel_initializer", initializers.get, kernel_initializer)
        self.bias_initializer = found(self.described, "bias_initializer", initializers.get, bias_initializer)
        self.kernel_regularizer = found(self.described, "kernel_regularizer", regularizers.get, kernel_regularizer)
        self.bias_regularizer = found(self.described, "bias_regularizer", regularizers.get, bias_regularizer)
        self.kernel_constraint = found(self.described, "kernel_constraint", constraints.get, kernel_constraint)
        self.bias_constraint = found(self.described, "bias_constraint", constraints.get, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        D = _last_axis(self, input_shape)
        self.kernel = self.add_weight((D, self.units), self.kernel_initializer, regularizer=self.kernel_regularizer,
                                      constraint=self.kernel_constraint, name="kernel")
        self.bias = self.add_weight((self.units,), self.bias_initializer, regularizer=self.bias_regularizer,
                                    constraint=self.bias_constraint, name="bias") if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: D})

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        z = self._affine(x, self.kernel.value, self.bias)                               # (1)
        y = activations.evaluate(self.activation, z, self.device)                       # (2)
        self.cache = self.Cache(x, *activations.needed(self.activation, z, y))
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        cache = self.cache
        x, z, y = cache.x, cache.z, cache.y
        dz = activations.differentiate(self.activation, z, y, dy, self.device)          # from (2)
        W = self.kernel
        return self._affine_backward(dz, x, W.value, W.grad, self.bias, needed=self.input_gradient)     # from (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units, "activation": activations.serialize(self.activation), "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint), "quantization_config": None}


class Embedding(Layer):
    r"""A table with a learned vector for each id: how words, characters and categories enter a network.

        y_n = E_{i_n}                                                                           (1)
        \partial L / \partial E_v = \sum_{n : i_n = v} \partial L / \partial y_n                (2)

    Input (batch, …) of ids, output (batch, …, output_dim). Weights: embeddings E (input_dim, output_dim). Whole numbers in a
    floating array are ids too. There is no gradient for the ids: `backward` returns None.

    Arguments:
        input_dim: the number of rows; ids are 0 … input_dim - 1.
        output_dim: the length of a vector.
        embeddings_initializer: what E starts from.
        embeddings_regularizer: penalty on E.
        embeddings_constraint: applied to E after each optimizer step.
        mask_zero: id 0 is padding: `compute_mask` gives False there. Its row is looked up and trained all the same.
        weights: the first value of E, an array (input_dim, output_dim) or a list that holds it.

    Raises:
        ValueError: input_dim or output_dim is not a positive integer; `weights` has another shape; an id out of range, or not
            a whole number (Keras returns NaN, or cuts the fraction off); lora_rank, lora_alpha or quantization_config is given.

    Source: 001.06.Embedding.
    """

    integer_inputs = True
    input_spec = InputSpec()
    input_dim: int = fixed()
    output_dim: int = fixed()
    embeddings: Parameter = fixed()

    class Cache(Record):
        ids: np.ndarray     # (batch, …), int64

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
                 embeddings_regularizer: Any = None, embeddings_constraint: Any = None, mask_zero: bool = False,
                 weights: Any = None, lora_rank: int | None = None, lora_alpha: float | None = None,
                 quantization_config: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        refuse(self, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config)
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.embeddings_initializer = found(self.described, "embeddings_initializer", initializers.get, embeddings_initializer)
        self.embeddings_regularizer = found(self.described, "embeddings_regularizer", regularizers.get, embeddings_regularizer)
        self.embeddings_constraint = found(self.described, "embeddings_constraint", constraints.get, embeddings_constraint)
        self.mask_zero = self.supports_masking = flag(self.described, "mask_zero", mask_zero)
        self.autocast = False                       # a large id is not exact in float32
        if weights is not None:
            self.build(None)
            given = weights if isinstance(weights, list) and len(weights) == 1 else [weights]
            if len(given) != 1 or np.shape(given[0]) != self.embeddings.shape:
                raise ValueError(f"{self.described}: expected weight {self.embeddings.path!r} of shape "
                                 f"{self.embeddings.shape}, got {np.shape(given[0])} in weights")
            self.set_weights(given)

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight((self.input_dim, self.output_dim), self.embeddings_initializer,
                                          regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint,
                                          name="embeddings")

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        ids = ids_below(self.described, inputs, self.input_dim)
        y = self.xp.empty((*ids.shape, self.output_dim), self.dtype)
        self.kernels.core.embedding_forward(ids.reshape(-1), self.embeddings.value, y.reshape(-1, self.output_dim))     # (1)
        self.cache = self.Cache(ids)
        return y

    def backward(self, dy: np.ndarray) -> None:
        ids, rows = self.cache.ids.reshape(-1), dy.reshape(-1, self.output_dim)
        self.kernels.core.embedding_backward(ids, rows, self.embeddings.grad)       # (2)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.output_dim)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """False where the id is 0, if `mask_zero`; else None."""
        return self.xp.asarray(inputs) != 0 if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "input_dim": self.input_dim, "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero, "quantization_config": None}


class Masking(Layer):
    r"""Marks the steps of a sequence that are padding, so that the layers after it skip them.

        m_t = 1 \text{ if any } x_{td} \ne v, \text{ else } 0       (1)
        y_{td} = m_t x_{td}                                         (2)

    Input and output (batch, time, D), or any shape of two or more axes, the last being D. `compute_mask` gives m. After an
    Embedding this masks vectors whose values are all v, not token v: there use `Embedding(…, mask_zero=True)`.

    Arguments:
        mask_value: v, a number. A step is masked where all its values are v.

    Raises:
        ValueError: mask_value is not a number; an input of fewer than two axes.

    Source: 001.06.Masking.
    """

    supports_masking = True
    input_spec = InputSpec(min_ndim=2)

    class Cache(Record):
        m: np.ndarray       # (batch, time), bool

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(mask_value, (int, float, np.number)):
            raise ValueError(f"{self.described}: expected a number as mask_value, got {mask_value!r}")
        self.mask_value = mask_value
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        m = self._mask(inputs)                                                      # (1)
        self.cache = self.Cache(m)
        return self._apply(m, inputs)                                               # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self._apply(self.cache.m, dy)                                        # from (2)

    def _mask(self, x: Any) -> Any:
        m = self.xp.empty(x.shape[:-1], bool)
        self.kernels.core.masking_mask(x.reshape(m.size, x.shape[-1]), x.dtype.type(self.mask_value), m.reshape(-1))
        return m

    def _apply(self, m: Any, x: Any) -> Any:
        y, rows = self.xp.empty_like(x), (m.size, x.shape[-1])
        self.kernels.core.masking_apply(x.reshape(rows), m.reshape(-1), y.reshape(rows))
        return y

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """m of (1); a mask that comes in is not looked at, as in Keras."""
        return self._mask(self._to_array(inputs))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mask_value": self.mask_value}


class Identity(Layer):
    """Gives back what it is given, integers as integers: a placeholder.

    Source: 001.06.Identity.
    """

    supports_masking = True
    integer_inputs = True

    class Cache(Record):
        x: np.ndarray       # or a list of arrays

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def forward(self, inputs: Any) -> Any:
        self.cache = self.Cache(inputs)
        return inputs

    def backward(self, dy: Any) -> Any:
        return _gradient(self.cache.x, dy)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class Lambda(Layer):
    r"""A function made into a layer, for a step that needs no weights.

        y  = f(x)                   (1)
        dx = g(x, dy)               (2)

    Nothing here differentiates f: where the gradient is needed, hand its formula over as `gradient`.

        square = Lambda(lambda x: x ** 2, gradient=lambda x, dy: 2 * x * dy)

    For learning, gradient="numeric" measures it, in float64, one number of x after the other: f runs twice for each of them,
    so this is slow, and meant for a few hundred numbers.

        dx_n \approx \langle dy, f(x + h e_n) - f(x - h e_n) \rangle / 2h        (3)

    Arguments:
        function: f(x, **arguments). x is an array, or a list of arrays; `mask` and `training` are handed over too if f has
            parameters of these names. A floating result becomes one of the layer's dtype. Both f and g are given copies: they
            may work in place.
        output_shape: shape of the output without the batch axis, or a function of the input's shape; found by calling f on
            zeros if left out.
        mask: what `compute_mask` gives: a mask, or a function (inputs, mask) -> mask.
        arguments: further keyword arguments of f.
        gradient: g(x, dy) -> dL/dx, in the structure of x. Of `arguments`, mask and training it is given those that it has
            parameters for. Or "numeric": (3); f must give the same for the same x, so it may not draw random numbers.

    Raises:
        NotImplementedError: `backward` without `gradient`.
        TypeError: `function` or `gradient` is not callable, `arguments` no dictionary, `output_shape` no shape; `get_config` of
            anything but a lambda or a named function.
        ValueError: g's result does not have the shape of x.

    Source: 001.06.Lambda and document 000.
    """

    integer_inputs = True

    class Cache(Record):
        x: np.ndarray                   # or a list of arrays
        options: dict[str, Any]         # what may be handed to g by name

    def __init__(self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None,
                 arguments: dict[str, Any] | None = None, *, gradient: Callable[..., Any] | str | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"{self.described}: expected a function as function, got {function!r}")
        if not (callable(gradient) or gradient is None or gradient == "numeric"):
            raise TypeError(f"{self.described}: expected a function as gradient, or 'numeric', got {gradient!r}")
        if not isinstance(arguments, (dict, type(None))):
            raise TypeError(f"{self.described}: expected a dictionary as arguments, got {arguments!r}")
        if not isinstance(output_shape, (list, tuple, type(None))) and not callable(output_shape):
            raise TypeError(f"{self.described}: expected a shape or a function as output_shape, got {output_shape!r}")
        self.function = function
        self.arguments = arguments or {}
        self.mask = mask
        self.gradient = gradient
        self.supports_masking = mask is not None
        self._output_shape = output_shape
        self._passed = _parameters(function) & {"mask", "training"}
        self._known = _parameters(gradient) if callable(gradient) else set()
        self.built = True

    def forward(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        options = {**self.arguments, "mask": mask, "training": training}
        outputs = self._called(inputs, options)                                     # (1)
        self.cache = self.Cache(inputs, options)
        return self._to_array(outputs)

    def _called(self, x: Any, options: dict[str, Any]) -> Any:
        """f of a copy of x."""
        given = {name: copied(value) if name == "mask" else value for name, value in options.items()
                 if name in self.arguments or name in self._passed}
        return self.function(copied(x), **given)

    def backward(self, dy: Any) -> Any:
        x, options = self.cache.x, self.cache.options
        if self.gradient is None:
            raise NotImplementedError(f"{self.described}: no gradient: pass the derivative of the function as "
                                      "Lambda(function, gradient=g), where g(x, dy) returns dL/dx, or have it measured, "
                                      "slowly: gradient='numeric'")
        if isinstance(self.gradient, str):
            return self._checked(x, _measured(lambda at: self._called(at, options), x, dy))         # (3)
        known = {name: value for name, value in options.items() if name in self._known}
        dx = self.gradient(copied(x), copied(dy), **known)                          # (2)
        return self._checked(x, dx)

    def _checked(self, x: Any, dx: Any) -> Any:
        if isinstance(x, list):
            if not isinstance(dx, (list, tuple)) or len(dx) != len(x):
                raise ValueError(f"{self.described}: expected gradient to return a list of {len(x)} arrays, got {dx!r}")
            return [self._checked(a, da) for a, da in zip(x, dx, strict=True)]
        if dx is None or x is None or x.dtype.kind != "f":
            return None
        dx = self._to_array(dx)
        if dx.shape != x.shape:
            raise ValueError(f"{self.described}: expected gradient to return shape {x.shape}, the shape of x, got {dx.shape}")
        return dx

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = input_shape[0][0] if isinstance(input_shape[0], (list, tuple)) else input_shape[0]
        if any(isinstance(shape, (list, tuple)) for shape in self._output_shape):
            return [(batch, *shape) for shape in self._output_shape]
        return (batch, *self._output_shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """What the argument `mask` says."""
        if self.mask is None:
            return super().compute_mask(inputs, previous_mask)
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """As in Keras: a lambda is written as Python bytecode, a named function by its name."""
        config = super().get_config() | {"function": self._written(self.function), "arguments": serialize(self.arguments)}
        for key, value in (("output_shape", self._output_shape), ("mask", self.mask), ("gradient", self.gradient)):
            if value is not None:
                config[key] = self._written(value) if callable(value) else serialize(value)
        return config

    def _written(self, function: Any) -> Any:
        try:
            return serialize(function)
        except TypeError as error:
            raise TypeError(f"{self.described}: get_config can write down a named function, or a lambda of what can be written "
                            f"down: {error}") from error

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None,
                    safe_mode: bool = True) -> "Lambda":
        """Make the layer from `get_config()`.

        Arguments:
            custom_objects: your named functions by their names, those registered with `register_keras_serializable` apart.
            safe_mode: False to run a lambda's bytecode, which sees NumPy as `np` and no other global name. Only for a
                configuration that you trust.

        Raises:
            ValueError: a lambda without safe_mode=False, bytecode of another version of Python, a function not found.
        """
        made = dict(config)
        with reading(custom_objects, safe_mode):
            for key in ("function", "output_shape", "mask", "gradient"):
                if isinstance(config.get(key), dict):
                    made[key] = _read_function(key, config)
            made["arguments"] = deserialize_keras_object(config.get("arguments"))
        return cls(**made)


def _measured(f: Callable[[Any], Any], x: Any, dy: Any) -> Any:
    """dL/dx by central differences (3), None for integers; x an array or a list of arrays, dy in the structure of f(x)."""
    exact = [a.astype(np.float64) if _differentiable(a) else a for a in (x if isinstance(x, list) else [x])]
    slopes = [np.empty(a.shape) if _differentiable(a) else None for a in exact]
    upstream = [to_numpy(d).astype(np.float64) for d in (dy if isinstance(dy, list) else [dy])]

    def loss() -> float:
        y = f(exact if isinstance(x, list) else exact[0])
        return sum(float((d * to_numpy(each)).sum())
                   for d, each in zip(upstream, y if isinstance(y, (list, tuple)) else [y], strict=True))

    for a, slope in zip(exact, slopes, strict=True):
        if slope is None:
            continue
        for n in np.ndindex(a.shape):
            kept = float(a[n])
            h = STEP * max(1.0, abs(kept))
            a[n] = kept + h
            above = loss()
            a[n] = kept - h
            slope[n] = (above - loss()) / (2 * h)                                   # (3)
            a[n] = kept
    return slopes if isinstance(x, list) else slopes[0]


STEP = 6e-6                             # the third root of float64's precision: smaller, and rounding outweighs what is gained


def _differentiable(x: Any) -> bool:
    return x is not None and x.dtype.kind == "f"


def _read_function(key: str, config: dict[str, Any]) -> Any:
    """The function, mask, gradient or shape under that key of a Lambda's configuration."""
    name = config.get("name")
    is_code = config[key].get("class_name") == "__lambda__"
    if key == "function" and is_code and (given := get_registered_object(name)) is not None:
        return given                                    # in the place of bytecode that is not to be run
    try:
        return deserialize_keras_object(config[key])
    except ValueError as error:
        raise ValueError(f"Lambda {name!r}: {key}: {error}") from error


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):                     # some functions written in C do not say
        return set()


def _gradient(x: Any, dx: Any) -> Any:
    """dx, None where x holds integers."""
    if isinstance(x, list):
        return [_gradient(a, da) for a, da in zip(x, dx, strict=True)]
    return dx if x is not None and x.dtype.kind == "f" else None


def _last_axis(layer: Layer, input_shape: Any) -> int:
    if input_shape[-1] is None:
        raise ValueError(f"{layer.described}: expected an input whose last axis is known, got shape {tuple(input_shape)}")
    if input_shape[-1] == 0:
        raise ValueError(f"{layer.described}: expected an input with features, got shape {tuple(input_shape)}")
    return int(input_shape[-1])


__all__ = ["Dense", "Embedding", "Identity", "Lambda", "Masking"]
