"""Where compiled kernels are kept from one process to the next: a file for each kernel and each signature.

Numba's own cache keeps an index beside the code. Damage to either ends the program at every start, two processes that write at
once can take each other's place in the index, and without a directory to write nothing runs. Here a file vouches for itself:

    file = digest, code             digest of the file's name, all that the code was made from, and the code

What does not fit its digest (damaged, stale, another kernel's) counts as not there: the kernel is compiled anew and takes its
place. A directory that cannot be written is still read. What cannot be kept costs time, never a run.
"""
import contextlib
import errno
import hashlib
import inspect
import os
import pickle
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import config
from numba.core import sigutils
from numba.core.caching import _Cache, _cache_log
from numba.core.compiler import CompileResult, compile_result
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from ._library import Library

try:
    import fcntl
except ImportError:                     # Windows
    fcntl = None                        # type: ignore[assignment]

CLAIMS = "compiling.lock"
PATIENCE = 60                           # seconds that a process waits for what another compiles
_DIGEST = hashlib.sha256().digest_size


def _fingerprint() -> str:
    helpers = sorted(Path(__file__).parent.glob("_*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in helpers)).hexdigest()


FINGERPRINT = _fingerprint()            # of the helper files that kernels import, and of the flags in `_jit.py`


class KernelCache(_Cache):
    """The files of one kernel, in the first of `directories` that can be written, and in those before it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._source = Path(inspect.getfile(function)).absolute()
        self._enabled = self._source.is_file()              # a function that was typed at a prompt is not kept
        self._claimed: list[str] = []

    @property
    def cache_path(self) -> str | None:
        """The directory that is written; None if none can be."""
        places = [place for place in directories(self._source, config.CACHE_DIR) if _can_be_written(place)]
        return str(places[0]) if places else None

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Forget all that is kept of this kernel, as far as it can be written."""
        for path in Path(self.cache_path).glob(f"{self._stem()}.*.nbc") if self.cache_path else ():
            path.unlink(missing_ok=True)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for these types, or None: then it is this process' to compile, and others wait for it."""
        if not self._enabled:
            return None
        name = self._name(sig, target_context.codegen())
        found = self._load(name, target_context)
        if found is None:
            self._claim(name)
            found = self._load(name, target_context)            # another process may just have done it
        return found

    def _load(self, name: str, target_context: Any) -> Any:
        for path in self._files(name):
            code = self._read(path)
            if code is not None:
                with contextlib.suppress(Exception):        # whatever it is that does not load, compiling makes it anew
                    compiled = _remade(target_context, pickle.loads(code))
                    _cache_log("[cache] data loaded from %r", str(path))
                    return compiled
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Numba would keep a kernel now. `keep` does, when it is taken as far as it is needed."""

    def keep(self, compiled: CompileResult) -> None:
        """Keep a compiled kernel, unless its code points to what lies in this process only."""
        library = compiled.library
        library.is_new = False
        if not self._enabled or compiled.lifted or library.has_dynamic_globals:
            return
        place = self.cache_path
        if place is None:
            tried = ", ".join(map(str, directories(self._source, config.CACHE_DIR)))
            _say_once(f"no directory for compiled kernels can be written (tried {tried})")
            return
        path = Path(place) / self._name(compiled.signature.args, library.codegen)
        code = dumps(_kept(compiled))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, self._digest(path, code) + code)
            _cache_log("[cache] data saved to %r", str(path))
        except OSError as error:
            _say_once(f"compiled kernels cannot be kept in {path.parent} ({error.strerror or error})")

    def _claim(self, name: str) -> None:
        """Wait until no other process compiles this kernel. One that is stopped is not waited for without end."""
        claims, until = _claims(self.cache_path), time.monotonic() + PATIENCE
        self._claimed.append(name)
        while not _lock(claims, name) and time.monotonic() < until:
            time.sleep(0.002)

    @contextlib.contextmanager
    def claiming(self) -> Iterator[None]:
        """Behind it, what was claimed inside is everyone's again."""
        held = len(self._claimed)
        try:
            yield
        finally:
            while len(self._claimed) > held:
                _unlock(_claims(self.cache_path), self._claimed.pop())

    def is_claimed(self, sig: Any, codegen: Any) -> bool:
        """Whether another process compiles the kernel for these types now."""
        claims, name = _claims(self.cache_path), self._name(sig, codegen)
        is_free = _lock(claims, name)
        if is_free:
            _unlock(claims, name)
        return not is_free

    def _name(self, sig: Any, codegen: Any) -> str:
        """The file for these types, this function and this processor; an edited source file changes the digest instead."""
        function, types = self._function, sigutils.normalize_signature(sig)[0]
        closed_over = tuple(cell.cell_contents for cell in function.__closure__ or ())
        told_apart = repr((types, codegen.magic_tuple())).encode(), function.__code__.co_code, dumps(closed_over)
        key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in told_apart)).hexdigest()[:16]
        return f"{self._stem()}.{key}.nbc"

    def _stem(self) -> str:
        name, line = self._function.__qualname__, self._function.__code__.co_firstlineno
        version = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        return f"{self._source.stem}.{name}-{line}.{version}".replace("<", "").replace(">", "")

    def _files(self, name: str) -> Iterator[Path]:
        """Where the kernel may lie."""
        for place in directories(self._source, config.CACHE_DIR):
            yield place / name
            if _can_be_written(place):
                return

    def _read(self, path: Path) -> bytes | None:
        """The code in a file, if it is whole and fresh."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        code = content[_DIGEST:]
        return code if content[:_DIGEST] == self._digest(path, code) else None

    def _digest(self, path: Path, code: bytes) -> bytes:
        made_from = path.name, numba.__version__, FINGERPRINT, _source_digest(self._source)
        return hashlib.sha256(repr(made_from).encode() + code).digest()


@cache
def _claims(place: str | None) -> int | None:
    """A file whose bytes stand for kernels: who has locked one compiles it. Of a process that ends the system unlocks all."""
    if place is None or fcntl is None:
        return None
    try:
        return os.open(Path(place) / CLAIMS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def forget_claims() -> None:
    """For a fork, which has none."""
    _claims.cache_clear()


def _lock(claims: int | None, name: str) -> bool:
    """Whether this process has it now; as if it had, where there is no such file, or a file system that knows no locks."""
    if claims is None:
        return True
    try:
        fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte_of(name))
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _unlock(claims: int | None, name: str) -> None:
    if claims is not None:
        with contextlib.suppress(OSError):
            fcntl.lockf(claims, fcntl.LOCK_UN, 1, _byte_of(name))


def _byte_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)


def _kept(compiled: CompileResult) -> tuple[Any, ...]:
    """What `_remade` makes a compiled kernel of."""
    compiled.fndesc.typemap = compiled.fndesc.calltypes = None          # neither is needed, nor can all of them be kept
    environment = compiled.environment
    return compiled.library.kept(), compiled.fndesc, environment, environment.consts, compiled.signature, compiled.reload_init


def _remade(context: Any, kept: tuple[Any, ...]) -> CompileResult:
    """The compiled kernel that was kept, in this process.

    Its code finds by name what it needs of Numba's. If something is not there yet, all that Numba has is loaded, which takes
    longer than loading the kernels.
    """
    library, fndesc, environment, constants, signature, reload_init = kept
    environment.consts.extend(constants[len(environment.consts):])      # another kernel brought it without the wrapper's
    rtsys.initialize(context)
    if not all(map(llvm.address_of_symbol, library["needs"])):
        context.refresh()
    for make_ready in reload_init:
        make_ready()
    library = Library.remade(context.codegen(), **library)
    return compile_result(typing_context=context.typing_context, target_context=context, entry_point=library, typing_error=None,
                          type_annotation=None, signature=signature, objectmode=False, lifted=(), fndesc=fndesc,
                          library=library, call_helper=None, environment=environment, metadata=None, reload_init=reload_init)


@cache
def directories(source: Path, given: str) -> tuple[Path, ...]:
    """Where kernels of a source file may be kept: under NUMBA_CACHE_DIR if it is given, beside the source, under the home."""
    parent = f"{source.parent.name}_{hashlib.sha1(os.fsencode(source.parent)).hexdigest()}"
    home = AppDirs(appname="numba", appauthor=False).user_cache_dir
    places = [Path(given) / parent] if given else []
    places.append(source.parent / "__pycache__")
    return (*places, Path(home) / parent) if os.path.isabs(home) else tuple(places)         # "~" without a home


@cache
def _can_be_written(place: Path) -> bool:
    """Rights, read-only disks and files that stand in the way are found out by trying."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole: who reads it meanwhile sees the old one or the new one."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@cache
def _source_digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def is_kept() -> bool:
    """Whether what is compiled now is there in the next process."""
    return any(map(_can_be_written, directories(Path(__file__), config.CACHE_DIR)))


_said: list[str] = []


def _say_once(what: str) -> None:
    if not _said:
        _said.append(what)
        warnings.warn(f"{what}: every process compiles them anew. Name a directory for them in NUMBA_CACHE_DIR.",
                      RuntimeWarning, stacklevel=2)
