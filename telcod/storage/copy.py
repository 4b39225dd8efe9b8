"""The books moved from one database to another, file or server: `telcod db copy` (G, CLI-6).

All rows go over in one transaction, which is committed only when the copy is proved: the same
number of rows with the same digest in every table, and every invariant of the books.  Until then
the target is as empty as it was.  The source is only read, and no daemon may use it meanwhile: what
it wrote would be lost.
"""

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from telcod.billing.tariffs import TariffBook
from telcod.check import check_books
from telcod.errors import NotStarted, Refusal, TelcodError
from telcod.rows import ACCOUNT, AUDIT, ENTRY, TABLES, Row, Table
from telcod.storage.postgres import PostgresStore
from telcod.storage.postgres_schema import present_number
from telcod.storage.postgres_snapshot import PostgresSnapshot, open_postgres_snapshot
from telcod.storage.restore import BESIDE, beside, locked, remove_part, sync_folder
from telcod.storage.snapshot import Snapshot, open_snapshot
from telcod.storage.sqlite import SqliteStore, present_schema

R = TypeVar("R", bound=Row)

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
# PostgreSQL has no texts with a NUL in them; what stands for it is the picture of one.
NUL: Final = "\0"
NUL_PICTURE: Final = "\u2400"
# Their hashes are of the texts as they are, so there nothing may be put in place of another.
_HASHED: Final = frozenset({ENTRY.name, AUDIT.name})


class CopyRefused(TelcodError):
    """There are books at the target already, or the copy is not right.  Nothing was changed."""

    next_step = "Name a target without books; the source is as it was."
    refusal: ClassVar = Refusal.CONFLICT


class TableCopied(NamedTuple):
    """A table that went over: its rows, and a digest of all of them in order."""

    name: str
    rows: int
    digest: str


class Copied(NamedTuple):
    """What went over.

    `posted_vnd` is the sum of all accounts, which is 0; `entry_head` and `audit_head` are the last
    hashes of the two chains; `pictured` counts texts whose NULs are pictures now.
    """

    tables: tuple[TableCopied, ...]
    posted_vnd: int
    entry_head: str
    audit_head: str
    pictured: int


class Target(Protocol):
    """What a copy needs of a store."""

    def begin(self) -> object:
        """See `Store.begin`."""

    def fill(self, table: Table[R], rows: Iterable[R]) -> None:
        """Write many rows of a table that has none."""

    def scan(self, table: Table[R], *, after: int = 0) -> Iterator[R]:
        """See `Store.scan`; what is not committed yet is seen."""

    def commit(self) -> None:
        """See `Store.commit`."""

    def rollback(self) -> None:
        """See `Store.rollback`."""


def copy_books(source_url: str, target_url: str, tariffs: TariffBook, *, folder: Path) -> Copied:
    """Copy all books to where none are, prove them there, and only then let them stand.

    Args:
        source_url: `sqlite:///path` or `postgresql://host/database`.
        target_url: The same; a file that is not there, or a database without books.
        tariffs: To prove the charges by.
        folder: Where a file is looked for that is named without a folder.

    Raises:
        NotStarted: There are no books at the source, or of an older schema; an address is none.
        StoreLocked: A daemon uses the source, or the target.
        CopyRefused: There are books at the target, or the copy is not right.
        StoreFailed, StoreAway, StoreFull: One of them can't be read or written.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_source(source_url, folder))
        present = present_number() if _kind(source_url) == POSTGRESQL else present_schema()
        if source.schema != present:
            raise NotStarted(
                f"the source has schema {source.schema}, this telcod has {present}",
                what_to_do="Run `telcod db migrate` on the source first.",
            )
        target = stack.enter_context(_target(target_url, folder))
        target.begin()
        try:
            copied = _copy(source, target, nul_allowed=_kind(target_url) == SQLITE)
            _prove(target, copied, tariffs)
            target.commit()
        except BaseException:
            target.rollback()
            raise
    return copied


def _copy(source: Snapshot | PostgresSnapshot, target: Target, *, nul_allowed: bool) -> Copied:
    there = [table.name for table in TABLES if next(iter(target.scan(table)), None) is not None]
    if there:
        raise CopyRefused(f"the target has rows already, in {', '.join(there[:3])}")
    tables = []
    heads = {ENTRY.name: "", AUDIT.name: ""}
    posted_vnd = pictured = 0
    for table in TABLES:
        digest = _Digest()
        last: Any = None

        def rows(table: Table[Any] = table, digest: _Digest = digest) -> Iterator[Any]:
            nonlocal posted_vnd, pictured, last
            for row in source.scan(table):
                fit = row if nul_allowed else _without_nul(table, row)
                pictured += fit is not row
                posted_vnd += row.posted if table is ACCOUNT else 0
                digest.add(fit)
                last = fit
                yield fit

        target.fill(table, rows())
        tables.append(TableCopied(table.name, digest.rows, digest.hex()))
        if table.name in heads and last is not None:
            heads[table.name] = last.hash.hex()
    return Copied(tuple(tables), posted_vnd, heads[ENTRY.name], heads[AUDIT.name], pictured)


def _prove(target: Target, copied: Copied, tariffs: TariffBook) -> None:
    """
    Raises:
        CopyRefused: What arrived is not what was sent, or the books break an invariant.
    """
    for table, sent in zip(TABLES, copied.tables, strict=True):
        digest = _Digest()
        for row in target.scan(table):
            digest.add(row)
        if (digest.rows, digest.hex()) != (sent.rows, sent.digest):
            raise CopyRefused(
                f"{table.name}: {sent.rows} rows were sent, {digest.rows} are there, not the same",
                what_to_do="Nothing was kept of it; try again, and look at the target's log.",
            )
    found = check_books(target, tariffs=tariffs)
    if found:
        raise CopyRefused(
            f"the books are not right: {found[0].invariant}: {found[0].what}",
            what_to_do="Run `telcod db check` on the source.",
        )


class _Digest:
    """A hash over rows in order, the same for the same rows, whatever they lie in."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash: Final = blake2b(digest_size=16)
        self._encode: Final = msgspec.msgpack.Encoder().encode

    def add(self, row: Row) -> None:
        self.rows += 1
        self._hash.update(self._encode(msgspec.structs.astuple(row)))

    def hex(self) -> str:
        return self._hash.hexdigest()


def _without_nul(table: Table[Any], row: R) -> R:
    changed = {
        name: value.replace(NUL, NUL_PICTURE)
        for name, value in zip(table.columns, msgspec.structs.astuple(row), strict=True)
        if isinstance(value, str) and NUL in value
    }
    if not changed:
        return row
    if table.name in _HASHED:
        raise CopyRefused(
            f"{table.name} {table.key_of(row)} has a NUL in a text, which PostgreSQL can't keep",
            what_to_do="These books can't be moved there: leave them in a file.",
        )
    return msgspec.structs.replace(row, **changed)


# -- files and servers


def _kind(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in {SQLITE, POSTGRESQL}:
        raise NotStarted(
            "an address of books begins with sqlite: or postgresql:",
            what_to_do="Write sqlite:///path/to/telcod.db or postgresql://host/database.",
        )
    return scheme


@contextlib.contextmanager
def _source(url: str, folder: Path) -> Generator[Snapshot | PostgresSnapshot, None, None]:
    if _kind(url) == POSTGRESQL:
        with contextlib.closing(open_postgres_snapshot(url, alone=True)) as snapshot:
            yield snapshot
        return
    path = folder / urlsplit(url).path
    if not path.exists():  # Before its lock is made.
        raise NotStarted(f"there are no books at {path}", what_to_do="Name another file.")
    with locked(path), contextlib.closing(open_snapshot(path)) as file:
        yield file


@contextlib.contextmanager
def _target(url: str, folder: Path) -> Generator[Target, None, None]:
    if _kind(url) == POSTGRESQL:
        # To prove many rows takes time in which nothing is asked of the server.
        with contextlib.closing(PostgresStore.open(url, turn_s=0)) as server:
            yield server
        return
    path = folder / urlsplit(url).path
    with locked(path):
        there = [each for each in beside(path, BESIDE) if each.exists() or each.is_symlink()]
        if there:
            raise CopyRefused(f"{', '.join(map(str, there))}: there already")
        # No daemon ever opens a half copy: it has another name until it is proved.
        part = path.with_name(f".{path.name}.copying")
        remove_part(part)
        try:
            with contextlib.closing(SqliteStore.open(part)) as file:
                yield file
            os.link(part, path)
        finally:
            remove_part(part)
        sync_folder(path.parent)
