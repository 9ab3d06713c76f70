"""How strings come in: lists, nested lists, NumPy's arrays, columns and tables of texts; and how they are laid out for kernels.

A text is its bytes in UTF-8. Nothing is changed on the way: empty strings, zeros, combining characters and what is written from
right to left all stay as they are.
"""
import codecs
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nblayers.arrays import as_strings
from nblayers.layers.base import Layer
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.preprocessing.hashes import offsets_of


class TakesStrings(Layer):
    """A layer whose input is one array of strings, symbolic or not; or of integers, where `takes_strings` is False.

    Arguments:
        encoding: of strings that come as bytes.
    """

    input_spec = InputSpec()
    input_dtype: str | None = "string"
    integer_inputs = True
    single_values = True

    def __init__(self, encoding: str = "utf-8", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoding = checked_encoding(self.described, encoding)
        self.autocast = False                                       # a large integer is not exact in float32
        self.built = True

    @property
    def takes_strings(self) -> bool:
        """Whether the input are strings, and not integers."""
        return self.input_dtype == "string"

    def _to_array(self, value: Any) -> Any:
        if value is None or not self.takes_strings:
            return super()._to_array(value)
        return as_strings(value, self.described)

    def _check_inputs(self, inputs: Any) -> None:
        if getattr(inputs, "is_symbolic", False) and (inputs.dtype == "string") != self.takes_strings:
            wanted = 'strings, as from Input(..., dtype="string")' if self.takes_strings else "integers"
            raise TypeError(f"{self.described}: expected {wanted}, got a symbolic tensor of dtype {inputs.dtype}")
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


class Texts(NamedTuple):
    """Strings laid one behind another in UTF-8.

    Attributes:
        text: the bytes (B,), uint8.
        begins, finishes: string i is text[begins[i]:finishes[i]] (N,).
    """

    text: Any
    begins: Any
    finishes: Any


def text_buffer(strings: np.ndarray, who: str, encoding: str = "utf-8") -> Texts:
    """An array of strings, of any shape, laid out for the kernels.

    Arguments:
        who: opens error messages.
        encoding: of strings that are bytes.

    Raises:
        TypeError: an element is no string.
        ValueError: an element is no text in its encoding.
    """
    plain = _of_fixed_width(strings) if strings.dtype.kind in "US" and strings.size else None
    if plain is not None:
        return plain
    items = strings.reshape(-1).tolist()
    try:
        joined = "\0".join(items)
    except TypeError:                                               # bytes among them
        items = list(_decoded(items, strings.shape, who, encoding))
        joined = "\0".join(items)
    try:
        text = np.frombuffer(bytearray(joined.encode()), np.uint8)  # that may be written, as kernels want it
    except UnicodeEncodeError:
        at, item = next((i, item) for i, item in enumerate(items) if any("\ud800" <= c <= "\udfff" for c in item))
        raise ValueError(f"{who}: expected texts, got {item!r}{_place(at, strings.shape)}, in which half a character "
                         "(a lone surrogate) has no UTF-8") from None
    between = np.flatnonzero(text == 0)
    if len(between) == len(items) - 1:
        return Texts(text, np.concatenate([[0], between + 1]), np.concatenate([between, [len(text)]]))
    lengths = np.array([len(item.encode()) for item in items], np.int64)        # zeros are within the strings, too
    begins = offsets_of(lengths + 1)[:-1]
    return Texts(text, begins, begins + lengths)


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


def _of_fixed_width(strings: np.ndarray) -> Texts | None:
    """The same for NumPy's strings of one width; None where they are not all ASCII."""
    unit = np.dtype(np.uint32 if strings.dtype.kind == "U" else np.uint8)
    strings = np.ascontiguousarray(strings, strings.dtype.newbyteorder("=")).reshape(-1)
    characters = strings.view(unit)                                 # of all strings, each filled up with zeros
    if characters.max(initial=0) > 127:
        return None
    begins = np.arange(strings.size) * (characters.size // strings.size)
    return Texts(characters.astype(np.uint8), begins, begins + np.char.str_len(strings))


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
