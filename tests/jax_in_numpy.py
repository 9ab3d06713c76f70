"""JAX's operations computed by NumPy instead of being compiled one by one: an example of a few numbers is over at once.

What Keras and JAX do stays theirs: their layers, their derivatives; only the single operation (a sum, a product, a transpose)
is NumPy's. An operation that is not here, or arguments that are out of the ordinary, are compiled by XLA as ever. With
NBLAYERS_TEST_XLA=1 everything is. `test_jax_in_numpy.py` compares each operation with XLA's.
"""
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.special
from jax._src.lax.lax import split_p, stack_p, unstack_p
from jax._src.random.prng import iota_2x32_shape_p
from jax.extend.core import primitives

OPERATIONS: dict[Any, Callable[..., Any]] = {}


class NotHere(Exception):
    """These arguments are XLA's affair."""


def operation(*primitives: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def known(f: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.update(dict.fromkeys(primitives, f))
        return f
    return known


def install() -> None:
    """From now on what is not compiled as a whole is computed by NumPy."""
    for primitive, f in OPERATIONS.items():
        if isinstance(primitive.impl, functools.partial):           # that is: compiled
            primitive.def_impl(functools.partial(computed, primitive.impl, f))
    jax.config.update("jax_disable_jit", True)


def computed(compiled: Callable[..., Any], f: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
    kinds = [jax.typeof(arg) for arg in args]
    # a number of Python's takes the type of what it meets: JAX keeps account of that, we do not
    if args and all(getattr(kind, "weak_type", True) for kind in kinds[f is select_n:]) and f is not convert_element_type:
        return compiled(*args, **params)
    if not all(isinstance(kind.dtype, np.dtype) and kind.dtype.kind in "fiub" for kind in kinds):
        return compiled(*args, **params)
    try:
        with np.errstate(all="ignore"):
            result = f(*[np.asarray(arg, kind.dtype) for arg, kind in zip(args, kinds, strict=True)], **params)
    except NotHere:
        return compiled(*args, **params)
    return [on_device(part) for part in result] if isinstance(result, (list, tuple)) else on_device(result)


def on_device(x: Any) -> Any:
    return jax.device_put(np.ascontiguousarray(x) if np.ndim(x) else np.asarray(x))


def only(possible: Any) -> None:
    if not possible:
        raise NotHere


def each_by_itself() -> None:
    """Operations that NumPy has under the same sign, for numbers: not for truth values, where JAX may mean something else."""
    for names, of_numbers in {
            "neg negative, sign sign, floor floor, ceil ceil, abs abs, exp exp, exp2 exp2, expm1 expm1, log log, log1p log1p, "
            "tanh tanh, sin sin, cos cos, sqrt sqrt, square square, add add, sub subtract, mul multiply, max maximum, "
            "min minimum": True,
            "eq equal, ne not_equal, lt less, le less_equal, gt greater, ge greater_equal, and bitwise_and, or bitwise_or, "
            "xor bitwise_xor, not invert, is_finite isfinite": False}.items():
        for name in names.split(", "):
            ours, theirs = name.split()
            operation(getattr(primitives, f"{ours}_p"))((numbers if of_numbers else plain)(getattr(np, theirs)))
    operation(primitives.rsqrt_p)(numbers(lambda x: 1 / np.sqrt(x)))
    operation(primitives.logistic_p)(numbers(scipy.special.expit))
    operation(primitives.erf_p)(numbers(scipy.special.erf))
    operation(primitives.erf_inv_p)(numbers(scipy.special.erfinv))


def numbers(f: Any) -> Callable[..., Any]:
    def applied(*xs: Any, **_: Any) -> Any:
        only(xs[0].dtype != bool)
        return f(*xs).astype(xs[0].dtype, copy=False)
    return applied


def plain(f: Any) -> Callable[..., Any]:
    return lambda *xs, **_: f(*xs)


each_by_itself()


@operation(primitives.div_p)
def div(x: Any, y: Any, **_: Any) -> Any:
    only(x.dtype.kind == "f")
    return x / y


@operation(primitives.pow_p)
def power(x: Any, y: Any, **_: Any) -> Any:
    only(x.dtype.kind == y.dtype.kind == "f")
    return x ** y


@operation(primitives.integer_pow_p)
def integer_pow(x: Any, *, y: int) -> Any:
    only(x.dtype.kind == "f")
    return x ** x.dtype.type(y)


@operation(primitives.shift_left_p)
def shift_left(x: Any, y: Any, **_: Any) -> Any:
    only((y < 8 * x.itemsize).all())
    return np.left_shift(x, y)


@operation(primitives.shift_right_logical_p)
def shift_right_logical(x: Any, y: Any, **_: Any) -> Any:
    only(x.dtype.kind == "u" and (y < 8 * x.itemsize).all())
    return np.right_shift(x, y)


@operation(primitives.select_n_p)
def select_n(which: Any, *cases: Any) -> Any:
    only(which.dtype == bool and len(cases) == 2)
    return np.where(which, cases[1], cases[0])


@operation(primitives.clamp_p)
def clamp(low: Any, x: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


@operation(primitives.convert_element_type_p)
def convert_element_type(x: Any, *, new_dtype: Any, weak_type: bool, **_: Any) -> Any:
    only(not weak_type and isinstance(new_dtype, np.dtype) and new_dtype.kind in "fiub")
    only(x.dtype.kind != "f" or new_dtype.kind in "fb" or (new_dtype.kind == "i" and (np.abs(x) < 100).all()))
    return x.astype(new_dtype)


@operation(primitives.bitcast_convert_type_p)
def bitcast_convert_type(x: Any, *, new_dtype: Any) -> Any:
    only(new_dtype.itemsize == x.itemsize and bool not in (x.dtype, new_dtype))
    return x.view(new_dtype)


@operation(primitives.broadcast_in_dim_p)
def broadcast_in_dim(x: Any, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> Any:
    sizes = [1] * len(shape)
    for size, axis in zip(x.shape, broadcast_dimensions, strict=True):
        sizes[axis] = size
    return np.broadcast_to(x.reshape(sizes), shape)


@operation(primitives.reshape_p)
def reshape(x: Any, *, new_sizes: Any, dimensions: Any, **_: Any) -> Any:
    only(dimensions is None)
    return x.reshape(new_sizes)


@operation(primitives.squeeze_p)
def squeeze(x: Any, *, dimensions: Any) -> Any:
    return np.squeeze(x, dimensions)


@operation(primitives.transpose_p)
def transpose(x: Any, *, permutation: Any) -> Any:
    return x.transpose(permutation)


@operation(primitives.rev_p)
def rev(x: Any, *, dimensions: Any) -> Any:
    return np.flip(x, dimensions)


@operation(primitives.concatenate_p)
def concatenate(*xs: Any, dimension: int) -> Any:
    return np.concatenate(xs, dimension)


@operation(stack_p)
def stack(*xs: Any, axis: int) -> Any:
    return np.stack(xs, axis)


@operation(unstack_p)
def unstack(x: Any, *, axis: int) -> Any:
    return list(np.moveaxis(x, axis, 0))


@operation(split_p)
def split(x: Any, *, sizes: Any, axis: int) -> Any:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


@operation(primitives.iota_p)
def iota(*, dtype: Any, shape: Any, dimension: int, **_: Any) -> Any:
    only(np.dtype(dtype).kind in "fiu")
    sizes = [-1 if axis == dimension else 1 for axis in range(len(shape))]
    return np.broadcast_to(np.arange(shape[dimension]).astype(dtype).reshape(sizes), shape)


@operation(primitives.pad_p)
def pad(x: Any, value: Any, *, padding_config: Any) -> Any:
    only(x.size)
    between = [n + (n - 1) * inner for n, (_, _, inner) in zip(x.shape, padding_config, strict=True)]
    whole = np.full([n + max(low, 0) + max(high, 0) for n, (low, high, _) in zip(between, padding_config, strict=True)], value,
                    x.dtype)
    whole[tuple(slice(max(low, 0), max(low, 0) + n, inner + 1)
                for n, (low, _, inner) in zip(between, padding_config, strict=True))] = x
    return whole[tuple(slice(max(-low, 0), n + min(high, 0) if high < 0 else None)
                       for n, (low, high, _) in zip(whole.shape, padding_config, strict=True))]


@operation(primitives.slice_p)
def slice_(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    return x[tuple(map(slice, start_indices, limit_indices, strides or [1] * x.ndim))]


def starts(x: Any, indices: Any, sizes: Any) -> tuple[slice, ...]:
    first = [min(max(int(i), 0), n - size) for i, n, size in zip(indices, x.shape, sizes, strict=True)]
    return tuple(slice(i, i + size) for i, size in zip(first, sizes, strict=True))


@operation(primitives.dynamic_slice_p)
def dynamic_slice(x: Any, *indices: Any, slice_sizes: Any) -> Any:
    return x[starts(x, indices, slice_sizes)]


@operation(primitives.dynamic_update_slice_p)
def dynamic_update_slice(x: Any, update: Any, *indices: Any) -> Any:
    result = x.copy()
    result[starts(x, indices, update.shape)] = update
    return result


@operation(primitives.reduce_sum_p)
def reduce_sum(x: Any, *, axes: Any, **_: Any) -> Any:
    only(x.dtype != bool)
    return x.sum(axis=tuple(axes), dtype=x.dtype)


def reductions() -> None:
    for primitive, f in {primitives.reduce_max_p: np.max, primitives.reduce_min_p: np.min, primitives.reduce_and_p: np.all,
                         primitives.reduce_or_p: np.any}.items():
        def reduced(x: Any, *, axes: Any, f: Any = f, **_: Any) -> Any:
            only(x.size and (x.dtype == bool or f in (np.max, np.min)))
            return f(x, axis=tuple(axes))
        operation(primitive)(reduced)
    for primitive, f in {primitives.argmax_p: np.argmax, primitives.argmin_p: np.argmin}.items():
        def where(x: Any, *, axes: Any, index_dtype: Any, f: Any = f) -> Any:
            return f(x, axis=axes[0]).astype(index_dtype)
        operation(primitive)(where)


reductions()


@operation(primitives.dot_general_p)
def dot_general(x: Any, y: Any, *, dimension_numbers: Any, preferred_element_type: Any, **_: Any) -> Any:
    (along_x, along_y), (batch_x, batch_y) = dimension_numbers
    only(x.dtype == y.dtype and x.dtype.kind == "f" and preferred_element_type in (None, x.dtype))
    if not batch_x:
        return np.tensordot(x, y, (along_x, along_y))
    free_x, free_y = ([axis for axis in range(a.ndim) if axis not in (*along, *batch)]
                      for a, along, batch in ((x, along_x, batch_x), (y, along_y, batch_y)))
    batch, inner = [x.shape[axis] for axis in batch_x], math.prod(x.shape[axis] for axis in along_x)
    rows, columns = [x.shape[axis] for axis in free_x], [y.shape[axis] for axis in free_y]
    left = x.transpose(*batch_x, *free_x, *along_x).reshape(*batch, math.prod(rows), inner)
    right = y.transpose(*batch_y, *along_y, *free_y).reshape(*batch, inner, math.prod(columns))
    return (left @ right).reshape(*batch, *rows, *columns)


def dilated(x: Any, dilation: Any, padding: Any) -> Any:
    """x (a, b, places...) with zeros between its places and around them."""
    config = [(0, 0, 0)] * 2 + [(low, high, step - 1) for step, (low, high) in zip(dilation, padding, strict=True)]
    return pad(x, x.dtype.type(0), padding_config=config)


@operation(primitives.conv_general_dilated_p)
def conv_general_dilated(x: Any, w: Any, *, window_strides: Any, padding: Any, lhs_dilation: Any, rhs_dilation: Any,
                         dimension_numbers: Any, feature_group_count: int, batch_group_count: int, **_: Any) -> Any:
    only(x.dtype == w.dtype and x.dtype.kind == "f" and x.size and w.size)
    x, w = x.transpose(dimension_numbers.lhs_spec), w.transpose(dimension_numbers.rhs_spec)      # (N, C, places), (F, C, taps)
    x, w = dilated(x, lhs_dilation, padding), dilated(w, rhs_dilation, [(0, 0)] * (w.ndim - 2))
    rank, groups = w.ndim - 2, max(feature_group_count, batch_group_count)
    only(all(n >= k for n, k in zip(x.shape[2:], w.shape[2:], strict=True)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], tuple(range(2, x.ndim)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, step) for step in window_strides))]
    pieces = np.split(windows, groups, 0 if batch_group_count > 1 else 1)
    axes = (1, *range(2 + rank, 2 + 2 * rank)), (1, *range(2, 2 + rank))
    y = np.concatenate([np.moveaxis(np.tensordot(piece, filters, axes), -1, 1)
                        for piece, filters in zip(pieces, np.split(w, groups), strict=True)], axis=1)
    return y.transpose(np.argsort(dimension_numbers.out_spec))


@operation(iota_2x32_shape_p)
def iota_2x32_shape(*, shape: Any) -> Any:
    only(math.prod(shape) < 2 ** 32)
    low = np.arange(math.prod(shape), dtype=np.uint32).reshape(shape)
    return np.zeros_like(low), low


@operation(primitives.threefry2x32_p)
def threefry2x32(key_1: Any, key_2: Any, x_1: Any, x_2: Any) -> Any:
    """The random bits of Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", with 20 rounds."""
    keys = key_1, key_2, key_1 ^ key_2 ^ np.uint32(0x1BD11BDA)
    a, b = x_1 + keys[0], x_2 + keys[1]
    for k, rotations in zip(range(1, 6), itertools.cycle([(13, 15, 26, 6), (17, 29, 16, 24)])):
        for turned in rotations:
            a = a + b
            b = a ^ (b << np.uint32(turned) | b >> np.uint32(32 - turned))
        a, b = a + keys[k % 3], b + keys[(k + 1) % 3] + np.uint32(k)
    return a, b


def evaluate(closed: Any, *args: Any) -> list[np.ndarray]:
    """What a traced function (of jax.make_jaxpr) returns for these arguments."""
    with np.errstate(all="ignore"):
        return walk(closed.jaxpr, closed.consts, args)


def walk(jaxpr: Any, consts: Any, args: Any) -> list[np.ndarray]:
    values: dict[Any, Any] = {}

    def value(of: Any) -> Any:
        return np.asarray(of.val, of.aval.dtype) if hasattr(of, "val") else values[of]

    for variable, given in zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True):
        values[variable] = np.asarray(given, variable.aval.dtype) if isinstance(variable.aval.dtype, np.dtype) else given
    for equation in jaxpr.eqns:
        inputs = [value(of) for of in equation.invars]
        for variable, result in zip(equation.outvars, results_of(equation, inputs), strict=True):
            kind = variable.aval.dtype
            values[variable] = np.asarray(result, kind) if isinstance(kind, np.dtype) else result
    return [value(of) for of in jaxpr.outvars]


def results_of(equation: Any, inputs: list[Any]) -> Any:
    primitive, params = equation.primitive, equation.params
    if primitive.name in CONTROL:
        return CONTROL[primitive.name](inputs, **params)
    if primitive in OPERATIONS and all(isinstance(x, np.ndarray) and x.dtype.kind in "fiub" for x in inputs):
        try:
            result = OPERATIONS[primitive](*inputs, **params)
            return result if primitive.multiple_results else [result]
        except NotHere:
            pass
    result = primitive.bind(*map(jax.numpy.asarray, inputs), **primitive.get_bind_params(params))
    return result if primitive.multiple_results else [result]


def called(inputs: list[Any], *, jaxpr: Any = None, call_jaxpr: Any = None, **_: Any) -> Any:
    inner = call_jaxpr if jaxpr is None else jaxpr
    return walk(inner.jaxpr, inner.consts, inputs)


def scanned(inputs: list[Any], *, jaxpr: Any, length: int, reverse: bool, num_consts: int, num_carry: int, **_: Any) -> Any:
    consts, carry, sequences = inputs[:num_consts], inputs[num_consts:num_consts + num_carry], inputs[num_consts + num_carry:]
    steps = []
    for t in reversed(range(length)) if reverse else range(length):
        outputs = walk(jaxpr.jaxpr, jaxpr.consts, (*consts, *carry, *[sequence[t] for sequence in sequences]))
        carry = outputs[:num_carry]
        steps.append(outputs[num_carry:])
    if reverse:
        steps.reverse()
    return [*carry, *map(np.stack, zip(*steps, strict=True))]


def chosen(inputs: list[Any], *, branches: Any, **_: Any) -> Any:
    branch = branches[min(max(int(inputs[0]), 0), len(branches) - 1)]
    return walk(branch.jaxpr, branch.consts, inputs[1:])


def repeated(inputs: list[Any], *, cond_nconsts: int, cond_jaxpr: Any, body_nconsts: int, body_jaxpr: Any, **_: Any) -> Any:
    of_cond, rest = inputs[:cond_nconsts], inputs[cond_nconsts:]
    of_body, carry = rest[:body_nconsts], rest[body_nconsts:]
    while walk(cond_jaxpr.jaxpr, cond_jaxpr.consts, (*of_cond, *carry))[0]:
        carry = walk(body_jaxpr.jaxpr, body_jaxpr.consts, (*of_body, *carry))
    return carry


CONTROL = {"jit": called, "pjit": called, "custom_jvp_call": called, "custom_vjp_call": called, "scan": scanned, "cond": chosen,
           "while": repeated}


@operation(primitives.add_jaxvals_p)
def add_jaxvals(x: Any, y: Any) -> Any:
    return x + y


@operation(primitives.copy_p)
def copy(x: Any) -> Any:
    return x


def run(f: Callable[..., Any], *args: Any) -> Any:
    """f(*args), traced once and then computed: what jax.jit(f)(*args) returns."""
    with jax.disable_jit(False):
        traced, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
    outputs = evaluate(traced, *jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(shapes), outputs)
