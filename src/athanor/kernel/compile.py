"""The decorator that turns a loop into a kernel, and the disk cache behind it.

A kernel lives in a module named ``kernels.py`` or ``*_kernels.py``::

    from athanor.kernel.compile import kernel
    from athanor.kernel.types import I64, RI64, i64

    @kernel(i64(RI64, i64, I64))
    def delta_decode(deltas, first, out):
        ...

Importing the module compiles each kernel once, or loads it from the cache; a kernel is a Numba dispatcher, so kernels
call each other freely, across modules too. Nothing is compiled for other types afterwards: a wrong type is an error.
Small helpers that have no life of their own are plain ``@inline`` functions, compiled into their callers.

The cache is one directory for each kernel module below ``cache_root()``, named by ``module_key``: a hash of the
module's source, of the kernel modules that it imports (transitively), of the versions of Python, Numba, llvmlite
and NumPy, of the CPU target and of bounds checking. Numba's own key misses the callees and the bounds-check switch.

Environment: ATHANOR_KERNEL_CACHE (directory; default ``$XDG_CACHE_HOME/athanor/kernels``), ATHANOR_BOUNDSCHECK=1
(kernels check every index; a cache of their own), NUMBA_CPU_NAME (for example ``x86-64-v3`` when an image is built).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import FunctionCache, _CacheLocator

from athanor.model.errors import OperatorError

BOUNDSCHECK = os.environ.get("ATHANOR_BOUNDSCHECK", "") == "1"
COMPLETE = "complete"  # this file marks a directory whose kernels have all been written


def cache_root() -> Path:
    """Where compiled kernels live; it belongs to the user and is closed to others, because it holds pickles."""
    configured = os.environ.get("ATHANOR_KERNEL_CACHE")
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "athanor" / "kernels"


def is_kernel_module(name: str) -> bool:
    last = name.rpartition(".")[2]
    return name.startswith("athanor.") and (last == "kernels" or last.endswith("_kernels"))


def module_path(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise AssertionError(f"BUG: kernel module {name} has no source file")
    return Path(spec.origin)


def _imported_names(source: bytes, importer: str) -> Iterator[str]:
    """Modules named by the import statements of a source: absolute imports only, as the house style asks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"BUG: {importer} uses a relative import; kernel modules import absolutely")
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def kernel_imports(name: str) -> tuple[str, ...]:
    """Kernel modules that a kernel module imports directly, sorted."""
    source = module_path(name).read_bytes()
    return tuple(sorted({n for n in _imported_names(source, name) if is_kernel_module(n)}))


def transitive_imports(name: str) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    pending = [name]
    while pending:
        for found in kernel_imports(pending.pop()):
            if found not in seen:
                seen[found] = None
                pending.append(found)
    return tuple(sorted(seen))


def cpu_target() -> str:
    name = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten() if name != "generic" else ""
    return f"{name} {features}"


@functools.cache
def module_key(name: str) -> str:
    """The name of the module's cache directory: dotted name and 16 hex digits."""
    digest = hashlib.sha256()
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__, cpu_target(), str(BOUNDSCHECK))
    for part in versions:
        digest.update(part.encode() + b"\0")
    digest.update(Path(__file__).read_bytes())
    for source in (name, *transitive_imports(name)):
        digest.update(source.encode() + b"\0" + module_path(source).read_bytes() + b"\0")
    return f"{name}-{digest.hexdigest()[:16]}"


def module_dir(name: str) -> Path:
    return cache_root() / module_key(name)


def is_warm(name: str) -> bool:
    """Whether every kernel of the module can be loaded without compiling."""
    return (module_dir(name) / COMPLETE).exists()


def _ensure_private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    root = cache_root()
    status = root.stat()
    if status.st_uid != os.getuid():
        raise OperatorError(
            f"kernel cache {root} belongs to user {status.st_uid}, not to {os.getuid()}: it holds code, "
            "so it must be ours; set ATHANOR_KERNEL_CACHE to a directory of your own"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        root.chmod(0o700)


class _ModuleLocator(_CacheLocator):  # type: ignore[misc]
    """Puts all kernels of one module into the directory named by its key; the key is the only stamp."""

    def __init__(self, module: str) -> None:
        self._module = module

    def get_cache_path(self) -> str:
        return str(module_dir(self._module))

    def get_source_stamp(self) -> str:
        return module_key(self._module)

    def get_disambiguator(self) -> str:
        return "kernel"

    def ensure_cache_path(self) -> None:
        _ensure_private(module_dir(self._module))

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _ModuleLocator:
        return cls(py_func.__module__)


class _KernelCacheImpl(FunctionCache._impl_class):  # type: ignore[misc,valid-type]
    _locator_classes = [_ModuleLocator]


class _KernelCache(FunctionCache):
    _impl_class = _KernelCacheImpl


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": BOUNDSCHECK}
_forbidden = False


def forbid_compiling() -> None:
    """From here on a kernel module that is not warm cannot be imported: servers never stall to compile."""
    global _forbidden
    _forbidden = True


@functools.cache
def _require_warm(module: str) -> None:
    if is_kernel_module(module) and not is_warm(module):
        raise AssertionError(f"BUG: the kernels of {module} are not compiled, and a server does not compile")


def kernel(*signatures: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile, or load, a loop for exactly these signatures; see the module's docstring."""
    return _kernel(signatures, _OPTIONS)


def short_kernel(*signatures: Any) -> Callable[[Callable[..., Any]], Any]:
    """A kernel that keeps the interpreter's lock: for work that a tile or a frame bounds well below a millisecond.

    Giving the lock up costs a wait for it afterwards, milliseconds beside a busy Python thread.
    """
    return _kernel(signatures, {**_OPTIONS, "nogil": False})


def _kernel(signatures: tuple[Any, ...], options: dict[str, Any]) -> Callable[[Callable[..., Any]], Any]:

    def decorate(function: Callable[..., Any]) -> Any:
        module = function.__module__
        if _forbidden:
            _require_warm(module)
        dispatcher = numba.njit(**options)(function)
        if is_kernel_module(module):
            dispatcher._cache = _KernelCache(function)  # type: ignore[no-untyped-call]
        function.__globals__[function.__name__] = dispatcher  # so that a kernel can call itself
        for signature in signatures:
            dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return decorate


def inline(function: Callable[..., Any]) -> Any:
    """A helper that is compiled into each kernel that calls it, never called from Python, never cached alone."""
    return numba.njit(inline="never", **_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """The same, and the compiler is given no choice: for the innermost helpers of a hot loop. A call hands on every
    array in seven words, which can cost more than the helper itself; but each place of use is compiled again."""
    return numba.njit(inline="never", forceinline=True, **_OPTIONS)(function)


def mark_complete(name: str) -> None:
    """Called after a module was imported without error: its directory can be trusted by servers."""
    directory = module_dir(name)
    if directory.exists():
        (directory / COMPLETE).touch()
