"""The one way that a CPU kernel is compiled, and what takes its place under NUMBA_DISABLE_JIT=1: the Python function itself."""
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import config, extending, types
from numba.core import event
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature
from numba.core.typing import make_concrete_template
from numba.extending import register_jitable

import kernels

from ..interrupts import held_back
from . import _ahead
from ._cache import KernelCache
from ._library import Library, wrapped

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


class _Compiler(Compiler):
    """Numba's, which stops before it makes machine code: `Library` does, when it is needed."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        _ahead.begin()
        self.state.library = Library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.flags.no_cpython_wrapper = self.state.flags.no_compile = True
        compiled = super().compile_extra(func)
        library = compiled.library
        compiled.reload_init.extend(library._reload_init)
        self.state.targetctx.insert_user_function(library, compiled.fndesc, [library])
        return compiled._replace(entry_point=library)                   # under which other kernels find it


class Kernel(CPUDispatcher):
    """A kernel: Numba's compiled function, made no further than it is needed, with a cache that heals itself."""

    def __init__(self, py_func: Callable[..., Any], locals: Any = None, targetoptions: Any = None) -> None:
        super().__init__(py_func, locals or {}, targetoptions, pipeline_class=_Compiler)
        self._cache = KernelCache(py_func)
        self._wrappers: dict[tuple[Any, ...], Any] = {}
        _ahead.kernels_made.add(self)

    def compile(self, sig: Any) -> Any:
        """What Python calls for arguments of these types."""
        kinds = tuple(normalize_signature(sig)[0])
        if _ahead.notes is not None:
            return _ahead.note(self.compile, kinds)
        with self._code(kinds) as compiled:
            if kinds not in self._wrappers:
                self._wrappers[kinds] = wrapped(compiled)
                self._insert([kind._code for kind in kinds], self._wrappers[kinds], False)
        return self._wrappers[kinds]

    def for_all(self, kinds: tuple[types.Type, ...], place: int, apart: bool) -> Any:
        """A function (loop, threads, the other arguments) that calls this kernel on each thread (`_team`).

        Arguments:
            kinds: the types of the kernel's arguments.
            place: where the number of the share, and behind it that of the threads, stands among them.
            apart: of the last argument, which has two axes then, each share is given a row.
        """
        if _ahead.notes is not None:
            return _ahead.note(self.for_all, kinds, place, apart)
        with self._code(kinds) as compiled:
            key = *kinds, place, apart
            if key not in self._wrappers:
                self._wrappers[key] = wrapped(compiled, place, apart)
        return self._wrappers[key]

    def address_of(self, kinds: tuple[types.Type, ...]) -> int:
        """Where the machine code for arguments of these types begins."""
        if _ahead.notes is not None:
            return _ahead.note(self.address_of, kinds, result=0)
        with self._code(kinds) as compiled:
            return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How other kernels call this one: the one for all numbers, not one for each."""
        pysig, kinds = self._compiler.fold_argument_types(tuple(map(types.unliteral, args)), kws)
        with self._code(kinds):
            return make_concrete_template(self.__name__, self.__name__, self.nopython_signatures), pysig, kinds, {}

    def is_claimed(self, kinds: tuple[types.Type, ...]) -> bool:
        """Whether another process compiles for these types now."""
        return self._cache.is_claimed(kinds, self.targetctx.codegen())

    @contextmanager
    def _code(self, kinds: tuple[types.Type, ...]) -> Iterator[Any]:
        """The kernel for these types, compiled or from the cache, as far as it had come; what is made of it inside is kept.

        An interrupt waits, since half a kernel would spoil all later ones; so does the garbage collector.
        """
        with held_back(), global_compiler_lock, _no_garbage_collected(), self._cache.claiming():
            super().compile(kinds)
            yield self.overloads[kinds]
            if self.overloads[kinds].library.is_new:
                self._cache.keep(self.overloads[kinds])

    def add_overload(self, cres: Any) -> None:
        """Remember a compiled kernel; Python cannot call it yet."""
        self.overloads[tuple(cres.signature.args)] = cres

    def recompile(self) -> None:
        """Compile anew, from the source as it is in this process."""
        self._wrappers.clear()
        super().recompile()


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


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
