"""The one way that a CPU kernel is compiled, and what takes its place under NUMBA_DISABLE_JIT=1: the Python function itself."""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import config, extending, types
from numba.core import cgutils, event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.pythonapi import NativeValue, PythonAPI
from numba.core.registry import CPUDispatcher
from numba.extending import register_jitable

import kernels

from ..interrupts import held_back
from ._cache import KernelCache

# reassociation and contraction let LLVM vectorise sums; NaN and inf keep their meaning
FLAGS: dict[str, Any] = dict(error_model="numpy", nogil=True, no_cfunc_wrapper=True,         # nobody calls one from C
                             fastmath={"nsz", "arcp", "contract", "afn", "reassoc"})


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a serial kernel, on its first call, for the types of that call."""
    return _compiled(function, FLAGS)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """The same with `prange`. It takes long to compile: kernels share their work out by `_team`, which has the one there is."""
    return _compiled(function, {**FLAGS, "parallel": True})


def _compiled(function: Callable[..., Any], flags: dict[str, Any]) -> Any:
    if config.DISABLE_JIT:
        return np.errstate(all="ignore")(function)      # as compiled: 1 / 0 is inf, and nobody is warned
    return Kernel(function, targetoptions={"nopython": True, **flags})


def intrinsic(meaning: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """For a function that is written in LLVM's terms; `meaning` says the same in Python, where nothing is compiled."""
    return lambda function: meaning if config.DISABLE_JIT else extending.intrinsic(function)


class _Library(JITCodeLibrary):
    """A kernel's machine code, which keeps to its own copies of the kernels that it calls.

    Numba leaves it to the order of loading whose copy of a function is called, and LLVM has optimised each in its own way: the
    process that compiles would compute other last bits than those that load from the cache.
    """

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        self._copies = {function.name for function in _functions(self._final_module, "linkonce_odr")}
        for function in _functions(self._final_module, "linkonce_odr"):
            function.linkage = "internal"

    def _get_module_for_linking(self) -> Any:
        """What is linked into kernels that call this one: there, one copy of each function is enough."""
        self._ensure_finalized()
        if self._shared_module is None:
            self._shared_module = self._final_module.clone()
            for function in _functions(self._shared_module, "external", "internal"):
                if function.linkage.name == "external" or function.name in self._copies:
                    function.linkage = "linkonce_odr"
        return self._shared_module


def _functions(module: Any, *linkages: str) -> list[Any]:
    """The functions that a module defines with one of these linkages."""
    return [function for function in module.functions if not function.is_declaration and function.linkage.name in linkages]


# elements in a kernel's arrays up to which it keeps the GIL: what it has to do then takes no longer than handing the GIL over
SMALL = 1 << 16


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


class _Compiler(Compiler):
    """Numba's, with a library and a wrapper of ours."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        self.state.targetctx = self.state.targetctx.subtarget(get_python_api=partial(_Wrapper, self.state.targetctx))
        self.state.library = _Library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


class Kernel(CPUDispatcher):
    """A kernel: Numba's compiled function, with a cache that heals itself."""

    def __init__(self, py_func: Callable[..., Any], locals: Any = None, targetoptions: Any = None) -> None:
        super().__init__(py_func, locals or {}, targetoptions, pipeline_class=_Compiler)
        self._cache = KernelCache(py_func)

    def compile(self, sig: Any) -> Any:
        """Compile for these types, or load from the cache. An interrupt waits: half a kernel would spoil all later ones."""
        with held_back():
            return super().compile(sig)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How other kernels call this one: the one for all numbers, not one for each."""
        return super().get_call_template(tuple(map(types.unliteral, args)), kws)


class _Compilations(event.Listener):
    """Hands on to `kernels.on_compile` what Numba says of kernels."""

    def on_start(self, event: event.Event) -> None:
        self._tell(event.data["dispatcher"], True)

    def on_end(self, event: event.Event) -> None:
        self._tell(event.data["dispatcher"], False)

    def _tell(self, dispatcher: Any, begins: bool) -> None:
        if kernels.on_compile is not None and isinstance(dispatcher, Kernel):
            kernels.on_compile(dispatcher.__name__, begins)


event.register("numba:compile", _Compilations())


@register_jitable
def even(count: int, most: int) -> int:
    """How large the fewest equal parts of `count` are, if none may have more than `most`; for kernels and for Python."""
    parts = (count + most - 1) // most
    return (count + parts - 1) // parts
