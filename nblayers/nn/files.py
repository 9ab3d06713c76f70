"""State dictionaries in files: PyTorch's `.pt`, and `.safetensors`."""
import io
import zipfile
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.arrays import as_numbers
from nblayers.models.saving.files import write

_TORCH = (".pt", ".pth", ".bin")
_ENDINGS = (*_TORCH, ".safetensors")


def save(obj: Any, f: Any) -> None:
    """Write a state_dict, as `model.state_dict()` gives it, to a file that PyTorch opens; whole, or not at all.

    Arguments:
        obj: arrays, tensors or parameters by name; for PyTorch's endings also a checkpoint: dictionaries and lists of these
            and of numbers and texts.
        f: the path, which ends in ".safetensors", or in ".pt", ".pth" or ".bin".

    Raises:
        ValueError: another ending.
        TypeError: obj holds something else.
        ImportError: the package that writes such a file is not installed.

    Source: torch.save.
    """
    path = _checked("save", f)
    if path.suffix == ".safetensors":
        if not isinstance(obj, Mapping) or not all(isinstance(name, str) for name in obj):
            raise TypeError(f"save: expected a state_dict, a dictionary of arrays by name, got {type(obj).__name__}")
        arrays = {name: np.array(as_numbers(value, "save", f"{name!r}"), order="C") for name, value in obj.items()}
        sums = {_SUM + name: _checksum(array) for name, array in arrays.items()}
        write(path, _package("safetensors.numpy", path).save(arrays, sums))
        return
    torch = _package("torch", path)
    tensors = _mapped(obj, lambda value: torch.from_numpy(np.array(as_numbers(value, "save", "an array"), order="C")))
    data = io.BytesIO()
    torch.save(tensors, data)
    write(path, data.getbuffer())


def load(f: Any) -> Any:
    """Read what `save`, or PyTorch, wrote: NumPy arrays in the place of tensors. No code in the file is run.

        model.load_state_dict(nn.load("model.pt"))

    Numbers of bfloat16, which NumPy does not have, become float32. Checksums are compared: PyTorch writes some, and `save` adds
    some to `.safetensors`.

    Arguments:
        f: the path; see `save`.

    Raises:
        ValueError: another ending, a file that is damaged, or one that holds more than arrays, numbers, texts, and
            dictionaries and lists of them.
        FileNotFoundError: no such file.
        ImportError: the package that reads such a file is not installed.

    Source: torch.load with weights_only=True.
    """
    path = _checked("load", f)
    if not path.is_file():
        raise FileNotFoundError(f"load: expected a file, got {str(path)!r}, which is none")
    if path.suffix == ".safetensors":
        return _of_safetensors(path)
    torch = _package("torch", path)
    try:
        _check_sums(path)
        return _as_arrays(torch.load(path, map_location="cpu", weights_only=True), _MOST * path.stat().st_size)
    except Exception as error:                          # PyTorch's own are of many kinds
        raise ValueError(f"load: expected a file of arrays by name that PyTorch wrote, got {str(path)!r}: "
                         f"{_first_line(error)}") from error


def _as_arrays(found: Any, most: int) -> Any:
    """Arrays in the place of tensors, one array for a tensor that stands in several places.

    Arguments:
        most: the bytes that all may have: of one number in a file a tensor can make as many as it likes.
    """
    made: dict[int, tuple[Any, np.ndarray]] = {}
    held = 0

    def array_of(value: Any) -> np.ndarray:
        nonlocal held
        if id(value) not in made:
            held += getattr(value, "nbytes", 0)
            if held > most:
                raise ValueError(f"its arrays have more than {most} bytes, {_MOST} times those of the file")
            made[id(value)] = value, np.array(as_numbers(value, "in it", "a tensor"))
        return made[id(value)][1]
    return _mapped(found, array_of)


def _of_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = _package("safetensors", path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            sums = {key.removeprefix(_SUM): value for key, value in (file.metadata() or {}).items() if key.startswith(_SUM)}
            if sums and set(sums) != set(names):
                raise ValueError(f"it holds {', '.join(map(repr, names))}, and was written with {', '.join(map(repr, sums))}")
            return {name: _tensor_of(file, name, sums.get(name)) for name in names}
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"load: expected a file of safetensors, got {str(path)!r}: {_first_line(error)}") from error


def _tensor_of(file: Any, name: str, checksum: str | None) -> np.ndarray:
    array = np.array(file.get_tensor(name))
    if checksum is not None and checksum != _checksum(array):
        raise ValueError(f"the numbers of {name!r} are not those that were written")
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _checksum(array: np.ndarray) -> str:
    """Of the numbers, their dtype and shape."""
    return f"{zlib.crc32(array.tobytes(), zlib.crc32(f'{array.dtype} {array.shape}'.encode())):08x}"


def _check_sums(path: Path) -> None:
    """Compare the checksums in an archive with its contents, which PyTorch does not; it would unpack what is compressed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, as PyTorch's files are not")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged!r} in it is not what was written")


def _mapped(value: Any, change: Any) -> Any:
    """Arrays changed in dictionaries and lists; numbers, texts and None as they are."""
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else change(value)


def _package(name: str, path: Path) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise ImportError(f"{path}: such a file needs {package}: pip install 'nblayers[{_EXTRAS[package]}]'") from error


_MOST = 10                                              # times the bytes of a file: what its tensors, often views, have
_SUM = "crc32 of "                                      # begins the keys of the checksums in a .safetensors file
_EXTRAS = {"torch": "torch", "safetensors": "files"}


def _checked(who: str, f: Any) -> Path:
    try:
        path = Path(f)
    except TypeError as error:
        raise ValueError(f"{who}: expected the path of a file, got {type(f).__name__}") from error
    if path.suffix not in _ENDINGS:
        raise ValueError(f"{who}: expected a path that ends in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}, got {str(path)!r}")
    return path


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


__all__ = ["load", "save"]
