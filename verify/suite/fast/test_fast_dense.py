"""Dense layers by every path: our own products, BLAS, and updates that a layer makes within its product or calls for.

Mostly over small whole numbers, of which every product and every sum is exact in both dtypes whatever the order: then
nothing but equality is right, and a number that is left out, taken twice or put elsewhere shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

import fastimpl
from fastimpl.kernels.dense import BLOCK, products_by_blas
from fastimpl.plan import plan
from fastimpl.program import bind
from fastimpl.running import Run
from fastimpl.settings import checked_settings
from fastimpl.table import GEMM
from fastimpl.updating import updated_within
from gradproof.case import Case
from gradproof.layers import Activation, Branches, Dense, Dropout, Layer, Residual
from gradproof.loss import Loss, Penalty
from gradproof.network import Network, dense_chain
from gradproof.optimiser import Optimiser
from gradproof.verdict import Verdict
from gradproof.vocabulary import DTYPES, Dtype
from verify.judge import judge
from verify.strategies import seeded_case

ALL_BY_BLAS = 7
UNITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 41, 47, 48, 49, 63, 64, 65, 81)
"""Around halves and multiples of the lanes of every vector, 4 to 16, and of the blocks of four of them."""
BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)
"""Every remainder of every height of a tile."""
FAN_INS = (1, 2, 9, 17)
LARGER = ((3, 65, 64), (5, 64, 129), (9, 130, 66), (14, 7, 200), (70, 129, 3))
"""More than one panel of the transposed weight, either way."""
IN_BLOCKS = ((4, 130, 130), (2, 30, 600))
"""∂L/∂W in more than one block of rows, the last one smaller; where a block is of the fewest rows too."""


def whole(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.integers(-3, 4, size=shape).astype(np.float64)


def layer_case(batch: int, fan_in: int, units: int, dtype: Dtype, *, bias: bool = True) -> Case:
    generator = np.random.default_rng(batch + 100 * fan_in + 10_000 * units)
    network = Network((fan_in,), (Dense(units, bias),))
    parameters = {name: whole(generator, *shape) for name, shape in network.parameter_shapes.items()}
    inputs, upstream = whole(generator, batch, fan_in), whole(generator, batch, units)
    return Case(network, parameters, inputs, upstream=upstream, dtype=dtype)


def demand_exact(case: Case) -> None:
    answer = fastimpl.gradients(case)
    x, w, delta = case.inputs, case.parameters["0.weight"], np.asarray(case.upstream)
    bias = case.parameters.get("0.bias", np.zeros(w.shape[1]))
    assert np.array_equal(np.asarray(answer.outputs), x @ w + bias), case
    assert np.array_equal(np.asarray(answer.inputs), delta @ w.T), case
    assert np.array_equal(np.asarray(answer.parameters["0.weight"]), x.T @ delta), case
    if "0.bias" in case.parameters:
        assert np.array_equal(np.asarray(answer.parameters["0.bias"]), delta.sum(axis=0)), case


@pytest.fixture
def by_blas(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("fastimpl.program.products_by_blas", lambda *sizes: request.param)
    return int(request.param)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_blas", [0], indirect=True)
def test_every_cut_of_our_own_products_is_exact(by_blas: int, dtype: Dtype) -> None:
    for batch, fan_in, units in (*product(BATCHES, FAN_INS, UNITS), *LARGER, *IN_BLOCKS):
        demand_exact(layer_case(batch, fan_in, units, dtype))
    for batch, fan_in in product(BATCHES, UNITS):  # columns of ∂L/∂x and rows of ∂L/∂W
        demand_exact(layer_case(batch, fan_in, 6, dtype, bias=False))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_blas", range(ALL_BY_BLAS + 1), indirect=True)
def test_each_product_by_blas_or_by_our_own_is_exact(by_blas: int, dtype: Dtype) -> None:
    for batch, fan_in, units in (*product((1, 5, 16), (1, 9, 33), (1, 8, 31)), *LARGER):
        case = layer_case(batch, fan_in, units, dtype, bias=units != 8)
        program = bind(plan(case.network, "gradients"), dtype, batch)
        assert np.count_nonzero(program.ops[:, GEMM]) == (by_blas != 0)
        demand_exact(case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_blas", [0, ALL_BY_BLAS], indirect=True)
def test_products_of_real_numbers_are_correct(by_blas: int, dtype: Dtype) -> None:
    tanh, identity = Activation("tanh"), Activation("identity")
    square = (Residual((Dense(12), tanh)), Dense(12))
    for network in (
        Network((24,), dense_chain((24, 20, 12), (tanh, identity)), Loss("half_squared_error", "sum")),
        Network((12,), square, Loss("squared_error", "batch_mean"), Penalty("l2", 0.1, True, False)),
        Network((12,), square, Loss("squared_error", "batch_mean"), None, (("1.weight", "0.body.0.weight"),)),
    ):
        case = seeded_case(network, 24, seed=3, dtype=dtype)
        assert judge(case, fastimpl.gradients(case)).verdict is Verdict.CORRECT


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_blas", [0, ALL_BY_BLAS], indirect=True)
@pytest.mark.parametrize("width", [1, 9, 16, 70])
def test_gradients_are_added_where_a_value_or_a_weight_is_used_twice(width: int, by_blas: int, dtype: Dtype) -> None:
    generator = np.random.default_rng(width)
    layers = (Residual((Dense(width),)), Dense(width))
    shared = (("1.weight", "0.body.0.weight"), ("1.bias", "0.body.0.bias"))
    network = Network((width,), layers, shared=shared)
    w, b = whole(generator, width, width), whole(generator, width)
    x, delta = whole(generator, 5, width), whole(generator, 5, width)
    case = Case(network, {"0.body.0.weight": w, "0.body.0.bias": b}, x, upstream=delta, dtype=dtype)
    answer = fastimpl.gradients(case)
    h = x + x @ w + b
    dh = delta @ w.T
    assert np.array_equal(np.asarray(answer.outputs), h @ w + b)
    assert np.array_equal(np.asarray(answer.inputs), dh + dh @ w.T)
    assert np.array_equal(np.asarray(answer.parameters["0.body.0.weight"]), h.T @ delta + x.T @ dh)
    assert np.array_equal(np.asarray(answer.parameters["0.body.0.bias"]), (delta + dh).sum(axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sample_has_the_same_bits_in_every_batch(dtype: Dtype) -> None:
    network = Network((37,), (Dense(29), Dense(11)))
    case = seeded_case(network, 23, seed=1, dtype=dtype)
    together = fastimpl.predict(network, case.parameters, case.inputs, dtype=dtype)
    for size in (1, 2, 5, 8):
        for start in range(0, 23, size):
            part = fastimpl.predict(network, case.parameters, case.inputs[start : start + size], dtype=dtype)
            np.testing.assert_array_equal(part, together[start : start + size])


# Updates that a layer makes itself.


@pytest.fixture
def updated_from(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Sets the size from which a layer updates its weight itself; no plan outlives it."""
    plan.cache_clear()
    yield monkeypatch
    plan.cache_clear()


def set_updated_from(patch: pytest.MonkeyPatch, size: int) -> None:
    for bound in ("UPDATED_FROM", "DESCENDED_FROM"):
        patch.setattr(f"fastimpl.updating.{bound}", size)
    plan.cache_clear()


def trained(case: Case, optimiser: Optimiser, epochs: int = 1) -> dict[str, np.ndarray]:
    training = fastimpl.train(
        case.network,
        case.parameters,
        case.inputs,
        np.asarray(case.targets),
        optimiser=optimiser,
        epochs=epochs,
        batch_size=case.batch,
        shuffle=False,
        dtype=case.dtype,
    )
    assert training.diverged is None
    return dict(training.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_blas", [0, ALL_BY_BLAS], indirect=True)
@pytest.mark.parametrize("rule", ["sgd", "momentum"])
def test_steps_as_large_as_the_weights_are_exact(
    rule: str, by_blas: int, dtype: Dtype, updated_from: pytest.MonkeyPatch
) -> None:
    """W = 0 and η = 1 among them; within the product, and called for where the rule keeps a state."""
    set_updated_from(updated_from, 1)
    loss = Loss("half_squared_error", "sum")
    for (batch, fan_in, units), scale, rate in product(
        (*product((1, 6, 9), (1, 8, 31), (1, 7, 16, 33, 70)), *IN_BLOCKS), (0.0, 1.0), (1.0, 2.0)
    ):
        generator = np.random.default_rng(batch + fan_in + units)
        network = Network((fan_in,), (Dense(units),), loss)
        w, b = scale * whole(generator, fan_in, units), whole(generator, units)
        x, t = whole(generator, batch, fan_in), whole(generator, batch, units)
        case = Case(network, {"0.weight": w, "0.bias": b}, x, targets=t, dtype=dtype)
        optimiser = Optimiser("sgd", rate) if rule == "sgd" else Optimiser("momentum", rate, momentum=0.5)
        assert "0.weight" in updated_within(network, optimiser)
        after = trained(case, optimiser)
        delta = x @ w + b - t
        assert np.array_equal(after["0.weight"], w - rate * x.T @ delta), (batch, fan_in, units)
        assert np.array_equal(after["0.bias"], b - rate * delta.sum(axis=0)), (batch, fan_in, units)


@pytest.mark.parametrize("dtype", DTYPES)
def test_descent_within_our_own_product_is_that_of_the_gradient_bit_by_bit(
    dtype: Dtype, updated_from: pytest.MonkeyPatch
) -> None:
    """Rate, multiple and difference are each rounded to the dtype."""
    set_updated_from(updated_from, 1)
    network = Network((19,), (Dense(27), Activation("tanh"), Dense(5)), Loss("half_squared_error", "sum"))
    case = seeded_case(network, 7, seed=5, dtype=dtype)
    gradient = fastimpl.gradients(case).parameters
    number = np.dtype(dtype).type
    after = trained(case, Optimiser("sgd", 0.1))
    for name in ("0.weight", "2.weight"):
        expected = case.parameters[name] - number(0.1) * np.asarray(gradient[name])
        np.testing.assert_array_equal(after[name], expected, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["adam", "momentum"])
@pytest.mark.parametrize("size", [(50, 20), (1, 33), (7, 1), *(size[1:] for size in IN_BLOCKS)])
def test_an_update_that_a_layer_calls_for_is_that_of_the_end(
    size: tuple[int, int], rule: str, dtype: Dtype, updated_from: pytest.MonkeyPatch
) -> None:
    optimiser = (
        Optimiser("adam", 0.1, beta1=0.9, beta2=0.99, epsilon=1e-8)
        if rule == "adam"
        else Optimiser("momentum", 0.01, momentum=0.9)
    )
    network = Network(size[:1], (Dense(size[1]), Dense(3)), Loss("half_squared_error", "element_mean"))
    case = seeded_case(network, 3, seed=2, dtype=dtype)
    set_updated_from(updated_from, 1)
    assert len(updated_within(network, optimiser)) == 2
    by_layers = trained(case, optimiser, epochs=3)
    set_updated_from(updated_from, 2**62)
    assert not updated_within(network, optimiser)
    at_the_end = trained(case, optimiser, epochs=3)
    for name, value in at_the_end.items():
        np.testing.assert_array_equal(by_layers[name], value, err_msg=name, strict=True)


@pytest.mark.parametrize("size", IN_BLOCKS)
def test_each_block_of_the_gradient_is_written_over_the_one_before(size: tuple[int, int, int]) -> None:
    batch, fan_in, units = size
    assert fan_in * units > BLOCK
    network = Network((fan_in,), (Dense(units),), Loss("half_squared_error", "sum"))
    case = seeded_case(network, batch, seed=3)
    adam = Optimiser("adam", 0.1, beta1=0.9, beta2=0.99, epsilon=1e-8)
    data = np.asarray(case.inputs), np.asarray(case.targets)
    run = Run(checked_settings(network, case.parameters, *data, optimiser=adam, epochs=1, batch_size=None))
    run.advance(one=False)
    (gradient,) = run.program.plan.parameters.views(run.program.dtheta, ["0.weight"]).values()
    (rows,) = np.nonzero(np.any(gradient != 0, axis=1))
    assert 0 < len(rows) == rows[-1] + 1 < fan_in


# Which path is taken, and on which processor.


def test_blas_takes_what_is_large() -> None:
    assert products_by_blas(128, 784, 512) == 0
    assert products_by_blas(128, 2048, 2048) == ALL_BY_BLAS
    assert products_by_blas(1024, 784, 128) == 4
    assert products_by_blas(1, 512, 512) == 2
    assert products_by_blas(63, 256, 256, threads=2) == 0
    assert products_by_blas(64, 256, 256, threads=2) == ALL_BY_BLAS


@pytest.mark.parametrize(
    ("layers", "readers"),
    [
        ((Dense(3), Activation("tanh"), Dense(4)), 1),
        ((Branches(((Dense(3),), (Dense(1), Activation("relu"))), "concat"), Dense(4)), 2),
        ((Residual((Dense(5),)), Dense(4)), 0),
        ((Activation("relu"), Dense(4)), 0),
        ((Dropout(0.5), Dense(4)), 0),
    ],
)
def test_inputs_that_dense_layers_alone_read_are_read_where_they_lie(layers: tuple[Layer, ...], readers: int) -> None:
    """Not where BLAS reads them, nor where a case is asked about whose inputs may be perturbed."""
    network = Network((5,), layers, Loss("half_squared_error", "sum"))
    table = plan(network, "training", Optimiser("sgd", 0.5))
    assert len(table.direct) == readers
    assert bind(table, "float64", 4).direct == table.direct
    assert plan(network, "gradients").direct == ()


def test_inputs_that_blas_reads_are_gathered() -> None:
    table = plan(Network((1024,), (Dense(2048),), Loss("half_squared_error", "sum")), "training", Optimiser("sgd", 0.5))
    assert len(table.direct) == 1
    assert bind(table, "float32", 4).direct == ()


def test_a_processor_of_narrow_vectors_gets_the_same_numbers() -> None:
    """Numba compiles for the least of x86-64 there: 16 registers of 16 bytes, no masks, no fused sums."""
    script = "from verify.suite.fast.test_fast_dense import narrow; narrow()"
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def narrow() -> None:
    from fastimpl import tiles

    assert tiles._processor() is tiles._NARROW
    for batch, fan_in, units in (*product((1, 3, 4, 7), (1, 9), UNITS), *LARGER):
        demand_exact(layer_case(batch, fan_in, units, "float32"))
