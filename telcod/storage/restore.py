"""A backup put where the books belong, for `telcod db restore` (CLI-6).

The copy has another name until it has been proved, so that no daemon ever opens a half or a wrong
one.  It blocks; nothing runs beside it.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from telcod.billing.tariffs import TariffBook
from telcod.check import check_books
from telcod.engine import COMMIT_CLOCK
from telcod.errors import Refusal, StoreFailed, StoreLocked, TelcodError
from telcod.rows import META
from telcod.storage.snapshot import back_up, open_snapshot
from telcod.storage.sqlite import SqliteStore

BESIDE: Final = ("", "-wal", "-shm", "-journal")
_MADE: Final = (*BESIDE, ".lock")


class RestoreRefused(TelcodError):
    """There are books already, or the backup is not right.  Nothing was changed."""

    next_step = "Set the books that are there aside first: move them, don't remove them."
    refusal: ClassVar = Refusal.CONFLICT


class Restored(NamedTuple):
    """The books as they are now; `commit_ms` is their last commit, Unix milliseconds."""

    path: Path
    commit_ms: int


def restore_books(backup: Path, target: Path, tariffs: TariffBook) -> Restored:
    """Copy a backup to where no books are, bring it to the present schema, prove it.

    Raises:
        RestoreRefused: There are books, or parts of them, at `target`; or the backup breaks an
            invariant.
        StoreLocked: A daemon has these books.
        StoreFailed: The backup can't be read, or was written by a newer telcod.
        BackupRefused: The copy can't be written.
    """
    with locked(target):
        return _restore(backup, target, tariffs)


def _restore(backup: Path, target: Path, tariffs: TariffBook) -> Restored:
    there = [path for path in beside(target, BESIDE) if path.exists() or path.is_symlink()]
    if there:
        raise RestoreRefused(f"{', '.join(map(str, there))}: there already")
    with contextlib.closing(open_snapshot(backup)) as snapshot:
        if not snapshot.schema:
            raise RestoreRefused(f"{backup} holds no books", what_to_do="Name another file.")
    part = target.with_name(f".{target.name}.restoring")
    remove_part(part)  # of a restore that was cut off; nobody else is at it
    try:
        back_up(backup, part)
        SqliteStore.open(part).close()  # migrates it
        commit_ms = _proved(part, tariffs)
        # Closed in order, the books are in one file; a link never takes the place of another.
        os.link(part, target)
    finally:
        remove_part(part)
    sync_folder(target.parent)
    return Restored(target, commit_ms)


@contextlib.contextmanager
def locked(target: Path) -> Generator[None, None, None]:
    """The lock that a daemon on these books would have."""
    path = target.with_name(f"{target.name}.lock")
    lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock_fd)
        raise StoreLocked(f"{target} is in use by another telcod") from error
    try:
        yield
    finally:
        os.close(lock_fd)


def remove_part(part: Path) -> None:
    """Remove what was made under another name, with all that lies beside it."""
    for path in beside(part, _MADE):
        path.unlink(missing_ok=True)


def _proved(path: Path, tariffs: TariffBook) -> int:
    with contextlib.closing(open_snapshot(path)) as snapshot:
        found = [*snapshot.complaints()]
        found = found or [str(one.what) for one in check_books(snapshot, tariffs=tariffs)]
        if found:
            raise RestoreRefused(
                f"the backup is not right: {found[0]}", what_to_do="Take an older one."
            )
        facts = {row.name: row.value for row in snapshot.scan(META)}
    return int(facts.get(COMMIT_CLOCK, "0"))


def beside(path: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files of a database: its own name with each of these endings."""
    return [path.with_name(path.name + ending) for ending in endings]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        StoreFailed: It can't be done.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise StoreFailed(f"{folder}: {error.strerror}") from error
    finally:
        os.close(fd)
