"""Named arrays and one JSON text in a file that ``numpy.load`` opens too, written whole or not at all.

Reading trusts nothing. Nothing is unpickled and nothing executed; nothing is decompressed, since archives that
``write`` made hold every array as it is, and others are refused; and an array is read only where its name and size, and
then the description in front of it, byte by byte, are those that the JSON text leads to. So no file can make the
reader take more memory than the file has bytes, a few times over.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from gradproof.errors import RecordError
from gradproof.layers import Shape
from gradproof.record import write as write_whole

HEADER: Final = "header.json"
"""The member that holds the JSON text."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time that every member carries, so that equal contents are equal files."""

_DAMAGE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)

Header = TypeVar("Header")
Arrays = dict[str, npt.NDArray[Any]]


class ArrayKind(NamedTuple):
    """What an array in an archive must be: float64, float32 or int64, of this shape."""

    dtype: str
    shape: Shape

    @property
    def description(self) -> bytes:
        """What stands in front of the numbers: version 1.0 of NumPy's format for one array (numpy.lib.format)."""
        number = np.dtype(self.dtype).newbyteorder("<").str
        text = f"{{'descr': {number!r}, 'fortran_order': False, 'shape': {self.shape!r}, }}"
        length = -(-(10 + len(text) + 1) // 64) * 64 - 10
        return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.encode("ascii").ljust(length - 1) + b"\n"


def write(path: Path, header: bytes, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes an archive. Raises OSError where that is impossible; what stood at ``path`` then still stands there."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(HEADER, EPOCH), header)
        for name, array in arrays.items():
            numbers = array.astype(array.dtype.newbyteorder("<")).tobytes()
            description = ArrayKind(array.dtype.name, array.shape).description
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), description + numbers)
    write_whole(path, stream.getvalue())


def read(
    path: Path, decode: Callable[[bytes], Header], arrays_of: Callable[[Header], Mapping[str, ArrayKind]]
) -> tuple[Header, Arrays]:
    """The header and the arrays of an archive: new ones, writable, in this machine's byte order.

    decode: makes the header from the JSON text. arrays_of: the arrays that belong to a header, by name.

    Raises RecordError, with the path, for anything but a complete archive of exactly these arrays; OSError where the
    file cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(stream) as archive:
                members = _members(archive, size)
                if HEADER not in members:
                    raise RecordError(f"missing member {HEADER!r}")
                header = decode(archive.read(members[HEADER]))
                kinds = arrays_of(header)
                expected = {HEADER, *(f"{name}.npy" for name in kinds)}
                for name in sorted(expected ^ set(members)):
                    raise RecordError(f"{'missing' if name in expected else 'unexpected'} member {name[:200]!r}")
                return header, {name: _array(archive, members, name, kind) for name, kind in kinds.items()}
        except RecordError as error:
            raise RecordError(f"{path}: {error}") from error
        # What zipfile raises on damage, errors of struct and of text among it, and Python for numbers of any length.
        except _DAMAGE as error:
            raise RecordError(f"{path}: not an archive of gradproof, or a damaged one ({error})") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.filename in members:
            raise RecordError(f"member {member.filename[:200]!r} stands there twice")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise RecordError(f"member {member.filename[:200]!r} is compressed")
        if member.flag_bits & 1:
            raise RecordError(f"member {member.filename[:200]!r} is encrypted")
        members[member.filename] = member
    if sum(member.file_size for member in members.values()) > size:
        raise RecordError("members overlap")
    return members


def _array(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str, kind: ArrayKind
) -> npt.NDArray[Any]:
    wanted = np.dtype(kind.dtype).newbyteorder("<")
    description = kind.description
    size = len(description) + math.prod(kind.shape) * wanted.itemsize
    member = members[f"{name}.npy"]
    if member.file_size != size:
        raise RecordError(f"array {name!r}: expected {size} bytes for shape {kind.shape}, got {member.file_size}")
    content = archive.read(member)
    if not content.startswith(description):
        raise RecordError(f"array {name!r}: expected {kind.dtype} of shape {kind.shape}, got another description")
    return np.frombuffer(content, wanted, offset=len(description)).astype(kind.dtype).reshape(kind.shape)
