"""The books in PostgreSQL, written by one or more daemons, one batch at a time (docs/scale.md).

The port says that nobody else writes between `begin` and `commit`, and that what was loaded stays
true.  Here that is one lock per batch: `begin` sends, in one go, BEGIN, the wait for the lock, and
the question who wrote last.  Each statement after it sees all that was committed before it.  The
chain of entries asks for one order anyway, so nothing is lost by it.

A batch is written set-based, one statement per table with a column of values for each field, all in
pipeline mode: the server works on one table while the next is packed, and it is waited for once, at
COMMIT.  So an error may come from `commit`, or from what is read after `apply`.

When the connection is lost, the open batch is undone (`StoreAgain`).  When it is lost while
COMMIT's answer is waited for, nobody knows: it is connected again and looked up, and until then
nothing is answered.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec
import psycopg
import structlog
from psycopg import Cursor
from psycopg.pq import TransactionStatus

from telcod.billing.ledger import FIRST_HASH
from telcod.clock import Clock, SystemClock
from telcod.errors import NotStarted, StoreAgain, StoreAway, StoreFailed, StoreLocked, StoreRefused
from telcod.ports import Sent, Settled, Tended, Turn, Twin
from telcod.rows import LOGS, OutboxMail, OutboxPush, OutboxSms, Row, Table
from telcod.storage.postgres_arrays import Column, column
from telcod.storage.postgres_duties import Duties, end_who_hangs
from telcod.storage.postgres_errors import NOT_HAD, UNFIT, lost, renamed, sentence
from telcod.storage.postgres_link import WRITES, Db, address, connect_writer, name_of
from telcod.storage.postgres_schema import Locks, check_promises, locks_of, migrate
from telcod.storage.postgres_sql import (
    COMMITTED,
    GENERATION,
    HEADS,
    LOG_STATE,
    SETTLE,
    SETTLE_TYPES,
    TableSql,
)
from telcod.storage.queries import (
    BY_MESSAGE_ID,
    DUE_CALLS,
    DUE_PAYMENTS,
    DUE_SUBSCRIPTIONS,
    DUE_TEXTS,
    PENDING_MAILS,
    PENDING_PUSHES,
    PENDING_SMS,
    numbered,
    prunes,
)
from telcod.tx import Changes

R = TypeVar("R", bound=Row)
Rows = list[tuple[Any, ...]]

AWAY_S: Final = 5
"""How long `begin` waits for a database that is away, before new work is refused."""
OUTCOME_S: Final = 120
"""How long the outcome of a COMMIT is asked for, before telcod stops: it may not guess."""
PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Between tries to connect; then always the last."""
TURN_S: Final = 5
"""How long a daemon may say nothing to the server, before the others end its connection."""
LOOK_S: Final = 2
"""How long the turn is waited for before one looks who has it."""
QUEUE_S: Final = 30
"""How long it is waited for, while others work, before new work is refused."""
AT_ONCE: Final = 1_000
"""Rows that a scan reads in one go; of larger tables it keeps a cursor open on the server."""
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock($1)"
_USE: Final = "SELECT pg_try_advisory_lock_shared($1)"
_WAITS: Final = f"SET lock_timeout = '{LOOK_S}s'"
_OURS: Final = "SELECT generation FROM writer_commit WHERE owner = $1"
_FORGET_OLD: Final = """
    DELETE FROM writer_commit
    WHERE at < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS INT8) - 86400000
"""

_log = structlog.stdlib.get_logger(__name__)


class PostgresStore:
    """The port `Store` on a PostgreSQL database.

    Open with `PostgresStore.open`, close with `close`; one thread at a time.
    """

    def __init__(
        self,
        url: str,
        db: Db,
        locks: Locks,
        clock: Clock,
        pause: Callable[[float], object],
        turn_s: int,
    ) -> None:
        self.name: Final = name_of(url)
        self._conninfo: Final = address(url, WRITES)
        self._locks: Final = locks
        self._duties: Final = Duties(locks.schema, clock)
        self._clock: Final = clock
        self._pause: Final = pause
        self._turn_s: Final = turn_s
        self._owner: Final = secrets.token_hex(8)
        self._db: Db | None = db
        self._pipe: contextlib.ExitStack | None = None
        self._open = False  # whether a batch is
        self._generation = 0  # of the last batch before the open one
        self._known = -1  # of our own last batch; -1: whatever is there is news
        self._away = False
        self._sql: dict[Table[Any], TableSql] = {}
        self._scans = 0

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], object] | None = None,
        turn_s: int = TURN_S,
    ) -> "PostgresStore":
        """Connect, see that the server keeps its promises, bring the books to the present schema.

        Args:
            url: `postgresql://…`; its user must be allowed to make tables.
            clock: For how long a database may be away.
            pause: Waits some seconds between two tries to connect.
            turn_s: For how long a batch may stand still before the server, or another daemon,
                undoes it; 0: for ever, and no other daemon is watched either.

        Raises:
            NotStarted: It can't be reached.
            StoreLocked: The schema is older, and another telcod uses it; or it is being copied.
            StoreFailed: A promise is not kept, or the schema is newer, or somebody else's.
        """
        try:
            db = connect_writer(address(url, WRITES), turn_s)
        except psycopg.Error as error:
            raise NotStarted(
                f"{name_of(url)}: {sentence(error)}",
                what_to_do="See that the database runs, and that store.url names it.",
            ) from error
        try:
            check_promises(db)
            locks = locks_of(db)
            migrate(db, locks)
            wait = pause or threading.Event().wait
            store = cls(url, db, locks, clock or SystemClock(), wait, turn_s)
            store._take_use(db)
            db.execute(_FORGET_OLD)
        except psycopg.Error as error:
            db.close()
            raise renamed(error) from error
        except BaseException:
            db.close()
            raise
        return store

    def close(self) -> None:
        """Let go of the connection; an open batch is undone by the server."""
        if self._db is not None:
            self._drop(self._db)

    # -- the open transaction

    def hold_reserve(self) -> bool:
        """See `Store.hold_reserve`: nothing is set aside."""
        return True

    def let_go_of_reserve(self) -> bool:
        """See `Store.let_go_of_reserve`."""
        return False

    def begin(self) -> Turn | None:
        """See `Store.begin`."""
        begun_s = self._clock.monotonic_s()
        until_s = begun_s + (0 if self._away else AWAY_S)
        while True:
            self.rollback()  # What a caller has left open, or a turn that was not told in full.
            db = self._connected(until_s)
            try:
                return self._begin(db)
            except psycopg.Error as error:
                if lost(error):
                    # Nothing was begun.  Of a server that was restarted this is the first we hear.
                    self._drop(db)
                elif error.sqlstate == NOT_HAD and self._clock.monotonic_s() < begun_s + QUEUE_S:
                    self._end_who_hangs()
                else:
                    self.rollback()
                    raise renamed(error) from error

    def commit(self) -> None:
        """See `Store.commit`.  Also raises what `apply` was too early to know."""
        db = self._open_db()
        generation = self._generation + 1
        try:
            self._in_pipe(db)
            db.execute(COMMITTED, (self._owner, generation))
            # Of a batch with an error the server does nothing more, this neither.
            committed = db.execute("COMMIT", prepare=False)
            self._sync()
        except psycopg.Error as error:
            if not lost(error) and not db.closed:
                self._fail(error)
            self._drop(db)
            self._look_up(generation, error)
        else:
            if committed.statusmessage != "COMMIT":
                raise StoreAgain(f"{self.name}: the batch was undone by the server")
        self._known = generation
        self._open = False

    def rollback(self) -> None:
        """See `Store.rollback`."""
        self._open = False
        db = self._db
        if db is None:
            return
        with contextlib.suppress(psycopg.Error):  # What went wrong in the batch was told.
            self._sync()
        if db.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            db.execute("ROLLBACK")
        except psycopg.Error:
            self._drop(db)  # The server undoes what was open.

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """See `Store.load`."""
        sql = self._sql_of(table)
        asked = _possible(dict.fromkeys(keys))
        if not asked:
            return []
        columns = [asked] if len(table.key) == 1 else list(zip(*asked, strict=True))
        values = _columns(table, sql.key_types, columns)
        return [table.row(*found) for found in self._read(sql.select, values)]

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """See `Store.load_groups`."""
        sql = self._sql_of(table)
        asked = _possible(dict.fromkeys(owners))
        if not asked:
            return []
        values = _columns(table, (sql.types[table.group_at],), [asked])
        return [table.row(*found) for found in self._read(sql.select_group, values)]

    def apply(self, changes: Sequence[Changes], settled: Sequence[Settled]) -> None:
        """See `Store.apply`."""
        db = self._open_db()
        try:
            self._in_pipe(db)
            for change in changes:
                self._write(db, change)
            if settled:
                # The last word on a text counts; in one statement there would be no last one.
                last = {done.seq: done for done in settled}.values()
                rows = [(s.seq, s.state, s.attempts, s.done_at, s.link, s.message_id) for s in last]
                self._send(db, SETTLE, _packed("outbox_sms", SETTLE_TYPES, rows))
        except psycopg.Error as error:
            self._fail(error)

    def fill(self, table: Table[R], rows: Iterable[R]) -> None:
        """Inside a transaction: write many rows of a table that has none, as they come."""
        sql = self._sql_of(table)
        try:
            self._sync()
            with self._open_db().cursor().copy(sql.copy) as copy:
                copy.set_types(sql.types)
                for row in rows:
                    copy.write_row(msgspec.structs.astuple(row))
        except psycopg.Error as error:
            self._fail(error)
        except UNFIT as error:
            raise StoreRefused(f"{table.name}: {error}") from error

    def prune(self, *, before_ms: int, parts_before_ms: int, most: int) -> int:
        """See `Store.prune`."""
        gone = 0
        for text, limit_ms in prunes(before_ms=before_ms, parts_before_ms=parts_before_ms):
            sql, names = numbered(text)
            given = {"before": limit_ms, "most": most}
            gone += self._execute(sql, tuple(given[name] for name in names)).rowcount
        return gone

    def twins(
        self, fingerprints: Sequence[bytes], *, boot: int, since_ms: int
    ) -> Mapping[bytes, Sequence[Twin]]:
        """See `Store.twins`."""
        try:
            self._sync()
            db = self._open_db()
            return self._duties.twins(db, fingerprints, boot=boot, since_ms=since_ms)
        except psycopg.Error as error:
            self._fail(error)

    def tend(self, boot: int, duties: Collection[str]) -> Tended:
        """See `Store.tend`."""
        try:
            db = self._connected(self._clock.monotonic_s())
            if self._turn_s:
                end_who_hangs(db, self._locks, self._turn_s)
            return self._duties.tend(db, boot, duties)
        except psycopg.Error as error:
            self._fail(error)

    def inherit(self, owner: int, boot: int, *, now_ms: int, most: int) -> list[OutboxSms]:
        """See `Store.inherit`."""
        try:
            self._sync()
            db = self._open_db()
            return self._duties.inherit(db, owner, boot, now_ms=now_ms, most=most)
        except psycopg.Error as error:
            self._fail(error)

    # -- reading what is committed

    def next_seqs(self) -> dict[int, int]:
        """See `Store.next_seqs`."""
        return self._turn().next_seqs

    def heads(self) -> dict[int, bytes]:
        """See `Store.heads`."""
        return self._turn().heads

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """See `Store.scan`."""
        sql = self._sql_of(table)
        values: tuple[Any, ...] = (after,) if table.log else ()
        row = table.row
        few = self._read(f"{sql.scan} LIMIT {AT_ONCE}", values)
        if len(few) < AT_ONCE:
            for found in few:
                yield row(*found)
            return
        db = self._db
        if db is None:
            raise StoreAway(f"{self.name}: not connected")
        inside = db.info.transaction_status == TransactionStatus.INTRANS
        self._scans += 1
        try:
            with db.cursor(name=f"scan_{self._scans}", withhold=not inside) as cursor:
                cursor.itersize = AT_ONCE
                cursor.execute(sql.scan, values or None, binary=True)
                for found in cursor:
                    yield row(*found)
        except psycopg.Error as error:
            self._fail(error)

    def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return [OutboxSms(*row) for row in self._ask(PENDING_SMS, after, most)]

    def pending_pushes(self, *, after: int, most: int) -> list[OutboxPush]:
        """See `Store.pending_pushes`."""
        return [OutboxPush(*row) for row in self._ask(PENDING_PUSHES, after, most)]

    def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        """See `Store.pending_mails`."""
        return [OutboxMail(*row) for row in self._ask(PENDING_MAILS, now_ms, most)]

    def sms_by_message_id(self, message_id: str) -> list[Sent]:
        """See `Store.sms_by_message_id`."""
        if not _possible((message_id,)):
            return []
        return [Sent(*row) for row in self._ask(BY_MESSAGE_ID, message_id)]

    def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        return [row[0] for row in self._ask(DUE_TEXTS, now_ms, most)]

    def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        return [row[0] for row in self._ask(DUE_CALLS, now_ms, most)]

    def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_payments`."""
        return [row[0] for row in self._ask(DUE_PAYMENTS, now_ms, most)]

    def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        return [(row[0], row[1]) for row in self._ask(DUE_SUBSCRIPTIONS, now_ms, most)]

    # -- one statement

    def _ask(self, sql: str, *values: Any) -> Rows:
        return self._read(numbered(sql).sql, values)

    def _read(self, sql: str, values: Sequence[Any]) -> Rows:
        return self._execute(sql, values).fetchall()

    def _execute(self, sql: str, values: Sequence[Any]) -> Cursor[tuple[Any, ...]]:
        """Run one statement, and wait for it.

        Outside of a batch it only reads, so it is asked again when the connection was lost.
        """
        if not self._open:
            db = self._connected(self._clock.monotonic_s() + AWAY_S)
            try:
                return self._send(db, sql, values)
            except psycopg.Error as error:
                if not lost(error):
                    self._fail(error)
                self._drop(db)
            self._connected(self._clock.monotonic_s() + AWAY_S)
        db = self._open_db()
        try:
            self._sync()
            return self._send(db, sql, values)
        except psycopg.Error as error:
            self._fail(error)

    def _send(self, db: Db, sql: str, values: Sequence[Any]) -> Cursor[tuple[Any, ...]]:
        # Made of the names of our own tables and columns, once for each.
        return db.execute(sql, values or None, binary=True)

    def _write(self, db: Db, change: Changes) -> None:
        table, puts, deletes, appends = change
        sql = self._sql_of(table)
        as_tuple = msgspec.structs.astuple
        for rows, statement in ((appends, sql.insert), (puts, sql.put)):
            if rows:
                values = _packed(table.name, sql.types, [as_tuple(row) for row in rows])
                self._send(db, statement, values)
        if deletes:
            keys = [key if isinstance(key, tuple) else (key,) for key in deletes]
            self._send(db, sql.delete, _packed(table.name, sql.key_types, keys))

    def _sql_of(self, table: Table[Any]) -> TableSql:
        sql = self._sql.get(table)
        if sql is None:
            sql = self._sql[table] = TableSql(table)
        return sql

    # -- the turn

    def _begin(self, db: Db) -> Turn | None:
        with db.pipeline():
            db.execute(_BEGIN)
            db.execute(_TAKE_TURN, (self._locks.turn,))
            asked = db.execute(GENERATION, binary=True)
        found = asked.fetchone()
        if found is None:
            raise StoreFailed(f"{self.name}: the table `writer` has no row")
        self._generation, owner = found
        self._open = True
        if owner == self._owner and self._generation == self._known:
            return None
        return self._turn()

    def _turn(self) -> Turn:
        next_seqs: dict[int, int] = {}
        commit_ms = 0
        for index, most in self._read(LOG_STATE, ()):
            if index < 0:
                commit_ms = most or 0
            else:
                next_seqs[index] = 1 + (most or 0)
        heads = {index: found or FIRST_HASH for index, found in self._read(HEADS, ())}
        return Turn({table.index: next_seqs[table.index] for table in LOGS}, heads, commit_ms)

    def _look_up(self, generation: int, error: psycopg.Error) -> None:
        """Find out whether a COMMIT whose answer was lost was done.

        Raises:
            StoreAgain: It was not.
            StoreFailed: Nobody can be asked for `OUTCOME_S`: to go on would be to guess.
        """
        _log.warning("commit.unanswered", store=self.name, reason=sentence(error))
        until_s = self._clock.monotonic_s() + OUTCOME_S
        found: int | None = None
        while found is None:
            try:
                found = self._last_of_ours(self._connected(until_s))
            except StoreAway as away:
                raise StoreFailed(f"{self.name}: was the last batch committed? {away}") from error
            except psycopg.Error as again:
                # Whatever it is, who waits may not be told that nothing was done: it may have been.
                if self._db is not None:
                    self._drop(self._db)
                if self._clock.monotonic_s() > until_s:
                    what = f"{self.name}: was the last batch committed? {sentence(again)}"
                    raise StoreFailed(what) from error
                self._pause(PAUSES_S[-1])
        _log.warning("commit.looked_up", store=self.name, committed=found == generation)
        if found != generation:
            raise StoreAgain(f"{self.name}: the connection was lost before COMMIT") from error

    def _last_of_ours(self, db: Db) -> int:
        # Whoever still commits for us has the turn: with it in hand, that is over.
        with db.transaction():
            db.execute(_TAKE_TURN, (self._locks.turn,))
            row = db.execute(_OURS, (self._owner,), binary=True).fetchone()
        return row[0] if row is not None else 0

    def _end_who_hangs(self) -> None:
        self.rollback()
        db = self._db
        if db is not None and self._turn_s:
            with contextlib.suppress(psycopg.Error):  # What is wrong shows at the next try.
                end_who_hangs(db, self._locks, self._turn_s)

    # -- the connection

    def _open_db(self) -> Db:
        if self._db is None:
            raise StoreAgain(f"{self.name}: the connection was lost")
        return self._db

    def _connected(self, until_s: float) -> Db:
        """The connection; a new one if the old one is gone, tried for until then.

        Raises:
            StoreAway: It can't be had until then; from now on one try is enough to say so.
        """
        if self._db is not None and not self._db.closed:
            return self._db
        for pause_s in _pauses():
            try:
                self._db = self._connect()
            except psycopg.Error as error:
                if self._clock.monotonic_s() + pause_s > until_s:
                    self._away = True
                    raise StoreAway(f"{self.name}: {sentence(error)}") from error
                self._pause(pause_s)
            except StoreLocked as error:
                raise StoreAway(str(error)) from error
            else:
                self._away = False
                return self._db
        raise AssertionError("the pauses never end")

    def _connect(self) -> Db:
        db = connect_writer(self._conninfo, self._turn_s)
        try:
            self._take_use(db)
            self._duties.connected(db)
        except BaseException:
            db.close()
            raise
        return db

    def _take_use(self, db: Db) -> None:
        row = db.execute(_USE, (self._locks.use,)).fetchone()
        if row is None or not row[0]:
            raise StoreLocked(
                f"{self.name} is being copied or migrated", what_to_do="Wait until that is done."
            )
        db.execute(_WAITS)

    def _drop(self, db: Db) -> None:
        self._pipe = None
        self._db = None
        with contextlib.suppress(psycopg.Error):
            db.close()

    def _in_pipe(self, db: Db) -> None:
        if self._pipe is None:
            self._pipe = contextlib.ExitStack()
            self._pipe.enter_context(db.pipeline())

    def _sync(self) -> None:
        """Wait for what was sent; the first error of it is raised."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

    def _fail(self, error: psycopg.Error) -> NoReturn:
        """Rename a foreign exception at the border; a batch whose connection is lost is undone."""
        db = self._db
        with contextlib.suppress(psycopg.Error):
            self._sync()
        if lost(error) or (db is not None and db.closed):
            if db is not None:
                self._drop(db)
            kind = StoreAgain if self._open else StoreAway
            raise kind(f"{self.name}: {sentence(error)}") from error
        raise renamed(error) from error


def _pauses() -> Iterator[float]:
    yield from PAUSES_S
    while True:
        yield PAUSES_S[-1]


def _possible(keys: Iterable[Any]) -> list[Any]:
    """Without those that no row can have, and that may not even be asked for: texts with a NUL."""
    return [
        key
        for key in keys
        if not any(
            isinstance(part, str) and "\0" in part
            for part in (key if isinstance(key, tuple) else (key,))
        )
    ]


def _packed(name: str, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Column]:
    return _columns_of(name, types, list(zip(*rows, strict=True)))


def _columns(
    table: Table[Any], types: Sequence[str], values: Sequence[Sequence[Any]]
) -> list[Column]:
    return _columns_of(table.name, types, values)


def _columns_of(name: str, types: Sequence[str], values: Sequence[Sequence[Any]]) -> list[Column]:
    try:
        return [column(kind, each) for kind, each in zip(types, values, strict=True)]
    except UNFIT as error:
        raise StoreRefused(f"{name}: {error}") from error
