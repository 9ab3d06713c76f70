"""The same functions compiled by Numba for the CPU."""
from kernels import topic_loader

__getattr__ = topic_loader(__name__)
