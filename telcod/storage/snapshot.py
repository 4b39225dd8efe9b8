"""The books as they were at one moment, read while a daemon writes: for `telcod db check` and
`telcod db backup` (CLI-6).

These connections are read-only: in WAL mode a reader sees one commit for as long as its transaction
lasts, disturbs no writer, and never checkpoints (DESIGN 4).  They block, so an event loop runs them
in a thread.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from telcod.errors import NotStarted, Refusal, StoreFailed, TelcodError
from telcod.rows import Row, Table

R = TypeVar("R", bound=Row)

BUSY_WAIT_S: Final = 5
# A message of SQLite's that quotes what is broken may be no UTF-8.
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
COMPLAINTS_MAX: Final = 10


class BackupRefused(TelcodError):
    """There is such a file already, or it can't be written there.  Nothing was changed."""

    next_step = "Give a name that is free, in a folder that can be written to."
    refusal: ClassVar = Refusal.CONFLICT


class Backup(NamedTuple):
    """A backup that was written, synced and checked."""

    path: Path
    size_bytes: int


class Snapshot:
    """The books at one moment, for who only reads (`scan`).

    Close it soon: while it is open the WAL only grows.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path: Final = path
        self._db: Final = connection

    @property
    def schema(self) -> int:
        """The number of the last migration that the file has had."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """All rows in key order; of log tables those with `seq` above `after`."""
        names = ", ".join(table.columns)
        values: tuple[int, ...] = ()
        sql = f"SELECT {names} FROM {table.name} ORDER BY {', '.join(table.key)}"
        if table.log:
            sql = f"SELECT {names} FROM {table.name} WHERE seq > ? ORDER BY seq"
            values = (after,)
        row: Any = table.row
        try:
            for found in self._db.execute(sql, values):
                yield row(*found)
        except _ERRORS as error:
            raise StoreFailed(f"{self.path}: {error}") from error

    def complaints(self) -> list[str]:
        """What SQLite itself finds wrong with the file; none if it is whole."""
        try:
            return _complaints(self._db)
        except _ERRORS as error:
            raise StoreFailed(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def open_snapshot(path: Path) -> Snapshot:
    """Open the books as they are now, whether a daemon runs or not.

    Raises:
        NotStarted: There is no such file.
        StoreFailed: It can't be read, or is no database.
    """
    db = _connect_to_read(path)
    try:
        # What is read first pins the moment.
        db.execute("BEGIN")
        db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except _ERRORS as error:
        db.close()
        raise StoreFailed(f"{path}: {error}") from error
    return Snapshot(path, db)


def back_up(path: Path, target: Path) -> Backup:
    """Copy the books of this moment into a new file, while a daemon writes on; sync it, then check
    it.

    The name appears only when the copy is whole: a half one stays under another name, and is
    removed.

    Raises:
        BackupRefused: `target` exists, or can't be written.
        NotStarted: There are no books at `path`.
        StoreFailed: The books can't be read, or the copy isn't whole.
    """
    part = target.with_name(f".{target.name}.part")
    if target.exists() or target.is_symlink():
        raise BackupRefused(f"{target} exists already")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        raise BackupRefused(
            f"another backup to {target} is under way", what_to_do=f"If it isn't, remove {part}."
        ) from error
    except OSError as error:
        raise BackupRefused(f"{target} can't be written: {error.strerror}") from error
    try:
        _copy(path, part)
        _sync(part)
        size_bytes = part.stat().st_size
        try:
            os.link(
                part, target
            )  # unlike a rename it never takes the place of a file that came meanwhile
        except FileExistsError as error:
            raise BackupRefused(f"{target} exists already") from error
        except OSError:  # a file system without hard links
            part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)
    return Backup(target, size_bytes)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise NotStarted(
            f"there is no database at {path}",
            what_to_do="Start telcod once, or name another configuration.",
        )
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_WAIT_S,
            check_same_thread=False,
        )
    except _ERRORS as error:
        raise StoreFailed(f"{path}: {error}") from error


def _copy(path: Path, part: Path) -> None:
    source = _connect_to_read(path)
    target = sqlite3.connect(part, isolation_level=None)
    try:
        source.backup(target)  # all pages in one step: one moment, however busy the writer is
        target.execute("PRAGMA journal_mode = DELETE")  # one file, complete without a WAL beside it
        complaints = _complaints(target)
    except _ERRORS as error:
        raise StoreFailed(f"{path}: {error}") from error
    finally:
        target.close()
        source.close()
    if complaints:
        raise StoreFailed(f"the copy of {path} is not whole: {complaints[0]}")


def _complaints(db: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({COMPLAINTS_MAX})")]
    return [] if found == ["ok"] else found


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error
    finally:
        os.close(fd)
