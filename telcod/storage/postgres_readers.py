"""Asynchronous readers of the books in PostgreSQL: a few connections that only read.

Each query is a short transaction of its own and sees the last commit.  A connection that the server
dropped is replaced, and the query asked once more: it changed nothing.
"""

from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from telcod.errors import Unavailable
from telcod.storage.postgres_arrays import register
from telcod.storage.postgres_errors import lost, sentence
from telcod.storage.postgres_link import OWN_SCHEMA, READS_NOW, STATEMENTS_MAX, address, name_of
from telcod.storage.queries import numbered
from telcod.storage.readers import BooksReader

CONNECTIONS_MAX: Final = 4
"""Those that wait for one wait their turn; the writer has its own."""
WAIT_S: Final = 5
"""For a connection, or for the database to be there."""
TRIES: Final = 2
# A report may take long; who has forgotten it is not waited for.
_READER: Final = (
    "SET default_transaction_read_only = on; SET statement_timeout = '60s'; SET jit = off"
)


class PostgresReader(BooksReader):
    """Some connections to one database, opened as they are needed."""

    def __init__(self, url: str) -> None:
        self._name: Final = name_of(url)
        self._conninfo: Final = address(url, READS_NOW)
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] | None = None

    async def __aenter__(self) -> Self:
        self._pool = AsyncConnectionPool(
            self._conninfo,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            timeout=WAIT_S,
            open=False,
            configure=_prepare,
            kwargs={"autocommit": True, "cursor_factory": AsyncRawCursor},
        )
        await self._pool.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """See `BooksReader.rows`."""
        if self._pool is None:
            raise Unavailable("the books are not open for reading")
        query = numbered(sql).sql
        failed: Exception | None = None
        for _ in range(TRIES):
            try:
                async with self._pool.connection() as db:
                    cursor = await db.execute(query, values or None, binary=True)
                    return await cursor.fetchall()
            except PoolTimeout as error:
                failed = error
                break
            except psycopg.Error as error:
                failed = error
                if not lost(error):
                    break
        reason = sentence(failed) if failed is not None else ""
        raise Unavailable(f"{self._name}: {reason}") from failed


async def _prepare(db: AsyncConnection[Any]) -> None:
    db.prepared_max = STATEMENTS_MAX
    register(db)
    await db.execute(OWN_SCHEMA)
    await db.execute(_READER)
