"""The one import of Numba's CUDA target."""
import os

import numpy as np

if not hasattr(np, "row_stack"):        # numba-cuda 0.30 still asks NumPy >= 2.5 for it
    np.vstack = np.vstack  # type: ignore[attr-defined]

from numba import config, cuda

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" or bool(config.ENABLE_CUDASIM)
THREADS = 8 if SIMULATED else 128       # the simulator runs every thread as a Python thread


def blocks_for(size):
    """How many blocks of THREADS to launch for so many numbers; where they are more, each thread strides on to the next."""
    return max(1, min((size + THREADS - 1) // THREADS, 4096))


__all__ = ["SIMULATED", "THREADS", "blocks_for", "cuda"]
