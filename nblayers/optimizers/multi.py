"""MultiOptimizer and the OptimizerMap that it goes by."""
import re
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from nblayers import serialization
from nblayers.arguments import function
from nblayers.naming import snake_case
from nblayers.optimizers.base import Optimizer
from nblayers.optimizers.wrapping import Wrapping
from nblayers.parameter import Parameter


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Which optimizer changes which parameter, by the parameter's path ("encoder/kernel").

        by_path = OptimizerMap(SGD(0.1), {"encoder/.*": Adam()})
        by_path["decoder/kernel"] = RMSprop()
        by_path["encoder/bias"]                             # the Adam

    A path is looked for as it is, then every key as a regular expression that has to match all of it. In Keras the paths in a
    Sequential begin with the model's name, here with the layer's: ".*encoder/.*" is true of both.

    Arguments:
        default_optimizer: for paths that no key matches.
        optimizer_map: a dictionary of optimizers by path or expression.

    Raises:
        TypeError: no optimizer, or no dictionary.
        ValueError: a key that is there already, or is no string; an optimizer made of others; a path that several keys match.
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        self._default = _single("default_optimizer", default_optimizer)
        if not isinstance(optimizer_map, (dict, type(None))):
            raise TypeError(f"OptimizerMap: expected optimizer_map to be a dictionary, got {optimizer_map!r}")
        self._by_path: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    @property
    def default_optimizer(self) -> Optimizer:
        return self._default

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._by_path:
            return self._by_path[key]
        matching = [pattern for pattern in self._by_path if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(f"OptimizerMap: expected one optimizer for {key!r}, got those of {', '.join(map(repr, matching))}")
        return self._by_path[matching[0]] if matching else self._default

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ValueError(f"OptimizerMap: expected a key to be a path or an expression, got {key!r}")
        if key in self._by_path:
            raise ValueError(f"OptimizerMap: {key!r} has an optimizer already, {self._by_path[key]!r}: delete it before")
        try:
            re.compile(key)
        except re.error as error:
            raise ValueError(f"OptimizerMap: expected a key to be a path or an expression, got {key!r}: {error}") from error
        self._by_path[key] = _single(repr(key), optimizer)

    def __delitem__(self, key: str) -> None:
        del self._by_path[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_path)

    def __len__(self) -> int:
        return len(self._by_path)

    def __call__(self, parameter: Parameter) -> Optimizer:
        return self[parameter.path]

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this map again, keyed as in Keras."""
        return {"default_optimizer": serialization.serialize(self._default),
                "optimizer_map": serialization.serialize(self._by_path)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "OptimizerMap":
        """Make a map from what `get_config` gave, ours or Keras'."""
        default = serialization.deserialize_keras_object(config["default_optimizer"], custom_objects)
        by_path = serialization.deserialize_keras_object(config.get("optimizer_map"), custom_objects)
        return cls(default, by_path)


class MultiOptimizer(Wrapping):
    """Some parameters by one optimizer, others by another.

        MultiOptimizer(OptimizerMap(SGD(0.1), {"encoder/.*": Adam()}))
        MultiOptimizer(lambda parameter: adam if "encoder" in parameter.path else sgd)

    Each optimizer counts its own steps, has its own learning rate, and clips by a global norm what is its own.

    Arguments:
        optimizer_map: an `OptimizerMap`, or a function that gives the optimizer of a parameter; asked once for each.
        loss_scale_factor: as for `Optimizer`; the optimizers inside get it too.
        name: by default "multi_optimizer", numbered.

    Attributes:
        optimizers: those inside; of a function those that it has given so far.

    Raises:
        ValueError: no map and no function; later, a function that gives something else, or an optimizer made of others.
        AttributeError: its learning rate is asked for or set: the optimizers inside have their own.

    Source: keras.optimizers.MultiOptimizer.
    """

    def __init__(self, optimizer_map: OptimizerMap | Callable[[Parameter], Optimizer], loss_scale_factor: float | None = None,
                 name: str | None = None) -> None:
        self._map = function("MultiOptimizer", "optimizer_map", optimizer_map)
        self.optimizers: list[Optimizer] = []
        super().__init__(name, loss_scale_factor=loss_scale_factor)
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._take(optimizer)

    @property
    def loss_scale_factor(self) -> float | None:
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self.optimizers:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> float:
        """It has none."""
        raise AttributeError(f"{self.described} has no learning_rate of its own: ask those of its optimizers")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(f"{self.described} has no learning_rate of its own: set those of its optimizers")

    lr = learning_rate

    def _inner(self) -> list[Optimizer]:
        return self.optimizers

    def _places(self) -> list[str]:
        count: Counter[str] = Counter()
        places = []
        for kind in (snake_case(type(optimizer).__name__) for optimizer in self.optimizers):
            places.append(f"optimizers/{kind}_{count[kind]}" if count[kind] else f"optimizers/{kind}")
            count[kind] += 1
        return places

    def _take(self, optimizer: Optimizer) -> None:
        if all(optimizer is not other for other in self.optimizers):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self.optimizers.append(optimizer)

    def _route(self, parameter: Parameter) -> Optimizer:
        optimizer = self._map(parameter)
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Wrapping):
            raise ValueError(f"{self.described}: expected optimizer_map to give an optimizer that is not made of others for "
                             f"{parameter.path!r}, got {optimizer!r}")
        self._take(optimizer)
        return optimizer

    def _apply(self, gradients: list[Any], parameters: list[Parameter], device: str | None, scale: float = 1.0) -> None:
        if not parameters:
            return
        given = dict(zip(parameters, gradients, strict=True))
        for optimizer, its in self._routed(parameters):
            optimizer._apply([given[parameter] for parameter in its], its, device, scale)
        self._iterations += 1

    def get_config(self) -> dict[str, Any]:
        return {"optimizer_map": serialization.serialize(self._map), "loss_scale_factor": self.loss_scale_factor,
                "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "MultiOptimizer":
        by_path = serialization.deserialize_keras_object(config["optimizer_map"], custom_objects)
        return cls(**{**config, "optimizer_map": by_path})

    def __repr__(self) -> str:
        return f"<MultiOptimizer name={self.name}, optimizers={self.optimizers}>"


def _single(name: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"OptimizerMap: expected {name} to be an optimizer, got {optimizer!r}")
    if isinstance(optimizer, Wrapping):
        raise ValueError(f"OptimizerMap: expected {name} to be an optimizer that is not made of others, got {optimizer!r}")
    return optimizer
