"""The same functions as CUDA kernels; without a GPU they run in Numba's simulator."""
from kernels import topic_loader

__getattr__ = topic_loader(__name__)
