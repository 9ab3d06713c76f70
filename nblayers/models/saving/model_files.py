"""Models in files, as Keras 3 writes them: the configuration, the weights, what the layers have learned."""
import datetime
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from nblayers.layers.limits import at_most
from nblayers.models.configuration import as_plain, deserialize, give_assets, serialize
from nblayers.models.saving import contents
from nblayers.models.saving.archive import Archive
from nblayers.models.saving.files import checked_path, reading, write
from nblayers.models.saving.stores import H5Store, NpzStore, Store, h5_of
from nblayers.models.training import Trainer

_WEIGHTS = "model.weights.h5"
_OLD_WEIGHTS = "model.weights.npz"      # of nblayers 0.1


def save_model(model: Trainer, filepath: Any, overwrite: bool = True) -> None:
    """Write a `.keras` file, which Keras 3 opens too: all that is needed to use the model, or to train on, elsewhere.

    A zip archive of metadata.json (with the state of the layers' random numbers), config.json, model.weights.h5 (with the state
    of the optimizer) and the vocabularies in assets/.

    Raises:
        ValueError: a path that does not end in ".keras".
        FileExistsError: there is such a file, and `overwrite` is False.
        ImportError: h5py is not installed.
    """
    path = checked_path("save_model", filepath, (".keras",), overwrite)
    config = serialize(model)
    vocabularies = contents.vocabularies_of(model)
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("metadata.json", json.dumps(_metadata(model, vocabularies), default=as_plain))
        archive.writestr("config.json", json.dumps(config, default=as_plain))
        archive.writestr(_WEIGHTS, h5_of(contents.arrays_of(model), contents.names_of(model), path))
        for place, tokens in vocabularies.items():
            archive.writestr(f"assets/{place}/vocabulary.txt", contents.as_lines(tokens))
    write(path, content.getbuffer())


def _metadata(model: Trainer, vocabularies: Mapping[str, Any]) -> dict[str, Any]:
    from nblayers import __version__
    others = {place: tokens for place, tokens in vocabularies.items() if not contents.fits_lines(tokens)}
    return {"nblayers_version": __version__, "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
            "seeds": contents.seed_states_of(model), "vocabularies": others}


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True,
               safe_mode: bool = True) -> Any:
    """Make the model that `save_model`, ours or Keras', wrote: with its weights, compiled as it was, its optimizer as it was.

    Arguments:
        custom_objects: classes and functions of your own that the model uses, by name.
        compile: whether to compile the model, if it was.
        safe_mode: False to run the bytecode of lambdas that the file brings; only for a file that you trust.

    Raises:
        ValueError: no such file; a damaged one; an unknown class; a lambda, or the path of another file, in safe mode.
        ImportError: h5py is not installed.
    """
    path = Path(filepath)
    if (path / "saved_model.pb").exists():
        raise ValueError(f"load_model: expected a file written by model.save, got {str(path)!r}, a SavedModel of TensorFlow: "
                         f"use nblayers.layers.TFSMLayer({str(path)!r}) as a layer of a model")
    if not path.is_file():
        raise ValueError(f"load_model: expected a file written by model.save, got {str(path)!r}"
                         + ("" if path.exists() else ", which does not exist"))
    with reading("load_model", path), open(path, "rb") as file:
        if file.read(2) != b"PK":
            raise ValueError("expected a file written by model.save, a zip archive, got something else")
        archive = Archive(file)
        with _weights(archive, path) as store:
            return _made(archive, store, custom_objects, compile, safe_mode)


def _made(archive: Archive, store: Store, custom_objects: Mapping[str, Any] | None, compile: bool, safe_mode: bool) -> Any:
    config, metadata = (json.loads(archive.text(member)) for member in ("config.json", "metadata.json"))
    if not isinstance(config, dict) or not isinstance(metadata, dict):
        raise ValueError(f"expected the configuration of a model, got {type(config).__name__}")
    if "nblayers_version" not in metadata:
        _leave_out_training(config)
    with at_most(2 * store.size + 1000):                # a model that is larger is not the one whose weights these are
        model = deserialize(config, custom_objects, safe_mode, compile)
    if not isinstance(model, Trainer):
        raise ValueError(f"expected the configuration of a model, got that of {model!r}")
    if _OLD_WEIGHTS in archive and "assets.json" in archive:
        give_assets(model, json.loads(archive.text("assets.json")))
    else:
        contents.load_vocabularies(model, archive, store, metadata.get("vocabularies", {}))
    contents.load(model, store)
    contents.load_seed_states(model, metadata.get("seeds", {}))
    return model


def _leave_out_training(config: Any) -> None:
    """Keras notes in each call of a layer whether it was one of training (of Dropout: no), and fit and predict overrule it."""
    for item in _dictionaries(config):
        nodes = item.get("inbound_nodes")
        for node in nodes if isinstance(nodes, list) else []:
            if isinstance(node, dict) and isinstance(node.get("kwargs"), dict):
                node["kwargs"].pop("training", None)


def _dictionaries(config: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries in a configuration."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
        waiting += item.values() if isinstance(item, dict) else item if isinstance(item, list) else []


@contextmanager
def open_weights(path: Path) -> Iterator[Store]:
    """The arrays in a `.keras` file."""
    with open(path, "rb") as file, _weights(Archive(file), path) as store:
        yield store


@contextmanager
def _weights(archive: Archive, path: Path) -> Iterator[Store]:
    if _OLD_WEIGHTS in archive and _WEIGHTS not in archive:
        content = archive.read(_OLD_WEIGHTS)
        with NpzStore(Archive(io.BytesIO(content))) as store:
            store.check_size(len(content))
            yield store
    else:
        with H5Store(io.BytesIO(archive.read(_WEIGHTS)), path) as store:
            yield store
