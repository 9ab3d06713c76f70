"""What the layers that another framework computes have in common: how arrays go in and out, and what is said of errors."""
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.layers.base import _SETTING, Layer, _shapes
from nblayers.layers.shapes import merged
from nblayers.structures import flatten, map_shapes, map_structure


def needed(who: str, framework: str) -> Any:
    """The module of a framework.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module(framework)
    except ImportError as error:
        raise ImportError(f"{who} needs {framework}: install it by itself, or pip install 'nblayers[oracle]' for all "
                          "frameworks that nblayers is compared with") from error


def refuse_in_safe_mode(who: str, what: str, safe_mode: bool) -> None:
    """Raise a ValueError unless `safe_mode` is False: the configuration brings something that runs."""
    if safe_mode is not False:
        raise ValueError(f"{who}: the configuration brings {what}, which could do anything: pass safe_mode=False to "
                         "from_config or load_model if you trust where it comes from")


def is_array(value: Any) -> bool:
    """Whether a leaf of the arguments is an array (symbolic ones too), and not a setting."""
    return hasattr(value, "shape") and not isinstance(value, np.generic)


def is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def in_call_order(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments of a call that have gradients: those that hold arrays, the masks among the keywords left out."""
    values = [*args, *(value for name, value in kwargs.items() if not name.endswith("mask"))]
    return [value for value in values if any(is_array(leaf) for leaf in flatten(value))]


class FrameworkLayer(Layer):
    """The base of layers that another framework computes.

    Inputs and outputs may be arrays, and lists, tuples and dictionaries of arrays. Floating inputs are cast to the layer's
    dtype; whole numbers and truth values go on as they are, masks too. Computed on the CPU, whatever the layer's device is.
    """

    integer_inputs = True
    single_values = True
    shape_by_running = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Found by the framework for zeros: floating ones, and where it refuses those, whole numbers.

        Raises:
            ValueError: it refuses both.
        """
        try:
            return self._shape_with(input_shape, self.dtype)
        except ValueError as refused:
            try:
                return self._shape_with(input_shape, "int64")
            except ValueError:
                raise refused from None

    def _shape_with(self, input_shape: Any, dtype: str) -> Any:
        def shapes(size: int) -> Any:
            inputs = map_shapes(lambda shape: np.zeros([size if n is None else n for n in shape], dtype), input_shape)
            return self._shapes_for((inputs,), {})
        return merged(shapes(2), shapes(3))

    def _shapes_for(self, args: Any, kwargs: dict[str, Any]) -> Any:
        state = [(parameter, parameter.numpy()) for parameter in self.weights if not parameter.trainable]
        try:
            return super()._shapes_for(args, kwargs)
        finally:
            for parameter, value in state:
                parameter.assign(value)

    def _to_array(self, value: Any) -> Any:
        if value is None or isinstance(value, _SETTING):
            return value
        if isinstance(value, dict) or (isinstance(value, (list, tuple)) and any(map(is_array, flatten(value)))):
            return map_structure(self._to_array, value)
        return to_numpy(super()._to_array(value))

    _to_mask = _to_array

    def _check_inputs(self, inputs: Any) -> None:
        super()._check_inputs([leaf for leaf in flatten(inputs) if is_array(leaf)])

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        if not isinstance(shapes, dict):
            return super()._to_gradient(dy, shapes)
        dy = {} if dy is None else dy
        if not isinstance(dy, dict) or not set(dy) <= set(shapes):
            got = list(dy) if isinstance(dy, dict) else type(dy).__name__
            raise ValueError(f"{self.described}: backward expected a dictionary of gradients with keys among {list(shapes)}, "
                             f"as forward gave these outputs, got {got}")
        return {key: None if shape is None else self._to_gradient(dy.get(key), shape) for key, shape in shapes.items()}

    @contextmanager
    def _crossing(self, what: str, inputs: Any) -> Iterator[None]:
        """Around what the framework does with these inputs.

        Raises:
            ValueError: whatever it raises.
        """
        try:
            yield
        except Exception as error:
            raise ValueError(f"{self.described}: expected inputs that {what} can work with, got shapes {_shapes(inputs)}: "
                             f"{type(error).__name__}: {error}") from error
