"""``gradproof init`` writes adapters that run as they are where everything could be told, and says what could not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from asking import verdicts  # type: ignore[import-not-found,unused-ignore]
from click.testing import CliRunner

from gradproof import ArgumentError, Verdict
from gradproof.cli import main
from verify.adapters.init import Written, init
from verify.loading import TargetError, load

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[2] / "examples"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for file in (*(HERE / "networks_met").glob("*.py"), *EXAMPLES.glob("numpy_*.py")):
        shutil.copy(file, tmp_path)
    shutil.copytree(EXAMPLES / "styles" / "networks", tmp_path / "networks")
    return tmp_path


def found(written: Written, count: int = 12) -> set[Verdict]:
    return set(verdicts(load(written.target), count))


WHOLE = {
    "numbered.py:TrainsOnly": ["training_step", "half_squared_error/sum", '"tanh"', '"row"', '"rows"', "(2, 2)"],
    "numbered.py:Dicts": ["plain", "binary_cross_entropy/batch_mean", '"relu"', '"column"', '"columns"'],
    "numbered.py:OneSample": [
        "plain",
        "binary_cross_entropy/sum",
        '"sigmoid"',
        '"out_in"',
        "db, dW = network.backprop",
    ],
    "numpy_network.py:NeuralNetwork": ["half_squared_error/batch_mean", "network.cost(net.targets)"],
    "networks.attributes:Network": ["network.grad_weights", "network.grad_biases"],
}


@pytest.mark.parametrize("target", WHOLE)
def test_where_all_is_told_the_adapter_runs_as_it_is(target: str, place: Path) -> None:
    written = init(target)
    text = written.path.read_text(encoding="utf-8")
    assert all(word in text for word in WHOLE[target])
    assert written.open == ()
    assert "CONFIRM:" not in text
    assert found(written) == {Verdict.CORRECT}


def test_a_wrong_gradient_leaves_the_loss_to_be_confirmed(place: Path) -> None:
    written = init("numpy_network_wrong.py:NeuralNetwork")
    assert [line.partition(":")[0] for line in written.open] == ['losses="half_squared_error/batch_mean"']
    assert Verdict.WRONG in found(written)


@pytest.mark.parametrize(
    ("target", "module", "told"),
    [
        ("networks.torch_networks:Perceptron", "torch", ['hidden="tanh"', "module = Perceptron(net.widths)"]),
        ("networks.jax_networks:mse", "jax", ['losses="squared_error/element_mean"', '{"w": w, "b": b}']),
        ("networks.autograd_network:loss", "autograd", ['losses="squared_error/batch_mean"', "list(zip("]),
        ("sklearn.neural_network:MLPClassifier", "sklearn", ['output="softmax"', "return MLPClassifier()"]),
    ],
)
def test_frameworks_are_recognised(target: str, module: str, told: list[str], place: Path) -> None:
    pytest.importorskip(module)
    written = init(target)
    text = written.path.read_text(encoding="utf-8")
    assert all(word in text for word in told)
    assert found(written, 3) == {Verdict.CORRECT}


def test_a_sequential_object_is_made_again_for_other_widths(place: Path) -> None:
    pytest.importorskip("torch")
    (place / "model.py").write_text(
        "from torch.nn import Linear, Sequential, Sigmoid, Tanh\n"
        "model = Sequential(Linear(3, 5), Tanh(), Linear(5, 2), Sigmoid())\n"
    )
    written = init("model.py:model")
    text = written.path.read_text(encoding="utf-8")
    assert (
        "Sequential(Linear(net.widths[0], net.widths[1]), Tanh(), Linear(net.widths[1], net.widths[2]), Sigmoid())"
        in text
    )
    assert 'hidden="tanh"' in text
    assert 'output="sigmoid"' in text
    assert found(written, 6) == {Verdict.CORRECT}


@pytest.mark.parametrize(
    "target", ["numbered.py:Broken", "networks.nested_lists:backward", "networks.training:sigmoid"]
)
def test_what_cannot_be_told_is_marked(target: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = init(target)
    text = written.path.read_text(encoding="utf-8")
    assert len(written.open) >= 3
    assert text.count("CONFIRM:") == len(written.open)
    compile(text, str(written.path), "exec")
    load(written.target)
    assert capsys.readouterr().out == ""


def test_nothing_is_written_over(place: Path) -> None:
    written = init("numpy_network.py:NeuralNetwork")
    written.path.write_text("mine")
    with pytest.raises(ArgumentError, match="which exists"):
        init("numpy_network.py:NeuralNetwork")
    assert written.path.read_text() == "mine"
    assert "gradproof" in init("numpy_network.py:NeuralNetwork", force=True).path.read_text()


def test_an_adapter_needs_no_adapter(place: Path) -> None:
    with pytest.raises(ArgumentError, match="expected code without an adapter"):
        init("numpy_network.py:adapter")
    with pytest.raises(TargetError, match="did you mean 'NeuralNetwork'"):
        init("numpy_network.py:NeuralNetwrk")
    assert not list(place.glob("*_adapter.py"))


def test_the_command_says_what_it_found_and_what_to_do_next(place: Path) -> None:
    done = CliRunner().invoke(main, ["init", "numpy_network_wrong.py:NeuralNetwork", "--out", "mine.py"])
    assert done.exit_code == 0
    assert done.output.startswith(
        "mine.py: numpy_network_wrong.py:NeuralNetwork is a class of networks\n\nrecognised:\n"
    )
    assert 'weights="out_in": the shapes of its weights' in done.output
    assert "to be confirmed (marked CONFIRM):\n  losses=" in done.output
    assert done.output.endswith("next: gradproof check mine.py:adapter\n")
    again = CliRunner().invoke(main, ["init", "numpy_network_wrong.py:NeuralNetwork", "--out", "mine.py"])
    assert (again.exit_code, "--force" in again.output) == (2, True)


def test_help_of_the_command_loads_no_framework() -> None:
    script = "import sys, gradproof.cli; gradproof.cli.main(['init', '--help'], standalone_mode=False)"
    check = "; assert not {'torch', 'jax', 'sklearn', 'autograd', 'sympy', 'hypothesis'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script + check], check=True, capture_output=True)
