"""Whole columns as PostgreSQL's binary arrays: one value per column of a batch.  No I/O.

A batch is written set-based, `INSERT … SELECT * FROM unnest(…)`, so each column travels as one
array.  Packing it here takes a tenth of the time of asking the driver about every single element.

The format (`array_recv`): dimensions, whether there are nulls, the element's type; then the length
and the first index; then each element behind its length in bytes, -1 for a null.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, ClassVar, Final

from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.types.numeric import NumericBinaryLoader, NumericLoader

from telcod.rows import Table

INT8: Final = "int8"
TEXT: Final = "text"
BYTEA: Final = "bytea"
_TYPES: Final = {int: INT8, int | None: INT8, str: TEXT, bytes: BYTEA}

_HEAD: Final = Struct("!iiIii").pack
_INT8: Final = Struct("!iq").pack
_LENGTH: Final = Struct("!i").pack
_NULL: Final = _LENGTH(-1)


class Column:
    """An array as it goes over the wire; one class for each type of element."""

    __slots__ = ("data",)
    element_oid: ClassVar[int]
    array_oid: ClassVar[int]

    def __init__(self, body: bytes, length: int) -> None:
        self.data: Final = _HEAD(1, 1, self.element_oid, length, 1) + body


class Int8Column(Column):
    """Whole numbers of 64 bits."""

    __slots__ = ()
    element_oid = 20
    array_oid = 1016


class TextColumn(Column):
    """Texts."""

    __slots__ = ()
    element_oid = 25
    array_oid = 1009


class ByteaColumn(Column):
    """Bytes."""

    __slots__ = ()
    element_oid = 17
    array_oid = 1001


def column_types(table: Table[Any]) -> tuple[str, ...]:
    """The SQL type of each column, as the row's fields are annotated."""
    hints = table.row.__annotations__
    return tuple(_TYPES[hints[column]] for column in table.columns)


def column(kind: str, values: Sequence[Any]) -> Column:
    """Pack the values of one column.

    Raises:
        struct.error: A number is beyond 64 bits, or is none.
        UnicodeEncodeError: A text has half a surrogate pair.
        TypeError, AttributeError: A value is not of this type.
    """
    count = len(values)
    if kind == INT8:
        return Int8Column(
            b"".join([_INT8(8, value) if value is not None else _NULL for value in values]), count
        )
    if kind == TEXT:
        return TextColumn(_with_lengths([value.encode() for value in values]), count)
    return ByteaColumn(_with_lengths(values), count)


def _with_lengths(values: Iterable[bytes]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        parts.append(_LENGTH(len(value)))
        parts.append(value)
    return b"".join(parts)


class _ColumnDumper(Dumper):
    """A packed column goes as it is."""

    format = pq.Format.BINARY

    def dump(self, obj: Column) -> Buffer:
        return obj.data


class _Int8ColumnDumper(_ColumnDumper):
    oid = Int8Column.array_oid


class _TextColumnDumper(_ColumnDumper):
    oid = TextColumn.array_oid


class _ByteaColumnDumper(_ColumnDumper):
    oid = ByteaColumn.array_oid


class _WholeLoader(NumericLoader):
    """Sums are whole đồng; PostgreSQL's type for a sum of INT8 is a decimal number."""

    def load(self, data: Buffer) -> Any:
        return int(super().load(data))


class _WholeBinaryLoader(NumericBinaryLoader):
    def load(self, data: Buffer) -> Any:
        return int(super().load(data))


def register(context: AdaptContext) -> None:
    """Let a connection send columns, and read sums as whole numbers."""
    adapters = context.adapters
    if adapters is None:
        raise TypeError("a connection has adapters")
    adapters.register_dumper(Int8Column, _Int8ColumnDumper)
    adapters.register_dumper(TextColumn, _TextColumnDumper)
    adapters.register_dumper(ByteaColumn, _ByteaColumnDumper)
    adapters.register_loader("numeric", _WholeLoader)
    adapters.register_loader("numeric", _WholeBinaryLoader)
