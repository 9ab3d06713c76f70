"""Images changed one by one, on the GPU. Formulas and shapes: kernels/reference/images.py.

Of (3) and (4) a block takes one channel of one image; sums are made of short sums, which lose little.
"""
from ._compat import SIMULATED, THREADS, blocks_for, cuda

PIECE = 2 if SIMULATED else 64          # numbers added one after the other


def flip(x, flips, vertical, horizontal, y):
    _flip[blocks_for(y.size), THREADS](x, flips, vertical, horizontal, y)


def brightness(x, delta, low, high, y):
    number = x.dtype.type
    _brightness[blocks_for(y.size), THREADS](x, delta, number(low), number(high), y)


def brightness_backward(dy, x, delta, low, high, dx):
    number = x.dtype.type
    _brightness_backward[blocks_for(dx.size), THREADS](dy, x, delta, number(low), number(high), dx)


def contrast(x, factor, low, high, mean, y):
    number = x.dtype.type
    _contrast[_blocks(mean.size), THREADS](x, factor, number(low), number(high), mean, y)


def contrast_backward(dy, x, factor, low, high, mean, dx):
    number = x.dtype.type
    _contrast_backward[_blocks(mean.size), THREADS](dy, x, factor, number(low), number(high), mean, dx)


def _blocks(channels):
    return max(1, min(channels, 4096))


@cuda.jit(device=True)
def _clipped(z, low, high):
    return low if z < low else high if z > high else z


@cuda.jit(device=True)
def _unclipped(dy, z, low, high):
    return dy if low <= z and z <= high else type(dy)(0)


@cuda.jit(device=True)
def _pixel(m, shape):
    """The place of number m in an array (N, H, W, C)."""
    H, W, C = shape[1], shape[2], shape[3]
    return m // (C * W * H), m // (C * W) % H, m // C % W, m % C


@cuda.jit
def _flip(x, flips, vertical, horizontal, y):
    H, W = y.shape[1], y.shape[2]
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = _pixel(m, y.shape)
        turned = flips[n]
        k = H - 1 - i if turned and vertical else i
        l = W - 1 - j if turned and horizontal else j
        y[n, i, j, c] = x[n, k, l, c]                                               # (1)


@cuda.jit
def _brightness(x, delta, low, high, y):
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = _pixel(m, y.shape)
        y[n, i, j, c] = _clipped(x[n, i, j, c] + delta[n], low, high)               # (2)


@cuda.jit
def _brightness_backward(dy, x, delta, low, high, dx):
    for m in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, i, j, c = _pixel(m, dx.shape)
        dx[n, i, j, c] = _unclipped(dy[n, i, j, c], x[n, i, j, c] + delta[n], low, high)        # from (2)


@cuda.jit(device=True)
def _block_sum(value, shared):
    """The sum of what the threads of a block bring, halving their number at each step."""
    t, step = cuda.threadIdx.x, THREADS // 2
    shared[t] = value
    cuda.syncthreads()
    while step >= 1:
        if t < step:
            shared[t] += shared[t + step]
        cuda.syncthreads()
        step //= 2
    total = shared[0]
    cuda.syncthreads()                                              # all have read it before it is overwritten
    return total


@cuda.jit(device=True)
def _sum_of_channel(x, n, c, shared):
    W, count = x.shape[2], x.shape[1] * x.shape[2]
    p, mine = cuda.threadIdx.x, x.dtype.type(0)
    while p < count:
        part, k = x.dtype.type(0), 0
        while k < PIECE and p < count:
            part += x[n, p // W, p % W, c]
            p += THREADS
            k += 1
        mine += part
    return _block_sum(mine, shared)


@cuda.jit
def _contrast(x, factor, low, high, mean, y):
    shared = cuda.shared.array(THREADS, y.dtype)
    C, W, count = x.shape[3], x.shape[2], x.shape[1] * x.shape[2]
    for channel in range(cuda.blockIdx.x, mean.size, cuda.gridDim.x):
        n, c, one = channel // C, channel % C, y.dtype.type(1)
        m = _sum_of_channel(x, n, c, shared) / y.dtype.type(count)                  # (3)
        f, shift = factor[n], (one - factor[n]) * m
        for p in range(cuda.threadIdx.x, count, THREADS):
            i, j = p // W, p % W
            y[n, i, j, c] = _clipped(f * x[n, i, j, c] + shift, low, high)          # (4)
        if cuda.threadIdx.x == 0:
            mean[n, c] = m


@cuda.jit
def _contrast_backward(dy, x, factor, low, high, mean, dx):
    shared = cuda.shared.array(THREADS, dx.dtype)
    C, W, count = x.shape[3], x.shape[2], x.shape[1] * x.shape[2]
    for channel in range(cuda.blockIdx.x, mean.size, cuda.gridDim.x):
        n, c, one = channel // C, channel % C, dx.dtype.type(1)
        f, shift = factor[n], (one - factor[n]) * mean[n, c]
        for p in range(cuda.threadIdx.x, count, THREADS):
            i, j = p // W, p % W
            dx[n, i, j, c] = _unclipped(dy[n, i, j, c], f * x[n, i, j, c] + shift, low, high)   # from (4)
        dm = (one - f) * _sum_of_channel(dx, n, c, shared) / dx.dtype.type(count)   # from (4) and (3); threads read their own
        for p in range(cuda.threadIdx.x, count, THREADS):
            dx[n, p // W, p % W, c] = f * dx[n, p // W, p % W, c] + dm              # from (4)


_IMAGES, _EACH = "float32[:,:,:,:]", "float32[:]"
_LIMITS, _CHANNELS = "float32, float32", "float32[:,:]"
SIGNATURES = {
    "_flip": (_flip, f"void({_IMAGES}, boolean[:], boolean, boolean, {_IMAGES})"),
    "_brightness": (_brightness, f"void({_IMAGES}, {_EACH}, {_LIMITS}, {_IMAGES})"),
    "_brightness_backward": (_brightness_backward, f"void({_IMAGES}, {_IMAGES}, {_EACH}, {_LIMITS}, {_IMAGES})"),
    "_contrast": (_contrast, f"void({_IMAGES}, {_EACH}, {_LIMITS}, {_CHANNELS}, {_IMAGES})"),
    "_contrast_backward": (_contrast_backward,
                           f"void({_IMAGES}, {_IMAGES}, {_EACH}, {_LIMITS}, {_CHANNELS}, {_IMAGES})"),
}
