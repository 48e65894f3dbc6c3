"""What is said of packages that this project did not write: the listing, the pins, the table and the quick verdicts."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import third_party
from benchmarks.__main__ import main
from benchmarks.commands import CommandError
from benchmarks.own_differences import second_opinion
from benchmarks.third_party import FOLDER, Package, code_lines, packages, third_party_record
from gradproof import Case, Dense, Loss, Network, Verdict
from gradproof.errors import ArgumentError, RecordError
from gradproof.expressions import Node, Operation
from gradproof.graph import Graph
from gradproof.record import Failure
from gradproof.verdict import Finding
from verify.campaign import check
from verify.loading import TargetError, load

ROOT = FOLDER.parents[1]
GATE = [name for name, package in packages().items() if package.gate]
ALWAYS = ("__future__", "functools", "gradproof", "numpy", "os")
"""What an adapter may import besides what it is an adapter of."""
MODULES = {
    "ann-backpropagation-algorithm": "ann_backpropagation_algorithm",
    "backprop-lib": "backprop",
    "edunn": "edunn",
    "gradflow-kit": "micrograd",
    "microgradpp": "mgp",
    "minimalist-neural-networks": "neural",
    "nerva-numpy": "nerva_numpy",
    "nn-from-scratch": "nn_from_scratch torch",
    "nn-numpy": "nn_numpy",
    "pyedunet": "EduNet",
    "scikit-learn": "sklearn",
}
"""Packages whose module has another name, and what else is imported beside them."""


def pins(file: str) -> list[str]:
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_at_least_twenty_packages_are_checked() -> None:
    assert len({package.package for package in packages().values()}) >= 20


def test_each_adapter_is_listed_and_each_listing_has_its_adapter() -> None:
    listed = {package.path for package in packages().values() if package.path.parent == FOLDER}
    assert listed == set(FOLDER.glob("*.py"))
    for package in packages().values():
        tree = ast.parse(package.path.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        assert package.address.rpartition(":")[2] in names


@pytest.mark.parametrize("package", [p for p in packages().values() if p.path.parent == FOLDER], ids=lambda p: p.target)
def test_an_adapter_imports_its_package_alone_and_says_how_to_get_it_and_how_to_check_it(package: Package) -> None:
    allowed = {*ALWAYS, *MODULES.get(package.package, package.package).lower().split()}
    assert {name.lower() for name in imported(package.path)} <= allowed
    text = ast.get_docstring(ast.parse(package.path.read_text(encoding="utf-8"))) or ""
    assert package.pin in text
    assert f"gradproof check examples/third_party/{package.target}" in text
    assert package.package in text


def test_the_versions_judged_are_those_pinned() -> None:
    shared = {package.pin for package in packages().values() if not package.own_folder}
    assert set(pins("requirements.txt")) == shared
    assert pins("requirements.txt") == sorted(pins("requirements.txt"), key=str.lower)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["third-party"]
    assert extra == sorted({packages()[name].pin for name in GATE})


def test_what_is_not_correct_says_what_was_found_and_where() -> None:
    for package in packages().values():
        if package.verdict is Verdict.CORRECT:
            assert (package.found, package.where) == ("", ())
        else:
            assert package.found
            assert package.where
            assert all(re.fullmatch(r"[\w./-]+\.py:[1-9]\d*", place) for place in package.where)


def test_a_package_without_its_module_is_refused_with_the_modules_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "propgrad", None)
    with pytest.raises(TargetError, match="propgrad"):
        load(str(FOLDER / "propgrad_engine.py") + ":adapter")


class TestPublished:
    """The committed verdicts, and the tables made of them."""

    def test_they_are_of_what_is_listed(self) -> None:
        results = third_party_record().results
        assert list(results) == list(packages())
        for name, package in packages().items():
            result = results[name]
            assert (result.package, result.version) == (package.package, package.version)
            assert (result.target, result.profile) == (package.address, package.profile)
            assert result.verdict is package.verdict
            assert sum(result.counts.values()) == result.cases >= 60

    def test_what_is_wrong_is_confirmed_by_differences_of_the_packages_own_loss(self) -> None:
        for name, result in third_party_record().results.items():
            if result.verdict is Verdict.WRONG:
                witness = next(failure.witness for failure in result.failures if failure.verdict is Verdict.WRONG)
                assert witness is not None, name
                assert witness.contradicts
                assert abs(witness.got - witness.estimate) > witness.error

    def test_the_page_shows_them(self) -> None:
        page = (FOLDER / "README.md").read_text(encoding="utf-8")
        for name, package in packages().items():
            assert f"| {package.package} {package.version} |" in page
            if package.verdict is not Verdict.CORRECT:
                assert f'<a id="{name}"></a>' in page

    def test_another_verdict_or_cause_is_told(self) -> None:
        result = third_party_record().results["kaitorch"]
        assert third_party.differs("kaitorch", result) is None
        (first, *_) = result.failures
        other = msgspec.structs.replace(result, failures=(msgspec.structs.replace(first, causes=("another",)),))
        assert "another" in str(third_party.differs("kaitorch", other))
        assert third_party.differs("micrograd", msgspec.structs.replace(result, verdict=Verdict.CORRECT)) is not None


@pytest.mark.parametrize("name", GATE)
def test_the_quick_ones_have_their_verdict_and_their_cause(name: str) -> None:
    package = packages()[name]
    for module in MODULES.get(package.package, package.package.replace("-", "_")).split():
        pytest.importorskip(module)
    assert version(package.package) == package.version
    record = check(f"{package.path}:{package.target.rpartition(':')[2]}", profile="smoke", seed=0)
    assert record.verdict is package.verdict
    if package.verdict is Verdict.WRONG:
        published = {cause for failure in third_party_record().results[name].failures for cause in failure.causes}
        named = {cause.name for failure in record.failures for cause in failure.causes}
        assert None not in named
        assert published
    else:
        assert record.counts == {Verdict.CORRECT: record.cases}


def dense(case: Case) -> dict[str, Any]:
    """y = xW + b and half its squared error, summed; right."""
    weight, bias = case.parameters["0.weight"], case.parameters["0.bias"]
    outputs = case.inputs @ weight + bias
    assert case.targets is not None
    error = outputs - case.targets
    parameters = {"0.weight": case.inputs.T @ error, "0.bias": error.sum(axis=0)}
    return {"loss": 0.5 * np.sum(error**2), "outputs": outputs, "inputs": error @ weight.T, "parameters": parameters}


def doubled(case: Case) -> dict[str, Any]:
    """The same, its gradients twice what they should be, and no loss."""
    answer = dense(case)
    parameters = {name: 2 * gradient for name, gradient in answer["parameters"].items()}
    return {"outputs": answer["outputs"], "inputs": 2 * answer["inputs"], "parameters": parameters}


class TestOwnDifferences:
    """The second opinion on what is called wrong."""

    CASE = Case(
        Network((2,), (Dense(1),), Loss.parse("half_squared_error/sum")),
        {"0.weight": [[0.5], [-1.25]], "0.bias": [0.75]},
        [[1.0, 2.0], [-0.5, 0.25]],
        targets=[[1.5], [-2.0]],
    )

    def failure(self, quantity: str = "0.weight", index: tuple[int, ...] = (1, 0)) -> Failure:
        findings = (Finding(Verdict.WRONG, "outputs", ""), Finding(Verdict.WRONG, quantity, "", None, index))
        return Failure(Verdict.WRONG, "", self.CASE.to_data(), self.CASE.id, findings, "", 1)

    @pytest.mark.parametrize(("quantity", "index"), [("0.weight", (1, 0)), ("0.bias", (0,)), ("inputs", (0, 1))])
    def test_they_agree_with_a_right_gradient_and_contradict_a_wrong_one(
        self, quantity: str, index: tuple[int, ...]
    ) -> None:
        module = SimpleNamespace(right=dense, wrong=doubled)
        right = second_opinion(module, "right", self.failure(quantity, index))
        wrong = second_opinion(module, "wrong", self.failure(quantity, index))
        assert not right.contradicts
        assert wrong.contradicts
        assert abs(right.got - right.estimate) <= right.error < abs(wrong.got - wrong.estimate)
        assert wrong.got == 2 * right.got
        assert (right.of, wrong.of) == ("its own loss", "half the squared error of its outputs")
        assert f"∂L/∂{quantity}[{', '.join(map(str, index))}]" in str(wrong)

    def test_a_loss_that_the_module_names_goes_before_others(self) -> None:
        module = SimpleNamespace(target=doubled, own_loss=lambda case: 2 * float(dense(case)["loss"]))
        witness = second_opinion(module, "target", self.failure())
        assert not witness.contradicts
        assert witness.of == "the loss that it shows"

    @pytest.mark.parametrize("step", [0, 1])
    def test_an_engine_is_held_against_its_own_results(self, step: int) -> None:
        product = Operation("*", (Node(0), Node(1)))
        graph = Graph([[2.0, -3.0], [0.5, 4.0]], (product, product), backward=(2, 3), scalar=True)
        quantity = graph.quantity("a.grad", step)

        def right(asked: Graph) -> dict[str, float]:
            answer: dict[str, float] = {}
            for place, (a, b) in enumerate(asked.steps):
                values = {"c.data": a * b, "d.data": a * b, "a.grad": 2 * b, "b.grad": 2 * a}
                answer |= {asked.quantity(name, place): float(value) for name, value in values.items()}
            return answer

        module = SimpleNamespace(right=right, wrong=lambda g: right(g) | ({quantity: 1.0} if len(g.steps) > 1 else {}))
        finding = Finding(Verdict.WRONG, quantity, "")
        failure = Failure(Verdict.WRONG, "", graph.to_data(), graph.id, (finding,), "", 1)
        assert not second_opinion(module, "right", failure).contradicts
        witness = second_opinion(module, "wrong", failure)
        assert witness.contradicts
        assert witness.estimate == pytest.approx(2 * float(graph.steps[step][1]))
        assert str(witness).endswith(f"for {quantity}, the package 1.0")

    def test_a_failure_without_a_wrong_gradient_is_refused(self) -> None:
        only_outputs = msgspec.structs.replace(self.failure(), findings=self.failure().findings[:1])
        with pytest.raises(ArgumentError, match="a gradient that is wrong"):
            second_opinion(SimpleNamespace(target=dense), "target", only_outputs)


class TestCommand:
    def test_the_names_are_listed(self) -> None:
        shown = CliRunner().invoke(main, ["third-party", "--list"]).output.splitlines()
        assert [line.partition(":")[0] for line in shown] == list(packages())

    def test_a_name_that_is_not_there_is_refused(self) -> None:
        result = CliRunner().invoke(main, ["third-party", "nothing"])
        assert result.exit_code == 2
        assert "nothing" in result.output

    def test_a_package_at_another_version_is_refused_with_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("micrograd")
        other = msgspec.structs.replace(packages()["micrograd"], version="9.9")
        monkeypatch.setattr(third_party, "packages", lambda: {"micrograd": other})
        with pytest.raises(CommandError, match=r"pip install --no-deps micrograd==9\.9"):
            third_party.check("micrograd")


def test_lines_of_code_leave_out_what_is_none(tmp_path: Path) -> None:
    file = tmp_path / "adapter.py"
    file.write_text(
        '"""Doc\n\nstring."""\n\n# comment\nx = [\n    1,\n]\n\n\ny = """two\nlines"""  # code\n', encoding="utf-8"
    )
    assert code_lines(file) == 5


def test_a_listing_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages.toml").write_text('[a]\npackage = "a"\nverdikt = "correct"\n', encoding="utf-8")
    monkeypatch.setattr(third_party, "FOLDER", tmp_path)
    with pytest.raises(RecordError, match="verdikt"):
        packages.__wrapped__()
