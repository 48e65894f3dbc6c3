"""Dropout's definition, derivatives and bounds: by hand, by every route, and by every order that careful code takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pytest

from gradproof import Activation, ArgumentError, Case, Dense, Dropout, Loss, Network
from gradproof.vocabulary import DTYPES, Dtype
from refimpl.allowance import allowance
from refimpl.bruteforce import enclose_difference, prove_identity
from refimpl.enclosure import enclosure
from refimpl.formats import Format
from refimpl.naive import naive_allowance
from refimpl.program import evaluate_numpy
from refimpl.symbolic import symbolic
from refimpl.taylor import conflicts
from verify.strategies import seeded_case

PROBABILITIES: Final = (0.0, 0.5, 0.25, 0.1, 0.3, 0.75, 0.9, 0.99, 0.999)
UNDERFLOW: Final = 10
"""So many smallest normal numbers are less than any number here by far."""
LAYERS = (Dense(4), Activation("tanh"), Dropout(0.3), Dense(3), Activation("relu"), Dropout(0.5), Dense(2))
NETWORK = Network((3,), LAYERS, Loss("half_squared_error", "batch_mean", "real"))


def alone(probability: float, dtype: Dtype = "float64", size: int = 64) -> Case:
    """Dropout alone, over many numbers, about half of them kept."""
    return seeded_case(Network((size,), (Dropout(probability),)), 2, seed=7, dtype=dtype).replace(
        masks={"0": np.random.default_rng(8).integers(0, 2, (2, size))}
    )


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_outputs_and_gradient_are_the_kept_entries_over_one_less_p(probability: float) -> None:
    case = alone(probability)
    mask, enclosed = case.masks["0"], enclosure(case)
    factor = 1 / (1 - Fraction(probability))
    for name, array in (("outputs", case.inputs), ("inputs", case.upstream)):
        assert array is not None
        exact = [
            factor * Fraction(float(x)) if kept else Fraction(0) for x, kept in zip(array.flat, mask.flat, strict=True)
        ]
        assert enclosed.nearest(name).ravel().tolist() == [float(number) for number in exact]
    assert not conflicts(enclosed)


def test_without_masks_it_is_not_there() -> None:
    case = seeded_case(NETWORK, 3, seed=2)
    layers = tuple(layer for layer in LAYERS if not isinstance(layer, Dropout))
    renamed = {"0": "0", "3": "2", "6": "4"}
    plain = case.replace(
        network=NETWORK.replace(layers=layers),
        masks={},
        parameters={f"{renamed[n.split('.')[0]]}.{n.split('.')[1]}": a for n, a in case.parameters.items()},
    )
    evaluated = case.replace(masks={})
    assert evaluate_numpy(evaluated)[0] == evaluate_numpy(plain)[0] != evaluate_numpy(case)[0]
    mine, its = allowance(evaluated).rigorous, allowance(plain).rigorous
    assert [bound.tolist() for bound in mine.values()] == [bound.tolist() for bound in its.values()]


def test_every_route_to_the_exact_numbers_agrees() -> None:
    case = seeded_case(NETWORK, 2, seed=3)
    assert not all(mask.all() for mask in case.masks.values())
    enclosed = enclosure(case)
    assert not conflicts(enclosed)
    numbers = symbolic(NETWORK, 2, masked=True).numbers(case)
    for name in enclosed.names():
        assert all(a.overlaps(b) for a, b in zip(numbers.balls(name).flat, enclosed.balls(name).flat, strict=True))
    small = Network((1,), (Dense(2), Activation("tanh"), Dropout(0.1), Dense(1)), Loss("squared_error", "sum"))
    assert enclose_difference(seeded_case(small, 2, seed=1)).below(100)
    assert prove_identity(small.replace(layers=small.layers[:3]), masked=True).holds


def test_symbols_say_mask_and_probability() -> None:
    network = Network((1,), (Dropout(0.1), Dense(1, bias=False)), Loss("half_squared_error", "sum"))
    text = str(symbolic(network, masked=True))
    assert "y0[0] = m0[0]*x[0]/(1 - 0.1)" in text.splitlines()
    assert "m0" not in str(symbolic(network))
    assert "y0[0,1] = m0[0,1]*x[0,1]/2" not in text
    doubled = symbolic(network.replace(layers=(Dropout(0.5), Dense(1, bias=False))), 2, masked=True)
    assert "y0[1,0] = 2*m0[1,0]*x[1,0]" in str(doubled).splitlines()
    assert r"\frac{m^{(0)}_{0} x_{0}}{1 - 0.1}" in symbolic(network, masked=True).program_latex()
    with pytest.raises(ArgumentError, match=r"case.masks: expected False, got True"):
        symbolic(network).numbers(seeded_case(network, 1))


Way = Callable[[Any, Any, Any, Any], Any]
WAYS: Final[dict[str, Way]] = {
    "scaled mask": lambda one, p, mask, a: a * (mask / (one - p)),
    "scaled mask by reciprocal": lambda one, p, mask, a: a * (mask * (one / (one - p))),
    "divided last": lambda one, p, mask, a: a * mask / (one - p),
    "scaled last": lambda one, p, mask, a: a * mask * (one / (one - p)),
    "scaled first": lambda one, p, mask, a: a * (one / (one - p)) * mask,
    "chosen": lambda one, p, mask, a: np.where(mask != 0, a / (one - p), 0 * a),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wide", [False, True], ids=["p in the dtype", "p in float64"])
@pytest.mark.parametrize("way", WAYS)
def test_the_allowance_covers_every_order_and_a_rounded_probability(way: str, wide: bool, dtype: Dtype) -> None:
    """On dropped entries nothing but underflow is allowed."""
    number = np.float64 if wide else np.dtype(dtype).type
    worst = 0.0
    for probability in PROBABILITIES:
        case = alone(probability, dtype)
        enclosed, allowed = enclosure(case), allowance(case).rigorous
        for name, array in (("outputs", case.inputs), ("inputs", case.upstream)):
            mask = case.masks["0"].astype(dtype)
            got = WAYS[way](number(1), number(probability), mask, array).astype(dtype)
            off = enclosed.distance_upper(name, got)
            assert np.all(off <= allowed[name]), (probability, name)
            kept = mask != 0
            assert not np.any(got[~kept])
            assert np.all(allowed[name][~kept] <= UNDERFLOW * np.finfo(dtype).tiny)
            worst = max(worst, float((off[kept] / allowed[name][kept]).max()))
    assert worst > 0.1, "the bound is not made of air"


def test_a_probability_of_few_bits_is_never_rounded_and_costs_nothing() -> None:
    """p = 0.25 in float32 allows as much as its two roundings and the product's; p = 0.3 those of p besides."""
    unit = Format.of("float32").unit
    for probability, roundings in ((0.5, 2), (0.25, 4), (0.3, 4 + math.ceil(0.3 / 0.7) + 1), (0.9, 4 + 10 + 1)):
        case = alone(probability, "float32")
        kept = case.masks["0"]
        exact = np.abs(enclosure(case).nearest("outputs"))[kept]
        relative = allowance(case).rigorous["outputs"][kept] / exact
        assert np.all(relative <= 1.001 * roundings * unit)
        assert np.all(relative > 0.9 * (roundings - 1) * unit)


def test_a_wrong_factor_is_far_outside_any_bound() -> None:
    for dtype in DTYPES:
        case = alone(0.9, dtype)
        for bound in (allowance(case).rigorous["outputs"], naive_allowance(case).bound["outputs"]):
            off = enclosure(case).distance("outputs", case.inputs * case.masks["0"] * (10 * (1 + 1e-5)))
            assert np.all(off[case.masks["0"]] > bound[case.masks["0"]])


def test_masks_are_not_rounded_with_the_rest() -> None:
    """A float64 case judged in float32: its numbers are rounded, 0 and 1 are not."""
    case = alone(0.5)
    kept, exact = case.masks["0"], np.abs(enclosure(case).nearest("outputs"))
    bound = allowance(case, "float32").rigorous["outputs"]
    assert np.all(bound[~kept] <= UNDERFLOW * np.finfo(np.float32).tiny)
    assert np.all(bound[kept] <= 1.001 * (1 + 2) * Format.of("float32").unit * exact[kept]), (
        "the input's and two products'"
    )


def test_dropped_entries_meet_kinks_that_reach_nothing() -> None:
    """A ReLU behind dropout meets 0 at each dropped entry; the factor 0 of the mask makes the set a point."""
    network = Network((4,), (Dropout(0.5), Activation("relu"), Dense(1)))
    case = seeded_case(network, 2, seed=5).replace(masks={"0": [[0, 1, 0, 1], [1, 1, 0, 0]]})
    enclosed = enclosure(case)
    assert enclosed.met_kinks == 4
    assert not enclosed.outer_hull
    assert not np.any(enclosed.nearest("inputs")[~case.masks["0"]]), "which a set would not have"
