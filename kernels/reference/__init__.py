"""The formulas as plain NumPy, written to be read next to the equations."""
from kernels import topic_loader

__getattr__ = topic_loader(__name__)
