"""A training in a file, so that it can be stopped and go on as if it had not been."""
import io
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from nblayers.layers.recurrent.rnn import RNN
from nblayers.models.course import Course
from nblayers.models.saving import contents
from nblayers.models.saving.archive import Archive
from nblayers.models.saving.files import reading, write
from nblayers.models.saving.places import layers_by_path
from nblayers.models.saving.stores import NpzStore, npz_of
from nblayers.models.training import Trainer
from nblayers.structures import flatten, pack

_WHO = "BackupAndRestore"


def save_training(model: Trainer, course: Course, path: Path) -> None:
    """Write weights, the optimizer's state, random numbers and the place in the data."""
    state = {"course": course.state(), "seeds": contents.seed_states_of(model), "is_swapped": model.optimizer.is_swapped}
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("training.json", json.dumps(state))
        archive.writestr("weights.npz", npz_of(contents.arrays_of(model)))
        archive.writestr("states.npz", npz_of(_states_of(model)))
    write(path, content.getbuffer())


def load_training(model: Trainer, course: Course, path: Path) -> None:
    """Go on from what `save_training` wrote.

    Raises:
        ValueError: a damaged file, or that of another model.
    """
    with reading(_WHO, path), open(path, "rb") as file:
        archive = Archive(file)
        state = json.loads(archive.text("training.json"))
        weights, states = (NpzStore(Archive(io.BytesIO(archive.read(f"{name}.npz")))) for name in ("weights", "states"))
        last = {name: states.read(name) for name in states.entries}
        contents.load(model, weights)
        model.optimizer.is_swapped = state.get("is_swapped", False)
        contents.load_seed_states(model, state["seeds"])
        _set_states(model, last)
        course.resume(state["course"])


def _states_of(model: Trainer) -> dict[str, np.ndarray]:
    """Where the last sequences of stateful layers ended."""
    return {f"{path}/states/{number}": np.asarray(array) for path, layer in layers_by_path(model).items()
            if isinstance(layer, RNN) and layer.stateful for number, array in enumerate(flatten(layer.states or []))}


def _set_states(model: Trainer, arrays: dict[str, np.ndarray]) -> None:
    for path, layer in layers_by_path(model).items():
        if isinstance(layer, RNN) and layer.stateful:
            held = [array for name, array in arrays.items() if name.startswith(f"{path}/states/")]
            layer.states = pack(layer.get_initial_state(len(held[0])), held) if held else None
