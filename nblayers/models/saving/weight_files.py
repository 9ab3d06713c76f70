"""Weights alone in files: `.weights.h5` as Keras 3 writes it, `.npz`, `.safetensors`."""
from pathlib import Path
from typing import Any

from nblayers.models.saving.contents import arrays_of, load, names_of
from nblayers.models.saving.files import checked_path, reading, write
from nblayers.models.saving.model_files import open_weights
from nblayers.models.saving.stores import ENDINGS, open_store, packed
from nblayers.models.training import Trainer


def save_weights(model: Trainer, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights, and the state of the optimizer of a compiled model, each under its place ("layers/dense/vars/0").

    Arguments:
        filepath: `.weights.h5` or `.h5`, which Keras 3 opens; `.npz`, which needs no other package; `.safetensors`.
        overwrite: whether to replace a file that is there.

    Raises:
        ValueError: another ending.
        FileExistsError: there is such a file, and `overwrite` is False.
        ImportError: the package that writes such files is not installed.
    """
    path = checked_path("save_weights", filepath, ENDINGS, overwrite)
    write(path, packed(arrays_of(model), names_of(model), path))


def load_weights(model: Trainer, filepath: Any, skip_mismatch: bool = False) -> None:
    """Set the weights to those of a file, ours or Keras', and the optimizer of a compiled model to its state.

    Arrays and weights belong together by their places in the model; the layers' names count for nothing. All are looked at
    before one changes. The files of nblayers 0.1 go by the order of the weights.

    Arguments:
        filepath: a file of `save_weights`, a `.weights.h5` of Keras 3, or a whole model, `.keras`.
        skip_mismatch: leave out, with a warning, what is missing, too much, or of another shape.

    Raises:
        ValueError: another ending; weights that are missing, too many, or of another shape; a damaged file.
        FileNotFoundError: no such file.
        ImportError: the package that reads such files is not installed.
    """
    path = checked_path("load_weights", filepath, (*ENDINGS, ".keras"))
    with reading("load_weights", path), _opened(path) as store:
        load(model, store, skip_mismatch)


def _opened(path: Path) -> Any:
    return open_weights(path) if path.suffix == ".keras" else open_store(path)
