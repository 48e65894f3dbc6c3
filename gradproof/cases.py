"""What all kinds of cases have in common. Each kind has its module; records and reports know cases by this alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gradproof.arrays import Array
from gradproof.case import Case, CaseData
from gradproof.graph import Graph, GraphData
from gradproof.operation_case import OperationCase, OperationData
from gradproof.run import Run, RunData

AnyCaseData = CaseData | GraphData | OperationData | RunData
"""A case of any kind as JSON keeps it; the field ``kind`` tells them apart."""


class AnyCase(Protocol):
    """A case of any kind: one immutable value that a target is asked about."""

    @property
    def id(self) -> str:
        """Hex digits that equal computations share."""
        ...

    @property
    def dtype(self) -> Any:
        """The precision that a target is asked to compute in."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that say what is special about it."""
        ...

    def to_data(self) -> Any:
        """This case as data for JSON."""
        ...

    def facts(self) -> str:
        """What is to be known of it besides its text, in a few words: ``float64, batch 1``."""
        ...

    def text(self) -> str:
        """What is computed, in one line or several."""
        ...

    def arrays(self) -> Mapping[str, Array]:
        """Every array of it by name, in the order of the computation."""
        ...


def from_data(data: AnyCaseData) -> AnyCase:
    """The case of whichever kind the data is of, validated anew. Raises RecordError or ArgumentError on damage."""
    match data:
        case CaseData():
            return Case.from_data(data)
        case GraphData():
            return Graph.from_data(data)
        case OperationData():
            return OperationCase.from_data(data)
        case RunData():
            return Run.from_data(data)
