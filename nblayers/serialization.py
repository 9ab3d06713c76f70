"""Objects found by name, by Keras' configuration or as they are: initializers, activations, layers, losses and the rest.

A configuration is Keras' own:

    {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": 3}, "registered_name": None}
"""
import difflib
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from nblayers import lambdas

_registered: dict[str, Any] = {}        # "package>name" -> class or function
_registered_names: dict[Any, str] = {}

# where a name is looked for when its configuration does not say: functions, and plain names in Keras' model files
_MODULES = ("activations", "losses", "metrics", "layers", "initializers", "regularizers", "constraints", "optimizers",
            "optimizers.schedules", "nn")
_WRITTEN = "biufcU"                     # kinds of arrays in configurations
_HOMES_OF_FUNCTIONS = ("nblayers.activations", "nblayers.losses", "nblayers.metrics")
_NO_PART_OF_A_MODEL = {"get", "resolve", "serialize", "deserialize"}


class Reading:
    """What one reading of configurations goes by, from its outermost call to the end of it.

    Attributes:
        safe_mode: whether bytecode, and files outside of the model's own, are refused.
        compile: whether models are compiled as their configurations say.
        shared: the objects made so far by their `shared_object_id`.
        told: the error that says already which object could not be made.
    """

    def __init__(self, safe_mode: bool, compile: bool) -> None:
        self.safe_mode, self.compile = safe_mode, compile
        self.shared: dict[Any, Any] = {}
        self.told: BaseException | None = None


class Writing:
    """What one writing of configurations remembers, from its outermost call to the end of it.

    Attributes:
        in_memory: nothing goes to a file: functions and classes stand for themselves.
        written: each object so far and its description, by the object's id.
        descriptions: the ids of these descriptions.
    """

    def __init__(self, in_memory: bool) -> None:
        self.in_memory = in_memory
        self.written: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.descriptions: set[int] = set()
        self.shared_count = 0


class _Thread(threading.local):
    reading: Reading | None = None
    writing: Writing | None = None

    def __init__(self) -> None:
        self.custom_objects: dict[str, Any] = {}


_thread = _Thread()


class CustomObjectScope:
    """Inside `with custom_object_scope({"Scale": Scale}):` configurations of this thread find these classes and functions.

    Scopes may stand inside each other: the inner one's names come first.

    Raises:
        TypeError: no dictionary of names.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        if not isinstance(custom_objects, (Mapping, type(None))):
            raise TypeError(f"custom_objects: expected a dictionary of classes and functions by name, got {custom_objects!r}")
        self.custom_objects = dict(custom_objects or {})

    def __enter__(self) -> "CustomObjectScope":
        self._outer = _thread.custom_objects
        _thread.custom_objects = {**self._outer, **self.custom_objects}
        return self

    def __exit__(self, *error: Any) -> None:
        _thread.custom_objects = self._outer


custom_object_scope = CustomObjectScope


def get_custom_objects() -> dict[str, Any]:
    """The live dictionary of registered classes and functions; what is put into it is found by its name everywhere."""
    return _registered


@contextmanager
def reading(custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True, compile: bool = True,
            afresh: bool = False) -> Iterator[Reading]:
    """One reading of configurations: inside of another one it goes on with that one's settings and shared objects.

    Arguments:
        custom_objects: classes and functions by name, found by all that is read inside.
        safe_mode, compile: see `Reading`; the outermost call's hold.
        afresh: a reading of its own, wherever it stands.

    Raises:
        ValueError: configurations nested too deeply to be read.
    """
    outer = _thread.reading
    with custom_object_scope(custom_objects):
        if outer is not None and not afresh:
            yield outer
            return
        _thread.reading = Reading(safe_mode, compile)
        try:
            yield _thread.reading
        except RecursionError:
            raise ValueError("the configuration is nested too deeply to be read") from None
        finally:
            _thread.reading = outer


@contextmanager
def writing(in_memory: bool = False) -> Iterator[Writing]:
    """One writing of configurations: an object met twice in it is written as shared.

    Raises:
        ValueError: an object that holds itself.
    """
    outer = _thread.writing
    if outer is not None and not in_memory:
        yield outer
        return
    _thread.writing = Writing(in_memory)
    try:
        yield _thread.writing
    except RecursionError:
        raise ValueError("the configuration holds itself, or is nested too deeply to be written") from None
    finally:
        _thread.writing = outer


def in_safe_mode() -> bool:
    """Whether a configuration is being read that may neither run code nor name files."""
    return _thread.reading is not None and _thread.reading.safe_mode


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


def get_registered_object(name: Any, custom_objects: Mapping[str, Any] | None = None,
                          module_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function of that name in a `custom_object_scope`, else registered, else in the dictionaries, else None."""
    if not isinstance(name, str):
        return None
    for known in (_thread.custom_objects, _registered, custom_objects, module_objects):
        if known and name in known:
            return known[name]
    return None


def custom_object(value: Any) -> Any:
    """What a string names in a `custom_object_scope` or among the registered objects; else the value."""
    found = get_registered_object(value)
    return value if found is None else found


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
        if not isinstance(name, str):
            raise ValueError(f"expected the configuration of {_article(kind)} to have a 'class_name', got {dict(identifier)!r}")
        with reading(custom_objects):
            if name == "function":
                return _find([str(config)], classes, kind, custom_objects)
            if name == "__lambda__":
                return _read_lambda(identifier)
            registered = identifier.get("registered_name")
            found = registered if inspect.isclass(registered) else _find([registered, name], classes, kind, custom_objects)
            return revived(identifier, found)
    found = identifier() if inspect.isclass(identifier) else identifier
    if callable(found) or isinstance(found, tuple(c for c in classes.values() if inspect.isclass(c))):
        return found
    raise TypeError(f"expected {_article(kind)} (a name, a configuration or an object), got {identifier!r}")


def _find(candidates: Iterable[Any], classes: Mapping[str, Any], kind: str, custom_objects: Mapping[str, Any] | None) -> Any:
    wanted = [name for name in candidates if name and isinstance(name, str)]
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


def _made(found: Any) -> Any:
    """An instance of a class, made with its defaults; functions as they are."""
    return found() if inspect.isclass(found) else found


def remade(target: Any, **changes: Any) -> Any:
    """An object of the same configuration, or a list of these, without weights; functions and classes are the same ones.

    Arguments:
        changes: other values in the configuration.
    """
    with writing(in_memory=True):
        described = serialize(target)
    if changes:
        described["config"].update(changes)
    with reading(safe_mode=False, afresh=True):
        return _read(described)


def serialize(target: Any, module: str | None = None) -> Any:
    """The configuration of an object in Keras' form.

    An object that stands several times in `target` gets a `shared_object_id`, as in Keras' files. What could not be read back
    is refused.

    Arguments:
        target: an object with `get_config`, a function, an array, a plain value, or a list, tuple or dictionary of these.
        module: Keras' module of one of our objects, "keras.initializers"; by default found from where its class stands.

    Raises:
        TypeError: an object without `get_config`, or whose class cannot be made from what its `get_config` gives; a lambda
            that uses what cannot be written.
        ValueError: an object that holds itself.
    """
    with writing() as scope:
        return _written(target, scope, module)


def _written(target: Any, scope: Writing, module: str | None = None) -> Any:
    if target is None or isinstance(target, (bool, int, float, str)):
        return target
    if isinstance(target, (list, tuple)):
        return type(target)(_written(item, scope) for item in target)
    if isinstance(target, Mapping) and not hasattr(target, "get_config"):
        if id(target) in scope.descriptions:
            return target                               # it may be told later that it is shared
        return {key: _written(value, scope) for key, value in target.items()}
    if isinstance(target, np.ndarray) and target.ndim:
        return {"class_name": "__numpy__", "config": {"value": target.tolist(), "dtype": _dtype_of(target)}}
    if isinstance(target, (np.ndarray, np.generic)):
        return target.item()
    if callable(target) and hasattr(target, "__name__"):
        return _written_function(target, scope)
    if hasattr(target, "get_config"):
        return _described(target, scope, module)
    if scope.in_memory:
        return target
    raise TypeError(f"cannot serialize {target!r}: expected its class to have get_config()")


def _dtype_of(array: np.ndarray) -> str:
    """The name of the dtype; strings are "str", as long as the longest of them."""
    if array.dtype.kind not in _WRITTEN:
        raise TypeError(f"cannot serialize an array of dtype {array.dtype}: expected numbers or strings")
    return "str" if array.dtype.kind == "U" else array.dtype.name


def _written_function(function: Any, scope: Writing) -> Any:
    if scope.in_memory:
        return function
    if lambdas.is_lambda(function):
        return {"class_name": "__lambda__", "config": lambdas.write(function)}
    module = "numpy" if isinstance(function, np.ufunc) else "builtins"
    return {"module": module, "class_name": "function", "config": get_registered_name(function), "registered_name": "function"}


_DESCRIBING = ("module", "class_name", "config", "registered_name", "build_config", "compile_config", "shared_object_id")


def _described(target: Any, scope: Writing, module: str | None) -> dict[str, Any]:
    """The description of an object with `get_config`; of one that was described before, with the number of both."""
    if id(target) in scope.written:
        _, first = scope.written[id(target)]
        if "shared_object_id" not in first:
            first["shared_object_id"] = scope.shared_count
            scope.shared_count += 1
        again = {key: first[key] for key in _DESCRIBING if key in first}
        scope.descriptions.add(id(again))
        scope.written[id(again)] = again, again         # keeps it alive, and its id its own
        return again
    cls = type(target)
    ours = is_ours(cls)
    config = target.get_config()
    if not ours:
        check_readable(target, config)
    registered = None if ours else cls if scope.in_memory else get_registered_name(cls)
    described = {"module": (module or _keras_module(cls)) if ours else cls.__module__, "class_name": cls.__name__,
                 "config": _written(config, scope), "registered_name": registered}
    if not ours and (built := _asked(target, "get_build_config")):
        described["build_config"] = _written(built, scope)
    if compiled := _asked(target, "get_compile_config"):
        described["compile_config"] = _written(compiled, scope)
    scope.written[id(target)] = target, described
    scope.descriptions.add(id(described))
    return described


def _asked(target: Any, method: str) -> Any:
    return getattr(target, method)() if hasattr(target, method) else None


def is_ours(cls: type) -> bool:
    """Whether a class is one of nblayers' own, found by its name without being registered."""
    return cls.__module__.startswith("nblayers.") and cls not in _registered_names


def check_readable(target: Any, config: Any) -> None:
    """See that `from_config`, where it is the usual one, can make an object of somebody's own class again.

    Raises:
        TypeError: `get_config` gives no dictionary, leaves out what `__init__` needs, or holds what it does not take.
    """
    cls = type(target)
    who = f"{cls.__name__} {config['name']!r}" if isinstance(config, Mapping) and "name" in config else cls.__name__
    if not isinstance(config, Mapping):
        raise TypeError(f"{who}: expected get_config() to give a dictionary, got {config!r}")
    left_out = [name for name in getattr(target, "_arguments_left_out", ()) if name not in config]
    if left_out:
        raise TypeError(f"{who} could not be read back: write a get_config() that adds {', '.join(left_out)} to "
                        "super().get_config(), and a from_config() if they are no plain values")
    make = getattr(cls.from_config, "__func__", None) if hasattr(cls, "from_config") else None
    if make is None or not (make.__module__ or "").startswith("nblayers.") or "input_layers" in config:
        return
    init = inspect.signature(cls)
    given = {key: value for key, value in config.items() if key in init.parameters or key not in cls_settings(cls)}
    try:
        init.bind(**given)
    except TypeError as error:
        raise TypeError(f"{who} could not be read back: {error} in __init__, which is given what get_config() gives: "
                        f"{', '.join(given) or 'nothing'}. Write a get_config() that adds the arguments of __init__ to "
                        "super().get_config(), and take **kwargs in __init__") from None


def cls_settings(cls: type) -> frozenset[str]:
    """The keys of a configuration that `from_config` sets where `__init__` does not take them."""
    return getattr(cls, "settings_beside_init", frozenset())


def _keras_module(cls: type) -> str:
    """"keras.layers" for a class of nblayers.layers.core; "keras" for the models."""
    if (module := getattr(cls, "keras_module", None)) is not None:
        return str(module)
    place = cls.__module__.removeprefix("nblayers.")
    package = place if place in _MODULES else place.split(".")[0]
    return "keras" if package == "models" else f"keras.{package}"


def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """The object that `serialize_keras_object`, ours or Keras', made this configuration from; plain values as they are.

    Arguments:
        config: an object's configuration, or a list or dictionary of these.
        custom_objects: your own classes and functions by name, the registered ones apart.
        safe_mode: False to run the bytecode of lambdas, which could do anything.

    Raises:
        ValueError: it names nothing that we have and nothing that was registered; it is damaged.
    """
    with reading(custom_objects, safe_mode):
        return _read(config)


def _read(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        return [_read(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config or "config" not in config:
        return {key: _read(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name in ("__numpy__", "__tensor__"):
        return read_array(inner)
    if name == "__lambda__":
        return _read_lambda(config)
    if name == "function":
        return _read_function(inner, config.get("module"))
    return revived(config, find_class(config))


def read_array(config: Any) -> np.ndarray:
    """The array that was written as {"value": [[1.0, …]], "dtype": "float32"}.

    Raises:
        ValueError: it is no such array.
    """
    try:
        name = config["dtype"]
        dtype = np.dtype("str" if str(name).startswith("str") else name)        # "str96" in older files
        if dtype.kind in _WRITTEN:
            return np.array(config["value"], "str" if dtype.kind == "U" else dtype)
    except (TypeError, KeyError, ValueError, OverflowError):
        pass
    raise ValueError(f"expected an array of numbers as {{'value': …, 'dtype': …}}, got {_shortened(config)}")


def _read_lambda(described: Mapping[str, Any]) -> Any:
    if in_safe_mode():
        raise ValueError("the configuration brings a lambda as bytecode, which could do anything: pass safe_mode=False "
                         "if you trust where it comes from, or use a named function")
    config = described.get("config")
    return lambdas.read(config.get("value", config) if isinstance(config, Mapping) else config)


def _read_function(name: Any, module: Any) -> Any:
    if (found := get_registered_object(name)) is not None:
        return found
    if module == "numpy" and isinstance(name, str) and isinstance(found := getattr(np, name, None), np.ufunc):
        return found
    found = _in_our_modules(name, module, lambda home, found: callable(found) and not inspect.isclass(found)
                            and home in _HOMES_OF_FUNCTIONS and f"{found.__module__}.".startswith(f"{home}.")
                            and name not in _NO_PART_OF_A_MODEL)
    if found is None:
        raise ValueError(f"found no function {name!r}: register it with register_keras_serializable, or hand it over in "
                         "custom_objects={name: function}")
    return found


def find_class(described: Mapping[str, Any], kind: str = "class") -> Any:
    """The class that a description names: registered, in `custom_objects`, or ours.

    Raises:
        ValueError: there is none.
    """
    name, registered = described.get("class_name"), described.get("registered_name")
    if inspect.isclass(registered):
        return registered
    for candidate in (registered, name):
        if (found := get_registered_object(candidate)) is not None:
            return found
    found = _in_our_modules(name, described.get("module"), lambda home, found: inspect.isclass(found)
                            and found.__module__.startswith("nblayers.") and hasattr(found, "from_config"))
    if found is None:
        raise ValueError(f"the configuration names a {kind} {name!r} that nblayers does not have: give your own as "
                         f"custom_objects={{{name!r}: {name}}}, or register it with register_keras_serializable")
    return found


def _in_our_modules(name: Any, module: Any, accepts: Callable[[str, Any], bool]) -> Any:
    if not isinstance(name, str) or not isinstance(module, (str, type(None))) or name.startswith("_"):
        return None
    if (module or "").startswith("keras.src.ops."):
        places = ["layers.mask_operations"]
    else:
        path = (module or "").removeprefix("keras").removeprefix(".")
        package = path if path in _MODULES else path.split(".")[0]
        places = [package] if package in _MODULES or package == "random" else ["models", *_MODULES]
    for place in places:
        found = getattr(import_module(f"nblayers.{place}"), name, None)
        if found is not None and accepts(f"nblayers.{place}", found):
            return found
    return None


def revived(described: Mapping[str, Any], cls: Any) -> Any:
    """The object of a description: the one made before where it is shared; errors name it and what is wrong with it."""
    scope = _thread.reading
    assert scope is not None
    config, number = described.get("config"), described.get("shared_object_id")
    named = config.get("name") if isinstance(config, Mapping) else None
    who = f"{described['class_name']} {named!r}" if isinstance(named, str) else str(described["class_name"])
    if not isinstance(number, (int, str, type(None))):
        raise ValueError(f"{who}: expected a number as shared_object_id, got {_shortened(number)}")
    if not isinstance(config, (Mapping, type(None))):
        raise ValueError(f"{who}: expected a dictionary as its config, got {_shortened(config)}")
    if not inspect.isclass(cls):
        return cls                                      # a function, registered in the place of a class
    if number is not None and number in scope.shared:
        shared = scope.shared[number]
        if not isinstance(shared, cls):
            raise ValueError(f"{who}: shared_object_id {number} is that of {_shortened(shared)}")
        return shared
    with telling(who, cls, dict(config or {}), named):
        made = _made_from(cls, dict(config or {}), described, scope)
    if number is not None:
        scope.shared[number] = made
    return made


@functools.cache
def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _made_from(cls: Any, config: dict[str, Any], described: Mapping[str, Any], scope: Reading) -> Any:
    if not hasattr(cls, "from_config"):
        return cls(**config)
    accepted = _parameters(getattr(cls.from_config, "__func__", cls.from_config))
    options = {"custom_objects": _thread.custom_objects, "safe_mode": scope.safe_mode}
    made = cls.from_config(config, **{key: value for key, value in options.items() if key in accepted})
    built, compiled = described.get("build_config"), described.get("compile_config")
    if built and not is_ours(cls) and hasattr(made, "build_from_config") and not made.built:
        made.build_from_config(built)
    if compiled and scope.compile and hasattr(made, "compile_from_config"):
        made.compile_from_config(compiled)
    return made


@contextmanager
def telling(who: str, cls: Any = None, config: Mapping[str, Any] | None = None, named: Any = None) -> Iterator[None]:
    """Errors inside, of whatever kind, become a ValueError that says which object could not be made, once.

    Arguments:
        who: the object.
        cls, config, named: its class, configuration and name, where that is what it is made from.
    """
    scope = _thread.reading
    try:
        yield
    except RecursionError:
        raise
    except Exception as error:
        if scope is not None and error is scope.told:
            raise
        told = ValueError(_told(who, error, cls, config or {}, named))
        if scope is not None:
            scope.told = told
        raise told from error


def _told(who: str, error: Exception, cls: Any, config: Mapping[str, Any], named: Any) -> str:
    """What to say of an error in making an object."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if isinstance(error, ValueError) and (named is None or repr(named) in text):
        return text
    if not config:
        return f"{who}: {text}"
    key = _culprit(cls, config) if is_ours(cls) and not isinstance(error, ValueError) else None
    if key is not None:
        return f"{who}: cannot be made with {key}={_shortened(config[key])}: {text}"
    return f"{who}: cannot be made from its configuration of {', '.join(map(str, config))}: {text}"


def _culprit(cls: Any, config: Mapping[str, Any]) -> str | None:
    """The key without which the object can be made."""
    if "layers" in config:                              # whole models are not made again and again
        return None
    for key in config:
        try:
            cls.from_config({other: value for other, value in config.items() if other != key})
        except Exception:
            continue
        return key
    return None


def _shortened(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):                # ValueError: an integer of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]}…"


serialize_keras_object = serialize
