"""The books in memory: the same behaviour as the SQLite store, for tests and models.  It forgets everything.

It checks what the database's constraints check, so that a batch that SQLite would refuse is refused here as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from telcod.errors import StoreRefused
from telcod.ports import Settled
from telcod.rows import (
    ACCOUNT,
    AUDIT,
    ENTRY,
    LIST_ENTRY,
    LOGS,
    MO,
    MO_PART,
    OUTBOX_SMS,
    PERIOD,
    SUBSCRIPTION,
    TABLES,
    OutboxSms,
    Row,
    Table,
)
from telcod.tx import Changes

R = TypeVar("R", bound=Row)
FIRST_HASH: Final = bytes(32)
APPEND_ONLY: Final = (ENTRY, AUDIT, PERIOD)


class MemoryStore:
    """The port `Store` on dictionaries."""

    def __init__(self) -> None:
        self._tables: list[dict[Any, Any]] = [{} for _ in TABLES]
        self._before: list[dict[Any, Any]] | None = None

    def begin(self) -> None:
        """See `Store.begin`."""
        self._before = None

    def commit(self) -> None:
        """See `Store.commit`."""
        self._before = None

    def rollback(self) -> None:
        """See `Store.rollback`."""
        if self._before is not None:
            self._tables = self._before
            self._before = None

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """See `Store.load`."""
        rows = self._tables[table.index]
        return [rows[key] for key in dict.fromkeys(keys) if key in rows]

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """See `Store.load_groups`."""
        wanted = set(owners)
        return [row for row in self._tables[table.index].values() if getattr(row, table.group) in wanted]

    def apply(self, changes: Sequence[Changes], settled: Sequence[Settled]) -> None:
        """See `Store.apply`."""
        self._before = [dict(rows) for rows in self._tables]
        for table, puts, deletes, appends in changes:
            rows = self._tables[table.index]
            for row in (*appends, *puts):
                key = table.key_of(row)
                self._check(table, key, row, rows)
                rows[key] = row
            for key in deletes:
                rows.pop(key, None)
        sms = self._tables[OUTBOX_SMS.index]
        for done in settled:
            if done.seq in sms:
                sms[done.seq] = msgspec.structs.replace(
                    sms[done.seq],
                    state=done.state,
                    attempts=done.attempts,
                    done_at=done.done_at,
                    link=done.link,
                    message_id=done.message_id,
                )

    def prune(self, *, before_ms: int, parts_before_ms: int, most: int) -> int:
        """See `Store.prune`."""
        self._before = self._before or [dict(rows) for rows in self._tables]
        gone = 0
        for table, old in (
            (MO_PART, lambda row: row.at < parts_before_ms),
            (MO, lambda row: row.at < before_ms),
            (OUTBOX_SMS, lambda row: row.at < before_ms and row.state != 0),
        ):
            rows = self._tables[table.index]
            keys = [key for key in sorted(rows) if old(rows[key])]
            for key in keys if table is MO_PART else keys[:most]:
                del rows[key]
                gone += 1
        return gone

    def next_seqs(self) -> dict[int, int]:
        """See `Store.next_seqs`."""
        return {table.index: 1 + max(self._tables[table.index], default=0) for table in LOGS}

    def heads(self) -> dict[int, bytes]:
        """See `Store.heads`."""
        found = {}
        for table in (ENTRY, AUDIT):
            rows = self._tables[table.index]
            found[table.index] = rows[max(rows)].hash if rows else FIRST_HASH
        return found

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """See `Store.scan`."""
        rows = self._tables[table.index]
        for key in sorted(rows):
            if not table.log or key > after:
                yield rows[key]

    def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return [row for row in self.scan(OUTBOX_SMS, after=after) if row.state == 0][:most]

    def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        due = [row for row in self._tables[SUBSCRIPTION.index].values() if 0 < row.next_at <= now_ms]
        return [(row.msisdn, row.period_no) for row in sorted(due, key=lambda row: row.next_at)[:most]]

    def close(self) -> None:
        """See `Store.close`."""

    def _check(self, table: Table[Any], key: Any, row: Any, rows: dict[Any, Any]) -> None:
        if table.log and key in rows:
            raise StoreRefused(f"{table.name} {key} exists")
        if table in APPEND_ONLY and key in rows and rows[key] != row:
            raise StoreRefused(f"{table.name} is append-only")
        if table is ACCOUNT and (row.held < 0 or (row.floor is not None and row.posted - row.held < row.floor)):
            raise StoreRefused(f"account {key} would go below its floor")
        if table is ENTRY and (row.amount <= 0 or row.debit == row.credit):
            raise StoreRefused(f"entry {key} moves nothing")
        if table is LIST_ENTRY and row.owner == row.number:
            raise StoreRefused("a number is not on its own list")
        if table is PERIOD and (
            (row.kind == "paid") != (row.entry > 0)
            or (row.kind == "trial" and any(_same_trial(row, other) for other in rows.values()))
        ):
            raise StoreRefused("a second trial, or a paid period without its entry")


def _same_trial(row: Any, other: Any) -> bool:
    return bool(other.kind == "trial" and (other.msisdn, other.life) == (row.msisdn, row.life) and other.period_no != row.period_no)
