"""What a layer accepts: `InputSpec` (document 001, section 6)."""
from typing import Any


class InputSpec:
    """The shape that a layer expects of an input. Any argument left out is not checked.

    Arguments:
        dtype: name of the dtype expected.
        shape: tuple with the batch axis; None for an axis of any size.
        ndim, max_ndim, min_ndim: the number of axes, batch included.
        axes: {axis: size} for single axes.
        allow_last_axis_squeeze: accept an input that lacks the last axis of `shape` or has one more, if that axis has size 1.
        name: the input's name.
        optional: None is accepted for this input.

    Raises:
        TypeError: axes is not a dictionary with integer keys.
        ValueError: axes names an axis that an input of ndim or max_ndim axes does not have.

    Source: 001.06.InputSpec.
    """

    def __init__(self, dtype: str | None = None, shape: tuple[int | None, ...] | None = None, ndim: int | None = None,
                 max_ndim: int | None = None, min_ndim: int | None = None, axes: dict[int, int | None] | None = None,
                 allow_last_axis_squeeze: bool = False, name: str | None = None, optional: bool = False) -> None:
        self.dtype = dtype
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        try:
            self.axes = {int(axis): size for axis, size in dict(axes or {}).items()}
        except (TypeError, ValueError):
            raise TypeError(f"InputSpec: expected axes to be a dictionary with integer keys, got {axes!r}") from None
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional
        highest = max((axis if axis >= 0 else -axis - 1 for axis in self.axes), default=-1)
        limit = self.ndim if self.ndim is not None else max_ndim
        if limit is not None and highest >= limit:
            raise ValueError(f"InputSpec: axis {highest} does not exist in an input of at most {limit} axes")
        sizes = {**self.axes, **dict(enumerate(self.shape or ()))}
        self._sizes = [(axis, size) for axis, size in sizes.items() if size is not None]

    def mismatch(self, shape: tuple[int | None, ...], dtype: Any) -> str:
        """What is wrong with one input of this shape (None: unknown) and dtype; "" if it fits."""
        if self.allow_last_axis_squeeze and self.shape:
            if len(shape) == len(self.shape) - 1 and self.shape[-1] == 1:
                shape = (*shape, 1)
            elif len(shape) == len(self.shape) + 1 and shape[-1] == 1:
                shape = shape[:-1]
        ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim:
            return f"expected an input of {self.ndim} axes, got {ndim} (shape {shape})"
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"expected an input of at most {self.max_ndim} axes, got {ndim} (shape {shape})"
        if self.min_ndim is not None and ndim < self.min_ndim:
            return f"expected an input of at least {self.min_ndim} axes, got {ndim} (shape {shape})"
        if self.dtype is not None and str(dtype) != self.dtype:
            return f"expected an input of dtype {self.dtype}, got {dtype}"
        for axis, size in self._sizes:
            if not -ndim <= axis < ndim:
                return f"expected size {size} on axis {axis} of the input, got {ndim} axes (shape {shape})"
            if shape[axis] not in (size, None):
                return f"expected size {size} on axis {axis} of the input, got {shape[axis]} (shape {shape})"
        return ""

    def get_config(self) -> dict[str, Any]:
        """The arguments of this specification."""
        return {"dtype": self.dtype, "shape": self.shape, "ndim": self.ndim, "max_ndim": self.max_ndim,
                "min_ndim": self.min_ndim, "axes": self.axes, "optional": self.optional}

    def __repr__(self) -> str:
        given = {key: value for key, value in self.get_config().items() if value not in (None, {}, False)}
        return "InputSpec(" + ", ".join(f"{key}={value}" for key, value in given.items()) + ")"
