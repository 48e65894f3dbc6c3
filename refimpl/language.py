"""One small tensor language: a handful of primitives, in which every layer, loss and penalty is a readable program.

A ``Node`` is a tensor that is computed from others by one primitive; a program is the graph of nodes behind a result.
Nothing is computed here: ``refimpl.arithmetic`` runs a program over a number system (floats, SymPy expressions,
balls). ``gradients`` writes the reverse pass of a program as more nodes of the same language, so that every number
system can run it too.

The primitives, and where their derivatives come from:

- linear: ``add``, ``scale``, ``total`` (sums over axes), ``spread`` (repeats along new axes), ``reshape``, ``take``
  (any choice of entries), ``place`` (its adjoint), ``join`` (concatenation); bilinear: ``multiply``, ``matmul``.
  Their adjoints stand below, once, and are proved by ⟨Au, v⟩ = ⟨u, Aᵀv⟩ in exact rationals by the suite;
- ``apply``: an elementwise function; its derivative is derived by SymPy (``refimpl.functions``), never written down;
- ``hinge``: a selection, below · z for z < 0 and above · z for z > 0; its derivative ``step`` is a set at 0;
- ``minimum``: a selection, the lesser of two; its derivative is a step of their difference, a set where they tie;
- ``largest``: a selection, the greatest along the last axis; its derivative ``share`` is a set where several tie;
- ``anchor``: a number to subtract before exponentials, on which no result depends; it has no derivative;
- ``detour``: a tensor itself, with a note of what else implementations compute on the way to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gradproof.layers import Shape

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Primitive:
    """What a node computes; one frozen dataclass for each primitive, with its constants as fields."""


@dataclass(frozen=True, eq=False)
class Leaf(Primitive):
    """A tensor that is given: a parameter, the inputs, the targets …"""

    name: str


@dataclass(frozen=True, eq=False)
class Ones(Primitive):
    """The constant 1 everywhere."""


@dataclass(frozen=True, eq=False)
class Seed(Primitive):
    """∂L/∂L = 1, where a reverse pass starts."""


@dataclass(frozen=True, eq=False)
class Add(Primitive):
    """x + y, of one shape."""


@dataclass(frozen=True, eq=False)
class Scale(Primitive):
    """factor · x, with an exact rational factor; ``label`` is its symbol where it is a hyperparameter."""

    factor: Fraction
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Multiply(Primitive):
    """x · y entry by entry, of one shape."""


@dataclass(frozen=True, eq=False)
class MatMul(Primitive):
    """a @ b of two matrices, each transposed first where its flag says so."""

    transpose_a: bool = False
    transpose_b: bool = False


@dataclass(frozen=True, eq=False)
class Total(Primitive):
    """The sum over ``axes``, which disappear."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Spread(Primitive):
    """Repeats along new ``axes`` of the result, whose shape is the node's."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reshape(Primitive):
    """The same entries in C order, in the node's shape."""


@dataclass(frozen=True, eq=False)
class Take(Primitive):
    """result.flat[i] = x.flat[indices[i]], in the node's shape; an index may occur any number of times."""

    indices: Indices


@dataclass(frozen=True, eq=False)
class Place(Primitive):
    """result.flat[indices[i]] += x.flat[i], onto zeros of the node's shape."""

    indices: Indices


@dataclass(frozen=True, eq=False)
class Join(Primitive):
    """Concatenation of its operands along ``axis``."""

    axis: int


@dataclass(frozen=True, eq=False)
class Apply(Primitive):
    """The ``order``-th derivative of an elementwise function of ``refimpl.functions``, at each entry."""

    function: str
    order: int = 0


@dataclass(frozen=True, eq=False)
class Hinge(Primitive):
    """below · z for z < 0, above · z for z > 0, and 0 at 0; ``name`` says whose kink it is, ``relu`` say."""

    below: Fraction
    above: Fraction
    name: str = ""


@dataclass(frozen=True, eq=False)
class Step(Primitive):
    """The derivative of ``Hinge``: below for z < 0, above for z > 0, and at 0 the set of all values between."""

    below: Fraction
    above: Fraction
    name: str = ""


@dataclass(frozen=True, eq=False)
class Minimum(Primitive):
    """The lesser of x and y, entry by entry, of one shape; ``name`` says whose kink a tie is."""

    name: str = ""


@dataclass(frozen=True, eq=False)
class Largest(Primitive):
    """The greatest entry along the last axis, which disappears; ``name`` says whose kink a tie is."""

    name: str = ""


@dataclass(frozen=True, eq=False)
class Share(Primitive):
    """The derivative of ``Largest`` for each entry: 1 for the greatest and 0 for the others of its row.

    Where several tie, the set of all shares from 0 to 1 of these that add up to 1.
    """

    name: str = ""


@dataclass(frozen=True, eq=False)
class Tied(Primitive):
    """1 for each entry that ties with another for the greatest of its row along the last axis, 0 for every other."""


@dataclass(frozen=True, eq=False)
class Detour(Primitive):
    """The first operand itself, which implementations reach by longer ways too.

    On such a way they spend ``roundings`` more roundings, each of a number that is entry by entry no larger than the
    magnitudes of the other operands together; and ``returning`` more on the way back, each of a number no larger than
    the gradient times those magnitudes. Of consequence for ``refimpl.allowance`` alone.
    """

    roundings: int
    returning: int = 0


@dataclass(frozen=True, eq=False)
class Anchor(Primitive):
    """A number near the largest entry along the last axis, of the arithmetic's own choosing (0 will do).

    Subtracting one number from all logits changes no softmax and is undone after a log-sum-exp; so a program that
    uses an anchor means the same for every choice, and the choice is not differentiated.
    """


@dataclass(frozen=True, eq=False)
class Node:
    """A tensor of a program: the primitive that computes it, from which operands, and its shape."""

    primitive: Primitive
    operands: tuple[Node, ...]
    shape: Shape
    note: str = field(default="", compare=False)
    """Which layer or loss the node belongs to, and its name there: ``layer 0: z``."""

    def __add__(self, other: Node) -> Node:
        _same_shape("add", self, other)
        return Node(Add(), (self, other), self.shape)

    def __sub__(self, other: Node) -> Node:
        return self + scale(other, Fraction(-1))

    def __mul__(self, other: Node) -> Node:
        _same_shape("multiply", self, other)
        return Node(Multiply(), (self, other), self.shape)

    def __truediv__(self, other: Node) -> Node:
        return self * apply("reciprocal", other)

    def __matmul__(self, other: Node) -> Node:
        return matmul(self, other)

    def named(self, note: str) -> Node:
        """This node with a note of what it is."""
        return Node(self.primitive, self.operands, self.shape, note)


def leaf(name: str, shape: Shape) -> Node:
    """A tensor that is given when the program runs."""
    return Node(Leaf(name), (), shape, name)


def ones(shape: Shape) -> Node:
    """The constant 1 everywhere."""
    return Node(Ones(), (), shape)


def scale(x: Node, factor: Fraction, label: str | None = None) -> Node:
    """Factor · x; x itself for the factor 1."""
    return x if factor == 1 and label is None else Node(Scale(factor, label), (x,), x.shape)


def matmul(a: Node, b: Node, *, transpose_a: bool = False, transpose_b: bool = False) -> Node:
    """A @ b of two matrices, each transposed first where its flag says so."""
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise ValueError(f"matmul needs matrices, got shapes {a.shape} and {b.shape}")
    rows, inner = a.shape[::-1] if transpose_a else a.shape
    inner_b, columns = b.shape[::-1] if transpose_b else b.shape
    if inner != inner_b:
        raise ValueError(f"matmul of shapes {a.shape} and {b.shape} with transposes {transpose_a}, {transpose_b}")
    return Node(MatMul(transpose_a, transpose_b), (a, b), (rows, columns))


def total(x: Node, axes: Sequence[int]) -> Node:
    """The sum over axes, which disappear; x itself where there are none."""
    if not axes:
        return x
    gone = {axis % len(x.shape) for axis in axes}
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in gone)
    return Node(Total(tuple(sorted(gone))), (x,), shape)


def spread(x: Node, axes: Sequence[int], shape: Shape) -> Node:
    """X repeated along new ``axes``, to ``shape``; x itself where there are none."""
    if not axes:
        return x
    new = {axis % len(shape) for axis in axes}
    if tuple(size for axis, size in enumerate(shape) if axis not in new) != x.shape:
        raise ValueError(f"spread of shape {x.shape} along axes {sorted(new)} to {shape}")
    return Node(Spread(tuple(sorted(new))), (x,), shape)


def reshape(x: Node, shape: Shape) -> Node:
    """The same entries in C order, in another shape."""
    if math.prod(shape) != math.prod(x.shape):
        raise ValueError(f"reshape of {x.shape} to {shape}")
    return x if shape == x.shape else Node(Reshape(), (x,), shape)


def take(x: Node, indices: Indices, shape: Shape) -> Node:
    """The entries of x at flat ``indices``, in ``shape``."""
    if indices.size != math.prod(shape):
        raise ValueError(f"take of {indices.size} indices to shape {shape}")
    return Node(Take(indices.ravel()), (x,), shape)


def join(parts: Sequence[Node], axis: int) -> Node:
    """Concatenation along an axis; the one part itself where there is one."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0].shape
    axis %= len(first)
    if len({(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}) != 1:
        raise ValueError(f"join of shapes {[part.shape for part in parts]} along axis {axis}")
    shape = (*first[:axis], sum(part.shape[axis] for part in parts), *first[axis + 1 :])
    return Node(Join(axis), tuple(parts), shape)


def apply(function: str, x: Node) -> Node:
    """An elementwise function of ``refimpl.functions``."""
    return Node(Apply(function), (x,), x.shape)


def hinge(x: Node, below: Fraction, above: Fraction, name: str = "") -> Node:
    """Below · x for x < 0, above · x for x > 0; ``name`` says whose kink it is."""
    return Node(Hinge(below, above, name), (x,), x.shape)


def minimum(x: Node, y: Node, name: str = "") -> Node:
    """The lesser of x and y, entry by entry; ``name`` says whose kink a tie is."""
    _same_shape("minimum", x, y)
    return Node(Minimum(name), (x, y), x.shape)


def maximum(x: Node, y: Node, name: str = "") -> Node:
    """The greater of x and y, entry by entry; ``name`` says whose kink a tie is."""
    return scale(minimum(scale(x, Fraction(-1)), scale(y, Fraction(-1)), name), Fraction(-1))


def largest(x: Node, name: str = "") -> Node:
    """The greatest entry along the last axis, which disappears; ``name`` says whose kink a tie is."""
    return Node(Largest(name), (x,), x.shape[:-1])


def tied(x: Node) -> Node:
    """1 for each entry that ties with another for the greatest along the last axis, 0 for every other."""
    return Node(Tied(), (x,), x.shape)


def detour(x: Node, roundings: int, *magnitudes: Node, returning: int = 0) -> Node:
    """X itself; on other ways to it come so many more roundings of numbers as large as ``magnitudes`` together.

    On the way back, ``returning`` more of numbers as large as the gradient times ``magnitudes``.
    """
    for node in magnitudes:
        _same_shape("detour", x, node)
    return Node(Detour(roundings, returning), (x, *magnitudes), x.shape, x.note)


def anchor(x: Node) -> Node:
    """A number near the largest entry along the last axis, repeated along it; see ``Anchor``."""
    return Node(Anchor(), (x,), x.shape)


def adjoints(node: Node, delta: Node) -> tuple[Node | None, ...]:
    """What the gradient ``delta`` of a node contributes to each of its operands: Aᵀ delta; None for no dependence.

    For linear A the adjoint is the Aᵀ with ⟨Au, v⟩ = ⟨u, Aᵀv⟩; a bilinear primitive is linear in each operand; an
    elementwise function has the diagonal Jacobian of its derivative.
    """
    primitive, operands = node.primitive, node.operands
    match primitive:
        case Leaf() | Ones() | Seed():
            return ()
        case Add():
            return delta, delta
        case Scale():
            return (scale(delta, primitive.factor, primitive.label),)
        case Multiply():
            return delta * operands[1], delta * operands[0]
        case MatMul():
            a, b = operands
            return _matmul_adjoints(primitive, a, b, delta)
        case Total():
            return (spread(delta, primitive.axes, operands[0].shape),)
        case Spread():
            return (total(delta, primitive.axes),)
        case Reshape():
            return (reshape(delta, operands[0].shape),)
        case Take():
            return (Node(Place(primitive.indices), (delta,), operands[0].shape),)
        case Place():
            return (take(delta, primitive.indices, operands[0].shape),)
        case Join():
            return _join_adjoints(primitive, operands, delta)
        case Apply():
            slope = Node(
                Apply(primitive.function, primitive.order + 1), operands, node.shape, f"derivative of {node.note}"
            )
            return (delta * slope,)
        case Hinge():
            step = Step(primitive.below, primitive.above, primitive.name)
            return (delta * Node(step, operands, node.shape, f"derivative of {node.note}"),)
        case Minimum():
            # The slope for x is 1 where y − x > 0; for y it is what is left, by the same choice where they tie.
            difference = operands[1] - operands[0]
            step = Step(Fraction(0), Fraction(1), primitive.name)
            first = Node(step, (difference,), node.shape, f"derivative of {node.note}")
            return delta * first, delta * (ones(node.shape) - first)
        case Largest():
            (x,) = operands
            share = Node(Share(primitive.name), operands, x.shape, f"derivative of {node.note}")
            return (spread(delta, (-1,), x.shape) * share,)
        case Detour(_, returning):
            back = detour(delta, returning, *(delta * size for size in operands[1:])) if returning else delta
            return (back, *(None for _ in operands[1:]))
        case Anchor() | Tied():
            return (None,)
        case _:
            raise TypeError(f"no adjoint for {type(primitive).__name__}")


def _matmul_adjoints(primitive: MatMul, a: Node, b: Node, delta: Node) -> tuple[Node, Node]:
    # C = A B with A = a or aᵀ, B = b or bᵀ: ⟨dA B, Δ⟩ = ⟨dA, Δ Bᵀ⟩ and ⟨A dB, Δ⟩ = ⟨dB, Aᵀ Δ⟩; transposed back.
    ta, tb = primitive.transpose_a, primitive.transpose_b
    for_a = matmul(b, delta, transpose_a=tb, transpose_b=True) if ta else matmul(delta, b, transpose_b=not tb)
    for_b = matmul(delta, a, transpose_a=True, transpose_b=ta) if tb else matmul(a, delta, transpose_a=not ta)
    return for_a, for_b


def _join_adjoints(primitive: Join, operands: tuple[Node, ...], delta: Node) -> tuple[Node, ...]:
    positions = np.arange(math.prod(delta.shape)).reshape(delta.shape)
    ends = np.cumsum([operand.shape[primitive.axis] for operand in operands])[:-1]
    pieces = np.split(positions, ends, axis=primitive.axis)
    return tuple(take(delta, piece, operand.shape) for piece, operand in zip(pieces, operands, strict=True))


def ordered(results: Sequence[Node]) -> tuple[Node, ...]:
    """Every node behind the results, operands before what they are used in."""
    seen: set[int] = set()
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(results)]
    while stack:
        node, entered = stack.pop()
        if entered:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(node.operands))
    return tuple(order)


def gradients(result: Node, leaves: Mapping[str, Node]) -> dict[str, Node]:
    """The gradient of a scalar for each leaf, by reverse accumulation: every use of a tensor adds its contribution.

    A leaf that the result does not depend on has the gradient 0 · leaf.
    """
    if result.shape != ():
        raise ValueError(f"the gradient of a scalar, not of a tensor of shape {result.shape}")
    return pull_back(result, Node(Seed(), (), ()), leaves)


def pull_back(result: Node, delta: Node, leaves: Mapping[str, Node]) -> dict[str, Node]:
    """Jᵀ delta for the Jacobian J of a tensor with respect to each leaf, which may be any node behind it.

    ``delta``, of the result's shape, is not differentiated, whatever it depends on itself.
    """
    _same_shape("pull_back", result, delta)
    order = ordered([result])
    wanted = {id(node) for node in leaves.values()}
    reaches = set(wanted)
    for node in order:
        if any(id(operand) in reaches for operand in node.operands):
            reaches.add(id(node))
    accumulated: dict[int, Node] = {id(result): delta}
    for node in reversed(order):
        delta_here = accumulated.get(id(node))
        if delta_here is None or not any(id(operand) in reaches for operand in node.operands):
            continue
        for operand, part in zip(node.operands, adjoints(node, delta_here), strict=True):
            if part is None or id(operand) not in reaches:
                continue
            before = accumulated.get(id(operand))
            accumulated[id(operand)] = part if before is None else before + part
    return {name: accumulated.get(id(node), scale(node, Fraction(0))) for name, node in leaves.items()}


def _same_shape(what: str, x: Node, y: Node) -> None:
    if x.shape != y.shape:
        raise ValueError(f"{what} needs one shape, got {x.shape} and {y.shape}")
