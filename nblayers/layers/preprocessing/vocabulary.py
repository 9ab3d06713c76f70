"""Vocabularies: as lists, in files, and learned by counting."""
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.arrays import as_array, as_strings, is_array
from nblayers.layers.preprocessing.batches import is_whole_array
from nblayers.layers.preprocessing.strings import as_list
from nblayers.serialization import in_safe_mode


def tokens_of(vocabulary: Any, who: str, is_text: bool, encoding: str) -> list[Any]:
    """A vocabulary as a list of str or int.

    Arguments:
        vocabulary: a list, an array of one axis, a column of a table, or the path of a file with a token in each line, in
            UTF-8; a byte order mark at its beginning is no part of the first token.

    Raises:
        ValueError: no such file, or one that is not UTF-8; more than one axis, or no token at all; a token that is no integer
            where integers are wanted.
        TypeError: tokens of another kind.
    """
    if isinstance(vocabulary, (str, os.PathLike)):
        if in_safe_mode():
            raise ValueError(f"{who}: the configuration names a vocabulary file, {str(vocabulary)!r:.200}, outside of the "
                             "model's own: pass safe_mode=False if you trust where it comes from")
        return _read(Path(vocabulary), who, is_text)
    if isinstance(vocabulary, (set, frozenset, dict)):
        raise TypeError(f"{who}: expected the vocabulary in an order, as a list or an array, got a {type(vocabulary).__name__}")
    array = as_strings(vocabulary, who, "the vocabulary") if is_text and len(vocabulary) else as_array(vocabulary, who,
                                                                                                       "the vocabulary")
    if array.ndim != 1:
        raise ValueError(f"{who}: expected a vocabulary of one axis, got shape {array.shape}")
    if not array.size:
        raise ValueError(f"{who}: expected a vocabulary of at least one token, got an empty one")
    if is_text:
        return as_list(array, who, encoding)
    if array.dtype.kind not in "iu" or (array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max):
        raise TypeError(f"{who}: expected a vocabulary of integers below 2**63, got {array.tolist()[:3]!r:.60} of dtype "
                        f"{array.dtype}")
    return array.tolist()


def _read(path: Path, who: str, is_text: bool) -> list[Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{who}: expected a vocabulary file at {str(path)!r}: {error.strerror}") from None
    tokens: list[Any] = []
    for number, line in enumerate(content.removeprefix(BOM_UTF8).removesuffix(b"\n").split(b"\n"), 1):
        try:
            token = line.removesuffix(b"\r").decode()
            tokens.append(token if is_text else int(np.int64(token)))
        except UnicodeDecodeError as error:
            raise ValueError(f"{who}: expected a vocabulary file in UTF-8, got {line!r} in line {number} of {path}: "
                             f"{error}") from None
        except (ValueError, OverflowError):
            raise ValueError(f"{who}: expected an integer below 2**63 in each line of {path}, got {token!r} in line "
                             f"{number}") from None
        if token == "" and number > 1:
            raise ValueError(f"{who}: expected a token in each line of {path}, got an empty line {number}")
    if not content:
        raise ValueError(f"{who}: expected a vocabulary of at least one token, got the empty file {path}")
    return tokens


def repeated(tokens: list[Any]) -> list[Any]:
    """The tokens that stand more than once in a list."""
    if len(set(tokens)) == len(tokens):
        return []
    return [token for token, count in Counter(tokens).items() if count > 1]


def idf_weights_of(weights: Any, count: int, who: str) -> np.ndarray:
    """The weights that were given for so many tokens, as an array.

    Raises:
        ValueError: not one finite number for each.
    """
    array = as_array(weights, who, "idf_weights")
    if array.ndim != 1 or len(array) != count:
        raise ValueError(f"{who}: expected one of idf_weights for each of {count} tokens of the vocabulary, got shape "
                         f"{array.shape}")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{who}: expected finite numbers as idf_weights, got {array.tolist()!r:.60}")
    return array


def run_adapt(layer: Any, data: Any, steps: int | None, converted: Callable[[Any], Any], rows: int = 1 << 13) -> None:
    """What `adapt` does: counts afresh, over so many rows of an array at a time or over the batches of an iterable.

    Arguments:
        layer: has `reset_state`, `update_state`, `finalize_state`.
        converted: makes an array of a list or table.

    Raises:
        ValueError: there was no token in the data, or `steps` with an array.
    """
    who = layer.described
    layer.reset_state()
    if isinstance(data, (list, tuple, str, bytes)) or is_array(data):
        if steps is not None:
            raise ValueError(f"{who}: steps counts the batches of an iterable, got steps={steps} with a {type(data).__name__}")
        array = data if isinstance(data, np.ndarray) else converted(data)       # one on a disk is read in parts
        array = array.reshape(-1, 1) if array.ndim < 2 else array
        for start in range(0, len(array), rows):
            layer.update_state(array[start:start + rows])
    elif hasattr(data, "__iter__") and not isinstance(data, Mapping):
        for batch in islice(data, steps):
            layer.update_state(_inputs_of(batch))
    else:
        raise TypeError(f"{who}: expected an array, a list or an iterable of batches, got a {type(data).__name__}")
    if not layer.has_counted:
        raise ValueError(f"{who}: adapt expected at least one token, got none in the data")
    layer.finalize_state()


def _inputs_of(batch: Any) -> Any:
    """x of a batch x, (x, y) or (x, y, weights)."""
    has_labels = isinstance(batch, (list, tuple)) and len(batch) in (2, 3) and any(map(is_whole_array, batch))
    return batch[0] if has_labels else batch


class Counts:
    """How often tokens were seen: what `adapt` remembers, which grows with their number and not with the data's.

    Attributes:
        tokens: how often each token was seen.
        documents: in how many documents; only counted with `by_document`.
        samples: the number of documents.
    """

    def __init__(self, by_document: bool) -> None:
        self.by_document = by_document
        self.tokens: dict[Any, int] = {}
        self.documents: dict[Any, int] = {}
        self.samples = 0

    def add(self, tokens: list[Any], groups: np.ndarray, offsets: np.ndarray) -> None:
        """Count tokens (U) that are all different, of which groups (T,) gives those of a batch by their numbers.

        Document n are groups[offsets[n]:offsets[n + 1]].
        """
        _add(self.tokens, tokens, groups)
        if self.by_document:
            documents = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            _add(self.documents, tokens, np.unique(documents * len(tokens) + groups) % max(1, len(tokens)))
            self.samples += len(offsets) - 1

    def most_frequent(self, most: int | None, without: Iterable[Any]) -> list[Any]:
        """The tokens by their counts, the last in alphabetical order first where these are the same (as in Keras)."""
        for token in without:
            self.tokens.pop(token, None)
        order = sorted(self.tokens.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return [token for token, _ in order[:most]]

    def idf(self, tokens: list[Any]) -> np.ndarray:
        r"""log(1 + N / (1 + df)) of each token, df being in how many of the N documents it was seen."""
        seen = np.array([self.documents.get(token, 0) for token in tokens], float)
        return np.log(1 + self.samples / (1 + seen)).astype(np.float32)


def _add(counts: dict[Any, int], tokens: list[Any], groups: np.ndarray) -> None:
    for token, count in zip(tokens, np.bincount(groups, minlength=len(tokens)).tolist(), strict=True):
        counts[token] = counts.get(token, 0) + count
