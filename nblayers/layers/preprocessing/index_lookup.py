"""The second half of StringLookup and IntegerLookup: tokens looked up, and the forms of the output."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.layers.preprocessing.encoding import bags
from nblayers.layers.preprocessing.hashes import hash_text, hashed
from nblayers.layers.preprocessing.holds_vocabulary import HoldsVocabulary, Vocabulary
from nblayers.layers.preprocessing.strings import cut, text_buffer
from nblayers.layers.preprocessing.tables import MISSING


class IndexLookup(HoldsVocabulary):
    """What StringLookup and IntegerLookup have in common; arguments and errors: `StringLookup`."""

    def forward(self, inputs: Any) -> Any:
        vocabulary = self.known_vocabulary()
        if self.invert:
            return self._inverted(inputs, vocabulary)
        if self.holds_text:
            clean, starts, ends = map(self.xp.asarray, text_buffer(inputs, self.described, self.encoding))
            ids = self.ids_of(clean, starts, ends, vocabulary)
        else:
            ids = self._ids_of_integers(self._whole(inputs).reshape(-1), vocabulary)
        return self.encoded(ids, inputs.shape, vocabulary)

    def known_vocabulary(self) -> Vocabulary:
        """The vocabulary.

        Raises:
            RuntimeError: there is none yet.
        """
        if self._vocabulary is None:
            raise RuntimeError(f"{self.described}: has no vocabulary yet: call adapt(data) or set_vocabulary(...) first")
        return self._vocabulary

    def ids_of(self, clean: Any, starts: Any, ends: Any, vocabulary: Vocabulary) -> Any:
        """The ids of strings in `clean` (bytes of UTF-8), flat; negative for the mask in other modes than "int"."""
        unknown = self._oov_start if self.num_oov_indices == 1 else MISSING
        ids = vocabulary.table.look_up(clean, starts, ends, self.device, self.kernels, unknown)
        if self.num_oov_indices > 1:
            self._hash_missing(ids, lambda missing: hash_text(clean, starts[missing], ends[missing], self.kernels, self.xp,
                                                              self.salt))
        elif self.num_oov_indices == 0:
            self._replace_missing(ids, lambda missing: cut(*map(to_numpy, (clean, starts[missing], ends[missing]))))
        return ids

    def _ids_of_integers(self, numbers: Any, vocabulary: Vocabulary) -> Any:
        ids = vocabulary.table.look_up(numbers, self.xp)
        if self.num_oov_indices < 2:
            self._replace_missing(ids, lambda missing: numbers[missing].tolist())
        elif self.oov_method == "farmhash":
            self._hash_missing(ids, lambda missing: hashed(numbers[missing], self.kernels, self.xp, self.salt))
        else:
            missing = ids == MISSING
            ids[missing] = self._oov_start + numbers[missing] % self.num_oov_indices
        return ids

    def _replace_missing(self, ids: Any, tokens: Callable[[Any], list[Any]]) -> None:
        """The one id for what is unknown, or an error where there is none."""
        if self.num_oov_indices:
            ids[ids == MISSING] = self._oov_start
        elif (missing := self.xp.flatnonzero(ids == MISSING)).size:
            shown = ", ".join(map(repr, dict.fromkeys(tokens(missing[:10]))))
            raise ValueError(f"{self.described}: expected tokens of the vocabulary, as num_oov_indices is 0, got {shown}")

    def _hash_missing(self, ids: Any, hashes_of: Callable[[Any], Any]) -> None:
        missing = self.xp.flatnonzero(ids == MISSING)
        if missing.size:
            ids[missing] = self._oov_start + (hashes_of(missing) % np.uint64(self.num_oov_indices)).astype(np.int64)

    def _inverted(self, inputs: Any, vocabulary: Vocabulary) -> Any:
        ids = self._whole(inputs)
        size = len(vocabulary.table)
        wrong = (ids < 0) | (ids >= size)
        if wrong.any():
            raise ValueError(f"{self.described}: expected ids from 0 to {size - 1}, got {ids[wrong][0]}")
        if self.holds_text:
            return vocabulary.table[to_numpy(ids)] if ids.ndim else np.array(vocabulary.table[int(ids)], object)
        return self.xp.asarray(vocabulary.table)[ids]

    # the forms of the output

    def encoded(self, ids: Any, shape: tuple[int, ...], vocabulary: Vocabulary) -> Any:
        """ids, flat, of inputs of this shape, in the output's form."""
        if self.output_mode == "int":
            return ids.reshape(shape)
        if self.output_mode == "one_hot":
            width, outer = 1, shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape or (1,)
        else:
            width, outer = (shape[-1], shape[:-1]) if shape else (1, ())
        rows = int(np.prod(outer, dtype=np.int64))
        offsets = self.xp.arange(rows + 1, dtype=np.int64) * width
        return self.bags(ids, offsets, vocabulary).reshape(*outer, -1)

    def bags(self, ids: Any, offsets: Any, vocabulary: Vocabulary) -> Any:
        """For each row of ids (from one of `offsets` to the next) which of them it has, how many, or their weights."""
        y = bags(self, ids, offsets, self.output_mode in ("count", "tf_idf"), self._depth(vocabulary))
        if self.output_mode == "tf_idf":
            y *= self.xp.asarray(vocabulary.idf, self.dtype)
        return y

    def _depth(self, vocabulary: Vocabulary) -> int:
        most = self.max_tokens if self.pad_to_max_tokens else None
        return most or self._token_start + len(vocabulary.tokens)

    @property
    def output_dtype(self) -> str:
        if self.output_mode != "int":
            return self.dtype
        return "string" if self.invert and self.holds_text else "int64"

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_size
        if self.output_mode == "one_hot" and not (len(shape) > 1 and shape[-1] == 1):
            return (*(shape or (1,)), depth)
        return (*shape[:-1], depth)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "invert": self.invert, "max_tokens": self.max_tokens, "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token, "mask_token": self.mask_token, "output_mode": self.output_mode, "sparse": False,
            "pad_to_max_tokens": self.pad_to_max_tokens, "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary, "vocabulary_size": self._frozen_size, "oov_method": self.oov_method,
            "salt": self.salt}
