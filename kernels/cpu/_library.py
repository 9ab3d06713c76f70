"""A kernel's code, taken no further than it is needed: that is most of what a first run waits for.

    linked              other kernels take it into theirs: optimised, but not made into instructions
    machine code        it is called at an address (`_call`, `_team`), or by
    a wrapper           which Python calls, and which turns Python's objects into what the kernel takes

Numba makes all three of every kernel. Of a hundred that train a network, twenty are called from Python.
"""
from collections.abc import Iterable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba._dynfunc import make_function
from numba.core import cgutils
from numba.core.callwrapper import PyCallWrapper
from numba.core.codegen import JITCodeLibrary
from numba.core.environment import lookup_environment
from numba.core.funcdesc import ExternalFunctionDescriptor
from numba.core.pythonapi import NativeValue, PythonAPI
from numba.core.runtime import rtsys

from ._written import write_loop

# elements in a kernel's arrays up to which it keeps the GIL: what it has to do then takes no longer than handing the GIL over
SMALL = 1 << 16


class Library(JITCodeLibrary):
    """A kernel's code, with its own copies of the kernels that it calls.

    Numba leaves it to the order of loading whose copy of a function is called, and LLVM has optimised each in its own way: the
    process that compiles would compute other last bits than those that load from the cache.

    Attributes:
        wrappers: the code of the kernel's wrappers, by name, once Python has called them.
        is_new: whether there is code that the cache does not have.
        needs: the names that the code refers to, of Numba's, Python's and the C library's functions.
        environments: Numba's, of the constants of all kernels in here.
    """

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self.enable_object_caching()
        self.wrappers: dict[str, bytes] = {}
        self.is_new = True
        self.needs: list[str] = []
        self.environments: list[Any] = []
        self._copies: list[str] = []
        self._bitcode = b""
        self._is_made = False

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        copies = _defined(self._final_module, "linkonce_odr")
        self._copies = [function.name for function in copies]
        for function in copies:
            function.linkage = "internal"

    def _finalize_final_module(self) -> None:
        """Numba would make machine code here."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._bitcode = self._final_module.as_bitcode()         # making machine code changes the module
        self.needs = _undefined(self._final_module)
        self.environments = _environments(self._final_module)
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """What is linked into kernels that call this one: there, one copy of each function is enough."""
        self._ensure_finalized()
        if self._shared_module is None:
            self._shared_module = llvm.parse_bitcode(self._bitcode)
            for function in _defined(self._shared_module, "external", "internal"):
                if function.linkage.name == "external" or function.name in self._copies:
                    function.linkage = "linkonce_odr"
        return self._shared_module

    def get_pointer_to_function(self, name: str) -> int:
        """Where a function of this library begins; its machine code is made if need be."""
        self._ensure_finalized()
        if not self._is_made:
            self._make()
        return self._codegen._engine.get_function_address(name)

    def _make(self) -> None:
        if self._compiled_object is None:
            self.is_new = True
            self._final_module = llvm.parse_bitcode(self._bitcode)
        super()._finalize_final_module()
        for environment in self.environments:
            self._codegen.set_env(environment.env_name, environment)
        self._is_made = True

    def kept(self) -> dict[str, Any]:
        """What `remade` makes this library of."""
        return {"name": self.name, "bitcode": self._bitcode, "copies": self._copies, "needs": self.needs,
                "environments": self.environments, "machine_code": self._compiled_object, "wrappers": self.wrappers}

    @classmethod
    def remade(cls, codegen: Any, name: str, bitcode: bytes = b"", copies: Iterable[str] = (), needs: Iterable[str] = (),
               environments: Iterable[Any] = (), machine_code: bytes | None = None,
               wrappers: dict[str, bytes] | None = None) -> "Library":
        """The library that was kept, as far as it had come."""
        self = cls(codegen, name)
        self._bitcode, self._copies, self.needs, self.environments = bitcode, [*copies], [*needs], [*environments]
        self.wrappers, self.is_new, self._finalized = wrappers or {}, False, True
        if machine_code is not None:
            self._set_compiled_object(machine_code)
        return self


def _defined(module: Any, *linkages: str) -> list[Any]:
    """The functions that a module defines with one of these linkages."""
    return [function for function in module.functions if not function.is_declaration and function.linkage.name in linkages]


def _undefined(module: Any) -> list[str]:
    """The names that a module refers to, and that someone else defines."""
    named = [one.name for some in (module.functions, module.global_variables) for one in some if one.is_declaration]
    return [name for name in named if not name.startswith("llvm.")]


def _environments(module: Any) -> list[Any]:
    names = [one.name for one in module.global_variables if one.name.startswith("_ZN08NumbaEnv") and not one.is_declaration]
    return [environment for environment in map(lookup_environment, names) if environment is not None]


def wrapped(compiled: Any, place: int | None = None, apart: bool = False) -> Any:
    """The function that Python calls: a compiled kernel in its wrapper, which is made if need be.

    With a place it is (loop, threads, the kernel's other arguments): `Kernel.for_all`.
    """
    library, wrapping = compiled.library, _Wrapping(compiled, place, apart)
    library.get_pointer_to_function(compiled.fndesc.llvm_func_name)     # which the wrapper calls
    name, kept = f"{library.name} from Python", library.wrappers.get(wrapping.name)
    if kept is None:
        wrapper = Library(library.codegen, name)
        wrapper.add_ir_module(wrapping.module())
        wrapper.add_linking_library(rtsys.library)
    else:
        wrapper = Library.remade(library.codegen, name, machine_code=kept)
    address = wrapper.get_pointer_to_function(wrapping.fndesc.llvm_cpython_wrapper_name)
    if kept is None:
        library.wrappers[wrapping.name], library.is_new = wrapper._compiled_object, True
    return make_function(compiled.fndesc.lookup_module(), wrapping.fndesc.qualname, f"{wrapping.name} of {library.name}",
                         address, compiled.environment, (library, wrapper))


class _Wrapping:
    """How a wrapper is written in LLVM's terms. The kernel itself and the place of its constants are the other library's."""

    def __init__(self, compiled: Any, place: int | None, apart: bool) -> None:
        self.compiled, self.kernel, self.place, self.apart = compiled, compiled.fndesc, place, apart
        self.name = "call" if place is None else f"for all, {place}, {apart}"
        self.fndesc = self.kernel if place is None else self._for_all()

    def _for_all(self) -> Any:
        """The description of the function that begins the loop."""
        kinds = list(self.kernel.argtypes)
        del kinds[self.place:self.place + 2]            # the number of the share, and that of the threads
        if self.apart:
            kinds[-1] = types.Array(kinds[-1].dtype, 2, "C")
        suffix = f"_for_all_{self.place}_{self.apart:d}"
        fndesc = ExternalFunctionDescriptor(self.kernel.llvm_func_name + suffix, types.none, (types.intp, types.intp, *kinds))
        fndesc.qualname, fndesc.env_name = self.kernel.qualname, self.kernel.env_name
        return fndesc

    def module(self) -> Any:
        context = self.compiled.target_context
        context.refresh()                               # all that Numba has: a kernel from the cache may not have needed it
        context = context.subtarget(get_python_api=partial(_Wrapper, context))
        module = context.create_module("wrapper")
        kind = context.call_conv.get_function_type(self.kernel.restype, self.kernel.argtypes)
        function = ir.Function(module, kind, self.kernel.llvm_func_name)
        if self.place is not None:
            function = self._write_launch(context, module, function)
        PyCallWrapper(context, module, function, self.fndesc, self.compiled.environment, call_helper=None,
                      release_gil=True).build()
        constants = module.get_global(context.get_env_name(self.kernel))
        constants.linkage, constants.initializer = "external", None
        return module

    def _write_launch(self, context: Any, module: Any, kernel: Any) -> Any:
        """The function that begins the loop over the shares of a kernel."""
        convention, kinds = context.call_conv, self.fndesc.argtypes
        launch = ir.Function(module, convention.get_function_type(types.none, kinds), self.fndesc.llvm_func_name)
        launch.linkage = "internal"
        builder = ir.IRBuilder(launch.append_basic_block())
        loop, threads, *values = convention.decode_arguments(builder, kinds, launch)
        before = slice(2, 2 + self.place), slice(self.place)
        after = slice(2 + self.place, None), slice(self.place, None)
        write_loop(context, builder, loop, threads, builder.ptrtoint(kernel, threads.type), (kinds[before[0]], kinds[after[0]]),
                   (values[before[1]], values[after[1]]), self.apart)
        convention.return_value(builder, context.get_dummy_value())
        return launch


class _Wrapper(PythonAPI):
    """What stands between Python and a kernel: it lets other threads run Python meanwhile, if the kernel has much to do.

    Threads that hand the GIL over at each of many short kernels get less done than one of them alone.
    """

    def __init__(self, context: Any, builder: Any) -> None:
        super().__init__(context, builder)
        self._elements = cgutils.alloca_once_value(builder, context.get_constant(types.intp, 0))

    def to_native_value(self, typ: types.Type, obj: Any) -> NativeValue:
        native = super().to_native_value(typ, obj)
        if isinstance(typ, types.Array):
            array = self.context.make_array(typ)(self.context, self.builder, native.value)
            self.builder.store(self.builder.add(self.builder.load(self._elements), array.nitems), self._elements)
        return native

    def save_thread(self) -> Any:
        state = cgutils.alloca_once_value(self.builder, self.get_null_object())
        small = self.context.get_constant(types.intp, SMALL)
        self._much = self.builder.icmp_signed(">", self.builder.load(self._elements), small)
        with self.builder.if_then(self._much):
            self.builder.store(super().save_thread(), state)
        return state

    def restore_thread(self, thread_state: Any) -> None:
        with self.builder.if_then(self._much):
            super().restore_thread(self.builder.load(thread_state))
