"""The first half of StringLookup and IntegerLookup: arguments, and the vocabulary."""
import os
from typing import Any, NamedTuple

import numpy as np

from nblayers.arguments import choice, flag, integer, optional
from nblayers.arrays import as_array, as_strings
from nblayers.devices import to_numpy
from nblayers.layers import limits
from nblayers.layers.fixed import fixed
from nblayers.layers.preprocessing.hashes import salt_pair
from nblayers.layers.preprocessing.strings import TakesStrings, cut, text_buffer
from nblayers.layers.preprocessing.tables import LEFT_OUT, IntegerTable, StringTable, free_slots
from nblayers.layers.preprocessing.vocabulary import Counts, idf_weights_of, repeated, run_adapt, tokens_of

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}             # Keras' earlier names


class Vocabulary(NamedTuple):
    """A vocabulary as it is used.

    Attributes:
        tokens: without those for the mask and for what is unknown.
        idf: the weight of each id, or None.
        table: gives the id of a token; with `invert` the tokens by their ids.
    """

    tokens: list[Any]
    idf: np.ndarray | None
    table: Any


class HoldsVocabulary(TakesStrings):
    """The first half of a lookup: its arguments, and its vocabulary, given or learned.

    Arguments and errors: `StringLookup`. A layer may be called by several threads, and given another vocabulary meanwhile.
    """

    holds_text = True                   # the tokens are strings
    max_tokens: int | None = fixed()
    num_oov_indices: int = fixed()
    mask_token: Any = fixed()
    oov_token: Any = fixed()
    invert: bool = fixed()
    output_mode: str = fixed()
    pad_to_max_tokens: bool = fixed()

    def __init__(self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any, vocabulary: Any,
                 idf_weights: Any, invert: bool, output_mode: str, sparse: bool, pad_to_max_tokens: bool,
                 oov_method: str, salt: Any, encoding: str = "utf-8", vocabulary_size: int | None = None,
                 has_input_vocabulary: bool | None = None, **kwargs: Any) -> None:
        super().__init__(encoding=encoding, **kwargs)
        who = self.described
        self.max_tokens = optional(integer, who, "max_tokens", max_tokens, 2)
        self.num_oov_indices = integer(who, "num_oov_indices", num_oov_indices, 0)
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert = flag(who, "invert", invert)
        self.output_mode = choice(who, "output_mode", OLD_MODES.get(output_mode, output_mode), MODES)
        self.pad_to_max_tokens = flag(who, "pad_to_max_tokens", pad_to_max_tokens)
        limits.count_beside(who, "num_oov_indices", self.num_oov_indices)
        limits.count_beside(who, "max_tokens", (self.max_tokens or 0) * self.pad_to_max_tokens)
        self.oov_method = choice(who, "oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = self._checked_salt(salt)
        self._check_options(sparse, idf_weights, vocabulary)
        self.input_dtype = "string" if self.holds_text and not self.invert else "int64"
        self.input_vocabulary = None if isinstance(vocabulary, (str, os.PathLike)) else _plain(vocabulary)
        self.input_idf_weights = _plain(idf_weights)
        self._has_input_vocabulary = vocabulary is not None if has_input_vocabulary is None else bool(has_input_vocabulary)
        self._frozen_size = vocabulary_size                         # what the layers behind this one were built for
        self._vocabulary: Vocabulary | None = None
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _check_options(self, sparse: Any, idf_weights: Any, vocabulary: Any) -> None:
        who = self.described
        for name, token in (("mask_token", self.mask_token), ("oov_token", self.oov_token)):
            kinds: Any = str if self.holds_text else (int, np.integer)
            if token is not None and (not isinstance(token, kinds) or isinstance(token, bool)):
                raise ValueError(f"{who}: expected {name} to be {'a string' if self.holds_text else 'an integer'} or None, "
                                 f"got {token!r}")
        if flag(who, "sparse", sparse):
            raise ValueError(f"{who}: sparse=True: there are no sparse arrays here; leave it out")
        if self.max_tokens is not None and self.max_tokens < self._token_start:
            raise ValueError(f"{who}: expected max_tokens of at least {self._token_start}, the ids for the mask and for what "
                             f"is unknown, got {self.max_tokens}")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ValueError(f"{who}: expected max_tokens with pad_to_max_tokens=True, got None")
        if self.invert and self.output_mode != "int":
            raise ValueError(f"{who}: expected output_mode 'int' with invert=True, got {self.output_mode!r}")
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise ValueError(f"{who}: idf_weights are for output_mode 'tf_idf', got output_mode {self.output_mode!r}")
        if vocabulary is not None and idf_weights is None and self.output_mode == "tf_idf":
            raise ValueError(f"{who}: expected idf_weights with a vocabulary in output_mode 'tf_idf', got None")

    def _checked_salt(self, salt: Any) -> list[int] | None:
        if salt is not None and not self.holds_text and self.oov_method != "farmhash":
            raise ValueError(f"{self.described}: salt is for oov_method 'farmhash', got oov_method {self.oov_method!r}")
        return salt_pair(self.described, salt)

    # the vocabulary

    @property
    def _oov_start(self) -> int:
        """The id of the first token that stands for what is not in the vocabulary."""
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _token_start(self) -> int:
        """The id of the vocabulary's first token."""
        return self._oov_start + self.num_oov_indices

    @property
    def _special_tokens(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by their ids, with those for the mask and for what is unknown at the front if asked for."""
        tokens = self._vocabulary.tokens if self._vocabulary is not None else []
        return self._special_tokens + tokens if include_special_tokens else list(tokens)

    def vocabulary_size(self) -> int:
        """The number of ids, those for the mask and for what is unknown included."""
        return self._token_start + (len(self._vocabulary.tokens) if self._vocabulary is not None else 0)

    @property
    def idf_weights(self) -> np.ndarray | None:
        """The weight of each id in output_mode "tf_idf"."""
        return None if self._vocabulary is None else self._vocabulary.idf

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the layer its vocabulary; one that it has is replaced.

        Arguments:
            vocabulary: a list or array of tokens, or the path of a file with one in each line. It begins either with the
                tokens for the mask and for what is unknown, exactly as in `get_vocabulary()`, or without any of them.
            idf_weights: in output_mode "tf_idf", and only there, a number for each token of `vocabulary`.

        Raises:
            ValueError: no token, or the same twice; the mask or (with invert) oov token in another place; more than max_tokens;
                a file that is not there or not UTF-8; idf_weights that do not fit.
            RuntimeError: a vocabulary of another size where the output's size depends on it (as in Keras).
        """
        who, special = self.described, self._special_tokens
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise ValueError(f"{who}: set_vocabulary expected idf_weights in output_mode 'tf_idf' and only there, got "
                             f"{'none' if idf_weights is None else 'some'} in output_mode {self.output_mode!r}")
        given = tokens_of(vocabulary, who, self.holds_text, self.encoding)
        has_special = given[:len(special)] == special
        tokens = given[len(special):] if has_special else given
        if twice := repeated(tokens):
            raise ValueError(f"{who}: expected each token once in the vocabulary, got {', '.join(map(repr, twice[:10]))} "
                             "more than once")
        self._check_places(given, tokens)
        idf = None if idf_weights is None else idf_weights_of(idf_weights, len(given), who).astype(np.float32)
        if idf is not None and not has_special:
            idf = np.concatenate([np.full(len(special), idf.mean(dtype=float), np.float32), idf])
        self._take(tokens, idf)

    def _check_places(self, given: list[Any], tokens: list[Any]) -> None:
        for name, token in (("mask_token", self.mask_token), ("oov_token", self.oov_token if self.invert else None)):
            if token is not None and token in tokens:
                raise ValueError(f"{self.described}: expected {self._special_tokens} at the front of the vocabulary in this "
                                 f"order, or none of them, got {name} {token!r} at place "
                                 f"{len(given) - 1 - given[::-1].index(token)}")

    def _take(self, tokens: list[Any], idf: np.ndarray | None) -> None:
        """Make these tokens the vocabulary."""
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(f"{self.described}: expected a vocabulary of at most max_tokens={self.max_tokens}, got {size} "
                             f"tokens with {self._special_tokens}")
        depends = self.output_mode != "int" and not self.pad_to_max_tokens
        if depends and self._frozen_size not in (None, size):
            raise RuntimeError(f"{self.described}: in output_mode {self.output_mode!r} without pad_to_max_tokens the "
                               f"vocabulary keeps its size, {self._frozen_size}, got one of {size}: make a new layer for it")
        self._frozen_size = size
        if idf is not None and self.pad_to_max_tokens:
            idf = np.pad(idf, (0, (self.max_tokens or 0) - len(idf)))
        self._vocabulary = Vocabulary(tokens, idf, self._table(tokens))

    def _table(self, tokens: list[Any]) -> Any:
        if self.invert:
            table = np.empty(self._token_start + len(tokens), object if self.holds_text else np.int64)
            table[:] = [self.oov_token if token is None else token for token in self._special_tokens + tokens]
            return table
        values = np.arange(self._token_start, self._token_start + len(tokens))
        if self.mask_token is not None:
            tokens = [*tokens, self.mask_token]
            values = np.append(values, 0 if self.output_mode == "int" else LEFT_OUT)
        return StringTable(tokens, values) if self.holds_text else IntegerTable(tokens, values)

    @property
    def assets(self) -> dict[str, Any] | None:
        """The vocabulary and its weights for a model's file, where the configuration does not have them."""
        if self._vocabulary is None or self.input_vocabulary is not None:
            return None
        idf = self._vocabulary.idf
        return {"vocabulary": self._vocabulary.tokens, "idf_weights": None if idf is None else idf.tolist()}

    @assets.setter
    def assets(self, assets: dict[str, Any]) -> None:
        idf = assets["idf_weights"]
        self._take(list(assets["vocabulary"]), None if idf is None else np.array(idf[:self._token_start
                                                                                     + len(assets["vocabulary"])], np.float32))

    # learning it

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens by how often they occur, of several as often the last in alphabetical order first.

        In output_mode "tf_idf" each sample (row) is a document, and the weight of a token is log(1 + N / (1 + df)), where it
        occurs in df of the N documents; what is unknown gets the mean of all weights.

        Arguments:
            data: an array (one on a disk, too) or a list; or a generator or iterable of batches, of which no more is remembered
                than how often each token occurs. Of a batch (x, y) or (x, y, weights) with an array among them x counts.
            steps: how many batches to take from an iterable; all by default.

        Raises:
            ValueError: the layer was made with a vocabulary, or there is no token in the data; `steps` for an array.
        """
        run_adapt(self, data, steps, self._to_tokens)

    def _to_tokens(self, data: Any) -> Any:
        """An array of the kind of the vocabulary's tokens."""
        if self.holds_text:
            return as_strings(data, self.described, "the data")
        return self._whole(np.asarray(as_array(data, self.described, "the data")))

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch; an array of one axis is one document.

        Raises:
            ValueError: the layer was made with a vocabulary.
        """
        array = self._to_tokens(data)
        rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
        offsets = np.arange(len(rows) + 1) * rows.shape[1]
        if self.holds_text:
            clean, starts, ends = map(self.xp.asarray, text_buffer(rows, self.described, self.encoding))
            self.count_texts(clean, starts, ends, offsets)
        else:
            different, groups = np.unique(to_numpy(rows), return_inverse=True)
            self._count(different.tolist(), groups.reshape(-1), offsets)

    def count_texts(self, clean: Any, starts: Any, ends: Any, offsets: np.ndarray) -> None:
        """Count the tokens that lie in `clean`; document n are those from offsets[n] to offsets[n + 1]."""
        like = self.xp.empty(starts.size, np.int64)
        self.kernels.text.group_tokens(clean, starts, ends, free_slots(starts.size, self.xp), like)
        like = to_numpy(like)
        firsts = np.flatnonzero(like == np.arange(like.size))
        numbers = np.empty(like.size, np.int64)
        numbers[firsts] = np.arange(firsts.size)
        self._count(cut(to_numpy(clean), to_numpy(starts)[firsts], to_numpy(ends)[firsts]), numbers[like], offsets)

    def _count(self, tokens: list[Any], groups: np.ndarray, offsets: np.ndarray) -> None:
        if self._has_input_vocabulary:
            raise ValueError(f"{self.described}: was made with a vocabulary and cannot adapt: make a layer without one")
        self._counts.add(tokens, groups, offsets)

    @property
    def has_counted(self) -> bool:
        """Whether `update_state` has seen any token."""
        return bool(self._counts.tokens)

    def finalize_state(self) -> None:
        """Make a vocabulary of the tokens that were counted, if there were any."""
        counts = self._counts
        if self._has_input_vocabulary or not counts.tokens:
            return
        most = None if self.max_tokens is None else self.max_tokens - self._token_start
        tokens = counts.most_frequent(most, (self.mask_token, self.oov_token))
        idf = None
        if self.output_mode == "tf_idf":
            known = counts.idf(tokens)
            idf = np.concatenate([np.full(self._token_start, known.mean() if len(known) else 0, np.float32), known])
        self._take(tokens, idf)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted; the vocabulary stays."""
        self._counts = Counts(self.output_mode == "tf_idf")

    def _whole(self, inputs: Any) -> Any:
        """Integers as int64.

        Raises:
            ValueError: numbers that are none.
            TypeError: no numbers.
        """
        kind = inputs.dtype.kind
        if kind not in "fiub":
            raise TypeError(f"{self.described}: expected integers, got dtype {inputs.dtype}")
        with np.errstate(invalid="ignore"):                         # NaN and inf have no integer
            numbers = inputs.astype(np.int64, copy=False)
        wrong = numbers != inputs if kind == "f" else numbers < 0 if kind == "u" else None
        if wrong is not None and wrong.any():
            raise ValueError(f"{self.described}: expected integers below 2**63, got {inputs[wrong].reshape(-1)[0]}")
        return numbers


def _plain(values: Any) -> Any:
    """A list or array as a list of Python's own values, for a configuration."""
    return None if values is None else np.asarray(values).tolist()
