"""The books in PostgreSQL as they were at one moment, read while daemons write: for `telcod db
check` and `telcod db copy`.

One transaction that reads sees one commit for as long as it lasts, and disturbs nobody.  Rows are
read through a cursor on the server, so memory stays flat however large the books are.
"""

from collections.abc import Iterator
from typing import Final, TypeVar

import psycopg

from telcod.errors import NotStarted, StoreFailed, StoreLocked
from telcod.rows import Row, Table
from telcod.storage.postgres_errors import renamed, sentence
from telcod.storage.postgres_link import READS, Db, address, connect, name_of
from telcod.storage.postgres_schema import locks_of, schema_number
from telcod.storage.postgres_sql import TableSql

R = TypeVar("R", bound=Row)

ROWS_AT_ONCE: Final = 2_000
_MOMENT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresSnapshot:
    """The books at one moment, for who only reads (`scan`).

    Close it soon: while it is open the server keeps every row that was there.
    """

    def __init__(self, name: str, db: Db) -> None:
        self.name: Final = name
        self._db: Final = db
        self._scans = 0

    @property
    def schema(self) -> int:
        """The number of the last migration that the books have had."""
        return schema_number(self._db)

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All rows in key order; of log tables those with `seq` above `after`."""
        values = (after,) if table.log else None
        row = table.row
        self._scans += 1
        try:
            with self._db.cursor(name=f"scan_{self._scans}") as cursor:
                cursor.itersize = ROWS_AT_ONCE
                cursor.execute(TableSql(table).scan, values, binary=True)
                for found in cursor:
                    yield row(*found)
        except psycopg.Error as error:
            raise renamed(error) from error

    def complaints(self) -> list[str]:
        """What is wrong with the files themselves: the server sees to those (`pg_amcheck`)."""
        return []

    def close(self) -> None:
        """Let the moment go."""
        self._db.close()


def open_postgres_snapshot(
    url: str, *, alone: bool = False, empty: bool = False
) -> PostgresSnapshot:
    """Open the books as they are now, whether daemons run or not.

    Args:
        url: `postgresql://…`.
        empty: It may hold no books yet.
        alone: Keep every daemon out until it is closed, and refuse if there is one.

    Raises:
        NotStarted: There is no such database, or it can't be reached.
        StoreLocked: A daemon uses the books, and they are wanted `alone`.
        StoreFailed: It can't be read, or holds no books.
    """
    try:
        db = connect(address(url, READS))
    except psycopg.Error as error:
        raise NotStarted(
            f"{name_of(url)}: {sentence(error)}",
            what_to_do="See that the database runs, and that store.url names it.",
        ) from error
    try:
        if alone:
            _keep_others_out(db, name_of(url))
        db.execute(_MOMENT)
        if not empty and not schema_number(db):
            db.close()
            raise StoreFailed(f"{name_of(url)} holds no books")
    except psycopg.Error as error:
        db.close()
        raise renamed(error) from error
    return PostgresSnapshot(name_of(url), db)


def _keep_others_out(db: Db, name: str) -> None:
    row = db.execute("SELECT pg_try_advisory_lock($1)", (locks_of(db).use,)).fetchone()
    if row is None or not row[0]:
        db.close()
        raise StoreLocked(f"a telcod uses {name}", what_to_do="Stop it, and all others on it.")
