"""JAX's operations as NumPy computes them in our tests: each against XLA, on odd shapes and with every option that comes up."""
import functools

import jax
import jax.numpy as jnp
import jax_in_numpy
import numpy as np
import pytest
from helpers import assert_same
from jax import lax
from jax.extend.core import primitives


def a(*shape, dtype="float32", seed=0):
    x = np.random.default_rng(seed).normal(size=shape) * 3
    return x > 0 if dtype == "bool" else np.abs(x).astype(dtype) if dtype == "uint32" else x.astype(dtype)


def elementwise(f, *dtypes, several=1):
    return [(f, [a(3, 1, 2, dtype=dtype, seed=seed) for seed in range(several)], {}) for dtype in dtypes]


FLOATS, NUMBERS, ALL = ("float32",), ("float32", "int32", "uint32"), ("float32", "int32", "uint32", "bool")
CASES = [
    *[case for f in (lax.floor, lax.ceil, lax.exp, lax.exp2, lax.expm1, lax.log, lax.log1p, lax.tanh, lax.sin, lax.cos,
                     lax.sqrt, lax.rsqrt, lax.logistic, lax.erf, lax.is_finite, lambda x: lax.integer_pow(x, -3))
      for case in elementwise(f, *FLOATS)],
    (lax.erf_inv, [np.linspace(-1, 1, 7, dtype="float32")], {}),
    *[case for f in (lax.neg, lax.sign, lax.abs, lax.square) for case in elementwise(f, "float32", "int32")],
    *[case for f in (lax.add, lax.sub, lax.mul, lax.max, lax.min) for case in elementwise(f, *NUMBERS, several=2)],
    *[case for f in (lax.eq, lax.ne, lax.lt, lax.le, lax.gt, lax.ge) for case in elementwise(f, *ALL, several=2)],
    *[case for f in (lax.bitwise_and, lax.bitwise_or, lax.bitwise_xor)
      for case in elementwise(f, "int32", "uint32", "bool", several=2)],
    *elementwise(lax.bitwise_not, "int32", "uint32", "bool"), *elementwise(lax.div, "float32", "int32", several=2),
    *elementwise(lax.max, "bool", several=2), *elementwise(lax.pow, "float32", several=2),
    (lax.shift_left, [a(5, dtype="uint32"), np.arange(28, 33, dtype="uint32")], {}),
    (lax.shift_right_logical, [a(5, dtype="uint32"), np.arange(5, dtype="uint32")], {}),
    (lax.shift_right_logical, [a(5, dtype="int32"), np.arange(5, dtype="int32")], {}),
    (lax.select_n, [a(3, 2, dtype="bool"), a(3, 2), a(3, 2, seed=1)], {}),
    (lax.select_n, [np.bool_(True), a(3), a(3, seed=1)], {}),
    (lax.clamp, [np.float32(-1), a(4), np.float32(1)], {}), (lax.clamp, [np.float32(1), a(4), np.float32(-1)], {}),
    *[(lax.convert_element_type, [a(3, 2, dtype=dtype)], dict(new_dtype=np.dtype(new))) for dtype in ALL for new in ALL],
    (lax.convert_element_type, [np.array([np.nan, np.inf, -1e30, 1e30], "float32")], dict(new_dtype=np.dtype("int32"))),
    (lax.bitcast_convert_type, [a(3, dtype="uint32")], dict(new_dtype=np.dtype("float32"))),
    (lax.broadcast_in_dim, [a(3, 1)], dict(shape=(2, 3, 4), broadcast_dimensions=(1, 2))),
    (lax.reshape, [a(3, 4)], dict(new_sizes=(2, 6))), (lax.reshape, [a(3, 4)], dict(new_sizes=(2, 6), dimensions=(1, 0))),
    (lax.squeeze, [a(1, 3, 1)], dict(dimensions=(0, 2))), (lax.transpose, [a(2, 3, 4)], dict(permutation=(1, 2, 0))),
    (lax.rev, [a(2, 3, 4)], dict(dimensions=(0, 2))),
    (lambda x, y: lax.concatenate([x, y], 1), [a(2, 3), a(2, 1)], {}),
    (lambda x, y: jnp.stack([x, y], 1), [a(2, 3), a(2, 3)], {}),
    (lambda x: lax.split(x, (1, 3), 1), [a(2, 4)], {}), (lambda x: jnp.unstack(x, axis=1), [a(2, 3)], {}),
    *[(functools.partial(lax.broadcasted_iota, dtype, (2, 3, 1), 1), [], {}) for dtype in ("int32", "float32")],
    *[(lambda x, config=config: lax.pad(x, jnp.float32(7), config), [a(3, 4)], {}) for config in (
        [(1, 2, 0), (0, 1, 2)], [(-1, 0, 0), (2, -2, 1)], [(0, -3, 2), (-1, -1, 0)], [(-2, 1, 1), (1, -4, 1)])],
    (lax.slice, [a(5, 4)], dict(start_indices=(1, 0), limit_indices=(5, 3), strides=(2, 1))),
    (lax.slice, [a(5, 4)], dict(start_indices=(1, 0), limit_indices=(2, 3))),
    *[(lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 2)), [a(5, 4), np.int32(i)], {}) for i in (0, 2, 9, -9)],
    *[(lambda x, y, i: lax.dynamic_update_slice(x, y, (i, 1)), [a(5, 4), a(2, 2), np.int32(i)], {})
      for i in (0, 2, 9, -9)],
    *[(lambda x, f=f: f(x, axis=(0, 2)), [a(2, 3, 4, dtype=dtype)], {})
      for f in (jnp.sum, jnp.max, jnp.min) for dtype in NUMBERS],
    *[(lambda x, f=f: f(x, axis=(0, 2)), [a(2, 3, 4, dtype="bool")], {}) for f in (jnp.all, jnp.any, jnp.sum)],
    *[(lambda x, f=f: f(x, axis=1), [a(2, 3, 4).round()], {}) for f in (jnp.argmax, jnp.argmin)],
    *[(lambda x, y, numbers=numbers: lax.dot_general(x, y, numbers), [a(2, 3, 4), a(2, 4, 3)], {}) for numbers in (
        (((2,), (1,)), ((0,), (0,))), (((1,), (2,)), ((), ())), (((1, 2), (2, 1)), ((), ())),
        (((1,), (2,)), ((2, 0), (1, 0))))],
    *[(lambda x, w, options=options, sizes=sizes: lax.conv_general_dilated(x, w, feature_group_count=2, **options, **sizes),
       [a(4, 7, 6, 4), a(3, 2, 2, 4)], {}) for options, sizes in (
        (dict(window_strides=(1, 2), padding=[(1, 0), (2, 1)]), dict(dimension_numbers=("NHWC", "HWIO", "NHWC"))),
        (dict(window_strides=(2, 1), padding="SAME", rhs_dilation=(2, 1)), dict(dimension_numbers=("NHWC", "HWIO", "NCHW"))),
        (dict(window_strides=(1, 1), padding=[(-1, 2), (1, -1)]), dict(
            lhs_dilation=(2, 3), dimension_numbers=("CHWN", "HWIO", "NHWC"))))],
    (lambda x, w: lax.conv_general_dilated(x, w, (1, 1), [(1, 1), (0, 0)], dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                           batch_group_count=2), [a(4, 5, 6, 3), a(3, 2, 3, 4)], {}),
    # the bits of the key's type are not traced: by themselves
    (lambda x: jax.random.normal(jax.random.key(5), (3, 5)) + x, [np.float32(0)], {}),
    (lambda x: jax.random.bits(jax.random.key(6), (3, 5)) + x, [np.uint32(0)], {}),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_is_xlas(number):
    f, args, options = CASES[number]
    f = functools.partial(f, **options)
    with jax.disable_jit(False):
        expected = [np.asarray(part) for part in jax.tree.leaves(jax.jit(lambda args: f(*args))(args))]
    by_itself = [np.asarray(part) for part in jax.tree.leaves(f(*map(jnp.asarray, args)))]
    traced = jax.tree.leaves(jax_in_numpy.run(f, *args))
    for found in (by_itself, traced):
        assert [part.dtype for part in found] == [part.dtype for part in expected]
        assert_same(found, expected, rtol=2e-6, atol=5e-6)


def test_loops_and_branches():
    def f(x, n):
        def step(carry, part):
            return carry * 0.5 + part, carry.sum()
        last, sums = lax.scan(step, x[0], x[1:], reverse=True)
        grown = lax.while_loop(lambda v: v.sum() < 50, lambda v: v * 2, jnp.abs(x[0]))
        counted = lax.fori_loop(0, n, lambda i, v: v + i, 0.0)
        return last, sums, grown, counted, lax.cond(n > 2, lambda v: v + 1, lambda v: v - 1, x), jax.nn.relu(x)

    for n in (2, 3):
        x = a(4, 3)
        with jax.disable_jit(False):
            expected = jax.jit(f)(x, n)
        assert_same(list(jax_in_numpy.run(f, x, n)), list(expected), rtol=1e-5, atol=1e-6)


def test_every_operation_was_there():
    """What `CASES` has no case for is told here, not by a layer that differs from Keras'."""
    seen = set()
    with pytest.MonkeyPatch.context() as patch, jax.disable_jit(False):
        for primitive, f in jax_in_numpy.OPERATIONS.items():
            patch.setitem(jax_in_numpy.OPERATIONS, primitive,
                          lambda *xs, f=f, primitive=primitive, **options: seen.add(primitive) or f(*xs, **options))
        for f, args, options in CASES:
            jax_in_numpy.run(functools.partial(f, **options), *args)
    assert {primitive.name for primitive in set(jax_in_numpy.OPERATIONS) - seen} <= {
        primitives.copy_p.name, primitives.add_jaxvals_p.name, "iota_2x32_shape", "threefry2x32"}
