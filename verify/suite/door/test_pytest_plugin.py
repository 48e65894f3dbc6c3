"""The pytest plugin as somebody's project meets it: each test here runs a pytest of its own in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradproof
from verify import campaign
from verify.suite.door.conftest import NETWORK

pytest_plugins = ("pytester",)

BROKEN = """
import gradproof
import net


@gradproof.target(**net.SUPPORTS)
def broken(case):
    raise OSError("no disk")
"""

RIGHT = ("half_squared_error/sum-one_layer-float64", "half_squared_error/sum-sigmoid-float64")


@pytest.fixture(autouse=True)
def _project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROFILES", {**campaign.PROFILES, "smoke": 12})
    monkeypatch.setenv("COLUMNS", "300")  # lines of summaries are cut off where a terminal ends
    pytester.makepyfile(net=NETWORK, bad=BROKEN)
    pytester.syspathinsert()


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:benchmark", "-p", "no:xdist", *arguments)


def test_the_fixture_fails_a_test_with_the_screen_and_nothing_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_net="""
        import pytest
        import net

        def test_right(gradproof):
            record = gradproof.check(net.right)
            assert record.seed == 0

        @pytest.mark.gradproof(seed=7)
        def test_wrong(gradproof):
            gradproof.check(net.wrong)
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    for said in (
        ">       gradproof.check(net.wrong)",
        "GradientsNotCorrect: wrong: net.py:wrong; 12 cases, all wrong",
        "(profile smoke, seed 7)",
        "∂L/∂0.weight[0, 0]",
        "mend: pass z to the derivative of sigmoid",
        "gradproof replay ",
    ):
        assert said in text
    for ours in ("campaign.py", "asserting.py", "fixture.py"):
        assert ours not in text
    case_id = text.partition("gradproof replay ")[2][:12]
    assert (pytester.path / ".gradproof" / "cases" / f"{case_id}.json").is_file()


def test_a_marker_says_what_it_knows(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_net="""
        import pytest

        @pytest.mark.gradproof(profil="default")
        def test_it(gradproof):
            pass
        """
    )
    result = run(pytester, "--strict-markers")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*knows profile=, seed= and nothing else, got profil"])


def test_a_target_has_an_item_for_each_family(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_other="def test_other(): pass")
    result = run(pytester, "--gradproof-target", "net.py:right", "--gradproof-target", "bad.py:broken", "-rA")
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    for family in RIGHT:
        assert f"PASSED gradproof::net.py:right::{family}" in text
        assert f"FAILED gradproof::bad.py:broken::{family} - crashed: bad.py:broken; 12 cases, all crashed" in text
    assert "test_other" not in text
    assert "Traceback" not in text

    again = run(pytester, "--gradproof-target", "net.py:right", "--gradproof-target", "bad.py:broken", "--lf")
    again.assert_outcomes(failed=2, deselected=2)
    some = run(pytester, "--gradproof-target", "net.py:right", "-k", "one_layer and right")
    some.assert_outcomes(passed=1, deselected=1)
    both = run(pytester, "--gradproof-target", "net.py:right", "test_other.py")
    both.assert_outcomes(passed=3)


def test_an_id_is_an_argument(pytester: pytest.Pytester) -> None:
    run(pytester, f"gradproof::net.py:right::{RIGHT[0]}").assert_outcomes(passed=1)
    run(pytester, "gradproof::net.py:right").assert_outcomes(passed=2)
    result = run(pytester, "gradproof::net.py:right::nonsense")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"net.py:right has no family 'nonsense'; it has {', '.join(RIGHT)}"])
    result = run(pytester, "gradproof::nit.py:right")
    result.stdout.fnmatch_lines(["*no file 'nit.py' in *; did you mean 'net.py'?"])


def test_targets_of_the_configuration_run_with_the_tests_from_any_folder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\ngradproof_targets =\n    net.py:right\n")
    pytester.makepyfile(**{"tests/test_other": "def test_other(): pass"})
    run(pytester).assert_outcomes(passed=3)
    monkeypatch.chdir(pytester.path / "tests")
    run(pytester).assert_outcomes(passed=3)


def known(pytester: pytest.Pytester, text: str) -> None:
    (pytester.path / "gradproof.toml").write_text(text)


def test_known_failures_are_expected_and_stale_entries_fail(pytester: pytest.Pytester) -> None:
    known(
        pytester,
        """
        [[known_failures]]
        id = "*-one_layer-*"
        target = "*:broken"
        reason = "the disk is full"
        issue = "https://example.org/1"
        """,
    )
    result = run(pytester, "--gradproof-target", "bad.py:broken", "-rx")
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines(["XFAIL *one_layer* - the disk is full (https://example.org/1)"])

    known(pytester, '[[known_failures]]\nid = "*-one_layer-*"\nreason = "was so once"')
    result = run(pytester, "--gradproof-target", "net.py:right")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*'*-one_layer-*' of known_failures matches *, which passes: narrow its id*"])

    known(pytester, '[[known_failures]]\nid = "*-two_layers-*"\nreason = "never so"')
    result = run(pytester, "--gradproof-target", "net.py:right")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*matches none of 2 families*", "FAILED gradproof::gradproof.toml::*two_layers*"])

    known(pytester, '[[known_failures]]\nid = "*"\nreason = "so"\nverdict = "inaccurate"')
    run(pytester, "--gradproof-target", "bad.py:broken").assert_outcomes(failed=2)

    known(pytester, '[[known_failures]]\nid = "*"\nreson = "so"')
    result = run(pytester, "--gradproof-target", "net.py:right")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*the keys id, reason, issue, target, verdict and no other*'reson'; did you mean 'reason'?"]
    )


def test_workers_of_xdist_run_the_same_items(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = pytester.runpytest_subprocess("-n", "1", f"gradproof::net.py:right::{RIGHT[0]}", timeout=180)
    result.assert_outcomes(passed=1)


OWN_ROOMS = {
    "verify": "ours = True",
    "reports/__init__": "",
    "reports/page": "ours = True",
    "benchmarks/__init__": "ours = True",
    "conftest": "import verify, benchmarks",
    "test_net": """
        import net

        def test_before():
            import reports.page, verify
            assert reports.page.ours and verify.ours

        def test_gradients(gradproof):
            gradproof.check(net.right, profile="smoke")

        def test_after():
            import reports.page, verify, benchmarks
            assert reports.page.ours and verify.ours and benchmarks.ours

        def test_plain():
            import gradproof
            try:
                gradproof.check(net.right)
            except gradproof.GradproofError as error:
                assert "verify.py hides gradproof's own package 'verify'" in str(error)
                assert "gradproof check" in str(error)
            else:
                raise AssertionError("it is hidden")
    """,
}


def test_a_project_keeps_its_own_modules_of_our_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**OWN_ROOMS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=180)
    result.assert_outcomes(passed=4)


def test_a_pytest_that_asks_for_nothing_loads_nothing() -> None:
    heavy = ("numpy", "click", "rich", "hypothesis", "sympy", "numba", "scipy", "flint", "verify", "refimpl", "reports")
    code = (
        "import sys, pytest\n"
        "class Seen:\n"
        "    def pytest_configure(self, config): assert config.pluginmanager.hasplugin('gradproof')\n"
        "pytest.main(['--version', '-p', 'gradproof.pytest_plugin'])\n"
        "import gradproof.pytest_plugin\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert result.returncode == 0, result.stderr


def test_an_assertion_needs_no_pytest(pytester: pytest.Pytester) -> None:
    right, wrong = f"{pytester.path}/net.py:right", f"{pytester.path}/net.py:wrong"
    assert gradproof.assert_correct(right).cases == 12
    with pytest.raises(AssertionError) as caught:
        gradproof.assert_correct(wrong)
    assert isinstance(caught.value, gradproof.GradientsNotCorrect)
    failure = caught.value.record.failures[0]
    assert failure.script is not None
    assert (Path(".gradproof") / "cases" / f"{failure.case_id}.npz").is_file()
    with pytest.raises(gradproof.ArgumentError, match="profile"):
        gradproof.assert_correct(right, profile="smok")
