"""Initial parameters: the documented generator in plain Python, the distributions, and what they do not depend on.

Random tests have thresholds that a correct generator exceeds once in a million; seeds are fixed, so a run always says
the same.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastimpl import permutation
from fastimpl.initialisation import initialise
from gradproof.errors import ArgumentError
from gradproof.initialisation import INITIALISATIONS, Initialisation
from gradproof.layers import Activation, Branches, Dense, Maxout, Residual
from gradproof.network import Network, dense_chain

RISK = 1e-6
WORD = 2**64
STEP = 0x9E3779B97F4A7C15
PURPOSE = int.from_bytes(b"INITIALS", "big")
RELU = Activation("relu")

TREE = Network(
    (6,),
    (
        Dense(8),
        Maxout(2),
        Residual((Dense(4), RELU)),
        Branches(((Dense(3), RELU), (Dense(5, bias=False),)), "concat"),
        Dense(2),
    ),
)
NAMES = list(TREE.positions)

numbers = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3))
spans = st.tuples(numbers, numbers).map(sorted)
without_fans = st.one_of(
    st.just(Initialisation("zeros")),
    numbers.map(lambda x: Initialisation("constant", value=x)),
    numbers.map(lambda x: Initialisation("normal", std=abs(x))),
    spans.map(lambda span: Initialisation("uniform", low=span[0], high=span[1])),
)
with_fans = st.builds(
    lambda name, gain: Initialisation(name, gain=abs(gain)),
    st.sampled_from([name for name, has in INITIALISATIONS.items() if "gain" in has]),
    numbers,
)
initialisations = st.builds(
    lambda weights, biases: msgspec.structs.replace(weights, biases=biases),
    without_fans | with_fans,
    st.none() | without_fans,
)


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


class Stream:
    """Multiples of 2^-53 in [0, 1), as ``fastimpl.splitmix`` describes them."""

    def __init__(self, seed: int, number: int) -> None:
        self.state = mix((mix(mix(seed) ^ PURPOSE) + (number + 1) * STEP) % WORD)

    def uniform(self) -> float:
        self.state = (self.state + STEP) % WORD
        return (mix(self.state) >> 11) / 2**53

    def normal(self) -> float:
        while True:
            u, w = 1 - self.uniform(), self.uniform() - 0.5
            z = 1.7155277699214135 * w / u
            if z * z <= -4 * math.log(u):
                return z


def documented(weights: Initialisation, name: str, seed: int) -> np.ndarray:
    """A parameter of TREE as the modules' words and the papers' formulas have it."""
    shape, stream = TREE.positions[name], Stream(seed, NAMES.index(name))
    rule = (weights.biases or Initialisation("zeros")) if name.endswith("bias") else weights
    number = {field: float(getattr(rule, field) or 0.0) for field in ("low", "high", "std", "gain", "value")}
    count = math.prod(shape)
    fans = (shape[0] + shape[-1]) if rule.name.startswith("xavier") else shape[0]
    if rule.name in ("zeros", "constant"):
        drawn = [number["value"]] * count
    elif rule.name == "uniform":
        drawn = [number["low"] + (number["high"] - number["low"]) * stream.uniform() for _ in range(count)]
    elif rule.name.endswith("uniform"):
        end = number["gain"] * math.sqrt(6 / fans)
        drawn = [end * (2 * stream.uniform() - 1) for _ in range(count)]
    else:
        std = number["std"] if rule.name == "normal" else number["gain"] * math.sqrt(2 / fans)
        drawn = [std * stream.normal() for _ in range(count)]
    return np.array(drawn).reshape(shape)


def one_weight(initialisation: Initialisation | str, fans: tuple[int, int] = (300, 200), seed: int = 0) -> np.ndarray:
    return initialise(Network(fans[:1], (Dense(fans[1]),)), initialisation, seed=seed)["0.weight"]


@settings(deadline=None, max_examples=150)
@given(initialisations, st.integers(0, WORD - 1))
def test_it_is_what_is_documented(initialisation: Initialisation, seed: int) -> None:
    drawn = initialise(TREE, initialisation, seed=seed)
    assert list(drawn) == NAMES
    for name in NAMES:
        expected = documented(initialisation, name, seed)
        # Both take at most six roundings in another order; where two terms cancel, each is off by its own size.
        rule = (initialisation.biases or Initialisation("zeros")) if name.endswith("bias") else initialisation
        scale = np.abs(expected).max(initial=0.0) + max(abs(rule.low or 0.0), abs(rule.high or 0.0))
        if rule.gain is not None:
            scale += rule.gain * math.sqrt(6 / TREE.positions[name][0])
        np.testing.assert_allclose(drawn[name], expected, rtol=0, atol=8 * np.finfo(float).eps * scale)


def test_plain_uniform_and_normal_are_the_documented_bits() -> None:
    for rule in (Initialisation("uniform", low=0, high=1), Initialisation("normal", std=1)):
        drawn = initialise(TREE, msgspec.structs.replace(rule, biases=rule), seed=7)
        for name in NAMES:
            expected = documented(msgspec.structs.replace(rule, biases=rule), name, 7)
            np.testing.assert_array_equal(drawn[name], expected)


FIRST_UNIFORM = [0.6953173536755024, 0.356065624447116]
FIRST_NORMAL = [-0.8104282317552419, -2.7330018541500083]


def test_the_first_numbers_stay_what_they_were() -> None:
    """A change of the generator would change what everybody's seeds mean."""
    assert one_weight(Initialisation("uniform", low=0, high=1))[0, :2].tolist() == FIRST_UNIFORM
    assert one_weight(Initialisation("normal", std=1))[0, :2].tolist() == FIRST_NORMAL


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("xavier_normal", 2 / 500),
        ("xavier_uniform", 2 / 500),
        ("he_normal", 2 / 300),
        ("he_uniform", 2 / 300),
        ("normal", 1.0),
        ("uniform", 1 / 3),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, WORD - 1])
def test_the_distribution_is_the_declared_one(name: str, variance: float, gain: float, seed: int) -> None:
    if name == "normal":
        rule = Initialisation(name, std=gain)
    elif name == "uniform":
        rule = Initialisation(name, low=-gain, high=gain)
    else:
        rule = Initialisation(name, gain=gain)
    drawn, std = one_weight(rule, seed=seed).ravel(), gain * math.sqrt(variance)
    n = drawn.size
    if "uniform" in name:
        end = std * math.sqrt(3)
        assert np.all((drawn >= -end) & (drawn <= end))
        # The extremes of n even numbers miss their ends by a share x with probability (1 - x)^n each.
        reach = 2 * end * (1 - RISK ** (1 / n))
        assert drawn.min() < -end + reach
        assert drawn.max() > end - reach
        distribution = stats.uniform(-end, 2 * end)
    else:
        distribution = stats.norm(0, std)
        assert abs(drawn.mean()) < stats.norm.isf(RISK / 2) * std / math.sqrt(n)
        square = float(np.sum((drawn / std) ** 2))
        assert stats.chi2.isf(1 - RISK / 2, n) < square < stats.chi2.isf(RISK / 2, n)
        # The largest of n is beyond x with probability n · P(|z| > x) at most; and hardly ever below 3.
        assert 3 * std < np.abs(drawn).max() < std * stats.norm.isf(RISK / (2 * n))
    # Dvoretzky, Kiefer and Wolfowitz with Massart's constant: P(D > d) <= 2 exp(-2 n d^2), for every n.
    distance = stats.kstest(drawn, distribution.cdf).statistic
    assert distance < math.sqrt(math.log(2 / RISK) / (2 * n))


def joint(first: np.ndarray, second: np.ndarray) -> float:
    """χ² of the 8×8 cells of pairs of even numbers in [0, 1), 63 degrees of freedom."""
    counts, _, _ = np.histogram2d(first, second, bins=8, range=((0, 1), (0, 1)))
    expected = first.size / 64
    return float(((counts - expected) ** 2 / expected).sum())


def test_parameters_places_seeds_and_orders_are_independent() -> None:
    limit = stats.chi2.isf(RISK, 63)
    even = Initialisation("uniform", low=0, high=1)
    network = Network((200,), dense_chain((200, 200, 200), (RELU, RELU)))
    drawn = {seed: initialise(network, even, seed=seed) for seed in (0, 1, 2)}
    first, second = drawn[0]["0.weight"].ravel(), drawn[0]["2.weight"].ravel()
    pairs = {
        "two parameters": (first, second),
        "neighbours": (first[:-1], first[1:]),
        "rows": (first[:-200], first[200:]),
        "seeds": (first, drawn[1]["0.weight"].ravel()),
        "a seed and a place, one up and one down": (drawn[1]["0.weight"].ravel(), second),
        "the order of the samples": (first, (permutation(first.size, 0, 0) + 0.5) / first.size),
    }
    for what, (left, right) in pairs.items():
        assert joint(left, right) < limit, what
        assert np.intersect1d(left, right).size <= (left.size if what in ("neighbours", "rows") else 0), what
    assert joint(first, first) > limit, "the test sees what depends"


def test_seeds_differ_and_repeat() -> None:
    drawn = [initialise(TREE, "he_normal", seed=seed) for seed in (0, 1, 2**32, WORD - 1, 0)]
    for name in NAMES:
        if name.endswith("weight"):
            assert len({values[name].tobytes() for values in drawn}) == 4
        np.testing.assert_array_equal(drawn[0][name], drawn[-1][name])
    drawn[0]["0.weight"][...] = 0
    assert np.any(initialise(TREE, "he_normal", seed=0)["0.weight"]), "arrays are the caller's own"


def test_float32_is_float64_rounded_once() -> None:
    for rule in ("he_normal", "xavier_uniform"):
        wide, narrow = initialise(TREE, rule, seed=3), initialise(TREE, rule, seed=3, dtype="float32")
        for name in NAMES:
            assert narrow[name].dtype == np.float32
            np.testing.assert_array_equal(narrow[name], wide[name].astype(np.float32))


def test_sharing_freezing_and_other_layers_change_no_other_parameter() -> None:
    layers = dense_chain((4, 4, 4, 4), (RELU, RELU, RELU))
    plain = initialise(Network((4,), layers), "he_normal", seed=5)
    shared = Network((4,), layers, shared=(("2.weight", "0.weight"),), frozen=("4.weight", "0.bias"))
    drawn = initialise(shared, "he_normal", seed=5)
    assert list(drawn) == [name for name in plain if name != "2.weight"]
    for name, values in drawn.items():
        np.testing.assert_array_equal(values, plain[name])
    assert np.any(drawn["4.weight"])
    wider = initialise(Network((4,), (*layers[:4], Dense(9))), "he_normal", seed=5)
    np.testing.assert_array_equal(wider["0.weight"], plain["0.weight"])


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Initialisation("xaver_normal"), "initialisation.name"),
        (lambda: Initialisation("normal"), "initialisation.std"),
        (lambda: Initialisation("normal", std=-1.0), "initialisation.std"),
        (lambda: Initialisation("normal", std=math.nan), "initialisation.std"),
        (lambda: Initialisation("normal", std="1"), "initialisation.std"),  # type: ignore[arg-type]
        (lambda: Initialisation("normal", std=1.0, gain=2.0), "initialisation.gain"),
        (lambda: Initialisation("uniform", low=0.0), "initialisation.high"),
        (lambda: Initialisation("uniform", low=1.0, high=0.0), "initialisation.high"),
        (lambda: Initialisation("uniform", low=-1.7e308, high=1.7e308), "initialisation.high"),
        (lambda: Initialisation("he_normal", gain=-1.0), "initialisation.gain"),
        (lambda: Initialisation("he_normal", gain=math.inf), "initialisation.gain"),
        (lambda: Initialisation("he_normal", biases=Initialisation("he_normal")), "initialisation.biases"),
        (lambda: Initialisation("he_normal", biases="zeros"), "initialisation.biases"),  # type: ignore[arg-type]
        (lambda: initialise(TREE, "normal"), "initialisation"),
        (lambda: initialise(TREE, "he"), "initialisation.name"),
        (lambda: initialise(TREE, 1.0), "initialisation"),  # type: ignore[arg-type]
        (lambda: initialise(TREE, Initialisation("normal", std=1e300), dtype="float32"), "initialisation"),
        (lambda: initialise(TREE, Initialisation("he_uniform", gain=1e308)), "initialisation"),
        (lambda: initialise(TREE, seed=-1), "seed"),
        (lambda: initialise(TREE, seed=WORD), "seed"),
        (lambda: initialise(TREE, seed=0.0), "seed"),  # type: ignore[arg-type]
        (lambda: initialise(TREE, dtype="float16"), "dtype"),  # type: ignore[arg-type]
        (lambda: initialise((Dense(3),)), "network"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(make: object, argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.argument == argument


def test_a_close_name_is_suggested_and_missing_numbers_are_shown() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'xavier_normal'"):
        initialise(TREE, "xaver_normal")
    with pytest.raises(ArgumentError, match=r'Initialisation\("uniform", low=\.\.\., high=\.\.\.\)'):
        initialise(TREE, "uniform")


@given(initialisations)
def test_it_is_a_value(initialisation: Initialisation) -> None:
    again = msgspec.json.decode(msgspec.json.encode(initialisation), type=Initialisation)
    assert again == initialisation
    assert hash(again) == hash(initialisation)
    assert "\n" not in str(initialisation)
