"""The runs that the documentation quotes: which they are, where they are kept, and how they are made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.commands import CHECKOUT, gradproof_command, run
from gradproof.record import CheckRecord, FiguresRecord, decode, encode, write
from gradproof.verdict import EXIT_CODES, Verdict

FOLDER: Final = CHECKOUT / "reports" / "published"
FIGURES: Final = FOLDER / "figures.json"
ACCUSATIONS: Final = FOLDER / "campaigns" / "accusations.json"


@dataclass(frozen=True)
class Published:
    """A target whose check the documentation quotes.

    what: it is, in Markdown. verdict: the one that is written down; another is an error when the run is made again.
    """

    target: str
    what: str
    verdict: Verdict


CHECKS: Final[Mapping[str, Published]] = MappingProxyType(
    {
        "numpy_network_wrong": Published(
            "examples/numpy_network_wrong.py:adapter",
            "a network in plain NumPy, σ′ taken at the activation",
            Verdict.WRONG,
        ),
        "numpy_network": Published(
            "examples/numpy_network.py:adapter", "the same network without the mistake", Verdict.CORRECT
        ),
        "torch_module": Published("examples/torch_module.py:adapter", "a PyTorch module", Verdict.CORRECT),
        "jax_function": Published("examples/jax_function.py:adapter", "a JAX function", Verdict.CORRECT),
        "softmax_wrong": Published(
            "examples/operations/softmax_wrong.py:adapter",
            "softmax's backward with the diagonal of its Jacobian alone",
            Verdict.WRONG,
        ),
        "torch_function": Published(
            "examples/operations/torch_function.py:adapter",
            "a custom `torch.autograd.Function`, float64 to bfloat16",
            Verdict.CORRECT,
        ),
        "scalar_engine_wrong": Published(
            "examples/engines/scalar_engine_wrong.py:adapter",
            "a scalar engine whose `2 - x` gives `x - 2`",
            Verdict.WRONG,
        ),
        "torch_engine": Published("examples/engines/torch_engine.py:adapter", "PyTorch as an engine", Verdict.CORRECT),
        "numpy_adam": Published(
            "examples/optimisers/numpy_adam.py:adapter", "Adam in NumPy, ε under the square root", Verdict.WRONG
        ),
        "torch_adamw": Published(
            "examples/optimisers/torch_adamw.py:adapter", "`torch.optim.AdamW`, with its moments", Verdict.CORRECT
        ),
    }
)


def check_file(name: str) -> Path:
    """Where the record of a published check is kept."""
    return FOLDER / f"{name}.json"


def check_record(name: str) -> CheckRecord:
    """The record of a published check."""
    return decode(check_file(name).read_bytes(), CheckRecord)


def figures_record() -> FiguresRecord:
    """The record of the published figures."""
    return decode(FIGURES.read_bytes(), FiguresRecord)


def publish(name: str) -> CheckRecord:
    """Checks a published target anew and keeps the record.

    Raises CommandError where the verdict is not the one that is written down.
    """
    published = CHECKS[name]
    command = gradproof_command("check", published.target, "--format", "json")
    _, output = run(command, expected=EXIT_CODES[published.verdict])
    record = decode(output.encode(), CheckRecord)
    write(check_file(name), encode(record))
    return record
