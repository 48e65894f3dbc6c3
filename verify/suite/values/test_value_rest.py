"""Declarations, verdicts, errors, records on disk, and the door that loads nothing heavy."""

# What is refused has a type that the checker refuses too.
# mypy: disable-error-code="arg-type, misc, index, union-attr"

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradproof
from gradproof import ArgumentError, GradproofError, NetworkError, Supports, Verdict
from gradproof.declaration import SUPPORTS_ATTRIBUTE
from gradproof.errors import RecordError
from gradproof.record import CheckRecord, Figure, FiguresRecord, decode, encode, machine, write
from gradproof.target import PENALTY_FORMS, target
from gradproof.verdict import EXIT_CODES, PRECEDENCE, overall
from gradproof.vocabulary import ACTIVATIONS, LOSSES

HEAVY = (
    "sympy",
    "numba",
    "hypothesis",
    "scipy",
    "flint",
    "llvmlite",
    "jinja2",
    "pytest",
    "verify",
    "refimpl",
    "fastimpl",
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": ()}, "supports.losses: expected at least one, got none"),
        ({"losses": "mse/sum"}, "loss.name: expected a loss among .* got mse"),
        ({"losses": "squared_error"}, "loss: expected name/reduction"),
        ({"losses": 3}, "supports.losses: expected a word or several, got 3"),
        ({"hidden": "swash"}, "supports.hidden: expected among identity, .* got swash"),
        ({"hidden": None}, "supports.hidden: expected a word or several, got None"),
        ({"hidden": ()}, "supports.hidden: expected at least one for a depth above 1, got none"),
        ({"output": ()}, "supports.output: expected at least one, got none"),
        ({"output": ("relu", "swash")}, "supports.output: .* got swash"),
        ({"uniform": True, "hidden": "tanh", "output": "relu"}, "supports.uniform: expected an activation in both"),
        ({"depth": (2, 1)}, "supports.depth: expected 1 <= least <= most"),
        ({"depth": (0, 1)}, "supports.depth: expected 1 <= least <= most"),
        ({"depth": 3}, r"supports.depth: expected a range \(least, most\), got 3"),
        ({"width": (1, 2, 3)}, r"supports.width: expected a range \(least, most\)"),
        ({"outputs": (0, 1)}, "supports.outputs: expected 1 <= least <= most"),
        ({"outputs": 1}, r"supports.outputs: expected a range \(least, most\), got 1"),
        ({"batch": (1, 2.5)}, "supports.batch: expected a whole number, got 2.5"),
        ({"bias": "sometimes"}, "supports.bias: expected among always, never, either, got sometimes"),
        ({"penalties": "l3"}, "supports.penalties: expected among l1, .* got l3"),
        ({"dtypes": "float16"}, "supports.dtypes: expected among float64, float32, got float16"),
        ({"dtypes": ()}, "supports.dtypes: expected at least one, got none"),
    ],
)
def test_impossible_declarations_are_refused(arguments: Any, message: Any) -> None:
    with pytest.raises(ArgumentError, match=message):
        Supports(**{"losses": "squared_error/sum", **arguments})


@pytest.mark.parametrize(
    ("decorator", "keywords", "message"),
    [
        (gradproof.target, {"loss": "squared_error/sum"}, "@gradproof.target: .* got 'loss'; did you mean 'losses'"),
        (gradproof.target, {"depth": (1, 2)}, "@gradproof.target: expected the keyword losses, got none"),
        (gradproof.operation, {"layout": "fortran"}, "@gradproof.operation: .*; did you mean 'layouts'"),
        (gradproof.steps, {"schedule": "constant"}, "@gradproof.steps: .*; did you mean 'schedules'"),
        (gradproof.engine, {"scalar": True}, "@gradproof.engine: expected the keyword operators, got none"),
        (gradproof.target, {"losses": "mse"}, "loss: expected name/reduction .half_squared_error, .* got mse"),
    ],
)
def test_a_decorator_says_which_keywords_it_takes(decorator: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        decorator(**keywords)


def test_a_single_word_stands_for_a_list_of_one() -> None:
    supports = Supports(losses="upstream", hidden="relu", output="tanh", penalties="l2", dtypes="float32", depth=[1, 2])
    assert Supports(losses="upstream", outputs=[1, 2]).outputs == (1, 2)
    assert supports.losses == ("upstream",)
    assert (supports.hidden, supports.output, supports.penalties) == (("relu",), ("tanh",), ("l2",))
    assert supports.dtypes == ("float32",)
    assert supports.depth == (1, 2)
    assert hash(supports) == hash(msgspec.structs.replace(supports))


def test_penalty_forms() -> None:
    assert set(PENALTY_FORMS) == {
        "l1", "l1+biases", "l1/half", "l1/half+biases", "l2", "l2+biases", "l2/half", "l2/half+biases"
    }  # fmt: skip


def test_a_declaration_stays_with_its_implementation() -> None:
    @target(losses="squared_error/sum")
    def implementation(case: Any) -> Any:
        return case

    @target(losses="upstream")
    class Other:
        pass

    assert implementation(3) == 3
    assert getattr(implementation, SUPPORTS_ATTRIBUTE).losses == ("squared_error/sum",)
    assert getattr(Other, SUPPORTS_ATTRIBUTE).losses == ("upstream",)


@given(st.lists(st.sampled_from(list(Verdict))))
def test_the_verdict_of_a_run_is_its_gravest(verdicts: Any) -> None:
    found = overall(verdicts)
    assert found is Verdict.CORRECT if not verdicts else found in verdicts
    assert all(PRECEDENCE.index(found) <= PRECEDENCE.index(verdict) for verdict in verdicts)


def test_exit_codes_follow_the_precedence() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    codes = [code for code, _ in itertools.groupby(EXIT_CODES[verdict] for verdict in PRECEDENCE)]
    assert codes == [1, 3, 6, 4, 0]


def test_every_error_names_its_parts() -> None:
    error = ArgumentError("batch", "at least 1", 0)
    assert str(error) == "batch: expected at least 1, got 0"
    assert (error.argument, error.expected, error.got) == ("batch", "at least 1", "0")
    assert issubclass(NetworkError, ArgumentError)
    assert issubclass(ArgumentError, GradproofError)
    assert issubclass(ArgumentError, ValueError)


def test_the_vocabulary_is_whole() -> None:
    for word in (*ACTIVATIONS.values(), *LOSSES.values()):
        assert hash(word) == hash(msgspec.structs.replace(word))
    assert all(ACTIVATIONS[name].kinks == () for name in ACTIVATIONS if ACTIVATIONS[name].analytic)
    with pytest.raises(TypeError):
        ACTIVATIONS["new"] = ACTIVATIONS["tanh"]


# ---- records ----


def figures(note: str = "") -> FiguresRecord:
    figure = Figure("step", 1.5, "ratio", None, None, {"numpy": 2.0}, "python -m benchmarks figures step", note)
    return FiguresRecord((figure,), "2026-01-01T00:00:00+00:00", machine(("numpy", "no-such-package")), "0.1.0")


@given(st.text())
def test_records_survive_their_file(note: Any) -> None:
    record = figures(note)
    assert decode(encode(record)) == record
    assert decode(encode(record), FiguresRecord) == record


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"schema":"gradproof.check/99"}', b"cos\nsystem\n"]
)
def test_other_files_are_refused(data: Any) -> None:
    with pytest.raises(RecordError, match="not a record of this version of gradproof"):
        decode(data)


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(RecordError):
        decode(encode(figures()), CheckRecord)


def test_machine_names_what_is_installed() -> None:
    assert set(machine(("numpy", "no-such-package")).packages) == {"numpy"}


def test_files_are_written_whole_into_new_folders(tmp_path: Any) -> None:
    path = tmp_path / "a" / "b.json"
    write(path, b"one")
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["b.json"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_files_are_as_readable_as_others(tmp_path: Any) -> None:
    (tmp_path / "other").write_bytes(b"")
    write(tmp_path / "mine", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "mine")}
    assert len(modes) == 1


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Any, monkeypatch: Any, where: Any
) -> None:
    path = tmp_path / "record.json"
    write(path, b"old")

    def stop(*arguments: Any) -> None:
        raise Stopped

    owner = os if where == "fsync" else Path
    monkeypatch.setattr(owner, where, stop)
    with pytest.raises(Stopped):
        write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_killed_write_leaves_the_old_file(tmp_path: Any, where: Any) -> None:
    path = tmp_path / "record.json"
    write(path, b"old")
    owner = "os" if where == "fsync" else "pathlib.Path"
    script = (
        "import os, pathlib, signal, sys\n"
        "from gradproof.record import write\n"
        f"{owner}.{where} = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write(pathlib.Path(sys.argv[1]), b'new' * 100000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode != 0
    assert path.read_bytes() == b"old"


# ---- the door ----


def modules_after(*arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running these arguments."""
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *{name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + "\n".join(arguments)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_importing_gradproof_loads_nothing_heavy() -> None:
    values = "gradproof.Case, gradproof.Network, gradproof.Supports, gradproof.Verdict, gradproof.target"
    assert modules_after("import gradproof").isdisjoint((*HEAVY, "numpy"))
    assert modules_after("import gradproof", values).isdisjoint(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    loaded = modules_after("import gradproof.cli", "sys.argv = ['gradproof', '--help']", "gradproof.cli.main()")
    assert "gradproof" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_door_is_complete() -> None:
    assert set(dir(gradproof)) == set(gradproof.__all__)
    for name in gradproof.__all__:
        assert getattr(gradproof, name) is not None
    for name in set(gradproof.__all__) - {"__version__"}:
        value = getattr(gradproof, name)
        assert value.__name__.removeprefix("gradproof.") == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gradproof.nothing


def test_importing_any_module_first_leaves_the_door_intact() -> None:
    script = "import gradproof.target, gradproof.case; import gradproof; assert callable(gradproof.target); print('ok')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "ok\n"
