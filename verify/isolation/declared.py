"""A declaration as it goes from a target's process to the judge: words, numbers, and which values they make up.

Decoding makes values of gradproof's own declaring and describing types, and of nothing else; each of them checks what
it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import msgspec

from gradproof.declaration import Declaration
from gradproof.errors import GradproofError
from verify.isolation.messages import Broken

MODULE: Final = re.compile(r"gradproof(\.[a-z_]+)?")
DEPTH: Final = 20
"""How deep values may be nested."""


def encode_declaration(declaration: Declaration) -> bytes:
    """A declaration's fields, and what they are made of. Raises TypeError where one is more than words and numbers."""
    return msgspec.msgpack.encode(_plain(declaration))


def decode_declaration(data: bytes) -> Declaration:
    """The declaration in these bytes. Raises Broken where it is none."""
    try:
        found = _made(msgspec.msgpack.decode(data), DEPTH)
    except (msgspec.DecodeError, GradproofError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise Broken(str(error)) from error
    if not isinstance(found, Declaration):
        raise Broken(f"a {type(found).__name__}")
    return found


def _plain(value: Any) -> Any:
    """A value as lists that say what they are; text, numbers, truth values and None as they are."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case tuple() | list():
            return ["tuple", *map(_plain, value)]
        case Mapping():
            return ["mapping", *([_plain(key), _plain(each)] for key, each in value.items())]
        case msgspec.Struct():
            kind = type(value)
            fields = [[name, _plain(getattr(value, name))] for name in kind.__struct_fields__]
            return ["struct", kind.__module__, kind.__qualname__, *fields]
    raise TypeError(f"{value!r:.100} in a declaration")


def _made(plain: Any, depth: int) -> Any:
    if not isinstance(plain, list):
        return plain
    if depth == 0:
        raise Broken("values nested too deep")
    match plain:
        case ["tuple", *items]:
            return tuple(_made(item, depth - 1) for item in items)
        case ["mapping", *pairs]:
            return {_made(key, depth - 1): _made(each, depth - 1) for key, each in pairs}
        case ["struct", str(module), str(name), *fields]:
            return _type(module, name)(**{key: _made(each, depth - 1) for key, each in fields})
    raise Broken("a list of no kind")


def _type(module: str, name: str) -> type[msgspec.Struct]:
    if not MODULE.fullmatch(module):
        raise Broken(f"a value of {module!r:.100}")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module):
        raise Broken(f"a value of {name!r:.100}")
    return kind
