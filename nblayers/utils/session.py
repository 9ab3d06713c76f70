"""Starting afresh: random numbers and names."""
import random

import numpy as np


def set_random_seed(seed: int) -> None:
    """Seed every source of random numbers: Python's, NumPy's and that of the library.

    Raises:
        ValueError: a seed that is no integer from 0 to 2^32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed: expected an integer from 0 to 2**32 - 1, got {seed!r}")
    from nblayers.random import set_seed
    random.seed(int(seed))
    np.random.seed(seed)
    set_seed(int(seed))


def clear_session(free_memory: bool = True) -> None:
    """Start numbering the names of layers, losses and so on afresh.

    `free_memory` is accepted as in Keras; there is no global graph to free.
    """
    from nblayers.layers.base import clear_names
    clear_names()
