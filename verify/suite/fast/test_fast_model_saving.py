"""Models in files: a training goes on as if it had never stopped; damaged and hostile files are refused by name."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastimpl.archives import HEADER, ArrayKind
from gradproof import Activation, Loss, Model, Network, Optimiser, Schedule
from gradproof.errors import ArgumentError, RecordError, TrainingDivergedError
from gradproof.layers import Branches, Dense, Dropout, Maxout, Residual
from gradproof.loss import Penalty
from gradproof.optimiser import OPTIMISERS

TANH, IDENTITY = Activation("tanh"), Activation("identity")
TREE = Network(
    (3,),
    (
        Dense(8),
        Maxout(2),
        Residual((Dense(4), TANH)),
        Branches(((Dense(3), TANH), (Dense(5, bias=False),)), "concat"),
        Dense(8),
        TANH,
        Dropout(0.25),
        Dense(8),
        Dense(2),
    ),
    Loss("squared_error", "batch_mean"),
    Penalty("l2", 0.01, half=True, biases=False),
    shared=(("7.weight", "4.weight"),),
    frozen=("0.bias", "8.weight"),
)
RNG = np.random.default_rng(2)
X, T = RNG.normal(size=(17, 3)), RNG.normal(size=(17, 2))


def optimiser_of(variant: str) -> Optimiser:
    return Optimiser.usual(variant, 0.01, schedule=Schedule("cosine", end=0.1, period=30, warmup=3))


def fitted(model: Model, epochs: int, variant: str = "adam") -> Model:
    return model.fit(X, T, optimiser=optimiser_of(variant), epochs=epochs, batch_size=5, validation=(X[:4], T[:4]))


def assert_alike(first: Model, second: Model) -> None:
    assert (first.network, first.dtype, first.seed) == (second.network, second.dtype, second.seed)
    assert first.optimiser == second.optimiser
    assert list(first.parameters) == list(second.parameters)
    for name, array in first.parameters.items():
        assert array.tobytes() == second.parameters[name].tobytes()
        assert array.dtype == second.parameters[name].dtype
    assert first.history.to_dict() == second.history.to_dict()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    fitted(Model(TREE, seed=3), 2).save(path)
    return path


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(list(OPTIMISERS)),
    st.sampled_from(["float64", "float32"]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 3),
)
def test_a_training_goes_on_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, variant: str, dtype: Any, seed: int, epochs: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "bits.npz"
    whole = fitted(Model(TREE, seed=seed, dtype=dtype), epochs + 2, variant)
    first = (
        fitted(Model(TREE, seed=seed, dtype=dtype), epochs, variant) if epochs else Model(TREE, seed=seed, dtype=dtype)
    )
    first.save(path)
    loaded = Model.load(path)
    assert_alike(loaded, first)
    assert_alike(fitted(loaded, 2, variant), whole)


def test_three_and_four_epochs_over_two_processes_are_seven(tmp_path: Path) -> None:
    code = (
        "import sys; from gradproof import Model; from verify.suite.fast.test_fast_model_saving import fitted\n"
        "fitted(Model.load(sys.argv[1]), 4).save(sys.argv[1])"
    )
    for dtype in ("float64", "float32"):
        path = tmp_path / f"{dtype}.npz"
        fitted(Model(TREE, seed=3, dtype=dtype), 3).save(path)
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        assert_alike(Model.load(path), fitted(Model(TREE, seed=3, dtype=dtype), 7))


def test_equal_models_are_equal_files_that_numpy_reads(path: Path, tmp_path: Path) -> None:
    model = Model.load(path)
    model.save(str(tmp_path / "again.npz"))
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()
    with np.load(path, allow_pickle=False) as arrays:
        for name, array in model.parameters.items():
            np.testing.assert_array_equal(arrays[f"parameters/{name}"], array)
        assert json.loads(arrays[HEADER])["schema"] == "gradproof.model/1"


def test_a_model_that_diverged_keeps_that(tmp_path: Path) -> None:
    model = Model(Network((3,), (Dense(2),), Loss("squared_error", "sum")))
    with pytest.raises(TrainingDivergedError):
        model.fit(X, T, optimiser=Optimiser("sgd", 1e200), epochs=9, batch_size=4)
    model.save(tmp_path / "x")
    loaded = Model.load(tmp_path / "x")
    assert_alike(loaded, model)
    assert loaded.history.diverged is not None


def test_what_is_loaded_is_shown_read_only(path: Path) -> None:
    model = Model.load(path)
    for array in (*model.parameters.values(), model.history.step_losses, *model.history.metrics.values()):
        assert not array.flags.writeable


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, changes: Mapping[str, bytes | None]) -> None:
    kept = {name: data for name, data in {**members(path), **changes}.items() if data is not None}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def change_header(path: Path, **changes: Any) -> None:
    header = json.loads(members(path)[HEADER])
    rewrite(path, {HEADER: json.dumps({**header, **changes}).encode()})


def nested(depth: int) -> dict[str, Any]:
    layers: list[Any] = [{"kind": "dense", "units": 3}]
    for _ in range(depth):
        layers = [{"kind": "residual", "body": layers}]
    return {"input_shape": [3], "layers": layers}


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "gradproof.model/2"},
        {"schema": "gradproof.case/1"},
        {"network": None},
        {"network": {"input_shape": [3], "layers": []}},
        {"network": {"input_shape": [10**12], "layers": [{"kind": "dense", "units": 10**12}]}},
        {"network": {"input_shape": [3], "layers": [{"kind": "exec", "code": "1"}]}},
        {"network": nested(3)},
        {"network": nested(400)},
        {"dtype": "float32"},
        {"dtype": "object"},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": 1.5},
        {"step": -1},
        {"step": 9},
        {"epochs": 10**15},
        {"epochs": 1},
        {"steps": 3},
        {"steps": -1},
        {"metrics": []},
        {"metrics": ["loss", "loss"]},
        {"metrics": ["loss", "../../etc/passwd"]},
        {"optimiser": None},
        {"optimiser": {"variant": "adam", "rate": -1.0}},
        {"optimiser": {"variant": "eval", "rate": 1.0}},
        {"diverged": {"epoch": 0, "step": 0, "loss": "__import__('os')"}},
        {"diverged": {"epoch": 0, "step": 0, "loss": "0x1p999999"}},
    ],
    ids=str,
)
def test_headers_that_do_not_fit_are_refused(path: Path, changes: Mapping[str, Any]) -> None:
    change_header(path, **changes)
    with pytest.raises(RecordError, match=r"model\.npz"):
        Model.load(path)


def test_json_that_is_none_or_goes_too_deep_is_refused(path: Path) -> None:
    deep = json.dumps({**json.loads(members(path)[HEADER]), "network": 0}).replace("0", "[" * 10**5 + "]" * 10**5, 1)
    for header in (b"", b"{", b"[]", b"null", b"\xff\xfe", deep.encode()):
        rewrite(path, {HEADER: header})
        with pytest.raises(RecordError, match=r"model\.npz"):
            Model.load(path)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["parameters/0.weight", "mean/0.weight"])
def test_numbers_that_are_not_finite_are_refused(path: Path, name: str, bad: float) -> None:
    data = members(path)[f"{name}.npy"]
    rewrite(path, {f"{name}.npy": data[:-8] + np.float64(bad).tobytes()})
    with pytest.raises(RecordError, match=name):
        Model.load(path)


def test_steps_out_of_order_are_refused(path: Path) -> None:
    description = ArrayKind("int64", (2, 2)).description
    for steps in (
        [[0, 4], [3, 8]],
        [[4, 0], [4, 8]],
        [[0, 4], [4, 10**9]],
        [[-4, 0], [0, 4]],
        [[0, 2**63 - 1], [-(2**63), 4]],
    ):
        rewrite(path, {"history/epoch_steps.npy": description + np.array(steps).tobytes()})
        with pytest.raises(RecordError, match="epoch_steps"):
            Model.load(path)


def test_a_file_of_other_contents_says_so(tmp_path: Path) -> None:
    other = tmp_path / "weights.npz"
    np.savez(other, weights=np.ones(3))
    with pytest.raises(RecordError, match=r"weights.npz: missing member 'header.json'"):
        Model.load(other)
    with pytest.raises(FileNotFoundError):
        Model.load(tmp_path / "none.npz")
    for wrong in (None, 3, b"x"):
        with pytest.raises(ArgumentError) as caught:
            Model.load(wrong)  # type: ignore[arg-type]
        assert caught.value.argument == "path"


def test_a_failed_save_leaves_the_file_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    model = fitted(Model.load(path), 1)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        model.save(path)
    assert path.read_bytes() == before
