"""Files on the disk: written whole or not at all, and one kind of error for what cannot be read."""
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


def checked_path(who: str, filepath: Any, endings: tuple[str, ...], overwrite: bool = True) -> Path:
    """`filepath` as a path.

    Raises:
        ValueError: no path, another ending, or what is no file.
        FileExistsError: there is such a file, and `overwrite` is False.
    """
    if not isinstance(filepath, (str, os.PathLike)) or not isinstance(os.fspath(filepath), str):
        raise ValueError(f"{who}: expected a path, got {filepath!r}")
    path = Path(filepath)
    if path.suffix not in endings:
        raise ValueError(f"{who}: expected a path that ends in {' or '.join(endings)}, got {str(path)!r}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{who}: expected the path of a file, got {str(path)!r}, which is none")
    if not overwrite and path.exists():
        raise FileExistsError(f"{path} is there already: give overwrite=True to replace it")
    return path


def write(path: Path, content: Any) -> None:
    """Put bytes into a file that takes the place of `path` when it is whole: an interrupt leaves the old one.

    A link stays a link, and what it points to is replaced; the new file has the old one's mode.

    Raises:
        PermissionError: the old file is read-only.
    """
    target = Path(os.path.realpath(path))
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"{path} is read-only")
    part = target.with_name(f"{target.name[:40]}.part{secrets.token_hex(8)}")      # others may write to `path` meanwhile
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(mode)
        os.replace(part, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error        # not the name of the part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def reading(who: str, path: Path) -> Iterator[None]:
    """Whatever goes wrong inside, with a file that is there and may be read, is the file's fault.

    Raises:
        ValueError: says the file and what is wrong with it.
    """
    try:
        yield
    except (ImportError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except RecursionError as error:
        raise ValueError(f"{who}: {path}: it is nested too deeply") from error
    except MemoryError as error:
        raise ValueError(f"{who}: {path}: it asks for more memory than there is") from error
    except Exception as error:
        said = str(error) if isinstance(error, ValueError) else f"it is damaged ({type(error).__name__}: {error})"
        raise ValueError(f"{who}: {path}: {said}") from error


def needed(module: str, path: Path) -> Any:
    """An optional package that the files of this ending need.

    Raises:
        ImportError: it is not installed; says how to get it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{path}: files that end in {path.suffix} need {module.partition('.')[0]}: pip install "
                          "'nblayers[files]' (weights alone can also go to a file that ends in .npz)") from error
