"""What a person sees after ``gradproof explain``: on a terminal, or as LaTeX to paste."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradproof.explanation import Explanation
from reports.text import encodable, line

INDENT = (0, 0, 0, 2)


def render_explanation(explanation: Explanation, console: Console) -> None:
    """Prints one gradient entry: the chain rule with its numbers, the closed form, how floats come out."""

    def say(text: str, style: str = "") -> None:
        console.print(Padding(Text(encodable(text, console.encoding), style=style), INDENT))

    def head(text: str) -> None:
        console.print()
        say(text, "bold")

    head(f"∂L/∂{entry_text(explanation)} of case {explanation.case_id}")
    say(line(explanation.network))
    head("Step by step")
    for step in explanation.steps:
        say(f"{step.text}  =  {step.value}")
    head("In inputs and parameters alone")
    say(explanation.closed_form.text if explanation.closed_form else "Too long to read; the steps above say the same.")
    head("The exact number")
    say(explanation.exact)
    say(f"proved to lie in {explanation.enclosure}")
    if explanation.nearest is None:
        say("A kink makes it a set: every value in it is what backpropagation gives for some slope there.")
        return
    say(f"nearest float64: {explanation.nearest}")
    head("As it is computed")
    table = Table(box=None, pad_edge=False)
    unit = "relative error" if explanation.computed[0].relative else "error"
    for column in ("by", "value", unit, "allowed"):
        table.add_column(column, header_style="dim")
    for row in explanation.computed:
        cells = (row.by, row.value, row.error, row.allowed or "")
        table.add_row(*(encodable(cell, console.encoding) for cell in cells))
    console.print(Padding(table, INDENT))
    console.print()
    say(
        "Differences are shown at the step that, by hindsight, comes closest; nobody knows that step beforehand.", "dim"
    )


def latex(explanation: Explanation) -> str:
    """The steps and the closed form as LaTeX, with amsmath's ``align*``."""
    lines = [step.latex.replace(" = ", " &= ", 1) for step in explanation.steps]
    steps = "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n"
    closed = f"\\[\n{explanation.closed_form.latex}\n\\]\n" if explanation.closed_form else ""
    return steps + closed


def entry_text(explanation: Explanation) -> str:
    """``0.weight[0, 1]``"""
    index = ", ".join(map(str, explanation.index))
    return f"{explanation.quantity}[{index}]" if explanation.index else explanation.quantity
