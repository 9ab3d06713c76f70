"""A module of Flax as a layer."""
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nblayers.devices import to_numpy
from nblayers.layers.interop.boundary import needed
from nblayers.layers.interop.jax_layer import JaxLayer, _filled, _weights_in
from nblayers.serialization import deserialize_keras_object, serialize


class FlaxLayer(JaxLayer):
    """A module of Flax, `flax.linen` or `flax.nnx`, as a layer, trained with the layers around it.

        model = Sequential([FlaxLayer(flax.linen.Dense(5)), Dense(3, activation="softmax")])

    The method takes the inputs (one array, or one structure of arrays), and `training` if it likes. The weights are the
    module's variables: "params" (nnx: all that is an `nnx.Param`) to be trained, all other collections, such as
    "batch_stats", as state that the module changes.

    Of linen, keys for "dropout" are drawn in training. An nnx module brings its variables and random numbers with it; what runs
    is a copy in training or evaluation mode, with the layer's weights. The module itself stays as it was until `write_back`.

    Arguments:
        module: a `flax.linen.Module` or a `flax.nnx.Module`.
        method: what is called: a method of the module, its name, or a function that takes the module first; `__call__` by
            default.
        variables: of linen, {"params": …, "batch_stats": …} to begin with; made by the module's `init` by default.

    Raises:
        ImportError: Flax is not installed.
        TypeError: `module` is neither kind of module; in `get_config`, a module without a `get_config` of its own.
        ValueError: variables for an nnx module, or without a dictionary; inputs that the module refuses.

    Source: 001.17.FlaxLayer.
    """

    def __init__(self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any) -> None:
        needed(type(self).__name__, "flax")
        from flax import core, linen, nnx
        if not isinstance(module, (linen.Module, nnx.Module)):
            raise TypeError(f"{type(self).__name__}: expected a flax.linen.Module or a flax.nnx.Module as module, got "
                            f"{type(module).__name__} {module!r}")
        self.is_nnx = isinstance(module, nnx.Module)
        if variables is not None and (self.is_nnx or not isinstance(variables, (dict, core.FrozenDict))):
            raise ValueError(f"{type(self).__name__}: expected variables as the dictionary of a linen module, got "
                             f"{'some for an nnx module' if self.is_nnx else repr(variables)}")
        self.module, self.method = module, method
        self._takes_training = "training" in inspect.signature(self._named_method()).parameters
        if self.is_nnx:
            params, state = self._split(module)
            super().__init__(self._called_nnx, None, params, state, **kwargs)
        else:
            params, state = (None, None) if variables is None else _divided(core.unfreeze(variables))
            super().__init__(self._called_linen, self._initial, params, state, **kwargs)

    def _named_method(self) -> Callable[..., Any]:
        if isinstance(self.method, str):
            return getattr(self.module, self.method)
        return self.method or self.module.__call__

    def _called_linen(self, params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> Any:
        from flax import core, linen
        settings = {"training": training} if self._takes_training else {}
        outputs, new = self.module.apply({**params, **state}, inputs, rngs=rng, method=self.method,
                                         mutable=linen.DenyList(["params"]), **settings)
        new = core.unfreeze(new)
        return outputs, {name: new[name] for name in state}

    def _initial(self, rng: Any, inputs: Any) -> Any:
        from flax import core
        settings = {"training": True} if self._takes_training else {}
        return _divided(core.unfreeze(self.module.init(rng, inputs, method=self.method, **settings)))

    def _called_nnx(self, params: Any, state: Any, inputs: Any, training: bool) -> Any:
        from flax import nnx
        module = nnx.clone(self.module)
        self._update(module, params, state)
        (module.train if training else module.eval)()
        method = getattr(self.method, "__func__", self.method) or type(module).__call__
        if isinstance(method, str):
            method = getattr(type(module), method)
        outputs = method(module, inputs, **({"training": training} if self._takes_training else {}))
        return outputs, self._split(module)[1]

    def _split(self, module: Any) -> tuple[Any, Any]:
        """The variables of an nnx module: to be trained, and the others, random keys as their bits."""
        import jax
        from flax import nnx
        _, params, state = nnx.split(module, nnx.Param, ...)
        return nnx.to_pure_dict(params), jax.tree.map(_bits_of_key, nnx.to_pure_dict(state))

    def _update(self, module: Any, params: Any, state: Any) -> None:
        """Give an nnx module these variables."""
        import jax
        from flax import nnx
        _, own_params, own_state = nnx.split(module, nnx.Param, ...)
        keys = nnx.to_pure_dict(own_state)
        nnx.replace_by_pure_dict(own_params, params)
        nnx.replace_by_pure_dict(own_state, jax.tree.map(_key_like, keys, state))
        nnx.update(module, own_params, own_state)

    def write_back(self) -> Any:
        """Give an nnx module the layer's weights, and return it.

        Raises:
            ValueError: a linen module, which holds no variables: they are `layer.params` and `layer.state`.
        """
        if not self.is_nnx:
            raise ValueError(f"{self.described}: write_back expected an nnx module, got a linen one, which holds no variables: "
                             "layer.params and layer.state have them")
        import jax
        with self._on_cpu():
            params, state = (_filled(each, [jax.numpy.array(to_numpy(p.value)) for p in _weights_in(each)])
                             for each in (self.params, self.state))
            self._update(self.module, params, state)
        return self.module

    def _get_init_rng(self) -> Any:
        return {"params": self._get_init_seed(), "dropout": self._get_init_seed()}

    def _get_call_rng(self, training: bool) -> Any:
        return {"dropout": self._get_call_seed()} if training and not self.is_nnx else {}

    def get_config(self) -> dict[str, Any]:
        """As in Keras: the module by its own `get_config`, a method of it by name, the weights left out."""
        method = self.method.__name__ if getattr(self.method, "__self__", None) is self.module else self.method
        config = super(JaxLayer, self).get_config()
        return config | {"module": serialize(self.module), "method": serialize(method), "seed": self.seed,
                         "native_serialization_platforms": self.native_serialization_platforms}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "FlaxLayer":
        """Make the layer from `get_config()`, ours or Keras'.

        Arguments:
            custom_objects: the module's class by its name, unless it is registered with `register_keras_serializable`.

        Raises:
            ValueError: a class or function that was not found.
        """
        module, method = (deserialize_keras_object(config.get(name), custom_objects) for name in ("module", "method"))
        if isinstance(method, str):
            method = getattr(module, method)
        return cls(**config | {"module": module, "method": method})


def _divided(variables: dict[str, Any]) -> tuple[Any, Any]:
    """What is trained, and the other collections."""
    params = {name: values for name, values in variables.items() if name == "params"}
    return params, {name: values for name, values in variables.items() if name != "params"}


def _is_key(value: Any) -> bool:
    import jax
    return hasattr(value, "dtype") and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def _bits_of_key(value: Any) -> Any:
    import jax
    return jax.random.key_data(value) if _is_key(value) else value


def _key_like(kind: Any, value: Any) -> Any:
    """The bits of a key as a key of this kind; anything else as it is."""
    import jax
    return jax.random.wrap_key_data(jax.numpy.asarray(value), impl=jax.random.key_impl(kind)) if _is_key(kind) else value
