"""What all metrics have in common."""
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from nblayers import config
from nblayers.arguments import text
from nblayers.arrays import as_numbers
from nblayers.losses import array_module_of, same_rank
from nblayers.naming import NamesItself


class Variable(NDArrayOperatorsMixin):
    """A number or an array that a metric keeps from batch to batch.

    Attributes:
        name: as in Keras ("total").
        value: the number or array.

    Arithmetic with it gives plain numbers and arrays.
    """

    def __init__(self, value: Any, name: str = "variable") -> None:
        self.value, self.name = value, name

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def dtype(self) -> str:
        return str(np.asarray(self.value).dtype)

    def assign(self, value: Any) -> None:
        """Set the value.

        Raises:
            ValueError: `value` has another shape.
        """
        given = np.array(value, self.dtype)
        if given.shape != self.shape:
            raise ValueError(f"variable {self.name!r}: expected a value of shape {self.shape}, got {given.shape}")
        self.value = given if given.ndim else given.item()

    def assign_add(self, value: Any) -> None:
        """Add to the value."""
        self.assign(self.value + np.asarray(value))

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array."""
        return np.array(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*(each.value if isinstance(each, Variable) else each for each in inputs), **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(self.value)[index]

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"<Variable {self.name}, value={self.value}>"


class Metric(NamesItself):
    """The class that all metrics are made from; one of your own writes `update_state` and `result`.

        class LargestError(Metric):
            def __init__(self, name="largest_error", dtype=None):
                super().__init__(dtype, name)
                self.largest = self.add_variable((), "zeros", name="largest")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.largest.assign(max(self.largest, abs(y_pred - y_true).max()))

            def result(self):
                return float(self.largest)

    What it keeps in variables `reset_state` sets to zero. One that keeps its state in another way writes `reset_state` too.

    Arguments:
        dtype: kept for `get_config`; the sums are in double precision.
        name: by default the class's in snake_case, numbered.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        if name is None:
            from nblayers.layers.base import auto_name
            name = auto_name(type(self).__name__)
        self.name = text(type(self).__name__, "name", name)
        self.dtype = self._checked_dtype(dtype)
        self._variables: list[Variable] = []

    def _checked_dtype(self, dtype: Any) -> str:
        return config.float_dtype(dtype, self.described)

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def variables(self) -> list[Variable]:
        """What the metric keeps from batch to batch, in Keras' order."""
        return list(self._variables)

    def add_variable(self, shape: tuple[int, ...] = (), initializer: Any = "zeros", dtype: Any = None,
                     aggregation: str = "sum", name: str | None = None) -> Variable:
        """Make a variable.

        Arguments:
            shape: its shape.
            initializer: a name or an object of `nblayers.initializers`; None: zeros.
            dtype: by default double precision.
            aggregation: accepted as in Keras.
            name: by default "variable".
        """
        from nblayers import initializers
        make = initializers.get(initializer) or initializers.Zeros()
        start = np.asarray(make(tuple(shape), "float64"), "float64" if dtype is None else dtype)
        variable = Variable(start if shape else start.item(), name or "variable")
        self._variables.append(variable)
        return variable

    def add_weight(self, shape: tuple[int, ...] = (), initializer: Any = None, dtype: Any = None,
                   name: str | None = None) -> Variable:
        """`add_variable` under its older name."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def _add_sum(self, name: str, shape: tuple[int, ...] = ()) -> Variable:
        """A variable that starts at 0."""
        self._variables.append(Variable(np.zeros(shape) if shape else 0.0, name))
        return self._variables[-1]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch into the running result."""
        raise NotImplementedError(f"{self.described}: update_state is not written")

    def result(self) -> Any:
        """The result over all batches since the start or the last `reset_state`."""
        raise NotImplementedError(f"{self.described}: result is not written")

    def reset_state(self) -> None:
        """Start afresh: all variables become zero."""
        if not self._variables:
            raise NotImplementedError(f"{self.described}: reset_state is not written, and there are no variables")
        for variable in self._variables:
            variable.value = np.zeros_like(variable.value) if variable.shape else type(variable.value)()

    def merge_state(self, metrics: Iterable["Metric"]) -> None:
        """Take in what other metrics of this class have seen, as if this one had seen it too.

        Raises:
            ValueError: a metric of another class or with variables of other shapes.
        """
        for metric in metrics:
            if type(metric) is not type(self):
                raise ValueError(f"{self.described}: expected metrics of its own class, got {metric!r}")
            pairs = list(zip(self._variables, metric.variables, strict=True))
            for own, other in pairs:
                if own.shape and other.shape and own.shape != other.shape:
                    raise ValueError(f"{self.described}: expected {own.name} of shape {own.shape}, got {other.shape} of "
                                     f"{metric!r}")
            for own, other in pairs:
                own.value = own.value + other.value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take one batch in and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this metric again, keyed as in Keras."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Metric":
        """Make a metric from what `get_config` gave, ours or Keras'."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def pair(y_true: Any, y_pred: Any, who: Any) -> tuple[Any, Any]:
    """Both as arrays of one shape; as in Keras a last axis of length 1 that only one of them has counts for nothing."""
    p = as_numbers(y_pred, who, "y_pred")
    t, p = same_rank(array_module_of(p).asarray(as_numbers(y_true, who, "y_true")), p)
    if t.shape != p.shape:
        who = getattr(who, "described", who)
        raise ValueError(f"{who}: expected y_true in the shape of y_pred {np.shape(y_pred)}, got {np.shape(y_true)}")
    return t, p


def fitted_weights(sample_weight: Any, shape: tuple[int, ...], who: Any) -> Any:
    """A weight for each of the values of this shape, from one for each sample, or for all axes up to some.

    Raises:
        ValueError: weights that do not fit.
    """
    w = as_numbers(sample_weight, who, "sample_weight")
    given = w.shape
    if w.ndim == len(shape) + 1 and given[-1] == 1:
        w = w[..., 0]
    if w.ndim > len(shape) or any(a not in (1, b) for a, b in zip(w.shape, shape, strict=False)):
        raise ValueError(f"{getattr(who, 'described', who)}: expected sample_weight of a shape that fits the values {shape}, "
                         f"got {given}")
    return array_module_of(w).broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape)


def ratio(a: Any, b: Any) -> Any:
    """a / b, 0 where b is 0."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0)


def plain(result: Any) -> Any:
    """A float of one number, else the array."""
    return float(np.reshape(result, ())) if np.size(result) == 1 else np.asarray(result)
