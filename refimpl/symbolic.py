"""The symbolic view of small networks: straight-line programs, closed forms, and their numbers at any precision.

``symbolic(network)`` runs the network's program over SymPy expressions and gives a symbol to each neuron as it goes: to
every pre-activation and activation, to every slope, to ∂L/∂ of each of them, and to every gradient entry. Each
assignment stays short, because what it is made of are symbols; a closed form, with the symbols replaced by what they
stand for, grows with depth and is made when it is asked for.

Names, in text and LaTeX, for a layer with path p (indices count from 0; the sample comes first in batches):

- ``w0[1,2]``, ``b0[2]``: weights and biases; ``x[1]``, ``t[1]``: inputs, targets; ``g[1]``: upstream gradient;
  ``omega[n]``: sample weights; ``m1[2]``: the mask of a dropout layer, 0 or 1; ``lambda``: strength of the penalty;
  ``0.01``: the float64 nearest to that decimal;
- ``z0[2]``, ``a1[2]``, ``y2[2]``: outputs of dense layers, activations, and residual or branching layers;
- ``a1'[2]``: the slope of an activation; ``u3``: a subexpression that several formulas use;
- ``dz0[2]`` (LaTeX δ): ∂L/∂z0[2]; ``dw0[1,2]``, ``dx[1]``: gradient entries;
- ``kappa4``: the slope of a ramp at its kink, any number from 0 to 1. ``step(z, kappa4)`` is 1 for z > 0, 0 for z < 0
  and kappa4 for z = 0, where the gradient is the set of values for all choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from gradproof.case import Case, mask_name
from gradproof.errors import ArgumentError
from gradproof.gradients import INPUTS, LOSS, OUTPUTS
from gradproof.layers import Activation, Dense, Shape
from gradproof.network import Network
from refimpl.arithmetic import Values, entrywise, evaluate
from refimpl.expressions import Entry, ExpressionArithmetic, symbols_of
from refimpl.language import Apply, Leaf, MatMul, Node, Scale, gradients, ordered
from refimpl.program import SAMPLE_WEIGHTS, TARGETS, UPSTREAM, X, program

if TYPE_CHECKING:
    from refimpl.exact import Numbers

MOST_TERMS = 200_000
"""Products and entries that a symbolic program may have: some ten seconds and a gigabyte."""


@dataclass(frozen=True)
class Assignment:
    """symbol = expression, in symbols assigned before."""

    symbol: Any
    expression: Any

    def __str__(self) -> str:
        return f"{self.symbol} = {self.expression}"

    def latex(self) -> str:
        """This assignment in LaTeX."""
        return f"{sympy.latex(self.symbol)} = {sympy.latex(self.expression)}"


def parameter_symbols(name: str, shape: Shape) -> Values:
    """A symbol for each entry of a parameter."""
    path, _, role = name.rpartition(".")
    letter = {"weight": "w", "bias": "b"}.get(role, role)
    return _entries(lambda index: _entry(letter, letter, path, index), shape)


def batch_symbols(name: str, shape: Shape) -> Values:
    """A symbol for each entry of a leaf that is no parameter; a batch of one sample shows no index for it."""
    text, tex = {X: ("x", "x"), TARGETS: ("t", "t"), UPSTREAM: ("g", "g"), SAMPLE_WEIGHTS: ("omega", r"\omega")}[name]
    return _entries(lambda index: _entry(text, tex, "", _without_one(index, shape)), shape)


def mask_symbols(name: str, shape: Shape) -> Values:
    """A symbol for each entry of a dropout layer's mask; a batch of one sample shows no index for it."""
    path = name.rpartition(".")[0]
    return _entries(lambda index: _entry("m", "m", path, _without_one(index, shape)), shape)


def leaf_symbols(network: Network, leaves: Mapping[str, Node]) -> dict[str, Values]:
    """A symbol for each entry of each leaf of a network's program."""
    made = dict.fromkeys(network.parameter_shapes, parameter_symbols)
    made |= {mask_name(path): mask_symbols for path in network.dropouts}
    return {name: made.get(name, batch_symbols)(name, node.shape) for name, node in leaves.items()}


def strength_symbol(network: Network) -> tuple[Any, Any, Fraction] | None:
    """λ, what the penalty's sum is multiplied by (λ or λ/2), and λ's exact value; None without a penalty."""
    if network.penalty is None:
        return None
    symbol = Entry("lambda", r"\lambda")
    return symbol, symbol / 2 if network.penalty.half else symbol, Fraction(network.penalty.strength)


@dataclass(frozen=True, eq=False)
class Symbolic:
    """Loss, outputs and every gradient entry of a small network, as formulas.

    The quantities are ``loss``, ``outputs``, each trainable parameter and ``inputs`` (∂L/∂x), as in an enclosure.
    """

    network: Network
    batch: int
    weighted: bool
    """Whether cases bring sample weights."""
    masked: bool
    """Whether cases bring the masks of dropout."""
    functions: bool
    """Whether activations stay functions, σ(z), in the formulas."""
    program: tuple[Assignment, ...]
    """The straight-line program: forward, backward, gradients."""
    leaves: Mapping[str, Values]
    """The symbols of parameters, inputs, targets, upstream gradients and sample weights, by the leaves' names."""
    constants: Mapping[Any, Fraction]
    """Exact values of the symbols that stand for hyperparameters."""
    choices: tuple[Any, ...]
    """The slopes at kinks: any number from 0 to 1 each."""
    _quantities: Mapping[str, Values]
    _closed: dict[Any, Any] = field(default_factory=dict, repr=False)

    def names(self) -> tuple[str, ...]:
        """The quantities, in the order of the computation."""
        return tuple(self._quantities)

    @property
    def loss(self) -> Any:
        """The symbol of the loss."""
        return self._quantities[LOSS][()]

    @property
    def outputs(self) -> Values:
        """The outputs' symbols, (batch, …)."""
        return self._quantities[OUTPUTS]

    def gradient(self, name: str) -> Values:
        """The symbols of ∂L/∂ of a parameter, or of ``inputs``, in its shape. Raises ArgumentError for other names."""
        if name in (LOSS, OUTPUTS):
            raise ArgumentError("name", "a trainable parameter or inputs", name)
        return self.symbols(name)

    def symbols(self, name: str) -> Values:
        """A quantity's symbols in its shape. Raises ArgumentError for other names."""
        if name not in self._quantities:
            raise ArgumentError("name", f"among {', '.join(self._quantities)}", name)
        return self._quantities[name]

    def symbol(self, name: str, index: tuple[int, ...] = ()) -> Any:
        """The symbol of one entry. Raises ArgumentError for an index that the quantity does not have."""
        symbols = self.symbols(name)
        if len(index) != symbols.ndim or not all(0 <= i < size for i, size in zip(index, symbols.shape, strict=True)):
            raise ArgumentError("index", f"an index of shape {symbols.shape} for {name}", index)
        return symbols[index]

    def closed_form(self, name: str, index: tuple[int, ...] = ()) -> Any:
        """An entry in the leaves' symbols alone, a SymPy expression. It grows with depth; made when asked for."""
        return self.expanded(self.symbol(name, index))

    def expanded(self, expression: Any) -> Any:
        """An expression with every assigned symbol replaced by what it stands for."""
        stack = [symbol for symbol in symbols_of(expression) if symbol in self._assigned]
        needed: set[Any] = set()
        while stack:
            symbol = stack.pop()
            if symbol not in needed and symbol not in self._closed:
                needed.add(symbol)
                stack.extend(s for s in symbols_of(self._assigned[symbol]) if s in self._assigned)
        for assignment in self.program:
            if assignment.symbol in needed:
                self._closed[assignment.symbol] = assignment.expression.xreplace(self._closed)
        return expression.xreplace(self._closed)

    @cached_property
    def _assigned(self) -> dict[Any, Any]:
        return {assignment.symbol: assignment.expression for assignment in self.program}

    def formula(self, name: str, index: tuple[int, ...] = ()) -> str:
        """An entry's symbol and closed form, as text: ``dw0[0,1] = …``."""
        return f"{self.symbol(name, index)} = {self.closed_form(name, index)}"

    def latex(self, name: str, index: tuple[int, ...] = ()) -> str:
        """An entry's symbol and closed form, in LaTeX."""
        return Assignment(self.symbol(name, index), self.closed_form(name, index)).latex()

    def __str__(self) -> str:
        """The straight-line program, one assignment a line."""
        lines = [str(assignment) for assignment in self.program]
        if self.choices:
            lines.append(f"{', '.join(map(str, self.choices))}: any numbers from 0 to 1 (slopes at kinks)")
        return "\n".join(lines)

    def program_latex(self) -> str:
        """The straight-line program as an ``align*`` environment."""
        lines = [assignment.latex().replace(" = ", " &= ", 1) for assignment in self.program]
        if self.choices:
            lines.append(rf"& {', '.join(map(sympy.latex, self.choices))} \in [0, 1] \text{{ (slopes at kinks)}}")
        return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"

    def numbers(self, case: Case, digits: int = 20) -> Numbers:
        """The exact numbers of a case of this network, each proved to ``digits`` significant decimal digits.

        The straight-line program is evaluated in ball arithmetic on the case's exact binary numbers, at rising
        precision; entries that a kink reaches are sets, for which precision does not rise.
        Raises ArgumentError for a case of another network, batch size or use of sample weights or masks.
        """
        from refimpl.exact import numbers

        return numbers(self, case, digits)


@lru_cache(maxsize=32)
def symbolic(
    network: Network, batch: int = 1, *, weighted: bool = False, functions: bool = False, masked: bool = False
) -> Symbolic:
    """The symbolic view of a network for a batch size, for small networks.

    weighted: with sample weights. masked: with masks of dropout. functions: activations and their slopes stay
    functions, σ(z) and σ'(z), as textbooks write them, instead of what they are defined to be.
    Raises ArgumentError for a batch below 1 or a program of more than MOST_TERMS terms.
    """
    if batch < 1:
        raise ArgumentError("batch", "at least 1", batch)
    computation = program(network, batch, weighted, masked)
    loss, outputs = computation.results[LOSS], computation.results[OUTPUTS]
    layers = _layer_nodes(network, loss)
    wanted = {name: computation.leaves[name] for name in network.trainable} | {INPUTS: computation.leaves[X]}
    deltas = gradients(loss, wanted | {f"delta {path}": node for path, node in layers.items()})
    backward = [deltas[f"delta {path}"] for path in reversed(layers)]
    order = ordered([loss, outputs, *backward, *(deltas[name] for name in wanted)])
    terms = sum(map(_terms, order))
    if terms > MOST_TERMS:
        raise ArgumentError("network", f"a program of at most {MOST_TERMS} terms (see refimpl.enclosure)", terms)
    builder = _Builder(network, leaf_symbols(network, computation.leaves), keep_names=functions)
    builder.name(loss, lambda _: Entry("L", "L"))
    for path, node in reversed(layers.items()):  # a layer before those inside it, whose ∂L/∂ may be its own
        letter = _layer_letter(network, path)
        builder.name(node, partial(_neuron, letter, path, node.shape))
        builder.name(deltas[f"delta {path}"], partial(_neuron, f"d{letter}", path, node.shape))
    builder.run(order)
    quantities = {LOSS: builder.values[id(loss)], OUTPUTS: builder.values[id(outputs)]}
    quantities |= {name: builder.gradient(deltas[name], name) for name in wanted}
    constants = dict(builder.arithmetic.constants)
    return Symbolic(
        network,
        batch,
        weighted,
        masked,
        functions,
        tuple(builder.program),
        MappingProxyType(builder.leaves),
        MappingProxyType(constants),
        tuple(builder.arithmetic.choices),
        MappingProxyType(quantities),
    )


class _Builder:
    """Runs a program over expressions, and gives symbols to the entries of named nodes as it goes."""

    def __init__(self, network: Network, leaves: dict[str, Values], *, keep_names: bool) -> None:
        self.leaves = leaves
        self.arithmetic = ExpressionArithmetic(keep_names=keep_names)
        self.strength = strength_symbol(network)
        if self.strength is not None:
            self.arithmetic.constants[self.strength[0]] = self.strength[2]
        self.program: list[Assignment] = []
        self.values: dict[int, Values] = {}
        self._names: dict[int, list[Callable[[tuple[int, ...]], Entry]]] = {}
        self._shared: dict[Any, Any] = {}

    def name(self, node: Node, symbol: Callable[[tuple[int, ...]], Entry]) -> None:
        """Has a symbol assigned to each entry of a node, by its index; formulas use the first one given to a node."""
        self._names.setdefault(id(node), []).append(symbol)

    def run(self, order: tuple[Node, ...]) -> None:
        """Evaluates every node."""
        for node in order:
            values = self._evaluated(node)
            match node.primitive:
                case Leaf():
                    pass
                case _ if id(node) in self._names:
                    first, *others = self._names[id(node)]
                    values = self._assigned(values, first)
                    for other in others:
                        self._assigned(values, other)
                case Apply(_, 1) if node.note.startswith("derivative of layer "):
                    path = _path_in(node.note.removeprefix("derivative of "))
                    values = self._assigned(values, partial(_neuron, "a'", path, node.shape))
                case Apply("exp", _):
                    values = entrywise(self._subexpression, values)
            self.values[id(node)] = values

    def _evaluated(self, node: Node) -> Values:
        operands = tuple(self.values[id(operand)] for operand in node.operands)
        if isinstance(node.primitive, Scale) and node.primitive.label and self.strength is not None:
            return np.asarray(operands[0] * self.strength[1], dtype=object)
        return evaluate(node, self.arithmetic, operands, self.leaves)

    def gradient(self, node: Node, name: str) -> Values:
        """Assigns a gradient's entries."""
        symbols = batch_symbols(X, node.shape) if name == INPUTS else parameter_symbols(name, node.shape)
        return self._assigned(self.values[id(node)], lambda index: _partial(symbols[index]))

    def _assigned(self, values: Values, symbol: Callable[[tuple[int, ...]], Any]) -> Values:
        def assign(index: tuple[int, ...]) -> Any:
            assignment = Assignment(symbol(index), values[index])
            self.program.append(assignment)
            return assignment.symbol

        return _entries(assign, values.shape)

    def _subexpression(self, expression: Any) -> Any:
        if expression not in self._shared:
            number = len(self._shared)
            self._shared[expression] = Entry(f"u{number}", f"u_{{{number}}}")
            self.program.append(Assignment(self._shared[expression], expression))
        return self._shared[expression]


def _layer_nodes(network: Network, loss: Node) -> dict[str, Node]:
    """The node of each layer's output, by the layer's path, in the order of computation."""
    paths = {site.path for site in network.sites}
    found = {_path_in(node.note): node for node in ordered([loss]) if node.note.startswith("layer ")}
    return {path: node for path, node in found.items() if path in paths}


def _path_in(note: str) -> str:
    return note.removeprefix("layer ").partition(":")[0]


def _layer_letter(network: Network, path: str) -> str:
    layer = next(site.layer for site in network.sites if site.path == path)
    return "z" if isinstance(layer, Dense) else "a" if isinstance(layer, Activation) else "y"


def _terms(node: Node) -> int:
    inner = 1
    if isinstance(node.primitive, MatMul):
        inner = node.operands[0].shape[0 if node.primitive.transpose_a else 1]
    return inner * math.prod(node.shape)


def _entries(make: Callable[[tuple[int, ...]], Any], shape: Shape) -> Values:
    result = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        result[index] = make(index)
    return result


def _without_one(index: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
    """An index without that of the sample, where there is one sample."""
    return index[1:] if shape and shape[0] == 1 else index


def _entry(text: str, tex: str, path: str, index: tuple[int, ...]) -> Entry:
    numbers = ",".join(map(str, index))
    places = ".".join(step if step.isdigit() else rf"\mathrm{{{step}}}" for step in path.split(".")) if path else ""
    upper = f"^{{({places})}}" if places else ""
    letter, prime, _ = text.partition("'")
    return Entry(
        f"{letter}{path}{prime}" + (f"[{numbers}]" if index else ""),
        tex + upper + (f"_{{{numbers}}}" if index else ""),
    )


def _neuron(letter: str, path: str, shape: Shape, index: tuple[int, ...]) -> Entry:
    """A neuron's value, slope or ∂L/∂ in its sample."""
    tex = r"\dot{a}" if letter == "a'" else r"\delta" if letter.startswith("d") else letter
    return _entry(letter, tex, path, _without_one(index, shape))


def _partial(symbol: Any) -> Entry:
    return Entry(f"d{symbol.name}", rf"\frac{{\partial L}}{{\partial {symbol.tex}}}")
