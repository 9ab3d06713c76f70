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
from multiprocessing import Pool
from types import SimpleNamespace

os.environ["NUMBA_ENABLE_CUDASIM"] = "0"

from cuda.bindings import nvjitlink
from numba.cuda import dispatcher

from kernels.cuda._compat import cuda

ARCHITECTURES = ((7, 5), (8, 0), (9, 0))


def compiled(kernel, signature, architecture, output):
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=architecture)     # device functions ask for one
    options = dict(cc=architecture, device=False, abi="numba", fastmath=bool(kernel.targetoptions.get("fastmath")))
    return cuda.compile(kernel.py_func, signature, output=output, **options)[0]


def linked(kernel, code, architecture):
    """The linker's report on the machine code that it makes of `code`."""
    options = ["-arch=sm_{}{}".format(*architecture), "-lto", "-verbose"]
    if limit := kernel.targetoptions.get("max_registers"):
        options.append(f"-maxrregcount={limit}")
    linker = nvjitlink.create(len(options), options)
    nvjitlink.add_data(linker, nvjitlink.InputType.LTOIR, code, len(code), "kernel")
    nvjitlink.complete(linker)
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    nvjitlink.destroy(linker)
    return log.decode()


def examined(module, name):
    kernel, signature = importlib.import_module(module).SIGNATURES[name]
    found = {"signature": signature, "double": len(re.findall(r"\.f64", compiled(kernel, signature, ARCHITECTURES[0], "ptx")))}
    for architecture in ARCHITECTURES:
        log = linked(kernel, bytes(compiled(kernel, signature, architecture, "ltoir")), architecture)
        shared = re.search(r"(\d+) bytes smem", log)
        found["sm_{}{}".format(*architecture)] = {
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
