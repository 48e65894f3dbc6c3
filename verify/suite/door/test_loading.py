"""Targets named by text: found, refused with what to change, and surrounded by their own modules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

import verify.judge
from gradproof.case import Case
from gradproof.layers import Activation, Dense
from gradproof.loss import Loss
from gradproof.network import Network
from gradproof.target import Supports
from verify.calling import Answer, NoAnswer
from verify.loading import ROOMS, Implementation, TargetError, adopt, load
from verify.subjects.networks import SUBJECT as NETWORKS
from verify.suite.door.folders import Folder

CASE = Case(
    Network((1,), (Dense(1), Activation("sigmoid")), Loss("half_squared_error", "sum")),
    {"0.weight": [[1.0]], "0.bias": [0.0]},
    [[1.0]],
    targets=[[0.0]],
)
DECLARED = """
    import gradproof

    @gradproof.target(losses="half_squared_error/sum")
    def net(case):
        {body}
"""


def said(implementation: Implementation) -> str:
    answer = NETWORKS.call(implementation, CASE)
    assert isinstance(answer, NoAnswer)
    return answer.findings[0].message


def refusal(text: str) -> Any:
    with pytest.raises(TargetError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["net.py:right", "./net.py:right", "net:right", "net.py:Network", "net:Network"])
def test_a_target_is_found_and_called(folder: Folder, text: str) -> None:
    implementation = load(text)
    assert implementation.text == text
    assert implementation.findable
    assert isinstance(implementation.supports, Supports)
    assert implementation.supports.depth == (1, 2)
    assert isinstance(NETWORKS.call(implementation, CASE), Answer)
    assert isinstance(NETWORKS.call(implementation, CASE), Answer)


def test_a_name_may_have_dots(folder: Folder) -> None:
    folder.write("box.py", "import net\nclass Box:\n    held = net.right\n")
    assert isinstance(NETWORKS.call(load("box.py:Box.held"), CASE), Answer)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nett.py:right", ["no file 'nett.py'", "did you mean 'net.py'?"]),
        ("nowhere:right", ["no module 'nowhere'"]),
        ("net.py:rigth", ["net.py has no 'rigth'", "did you mean 'right'?"]),
        ("net.py:zzz", ["declared there: right, wrong, Network, Needy"]),
        ("net.py", ["expected net.py:name", "declared there: right"]),
        ("net", ["expected path.py:name or package.module:name"]),
        ("net.py:", ["expected net.py:name"]),
        ("net.py:number", ["expected a function or class to call, got int 3"]),
        ("net.py:undeclared", ["does not declare", "@gradproof.target(losses="]),
        ("net.py:Needy", ["cannot be made without arguments", "missing 1 required positional argument"]),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_to_change(folder: Folder, text: str, words: list[str]) -> None:
    said = refusal(text)
    assert all(word in said for word in words), said


def test_the_line_to_paste_is_a_declaration() -> None:
    from verify.loading import DECLARATION

    names: dict[str, Any] = {"gradproof": __import__("gradproof")}
    exec(f"{DECLARATION}\ndef net(case): pass", names)
    supports = adopt(names["net"]).supports
    assert isinstance(supports, Supports)
    assert supports.depth == (1, 3)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nonexistent_module", ["No module named 'nonexistent_module'", 'broken.py", line 1']),
        ("1 / 0", ["ZeroDivisionError", 'broken.py", line 1']),
        ("def f(:", ["SyntaxError", 'broken.py", line 1']),
        ("import sys; sys.exit(3)", ["SystemExit: 3"]),
        ("from . import net", ["package.module:name"]),
        (
            "import gradproof\n@gradproof.target(losses='nope/sum')\ndef net(case): ...",
            ["loss.name", "expected a loss"],
        ),
        ("import helper", ["ZeroDivisionError", "helper.py", "broken.py"]),
    ],
)
def test_an_import_that_fails_shows_their_traceback_and_not_ours(folder: Folder, source: str, words: list[str]) -> None:
    folder.write("helper.py", "1 / 0")
    folder.write("broken.py", source)
    said = refusal("broken.py:net")
    assert all(word in said for word in words), said
    assert "loading.py" not in said
    assert "importlib" not in said
    assert "broken" not in sys.modules


def test_siblings_of_the_file_and_modules_of_the_current_folder_import(folder: Folder) -> None:
    folder.write("parts/helper.py", "VALUE = 1\n")
    folder.write("parts/target.py", "    import helper, net\n" + DECLARED.format(body="import late"))
    folder.write("parts/late.py", "")
    path, modules = list(sys.path), set(sys.modules)
    implementation = load("parts/target.py:net")
    assert "returned None" in said(implementation)
    assert sys.path == path
    assert not {"helper", "late", "net", "target"} & (set(sys.modules) - modules)


def test_a_current_folder_that_a_target_chooses_is_its_own(folder: Folder) -> None:
    folder.write("data/weights.txt", "1")
    folder.write(
        "moves.py", "    import os\n    os.chdir('data')\n" + DECLARED.format(body="return open('weights.txt').read()")
    )
    ours = Path.cwd()  # where records are kept
    implementation = load("moves.py:net")
    assert Path.cwd() == ours
    for _ in range(2):
        assert "returned a str" in said(implementation)
        assert Path.cwd() == ours


def test_a_target_that_removes_its_current_folder_does_not_remove_ours(folder: Folder) -> None:
    body = "os.makedirs('gone'); os.chdir('gone'); os.rmdir(os.getcwd())"
    folder.write("removes.py", "    import os\n" + DECLARED.format(body=body))
    ours = Path.cwd()
    assert "returned None" in said(load("removes.py:net"))
    assert Path.cwd() == ours


def test_two_targets_with_helpers_of_one_name_do_not_meet(folder: Folder) -> None:
    for number in (1, 2):
        folder.write(f"p{number}/helper.py", f"NUMBER = {number}\n")
        body = "import helper; raise RuntimeError(helper.NUMBER)"
        folder.write(f"p{number}/target.py", "    import helper\n" + DECLARED.format(body=body))
    first, second = load("p1/target.py:net"), load("p2/target.py:net")
    for implementation, number in ((first, 1), (second, 2), (first, 1)):
        assert f"RuntimeError: {number}" in said(implementation)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("form", ["module", "package", "folder", "target"])
def test_a_module_of_theirs_called_as_one_of_our_rooms(folder: Folder, room: str, form: str) -> None:
    place = f"{room}.inner" if form == "folder" else room
    body = f"import {place}; return {place}.answer(case)"
    theirs = "import net\n\ndef answer(case):\n    import late\n    return net.right(case)\n"
    folder.write("late.py", "")
    files = {"package": f"{room}/__init__.py", "folder": f"{room}/inner.py"}
    folder.write(files.get(form, f"{room}.py"), theirs)
    if form == "target":
        with (folder.path / f"{room}.py").open("a") as stream:
            stream.write("import gradproof\nnet_right = gradproof.target(**net.SUPPORTS)(answer)\n")
        text = f"{room}.py:net_right"
    else:
        folder.write("user.py", f"    import {place}\n" + DECLARED.format(body=body))
        text = "user.py:net"
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ROOMS}
    implementation = load(text)
    for _ in range(2):
        assert isinstance(NETWORKS.call(implementation, CASE), Answer)
        now = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ROOMS}
        assert now == ours
    assert sys.modules["verify.judge"] is verify.judge


def test_a_folder_of_data_under_the_name_of_a_room_hides_nothing(folder: Folder) -> None:
    folder.write("reports/notes.txt", "")
    assert load("net.py:right").surroundings.hidden_rooms == ()


def test_a_room_of_ours_stays_within_reach_of_a_target_that_has_none_of_that_name(folder: Folder) -> None:
    folder.write("user.py", DECLARED.format(body="import fastimpl; return fastimpl.__file__"))
    assert "a str" in said(load("user.py:net"))


def test_a_python_object_is_a_target_too(folder: Folder) -> None:
    names: dict[str, Any] = {}
    exec(folder.path.joinpath("net.py").read_text(), names)
    for found in (names["right"], names["Network"]):
        names["Network"].made = 0
        implementation = adopt(found)
        assert isinstance(NETWORKS.call(implementation, CASE), Answer)
        assert not implementation.findable
    with pytest.raises(TargetError, match="expected a function or class to call"):
        adopt(cast(Any, 3))
