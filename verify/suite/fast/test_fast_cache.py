"""The cache on disk: of use, never stale, never one thing for another, and no nuisance where it cannot be kept."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

import numba
import numpy as np
import pytest
from numba.core import types
from numba.core.caching import NullCache

import fastimpl
from fastimpl import compiler, fingerprint
from fastimpl.cache import Entries
from fastimpl.fingerprint import Fingerprint, fingerprint_of
from fastimpl.jit import CONTRACT, REASSOCIATE, Kernel, _named_and_cached, inlined
from fastimpl.kernels import activations
from fastimpl.memory import shifted
from gradproof.layers import Activation
from gradproof.network import Network

SCRIPT = """
import json, pathlib
from fastimpl import evaluation
from fastimpl.kernels import activations, batches
from gradproof.layers import Activation
from gradproof.network import Network
from gradproof.vocabulary import DTYPES
network = Network((1,), (Activation("sigmoid"),))
output = evaluation.predict(network, {}, [[-1.0]]).item()
kernels = {"sigmoid": activations.sigmoid, "gather": batches.gather}
hits = {name: all([kernel.compiled(dtype).cached for dtype in DTYPES]) for name, kernel in kernels.items()}
print(json.dumps({"output": output, "home": evaluation.__file__, **hits}))
"""
RIGHT = fastimpl.predict(Network((1,), (Activation("sigmoid"),)), {}, [[-1.0]]).item()

FACTORY = """
import json, sys
from typing import Any
from fastimpl.jit import REASSOCIATE, inlined, kernel

def adding(term):
    @inlined()
    def add(x: float) -> float:
        return x + term
    return add

def make(factor, helper):
    @kernel()
    def made(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        return helper(factor * batch)
    return made

KERNELS = {"2": make(2.0, adding(0.0)), "3": make(3.0, adding(0.0)), "5": make(2.0, adding(3.0))}
said = {}
for name in sys.argv[1:]:
    compiled = KERNELS[name].compiled("float64")
    said[name] = [KERNELS[name].call("float64", None, None, None, None, None, batch=1), compiled.cached]
symbols = {KERNELS[name].compiled("float64").name for name in said}
assert len(symbols) == len(said), symbols
print(json.dumps(said))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the package, whose sources a test may change."""
    package = Path(fastimpl.__file__).parent
    shutil.copytree(package, tmp_path / "fastimpl", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def environment(home: Path, user_cache: Path | None = None) -> dict[str, str]:
    """That of a new process which finds the copy first, and keeps its entries within it."""
    cache = str(user_cache or home / "user_cache")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTHON"))}
    kept |= {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1", "HOME": cache}
    return kept | {"XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache}


def run(home: Path, user_cache: Path | None = None) -> dict[str, object]:
    """What the script says in a new process that finds the copy first."""
    command = [sys.executable, "-c", SCRIPT]
    settings = environment(home, user_cache)
    done = subprocess.run(command, capture_output=True, text=True, env=settings, cwd=home, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    assert Path(str(said.pop("home"))).is_relative_to(home)
    return said


def test_entries_are_found_again_until_something_they_depend_on_changes(home: Path) -> None:
    assert run(home) == {"output": RIGHT, "sigmoid": 0, "gather": 0}

    # A file that one of them alone imports, and a constant in it: only that one is compiled anew, and computes anew.
    source = home / "fastimpl" / "kernels" / "activations.py"
    own = "def _offset() -> float:\n    return 1.0\n"
    (home / "fastimpl" / "kernels" / "offset.py").write_text(f"from fastimpl.jit import inlined\n\n@inlined()\n{own}")
    text = source.read_text().replace(
        "\n@activation\ndef sigmoid", "\nfrom .offset import _offset\n@activation\ndef sigmoid"
    )
    before, start, after = text.partition("def sigmoid")
    source.write_text(before + start + after.replace("return value,", "return _offset(),", 1))
    assert run(home) == {"output": 1.0, "sigmoid": 0, "gather": 1}
    changed = home / "fastimpl" / "kernels" / "offset.py"
    changed.write_text(changed.read_text().replace("1.0", "2.0"))
    assert run(home) == {"output": 2.0, "sigmoid": 0, "gather": 1}

    folder = home / "fastimpl" / "kernels" / "__pycache__"
    assert len(list(folder.glob("elementwise.sigmoid-*"))) == 1, "entries of other sources are deleted"

    # Damage is not fatal: what is not whole, or not as it was written, is compiled anew, and kept.
    for number, path in enumerate(sorted(folder.glob("*.nbc"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes((b"", content[:-7], content)[number % 3])
    assert run(home) == {"output": 2.0, "sigmoid": 0, "gather": 0}
    assert run(home) == {"output": 2.0, "sigmoid": 1, "gather": 1}


def test_where_the_package_cannot_be_written_the_users_folder_serves(home: Path) -> None:
    for folder in (home / "fastimpl", home / "fastimpl" / "kernels"):
        (folder / "__pycache__").write_text("a file, so that no folder of this name can be made")
    assert run(home) == {"output": RIGHT, "sigmoid": 0, "gather": 0}
    assert run(home) == {"output": RIGHT, "sigmoid": 1, "gather": 1}
    nowhere = home / "occupied"
    nowhere.write_text("a file where the user's cache would be")
    assert run(home, nowhere) == {"output": RIGHT, "sigmoid": 0, "gather": 0}


def test_kernels_of_one_factory_are_found_again_each_as_itself(tmp_path: Path) -> None:
    """Compiled in processes of their own, where Numba would give all of them the same name, and loaded into one."""
    script = tmp_path / "factory.py"
    script.write_text(FACTORY)
    settings = environment(Path(fastimpl.__file__).parents[1], tmp_path)

    def said(*names: str) -> object:
        command = [sys.executable, str(script), *names]
        done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert said("2") == {"2": [2.0, 0]}
    assert said("3") == {"3": [3.0, 0]}
    assert said("5") == {"5": [5.0, 0]}
    assert said("2", "3", "5") == {"2": [2.0, 1], "3": [3.0, 1], "5": [5.0, 1]}


def test_two_processes_at_once_never_leave_one_dtypes_code_for_the_others(tmp_path: Path) -> None:
    """Each compiles a dtype before either has written anything, as two of a parallel test run do."""
    signatures = [types.float64(numbers) for numbers in (types.float64, types.float32)]
    one, other = (Entries(tmp_path, "some.function", Fingerprint("values", "sources")) for _ in range(2))
    dispatcher = numba.njit(_twice)
    for entries, signature in zip((one, other), signatures, strict=True):
        dispatcher.compile(signature.args)
        entries.save_overload(signature, dispatcher.overloads[signature.args])
    for entries in (one, other):
        for signature in signatures:
            assert entries.load_overload(signature, dispatcher.targetctx).signature == signature


def _twice(x: float) -> float:
    return x * 2.0


PARCEL = {
    "__init__.py": "",
    "kernel.py": "import parcel.whole as w\nfrom parcel import part\nfrom .near import near\nfrom . import sibling\n"
    "from .inner import family, NUMBER as n\nimport parcel.unread\n"
    "def function(x):\n    return w.whole(x) + part.part(x) + near(x) + sibling.LIMIT + family(x) + n\n",
    "whole.py": "def whole(x):\n    from parcel.late import late\n    return x + 0.5\n",
    "part.py": "from fastimpl.jit import inlined\nfrom parcel.below import below\n"
    "@inlined()\ndef part(x):\n    return below(x) + 0.5\n",
    "below.py": "from fastimpl.jit import inlined\n@inlined()\ndef below(x):\n    return x + 0.5\n",
    "near.py": "from .factory import make\nnear = make(0.5)\n",
    "factory.py": "def make(y):\n    def made(x):\n        return x + y + 0.5\n    return made\n",
    "sibling.py": "LIMIT = 0.5\n",
    "inner/__init__.py": "from .family import family as family\nNUMBER = 0.5\n",
    "inner/family.py": "from ..up import up\ndef family(x):\n    return up(x) + 0.5\n",
    "up.py": "def up(x):\n    return x + 0.5\n",
    "unread.py": "def unread(x):\n    return x + 0.5\n",
}


def test_a_change_is_seen_however_its_file_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def found(changed: str, before: str, after: str) -> Fingerprint:
        for name, text in PARCEL.items():
            path = tmp_path / "parcel" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace(before, after) if name == changed else text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        fingerprint._digest_of_file.cache_clear()
        return fingerprint_of(importlib.import_module("parcel.kernel").function, {})

    unchanged = found("", "", "")
    assert found("", "", "") == unchanged
    assert found("unread.py", "0.5", "0.25") == unchanged
    for name in set(PARCEL) - {"__init__.py", "unread.py", "kernel.py"}:
        assert found(name, "0.5", "0.25").values != unchanged.values, name
    for name in ("kernel.py", "part.py", "below.py", "inner/family.py", "up.py"):
        reworded = found(name, "\n", "  # another word\n")
        assert reworded.values == unchanged.values, name
        assert reworded.sources != unchanged.sources, name


def made(factor: object, helper: object = abs, times: object = 1) -> FunctionType:
    def function(x: float, by: object = times) -> object:
        return cast(Callable[..., float], helper)(x) * cast(float, factor), (lambda: (CONSTANT, SETTINGS.LIMIT))()

    return cast(FunctionType, function)


CONSTANT: Any = 1.0
SETTINGS = ModuleType("fastimpl.settings")
SETTINGS.LIMIT = 1.0  # type: ignore[attr-defined]


def adding(term: float, fastmath: frozenset[str] = CONTRACT) -> Any:
    @inlined(fastmath)
    def add(x: float) -> float:
        return x + term

    return add


def test_the_fingerprint_is_of_all_that_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    def prints() -> list[Fingerprint]:
        functions = (
            made(2.0),
            made(-0.0),
            made(0.0),
            made(2),
            made(np.float32(2)),
            made(np.arange(3)),
            made(np.arange(4)),
            made((2.0, "a")),
            made(frozenset({"a", "b"})),
            made({"a": 1}),
            made(2.0, times=2),
            made(2.0, adding(1.0)),
            made(2.0, adding(2.0)),
            made(2.0, adding(2.0, REASSOCIATE)),
            made(2.0, shifted),
            made(types.float64),
            made(types.float32),
        )
        return [*(fingerprint_of(f, {}) for f in functions), fingerprint_of(functions[0], {"fastmath": {"contract"}})]

    before = prints()
    assert len(set(before)) == len(before)
    assert prints() == before, "made anew they are the same"
    for place, name in ((sys.modules[__name__], "CONSTANT"), (SETTINGS, "LIMIT")):
        monkeypatch.setattr(place, name, 3.0)
        assert not set(prints()) & set(before), f"{name} is frozen into all of them"
        monkeypatch.undo()
    assert prints() == before


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    script = """
from fastimpl import jit, walkers
from fastimpl.fingerprint import fingerprint_of
from fastimpl.kernels import activations, batches, dense, losses
for kernel in (activations.sigmoid, dense.dense_backward, losses.categorical_from_softmax, walkers.run_once):
    print(fingerprint_of(kernel.function, {"fastmath": {"contract", "nsz", "reassoc"}}))
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(set(outputs.pop().splitlines())) == 4


def test_how_functions_are_compiled_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> set[str]:
        _, entries = _named_and_cached(cast(FunctionType, activations.sigmoid.function), {})
        return {str(entries._path(b""))}

    before = names()
    assert names() == before
    digest = fingerprint._digest_of_file
    changed = {compiler.__file__: b"other"}
    monkeypatch.setattr(fingerprint, "_digest_of_file", lambda path: changed.get(path) or digest(path))
    assert names() != before


def test_a_part_has_no_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is linked into its callers as text, with the parts that it calls, and is inlined there."""
    within = adding(0.5)

    @inlined()
    def part(x: float) -> float:
        value: float = within(x) * 3.0
        return value

    def function(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        return part(float(batch)) if batch > 0 else part(0.25)

    monkeypatch.setattr("fastimpl.jit.cache_for", lambda *given: NullCache())
    whole = Kernel(function, CONTRACT)
    assert [whole.call("float64", None, None, None, None, None, batch=n) for n in (2, 0)] == [7.5, 2.25]
    text = whole.compiled("float64").library.get_llvm_str()
    assert not re.search(r"call [^@\n]*@(?!llvm)", text), "everything is inlined"
    for made in (part, within):
        for compiled in cast(Any, made).overloads.values():
            engine = compiled.library.codegen._engine
            assert not engine.is_symbol_defined(compiled.fndesc.llvm_func_name)
    with pytest.raises(TypeError, match="part of compiled functions"):
        part(1.0)


def test_a_constant_changed_in_this_process_alone_is_not_kept_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: int) -> float:
        return CONSTANT * batch  # type: ignore[no-any-return]

    def value() -> float:
        return Kernel(kernel, CONTRACT).call("float64", None, None, None, None, None, batch=3)

    assert value() == 3.0
    monkeypatch.setitem(globals(), "CONSTANT", 2.0)
    assert value() == 6.0
    monkeypatch.undo()
    assert value() == 3.0
