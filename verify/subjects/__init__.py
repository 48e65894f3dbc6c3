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

KINDS: Final[Mapping[str, str]] = MappingProxyType({"network": "networks"})
"""The kind of a case's data → the module here whose ``SUBJECT`` checks cases of this kind."""

DECLARED: Final[Mapping[str, str]] = MappingProxyType({"Supports": "network"})
"""The type of a declaration → the kind of cases that a target with such a declaration is asked about."""


def subject_of(declaration: Declaration) -> Subject[Any, Any]:
    """What checks a target that declares this."""
    return _subject(DECLARED[type(declaration).__name__])


def asked_about(declaration: Declaration, data: AnyCaseData) -> tuple[Subject[Any, Any], AnyCase]:
    """What checks a target that declares this, and a kept case to ask it about.

    Raises ArgumentError where the target is of another kind than the case.
    """
    subject, kind = subject_of(declaration), str(data.__struct_config__.tag)
    if kind != subject.kind:
        raise ArgumentError("TARGET", f"one that is asked about cases of the kind {kind}", declaration.decorator)
    return subject, subject.from_data(data)


def _subject(kind: str) -> Subject[Any, Any]:
    found = import_module(f"{__name__}.{KINDS[kind]}").SUBJECT
    assert isinstance(found, Subject)
    return found
