"""The same functions compiled by Numba for the CPU."""
import numpy as np

from kernels import topic_loader

# Freed at once, this block teaches the C library to keep memory of up to its size for the next array. Otherwise each large
# array comes afresh from the system, which hands it over page by page as it is first touched.
np.empty(31 << 20, np.uint8)

__getattr__ = topic_loader(__name__)
