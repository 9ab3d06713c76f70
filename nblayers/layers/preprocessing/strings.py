"""How strings come in: lists, nested lists, NumPy's arrays, columns and tables of texts; and how they are laid out for kernels.

A text is its bytes in UTF-8. Nothing is changed on the way: empty strings, zeros, combining characters and what is written from
right to left all stay as they are.
"""
import codecs
from collections.abc import Iterator
from typing import Any

import numpy as np

from nblayers.layers.base import Layer
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.preprocessing.hashes import offsets_of

KINDS = "OUST"              # of NumPy's dtypes that hold strings


class TakesStrings(Layer):
    """A layer whose input is one array of strings, symbolic or not; or of integers, where `takes_strings` is False.

    Arguments:
        encoding: of strings that come as bytes.
    """

    input_spec = InputSpec()
    integer_inputs = True
    takes_strings = True

    def __init__(self, encoding: str = "utf-8", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoding = checked_encoding(self.described, encoding)
        self.autocast = False                                       # a large integer is not exact in float32
        self.built = True

    @property
    def input_dtype(self) -> str:
        return "string" if self.takes_strings else "int64"

    def _to_array(self, value: Any) -> Any:
        if value is None or not self.takes_strings:
            return super()._to_array(value)
        return as_strings(value, self.described)

    def _check_inputs(self, inputs: Any) -> None:
        if getattr(inputs, "is_symbolic", False) and (inputs.dtype == "string") != self.takes_strings:
            wanted = 'strings, as from Input(..., dtype="string")' if self.takes_strings else "integers"
            raise TypeError(f"{self.described}: expected {wanted}, got a symbolic tensor of dtype {inputs.dtype}")
        if isinstance(inputs, list) or inputs.shape:                # a single value has no samples to count
            super()._check_inputs(inputs)

    def backward(self, dy: Any) -> None:
        """Strings and integers have no gradient."""


def checked_encoding(who: str, encoding: Any) -> str:
    """The name of an encoding.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise ValueError(f"{who}: expected the name of a text encoding, as 'utf-8', as encoding, got {encoding!r}") from None
    return encoding


def as_strings(value: Any, who: str, what: str = "an input") -> np.ndarray:
    """An array of strings (of str, bytes or objects) of whatever holds them; what its objects are is not looked at here.

    Arguments:
        value: a string, lists of them, an array, a column of pandas or polars, or a table of such columns.
        who, what: open error messages.

    Raises:
        TypeError: it holds something else.
        ValueError: nested lists of different lengths.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, (str, bytes)):
        array = np.array(value, object)
    elif isinstance(value, (list, tuple)):
        array = _of_lists(value, who, what)
    elif hasattr(value, "columns") and hasattr(value, "dtypes"):
        columns = [value[name] for name in value.columns]
        array = np.column_stack([as_strings(column, who, what).astype(object) for column in columns])
    else:
        array = np.asarray(value)
    if array.dtype.kind not in KINDS:
        raise TypeError(f"{who}: expected {what} to hold strings, got dtype {array.dtype}")
    return array.astype(object) if array.dtype.kind == "T" else array


def is_strings(value: Any) -> bool:
    """Whether this is a list, nested or not, that begins with a string."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes))


def _of_lists(value: Any, who: str, what: str) -> np.ndarray:
    depth, first = 0, value
    while isinstance(first, (list, tuple)):
        depth, first = depth + 1, first[0] if first else ""
    try:
        array = np.array(value, object)
    except ValueError:
        array = np.empty(0, object)
    if array.ndim != depth + np.ndim(first):
        raise ValueError(f"{who}: expected {what} as one array, got nested lists of different lengths")
    return array


def text_buffer(strings: np.ndarray, who: str, encoding: str = "utf-8") -> tuple[np.ndarray, np.ndarray]:
    """Strings, laid end to end in UTF-8.

    Arguments:
        strings: an array of them, of any shape.
        who: opens error messages.
        encoding: of those that are bytes.

    Returns:
        The bytes (B,), uint8, and offsets (N + 1,), int64: string i is text[offsets[i]:offsets[i + 1]].

    Raises:
        TypeError: an element is no string.
        ValueError: an element is no text in its encoding.
    """
    plain = _of_fixed_width(strings) if strings.dtype.kind in "US" and strings.size else None
    if plain is not None:
        return plain
    items = strings.reshape(-1).tolist()
    try:
        joined = "".join(items)
    except TypeError:                                               # bytes among them
        items = list(_decoded(items, strings.shape, who, encoding))
        joined = "".join(items)
    try:
        text = np.frombuffer(bytearray(joined.encode()), np.uint8)  # that may be written, as kernels want it
    except UnicodeEncodeError:
        at, item = next((i, item) for i, item in enumerate(items) if any("\ud800" <= c <= "\udfff" for c in item))
        raise ValueError(f"{who}: expected texts, got {item!r}{_place(at, strings.shape)}, in which half a character "
                         "(a lone surrogate) has no UTF-8") from None
    offsets = offsets_of(np.fromiter(map(len, items), np.int64, len(items)))
    if len(text) > len(joined):                                     # some characters are several bytes
        begins = np.append(np.flatnonzero((text & 0xC0) != 0x80), len(text))
        offsets = begins[offsets]
    return text, offsets


def as_list(strings: np.ndarray, who: str, encoding: str = "utf-8") -> list[str]:
    """The strings of an array of any shape one after another. Errors: `text_buffer`."""
    if strings.dtype.kind == "U":
        return strings.reshape(-1).tolist()
    return list(_decoded(strings.reshape(-1).tolist(), strings.shape, who, encoding))


def cut(text: np.ndarray, starts: Any, ends: Any) -> list[str]:
    """The strings that lie in `text` (bytes of UTF-8) from each start to its end."""
    whole = text.tobytes()
    places = zip(starts.tolist(), ends.tolist(), strict=True)
    if whole.isascii():
        letters = whole.decode()
        return [letters[start:end] for start, end in places]
    return [whole[start:end].decode() for start, end in places]


def _of_fixed_width(strings: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The same for NumPy's strings of one width; None where they are not all ASCII."""
    unit = np.dtype(np.uint32 if strings.dtype.kind == "U" else np.uint8)
    strings = np.ascontiguousarray(strings, strings.dtype.newbyteorder("=")).reshape(-1)
    characters = strings.view(unit).reshape(strings.size, -1)       # (N, width), filled up with zeros
    if characters.max(initial=0) > 127:
        return None
    lengths = np.char.str_len(strings)
    is_used = np.arange(characters.shape[1]) < lengths[:, None]
    return characters[is_used].astype(np.uint8), offsets_of(lengths)


def _decoded(items: list[Any], shape: tuple[int, ...], who: str, encoding: str) -> Iterator[str]:
    for at, item in enumerate(items):
        if isinstance(item, str):
            yield str(item)                                         # NumPy's strings, too
        elif isinstance(item, bytes):
            try:
                yield item.decode(encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"{who}: expected bytes in {encoding}, got {item!r}{_place(at, shape)}: {error}") from None
        else:
            raise TypeError(f"{who}: expected strings, got {item!r} ({type(item).__name__}){_place(at, shape)}")


def _place(at: int, shape: tuple[int, ...]) -> str:
    """Which element number `at` is."""
    if not shape:
        return ""
    index = ", ".join(str(int(i)) for i in np.unravel_index(at, shape))
    return f" as element [{index}]"
