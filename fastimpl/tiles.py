"""Products of matrices in LLVM's own vectors: a tile of the result stays in registers while it is summed.

A compiler that vectorises the plain loops loads and stores the result once for every term; BLAS keeps it in registers,
but first copies its operands into panels, which narrow and middle-sized matrices never repay. Here a tile of some rows
by some vectors is summed over operands that stay where they lie, and written once.

All matrices lie row by row. Columns that fill no whole vector are masked. Each number of a result is summed over the
inner axis in its order, whatever tile it falls into, so that how a matrix is cut changes no bit.

While a tile is summed the memory is idle. A processor fetches by itself what follows in memory, but not what follows in
a strip of a matrix, whose rows lie far apart; so the tiles of a wide strip fetch what is read next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

from fastimpl.buffers import CACHE_LINE
from fastimpl.jit import intrinsic, types
from fastimpl.memory import room_for

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_BIT = ir.IntType(1)
_BYTE = ir.IntType(8)
_DOUBLE = ir.DoubleType()


_WIDEST: Final = 4
"""Vectors across a strip."""


@dataclass(frozen=True)
class _Processor:
    """What tiles are cut to. vector: bytes of a vector; LLVM splits it where the units are narrower still.

    heights: vectors across a tile → its rows, as many as fit the registers beside what they are summed from, and fewer
    for what is left. A single vector is taken as high as two.
    """

    vector: int
    heights: Mapping[int, tuple[int, ...]]


_WIDE: Final = _Processor(64, MappingProxyType({4: (6, 4, 2, 1), 2: (8, 4, 2, 1)}))
_NARROW: Final = _Processor(32, MappingProxyType({4: (2, 1), 2: (4, 2, 1)}))


@cache
def _processor() -> _Processor:
    """The one that Numba compiles for: 32 registers of 64 bytes, or 16 of 32 or less."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return _WIDE if "+avx512f" in features else _NARROW


def _lanes(element: Any) -> int:
    """Numbers of a whole vector."""
    return _processor().vector // _size(element)


@dataclass(frozen=True)
class _Vector:
    """The columns of a tile from ``first`` on: as many as there are lanes, but those that the mask leaves out."""

    first: Any
    lanes: int
    mask: Any = None


@dataclass(frozen=True)
class _Line:
    """A cache line of each of ``most`` rows that are read next, from ``first`` on: ``row`` numbers apart, or as far as
    A's terms are where they are ``of_a``.
    """

    first: Any
    row: Any
    most: Any
    of_a: Any


@dataclass(frozen=True)
class _Product:
    """The arguments of a product, and the code that is made of them; see ``multiply_rows`` and ``multiply_terms``."""

    builder: Any
    element: Any
    rows_by_places: bool
    a: Any
    a_row: Any
    a_step: Any
    places: Any
    b: Any
    b_row: Any
    c: Any
    c_row: Any
    rows: Any
    columns: Any
    inner: Any
    init: Any
    init_row: Any
    started: Any
    descends: Any
    rate: Any

    def emit(self) -> None:
        """Blocks of four whole vectors across; then of one and a part; then of what a single vector holds."""
        builder, whole = self.builder, _lanes(self.element)
        half = whole // 2
        entry = builder.block
        wide, last = (builder.append_basic_block(name) for name in ("wide", "last"))
        builder.cbranch(builder.icmp_signed("<=", self.columns, _INT(whole)), last, wide)
        builder.position_at_end(wide)
        with _blocks(builder, _INT(0), self.columns, _INT(_WIDEST * whole)) as (first, after):
            self.rows_of([_Vector(builder.add(first, _INT(v * whole)), whole) for v in range(_WIDEST)])
        # More than one and a half are left: a whole one, and what fits of another.
        with _blocks(builder, after(), self.columns, _INT(2 * whole), least=_INT(whole + half + 1)) as (first, after):
            second = builder.add(first, _INT(whole))
            self.rows_of([_Vector(first, whole), self.part(second, whole)])
        with _blocks(builder, after(), self.columns, _INT(whole + half), least=_INT(whole + 1)) as (first, after):
            second = builder.add(first, _INT(whole))
            self.rows_of([_Vector(first, whole), self.part(second, half)])
        rest = after()
        behind = builder.block
        end = builder.append_basic_block("columns")
        builder.cbranch(builder.icmp_signed("<", rest, self.columns), last, end)
        builder.position_at_end(last)
        place = builder.phi(_INT)
        place.add_incoming(_INT(0), entry)
        place.add_incoming(rest, behind)
        with builder.if_else(builder.icmp_signed("<=", builder.sub(self.columns, place), _INT(half))) as (few, more):
            with few:
                self.rows_of([self.part(place, half)])
            with more:
                self.rows_of([self.part(place, whole)])
        builder.branch(end)
        builder.position_at_end(end)

    def part(self, first: Any, lanes: int) -> _Vector:
        """The columns from ``first`` on that there are, up to so many."""
        builder = self.builder
        return _Vector(first, lanes, _below(builder, builder.sub(self.columns, first), lanes))

    def rows_of(self, across: list[_Vector]) -> None:
        """All rows of these columns.

        What is left of them below a tile of the full height is cut into lower ones, of which there are few; but where a
        single vector is all there is across, into one of just that height, since going from tile to tile is what takes
        the time there.
        """
        builder = self.builder
        heights = _processor().heights[max(len(across), 2)]
        place: Any = _INT(0)
        for height in heights if len(across) > 1 else heights[:1]:
            with _blocks(builder, place, self.rows, _INT(height)) as (row, after):
                self.tile(row, height, across)
            place = after()
        if len(across) > 1:
            return
        end = builder.append_basic_block("rows")
        chosen = builder.switch(builder.sub(self.rows, place), end)
        for height in range(1, heights[0]):
            chosen.add_case(_INT(height), builder.append_basic_block(f"rows.{height}"))
            builder.position_at_end(chosen.cases[-1][1])
            self.tile(place, height, across)
            builder.branch(end)
        builder.position_at_end(end)

    def tile(self, first: Any, height: int, across: list[_Vector]) -> None:
        """So many rows of these columns from ``first`` on: started, summed, and written or taken off."""
        builder = self.builder
        ahead = self.line_ahead(first, height, across) if len(across) == _WIDEST else None
        sums = self.summed(self.left(first, height), across, self.starts(first, height, across), ahead)
        places = [
            [_behind(builder, row, vector.first) for vector in across]
            for row in self.below(self.c, self.c_row, first, height)
        ]
        with builder.if_else(self.descends) as (descends, writes):
            with descends:
                self.descend(places, sums, across)
            with writes:
                self.write(places, sums, across)

    def placed(self, number: Any, by_places: bool) -> Any:
        """Where a row or a column of A lies: at its place, or at its own number."""
        return self.builder.load(_behind(self.builder, self.places, number)) if by_places else number

    def left(self, first: Any, height: int) -> list[Any]:
        """Where so many rows of A start."""
        if not self.rows_by_places:
            return self.below(self.a, self.a_row, first, height)
        numbers = [self.builder.add(first, _INT(r)) for r in range(height)]
        return [
            _behind(self.builder, self.a, self.builder.mul(self.placed(number, True), self.a_row)) for number in numbers
        ]

    def below(self, matrix: Any, distance: Any, first: Any, height: int) -> list[Any]:
        """Where so many rows of a matrix start."""
        rows = [_behind(self.builder, matrix, self.builder.mul(first, distance))]
        for _ in range(1, height):
            rows.append(_behind(self.builder, rows[-1], distance))
        return rows

    def write(self, places: list[list[Any]], sums: list[list[Any]], across: list[_Vector]) -> None:
        """Each sum to its place."""
        for row, values in zip(places, sums, strict=True):
            for place, value, vector in zip(row, values, across, strict=True):
                _store(self.builder, value, place, vector.mask)

    def descend(self, places: list[list[Any]], sums: list[list[Any]], across: list[_Vector]) -> None:
        """Each row is read before the one ahead of it is written, as a masked store holds up what is read behind it."""

        def read(row: list[Any]) -> list[Any]:
            return [
                _load(self.builder, place, self.element, vector.lanes, vector.mask)
                for place, vector in zip(row, across, strict=True)
            ]

        before = read(places[0])
        for r, values in enumerate(sums):
            following = read(places[r + 1]) if r + 1 < len(places) else []
            after = [self.descended(w, dw) for w, dw in zip(before, values, strict=True)]
            self.write([places[r]], [after], across)
            before = following

    def starts(self, first: Any, height: int, across: list[_Vector]) -> list[list[Any]]:
        """What the sums of these rows start from: zeros, or what is read."""
        builder = self.builder
        zeros = [[ir.Constant(ir.VectorType(self.element, v.lanes), [0.0] * v.lanes) for v in across]] * height
        before = builder.block
        with builder.if_then(self.started):
            rows = self.below(self.init, self.init_row, first, height)
            read = [
                [_load(builder, _behind(builder, row, v.first), self.element, v.lanes, v.mask) for v in across]
                for row in rows
            ]
            started = builder.block
        found = [[builder.phi(zero.type) for zero in row] for row in zeros]
        for places, nothing, values in zip(found, zeros, read, strict=True):
            for place, zero, value in zip(places, nothing, values, strict=True):
                place.add_incoming(zero, before)
                place.add_incoming(value, started)
        return found

    def line_ahead(self, top: Any, height: int, across: list[_Vector]) -> _Line:
        """What is fetched beside so many rows from ``top`` on: with the first ones the first line, and so on.

        Where rows of A lie at places, it is of the next strip of B. Else it is of the next strip of C, to be written or
        descended; but with the first strip, where A is a transpose, of the columns that follow in its memory: it is cut
        into blocks of rows.
        """
        builder = self.builder
        strip = sum(vector.lanes for vector in across)
        line = CACHE_LINE // _size(self.element)
        place = builder.mul(builder.udiv(top, _INT(height)), _INT(line))
        following = builder.add(builder.add(across[0].first, _INT(strip)), self.least(place, _INT(strip - line)))
        if self.rows_by_places:
            return _Line(_behind(builder, self.b, following), self.b_row, self.inner, _BIT(0))
        transposed = builder.icmp_signed("==", self.a_row, _INT(1))
        of_a = builder.and_(transposed, builder.icmp_signed("==", across[0].first, _INT(0)))
        column = builder.add(self.rows, self.least(place, builder.sub(self.rows, _INT(1))))
        first = builder.select(of_a, _behind(builder, self.a, column), _behind(builder, self.c, following))
        return _Line(first, self.c_row, builder.select(of_a, self.inner, self.rows), of_a)

    def least(self, a: Any, b: Any) -> Any:
        """The smaller of two counts."""
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def summed(
        self, left: list[Any], across: list[_Vector], starts: list[list[Any]], ahead: _Line | None
    ) -> list[list[Any]]:
        """The loop over the inner axis: each number of a column of A times a row of B.

        With each term a line ahead is fetched, and not all at once, which would hold up what is read now.
        """
        builder = self.builder
        before = builder.block
        head, body, end = (builder.append_basic_block(name) for name in ("inner", "term", "summed"))
        builder.branch(head)
        builder.position_at_end(head)
        t = builder.phi(_INT)
        t.add_incoming(_INT(0), before)
        sums = [[builder.phi(start.type) for start in row] for row in starts]
        for row, values in zip(sums, starts, strict=True):
            for place, start in zip(row, values, strict=True):
                place.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed("<", t, self.inner), body, end)
        builder.position_at_end(body)
        step = builder.mul(self.placed(t, not self.rows_by_places), self.a_step)
        if ahead is not None:
            with builder.if_then(builder.icmp_signed("<", t, ahead.most)):
                apart = builder.select(ahead.of_a, step, builder.mul(t, ahead.row))
                _fetch(builder, _behind(builder, ahead.first, apart))
        at = builder.mul(t, self.b_row)
        right = [
            _load(builder, _behind(builder, self.b, builder.add(at, v.first)), self.element, v.lanes, v.mask)
            for v in across
        ]
        for pointer, row in zip(left, sums, strict=True):
            number = builder.load(_behind(builder, pointer, step))
            for place, vector in zip(row, right, strict=True):
                product = builder.fmul(_everywhere(builder, number, vector.type), vector, flags=("contract",))
                place.add_incoming(builder.fadd(place, product, flags=("contract",)), builder.block)
        t.add_incoming(builder.add(t, _INT(1)), builder.block)
        builder.branch(head)
        builder.position_at_end(end)
        return sums

    def descended(self, before: Any, gradient: Any) -> Any:
        """What lay there, less the rate times the gradient."""
        builder = self.builder
        rate = self.rate if self.element == _DOUBLE else builder.fptrunc(self.rate, self.element)
        return builder.fsub(before, builder.fmul(_everywhere(builder, rate, before.type), gradient))


@contextmanager
def _blocks(
    builder: Any, start: Any, stop: Any, size: Any, least: Any = None
) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """A loop from ``start`` on in steps of ``size``, while at least ``least`` are left: a whole block, unless given.

    Gives the place of the block, and what returns, behind the loop, the place where it ended.
    """
    before = builder.block
    head, body, end = (builder.append_basic_block(name) for name in ("blocks", "block", "rest"))
    builder.branch(head)
    builder.position_at_end(head)
    place = builder.phi(_INT)
    place.add_incoming(start, before)
    left = builder.sub(stop, place)
    builder.cbranch(builder.icmp_signed(">=", left, size if least is None else least), body, end)
    builder.position_at_end(body)
    yield place, lambda: place
    place.add_incoming(builder.add(place, size), builder.block)
    builder.branch(head)
    builder.position_at_end(end)


def _behind(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.gep(pointer, [offset])


def _size(element: Any) -> int:
    """Bytes of a number."""
    return 8 if element == _DOUBLE else 4


def _below(builder: Any, count: Any, lanes: int) -> Any:
    """The mask of the lanes before ``count``."""
    wide = ir.VectorType(_INT32, lanes)
    numbers = ir.Constant(wide, [_INT32(lane) for lane in range(lanes)])
    return builder.icmp_signed("<", numbers, _everywhere(builder, builder.trunc(count, _INT32), wide))


def _load(builder: Any, pointer: Any, element: Any, lanes: int, mask: Any) -> Any:
    """The numbers from there on; 0 where they are masked."""
    kind, size = ir.VectorType(element, lanes), _size(element)
    pointer = builder.bitcast(pointer, kind.as_pointer())
    if mask is None:
        return builder.load(pointer, align=size)
    zeros = ir.Constant(kind, [0.0] * lanes)
    return _call_masked(builder, f"load.v{lanes}f{8 * size}", kind, [pointer, _INT32(size), mask, zeros])


def _store(builder: Any, vector: Any, pointer: Any, mask: Any) -> None:
    """Writes the numbers that are not masked."""
    lanes, size = vector.type.count, _size(vector.type.element)
    pointer = builder.bitcast(pointer, vector.type.as_pointer())
    if mask is None:
        builder.store(vector, pointer, align=size)
    else:
        arguments = [vector, pointer, _INT32(size), mask]
        _call_masked(builder, f"store.v{lanes}f{8 * size}", ir.VoidType(), arguments)


def _fetch(builder: Any, pointer: Any) -> None:
    """Asks for the cache line there, into the second-level cache. A place that is no memory is let be."""
    address = builder.bitcast(pointer, _BYTE.as_pointer())
    to_read, second_level, data = _INT32(0), _INT32(2), _INT32(1)
    kind = ir.FunctionType(ir.VoidType(), [address.type, _INT32, _INT32, _INT32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [address, to_read, second_level, data])


def _call_masked(builder: Any, name: str, returned: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.{name}.p0")
    return builder.call(function, arguments)


def _everywhere(builder: Any, value: Any, vector: Any) -> Any:
    """The vector whose lanes are all ``value``."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, _INT32(0))
    lanes = ir.Constant(ir.VectorType(_INT32, vector.count), [_INT32(0)] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def _multiplication(rows_by_places: bool) -> Any:
    """The operation whose A has its rows at places, or else its columns."""

    def multiply(
        typing: Any,
        a: Any,
        a_row: Any,
        a_step: Any,
        places: Any,
        b: Any,
        b_row: Any,
        c: Any,
        c_row: Any,
        rows: Any,
        columns: Any,
        inner: Any,
        init: Any,
        init_row: Any,
        started: Any,
        descends: Any,
        rate: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            element = context.get_value_type(c.dtype)
            name = f"fastimpl.multiply_{'rows' if rows_by_places else 'terms'}.{element}"

            def body(inside: Any, given: list[Any]) -> None:
                _Product(inside, element, rows_by_places, *given).emit()

            _call_own(builder, name, arguments, body, shared=not rows_by_places)
            return context.get_dummy_value()

        integer, flag = types.int64, types.boolean
        matrices = (a, integer, integer, places, b, integer, c, integer, integer, integer, integer)
        return types.none(*matrices, init, integer, flag, flag, types.float64), generate

    return intrinsic(multiply)


multiply_rows = _multiplication(rows_by_places=True)
"""C ← init + A @ B, for A (rows, inner), B (inner, columns) and C (rows, columns).

Arguments: a, a_row, a_step, places, b, b_row, c, c_row, rows, columns, inner, init, init_row, started, descends, rate.

Number (i, t) of A lies at ``a[places[i] * a_row + t * a_step]``, so that samples need not be copied together first;
rows of B, C and init start ``b_row``, ``c_row`` and ``init_row`` numbers apart, 0 for one row that all share. Where
``started`` is false, init is 0 and is not read. Where ``descends``, C ← C − rate (A @ B): rate, product, multiple and
difference are rounded to the type of the matrices one after the other.
"""

multiply_terms = _multiplication(rows_by_places=False)
"""The same, but number (i, t) of A lies at ``a[i * a_row + places[t] * a_step]``: a sum over samples."""


def _call_own(
    builder: Any, name: str, arguments: list[Any], body: Callable[[Any, list[Any]], None], *, shared: bool
) -> None:
    """Calls the function that ``body`` writes, which stands in its module once however often it is called.

    Where callers share it, LLVM is not to make copies for the constants of each, which take as long to compile again.
    """
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        if shared:
            function.attributes.add("noduplicate")
        inside = ir.IRBuilder(function.append_basic_block("entry"))
        body(inside, list(function.args))
        inside.ret_void()
    builder.call(function, arguments)


PANEL: Final = 4096
"""Numbers of the panel that a matrix is transposed into, piece by piece: a first-level cache holds it."""


panel_like = room_for(PANEL)
"""(pointer) → room for PANEL numbers of its type, while the kernel runs."""


@intrinsic
def transpose(typing: Any, source: Any, source_row: Any, rows: Any, columns: Any, panel: Any, panel_row: Any) -> Any:
    """Writes the transpose of a matrix (rows, columns) into a panel whose rows start ``panel_row`` numbers apart.

    It is done in squares of a vector's width, or halves of them where columns end, and the panel is written up to
    these: what lies behind the matrix there has no meaning.
    """
    integer = types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.get_value_type(source.dtype)
        name = f"fastimpl.transpose.{element}"
        _call_own(builder, name, arguments, lambda inside, given: _transpose(inside, element, *given), shared=False)
        return context.get_dummy_value()

    return types.none(source, integer, integer, integer, panel, integer), generate


def _transpose(
    builder: Any, element: Any, source: Any, source_row: Any, rows: Any, columns: Any, panel: Any, panel_row: Any
) -> None:
    lanes = _lanes(element)
    half = lanes // 2
    with _blocks(builder, _INT(0), rows, _INT(lanes), least=_INT(1)) as (row, _):
        places = [_behind(builder, source, builder.mul(row, source_row))]
        for lane in range(1, lanes):
            inside = builder.icmp_signed("<", builder.add(row, _INT(lane)), rows)
            places.append(_behind(builder, places[-1], builder.select(inside, source_row, _INT(0))))

        def block(column: Any, across: int) -> None:
            mask = _below(builder, builder.sub(columns, column), across)
            vectors = [_load(builder, _behind(builder, p, column), element, across, mask) for p in places]
            target = _behind(builder, panel, builder.add(builder.mul(column, panel_row), row))
            for vector in transposed(builder, vectors):
                _store(builder, vector, target, None)
                target = _behind(builder, target, panel_row)

        with _blocks(builder, _INT(0), columns, _INT(lanes), least=_INT(half + 1)) as (column, after):
            block(column, lanes)
        with _blocks(builder, after(), columns, _INT(half), least=_INT(1)) as (column, _):
            block(column, half)


def transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """The columns of a square, or of half of it: blocks of 1, then of 2, 4 … change places across the diagonal.

    Of rows of half the length, two stand in each vector.
    """
    lanes, across = len(vectors), vectors[0].type.count

    def chosen(first: Any, second: Any, numbers: list[int]) -> Any:
        return builder.shuffle_vector(
            first, second, ir.Constant(ir.VectorType(_INT32, lanes), [_INT32(n) for n in numbers])
        )

    if across < lanes:
        vectors = [chosen(*pair, list(range(lanes))) for pair in zip(vectors, vectors[across:], strict=False)]
    distance = 1
    while distance < across:
        for i in (i for i in range(across) if not i & distance):
            j = i | distance
            low = [lane if not lane & distance else lanes + lane - distance for lane in range(lanes)]
            high = [lane + distance if not lane & distance else lanes + lane for lane in range(lanes)]
            vectors[i], vectors[j] = (chosen(vectors[i], vectors[j], numbers) for numbers in (low, high))
        distance *= 2
    return vectors
