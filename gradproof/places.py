"""Where a target is defined, read from the source: nothing is imported or run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A line of a file, the first being 1."""

    file: Path
    line: int


def definition(target: str, folder: Path | None = None) -> Place | None:
    """Where ``path.py:name`` or ``package.module:name`` is defined; None where that cannot be told from the source.

    folder: the one that paths and modules start from; None for the current one.
    """
    place, _, name = target.rpartition(":")
    file = _file(place, Path.cwd() if folder is None else folder)
    if file is None:
        return None
    try:
        tree: ast.AST = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    line = 1
    for step in name.split("."):
        found = _named(tree, step)
        if found is None:
            break
        tree = found
        line = found.lineno
    return Place(file, line)


def _file(place: str, folder: Path) -> Path | None:
    if place.endswith(".py"):
        candidates = [folder / place]
    else:
        path = folder.joinpath(*place.split("."))
        source = (folder / "src").joinpath(*place.split("."))
        candidates = [path.with_suffix(".py"), path / "__init__.py", source.with_suffix(".py"), source / "__init__.py"]
    return next((file for file in candidates if file.is_file()), None)


def _named(tree: ast.AST, name: str) -> ast.stmt | None:
    """The last statement in a body that binds the name."""
    found = None
    for statement in getattr(tree, "body", ()):
        names: list[str] = []
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [statement.name]
        elif isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names = [statement.target.id]
        if name in names:
            found = statement
    return found
