"""An explanation follows from the case alone, and its numbers agree among themselves."""

from __future__ import annotations

import io
import math
import re

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from gradproof.case import Case
from gradproof.errors import ArgumentError
from gradproof.explanation import Explanation
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from refimpl.enclosure import enclosure
from reports.explanation import latex, render_explanation
from verify.explanation import entry_of, explain

SIGMOID = Activation("sigmoid")


def worked_example() -> Case:
    network = Network((2,), dense_chain((2, 2, 1), (SIGMOID, SIGMOID)), Loss("half_squared_error", "sum"))
    parameters: dict[str, npt.ArrayLike] = {
        "0.weight": [[0.15, 0.25], [0.2, 0.3]],
        "0.bias": [0.35, 0.35],
        "2.weight": [[0.4], [0.5]],
        "2.bias": [0.6],
    }
    return Case(network, parameters, [[0.05, 0.1]], targets=[[0.01]])


@pytest.fixture(scope="module")
def explained() -> Explanation:
    return explain(worked_example(), "0.weight[0, 1]")


def test_the_steps_lead_from_the_case_to_the_entry(explained: Explanation) -> None:
    """Evaluated one after the other in plain Python, the printed steps give the printed numbers."""
    case = worked_example()
    known: dict[str, float] = {"x[0]": 0.05, "x[1]": 0.1, "t[0]": 0.01}
    for layer in ("0", "2"):
        known |= {f"w{layer}[{i},{j}]": float(w) for (i, j), w in np.ndenumerate(case.parameters[f"{layer}.weight"])}
        known |= {f"b{layer}[{i}]": float(b) for (i,), b in np.ndenumerate(case.parameters[f"{layer}.bias"])}
    for step in explained.steps:
        symbol, _, expression = step.text.partition(" = ")
        places = sorted(known, key=len, reverse=True)
        code = re.sub("|".join(map(re.escape, places)), lambda m: f"({known[m[0]]!r})", expression)
        known[symbol] = eval(code, {"exp": math.exp, "__builtins__": {}})
        assert known[symbol] == pytest.approx(float(step.value), rel=1e-11)
    assert explained.steps[-1].text.startswith("dw0[0,1] = ")
    assert "dw0[1,1]" not in known


def test_the_numbers_are_the_enclosures(explained: Explanation) -> None:
    enclosed = enclosure(worked_example())
    assert explained.nearest == repr(float(enclosed.nearest("0.weight")[0, 1]))
    assert explained.exact == enclosed.decimal("0.weight", (0, 1), 30)
    assert repr(float(explained.exact)) == explained.nearest


def test_floats_come_out_within_what_is_allowed_and_differences_worse(explained: Explanation) -> None:
    rows = {row.by.partition(",")[0]: row for row in explained.computed}
    for dtype in ("float64", "float32"):
        allowed = rows[dtype].allowed
        assert allowed is not None
        assert float(rows[dtype].error) <= float(allowed)
    worst_to_best = ("forward difference", "central difference", "extrapolated (five points)", "complex step")
    errors = [float(rows[by].error) for by in worst_to_best]
    assert errors == sorted(errors, reverse=True)


def test_a_kink_is_explained_as_a_set() -> None:
    network = Network((1,), (Dense(1), Activation("relu")), Loss("half_squared_error", "sum"))
    case = Case(network, {"0.weight": [[1.0]], "0.bias": [-1.0]}, [[1.0]], targets=[[1.0]])
    found = explain(case)
    assert (found.quantity, found.index) == ("0.weight", (0, 0))
    assert found.nearest is None
    assert found.computed == ()
    low, high = found.exact.strip("[]").split(", ")
    assert (float(low), float(high)) == (-1, 0)


def test_a_closed_form_that_nobody_reads_is_left_out() -> None:
    network = Network((2,), dense_chain((2, 3, 3, 1), (SIGMOID,) * 3), Loss("half_squared_error", "sum"))
    parameters = {name: np.full(shape, 0.5) for name, shape in network.parameter_shapes.items()}
    case = Case(network, parameters, [[1.0, 2.0]], targets=[[0.5]])
    assert explain(case, "0.weight[1,2]").closed_form is None
    assert explain(case, "4.bias[0]").closed_form is not None


@pytest.mark.parametrize(
    "text", ["0.weights[0, 0]", "0.weight[2, 0]", "0.weight[0]", "0.weight[0,", "loss", "", "0.weight[-1, 0]"]
)
def test_an_entry_that_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"^entry: expected "):
        entry_of(worked_example(), text)


def test_entries_are_named_as_findings_name_them() -> None:
    case = worked_example()
    assert entry_of(case, "2.weight[1, 0]") == ("2.weight", (1, 0))
    assert entry_of(case, " inputs[0,1] ") == ("inputs", (0, 1))
    assert entry_of(case, None) == ("0.weight", (0, 0))


def test_the_screen_and_the_latex_hold_every_step(explained: Explanation) -> None:
    stream = io.StringIO()
    render_explanation(explained, Console(file=stream, width=400))
    shown = stream.getvalue()
    for step in explained.steps:
        assert step.text in shown
        assert step.value in shown
        assert step.latex.replace(" = ", " &= ", 1) in latex(explained)
    assert explained.exact in shown
    for row in explained.computed:
        assert row.value in shown


def test_it_survives_json(explained: Explanation) -> None:
    assert msgspec.json.decode(msgspec.json.encode(explained), type=Explanation) == explained
