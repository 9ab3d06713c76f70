"""Objects found by name, by Keras' configuration or as they are: initializers, activations, layers, losses and the rest.

A configuration is Keras' own:

    {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": 3}, "registered_name": None}
"""
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

_registered: dict[str, Any] = {}        # "package>name" -> class or function
_registered_names: dict[Any, str] = {}

# where a name is looked for when its configuration does not say: functions, and plain names in Keras' model files
_MODULES = ("activations", "losses", "metrics", "layers", "initializers", "regularizers", "constraints", "optimizers",
            "nn")


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator for your own class or function: configurations that name "package>name" then find it.

    Raises:
        ValueError: a class without `get_config`.
    """
    def register(target: Any) -> Any:
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise ValueError(f"register_keras_serializable: expected {target.__name__} to have get_config()")
        full_name = f"{package}>{name or target.__name__}"
        _registered[full_name] = target
        _registered_names[target] = full_name
        return target
    return register


def get_registered_name(target: Any) -> str:
    """The "package>name" under which a class or function was registered, else its own name."""
    return _registered_names.get(target, target.__name__)


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function registered under "package>name", else the one in `custom_objects`, else None."""
    return _registered.get(name, (custom_objects or {}).get(name))


def names(*classes: Any, **aliases: Any) -> dict[str, Any]:
    """A dictionary for `lookup`: each class or function under its own name, and further ones under their aliases."""
    return {**{each.__name__: each for each in classes}, **aliases}


def lookup(identifier: Any, classes: Mapping[str, Any], kind: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object that `identifier` stands for.

    Arguments:
        identifier: None (gives None), a name as "GlorotUniform" or "glorot_uniform", a configuration, a class (gives an
            instance) or an object, which comes back as it is.
        classes: the classes and functions of this kind by their names (see `names`).
        kind: what an error message calls it, "initializer".
        custom_objects: your own classes and functions by name, beside the registered ones.

    Raises:
        ValueError: a name that nothing of this kind has; says which names are close to it.
        TypeError: an identifier of another type, or a configuration that the class does not accept.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return _made(_find([identifier], classes, kind, custom_objects))
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config")
        if name is None:
            raise ValueError(f"expected the configuration of {_article(kind)} to have a 'class_name', got {dict(identifier)!r}")
        if name == "function":
            return _find([str(config)], classes, kind, custom_objects)
        found = _find([identifier.get("registered_name"), name], classes, kind, custom_objects)
        return _made(found, config or {}, custom_objects)
    found = identifier() if inspect.isclass(identifier) else identifier
    if callable(found) or isinstance(found, tuple(c for c in classes.values() if inspect.isclass(c))):
        return found
    raise TypeError(f"expected {_article(kind)} (a name, a configuration or an object), got {identifier!r}")


def _find(candidates: Iterable[Any], classes: Mapping[str, Any], kind: str, custom_objects: Mapping[str, Any] | None) -> Any:
    wanted = [name for name in candidates if name]
    for name in wanted:
        if (found := get_registered_object(name, custom_objects)) is not None:
            return found
    plain = {_plain(name): found for name, found in classes.items()}
    for name in wanted:
        if (found := classes.get(name, plain.get(_plain(name)))) is not None:
            return found
    name = wanted[-1] if wanted else ""
    raise ValueError(f"unknown {kind} {name!r}{_suggestion(name, classes)}")


def _suggestion(name: str, classes: Mapping[str, Any]) -> str:
    spelled = {_plain(known): known for known in classes}
    close = [spelled[match] for match in difflib.get_close_matches(_plain(name), spelled, n=3)]
    if close:
        return f": did you mean {' or '.join(map(repr, close))}?"
    known = f"expected one of {', '.join(sorted(classes))}, or " if classes else ""
    return f": {known}your own, registered with register_keras_serializable"


def _plain(name: str) -> str:
    """What CamelCase and snake_case spellings of a name have in common."""
    return name.replace("_", "").lower()


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _made(found: Any, config: Mapping[str, Any] | None = None, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """An instance of a class, made with its defaults if there is no configuration; functions as they are."""
    if not inspect.isclass(found):
        return found
    if config is None:
        return found()
    make: Any = getattr(found, "from_config", None)
    if make is None:
        return found(**config)
    nested = {"custom_objects": custom_objects} if "custom_objects" in inspect.signature(make).parameters else {}
    return make(dict(config), **nested)


def serialize(target: Any, module: str | None = None) -> Any:
    """The configuration of an object in Keras' form.

    Arguments:
        target: an object with `get_config`, a function, an array, a plain value, or a list, tuple or dictionary of these.
        module: Keras' module of one of our objects, "keras.initializers"; by default found from where its class stands.

    Raises:
        TypeError: an object without `get_config`.
    """
    if target is None or isinstance(target, (bool, int, float, str)):
        return target
    if isinstance(target, (list, tuple)):
        return type(target)(serialize(item) for item in target)
    if isinstance(target, Mapping):
        return {key: serialize(value) for key, value in target.items()}
    if isinstance(target, np.ndarray) and target.ndim:
        return {"class_name": "__numpy__", "config": {"value": target.tolist(), "dtype": target.dtype.name}}
    if isinstance(target, (np.ndarray, np.generic)):
        return target.item()
    if callable(target) and hasattr(target, "__name__"):
        name = get_registered_name(target)
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    if not hasattr(target, "get_config"):
        raise TypeError(f"cannot serialize {target!r}: expected its class to have get_config()")
    cls = type(target)
    ours = cls.__module__.startswith("nblayers.") and cls not in _registered_names
    return {"module": (module or _keras_module(cls)) if ours else cls.__module__, "class_name": cls.__name__,
            "config": serialize(target.get_config()), "registered_name": None if ours else get_registered_name(cls)}


def _keras_module(cls: type) -> str:
    """"keras.layers" for a class of nblayers.layers.core; "keras" for the models."""
    package = cls.__module__.split(".")[1]
    return "keras" if package == "models" else f"keras.{package}"


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object that `serialize_keras_object`, ours or Keras', made this configuration from; plain values as they are.

    Raises:
        ValueError: it names nothing that we have and nothing that was registered.
    """
    if isinstance(config, (list, tuple)):
        return [deserialize_keras_object(item, custom_objects) for item in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: deserialize_keras_object(value, custom_objects) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name == "__numpy__":
        return np.array(inner["value"], dtype=inner["dtype"])
    spelling = str(inner if name == "function" else name)
    found = _in_our_modules(spelling, config.get("module"))
    return lookup(config, {} if found is None else {spelling: found}, "object", custom_objects)


def _in_our_modules(name: str, module: str | None) -> Any:
    package = (module or "").removeprefix("keras").removeprefix(".").split(".")[0]
    for place in [package] if package in _MODULES or package == "random" else ["models", *_MODULES]:
        try:
            found = getattr(import_module(f"nblayers.{place}"), name, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            return found
    return None


serialize_keras_object = serialize
