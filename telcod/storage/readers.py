"""Asynchronous readers of the books, beside the writer: aiosqlite on a read-only connection
(DESIGN 2).

They read the last commit while the writer writes; each query is a short transaction of its own, so
that no reader pins the log.  They never write and never checkpoint.  PostgreSQL's reader is in
`postgres_readers.py`; what is asked is the same for all, and written once, in `BooksReader`.
"""

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiosqlite

from telcod.errors import Unavailable
from telcod.rows import (
    EVENTS_PUBLISHED,
    META,
    OUTBOX_EVENT,
    Meta,
    OutboxEvent,
    OutboxMail,
    OutboxPush,
    OutboxSms,
    Row,
    Table,
)
from telcod.storage.memory import MemoryStore
from telcod.storage.queries import (
    DUE_CALLS,
    DUE_PAYMENTS,
    DUE_SUBSCRIPTIONS,
    DUE_TEXTS,
    EVENTS,
    PENDING_MAILS,
    PENDING_PUSHES,
    PENDING_SMS,
    PENDING_SMS_OF,
)

READ_S_MAX: Final = 60.0
"""A report may take long; who has forgotten it is not waited for."""
BREAK_OFF_S: Final = 0.05


class BooksReader(ABC):
    """What daemons and pages read of committed books; `async with` opens and closes it."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @abstractmethod
    async def rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """Run one query, of the SQL that all stores share; its values stand as `?`.

        Raises:
            Unavailable: The books can't be read now.
        """

    async def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return [OutboxSms(*row) for row in await self.rows(PENDING_SMS, (after, most))]

    async def pending_sms_of(self, owner: int, *, after: int, most: int) -> list[OutboxSms]:
        """Outgoing texts still to be sent by one of several daemons (`OutboxSms.owner`)."""
        return [OutboxSms(*row) for row in await self.rows(PENDING_SMS_OF, (after, owner, most))]

    async def pending_pushes(self, *, after: int, most: int) -> list[OutboxPush]:
        """See `Store.pending_pushes`."""
        return [OutboxPush(*row) for row in await self.rows(PENDING_PUSHES, (after, most))]

    async def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        """See `Store.pending_mails`."""
        return [OutboxMail(*row) for row in await self.rows(PENDING_MAILS, (now_ms, most))]

    async def events(self, *, after: int, most: int) -> list[OutboxEvent]:
        """Events by number above `after`, oldest first (MQTT-2)."""
        return [OutboxEvent(*row) for row in await self.rows(EVENTS, (after, most))]

    async def published(self) -> int:
        """The number of the last event that the broker has taken; 0 when it has none."""
        row = await self.one(META, EVENTS_PUBLISHED)
        return int(row.value) if isinstance(row, Meta) else 0

    async def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        return [(row[0], row[1]) for row in await self.rows(DUE_SUBSCRIPTIONS, (now_ms, most))]

    async def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        return [row[0] for row in await self.rows(DUE_TEXTS, (now_ms, most))]

    async def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        return [row[0] for row in await self.rows(DUE_CALLS, (now_ms, most))]

    async def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_payments`."""
        return [row[0] for row in await self.rows(DUE_PAYMENTS, (now_ms, most))]

    async def count_pending(self) -> int:
        """How many texts still wait to be sent."""
        rows = await self.rows("SELECT COUNT(*) FROM outbox_sms WHERE state = 0", ())
        return int(rows[0][0])

    async def all(self, table: Table[Any]) -> list[Any]:
        """All rows of a small table."""
        names = ", ".join(table.columns)
        return [table.row(*row) for row in await self.rows(f"SELECT {names} FROM {table.name}", ())]

    async def one(self, table: Table[Any], key: Any) -> Row | None:
        """A row by its one-column key."""
        names = ", ".join(table.columns)
        sql = f"SELECT {names} FROM {table.name} WHERE {table.key[0]} = ?"
        rows = await self.rows(sql, (key,))
        return table.row(*rows[0]) if rows else None


class SqliteReader(BooksReader):
    """One read-only connection.

    Args:
        path: The database.
        longest_s: How long a query may take: a read that does not end keeps the log from being
            emptied (F11), so it is broken off.  None is no limit, for where nobody writes.
    """

    def __init__(self, path: Path, *, longest_s: float | None = READ_S_MAX) -> None:
        self._path: Final = path
        self._longest_s: Final = longest_s
        self._db: aiosqlite.Connection | None = None
        # One after the other, as on the connection, so that nobody else's query is broken off.
        self._turn: Final = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._db = await aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True)
        await self._db.execute("PRAGMA query_only = ON")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._db is not None:
            await self._db.close()

    async def rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        """See `BooksReader.rows`."""
        if self._db is None:
            raise Unavailable("the books are not open for reading")
        async with self._turn:
            found = await self._within_time(self._db, sql, values)
        if isinstance(found, aiosqlite.Error):
            raise Unavailable(f"{self._path.name}: {found}") from found
        return found

    async def _within_time(
        self, db: aiosqlite.Connection, sql: str, values: tuple[Any, ...]
    ) -> list[Any] | aiosqlite.Error:
        """
        Raises:
            Unavailable: It took too long.
        """
        async with asyncio.TaskGroup() as group:
            fetching = group.create_task(_fetched(db, sql, values))
            in_time = False
            try:
                await asyncio.wait((fetching,), timeout=self._longest_s)
                in_time = fetching.done()
            finally:
                # Too late, or nobody waits any more.  It may not even have begun.
                while not fetching.done():
                    await db.interrupt()
                    await asyncio.wait((fetching,), timeout=BREAK_OFF_S)
        if not in_time:
            raise Unavailable(f"{self._path.name}: a query took longer than {self._longest_s} s")
        return fetching.result()


async def _fetched(
    db: aiosqlite.Connection, sql: str, values: tuple[Any, ...]
) -> list[Any] | aiosqlite.Error:
    try:
        return list(await db.execute_fetchall(sql, values))
    except aiosqlite.Error as error:
        return error


class MemoryReader:
    """The same over a store in memory, for tests."""

    def __init__(self, store: MemoryStore) -> None:
        self._store: Final = store

    async def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return self._store.pending_sms(after=after, most=most)

    async def pending_pushes(self, *, after: int, most: int) -> list[OutboxPush]:
        """See `Store.pending_pushes`."""
        return self._store.pending_pushes(after=after, most=most)

    async def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        """See `Store.pending_mails`."""
        return self._store.pending_mails(now_ms=now_ms, most=most)

    async def events(self, *, after: int, most: int) -> list[OutboxEvent]:
        """See `BooksReader.events`."""
        return list(self._store.scan(OUTBOX_EVENT, after=after))[:most]

    async def published(self) -> int:
        """See `BooksReader.published`."""
        row = next(iter(self._store.load(META, (EVENTS_PUBLISHED,))), None)
        return int(row.value) if row is not None else 0

    async def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        return self._store.due_subscriptions(now_ms=now_ms, most=most)

    async def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        return self._store.due_calls(now_ms=now_ms, most=most)

    async def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_payments`."""
        return self._store.due_payments(now_ms=now_ms, most=most)

    async def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        return self._store.due_texts(now_ms=now_ms, most=most)
