"""Models as configurations, in the form in which Keras writes them."""
import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.layers.base import Layer, _flatten
from nblayers.models.training import Trainer


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer or model as Keras writes it: {"module", "class_name", "config", "registered_name"}."""
    described = serialization.serialize(layer)
    if described["module"] == "keras" and described["class_name"] == "Model":
        described.update(module="keras.src.models.functional", class_name="Functional", registered_name="Functional")
    return described


def deserialize(described: dict[str, Any], custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Make a layer or model from what `serialize`, ours or Keras', gave.

    Arguments:
        described: {"class_name": …, "config": …}.
        custom_objects: your own classes and functions by name, the registered ones apart.
        safe_mode: False to run the bytecode of lambdas, which could do anything.

    Raises:
        ValueError: a class that is neither ours nor known as custom.
    """
    own = custom_objects or {}
    name = described["class_name"]
    cls = serialization.get_registered_object(described.get("registered_name") or name, own) or own.get(name)
    for place in ("nn",) if described.get("module") == "keras.nn" else ("models", "layers", "nn"):
        cls = cls or getattr(import_module(f"nblayers.{place}"), name, None)
    if cls is None:
        raise ValueError(f"the configuration names a layer {name!r} that nblayers does not have: give your own as "
                         f"custom_objects={{{name!r}: {name}}}")
    options = {"custom_objects": own, "safe_mode": safe_mode}
    accepted = inspect.signature(cls.from_config).parameters
    return cls.from_config(described["config"], **{key: value for key, value in options.items() if key in accepted})


def to_json(model: Trainer, **kwargs: Any) -> str:
    """The configuration of a model as text; the keywords are those of `json.dumps`."""
    return json.dumps(serialize(model), default=as_plain, **kwargs)


def model_from_json(text: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with fresh weights, from what `model.to_json()` gave.

    Raises:
        ValueError: a layer of an unknown class; give it in `custom_objects`.
    """
    return deserialize(json.loads(text), custom_objects)


def clone_model(model: Trainer) -> Any:
    """A model of the same layers with fresh weights; vocabularies are the same."""
    own = {type(layer).__name__: type(layer) for layer in _flatten(model)}
    clone = deserialize(serialize(model), own, safe_mode=False)
    give_assets(clone, assets_of(model))
    return clone


def assets_of(model: Trainer) -> dict[str, Any]:
    """What the layers keep beside their weights, by the layers' numbers."""
    return {str(number): layer.assets for number, layer in enumerate(_flatten(model)) if layer.assets is not None}


def give_assets(model: Trainer, assets: Mapping[str, Any]) -> None:
    layers = _flatten(model)
    for number, asset in assets.items():
        layers[int(number)].assets = asset


def as_plain(value: Any) -> Any:
    """What JSON does not know: NumPy's numbers and arrays."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"cannot write {value!r} to JSON")
