"""EinsumDense (document 001, section 6): a dense layer over whichever axes an equation names."""
import functools
import math
import re
from typing import Any, NamedTuple

import numpy as np

from nblayers import activations, constraints, initializers, regularizers
from nblayers.arguments import found, sizes, text
from nblayers.layers.base import Layer, Parameter, Record, refuse
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec

Labels = tuple[Any, ...]                # of axes: a letter for each axis, or a number where the ellipsis stands for it
_FORMS = {"none": r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)",
          "left": r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)",
          "right": r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\."}


class EinsumDense(Layer):
    r"""A dense layer that says by an equation which axes it joins.

        z = \sum_k x_{\ldots k \ldots} W_{\ldots k \ldots} + b      (1)    k: the letters that the output does not have
        y = f(z)                                                    (2)

    "abc,cd->abd" is a Dense layer on sequences. In "abc,cde->abde" a weight matrix makes several vectors of each step, as for
    the heads of attention. A letter that stands in x, W and y counts the matrices of a batch of products: "abc,bcd->abd" has a
    matrix for each step. A letter that x or W has twice stands for their diagonal: "abb,bc->ac" takes x_{abb}. The document's
    formula leaves out the kernel.

    Each equation is brought to one matrix product (or one for each matrix of a batch): the axes of x, W and z in the groups

        Z_{gmn} = \sum_k X_{gmk} W_{gkn}                            (3)    g in x, W and y; m in x and y; n in W and y

    Groups that lie side by side already, in either order, are not copied.

    Input (batch, …) as the equation's first part says, output as its last. Weights: kernel W, in the order of its letters;
    bias b over `bias_axes` and the axes behind them, with 1 where there is no bias.

    Arguments:
        equation: "x,W->y", each a letter an axis; or "...x,W->...y" or "x...,W->y...", where the dots stand for any axes.
        output_shape: the sizes of y without the batch axis and the axes of the dots; None for those that are the input's.
        activation: f, a name or an activation function; none is f(z) = z.
        bias_axes: the letters of y that have a bias, "d"; None for no bias.
        kernel_initializer, bias_initializer: what W and b start from.
        kernel_regularizer, bias_regularizer: penalties on W and b.
        kernel_constraint, bias_constraint: applied to W and b after each optimizer step.

    Raises:
        ValueError: an equation of another form, that names an axis of y twice, has a letter in W that stands neither in x nor
            in y, or one in y that stands in neither; bias_axes that y has not; an output_shape of another length or of other
            sizes than the input has; a size that nobody gives; low-rank adaptation or quantization; an input of another number
            of axes, or whose axes of one letter differ in size.

    Source: 001.06.EinsumDense.
    """

    input_spec = InputSpec()
    equation: str = fixed()
    partial_output_shape: tuple[int | None, ...] = fixed()
    bias_axes: str | None = fixed()
    kernel: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray       # as the equation's first part says
        z: np.ndarray       # as its last part says; y where f's slope is told by y, None where f is linear
        y: np.ndarray       # the same, or None likewise

    def __init__(self, equation: str, output_shape: Any, activation: Any = None, bias_axes: str | None = None,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
                 lora_rank: int | None = None, lora_alpha: float | None = None, gptq_unpacked_column_size: int | None = None,
                 quantization_config: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        refuse(self, lora_rank=lora_rank, lora_alpha=lora_alpha, gptq_unpacked_column_size=gptq_unpacked_column_size,
               quantization_config=quantization_config)
        self.equation = text(self.described, "equation", equation)
        self.partial_output_shape = sizes(self.described, "output_shape", output_shape)
        self.bias_axes = None if bias_axes is None else text(self.described, "bias_axes", bias_axes)
        self.activation = found(self.described, "activation", activations.get, activation)
        self.kernel_initializer = found(self.described, "kernel_initializer", initializers.get, kernel_initializer)
        self.bias_initializer = found(self.described, "bias_initializer", initializers.get, bias_initializer)
        self.kernel_regularizer = found(self.described, "kernel_regularizer", regularizers.get, kernel_regularizer)
        self.bias_regularizer = found(self.described, "bias_regularizer", regularizers.get, bias_regularizer)
        self.kernel_constraint = found(self.described, "kernel_constraint", constraints.get, kernel_constraint)
        self.bias_constraint = found(self.described, "bias_constraint", constraints.get, bias_constraint)

    def build(self, input_shape: Any) -> None:
        self._axes = axes = self._parsed(len(input_shape))
        size = self._sizes(axes, input_shape)
        self.kernel = self.add_weight(self._known(size, axes.w_axes, "kernel"), _with_axes(self.kernel_initializer, axes),
                                      regularizer=self.kernel_regularizer, constraint=self.kernel_constraint, name="kernel")
        self.bias = None if self.bias_axes is None else self.add_weight(
            self._bias_shape(axes, size), self.bias_initializer, regularizer=self.bias_regularizer,
            constraint=self.bias_constraint, name="bias")
        own = {n: size[label] for n, label in enumerate(axes.x_axes) if label in axes.w}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=own)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        plan = self._plan(x)
        if self._is_affine(plan):
            (_, *x_shape), (_, *w_shape) = plan.X.matrices_shape, plan.W.matrices_shape
            bias = None if self.bias is None else self.bias.value.reshape(-1)
            Z = self._affine(x.reshape(x_shape), self.kernel.value.reshape(w_shape), bias, plan.W.turned)       # (1), (3)
            z = Z.reshape(plan.Z.order_shape)
        else:
            z = self._product(x, plan)                                                  # (3)
            if self.bias is not None:
                z += self.bias.value                                                    # (1)
        y = activations.evaluate(self.activation, z, self.device)                       # (2)
        self.cache = self.Cache(x, *activations.needed(self.activation, z, y))
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        cache = self.cache
        x, z, y = cache.x, cache.z, cache.y
        plan = self._plan(x)
        dz = activations.differentiate(self.activation, z, y, dy, self.device)          # from (2)
        if self._is_affine(plan):
            return self._one_product_backward(dz, x, plan)                              # from (1), (3)
        if self.bias is not None:
            self._bias_backward(dz, self.bias.grad)                                     # from (1)
        X, dZ = self._input_matrices(x, plan), plan.Z.matrices(self.xp, dz)
        self._kernel_backward(X, dZ, plan)                                              # from (3)
        if not self.input_gradient:
            return None
        W, dX = self._kernel_matrices(plan), plan.X.empty(self.xp, self.dtype)
        self._multiply(dZ, W.transposed, dX)                                            # from (3): dX = dZ W^T
        return self._spread(plan.X.array(self.xp, dX), x.shape)

    def _product(self, x: Any, plan: "Plan") -> Any:
        """(3), without the bias."""
        Z = plan.Z.empty(self.xp, self.dtype)
        self._multiply(self._input_matrices(x, plan), self._kernel_matrices(plan), Z)
        return plan.Z.array(self.xp, Z)

    def _is_affine(self, plan: "Plan") -> bool:
        """Whether the layer computes what Dense does: one product, each column of which has its own bias, if any."""
        bias = self.bias
        return plan.one_product and (bias is None or (
            bias.value.size == plan.Z.matrices_shape[2] and bias.value.ndim == len(self._axes.columns)))

    def _one_product_backward(self, dz: Any, x: Any, plan: "Plan") -> Any:
        """Add to dW and db where the layer computes what Dense does; dx, or None where it is not needed."""
        (_, *x_shape), (_, *w_shape), (_, *z_shape) = (sized.matrices_shape for sized in plan[:3])
        W, dW = (array.reshape(w_shape) for array in (self.kernel.value, self.kernel.grad))
        db = None if self.bias is None else self.bias.grad.reshape(-1)
        dX = self._affine_backward(dz.reshape(z_shape), x.reshape(x_shape), W, dW, db, plan.W.turned, self.input_gradient)
        return None if dX is None else dX.reshape(x.shape)

    def _multiply(self, a: "Matrices", b: "Matrices", out: "Matrices", add: bool = False) -> None:
        """out = a b, or out += a b, matrix by matrix; one that lies turned is computed as out^T = b^T a^T."""
        if out.turned:
            a, b = b.transposed, a.transposed
        for first, second, product in zip(a.array, b.array, out.array, strict=True):
            self._matmul(first, second, product, transpose_a=a.turned, transpose_b=b.turned, add=add)

    def _kernel_backward(self, X: "Matrices", dZ: "Matrices", plan: "Plan") -> None:
        """Add dW = X^T dZ to the kernel's gradient."""
        grad = self.kernel.grad
        if plan.W.as_it_lies and not self._axes.w_repeats:
            self._multiply(X.transposed, dZ, plan.W.matrices(self.xp, grad), add=True)
        else:
            dW = plan.W.empty(self.xp, self.dtype)
            self._multiply(X.transposed, dZ, dW)
            diagonal(self.xp, grad, self._axes.w_axes)[...] += plan.W.array(self.xp, dW)

    def _bias_backward(self, dz: Any, grad: Any) -> None:
        shape = dz.shape[dz.ndim - grad.ndim:]
        rows = dz.reshape(-1, math.prod(shape))
        if shape == grad.shape:
            self.kernels.core.bias_backward(rows, grad.reshape(-1))
            return
        total = self.xp.zeros(rows.shape[1], self.dtype)
        self.kernels.core.bias_backward(rows, total)
        shared = tuple(n for n, length in enumerate(grad.shape) if length == 1)
        grad += total.reshape(shape).sum(axis=shared).reshape(grad.shape)

    def _input_matrices(self, x: Any, plan: "Plan") -> "Matrices":
        """X of x, which is summed along the axes that neither W nor y has."""
        axes = self._axes
        if axes.x_repeats:
            x = self.xp.ascontiguousarray(diagonal(self.xp, x, axes.x_axes))
        return plan.X.matrices(self.xp, x.sum(axis=axes.summed) if axes.summed else x)

    def _kernel_matrices(self, plan: "Plan") -> "Matrices":
        kernel = self.kernel.value
        if self._axes.w_repeats:
            kernel = self.xp.ascontiguousarray(diagonal(self.xp, kernel, self._axes.w_axes))
        return plan.W.matrices(self.xp, kernel)

    def _spread(self, dx: Any, shape: tuple[int, ...]) -> Any:
        """The way back to x: all places along an axis that was summed have the same gradient, those off a diagonal none."""
        axes = self._axes
        if not axes.summed and not axes.x_repeats:
            return dx
        whole = self.xp.zeros(shape, self.dtype)
        diagonal(self.xp, whole, axes.x_axes)[...] = self.xp.expand_dims(dx, axes.summed)
        return whole

    def _parsed(self, ndim: int) -> "Axes":
        """The equation for an input of so many axes."""
        matches = [(side, match) for side, form in _FORMS.items() if (match := re.fullmatch(form, self.equation))]
        if not matches:
            raise ValueError(f"{self.described}: expected an equation of the form '[x],[W]->[y]', '...[x],[W]->...[y]' or "
                             f"'[x]...,[W]->[y]...', got {self.equation!r}")
        [(side, match)] = matches
        x, w, y = map(tuple, match.groups())
        dots: Labels = tuple(range(ndim - len(x)))
        if ndim < len(x) or (dots and side == "none"):
            raise ValueError(f"{self.described}: expected an input of {'' if side == 'none' else 'at least '}{len(x)} axes for "
                             f"{self.equation!r}, got {ndim}")
        if len(set(y)) < len(y):
            raise ValueError(f"{self.described}: expected each letter once in the output {''.join(y)!r} of {self.equation!r}")
        for known, part, where in ((x + w, y, "output"), (x + y, w, "kernel")):
            if missing := [label for label in part if label not in known]:
                raise ValueError(f"{self.described}: expected every letter of the {where} elsewhere in {self.equation!r}, "
                                 f"got {missing[0]!r}")
        if side == "left":
            return Axes(dots + x, w, dots + y, side, len(dots))
        return Axes(x + dots, w, y + dots, side, len(dots))

    def _sizes(self, axes: "Axes", input_shape: Any) -> dict[Any, Any]:
        """The size of each axis, None where unknown."""
        if axes.side == "left" and axes.elided:
            given = [*input_shape[:axes.elided], *self.partial_output_shape]
        else:
            given = [input_shape[0], *self.partial_output_shape, *input_shape[len(input_shape) - axes.elided:]]
        if len(given) != len(axes.y):
            wanted = len(self.partial_output_shape) + len(axes.y) - len(given)
            raise ValueError(f"{self.described}: expected output_shape of {wanted} sizes for {self.equation!r} and an input of "
                             f"shape {tuple(input_shape)}, got {self.partial_output_shape}")
        size = dict(zip(axes.y, given, strict=True))
        self._check_repeated(axes, input_shape)
        for label, length in zip(axes.x_axes, input_shape, strict=True):
            if size.get(label) not in (None, length):
                raise ValueError(f"{self.described}: expected input and output of one size on axis {label!r}, got {length} "
                                 f"from the input of shape {tuple(input_shape)} and {size[label]} from output_shape")
            size[label] = length
        return size

    def _known(self, size: dict[Any, Any], labels: Labels, weight: str) -> list[int]:
        """The sizes of these axes of a weight."""
        if unknown := [label for label in labels if not size[label]]:
            raise ValueError(f"{self.described}: expected a size above 0 for axis {unknown[0]!r} of the {weight}, from "
                             f"output_shape or the input, got {size[unknown[0]]}")
        return [size[label] for label in labels]

    def _bias_shape(self, axes: "Axes", size: dict[Any, Any]) -> list[int]:
        wrong = [label for label in self.bias_axes or "" if label not in axes.y]
        if wrong or not self.bias_axes:
            raise ValueError(f"{self.described}: expected bias_axes among the letters of the output of {self.equation!r}, "
                             f"got {self.bias_axes!r}")
        first = min(axes.y.index(label) for label in self.bias_axes)
        self._known(size, tuple(self.bias_axes), "bias")
        return [size[label] if label in tuple(self.bias_axes) else 1 for label in axes.y[first:]]

    def _plan(self, x: Any) -> "Plan":
        self._check_repeated(self._axes, x.shape)
        return plan_for(self._axes, x.shape, self.kernel.shape)

    def _check_repeated(self, axes: "Axes", input_shape: Any) -> None:
        for label in axes.x if axes.x_repeats else ():
            lengths = [length for other, length in zip(axes.x_axes, input_shape, strict=True) if other == label]
            if len({length for length in lengths if length is not None}) > 1:
                raise ValueError(f"{self.described}: expected axes of one size for {label!r} of {self.equation!r}, "
                                 f"got {lengths} of an input of shape {tuple(input_shape)}")

    def compute_output_shape(self, input_shape: Any) -> Any:
        axes = self._parsed(len(input_shape))
        size = self._sizes(axes, input_shape)
        return tuple(size[label] for label in axes.y)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "output_shape": self.partial_output_shape, "equation": self.equation,
            "activation": activations.serialize(self.activation), "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint), "quantization_config": None}


class Matrices(NamedTuple):
    """Matrices of one size (g, rows, columns); `turned`: they lie as (g, columns, rows)."""

    array: Any
    turned: bool

    @property
    def transposed(self) -> "Matrices":
        return Matrices(self.array, not self.turned)


class Layout(NamedTuple):
    """How an array with these axes is seen as matrices.

    Attributes:
        labels: of the array's axes.
        groups: the axes in the three groups, which lie in memory in this order.
        turned: whether the group of the columns lies before that of the rows.
    """

    labels: Labels
    groups: tuple[Labels, Labels, Labels]
    turned: bool


class Sized(NamedTuple):
    """A layout whose axes have sizes.

    Attributes:
        turned: as in the layout.
        matrices_shape: (g, rows, columns), or (g, columns, rows).
        order_shape: of the array, its axes in the order of the groups.
        to, back: which axes become those of the groups, and the way back; None where the array is as it lies.
    """

    turned: bool
    matrices_shape: tuple[int, int, int]
    order_shape: tuple[int, ...]
    to: list[int] | None
    back: list[int] | None

    @property
    def as_it_lies(self) -> bool:
        """Whether the array need not be copied."""
        return self.to is None

    def matrices(self, xp: Any, array: Any) -> Matrices:
        if self.to is not None:
            array = xp.ascontiguousarray(array.transpose(self.to))
        return Matrices(array.reshape(self.matrices_shape), self.turned)

    def empty(self, xp: Any, dtype: Any) -> Matrices:
        return Matrices(xp.empty(self.matrices_shape, dtype), self.turned)

    def array(self, xp: Any, matrices: Matrices) -> Any:
        """The array that these matrices are."""
        array = matrices.array.reshape(self.order_shape)
        return array if self.back is None else xp.ascontiguousarray(array.transpose(self.back))


def sized(layout: Layout, size: dict[Any, int]) -> Sized:
    g, m, n = (math.prod(size[label] for label in group) for group in layout.groups)
    order = sum(layout.groups, ())
    moved = order != layout.labels
    return Sized(layout.turned, (g, m, n), tuple(size[label] for label in order),
                 [layout.labels.index(label) for label in order] if moved else None,
                 [order.index(label) for label in layout.labels] if moved else None)


class Plan(NamedTuple):
    """How x, W and z become the matrices of (3) in calls with an x of one shape.

    Attributes:
        one_product: whether (3) is one product of arrays as they lie, with the rows of x and z in memory one after the other.
    """

    X: Sized
    W: Sized
    Z: Sized
    one_product: bool


@functools.lru_cache(maxsize=256)
def plan_for(axes: "Axes", x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> Plan:
    size = dict(zip((*axes.x_axes, *axes.w_axes), (*x_shape, *w_shape), strict=True))
    X, W, Z = (sized(layout, size) for layout in (axes.input, axes.kernel, axes.output))
    whole = not (axes.summed or axes.x_repeats or axes.w_repeats) and all(part.as_it_lies for part in (X, W, Z))
    return Plan(X, W, Z, whole and Z.matrices_shape[0] == 1 and not (X.turned or Z.turned))


def layout(labels: Labels, shared: Labels, rows: Labels, columns: Labels) -> Layout:
    """Turned if the columns lie before the rows."""
    turned = labels != shared + rows + columns and labels == shared + columns + rows
    return Layout(labels, (shared, columns, rows) if turned else (shared, rows, columns), turned)


def diagonal(xp: Any, array: Any, labels: Labels) -> Any:
    """A view of the numbers of an array that lie at one place along all axes of a label: an axis for each label."""
    once = tuple(dict.fromkeys(labels))
    if len(once) == len(labels):
        return array
    strides = [sum(step for other, step in zip(labels, array.strides, strict=True) if other == label) for label in once]
    return xp.lib.stride_tricks.as_strided(array, [array.shape[labels.index(label)] for label in once], strides)


class Axes:
    """The axes of x, W and y, and what becomes of each in (3).

    `x_axes` and `w_axes` are those of the arrays, `x` and `w` those of their diagonals, where each label stands once.
    """

    def __init__(self, x_axes: Labels, w_axes: Labels, y: Labels, side: str, elided: int) -> None:
        self.x_axes, self.w_axes, self.y, self.side, self.elided = x_axes, w_axes, y, side, elided
        self.x, self.w = x, w = tuple(dict.fromkeys(x_axes)), tuple(dict.fromkeys(w_axes))
        self.x_repeats, self.w_repeats = len(x) < len(x_axes), len(w) < len(w_axes)
        shared = tuple(label for label in y if label in x and label in w)
        rows = tuple(label for label in y if label not in w)
        joined = tuple(label for label in x if label in w and label not in y)
        self.columns = tuple(label for label in y if label not in x)
        self.summed = tuple(n for n, label in enumerate(x) if label not in w and label not in y)
        left = tuple(label for label in x if label in w or label in y)
        self.input = layout(left, shared, rows, joined)
        self.kernel = layout(w, shared, joined, self.columns)
        self.output = layout(y, shared, rows, self.columns)


def _with_axes(initializer: Any, axes: Axes) -> Any:
    """The initializer, told which of the kernel's axes are inputs of a unit and which outputs."""
    scales = isinstance(initializer, initializers.VarianceScaling)
    if not scales or None not in (initializer.input_axes, initializer.output_axes):
        return initializer
    return type(initializer).from_config(initializer.get_config() | {
        "input_axes": [n for n, label in enumerate(axes.w_axes) if label not in axes.y],
        "output_axes": [n for n, label in enumerate(axes.w_axes) if label in axes.y]})


__all__ = ["EinsumDense"]
