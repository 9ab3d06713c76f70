"""What of a model a file holds: its weights, the optimizer's state, vocabularies, the layers' random numbers."""
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nblayers.layers.preprocessing.holds_vocabulary import HoldsVocabulary
from nblayers.models.saving.archive import Archive
from nblayers.models.saving.places import layers_by_path
from nblayers.models.saving.stores import Entry, Store
from nblayers.models.training import Trainer
from nblayers.parameter import Parameter
from nblayers.random import SeedGenerator

_OPTIMIZER = "optimizer/vars/"
# the state of optimizers inside of another one, which has all of it too
_INNER_OPTIMIZERS = re.compile(r"optimizer/(inner_optimizer/)?(optimizers/\w+/)?vars/\d+$")
# what files hold beside, and no layer here asks for
_BESIDE = re.compile(r"(metrics|loss|_(?!layer_checkpoint_dependencies)\w+)/|(.*/)?seed_generator/|.*vars/idf_weights$")


class Slot(NamedTuple):
    """One array of a model that a file holds.

    Attributes:
        name: where it lies in the file.
        label: what the user knows it as.
        shape, dtype: what it must be.
        get, set: give its value; put another one in its place.
    """

    name: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype
    get: Callable[[], np.ndarray]
    set: Callable[[np.ndarray], None]


def slots_of(model: Trainer) -> list[Slot]:
    """All weights, and the weights of tokens, by their places in the file."""
    slots = []
    for path, layer in layers_by_path(model).items():
        for number, parameter in enumerate(layer._parameters):
            slots.append(Slot(_variable(path, number), parameter.path, parameter.shape, np.dtype(parameter.dtype),
                              parameter.numpy, parameter.assign))
        if isinstance(layer, HoldsVocabulary) and (idf := layer.idf_weights) is not None:
            slots += [Slot(_variable(place, "idf_weights"), f"{layer.name}/idf_weights", idf.shape, idf.dtype, idf.copy,
                           partial(_give_idf_weights, layer)) for place in _places(path)]
    return slots


def _variable(path: str, name: Any) -> str:
    return f"{path}/vars/{name}".lstrip("/")


def _places(path: str) -> list[str]:
    """Where the vocabulary of a layer lies: that of a TextVectorization in two places, as in Keras' files."""
    outer, _, last = path.rpartition("/")
    return [path, outer] if last == "_lookup_layer" else [path]


def _give_idf_weights(layer: HoldsVocabulary, idf: np.ndarray) -> None:
    layer.assets = {"vocabulary": layer.get_vocabulary(include_special_tokens=False), "idf_weights": idf.tolist()}


def arrays_of(model: Trainer) -> dict[str, np.ndarray]:
    """Every array of the model and of its optimizer, by its place in the file."""
    arrays = {slot.name: slot.get() for slot in slots_of(model)}
    if model.optimizer is not None and model.built:
        arrays.update(_arrays_of(model.optimizer, model.trainable_weights, "optimizer"))
    return arrays


def _arrays_of(optimizer: Any, parameters: list[Parameter], place: str) -> dict[str, np.ndarray]:
    """The state of an optimizer, and once more that of each inside of it, as in Keras' files."""
    arrays = {_variable(place, number): array for number, array in enumerate(optimizer.state_for(parameters))}
    for name, inner, its in optimizer.inner_places(parameters):
        arrays.update(_arrays_of(inner, its, f"{place}/{name}"))
    return arrays


def names_of(model: Trainer) -> dict[str, str]:
    """The names of the layers, and the optimizer's, by their paths."""
    names = {path: layer.name for path, layer in layers_by_path(model).items()}
    return names if model.optimizer is None else {**names, "optimizer": model.optimizer.name}


def load(model: Trainer, store: Store, skip_mismatch: bool = False) -> None:
    """Set the weights, and the optimizer's state where there is one, to those in a file; all of them or none.

    Arguments:
        skip_mismatch: leave out, with a warning, what does not fit.

    Raises:
        ValueError: weights that are missing, too many, or of another shape or dtype; damaged ones.
    """
    if store.in_order is not None:
        return _load_in_order(model, store)
    slots = slots_of(model)
    places = _matched(slots, store)
    problems = [*_missing(slots, places), *_superfluous(places, store), *_unlike(slots, places, store.entries)]
    if problems:
        message = f"it does not fit {model.described}: {'; '.join(problems[:10])}" + ("; …" if problems[10:] else "")
        if not skip_mismatch:
            raise ValueError(message)
        warnings.warn(message, stacklevel=4)
    fitting = [slot for slot in slots if slot.name in places and not _unlike([slot], places, store.entries)]
    arrays = [_like(store.read(places[slot.name]), slot) for slot in fitting]
    state = _optimizer_state(model, store)
    for slot, array in zip(fitting, arrays, strict=True):
        slot.set(array)
    if state is not None:
        model.optimizer.load_state(model.trainable_weights, state)


def _load_in_order(model: Trainer, store: Store) -> None:
    """The weights of a file of nblayers 0.1."""
    names, weights = store.in_order or [], model.weights
    if len(names) != len(weights):
        raise ValueError(f"it does not fit {model.described}: expected {len(weights)} weights, got {len(names)}")
    slots = [Slot(name, parameter.path, parameter.shape, np.dtype(parameter.dtype), parameter.numpy, parameter.assign)
             for name, parameter in zip(names, weights, strict=True)]
    if problems := _unlike(slots, {name: name for name in names}, store.entries):
        raise ValueError(f"it does not fit {model.described}: {'; '.join(problems[:10])}")
    arrays = [_like(store.read(slot.name), slot) for slot in slots]
    for slot, array in zip(slots, arrays, strict=True):
        slot.set(array)


def _matched(slots: list[Slot], store: Store) -> dict[str, str]:
    """Where the file has each slot: some versions of Keras write "query_dense", others "_query_dense"."""
    loosely = {_loosely(name): name for name in store.entries}
    found = {slot.name: name for slot in slots
             if (name := slot.name if slot.name in store.entries else loosely.get(_loosely(slot.name))) is not None}
    return found if len(set(found.values())) == len(found) else {name: name for name in found if name in store.entries}


def _loosely(name: str) -> str:
    parts = name.replace("_layer_checkpoint_dependencies", "layers").split("/")
    return "/".join(part.lstrip("_") for part in parts)


def _missing(slots: list[Slot], places: Mapping[str, str]) -> list[str]:
    return [f"{slot.label!r} ({slot.name}) is missing" for slot in slots if slot.name not in places]


def _superfluous(places: Mapping[str, str], store: Store) -> list[str]:
    taken = set(places.values())
    return [f"{name!r} is not in the model" for name in store.entries
            if name not in taken and not _INNER_OPTIMIZERS.match(name) and not _BESIDE.match(name)]


def _unlike(slots: list[Slot], places: Mapping[str, str], entries: Mapping[str, Entry]) -> list[str]:
    """What has another shape, or numbers of another kind, than the model."""
    problems = []
    for slot in slots:
        if (entry := entries.get(places.get(slot.name, ""))) is None:
            continue
        if entry.shape != slot.shape:
            problems.append(f"expected {slot.label!r} ({slot.name}) of shape {slot.shape}, got {entry.shape}")
        elif _kind(entry.dtype) != _kind(slot.dtype):
            problems.append(f"expected {slot.label!r} ({slot.name}) of dtype {slot.dtype}, got {entry.dtype}")
    return problems


def _kind(dtype: np.dtype) -> str:
    return "i" if dtype.kind == "u" else dtype.kind


def _like(array: np.ndarray, slot: Slot) -> np.ndarray:
    """The array in the dtype of the model."""
    with np.errstate(over="ignore"):
        cast = array.astype(slot.dtype)
    if array.dtype != slot.dtype and not np.array_equal(np.isfinite(cast), np.isfinite(array)):
        raise ValueError(f"{slot.label!r} ({slot.name}) has numbers that are too large for {slot.dtype}")
    return cast


# the optimizer

def _optimizer_state(model: Trainer, store: Store) -> list[np.ndarray] | None:
    """The arrays of the optimizer, or None where it has none, or those of another one (as in Keras, with a warning)."""
    held = [name for name in store.entries if name.startswith(_OPTIMIZER)]
    if model.optimizer is None or not model.built or not held:
        return None
    names = [f"{_OPTIMIZER}{number}" for number in range(len(held))]
    if set(names) != set(held):
        raise ValueError(f"expected the optimizer's state as {names[0]} to {names[-1]}, got {', '.join(sorted(held))}")
    fresh, wanted = model.optimizer.expected_state(model.trainable_weights)
    got = [(store.entries[name].shape, _kind(store.entries[name].dtype)) for name in names]
    if got not in (fresh, wanted):
        warnings.warn(f"{model.optimizer.described}: its state is not in the file, which has that of another optimizer, or of "
                      f"one with other weights to train: expected {len(wanted)} arrays, got {len(got)}", stacklevel=5)
        return None
    state = [store.read(name) for name in names]
    model.optimizer.check_state(model.trainable_weights, state)
    return state


# vocabularies

def vocabularies_of(model: Trainer) -> dict[str, list[Any]]:
    """The tokens of each vocabulary that the configuration does not have, by its places."""
    return {place: layer.get_vocabulary() for path, layer in layers_by_path(model).items()
            if isinstance(layer, HoldsVocabulary) and layer.input_vocabulary is None for place in _places(path)}


def as_lines(tokens: list[Any]) -> str:
    """A vocabulary as Keras writes it: a token a line."""
    return "\n".join(map(str, tokens))


def fits_lines(tokens: list[Any]) -> bool:
    """Whether a vocabulary comes back from its lines."""
    return _lines(as_lines(tokens)) == [str(token) for token in tokens]


def _lines(text: str) -> list[str]:
    lines = text.splitlines()
    while lines and not lines[-1]:
        lines.pop()
    return lines


def load_vocabularies(model: Trainer, archive: Archive, store: Store, others: Mapping[str, Any]) -> None:
    """Give the layers the vocabularies of an archive.

    Arguments:
        others: those that could not be written as lines.
    """
    for path, layer in layers_by_path(model).items():
        if not isinstance(layer, HoldsVocabulary) or layer.input_vocabulary is not None:
            continue
        member = f"assets/{path}/vocabulary.txt"
        if path in others:
            tokens = list(others[path])
        elif member in archive:
            lines = _lines(archive.text(member))
            tokens = lines if layer.holds_text else [int(line) for line in lines]
        else:
            continue
        special = len(layer.get_vocabulary())
        if len(tokens) > special:
            layer.set_vocabulary(tokens, _idf_weights(layer, path, store, len(tokens)))


def _idf_weights(layer: HoldsVocabulary, path: str, store: Store, tokens: int) -> np.ndarray | None:
    if layer.output_mode != "tf_idf":
        return None
    name = _variable(path, "idf_weights")
    entry = store.entries.get(name)
    if entry is None or len(entry.shape) != 1 or not tokens <= entry.shape[0] <= max(tokens, layer.max_tokens or 0):
        raise ValueError(f"{layer.described}: expected {name} with a weight for each of {tokens} tokens, got "
                         f"{'none' if entry is None else entry.shape}")
    return store.read(name)[:tokens]


# random numbers

def seeds_of(model: Trainer) -> dict[str, SeedGenerator]:
    """The streams of random numbers that the layers draw from, by their places."""
    found: dict[str, SeedGenerator] = {}
    for path, layer in layers_by_path(model).items():
        for name, value in vars(layer).items():
            if isinstance(value, SeedGenerator) and not any(value is other for other in found.values()):
                found[f"{path}/{name}"] = value
    return found


def seed_states_of(model: Trainer) -> dict[str, Any]:
    """How far each stream has come."""
    return {place: seeds.generator.bit_generator.state for place, seeds in seeds_of(model).items()}


def load_seed_states(model: Trainer, states: Mapping[str, Any]) -> None:
    """Let each stream go on where it was; streams that the file does not know begin."""
    for place, seeds in seeds_of(model).items():
        if place in states:
            seeds.generator.bit_generator.state = states[place]

