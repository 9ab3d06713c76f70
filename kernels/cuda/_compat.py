"""The one import of Numba's CUDA target."""
import os

import numpy as np

if not hasattr(np, "row_stack"):        # numba-cuda 0.30 still asks NumPy >= 2.5 for it
    np.vstack = np.vstack  # type: ignore[attr-defined]

from numba import config, cuda

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" or bool(config.ENABLE_CUDASIM)
THREADS = 8 if SIMULATED else 128       # the simulator runs every thread as a Python thread

__all__ = ["SIMULATED", "THREADS", "cuda"]
