"""Records built by hand, one of each kind that the screens and pages must show."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradproof.case import Case
from gradproof.layers import Activation, Dense, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network
from gradproof.record import CheckRecord, Failure, Figure, FiguresRecord, Machine
from gradproof.verdict import EXIT_CODES, Finding, Verdict

MACHINE = Machine(
    system="Linux x86_64",
    processor="Example 9000",
    cores=2,
    python="3.11.7",
    packages={"numpy": "2.4.0", "numba": "0.68.0"},
)
STARTED = "2026-01-02T03:04:05+00:00"


def small_case() -> Case:
    """2-2-1 with sigmoids, as a search would shrink one."""
    network = Network(
        (2,), (Dense(2), Activation("sigmoid"), Dense(1), Activation("sigmoid")), Loss("half_squared_error", "sum")
    )
    return Case(
        network,
        {
            "0.weight": [[0.5, -1.0], [0.25, 2.0]],
            "0.bias": [0.0, 0.125],
            "2.weight": [[1.0], [-0.75]],
            "2.bias": [0.1],
        },
        [[1.0, 0.0]],
        targets=[[1.0]],
    )


def float32_case() -> Case:
    network = Network(
        (2,),
        (Dense(2), Residual((Dense(2, bias=False), Activation("tanh"))), Activation("softmax")),
        Loss("categorical_cross_entropy", "batch_mean"),
        Penalty("l2", 0.01, half=True, biases=False),
        frozen=("0.bias",),
    )
    return Case(
        network,
        {"0.weight": [[0.1, 0.2], [-3e-05, 40.0]], "0.bias": [0.0, 0.0], "1.body.0.weight": np.eye(2) / 3},
        [[1.0, 0.1], [2.0, -0.3]],
        targets=[[1.0, 0.0], [0.0, 1.0]],
        sample_weights=[1.0, 2.5],
        dtype="float32",
    )


def kink_case() -> Case:
    network = Network((1,), (Dense(1), Activation("relu")))
    return Case(network, {"0.weight": [[1.0]], "0.bias": [0.0]}, [[0.0]], upstream=[[2.0]], tags=("kink",))


def huge_case() -> Case:
    network = Network((784,), (Dense(128), Activation("relu"), Dense(10)), Loss("squared_error", "element_mean"))
    shapes = network.parameter_shapes
    parameters = {n: (np.arange(np.prod(s)).reshape(s) % 97) / 64.0 for n, s in shapes.items()}
    return Case(network, parameters, np.ones((16, 784)) / 3, targets=np.zeros((16, 10)))


WRONG_FINDINGS = (
    Finding(
        Verdict.WRONG,
        "0.weight",
        "0.weight[0, 1] is off by more than careful arithmetic may be",
        layer="layer 0: dense 2",
        index=(0, 1),
        got="0.013562881298718",
        exact="0.013998042109812341287",
        error="4.351608e-04",
        allowed="4.21e-17",
        entries=4,
        bad=2,
    ),
    Finding(
        Verdict.WRONG,
        "0.bias",
        "0.bias[1] is off by more than careful arithmetic may be",
        layer="layer 0: dense 2",
        index=(1,),
        got="-3.2915e-07",
        exact="1.0291500000000000000e-05",
        error="1.06e-05",
        allowed="3e-21",
        entries=2,
        bad=1,
    ),
    Finding(
        Verdict.WRONG,
        "inputs",
        "inputs[0, 0] is not a number",
        index=(0, 0),
        got="nan",
        exact="0.25",
        error="inf",
        allowed="1e-16",
        entries=2,
        bad=2,
    ),
)


def failure(**changes: Any) -> Failure:
    case = changes.pop("of", None) or small_case()
    fields: dict[str, Any] = {
        "verdict": Verdict.WRONG,
        "summary": "the gradient of 0.weight is wrong in layer 0: dense 2, from the second decimal on",
        "case": case.to_data(),
        "case_id": case.id,
        "findings": WRONG_FINDINGS,
        "replay": f"gradproof replay {case.id} --target examples/numpy_network_wrong.py:network",
        "cases_alike": 137,
    }
    return Failure(**{**fields, **changes})


def check(*failures: Failure, **changes: Any) -> CheckRecord:
    verdict = failures[0].verdict if failures else Verdict.CORRECT
    counts: dict[str, int] = {"correct": 500 - sum(f.cases_alike for f in failures)}
    for each in failures:
        counts[str(each.verdict)] = counts.get(str(each.verdict), 0) + each.cases_alike
    fields: dict[str, Any] = {
        "target": "examples/numpy_network.py:network",
        "verdict": verdict,
        "exit_code": EXIT_CODES[verdict],
        "cases": 500,
        "counts": counts,
        "entries": 61234,
        "failures": failures,
        "notes": (),
        "profile": "default",
        "seed": 0,
        "started": STARTED,
        "seconds": 12.345,
        "machine": MACHINE,
        "gradproof": "0.1.0",
    }
    return CheckRecord(**{**fields, **changes})


def correct() -> CheckRecord:
    return check(
        notes=(
            "relu, leaky_relu: at the kink the target takes the left derivative (14 cases)",
            "inputs: the target does not give it, so it was not compared",
        )
    )


def wrong() -> CheckRecord:
    return check(failure(), target="examples/numpy_network_wrong.py:network")


def crashed() -> CheckRecord:
    message = (
        "the target raised ValueError\nTraceback (most recent call last):\n"
        '  File "net.py", line 12, in backward\n    delta = self.w.T @ grad\n'
        "            ~~~~~~~~~~^~~~~~\n"
        "ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0 (size 3 is different from 2)"
    )
    return check(
        failure(
            verdict=Verdict.CRASHED,
            summary="the target raised ValueError: matmul: Input operand 1 has a mismatch",
            findings=(Finding(Verdict.CRASHED, "target", message),),
            cases_alike=500,
        ),
        target="shop.networks:Perceptron",
        entries=0,
    )


def inaccurate() -> CheckRecord:
    finding = Finding(
        Verdict.INACCURATE,
        "1.body.0.weight",
        "loses 4 digits: softmax is not shifted by its maximum",
        layer="layer 1.body.0: dense 2 without bias",
        index=(1, 0),
        got="0.12345679",
        exact="0.12345123456789012345",
        error="5.5e-06",
        allowed="8.3e-08",
        entries=4,
        bad=4,
    )
    return check(
        failure(
            of=float32_case(),
            verdict=Verdict.INACCURATE,
            summary="the gradient of 1.body.0.weight loses 4 digits in float32",
            findings=(finding,),
            cases_alike=3,
        ),
        target="torch_module.py:network",
    )


def kink() -> CheckRecord:
    finding = Finding(
        Verdict.WRONG,
        "0.bias",
        "outside every value between the one-sided derivatives of relu at 0",
        layer="layer 0: dense 1",
        index=(0,),
        got="4.0",
        exact="[0, 2]",
        error="2",
        allowed="0",
        entries=1,
        bad=1,
    )
    return check(failure(of=kink_case(), summary="0.bias is outside its set at a kink", findings=(finding,)))


def huge() -> CheckRecord:
    findings = (
        Finding(
            Verdict.WRONG,
            "0.weight",
            "wrong",
            layer="layer 0: dense 128",
            index=(783, 127),
            got="-1.7976931348623157e+308",
            exact="2.2250738585072013831e-308",
            error="1.7976931348623157e+308",
            allowed="2.2250738585072014e-312",
            entries=100352,
            bad=99321,
        ),
    )
    return check(failure(of=huge_case(), summary="0.weight is wrong", findings=findings))


def nothing_ran() -> CheckRecord:
    return check(verdict=None, exit_code=5, cases=0, counts={}, entries=0, seconds=0.01)


RECORDS = {
    "correct": correct,
    "wrong": wrong,
    "crashed": crashed,
    "inaccurate": inaccurate,
    "kink": kink,
    "huge": huge,
    "nothing ran": nothing_ran,
}


def figures() -> FiguresRecord:
    return FiguresRecord(
        figures=(
            Figure(
                name="gradient of 784-16-16-10, batch 10, all 13,002 entries at 128 bits",
                value=0.052,
                unit="s",
                goal="<= 60 ms",
                met=True,
                peers={"torch gradcheck": 7.9, "jax check_grads": 1.6},
                command="python -m benchmarks figures enclosure",
            ),
            Figure(
                name="smallest relative error proved wrong, median",
                value=3.1e-13,
                unit="relative",
                goal="<= 2e-13",
                met=False,
                peers={},
                command="python -m benchmarks figures sensitivity",
                note="1,000 random cases of at most 4 layers",
            ),
            Figure(
                name="first verdict on a fresh machine",
                value=14.2,
                unit="s",
                goal=None,
                met=None,
                peers={},
                command="python -m benchmarks figures first_verdict",
            ),
        ),
        started=STARTED,
        machine=MACHINE,
        gradproof="0.1.0",
    )


def benchmark(group: str | None, peer: str, median: float, **changes: Any) -> dict[str, Any]:
    """One benchmark as pytest-benchmark writes it (the parts that are read)."""
    stats = {
        "min": median * 0.9,
        "max": median * 2,
        "mean": median * 1.1,
        "stddev": median * 0.05,
        "median": median,
        "iqr": median * 0.04,
        "rounds": 200,
        "iterations": 5,
    }
    return {
        "group": group,
        "name": f"test_step[{peer}]",
        "fullname": f"benchmarks/test_step.py::test_step[{peer}]",
        "params": {"peer_name": peer},
        "param": peer,
        "extra_info": {"what": f"{peer}, as its users write it"},
        "options": {},
        "stats": stats,
        **changes,
    }


def benchmarks(*rows: dict[str, Any]) -> dict[str, Any]:
    """A file of ``pytest --benchmark-json`` (the parts that are read, and some that are not)."""
    times = {
        "2-2-1, batch 4, float64": {"fastimpl": 6.1e-7, "numpy": 3.2e-5, "jax": 1.08e-5, "torch": 1.9e-4},
        "784-16-16-10, batch 10, float32": {"fastimpl": 2.2e-5, "numpy": 1.1e-4, "jax": 5.3e-5, "torch": 4.1e-4},
    }
    return {
        "machine_info": {
            "node": "a-host-name",
            "machine": "x86_64",
            "system": "Linux",
            "python_version": "3.11.7",
            "python_build": ["main", "x"],
            "cpu": {"brand_raw": "Example 9000", "count": 2},
        },
        "commit_info": {"id": "unversioned"},
        "benchmarks": list(rows) or [benchmark(g, p, t) for g, peers in times.items() for p, t in peers.items()],
        "datetime": "2026-01-02T03:05:06.789000+00:00",
        "version": "5.3.1",
    }
