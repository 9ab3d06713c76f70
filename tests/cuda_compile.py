"""Compile CUDA kernels to machine code without a GPU or driver, and report what the compiler says, as JSON.

    python tests/cuda_compile.py kernels.cuda.matmul kernels.cuda.recurrent

Run by test_cuda.py in a process of its own, as the simulator is switched on in that of the tests. For each kernel: registers,
bytes of shared memory and bytes spilled on each architecture; and how many double-precision instructions it holds.
"""
import importlib
import json
import os
import re
import sys
from contextlib import contextmanager
from multiprocessing import Pool
from types import SimpleNamespace

os.environ["NUMBA_ENABLE_CUDASIM"] = "0"

from cuda.bindings import nvjitlink
from numba.cuda import dispatcher

from kernels.cuda._compat import cuda

OLDEST = (7, 5)
ARCHITECTURES = os.environ.get("ARCHITECTURES", "sm_75 sm_80 sm_90").split()


def compiled(kernel, signature):
    """The kernel in the linker's own language, for the oldest architecture: it runs on the newer ones too."""
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=OLDEST)      # device functions ask for one
    options = dict(cc=OLDEST, device=False, abi="numba", fastmath=bool(kernel.targetoptions.get("fastmath")))
    return bytes(cuda.compile(kernel.py_func, signature, output="ltoir", **options)[0])


@contextmanager
def linker(kernel, code, architecture, *options):
    """A linker that has made machine code of `code`, or whatever the options ask for."""
    options = [f"-arch={architecture}", "-lto", "-verbose", *options]
    if limit := kernel.targetoptions.get("max_registers"):
        options.append(f"-maxrregcount={limit}")
    made = nvjitlink.create(len(options), options)
    nvjitlink.add_data(made, nvjitlink.InputType.LTOIR, code, len(code), "kernel")
    nvjitlink.complete(made)
    yield made
    nvjitlink.destroy(made)


def assembly(kernel, code):
    """What stands before the machine code, as text."""
    with linker(kernel, code, ARCHITECTURES[0], "-ptx") as made:
        text = bytearray(nvjitlink.get_linked_ptx_size(made))
        nvjitlink.get_linked_ptx(made, text)
        return text.decode()


def linked(kernel, code, architecture):
    """The linker's words on the machine code."""
    with linker(kernel, code, architecture) as made:
        log = bytearray(nvjitlink.get_info_log_size(made))
        nvjitlink.get_info_log(made, log)
        return log.decode()


def examined(module, name):
    kernel, signature = importlib.import_module(module).SIGNATURES[name]
    code = compiled(kernel, signature)
    found = {"signature": signature, "double": len(re.findall(r"\.f64", assembly(kernel, code)))}
    for architecture in ARCHITECTURES:
        log = linked(kernel, code, architecture)
        shared = re.search(r"(\d+) bytes smem", log)
        found[architecture] = {
            "registers": int(re.search(r"Used (\d+) registers", log)[1]),
            "spilled": int(re.search(r"(\d+) bytes spill stores", log)[1]),
            "shared": int(shared[1]) if shared else 0}
    return found


def unlisted(module):
    """Kernels of the module (not device functions) that its SIGNATURES do not name."""
    module = importlib.import_module(module)
    listed = [kernel for kernel, _ in getattr(module, "SIGNATURES", {}).values()]
    return [name for name, value in vars(module).items()
            if isinstance(value, dispatcher.CUDADispatcher) and not value.targetoptions.get("device")
            and value.py_func.__module__ == module.__name__ and not any(value is kernel for kernel in listed)]


def main(modules):
    jobs = [(module, name) for module in modules for name in getattr(importlib.import_module(module), "SIGNATURES", {})]
    with Pool(min(2, os.cpu_count() or 1)) as pool:
        results = pool.starmap(examined, jobs, chunksize=1)
    report = {module: {"unlisted": unlisted(module), "kernels": {}} for module in modules}
    for (module, name), result in zip(jobs, results, strict=True):
        report[module]["kernels"][name] = result
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
