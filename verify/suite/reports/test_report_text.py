"""Text from others, and numbers, as they are shown."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reports.numbers import aligned, array_text, duration, shortest, significant
from reports.text import clean, command, encodable, line, shorten


@given(st.text())
def test_clean_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    for char in clean(text):
        assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@given(st.text())
def test_clean_text_is_clean_already(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126)))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert clean(text) == line(text) == command(text) == text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07body", "body"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("a\rb\x00c\x08d\x7f", "abcd"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("\ud800", "\\ud800"),
        ("a\tb", "a    b"),
    ],
)
def test_hostile_text(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_floods_keep_their_ends() -> None:
    shown = clean("\n".join(f"line {n}" for n in range(10_000)))
    assert shown.startswith("line 0\n")
    assert shown.endswith("line 9999")
    assert len(shown.split("\n")) == 30
    assert "9971 lines left out" in shown
    assert len(line("x" * 10**6)) == 500


@given(st.text(), st.integers(1, 50))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert len(shorten(text, width)) <= width
    assert shorten(text, max(width, len(text))) == text


@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp437", "utf-8"]))
def test_encodable_text_can_be_encoded(text: str, encoding: str) -> None:
    encodable(clean(text), encoding).encode(encoding)


def test_signs_have_plain_forms() -> None:
    assert encodable("∂L/∂w − 3×", "ascii") == "dL/dw - 3x"
    assert encodable("3× ∂", "latin-1") == "3× d"


def test_a_command_is_never_shortened_nor_respaced() -> None:
    text = f"gradproof replay abc --target 'my  file.py:{'x' * 2000}'"
    assert command(text + "\n") == text


decimals = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


@given(decimals, decimals)
def test_aligned_numbers_keep_their_values(one: str, other: str) -> None:
    for given_text, digits in zip((one, other), aligned(one, other), strict=True):
        if len(given_text) <= 60:
            assert Decimal(digits.agrees + digits.differs + digits.exponent) == Decimal(given_text)
            assert not digits.pad.strip()


@given(st.decimals(-99, 99, places=12), st.decimals(-99, 99, places=5))
def test_what_agrees_agrees_and_what_differs_differs(one: Decimal, other: Decimal) -> None:
    got, exact = aligned(str(one), str(other))
    width = max(len(d.pad + d.agrees + d.differs) for d in (got, exact))
    padded = [
        f"{text}{'' if '.' in text else '.'}".ljust(width, "0")
        for text in (d.pad + d.agrees + d.differs for d in (got, exact))
    ]
    cut = max(len(d.pad + d.agrees) for d in (got, exact))
    if got.agrees or exact.agrees:
        assert padded[0][:cut] == padded[1][:cut]
    if got.differs or exact.differs:
        assert padded[0][cut : cut + 1] != padded[1][cut : cut + 1] or not (got.agrees or exact.agrees)
    else:
        assert one == other


def test_digits_that_differ() -> None:
    got, exact = aligned("0.013562881298718", "0.013998042109812341287")
    assert (got.agrees, got.differs) == ("0.013", "562881298718")
    assert (exact.agrees, exact.differs) == ("0.013", "998042109812341287")


def test_exponents_are_made_equal_and_points_aligned() -> None:
    got, exact = aligned("-3.2915e-07", "1.02915e-05")
    assert got.text == "-0.032915e-05"
    assert exact.text == " 1.02915e-05"


@pytest.mark.parametrize("got", ["nan", "inf", "-inf", "[0, 2]", None, "not a number", "1e-300"])
def test_what_cannot_be_aligned_is_shown_as_it_came(got: str | None) -> None:
    digits, exact = aligned(got, "0.25")
    assert digits.text == (got or "–")
    assert exact.text == "0.25"


def test_numbers_too_long_to_read_are_shortened() -> None:
    digits, _ = aligned("1" * 5000, "2")
    assert len(digits.text) == 60


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=3),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    ),
    st.integers(10, 100),
)
def test_small_arrays_come_back_bit_for_bit(array: np.ndarray, width: int) -> None:
    text = array_text(array, width)
    back = np.array(eval(text), dtype=array.dtype)
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_float32_is_as_short_as_it_is() -> None:
    assert array_text(np.array([0.1, 1 / 3], dtype=np.float32), 80) == "[0.1       , 0.33333334]"


def test_large_arrays_are_summarised() -> None:
    text = array_text(np.zeros((784, 128)) + 0.25, 80)
    assert "shape (784, 128)" in text
    assert text.count("0.25") == 6
    assert text.endswith("…")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_shortest_text_gives_the_number_back(number: float) -> None:
    assert float(shortest(np.float64(number))) == number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ns"),
        (6.1e-7, "610 ns"),
        (9.999e-4, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (12.345, "12.3 s"),
        (119.4, "119 s"),
        (3725.0, "62 min 5 s"),
        (float("inf"), "inf s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(1e-300, 1e300))
def test_three_digits_are_right(number: float) -> None:
    shown = float(significant(number).replace(",", ""))
    assert abs(shown - number) <= 0.006 * number
