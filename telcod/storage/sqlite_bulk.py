"""Many rows in one step of SQLite (DESIGN 4): the statements for it.

The driver lets the interpreter go at each step of a statement and must have it back for the next
one.  While the loop's thread is busy, every row that is a step of its own waits for its turn; so
rows are written by statements of many rows, and read as one JSON text.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

SIZES: Final = (64, 16, 4, 1)
"""Rows per statement: few sizes, so that the prepared statements stay in the driver's cache."""

_decode_rows: Final = msgspec.json.Decoder(list[list[Any]]).decode


def slices(count: int) -> Iterator[tuple[int, int]]:
    """(first, size) of the statements that so many rows go by."""
    first = 0
    for size in SIZES:
        while count - first >= size:
            yield first, size
            first += size


def values(columns: int, rows: int) -> str:
    """`VALUES (?, ?), (?, ?)` for so many rows of so many columns."""
    row = f"({', '.join('?' * columns)})"
    return f"VALUES {', '.join([row] * rows)}"


def write(
    db: sqlite3.Connection, statement: Callable[[int], str], rows: Sequence[Sequence[Any]]
) -> None:
    """Run a statement over rows; `statement` gives its text for so many of them.

    Raises:
        sqlite3.Error: As the driver does.
    """
    for first, size in slices(len(rows)):
        parameters = tuple(chain.from_iterable(rows[first : first + size]))
        db.execute(statement(size), parameters)


def read(db: sqlite3.Connection, statement: str, asked: str) -> Iterable[list[Any]]:
    """The rows of a statement whose one column is `json_group_array(json_array(…))`.

    Raises:
        sqlite3.Error: As the driver does.
    """
    (found,) = db.execute(statement, (asked,)).fetchone()
    return _decode_rows(found)
