"""The cache of compiled kernels on disk: never stale, and of use where the package's folder is read-only.

Numba stamps a cached function with the one file that holds it, and so misses a change in what was inlined into it
from another (numba issue 1833). Here an entry carries the SHA-256 of its own module and of every module of this
package that the module imports, directly or not; so a new or changed kernel recompiles what depends on it and
nothing else. The stamp is taken when the module is imported: what is edited afterwards is not what was compiled.

Entries lie where Numba would put them: NUMBA_CACHE_DIR if that is set, else ``__pycache__`` beside the module, else
the user's cache folder. Where none can be written, kernels are compiled anew in each process.
"""

from __future__ import annotations

import ast
import glob
import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching


def cache_for(function: Callable[..., Any], stamp: str) -> Any:
    """The cache of a function whose sources have this stamp; one that keeps nothing where no folder can be written."""
    locators = [
        type(base.__name__, (_Stamped, base), {"stamp": stamp})
        for base in (
            caching.UserProvidedCacheLocator,
            caching.InTreeCacheLocator,
            caching.UserWideCacheLocator,
        )
    ]
    entries = type("_Entries", (caching.CompileResultCacheImpl,), {"_locator_classes": locators})
    try:
        return type("_SourceCache", (_SourceCache,), {"_impl_class": entries})(function)
    except RuntimeError:  # what Numba raises where no locator finds a folder
        return caching.NullCache()


def stamp_of(function: Callable[..., Any]) -> str:
    """The stamp of the sources that a function is compiled from; empty where they cannot be read."""
    try:
        return _stamp(Path(inspect.getfile(function)))
    except OSError:
        return ""


class _Stamped:
    stamp: str

    def get_source_stamp(self) -> str:
        return self.stamp

    def get_disambiguator(self) -> str:
        # In the name too, so that two versions of the sources that run at once never write the same file.
        return self.stamp[:16]


class _SourceCache(caching.FunctionCache):  # type: ignore[misc]
    """A cache that is a convenience: a damaged entry is compiled anew, and one that cannot be written is not kept."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle can raise anything
            self._remove(keep="")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            self._remove(keep=self._impl.filename_base)
            super().save_overload(sig, data)

    def _remove(self, keep: str) -> None:
        """Deletes this function's entries but those whose file name starts with ``keep``."""
        name, _, rest = self._impl.filename_base.rpartition("-")
        _, dot, python = rest.partition(".")
        for path in Path(self.cache_path).glob(f"{glob.escape(name)}-*{dot}{python}.*"):
            if not keep or not path.name.startswith(keep):
                path.unlink(missing_ok=True)


@cache
def _stamp(module: Path) -> str:
    digest = hashlib.sha256()
    for path in imports_within(module):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def imports_within(module: Path) -> tuple[Path, ...]:
    """A module of this package, by its file, and every module of it that it imports, directly or not; sorted."""
    package = _package_root(module)
    found: set[Path] = set()
    waiting = [module.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                parts = name.split(".")
                if parts[0] != package.name:
                    continue
                stem = package.joinpath(*parts[1:])
                waiting += [p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()]
    return tuple(sorted(found))


def _package_root(module: Path) -> Path:
    root = module.resolve().parent
    while (root.parent / "__init__.py").is_file():
        root = root.parent
    return root
