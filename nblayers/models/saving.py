"""Models in files: the configuration as Keras writes it, the weights as NumPy arrays."""
import datetime
import io
import json
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.models.configuration import as_plain, assets_of, deserialize, give_assets, serialize
from nblayers.models.training import Trainer


def save_model(model: Trainer, filepath: Any, overwrite: bool = True) -> None:
    """Write a `.keras` file: a zip archive of metadata.json, config.json, model.weights.npz and, of vocabularies, assets.json.

    The configuration is Keras'; the weights lie in NumPy's format, so that no other library is needed to read them. What
    the optimizer remembers of past gradients is not saved.

    Raises:
        ValueError: a path that does not end in ".keras".
        FileExistsError: there is such a file, and `overwrite` is False.
    """
    from nblayers import __version__
    path = _checked(filepath, (".keras",), overwrite)
    config = serialize(model)
    if model.compiled:
        config["compile_config"] = serialization.serialize(model._compile_arguments)
    metadata = {"nblayers_version": __version__, "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    weights = io.BytesIO()
    np.savez(weights, **_named_weights(model))
    with _replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config, default=as_plain))
        archive.writestr("model.weights.npz", weights.getvalue())
        if assets := assets_of(model):
            archive.writestr("assets.json", json.dumps(assets, default=as_plain))


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True,
               safe_mode: bool = True) -> Any:
    """Make the model that `save_model` wrote, with its weights, compiled as it was.

    Arguments:
        custom_objects: classes and functions of your own that the model uses, by name.
        compile: whether to compile the model, if it was.
        safe_mode: False to run the bytecode of lambdas that the file brings; only for a file that you trust.

    Raises:
        ValueError: not such a file, an unknown class, or a lambda in safe mode.
    """
    path = Path(filepath)
    if not zipfile.is_zipfile(path):
        raise ValueError(f"load_model: expected a file written by model.save, got {str(path)!r}"
                         + ("" if path.exists() else ", which does not exist"))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "model.weights.npz" not in names:
            raise ValueError(f"load_model: expected an archive with model.weights.npz, got {path} with {', '.join(names)}: a "
                             "file of Keras itself? Build the model here and use set_weights(keras_model.get_weights())")
        config = json.loads(archive.read("config.json"))
        with np.load(io.BytesIO(archive.read("model.weights.npz")), allow_pickle=False) as file:
            weights = [file[name] for name in file.files]
        assets = json.loads(archive.read("assets.json")) if "assets.json" in names else {}
    model = deserialize(config, custom_objects, safe_mode)
    give_assets(model, assets)
    model.set_weights(weights)
    if compile and "compile_config" in config:
        model.compile(**serialization.deserialize_keras_object(config["compile_config"], custom_objects))
    return model


def save_weights(model: Trainer, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights, each under its path ("lstm/kernel"), to an `.npz` file, or with h5py to an `.h5` file.

    Raises:
        ValueError: another ending.
        FileExistsError: there is such a file, and `overwrite` is False.
        ImportError: an `.h5` file without h5py.
    """
    path = _checked(filepath, (".npz", ".h5"), overwrite)
    weights = _named_weights(model)
    if path.suffix == ".h5":
        h5py = _h5py(path)
        with _replacing(path) as file, h5py.File(file, "w") as store:
            for name, value in weights.items():
                store[name] = value
            store.attrs["weights"] = list(weights)      # their order
    else:
        with _replacing(path) as file:
            np.savez(file, **weights)


def load_weights(model: Trainer, filepath: Any) -> None:
    """Set the weights to those of a file of `save_weights`, in their order; the names need not be the same.

    Raises:
        ValueError: another ending, or weights of other shapes than the model's.
        FileNotFoundError: no such file.
        ImportError: an `.h5` file without h5py.
    """
    path = _checked(filepath, (".npz", ".h5"), True)
    if path.suffix == ".h5":
        h5py = _h5py(path)
        with h5py.File(path, "r") as store:
            if "weights" not in store.attrs:
                raise ValueError(f"load_weights: expected a file written by save_weights, got {path}")
            weights = [np.array(store[name]) for name in store.attrs["weights"]]
    else:
        with np.load(path, allow_pickle=False) as file:
            weights = [file[name] for name in file.files]
    model.set_weights(weights)


def _named_weights(model: Trainer) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for parameter in model.weights:
        name, count = parameter.path, 0
        while name in named:                            # layers of one name in two nested models
            count += 1
            name = f"{parameter.path}_{count}"
        named[name] = parameter.numpy()
    return named


def _h5py(path: Path) -> Any:
    try:
        return import_module("h5py")
    except ImportError as error:
        raise ImportError(f"{path}: an .h5 file needs h5py: pip install h5py (or take a name that ends in "
                          ".weights.npz)") from error


def _checked(filepath: Any, endings: tuple[str, ...], overwrite: bool) -> Path:
    path = Path(filepath)
    if path.suffix not in endings:
        raise ValueError(f"expected a path that ends in {' or '.join(endings)}, got {str(path)!r}")
    if not overwrite and path.exists():
        raise FileExistsError(f"{path} is there already: give overwrite=True to replace it")
    return path


@contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """A file to write to that takes the place of `path` when it is whole: an interrupt leaves the old one."""
    part = path.with_name(f"{path.name}.part{secrets.token_hex(4)}")        # another process or thread may write here too
    try:
        with open(part, "x+b") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
