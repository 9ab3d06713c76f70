"""Images and texts in the directories of their classes, as batches that are read when they are needed."""
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nblayers import config, random
from nblayers.arguments import choice, flag, integer, number, optional
from nblayers.layers.preprocessing.resizing import Resizing
from nblayers.models.ahead import one_ahead
from nblayers.models.progress import say

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


class FileDataset:
    """Batches of what files hold: (x, labels), or x where there are no labels. Each is read while the one before it is used.

    May be gone through again and again, and given to `fit`, `evaluate` and `predict`. `image_dataset_from_directory` and
    `text_dataset_from_directory` make one.

    Attributes:
        file_paths: the files.
        class_names: the names of the classes in the order of their numbers; None without labels.
        generator: draws a new order of the files for each pass; None for the order of `file_paths`.
    """

    def __init__(self, file_paths: list[str], labels: np.ndarray | None, class_names: list[str] | None,
                 batch_size: int | None, generator: np.random.Generator | None, read: Callable[[str], Any],
                 together: Callable[[list[Any]], Any]) -> None:
        self.file_paths, self.class_names = file_paths, class_names
        self.batch_size, self.generator = batch_size, generator
        self._labels, self._read_file, self._together = labels, read, together

    def __len__(self) -> int:
        return -(-len(self.file_paths) // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        count = len(self.file_paths)
        order = np.arange(count) if self.generator is None else self.generator.permutation(count)
        size = self.batch_size
        chosen = iter(order) if size is None else (order[n:n + size] for n in range(0, count, size))
        return one_ahead(map(self._batch, chosen))

    def take(self, count: int) -> Iterator[Any]:
        """The first `count` batches of a pass."""
        return islice(self, count)

    def _batch(self, chosen: Any) -> Any:
        if self.batch_size is None:
            x = self._read_file(self.file_paths[chosen])
        else:
            x = self._together([self._read_file(self.file_paths[i]) for i in chosen])
        return x if self._labels is None else (x, self._labels[chosen])


def image_dataset_from_directory(directory: Any, labels: Any = "inferred", label_mode: str | None = "int",
                                 class_names: Sequence[str] | None = None, color_mode: str = "rgb",
                                 batch_size: int | None = 32, image_size: Any = (256, 256), shuffle: bool = True,
                                 seed: int | None = None, validation_split: float | None = None, subset: str | None = None,
                                 interpolation: str = "bilinear", follow_links: bool = False,
                                 crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
                                 data_format: str | None = None, format: str = "tf", verbose: bool = True) -> Any:
    """Images (BMP, GIF, JPEG, PNG) in the directories of their classes, in batches for `fit`, `evaluate` and `predict`.

        pictures/cats/1.jpg, pictures/cats/2.jpg, pictures/dogs/a.jpg, …            # class 0 cats, class 1 dogs
        training, validation = image_dataset_from_directory("pictures", image_size=(64, 64), validation_split=0.2,
                                                            subset="both", seed=0)

    A batch is (x, labels): x (batch, height, width, channels) of float32 from 0 to 255; a GIF is its first picture. It needs
    Pillow: `pip install 'nblayers[images]'`.

    Arguments:
        directory: where they are.
        labels: "inferred" from the directories; None for none; or a list of the files' classes, by number, in the order of
            the sorted directories and the sorted files in each.
        label_mode: "int" for (batch,) of int32, "categorical" for one-hot rows, "binary" for (batch, 1) of 0 and 1, None for
            none.
        class_names: the directories to take, in the order of the classes; by default all of them, sorted.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images in a batch, the last may have fewer; None for single images, without a batch axis.
        image_size: (height, width), or one number for both.
        shuffle: whether images come in random order, a new one in each pass.
        seed: of that order; by default from the library's random numbers. It also fixes which files are set aside, the same
            ones as in Keras.
        validation_split: the share of the files that is set aside.
        subset: "training", "validation", or "both": two datasets.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        follow_links: whether to go into directories that are links.
        crop_to_aspect_ratio, pad_to_aspect_ratio: see `nblayers.layers.Resizing`.
        data_format: "channels_last" or "channels_first"; by default `nblayers.config.image_data_format()`.
        format: accepted as in Keras; the result is neither TensorFlow's nor Grain's, but iterates as both do.
        verbose: whether to say how many files there are.

    Returns:
        A `FileDataset`, or two in a list.

    Raises:
        ValueError: arguments of another kind, or that do not fit each other or the directory; no files.
        FileNotFoundError: no such directory.
        ImportError: Pillow is missing.

    Source: keras.utils.image_dataset_from_directory.
    """
    who = "image_dataset_from_directory"
    mode = _MODES[choice(who, "color_mode", color_mode, _MODES)]
    height, width = _image_size(who, image_size)
    resize = Resizing(height, width, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, data_format="channels_last",
                      name="images")
    channels = choice(who, "data_format", data_format or config.image_data_format(), ("channels_last", "channels_first"))
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{who}: it needs Pillow: pip install 'nblayers[images]'") from error

    def read(path: str) -> np.ndarray:
        with Image.open(path) as image:
            pixels = np.array(image.convert(mode), np.float32)
        resized = np.asarray(resize(pixels.reshape(*pixels.shape[:2], -1)))
        return np.ascontiguousarray(np.moveaxis(resized, -1, 0)) if channels == "channels_first" else resized

    return _dataset(who, directory, _IMAGES, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
                    subset, follow_links, format, verbose, read, np.stack)


def text_dataset_from_directory(directory: Any, labels: Any = "inferred", label_mode: str | None = "int",
                                class_names: Sequence[str] | None = None, batch_size: int | None = 32,
                                max_length: int | None = None, shuffle: bool = True, seed: int | None = None,
                                validation_split: float | None = None, subset: str | None = None, follow_links: bool = False,
                                format: str = "tf", verbose: bool = True) -> Any:
    """Texts (files *.txt, in UTF-8) in the directories of their classes, in batches for `fit`, `evaluate` and `predict`.

    A batch is (texts, labels): an array of strings for `TextVectorization`, and the labels. The arguments, results and errors
    are those of `image_dataset_from_directory`, without those for images.

    Arguments:
        max_length: characters of a text that are kept; None for all. (Keras with TensorFlow counts bytes.)

    Source: keras.utils.text_dataset_from_directory.
    """
    who = "text_dataset_from_directory"
    optional(integer, who, "max_length", max_length, 0)

    def read(path: str) -> str:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read(-1 if max_length is None else max_length)

    return _dataset(who, directory, (".txt",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
                    subset, follow_links, format, verbose, read, lambda texts: np.array(texts, object))


def _dataset(who: str, directory: Any, endings: tuple[str, ...], labels: Any, label_mode: Any, class_names: Any,
             batch_size: Any, shuffle: Any, seed: Any, validation_split: Any, subset: Any, follow_links: Any, format: Any,
             verbose: Any, read: Callable[[str], Any], together: Callable[[list[Any]], Any]) -> Any:
    """What both functions share."""
    choice(who, "format", format, ("tf", "grain"))
    choice(who, "label_mode", label_mode, ("int", "categorical", "binary", None))
    for name, value in (("shuffle", shuffle), ("follow_links", follow_links), ("verbose", verbose)):
        flag(who, name, value)
    optional(integer, who, "batch_size", batch_size, 1)
    optional(integer, who, "seed", seed, 0, 2**32 - 1)
    _check_split(who, validation_split, subset, shuffle and seed is None)
    _check_labels(who, labels, class_names)
    if labels is None or label_mode is None:
        labels = label_mode = None
    paths, numbers, names = _index(who, os.fspath(directory), endings, labels, class_names, follow_links)
    if label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(f"{who}: label_mode 'binary' expected 2 classes, got {names}")
    if verbose:
        say(f"Found {len(paths)} files{'' if names is None else f' belonging to {len(names)} classes'}.\n")
    order = np.arange(len(paths))
    if shuffle:                         # Keras' own order
        np.random.RandomState(int(random.generator().integers(10**6)) if seed is None else seed).shuffle(order)
    coded = None if numbers is None else _coded(np.array(numbers, np.int32), label_mode, len(names or ()))
    parts = []
    for part, chosen in _parts(order, validation_split, subset).items():
        if not len(chosen):
            raise ValueError(f"{who}: expected files that end in {', '.join(endings)} in {os.fspath(directory)!r}, got "
                             f"{len(paths)}, and so none for {part}")
        if verbose and subset:
            say(f"Using {len(chosen)} files for {part}.\n")
        mixed = shuffle and not (part == "validation" and subset == "both")
        parts.append(FileDataset([paths[i] for i in chosen], None if coded is None else coded[chosen], names, batch_size,
                                 random.generator_of(seed) if mixed else None, read, together))
    return parts if subset == "both" else parts[0]


def _check_split(who: str, validation_split: Any, subset: Any, without_seed: bool) -> None:
    if validation_split is not None and validation_split != 0:
        number(who, "validation_split", validation_split, 0, 1, "()")
    choice(who, "subset", subset, ("training", "validation", "both", None))
    if bool(validation_split) != bool(subset):
        raise ValueError(f"{who}: expected validation_split and subset together, got {validation_split!r} and {subset!r}")
    if validation_split and without_seed:
        raise ValueError(f"{who}: validation_split with shuffle expected a seed, without which files may be in both parts, "
                         "got None")


def _check_labels(who: str, labels: Any, class_names: Any) -> None:
    inferred = isinstance(labels, str) and labels == "inferred"
    if not (inferred or labels is None or isinstance(labels, (list, tuple))):
        raise ValueError(f"{who}: expected labels 'inferred', None, or a list of the files' classes, got {labels!r}")
    if class_names is not None and not inferred:
        raise ValueError(f"{who}: expected class_names only with labels 'inferred', got {list(class_names)}")
    if isinstance(labels, (list, tuple)):
        for label in labels:
            integer(who, "each of labels", label, 0)


def _index(who: str, directory: str, endings: tuple[str, ...], labels: Any, class_names: Any, follow_links: bool,
           ) -> tuple[list[str], list[int] | None, list[str] | None]:
    """The files in their order, their classes, and the names of these."""
    if labels != "inferred":
        paths = _files(directory, endings, follow_links)
        if labels is None:
            return paths, None, None
        if len(labels) != len(paths):
            raise ValueError(f"{who}: expected labels for the {len(paths)} files in {directory!r}, got {len(labels)}")
        return paths, list(labels), [str(label) for label in sorted(set(labels))]
    there = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith("."))
    names = there if class_names is None else list(class_names)
    if not set(names) <= set(there):
        raise ValueError(f"{who}: expected class_names among the directories {there}, got {names}")
    found = [_files(os.path.join(directory, name), endings, follow_links) for name in names]
    return [path for paths in found for path in paths], [i for i, paths in enumerate(found) for _ in paths], names


def _files(directory: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """Files below a directory, by directory and then by name."""
    walk = sorted(os.walk(directory, followlinks=follow_links), key=lambda step: step[0])
    return [os.path.join(root, name) for root, _, names in walk for name in sorted(names) if name.lower().endswith(endings)]


def _parts(order: np.ndarray, validation_split: Any, subset: Any) -> dict[str, np.ndarray]:
    """The files of each part that is wanted: the last ones are for validation."""
    if not subset:
        return {"training": order}
    at = len(order) - int(validation_split * len(order))
    parts = {"training": order[:at], "validation": order[at:]}
    return parts if subset == "both" else {subset: parts[subset]}


def _coded(numbers: np.ndarray, label_mode: str, count: int) -> np.ndarray:
    if label_mode == "binary":
        return numbers[:, None].astype(np.float32)
    return np.equal.outer(numbers, np.arange(count)).astype(np.float32) if label_mode == "categorical" else numbers


def _image_size(who: str, image_size: Any) -> tuple[int, int]:
    given = image_size if isinstance(image_size, (list, tuple)) else (image_size, image_size)
    if len(given) != 2:
        raise ValueError(f"{who}: expected image_size (height, width), got {image_size!r}")
    return integer(who, "each of image_size", given[0], 1), integer(who, "each of image_size", given[1], 1)
