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
