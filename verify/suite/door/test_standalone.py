"""The script beside a kept case: it shows the failure where there is NumPy and no gradproof."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.expressions import Node, Operation
from gradproof.graph import Graph
from gradproof.optimiser import Optimiser
from gradproof.record import CaseRecord, Failure, decode, encode
from gradproof.run import Run
from gradproof.verdict import Finding, Verdict
from verify import campaign
from verify.keeping import CASES
from verify.standalone import standalone
from verify.suite.door.folders import Folder


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**campaign.PROFILES, "smoke": 12})


@pytest.fixture(scope="module")
def numpy_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from that has NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("numpy_alone")
    installed = Path(np.__file__).resolve().parents[1]
    for name in ("numpy", "numpy.libs"):
        if (installed / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder


def alone(numpy_alone: Path, script: Path, cwd: Path) -> Any:
    """Runs a script where gradproof cannot be imported."""
    environment = {"PYTHONPATH": str(numpy_alone), "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", str(script)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def check(target: str) -> Failure:
    """The first failure, as it is kept."""
    from gradproof.record import CheckRecord

    result = CliRunner().invoke(main, ["check", target, "--profile", "smoke", "--format", "json"])
    return decode(result.stdout_bytes, CheckRecord).failures[0]


def test_a_failure_is_shown_without_gradproof_and_gone_when_it_is_mended(folder: Folder, numpy_alone: Path) -> None:
    failure = check("net.py:wrong")
    script = Path(".gradproof", CASES, f"{failure.case_id}.py")
    assert failure.script == f"python {script}"
    result = alone(numpy_alone, script.absolute(), folder.path)
    assert result.returncode == 1, result.stderr
    finding = failure.findings[0]
    assert f"got     {finding.got}" in result.stdout
    assert f"exact   {finding.exact}" in result.stdout
    assert f"more than the {finding.allowed}" in result.stdout
    elsewhere = alone(numpy_alone, script.absolute(), folder.path.parent)
    assert elsewhere.stdout == result.stdout

    text = (folder.path / "net.py").read_text()
    folder.write("net.py", text.replace("sigmoid(a) * (1 - sigmoid(a))", "a * (1 - a)"))
    mended = alone(numpy_alone, script.absolute(), folder.path)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "no more than" in mended.stdout


def test_a_crash_comes_again(folder: Folder, numpy_alone: Path) -> None:
    failure = check(folder.target("broken", "raise OSError('no disk')"))
    result = alone(numpy_alone, Path(".gradproof", CASES, f"{failure.case_id}.py").absolute(), folder.path)
    assert result.returncode == 1
    assert "OSError: no disk" in result.stderr
    assert 'bad.py", line 4, in broken' in result.stderr


def test_a_target_that_needs_more_of_gradproof_says_what_to_install(folder: Folder, numpy_alone: Path) -> None:
    failure = check(folder.target("needs", "gradproof.Network; return net.wrong(case)"))
    result = alone(numpy_alone, Path(".gradproof", CASES, f"{failure.case_id}.py").absolute(), folder.path)
    assert "the target uses gradproof.Network: install gradproof 0." in result.stderr


def test_nothing_of_others_is_run_or_unpickled(folder: Folder, tmp_path: Path) -> None:
    hostile = "'''\"\"\"\n__import__('os').remove('net.py')\n# gradproof:case\n"
    failure = check("net.py:wrong")
    kept = decode(Path(".gradproof", CASES, f"{failure.case_id}.json").read_bytes(), CaseRecord)
    from gradproof.cases import from_data

    finding = Finding(Verdict.WRONG, hostile, hostile, index=(0,), got=hostile, exact=hostile, allowed=hostile)
    changed = Failure(Verdict.WRONG, hostile, kept.case, hostile, (finding,), hostile, 1)
    made = standalone("net.py:wrong", from_data(kept.case), changed, hostile)
    assert made is not None
    compile(made.script, "script", "exec")
    assert "\n__import__" not in made.script
    (tmp_path / "one.npz").write_bytes(made.arrays)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype == np.uint8 for name in arrays.files)
    assert standalone("net.py:outer.<locals>.wrong", from_data(kept.case), changed, "0") is None


class _Asked:
    """A case whose target is called with arrays that lie oddly in memory."""

    id = "0" * 12
    dtype = "float32"
    tags = ()
    parameters: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, **arrays: Any) -> None:
        self.given = arrays

    def arguments(self) -> _Asked:
        return self

    def positional(self) -> tuple[Any, ...]:
        return tuple(self.given.values())

    def named(self) -> dict[str, Any]:
        return {"into": {"inputs": np.full(2, 3.0)}, "slope": 0.1}

    def facts(self) -> str:
        return "float32"

    def text(self) -> str:
        return "strided"


def test_arrays_lie_as_they_lay(numpy_alone: Path, tmp_path: Path) -> None:
    wide = np.arange(24, dtype=np.float32).reshape(4, 6)
    frozen = wide[:, ::2].T
    frozen.setflags(write=False)
    case: Any = _Asked(
        turned=frozen,
        backwards=wide[::-1],
        spread=np.broadcast_to(wide[0], (3, 6)),
        none=np.empty((0, 2)),
        one=wide[1, 2],
    )
    failure = Failure(Verdict.WRONG, "strided", None, case.id, (), "", 1)  # type: ignore[arg-type]
    made = standalone("odd.py:function", case, failure, "0.1.0")
    assert made is not None
    (tmp_path / "odd.py").write_text(
        "def function(turned, backwards, spread, none, one, into, slope):\n"
        "    for a in (turned, backwards, spread, none):\n"
        "        print(a.tolist(), a.dtype, a.shape, a.strides, a.flags.writeable)\n"
        "    print(one, into['inputs'].tolist(), slope)\n"
    )
    (tmp_path / "script.py").write_text(made.script)
    (tmp_path / "script.npz").write_bytes(made.arrays)
    result = alone(numpy_alone, tmp_path / "script.py", tmp_path)
    assert result.returncode == 0, result.stderr
    shown = result.stdout.split("strided\n")[-1].strip().splitlines()
    for line, array in zip(shown, list(case.positional())[:4], strict=False):
        assert line == f"{array.tolist()} {array.dtype} {array.shape} {array.strides} {array.flags.writeable}"
    assert shown[4] == "8.0 [3.0, 3.0] 0.1"


def test_the_verdict_on_a_case_of_another_version(folder: Folder) -> None:
    failure = check("net.py:wrong")
    file = Path(".gradproof", CASES, f"{failure.case_id}.json")
    kept = decode(file.read_bytes(), CaseRecord)
    old = encode(kept).replace(f'"gradproof": "{kept.gradproof}"'.encode(), b'"gradproof": "0.0.1"')
    file.write_bytes(old)
    result = CliRunner().invoke(main, ["replay", failure.case_id])
    assert result.exit_code == 1
    assert f"version 0.0.1 kept this case, the verdict is that of version {kept.gradproof}" in result.stderr
    assert "keep it anew with gradproof check net.py:wrong" in result.stderr
    file.write_bytes(old.replace(b"gradproof.case/1", b"gradproof.case/0"))
    result = CliRunner().invoke(main, ["replay", failure.case_id])
    assert result.exit_code == 2
    for said in (
        f"{file}: version 0.0.1 of gradproof kept this case, in a form that version {kept.gradproof} cannot read",
        "gradproof check net.py:wrong",
        "install gradproof 0.0.1",
        f"python {file.with_suffix('.py')}, which needs no gradproof",
    ):
        assert said in result.stderr


ENGINE = """
import gradproof


class Value:
    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents = data, 0.0, parents

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other))

    def backward(self):
        one, other = self.parents
        one.grad += other.data
        other.grad += 1.0


adapter = gradproof.engine(Value, scalar=True, operators="*")
"""


def test_a_graph_runs_as_a_program_of_the_engine(numpy_alone: Path, tmp_path: Path) -> None:
    case = Graph([[2.0, 3.0]], [Operation("*", (Node(0), Node(1)))], scalar=True)
    finding = Finding(Verdict.WRONG, "b.grad", "b.grad is wrong", got="1.0", exact="2.0000", allowed="0")
    failure = Failure(Verdict.WRONG, "b.grad is wrong", None, case.id, (finding,), "", 1)  # type: ignore[arg-type]
    made = standalone("engine.py:adapter", case, failure, "0.1.0")
    assert made is not None
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "script.py").write_text(made.script)
    (tmp_path / "script.npz").write_bytes(made.arrays)
    result = alone(numpy_alone, tmp_path / "script.py", tmp_path)
    assert result.returncode == 1, result.stderr
    assert "b.grad = 1.0" in result.stdout
    assert "error   1, more than the 0" in result.stdout
    (tmp_path / "engine.py").write_text(ENGINE.replace("+= 1.0", "+= one.data"))
    assert alone(numpy_alone, tmp_path / "script.py", tmp_path).returncode == 0


OPTIMISER = """
import numpy as np
import gradproof


@gradproof.steps("momentum")
def adapter(run):
    w = {name: array.copy() for name, array in run.parameters.items()}
    v = {name: np.zeros_like(array) for name, array in w.items()}
    for gradients in run.gradients:
        for name in w:
            v[name] = run.optimiser.momentum * v[name] + gradients[name]
            w[name] -= run.optimiser.rate * RATE * v[name]
        yield w, {"velocity": v}
"""


def test_the_steps_of_an_optimiser_are_taken_again(numpy_alone: Path, tmp_path: Path) -> None:
    run = Run(Optimiser("momentum", rate=0.5, momentum=0.5), {"w": [1.0]}, ({"w": [1.0]}, {"w": [1.0]}))
    findings = tuple(
        Finding(Verdict.WRONG, quantity, f"{quantity} is wrong", index=(0,), got="0", exact=exact, allowed="1e-15")
        for quantity, exact in {"w after step 1": "0.5", "w after step 2": "[-0.25, -0.2]"}.items()
    )
    failure = Failure(Verdict.WRONG, "at step 1, w is wrong", None, run.id, findings, "", 1)  # type: ignore[arg-type]
    made = standalone("opt.py:adapter", run, failure, "0.1.0")
    assert made is not None
    (tmp_path / "script.py").write_text(made.script)
    (tmp_path / "script.npz").write_bytes(made.arrays)
    (tmp_path / "opt.py").write_text(OPTIMISER.replace("RATE", "2.0"))
    result = alone(numpy_alone, tmp_path / "script.py", tmp_path)
    assert result.returncode == 1, result.stderr
    assert "got     0.0\n  exact   0.5\n  error   0.5, more than" in result.stdout
    (tmp_path / "opt.py").write_text(OPTIMISER.replace("RATE", "1.0"))
    assert alone(numpy_alone, tmp_path / "script.py", tmp_path).returncode == 0
