"""Archives: what was written comes back; what was not written so is refused by name, and nothing of it runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fastimpl.archives import HEADER, ArrayKind, read, write
from gradproof.errors import RecordError

Kinds = dict[str, ArrayKind]

ARRAYS = {"a/0.weight": np.arange(6.0).reshape(2, 3), "b": np.array([1, -2]), "c": np.zeros((0,), np.float32)}


def kinds_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: [array.dtype.name, array.shape] for name, array in arrays.items()}


def described(header: dict[str, Any]) -> Kinds:
    return {name: ArrayKind(dtype, tuple(shape)) for name, (dtype, shape) in header.items()}


def store(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    write(path, json.dumps(kinds_of(arrays)).encode(), arrays)


def load(path: Path) -> dict[str, np.ndarray]:
    return read(path, json.loads, described)[1]


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, changes: Mapping[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> None:
    kept = {name: data for name, data in {**members(path), **changes}.items() if data is not None}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    store(path, ARRAYS)
    return path


shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0)
some_arrays = st.one_of(*(npst.arrays(dtype, shapes) for dtype in ("float64", "float32", "int64")))
some_names = st.text("abcé0./_ ", min_size=1, max_size=9)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(some_names, some_arrays, max_size=4))
def test_arrays_come_back_bit_for_bit_here_and_in_numpy(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("archive") / "x.npz"
    store(path, arrays)
    back = load(path)
    assert list(back) == list(arrays)
    with np.load(path, allow_pickle=False) as theirs:
        for name, array in arrays.items():
            for other in (back[name], theirs[name]):
                assert (other.dtype, other.shape) == (array.dtype, array.shape)
                assert other.tobytes() == array.tobytes()
            assert back[name].flags.writeable


def test_layouts_and_byte_orders_are_made_one(path: Path) -> None:
    first = path.read_bytes()
    store(path, {**ARRAYS, "a/0.weight": np.asfortranarray(ARRAYS["a/0.weight"])})
    assert path.read_bytes() == first
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in ARRAYS.items()}
    store(path, swapped)
    assert path.read_bytes() == first


class Trap:
    """Its pickle makes a folder where it is loaded."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.where),)


def pickled(trap: Trap) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([trap], dtype=object), allow_pickle=True)
    return stream.getvalue()


def test_a_pickled_object_is_refused_and_not_loaded(path: Path, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    for data in (pickled(trap), pickle.dumps(trap)):
        rewritten(path, {"b.npy": data})
        with pytest.raises(RecordError, match="'b'"):
            load(path)
        # Of the right size too, so that the description alone tells.
        size = len(ArrayKind("int64", (len(data),)).description) + 8 * len(data)
        rewritten(
            path,
            {HEADER: json.dumps({"b": ["int64", [len(data)]]}).encode(), "b.npy": data.ljust(size)}
            | dict.fromkeys(("a/0.weight.npy", "c.npy")),
        )
        with pytest.raises(RecordError, match="another description"):
            load(path)
        store(path, ARRAYS)
    assert not trap.where.exists()


def test_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        store(path, ARRAYS)
        rewritten(path, {"b.npy": bytes(10**7)}, compression=method)
        with pytest.raises(RecordError, match="compressed"):
            load(path)


def test_a_huge_shape_reserves_nothing(path: Path) -> None:
    for shape in ((10**12,), (2**31, 2**31, 2**31), (10**5000,), (1,) * 40_000):
        try:
            header = json.dumps({"b": ["float64", shape]})
        except ValueError:  # Python's own limit on digits
            header = f'{{"b": ["float64", [{"9" * 5001}]]}}'
        rewritten(path, {HEADER: header.encode(), "a/0.weight.npy": None, "c.npy": None})
        with pytest.raises(RecordError):
            load(path)


def test_sizes_that_lie_are_refused(path: Path) -> None:
    data = path.read_bytes()
    # In the directory at the end of the archive, a member says how large it is: make the last say 2^31 − 2.
    start = data.rindex(b"PK\x01\x02")
    lie = (2**31 - 2).to_bytes(4, "little")
    path.write_bytes(data[: start + 20] + lie + lie + data[start + 28 :])
    with pytest.raises(RecordError):
        load(path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({HEADER: None}, f"missing member '{HEADER}'"),
        ({"b.npy": None}, "missing member 'b.npy'"),
        ({"d.npy": b""}, "unexpected member 'd.npy'"),
        ({"../../evil.npy": b""}, "unexpected member"),
        ({"b.npy": b""}, "'b': expected 144 bytes"),
        ({"b.npy": ArrayKind("float64", (2,)).description + bytes(16)}, "'b': expected int64"),
        ({"b.npy": ArrayKind("int64", (1, 2)).description + bytes(16)}, "'b': expected int64"),
    ],
)
def test_members_that_do_not_belong_are_refused_by_name(
    path: Path, changes: Mapping[str, bytes | None], match: str
) -> None:
    rewritten(path, changes)
    with pytest.raises(RecordError, match=match) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_member_that_stands_there_twice_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("b.npy", members(path)["b.npy"])
    with pytest.raises(RecordError, match="twice"):
        load(path)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """One member lies within another's numbers: so could thousands, and a small file would fill the memory."""
    inner, outer = {"inner": np.ones(1000)}, {"outer": np.zeros(1200)}
    store(tmp_path / "inner.npz", inner)
    with zipfile.ZipFile(tmp_path / "inner.npz") as archive:
        hidden = archive.getinfo("inner.npy")
    local = (tmp_path / "inner.npz").read_bytes()[hidden.header_offset :][: 30 + len("inner.npy") + hidden.file_size]
    description = ArrayKind("float64", (1200,)).description
    path = tmp_path / "shared.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HEADER, json.dumps(kinds_of(inner | outer)))
        archive.writestr("outer.npy", (description + local).ljust(len(description) + 9600, b"\0"))
        hidden.header_offset = archive.getinfo("outer.npy").header_offset + 30 + len("outer.npy") + len(description)
        archive.filelist.append(hidden)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [HEADER, "outer.npy", "inner.npy"]
    with pytest.raises(RecordError, match="overlap"):
        load(path)


def test_what_is_no_archive_is_refused_and_what_is_not_there_says_so(tmp_path: Path) -> None:
    for data in (b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18), pickle.dumps([1])):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(RecordError, match="x: "):
            load(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


DAMAGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=400)
@given(DAMAGES, st.integers(0, 10**6), st.booleans())
def test_damage_anywhere_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, int]], end: int, cut: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    if not path.exists():
        store(path, ARRAYS)
        path.with_suffix(".whole").write_bytes(path.read_bytes())
    data = bytearray(path.with_suffix(".whole").read_bytes())
    for place, byte in damages:
        data[place % len(data)] = byte
    path.write_bytes(data[: end % len(data)] if cut else data)
    try:
        back = load(path)
    except RecordError:
        return
    # What the checksums of an archive do not cover: times, permissions, comments.
    assert {name: array.tobytes() for name, array in back.items()} == {n: a.tobytes() for n, a in ARRAYS.items()}


def test_a_failed_write_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store(path, {"other": np.ones(3)})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
