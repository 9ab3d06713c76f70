"""Tokens into their places in a vocabulary, and back."""
from collections.abc import Sequence
from typing import Any

from nblayers.arguments import choice
from nblayers.layers.preprocessing.index_lookup import IndexLookup


class StringLookup(IndexLookup):
    r"""Strings into their places in a vocabulary: how words and named categories become numbers for an Embedding or a Dense.

        i = v_m \text{ where token } s_m \text{ is the string, else } v_{oov}                                       (1)
        y_v = \sum_j [i_j = v]                                      (2)    of one sample; "multi_hot": 1 where not 0
        y_v = \log(1 + N / (1 + df_v)) \sum_j [i_j = v]             (3)    "tf_idf"

    The ids begin with 0 for the mask token, if there is one, then come `num_oov_indices` for what is unknown, then the
    vocabulary. In other modes than "int" the mask token has none: it is left out.

    Input (…) of strings: lists, arrays of NumPy, columns of pandas or polars; bytes are decoded. Output by `output_mode`:
    "int" (…) ids, int64; "one_hot" (…, V), where a last axis of 1 gives way; "multi_hot", "count", "tf_idf" (…, V) for
    inputs (…, words of a sample), floating as the layers after it want it. There is no gradient: `backward` returns None.

    Arguments:
        max_tokens: the most ids, those for the mask and the unknown included, and at least these; None for no limit.
        num_oov_indices: ids for what is not in the vocabulary, chosen by its hash; with 0 it is an error.
        mask_token: stands for "nothing here".
        oov_token: how what is unknown is called in the vocabulary and with `invert`.
        vocabulary: list, array or path of a file with a token in each line; without it call `adapt`.
        idf_weights: in mode "tf_idf" with a vocabulary a weight for each of its tokens.
        invert: ids in, strings out (an array of str).
        output_mode: see above.
        pad_to_max_tokens: V is max_tokens even where the vocabulary is smaller.
        sparse: refused, there are no sparse arrays.
        encoding: of strings that come as bytes.
        salt: an integer or two: what is unknown is hashed by SipHash with this key, in place of FarmHash.

    Raises:
        ValueError: arguments that do not go together; a token twice in the vocabulary; bytes that are not in the encoding;
            an unknown string where num_oov_indices is 0; with `invert` an id out of range (Keras gives the oov token).
        TypeError: an input that is no string.
        RuntimeError: called before `adapt` or `set_vocabulary`.

    Source: 001.10.StringLookup.
    """

    def __init__(self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: str | None = None,
                 oov_token: str = "[UNK]", vocabulary: Any = None, idf_weights: Any = None, invert: bool = False,
                 output_mode: str = "int", pad_to_max_tokens: bool = False, sparse: bool = False, encoding: str = "utf-8",
                 name: str | None = None, salt: int | Sequence[int] | None = None, oov_method: str = "floormod",
                 **kwargs: Any) -> None:
        super().__init__(max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode,
                         sparse, pad_to_max_tokens, oov_method, salt, encoding=encoding, name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"encoding": self.encoding}


class IntegerLookup(IndexLookup):
    r"""Integers into their places in a vocabulary: for categories that are numbers with gaps, as postal codes or years.

        i = v_m \text{ where token } s_m \text{ is the integer, else } v_{oov}                                      (1)
        v_{oov} = \text{first} + (x \bmod \text{num\_oov\_indices})                                                 (2)

    As `StringLookup`, with integers (or whole numbers in a floating array) in place of strings; output as there.

    Arguments:
        max_tokens, num_oov_indices, vocabulary, idf_weights, invert, output_mode, sparse, pad_to_max_tokens: see StringLookup.
        mask_token, oov_token: integers.
        vocabulary_dtype: "int64".
        oov_method: how one of several ids for what is unknown is chosen: "floormod" as in (2), or "farmhash" of its digits.
        salt: with "farmhash" an integer or two: SipHash with this key, in place of FarmHash.

    Raises:
        ValueError: as StringLookup; a number that is no integer; another vocabulary_dtype.
        TypeError: an input of something else than numbers.
        RuntimeError: called before `adapt` or `set_vocabulary`.

    Source: 001.10.IntegerLookup.
    """

    holds_text = False

    def __init__(self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: int | None = None,
                 oov_token: int = -1, vocabulary: Any = None, vocabulary_dtype: str = "int64", idf_weights: Any = None,
                 invert: bool = False, output_mode: str = "int", sparse: bool = False, pad_to_max_tokens: bool = False,
                 oov_method: str = "floormod", salt: int | Sequence[int] | None = None, name: str | None = None,
                 **kwargs: Any) -> None:
        super().__init__(max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode,
                         sparse, pad_to_max_tokens, oov_method, salt, name=name, **kwargs)
        choice(self.described, "vocabulary_dtype", vocabulary_dtype, ["int64"])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_dtype": "int64"}
