"""The layers of document 001, section 15: several arrays become one."""
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import axes as checked_axes, flag, integer
from nblayers.layers.base import Layer, Record
from nblayers.layers.fixed import fixed
from nblayers.structures import shapes_fit


class Merge(Layer):
    """What merging layers share: `forward` takes a list of arrays, and `backward` returns the list of their gradients.

    Integers are computed with as numbers of the layer's dtype, as a model's graph says in Keras too; they have no gradient.
    """

    supports_masking = True
    integer_inputs = True
    number: int | None = None               # of inputs, where only one will do

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def _check_inputs(self, inputs: Any) -> None:
        if not isinstance(inputs, list) or any(not hasattr(x, "shape") for x in inputs):
            inside = "None" if isinstance(inputs, list) and any(x is None for x in inputs) else "a list"
            got = f"one of shape {inputs.shape}" if hasattr(inputs, "shape") else f"{inside} among them"
            raise ValueError(f"{self.described}: expected a list of arrays, got {got}")
        super()._check_inputs(inputs)
        self.compute_output_shape([tuple(x.shape) for x in inputs])

    def _checked_shapes(self, shapes: Any) -> list[tuple[Any, ...]]:
        """The inputs' shapes: of as many inputs as can be merged, and of one batch size (or None)."""
        if not isinstance(shapes, (list, tuple)) or not all(isinstance(shape, (list, tuple)) for shape in shapes) or not shapes:
            raise ValueError(f"{self.described}: expected a list of arrays, got {shapes!r} as their shapes")
        if self.number not in (None, len(shapes)):
            raise ValueError(f"{self.described}: expected {self.number} inputs, got {len(shapes)}, of shapes {_listed(shapes)}")
        return [tuple(shape) for shape in shapes]

    def _batch(self, shapes: list[tuple[Any, ...]]) -> Any:
        sizes = {shape[0] for shape in shapes} - {None}
        if len(sizes) > 1:
            raise ValueError(f"{self.described}: expected inputs of one batch size, got shapes {_listed(shapes)}")
        return sizes.pop() if sizes else None

    def _numbers(self, x: Any) -> Any:
        return x.astype(self.dtype, copy=False)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where any of the inputs' masks is True; None if one of them has none."""
        masks = self._masks(inputs, previous_mask)
        if any(m is None for m in masks):
            return None
        rank = max(m.ndim for m in masks)
        merged = _aligned(masks[0], rank)
        for m in masks[1:]:
            merged = merged | _aligned(m, rank)
        return merged

    def _facts(self, inputs: list[Any]) -> tuple[Any, Any]:
        """The inputs' shapes, and which of them are floats: integers have no gradient."""
        return [x.shape for x in inputs], [x.dtype.kind == "f" for x in inputs]

    def _masks(self, inputs: Any, masks: Any) -> list[Any]:
        """A mask or None for each input."""
        if masks is None:
            return [None] * len(inputs)
        if not isinstance(masks, (list, tuple)) or len(masks) != len(inputs):
            got = f"{len(masks)} of them" if isinstance(masks, (list, tuple)) else type(masks).__name__
            raise ValueError(f"{self.described}: expected a list of {len(inputs)} masks, one or None for each input, got {got}")
        found = [None if m is None else self._to_mask(m) for m in masks]
        for x, m in zip(inputs, found, strict=True):
            if m is not None and m.shape != tuple(x.shape)[:m.ndim]:
                raise ValueError(f"{self.described}: expected a mask of shape {tuple(x.shape)[:-1]} for an input of shape "
                                 f"{tuple(x.shape)}, got {m.shape}")
        return found


class ElementwiseMerge(Merge):
    r"""A layer that merges number by number.

        y = (\dots((x_1 \circ x_2) \circ x_3) \dots) \circ x_n          (1)

    Inputs (batch, …), which may differ where one has size 1: it is then spread over the others' size. One of fewer axes is
    given axes of size 1 behind the batch axis. Output: the shape that all are spread over. A gradient is summed over the axes
    on which its input was spread.

    Raises:
        ValueError: no list of inputs; inputs whose batch sizes differ, or whose shapes do not fit; Subtract: not two inputs.
    """

    class Cache(Record):
        shapes: list[tuple[int, ...]]       # of the inputs
        is_float: list[bool]                # integers have no gradient

    def _operands(self, inputs: list[Any]) -> list[Any]:
        """The inputs as numbers of the layer's dtype, all with as many axes."""
        rank = max(x.ndim for x in inputs)
        return [_aligned(self._numbers(x), rank) for x in inputs]

    def _merged(self, kernel: str, a: Any, b: Any, *settings: Any, y: Any = None) -> Any:
        """What a kernel makes of two arrays, in y if that is given and large enough."""
        shape = np.broadcast_shapes(a.shape, b.shape)
        y = y if y is not None and y.shape == shape else self.xp.empty(shape, self.dtype)
        getattr(self.kernels.merging, kernel)(a, b, *settings, y)
        return y

    def _summed(self, dx: Any, shape: tuple[int, ...]) -> Any:
        """A gradient as that of an array that was spread: summed to its shape, of as many axes."""
        if dx.shape == shape:
            return dx
        total = self.xp.empty(shape, dx.dtype)
        self.kernels.merging.sum_spread(dx, total)
        return total

    def _gathered(self, dx: Any, number: int) -> Any:
        """The gradient of input `number` in the shape that it came in; None for integers."""
        shape = self.cache.shapes[number]
        if not self.cache.is_float[number]:
            return None
        return self._summed(dx, _aligned_shape(shape, dx.ndim)).reshape(shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self._checked_shapes(input_shape)
        batch, rank = self._batch(shapes), max(map(len, shapes))
        return (batch, *(self._spread(sizes, shapes)
                         for sizes in list(zip(*(_aligned_shape(shape, rank) for shape in shapes), strict=True))[1:]))

    def _spread(self, sizes: tuple[Any, ...], shapes: list[tuple[Any, ...]]) -> Any:
        """The size that these are spread over; None if one is not known."""
        known = {size for size in sizes if size not in (1, None)}
        if len(known) > 1:
            raise ValueError(f"{self.described}: expected inputs whose sizes are the same or 1, got shapes {_listed(shapes)}")
        return None if None in sizes else known.pop() if known else 1


class Add(ElementwiseMerge):
    r"""The sum of its inputs: a residual connection, y = x + f(x).

        y = x_1 + x_2 + \dots + x_n             (1)

    Backward, each input gets dy itself: why gradients reach the first layers of a residual network unhindered.

    Inputs, output, raises: `ElementwiseMerge`. Source: 001.15.Add.
    """

    def forward(self, inputs: list[np.ndarray]) -> np.ndarray:
        x = self._operands(inputs)
        self.cache = self.Cache(*self._facts(inputs))
        y = x[0]
        for number, more in enumerate(x[1:], 2):
            y = self._merged("add", y, more, self._factor(len(x)) if number == len(x) else 1.0, y=y if number > 2 else None)
        return y                                                                            # (1)

    def backward(self, dy: np.ndarray) -> list[np.ndarray | None]:
        number = len(self.cache.shapes)
        shared = self._scaled(dy, self._factor(number))                                     # from (1)
        return [self._gathered(shared, n) for n in range(number)]

    def _factor(self, number: int) -> float:
        """By what the sum of so many inputs is multiplied."""
        return 1.0

    def _scaled(self, x: Any, factor: float) -> Any:
        if factor == 1:
            return x
        y = self.xp.empty(x.shape, x.dtype)
        self.kernels.merging.scale(x.reshape(-1), factor, y.reshape(-1))
        return y


class Average(Add):
    r"""The mean of its inputs: of several models' predictions, for one.

        y = \frac{1}{n} (x_1 + x_2 + \dots + x_n)           (1)

    Backward, each input gets dy / n.

    Inputs, output, raises: `ElementwiseMerge`. Source: 001.15.Average.
    """

    def _factor(self, number: int) -> float:
        return 1 / number


class Subtract(Add):
    r"""The difference of two inputs.

        y = x_1 - x_2                           (1)

    Backward, dx_1 is dy and dx_2 is -dy.

    Inputs, output, raises: `ElementwiseMerge`. Source: 001.15.Subtract.
    """

    number = 2

    def forward(self, inputs: list[np.ndarray]) -> np.ndarray:
        a, b = self._operands(inputs)
        self.cache = self.Cache(*self._facts(inputs))
        return self._merged("subtract", a, b)                                               # (1)

    def backward(self, dy: np.ndarray) -> list[np.ndarray | None]:
        dx2 = self._gathered(dy, 1)
        return [self._gathered(dy, 0), None if dx2 is None else self._scaled(dx2, -1.0)]    # from (1)


class Folding(ElementwiseMerge):
    """Inputs are merged two at a time, and backward goes the same way back: z_k is what the first k of them make."""

    class Cache(ElementwiseMerge.Cache):
        x: list[np.ndarray]                 # the inputs, with as many axes
        z: list[np.ndarray]                 # z_1 = x_1, …, z_n = y

    def forward(self, inputs: list[np.ndarray]) -> np.ndarray:
        return self._folded(inputs)

    def backward(self, dy: np.ndarray) -> list[np.ndarray | None]:
        cache = self.cache
        dz, dx = dy, list[Any]([None] * len(cache.x))
        for k in reversed(range(1, len(cache.x))):
            da, db = self._separated(dz, k)
            dx[k] = self._gathered(db, k)
            dz = self._summed(da, cache.z[k - 1].shape)
        dx[0] = self._gathered(dz, 0)
        return dx

    def _folded(self, inputs: list[Any], *masks: list[Any]) -> Any:
        x = self._operands(inputs)
        self.cache = cache = self.Cache(*self._facts(inputs), x, x[:1], *masks)
        for k in range(1, len(x)):
            cache.z.append(self._combined(k))
        return cache.z[-1]

    def _combined(self, k: int) -> Any:
        """z_k of z_{k-1} and x_k."""
        raise NotImplementedError

    def _separated(self, dz: Any, k: int) -> tuple[Any, Any]:
        """Of dL/dz_k the gradients of z_{k-1} and x_k, in z_k's shape."""
        raise NotImplementedError


class Multiply(Folding):
    r"""The product of its inputs: a gate, whose values from 0 to 1 say how much of each number goes on.

        z_k = z_{k-1}\, x_k,    z_1 = x_1,    y = z_n                       (1)

    Backward: dz_{k-1} = dz_k x_k and dx_k = dz_k z_{k-1}.

    Inputs, output, raises: `ElementwiseMerge`. Source: 001.15.Multiply.
    """

    def _combined(self, k: int) -> Any:
        return self._merged("multiply", self.cache.z[k - 1], self.cache.x[k])               # (1)

    def _separated(self, dz: Any, k: int) -> tuple[Any, Any]:
        return (self._merged("multiply", dz, self.cache.x[k]),                              # from (1)
                self._merged("multiply", dz, self.cache.z[k - 1]))                          # from (1)


class Extremum(Folding):
    """The larger or the smaller number at each place; equations in `Maximum`."""

    kernel = ""

    class Cache(Folding.Cache):
        m: list[np.ndarray | None]          # the masks of x_k, with as many axes
        known: list[np.ndarray | None]      # of z_k: None as soon as an input has none

    def forward(self, inputs: list[np.ndarray], mask: Any = None) -> np.ndarray:
        rank = max(x.ndim for x in inputs)
        masks = [_over(m, x) if m is not None and x.ndim == rank else None
                 for x, m in zip(inputs, self._masks(inputs, mask), strict=True)]
        known = list(accumulate(masks, lambda m, more: None if m is None or more is None else m | more))
        return self._folded(inputs, masks, known)

    def _combined(self, k: int) -> Any:
        return self._merged(self.kernel, *self._chosen(k)[:2])                              # (1)

    def _separated(self, dz: Any, k: int) -> tuple[Any, Any]:
        a, b, m_a, m_b = self._chosen(k)
        da, db = self.xp.empty_like(dz), self.xp.empty_like(dz)
        self.kernels.merging.extremum_backward(dz, a, b, self.cache.z[k], da, db)           # from (1)
        if m_a is not None:
            da, db = self._moved(m_a, da, db)                                               # from (3)
        if m_b is not None:
            db, da = self._moved(m_b, db, da)                                               # from (2)
        return da, db

    def _chosen(self, k: int) -> tuple[Any, Any, Any, Any]:
        """z_{k-1} and x_k, each replaced by the other where its mask is False; and the masks."""
        cache, xp = self.cache, self.xp
        a, b, m_a, m_b = cache.z[k - 1], cache.x[k], cache.known[k - 1], cache.m[k]
        if m_b is not None:
            b = xp.ascontiguousarray(xp.where(m_b, b, a))                                   # (2)
        if m_a is not None:
            a = xp.ascontiguousarray(xp.where(m_a, a, b))                                   # (3)
        return a, b, m_a, m_b

    def _moved(self, m: Any, own: Any, other: Any) -> tuple[Any, Any]:
        """Where m is False a gradient belongs to the other array."""
        zero = own.dtype.type(0)
        return self.xp.where(m, own, zero), other + self.xp.where(m, zero, own)


class Maximum(Extremum):
    r"""The largest of its inputs, number by number.

        z_k = \max(z_{k-1}, x_k),    z_1 = x_1,    y = z_n                              (1)
        x_k \leftarrow m_k x_k + (1 - m_k) z_{k-1}                                      (2)    with masks, before (1)
        z_{k-1} \leftarrow m'_{k-1} z_{k-1} + (1 - m'_{k-1}) x_k                        (3)    m' is where any mask was True

    Backward, the larger of z_{k-1} and x_k gets dz_k. **A tie is shared:** each of the two gets half, as in Keras on JAX (so of
    three equal inputs the third gets a half, the others a quarter). That too is a gradient of a maximum, and no input is
    preferred; max pooling gives a tie whole to the first cell, as Keras does there. A NaN goes on, and gets no gradient.

    An input's mask (batch, time) tells which of its steps count: at the others the other input's number is taken. An input that
    is given axes loses its mask, as in Keras.

    Inputs, output, raises: `ElementwiseMerge`; ValueError: no mask or None for each input, or a mask of another shape.

    Source: 001.15.Maximum.
    """

    kernel = "maximum"


class Minimum(Extremum):
    r"""The smallest of its inputs, number by number.

        z_k = \min(z_{k-1}, x_k),    z_1 = x_1,    y = z_n          (1)

    Backward, the smaller of the two gets dz_k; a tie is shared. Masks, and all else: `Maximum`.

    Source: 001.15.Minimum.
    """

    kernel = "minimum"


class Concatenate(Merge):
    r"""Its inputs one behind the other along an axis: features of several branches, side by side.

        y_{…, s_k + i, …} = (x_k)_{…, i, …},    s_k = \sum_{l < k} n_l          (1)    n_l is the size of x_l on the axis

    Backward, each input gets its part of dy, a view.

    Inputs (batch, …) of one shape but for the axis, output likewise, on the axis of the sum of their sizes. Integers alone stay
    integers.

    Its mask is True where any number along the last axis belongs to a step that counts; an input without one counts everywhere.

    Arguments:
        axis: along which; -1 is the last. On axis 0, samples behind samples.

    Raises:
        ValueError: axis is not an integer, or not an axis of the inputs; no list of inputs; inputs whose other sizes differ.

    Source: 001.15.Concatenate.
    """

    axis: int = fixed()

    class Cache(Record):
        ends: list[int]                     # s_k + n_k
        is_float: list[bool]                # integers have no gradient

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = integer(self.described, "axis", axis)

    def forward(self, inputs: list[np.ndarray]) -> np.ndarray:
        _, is_float = self._facts(inputs)
        x = [self._numbers(array) for array in inputs] if any(is_float) else inputs
        self.cache = self.Cache(np.cumsum([array.shape[self.axis] for array in x]).tolist(), is_float)
        return self.xp.concatenate(x, axis=self.axis)                                       # (1)

    def backward(self, dy: np.ndarray) -> list[np.ndarray | None]:
        cache = self.cache
        parts = self.xp.split(dy, cache.ends[:-1], axis=self.axis)                          # from (1)
        return [dx if is_float else None for dx, is_float in zip(parts, cache.is_float, strict=True)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self._checked_shapes(input_shape)
        first, rank = shapes[0], len(shapes[0])
        if not -rank <= self.axis < rank:
            raise ValueError(f"{self.described}: expected inputs with an axis {self.axis}, got shapes {_listed(shapes)}")
        axis = self.axis % rank
        for shape in shapes:
            if len(shape) != rank or not shapes_fit(shape[:axis] + shape[axis + 1:], first[:axis] + first[axis + 1:]):
                raise ValueError(f"{self.described}: expected inputs of the same sizes but on axis {self.axis}, got shapes "
                                 f"{_listed(shapes)}")
        lengths = [shape[axis] for shape in shapes]
        return (*first[:axis], None if None in lengths else sum(lengths), *first[axis + 1:])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        masks = self._masks(inputs, previous_mask)
        if all(m is None for m in masks):
            return None
        spread = [self.xp.broadcast_to(True if m is None else _over(m, x), x.shape) for x, m in zip(inputs, masks, strict=True)]
        return self.xp.concatenate(spread, axis=self.axis).any(axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


class Dot(Merge):
    r"""Sums of products of two inputs along an axis of each: how alike two vectors are, or every vector of two sequences.

        r = \min((\sum_k x_k^2)^{-1/2}, 1/\epsilon)                         (1)    along the axis, with normalize
        x \leftarrow r\, x                                                  (2)
        y_{n i j} = \sum_k (x_1)_{n i k} (x_2)_{n k j}                      (3)    sample by sample

    i stands for all other axes of x_1, j for all others of x_2; for two vectors of each sample there is neither, and the output
    is (batch, 1). epsilon is `nblayers.config.epsilon()`, 1e-7: a vector of zeros stays one. The document's example has
    axes=-1 on two images (64, 64, 3) and gives (64, 64, 64, 64): every pixel with every other.

    Backward, with products of the same kind: dx_1 = dy x_2^T, dx_2 = x_1^T dy, and through (2), where r is below its bound,
    dx = r (ds - s \sum_k ds_k s_k) for the s = r x that (3) has seen.

    Inputs (batch, …, K, …), output (batch, others of x_1, others of x_2). No mask goes on.

    Arguments:
        axes: the axis of K, for both inputs or (one, the other); negative ones count from the end. Not the batch axis 0.
        normalize: with (1) and (2), y is the cosine of the angle.

    Raises:
        TypeError: axes is neither an integer nor a list or tuple.
        ValueError: axes is not one or two integers, or not an axis of the input, or the batch axis; not two inputs; inputs
            whose batch sizes or whose sizes on these axes differ.

    Source: 001.15.Dot.
    """

    number = 2
    axes: Any = fixed()
    normalize: bool = fixed()

    class Cache(Record):
        shapes: list[tuple[int, ...]]       # of the inputs
        is_float: list[bool]                # integers have no gradient
        s: list[np.ndarray]                 # both as (N, I, K) or (N, K, I), normalized if so asked
        first: list[bool]                   # whether K comes first in them
        norms: list[Any]                    # where normalized: x of (1) as (N I, K, 1), and r (N I, 1); else None

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, (int, np.integer, list, tuple)):
            raise TypeError(f"{self.described}: expected an integer or two of them as axes, got {axes!r}")
        if isinstance(axes, (list, tuple)) and len(axes) != 2:
            raise ValueError(f"{self.described}: expected an integer or two of them as axes, got {axes!r}")
        self.axes = checked_axes(self.described, "axes", axes)
        self.normalize = flag(self.described, "normalize", normalize)

    def forward(self, inputs: list[np.ndarray]) -> np.ndarray:
        axes, last = self._places([x.shape for x in inputs]), self.normalize
        made = [self._matrices(self._numbers(x), axis, last) for x, axis in zip(inputs, axes, strict=True)]
        (s1, first1, norm1), (s2, first2, norm2) = made                                     # (1), (2)
        self.cache = self.Cache(*self._facts(inputs), [s1, s2], [first1, first2], [norm1, norm2])
        y = self._product(s1, s2, first1, not first2)                                       # (3)
        return y.reshape(self.compute_output_shape([x.shape for x in inputs]))

    def backward(self, dy: np.ndarray) -> list[np.ndarray | None]:
        cache = self.cache
        (s1, s2), (first1, first2) = cache.s, cache.first
        dy = dy.reshape(len(dy), s1.shape[2 if first1 else 1], s2.shape[2 if first2 else 1])
        ds1 = self._product(s2, dy, not first2, True) if first1 else self._product(dy, s2, False, first2)   # from (3)
        ds2 = self._product(s1, dy, not first1, False) if first2 else self._product(dy, s1, True, first1)   # from (3)
        axes = self._places(cache.shapes)
        return [self._gathered(ds, number, axis) for number, (ds, axis) in enumerate(zip((ds1, ds2), axes, strict=True))]

    def _matrices(self, x: Any, axis: int, last: bool) -> tuple[Any, bool, Any]:
        """x as (N, I, K), or (N, K, I) where it lies so and K need not be `last`; whether it does; and x and r of (1)."""
        n, k = len(x), x.shape[axis]
        rest = math.prod(x.shape[1:axis]) * math.prod(x.shape[axis + 1:])
        if axis == 1 and x.ndim > 2 and not last:
            return x.reshape(n, k, rest), True, None
        s = self.xp.ascontiguousarray(self.xp.moveaxis(x, axis, -1)).reshape(n, rest, k)
        if not self.normalize:
            return s, False, None
        rows, unit = (n * rest, k, 1), self.xp.empty(s.shape, self.dtype)
        r = self.xp.empty((n * rest, 1), self.dtype)
        self.kernels.normalization.unit_norm(s.reshape(rows), 1 / config.epsilon(), unit.reshape(rows), r)          # (1), (2)
        return unit, False, (s.reshape(rows), r)

    def _gathered(self, ds: Any, number: int, axis: int) -> Any:
        """The gradient of input `number` in the shape that it came in; None for integers."""
        cache = self.cache
        shape, norm = cache.shapes[number], cache.norms[number]
        if not cache.is_float[number]:
            return None
        if cache.first[number]:
            return ds.reshape(shape)
        if norm is not None:
            ds = self._through_norm(ds, *norm)                                              # from (2)
        return self.xp.moveaxis(ds.reshape(*shape[:axis], *shape[axis + 1:], shape[axis]), -1, axis)

    def _through_norm(self, ds: Any, x: Any, r: Any) -> Any:
        dx = self.xp.empty_like(x)
        self.kernels.normalization.unit_norm_backward(ds.reshape(x.shape), x, 1 / config.epsilon(), r, dx)
        return dx

    def _product(self, a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> Any:
        """a b of each sample's two matrices, each stored transposed where its flag says so."""
        y = self.xp.empty((len(a), a.shape[2 if transpose_a else 1], b.shape[1 if transpose_b else 2]), self.dtype)
        self.kernels.merging.batch_dot(a, b, transpose_a, transpose_b, y)
        return y

    def _places(self, shapes: list[tuple[Any, ...]]) -> list[int]:
        """The axis of K in each input, counted from the front."""
        axes = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes,) * 2
        found = [axis + len(shape) if axis < 0 else axis for axis, shape in zip(axes, shapes, strict=True)]
        if not all(0 < axis < len(shape) for axis, shape in zip(found, shapes, strict=True)):
            raise ValueError(f"{self.described}: expected axes behind the batch axis, got axes={self.axes} for inputs of "
                             f"shapes {_listed(shapes)}")
        return found

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self._checked_shapes(input_shape)
        axes = self._places(shapes)
        sizes = {shape[axis] for shape, axis in zip(shapes, axes, strict=True)} - {None}
        if len(sizes) > 1:
            raise ValueError(f"{self.described}: expected inputs of the same size on axes {self.axes}, got shapes "
                             f"{_listed(shapes)}")
        others = [size for shape, axis in zip(shapes, axes, strict=True) for size in (*shape[1:axis], *shape[axis + 1:])]
        return (self._batch(shapes), *(others or [1]))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None."""
        return None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "normalize": self.normalize}


def _aligned_shape(shape: Sequence[Any], rank: int) -> tuple[Any, ...]:
    """The shape with so many axes, those of size 1 behind the batch axis."""
    return (shape[0], *(1,) * (rank - len(shape)), *shape[1:])


def _aligned(x: Any, rank: int) -> Any:
    return x.reshape(_aligned_shape(x.shape, rank))


def _over(m: Any, x: Any) -> Any:
    """A mask of the first axes of x with as many axes as x."""
    return m.reshape(*m.shape, *(1,) * (x.ndim - m.ndim))


def _listed(shapes: Any) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)


__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average",
           "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]
