"""A SavedModel of TensorFlow as a layer."""
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.arguments import optional, text
from nblayers.layers.base import Record
from nblayers.layers.interop.boundary import FrameworkLayer, in_call_order, needed, refuse_in_safe_mode
from nblayers.locks import Lock
from nblayers.parameter import Parameter
from nblayers.structures import flatten, map_structure


class TFSMLayer(FrameworkLayer):
    """A SavedModel of TensorFlow as a layer: what `keras_model.export(path)` or `tf.saved_model.save` wrote.

        model = Sequential([TFSMLayer("path/to/model"), Dense(3, activation="softmax")])

    The weights are the variables that the endpoints use, those to be trained first. They are copied: TensorFlow's variables
    cannot be written to in place, so each `forward` hands the layer's weights over, and takes those that are not trained back.
    The endpoint computes in the dtype that it was saved with; inputs are cast to what it expects. On the CPU, one thread at a
    time.

    As in Keras, an endpoint takes one argument, an array or a structure of arrays, and keyword arguments that are handed on to
    it; it behaves in training as otherwise unless there is an endpoint for training. A signature ("serving_default") returns a
    dictionary.

    Arguments:
        filepath: the directory of the SavedModel.
        call_endpoint: an attribute of the SavedModel or one of its signatures: "serve" for a model that Keras exported,
            "serving_default" for many others.
        call_training_endpoint: likewise, what is called in training.
        trainable: whether an optimizer may change the weights.
        name, dtype: of the layer.

    Raises:
        ImportError: TensorFlow is not installed.
        ValueError: no SavedModel there, or no such endpoint; inputs that the endpoint refuses; in `backward`, an endpoint
            that TensorFlow cannot differentiate.

    Source: 001.17.TFSMLayer.
    """

    class Cache(Record):
        inputs: list[Any]       # the arguments that hold arrays, as tensors
        outputs: Any            # tensors
        weights: list[tuple[Parameter, Any]]    # those that were made to be trained, with their variables
        tape: Any               # TensorFlow's record of the call

    def __init__(self, filepath: Any, call_endpoint: str = "serve", call_training_endpoint: str | None = None,
                 trainable: bool = True, name: str | None = None, dtype: Any = None) -> None:
        needed(type(self).__name__, "tensorflow")
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self.filepath = os.fspath(filepath)
        self.call_endpoint = text(self.described, "call_endpoint", call_endpoint)
        self.call_training_endpoint = optional(text, self.described, "call_training_endpoint", call_training_endpoint)
        self._saved = _SavedModel(self.described, self.filepath, self.call_endpoint, self.call_training_endpoint)
        self._one_at_a_time = Lock()
        for variable in self._saved.variables:
            name = variable.name.removesuffix(":0").replace("/", ".")
            self._hold(Parameter(np.array(variable.numpy(), order="C"), name, variable.trainable))
        self.built = True

    def forward(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        import tensorflow as tf
        saved, trained = self._saved, [(p, v) for p, v in self._pairs() if v.trainable]
        with self._one_at_a_time, tf.device("CPU"):
            for parameter, variable in self._pairs():
                variable.assign(parameter.numpy())
            endpoint = saved.training if training and saved.training is not None else saved.inference
            with self._crossing(f"the endpoint of {self.filepath!r}", [inputs, *kwargs.values()]), \
                    tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                given, named = endpoint.tensors(inputs), map_structure(_tensor, kwargs)
                arguments = in_call_order((given,), named)
                tape.watch([x for x in flatten(arguments) if x.dtype.is_floating])
                tape.watch([variable for _, variable in trained])
                outputs = map_structure(self._output, endpoint(given, named))
            for parameter, variable in self._pairs():
                if not variable.trainable:
                    parameter.assign(variable.numpy())
        self.cache = self.Cache(arguments, outputs, trained, tape)
        return map_structure(self._array, outputs)

    def backward(self, dy: Any) -> Any:
        """dL/dx, and the variables' gradients added to those of the weights.

        The derivative of the endpoint is TensorFlow's: `tf.GradientTape` sends dy back through the call that it recorded in
        `forward`. No formula of ours stands here.
        """
        import tensorflow as tf
        cache = self.cache
        reached = [(y, d) for y, d in zip(flatten(cache.outputs), flatten(dy), strict=True) if _is_floating(y)]
        leaves = [x for x in flatten(cache.inputs) if _is_floating(x)] if self.input_gradient else []
        sources = [*leaves, *(variable for _, variable in cache.weights)]
        gradients: list[Any] = [None] * len(sources)
        if reached:
            with self._crossing(f"the gradient of the endpoint of {self.filepath!r}", cache.inputs), tf.device("CPU"):
                gradients = cache.tape.gradient([y for y, _ in reached], sources, [tf.constant(d) for _, d in reached])
        for (parameter, _), gradient in zip(cache.weights, gradients[len(leaves):], strict=True):
            if gradient is not None:
                parameter.grad += tf.convert_to_tensor(gradient).numpy()        # a table's has only the rows looked up
        waiting = iter(gradients[:len(leaves)])
        dxs = map_structure(lambda x: self._input_gradient(x, next(waiting)) if leaves and _is_floating(x) else None,
                            cache.inputs)
        return dxs[0] if len(dxs) == 1 else dxs

    def _input_gradient(self, x: Any, gradient: Any) -> Any:
        return self.xp.zeros(tuple(x.shape), self.dtype) if gradient is None else self.xp.array(gradient.numpy(), self.dtype)

    def _pairs(self) -> list[tuple[Parameter, Any]]:
        """The weights with their variables."""
        return list(zip(self._parameters, self._saved.variables, strict=True))

    def _output(self, leaf: Any) -> Any:
        """An output of the endpoint, floating ones in the layer's dtype."""
        import tensorflow as tf
        return tf.cast(leaf, self.dtype) if _is_floating(leaf) else leaf

    def _array(self, leaf: Any) -> Any:
        """A tensor as an array with memory of its own: kernels would be compiled anew for TensorFlow's, which is read-only."""
        return self.xp.array(leaf.numpy()) if hasattr(leaf, "numpy") else leaf

    def get_config(self) -> dict[str, Any]:
        """As in Keras: the path, not what lies there."""
        return super().get_config() | {"filepath": self.filepath, "call_endpoint": self.call_endpoint,
                                       "call_training_endpoint": self.call_training_endpoint}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None,
                    safe_mode: bool = True) -> "TFSMLayer":
        """Make the layer from `get_config()`, ours or Keras'.

        Arguments:
            safe_mode: False to load the SavedModel that the configuration names: its graph may do anything, read and write
                files too. Only for one that you trust.

        Raises:
            ValueError: without safe_mode=False.
        """
        refuse_in_safe_mode(cls.__name__, f"the path of a SavedModel, {config.get('filepath')!r}", safe_mode)
        return cls(**config)


class _SavedModel:
    """A SavedModel that was loaded: its endpoints and their variables; a copy loads it again.

    Attributes:
        variables: those that the endpoints use, those to be trained first.
        inference, training: the endpoints; None where there is none for training.
    """

    def __init__(self, who: str, filepath: str, call_endpoint: str, call_training_endpoint: str | None) -> None:
        import tensorflow as tf
        self._arguments = who, filepath, call_endpoint, call_training_endpoint
        try:
            with tf.device("CPU"):
                self._loaded = tf.saved_model.load(filepath)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ValueError(f"{who}: expected the directory of a SavedModel as filepath, got {filepath!r}: {error}") from error
        self.inference = self._endpoint(call_endpoint, "call_endpoint")
        self.training = self._endpoint(call_training_endpoint, "call_training_endpoint") if call_training_endpoint else None
        functions = [f for each in (self.inference, self.training) if each is not None for f in each.concrete]
        trained = {id(v): v for f in functions for v in f.trainable_variables}
        others = {id(v): v for f in functions for v in f.variables if id(v) not in trained}
        self.variables = [*trained.values(), *others.values()]

    def __reduce__(self) -> tuple[Any, ...]:
        return _SavedModel, self._arguments

    def _endpoint(self, name: str, argument: str) -> "_Endpoint":
        signatures = getattr(self._loaded, "signatures", {})
        if callable(found := getattr(self._loaded, name, None)):
            return _Endpoint(found, False)
        if name in signatures:
            return _Endpoint(signatures[name], True)
        who, filepath, *_ = self._arguments
        raise ValueError(f"{who}: expected {argument} to be an attribute or a signature of the SavedModel {filepath!r}, whose "
                         f"signatures are {list(signatures)}, got {name!r}")


class _Endpoint:
    """A function of a SavedModel.

    Attributes:
        concrete: its functions for the inputs that it was saved for.
    """

    def __init__(self, function: Callable[..., Any], is_signature: bool) -> None:
        self._function, self._is_signature = function, is_signature
        self.concrete = list(getattr(function, "concrete_functions", [function]))

    def __call__(self, inputs: Any, kwargs: dict[str, Any]) -> Any:
        if self._is_signature and isinstance(inputs, dict):
            return self._function(**inputs, **kwargs)
        return self._function(inputs, **kwargs)

    def tensors(self, inputs: Any) -> Any:
        """The inputs as tensors, cast to the dtypes that the endpoint was saved for."""
        import tensorflow as tf
        args, kwargs = self.concrete[0].structured_input_signature if self.concrete else ((), {})
        expected = [leaf for leaf in flatten([list(args), kwargs]) if isinstance(leaf, tf.TensorSpec)]
        waiting = iter(expected if len(expected) >= len(flatten(inputs)) else [])

        def tensor(leaf: Any) -> Any:
            spec = next(waiting, None)
            return _tensor(leaf) if spec is None else tf.cast(_tensor(leaf), spec.dtype)
        return map_structure(tensor, inputs)


def _tensor(leaf: Any) -> Any:
    import tensorflow as tf
    return tf.constant(leaf) if isinstance(leaf, np.ndarray) else leaf


def _is_floating(tensor: Any) -> bool:
    return getattr(getattr(tensor, "dtype", None), "is_floating", False)
