"""Counts the lines that each style's adapter needs: code, imports included; neither docstrings nor blank lines.

python examples/styles/lines.py           # prints the table
python examples/styles/lines.py --write   # writes it into README.md
"""

import ast
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- begin: styles -->\n", "<!-- end: styles -->\n"


def styles():
    """The files that hold an adapter."""
    return [path for path in sorted(HERE.glob("*.py")) if path.name != Path(__file__).name]


def lines_needed(path):
    """Lines of code: all that any statement but the docstring stands on."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    decorators = [d for node in tree.body for d in getattr(node, "decorator_list", ())]
    return len({line for node in (*tree.body[1:], *decorators) for line in range(node.lineno, node.end_lineno + 1)})


def table():
    """The table, in Markdown: what each style is, its file, and the lines that its adapter needs."""
    rows = ["| style | adapter | lines |", "|---|---|---|"]
    for path in styles():
        words = " ".join(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split())
        rows.append(f"| {words} | [`{path.name}`]({path.name}) | {lines_needed(path)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        readme = HERE / "README.md"
        text = readme.read_text(encoding="utf-8")
        head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
        readme.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", encoding="utf-8")
    else:
        print(table(), end="")
