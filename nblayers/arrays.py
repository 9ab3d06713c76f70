"""What other libraries hold as arrays of NumPy: tensors of PyTorch, JAX and TensorFlow, tables of pandas and polars."""
from collections.abc import Iterator
from typing import Any

import numpy as np

_TEXTS = ("object", "string", "str", "large_string", "categorical")     # names of dtypes
STRINGS = "OUST"                                            # kinds of NumPy's dtypes that hold strings


def as_array(value: Any, who: str = "array", what: str = "data") -> Any:
    """The array in whatever holds one; arrays on a GPU stay there.

    A tensor of PyTorch is read without its graph. In a table the numbers and truth values of all columns become one dtype,
    and what is missing (pandas' NA) becomes NaN. Lists and tables of texts become arrays of objects, for layers that take them.

    Arguments:
        value: a number, an array, lists of them, a tensor, a table or a column of one.
        who, what: open error messages: who was called, and what was given to it.

    Raises:
        ValueError: nested lists of different lengths.
        TypeError: a column of a table that holds neither numbers nor texts, or a table of both; a tensor that NumPy has
            no form for.
    """
    if type(value) is np.ndarray:
        return value
    if is_strings(value):
        return as_strings(value, who, what)
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        return _table(value, who, what)
    if hasattr(value, "to_numpy") and hasattr(value, "dtype"):
        return _column(value, who, what)
    if hasattr(value, "detach"):
        return _tensor(value, who, what)
    if hasattr(value, "__cuda_array_interface__"):
        return value
    array = np.from_dlpack(value) if _has_only_dlpack(value) else _asarray(value, who, what)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def as_numbers(value: Any, who: Any, what: str) -> Any:
    """The same, for arrays of numbers (or truth values) alone; `who` may be what has a `described`, which only errors ask for.

    Raises:
        TypeError: it holds something else.
    """
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    who = getattr(who, "described", who)
    array = as_array(value, who, what)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{who}: expected {what} to hold numbers, got dtype {array.dtype}")
    return array


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
        array = _of_nested(value, who, what)
    elif hasattr(value, "columns") and hasattr(value, "dtypes"):
        array = np.column_stack([as_strings(column, who, what).astype(object) for _, column in _columns(value)])
    else:
        array = np.asarray(value if hasattr(value, "to_numpy") else as_array(value, who, what))
    if array.dtype.kind not in STRINGS:
        raise TypeError(f"{who}: expected {what} to hold strings, got dtype {array.dtype}")
    return array.astype(object) if array.dtype.kind == "T" else array


def is_strings(value: Any) -> bool:
    """Whether this is a list, nested or not, that begins with a string."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes))


def _of_nested(value: Any, who: str, what: str) -> np.ndarray:
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


def as_rows(x: Any) -> Any:
    """An array as a matrix: all axes but the last in one."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def is_array(value: Any) -> bool:
    """Whether this is one array, and not a container of arrays."""
    return isinstance(value, np.ndarray) or any(hasattr(value, name) for name in ("__array__", "shape", "__dlpack__"))


def _asarray(value: Any, who: str, what: str) -> np.ndarray:
    if np.ma.is_masked(value):
        raise ValueError(f"{who}: expected {what} without masked elements, got a masked array: fill them")
    try:
        return np.asarray(value)
    except ValueError as error:
        kind = type(value).__name__
        raise ValueError(f"{who}: expected {what} as one array, got a {kind} that makes none: {error}") from error


def _has_only_dlpack(value: Any) -> bool:
    return hasattr(value, "__dlpack__") and not hasattr(value, "__array__")


def _tensor(tensor: Any, who: str, what: str) -> Any:
    """A tensor of PyTorch; bfloat16, which NumPy does not have, as float32."""
    tensor = tensor.detach()
    if hasattr(tensor, "__cuda_array_interface__"):
        return tensor
    try:
        tensor = tensor.cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{who}: expected {what} as an array, got a tensor that makes none: {error}") from error


def _table(table: Any, who: str, what: str) -> np.ndarray:
    """A table of pandas or polars, the columns side by side."""
    columns = list(_columns(table))
    if columns and all(_is_text(column) for _, column in columns):
        return as_strings(table, who, what)
    wrong = [f"{name!r} ({column.dtype})" for name, column in columns if not _is_numeric(column)]
    if wrong:
        raise TypeError(f"{who}: expected {what} to hold numbers in all columns, got {', '.join(wrong)}")
    if not columns:
        return np.asarray(table)
    return np.column_stack([_numbers(column) for _, column in columns])


def _column(column: Any, who: str, what: str) -> np.ndarray:
    """A column of pandas or polars; texts go on as they are, for who takes them."""
    if _is_numeric(column):
        return _numbers(column)
    array = np.asarray(column)
    if not _is_text(column):
        raise TypeError(f"{who}: expected {what} to hold numbers, got column {column.name!r} of dtype {column.dtype}")
    return array


def _columns(table: Any) -> Iterator[tuple[Any, Any]]:
    """The columns with their names (of which two may be the same)."""
    if hasattr(table, "items"):
        yield from table.items()
    else:
        for column in table.iter_columns():
            yield column.name, column


def _is_numeric(column: Any) -> bool:
    kind = getattr(column.dtype, "kind", None)
    if kind is None:                                        # polars
        return column.dtype.is_numeric() or str(column.dtype) == "Boolean"
    return kind in "fiub"


def _is_text(column: Any) -> bool:
    """Whether a column holds texts, or categories that are texts."""
    dtype = getattr(getattr(column.dtype, "categories", None), "dtype", column.dtype)
    return str(dtype).lower().split("[")[0] in _TEXTS


def _numbers(column: Any) -> np.ndarray:
    """A column of numbers or truth values; with NaN, and so floating, where something is missing."""
    array = np.asarray(column)
    if array.dtype.kind in "fiub":
        return array
    missing = np.asarray(column.is_null() if hasattr(column, "is_null") else column.isna(), bool)
    numbers = np.array([np.nan if gone else value for value, gone in zip(array, missing, strict=True)])
    return numbers if numbers.dtype.kind in "fiub" else numbers.astype(np.float64)
