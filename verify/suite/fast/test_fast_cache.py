"""The cache on disk: of use, never stale, and no nuisance where it cannot be kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastimpl
from gradproof.layers import Activation
from gradproof.network import Network

SCRIPT = """
import json
from fastimpl import cache, evaluation
from fastimpl.kernels import activations, batches
from gradproof.layers import Activation
from gradproof.network import Network
network = Network((1,), (Activation("sigmoid"),))
output = evaluation.predict(network, {}, [[-1.0]]).item()
kernels = {"sigmoid": activations.sigmoid, "gather": batches.gather}
hits = {name: kernel.compiled("float64").cache_hits for name, kernel in kernels.items()}
print(json.dumps({"output": output, "home": evaluation.__file__, **hits}))
"""
RIGHT = fastimpl.predict(Network((1,), (Activation("sigmoid"),)), {}, [[-1.0]]).item()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the package, whose sources a test may change."""
    package = Path(fastimpl.__file__).parent
    shutil.copytree(package, tmp_path / "fastimpl", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(home: Path, user_cache: Path | None = None) -> dict[str, object]:
    """What the script says in a new process that finds the copy first."""
    cache = user_cache or home / "user_cache"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTHON"))}
    environment |= {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(cache)}
    environment |= {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    assert Path(str(said.pop("home"))).is_relative_to(home)
    return said


def test_entries_are_found_again_until_something_they_depend_on_changes(home: Path) -> None:
    assert run(home) == {"output": RIGHT, "sigmoid": 0, "gather": 0}
    assert run(home) == {"output": RIGHT, "sigmoid": 1, "gather": 1}

    # A constant of another file, inlined into one kernel: only that one is compiled anew, and it computes anew.
    elementary = home / "fastimpl" / "elementary.py"
    elementary.write_text(elementary.read_text().replace("q = q * r + 0.5", "q = q * r + 0.25"))
    changed = run(home)
    assert changed["output"] != RIGHT
    assert (changed["sigmoid"], changed["gather"]) == (0, 1)

    entries = list((home / "fastimpl" / "kernels" / "__pycache__").glob("activations.sigmoid-*.nbi"))
    assert len(entries) == 1, "entries of other sources are deleted"

    # Damage is not fatal: what cannot be read is compiled anew, and kept.
    for path in (home / "fastimpl" / "kernels" / "__pycache__").glob("*.nb[ic]"):
        path.write_bytes(path.read_bytes()[:-7] if path.suffix == ".nbc" else b"")
    assert run(home) == changed | {"sigmoid": 0, "gather": 0}
    assert run(home) == changed | {"sigmoid": 1, "gather": 1}


def test_where_the_package_cannot_be_written_the_users_folder_serves(home: Path) -> None:
    for folder in (home / "fastimpl", home / "fastimpl" / "kernels"):
        (folder / "__pycache__").write_text("a file, so that no folder of this name can be made")
    assert run(home) == {"output": RIGHT, "sigmoid": 0, "gather": 0}
    assert run(home) == {"output": RIGHT, "sigmoid": 1, "gather": 1}
    nowhere = home / "occupied"
    nowhere.write_text("a file where the user's cache would be")
    assert run(home, nowhere) == {"output": RIGHT, "sigmoid": 0, "gather": 0}
