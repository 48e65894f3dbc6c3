"""The cache of compiled kernels on disk: never stale, and of use where the package's folder is read-only.

Each compiled function is one file. Its name holds a digest of its sources and one of everything that decides what the
compiler makes of it: those sources, its code and the values frozen into it, its signature, the processor, the versions
of Python, Numba and LLVM, and Numba's settings (see ``fastimpl.fingerprint``). So a new or
changed kernel recompiles what depends on it and nothing else; nothing is ever looked up in an index that two processes
could write at once, and whichever of them writes an entry last writes what the other wrote. An entry begins with a
digest of the rest: one that is damaged is compiled anew.

Entries lie where Numba would put them: NUMBA_CACHE_DIR if that is set, else ``__pycache__`` beside the module, else
the user's cache folder. Where none can be written, kernels are compiled anew in each process.
"""

from __future__ import annotations

import glob
import hashlib
import inspect
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import llvmlite
import numba
from numba.core import caching, config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from fastimpl.fingerprint import Fingerprint
from gradproof.record import write

_LOCATORS: Final = (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator)

_DIGEST: Final = 32
"""Bytes of a SHA-256."""


def cache_for(function: FunctionType, fingerprint: Fingerprint) -> caching._Cache:
    """The cache of a function with this fingerprint; one that keeps nothing where no folder can be written."""
    source = inspect.getfile(function)
    for locator in _LOCATORS:
        found = locator.from_function(function, source)
        if found is not None:
            name = f"{Path(source).stem}.{function.__qualname__}".replace("<", "").replace(">", "")
            return Entries(Path(found.get_cache_path()), name, fingerprint)
    return caching.NullCache()


class Entries(caching._Cache):  # type: ignore[misc]
    """The entries of one function, one for each signature. What goes wrong with a file costs a compilation alone."""

    def __init__(self, folder: Path, name: str, fingerprint: Fingerprint) -> None:
        self._folder = folder
        self._name = name
        self._sources = fingerprint.sources[:12]
        self._key = (
            fingerprint.sources,
            fingerprint.values,
            sys.version,
            numba.__version__,
            llvmlite.__version__,
            *_settings(),
        )

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The function as it was compiled for this signature and processor; None where there is none, or a damaged."""
        target_context.refresh()
        key = self._full_key(sig, target_context.codegen())
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if content[:_DIGEST] != _seal(key, content[_DIGEST:]):
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(content[_DIGEST:]))  # noqa: S301 - our own, sealed

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps what was compiled, and removes what was compiled from other sources; does nothing where it cannot."""
        if data.library.has_dynamic_globals:  # addresses, which no other process has
            return
        key = self._full_key(sig, data.codegen)
        path = self._path(key)
        payload = dumps(data._reduce())
        with suppress(OSError):
            write(path, _seal(key, payload) + payload)
            self._remove_outdated()

    def enable(self) -> None:
        """Nothing: it is."""

    def disable(self) -> None:
        """Nothing: it is for as long as the function lives."""

    def flush(self) -> None:
        """Removes every entry of the function."""
        with suppress(OSError):
            for path in self._entries():
                path.unlink(missing_ok=True)

    def _full_key(self, sig: Any, codegen: Any) -> bytes:
        return repr((*self._key, str(sig), codegen.magic_tuple())).encode()

    def _path(self, key: bytes) -> Path:
        return self._folder / f"{self._name}-{self._sources}-{hashlib.sha256(key).hexdigest()[:20]}.nbc"

    def _entries(self) -> list[Path]:
        return list(self._folder.glob(f"{glob.escape(self._name)}-*.nbc"))

    def _remove_outdated(self) -> None:
        for path in self._entries():
            if not path.name.startswith(f"{self._name}-{self._sources}-"):
                path.unlink(missing_ok=True)


def _seal(key: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(key + payload).digest()


def _settings() -> tuple[object, ...]:
    """Numba's settings from the environment that change the code it makes."""
    return (config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT)
