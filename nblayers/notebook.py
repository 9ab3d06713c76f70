"""Whether this process is a notebook's."""
import sys


def in_notebook() -> bool:
    """Whether Jupyter runs this process; a program may have imported its packages without being a kernel."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())
