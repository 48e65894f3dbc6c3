"""What is said of each hostile target, that the run goes on after it, and that the documentation says the same."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

import verify.isolation
from gradproof.case import Case
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from verify.calling import Answer, NoAnswer
from verify.isolation.isolated import Apart
from verify.isolation.process import Limits
from verify.subjects.networks import SUBJECT
from verify.suite.isolation import hostile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process of its own needs os.fork")

DOCUMENTED = Path(verify.isolation.__file__).with_name("README.md")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<harm>.*) \| (?P<finding>.*) \|$", re.MULTILINE)
SLOW = ("loops_without_end", "loops_in_compiled_code", "waits_for_itself", "ignores_signals", "prints_without_end")
"""Those that give no answer within any limit."""
NEXT = ("replaces_functions_of_numpy", "replaces_the_judge")
"""Those whose harm shows in the next answer, which is what is documented."""
LONGEST = 130
"""Characters of a finding that are documented."""
LIMITS = {"hasty": Limits(0.4, 1 << 30), "patient": Limits(60.0, 600 << 20)}


def case_of(batch: int, *tags: str) -> Case:
    network = Network((2,), (Dense(2), Activation("identity")), Loss("half_squared_error", "sum"))
    parameters = {name: np.full(shape, 0.5) for name, shape in network.parameter_shapes.items()}
    inputs = np.arange(2.0 * batch).reshape(batch, 2)
    return Case(network, parameters, inputs, targets=np.full((batch, 2), 3.0), tags=tags)


@pytest.fixture(scope="module")
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(hostile.__file__, folder / "hostile.py")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with Apart("hostile.py:chosen", LIMITS[request.param]) as process:
            process.declaration()
            renew(process)
            yield process
    finally:
        os.chdir(before)


def said(outcome: Answer | NoAnswer) -> str:
    """What is documented: no line numbers, and the numbers of bytes and seconds as they are."""
    if isinstance(outcome, Answer):
        return "none: it is judged by its numbers"
    finding = outcome.findings[0]
    text = re.sub(r" \([\w.]+:\d+ in \w+\)", "", f"{finding.verdict}: {finding.message}")
    text = re.sub(r"[\d.]+ (MiB|GiB) of memory", "… of memory", text).replace("\x1b", "\\x1b")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def documented() -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["harm"], row["finding"]) for row in ROW.finditer(DOCUMENTED.read_text("utf-8"))}


def test_every_hostile_target_is_documented() -> None:
    assert {name: harm.__doc__ for name, harm in hostile.HARMS.items()} == {
        name: harm for name, (harm, _) in documented().items()
    }


@pytest.mark.parametrize(
    ("apart", "name"),
    sorted(("hasty" if name in SLOW else "patient", name) for name in hostile.HARMS),
    indirect=["apart"],
)
def test_a_hostile_target_is_a_finding_and_the_run_goes_on(apart: Apart, name: str) -> None:
    Path(".gradproof").mkdir(exist_ok=True)
    assert said(asked(apart, name)) == documented()[name][1]
    if name == "leaves_a_process":
        left = Path("left.pid")
        wait_until(left.exists)
        number = int(left.read_text())
        assert psutil.pid_exists(number)
    renew(apart)
    if name == "leaves_a_process":
        assert not psutil.pid_exists(number)


def asked(apart: Apart, name: str) -> Answer | NoAnswer:
    """What comes of one hostile target; a case after it is answered."""
    outcome = apart.call(SUBJECT, case_of(3, name))
    after = apart.call(SUBJECT, case_of(1))
    if name in NEXT:
        return after
    assert isinstance(after, Answer)
    return outcome


def renew(apart: Apart) -> None:
    """A process that nothing has been done to, and that has answered once."""
    apart.renew()
    assert isinstance(apart.call(SUBJECT, case_of(1)), Answer)


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.01)
