"""The books in one SQLite file, written by one connection in one thread (DESIGN 4).

WAL and `synchronous=FULL` are set and read back: a commit that returned survives a power cut.  A
lock file keeps a second daemon out.  The writer's connection is the only one that writes or
checkpoints; readers open the file read-only (`readers.py`).
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, get_type_hints

import msgspec

from telcod.billing.ledger import FIRST_HASH
from telcod.errors import StoreFailed, StoreFull, StoreLocked, StoreRefused
from telcod.ports import Sent, Settled, Tended, Twin
from telcod.rows import (
    AUDIT,
    ENTRY,
    LOGS,
    OutboxMail,
    OutboxPush,
    OutboxSms,
    Row,
    Table,
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
    prunes,
)
from telcod.storage.reserve import Reserve
from telcod.storage.sqlite_bulk import SIZES, read, values, write
from telcod.storage.wal import frames_committed
from telcod.tx import Changes

R = TypeVar("R", bound=Row)

CACHE_KIB: Final = 32 * 1024
BUSY_WAIT_MS: Final = 5_000
WAL_PAGES_PER_CHECKPOINT: Final = (
    4_000  # 16 MiB: long enough to coalesce, short enough not to be felt.
)
JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
HASHED: Final = (ENTRY, AUDIT)
_PAGE_SIZE_BEGINS: Final = 16  # In the database's header: two octets.
_PAGE_SIZE_ENDS: Final = 18

# The last two are what the driver says of an int beyond 64 bits and of half a surrogate pair.
_ERRORS: Final = (sqlite3.Error, OverflowError, UnicodeEncodeError)
_JSON_NUL: Final = "\\u0000"
# The last one is what a full disk says where the log's index grows.
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    }
)


_SETTLE_COLUMNS: Final = ("seq", "state", "attempts", "done_at", "link", "message_id")
_SETTLES: Final = {
    size: f"""
    UPDATE outbox_sms SET state = told.column2, attempts = told.column3, done_at = told.column4,
        link = told.column5, message_id = told.column6
    FROM ({values(len(_SETTLE_COLUMNS), size)}) AS told
    WHERE outbox_sms.seq = told.column1
    """
    for size in SIZES
}


class _Sql:
    """The statements of one table, written once."""

    def __init__(self, table: Table[Any]) -> None:
        names = ", ".join(table.columns)
        where = " AND ".join(f"{column} = ?" for column in table.key)
        rest = [column for column in table.columns if column not in table.key]
        on_conflict = (
            f"DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in rest)}"
            if rest
            else "DO NOTHING"
        )
        self.select_one: Final = f"SELECT {names} FROM {table.name} WHERE {where}"
        select = f"SELECT {names} FROM {table.name}"
        among = "IN (SELECT value FROM json_each(?))"
        # What JSON can carry is read in one step; octets it can't.
        self.in_one_step: Final = bytes not in get_type_hints(table.row).values()
        if self.in_one_step:
            select = f"SELECT json_group_array(json_array({names})) FROM {table.name}"
        self.select_many: Final = f"{select} WHERE {table.key[0]} {among}"
        self.select_group: Final = f"{select} WHERE {table.group} {among}"
        insert = f"INSERT INTO {table.name} ({names})"
        columns = len(table.columns)
        conflict = f" ON CONFLICT ({', '.join(table.key)}) {on_conflict}"
        self.inserts: Final = {size: f"{insert} {values(columns, size)}" for size in SIZES}
        self.puts: Final = {size: sql + conflict for size, sql in self.inserts.items()}
        self.delete: Final = f"DELETE FROM {table.name} WHERE {where}"
        self.scan: Final = f"SELECT {names} FROM {table.name} ORDER BY {', '.join(table.key)}"
        self.scan_after: Final = f"SELECT {names} FROM {table.name} WHERE seq > ? ORDER BY seq"


class SqliteStore:
    """The port `Store` on one file.

    Open with `SqliteStore.open`, close with `close`; one thread at a time.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock_fd: int,
        reserve: Reserve | None = None,
    ) -> None:
        self.path: Final = path
        self._reserve: Final = reserve or Reserve(path, 0)
        self._db = connection
        self._lock_fd = lock_fd
        self._failed = False
        self._sql: dict[Table[Any], _Sql] = {}

    @classmethod
    def open(cls, path: Path, *, reserve_bytes: int = 0) -> "SqliteStore":
        """Open or create the books, bring them to the present schema, and take the lock.

        Args:
            path: The database.
            reserve_bytes: How much of the disk is set aside beside it (`reserve.py`).

        Raises:
            StoreLocked: Another daemon has this file; it goes on undisturbed. StoreFailed: The file
            is missing though it existed before, is no database of telcod, or can't be trusted.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_fd = _lock(path)
        try:
            existed = bool(os.pread(lock_fd, 1, 0))
            committed = _frames_committed(path)
            db = _connect(path)
            _see_that_all_is_there(db, path, existed=existed, committed=committed)
            migrate(db)
        # A message of SQLite's that quotes what is broken may be no UTF-8.
        except (sqlite3.Error, UnicodeDecodeError) as error:
            os.close(lock_fd)
            raise StoreFailed(f"{path}: {error}") from error
        except StoreFailed:
            os.close(lock_fd)
            raise
        os.pwrite(lock_fd, f"{path.name} exists\n".encode(), 0)
        reserve = Reserve(path.with_name(f"{path.name}.reserve"), reserve_bytes)
        reserve.hold()
        return cls(path, db, lock_fd, reserve)

    def hold_reserve(self) -> bool:
        """See `Store.hold_reserve`."""
        return self._reserve.hold()

    def let_go_of_reserve(self) -> bool:
        """See `Store.let_go_of_reserve`."""
        return self._reserve.let_go()

    def twins(
        self,
        fingerprints: Sequence[bytes],  # noqa: ARG002  # The port's.
        *,
        boot: int,  # noqa: ARG002
        since_ms: int,  # noqa: ARG002
    ) -> Mapping[bytes, Sequence[Twin]]:
        """See `Store.twins`: there is one daemon, and it knows by itself."""
        return {}

    def tend(self, boot: int, duties: Collection[str]) -> Tended:  # noqa: ARG002  # The port's.
        """See `Store.tend`: there is one daemon, and it does everything."""
        return Tended(frozenset(duties), frozenset())

    def inherit(
        self,
        owner: int,  # noqa: ARG002  # The port's.
        boot: int,  # noqa: ARG002
        *,
        now_ms: int,  # noqa: ARG002
        most: int,  # noqa: ARG002
    ) -> list[OutboxSms]:
        """See `Store.inherit`: there is one daemon, and nobody to leave it anything."""
        return []

    def close(self) -> None:
        """Checkpoint (not after a `StoreFailed`), close the file, let the lock go."""
        if self._failed:
            _close_without_checkpoint(self.path, self._db)
        else:
            self._db.close()
        os.close(self._lock_fd)

    # -- the open transaction

    def begin(self) -> None:
        """See `Store.begin`."""
        self._run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """See `Store.commit`."""
        self._run("COMMIT")

    def rollback(self) -> None:
        """See `Store.rollback`."""
        if self._db.in_transaction:
            self._run("ROLLBACK")

    def load(self, table: Table[R], keys: Sequence[Any]) -> Iterable[R]:
        """See `Store.load`."""
        sql = self._sql_of(table)
        row = table.row
        try:
            asked = _json(keys) if len(table.key) == 1 and len(keys) > 1 else ""
            # json_each ends a text at its first NUL: such a key is asked for by itself.
            if asked and _JSON_NUL not in asked:
                return [row(*found) for found in self._many(sql, sql.select_many, asked)]
            rows = []
            for key in keys:
                values = key if isinstance(key, tuple) else (key,)
                rows += [row(*found) for found in self._db.execute(sql.select_one, values)]
        except _ERRORS as error:
            self._fail(error)
        return rows

    def load_groups(self, table: Table[R], owners: Sequence[Any]) -> Iterable[R]:
        """See `Store.load_groups`."""
        row, sql = table.row, self._sql_of(table)
        try:
            return [row(*found) for found in self._many(sql, sql.select_group, _json(owners))]
        except _ERRORS as error:
            self._fail(error)

    def _many(self, sql: "_Sql", statement: str, asked: str) -> Iterable[Sequence[Any]]:
        if sql.in_one_step:
            return read(self._db, statement, asked)
        return self._db.execute(statement, (asked,))

    def apply(self, changes: Sequence[Changes], settled: Sequence[Settled]) -> None:
        """See `Store.apply`."""
        as_tuple = msgspec.structs.astuple
        db = self._db
        try:
            for table, puts, deletes, appends in changes:
                sql = self._sql_of(table)
                if appends:
                    write(db, sql.inserts.__getitem__, list(map(as_tuple, appends)))
                if puts:
                    write(db, sql.puts.__getitem__, list(map(as_tuple, puts)))
                if deletes:
                    db.executemany(
                        sql.delete, [key if isinstance(key, tuple) else (key,) for key in deletes]
                    )
            if settled:
                columns = len(_SETTLE_COLUMNS)
                rows = [settlement[:columns] for settlement in settled]
                write(db, _SETTLES.__getitem__, rows)
        except _ERRORS as error:
            self._fail(error)

    def fill(self, table: Table[R], rows: Iterable[R]) -> None:
        """Inside a transaction: write many rows of a table that has none, as they come."""
        try:
            one_row = self._sql_of(table).inserts[1]
            self._db.executemany(one_row, map(msgspec.structs.astuple, rows))
        except _ERRORS as error:
            self._fail(error)

    def prune(self, *, before_ms: int, parts_before_ms: int, most: int) -> int:
        """See `Store.prune`."""
        gone = 0
        for sql, limit_ms in prunes(before_ms=before_ms, parts_before_ms=parts_before_ms):
            try:
                gone += self._db.execute(sql, {"before": limit_ms, "most": most}).rowcount
            except sqlite3.Error as error:
                self._fail(error)
        return gone

    # -- reading what is committed

    def next_seqs(self) -> dict[int, int]:
        """See `Store.next_seqs`."""
        return {
            table.index: 1
            + (self._db.execute(f"SELECT MAX(seq) FROM {table.name}").fetchone()[0] or 0)
            for table in LOGS
        }

    def heads(self) -> dict[int, bytes]:
        """See `Store.heads`."""
        found = {}
        for table in HASHED:
            row = self._db.execute(
                f"SELECT hash FROM {table.name} ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            found[table.index] = row[0] if row else FIRST_HASH
        return found

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """See `Store.scan`."""
        sql = self._sql_of(table)
        rows = (
            self._db.execute(sql.scan_after, (after,)) if table.log else self._db.execute(sql.scan)
        )
        row = table.row
        for found in rows:
            yield row(*found)

    def pending_sms(self, *, after: int, most: int) -> list[OutboxSms]:
        """See `Store.pending_sms`."""
        return [OutboxSms(*row) for row in self._db.execute(PENDING_SMS, (after, most))]

    def pending_pushes(self, *, after: int, most: int) -> list[OutboxPush]:
        """See `Store.pending_pushes`."""
        return [OutboxPush(*row) for row in self._db.execute(PENDING_PUSHES, (after, most))]

    def pending_mails(self, *, now_ms: int, most: int) -> list[OutboxMail]:
        """See `Store.pending_mails`."""
        return [OutboxMail(*row) for row in self._db.execute(PENDING_MAILS, (now_ms, most))]

    def sms_by_message_id(self, message_id: str) -> list[Sent]:
        """See `Store.sms_by_message_id`."""
        return [Sent(*row) for row in self._db.execute(BY_MESSAGE_ID, (message_id,))]

    def due_texts(self, *, now_ms: int, most: int) -> list[int]:
        """See `Store.due_texts`."""
        return [row[0] for row in self._db.execute(DUE_TEXTS, (now_ms, most))]

    def due_calls(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_calls`."""
        return [row[0] for row in self._db.execute(DUE_CALLS, (now_ms, most))]

    def due_payments(self, *, now_ms: int, most: int) -> list[str]:
        """See `Store.due_payments`."""
        return [row[0] for row in self._db.execute(DUE_PAYMENTS, (now_ms, most))]

    def due_subscriptions(self, *, now_ms: int, most: int) -> list[tuple[int, int]]:
        """See `Store.due_subscriptions`."""
        return [(row[0], row[1]) for row in self._db.execute(DUE_SUBSCRIPTIONS, (now_ms, most))]

    def _sql_of(self, table: Table[Any]) -> _Sql:
        sql = self._sql.get(table)
        if sql is None:
            sql = self._sql[table] = _Sql(table)
        return sql

    def _run(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except sqlite3.Error as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Rename a foreign exception at the border.

        Refused, full, or not to be trusted any more.
        """
        whole_code = getattr(error, "sqlite_errorcode", 0)
        code = whole_code & 0xFF
        if code in _REFUSED or isinstance(
            error, sqlite3.IntegrityError | OverflowError | UnicodeEncodeError
        ):
            raise StoreRefused(str(error)) from error
        if code in _FULL or whole_code in _FULL:
            raise StoreFull(f"{self.path}: {error}") from error
        self._failed = True
        raise StoreFailed(f"{self.path}: {error}") from error


def migrate(db: sqlite3.Connection) -> list[str]:
    """Bring a database to the present schema; the names of the migrations that were applied.

    Raises:
        StoreFailed: The file was written by a newer telcod, or is somebody else's.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    files = _migrations()
    if version > len(files):
        raise StoreFailed(
            f"the database has schema {version}, this telcod knows {len(files)}: "
            "use the newer telcod"
        )
    if version == 0 and db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise StoreFailed("the file is an SQLite database, but not one of telcod's")
    applied = []
    for number, (name, text) in enumerate(files[version:], start=version + 1):
        sql = text.replace("INT8", "INTEGER")
        db.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
        applied.append(name)
    return applied


def present_schema() -> int:
    """The schema that this telcod brings a file to: how many migrations there are for it."""
    return len(_migrations())


def _migrations() -> list[tuple[str, str]]:
    folder = resources.files("telcod.storage") / "migrations"
    names = sorted(
        item.name
        for item in folder.iterdir()
        if item.name.endswith(".sql") and ".postgres." not in item.name
    )
    return [(name, (folder / name).read_text()) for name in names]


def _lock(path: Path) -> int:
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock_fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailed(f"{lock_path}: {error.strerror}") from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock_fd)
        raise StoreLocked(f"{path} is in use by another telcod") from error
    if os.read(lock_fd, 1) and not path.exists():
        os.close(lock_fd)
        raise StoreFailed(
            f"{path} is gone, but {lock_path.name} says it existed: "
            f"restore it, or remove {lock_path.name} to begin anew"
        )
    return lock_fd


def _frames_committed(path: Path) -> int:
    """How many frames of the log beside the database were certainly committed."""
    try:
        log = path.with_name(f"{path.name}-wal").read_bytes()
        with path.open("rb") as file:
            head = file.read(_PAGE_SIZE_ENDS)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error
    page_bytes = int.from_bytes(head[_PAGE_SIZE_BEGINS:], "big")
    # SQLite writes 1 for 65536.
    return frames_committed(memoryview(log), 65_536 if page_bytes == 1 else page_bytes or 4_096)


def _see_that_all_is_there(
    db: sqlite3.Connection, path: Path, *, existed: bool, committed: int
) -> None:
    """Refuse books that were emptied, and a log of which commits can't be read any more (F6, F7).

    Raises:
        StoreFailed: With what to do.
    """
    restore = "Set the files of the database aside, and restore the newest backup."
    if existed and not db.execute("PRAGMA user_version").fetchone()[0]:
        raise StoreFailed(f"{path} is empty, but held books", what_to_do=restore)
    if committed:
        _, readable, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if readable < committed:
            raise StoreFailed(
                f"{path}-wal is damaged: {committed} pages were committed, {readable} can be read",
                what_to_do=restore,
            )


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    path.chmod(0o600)
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA busy_timeout = {BUSY_WAIT_MS}")
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_PER_CHECKPOINT}")
    db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA foreign_keys = ON")  # Clearing names a payment of its own centre (PAY-7).
    synchronous = db.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or synchronous != 2:
        raise StoreFailed(
            f"{path}: asked for WAL and synchronous=FULL, got {mode} and {synchronous}: "
            "is it a network disk?"
        )
    return db


def _close_without_checkpoint(path: Path, db: sqlite3.Connection) -> None:
    """Close, and leave the WAL to the next start.

    Whoever closes last syncs the WAL and moves it into the database, but a sync that failed must
    not be tried again: the second one may succeed over pages that the first one lost (DESIGN 4).
    A reader that looks on makes this connection not the last one, and a reader moves nothing.
    """
    reader: sqlite3.Connection | None = None
    with contextlib.suppress(sqlite3.Error):  # Of a disk that fails anyway: then just close.
        reader = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        reader.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    db.close()
    if reader is not None:
        reader.close()


def _json(keys: Sequence[Any]) -> str:
    return msgspec.json.encode(keys).decode()
