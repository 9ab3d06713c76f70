"""Raw text into numbers."""
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nblayers.arguments import choice, flag, integer, optional
from nblayers.arrays import as_strings
from nblayers.devices import to_numpy
from nblayers.layers.fixed import fixed
from nblayers.layers.preprocessing.hashes import offsets_of
from nblayers.layers.preprocessing.holds_vocabulary import MODES, OLD_MODES
from nblayers.layers.preprocessing.lookup import StringLookup
from nblayers.layers.preprocessing.strings import TakesStrings, as_list, text_buffer
from nblayers.layers.preprocessing.vocabulary import run_adapt
from nblayers.serialization import deserialize_keras_object

PUNCTUATION = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
WHITE_SPACE = b" \t\n\v\f\r"
STANDARDS = (None, "lower_and_strip_punctuation", "lower", "strip_punctuation")
DROPPED, SPACE, KEPT, FOLLOWING = range(4)                          # kinds of bytes, as in kernels/reference/text.py
WHOLE, WORDS, CHARACTERS = range(3)                                 # what a token is
SPLITS = {None: WHOLE, "whitespace": WORDS, "character": CHARACTERS}


class Tokens(NamedTuple):
    """The tokens of many texts.

    Attributes:
        clean: bytes of UTF-8 in which they lie.
        starts, ends: where each token does (T,).
        offsets: those of text n are the tokens offsets[n] … offsets[n + 1] - 1 (N + 1,).
        shape: of the array that the N texts were.
    """

    clean: Any
    starts: Any
    ends: Any
    offsets: Any
    shape: tuple[int, ...]


class TextVectorization(TakesStrings):
    r"""Raw text into numbers, inside the model: standardized, split into words, each looked up in a vocabulary.

        t_j = \text{the words of the text, in lower case and without punctuation}           (1)
        g_j = t_j \, t_{j+1} \dots t_{j+w-1}                                                (2)    n-grams, with a space between
        y_j = \text{the id of } t_j                                                         (3)    "int"
        y_v = \sum_j [i_j = v]                                      (4)    "count"; "multi_hot": 1 where not 0
        y_v = \log(1 + N / (1 + df_v)) \sum_j [i_j = v]             (5)    "tf_idf"

    Id 0 is padding, 1 what is not in the vocabulary; in other modes than "int" the latter is 0 and there is no padding. Lower
    case and punctuation are those of ASCII alone, and words end at ASCII's white space, as in Keras: "É" stays "É", and a
    no-break space is part of a word. For other rules give functions.

    Input (batch,) or (batch, 1) of strings: lists, arrays of NumPy, columns of pandas or polars; bytes are decoded. Output
    "int" (batch, T) of ids, int64, T being output_sequence_length or the longest text's; else (batch, V), floating. There is
    no gradient: `backward` returns None.

    Arguments:
        max_tokens: the most ids, those for padding and the unknown included, and at least these; None for no limit.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of str that
            gives one of the same shape.
        split: "whitespace", "character", None (each string of the last axis is a token), or a function of an array of str
            (batch,) that gives a list of tokens for each.
        ngrams: w for n-grams of 1 … w tokens, or a tuple of the lengths wanted.
        output_mode: "int", "multi_hot", "count" or "tf_idf"; "one_hot" without `split`.
        output_sequence_length: T; what is longer is cut off, what is shorter padded.
        pad_to_max_tokens: V is max_tokens even where the vocabulary is smaller.
        vocabulary: list, array or path of a file with a token in each line; without it call `adapt`.
        idf_weights: in mode "tf_idf" with a vocabulary a weight for each of its tokens.
        sparse, ragged: refused, there are no such arrays.
        encoding: of strings that come as bytes.

    Raises:
        ValueError: arguments that do not go together; sparse or ragged; more than one string for each sample with `split`;
            bytes that are not in the encoding; a function that gives something of another shape; see also `StringLookup`.
        TypeError: an input that is no string.
        RuntimeError: called before `adapt` or `set_vocabulary`.

    Source: 001.10.TextVectorization.
    """

    standardize: Any = fixed()
    split: Any = fixed()
    output_mode: str = fixed()

    def __init__(self, max_tokens: int | None = None, standardize: Any = "lower_and_strip_punctuation",
                 split: Any = "whitespace", ngrams: int | tuple[int, ...] | None = None, output_mode: str = "int",
                 output_sequence_length: int | None = None, pad_to_max_tokens: bool = False, vocabulary: Any = None,
                 idf_weights: Any = None, sparse: bool = False, ragged: bool = False, encoding: str = "utf-8",
                 name: str | None = None, vocabulary_size: int | None = None, has_input_vocabulary: bool | None = None,
                 **kwargs: Any) -> None:
        super().__init__(encoding=encoding, name=name, **kwargs)
        who = self.described
        self.standardize = standardize if callable(standardize) else choice(who, "standardize", standardize, STANDARDS)
        self.split = split if callable(split) else choice(who, "split", split, SPLITS)
        self.ngrams = _checked_ngrams(who, ngrams)
        self.output_mode = choice(who, "output_mode", OLD_MODES.get(output_mode, output_mode), MODES)
        self.output_sequence_length = optional(integer, who, "output_sequence_length", output_sequence_length, 1)
        if flag(who, "ragged", ragged):
            raise ValueError(f"{who}: ragged=True: there are no ragged arrays here; ids are padded with 0, and "
                             "output_sequence_length says to what length")
        if output_sequence_length is not None and self.output_mode != "int":
            raise ValueError(f"{who}: output_sequence_length is for output_mode 'int', got output_mode {self.output_mode!r}")
        if self.output_mode == "one_hot" and split is not None:
            raise ValueError(f"{who}: output_mode 'one_hot' of texts of several lengths would be ragged, and there are no "
                             "ragged arrays here: expected split=None with it, or another output_mode")
        self._letters, self._kinds = _byte_tables(self.standardize, self.split)
        self._lookup = _Words(who, max_tokens=max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, mask_token="",
                              pad_to_max_tokens=pad_to_max_tokens, output_mode=self.output_mode, sparse=sparse,
                              encoding=encoding, vocabulary_size=vocabulary_size, dtype=self.dtype,
                              has_input_vocabulary=has_input_vocabulary, name=f"{self.name}_lookup")

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens by their ids, with "" for padding and "[UNK]" for what is unknown at the front if asked for."""
        return self._lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of ids, those for padding and for what is unknown included."""
        return self._lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the layer its vocabulary; see `StringLookup.set_vocabulary`."""
        self._lookup.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens by how often they occur, of several as often the last in alphabetical order first.

        Arguments:
            data: an array (one on a disk, too) or a list of texts; or a generator or iterable of batches of them, of which no
                more is remembered than how often each token occurs. Of (x, y) or (x, y, weights) with an array in it x counts.
            batch_size: of how many texts of an array the tokens are held at a time; 8192 by default.
            steps: how many batches to take from an iterable; all by default.

        Raises:
            ValueError: the layer was made with a vocabulary, or there is no token in the data; `steps` for an array.
        """
        rows = optional(integer, self.described, "batch_size", batch_size, 1) or 1 << 13
        run_adapt(self, data, steps, lambda texts: as_strings(texts, self.described, "the data"), rows)

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of texts.

        Raises:
            ValueError: the layer was made with a vocabulary.
        """
        tokens = self._tokens(as_strings(data, self.described, "the data"))
        self._lookup.count_texts(tokens.clean, tokens.starts, tokens.ends, to_numpy(tokens.offsets))

    @property
    def has_counted(self) -> bool:
        """Whether `update_state` has seen any token."""
        return self._lookup.has_counted

    def finalize_state(self) -> None:
        """Make a vocabulary of the tokens that were counted, if there were any."""
        self._lookup.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays."""
        self._lookup.reset_state()

    def forward(self, inputs: Any) -> Any:
        lookup = self._lookup
        vocabulary = lookup.known_vocabulary()
        tokens = self._tokens(inputs)                                                       # (1), (2)
        ids = lookup.ids_of(tokens.clean, tokens.starts, tokens.ends, vocabulary)           # (3)
        if self.output_mode == "int":
            return self._padded(ids, tokens, inputs.ndim)
        if self.output_mode == "one_hot":
            return lookup.encoded(ids, self._shape_of_ids(inputs.shape, ids, tokens), vocabulary)
        return lookup.bags(ids, tokens.offsets, vocabulary).reshape(*tokens.shape, -1)      # (4), (5)

    def _padded(self, ids: Any, tokens: Tokens, ndim: int) -> Any:
        """The ids of each text in a row, padded with 0 or cut off."""
        if ndim == 0 and self.split is None and ids.size == 1 and self.output_sequence_length is None:
            return ids.reshape(())
        counts = tokens.offsets[1:] - tokens.offsets[:-1]
        T = self.output_sequence_length or (int(counts.max()) if counts.size else 0)
        y = self.xp.empty((counts.size, T), np.int64)
        self.kernels.text.pad_tokens(ids, tokens.offsets, y)
        return y.reshape(*tokens.shape, T)

    def _shape_of_ids(self, shape: tuple[int, ...], ids: Any, tokens: Tokens) -> tuple[int, ...]:
        """The shape of the ids where texts are not split, so all rows are of one length."""
        return (*shape[:-1], ids.size // max(1, tokens.offsets.size - 1)) if shape else ()

    # from strings to tokens

    def _tokens(self, strings: np.ndarray) -> Tokens:
        if callable(self.standardize):
            strings = self._standardized(strings)
        tokens = self._split_by_function(strings) if callable(self.split) else self._found(strings)
        return tokens if self.ngrams is None else self._joined(tokens)

    def _standardized(self, strings: np.ndarray) -> np.ndarray:
        given = np.array(as_list(strings, self.described, self.encoding), str).reshape(strings.shape)
        result = as_strings(self.standardize(given), self.described, "what standardize returns")
        if result.shape != strings.shape:
            raise ValueError(f"{self.described}: expected standardize to return an array of shape {strings.shape}, as it was "
                             f"given, got {result.shape}")
        return result

    def _without_last(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of texts that are split, without a last axis of 1."""
        if len(shape) < 2:
            return shape
        if shape[-1] not in (1, None):
            raise ValueError(f"{self.described}: expected one text for each sample, shape (batch,) or (batch, 1), to split "
                             f"into tokens, got shape {shape}")
        return shape[:-1]

    def _found(self, strings: np.ndarray) -> Tokens:
        """The tokens of (1), found in the bytes of all texts at once."""
        shape = strings.shape[:-1] if self.split is None else self._without_last(strings.shape)
        xp, room = self.xp, self.kernels.text
        text, begins, finishes, letters, kinds = (xp.asarray(part) for part in (
            *text_buffer(strings, self.described, self.encoding), self._letters, self._kinds))
        split = SPLITS[self.split]
        counts = xp.empty(begins.size, np.int64)
        room.count_tokens(text, begins, finishes, kinds, split, counts)
        firsts = offsets_of(counts, xp)
        clean, starts, ends = (xp.empty(size, dtype) for size, dtype in (
            (text.size, np.uint8), (int(firsts[-1]), np.int64), (int(firsts[-1]), np.int64)))
        room.find_tokens(text, begins, finishes, letters, kinds, split, firsts[:-1].copy(), clean, starts, ends)
        if self.split is not None:
            return Tokens(clean, starts, ends, firsts, shape)
        rows = int(np.prod(shape, dtype=np.int64))
        return Tokens(clean, starts, ends, xp.arange(rows + 1, dtype=np.int64) * (strings.size // max(1, rows)), shape)

    def _split_by_function(self, strings: np.ndarray) -> Tokens:
        shape = self._without_last(strings.shape)
        texts = as_list(strings, self.described, self.encoding)
        rows = [_as_row(row, self.described) for row in _as_row(self.split(np.array(texts, str)), self.described)]
        if len(rows) != len(texts):
            raise ValueError(f"{self.described}: expected split to return a list of tokens for each of {len(texts)} texts, got "
                             f"{len(rows)}")
        found = np.empty(sum(map(len, rows)), object)
        found[:] = [token for row in rows for token in row]
        clean, starts, ends = map(self.xp.asarray, text_buffer(found, self.described, self.encoding))
        offsets = self.xp.asarray(offsets_of(np.array([len(row) for row in rows], np.int64)))
        return Tokens(clean, starts, ends, offsets, shape)

    def _joined(self, tokens: Tokens) -> Tokens:
        """The n-grams of (2): of each text those of the first length, then those of the next."""
        xp = self.xp
        counts = tokens.offsets[1:] - tokens.offsets[:-1]
        numbers = [xp.maximum(counts - width + 1, 0) for width in self._widths]
        offsets = offsets_of(sum(numbers), xp)
        texts, total = [], int(offsets[-1])
        starts, ends = xp.empty(total, np.int64), xp.empty(total, np.int64)
        place, base = offsets[:-1], 0                           # of the next n-grams in each text; of the next bytes
        for width, number in zip(self._widths, numbers, strict=True):
            before = offsets_of(number, xp)
            order = xp.arange(int(before[-1]), dtype=np.int64)
            row = xp.searchsorted(before, order, side="right") - 1
            within = order - before[row]
            text, bounds = self._runs(tokens, tokens.offsets[row] + within, width)
            starts[place[row] + within], ends[place[row] + within] = base + bounds[:-1], base + bounds[1:]
            texts.append(text)
            place, base = place + number, base + text.size
        return Tokens(xp.concatenate(texts), starts, ends, offsets, tokens.shape)

    def _runs(self, tokens: Tokens, first: Any, width: int) -> tuple[Any, Any]:
        """The texts of `width` tokens each from these on, laid end to end."""
        xp = self.xp
        letters = offsets_of(tokens.ends - tokens.starts, xp)
        bounds = offsets_of(letters[first + width] - letters[first] + (width - 1), xp)
        text = xp.empty(int(bounds[-1]), np.uint8)
        self.kernels.text.join_tokens(tokens.clean, tokens.starts, tokens.ends, first, width, bounds, text)
        return text, bounds

    @property
    def _widths(self) -> tuple[int, ...]:
        return tuple(range(1, self.ngrams + 1)) if isinstance(self.ngrams, int) else self.ngrams or ()

    @property
    def output_dtype(self) -> str:
        return "int64" if self.output_mode == "int" else self.dtype

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = tuple(input_shape)
        rows = shape[:-1] if self.split is None else self._without_last(shape)
        if self.output_mode == "int":
            return (*rows, self.output_sequence_length or self._width_of(shape))
        if self.output_mode == "one_hot":
            return self._lookup.compute_output_shape((*rows, self._width_of(shape)))
        return self._lookup.compute_output_shape((*rows, None))

    def _width_of(self, shape: tuple[Any, ...]) -> int | None:
        """The number of tokens in a row, where that is known."""
        if self.split is not None or not shape or shape[-1] is None:
            return None
        return sum(max(0, shape[-1] - width + 1) for width in self._widths or (1,))

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup
        return super().get_config() | {
            "max_tokens": lookup.max_tokens, "standardize": self.standardize, "split": self.split, "ngrams": self.ngrams,
            "output_mode": self.output_mode, "output_sequence_length": self.output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens, "sparse": False, "ragged": False,
            "vocabulary": lookup.input_vocabulary, "idf_weights": lookup.input_idf_weights, "encoding": self.encoding,
            "vocabulary_size": self.vocabulary_size()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> "TextVectorization":
        """Make a layer from what `get_config` gave, ours or Keras'.

        Raises:
            ValueError: a function that is neither registered nor in `custom_objects`.
        """
        given = dict(config)
        for name in ("standardize", "split"):
            if isinstance(given.get(name), Mapping):
                given[name] = deserialize_keras_object(given[name], custom_objects)
        if isinstance(given.get("ngrams"), list):
            given["ngrams"] = tuple(given["ngrams"])
        return super().from_config(given)  # type: ignore[return-value]


class _Words(StringLookup):
    """The lookup inside a TextVectorization, in whose name it speaks."""

    def __init__(self, owner: str, **kwargs: Any) -> None:
        self._owner = owner
        super().__init__(**kwargs)

    @property
    def described(self) -> str:
        return self._owner


def _checked_ngrams(who: str, ngrams: Any) -> Any:
    if isinstance(ngrams, (tuple, list)):
        if not ngrams:
            raise ValueError(f"{who}: expected ngrams to be None, an integer or a tuple of integers, got {ngrams!r}")
        return tuple(integer(who, "each of ngrams", width, 1) for width in ngrams)
    return optional(integer, who, "ngrams", ngrams, 1)


def _byte_tables(standardize: Any, split: Any) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of each byte, and of what kind it is."""
    letters, kinds = np.arange(256, dtype=np.uint8), np.full(256, KEPT, np.uint8)
    if standardize in ("lower", "lower_and_strip_punctuation"):
        letters[ord("A"):ord("Z") + 1] += 32
    if standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        kinds[list(PUNCTUATION)] = DROPPED
    if split == "whitespace":
        kinds[list(WHITE_SPACE)] = SPACE
    if split == "character":
        kinds[0x80:0xC0] = FOLLOWING
    return letters, kinds


def _as_row(row: Any, who: str) -> list[Any]:
    if isinstance(row, (str, bytes)) or not hasattr(row, "__iter__"):
        raise ValueError(f"{who}: expected split to return a list of tokens for each text, got {row!r:.60}")
    return row.tolist() if isinstance(row, np.ndarray) else list(row)

