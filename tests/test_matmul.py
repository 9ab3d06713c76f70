"""The matrix product of every room: each flag, sizes at and around the edges of tiles, every element written."""
import itertools

import numpy as np
import pytest
from helpers import filled_with_nan, rooms_agree, run_kernel

import kernels

FLAGS = list(itertools.product([False, True], repeat=3))           # transpose_a, transpose_b, add
FLAG_NAMES = ["".join(letter if flag else "-" for letter, flag in zip("ab+", flags, strict=True)) for flags in FLAGS]


def operands(rng, M, N, K, transpose_a, transpose_b, dtype):
    a = rng.normal(size=(K, M) if transpose_a else (M, K)).astype(dtype)
    b = rng.normal(size=(N, K) if transpose_b else (K, N)).astype(dtype)
    return a, b


def check(room, rng, M, N, K, flags, dtype):
    """Against NumPy in float64; the error of K additions in any order is bounded by K times the rounding of one."""
    transpose_a, transpose_b, add = flags
    a, b = operands(rng, M, N, K, transpose_a, transpose_b, dtype)
    c = rng.normal(size=(M, N)).astype(dtype) if add else filled_with_nan((M, N), dtype)
    [result] = run_kernel(room, "matmul", "matmul", [a, b, *flags], [c])
    A, B = (m.astype(np.float64) for m in (a.T if transpose_a else a, b.T if transpose_b else b))
    expected = A @ B + (c.astype(np.float64) if add else 0)
    bound = (K + 1) * np.finfo(dtype).eps * (np.abs(A) @ np.abs(B) + 1)
    assert result.dtype == dtype and result.shape == (M, N)
    assert (np.abs(result - expected) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
@pytest.mark.parametrize("M, N, K", [(1, 1, 1), (1, 5, 3), (5, 1, 2), (3, 2, 1), (4, 4, 4), (5, 7, 9)])
def test_rooms_agree(M, N, K, flags, dtype, rng):
    transpose_a, transpose_b, add = flags
    a, b = operands(rng, M, N, K, transpose_a, transpose_b, dtype)
    c = rng.normal(size=(M, N)).astype(dtype) if add else (M, N)
    rooms_agree("matmul", "matmul", [a, b, *flags], [c])


@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
def test_every_room_is_right(device, flags, rng):
    check(device, rng, 6, 5, 7, flags, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
@pytest.mark.parametrize("size", [13, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65])
def test_cpu_around_the_edges_of_tiles(size, flags, dtype, rng):
    for M, N, K in [(size, size, size), (size, 3, 5), (2, size, 7), (3, 2, size), (size, 16, 1)]:
        check("cpu", rng, M, N, K, flags, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", FLAGS, ids=FLAG_NAMES)
@pytest.mark.parametrize("M, N, K", [
    (1, 300, 700), (300, 1, 257), (7, 5, 1000), (130, 250, 515), (64, 1000, 100), (257, 129, 1000)])
def test_cpu_large(M, N, K, flags, dtype, rng):
    check("cpu", rng, M, N, K, flags, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("M, N, K", [(1, 1, 1), (3, 5, 0), (1, 7, 4), (5, 1, 2), (4, 9, 3)])
def test_rooms_agree_with_a_bias(M, N, K, transpose_b, dtype, rng):
    a, b = operands(rng, M, N, K, False, transpose_b, dtype)
    bias = rng.normal(size=N).astype(dtype)
    [c] = rooms_agree("matmul", "affine", [a, b, transpose_b, bias], [(M, N)])
    np.testing.assert_allclose(c, a @ (b.T if transpose_b else b) + bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("M, N, K", [(1, 1, 3), (2, 1, 1), (1, 200, 5), (40, 33, 900), (300, 200, 400), (7, 5, 0)])
def test_cpu_with_a_bias_in_shares(M, N, K, threads, rng, monkeypatch):
    monkeypatch.setattr(kernels.get("cpu").matmul, "threads_for", lambda work, share: threads)
    a, b = operands(rng, M, N, K, False, False, "float64")
    bias, c = rng.normal(size=N), filled_with_nan((M, N))
    kernels.get("cpu").matmul.affine(a, b, False, bias, c)
    np.testing.assert_allclose(c, a @ b + bias, rtol=1e-10, atol=1e-10)


def test_adding_to_zeros_is_the_product(device, rng):
    a, b = operands(rng, 3, 4, 5, False, False, "float64")
    [product] = run_kernel(device, "matmul", "matmul", [a, b, False, False, False], [filled_with_nan((3, 4))])
    [added] = run_kernel(device, "matmul", "matmul", [a, b, False, False, True], [np.zeros((3, 4))])
    np.testing.assert_allclose(added, product, rtol=1e-14)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_and_infinity_pass_through(device):
    a, b = np.array([[np.nan, 1.0], [np.inf, 1.0], [2.0, 3.0]]), np.ones((2, 2))
    [c] = run_kernel(device, "matmul", "matmul", [a, b, False, False, False], [filled_with_nan((3, 2))])
    np.testing.assert_array_equal(c, [[np.nan] * 2, [np.inf] * 2, [5.0] * 2])


def test_the_same_matrix_on_both_sides(device, rng):
    a = rng.normal(size=(4, 5))
    [c] = run_kernel(device, "matmul", "matmul", [a, a, True, False, False], [filled_with_nan((5, 5))])
    np.testing.assert_allclose(c, a.T @ a, rtol=1e-12)
