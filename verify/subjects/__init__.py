"""The kinds of things that can be checked, one module each: what all of them do is in ``verify.subjects.base``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from gradproof.cases import AnyCase, AnyCaseData
from gradproof.declaration import Declaration
from gradproof.errors import ArgumentError
from verify.subjects.base import Subject

SUBJECTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Supports": "networks",
        "EngineSupports": "graphs",
        "OperationSupports": "operations",
        "StepSupports": "runs",
    }
)
"""The type of a declaration → the module here whose ``SUBJECT`` checks what declares so."""


def subject_of(declaration: Declaration) -> Subject[Any, Any]:
    """What checks a target that declares this."""
    found = import_module(f"{__name__}.{SUBJECTS[type(declaration).__name__]}").SUBJECT
    assert isinstance(found, Subject)
    return found


def asked_about(declaration: Declaration, data: AnyCaseData) -> tuple[Subject[Any, Any], AnyCase]:
    """What checks a target that declares this, and a kept case to ask it about.

    Raises ArgumentError where the target is of another kind than the case.
    """
    subject, kind = subject_of(declaration), str(data.__struct_config__.tag)
    if kind != subject.kind:
        raise ArgumentError("TARGET", f"one that is asked about cases of the kind {kind}", declaration.decorator)
    return subject, subject.from_data(data)
