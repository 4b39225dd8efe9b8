"""The open transaction as handlers see it: an identity map with undo.  Pure; the store behind it
does the I/O.

`Tx` loads what a handler asks for (once per batch), shows what earlier requests of the batch
changed, and can take one request back in memory (`mark`, `undo`), so that a batch needs no
savepoints (DESIGN 4).  Nothing is written before the engine hands `changes()` to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from telcod.rows import (
    LIST_ENTRY,
    LIST_ENTRY_BY_NUMBER,
    LOGS,
    OUTBOX_EVENT,
    OUTBOX_MAIL,
    OUTBOX_PUSH,
    OUTBOX_SMS,
    TABLES,
    ListEntry,
    OutboxEvent,
    OutboxMail,
    OutboxPush,
    OutboxSms,
    Row,
    Table,
)

if TYPE_CHECKING:
    from telcod.rules import Rules

R = TypeVar("R", bound=Row)

_ABSENT: Final = object()
_APPENDED: Final = object()
"""In place of what was there before: a row was appended to a log."""


class Loader(Protocol):
    """What a transaction needs of a store to read."""

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """The rows with these primary keys that exist, in any order."""

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """All rows whose group column is one of `owners`."""


class Changes(NamedTuple):
    """What a batch did to one table.

    Rows to put (insert or replace), keys to delete, rows to append.
    """

    table: Table[Any]
    puts: Sequence[Any]
    deletes: Sequence[Any]
    appends: Sequence[Any]


class Mark(NamedTuple):
    """A point in a transaction to go back to."""

    undo: int
    parts_delta: int


class Tx:
    """One transaction over the books.

    Args:
        loader: Reads committed rows.
        now_ms: The commit time: Unix milliseconds, never less than the last commit's.
        rules: Tariffs, limits, catalogue and keywords in force for this batch.
        next_seqs: The next free `seq` of each log table, by table index; advanced as rows are
            appended.
        heads: The hash of the last committed row of each chained log, by table index.
        owner: See `OutboxSms`.

    `parts_delta` counts parts of long texts that came to wait, minus those that went.
    """

    __slots__ = (
        "_dirty",
        "_groups",
        "_heads",
        "_loader",
        "_logs",
        "_rows",
        "_seqs",
        "_undo",
        "now_ms",
        "owner",
        "parts_delta",
        "rules",
    )

    def __init__(
        self,
        loader: Loader,
        rules: Rules,
        *,
        now_ms: int,
        next_seqs: Mapping[int, int],
        heads: Mapping[int, bytes],
        owner: int = 0,
    ) -> None:
        self.now_ms: Final = now_ms
        self.owner: Final = owner
        self.rules: Final = rules
        self._loader = loader
        self._rows: list[dict[Any, Any]] = [{} for _ in TABLES]
        self._groups: list[dict[Any, dict[Any, Any]]] = [{} for _ in TABLES]
        self._dirty: list[dict[Any, None]] = [{} for _ in TABLES]
        self._logs: dict[int, list[Any]] = {table.index: [] for table in LOGS}
        self._seqs = dict(next_seqs)
        self._heads = heads
        self.parts_delta = 0
        self._undo: list[tuple[Any, Any, Any]] = []

    # -- reading

    def get(self, table: Table[R], key: Any) -> R | None:
        """The row with this primary key as this transaction sees it, or None."""
        rows = self._rows[table.index]
        row = rows.get(key, _ABSENT)
        if row is _ABSENT:
            row = rows[key] = next(iter(self._loader.load(table, (key,))), None)
        return row  # type: ignore[no-any-return]

    def prefetch(self, table: Table[Any], keys: Iterable[Any]) -> None:
        """Load many rows in one query; asking for them later costs nothing."""
        rows = self._rows[table.index]
        missing = [key for key in dict.fromkeys(keys) if key not in rows]
        if not missing:
            return
        for key in missing:
            rows[key] = None
        key_of = table.key_of
        for row in self._loader.load(table, missing):
            rows[key_of(row)] = row

    def group(self, table: Table[R], owner: Any) -> Mapping[Any, R]:
        """All rows of one owner, by primary key.

        Do not change the mapping; use `put` and `delete`.
        """
        groups = self._groups[table.index]
        if owner not in groups:
            self.prefetch_groups(table, (owner,))
        return groups[owner]

    def prefetch_groups(self, table: Table[Any], owners: Iterable[Any]) -> None:
        """Load the groups of many owners in one query."""
        groups = self._groups[table.index]
        missing = [owner for owner in dict.fromkeys(owners) if owner not in groups]
        if not missing:
            return
        for owner in missing:
            groups[owner] = {}
        key_of, group_at = table.key_of, table.columns[table.group_at]
        for row in self._loader.load_groups(table, missing):
            groups[getattr(row, group_at)][key_of(row)] = row

    def listing(self, number: int) -> list[ListEntry]:
        """All list entries of others that name a number, as this transaction sees them."""
        groups = self._groups[LIST_ENTRY.index]
        found = []
        for entry in self._loader.load_groups(LIST_ENTRY_BY_NUMBER, (number,)):
            group = groups.get(entry.owner)
            if group is None:
                found.append(entry)
            elif (entry.owner, number) in group:
                found.append(group[entry.owner, number])
        stored = {entry.owner for entry in found}
        for owner, group in groups.items():
            if owner not in stored and (owner, number) in group:
                found.append(group[owner, number])
        return found

    def log_row(self, table: Table[R], seq: int) -> R | None:
        """A row of a log table, appended by this transaction or before it."""
        appended = self._logs[table.index]
        first = self._seqs[table.index] - len(appended)
        if seq >= first:
            at = seq - first
            return appended[at] if at < len(appended) else None
        return self.get(table, seq)

    # -- writing

    def put(self, table: Table[R], row: R) -> None:
        """Insert or replace a row."""
        key = table.key_of(row)
        rows = self._rows[table.index]
        if table.group_at >= 0:
            rows = self._group_of(table, row)
        self._undo.append((rows, key, rows.get(key, _ABSENT)))
        rows[key] = row
        self._dirty[table.index][key] = None

    def delete(self, table: Table[R], row: R) -> None:
        """Remove a row that was read from this transaction."""
        key = table.key_of(row)
        if table.group_at >= 0:
            rows = self._group_of(table, row)
            self._undo.append((rows, key, rows.pop(key, _ABSENT)))
        else:
            rows = self._rows[table.index]
            self._undo.append((rows, key, rows.get(key, _ABSENT)))
            rows[key] = None
        self._dirty[table.index][key] = None

    def next_seq(self, table: Table[Any]) -> int:
        """The `seq` that the next `append` to this log table must carry."""
        return self._seqs[table.index]

    def append(self, table: Table[R], row: R) -> None:
        """Append a row to a log table; its `seq` is `next_seq(table)`."""
        index = table.index
        rows = self._logs[index]
        rows.append(row)
        self._seqs[index] += 1
        self._undo.append((rows, index, _APPENDED))

    def head(self, table: Table[Any]) -> bytes:
        """The hash that the next row of a chained log must name as its predecessor's."""
        appended = self._logs[table.index]
        if appended:
            return appended[-1].hash  # type: ignore[no-any-return]
        return self._heads[table.index]

    def append_chained(self, table: Table[R], row: R, row_hash: bytes) -> None:
        """Append a row to a chained log with its own hash filled in."""
        self.append(table, msgspec.structs.replace(row, hash=row_hash))

    def heads(self) -> dict[int, bytes]:
        """The hash of the last row of each chained log after this transaction."""
        return {
            index: self._logs[index][-1].hash if self._logs[index] else head
            for index, head in self._heads.items()
        }

    def appended(self, table: Table[R]) -> Sequence[R]:
        """What this transaction appended to a log table so far."""
        return self._logs[table.index]

    def send_sms(
        self,
        destination: int | str,
        short_code: str,
        text: str,
        *,
        kind: str,
        mo: int = 0,
        expires_at: int = 0,
        receipt: bool = False,
    ) -> int:
        """Put a text into the outbox.

        It leaves after COMMIT (STYLE 25).  Returns its number there.
        """
        index = OUTBOX_SMS.index
        seq = self._seqs[index]
        rows = self._logs[index]
        rows.append(
            OutboxSms(
                seq,
                self.now_ms,
                mo,
                kind,
                short_code,
                str(destination),
                text,
                expires_at,
                0,
                0,
                0,
                "",
                "",
                int(receipt),
                self.owner,
            )
        )
        self._seqs[index] = seq + 1
        self._undo.append((rows, index, _APPENDED))
        return seq

    def push(
        self, msisdn: int, text: str, *, kind: str, ref: str, asks: bool, expires_at: int
    ) -> bool:
        """Say something to a phone by USSD, after COMMIT (USSD-4).

        `asks`: an answer is waited for.  What becomes of it is told to `<kind>.pushed` with `ref`.

        Returns:
            False, and nothing was done, when no gateway is configured that could: use a text.
        """
        if not self.rules.pushes:
            return False
        seq = self.next_seq(OUTBOX_PUSH)
        row = OutboxPush(seq, self.now_ms, msisdn, kind, ref, text, int(asks), expires_at, 0, 0, 0)
        self.append(OUTBOX_PUSH, row)
        return True

    def send_mail(self, recipient: str, subject: str, body: str, *, kind: str) -> int:
        """Put an e-mail into its outbox; it leaves after COMMIT (PAY-10).  Returns its number."""
        seq = self.next_seq(OUTBOX_MAIL)
        now_ms = self.now_ms
        mail = OutboxMail(seq, now_ms, kind, recipient, subject, body, 0, 0, now_ms, 0)
        self.append(OUTBOX_MAIL, mail)
        return seq

    def emit(self, subject: str, verb: str, msisdn: int = 0, /, **body: object) -> None:
        """Let other systems know, after COMMIT, at least once (MQTT-2).

        `body` is what a program wants to know of it: amounts in whole đồng (`…_vnd`), moments in
        Unix milliseconds (`…_at`); never a text's content, a password or a name.
        """
        if not self.rules.events:
            return
        said = msgspec.json.encode(body).decode()
        seq = self.next_seq(OUTBOX_EVENT)
        self.append(OUTBOX_EVENT, OutboxEvent(seq, self.now_ms, subject, verb, msisdn, said))

    # -- taking back, handing over

    def mark(self) -> Mark:
        """Where the transaction stands now."""
        return Mark(len(self._undo), self.parts_delta)

    def undo(self, mark: Mark) -> None:
        """Take back everything since `mark`, in memory."""
        self.parts_delta = mark.parts_delta
        while len(self._undo) > mark.undo:
            rows, key, old = self._undo.pop()
            if old is _APPENDED:
                rows.pop()
                self._seqs[key] -= 1
            elif old is _ABSENT:
                rows.pop(key, None)
            else:
                rows[key] = old

    def changes(self) -> list[Changes]:
        """All that is to be written, in the tables' order."""
        found = []
        for table in TABLES:
            index = table.index
            appends = self._logs[index] if table.log else ()
            dirty = self._dirty[index]
            if not appends and not dirty:
                continue
            puts: list[Any] = []
            deletes: list[Any] = []
            rows = self._rows[index]
            for key in dirty:
                if table.group_at < 0 and key not in rows:
                    continue  # Written without being read, and taken back: what is stored stays.
                row = self._current(table, key)
                if row is None:
                    deletes.append(key)
                else:
                    puts.append(row)
            found.append(Changes(table, puts, deletes, appends))
        return found

    def next_seqs(self) -> dict[int, int]:
        """The next free `seq` of each log table after this transaction."""
        return dict(self._seqs)

    def _current(self, table: Table[Any], key: Any) -> Any:
        if table.group_at < 0:
            return self._rows[table.index].get(key)
        owner = key[table.key.index(table.group)]
        return self._groups[table.index][owner].get(key)

    def _group_of(self, table: Table[R], row: R) -> dict[Any, Any]:
        owner = getattr(row, table.group)
        self.group(table, owner)
        return self._groups[table.index][owner]
