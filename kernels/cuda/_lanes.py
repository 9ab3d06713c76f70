"""What the threads of a block do together: a lane is every so many of them, and with one lane the whole block is it."""
from ._compat import THREADS, cuda


@cuda.jit(device=True)
def lane_sum(value, width, shared):
    """The sum of what the threads of a lane bring, halving their number at each step."""
    t, step = cuda.threadIdx.x, THREADS // 2
    shared[t] = value
    cuda.syncthreads()
    while step >= width:
        if t < step:
            shared[t] += shared[t + step]
        cuda.syncthreads()
        step //= 2
    total = shared[t % width]
    cuda.syncthreads()                                          # all have read it before it is overwritten
    return total


@cuda.jit(device=True)
def block_max(value, shared):
    """The largest of what the threads of a block bring, NaN if one of them is."""
    t, step = cuda.threadIdx.x, THREADS // 2
    shared[t] = value
    cuda.syncthreads()
    while step:
        if t < step:
            shared[t] = larger(shared[t], shared[t + step])
        cuda.syncthreads()
        step //= 2
    largest = shared[0]
    cuda.syncthreads()                                          # all have read it before it is overwritten
    return largest


@cuda.jit(device=True)
def larger(a, b):
    """The larger of two numbers, NaN if one of them is."""
    return a if a > b or a != a else b
