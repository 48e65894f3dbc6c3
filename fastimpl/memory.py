"""What kernels need of memory and of addresses, in LLVM's terms: pointer arithmetic, calls through an address, bits."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastimpl.buffers import CACHE_LINE
from fastimpl.jit import intrinsic, types

_INT = ir.IntType(64)
_INT32 = ir.IntType(32)
_BYTE = ir.IntType(8)


def _stack(builder: Any, kind: Any) -> Any:
    """Room on the stack while the function runs. Not by Numba's own, which is filled with zeros at each use."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


def room_for(numbers: int) -> Any:
    """An operation, pointer → room on the stack for so many numbers of the type that it points to, on a cache line."""

    @intrinsic
    def room(typing: Any, like: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            stack = _stack(builder, ir.ArrayType(context.get_value_type(like.dtype), numbers))
            stack.align = CACHE_LINE
            return builder.bitcast(stack, context.get_value_type(like))

        return like(like), generate

    return room


@intrinsic
def shifted(typing: Any, pointer: Any, offset: Any) -> Any:
    """The pointer that lies ``offset`` numbers behind ``pointer``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def pointer_like(typing: Any, pointer: Any, address: Any) -> Any:
    """A pointer of the type of ``pointer`` to ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[1], context.get_value_type(signature.return_type))

    return pointer(pointer, types.int64), generate


@intrinsic
def address_of(typing: Any, pointer: Any) -> Any:
    """Where a pointer points, as a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], _INT)

    return types.int64(pointer), generate


@intrinsic
def rounded_like(typing: Any, pointer: Any, number: Any) -> Any:
    """A float64 rounded to the type of the numbers at ``pointer``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], types.float64, pointer.dtype)

    return pointer.dtype(pointer, types.float64), generate


@intrinsic
def integers_at(typing: Any, address: Any) -> Any:
    """The int64 numbers at ``address``."""
    numbers = types.CPointer(types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return numbers(types.int64), generate


@intrinsic
def reals_at(typing: Any, address: Any) -> Any:
    """The float64 numbers at ``address``."""
    numbers = types.CPointer(types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return numbers(types.int64), generate


@intrinsic
def bits_of(typing: Any, number: Any) -> Any:
    """The bits of a float64 as an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _INT)

    return types.int64(types.float64), generate


@intrinsic
def from_bits(typing: Any, bits: Any) -> Any:
    """The float64 with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def call_kernel(typing: Any, address: Any, op: Any, hyper: Any, theta: Any, dtheta: Any, work: Any, batch: Any) -> Any:
    """Calls the kernel whose ``entry`` is ``address``; its arguments are addresses, so that one caller serves every
    dtype.

    Numba's own convention: where the result goes, where an exception would (kernels raise none), then the arguments.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _BYTE.as_pointer()
        result = ir.DoubleType()
        kind = ir.FunctionType(_INT32, [result.as_pointer(), pointer, *[pointer] * 5, _INT])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        room = _stack(builder, result)
        pointers = [builder.inttoptr(argument, pointer) for argument in arguments[1:6]]
        builder.call(function, [room, ir.Constant(pointer, None), *pointers, arguments[6]])
        return builder.load(room)

    return types.float64(*[types.int64] * 7), generate


@intrinsic
def call_gemm(
    typing: Any,
    address: Any,
    transpose_a: Any,
    transpose_b: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """C ← alpha · op(A) @ op(B) + beta · C by the BLAS routine at ``address``, in its column-major terms.

    C is (m, n) and the inner size is k; op is the transpose where the flag is true. alpha and beta are rounded to the
    type of the matrices. See the reference BLAS, ``dgemm``, for the leading dimensions lda, ldb and ldc.
    """
    number = c.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (function, flag_a, flag_b, m_, n_, k_, alpha_, a_, lda_, b_, ldb_, beta_, c_, ldc_) = arguments
        element = context.get_value_type(number)

        def stored(value: Any) -> Any:
            room = _stack(builder, value.type)
            builder.store(value, room)
            return room

        def letter(flag: Any) -> Any:
            return stored(builder.select(flag, _BYTE(ord("T")), _BYTE(ord("N"))))

        def size(value: Any) -> Any:
            return stored(builder.trunc(value, _INT32))

        def factor(value: Any) -> Any:
            return stored(value if element == ir.DoubleType() else builder.fptrunc(value, element))

        passed = [
            letter(flag_a),
            letter(flag_b),
            size(m_),
            size(n_),
            size(k_),
            factor(alpha_),
            a_,
            size(lda_),
            b_,
            size(ldb_),
            factor(beta_),
            c_,
            size(ldc_),
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(builder.inttoptr(function, kind.as_pointer()), passed)
        return context.get_dummy_value()

    integer, real, flag = types.int64, types.float64, types.boolean
    arguments = (integer, flag, flag, integer, integer, integer, real, a, integer, b, integer, real, c, integer)
    return types.none(*arguments), generate
