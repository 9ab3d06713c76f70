"""Categories that need no vocabulary: ids into rows of zeros and ones, strings and integers into bins by their hash."""
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.arrays import STRINGS, as_array, as_strings
from nblayers.layers.base import Record, holds_arrays
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import first_of, ids_below
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.preprocessing.encoding import Encoder
from nblayers.layers.preprocessing.hashes import combined, hash_text, hashed, salt_pair
from nblayers.layers.preprocessing.strings import text_buffer

START = 0xDECAFCAFFE                    # the hash of no feature, from which a crossing goes on


class CategoryEncoding(Encoder):
    r"""Ids into rows of zeros and ones: how a category of few values enters a Dense layer.

        y_{nv} = [i_n = v]                              (1)    "one_hot", for each id
        y_{nv} = \sum_l w_{nl}\,[i_{nl} = v]            (2)    "count", for each sample; without weights w = 1
        y_{nv} = [\sum_l [i_{nl} = v] > 0]              (3)    "multi_hot"

    Input (batch, …) of ids, whole numbers from 0 to V - 1; V is num_tokens. Output in "one_hot" (batch, …, V), where a last
    axis of 1 gives way; in the other modes (batch, V) for inputs (batch, L), and (batch, …, V) without axis 1 for more axes.
    An input of one axis is one sample: its output is (V,). The document's "integer encoding" is no mode of this layer.

    `forward(inputs, count_weights=None)`: w, in the shape of the ids, only in "count". There is no gradient for the ids:
    `backward` returns None, with weights [None, dL/dw].

    Arguments:
        num_tokens: V.
        output_mode: "multi_hot", "one_hot" or "count".
        sparse: True is refused.

    Raises:
        ValueError: num_tokens is not a positive integer, another output_mode; an id out of range or not a whole number (Keras
            on JAX gives a row of zeros); count_weights in another mode or of another shape.

    Source: 001.10.CategoryEncoding.
    """

    integer_inputs = True
    input_dtype = "int64"
    input_spec = InputSpec()
    modes = ("multi_hot", "one_hot", "count")
    num_tokens: int = fixed()

    class Cache(Record):
        ids: np.ndarray | None      # (N, L), int64; None without weights
        shape: tuple[int, ...]      # of the input

    def __init__(self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False,
                 **kwargs: Any) -> None:
        super().__init__("multi_hot" if output_mode == "binary" else output_mode, sparse, **kwargs)
        self.num_tokens = integer(self.described, "num_tokens", num_tokens, 1)
        self.autocast = False                       # a large id is not exact in float32
        self.built = True

    def forward(self, inputs: Any, count_weights: Any = None) -> Any:
        ids = ids_below(self.described, inputs, self.num_tokens)
        if count_weights is None:
            self.cache = self.Cache(None, ids.shape)
            return self._encoded(ids, self.num_tokens)                               # (1), (2), (3)
        w = self._checked(count_weights, ids.shape)
        ids = self._rows(ids)
        y = self.xp.empty((len(ids), self.num_tokens), self.dtype)
        self.kernels.encoding.weighted_counts(ids, self._rows(w), y)                # (2)
        self.cache = self.Cache(ids, w.shape)
        return y.reshape(self.compute_output_shape(w.shape))

    def _checked(self, weights: Any, shape: tuple[int, ...]) -> Any:
        if self.output_mode != "count":
            raise ValueError(f"{self.described}: count_weights are for output_mode 'count', got them with {self.output_mode!r}")
        if weights.shape != shape:
            raise ValueError(f"{self.described}: expected count_weights of the inputs' shape {shape}, got {weights.shape}")
        return weights.astype(self.dtype, copy=False)

    def backward(self, dy: np.ndarray) -> Any:
        cache = self.cache
        if cache.ids is None:
            return None
        dw = self.xp.empty(cache.ids.shape, dy.dtype)
        self.kernels.encoding.weighted_counts_backward(dy.reshape(-1, self.num_tokens), cache.ids, dw)      # from (2)
        return [None, self._unrowed(dw, cache.shape)]

    def _unrowed(self, rows: Any, shape: tuple[int, ...]) -> Any:
        """The way back from `_rows`."""
        if len(shape) < 2:
            return rows.reshape(shape)
        turned = (shape[0], *shape[2:], shape[1])
        return self.xp.ascontiguousarray(self.xp.moveaxis(rows.reshape(turned), -1, 1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._encoded_shape(input_shape, self.num_tokens)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_tokens": self.num_tokens}


class Hasher(Encoder):
    """A layer that puts strings and integers into bins.

    Arguments:
        dtype: of the output: "int64" or "int32" in output_mode "int", else "float32" or "float64".
    """

    integer_inputs = True
    input_dtype = "int64"
    num_bins: int = fixed()

    def __init__(self, num_bins: int, output_mode: str, sparse: bool, dtype: Any = None, **kwargs: Any) -> None:
        whole = output_mode == "int"
        super().__init__(output_mode, sparse, dtype=None if whole else dtype, **kwargs)
        self._integer_dtype = _integer_dtype(self.described, dtype) if whole else ""
        self.num_bins = integer(self.described, "num_bins", num_bins, 1)
        self.autocast = False                       # a large integer is not exact in float32
        self.built = True

    @property
    def output_dtype(self) -> str:
        return self._integer_dtype or self.dtype

    def _feature(self, value: Any) -> Any:
        """An array of strings, or one of numbers on the layer's device."""
        array = as_array(value, self.described, "an input")
        return as_strings(array, self.described) if array.dtype.kind in STRINGS else super()._to_array(array)

    def _binned(self, hashes: Any, bins: int, shape: tuple[int, ...]) -> Any:
        return (hashes % np.uint64(bins)).astype(np.int64).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"num_bins": self.num_bins, "sparse": False}
        config["dtype"]["config"]["name"] = self.output_dtype
        return config


def _integer_dtype(who: str, dtype: Any) -> str:
    """The dtype of ids by its name; Keras' configurations are understood."""
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    try:
        name = "int64" if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in ("int64", "int32"):
        raise ValueError(f"{who}: expected dtype 'int64' or 'int32' with output_mode 'int', got {dtype!r}")
    return name


class Hashing(Hasher):
    r"""Strings or integers into a fixed number of bins by their hash: categories of many values, without a vocabulary.

        i = h(s) \bmod K                                        (1)    s: the string, or the integer's decimal digits
        i = 0 \text{ for the mask value, else } 1 + h(s) \bmod (K - 1)      (2)    with a mask_value

    h is FarmHash's Fingerprint64, or SipHash-2-4 with the salt as its key: the values are TensorFlow's, on every device. Two
    values may share a bin. K is num_bins.

    Input (batch, …) of strings (lists, arrays of NumPy, columns of pandas or polars) or numbers, whose fraction is cut off.
    Output like the input, int64; in the other modes as in `CategoryEncoding`. There is no gradient: `backward` returns None.

    Arguments:
        num_bins: K, the bin of the mask value included.
        mask_value: the value that has bin 0 to itself.
        salt: an integer, or two: the key of SipHash; None for FarmHash.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: True is refused.
        dtype: of the output; "int64" by default in "int".

    Raises:
        ValueError: num_bins is not a positive integer; a salt that is no integer from -2^63 to 2^64 - 1 nor two of
            them; a NaN or
            infinity among the inputs; bytes that are not UTF-8.
        TypeError: an input that is neither strings nor numbers; a mask_value that is a string where they are numbers, or the
            other way round.

    Source: 001.10.Hashing; G. Pike 2014, "FarmHash"; Aumasson and Bernstein 2012, "SipHash".
    """

    input_spec = InputSpec()

    def __init__(self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = "int", sparse: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(num_bins, output_mode, sparse, **kwargs)
        self.mask_value = mask_value
        self.salt = salt_pair(self.described, salt)

    def _to_array(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and holds_arrays([each for each in value if each is not None]):
            return list(value)                      # which is refused
        return value if value is None else self._feature(value)

    def forward(self, inputs: Any) -> Any:
        return self._encoded(self._bins(inputs), self.num_bins)

    def _bins(self, inputs: Any) -> Any:
        hashes = self._hashes(inputs)
        if self.mask_value is None or self.num_bins == 1:
            return self._binned(hashes, self.num_bins, inputs.shape)                            # (1)
        bins = 1 + self._binned(hashes, self.num_bins - 1, inputs.shape)
        return self.xp.where(self._is_masked(inputs), 0, bins)                                  # (2)

    def _hashes(self, inputs: Any) -> Any:
        """h of each value, flat."""
        if inputs.dtype.kind == "b":
            inputs = np.where(inputs, "true", "false")                                          # TensorFlow's words for them
        if inputs.dtype.kind in STRINGS:
            return hash_text(*text_buffer(inputs, self.described), self.kernels, self.xp, self.salt)
        numbers = _whole(self.described, inputs).reshape(-1)
        return hashed(numbers, self.kernels, self.xp, self.salt)

    def _is_masked(self, inputs: Any) -> Any:
        is_text, mask = inputs.dtype.kind in STRINGS, self.mask_value
        mask = mask.decode() if isinstance(mask, bytes) else mask
        if isinstance(mask, str) != is_text:
            raise TypeError(f"{self.described}: expected inputs of the kind of mask_value={mask!r}, got "
                            f"{'strings' if is_text else 'numbers'}")
        if not is_text:
            return inputs == mask
        same = inputs == (mask.encode() if inputs.dtype.kind == "S" else mask)
        if inputs.dtype.kind == "O":
            same = same | (inputs == mask.encode())                                             # bytes among the strings
        return self.xp.asarray(same.astype(bool))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._encoded_shape(input_shape, self.num_bins)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"salt": self.salt, "mask_value": self.mask_value}


def _whole(who: str, numbers: Any) -> Any:
    """Numbers without their fraction, as int64 or uint64."""
    if numbers.dtype.kind == "u":
        return numbers.astype(np.uint64)
    if numbers.dtype.kind == "f":
        wrong = ~(abs(numbers.astype(np.float64)) < 2.0**63)
        if wrong.any():
            raise ValueError(f"{who}: expected numbers below 2^63, got {first_of(numbers, wrong)}")
    return numbers.astype(np.int64)


class HashedCrossing(Hasher):
    r"""Two or more categories into one: a bin for each combination, by the hash of them all.

        h_0 = \text{DECAFCAFFE}_{16}, \quad
            h_k = \text{cat}(h_{k-1}, f_k)                      (1)    f_k: feature k's integer, or its string's hash
        i = h_n \bmod K                                         (2)

    cat is TensorFlow's FingerprintCat64, the hash of a string FarmHash's Fingerprint64; K is num_bins. The document writes
    hash(feature_1 + feature_2): nothing is added, and the order of the features counts.

    `forward([a, b, …])`: two or more inputs, each (batch,) or (batch, 1), of strings or integers. Output like one input, int64;
    in "one_hot" (batch, K). There is no gradient: `backward` returns None for each input.

    Arguments:
        num_bins: K.
        output_mode: "int" or "one_hot".
        sparse: True is refused.
        dtype: of the output; "int64" by default in "int".

    Raises:
        ValueError: num_bins is not a positive integer; fewer than two inputs; inputs of different shapes or of more axes.
        TypeError: an input that is neither strings nor integers.

    Source: 001.10.HashedCrossing.
    """

    modes = ("int", "one_hot")

    class Cache(Record):
        features: int       # how many inputs there were

    def __init__(self, num_bins: int, output_mode: str = "int", sparse: bool = False, name: str | None = None,
                 dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(num_bins, output_mode, sparse, name=name, dtype=dtype, **kwargs)

    def _to_array(self, value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) < 2:
            got = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else "one array"
            raise ValueError(f"{self.described}: expected a list of two or more inputs, got {'None' if value is None else got}")
        return [self._feature(each) for each in value]

    def _check_inputs(self, inputs: Any) -> None:
        who = self.described
        if not isinstance(inputs, list) or len(inputs) < 2:
            raise ValueError(f"{who}: expected a list of two or more inputs, got one array")
        self._check_shapes([tuple(each.shape) for each in inputs])
        for each in inputs:
            kind = "U" if each.dtype == "string" else np.dtype(each.dtype).kind
            if kind not in STRINGS + "iu":
                raise TypeError(f"{who}: expected inputs of strings or integers, got dtype {each.dtype}")
        super()._check_inputs(inputs)

    def _check_shapes(self, shapes: list[Any]) -> None:
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(f"{self.described}: expected inputs of one shape, got {', '.join(map(str, shapes))}")
        if len(shapes[0]) > 2 or (len(shapes[0]) == 2 and shapes[0][1] != 1):
            raise ValueError(f"{self.described}: expected inputs of shape (), (batch,) or (batch, 1), got {shapes[0]}")

    def forward(self, inputs: Any) -> Any:
        shape = inputs[0].shape
        hashes = self.xp.full(inputs[0].size, START, np.uint64)
        for each in inputs:
            hashes = combined(hashes, self._fingerprints(each), self.kernels, self.xp)          # (1)
        self.cache = self.Cache(len(inputs))
        return self._encoded(self._binned(hashes, self.num_bins, shape), self.num_bins)          # (2)

    def _fingerprints(self, feature: Any) -> Any:
        if feature.dtype.kind in STRINGS:
            return hash_text(*text_buffer(feature, self.described), self.kernels, self.xp)
        return feature.astype(np.int64).view(np.uint64).reshape(-1)

    def backward(self, dy: Any) -> list[None]:
        return [None] * self.cache.features

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = [tuple(shape) for shape in input_shape]
        self._check_shapes(shapes)
        return self._encoded_shape(shapes[0], self.num_bins)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {"num_bins": self.num_bins, "output_mode": self.output_mode, "sparse": False, "name": self.name,
                "dtype": config["dtype"]["config"]["name"]}


__all__ = ["CategoryEncoding", "HashedCrossing", "Hashing"]
