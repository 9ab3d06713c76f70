"""The matrix product on the GPU: cuBLAS through CuPy, and the tiled kernel that shows how such a product is made.

The tiled kernel stands in for cuBLAS where CuPy is absent, as in the simulator. A block of threads computes one tile of c.
Step by step along k it brings one tile of a and one of b into shared memory, and every number it brought is used TILE times.
Formula and shapes: kernels/reference/matmul.py.
"""
from ._compat import SIMULATED, THREADS, blocks_for, cuda

if SIMULATED:
    cublas = None
else:
    try:
        from cupy import cublas
    except ImportError:
        cublas = None

TILE = 4 if SIMULATED else 16
PADDED = TILE + 1           # a transposed tile is written by columns, which must not all lie in one bank of the memory


def matmul(a, b, transpose_a, transpose_b, add, c):
    if cublas is None:
        _launch(a, b, transpose_a, transpose_b, add, c)
    else:
        cublas.gemm("T" if transpose_a else "N", "T" if transpose_b else "N", a, b, out=c, beta=1.0 if add else 0.0)


def affine(a, b, transpose_b, bias, c):
    _bias_in_rows[blocks_for(c.size), THREADS](bias, c)
    matmul(a, b, False, transpose_b, True, c)


def _launch(a, b, transpose_a, transpose_b, add, c):
    M, N = c.shape
    blocks = (N + TILE - 1) // TILE, (M + TILE - 1) // TILE
    _tiled[blocks, (TILE, TILE)](a, b, transpose_a, transpose_b, add, c)


@cuda.jit
def _bias_in_rows(bias, c):
    M, N = c.shape
    for k in range(cuda.grid(1), M * N, cuda.gridsize(1)):
        c[k // N, k % N] = bias[k % N]                          # (2): the product is added to it


@cuda.jit
def _tiled(a, b, transpose_a, transpose_b, add, c):
    a_tile = cuda.shared.array((TILE, PADDED), c.dtype)
    b_tile = cuda.shared.array((TILE, PADDED), c.dtype)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    m0, n0 = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE     # where the block's tile of c begins
    M, N = c.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    zero = c.dtype.type(0)
    total = zero
    for k0 in range(0, K, TILE):
        # neighbouring threads x read neighbouring numbers, whichever way the matrix is stored; outside it stand zeros
        if transpose_a:
            a_tile[x, y] = a[k0 + y, m0 + x] if k0 + y < K and m0 + x < M else zero
        else:
            a_tile[y, x] = a[m0 + y, k0 + x] if m0 + y < M and k0 + x < K else zero
        if transpose_b:
            b_tile[x, y] = b[n0 + y, k0 + x] if n0 + y < N and k0 + x < K else zero
        else:
            b_tile[y, x] = b[k0 + y, n0 + x] if k0 + y < K and n0 + x < N else zero
        cuda.syncthreads()                                      # the tiles are whole before anyone reads them
        for k in range(TILE):
            total += a_tile[y, k] * b_tile[k, x]                # (1)
        cuda.syncthreads()                                      # ... and read before anyone overwrites them
    m, n = m0 + y, n0 + x
    if m < M and n < N:
        c[m, n] = c[m, n] + total if add else total


SIGNATURES = {
    "_bias_in_rows": (_bias_in_rows, "void(float32[:], float32[:,:])"),
    "_tiled": (_tiled, "void(float32[:,:], float32[:,:], boolean, boolean, boolean, float32[:,:])"),
}
