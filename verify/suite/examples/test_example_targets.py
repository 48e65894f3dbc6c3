"""What ``check`` says of each example, and that the mistakes are the ones that the examples' texts name."""

from __future__ import annotations

import ast
import importlib.util
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof import Activation, Case, Gradients, Loss, Network, Verdict, dense_chain
from gradproof.cases import from_data
from refimpl.enclosure import enclosure
from verify.campaign import check
from verify.judge import judge

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"

CORRECT = {
    "numpy_network.py": None,
    "torch_module.py": "torch",
    "jax_function.py": "jax",
}
WRONG = {"numpy_network_wrong.py": None}
"""Example → the module without which it cannot run."""


def load(name: str) -> ModuleType:
    """An example as a module of its own, afresh."""
    spec = importlib.util.spec_from_file_location(f"_example_{Path(name).stem}", EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needed(module: str | None) -> None:
    if module is not None:
        pytest.importorskip(module)


def case_of(
    widths: tuple[int, ...], activation: str, loss: str, seed: int, *, bias: bool = True, batch: int = 3
) -> Case:
    """A random case of one activation throughout."""
    rng = np.random.default_rng(seed)
    layers = dense_chain(widths, (Activation(activation),) * (len(widths) - 1), bias=bias)
    network = Network(widths[:1], layers, Loss.parse(loss))
    parameters = {name: rng.normal(size=shape) for name, shape in network.parameter_shapes.items()}
    inputs, targets = rng.normal(size=(batch, widths[0])), rng.normal(size=(batch, widths[-1]))
    return Case(network, parameters, inputs, targets=targets)


def answer(adapter: Any, case: Case) -> Gradients:
    return Gradients(**adapter(case))


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_example_is_never_accused(name: str) -> None:
    needed(CORRECT[name])
    record = check(f"{EXAMPLES / name}:adapter", profile="smoke", seed=0)
    assert (record.verdict, record.exit_code, record.failures) == (Verdict.CORRECT, 0, ())
    assert record.cases > 0
    assert record.counts == {Verdict.CORRECT: record.cases}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_example_is_proved_wrong(name: str) -> None:
    needed(WRONG[name])
    record = check(f"{EXAMPLES / name}:adapter", profile="smoke", seed=0)
    assert (record.verdict, record.exit_code) == (Verdict.WRONG, 1)
    wrong = [failure for failure in record.failures if failure.verdict is Verdict.WRONG]
    case = from_data(wrong[0].case)
    assert isinstance(case, Case)
    assert case.batch == 1
    assert max(case.stack.widths) == 1
    assert all(finding.quantity in case.network.parameter_shapes for finding in wrong[0].findings)


def test_the_five_line_adapter_has_five_lines() -> None:
    tree = ast.parse((EXAMPLES / "numpy_network.py").read_text(encoding="utf-8"))
    (adapter,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "adapter")
    assert adapter.end_lineno is not None
    assert adapter.end_lineno - adapter.lineno == 5


def test_the_readme_shows_the_adapter_as_it_is() -> None:
    source = (EXAMPLES / "numpy_network.py").read_text(encoding="utf-8")
    adapter = source[source.index("@gradproof.target") :]
    assert f"```python\n{adapter}```" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


LOGIC = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
OR, XOR = np.array([[0.0, 1.0, 1.0, 1.0]]), np.array([[0.0, 1.0, 1.0, 0.0]])


def starts_that_learn(name: str, targets: np.ndarray) -> int:
    """Of three starts, how many end without a mistake."""
    module, learned = load(name), 0
    for seed in range(3):
        network = module.NeuralNetwork((2, 3, 1), seed)
        network.train(LOGIC, targets, rate=2.0, epochs=3000)
        learned += bool(np.all((network.forward(LOGIC) > 0.5) == targets))
    return learned


def test_the_students_mistake_hides_behind_what_it_still_learns() -> None:
    assert starts_that_learn("numpy_network.py", OR) == starts_that_learn("numpy_network_wrong.py", OR) == 3
    assert starts_that_learn("numpy_network.py", XOR) == 3
    assert starts_that_learn("numpy_network_wrong.py", XOR) < 3


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_students_one_mistake_is_where_sigmoid_prime_is_taken(seed: int, depth: int) -> None:
    module: Any = load("numpy_network_wrong.py")
    case = case_of((2, 3, 2, 2)[: depth + 1], "sigmoid", "half_squared_error/batch_mean", seed)
    assert judge(case, answer(module.adapter, case)).verdict is Verdict.WRONG
    module.sigmoid_prime = lambda a: a * (1 - a)
    assert judge(case, answer(module.adapter, case)).verdict is Verdict.CORRECT


@pytest.mark.parametrize(("threshold", "verdict"), [(20, Verdict.WRONG), (40, Verdict.CORRECT)])
def test_torchs_softplus_needs_a_higher_threshold_in_float64(threshold: int, verdict: Verdict) -> None:
    torch = pytest.importorskip("torch")
    module: Any = load("torch_module.py")
    assert torch.nn.Softplus().threshold == 20
    module.ACTIVATIONS["softplus"] = partial(torch.nn.Softplus, threshold=threshold)
    drawn = case_of((1, 1), "softplus", "squared_error/element_mean", seed=0, batch=1)
    case = drawn.replace(parameters={"0.weight": [[21.0]], "0.bias": [0.0]}, inputs=[[1.0]], targets=[[0.5]])
    assert judge(case, answer(module.adapter, case)).verdict is verdict


class TestBackpropagation:
    """backpropagation 0.0.3: its mistakes are those that examples/third_party names; reading a step hides nothing."""

    @staticmethod
    def package_gradients(case: Case, *, factor: bool) -> list[np.ndarray]:
        """The package's own formulas, in its own order of operations; its extra factor can be left out."""
        module = pytest.importorskip("backpropagation.Backpropagation")
        nets = pytest.importorskip("backpropagation.NeuralNetwork")
        function = load("third_party/backpropagation_step.py").ACTIVATIONS[case.stack.activations[0]]()
        net = nets.NeuralNetwork(*case.stack.widths)
        net.hidden_weights, net.output_weights, net.bias = *case.stack.weights, False
        hidden, outputs = module.Backpropagation(net, activation_function=function).feedForward(case.inputs)
        assert case.targets is not None
        del_k = (outputs if factor else 1) * function.derivative(outputs) * (case.targets - outputs)
        del_h = (hidden if factor else 1) * function.derivative(hidden) * del_k.dot(net.output_weights.T)
        return [-case.inputs.T.dot(del_h), -hidden.T.dot(del_k)]

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1), st.sampled_from(["sigmoid", "tanh", "relu"]))
    def test_the_step_gives_the_packages_gradient_bit_for_bit(self, seed: int, activation: str) -> None:
        expected = self.package_gradients(
            case := case_of((3, 2, 2), activation, "half_squared_error/sum", seed, bias=False), factor=True
        )
        got = load("third_party/backpropagation_step.py").adapter(case)["parameters"]
        for name, gradient in zip(("0.weight", "2.weight"), expected, strict=True):
            assert np.array_equal(got[name], gradient)

    @settings(deadline=None, max_examples=10)
    @given(st.integers(0, 2**32 - 1))
    def test_without_the_extra_factor_its_formulas_are_right(self, seed: int) -> None:
        case = case_of((3, 2, 2), "sigmoid", "half_squared_error/sum", seed, bias=False)
        for factor, verdict in ((True, Verdict.WRONG), (False, Verdict.CORRECT)):
            named = case.stack.name(self.package_gradients(case, factor=factor))
            assert judge(case, Gradients(named)).verdict is verdict

    def test_the_case_that_can_be_followed_on_paper(self) -> None:
        pytest.importorskip("backpropagation")
        drawn = case_of((1, 1, 1), "sigmoid", "half_squared_error/sum", seed=0, batch=1)
        zeros = {name: np.zeros(shape) for name, shape in drawn.network.parameter_shapes.items()}
        case = drawn.replace(parameters=zeros, inputs=[[0.0]], targets=[[0.0]])
        enclosed = enclosure(case)
        got = load("third_party/backpropagation_step.py").adapter(case)["parameters"]
        assert [enclosed.nearest(name).item() for name in ("2.weight", "2.bias")] == [0.0625, 0.125]
        assert [got[name].item() for name in ("2.weight", "2.bias")] == [0.03125, 0.0]

    def test_its_biases_are_never_updated(self) -> None:
        pytest.importorskip("backpropagation")
        case = case_of((3, 2, 2), "sigmoid", "half_squared_error/sum", seed=1)
        got = load("third_party/backpropagation_step.py").adapter(case)["parameters"]
        assert not np.any(got["0.bias"])
        assert not np.any(got["2.bias"])
        assert {"0.bias", "2.bias"} <= {finding.quantity for finding in judge(case, Gradients(got)).findings}


def test_micrograd_cannot_stack_a_layer_on_a_single_neuron() -> None:
    nn = pytest.importorskip("micrograd.nn")
    with pytest.raises(TypeError, match="not iterable"):
        nn.MLP(2, [1, 1])([1.0, 2.0])
