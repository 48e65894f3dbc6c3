"""The kernels as a set, and the elementary functions under them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.caching import NullCache
from numba.core.runtime import _nrt_python, rtsys

import fastimpl
from fastimpl.jit import Kernel
from fastimpl.kernels import activations, batches, dense, losses, merge, penalties, updates
from fastimpl.plan import PROBABILITIES
from fastimpl.table import COEFFICIENT, COLUMNS, D_INPUT, HYPER_COLUMNS, INPUT, ROWS, TARGET, UNITS, WIDTH
from fastimpl.walkers import run_once, run_steps
from gradproof.case import Case
from gradproof.layers import Activation, Branches
from gradproof.loss import Loss
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.vocabulary import ACTIVATIONS, DTYPES, LOSSES, MERGES, PENALTIES, UNIT, Dtype
from verify.strategies import seeded_case

KERNELS = {
    kernel.name: kernel
    for module in (activations, batches, dense, losses, merge, penalties, updates)
    for kernel in vars(module).values()
    if isinstance(kernel, Kernel)
}


@pytest.mark.parametrize(
    ("words", "kernels"),
    [
        (ACTIVATIONS, activations.ACTIVATION_KERNELS),
        (LOSSES, losses.LOSS_KERNELS),
        (PENALTIES, penalties.PENALTY_KERNELS),
    ],
)
def test_every_word_has_its_kernel_and_every_kernel_its_word(words: object, kernels: object) -> None:
    assert set(words) == set(kernels)  # type: ignore[call-overload]


def test_losses_from_probabilities_know_every_activation_that_gives_them() -> None:
    assert {name for name, word in ACTIVATIONS.items() if word.range == UNIT} == PROBABILITIES
    for name, word in LOSSES.items():
        assert set(losses.LOSS_KERNELS[name]) == (PROBABILITIES if word.domain == UNIT else {""})


def test_every_way_to_merge_has_its_step() -> None:
    merged = {"concat": [[1.0, 2.0, 1.0, 2.0]], "sum": [[2.0, 4.0]]}
    assert set(merged) == set(MERGES)
    for how, expected in merged.items():
        network = Network((2,), (Branches(((Activation("identity"),),) * 2, how),))  # type: ignore[arg-type]
        np.testing.assert_array_equal(fastimpl.predict(network, {}, [[1.0, 2.0]]), expected)


def test_kernels_depend_on_nothing_but_what_their_stamp_covers() -> None:
    """A value from another package of this project, frozen into a kernel, could change without a new stamp."""
    package = Path(fastimpl.__file__).parent
    compiled = [*(package / "kernels").glob("*.py"), *(package / "elementary").glob("*.py")]
    compiled += [package / "memory.py", package / "table.py", package / "walkers.py"]
    for path in compiled:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [n for n in names if n and n.startswith("gradproof")], path


def test_no_step_allocates() -> None:
    networks = (
        Network((5,), dense_chain((5, 8, 3), (Activation("tanh"), Activation("softmax"))), LOSS),
        Network((30,), dense_chain((30, 40, 3), (Activation("relu"), Activation("softmax"))), LOSS),
    )
    _nrt_python.memsys_enable_stats()
    try:
        for network in networks:
            case = seeded_case(network, 50, seed=1)
            counts = []
            for epochs in (1, 300):
                before = rtsys.get_allocation_stats()
                train(case, epochs)
                after = rtsys.get_allocation_stats()
                counts.append(after.alloc - before.alloc)
            assert counts[0] == counts[1] == 0
    finally:
        _nrt_python.memsys_disable_stats()


LOSS = Loss("categorical_cross_entropy", "batch_mean")


def train(case: Case, epochs: int) -> None:
    fastimpl.train(
        case.network,
        case.parameters,
        case.inputs,
        np.asarray(case.targets),
        optimiser=Optimiser("sgd", 0.01),
        epochs=epochs,
        batch_size=16,
    )


def test_another_architecture_compiles_nothing() -> None:
    def all_compiled() -> dict[str, set[str]]:
        return {name: set(kernel._compiled) for name, kernel in KERNELS.items()}

    tanh, softmax = Activation("tanh"), Activation("softmax")
    train(seeded_case(Network((2,), dense_chain((2, 3, 2, 2), (tanh, softmax, softmax)), LOSS), 5, seed=1), 1)
    before = all_compiled()
    layers = (*dense_chain((3, 7, 7), (softmax, tanh)), *dense_chain((7, 6, 5, 4), (tanh, tanh, softmax)))
    train(seeded_case(Network((3,), layers, LOSS), 9, seed=2), 3)
    assert all_compiled() == before
    walkers: tuple[Any, ...] = (run_once, run_steps)
    assert all(len(walker.compiled().signatures) == 1 for walker in walkers)


ONE_BY_ONE = re.compile(r"call [^@\n]*double @(?!llvm)")
"""A call of the C library's functions, which take one number."""
FORMULAS = [
    kernel for module in (activations, losses) for kernel in vars(module).values() if isinstance(kernel, Kernel)
]


def looped(kernel: Kernel, dtype: Dtype, monkeypatch: pytest.MonkeyPatch) -> str:
    """What LLVM makes of a kernel."""
    monkeypatch.setattr("fastimpl.jit.cache_for", lambda *given: NullCache())  # what is loaded has no text
    fastmath: Any = kernel._options["fastmath"]
    again = Kernel(kernel.function, frozenset(fastmath), native=kernel.native)
    text: str = again.compiled(dtype).library.get_llvm_str()
    return text


@pytest.mark.parametrize("kernel", FORMULAS, ids=lambda kernel: kernel.name)
def test_the_formulas_loop_in_vectors(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a call, or one number at a time, they would still be right, and several times as slow."""
    text = looped(kernel, "float64", monkeypatch)
    products = re.findall(r"= f(?:mul|div) [^\n]*?(<[48] x )?double", text)  # numbers left over are looped one by one
    assert " x double>" in text
    if kernel is not losses.binary_from_softmax:  # whose powers alone are taken in vectors: its rows are short
        assert 3 * sum(map(bool, products)) >= len(products)
    assert not ONE_BY_ONE.search(text)


NATIVE = [kernel for kernel in FORMULAS if kernel.native]


@pytest.mark.parametrize("kernel", NATIVE, ids=lambda kernel: kernel.name)
def test_what_is_computed_in_float32_loops_in_vectors_of_it(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One constant that stayed a float64 would make the loop compute in it."""
    text = looped(kernel, "float32", monkeypatch)
    assert re.search(r"<\d+ x float>", text)
    if kernel is not losses.categorical_from_few:  # which sums the losses of rows in float64
        assert not re.search(r"<\d+ x double>", text)
    assert not re.search(r"= f(?:mul|div|sub) [^\n]*double", text)


def test_other_float32_loops_in_vectors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {activations.sigmoid, activations.tanh, losses.categorical_from_few} <= set(NATIVE)
    for kernel in (activations.gelu_tanh, losses.binary_from_sigmoid):
        assert re.search(" x (double|float)>", looped(kernel, "float32", monkeypatch)), kernel


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_are_not_there_count_for_nothing(dtype: Dtype) -> None:
    """Where they would stand lies what the call before left there."""
    classes, most = 3, 16
    size = most * classes
    op = np.zeros(COLUMNS, dtype=np.int64)
    op[[ROWS, WIDTH, UNITS, INPUT, TARGET, D_INPUT, COEFFICIENT]] = 1, classes, classes, 0, size, 2 * size, 3 * size
    hyper, work = np.zeros(HYPER_COLUMNS), np.ones(4 * size, dtype=dtype)

    def loss(rows: int) -> float:
        addresses = op.ctypes.data, hyper.ctypes.data, None, None, work.ctypes.data
        return losses.categorical_from_few.call(dtype, *addresses, batch=rows)

    work[:size] = np.nan
    assert np.isnan(loss(most))
    work[:size] = 1.0
    # The logarithm is within 1.5 units in the last place; its product, and both roundings here, add half a unit each.
    assert loss(1) == pytest.approx(3 * np.log(3), rel=float(3 * np.finfo(dtype).eps))


def test_every_kernel_has_a_name_of_its_own() -> None:
    """Those of one loop are told apart by it, in the cache and by people."""
    modules = (activations, batches, dense, losses, merge, penalties)
    kernels = {id(k): k for module in modules for k in vars(module).values() if isinstance(k, Kernel)}
    names = {kernel.name for kernel in kernels.values()}
    assert len(names) == len(kernels)
    assert {"activations.sigmoid", "activations.gelu", "losses.squared_error"} <= names
    assert all(kernel.function.__doc__ for kernel in kernels.values())


def test_importing_the_package_loads_no_compiler() -> None:
    script = "import sys, fastimpl; print(sorted({'numba', 'scipy', 'numpy', 'llvmlite'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
