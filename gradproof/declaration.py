"""What every declaration of a target is: how it is attached to somebody's code, and what all of them say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import msgspec

from gradproof.checks import meant
from gradproof.errors import ArgumentError

SUPPORTS_ATTRIBUTE = "gradproof_supports"
Target = TypeVar("Target", bound=Callable[..., Any])


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody's code declares of itself; its type says what kind of thing the code is, and how it is checked."""

    decorator: ClassVar[str] = ""
    """The decorator that attaches it, for messages: ``@gradproof.target``."""


Kind = TypeVar("Kind", bound=Declaration)


def declared(kind: type[Kind], **supports: Any) -> Kind:
    """The declaration of a kind that a decorator's keywords make.

    Raises ArgumentError for a keyword that the kind does not have, or that it needs and was not given.
    """
    known = kind.__struct_fields__
    for word in supports:
        if word not in known:
            raise ArgumentError(kind.decorator, f"keywords among {', '.join(known)}", f"{word!r}{meant(word, known)}")
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in supports:
            raise ArgumentError(kind.decorator, f"the keyword {field.name}", "none")
    return kind(**supports)


def declaring(declaration: Declaration) -> Callable[[Target], Target]:
    """A decorator that attaches a declaration to a function, class or object, and changes nothing else.

    It raises ArgumentError for one that has a declaration already: two adapters for one object would hide each other.
    """

    def declare(implementation: Target) -> Target:
        if SUPPORTS_ATTRIBUTE in getattr(implementation, "__dict__", ()):
            raise ArgumentError(
                declaration.decorator,
                "a function, class or object that declares nothing yet (wrap it in a function for a second adapter)",
                f"{getattr(implementation, '__qualname__', type(implementation).__name__)}, which has an adapter",
            )
        setattr(implementation, SUPPORTS_ATTRIBUTE, declaration)
        return implementation

    return declare


def declaration_of(implementation: Any) -> Declaration | None:
    """What is declared of somebody's code; None where nothing is."""
    found = getattr(implementation, SUPPORTS_ATTRIBUTE, None)
    return found if isinstance(found, Declaration) else None
