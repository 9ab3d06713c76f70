"""A function of JAX as a layer."""
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from nblayers.arguments import integer, optional
from nblayers.devices import to_numpy
from nblayers.layers.base import Record, _shapes
from nblayers.layers.interop.boundary import FrameworkLayer, is_array, is_floating, needed
from nblayers.locks import Lock
from nblayers.parameter import Parameter
from nblayers.random import SeedGenerator, generator
from nblayers.serialization import deserialize_keras_object, serialize
from nblayers.structures import copied, flatten, map_shapes, map_structure


class JaxLayer(FrameworkLayer):
    """A function of JAX as a layer, trained with the layers around it.

        def call_fn(params, inputs):
            return jax.nn.relu(inputs @ params["w"])

        def init_fn(rng, inputs):
            return {"w": jax.nn.initializers.glorot_uniform()(rng, (inputs.shape[-1], 5))}

        model = Sequential([JaxLayer(call_fn, init_fn), Dense(3, activation="softmax")])

    call_fn takes any of these arguments, under these names, and at least `inputs`: `params`, `state` (what changes without
    being trained), `rng` (a key in training, else None), `inputs` (an array, or a structure of arrays), `training` (True or
    False). It returns the outputs, or (outputs, new state) if it takes `state`; the new state is kept, in training or not.
    init_fn takes `inputs`, and `rng` and `training` (always True) if it likes; it returns params, or (params, state).

    The weights are the arrays and numbers of `params` and `state`, in JAX's order; anything else there stays as it is.
    `layer.params` and `layer.state` hold the weights in the functions' own structures. JAX compiles call_fn once for each shape
    of the inputs, and computes on the CPU, with dtype="float64" in double precision. Arrays that JAX returns are copied: they
    are read-only, and kernels would be compiled anew for such.

    Arguments:
        call_fn: computes the outputs; JAX must be able to trace it.
        init_fn: makes params and state when the layer is built.
        params, state: instead of init_fn, structures of arrays and numbers to begin with.
        seed: of the keys for `rng`.
        native_serialization_platforms: kept as in Keras, where it concerns TensorFlow.

    Raises:
        ImportError: JAX is not installed.
        TypeError: call_fn or init_fn is no function.
        ValueError: arguments of another name, or no `inputs`; no weights, where call_fn takes some, and no init_fn to make
            them; inputs that call_fn refuses; a new state of another structure or shape; in `get_config`, weights that no
            init_fn could make again.

    Source: 001.17.JaxLayer.
    """

    class Cache(Record):
        inputs: Any             # as they were given
        outputs: Any            # likewise
        weights: list[Any]      # the floating ones among params
        vjp: Any                # JAX's map from the floating outputs' gradients to those of the weights and floating inputs

    def __init__(self, call_fn: Callable[..., Any], init_fn: Callable[..., Any] | None = None, params: Any = None,
                 state: Any = None, seed: int | None = None, native_serialization_platforms: Any = None,
                 **kwargs: Any) -> None:
        needed(type(self).__name__, "jax")
        super().__init__(**kwargs)
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self._call_arguments = self._arguments("call_fn", call_fn, ("params", "state", "rng", "inputs", "training"))
        self._init_arguments = [] if init_fn is None else self._arguments("init_fn", init_fn, ("rng", "inputs", "training"))
        self.seed = optional(integer, self.described, "seed", seed)
        self._keys = SeedGenerator(self.seed)
        self._compiled = _Compiled()
        self._one_at_a_time = Lock()
        self._examples: list[str] = []          # dtypes of the inputs that the layer is built for
        self.params = self.state = None
        has_weights = not {"params", "state"}.isdisjoint(self._call_arguments)
        if params is not None or state is not None:
            self._take_weights(params, state)
        elif init_fn is None and has_weights:
            raise ValueError(f"{self.described}: expected init_fn, params or state, as call_fn takes "
                             f"{' and '.join(name for name in self._call_arguments if name in ('params', 'state'))}, got none")
        self.built = not has_weights or bool(params is not None or state is not None)

    def _arguments(self, name: str, function: Any, allowed: tuple[str, ...]) -> list[str]:
        """The names of a function's arguments, in order."""
        if not callable(function):
            raise TypeError(f"{self.described}: expected a function as {name}, got {function!r}")
        names = list(inspect.signature(function).parameters)
        if "inputs" not in names or not set(names) <= set(allowed):
            raise ValueError(f"{self.described}: expected {name} to take inputs, and nothing beside {', '.join(allowed)}, got "
                             f"arguments {', '.join(names)}")
        return names

    def _check_inputs(self, inputs: Any) -> None:
        super()._check_inputs(inputs)
        if not self.built:
            self._examples = [np.dtype(leaf.dtype).name for leaf in flatten(inputs) if is_array(leaf)]

    def build(self, input_shape: Any) -> None:
        """Make the weights by init_fn for inputs of ones (of zeros where they are whole numbers), axes of any size being 1."""
        waiting = iter(self._examples)

        def example(shape: Any) -> Any:
            dtype = np.dtype(next(waiting, self.dtype))
            return (np.ones if dtype.kind == "f" else np.zeros)([1 if n is None else n for n in shape],
                                                               self.dtype if dtype.kind == "f" else dtype)
        inputs = map_shapes(example, input_shape)
        with self._crossing("init_fn", inputs), self._on_cpu():
            given = {"rng": self._get_init_rng(), "inputs": inputs, "training": True}
            made: Any = None if self.init_fn is None else self.init_fn(*(given[name] for name in self._init_arguments))
        params, state = made if "state" in self._call_arguments else (made, None)
        self._take_weights(params, state)

    def _take_weights(self, params: Any, state: Any) -> None:
        self.params, self.state = self._as_weights(params, "params", True), self._as_weights(state, "state", False)

    def _as_weights(self, values: Any, what: str, trainable: bool) -> Any:
        """The structure with a weight in place of each array and number."""
        import jax

        def weight(path: Any, value: Any) -> Any:
            if not (hasattr(value, "dtype") or isinstance(value, (bool, int, float))):
                return value
            array = np.array(value)
            dtype = self.dtype if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else array.dtype
            name = jax.tree_util.keystr(path, simple=True, separator=".") or what
            return self._hold(Parameter(np.array(array, dtype, order="C"), name, trainable))
        return jax.tree_util.tree_map_with_path(weight, values)

    def _called(self, params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> tuple[Any, Any]:
        """The outputs and the new state."""
        given = {"params": params, "state": state, "rng": rng, "inputs": inputs, "training": training}
        results = self.call_fn(*(given[name] for name in self._call_arguments))
        return results if "state" in self._call_arguments else (results, None)

    def _evaluated(self, params: list[Any], state: list[Any], rng: Any, inputs: Any, training: bool) -> tuple[Any, list[Any]]:
        """The outputs, floating ones in the layer's dtype, and the new state's arrays, given the arrays of all weights."""
        import jax
        outputs, new = self._called(_filled(self.params, params), _filled(self.state, state), rng, inputs, training)
        if jax.tree.structure(new) != jax.tree.structure(self.state):
            raise ValueError(f"expected call_fn to return a new state of the structure {jax.tree.structure(self.state)}, got "
                             f"{jax.tree.structure(new)}")
        kept = [jax.numpy.asarray(value) for value, own in zip(jax.tree.leaves(new), jax.tree.leaves(self.state), strict=True)
                if isinstance(own, Parameter)]
        return jax.tree.map(lambda y: y.astype(self.dtype) if _is_float(y) else y, outputs), kept

    def _with_vjp(self, params: list[Any], state: list[Any], rng: Any, inputs: Any, training: bool) -> tuple[Any, Any, Any]:
        """The same, and JAX's vjp with respect to the floating ones among params and inputs."""
        import jax
        leaves, structure = jax.tree.flatten(inputs)
        everything = [*params, *leaves]

        def of_floats(floats: list[Any]) -> tuple[Any, Any]:
            waiting = iter(floats)
            merged = [next(waiting) if _is_float(value) else value for value in everything]
            outputs, new_state = self._evaluated(merged[:len(params)], state, rng,
                                                 jax.tree.unflatten(structure, merged[len(params):]), training)
            return [y for y in jax.tree.leaves(outputs) if _is_float(y)], (outputs, new_state)

        _, vjp, (outputs, new_state) = jax.vjp(of_floats, [value for value in everything if _is_float(value)], has_aux=True)
        return outputs, new_state, vjp

    def forward(self, inputs: Any, training: bool = False) -> Any:
        params, state = _weights_in(self.params), _weights_in(self.state)
        with self._crossing("call_fn", inputs), self._on_cpu():
            outputs, new_state, vjp = self._compiled.forward(self)(
                _values(params), copied(_values(state)), self._get_call_rng(training), inputs, bool(training))
            outputs = map_structure(self._array, outputs)
        self._set_state(state, new_state)
        self.cache = self.Cache(inputs, outputs, [p for p in params if is_floating(p.value)], vjp)
        return outputs

    def _set_state(self, weights: list[Parameter], new: list[Any]) -> None:
        for weight, value in zip(weights, new, strict=True):
            if value.shape != weight.shape:
                raise ValueError(f"{self.described}: expected call_fn to return state {weight.name!r} of shape {weight.shape}, "
                                 f"got {value.shape}")
        with self._one_at_a_time:
            for weight, value in zip(weights, new, strict=True):
                weight.assign(np.asarray(value))

    def backward(self, dy: Any) -> Any:
        """dL/dx, and the gradients of params added to those of the weights.

        The derivative of call_fn is JAX's: the vjp that `jax.vjp` gave in `forward`. No formula of ours stands here.
        """
        cache = self.cache
        upstream = [d for d, y in zip(flatten(dy), flatten(cache.outputs), strict=True) if is_floating(y)]
        count = len(cache.weights)
        with self._on_cpu():
            gradients = self._compiled.backward(cache.vjp, upstream, None if self.input_gradient else count)
        for weight, gradient in zip(cache.weights, gradients[:count], strict=True):
            weight.grad += np.asarray(gradient)
        waiting = iter(gradients[count:])
        return map_structure(lambda x: self._array(next(waiting)) if is_floating(x) and self.input_gradient else None,
                             cache.inputs)

    def _shapes_for(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """Found by JAX's abstract evaluation: nothing is computed, and the state stays as it is."""
        import jax
        inputs, training = self._bound(*args, **kwargs)
        inputs = self._to_array(inputs)
        self._check_inputs(inputs)
        self._ensure_built(map_structure(np.shape, inputs))
        values = _values(_weights_in(self.params)), _values(_weights_in(self.state))
        with self._crossing("call_fn", inputs), self._on_cpu():
            rng = self._get_call_rng(training)
            outputs, _ = jax.eval_shape(
                lambda params, state: self._evaluated(params, state, rng, inputs, bool(training)), *values)
        return _shapes(outputs)

    @staticmethod
    def _bound(inputs: Any, training: bool = False) -> tuple[Any, bool]:
        """The arguments of forward."""
        return inputs, training

    def _array(self, leaf: Any) -> Any:
        """An array of JAX as one of the layer's, with memory of its own."""
        return self.xp.array(leaf) if hasattr(leaf, "dtype") else leaf

    @contextmanager
    def _on_cpu(self) -> Iterator[None]:
        """JAX on the CPU, in the layer's precision."""
        import jax
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            if self.dtype == "float64":
                with jax.enable_x64(True):
                    yield
            else:
                yield

    def _get_init_seed(self) -> np.ndarray:
        """A new key for init_fn, from the global generator."""
        return _as_key(generator().bit_generator.random_raw())

    def _get_init_rng(self) -> Any:
        """What init_fn is given as `rng`: one key. Subclasses may return a structure of several `_get_init_seed()`."""
        return self._get_init_seed()

    def _get_call_seed(self) -> np.ndarray:
        """A new key for call_fn, from the layer's own seed."""
        return _as_key(int(self._keys.key()))

    def _get_call_rng(self, training: bool) -> Any:
        """What call_fn is given as `rng`: a key in training, else None. Subclasses may return another structure."""
        return self._get_call_seed() if training and "rng" in self._call_arguments else None

    def get_config(self) -> dict[str, Any]:
        """As in Keras: the functions by their names, the weights left out."""
        if self.init_fn is None and self._parameters:
            raise ValueError(f"{self.described}: get_config expected an init_fn, which makes params and state again; got their "
                             "values alone")
        return super().get_config() | {
            "call_fn": serialize(self.call_fn), "init_fn": serialize(self.init_fn), "seed": self.seed,
            "native_serialization_platforms": self.native_serialization_platforms}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "JaxLayer":
        """Make the layer from `get_config()`, ours or Keras'.

        Arguments:
            custom_objects: the functions by their names, those registered with `register_keras_serializable` apart.

        Raises:
            ValueError: a function that was not found.
        """
        found = {name: deserialize_keras_object(config.get(name), custom_objects) for name in ("call_fn", "init_fn")}
        return cls(**config | found)


class _Compiled:
    """JAX's compiled functions of a layer; a copy of the layer has its own."""

    def __init__(self) -> None:
        self._forward: Any = None
        self._backward: Any = None

    def forward(self, layer: JaxLayer) -> Any:
        import jax
        if self._forward is None:
            self._forward = jax.jit(layer._with_vjp, static_argnums=4)
        return self._forward

    def backward(self, vjp: Any, dy: list[Any], count: int | None) -> list[Any]:
        """The first `count` of the gradients."""
        import jax
        if self._backward is None:
            self._backward = jax.jit(lambda vjp, dy, count: vjp(dy)[0][:count], static_argnums=2)
        return self._backward(vjp, dy, count)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Compiled, ()


def _weights_in(structure: Any) -> list[Parameter]:
    import jax
    return [leaf for leaf in jax.tree.leaves(structure) if isinstance(leaf, Parameter)]


def _values(weights: list[Parameter]) -> list[Any]:
    """The weights' own memory, which JAX reads where it lies."""
    return [to_numpy(weight.value) for weight in weights]


def _filled(structure: Any, arrays: list[Any]) -> Any:
    """The structure with these arrays in place of its weights."""
    import jax
    waiting = iter(arrays)
    return jax.tree.map(lambda leaf: next(waiting) if isinstance(leaf, Parameter) else leaf, structure)


def _is_float(value: Any) -> bool:
    import jax
    return hasattr(value, "dtype") and jax.numpy.issubdtype(value.dtype, jax.numpy.floating)


def _as_key(bits: int) -> np.ndarray:
    """64 random bits as a key of JAX."""
    return np.array([bits >> 32, bits & 0xFFFFFFFF], np.uint32)
